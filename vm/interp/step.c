/* SPDX-License-Identifier: Apache-2.0 */
/* One step: what is done around every op (null masks, failing rows, room for ragged rows), and what ops
 * read of their arguments. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "vm/interp/parts.h"

VECTOR_LOOPS

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

/* What in the program would allow the value. */
static void allow_of(const Step *s, RowError *x) {
  switch (s->v->op) {
  case OP_CHECK_RANGE_I64:
  case OP_CHECK_RANGE_F64:
  case OP_CHECK_IN_STR:
    snprintf(x->allow, sizeof x->allow, "a wider domain of `%s`, or `on_invalid`", x->column);
    break;
  case OP_CHECK_NULL_B:
  case OP_CHECK_NULL_I64:
  case OP_CHECK_NULL_F64:
  case OP_CHECK_NULL_STR:
  case OP_CHECK_NAN_F64:
    snprintf(x->allow, sizeof x->allow, "a type of `%s` that ends in `?`", x->column);
    break;
  default:
    strcpy(x->allow, ALLOW_WHERE);
  }
}

void step_fail(Step *s, uint32_t r, const char *column, const char *fmt, ...) {
  Interp *t = s->t;
  const uint8_t *null = s->info->null == NULL_STRICT ? s->out->null : NULL;
  if (!t->live[r] || (null && null[r]))
    return;
  if (t->trial) { /* the panel will be interpreted as a whole, and tell */
    t->failed = true;
    return;
  }
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
  allow_of(s, &x);
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

/* The rows that were given; small values become doubles here. */
static void take_given(Step *s) {
  const Given *g = &s->given;
  uint32_t from = g->ptr[0], count = g->ptr[s->n] - from;
  if (g->few && !step_entries(s, count))
    return;
  for (uint32_t r = 0; g->few && r <= s->n; r++)
    s->out->ptr[r] = g->ptr[r] - from;
  for (uint32_t i = 0; g->few && i < count; i++)
    s->out->f[i] = g->few[from + i];
  s->out->el = g->few ? g->el + from : g->el;
  if (g->few)
    return;
  s->out->ptr = g->ptr;
  s->out->f = g->f;
}

void step_run(Step *s, uint32_t n) {
  s->n = n;
  if (s->skip)
    return;
  if (s->given.ptr) {
    take_given(s);
    return;
  }
  if (s->info->null == NULL_STRICT && s->data)
    join_masks(s);
  else if (s->info->null == NULL_NEVER)
    s->out->null = NULL;
  s->run(s);
  if (s->info->null == NULL_STRICT && s->data && s->out->null)
    zero_nulls(s->out, n);
}
