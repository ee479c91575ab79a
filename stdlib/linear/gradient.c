/* SPDX-License-Identifier: Apache-2.0 */
/* The pass behind every iteration: loss, gradient and, where asked for, Hessian at one point, in one look at
 * the rows.
 *
 * Per row: f = a + sum_j beta_j u_j, the loss, r = d loss / d f and D = d2 loss / d f2 (both times the
 * weight). Then g += r u, and hess += D u u' with u extended by a 1 for the intercept.
 *
 *   squared   loss = (y - f)^2 / 2    r = f - y       D = 1
 *   logistic  t = f for y = 0, -f for y = 1: loss = log(1 + e^t), q = sigmoid(t) (the probability given to
 *             the wrong class), r = q or -q, D = q (1 - q). Nothing cancels however sure the model is.
 *
 * Dense panels are copied into u in pieces that stay in the cache; rows of a piece are scaled by sqrt(D) and
 * OpenBLAS forms their Gram matrix (dsyrk: measured 1.2 to 1.7 times a kernel of our own from 8 to 500
 * columns). Sparse rows update the pairs of their entries. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "stdlib/linear/linear.h"
#include "vm/blas.h"
#include "vm/kernel/dot.h"
#include "vm/kernel/math.h"

enum {
  PIECE_DOUBLES = 8192, /* of u: 64 KiB, well inside a usual L2 cache */
  PIECE_ROWS_MIN = 128, /* fewer would keep dsyrk busy with its own output */
};

typedef struct GradientPar {
  LinLoss loss;
  bool sparse, hess;
  uint32_t d;
  double mult[MOMENT_CLASSES];
  double a;
  double *beta, *shift, *inv; /* d each; beta has one more entry: a */
  const Blas *blas;
} GradientPar;

/* u8 loss, sparse, hess; u32 d; f64 multipliers, a; then beta, shift, inv */
void linear_gradient_par(const Space *s, const LinPoint *p, bool hess, Buf *par) {
  size_t n = (size_t)s->d * sizeof(double);
  buf_u8(par, s->loss);
  buf_u8(par, s->sparse);
  buf_u8(par, hess);
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
  head.hess = rd_u8(&r) != 0;
  head.d = rd_u32(&r);
  for (int c = 0; c < MOMENT_CLASSES; c++)
    head.mult[c] = rd_f64(&r);
  head.a = rd_f64(&r);
  size_t d = head.d;
  const void *v = rd_take(&r, 3 * d * sizeof(double));
  if (!rd_done(&r)) {
    err_set(e, ST_FAULT, "CML0601", NULL, "the parameters of pass linear.gradient are damaged");
    return NULL;
  }
  if (head.hess && !head.sparse && !(head.blas = blas_get(e)))
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

size_t linear_sums_doubles(uint32_t d, bool hess) {
  return 4 + (size_t)d + (hess ? d + (size_t)d * ((size_t)d + 1) / 2 : 0);
}

void linear_sums_at(double *v, uint32_t d, bool hess, Sums *out) {
  *out = (Sums){.v = v, .loss = v, .margin = v + 1, .g0 = v + 2, .h00 = v + 3, .g = v + 4};
  if (hess) {
    out->h = v + 4 + d;
    out->hess = v + 4 + 2 * (size_t)d;
  }
}

static size_t gradient_size(const void *par) {
  const GradientPar *p = par;
  return linear_sums_doubles(p->d, p->hess) * sizeof(double);
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
  size_t n = linear_sums_doubles(p->d, p->hess);
  l[1] = 0; /* no inf + inf below */
  for (size_t i = 0; i < n; i++)
    l[i] += i == 1 ? 0 : r[i];
  l[1] = margin;
  return ST_OK;
}

static Status gradient_save(const void *par, const void *partial, Buf *out, Err *e) {
  buf_put(out, partial, gradient_size(par));
  return out->bad ? err_memory(e) : ST_OK;
}

static void *gradient_load(const void *par, Bytes in, Err *e) {
  size_t n = gradient_size(par);
  if (in.n != n) {
    err_set(e, ST_FAULT, "CML0601", NULL, "a partial result of pass linear.gradient is damaged");
    return NULL;
  }
  double *v = mem_alloc(n);
  if (v)
    memcpy(v, in.p, n);
  else
    err_memory(e);
  return v;
}

/* ---- loss ---- */

typedef struct Rows { /* what one panel (or piece) of n rows needs; each n */
  double *w, *f, *t, *r, *curve;
} Rows;

static bool rows_new(Arena *a, uint32_t n, Rows *out) {
  size_t each = ((size_t)n + 7) & ~(size_t)7;
  double *v = arena_alloc64(a, (5 * each + 8) * sizeof *v);
  *out = (Rows){v, v + each, v + 2 * each, v + 3 * each, v + 4 * each};
  return v != NULL;
}

/* From w, f and y: r and curve (= D), both weighted; adds to loss and margin. t is scratch. */
static void loss_rows(const GradientPar *p, const double *y, uint32_t n, Rows *v, Sums *s) {
  double *restrict f = v->f, *restrict t = v->t, *restrict r = v->r, *restrict curve = v->curve;
  const double *restrict w = v->w;
  if (p->loss == LOSS_SQUARED) {
    for (uint32_t i = 0; i < n; i++) {
      double q = f[i] - y[i];
      t[i] = w[i] * (0.5 * q * q);
      r[i] = w[i] * q;
      curve[i] = w[i];
    }
    *s->loss += k_sum(t, n);
    return;
  }
  double margin = *s->margin;
  for (uint32_t i = 0; i < n; i++) {
    t[i] = y[i] == 1 ? -f[i] : f[i];
    double m = w[i] > 0 ? -t[i] : INFINITY;
    margin = m < margin ? m : margin;
  }
  *s->margin = margin;
  k_sigmoid(t, r, n);
  k_softplus(t, t, n);
  for (uint32_t i = 0; i < n; i++) {
    double q = r[i];
    t[i] *= w[i];
    curve[i] = w[i] * (q * (1 - q));
    r[i] = w[i] * (y[i] == 1 ? -q : q);
  }
  *s->loss += k_sum(t, n);
}

static void weigh_rows(const GradientPar *p, const Panel *panel, uint32_t from, uint32_t n, double *w) {
  for (uint32_t i = 0; i < n; i++) {
    double weight = panel->weight ? panel->weight[from + i] : 1;
    w[i] = p->loss == LOSS_LOGISTIC ? weight * p->mult[panel->y[from + i] == 1] : weight;
  }
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

static void scale_rows(double *u, const double *curve, uint32_t n, size_t stride) {
  for (uint32_t i = 0; i < n; i++) {
    double s = sqrt(curve[i]);
    for (size_t j = 0; j < stride; j++)
      u[i * stride + j] *= s;
  }
}

static Status map_dense(const GradientPar *p, const Panel *panel, Sums *s, Ctx *ctx) {
  size_t d = p->d, d1 = d + 1;
  size_t fit = PIECE_DOUBLES / d1 & ~(size_t)7;
  uint32_t piece = fit < PIECE_ROWS_MIN ? PIECE_ROWS_MIN : fit > PANEL_ROWS ? PANEL_ROWS : (uint32_t)fit;
  Rows v;
  double *u = arena_alloc64(ctx->scratch, piece * d1 * sizeof *u);
  double *gram = p->hess ? arena_alloc64(ctx->scratch, d1 * d1 * sizeof *gram) : NULL;
  if (!u || (p->hess && !gram) || !rows_new(ctx->scratch, piece, &v))
    return err_memory(ctx->err);
  for (uint32_t from = 0; from < panel->n; from += piece) {
    uint32_t n = panel->n - from < piece ? panel->n - from : piece;
    fill_piece(p, panel->x->a + from * d, n, u);
    k_gemv_rows(u, n, d1, p->beta, 0, v.f);
    weigh_rows(p, panel, from, n, v.w);
    loss_rows(p, panel->y + from, n, &v, s);
    *s->g0 += k_sum(v.r, n);
    add_gradient(u, v.r, n, d, s->g);
    if (p->hess) {
      int order = (int)d1, rows = (int)n;
      double one = 1;
      scale_rows(u, v.curve, n, d1);
      p->blas->syrk("L", "N", &order, &rows, &one, u, &order, &one, gram, &order, 1, 1);
    }
  }
  if (p->hess) { /* column-major lower = row-major upper */
    double *restrict hess = s->hess;
    for (size_t j = 0; j < d; j++) {
      const double *restrict row = gram + j * d1;
      for (size_t k = j; k < d; k++)
        *hess++ += row[k];
      s->h[j] += row[d];
    }
    *s->h00 += gram[d * d1 + d];
  }
  return ST_OK;
}

/* ---- sparse ---- */

static Status map_sparse(const GradientPar *p, const Panel *panel, Sums *s, Ctx *ctx) {
  const Matrix *x = panel->x;
  uint32_t n = panel->n, first = x->ptr[0];
  const uint32_t *col = x->col + first;
  Rows v;
  double *u = arena_alloc64(ctx->scratch, ((size_t)x->ptr[n] - first + 1) * sizeof *u);
  if (!u || !rows_new(ctx->scratch, n, &v))
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
  weigh_rows(p, panel, 0, n, v.w);
  loss_rows(p, panel->y, n, &v, s);
  *s->g0 += k_sum(v.r, n);
  double *g = s->g;
  for (uint32_t i = 0; i < n; i++) {
    double r = v.r[i];
    for (uint32_t k = x->ptr[i] - first; k < x->ptr[i + 1] - first; k++)
      g[col[k]] += r * u[k];
  }
  if (!p->hess)
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
  linear_sums_at(partial, p->d, p->hess, &s);
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
