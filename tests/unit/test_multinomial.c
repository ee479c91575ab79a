/* SPDX-License-Identifier: Apache-2.0 */
/* Multinomial logistic regression: the gradient of the stated objective, computed plainly in long double,
 * is 0 at what it finds, with both solvers and layouts of the matrix; coefficients add up to 0 over the
 * classes; and the cases without a single solution. */
#include <float.h>
#include <math.h>

#include "stdlib/linear/multinomial.h"
#include "stdlib/registry.h"
#include "tests/unit/scan.h"

enum { N = 700, D = 5, K = 4 };
#define STOP (const char *)NULL

typedef struct Data {
  ScanRows rows;
  double x[N * D], y[N], w[N];
} Data;

static void make(Data *t, double spread) {
  memset(t, 0, sizeof *t);
  for (uint32_t i = 0; i < N; i++) {
    double best = -1e300;
    for (uint32_t j = 0; j < D; j++) {
      double z = j == D - 1 ? scan_random(77, i) < 0.2 : scan_random(j + 1, i) - 0.5;
      t->x[i * D + j] = (z + 10.0 * (j == 2)) * pow(spread, (double)j / (D - 1));
    }
    for (uint32_t c = 0; c < K; c++) {
      double f = -0.3 * c + 1.5 * scan_random(90 + c, i);
      for (uint32_t j = 0; j < D; j++)
        f += (scan_random(j + 1, i) - 0.5) * ((c * 7 + j * 3) % 5 - 2.0) * 0.5;
      t->y[i] = f > best ? c : t->y[i];
      best = f > best ? f : best;
    }
    t->w[i] = i % 17 == 0 ? 0 : 0.25 + 3 * scan_random(55, i);
  }
  t->rows.n = N;
  t->rows.nclass = K;
  t->rows.x = (Matrix){.n = N, .d = D, .a = t->x};
  t->rows.y = t->y;
  t->rows.weight = t->w;
}

typedef struct Problem {
  double l2, l1;
  bool intercept, standardize, balanced;
} Problem;

/* Objective at the model, and the greatest derivative by a coefficient times the column's deviation (with
 * l1: its distance from what is allowed). */
static double look(const Data *t, const Model *m, const Problem *p, double *worst) {
  const double *b = model_tensor(m, "coefficients")->v, *b0 = model_tensor(m, "intercept")->v;
  long double W = 0, F = 0, class[K] = {0}, g[K][D + 1] = {{0}}, mean[D] = {0}, dev[D] = {0};
  double w[N];
  for (uint32_t i = 0; i < N; i++)
    class[(int)t->y[i]] += t->rows.weight ? t->w[i] : 1;
  for (uint32_t c = 0; c < K; c++)
    W += class[c];
  for (uint32_t i = 0; i < N; i++)
    w[i] = (t->rows.weight ? t->w[i] : 1) * (p->balanced ? (double)(W / (K * class[(int)t->y[i]])) : 1);
  W = 0;
  for (uint32_t i = 0; i < N; i++) {
    W += w[i];
    for (uint32_t j = 0; j < D; j++)
      mean[j] += w[i] * t->x[i * D + j];
  }
  for (uint32_t j = 0; j < D; j++)
    mean[j] /= W;
  for (uint32_t i = 0; i < N; i++) {
    long double f[K], most = -1e300L, sum = 0;
    for (uint32_t c = 0; c < K; c++) {
      f[c] = b0[c];
      for (uint32_t j = 0; j < D; j++)
        f[c] += (long double)b[c * D + j] * t->x[i * D + j];
      most = f[c] > most ? f[c] : most;
    }
    for (uint32_t c = 0; c < K; c++)
      sum += expl(f[c] - most);
    F += w[i] * (most + logl(sum) - f[(int)t->y[i]]) / W;
    for (uint32_t c = 0; c < K; c++) {
      long double r = w[i] * (expl(f[c] - most) / sum - (c == (uint32_t)t->y[i])) / W;
      for (uint32_t j = 0; j < D; j++)
        g[c][j] += r * (t->x[i * D + j] - (p->intercept ? mean[j] : 0));
      g[c][D] += r;
    }
    for (uint32_t j = 0; j < D; j++)
      dev[j] += w[i] * (t->x[i * D + j] - mean[j]) * (t->x[i * D + j] - mean[j]) / W;
  }
  *worst = 0;
  for (uint32_t c = 0; c < K; c++) {
    for (uint32_t j = 0; j < D; j++) {
      long double s = p->standardize ? dev[j] : 1, l1 = p->l1 * sqrtl(s), bj = b[c * D + j];
      F += p->l2 / 2 * s * bj * bj + l1 * fabsl(bj);
      long double d = g[c][j] + p->l2 * s * bj, unit = sqrtl(dev[j]);
      d = bj > 0 ? d + l1 : bj < 0 ? d - l1 : fabsl(d) > l1 ? fabsl(d) - l1 : 0;
      *worst = fmax(*worst, unit > 0 ? (double)fabsl(d / unit) : 0);
    }
    *worst = fmax(*worst, p->intercept ? (double)fabsl(g[c][D]) : 0);
  }
  return (double)F;
}

static void compare(Data *t, Problem p) {
  Matrix dense = t->rows.x, sparse = scan_sparse(&dense, true);
  for (int way = 0; way < 4; way++) {
    Model m;
    Err e;
    double worst;
    t->rows.x = way & 1 ? sparse : dense;
    Status st = scan_train(&logistic_regression, &t->rows, &m, &e, "l2", p.l2, "l1", p.l1, "intercept",
                           (double)p.intercept, "standardize", (double)p.standardize, "class_weight",
                           (double)p.balanced, "solver", way & 2 ? 2.0 : 1.0, "tolerance",
                           way & 2 ? 1e-11 : 1e-8, STOP);
    if (st)
      fail_msg("%s", e.cause);
    double best = look(t, &m, &p, &worst), sum = 0;
    if (!m.converged ||
        !(worst < (p.l1 > 0  ? (way & 2 ? 1e-6 : 1e-10)
                   : way & 2 ? 1e-7
                             : 1e-12)) ||
        fabs(m.objective[m.nobjective - 1] - best) > 1e-12)
      fail_msg("way %d, l2 %g: gradient %g, objective %.17g for %.17g, converged %d after %u: %s", way, p.l2,
               worst, m.objective[m.nobjective - 1], best, m.converged, m.iterations, m.warning);
    assert_int_equal(m.nobjective, m.iterations);
    if (!(way & 2))
      assert_true(m.iterations <= 15);
    for (uint32_t c = 0; c < K && p.l1 == 0; c++)
      sum += model_tensor(&m, "coefficients")->v[c * D];
    assert_true(fabs(sum) < 1e-8 * fmax(1, fabs(model_tensor(&m, "coefficients")->v[0])));
    scan_model_free(&m);
  }
  t->rows.x = dense;
  scan_sparse_free(&sparse);
}

static void test_conditions(void **state) {
  (void)state;
  static Data t;
  const double l2[] = {0, 1e-3, 0.7};
  for (int k = 0; k < 3; k++) {
    make(&t, 1);
    t.rows.weight = k == 1 ? NULL : t.w;
    for (int way = 0; way < 8; way++)
      compare(&t, (Problem){.l2 = l2[k], .intercept = way & 1, .standardize = way & 2, .balanced = way & 4});
    compare(&t, (Problem){.l1 = 0.02, .l2 = l2[k], .intercept = true, .standardize = true});
  }
}

static void test_badly_scaled(void **state) {
  (void)state;
  static Data t;
  for (int k = 0; k < 2; k++) {
    make(&t, k ? 1e-9 : 1e9);
    Model m;
    Err e;
    double worst;
    assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, "l2", 1e-3 * k, STOP), ST_OK);
    look(&t, &m, &(Problem){.l2 = 1e-3 * k, .intercept = true, .standardize = true}, &worst);
    assert_true(m.converged && worst < 1e-10);
    scan_model_free(&m);
  }
}

/* A column twice: the same predictions, half of the coefficient each, and a warning. */
static void test_collinear(void **state) {
  (void)state;
  static Data t;
  make(&t, 1);
  Model one, two;
  Err e;
  double p1[K], p2[K];
  for (uint32_t i = 0; i < N; i++)
    t.x[i * D + 3] = i < N / 2 ? 5 : 5; /* constant */
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &one, &e, STOP), ST_OK);
  assert_non_null(strstr(one.warning, "constant feature got the coefficient 0: x3"));
  for (uint32_t i = 0; i < N; i++)
    t.x[i * D + 3] = 3 * t.x[i * D] + 1;
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &two, &e, STOP), ST_OK);
  assert_true(two.converged);
  assert_non_null(strstr(two.warning, "x0"));
  for (uint32_t i = 0; i < 20; i++) {
    Matrix x = {.n = 1, .d = D, .a = t.x + i * D};
    double keep = x.a[3];
    multinomial_predict(&two, &x, p2);
    x.a[3] = 5;
    multinomial_predict(&one, &x, p1);
    x.a[3] = keep;
    for (uint32_t c = 0; c < K; c++)
      assert_true(fabs(p1[c] - p2[c]) < 1e-10);
  }
  const double *b = model_tensor(&two, "coefficients")->v;
  for (uint32_t c = 0; c < K; c++) /* least norm on the standardised scale: both columns have the same part */
    assert_true(fabs(b[c * D] - 3 * b[c * D + 3]) < 1e-8);
  scan_model_free(&one);
  scan_model_free(&two);
}

/* Two classes: half of the difference of binary logistic regression. */
static void test_two_classes(void **state) {
  (void)state;
  static Data t;
  make(&t, 1);
  Model two, binary;
  Err e;
  for (uint32_t i = 0; i < N; i++)
    t.y[i] = t.y[i] > 1;
  t.rows.nclass = 2;
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &two, &e, "l2", 0.02, STOP), ST_OK);
  t.rows.nclass = 0;
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &binary, &e, "l2", 0.01, STOP), ST_OK);
  for (uint32_t j = 0; j < D; j++)
    assert_true(fabs(model_tensor(&two, "coefficients")->v[D + j] * 2 -
                     model_tensor(&binary, "coefficients")->v[j]) < 1e-9);
  scan_model_free(&two);
  scan_model_free(&binary);
}

static void test_no_solution(void **state) {
  (void)state;
  static Data t;
  Model m;
  Err e;
  for (int solver = 1; solver <= 2; solver++) {
    make(&t, 1);
    for (uint32_t i = 0; i < N; i++)
      t.y[i] = (uint32_t)(4 * (t.x[i * D] + 0.5)) % K; /* separated */
    assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, "solver", (double)solver, STOP),
                     ST_OK);
    assert_false(m.converged);
    assert_string_equal(m.warning, linear_separated);
    scan_model_free(&m);
  }
  make(&t, 1);
  for (uint32_t i = 0; i < N; i++)
    t.y[i] = t.x[i * D + 4] != 0 && t.y[i] == 2 ? 1 : t.y[i]; /* class 2 never where x4 is */
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_OK);
  assert_false(m.converged);
  assert_non_null(strstr(m.warning, "grow without end"));
  scan_model_free(&m);
}

static void test_refused(void **state) {
  (void)state;
  static Data t;
  Model m;
  Err e;
  make(&t, 1);
  for (uint32_t i = 0; i < N; i++)
    t.w[i] = t.y[i] == 3 ? 0 : t.w[i];
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_DATA);
  assert_string_equal(e.id, "CML0435");
  scan_model_free(&m);
  make(&t, 1);
  t.y[7] = 4;
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_DATA);
  assert_int_equal(t.rows.errors.v[0].pos, 7);
  scan_model_free(&m);
  make(&t, 1);
  memset(t.w, 0, sizeof t.w);
  assert_int_equal(scan_train(&logistic_regression, &t.rows, &m, &e, STOP), ST_DATA);
  scan_model_free(&m);
}

/* Certain rows: no NaN, probabilities add up to 1; dense and sparse rows give the same bits. */
static void test_predict(void **state) {
  (void)state;
  double b[3 * 2] = {900, 0, 0, 1, -900, 2}, b0[3] = {0, 1, 0}, x[6] = {2, 0, 0, 0, -3, 7}, p[9], q[9];
  Tensor tensor[] = {{"coefficients", 3, 2, b}, {"intercept", 1, 3, b0}};
  Model m = {.est = &logistic_regression,
             .d = 2,
             .task = TASK_MULTICLASS,
             .nout = 3,
             .nclass = 3,
             .tensor = tensor,
             .ntensor = 2};
  Matrix dense = {.n = 3, .d = 2, .a = x}, sparse = scan_sparse(&dense, true);
  Err e = {0};
  assert_int_equal(multinomial_verify(&m, &e), ST_OK);
  multinomial_predict(&m, &dense, p);
  multinomial_predict(&m, &sparse, q);
  assert_memory_equal(p, q, sizeof p);
  assert_true(p[0] == 1 && p[1] == 0 && p[2] == 0 && p[8] == 1);
  assert_true(fabs(p[3] + p[4] + p[5] - 1) < 1e-15 && fabs(p[4] - exp(1) / (2 + exp(1))) < 1e-15);
  scan_sparse_free(&sparse);
  b[1] = NAN;
  assert_int_equal(multinomial_verify(&m, &e), ST_DATA);
  tensor[0].rows = 2;
  err_clear(&e);
  assert_int_equal(multinomial_verify(&m, &e), ST_DATA);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_conditions),  cmocka_unit_test(test_badly_scaled),
      cmocka_unit_test(test_collinear),   cmocka_unit_test(test_two_classes),
      cmocka_unit_test(test_no_solution), cmocka_unit_test(test_refused),
      cmocka_unit_test(test_predict),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
