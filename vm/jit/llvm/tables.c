/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups by code, and the prediction of a linear model. A look-up takes its rows one by one out of the
 * vector: a gather instruction is no faster than that on most machines, and slower on some. */
#include "vm/jit/llvm/emit.h"

#define F(v) emit_double(e, v)
#define I32(v) emit_int32(e, v)
#define PICK(c, x, y) LLVMBuildSelect(e->b, c, x, y, "")

static V lane(Emit *e, uint32_t k) {
  return LLVMConstInt(e->i32, k, 0);
}

/* Elements base[index * stride + offset], index <n x i64>. */
static V gather(Emit *e, LLVMTypeRef element, LLVMTypeRef vector, V base, V index, uint32_t stride,
                uint32_t offset) {
  V v = LLVMGetUndef(vector);
  for (uint32_t k = 0; k < JIT_LANES; k++) {
    V at = LLVMBuildExtractElement(e->b, index, lane(e, k), "");
    at = LLVMBuildMul(e->b, at, LLVMConstInt(e->i64, stride, 0), "");
    at = LLVMBuildAdd(e->b, at, LLVMConstInt(e->i64, offset, 0), "");
    v = LLVMBuildInsertElement(e->b, v, emit_load_one(e, element, base, at), lane(e, k), "");
  }
  return v;
}

static V widen(Emit *e, V code) { /* codes are unsigned */
  return LLVMBuildZExt(e->b, code, e->v64, "");
}

/* Number of the level of each row, -1 for none. */
static V level(Emit *e, V table, V code) {
  V at = gather(e, e->i32, e->v32, table, widen(e, code), sizeof(int32_t), 0);
  return LLVMBuildSub(e->b, at, I32(1), "");
}

static V is_none(Emit *e, V number) {
  return LLVMBuildICmp(e->b, LLVMIntSLT, number, I32(0), "");
}

static void cell(Emit *e, const JitNode *n, V code, Val *out) {
  V at = widen(e, code), table = e->table[n->slot];
  if (n->type == JIT_F64)
    out->v = gather(e, e->f64, e->vf, table, at, 16, 0);
  else
    out->v = gather(e, e->i64, e->v64, table, at, 16, 0);
  if (n->type == JIT_B) /* a byte 0 or 1, and what stands behind it */
    out->v = LLVMBuildTrunc(e->b, out->v, e->vb, "");
  if (n->i) {
    V null = gather(e, e->i8, e->vbyte, table, at, 16, 8);
    out->null = emit_or(e, out->null, LLVMBuildICmp(e->b, LLVMIntNE, null, LLVMConstNull(e->vbyte), ""));
  }
}

/* Tables: number of the key + 1 by code; row of the table by number, -1 for none; values; whether they are
 * null. Arg 1: where the values of the row's variant begin. */
static void lookup(Emit *e, const JitNode *n, const Val *a, Val *out) {
  V number = level(e, e->table[n->slot], a[0].v), none = is_none(e, number);
  V row = gather(e, e->i32, e->v32, e->table[n->slot + 1], widen(e, PICK(none, I32(0), number)),
                 sizeof(int32_t), 0);
  none = LLVMBuildOr(e->b, none, is_none(e, row), "");
  none = emit_or(e, none, a[0].null);
  V at = widen(e, PICK(none, I32(0), row));
  if (n->narg > 1)
    at = LLVMBuildAdd(e->b, at, a[1].v, "");
  if (n->type == JIT_F64)
    out->v = gather(e, e->f64, e->vf, e->table[n->slot + 2], at, 8, 0);
  else
    out->v = gather(e, e->i64, e->v64, e->table[n->slot + 2], at, 8, 0);
  if (n->i) {
    V null = gather(e, e->i8, e->vbyte, e->table[n->slot + 3], at, 1, 0);
    none = LLVMBuildOr(e->b, none, LLVMBuildICmp(e->b, LLVMIntNE, null, LLVMConstNull(e->vbyte), ""), "");
  }
  out->null = none;
}

/* ---- The order of vm/kernel/dot.h: eight lanes by the number of the feature, folded ---- */

static void add_number(Emit *e, V sum[8], uint32_t at, V x, double coefficient) {
  sum[at % 8] = LLVMBuildFAdd(e->b, sum[at % 8], LLVMBuildFMul(e->b, x, F(coefficient), ""), "");
}

/* A one-hot slot has one term that is not 0, in the lane of its element; a 0 changes no lane. */
static void add_hot(Emit *e, V sum[8], uint32_t first, V hot, const double *coefficient) {
  V base = LLVMConstIntToPtr(LLVMConstInt(e->i64, (uint64_t)(uintptr_t)coefficient, 0), e->bytes);
  V up = LLVMBuildAdd(e->b, hot, I32(1), "");
  V term = gather(e, e->f64, e->vf, base, widen(e, up), 8, 0);
  V where = LLVMBuildAnd(e->b, LLVMBuildAdd(e->b, hot, I32((int32_t)(first % 8)), ""), I32(7), "");
  for (uint32_t l = 0; l < 8; l++) {
    V here = LLVMBuildICmp(e->b, LLVMIntEQ, where, I32((int32_t)l), "");
    sum[l] = LLVMBuildFAdd(e->b, sum[l], PICK(here, term, F(0)), "");
  }
}

static void dot(Emit *e, const JitNode *n, const Val *a, Val *out) {
  V sum[8], bad = NULL;
  uint32_t at = 0;
  for (uint32_t l = 0; l < 8; l++)
    sum[l] = F(0);
  for (uint32_t k = 0; k < n->narg; k++) {
    bad = emit_or(e, bad, a[k].null);
    if (n->hot[k]) {
      add_hot(e, sum, at, a[k].v, n->hot[k]);
    } else {
      V finite = LLVMBuildFCmp(e->b, LLVMRealOLT, emit_math(e, "llvm.fabs", a[k].v), F(__builtin_inf()), "");
      bad = emit_or(e, bad, LLVMBuildNot(e->b, finite, ""));
      add_number(e, sum, at, a[k].v, n->list[at]);
    }
    at += n->width[k];
  }
#define PLUS(x, y) LLVMBuildFAdd(e->b, x, y, "")
  V all = PLUS(PLUS(PLUS(sum[0], sum[4]), PLUS(sum[2], sum[6])),
               PLUS(PLUS(sum[1], sum[5]), PLUS(sum[3], sum[7])));
  out->v = at ? PLUS(F(n->f), all) : F(n->f);
#undef PLUS
  if (bad)
    emit_bad(e, n, bad, NULL);
}

bool emit_table(Emit *e, const JitNode *n, const Val *a, Val *out) {
  *out = (Val){NULL, NULL};
  if (n->op == JIT_DOT) {
    dot(e, n, a, out);
    return true;
  }
  V code = n->narg ? a[0].v : NULL, null = n->narg ? a[0].null : NULL, number;
  out->null = null;
  switch (n->op) {
  case JIT_CELL:
    cell(e, n, code, out);
    return true;
  case OP_LOOKUP_I64:
  case OP_LOOKUP_F64:
    lookup(e, n, a, out);
    return true;
  case OP_LEVEL_STR:
    out->v = LLVMBuildSIToFP(e->b, level(e, e->table[n->slot], code), e->vf, "");
    return true;
  case OP_INDICATOR_STR:
    out->v = level(e, e->table[n->slot], code);
    if (null)
      out->v = PICK(null, I32(-1), out->v);
    return true;
  case OP_INDEX_OF_STR:
    number = level(e, e->table[n->slot], code);
    out->null = emit_or(e, null, is_none(e, number));
    out->v = LLVMBuildSExt(e->b, number, e->v64, "");
    return true;
  case OP_PART_OF_STR:
    number = level(e, e->table[n->slot], code);
    emit_bad(e, n, emit_or(e, null, is_none(e, number)), NULL);
    *out = (Val){LLVMBuildSExt(e->b, number, e->v64, ""), NULL};
    return true;
  case OP_CHECK_IN_STR:
    emit_bad(e, n, is_none(e, level(e, e->table[n->slot], code)), null);
    out->v = code;
    return true;
  default:
    return false;
  }
}
