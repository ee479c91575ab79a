/* SPDX-License-Identifier: Apache-2.0 */
/* The lists. A new estimator or metric is one line here and one file beside its family. */
#include "stdlib/registry.h"

#include "stdlib/cluster/measure.h"
#include "stdlib/linear/multinomial.h"
#include "stdlib/metric/metric.h"
#include "vm/agg.h"

const Estimator *const stdlib_estimators[] = {
    &linear_regression,
    &logistic_regression,
    &kmeans,
    NULL,
};

const Metric *const stdlib_metrics[] = {
    &metric_auc,      &metric_pr_auc,    &metric_log_loss,  &metric_brier,
    &metric_accuracy, &metric_precision, &metric_recall,    &metric_f1,
    &metric_specificity, &metric_npv,    &metric_balanced_accuracy, &metric_mcc,
    &metric_ks,       &metric_lift,      &metric_gain,      &metric_ece,
    &metric_mce,      &metric_best_threshold, &metric_confusion,
    &multiclass_accuracy, &multiclass_log_loss, &multiclass_f1, &multiclass_precision,
    &multiclass_recall, &multiclass_balanced_accuracy, &multiclass_mcc, &multiclass_auc,
    &multiclass_top_k, &multiclass_brier, &multiclass_per_class, &multiclass_confusion,
    &metric_rmse,     &metric_mae,       &metric_r2,        &metric_explained_variance,
    &metric_bias,     &metric_mape,      &metric_quantile_loss, &metric_median_absolute_error,
    &metric_max_error, &metric_msle,     &metric_rmsle,
    &metric_silhouette, &metric_inertia, &metric_davies_bouldin, &metric_calinski_harabasz,
    NULL,
};

const Pass *const stdlib_passes[] = {
    &linear_moments,
    &linear_gradient,
    &linear_gram,
    &linear_wide,
    &linear_products,
    &softmax_classes,
    &softmax_moments,
    &softmax_gradient,
    &cluster_sample,
    &cluster_assign,
    &cluster_measure,
    &metric_sums,
    &metric_ranks,
    &metric_bins,
    NULL,
};

const Registry *stdlib_registry(StdlibRegistry *space) {
  uint32_t n = 0;
  for (uint32_t i = 0; stdlib_passes[i] && n < STDLIB_PASSES_MAX; i++)
    space->pass[n++] = stdlib_passes[i];
  for (uint32_t i = 0; agg_passes[i] && n < STDLIB_PASSES_MAX; i++)
    space->pass[n++] = agg_passes[i];
  space->pass[n] = NULL;
  space->registry = (Registry){stdlib_estimators, stdlib_metrics, space->pass};
  return &space->registry;
}
