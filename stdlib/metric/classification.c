/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of a probability against a yes or no: log_loss, brier, calibration, and what is counted at a
 * threshold. (What goes over all thresholds: auc.c) */
#include <math.h>

#include "stdlib/metric/metric.h"

enum { TN, FP, FN, TP }; /* cells of MetricValue.cell and Slice.v: 2 * (truly positive) + (predicted
                          * positive) */

static const Option no_options[] = {{0}};
static const Option threshold_options[] = {
    {"threshold", OPT_FLOAT, 0.5, 0, 1, NULL, "A probability of this or more counts as positive."},
    {0},
};
static const Option bins_options[] = {
    {"bins", OPT_INT, 10, 1, METRIC_SIZE_MAX, NULL,
     "Ranges of equal width that the probabilities are divided into."},
    {0},
};

/* why: what a whole of 0 means */
static void ratio(MetricValue *v, double part, double whole, const char *why) {
  v->defined = whole > 0;
  v->value = v->defined ? part / whole : 0;
  v->why = v->defined ? NULL : why;
}

static void mean_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  (void)p;
  ratio(v, slice_sum(s, 0), v->weight, NULL);
}

static void accuracy_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  (void)p;
  ratio(v, slice_sum(s, TN) + slice_sum(s, TP), v->weight, NULL);
}

static void precision_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  (void)p;
  ratio(v, slice_sum(s, TP), slice_sum(s, TP) + slice_sum(s, FP), "no row is predicted positive");
}

static void recall_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  (void)p;
  ratio(v, slice_sum(s, TP), slice_sum(s, TP) + slice_sum(s, FN), "no row is positive");
}

static void specificity_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  (void)p;
  ratio(v, slice_sum(s, TN), slice_sum(s, TN) + slice_sum(s, FP), "no row is negative");
}

static void npv_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  (void)p;
  ratio(v, slice_sum(s, TN), slice_sum(s, TN) + slice_sum(s, FN), "no row is predicted negative");
}

static void f1_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  (void)p;
  ratio(v, 2 * slice_sum(s, TP), 2 * slice_sum(s, TP) + slice_sum(s, FP) + slice_sum(s, FN),
        "no row is positive, and none is predicted so");
}

static bool both_classes(const Slice *s, MetricValue *v) {
  v->defined = slice_sum(s, TP) + slice_sum(s, FN) > 0 && slice_sum(s, TN) + slice_sum(s, FP) > 0;
  v->why = v->defined ? NULL : "the rows have one class only";
  return v->defined;
}

static void balanced_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  MetricValue recall = *v, specificity = *v;
  if (!both_classes(s, v))
    return;
  recall_value(p, s, &recall);
  specificity_value(p, s, &specificity);
  v->value = (recall.value + specificity.value) / 2;
}

static void mcc_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  (void)p;
  double c[4];
  if (!both_classes(s, v))
    return;
  for (int i = 0; i < 4; i++) /* as shares: products of weights could overflow */
    c[i] = slice_sum(s, (uint32_t)i) / v->weight;
  double scale = sqrt((c[TP] + c[FP]) * (c[TN] + c[FN])) * sqrt((c[TP] + c[FN]) * (c[TN] + c[FP]));
  v->value = scale > 0 ? (c[TP] * c[TN] - c[FP] * c[FN]) / scale : 0;
}

static void confusion_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  (void)p;
  for (uint32_t i = 0; i < 4; i++)
    v->cell[i] = slice_sum(s, i);
  v->defined = true;
}

/* |share of positives - mean probability| of range b, and its weight */
static double gap(const Slice *s, uint32_t b, double *w) {
  *w = slice_sum(s, 3 * b);
  return *w > 0 ? fabs(slice_sum(s, 3 * b + 1) - slice_sum(s, 3 * b + 2)) / *w : 0;
}

static void ece_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  Twofold sum = {0};
  double w;
  for (uint32_t b = 0; b < p->size; b++) {
    double d = gap(s, b, &w);
    twofold_add(&sum, d * (w / v->weight));
  }
  v->defined = true;
  v->value = twofold(&sum);
}

static void mce_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  double w;
  v->defined = true;
  for (uint32_t b = 0; b < p->size; b++)
    v->value = fmax(v->value, gap(s, b, &w));
}

static Status begin_log_loss(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  MetricPar p = metric_par(m, i, SUM_LOG_LOSS);
  return sums_begin(&p, out, e);
}

static Status begin_brier(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  MetricPar p = metric_par(m, i, SUM_BRIER);
  return sums_begin(&p, out, e);
}

static Status begin_cells(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  MetricPar p = metric_par(m, i, SUM_CELLS);
  p.number = option_num(i->option, i->noption, "threshold");
  return sums_begin(&p, out, e);
}

static Status begin_bins(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  MetricPar p = metric_par(m, i, SUM_BINS);
  double bins = option_num(i->option, i->noption, "bins");
  p.size = bins >= 1 && bins <= METRIC_SIZE_MAX ? (uint32_t)bins : 10;
  return sums_begin(&p, out, e);
}

#define FINISH(name)                                                                     \
  static Status finish_##name(Iter *it, MetricValue **v, uint32_t *n, Err *e) {          \
    return sums_finish(it, name##_value, v, n, e);                                       \
  }
FINISH(mean)
FINISH(accuracy)
FINISH(precision)
FINISH(recall)
FINISH(specificity)
FINISH(npv)
FINISH(f1)
FINISH(balanced)
FINISH(mcc)
FINISH(confusion)
FINISH(ece)
FINISH(mce)
#undef FINISH

const Metric metric_log_loss = {
    .name = "log_loss",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .option = no_options,
    .doc = "Mean of minus the natural logarithm of the probability given to the true class, weighted.\n"
           "From 0 (best) to 36.04. Probabilities are kept within 2^-52 of 0 and 1, as scikit-learn's "
           "log_loss does.\n"
           "scikit-learn: log_loss. Spark: logLoss (which clips at 1e-15).\n"
           "Source: I. J. Good, Journal of the Royal Statistical Society B 14 (1952).\n"
           "\n"
           "    expect log_loss < 0.5\n",
    .begin = begin_log_loss,
    .finish = finish_mean,
};

const Metric metric_brier = {
    .name = "brier",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .option = no_options,
    .doc = "Mean squared difference of probability and outcome (0 or 1), weighted: G. Brier, 1950.\n"
           "From 0 (best) to 1.\n"
           "scikit-learn: brier_score_loss.\n"
           "\n"
           "    expect brier < 0.2\n",
    .begin = begin_brier,
    .finish = finish_mean,
};

const Metric metric_accuracy = {
    .name = "accuracy",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .maximize = true,
    .option = threshold_options,
    .doc = "Share of the weight of rows whose class is predicted right at the threshold.\n"
           "(tp + tn) / all. From 0 to 1 (best).\n"
           "The threshold is the model's own unless it is given. scikit-learn: accuracy_score.\n"
           "\n"
           "    accuracy, accuracy(threshold = 0.3)\n",
    .begin = begin_cells,
    .finish = finish_accuracy,
};

const Metric metric_precision = {
    .name = "precision",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .maximize = true,
    .option = threshold_options,
    .doc = "Of the weight predicted positive, the share that is positive.\n"
           "tp / (tp + fp), from 0 to 1 (best). Undefined where nothing is predicted positive.\n"
           "Also called positive predictive value. scikit-learn: precision_score.\n"
           "\n"
           "    expect precision > 0.8\n",
    .begin = begin_cells,
    .finish = finish_precision,
};

const Metric metric_recall = {
    .name = "recall",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .maximize = true,
    .option = threshold_options,
    .doc = "Of the weight that is positive, the share predicted so.\n"
           "tp / (tp + fn), from 0 to 1 (best). Undefined where nothing is positive.\n"
           "Also called sensitivity or true positive rate. scikit-learn: recall_score.\n"
           "\n"
           "    recall(threshold = 0.3)\n",
    .begin = begin_cells,
    .finish = finish_recall,
};

const Metric metric_f1 = {
    .name = "f1",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .maximize = true,
    .option = threshold_options,
    .doc = "Harmonic mean of precision and recall, 2 tp / (2 tp + fp + fn).\n"
           "From 0 to 1 (best). Undefined where nothing is or is predicted positive.\n"
           "scikit-learn: f1_score. Source: C. van Rijsbergen, Information Retrieval (1979).\n"
           "\n"
           "    f1 by origin top 5\n",
    .begin = begin_cells,
    .finish = finish_f1,
};

const Metric metric_confusion = {
    .name = "confusion",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = false,
    .option = threshold_options,
    .doc =
        "Weights of true negatives, false positives, false negatives and true positives at the threshold;\n"
        "counts without weights.\n"
        "scikit-learn: confusion_matrix. A table, so it cannot be expected or sliced.\n"
        "\n"
        "    confusion(threshold = 0.3)\n",
    .begin = begin_cells,
    .finish = finish_confusion,
};

const Metric metric_specificity = {
    .name = "specificity",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .maximize = true,
    .option = threshold_options,
    .doc = "Of the weight that is negative, the share predicted so.\n"
           "tn / (tn + fp), from 0 to 1 (best). Undefined where nothing is negative.\n"
           "Also called true negative rate. scikit-learn: recall_score(pos_label=0).\n"
           "\n"
           "    specificity(threshold = 0.3)\n",
    .begin = begin_cells,
    .finish = finish_specificity,
};

const Metric metric_npv = {
    .name = "npv",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .maximize = true,
    .option = threshold_options,
    .doc = "Negative predictive value: of the weight predicted negative, the share that is negative.\n"
           "tn / (tn + fn), from 0 to 1 (best). Undefined where nothing is predicted negative.\n"
           "scikit-learn: precision_score(pos_label=0).\n"
           "\n"
           "    npv\n",
    .begin = begin_cells,
    .finish = finish_npv,
};

const Metric metric_balanced_accuracy = {
    .name = "balanced_accuracy",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .maximize = true,
    .option = threshold_options,
    .doc = "Mean of recall and specificity: accuracy as if both classes had the same weight.\n"
           "From 0 to 1 (best); 0.5 is chance. Undefined where one class is missing.\n"
           "scikit-learn: balanced_accuracy_score.\n"
           "Source: K. Brodersen et al., ICPR 2010.\n"
           "\n"
           "    expect balanced_accuracy > 0.6\n",
    .begin = begin_cells,
    .finish = finish_balanced,
};

const Metric metric_mcc = {
    .name = "mcc",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .maximize = true,
    .option = threshold_options,
    .doc = "Matthews correlation coefficient of outcome and prediction at the threshold, weighted.\n"
           "(tp tn - fp fn) / sqrt((tp + fp) (tp + fn) (tn + fp) (tn + fn)), from -1 to 1 (best); 0 is "
           "chance, and what is\n"
           "said where all rows are predicted alike. Undefined where one class is missing.\n"
           "scikit-learn: matthews_corrcoef.\n"
           "Source: B. Matthews, Biochimica et Biophysica Acta 405 (1975).\n"
           "\n"
           "    mcc\n",
    .begin = begin_cells,
    .finish = finish_mcc,
};

const Metric metric_ece = {
    .name = "expected_calibration_error",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .option = bins_options,
    .doc = "Mean distance of probability and share of positives, over ranges of the probability of equal "
           "width.\n"
           "sum over ranges of (weight of range / weight of all) * |share of positives - mean probability|. "
           "A probability\n"
           "that lies on an edge belongs to the upper range. From 0 (best: calibrated) to 1.\n"
           "Source: M. Naeini, G. Cooper, M. Hauskrecht, AAAI 2015; C. Guo et al., ICML 2017 (there of the "
           "predicted class).\n"
           "\n"
           "    expected_calibration_error(bins = 20)\n",
    .begin = begin_bins,
    .finish = finish_ece,
};

const Metric metric_mce = {
    .name = "max_calibration_error",
    .tasks = TASK_BIT(TASK_BINARY),
    .scalar = true,
    .option = bins_options,
    .doc = "Greatest distance of probability and share of positives, over ranges of the probability of equal "
           "width.\n"
           "The worst range of expected_calibration_error; ranges of few rows make it large. From 0 (best) "
           "to 1.\n"
           "Source: M. Naeini, G. Cooper, M. Hauskrecht, AAAI 2015.\n"
           "\n"
           "    max_calibration_error\n",
    .begin = begin_bins,
    .finish = finish_mce,
};
