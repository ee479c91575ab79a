/* SPDX-License-Identifier: Apache-2.0 */
/* cmlc run: compiles a program and runs it. Read from the bottom: cmd_run, run_compiled, then what the hooks do. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/progress.h"
#include "app/report.h"
#include "base/file.h"
#include "vm/bundle.h"
#include "vm/engine.h"
#include "vm/run.h"

static const Flag flags[] = {
    {"--param", "-p", "NAME=VALUE", "value of a param; may be repeated", true},
    {"--threads", NULL, "N", "workers (one for each processor); results do not depend on it", false},
    {"--memory", NULL, "SIZE", "most memory to use, such as 512M or 8G (most of the machine)", false},
    {"--seed", NULL, "N", "seed of random splits and folds (0)", false},
    {"--executor", NULL, "NAME", "local (threads), or loopback (forked children, for tests); results do not depend on it", false},
    {"--skip-pass", NULL, "NAMES", "compiler passes to leave out, separated by commas; results do not depend on it", false},
    {"--json", NULL, "FILE", "everything about the run as one JSON object; - for standard output", false},
    {"--quiet", "-q", NULL, "no progress and no summary", false},
    {NULL, NULL, NULL, NULL, false},
};

typedef struct Settings {
  CompileOptions compile;
  Limits limits;
  bool loopback, quiet;
  const char *json;
} Settings;

/* ---- Digests of the data: SHA-256 of the files, computed beside the run ---- */

typedef struct Digests {
  pthread_t thread;
  bool started;
  atomic_bool stop;           /* nobody wants them any more: the run has failed */
  const atomic_bool *cancel;
  Arena arena;
  const Program *program;
  const char *dir;
  DataDigest *v;
  uint32_t n;
  Err err;
} Digests;

static bool unwanted(void *ctx) {
  const Digests *d = ctx;
  return atomic_load(&d->stop) || atomic_load(d->cancel);
}

static void digest_source(Digests *d, uint32_t stage) {
  const Stage *s = &d->program->stage[stage];
  const EngineSource *src = engine_source(&d->arena, s, d->dir);
  const char **file = NULL;
  uint32_t n = 0;
  Buf all = {0};
  DataDigest *out = &d->v[d->n];
  if (!src)
    err_memory(&d->err);
  if (!src || engine_files(&d->arena, src, &file, &n, &d->err) != ST_OK)
    return;
  for (uint32_t i = 0; i < n && d->err.code == ST_OK; i++) {
    digest_file_unless(file[i], unwanted, d, out->digest, NULL, &d->err);
    buf_text(&all, out->digest);
    buf_text(&all, "\n");
  }
  if (n > 1)
    digest_bytes(buf_bytes(&all), out->digest);
  buf_free(&all);
  if (d->err.code == ST_OK) {
    out->stage = stage;
    d->n++;
  }
}

static void *digest_thread(void *arg) {
  Digests *d = arg;
  for (uint32_t i = 0; i < d->program->nstage; i++)
    if (d->program->stage[i].kind == STAGE_SOURCE)
      digest_source(d, i);
  return NULL;
}

static void digests_start(Digests *d, const Program *p, const char *dir, const atomic_bool *cancel) {
  *d = (Digests){.program = p, .dir = dir, .cancel = cancel};
  arena_init(&d->arena, NULL);
  d->v = NEWN(&d->arena, DataDigest, p->nstage + 1);
  if (!d->v)
    err_memory(&d->err);
  else if (pthread_create(&d->thread, NULL, digest_thread, d) != 0)
    err_set(&d->err, ST_RESOURCE, "CML0504", "Raise the limit on threads, or end other programs.", "no thread could be started");
  else
    d->started = true;
}

/* Waits for them. */
static Status digests_finish(Digests *d, Err *e) {
  if (d->started)
    pthread_join(d->thread, NULL);
  d->started = false;
  if (d->err.code != ST_OK && e->code == ST_OK)
    *e = d->err;
  return e->code;
}

static void digests_free(Digests *d) {
  arena_free(&d->arena);
}

/* ---- Hooks ---- */

typedef struct Hooks {
  const App *app;
  Meter meter;
  Report report;
  Digests *digests;
} Hooks;

static void on_begin(void *ctx, const Program *p, uint32_t stage) {
  Hooks *h = ctx;
  meter_stage(&h->meter, p->stage[stage].name);
}

/* The bundle of a model: what scoring needs, and in its metadata where it comes from. */
static Status on_bundle(void *ctx, const Program *p, uint32_t stage, const char *path, const RunResult *so_far, Err *e) {
  Hooks *h = ctx;
  const Stage *s = &p->stage[stage], *train = &p->stage[s->train];
  Buf options = {0}, metrics = {0}, data = {0};
  char seed[32];
  if (digests_finish(h->digests, e) != ST_OK)
    return e->code;
  h->report.run = so_far;
  h->report.data = h->digests->v;
  h->report.ndata = h->digests->n;
  const Estimator *est = catalog_estimator(h->app->registry, train->estimator);
  Json j = {.out = &options};
  json_options(&j, NULL, train->options, train->noptions, est ? est->option : NULL);
  j = (Json){.out = &metrics};
  json_evaluations(&j, NULL, &h->report, s->train);
  j = (Json){.out = &data};
  json_open(&j, NULL, '{');
  for (uint32_t i = 0; i < h->report.ndata; i++)
    json_text(&j, p->stage[h->report.data[i].stage].name, h->report.data[i].digest);
  json_close(&j, '}');
  snprintf(seed, sizeof seed, "%lld", (long long)p->seed);
  const BundleMeta meta[] = {
      {"cml_version", CML_VERSION},
      {"model", train->name},
      {"estimator", train->estimator},
      {"target", train->target},
      {"options", buf_str(&options)},
      {"metrics", buf_str(&metrics)},
      {"program_file", p->name},
      {"program_digest", h->report.digest},
      {"data_digests", buf_str(&data)},
      {"seed", seed},
  };
  bundle_write(path, p, (uint32_t)s->score, (const Fitted *const *)so_far->fitted, meta, sizeof meta / sizeof *meta, e);
  buf_free(&options);
  buf_free(&metrics);
  buf_free(&data);
  return e->code;
}

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

static void print_warnings(const App *app, const Program *p, const RunResult *r) {
  for (uint32_t i = 0; i < r->nwarning; i++)
    fprintf(stderr, "%swarning%s: %s: %s\n", app->colour ? "\033[1;33m" : "", app->colour ? "\033[0m" : "", p->stage[r->warning[i].stage].name,
            r->warning[i].text);
}

static Status run_compiled(const App *app, const Settings *s, const Compiled *c, Err *e) {
  Executor *x = NULL;
  RunResult r;
  Digests digests;
  if (outputs_check(c->program, s->limits.dir, s->compile.path, e) != ST_OK) {
    app_error(app, e);
    return e->code;
  }
  memset(&r, 0, sizeof r);
  Hooks h = {.app = app, .digests = &digests};
  h.report = (Report){.program = c->program, .registry = app->registry, .run = &r, .path = s->compile.path};
  compile_digest(c, h.report.digest);
  digests_start(&digests, c->program, s->limits.dir, app->cancel);
  meter_start(&h.meter, app, s->quiet, "start");
  RunHooks hooks = {.ctx = &h, .begin = on_begin, .bundle = on_bundle, .progress = &h.meter.progress};
  Status st = s->loopback ? exec_loopback(&x, e) : exec_local(&x, e);
  if (st == ST_OK)
    st = run_program(c->program, x, app->registry, &s->limits, &hooks, &r, e);
  if (x)
    x->close(x);
  if (st != ST_OK && st != ST_EXPECT)
    atomic_store(&digests.stop, true);
  if (digests_finish(&digests, e) != ST_OK && st == ST_OK)
    st = e->code;
  meter_end(&h.meter);
  h.report.run = &r;
  h.report.data = digests.v;
  h.report.ndata = digests.n;
  print_warnings(app, c->program, &r);
  if (st == ST_OK || st == ST_EXPECT) {
    Err json = {0};
    if (!s->quiet && !(s->json && !strcmp(s->json, "-")))
      report_print(&h.report, stdout, app->colour && isatty(STDOUT_FILENO));
    if (s->json && write_json(&h.report, s->json, &json) != ST_OK) {
      app_error(app, &json);
      st = json.code;
    }
  }
  if (e->code != ST_OK)
    fflush(stdout), app_error(app, e);
  run_free(&r);
  digests_free(&digests);
  return st;
}

/* Memory to use when nothing is said: four fifths of what the machine, or the control group we are in, has. */
static uint64_t default_memory(void) {
  uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGE_SIZE);
  const char *const limit[] = {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
  for (size_t i = 0; i < sizeof limit / sizeof *limit; i++) {
    FILE *f = fopen(limit[i], "r");
    unsigned long long v;
    if (f && fscanf(f, "%llu", &v) == 1 && v < all)
      all = v;
    if (f)
      fclose(f);
  }
  return all / 5 * 4;
}

static Status usage(const char *what) {
  fprintf(stderr, "cmlc run: %s\n", what);
  return ST_USAGE;
}

static Status settings(const App *app, Arena *a, const Args *args, Settings *s, Err *e) {
  const char *threads = args_get(args, "--threads"), *memory = args_get(args, "--memory"), *executor = args_get(args, "--executor");
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  if (args->nword != 1)
    return usage("name one program: cmlc run FILE.cml");
  const char *path = args->word[0], *slash = strrchr(path, '/');
  *s = (Settings){.compile = {.path = path, .lower = true, .skip_pass = args_get(args, "--skip-pass")},
                  .limits = {.threads = cpus > 0 ? (uint32_t)cpus : 1, .memory = default_memory(), .cancel = app->cancel},
                  .quiet = args_get(args, "--quiet") != NULL, .json = args_get(args, "--json")};
  s->limits.dir = slash ? arena_strndup(a, path, slash == path ? 1 : (size_t)(slash - path)) : ".";
  if (threads && !args_count(threads, 1, 1024, &s->limits.threads))
    return usage("`--threads` is a whole number from 1 to 1024");
  if (memory && !args_size(memory, &s->limits.memory))
    return usage("`--memory` is a size of at least 64M, like 512M or 2G");
  if (executor && strcmp(executor, "local") && strcmp(executor, "loopback"))
    return usage("`--executor` is local or loopback");
  s->loopback = executor && !strcmp(executor, "loopback");
  if (args_seed(args, &s->compile.seed) != ST_OK || args_passes(args, "--skip-pass") != ST_OK)
    return ST_USAGE;
  s->compile.check.define = args_defines(a, args, &s->compile.check.ndefine, e);
  return e->code;
}

int cmd_run(const App *app, int argc, char **argv) {
  Arena a;
  Args args;
  Settings s;
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
    st = run_compiled(app, &s, &c, &e);
  else if (st == ST_CANCEL)
    st = ST_OK; /* --help */
  compile_free(&c);
  arena_free(&a);
  return st;
}
