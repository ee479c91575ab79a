/* SPDX-License-Identifier: Apache-2.0 */
/* descent_solve: its answers meet the optimality conditions, worked out here in long double, which is all
 * that a convex problem asks for; by a wide choice of random matrices, and by cases made by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "stdlib/linear/linear.h"

static double uniform(uint64_t key, uint64_t i) {
  return (double)(hash_word(key, i) >> 11) * 0x1p-53;
}

/* The greatest distance of a coordinate from its own minimum, times sqrt(h). */
static double violation(const Quadratic *q, const double *x) {
  double most = 0;
  for (uint32_t j = 0; j < q->m; j++) {
    const double *row = q->h + (size_t)j * q->m;
    double l1 = q->l1 ? q->l1[j] : 0, lo = q->lo ? q->lo[j] : -INFINITY, hi = q->hi ? q->hi[j] : INFINITY;
    long double r = q->g[j];
    for (uint32_t k = 0; k < q->m; k++)
      r += (long double)row[k] * x[k];
    assert_true(x[j] >= lo && x[j] <= hi);
    if (!(row[j] > 0))
      continue;
    long double t = row[j] * (long double)x[j] - r;
    t = (t > l1 ? t - l1 : t < -l1 ? t + l1 : 0) / row[j];
    t = t < lo ? lo : t > hi ? hi : t;
    most = fmax(most, (double)fabsl(t - x[j]) * sqrt(row[j]));
  }
  return most;
}

/* H = A'A of `rank` random rows; near: how alike the columns are (0: not at all). */
static void make(double *h, double *g, uint32_t m, uint32_t rank, double near, uint64_t key) {
  double *a = calloc((size_t)rank * m, sizeof *a);
  for (uint32_t i = 0; i < rank; i++)
    for (uint32_t j = 0; j < m; j++)
      a[i * m + j] = near * uniform(key, i) + (1 - near) * (uniform(key + 1, (uint64_t)i * m + j) - 0.5);
  for (uint32_t j = 0; j < m; j++)
    for (uint32_t k = 0; k < m; k++) {
      double s = 0;
      for (uint32_t i = 0; i < rank; i++)
        s += a[i * m + j] * a[i * m + k];
      h[(size_t)j * m + k] = s / rank;
    }
  for (uint32_t j = 0; j < m; j++) { /* in the range of H, so that the value is bounded below */
    g[j] = 0;
    for (uint32_t k = 0; k < m; k++)
      g[j] += h[(size_t)j * m + k] * (4 * uniform(key + 2, k) - 2);
  }
  free(a);
}

static void random_problems(void **state) {
  (void)state;
  static const uint32_t size[] = {1, 2, 5, 17, 60};
  static const double near[] = {0, 0.9, 0.9999};
  for (uint32_t c = 0; c < 5 * 3 * 2 * 4; c++) {
    uint32_t m = size[c % 5], rank = c / 15 % 2 ? (m + 1) / 2 : 3 * m + 2, form = c / 30;
    double *v = calloc((size_t)m * m + 5 * m, sizeof *v);
    double *g = v + (size_t)m * m, *l1 = g + m, *lo = l1 + m, *hi = lo + m, *x = hi + m;
    make(v, g, m, rank, near[c / 5 % 3], 1000 + 10 * c);
    for (uint32_t j = 0; j < m; j++) {
      l1[j] = j % 4 == 3 ? 0 : 0.02 * uniform(9, j);
      lo[j] = j % 3 == 0 ? 0 : j % 3 == 1 ? -0.5 : -INFINITY;
      hi[j] = j % 5 == 0 ? 0.25 : INFINITY;
    }
    Quadratic q = {.m = m, .h = v, .g = g, .l1 = form & 1 ? l1 : NULL, .lo = form & 2 ? lo : NULL,
                   .hi = form & 2 ? hi : NULL, .tolerance = 1e-11};
    QuadraticEnd end;
    Err e = {0};
    assert_int_equal(descent_solve(&q, x, &end, &e), ST_OK);
    if (!end.converged || !(violation(&q, x) < 1e-10))
      fail_msg("case %u: %u coordinates, off by %g, after %u sweeps", c, m, violation(&q, x), end.sweeps);
    free(v);
  }
}

static void by_hand(void **state) {
  (void)state;
  double h[] = {2, 0, 0, 1}, g[] = {-4, -0.5}, l1[] = {1, 1}, lo[] = {2, -1}, hi[] = {3, 1}, x[] = {9, 9};
  Quadratic q = {.m = 2, .h = h, .g = g, .l1 = l1, .tolerance = 1e-12};
  QuadraticEnd end;
  Err e = {0};
  assert_int_equal(descent_solve(&q, x, &end, &e), ST_OK); /* (4 - 1) / 2; |0.5| is below 1 */
  assert_true(end.converged && x[0] == 1.5 && x[1] == 0);
  q.lo = lo;
  q.hi = hi;
  assert_int_equal(descent_solve(&q, x, &end, &e), ST_OK);
  assert_true(end.converged && x[0] == 2 && x[1] == 0);
  hi[0] = 2; /* nothing left to choose */
  assert_int_equal(descent_solve(&q, x, &end, &e), ST_OK);
  assert_true(end.converged && x[0] == 2);
}

/* Coordinates of which the quadratic says nothing: 0 where they cost, downhill to a bound, else where they
 * are. */
static void flat(void **state) {
  (void)state;
  double h[16] = {0}, g[] = {0, 0.5, -2, 0}, l1[] = {1, 0, 0, 0}, lo[] = {-9, -3, -3, -9},
         hi[] = {9, 7, 7, 9};
  double x[] = {5, 5, 5, 5};
  Quadratic q = {.m = 4, .h = h, .g = g, .l1 = l1, .lo = lo, .hi = hi, .tolerance = 1e-12};
  QuadraticEnd end;
  Err e = {0};
  assert_int_equal(descent_solve(&q, x, &end, &e), ST_OK);
  assert_true(end.converged);
  assert_true(x[0] == 0 && x[1] == -3 && x[2] == 7 && x[3] == 5);
  q.m = 0;
  assert_int_equal(descent_solve(&q, x, &end, &e), ST_OK);
  assert_true(end.converged && end.sweeps == 0);
}

/* Two equal columns: any division between them is as good, and nothing runs away. */
static void twins(void **state) {
  (void)state;
  double h[] = {1, 1, 1, 1}, g[] = {-3, -3}, l1[] = {0.5, 0.5}, x[] = {0, 0};
  Quadratic q = {.m = 2, .h = h, .g = g, .l1 = l1, .tolerance = 1e-12};
  QuadraticEnd end;
  Err e = {0};
  assert_int_equal(descent_solve(&q, x, &end, &e), ST_OK);
  assert_true(end.converged && fabs(x[0] + x[1] - 2.5) < 1e-12 && x[0] >= 0 && x[1] >= 0);
}

/* Coordinates of very different size: the tolerance is measured in each one's own. */
static void sizes(void **state) {
  (void)state;
  enum { M = 12 };
  double h[M * M], g[M], l1[M], x[M] = {0};
  make(h, g, M, 40, 0.5, 77);
  for (uint32_t j = 0; j < M; j++) {
    double s = pow(10, 2.0 * j - 12);
    for (uint32_t k = 0; k < M; k++) {
      h[j * M + k] *= s;
      h[k * M + j] *= s;
    }
    g[j] *= s;
    l1[j] = 0.01 * s;
  }
  Quadratic q = {.m = M, .h = h, .g = g, .l1 = l1, .tolerance = 1e-10};
  QuadraticEnd end;
  Err e = {0};
  assert_int_equal(descent_solve(&q, x, &end, &e), ST_OK);
  assert_true(end.converged && violation(&q, x) < 1e-9);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_problems), cmocka_unit_test(by_hand), cmocka_unit_test(flat),
      cmocka_unit_test(twins),           cmocka_unit_test(sizes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
