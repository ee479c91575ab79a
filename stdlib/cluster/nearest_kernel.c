/* SPDX-License-Identifier: Apache-2.0 */
/* The two inner loops of nearest.c for each instruction set: scores of rows against all centres in single
 * precision, where the order of operations is free (nearest.c bounds the error), and squared differences in
 * double precision, whose order is canonical.
 *
 * tile: a group of 16 centres lies across the lanes; TILE rows at once keep their sums in registers while the
 * group's columns go by; behind the last column the least and the second least score of each lane are
 * updated in memory, and behind the last group the lanes are joined. */
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

/* Of 16 lanes: the least and the centre it belongs to (of equal ones the first), and the second least. */
static inline void join_lanes(const float *best, const float *second, const float *group, float *least,
                              float *next, uint32_t *index) {
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
  *least = m;
  *next = n;
  *index = (uint32_t)group[at] * NEAR_LANES + at;
}

/* V: a vector of L floats; T rows at a time. */
#define KERNELS(ISA, ATTR, V, L, T, LOAD, STORE, SET, FMA, MIN, MAX, LESS, PICK, W) \
  ATTR static void tile_##ISA(const float *f, uint32_t rows, uint32_t d, const float *pack, \
                              const float *first, uint32_t groups, float *best, float *second, \
                              uint32_t *index) \
  { \
    enum { PARTS = NEAR_LANES / L }; \
    float b[T][NEAR_LANES] __attribute__((aligned(64))), n[T][NEAR_LANES] __attribute__((aligned(64))); \
    float at[T][NEAR_LANES] __attribute__((aligned(64))); \
    for (uint32_t r = 0; r < rows; r += T) { \
      for (int t = 0; t < T; t++) \
        for (int l = 0; l < NEAR_LANES; l++) { \
          b[t][l] = n[t][l] = INFINITY; \
          at[t][l] = 0; \
        } \
      for (uint32_t g = 0; g < groups; g++) { \
        V s[T][PARTS]; \
        const float *h = pack + (size_t)g * d * NEAR_LANES; \
        UNROLL for (int t = 0; t < T; t++) \
          UNROLL for (int p = 0; p < PARTS; p++) \
            s[t][p] = LOAD(first + (size_t)g * NEAR_LANES + p * L); \
        for (uint32_t j = 0; j < d; j++) { \
          V c[PARTS]; \
          UNROLL for (int p = 0; p < PARTS; p++) \
            c[p] = LOAD(h + (size_t)j * NEAR_LANES + p * L); \
          UNROLL for (int t = 0; t < T; t++) { \
            V x = SET(f[(size_t)(r + t) * d + j]); \
            UNROLL for (int p = 0; p < PARTS; p++) \
              s[t][p] = FMA(x, c[p], s[t][p]); \
          } \
        } \
        UNROLL for (int t = 0; t < T; t++) \
          UNROLL for (int p = 0; p < PARTS; p++) { \
            V old = LOAD(b[t] + p * L), low = MIN(s[t][p], old), high = MAX(s[t][p], old); \
            STORE(n[t] + p * L, MIN(high, LOAD(n[t] + p * L))); \
            STORE(at[t] + p * L, PICK(LOAD(at[t] + p * L), SET((float)g), LESS(s[t][p], old))); \
            STORE(b[t] + p * L, low); \
          } \
      } \
      for (int t = 0; t < T; t++) \
        join_lanes(b[t], n[t], at[t], best + r + t, second + r + t, index + r + t); \
    } \
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
  static const NearKernels kernels_##ISA = { #ISA, tile_##ISA, square_##ISA };

typedef double Two __attribute__((vector_size(16)));

/* one float at a time: the compiler may join what it can */
#define ONE_LOAD(p) (*(p))
#define ONE_STORE(p, v) (*(p) = (v))
#define ONE_SET(x) (x)
#define ONE_FMA(x, c, s) ((s) + (x) * (c))
#define ONE_MIN(x, y) ((x) < (y) ? (x) : (y))
#define ONE_MAX(x, y) ((x) < (y) ? (y) : (x))
#define ONE_LESS(x, y) ((x) < (y))
#define ONE_PICK(no, yes, mask) ((mask) ? (yes) : (no))
KERNELS(base, , float, 1, 1, ONE_LOAD, ONE_STORE, ONE_SET, ONE_FMA, ONE_MIN, ONE_MAX, ONE_LESS, ONE_PICK, Two)

#ifdef __x86_64__
#include <immintrin.h>
typedef double Four __attribute__((vector_size(32)));
typedef double Eight __attribute__((vector_size(64)));
#define LESS8(x, y) _mm256_cmp_ps(x, y, _CMP_LT_OQ)
KERNELS(avx2, __attribute__((target("avx2,fma"))), __m256, 8, 6, _mm256_loadu_ps, _mm256_storeu_ps,
        _mm256_set1_ps, _mm256_fmadd_ps, _mm256_min_ps, _mm256_max_ps, LESS8, _mm256_blendv_ps, Four)
#define LESS16(x, y) _mm512_cmp_ps_mask(x, y, _CMP_LT_OQ)
#define PICK16(no, yes, mask) _mm512_mask_mov_ps(no, mask, yes)
KERNELS(avx512, __attribute__((target("avx512f,avx512dq,avx512vl"))), __m512, 16, 12, _mm512_loadu_ps,
        _mm512_storeu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_min_ps, _mm512_max_ps, LESS16, PICK16,
        Eight)
#endif

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
