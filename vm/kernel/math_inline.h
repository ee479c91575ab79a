/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elementary functions of one double: exp, expm1, log, log1p, log2, log10, pow, tanh, sigmoid, softplus,
 * log_sigmoid, logit. (sin, cos, tan, atan: math_trig.h. Whole arrays: math.h.)
 *
 * The one implementation for interpreter, JIT and exported C. The bits of a result depend on the argument
 * and on nothing else: only separately rounded + - * / and comparisons of doubles, and integer operations on
 * their bits, all in a fixed order. No libm, no fma, no table. Build with -ffp-contract=off and never with
 * -ffast-math.
 *
 * How to read. Every function is straight-line code whose special cases are selects at its end, so that a
 * compiler turns a loop over it into vector code. Three kernels carry everything:
 *   cml_exp_terms   e^x = 2^k (1 + r + t), |r| <= ln2/2, t a correction of at most 0.1
 *   cml_log_tail    log(1 + f) = hi + lo for 1 + f in [sqrt(1/2), sqrt(2)]
 *   cml_pow_log     log x as hi + lo to 2^-65, for pow
 * A result is formed as one last rounded sum "big + small", which keeps it near half an ulp.
 *
 * Sources: W. Cody and W. Waite, Software Manual for the Elementary Functions, 1980 (argument reduction); P.
 * Tang, "Table-driven implementation of the exponential function", ACM TOMS 15, 1989, and the published
 * description of FDLIBM's log (the identity log(1+f) = f - f^2/2 + s (f^2/2 + R), s = f / (2 + f)); T.
 * Dekker, "A floating-point technique for extending the available precision", Numer. Math. 18, 1971.
 * Polynomials: our own, fitted with the Remez exchange in 200-bit arithmetic; the largest relative error of
 * each is beside it.
 *
 * Corners are those of C99 annex F, rounding to nearest. Every NaN that comes out is 0x7ff8000000000000.
 */
#ifndef CML_VM_KERNEL_MATH_INLINE_H
#define CML_VM_KERNEL_MATH_INLINE_H

#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "these functions need IEEE arithmetic: build without -ffast-math"
#endif

#define CML_INLINE static inline __attribute__((always_inline))
#define CML_INF __builtin_inf()
#define CML_NAN __builtin_nan("")
#define CML_ROUND 0x1.8p52               /* v + this - this rounds |v| < 2^51 to an integer, ties to even */
#define CML_LN2_HI 0x1.62e42fefa3800p-1  /* 42 bits: k times it is exact for |k| < 2^11 */
#define CML_LN2_LO 0x1.ef35793c76730p-45
#define CML_INV_LN2 0x1.71547652b82fep+0

/* a value as an unevaluated sum, |lo| far below |hi| */
typedef struct {
  double hi;
  double lo;
} CmlPair;

/* e^x = 2^(k - 2048) (1 + r + t) */
typedef struct {
  double r;
  double t;
  uint64_t k;
} CmlExp;

CML_INLINE uint64_t cml_bits(double x)
{
  uint64_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

CML_INLINE double cml_from_bits(uint64_t u)
{
  double x;
  memcpy(&x, &u, sizeof x);
  return x;
}

CML_INLINE double cml_abs(double x)
{
  return cml_from_bits(cml_bits(x) & 0x7fffffffffffffffu);
}

CML_INLINE double cml_with_sign(double magnitude, double sign)
{
  return cml_from_bits((cml_bits(magnitude) & 0x7fffffffffffffffu) | (cml_bits(sign) & 0x8000000000000000u));
}

/* a + b = hi + lo exactly, for |a| >= |b| or a = 0 */
CML_INLINE CmlPair cml_fast_sum(double a, double b)
{
  CmlPair s;
  s.hi = a + b;
  s.lo = b - (s.hi - a);
  return s;
}

/* a + b = hi + lo exactly (Knuth) */
CML_INLINE CmlPair cml_two_sum(double a, double b)
{
  CmlPair s;
  s.hi = a + b;
  double v = s.hi - a;
  s.lo = (a - (s.hi - v)) + (b - v);
  return s;
}

/* a * b = hi + lo up to 2^-105 of it: the halves are cut by a mask, which cannot overflow (Dekker's can) */
CML_INLINE CmlPair cml_two_prod(double a, double b)
{
  const uint64_t top = 0xfffffffff8000000u;
  double ah = cml_from_bits(cml_bits(a) & top);
  double bh = cml_from_bits(cml_bits(b) & top);
  double al = a - ah;
  double bl = b - bh;
  CmlPair p;
  p.hi = a * b;
  p.lo = ((ah * bh - p.hi) + (ah * bl + al * bh)) + al * bl;
  return p;
}

/* (a.hi + a.lo) (b.hi + b.lo) to about 2^-103 */
CML_INLINE CmlPair cml_pair_prod(CmlPair a, CmlPair b)
{
  CmlPair p = cml_two_prod(a.hi, b.hi);
  p.lo = p.lo + (a.hi * b.lo + a.lo * b.hi);
  return p;
}

/* ---- exponential ----------------------------------------------------------------------------------------
 * */

/* The terms of e^(x + low), |x| <= 1100, |low| <= 2^-40.
 * t = r^2/2 + r^3 T(r) + correction, polynomial within 2^-61.6 of expm1(r). */
CML_INLINE CmlExp cml_exp_terms(double x, double low)
{
  double shifted = x * CML_INV_LN2 + CML_ROUND;
  double k = shifted - CML_ROUND;
  double hi = x - k * CML_LN2_HI;
  double rest = k * CML_LN2_LO - low;
  double r = hi - rest;
  double c = (hi - r) - rest;
  double z = r * r;
  double a = 0x1.5555555555559p-3 + r * 0x1.5555555555548p-5;
  double b = 0x1.111111110f7d6p-7 + r * 0x1.6c16c16c1cd78p-10;
  double d = 0x1.a01a01af8058cp-13 + r * 0x1.a01a0182e386fp-16;
  double e = 0x1.71ddf934dc19fp-19 + r * 0x1.27e52b5722aaep-22;
  double f = 0x1.af5d5c9e73923p-26 + r * 0x1.1ef5141906cfbp-29;
  double tail = a + z * (b + z * (d + z * (e + z * f)));
  CmlExp out;
  out.r = r;
  out.t = z * (0.5 + r * tail) + (c + c * r);
  out.k = (cml_bits(shifted) + 2048) & 0xfff;   /* the integer stands in the low bits of the shifted sum */
  return out;
}

/* v 2^(k - 2048) for k - 2048 in [-1100, 1100]: two exact powers, so that only the last product can round */
CML_INLINE double cml_scale(double v, uint64_t k)
{
  uint64_t half = k >> 1;
  double p = cml_from_bits((half - 1) << 52);
  double q = cml_from_bits((k - half - 1) << 52);
  return (v * p) * q;
}

/* e^x < 0.7 ulp; of a subnormal result < 1 ulp */
CML_INLINE double cml_exp1(double x)
{
  double y = x > 710.0 ? 710.0 : x;
  y = y < -746.0 ? -746.0 : y;
  CmlExp e = cml_exp_terms(y, 0.0);
  CmlPair s = cml_fast_sum(1.0, e.r);
  double v = cml_scale(s.hi + (s.lo + e.t), e.k);
  return x != x ? CML_NAN : v;
}

/* e^-a for a >= 0 as a pair: exp without its last rounding error, for the functions built on it */
CML_INLINE CmlPair cml_exp_neg_pair(double a)
{
  double y = a > 746.0 ? 746.0 : a;
  CmlExp e = cml_exp_terms(-y, 0.0);
  CmlPair s = cml_fast_sum(1.0, e.r);
  CmlPair v = cml_fast_sum(s.hi, s.lo + e.t);
  v.hi = cml_scale(v.hi, e.k);
  v.lo = cml_scale(v.lo, e.k);
  return v;
}

/* e^x - 1 as a pair, -50 <= x <= 710, |x| >= 2^-54. Formed at half size, since 2^1024 is not a double. */
CML_INLINE CmlPair cml_expm1_half(double x)
{
  CmlExp e = cml_exp_terms(x, 0.0);
  double p = cml_from_bits((e.k - 1026) << 52);   /* 2^(k - 2048 - 1) */
  CmlPair a = cml_two_sum(p, -0.5);
  CmlPair s = cml_two_sum(a.hi, p * e.r);
  s.lo = (s.lo + a.lo) + p * e.t;
  return s;
}

/* e^x - 1 < 1.0 ulp */
CML_INLINE double cml_expm1_1(double x)
{
  double y = x > 710.0 ? 710.0 : x;
  y = y < -50.0 ? -50.0 : y;
  CmlPair s = cml_expm1_half(y);
  double v = 2.0 * (s.hi + s.lo);
  v = cml_abs(x) < 0x1p-54 ? x : v;
  return x != x ? CML_NAN : v;
}

/* ---- logarithm ------------------------------------------------------------------------------------------
 * */

/* x = 2^k (1 + f), x positive and normal, 1 + f in [sqrt(1/2), sqrt(2)). Gives k; f is exact. */
CML_INLINE double cml_log_split(double x, double *f)
{
  uint64_t u = cml_bits(x);
  uint64_t e = (u + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu)) >> 52;   /* k + 1023 */
  *f = cml_from_bits(u - (e << 52) + 0x3ff0000000000000u) - 1.0;
  return cml_from_bits(0x4330000000000000u | e) - 0x1.00000000003ffp52;    /* the integer e as a double */
}

/* The same for x positive, subnormals too; zero gives a finite result. */
CML_INLINE double cml_log_split_any(double x, double *f)
{
  int tiny = x < 0x1p-1022;
  double y = tiny ? x * 0x1p54 : x;
  double k = cml_log_split(y, f);
  return tiny ? k - 54.0 : k;
}

/* R with log((1 + s) / (1 - s)) = 2 s + s R, z = s^2 <= 0.0295; within 2^-66.7 of 2 s */
CML_INLINE double cml_log_r(double z)
{
  double w = z * z;
  double a = 0x1.5555555555555p-1 + z * 0x1.9999999999e00p-2;
  double b = 0x1.249249242b315p-2 + z * 0x1.c71c7259108c3p-3;
  double c = 0x1.745cde2fae7a2p-3 + z * 0x1.3b20ac94f9e9bp-3;
  double d = 0x1.0f5cb1d87f7d1p-3 + z * 0x1.0f63e5f11b004p-3;
  return z * (a + w * (b + w * (c + w * d)));
}

/* log(1 + f) = hi + lo, 1 + f in [sqrt(1/2), sqrt(2)) */
CML_INLINE CmlPair cml_log_tail(double f)
{
  double s = f / (2.0 + f);
  double half = 0.5 * f * f;
  CmlPair v = cml_fast_sum(f, -half);
  v.lo = v.lo + s * (half + cml_log_r(s * s));
  return v;
}

/* k ln 2 + v + more, rounded once */
CML_INLINE double cml_log_sum(double k, CmlPair v, double more)
{
  CmlPair s = cml_fast_sum(k * CML_LN2_HI, v.hi);
  return s.hi + (s.lo + (v.lo + (k * CML_LN2_LO + more)));
}

/* the corners common to the logarithms */
CML_INLINE double cml_log_corners(double x, double v)
{
  v = x == CML_INF ? CML_INF : v;
  v = x == 0.0 ? -CML_INF : v;
  return x >= 0.0 ? v : CML_NAN;
}

/* log x < 0.75 ulp */
CML_INLINE double cml_log1(double x)
{
  double f;
  double k = cml_log_split_any(x, &f);
  return cml_log_corners(x, cml_log_sum(k, cml_log_tail(f), 0.0));
}

/* a logarithm to another base: (f as hi + lo) times 1/ln(base), whose high part has 21 bits, as has hi then
 * */
CML_INLINE CmlPair cml_log_rebase(double f, double inv_hi, double inv_lo)
{
  double s = f / (2.0 + f);
  double half = 0.5 * f * f;
  double hi = cml_from_bits(cml_bits(f - half) & 0xffffffff00000000u);
  double lo = ((f - hi) - half) + s * (half + cml_log_r(s * s));
  CmlPair v;
  v.hi = hi * inv_hi;
  v.lo = (lo + hi) * inv_lo + lo * inv_hi;
  return v;
}

/* log2 x < 0.8 ulp, exact for powers of two */
CML_INLINE double cml_log2_1(double x)
{
  double f;
  double k = cml_log_split_any(x, &f);
  CmlPair v = cml_log_rebase(f, 0x1.7154700000000p+0, 0x1.94ae0bf85ddf4p-22);
  CmlPair s = cml_fast_sum(k, v.hi);
  return cml_log_corners(x, s.hi + (s.lo + v.lo));
}

/* log10 x < 0.75 ulp, exact for powers of ten */
CML_INLINE double cml_log10_1(double x)
{
  double f;
  double k = cml_log_split_any(x, &f);
  CmlPair v = cml_log_rebase(f, 0x1.bcb7b00000000p-2, 0x1.526e50e32a6abp-26);
  CmlPair s = cml_fast_sum(k * 0x1.34413509f6000p-2, v.hi);   /* log10(2): 40 bits, then the rest */
  return cml_log_corners(x, s.hi + (s.lo + (v.lo + k * 0x1.9fef311f12b36p-42)));
}

/* log(1 + x + low) for 1 + x >= 2^-53 and finite, |low| below an ulp of x.
 * u = 1 + x is rounded; what it lost enters as c / u. */
CML_INLINE double cml_log1p_core(double x, double low)
{
  CmlPair u = cml_two_sum(1.0, x);
  double f;
  double k = cml_log_split(u.hi, &f);
  return cml_log_sum(k, cml_log_tail(f), (u.lo + low) / u.hi);
}

/* log(1 + x) < 0.8 ulp */
CML_INLINE double cml_log1p_1(double x)
{
  double v = cml_log1p_core(x, 0.0);
  v = cml_abs(x) < 0x1p-54 ? x : v;
  v = x == CML_INF ? CML_INF : v;
  v = x == -1.0 ? -CML_INF : v;
  return x >= -1.0 ? v : CML_NAN;
}

/* ---- functions of regression ----------------------------------------------------------------------------
 * */

/* 1 / (1 + e^-x) < 1.15 ulp in both tails */
CML_INLINE double cml_sigmoid1(double x)
{
  CmlPair e = cml_exp_neg_pair(cml_abs(x));
  CmlPair d = cml_fast_sum(1.0, e.hi);
  int left = x < 0.0;
  double num = left ? e.hi : 1.0;
  double num_lo = left ? e.lo : 0.0;
  double q = num / d.hi;
  double inv = left ? 1.0 - q : q;                   /* 1/d to a few bits is enough for the correction */
  double v = q + (num_lo - q * (d.lo + e.lo)) * inv;
  return x != x ? CML_NAN : v;
}

/* log(1 + e^x) < 1.15 ulp */
CML_INLINE double cml_softplus1(double x)
{
  CmlPair e = cml_exp_neg_pair(cml_abs(x));
  double v = (x > 0.0 ? x : 0.0) + cml_log1p_core(e.hi, e.lo);
  return x != x ? CML_NAN : v;
}

/* log(1 / (1 + e^-x)) < 1.15 ulp */
CML_INLINE double cml_log_sigmoid1(double x)
{
  CmlPair e = cml_exp_neg_pair(cml_abs(x));
  double v = (x < 0.0 ? x : 0.0) - cml_log1p_core(e.hi, e.lo);
  return x != x ? CML_NAN : v;
}

/* log(p / (1 - p)) < 0.8 ulp. Near 1/2 it is log((1+s)/(1-s)) with s = 2p - 1 exact; elsewhere the logarithm
 * of the quotient q, with what q lost put back. */
CML_INLINE double cml_logit1(double p)
{
  double u = 2.0 * p - 1.0;
  double near = u + u;
  near = near + u * cml_log_r(u * u);
  CmlPair b = cml_fast_sum(1.0, -p);
  double q = p / b.hi;
  CmlPair back = cml_two_prod(q, b.hi);
  double lost = ((p - back.hi) - back.lo) - q * b.lo;
  double f;
  double k = cml_log_split_any(q, &f);
  double v = cml_log_sum(k, cml_log_tail(f), lost / p);
  v = cml_abs(u) < 0.17 ? near : v;
  v = p == 0.0 ? -CML_INF : v;
  v = p == 1.0 ? CML_INF : v;
  return p >= 0.0 && p <= 1.0 ? v : CML_NAN;
}

/* tanh x < 1.25 ulp: -m / (2 + m) with m = e^-2|x| - 1 */
CML_INLINE double cml_tanh1(double x)
{
  double a = cml_abs(x);
  double y = a > 25.0 ? 25.0 : a;
  CmlPair m = cml_expm1_half(-2.0 * y);                    /* m / 2 */
  m = cml_fast_sum(m.hi, m.lo);
  CmlPair d = cml_fast_sum(1.0, m.hi);                     /* 1 + m/2 */
  double q = -m.hi / d.hi;
  double v = q - (m.lo + q * (d.lo + m.lo)) * (1.0 + q);   /* 1/d = 1 + q */
  v = a < 0x1p-28 ? a : v;
  return x != x ? CML_NAN : cml_with_sign(v, x);
}

/* ---- power ----------------------------------------------------------------------------------------------
 * */

/* log x as a pair, within 2^-65 of it, for x positive and finite */
CML_INLINE CmlPair cml_pow_log(double x)
{
  double f;
  double k = cml_log_split_any(x, &f);
  CmlPair d = cml_fast_sum(2.0, f);
  CmlPair s;
  s.hi = f / d.hi;
  CmlPair back = cml_two_prod(s.hi, d.hi);
  s.lo = (((f - back.hi) - back.lo) - s.hi * d.lo) * (0.5 - 0.5 * s.hi);   /* 1 / (2 + f) = (1 - s) / 2 */
  CmlPair z = cml_two_prod(s.hi, s.hi);
  z.lo = z.lo + 2.0 * (s.hi * s.lo);
  /* log((1+s)/(1-s)) = 2 s + s z (2/3 + z Q(z)), Q within 2^-73.5 of 2 s */
  double w = z.hi * z.hi;
  double a = 0x1.9999999999996p-2 + z.hi * 0x1.2492492493038p-2;
  double b = 0x1.c71c71c58008bp-3 + z.hi * 0x1.745d1832809d9p-3;
  double c = 0x1.3b1362a9d4704p-3 + z.hi * 0x1.1120b776bc1f1p-3;
  double e = 0x1.de33265d12085p-4 + z.hi * 0x1.eb138ba29c5aep-4;
  double q = a + w * (b + w * (c + w * e));
  CmlPair g = cml_fast_sum(0x1.5555555555555p-1, z.hi * q);
  g.lo = g.lo + (0x1.5555555555555p-55 + z.lo * q);
  CmlPair t = cml_pair_prod(s, cml_pair_prod(z, g));
  CmlPair v = cml_fast_sum(2.0 * s.hi, t.hi);
  v.lo = v.lo + (2.0 * s.lo + t.lo);
  CmlPair sum = cml_fast_sum(k * CML_LN2_HI, v.hi);
  sum.lo = sum.lo + (v.lo + k * CML_LN2_LO);
  return cml_fast_sum(sum.hi, sum.lo);
}

/* is v >= 0 an integer? (from 2^52 on all are) */
CML_INLINE int cml_is_integer(double v)
{
  double r = (v + 0x1p52) - 0x1p52;
  return (r == v) | (v >= 0x1p52);
}

/* x^y < 0.8 ulp; of a subnormal result < 1 ulp */
CML_INLINE double cml_pow1(double x, double y)
{
  double ax = cml_abs(x);
  double ay = cml_abs(y);
  int whole = cml_is_integer(ay);
  int odd = whole & !cml_is_integer(0.5 * ay);
  /* |log x| is 0 or >= 2^-53: beyond 2^65 nothing changes */
  double yc = cml_with_sign(ay > 0x1p65 ? 0x1p65 : ay, y);
  CmlPair l = cml_pow_log(ax);
  CmlPair p = cml_two_prod(yc, l.hi);
  p.lo = p.lo + yc * l.lo;
  int out = cml_abs(p.hi) > 746.0;
  p.lo = out ? 0.0 : p.lo;
  p.hi = out ? cml_with_sign(746.0, p.hi) : p.hi;
  CmlExp e = cml_exp_terms(p.hi, p.lo);
  CmlPair s = cml_fast_sum(1.0, e.r);
  double v = cml_scale(s.hi + (s.lo + e.t), e.k);
  double edge = y < 0.0 ? 0.0 : CML_INF;             /* |x| = inf, and turned round, x = 0 */
  v = ax == CML_INF ? edge : v;
  v = ax == 0.0 ? (y < 0.0 ? CML_INF : 0.0) : v;
  uint64_t flip = (cml_bits(x) & 0x8000000000000000u) & (uint64_t)-(int64_t)odd;
  v = cml_from_bits(cml_bits(v) | flip);
  int bad = ((x < 0.0) & (ax < CML_INF) & !whole) | (x != x) | (y != y);
  v = bad ? CML_NAN : v;
  return ((y == 0.0) | (x == 1.0)) ? 1.0 : v;
}

#endif
