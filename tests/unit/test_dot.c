/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Canonical sums against plain loops that follow dot.h to the letter; every comparison is of bits.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vm/kernel/dot.h"
#include "vm/kernel/math.h"
#include "vm/kernel/rows.h"

static uint64_t next_random(uint64_t *state)
{
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* values of many sizes and both signs, so that another order of addition shows; some zeros of both signs */
static double draw(uint64_t *state)
{
  uint64_t u = next_random(state);
  if (u % 11 == 0)
    return u & 0x1000 ? -0.0 : 0.0;
  double v = ldexp((double)(u >> 11), (int)(u % 40) - 70);
  return u & 0x800 ? -v : v;
}

/* the order of dot.h, one term after the other */
static double plain_dot(const double *x, const double *y, size_t n)
{
  double s[8] = { 0 };
  for (size_t i = 0; i < n; i++) {
    double p = x[i] * y[i];
    s[i % 8] = s[i % 8] + p;
  }
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static double plain_sum(const double *x, size_t n)
{
  double s[8] = { 0 };
  for (size_t i = 0; i < n; i++)
    s[i % 8] = s[i % 8] + x[i];
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

/* exactly sized, so that a sanitizer sees a read past the end */
static void *block(size_t count, size_t size)
{
  void *p = malloc(count > 0 ? count * size : 1);
  assert_non_null(p);
  return p;
}

static void assert_same(double a, double b)
{
  uint64_t u;
  uint64_t v;
  memcpy(&u, &a, sizeof u);
  memcpy(&v, &b, sizeof v);
  assert_int_equal(u, v);
}

static void test_sums(void **state)
{
  (void)state;
  enum { MAX = 1030 };
  uint64_t seed = 1;
  for (size_t n = 0; n <= MAX; n += n < 40 ? 1 : 55) {
    double *x = block(n, sizeof *x);
    double *w = block(n, sizeof *w);
    for (size_t i = 0; i < n; i++) {
      x[i] = draw(&seed);
      w[i] = draw(&seed);
    }
    assert_same(k_sum(x, n), plain_sum(x, n));
    assert_same(k_dot(x, w, n), plain_dot(x, w, n));
    assert_same(k_sum_w(x, w, n), plain_dot(x, w, n));
    for (int isa = 0; isa < K_ISA_COUNT; isa++) {
      const DotKernels *kernels = k_dot_isa(isa);
      if (!kernels)
        continue;
      assert_same(kernels->sum(x, n), plain_sum(x, n));
      assert_same(kernels->dot(x, w, n), plain_dot(x, w, n));
    }
    free(x);
    free(w);
  }
}

static void test_zero_signs(void **state)
{
  (void)state;
  double minus[] = { -0.0, -0.0, -0.0, -0.0, -0.0, -0.0, -0.0, -0.0, -0.0 };
  double one[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1 };
  for (size_t n = 0; n <= 9; n++) {
    assert_same(k_sum(minus, n), 0.0);
    assert_same(k_dot(minus, one, n), 0.0);
  }
  double cancel[] = { 1, 2, 3, 4, 5, 6, 7, 8, -1, -2, -3, -4, -5, -6, -7, -8 };
  assert_same(k_sum(cancel, 16), 0.0);
  double out;
  k_gemv_rows(minus, 1, 9, one, -0.0, &out);
  assert_same(out, 0.0);
  uint32_t ptr[] = { 0, 0 };
  k_spmv_rows(ptr, NULL, NULL, 1, one, -0.0, &out);
  assert_same(out, 0.0);
}

static void test_order_shows(void **state)
{
  (void)state;
  /* in rising order 1 + tiny + ... would lose every tiny term; two lanes keep theirs */
  double x[16] = { 1, 0x1p-53, 0, 0, 0, 0x1p-53 };
  assert_same(k_sum(x, 16), 1 + 0x1p-52);
  double y[9] = { 1e16, 0, 0, 0, -1e16, 0, 0, 0, 1 };
  assert_same(k_sum(y, 9), 0.0);            /* (1e16 + 1) - 1e16, the 1 rounded away in lane 0 */
  assert_true(isnan(k_sum((double[]){ INFINITY, -INFINITY }, 2)));
}

/* dense, each instruction set, and sparse (zeros left out; then with zeros stored) on the same rows */
static void test_rows(void **state)
{
  (void)state;
  uint64_t seed = 9;
  const size_t widths[] = { 0, 1, 2, 5, 7, 8, 9, 15, 16, 17, 31, 64, 100, 203 };
  for (size_t t = 0; t < sizeof widths / sizeof *widths; t++) {
    size_t d = widths[t];
    for (size_t n = 0; n < 11; n++) {
      double *a = block(n * d, sizeof *a);
      double *b = block(d, sizeof *b);
      double *dense = block(n, sizeof *dense);
      double *sparse = block(n, sizeof *sparse);
      uint32_t *ptr = block(n + 1, sizeof *ptr);
      uint32_t *col = block(n * d, sizeof *col);
      double *val = block(n * d, sizeof *val);
      double b0 = draw(&seed);
      for (size_t j = 0; j < d; j++)
        b[j] = draw(&seed);
      for (size_t i = 0; i < n * d; i++)
        a[i] = next_random(&seed) % 3 ? 0.0 : draw(&seed);
      k_gemv_rows(a, n, d, b, b0, dense);
      for (size_t i = 0; i < n; i++)
        assert_same(dense[i], b0 + plain_dot(a + i * d, b, d));
      for (int isa = 0; isa < K_ISA_COUNT; isa++) {
        if (!k_dot_isa(isa))
          continue;
        k_dot_isa(isa)->gemv_rows(a, n, d, b, b0, sparse);
        assert_memory_equal(dense, sparse, n * sizeof *dense);
      }
      for (int keep = 0; keep < 2; keep++) {
        uint32_t at = 0;
        for (size_t i = 0; i < n; i++) {
          ptr[i] = at;
          for (size_t j = 0; j < d; j++) {
            if (a[i * d + j] == 0.0 && !(keep && next_random(&seed) & 1))
              continue;
            col[at] = (uint32_t)j;
            val[at++] = a[i * d + j];
          }
        }
        ptr[n] = at;
        memset(sparse, 0x55, n * sizeof *sparse);
        k_spmv_rows(ptr, col, val, n, b, b0, sparse);
        assert_memory_equal(dense, sparse, n * sizeof *dense);
      }
      free(a);
      free(b);
      free(dense);
      free(sparse);
      free(ptr);
      free(col);
      free(val);
    }
  }
}

/* columns into rows: each instruction set, widths and lengths around those it works in, one bad value */
static void test_columns(void **state)
{
  (void)state;
  enum { COLUMNS = 11, ROWS = 140 };
  static double x[COLUMNS][ROWS], out[ROWS * (COLUMNS + 2)];
  uint64_t seed = 5;
  const double *col[COLUMNS];
  for (size_t k = 0; k < COLUMNS; k++) {
    col[k] = x[k];
    for (size_t r = 0; r < ROWS; r++)
      x[k][r] = draw(&seed);
  }
  for (int isa = K_ISA_BASE; isa < K_ISA_AVX512; isa++) {
    RowsFn fn = k_rows_isa(isa);
    for (size_t d = 1; fn && d <= COLUMNS; d++) {
      for (size_t n = 0; n <= ROWS; n += n < 9 ? 1 : 13) {
        memset(out, 0, sizeof out);
        assert_true(fn(col, d, n, d + 2, out));
        for (size_t r = 0; r < n; r++) {
          for (size_t k = 0; k < d; k++)
            assert_memory_equal(&out[r * (d + 2) + k], &x[k][r], sizeof(double));
          assert_true(out[r * (d + 2) + d] == 0 && out[r * (d + 2) + d + 1] == 0);
        }
        for (size_t at = 0; at < d * n; at += 1 + d * n / 7) {
          double was = x[at % d][at / d];
          x[at % d][at / d] = at % 3 ? at % 3 == 1 ? -INFINITY : INFINITY : NAN;
          assert_false(fn(col, d, n, d + 2, out));
          assert_memory_equal(&out[at / d * (d + 2) + at % d], &x[at % d][at / d], sizeof(double));
          x[at % d][at / d] = was;
        }
      }
    }
  }
  assert_true(k_rows_of(col, 2, 5, 2, out) && out[9] == x[1][4]);
}

/* one NaN, of either sign, at each place */
static void test_nan(void **state)
{
  (void)state;
  double x[70] = { 0 };
  uint64_t seed = 3;
  for (size_t n = 0; n <= 70; n++) {
    for (size_t i = 0; i < n; i++)
      x[i] = i % 9 ? draw(&seed) : i & 1 ? INFINITY : -INFINITY;
    assert_false(k_any_nan(x, n));
    for (size_t i = 0; i < n; i++) {
      double was = x[i];
      x[i] = i & 1 ? (double)NAN : -(double)NAN;
      assert_true(k_any_nan(x, n));
      x[i] = was;
    }
  }
}

/* rows around a centre, of widths around those of vectors: differences and ranges */
static void test_around(void **state)
{
  (void)state;
  enum { WIDE = 19, ROWS = 5 };
  double x[ROWS * WIDE], center[WIDE], low[WIDE], high[WIDE], out[ROWS * (WIDE + 1)];
  uint64_t seed = 9;
  for (size_t d = 0; d <= WIDE; d++) {
    for (size_t i = 0; i < ROWS * WIDE; i++)
      x[i] = draw(&seed);
    for (size_t k = 0; k < d; k++) {
      center[k] = draw(&seed);
      low[k] = INFINITY;
      high[k] = -INFINITY;
    }
    memset(out, 0, sizeof out);
    k_rows_around(x, 0, d, center, low, high, d + 1, out);
    k_rows_around(x, ROWS, d, center, low, high, d + 1, out);
    for (size_t k = 0; k < d; k++) {
      double least = x[k], most = x[k];
      for (size_t r = 0; r < ROWS; r++) {
        double v = x[r * d + k];
        assert_true(out[r * (d + 1) + k] == v - center[k] && out[r * (d + 1) + d] == 0);
        least = v < least ? v : least;
        most = v > most ? v : most;
      }
      assert_true(low[k] == least && high[k] == most);
    }
  }
}

/* weighed sums and squares of two groups against plain loops: the same bits */
static void test_groups(void **state)
{
  (void)state;
  enum { WIDE = 19, ROWS = 13 };
  double x[ROWS * WIDE], w[ROWS], low[WIDE], high[WIDE], got[4][WIDE], want[4][WIDE], most, least;
  unsigned char of[ROWS];
  uint64_t seed = 23;
  for (size_t d = 0; d <= WIDE; d++) {
    for (size_t i = 0; i < ROWS * WIDE; i++)
      x[i] = draw(&seed);
    for (size_t r = 0; r < ROWS; r++) {
      w[r] = r % 4 == 2 ? 0 : fabs(draw(&seed));
      of[r] = r % 3 == 1;
    }
    for (size_t k = 0; k < WIDE; k++) {
      low[k] = INFINITY;
      high[k] = -INFINITY;
    }
    memset(got, 0, sizeof got);
    memset(want, 0, sizeof want);
    k_rows_weighed(x, ROWS, d, (Groups){ w, of }, (double *const[]){ got[0], got[1] }, low, high);
    k_rows_squares(x, ROWS, d, (Groups){ w, of }, (double *const[]){ got[0], got[1] },
                   (double *const[]){ got[2], got[3] });
    for (size_t k = 0; k < d; k++) {
      least = INFINITY;
      most = -INFINITY;
      for (size_t r = 0; r < ROWS; r++) {
        double v = x[r * d + k];
        want[of[r]][k] += w[r] != 0 ? w[r] * v : 0;
        least = w[r] != 0 && v < least ? v : least;
        most = w[r] != 0 && v > most ? v : most;
      }
      for (size_t r = 0; r < ROWS; r++) {
        double t = x[r * d + k] - want[of[r]][k];
        want[2 + of[r]][k] += w[r] != 0 ? w[r] * (t * t) : 0;
      }
      assert_true(low[k] == least && high[k] == most);
    }
    assert_memory_equal(got, want, sizeof got);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_sums),
    cmocka_unit_test(test_zero_signs),
    cmocka_unit_test(test_order_shows),
    cmocka_unit_test(test_rows),
    cmocka_unit_test(test_columns),
    cmocka_unit_test(test_around),
    cmocka_unit_test(test_nan),
    cmocka_unit_test(test_groups),
  };
  return cmocka_run_group_tests_name("dot", tests, NULL, NULL);
}
