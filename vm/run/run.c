/* SPDX-License-Identifier: Apache-2.0 */
/* The driver: see run.h. Read from the bottom: run_program walks the stages; run_fit, run_train, run_evaluate,
 * run_export do one each; run_iterate is the loop that all learning and measuring goes through. */
#include "vm/run.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/num.h"
#include "vm/agg.h"
#include "vm/bundle.h"
#include "vm/interp.h"
#include "vm/ops.h"
#include "vm/run/parts.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static RunData *data_of(const Run *r, int32_t rows_stage) {
  for (uint32_t i = 0; i < r->out->ndata; i++)
    if (r->out->data[i].stage == (uint32_t)rows_stage)
      return &r->out->data[i];
  return NULL;
}

/* One scan, with its bookkeeping. */
static Status scan(Run *r, uint32_t stage, const Jobs *jobs, Buf *out, Err *e) {
  ScanInfo info;
  memset(&info, 0, sizeof info);
  Progress *pr = r->hooks ? r->hooks->progress : NULL;
  Status st = r->x->reduce(r->x, stage, jobs, out, &info, pr, e);
  RunStage *s = &r->out->stage[stage];
  s->from_cache = info.from_cache && (s->from_cache || !s->scans);
  s->scans++;
  s->rows = info.rows;
  s->bytes += info.bytes;
  RunData *d = data_of(r, r->p->stage[stage].from);
  if (!st && d && !d->known) {
    d->known = true;
    d->read = info.read;
    memcpy(d->kept, info.kept, sizeof d->kept);
  }
  return st;
}

/* Rows of the part that a stage reads. Counts them in a scan of its own where none has gone over them yet;
 * that one also fills the caches. */
Status run_part_rows(Run *r, uint32_t stage, uint64_t *rows, Err *e) {
  const Stage *s = &r->p->stage[stage];
  RunData *d = data_of(r, s->from);
  Jobs none = {.n = 0};
  *rows = 0;
  if (!d)
    return err_set(e, ST_FAULT, "CML0605", NULL, "stage `%s` reads no rows", s->name);
  Status st = d->known ? ST_OK : scan(r, stage, &none, NULL, e);
  if (st)
    return st;
  for (uint32_t i = 0; i < 64; i++)
    if (ir_parts(r->p, s) >> i & 1)
      *rows += d->kept[i];
  return ST_OK;
}

/* ---- Iters ---- */

typedef struct Asked { /* the jobs of a scan: each once, however many loopers ask for it */
  Jobs all;      /* the parameters stay with the first who asked */
  Buf *out;
  uint32_t nout;
} Asked;

static bool same_job(const Job *a, const Job *b) {
  return a->pass == b->pass && a->leave_out == b->leave_out && a->only_fold == b->only_fold && a->par.n == b->par.n &&
         (a->par.n == 0 || memcmp(a->par.p, b->par.p, a->par.n) == 0);
}

static uint32_t job_number(const Jobs *all, const Job *job) {
  uint32_t k = 0;
  while (k < all->n && !same_job(&all->v[k], job))
    k++;
  return k;
}

/* Gives each looper its results and gathers what it asks for next. */
static Status ask(Looper *v, uint32_t n, Jobs *all, Err *e) {
  uint32_t total = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (v[i].done)
      continue;
    Jobs next = {.n = 0};
    Status st = v[i].it->next(v[i].it, v[i].out, v[i].out ? v[i].jobs.n : 0, &next, e);
    jobs_free(&v[i].jobs);
    mem_free(v[i].out);
    v[i].out = NULL;
    v[i].jobs = next;
    v[i].done = !next.n;
    total += next.n;
    if (st)
      return st;
  }
  if (total > all->cap) {
    Job *p = mem_realloc(all->v, total * sizeof *p);
    if (!p)
      return err_memory(e);
    all->v = p;
    all->cap = total;
  }
  all->n = 0;
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = 0; k < v[i].jobs.n; k++)
      if (job_number(all, &v[i].jobs.v[k]) == all->n)
        all->v[all->n++] = v[i].jobs.v[k];
  return ST_OK;
}

/* The results of a scan, by looper. */
static Status deal(Looper *v, uint32_t n, const Asked *a, Err *e) {
  for (uint32_t i = 0; i < n; i++) {
    if (!v[i].jobs.n)
      continue;
    v[i].out = mem_alloc(v[i].jobs.n * sizeof *v[i].out);
    if (!v[i].out)
      return err_memory(e);
    for (uint32_t k = 0; k < v[i].jobs.n; k++)
      v[i].out[k] = a->out[job_number(&a->all, &v[i].jobs.v[k])];
  }
  return ST_OK;
}

static void forget_results(Asked *a) {
  for (uint32_t i = 0; i < a->nout; i++)
    buf_free(&a->out[i]);
  mem_free(a->out);
  a->out = NULL;
  a->nout = 0;
}

/* Scans until no looper wants more; the jobs of all share each scan. */
Status run_iterate(Run *r, uint32_t stage, Looper *v, uint32_t n, Err *e) {
  Asked a = {.nout = 0};
  Status st = ask(v, n, &a.all, e);
  while (!st && a.all.n) {
    forget_results(&a);
    a.out = mem_alloc(a.all.n * sizeof *a.out);
    a.nout = a.out ? a.all.n : 0;
    st = a.out ? scan(r, stage, &a.all, a.out, e) : err_memory(e);
    if (!st)
      st = deal(v, n, &a, e);
    if (!st)
      st = ask(v, n, &a.all, e);
  }
  forget_results(&a);
  mem_free(a.all.v);
  for (uint32_t i = 0; i < n; i++) {
    jobs_free(&v[i].jobs);
    mem_free(v[i].out);
    v[i].out = NULL;
  }
  return st;
}

/* A fitted value is there: keep it, and tell the executor. Takes f. */
Status run_put(Run *r, uint32_t id, Fitted *f, Err *e) {
  if (id >= r->out->nfitted || r->out->fitted[id]) {
    fitted_free(f);
    return err_set(e, ST_FAULT, "CML0604", NULL, "fitted value number %u is made twice, or was not declared",
                   id);
  }
  r->out->fitted[id] = f;
  r->env.v[id] = f;
  Buf b = {.n = 0};
  Status st = fitted_save(f, &b, e);
  if (!st && b.bad)
    st = err_memory(e);
  if (!st)
    st = r->x->put(r->x, id, buf_bytes(&b), e);
  buf_free(&b);
  return st;
}

/* ---- fit ---- */

static Status run_fit(Run *r, uint32_t stage, Err *e) {
  const Stage *s = &r->p->stage[stage];
  Looper one = {.it = NULL};
  if (!s->nagg)
    return ST_OK;
  Fitted **f = mem_alloc(s->nagg * sizeof *f);
  Status st = f ? agg_begin(s, &r->p->stage[s->from], &one.it, e) : err_memory(e);
  if (!st)
    st = run_iterate(r, stage, &one, 1, e);
  if (!st)
    st = agg_finish(one.it, f, e);
  for (uint32_t i = 0; f && i < s->nagg; i++) {
    if (st && f[i])
      fitted_free(f[i]);
    else if (!st && f[i])
      st = run_put(r, s->agg[i].fitted, f[i], e);
  }
  if (one.it)
    one.it->free(one.it);
  mem_free(f);
  return st;
}

/* ---- train ---- */

static const Estimator *estimator_of(const Registry *r, const char *name) {
  for (uint32_t i = 0; r->estimator && r->estimator[i]; i++)
    if (!strcmp(r->estimator[i]->name, name))
      return r->estimator[i];
  return NULL;
}

/* The classes of a multiclass model: at least two, not too many, each with a name that is a C string. NULL vocabulary: no classes. */
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
    return err_set(e, ST_DATA, "CML0435", "Check the target's expression, the filter and the split: two classes or more are needed.",
                   "the target of model `%s` is %s%.*s%s in all %llu training rows", s->name, d->n ? "\"" : "null",
                   d->n ? (int)(d->off[1] - d->off[0]) : 0, d->bytes, d->n ? "\"" : "", (unsigned long long)rows);
  if (d->n > CLASSES_MAX)
    return err_set(e, ST_DATA, "CML0441", "Use a regression, or give rare classes one name with `derive`.",
                   "the target of model `%s` has %u classes in its training rows; at most %d are possible", s->name, d->n, CLASSES_MAX);
  for (uint32_t i = 0; i < d->n; i++)
    if (memchr(d->bytes + d->off[i], 0, d->off[i + 1] - d->off[i]))
      return err_set(e, ST_DATA, "CML0441", "Correct the data.", "class %u of model `%s` has a name with a zero byte", i + 1, s->name);
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

static Fitted *model_new(const Estimator *est, ModelTask task, const Slots *slots, const Dict *classes, Err *e) {
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

/* Rows to learn from; none is an error. */
static Status train_rows(Run *r, uint32_t stage, uint64_t *rows, Err *e) {
  const Stage *s = &r->p->stage[stage];
  const char *part = s->part >= 0 ? ir_part_name(r->p, s) : NULL;
  Status st = run_part_rows(r, stage, rows, e);
  if (st || *rows)
    return st;
  if (part)
    return err_set(e, ST_DATA, "CML0431",
                   "Look at the filter and the split of the data: together they leave nothing.",
                   "model `%s` has no rows to learn from: part `%s` of its data is empty", s->name, part);
  return err_set(e, ST_DATA, "CML0431", "Look at the data and their filter.",
                 "model `%s` has no rows to learn from: the data set is empty", s->name);
}

/* Slots whose elements were all left out when they were fitted vanish, with a warning each; one has to stay. */
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

/* All passes of the estimator, and the model they give. NULL: e says why. */
static Fitted *learn(Run *r, uint32_t stage, const Estimator *est, const Slots *slots, uint64_t rows, Err *e) {
  const Stage *s = &r->p->stage[stage];
  Looper one = {.it = NULL};
  Bundle *start = NULL;
  const char **name = slot_names(s, slots, e);
  if (!name || start_of(r, s, &start, e)) {
    mem_free(name);
    return NULL;
  }
  TrainInfo info = {.name = s->name,
                    .d = slots->d,
                    .feature = slots->feature,
                    .nslot = slots->n,
                    .slot = name,
                    .width = slots->width,
                    .sparse = slots->sparse,
                    .option = s->options,
                    .noption = s->noptions,
                    .offset = has_offset(s, est),
                    .start = start ? start->fitted[start->model]->model : NULL,
                    .rows = rows,
                    .seed = r->p->seed,
                    .task = s->task};
  const Dict *classes;
  Status st = classes_of(r, stage, rows, &classes, e);
  Fitted *f = st ? NULL : model_new(est, s->task, slots, classes, e);
  if (!f)
    return NULL;
  info.nclass = f->model->nclass;
  info.class = f->model->class;
  st = est->begin(&info, &one.it, e);
  if (!st)
    st = run_iterate(r, stage, &one, 1, e);
  if (!st)
    st = est->finish(one.it, f->model, e);
  if (!st && !f->model->rows)
    f->model->rows = rows;
  if (!st && est->verify)
    st = est->verify(f->model, e);
  if (st)
    fitted_free(f);
  if (one.it)
    one.it->free(one.it);
  mem_free(name);
  bundle_free(start);
  return st ? NULL : f;
}

static Status run_train(Run *r, uint32_t stage, Err *e) {
  const Stage *s = &r->p->stage[stage];
  const Estimator *est = estimator_of(r->reg, s->estimator);
  Slots slots = {.n = 0};
  uint64_t rows = 0;
  if (!est)
    return err_set(e, ST_PROGRAM, "CML0451", "It needs another cml.", "there is no estimator called `%s`",
                   s->estimator);
  if (!(est->tasks & TASK_BIT(s->task)))
    return err_set(e, ST_PROGRAM, "CML0451", "It needs another cml.", "`%s` makes no %s models", s->estimator, task_name[s->task]);
  Status st = train_rows(r, stage, &rows, e);
  if (!st)
    st = slots_of(&s->prog, &r->env, &slots, e);
  if (!st)
    st = empty_slots(r, stage, &slots, e);
  Fitted *f = st ? NULL : learn(r, stage, est, &slots, rows, e);
  if (f && f->model->warning[0])
    st = warn(r, stage, f->model->warning, e);
  if (f && st)
    fitted_free(f);
  else if (f)
    st = run_put(r, s->fitted, f, e);
  slots_free(&slots);
  r->x->drop(r->x, stage);
  return st ? st : e->code;
}

/* ---- export ---- */

static Status run_export(Run *r, uint32_t stage, Err *e) {
  const Stage *s = &r->p->stage[stage];
  RunResult *o = r->out;
  RunExport x = {.stage = stage, .kind = s->kind == STAGE_BUNDLE ? "bundle" : "predictions", .path = s->path};
  RunExport *v = mem_realloc(o->export_, (o->nexport + 1) * sizeof *v);
  char *path = file_join(r->lim->dir, s->path); /* paths of a program are relative to its folder */
  if (v)
    o->export_ = v;
  Status st = v && path ? ST_OK : err_memory(e);
  if (!st && s->kind == STAGE_BUNDLE) {
    if (r->hooks && r->hooks->bundle)
      st = r->hooks->bundle(r->hooks->ctx, r->p, stage, path, o, e);
    else
      st = err_set(e, ST_FAULT, "CML0609", NULL, "there is nothing that writes bundles here");
  } else if (!st) {
    ScanInfo info;
    memset(&info, 0, sizeof info);
    st = r->x->write(r->x, stage, path, &info, r->hooks ? r->hooks->progress : NULL, e);
    o->stage[stage].scans = 1;
    o->stage[stage].rows = x.rows = info.rows;
    o->stage[stage].bytes = info.bytes;
    o->stage[stage].from_cache = info.from_cache;
  }
  if (!st)
    st = digest_file(path, x.digest, &x.bytes, e);
  if (!st)
    v[o->nexport++] = x;
  mem_free(path);
  return st;
}

/* ---- The walk ---- */

/* A split that found no rows to cut says so, rather than that an aggregate has nothing to do. */
static Status no_cut(const Run *r, uint32_t stage, Err *e) {
  const Stage *s = &r->p->stage[stage];
  if (!r->p->stage[s->from].early || s->nexpect || strcmp(e->id, "CML0410") != 0)
    return e->code;
  err_clear(e);
  err_set(e, ST_DATA, "CML0431", "Look at the data and the filters above the split.", "there are no rows to split");
  return err_at(e, "%s:%u:%u", r->p->name, s->line, s->col);
}

static Status run_stage(Run *r, uint32_t stage, Err *e) {
  Status st = ST_OK;
  switch (r->p->stage[stage].kind) {
  case STAGE_FIT:
    st = run_fit(r, stage, e);
    st = st ? no_cut(r, stage, e) : run_expects(r, stage, e);
    break;
  case STAGE_TRAIN:
    st = run_train(r, stage, e);
    break;
  case STAGE_EVALUATE:
    st = run_evaluate(r, stage, e);
    break;
  case STAGE_PREDICT:
  case STAGE_BUNDLE:
    st = run_export(r, stage, e);
    break;
  default:
    return ST_OK; /* read when somebody needs it */
  }
  if (st == ST_DATA || st == ST_FAULT)
    err_at(e, "%s", r->p->stage[stage].name);
  return st;
}

/* Data sets that nobody reads behind `stage` give their memory back. */
static void drop_unused(Run *r, uint32_t stage) {
  int32_t rows = r->p->stage[stage].from;
  if (rows < 0 || r->p->stage[rows].kind != STAGE_ROWS)
    return;
  for (uint32_t i = stage + 1; i < r->p->nstage; i++)
    if (r->p->stage[i].from == rows)
      return;
  r->x->drop(r->x, (uint32_t)rows);
}

static Status begin(Run *r, Err *e) {
  const Program *p = r->p;
  RunResult *o = r->out;
  memset(o, 0, sizeof *o);
  o->stage = mem_alloc((p->nstage + 1) * sizeof *o->stage);
  o->fitted = mem_alloc((p->nfitted + 1) * sizeof *o->fitted);
  o->data = mem_alloc((p->nstage + 1) * sizeof *o->data);
  r->env.v = mem_alloc((p->nfitted + 1) * sizeof *r->env.v);
  if (!o->stage || !o->fitted || !o->data || !r->env.v)
    return err_memory(e);
  o->nstage = p->nstage;
  o->nfitted = r->env.n = p->nfitted;
  for (uint32_t i = 0; i < p->nstage; i++) {
    o->stage[i] = (RunStage){.name = p->stage[i].name, .kind = p->stage[i].kind};
    if (p->stage[i].kind == STAGE_ROWS)
      o->data[o->ndata++].stage = i;
  }
  Buf text = {.n = 0};
  ir_print(p, &text);
  Status st = text.bad ? err_memory(e) : r->x->open(r->x, buf_bytes(&text), r->reg, r->lim, e);
  buf_free(&text);
  return st;
}

/* After everything else: the first that was not met, and how many. */
static Status expectations(const Run *r, Err *e) {
  uint32_t bad = 0;
  const RunExpect *first = NULL;
  for (uint32_t i = 0; i < r->out->nexpect; i++) {
    if (r->out->expect[i].passed)
      continue;
    first = first ? first : &r->out->expect[i];
    bad++;
  }
  if (!bad)
    return ST_OK;
  const IrExpect *x = &r->p->stage[first->stage].expect[first->expect];
  const char *colon = first->text[0] ? ": " : "";
  if (bad == 1)
    err_set(e, ST_EXPECT, "CML0433", NULL, "expectation `%s` was not met%s%s", x->text, colon, first->text);
  else
    err_set(e, ST_EXPECT, "CML0433", NULL, "%u expectations were not met; the first is `%s`%s%s", bad, x->text, colon,
            first->text);
  return err_at(e, "%s:%u:%u", r->p->name, x->line, x->col);
}

/* Nothing is learned from data that did not stand their tests: those come first. */
static bool refuted(const Run *r, uint32_t stage) {
  const Stage *s = &r->p->stage[stage];
  for (uint32_t i = 0; i < r->out->nexpect && !s->nexpect && (s->from < 0 || !r->p->stage[s->from].early); i++)
    if (!r->out->expect[i].passed && r->p->stage[r->out->expect[i].stage].kind == STAGE_FIT)
      return true;
  return false;
}

Status run_program(const Program *p, Executor *x, const Registry *reg, const Limits *l, const RunHooks *hooks,
                   RunResult *out, Err *e) {
  Run r = {.p = p, .x = x, .reg = reg, .lim = l, .hooks = hooks, .out = out};
  double start = now();
  Status st = begin(&r, e);
  for (uint32_t i = 0; i < p->nstage && !st; i++) {
    if (p->stage[i].kind == STAGE_SOURCE || p->stage[i].kind == STAGE_ROWS || p->stage[i].kind == STAGE_SCORE)
      continue;
    if (refuted(&r, i))
      break;
    double t = now();
    if (hooks && hooks->begin)
      hooks->begin(hooks->ctx, p, i);
    if (l->cancel && atomic_load(l->cancel))
      st = err_set(e, ST_CANCEL, NULL, NULL, "interrupted");
    else
      st = run_stage(&r, i, e);
    out->stage[i].seconds = now() - t;
    drop_unused(&r, i);
    if (hooks && hooks->end)
      hooks->end(hooks->ctx, p, &out->stage[i]);
  }
  out->seconds = now() - start;
  mem_free(r.env.v);
  return st ? st : expectations(&r, e);
}

void run_free(RunResult *r) {
  for (uint32_t i = 0; r->fitted && i < r->nfitted; i++)
    if (r->fitted[i])
      fitted_free(r->fitted[i]);
  for (uint32_t i = 0; i < r->nmetric; i++) {
    run_drop_values(r->metric[i].v, 0, r->metric[i].n);
    mem_free(r->metric[i].v);
  }
  mem_free(r->stage);
  mem_free(r->fitted);
  mem_free(r->data);
  mem_free(r->metric);
  mem_free(r->expect);
  mem_free(r->export_);
  for (uint32_t i = 0; i < r->nwarning; i++)
    mem_free(r->warning[i].text);
  mem_free(r->warning);
  memset(r, 0, sizeof *r);
}
