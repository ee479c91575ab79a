/* SPDX-License-Identifier: Apache-2.0 */
/* fit.h: the Iter of the linear estimators, whose parts fit.c, space.c and model.c are. */
#ifndef STDLIB_LINEAR_FIT_H
#define STDLIB_LINEAR_FIT_H

#include "stdlib/linear/linear.h"

typedef struct LinFit {
  Iter it; /* first */
  LinOptions o;
  LinLoss loss;
  uint32_t d;
  bool sparse;
  Arena arena;
  char **feature;
  double *lower, *upper; /* d each, of b */
  double *from, from0;   /* d: where to start, or NULL */
  char remark[160];
  char name[128];
  Space space;
  uint64_t rows;
  double weight;      /* of the rows as given, without class weights */
  enum { WAIT_START, WAIT_GRAM, WAIT_MOMENTS, WAIT_SUMS, WAIT_CURVATURE, FINISHED } wait;
  const char *no_errors;     /* why there are no standard errors; NULL: there are */
  double *error, error0;     /* d */
  double freedom;            /* of Student's t; 0: normal */
  Newton *newton;
  Lbfgs *lbfgs;
  Heavy heavy;
  double *sums;       /* of linear.wide, by u */
} LinFit;

/* ---- space.c ---- */

/* From the moments to the coordinates and the starting point. */
Status fit_make_space(LinFit *f, const Moments *m, LinPoint *start, Err *e);
/* Logistic loss over sparse rows: the columns whose products L-BFGS is to know. */
Status fit_find_heavy(LinFit *f, const Moments *m, Err *e);
/* What a coefficient that no solver looks for is: 1 for the offset, of a constant column the allowed value
 * next to 0. */
double fit_fixed_value(const LinFit *f, uint32_t j);

#endif
