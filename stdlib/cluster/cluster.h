/* SPDX-License-Identifier: Apache-2.0 */
/* k-means: start here. Files in the order the data flow.
 *
 *   rows --linear.moments--> Space --sample.c, start.c--> first centres --assign.c, again and again--> Model
 *
 * fit.c is the Iter that asks for those passes; nearest.c finds the nearest centre of a row; kmeans.c holds
 * options, page, prediction.
 *
 * The problem: centres c_1 .. c_k that minimise the inertia, sum over rows i of w_i min_c |u_i - c|^2.
 *
 * Coordinates. Dense rows are moved and scaled by one power of two, u = (x - shift) * scale, so that squares
 * neither cancel nor overflow; distances scale with it, and what is reported is scaled back. Sparse rows are
 * scaled only. With metric = cosine a row is divided by its length instead, u = x / |x|, and centres have
 * length 1: then |u - c|^2 = 2 (1 - cos), so that everything but the new centre is the same. */
#ifndef STDLIB_CLUSTER_CLUSTER_H
#define STDLIB_CLUSTER_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "stdlib/cluster/nearest.h"
#include "vm/estimator.h"

enum {
  CLUSTER_CELLS_MAX = 1 << 23, /* k times columns: 64 MiB of centres */
  CLUSTER_PIECE = 8192,        /* doubles of prepared rows at a time: they stay in the cache */
};

typedef enum { START_PARALLEL, START_RANDOM } ClusterStart;             /* order of the options' values */
typedef enum { METRIC_SQUARED_EUCLIDEAN, METRIC_COSINE } ClusterMetric;

typedef struct ClusterSpace { /* the coordinates */
  uint32_t d;
  bool sparse, cosine;
  double scale;        /* a power of two; 1 with cosine */
  const double *shift; /* d; NULL: not moved */
  uint64_t part, key;  /* of the rows those whose random number of that key is below part; 0: all of them */
} ClusterSpace;

/* ---- rows.c: panels in those coordinates, and the parameters' common head ---- */

void cluster_space_put(const ClusterSpace *s, Buf *out);
/* False: damaged. shift points into the bytes; copy it. */
bool cluster_space_get(Rd *r, ClusterSpace *out);
uint32_t cluster_piece(uint32_t d); /* rows to prepare at a time */
/* Rows [from, from + n) of a matrix. A row of zeros stays one with cosine, too. */
Status cluster_rows(const ClusterSpace *s, const Matrix *x, uint32_t from, uint32_t n, Arena *a,
                    NearRows *out, Err *e);
/* The rows of a panel that the space's part has. */
Status cluster_part(const ClusterSpace *s, const Panel *panel, Arena *a, Panel *out, Err *e);
bool cluster_is_zero(const NearRows *rows, uint32_t i);

/* ---- sample.c: rows drawn in proportion to weight times squared distance to the centres so far ---- */

typedef struct ClusterDraw { /* a drawn row */
  double key, weight;
  uint32_t n;   /* entries; dense: d */
  double *val;
  uint32_t *col; /* sparse, else NULL */
} ClusterDraw;

typedef struct ClusterSample {
  uint32_t n;
  ClusterDraw **v; /* by rising key */
} ClusterSample;

extern const Pass cluster_sample;
/* Draws `count` rows; centers NULL: in proportion to the weights alone, and count = UINT32_MAX takes all. */
void cluster_sample_par(const ClusterSpace *s, uint64_t key, uint32_t count, const NearRows *centers,
                        Buf *par);
ClusterSample *cluster_sample_read(const Buf *par, Bytes result, Err *e); /* NULL: error */
void cluster_sample_free(ClusterSample *s);

/* ---- assign.c: one step of Lloyd's method ---- */

enum { CLUSTER_FAR = 16 }; /* rows farthest from their centres that a step remembers, for empty clusters */

typedef struct ClusterSums {
  uint32_t k, d, nfar;
  double *zero;    /* 1: rows of zeros, with cosine: they belong nowhere */
  double *rows, *weight, *inertia; /* k each */
  double *sum;     /* k x d: sum of w u; NULL where not asked for */
  double *far;     /* nfar x (3 + d): squared distance (-1: none), cluster, weight, row; by falling
                    * distance */
} ClusterSums;

extern const Pass cluster_assign;
size_t cluster_sums_doubles(uint32_t k, uint32_t d, bool sums);
void cluster_sums_at(double *v, uint32_t k, uint32_t d, bool sums, ClusterSums *out);

/* How far the centres are from where they were in a scan before, for what it noted of its rows. */
typedef struct ClusterMoved {
  uint64_t run;   /* who scans: 0: nobody else will, nothing is noted */
  uint64_t since; /* cluster_places of the centres as they were; 0: there was no such scan */
  uint32_t which; /* centre that moved farthest */
  double most, other; /* how far it did, and the farthest of the others; not too small */
} ClusterMoved;

/* moved may be NULL: nothing is noted, no bound is used. */
void cluster_assign_par(const ClusterSpace *s, const NearRows *centers, bool sums, const ClusterMoved *moved,
                        Buf *par);
/* A hash of space and centres, never 0. */
uint64_t cluster_places(const ClusterSpace *s, const double *c, uint32_t k);

typedef struct ClusterStep { /* what a step did to the centres */
  double shift2;      /* sum of their squared movements */
  uint32_t reseeded;  /* empty clusters that got a row */
  uint32_t empty;     /* clusters without rows, before */
  uint32_t which;     /* as ClusterMoved has them */
  double most, other;
} ClusterStep;
/* New centres from the sums at the old ones; c is k x d. The sums are used up. */
ClusterStep cluster_move(const ClusterSpace *s, ClusterSums *sums, double *c);

/* ---- start.c: the first centres, on the driver ---- */

typedef struct ClusterPoints { /* candidates with weights; a matrix in u */
  Matrix x;
  double *w;
  uint32_t cap;
  size_t ecap; /* entries that col and val have room for */
} ClusterPoints;
Status cluster_points_add(ClusterPoints *p, const ClusterSpace *s, const ClusterSample *from, Err *e);
void cluster_points_free(ClusterPoints *p);
/* Finds up to `starts` sets of up to k centres (k x d each, written one after the other), the best first.
 * *kept: centres of each, k or as many as there are distinct candidates. */
Status cluster_start(const ClusterSpace *s, const ClusterPoints *p, uint32_t k, uint32_t starts, uint64_t key,
                     double *centers, uint32_t *found, uint32_t *kept, Err *e);

/* ---- fit.c ---- */

Status cluster_begin(const TrainInfo *t, Iter **out, Err *e);
Status cluster_finish(Iter *it, Model *m, Err *e);

#endif
