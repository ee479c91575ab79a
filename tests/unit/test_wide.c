/* SPDX-License-Identifier: Apache-2.0 */
/* L-BFGS over sparse rows (stdlib/linear/wide.c) against Newton over the same rows, dense, which
 * test_logistic.c compares with a plain solver: columns that all rows have, that most, few, one and none
 * have; penalties, weights, bounds, an offset; and what it says where there is no solution. */
#include <math.h>

#include "tests/unit/scan.h"
#include "stdlib/registry.h"

enum { N = 500, D = 70, FULL = 0, RARE = 50, NONE = 55, CONSTANT = 68, OFFSET = D - 1 };
#define STOP (const char *)NULL

typedef struct Data {
  ScanRows rows;
  Matrix dense, sparse;
  double x[N * D], y[N], w[N], lower[D], upper[D], size[D];
} Data;

static double cell(uint32_t i, uint32_t j) {
  double u = scan_random(200 + j, i), v = scan_random(300 + j, i);
  if (j == FULL)
    return 1000 + v;
  if (j >= NONE && j < CONSTANT)
    return 0;
  if (j >= CONSTANT && j < OFFSET)
    return 3;
  if (j >= RARE && j < NONE)
    return i == 7 * j || (j > 52 && i == j) ? -2 * v : 0;
  if (j == OFFSET)
    return u < 0.3 ? v - 0.5 : 0;
  double share = j < 10 ? 0.6 / j : 0.03;
  return u >= share ? 0 : j % 3 ? 1 : 1e3 * v; /* indicators, and numbers of another size */
}

static Data *make(void) {
  Data *t = calloc(1, sizeof *t);
  for (uint32_t i = 0; i < N; i++) {
    double f = -0.7;
    for (uint32_t j = 0; j < D; j++) {
      double x = t->x[i * D + j] = cell(i, j);
      f += (x != 0) * (j % 7 - 3.0) * 0.3;
    }
    t->y[i] = f + 5 * (scan_random(99, i) - 0.5) > 0;
    t->w[i] = i % 17 == 0 ? 0 : 0.25 + 3 * scan_random(55, i);
  }
  for (uint32_t j = 0; j < D; j++) {
    t->lower[j] = j % 5 == 1 ? -0.1 : -INFINITY;
    t->upper[j] = j % 5 == 2 ? 0.05 : INFINITY;
  }
  for (uint32_t j = 0; j < D; j++) {
    double sum = 0, square = 0;
    for (uint32_t i = 0; i < N; i++)
      sum += t->x[i * D + j] / N;
    for (uint32_t i = 0; i < N; i++)
      square += (t->x[i * D + j] - sum) * (t->x[i * D + j] - sum) / N;
    t->size[j] = sqrt(square);
  }
  t->dense = (Matrix){.n = N, .d = D, .a = t->x};
  t->sparse = scan_sparse(&t->dense, true);
  t->rows = (ScanRows){.n = N, .x = t->dense, .y = t->y};
  return t;
}

static void drop(Data *t) {
  scan_sparse_free(&t->sparse);
  free(t);
}

typedef struct Case {
  double l1, l2, intercept, standardize, balanced;
} Case;

static void fit(Data *t, const Case *c, bool wide, Model *m) {
  Err e;
  t->rows.x = wide ? t->sparse : t->dense;
  if (scan_train(&logistic_regression, &t->rows, m, &e, "l1", c->l1, "l2", c->l2, "intercept", c->intercept,
                 "standardize", c->standardize, "class_weight", c->balanced, "solver", wide ? 2.0 : 1.0,
                 "tolerance", wide ? 1e-11 : 1e-9, STOP))
    fail_msg("%s", e.cause);
}

/* Coefficients differ by `most` of a standardised one, and objectives in the last digits. */
static void compare(Data *t, const Case *c, double most) {
  Model m[2];
  fit(t, c, false, &m[0]);
  fit(t, c, true, &m[1]);
  const double *b = model_tensor(&m[0], "coefficients")->v, *other = model_tensor(&m[1], "coefficients")->v;
  for (uint32_t j = 0; j < D; j++) {
    if (!(fabs(b[j] - other[j]) * t->size[j] < most))
      fail_msg("l1 %g, l2 %g: coefficient %u is %.12g, not %.12g (%u iterations: %s)", c->l1, c->l2, j,
               other[j], b[j], m[1].iterations, m[1].warning);
    if (j >= NONE && j < (c->intercept != 0 ? OFFSET : CONSTANT))
      assert_true(b[j] == 0 && other[j] == 0);
  }
  double f = m[0].objective[m[0].nobjective - 1];
  assert_true(m[0].converged && m[1].converged);
  assert_true(fabs(m[1].objective[m[1].nobjective - 1] - f) < 1e-11 * f);
  scan_model_free(&m[0]);
  scan_model_free(&m[1]);
}

static void test_smooth(void **state) {
  (void)state;
  Data *t = make();
  const Case c[] = {
      {0, 1e-3, 1, 1, 0}, {0, 1e-3, 1, 0, 0}, {0, 0.1, 1, 1, 1}, {0, 0.03, 0, 1, 0}, {0, 1, 0, 0, 1},
  };
  for (int k = 0; k < 5; k++)
    for (int way = 0; way < 4; way++) {
      t->rows.weight = way & 1 ? t->w : NULL;
      t->rows.offset = (way & 2) != 0;
      t->rows.cut = way & 1 ? 7 : 0;
      compare(t, &c[k], 1e-6);
    }
  drop(t);
}

static void test_kinks(void **state) {
  (void)state;
  Data *t = make();
  const Case c[] = {{0.01, 0, 1, 1, 0}, {0.002, 1e-3, 1, 1, 1}, {1e-3, 0.1, 0, 1, 0}};
  for (int k = 0; k < 3; k++) {
    t->rows.weight = k == 1 ? t->w : NULL;
    t->rows.offset = k == 2;
    t->rows.lower = t->rows.upper = NULL;
    compare(t, &c[k], 1e-5);
    t->rows.lower = t->lower;
    t->rows.upper = t->upper;
    compare(t, &c[k], 1e-5);
  }
  drop(t);
}

/* Rows of weight 0 change no bit, wherever leaves are cut. */
static void test_bits(void **state) {
  (void)state;
  Data *t = make();
  Case c = {0, 1e-3, 1, 1, 0};
  t->rows.weight = t->w;
  t->rows.cut = 16;
  t->rows.leaf = 2;
  Model m[2];
  for (int k = 0; k < 2; k++) {
    fit(t, &c, true, &m[k]);
    for (uint32_t i = 0; i < N; i += 17)
      t->y[i] = 1 - t->y[i];
  }
  assert_memory_equal(model_tensor(&m[0], "coefficients")->v, model_tensor(&m[1], "coefficients")->v,
                      D * sizeof(double));
  scan_model_free(&m[0]);
  scan_model_free(&m[1]);
  drop(t);
}

/* Without a penalty: a column of one row has no best coefficient; with the target as a column none has. */
static void test_no_solution(void **state) {
  (void)state;
  Data *t = make();
  Model m;
  Case c = {0, 0, 1, 1, 0};
  fit(t, &c, true, &m);
  assert_true(!m.converged && m.warning[0]);
  scan_model_free(&m);
  for (uint32_t i = 0; i < N; i++)
    t->x[i * D + 3] = t->y[i];
  scan_sparse_free(&t->sparse);
  t->sparse = scan_sparse(&t->dense, true);
  fit(t, &c, true, &m);
  assert_false(m.converged);
  assert_non_null(strstr(m.warning, "the classes are separated"));
  scan_model_free(&m);
  t->rows.lower = t->lower; /* bounds of other columns do not help */
  t->rows.upper = t->upper;
  fit(t, &c, true, &m);
  assert_false(m.converged);
  scan_model_free(&m);
  drop(t);
}

/* Few rows, no stored value at all, one class. */
static void test_little(void **state) {
  (void)state;
  Data *t = make();
  Case c = {0, 0.1, 1, 1, 0};
  Model m;
  Err e;
  for (uint32_t n = 3; n <= 30; n += 9) {
    t->rows.n = t->dense.n = t->sparse.n = n;
    t->y[0] = 0;
    t->y[1] = 1;
    compare(t, &c, 1e-6);
  }
  t->rows.x = t->sparse;
  t->y[0] = 1;
  t->rows.n = t->rows.x.n = 2;
  assert_int_equal(scan_train(&logistic_regression, &t->rows, &m, &e, "solver", 2.0, STOP), ST_DATA);
  scan_model_free(&m);
  t->rows.n = N;
  uint32_t *none = calloc(N + 1, sizeof *none);
  t->rows.x = (Matrix){.n = N, .d = D, .ptr = none, .col = none, .val = t->w};
  assert_int_equal(scan_train(&logistic_regression, &t->rows, &m, &e, "solver", 2.0, "l2", 0.1, STOP), ST_OK);
  double ones = 0;
  for (uint32_t i = 0; i < N; i++)
    ones += t->y[i] / N;
  assert_true(m.converged && fabs(model_tensor(&m, "intercept")->v[0] - log(ones / (1 - ones))) < 1e-12);
  scan_model_free(&m);
  free(none);
  drop(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_smooth), cmocka_unit_test(test_kinks),       cmocka_unit_test(test_bits),
      cmocka_unit_test(test_little), cmocka_unit_test(test_no_solution),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
