/* SPDX-License-Identifier: Apache-2.0 */
/* linear_reference.h: the linear problems solved plainly, in long double, on raw columns. No scaling, no
 * tricks; for the tests only.
 *
 *   minimise (1/W) sum w loss + (l2/2) sum_j (s_j b_j)^2     (s_j = 1 where the penalty is not
 *                                                            standardised) */
#ifndef TESTS_UNIT_LINEAR_REFERENCE_H
#define TESTS_UNIT_LINEAR_REFERENCE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* How near to these minima: valgrind computes long double as double, so that they are less exact there. */
static inline double ref_within(double tolerance) {
  volatile long double one = 1, little = 0x1p-60L;
  return one + little == one ? fmax(tolerance, 1e-6) : tolerance;
}

typedef struct RefProblem {
  uint32_t n, d;
  const double *x, *y, *w; /* w: effective weights, or NULL */
  bool logistic, intercept, standardize;
  double l2;
} RefProblem;

/* Gaussian elimination with pivoting: a (m x m) b = r; the answer in r. */
static inline void ref_solve(long double *a, long double *r, uint32_t m) {
  for (uint32_t i = 0; i < m; i++) {
    uint32_t p = i;
    for (uint32_t k = i; k < m; k++)
      if (fabsl(a[k * m + i]) > fabsl(a[p * m + i]))
        p = k;
    for (uint32_t k = 0; k < m; k++) {
      long double t = a[i * m + k];
      a[i * m + k] = a[p * m + k];
      a[p * m + k] = t;
    }
    long double t = r[i];
    r[i] = r[p];
    r[p] = t;
    for (uint32_t k = i + 1; k < m; k++) {
      long double f = a[k * m + i] / a[i * m + i];
      for (uint32_t j = i; j < m; j++)
        a[k * m + j] -= f * a[i * m + j];
      r[k] -= f * r[i];
    }
  }
  for (uint32_t i = m; i-- > 0;) {
    for (uint32_t k = i + 1; k < m; k++)
      r[i] -= a[i * m + k] * r[k];
    r[i] /= a[i * m + i];
  }
}

static inline long double ref_value(const RefProblem *p, const long double *pen, const long double *b) {
  long double total = 0, sum = 0, penalty = 0;
  for (uint32_t i = 0; i < p->n; i++) {
    long double w = p->w ? p->w[i] : 1, f = b[p->d];
    for (uint32_t j = 0; j < p->d; j++)
      f += b[j] * p->x[(size_t)i * p->d + j];
    long double t = p->y[i] == 1 ? -f : f;
    sum += w * (p->logistic ? (t > 0 ? t + log1pl(expl(-t)) : log1pl(expl(t)))
                            : (p->y[i] - f) * (p->y[i] - f) / 2);
    total += w;
  }
  for (uint32_t j = 0; j < p->d; j++)
    penalty += pen[j] * b[j] * b[j] / 2;
  return sum / total + penalty;
}

/* b: d coefficients and the intercept; returns the objective there. */
static inline double ref_minimum(const RefProblem *p, double *out) {
  uint32_t d = p->d, m = d + 1;
  long double *b = calloc(m, sizeof *b), *pen = calloc(m, sizeof *pen), *g = calloc(m, sizeof *g),
              *old = calloc(m, sizeof *old);
  long double *h = calloc((size_t)m * m, sizeof *h);
  long double total = 0;
  for (uint32_t i = 0; i < p->n; i++)
    total += p->w ? p->w[i] : 1;
  for (uint32_t j = 0; j < d; j++) {
    long double mean = 0, m2 = 0;
    for (uint32_t i = 0; i < p->n; i++)
      mean += (p->w ? p->w[i] : 1) * (long double)p->x[(size_t)i * d + j] / total;
    for (uint32_t i = 0; i < p->n; i++) {
      long double t = p->x[(size_t)i * d + j] - mean;
      m2 += (p->w ? p->w[i] : 1) * t * t / total;
    }
    pen[j] = p->l2 * (p->standardize ? m2 : 1);
  }
  long double f = ref_value(p, pen, b);
  for (int round = 0; round < 60; round++) {
    memset(g, 0, m * sizeof *g);
    memset(h, 0, (size_t)m * m * sizeof *h);
    for (uint32_t i = 0; i < p->n; i++) {
      const double *x = p->x + (size_t)i * d;
      long double w = p->w ? p->w[i] : 1, v = b[d];
      for (uint32_t j = 0; j < d; j++)
        v += b[j] * x[j];
      long double q = 1 / (1 + expl(-v));
      long double r = w / total * (p->logistic ? q - p->y[i] : v - p->y[i]);
      long double c = w / total * (p->logistic ? q * (1 - q) : 1);
      for (uint32_t j = 0; j < m; j++) {
        long double xj = j < d ? x[j] : 1;
        g[j] -= r * xj;
        for (uint32_t k = 0; k < m; k++)
          h[j * m + k] += c * xj * (k < d ? x[k] : 1);
      }
    }
    for (uint32_t j = 0; j < d; j++) {
      g[j] -= pen[j] * b[j];
      h[j * m + j] += pen[j];
    }
    if (!p->intercept) {
      g[d] = 0;
      for (uint32_t j = 0; j < m; j++)
        h[j * m + d] = h[d * m + j] = j == d;
    }
    ref_solve(h, g, m);
    memcpy(old, b, m * sizeof *b);
    long double fn = f, t = 1;
    for (int k = 0; k < 40; k++, t /= 2) {
      for (uint32_t j = 0; j < m; j++)
        b[j] = old[j] + t * g[j];
      fn = ref_value(p, pen, b);
      if (fn <= f + 1e-18L)
        break;
    }
    f = fn;
  }
  for (uint32_t j = 0; j < m; j++)
    out[j] = (double)b[j];
  free(b);
  free(pen);
  free(g);
  free(old);
  free(h);
  return (double)f;
}

#endif
