/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic, comparison, truth, nulls, choice, casts, checks: the value of a node from those of its
 * arguments. Beside every case stands the meaning in vm/ops.def; what it does is what op_num.c, op_cmp.c and
 * op_check.c do. */
#include <string.h>

#include "vm/jit/llvm/emit.h"

#define FADD(x, y) LLVMBuildFAdd(e->b, x, y, "")
#define FSUB(x, y) LLVMBuildFSub(e->b, x, y, "")
#define FMUL(x, y) LLVMBuildFMul(e->b, x, y, "")
#define FDIV(x, y) LLVMBuildFDiv(e->b, x, y, "")
#define FCMP(how, x, y) LLVMBuildFCmp(e->b, LLVMReal##how, x, y, "")
#define ICMP(how, x, y) LLVMBuildICmp(e->b, LLVMInt##how, x, y, "")
#define AND(x, y) LLVMBuildAnd(e->b, x, y, "")
#define OR(x, y) LLVMBuildOr(e->b, x, y, "")
#define XOR(x, y) LLVMBuildXor(e->b, x, y, "")
#define NOT(x) LLVMBuildNot(e->b, x, "")
#define PICK(c, x, y) LLVMBuildSelect(e->b, c, x, y, "")
#define F(v) emit_double(e, v)
#define I(v) emit_int(e, v)

static V is_nan(Emit *e, V x) {
  return FCMP(UNO, x, x);
}

static V negative(Emit *e, V x) {
  return ICMP(SLT, x, I(0));
}

/* ---- Doubles ---- */

/* x != x ? x : y != y ? y : y < x ? y : x */
static V extreme(Emit *e, V x, V y, LLVMRealPredicate y_wins) {
  V v = PICK(LLVMBuildFCmp(e->b, y_wins, y, x, ""), y, x);
  return PICK(is_nan(e, x), x, PICK(is_nan(e, y), y, v));
}

static V sign_f64(Emit *e, V x) {
  V v = PICK(FCMP(OGT, x, F(0)), F(1), PICK(FCMP(OLT, x, F(0)), F(-1), F(0)));
  return PICK(is_nan(e, x), x, v);
}

static V round_f64(Emit *e, V x) {
  V t = emit_math(e, "llvm.trunc", x);
  V away = FCMP(OGE, emit_math(e, "llvm.fabs", FSUB(x, t)), F(0.5));
  V up = PICK(away, emit_math2(e, "llvm.copysign", F(1), x), emit_math2(e, "llvm.copysign", F(0), x));
  return PICK(FCMP(OLT, emit_math(e, "llvm.fabs", x), F(0x1p52)), FADD(t, up), x);
}

static V double_step(Emit *e, uint32_t op, V x, V y) {
  switch (op) {
  case OP_ADD_F64:
    return FADD(x, y);
  case OP_SUB_F64:
    return FSUB(x, y);
  case OP_MUL_F64:
    return FMUL(x, y);
  case OP_DIV_F64:
    return FDIV(x, y);
  case OP_IDIV_F64:
    return emit_math(e, "llvm.floor", FDIV(x, y));
  case OP_LEAST_F64:
    return extreme(e, x, y, LLVMRealOLT);
  case OP_GREATEST_F64:
    return extreme(e, x, y, LLVMRealOGT);
  case OP_NEG_F64:
    return LLVMBuildFNeg(e->b, x, "");
  case OP_ABS_F64:
    return emit_math(e, "llvm.fabs", x);
  case OP_SIGN_F64:
    return sign_f64(e, x);
  case OP_SQRT_F64:
    return emit_math(e, "llvm.sqrt", x);
  case OP_FLOOR_F64:
    return emit_math(e, "llvm.floor", x);
  case OP_CEIL_F64:
    return emit_math(e, "llvm.ceil", x);
  case OP_TRUNC_F64:
    return emit_math(e, "llvm.trunc", x);
  case OP_ROUND_F64:
    return round_f64(e, x);
  case OP_NONZERO_F64:
    return PICK(FCMP(OEQ, x, F(0)), F(1), x);
  case OP_IS_NAN_F64:
    return is_nan(e, x);
  case OP_IS_FINITE_F64:
    return FCMP(OLT, emit_math(e, "llvm.fabs", x), F(__builtin_inf()));
  default:
    return NULL;
  }
}

/* ---- Integers. Where a row is bad its value does not matter: the panel is interpreted then ---- */

/* Overflow for certain, or not excluded by the product in doubles, which is off by less than one part in
 * 2^51. */
static V mul_is_large(Emit *e, V x, V y) {
  V p = FMUL(LLVMBuildSIToFP(e->b, x, e->vf, ""), LLVMBuildSIToFP(e->b, y, e->vf, ""));
  return NOT(FCMP(OLT, emit_math(e, "llvm.fabs", p), F(0x1.fffffffffff00p62)));
}

/* floor(x / y) and the rest, for y but 0 and -1, on which the machine would stop; there the caller says what
 * is so. */
static V safe_divisor(Emit *e, V y) {
  return PICK(OR(ICMP(EQ, y, I(0)), ICMP(EQ, y, I(-1))), I(1), y);
}

static V idiv_floor(Emit *e, V x, V y) {
  V d = safe_divisor(e, y), q = LLVMBuildSDiv(e->b, x, d, "");
  V rest = LLVMBuildSub(e->b, x, LLVMBuildMul(e->b, q, d, ""), "");
  V down = AND(ICMP(NE, rest, I(0)), ICMP(NE, negative(e, x), negative(e, d)));
  V v = LLVMBuildSub(e->b, q, LLVMBuildZExt(e->b, down, e->v64, ""), "");
  v = PICK(ICMP(EQ, y, I(-1)), LLVMBuildSub(e->b, I(0), x, ""), v);
  return PICK(ICMP(EQ, y, I(0)), I(0), v);
}

static V imod_floor(Emit *e, V x, V y) {
  V d = safe_divisor(e, y), m = LLVMBuildSRem(e->b, x, d, "");
  V other = AND(ICMP(NE, m, I(0)), ICMP(NE, negative(e, m), negative(e, d)));
  m = PICK(other, LLVMBuildAdd(e->b, m, d, ""), m);
  return PICK(OR(ICMP(EQ, y, I(0)), ICMP(EQ, y, I(-1))), I(0), m);
}

static bool integer_step(Emit *e, const JitNode *n, V x, V y, Val *out) {
  V bad = NULL, v;
  switch (n->op) {
  case OP_ADD_I64:
    v = LLVMBuildAdd(e->b, x, y, "");
    bad = negative(e, AND(XOR(x, v), XOR(y, v)));
    break;
  case OP_SUB_I64:
    v = LLVMBuildSub(e->b, x, y, "");
    bad = negative(e, AND(XOR(x, y), XOR(x, v)));
    break;
  case OP_MUL_I64:
    v = LLVMBuildMul(e->b, x, y, "");
    bad = mul_is_large(e, x, y);
    break;
  case OP_IDIV_I64:
    v = idiv_floor(e, x, y);
    bad = AND(ICMP(EQ, x, I(INT64_MIN)), ICMP(EQ, y, I(-1)));
    out->null = emit_or(e, out->null, ICMP(EQ, y, I(0)));
    break;
  case OP_MOD_I64:
    v = imod_floor(e, x, y);
    out->null = emit_or(e, out->null, ICMP(EQ, y, I(0)));
    break;
  case OP_NEG_I64:
    v = LLVMBuildSub(e->b, I(0), x, "");
    bad = ICMP(EQ, x, I(INT64_MIN));
    break;
  case OP_ABS_I64:
    v = PICK(negative(e, x), LLVMBuildSub(e->b, I(0), x, ""), x);
    bad = ICMP(EQ, x, I(INT64_MIN));
    break;
  case OP_SIGN_I64:
    v = PICK(ICMP(SGT, x, I(0)), I(1), LLVMBuildSExt(e->b, negative(e, x), e->v64, ""));
    break;
  case OP_LEAST_I64:
    v = PICK(ICMP(SLT, y, x), y, x);
    break;
  case OP_GREATEST_I64:
    v = PICK(ICMP(SGT, y, x), y, x);
    break;
  default:
    return false;
  }
  if (bad)
    emit_bad(e, n, bad, out->null);
  out->v = v;
  return true;
}

/* ---- Comparison ---- */

static V compare(Emit *e, uint32_t op, V x, V y) {
  switch (op) {
  case OP_EQ_B:
  case OP_EQ_I64:
    return ICMP(EQ, x, y);
  case OP_NE_B:
  case OP_NE_I64:
    return ICMP(NE, x, y);
  case OP_LT_I64:
    return ICMP(SLT, x, y);
  case OP_LE_I64:
    return ICMP(SLE, x, y);
  case OP_GT_I64:
    return ICMP(SGT, x, y);
  case OP_GE_I64:
    return ICMP(SGE, x, y);
  case OP_EQ_F64:
    return FCMP(OEQ, x, y);
  case OP_NE_F64:
    return FCMP(UNE, x, y);
  case OP_LT_F64:
    return FCMP(OLT, x, y);
  case OP_LE_F64:
    return FCMP(OLE, x, y);
  case OP_GT_F64:
    return FCMP(OGT, x, y);
  case OP_GE_F64:
    return FCMP(OGE, x, y);
  case OP_NOT_B:
    return NOT(x);
  default:
    return NULL;
  }
}

/* ---- Truth, nulls, choice: what is under a null is not looked at ---- */

static V equal(Emit *e, const JitNode *n, V x, V y) {
  return n->type == JIT_F64 ? FCMP(OEQ, x, y) : ICMP(EQ, x, y);
}

static bool choice(Emit *e, const JitNode *n, const Val *a, Val *out) {
  V zero = emit_truth(e, false);
  V an = a[0].null ? a[0].null : zero, bn = n->narg > 1 && a[1].null ? a[1].null : zero;
  V cn = n->narg > 2 && a[2].null ? a[2].null : zero;
  V at = NULL, bt = NULL; /* true, and not null */
  switch (n->op) {
  case OP_AND_B:
  case OP_OR_B:
  case OP_KEEP:
  case OP_NULL_WHEN_B:
  case OP_NULL_WHEN_I64:
  case OP_NULL_WHEN_F64:
    at = AND(a[0].v, NOT(an));
    break;
  default:
    break;
  }
  switch (n->op) {
  case OP_AND_B:
    bt = AND(a[1].v, NOT(bn));
    out->v = AND(at, bt);
    out->null = AND(OR(an, bn), AND(OR(an, at), OR(bn, bt)));
    break;
  case OP_OR_B:
    bt = AND(a[1].v, NOT(bn));
    out->v = OR(at, bt);
    out->null = AND(OR(an, bn), NOT(out->v));
    break;
  case OP_IS_NULL_B:
  case OP_IS_NULL_I64:
  case OP_IS_NULL_F64:
  case OP_IS_NULL_STR:
    out->v = an;
    break;
  case OP_IF_B:
  case OP_IF_I64:
  case OP_IF_F64:
    out->v = PICK(a[0].v, a[1].v, a[2].v);
    out->null = OR(an, PICK(a[0].v, bn, cn));
    break;
  case OP_COALESCE_B:
  case OP_COALESCE_I64:
  case OP_COALESCE_F64:
    out->v = PICK(an, a[1].v, a[0].v);
    out->null = AND(an, bn);
    break;
  case OP_NULL_IF_B:
  case OP_NULL_IF_I64:
  case OP_NULL_IF_F64:
    out->v = a[0].v;
    out->null = OR(an, AND(equal(e, n, a[0].v, a[1].v), NOT(bn)));
    break;
  case OP_NULL_WHEN_B:
  case OP_NULL_WHEN_I64:
  case OP_NULL_WHEN_F64:
    out->v = a[1].v;
    out->null = OR(at, bn);
    break;
  case OP_KEEP:
    out->v = at;
    break;
  default:
    return false;
  }
  if (!n->nullable)
    out->null = NULL;
  return true;
}

/* ---- Casts ---- */

static V fits_i64(Emit *e, V x) {
  return AND(FCMP(OGE, x, F(-0x1p63)), FCMP(OLT, x, F(0x1p63)));
}

static bool cast(Emit *e, const JitNode *n, V x, Val *out) {
  V fits;
  switch (n->op) {
  case OP_CAST_B_I64:
    out->v = LLVMBuildZExt(e->b, x, e->v64, "");
    return true;
  case OP_CAST_B_F64:
    out->v = PICK(x, F(1), F(0));
    return true;
  case OP_CAST_I64_F64:
    out->v = LLVMBuildSIToFP(e->b, x, e->vf, "");
    return true;
  case OP_CAST_F64_I64:
    fits = fits_i64(e, x);
    out->v = LLVMBuildFPToSI(e->b, PICK(fits, x, F(0)), e->v64, "");
    emit_bad(e, n, NOT(fits), out->null);
    return true;
  default:
    return false;
  }
}

/* ---- Checks, shares ---- */

static bool check(Emit *e, const JitNode *n, const Val *a, Val *out) {
  V x = a[0].v;
  switch (n->op) {
  case OP_CHECK_RANGE_I64:
    emit_bad(e, n, OR(ICMP(SLT, x, I(n->i)), ICMP(SGT, x, I(n->j))), a[0].null);
    break;
  case OP_CHECK_RANGE_F64:
    emit_bad(e, n, OR(FCMP(OLT, x, F(n->f)), FCMP(OGT, x, F(n->g))), a[0].null);
    break;
  case OP_CHECK_NAN_F64:
    emit_bad(e, n, is_nan(e, x), a[0].null);
    break;
  case OP_CHECK_NULL_B:
  case OP_CHECK_NULL_I64:
  case OP_CHECK_NULL_F64:
  case OP_CHECK_NULL_STR:
    if (a[0].null)
      emit_bad(e, n, a[0].null, NULL);
    *out = (Val){x, NULL};
    return true;
  default:
    return false;
  }
  *out = a[0];
  return true;
}

/* How many of the list are <= x. */
static V count_up_to(Emit *e, const JitNode *n, V x, V zero, LLVMTypeRef type) {
  V sum = zero;
  for (uint32_t k = 0; k < n->nlist; k++)
    sum = LLVMBuildAdd(e->b, sum, LLVMBuildZExt(e->b, FCMP(OLE, F(n->list[k]), x), type, ""), "");
  return sum;
}

static bool shares(Emit *e, const JitNode *n, V x, Val *out) {
  V last;
  switch (n->op) {
  case OP_CUT_F64:
    out->v = count_up_to(e, n, x, I(0), e->v64);
    return true;
  case OP_BUCKET_F64:
    out->v = count_up_to(e, n, x, emit_int32(e, 0), e->v32);
    emit_bad(e, n, is_nan(e, x), out->null);
    return true;
  case OP_FOLD_OF_F64:
    last = F((double)n->i - 1);
    x = emit_math(e, "llvm.floor", FMUL(x, F((double)n->i)));
    x = PICK(FCMP(OLT, x, last), x, last);
    out->v = LLVMBuildFPToSI(e->b, PICK(FCMP(OGT, x, F(0)), x, F(0)), e->v64, "");
    return true;
  default:
    return false;
  }
}

bool emit_step(Emit *e, const JitNode *n, const Val *a, Val *out) {
  V x = n->narg ? a[0].v : NULL, y = n->narg > 1 ? a[1].v : NULL;
  *out = (Val){NULL, NULL};
  if (choice(e, n, a, out))
    return true;
  for (uint32_t k = 0; k < n->narg; k++)
    out->null = emit_or(e, out->null, a[k].null);
  if ((out->v = double_step(e, n->op, x, y)) || (out->v = compare(e, n->op, x, y)))
    return true;
  return integer_step(e, n, x, y, out) || cast(e, n, x, out) || check(e, n, a, out) || shares(e, n, x, out);
}
