/* SPDX-License-Identifier: Apache-2.0 */
/* The pass metric.sums: what a metric adds up over rows, per slice, and the Iter that needs one scan of it.
 *
 * Sums carry their rounding errors along (Twofold), so that a metric is right to the last digit or two
 * however many rows there are, and counts of unweighted rows are exact. */
#include <string.h>

#include "stdlib/metric/metric.h"

static size_t slice_size(const MetricPar *p) {
  return sizeof(Slice) + sums_width(p) * sizeof(Twofold);
}

static size_t sums_size(const void *par) {
  const MetricPar *p = par;
  return (p->groups ? p->groups : p->slice >= 0 ? 64 : 1) * slice_size(p);
}

static void *sums_init(const void *par, Err *e) {
  Map *m = mem_alloc(sizeof *m);
  if (!m) {
    err_memory(e);
    return NULL;
  }
  if (metric_slots_need(m, par, slice_size(par), e))
    return m;
  metric_slots_free(m);
  mem_free(m);
  return NULL;
}

void sums_free(const void *par, void *slices) {
  (void)par;
  if (slices)
    metric_slots_free(slices);
  mem_free(slices);
}

static Status sums_map(const void *par, const Panel *panel, void *partial, Ctx *ctx) {
  const MetricPar *p = par;
  Map *slices = partial;
  MetricRows rows;
  Status st = metric_rows(p, panel, slices, slice_size(p), &rows, ctx);
  if (st || rows.bad)
    return st;
  uint32_t n = panel->n;
  double *x = arena_alloc(ctx->scratch, ((size_t)n + 1) * sizeof *x);
  uint32_t *at = arena_alloc(ctx->scratch, ((size_t)n + 1) * sizeof *at);
  if (!x || !at)
    return err_memory(ctx->err);
  st = terms_of(p, &rows, n, x, at, ctx);
  for (uint32_t r = 0; r < n && !st; r++)
    terms_add(p, &rows, r, x, at, slices->entry[rows.slot[r]].val);
  return st;
}

static Status sums_merge(const void *par, void *left, void *right, Err *e) {
  const Map *r = right;
  for (uint32_t i = 0; i < r->n; i++) {
    Slice *to = metric_slot(left, r->entry[i].key, r->entry[i].n, slice_size(par), e);
    if (!to)
      return e->code;
    terms_join(par, to, r->entry[i].val);
  }
  return ST_OK;
}

/* u64 number of slices; each: key as a blob, then the Slice: u64 rows, 2 f64 weight, 2 f64 each sum */
static Status sums_save(const void *par, const void *partial, Buf *out, Err *e) {
  const Map *m = partial;
  buf_u64(out, m->n);
  for (uint32_t i = 0; i < m->n; i++) {
    buf_blob(out, m->entry[i].key, m->entry[i].n);
    buf_put(out, m->entry[i].val, slice_size(par));
  }
  return out->bad ? err_memory(e) : ST_OK;
}

static void *sums_load(const void *par, Bytes in, Err *e) {
  size_t size = slice_size(par);
  Map *m = sums_init(par, e);
  if (!m)
    return NULL;
  uint32_t fixed = m->n; /* groups: no others may come */
  Rd r = rd_of(in);
  uint64_t n = rd_count(&r, 8 + size);
  for (uint64_t i = 0; i < n && !r.bad; i++) {
    Bytes key = rd_blob(&r);
    const void *from = rd_take(&r, size);
    if (r.bad)
      break;
    Slice *s = metric_slot(m, key.n ? (const void *)key.p : "", key.n, size, e);
    if (!s) {
      sums_free(par, m);
      return NULL;
    }
    memcpy(s, from, size);
  }
  if (rd_done(&r) && (((const MetricPar *)par)->slice >= 0 || m->n == fixed))
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

/* ---- What is finished: slices, or the whole and the whole without each group ---- */

/* Groups in order, without number `without` (groups: with all). */
static Status whole(const MetricPar *p, const Map *group, uint32_t without, Map *out, Err *e) {
  uint8_t key[4];
  for (int k = 0; k < 4; k++)
    key[k] = (uint8_t)(without >> 8 * k);
  Slice *s = metric_slot(out, key, sizeof key, slice_size(p), e);
  for (uint32_t g = 0; s && g < p->groups; g++)
    if (g != without)
      terms_join(p, s, group->entry[g].val);
  return s ? ST_OK : e->code;
}

Map *sums_load_all(const MetricPar *p, Bytes in, Err *e) {
  Map *m = sums_load(p, in, e);
  if (!m || !p->groups)
    return m;
  Map *out = mem_alloc(sizeof *out);
  Status st = out ? whole(p, m, p->groups, out, e) : err_memory(e);
  for (uint32_t g = 0; g < p->groups && !st; g++)
    st = whole(p, m, g, out, e);
  sums_free(p, m);
  if (st)
    sums_free(p, out);
  return st ? NULL : out;
}

/* ---- the Iter: one job, one result ---- */

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
  s->result = sums_load_all(&s->par, buf_bytes(&out[0]), e);
  return s->result ? ST_OK : e->code;
}

Status sums_begin(const MetricPar *p, Iter **out, Err *e) {
  SumsIter *s = mem_alloc(sizeof *s);
  if (!s)
    return err_memory(e);
  s->it.next = sums_next;
  s->it.free = sums_iter_free;
  s->par = *p;
  *out = &s->it;
  return ST_OK;
}

Status sums_finish(Iter *it, SliceValue value, MetricValue **v, uint32_t *n, Err *e) {
  SumsIter *s = (SumsIter *)it;
  if (!s->result)
    return err_set(e, ST_FAULT, "CML0601", NULL, "a metric was finished before its scan");
  Status st = metric_values(s->result, &s->par, v, n, e);
  if (st)
    return st;
  for (uint32_t i = 0; i < *n; i++) {
    const Slice *from = s->result->entry[i].val;
    (*v)[i].rows = from->rows;
    (*v)[i].weight = twofold(&from->w);
    (*v)[i].why = metric_why_empty(&(*v)[i]);
    if (!(*v)[i].why)
      value(&s->par, from, &(*v)[i]);
  }
  if (!s->par.groups)
    metric_values_sort(*v, *n, s->result);
  return ST_OK;
}
