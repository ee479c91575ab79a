/* SPDX-License-Identifier: Apache-2.0 */
/* Algebraic simplification.   requires: folded constants   breaks: dead
 *
 *   %2 = mul.f64 %0 %1      (%1 = 1)                 ->   %0 takes the place of %2
 *   %3 = coalesce.f64 %0 %2 (%0 is never null)       ->   %0 takes the place of %3
 *   %4 = div.f64 %0 %1      (%1 = 8)                 ->   %4 = mul.f64 %0 0.125
 *
 * Every rule keeps every bit, for zeros of both signs, infinities, NaN and null alike; none reassociates or
 * distributes. So x + 0 stays (-0 + 0 is 0), and x - 0 goes. The table at the end of this file has them all,
 * with an example each. A step that could be a data error never goes. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "compiler/pass.h"
#include "vm/ops.h"

typedef struct Simplify {
  RowProg *p;
  uint32_t *to;       /* by step: the one that takes its place, itself as a rule; arguments follow */
  const IrAgg *agg;
  uint32_t nagg;
  Arena *arena;
} Simplify;

static const IrVal *arg(const Simplify *s, const IrVal *v, uint32_t k) {
  return &s->p->val[v->arg[k]];
}

static bool is_f64(const IrVal *v, double c) {
  return v->op == OP_CONST_F64 && memcmp(&v->f, &c, sizeof c) == 0; /* 0 is not -0 */
}

static bool is_i64(const IrVal *v, int64_t c) {
  return v->op == OP_CONST_I64 && v->i == c;
}

static bool is_bool(const IrVal *v, bool c) {
  return v->op == OP_CONST_B && (v->i != 0) == c;
}

static bool becomes(Simplify *s, const IrVal *v, uint32_t k) {
  s->to[v - s->p->val] = v->arg[k];
  return true;
}

/* v takes the op and arguments of a. */
static bool becomes_like(Simplify *s, IrVal *v, uint16_t op, const IrVal *a) {
  uint32_t *copy = NEWN(s->arena, uint32_t, a->narg + 1);
  if (!copy)
    return false;
  memcpy(copy, a->arg, a->narg * sizeof *copy);
  v->op = op;
  v->narg = a->narg;
  v->arg = copy;
  return true;
}

static bool becomes_bool(IrVal *v, bool c) {
  *v = (IrVal){.op = OP_CONST_B, .type = IR_BOOL, .scalar = true, .i = c, .line = v->line, .col = v->col};
  return true;
}

/* ---- Rules: true where one applied ---- */

static bool unit_right_f64(Simplify *s, IrVal *v) {
  double unit = v->op == OP_SUB_F64 ? 0.0 : v->op == OP_ADD_F64 ? -0.0 : 1.0;
  return is_f64(arg(s, v, 1), unit) && becomes(s, v, 0);
}

static bool unit_left_f64(Simplify *s, IrVal *v) {
  return is_f64(arg(s, v, 0), v->op == OP_ADD_F64 ? -0.0 : 1.0) && becomes(s, v, 1);
}

static bool unit_right_i64(Simplify *s, IrVal *v) {
  return is_i64(arg(s, v, 1), v->op == OP_MUL_I64 || v->op == OP_IDIV_I64) && becomes(s, v, 0);
}

static bool unit_left_i64(Simplify *s, IrVal *v) {
  return is_i64(arg(s, v, 0), v->op == OP_MUL_I64) && becomes(s, v, 1);
}

/* Is step `at` read by one step alone, once? */
static bool read_once(const Simplify *s, uint32_t at) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < s->p->nval; i++)
    for (uint32_t k = 0; k < s->p->val[i].narg; k++)
      n += s->p->val[i].arg[k] == at;
  for (uint32_t i = 0; i < s->p->nout; i++)
    n += s->p->out[i].val == at;
  for (uint32_t i = 0; i < s->nagg; i++) {
    const IrAgg *g = &s->agg[i];
    n += (g->arg == (int32_t)at) + (g->where == (int32_t)at) + (g->weight == (int32_t)at);
    for (uint32_t k = 0; k < g->nkey; k++)
      n += g->key[k] == at;
  }
  return n == 1;
}

/* The quotient by a power of two and the product with its reciprocal are one number, rounded once. */
static bool reciprocal(Simplify *s, IrVal *v) {
  const IrVal *c = arg(s, v, 1);
  int exponent;
  if (c->op != OP_CONST_F64 || !(fabs(c->f) > 0x1p-1000 && fabs(c->f) < 0x1p1000) ||
      fabs(frexp(c->f, &exponent)) != 0.5)
    return false;
  uint32_t at = v->arg[1]; /* the constant may change where it belongs to this step alone */
  if (!read_once(s, at))
    return false;
  s->p->val[at].f = 1 / c->f;
  v->op = OP_MUL_F64;
  return true;
}

static bool twice(Simplify *s, IrVal *v) {
  const IrVal *a = arg(s, v, 0);
  if (a->op != v->op)
    return false;
  s->to[v - s->p->val] = v->op == OP_NEG_F64 || v->op == OP_NOT_B ? a->arg[0] : v->arg[0];
  return true;
}

static bool same_args(Simplify *s, IrVal *v) {
  return v->arg[0] == v->arg[1] && becomes(s, v, 0);
}

static bool never_null(Simplify *s, IrVal *v) {
  if (arg(s, v, 0)->nullable)
    return false;
  return v->op >= OP_IS_NULL_B && v->op <= OP_IS_NULL_STR ? becomes_bool(v, false) : becomes(s, v, 0);
}

static bool choice(Simplify *s, IrVal *v) {
  const IrVal *c = arg(s, v, 0);
  if (c->op == OP_CONST_B)
    return becomes(s, v, c->i ? 1 : 2);
  return !c->nullable && v->arg[1] == v->arg[2] && becomes(s, v, 1);
}

static bool truth(Simplify *s, IrVal *v) {
  for (uint32_t k = 0; k < 2; k++) {
    if (is_bool(arg(s, v, k), v->op == OP_AND_B))
      return becomes(s, v, 1 - k);
    if (is_bool(arg(s, v, k), v->op == OP_OR_B))
      return becomes_bool(v, v->op == OP_OR_B);
  }
  return same_args(s, v);
}

static bool equal_truth(Simplify *s, IrVal *v) {
  for (uint32_t k = 0; k < 2; k++)
    if (is_bool(arg(s, v, k), v->op == OP_EQ_B))
      return becomes(s, v, 1 - k);
  return false;
}

/* Not of doubles: neither a < NaN nor a >= NaN. */
static bool opposite(Simplify *s, IrVal *v) {
  static const uint16_t pair[][2] = {{OP_LT_I64, OP_GE_I64}, {OP_LE_I64, OP_GT_I64}, {OP_LT_STR, OP_GE_STR},
                                     {OP_LE_STR, OP_GT_STR}, {OP_EQ_I64, OP_NE_I64}, {OP_EQ_STR, OP_NE_STR},
                                     {OP_EQ_F64, OP_NE_F64}, {OP_EQ_B, OP_NE_B}};
  const IrVal *a = arg(s, v, 0);
  for (uint32_t i = 0; i < sizeof pair / sizeof *pair; i++)
    for (int k = 0; k < 2; k++)
      if (a->op == pair[i][k])
        return becomes_like(s, v, pair[i][1 - k], a);
  return false;
}

static bool cast_twice(Simplify *s, IrVal *v) {
  const IrVal *a = arg(s, v, 0);
  return a->op == OP_CAST_B_I64 && becomes_like(s, v, OP_CAST_B_F64, a);
}

static bool keeps_all(Simplify *s, IrVal *v) {
  return is_bool(arg(s, v, 0), true) && becomes_bool(v, true);
}

static const struct Rule {
  uint16_t first, last; /* ops */
  bool (*apply)(Simplify *s, IrVal *v);
} rule[] = {
    {OP_MUL_F64, OP_DIV_F64, unit_right_f64},     /* x * 1 -> x; x / 1 -> x */
    {OP_SUB_F64, OP_SUB_F64, unit_right_f64},     /* x - 0 -> x */
    {OP_ADD_F64, OP_ADD_F64, unit_right_f64},     /* x + -0 -> x */
    {OP_MUL_F64, OP_MUL_F64, unit_left_f64},      /* 1 * x -> x */
    {OP_ADD_F64, OP_ADD_F64, unit_left_f64},      /* -0 + x -> x */
    {OP_ADD_I64, OP_ADD_I64, unit_right_i64},     /* n + 0 -> n */
    {OP_SUB_I64, OP_SUB_I64, unit_right_i64},     /* n - 0 -> n */
    {OP_MUL_I64, OP_MUL_I64, unit_right_i64},     /* n * 1 -> n */
    {OP_IDIV_I64, OP_IDIV_I64, unit_right_i64},   /* n // 1 -> n */
    {OP_ADD_I64, OP_ADD_I64, unit_left_i64},      /* 0 + n -> n */
    {OP_MUL_I64, OP_MUL_I64, unit_left_i64},      /* 1 * n -> n */
    {OP_DIV_F64, OP_DIV_F64, reciprocal},         /* x / 8 -> x * 0.125 */
    {OP_NEG_F64, OP_NEG_F64, twice},              /* -(-x) -> x */
    {OP_NOT_B, OP_NOT_B, twice},                  /* not not p -> p */
    {OP_ABS_F64, OP_ABS_F64, twice},              /* abs(abs(x)) -> abs(x) */
    {OP_FLOOR_F64, OP_FLOOR_F64, twice},          /* floor(floor(x)) -> floor(x) */
    {OP_CEIL_F64, OP_CEIL_F64, twice},            /* ceil(ceil(x)) -> ceil(x) */
    {OP_ROUND_F64, OP_ROUND_F64, twice},          /* round(round(x)) -> round(x) */
    {OP_TRUNC_F64, OP_TRUNC_F64, twice},          /* trunc(trunc(x)) -> trunc(x) */
    {OP_NONZERO_F64, OP_NONZERO_F64, twice},      /* nonzero(nonzero(x)) -> nonzero(x) */
    {OP_LEAST_I64, OP_GREATEST_F64, same_args},   /* least(x, x) -> x */
    {OP_COALESCE_B, OP_COALESCE_STR, never_null}, /* coalesce(x, y) -> x, where x is never null */
    {OP_IS_NULL_B, OP_IS_NULL_STR, never_null},   /* is_null(x) -> false, where x is never null */
    {OP_IF_B, OP_IF_STR, choice},                 /* if true then x else y -> x; if p then x else x -> x */
    {OP_AND_B, OP_OR_B, truth},                   /* p and true -> p; p and false -> false; p or p -> p */
    {OP_EQ_B, OP_EQ_B, equal_truth},              /* p == true -> p */
    {OP_NE_B, OP_NE_B, equal_truth},              /* p != false -> p */
    {OP_NOT_B, OP_NOT_B, opposite},               /* not (n < m) -> n >= m */
    {OP_CAST_I64_F64, OP_CAST_I64_F64, cast_twice}, /* float(int(p)) -> float(p) */
    {OP_KEEP, OP_KEEP, keeps_all},                /* where true -> nothing */
};

static bool apply(Simplify *s, IrVal *v) {
  for (uint32_t i = 0; i < sizeof rule / sizeof *rule; i++)
    if (v->op >= rule[i].first && v->op <= rule[i].last && rule[i].apply(s, v))
      return true;
  return false;
}

static int32_t moved(const Simplify *s, int32_t val) {
  return val < 0 ? val : (int32_t)s->to[val];
}

static uint32_t simplify(RowProg *p, IrAgg *agg, uint32_t nagg, Arena *a) {
  Simplify s = {.p = p, .to = NEWN(a, uint32_t, p->nval + 1), .agg = agg, .nagg = nagg, .arena = a};
  uint32_t n = 0;
  for (uint32_t i = 0; i < p->nval; i++) {
    IrVal *v = &p->val[i];
    s.to[i] = i;
    for (uint32_t k = 0; k < v->narg; k++)
      v->arg[k] = s.to[v->arg[k]];
    while (s.to[i] == i && apply(&s, v)) /* it may become what another rule takes */
      n++;
  }
  for (uint32_t i = 0; i < p->nout; i++)
    p->out[i].val = s.to[p->out[i].val];
  for (uint32_t i = 0; i < nagg; i++) {
    agg[i].arg = moved(&s, agg[i].arg);
    agg[i].where = moved(&s, agg[i].where);
    agg[i].weight = moved(&s, agg[i].weight);
    for (uint32_t k = 0; k < agg[i].nkey; k++)
      agg[i].key[k] = s.to[agg[i].key[k]];
  }
  if (n)
    pass_renew(p);
  return n;
}

Status pass_simplify(Program *p, Arena *a, uint32_t *changes, Err *e) {
  for (uint32_t i = 0; i < p->nstage; i++) {
    Stage *g = &p->stage[i];
    *changes += simplify(&g->prog, g->agg, g->nagg, a);
    for (uint32_t k = 0; k < g->nexpect; k++)
      *changes += simplify(&g->expect[k].prog, NULL, 0, a);
  }
  return e->code;
}
