/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of a predicted number f of a target y: rmse, mae, r2 and others. */
#include <math.h>

#include "stdlib/metric/metric.h"

static const Option no_options[] = {{0}};
static const Option quantile_options[] = {
    {"q", OPT_FLOAT, 0.5, 0, 1, NULL,
     "The quantile that is predicted: 0.9 is what nine of ten rows stay below."},
    {0},
};

static double mean_of(const Slice *s, const MetricValue *v) {
  return slice_sum(s, 0) / v->weight;
}

static void mean_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  (void)p;
  v->defined = true;
  v->value = mean_of(s, v);
}

static void rmse_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  mean_value(p, s, v);
  v->value = sqrt(v->value);
}

static void greatest_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  (void)p;
  v->defined = true;
  v->value = slice_sum(s, 0);
}

static void one_less(MetricValue *v, double part, double whole) {
  v->defined = whole > 0;
  v->value = v->defined ? 1 - part / whole : 0;
  v->why = v->defined ? NULL : "the target is the same in all rows";
}

static void r2_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  (void)p;
  one_less(v, slice_sum(s, 0), slice_sum(s, 2));
}

static void explained_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  (void)p;
  one_less(v, slice_sum(s, 1), slice_sum(s, 3));
}

static void log_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  (void)p;
  v->defined = !(slice_sum(s, 1) > 0);
  v->value = v->defined ? mean_of(s, v) : 0;
  v->why = v->defined ? NULL : "a target or a prediction is -1 or less";
}

static void root_log_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  log_value(p, s, v);
  v->value = sqrt(v->value);
}

static void median_value(const CurvePar *c, const Sweep *s, MetricValue *v) {
  (void)c;
  v->defined = s->any && s->any_low;
  v->value = s->low / 2 + s->at / 2; /* errors next to the largest number do not overflow */
}

static Status begin_median(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  const CurvePar c = {.kind = CURVE_MEDIAN};
  return curve_begin(m, i, &c, curve_held(i), out, e);
}

static Status finish_median(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return curve_finish(it, median_value, v, n, e);
}

static Status begin_pinball(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  MetricPar p = metric_par(m, i, SUM_PINBALL);
  p.number = option_num(i->option, i->noption, "q");
  return sums_begin(&p, out, e);
}

#define BEGIN(name, kind)                                                                       \
  static Status begin_##name(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {        \
    MetricPar p = metric_par(m, i, kind);                                                       \
    return sums_begin(&p, out, e);                                                              \
  }
BEGIN(squared, SUM_SQUARED)
BEGIN(absolute, SUM_ABSOLUTE)
BEGIN(r2, SUM_R2)
BEGIN(explained, SUM_EXPLAINED)
BEGIN(share, SUM_SHARE)
BEGIN(bias, SUM_BIAS)
BEGIN(log, SUM_LOG_ERROR)
BEGIN(greatest, SUM_GREATEST)
#undef BEGIN

#define FINISH(name)                                                                     \
  static Status finish_##name(Iter *it, MetricValue **v, uint32_t *n, Err *e) {          \
    return sums_finish(it, name##_value, v, n, e);                                       \
  }
FINISH(mean)
FINISH(rmse)
FINISH(greatest)
FINISH(r2)
FINISH(explained)
FINISH(log)
FINISH(root_log)
#undef FINISH

const Metric metric_rmse = {
    .name = "rmse",
    .tasks = TASK_BIT(TASK_REGRESSION),
    .scalar = true,
    .option = no_options,
    .doc = "Root of the weighted mean of squared errors, in units of the target.\n"
           "sqrt(mean((y - f)^2)), from 0 (best).\n"
           "scikit-learn: root_mean_squared_error. Spark: rmse.\n"
           "\n"
           "    expect rmse < 5\n",
    .begin = begin_squared,
    .finish = finish_rmse,
};

const Metric metric_mae = {
    .name = "mae",
    .tasks = TASK_BIT(TASK_REGRESSION),
    .scalar = true,
    .option = no_options,
    .doc = "Weighted mean of absolute errors, in units of the target.\n"
           "mean(|y - f|), from 0 (best).\n"
           "scikit-learn: mean_absolute_error. Spark: mae.\n"
           "\n"
           "    mae by origin\n",
    .begin = begin_absolute,
    .finish = finish_mean,
};

const Metric metric_r2 = {
    .name = "r2",
    .tasks = TASK_BIT(TASK_REGRESSION),
    .scalar = true,
    .maximize = true,
    .option = no_options,
    .doc = "1 less the ratio of squared errors to squared deviations of the target from its weighted mean.\n"
           "1 - sum((y - f)^2) / sum((y - mean(y))^2). 1 is best, 0 is as good as the mean, and it can be "
           "negative.\n"
           "Undefined where the target is constant.\n"
           "scikit-learn: r2_score. Spark: r2.\n"
           "\n"
           "    expect r2 > 0.5\n",
    .begin = begin_r2,
    .finish = finish_r2,
};

const Metric metric_explained_variance = {
    .name = "explained_variance",
    .tasks = TASK_BIT(TASK_REGRESSION),
    .scalar = true,
    .maximize = true,
    .option = no_options,
    .doc = "1 less the ratio of the variance of the errors to that of the target, weighted.\n"
           "As r2, but a constant error costs nothing: 1 - var(y - f) / var(y). 1 is best.\n"
           "Undefined where the target is constant.\n"
           "scikit-learn: explained_variance_score. (Spark's explainedVariance is another thing: that of the "
           "predictions.)\n"
           "\n"
           "    explained_variance\n",
    .begin = begin_explained,
    .finish = finish_explained,
};

const Metric metric_bias = {
    .name = "bias",
    .tasks = TASK_BIT(TASK_REGRESSION),
    .scalar = true,
    .option = no_options,
    .doc = "Weighted mean of prediction less target, in units of the target.\n"
           "mean(f - y): above 0 the model predicts too much on average. 0 is best.\n"
           "Also called mean error.\n"
           "\n"
           "    expect abs(bias) < 0.1\n",
    .begin = begin_bias,
    .finish = finish_mean,
};

const Metric metric_mape = {
    .name = "mape",
    .tasks = TASK_BIT(TASK_REGRESSION),
    .scalar = true,
    .option = no_options,
    .doc = "Weighted mean of absolute errors as shares of the absolute target.\n"
           "mean(|y - f| / max(|y|, 2^-52)), from 0 (best): 0.1 is 10 %. Targets of 0 make it huge, as in "
           "scikit-learn; use\n"
           "mae there.\n"
           "scikit-learn: mean_absolute_percentage_error.\n"
           "\n"
           "    mape\n",
    .begin = begin_share,
    .finish = finish_mean,
};

const Metric metric_quantile_loss = {
    .name = "quantile_loss",
    .tasks = TASK_BIT(TASK_REGRESSION),
    .scalar = true,
    .option = quantile_options,
    .doc =
        "Pinball loss: what a predicted quantile q of the target is measured by, weighted.\n"
        "mean(q (y - f) where y >= f, (1 - q) (f - y) elsewhere), from 0 (best). With q = 0.5 half of mae.\n"
        "scikit-learn: mean_pinball_loss(alpha=q).\n"
        "Source: R. Koenker, G. Bassett, Econometrica 46 (1978).\n"
        "\n"
        "    quantile_loss(q = 0.9)\n",
    .begin = begin_pinball,
    .finish = finish_mean,
};

const Metric metric_median_absolute_error = {
    .name = "median_absolute_error",
    .tasks = TASK_BIT(TASK_REGRESSION),
    .scalar = true,
    .option = no_options,
    .doc = "Weighted median of absolute errors, exact, in units of the target. 0 is best.\n"
           "The error that half of the weight stays below; between two values their middle. Outliers do not "
           "move it.\n"
           "scikit-learn: median_absolute_error.\n"
           "\n"
           "    median_absolute_error\n",
    .begin = begin_median,
    .finish = finish_median,
};

const Metric metric_max_error = {
    .name = "max_error",
    .tasks = TASK_BIT(TASK_REGRESSION),
    .scalar = true,
    .option = no_options,
    .doc = "Greatest absolute error of a row with a weight above 0, in units of the target. 0 is best.\n"
           "max(|y - f|).\n"
           "scikit-learn: max_error.\n"
           "\n"
           "    max_error\n",
    .begin = begin_greatest,
    .finish = finish_greatest,
};

const Metric metric_msle = {
    .name = "msle",
    .tasks = TASK_BIT(TASK_REGRESSION),
    .scalar = true,
    .option = no_options,
    .doc = "Weighted mean of squared differences of log(1 + target) and log(1 + prediction). 0 is best.\n"
           "For counts and amounts, where ratios matter. Undefined where a target or a prediction is -1 or "
           "less.\n"
           "scikit-learn: mean_squared_log_error.\n"
           "\n"
           "    msle\n",
    .begin = begin_log,
    .finish = finish_log,
};

const Metric metric_rmsle = {
    .name = "rmsle",
    .tasks = TASK_BIT(TASK_REGRESSION),
    .scalar = true,
    .option = no_options,
    .doc = "Root of msle.\n"
           "About the relative error, where it is small. 0 is best. Undefined where a target or a prediction "
           "is -1 or less.\n"
           "scikit-learn: root_mean_squared_log_error.\n"
           "\n"
           "    rmsle\n",
    .begin = begin_log,
    .finish = finish_root_log,
};
