/* SPDX-License-Identifier: Apache-2.0 */
/* Which stages and steps are the same, which stages go together, and row programs made one. */
#include <string.h>

#include "vm/ir.h"
#include "vm/ops.h"

uint32_t ir_group(const Program *p, uint32_t stage) {
  while (p->stage[stage].joins && stage)
    stage--;
  return stage;
}

uint32_t ir_written(const Program *p, uint32_t k) {
  for (uint32_t i = 0; i < p->nstage; i++)
    if (p->stage[i].seq == k)
      return i;
  return k;
}

bool ir_same_val(const IrVal *a, const IrVal *b) {
  if (a->op != b->op || a->type != b->type || a->narg != b->narg || a->i != b->i || memcmp(&a->f, &b->f, 8) ||
      memcmp(&a->g, &b->g, 8) || !a->s != !b->s || (a->s && strcmp(a->s, b->s)) || a->nlist != b->nlist ||
      !a->list != !b->list || !a->names != !b->names)
    return false;
  for (uint32_t i = 0; i < a->narg; i++)
    if (a->arg[i] != b->arg[i])
      return false;
  for (uint32_t i = 0; i < a->nlist; i++)
    if ((a->list && memcmp(&a->list[i], &b->list[i], 8)) || (a->names && strcmp(a->names[i], b->names[i])))
      return false;
  return true;
}

bool ir_same_rows(const Stage *a, const Stage *b) {
  if (a->from != b->from || a->part != b->part || a->prog.nval != b->prog.nval ||
      a->prog.nout != b->prog.nout)
    return false;
  for (uint32_t i = 0; i < a->prog.nout; i++) {
    const IrOut *x = &a->prog.out[i], *y = &b->prog.out[i];
    if (x->role != y->role || x->kind != y->kind || x->val != y->val || !x->name != !y->name ||
        (x->name && strcmp(x->name, y->name)))
      return false;
  }
  for (uint32_t i = 0; i < a->prog.nval; i++)
    if (!ir_same_val(&a->prog.val[i], &b->prog.val[i]))
      return false;
  return true;
}

uint64_t ir_trained(const Program *p, const Stage *s) {
  if (s->kind == STAGE_FIT || s->kind == STAGE_TRAIN)
    return ir_parts(p, s);
  bool same = s->kind != STAGE_ROWS && s->train >= 0 && p->stage[s->train].from == s->from;
  return same ? ir_parts(p, &p->stage[s->train]) & ir_parts(p, s) : 0;
}

/* Does it remove rows, or give what only its own stage can make a matrix of? */
static bool alone(const RowProg *g) {
  for (uint32_t i = 0; i < g->nval; i++)
    if (g->val[i].op == OP_KEEP)
      return true;
  for (uint32_t i = 0; i < g->nout; i++)
    if (g->out[i].role == OUT_SLOT)
      return true;
  return false;
}

bool ir_runs_with(const Program *p, const Stage *a, const Stage *b) {
  return a->kind == STAGE_EVALUATE && b->kind == STAGE_EVALUATE && a->from == b->from &&
         ir_parts(p, a) == ir_parts(p, b) && ir_trained(p, a) == ir_trained(p, b) && !alone(&a->prog) &&
         !alone(&b->prog);
}

/* The step of g that is v, which is added where there is none. */
static uint32_t step_of(RowProg *g, const IrVal *v) {
  for (uint32_t i = 0; i < g->nval; i++)
    if (ir_same_val(&g->val[i], v))
      return i;
  g->val[g->nval] = *v;
  return g->nval++;
}

bool ir_merge(Arena *a, const RowProg *const *v, uint32_t n, RowProg *out, uint32_t *first) {
  size_t nval = 0, nout = 0;
  for (uint32_t i = 0; i < n; i++)
    nval += v[i]->nval, nout += v[i]->nout;
  *out = (RowProg){.val = NEWN(a, IrVal, nval + 1), .out = NEWN(a, IrOut, nout + 1)};
  uint32_t *map = NEWN(a, uint32_t, nval + 1);
  if (!out->val || !out->out || !map)
    return false;
  for (uint32_t i = 0; i < n; i++) {
    first[i] = out->nout;
    for (uint32_t k = 0; k < v[i]->nval; k++) {
      IrVal x = v[i]->val[k];
      x.arg = NEWN(a, uint32_t, x.narg + 1);
      if (!x.arg)
        return false;
      for (uint32_t j = 0; j < x.narg; j++)
        x.arg[j] = map[v[i]->val[k].arg[j]];
      map[k] = step_of(out, &x);
    }
    for (uint32_t k = 0; k < v[i]->nout; k++) {
      IrOut o = v[i]->out[k];
      o.val = map[o.val];
      out->out[out->nout++] = o;
    }
  }
  return true;
}
