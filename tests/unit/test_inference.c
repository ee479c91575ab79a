/* SPDX-License-Identifier: Apache-2.0 */
/* Standard errors, p-values and intervals against R's lm and glm, also with an offset; tail probabilities
 * against scipy (tests/oracle/errors.txt); and where there are none, and why. Lines of the file:
 *
 *   KIND NAME key n d spread collinear weighted intercept offset | b0 b.. error0 error.. p0 p..   (nan
 *   without an intercept) t WHICH value freedom chance quantile_of_0.05 */
#include <math.h>

#include "stdlib/linear/linear.h"
#include "stdlib/registry.h"
#include "tests/unit/linear_oracle.h"
#include "vm/kernel/chance.h"

static const double END = 0;
#define STOP (const char *)NULL, END

static double relative(double a, double b) {
  return isnan(a) && isnan(b) ? 0 : fabs(a - b) / fmax(fabs(b), 1e-290);
}

static const double *tensor(const Model *m, const char *name) {
  const Tensor *t = model_tensor(m, name);
  if (!t)
    fail_msg("no tensor %s: %s", name, m->inference);
  return t->v;
}

/* The greatest relative error of standard errors, and of p-values in so far as they follow from
 * coefficients. */
static double compare(const Model *m, const double *want, uint32_t d, uint32_t p, bool intercept) {
  double bad = 0;
  for (uint32_t k = 0; k <= p; k++) {
    bool first = k == 0;
    const char *name[] = {first ? "intercept_std_error" : "std_error",
                          first ? "intercept_p_value" : "p_value", first ? "intercept_low_95" : "low_95",
                          first ? "intercept" : "coefficients"};
    uint32_t j = first ? 0 : k - 1;
    double b = tensor(m, name[3])[j], error = tensor(m, name[0])[j], chance = tensor(m, name[1])[j];
    if (first && !intercept) {
      assert_true(isnan(error) && isnan(chance));
      continue;
    }
    bad = fmax(bad, relative(error, want[p + 1 + k]));
    bad = fmax(bad, fabs(b - want[k]) / want[p + 1 + k]);
    bad = fmax(bad, relative(chance, want[2 * (p + 1) + k]) / fmax(1, b * b / error / error));
    assert_true(tensor(m, name[2])[j] < b);
  }
  for (uint32_t j = p; j < d; j++) /* the offset */
    assert_true(isnan(tensor(m, "std_error")[j]) && tensor(m, "coefficients")[j] == 1);
  return bad;
}

static void test_r(void **state) {
  (void)state;
  FILE *f = oracle_open("errors.txt");
  char line[4096], kind[32], name[64];
  int cases = 0;
  while (fgets(line, sizeof line, f)) {
    uint64_t key;
    uint32_t n, d;
    int spread, collinear, weighted, intercept, offset, at = 0;
    if (sscanf(line, "%31s %63s %lu %u %u %d %d %d %d %d | %n", kind, name, &key, &n, &d, &spread, &collinear,
               &weighted, &intercept, &offset, &at) != 10 ||
        line[0] == '#')
      continue;
    const Estimator *est = kind[1] == 'i' ? &linear_regression : &logistic_regression;
    uint32_t p = d - (uint32_t)offset;
    double want[64];
    char *rest = line + at;
    for (uint32_t i = 0; i < 3 * (p + 1); i++)
      want[i] = strtod(rest, &rest);
    ScanRows s;
    oracle_rows(&s, key, n, d, spread, collinear, weighted, est == &logistic_regression);
    s.offset = offset;
    Matrix dense = s.x, sparse = scan_sparse(&dense, true);
    for (int way = 0; way < 2; way++) {
      Model m;
      Err e;
      s.x = way ? sparse : dense;
      if (scan_train(est, &s, &m, &e, "intercept", (double)intercept, STOP))
        fail_msg("%s: %s", name, e.cause);
      double bad = compare(&m, want, d, p, intercept);
      if (!(bad < 1e-7))
        fail_msg("%s %s, way %d: off by %g (%s)", kind, name, way, bad, m.inference);
      scan_model_free(&m);
    }
    free(dense.a);
    free(s.y);
    free(s.weight);
    free(sparse.ptr);
    free(sparse.col);
    free(sparse.val);
    cases++;
  }
  fclose(f);
  assert_true(cases >= 14);
}

static void test_chances(void **state) {
  (void)state;
  FILE *f = oracle_open("errors.txt");
  char line[4096], which[32];
  int cases = 0;
  while (fgets(line, sizeof line, f)) {
    double t, freedom, chance, quantile;
    if (sscanf(line, "t %31s %lf %lf %lf %lf", which, &t, &freedom, &chance, &quantile) != 5)
      continue;
    double got = freedom > 0 ? chance_t(t, freedom) : chance_normal(t);
    /* scipy's own t is right to about 1e-11 for many degrees of freedom */
    if (!(relative(got, chance) < (freedom > 1e3 ? 1e-9 : 3e-12)) ||
        !(relative(chance_quantile(0.05, freedom), quantile) < 1e-9))
      fail_msg("%s of %g, %g degrees of freedom: %.17g, not %.17g", which, t, freedom, got, chance);
    cases++;
  }
  fclose(f);
  assert_true(cases > 70);
  assert_true(chance_t(0, 3) == 1 && chance_normal(0) == 1);
  assert_true(chance_t(INFINITY, 3) == 0 && chance_normal(-INFINITY) == 0 && chance_normal(60) == 0);
  assert_true(isnan(chance_t(NAN, 3)) && isnan(chance_normal(NAN)));
  assert_true(chance_t(-2, 5) == chance_t(2, 5));
}

static void expect_none(const Estimator *est, ScanRows *s, const char *why, const char *option,
                        double value) {
  Model m;
  Err e;
  assert_int_equal(scan_train(est, s, &m, &e, option ? option : "l2", option ? value : 0.0, STOP), ST_OK);
  if (!strstr(m.inference, why) || strncmp(m.inference, "none", 4) || model_tensor(&m, "std_error"))
    fail_msg("%s: %s", why, m.inference);
  scan_model_free(&m);
}

static void test_none(void **state) {
  (void)state;
  ScanRows s, y;
  double lower[4] = {0, 0, 0, 0};
  oracle_rows(&s, 71, 60, 4, 0, 0, 0, true);
  oracle_rows(&y, 71, 60, 4, 0, 0, 0, false);
  expect_none(&linear_regression, &y, "penalised", "l1", 0.01);
  expect_none(&logistic_regression, &s, "penalised", "l2", 0.01);
  expect_none(&logistic_regression, &s, "reweighted", "positive_weight", 2);
  expect_none(&logistic_regression, &s, "reweighted", "class_weight", 1);
  expect_none(&linear_regression, &y, "lbfgs", "solver", 2);
  expect_none(&logistic_regression, &s, "not converged", "max_iterations", 1);
  y.lower = lower;
  expect_none(&linear_regression, &y, "bounds", NULL, 0);
  y.lower = NULL;
  for (uint32_t i = 0; i < 60; i++)
    y.x.a[i * 4 + 3] = y.x.a[i * 4] - 2 * y.x.a[i * 4 + 1];
  expect_none(&linear_regression, &y, "combinations", NULL, 0);
  y.n = y.x.n = 4;
  expect_none(&linear_regression, &y, "rows", NULL, 0);
  free(s.x.a);
  free(s.y);
  free(y.x.a);
  free(y.y);
}

/* A constant column has no standard error, the others those of the fit without it; a perfect fit has no
 * p-values. */
static void test_constant(void **state) {
  (void)state;
  ScanRows y;
  Model m;
  Err e;
  oracle_rows(&y, 72, 60, 3, 0, 0, 0, false);
  for (uint32_t i = 0; i < 60; i++)
    y.x.a[i * 3 + 1] = 4;
  assert_int_equal(scan_train(&linear_regression, &y, &m, &e, STOP), ST_OK);
  assert_true(isnan(tensor(&m, "std_error")[1]) && tensor(&m, "std_error")[0] > 0 &&
              tensor(&m, "intercept_std_error")[0] > 0);
  assert_string_equal(m.inference, "Student's t, 57 degrees of freedom");
  scan_model_free(&m);
  for (uint32_t i = 0; i < 60; i++)
    y.y[i] = 7;
  assert_int_equal(scan_train(&linear_regression, &y, &m, &e, STOP), ST_OK);
  for (uint32_t j = 0; j < 3; j++)
    assert_true(!(tensor(&m, "p_value")[j] < 0));
  scan_model_free(&m);
  free(y.x.a);
  free(y.y);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_r),
      cmocka_unit_test(test_chances),
      cmocka_unit_test(test_none),
      cmocka_unit_test(test_constant),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
