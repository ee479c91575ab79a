/* SPDX-License-Identifier: Apache-2.0 */
/* The pass of L-BFGS over sparse rows: loss and gradient at one point, and now and then the curvature that
 * its first guess of the inverse Hessian is made of. Rows have few entries and columns are many: what counts
 * is that an entry touches one number of the point and one of the gradient.
 *
 *   f = a + sum_j slope_j (x_j - shift_j)   with slope_j = beta_j inv_j
 *   g_j += r (x_j - shift_j)
 *
 * so sums are by x; linear_wide_scale makes them those by u. With `curved`: diag_j of all rows, and of a
 * sample of them the products of each two heavy columns, which most rows have. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "stdlib/flat.h"
#include "stdlib/linear/linear.h"
#include "vm/kernel/dot.h"

enum { SOME_ROWS = 64 };

#define SAMPLE_KEY UINT64_C(0x77696465)

typedef struct WidePar {
  LinLoss loss;
  bool shifted;
  uint32_t d, heavy;        /* heavy: 0 without curvature */
  bool curved;
  uint32_t sample;          /* one row of 2^sample */
  double mult[MOMENT_CLASSES];
  double a;
  double *slope, *shift;    /* d each; shift: NULL where all are 0 */
  uint32_t *place;          /* d: of a heavy column its number + 1; else 0 */
} WidePar;

size_t linear_wide_doubles(uint32_t d, const Heavy *h) {
  size_t k = h ? h->n : 0;
  return 4 + (size_t)d + (h ? d + 1 + k + k * (k + 1) / 2 : 0);
}

void linear_wide_at(double *v, uint32_t d, const Heavy *h, Sums *out) {
  linear_sums_at(v, d, LOOK_GRADIENT, out);
  if (!h)
    return;
  out->diag = out->g + d;
  out->s00 = out->diag + d;
  out->sh = out->s00 + 1;
  out->hess = out->sh + h->n;
}

void linear_wide_scale(const Space *s, const Heavy *h, Sums *at) {
  for (uint32_t j = 0; j < s->d; j++)
    at->g[j] *= s->inv[j];
  for (uint32_t j = 0; j < s->d && h; j++)
    at->diag[j] *= s->inv[j] * s->inv[j];
  double *hess = at->hess;
  for (uint32_t i = 0; h && i < h->n; i++) {
    double inv = s->inv[h->column[i]];
    at->sh[i] *= inv;
    for (uint32_t k = i; k < h->n; k++)
      *hess++ *= inv * s->inv[h->column[k]];
  }
}

/* u8 loss, shifted, curved, sample; u32 d, heavy; f64 multipliers, a, slope, shift if any; heavy columns */
void linear_wide_par(const Space *s, const LinPoint *p, const Heavy *h, Buf *par) {
  bool shifted = false;
  for (uint32_t j = 0; j < s->d; j++)
    shifted |= s->inv[j] != 0 && s->shift[j] != 0;
  buf_u8(par, s->loss);
  buf_u8(par, shifted);
  buf_u8(par, h != NULL);
  buf_u8(par, h ? (uint8_t)h->sample : 0);
  buf_u32(par, s->d);
  buf_u32(par, h ? h->n : 0);
  for (int c = 0; c < MOMENT_CLASSES; c++)
    buf_f64(par, s->weight[c]);
  buf_f64(par, p->a);
  for (uint32_t j = 0; j < s->d;) {
    double slope[256];
    uint32_t n = 0;
    for (; n < 256 && j < s->d; n++, j++)
      slope[n] = p->beta[j] * s->inv[j];
    buf_put(par, slope, n * sizeof *slope);
  }
  if (shifted)
    buf_put(par, s->shift, (size_t)s->d * sizeof(double));
  for (uint32_t i = 0; h && i < h->n; i++)
    buf_u32(par, h->column[i]);
}

static void wide_close(void *par) {
  WidePar *p = par;
  mem_free(p->place);
  mem_free(p);
}

static Status read_heavy(WidePar *p, Rd *r, Err *e) {
  p->place = mem_alloc(((size_t)p->d + 1) * sizeof *p->place);
  if (!p->place)
    return err_memory(e);
  for (uint32_t i = 0; i < p->heavy; i++) {
    uint32_t j = rd_u32(r);
    if (j >= p->d)
      return err_set(e, ST_FAULT, "CML0601", NULL, "the parameters of pass linear.wide are damaged");
    p->place[j] = i + 1;
  }
  return ST_OK;
}

static void *wide_open(Bytes bytes, Err *e) {
  Rd r = rd_of(bytes);
  WidePar head = {0};
  head.loss = rd_u8(&r) ? LOSS_LOGISTIC : LOSS_SQUARED;
  head.shifted = rd_u8(&r) != 0;
  head.curved = rd_u8(&r) != 0;
  head.sample = rd_u8(&r);
  head.d = rd_u32(&r);
  head.heavy = rd_u32(&r);
  for (int c = 0; c < MOMENT_CLASSES; c++)
    head.mult[c] = rd_f64(&r);
  head.a = rd_f64(&r);
  size_t n = (size_t)head.d * (head.shifted ? 2 : 1) * sizeof(double);
  const void *v = rd_take(&r, n);
  const void *columns = rd_take(&r, (size_t)head.heavy * sizeof(uint32_t));
  if (!rd_done(&r) || head.sample > 63 || head.heavy > HEAVY_MOST || (head.heavy && !head.curved)) {
    err_set(e, ST_FAULT, "CML0601", NULL, "the parameters of pass linear.wide are damaged");
    return NULL;
  }
  WidePar *p = mem_alloc(sizeof *p + n);
  if (!p) {
    err_memory(e);
    return NULL;
  }
  *p = head;
  p->slope = (double *)(p + 1);
  p->shift = head.shifted ? p->slope + head.d : NULL;
  if (n)
    memcpy(p->slope, v, n);
  r = rd_of((Bytes){columns, (size_t)head.heavy * sizeof(uint32_t)});
  if (head.heavy && read_heavy(p, &r, e) != ST_OK) {
    wide_close(p);
    return NULL;
  }
  return p;
}

static Heavy heavy_of(const WidePar *p) {
  return (Heavy){.n = p->heavy};
}

static size_t wide_size(const void *par) {
  const WidePar *p = par;
  Heavy h = heavy_of(p);
  return linear_wide_doubles(p->d, p->curved ? &h : NULL) * sizeof(double);
}

static void *wide_init(const void *par, Err *e) {
  double *v = mem_alloc(wide_size(par));
  if (!v) {
    err_memory(e);
    return NULL;
  }
  v[1] = INFINITY; /* margin */
  return v;
}

static void wide_free(const void *par, void *partial) {
  (void)par;
  mem_free(partial);
}

static Status wide_merge(const void *par, void *left, void *right, Err *e) {
  (void)e;
  double *restrict l = left;
  const double *restrict r = right;
  double margin = r[1] < l[1] ? r[1] : l[1];
  size_t n = wide_size(par) / sizeof(double);
  l[0] += r[0];
  l[1] = margin;
  for (size_t i = 2; i < n; i++)
    l[i] += r[i];
  return ST_OK;
}

static Status wide_save(const void *par, const void *partial, Buf *out, Err *e) {
  return flat_save(partial, wide_size(par), out, e);
}

static void *wide_load(const void *par, Bytes in, Err *e) {
  return flat_load("linear.wide", wide_size(par), in, e);
}

static inline double entry(const WidePar *p, const Matrix *x, uint32_t k) {
  return p->shift ? x->val[k] - p->shift[x->col[k]] : x->val[k];
}

/* The products of the heavy columns of row i, times c. */
static void add_products(const WidePar *p, const Matrix *x, uint32_t i, double c, uint32_t *at, double *value,
                         Sums *s) {
  uint32_t m = 0;
  for (uint32_t k = x->ptr[i]; k < x->ptr[i + 1]; k++)
    if (p->place[x->col[k]]) {
      at[m] = p->place[x->col[k]] - 1;
      value[m++] = entry(p, x, k);
    }
  *s->s00 += c;
  for (uint32_t a = 0; a < m; a++) { /* `at` rises, as columns and the heavy list do */
    double *restrict row = s->hess + linear_tri(p->heavy, at[a]);
    double v = c * value[a];
    s->sh[at[a]] += v;
    for (uint32_t b = a; b < m; b++)
      row[at[b]] += v * value[b];
  }
}

static Status add_curvature(const WidePar *p, const Panel *panel, const double *curve, Sums *s, Ctx *ctx) {
  const Matrix *x = panel->x;
  uint32_t *at = arena_alloc(ctx->scratch, ((size_t)p->heavy + 1) * sizeof *at);
  double *value = arena_alloc64(ctx->scratch, ((size_t)p->heavy + 1) * sizeof *value);
  if (!at || !value)
    return err_memory(ctx->err);
  *s->h00 += k_sum(curve, panel->n);
  for (uint32_t i = 0; i < panel->n; i++) {
    for (uint32_t k = x->ptr[i]; k < x->ptr[i + 1]; k++) {
      double v = entry(p, x, k);
      s->diag[x->col[k]] += curve[i] * v * v;
    }
    uint64_t pos = panel->pos + (panel->at ? panel->at[i] : i);
    if (p->heavy && (!p->sample || rng_word(SAMPLE_KEY + panel->file, pos) >> (64 - p->sample) == 0))
      add_products(p, x, i, curve[i], at, value, s);
  }
  return ST_OK;
}

/* f of row i. What its entries will add to is asked for on the way: with a million columns none of it is in
 * the cache. */
static double row_value(const WidePar *p, const Matrix *x, uint32_t i, const double *g) {
  const uint32_t *col = x->col;
  uint32_t k = x->ptr[i], end = x->ptr[i + 1];
  double even = 0, odd = 0;
  for (; k + 1 < end; k += 2) {
    __builtin_prefetch(&g[col[k]], 1);
    __builtin_prefetch(&g[col[k + 1]], 1);
    even += p->slope[col[k]] * entry(p, x, k);
    odd += p->slope[col[k + 1]] * entry(p, x, k + 1);
  }
  if (k < end)
    even += p->slope[col[k]] * entry(p, x, k);
  return p->a + (even + odd);
}

/* Rows [from, from + n) of a panel: few enough for what they touch to be in the cache still when they add to
 * it. */
static void add_rows(const WidePar *p, const Panel *panel, uint32_t from, uint32_t n, const LossRows *all,
                     Sums *s) {
  const Matrix *x = panel->x;
  LossRows v = {all->w + from, all->f + from, all->t + from, all->r + from, all->curve + from};
  for (uint32_t i = 0; i < n; i++)
    v.f[i] = row_value(p, x, from + i, s->g);
  loss_weigh(p->loss, p->mult, panel, from, n, v.w);
  loss_rows(p->loss, panel->y + from, n, &v, s);
  *s->g0 += k_sum(v.r, n);
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = x->ptr[from + i]; k < x->ptr[from + i + 1]; k++)
      s->g[x->col[k]] += v.r[i] * entry(p, x, k);
}

static Status wide_map(const void *par, const Panel *panel, void *partial, Ctx *ctx) {
  const WidePar *p = par;
  uint32_t n = panel->n;
  Heavy h = heavy_of(p);
  LossRows v;
  Sums s;
  linear_wide_at(partial, p->d, p->curved ? &h : NULL, &s);
  if (n == 0)
    return ST_OK;
  if (!loss_rows_new(ctx->scratch, n, &v))
    return err_memory(ctx->err);
  for (uint32_t from = 0; from < n; from += SOME_ROWS)
    add_rows(p, panel, from, n - from < SOME_ROWS ? n - from : SOME_ROWS, &v, &s);
  return p->curved ? add_curvature(p, panel, v.curve, &s, ctx) : ST_OK;
}

const Pass linear_wide = {
    .name = "linear.wide",
    .kind = RED_TREE,
    .open = wide_open,
    .close = wide_close,
    .partial_size = wide_size,
    .init = wide_init,
    .map = wide_map,
    .merge = wide_merge,
    .save = wide_save,
    .load = wide_load,
    .free = wide_free,
};
