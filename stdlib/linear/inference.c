/* SPDX-License-Identifier: Apache-2.0 */
/* Standard errors of unpenalised fits: from the curvature of the objective at the solution.
 *
 * The covariance of the coefficients is the inverse of the observed information W H (gradient.c sums it),
 * times the dispersion RSS / (n - p) for squared loss, as in R's lm and glm with `weights`: P. McCullagh, J.
 * Nelder, "Generalized Linear Models", 1989, sections 4.4 and 8.3. newton.c eliminated the intercept and
 * scaled the rest to A = S H' S, so with C = S A^-1 S / W the covariance of beta, h the mixed second
 * derivatives and b0 = a - sum_j beta_j inv_j shift_j
 *
 *   var(b_j) = inv_j^2 C_jj        var(b0) = 1 / (W h00) + v' C v     v_j = h_j / h00 + inv_j shift_j */
#include <math.h>
#include <string.h>

#include "stdlib/linear/linear.h"
#include "vm/kernel/chance.h"

/* A^-1 v for the unit vectors and for v: the diagonal, and v' A^-1 v. */
static Status invert(const Curvature *c, double *diagonal, const double *v, double *form, Err *e) {
  const Blas *blas = blas_get(e);
  int order = (int)c->m, some = 0, info = 0;
  size_t m = c->m, block = 64;
  double *x = mem_alloc((m * block + 1) * sizeof *x);
  if (!x || !blas) {
    mem_free(x);
    return blas ? err_memory(e) : e->code;
  }
  for (size_t from = 0; from <= m && m > 0; from += block) { /* the last column is v */
    size_t n = m + 1 - from < block ? m + 1 - from : block;
    memset(x, 0, m * n * sizeof *x);
    for (size_t k = 0; k < n; k++)
      if (from + k < m)
        x[k * m + from + k] = 1;
      else
        memcpy(x + k * m, v, m * sizeof *x);
    some = (int)n;
    blas->potrs("L", &order, &some, c->factor, &order, x, &order, &info, 1);
    for (size_t k = 0; k < n && from + k < m; k++)
      diagonal[from + k] = x[k * m + from + k];
    for (size_t i = 0; i < m && from + n == m + 1; i++)
      *form += v[i] * x[(n - 1) * m + i];
  }
  mem_free(x);
  return ST_OK;
}

Status linear_errors(const Space *s, const Curvature *c, double dispersion, double *error, double *error0,
                     Err *e) {
  size_t m = c->m;
  double *v = mem_alloc((2 * m + 1) * sizeof *v), form = 0;
  if (!v)
    return err_memory(e);
  double *diagonal = v + m;
  for (size_t i = 0; i < m; i++) {
    uint32_t j = c->active[i];
    v[i] = c->scale[i] * ((s->intercept ? c->h[i] / c->h00 : 0) + s->inv[j] * s->shift[j]);
  }
  Status st = invert(c, diagonal, v, &form, e);
  for (uint32_t j = 0; j < s->d; j++)
    error[j] = NAN;
  for (size_t i = 0; i < m && !st; i++) {
    uint32_t j = c->active[i];
    error[j] = s->inv[j] * c->scale[i] * sqrt(diagonal[i] * dispersion / s->total);
  }
  *error0 = s->intercept ? sqrt((1 / c->h00 + form) * dispersion / s->total) : NAN;
  mem_free(v);
  return st;
}

/* Columns whose standard error would be rounding: 1 - R^2 of a column against those before it, below this. */
bool linear_curvature_sound(const Curvature *c) {
  for (size_t i = 0; i < c->m; i++) {
    double pivot = c->factor[i * c->m + i];
    if (!(pivot * pivot > 1e-9) || !(c->scale[i] > 0))
      return false;
  }
  return c->h00 > 0;
}

/* One coefficient: chance of |b| / error under 0, and the interval that holds it with probability 0.95. */
static void judge(double b, double error, double freedom, double reach, double out[3]) {
  bool defined = error > 0 && error < INFINITY;
  double t = b / error;
  out[0] = !defined ? NAN : freedom > 0 ? chance_t(t, freedom) : chance_normal(t);
  out[1] = defined ? b - reach * error : NAN;
  out[2] = defined ? b + reach * error : NAN;
}

Status linear_add_errors(Model *m, const double *b, double b0, const double *error, double error0,
                         double freedom, Err *e) {
  static const char *const name[] = {"p_value", "low_95", "high_95"};
  static const char *const name0[] = {"intercept_p_value", "intercept_low_95", "intercept_high_95"};
  size_t d = m->d;
  double *v = mem_alloc((3 * d + 1) * sizeof *v), one[3], reach = chance_quantile(0.05, freedom);
  if (!v)
    return err_memory(e);
  for (size_t j = 0; j < d; j++) {
    judge(b[j], error[j], freedom, reach, one);
    for (size_t k = 0; k < 3; k++)
      v[k * d + j] = one[k];
  }
  judge(b0, error0, freedom, reach, one);
  Status st = model_add_tensor(m, "std_error", 1, m->d, error, e);
  if (!st)
    st = model_add_tensor(m, "intercept_std_error", 1, 1, &error0, e);
  for (size_t k = 0; k < 3 && !st; k++) {
    st = model_add_tensor(m, name[k], 1, m->d, v + k * d, e);
    if (!st)
      st = model_add_tensor(m, name0[k], 1, 1, &one[k], e);
  }
  mem_free(v);
  return st;
}
