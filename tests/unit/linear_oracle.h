/* SPDX-License-Identifier: Apache-2.0 */
/* linear_oracle.h: the cases of tests/oracle/linear.txt, fitted and compared with what scikit-learn found.
 *
 * Rows are generated from the case's key by the counter-based generator of base/hash.h, here and in
 * tests/oracle/linear.py, by the same operations in the same order, so both see the same bits. A line of the
 * file:
 *
 *   linear NAME key n d spread collinear weighted l2 intercept standardize balanced positive_weight |
 *   intercept coefficients ... */
#ifndef TESTS_UNIT_LINEAR_ORACLE_H
#define TESTS_UNIT_LINEAR_ORACLE_H

#include <math.h>

#include "tests/unit/scan.h"

static inline FILE *oracle_open(const char *name) {
  char path[1024];
  const char *dir = getenv("CML_SRCDIR");
  snprintf(path, sizeof path, "%s/tests/oracle/%s", dir ? dir : ".", name);
  FILE *f = fopen(path, "r");
  if (!f)
    fail_msg("%s is missing", path);
  return f;
}

static inline void oracle_rows(ScanRows *s, uint64_t key, uint32_t n, uint32_t d, int spread, int collinear,
                               int weighted, bool binary) {
  memset(s, 0, sizeof *s);
  s->n = n;
  s->x = (Matrix){.n = n, .d = d, .a = malloc((size_t)n * d * sizeof(double))};
  s->y = malloc(n * sizeof(double));
  s->weight = weighted ? malloc(n * sizeof(double)) : NULL;
  for (uint32_t i = 0; i < n; i++) {
    double score = 0.25;
    for (uint32_t j = 0; j < d; j++) {
      double z = scan_random(key * 100 + j, i) - 0.5;
      score = score + z * ((double)(j % 3) - 0.5);
      if (j == d - 1 && collinear)
        z = (scan_random(key * 100, i) - 0.5) + z / 256;
      s->x.a[(size_t)i * d + j] = (z + (j == 1 ? 8 : 0)) * ldexp(1, (int)j * spread);
    }
    double noise = scan_random(key * 100 + 98, i) - 0.5;
    s->y[i] = binary ? score + 1.5 * noise > 0 : score + 0.5 * noise;
    if (weighted)
      s->weight[i] = 0.25 + 3 * scan_random(key * 100 + 99, i);
  }
}

/* Fits all cases of `kind` ("linear", "logistic"), by both solvers. */
static inline void oracle_run(const char *kind, const Estimator *est) {
  FILE *f = oracle_open("linear.txt");
  char line[4096], what[32], name[64];
  int cases = 0;
  while (fgets(line, sizeof line, f)) {
    uint64_t key;
    uint32_t n, d;
    int spread, collinear, weighted, at = 0;
    double l2, intercept, standardize, balanced, positive;
    if (line[0] == '#' ||
        sscanf(line, "%31s %63s %lu %u %u %d %d %d %lf %lf %lf %lf %lf |%n", what, name, &key, &n, &d,
               &spread, &collinear, &weighted, &l2, &intercept, &standardize, &balanced, &positive,
               &at) != 13 ||
        strcmp(what, kind) != 0)
      continue;
    assert_true(at > 0);
    double want[64];
    char *p = line + at;
    for (uint32_t j = 0; j <= d; j++)
      want[j] = strtod(p, &p);
    ScanRows s;
    oracle_rows(&s, key, n, d, spread, collinear, weighted, (est->tasks & TASK_BIT(TASK_BINARY)));
    for (int solver = 1; solver <= 2; solver++) {
      Model m;
      Err e;
      double tolerance = solver == 1 ? 1e-8 : 1e-12;
      Status st =
          (est->tasks & TASK_BIT(TASK_BINARY))
              ? scan_train(est, &s, &m, &e, "l2", l2, "intercept", intercept, "standardize", standardize,
                           "class_weight", balanced, "positive_weight", positive, "solver", (double)solver,
                           "tolerance", tolerance, (const char *)NULL)
              : scan_train(est, &s, &m, &e, "l2", l2, "intercept", intercept, "standardize", standardize,
                           "solver", (double)solver, "tolerance", tolerance, (const char *)NULL);
      if (st)
        fail_msg("%s: %s", name, e.cause);
      double bad = fabs(model_tensor(&m, "intercept")->v[0] - want[0]) / fmax(1, fabs(want[0]));
      for (uint32_t j = 0; j < d; j++)
        bad = fmax(bad, fabs(model_tensor(&m, "coefficients")->v[j] - want[j + 1]) *
                            ldexp(1, (int)j * spread) / (collinear ? 100 : 1));
      if (!m.converged || !(bad < (solver == 1 ? 1e-8 : 1e-6)))
        fail_msg("%s, solver %s: off by %g, converged %d after %u: %s", name, m.solver, bad, m.converged,
                 m.iterations, m.warning);
      scan_model_free(&m);
    }
    free(s.x.a);
    free(s.y);
    free(s.weight);
    cases++;
  }
  fclose(f);
  assert_true(cases >= 8);
}

#endif
