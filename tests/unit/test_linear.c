/* SPDX-License-Identifier: Apache-2.0 */
/* linear_regression against a plain solver in long double (linear_reference.h), closed forms, and
 * scikit-learn's stored results (tests/oracle/linear.txt). Every fit is made dense and sparse, by Newton
 * and by L-BFGS. */
#include <math.h>

#include "tests/unit/linear_oracle.h"
#include "tests/unit/linear_reference.h"
#include "tests/unit/scan.h"
#include "stdlib/registry.h"

enum { N = 400, D = 6 };
static const double END = 0;
#define STOP (const char *)NULL, END

typedef struct Data {
  ScanRows rows;
  double x[N * D], y[N], w[N];
} Data;

/* Columns of very different size and place; y depends on all of them. */
static void make(Data *t, double spread) {
  memset(t, 0, sizeof *t);
  for (uint32_t i = 0; i < N; i++) {
    double f = 3;
    for (uint32_t j = 0; j < D; j++) {
      double z = scan_random(j + 1, i) - 0.5;
      if (j == D - 1 && scan_random(77, i) < 0.6)
        z = 0;
      double size = pow(spread, (double)j / (D - 1));
      t->x[i * D + j] = j == D - 1 ? z * size : (z + 10.0 * (j == 2)) * size;
      f += z * (j + 1.0) - 0.3 * z * z;
    }
    t->y[i] = f + scan_random(99, i) - 0.5;
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

/* Fits in every way and compares with the plain solver. */
static void compare(Data *t, double l2, double intercept, double standardize, double tolerance) {
  RefProblem p = {.n = N, .d = D, .x = t->x, .y = t->y, .w = t->rows.weight, .intercept = intercept != 0,
                  .standardize = standardize != 0, .l2 = l2};
  double b[D + 1], scale[D];
  double best = ref_minimum(&p, b);
  for (uint32_t j = 0; j < D; j++) {
    double most = 0;
    for (uint32_t i = 0; i < N; i++)
      most = fmax(most, fabs(t->x[i * D + j]));
    scale[j] = most;
  }
  Matrix dense = t->rows.x, sparse = scan_sparse(&dense, true);
  for (int way = 0; way < 4; way++) {
    Model m;
    Err e;
    t->rows.x = way & 1 ? sparse : dense;
    Status st =
        scan_train(&linear_regression, &t->rows, &m, &e, "l2", l2, "intercept", intercept, "standardize",
                   standardize, "solver", way & 2 ? 2.0 : 1.0, "tolerance", way & 2 ? 1e-11 : 1e-8, STOP);
    if (st)
      fail_msg("%s", e.cause);
    double bad = worst(&m, b, scale);
    if (!m.converged || !(bad < (way & 2 ? 100 * tolerance : tolerance)))
      fail_msg("way %d, l2 %g: off by %g, converged %d after %u: %s", way, l2, bad, m.converged, m.iterations,
               m.warning);
    assert_true(fabs(m.objective[m.nobjective - 1] - best) < 1e-11 * (1 + best));
    if (!(way & 2))
      assert_true(m.iterations <= 4);
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
    for (int weighted = 0; weighted < 2; weighted++) {
      t.rows.weight = weighted ? t.w : NULL;
      compare(&t, l2[k], 1, 1, 1e-10);
      compare(&t, l2[k], 1, 0, 1e-10);
      compare(&t, l2[k], 0, 1, 1e-10);
      compare(&t, l2[k], 0, 0, 1e-10);
    }
  }
}

static void test_badly_scaled(void **state) {
  (void)state;
  static Data t;
  make(&t, 1e9);
  compare(&t, 0, 1, 1, 1e-9);
  compare(&t, 1e-3, 1, 1, 1e-9);
  make(&t, 1e-9);
  compare(&t, 0, 1, 1, 1e-9);
}

/* Columns nearly collinear: condition number 300 and 1e6 of the standardised columns. */
static void test_condition(void **state) {
  (void)state;
  static Data t;
  double gap[] = {300, 1e6};
  for (int k = 0; k < 2; k++) {
    make(&t, 1);
    for (uint32_t i = 0; i < N; i++)
      t.x[i * D + 3] = t.x[i * D] + (t.x[i * D + 3]) / gap[k];
    RefProblem p = {.n = N, .d = D, .x = t.x, .y = t.y, .w = t.w, .intercept = true, .standardize = true};
    double b[D + 1];
    ref_minimum(&p, b);
    Model m;
    Err e;
    assert_int_equal(scan_train(&linear_regression, &t.rows, &m, &e, STOP), ST_OK);
    assert_true(m.converged);
    double bad = worst(&m, b, NULL) / fabs(b[0]);
    if (!(bad < (k ? 1e-8 : 1e-11)))
      fail_msg("condition %g: off by %g after %u: %s", gap[k], bad, m.iterations, m.warning);
    scan_model_free(&m);
  }
}

/* A large mean with a small deviation: time stamps. */
static void test_large_mean(void **state) {
  (void)state;
  static Data t;
  make(&t, 1);
  static double moved[N * D];
  memcpy(moved, t.x, sizeof moved);
  for (uint32_t i = 0; i < N; i++)
    moved[i * D + 1] = floor(t.x[i * D + 1] * 1e9);
  memcpy(t.x, moved, sizeof moved);
  RefProblem p = {.n = N, .d = D, .x = moved, .y = t.y, .w = t.w, .intercept = true, .standardize = true};
  double b[D + 1];
  ref_minimum(&p, b);
  for (uint32_t i = 0; i < N; i++)
    t.x[i * D + 1] = moved[i * D + 1] + 1.6e15;
  Matrix dense = t.rows.x, sparse = scan_sparse(&dense, false);
  for (int way = 0; way < 2; way++) {
    t.rows.x = way ? sparse : dense;
    Model m;
    Err e;
    assert_int_equal(scan_train(&linear_regression, &t.rows, &m, &e, STOP), ST_OK);
    assert_true(m.converged && m.iterations <= 4);
    const double *c = model_tensor(&m, "coefficients")->v;
    for (uint32_t j = 0; j < D; j++)
      assert_true(fabs(c[j] - b[j]) <= 1e-9 * fabs(b[j]));
    scan_model_free(&m);
  }
  t.rows.x = dense;
  scan_sparse_free(&sparse);
}

/* y = 2 + 3 x exactly; by hand for two rows. */
static void test_closed_form(void **state) {
  (void)state;
  double x[] = {1, 2, 4}, y[] = {5, 8, 14};
  ScanRows s = {.n = 3, .x = {.n = 3, .d = 1, .a = x}, .y = y};
  Model m;
  Err e;
  assert_int_equal(scan_train(&linear_regression, &s, &m, &e, STOP), ST_OK);
  assert_true(fabs(model_tensor(&m, "coefficients")->v[0] - 3) < 1e-14);
  assert_true(fabs(model_tensor(&m, "intercept")->v[0] - 2) < 1e-14);
  assert_string_equal(m.solver, "newton");
  assert_string_equal(m.warning, "");
  assert_int_equal(m.rows, 3);
  double out[3];
  linear_regression.predict(&m, &s.x, out);
  for (int i = 0; i < 3; i++)
    assert_true(fabs(out[i] - y[i]) < 1e-13);
  scan_model_free(&m);
  /* one column, ridge: b = cov / (var + l2 var) */
  assert_int_equal(scan_train(&linear_regression, &s, &m, &e, "l2", 0.5, STOP), ST_OK);
  assert_true(fabs(model_tensor(&m, "coefficients")->v[0] - 2) < 1e-14);
  scan_model_free(&m);
}

static void test_single_row(void **state) {
  (void)state;
  double x[] = {7, 8}, y[] = {5};
  ScanRows s = {.n = 1, .x = {.n = 1, .d = 2, .a = x}, .y = y};
  Model m;
  Err e;
  assert_int_equal(scan_train(&linear_regression, &s, &m, &e, STOP), ST_OK);
  assert_true(m.converged);
  assert_true(model_tensor(&m, "coefficients")->v[0] == 0 && model_tensor(&m, "coefficients")->v[1] == 0);
  assert_true(model_tensor(&m, "intercept")->v[0] == 5);
  assert_non_null(strstr(m.warning, "2 constant features"));
  scan_model_free(&m);
}

static void test_constant(void **state) {
  (void)state;
  static Data t;
  make(&t, 1);
  for (uint32_t i = 0; i < N; i++) {
    t.x[i * D + 1] = 0.1;
    t.x[i * D + 4] = 0;
  }
  Matrix dense = t.rows.x, sparse = scan_sparse(&dense, true);
  for (int way = 0; way < 2; way++) {
    t.rows.x = way ? sparse : dense;
    Model m;
    Err e;
    assert_int_equal(scan_train(&linear_regression, &t.rows, &m, &e, STOP), ST_OK);
    assert_true(m.converged);
    assert_string_equal(m.warning, "2 constant features got the coefficient 0: x1, x4");
    assert_true(model_tensor(&m, "coefficients")->v[1] == 0 && model_tensor(&m, "coefficients")->v[4] == 0);
    scan_model_free(&m);
  }
  t.rows.x = dense;
  scan_sparse_free(&sparse);
}

/* x5 = x0 + 2 x1, x4 = x3: the solution of least norm on the standardised scale, by the plain solver with
 * a vanishing penalty. */
static void test_collinear(void **state) {
  (void)state;
  static Data t;
  make(&t, 1);
  for (uint32_t i = 0; i < N; i++) {
    t.x[i * D + 4] = t.x[i * D + 3];
    t.x[i * D + 5] = t.x[i * D] + 2 * t.x[i * D + 1];
  }
  RefProblem p = {
      .n = N, .d = D, .x = t.x, .y = t.y, .w = t.w, .intercept = true, .standardize = true, .l2 = 1e-9};
  double b[D + 1];
  ref_minimum(&p, b);
  Matrix dense = t.rows.x, sparse = scan_sparse(&dense, true);
  for (int way = 0; way < 2; way++) {
    t.rows.x = way ? sparse : dense;
    Model m;
    Err e;
    assert_int_equal(scan_train(&linear_regression, &t.rows, &m, &e, STOP), ST_OK);
    assert_true(m.converged);
    assert_true(m.iterations <= 4);
    assert_non_null(strstr(m.warning, "2 of 6 features are combinations of the others"));
    assert_non_null(strstr(m.warning, "Involved: x0, x1, x3, x4, x5"));
    if (!(worst(&m, b, NULL) < 1e-7))
      fail_msg("off by %g", worst(&m, b, NULL));
    scan_model_free(&m);
  }
  t.rows.x = dense;
  scan_sparse_free(&sparse);
}

static void test_wide(void **state) {
  (void)state;
  enum { ROWS = 8, COLS = 30 };
  static double x[ROWS * COLS], y[ROWS];
  for (int i = 0; i < ROWS; i++) {
    y[i] = scan_random(9, (uint64_t)i);
    for (int j = 0; j < COLS; j++)
      x[i * COLS + j] = scan_random(10 + (uint64_t)j, (uint64_t)i);
  }
  ScanRows s = {.n = ROWS, .x = {.n = ROWS, .d = COLS, .a = x}, .y = y};
  Model m;
  Err e;
  double out[ROWS], b[COLS + 1];
  assert_int_equal(scan_train(&linear_regression, &s, &m, &e, STOP), ST_OK);
  assert_non_null(strstr(m.warning, "there are 30 features and only 8 rows"));
  linear_regression.predict(&m, &s.x, out);
  for (int i = 0; i < ROWS; i++)
    assert_true(fabs(out[i] - y[i]) < 1e-12);
  RefProblem p = {.n = ROWS, .d = COLS, .x = x, .y = y, .intercept = true, .standardize = true, .l2 = 1e-10};
  ref_minimum(&p, b);
  assert_true(worst(&m, b, NULL) < 1e-8);
  scan_model_free(&m);
  p.l2 = 0.1;
  ref_minimum(&p, b);
  assert_int_equal(scan_train(&linear_regression, &s, &m, &e, "l2", 0.1, STOP), ST_OK);
  assert_true(m.converged && !m.warning[0]);
  assert_true(worst(&m, b, NULL) < 1e-12);
  scan_model_free(&m);
}

static void test_errors(void **state) {
  (void)state;
  static Data t;
  Model m;
  Err e;
  make(&t, 1);
  t.w[37] = -1;
  assert_int_equal(scan_train(&linear_regression, &t.rows, &m, &e, STOP), ST_DATA);
  assert_int_equal(t.rows.errors.count, 1);
  assert_int_equal(t.rows.errors.v[0].pos, 37);
  assert_string_equal(t.rows.errors.v[0].column, "weight");
  scan_model_free(&m);
  t.w[37] = NAN;
  assert_int_equal(scan_train(&linear_regression, &t.rows, &m, &e, STOP), ST_DATA);
  scan_model_free(&m);
  memset(t.w, 0, sizeof t.w);
  assert_int_equal(scan_train(&linear_regression, &t.rows, &m, &e, STOP), ST_DATA);
  assert_non_null(strstr(e.cause, "no training row with a weight above 0"));
  scan_model_free(&m);
  make(&t, 1);
  t.rows.n = 0;
  assert_int_equal(scan_train(&linear_regression, &t.rows, &m, &e, STOP), ST_DATA);
  scan_model_free(&m);
}

/* Panels of another size change no more than rounding; the same cut gives the same bits, dense or sparse
 * layout by layout. */
static void test_cuts(void **state) {
  (void)state;
  static Data t;
  make(&t, 1);
  Model m[2];
  Err e;
  for (int k = 0; k < 2; k++) {
    t.rows.cut = 5;
    t.rows.leaf = 3;
    assert_int_equal(scan_train(&linear_regression, &t.rows, &m[k], &e, "l2", 0.01, STOP), ST_OK);
  }
  assert_memory_equal(model_tensor(&m[0], "coefficients")->v, model_tensor(&m[1], "coefficients")->v,
                      D * sizeof(double));
  scan_model_free(&m[1]);
  t.rows.cut = t.rows.leaf = 0;
  assert_int_equal(scan_train(&linear_regression, &t.rows, &m[1], &e, "l2", 0.01, STOP), ST_OK);
  for (int j = 0; j < D; j++)
    assert_true(fabs(model_tensor(&m[0], "coefficients")->v[j] - model_tensor(&m[1], "coefficients")->v[j]) <
                1e-12);
  /* predictions of dense and sparse rows have the same bits */
  Matrix sparse = scan_sparse(&t.rows.x, true);
  static double a[N], b[N];
  linear_regression.predict(&m[0], &t.rows.x, a);
  linear_regression.predict(&m[0], &sparse, b);
  assert_memory_equal(a, b, sizeof a);
  scan_sparse_free(&sparse);
  scan_model_free(&m[0]);
  scan_model_free(&m[1]);
}

static void test_no_features(void **state) {
  (void)state;
  double y[] = {1, 2, 6}, x[] = {0}, out[3];
  ScanRows s = {.n = 3, .x = {.n = 3, .d = 0, .a = x}, .y = y};
  Model m;
  Err e;
  assert_int_equal(scan_train(&linear_regression, &s, &m, &e, STOP), ST_OK);
  assert_true(model_tensor(&m, "intercept")->v[0] == 3);
  linear_regression.predict(&m, &s.x, out);
  assert_true(out[0] == 3 && out[2] == 3);
  scan_model_free(&m);
}

/* n-th allocation fails: an error, never a crash (mem_fail_at counts down per thread). */
static void test_memory(void **state) {
  (void)state;
  static Data t;
  make(&t, 1);
  for (long n = 1; n < 400; n++) {
    Model m;
    Err e;
    mem_fail_at(n);
    Iter *it = NULL;
    IrOption option[] = {{.name = "l2", .num = 0.1}, {.name = "l1", .num = n % 5 == 0 ? 0.1 : 0},
                         {.name = "intercept", .num = 1}, {.name = "standardize", .num = 1},
                         {.name = "max_iterations", .num = 50}, {.name = "tolerance", .num = 1e-8},
                         {.name = "solver", .num = (double)(n % 3)}};
    char *name[D] = {"a", "b", "c", "d", "e", "f"};
    memset(&m, 0, sizeof m);
    memset(&e, 0, sizeof e);
    TrainInfo info = {.name = "test", .d = D, .feature = name, .option = option, .noption = 7};
    Status st = linear_regression.begin(&info, &it, &e);
    Jobs jobs = {0};
    if (!st)
      st = it->next(it, NULL, 0, &jobs, &e);
    mem_fail_at(0);
    assert_true(st == ST_OK || st == ST_RESOURCE);
    jobs_free(&jobs);
    if (it)
      it->free(it);
  }
}

static void test_scikit_learn(void **state) {
  (void)state;
  oracle_run("linear", &linear_regression);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_closed_form),  cmocka_unit_test(test_single_row),
      cmocka_unit_test(test_constant),     cmocka_unit_test(test_collinear),
      cmocka_unit_test(test_wide),         cmocka_unit_test(test_errors),
      cmocka_unit_test(test_cuts),         cmocka_unit_test(test_no_features),
      cmocka_unit_test(test_memory),       cmocka_unit_test(test_plain_solver),
      cmocka_unit_test(test_badly_scaled), cmocka_unit_test(test_condition),
      cmocka_unit_test(test_large_mean),   cmocka_unit_test(test_scikit_learn),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
