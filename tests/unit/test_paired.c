/* SPDX-License-Identifier: Apache-2.0 */
/* The jackknife against the paired t test of means, and how often its 95 % interval holds. */
#include <math.h>

#include "tests/unit/scan.h"
#include "vm/kernel/chance.h"
#include "vm/paired.h"

static void near(double got, double want, double tolerance) {
  if (!(fabs(got - want) <= tolerance))
    fail_msg("%.17g, expected %.17g", got, want);
}

enum { ROWS = 1000, GROUPS = PAIRED_GROUPS };

/* The values of a mean of x: of all rows, and without the rows of each group. */
static void means(const double *x, const uint32_t *group, uint32_t n, MetricValue *v) {
  memset(v, 0, (1 + GROUPS) * sizeof *v);
  for (uint32_t g = 0; g <= GROUPS; g++) {
    for (uint32_t r = 0; r < n; r++)
      if (g == 0 || group[r] != g - 1) {
        v[g].value += x[r];
        v[g].rows++;
      }
    v[g].value /= (double)v[g].rows;
    v[g].defined = true;
  }
}

static double normal(uint64_t key, uint64_t i) {
  return sqrt(-2 * log(1 - scan_random(key, 2 * i))) * cos(2 * M_PI * scan_random(key, 2 * i + 1));
}

/* Groups of one row: the paired t test. */
static void test_single_rows(void **state) {
  (void)state;
  double a[GROUPS], b[GROUPS], mean = 0, sum = 0;
  uint32_t group[GROUPS];
  MetricValue va[1 + GROUPS], vb[1 + GROUPS];
  for (uint32_t r = 0; r < GROUPS; r++) {
    a[r] = normal(1, r) + 0.3;
    b[r] = normal(2, r);
    group[r] = r;
    mean += (a[r] - b[r]) / GROUPS;
  }
  for (uint32_t r = 0; r < GROUPS; r++)
    sum += (a[r] - b[r] - mean) * (a[r] - b[r] - mean);
  means(a, group, GROUPS, va);
  means(b, group, GROUPS, vb);
  Paired p = paired_of(va, vb, 1 + GROUPS);
  double se = sqrt(sum / (GROUPS - 1) / GROUPS);
  assert_true(p.known);
  near(p.difference, mean, 1e-15);
  near(p.high - p.low, 2 * 2.0095752371292397 * se, 1e-12);
  near(p.p, chance_t(mean / se, GROUPS - 1), 1e-12);
}

static void test_coverage(void **state) {
  (void)state;
  static double a[ROWS], b[ROWS];
  static uint32_t group[ROWS];
  MetricValue va[1 + GROUPS], vb[1 + GROUPS];
  int held = 0, runs = 600;
  for (int i = 0; i < runs; i++) {
    uint64_t key = 100 + 3 * (uint64_t)i;
    for (uint32_t r = 0; r < ROWS; r++) {
      double both = exp(normal(key, r)); /* skewed, and common to the two */
      a[r] = both + normal(key + 1, r) + 0.05;
      b[r] = both;
      group[r] = (uint32_t)(hash_word(key + 2, r) % GROUPS);
    }
    means(a, group, ROWS, va);
    means(b, group, ROWS, vb);
    Paired p = paired_of(va, vb, 1 + GROUPS);
    held += p.low <= 0.05 && 0.05 <= p.high;
  }
  if (held < 0.92 * runs || held > 0.98 * runs)
    fail_msg("%d of %d intervals held", held, runs);
}

/* Empty groups do not count; a value that is missing without a group leaves no interval; nothing differs. */
static void test_edges(void **state) {
  (void)state;
  double x[4] = {1, 2, 3, 4};
  uint32_t group[4] = {3, 3, 9, 40};
  MetricValue a[1 + GROUPS], b[1 + GROUPS];
  means(x, group, 4, a);
  memcpy(b, a, sizeof a);
  Paired p = paired_of(a, b, 1 + GROUPS);
  assert_true(p.known && p.difference == 0 && p.low == 0 && p.high == 0 && p.p == 1);
  for (int g = 0; g <= GROUPS; g++)
    b[g].value -= 1;
  p = paired_of(a, b, 1 + GROUPS);
  assert_true(p.known && p.difference == 1 && p.p <= 1e-12);
  b[10].defined = false;
  assert_false(paired_of(a, b, 1 + GROUPS).known);
  for (int r = 0; r < 4; r++)
    group[r] = 5;
  means(x, group, 1, a);
  a[6].defined = false;
  assert_false(paired_of(a, a, 1 + GROUPS).known);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_single_rows),
                                     cmocka_unit_test(test_coverage), cmocka_unit_test(test_edges)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
