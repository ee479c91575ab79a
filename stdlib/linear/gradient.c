/* SPDX-License-Identifier: Apache-2.0 */
/* The pass behind every iteration: loss, gradient and, where asked for, Hessian at one point, in one look at
 * the rows.
 *
 * Per row: f = a + sum_j beta_j u_j, the loss, r = d loss / d f and D = d2 loss / d f2 (both times the
 * weight). Then g += r u, and hess += D u u' with u extended by a 1 for the intercept (loss.c: r and D).
 *
 * Dense panels are copied into u in pieces that stay in the cache; rows of a piece are scaled by sqrt(D) and
 * OpenBLAS forms their Gram matrix (dsyrk: measured 1.2 to 1.7 times a kernel of our own from 8 to 500
 * columns). Sparse rows update the pairs of their entries. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "stdlib/flat.h"
#include "stdlib/linear/linear.h"
#include "vm/blas.h"
#include "vm/kernel/dot.h"
#include "vm/kernel/math.h"

enum {
  PIECE_DOUBLES = 8192, /* of u: 64 KiB, well inside a usual L2 cache */
  PIECE_ROWS_MIN = 128, /* fewer would keep dsyrk busy with its own output */
  SAMPLE_ROWS = 256,    /* of a sample, collected from several pieces */
};

#define SAMPLE_KEY UINT64_C(0x6c696e656172)

typedef struct GradientPar {
  LinLoss loss;
  bool sparse;
  LinLook look;
  uint32_t sample; /* LOOK_SAMPLE: one row of 2^sample */
  uint32_t d;
  double mult[MOMENT_CLASSES];
  double a;
  double *beta, *shift, *inv; /* d each; beta has one more entry: a */
  const Blas *blas;
} GradientPar;

/* u8 loss, sparse, look, sample; u32 d; f64 multipliers, a; then beta, shift, inv */
void linear_gradient_par(const Space *s, const LinPoint *p, LinLook look, Buf *par) {
  size_t n = (size_t)s->d * sizeof(double);
  buf_u8(par, s->loss);
  buf_u8(par, s->sparse);
  buf_u8(par, look);
  buf_u8(par, look == LOOK_SAMPLE ? (uint8_t)s->sample : 0);
  buf_u32(par, s->d);
  for (int c = 0; c < MOMENT_CLASSES; c++)
    buf_f64(par, s->weight[c]);
  buf_f64(par, p->a);
  if (n) {
    buf_put(par, p->beta, n);
    buf_put(par, s->shift, n);
    buf_put(par, s->inv, n);
  }
}

static void *gradient_open(Bytes bytes, Err *e) {
  Rd r = rd_of(bytes);
  GradientPar head = {0};
  head.loss = rd_u8(&r) ? LOSS_LOGISTIC : LOSS_SQUARED;
  head.sparse = rd_u8(&r) != 0;
  uint8_t look = rd_u8(&r);
  head.look = look == LOOK_HESSIAN || look == LOOK_SAMPLE ? look : LOOK_GRADIENT;
  head.sample = rd_u8(&r);
  head.d = rd_u32(&r);
  for (int c = 0; c < MOMENT_CLASSES; c++)
    head.mult[c] = rd_f64(&r);
  head.a = rd_f64(&r);
  size_t d = head.d;
  const void *v = rd_take(&r, 3 * d * sizeof(double));
  if (!rd_done(&r) || head.sample > 63 || (head.sparse && head.look == LOOK_SAMPLE)) {
    err_set(e, ST_FAULT, "CML0601", NULL, "the parameters of pass linear.gradient are damaged");
    return NULL;
  }
  if (head.look != LOOK_GRADIENT && !head.sparse && !(head.blas = blas_get(e)))
    return NULL;
  GradientPar *p = mem_alloc(sizeof *p + (3 * d + 1) * sizeof(double));
  if (!p) {
    err_memory(e);
    return NULL;
  }
  *p = head;
  p->shift = (double *)(p + 1);
  p->inv = p->shift + d;
  p->beta = p->inv + d;
  if (d) {
    memcpy(p->beta, v, d * sizeof(double));
    memcpy(p->shift, (const char *)v + d * sizeof(double), 2 * d * sizeof(double));
  }
  p->beta[d] = p->a;
  return p;
}

static void gradient_close(void *par) {
  mem_free(par);
}

/* ---- the partial: an array of doubles ---- */

size_t linear_sums_doubles(uint32_t d, LinLook look) {
  size_t n = d, matrix = n * (n + 1) / 2;
  return 4 + n + (look == LOOK_HESSIAN ? n + matrix : look == LOOK_SAMPLE ? 3 * n + 1 + matrix : 0);
}

void linear_sums_at(double *v, uint32_t d, LinLook look, Sums *out) {
  *out = (Sums){.v = v, .loss = v, .margin = v + 1, .g0 = v + 2, .h00 = v + 3, .g = v + 4};
  if (look == LOOK_GRADIENT)
    return;
  out->h = out->g + d;
  out->hess = out->h + d;
  if (look == LOOK_SAMPLE) {
    out->diag = out->hess;
    out->sh = out->diag + d;
    out->s00 = out->sh + d;
    out->hess = out->s00 + 1;
  }
}

static size_t gradient_size(const void *par) {
  const GradientPar *p = par;
  return linear_sums_doubles(p->d, p->look) * sizeof(double);
}

static void *gradient_init(const void *par, Err *e) {
  double *v = mem_alloc(gradient_size(par));
  if (!v) {
    err_memory(e);
    return NULL;
  }
  v[1] = INFINITY; /* margin */
  return v;
}

static void gradient_free(const void *par, void *partial) {
  (void)par;
  mem_free(partial);
}

static Status gradient_merge(const void *par, void *left, void *right, Err *e) {
  const GradientPar *p = par;
  (void)e;
  double *restrict l = left;
  const double *restrict r = right;
  double margin = r[1] < l[1] ? r[1] : l[1];
  size_t n = linear_sums_doubles(p->d, p->look);
  l[1] = 0; /* no inf + inf below */
  for (size_t i = 0; i < n; i++)
    l[i] += i == 1 ? 0 : r[i];
  l[1] = margin;
  return ST_OK;
}

static Status gradient_save(const void *par, const void *partial, Buf *out, Err *e) {
  return flat_save(partial, gradient_size(par), out, e);
}

static void *gradient_load(const void *par, Bytes in, Err *e) {
  return flat_load("linear.gradient", gradient_size(par), in, e);
}

/* ---- dense ---- */

/* u (n x d1, d1 = d + 1): the rows of x, shifted and scaled, then a 1 */
static void fill_piece(const GradientPar *p, const double *x, uint32_t n, double *u) {
  size_t d = p->d;
  const double *restrict shift = p->shift, *restrict inv = p->inv;
  for (uint32_t i = 0; i < n; i++) {
    const double *restrict from = x + i * d;
    double *restrict to = u + i * (d + 1);
    for (size_t j = 0; j < d; j++)
      to[j] = (from[j] - shift[j]) * inv[j];
    to[d] = 1;
  }
}

/* g (d) += sum of r_i u_i, rows in order; four at a time saves stores and changes no bit */
static void add_gradient(const double *u, const double *r, uint32_t n, size_t d, double *restrict g) {
  size_t stride = d + 1;
  uint32_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const double *restrict u0 = u + i * stride, *restrict u1 = u0 + stride, *restrict u2 = u1 + stride,
                           *restrict u3 = u2 + stride;
    double r0 = r[i], r1 = r[i + 1], r2 = r[i + 2], r3 = r[i + 3];
    for (size_t j = 0; j < d; j++)
      g[j] = (((g[j] + r0 * u0[j]) + r1 * u1[j]) + r2 * u2[j]) + r3 * u3[j];
  }
  for (; i < n; i++)
    for (size_t j = 0; j < d; j++)
      g[j] += r[i] * u[i * stride + j];
}

/* h (d) += sum of c_i u_i, diag (d) += sum of c_i u_i^2, in the same order */
static void add_curvature(const double *u, const double *c, uint32_t n, size_t d, double *restrict h,
                          double *restrict diag) {
  size_t stride = d + 1;
  uint32_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const double *restrict u0 = u + i * stride, *restrict u1 = u0 + stride, *restrict u2 = u1 + stride,
                           *restrict u3 = u2 + stride;
    double c0 = c[i], c1 = c[i + 1], c2 = c[i + 2], c3 = c[i + 3];
    for (size_t j = 0; j < d; j++) {
      double v0 = c0 * u0[j], v1 = c1 * u1[j], v2 = c2 * u2[j], v3 = c3 * u3[j];
      h[j] = (((h[j] + v0) + v1) + v2) + v3;
      diag[j] = (((diag[j] + v0 * u0[j]) + v1 * u1[j]) + v2 * u2[j]) + v3 * u3[j];
    }
  }
  for (; i < n; i++)
    for (size_t j = 0; j < d; j++) {
      double v = c[i] * u[i * stride + j];
      h[j] += v;
      diag[j] += v * u[i * stride + j];
    }
}

typedef struct Gram { /* rows times the root of their curvature, on their way to a matrix of d1 x d1 */
  double *rows, *matrix;
  uint32_t n, room;
} Gram;

static bool gram_new(const GradientPar *p, uint32_t piece, Arena *a, Gram *g) {
  size_t d1 = (size_t)p->d + 1;
  *g = (Gram){.room = p->look == LOOK_SAMPLE ? SAMPLE_ROWS : piece};
  g->rows = arena_alloc64(a, g->room * d1 * sizeof *g->rows);
  g->matrix = arena_alloc64(a, d1 * d1 * sizeof *g->matrix);
  return g->rows && g->matrix;
}

static void gram_flush(const GradientPar *p, Gram *g) {
  int order = (int)p->d + 1, rows = (int)g->n;
  double one = 1;
  if (g->n)
    p->blas->syrk("L", "N", &order, &rows, &one, g->rows, &order, &one, g->matrix, &order, 1, 1);
  g->n = 0;
}

/* Whether a row is in the sample: a matter of its position alone. */
static bool is_drawn(const GradientPar *p, const Panel *panel, uint32_t row) {
  uint64_t at = panel->pos + (panel->at ? panel->at[row] : row);
  return rng_word(SAMPLE_KEY + panel->file, at) >> (64 - p->sample) == 0;
}

static void gram_add(const GradientPar *p, const Panel *panel, uint32_t from, const double *u,
                     const double *curve, uint32_t n, Gram *g) {
  size_t d1 = (size_t)p->d + 1;
  for (uint32_t i = 0; i < n; i++) {
    if (p->sample && !is_drawn(p, panel, from + i))
      continue;
    double root = sqrt(curve[i]);
    const double *restrict row = u + i * d1;
    double *restrict to = g->rows + g->n * d1;
    for (size_t j = 0; j < d1; j++)
      to[j] = row[j] * root;
    if (++g->n == g->room)
      gram_flush(p, g);
  }
}

/* Column-major lower = row-major upper. */
static void gram_end(const GradientPar *p, Gram *g, Sums *s) {
  size_t d = p->d, d1 = d + 1;
  double *restrict hess = s->hess, *restrict h = s->sh ? s->sh : s->h;
  gram_flush(p, g);
  for (size_t j = 0; j < d; j++) {
    const double *restrict row = g->matrix + j * d1;
    for (size_t k = j; k < d; k++)
      *hess++ += row[k];
    h[j] += row[d];
  }
  *(s->s00 ? s->s00 : s->h00) += g->matrix[d * d1 + d];
}

static Status map_dense(const GradientPar *p, const Panel *panel, Sums *s, Ctx *ctx) {
  size_t d = p->d, d1 = d + 1;
  size_t fit = PIECE_DOUBLES / d1 & ~(size_t)7;
  uint32_t piece = fit < PIECE_ROWS_MIN ? PIECE_ROWS_MIN : fit > PANEL_ROWS ? PANEL_ROWS : (uint32_t)fit;
  LossRows v;
  Gram gram = {0};
  double *u = arena_alloc64(ctx->scratch, piece * d1 * sizeof *u);
  if (!u || !loss_rows_new(ctx->scratch, piece, &v) ||
      (p->look != LOOK_GRADIENT && !gram_new(p, piece, ctx->scratch, &gram)))
    return err_memory(ctx->err);
  for (uint32_t from = 0; from < panel->n; from += piece) {
    uint32_t n = panel->n - from < piece ? panel->n - from : piece;
    fill_piece(p, panel->x->a + from * d, n, u);
    k_gemv_rows(u, n, d1, p->beta, 0, v.f);
    loss_weigh(p->loss, p->mult, panel, from, n, v.w);
    loss_rows(p->loss, panel->y + from, n, &v, s);
    *s->g0 += k_sum(v.r, n);
    add_gradient(u, v.r, n, d, s->g);
    if (p->look == LOOK_SAMPLE) {
      *s->h00 += k_sum(v.curve, n);
      add_curvature(u, v.curve, n, d, s->h, s->diag);
    }
    if (p->look != LOOK_GRADIENT)
      gram_add(p, panel, from, u, v.curve, n, &gram);
  }
  if (p->look != LOOK_GRADIENT)
    gram_end(p, &gram, s);
  return ST_OK;
}

/* ---- sparse ---- */

static Status map_sparse(const GradientPar *p, const Panel *panel, Sums *s, Ctx *ctx) {
  const Matrix *x = panel->x;
  uint32_t n = panel->n, first = x->ptr[0];
  const uint32_t *col = x->col + first;
  LossRows v;
  double *u = arena_alloc64(ctx->scratch, ((size_t)x->ptr[n] - first + 1) * sizeof *u);
  if (!u || !loss_rows_new(ctx->scratch, n, &v))
    return err_memory(ctx->err);
  for (uint32_t i = 0; i < n; i++) {
    double f = p->a;
    for (uint32_t k = x->ptr[i] - first; k < x->ptr[i + 1] - first; k++) {
      uint32_t j = col[k];
      u[k] = (x->val[first + k] - p->shift[j]) * p->inv[j];
      f += p->beta[j] * u[k];
    }
    v.f[i] = f;
  }
  loss_weigh(p->loss, p->mult, panel, 0, n, v.w);
  loss_rows(p->loss, panel->y, n, &v, s);
  *s->g0 += k_sum(v.r, n);
  double *g = s->g;
  for (uint32_t i = 0; i < n; i++) {
    double r = v.r[i];
    for (uint32_t k = x->ptr[i] - first; k < x->ptr[i + 1] - first; k++)
      g[col[k]] += r * u[k];
  }
  if (p->look == LOOK_GRADIENT)
    return ST_OK;
  *s->h00 += k_sum(v.curve, n);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t end = x->ptr[i + 1] - first;
    for (uint32_t k = x->ptr[i] - first; k < end; k++) {
      double c = v.curve[i] * u[k];
      double *restrict row = s->hess + linear_tri(p->d, col[k]);
      s->h[col[k]] += c;
      for (uint32_t l = k; l < end; l++)
        row[col[l]] += c * u[l];
    }
  }
  return ST_OK;
}

static Status gradient_map(const void *par, const Panel *panel, void *partial, Ctx *ctx) {
  const GradientPar *p = par;
  Sums s;
  linear_sums_at(partial, p->d, p->look, &s);
  if (panel->n == 0)
    return ST_OK;
  return p->sparse ? map_sparse(p, panel, &s, ctx) : map_dense(p, panel, &s, ctx);
}

const Pass linear_gradient = {
    .name = "linear.gradient",
    .kind = RED_TREE,
    .open = gradient_open,
    .close = gradient_close,
    .partial_size = gradient_size,
    .init = gradient_init,
    .map = gradient_map,
    .merge = gradient_merge,
    .save = gradient_save,
    .load = gradient_load,
    .free = gradient_free,
};

double typical_gram(double d, const IrOption *option, uint32_t noption) {
  (void)option, (void)noption;
  return 8 * (d <= NEWTON_WIDTH ? (d + 1) * (d + 4) / 2 : d + 4);
}
