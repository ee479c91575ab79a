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
      Model m;
      Err e;
      assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, "l2", l2[k], STOP), ST_OK);
      double far = distance(&t, &m, b), gap = fabs(m.objective[m.nobjective - 1] - best) / best;
      if (!m.converged || !(far < ref_within(1e-8)) || !(gap < ref_within(1e-12)) || m.iterations > 30)
        fail_msg("kind %d, l2 %g: off by %g, objective by %g, converged %d after %u: %s", kind, l2[k], far,
                 gap, m.converged, m.iterations, m.warning);
      scan_model_free(&m);
    }
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
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_samples), cmocka_unit_test(test_singular)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
