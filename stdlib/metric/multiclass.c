/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of models with several classes: the probabilities of all classes against the number of the true
 * one. What is predicted is the class with the greatest probability, of equal ones the first. A class that
 * the training rows had not is number K: never predicted, so always wrong.
 *
 * SUM_CLASSES gives, of class k of 0..K, the weight of rows that are k and predicted so, that are k, and that
 * are predicted so. Averages go over the classes that occur, as truth or as prediction. */
#include <math.h>
#include <string.h>

#include "stdlib/metric/metric.h"

static const Option no_options[] = {{0}};

static double right_of(const Slice *s, uint32_t k) {
  return slice_sum(s, 3 * k);
}
static double true_of(const Slice *s, uint32_t k) {
  return slice_sum(s, 3 * k + 1);
}
static double said_of(const Slice *s, uint32_t k) {
  return slice_sum(s, 3 * k + 2);
}

static double share(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}
static double precision_of(const Slice *s, uint32_t k) {
  return share(right_of(s, k), said_of(s, k));
}
static double recall_of(const Slice *s, uint32_t k) {
  return share(right_of(s, k), true_of(s, k));
}
static double f1_of(const Slice *s, uint32_t k) {
  return share(2 * right_of(s, k), true_of(s, k) + said_of(s, k));
}

static double all_right(const MetricPar *p, const Slice *s) {
  Twofold sum = {0};
  for (uint32_t k = 0; k < p->classes; k++)
    twofold_join(&sum, &s->v[3 * k]);
  return twofold(&sum);
}

static void mean_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  (void)p;
  v->defined = true;
  v->value = slice_sum(s, 0) / v->weight;
}

static void accuracy_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  v->defined = true;
  v->value = all_right(p, s) / v->weight;
}

static uint32_t classes_there(const MetricPar *p, const Slice *s) {
  uint32_t n = 0;
  for (uint32_t k = 0; k <= p->classes; k++)
    n += true_of(s, k) > 0;
  return n;
}

static bool several(const MetricPar *p, const Slice *s, MetricValue *v) {
  v->defined = classes_there(p, s) > 1;
  v->why = v->defined ? NULL : "the rows have one class only";
  return v->defined;
}

static void balanced_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  Twofold sum = {0};
  if (!several(p, s, v))
    return;
  for (uint32_t k = 0; k <= p->classes; k++)
    twofold_add(&sum, recall_of(s, k));
  v->value = twofold(&sum) / classes_there(p, s);
}

/* J. Gorodkin, Computational Biology and Chemistry 28 (2004); in shares of the weight. */
static void mcc_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  Twofold both = {0}, truth = {0}, said = {0};
  if (!several(p, s, v))
    return;
  for (uint32_t k = 0; k <= p->classes; k++) {
    double t = true_of(s, k) / v->weight, q = said_of(s, k) / v->weight;
    twofold_add(&both, t * q);
    twofold_add(&truth, t * t);
    twofold_add(&said, q * q);
  }
  double scale = sqrt(1 - twofold(&truth)) * sqrt(1 - twofold(&said));
  v->value = scale > 0 ? (all_right(p, s) / v->weight - twofold(&both)) / scale : 0;
}

enum { AVERAGE_MACRO, AVERAGE_WEIGHTED, AVERAGE_MICRO };

static void average(const MetricPar *p, const Slice *s, MetricValue *v,
                    double (*of)(const Slice *s, uint32_t k)) {
  Twofold sum = {0};
  uint32_t n = 0;
  v->defined = true;
  for (uint32_t k = 0; k <= p->classes; k++) {
    n += true_of(s, k) > 0 || said_of(s, k) > 0;
    twofold_add(&sum, of(s, k) * (p->size == AVERAGE_WEIGHTED ? true_of(s, k) / v->weight : 1));
  }
  v->value = p->size == AVERAGE_WEIGHTED ? twofold(&sum) : twofold(&sum) / n;
  if (p->size == AVERAGE_MICRO)
    accuracy_value(p, s, v);
}

static void precision_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  average(p, s, v, precision_of);
}

static void recall_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  average(p, s, v, recall_of);
}

static void f1_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  average(p, s, v, f1_of);
}

/* ---- Tables: a row for each class, and one more where rows have a class that is not known ---- */

static double *table_of(MetricValue *v, uint32_t rows, uint32_t columns) {
  v->table = mem_alloc(((size_t)rows * columns + 1) * sizeof *v->table);
  v->defined = v->table != NULL;
  v->why = v->defined ? NULL : "there is not enough memory for it";
  v->table_rows = rows;
  v->table_columns = columns;
  return v->table;
}

static double or_nan(double x, bool defined) {
  return defined ? x : NAN;
}

static void per_class_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  static const char *const column[] = {"precision", "recall", "f1", "support"};
  uint32_t rows = p->classes + (true_of(s, p->classes) > 0);
  double *to = table_of(v, rows, 4);
  v->table_column = column;
  for (uint32_t k = 0; to && k < rows; k++, to += 4) {
    to[0] = or_nan(precision_of(s, k), said_of(s, k) > 0);
    to[1] = or_nan(recall_of(s, k), true_of(s, k) > 0);
    to[2] = or_nan(f1_of(s, k), true_of(s, k) + said_of(s, k) > 0);
    to[3] = true_of(s, k);
  }
}

static void confusion_value(const MetricPar *p, const Slice *s, MetricValue *v) {
  uint32_t n = p->classes, rows = n;
  for (uint32_t k = 0; k < n && rows == n; k++)
    rows += slice_sum(s, n * n + k) > 0;
  double *to = table_of(v, rows, n);
  for (uint32_t i = 0; to && i < rows * n; i++)
    to[i] = slice_sum(s, i);
}

/* ---- Begin and finish ---- */

static Status begin_classes(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  MetricPar p = metric_par(m, i, SUM_CLASSES);
  p.size = (uint32_t)option_num(i->option, i->noption, "average");
  return sums_begin(&p, out, e);
}

static Status begin_table(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  MetricPar p = metric_par(m, i, SUM_TABLE);
  return sums_begin(&p, out, e);
}

static Status begin_log_loss(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  MetricPar p = metric_par(m, i, SUM_LOG_LOSS);
  return sums_begin(&p, out, e);
}

static Status begin_brier(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  MetricPar p = metric_par(m, i, SUM_BRIER);
  return sums_begin(&p, out, e);
}

static Status begin_top(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  MetricPar p = metric_par(m, i, SUM_TOP);
  p.size = (uint32_t)option_num(i->option, i->noption, "k");
  return sums_begin(&p, out, e);
}

#define FINISH(name)                                                                     \
  static Status finish_##name(Iter *it, MetricValue **v, uint32_t *n, Err *e) {          \
    return sums_finish(it, name##_value, v, n, e);                                       \
  }
FINISH(mean)
FINISH(accuracy)
FINISH(balanced)
FINISH(mcc)
FINISH(precision)
FINISH(recall)
FINISH(f1)
FINISH(per_class)
FINISH(confusion)
#undef FINISH

static const Option average_options[] = {
    {"average", OPT_ENUM, AVERAGE_MACRO, 0, 2, "macro|weighted|micro",
     "macro: the mean over classes. weighted: by the weight of the rows of each. micro: of all rows, which "
     "is accuracy."},
    {0},
};
static const Option top_options[] = {
    {"k", OPT_INT, 2, 1, CLASSES_MAX, NULL, "How many classes are looked at."},
    {0},
};

#define UNSEEN "A class that the training rows had not is never predicted, so such a row is wrong.\n"
#define ABSENT                                                                                               \
  "Classes that occur in no row, neither as truth nor as prediction, are left out; where a class has no "    \
  "value, 0 is taken.\n"

const Metric multiclass_accuracy = {
    .name = "accuracy",
    .tasks = TASK_BIT(TASK_MULTICLASS),
    .scalar = true,
    .maximize = true,
    .option = no_options,
    .doc = "Share of the weight of rows whose class is predicted right.\n"
           "From 0 to 1 (best). The predicted class is the most probable, of equal ones the first.\n" UNSEEN
           "scikit-learn: accuracy_score. Spark: accuracy.\n"
           "\n"
           "    expect accuracy > 0.9\n",
    .begin = begin_classes,
    .finish = finish_accuracy,
};

const Metric multiclass_log_loss = {
    .name = "log_loss",
    .tasks = TASK_BIT(TASK_MULTICLASS),
    .scalar = true,
    .option = no_options,
    .doc = "Mean of minus the natural logarithm of the probability given to the true class, weighted.\n"
           "From 0 (best) to 36.04. Probabilities are kept within 2^-52 of 0 and 1; a class that the "
           "training rows had not\n"
           "has 2^-52.\n"
           "scikit-learn: log_loss. Spark: logLoss (which clips at 1e-15).\n"
           "\n"
           "    log_loss by origin\n",
    .begin = begin_log_loss,
    .finish = finish_mean,
};

const Metric multiclass_brier = {
    .name = "brier",
    .tasks = TASK_BIT(TASK_MULTICLASS),
    .scalar = true,
    .option = no_options,
    .doc = "Mean over rows of the sum over classes of (probability - outcome)^2, weighted: G. Brier, 1950.\n"
           "The outcome is 1 for the true class, else 0; a class that the training rows had not has the "
           "probability 0.\n"
           "From 0 (best) to 2.\n"
           "scikit-learn: brier_score_loss (scale_by_half=False).\n"
           "\n"
           "    brier\n",
    .begin = begin_brier,
    .finish = finish_mean,
};

const Metric multiclass_balanced_accuracy = {
    .name = "balanced_accuracy",
    .tasks = TASK_BIT(TASK_MULTICLASS),
    .scalar = true,
    .maximize = true,
    .option = no_options,
    .doc = "Mean over the classes that occur of the share of their weight that is predicted right (recall).\n"
           "From 0 to 1 (best). Undefined where the rows have one class only.\n" UNSEEN
           "scikit-learn: balanced_accuracy_score.\n"
           "\n"
           "    expect balanced_accuracy > 0.9\n",
    .begin = begin_classes,
    .finish = finish_balanced,
};

const Metric multiclass_mcc = {
    .name = "mcc",
    .tasks = TASK_BIT(TASK_MULTICLASS),
    .scalar = true,
    .maximize = true,
    .option = no_options,
    .doc =
        "Matthews correlation coefficient of true and predicted class, weighted, for any number of classes.\n"
        "At most 1 (best); 0 is chance, and what is said where all rows are predicted alike. Undefined where "
        "the rows have\n"
        "one class only.\n"
        "scikit-learn: matthews_corrcoef.\n"
        "Source: J. Gorodkin, Computational Biology and Chemistry 28 (2004).\n"
        "\n"
        "    mcc\n",
    .begin = begin_classes,
    .finish = finish_mcc,
};

const Metric multiclass_precision = {
    .name = "precision",
    .tasks = TASK_BIT(TASK_MULTICLASS),
    .scalar = true,
    .maximize = true,
    .option = average_options,
    .doc = "Of the weight predicted to be a class, the share that is; averaged over classes.\n"
           "From 0 to 1 (best). " ABSENT
           "scikit-learn: precision_score(average=..., zero_division=0). Spark: weightedPrecision.\n"
           "\n"
           "    precision(average = \"weighted\")\n",
    .begin = begin_classes,
    .finish = finish_precision,
};

const Metric multiclass_recall = {
    .name = "recall",
    .tasks = TASK_BIT(TASK_MULTICLASS),
    .scalar = true,
    .maximize = true,
    .option = average_options,
    .doc = "Of the weight of a class, the share predicted to be it; averaged over classes.\n"
           "From 0 to 1 (best). " ABSENT
           "scikit-learn: recall_score(average=..., zero_division=0). Spark: weightedRecall.\n"
           "\n"
           "    recall\n",
    .begin = begin_classes,
    .finish = finish_recall,
};

const Metric multiclass_f1 = {
    .name = "f1",
    .tasks = TASK_BIT(TASK_MULTICLASS),
    .scalar = true,
    .maximize = true,
    .option = average_options,
    .doc = "Harmonic mean of precision and recall of a class; averaged over classes.\n"
           "From 0 to 1 (best). " ABSENT
           "scikit-learn: f1_score(average=..., zero_division=0). Spark: f1 (which is the weighted one).\n"
           "\n"
           "    f1, f1(average = \"weighted\")\n",
    .begin = begin_classes,
    .finish = finish_f1,
};

const Metric multiclass_top_k = {
    .name = "top_k_accuracy",
    .tasks = TASK_BIT(TASK_MULTICLASS),
    .scalar = true,
    .maximize = true,
    .option = top_options,
    .doc = "Share of the weight of rows whose class is among the k most probable.\n"
           "From 0 to 1 (best); k = 1 is accuracy. Of equal probabilities the first class counts as the more "
           "probable\n"
           "(scikit-learn takes the last).\n" UNSEEN "scikit-learn: top_k_accuracy_score.\n"
           "\n"
           "    top_k_accuracy(k = 3)\n",
    .begin = begin_top,
    .finish = finish_mean,
};

const Metric multiclass_per_class = {
    .name = "per_class",
    .tasks = TASK_BIT(TASK_MULTICLASS),
    .scalar = false,
    .option = no_options,
    .doc = "Precision, recall and f1 of each class, and the weight of its rows (support).\n"
           "null where nothing is predicted to be the class, or nothing is it. Rows of classes that the "
           "training rows had not\n"
           "are one line more, (unseen).\n"
           "scikit-learn: classification_report, precision_recall_fscore_support. A table, so it cannot be "
           "expected or sliced.\n"
           "\n"
           "    per_class\n",
    .begin = begin_classes,
    .finish = finish_per_class,
};

const Metric multiclass_confusion = {
    .name = "confusion",
    .tasks = TASK_BIT(TASK_MULTICLASS),
    .scalar = false,
    .option = no_options,
    .doc = "Weight of rows by true class (lines) and predicted class (columns); counts without weights.\n"
           "Rows of classes that the training rows had not are one line more, (unseen).\n"
           "scikit-learn: confusion_matrix. A table, so it cannot be expected or sliced.\n"
           "\n"
           "    confusion\n",
    .begin = begin_table,
    .finish = finish_confusion,
};

/* ---- auc: one class against the rest ---- */

static const Option auc_options[] = {
    {"average", OPT_ENUM, AVERAGE_MACRO, 0, 1, "macro|weighted",
     "macro: the mean over classes. weighted: by the weight of the rows of each."},
    {0},
};

typedef struct RestIter { /* an auc for each class, as many at once as can be held */
  Iter it; /* first */
  const Metric *metric;
  MetricInfo info;
  uint32_t classes, from, to; /* [from, to): those under way */
  bool weighted;
  Iter **one;
  uint32_t *asked; /* jobs of each of [from, to) */
} RestIter;

static void rest_free(Iter *it) {
  RestIter *a = (RestIter *)it;
  for (uint32_t k = 0; a->one && k < a->classes; k++)
    if (a->one[k])
      a->one[k]->free(a->one[k]);
  mem_free(a->one);
  mem_free(a->asked);
  mem_free(a);
}

static Status rest_begin(RestIter *a, Err *e) {
  uint64_t most = a->info.rows ? curve_held(&a->info) / a->info.rows : a->classes;
  Status st = ST_OK;
  a->from = a->to;
  for (; a->to < a->classes && !st && (a->to == a->from || a->to - a->from < most); a->to++) {
    const CurvePar c = {.kind = CURVE_AUC, .against_rest = true, .class = a->to};
    st = curve_begin(a->metric, &a->info, &c, curve_held(&a->info), &a->one[a->to], e);
  }
  return st;
}

static Status rest_next(Iter *it, const Buf *out, uint32_t nout, Jobs *jobs, Err *e) {
  RestIter *a = (RestIter *)it;
  uint32_t at = 0;
  for (;;) {
    for (uint32_t k = a->from; k < a->to; k++) {
      uint32_t before = jobs->n, had = a->asked[k];
      if (at + had > nout)
        return err_set(e, ST_FAULT, "CML0601", NULL, "a metric got %u results for its jobs", nout);
      Status st = a->one[k]->next(a->one[k], out ? out + at : NULL, had, jobs, e);
      at += had;
      a->asked[k] = jobs->n - before;
      if (st)
        return st;
    }
    if (jobs->n || a->to == a->classes)
      return ST_OK;
    Status st = rest_begin(a, e);
    if (st)
      return st;
  }
}

static Status begin_rest(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  RestIter *a = mem_alloc(sizeof *a);
  if (!a)
    return err_memory(e);
  a->it.next = rest_next;
  a->it.free = rest_free;
  a->metric = m;
  a->info = *i;
  a->info.option = NULL;
  a->info.noption = 0;
  a->classes = i->model->nclass;
  a->weighted = option_num(i->option, i->noption, "average") == AVERAGE_WEIGHTED;
  a->one = mem_alloc((a->classes + (size_t)1) * sizeof *a->one);
  a->asked = mem_alloc((a->classes + (size_t)1) * sizeof *a->asked);
  *out = &a->it;
  return a->one && a->asked ? ST_OK : err_memory(e);
}

/* The values of class k are added to those of all; cell: sum of weights, sum of aucs. */
static void add_class(const RestIter *a, MetricValue *all, const MetricValue *one, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    double w = a->weighted ? one[i].cell[0] : 1;
    if (!one[i].defined)
      continue;
    all[i].cell[1] += w;
    all[i].value += w * one[i].value;
  }
}

static Status finish_rest(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  RestIter *a = (RestIter *)it;
  Status st = ST_OK;
  *v = NULL;
  *n = 0;
  for (uint32_t k = 0; k < a->classes && !st; k++) {
    MetricValue *one = NULL;
    uint32_t none = 0;
    if (!a->one[k])
      return err_set(e, ST_FAULT, "CML0601", NULL, "a metric was finished before its last scan");
    st = metric_auc.finish(a->one[k], &one, &none, e);
    if (st)
      break;
    if (k == 0) {
      *v = one;
      *n = none;
      for (uint32_t i = 0; i < none; i++) {
        double first = one[i].defined ? one[i].value : 0, w = a->weighted ? one[i].cell[0] : 1;
        one[i].cell[1] = one[i].defined ? w : 0;
        one[i].value = w * first;
      }
      continue;
    }
    if (none == *n)
      add_class(a, *v, one, none);
    metric_values_free(one, none);
  }
  for (uint32_t i = 0; i < *n; i++) {
    MetricValue *to = &(*v)[i];
    to->defined = to->cell[1] > 0;
    to->value = to->defined ? to->value / to->cell[1] : 0;
    to->why = to->defined ? NULL : to->weight > 0 ? "the rows have one class only" : metric_why_empty(to);
    memset(to->cell, 0, sizeof to->cell);
  }
  if (st) {
    metric_values_free(*v, *n);
    *v = NULL;
    *n = 0;
  }
  return st;
}

const Metric multiclass_auc = {
    .name = "auc",
    .tasks = TASK_BIT(TASK_MULTICLASS),
    .scalar = true,
    .maximize = true,
    .option = auc_options,
    .doc = "Area under the ROC curve of each class against all others, averaged over classes. Exact.\n"
           "From 0 to 1 (best); 0.5 is chance. Classes that do not occur are left out; undefined where only "
           "one does.\n"
           "Many rows and classes take several scans.\n"
           "scikit-learn: roc_auc_score(multi_class=\"ovr\", average=...).\n"
           "Source: F. Provost, P. Domingos, CeDER working paper 00-04 (2000).\n"
           "\n"
           "    auc(average = \"weighted\")\n",
    .begin = begin_rest,
    .finish = finish_rest,
};
