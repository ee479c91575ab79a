/* SPDX-License-Identifier: Apache-2.0 */
/* logistic_regression where Newton's method takes its Hessian from a sample of the rows: many rows of many
 * dense columns, easy ones and those that a sample knows little of, against a plain solver in long
 * double. */
#include <math.h>

#include "tests/unit/linear_oracle.h"
#include "tests/unit/linear_reference.h"
#include "tests/unit/scan.h"
#include "stdlib/linear/linear.h"
#include "stdlib/registry.h"

enum { N = 3000, D = 26 };
#define STOP (const char *)NULL

typedef struct Data {
  ScanRows rows;
  double x[N * D], y[N], w[N];
} Data;

typedef enum Shape { PLAIN, NEAR_COPIES, RARE, HEAVY, SORTED, SCALES, KINDS } Shape;

/* Column j of row i. */
static double value(Shape kind, uint32_t i, uint32_t j) {
  double z = scan_random(j + 1, i) + scan_random(j + 1001, i) + scan_random(j + 2001, i) - 1.5;
  switch (kind) {
  case NEAR_COPIES: /* condition 1e6 or so */
    return j % 3 == 2 ? value(PLAIN, i, j - 1) + 1e-6 * z : z;
  case RARE: /* about ten rows have it, two or so of them drawn */
    return j >= D - 6 ? scan_random(j + 1, i) < 10.0 / N : z;
  case SORTED: /* positions tell columns apart */
    return j < 4 ? i % (j + 2) == 0 : j < 8 ? (double)i / N * (j - 3) + 0.1 * z : z;
  case SCALES:
    return (z + (j % 7 == 0 ? 1e6 : 0)) * pow(10, (int)(j % 9) * 3 - 12);
  case PLAIN:
  case HEAVY:
  case KINDS:
    break;
  }
  return z;
}

static void make(Data *t, Shape kind) {
  memset(t, 0, sizeof *t);
  for (uint32_t i = 0; i < N; i++) {
    double f = 0.3;
    for (uint32_t j = 0; j < D; j++) {
      t->x[i * D + j] = value(kind, i, j);
      double z = kind == SCALES || kind == NEAR_COPIES ? value(PLAIN, i, j) : t->x[i * D + j];
      f += z * ((int)(j % 5) - 2) * 0.4;
    }
    t->y[i] = f + 4 * (scan_random(99, i) - 0.5) > 0;
    t->w[i] = kind == HEAVY && i % 50 == 0 ? 500 : 1; /* a fiftieth of the rows weigh ten times all others */
  }
  t->rows.n = N;
  t->rows.x = (Matrix){.n = N, .d = D, .a = t->x};
  t->rows.y = t->y;
  t->rows.weight = kind == HEAVY ? t->w : NULL;
}

static double deviation(const Data *t, uint32_t j) {
  double mean = 0, m2 = 0;
  for (uint32_t i = 0; i < N; i++)
    mean += t->x[i * D + j] / N;
  for (uint32_t i = 0; i < N; i++)
    m2 += (t->x[i * D + j] - mean) * (t->x[i * D + j] - mean) / N;
  return sqrt(m2);
}

/* The greatest distance from the best point, in standardised coefficients relative to the largest. */
static double distance(const Data *t, const Model *m, const double *b) {
  const double *c = model_tensor(m, "coefficients")->v;
  double far = 0, size = 1;
  for (uint32_t j = 0; j < D; j++) {
    double s = deviation(t, j);
    far = fmax(far, fabs(c[j] - b[j]) * s);
    size = fmax(size, fabs(b[j]) * s);
  }
  return far / size;
}

/* A fit as the default is, or a closer one, is as near to the best point as it is to be. */
static void check_fit(Data *t, int kind, double l2, bool closer, const double *b, double best) {
  Model m;
  Err e;
  double tolerance = closer ? 1e-10 : 1e-8; /* the default */
  assert_int_equal(scan_train(&logistic_regression, &t->rows, &m, &e, "l2", l2, "tolerance", tolerance, STOP),
                   ST_OK);
  double far = distance(t, &m, b), gap = fabs(m.objective[m.nobjective - 1] - best) / best;
  if (!m.converged || !(far < ref_within(closer ? 1e-8 : 1e-6)) || !(gap < ref_within(1e-11)) ||
      m.iterations > 30)
    fail_msg("kind %d, l2 %g, tolerance %g: off by %g, objective by %g, converged %d after %u: %s", kind, l2,
             tolerance, far, gap, m.converged, m.iterations, m.warning);
  scan_model_free(&m);
}

static void test_samples(void **state) {
  (void)state;
  static Data t;
  double l2[] = {0, 1e-4};
  for (int kind = 0; kind < KINDS; kind++)
    for (int k = 0; k < 2; k++) {
      make(&t, (Shape)kind);
      if ((kind == PLAIN || kind == SCALES || kind == NEAR_COPIES) && k == 0)
        continue; /* of near copies rounding decides the shares; the others are enough once */
      RefProblem p = {.n = N, .d = D, .x = t.x, .y = t.y, .w = t.rows.weight, .logistic = true,
                      .intercept = true, .standardize = true, .l2 = l2[k]};
      double b[D + 1];
      double best = ref_minimum(&p, b);
      check_fit(&t, kind, l2[k], false, b, best);
      check_fit(&t, kind, l2[k], true, b, best);
    }
}

static void *scan_all(ScanRows *rows, const Pass *pass, Buf *par, void **opened) {
  static uint32_t at[N];
  Err e = {0};
  for (uint32_t i = 0; i < N; i++)
    at[i] = i;
  *opened = pass->open(buf_bytes(par), &e);
  void *v = scan_leaf(rows, pass, *opened, 0, N, at, &e);
  assert_non_null(v);
  buf_free(par);
  return v;
}

/* Where all coefficients are 0, what follows from the moments and the Gram matrix is what a pass finds. */
static void test_start(void **state) {
  (void)state;
  static Data t;
  static double from_pass[8 * D + D * D], derived[8 * D + D * D], zero[D], shift[D], inv[D];
  Buf par = {0}, saved = {0};
  Err e = {0};
  void *opened, *part;
  make(&t, HEAVY);
  linear_moments_par(D, true, false, &par);
  part = scan_all(&t.rows, &linear_moments, &par, &opened);
  Moments *m = part;
  Space s = {.d = D, .loss = LOSS_LOGISTIC, .intercept = true, .weight = {1, 1}, .shift = shift, .inv = inv};
  s.total = m->weight[0] + m->weight[1];
  for (uint32_t j = 0; j < D; j++) {
    shift[j] = m->mean[0][j];
    inv[j] = j == 3 ? 0 : 1.0 / (j + 1);
  }
  void *gram_par, *gram;
  linear_gram_par(D, 0, &par);
  gram = scan_all(&t.rows, &linear_gram, &par, &gram_par);
  assert_int_equal(linear_gram.save(gram_par, gram, &saved, &e), ST_OK);
  GramSums g;
  assert_true(linear_gram_of(buf_bytes(&saved), D, &g));
  LinPoint p = {.a = -0.7, .beta = zero};
  Sums out;
  linear_sums_at(derived, D, LOOK_SAMPLE, &out);
  linear_start_sums(&g, m, &s, &p, &out);
  linear_moments.free(opened, part);
  linear_moments.close(opened);
  linear_gram.free(gram_par, gram);
  linear_gram.close(gram_par);
  buf_free(&saved);
  linear_gradient_par(&s, &p, LOOK_SAMPLE, &par);
  part = scan_all(&t.rows, &linear_gradient, &par, &opened);
  size_t n = linear_sums_doubles(D, LOOK_SAMPLE);
  assert_true(n <= sizeof from_pass / sizeof *from_pass);
  memcpy(from_pass, part, n * sizeof *from_pass);
  linear_gradient.free(opened, part);
  linear_gradient.close(opened);
  for (size_t i = 0; i < n; i++)
    if (!(fabs(from_pass[i] - derived[i]) <= 1e-11 * s.total))
      fail_msg("sum %zu: %.17g, not %.17g", i, derived[i], from_pass[i]);
}

/* Columns that are combinations of others and classes that can be told apart are found as without a
 * sample. */
static void test_singular(void **state) {
  (void)state;
  static Data t;
  Model m;
  Err e;
  make(&t, PLAIN);
  for (uint32_t i = 0; i < N; i++)
    t.x[i * D + 7] = t.x[i * D + 3] - 2 * t.x[i * D + 5];
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_OK);
  assert_true(m.converged);
  assert_non_null(strstr(m.warning, "1 of 26 features are combinations of the others"));
  scan_model_free(&m);
  make(&t, PLAIN);
  for (uint32_t i = 0; i < N; i++)
    t.y[i] = t.x[i * D] > 0;
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_OK);
  assert_false(m.converged);
  assert_non_null(strstr(m.warning, "separated"));
  scan_model_free(&m);
  make(&t, PLAIN);
  for (uint32_t i = 0; i < N; i++) /* where column 4 is 1 there is one class only */
    t.y[i] = (t.x[i * D + 4] = scan_random(5, i) < 0.02) != 0 ? 1 : t.y[i];
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_OK);
  assert_false(m.converged);
  assert_non_null(strstr(m.warning, "of one class only"));
  scan_model_free(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_start), cmocka_unit_test(test_samples),
                                     cmocka_unit_test(test_singular)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
