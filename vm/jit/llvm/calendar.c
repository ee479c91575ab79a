/* SPDX-License-Identifier: Apache-2.0 */
/* Dates, timestamps, durations: the same operations as in vm/interp/op_time.c, which explains them; days are
 * 32-bit numbers. */
#include "vm/interp/calendar.h"
#include "vm/jit/llvm/emit.h"

#define ADD(x, y) LLVMBuildAdd(e->b, x, y, "")
#define SUB(x, y) LLVMBuildSub(e->b, x, y, "")
#define MUL(x, y) LLVMBuildMul(e->b, x, y, "")
#define AND(x, y) LLVMBuildAnd(e->b, x, y, "")
#define OR(x, y) LLVMBuildOr(e->b, x, y, "")
#define SHR(x, y) LLVMBuildLShr(e->b, x, y, "")
#define UDIV(x, y) LLVMBuildUDiv(e->b, x, y, "")
#define ICMP(how, x, y) LLVMBuildICmp(e->b, LLVMInt##how, x, y, "")
#define PICK(c, x, y) LLVMBuildSelect(e->b, c, x, y, "")
#define FSUB(x, y) LLVMBuildFSub(e->b, x, y, "")
#define FMUL(x, y) LLVMBuildFMul(e->b, x, y, "")
#define FDIV(x, y) LLVMBuildFDiv(e->b, x, y, "")
#define FLOOR(x) emit_math(e, "llvm.floor", x)
#define I(v) emit_int(e, v)
#define U(v) emit_int32(e, (int32_t)(v))
#define F(v) emit_double(e, v)

static V to_double(Emit *e, V v) {
  return FSUB(LLVMBuildBitCast(e->b, OR(v, I(0x4330000000000000)), e->vf, ""), F(0x1p52));
}

static V from_double(Emit *e, V d) {
  d = LLVMBuildBitCast(e->b, LLVMBuildFAdd(e->b, d, F(0x1p52), ""), e->v64, "");
  return LLVMBuildXor(e->b, d, I(0x4330000000000000), "");
}

static V narrow(Emit *e, V v) {
  return LLVMBuildTrunc(e->b, v, e->v32, "");
}

static V day_of_ts(Emit *e, V us) {
  V u = SHR(ADD(us, I(INT64_MIN)), I(13));
  V q = FLOOR(FDIV(FSUB(to_double(e, u), F(0x1p50)), F(10546875.0)));
  return narrow(e, from_double(e, LLVMBuildFAdd(e->b, q, F(SHIFT_DAYS), "")));
}

static V day_of_date(Emit *e, V days) {
  days = PICK(ICMP(SGT, days, I(DAYS_MAX)), I(DAYS_MAX), days);
  days = PICK(ICMP(SLT, days, I(-DAYS_MAX)), I(-DAYS_MAX), days);
  return narrow(e, ADD(days, I(SHIFT_DAYS)));
}

static V us_of_day(Emit *e, V us) {
  V day = LLVMBuildZExt(e->b, day_of_ts(e, us), e->v64, "");
  return SUB(us, MUL(SUB(day, I(SHIFT_DAYS)), I(DAY_US)));
}

typedef struct Civil {
  V year, of_year;
} Civil;

static Civil civil(Emit *e, V n) {
  V n1 = ADD(MUL(n, U(4)), U(3));
  V century = UDIV(n1, U(DAYS_ERA));
  V n2 = OR(SUB(n1, MUL(century, U(DAYS_ERA))), U(3));
  V p2 = MUL(I(2939745), LLVMBuildZExt(e->b, n2, e->v64, ""));
  V of_year = UDIV(UDIV(narrow(e, p2), U(2939745)), U(4));
  return (Civil){ADD(MUL(century, U(100)), narrow(e, SHR(p2, I(32)))), of_year};
}

static V after_new_year(Emit *e, Civil c) {
  return LLVMBuildZExt(e->b, ICMP(UGE, c.of_year, U(306)), e->v32, "");
}

static V year_of(Emit *e, V n) {
  Civil c = civil(e, n);
  return SUB(ADD(c.year, after_new_year(e, c)), U(SHIFT_YEARS));
}

static V month_days(Emit *e, Civil c) {
  return ADD(MUL(c.of_year, U(2141)), U(197913));
}

static V month_of(Emit *e, V n) {
  Civil c = civil(e, n);
  return SUB(SHR(month_days(e, c), U(16)), MUL(after_new_year(e, c), U(12)));
}

static V day_of(Emit *e, V n) {
  return ADD(UDIV(AND(month_days(e, civil(e, n)), U(0xffff)), U(2141)), U(1));
}

static V quarter_of(Emit *e, V n) {
  return UDIV(ADD(month_of(e, n), U(2)), U(3));
}

static V is_multiple(Emit *e, V y, uint32_t of) {
  return ICMP(EQ, LLVMBuildURem(e->b, y, U(of), ""), U(0));
}

static V day_of_year(Emit *e, V n) {
  Civil c = civil(e, n);
  V leap = AND(is_multiple(e, c.year, 4),
               OR(LLVMBuildNot(e->b, is_multiple(e, c.year, 100), ""), is_multiple(e, c.year, 400)));
  V early = ADD(ADD(c.of_year, U(60)), LLVMBuildZExt(e->b, leap, e->v32, ""));
  return PICK(ICMP(UGE, c.of_year, U(306)), SUB(c.of_year, U(305)), early);
}

static V weekday_of(Emit *e, V n) {
  return ADD(LLVMBuildURem(e->b, ADD(n, U(WEEKDAY_PLUS)), U(7), ""), U(1));
}

static V week_of(Emit *e, V n) {
  V thursday = SUB(ADD(n, U(4)), weekday_of(e, n));
  return UDIV(ADD(day_of_year(e, thursday), U(6)), U(7));
}

/* Of a day a number that may be negative: the year. */
static V calendar(Emit *e, uint32_t op, V x) {
  switch (op) {
  case OP_YEAR_DATE:
    return year_of(e, day_of_date(e, x));
  case OP_YEAR_TS:
    return year_of(e, day_of_ts(e, x));
  case OP_QUARTER_DATE:
    return quarter_of(e, day_of_date(e, x));
  case OP_QUARTER_TS:
    return quarter_of(e, day_of_ts(e, x));
  case OP_MONTH_DATE:
    return month_of(e, day_of_date(e, x));
  case OP_MONTH_TS:
    return month_of(e, day_of_ts(e, x));
  case OP_DAY_DATE:
    return day_of(e, day_of_date(e, x));
  case OP_DAY_TS:
    return day_of(e, day_of_ts(e, x));
  case OP_WEEKDAY_DATE:
    return weekday_of(e, day_of_date(e, x));
  case OP_WEEKDAY_TS:
    return weekday_of(e, day_of_ts(e, x));
  case OP_DAY_OF_YEAR_DATE:
    return day_of_year(e, day_of_date(e, x));
  case OP_DAY_OF_YEAR_TS:
    return day_of_year(e, day_of_ts(e, x));
  case OP_WEEK_DATE:
    return week_of(e, day_of_date(e, x));
  case OP_WEEK_TS:
    return week_of(e, day_of_ts(e, x));
  default:
    return NULL;
  }
}

static V units(Emit *e, V us, double unit) {
  return FLOOR(FDIV(to_double(e, us_of_day(e, us)), F(unit)));
}

static V within(Emit *e, V v, double of) {
  return from_double(e, FSUB(v, FMUL(F(of), FLOOR(FDIV(v, F(of))))));
}

static V in_units(Emit *e, V us, double unit) {
  return FDIV(LLVMBuildSIToFP(e->b, us, e->vf, ""), F(unit));
}

static V clock(Emit *e, uint32_t op, V x) {
  switch (op) {
  case OP_HOUR_TS:
    return from_double(e, units(e, x, 3600e6));
  case OP_MINUTE_TS:
    return within(e, units(e, x, 60e6), 60);
  case OP_SECOND_TS:
    return within(e, units(e, x, 1e6), 60);
  case OP_DAYS_DUR:
    return in_units(e, x, 86400e6);
  case OP_HOURS_DUR:
    return in_units(e, x, 3600e6);
  case OP_MINUTES_DUR:
    return in_units(e, x, 60e6);
  case OP_SECONDS_DUR:
    return in_units(e, x, 1e6);
  case OP_CAST_TS_DATE:
    return SUB(LLVMBuildZExt(e->b, day_of_ts(e, x), e->v64, ""), I(SHIFT_DAYS));
  default:
    return NULL;
  }
}

/* The product has to fit. */
static void scale(Emit *e, const JitNode *n, V x, int64_t unit, V bad, Val *out) {
  int64_t limit = INT64_MAX / unit;
  V large = OR(ICMP(SGT, x, I(limit)), ICMP(SLT, x, I(-limit)));
  out->v = MUL(x, I(unit));
  emit_bad(e, n, emit_or(e, bad, large), out->null);
}

bool emit_time(Emit *e, const JitNode *n, const Val *a, Val *out) {
  V x = n->narg ? a[0].v : NULL, d, over;
  *out = (Val){NULL, NULL};
  for (uint32_t k = 0; k < n->narg; k++)
    out->null = emit_or(e, out->null, a[k].null);
  switch (n->op) {
  case OP_OF_DAYS_I64:
  case OP_CAST_DATE_TS:
    scale(e, n, x, DAY_US, NULL, out);
    return true;
  case OP_OF_HOURS_I64:
    scale(e, n, x, HOUR_US, NULL, out);
    return true;
  case OP_SUB_DAYS_I64:
    d = SUB(x, a[1].v);
    over = AND(LLVMBuildXor(e->b, x, a[1].v, ""), LLVMBuildXor(e->b, x, d, ""));
    scale(e, n, d, DAY_US, ICMP(SLT, over, I(0)), out);
    return true;
  default:
    break;
  }
  if ((out->v = calendar(e, n->op, x)))
    out->v = LLVMBuildSExt(e->b, out->v, e->v64, "");
  else
    out->v = clock(e, n->op, x);
  return out->v != NULL;
}
