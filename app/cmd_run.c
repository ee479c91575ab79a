/* SPDX-License-Identifier: Apache-2.0 */
/* cmlc run: compiles a program and runs it. The run itself is execute.c. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/execute.h"
#include "app/report.h"
#include "base/file.h"
#include "vm/run.h"

static const Flag flags[] = {
    {"--param", "-p", "NAME=VALUE", "value of a param; may be repeated", true},
    {"--threads", NULL, "N", "workers (one for each processor); results do not depend on it", false},
    {"--memory", NULL, "SIZE",
     "most memory to use, such as 512M or 8G (most of the machine; of each Spark executor 1G)", false},
    {"--seed", NULL, "N", "seed of random splits and folds (0)", false},
    {"--executor", NULL, "NAME",
     "local (threads), spark, or loopback (forked children, for tests); results do not depend on it", false},
    {"--master", NULL, "URL", "with --executor spark: spark://HOST:PORT, yarn, k8s://..., local[N]", false},
    {"--conf", NULL, "KEY=VALUE", "with --executor spark: a property of Spark; may be repeated", true},
    {"--jit", NULL, "MODE",
     "machine code for the programs of rows (auto, off, force); results do not depend on it", false},
    {"--skip-pass", NULL, "NAMES",
     "compiler passes to leave out, separated by commas; results do not depend on it", false},
    {"--json", NULL, "FILE", "everything about the run as one JSON object; - for standard output", false},
    {"--coefficients", NULL, "N",
     "features that a model's table in the summary shows at most: a number, 0, or all (10 of more than 20)",
     false},
    {"--quiet", "-q", NULL, "no progress and no summary", false},
    {NULL, NULL, NULL, NULL, false},
};

typedef struct Settings {
  CompileOptions compile;
  Execution run;
  Remote remote;
  const char *json;
  uint32_t features; /* in the summary */
} Settings;

/* ---- The run ---- */

static Status write_json(const Report *r, const char *path, Err *e) {
  Buf b = {0};
  report_json(r, &b);
  if (b.bad)
    err_memory(e);
  else if (!strcmp(path, "-"))
    app_print(&b);
  else
    file_write_whole(path, buf_bytes(&b), e);
  buf_free(&b);
  return e->code;
}

static Status run_compiled(const App *app, const Settings *s, const Compiled *c, Arena *a, Err *e) {
  RunResult r;
  Report report;
  if (outputs_check(c->program, s->run.limits.dir, s->compile.path, s->run.spark != NULL, e) != ST_OK) {
    app_error(app, e);
    return e->code;
  }
  Status st = execute(app, &s->run, c, &r, &report, a, e);
  if (st == ST_OK || st == ST_EXPECT) {
    Err json = {0};
    if (!s->run.quiet && !(s->json && !strcmp(s->json, "-")))
      report_print(&report, stdout, app->colour && isatty(STDOUT_FILENO), s->features);
    if (s->json && write_json(&report, s->json, &json) != ST_OK) {
      app_error(app, &json);
      st = json.code;
    }
  }
  if (e->code != ST_OK)
    fflush(stdout), app_error(app, e);
  run_free(&r);
  return st;
}

static Status usage(const char *what) {
  fprintf(stderr, "cmlc run: %s\n", what);
  return ST_USAGE;
}

static Status settings(const App *app, Arena *a, const Args *args, Settings *s, Err *e) {
  const char *threads = args_get(args, "--threads"), *memory = args_get(args, "--memory");
  const char *features = args_get(args, "--coefficients");
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  if (args->nword != 1)
    return usage("name one program: cmlc run FILE.cml");
  const char *path = args->word[0];
  *s = (Settings){.compile = {.path = path, .lower = true, .skip_pass = args_get(args, "--skip-pass")},
                  .run = {.limits = {.threads = cpus > 0 ? (uint32_t)cpus : 1,
                                     .memory = execute_memory(),
                                     .cancel = app->cancel},
                          .path = path,
                          .digests = args_get(args, "--json") != NULL,
                          .quiet = args_get(args, "--quiet") != NULL},
                  .json = args_get(args, "--json"),
                  .features = features ? UINT32_MAX : REPORT_FEATURES};
  s->run.limits.dir = execute_folder(a, path);
  if (threads && !args_count(threads, 1, 1024, &s->run.limits.threads))
    return usage("`--threads` is a whole number from 1 to 1024");
  if (memory && !args_size(memory, &s->run.limits.memory))
    return usage("`--memory` is a size of at least 64M, like 512M or 2G");
  if (features && strcmp(features, "all") && !args_count(features, 0, UINT32_MAX, &s->features))
    return usage("`--coefficients` is a whole number, or all");
  if (args_executor(a, args, &s->run, e) != ST_OK)
    return e->code;
  s->remote = (Remote){.options = s->run.spark, .cancel = app->cancel};
  s->run.remote = s->compile.remote = &s->remote;
  if (!args_jit(args, &s->run.jit))
    return usage("`--jit` is auto, off or force");
  if (args_seed(args, &s->compile.seed) != ST_OK || args_passes(args, "--skip-pass") != ST_OK)
    return ST_USAGE;
  s->compile.check.define = args_defines(a, args, &s->compile.check.ndefine, e);
  return e->code;
}

int cmd_run(const App *app, int argc, char **argv) {
  Arena a;
  Args args;
  Settings s = {.remote = {.options = NULL}};
  Compiled c;
  Err e = {0};
  memset(&c, 0, sizeof c);
  arena_init(&a, NULL);
  Status st = args_parse(&a, argc, argv, "run", "FILE.cml [options]", flags, &args);
  if (st == ST_OK)
    st = settings(app, &a, &args, &s, &e);
  if (st == ST_OK) {
    st = compile_file(app, &s.compile, &c, NULL, &e);
    compile_report(app, &c);
    if (st == ST_OK && !c.program)
      st = c.outcome;
  }
  if (e.code != ST_OK)
    app_error(app, &e);
  else if (st == ST_OK)
    st = run_compiled(app, &s, &c, &a, &e);
  else if (st == ST_CANCEL)
    st = ST_OK; /* --help */
  remote_close(&s.remote);
  compile_free(&c);
  arena_free(&a);
  return st;
}
