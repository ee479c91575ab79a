/* SPDX-License-Identifier: Apache-2.0 */
/* Inside lowering: what lower.c and lower_data.c share. Only these two include it. */
#ifndef COMPILER_LOWER_PARTS_H
#define COMPILER_LOWER_PARTS_H

#include "compiler/lower.h"
#include "vm/agg.h"

typedef struct Stored { /* columns that a rows stage keeps, since later stages read them */
  const TColumn **v;
  uint32_t n, cap;
} Stored;

/* a rows stage of its own: the rows above a clause, to learn from them what the clause needs */
typedef struct Early {
  uint32_t filters; /* clauses that remove rows, as far as it runs them */
  int32_t stage;
  Stored stored;
} Early;

typedef struct DataState {
  const TData *data;
  int32_t source, rows;    /* stage numbers, or -1: no model uses it */
  Stored stored;           /* of the rows stage */
  bool fold;
  Early *early;
  uint32_t nearly, cap;
  uint32_t *cut;           /* by split: number of its first fitted cut */
  uint32_t fold_cut;       /* the first of the folds' under a split by time */
} DataState;

typedef struct Lower {
  Arena *arena;
  struct Diags *diags;
  const Tree *tree;
  Split split;
  Program *p;
  uint32_t scap;
  DataState *data;
  int32_t *train;          /* by model: stage number */
  int32_t *score;
  int32_t *threshold;      /* by model: number of the fitted value, or -1 */
  Err *e;
} Lower;

/* ---- lower_data.c ---- */

DataState *lower_state(Lower *l, const TData *d);
uint32_t lower_stage(Lower *l, StageKind kind, const char *name, Span span); /* a new one; its number */
int32_t lower_part_number(const TData *d, const char *part);                 /* as Stage.part */
/* Ends a row program over stored columns: puts it in its stage, remembers the columns it reads. */
void lower_stored(Lower *l, Build *b, uint32_t stage);

/* The stages of a data set in three steps: nothing yet; its stages, with what has to be fitted before rows
 * are divided; and, when it is known which columns later stages read, the programs of its rows. */
void data_init(Lower *l, DataState *ds, const TData *d);
bool data_is_tested(const TData *d); /* by an `expect`: then it is read though no model may use it */
void data_open(Lower *l, DataState *ds);
void data_close(Lower *l, DataState *ds);

/* ---- lower.c ---- */

/* The value of n as an output of the program; -1: n is NULL. */
int32_t prog_output(Build *b, const Node *n, bool widen);
/* One table, or value, of an instance: of all rows, or (leave_out >= 0) of those of the other folds. */
void lower_agg_once(Lower *l, Build *b, const Instance *in, int32_t leave_out, IrAgg *a);

#endif
