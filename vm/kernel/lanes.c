/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes: see lanes.h. The bodies are written once, over vectors of eight, and compiled for each instruction
 * set; k_between has a form of its own where there are vectors of four. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3", "fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF
#endif

#include "vm/kernel/lanes.h"

#include <string.h>

#include "vm/kernel/math.h"

typedef double V __attribute__((vector_size(8 * K_LANES)));
typedef int64_t M __attribute__((vector_size(8 * K_LANES)));

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 4")

/* As sum_add of agg/parts.h. */
INLINE void two_sum(V *hi, V *lo, const V *x) {
  V s = *hi + *x, b = s - *hi;
  *lo += (*hi - (s - b)) + (*x - b);
  *hi = s;
}

INLINE void sum_body(double *hi, double *lo, const double *x, size_t n) {
  V h, l, v;
  memcpy(&h, hi, sizeof h);
  memcpy(&l, lo, sizeof l);
  for (size_t i = 0; i < n; i += K_LANES) {
    memcpy(&v, x + i, sizeof v);
    two_sum(&h, &l, &v);
  }
  memcpy(hi, &h, sizeof h);
  memcpy(lo, &l, sizeof l);
}

INLINE void var_body(const LaneVar *c, size_t columns, size_t n) {
  V mean[K_COLUMNS], rest[K_COLUMNS], squares[K_COLUMNS], count[K_COLUMNS];
  UNROLL for (size_t k = 0; k < columns; k++) {
    memcpy(&mean[k], c[k].mean, sizeof(V));
    memcpy(&rest[k], c[k].rest, sizeof(V));
    memcpy(&squares[k], c[k].squares, sizeof(V));
    memcpy(&count[k], c[k].count, sizeof(V));
  }
  for (size_t i = 0; i < n; i += K_LANES) {
    UNROLL for (size_t k = 0; k < columns; k++) {
      V x;
      memcpy(&x, c[k].x + i, sizeof x);
      V d = x - mean[k] - rest[k];
      count[k] += 1;
      V step = d / count[k];
      two_sum(&mean[k], &rest[k], &step);
      squares[k] += d * (x - mean[k] - rest[k]);
    }
  }
  UNROLL for (size_t k = 0; k < columns; k++) {
    memcpy(c[k].mean, &mean[k], sizeof(V));
    memcpy(c[k].rest, &rest[k], sizeof(V));
    memcpy(c[k].squares, &squares[k], sizeof(V));
    memcpy(c[k].count, &count[k], sizeof(V));
  }
}

/* The lanes of v take the place of those of `best` where a < b. */
INLINE void take_less(V *best, const V *v, const V *a, const V *b) {
  M m = *a < *b, bits = ((M)*v & m) | ((M)*best & ~m);
  *best = (V)bits;
}

INLINE bool bounds_body(const double *x, size_t n, double *least, double *most) {
  double lane[2][K_LANES];
  V lo, hi;
  M bad = {0};
  for (size_t l = 0; l < K_LANES; l++)
    lane[0][l] = x[0];
  memcpy(&lo, lane[0], sizeof lo);
  hi = lo;
  for (size_t i = 0; i < n; i += K_LANES) {
    V v;
    size_t at = n - i >= K_LANES ? i : n >= K_LANES ? n - K_LANES : 0; /* the last eight; some again */
    if (n >= K_LANES)
      memcpy(&v, x + at, sizeof v);
    else
      for (size_t l = 0; l < K_LANES; l++)
        v[l] = x[l < n ? l : 0];
    bad |= v != v;
    take_less(&lo, &v, &v, &lo);
    take_less(&hi, &v, &hi, &v);
  }
  memcpy(lane[0], &lo, sizeof lo);
  memcpy(lane[1], &hi, sizeof hi);
  int64_t nan = 0;
  for (size_t l = 0; l < K_LANES; l++) {
    nan |= bad[l];
    *least = l && *least < lane[0][l] ? *least : lane[0][l];
    *most = l && *most > lane[1][l] ? *most : lane[1][l];
  }
  return !nan;
}

INLINE size_t between_body(const double *x, const uint8_t *null, size_t n, double lo, double hi, double *out,
                           uint64_t *below) {
  size_t m = 0;
  uint64_t less = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t there = !null || !null[i];
    less += there & (x[i] < lo);
    out[m] = x[i];
    m += there & (x[i] >= lo) & (x[i] <= hi);
  }
  *below = less;
  return m;
}

static size_t between_base(const double *x, const uint8_t *null, size_t n, double lo, double hi, double *out,
                           uint64_t *below) {
  return between_body(x, null, n, lo, hi, out, below);
}

#if defined(__x86_64__)
#include <immintrin.h>

/* Few values are inside, as a rule: eight are compared, then those that are, taken one by one. */
__attribute__((target("avx2,popcnt"))) static size_t between_avx2(const double *x, const uint8_t *null,
                                                                  size_t n, double lo, double hi, double *out,
                                                                  uint64_t *below) {
  size_t m = 0, i = 0;
  uint64_t less = 0, rest;
  __m256d l = _mm256_set1_pd(lo), h = _mm256_set1_pd(hi);
  for (; n - i >= 8; i += 8) {
    __m256d a = _mm256_loadu_pd(x + i), b = _mm256_loadu_pd(x + i + 4);
    uint32_t under = (uint32_t)_mm256_movemask_pd(_mm256_cmp_pd(a, l, _CMP_LT_OQ)) |
                     (uint32_t)_mm256_movemask_pd(_mm256_cmp_pd(b, l, _CMP_LT_OQ)) << 4;
    __m256d in_a = _mm256_and_pd(_mm256_cmp_pd(a, l, _CMP_GE_OQ), _mm256_cmp_pd(a, h, _CMP_LE_OQ));
    __m256d in_b = _mm256_and_pd(_mm256_cmp_pd(b, l, _CMP_GE_OQ), _mm256_cmp_pd(b, h, _CMP_LE_OQ));
    uint32_t in = (uint32_t)_mm256_movemask_pd(in_a) | (uint32_t)_mm256_movemask_pd(in_b) << 4;
    if (null) {
      __m128i z = _mm_cmpeq_epi8(_mm_loadl_epi64((const __m128i *)(null + i)), _mm_setzero_si128());
      uint32_t there = (uint32_t)_mm_movemask_epi8(z);
      under &= there;
      in &= there;
    }
    less += (uint32_t)__builtin_popcount(under);
    for (; in; in &= in - 1)
      out[m++] = x[i + (uint32_t)__builtin_ctz(in)];
  }
  m += between_body(x + i, null ? null + i : NULL, n - i, lo, hi, out + m, &rest);
  *below = less + rest;
  return m;
}
#endif

#define LANE_KERNELS(ISA, ATTR, BETWEEN)                                                    \
  ATTR static void sum_##ISA(double *hi, double *lo, const double *x, size_t n) {           \
    sum_body(hi, lo, x, n);                                                                 \
  }                                                                                         \
  ATTR static void var_##ISA(const LaneVar *v, size_t columns, size_t n) {                  \
    if (columns == K_COLUMNS)                                                               \
      var_body(v, K_COLUMNS, n);                                                            \
    else                                                                                    \
      for (size_t k = 0; k < columns; k++)                                                  \
        var_body(v + k, 1, n);                                                              \
  }                                                                                         \
  ATTR static bool bounds_##ISA(const double *x, size_t n, double *least, double *most) {    \
    return bounds_body(x, n, least, most);                                                  \
  }                                                                                         \
  static const LaneKernels kernels_##ISA = {                                                \
      .sum = sum_##ISA, .var = var_##ISA, .between = BETWEEN, .bounds = bounds_##ISA};

LANE_KERNELS(base, , between_base)
#if defined(__x86_64__)
LANE_KERNELS(avx2, __attribute__((target("avx2"))), between_avx2)
LANE_KERNELS(avx512, __attribute__((target("avx512f,avx512dq,avx512vl"))), between_avx2)
#endif

const LaneKernels *k_lanes_isa(int isa) {
  if (!k_math_isa(isa))
    return NULL;
#if defined(__x86_64__)
  if (isa != K_ISA_BASE)
    return isa == K_ISA_AVX512 ? &kernels_avx512 : &kernels_avx2;
#endif
  return &kernels_base;
}

static const LaneKernels *best(void) {
  const LaneKernels *k = k_lanes_isa(K_ISA_AVX512);
  if (!k)
    k = k_lanes_isa(K_ISA_AVX2);
  return k ? k : &kernels_base;
}

void k_lanes_sum(double *hi, double *lo, const double *x, size_t n) {
  best()->sum(hi, lo, x, n);
}

void k_lanes_var(const LaneVar *v, size_t columns, size_t n) {
  best()->var(v, columns, n);
}

bool k_bounds(const double *x, size_t n, double *least, double *most) {
  return best()->bounds(x, n, least, most);
}

size_t k_between(const double *x, const uint8_t *null, size_t n, double lo, double hi, double *out,
                 uint64_t *below) {
  return best()->between(x, null, n, lo, hi, out, below);
}
