/* SPDX-License-Identifier: Apache-2.0 */
/* The pass cluster.sample: draws rows without replacement, each in proportion to its weight times the squared
 * distance from the nearest of the centres so far (without centres: to its weight).
 *
 * Every row gets the key -log(u) / (w D), u a random number of its position; the `count` least keys are
 * the sample (P. Efraimidis and P. Spirakis, "Weighted random sampling with a reservoir", 2006). So a scan
 * draws exactly as many rows as are asked for, whatever the total is, and merging samples is merging
 * sorted lists. A row that lies on a centre is never drawn. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "stdlib/cluster/cluster.h"
#include "vm/kernel/math.h"

typedef struct SamplePar {
  ClusterSpace space;
  uint64_t key;
  uint32_t count, k;
  double *shift, *c;
  NearCenters centers;
} SamplePar;

/* u64 key; u32 count; then the parameters of cluster.assign, or the space alone */
void cluster_sample_par(const ClusterSpace *s, uint64_t key, uint32_t count, const NearRows *centers,
                        Buf *par) {
  buf_u64(par, key);
  buf_u32(par, count);
  buf_u8(par, centers != NULL);
  if (centers)
    cluster_assign_par(s, centers, false, NULL, par);
  else
    cluster_space_put(s, par);
}

static void sample_close(void *par) {
  SamplePar *p = par;
  if (!p)
    return;
  near_free(&p->centers);
  mem_free(p);
}

static void *sample_open(Bytes bytes, Err *e) {
  Rd r = rd_of(bytes);
  uint64_t key = rd_u64(&r);
  uint32_t count = rd_u32(&r);
  bool near = rd_u8(&r) != 0;
  ClusterSpace s;
  bool good = cluster_space_get(&r, &s);
  if (near)
    rd_u8(&r);
  uint32_t k = near ? rd_u32(&r) : 0;
  size_t d = s.d, n = good && (d == 0 || k <= r.end - r.p) ? k * d : 0;
  const void *c = rd_take(&r, n * sizeof(double));
  if (!good || count == 0 || !rd_done(&r)) {
    err_set(e, ST_FAULT, "CML0601", NULL, "the parameters of pass cluster.sample are damaged");
    return NULL;
  }
  SamplePar *p = mem_alloc(sizeof *p + (n + d + 1) * sizeof(double));
  if (!p) {
    err_memory(e);
    return NULL;
  }
  *p = (SamplePar){.space = s, .key = key, .count = count, .k = k};
  p->shift = (double *)(p + 1);
  p->c = p->shift + d;
  if (n)
    memcpy(p->c, c, n * sizeof(double));
  if (s.shift && d)
    memcpy(p->shift, s.shift, d * sizeof(double));
  p->space.shift = s.shift ? p->shift : NULL;
  if (k && near_centers(&p->centers, p->c, k, s.d, s.sparse, e)) {
    sample_close(p);
    return NULL;
  }
  return p;
}

/* Typical: rows of sparse data have a few dozen entries. */
static size_t sample_size(const void *par) {
  const SamplePar *p = par;
  size_t rows = p->count < 1024 ? p->count : 1024;
  size_t each = p->space.sparse && p->space.d > 32 ? 32 : p->space.d;
  return rows * (sizeof(ClusterDraw) + each * 12) + 64;
}

/* ---- the partial ---- */

static void *sample_init(const void *par, Err *e) {
  (void)par;
  ClusterSample *s = mem_alloc(sizeof *s);
  if (!s)
    err_memory(e);
  return s;
}

void cluster_sample_free(ClusterSample *s) {
  for (uint32_t i = 0; s && i < s->n; i++)
    mem_free(s->v[i]);
  if (s)
    mem_free(s->v);
  mem_free(s);
}

static void sample_free(const void *par, void *partial) {
  (void)par;
  cluster_sample_free(partial);
}

static ClusterDraw *draw_new(double key, double weight, uint32_t n, bool sparse) {
  ClusterDraw *t = mem_alloc(sizeof *t + (size_t)n * (sizeof(double) + (sparse ? sizeof(uint32_t) : 0)));
  if (!t)
    return NULL;
  *t = (ClusterDraw){.key = key, .weight = weight, .n = n, .val = (double *)(t + 1)};
  t->col = sparse ? (uint32_t *)(t->val + n) : NULL;
  return t;
}

/* Puts t behind all whose key is not above its own; what is then one too many is freed. t is owned from
 * here on. */
static bool put(ClusterSample *s, uint32_t count, ClusterDraw *t) {
  uint32_t low = 0, high = s->n;
  while (low < high) {
    uint32_t mid = low + (high - low) / 2;
    if (s->v[mid]->key <= t->key)
      low = mid + 1;
    else
      high = mid;
  }
  if (s->n == count) {
    mem_free(s->v[--s->n]);
  } else if ((s->n & (s->n - 1)) == 0) {
    ClusterDraw **v = mem_realloc(s->v, (s->n ? 2 * (size_t)s->n : 1) * sizeof *v);
    if (!v) {
      mem_free(t);
      return false;
    }
    s->v = v;
  }
  memmove(s->v + low + 1, s->v + low, (s->n - low) * sizeof *s->v);
  s->v[low] = t;
  s->n++;
  return true;
}

static Status draw(const SamplePar *p, const NearRows *rows, uint32_t i, double key, double w,
                   ClusterSample *s, Err *e) {
  uint32_t from = rows->a ? 0 : rows->ptr[i], n = rows->a ? rows->d : rows->ptr[i + 1] - from;
  ClusterDraw *t = draw_new(key, w, n, !rows->a);
  if (!t)
    return err_memory(e);
  if (n)
    memcpy(t->val, rows->a ? rows->a + (size_t)i * rows->d : rows->val + from, n * sizeof *t->val);
  if (n && t->col)
    memcpy(t->col, rows->col + from, n * sizeof *t->col);
  return put(s, p->count, t) ? ST_OK : err_memory(e);
}

static Status map_piece(const SamplePar *p, const Panel *panel, uint32_t from, uint32_t n, ClusterSample *s,
                        Arena *a, Err *e) {
  NearRows rows;
  Status st = cluster_rows(&p->space, panel->x, from, n, a, &rows, e);
  if (st)
    return st;
  uint32_t index[PANEL_ROWS];
  double distance2[PANEL_ROWS], log_u[PANEL_ROWS];
  uint64_t file = rng_word(p->key, panel->file);
  if (p->k)
    near_find(&p->centers, &rows, a, index, distance2);
  for (uint32_t i = 0; i < n; i++) {
    uint64_t pos = panel->pos + (panel->at ? panel->at[from + i] : from + i);
    log_u[i] = unit_of(rng_word(file, pos)) + 0x1p-54;
  }
  k_log(log_u, log_u, n);
  for (uint32_t i = 0; i < n && !st; i++) {
    double w = panel->weight ? panel->weight[from + i] : 1, share = p->k ? w * distance2[i] : w;
    double key = share > 0 ? -log_u[i] / share : INFINITY;
    if (!(key < INFINITY) || (p->space.cosine && cluster_is_zero(&rows, i)))
      continue;
    if (s->n == p->count && !(key < s->v[s->n - 1]->key))
      continue;
    st = draw(p, &rows, i, key, w, s, e);
  }
  return st;
}

static Status sample_map(const void *par, const Panel *all, void *partial, Ctx *ctx) {
  const SamplePar *p = par;
  uint32_t piece = cluster_piece(p->space.d);
  Panel panel;
  Arena part, a;
  arena_init(&part, NULL);
  arena_init(&a, NULL);
  Status st = cluster_part(&p->space, all, &part, &panel, ctx->err);
  for (uint32_t from = 0; !st && from < panel.n; from += piece) {
    arena_reset(&a);
    st = map_piece(p, &panel, from, panel.n - from < piece ? panel.n - from : piece, partial, &a, ctx->err);
  }
  arena_free(&a);
  arena_free(&part);
  return st;
}

static Status sample_merge(const void *par, void *left, void *right, Err *e) {
  const SamplePar *p = par;
  ClusterSample *l = left, *r = right;
  Status st = ST_OK;
  for (uint32_t i = 0; i < r->n && !st; i++) {
    if (l->n == p->count && !(r->v[i]->key < l->v[l->n - 1]->key))
      break;
    ClusterDraw *t = r->v[i];
    r->v[i] = NULL;
    st = put(l, p->count, t) ? ST_OK : err_memory(e);
  }
  return st;
}

/* u32 n; each: f64 key, weight; u32 entries; values, columns */
static Status sample_save(const void *par, const void *partial, Buf *out, Err *e) {
  (void)par;
  const ClusterSample *s = partial;
  buf_u32(out, s->n);
  for (uint32_t i = 0; i < s->n; i++) {
    const ClusterDraw *t = s->v[i];
    buf_f64(out, t->key);
    buf_f64(out, t->weight);
    buf_u32(out, t->n);
    buf_put(out, t->val, t->n * sizeof *t->val);
    if (t->col)
      buf_put(out, t->col, t->n * sizeof *t->col);
  }
  return out->bad ? err_memory(e) : ST_OK;
}

static bool columns_rise(const ClusterDraw *t, uint32_t d) {
  for (uint32_t k = 0; t->col && k < t->n; k++)
    if (t->col[k] >= d || (k > 0 && t->col[k] <= t->col[k - 1]))
      return false;
  return true;
}

/* One row; NULL: damaged, or no memory (then *e is set). */
static ClusterDraw *load_draw(const SamplePar *p, Rd *r, Err *e) {
  double key = rd_f64(r), weight = rd_f64(r);
  uint32_t n = rd_u32(r), d = p->space.d;
  if (r->bad || n > d || (!p->space.sparse && n != d) || !(key < INFINITY) || !(weight > 0))
    return NULL;
  const void *val = rd_take(r, n * sizeof(double));
  const void *col = p->space.sparse ? rd_take(r, n * sizeof(uint32_t)) : NULL;
  if (r->bad)
    return NULL;
  ClusterDraw *t = draw_new(key, weight, n, p->space.sparse);
  if (!t) {
    err_memory(e);
    return NULL;
  }
  if (n)
    memcpy(t->val, val, n * sizeof(double));
  if (n && t->col)
    memcpy(t->col, col, n * sizeof(uint32_t));
  if (columns_rise(t, d))
    return t;
  mem_free(t);
  return NULL;
}

static void *sample_load(const void *par, Bytes in, Err *e) {
  const SamplePar *p = par;
  ClusterSample *s = sample_init(par, e);
  if (!s)
    return NULL;
  Rd r = rd_of(in);
  uint32_t n = rd_u32(&r);
  bool good = n <= p->count;
  for (uint32_t i = 0; i < n && good && !e->code; i++) {
    ClusterDraw *t = load_draw(p, &r, e);
    good = t && (i == 0 || t->key >= s->v[i - 1]->key);
    if (good && !put(s, p->count, t))
      err_memory(e);
    if (!good)
      mem_free(t);
  }
  if (good && !e->code && rd_done(&r))
    return s;
  if (!e->code)
    err_set(e, ST_FAULT, "CML0601", NULL, "a partial result of pass cluster.sample is damaged");
  cluster_sample_free(s);
  return NULL;
}

ClusterSample *cluster_sample_read(const Buf *par, Bytes result, Err *e) {
  void *p = sample_open(buf_bytes(par), e);
  ClusterSample *s = p ? sample_load(p, result, e) : NULL;
  sample_close(p);
  return s;
}

const Pass cluster_sample = {
    .name = "cluster.sample",
    .kind = RED_LIST,
    .open = sample_open,
    .close = sample_close,
    .partial_size = sample_size,
    .init = sample_init,
    .map = sample_map,
    .merge = sample_merge,
    .save = sample_save,
    .load = sample_load,
    .free = sample_free,
};
