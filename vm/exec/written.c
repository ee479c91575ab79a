/* SPDX-License-Identifier: Apache-2.0 */
/* What predict and score stages write: see written.h. */
#include "vm/written.h"

#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "vm/ops.h"

/* The model whose outputs a vector column is; NULL: it is none. */
static const Model *model_of(const RowProg *p, const Env *env, uint32_t val) {
  const IrVal *v = &p->val[val];
  bool good =
      v->op == OP_SCORES && v->i >= 0 && v->i < env->n && env->v[v->i] && env->v[v->i]->type == IR_MODEL;
  return good && env->v[v->i]->model->nclass ? env->v[v->i]->model : NULL;
}

static Status add_classes(const RowProg *p, const Env *env, uint32_t i, Written *w, Err *e) {
  const Model *m = model_of(p, env, p->out[i].val);
  if (!m)
    return err_set(e, ST_FAULT, "CML0601", NULL, "a vector is to be written that no model of classes gives");
  for (uint32_t c = 0; c < m->nclass; c++) {
    Buf b = {.n = 0};
    buf_printf(&b, "%s_%s", p->out[i].name, m->class[c]);
    char *name = b.bad ? NULL : mem_strdup(buf_str(&b));
    buf_free(&b);
    if (!name)
      return err_memory(e);
    w->name[w->nname++] = name;
    w->column[w->n] = (IrColumn){name, p->out[i].kind, false};
    w->type[w->n] = IR_F64;
    w->element[w->n] = (int32_t)c;
    w->out[w->n++] = i;
  }
  return ST_OK;
}

/* Readers of such files take the letters A-Z and a-z for the same. */
static Status check_names(const Written *w, Err *e) {
  for (uint32_t i = 0; i < w->n; i++)
    for (uint32_t k = 0; w->element[i] >= 0 && k < w->n; k++)
      if (k != i && !strcasecmp(w->column[k].name, w->column[i].name))
        return err_set(
            e, ST_DATA, "CML0440",
            "Keep other columns, or give the classes names that differ by more than the case of letters.",
            "the predictions would have two columns `%s` and `%s`", w->column[k].name, w->column[i].name);
  return ST_OK;
}

Status written_columns(const RowProg *p, const Env *env, Written *out, Err *e) {
  size_t most = 1;
  *out = (Written){.n = 0};
  for (uint32_t i = 0; i < p->nout; i++) {
    const Model *m = p->val[p->out[i].val].type == IR_VEC ? model_of(p, env, p->out[i].val) : NULL;
    most += m ? m->nclass : 1;
  }
  out->column = mem_alloc(most * sizeof *out->column);
  out->type = mem_alloc(most);
  out->out = mem_alloc(most * sizeof *out->out);
  out->element = mem_alloc(most * sizeof *out->element);
  out->name = mem_alloc(most * sizeof *out->name);
  Status st = out->column && out->type && out->out && out->element && out->name ? ST_OK : err_memory(e);
  for (uint32_t i = 0; i < p->nout && !st; i++) {
    const IrVal *v = &p->val[p->out[i].val];
    if (p->out[i].role != OUT_COLUMN)
      continue;
    if (v->type == IR_VEC) {
      st = add_classes(p, env, i, out, e);
      continue;
    }
    out->column[out->n] = (IrColumn){p->out[i].name, p->out[i].kind, v->nullable};
    out->type[out->n] = v->type;
    out->element[out->n] = -1;
    out->out[out->n++] = i;
  }
  if (!st)
    st = check_names(out, e);
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
  *w = (Written){.n = 0};
}

Col written_col(const Written *w, uint32_t k, const Col *out, uint32_t n, double *space) {
  const Col *c = &out[w->out[k]];
  if (w->element[k] < 0)
    return *c;
  const double *v = c->f + w->element[k];
  for (uint32_t r = 0; r < n; r++)
    space[r] = v[(size_t)r * c->width];
  return (Col){.type = IR_F64, .f = space};
}
