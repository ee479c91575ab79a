/* SPDX-License-Identifier: Apache-2.0 */
/* Before a scan of the local executor: where its rows come from (the reader, kept blocks, kept matrices),
 * which matrices and steps it makes and keeps for later ones, how many threads it gets. Read local_begin. */
#include <string.h>

#include "base/arena.h"
#include "vm/exec/local.h"
#include "vm/jit.h"

/* Workers that there is memory for: each holds a block as it was read, as it was prepared, what is made of
 * it, and partials. */
uint32_t local_workers(const Local *l, const Scan *s, size_t partials) {
  const Program *p = l->home.p;
  uint32_t n = l->home.lim.threads;
  uint64_t all = home_memory(&l->home.lim), free_bytes = all - exec_keeps(&l->home.lim) - all / NOTES_SHARE;
  const Stage *rows = &p->stage[s->rows_stage];
  uint64_t cols = p->stage[rows->from].ncolumn + rows->prog.nout;
  for (uint32_t i = 0; i < s->of.n; i++)
    cols += p->stage[s->of.v[i]].prog.nout;
  uint64_t each = partials + cols * BLOCK * 9;
  while (n > 1 && n * each > free_bytes)
    n--;
  if (s->from != FROM_READER && n > s->ntask)
    n = s->ntask ? s->ntask : 1;
  return n;
}

/* Will another scan run a program that has this step? That of a later stage, or of this one again. */
static bool kept_again(const Scan *s, uint32_t number) {
  const Program *p = s->l->home.p;
  uint32_t last = 0;
  for (uint32_t i = 0; i < s->of.n; i++) {
    bool off = s->uses[i] >= 0 && s->train[s->uses[i]].set->state == CACHE_OFF;
    if (off && ir_kept_step(&p->stage[s->of.v[i]].prog, number) >= 0)
      return true;
    last = s->of.v[i] > last ? s->of.v[i] : last;
  }
  for (uint32_t i = last + 1; i < p->nstage; i++)
    if (ir_kept_step(&p->stage[i].prog, number) >= 0)
      return true;
  return false;
}

/* The steps that are kept and that programs of this scan have; train stages whose matrix is there run
 * none. */
static void find_kept(Local *l, Scan *s) {
  for (uint32_t number = 1; number <= l->store.n - l->store.nstage; number++) {
    bool runs = false;
    for (uint32_t i = 0; i < s->of.n && !runs; i++)
      runs = (s->uses[i] < 0 || s->train[s->uses[i]].set->state != CACHE_FULL) &&
             ir_kept_step(&l->home.p->stage[s->of.v[i]].prog, number) >= 0;
    if (!runs || !s->jobs)
      continue;
    FillTrain *f = &s->train[s->nmatrix + s->nkept];
    f->set = store_kept(&l->store, number);
    f->on = f->set->state == CACHE_NONE && kept_again(s, number);
    s->kept[s->nkept++] = number;
  }
}

void local_drop_kept(Scan *s) {
  for (uint32_t k = 0; k < s->nkept; k++)
    if (!kept_again(s, s->kept[k]))
      store_drop(&s->l->store, s->l->store.nstage + s->kept[k] - 1);
}

/* The matrices of the scan: are they there, are they to be kept? */
static Status find_matrices(Local *l, Scan *s, Err *e) {
  s->maker = mem_alloc((s->of.n + 1) * sizeof *s->maker);
  s->uses = mem_alloc((s->of.n + 1) * sizeof *s->uses);
  s->train = mem_alloc((s->of.n + IR_KEPT_MOST + 1) * sizeof *s->train);
  s->kept = mem_alloc((IR_KEPT_MOST + 1) * sizeof *s->kept);
  s->seen = mem_alloc((s->of.n + 1) * sizeof *s->seen);
  if (!s->maker || !s->uses || !s->train || !s->kept || !s->seen)
    return err_memory(e);
  worker_matrices(l->home.p, s->of, s->maker, s->uses, &s->nmatrix);
  for (uint32_t k = 0; k < s->nmatrix; k++) {
    s->train[k].set = &l->store.set[s->maker[k]];
    s->train[k].on = s->train[k].set->state == CACHE_NONE && !(s->jobs && ask_once(s->jobs));
  }
  find_kept(l, s);
  s->fill.train = s->train;
  s->fill.nmatrix = s->nmatrix;
  s->fill.ntrain = s->nmatrix + s->nkept;
  return ST_OK;
}

/* Does the scan read nothing but matrices that are there? */
static bool only_units(const Scan *s) {
  bool only = s->nmatrix > 0;
  for (uint32_t i = 0; i < s->of.n; i++)
    only = only && s->uses[i] >= 0 && s->train[s->uses[i]].set->state == CACHE_FULL;
  return only;
}

/* Tells the JIT how many rows will come to each program: at most, of filters and parts it is told nothing. */
static void expect_rows(const Scan *s) {
  Jit *jit = s->l->home.lim.jit;
  if (s->from == FROM_READER)
    jit_expect(jit, s->rows_stage, s->total);
  for (uint32_t i = 0; i < s->of.n; i++)
    jit_expect(jit, s->of.v[i], s->total);
  for (uint32_t i = 0; i < s->of.n; i++) { /* and those that are several programs in one: worker.c */
    int32_t with = s->l->home.p->stage[s->of.v[i]].program;
    if (with >= 0)
      jit_expect(jit, s->l->home.p->nstage + (uint32_t)with, s->total);
  }
}

/* Will the blocks of the rows stage be read another time? Not where all that is left to do goes over matrices
 * that are there, or are being collected. */
static bool rows_again(const Scan *s) {
  const Program *p = s->l->home.p;
  uint32_t last = 0;
  for (uint32_t i = 0; i < s->of.n; i++) {
    if (s->uses[i] < 0 || s->train[s->uses[i]].set->state == CACHE_OFF)
      return true;
    last = s->of.v[i] > last ? s->of.v[i] : last;
  }
  for (uint32_t i = last + 1; i < p->nstage; i++)
    if (p->stage[i].from == (int32_t)s->rows_stage)
      return true;
  return false;
}

Status local_begin(Local *l, Scan *s, Stages of, const Jobs *jobs, Progress *pr, Err *e) {
  memset(s, 0, sizeof *s);
  s->l = l;
  s->of = of;
  s->jobs = jobs;
  s->pr = pr;
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->turned, NULL);
  pthread_cond_init(&s->opened, NULL);
  s->workers = 1;
  if (!l->opened)
    return err_set(e, ST_FAULT, "CML0606", NULL, "the executor was not opened");
  Status st = home_rows_stage(&l->home, of, &s->rows_stage, e);
  if (st)
    return st;
  s->rows = &l->store.set[s->rows_stage];
  s->fill = (Fill){.store = &l->store, .rows = s->rows, .pieces = 1};
  s->total = s->rows->read;
  s->pieces = 1;
  l->store.most = l->store.used;
  st = find_matrices(l, s, e);
  if (st)
    return st;
  if (only_units(s)) {
    s->from = FROM_UNITS;
    s->ntask = s->train[0].set->n;
    return ST_OK;
  }
  if (s->rows->state == CACHE_FULL) {
    s->from = FROM_ROWS;
    s->ntask = s->rows->n;
    expect_rows(s);
    return ST_OK;
  }
  s->from = FROM_READER;
  s->fill.fill_rows = s->rows->state == CACHE_NONE && rows_again(s);
  st = home_reader(&l->home, s->rows_stage, &s->reader, e);
  if (st)
    return st;
  uint32_t n = 0;
  const char *const *file = reader_files(s->reader, &n);
  if (!s->total)
    s->total = reader_total(s->reader);
  expect_rows(s);
  return store_files(s->rows, file, n, e);
}
