/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of a probability against a yes or no: log_loss, brier, and what is counted at a threshold. (auc:
 * auc.c) */
#include "stdlib/metric/metric.h"

enum { TN, FP, FN, TP }; /* cells of MetricValue.cell and Slice.v: 2 * (truly positive) + (predicted positive) */

static const Option no_options[] = {{0}};
static const Option threshold_options[] = {
    {"threshold", OPT_FLOAT, 0.5, 0, 1, NULL, "A probability of this or more counts as positive."},
    {0},
};

static double cell(const Slice *s, int i) {
  return twofold(&s->v[i]);
}

/* why: what a whole of 0 means */
static void ratio(MetricValue *v, double part, double whole, const char *why) {
  v->defined = whole > 0;
  v->value = v->defined ? part / whole : 0;
  v->why = v->defined ? NULL : why;
}

static void mean_value(const Slice *s, MetricValue *v) {
  ratio(v, cell(s, 0), v->weight, NULL);
}

static void accuracy_value(const Slice *s, MetricValue *v) {
  ratio(v, cell(s, TN) + cell(s, TP), v->weight, NULL);
}

static void precision_value(const Slice *s, MetricValue *v) {
  ratio(v, cell(s, TP), cell(s, TP) + cell(s, FP), "no row is predicted positive");
}

static void recall_value(const Slice *s, MetricValue *v) {
  ratio(v, cell(s, TP), cell(s, TP) + cell(s, FN), "no row is positive");
}

static void f1_value(const Slice *s, MetricValue *v) {
  ratio(v, 2 * cell(s, TP), 2 * cell(s, TP) + cell(s, FP) + cell(s, FN),
        "no row is positive, and none is predicted so");
}

static void confusion_value(const Slice *s, MetricValue *v) {
  for (int i = 0; i < 4; i++)
    v->cell[i] = cell(s, i);
  v->defined = true;
}

static Status begin_log_loss(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  return sums_begin(m, i, SUM_LOG_LOSS, out, e);
}

static Status begin_brier(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  return sums_begin(m, i, SUM_BRIER, out, e);
}

static Status begin_cells(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  return sums_begin(m, i, SUM_CELLS, out, e);
}

static Status finish_mean(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return sums_finish(it, mean_value, v, n, e);
}

static Status finish_accuracy(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return sums_finish(it, accuracy_value, v, n, e);
}

static Status finish_precision(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return sums_finish(it, precision_value, v, n, e);
}

static Status finish_recall(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return sums_finish(it, recall_value, v, n, e);
}

static Status finish_f1(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return sums_finish(it, f1_value, v, n, e);
}

static Status finish_confusion(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  return sums_finish(it, confusion_value, v, n, e);
}

const Metric metric_log_loss = {
    .name = "log_loss",
    .binary = true,
    .scalar = true,
    .option = no_options,
    .doc = "Mean of minus the natural logarithm of the probability given to the true class, weighted.\n"
           "0 is best. Probabilities are kept within 2^-52 of 0 and 1, as scikit-learn's log_loss does.\n"
           "Spark: logLoss (which clips at 1e-15).\n",
    .begin = begin_log_loss,
    .finish = finish_mean,
};

const Metric metric_brier = {
    .name = "brier",
    .binary = true,
    .scalar = true,
    .option = no_options,
    .doc = "Mean squared difference of probability and outcome (0 or 1), weighted: G. Brier, 1950.\n"
           "From 0 (best) to 1.\n"
           "scikit-learn: brier_score_loss.\n",
    .begin = begin_brier,
    .finish = finish_mean,
};

const Metric metric_accuracy = {
    .name = "accuracy",
    .binary = true,
    .scalar = true,
    .maximize = true,
    .option = threshold_options,
    .doc = "Share of the weight of rows whose class is predicted right at the threshold.\n"
           "From 0 to 1 (best).\n"
           "scikit-learn: accuracy_score.\n",
    .begin = begin_cells,
    .finish = finish_accuracy,
};

const Metric metric_precision = {
    .name = "precision",
    .binary = true,
    .scalar = true,
    .maximize = true,
    .option = threshold_options,
    .doc = "Of the weight predicted positive, the share that is positive.\n"
           "Undefined where nothing is predicted positive.\n"
           "scikit-learn: precision_score.\n",
    .begin = begin_cells,
    .finish = finish_precision,
};

const Metric metric_recall = {
    .name = "recall",
    .binary = true,
    .scalar = true,
    .maximize = true,
    .option = threshold_options,
    .doc = "Of the weight that is positive, the share predicted so. Undefined where nothing is positive.\n"
           "scikit-learn: recall_score.\n",
    .begin = begin_cells,
    .finish = finish_recall,
};

const Metric metric_f1 = {
    .name = "f1",
    .binary = true,
    .scalar = true,
    .maximize = true,
    .option = threshold_options,
    .doc = "Harmonic mean of precision and recall, 2 tp / (2 tp + fp + fn).\n"
           "Undefined where nothing is or is predicted positive.\n"
           "scikit-learn: f1_score.\n",
    .begin = begin_cells,
    .finish = finish_f1,
};

const Metric metric_confusion = {
    .name = "confusion",
    .binary = true,
    .scalar = false,
    .option = threshold_options,
    .doc = "Weights of true negatives, false positives, false negatives and true positives at the threshold;\n"
           "counts without weights.\n"
           "scikit-learn: confusion_matrix.\n",
    .begin = begin_cells,
    .finish = finish_confusion,
};
