/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of a predicted number: rmse, mae, r2. */
#include <math.h>

#include "stdlib/metric/metric.h"

static const Option no_options[] = {{0}};

static void rmse_value(const Slice *s, MetricValue *v) {
  v->defined = true;
  v->value = sqrt(twofold(&s->v[0]) / v->weight);
}

static void mae_value(const Slice *s, MetricValue *v) {
  v->defined = true;
  v->value = twofold(&s->v[0]) / v->weight;
}

static void r2_value(const Slice *s, MetricValue *v) {
  double total = twofold(&s->v[2]);
  v->defined = total > 0;
  v->value = v->defined ? 1 - twofold(&s->v[0]) / total : 0;
  v->why = v->defined ? NULL : "the target is the same in all rows";
}

static Status begin_rmse(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  return sums_begin(m, i, SUM_SQUARED, out, e);
}

static Status begin_mae(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  return sums_begin(m, i, SUM_ABSOLUTE, out, e);
}

static Status begin_r2(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  return sums_begin(m, i, SUM_R2, out, e);
}

static Status finish_rmse(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return sums_finish(it, rmse_value, v, n, e);
}

static Status finish_mae(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return sums_finish(it, mae_value, v, n, e);
}

static Status finish_r2(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return sums_finish(it, r2_value, v, n, e);
}

const Metric metric_rmse = {
    .name = "rmse",
    .scalar = true,
    .option = no_options,
    .doc = "Root of the weighted mean of squared errors, in units of the target. 0 is best.\n"
           "scikit-learn: root_mean_squared_error.\n",
    .begin = begin_rmse,
    .finish = finish_rmse,
};

const Metric metric_mae = {
    .name = "mae",
    .scalar = true,
    .option = no_options,
    .doc = "Weighted mean of absolute errors, in units of the target. 0 is best.\n"
           "scikit-learn: mean_absolute_error.\n",
    .begin = begin_mae,
    .finish = finish_mae,
};

const Metric metric_r2 = {
    .name = "r2",
    .scalar = true,
    .maximize = true,
    .option = no_options,
    .doc = "1 less the ratio of squared errors to squared deviations of the target from its weighted mean.\n"
           "1 is best, 0 is as good as the mean. Undefined where the target is constant.\n"
           "scikit-learn: r2_score.\n",
    .begin = begin_r2,
    .finish = finish_r2,
};
