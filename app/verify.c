/* SPDX-License-Identifier: Apache-2.0 */
/* A program is run in several ways, and what its stages make is compared. It goes through the front end once;
 * each way starts from the IR before any pass. Read verify_way first. */
#include "app/verify.h"

#include <string.h>

#include "app/progress.h"
#include "base/digest.h"
#include "base/file.h"
#include "vm/engine.h"
#include "vm/score.h"

enum { SMALL = 64 << 20, OTHER_THREADS = 7 };

/* ---- The ways ---- */

const char *verify_no_pass(Arena *a) {
  const char *all = passes[0].name;
  for (uint32_t i = 1; all && passes[i].name; i++)
    all = arena_printf(a, "%s,%s", all, passes[i].name);
  return all;
}

static Way *add(Verification *v, const char *name, const char *options, bool quick) {
  Way *w = &v->way[v->nway];
  *w = (Way){.name = name, .options = options, .quick = quick, .run = v->way[0].run, .chosen = true};
  w->run.again = v->nway > 0;
  w->digest = arena_alloc(v->arena, (v->written->nstage + 1) * sizeof *w->digest);
  v->nway += name && options && w->digest;
  return w;
}

static void add_passes(Verification *v) {
  for (uint32_t i = 0; passes[i].name; i++)
    add(v, arena_printf(v->arena, "skip-%s", passes[i].name),
        arena_printf(v->arena, "--skip-pass %s", passes[i].name), false)
        ->skip = passes[i].name;
  const char *all = verify_no_pass(v->arena);
  add(v, "skip-all", arena_printf(v->arena, "--skip-pass %s", all), true)->skip = all;
}

/* A run on Spark takes seconds to start, so that these are only there where a master is given. */
static void add_spark(Verification *v, const SparkOptions *spark) {
  static const uint32_t parts[] = {0, 1, 3, 17};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    SparkOptions *o = NEW(v->arena, SparkOptions);
    if (!o)
      return;
    *o = *spark;
    o->partitions = parts[i];
    o->here = true; /* the files are compared */
    const char *name = i ? arena_printf(v->arena, "spark-%u", parts[i]) : "spark";
    const char *options = i ? arena_printf(v->arena, "--executor spark, %u partition%s", parts[i],
                                           parts[i] == 1 ? "" : "s")
                            : "--executor spark";
    add(v, name, options, i < 2)->run.spark = o;
  }
}

static Status add_ways(Verification *v, const Execution *first, const char *options, Err *e) {
  const SparkOptions *spark = first->spark;
  uint32_t most = 20 + passes_count();
  v->way = NEWN(v->arena, Way, most);
  if (!v->way)
    return err_memory(e);
  v->way[0].run = *first;
  v->way[0].run.spark = NULL;
  add(v, "first", options, true);
  add(v, "again", "the same once more", false);
  add(v, "threads-1", "--threads 1", true)->run.limits.threads = 1;
  add(v, "threads-7", "--threads 7", false)->run.limits.threads = OTHER_THREADS;
  add(v, "memory", "--memory 64M", false)->small = true;
  add(v, "loopback", "--executor loopback", false)->run.loopback = true;
  add(v, "jit-off", "--jit off", true)->run.jit = JIT_OFF;
  add(v, "jit-force", "--jit force", false)->run.jit = JIT_FORCE;
  Way *both = add(v, "jit-loopback", "--jit force --executor loopback", false);
  both->run.jit = JIT_FORCE;
  both->run.loopback = true;
  if (spark)
    add_spark(v, spark);
  add_passes(v);
  return v->nway == passes_count() + 10 + (spark ? 4 : 0) ? ST_OK : err_memory(e);
}

Status verify_choose(Verification *v, const char *only, bool quick, Err *e) {
  Buf names = {0};
  for (uint32_t i = 1; i < v->nway; i++) {
    v->way[i].chosen = !only && (!quick || v->way[i].quick);
    buf_printf(&names, "%s%s", i > 1 ? ", " : "", v->way[i].name);
  }
  for (const char *s = only; s && *s;) {
    size_t n = strcspn(s, ",");
    bool found = false;
    for (uint32_t i = 0; i < v->nway; i++)
      if (strlen(v->way[i].name) == n && !strncmp(v->way[i].name, s, n))
        v->way[i].chosen = found = true;
    if (!found) {
      err_set(e, ST_USAGE, "", NULL, "`--only`: there is no way `%.*s`; there are %s", (int)n, s,
              buf_str(&names));
      break;
    }
    s += n + (s[n] == ',');
  }
  buf_free(&names);
  return e->code;
}

Status verify_open(Verification *v, const App *app, Arena *a, Compiled *c, const Execution *first,
                   const char *options, Err *e) {
  *v = (Verification){.app = app, .arena = a, .c = c, .written = c->program};
  ir_print(c->program, &v->text);
  if (v->text.bad)
    return err_memory(e);
  return add_ways(v, first, options, e);
}

void verify_close(Verification *v) {
  buf_free(&v->text);
}

/* ---- One of them ---- */

static bool same_data(const Verification *v, const DataDigest *now, uint32_t n) {
  bool same = n == v->ndata;
  for (uint32_t i = 0; same && i < n; i++)
    same = !strcmp(now[i].digest, v->data[i].digest);
  return same;
}

static Status changed(Err *e) {
  err_clear(e);
  return err_set(e, ST_DATA, "CML0448", "Verify again when nothing writes to it.",
                 "the data changed while the program was verified");
}

/* What a bundle makes of the rows its model comes from: its program may be written in more ways than one,
 * what it gives may not. Rows that cannot be scored are told with the same words in all ways. */
static Status score_rows(const Verification *v, const Way *w, const Bundle *b, const EngineSource *in,
                         const char *path, char digest[DIGEST_HEX], Err *e) {
  ScoreResult r = {0};
  ScoreJob j = {.bundle = b, .in = *in, .out = path, .cancel = v->app->cancel};
  j.memory = w->run.limits.memory;
  j.threads = w->run.limits.threads;
  Err bad = {0};
  Status st = jit_open(w->run.jit, j.memory, &j.jit, e);
  if (st != ST_OK)
    return st;
  st = score_file(&j, &r, &bad);
  jit_close(j.jit);
  if (st == ST_OK)
    return digest_file(path, digest, NULL, e);
  if (st == ST_DATA) {
    digest_bytes((Bytes){(const uint8_t *)bad.cause, strlen(bad.cause)}, digest);
    return ST_OK;
  }
  *e = bad;
  return st;
}

static Status score_bundle(const Verification *v, const Way *w, const Program *p, const Stage *s,
                           const RunResult *r, Err *e) {
  Arena a;
  Buf bytes = {0};
  Bundle *b = NULL;
  char digest[2][DIGEST_HEX];
  const Stage *train = &p->stage[s->train], *rows = &p->stage[train->from];
  const BundleMeta meta = {"estimator", train->estimator};
  arena_init(&a, NULL);
  const EngineSource *in = engine_source(&a, &p->stage[rows->from], w->run.limits.dir);
  char *dir = in ? folder_temporary(&a, e) : NULL,
       *path = dir ? arena_printf(&a, "%s/scored.csv", dir) : NULL;
  if (!path)
    err_memory(e);
  else if (bundle_bytes(p, (uint32_t)s->score, (const Fitted *const *)r->fitted, &meta, 1, &bytes, e) ==
               ST_OK &&
           bundle_parse(buf_bytes(&bytes), v->app->registry, &b, e) == ST_OK &&
           score_rows(v, w, b, in, path, digest[1], e) == ST_OK) {
    memcpy(digest[0], w->digest[s->seq], DIGEST_HEX);
    digest_bytes((Bytes){(const uint8_t *)digest, sizeof digest}, w->digest[s->seq]);
  }
  bundle_free(b);
  if (dir)
    folder_remove(dir);
  buf_free(&bytes);
  arena_free(&a);
  return e->code;
}

/* The source stages have the digests of their files. */
static Status take_digests(const Verification *v, const Program *p, const RunResult *r, const Report *report,
                           Way *w, Err *e) {
  if (!same_data(v, report->data, report->ndata))
    return changed(e);
  Status st = run_digests(p, r, w->digest, e);
  for (uint32_t i = 0; i < r->nexport && !st; i++)
    if (p->stage[r->export_[i].stage].kind == STAGE_BUNDLE)
      st = score_bundle(v, w, p, &p->stage[r->export_[i].stage], r, e);
  for (uint32_t i = 0; i < report->ndata && !st; i++)
    memcpy(w->digest[p->stage[report->data[i].stage].seq], digest_number(report->data[i].digest), DIGEST_HEX);
  return st;
}

/* The program of this way, in an arena that leaves when memory is used up. */
static Status compiled(Verification *v, const Way *w, Arena *a, Program **p, Err *e) {
  jmp_buf oom;
  a->oom = &oom;
  if (setjmp(oom))
    err_memory(e);
  else if (ir_parse(a, (const char *)v->text.p, (uint32_t)v->text.n, p, e) == ST_OK)
    passes_run(*p, a, w->skip, NULL, NULL, NULL, e);
  a->oom = NULL;
  return e->code;
}

static Status run_once(Verification *v, Way *w, Err *e) {
  Arena a;
  RunResult r;
  Report report;
  Program *p = NULL;
  double start = seconds_now();
  arena_init(&a, NULL);
  memset(&r, 0, sizeof r);
  Status st = compiled(v, w, &a, &p, e);
  if (st == ST_OK) {
    v->c->program = p;
    st = execute_aside(v->app, &w->run, v->c, &r, &report, &a, e);
    if (st == ST_OK || st == ST_EXPECT) {
      Err other = {0};
      if (take_digests(v, p, &r, &report, w, &other) != ST_OK) {
        *e = other;
        st = e->code;
      }
    }
  }
  w->seconds = seconds_now() - start;
  run_free(&r);
  arena_free(&a);
  return st;
}

/* The least memory that does, from 64 MB up in doublings. */
static Status run_small(Verification *v, Way *w, Err *e) {
  uint64_t most = v->way[0].run.limits.memory;
  Status st = ST_RESOURCE;
  if (most <= SMALL)
    return err_set(e, ST_RESOURCE, "", NULL, "there is no less memory than it has");
  for (uint64_t m = SMALL; m < most && st == ST_RESOURCE; m *= 2) {
    err_clear(e);
    w->run.limits.memory = m;
    w->options = arena_printf(v->arena, "--memory %lluM", (unsigned long long)(m >> 20));
    st = w->options ? run_once(v, w, e) : err_memory(e);
  }
  return st;
}

static Status run_way(Verification *v, Way *w, Err *e) {
  char version[64];
  if (w->run.jit == JIT_FORCE && !jit_installed(version, sizeof version))
    return err_set(e, ST_RESOURCE, "", NULL, "there is no JIT compiler here");
  return w->small ? run_small(v, w, e) : run_once(v, w, e);
}

static WayOutcome compare(const Verification *v, Way *w) {
  for (w->stage = 0; w->stage < v->written->nstage; w->stage++)
    if (strcmp(w->digest[w->stage], v->way[0].digest[w->stage]) != 0)
      return WAY_DIFFERS;
  return WAY_SAME;
}

static Status first_way(Verification *v, Err *e) {
  if (execute_data(v->app, v->written, v->way[0].run.limits.dir, v->arena, &v->data, &v->ndata, e) != ST_OK)
    return e->code;
  return run_once(v, &v->way[0], e);
}

Status verify_way(Verification *v, uint32_t way, Err *e) {
  Way *w = &v->way[way];
  if (!way)
    return first_way(v, e);
  Status st = run_way(v, w, &w->why);
  bool done = st == ST_OK || st == ST_EXPECT;
  if (st == ST_CANCEL || !strcmp(w->why.id, "CML0448")) {
    *e = w->why;
    return st;
  }
  w->outcome = done ? compare(v, w) : st == ST_RESOURCE ? WAY_NOT_RUN : WAY_FAILED;
  if (w->outcome != WAY_DIFFERS && w->outcome != WAY_FAILED)
    return ST_OK;
  DataDigest *now = NULL;
  uint32_t n = 0;
  Err ignored = {0}; /* data that cannot be read any more are others, too */
  execute_data(v->app, v->written, w->run.limits.dir, v->arena, &now, &n, &ignored);
  return now && same_data(v, now, n) ? ST_OK : changed(e);
}
