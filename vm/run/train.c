/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's training: a matrix, the passes of an estimator over it, a model. Read from the bottom. */
#include <string.h>

#include "base/file.h"
#include "vm/bundle.h"
#include "vm/interp.h"
#include "vm/ops.h"
#include "vm/run/parts.h"

static const Estimator *estimator_of(const Registry *r, const char *name) {
  for (uint32_t i = 0; r->estimator && r->estimator[i]; i++)
    if (!strcmp(r->estimator[i]->name, name))
      return r->estimator[i];
  return NULL;
}

/* The classes of a multiclass model: at least two, not too many, each with a name that is a C string. NULL
 * vocabulary: no classes. */
static Status classes_of(Run *r, uint32_t stage, uint64_t rows, const Dict **vocab, Err *e) {
  const Stage *s = &r->p->stage[stage];
  *vocab = NULL;
  if (s->classes < 0)
    return ST_OK;
  const Fitted *f = (uint32_t)s->classes < r->env.n ? r->env.v[s->classes] : NULL;
  const Dict *d = f && f->type == IR_VOCAB ? f->vocab : NULL;
  if (!d)
    return err_set(e, ST_FAULT, "CML0604", NULL, "the classes of model `%s` are not there", s->name);
  if (d->n < 2)
    return err_set(e, ST_DATA, "CML0435",
                   "Check the target's expression, the filter and the split: two classes or more are needed.",
                   "the target of model `%s` is %s%.*s%s in all %llu training rows", s->name,
                   d->n ? "\"" : "null", d->n ? (int)(d->off[1] - d->off[0]) : 0, d->bytes, d->n ? "\"" : "",
                   (unsigned long long)rows);
  if (d->n > CLASSES_MAX)
    return err_set(e, ST_DATA, "CML0441", "Use a regression, or give rare classes one name with `derive`.",
                   "the target of model `%s` has %u classes in its training rows; at most %d are possible",
                   s->name, d->n, CLASSES_MAX);
  for (uint32_t i = 0; i < d->n; i++)
    if (memchr(d->bytes + d->off[i], 0, d->off[i + 1] - d->off[i]))
      return err_set(e, ST_DATA, "CML0441", "Correct the data.",
                     "class %u of model `%s` has a name with a zero byte", i + 1, s->name);
  *vocab = d;
  return ST_OK;
}

static bool name_classes(Model *m, const Dict *d) {
  m->class = d ? mem_alloc((d->n + (size_t)1) * sizeof *m->class) : NULL;
  for (; d && m->class && m->nclass < d->n; m->nclass++) {
    size_t n = d->off[m->nclass + 1] - d->off[m->nclass];
    m->class[m->nclass] = mem_alloc(n + 1);
    if (!m->class[m->nclass])
      return false;
    memcpy(m->class[m->nclass], d->bytes + d->off[m->nclass], n);
  }
  return !d || m->class;
}

static Fitted *model_new(const Estimator *est, ModelTask task, const Slots *slots, const Dict *classes,
                         Err *e) {
  Fitted *f = mem_alloc(sizeof *f);
  Model *m = f ? mem_alloc(sizeof *m) : NULL;
  if (!m) {
    mem_free(f);
    err_memory(e);
    return NULL;
  }
  f->type = IR_MODEL;
  f->model = m;
  m->est = est;
  m->task = task;
  m->feature = mem_alloc((slots->d + 1) * sizeof *m->feature);
  bool ok = m->feature != NULL && name_classes(m, classes);
  m->nout = model_outputs(task, m->nclass);
  for (; ok && m->d < slots->d; m->d++) {
    m->feature[m->d] = mem_strdup(slots->feature[m->d]);
    ok = m->feature[m->d] != NULL;
    if (!ok)
      break;
  }
  if (ok)
    return f;
  err_memory(e);
  fitted_free(f);
  return NULL;
}

/* Keeps a copy of text. */
static Status warn(Run *r, uint32_t stage, const char *text, Err *e) {
  RunWarning *v = mem_realloc(r->out->warning, (r->out->nwarning + 1) * sizeof *v);
  char *copy = mem_strdup(text);
  if (v)
    r->out->warning = v;
  if (!v || !copy) {
    mem_free(copy);
    return err_memory(e);
  }
  v[r->out->nwarning++] = (RunWarning){stage, copy};
  return ST_OK;
}

Status run_count_train(Run *r, Work *w, Err *e) {
  const Stage *s = &r->p->stage[w->stage];
  const char *part = s->part >= 0 ? ir_part_name(r->p, s) : NULL;
  Status st = w->rows ? ST_OK : run_part_rows(r, w->stage, &w->rows, e);
  if (st || w->rows)
    return st;
  if (part)
    return err_set(e, ST_DATA, "CML0431",
                   "Look at the filter and the split of the data: together they leave nothing.",
                   "model `%s` has no rows to learn from: part `%s` of its data is empty", s->name, part);
  return err_set(e, ST_DATA, "CML0431", "Look at the data and their filter.",
                 "model `%s` has no rows to learn from: the data set is empty", s->name);
}

/* Slots whose elements were all left out when they were fitted vanish, with a warning each; one has to stay.
 */
static Status empty_slots(Run *r, uint32_t stage, const Slots *slots, Err *e) {
  const Stage *s = &r->p->stage[stage];
  Status st = ST_OK;
  if (slots->n && !slots->d)
    return err_set(e, ST_DATA, "CML0439", "Let a slot keep elements (one_hot has `min_count`), or add one.",
                   "model `%s` has no features: %s elements", s->name,
                   slots->n == 1 ? "its only slot has no" : "none of its slots has");
  for (uint32_t i = 0, k = 0; i < s->prog.nout && k < slots->n && !st; i++) {
    const IrOut *o = &s->prog.out[i];
    Buf text = {.n = 0};
    if (o->role != OUT_SLOT || slots->width[k++])
      continue;
    buf_printf(&text, "slot `%s` has no elements: ", o->name);
    if (s->prog.val[o->val].op == OP_INDICATOR_STR)
      buf_text(&text, "no level occurs often enough in the training rows, so ");
    buf_text(&text, "it is left out");
    st = text.bad ? err_memory(e) : warn(r, stage, buf_str(&text), e);
    buf_free(&text);
  }
  return st;
}

/* The names of the slots, in order. */
static const char **slot_names(const Stage *s, const Slots *slots, Err *e) {
  const char **name = mem_alloc((slots->n + 1) * sizeof *name);
  if (!name)
    err_memory(e);
  for (uint32_t i = 0, k = 0; name && i < s->prog.nout && k < slots->n; i++)
    if (s->prog.out[i].role == OUT_SLOT)
      name[k++] = s->prog.out[i].name;
  return name;
}

/* Was an option given that is an expression? Then it is the last slot. */
static bool has_offset(const Stage *s, const Estimator *est) {
  for (uint32_t i = 0; i < s->noptions && est->option && est->option[i].name; i++)
    if (est->option[i].kind == OPT_EXPR && s->options[i].str)
      return true;
  return false;
}

/* The bundle that option `from` names, or NULL where it names none. */
static Status start_of(const Run *r, const Stage *s, Bundle **out, Err *e) {
  *out = NULL;
  for (uint32_t i = 0; i < s->noptions; i++) {
    if (strcmp(s->options[i].name, "from") || !s->options[i].str || !s->options[i].str[0])
      continue;
    char *path = file_join(r->lim->dir, s->options[i].str);
    Status st = path ? bundle_read(path, r->reg, out, e) : err_memory(e);
    mem_free(path);
    return st;
  }
  return ST_OK;
}

/* What the estimator is told, and its first jobs. */
static Status begin_learning(Run *r, Work *w, Err *e) {
  const Stage *s = &r->p->stage[w->stage];
  TrainInfo info = {.name = s->name,
                    .d = w->slots.d,
                    .feature = w->slots.feature,
                    .nslot = w->slots.n,
                    .slot = w->slot,
                    .width = w->slots.width,
                    .sparse = w->slots.sparse,
                    .option = s->options,
                    .noption = s->noptions,
                    .offset = has_offset(s, w->est),
                    .start = w->start ? w->start->fitted[w->start->model]->model : NULL,
                    .seed = r->p->seed,
                    .task = s->task};
  const Dict *classes;
  Status st = classes_of(r, w->stage, w->rows, &classes, e);
  w->model = st ? NULL : model_new(w->est, s->task, &w->slots, classes, e);
  if (!w->model)
    return e->code;
  info.nclass = w->model->model->nclass;
  info.class = w->model->model->class;
  return w->est->begin(&info, &w->v[0].it, e);
}

Status run_begin_train(Run *r, Work *w, Err *e) {
  const Stage *s = &r->p->stage[w->stage];
  w->est = estimator_of(r->reg, s->estimator);
  if (!w->est)
    return err_set(e, ST_PROGRAM, "CML0451", "It needs another cml.", "there is no estimator called `%s`",
                   s->estimator);
  if (!(w->est->tasks & TASK_BIT(s->task)))
    return err_set(e, ST_PROGRAM, "CML0451", "It needs another cml.", "`%s` makes no %s models", s->estimator,
                   task_name[s->task]);
  Status st = run_rows_known(r, w->stage) || s->classes >= 0 ? run_count_train(r, w, e) : ST_OK;
  if (!st)
    st = slots_of(&s->prog, &r->env, &w->slots, e);
  if (!st)
    st = empty_slots(r, w->stage, &w->slots, e);
  if (!st && !(w->slot = slot_names(s, &w->slots, e)))
    st = e->code;
  if (!st)
    st = start_of(r, s, &w->start, e);
  if (!st)
    st = run_loopers(w, 1, e);
  return st ? st : begin_learning(r, w, e);
}

Status run_finish_train(Run *r, Work *w, Err *e) {
  Model *m = w->model->model;
  Status st = run_count_train(r, w, e);
  if (!st)
    st = w->est->finish(w->v[0].it, m, e);
  if (!st && !m->rows)
    m->rows = w->rows;
  if (!st && w->est->verify)
    st = w->est->verify(m, e);
  if (!st && m->warning[0])
    st = warn(r, w->stage, m->warning, e);
  if (st)
    return st;
  Fitted *f = w->model;
  w->model = NULL;
  return run_put(r, r->p->stage[w->stage].fitted, f, e);
}

void run_free_train(Run *r, Work *w) {
  if (w->model)
    fitted_free(w->model);
  bundle_free(w->start);
  mem_free(w->slot);
  slots_free(&w->slots);
  if (r->p->stage[w->stage].matrix < 0)
    r->x->drop(r->x, w->stage);
}
