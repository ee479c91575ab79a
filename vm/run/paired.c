/* SPDX-License-Identifier: Apache-2.0 */
/* See paired.h. */
#include "vm/paired.h"

#include <math.h>

#include "vm/kernel/chance.h"

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
  double se = sqrt(sum * (groups - 1) / groups), t = chance_quantile(0.05, groups - 1);
  out.known = true;
  out.low = out.difference - t * se;
  out.high = out.difference + t * se;
  out.p = se > 0 ? chance_t(out.difference / se, groups - 1) : out.difference == 0;
  return out;
}
