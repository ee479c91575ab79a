/* SPDX-License-Identifier: Apache-2.0 */
/* What the last steps and the changes of the gradient along them tell of the inverse Hessian: the two loops
 * of J. Nocedal, "Updating quasi-Newton matrices with limited storage", Math. of Computation 35 (1980).
 * Between the loops the caller applies its own first guess of the inverse: a diagonal (lbfgs.c), or the
 * factor of a Hessian that is a little old or of some of the rows (newton.c). */
#include <string.h>

#include "stdlib/linear/linear.h"
#include "vm/kernel/dot.h"

Status pairs_new(Pairs *p, size_t n, Err *e) {
  *p = (Pairs){.n = n, .block = mem_alloc((2 * PAIRS_MOST * n + 1) * sizeof(double))};
  return p->block ? ST_OK : err_memory(e);
}

void pairs_free(Pairs *p) {
  mem_free(p->block);
  p->block = NULL;
}

void pairs_forget(Pairs *p) {
  p->count = 0;
}

static double *step_of(const Pairs *p, uint32_t slot) {
  return p->block + 2 * p->n * slot;
}

static double *change_of(const Pairs *p, uint32_t slot) {
  return step_of(p, slot) + p->n;
}

static uint32_t slot_of(const Pairs *p, uint32_t age) { /* 0: the newest */
  return (p->newest + PAIRS_MOST - age) % PAIRS_MOST;
}

const double *pairs_add(Pairs *p, const double *x0, const double *x1, const double *g0, const double *g1) {
  uint32_t slot = p->count ? (p->newest + 1) % PAIRS_MOST : 0;
  double *restrict s = step_of(p, slot), *restrict y = change_of(p, slot);
  size_t n = p->n;
  for (size_t i = 0; i < n; i++) {
    s[i] = x1[i] - x0[i];
    y[i] = g1[i] - g0[i];
  }
  double sy = k_dot(s, y, n);
  if (!(sy > 0))
    return NULL;
  p->rho[slot] = 1 / sy;
  p->newest = slot;
  p->count += p->count < PAIRS_MOST;
  return y;
}

void pairs_weigh(Pairs *p, double yhy) {
  double sy = 1 / p->rho[p->newest];
  if (yhy > 0 && sy > 1e-14 * yhy) {
    p->gamma = sy / yhy;
    return;
  }
  p->newest = (p->newest + PAIRS_MOST - 1) % PAIRS_MOST; /* the slot it took held the oldest */
  p->count--;
}

void pairs_before(Pairs *p, double *restrict q) {
  for (uint32_t k = 0; k < p->count; k++) {
    uint32_t slot = slot_of(p, k);
    const double *restrict y = change_of(p, slot);
    double alpha = p->alpha[slot] = p->rho[slot] * k_dot(step_of(p, slot), q, p->n);
    for (size_t i = 0; i < p->n; i++)
      q[i] -= alpha * y[i];
  }
}

void pairs_after(const Pairs *p, double *restrict r) {
  for (uint32_t k = p->count; k-- > 0;) {
    uint32_t slot = slot_of(p, k);
    const double *restrict s = step_of(p, slot);
    double beta = p->alpha[slot] - p->rho[slot] * k_dot(change_of(p, slot), r, p->n);
    for (size_t i = 0; i < p->n; i++)
      r[i] += beta * s[i];
  }
}
