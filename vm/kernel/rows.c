/* SPDX-License-Identifier: Apache-2.0 */
/* Columns into rows, rows around a centre: see rows.h. A tile of TILE rows after the other, so that its
 * rows stay in the first-level cache until all columns are in them; with AVX2 four columns at a time, four
 * rows of each turned in registers.
 *
 * x - x is 0 where x is finite and NaN elsewhere: the bits of all of them, or-ed, say whether any is not. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3", "fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF
#endif

#include "vm/kernel/rows.h"

#include <stdint.h>
#include <string.h>

#include "vm/kernel/math.h"

enum { TILE = 64 };

typedef struct Tile {
  const double *const *col;
  size_t from, n; /* rows of the columns */
  size_t stride;
  double *out;
} Tile;

/* One column of a tile. */
static uint64_t put_column(const Tile *t, size_t k)
{
  const double *v = t->col[k] + t->from;
  double *out = t->out + k;
  uint64_t bad = 0;
  for (size_t r = 0; r < t->n; r++) {
    double zero = v[r] - v[r];
    uint64_t bits;
    memcpy(&bits, &zero, sizeof bits);
    bad |= bits;
    out[r * t->stride] = v[r];
  }
  return bad;
}

static bool rows_base(const double *const *col, size_t ncol, size_t n, size_t stride, double *out)
{
  uint64_t bad = 0;
  for (size_t from = 0; from < n; from += TILE) {
    Tile t = { col, from, n - from < TILE ? n - from : TILE, stride, out + from * stride };
    for (size_t k = 0; k < ncol; k++)
      bad |= put_column(&t, k);
  }
  return !bad;
}

#if defined(__x86_64__)
#include <immintrin.h>

/* Four columns of the first rows of a tile, as many as are a multiple of four. */
__attribute__((target("avx2"))) static __m256d put_four(const Tile *t, size_t k, __m256d bad)
{
  const double *c0 = t->col[k] + t->from, *c1 = t->col[k + 1] + t->from, *c2 = t->col[k + 2] + t->from,
               *c3 = t->col[k + 3] + t->from;
  double *out = t->out + k;
  for (size_t r = 0; r + 4 <= t->n; r += 4, out += 4 * t->stride) {
    __m256d a = _mm256_loadu_pd(c0 + r), b = _mm256_loadu_pd(c1 + r), c = _mm256_loadu_pd(c2 + r),
            d = _mm256_loadu_pd(c3 + r);
    __m256d ab = _mm256_or_pd(_mm256_sub_pd(a, a), _mm256_sub_pd(b, b));
    __m256d cd = _mm256_or_pd(_mm256_sub_pd(c, c), _mm256_sub_pd(d, d));
    bad = _mm256_or_pd(bad, _mm256_or_pd(ab, cd));
    __m256d low_ab = _mm256_unpacklo_pd(a, b), high_ab = _mm256_unpackhi_pd(a, b); /* rows 0 2, rows 1 3 */
    __m256d low_cd = _mm256_unpacklo_pd(c, d), high_cd = _mm256_unpackhi_pd(c, d);
    _mm256_storeu_pd(out, _mm256_permute2f128_pd(low_ab, low_cd, 0x20));
    _mm256_storeu_pd(out + t->stride, _mm256_permute2f128_pd(high_ab, high_cd, 0x20));
    _mm256_storeu_pd(out + 2 * t->stride, _mm256_permute2f128_pd(low_ab, low_cd, 0x31));
    _mm256_storeu_pd(out + 3 * t->stride, _mm256_permute2f128_pd(high_ab, high_cd, 0x31));
  }
  return bad;
}

__attribute__((target("avx2"))) static bool rows_avx2(const double *const *col, size_t ncol, size_t n,
                                                      size_t stride, double *out)
{
  uint64_t rest = 0;
  __m256d bad = _mm256_setzero_pd();
  for (size_t from = 0; from < n; from += TILE) {
    Tile t = { col, from, n - from < TILE ? n - from : TILE, stride, out + from * stride };
    size_t fours = ncol & ~(size_t)3, whole = t.n & ~(size_t)3;
    for (size_t k = 0; k < fours; k += 4)
      bad = put_four(&t, k, bad);
    for (size_t k = fours; k < ncol; k++)
      rest |= put_column(&t, k);
    Tile last = { col, from + whole, t.n - whole, stride, t.out + whole * stride };
    for (size_t k = 0; k < fours && last.n; k++)
      rest |= put_column(&last, k);
  }
  __m256i bits = _mm256_castpd_si256(bad);
  return !rest && _mm256_testz_si256(bits, bits);
}
#endif

RowsFn k_rows_isa(int isa)
{
  if (!k_math_isa(isa) || isa == K_ISA_AVX512)
    return NULL;
#if defined(__x86_64__)
  if (isa == K_ISA_AVX2)
    return rows_avx2;
#endif
  return rows_base;
}

bool k_rows_of(const double *const *col, size_t ncol, size_t n, size_t stride, double *out)
{
  RowsFn best = k_rows_isa(K_ISA_AVX2);
  return (best ? best : rows_base)(col, ncol, n, stride, out);
}

/* ---- Loops that are vectors of any width with the same bits ---- */

#define LOOPS(ISA, ATTR) \
  ATTR static bool nan_##ISA(const double *x, size_t n) \
  { \
    int64_t bad = 0; \
    for (size_t i = 0; i < n; i++) \
      bad |= x[i] != x[i] ? -1 : 0; \
    return bad != 0; \
  } \
  \
  ATTR static void around_##ISA(const double *x, size_t n, size_t d, const double *restrict center, \
                                double *restrict low, double *restrict high, size_t stride, double *out) \
  { \
    for (size_t r = 0; r < n; r++) { \
      const double *restrict from = x + r * d; \
      double *restrict to = out + r * stride; \
      for (size_t k = 0; k < d; k++) { \
        double v = from[k]; \
        to[k] = v - center[k]; \
        low[k] = v < low[k] ? v : low[k]; \
        high[k] = v > high[k] ? v : high[k]; \
      } \
    } \
  } \
  \
  ATTR static void weighed_##ISA(const double *x, size_t n, size_t d, Groups g, double *const *sum, \
                                 double *restrict low, double *restrict high) \
  { \
    for (size_t r = 0; r < n; r++) { \
      const double *restrict v = x + r * d; \
      double *restrict s = sum[g.of[r]]; \
      double w = g.w[r]; \
      if (w == 0) \
        continue; \
      for (size_t k = 0; k < d; k++) { \
        s[k] += w * v[k]; \
        low[k] = v[k] < low[k] ? v[k] : low[k]; \
        high[k] = v[k] > high[k] ? v[k] : high[k]; \
      } \
    } \
  } \
  \
  ATTR static void squares_##ISA(const double *x, size_t n, size_t d, Groups g, double *const *mean, \
                                 double *const *sum) \
  { \
    for (size_t r = 0; r < n; r++) { \
      const double *restrict v = x + r * d, *restrict m = mean[g.of[r]]; \
      double *restrict s = sum[g.of[r]]; \
      double w = g.w[r]; \
      if (w == 0) \
        continue; \
      for (size_t k = 0; k < d; k++) { \
        double t = v[k] - m[k]; \
        s[k] += w * (t * t); \
      } \
    } \
  }

LOOPS(base, )
LOOPS(avx2, __attribute__((target("avx2"))))
LOOPS(avx512, __attribute__((target("avx512f,avx512dq,avx512vl"))))

void k_rows_around(const double *x, size_t n, size_t d, const double *center, double *low, double *high,
                   size_t stride, double *out)
{
  if (k_math_isa(K_ISA_AVX512))
    around_avx512(x, n, d, center, low, high, stride, out);
  else if (k_math_isa(K_ISA_AVX2))
    around_avx2(x, n, d, center, low, high, stride, out);
  else
    around_base(x, n, d, center, low, high, stride, out);
}

bool k_any_nan(const double *x, size_t n)
{
  if (k_math_isa(K_ISA_AVX512))
    return nan_avx512(x, n);
  return (k_math_isa(K_ISA_AVX2) ? nan_avx2 : nan_base)(x, n);
}

void k_rows_weighed(const double *x, size_t n, size_t d, Groups g, double *const *sum, double *low,
                    double *high)
{
  if (k_math_isa(K_ISA_AVX512))
    weighed_avx512(x, n, d, g, sum, low, high);
  else if (k_math_isa(K_ISA_AVX2))
    weighed_avx2(x, n, d, g, sum, low, high);
  else
    weighed_base(x, n, d, g, sum, low, high);
}

void k_rows_squares(const double *x, size_t n, size_t d, Groups g, double *const *mean, double *const *sum)
{
  if (k_math_isa(K_ISA_AVX512))
    squares_avx512(x, n, d, g, mean, sum);
  else if (k_math_isa(K_ISA_AVX2))
    squares_avx2(x, n, d, g, mean, sum);
  else
    squares_base(x, n, d, g, mean, sum);
}
