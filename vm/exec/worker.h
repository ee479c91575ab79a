/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker has at hand between two pieces of work, for worker.c, which prepares stages and makes panels
 * of their rows, and task.c, which says what becomes of them. */
#ifndef VM_EXEC_WORKER_H
#define VM_EXEC_WORKER_H

#include "base/arena.h"
#include "vm/exec/cols.h"
#include "vm/exec/task.h"
#include "vm/written.h"

typedef struct Prepared { /* a stage as this worker runs it; made at first use */
  bool ready;
  Interp *interp;
  uint32_t nin;          /* columns that the program reads */
  uint32_t *in_col;      /* their numbers in the block */
  const char **in_name;
  Gather gather;         /* of inputs */
  Gather removed;        /* of outputs, where the program removes rows */
  Col *in, *out, *out2;
  uint8_t *keep;         /* NULL: removes nothing */
  uint64_t wanted;       /* parts that the stage reads, a bit each */
  uint64_t trained;      /* parts whose rows read what was fitted without their fold */
  uint32_t most;         /* rows of a panel */
  Slots slots;           /* train; evaluate where it gives slots */
  MatrixBuilder *matrix;
  bool parts;            /* slots are not put together before the matrix is */
  Col *slot;
  int32_t target;        /* output number, or -1 */
  Maker maker;           /* rows, predict */
  Written made;          /* its columns */
  int32_t part, fold, weight, invalid;
} Prepared;

typedef struct Joint { /* stages that run as one program (Stage.program), as they share the scan at hand */
  uint32_t n;
  uint32_t *stage;       /* those of the scan */
  uint32_t *first;       /* number of the first output of each */
  Stage merged;
  Prepared q;
  Arena arena;
} Joint;

typedef struct Keeper { /* what a step that is kept is made of, as a program */
  Stage stage;
  Prepared q;
  Arena arena;
  double fill;           /* entries of a row, so far */
} Keeper;

struct Worker {
  const Program *p;
  const Env *env;
  const atomic_bool *cancel;
  struct Jit *jit;
  NoteRoom *room;
  Prepared *stage;
  Joint **joint;         /* by the stage that the others run with; NULL: not needed yet */
  Keeper *keeper[IR_KEPT_MOST + 1]; /* by number; NULL: not needed yet */
  const Mapped *given;   /* what is kept of the rows at hand, of unit: */
  uint32_t unit;
  Arena scratch;
  bool look;
  uint32_t row[PANEL_ROWS], kept[PANEL_ROWS], at[PANEL_ROWS], at2[PANEL_ROWS];
  uint8_t fold[PANEL_ROWS], fold2[PANEL_ROWS];
  uint8_t train[PANEL_ROWS];
  double weight[PANEL_ROWS], weight2[PANEL_ROWS], space[PANEL_ROWS];
};

/* The stage as this worker runs it. */
Status worker_prepare(Worker *w, uint32_t stage, Prepared **out, Err *e);
/* The n stages as one program. */
Status worker_joint(Worker *w, const uint32_t *stage, uint32_t n, Joint **out, Err *e);
enum { NO_CODE = -1 };
/* code: the number by which the JIT knows the program in all workers, or NO_CODE. */
Status prepared_make(Worker *w, const Stage *s, Prepared *q, int64_t code, Err *e);
void prepared_free(Prepared *q);
/* The stage that stage i runs with: itself, as a rule. */
uint32_t stage_leader(const Program *p, uint32_t i);

/* ---- Panels ---- */

typedef struct Cursor { /* rows [r, end) of a block */
  const Block *b;
  uint32_t r, end;
  uint32_t done; /* rows that were packed */
} Cursor;

Cursor unit_cursor(const Block *b, uint32_t unit);

typedef struct Packed { /* the inputs of a panel, and after panel_run its outputs */
  uint32_t n;
  const uint32_t *at;
  const uint8_t *fold;
  const double *weight;
  const Col *out;
  RowsIn in;
  uint32_t first; /* number of its first row among all that are packed */
} Packed;

/* Packs the next rows; false at the end. */
bool panel_next(Worker *w, Prepared *q, Cursor *c, Packed *k, Status *st, Err *e);
/* Runs the program; afterwards *k has only rows that it kept. */
Status panel_run(Worker *w, Prepared *q, Packed *k, RowErrors *errors, Err *e);

/* ---- Steps that are kept: kept.c ---- */

/* Of the panel's rows, as a program of those has them, the next panel_run will not compute them. NULL: it
 * will. */
void kept_give(Worker *w, Prepared *q, const RowProg *g, const Packed *k);
void kept_forget(Worker *w);

#endif
