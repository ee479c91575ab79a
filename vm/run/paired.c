/* SPDX-License-Identifier: Apache-2.0 */
/* See paired.h. */
#include "vm/paired.h"

#include <math.h>

#include "vm/kernel/math.h"

/* The finite series of M. Abramowitz, I. Stegun, "Handbook of Mathematical Functions" (1964), 26.7.3 and
 * 26.7.4. */
double student_within(double t, uint32_t df) {
  double x = t / sqrt(df), cosine = 1 / sqrt(1 + x * x), sine = x * cosine, angle;
  if (!(t < 1e150))
    return 1;
  double term = df % 2 ? cosine : 1, sum = df == 1 ? 0 : term;
  for (uint32_t k = df % 2 ? 3 : 2; k < df; k += 2) { /* the term of cosine^k from that of cosine^(k - 2) */
    term *= cosine * cosine * (k - 1) / k;
    sum += term;
  }
  if (df % 2 == 0)
    return sine * sum;
  k_atan(&x, &angle, 1);
  return 2 / M_PI * (angle + sine * sum);
}

double student_quantile(double p, uint32_t df) {
  double low = 0, high = 1;
  while (student_within(high, df) < p && high < 1e100)
    high *= 2;
  for (int i = 0; i < 200 && low < high; i++) {
    double mid = low + (high - low) / 2;
    if (mid <= low || mid >= high)
      break;
    if (student_within(mid, df) < p)
      low = mid;
    else
      high = mid;
  }
  return high;
}

Paired paired_of(const MetricValue *a, const MetricValue *b, uint32_t n) {
  Paired out = {.other = b[0].value, .difference = a[0].value - b[0].value};
  uint32_t groups = 0;
  double mean = 0, sum = 0;
  if (!a[0].defined || !b[0].defined)
    return out;
  for (uint32_t g = 1; g < n; g++) {
    if (a[g].rows == a[0].rows) /* an empty group */
      continue;
    if (!a[g].defined || !b[g].defined)
      return out;
    mean += a[g].value - b[g].value;
    groups++;
  }
  if (groups < 2)
    return out;
  mean /= groups;
  for (uint32_t g = 1; g < n; g++)
    if (a[g].rows != a[0].rows) {
      double d = a[g].value - b[g].value - mean;
      sum += d * d;
    }
  double se = sqrt(sum * (groups - 1) / groups), t = student_quantile(0.95, groups - 1);
  out.known = true;
  out.low = out.difference - t * se;
  out.high = out.difference + t * se;
  out.p = se > 0                ? fmax(0, 1 - student_within(fabs(out.difference) / se, groups - 1))
          : out.difference == 0 ? 1
                                : 0;
  return out;
}
