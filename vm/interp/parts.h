/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that make and run an interpreter share; ops need op.h only. */
#ifndef VM_INTERP_PARTS_H
#define VM_INTERP_PARTS_H

#include "vm/interp/op.h"

/* Only values of these types have a register. */
static inline bool step_has_column(uint8_t type) {
  return type <= IR_STRS;
}

/* form.c: an error that is cml's own fault. */
Status step_fault(Err *e, uint32_t step, const char *what);
Status interp_form(const RowProg *p, Err *e);
/* The fitted value that the step names, if its op names one. */
Status interp_fitted(Interp *t, Step *s, Err *e);

/* layout.c: gives each register its place. */
Status interp_layout(Interp *t, Err *e);

enum { REG_ALIGN = 64 };

typedef struct Piece { /* of an allocation: where, how large, from which step on it is free */
  size_t at, size;
  uint32_t free_from;
} Piece;

typedef struct Layout {
  Piece *piece; /* room for all */
  uint32_t n;
  size_t end;
} Layout;

bool reg_is_alias(uint32_t op); /* its register is the one of its first argument */
size_t reg_round_up(size_t n);
size_t reg_bytes(const Col *c);
size_t reg_place(Layout *l, size_t size, uint32_t step, uint32_t free_from, bool constant);
/* Needs room for nulls, given which values before do. A column of the input is taken to be nullable whatever
 * the program says, so that no input can make a step write where it has no room. */
bool reg_nullable(const Interp *t, uint32_t i, const bool *nullable);

/* step.c */
void step_run(Step *s, uint32_t n);

/* op_const.c */
void step_spread(Col *c);                       /* the value of a scalar in all rows of its register */
Status step_values(Interp *t, Step *s, Err *e); /* the values of a `list`, which are known by now */

#endif
