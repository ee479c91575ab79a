/* SPDX-License-Identifier: Apache-2.0 */
/* How unlikely a value of Student's t or of the normal distribution is: for p-values and confidence
 * intervals. Made of exp and log of vm/kernel alone, so that the bits are the same on every machine.
 *
 * Equations are those of the NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov. */
#include <float.h>
#include <math.h>

#include "vm/kernel/chance.h"
#include "vm/kernel/math.h"

#define ROOT_PI 1.7724538509055160273
enum { TERMS_MOST = 200000 };

static double exp_of(double x) {
  double y;
  k_exp(&x, &y, 1);
  return y;
}

/* Gamma(a + 1/2) / Gamma(a): from a = 20 on the asymptotic series (DLMF 5.11.13), below by recurrence. */
static double gamma_step(double a) {
  double scale = 1;
  for (; a < 20; a += 1)
    scale *= a / (a + 0.5);
  double r = 1 / a, q = r * r;
  double log_part =
      r * (-1.0 / 8 + q * (1.0 / 192 + q * (-1.0 / 640 + q * (17.0 / 14336 - q * (31.0 / 18432)))));
  return scale * sqrt(a) * exp_of(log_part);
}

/* The continued fraction of the incomplete beta function, DLMF 8.17.22, by Lentz's method; x < (a + 1) /
 * (a + b + 2). */
static double beta_fraction(double a, double b, double x) {
  double f = 1, c = 1, d = 1 - (a + b) * x / (a + 1);
  d = 1 / d;
  f = d;
  for (int m = 1; m < TERMS_MOST; m++) {
    double n = m;
    double even = n * (b - n) * x / ((a + 2 * n - 1) * (a + 2 * n));
    d = 1 / (1 + even * d);
    c = 1 + even / c;
    f *= c * d;
    double odd = -(a + n) * (a + b + n) * x / ((a + 2 * n) * (a + 2 * n + 1));
    d = 1 / (1 + odd * d);
    c = 1 + odd / c;
    f *= c * d;
    if (fabs(c * d - 1) < DBL_EPSILON)
      break;
  }
  return f;
}

/* P(|T| > |t|), which is I_x(freedom / 2, 1/2) with x = freedom / (freedom + t^2). */
double chance_t(double t, double freedom) {
  double a = freedom / 2, q = t * t / freedom, x = 1 / (1 + q), log_x;
  if (!(q < INFINITY))
    return q == INFINITY ? 0 : NAN;
  if (q == 0)
    return 1;
  k_log1p(&q, &log_x, 1);
  /* x^a (1 - x)^(1/2) / B(a, 1/2) */
  double front = exp_of(-a * log_x) * sqrt(q * x) * gamma_step(a) / ROOT_PI;
  if (x < (a + 1) / (a + 2.5))
    return front * beta_fraction(a, 0.5, x) / a;
  return 1 - front * beta_fraction(0.5, a, q * x) / 0.5;
}

/* P(|Z| > |z|), erfc(|z| / sqrt 2): a series of positive terms (DLMF 7.6.2), or the continued fraction
 * 7.9.2. */
double chance_normal(double z) {
  double h = z * z / 2, x = sqrt(h), front = exp_of(-h) / ROOT_PI;
  if (!(h < INFINITY))
    return h == INFINITY ? 0 : NAN;
  if (h < 3) {
    double term = x, sum = x;
    for (int n = 1; term > DBL_EPSILON * sum * 0.1; n++) {
      term *= 2 * h / (2 * n + 1);
      sum += term;
    }
    return 1 - 2 * front * sum;
  }
  double f = 0;
  for (int n = 120; n > 0; n--)
    f = n / 2.0 / (x + f);
  return front / (x + f);
}

/* The t that is exceeded in size with probability p; freedom 0: normal. The chance falls with t: by
 * halving. */
double chance_quantile(double p, double freedom) {
  double lo = 0, hi = 1;
  while (hi < 1e300 && (freedom > 0 ? chance_t(hi, freedom) : chance_normal(hi)) > p)
    hi *= 2;
  for (int i = 0; i < 200 && lo < hi; i++) {
    double mid = lo + 0.5 * (hi - lo);
    if (mid == lo || mid == hi)
      break;
    if ((freedom > 0 ? chance_t(mid, freedom) : chance_normal(mid)) > p)
      lo = mid;
    else
      hi = mid;
  }
  return hi;
}
