/* SPDX-License-Identifier: Apache-2.0 */
/* Multinomial logistic regression: what multinomial.c (the Iter) and softmax.c (its passes) share. Read
 * linear.h first: the same coordinates, penalties and conventions, with coefficients for each of K classes.
 *
 *   minimise over b (K x d), b0 (K)   (1/W) sum_i w_i [ log sum_k exp(f_ik) - f_i,y_i ]  +  (l2 / 2) sum_kj
 *   (s_j b_kj)^2 f_ik = b0_k + sum_j b_kj x_ij
 *
 * All classes are treated alike (no reference class). What is added to the coefficients of all classes at
 * once changes nothing, so that sums over the classes are free where nothing is penalised; they are kept at
 * 0, which is the solution of least norm.
 *
 * A point theta is (d + 1) x K: theta[j K + k] is the coefficient of class k for column j, with j = d for
 * the constant. */
#ifndef STDLIB_LINEAR_MULTINOMIAL_H
#define STDLIB_LINEAR_MULTINOMIAL_H

#include "stdlib/linear/linear.h"

/* ---- softmax.c ---- */

/* rows, then weights of each class: 2 K doubles. Data errors: a weight or a target that is none. */
extern const Pass softmax_classes;
void softmax_classes_par(uint32_t nclass, Buf *par);

/* linear.moments without classes, each row's weight multiplied by that of its class; its partial is a
 * Moments. */
extern const Pass softmax_moments;
void softmax_moments_par(uint32_t d, bool sparse, uint32_t nclass, const double *mult, Buf *par);

typedef struct SoftSums { /* totals over rows at a point, without penalty: views into one array */
  double *loss;    /* sum of w loss */
  double *margin;  /* the least of f_y - max of the others: above 0 the point separates the classes. Merged
                    * by minimum */
  double *g;       /* d1 x K, as theta: d loss / d theta */
  double *pair;    /* with a Hessian: for k < l a d1 x d1 matrix, sum of w p_k p_l u u', its lower triangle
                    * by columns; d1 = d + 1 */
} SoftSums;

/* Number of the pair k < l among K (K - 1) / 2. */
static inline size_t soft_pair(size_t nclass, size_t k, size_t l) {
  return k * (2 * nclass - k - 1) / 2 + (l - k - 1);
}
size_t soft_sums_doubles(uint32_t d, uint32_t nclass, bool hess);
void soft_sums_at(double *v, uint32_t d, uint32_t nclass, SoftSums *out);

extern const Pass softmax_gradient;
void softmax_gradient_par(const Space *s, uint32_t nclass, const double *mult, const double *theta, bool hess,
                          Buf *par);

void multinomial_predict(const Model *m, const Matrix *x, double *out);
Status multinomial_verify(const Model *m, Err *e);

/* ---- multinomial.c ---- */

Status multinomial_begin(const TrainInfo *t, Iter **out, Err *e);
Status multinomial_finish(Iter *it, Model *m, Err *e);

#endif
