/* SPDX-License-Identifier: Apache-2.0 */
/* The pass cluster.measure: see measure.h for what it sums. */
#include <math.h>
#include <string.h>

#include "stdlib/cluster/measure.h"
#include "vm/kernel/dot.h"

typedef struct Open { /* parameters, their numbers behind it */
  MeasurePar p;
  double *square; /* k: squared lengths of the centres */
} Open;


/* u8 kind, cosine; the metric's parameters as a blob; u32 k, d; centres, weights, around */
void measure_par_put(const MeasurePar *p, Buf *out) {
  Buf metric = {0};
  buf_u8(out, p->kind);
  buf_u8(out, p->cosine);
  metric_par_put(&p->metric, &metric);
  buf_blob(out, metric.p, metric.n);
  out->bad |= metric.bad;
  buf_free(&metric);
  buf_u32(out, p->k);
  buf_u32(out, p->d);
  if (p->d)
    buf_put(out, p->center, (size_t)p->k * p->d * sizeof(double));
  for (uint32_t i = 0; i < p->k; i++)
    buf_f64(out, p->weight ? p->weight[i] : 0);
  for (uint32_t i = 0; i < p->k; i++)
    buf_f64(out, p->around ? p->around[i] : 0);
}

static void measure_close(void *par) {
  mem_free(par);
}

static void *measure_open(Bytes bytes, Err *e) {
  Rd r = rd_of(bytes);
  MeasurePar p = {.kind = rd_u8(&r), .cosine = rd_u8(&r) != 0};
  Bytes blob = rd_blob(&r);
  p.k = rd_u32(&r);
  p.d = rd_u32(&r);
  size_t n = p.k <= (size_t)(r.end - r.p) / 16 ? (size_t)p.k * ((size_t)p.d + 2) : SIZE_MAX / 16;
  const void *v = rd_take(&r, n * sizeof(double));
  MetricPar *metric = r.bad ? NULL : metric_par_open(blob, e);
  if (!metric || !rd_done(&r) || p.kind >= MEASURE_KINDS || p.k == 0) {
    metric_par_close(metric);
    if (!e->code)
      err_set(e, ST_FAULT, "CML0601", NULL, "the parameters of pass cluster.measure are damaged");
    return NULL;
  }
  p.metric = *metric;
  metric_par_close(metric);
  Open *o = mem_alloc(sizeof *o + (n + p.k) * sizeof(double));
  if (!o) {
    err_memory(e);
    return NULL;
  }
  double *at = (double *)(o + 1);
  memcpy(at, v, n * sizeof(double));
  p.center = at;
  p.weight = at + (size_t)p.k * p.d;
  p.around = p.weight + p.k;
  o->p = p;
  o->square = at + n;
  for (uint32_t i = 0; i < p.k; i++)
    o->square[i] = k_dot(p.center + (size_t)i * p.d, p.center + (size_t)i * p.d, p.d);
  return o;
}

/* ---- the partial ---- */

static size_t slice_size(void) {
  return sizeof(Slice) + sizeof(Twofold);
}

static size_t moved_doubles(const MeasurePar *p) {
  return p->kind == MEASURE_GROUPS ? (size_t)p->k * p->d : 0;
}

static size_t measure_size(const void *par) {
  const MeasurePar *p = &((const Open *)par)->p;
  return (p->metric.groups ? p->metric.groups : 64) * slice_size() + p->k * (size_t)40 +
         moved_doubles(p) * sizeof(double);
}

static Measure *measure_new(const MeasurePar *p, Err *e) {
  size_t k = p->k;
  Measure *m =
      mem_alloc(sizeof *m + k * (sizeof *m->rows + 2 * sizeof(Twofold)) + moved_doubles(p) * sizeof(double));
  if (!m) {
    err_memory(e);
    return NULL;
  }
  m->rows = (uint64_t *)(m + 1);
  m->weight = (Twofold *)(m->rows + k);
  m->sum = m->weight + k;
  m->moved = (double *)(m->sum + k);
  if (metric_slots_need(&m->slices, &p->metric, slice_size(), e))
    return m;
  measure_free(NULL, m);
  return NULL;
}

static void *measure_init(const void *par, Err *e) {
  return measure_new(&((const Open *)par)->p, e);
}

void measure_free(const void *par, void *partial) {
  Measure *m = partial;
  (void)par;
  if (m)
    metric_slots_free(&m->slices);
  mem_free(m);
}

static void join_slice(Slice *to, const Slice *from) {
  to->rows += from->rows;
  twofold_join(&to->w, &from->w);
  twofold_join(&to->v[0], &from->v[0]);
}

void measure_join(const MeasurePar *p, Measure *l, const Measure *r) {
  size_t n = moved_doubles(p);
  for (uint32_t i = 0; i < p->k; i++) {
    l->rows[i] += r->rows[i];
    twofold_join(&l->weight[i], &r->weight[i]);
    twofold_join(&l->sum[i], &r->sum[i]);
  }
  for (size_t i = 0; i < n; i++)
    l->moved[i] += r->moved[i];
  l->from_zero |= r->from_zero;
}

static Status measure_merge(const void *par, void *left, void *right, Err *e) {
  const MeasurePar *p = &((const Open *)par)->p;
  Measure *l = left, *r = right;
  for (uint32_t i = 0; i < r->slices.n; i++) {
    Slice *to = metric_slot(&l->slices, r->slices.entry[i].key, r->slices.entry[i].n, slice_size(), e);
    if (!to)
      return e->code;
    join_slice(to, r->slices.entry[i].val);
  }
  measure_join(p, l, r);
  return ST_OK;
}

/* u64 slices; each: key as a blob, the Slice; then u8 from_zero, rows, weights, sums, moved */
static Status measure_save(const void *par, const void *partial, Buf *out, Err *e) {
  const MeasurePar *p = &((const Open *)par)->p;
  const Measure *m = partial;
  buf_u64(out, m->slices.n);
  for (uint32_t i = 0; i < m->slices.n; i++) {
    buf_blob(out, m->slices.entry[i].key, m->slices.entry[i].n);
    buf_put(out, m->slices.entry[i].val, slice_size());
  }
  buf_u8(out, m->from_zero);
  buf_put(out, m->rows, p->k * (sizeof *m->rows + 2 * sizeof(Twofold)) + moved_doubles(p) * sizeof(double));
  return out->bad ? err_memory(e) : ST_OK;
}

Measure *measure_read(const MeasurePar *p, Bytes in, Err *e) {
  Measure *m = measure_new(p, e);
  if (!m)
    return NULL;
  Rd r = rd_of(in);
  uint32_t fixed = m->slices.n;
  uint64_t n = rd_count(&r, 8 + slice_size());
  for (uint64_t i = 0; i < n && !r.bad && !e->code; i++) {
    Bytes key = rd_blob(&r);
    const void *from = rd_take(&r, slice_size());
    Slice *s =
        r.bad ? NULL : metric_slot(&m->slices, key.n ? (const void *)key.p : "", key.n, slice_size(), e);
    if (s)
      memcpy(s, from, slice_size());
  }
  size_t size = p->k * (sizeof *m->rows + 2 * sizeof(Twofold)) + moved_doubles(p) * sizeof(double);
  m->from_zero = rd_u8(&r) != 0;
  const void *v = rd_take(&r, size);
  if (!e->code && rd_done(&r) && (p->metric.slice >= 0 || m->slices.n == fixed)) {
    memcpy(m->rows, v, size);
    return m;
  }
  if (!e->code)
    err_set(e, ST_FAULT, "CML0601", NULL, "a partial result of pass cluster.measure is damaged");
  measure_free(NULL, m);
  return NULL;
}

static void *measure_load(const void *par, Bytes in, Err *e) {
  return measure_read(&((const Open *)par)->p, in, e);
}

/* ---- rows ---- */

/* H. Gaido, "Distributed Silhouette algorithm: evaluating clustering on big data", 2019: with squared
 * distances the mean over a cluster needs its mean and scatter alone. The row itself is not counted in its
 * own cluster. */
static double silhouette(const Open *o, const NearRows *rows, uint32_t i, uint32_t own, double w) {
  const MeasurePar *p = &o->p;
  double uu = near_square(rows, i), inside = 0, outside = INFINITY;
  if (!(p->weight[own] > w))
    return 0;
  for (uint32_t c = 0; c < p->k; c++) {
    if (!(p->weight[c] > 0))
      continue;
    double mean = near_distance(rows, i, uu, p->center + (size_t)c * p->d, o->square[c]) + p->around[c];
    if (c == own)
      inside = mean * (p->weight[c] / (p->weight[c] - w));
    else
      outside = mean < outside ? mean : outside;
  }
  if (!(outside < INFINITY) || inside == outside)
    return 0;
  return inside < outside ? 1 - inside / outside : outside / inside - 1;
}

static void add_moved(const NearRows *rows, uint32_t i, double w, const double *c, double *restrict sum) {
  if (rows->a) {
    const double *restrict u = rows->a + (size_t)i * rows->d;
    for (uint32_t j = 0; j < rows->d; j++)
      sum[j] += w * (u[j] - c[j]);
  } else { /* the centre is taken off at the end */
    for (uint32_t k = rows->ptr[i]; k < rows->ptr[i + 1]; k++)
      sum[rows->col[k]] += w * rows->val[k];
  }
}

static void add_row(const Open *o, const NearRows *rows, uint32_t i, double w, const double *score, Slice *s,
                    Measure *m) {
  const MeasurePar *p = &o->p;
  uint32_t own = (uint32_t)score[0];
  const double *c = p->center + (size_t)own * p->d;
  s->rows++;
  if (w == 0)
    return;
  if (p->kind == MEASURE_INERTIA) {
    twofold_add(&s->w, w);
    twofold_add(&s->v[0], w * (p->cosine ? score[1] : score[1] * score[1]));
    return;
  }
  if (p->cosine && cluster_is_zero(rows, i))
    return; /* no direction: in no cluster */
  twofold_add(&s->w, w);
  if (p->kind == MEASURE_SILHOUETTE) {
    twofold_add(&s->v[0], w * silhouette(o, rows, i, own, w));
    return;
  }
  double distance2 = near_distance(rows, i, near_square(rows, i), c, o->square[own]);
  m->rows[own]++;
  twofold_add(&m->weight[own], w);
  twofold_add(&m->sum[own], w * (p->kind == MEASURE_SPREAD ? sqrt(distance2) : distance2));
  if (p->kind == MEASURE_GROUPS)
    add_moved(rows, i, w, c, m->moved + (size_t)own * p->d);
}

static Status check(const MeasurePar *p, const Panel *panel, Err *e) {
  const Col *c = p->metric.score < panel->nout ? &panel->out[p->metric.score] : NULL;
  bool good = c && c->type == IR_VEC && !c->is_hot && c->width == 2 && p->metric.slice < (int32_t)panel->nout;
  good = good && (p->kind == MEASURE_INERTIA || (panel->x && panel->x->d == p->d));
  for (uint32_t i = 0; good && i < (c->constant ? 1 : panel->n); i++)
    good = c->f[2 * (size_t)i] >= 0 && c->f[2 * (size_t)i] < p->k;
  return good ? ST_OK
              : err_set(e, ST_FAULT, "CML0601", NULL,
                        "a metric of clusters does not get the clusters of its model");
}

static Status measure_map(const void *par, const Panel *panel, void *partial, Ctx *ctx) {
  const Open *o = par;
  const MeasurePar *p = &o->p;
  Measure *m = partial;
  uint32_t n = panel->n, piece = cluster_piece(p->d),
           *slot = arena_alloc(ctx->scratch, ((size_t)n + 1) * sizeof *slot);
  if (!slot)
    return err_memory(ctx->err);
  Status st = n ? check(p, panel, ctx->err) : ST_OK;
  if (!st && n)
    st = metric_slices(&p->metric, panel, &m->slices, slice_size(), slot, ctx);
  const Col *score = st || !n ? NULL : &panel->out[p->metric.score];
  ClusterSpace space = {.d = p->d, .sparse = panel->x && !panel->x->a, .cosine = p->cosine, .scale = 1};
  m->from_zero |= space.sparse;
  Arena a;
  arena_init(&a, NULL);
  for (uint32_t from = 0; from < n && !st; from += piece) {
    uint32_t many = n - from < piece ? n - from : piece;
    NearRows rows = {.n = 0};
    arena_reset(&a);
    if (p->kind != MEASURE_INERTIA)
      st = cluster_rows(&space, panel->x, from, many, &a, &rows, ctx->err);
    for (uint32_t i = 0; i < many && !st; i++) {
      uint32_t r = from + i;
      add_row(o, &rows, i, panel->weight ? panel->weight[r] : 1,
              score->f + (score->constant ? 0 : 2 * (size_t)r), m->slices.entry[slot[r]].val, m);
    }
  }
  arena_free(&a);
  return st;
}

const Pass cluster_measure = {
    .name = "cluster.measure",
    .kind = RED_TREE,
    .open = measure_open,
    .close = measure_close,
    .partial_size = measure_size,
    .init = measure_init,
    .map = measure_map,
    .merge = measure_merge,
    .save = measure_save,
    .load = measure_load,
    .free = measure_free,
};
