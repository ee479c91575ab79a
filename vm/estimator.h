/* SPDX-License-Identifier: Apache-2.0 */
/* What an estimator and a metric are to the VM. One file each under stdlib/, with the descriptor at its
 * bottom. */
#ifndef VM_ESTIMATOR_H
#define VM_ESTIMATOR_H

#include "base/option.h"
#include "base/task.h"
#include "vm/exec.h"
#include "vm/fitted.h"

typedef struct TrainInfo { /* what an estimator knows before its first pass */
  const char *name;        /* of the model, for messages */
  uint32_t d;              /* columns of the matrix */
  char *const *feature;    /* their names */
  uint32_t nslot;          /* the slots they come from, in order: name, and number of columns */
  const char *const *slot;
  const uint32_t *width;
  bool offset;             /* the last slot is an offset: a column whose coefficient is 1 */
  const struct Model *start; /* of option `from`: where to begin, by feature name; or NULL */
  bool sparse;             /* CSR blocks */
  const IrOption *option;  /* all of them, in the order of the option table */
  uint32_t noption;
  uint64_t seed;
  ModelTask task;               /* one of those that the estimator offers */
  uint32_t nclass;         /* multiclass: the target is the number of one of these; else 0 */
  char *const *class;      /* their names */
} TrainInfo;

typedef struct LinearForm {
  const double *b; /* m->d, finite */
  double b0;
  bool sigmoid;
} LinearForm;

typedef struct Estimator {
  const char *name;
  unsigned tasks;          /* mask of TASK_BITs */
  const Option *option;
  const char *two_class;   /* options that only two-class models take, "a|b"; or NULL */
  const char *doc;         /* the page of `cmlc doc NAME`: problem, method, options, what is reported */
  Status (*begin)(const TrainInfo *t, Iter **out, Err *e);
  Status (*finish)(Iter *it, Model *m, Err *e); /* fills tensors and report; task, features and classes are
                                                 * set by the caller */
  /* out: n x m->nout, row-major, for the n rows of x (a view): a number; the probability of true; that of
   * each class; the number of the cluster and the distance. Uses k_gemv_rows / k_spmv_rows, so dense and
   * sparse give the same bits. */
  void (*predict)(const Model *m, const Matrix *x, double *out);
  Status (*verify)(const Model *m, Err *e);     /* tensors are there, with the right sizes: for loaded
                                                 * models */
  uint32_t typical_scans;                       /* over the rows, for `explain`; 0: nothing is known */
  /* Likewise: bytes of what each partition answers in a typical scan over d features. NULL: nothing is known
   */
  double (*typical_partial)(double d, const IrOption *option, uint32_t noption);
  /* Whether predictions are `b0 + x . b` in the order of k_gemv_rows, then its sigmoid: compiled code does
   * that itself. NULL: never. */
  bool (*linear)(const Model *m, LinearForm *out);
} Estimator;

static inline double option_num(const IrOption *o, uint32_t n, const char *name) {
  for (uint32_t i = 0; i < n; i++) {
    const char *a = o[i].name, *b = name;
    while (*a && *a == *b)
      a++, b++;
    if (*a == *b)
      return o[i].num;
  }
  return 0;
}

/* ---- Metrics ---- */

typedef struct MetricInfo {
  const IrOption *option;
  uint32_t noption;
  uint32_t score;           /* output number in the evaluate stage's row program: a number, or a vector of
                             * model->nout */
  uint32_t target;          /* the same; multiclass: number of the class, -1 for one that the training rows
                             * have not. Clusters have none */
  const Model *model;       /* its task, classes and tensors */
  int32_t slice;            /* output number of the slice column (str, i64 or b), or -1 */
  uint32_t groups;          /* 0, or: no slice; values are the whole, then the whole without each group of
                             * rows */
  uint64_t rows;            /* rows of the part that is evaluated (for choosing how, never what) */
  uint64_t memory;          /* bytes that the run may use (the same); 0: not limited */
} MetricInfo;

typedef struct MetricValue {
  char *slice;              /* NULL without a slice: the whole part; else the value as text */
  uint64_t rows;            /* rows of it */
  double weight;            /* their weight */
  bool defined;             /* false: null in reports */
  const char *why;          /* not defined: the reason, a constant: "the rows have one class only" */
  double value;             /* scalar metrics */
  double cell[4];           /* confusion of two classes: tn, fp, fn, tp (weights) */
  double *table;            /* tables of several classes, by rows; NaN: undefined. A line for each class,
                             * one more: unseen classes */
  uint32_t table_rows, table_columns;
  const char *const *table_column; /* names, constants; NULL: the classes */
} MetricValue;

typedef struct Metric {
  const char *name;
  unsigned tasks;           /* mask of TASK_BITs */
  const char *two_class;    /* options that only two-class models have, "a|b"; or NULL */
  bool scalar;
  bool maximize;            /* larger is better */
  const Option *option;
  const char *doc;
  /* Makes the Iter; with a slice, values come for every distinct value of the slice column, sorted by
   * (rows descending, value). */
  Status (*begin)(const struct Metric *m, const MetricInfo *i, Iter **out, Err *e);
  Status (*finish)(Iter *it, MetricValue **v, uint32_t *n, Err *e); /* mem_alloc'ed; metric_values_free */
} Metric;
void metric_values_free(MetricValue *v, uint32_t n);

#endif
