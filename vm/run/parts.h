/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the driver share: run.c walks the stages and fits, scan.c goes over rows, train.c makes
 * models, eval.c measures. Nobody else includes this. */
#ifndef VM_RUN_PARTS_H
#define VM_RUN_PARTS_H

#include "vm/interp.h"
#include "vm/run.h"

typedef struct Run {
  const Program *p;
  Executor *x;
  const Registry *reg;
  const Limits *lim;
  const RunHooks *hooks;
  RunResult *out;
  Env env;
} Run;

typedef struct Looper { /* an Iter and the jobs it waits for */
  Iter *it;
  Jobs jobs;
  Buf *out;      /* results of its jobs, in its order; the bytes belong to the scan */
  bool done;
} Looper;

typedef struct Work { /* a stage that learns or measures, while it does */
  uint32_t stage;
  Looper *v;
  uint32_t n;
  uint64_t rows;        /* of its part; train: 0 until they were counted */
  /* train */
  const struct Estimator *est;
  Slots slots;
  const char **slot;    /* names of slots */
  struct Bundle *start; /* model that it starts from, or NULL */
  Fitted *model;        /* under construction */
} Work;

Status run_loopers(Work *w, uint32_t n, Err *e); /* room for n */
void run_loopers_free(Work *w);
/* Scans until no looper wants more; the jobs of all stages share each scan, equal ones each other's result.
 */
Status run_iterate(Run *r, Work *w, uint32_t n, Err *e);
/* Rows of the part that a stage reads. Counts them in a scan of its own where none has gone over them yet. */
Status run_part_rows(Run *r, uint32_t stage, uint64_t *rows, Err *e);
bool run_rows_known(const Run *r, uint32_t stage); /* has one? */
/* A fitted value is there: keeps it, and tells the executor. Takes f. */
Status run_put(Run *r, uint32_t id, Fitted *f, Err *e);

Status run_expects(Run *r, uint32_t stage, Err *e);
void run_drop_values(MetricValue *v, uint32_t from, uint32_t to); /* frees what they hold */

Status run_begin_train(Run *r, Work *w, Err *e); /* train.c */
/* Counts the rows to learn from, behind the first scan at the latest; none is an error. */
Status run_count_train(Run *r, Work *w, Err *e);
Status run_finish_train(Run *r, Work *w, Err *e);
void run_free_train(Run *r, Work *w);

Status run_begin_evaluate(Run *r, Work *w, Err *e); /* eval.c: metrics, comparisons, expectations */
Status run_finish_evaluate(Run *r, Work *w, Err *e);

#endif
