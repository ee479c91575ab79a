/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sin, cos, tan, atan of one double, under the rules of math_inline.h (which see first).
 *
 * How to read. x is reduced to y = x - n pi/2, |y| <= pi/4, kept as a pair:
 *   |x| < 2^20   cml_trig_reduce: pi/2 in three parts of 33 bits and a fourth of 53, so that n times each of
 *                the first three is exact (Cody and Waite, Software Manual for the Elementary Functions,
 *                1980);
 *   beyond       cml_trig_reduce_large: x = m 2^e, and m times 192 bits of 2/pi, cut out where they matter,
 *                gives quadrant and fraction in integers (M. Payne and R. Hanek, ACM SIGNUM 18, 1983). Right
 *                for every finite x; the one place with branches.
 * Then sin and cos of the pair are each a rounded big term plus a small one; the quadrant picks and signs.
 * cml_NAME_small are the straight-line forms for vector loops, right for |x| < 2^20, infinities and NaN.
 */
#ifndef CML_VM_KERNEL_MATH_TRIG_H
#define CML_VM_KERNEL_MATH_TRIG_H

#include "vm/kernel/math_inline.h"

#define CML_TRIG_LARGE 0x1p20

/* x = n pi/2 + hi + lo; of n the two lowest bits are right */
typedef struct {
  CmlPair y;
  uint64_t n;
} CmlAngle;

/* sin and cos of an angle, each an unevaluated sum */
typedef struct {
  CmlPair sin;
  CmlPair cos;
} CmlSinCos;

CML_INLINE CmlAngle cml_trig_reduce(double x)
{
  double shifted = x * 0x1.45f306dc9c883p-1 + CML_ROUND;
  double n = shifted - CML_ROUND;
  double a = x - n * 0x1.921fb54400000p+0;                   /* exact: the two are close */
  CmlPair b = cml_two_sum(a, -(n * 0x1.0b4611a600000p-34));
  CmlPair c = cml_two_sum(b.hi, -(n * 0x1.3198a2e000000p-69));
  CmlAngle out;
  out.y = cml_fast_sum(c.hi, (b.lo + c.lo) - n * 0x1.b839a252049c1p-104);
  out.n = cml_bits(shifted);
  return out;
}

/* the leading 20 words of 2/pi = 0.a2f9836e..., after a word of zeros */
static const uint64_t cml_two_over_pi[21] = {
  0x0000000000000000, 0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561,
  0xb7246e3a424dd2e0, 0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484, 0xe99c7026b45f7e41,
  0x3991d639835339f4, 0x9c845f8bbdf9283b, 0x1ff897ffde05980f, 0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7,
  0x4f463f669e5fea2d, 0x7527bac7ebe5f17b, 0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab,
  0xf0cfbc209af4361d,
};

/* |x| >= 2^20, finite. Bits of 2/pi worth 4 or more after scaling by 2^e only add whole turns and are left
 * out. */
static inline CmlAngle cml_trig_reduce_large(double x)
{
  uint64_t u = cml_bits(x) & 0x7fffffffffffffffu;
  uint64_t m = (u & 0x000fffffffffffffu) | 0x0010000000000000u;
  unsigned first = (unsigned)(u >> 52) - 1075 + 62;   /* e - 2 in the table, whose point is at bit 64 */
  unsigned word = first / 64;
  unsigned skip = first % 64;
  uint64_t w[3];
  for (unsigned i = 0; i < 3; i++) {
    w[i] = cml_two_over_pi[word + i] << skip;
    if (skip > 0)
      w[i] |= cml_two_over_pi[word + i + 1] >> (64 - skip);
  }
  /* m w mod 2^192: two bits of quadrant, 190 of fraction; what was cut off is below 2^-137 */
  unsigned __int128 p2 = (unsigned __int128)m * w[2];
  unsigned __int128 p1 = (unsigned __int128)m * w[1] + (uint64_t)(p2 >> 64);
  uint64_t f2 = (uint64_t)p2;
  uint64_t f1 = (uint64_t)p1;
  uint64_t f0 = m * w[0] + (uint64_t)(p1 >> 64);
  uint64_t n = f0 >> 62;
  f0 &= 0x3fffffffffffffffu;
  int negative = (f0 >> 61) != 0;   /* a fraction above 1/2: one quadrant on, and back */
  if (negative) {
    n += 1;
    unsigned __int128 low = ((unsigned __int128)f1 << 64) | f2;
    low = ~low + 1;
    f0 = 0x4000000000000000u - f0 - (low != 0);
    f1 = (uint64_t)(low >> 64);
    f2 = (uint64_t)low;
  }
  /* the top 106 bits that are set, as two doubles; the fraction of a double is never below 2^-63 */
  unsigned shift = f0 != 0 ? (unsigned)__builtin_clzll(f0) : 64 + (unsigned)__builtin_clzll(f1 | 1);
  if (shift >= 64) {
    f0 = f1;
    f1 = f2;
    f2 = 0;
  }
  unsigned s = shift % 64;
  if (s > 0) {
    f0 = f0 << s | f1 >> (64 - s);
    f1 = f1 << s | f2 >> (64 - s);
  }
  double unit = cml_from_bits((uint64_t)(1023 - 62 - shift) << 52);
  CmlPair v;
  v.hi = (double)(f0 >> 11) * 0x1p11 * unit;
  v.lo = ((double)(f0 & 0x7ff) + (double)(f1 >> 11) * 0x1p-53) * unit;
  CmlPair half_pi;
  half_pi.hi = 0x1.921fb54442d18p+0;
  half_pi.lo = 0x1.1a62633145c07p-54;
  v = cml_pair_prod(v, half_pi);
  CmlAngle out;
  out.y = cml_fast_sum(v.hi, v.lo);
  out.n = n;
  if (negative) {
    out.y.hi = -out.y.hi;
    out.y.lo = -out.y.lo;
  }
  if (x < 0.0) {
    out.y.hi = -out.y.hi;
    out.y.lo = -out.y.lo;
    out.n = -out.n;
  }
  return out;
}

/* |y| <= pi/4 (1 + 2^-13): sin y = y + y^3 S(y^2) within 2^-57.9, cos y = 1 - y^2/2 + y^4 C(y^2) within
 * 2^-64.2 */
CML_INLINE CmlSinCos cml_trig_terms(CmlPair y)
{
  double z = y.hi * y.hi;
  double w = z * z;
  double s = (0x1.111111110f7cap-7 + z * -0x1.a01a019bfd15bp-13)
    + w * ((0x1.71de356710620p-19 + z * -0x1.ae5e59f4221aap-26) + w * 0x1.5d8fa2ba8482ep-33);
  s = -0x1.5555555555548p-3 + z * s;
  double c = (0x1.555555555554cp-5 + z * -0x1.6c16c16c1517ep-10)
    + w * ((0x1.a01a019cb1be4p-16 + z * -0x1.27e4f809f10cep-22)
           + w * (0x1.1ee9ebe976572p-29 + z * -0x1.8fae9c9b70873p-37));
  CmlSinCos out;
  double half = 0.5 * z;
  out.sin.hi = y.hi;
  out.sin.lo = (z * y.hi) * s + y.lo * (1.0 - half);
  out.cos = cml_fast_sum(1.0, -half);
  out.cos.lo = out.cos.lo + (w * c - y.hi * y.lo);
  return out;
}

CML_INLINE double cml_trig_sin(CmlAngle a)
{
  CmlSinCos t = cml_trig_terms(a.y);
  double v = (a.n & 1) != 0 ? t.cos.hi + t.cos.lo : t.sin.hi + t.sin.lo;
  return cml_from_bits(cml_bits(v) ^ ((a.n & 2) << 62));
}

CML_INLINE double cml_trig_cos(CmlAngle a)
{
  a.n += 1;
  return cml_trig_sin(a);
}

/* sine over cosine, the odd quadrants cosine over minus sine */
CML_INLINE double cml_trig_tan(CmlAngle a)
{
  CmlSinCos t = cml_trig_terms(a.y);
  CmlPair s = cml_fast_sum(t.sin.hi, t.sin.lo);
  CmlPair c = cml_fast_sum(t.cos.hi, t.cos.lo);
  int odd = (a.n & 1) != 0;
  double num = odd ? -c.hi : s.hi;
  double num_lo = odd ? -c.lo : s.lo;
  double den = odd ? s.hi : c.hi;
  double den_lo = odd ? s.lo : c.lo;
  double q = num / den;
  CmlPair back = cml_two_prod(q, den);
  double lost = ((num - back.hi) - back.lo) + (num_lo - q * den_lo);
  return q + lost / den;
}

CML_INLINE double cml_trig_corners(double x, double v, double at_zero)
{
  double a = cml_abs(x);
  v = a < 0x1p-27 ? at_zero : v;
  return a < CML_INF ? v : CML_NAN;
}

CML_INLINE double cml_sin_small(double x)
{
  return cml_trig_corners(x, cml_trig_sin(cml_trig_reduce(x)), x);
}

CML_INLINE double cml_cos_small(double x)
{
  return cml_trig_corners(x, cml_trig_cos(cml_trig_reduce(x)), 1.0);
}

CML_INLINE double cml_tan_small(double x)
{
  return cml_trig_corners(x, cml_trig_tan(cml_trig_reduce(x)), x);
}

/* is x finite and beyond the reach of the small forms? */
CML_INLINE int cml_trig_is_large(double x)
{
  double a = cml_abs(x);
  return (a >= CML_TRIG_LARGE) & (a < CML_INF);
}

/* sin x < 0.85 ulp */
static inline double cml_sin1(double x)
{
  return cml_trig_is_large(x) ? cml_trig_sin(cml_trig_reduce_large(x)) : cml_sin_small(x);
}

/* cos x < 0.85 ulp */
static inline double cml_cos1(double x)
{
  return cml_trig_is_large(x) ? cml_trig_cos(cml_trig_reduce_large(x)) : cml_cos_small(x);
}

/* tan x < 1.1 ulp */
static inline double cml_tan1(double x)
{
  return cml_trig_is_large(x) ? cml_trig_tan(cml_trig_reduce_large(x)) : cml_tan_small(x);
}

/* atan x < 0.8 ulp. |x| is moved to t = (|x| - c) / (1 + c |x|), |t| <= 7/16, c of 0, 1/2, 1, 3/2, infinity;
 * atan t = t + t^3 A(t^2) within 2^-62.3. */
CML_INLINE double cml_atan1(double x)
{
  double a = cml_abs(x);
  double num = a < 0.4375 ? a : 2.0 * a - 1.0;
  double den = a < 0.4375 ? 1.0 : 2.0 + a;
  double hi = a < 0.4375 ? 0.0 : 0x1.dac670561bb4fp-2;
  double lo = a < 0.4375 ? 0.0 : 0x1.a2b7f222f65e2p-56;
  int one = a >= 0.6875;
  num = one ? a - 1.0 : num;
  den = one ? a + 1.0 : den;
  hi = one ? 0x1.921fb54442d18p-1 : hi;
  lo = one ? 0x1.1a62633145c07p-55 : lo;
  int more = a >= 1.1875;
  num = more ? a - 1.5 : num;
  den = more ? 1.0 + 1.5 * a : den;
  hi = more ? 0x1.f730bd281f69bp-1 : hi;
  lo = more ? 0x1.007887af0cbbdp-56 : lo;
  int far = a >= 2.4375;
  num = far ? -1.0 : num;
  den = far ? a : den;
  hi = far ? 0x1.921fb54442d18p+0 : hi;
  lo = far ? 0x1.1a62633145c07p-54 : lo;
  double t = num / den;
  double z = t * t;
  double w = z * z;
  double b = -0x1.5555555555552p-2 + z * 0x1.9999999998fbap-3;
  double c = -0x1.2492492444cffp-3 + z * 0x1.c71c71a0f3e4fp-4;
  double d = -0x1.745d11c11d50fp-4 + z * 0x1.3b132ec04e4fcp-4;
  double e = -0x1.1108fdf5aa7bfp-4 + z * 0x1.e132003cf1533p-5;
  double f = -0x1.a9f7aac05fddep-5 + z * 0x1.6b0fe9191d1dap-5;
  double g = -0x1.0545e20c23993p-5 + z * 0x1.c000572385f25p-7;
  double tail = (t * z) * (b + w * (c + w * (d + w * (e + w * (f + w * g)))));
  CmlPair s = cml_fast_sum(hi, t);
  double v = s.hi + (s.lo + (tail + lo));
  v = a < 0x1p-27 ? a : v;
  return x != x ? CML_NAN : cml_with_sign(v, x);
}

#endif
