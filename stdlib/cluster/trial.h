/* SPDX-License-Identifier: Apache-2.0 */
/* A trial on candidates: what start.c and swap.c share. */
#ifndef STDLIB_CLUSTER_TRIAL_H
#define STDLIB_CLUSTER_TRIAL_H

#include "stdlib/cluster/cluster.h"

typedef struct Trial {
  const ClusterPoints *p;
  NearRows rows;
  ClusterSpace space; /* candidates are in it: not moved, not scaled */
  uint32_t k;
  uint64_t key, count; /* of random numbers */
  double *square;      /* of each candidate */
  double *near, *with; /* squared distance to the nearest centre; the same with a new one */
  double *best;
  double *c;           /* k x d */
  double **from;       /* squared distances of all candidates from each, kept from trial to trial; NULL: not
                        * yet */
  double *room, *spare; /* for the next of them, while there is any; then for one at a time */
  double *one;         /* d: a candidate */
  size_t rooms;
} Trial;

/* A candidate in proportion to w times near. total: their sum, above 0. */
uint32_t trial_draw(Trial *t, double total);
/* Squared distances of all candidates from candidate i; good until the next call. */
const double *trial_distances(Trial *t, uint32_t i);
void trial_center(const Trial *t, uint32_t i, double *c); /* candidate i as d numbers */
/* Tries to exchange centres for candidates; *swapped counts what lowered the inertia. */
Status trial_swap(Trial *t, uint32_t k, uint32_t *swapped, Err *e);

#endif
