/* SPDX-License-Identifier: Apache-2.0 */
/* The pass linear.gram: all that squared loss asks of dense rows, in one look at them. Per column what
 * linear.moments has, and the products of all pairs of columns, the target being one of them, around their
 * means. From these linear_gram_sums has loss, gradient and Hessian at any point, and a regression that is
 * not badly conditioned is solved.
 *
 * Products are summed around a centre near the means, that of the first panel of a leaf (OpenBLAS's dsyrk,
 * with a column of ones beside, which gives the sums), and moved to the means when the leaf is done. So a
 * column like a time stamp, of large mean and small deviation, keeps its digits, as it does in two looks.
 * Two leaves meet as in T. Chan, G. Golub, R. LeVeque, "Updating formulae and a pairwise algorithm for
 * computing sample variances", 1979.
 *
 * Weights go into the rows as their roots.
 *
 * Of a sample of the rows, chosen by their positions alone, it gives logistic regression the Hessian where
 * all coefficients are 0: there it is that of squared loss (start.c). */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "stdlib/linear/linear.h"
#include "vm/blas.h"
#include "vm/kernel/rows.h"

enum { PIECE_DOUBLES = 8192, PIECE_ROWS_MIN = 128 }; /* as in gradient.c */
enum { NEIGHBOURS = 4 };

#define SAMPLE_KEY UINT64_C(0x6772616d)

typedef struct GramPar {
  uint32_t d;
  uint32_t sample; /* one row of 2^sample, as they are drawn; 0: all */
  const Blas *blas;
} GramPar;

typedef struct GramPart {
  uint64_t rows;
  double weight;
  double *v;      /* linear_gram_doubles of them, in the order of GramSums */
  /* of the leaf at hand; NULL: there is none. n + 1 columns: those of x, y, ones */
  double *center; /* n */
  double *open;   /* (n + 1) x (n + 1), lower triangle by columns */
  double part;    /* weight of its rows */
} GramPart;

void linear_gram_par(uint32_t d, uint32_t sample, Buf *par) {
  buf_u32(par, d);
  buf_u32(par, sample);
}

/* n = d + 1 columns: those of x, then y */
static size_t gram_columns(uint32_t d) {
  return (size_t)d + 1;
}

size_t linear_gram_doubles(uint32_t d) {
  size_t n = gram_columns(d);
  return 2 * (size_t)d + n + n * (n + 1) / 2;
}

void linear_gram_at(double *v, uint32_t d, GramSums *out) {
  *out = (GramSums){.low = v, .high = v + d, .mean = v + 2 * (size_t)d};
  out->m = out->mean + gram_columns(d);
}

/* Row j of the upper triangle: (j, k >= j) at + k. */
static size_t row_at(uint32_t d, size_t j) {
  return linear_tri(gram_columns(d), j);
}

static void *gram_open(Bytes par, Err *e) {
  Rd r = rd_of(par);
  GramPar head = {.d = rd_u32(&r), .sample = rd_u32(&r)};
  if (!rd_done(&r) || head.d > GRAM_WIDTH || head.sample > 63) {
    err_set(e, ST_FAULT, "CML0601", NULL, "the parameters of pass linear.gram are damaged");
    return NULL;
  }
  if (!(head.blas = blas_get(e)))
    return NULL;
  GramPar *p = mem_alloc(sizeof *p);
  if (p)
    *p = head;
  else
    err_memory(e);
  return p;
}

static void gram_close(void *par) {
  mem_free(par);
}

static size_t gram_size(const void *par) {
  const GramPar *p = par;
  return sizeof(GramPart) + linear_gram_doubles(p->d) * sizeof(double);
}

static void *gram_init(const void *par, Err *e) {
  const GramPar *p = par;
  GramPart *g = mem_alloc(gram_size(par));
  if (!g) {
    err_memory(e);
    return NULL;
  }
  g->v = (double *)(void *)(g + 1);
  for (uint32_t j = 0; j < p->d; j++) {
    g->v[j] = INFINITY;
    g->v[p->d + j] = -INFINITY;
  }
  return g;
}

static void drop_leaf(GramPart *g) {
  mem_free(g->center);
  g->center = g->open = NULL;
  g->part = 0;
}

static void gram_free(const void *par, void *partial) {
  (void)par;
  if (partial)
    drop_leaf(partial);
  mem_free(partial);
}

/* ---- two groups become one ---- */

/* Rows of weight w, their means, and products around these as in GramSums. */
static void join(GramPart *g, uint32_t d, double w, const double *mean, const double *m) {
  GramSums s;
  size_t n = gram_columns(d);
  linear_gram_at(g->v, d, &s);
  if (w == 0)
    return;
  double total = g->weight + w, share = w / total, cross = g->weight * share;
  if (g->weight == 0) {
    memcpy(s.mean, mean, n * sizeof *mean);
    memcpy(s.m, m, n * (n + 1) / 2 * sizeof *m);
    g->weight = w;
    return;
  }
  for (size_t j = 0; j < n; j++) {
    double *restrict to = s.m + row_at(d, j);
    const double *restrict from = m + row_at(d, j);
    double delta = (mean[j] - s.mean[j]) * cross;
    for (size_t k = j; k < n; k++)
      to[k] += from[k] + delta * (mean[k] - s.mean[k]);
  }
  for (size_t j = 0; j < n; j++)
    s.mean[j] += (mean[j] - s.mean[j]) * share;
  g->weight = total;
}

/* The leaf at hand is done: its products move to its means, in place and packed. */
static void end_leaf(GramPart *g, uint32_t d) {
  size_t n = gram_columns(d);
  if (!g->open)
    return;
  double *a = g->open, w = a[n * (n + 1) + n], *sum = g->center + n;
  for (size_t j = 0; j < n; j++)
    sum[j] = a[j * (n + 1) + n];
  for (size_t j = 0; j < n; j++) { /* a row is never behind where it was */
    double mean = sum[j] / w, *from = a + j * (n + 1), *to = a + row_at(d, j);
    for (size_t k = j; k < n; k++)
      to[k] = from[k] - mean * sum[k];
    to[j] = to[j] > 0 ? to[j] : 0;
  }
  for (size_t j = 0; j < n; j++)
    g->center[j] += sum[j] / w;
  join(g, d, g->part, g->center, a);
  drop_leaf(g);
}

/* ---- rows ---- */

/* The means of a panel's rows of some weight: where the leaf's products are summed around. */
static bool begin_leaf(GramPart *g, uint32_t d, const Panel *p, const double *w) {
  size_t n = gram_columns(d);
  double rows = 0;
  g->center = mem_alloc((2 * n + (n + 1) * (n + 1)) * sizeof *g->center);
  if (!g->center)
    return false;
  g->open = g->center + 2 * n;
  for (uint32_t r = 0; r < p->n; r++) {
    if (w[r] == 0)
      continue;
    for (size_t j = 0; j < d; j++)
      g->center[j] += p->x->a[(size_t)r * d + j];
    g->center[d] += p->y[r];
    rows++;
  }
  for (size_t j = 0; j < n; j++)
    g->center[j] /= rows;
  return true;
}

/* Rows of weight w, one after the other, so that those of none leave no gap. */
static uint32_t fill_piece(const GramPart *g, uint32_t d, const Panel *p, uint32_t from, uint32_t n,
                           const double *w, double *low, double *high, double *u) {
  size_t stride = gram_columns(d) + 1;
  uint32_t have = 0;
  for (uint32_t i = 0, m; i < n; i += m) {
    const double *x = p->x->a + (size_t)(from + i) * d;
    for (m = 0; i + m < n && w[i + m] != 0; m++)
      ;
    double *to = u + have * stride;
    k_rows_around(x, m, d, g->center, low, high, stride, to);
    for (uint32_t r = 0; r < m; r++) {
      double root = p->weight ? sqrt(w[i + r]) : 1;
      double *row = to + r * stride;
      row[d] = p->y[from + i + r] - g->center[d];
      row[d + 1] = 1;
      for (size_t j = 0; p->weight && j < stride; j++)
        row[j] *= root;
    }
    have += m;
    m += i + m < n; /* the row of no weight */
  }
  return have;
}

/* Weights of the rows that are drawn, some neighbours at a time; 0: of others, and of those in error, which
 * linear.moments reports. */
static void draw_rows(const GramPar *q, const Panel *p, double *w) {
  uint64_t group = UINT64_MAX;
  bool drawn = false;
  for (uint32_t r = 0; r < p->n; r++) {
    double one = p->weight ? p->weight[r] : 1;
    uint64_t at = (p->pos + (p->at ? p->at[r] : r)) / NEIGHBOURS;
    if (at != group)
      drawn = rng_word(SAMPLE_KEY + p->file, at) >> (64 - q->sample) == 0;
    group = at;
    w[r] = drawn && one > 0 && one < INFINITY ? one : 0;
  }
}

static Status gram_map(const void *par, const Panel *p, void *partial, Ctx *ctx) {
  const GramPar *q = par;
  GramPart *g = partial;
  uint32_t d = q->d;
  size_t stride = gram_columns(d) + 1, fit = PIECE_DOUBLES / stride & ~(size_t)7;
  uint32_t piece = fit < PIECE_ROWS_MIN ? PIECE_ROWS_MIN : fit > PANEL_ROWS ? PANEL_ROWS : (uint32_t)fit;
  GramSums s;
  linear_gram_at(g->v, d, &s);
  double *w = arena_alloc(ctx->scratch, (p->n + (size_t)1) * sizeof *w);
  uint8_t *cls = arena_alloc(ctx->scratch, p->n + (size_t)1);
  if (!w || !cls)
    return err_memory(ctx->err);
  if (q->sample)
    draw_rows(q, p, w);
  else if (!linear_check_rows(false, p, w, cls, ctx))
    return ST_OK; /* the scan ends with these errors */
  double sum = 0;
  uint64_t rows = 0;
  for (uint32_t r = 0; r < p->n; r++) {
    sum += w[r];
    rows += w[r] > 0;
  }
  if (!rows)
    return ST_OK;
  piece = q->sample ? p->n : piece; /* those drawn are few */
  double *u = arena_alloc64(ctx->scratch, (q->sample ? rows : piece) * stride * sizeof *u);
  if (!u)
    return err_memory(ctx->err);
  if (!g->open && !begin_leaf(g, d, p, w))
    return err_memory(ctx->err);
  g->rows += rows;
  g->part += sum;
  for (uint32_t from = 0; from < p->n; from += piece) {
    uint32_t n = p->n - from < piece ? p->n - from : piece;
    int order = (int)stride, have = (int)fill_piece(g, d, p, from, n, w + from, s.low, s.high, u);
    double one = 1;
    if (have)
      q->blas->syrk("L", "N", &order, &have, &one, u, &order, &one, g->open, &order, 1, 1);
  }
  return ST_OK;
}

static Status gram_merge(const void *par, void *left, void *right, Err *e) {
  const GramPar *p = par;
  GramPart *l = left, *r = right;
  GramSums a, b;
  (void)e;
  end_leaf(l, p->d);
  end_leaf(r, p->d);
  linear_gram_at(l->v, p->d, &a);
  linear_gram_at(r->v, p->d, &b);
  for (uint32_t j = 0; j < p->d; j++) {
    a.low[j] = b.low[j] < a.low[j] ? b.low[j] : a.low[j];
    a.high[j] = b.high[j] > a.high[j] ? b.high[j] : a.high[j];
  }
  join(l, p->d, r->weight, b.mean, b.m);
  l->rows += r->rows;
  return ST_OK;
}

/* rows, weight, then the arrays. A leaf that is not done is moved to its means in a copy. */
static Status gram_save(const void *par, const void *partial, Buf *out, Err *e) {
  const GramPar *p = par;
  const GramPart *g = partial;
  size_t n = linear_gram_doubles(p->d), m = gram_columns(p->d);
  GramPart *copy = g->open ? gram_init(par, e) : NULL;
  if (g->open && !copy)
    return e->code;
  if (copy) {
    memcpy(copy->v, g->v, n * sizeof *copy->v);
    copy->rows = g->rows;
    copy->weight = g->weight;
    copy->part = g->part;
    size_t all = 2 * m + (m + 1) * (m + 1);
    copy->center = mem_alloc(all * sizeof *copy->center);
    if (!copy->center) {
      gram_free(par, copy);
      return err_memory(e);
    }
    memcpy(copy->center, g->center, all * sizeof *copy->center);
    copy->open = copy->center + 2 * m;
    end_leaf(copy, p->d);
    g = copy;
  }
  buf_u64(out, g->rows);
  buf_f64(out, g->weight);
  buf_put(out, g->v, n * sizeof *g->v);
  gram_free(par, copy);
  return out->bad ? err_memory(e) : ST_OK;
}

static void *gram_load(const void *par, Bytes in, Err *e) {
  const GramPar *p = par;
  GramPart *g = gram_init(par, e);
  if (!g)
    return NULL;
  Rd r = rd_of(in);
  g->rows = rd_u64(&r);
  g->weight = rd_f64(&r);
  size_t n = linear_gram_doubles(p->d) * sizeof(double);
  const void *v = rd_take(&r, n);
  if (!rd_done(&r)) {
    err_set(e, ST_FAULT, "CML0601", NULL, "a partial result of pass linear.gram is damaged");
    gram_free(par, g);
    return NULL;
  }
  memcpy(g->v, v, n);
  return g;
}

const Pass linear_gram = {
    .name = "linear.gram",
    .kind = RED_TREE,
    .open = gram_open,
    .close = gram_close,
    .partial_size = gram_size,
    .init = gram_init,
    .map = gram_map,
    .merge = gram_merge,
    .save = gram_save,
    .load = gram_load,
    .free = gram_free,
};

/* ---- what the solver is told ---- */

bool linear_gram_of(Bytes saved, uint32_t d, GramSums *s) {
  Rd r = rd_of(saved);
  uint64_t rows = rd_u64(&r);
  double weight = rd_f64(&r);
  bool finite = true;
  linear_gram_at((double *)(void *)(saved.p + sizeof rows + sizeof weight), d, s);
  s->rows = rows;
  s->weight = weight;
  for (uint32_t j = 0; j <= d; j++) {
    for (size_t k = j; k <= d; k++) /* products of very large values */
      finite = finite && fabs(s->m[row_at(d, j) + k]) < INFINITY;
    finite = finite && fabs(s->mean[j]) < INFINITY;
  }
  return finite;
}

bool linear_gram_moments(Bytes saved, uint32_t d, Moments *m, GramSums *s) {
  bool finite = linear_gram_of(saved, d, s);
  uint64_t rows = m->rows[0] = s->rows;
  double weight = m->weight[0] = s->weight;
  for (uint32_t j = 0; j <= d; j++) {
    double m2 = s->m[row_at(d, j) + j], mean = s->mean[j];
    if (j == d) {
      m->y_mean = mean;
      m->y_m2 = m2;
      break;
    }
    m->w[0][j] = weight;
    m->mean[0][j] = mean;
    m->m2[0][j] = m2;
    m->low[j] = s->low[j];
    m->high[j] = s->high[j];
    m->stored[j] = (double)rows;
  }
  return finite;
}

/* In u, with C the products around the means: hess = C + W center center', the residuals' mean is
 * a + beta' center - (mean of y), and so on. */
void linear_gram_sums(const GramSums *g, const Space *s, const LinPoint *p, Sums *out) {
  uint32_t d = s->d;
  const double *y = g->m; /* (j, d) at y[row_at(j) + d] */
  double mean = p->a - g->mean[d], w = s->total, loss = y[row_at(d, d) + d];
  for (uint32_t j = 0; j < d; j++)
    mean += p->beta[j] * s->center[j];
  for (uint32_t j = 0; j < d; j++)
    out->g[j] = 0;
  for (uint32_t j = 0; j < d; j++) {
    const double *row = g->m + row_at(d, j);
    double *hess = out->hess + linear_tri(d, j);
    for (uint32_t k = j; k < d; k++) {
      double c = row[k] * s->inv[j] * s->inv[k];
      hess[k] = c + w * s->center[j] * s->center[k];
      out->g[j] += c * p->beta[k];
      out->g[k] += k > j ? c * p->beta[j] : 0;
    }
    double cy = row[d] * s->inv[j];
    loss += p->beta[j] * (out->g[j] - 2 * cy); /* (C beta)_j is complete: k < j came with their rows */
    out->h[j] = w * s->center[j];
  }
  for (uint32_t j = 0; j < d; j++)
    out->g[j] += w * mean * s->center[j] - g->m[row_at(d, j) + d] * s->inv[j];
  *out->loss = 0.5 * (loss + w * mean * mean);
  *out->margin = INFINITY;
  *out->g0 = w * mean;
  *out->h00 = w;
}
