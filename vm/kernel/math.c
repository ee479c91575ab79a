/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The array forms: each inline function in a loop, compiled once per instruction set, chosen at the call.
 *
 * How to read. MATH_KERNELS(isa, attribute) defines every loop for one set and its table; at the end stand
 * the public functions, which forward to the table of the machine. The choice is a few loads of what the
 * compiler's run time found at start, hence no state of ours and nothing to set up.
 *
 * Vectors change no bits: every lane does the operations of the scalar code, and neither contraction nor
 * reassociation is allowed. The pragma lets gcc turn the selects into blends (it may then evaluate both
 * sides, which only touches exception flags, and nobody reads those).
 */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3", "no-trapping-math", "no-math-errno", "fp-contract=off")
#define LOOP _Pragma("GCC ivdep")
#define WIDE ",prefer-vector-width=512"
#else
#pragma STDC FP_CONTRACT OFF
#pragma clang diagnostic ignored "-Wpass-failed"   /* a sanitizer's loops stay scalar, and are right */
#define LOOP _Pragma("clang loop vectorize(assume_safety)")
#define WIDE
#endif

#include "vm/kernel/math.h"

#include "vm/kernel/math_inline.h"
#include "vm/kernel/math_trig.h"

#define BLOCK 256

#define LOOP1(NAME, ISA, ATTR, FN) \
  ATTR static void NAME##_##ISA(const double *x, double *out, size_t n) \
  { \
    LOOP \
    for (size_t i = 0; i < n; i++) \
      out[i] = FN(x[i]); \
  }

#define LOOP2(NAME, ISA, ATTR, FN) \
  ATTR static void NAME##_##ISA(const double *x, const double *y, double *out, size_t n) \
  { \
    LOOP \
    for (size_t i = 0; i < n; i++) \
      out[i] = FN(x[i], y[i]); \
  }

/* blocks without a large argument, nearly all, go through the straight-line form */
#define TRIG(NAME, ISA, ATTR, SMALL, FULL) \
  ATTR static void NAME##_##ISA(const double *x, double *out, size_t n) \
  { \
    for (size_t from = 0; from < n; from += BLOCK) { \
      size_t to = n - from < BLOCK ? n : from + BLOCK; \
      uint64_t large = 0; \
      for (size_t i = from; i < to; i++) \
        large |= (uint64_t)cml_trig_is_large(x[i]); \
      if (large != 0) { \
        for (size_t i = from; i < to; i++) \
          out[i] = FULL(x[i]); \
        continue; \
      } \
      LOOP \
      for (size_t i = from; i < to; i++) \
        out[i] = SMALL(x[i]); \
    } \
  }

#define MATH_KERNELS(ISA, ATTR) \
  LOOP1(exp, ISA, ATTR, cml_exp1) \
  LOOP1(expm1, ISA, ATTR, cml_expm1_1) \
  LOOP1(log, ISA, ATTR, cml_log1) \
  LOOP1(log1p, ISA, ATTR, cml_log1p_1) \
  LOOP1(log2, ISA, ATTR, cml_log2_1) \
  LOOP1(log10, ISA, ATTR, cml_log10_1) \
  LOOP1(atan, ISA, ATTR, cml_atan1) \
  LOOP1(tanh, ISA, ATTR, cml_tanh1) \
  LOOP1(sigmoid, ISA, ATTR, cml_sigmoid1) \
  LOOP1(log_sigmoid, ISA, ATTR, cml_log_sigmoid1) \
  LOOP1(softplus, ISA, ATTR, cml_softplus1) \
  LOOP1(logit, ISA, ATTR, cml_logit1) \
  LOOP2(pow, ISA, ATTR, cml_pow1) \
  TRIG(sin, ISA, ATTR, cml_sin_small, cml_sin1) \
  TRIG(cos, ISA, ATTR, cml_cos_small, cml_cos1) \
  TRIG(tan, ISA, ATTR, cml_tan_small, cml_tan1) \
  static const MathKernels kernels_##ISA = { \
    .isa = #ISA, \
    .exp = exp_##ISA, \
    .expm1 = expm1_##ISA, \
    .log = log_##ISA, \
    .log1p = log1p_##ISA, \
    .log2 = log2_##ISA, \
    .log10 = log10_##ISA, \
    .sin = sin_##ISA, \
    .cos = cos_##ISA, \
    .tan = tan_##ISA, \
    .atan = atan_##ISA, \
    .tanh = tanh_##ISA, \
    .sigmoid = sigmoid_##ISA, \
    .log_sigmoid = log_sigmoid_##ISA, \
    .softplus = softplus_##ISA, \
    .logit = logit_##ISA, \
    .pow = pow_##ISA, \
  };

MATH_KERNELS(base, )
MATH_KERNELS(avx2, __attribute__((target("avx2"))))
MATH_KERNELS(avx512, __attribute__((target("avx512f,avx512dq,avx512vl" WIDE))))

/* Built with -DCML_NO_AVX512, a program takes the AVX2 forms on every machine: a test compares the two. */
static int has_avx512(void)
{
#ifdef CML_NO_AVX512
  return 0;
#else
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
    && __builtin_cpu_supports("avx512vl");
#endif
}

const MathKernels *k_math_isa(int isa)
{
  switch (isa) {
  case K_ISA_BASE:
    return &kernels_base;
  case K_ISA_AVX2:
    return __builtin_cpu_supports("avx2") ? &kernels_avx2 : NULL;
  case K_ISA_AVX512:
    return has_avx512() ? &kernels_avx512 : NULL;
  default:
    return NULL;
  }
}

static const MathKernels *best(void)
{
  if (has_avx512())
    return &kernels_avx512;
  return __builtin_cpu_supports("avx2") ? &kernels_avx2 : &kernels_base;
}

#define PUBLIC1(NAME) \
  void k_##NAME(const double *x, double *out, size_t n) \
  { \
    best()->NAME(x, out, n); \
  }

PUBLIC1(exp)
PUBLIC1(expm1)
PUBLIC1(log)
PUBLIC1(log1p)
PUBLIC1(log2)
PUBLIC1(log10)
PUBLIC1(sin)
PUBLIC1(cos)
PUBLIC1(tan)
PUBLIC1(atan)
PUBLIC1(tanh)
PUBLIC1(sigmoid)
PUBLIC1(log_sigmoid)
PUBLIC1(softplus)
PUBLIC1(logit)

void k_pow(const double *x, const double *y, double *out, size_t n)
{
  best()->pow(x, y, out, n);
}
