/* SPDX-License-Identifier: Apache-2.0 */
/* A site: see vm/site.h. Read site_scan, then next_block and map_block.
 *
 * Turns and puts never overlap: turns are counted, since one may begin on a thread and end on another
 * (site_write), which a lock must not. A turn never waits for a put that waits. The shelf has its own
 * lock. */
#include "vm/site.h"

#include <string.h>

#include "base/arena.h"
#include "vm/engine.h"
#include "vm/exec/answer.h"
#include "vm/exec/home.h"
#include "vm/exec/shelf.h"
#include "vm/notes.h"
#include "vm/written.h"

struct Site {
  Home home;
  Shelf shelf;
  NoteRoom room;        /* of what passes note of rows on the shelf */
  char *scratch;
  uint64_t *fitted;     /* versions, by number */
  uint64_t *version;    /* of sources, by stage */
  Reader **source;      /* by stage; NULL: not put yet */
  uint32_t **input;     /* by stage: of each of its files */
  pthread_mutex_t lock; /* everything below, and versions */
  pthread_cond_t left;  /* the last turn, or a put */
  uint32_t turns;
  bool putting;
  Worker **idle;
  uint32_t nidle, cap;
  bool shelf_made, locks_made;
};

/* ---- Opening, putting ---- */

static Status make(Site *s, Bytes program, const Registry *reg, uint64_t memory, const char *scratch,
                   Err *e) {
  Limits lim = {.threads = 1, .memory = memory, .dir = ""};
  if (home_open(&s->home, program, reg, &lim, e) != ST_OK)
    return e->code;
  const Program *p = s->home.p;
  s->fitted = mem_alloc((p->nfitted + 1) * sizeof *s->fitted);
  s->version = mem_alloc((p->nstage + 1) * sizeof *s->version);
  s->source = mem_alloc((p->nstage + 1) * sizeof *s->source);
  s->scratch = mem_strdup(scratch);
  s->input = mem_alloc((p->nstage + 1) * sizeof *s->input);
  if (!s->fitted || !s->version || !s->source || !s->input || !s->scratch)
    return err_memory(e);
  atomic_init(&s->room.left, (long long)(memory / NOTES_SHARE));
  s->shelf_made = shelf_init(&s->shelf, memory - memory / NOTES_SHARE, s->scratch, e) == ST_OK;
  if (s->shelf_made && !pthread_mutex_init(&s->lock, NULL)) {
    s->locks_made = !pthread_cond_init(&s->left, NULL);
    if (!s->locks_made)
      pthread_mutex_destroy(&s->lock);
  }
  return s->locks_made ? ST_OK : err_memory(e);
}

Status site_open(Bytes program, const Registry *reg, uint64_t memory, const char *scratch, Site **out,
                 Err *e) {
  Site *s = mem_alloc(sizeof *s);
  *out = NULL;
  if (!s)
    return err_memory(e);
  if (make(s, program, reg, memory, scratch, e) == ST_OK)
    *out = s;
  else
    site_close(s);
  return e->code;
}

void site_close(Site *s) {
  if (!s)
    return;
  for (uint32_t i = 0; i < s->nidle; i++)
    worker_free(s->idle[i]);
  mem_free(s->idle);
  for (uint32_t i = 0; s->source && s->input && i < s->home.p->nstage; i++) {
    reader_close(s->source[i]);
    mem_free(s->input[i]);
  }
  if (s->shelf_made)
    shelf_free(&s->shelf);
  if (s->locks_made) {
    pthread_cond_destroy(&s->left);
    pthread_mutex_destroy(&s->lock);
  }
  mem_free(s->fitted);
  mem_free(s->version);
  mem_free(s->source);
  mem_free(s->input);
  mem_free(s->scratch);
  if (s->home.p)
    home_close(&s->home);
  mem_free(s);
}

static Status unreadable(Err *e) {
  return err_set(e, ST_FAULT, "CML0614", NULL, "a worker was sent something that cannot be read");
}

void site_source(const RecordFile *file, uint32_t n, Buf *out) {
  buf_u32(out, n);
  for (uint32_t i = 0; i < n; i++) {
    buf_cstr(out, file[i].name);
    buf_u64(out, file[i].rows);
    buf_u32(out, file[i].input);
  }
}

static Status put_source(Site *s, uint32_t stage, Bytes value, Err *e) {
  const Stage *g = &s->home.p->stage[stage];
  Arena a;
  Rd r = rd_of(value);
  uint32_t n = rd_u32(&r);
  if (r.bad || n > value.n / 20 || g->kind != STAGE_SOURCE)
    return unreadable(e);
  arena_init(&a, NULL);
  RecordFile *file = NEWN(&a, RecordFile, n + 1);
  uint32_t *input = mem_alloc((n + 1) * sizeof *input);
  const EngineSource *src = engine_source(&a, g, "");
  if (!file || !input || !src)
    err_memory(e);
  for (uint32_t i = 0; i < n && e->code == ST_OK; i++) {
    Bytes name = rd_blob(&r);
    file[i].name = arena_strndup(&a, (const char *)name.p, name.n);
    file[i].rows = rd_u64(&r);
    file[i].input = input[i] = rd_u32(&r);
    if (!file[i].name)
      err_memory(e);
  }
  if (e->code == ST_OK && !rd_done(&r))
    unreadable(e);
  Reader *new = NULL;
  if (e->code == ST_OK && records_open(src, g->column, g->ncolumn, file, n, &new, e) == ST_OK) {
    reader_close(s->source[stage]);
    mem_free(s->input[stage]);
    s->source[stage] = new;
    s->input[stage] = input;
  } else {
    mem_free(input);
  }
  arena_free(&a);
  return e->code;
}

/* Another value in the place of one: what was made with the old one goes. */
static void forget(Site *s, bool source) {
  const Program *p = s->home.p;
  for (uint32_t i = 0; i < s->nidle; i++)
    worker_forget(s->idle[i]);
  for (uint32_t i = 0; i < p->nstage; i++)
    if (p->stage[i].kind == STAGE_TRAIN || (source && p->stage[i].kind == STAGE_ROWS))
      shelf_drop(&s->shelf, i);
}

static Status put(Site *s, bool source, uint32_t id, Bytes value, Err *e) {
  bool again = source;
  if (source)
    put_source(s, id, value, e);
  else
    home_put(&s->home, id, value, &again, e);
  if (e->code == ST_OK && again)
    forget(s, source);
  return e->code;
}

Status site_put(Site *s, uint32_t kind, uint32_t id, uint64_t version, Bytes value, Err *e) {
  bool source = kind == SITE_SOURCE;
  if (kind > SITE_SOURCE || id >= (source ? s->home.p->nstage : s->home.p->nfitted))
    return unreadable(e);
  uint64_t *v = source ? &s->version[id] : &s->fitted[id];
  pthread_mutex_lock(&s->lock);
  while (*v < version && (s->turns || s->putting))
    pthread_cond_wait(&s->left, &s->lock);
  bool newer = *v < version;
  s->putting |= newer;
  pthread_mutex_unlock(&s->lock);
  if (!newer)
    return ST_OK;
  put(s, source, id, value, e);
  pthread_mutex_lock(&s->lock);
  *v = e->code == ST_OK ? version : *v;
  s->putting = false;
  pthread_cond_broadcast(&s->left);
  pthread_mutex_unlock(&s->lock);
  return e->code;
}

uint64_t site_version(Site *s, uint32_t kind, uint32_t id) {
  uint64_t v = 0;
  pthread_mutex_lock(&s->lock);
  while (s->putting)
    pthread_cond_wait(&s->left, &s->lock);
  if (kind == SITE_SOURCE && id < s->home.p->nstage)
    v = s->version[id];
  else if (kind == SITE_FITTED && id < s->home.p->nfitted)
    v = s->fitted[id];
  pthread_mutex_unlock(&s->lock);
  return v;
}

static void enter(Site *s) {
  pthread_mutex_lock(&s->lock);
  while (s->putting)
    pthread_cond_wait(&s->left, &s->lock);
  s->turns++;
  pthread_mutex_unlock(&s->lock);
}

static void leave(Site *s) {
  pthread_mutex_lock(&s->lock);
  if (!--s->turns)
    pthread_cond_broadcast(&s->left);
  pthread_mutex_unlock(&s->lock);
}

/* ---- Workers ---- */

static Status take_worker(Site *s, Worker **out, Err *e) {
  pthread_mutex_lock(&s->lock);
  *out = s->nidle ? s->idle[--s->nidle] : NULL;
  pthread_mutex_unlock(&s->lock);
  if (!*out && worker_new(s->home.p, &s->home.env, NULL, out, e) == ST_OK)
    worker_notes(*out, &s->room);
  return e->code;
}

static void give_worker(Site *s, Worker *w) {
  if (!w)
    return;
  pthread_mutex_lock(&s->lock);
  if (s->nidle == s->cap) {
    uint32_t cap = s->cap ? 2 * s->cap : 8;
    Worker **v = mem_realloc(s->idle, cap * sizeof(Worker *));
    s->idle = v ? v : s->idle;
    s->cap = v ? cap : s->cap;
  }
  bool room = s->nidle < s->cap;
  if (room)
    s->idle[s->nidle++] = w;
  pthread_mutex_unlock(&s->lock);
  if (!room)
    worker_free(w);
}

/* ---- A task ---- */

typedef struct Run { /* one matrix of a scan */
  Kept *there;      /* its blocks, or */
  Kept *fill;       /* where they go; or neither */
} Run;

typedef struct Turn { /* one partition in one scan */
  Site *s;
  uint32_t part;
  Ask ask;
  Answer answer;
  bool answers;     /* answer is open */
  JobSet *jobs;
  Worker *w;
  uint32_t nmatrix;
  uint32_t *maker;
  int32_t *uses;
  Run *matrix;
  Units *units;
  Block **made;     /* UNITS a matrix */
  Kept *rows, *fill; /* blocks of the rows stage: there, or being kept */
  bool only_units;  /* nothing but matrices is read */
  uint32_t at;      /* block, of what is there */
  Records in;
  const Reader *source;
  Run *run;         /* blocks that are being read here */
  uint64_t handle;  /* of its bytes */
  Bytes record;     /* came, and is of the block after the one at hand */
  bool started;
  uint32_t file;    /* of the last block that was read; the next one lies behind it */
  uint64_t behind;
  bool ended;       /* all blocks went through */
} Turn;

/* What was kept is whole where the turn went to its end, and found nothing wrong. */
static void turn_end(Turn *t, Status st) {
  Shelf *f = &t->s->shelf;
  const ScanInfo *of = st == ST_OK && t->ended && !t->answer.errors.count ? &t->answer.info : NULL;
  for (uint32_t k = 0; t->matrix && k < t->nmatrix; k++) {
    shelf_let(f, t->matrix[k].there);
    if (t->matrix[k].fill)
      shelf_end(f, t->matrix[k].fill, of);
  }
  shelf_let(f, t->rows);
  if (t->fill)
    shelf_end(f, t->fill, of);
  run_close(t->run);
  if (st == ST_OK)
    give_worker(t->s, t->w);
  else
    worker_free(t->w);
  jobset_free(t->jobs);
  if (t->answers)
    answer_close(&t->answer);
  mem_free(t->maker);
  mem_free(t->uses);
  mem_free(t->matrix);
  mem_free(t->units);
  mem_free(t->made);
  ask_free(&t->ask);
}

/* The matrices of the scan: are they there, or will they be kept? */
static Status find_matrices(Turn *t, Err *e) {
  Shelf *f = &t->s->shelf;
  uint32_t n = t->ask.of.n;
  t->maker = mem_alloc((n + 1) * sizeof *t->maker);
  t->uses = mem_alloc((n + 1) * sizeof *t->uses);
  t->matrix = mem_alloc((n + 1) * sizeof *t->matrix);
  t->units = mem_alloc((n + 1) * sizeof *t->units);
  t->made = mem_alloc((n * UNITS + 1) * sizeof *t->made);
  if (!t->maker || !t->uses || !t->matrix || !t->units || !t->made)
    return err_memory(e);
  worker_matrices(t->s->home.p, t->ask.of, t->maker, t->uses, &t->nmatrix);
  t->only_units = n > 0;
  for (uint32_t i = 0; i < n; i++)
    t->only_units = t->only_units && t->uses[i] >= 0;
  for (uint32_t k = 0; k < t->nmatrix && e->code == ST_OK; k++) {
    Run *r = &t->matrix[k];
    r->there = shelf_find(f, t->maker[k], t->part);
    t->only_units = t->only_units && r->there;
    if (!r->there && !t->ask.once)
      r->fill = shelf_begin(f, t->maker[k], t->part, false, e);
  }
  return e->code;
}

static Status turn_begin(Turn *t, Site *s, Bytes request, uint32_t part, const Records *in, Err *e) {
  *t = (Turn){.s = s, .part = part, .in = *in};
  if (ask_take(request, s->home.p, &s->home.reg, &t->ask, e) != ST_OK)
    return e->code;
  t->source = s->source[s->home.p->stage[t->ask.rows_stage].from];
  if (!t->source)
    return err_set(e, ST_FAULT, "CML0606", NULL, "a worker was not told of the files of its source");
  if (take_worker(s, &t->w, e) != ST_OK)
    return e->code;
  t->answers = true;
  if (answer_open(&t->answer, &t->ask.jobs, t->ask.of.n, e) != ST_OK || find_matrices(t, e) != ST_OK)
    return e->code;
  if (!t->only_units)
    t->rows = shelf_find(&s->shelf, t->ask.rows_stage, part);
  if (!t->only_units && !t->rows && t->ask.keep_rows)
    t->fill = shelf_begin(&s->shelf, t->ask.rows_stage, part, true, e);
  const Kept *k = t->only_units ? t->matrix[0].there : t->rows;
  if (k) { /* what the rows stage said when it ran */
    t->answer.info = *shelf_info(k);
    t->answer.info.rows = t->answer.info.bytes = 0;
    t->answer.info.from_cache = true;
  }
  return e->code;
}

static Status next_record(Turn *t, Err *e) {
  return t->in.next(t->in.ctx, &t->record, e);
}

/* Blocks come in the order of their places, none twice. */
static Status in_order(Turn *t, uint32_t file, uint64_t pos, Err *e) {
  if (t->behind && (file < t->file || (file == t->file && pos < t->behind)))
    return err_set(e, ST_FAULT, "CML0603", NULL, "the rows of partition %u are not in order", t->part);
  t->file = file;
  t->behind = pos + BLOCK;
  return ST_OK;
}

static Status begin_block(Turn *t, const RecordHead *h, RecordDraft **d, Err *e) {
  uint64_t pos = h->pos / BLOCK * BLOCK;
  if (in_order(t, h->file, pos, e) != ST_OK)
    return e->code;
  return records_begin(t->source, h->file, pos, &t->answer.errors, d, e);
}

/* A block of the rows that come. */
static Status drafted(Turn *t, RecordHead head, Block **out, Err *e) {
  RecordDraft *d = NULL;
  bool taken = true, gaps = false;
  begin_block(t, &head, &d, e);
  while (e->code == ST_OK && t->record.p) {
    if (records_add(d, t->record, &taken, e) != ST_OK || !taken)
      break;
    gaps |= (head.flags & RECORD_GAPS) != 0;
    if (next_record(t, e) == ST_OK && t->record.p && record_head(t->record, &head, e) == ST_OK &&
        head.kind == RECORD_RUN)
      break;
  }
  if (d)
    records_end(d, e->code == ST_OK ? out : NULL, e);
  /* who leaves rows out says so: what did not come was lost, and comes when the task is repeated */
  if (e->code == ST_OK && !gaps && (*out)->n != (*out)->npos) {
    err_set(e, ST_RESOURCE, "CML0532", "Look at the executors' logs.",
            "of %u rows of a block %u came to the one who works on them", (*out)->npos, (*out)->n);
    block_drop(*out);
    *out = NULL;
  }
  return e->code;
}

static Status fetch(void *ctx, uint64_t at, size_t n, void *out, Err *e) {
  Turn *t = ctx;
  return t->in.fetch(t->in.ctx, t->handle, at, n, out, e);
}

/* Blocks that are read here. */
static Status begin_run(Turn *t, Err *e) {
  FileBytes in = {fetch, t};
  if (!t->in.fetch)
    return err_set(e, ST_FAULT, "CML0603", NULL, "there is no way to the files of partition %u", t->part);
  t->handle = run_handle(t->record);
  return run_open(t->source, t->record, &in, &t->run, e);
}

/* *out is NULL: the run has ended, and the record behind it is at hand. */
static Status next_of_run(Turn *t, Block **out, Err *e) {
  if (run_next(t->run, &t->answer.errors, out, e) != ST_OK)
    return e->code;
  if (!*out) {
    run_close(t->run);
    t->run = NULL;
    return next_record(t, e);
  }
  if (in_order(t, (*out)->file, (*out)->pos, e) == ST_OK)
    return ST_OK;
  block_drop(*out);
  *out = NULL;
  return e->code;
}

/* The next raw block; NULL: the end. */
static Status next_raw(Turn *t, Block **out, Err *e) {
  RecordHead head;
  *out = NULL;
  if (!t->started && next_record(t, e) != ST_OK)
    return e->code;
  t->started = true;
  while (e->code == ST_OK && !*out) {
    if (t->run)
      next_of_run(t, out, e);
    else if (!t->record.p)
      break;
    else if (record_head(t->record, &head, e) == ST_OK && head.kind == RECORD_RUN)
      begin_run(t, e);
    else if (e->code == ST_OK)
      return drafted(t, head, out, e);
  }
  return e->code;
}

static void count_rows(Answer *a, const Block *raw, const Block *rows) {
  a->info.read += raw->npos;
  a->info.bytes += raw->bytes;
  a->info.kept[KEPT_INVALID] += rows->invalid;
  if (!rows->part)
    a->info.kept[0] += rows->n;
  for (uint32_t r = 0; rows->part && r < rows->n; r++)
    a->info.kept[rows->part[r] & 63]++;
}

/* The next block of the rows stage: from the shelf, or made. NULL: the end. */
static Status next_rows(Turn *t, Block **out, Err *e) {
  Block *raw = NULL;
  *out = NULL;
  if (t->rows) {
    if (t->at < shelf_count(t->rows) && shelf_block(&t->s->shelf, t->rows, t->at, out, e) == ST_OK)
      t->answer.info.bytes += (*out)->bytes;
    return e->code;
  }
  if (next_raw(t, &raw, e) != ST_OK || !raw)
    return e->code;
  if (worker_rows(t->w, t->ask.rows_stage, raw, &t->answer.errors, out, e) == ST_OK)
    count_rows(&t->answer, raw, *out);
  block_drop(raw);
  if (e->code == ST_OK && t->fill && !t->answer.errors.count)
    shelf_add(&t->s->shelf, t->fill, *out, e);
  if (e->code != ST_OK) {
    block_drop(*out);
    *out = NULL;
  }
  return e->code;
}

/* The next block, as far as it is read: *rows is NULL where matrices are enough. */
static Status next_block(Turn *t, Block **rows, bool *more, Err *e) {
  *rows = NULL;
  if (t->only_units)
    *more = t->at * (uint64_t)UNITS < shelf_count(t->matrix[0].there);
  else
    *more = next_rows(t, rows, e) == ST_OK && *rows;
  t->ended = e->code == ST_OK && !*more;
  return e->code;
}

/* Units [u0, u1) of the matrices that are there. */
static Status find_units(Turn *t, uint32_t u0, uint32_t u1, Err *e) {
  for (uint32_t k = 0; k < t->nmatrix; k++) {
    Run *r = &t->matrix[k];
    Block **made = t->made + (size_t)k * UNITS;
    t->units[k] = (Units){.stage = t->maker[k], .unit = made, .keep = r->there || r->fill};
    for (uint32_t u = u0; r->there && u < u1 && e->code == ST_OK; u++) {
      if (shelf_block(&t->s->shelf, r->there, t->at * UNITS + u, &made[u], e) == ST_OK && t->only_units)
        t->answer.info.bytes += made[u]->bytes;
    }
  }
  return e->code;
}

static Status keep_units(Turn *t, uint32_t u0, uint32_t u1, Err *e) {
  for (uint32_t k = 0; k < t->nmatrix; k++)
    for (uint32_t u = u0; t->matrix[k].fill && u < u1 && e->code == ST_OK; u++)
      shelf_add(&t->s->shelf, t->matrix[k].fill, t->made[(size_t)k * UNITS + u], e);
  return e->code;
}

/* All jobs over units [u0, u1) of a block. */
static Status map_units(Turn *t, const Block *rows, uint32_t u0, uint32_t u1, Err *e) {
  Answer *a = &t->answer;
  Sink sink = answer_sink(a);
  worker_look(t->w, a->errors.count > 0);
  Mapped m = {.of = t->ask.of, .matrix = t->units, .uses = t->uses, .nmatrix = t->nmatrix, .seen = a->seen};
  if (find_units(t, u0, u1, e) == ST_OK)
    worker_map(t->w, &m, t->jobs, rows, u0, u1, &sink, &a->errors, e);
  if (e->code == ST_OK && !a->errors.count)
    keep_units(t, u0, u1, e);
  for (uint32_t i = 0; i < t->nmatrix * UNITS; i++) {
    block_drop(t->made[i]);
    t->made[i] = NULL;
  }
  return e->code;
}

/* All jobs over one block: no more of its matrices at a time than a leaf needs. */
static Status map_block(Turn *t, const Block *rows, Err *e) {
  uint32_t leaf = jobset_units(t->jobs), n = leaf > QUARTER ? leaf : QUARTER;
  for (uint32_t u = 0; u < UNITS && e->code == ST_OK; u += n)
    map_units(t, rows, u, u + n, e);
  return e->code;
}

static void sum_seen(Answer *a) {
  for (uint32_t i = 0; i < a->nseen; i++)
    a->info.rows += a->seen[i];
}

static Status scan(Turn *t, Buf *result, Err *e) {
  Block *rows = NULL;
  bool more = true;
  jobset_new(&t->ask.jobs, &t->jobs, e);
  while (e->code == ST_OK && next_block(t, &rows, &more, e) == ST_OK && more) {
    map_block(t, rows, e);
    block_drop(rows);
    t->at++;
  }
  if (e->code == ST_OK)
    answer_exact(&t->answer, t->jobs, e);
  sum_seen(&t->answer);
  return e->code == ST_OK ? answer_put(&t->answer, result, e) : e->code;
}

Status site_scan(Site *s, Bytes request, uint32_t part, const Records *in, Buf *result, Err *e) {
  Turn t;
  enter(s);
  buf_clear(result);
  if (turn_begin(&t, s, request, part, in, e) == ST_OK)
    scan(&t, result, e);
  turn_end(&t, e->code);
  leave(s);
  return e->code;
}

Status site_merge(Site *s, Bytes request, const Bytes *result, uint32_t n, Buf *out, Err *e) {
  Ask ask;
  Answer a = {.jobs = NULL};
  buf_clear(out);
  enter(s);
  if (ask_take(request, s->home.p, &s->home.reg, &ask, e) == ST_OK &&
      answer_open(&a, &ask.jobs, ask.of.n, e) == ST_OK) {
    for (uint32_t i = 0; i < n && e->code == ST_OK; i++)
      answer_take(&a, result[i], NULL, false, e);
    if (e->code == ST_OK)
      answer_put(&a, out, e);
  }
  if (a.jobs)
    answer_close(&a);
  ask_free(&ask);
  leave(s);
  return e->code;
}

/* ---- Writing ---- */

struct SiteWriter {
  Turn t;
  Written columns;
  Block *rows;      /* being written, from row `from` on */
  uint32_t from;
};

Status site_write(Site *s, Bytes request, uint32_t part, const Records *in, SiteWriter **out, Err *e) {
  SiteWriter *w = *out = mem_alloc(sizeof *w);
  if (!w)
    return err_memory(e);
  enter(s); /* until its end */
  if (turn_begin(&w->t, s, request, part, in, e) == ST_OK) {
    const Stage *g = &s->home.p->stage[w->t.ask.of.v[0]];
    if (!ir_writes_rows(g) || w->t.ask.of.n != 1)
      err_set(e, ST_FAULT, "CML0605", NULL, "stage %s writes no rows", g->name);
    else
      written_columns(&g->prog, &s->home.env, &w->columns, e);
  }
  if (e->code == ST_OK)
    return ST_OK;
  site_write_end(w, NULL, e);
  *out = NULL;
  return e->code;
}

Status site_write_next(SiteWriter *w, Buf *record, Err *e) {
  Turn *t = &w->t;
  Answer *a = &t->answer;
  buf_clear(record);
  while (e->code == ST_OK && !record->n) {
    Block *out = NULL;
    if (!w->rows && (next_rows(t, &w->rows, e) != ST_OK || !w->rows)) {
      t->ended = e->code == ST_OK;
      break;
    }
    uint32_t stage = t->ask.of.v[0];
    if (worker_predict(t->w, stage, w->rows, &w->from, &a->errors, &out, e) == ST_OK) {
      a->seen[0] += out->n;
      if (out->n && !a->errors.count)
        record_of_rows(w->columns.column, out->col, w->columns.n, out->n, out->file, out->pos, out->at,
                       record, e);
    }
    block_drop(out);
    if (w->from < w->rows->n)
      continue;
    block_drop(w->rows);
    w->rows = NULL;
    w->from = 0;
    t->at++;
  }
  return e->code;
}

Status site_write_end(SiteWriter *w, Buf *result, Err *e) {
  Site *s = w->t.s;
  Answer *a = &w->t.answer;
  if (result)
    buf_clear(result);
  if (result && e->code == ST_OK && w->t.ended) {
    sum_seen(a);
    answer_put(a, result, e);
  }
  block_drop(w->rows);
  written_free(&w->columns);
  turn_end(&w->t, e->code);
  mem_free(w);
  leave(s);
  return e->code;
}

/* ---- Text files ---- */

struct SiteSplit {
  Splitter *x;
};

Status site_split(Site *s, uint32_t stage, uint32_t file, const char *path, const ByteSource *in,
                  SiteSplit **out, Err *e) {
  Arena a;
  *out = NULL;
  if (stage >= s->home.p->nstage || s->home.p->stage[stage].kind != STAGE_SOURCE)
    return unreadable(e);
  enter(s);
  const Stage *g = &s->home.p->stage[stage];
  uint32_t n = 0, input = 0;
  if (s->source[stage])
    reader_files(s->source[stage], &n);
  if (file < n)
    input = s->input[stage][file];
  leave(s);
  if (file >= n)
    return err_set(e, ST_FAULT, "CML0606", NULL, "a worker was not told of the files of its source");
  SiteSplit *p = mem_alloc(sizeof *p);
  if (!p)
    return err_memory(e);
  arena_init(&a, NULL);
  const EngineSource *src = engine_source(&a, g, "");
  if (!src)
    err_memory(e);
  else if (splitter_open(src, g->column, g->ncolumn, input, file, path, *in, &p->x, e) == ST_OK)
    *out = p;
  arena_free(&a);
  if (e->code != ST_OK)
    mem_free(p);
  return e->code;
}

Status site_split_next(SiteSplit *p, Buf *record, uint32_t *rows, Err *e) {
  return splitter_next(p->x, record, rows, e);
}

void site_split_end(SiteSplit *p) {
  if (!p)
    return;
  splitter_close(p->x);
  mem_free(p);
}

void site_drop(Site *s, uint32_t stage) {
  shelf_drop(&s->shelf, stage);
}

SiteHeld site_held(Site *s) {
  return shelf_held(&s->shelf);
}
