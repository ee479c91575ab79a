/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter of row programs: making one, laying out its registers, running it over a panel. Ops are
 * in op_*.c; op.h is between.
 *
 * interp_new: check the program's form, find inputs and fitted values, decide which values are the same
 * for all rows, lay out registers, compute those constants, prepare per-step state. interp_run: run the
 * remaining steps in order, then hand out the outputs.
 *
 * Registers lie in one allocation. A value's storage is free again behind its last use, and is given to
 * the next value of the same size: the registers of a panel stay in the cache. Constants, outputs and what
 * aliases them keep theirs. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "vm/estimator.h"
#include "vm/interp/op.h"
#include "vm/shape.h"

VECTOR_LOOPS

enum { ALIGN = 64 };

static const StepFn step_of[OP_N] = {
#define OP(code, ...) [OP_##code] = step_##code,
#include "vm/ops.def"
#undef OP
};

typedef Status (*Prepare)(Step *s, Err *e);

static Prepare prepare_of(uint32_t op) {
  switch (op) {
  case OP_LOOKUP_I64:
  case OP_LOOKUP_F64:
    return prepare_lookup;
  case OP_HASH:
    return prepare_hash;
  case OP_SCORE:
  case OP_SCORES:
    return prepare_score;
  case OP_ELEMENT_VEC:
    return prepare_element;
  case OP_CLASS_VEC:
    return prepare_class;
  case OP_BUCKET_F64:
    return prepare_bucket;
  case OP_SPLINE_F64:
    return prepare_spline;
  case OP_INDICATOR_STR:
  case OP_INDEX_OF_STR:
  case OP_LEVEL_STR:
  case OP_PART_OF_STR:
  case OP_CHECK_IN_STR:
    return prepare_levels;
  case OP_TOKENIZE_STR:
  case OP_SPLIT_STR:
  case OP_N_GRAMS_STRS:
  case OP_REMOVE_STRS:
  case OP_JOIN_STRS:
    return prepare_words;
  case OP_HASHED_STR:
  case OP_HASHED_STRS:
  case OP_TF_STRS:
  case OP_COUNT_VECTOR_STRS:
    return prepare_sparse;
  case OP_IF_STR:
  case OP_COALESCE_STR:
    return prepare_both;
  case OP_CONST_STR:
  case OP_FITTED_STR:
  case OP_IS_NULL_STR:
  case OP_NULL_IF_STR:
  case OP_NULL_WHEN_STR:
  case OP_CHECK_NULL_STR:
    return NULL;
  default:
    break;
  }
  const OpInfo *o = op_info(op);
  if (op >= OP_ADD_VEC && op <= OP_TOTAL_VEC)
    return prepare_vector;
  bool strings = o->result == IR_STR;
  for (int i = 0; i < o->arity; i++)
    strings |= o->arg[i] == IR_STR;
  return strings ? prepare_str : NULL;
}

/* Steps whose register is the one of their first argument. */
static bool is_alias(uint32_t op) {
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

static bool is_column(uint8_t type) {
  return type <= IR_STRS;
}

/* ---- Form ---- */

static Status fault(Err *e, uint32_t step, const char *what) {
  return err_set(e, ST_FAULT, "CML0601", "This is a fault of cml: please report it with the program.",
                 "step %%%u of a row program: %s", step, what);
}

static Status check_form(const RowProg *p, Err *e) {
  for (uint32_t i = 0; i < p->nval; i++) {
    const IrVal *v = &p->val[i];
    const OpInfo *o = op_info(v->op);
    if (!o)
      return fault(e, i, "no such operation");
    if (o->arity < 0 ? v->narg == 0 : v->narg != (uint32_t)o->arity)
      return fault(e, i, "wrong number of arguments");
    for (uint32_t k = 0; k < v->narg; k++) {
      if (v->arg[k] >= i)
        return fault(e, i, "an argument that is not computed before it");
      if (!op_arg_fits(o, k, p->val[v->arg[k]].type))
        return fault(e, i, "an argument of the wrong type");
    }
    if (o->result == RESULT_ANY ? v->type > IR_STR : v->type != o->result)
      return fault(e, i, "wrong type");
    if ((op_has(o, 's') && !v->s) || (op_has(o, 'N') && v->nlist && !v->names) ||
        (op_has(o, 'L') && v->nlist && !v->list))
      return fault(e, i, "something is missing");
    if ((v->op == OP_VEC || op_scores(v->op)) && v->nlist && v->nlist != v->narg)
      return fault(e, i, "not one name for each argument");
  }
  for (uint32_t k = 0; k < p->nout; k++) {
    if (p->out[k].val >= p->nval || !is_column(p->val[p->out[k].val].type))
      return fault(e, p->out[k].val, "not a value to put out");
  }
  return ST_OK;
}

static Status find_fitted(Interp *t, Step *s, Err *e) {
  int want = -1;
  switch (s->v->op) {
  case OP_FITTED_B:
  case OP_FITTED_I64:
  case OP_FITTED_F64:
  case OP_FITTED_STR:
  case OP_FITTED_LIST:
  case OP_FITTED_VOCAB:
  case OP_FITTED_VEC:
  case OP_FITTED_MAT:
    want = s->v->type;
    break;
  case OP_LOOKUP_I64:
  case OP_LOOKUP_F64:
    want = IR_TABLE;
    break;
  case OP_SCORE:
  case OP_SCORES:
  case OP_CLASS_VEC:
    want = IR_MODEL;
    break;
  default:
    return ST_OK;
  }
  int64_t id = s->v->i;
  if (!t->env || id < 0 || id >= t->env->n || !t->env->v[id])
    return fault(e, s->number, "a fitted value that is not there");
  const Fitted *f = t->env->v[id];
  bool good = (int)f->type == want;
  if (good && want == IR_TABLE) {
    const Table *tab = f->table;
    good = tab && tab->type == s->v->type && tab->nkey == s->v->narg && tab->nvariant > 0 &&
           (!(s->v->g >= 0) || s->v->g + 1 < tab->nvariant);
  }
  if (good && want == IR_MODEL)
    good = f->model && f->model->est && f->model->est->predict &&
           f->model->nout == model_outputs(f->model->task, f->model->nclass) &&
           (s->v->op != OP_SCORE || f->model->nout == 1) && (s->v->op != OP_CLASS_VEC || f->model->nclass);
  if (good && want == IR_VOCAB)
    good = f->vocab && f->vocab->n == f->n;
  if (!good)
    return fault(e, s->number, "a fitted value of another type than the program says");
  s->fitted = f;
  return ST_OK;
}

/* ---- Lists and vocabularies ---- */

int64_t step_const(const Step *s, uint32_t arg) {
  const IrVal *a = &s->t->p->val[s->v->arg[arg]];
  return a->op == OP_CONST_I64 || a->op == OP_CONST_B ? a->i : 0;
}

ListView step_list(const Step *s, uint32_t arg) {
  const Step *a = &s->t->step[s->v->arg[arg]];
  if (a->fitted)
    return (ListView){a->fitted->list, a->fitted->n};
  if (a->v->op == OP_LIST)
    return (ListView){a->state, a->v->narg};
  return (ListView){a->v->list, a->v->nlist};
}

uint32_t step_vocab_size(const Step *s, uint32_t arg) {
  const Step *a = &s->t->step[s->v->arg[arg]];
  return a->fitted ? a->fitted->n : a->v->nlist;
}

bool step_vocab_at(const Step *s, uint32_t arg, uint32_t i, const char **p, uint32_t *n) {
  const Step *a = &s->t->step[s->v->arg[arg]];
  Str x = {"", 0};
  if (a->fitted)
    x = dict_at(a->fitted->vocab, i);
  else
    x = (Str){a->v->names[i], (uint32_t)strlen(a->v->names[i])};
  *p = x.p;
  *n = x.n;
  return true;
}

/* ---- Layout ---- */

static size_t round_up(size_t n) {
  return (n + ALIGN - 1) / ALIGN * ALIGN;
}

/* A constant vector has one row: a panel of copies of a wide one would be large. */
static size_t data_bytes(const Col *c) {
  size_t n = c->type == IR_VEC && c->constant ? 1 : PANEL_ROWS;
  if (col_is_ragged(c))
    return ALIGN; /* a name for it: the rows lie in Step.entries */
  switch (c->type) {
  case IR_BOOL:
    return round_up(n);
  case IR_STR:
    return round_up(n * sizeof *c->code);
  case IR_VEC:
    return round_up(c->is_hot ? n * sizeof *c->hot : n * sizeof *c->f * (c->width ? c->width : 1));
  default:
    return round_up(n * sizeof *c->i);
  }
}

typedef struct Piece { /* of the allocation: where, how large, from which step on it is free */
  size_t at, size;
  uint32_t free_from;
} Piece;

typedef struct Layout {
  Piece *piece;
  uint32_t n;
  size_t end;
} Layout;

/* A free piece of just this size, or a new one at the end. A constant always gets a new one: it is
 * computed once, before all panels, and earlier steps write to the pieces that are free now. */
static size_t place(Layout *l, size_t size, uint32_t step, uint32_t free_from, bool constant) {
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

static bool may_be_null(const Interp *t, uint32_t i, const bool *nullable) {
  const IrVal *v = &t->p->val[i];
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

/* Decides where registers lie. A column of the input is taken to be nullable whatever the program says, so
 * that no input can make a step write where it has no room. */
static Status lay_out(Interp *t, Err *e) {
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
    root[i] = is_alias(v->op) ? root[v->arg[0]] : i;
    last[i] = i + 1;
    for (uint32_t k = 0; k < v->narg; k++)
      last[root[v->arg[k]]] = i + 1; /* free for the step behind this one, never for this one */
  }
  for (uint32_t i = 0; i < n; i++) {
    if (t->reg[i].constant)
      last[root[i]] = UINT32_MAX;
  }
  for (uint32_t k = 0; k < t->p->nout; k++)
    last[root[t->p->out[k].val]] = UINT32_MAX;
  for (uint32_t i = 0; i < n; i++) {
    if (!is_column(t->reg[i].type))
      continue;
    nullable[i] = t->p->val[i].op == OP_COL || may_be_null(t, i, nullable);
    if (root[i] != i)
      continue;
    data[i] = 1 + place(&l, data_bytes(&t->reg[i]), i, last[i], t->reg[i].constant);
    if (nullable[i])
      mask[i] = 1 + place(&l, round_up(PANEL_ROWS), i, last[i], t->reg[i].constant);
  }
  t->bytes = l.end;
  t->memory = mem_alloc64(l.end ? l.end : ALIGN);
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

/* ---- Running one step ---- */

uint8_t *step_mask(Step *s) {
  if (!s->out->null) {
    s->out->null = s->mask;
    memset(s->mask, 0, s->n);
  }
  return s->out->null;
}

void step_memory(Step *s) {
  err_memory(s->t->err);
}

bool step_entries(Step *s, uint64_t entries) {
  Entries *x = &s->entries;
  bool vec = s->out->type == IR_VEC;
  if (!x->ptr)
    x->ptr = mem_alloc((PANEL_ROWS + 1) * sizeof *x->ptr);
  if (entries > x->cap || !x->cap) {
    uint64_t cap = entries < 64 ? 64 : entries + entries / 2;
    uint32_t *el = cap < UINT32_MAX ? mem_realloc(x->el, cap * sizeof *el) : NULL;
    x->el = el ? el : x->el;
    double *f = el && vec ? mem_realloc(x->f, cap * sizeof *f) : NULL;
    x->f = f ? f : x->f;
    if (!el || (vec && !f)) {
      step_memory(s);
      return false;
    }
    x->cap = (uint32_t)cap;
  }
  if (!x->ptr) {
    step_memory(s);
    return false;
  }
  s->out->ptr = x->ptr;
  if (vec) {
    s->out->el = x->el;
    s->out->f = x->f;
  } else {
    s->out->code = x->el;
  }
  return true;
}

void step_fail(Step *s, uint32_t r, const char *column, const char *fmt, ...) {
  Interp *t = s->t;
  const uint8_t *null = s->info->null == NULL_STRICT ? s->out->null : NULL;
  if (!t->live[r] || (null && null[r]))
    return;
  t->live[r] = 0;
  RowError x = {.step = s->number, .line = s->v->line, .col = s->v->col};
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(x.text, sizeof x.text, fmt, ap);
  va_end(ap);
  if (!t->in) { /* a constant: wrong for all rows at once */
    err_set(t->err, ST_DATA, "CML0332", "Correct the constant, or what it is computed from.", "%s%s%s",
            column ? column : "", column ? ": " : "", x.text);
    if (s->v->line)
      err_at(t->err, "line %u, column %u", s->v->line, s->v->col);
    return;
  }
  if (column)
    snprintf(x.column, sizeof x.column, "%s", column);
  x.file = t->in->file;
  x.pos = t->in->pos + (t->in->at ? t->in->at[r] : r);
  row_errors_add(t->errors, &x);
}

/* The union of the arguments' masks. */
static void join_masks(Step *s) {
  s->out->null = NULL;
  for (uint32_t k = 0; k < s->v->narg; k++) {
    const uint8_t *null = s->arg[k]->null;
    if (!null)
      continue;
    if (!s->out->null) {
      s->out->null = s->mask;
      memcpy(s->mask, null, s->n);
      continue;
    }
    for (uint32_t r = 0; r < s->n; r++)
      s->mask[r] |= null[r];
  }
}

#define ZERO(field, T)                        \
  do {                                        \
    T *v_ = c->field;                         \
    for (uint32_t r = 0; r < n; r++)          \
      v_[r] = null[r] ? 0 : v_[r];            \
  } while (0)

static void zero_nulls(Col *c, uint32_t n) {
  const uint8_t *null = c->null;
  if (col_is_ragged(c))
    return;
  switch (c->type) {
  case IR_BOOL:
    ZERO(b, uint8_t);
    break;
  case IR_STR:
    ZERO(code, uint32_t);
    break;
  case IR_VEC:
    for (uint32_t r = 0; r < n; r++) {
      if (!null[r])
        continue;
      if (c->is_hot)
        c->hot[r] = -1;
      else
        memset(c->f + (size_t)r * c->width, 0, c->width * sizeof *c->f);
    }
    break;
  default:
    ZERO(i, int64_t); /* a double's zero has the same bits */
    break;
  }
}

static void run_step(Step *s, uint32_t n) {
  s->n = n;
  if (s->info->null == NULL_STRICT && s->data)
    join_masks(s);
  else if (s->info->null == NULL_NEVER)
    s->out->null = NULL;
  s->run(s);
  if (s->info->null == NULL_STRICT && s->data && s->out->null)
    zero_nulls(s->out, n);
}

/* ---- Making and freeing ---- */

void interp_free(Interp *t) {
  if (!t)
    return;
  for (uint32_t i = 0; t->step && i < t->nval; i++) {
    if (t->step[i].drop)
      t->step[i].drop(t->step[i].state);
    mem_free(t->step[i].entries.ptr);
    mem_free(t->step[i].entries.el);
    mem_free(t->step[i].entries.f);
    if (t->own)
      dict_drop(t->own[i]);
  }
  for (uint32_t k = 0; t->copy && k < t->p->nout; k++)
    mem_free(t->copy[k]);
  mem_free(t->copy);
  mem_free(t->own);
  mem_free(t->step);
  mem_free(t->reg);
  mem_free(t->args);
  mem_free(t->list);
  mem_free(t->input);
  mem_free(t->memory);
  dict_drop(t->none);
  mem_free(t);
}

static bool value_is_scalar(const Interp *t, const Step *s) {
  if (s->info->row || s->v->op == OP_VEC || s->v->type == IR_STRS)
    return false;
  for (uint32_t k = 0; k < s->v->narg; k++) {
    if (is_column(t->p->val[s->v->arg[k]].type) && !t->reg[s->v->arg[k]].constant)
      return false;
  }
  return true;
}

static Status find_input(Interp *t, uint32_t i, const char *const *input, Err *e) {
  const char *name = t->p->val[i].s;
  for (uint32_t k = 0; k < t->ninput; k++) {
    if (!strcmp(input[k], name)) {
      t->input[i] = (int32_t)k;
      return ST_OK;
    }
  }
  return err_set(e, ST_FAULT, "CML0602", "This is a fault of cml: please report it with the program.",
                 "a row program reads column `%s`, which it is not given", name);
}

/* The value of a scalar in all rows of its register. */
static void spread(Col *c) {
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

static Status own_string(Interp *t, Step *s, Err *e) {
  Str x = {s->v->s, 0};
  if (s->v->op == OP_CONST_STR)
    x.n = (uint32_t)strlen(s->v->s);
  else if (s->v->op == OP_FITTED_STR)
    x = (Str){s->fitted->s, s->fitted->n};
  else
    return ST_OK;
  t->own[s->number] = dict_of(&x, 1);
  return t->own[s->number] ? ST_OK : err_memory(e);
}

/* A list of values that are known by now. */
static Status make_list(Interp *t, Step *s, Err *e) {
  double *v = mem_alloc(s->v->narg * sizeof *v);
  if (!v)
    return err_memory(e);
  s->state = v;
  s->drop = mem_free;
  for (uint32_t k = 0; k < s->v->narg; k++) {
    const Col *c = &t->reg[s->v->arg[k]];
    if (!c->constant)
      return fault(e, s->number, "a list of values that differ from row to row");
    if (c->null && c->null[0])
      return err_set(e, ST_DATA, "CML0415", "Give it a value with coalesce(..).", "an element of a list has no value");
    v[k] = c->f[0];
  }
  return ST_OK;
}

/* Constants are computed here, once. */
static Status compute_constants(Interp *t, Err *e) {
  t->err = e;
  memset(t->live, 1, sizeof t->live);
  for (uint32_t i = 0; i < t->nval; i++) {
    Step *s = &t->step[i];
    if (s->v->op == OP_LIST && make_list(t, s, e) != ST_OK)
      return e->code;
    if (!is_column(t->reg[i].type))
      continue;
    Prepare prepare = prepare_of(s->v->op);
    Status st = own_string(t, s, e);
    if (st == ST_OK && prepare)
      st = prepare(s, e);
    if (st != ST_OK)
      return st;
    if (!t->reg[i].constant) {
      t->list[t->nlist++] = i;
      continue;
    }
    run_step(s, 1);
    if (e->code)
      return e->code;
    if (s->data)
      spread(&t->reg[i]);
    t->reg[i].constant = true; /* an alias copies its argument */
  }
  return ST_OK;
}

Status interp_new(const RowProg *p, const Env *env, const char *const *input, uint32_t ninput, Interp **out,
                  Err *e) {
  *out = NULL;
  Status st = check_form(p, e);
  if (st != ST_OK)
    return st;
  Interp *t = mem_alloc(sizeof *t);
  if (!t)
    return err_memory(e);
  size_t n = p->nval, nargs = 0;
  for (uint32_t i = 0; i < p->nval; i++)
    nargs += p->val[i].narg;
  t->p = p;
  t->env = env;
  t->nval = p->nval;
  t->ninput = ninput;
  t->step = mem_alloc((n + 1) * sizeof *t->step);
  t->reg = mem_alloc((n + 1) * sizeof *t->reg);
  t->args = mem_alloc((nargs + 1) * sizeof *t->args);
  t->list = mem_alloc((n + 1) * sizeof *t->list);
  t->input = mem_alloc((n + 1) * sizeof *t->input);
  t->own = mem_alloc((n + 1) * sizeof *t->own);
  t->copy = mem_alloc(((size_t)p->nout + 1) * sizeof *t->copy);
  t->none = dict_of(NULL, 0);
  Shape *shape = mem_alloc((n + 1) * sizeof *shape);
  if (!shape || !t->none || !t->step || !t->reg || !t->args || !t->list || !t->input || !t->own || !t->copy) {
    st = err_memory(e);
    goto fail;
  }
  const Col **arg = t->args;
  st = shapes_of(p, env, shape, e);
  for (uint32_t i = 0; i < p->nval && st == ST_OK; i++) {
    Step *s = &t->step[i];
    const IrVal *v = &p->val[i];
    *s = (Step){.run = step_of[v->op], .v = v, .info = op_info(v->op), .number = i, .arg = arg, .t = t};
    s->out = &t->reg[i];
    for (uint32_t k = 0; k < v->narg; k++)
      *arg++ = &t->reg[v->arg[k]];
    st = find_fitted(t, s, e);
    if (st == ST_OK && v->op == OP_COL)
      st = find_input(t, i, input, e);
    if (st != ST_OK)
      goto fail;
    Col *c = &t->reg[i];
    c->type = v->type;
    c->constant = is_column(v->type) && value_is_scalar(t, s);
    if (v->type == IR_VEC) {
      c->is_hot = shape[i].hot;
      c->is_sparse = shape[i].sparse;
      c->width = shape[i].width;
      c->constant &= !c->is_hot && !c->is_sparse;
    }
  }
  st = st == ST_OK ? lay_out(t, e) : st;
  if (st == ST_OK)
    st = compute_constants(t, e);
fail:
  mem_free(shape);
  if (st == ST_OK)
    *out = t;
  else
    interp_free(t);
  return st;
}

/* ---- Running ---- */

/* Doubles are put out with one NaN only: copies the column when it has another. True: fine. */
static bool canonical_nans(Col *c, uint32_t n, double **copy) {
  if (col_is_ragged(c)) { /* its entries are its own, and will be computed anew */
    for (uint32_t i = c->ptr[0]; i < c->ptr[n]; i++)
      c->f[i] = c->f[i] != c->f[i] ? __builtin_nan("") : c->f[i];
    return true;
  }
  size_t count = (size_t)n * (c->type == IR_VEC ? c->width : 1);
  uint64_t other = 0;
  for (size_t r = 0; r < count; r++) {
    uint64_t u;
    memcpy(&u, &c->f[r], sizeof u);
    other |= (uint64_t)(c->f[r] != c->f[r]) & (uint64_t)(u != UINT64_C(0x7ff8000000000000));
  }
  if (!other)
    return true;
  if (!*copy)
    *copy = mem_alloc64((size_t)PANEL_ROWS * (c->type == IR_VEC ? c->width : 1) * sizeof **copy);
  if (!*copy)
    return false;
  for (size_t r = 0; r < count; r++)
    (*copy)[r] = c->f[r] != c->f[r] ? __builtin_nan("") : c->f[r];
  c->f = *copy;
  return true;
}

Status interp_run(Interp *t, const RowsIn *in, Col *out, uint8_t *keep, RowErrors *errors, Err *e) {
  if (in->n > PANEL_ROWS)
    return err_set(e, ST_FAULT, "CML0603", NULL, "a panel has %u rows, at most %d are possible", in->n, PANEL_ROWS);
  t->in = in;
  t->errors = errors;
  t->err = e;
  memset(t->live, 1, in->n);
  memset(t->kept, 1, in->n);
  for (uint32_t k = 0; k < t->nlist; k++) {
    run_step(&t->step[t->list[k]], in->n);
    if (e->code)
      return e->code;
  }
  for (uint32_t k = 0; k < t->p->nout; k++) {
    out[k] = t->reg[t->p->out[k].val];
    bool doubles = out[k].type == IR_F64 || (out[k].type == IR_VEC && !out[k].is_hot);
    if (doubles && !canonical_nans(&out[k], out[k].constant ? 1 : in->n, &t->copy[k]))
      return err_memory(e);
  }
  if (keep)
    memcpy(keep, t->kept, in->n);
  return ST_OK;
}

void step_COL(Step *s) {
  Interp *t = s->t;
  const Col *c = &t->in->col[t->input[s->number]];
  if (c->type != s->v->type) {
    fault(t->err, s->number, "a column of another type than the program says");
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
  spread(s->out);
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
