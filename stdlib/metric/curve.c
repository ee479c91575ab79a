/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics that go over the distinct scores, highest first: auc, pr_auc, ks, lift, gain, best_threshold, and
 * the median of errors. The Iter, and what each kind does with a score (step).
 *
 * The first scan ranks all rows and adds up the classes. Where more rows are expected than should be held at
 * once, it counts rows in bins of the score instead, and ranges of bins then go through a scan of their own,
 * from above. The order of the scores is the same in both ways, so both give the same bits. */
#include <math.h>
#include <string.h>

#include "stdlib/metric/metric.h"

typedef struct CurveIter {
  Iter it; /* first */
  MetricPar par;
  CurvePar curve;
  uint64_t most, rows;
  enum { ASK, WAIT_BINS, WAIT_RANKS, FINISHED } state;
  uint64_t *bin;
  bool whole; /* nothing is held back: the first scan ranks all */
  Map slices; /* val: Sweep; with groups in order: the whole, then the whole without each group */
} CurveIter;

static void curve_free(Iter *it) {
  CurveIter *a = (CurveIter *)it;
  metric_slots_free(&a->slices);
  mem_free(a->bin);
  mem_free(a);
}

/* ---- One score ---- */

static void step_auc(Sweep *s, const Ranked *v) {
  double above = twofold(&s->tp);
  if (s->neg > 0 && s->pos > 0) /* shares, so that no product of weights overflows */
    twofold_add(&s->sum, v->neg / s->neg * ((above + 0.5 * v->pos) / s->pos));
  if (!s->weighted)
    s->twice += (unsigned __int128)(uint64_t)v->neg * (2 * (uint64_t)above + (uint64_t)v->pos);
}

/* How much of v lies in the top: of a score that is cut, the share that is left for it. */
static double in_top(const CurvePar *c, const Sweep *s, const Ranked *v) {
  double left = c->top * s->w - (twofold(&s->tp) + twofold(&s->fp)), all = v->pos + v->neg;
  return left <= 0 || all <= 0 ? 0 : all <= left ? 1 : left / all;
}

static void step(const CurvePar *c, Sweep *s, const Ranked *v) {
  if (c->kind == CURVE_AUC)
    step_auc(s, v);
  if (c->kind == CURVE_TOP)
    twofold_add(&s->sum, v->pos * in_top(c, s, v));
  twofold_add(&s->tp, v->pos);
  twofold_add(&s->fp, v->neg);
  double tp = twofold(&s->tp), fp = twofold(&s->fp);
  switch (c->kind) {
  case CURVE_PRECISION:
    if (tp + fp > 0 && s->pos > 0)
      twofold_add(&s->sum, v->pos / s->pos * (tp / (tp + fp)));
    break;
  case CURVE_KS:
    s->best = fmax(s->best, fabs(tp / s->pos - fp / s->neg));
    break;
  case CURVE_MEDIAN: /* the two middle values, from above */
    if (!s->any && tp >= s->w - tp)
      s->at = rank_score(v->key);
    s->any |= tp >= s->w - tp;
    if (!s->any_low && tp > s->w - tp)
      s->low = rank_score(v->key);
    s->any_low |= tp > s->w - tp;
    break;
  case CURVE_BEST: {
    double now = best_objective(c, s);
    if (now == now && (!s->any || now > s->best)) {
      s->best = now;
      s->at = rank_score(v->key);
      s->any = true;
    }
    break;
  }
  default:
    break;
  }
}

static void sweep(const CurvePar *c, Sweep *s, const RankList *l, bool weighted) {
  s->weighted = weighted;
  for (uint64_t k = l->n; k-- > 0;)
    step(c, s, &l->v[k]);
}

/* ---- Groups ---- */

/* Sweeps each group of [lo, hi) left out: `rest` holds all that lies outside of them. By halves, so that
 * every list is merged but a few times. */
static Status leave_out(CurveIter *a, const Ranks *r, uint32_t lo, uint32_t hi, const RankList *rest,
                        Err *e) {
  if (hi - lo == 1) {
    sweep(&a->curve, a->slices.entry[1 + lo].val, rest, r->weighted);
    return ST_OK;
  }
  uint32_t mid = lo + (hi - lo) / 2;
  Status st = ST_OK;
  for (int half = 0; half < 2 && !st; half++) {
    RankList more = {0};
    uint32_t from = half ? lo : mid, to = half ? mid : hi; /* what joins the rest */
    st = ranks_merge_into(&more, rest->v, rest->n, e);
    for (uint32_t g = from; g < to && !st; g++) {
      const RankList *l = r->slices.entry[g].val;
      st = ranks_merge_into(&more, l->v, l->n, e);
    }
    if (!st)
      st = leave_out(a, r, half ? mid : lo, half ? hi : mid, &more, e);
    mem_free(more.v);
  }
  return st;
}

static Status add_groups(CurveIter *a, const Ranks *r, Err *e) {
  RankList all = {0};
  Status st = ST_OK;
  for (uint32_t g = 0; g < r->slices.n && !st; g++) {
    const RankList *l = r->slices.entry[g].val;
    st = ranks_merge_into(&all, l->v, l->n, e);
  }
  if (!st)
    sweep(&a->curve, a->slices.entry[0].val, &all, r->weighted);
  mem_free(all.v);
  const RankList none = {0};
  return st ? st : leave_out(a, r, 0, r->slices.n, &none, e);
}

static Status add_ranks(CurveIter *a, const Ranks *r, Err *e) {
  if (a->par.groups)
    return add_groups(a, r, e);
  for (uint32_t i = 0; i < r->slices.n; i++) {
    int64_t at = map_find(&a->slices, r->slices.entry[i].key, r->slices.entry[i].n);
    if (at < 0) /* the totals, of the same rows, have every slice */
      return err_set(e, ST_FAULT, "CML0601", NULL, "a partial result of pass metric.ranks is damaged");
    sweep(&a->curve, a->slices.entry[at].val, r->slices.entry[i].val, r->weighted);
  }
  return ST_OK;
}

/* ---- Scans ---- */

static MetricPar totals_par(const CurveIter *a) {
  MetricPar p = a->par;
  p.kind = a->par.kind == RANK_ERROR ? SUM_ABSOLUTE : SUM_CELLS;
  p.number = 0.5;
  p.low = p.high = 0;
  return p;
}

static Status ask_job(const MetricPar *p, const Pass *pass, Jobs *jobs, Err *e) {
  Job *job = jobs_add(jobs, pass);
  if (!job)
    return err_memory(e);
  metric_par_put(p, &job->par);
  return job->par.bad ? err_memory(e) : ST_OK;
}

static Status ask_first(CurveIter *a, Jobs *jobs, Err *e) {
  MetricPar totals = totals_par(a);
  a->whole = a->rows <= a->most;
  a->par.low = 0;
  a->par.high = RANK_BINS - 1;
  a->state = a->whole ? WAIT_RANKS : WAIT_BINS;
  Status st = ask_job(&totals, &metric_sums, jobs, e);
  return st ? st : ask_job(&a->par, a->whole ? &metric_ranks : &metric_bins, jobs, e);
}

/* Bins from `high` downwards, as many as hold about `most` rows; below all of them, done. */
static Status ask_range(CurveIter *a, Jobs *jobs, int64_t high, Err *e) {
  while (high >= 0 && a->bin[high] == 0)
    high--;
  if (high < 0) {
    a->state = FINISHED;
    return ST_OK;
  }
  uint64_t rows = a->bin[high];
  int64_t low = high;
  while (low > 0 && rows + a->bin[low - 1] <= a->most)
    rows += a->bin[--low];
  a->par.low = (uint32_t)low;
  a->par.high = (uint32_t)high;
  a->state = WAIT_RANKS;
  return ask_job(&a->par, &metric_ranks, jobs, e);
}

static Status take_totals(CurveIter *a, Bytes in, Err *e) {
  MetricPar p = totals_par(a);
  Map *m = sums_load_all(&p, in, e);
  for (uint32_t i = 0; m && i < m->n; i++) {
    const Slice *from = m->entry[i].val;
    Sweep *s = metric_slot(&a->slices, m->entry[i].key, m->entry[i].n, sizeof *s, e);
    if (!s)
      break;
    s->rows = from->rows;
    s->w = twofold(&from->w);
    if (p.kind != SUM_CELLS)
      continue;
    s->neg = slice_sum(from, 0) + slice_sum(from, 1);
    s->pos = slice_sum(from, 2) + slice_sum(from, 3);
    if (a->curve.kind == CURVE_BEST) {
      s->best = best_objective(&a->curve, s); /* of nothing positive */
      s->any = s->best == s->best;
      s->at = INFINITY;
    }
  }
  sums_free(&p, m);
  return m ? e->code : e->code ? e->code : ST_FAULT;
}

static Status take_ranks(CurveIter *a, Bytes in, Err *e) {
  Ranks *r = ranks_load(&a->par, in, e);
  Status st = r ? add_ranks(a, r, e) : e->code;
  ranks_free(&a->par, r);
  return st;
}

static Status curve_next(Iter *it, const Buf *out, uint32_t nout, Jobs *jobs, Err *e) {
  CurveIter *a = (CurveIter *)it;
  if (a->state == FINISHED)
    return ST_OK;
  if (a->state == ASK)
    return ask_first(a, jobs, e);
  bool first = a->state == WAIT_BINS || a->whole;
  if (nout != 1u + first)
    return err_set(e, ST_FAULT, "CML0601", NULL, "a metric got %u results for its jobs", nout);
  Status st = first ? take_totals(a, buf_bytes(&out[0]), e) : ST_OK;
  if (st)
    return st;
  if (a->state == WAIT_BINS) {
    a->bin = bins_load(&a->par, buf_bytes(&out[1]), e);
    return a->bin ? ask_range(a, jobs, RANK_BINS - 1, e) : e->code;
  }
  st = take_ranks(a, buf_bytes(&out[first]), e);
  if (!st && !a->whole)
    return ask_range(a, jobs, (int64_t)a->par.low - 1, e);
  a->state = FINISHED;
  return st;
}

Status curve_begin(const Metric *m, const MetricInfo *i, const CurvePar *c, uint64_t most, Iter **out,
                   Err *e) {
  CurveIter *a = mem_alloc(sizeof *a);
  if (!a)
    return err_memory(e);
  a->it.next = curve_next;
  a->it.free = curve_free;
  a->par = metric_par(m, i, c->kind == CURVE_MEDIAN ? RANK_ERROR : RANK_SCORE);
  a->par.against_rest = c->against_rest;
  a->par.class = c->class;
  a->curve = *c;
  a->rows = i->rows;
  a->most = most;
  *out = &a->it;
  return ST_OK;
}

Status curve_finish(Iter *it, SweepValue value, MetricValue **v, uint32_t *n, Err *e) {
  CurveIter *a = (CurveIter *)it;
  if (a->state != FINISHED)
    return err_set(e, ST_FAULT, "CML0601", NULL, "a metric was finished before its last scan");
  Status st = metric_values(&a->slices, &a->par, v, n, e);
  if (st)
    return st;
  for (uint32_t i = 0; i < *n; i++) {
    const Sweep *s = a->slices.entry[i].val;
    MetricValue *to = &(*v)[i];
    to->rows = s->rows;
    to->weight = s->w;
    to->why = metric_why_empty(to);
    if (!to->why)
      value(&a->curve, s, to);
  }
  if (!a->par.groups)
    metric_values_sort(*v, *n, &a->slices);
  return ST_OK;
}
