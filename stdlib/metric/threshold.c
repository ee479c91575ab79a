/* SPDX-License-Identifier: Apache-2.0 */
/* best_threshold: the threshold at which a metric is best, over the rows that are measured. It is what stands
 * behind a model's `threshold = best(f1, on = d.valid)`. */
#include <math.h>

#include "stdlib/metric/metric.h"

enum { BEST_F1, BEST_ACCURACY, BEST_BALANCED, BEST_MCC, BEST_YOUDEN, BEST_COST };

/* Undefined (NaN) where nothing can be said; larger is better. s->tp, s->fp: what is predicted positive. */
double best_objective(const CurvePar *c, const Sweep *s) {
  double tp = twofold(&s->tp), fp = twofold(&s->fp), fn = s->pos - tp, tn = s->neg - fp;
  double w = s->w;
  switch (c->what) {
  case BEST_F1:
    return s->pos > 0 ? 2 * tp / (tp + fp + s->pos) : NAN;
  case BEST_ACCURACY:
    return w > 0 ? (tp + tn) / w : NAN;
  case BEST_BALANCED:
  case BEST_YOUDEN:
    return s->pos > 0 && s->neg > 0 ? tp / s->pos - fp / s->neg : NAN;
  case BEST_MCC: {
    double some = (tp + fp) / w, none = (tn + fn) / w;
    double scale = sqrt(some * none) * sqrt(s->pos / w * (s->neg / w));
    return scale > 0 ? (tp / w * (tn / w) - fp / w * (fn / w)) / scale : s->pos > 0 && s->neg > 0 ? 0 : NAN;
  }
  default:
    return w > 0 ? -(c->false_positive * (fp / w) + c->false_negative * (fn / w)) : NAN;
  }
}

static void threshold_value(const CurvePar *c, const Sweep *s, MetricValue *v) {
  (void)c;
  v->defined = s->any;
  v->why = v->defined ? NULL : "the rows have one class only";
  v->value = s->at < INFINITY ? s->at : nextafter(1, 2); /* nothing is to be positive */
}

static Status begin(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  const CurvePar c = {.kind = CURVE_BEST,
                      .what = (int)option_num(i->option, i->noption, "of"),
                      .false_positive = option_num(i->option, i->noption, "false_positive"),
                      .false_negative = option_num(i->option, i->noption, "false_negative")};
  return curve_begin(m, i, &c, curve_held(i), out, e);
}

static Status finish(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return curve_finish(it, threshold_value, v, n, e);
}

static const Option options[] = {
    {"of", OPT_ENUM, 0, 0, 5, "f1|accuracy|balanced_accuracy|mcc|youden|cost",
     "What is to be best. youden: recall less the share of negatives predicted positive. cost: the mean "
     "cost, least."},
    {"false_positive", OPT_FLOAT, 1, 0, 1e100, NULL,
     "Of cost: what a negative row predicted positive costs."},
    {"false_negative", OPT_FLOAT, 1, 0, 1e100, NULL,
     "Of cost: what a positive row predicted negative costs."},
    {0},
};

const Metric metric_best_threshold = {
    .name = "best_threshold",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .option = options,
    .doc = "The threshold at which a metric is best on these rows.\n"
           "All distinct scores are tried, exactly and weighted; of several that are equally good, the "
           "highest. More\n"
           "than 1 where it is best to predict nothing positive. Undefined where the metric is, at every "
           "threshold.\n"
           "A model's own threshold is chosen like this by its option `threshold = best(f1, on = d.valid)`; "
           "on the rows\n"
           "that are evaluated it would be seen with the answers at hand, so there it is only shown.\n"
           "scikit-learn: TunedThresholdClassifierCV (which tries some thresholds by cross-validation).\n"
           "\n"
           "    best_threshold(of = \"cost\", false_negative = 5)\n",
    .begin = begin,
    .finish = finish,
};
