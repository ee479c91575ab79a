/* SPDX-License-Identifier: Apache-2.0 */
/* Divides a row program between interpreter and compiled code.
 *
 *   which     every step whose result depends on the row alone, or on a table by code: `takes`
 *   phases    interpreted steps, a group of compiled ones, interpreted steps that read those, the next group,
 * ... nodes     of each group, for the code generator: nodes.c registers of what is interpreted and what a
 * group hands over; the rest has none: `lay_out`
 *
 * Order among the interpreter's steps is kept, so that what one of them sees is what it always sees. A
 * compiled step goes into the last group that is early enough for all who read it, which leaves one group
 * nearly always; what removes rows, or may find bad ones, into the first. A bad row, wherever it is found,
 * has the whole panel interpreted: compiled code need not say what is wrong. */
#include <string.h>

#include "vm/estimator.h"
#include "vm/jit/divide.h"

/* ---- Which steps ---- */

enum { CUTS_MOST = 64, DOT_MOST = 2048 }; /* written out one after the other */

static bool all_doubles(const Divide *d, const IrVal *v) {
  for (uint32_t k = 0; k < v->narg; k++)
    if (divide_val(d, v->arg[k])->type != IR_F64)
      return false;
  return true;
}

/* A linear model whose slots are numbers, numbers side by side, or one-hot. */
static bool takes_score(const Divide *d, const Step *s) {
  const Model *m = s->fitted->model;
  LinearForm form;
  if (!m->est->linear || !m->est->linear(m, &form))
    return false;
  uint64_t width = 0, numbers = 0;
  for (uint32_t k = 0; k < s->v->narg; k++) {
    const Col *c = s->arg[k];
    bool spread = divide_is_spread(d, s->v->arg[k]);
    if (c->type == IR_VEC && !spread && !c->is_hot)
      return false;
    width += c->type == IR_VEC ? c->width : 1;
    numbers += c->type != IR_VEC ? 1 : spread ? c->width : 0;
  }
  for (uint32_t j = 0; j < m->d && width == m->d; j++)
    if (!(__builtin_fabs(form.b[j]) < __builtin_inf()))
      return false;
  return width == m->d && numbers <= DOT_MOST;
}

/* A string whose dictionary is known before the group runs: of an interpreted step, or of a bucket, whose
 * labels are always the same. */
static bool known_dictionary(const Divide *d, uint32_t i) {
  const IrVal *v = divide_val(d, i);
  if (v->type != IR_STR || d->t->reg[i].constant)
    return false;
  return !d->compiled[i] || v->op == OP_BUCKET_F64 || (reg_is_alias(v->op) && known_dictionary(d, v->arg[0]));
}

static bool is_bucket(const Divide *d, uint32_t i) {
  return d->compiled[i] && divide_val(d, i)->op == OP_BUCKET_F64;
}

static bool takes_string(const Divide *d, const Step *s) {
  uint32_t at;
  int by = -1;
  if (jit_is_cell(s->v->op)) {
    by = step_varying(s, &at);
    return by >= 0 && known_dictionary(d, s->v->arg[by]);
  }
  switch (s->v->op) {
  case OP_LOOKUP_I64:
  case OP_LOOKUP_F64:
    return s->v->narg == 1 && known_dictionary(d, s->v->arg[0]);
  case OP_LEVEL_STR:
  case OP_INDICATOR_STR:
  case OP_INDEX_OF_STR:
  case OP_PART_OF_STR:
    return known_dictionary(d, s->v->arg[0]);
  case OP_CHECK_IN_STR:
  case OP_CHECK_NULL_STR: /* their own dictionary is copied before the group runs */
    return known_dictionary(d, s->v->arg[0]) && !is_bucket(d, s->v->arg[0]);
  case OP_IS_NULL_STR:
    return true;
  default:
    return false;
  }
}

static bool takes(const Divide *d, const Step *s) {
  uint32_t op = s->v->op, n = 0;
  Dict *label;
  if (op == OP_SCORE)
    return takes_score(d, s);
  if (op == OP_BUCKET_F64)
    return step_cuts(s, &n, &label) != NULL && n <= CUTS_MOST;
  if (op == OP_CUT_F64)
    return step_list(s, 1).n <= CUTS_MOST;
  return takes_string(d, s) || jit_math_of(op) || jit_is_plain(op);
}

/* ---- Who reads whom ---- */

bool divide_is_spread(const Divide *d, uint32_t i) {
  return divide_val(d, i)->op == OP_VEC && all_doubles(d, divide_val(d, i));
}

/* Values that step i reads. Of a compiled score the elements of vectors that stand side by side. */
static void for_args(Divide *d, uint32_t i, void (*fn)(Divide *, uint32_t by, uint32_t arg)) {
  const IrVal *v = divide_val(d, i);
  for (uint32_t k = 0; k < v->narg; k++) {
    const IrVal *a = divide_val(d, v->arg[k]);
    bool spread = d->compiled[i] && v->op == OP_SCORE && divide_is_spread(d, v->arg[k]);
    for (uint32_t j = 0; spread && j < a->narg; j++)
      fn(d, i, a->arg[j]);
    if (!spread)
      fn(d, i, v->arg[k]);
  }
}

static void phase_behind(Divide *d, uint32_t by, uint32_t arg) {
  uint32_t from = d->phase[arg] + (d->compiled[arg] && !d->compiled[by]);
  if (d->run[arg] && from > d->phase[by])
    d->phase[by] = from;
}

static void phase_before(Divide *d, uint32_t by, uint32_t arg) {
  uint32_t to = d->phase[by] - (d->compiled[arg] && !d->compiled[by]);
  if (d->run[arg] && to < d->late[arg])
    d->late[arg] = to;
}

static void want(Divide *d, uint32_t i) {
  d->wanted[i] = true;
  if (d->compiled[i] && reg_is_alias(divide_val(d, i)->op))
    want(d, divide_val(d, i)->arg[0]);
}

static void want_across(Divide *d, uint32_t by, uint32_t arg) {
  if (!d->compiled[by] || d->phase[by] != d->phase[arg])
    want(d, arg);
}

static void mark_read(Divide *d, uint32_t by, uint32_t arg) {
  (void)by;
  d->read[arg] = true;
}

/* A vector that only compiled scores read, element by element, is never made. */
static void find_read(Divide *d) {
  for (uint32_t k = 0; k < d->t->nresult; k++)
    d->read[d->t->result[k]] = true;
  for (uint32_t i = d->nval; i-- > 0;) {
    if (d->run[i] && divide_is_spread(d, i) && !d->read[i])
      d->run[i] = false;
    else if (d->run[i])
      for_args(d, i, mark_read);
  }
}

static void find_phases(Divide *d) {
  uint32_t last = 0;
  for (uint32_t i = 0; i < d->nval; i++) {
    if (d->run[i])
      for_args(d, i, phase_behind);
    last = d->run[i] && d->phase[i] > last ? d->phase[i] : last;
  }
  d->nphase = last + 1;
  for (uint32_t k = 0; k < d->nval; k++)
    d->late[k] = last;
  for (uint32_t i = d->nval; i-- > 0;) {
    if (!d->run[i])
      continue;
    if (d->compiled[i] && !d->t->step[i].info->may_fail && divide_val(d, i)->op != OP_KEEP)
      d->phase[i] = d->late[i];
    for_args(d, i, phase_before);
  }
  for (uint32_t i = 0; i < d->nval; i++)
    if (d->run[i])
      for_args(d, i, want_across);
  for (uint32_t k = 0; k < d->t->nresult; k++)
    want(d, d->t->result[k]);
}

/* ---- Registers ---- */

/* Times: a phase's interpreted steps one after the other, then its group. */
static void find_times(Divide *d) {
  uint32_t now = 0;
  for (uint32_t p = 0; p < d->nphase; p++) {
    for (uint32_t i = 0; i < d->nval; i++)
      if (d->run[i] && !d->compiled[i] && d->phase[i] == p)
        d->at[i] = now++;
    for (uint32_t i = 0; i < d->nval; i++)
      if (d->run[i] && d->compiled[i] && d->phase[i] == p)
        d->at[i] = now;
    now++;
  }
  d->ntime = now;
}

static void lives_until(Divide *d, uint32_t by, uint32_t arg) {
  uint32_t *last = &d->last[d->root[arg]];
  if (d->at[by] + 1 > *last)
    *last = d->at[by] + 1;
}

static void place_one(Divide *d, Layout *l, uint32_t i) {
  JitPlan *p = d->plan;
  if (!d->compiled[i] || d->wanted[i]) {
    p->data[i] = 1 + reg_place(l, reg_bytes(&d->t->reg[i]), d->at[i], d->last[i], false);
    if (d->nullable[i])
      p->mask[i] = 1 + reg_place(l, reg_round_up(PANEL_ROWS), d->at[i], d->last[i], false);
  } else if (jit_is_cell(divide_val(d, i)->op)) { /* it runs for one row, to fill its table */
    p->data[i] = 1 + reg_place(l, REG_ALIGN, d->at[i], UINT32_MAX, true);
    p->mask[i] = 1 + reg_place(l, REG_ALIGN, d->at[i], UINT32_MAX, true);
  }
}

static void lay_out(Divide *d) {
  Layout l = {.piece = NEWN(&d->work, Piece, 2 * (size_t)d->nval + 1)};
  for (uint32_t i = 0; i < d->nval; i++) {
    const IrVal *v = divide_val(d, i);
    d->root[i] = reg_is_alias(v->op) ? d->root[v->arg[0]] : i;
    d->last[i] = d->at[i] + 1;
  }
  for (uint32_t i = 0; i < d->nval; i++)
    if (d->run[i])
      for_args(d, i, lives_until);
  for (uint32_t k = 0; k < d->t->nresult; k++)
    d->last[d->root[d->t->result[k]]] = UINT32_MAX;
  for (uint32_t now = 0; now < d->ntime; now++) /* in the order in which they are written */
    for (uint32_t i = 0; i < d->nval; i++)
      if (d->run[i] && d->at[i] == now && d->root[i] == i)
        place_one(d, &l, i);
  d->plan->bytes = l.end;
}

/* ---- The lists of a phase ---- */

static void fill_phase(Divide *d, uint32_t number) {
  JitPhase *p = &d->plan->phase[number];
  Arena *a = &d->plan->arena;
  p->step = NEWN(a, uint32_t, d->nval + 1);
  p->before = NEWN(a, uint32_t, d->nval + 1);
  p->alias = NEWN(a, uint32_t, d->nval + 1);
  p->group = -1;
  for (uint32_t i = 0; i < d->nval; i++) {
    if (!d->run[i] || d->phase[i] != number)
      continue;
    const IrVal *v = divide_val(d, i);
    if (!d->compiled[i])
      p->step[p->nstep++] = i;
    else if (reg_is_alias(v->op) && v->type == IR_STR)
      p->before[p->nbefore++] = i;
    else if (reg_is_alias(v->op) && d->wanted[i])
      p->alias[p->nalias++] = i;
  }
  jit_nodes(d, number);
}

static void divide(Divide *d) {
  Interp *t = d->t;
  for (uint32_t k = 0; k < t->nlist; k++) {
    uint32_t i = t->list[k];
    d->run[i] = true;
    d->compiled[i] = takes(d, &t->step[i]);
  }
  for (uint32_t i = 0; i < d->nval; i++)
    if (step_has_column(t->reg[i].type))
      d->nullable[i] = reg_nullable(t, i, d->nullable);
  find_read(d);
  find_phases(d);
  find_times(d);
  lay_out(d);
  d->plan->nphase = d->nphase;
  d->plan->phase = NEWN(&d->plan->arena, JitPhase, d->nphase);
  d->prog->group = NEWN(&d->prog->arena, JitGroup, d->nphase);
  for (uint32_t p = 0; p < d->nphase; p++)
    fill_phase(d, p);
}

static void prepare(Divide *d) {
  size_t n = d->nval + (size_t)1;
  Arena *a = &d->work;
  d->run = NEWN(a, bool, n);
  d->compiled = NEWN(a, bool, n);
  d->read = NEWN(a, bool, n);
  d->wanted = NEWN(a, bool, n);
  d->nullable = NEWN(a, bool, n);
  d->phase = NEWN(a, uint32_t, n);
  d->late = NEWN(a, uint32_t, n);
  d->at = NEWN(a, uint32_t, n);
  d->last = NEWN(a, uint32_t, n);
  d->root = NEWN(a, uint32_t, n);
  d->node = NEWN(a, int32_t, n);
  d->plan->data = NEWN(&d->plan->arena, uint64_t, n);
  d->plan->mask = NEWN(&d->plan->arena, uint64_t, n);
  d->plan->canonical = NEWN(&d->plan->arena, bool, d->t->p->nout + (size_t)1);
}

Status jit_plan(Interp *t, JitProg **prog, JitPlan **plan, Err *e) {
  jmp_buf oom;
  Divide *volatile d = mem_alloc(sizeof *d);
  JitPlan *volatile p = mem_alloc(sizeof *p);
  JitProg *volatile g = mem_alloc(sizeof *g);
  *prog = NULL;
  *plan = NULL;
  if (!d || !p || !g) {
    mem_free(d);
    mem_free(p);
    mem_free(g);
    return err_memory(e);
  }
  *d = (Divide){.t = t, .nval = t->nval, .plan = p, .prog = g};
  arena_init(&d->work, &oom);
  arena_init(&p->arena, &oom);
  arena_init(&g->arena, &oom);
  if (setjmp(oom)) {
    err_memory(e);
  } else {
    prepare(d);
    divide(d);
  }
  arena_free(&d->work);
  mem_free(d);
  p->arena.oom = NULL; /* nothing is taken from them any more */
  g->arena.oom = NULL;
  if (e->code == ST_OK && g->steps) {
    *prog = g;
    *plan = p;
    return ST_OK;
  }
  jit_prog_free(g);
  jit_plan_free(p);
  return e->code;
}

void jit_prog_free(JitProg *p) {
  if (p)
    arena_free(&p->arena);
  mem_free(p);
}

void jit_plan_free(JitPlan *p) {
  if (p)
    arena_free(&p->arena);
  mem_free(p);
}
