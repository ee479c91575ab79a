/* SPDX-License-Identifier: Apache-2.0 */
/* What a model predicts. Estimators and metrics offer a set of these (a mask of TASK_BITs); a model has
 * one. */
#ifndef BASE_TASK_H
#define BASE_TASK_H

typedef enum ModelTask {
  TASK_REGRESSION, /* a number */
  TASK_BINARY,     /* the probability of "true" */
  TASK_MULTICLASS, /* a probability for each class of a vocabulary fitted on the training rows */
  TASK_CLUSTER,    /* no target: the number of a cluster, and the distance to its centre */
  TASK_N
} ModelTask;

#define TASK_BIT(task) (1u << (task))

enum { CLASSES_MAX = 1000 }; /* of a multiclass model */

extern const char *const task_name[TASK_N]; /* "regression", "binary", "multiclass", "cluster": also words
                                             * of the IR */

#endif
