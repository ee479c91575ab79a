/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of how well scores put positives above negatives: auc, pr_auc, ks, lift, gain. All are exact;
 * curve.c goes over the distinct scores. With p(s), n(s) the weight of positives and negatives at score s,
 * P(s), N(s) that above s, and P, N that of all:
 *
 *   auc     sum over s of n(s) (P(s) + p(s) / 2)  /  (P N)
 *   pr_auc  sum over s of p(s) / P * precision of "score >= s"
 *   ks      the greatest |P(s) / P - N(s) / N|
 * */
#include "stdlib/metric/metric.h"

static const Option no_options[] = {{0}};
static const Option top_options[] = {
    {"top", OPT_FLOAT, 0.1, 0.0001, 1, NULL,
     "The share of the rows with the highest scores that is looked at."},
    {0},
};

static bool both_classes(const Sweep *s, MetricValue *v) {
  v->defined = s->pos > 0 && s->neg > 0;
  v->why = v->defined ? NULL : "the rows have one class only";
  return v->defined;
}

static void auc_value(const CurvePar *c, const Sweep *s, MetricValue *v) {
  (void)c;
  v->cell[0] = s->pos; /* for averages over classes */
  if (!both_classes(s, v))
    return;
  v->value = twofold(&s->sum);
  if (!s->weighted)
    v->value = (double)s->twice / (double)((unsigned __int128)2 * (uint64_t)s->pos * (uint64_t)s->neg);
}

static bool some_positive(const Sweep *s, MetricValue *v) {
  v->defined = s->pos > 0;
  v->why = v->defined ? NULL : "no row is positive";
  return v->defined;
}

static void pr_auc_value(const CurvePar *c, const Sweep *s, MetricValue *v) {
  (void)c;
  if (some_positive(s, v))
    v->value = twofold(&s->sum);
}

static void ks_value(const CurvePar *c, const Sweep *s, MetricValue *v) {
  (void)c;
  if (both_classes(s, v))
    v->value = s->best;
}

static void gain_value(const CurvePar *c, const Sweep *s, MetricValue *v) {
  (void)c;
  if (some_positive(s, v))
    v->value = twofold(&s->sum) / s->pos;
}

static void lift_value(const CurvePar *c, const Sweep *s, MetricValue *v) {
  gain_value(c, s, v);
  v->value /= c->top;
}

Status auc_begin(const MetricInfo *i, uint64_t most, Iter **out, Err *e) {
  const CurvePar c = {.kind = CURVE_AUC};
  return curve_begin(&metric_auc, i, &c, most, out, e);
}

static Status begin_auc(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  (void)m;
  return auc_begin(i, curve_held(i), out, e);
}

static Status begin_pr_auc(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  const CurvePar c = {.kind = CURVE_PRECISION};
  return curve_begin(m, i, &c, curve_held(i), out, e);
}

static Status begin_ks(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  const CurvePar c = {.kind = CURVE_KS};
  return curve_begin(m, i, &c, curve_held(i), out, e);
}

static Status begin_top(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  const CurvePar c = {.kind = CURVE_TOP, .top = option_num(i->option, i->noption, "top")};
  return curve_begin(m, i, &c, curve_held(i), out, e);
}

static Status finish_auc(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return curve_finish(it, auc_value, v, n, e);
}

static Status finish_pr_auc(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return curve_finish(it, pr_auc_value, v, n, e);
}

static Status finish_ks(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return curve_finish(it, ks_value, v, n, e);
}

static Status finish_gain(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return curve_finish(it, gain_value, v, n, e);
}

static Status finish_lift(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return curve_finish(it, lift_value, v, n, e);
}

const Metric metric_auc = {
    .name = "auc",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .maximize = true,
    .option = no_options,
    .doc =
        "Area under the ROC curve.\n"
        "It is the share of pairs of a positive and a negative row, weighted, in which the positive has the\n"
        "higher score; ties count half. Exact. From 0 to 1 (best); 0.5 is chance.\n"
        "Undefined where one class is missing.\n"
        "scikit-learn: roc_auc_score. Spark: areaUnderROC.\n"
        "Source: J. Hanley, B. McNeil, Radiology 143 (1982).\n"
        "\n"
        "    auc, auc by origin top 10\n"
        "    expect auc >= 0.7\n",
    .begin = begin_auc,
    .finish = finish_auc,
};

const Metric metric_pr_auc = {
    .name = "pr_auc",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .maximize = true,
    .option = no_options,
    .doc =
        "Average precision: the area under the curve of precision over recall, by steps.\n"
        "It is the sum over distinct scores s, from above, of the recall that s adds times the precision of\n"
        "`score >= s`, weighted. Exact. From the share of positives (chance) to 1 (best).\n"
        "Undefined where no row is positive.\n"
        "scikit-learn: average_precision_score. Spark's areaUnderPR joins the same points by straight lines, "
        "from\n"
        "the first precision at recall 0, which is too hopeful where scores are few.\n"
        "Source: J. Davis, M. Goadrich, ICML 2006.\n"
        "\n"
        "    expect pr_auc >= 0.4\n",
    .begin = begin_pr_auc,
    .finish = finish_pr_auc,
};

const Metric metric_ks = {
    .name = "ks",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .maximize = true,
    .option = no_options,
    .doc = "Kolmogorov-Smirnov distance of the scores of positives and of negatives.\n"
           "The greatest difference of true and false positive rate over all thresholds, weighted. Exact.\n"
           "From 0 (the same) to 1 (best: no overlap). Undefined where one class is missing.\n"
           "scipy: ks_2samp(positives, negatives).statistic; scikit-learn: max |tpr - fpr| of roc_curve.\n"
           "Source: F. Massey, Journal of the American Statistical Association 46 (1951).\n"
           "\n"
           "    expect ks > 0.3\n",
    .begin = begin_ks,
    .finish = finish_ks,
};

const Metric metric_lift = {
    .name = "lift",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .maximize = true,
    .option = top_options,
    .doc =
        "How many times as many positives the rows with the highest scores have as all rows.\n"
        "lift(top = 10%) is gain(top = 10%) / 10%: 1 is chance. At most 1 / top and 1 / (share of "
        "positives). Where\n"
        "equal scores are cut, the share of them that fits counts, as on average over all orders. Weighted.\n"
        "Undefined where no row is positive.\n"
        "\n"
        "    lift, lift(top = 1%)\n",
    .begin = begin_top,
    .finish = finish_lift,
};

const Metric metric_gain = {
    .name = "gain",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .maximize = true,
    .option = top_options,
    .doc = "Share of all positives that the rows with the highest scores hold (captured response).\n"
           "gain(top = 10%) of 0.4: the tenth of the rows with the highest scores holds 40 % of the "
           "positives; chance\n"
           "is 0.1. From 0 to 1 (best). Where equal scores are cut, the share of them that fits counts. "
           "Weighted.\n"
           "Undefined where no row is positive.\n"
           "\n"
           "    gain(top = 20%)\n",
    .begin = begin_top,
    .finish = finish_gain,
};
