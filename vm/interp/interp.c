/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter of row programs: making one, and running it over a panel. Ops are in op_*.c; op.h is
 * between.
 *
 * interp_new: check the program's form (form.c), find inputs and fitted values, decide which values are
 * the same for all rows, lay out registers (layout.c), compute those constants, prepare per-step state.
 * interp_run: run the remaining steps in order (step.c), then hand out the outputs. */
#include <string.h>

#include "base/arena.h"
#include "vm/interp/parts.h"
#include "vm/jit/parts.h"
#include "vm/shape.h"

VECTOR_LOOPS

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
  jit_use_free(t->jit);
  mem_free(t->copy);
  mem_free(t->split);
  mem_free(t->part);
  mem_free(t->part_at);
  mem_free(t->result);
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
    if (step_has_column(t->p->val[s->v->arg[k]].type) && !t->reg[s->v->arg[k]].constant)
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

/* Constants are computed here, once. */
static Status compute_constants(Interp *t, Err *e) {
  t->err = e;
  memset(t->live, 1, sizeof t->live);
  for (uint32_t i = 0; i < t->nval; i++) {
    Step *s = &t->step[i];
    if (s->v->op == OP_LIST && step_values(t, s, e) != ST_OK)
      return e->code;
    if (!step_has_column(t->reg[i].type))
      continue;
    Prepare prepare = prepare_of(s->v->op);
    Status st = own_string(t, s, e);
    if (st == ST_OK && prepare)
      st = prepare(s, e);
    if (st != ST_OK)
      return st;
    if (t->split[i])
      continue;
    if (!t->reg[i].constant) {
      t->list[t->nlist++] = i;
      continue;
    }
    step_run(s, 1);
    if (e->code)
      return e->code;
    if (s->data)
      step_spread(&t->reg[i]);
    t->reg[i].constant = true; /* an alias copies its argument */
  }
  return ST_OK;
}

static bool counts_words(uint32_t op) {
  return op == OP_TF_STRS || op == OP_HASHED_STRS || op == OP_COUNT_VECTOR_STRS;
}

/* Words that are only counted are never written. */
static void find_counted(Interp *t) {
  const RowProg *p = t->p;
  for (uint32_t i = 0; i < p->nval; i++) {
    uint32_t words = counts_words(p->val[i].op) ? p->val[i].arg[0] : i, uses = 0;
    if (p->val[words].op != OP_TOKENIZE_STR)
      continue;
    for (uint32_t j = words + 1; j < p->nval; j++)
      for (uint32_t k = 0; k < p->val[j].narg; k++)
        uses += p->val[j].arg[k] == words;
    for (uint32_t k = 0; k < p->nout; k++)
      uses += p->out[k].val == words;
    if (uses == 1 && words != i)
      t->step[words].counts = &t->step[i];
  }
}

/* ---- Slots in parts, and results ---- */

/* Vectors that are slots, and nothing else. */
static void find_split(Interp *t, bool *whole) {
  const RowProg *p = t->p;
  for (uint32_t k = 0; k < p->nout; k++) {
    bool slot = p->out[k].role == OUT_SLOT && p->val[p->out[k].val].op == OP_VEC;
    (slot ? t->split : whole)[p->out[k].val] = true;
  }
  for (uint32_t i = 0; i < p->nval; i++)
    for (uint32_t k = 0; k < p->val[i].narg; k++)
      whole[p->val[i].arg[k]] = true;
  for (uint32_t i = 0; i < p->nval; i++)
    t->split[i] = t->split[i] && !whole[i];
}

static void add_result(Interp *t, uint32_t i) {
  t->part[t->nresult] = &t->reg[i];
  t->result[t->nresult++] = i;
}

static Status find_results(Interp *t, bool split, Err *e) {
  const RowProg *p = t->p;
  uint32_t n = 0;
  bool *whole = mem_alloc((size_t)p->nval + 1);
  t->split = mem_alloc((size_t)p->nval + 1);
  t->part_at = mem_alloc(((size_t)p->nout + 1) * sizeof *t->part_at);
  if (!whole || !t->split || !t->part_at) {
    mem_free(whole);
    return err_memory(e);
  }
  if (split)
    find_split(t, whole);
  mem_free(whole);
  for (uint32_t k = 0; k < p->nout; k++)
    n += t->split[p->out[k].val] ? p->val[p->out[k].val].narg : 1;
  t->part = mem_alloc(((size_t)n + 1) * sizeof *t->part);
  t->result = mem_alloc(((size_t)n + 1) * sizeof *t->result);
  if (!t->part || !t->result)
    return err_memory(e);
  for (uint32_t k = 0; k < p->nout; k++) {
    uint32_t i = p->out[k].val;
    for (uint32_t j = 0; t->split[i] && j < p->val[i].narg; j++)
      add_result(t, p->val[i].arg[j]);
    if (!t->split[i])
      add_result(t, i);
    t->part_at[k + 1] = t->nresult;
  }
  return ST_OK;
}

const Col *const *interp_parts(const Interp *t, uint32_t k, uint32_t *n) {
  *n = t->part_at[k + 1] - t->part_at[k];
  return t->split[t->p->out[k].val] ? t->part + t->part_at[k] : NULL;
}

static Status make(const RowProg *p, const Env *env, const char *const *input, uint32_t ninput, bool split,
                   Interp **out, Err *e) {
  *out = NULL;
  Status st = interp_form(p, e);
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
    st = interp_fitted(t, s, e);
    if (st == ST_OK && v->op == OP_COL)
      st = find_input(t, i, input, e);
    if (st != ST_OK)
      goto fail;
    Col *c = &t->reg[i];
    c->type = v->type;
    c->constant = step_has_column(v->type) && value_is_scalar(t, s);
    if (v->type == IR_VEC) {
      c->is_hot = shape[i].hot;
      c->is_sparse = shape[i].sparse;
      c->width = shape[i].width;
      c->constant &= !c->is_hot && !c->is_sparse;
    }
  }
  find_counted(t);
  st = st == ST_OK ? find_results(t, split, e) : st;
  st = st == ST_OK ? interp_layout(t, e) : st;
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

Status interp_new(const RowProg *p, const Env *env, const char *const *input, uint32_t ninput, Interp **out,
                  Err *e) {
  return make(p, env, input, ninput, false, out, e);
}

Status interp_new_parts(const RowProg *p, const Env *env, const char *const *input, uint32_t ninput,
                        Interp **out, Err *e) {
  return make(p, env, input, ninput, true, out, e);
}

/* ---- Steps that are given ---- */

/* Which lists of words nothing reads now. All else is computed as always: compiled code may read it. */
static void find_skipped(Interp *t) {
  const RowProg *p = t->p;
  for (uint32_t i = p->nval; i-- > 0;) {
    bool read = p->val[i].type != IR_STRS;
    for (uint32_t k = 0; k < p->nout && !read; k++)
      read = p->out[k].val == i;
    for (uint32_t j = i + 1; j < p->nval && !read; j++)
      for (uint32_t k = 0; k < p->val[j].narg && !t->step[j].skip && !t->step[j].given.ptr; k++)
        read |= p->val[j].arg[k] == i;
    t->step[i].skip = !read;
  }
}

void interp_give(Interp *t, uint32_t val, const Given *rows) {
  Step *s = &t->step[val];
  bool given = s->given.ptr != NULL;
  s->given = rows ? *rows : (Given){.ptr = NULL};
  if (given != (rows != NULL))
    find_skipped(t);
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

/* Has output k no NaN that must be exchanged, for sure? */
static bool is_canonical(const Interp *t, uint32_t k, bool compiled) {
  uint32_t i = t->p->out[k].val;
  const Col *c = &t->reg[i];
  bool doubles = c->type == IR_F64 || (c->type == IR_VEC && !c->is_hot);
  if (!doubles || t->split[i] || t->step[i].given.ptr || (compiled && jit_use_canonical(t->jit, k)))
    return true;
  while (reg_is_alias(t->p->val[i].op))
    i = t->p->val[i].arg[0];
  return t->in->clean && t->p->val[i].op == OP_COL;
}

static Status interpret(Interp *t) {
  memset(t->live, 1, t->in->n);
  memset(t->kept, 1, t->in->n);
  for (uint32_t k = 0; k < t->nlist && !t->err->code; k++)
    step_run(&t->step[t->list[k]], t->in->n);
  return t->err->code;
}

Status interp_run(Interp *t, const RowsIn *in, Col *out, uint8_t *keep, RowErrors *errors, Err *e) {
  if (in->n > PANEL_ROWS)
    return err_set(e, ST_FAULT, "CML0603", NULL, "a panel has %u rows, at most %d are possible", in->n,
                   PANEL_ROWS);
  bool compiled = false;
  t->in = in;
  t->errors = errors;
  t->err = e;
  if (t->jit && jit_use_ready(t->jit, in->n) && jit_use_panel(t->jit, &compiled) != ST_OK)
    return e->code;
  if (!compiled && interpret(t) != ST_OK)
    return e->code;
  for (uint32_t k = 0; k < t->p->nout; k++) {
    out[k] = t->reg[t->p->out[k].val];
    if (is_canonical(t, k, compiled))
      continue;
    if (!canonical_nans(&out[k], out[k].constant ? 1 : in->n, &t->copy[k]))
      return err_memory(e);
  }
  if (keep)
    memcpy(keep, t->kept, in->n);
  return ST_OK;
}
