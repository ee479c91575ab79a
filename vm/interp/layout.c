/* SPDX-License-Identifier: Apache-2.0 */
/* Where registers lie: one allocation, placed by liveness. A value's storage is free again behind its last
 * use, and is given to the next value of the same size: the registers of a panel stay in the cache.
 * Constants, outputs and what aliases them keep theirs. A program that runs with machine code has a second
 * layout, of what the code hands over (vm/jit/plan.c). */
#include <string.h>

#include "base/arena.h"
#include "vm/interp/parts.h"

bool reg_is_alias(uint32_t op) {
  switch (op) {
  case OP_CHECK_RANGE_I64:
  case OP_CHECK_RANGE_F64:
  case OP_CHECK_IN_STR:
  case OP_CHECK_NULL_B:
  case OP_CHECK_NULL_I64:
  case OP_CHECK_NULL_F64:
  case OP_CHECK_NULL_STR:
  case OP_CHECK_NAN_F64:
    return true;
  default:
    return false;
  }
}

size_t reg_round_up(size_t n) {
  return (n + REG_ALIGN - 1) / REG_ALIGN * REG_ALIGN;
}

/* A constant vector has one row: a panel of copies of a wide one would be large. */
size_t reg_bytes(const Col *c) {
  size_t n = c->type == IR_VEC && c->constant ? 1 : PANEL_ROWS;
  if (col_is_ragged(c))
    return REG_ALIGN; /* a name for it: the rows lie in Step.entries */
  switch (c->type) {
  case IR_BOOL:
    return reg_round_up(n);
  case IR_STR:
    return reg_round_up(n * sizeof *c->code);
  case IR_VEC:
    return reg_round_up(c->is_hot ? n * sizeof *c->hot : n * sizeof *c->f * (c->width ? c->width : 1));
  default:
    return reg_round_up(n * sizeof *c->i);
  }
}

/* A free piece of just this size, or a new one at the end. A constant always gets a new one: it is
 * computed once, before all panels, and earlier steps write to the pieces that are free now. */
size_t reg_place(Layout *l, size_t size, uint32_t step, uint32_t free_from, bool constant) {
  for (uint32_t i = 0; i < l->n && !constant; i++) {
    Piece *p = &l->piece[i];
    if (p->size == size && p->free_from <= step) {
      p->free_from = free_from;
      return p->at;
    }
  }
  l->piece[l->n++] = (Piece){l->end, size, free_from};
  l->end += size;
  return l->piece[l->n - 1].at;
}

bool reg_nullable(const Interp *t, uint32_t i, const bool *nullable) {
  const IrVal *v = &t->p->val[i];
  if (v->op == OP_COL)
    return true;
  bool arg[4] = {false, false, false, false};
  bool any = false;
  for (uint32_t k = 0; k < v->narg; k++) {
    any |= nullable[v->arg[k]];
    if (k < 4)
      arg[k] = nullable[v->arg[k]];
  }
  if (v->narg > 4)
    return any || op_nullable(v->op, arg, 0);
  return op_nullable(v->op, arg, v->narg);
}

Status interp_layout(Interp *t, Err *e) {
  uint32_t n = t->nval;
  uint32_t *last = mem_alloc((n + 1) * sizeof *last), *root = mem_alloc((n + 1) * sizeof *root);
  size_t *data = mem_alloc((n + 1) * sizeof *data), *mask = mem_alloc((n + 1) * sizeof *mask);
  bool *nullable = mem_alloc(n + 1);
  Layout l = {.piece = mem_alloc((2 * (size_t)n + 1) * sizeof *l.piece)};
  Status st = ST_OK;
  if (!last || !root || !data || !mask || !nullable || !l.piece) {
    st = err_memory(e);
    goto out;
  }
  for (uint32_t i = 0; i < n; i++) {
    const IrVal *v = &t->p->val[i];
    root[i] = reg_is_alias(v->op) ? root[v->arg[0]] : i;
    last[i] = i + 1;
    for (uint32_t k = 0; k < v->narg; k++)
      last[root[v->arg[k]]] = i + 1; /* free for the step behind this one, never for this one */
  }
  for (uint32_t i = 0; i < n; i++) {
    if (t->reg[i].constant)
      last[root[i]] = UINT32_MAX;
  }
  for (uint32_t k = 0; k < t->nresult; k++)
    last[root[t->result[k]]] = UINT32_MAX;
  for (uint32_t i = 0; i < n; i++) {
    if (!step_has_column(t->reg[i].type))
      continue;
    nullable[i] = reg_nullable(t, i, nullable);
    if (root[i] != i || t->split[i])
      continue;
    data[i] = 1 + reg_place(&l, reg_bytes(&t->reg[i]), i, last[i], t->reg[i].constant);
    if (nullable[i])
      mask[i] = 1 + reg_place(&l, reg_round_up(PANEL_ROWS), i, last[i], t->reg[i].constant);
  }
  t->bytes = l.end;
  t->memory = mem_alloc64(l.end ? l.end : REG_ALIGN);
  if (!t->memory) {
    st = err_memory(e);
    goto out;
  }
  for (uint32_t i = 0; i < n; i++) {
    Step *s = &t->step[i];
    s->data = data[i] ? t->memory + data[i] - 1 : NULL;
    s->mask = mask[i] ? t->memory + mask[i] - 1 : NULL;
    t->reg[i].i = s->data; /* whichever array it is */
  }
out:
  mem_free(last);
  mem_free(root);
  mem_free(data);
  mem_free(mask);
  mem_free(nullable);
  mem_free(l.piece);
  return st;
}
