/* SPDX-License-Identifier: Apache-2.0 */
/* The driver: see run.h. Read from the bottom: run_program walks the stages; those that share scans are begun
 * together, iterate together (scan.c) and are finished one after the other: fits here, models in train.c,
 * evaluations in eval.c. */
#include "vm/run.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/num.h"
#include "vm/agg.h"
#include "vm/run/parts.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- fit ---- */

static Status begin_fit(Run *r, Work *w, Err *e) {
  const Stage *s = &r->p->stage[w->stage];
  if (!s->nagg)
    return ST_OK;
  Status st = run_loopers(w, 1, e);
  return st ? st : agg_begin(s, &r->p->stage[s->from], &w->v[0].it, e);
}

/* A split that found no rows to cut says so, rather than that an aggregate has nothing to do. */
static Status no_cut(const Run *r, uint32_t stage, Err *e) {
  const Stage *s = &r->p->stage[stage];
  if (!r->p->stage[s->from].early || s->nexpect || strcmp(e->id, "CML0410") != 0)
    return e->code;
  err_clear(e);
  err_set(e, ST_DATA, "CML0431", "Look at the data and the filters above the split.",
          "there are no rows to split");
  return err_at(e, "%s:%u:%u", r->p->name, s->line, s->col);
}

static Status finish_fit(Run *r, Work *w, Err *e) {
  const Stage *s = &r->p->stage[w->stage];
  if (!s->nagg)
    return run_expects(r, w->stage, e);
  Fitted **f = mem_alloc(s->nagg * sizeof *f);
  Status st = f ? agg_finish(w->v[0].it, f, e) : err_memory(e);
  for (uint32_t i = 0; f && i < s->nagg; i++) {
    if (st && f[i])
      fitted_free(f[i]);
    else if (!st && f[i])
      st = run_put(r, s->agg[i].fitted, f[i], e);
  }
  mem_free(f);
  return st ? no_cut(r, w->stage, e) : run_expects(r, w->stage, e);
}

/* ---- export ---- */

static Status run_export(Run *r, uint32_t stage, Err *e) {
  const Stage *s = &r->p->stage[stage];
  RunResult *o = r->out;
  RunExport x = {.stage = stage, .kind = "bundle", .path = s->path};
  if (ir_writes_rows(s))
    x.kind = s->kind == STAGE_PREDICT ? "predictions" : "features";
  RunExport *v = mem_realloc(o->export_, (o->nexport + 1) * sizeof *v);
  /* paths of a program are relative to its folder */
  char *path = file_join(r->lim->dir, s->path);
  if (v)
    o->export_ = v;
  Status st = v && path ? ST_OK : err_memory(e);
  if (!st && s->kind == STAGE_BUNDLE) {
    if (r->hooks && r->hooks->bundle)
      st = r->hooks->bundle(r->hooks->ctx, r->p, stage, path, o, e);
    else
      st = err_set(e, ST_FAULT, "CML0609", NULL, "there is nothing that writes bundles here");
  } else if (!st) {
    ScanInfo info;
    memset(&info, 0, sizeof info);
    st = r->x->write(r->x, stage, path, &info, r->hooks ? r->hooks->progress : NULL, e);
    o->stage[stage].scans = 1;
    o->stage[stage].rows = x.rows = info.rows;
    o->stage[stage].bytes = info.bytes;
    o->stage[stage].reads = !info.from_cache;
    o->stage[stage].held = info.held;
    x.elsewhere = info.elsewhere;
    x.bytes = info.written;
    memcpy(x.digest, info.digest, sizeof x.digest);
    if (st && (!strcmp(e->id, "CML0440") || !strcmp(e->id, "CML0442"))) /* about the file, not a row of it */
      return mem_free(path), err_at(e, "%s:%u:%u", r->p->name, s->line, s->col);
  }
  if (!st && s->kind == STAGE_BUNDLE)
    st = digest_file(path, x.digest, &x.bytes, e);
  else if (!st && !x.elsewhere && !x.digest[0])
    st = digest_data(path, NULL, NULL, x.digest, e);
  if (!st)
    v[o->nexport++] = x;
  mem_free(path);
  return st;
}

/* ---- The walk ---- */

static Status begin_work(Run *r, Work *w, Err *e) {
  switch (r->p->stage[w->stage].kind) {
  case STAGE_FIT: return begin_fit(r, w, e);
  case STAGE_TRAIN: return run_begin_train(r, w, e);
  default: return run_begin_evaluate(r, w, e);
  }
}

static Status finish_work(Run *r, Work *w, Err *e) {
  switch (r->p->stage[w->stage].kind) {
  case STAGE_FIT: return finish_fit(r, w, e);
  case STAGE_TRAIN: return run_finish_train(r, w, e);
  default: return run_finish_evaluate(r, w, e);
  }
}

static Status place_of(const Run *r, uint32_t stage, Status st, Err *e) {
  if (st == ST_DATA || st == ST_FAULT)
    err_at(e, "%s", r->p->stage[stage].name);
  return st;
}

/* Stages that share their scans. Their common time is the first one's. */
static Status run_group(Run *r, uint32_t first, uint32_t n, Err *e) {
  Work *w = mem_alloc(n * sizeof *w);
  Status st = w ? ST_OK : err_memory(e);
  for (uint32_t i = 0; w && i < n; i++) {
    w[i].stage = first + i;
    double t = now();
    if (!st)
      st = place_of(r, first + i, begin_work(r, &w[i], e), e);
    r->out->stage[first + i].seconds += now() - t;
  }
  double t = now();
  if (!st)
    st = place_of(r, first, run_iterate(r, w, n, e), e);
  r->out->stage[first].seconds += now() - t;
  for (uint32_t i = 0; i < n && !st; i++) {
    t = now();
    st = place_of(r, first + i, finish_work(r, &w[i], e), e);
    r->out->stage[first + i].seconds += now() - t;
  }
  for (uint32_t i = n; w && i-- > 0;) { /* the matrix of the first goes last */
    run_loopers_free(&w[i]);
    if (r->p->stage[first + i].kind == STAGE_TRAIN)
      run_free_train(r, &w[i]);
  }
  mem_free(w);
  return st;
}

static Status run_stages(Run *r, uint32_t first, uint32_t n, Err *e) {
  StageKind kind = r->p->stage[first].kind;
  if (kind == STAGE_FIT || kind == STAGE_TRAIN || kind == STAGE_EVALUATE)
    return run_group(r, first, n, e);
  double t = now();
  Status st = place_of(r, first, run_export(r, first, e), e);
  r->out->stage[first].seconds = now() - t;
  return st;
}

/* Data sets that nobody reads behind `stage` give their memory back. */
static void drop_unused(Run *r, uint32_t stage) {
  int32_t rows = r->p->stage[stage].from;
  if (rows < 0 || r->p->stage[rows].kind != STAGE_ROWS)
    return;
  for (uint32_t i = stage + 1; i < r->p->nstage; i++)
    if (r->p->stage[i].from == rows)
      return;
  r->x->drop(r->x, (uint32_t)rows);
}

static Status begin(Run *r, Err *e) {
  const Program *p = r->p;
  RunResult *o = r->out;
  memset(o, 0, sizeof *o);
  o->stage = mem_alloc((p->nstage + 1) * sizeof *o->stage);
  o->fitted = mem_alloc((p->nfitted + 1) * sizeof *o->fitted);
  o->data = mem_alloc((p->nstage + 1) * sizeof *o->data);
  r->env.v = mem_alloc((p->nfitted + 1) * sizeof *r->env.v);
  if (!o->stage || !o->fitted || !o->data || !r->env.v)
    return err_memory(e);
  o->nstage = p->nstage;
  o->nfitted = r->env.n = p->nfitted;
  for (uint32_t i = 0; i < p->nstage; i++) {
    o->stage[i] = (RunStage){.name = p->stage[i].name, .kind = p->stage[i].kind};
    if (p->stage[i].kind == STAGE_ROWS)
      o->data[o->ndata++].stage = i;
  }
  Buf text = {.n = 0};
  ir_print(p, &text);
  Status st = text.bad ? err_memory(e) : r->x->open(r->x, buf_bytes(&text), r->reg, r->lim, e);
  buf_free(&text);
  return st;
}

/* What came of the stages goes in the order in which they were written, whatever they shared. */
#define BY_STAGE(type, v, n)                                                              \
  for (uint32_t i = 1; i < (n); i++)                                                      \
    for (uint32_t k = i; k && p->stage[(v)[k - 1].stage].seq > p->stage[(v)[k].stage].seq; k--) { \
      type t = (v)[k];                                                                    \
      (v)[k] = (v)[k - 1];                                                                \
      (v)[k - 1] = t;                                                                     \
    }

static void as_written(const Program *p, RunResult *o) {
  BY_STAGE(RunMetric, o->metric, o->nmetric)
  BY_STAGE(RunExpect, o->expect, o->nexpect)
  BY_STAGE(RunExport, o->export_, o->nexport)
  BY_STAGE(RunWarning, o->warning, o->nwarning)
}

/* After everything else: the first that was not met, and how many. */
static Status expectations(const Run *r, Err *e) {
  uint32_t bad = 0;
  const RunExpect *first = NULL;
  for (uint32_t i = 0; i < r->out->nexpect; i++) {
    if (r->out->expect[i].passed)
      continue;
    first = first ? first : &r->out->expect[i];
    bad++;
  }
  if (!bad)
    return ST_OK;
  const IrExpect *x = &r->p->stage[first->stage].expect[first->expect];
  const char *colon = first->text[0] ? ": " : "";
  if (bad == 1)
    err_set(e, ST_EXPECT, "CML0433", NULL, "expectation `%s` was not met%s%s", x->text, colon, first->text);
  else
    err_set(e, ST_EXPECT, "CML0433", NULL, "%u expectations were not met; the first is `%s`%s%s", bad,
            x->text, colon, first->text);
  return err_at(e, "%s:%u:%u", r->p->name, x->line, x->col);
}

/* Nothing is learned from data that did not stand their tests: those come first. */
static bool refuted(const Run *r, uint32_t stage) {
  const Stage *s = &r->p->stage[stage];
  for (uint32_t i = 0; i < r->out->nexpect && !s->nexpect && (s->from < 0 || !r->p->stage[s->from].early);
       i++)
    if (!r->out->expect[i].passed && r->p->stage[r->out->expect[i].stage].kind == STAGE_FIT)
      return true;
  return false;
}

Status run_program(const Program *p, Executor *x, const Registry *reg, const Limits *l, const RunHooks *hooks,
                   RunResult *out, Err *e) {
  Run r = {.p = p, .x = x, .reg = reg, .lim = l, .hooks = hooks, .out = out};
  double start = now();
  Status st = begin(&r, e);
  out->start = now() - start;
  for (uint32_t i = 0; i < p->nstage && !st; i++) {
    if (p->stage[i].kind == STAGE_SOURCE || p->stage[i].kind == STAGE_ROWS || p->stage[i].kind == STAGE_SCORE)
      continue;
    if (refuted(&r, i))
      break;
    uint32_t n = 1;
    while (i + n < p->nstage && p->stage[i + n].joins)
      n++;
    if (hooks && hooks->begin)
      hooks->begin(hooks->ctx, p, i);
    if (l->cancel && atomic_load(l->cancel))
      st = err_set(e, ST_CANCEL, NULL, NULL, "interrupted");
    else
      st = run_stages(&r, i, n, e);
    for (uint32_t k = 0; k < n; k++) {
      drop_unused(&r, i + k);
      if (hooks && hooks->end)
        hooks->end(hooks->ctx, p, &out->stage[i + k]);
    }
    i += n - 1;
  }
  as_written(p, out);
  out->seconds = now() - start;
  mem_free(r.env.v);
  return st ? st : expectations(&r, e);
}

void run_free(RunResult *r) {
  for (uint32_t i = 0; r->fitted && i < r->nfitted; i++)
    if (r->fitted[i])
      fitted_free(r->fitted[i]);
  for (uint32_t i = 0; i < r->nmetric; i++) {
    run_drop_values(r->metric[i].v, 0, r->metric[i].n);
    mem_free(r->metric[i].v);
  }
  mem_free(r->stage);
  mem_free(r->fitted);
  mem_free(r->data);
  mem_free(r->metric);
  mem_free(r->expect);
  mem_free(r->export_);
  for (uint32_t i = 0; i < r->nwarning; i++)
    mem_free(r->warning[i].text);
  mem_free(r->warning);
  memset(r, 0, sizeof *r);
}
