/* SPDX-License-Identifier: Apache-2.0 */
/* The op table of ops.def as an enum and as records: for reader, printer, verifier, lowering and
 * interpreter alike. */
#ifndef VM_OPS_H
#define VM_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/column.h"

typedef enum OpCode {
#define OP(code, ...) OP_##code,
#include "vm/ops.def"
#undef OP
  OP_N
} OpCode;

typedef enum NullRule {
  NULL_STRICT, /* null when an argument is null (and, with may_null, in more cases) */
  NULL_OWN,    /* as the meaning says: op_nullable() */
  NULL_NEVER,  /* the result is never null */
} NullRule;

/* What an argument may be, where it is not just one IrType. */
enum {
  ARG_KEY = -1,  /* IR_BOOL, IR_I64 or IR_STR */
  ARG_SLOT = -2, /* IR_F64 or IR_VEC */
  RESULT_ANY = -1, /* col: IR_BOOL, IR_I64, IR_F64 or IR_STR, as the column */
};

typedef struct OpInfo {
  const char *name;    /* "add.i64" */
  int arity;           /* -1: any number, at least one, all like arg[0] */
  int8_t arg[4];       /* IrType, ARG_KEY or ARG_SLOT */
  int8_t result;       /* IrType, or RESULT_ANY */
  NullRule null;
  bool may_fail;       /* a row can be a data error */
  bool may_null;       /* null from arguments that are not null */
  bool row;            /* differs from row to row whatever its arguments: never scalar */
  const char *attr;    /* fields of IrVal in use: letters i f g s, L = list, N = names */
  const char *meaning; /* one line: "out = a + b; overflow = data error" */
} OpInfo;

int op_find(const char *name);             /* OpCode, or -1 */
const OpInfo *op_info(uint32_t op);        /* NULL past the end */
int op_arg(const OpInfo *o, uint32_t k);   /* what the k-th argument has to be; also for ops of any arity */
bool op_arg_fits(const OpInfo *o, uint32_t k, IrType t);
bool op_scores(uint32_t op);               /* score or scores: the features go into a model */
bool op_fitted(uint32_t op);               /* names a fitted value: i is its number */
bool op_has(const OpInfo *o, char attr);   /* does it use this field of IrVal? */
/* May the result be null, given which arguments may? (is col: as the column says.) */
bool op_nullable(uint32_t op, const bool *arg, uint32_t narg);

#endif
