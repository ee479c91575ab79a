/* SPDX-License-Identifier: Apache-2.0 */
/* What a scan is asked for, and what came of it: the two things that travel between an executor and workers
 * in other processes (loopback's children, Spark's executors).
 *
 *   driver: Ask --ask_put--> bytes --ask_take--> worker: blocks, jobs --> Answer --answer_put--> bytes
 *                                                                  bytes --answer_take--> Answer of all of it
 *
 * An Answer holds the canonical tree of each job, as far as its nodes have met, so that answers of any parts
 * of a scan can be taken in any order, on the way (site_merge) or at its end, with the same bits. */
#ifndef VM_EXEC_ANSWER_H
#define VM_EXEC_ANSWER_H

#include "vm/exec/task.h"

typedef struct Ask {
  Stages of;          /* owned */
  Jobs jobs;          /* none, where rows are written */
  uint32_t rows_stage;
  bool keep_rows;     /* the blocks of the rows stage are read again by a later scan */
  bool once;          /* nobody expects another scan: matrices that are not there are not kept either */
} Ask;

/* Do all jobs say so of themselves? Ask.once, for who asks. */
bool ask_once(const Jobs *jobs);
Status ask_put(const Ask *a, Buf *out, Err *e);
/* Verifies against the program: hostile bytes give CML0614. That the parameters of a job fit the outputs of
 * its stage only the driver knows. ask_free in any case. */
Status ask_take(Bytes b, const Program *p, const Registry *reg, Ask *out, Err *e);
void ask_free(Ask *a);

typedef struct Answer {
  const Jobs *jobs;
  void **par;         /* by job: its parameters, opened */
  Tree *tree;         /* by job; not of RED_EXACT */
  void **exact;       /* by job: what came together, or NULL */
  uint64_t *seen;     /* by stage of the scan */
  uint32_t nseen;
  RowErrors errors;
  ScanInfo info;
  bool fresh;         /* some of what was taken went back to the source */
} Answer;

/* jobs outlives it; n stages. answer_close in any case. */
Status answer_open(Answer *a, const Jobs *jobs, uint32_t n, Err *e);
void answer_close(Answer *a);
/* Nodes of finished tasks; a Sink of worker_map. Takes the partial, also on failure. */
Sink answer_sink(Answer *a);
/* What the workers' accumulators hold, of RED_EXACT jobs; s keeps nothing of it. */
Status answer_exact(Answer *a, JobSet *s, Err *e);
/* Begins with a u32: 0, or there are bad rows, and then no partials. */
Status answer_put(const Answer *a, Buf *out, Err *e);
/* Adds what was put. Bad rows go to *errors, or where that is NULL to the answer's own. check: every partial
 * must be the same bytes when saved again (CML0613). */
Status answer_take(Answer *a, Bytes b, RowErrors *errors, bool check, Err *e);
/* The saved partial of each job; of one over no rows that of nothing. The trees are empty afterwards. */
Status answer_finish(Answer *a, Buf *out, Err *e);

#endif
