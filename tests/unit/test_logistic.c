/* SPDX-License-Identifier: Apache-2.0 */
/* logistic_regression against a plain solver in long double, scikit-learn's stored results, and the cases
 * that have no or no single
 * solution: separation, one class, one-sided levels, collinear and constant columns, more columns than
 * rows. */
#include <math.h>

#include "tests/unit/linear_oracle.h"
#include "tests/unit/linear_reference.h"
#include "tests/unit/scan.h"
#include "stdlib/registry.h"

enum { N = 600, D = 6 };
#define STOP (const char *)NULL

typedef struct Data {
  ScanRows rows;
  double x[N * D], y[N], w[N];
} Data;

static void make(Data *t, double spread) {
  memset(t, 0, sizeof *t);
  for (uint32_t i = 0; i < N; i++) {
    double f = 0.2;
    for (uint32_t j = 0; j < D; j++) {
      double z = scan_random(j + 1, i) - 0.5;
      if (j == D - 1)
        z = scan_random(77, i) < 0.2; /* an indicator */
      double size = pow(spread, (double)j / (D - 1));
      t->x[i * D + j] = (z + 10.0 * (j == 2)) * size;
      f += z * (j == D - 1 ? 0.7 : j - 2.0);
    }
    t->y[i] = f + 3 * (scan_random(99, i) - 0.5) > 0;
    t->w[i] = i % 17 == 0 ? 0 : 0.25 + 3 * scan_random(55, i);
  }
  t->rows.n = N;
  t->rows.x = (Matrix){.n = N, .d = D, .a = t->x};
  t->rows.y = t->y;
  t->rows.weight = t->w;
}

static double worst(const Model *m, const double *b, const double *scale) {
  const double *c = model_tensor(m, "coefficients")->v;
  double bad = fabs(model_tensor(m, "intercept")->v[0] - b[m->d]) / fmax(1, fabs(b[m->d]));
  for (uint32_t j = 0; j < m->d; j++)
    bad = fmax(bad, fabs(c[j] - b[j]) * (scale ? scale[j] : 1));
  return bad;
}

static void compare(Data *t, double l2, double intercept, double standardize, double balanced,
                    double positive, double tolerance) {
  static double w[N];
  double b[D + 1], scale[D], sum[2] = {0, 0};
  for (uint32_t i = 0; i < N; i++) {
    w[i] = t->rows.weight ? t->rows.weight[i] : 1;
    sum[t->y[i] == 1] += w[i];
  }
  for (uint32_t i = 0; i < N; i++)
    w[i] *= (balanced != 0 ? (sum[0] + sum[1]) / (2 * sum[t->y[i] == 1]) : 1) * (t->y[i] == 1 ? positive : 1);
  RefProblem p = {.n = N, .d = D, .x = t->x, .y = t->y, .w = w, .logistic = true, .intercept = intercept != 0,
                  .standardize = standardize != 0, .l2 = l2};
  double best = ref_minimum(&p, b);
  for (uint32_t j = 0; j < D; j++) {
    scale[j] = 0;
    for (uint32_t i = 0; i < N; i++)
      scale[j] = fmax(scale[j], fabs(t->x[i * D + j]));
  }
  Matrix dense = t->rows.x, sparse = scan_sparse(&dense, true);
  for (int way = 0; way < 4; way++) {
    Model m;
    Err e;
    t->rows.x = way & 1 ? sparse : dense;
    Status st = scan_train(&logistic_regression, &t->rows, &m, &e, "l2", l2, "intercept", intercept,
                           "standardize", standardize, "class_weight", balanced, "positive_weight", positive,
                           "solver", way & 2 ? 2.0 : 1.0, "tolerance", way & 2 ? 1e-11 : 1e-8, STOP);
    if (st)
      fail_msg("%s", e.cause);
    double bad = worst(&m, b, scale);
    if (!m.converged || !(bad < ref_within(way & 2 ? 1e4 * tolerance : tolerance)))
      fail_msg("way %d, l2 %g: off by %g, converged %d after %u: %s", way, l2, bad, m.converged, m.iterations,
               m.warning);
    assert_true(fabs(m.objective[m.nobjective - 1] - best) < 1e-12);
    assert_int_equal(m.nobjective, m.iterations);
    if (!(way & 2))
      assert_true(m.iterations <= 10);
    scan_model_free(&m);
  }
  t->rows.x = dense;
  scan_sparse_free(&sparse);
}

static void test_plain_solver(void **state) {
  (void)state;
  static Data t;
  make(&t, 1);
  double l2[] = {0, 1e-3, 0.7};
  for (int k = 0; k < 3; k++) {
    t.rows.weight = k == 1 ? NULL : t.w;
    compare(&t, l2[k], 1, 1, 0, 1, 1e-10);
    compare(&t, l2[k], 1, 0, 0, 1, 1e-10);
    compare(&t, l2[k], 0, 1, 0, 1, 1e-10);
    compare(&t, l2[k], 1, 1, 1, 1, 1e-10);
    compare(&t, l2[k], 1, 1, 1, 3, 1e-10);
  }
}

static void test_badly_scaled(void **state) {
  (void)state;
  static Data t;
  make(&t, 1e9);
  compare(&t, 0, 1, 1, 0, 1, 1e-9);
  make(&t, 1e-9);
  compare(&t, 1e-3, 1, 1, 0, 1, 1e-9);
}

/* Condition number 300 and 1e5 of the standardised columns. */
static void test_condition(void **state) {
  (void)state;
  static Data t;
  double gap[] = {300, 1e5};
  for (int k = 0; k < 2; k++) {
    make(&t, 1);
    for (uint32_t i = 0; i < N; i++)
      t.x[i * D + 3] = t.x[i * D] + t.x[i * D + 3] / gap[k];
    RefProblem p = {.n = N,
                    .d = D,
                    .x = t.x,
                    .y = t.y,
                    .w = t.w,
                    .logistic = true,
                    .intercept = true,
                    .standardize = true};
    double b[D + 1];
    ref_minimum(&p, b);
    Model m;
    Err e;
    assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_OK);
    double bad = worst(&m, b, NULL) / fabs(b[0]);
    if (!m.converged || !(bad < (k ? 1e-8 : 1e-10)))
      fail_msg("condition %g: off by %g, converged %d after %u: %s", gap[k], bad, m.converged, m.iterations,
               m.warning);
    scan_model_free(&m);
  }
}

/* One coefficient by hand: an indicator's is the difference of log odds. */
static void test_closed_form(void **state) {
  (void)state;
  double x[100], y[100];
  for (int i = 0; i < 100; i++) {
    x[i] = i < 40;
    y[i] = i < 10 || i >= 60; /* 10 of 40, 40 of 60 */
  }
  ScanRows s = {.n = 100, .x = {.n = 100, .d = 1, .a = x}, .y = y};
  Model m;
  Err e;
  assert_int_equal(scan_train(&logistic_regression, &s, &m, &e, STOP), ST_OK);
  assert_true(m.converged && !m.warning[0]);
  assert_true(fabs(model_tensor(&m, "intercept")->v[0] - log(2)) < 1e-14);
  assert_true(fabs(model_tensor(&m, "coefficients")->v[0] - (log(1 / 3.0) - log(2))) < 1e-14);
  double out[100];
  logistic_regression.predict(&m, &s.x, out);
  assert_true(fabs(out[0] - 0.25) < 1e-15 && fabs(out[99] - 2 / 3.0) < 1e-15);
  scan_model_free(&m);
}

static void test_separated(void **state) {
  (void)state;
  static Data t;
  make(&t, 1);
  for (uint32_t i = 0; i < N; i++)
    t.y[i] = t.x[i * D] + 0.5 * t.x[i * D + 1] > 0.1;
  Matrix dense = t.rows.x, sparse = scan_sparse(&dense, true);
  for (int way = 0; way < 4; way++) {
    t.rows.x = way & 1 ? sparse : dense;
    Model m;
    Err e;
    assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, "solver", way & 2 ? 2.0 : 1.0, STOP),
                     ST_OK);
    assert_false(m.converged);
    assert_non_null(strstr(m.warning, "the classes are separated"));
    double out[N];
    logistic_regression.predict(&m, &t.rows.x, out);
    for (uint32_t i = 0; i < N; i++)
      assert_true(t.w[i] == 0 || (out[i] > 0.5) == (t.y[i] == 1));
    scan_model_free(&m);
    assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, "l2", 1e-4, STOP), ST_OK);
    assert_true(m.converged && !m.warning[0]);
    scan_model_free(&m);
  }
  t.rows.x = dense;
  scan_sparse_free(&sparse);
}

/* All rows where x5 = 1 are of one class: its coefficient has no finite best value, the others have. */
static void test_one_sided_level(void **state) {
  (void)state;
  static Data t;
  make(&t, 1);
  for (uint32_t i = 0; i < N; i++) {
    t.x[i * D + 5] = i % 97 == 3;
    if (i % 97 == 3)
      t.y[i] = 1;
  }
  Model m, without;
  Err e;
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_OK);
  assert_false(m.converged);
  if (!strstr(m.warning, "grow without end") || !strstr(m.warning, "Growing: x5"))
    fail_msg("%u: %s", m.iterations, m.warning);
  assert_true(model_tensor(&m, "coefficients")->v[5] > 10);
  /* the others are those of the rows without the level */
  for (uint32_t i = 0; i < N; i++)
    if (i % 97 == 3)
      t.w[i] = 0;
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &without, &e, STOP), ST_OK);
  assert_true(without.converged);
  for (int j = 0; j < 5; j++)
    assert_true(fabs(model_tensor(&m, "coefficients")->v[j] - model_tensor(&without, "coefficients")->v[j]) <
                1e-6);
  scan_model_free(&m);
  scan_model_free(&without);
}

static void test_collinear(void **state) {
  (void)state;
  static Data t;
  make(&t, 1);
  for (uint32_t i = 0; i < N; i++) { /* two indicators that add up to the intercept */
    t.x[i * D + 4] = 1 - t.x[i * D + 5];
    t.x[i * D + 3] = 0.25;
  }
  Matrix dense = t.rows.x, sparse = scan_sparse(&dense, true);
  for (int way = 0; way < 2; way++) {
    t.rows.x = way & 1 ? sparse : dense;
    Model m;
    Err e;
    assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_OK);
    assert_true(m.converged);
    if (!strstr(m.warning, "1 of 5 features are combinations of the others") ||
        !strstr(m.warning, "Involved: x4, x5") ||
        !strstr(m.warning, "1 constant feature got the coefficient 0: x3"))
      fail_msg("%s", m.warning);
    static double five[N * (D - 1)]; /* without the constant column */
    for (uint32_t i = 0; i < N; i++)
      for (uint32_t j = 0, k = 0; j < D; j++)
        if (j != 3)
          five[i * (D - 1) + k++] = t.x[i * D + j];
    RefProblem p = {.n = N,
                    .d = D - 1,
                    .x = five,
                    .y = t.y,
                    .w = t.w,
                    .logistic = true,
                    .intercept = true,
                    .standardize = true,
                    .l2 = 1e-9};
    double b[D];
    ref_minimum(&p, b);
    const double *c = model_tensor(&m, "coefficients")->v;
    assert_true(fabs(c[4] + c[5]) < 1e-9); /* least norm: equal deviations, opposite signs */
    for (uint32_t j = 0, k = 0; j < D; j++)
      if (j != 3)
        assert_true(fabs(c[j] - b[k++]) < 1e-6);
    scan_model_free(&m);
  }
  t.rows.x = dense;
  scan_sparse_free(&sparse);
}

static void test_wide(void **state) {
  (void)state;
  enum { ROWS = 20, COLS = 50 };
  static double x[ROWS * COLS], y[ROWS];
  for (int i = 0; i < ROWS; i++) {
    y[i] = scan_random(9, (uint64_t)i) > 0.4;
    for (int j = 0; j < COLS; j++)
      x[i * COLS + j] = scan_random(10 + (uint64_t)j, (uint64_t)i);
  }
  ScanRows s = {.n = ROWS, .x = {.n = ROWS, .d = COLS, .a = x}, .y = y};
  double b[COLS + 1];
  RefProblem p = {.n = ROWS,
                  .d = COLS,
                  .x = x,
                  .y = y,
                  .logistic = true,
                  .intercept = true,
                  .standardize = true,
                  .l2 = 0.01};
  ref_minimum(&p, b);
  for (int solver = 1; solver <= 2; solver++) {
    Model m;
    Err e;
    assert_int_equal(scan_train(&logistic_regression, &s, &m, &e, "l2", 0.01, "solver", (double)solver, STOP),
                     ST_OK);
    assert_true(m.converged && !m.warning[0]);
    if (!(worst(&m, b, NULL) < (solver == 1 ? 1e-10 : 1e-6)))
      fail_msg("solver %d: off by %g", solver, worst(&m, b, NULL));
    scan_model_free(&m);
    assert_int_equal(scan_train(&logistic_regression, &s, &m, &e, "solver", (double)solver, STOP), ST_OK);
    assert_false(m.converged);
    assert_non_null(strstr(m.warning, "the classes are separated"));
    scan_model_free(&m);
  }
}

static void test_errors(void **state) {
  (void)state;
  static Data t;
  Model m;
  Err e;
  make(&t, 1);
  for (uint32_t i = 0; i < N; i++)
    t.y[i] = 1;
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_DATA);
  assert_non_null(strstr(e.cause, "is true (1) in all"));
  scan_model_free(&m);
  t.y[17] = 0; /* but its weight is 0 */
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_DATA);
  assert_non_null(strstr(e.cause, "is true (1) in all"));
  scan_model_free(&m);
  t.y[18] = 0.5;
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_DATA);
  assert_string_equal(t.rows.errors.v[0].column, "target");
  assert_int_equal(t.rows.errors.v[0].pos, 18);
  scan_model_free(&m);
  t.rows.n = 1;
  t.rows.weight = NULL;
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_DATA);
  scan_model_free(&m);
  make(&t, 1);
  memset(t.w, 0, sizeof t.w);
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_DATA);
  assert_non_null(strstr(e.cause, "no training row"));
  scan_model_free(&m);
  make(&t, 1);
  for (uint32_t i = 0; i < N; i++)
    t.x[i * D] *= 1e200;
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_DATA);
  assert_non_null(strstr(e.cause, "feature `x0` of model `test` is too large"));
  scan_model_free(&m);
}

static void test_iterations(void **state) {
  (void)state;
  static Data t;
  Model m;
  Err e;
  make(&t, 1);
  for (int solver = 1; solver <= 2; solver++) {
    assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, "max_iterations", 1.0, "solver",
                                (double)solver, STOP),
                     ST_OK);
    assert_false(m.converged);
    assert_int_equal(m.iterations, 1);
    assert_non_null(strstr(m.warning, "not converged after 1 iterations"));
    scan_model_free(&m);
  }
}

/* The same cut gives the same bits, and rows of weight 0 are as good as absent. */
static void test_bits(void **state) {
  (void)state;
  static Data t;
  make(&t, 1);
  t.rows.cut = 7;
  t.rows.leaf = 2;
  Matrix dense = t.rows.x, sparse = scan_sparse(&dense, true);
  for (int way = 0; way < 4; way++) {
    Model m[2];
    Err e;
    t.rows.x = way & 1 ? sparse : dense;
    for (int k = 0; k < 2; k++) {
      assert_int_equal(scan_train(&logistic_regression, &t.rows, &m[k], &e, "l2", 0.01, "solver",
                                  way & 2 ? 2.0 : 1.0, STOP),
                       ST_OK);
      for (uint32_t i = 0; i < N; i += 17)
        t.y[i] = 1 - t.y[i];
    }
    assert_memory_equal(model_tensor(&m[0], "coefficients")->v, model_tensor(&m[1], "coefficients")->v,
                        D * sizeof(double));
    scan_model_free(&m[0]);
    scan_model_free(&m[1]);
  }
  t.rows.x = dense;
  scan_sparse_free(&sparse);
}

static void test_scikit_learn(void **state) {
  (void)state;
  oracle_run("logistic", &logistic_regression);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_closed_form),
      cmocka_unit_test(test_separated),
      cmocka_unit_test(test_one_sided_level),
      cmocka_unit_test(test_collinear),
      cmocka_unit_test(test_wide),
      cmocka_unit_test(test_errors),
      cmocka_unit_test(test_iterations),
      cmocka_unit_test(test_bits),
      cmocka_unit_test(test_plain_solver),
      cmocka_unit_test(test_badly_scaled),
      cmocka_unit_test(test_condition),
      cmocka_unit_test(test_scikit_learn),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
