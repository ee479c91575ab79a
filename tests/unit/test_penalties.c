/* SPDX-License-Identifier: Apache-2.0 */
/* L1, the elastic net and bounds: against glmnet and scikit-learn (tests/oracle/penalties.txt), by both
 * solvers, dense and sparse; the optimality conditions of the answers in long double; and what is awkward:
 * fewer rows than columns, equal columns, constant ones, classes that can be separated. */
#include <math.h>

#include "stdlib/registry.h"
#include "tests/unit/linear_oracle.h"

static const double END = 0;
#define STOP (const char *)NULL, END

typedef struct Case {
  char kind[32], name[64];
  uint64_t key;
  uint32_t n, d;
  int spread, collinear, weighted, bounds;
  double l1, l2, intercept, standardize;
  double want[40], lower[40], upper[40];
} Case;

static const char *numbers(const char *p, double *out, uint32_t n) {
  char *end = NULL;
  for (uint32_t i = 0; i < n; i++, p = end)
    out[i] = strtod(p, &end);
  return p + strspn(p, " |");
}

static bool next_case(FILE *f, Case *c) {
  char line[4096];
  while (fgets(line, sizeof line, f)) {
    int at = 0;
    if (line[0] == '#')
      continue;
    assert_int_equal(sscanf(line, "%31s %63s %lu %u %u %d %d %d %lf %lf %lf %lf %d | %n", c->kind, c->name,
                            &c->key, &c->n, &c->d, &c->spread, &c->collinear, &c->weighted, &c->l1, &c->l2,
                            &c->intercept, &c->standardize, &c->bounds, &at),
                     13);
    numbers(numbers(numbers(line + at, c->want, c->d + 1), c->lower, c->d), c->upper, c->d);
    return true;
  }
  return false;
}

/* How far the model is from what the case wants, in standardised coefficients; `exact`: zeros and bounds
 * are those wanted. */
static double off_by(const Case *c, const Model *m, bool *exact) {
  const double *b = model_tensor(m, "coefficients")->v;
  double bad = fabs(model_tensor(m, "intercept")->v[0] - c->want[0]) / fmax(1, fabs(c->want[0]));
  *exact = true;
  for (uint32_t j = 0; j < c->d; j++) {
    bad = fmax(bad, fabs(b[j] - c->want[j + 1]) * ldexp(0.3, (int)j * c->spread));
    *exact &= b[j] >= c->lower[j] && b[j] <= c->upper[j] && (b[j] == 0) == (c->want[j + 1] == 0);
  }
  return bad;
}

static void test_outside_truth(void **state) {
  (void)state;
  FILE *f = oracle_open("penalties.txt");
  Case c;
  int cases = 0;
  for (; next_case(f, &c); cases++) {
    const Estimator *est = c.kind[1] == 'i' ? &linear_regression : &logistic_regression;
    ScanRows s;
    oracle_rows(&s, c.key, c.n, c.d, c.spread, c.collinear, c.weighted, est == &logistic_regression);
    s.lower = c.bounds ? c.lower : NULL;
    s.upper = c.bounds ? c.upper : NULL;
    Matrix dense = s.x, sparse = scan_sparse(&dense, true);
    for (int way = 0; way < 4; way++) {
      Model m;
      Err e;
      bool exact;
      double newton = way % 2 == 0;
      s.x = way < 2 ? dense : sparse;
      Status st =
          scan_train(est, &s, &m, &e, "l1", c.l1, "l2", c.l2, "intercept", c.intercept, "standardize",
                     c.standardize, "solver", newton ? 1.0 : 2.0, "tolerance", newton ? 1e-8 : 1e-11, STOP);
      if (st)
        fail_msg("%s %s: %s", c.kind, c.name, e.cause);
      double bad = off_by(&c, &m, &exact);
      if (!m.converged || !exact || !(bad < 1e-6))
        fail_msg("%s %s, solver %s, way %d: off by %g, zeros right %d, converged %d after %u: %s", c.kind,
                 c.name, m.solver, way, bad, exact, m.converged, m.iterations, m.warning);
      assert_true(!newton || m.iterations <= 12);
      scan_model_free(&m);
    }
    free(dense.a);
    free(s.y);
    free(s.weight);
    free(sparse.ptr);
    free(sparse.col);
    free(sparse.val);
  }
  fclose(f);
  assert_true(cases >= 16);
}

/* The greatest distance of a standardised coefficient from its own minimum, by the plain formulas; and the
 * objective. */
static double violation(const ScanRows *s, const Model *m, bool logistic, double l1, double l2,
                        double *objective) {
  uint32_t n = s->n, d = s->x.d;
  const double *b = model_tensor(m, "coefficients")->v;
  long double *r = calloc(n, sizeof *r), bad = 0, value = 0;
  for (uint32_t i = 0; i < n; i++) {
    long double f = model_tensor(m, "intercept")->v[0];
    for (uint32_t j = 0; j < d; j++)
      f += (long double)b[j] * s->x.a[(size_t)i * d + j];
    r[i] = (logistic ? 1 / (1 + expl(-f)) : f) - s->y[i];
    value += logistic ? logl(1 + expl(s->y[i] == 1 ? -f : f)) / n : r[i] * r[i] / 2 / n;
  }
  for (uint32_t j = 0; j < d; j++) {
    long double mean = 0, dev = 0, g = 0;
    for (uint32_t i = 0; i < n; i++)
      mean += s->x.a[(size_t)i * d + j] / n;
    for (uint32_t i = 0; i < n; i++) {
      long double u = s->x.a[(size_t)i * d + j] - mean;
      dev += u * u / n;
      g += r[i] * u / n;
    }
    long double sd = sqrtl(dev), beta = b[j] * sd;
    value += l1 * fabsl(beta) + l2 / 2 * beta * beta;
    if (sd == 0) {
      assert_true(b[j] == 0);
      continue;
    }
    long double lo = s->lower ? s->lower[j] * sd : -INFINITY, hi = s->upper ? s->upper[j] * sd : INFINITY;
    long double h = 1 + l2, t = h * beta - (g / sd + l2 * beta);
    t = (t > l1 ? t - l1 : t < -l1 ? t + l1 : 0) / h;
    t = t < lo ? lo : t > hi ? hi : t;
    bad = fmaxl(bad, fabsl(t - beta));
  }
  free(r);
  *objective = (double)value;
  return (double)bad;
}

/* Random rows with columns that are equal, sums of others, and constant; more columns than rows where
 * wide. */
static void make_awkward(ScanRows *s, uint32_t n, uint32_t d, bool binary) {
  memset(s, 0, sizeof *s);
  s->n = n;
  s->x = (Matrix){.n = n, .d = d, .a = calloc((size_t)n * d, sizeof(double))};
  s->y = calloc(n, sizeof(double));
  for (uint32_t i = 0; i < n; i++) {
    double *x = s->x.a + (size_t)i * d, f = 0;
    for (uint32_t j = 0; j < d; j++)
      x[j] = (scan_random(7 + j, i) - 0.5) * (j % 3 == 0 ? 100 : 1);
    x[1] = x[0];
    x[2] = 5;
    x[4] = x[0] / 100 + x[3];
    for (uint32_t j = 5; j < d && j < 9; j++)
      f += x[j] / (j % 3 == 0 ? 100 : 1) * (double)j;
    f += x[0] / 100 + scan_random(3, i) - 0.5;
    s->y[i] = binary ? f > 0 : f;
  }
}

static void free_rows(ScanRows *s) {
  free(s->x.a);
  free(s->y);
}

static void test_conditions(void **state) {
  (void)state;
  static const uint32_t size[][2] = {{300, 10}, {40, 90}, {9, 30}};
  for (int c = 0; c < 3 * 2 * 3; c++) {
    bool logistic = c / 3 % 2;
    double l1 = c / 6 == 2 ? 0.3 : 0.01, l2 = c / 6 == 1 ? 0.02 : 0, value[2];
    const Estimator *est = logistic ? &logistic_regression : &linear_regression;
    ScanRows s;
    make_awkward(&s, size[c % 3][0], size[c % 3][1], logistic);
    for (int solver = 1; solver <= 2; solver++) {
      Model m;
      Err e;
      assert_int_equal(scan_train(est, &s, &m, &e, "l1", l1, "l2", l2, "solver", (double)solver, "tolerance",
                                  1e-10, "max_iterations", 20000.0, STOP),
                       ST_OK);
      double bad = violation(&s, &m, logistic, l1, l2, &value[solver - 1]);
      if (!m.converged || !(bad < 1e-7))
        fail_msg("case %d, %s: %g from optimal, converged %d after %u: %s", c, m.solver, bad, m.converged,
                 m.iterations, m.warning);
      assert_true(fabs(m.objective[m.nobjective - 1] - value[solver - 1]) <=
                  1e-12 * fmax(1, value[solver - 1]));
      scan_model_free(&m);
    }
    assert_true(fabs(value[0] - value[1]) <= 1e-8 * fmax(1, fabs(value[0])));
    free_rows(&s);
  }
}

/* Bounds alone, also with equal columns; a bound that leaves one value; one that keeps a constant column
 * off 0. */
static void test_bounds(void **state) {
  (void)state;
  enum { D = 12 };
  double lower[D], upper[D], value;
  for (int logistic = 0; logistic < 2; logistic++)
    for (int solver = 1; solver <= 2; solver++) {
      ScanRows s;
      make_awkward(&s, 300, D, logistic);
      for (uint32_t j = 0; j < D; j++) {
        lower[j] = j % 2 ? 0 : -0.5;
        upper[j] = j == 7 ? 0 : j % 3 ? 0.8 : 3;
      }
      lower[5] = upper[5] = 0.125;
      s.lower = lower;
      s.upper = upper;
      Model m;
      Err e;
      assert_int_equal(scan_train(logistic ? &logistic_regression : &linear_regression, &s, &m, &e, "solver",
                                  (double)solver, "tolerance", 1e-10, "max_iterations", 20000.0, STOP),
                       ST_OK);
      const double *b = model_tensor(&m, "coefficients")->v;
      double bad = violation(&s, &m, logistic, 0, 0, &value);
      if (!m.converged || !(bad < 1e-6))
        fail_msg("%s %s: %g from optimal after %u: %s", m.est->name, m.solver, bad, m.iterations, m.warning);
      for (uint32_t j = 0; j < D; j++)
        assert_true(b[j] >= lower[j] && b[j] <= upper[j]);
      assert_true(b[5] == 0.125 && b[7] == 0);
      double free0 = model_tensor(&m, "intercept")->v[0];
      scan_model_free(&m);
      lower[2] = 1; /* the constant column 5: the intercept makes up for it */
      upper[2] = 2;
      assert_int_equal(scan_train(logistic ? &logistic_regression : &linear_regression, &s, &m, &e, "solver",
                                  (double)solver, "tolerance", 1e-10, "max_iterations", 20000.0, STOP),
                       ST_OK);
      assert_true(model_tensor(&m, "coefficients")->v[2] == 1);
      assert_true(fabs(model_tensor(&m, "intercept")->v[0] + 5 - free0) < 1e-6);
      scan_model_free(&m);
      free_rows(&s);
    }
}

/* Separated classes: with l1 there is a best point; with bounds on all sides also; with some sides free
 * there is none. */
static void test_separated(void **state) {
  (void)state;
  double x[40], y[20], lower[2] = {-1, -1}, upper[2] = {2, 2}, value;
  ScanRows s = {.n = 20, .x = {.n = 20, .d = 2, .a = x}, .y = y};
  for (int i = 0; i < 20; i++) {
    x[2 * i] = i - 9.5;
    x[2 * i + 1] = i % 3;
    y[i] = i >= 10;
  }
  for (int solver = 1; solver <= 2; solver++) {
    Model m;
    Err e;
    s.lower = s.upper = NULL;
    assert_int_equal(scan_train(&logistic_regression, &s, &m, &e, "l1", 0.01, "solver", (double)solver, STOP),
                     ST_OK);
    assert_true(m.converged && violation(&s, &m, true, 0.01, 0, &value) < 1e-6);
    scan_model_free(&m);
    s.lower = lower;
    s.upper = upper;
    assert_int_equal(scan_train(&logistic_regression, &s, &m, &e, "solver", (double)solver, STOP), ST_OK);
    assert_true(m.converged && model_tensor(&m, "coefficients")->v[0] == 2);
    scan_model_free(&m);
    s.upper = NULL;
    assert_int_equal(scan_train(&logistic_regression, &s, &m, &e, "solver", (double)solver, STOP), ST_OK);
    assert_true(!m.converged && strstr(m.warning, "separated"));
    scan_model_free(&m);
  }
}

/* A penalty that leaves nothing: the constant model, exactly. */
static void test_all_zero(void **state) {
  (void)state;
  for (int logistic = 0; logistic < 2; logistic++)
    for (int solver = 1; solver <= 2; solver++) {
      ScanRows s;
      Model m;
      Err e;
      make_awkward(&s, 200, 10, logistic);
      assert_int_equal(scan_train(logistic ? &logistic_regression : &linear_regression, &s, &m, &e, "l1",
                                  100.0, "solver", (double)solver, STOP),
                       ST_OK);
      assert_true(m.converged);
      for (uint32_t j = 0; j < m.d; j++)
        assert_true(model_tensor(&m, "coefficients")->v[j] == 0);
      scan_model_free(&m);
      free_rows(&s);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_outside_truth), cmocka_unit_test(test_conditions), cmocka_unit_test(test_bounds),
      cmocka_unit_test(test_separated),     cmocka_unit_test(test_all_zero),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
