/* SPDX-License-Identifier: Apache-2.0 */
/* Ops that bring values in: columns, constants, fitted values, lists. */
#include <string.h>

#include "base/arena.h"
#include "vm/interp/parts.h"

/* The value of a scalar in all rows of its register. */
void step_spread(Col *c) {
  switch (c->type) {
  case IR_BOOL:
    memset(c->b, c->b[0], PANEL_ROWS);
    break;
  case IR_STR:
    for (uint32_t r = 1; r < PANEL_ROWS; r++)
      c->code[r] = c->code[0];
    break;
  case IR_VEC:
    break;
  default:
    for (uint32_t r = 1; r < PANEL_ROWS; r++)
      c->i[r] = c->i[0];
    break;
  }
  if (c->null)
    memset(c->null, c->null[0], PANEL_ROWS);
}

/* A list of values that are known by now. */
Status step_values(Interp *t, Step *s, Err *e) {
  double *v = mem_alloc(s->v->narg * sizeof *v);
  if (!v)
    return err_memory(e);
  s->state = v;
  s->drop = mem_free;
  for (uint32_t k = 0; k < s->v->narg; k++) {
    const Col *c = &t->reg[s->v->arg[k]];
    if (!c->constant)
      return step_fault(e, s->number, "a list of values that differ from row to row");
    if (c->null && c->null[0])
      return err_set(e, ST_DATA, "CML0415", "Give it a value with coalesce(..).",
                     "an element of a list has no value");
    v[k] = c->f[0];
  }
  return ST_OK;
}

void step_COL(Step *s) {
  Interp *t = s->t;
  const Col *c = &t->in->col[t->input[s->number]];
  if (c->type != s->v->type) {
    step_fault(t->err, s->number, "a column of another type than the program says");
    return;
  }
  *s->out = *c;
  s->out->constant = false;
  if (c->type == IR_STR && !c->dict)
    s->out->dict = t->none;
  if (!c->constant)
    return;
  s->out->i = s->data;
  if (c->type == IR_BOOL)
    s->out->b[0] = c->b[0];
  else if (c->type == IR_STR)
    s->out->code[0] = c->code[0];
  else
    s->out->i[0] = c->i[0];
  if (c->null) {
    s->out->null = s->mask;
    s->mask[0] = c->null[0];
  }
  step_spread(s->out);
}

/* ---- Constants and fitted scalars ---- */

void step_CONST_B(Step *s) {
  s->out->b[0] = s->v->i != 0;
}

void step_CONST_I64(Step *s) {
  s->out->i[0] = s->v->i;
}

void step_CONST_F64(Step *s) {
  s->out->f[0] = s->v->f;
}

void step_CONST_STR(Step *s) {
  s->out->code[0] = 0;
  s->out->dict = s->t->own[s->number];
}

void step_FITTED_B(Step *s) {
  s->out->b[0] = s->fitted->b != 0;
}

void step_FITTED_I64(Step *s) {
  s->out->i[0] = s->fitted->i;
}

void step_FITTED_F64(Step *s) {
  s->out->f[0] = s->fitted->f;
}

void step_FITTED_VEC(Step *s) {
  if (s->out->width)
    memcpy(s->out->f, s->fitted->list, s->out->width * sizeof *s->out->f);
}

void step_FITTED_STR(Step *s) {
  step_CONST_STR(s);
}

/* Lists and vocabularies have no register: steps look at them with step_list and step_vocab_at. */
void step_CONST_LIST(Step *s) {
  (void)s;
}

void step_LIST(Step *s) {
  (void)s;
}

void step_CONST_VOCAB(Step *s) {
  (void)s;
}

void step_FITTED_LIST(Step *s) {
  (void)s;
}

void step_FITTED_VOCAB(Step *s) {
  (void)s;
}

void step_FITTED_MAT(Step *s) {
  (void)s;
}
