/* SPDX-License-Identifier: Apache-2.0 */
/* The compiled steps of a phase as nodes (code.h), and the slots of the frame that they read and write.
 * Everything that a node points to is copied: the program outlives the interpreter. */
#include <string.h>

#include "vm/estimator.h"
#include "vm/jit/divide.h"
#include "vm/kernel/math.h"

/* ---- Ops ---- */

bool jit_is_plain(uint32_t op) {
  switch (op) {
  case OP_IDIV_F64: /* arithmetic but mod.f64 and pow.f64, which are calls */
  case OP_IS_NAN_F64:
  case OP_IS_FINITE_F64:
  case OP_AND_B:
  case OP_OR_B:
  case OP_NOT_B:
  case OP_IS_NULL_B:
  case OP_IS_NULL_I64:
  case OP_IS_NULL_F64:
  case OP_IF_B:
  case OP_IF_I64:
  case OP_IF_F64:
  case OP_COALESCE_B:
  case OP_COALESCE_I64:
  case OP_COALESCE_F64:
  case OP_NULL_IF_B:
  case OP_NULL_IF_I64:
  case OP_NULL_IF_F64:
  case OP_NULL_WHEN_B:
  case OP_NULL_WHEN_I64:
  case OP_NULL_WHEN_F64:
  case OP_CAST_B_I64:
  case OP_CAST_B_F64:
  case OP_CAST_I64_F64:
  case OP_CAST_F64_I64:
  case OP_CAST_DATE_TS:
  case OP_CAST_TS_DATE:
  case OP_SQRT_F64:
  case OP_FLOOR_F64:
  case OP_CEIL_F64:
  case OP_ROUND_F64:
  case OP_TRUNC_F64:
  case OP_NONZERO_F64:
  case OP_FOLD_OF_F64:
  case OP_KEEP:
  case OP_CHECK_RANGE_I64:
  case OP_CHECK_RANGE_F64:
  case OP_CHECK_NULL_B:
  case OP_CHECK_NULL_I64:
  case OP_CHECK_NULL_F64:
  case OP_CHECK_NAN_F64:
    return true;
  case OP_EQ_STR:
  case OP_NE_STR:
  case OP_LT_STR:
  case OP_LE_STR:
  case OP_GT_STR:
  case OP_GE_STR:
  case OP_MOD_F64:
  case OP_POW_F64:
    return false;
  default:
    return (op >= OP_ADD_I64 && op <= OP_GREATEST_F64) || (op >= OP_EQ_B && op <= OP_GE_F64) ||
           (op >= OP_YEAR_DATE && op <= OP_SUB_DAYS_I64);
  }
}

typedef union Fn { /* a function's address as data, as POSIX has it */
  MathFn1 one;
  MathFn2 two;
  void *address;
} Fn;

static void *one(MathFn1 fn) {
  return (Fn){.one = fn}.address;
}

static void *two(MathFn2 fn) {
  return (Fn){.two = fn}.address;
}

void *jit_math_of(uint32_t op) {
  switch (op) {
  case OP_EXP_F64:
    return one(k_exp);
  case OP_EXPM1_F64:
    return one(k_expm1);
  case OP_LOG_F64:
    return one(k_log);
  case OP_LOG1P_F64:
    return one(k_log1p);
  case OP_LOG2_F64:
    return one(k_log2);
  case OP_LOG10_F64:
    return one(k_log10);
  case OP_SIN_F64:
    return one(k_sin);
  case OP_COS_F64:
    return one(k_cos);
  case OP_TAN_F64:
    return one(k_tan);
  case OP_ATAN_F64:
    return one(k_atan);
  case OP_TANH_F64:
    return one(k_tanh);
  case OP_SIGMOID_F64:
    return one(k_sigmoid);
  case OP_LOGIT_F64:
    return one(k_logit);
  case OP_POW_F64:
    return two(k_pow);
  case OP_MOD_F64:
    return two(mod_rows);
  default:
    return NULL;
  }
}

bool jit_is_cell(uint32_t op) {
  switch (op) {
  case OP_EQ_STR:
  case OP_NE_STR:
  case OP_LT_STR:
  case OP_LE_STR:
  case OP_GT_STR:
  case OP_GE_STR:
  case OP_CONTAINS_STR:
  case OP_STARTS_WITH_STR:
  case OP_ENDS_WITH_STR:
  case OP_LENGTH_STR:
  case OP_CAST_STR_B:
  case OP_CAST_STR_I64:
  case OP_CAST_STR_F64:
  case OP_CAST_STR_DATE:
  case OP_CAST_STR_TS:
    return true;
  default:
    return false;
  }
}

/* ---- Making nodes ---- */

typedef struct Making {
  Divide *d;
  JitPhase *p;
  JitGroup *g;
  uint32_t cap, number; /* number of the phase */
  uint32_t cap_in, cap_out, cap_table;
  int32_t live; /* node: the row was not removed; -1 */
} Making;

static Arena *of_prog(Making *m) {
  return &m->d->prog->arena;
}

static uint32_t add(Making *m, JitNode n) {
  JitNode *v = m->g->node;
  n.out = -1;
  n.live = n.checked ? m->live : -1;
  PUSH(of_prog(m), v, m->g->nnode, m->cap, n);
  m->g->node = v;
  return m->g->nnode - 1;
}

static JitType type_of(const Col *c) {
  switch (c->type) {
  case IR_BOOL:
    return JIT_B;
  case IR_I64:
    return JIT_I64;
  case IR_F64:
    return JIT_F64;
  default:
    return JIT_I32;
  }
}

static uint32_t add_input(Making *m, JitInput in, JitType type, bool nullable) {
  Arena *a = &m->d->plan->arena;
  PUSH(a, m->p->in, m->p->nin, m->cap_in, in);
  return add(m, (JitNode){.op = JIT_IN, .type = (uint8_t)type, .nullable = nullable, .slot = m->p->nin - 1});
}

static void add_table(Making *m, int kind, uint32_t step) {
  JitTable t = {.step = step};
  t.kind = kind;
  PUSH(&m->d->plan->arena, m->p->table, m->p->ntable, m->cap_table, t);
}

/* The node of value i as this group sees it: its own, a constant, or a register. */
static uint32_t node_of(Making *m, uint32_t i) {
  Divide *d = m->d;
  const Col *c = &d->t->reg[i];
  if (d->node[i])
    return (uint32_t)d->node[i] - 1;
  uint32_t n;
  if (c->constant) {
    JitNode x = {.op = JIT_CONST, .type = (uint8_t)type_of(c), .nullable = c->null && c->null[0]};
    if (c->type == IR_F64)
      x.f = c->f[0];
    else
      x.i = c->type == IR_BOOL ? c->b[0] : c->type == IR_I64 ? c->i[0] : (int64_t)c->code[0];
    n = add(m, x);
  } else {
    n = add_input(m, (JitInput){.value = i}, type_of(c), d->nullable[i]);
  }
  d->node[i] = (int32_t)n + 1;
  return n;
}

static void set_args(Making *m, JitNode *n, const IrVal *v, uint32_t narg) {
  n->arg = NEWN(of_prog(m), uint32_t, narg + (size_t)1);
  for (uint32_t k = 0; k < narg; k++)
    n->arg[n->narg++] = node_of(m, v->arg[k]);
}

static const double *copy(Making *m, const double *v, uint32_t n) {
  double *c = NEWN(of_prog(m), double, n + (size_t)1);
  if (n)
    memcpy(c, v, n * sizeof *c);
  return c;
}

/* ---- Scores ---- */

typedef struct Features { /* of a score: nodes, elements of each, coefficients of one-hot ones */
  uint32_t *arg, *width, n;
  const double **hot;
  uint32_t d;
} Features;

static void add_feature(Making *m, Features *f, uint32_t i, const double *b) {
  const Col *c = &m->d->t->reg[i];
  uint32_t width = c->type == IR_VEC ? c->width : 1;
  if (c->type == IR_VEC) {
    double *hot = NEWN(of_prog(m), double, width + (size_t)1);
    memcpy(hot + 1, b + f->d, width * sizeof *hot);
    f->hot[f->n] = hot;
  }
  f->arg[f->n] = node_of(m, i);
  f->width[f->n++] = width;
  f->d += width;
}

static uint32_t add_score(Making *m, const Step *s) {
  const Model *model = s->fitted->model;
  LinearForm form;
  size_t most = (size_t)model->d + s->v->narg + 1;
  Features f = {.arg = NEWN(of_prog(m), uint32_t, most),
                .width = NEWN(of_prog(m), uint32_t, most),
                .hot = NEWN(of_prog(m), const double *, most)};
  model->est->linear(model, &form);
  for (uint32_t k = 0; k < s->v->narg; k++) {
    const IrVal *a = divide_val(m->d, s->v->arg[k]);
    bool spread = divide_is_spread(m->d, s->v->arg[k]);
    for (uint32_t j = 0; spread && j < a->narg; j++)
      add_feature(m, &f, a->arg[j], form.b);
    if (!spread)
      add_feature(m, &f, s->v->arg[k], form.b);
  }
  uint32_t n = add(m, (JitNode){.op = JIT_DOT,
                                .type = JIT_F64,
                                .checked = true,
                                .narg = f.n,
                                .arg = f.arg,
                                .width = f.width,
                                .hot = f.hot,
                                .list = copy(m, form.b, model->d),
                                .nlist = model->d,
                                .f = form.b0});
  if (!form.sigmoid)
    return n;
  uint32_t *arg = NEW(of_prog(m), uint32_t);
  *arg = n;
  return add(m, (JitNode){.op = JIT_CALL, .type = JIT_F64, .narg = 1, .arg = arg, .fn = one(k_sigmoid)});
}

/* ---- Strings ---- */

static void add_lookup(Making *m, JitNode *n, const Step *s) {
  const Table *t = s->fitted->table;
  n->slot = m->p->ntable;
  add_table(m, TABLE_KEYS, s->number);
  add_table(m, TABLE_ROWS, s->number);
  add_table(m, TABLE_VALUES, s->number);
  add_table(m, TABLE_NULLS, s->number);
  n->i = t->null != NULL;
  n->arg = NEWN(of_prog(m), uint32_t, 2);
  n->arg[n->narg++] = node_of(m, s->v->arg[0]);
  if (s->v->g >= 0 || t->nvariant == 1)
    return;
  int64_t *variant = arena_alloc64(&m->d->plan->arena, PANEL_ROWS * sizeof *variant);
  n->arg[n->narg++] = add_input(m, (JitInput){.value = s->number, .variant = variant}, JIT_I64, false);
}

/* Ops that look at a table by code. False: it is none. */
static bool string_node(Making *m, JitNode *n, const Step *s) {
  uint32_t at = 0;
  if (jit_is_cell(s->v->op)) {
    n->op = JIT_CELL;
    n->i = s->info->may_null;
    n->arg = NEW(of_prog(m), uint32_t);
    n->arg[n->narg++] = node_of(m, s->v->arg[step_varying(s, &at)]);
    n->slot = m->p->ntable;
    add_table(m, TABLE_CELLS, s->number);
    return true;
  }
  switch (s->v->op) {
  case OP_LOOKUP_I64:
  case OP_LOOKUP_F64:
    add_lookup(m, n, s);
    return true;
  case OP_LEVEL_STR:
  case OP_INDICATOR_STR:
  case OP_INDEX_OF_STR:
  case OP_PART_OF_STR:
  case OP_CHECK_IN_STR:
    set_args(m, n, s->v, 1);
    n->slot = m->p->ntable;
    add_table(m, TABLE_LEVELS, s->number);
    return true;
  default:
    return false;
  }
}

/* ---- Steps ---- */

static void set_bounds(Making *m, JitNode *n, const Step *s) {
  Dict *label;
  ListView list;
  n->f = s->v->f;
  n->g = s->v->g;
  n->i = s->v->i;
  switch (s->v->op) {
  case OP_CHECK_RANGE_I64:
    n->i = check_from(s->v->f);
    n->j = check_to(s->v->g);
    break;
  case OP_BUCKET_F64:
    n->list = step_cuts(s, &n->nlist, &label);
    n->list = copy(m, n->list, n->nlist);
    break;
  case OP_CUT_F64:
    list = step_list(s, 1);
    n->list = copy(m, list.v, list.n);
    n->nlist = list.n;
    break;
  default:
    break;
  }
}

static uint32_t add_step(Making *m, const Step *s) {
  JitNode n = {.op = s->v->op,
               .type = (uint8_t)type_of(s->out),
               .nullable = m->d->nullable[s->number],
               .checked = s->info->may_fail};
  if (s->v->op == OP_SCORE)
    return add_score(m, s);
  if (string_node(m, &n, s))
    return add(m, n);
  bool list = s->v->op == OP_BUCKET_F64 || s->v->op == OP_CUT_F64;
  set_args(m, &n, s->v, list ? 1 : s->v->narg);
  set_bounds(m, &n, s);
  n.fn = jit_math_of(s->v->op);
  n.op = n.fn ? JIT_CALL : n.op;
  return add(m, n);
}

/* A row that was removed before a step makes no error there. */
static void removed(Making *m, uint32_t keep) {
  if (m->live < 0) {
    m->live = (int32_t)keep;
    return;
  }
  uint32_t *arg = NEWN(of_prog(m), uint32_t, 2);
  arg[0] = (uint32_t)m->live;
  arg[1] = keep;
  m->live = (int32_t)add(m, (JitNode){.op = OP_AND_B, .type = JIT_B, .narg = 2, .arg = arg});
}

/* Aliases are copied as registers, not stored by the code; so is what two outputs share stored once. */
static void store_wanted(Making *m) {
  Divide *d = m->d;
  for (uint32_t i = 0; i < d->nval; i++) {
    if (!d->run[i] || !d->compiled[i] || !d->wanted[i] || d->phase[i] != m->number ||
        reg_is_alias(divide_val(d, i)->op))
      continue;
    PUSH(&d->plan->arena, m->p->out, m->p->nout, m->cap_out, i);
    JitNode *n = &m->g->node[d->node[i] - 1];
    n->out = (int32_t)m->p->nout - 1;
    for (uint32_t k = 0; k < d->t->p->nout; k++) {
      bool same = d->t->p->out[k].val == i && n->type == JIT_F64;
      n->canonical |= same;
      d->plan->canonical[k] |= same;
    }
  }
}

void jit_nodes(Divide *d, uint32_t number) {
  Making m = {.d = d,
              .p = &d->plan->phase[number],
              .g = &d->prog->group[d->prog->ngroup],
              .number = number,
              .live = -1};
  memset(d->node, 0, d->nval * sizeof *d->node);
  uint32_t steps = 0;
  for (uint32_t i = 0; i < d->nval; i++) {
    if (!d->run[i] || !d->compiled[i] || d->phase[i] != number)
      continue;
    uint32_t n = add_step(&m, &d->t->step[i]);
    d->node[i] = (int32_t)n + 1;
    if (divide_val(d, i)->op == OP_KEEP)
      removed(&m, n);
    steps++;
  }
  if (!steps)
    return;
  store_wanted(&m);
  m.g->nin = m.p->nin;
  m.g->nout = m.p->nout;
  m.g->ntable = m.p->ntable;
  m.p->group = (int32_t)d->prog->ngroup++;
  d->prog->steps += steps;
}
