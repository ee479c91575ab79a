/* SPDX-License-Identifier: Apache-2.0 */
/* The pass linear.products: what the data say of some directions in the space of coefficients, k at a time.
 *
 * For directions v_1 .. v_k and t_ia = sum_j v_aj (u_ij - center_j) it sums w_i t_ia t_ib. rank.c asks it
 * whether directions that the Hessian shows as flat are so in the data: squared and summed there, a
 * direction's 1e-13 may be rounding alone; here the sum is taken before it is squared, and rounding alone is
 * below 1e-25. */
#include <string.h>

#include "stdlib/flat.h"
#include "stdlib/linear/linear.h"
#include "vm/kernel/dot.h"

typedef struct ProductsPar {
  bool sparse;
  uint32_t d, k;
  double *shift, *inv; /* d */
  double *v;           /* dense: k rows of d and a last entry, minus the sum over the centers. Sparse: d +
                        * 1 rows of k */
} ProductsPar;

/* u8 sparse; u32 d, k; shift, inv, then v as above */
void linear_products_par(const Space *s, const double *v, uint32_t k, Buf *par) {
  size_t d = s->d;
  buf_u8(par, s->sparse);
  buf_u32(par, s->d);
  buf_u32(par, k);
  if (d) {
    buf_put(par, s->shift, d * sizeof(double));
    buf_put(par, s->inv, d * sizeof(double));
  }
  for (size_t i = 0; i < (d + 1) * k; i++) {
    size_t a = s->sparse ? i % k : i / (d + 1), j = s->sparse ? i / k : i % (d + 1);
    buf_f64(par, j < d ? v[a * d + j] : s->intercept ? -k_dot(v + a * d, s->center, d) : 0);
  }
}

static void *products_open(Bytes bytes, Err *e) {
  Rd r = rd_of(bytes);
  bool sparse = rd_u8(&r) != 0;
  uint32_t d = rd_u32(&r), k = rd_u32(&r);
  size_t n = 2 * (size_t)d + ((size_t)d + 1) * (k <= PRODUCTS_MAX ? k : 0);
  const void *v = rd_take(&r, n * sizeof(double));
  if (!rd_done(&r)) {
    err_set(e, ST_FAULT, "CML0601", NULL, "the parameters of pass linear.products are damaged");
    return NULL;
  }
  ProductsPar *p = mem_alloc(sizeof *p + n * sizeof(double));
  if (!p) {
    err_memory(e);
    return NULL;
  }
  p->sparse = sparse;
  p->d = d;
  p->k = k;
  p->shift = (double *)(p + 1);
  p->inv = p->shift + d;
  p->v = p->inv + d;
  if (n)
    memcpy(p->shift, v, n * sizeof(double));
  return p;
}

static void products_close(void *par) {
  mem_free(par);
}

static size_t products_size(const void *par) {
  const ProductsPar *p = par;
  return (size_t)p->k * p->k * sizeof(double);
}

static void *products_init(const void *par, Err *e) {
  double *v = mem_alloc(products_size(par) + 1);
  if (!v)
    err_memory(e);
  return v;
}

static void products_free(const void *par, void *partial) {
  (void)par;
  mem_free(partial);
}

static Status products_map(const void *par, const Panel *panel, void *partial, Ctx *ctx) {
  const ProductsPar *p = par;
  const Matrix *x = panel->x;
  size_t d = p->d, k = p->k, n = panel->n;
  double *sum = partial;
  double *t = arena_alloc(ctx->scratch, (k * n + 1) * sizeof *t); /* t[a * n + i] */
  double *u = arena_alloc(ctx->scratch, (d + k + 1) * sizeof *u);
  if (!t || !u)
    return err_memory(ctx->err);
  for (size_t i = 0; i < n && p->sparse; i++) {
    memcpy(u, p->v + d * k, k * sizeof *u);
    for (uint32_t e = x->ptr[i]; e < x->ptr[i + 1]; e++) {
      double value = (x->val[e] - p->shift[x->col[e]]) * p->inv[x->col[e]];
      for (size_t a = 0; a < k; a++)
        u[a] += value * p->v[x->col[e] * k + a];
    }
    for (size_t a = 0; a < k; a++)
      t[a * n + i] = u[a];
  }
  for (size_t i = 0; i < n && !p->sparse; i++) {
    for (size_t j = 0; j < d; j++)
      u[j] = (x->a[i * d + j] - p->shift[j]) * p->inv[j];
    u[d] = 1;
    for (size_t a = 0; a < k; a++)
      t[a * n + i] = k_dot(u, p->v + a * (d + 1), d + 1);
  }
  for (size_t a = 0; a < k; a++)
    for (size_t b = a; b < k; b++) {
      double s = 0;
      for (size_t i = 0; i < n; i++)
        s += (panel->weight ? panel->weight[i] : 1) * (t[a * n + i] * t[b * n + i]);
      sum[a * k + b] += s;
    }
  return ST_OK;
}

static Status products_merge(const void *par, void *left, void *right, Err *e) {
  const ProductsPar *p = par;
  (void)e;
  double *l = left;
  const double *r = right;
  for (size_t i = 0; i < (size_t)p->k * p->k; i++)
    l[i] += r[i];
  return ST_OK;
}

static Status products_save(const void *par, const void *partial, Buf *out, Err *e) {
  return flat_save(partial, products_size(par), out, e);
}

static void *products_load(const void *par, Bytes in, Err *e) {
  return flat_load("linear.products", products_size(par), in, e);
}

const Pass linear_products = {
    .name = "linear.products",
    .kind = RED_TREE,
    .open = products_open,
    .close = products_close,
    .partial_size = products_size,
    .init = products_init,
    .map = products_map,
    .merge = products_merge,
    .save = products_save,
    .load = products_load,
    .free = products_free,
};
