/* SPDX-License-Identifier: Apache-2.0 */
/* An executor for tests: a program over several sites (vm/site.h) in this process, as a distributed engine
 * would run it, with everything that may happen there.
 *
 * The files are read once, cut into records at odd places (or runs of blocks that sites read themselves), and
 * lie by partition. Threads run the tasks of a
 * scan in shuffled order, each on any site: one in four tasks runs twice, often at once; some records cannot
 * be fetched, and their task is run again; sites that nobody is in are closed and made again; values that
 * are older than those that are there are put. Answers are merged by sites in random groups before the
 * driver takes them. The choices come from a counter.
 *
 * Read sites_reduce, then run_tasks and one_task. */
#ifndef TESTS_UNIT_SITES_H
#define TESTS_UNIT_SITES_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/hash.h"
#include "vm/exec/answer.h"
#include "vm/exec/cols.h"
#include "vm/exec/home.h"
#include "vm/site.h"
#include "vm/written.h"

typedef struct SitesWay {
  uint32_t sites, parts, threads;
  uint64_t memory;     /* of a site */
  bool text;           /* sites divide the files, */
  bool runs;           /* or read those of Parquet; else they get columns */
  const char *scratch; /* NULL: a folder that is there */
} SitesWay;

typedef struct SitesSource { /* a source, read */
  RecordFile *file;
  uint32_t nfile;
  Buf *record;       /* in the order of positions */
  uint32_t *block;   /* of each */
  uint32_t n, cap, nblock;
  Buf value;         /* as it is put */
  uint64_t version;  /* 0: not read */
} SitesSource;

typedef struct SitesSlot {
  Site *site;
  uint32_t users;
} SitesSlot;

typedef struct Sites {
  Executor x; /* first */
  SitesWay way;
  Home home;          /* the driver's */
  bool opened;
  SitesSlot *slot;
  SitesSource *source; /* by stage */
  Buf *fitted;         /* by number, as put last */
  uint64_t *version;
  char scratch[64];
  pthread_mutex_t lock; /* slots, choices, and what tasks leave behind */
  uint64_t choices;
  uint64_t spilled, again, lost; /* what happened: the most bytes on the disk, tasks that were run again,
                                  * sites that were closed */
} Sites;

/* Under the lock, or where there are no threads. */
static inline uint32_t sites_choose(Sites *s, uint32_t n) {
  return (uint32_t)(rng_word(UINT64_C(0x7369746573), s->choices++) % n);
}

static inline bool sites_one_in(Sites *s, uint32_t n) {
  pthread_mutex_lock(&s->lock);
  bool yes = sites_choose(s, n) == 0;
  pthread_mutex_unlock(&s->lock);
  return yes;
}

/* ---- Sites ---- */

static inline void sites_look(Sites *s, Site *site) {
  SiteHeld h = site_held(site);
  s->spilled = h.scratch > s->spilled ? h.scratch : s->spilled;
}

static inline void sites_shut(Sites *s, SitesSlot *k) {
  if (!k->site)
    return;
  sites_look(s, k->site);
  site_close(k->site);
  k->site = NULL;
  s->lost++;
}

static inline SitesSlot *sites_enter(Sites *s, Err *e) {
  pthread_mutex_lock(&s->lock);
  SitesSlot *k = &s->slot[sites_choose(s, s->way.sites)];
  if (!k->users && sites_choose(s, 6) == 0)
    sites_shut(s, k);
  if (!k->site)
    site_open(buf_bytes(&s->home.text), &s->home.reg, s->way.memory,
              s->way.scratch ? s->way.scratch : s->scratch, &k->site, e);
  k->users += k->site != NULL;
  pthread_mutex_unlock(&s->lock);
  return k->site ? k : NULL;
}

static inline void sites_leave(Sites *s, SitesSlot *k) {
  pthread_mutex_lock(&s->lock);
  sites_look(s, k->site);
  k->users--;
  pthread_mutex_unlock(&s->lock);
}

/* What a task has to know before it runs; sometimes somebody comes late with what it was before. */
static inline Status sites_tell(Sites *s, Site *site, uint32_t source, Err *e) {
  const SitesSource *d = &s->source[source];
  if (site_version(site, SITE_SOURCE, source) != d->version)
    site_put(site, SITE_SOURCE, source, d->version, buf_bytes(&d->value), e);
  for (uint32_t i = 0; i < s->home.p->nfitted && e->code == ST_OK; i++) {
    uint64_t v = s->version[i];
    if (v && site_version(site, SITE_FITTED, i) != v)
      site_put(site, SITE_FITTED, i, v, buf_bytes(&s->fitted[i]), e);
    if (v && sites_one_in(s, 9))
      site_put(site, SITE_FITTED, i, v - 1, (Bytes){.n = 0}, e);
  }
  return e->code;
}

/* ---- Reading the files ---- */

static inline Buf *sites_record(SitesSource *d, Err *e) {
  if (d->n == d->cap) {
    uint32_t cap = d->cap ? 2 * d->cap : 64;
    Buf *record = mem_realloc(d->record, cap * sizeof *record);
    d->record = record ? record : d->record;
    uint32_t *block = record ? mem_realloc(d->block, cap * sizeof *block) : NULL;
    d->block = block ? block : d->block;
    if (!record || !block) {
      err_memory(e);
      return NULL;
    }
    d->cap = cap;
  }
  d->record[d->n] = (Buf){.n = 0};
  return &d->record[d->n++];
}

/* The rows of a block as records of columns. */
static inline Status sites_cut(Sites *s, SitesSource *d, const Stage *g, const Block *b, Err *e) {
  Col *v = mem_alloc((b->ncol + 1) * sizeof *v);
  if (!v)
    return err_memory(e);
  for (uint32_t r = 0, n; r < b->n && e->code == ST_OK; r += n) {
    n = 1 + sites_choose(s, BLOCK / 3);
    n = n < b->n - r ? n : b->n - r;
    for (uint32_t k = 0; k < b->ncol; k++)
      col_shift(&b->col[k], r, &v[k]);
    Buf *o = sites_record(d, e);
    if (o)
      record_of_rows(g->column, v, b->ncol, n, b->file, b->at ? b->pos : b->pos + r,
                     b->at ? b->at + r : NULL, o, e);
  }
  mem_free(v);
  return e->code;
}

static inline Status sites_read_columns(Sites *s, SitesSource *d, const Stage *g, Reader *rd, Err *e) {
  RowErrors errors = {.count = 0};
  Block *b = NULL;
  uint32_t seq, n;
  while (reader_next(rd, &b, &seq, &errors, e) == ST_OK && b) {
    d->file[b->file].rows = b->pos + b->npos;
    sites_cut(s, d, g, b, e);
    block_drop(b);
    if (e->code != ST_OK)
      break;
  }
  const char *const *name = reader_files(rd, &n);
  return exec_row_errors(&errors, name, n, e);
}

static inline Status sites_bytes(void *ctx, void *out, size_t room, size_t *n, Err *e) {
  (void)e;
  *n = fread(out, 1, room, ctx);
  return ST_OK;
}

static inline Status sites_split(SitesSource *d, uint32_t stage, Site *site, uint32_t file, Err *e) {
  SiteSplit *p = NULL;
  uint32_t rows = 1;
  FILE *f = fopen(d->file[file].name, "rb");
  if (!f)
    return err_set(e, ST_DATA, "CML0402", NULL, "no file %s", d->file[file].name);
  ByteSource in = {.read = sites_bytes, .ctx = f};
  d->file[file].rows = 0;
  if (site_split(site, stage, file, d->file[file].name, &in, &p, e) == ST_OK) {
    while (rows && e->code == ST_OK) {
      Buf *o = sites_record(d, e);
      if (o && site_split_next(p, o, &rows, e) == ST_OK)
        d->file[file].rows += rows;
      if (o && !rows)
        buf_free(o), d->n--;
    }
  }
  site_split_end(p);
  fclose(f);
  return e->code;
}

/* Which block each record is of, counted through all files. */
static inline Status sites_number(SitesSource *d, Err *e) {
  uint32_t *first = mem_alloc((d->nfile + 1) * sizeof *first);
  if (!first)
    return err_memory(e);
  for (uint32_t i = 0; i < d->nfile; i++)
    first[i + 1] = first[i] + (uint32_t)((d->file[i].rows + BLOCK - 1) / BLOCK);
  d->nblock = first[d->nfile];
  for (uint32_t i = 0; i < d->n && e->code == ST_OK; i++) {
    RecordHead h;
    if (record_head(buf_bytes(&d->record[i]), &h, e) == ST_OK)
      d->block[i] = first[h.file] + (uint32_t)(h.pos / BLOCK);
  }
  mem_free(first);
  buf_clear(&d->value);
  site_source(d->file, d->nfile, &d->value);
  d->version++;
  return e->code;
}

static inline Status sites_files(SitesSource *d, Reader *rd, Err *e) {
  const char *const *name = reader_files(rd, &d->nfile);
  d->file = mem_alloc((d->nfile + 1) * sizeof *d->file);
  if (!d->file)
    return err_memory(e);
  for (uint32_t i = 0; i < d->nfile; i++)
    if (!(d->file[i].name = mem_strdup(name[i])))
      return err_memory(e);
  return e->code;
}

static inline Status sites_read_text(Sites *s, SitesSource *d, uint32_t stage, Err *e) {
  for (uint32_t i = 0; i < d->nfile; i++)
    d->file[i].rows = UINT64_MAX;
  site_source(d->file, d->nfile, &d->value);
  d->version = 1;
  for (uint32_t i = 0; i < d->nfile && e->code == ST_OK; i++) {
    SitesSlot *k = sites_enter(s, e);
    if (k && sites_tell(s, k->site, stage, e) == ST_OK)
      sites_split(d, stage, k->site, i, e);
    if (k)
      sites_leave(s, k);
  }
  return e->code;
}

/* Runs of a few blocks; the handle of a file is its number, from 1 on. */
static inline Status sites_read_runs(Sites *s, SitesSource *d, Reader *rd, Err *e) {
  Arena a;
  FileLayout *l = NULL;
  uint32_t n = 0;
  arena_init(&a, NULL);
  reader_layout(rd, &a, &l, &n, e);
  for (uint32_t i = 0; i < n && e->code == ST_OK; i++) {
    uint64_t blocks = (l[i].rows + BLOCK - 1) / BLOCK, handle = i + 1, some;
    d->file[i].rows = l[i].rows;
    if (!l[i].plain)
      err_set(e, ST_FAULT, "CML0603", NULL, "%s is not plain", d->file[i].name);
    for (uint64_t b = 0; b < blocks && e->code == ST_OK; b += some) {
      some = 1 + sites_choose(s, 4);
      some = some < blocks - b ? some : blocks - b;
      Buf *o = sites_record(d, e);
      if (o && run_record(&l[i], i, b, (uint32_t)some, o, e) == ST_OK)
        memcpy(o->p + RECORD_HEAD, &handle, sizeof handle);
    }
  }
  arena_free(&a);
  return e->code;
}

static inline Status sites_read(Sites *s, uint32_t stage, Err *e) {
  SitesSource *d = &s->source[stage];
  const Stage *g = &s->home.p->stage[stage];
  Reader *rd = NULL;
  Arena a;
  if (d->version)
    return ST_OK;
  arena_init(&a, NULL);
  const EngineSource *src = engine_source(&a, g, s->home.lim.dir);
  if (!src)
    err_memory(e);
  else if (reader_open(src, g->column, g->ncolumn, 0, &rd, e) == ST_OK && sites_files(d, rd, e) == ST_OK &&
           (s->way.runs   ? sites_read_runs(s, d, rd, e)
            : s->way.text ? sites_read_text(s, d, stage, e)
                          : sites_read_columns(s, d, g, rd, e)) == ST_OK)
    sites_number(d, e);
  reader_close(rd);
  arena_free(&a);
  return e->code;
}

/* ---- Tasks ---- */

typedef struct SitesFetch { /* the records of a partition, on their way */
  Sites *s;
  const SitesSource *d;
  uint32_t at, end;
  uint32_t fails; /* at this one */
  uint8_t *copy;
} SitesFetch;

static const char sites_gone[] = "TEST";

static inline Status sites_next(void *ctx, Bytes *record, Err *e) {
  SitesFetch *f = ctx;
  free(f->copy);
  f->copy = NULL;
  *record = (Bytes){.n = 0};
  if (f->at == f->fails)
    return err_set(e, ST_RESOURCE, sites_gone, NULL, "a record could not be fetched");
  if (f->at == f->end)
    return ST_OK;
  const Buf *b = &f->d->record[f->at];
  f->copy = malloc(b->n + 1); /* odd, and no longer than it is */
  if (!f->copy)
    return err_memory(e);
  memcpy(f->copy + f->at % 2, b->p, b->n);
  *record = (Bytes){f->copy + f->at++ % 2, b->n};
  return ST_OK;
}

/* Bytes of a file; sometimes they do not come. */
static inline Status sites_bytes_of(void *ctx, uint64_t handle, uint64_t at, size_t n, void *out, Err *e) {
  SitesFetch *f = ctx;
  if (sites_one_in(f->s, 20))
    return err_set(e, ST_RESOURCE, sites_gone, NULL, "some bytes could not be fetched");
  FILE *in = fopen(f->d->file[handle - 1].name, "rb");
  bool good = in && !fseek(in, (long)at, SEEK_SET) && fread(out, 1, n, in) == n;
  if (in)
    fclose(in);
  return good ? ST_OK
              : err_set(e, ST_DATA, "CML0402", NULL, "%s cannot be read", f->d->file[handle - 1].name);
}

typedef struct SitesScan {
  Sites *s;
  Buf ask;
  bool writes;
  uint32_t source;
  uint32_t parts;
  uint32_t *order; /* of tasks; each partition once or twice */
  uint32_t n, next;
  Buf *result, *rows; /* by partition */
  Err *err;
} SitesScan;

static inline Status sites_rows(Site *site, Bytes ask, uint32_t part, const Records *in, Buf *result,
                                Buf *rows, Err *e) {
  SiteWriter *w = NULL;
  Buf one = {.n = 0};
  if (site_write(site, ask, part, in, &w, e) != ST_OK)
    return e->code;
  while (site_write_next(w, &one, e) == ST_OK && one.n)
    buf_blob(rows, one.p, one.n);
  buf_free(&one);
  return site_write_end(w, result, e);
}

/* Once, on any site. */
static inline Status sites_try(SitesScan *c, uint32_t part, Buf *result, Buf *rows, Err *e) {
  Sites *s = c->s;
  const SitesSource *d = &s->source[c->source];
  uint64_t lo = (uint64_t)part * d->nblock / c->parts, hi = (uint64_t)(part + 1) * d->nblock / c->parts;
  SitesFetch f = {.s = s, .d = d, .fails = UINT32_MAX};
  while (f.at < d->n && d->block[f.at] < lo)
    f.at++;
  for (f.end = f.at; f.end < d->n && d->block[f.end] < hi;)
    f.end++;
  if (sites_one_in(s, 9))
    f.fails = f.at + (f.end - f.at) / 2;
  SitesSlot *k = sites_enter(s, e);
  if (!k)
    return e->code;
  Records in = {.next = sites_next, .fetch = sites_bytes_of, .ctx = &f};
  if (sites_tell(s, k->site, c->source, e) == ST_OK && c->writes)
    sites_rows(k->site, buf_bytes(&c->ask), part, &in, result, rows, e);
  else if (e->code == ST_OK)
    site_scan(k->site, buf_bytes(&c->ask), part, &in, result, e);
  sites_leave(s, k);
  free(f.copy);
  return e->code;
}

/* But for what went through, and from where. */
static inline bool sites_same(const Buf *a, const Buf *b) {
  enum { FROM = 4 + 8 + 8, TO = FROM + 8 + 1 };
  static const uint8_t none[4];
  if (a->n != b->n || memcmp(a->p, b->p, a->n < FROM ? a->n : FROM) != 0)
    return false;
  if (a->n < TO || memcmp(a->p, none, 4) != 0)
    return true;
  return memcmp(a->p + TO, b->p + TO, a->n - TO) == 0;
}

static inline void sites_task(SitesScan *c, uint32_t part) {
  Sites *s = c->s;
  Buf result = {.n = 0}, rows = {.n = 0};
  Err e;
  uint32_t tries = 0;
  do {
    err_clear(&e);
    buf_clear(&rows);
    sites_try(c, part, &result, &rows, &e);
  } while (!strcmp(e.id, sites_gone) && ++tries < 50);
  pthread_mutex_lock(&s->lock);
  s->again += tries;
  Buf *was = &c->result[part];
  if (e.code == ST_OK && was->n && (!sites_same(was, &result) || c->rows[part].n != rows.n))
    err_set(&e, ST_FAULT, "CML0612", NULL, "the same task gave different bytes the second time");
  if (e.code != ST_OK && !c->err[part].code)
    c->err[part] = e;
  if (e.code == ST_OK && !was->n) {
    Buf old = c->rows[part];
    *was = result;
    c->rows[part] = rows;
    result = (Buf){.n = 0};
    rows = old;
  }
  pthread_mutex_unlock(&s->lock);
  buf_free(&result);
  buf_free(&rows);
}

static inline void *sites_thread(void *ctx) {
  SitesScan *c = ctx;
  for (;;) {
    pthread_mutex_lock(&c->s->lock);
    uint32_t i = c->next++;
    pthread_mutex_unlock(&c->s->lock);
    if (i >= c->n)
      return NULL;
    sites_task(c, c->order[i]);
  }
}

static inline Status sites_run(SitesScan *c, Err *e) {
  pthread_t thread[16];
  uint32_t n = 0, most = c->s->way.threads < 16 ? c->s->way.threads : 16;
  for (uint32_t p = 0; p < c->parts; p++) { /* in any order, the second time often right behind the first */
    uint32_t times = sites_choose(c->s, 4) ? 1 : 2, at = sites_choose(c->s, c->n + 1);
    memmove(c->order + at + times, c->order + at, (c->n - at) * sizeof *c->order);
    for (uint32_t i = 0; i < times; i++)
      c->order[at + i] = p;
    c->n += times;
  }
  while (n + 1 < most && !pthread_create(&thread[n], NULL, sites_thread, c))
    n++;
  sites_thread(c);
  while (n)
    pthread_join(thread[--n], NULL);
  for (uint32_t p = 0; p < c->parts; p++)
    if (c->err[p].code) {
      *e = c->err[p];
      break;
    }
  return e->code;
}

static inline void sites_scan_free(SitesScan *c) {
  for (uint32_t p = 0; c->result && c->rows && p < c->parts; p++) {
    buf_free(&c->result[p]);
    buf_free(&c->rows[p]);
  }
  mem_free(c->order);
  mem_free(c->result);
  mem_free(c->rows);
  mem_free(c->err);
  buf_free(&c->ask);
}

static inline Status sites_scan_new(Sites *s, const Ask *ask, SitesScan *c, Err *e) {
  *c = (SitesScan){.s = s, .source = (uint32_t)s->home.p->stage[ask->rows_stage].from};
  if (ask_put(ask, &c->ask, e) != ST_OK || sites_read(s, c->source, e) != ST_OK)
    return e->code;
  if (sites_choose(s, 2))
    sites_shut(s, &s->slot[sites_choose(s, s->way.sites)]);
  uint32_t n = s->source[c->source].nblock;
  c->parts = n < s->way.parts ? n : s->way.parts;
  c->parts = c->parts ? c->parts : 1;
  c->order = mem_alloc(2 * c->parts * sizeof *c->order);
  c->result = mem_alloc(c->parts * sizeof *c->result);
  c->rows = mem_alloc(c->parts * sizeof *c->rows);
  c->err = mem_alloc(c->parts * sizeof *c->err);
  return c->order && c->result && c->rows && c->err ? ST_OK : err_memory(e);
}

/* ---- The driver ---- */

/* Some results become one, on any site, until few are left; they come in any order. */
static inline Status sites_merge(SitesScan *c, uint32_t *left, Err *e) {
  Sites *s = c->s;
  uint32_t n = c->parts;
  while (n > 1 + sites_choose(s, 4) && e->code == ST_OK) {
    Bytes some[4];
    Buf one = {.n = 0};
    uint32_t k = 0, most = 1 + sites_choose(s, 4);
    for (; k < most && k < n; k++) {
      uint32_t i = sites_choose(s, n - k);
      Buf b = c->result[i];
      c->result[i] = c->result[n - 1 - k];
      c->result[n - 1 - k] = b;
      some[k] = buf_bytes(&c->result[n - 1 - k]);
    }
    SitesSlot *slot = sites_enter(s, e);
    if (slot) {
      site_merge(slot->site, buf_bytes(&c->ask), some, k, &one, e);
      sites_leave(s, slot);
    }
    for (uint32_t i = 0; i < k; i++)
      buf_free(&c->result[n - 1 - i]);
    n -= k;
    c->result[n++] = one;
  }
  *left = n;
  return e->code;
}

static inline Status sites_take(SitesScan *c, Answer *a, Err *e) {
  uint32_t n = 0;
  const SitesSource *d = &c->s->source[c->source];
  const char **name = mem_alloc((d->nfile + 1) * sizeof *name);
  if (!name)
    return err_memory(e);
  for (uint32_t i = 0; i < d->nfile; i++)
    name[i] = d->file[i].name;
  if (sites_merge(c, &n, e) == ST_OK)
    for (uint32_t i = 0; i < n && e->code == ST_OK; i++)
      answer_take(a, buf_bytes(&c->result[i]), NULL, true, e);
  if (e->code == ST_OK)
    exec_row_errors(&a->errors, name, d->nfile, e);
  mem_free(name);
  return e->code;
}

static inline Status sites_reduce(Executor *x, Stages of, const Jobs *jobs, Buf *out, ScanInfo *info,
                                  uint64_t *seen, Progress *pr, Err *e) {
  Sites *s = (Sites *)x;
  Ask ask = {.of = of, .jobs = *jobs, .keep_rows = sites_choose(s, 3) > 0};
  Answer a = {.jobs = NULL};
  SitesScan c = {.s = NULL};
  (void)pr;
  if (home_rows_stage(&s->home, of, &ask.rows_stage, e) == ST_OK &&
      answer_open(&a, jobs, of.n, e) == ST_OK && sites_scan_new(s, &ask, &c, e) == ST_OK &&
      sites_run(&c, e) == ST_OK && sites_take(&c, &a, e) == ST_OK)
    answer_finish(&a, out, e);
  if (seen && a.seen)
    memcpy(seen, a.seen, of.n * sizeof *seen);
  if (info)
    *info = a.info;
  if (a.jobs)
    answer_close(&a);
  sites_scan_free(&c);
  return e->code;
}

/* A record of rows that were written -> the table. */
static inline Status sites_put_rows(const Reader *r, Bytes record, Writer *w, Err *e) {
  RowErrors errors = {.count = 0};
  RecordHead h;
  RecordDraft *d = NULL;
  Block *b = NULL;
  bool taken;
  if (record_head(record, &h, e) == ST_OK &&
      records_begin(r, h.file, h.pos / BLOCK * BLOCK, &errors, &d, e) == ST_OK) {
    records_add(d, record, &taken, e);
    records_end(d, e->code == ST_OK ? &b : NULL, e);
  }
  if (e->code == ST_OK && errors.count)
    err_set(e, ST_FAULT, "", NULL, "a record of rows has bad ones");
  if (e->code == ST_OK)
    writer_put(w, b->col, b->n, e);
  block_drop(b);
  return e->code;
}

static inline Status sites_table(SitesScan *c, uint32_t stage, const char *path, ScanInfo *info, Err *e) {
  Sites *s = c->s;
  const SitesSource *d = &s->source[c->source];
  Written columns;
  Writer *w = NULL;
  Reader *r = NULL;
  EngineSource none = {.format = "parquet", .path = "", .dir = ""};
  if (written_columns(&s->home.p->stage[stage].prog, &s->home.env, &columns, e) != ST_OK)
    return e->code;
  if (records_open(&none, columns.column, columns.n, d->file, d->nfile, &r, e) == ST_OK)
    home_writer(&s->home, stage, path, info->digest, &w, e);
  for (uint32_t p = 0; p < c->parts && e->code == ST_OK; p++) {
    Rd rd = rd_of(buf_bytes(&c->rows[p]));
    while (e->code == ST_OK && !rd_done(&rd))
      sites_put_rows(r, rd_blob(&rd), w, e);
  }
  if (w && e->code == ST_OK)
    writer_commit(w, &info->written, e);
  else if (w)
    writer_abort(w);
  reader_close(r);
  written_free(&columns);
  return e->code;
}

static inline Status sites_write(Executor *x, uint32_t stage, const char *path, ScanInfo *info, Progress *pr,
                                 Err *e) {
  Sites *s = (Sites *)x;
  Ask ask = {.of = {.v = &stage, .n = 1}, .keep_rows = sites_choose(s, 3) > 0};
  Answer a = {.jobs = NULL};
  SitesScan c = {.s = NULL};
  (void)pr;
  if (home_rows_stage(&s->home, ask.of, &ask.rows_stage, e) == ST_OK &&
      answer_open(&a, &ask.jobs, 1, e) == ST_OK && sites_scan_new(s, &ask, &c, e) == ST_OK) {
    c.writes = true;
    if (sites_run(&c, e) == ST_OK && sites_take(&c, &a, e) == ST_OK)
      sites_table(&c, stage, path, &a.info, e);
  }
  if (info)
    *info = a.info;
  if (a.jobs)
    answer_close(&a);
  sites_scan_free(&c);
  return e->code;
}

static inline Status sites_open(Executor *x, Bytes text, const Registry *r, const Limits *l, Err *e) {
  Sites *s = (Sites *)x;
  if (home_open(&s->home, text, r, l, e) != ST_OK)
    return e->code;
  s->opened = true;
  s->slot = mem_alloc(s->way.sites * sizeof *s->slot);
  s->source = mem_alloc((s->home.p->nstage + 1) * sizeof *s->source);
  s->fitted = mem_alloc((s->home.p->nfitted + 1) * sizeof *s->fitted);
  s->version = mem_alloc((s->home.p->nfitted + 1) * sizeof *s->version);
  strcpy(s->scratch, "/tmp/cml-sites-XXXXXX");
  if (!s->slot || !s->source || !s->fitted || !s->version || !mkdtemp(s->scratch))
    return err_memory(e);
  return ST_OK;
}

static inline Status sites_put(Executor *x, uint32_t id, Bytes value, Err *e) {
  Sites *s = (Sites *)x;
  bool again;
  if (home_put(&s->home, id, value, &again, e) != ST_OK)
    return e->code;
  buf_clear(&s->fitted[id]);
  buf_put(&s->fitted[id], value.p, value.n);
  s->version[id]++;
  return s->fitted[id].bad ? err_memory(e) : ST_OK;
}

static inline void sites_drop(Executor *x, uint32_t stage) {
  Sites *s = (Sites *)x;
  for (uint32_t i = 0; s->opened && i < s->way.sites; i++)
    if (s->slot[i].site)
      site_drop(s->slot[i].site, stage);
}

static inline void sites_source_free(SitesSource *d) {
  for (uint32_t i = 0; i < d->n; i++)
    buf_free(&d->record[i]);
  for (uint32_t i = 0; d->file && i < d->nfile; i++)
    mem_free((char *)d->file[i].name);
  mem_free(d->record);
  mem_free(d->block);
  mem_free(d->file);
  buf_free(&d->value);
}

static inline void sites_close(Executor *x) {
  Sites *s = (Sites *)x;
  for (uint32_t i = 0; s->slot && i < s->way.sites; i++)
    sites_shut(s, &s->slot[i]);
  for (uint32_t i = 0; s->source && i < s->home.p->nstage; i++)
    sites_source_free(&s->source[i]);
  for (uint32_t i = 0; s->fitted && i < s->home.p->nfitted; i++)
    buf_free(&s->fitted[i]);
  mem_free(s->slot);
  mem_free(s->source);
  mem_free(s->fitted);
  mem_free(s->version);
  if (s->opened) {
    rmdir(s->scratch);
    home_close(&s->home);
  }
  pthread_mutex_destroy(&s->lock);
  mem_free(s);
}

static inline Status exec_sites(const SitesWay *way, Executor **out, Err *e) {
  Sites *s = mem_alloc(sizeof *s);
  if (!s)
    return err_memory(e);
  s->x = (Executor){.name = "sites",
                    .open = sites_open,
                    .put = sites_put,
                    .reduce = sites_reduce,
                    .write = sites_write,
                    .drop = sites_drop,
                    .close = sites_close};
  s->way = *way;
  pthread_mutex_init(&s->lock, NULL);
  *out = &s->x;
  return ST_OK;
}

/* What tests run a program on; NULL: no memory. */
typedef enum { LOCAL, LOOPBACK, SITES, SITES_TEXT, SITES_RUNS } Where;

static inline Executor *exec_on(Where where, uint32_t threads, uint64_t memory) {
  SitesWay way = {.sites = 3, .parts = 5, .threads = threads, .memory = memory,
                  .text = where == SITES_TEXT, .runs = where == SITES_RUNS};
  Executor *x = NULL;
  Err e = {.code = ST_OK};
  if (where == LOCAL)
    exec_local(&x, &e);
  else if (where == LOOPBACK)
    exec_loopback(&x, &e);
  else
    exec_sites(&way, &x, &e);
  return x;
}

#endif
