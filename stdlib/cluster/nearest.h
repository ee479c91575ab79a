/* SPDX-License-Identifier: Apache-2.0 */
/* The nearest centre of many rows, exactly.
 *
 * The answer is defined without regard to how it is found: of all centres that with the least near_distance,
 * of several the first. near_distance has one order of operations for every machine, panel and layout.
 * Finding it is fast all the same: products of rows and centres in single precision, moved to the middle of
 * the centres and scaled, rule out every centre whose distance is above the least by more than twice the
 * largest possible error; mostly one is left. Only where several are left, and for the winner, distances are
 * computed in double precision.
 *
 * Of rows that were looked at before, with centres that have moved little, most need one distance only
 * (G. Hamerly, "Making k-means even faster", 2010): that to the centre that was nearest, where it is below
 * what all others must have at least. */
#ifndef STDLIB_CLUSTER_NEAREST_H
#define STDLIB_CLUSTER_NEAREST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

typedef struct NearRows { /* a view: dense rows, or compressed ones as in Matrix */
  uint32_t n, d;
  const double *a;    /* n x d, or NULL */
  const uint32_t *ptr, *col;
  const double *val;
  /* The distance is |u|^2 - 2 u c + |c|^2 where that does not cancel, the same for dense and sparse rows bit
   * by bit. direct (dense only): always the sum of squared differences, which is faster. */
  bool direct;
  const double *ahead; /* as many dense numbers that are read next, to be fetched meanwhile; or NULL */
} NearRows;

typedef struct NearCenters {
  uint32_t k, d, groups;
  const double *c;    /* k x d; not owned */
  double *cc;         /* squared lengths */
  double *origin;     /* dense: the middle of the centres; NULL: 0 */
  double scale;       /* of single precision: a power of two */
  double reach;       /* length of the longest (c - origin) * scale */
  float *pack;        /* groups x d x 16: -2 (c - origin) * scale, centres beside one another */
  float *first;       /* groups x 16: |(c - origin) * scale|^2; NEAR_NONE where there is no centre */
  bool exact;         /* magnitudes that single precision cannot do: always compare distances */
} NearCenters;

#define NEAR_NONE 0x1p126f /* above all scores, below infinity: the mark of its group makes no NaN of it */

/* c must outlive the result. Sparse: origin 0. */
Status near_centers(NearCenters *out, const double *c, uint32_t k, uint32_t d, bool sparse, Err *e);
void near_free(NearCenters *c);

/* index[i] and distance2[i], the squared distance, for every row. scratch may be NULL: slower, the same
 * bits. */
void near_find(const NearCenters *c, const NearRows *rows, Arena *scratch, uint32_t *index,
               double *distance2);
/* The same for rows of which something is known: where lower[i] > 0, every centre but index[i] is farther
 * away than lower[i], which is no squared distance. Afterwards lower[i] is such a number for the new
 * index[i], or -1: nothing is known. What is known saves work, and changes no answer. index[i] < k, in any
 * case. */
void near_find_again(const NearCenters *c, const NearRows *rows, Arena *scratch, uint32_t *index,
                     double *distance2, float *lower);
/* The squared distance of row i from a point of d numbers and squared length cc. uu: of the row. */
double near_distance(const NearRows *rows, uint32_t i, double uu, const double *c, double cc);
/* The same of all rows, whose squared lengths are uu. */
void near_distances(const NearRows *rows, const double *uu, const double *c, double cc, double *distance2);
double near_square(const NearRows *rows, uint32_t i); /* squared length of row i */

typedef struct NearKernels { /* one instruction set; all give the same answers of near_find */
  const char *isa;
  /* `rows` (a multiple of NEAR_TILE) of d floats: the least score, the next one, and the centre of the
   * least; of each score the bits of near_mark are lost */
  void (*tile)(const float *f, uint32_t rows, uint32_t d, const float *pack, const float *first,
               uint32_t groups, float *best, float *second, uint32_t *index);
  double (*square)(const double *x, const double *y, uint32_t d); /* sum of (x - y)^2, canonical order */
  /* the same of each row and row index[i] of c; `ahead`: as many numbers that will be read next, or NULL */
  void (*squares)(const double *u, uint32_t rows, uint32_t d, const double *c, const uint32_t *index,
                  const double *ahead, double *square);
  /* u = (x - shift) * scale, each operation rounded */
  void (*place)(const double *x, const double *shift, double scale, uint32_t rows, uint32_t d, double *u);
  /* f = (u - origin) * scale in single precision, and the squared length, about */
  void (*narrow)(const double *u, const double *origin, double scale, uint32_t rows, uint32_t d, float *f,
                 float *square);
  void (*add)(double *sum, const double *u, double w, uint32_t d); /* sum += w u, each operation rounded */
} NearKernels;
enum { NEAR_TILE = 12, NEAR_LANES = 16, NEAR_MARKED = 64 };
/* The lowest bits of a score, which the number of its group, modulo NEAR_MARKED, takes. */
uint32_t near_mark(uint32_t groups);
const NearKernels *near_best_kernels(void); /* of this machine */
const NearKernels *near_kernels(int isa); /* K_ISA_* of vm/kernel/math.h; NULL where the machine has it not */

#endif
