/* SPDX-License-Identifier: Apache-2.0 */
/* Scans, and the loop that all learning and measuring goes through: run_iterate asks the Iters of stages that
 * share scans for jobs, gives these to the executor, and deals out what comes back. */
#include <string.h>

#include "base/arena.h"
#include "vm/run/parts.h"

static RunData *data_of(const Run *r, int32_t rows_stage) {
  for (uint32_t i = 0; i < r->out->ndata; i++)
    if (r->out->data[i].stage == (uint32_t)rows_stage)
      return &r->out->data[i];
  return NULL;
}

/* One scan, with its bookkeeping. What went through is counted for the first of its stages. */
static Status scan(Run *r, Stages of, const Jobs *jobs, Buf *out, Err *e) {
  ScanInfo info;
  memset(&info, 0, sizeof info);
  uint64_t *seen = mem_alloc((of.n + 1) * sizeof *seen);
  Progress *pr = r->hooks ? r->hooks->progress : NULL;
  Status st = seen ? r->x->reduce(r->x, of, jobs, out, &info, seen, pr, e) : err_memory(e);
  for (uint32_t i = 0; seen && i < of.n; i++) {
    RunStage *s = &r->out->stage[of.v[i]];
    s->reads += !info.from_cache;
    s->scans++;
    s->rows = seen[i];
    s->bytes += i ? 0 : info.bytes;
    s->sent += i ? 0 : info.sent;
    s->answered += i ? 0 : info.answered;
    s->parts = info.parts;
    s->held = info.held > s->held ? info.held : s->held;
  }
  mem_free(seen);
  RunData *d = data_of(r, r->p->stage[of.v[0]].from);
  if (!st && d && !d->known) {
    d->known = true;
    d->read = info.read;
    memcpy(d->kept, info.kept, sizeof d->kept);
  }
  return st;
}

bool run_rows_known(const Run *r, uint32_t stage) {
  const RunData *d = data_of(r, r->p->stage[stage].from);
  return d && d->known;
}

/* The scan that counts them also fills the caches. */
Status run_part_rows(Run *r, uint32_t stage, uint64_t *rows, Err *e) {
  const Stage *s = &r->p->stage[stage];
  RunData *d = data_of(r, s->from);
  Jobs none = {.n = 0};
  *rows = 0;
  if (!d)
    return err_set(e, ST_FAULT, "CML0605", NULL, "stage `%s` reads no rows", s->name);
  Status st = d->known ? ST_OK : scan(r, (Stages){.v = &stage, .n = 1}, &none, NULL, e);
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
  uint32_t *stage;
  Stages of;     /* that want any */
  Buf *out;
  uint32_t nout;
} Asked;

static bool same_job(const Job *a, const Job *b) {
  return a->pass == b->pass && a->of == b->of && a->leave_out == b->leave_out &&
         a->only_fold == b->only_fold && a->par.n == b->par.n &&
         (a->par.n == 0 || memcmp(a->par.p, b->par.p, a->par.n) == 0);
}

static uint32_t job_number(const Jobs *all, const Job *job) {
  uint32_t k = 0;
  while (k < all->n && !same_job(&all->v[k], job))
    k++;
  return k;
}

/* Gives a looper its results, and takes what it asks for next. */
static Status ask_one(Looper *v, Err *e) {
  Jobs next = {.n = 0};
  if (v->done)
    return ST_OK;
  Status st = v->it->next(v->it, v->out, v->out ? v->jobs.n : 0, &next, e);
  jobs_free(&v->jobs);
  mem_free(v->out);
  v->out = NULL;
  v->jobs = next;
  v->done = !next.n;
  return st;
}

/* Whose rows the jobs of a stage see: its own, or those of the first that learns from the same matrix, so
 * that equal jobs of several models are run once. */
static uint32_t owner_of(const Program *p, const Asked *a, uint32_t stage) {
  const Stage *s = &p->stage[stage];
  uint32_t matrix = s->matrix >= 0 ? (uint32_t)s->matrix : stage;
  for (uint32_t k = 0; k < a->of.n && s->kind == STAGE_TRAIN; k++)
    if (a->stage[k] == matrix || p->stage[a->stage[k]].matrix == (int32_t)matrix)
      return k;
  return a->of.n;
}

/* Gathers what all loopers ask for. */
static Status ask(const Program *p, Work *w, uint32_t n, Asked *a, Err *e) {
  uint32_t total = 0;
  a->of.n = 0;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t before = total, owner = owner_of(p, a, w[i].stage);
    for (uint32_t k = 0; k < w[i].n; k++) {
      Status st = ask_one(&w[i].v[k], e);
      if (st)
        return st;
      for (uint32_t j = 0; j < w[i].v[k].jobs.n; j++)
        w[i].v[k].jobs.v[j].of = owner;
      total += w[i].v[k].jobs.n;
    }
    if (total > before)
      a->stage[a->of.n++] = w[i].stage;
  }
  if (total > a->all.cap) {
    Job *v = mem_realloc(a->all.v, total * sizeof *v);
    if (!v)
      return err_memory(e);
    a->all.v = v;
    a->all.cap = total;
  }
  a->all.n = 0;
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = 0; k < w[i].n; k++)
      for (uint32_t j = 0; j < w[i].v[k].jobs.n; j++)
        if (job_number(&a->all, &w[i].v[k].jobs.v[j]) == a->all.n)
          a->all.v[a->all.n++] = w[i].v[k].jobs.v[j];
  return ST_OK;
}

/* The results of a scan to the one who asked for them. */
static Status deal(Looper *v, const Asked *a, Err *e) {
  if (!v->jobs.n)
    return ST_OK;
  v->out = mem_alloc(v->jobs.n * sizeof *v->out);
  if (!v->out)
    return err_memory(e);
  for (uint32_t k = 0; k < v->jobs.n; k++)
    v->out[k] = a->out[job_number(&a->all, &v->jobs.v[k])];
  return ST_OK;
}

static void forget_results(Asked *a) {
  for (uint32_t i = 0; i < a->nout; i++)
    buf_free(&a->out[i]);
  mem_free(a->out);
  a->out = NULL;
  a->nout = 0;
}

Status run_iterate(Run *r, Work *w, uint32_t n, Err *e) {
  Asked a = {.nout = 0};
  a.stage = mem_alloc((n + 1) * sizeof *a.stage);
  a.of.v = a.stage;
  Status st = a.stage ? ask(r->p, w, n, &a, e) : err_memory(e);
  while (!st && a.all.n) {
    forget_results(&a);
    a.out = mem_alloc(a.all.n * sizeof *a.out);
    a.nout = a.out ? a.all.n : 0;
    st = a.out ? scan(r, a.of, &a.all, a.out, e) : err_memory(e);
    for (uint32_t i = 0; i < n && !st; i++)
      if (r->p->stage[w[i].stage].kind == STAGE_TRAIN)
        st = run_count_train(r, &w[i], e);
    for (uint32_t i = 0; i < n; i++)
      for (uint32_t k = 0; k < w[i].n && !st; k++)
        st = deal(&w[i].v[k], &a, e);
    if (!st)
      st = ask(r->p, w, n, &a, e);
  }
  forget_results(&a);
  mem_free(a.all.v);
  mem_free(a.stage);
  return st;
}

Status run_loopers(Work *w, uint32_t n, Err *e) {
  w->v = mem_alloc((n + (size_t)1) * sizeof *w->v);
  w->n = w->v ? n : 0;
  return w->v ? ST_OK : err_memory(e);
}

void run_loopers_free(Work *w) {
  for (uint32_t k = 0; k < w->n; k++) {
    jobs_free(&w->v[k].jobs);
    mem_free(w->v[k].out);
    if (w->v[k].it)
      w->v[k].it->free(w->v[k].it);
  }
  mem_free(w->v);
  w->v = NULL;
  w->n = 0;
}

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
