/* SPDX-License-Identifier: Apache-2.0 */
/* What predict, transform and score stages write: see written.h. First which columns there are, then their
 * values. */
#include "vm/written.h"

#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "vm/ops.h"
#include "vm/shape.h"

/* ---- Columns ---- */

/* The model whose outputs a vector column is; NULL: it is none. */
static const Model *model_of(const RowProg *p, const Env *env, uint32_t val) {
  const IrVal *v = &p->val[val];
  bool good =
      v->op == OP_SCORES && v->i >= 0 && v->i < env->n && env->v[v->i] && env->v[v->i]->type == IR_MODEL;
  return good && env->v[v->i]->model->nclass ? env->v[v->i]->model : NULL;
}

/* A column for element k of output i, of this name in memory of its own. */
static Status add_element(const RowProg *p, uint32_t i, uint32_t k, Buf *name, Written *w, Err *e) {
  char *s = name->bad ? NULL : mem_strdup(buf_str(name));
  if (!s)
    return err_memory(e);
  w->name[w->nname++] = s;
  w->column[w->n] = (IrColumn){s, KIND_FLOAT, p->val[p->out[i].val].nullable};
  w->type[w->n] = IR_F64;
  w->element[w->n] = (int32_t)k;
  w->out[w->n++] = i;
  return ST_OK;
}

static Status add_classes(const RowProg *p, const Env *env, uint32_t i, Written *w, Err *e) {
  const Model *m = model_of(p, env, p->out[i].val);
  Buf b = {.n = 0};
  Status st = ST_OK;
  for (uint32_t c = 0; c < m->nclass && !st; c++) {
    buf_clear(&b);
    buf_printf(&b, "%s_%s", p->out[i].name, m->class[c]);
    st = add_element(p, i, c, &b, w, e);
  }
  buf_free(&b);
  return st;
}

static Status add_slot(const RowProg *p, const Env *env, const Shape *shape, uint32_t i, Written *w, Err *e) {
  uint32_t val = p->out[i].val, width = shape[val].width;
  char **end = mem_alloc((width + (size_t)1) * sizeof *end);
  Status st = end ? shape_names(p, env, shape, val, end, e) : err_memory(e);
  Buf b = {.n = 0};
  for (uint32_t k = 0; k < width && !st; k++) {
    buf_clear(&b);
    buf_printf(&b, "%s%s", p->out[i].name, end[k]);
    st = add_element(p, i, k, &b, w, e);
  }
  for (uint32_t k = 0; end && k < width; k++)
    mem_free(end[k]);
  mem_free(end);
  buf_free(&b);
  return st;
}

/* Readers of such files take the letters A-Z and a-z for the same. */
static Status check_names(const RowProg *p, const Written *w, Err *e) {
  Map seen = {0};
  Buf b = {.n = 0};
  for (uint32_t i = 0; i < w->n && !e->code; i++) {
    int fresh = 1;
    buf_clear(&b);
    for (const char *s = w->column[i].name; *s; s++)
      buf_u8(&b, (uint8_t)(*s >= 'A' && *s <= 'Z' ? *s + 32 : *s));
    int64_t k = b.bad ? -1 : map_add(&seen, b.p, b.n, &fresh);
    if (k < 0)
      err_memory(e);
    else if (!fresh && p->out[w->out[i]].role == OUT_SLOT)
      err_set(e, ST_DATA, "CML0440",
              "Name slots and kept columns differently; of levels that differ in the case of letters make "
              "one first: `lower(x)`.",
              "the features would have two columns `%s` and `%s`", w->column[k].name, w->column[i].name);
    else if (!fresh && (w->element[i] >= 0 || w->element[k] >= 0))
      err_set(e, ST_DATA, "CML0440",
              "Keep other columns, or give the classes names that differ by more than the case of letters.",
              "the predictions would have two columns `%s` and `%s`", w->column[k].name, w->column[i].name);
  }
  map_free(&seen);
  buf_free(&b);
  return e->code;
}

Status written_wide(uint64_t width, const char *slot, Err *e) {
  return err_set(e, ST_DATA, "CML0442",
                 "Keep fewer levels (`min_count`), hash to fewer columns, or leave the slot out of what is "
                 "exported.",
                 "the features would be %llu columns, and a file takes %d; slot `%s` has most of them",
                 (unsigned long long)width, WRITTEN_MOST, slot);
}

/* Room for all columns; shape: of the program's vectors. */
static Status make_room(const RowProg *p, const Env *env, const Shape *shape, Written *w, Err *e) {
  uint64_t most = 1, wide = 0;
  uint32_t widest = 0;
  for (uint32_t i = 0; i < p->nout; i++) {
    uint32_t val = p->out[i].val;
    bool vector = p->val[val].type == IR_VEC;
    const Model *m = vector ? model_of(p, env, val) : NULL;
    uint64_t n = m ? m->nclass : vector && p->out[i].role == OUT_SLOT ? shape[val].width : 1;
    most += n;
    if (p->out[i].role != OUT_SLOT)
      continue;
    wide += n;
    if (vector && (p->val[p->out[widest].val].type != IR_VEC || n > shape[p->out[widest].val].width))
      widest = i;
  }
  if (wide > WRITTEN_MOST)
    return written_wide(wide, p->out[widest].name, e);
  w->column = mem_alloc(most * sizeof *w->column);
  w->type = mem_alloc(most);
  w->out = mem_alloc(most * sizeof *w->out);
  w->element = mem_alloc(most * sizeof *w->element);
  w->name = mem_alloc(most * sizeof *w->name);
  w->cursor = mem_alloc(PANEL_ROWS * sizeof *w->cursor);
  return w->column && w->type && w->out && w->element && w->name && w->cursor ? ST_OK : err_memory(e);
}

static Status add_column(const RowProg *p, const Env *env, const Shape *shape, uint32_t i, Written *w,
                         Err *e) {
  const IrOut *o = &p->out[i];
  const IrVal *v = &p->val[o->val];
  if (o->role != OUT_COLUMN && o->role != OUT_SLOT)
    return ST_OK;
  if (v->type == IR_VEC && o->role == OUT_SLOT)
    return add_slot(p, env, shape, i, w, e);
  if (v->type == IR_VEC && model_of(p, env, o->val))
    return add_classes(p, env, i, w, e);
  if (v->type == IR_VEC)
    return err_set(e, ST_FAULT, "CML0601", NULL, "a vector is to be written that no model of classes gives");
  w->column[w->n] = (IrColumn){o->name, o->role == OUT_SLOT ? KIND_FLOAT : o->kind, v->nullable};
  w->type[w->n] = v->type;
  w->element[w->n] = -1;
  w->out[w->n++] = i;
  return ST_OK;
}

static bool has_slots(const RowProg *p) {
  for (uint32_t i = 0; i < p->nout; i++)
    if (p->out[i].role == OUT_SLOT)
      return true;
  return false;
}

Status written_columns(const RowProg *p, const Env *env, Written *out, Err *e) {
  *out = (Written){.n = 0};
  Shape *shape = mem_alloc((p->nval + (size_t)1) * sizeof *shape);
  Status st = !shape ? err_memory(e) : has_slots(p) ? shapes_of(p, env, shape, e) : ST_OK;
  if (!st)
    st = make_room(p, env, shape, out, e);
  for (uint32_t i = 0; i < p->nout && !st; i++)
    st = add_column(p, env, shape, i, out, e);
  if (!st)
    st = check_names(p, out, e);
  mem_free(shape);
  if (st)
    written_free(out);
  return st;
}

void written_free(Written *w) {
  for (uint32_t i = 0; i < w->nname; i++)
    mem_free(w->name[i]);
  mem_free(w->column);
  mem_free(w->type);
  mem_free(w->out);
  mem_free(w->element);
  mem_free(w->name);
  mem_free(w->cursor);
  *w = (Written){.n = 0};
}

/* ---- Values ---- */

/* Entries ascend in a row, and elements are asked for in turn: so each row's next entry is the one, or none
 * is. */
static void sparse_element(const Written *w, const Col *c, uint32_t k, uint32_t n, double *space) {
  if (k == 0)
    memcpy(w->cursor, c->ptr, n * sizeof *w->cursor);
  for (uint32_t r = 0; r < n; r++) {
    uint32_t at = w->cursor[r];
    bool here = at < c->ptr[r + 1] && c->el[at] == k;
    space[r] = here ? c->f[at] : 0;
    w->cursor[r] += here;
  }
}

Col written_col(const Written *w, uint32_t k, const Col *out, uint32_t n, double *space) {
  const Col *c = &out[w->out[k]];
  if (w->element[k] < 0)
    return *c;
  uint32_t j = (uint32_t)w->element[k], rows = c->constant ? 1 : n;
  if (c->is_sparse)
    sparse_element(w, c, j, rows, space);
  else if (c->is_hot)
    for (uint32_t r = 0; r < rows; r++)
      space[r] = c->hot[r] == (int32_t)j;
  else
    for (uint32_t r = 0; r < rows; r++)
      space[r] = c->f[(size_t)r * c->width + j];
  for (uint32_t r = 0; c->null && r < rows; r++)
    if (c->null[r])
      space[r] = 0; /* the value under a null */
  return (Col){.type = IR_F64, .f = space, .null = c->null, .constant = c->constant};
}
