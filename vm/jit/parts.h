/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the JIT, on this side of the module: plan.c divides a row program between interpreter and code,
 * service.c has code made, run.c runs a panel with it. */
#ifndef VM_JIT_PARTS_H
#define VM_JIT_PARTS_H

#include "vm/interp/op.h"
#include "vm/jit.h"
#include "vm/jit/code.h"

/* ---- plan.c ---- */

typedef struct JitTable { /* what a slot of the frame's table is, in this interpreter */
  enum { TABLE_LEVELS, TABLE_CELLS, TABLE_KEYS, TABLE_ROWS, TABLE_VALUES, TABLE_NULLS } kind;
  uint32_t step;
} JitTable;

typedef struct JitInput {
  uint32_t value;   /* register; */
  int64_t *variant; /* or, of step `value`, where each row's variant begins */
} JitInput;

typedef struct JitPhase { /* interpreted steps, then a group */
  uint32_t *step;         /* in order */
  uint32_t nstep;
  uint32_t *before; /* aliases of strings, copied before the group: its tables look at their dictionaries */
  uint32_t nbefore;
  uint32_t *alias; /* copied behind it */
  uint32_t nalias;
  int32_t group; /* or -1: nothing is compiled */
  JitInput *in;
  uint32_t *out; /* values */
  JitTable *table;
  uint32_t nin, nout, ntable;
} JitPhase;

typedef struct JitPlan { /* how one interpreter runs the program; of every interpreter of the stage it is the
                            same */
  Arena arena;
  JitPhase *phase;
  uint32_t nphase;
  uint64_t *data, *mask; /* by value: where its register lies in `memory`, + 1; 0: it has none */
  size_t bytes;
  bool *canonical; /* by output: stored with the one NaN */
} JitPlan;

/* NULL in *prog and *plan: nothing to compile. */
Status jit_plan(Interp *t, JitProg **prog, JitPlan **plan, Err *e);
void jit_prog_free(JitProg *p);
void jit_plan_free(JitPlan *p);

/* ---- service.c ---- */

typedef struct JitCode JitCode; /* of a program: shared, counted */

/* Takes prog. JIT_FORCE: the code is there then. */
Status jit_code(Jit *j, uint32_t program, JitProg *prog, JitCode **out, Err *e);
void jit_code_drop(JitCode *c);
const JitNative *jit_code_ready(JitCode *c, uint32_t rows); /* NULL: not yet; `rows` are to come now */
void jit_count(JitCode *c, uint32_t compiled, uint32_t interpreted, uint32_t again); /* panels */
bool jit_takes(const Jit *j, uint32_t steps);

/* ---- run.c ---- */

typedef struct JitUse JitUse;
bool jit_use_ready(JitUse *u, uint32_t rows);
/* *done: all registers have their values, as the interpreter would make them. Else nothing has happened. */
Status jit_use_panel(JitUse *u, bool *done);
bool jit_use_canonical(const JitUse *u, uint32_t output);
void jit_use_free(JitUse *u);

#endif
