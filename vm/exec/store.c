/* SPDX-License-Identifier: Apache-2.0 */
/* Cached data sets of an executor: see store.h. */
#include "vm/exec/store.h"

#include <string.h>

#include "base/arena.h"

Status store_init(Store *s, uint32_t nstage, uint32_t nkept, uint64_t budget, Err *e) {
  *s = (Store){.nstage = nstage, .n = nstage + nkept, .budget = budget};
  s->set = mem_alloc((s->n + (size_t)1) * sizeof *s->set);
  return s->set ? ST_OK : err_memory(e);
}

DataSet *store_kept(const Store *s, uint32_t number) {
  return &s->set[s->nstage + number - 1];
}

static void drop_entry(Entry *t) {
  block_drop(t->rows);
  for (uint32_t u = 0; u < UNITS; u++)
    block_drop(t->unit[u]);
  memset(t, 0, sizeof *t);
}

static void empty(Store *s, DataSet *d, CacheState state) {
  for (uint32_t i = 0; i < d->n; i++)
    drop_entry(&d->v[i]);
  mem_free(d->v);
  d->v = NULL;
  d->n = d->cap = 0;
  s->used -= d->bytes;
  d->bytes = 0;
  d->state = state;
}

void store_drop(Store *s, uint32_t stage) {
  if (stage < s->n)
    empty(s, &s->set[stage], CACHE_NONE);
}

void store_free(Store *s) {
  for (uint32_t i = 0; s->set && i < s->n; i++) {
    DataSet *d = &s->set[i];
    empty(s, d, CACHE_NONE);
    for (uint32_t k = 0; k < d->nfile; k++)
      mem_free(d->file[k]);
    mem_free(d->file);
  }
  mem_free(s->set);
  *s = (Store){.n = 0};
}

Status store_files(DataSet *d, const char *const *file, uint32_t n, Err *e) {
  if (d->file || !n)
    return ST_OK;
  d->file = mem_alloc(n * sizeof *d->file);
  if (!d->file)
    return err_memory(e);
  for (uint32_t i = 0; i < n; i++) {
    d->file[i] = mem_strdup(file[i]);
    if (!d->file[i])
      return err_memory(e);
    d->nfile++;
  }
  return ST_OK;
}

/* The entry of block number seq, with room made for it. */
static Entry *entry(DataSet *d, uint32_t seq, Err *e) {
  if (seq >= d->cap) {
    uint32_t cap = d->cap ? d->cap : 64;
    while (cap <= seq)
      cap *= 2;
    Entry *v = mem_realloc(d->v, cap * sizeof *v);
    if (!v) {
      err_memory(e);
      return NULL;
    }
    memset(v + d->cap, 0, (cap - d->cap) * sizeof *v);
    d->v = v;
    d->cap = cap;
  }
  if (seq >= d->n)
    d->n = seq + 1;
  return &d->v[seq];
}

static void let_go(Store *s, DataSet *d, uint32_t i) {
  if (i >= d->n || !d->v[i].rows)
    return;
  s->used -= d->v[i].rows->bytes;
  d->bytes -= d->v[i].rows->bytes;
  drop_entry(&d->v[i]);
}

bool fill_trains(const Fill *f) {
  for (uint32_t k = 0; k < f->nmatrix; k++)
    if (f->train[k].on)
      return true;
  return false;
}

/* Will the matrices fit once the cached rows that they are made of are gone? */
static bool fits_instead(const Fill *f) {
  uint64_t now = 0;
  for (uint32_t k = 0; k < f->nmatrix; k++) {
    if (!f->train[k].on)
      return false; /* it is made of the rows in each scan */
    now += f->train[k].set->bytes;
  }
  double whole = (double)now / f->done * f->pieces * f->rows->n;
  return whole * 1.05 + (double)(f->store->used - f->rows->bytes - now) <= (double)f->store->budget;
}

/* Tasks are taken in order: the rows of so many blocks are with those who asked for them. */
static void let_go_done(Fill *f) {
  for (uint32_t i = 0; i < f->done / f->pieces; i++)
    let_go(f->store, f->rows, i);
}

/* Whoever works with it holds it. */
static void give_up_kept(Fill *f) {
  Store *s = f->store;
  for (uint32_t i = s->nstage; i < s->n && s->used > s->budget; i++)
    if (s->set[i].n)
      empty(s, &s->set[i], CACHE_OFF);
  for (uint32_t k = f->nmatrix; k < f->ntrain; k++)
    f->train[k].on = f->train[k].on && f->train[k].set->state != CACHE_OFF;
}

/* Makes room when more is held than the budget allows. */
static void make_room(Fill *f) {
  Store *s = f->store;
  if (f->spend)
    let_go_done(f);
  if (s->used > s->budget)
    give_up_kept(f);
  if (s->used <= s->budget)
    return;
  if (f->fill_rows && fill_trains(f)) {
    f->fill_rows = false;
    empty(s, f->rows, CACHE_NONE);
  } else if (f->nmatrix && f->rows->state == CACHE_FULL && !f->spend && f->done && fits_instead(f)) {
    f->spend = true;
    let_go_done(f);
  }
  for (uint32_t k = f->ntrain; k-- > 0 && s->used > s->budget;) {
    if (!f->train[k].on)
      continue;
    f->train[k].on = false;
    empty(s, f->train[k].set, CACHE_OFF);
  }
  if (s->used > s->budget && f->fill_rows) {
    f->fill_rows = false;
    empty(s, f->rows, CACHE_OFF);
  }
}

static void relieve(Fill *f) {
  make_room(f);
  if (f->store->used > f->store->most)
    f->store->most = f->store->used;
}

Status fill_rows(Fill *f, uint32_t seq, Block *rows, Err *e) {
  if (!f->fill_rows)
    return ST_OK;
  Entry *t = entry(f->rows, seq, e);
  if (!t)
    return e->code;
  block_hold(rows);
  t->rows = rows;
  f->rows->bytes += rows->bytes;
  f->store->used += rows->bytes;
  relieve(f);
  return ST_OK;
}

Status fill_units(Fill *f, uint32_t k, uint32_t seq, uint32_t u0, uint32_t u1, Block **unit, Err *e) {
  DataSet *d = f->train[k].set;
  if (!f->train[k].on)
    return ST_OK;
  Entry *t = entry(d, seq, e);
  if (!t)
    return e->code;
  for (uint32_t u = u0; u < u1; u++) {
    t->unit[u] = unit[u];
    unit[u] = NULL;
    d->bytes += t->unit[u]->bytes;
    f->store->used += t->unit[u]->bytes;
  }
  relieve(f);
  return ST_OK;
}

static void end_one(Fill *f, DataSet *d, bool whole) {
  if (whole)
    d->state = CACHE_FULL;
  else
    empty(f->store, d, CACHE_NONE);
}

void fill_end(Fill *f, bool whole, uint32_t n) {
  if (f->spend)
    empty(f->store, f->rows, CACHE_NONE);
  if (f->fill_rows)
    end_one(f, f->rows, whole && f->rows->n == n);
  for (uint32_t k = 0; k < f->ntrain; k++)
    if (f->train[k].on)
      end_one(f, f->train[k].set, whole && f->train[k].set->n == n);
}
