/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Canonical sums, dense and sparse. dot.h states the order of addition and why zeros may be left out.
 *
 * How to read. DOT_KERNELS(isa, attribute, V) holds the dense loops for one instruction set: the eight lanes
 * are PARTS(V) vectors of type V, whole groups of eight go through them, then the lanes are laid out in
 * memory, the last short group is added lane by lane, and fold() sums them. gemv_rows takes two rows at
 * once, since one row's chain of additions leaves the machine idle. The sparse loop, bound by its
 * scattered loads, is the same code everywhere.
 */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3", "fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF
#endif

#include "vm/kernel/dot.h"

#include <string.h>

#include "vm/kernel/math.h"

#define WIDTH 8
#define PARTS(V) (WIDTH * sizeof(double) / sizeof(V))
#define UNROLL _Pragma("GCC unroll 4")

typedef double Two __attribute__((vector_size(16)));
typedef double Four __attribute__((vector_size(32)));
typedef double Eight __attribute__((vector_size(64)));

static inline double fold(const double *s)
{
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

/* The lanes of V s[] after the short group x[0 .. m-1] y[0 .. m-1], folded. */
#define FINISH(s, x, y, m, result) \
  do { \
    double lane[WIDTH]; \
    memcpy(lane, s, sizeof lane); \
    for (size_t l = 0; l < (m); l++) \
      lane[l] += (x)[l] * (y)[l]; \
    result = fold(lane); \
  } while (0)

#define DOT_KERNELS(ISA, ATTR, V) \
  ATTR static double sum_##ISA(const double *x, size_t n) \
  { \
    V s[PARTS(V)] = { { 0.0 } }; \
    size_t whole = n - n % WIDTH; \
    for (size_t i = 0; i < whole; i += WIDTH) { \
      UNROLL \
      for (size_t p = 0; p < PARTS(V); p++) { \
        V a; \
        memcpy(&a, x + i + p * (WIDTH / PARTS(V)), sizeof a); \
        s[p] += a; \
      } \
    } \
    double lane[WIDTH]; \
    memcpy(lane, s, sizeof lane); \
    for (size_t l = 0; l < n - whole; l++) \
      lane[l] += x[whole + l]; \
    return fold(lane); \
  } \
  \
  ATTR static double dot_##ISA(const double *x, const double *y, size_t n) \
  { \
    V s[PARTS(V)] = { { 0.0 } }; \
    size_t whole = n - n % WIDTH; \
    for (size_t i = 0; i < whole; i += WIDTH) { \
      UNROLL \
      for (size_t p = 0; p < PARTS(V); p++) { \
        V a; \
        V b; \
        memcpy(&a, x + i + p * (WIDTH / PARTS(V)), sizeof a); \
        memcpy(&b, y + i + p * (WIDTH / PARTS(V)), sizeof b); \
        s[p] += a * b; \
      } \
    } \
    double v; \
    FINISH(s, x + whole, y + whole, n - whole, v); \
    return v; \
  } \
  \
  ATTR static void gemv_rows_##ISA(const double *A, size_t n, size_t d, const double *b, double b0, \
                                   double *out) \
  { \
    size_t whole = d - d % WIDTH; \
    size_t i = 0; \
    for (; i + 2 <= n; i += 2) { \
      const double *x = A + i * d; \
      const double *y = x + d; \
      V s[PARTS(V)] = { { 0.0 } }; \
      V t[PARTS(V)] = { { 0.0 } }; \
      for (size_t j = 0; j < whole; j += WIDTH) { \
        UNROLL \
        for (size_t p = 0; p < PARTS(V); p++) { \
          V c; \
          V f; \
          V g; \
          size_t at = j + p * (WIDTH / PARTS(V)); \
          memcpy(&c, b + at, sizeof c); \
          memcpy(&f, x + at, sizeof f); \
          memcpy(&g, y + at, sizeof g); \
          s[p] += f * c; \
          t[p] += g * c; \
        } \
      } \
      double v; \
      double w; \
      FINISH(s, x + whole, b + whole, d - whole, v); \
      FINISH(t, y + whole, b + whole, d - whole, w); \
      out[i] = b0 + v; \
      out[i + 1] = b0 + w; \
    } \
    if (i < n) \
      out[i] = b0 + dot_##ISA(A + i * d, b, d); \
  } \
  \
  static const DotKernels kernels_##ISA = { \
    .isa = #ISA, \
    .sum = sum_##ISA, \
    .dot = dot_##ISA, \
    .gemv_rows = gemv_rows_##ISA, \
  };

DOT_KERNELS(base, , Two)
DOT_KERNELS(avx2, __attribute__((target("avx2"))), Four)
DOT_KERNELS(avx512, __attribute__((target("avx512f,avx512dq,avx512vl"))), Eight)

const DotKernels *k_dot_isa(int isa)
{
  if (!k_math_isa(isa))
    return NULL;
  switch (isa) {
  case K_ISA_AVX512:
    return &kernels_avx512;
  case K_ISA_AVX2:
    return &kernels_avx2;
  default:
    return &kernels_base;
  }
}

static const DotKernels *best(void)
{
  if (k_math_isa(K_ISA_AVX512))
    return &kernels_avx512;
  return k_math_isa(K_ISA_AVX2) ? &kernels_avx2 : &kernels_base;
}

double k_sum(const double *x, size_t n)
{
  return best()->sum(x, n);
}

double k_dot(const double *x, const double *y, size_t n)
{
  return best()->dot(x, y, n);
}

double k_sum_w(const double *x, const double *w, size_t n)
{
  return best()->dot(x, w, n);
}

void k_gemv_rows(const double *A, size_t n, size_t d, const double *b, double b0, double *out)
{
  best()->gemv_rows(A, n, d, b, b0, out);
}

void k_spmv_rows(const uint32_t *ptr, const uint32_t *col, const double *val, size_t n, const double *b,
                 double b0, double *out)
{
  for (size_t i = 0; i < n; i++) {
    double s[WIDTH] = { 0.0 };
    for (uint32_t k = ptr[i]; k < ptr[i + 1]; k++)
      s[col[k] % WIDTH] += val[k] * b[col[k]];
    out[i] = b0 + fold(s);
  }
}
