/* SPDX-License-Identifier: Apache-2.0 */
/* Aggregates: how a fit stage becomes fitted values. One Iter per stage shares its scans among all aggregates
 * in it.
 *
 * Round 1 has every aggregate; further rounds only what quantiles need (radix selection on
 * order-preserving keys, 16 bits a round, integer counts, then the candidates themselves). */
#ifndef VM_AGG_H
#define VM_AGG_H

#include "vm/exec.h"
#include "vm/fitted.h"
#include "vm/ir.h"

typedef struct AggOp { /* what lowering and verifying need to know of an aggregate */
  const char *name;    /* "mean.f64" */
  int arg;             /* IrType of its argument, or -1: none */
  IrType result;       /* scalar type, IR_LIST or IR_VOCAB; grouped: IR_TABLE of it (I64 or F64) */
  bool grouped;        /* may stand with `by` */
  bool weighted;       /* takes a weight */
} AggOp;
const AggOp *agg_op(const char *name);     /* NULL: unknown */
const AggOp *agg_op_at(uint32_t i);        /* NULL past the end */

/* rows: the stage it reads; its folds */
Status agg_begin(const Stage *s, const Stage *rows, Iter **out, Err *e);
/* fitted[i] for s->agg[i], NULL for those with leave_out: they are variants of the one before them with
 * the same number; nothing to aggregate in an ungrouped one is ST_DATA naming its text and line. */
Status agg_finish(Iter *it, Fitted **fitted, Err *e);

extern const Pass *const agg_passes[];     /* NULL at the end */

#endif
