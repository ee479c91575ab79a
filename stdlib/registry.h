/* SPDX-License-Identifier: Apache-2.0 */
/* The one list of what the standard library has: estimators, metrics, passes. `app` hands it down; nobody
 * else names an algorithm. */
#ifndef STDLIB_REGISTRY_H
#define STDLIB_REGISTRY_H

#include "vm/estimator.h"

extern const Estimator linear_regression;
extern const Estimator logistic_regression;
extern const Estimator kmeans;

extern const Estimator *const stdlib_estimators[]; /* each list ends with NULL */
extern const Metric *const stdlib_metrics[];
extern const Pass *const stdlib_passes[]; /* of estimators and metrics; those of aggregates are in vm/agg.h */

enum { STDLIB_PASSES_MAX = 64 };
typedef struct StdlibRegistry { /* the owner's space; must outlive the run */
  Registry registry;
  const Pass *pass[STDLIB_PASSES_MAX + 1];
} StdlibRegistry;

/* Fills `space` with everything, agg_passes included; returns &space->registry. */
const Registry *stdlib_registry(StdlibRegistry *space);

#endif
