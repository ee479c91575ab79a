/* SPDX-License-Identifier: Apache-2.0 */
/* The passes of multinomial logistic regression: classes counted, moments, and loss with gradient and
 * Hessian; and what a trained model says of rows.
 *
 * Per row: f_k for each class, e_k = exp(f_k - max f), p_k = e_k / sum e. Then
 *
 *   loss    (max f - f_y) + log1p(the sum of all e but the greatest, which is 1): nothing cancels however
 *           sure the model is
 *   r_k     w p_k, for the row's own class -w (sum of the others' e) / sum e;  gradient += r u'
 *   Hessian its (k, l) block is -G_kl with G_kl = sum w p_k p_l u u' for k != l, and sum over l != k of G_kl
 *           on the diagonal, since the p_k add up to 1. So only the K (K - 1) / 2 pairs are formed, each by
 *           dsyrk on rows scaled by sqrt(w p_k p_l).
 *
 * D. Boehning, "Multinomial logistic regression algorithm", Ann. Inst. Statist. Math. 44 (1992) has
 * gradient and Hessian. */
#include <math.h>
#include <string.h>

#include "stdlib/flat.h"
#include "stdlib/linear/multinomial.h"
#include "vm/kernel/dot.h"
#include "vm/kernel/math.h"

enum {
  PIECE_DOUBLES = 16384, /* of a piece of rows with all that is kept of it: within a usual L2 cache */
  PIECE_ROWS_MIN = 64,
};

/* ---- classes ---- */

typedef struct ClassesPar {
  uint32_t nclass;
} ClassesPar;

void softmax_classes_par(uint32_t nclass, Buf *par) {
  buf_u32(par, nclass);
}

static Status damaged(Err *e, const char *pass) {
  return err_set(e, ST_FAULT, "CML0601", NULL, "parameters or a partial result of pass %s are damaged", pass);
}

static void *classes_open(Bytes bytes, Err *e) {
  Rd r = rd_of(bytes);
  uint32_t n = rd_u32(&r);
  ClassesPar *p = rd_done(&r) && n && n <= CLASSES_MAX ? mem_alloc(sizeof *p) : NULL;
  if (p)
    p->nclass = n;
  else
    damaged(e, "softmax.classes");
  return p;
}

static void par_close(void *par) {
  mem_free(par);
}

static size_t classes_size(const void *par) {
  return 2 * ((const ClassesPar *)par)->nclass * sizeof(double);
}

static void *classes_init(const void *par, Err *e) {
  double *v = mem_alloc(classes_size(par));
  if (!v)
    err_memory(e);
  return v;
}

static Status classes_map(const void *par, const Panel *p, void *partial, Ctx *ctx) {
  uint32_t k = ((const ClassesPar *)par)->nclass;
  double *rows = partial, *weight = rows + k;
  for (uint32_t i = 0; i < p->n; i++) {
    double w = p->weight ? p->weight[i] : 1, y = p->y[i];
    if (!(w >= 0 && w <= 1e150)) {
      linear_row_error(ctx, p, i, "weight", "the weight %.17g is not a number from 0 to 1e150", w);
    } else if (!(y >= 0 && y < k) || y != floor(y)) {
      linear_row_error(ctx, p, i, "target", "the target %.17g is the number of no class", y);
    } else if (w > 0) {
      rows[(uint32_t)y]++;
      weight[(uint32_t)y] += w;
    }
  }
  return ST_OK;
}

static Status classes_merge(const void *par, void *l, void *r, Err *e) {
  (void)e;
  for (size_t i = 0; i < classes_size(par) / sizeof(double); i++)
    ((double *)l)[i] += ((const double *)r)[i];
  return ST_OK;
}

static Status classes_save(const void *par, const void *partial, Buf *out, Err *e) {
  return flat_save(partial, classes_size(par), out, e);
}

static void *classes_load(const void *par, Bytes in, Err *e) {
  return flat_load("softmax.classes", classes_size(par), in, e);
}

static void partial_free(const void *par, void *partial) {
  (void)par;
  mem_free(partial);
}

const Pass softmax_classes = {
    .name = "softmax.classes",
    .kind = RED_TREE,
    .open = classes_open,
    .close = par_close,
    .partial_size = classes_size,
    .init = classes_init,
    .map = classes_map,
    .merge = classes_merge,
    .save = classes_save,
    .load = classes_load,
    .free = partial_free,
};

/* ---- moments ---- */

typedef struct MomentsOf {
  uint32_t nclass;
  double *mult;
  void *inner; /* of linear.moments */
} MomentsOf;

void softmax_moments_par(uint32_t d, bool sparse, uint32_t nclass, const double *mult, Buf *par) {
  buf_u32(par, nclass);
  buf_put(par, mult, nclass * sizeof *mult);
  linear_moments_par(d, false, sparse, par);
}

static void moments_close(void *par) {
  MomentsOf *p = par;
  if (p->inner)
    linear_moments.close(p->inner);
  mem_free(p->mult);
  mem_free(p);
}

static void *moments_open(Bytes bytes, Err *e) {
  Rd r = rd_of(bytes);
  uint32_t n = rd_u32(&r);
  const void *mult = n <= CLASSES_MAX ? rd_take(&r, n * sizeof(double)) : NULL;
  MomentsOf *p = mult ? mem_alloc(sizeof *p) : NULL;
  if (p)
    p->mult = mem_alloc(n * sizeof *p->mult);
  if (!p || !p->mult) {
    mem_free(p);
    damaged(e, "softmax.moments");
    return NULL;
  }
  p->nclass = n;
  memcpy(p->mult, mult, n * sizeof *p->mult);
  p->inner = linear_moments.open((Bytes){r.p, (size_t)(r.end - r.p)}, e);
  if (p->inner)
    return p;
  moments_close(p);
  return NULL;
}

static size_t moments_size(const void *par) {
  return linear_moments.partial_size(((const MomentsOf *)par)->inner);
}

static void *moments_init(const void *par, Err *e) {
  return linear_moments.init(((const MomentsOf *)par)->inner, e);
}

/* The weight of a row with that of its class; a target that is none was refused when classes were counted. */
static double row_weight(const Panel *p, uint32_t i, const double *mult, uint32_t nclass) {
  double y = p->y[i];
  return (p->weight ? p->weight[i] : 1) * (y >= 0 && y < nclass ? mult[(uint32_t)y] : 0);
}

static Status moments_map(const void *par, const Panel *p, void *partial, Ctx *ctx) {
  const MomentsOf *q = par;
  double *w = arena_alloc64(ctx->scratch, (p->n + (size_t)1) * sizeof *w);
  if (!w)
    return err_memory(ctx->err);
  for (uint32_t i = 0; i < p->n; i++)
    w[i] = row_weight(p, i, q->mult, q->nclass);
  Panel weighed = *p;
  weighed.weight = w;
  return linear_moments.map(q->inner, &weighed, partial, ctx);
}

static Status moments_merge(const void *par, void *l, void *r, Err *e) {
  return linear_moments.merge(((const MomentsOf *)par)->inner, l, r, e);
}

static Status moments_save(const void *par, const void *partial, Buf *out, Err *e) {
  return linear_moments.save(((const MomentsOf *)par)->inner, partial, out, e);
}

static void *moments_load(const void *par, Bytes in, Err *e) {
  return linear_moments.load(((const MomentsOf *)par)->inner, in, e);
}

static void moments_free(const void *par, void *partial) {
  linear_moments.free(((const MomentsOf *)par)->inner, partial);
}

const Pass softmax_moments = {
    .name = "softmax.moments",
    .kind = RED_TREE,
    .open = moments_open,
    .close = moments_close,
    .partial_size = moments_size,
    .init = moments_init,
    .map = moments_map,
    .merge = moments_merge,
    .save = moments_save,
    .load = moments_load,
    .free = moments_free,
};

/* ---- loss, gradient, Hessian ---- */

typedef struct SoftPar {
  bool sparse, hess;
  uint32_t d, k;
  double *mult;         /* k */
  double *theta;        /* (d + 1) x k */
  double *shift, *inv;  /* d each */
  double *by_class;     /* k x (d + 1): theta, class after class */
  const Blas *blas;
} SoftPar; /* the arrays lie behind it */

void softmax_gradient_par(const Space *s, uint32_t nclass, const double *mult, const double *theta, bool hess,
                          Buf *par) {
  size_t d = s->d;
  buf_u8(par, s->sparse);
  buf_u8(par, hess);
  buf_u32(par, s->d);
  buf_u32(par, nclass);
  buf_put(par, mult, nclass * sizeof *mult);
  buf_put(par, theta, (d + 1) * nclass * sizeof *theta);
  if (d) {
    buf_put(par, s->shift, d * sizeof *s->shift);
    buf_put(par, s->inv, d * sizeof *s->inv);
  }
}

static void *gradient_open(Bytes bytes, Err *e) {
  Rd r = rd_of(bytes);
  SoftPar head = {0};
  head.sparse = rd_u8(&r) != 0;
  head.hess = rd_u8(&r) != 0;
  head.d = rd_u32(&r);
  head.k = rd_u32(&r);
  size_t d = head.d, k = head.k, n = k + (d + 1) * k + 2 * d;
  const void *v = k && k <= CLASSES_MAX && d < INT32_MAX ? rd_take(&r, n * sizeof(double)) : NULL;
  if (!v || !rd_done(&r)) {
    damaged(e, "softmax.gradient");
    return NULL;
  }
  if (!head.sparse && !(head.blas = blas_get(e)))
    return NULL;
  SoftPar *p = mem_alloc(sizeof *p + (n + (d + 1) * k) * sizeof(double));
  if (!p) {
    err_memory(e);
    return NULL;
  }
  *p = head;
  p->mult = (double *)(p + 1);
  p->theta = p->mult + k;
  p->shift = p->theta + (d + 1) * k;
  p->inv = p->shift + d;
  p->by_class = p->inv + d;
  memcpy(p->mult, v, n * sizeof(double));
  for (size_t c = 0; c < k; c++)
    for (size_t j = 0; j <= d; j++)
      p->by_class[c * (d + 1) + j] = p->theta[j * k + c];
  return p;
}

size_t soft_sums_doubles(uint32_t d, uint32_t nclass, bool hess) {
  size_t d1 = (size_t)d + 1, k = nclass;
  return 2 + d1 * k + (hess ? k * (k - 1) / 2 * d1 * d1 : 0);
}

void soft_sums_at(double *v, uint32_t d, uint32_t nclass, SoftSums *out) {
  *out = (SoftSums){.loss = v, .margin = v + 1, .g = v + 2, .pair = v + 2 + ((size_t)d + 1) * nclass};
}

static size_t gradient_size(const void *par) {
  const SoftPar *p = par;
  return soft_sums_doubles(p->d, p->k, p->hess) * sizeof(double);
}

static void *gradient_init(const void *par, Err *e) {
  double *v = mem_alloc(gradient_size(par));
  if (v)
    v[1] = INFINITY; /* margin */
  else
    err_memory(e);
  return v;
}

static Status gradient_merge(const void *par, void *left, void *right, Err *e) {
  double *restrict l = left;
  const double *restrict r = right;
  size_t n = gradient_size(par) / sizeof(double);
  (void)e;
  l[0] += r[0];
  l[1] = r[1] < l[1] ? r[1] : l[1];
  for (size_t i = 2; i < n; i++)
    l[i] += r[i];
  return ST_OK;
}

static Status gradient_save(const void *par, const void *partial, Buf *out, Err *e) {
  return flat_save(partial, gradient_size(par), out, e);
}

static void *gradient_load(const void *par, Bytes in, Err *e) {
  return flat_load("softmax.gradient", gradient_size(par), in, e);
}

typedef struct SoftRows { /* of n rows of a piece; f, p and r: class after class, n each */
  double *w, *most, *rest, *sum; /* n each: weight; greatest f; sum of the e of other classes than the
                                  * row's own; of all */
  double *f;                     /* becomes e, then p */
  double *r;                     /* w (p - [own class]) */
} SoftRows;

static bool rows_new(Arena *a, uint32_t n, uint32_t k, SoftRows *out) {
  size_t each = ((size_t)n + 7) & ~(size_t)7;
  double *v = arena_alloc64(a, (4 + 2 * (size_t)k) * each * sizeof *v);
  *out = (SoftRows){v, v + each, v + 2 * each, v + 3 * each, v + 4 * each, v + (4 + (size_t)k) * each};
  return v != NULL;
}

/* From f (n x k, class after class) and y to p, r, loss and margin. */
static void softmax_rows(const SoftPar *p, const Panel *panel, uint32_t from, uint32_t n, SoftRows *v,
                         SoftSums *s) {
  size_t k = p->k;
  double *restrict most = v->most, *restrict rest = v->rest, *restrict sum = v->sum, *restrict f = v->f,
                   *restrict r = v->r;
  double margin = *s->margin;
  memcpy(most, f, n * sizeof *most);
  for (size_t c = 1; c < k; c++)
    for (uint32_t i = 0; i < n; i++)
      most[i] = f[c * n + i] > most[i] ? f[c * n + i] : most[i];
  for (uint32_t i = 0; i < n; i++) {
    uint32_t own = (uint32_t)panel->y[from + i];
    v->w[i] = row_weight(panel, from + i, p->mult, p->k);
    sum[i] = most[i] - f[own * n + i]; /* what the loss begins with */
    double other = -INFINITY;
    for (size_t c = 0; c < k; c++)
      other = c != own && f[c * n + i] > other ? f[c * n + i] : other;
    if (v->w[i] > 0 && f[own * n + i] - other < margin)
      margin = f[own * n + i] - other;
  }
  *s->margin = margin;
  for (size_t c = 0; c < k; c++)
    for (uint32_t i = 0; i < n; i++)
      f[c * n + i] -= most[i];
  k_exp(f, f, n * k);
  /* all but the greatest (the first of several), and all but the row's own */
  for (uint32_t i = 0; i < n; i++) {
    uint32_t own = (uint32_t)panel->y[from + i];
    double small = 0, others = 0;
    bool met = false;
    for (size_t c = 0; c < k; c++) {
      double e = f[c * n + i];
      bool greatest = !met && e == 1;
      met |= greatest;
      small += greatest ? 0 : e;
      others += c == own ? 0 : e;
    }
    r[i] = small;
    rest[i] = others;
  }
  k_log1p(r, most, n);
  for (uint32_t i = 0; i < n; i++) {
    most[i] = v->w[i] * (sum[i] + most[i]);
    sum[i] = 1 + r[i];
  }
  *s->loss += k_sum(most, n);
  for (size_t c = 0; c < k; c++)
    for (uint32_t i = 0; i < n; i++) {
      double q = f[c * n + i] / sum[i];
      f[c * n + i] = q;
      r[c * n + i] = v->w[i] * (panel->y[from + i] == (double)c ? -rest[i] / sum[i] : q);
    }
}

/* rows of x, shifted and scaled, then a 1 */
static void fill_piece(const SoftPar *p, const double *x, uint32_t n, double *u) {
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

/* pair (k, l) += sum of w p_k p_l u u' */
static void add_pairs(const SoftPar *p, const double *u, uint32_t n, const SoftRows *v, double *scaled,
                      SoftSums *s) {
  size_t d1 = (size_t)p->d + 1;
  int order = (int)d1, rows = (int)n;
  double one = 1, *pair = s->pair;
  for (size_t k = 0; k < p->k; k++)
    for (size_t l = k + 1; l < p->k; l++, pair += d1 * d1) {
      for (uint32_t i = 0; i < n; i++) {
        double c = sqrt(v->w[i] * v->f[k * n + i] * v->f[l * n + i]);
        const double *restrict from = u + i * d1;
        double *restrict to = scaled + i * d1;
        for (size_t j = 0; j < d1; j++)
          to[j] = c * from[j];
      }
      p->blas->syrk("L", "N", &order, &rows, &one, scaled, &order, &one, pair, &order, 1, 1);
    }
}

static Status map_dense(const SoftPar *p, const Panel *panel, SoftSums *s, Ctx *ctx) {
  size_t d1 = (size_t)p->d + 1, k = p->k;
  size_t fit = PIECE_DOUBLES / (2 * d1 + 2 * k) & ~(size_t)7;
  uint32_t piece = fit < PIECE_ROWS_MIN ? PIECE_ROWS_MIN : fit > PANEL_ROWS ? PANEL_ROWS : (uint32_t)fit;
  SoftRows v;
  double *u = arena_alloc64(ctx->scratch, piece * d1 * sizeof *u);
  double *scaled = p->hess ? arena_alloc64(ctx->scratch, piece * d1 * sizeof *scaled) : NULL;
  if (!u || (p->hess && !scaled) || !rows_new(ctx->scratch, piece, p->k, &v))
    return err_memory(ctx->err);
  for (uint32_t from = 0; from < panel->n; from += piece) {
    uint32_t n = panel->n - from < piece ? panel->n - from : piece;
    int rows = (int)n, order = (int)d1, classes = (int)k;
    double one = 1;
    fill_piece(p, panel->x->a + from * (size_t)p->d, n, u);
    for (size_t c = 0; c < k; c++)
      k_gemv_rows(u, n, d1, p->by_class + c * d1, 0, v.f + c * n);
    softmax_rows(p, panel, from, n, &v, s);
    p->blas->gemm("T", "T", &classes, &order, &rows, &one, v.r, &rows, u, &order, &one, s->g, &classes, 1, 1);
    if (p->hess)
      add_pairs(p, u, n, &v, scaled, s);
  }
  return ST_OK;
}

/* Row i: its entries in u, the constant last. Returns their number. */
static uint32_t sparse_row(const SoftPar *p, const Matrix *x, uint32_t i, uint32_t *col, double *u) {
  uint32_t n = 0;
  for (uint32_t e = x->ptr[i]; e < x->ptr[i + 1]; e++, n++) {
    col[n] = x->col[e];
    u[n] = (x->val[e] - p->shift[col[n]]) * p->inv[col[n]];
  }
  col[n] = p->d;
  u[n] = 1;
  return n + 1;
}

static void sparse_pairs(const SoftPar *p, uint32_t i, uint32_t n, const SoftRows *v, const uint32_t *col,
                         const double *u, uint32_t entries, SoftSums *s) {
  size_t d1 = (size_t)p->d + 1;
  double *pair = s->pair;
  for (size_t k = 0; k < p->k; k++)
    for (size_t l = k + 1; l < p->k; l++, pair += d1 * d1) {
      double c = v->w[i] * v->f[k * n + i] * v->f[l * n + i];
      for (uint32_t a = 0; a < entries; a++) {
        double ca = c * u[a], *restrict to = pair + col[a] * d1;
        for (uint32_t b = a; b < entries; b++)
          to[col[b]] += ca * u[b];
      }
    }
}

static Status map_sparse(const SoftPar *p, const Panel *panel, SoftSums *s, Ctx *ctx) {
  const Matrix *x = panel->x;
  size_t k = p->k;
  SoftRows v;
  uint32_t n = panel->n, most = 0;
  for (uint32_t i = 0; i < n; i++)
    most = x->ptr[i + 1] - x->ptr[i] > most ? x->ptr[i + 1] - x->ptr[i] : most;
  uint32_t *col = arena_alloc64(ctx->scratch, (most + (size_t)1) * sizeof *col);
  double *u = arena_alloc64(ctx->scratch, (most + (size_t)1) * sizeof *u);
  double *f = arena_alloc64(ctx->scratch, k * sizeof *f);
  if (!col || !u || !f || !rows_new(ctx->scratch, n, p->k, &v))
    return err_memory(ctx->err);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t entries = sparse_row(p, x, i, col, u);
    memset(f, 0, k * sizeof *f);
    for (uint32_t a = 0; a < entries; a++) {
      const double *restrict t = p->theta + col[a] * k;
      for (size_t c = 0; c < k; c++)
        f[c] += t[c] * u[a];
    }
    for (size_t c = 0; c < k; c++)
      v.f[c * n + i] = f[c];
  }
  softmax_rows(p, panel, 0, n, &v, s);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t entries = sparse_row(p, x, i, col, u);
    for (size_t c = 0; c < k; c++)
      f[c] = v.r[c * n + i];
    for (uint32_t a = 0; a < entries; a++) {
      double *restrict g = s->g + col[a] * k;
      for (size_t c = 0; c < k; c++)
        g[c] += f[c] * u[a];
    }
    if (p->hess)
      sparse_pairs(p, i, n, &v, col, u, entries, s);
  }
  return ST_OK;
}

static Status gradient_map(const void *par, const Panel *panel, void *partial, Ctx *ctx) {
  const SoftPar *p = par;
  SoftSums s;
  soft_sums_at(partial, p->d, p->k, &s);
  if (panel->n == 0)
    return ST_OK;
  return p->sparse ? map_sparse(p, panel, &s, ctx) : map_dense(p, panel, &s, ctx);
}

const Pass softmax_gradient = {
    .name = "softmax.gradient",
    .kind = RED_TREE,
    .open = gradient_open,
    .close = par_close,
    .partial_size = gradient_size,
    .init = gradient_init,
    .map = gradient_map,
    .merge = gradient_merge,
    .save = gradient_save,
    .load = gradient_load,
    .free = partial_free,
};

/* ---- predictions ---- */

/* The scores of one row become probabilities, separately rounded. */
static void softmax_row(double *f, uint32_t nclass) {
  double most = f[0];
  for (uint32_t c = 1; c < nclass; c++)
    most = f[c] > most ? f[c] : most;
  for (uint32_t c = 0; c < nclass; c++)
    f[c] -= most;
  k_exp(f, f, nclass);
  double sum = k_sum(f, nclass);
  for (uint32_t c = 0; c < nclass; c++)
    f[c] /= sum;
}

void multinomial_predict(const Model *m, const Matrix *x, double *out) {
  enum { ROWS = 256 };
  const double *b = model_tensor(m, "coefficients")->v, *b0 = model_tensor(m, "intercept")->v;
  double f[ROWS];
  for (uint32_t from = 0; from < x->n; from += ROWS) {
    uint32_t n = x->n - from < ROWS ? x->n - from : ROWS;
    double *to = out + (size_t)from * m->nclass;
    for (uint32_t c = 0; c < m->nclass; c++) {
      const double *bc = b + (size_t)c * m->d;
      for (uint32_t i = 0; i < n; i++)
        f[i] = b0[c];
      if (x->d && x->a)
        k_gemv_rows(x->a + (size_t)from * x->d, n, x->d, bc, b0[c], f);
      else if (x->d)
        k_spmv_rows(x->ptr + from, x->col, x->val, n, bc, b0[c], f);
      for (uint32_t i = 0; i < n; i++)
        to[(size_t)i * m->nclass + c] = f[i];
    }
    for (uint32_t i = 0; i < n; i++)
      softmax_row(to + (size_t)i * m->nclass, m->nclass);
  }
}

Status multinomial_verify(const Model *m, Err *e) {
  const char *const name[] = {"coefficients", "intercept"};
  const uint32_t rows[] = {m->nclass, 1}, cols[] = {m->d, m->nclass};
  for (int i = 0; i < 2; i++) {
    const Tensor *t = model_tensor(m, name[i]);
    bool good = t && t->rows == rows[i] && t->cols == cols[i];
    for (size_t j = 0; good && j < (size_t)t->rows * t->cols; j++)
      good = fabs(t->v[j]) < INFINITY;
    if (!good)
      return err_set(e, ST_DATA, "CML0455", "Write the bundle again.",
                     "the model's tensor `%s` is missing, has the wrong size, or a value that is not finite",
                     name[i]);
  }
  return ST_OK;
}
