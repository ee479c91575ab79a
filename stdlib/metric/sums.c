/* SPDX-License-Identifier: Apache-2.0 */
/* The pass metric.sums: what a metric adds up over rows, per slice, and the Iter that needs one scan of it.
 *
 * Sums carry their rounding errors along (Twofold), so that a metric is right to the last digit or two
 * however many rows there are, and counts of unweighted rows are exact. */
#include <math.h>
#include <string.h>

#include "stdlib/metric/metric.h"
#include "vm/kernel/math.h"

#define CLIP 0x1p-52 /* of probabilities in log_loss: the precision of a double, as scikit-learn has it */

static size_t sums_size(const void *par) {
  (void)par;
  return 64 * sizeof(Slice);
}

static void *sums_init(const void *par, Err *e) {
  Map *m = mem_alloc(sizeof *m);
  if (!m) {
    err_memory(e);
    return NULL;
  }
  if (metric_slots_need_one(m, par, sizeof(Slice), e))
    return m;
  metric_slots_free(m);
  mem_free(m);
  return NULL;
}

static void sums_free(const void *par, void *partial) {
  (void)par;
  if (partial)
    metric_slots_free(partial);
  mem_free(partial);
}

/* One more row of weight w and target y in mean (v[1]) and deviations (v[2]); total: weight with it. B.
 * Welford, 1962. */
static void add_deviation(Slice *s, double w, double y, double total) {
  if (w == 0)
    return;
  double delta = y - s->v[1].hi;
  s->v[1].hi += delta * (w / total);
  twofold_add(&s->v[2], w * delta * (y - s->v[1].hi));
}

static Status sums_map(const void *par, const Panel *panel, void *partial, Ctx *ctx) {
  const MetricPar *p = par;
  Map *slices = partial;
  MetricRows rows;
  Status st = metric_rows(p, panel, slices, sizeof(Slice), &rows, ctx);
  if (st || rows.bad)
    return st;
  uint32_t n = panel->n;
  double *c = arena_alloc(ctx->scratch, ((size_t)n + 1) * sizeof *c);
  uint8_t *cell = arena_alloc(ctx->scratch, (size_t)n + 1);
  if (!c || !cell)
    return err_memory(ctx->err);
  const double *f = rows.score, *y = rows.y, *w = rows.w;
  for (uint32_t r = 0; r < n; r++) {
    double q = y[r] - f[r];
    double given = y[r] == 1 ? f[r] : 1 - f[r];
    switch ((SumKind)p->kind) {
    case SUM_LOG_LOSS:
      c[r] = given < CLIP ? CLIP : given > 1 - CLIP ? 1 - CLIP : given;
      break;
    case SUM_CELLS:
      c[r] = 1;
      cell[r] = (uint8_t)(2 * (y[r] == 1) + (f[r] >= p->threshold));
      break;
    case SUM_ABSOLUTE:
      c[r] = fabs(q);
      break;
    case SUM_BRIER:
    case SUM_SQUARED:
    case SUM_R2:
    case SUM_KINDS:
      c[r] = q * q;
      break;
    }
  }
  if (p->kind == SUM_LOG_LOSS) {
    k_log(c, c, n);
    for (uint32_t r = 0; r < n; r++)
      c[r] = -c[r];
  }
  for (uint32_t r = 0; r < n; r++) {
    Slice *s = slices->entry[rows.slot[r]].val;
    s->rows++;
    twofold_add(&s->w, w[r]);
    twofold_add(&s->v[cell[r]], w[r] * c[r]);
    if (p->kind == SUM_R2)
      add_deviation(s, w[r], y[r], twofold(&s->w));
  }
  return ST_OK;
}

/* T. Chan, G. Golub, R. LeVeque, 1979 */
static void join_deviation(Slice *l, const Slice *r) {
  double wl = twofold(&l->w), wr = twofold(&r->w);
  if (wr == 0)
    return;
  if (wl == 0) {
    l->v[1] = r->v[1];
    l->v[2] = r->v[2];
    return;
  }
  double delta = r->v[1].hi - l->v[1].hi, share = wr / (wl + wr);
  l->v[1].hi += delta * share;
  twofold_join(&l->v[2], &r->v[2]);
  twofold_add(&l->v[2], delta * delta * (wl * share));
}

static Status sums_merge(const void *par, void *left, void *right, Err *e) {
  const MetricPar *p = par;
  const Map *r = right;
  for (uint32_t i = 0; i < r->n; i++) {
    const Slice *from = r->entry[i].val;
    Slice *to = metric_slot(left, r->entry[i].key, r->entry[i].n, sizeof *to, e);
    if (!to)
      return e->code;
    if (p->kind == SUM_R2)
      join_deviation(to, from);
    to->rows += from->rows;
    twofold_join(&to->w, &from->w);
    for (int k = 0; k < (p->kind == SUM_R2 ? 1 : 4); k++)
      twofold_join(&to->v[k], &from->v[k]);
  }
  return ST_OK;
}

/* u64 number of slices; each: key as a blob, then the Slice: u64 rows, 10 f64 */
static Status sums_save(const void *par, const void *partial, Buf *out, Err *e) {
  (void)par;
  const Map *m = partial;
  buf_u64(out, m->n);
  for (uint32_t i = 0; i < m->n; i++) {
    buf_blob(out, m->entry[i].key, m->entry[i].n);
    buf_put(out, m->entry[i].val, sizeof(Slice));
  }
  return out->bad ? err_memory(e) : ST_OK;
}

static void *sums_load(const void *par, Bytes in, Err *e) {
  Map *m = sums_init(par, e);
  if (!m)
    return NULL;
  Rd r = rd_of(in);
  uint64_t n = rd_count(&r, 8 + sizeof(Slice));
  for (uint64_t i = 0; i < n && !r.bad; i++) {
    Bytes key = rd_blob(&r);
    const void *from = rd_take(&r, sizeof(Slice));
    if (r.bad)
      break;
    Slice *s = metric_slot(m, key.n ? (const void *)key.p : "", key.n, sizeof *s, e);
    if (!s) {
      sums_free(par, m);
      return NULL;
    }
    memcpy(s, from, sizeof *s);
  }
  if (rd_done(&r))
    return m;
  err_set(e, ST_FAULT, "CML0601", NULL, "a partial result of pass metric.sums is damaged");
  sums_free(par, m);
  return NULL;
}

const Pass metric_sums = {
    .name = "metric.sums",
    .kind = RED_TREE,
    .open = metric_par_open,
    .close = metric_par_close,
    .partial_size = sums_size,
    .init = sums_init,
    .map = sums_map,
    .merge = sums_merge,
    .save = sums_save,
    .load = sums_load,
    .free = sums_free,
};

/* ---- the Iter: one job, one result ---- */

typedef struct SumsIter {
  Iter it; /* first */
  MetricPar par;
  bool asked;
  Map *result;
} SumsIter;

static void sums_iter_free(Iter *it) {
  SumsIter *s = (SumsIter *)it;
  sums_free(NULL, s->result);
  mem_free(s);
}

static Status sums_next(Iter *it, const Buf *out, uint32_t nout, Jobs *jobs, Err *e) {
  SumsIter *s = (SumsIter *)it;
  if (!s->asked) {
    s->asked = true;
    Job *job = jobs_add(jobs, &metric_sums);
    if (!job)
      return err_memory(e);
    metric_par_put(&s->par, &job->par);
    return job->par.bad ? err_memory(e) : ST_OK;
  }
  if (s->result)
    return ST_OK;
  if (nout != 1)
    return err_set(e, ST_FAULT, "CML0601", NULL, "a metric got %u results for one job", nout);
  s->result = sums_load(&s->par, buf_bytes(&out[0]), e);
  return s->result ? ST_OK : e->code;
}

Status sums_begin(const Metric *m, const MetricInfo *i, SumKind kind, Iter **out, Err *e) {
  SumsIter *s = mem_alloc(sizeof *s);
  if (!s)
    return err_memory(e);
  s->it.next = sums_next;
  s->it.free = sums_iter_free;
  s->par = (MetricPar){.kind = (uint8_t)kind,
                       .binary = m->binary,
                       .threshold = option_num(i->option, i->noption, "threshold"),
                       .score = i->score,
                       .target = i->target,
                       .slice = i->slice};
  *out = &s->it;
  return ST_OK;
}

Status sums_finish(Iter *it, SliceValue value, MetricValue **v, uint32_t *n, Err *e) {
  SumsIter *s = (SumsIter *)it;
  if (!s->result)
    return err_set(e, ST_FAULT, "CML0601", NULL, "a metric was finished before its scan");
  Status st = metric_values(s->result, s->par.slice >= 0, v, n, e);
  if (st)
    return st;
  for (uint32_t i = 0; i < *n; i++) {
    const Slice *from = s->result->entry[i].val;
    (*v)[i].rows = from->rows;
    (*v)[i].weight = twofold(&from->w);
    (*v)[i].why = metric_why_empty(&(*v)[i]);
    if (!(*v)[i].why)
      value(from, &(*v)[i]);
  }
  metric_values_sort(*v, *n, s->result);
  return ST_OK;
}
