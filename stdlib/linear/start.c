/* SPDX-License-Identifier: Apache-2.0 */
/* Logistic regression's first look without a pass of its own: where all coefficients are 0 every row has the
 * same probability p, so that loss and gradient follow from what linear.moments knows of the two classes,
 * and the Hessian is p (1 - p) times that of squared loss, which linear.gram brings of a sample of the rows,
 * in the same scan. So the first step is there before the rows have been looked at a second time.
 *
 * Source: the first step of iteratively reweighted least squares from the constant model; P. McCullagh, J.
 * Nelder, "Generalized Linear Models", 1989, section 2.5. */
#include <math.h>

#include "stdlib/linear/linear.h"
#include "vm/kernel/math.h"

enum { SAMPLE_MOST = 3 }; /* of 8 rows one: for 500 columns an eighth of what reading them costs */

uint32_t linear_start_sample(uint32_t d) {
  uint32_t k = 0;
  while (k < SAMPLE_MOST && d >= 12u << k)
    k++;
  return k;
}

void linear_start_sums(const GramSums *g, const Moments *m, const Space *s, const LinPoint *p, Sums *out) {
  uint32_t d = s->d;
  double odds = p->a, prob, cost[2] = {odds, -odds};
  double w[2] = {m->weight[0] * s->weight[0], m->weight[1] * s->weight[1]};
  k_sigmoid(&odds, &prob, 1);
  k_softplus(cost, cost, 2);
  double bend = prob * (1 - prob), r[2] = {prob, prob - 1};
  *out->loss = w[0] * cost[0] + w[1] * cost[1];
  *out->margin = -fabs(odds);
  *out->g0 = w[0] * r[0] + w[1] * r[1];
  *out->h00 = s->total * bend;
  *out->s00 = g->weight * bend;
  for (uint32_t j = 0; j < d; j++) {
    out->g[j] = out->h[j] = out->diag[j] = 0;
    for (int c = 0; c < MOMENT_CLASSES; c++) {
      double u = (m->mean[c][j] - s->shift[j]) * s->inv[j];
      out->g[j] += w[c] * r[c] * u;
      out->h[j] += w[c] * bend * u;
      out->diag[j] += bend * (w[c] * u * u + m->m2[c][j] * s->weight[c] * (s->inv[j] * s->inv[j]));
    }
    out->sh[j] = *out->s00 * ((g->mean[j] - s->shift[j]) * s->inv[j]);
  }
  for (uint32_t j = 0; j < d; j++) {
    const double *row = g->m + linear_tri((size_t)d + 1, j);
    double *hess = out->hess + linear_tri(d, j);
    double mean = (g->mean[j] - s->shift[j]) * s->inv[j];
    for (uint32_t k = j; k < d; k++)
      hess[k] = bend * (row[k] * s->inv[j] * s->inv[k]) + mean * out->sh[k];
  }
}
