/* SPDX-License-Identifier: Apache-2.0 */
/* Running a compiled program: `run`, and `explain --analyze`. The digests of the data are computed beside
 * it; the hooks show progress and write bundles. Read execute from the bottom. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/app.h"
#include "app/execute.h"
#include "app/progress.h"
#include "vm/bundle.h"
#include "vm/engine.h"

/* ---- Digests of the data, computed beside the run where someone wants them ---- */

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

/* Files that Spark alone can read have none. */
static bool is_elsewhere(const Stage *s) {
  uint32_t i = 0;
  while (i < s->ninput && !engine_only_spark(s->input[i].format, s->input[i].path))
    i++;
  return i < s->ninput;
}

static void digest_source(Digests *d, uint32_t stage) {
  const Stage *s = &d->program->stage[stage];
  if (is_elsewhere(s))
    return;
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
    digest_data(file[i], unwanted, d, out->digest, &d->err);
    buf_text(&all, out->digest);
    buf_text(&all, "\n");
  }
  if (n > 1)
    digest_lines(buf_bytes(&all), out->digest);
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

static bool digests_open(Digests *d, const Program *p, const char *dir, const atomic_bool *cancel) {
  *d = (Digests){.program = p, .dir = dir, .cancel = cancel};
  arena_init(&d->arena, NULL);
  d->v = NEWN(&d->arena, DataDigest, p->nstage + 1);
  if (!d->v)
    err_memory(&d->err);
  return d->v;
}

static bool makes_bundle(const Program *p) {
  for (uint32_t i = 0; i < p->nstage; i++)
    if (p->stage[i].kind == STAGE_BUNDLE)
      return true;
  return false;
}

static void digests_start(Digests *d, bool wanted, const Program *p, const char *dir,
                          const atomic_bool *cancel) {
  if (!digests_open(d, p, dir, cancel) || !wanted)
    return;
  if (pthread_create(&d->thread, NULL, digest_thread, d) != 0)
    err_set(&d->err, ST_RESOURCE, "CML0504", "Raise the limit on threads, or end other programs.",
            "no thread could be started");
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

/* Those there are, for the caller. */
static DataDigest *digests_copy(const Digests *d, Arena *keep, uint32_t *n) {
  DataDigest *v = NEWN(keep, DataDigest, d->n + 1);
  if (v && d->n)
    memcpy(v, d->v, d->n * sizeof *v);
  *n = v ? d->n : 0;
  return v;
}

Status execute_data(const App *app, const Program *p, const char *dir, Arena *keep, DataDigest **v,
                    uint32_t *n, Err *e) {
  Digests d;
  if (digests_open(&d, p, dir, app->cancel))
    digest_thread(&d);
  if (digests_finish(&d, e) == ST_OK && !(*v = digests_copy(&d, keep, n)))
    err_memory(e);
  digests_free(&d);
  return e->code;
}

/* ---- Hooks ---- */

/* Of --memory, what may lie idle for the next scan: part of what the executor leaves to partials. */
enum { KEEP_PART = 16, KEEP_MOST = 128 << 20 };

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
static Status on_bundle(void *ctx, const Program *p, uint32_t stage, const char *path,
                        const RunResult *so_far, Err *e) {
  Hooks *h = ctx;
  const Stage *s = &p->stage[stage], *train = &p->stage[s->train];
  Buf options = {0}, metrics = {0}, data = {0};
  char seed[32];
  if (digests_finish(h->digests, e) != ST_OK)
    return e->code;
  h->report.run = so_far;
  h->report.data = h->digests->v;
  h->report.ndata = h->digests->n;
  Json j = {.out = &options};
  json_model_options(&j, NULL, &h->report, (uint32_t)s->train);
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
  bundle_write(path, p, (uint32_t)s->score, (const Fitted *const *)so_far->fitted, meta,
               sizeof meta / sizeof *meta, e);
  buf_free(&options);
  buf_free(&metrics);
  buf_free(&data);
  return e->code;
}

static void print_warnings(const App *app, const Program *p, const RunResult *r) {
  for (uint32_t i = 0; i < r->nwarning; i++)
    app_warning(app, p->stage[r->warning[i].stage].name, r->warning[i].text);
}

static Status make_executor(const App *app, const Execution *x, Executor **out, Err *e) {
  if (x->spark && x->remote)
    return remote_take(x->remote, out, e);
  if (x->spark)
    return exec_spark(x->spark, app->cancel, out, e);
  return x->loopback ? exec_loopback(out, e) : exec_local(out, e);
}

static uint64_t peak_memory(void) {
  struct rusage u;
  return getrusage(RUSAGE_SELF, &u) ? 0 : (uint64_t)u.ru_maxrss * 1024;
}

Status execute(const App *app, const Execution *x, const Compiled *c, RunResult *r, Report *report,
               Arena *keep, Err *e) {
  Executor *exec = NULL;
  Digests digests;
  memset(r, 0, sizeof *r);
  Hooks h = {.app = app, .digests = &digests};
  h.report = (Report){.program = c->program, .registry = app->registry, .run = r, .path = x->path};
  compile_digest(c, h.report.digest);
  digests_start(&digests, x->digests || makes_bundle(c->program), c->program, x->limits.dir, app->cancel);
  mem_keep(x->limits.memory / KEEP_PART < KEEP_MOST ? x->limits.memory / KEEP_PART : KEEP_MOST);
  meter_start(&h.meter, app, x->quiet, "start");
  RunHooks hooks = {.ctx = &h, .begin = on_begin, .bundle = on_bundle, .progress = &h.meter.progress};
  Limits limits = x->limits;
  Status st = jit_open(x->jit, limits.memory, &limits.jit, e);
  if (st == ST_OK)
    st = make_executor(app, x, &exec, e);
  if (st == ST_OK)
    st = run_program(c->program, exec, app->registry, &limits, &hooks, r, e);
  if (exec)
    exec->close(exec);
  r->jit = jit_stats(limits.jit);
  r->peak = peak_memory();
  jit_close(limits.jit);
  if (st != ST_OK && st != ST_EXPECT)
    atomic_store(&digests.stop, true);
  if (digests_finish(&digests, e) != ST_OK && st == ST_OK)
    st = e->code;
  meter_end(&h.meter);
  h.report.run = r;
  h.report.data = digests_copy(&digests, keep, &h.report.ndata);
  digests_free(&digests);
  if (!x->again)
    print_warnings(app, c->program, r);
  *report = h.report;
  return st;
}

const char *execute_folder(Arena *a, const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? arena_strndup(a, path, slash == path ? 1 : (size_t)(slash - path)) : ".";
}

uint64_t execute_memory(void) {
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
