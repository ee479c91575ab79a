/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of clusters: silhouette, inertia, davies_bouldin, calinski_harabasz.
 *
 * With one or two scans of a part (measure.c), x being rows as the model sees them (with metric = cosine:
 * divided by their lengths), c the model's centres and g(x) the cluster that the model gives:
 *
 *   MEASURE_GROUPS      per cluster its weight W, sum of w (x - c), sum of w |x - c|^2, from which its mean m
 *                       and its scatter S = sum of w |x - m|^2 follow without cancellation, since m is near c
 *   MEASURE_SILHOUETTE  needs those: the mean squared distance of x to the rows of a cluster is |x - m|^2 + S
 *                       / W
 *   MEASURE_SPREAD      needs those: per cluster the sum of w |x - m|
 *   MEASURE_INERTIA     the sum of w |x - c|^2 (cosine: of w (1 - cos)) */
#ifndef STDLIB_CLUSTER_MEASURE_H
#define STDLIB_CLUSTER_MEASURE_H

#include "stdlib/cluster/cluster.h"
#include "stdlib/metric/metric.h"

typedef enum {
  MEASURE_GROUPS,
  MEASURE_SILHOUETTE,
  MEASURE_SPREAD,
  MEASURE_INERTIA,
  MEASURE_KINDS
} MeasureKind;

typedef struct MeasurePar {
  uint8_t kind;
  MetricPar metric;     /* score, slice, groups */
  bool cosine;
  uint32_t k, d;
  const double *center; /* k x d: the model's for MEASURE_GROUPS and _INERTIA, else the means */
  const double *weight; /* k: W; 0 for clusters without rows. MEASURE_SILHOUETTE only, as the next */
  const double *around; /* k: S / W */
} MeasurePar;

typedef struct Measure { /* the partial */
  Map slices;           /* val: Slice with one sum: silhouette, inertia */
  uint64_t *rows;       /* k */
  Twofold *weight, *sum; /* k each */
  bool from_zero;       /* moved is the sum of w x: rows were sparse */
  double *moved;        /* k x d; MEASURE_GROUPS */
} Measure;

extern const Pass cluster_measure;
void measure_par_put(const MeasurePar *p, Buf *out);
Measure *measure_read(const MeasurePar *p, Bytes in, Err *e);
void measure_free(const void *par, void *partial);
void measure_join(const MeasurePar *p, Measure *l, const Measure *r);

extern const Metric metric_silhouette, metric_inertia, metric_davies_bouldin, metric_calinski_harabasz;

#endif
