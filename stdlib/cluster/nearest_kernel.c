/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loops of nearest.c and assign.c for each instruction set: scores of rows against all centres in
 * single precision, where the order of operations is free (nearest.c bounds the error), and in double
 * precision squared differences, whose order is canonical, and what goes number by number.
 *
 * tile: a group of 16 centres lies across the lanes, SIDE groups beside each other; TILE rows at once keep
 * their sums in registers while the groups' columns go by. The number of the group takes the place of the
 * lowest bits of each score, so that behind the last column three minima are all there is to do: the
 * least and the second least score of each lane are updated in memory, and behind the last group the
 * lanes are joined. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3", "fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF
#endif

#include <math.h>
#include <string.h>

#include "stdlib/cluster/nearest.h"
#include "vm/kernel/math.h"

#define UNROLL _Pragma("GCC unroll 16")

/* Of 16 lanes: the least and the lane it belongs to (of equal ones the first), and the second least. */
static inline float join_lanes(const float *best, const float *second, float *next, uint32_t *lane) {
  float m = best[0];
  uint32_t at = 0;
  for (uint32_t l = 1; l < NEAR_LANES; l++)
    if (best[l] < m) {
      m = best[l];
      at = l;
    }
  float n = second[at];
  for (uint32_t l = 0; l < NEAR_LANES; l++)
    n = l != at && best[l] < n ? best[l] : n;
  *next = n;
  *lane = at;
  return m;
}

/* What the groups from `base` on have of a row joins what the groups before had. */
static inline void join_row(float m, float n, uint32_t lane, uint32_t mask, uint32_t base, float *best,
                            float *second, uint32_t *index) {
  uint32_t bits;
  memcpy(&bits, &m, sizeof bits);
  if (m < *best) {
    *second = *best < n ? *best : n;
    *best = m;
    *index = (base + (bits & mask)) * NEAR_LANES + lane;
  } else if (m < *second) {
    *second = m;
  }
}

/* Scores of T rows and SIDES groups from number g on, whose columns are h, from their first terms; V is a
 * vector of L floats. Not to be inlined: then minima are kept in registers, and sums are not. */
#define PART(NAME, ATTR, V, L, T, SIDES, LOAD, STORE, SET, FMA, MIN, MAX, MARK) \
  ATTR static __attribute__((noinline)) void \
  NAME(const float *f, uint32_t d, const float *h, const float *first, uint32_t g, uint32_t mask, float *b, \
       float *n) \
  { \
    enum { PARTS = NEAR_LANES / L }; \
    V s[T][SIDES * PARTS]; \
    UNROLL for (int t = 0; t < T; t++) \
      UNROLL for (int p = 0; p < SIDES * PARTS; p++) \
        s[t][p] = LOAD(first + p * L); \
    for (uint32_t j = 0; j < d; j++) { \
      V c[SIDES * PARTS]; \
      UNROLL for (int p = 0; p < SIDES * PARTS; p++) \
        c[p] = LOAD(h + (p / PARTS * (size_t)d + j) * NEAR_LANES + p % PARTS * L); \
      UNROLL for (int t = 0; t < T; t++) { \
        V x = SET(f[(size_t)t * d + j]); \
        UNROLL for (int p = 0; p < SIDES * PARTS; p++) \
          s[t][p] = FMA(x, c[p], s[t][p]); \
      } \
    } \
    UNROLL for (int t = 0; t < T; t++) \
      UNROLL for (int p = 0; p < PARTS; p++) { \
        V low = MARK(s[t][p], mask, g), old = LOAD(b + t * NEAR_LANES + p * L), next; \
        next = LOAD(n + t * NEAR_LANES + p * L); \
        if (SIDES > 1) { \
          V other = MARK(s[t][PARTS * (SIDES - 1) + p], mask, g + 1); \
          next = MIN(next, MAX(low, other)); \
          low = MIN(low, other); \
        } \
        STORE(n + t * NEAR_LANES + p * L, MIN(next, MAX(low, old))); \
        STORE(b + t * NEAR_LANES + p * L, MIN(low, old)); \
      } \
  }

/* T rows and SIDE groups at a time. */
#define KERNELS(ISA, ATTR, V, L, T, SIDE, LOAD, STORE, SET, FMA, MIN, MAX, MARK, JOIN, W) \
  PART(whole_##ISA, ATTR, V, L, T, SIDE, LOAD, STORE, SET, FMA, MIN, MAX, MARK) \
  PART(rest_##ISA, ATTR, V, L, T, 1, LOAD, STORE, SET, FMA, MIN, MAX, MARK) \
  \
  ATTR static void tile_##ISA(const float *f, uint32_t rows, uint32_t d, const float *pack, \
                              const float *first, uint32_t groups, float *best, float *second, \
                              uint32_t *index) \
  { \
    float b[T * NEAR_LANES] __attribute__((aligned(64))), n[T * NEAR_LANES] __attribute__((aligned(64))); \
    uint32_t mask = near_mark(groups); \
    for (uint32_t r = 0; r < rows; r += T) { \
      for (int t = 0; t < T; t++) \
        best[r + t] = second[r + t] = INFINITY; \
      for (uint32_t from = 0; from < groups; from += NEAR_MARKED) { \
        uint32_t many = groups - from < NEAR_MARKED ? groups - from : NEAR_MARKED, g = 0; \
        const float *h = pack + (size_t)from * d * NEAR_LANES, *o = first + (size_t)from * NEAR_LANES, \
                    *rf = f + (size_t)r * d; \
        for (int l = 0; l < T * NEAR_LANES; l++) \
          b[l] = n[l] = INFINITY; \
        for (; g + SIDE <= many; g += SIDE) \
          whole_##ISA(rf, d, h + (size_t)g * d * NEAR_LANES, o + g * NEAR_LANES, g, mask, b, n); \
        if (g < many) \
          rest_##ISA(rf, d, h + (size_t)g * d * NEAR_LANES, o + g * NEAR_LANES, g, mask, b, n); \
        for (int t = 0; t < T; t++) { \
          float next; \
          uint32_t lane; \
          float m = JOIN(b + t * NEAR_LANES, n + t * NEAR_LANES, &next, &lane); \
          join_row(m, next, lane, mask, from, best + r + t, second + r + t, index + r + t); \
        } \
      } \
    } \
  } \
  \
  ATTR static void place_##ISA(const double *restrict x, const double *restrict shift, double scale, \
                               uint32_t rows, uint32_t d, double *restrict u) \
  { \
    for (uint32_t i = 0; i < rows; i++) \
      for (uint32_t j = 0; j < d; j++) \
        u[(size_t)i * d + j] = (x[(size_t)i * d + j] - shift[j]) * scale; \
  } \
  \
  ATTR static void narrow_##ISA(const double *restrict u, const double *restrict origin, double scale, \
                                uint32_t rows, uint32_t d, float *restrict f, float *restrict square) \
  { \
    uint32_t whole = d - d % NEAR_LANES; \
    for (uint32_t i = 0; i < rows; i++) { \
      const double *restrict from = u + (size_t)i * d; \
      float *restrict to = f + (size_t)i * d, s[NEAR_LANES] = { 0 }, sum = 0; \
      for (uint32_t j = 0; j < d; j++) \
        to[j] = (float)((from[j] - origin[j]) * scale); \
      for (uint32_t j = 0; j < whole; j += NEAR_LANES) \
        for (int l = 0; l < NEAR_LANES; l++) \
          s[l] += to[j + l] * to[j + l]; \
      for (uint32_t j = whole; j < d; j++) \
        s[j - whole] += to[j] * to[j]; \
      for (int l = 0; l < NEAR_LANES; l++) \
        sum += s[l]; \
      square[i] = sum; \
    } \
  } \
  \
  ATTR static void add_##ISA(double *restrict sum, const double *restrict u, double w, uint32_t d) \
  { \
    for (uint32_t j = 0; j < d; j++) \
      sum[j] += w * u[j]; \
  } \
  \
  ATTR static double square_##ISA(const double *x, const double *y, uint32_t d) \
  { \
    W s[64 / sizeof(W)] = { { 0.0 } }; \
    double lane[8]; \
    uint32_t whole = d - d % 8; \
    for (uint32_t j = 0; j < whole; j += 8) { \
      UNROLL for (size_t p = 0; p < 64 / sizeof(W); p++) { \
        W a, c; \
        memcpy(&a, x + j + p * (sizeof(W) / 8), sizeof a); \
        memcpy(&c, y + j + p * (sizeof(W) / 8), sizeof c); \
        a -= c; \
        s[p] += a * a; \
      } \
    } \
    memcpy(lane, s, sizeof lane); \
    for (uint32_t l = 0; l < d - whole; l++) { \
      double t = x[whole + l] - y[whole + l]; \
      lane[l] += t * t; \
    } \
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7])); \
  } \
  \
  ATTR static void squares_##ISA(const double *u, uint32_t rows, uint32_t d, const double *c, \
                                 const uint32_t *index, const double *ahead, double *square) \
  { \
    for (uint32_t i = 0; i < rows; i++) { \
      const double *x = u + (size_t)i * d; \
      if (ahead) \
        for (uint32_t j = 0; j < d; j += 8) \
          __builtin_prefetch(ahead + (size_t)i * d + j, 0, 2); \
      square[i] = square_##ISA(x, c + (size_t)index[i] * d, d); \
    } \
  } \
  \
  static const NearKernels kernels_##ISA = { #ISA, tile_##ISA, square_##ISA, squares_##ISA, place_##ISA, \
                                             narrow_##ISA, add_##ISA };

typedef double Two __attribute__((vector_size(16)));

/* one float at a time: the compiler may join what it can */
#define ONE_LOAD(p) (*(p))
#define ONE_STORE(p, v) (*(p) = (v))
#define ONE_SET(x) (x)
#define ONE_FMA(x, c, s) ((s) + (x) * (c))
#define ONE_MIN(x, y) ((x) < (y) ? (x) : (y))
#define ONE_MAX(x, y) ((x) < (y) ? (y) : (x))
static inline float one_mark(float s, uint32_t mask, uint32_t g) {
  uint32_t bits;
  memcpy(&bits, &s, sizeof bits);
  bits = (bits & ~mask) | g;
  memcpy(&s, &bits, sizeof s);
  return s;
}
KERNELS(base, , float, 1, 1, 1, ONE_LOAD, ONE_STORE, ONE_SET, ONE_FMA, ONE_MIN, ONE_MAX, one_mark, join_lanes,
        Two)

#ifdef __x86_64__
#include <immintrin.h>
typedef double Four __attribute__((vector_size(32)));
typedef double Eight __attribute__((vector_size(64)));
#define MARK8(s, mask, g) \
  _mm256_castsi256_ps(_mm256_or_si256(_mm256_andnot_si256(_mm256_set1_epi32((int)(mask)), \
                                                          _mm256_castps_si256(s)), \
                                      _mm256_set1_epi32((int)(g))))
KERNELS(avx2, __attribute__((target("avx2,fma"))), __m256, 8, 6, 1, _mm256_loadu_ps, _mm256_storeu_ps,
        _mm256_set1_ps, _mm256_fmadd_ps, _mm256_min_ps, _mm256_max_ps, MARK8, join_lanes, Four)
#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl")))
#define MARK16(s, mask, g) \
  _mm512_castsi512_ps(_mm512_or_si512(_mm512_andnot_si512(_mm512_set1_epi32((int)(mask)), \
                                                          _mm512_castps_si512(s)), \
                                      _mm512_set1_epi32((int)(g))))
AVX512 static inline float join_512(const float *best, const float *second, float *next, uint32_t *lane) {
  __m512 b = _mm512_load_ps(best);
  float m = _mm512_reduce_min_ps(b);
  uint32_t at = (uint32_t)__builtin_ctz(_mm512_cmp_ps_mask(b, _mm512_set1_ps(m), _CMP_EQ_OQ) | 0x8000u);
  __m512 rest = _mm512_mask_mov_ps(b, (__mmask16)(1u << at), _mm512_load_ps(second));
  *next = _mm512_reduce_min_ps(rest);
  *lane = at;
  return m;
}
KERNELS(avx512, AVX512, __m512, 16, 12, 2, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps,
        _mm512_fmadd_ps, _mm512_min_ps, _mm512_max_ps, MARK16, join_512, Eight)
#endif

uint32_t near_mark(uint32_t groups) {
  uint32_t mask = 0;
  while (mask + 1 < groups && mask + 1 < NEAR_MARKED)
    mask = 2 * mask + 1;
  return mask;
}

const NearKernels *near_kernels(int isa) {
  if (!k_math_isa(isa))
    return NULL;
  switch (isa) {
#ifdef __x86_64__
  case K_ISA_AVX512:
    return &kernels_avx512;
  case K_ISA_AVX2:
    return __builtin_cpu_supports("fma") ? &kernels_avx2 : NULL;
#endif
  case K_ISA_BASE:
    return &kernels_base;
  default:
    return NULL;
  }
}
