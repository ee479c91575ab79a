/* SPDX-License-Identifier: Apache-2.0 */
/* Constant folding.   requires: nothing   breaks: dead
 *
 *   %0 = const.f64 f=2 : f64
 *   %1 = const.f64 f=3 : f64                ->   %2 = const.f64 f=8 : f64
 *   %2 = pow.f64 %0 %1 : f64
 *
 * The interpreter computes the value, so folding cannot change a bit. A step that would be a data error,
 * or null, stays as it is. */
#include <string.h>

#include "compiler/pass.h"
#include "vm/interp.h"
#include "vm/ops.h"

static bool is_const(const IrVal *v) {
  return v->op >= OP_CONST_B && v->op <= OP_CONST_STR;
}

static bool foldable(const RowProg *p, const IrVal *v) {
  if (is_const(v) || !v->scalar || v->type > IR_STR || v->narg == 0)
    return false;
  for (uint32_t k = 0; k < v->narg; k++) {
    uint16_t op = p->val[v->arg[k]].op;
    if (!is_const(&p->val[v->arg[k]]) && op != OP_CONST_LIST && op != OP_CONST_VOCAB)
      return false;
  }
  return true;
}

/* The step alone, with its constants: what the interpreter runs. */
static bool value_of(const RowProg *p, const IrVal *v, Arena *a, IrVal *out) {
  static const OpCode op[] = {OP_CONST_B, OP_CONST_I64, OP_CONST_F64, OP_CONST_STR};
  RowProg q = {.nval = v->narg + 1, .nout = 1, .val = NEWN(a, IrVal, v->narg + 1), .out = NEW(a, IrOut)};
  for (uint32_t k = 0; k < v->narg; k++)
    q.val[k] = p->val[v->arg[k]];
  q.val[v->narg] = *v;
  q.val[v->narg].arg = NEWN(a, uint32_t, v->narg);
  for (uint32_t k = 0; k < v->narg; k++)
    q.val[v->narg].arg[k] = k;
  q.out[0] = (IrOut){OUT_COLUMN, "value", KIND_FLOAT, v->narg};
  Env env = {NULL, 0};
  Interp *it = NULL;
  RowErrors errors = {0};
  Err err = {0};
  Col col = {0};
  RowsIn in = {.n = 1};
  bool ok = interp_new(&q, &env, NULL, 0, &it, &err) == ST_OK &&
            interp_run(it, &in, &col, NULL, &errors, &err) == ST_OK && !errors.count &&
            !(col.null && col.null[0]);
  if (ok) {
    *out =
        (IrVal){.op = (uint16_t)op[v->type], .type = v->type, .scalar = true, .line = v->line, .col = v->col};
    switch (v->type) {
    case IR_BOOL: out->i = col.b[0]; break;
    case IR_I64: out->i = col.i[0]; break;
    case IR_F64: out->f = col.f[0]; break;
    default:
      out->s = arena_strndup(a, col.dict->bytes + col.dict->off[col.code[0]],
                             col.dict->off[col.code[0] + 1] - col.dict->off[col.code[0]]);
    }
  }
  interp_free(it);
  return ok;
}

static uint32_t fold(RowProg *p, Arena *a) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < p->nval; i++) {
    IrVal v;
    if (foldable(p, &p->val[i]) && value_of(p, &p->val[i], a, &v)) {
      p->val[i] = v;
      n++;
    }
  }
  if (n)
    pass_renew(p);
  return n;
}

Status pass_fold(Program *p, Arena *a, uint32_t *changes, Err *e) {
  for (uint32_t i = 0; i < p->nstage; i++) {
    *changes += fold(&p->stage[i].prog, a);
    for (uint32_t k = 0; k < p->stage[i].nexpect; k++)
      *changes += fold(&p->stage[i].expect[k].prog, a);
  }
  return e->code;
}
