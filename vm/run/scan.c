/* SPDX-License-Identifier: Apache-2.0 */
/* Scans: the loop that all learning and measuring goes through. Iters ask for jobs, equal ones are run
 * once, each scan gives everybody his results, until nobody asks for more. */
#include <string.h>

#include "base/arena.h"
#include "vm/run/parts.h"

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
  return a->pass == b->pass && a->leave_out == b->leave_out && a->only_fold == b->only_fold &&
         a->par.n == b->par.n && (a->par.n == 0 || memcmp(a->par.p, b->par.p, a->par.n) == 0);
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
