/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes: every instruction set gives the bits of what a lane does, written down once more; values between two
 * others and bounds, beside plain loops. */
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/hash.h"
#include "vm/kernel/lanes.h"
#include "vm/kernel/math.h"

enum { N = 4096 };

static double value(uint64_t i) {
  static const double odd[] = {0.0, -0.0, DBL_MAX, -DBL_MAX, DBL_MIN, 5e-324, 1e300, -1e-300};
  uint64_t h = hash_mix(i);
  if (h % 64 < sizeof odd / sizeof *odd)
    return odd[h % 64];
  return ((double)(h >> 11) / 9007199254740992.0 - 0.5) * pow(10, (double)(h % 7) - 3);
}

typedef struct Moments {
  double mean[K_LANES], rest[K_LANES], squares[K_LANES], count[K_LANES];
} Moments;

static void plain_sum(double *hi, double *lo, double x) {
  double s = *hi + x, b = s - *hi;
  *lo += (*hi - (s - b)) + (x - b);
  *hi = s;
}

static void plain_var(Moments *m, const double *x, size_t n) {
  for (size_t i = 0; i < n; i++) {
    size_t l = i % K_LANES;
    double d = x[i] - m->mean[l] - m->rest[l];
    m->count[l] += 1;
    plain_sum(&m->mean[l], &m->rest[l], d / m->count[l]);
    m->squares[l] += d * (x[i] - m->mean[l] - m->rest[l]);
  }
}

static void sums_and_moments(void **state) {
  static double x[K_COLUMNS][N];
  (void)state;
  for (size_t k = 0; k < K_COLUMNS; k++)
    for (size_t i = 0; i < N; i++)
      x[k][i] = k ? value(k * N + i) : (double)(i % 13);
  for (int isa = 0; isa < K_ISA_COUNT; isa++) {
    const LaneKernels *kernel = k_lanes_isa(isa);
    for (size_t n = 0; kernel && n <= N; n = n ? n * 8 : 8) {
      double hi[2][K_LANES] = {{1, -2}}, lo[2][K_LANES] = {{0}};
      memcpy(hi[1], hi[0], sizeof *hi);
      kernel->sum(hi[0], lo[0], x[1], n);
      for (size_t i = 0; i < n; i++)
        plain_sum(&hi[1][i % K_LANES], &lo[1][i % K_LANES], x[1][i]);
      assert_memory_equal(hi[0], hi[1], sizeof *hi);
      assert_memory_equal(lo[0], lo[1], sizeof *lo);
      for (size_t columns = 1; columns <= K_COLUMNS; columns++) {
        Moments got[K_COLUMNS], want[K_COLUMNS];
        LaneVar v[K_COLUMNS];
        memset(got, 0, sizeof got);
        memset(want, 0, sizeof want);
        for (size_t k = 0; k < columns; k++)
          v[k] = (LaneVar){x[k], got[k].mean, got[k].rest, got[k].squares, got[k].count};
        kernel->var(v, columns, n);
        kernel->var(v, columns, n);
        for (size_t k = 0; k < 2 * columns; k++)
          plain_var(&want[k % columns], x[k % columns], n);
        for (size_t k = 0; k < columns; k++) {
          const double *a = (const double *)&got[k], *b = (const double *)&want[k];
          for (size_t l = 0; l < sizeof got[k] / sizeof *a; l++) /* where values overflow: NaN of any bits */
            if (a[l] == a[l] || b[l] == b[l])
              assert_memory_equal(&a[l], &b[l], sizeof *a);
        }
      }
    }
  }
}

static void between(void **state) {
  static double x[N], out[N], want[N];
  static uint8_t null[N];
  static const double end[] = {-INFINITY, -1e300, -0.2, -0.0, 0, 0.1, 7, INFINITY};
  enum { ENDS = sizeof end / sizeof *end };
  (void)state;
  for (size_t i = 0; i < N; i++) {
    x[i] = i % 50 == 3 ? NAN : i % 50 == 4 ? INFINITY : i % 50 == 5 ? -INFINITY : value(i);
    null[i] = hash_mix(i + 7) % 3 == 0;
  }
  for (int isa = 0; isa < K_ISA_COUNT; isa++) {
    const LaneKernels *kernel = k_lanes_isa(isa);
    for (size_t t = 0; kernel && t < ENDS * ENDS * 2; t++) {
      double lo = end[t / 2 % ENDS], hi = end[t / 2 / ENDS];
      const uint8_t *nulls = t % 2 ? null : NULL;
      for (size_t n = N - 9; n <= N; n++) {
        size_t m = 0;
        uint64_t below = 99, less = 0;
        for (size_t i = 0; i < n; i++) {
          if (nulls && nulls[i])
            continue;
          less += x[i] < lo;
          if (x[i] >= lo && x[i] <= hi)
            want[m++] = x[i];
        }
        assert_int_equal(kernel->between(x, nulls, n, lo, hi, out, &below), m);
        assert_int_equal(below, less);
        assert_memory_equal(out, want, m * sizeof *out);
      }
    }
    if (kernel)
      assert_int_equal(kernel->between(x, NULL, 0, 0, 1, out, &(uint64_t){0}), 0);
  }
}

static void bounds(void **state) {
  static double x[N];
  (void)state;
  for (int isa = 0; isa < K_ISA_COUNT; isa++) {
    const LaneKernels *kernel = k_lanes_isa(isa);
    for (size_t n = 1; kernel && n < 40; n++)
      for (size_t from = 0; from < 100; from++) {
        double least = INFINITY, most = -INFINITY, lo, hi;
        for (size_t i = 0; i < n; i++) {
          x[i] = value(from * 40 + i);
          least = fmin(least, x[i]);
          most = fmax(most, x[i]);
        }
        assert_true(kernel->bounds(x, n, &lo, &hi));
        assert_true(lo == least && hi == most);
        x[from % n] = NAN;
        assert_false(kernel->bounds(x, n, &lo, &hi));
      }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums_and_moments),
      cmocka_unit_test(between),
      cmocka_unit_test(bounds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
