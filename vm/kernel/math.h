/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elementary functions over arrays: out[i] = f(x[i]).
 *
 * The same bits as the inline functions of math_inline.h and math_trig.h (`k_exp` as `cml_exp1` and so on),
 * on every x86-64 and for every n; the widest vectors of the machine are used. out may be x itself (or y,
 * for k_pow); other overlaps are not allowed. Nothing here fails, allocates or reads a flag of the
 * floating-point unit.
 *
 * Error bounds in units in the last place, as tests/unit/test_math.c asserts them:
 *
 *   exp 0.7   expm1 1.0   log 0.75   log1p 0.8   log2 0.8   log10 0.75   pow 0.8
 *   sin 0.85  cos 0.85    tan 1.1    (for every finite x)   atan 0.8      tanh 1.25
 *   sigmoid 1.15   log_sigmoid 1.15   softplus 1.15   logit 0.8
 *   where the result of exp, pow, sigmoid, log_sigmoid or softplus is subnormal: 1.0
 */
#ifndef CML_VM_KERNEL_MATH_H
#define CML_VM_KERNEL_MATH_H

#include <stddef.h>

typedef void (*MathFn1)(const double *x, double *out, size_t n);
typedef void (*MathFn2)(const double *x, const double *y, double *out, size_t n);

void k_exp(const double *x, double *out, size_t n);
void k_expm1(const double *x, double *out, size_t n);
void k_log(const double *x, double *out, size_t n);
void k_log1p(const double *x, double *out, size_t n);
void k_log2(const double *x, double *out, size_t n);
void k_log10(const double *x, double *out, size_t n);
void k_sin(const double *x, double *out, size_t n);
void k_cos(const double *x, double *out, size_t n);
void k_tan(const double *x, double *out, size_t n);
void k_atan(const double *x, double *out, size_t n);
void k_tanh(const double *x, double *out, size_t n);
void k_sigmoid(const double *x, double *out, size_t n);      /* 1 / (1 + e^-x) */
void k_log_sigmoid(const double *x, double *out, size_t n);  /* log sigmoid(x) */
void k_softplus(const double *x, double *out, size_t n);     /* log(1 + e^x) */
void k_logit(const double *x, double *out, size_t n);        /* log(x / (1 - x)) */
void k_pow(const double *x, const double *y, double *out, size_t n);

/* The functions compiled for one instruction set. All sets give the same bits; the tests hold them together.
 * */
typedef struct {
  const char *isa;
  MathFn1 exp, expm1, log, log1p, log2, log10, sin, cos, tan, atan;
  MathFn1 tanh, sigmoid, log_sigmoid, softplus, logit;
  MathFn2 pow;
} MathKernels;

enum { K_ISA_BASE, K_ISA_AVX2, K_ISA_AVX512, K_ISA_COUNT };

/* NULL where this machine has not that set */
const MathKernels *k_math_isa(int isa);

#endif
