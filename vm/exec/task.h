/* SPDX-License-Identifier: Apache-2.0 */
/* The work of one worker: what all executors do with a block, once it is there. Never shared between
 * threads.
 *
 *   raw block --worker_rows--> block of the rows stage --worker_unit--> matrix of a unit (train stages only)
 *                                                      \--worker_map--> a tree node for each job
 *                                                      \--worker_predict--> block of what is written
 *
 * A *unit* is four chunks: the smallest leaf. Panels never cross a unit, so a job sees the same panels
 * whatever runs beside it; larger leaves are 2, 4 or 8 units. A task is a whole block, or an aligned
 * quarter or half of one where no leaf is larger. */
#ifndef VM_EXEC_TASK_H
#define VM_EXEC_TASK_H

#include "vm/exec.h"
#include "vm/exec/tree.h"
#include "vm/interp.h"
#include "vm/notes.h"

/* positions of a unit; units of a block, of a quarter */
enum { UNIT = 4 * CHUNK, UNITS = BLOCK / UNIT, QUARTER = UNITS / 4 };

typedef struct Worker Worker;

/* p, env and reg are read-only and outlive the worker; env must hold the fitted values that a stage reads
 * when it is first used. */
Status worker_new(const Program *p, const Env *env, const atomic_bool *cancel, Worker **out, Err *e);
void worker_free(Worker *w);
void worker_jit(Worker *w, struct Jit *jit); /* programs may be compiled; before the first of them is run */
void worker_notes(Worker *w, NoteRoom *room); /* for what passes note of rows; NULL: they may not */
void worker_look(Worker *w, bool look); /* only look for bad rows: programs run, jobs do not */
void worker_forget(Worker *w); /* drops what was prepared for stages: a fitted value has changed */

Status worker_rows(Worker *w, uint32_t rows_stage, const Block *raw, RowErrors *errors, Block **out, Err *e);
/* The same; raw is nobody else's, gives what passes the stage unchanged, and is only to be dropped then. */
Status worker_rows_of(Worker *w, uint32_t rows_stage, Block *raw, RowErrors *errors, Block **out, Err *e);
/* The matrix of one unit of a block: a Block over its positions. Has n = 0 and no matrix where the unit
 * has no rows of the part. */
Status worker_unit(Worker *w, uint32_t train_stage, const Block *rows, uint32_t unit, RowErrors *errors,
                   Block **out, Err *e);
/* The rows of that unit that a step with a number (IrVal.kept) computes, in the order in which the stages
 * that have it see them: a Block with a sparse matrix, of which the values lie in its one column where they
 * are small (int8_t). */
Status worker_kept(Worker *w, uint32_t number, const Block *rows, uint32_t unit, RowErrors *errors,
                   Block **out, Err *e);
/* Rows from *from on, as many as may be held at a time; *from is set behind them. */
Status worker_predict(Worker *w, uint32_t stage, const Block *rows, uint32_t *from, RowErrors *errors,
                      Block **out, Err *e);

/* ---- Jobs ---- */

typedef struct JobSet JobSet; /* the jobs of one scan as one worker runs them */
Status jobset_new(const Jobs *jobs, JobSet **out, Err *e);
void jobset_free(JobSet *s);
uint32_t jobset_units(const JobSet *s);                  /* of the largest leaf: the smallest task */
size_t jobset_bytes(const JobSet *s);                    /* typical live partials of a task */
const void *jobset_par(const JobSet *s, uint32_t job);
void *jobset_take(JobSet *s, uint32_t job);              /* RED_EXACT: what came together so far, or NULL */

/* Takes the node of a finished task; only for jobs that are not RED_EXACT. */
typedef struct Sink {
  Status (*node)(void *ctx, uint32_t job, TreeNode node, Err *e);
  void *ctx;
} Sink;

typedef struct Units { /* the matrix of a block that train stages learn from */
  uint32_t stage;     /* that makes it */
  Block **unit;       /* UNITS of them; those that are NULL are made from rows */
  bool keep;          /* and stay in the array, else they are dropped one by one */
} Units;

typedef struct Mapped { /* stages that share a scan, and what they read of a block */
  Stages of;          /* as Job.of counts them */
  Units *matrix;
  const int32_t *uses; /* by stage: the matrix it learns from, or -1: it is no train stage */
  uint32_t nmatrix;
  Units *kept;        /* of steps that are kept (IrVal.kept, here Units.stage): units that are there are not
                       * computed; others are made where they are to be kept */
  uint32_t nkept;
  uint64_t *seen;     /* by stage: rows that its jobs saw are added */
} Mapped;

/* Runs the jobs over units [u0, u1) of a block. rows may be NULL where only matrices are read, and those
 * units of all of them are there. */
Status worker_map(Worker *w, const Mapped *m, JobSet *s, const Block *rows, uint32_t u0, uint32_t u1,
                  const Sink *sink, RowErrors *errors, Err *e);

/* Which matrices the stages of a scan need: *n of them, maker[k] the stage that makes the k-th, uses[i] that
 * of stage i or -1. Both have room for all stages. */
void worker_matrices(const Program *p, Stages of, uint32_t *maker, int32_t *uses, uint32_t *n);

#endif
