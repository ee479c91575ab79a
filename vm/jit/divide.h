/* SPDX-License-Identifier: Apache-2.0 */
/* Between plan.c, which divides a row program, and nodes.c, which says of each group what is computed. */
#ifndef VM_JIT_DIVIDE_H
#define VM_JIT_DIVIDE_H

#include "vm/interp/parts.h"
#include "vm/jit/parts.h"

typedef struct Divide {
  Arena work;
  Interp *t;
  uint32_t nval;
  JitPlan *plan;
  JitProg *prog;
  /* by value */
  bool *run; /* it is computed for each panel */
  bool *compiled;
  bool *read;
  bool *wanted; /* a compiled value that is read outside of its group */
  bool *nullable;
  uint32_t *phase, *late;
  uint32_t *at;   /* when it is written */
  uint32_t *last; /* when its register is free */
  uint32_t *root; /* whose register it has */
  int32_t *node;  /* in the group that is being made, + 1 */
  uint32_t nphase, ntime;
} Divide;

static inline const IrVal *divide_val(const Divide *d, uint32_t i) {
  return &d->t->p->val[i];
}

bool divide_is_spread(const Divide *d,
                      uint32_t i); /* numbers side by side: `score` reads them, not the vector */

/* ---- nodes.c ---- */
bool jit_is_plain(uint32_t op); /* arithmetic, comparison, truth, choice, casts, time, checks of numbers */
void *jit_math_of(uint32_t op); /* MathFn1 or MathFn2, or NULL */
bool jit_is_cell(uint32_t op);  /* a number or truth value of one string: op_str.c keeps it by entry */
/* The nodes of phase `number`, and what its frame's slots are in this interpreter. */
void jit_nodes(Divide *d, uint32_t number);

#endif
