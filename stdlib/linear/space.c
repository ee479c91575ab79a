/* SPDX-License-Identifier: Apache-2.0 */
/* From the moments to the coordinates in which solvers work, and the point where they start. Read
 * fit_make_space; linear.h has the coordinates. */
#include <math.h>

#include "stdlib/linear/fit.h"
#include "vm/kernel/math.h"

/* The two classes' moments of column j as one group, class weights and unstored zeros included. */
static void column_moments(const Moments *m, uint32_t j, const double *mult, double total, double *mean,
                           double *m2) {
  double w = 0, mu = 0, q = 0;
  for (int c = 0; c < MOMENT_CLASSES; c++) {
    double wc = m->w[c][j] * mult[c];
    if (wc == 0)
      continue;
    double delta = m->mean[c][j] - mu;
    q += m->m2[c][j] * mult[c] + (w > 0 ? delta * delta * (w * (wc / (w + wc))) : 0);
    mu = w > 0 ? mu + delta * (wc / (w + wc)) : m->mean[c][j];
    w += wc;
  }
  double zeros = total - w; /* rounding may leave a trace where there are none */
  if (m->stored[j] >= (double)(m->rows[0] + m->rows[1]) || zeros < 0)
    zeros = 0;
  *m2 = zeros > 0 ? q + mu * mu * (w * (zeros / total)) : q;
  *mean = zeros > 0 ? mu * (w / total) : mu;
}

/* There is something to learn from: weight, and both classes. */
static Status check_moments(LinFit *f, const Moments *m, Err *e) {
  f->rows = m->rows[0] + m->rows[1];
  f->weight = m->weight[0] + m->weight[1];
  if (f->rows == 0)
    return err_set(e, ST_DATA, "CML0434", "Check the weights, the filter and the split of the data.",
                   "model `%s` has no training row with a weight above 0", f->name);
  for (int c = 0; c < MOMENT_CLASSES && m->classes; c++)
    if (m->rows[c] == 0)
      return err_set(e, ST_DATA, "CML0435",
                     "Check the target's expression, the filter and the split: both classes are needed.",
                     "the target of model `%s` is %s in all %llu training rows", f->name,
                     c ? "false (0)" : "true (1)", (unsigned long long)f->rows);
  return ST_OK;
}

static Status weigh_classes(LinFit *f, const Moments *m, Err *e) {
  Space *s = &f->space;
  for (int c = 0; c < MOMENT_CLASSES; c++) {
    s->weight[c] = m->classes && f->o.balanced ? f->weight / (2 * m->weight[c]) : 1;
    if (c && m->classes)
      s->weight[c] *= f->o.positive_weight;
  }
  s->given = f->weight;
  s->total = m->weight[0] * s->weight[0] + m->weight[1] * s->weight[1];
  if (s->total > 0 && s->total < INFINITY)
    return ST_OK;
  return err_set(e, ST_DATA, "CML0436", "Scale the weights: only their ratios count.",
                 "the total weight of the training rows of model `%s` is %g", f->name, s->total);
}

bool linear_unbounded(const Space *s, const LinOptions *o, const double *beta, double margin) {
  if (s->loss != LOSS_LOGISTIC || o->l2 != 0 || o->l1 != 0 || s->offset || !(margin > 0))
    return false;
  for (uint32_t j = 0; j < s->d && s->kinks; j++)
    if ((beta[j] > 0 && s->hi[j] < INFINITY) || (beta[j] < 0 && s->lo[j] > -INFINITY))
      return false;
  return true;
}

double fit_fixed_value(const LinFit *f, uint32_t j) {
  double lo = f->lower[j], hi = f->upper[j];
  return f->space.offset && j == f->d - 1 ? 1 : lo > 0 ? lo : hi < 0 ? hi : 0;
}

Status linear_place(Space *s, uint32_t j, const ColumnSums *c, const char *feature, const char *model,
                    double *deviation, double *size, Err *e) {
  *deviation = c->high > c->low ? sqrt(c->m2 / s->total) : 0;
  *size = s->intercept ? *deviation : sqrt(c->m2 / s->total + c->mean * c->mean);
  if (!(*size < 1e150 && fabs(c->low) < 1e150 && fabs(c->high) < 1e150))
    return err_set(e, ST_DATA, "CML0437", "Scale the feature, or take its logarithm.",
                   "feature `%s` of model `%s` is too large: its values reach %g", feature, model,
                   fabs(c->low) > fabs(c->high) ? c->low : c->high);
  bool constant = !(*size > 1e-150) || (!s->intercept && c->high == 0 && c->low == 0);
  s->inv[j] = constant ? 0 : 1 / *size;
  s->shift[j] = !s->intercept ? 0 : constant ? c->low : c->full ? c->mean : 0;
  return ST_OK;
}

/* Scale, shift and penalty of column j. */
static Status place_column(LinFit *f, const Moments *m, uint32_t j, Err *e) {
  Space *s = &f->space;
  double mean, m2, low = m->low[j], high = m->high[j];
  bool full = m->stored[j] >= s->rows;
  column_moments(m, j, s->weight, s->total, &mean, &m2);
  if (!full) {
    low = low < 0 ? low : 0;
    high = high > 0 ? high : 0;
  }
  ColumnSums c = {mean, m2, low, high, full};
  double deviation, size;
  if (linear_place(s, j, &c, f->feature[j], f->name, &deviation, &size, e) != ST_OK || s->inv[j] == 0)
    return e->code;
  s->center[j] = (mean - s->shift[j]) * s->inv[j];
  if (s->offset && j == f->d - 1)
    return ST_OK;
  s->penalty[j] = f->o.l2 * s->inv[j] * s->inv[j] * (f->o.standardize ? deviation * deviation : 1);
  s->l1[j] = f->o.l1 * s->inv[j] * (f->o.standardize ? deviation : 1);
  s->lo[j] = f->lower[j] * size;
  s->hi[j] = f->upper[j] * size;
  s->kinks |= s->l1[j] > 0 || s->lo[j] > -INFINITY || s->hi[j] < INFINITY;
  return ST_OK;
}

/* The coefficients of option `from`, as near as the bounds allow. */
static void warm_point(const LinFit *f, LinPoint *start) {
  const Space *s = &f->space;
  start->a = f->from0;
  for (uint32_t j = 0; j < f->d; j++) {
    double beta = linear_moves(s, j) ? f->from[j] / s->inv[j] : 0;
    start->beta[j] = beta < s->lo[j] ? s->lo[j] : beta > s->hi[j] ? s->hi[j] : beta;
    start->a += f->from[j] * s->shift[j];
  }
  start->a = s->intercept ? start->a : 0;
}

/* The best constant model, and the size of what there is to predict. */
static void start_point(LinFit *f, const Moments *m, LinPoint *start) {
  Space *s = &f->space;
  uint32_t last = f->d - 1;
  if (f->loss == LOSS_LOGISTIC) {
    double odds = m->weight[1] * s->weight[1] / (m->weight[0] * s->weight[0]);
    s->unit = 1;
    k_log(&odds, &odds, 1);
    start->a = s->intercept ? odds : 0;
  } else {
    double m2 = m->y_m2 / s->total;
    s->unit = sqrt(s->intercept ? m2 : m2 + m->y_mean * m->y_mean);
    start->a = s->intercept ? m->y_mean : 0;
  }
  for (uint32_t j = 0; j < f->d; j++) { /* 0, as near as the bounds allow */
    double lo = s->lo[j], hi = s->hi[j];
    start->beta[j] = lo > 0 ? lo : hi < 0 ? hi : 0;
  }
  if (f->from)
    warm_point(f, start);
  if (s->offset && s->inv[last] != 0)
    start->beta[last] = 1 / s->inv[last];
  for (uint32_t j = 0; j < f->d && s->intercept && !f->from; j++)
    start->a -= start->beta[j] * s->center[j];
}

/* Of a sample the Hessian costs about what the gradient of all rows does, and is 20 % off at most. */
static uint32_t sample_of(double rows, uint32_t d) {
  double least = 24.0 * d, cost = 6.0 * rows / d;
  uint32_t k = 0;
  while (k < 10 && ldexp(rows, -(int)k - 1) >= (least > cost ? least : cost))
    k++;
  return k;
}

Status fit_make_space(LinFit *f, const Moments *m, LinPoint *start, Err *e) {
  Space *s = &f->space;
  uint32_t d = f->d;
  Status st = check_moments(f, m, e);
  if (!st)
    st = weigh_classes(f, m, e);
  if (st)
    return st;
  s->d = d;
  s->loss = f->loss;
  s->sparse = f->sparse;
  s->intercept = f->o.intercept;
  s->rows = (double)f->rows;
  double *v = arena_alloc64(&f->arena, (8 * (size_t)d + 1) * sizeof *v);
  if (!v)
    return err_memory(e);
  s->shift = v;
  s->inv = v + d;
  s->center = v + 2 * (size_t)d;
  s->penalty = v + 3 * (size_t)d;
  s->l1 = v + 4 * (size_t)d;
  s->lo = v + 5 * (size_t)d;
  s->hi = v + 6 * (size_t)d;
  start->beta = v + 7 * (size_t)d;
  for (uint32_t j = 0; j < d && !st; j++) {
    s->lo[j] = -INFINITY;
    s->hi[j] = INFINITY;
    st = place_column(f, m, j, e);
  }
  if (f->loss == LOSS_LOGISTIC && !s->sparse && !s->kinks)
    s->sample = sample_of(s->rows, d);
  if (!st)
    start_point(f, m, start);
  return st;
}

/* How many columns have a block at most: factoring it a few times is to cost less than the passes that it
 * saves. */
static uint32_t heavy_limit(double entries) {
  uint32_t k = 64;
  while (k < HEAVY_MOST && (double)k * k * k < 1250 * entries)
    k++;
  return k;
}

/* Of the n columns those that most rows have, `limit` at most, of equal ones the first; how many. */
static uint32_t heaviest(const Moments *m, uint32_t *column, uint32_t n, uint32_t limit) {
  double least = HEAVY_LEAST, most = (double)(m->rows[0] + m->rows[1]);
  uint32_t count = 0;
  while (least < most) { /* the number of rows above which there are few enough */
    double middle = floor((least + most) / 2);
    for (uint32_t i = count = 0; i < n; i++)
      count += m->stored[column[i]] >= middle;
    if (count <= limit)
      most = middle;
    else
      least = middle + 1;
  }
  for (uint32_t i = count = 0; i < n && count < limit; i++)
    if (m->stored[column[i]] >= most)
      column[count++] = column[i];
  return count;
}

/* The columns of logistic loss that have a block. Where rows have many of them, as long texts do, their
 * products would take longer than passes over all entries: then fewer. */
Status fit_find_heavy(LinFit *f, const Moments *m, Err *e) {
  Heavy *h = &f->heavy;
  double entries = 0, products;
  h->column = arena_alloc(&f->arena, ((size_t)f->d + 1) * sizeof *h->column);
  if (!h->column)
    return err_memory(e);
  for (uint32_t j = 0; j < f->d; j++) {
    entries += m->stored[j];
    if (linear_moves(&f->space, j) && m->stored[j] >= HEAVY_LEAST)
      h->column[h->n++] = j;
  }
  uint32_t limit = heavy_limit(entries);
  do {
    double fill = 0; /* of a row */
    h->n = heaviest(m, h->column, h->n, limit);
    for (uint32_t i = 0; i < h->n; i++)
      fill += m->stored[h->column[i]] / f->space.rows;
    for (h->sample = 0; h->n && h->sample < 4; h->sample++)
      if (ldexp(f->space.rows, -(int)h->sample - 1) < 24.0 * h->n)
        break;
    products = ldexp(fill * fill / 2, -(int)h->sample) * f->space.rows;
    limit -= limit / 4;
  } while (products > 2.5 * entries && limit >= 64);
  return ST_OK;
}
