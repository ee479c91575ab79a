/* SPDX-License-Identifier: Apache-2.0 */
/* The first pass of a linear model: weights, class counts, and per column mean, squared deviations, range.
 *
 * Deviations are sums of (x - mean)^2, never of x^2 less the square of a mean, so that a column like a time
 * stamp (large mean, small deviation) keeps its digits. Two groups meet as in T. Chan, G. Golub, R. LeVeque,
 * "Updating formulae and a pairwise algorithm for computing sample variances", 1979. Dense panels: mean of
 * the panel, then deviations around it, then the merge. Sparse ones: one entry at a time after B. Welford,
 * Technometrics 4 (1962), over the stored entries only; space.c adds the zeros. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "stdlib/linear/linear.h"
#include "vm/kernel/rows.h"

typedef struct MomentsPar {
  uint32_t d;
  bool classes, sparse;
} MomentsPar;

void linear_moments_par(uint32_t d, bool classes, bool sparse, Buf *par) {
  buf_u32(par, d);
  buf_u8(par, classes);
  buf_u8(par, sparse);
}

static void *moments_open(Bytes par, Err *e) {
  Rd r = rd_of(par);
  MomentsPar *p = mem_alloc(sizeof *p);
  if (!p) {
    err_memory(e);
    return NULL;
  }
  p->d = rd_u32(&r);
  p->classes = rd_u8(&r) != 0;
  p->sparse = rd_u8(&r) != 0;
  if (!rd_done(&r)) {
    err_set(e, ST_FAULT, "CML0601", NULL, "the parameters of pass linear.moments are damaged");
    mem_free(p);
    return NULL;
  }
  return p;
}

static void moments_close(void *par) {
  mem_free(par);
}

size_t linear_moments_doubles(uint32_t d) {
  return (size_t)d * (3 * MOMENT_CLASSES + 3);
}

static size_t moments_size(const void *par) {
  const MomentsPar *p = par;
  return sizeof(Moments) + linear_moments_doubles(p->d) * sizeof(double);
}

static double *moments_array(Moments *m) {
  return (double *)(m + 1);
}

static void *moments_init(const void *par, Err *e) {
  const MomentsPar *p = par;
  Moments *m = mem_alloc(moments_size(par));
  if (!m) {
    err_memory(e);
    return NULL;
  }
  m->d = p->d;
  m->classes = p->classes;
  double *v = moments_array(m);
  for (int c = 0; c < MOMENT_CLASSES; c++) {
    m->w[c] = v, v += p->d;
    m->mean[c] = v, v += p->d;
    m->m2[c] = v, v += p->d;
  }
  m->low = v, v += p->d;
  m->high = v, v += p->d;
  m->stored = v;
  for (uint32_t j = 0; j < p->d; j++) {
    m->low[j] = INFINITY;
    m->high[j] = -INFINITY;
  }
  return m;
}

static void moments_free(const void *par, void *partial) {
  (void)par;
  mem_free(partial);
}

/* (w, mean, m2) and (w2, mean2, m22) become one group. */
static void join(double *w, double *mean, double *m2, double w2, double mean2, double m22) {
  if (w2 == 0)
    return;
  if (*w == 0) {
    *w = w2;
    *mean = mean2;
    *m2 = m22;
    return;
  }
  double total = *w + w2;
  double delta = mean2 - *mean;
  *mean += delta * (w2 / total);
  *m2 += m22 + delta * delta * (*w * (w2 / total));
  *w = total;
}

void linear_row_error(Ctx *ctx, const Panel *p, uint32_t r, const char *column, const char *fmt, ...) {
  RowError one = {.file = p->file, .pos = p->pos + (p->at ? p->at[r] : r), .step = UINT32_MAX};
  va_list ap;
  va_start(ap, fmt);
  snprintf(one.column, sizeof one.column, "%s", column);
  vsnprintf(one.text, sizeof one.text, fmt, ap);
  va_end(ap);
  row_errors_add(ctx->errors, &one);
}

/* The rows' weights (0 for a row in error) and classes; false when a row has an error. */
bool linear_check_rows(bool classes, const Panel *p, double *w, uint8_t *cls, Ctx *ctx) {
  bool good = true;
  for (uint32_t r = 0; r < p->n; r++) {
    double weight = p->weight ? p->weight[r] : 1;
    double y = p->y ? p->y[r] : 0;
    w[r] = weight;
    cls[r] = classes && y == 1;
    if (!(weight >= 0 && weight <= 1e150)) {
      linear_row_error(ctx, p, r, "weight", "the weight %.17g is not a number from 0 to 1e150", weight);
    } else if (classes && y != 0 && y != 1) {
      linear_row_error(ctx, p, r, "target", "the target %.17g is neither 0 nor 1", y);
    } else if (!(fabs(y) <= 1e150)) {
      linear_row_error(ctx, p, r, "target", "the target %.17g is not a number between -1e150 and 1e150", y);
    } else {
      continue;
    }
    w[r] = 0;
    good = false;
  }
  return good;
}

static void map_dense(Moments *m, const Panel *p, const double *w, const uint8_t *cls, const double *group,
                      double *space) {
  uint32_t d = m->d;
  double *sum[MOMENT_CLASSES] = {space, space + d};
  double *dev[MOMENT_CLASSES] = {space + 2 * (size_t)d, space + 3 * (size_t)d};
  Groups g = {w, cls};
  double rows = 0;
  memset(space, 0, 4 * (size_t)d * sizeof *space);
  for (uint32_t r = 0; r < p->n; r++)
    rows += w[r] != 0;
  k_rows_weighed(p->x->a, p->n, d, g, sum, m->low, m->high);
  for (int c = 0; c < MOMENT_CLASSES; c++)
    for (uint32_t j = 0; j < d && group[c] > 0; j++)
      sum[c][j] /= group[c];
  k_rows_squares(p->x->a, p->n, d, g, sum, dev);
  for (int c = 0; c < MOMENT_CLASSES; c++)
    for (uint32_t j = 0; j < d && group[c] > 0; j++)
      join(&m->w[c][j], &m->mean[c][j], &m->m2[c][j], group[c], sum[c][j], dev[c][j]);
  for (uint32_t j = 0; j < d; j++)
    m->stored[j] += rows;
}

static void map_sparse(Moments *m, const Panel *p, const double *w, const uint8_t *cls) {
  const Matrix *x = p->x;
  for (uint32_t r = 0; r < p->n; r++) {
    if (w[r] == 0)
      continue;
    double *sw = m->w[cls[r]], *mean = m->mean[cls[r]], *m2 = m->m2[cls[r]];
    for (uint32_t k = x->ptr[r]; k < x->ptr[r + 1]; k++) {
      uint32_t j = x->col[k];
      double v = x->val[k];
      double delta = v - mean[j];
      sw[j] += w[r];
      m->stored[j]++;
      m->low[j] = v < m->low[j] ? v : m->low[j];
      m->high[j] = v > m->high[j] ? v : m->high[j];
      if (delta == 0) /* indicators end here after their first entry */
        continue;
      mean[j] += delta * (w[r] / sw[j]);
      m2[j] += w[r] * delta * (v - mean[j]);
    }
  }
}

static Status moments_map(const void *par, const Panel *p, void *partial, Ctx *ctx) {
  const MomentsPar *mp = par;
  Moments *m = partial;
  double *w = arena_alloc(ctx->scratch, (p->n + 4 * (size_t)mp->d + 1) * sizeof *w);
  uint8_t *cls = arena_alloc(ctx->scratch, p->n + 1);
  if (!w || !cls)
    return err_memory(ctx->err);
  if (!linear_check_rows(mp->classes, p, w, cls, ctx))
    return ST_OK; /* the scan ends with these errors: what is summed no longer matters */
  double group[MOMENT_CLASSES] = {0, 0};
  double sum_y = 0;
  for (uint32_t r = 0; r < p->n; r++) {
    group[cls[r]] += w[r];
    sum_y += p->y ? w[r] * p->y[r] : 0;
    m->rows[cls[r]] += w[r] > 0;
  }
  if (p->y && !m->classes && group[0] > 0) {
    double mean = sum_y / group[0], m2 = 0, total = m->weight[0];
    for (uint32_t r = 0; r < p->n; r++)
      m2 += w[r] * ((p->y[r] - mean) * (p->y[r] - mean));
    join(&total, &m->y_mean, &m->y_m2, group[0], mean, m2);
  }
  if (mp->sparse)
    map_sparse(m, p, w, cls);
  else
    map_dense(m, p, w, cls, group, w + p->n);
  for (int c = 0; c < MOMENT_CLASSES; c++)
    m->weight[c] += group[c];
  return ST_OK;
}

static Status moments_merge(const void *par, void *left, void *right, Err *e) {
  (void)par;
  (void)e;
  Moments *l = left;
  const Moments *r = right;
  double total = l->weight[0];
  join(&total, &l->y_mean, &l->y_m2, r->weight[0], r->y_mean, r->y_m2);
  for (int c = 0; c < MOMENT_CLASSES; c++) {
    l->rows[c] += r->rows[c];
    l->weight[c] += r->weight[c];
    for (uint32_t j = 0; j < l->d; j++)
      join(&l->w[c][j], &l->mean[c][j], &l->m2[c][j], r->w[c][j], r->mean[c][j], r->m2[c][j]);
  }
  for (uint32_t j = 0; j < l->d; j++) {
    l->low[j] = r->low[j] < l->low[j] ? r->low[j] : l->low[j];
    l->high[j] = r->high[j] > l->high[j] ? r->high[j] : l->high[j];
    l->stored[j] += r->stored[j];
  }
  return ST_OK;
}

/* rows, weights (by class), y_mean, y_m2, then the arrays */
static Status moments_save(const void *par, const void *partial, Buf *out, Err *e) {
  const MomentsPar *p = par;
  const Moments *m = partial;
  for (int c = 0; c < MOMENT_CLASSES; c++) {
    buf_u64(out, m->rows[c]);
    buf_f64(out, m->weight[c]);
  }
  buf_f64(out, m->y_mean);
  buf_f64(out, m->y_m2);
  buf_put(out, m + 1, linear_moments_doubles(p->d) * sizeof(double));
  return out->bad ? err_memory(e) : ST_OK;
}

static void *moments_load(const void *par, Bytes in, Err *e) {
  const MomentsPar *p = par;
  Moments *m = moments_init(par, e);
  if (!m)
    return NULL;
  Rd r = rd_of(in);
  for (int c = 0; c < MOMENT_CLASSES; c++) {
    m->rows[c] = rd_u64(&r);
    m->weight[c] = rd_f64(&r);
  }
  m->y_mean = rd_f64(&r);
  m->y_m2 = rd_f64(&r);
  size_t n = linear_moments_doubles(p->d) * sizeof(double);
  const void *v = rd_take(&r, n);
  if (!rd_done(&r)) {
    err_set(e, ST_FAULT, "CML0601", NULL, "a partial result of pass linear.moments is damaged");
    mem_free(m);
    return NULL;
  }
  if (n)
    memcpy(moments_array(m), v, n);
  return m;
}

const Pass linear_moments = {
    .name = "linear.moments",
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
