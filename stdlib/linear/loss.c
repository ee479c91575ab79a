/* SPDX-License-Identifier: Apache-2.0 */
/* What a row loses, and its first and second derivative by f: for the passes of gradient.c and wide.c.
 *
 *   squared   loss = (y - f)^2 / 2    r = f - y       D = 1
 *   logistic  t = f for y = 0, -f for y = 1: loss = log(1 + e^t), q = sigmoid(t) (the probability given to
 *             the wrong class), r = q or -q, D = q (1 - q). Nothing cancels however sure the model is. */
#include <math.h>

#include "stdlib/linear/linear.h"
#include "vm/kernel/dot.h"
#include "vm/kernel/math.h"

bool loss_rows_new(Arena *a, uint32_t n, LossRows *out) {
  size_t each = ((size_t)n + 7) & ~(size_t)7;
  double *v = arena_alloc64(a, (5 * each + 8) * sizeof *v);
  *out = (LossRows){v, v + each, v + 2 * each, v + 3 * each, v + 4 * each};
  return v != NULL;
}

void loss_rows(LinLoss loss, const double *y, uint32_t n, LossRows *v, Sums *s) {
  double *restrict f = v->f, *restrict t = v->t, *restrict r = v->r, *restrict curve = v->curve;
  const double *restrict w = v->w;
  if (loss == LOSS_SQUARED) {
    for (uint32_t i = 0; i < n; i++) {
      double q = f[i] - y[i];
      t[i] = w[i] * (0.5 * q * q);
      r[i] = w[i] * q;
      curve[i] = w[i];
    }
    *s->loss += k_sum(t, n);
    return;
  }
  double margin = *s->margin;
  for (uint32_t i = 0; i < n; i++) {
    t[i] = y[i] == 1 ? -f[i] : f[i];
    double m = w[i] > 0 ? -t[i] : INFINITY;
    margin = m < margin ? m : margin;
  }
  *s->margin = margin;
  k_sigmoid(t, r, n);
  k_softplus(t, t, n);
  for (uint32_t i = 0; i < n; i++) {
    double q = r[i];
    t[i] *= w[i];
    curve[i] = w[i] * (q * (1 - q));
    r[i] = w[i] * (y[i] == 1 ? -q : q);
  }
  *s->loss += k_sum(t, n);
}

void loss_weigh(LinLoss loss, const double *mult, const Panel *panel, uint32_t from, uint32_t n, double *w) {
  for (uint32_t i = 0; i < n; i++) {
    double weight = panel->weight ? panel->weight[from + i] : 1;
    w[i] = loss == LOSS_LOGISTIC ? weight * mult[panel->y[from + i] == 1] : weight;
  }
}
