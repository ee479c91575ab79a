/* SPDX-License-Identifier: Apache-2.0 */
/* The difference of a metric of two models on the same rows, with an interval.
 *
 * The delete-a-group jackknife: rows lie in groups by a hash of their position, and d(g) is the difference
 * without group g. With n groups that have rows, se^2 = (n - 1) / n sum (d(g) - mean)^2, and the
 * difference less its true value, over se, is held to be Student's t with n - 1 degrees of freedom. It
 * serves every metric, also those that are no means of rows, and pairs the models row by row. J. Shao, C.
 * F. J. Wu, Annals of Statistics 17 (1989); B. Efron, R. Tibshirani, "An Introduction to the Bootstrap"
 * (1993), chapter 11. */
#ifndef VM_PAIRED_H
#define VM_PAIRED_H

#include "vm/estimator.h"

enum { PAIRED_GROUPS = 50 };

typedef struct Paired {
  double other;           /* the metric of the other model */
  double difference;      /* this less the other */
  bool known;             /* low, high and p are there */
  double low, high;       /* 95 % */
  double p;               /* two-sided, of no difference */
} Paired;

/* a, b: 1 + groups values each, the whole first. */
Paired paired_of(const MetricValue *a, const MetricValue *b, uint32_t n);

#endif
