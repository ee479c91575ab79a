/* SPDX-License-Identifier: Apache-2.0 */
/* Intervals, row vectors and their elements, predictions. */
#include <string.h>

#include "base/arena.h"
#include "base/num.h"
#include "vm/estimator.h"
#include "vm/interp/op.h"

/* ---- bucket ---- */

typedef struct Bucket {
  double *cut; /* strictly increasing */
  uint32_t n;
  Dict *label; /* n + 1 */
} Bucket;

static void bucket_drop(void *state) {
  Bucket *w = state;
  mem_free(w->cut);
  dict_drop(w->label);
  mem_free(w);
}

static void put_label(Buf *out, const double *cut, uint32_t n, uint32_t k) {
  char number[NUM_MAX];
  if (k == 0) {
    buf_text(out, "(-inf");
  } else {
    num_print_f64(number, cut[k - 1], false);
    buf_text(out, "[");
    buf_text(out, number);
  }
  buf_text(out, ", ");
  if (k == n) {
    buf_text(out, "inf");
  } else {
    num_print_f64(number, cut[k], false);
    buf_text(out, number);
  }
  buf_text(out, ")");
}

Status prepare_bucket(Step *s, Err *e) {
  ListView list = step_list(s, 1);
  Bucket *w = mem_alloc(sizeof *w);
  if (!w)
    return err_memory(e);
  s->state = w;
  s->drop = bucket_drop;
  w->cut = mem_alloc((list.n + (size_t)1) * sizeof *w->cut);
  if (!w->cut)
    return err_memory(e);
  for (uint32_t k = 0; k < list.n; k++) {
    double v = list.v[k] == 0 ? 0 : list.v[k]; /* -0 is 0 */
    if (w->n && v == w->cut[w->n - 1])
      continue;
    if (v != v || (w->n && v < w->cut[w->n - 1])) {
      err_set(e, ST_DATA, "CML0415", "Give the cuts in increasing order.",
              "the cuts of bucket do not increase");
      if (s->v->line)
        err_at(e, "line %u, column %u", s->v->line, s->v->col);
      return e->code;
    }
    w->cut[w->n++] = v;
  }
  DictBuild b;
  dict_begin(&b);
  for (uint32_t k = 0; k <= w->n; k++) {
    put_label(&b.bytes, w->cut, w->n, k);
    dict_entry(&b);
  }
  w->label = dict_done(&b);
  return w->label ? ST_OK : err_memory(e);
}

const double *step_cuts(const Step *s, uint32_t *n, Dict **label) {
  const Bucket *w = s->state;
  *n = w->n;
  *label = w->label;
  return w->cut;
}

void step_BUCKET_F64(Step *s) {
  const Bucket *w = s->state;
  const double *a = s->arg[0]->f;
  s->out->dict = w->label;
  for (uint32_t r = 0; r < s->n; r++) {
    uint32_t lo = 0, n = w->n; /* cuts below lo are <= a, from lo + n on they are not */
    while (n > 0) {
      uint32_t half = n / 2;
      bool right = w->cut[lo + half] <= a[r];
      lo = right ? lo + half + 1 : lo;
      n = right ? n - half - 1 : half;
    }
    s->out->code[r] = lo;
    if (a[r] != a[r])
      step_fail(s, r, NULL, "NaN lies in no interval");
  }
}

/* ---- vec ---- */

void step_VEC(Step *s) {
  size_t width = s->out->width;
  double *o = s->out->f;
  for (uint32_t k = 0; k < s->v->narg; k++) {
    const Col *a = s->arg[k];
    if (a->type == IR_VEC) {
      for (uint32_t r = 0; r < s->n; r++)
        col_row(a, r, o + r * width);
      o += a->width;
      continue;
    }
    for (uint32_t r = 0; r < s->n; r++)
      o[r * width] = a->f[r];
    o++;
  }
}

/* An element that every row has. */
Status prepare_element(Step *s, Err *e) {
  if (s->v->i >= 0 && s->v->i < s->arg[0]->width)
    return ST_OK;
  return err_set(e, ST_FAULT, "CML0601", "This is a fault of cml, or the file of the model is damaged.",
                 "step %%%u takes element %lld of a vector of %u", s->number, (long long)s->v->i,
                 s->arg[0]->width);
}

void step_ELEMENT_VEC(Step *s) {
  const Col *c = s->arg[0];
  for (uint32_t r = 0; r < s->n && !c->is_sparse; r++)
    s->out->f[r] = c->is_hot ? c->hot[r] == s->v->i : c->f[(size_t)r * c->width + (size_t)s->v->i];
  for (uint32_t r = 0; r < s->n && c->is_sparse; r++) {
    s->out->f[r] = 0;
    for (uint32_t k = c->ptr[r]; k < c->ptr[r + 1]; k++)
      s->out->f[r] = c->el[k] == s->v->i ? c->f[k] : s->out->f[r];
  }
}

/* ---- class ---- */

static void class_drop(void *state) {
  dict_drop(state);
}

Status prepare_class(Step *s, Err *e) {
  const Model *m = s->fitted->model;
  DictBuild b;
  if (s->arg[0]->is_hot || s->arg[0]->is_sparse || s->arg[0]->width != m->nclass)
    return err_set(e, ST_FAULT, "CML0601", "This is a fault of cml, or the file of the model is damaged.",
                   "step %%%u names the classes of another model", s->number);
  dict_begin(&b);
  for (uint32_t k = 0; k < m->nclass; k++)
    dict_put(&b, (Str){m->class[k], (uint32_t)strlen(m->class[k])});
  s->state = dict_done(&b);
  s->drop = class_drop;
  return s->state ? ST_OK : err_memory(e);
}

void step_CLASS_VEC(Step *s) {
  const Col *c = s->arg[0];
  s->out->dict = s->state;
  for (uint32_t r = 0; r < s->n; r++) {
    const double *p = c->f + (size_t)r * c->width;
    uint32_t best = 0;
    for (uint32_t k = 1; k < c->width; k++)
      best = p[k] > p[best] ? k : best;
    s->out->code[r] = best;
  }
}

/* ---- score ---- */

typedef struct Score {
  Slots slots;
  MatrixBuilder *builder;
} Score;

static void score_drop(void *state) {
  Score *w = state;
  slots_free(&w->slots);
  matrix_builder_free(w->builder);
  mem_free(w);
}

Status prepare_score(Step *s, Err *e) {
  Score *w = mem_alloc(sizeof *w);
  if (!w)
    return err_memory(e);
  s->state = w;
  s->drop = score_drop;
  Status st = slots_of_step(s->t, s, false, &w->slots, e);
  if (st != ST_OK)
    return st;
  if (w->slots.d != s->fitted->model->d)
    return err_set(e, ST_FAULT, "CML0601", "This is a fault of cml, or the file of the model is damaged.",
                   "the model takes %u features, the program makes %u", s->fitted->model->d, w->slots.d);
  w->builder = matrix_builder(&w->slots, PANEL_ROWS, e);
  return w->builder ? ST_OK : e->code;
}

/* True where some row of the slot cannot go into a model; those rows have failed then. */
static bool refuse(Step *s, uint32_t k, const char *name) {
  const Col *c = s->arg[k];
  bool bad = false;
  for (uint32_t r = 0; c->null && r < s->n; r++) {
    if (c->null[r]) {
      step_fail(s, r, name, "a null, which no model takes");
      bad = true;
    }
  }
  if (slot_is_finite(c, s->n))
    return bad;
  Slots slots; /* with names now */
  if (slots_of_step(s->t, s, true, &slots, s->t->err) != ST_OK)
    return true;
  uint32_t first = 0;
  for (uint32_t j = 0; j < k; j++)
    first += slots.width[j];
  for (uint32_t r = 0; r < s->n; r++) {
    int64_t at = slot_bad_element(c, r);
    if (at < 0)
      continue;
    double v = slot_value(c, r, (uint32_t)at);
    step_fail(s, r, name, "the feature `%s` is %s, which no model takes", slots.feature[first + (uint32_t)at],
              v != v ? "NaN" : "infinite");
  }
  slots_free(&slots);
  return true;
}

void step_SCORE(Step *s) {
  Score *w = s->state;
  Interp *t = s->t;
  const Model *m = s->fitted->model;
  bool bad = false;
  for (uint32_t k = 0; k < s->v->narg; k++)
    bad |= refuse(s, k, s->v->nlist && s->v->names[k] ? s->v->names[k] : "");
  matrix_reset(w->builder);
  if (matrix_put(w->builder, s->arg, s->n, t->err) != ST_OK)
    return;
  m->est->predict(m, matrix_view(w->builder), s->out->f);
  for (uint32_t r = 0; bad && r < s->n; r++)
    for (uint32_t k = 0; k < m->nout && !t->live[r]; k++)
      s->out->f[(size_t)r * m->nout + k] = 0;
}

void step_SCORES(Step *s) {
  step_SCORE(s);
}
