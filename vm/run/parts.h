/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the driver share: run.c walks the stages, scan.c goes over rows, train.c learns,
 * eval.c measures. Nobody else includes this. */
#ifndef VM_RUN_PARTS_H
#define VM_RUN_PARTS_H

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

/* Rows of the part that a stage reads. Counts them in a scan of its own where none has gone over them yet. */
Status run_part_rows(Run *r, uint32_t stage, uint64_t *rows, Err *e);
/* Scans until no looper wants more; the jobs of all share each scan, equal ones each other's result. */
Status run_iterate(Run *r, uint32_t stage, Looper *v, uint32_t n, Err *e);
/* A fitted value is there: keeps it, and tells the executor. Takes f. */
Status run_put(Run *r, uint32_t id, Fitted *f, Err *e);

Status run_train(Run *r, uint32_t stage, Err *e);    /* train.c */
Status run_expects(Run *r, uint32_t stage, Err *e);
void run_drop_values(MetricValue *v, uint32_t from, uint32_t to); /* frees what they hold */
Status run_evaluate(Run *r, uint32_t stage, Err *e); /* eval.c: metrics, comparisons, expectations */

#endif
