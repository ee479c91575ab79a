/* SPDX-License-Identifier: Apache-2.0 */
/* cmlc verify: a program gives the same bytes however it is run. verify.c runs it; here are the command line,
 * the table and the object of --json. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/verify.h"
#include "base/file.h"

enum { SHORT_DIGEST = 12 };

static const Flag flags[] = {
    {"--param", "-p", "NAME=VALUE", "value of a param; may be repeated", true},
    {"--threads", NULL, "N", "workers of the first way (one for each processor)", false},
    {"--memory", NULL, "SIZE", "most memory to use, such as 512M or 8G (most of the machine)", false},
    {"--executor", NULL, "NAME", "spark: these ways beside the others: on Spark, in other partitions", false},
    {"--master", NULL, "URL", "with --executor spark: spark://HOST:PORT, yarn, k8s://..., local[N]", false},
    {"--conf", NULL, "KEY=VALUE", "with --executor spark: a property of Spark; may be repeated", true},
    {"--seed", NULL, "N", "seed of random splits and folds (0)", false},
    {"--only", NULL, "WAYS",
     "these ways beside the first, separated by commas: the names that the table shows", false},
    {"--quick", NULL, NULL, "three ways beside the first: one thread, no machine code, no pass", false},
    {"--json", NULL, "FILE", "all digests as one JSON object; - for standard output", false},
    {"--quiet", "-q", NULL, "no progress and no table", false},
    {NULL, NULL, NULL, NULL, false},
};

typedef struct Settings {
  CompileOptions compile;
  Execution first;
  const char *options; /* how `first` is written */
  const char *only, *json;
  bool quick, quiet;   /* quiet: no table */
  Remote remote;
} Settings;

/* ---- What is said ---- */

static const char *made_by(const Stage *s, char out[64]) {
  uint32_t n = 0;
  for (uint32_t k = 0; k < s->nagg; k++)
    n += s->agg[k].leave_out < 0;
  switch (s->kind) {
  case STAGE_SOURCE: return "data";
  case STAGE_ROWS: return "rows";
  case STAGE_TRAIN: return "model";
  case STAGE_FIT: snprintf(out, 64, "fitted values: %u", n); break;
  case STAGE_EVALUATE: snprintf(out, 64, "metrics: %u", s->nmetric); break;
  default: return s->path ? s->path : "";
  }
  return out;
}

static void print_stages(const Verification *v) {
  int width = report_width("stage");
  char text[64];
  for (uint32_t i = 0; i < v->written->nstage; i++)
    width = report_width(v->written->stage[i].name) > width ? report_width(v->written->stage[i].name) : width;
  printf("stage%*s  %-*s  made\n", width - report_width("stage"), "", SHORT_DIGEST, "digest");
  for (uint32_t i = 0; i < v->written->nstage; i++) {
    const Stage *s = &v->written->stage[ir_written(v->written, i)];
    if (v->way[0].digest[i][0])
      printf("%s%*s  %.*s  %s\n", s->name, width - report_width(s->name), "", SHORT_DIGEST,
             v->way[0].digest[i], made_by(s, text));
  }
}

static const char *stage_name(const Verification *v, const Way *w) {
  return v->written->stage[ir_written(v->written, w->stage)].name;
}

static const char *shown(const Way *w, uint32_t stage) {
  return w->digest[stage][0] ? w->digest[stage] : "nothing";
}

static void print_way(const Verification *v, uint32_t k) {
  const Way *w = &v->way[k];
  int width = 8;
  for (uint32_t i = 0; i < v->nway; i++)
    if (v->way[i].chosen && (int)strlen(v->way[i].options) > width)
      width = (int)strlen(v->way[i].options);
  if (k == 0)
    printf("\n%-12s  %-*s  seconds\n", "way", width, "options");
  printf("%-12s  %-*s  %7.3f  ", w->name, width, w->options, w->seconds);
  switch (w->outcome) {
  case WAY_SAME: printf("%s\n", k ? "same" : "what the others are compared with"); break;
  case WAY_DIFFERS:
    printf("differs first in `%s`: %.*s, not %.*s\n", stage_name(v, w), SHORT_DIGEST, shown(w, w->stage),
           SHORT_DIGEST, shown(&v->way[0], w->stage));
    break;
  case WAY_FAILED: printf("fails: %s\n", w->why.cause); break;
  case WAY_NOT_RUN: printf("not run: %s\n", w->why.cause); break;
  }
  fflush(stdout);
}

/* A way that is not the same is a fault of ours: which, and how we can see it. */
static Status judge(const Verification *v, const char *path, Err *e) {
  uint32_t n = 0, bad = 0;
  const Way *first = NULL;
  char remedy[320];
  for (uint32_t i = 1; i < v->nway; i++) {
    const Way *w = &v->way[i];
    bool wrong = w->chosen && (w->outcome == WAY_DIFFERS || w->outcome == WAY_FAILED);
    n += w->chosen && w->outcome != WAY_NOT_RUN;
    bad += wrong;
    first = first || !wrong ? first : w;
  }
  if (!bad)
    return ST_OK;
  snprintf(
      remedy, sizeof remedy,
      "Please report it with the program; `cmlc verify %.120s --only %.60s` and your other options show it.",
      path, first->name);
  if (first->outcome == WAY_FAILED)
    return err_set(e, ST_FAULT, "CML0617", remedy, "%u of %u ways differ; with `%s`: %s", bad, n,
                   first->options, first->why.cause);
  return err_set(e, ST_FAULT, "CML0617", remedy, "%u of %u ways differ; `%s` is not the same with `%s`", bad,
                 n, stage_name(v, first), first->options);
}

static void print_end(const Verification *v) {
  uint32_t n = 0, same = 0, not_run = 0;
  for (uint32_t i = 1; i < v->nway; i++) {
    n += v->way[i].chosen;
    same += v->way[i].chosen && v->way[i].outcome == WAY_SAME;
    not_run += v->way[i].chosen && v->way[i].outcome == WAY_NOT_RUN;
  }
  printf("\n%u of %u ways give the same", same, n);
  if (not_run)
    printf("; not run: %u", not_run);
  printf("\n");
}

/* ---- --json ---- */

static void json_way(Json *j, const Verification *v, const Way *w) {
  static const char *const word[] = {"same", "differs", "failed", "not run"};
  json_open(j, NULL, '{');
  json_text(j, "way", w->name);
  json_text(j, "options", w->options);
  json_text(j, "outcome", word[w->outcome]);
  json_number(j, "seconds", w->seconds);
  if (w->outcome == WAY_FAILED || w->outcome == WAY_NOT_RUN)
    json_text(j, "why", w->why.cause);
  if (w->outcome == WAY_DIFFERS) {
    json_open(j, "differs", '[');
    for (uint32_t i = 0; i < v->written->nstage; i++) {
      if (!strcmp(w->digest[i], v->way[0].digest[i]))
        continue;
      json_open(j, NULL, '{');
      json_text(j, "stage", v->written->stage[ir_written(v->written, i)].name);
      json_text(j, "digest", *w->digest[i] ? w->digest[i] : NULL);
      json_close(j, '}');
    }
    json_close(j, ']');
  }
  json_close(j, '}');
}

static Status write_json(const Verification *v, const Settings *s, Status outcome, Err *e) {
  Buf b = {0};
  Json j = {.out = &b};
  char digest[DIGEST_HEX];
  compile_digest(v->c, digest);
  json_open(&j, NULL, '{');
  json_open(&j, "program", '{');
  json_text(&j, "file", s->compile.path);
  json_text(&j, "digest", digest);
  json_close(&j, '}');
  json_signed(&j, "seed", (int64_t)s->compile.seed);
  json_truth(&j, "same", outcome != ST_FAULT);
  json_open(&j, "stages", '[');
  for (uint32_t i = 0; i < v->written->nstage; i++) {
    if (!v->way[0].digest[i][0])
      continue;
    json_open(&j, NULL, '{');
    json_text(&j, "stage", v->written->stage[ir_written(v->written, i)].name);
    json_text(&j, "digest", v->way[0].digest[i]);
    json_close(&j, '}');
  }
  json_close(&j, ']');
  json_open(&j, "ways", '[');
  for (uint32_t i = 0; i < v->nway; i++)
    if (v->way[i].chosen)
      json_way(&j, v, &v->way[i]);
  json_close(&j, ']');
  json_close(&j, '}');
  buf_text(&b, "\n");
  if (b.bad)
    err_memory(e);
  else if (!strcmp(s->json, "-"))
    app_print(&b);
  else
    file_write_whole(s->json, buf_bytes(&b), e);
  buf_free(&b);
  return e->code;
}

/* ---- The command ---- */

/* Failures of the first way are those of `run`; an expectation that is not met is told once, at the end. */
static Status verify_all(const App *app, Verification *v, const Settings *s, Err *e) {
  Err unmet = {0}, fault = {0}, json = {0};
  for (uint32_t i = 0; i < v->nway; i++) {
    Err err = {0};
    if (!v->way[i].chosen)
      continue;
    Status st = verify_way(v, i, &err);
    if (st == ST_EXPECT)
      unmet = err;
    else if (st != ST_OK)
      return *e = err, st;
    if (!i && !s->quiet)
      print_stages(v);
    if (!s->quiet)
      print_way(v, i);
  }
  if (!s->quiet)
    print_end(v);
  Status st = judge(v, s->compile.path, &fault);
  if (s->json && write_json(v, s, st, &json) != ST_OK)
    st = st ? st : json.code;
  fflush(stdout);
  const Err *all[] = {&unmet, &fault, &json};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i]->code != ST_OK)
      app_error(app, all[i]);
  return st ? st : unmet.code;
}

static Status verify_compiled(const App *app, const Settings *s, Compiled *c, Arena *a, Err *e) {
  Verification v;
  Status st = verify_open(&v, app, a, c, &s->first, s->options, e);
  if (!st)
    st = verify_choose(&v, s->only, s->quick, e);
  if (!st)
    st = verify_all(app, &v, s, e);
  verify_close(&v);
  return st;
}

static Status usage(const char *what) {
  fprintf(stderr, "cmlc verify: %s\n", what);
  return ST_USAGE;
}

static Status settings(const App *app, Arena *a, const Args *args, Settings *s, Err *e) {
  const char *threads = args_get(args, "--threads"), *memory = args_get(args, "--memory");
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  if (args->nword != 1)
    return usage("name one program: cmlc verify FILE.cml");
  const char *path = args->word[0];
  *s = (Settings){.compile = {.path = path, .lower = true, .skip_pass = verify_no_pass(a)},
                  .first = {.limits = {.threads = cpus > 0 ? (uint32_t)cpus : 1,
                                       .memory = execute_memory(),
                                       .cancel = app->cancel,
                                       .dir = execute_folder(a, path)},
                            .path = path,
                            .digests = true,
                            .quiet = args_get(args, "--quiet") != NULL},
                  .only = args_get(args, "--only"),
                  .quick = args_get(args, "--quick") != NULL,
                  .json = args_get(args, "--json")};
  s->quiet = s->first.quiet || (s->json && !strcmp(s->json, "-"));
  if (threads && !args_count(threads, 1, 1024, &s->first.limits.threads))
    return usage("`--threads` is a whole number from 1 to 1024");
  if (memory && !args_size(memory, &s->first.limits.memory))
    return usage("`--memory` is a size of at least 64M, like 512M or 2G");
  if (args_executor(a, args, &s->first, e) != ST_OK)
    return e->code;
  s->remote = (Remote){.options = s->first.spark, .cancel = app->cancel};
  s->compile.remote = &s->remote;
  if (s->only && s->quick)
    return usage("`--only` names the ways, `--quick` takes three: give one of them");
  if (args_seed(args, &s->compile.seed) != ST_OK)
    return ST_USAGE;
  s->options = arena_printf(a, "--threads %u%s%s", s->first.limits.threads, memory ? " --memory " : "",
                            memory ? memory : "");
  s->compile.check.define = args_defines(a, args, &s->compile.check.ndefine, e);
  return s->options && s->compile.skip_pass && s->first.limits.dir ? e->code : err_memory(e);
}

int cmd_verify(const App *app, int argc, char **argv) {
  Arena a;
  Args args;
  Settings s = {.remote = {.options = NULL}};
  Compiled c;
  Err e = {0};
  memset(&c, 0, sizeof c);
  arena_init(&a, NULL);
  Status st = args_parse(&a, argc, argv, "verify", "FILE.cml [options]", flags, &args);
  if (st == ST_OK)
    st = settings(app, &a, &args, &s, &e);
  if (st == ST_OK) {
    st = compile_file(app, &s.compile, &c, NULL, &e);
    compile_report(app, &c);
    if (st == ST_OK && !c.program)
      st = c.outcome;
    else if (st == ST_OK)
      st = verify_compiled(app, &s, &c, &a, &e);
  } else if (st == ST_CANCEL) {
    st = ST_OK; /* --help */
  }
  if (e.code != ST_OK)
    app_error(app, &e);
  remote_close(&s.remote);
  compile_free(&c);
  arena_free(&a);
  return st;
}
