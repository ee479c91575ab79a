/* SPDX-License-Identifier: Apache-2.0 */
/* The executor of one machine: threads.
 *
 * A scan has workers; the caller is one of them. Each takes the next task itself: from the reader (which
 * several may ask at once), from cached blocks, or from cached matrices. No more blocks are in flight
 * than there are workers. Who has read a block shares it in pieces (Open), so that also the last of few
 * blocks keeps all workers busy. Partials of finished tasks meet in the canonical tree of
 * their job; whoever brings the second of two siblings merges them, outside of the lock.
 * Threads live as long as a scan: starting them costs 20 us, and between scans the process is
 * single-threaded.
 *
 * Read local_reduce, then work, then take and process. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "vm/exec/local.h"
#include "vm/jit.h"

typedef struct Hand { /* a worker in a scan */
  Scan *s;
  uint32_t number;
  Worker *w;
  JobSet *jobs;
  Units *units;           /* one a matrix, then one a step that is kept */
  Block **made;           /* UNITS each */
  uint64_t *seen;         /* by stage, of a task */
  pthread_t thread;
} Hand;

typedef struct Task {
  uint32_t seq;           /* number of the block */
  uint32_t u0, u1;
  Block *raw, *rows;      /* held; rows: NULL where only matrices are read */
  RowErrors errors;
} Task;

static void failed(Scan *s, uint32_t seq, const Err *e) {
  pthread_mutex_lock(&s->lock);
  if (!s->err.code || seq < s->err_seq) {
    s->err = *e;
    s->err_seq = seq;
  }
  atomic_store(&s->stop, true);
  pthread_cond_broadcast(&s->turned);
  pthread_cond_broadcast(&s->opened);
  pthread_mutex_unlock(&s->lock);
}

/* ---- Taking a task ---- */

/* Units of a task. */
static uint32_t piece_units(const Scan *s) {
  return UNITS / s->pieces;
}

/* A block that was read, of which nobody has taken everything. */
static Open *find_open(Scan *s) {
  uint32_t k = 0;
  while (k < s->nopen && s->open[k].u0 == UNITS)
    k++;
  return k < s->nopen ? &s->open[k] : NULL;
}

typedef enum { TO_READ, TO_MAP, TO_STOP } Next;

/* What to do next, and the piece in *t. Somebody always reads, where there is room for another block. */
static Next choose(Scan *s, Task *t) {
  Next next = TO_STOP;
  pthread_mutex_lock(&s->lock);
  while (!atomic_load(&s->stop)) {
    Open *o = find_open(s);
    bool room = !s->ended && s->nopen + s->reading < s->workers;
    if (room && (!o || !s->reading)) {
      s->reading++;
      next = TO_READ;
      break;
    }
    if (o) {
      t->seq = o->seq;
      t->u0 = o->u0;
      t->u1 = o->u0 += piece_units(s);
      block_hold(t->rows = o->rows);
      next = TO_MAP;
      break;
    }
    if (!s->reading)
      break;
    pthread_cond_wait(&s->opened, &s->lock);
  }
  pthread_mutex_unlock(&s->lock);
  return next;
}

static bool take_read(Scan *s, Task *t, Err *e) {
  for (;;) {
    Next next = choose(s, t);
    if (next != TO_READ)
      return next == TO_MAP;
    t->u1 = UNITS;
    bool got = reader_next(s->reader, &t->raw, &t->seq, &t->errors, e) == ST_OK && t->raw;
    pthread_mutex_lock(&s->lock);
    s->next += got;
    s->ended |= !got;
    s->reading -= !got;
    if (!e->code && !got && t->errors.count) /* found behind the last block */
      row_errors_merge(&s->errors, &t->errors);
    pthread_cond_broadcast(&s->opened);
    pthread_mutex_unlock(&s->lock);
    if (got || e->code)
      return got;
    memset(&t->errors, 0, sizeof t->errors);
  }
}

/* The block of a task has been read. It is shared, but for the first piece. */
static void open_block(Scan *s, Task *t, bool good) {
  pthread_mutex_lock(&s->lock);
  s->reading--;
  if (good && s->pieces > 1) {
    t->u1 = piece_units(s);
    block_hold(t->rows);
    s->open[s->nopen++] = (Open){.seq = t->seq, .u0 = t->u1, .left = s->pieces, .rows = t->rows};
  }
  pthread_cond_broadcast(&s->opened);
  pthread_mutex_unlock(&s->lock);
}

/* A piece is done. */
static void close_piece(Scan *s, const Task *t) {
  pthread_mutex_lock(&s->lock);
  for (uint32_t k = 0; k < s->nopen; k++) {
    Open *o = &s->open[k];
    if (o->seq != t->seq || --o->left)
      continue;
    block_drop(o->rows);
    memmove(o, o + 1, (--s->nopen - k) * sizeof *o);
    pthread_cond_broadcast(&s->opened);
    break;
  }
  pthread_mutex_unlock(&s->lock);
}

static bool take_cached(Scan *s, Task *t) {
  pthread_mutex_lock(&s->lock);
  bool got = s->next < s->ntask;
  if (got) {
    t->seq = s->next / s->pieces;
    t->u0 = s->next % s->pieces * piece_units(s);
    t->u1 = t->u0 + piece_units(s);
    if (s->from == FROM_ROWS)
      block_hold(t->rows = s->rows->v[t->seq].rows);
    s->next++;
  }
  pthread_mutex_unlock(&s->lock);
  return got;
}

/* False: there is no more, or it failed. */
static bool take(Scan *s, Task *t, Err *e) {
  memset(t, 0, sizeof *t);
  if (atomic_load(&s->stop))
    return false;
  return s->from == FROM_READER ? take_read(s, t, e) : take_cached(s, t);
}

/* ---- Doing it ---- */

static Status meet(void *ctx, uint32_t job, TreeNode node, Err *e) {
  Hand *h = ctx;
  Scan *s = h->s;
  TreeNode other;
  for (;;) {
    pthread_mutex_lock(&s->lock);
    bool two = tree_meet(&s->tree[job], &node, &other, e);
    pthread_mutex_unlock(&s->lock);
    if (!two)
      return e->code;
    Status st = tree_join(s->jobs->v[job].pass, jobset_par(h->jobs, job), &node, &other, e);
    if (st)
      return st;
  }
}

/* The block of the rows stage: counts it, and keeps it where that is wanted. */
static Status make_rows(Hand *h, Task *t, Err *e) {
  Scan *s = h->s;
  Status st = worker_rows_of(h->w, s->rows_stage, t->raw, &t->errors, &t->rows, e);
  uint64_t npos = t->raw->npos, bytes = t->raw->bytes;
  block_drop(t->raw);
  t->raw = NULL;
  if (st)
    return st;
  const Block *b = t->rows;
  uint64_t kept[KEPT] = {0};
  kept[KEPT_INVALID] = b->invalid;
  if (!b->part)
    kept[0] = b->n;
  for (uint32_t r = 0; b->part && r < b->n; r++)
    kept[b->part[r] & 63]++;
  pthread_mutex_lock(&s->lock);
  for (uint32_t i = 0; i < KEPT; i++)
    s->info.kept[i] += kept[i];
  s->info.read += npos;
  s->info.bytes += bytes;
  st = fill_rows(&s->fill, t->seq, t->rows, e);
  pthread_mutex_unlock(&s->lock);
  return st;
}

/* Waits until all blocks before have been written. */
static void await_turn(Scan *s, const Task *t) {
  pthread_mutex_lock(&s->lock);
  while (s->turn != t->seq && !atomic_load(&s->stop))
    pthread_cond_wait(&s->turned, &s->lock);
  pthread_mutex_unlock(&s->lock);
}

/* The rows of a task; of wide ones some at a time, the first before its turn. */
static Status write_rows(Hand *h, Task *t, Err *e) {
  Scan *s = h->s;
  Status st = ST_OK;
  uint64_t rows = 0;
  uint32_t from = 0;
  do {
    Block *out = NULL;
    st = worker_predict(h->w, s->of.v[0], t->rows, &from, &t->errors, &out, e);
    if (t->errors.count)
      atomic_store(&s->bad, true);
    Encoded x = {0};
    if (!st && out->n && !atomic_load(&s->stop) && !atomic_load(&s->bad))
      st = writer_encode(s->writer, out->col, out->n, &x, e);
    if (st) {
      block_drop(out);
      return st;
    }
    await_turn(s, t);
    rows += out->n;
    if (x.n && !atomic_load(&s->stop) && !atomic_load(&s->bad))
      st = writer_append(s->writer, &x, e);
    block_drop(out);
  } while (!st && from < t->rows->n && !atomic_load(&s->stop));
  pthread_mutex_lock(&s->lock);
  s->turn++;
  s->info.rows += rows;
  pthread_cond_broadcast(&s->turned);
  pthread_mutex_unlock(&s->lock);
  return st;
}

/* The matrices of a task: those of the cache, or what it makes. A matrix may be given up while we work:
 * fill_units sees to it. */
static void find_units(Hand *h, const Task *t) {
  Scan *s = h->s;
  memset(h->made, 0, ((s->nmatrix + s->nkept) * UNITS + 1) * sizeof *h->made);
  memset(h->seen, 0, (s->of.n + 1) * sizeof *h->seen);
  for (uint32_t k = 0; k < s->nmatrix; k++) {
    bool there = s->train[k].set->state == CACHE_FULL;
    h->units[k] = (Units){.stage = s->maker[k],
                          .unit = there ? s->train[k].set->v[t->seq].unit : h->made + (size_t)k * UNITS,
                          .keep = there || s->train[k].on};
  }
  for (uint32_t k = s->nmatrix; k < s->nmatrix + s->nkept; k++) { /* may be given up at any time: held */
    const FillTrain *f = &s->train[k];
    Block **unit = h->made + (size_t)k * UNITS;
    h->units[k] = (Units){.stage = s->kept[k - s->nmatrix], .unit = unit, .keep = f->on};
    for (uint32_t u = t->u0; u < t->u1 && f->set->state == CACHE_FULL; u++)
      block_hold(unit[u] = f->set->v[t->seq].unit[u]);
  }
}

static Status map_rows(Hand *h, Task *t, Err *e) {
  Scan *s = h->s;
  Sink sink = {.node = meet, .ctx = h};
  pthread_mutex_lock(&s->lock);
  find_units(h, t);
  pthread_mutex_unlock(&s->lock);
  Mapped m = {.of = s->of, .matrix = h->units, .uses = s->uses, .nmatrix = s->nmatrix, .seen = h->seen};
  m.kept = h->units + s->nmatrix;
  m.nkept = s->nkept;
  Status st = worker_map(h->w, &m, h->jobs, t->rows, t->u0, t->u1, &sink, &t->errors, e);
  pthread_mutex_lock(&s->lock);
  for (uint32_t i = 0; i < s->of.n; i++)
    s->seen[i] += h->seen[i];
  s->fill.done++;
  for (uint32_t k = 0; k < s->nmatrix + s->nkept && !st; k++)
    if (h->units[k].keep && h->units[k].unit == h->made + (size_t)k * UNITS) /* given up before: stays so */
      st = fill_units(&s->fill, k, t->seq, t->u0, t->u1, h->units[k].unit, e);
  pthread_mutex_unlock(&s->lock);
  for (uint32_t u = 0; u < (s->nmatrix + s->nkept) * UNITS; u++)
    block_drop(h->made[u]);
  return st;
}

static Status process(Hand *h, Task *t, Err *e) {
  Scan *s = h->s;
  worker_look(h->w, atomic_load(&s->bad));
  bool read = t->raw != NULL;
  Status st = read ? make_rows(h, t, e) : ST_OK;
  if (read)
    open_block(s, t, !st);
  if (t->errors.count)
    atomic_store(&s->bad, true);
  if (!st)
    st = s->jobs ? map_rows(h, t, e) : write_rows(h, t, e);
  if (!t->errors.count)
    return st;
  atomic_store(&s->bad, true);
  pthread_mutex_lock(&s->lock);
  row_errors_merge(&s->errors, &t->errors);
  pthread_mutex_unlock(&s->lock);
  return st;
}

static void tell(Scan *s, const Task *t) {
  if (!s->pr || !s->pr->rows)
    return;
  uint64_t done = t->seq + 1; /* blocks before this one have been taken */
  if (s->from == FROM_READER) {
    pthread_mutex_lock(&s->lock);
    done = s->info.read;
    pthread_mutex_unlock(&s->lock);
  } else {
    done = s->total * (done * s->pieces) / (s->ntask ? s->ntask : 1);
  }
  s->pr->rows(s->pr->ctx, done, s->total);
}

static void *work(void *arg) {
  Hand *h = arg;
  Scan *s = h->s;
  Task t;
  Err e;
  err_clear(&e);
  while (take(s, &t, &e)) {
    Status st = process(h, &t, &e);
    close_piece(s, &t);
    block_drop(t.raw);
    block_drop(t.rows);
    if (st)
      break;
    tell(s, &t);
  }
  if (e.code)
    failed(s, t.seq, &e);
  return NULL;
}

/* ---- A scan ---- */

/* Runs the workers to the end. */
static Status scan_run(Scan *s, Hand *hand, uint32_t n) {
  uint32_t started = 1;
  s->workers = n;
  s->open = mem_alloc(n * sizeof *s->open);
  if (!s->open)
    return err_memory(&s->err);
  for (; started < n; started++) /* fewer threads than wanted only take longer */
    if (pthread_create(&hand[started].thread, NULL, work, &hand[started]))
      break;
  work(&hand[0]);
  for (uint32_t i = 1; i < started; i++)
    pthread_join(hand[i].thread, NULL);
  if (!s->err.code)
    exec_row_errors(&s->errors, (const char *const *)s->rows->file, s->rows->nfile, &s->err);
  s->info.held = s->l->store.most;
  bool whole = !s->err.code;
  uint32_t blocks = s->from == FROM_READER ? s->next : s->ntask / s->pieces;
  fill_end(&s->fill, whole, blocks);
  if (whole && s->from == FROM_READER && !s->rows->known) {
    memcpy(s->rows->kept, s->info.kept, sizeof s->rows->kept);
    s->rows->read = s->info.read;
    s->rows->known = true;
  }
  if (s->from != FROM_READER) {
    memcpy(s->info.kept, s->rows->kept, sizeof s->info.kept);
    s->info.from_cache = true;
    s->info.read = s->rows->read;
    s->info.bytes = s->from == FROM_ROWS ? s->rows->bytes : 0;
    for (uint32_t k = 0; k < s->nmatrix && s->from == FROM_UNITS; k++)
      s->info.bytes += s->train[k].set->bytes;
  }
  return s->err.code;
}

static void scan_end(Scan *s) {
  mem_free(s->maker);
  mem_free(s->kept);
  mem_free(s->uses);
  mem_free(s->train);
  mem_free(s->seen);
  for (uint32_t k = 0; k < s->nopen; k++)
    block_drop(s->open[k].rows);
  mem_free(s->open);
  if (s->reader)
    reader_close(s->reader);
  pthread_cond_destroy(&s->opened);
  pthread_cond_destroy(&s->turned);
  pthread_mutex_destroy(&s->lock);
}

static Status hands_new(Local *l, Scan *s, uint32_t n, Hand *hand, Err *e) {
  Status st = ST_OK;
  for (uint32_t i = 0; i < n && !st; i++) {
    if (!l->worker[i])
      st = worker_new(l->home.p, &l->home.env, l->home.lim.cancel, &l->worker[i], e);
    if (!st) {
      worker_jit(l->worker[i], l->home.lim.jit);
      worker_notes(l->worker[i], &l->room);
    }
    if (!st && s->jobs && !hand[i].jobs)
      st = jobset_new(s->jobs, &hand[i].jobs, e);
    hand[i].s = s;
    hand[i].number = i;
    hand[i].w = l->worker[i];
    if (st || hand[i].units)
      continue;
    uint32_t n_units = s->nmatrix + s->nkept;
    hand[i].units = mem_alloc((n_units + (size_t)1) * sizeof *hand[i].units);
    hand[i].made = mem_alloc((n_units * (size_t)UNITS + 1) * sizeof *hand[i].made);
    hand[i].seen = mem_alloc((s->of.n + 1) * sizeof *hand[i].seen);
    if (!hand[i].units || !hand[i].made || !hand[i].seen)
      st = err_memory(e);
  }
  return st;
}

static void hands_free(Hand *hand, uint32_t n) {
  for (uint32_t i = 0; hand && i < n; i++) {
    jobset_free(hand[i].jobs);
    mem_free(hand[i].units);
    mem_free(hand[i].made);
    mem_free(hand[i].seen);
  }
  mem_free(hand);
}

/* The saved partial of a job: from the tree, or from the workers' accumulators. */
static Status collect(Scan *s, Hand *hand, uint32_t n, uint32_t job, Buf *out, Err *e) {
  const Pass *pass = s->jobs->v[job].pass;
  const void *par = jobset_par(hand[0].jobs, job);
  void *all = NULL;
  Status st = ST_OK;
  if (pass->kind == RED_EXACT) {
    for (uint32_t i = 0; i < n; i++) {
      void *p = jobset_take(hand[i].jobs, job);
      if (!all || !p) {
        all = all ? all : p;
        continue;
      }
      st = st ? st : pass->merge(par, all, p, e);
      pass->free(par, p);
    }
  } else {
    st = tree_finish(&s->tree[job], &all, e);
  }
  if (!st && !all && !(all = pass->init(par, e)))
    st = e->code ? e->code : err_memory(e);
  buf_clear(out);
  if (!st)
    st = pass->save(par, all, out, e);
  if (!st && out->bad)
    st = err_memory(e);
  if (all)
    pass->free(par, all);
  return st;
}

/* How many tasks a block is, where there are so few that the last one would be waited for. */
static void cut_blocks(Scan *s, uint32_t leaf, uint32_t threads) {
  if (threads < 2 || (s->from != FROM_READER && s->ntask >= 16 * threads))
    return;
  s->pieces = s->fill.pieces = UNITS / (leaf > QUARTER ? leaf : QUARTER);
  s->ntask *= s->pieces;
}

static Status local_reduce(Executor *x, Stages of, const Jobs *jobs, Buf *out, ScanInfo *info, uint64_t *seen,
                           Progress *pr, Err *e) {
  Local *l = (Local *)x;
  Scan s;
  Status st = local_begin(l, &s, of, jobs, pr, e);
  uint32_t most = l->home.lim.threads ? l->home.lim.threads : 1, n = 1;
  Hand *hand = mem_alloc(most * sizeof *hand);
  s.tree = mem_alloc((jobs->n + 1) * sizeof *s.tree);
  if (!st && (!hand || !s.tree))
    st = err_memory(e);
  if (!st)
    st = hands_new(l, &s, 1, hand, e);
  if (!st) {
    cut_blocks(&s, jobset_units(hand[0].jobs), most);
    n = local_workers(l, &s, jobset_bytes(hand[0].jobs));
    st = hands_new(l, &s, n, hand, e);
  }
  for (uint32_t i = 0; i < jobs->n && !st; i++)
    tree_init(&s.tree[i], jobs->v[i].pass, jobset_par(hand[0].jobs, i));
  if (!st) {
    st = scan_run(&s, hand, n);
    if (st)
      *e = s.err;
    for (uint32_t i = 0; i < jobs->n && !st; i++)
      st = collect(&s, hand, n, i, &out[i], e);
    for (uint32_t i = 0; i < jobs->n; i++)
      tree_free(&s.tree[i]);
  }
  for (uint32_t i = 0; s.seen && i < of.n; i++) {
    s.info.rows += s.seen[i];
    if (seen)
      seen[i] = s.seen[i];
  }
  if (!st)
    local_drop_kept(&s);
  if (info)
    *info = s.info;
  hands_free(hand, most);
  mem_free(s.tree);
  scan_end(&s);
  return st;
}

static Status local_write(Executor *x, uint32_t stage, const char *path, ScanInfo *info, Progress *pr,
                          Err *e) {
  Local *l = (Local *)x;
  Scan s;
  Status st = local_begin(l, &s, (Stages){.v = &stage, .n = 1}, NULL, pr, e);
  uint32_t n = st ? 1 : local_workers(l, &s, 0);
  Hand *hand = mem_alloc(n * sizeof *hand);
  if (!st && !hand)
    st = err_memory(e);
  if (!st)
    st = hands_new(l, &s, n, hand, e);
  if (!st)
    st = home_writer(&l->home, stage, path, s.info.digest, &s.writer, e);
  if (!st) {
    st = scan_run(&s, hand, n);
    if (st) {
      *e = s.err;
      writer_abort(s.writer);
    } else {
      st = writer_commit(s.writer, &s.info.written, e);
    }
  }
  if (info)
    *info = s.info;
  hands_free(hand, n);
  scan_end(&s);
  return st;
}

/* ---- The rest of the interface ---- */

static Status local_open(Executor *x, Bytes text, const Registry *r, const Limits *lim, Err *e) {
  Local *l = (Local *)x;
  Status st = home_open(&l->home, text, r, lim, e);
  if (st)
    return st;
  l->opened = true;
  l->worker = mem_alloc(l->home.lim.threads * sizeof *l->worker);
  if (!l->worker)
    return err_memory(e);
  atomic_init(&l->room.left, (long long)(home_memory(&l->home.lim) / NOTES_SHARE));
  return store_init(&l->store, l->home.p->nstage, ir_kept(l->home.p), exec_keeps(&l->home.lim), e);
}

static Status local_put(Executor *x, uint32_t id, Bytes value, Err *e) {
  Local *l = (Local *)x;
  bool again;
  if (!l->opened)
    return err_set(e, ST_FAULT, "CML0606", NULL, "the executor was not opened");
  Status st = home_put(&l->home, id, value, &again, e);
  for (uint32_t i = 0; again && i < l->home.lim.threads; i++)
    if (l->worker[i])
      worker_forget(l->worker[i]);
  if (again)
    jit_forget(l->home.lim.jit);
  for (uint32_t i = 0; again && i < l->home.p->nstage; i++) /* matrices may have been made with the old one */
    if (l->home.p->stage[i].kind == STAGE_TRAIN)
      store_drop(&l->store, i);
  return st;
}

static void local_drop(Executor *x, uint32_t stage) {
  store_drop(&((Local *)x)->store, stage);
}

static void local_close(Executor *x) {
  Local *l = (Local *)x;
  for (uint32_t i = 0; l->worker && i < l->home.lim.threads; i++)
    worker_free(l->worker[i]);
  mem_free(l->worker);
  store_free(&l->store);
  if (l->opened)
    home_close(&l->home);
  mem_free(l);
}

Status exec_local(Executor **out, Err *e) {
  Local *l = mem_alloc(sizeof *l);
  if (!l)
    return err_memory(e);
  l->x = (Executor){.name = "local",
                    .open = local_open,
                    .put = local_put,
                    .reduce = local_reduce,
                    .write = local_write,
                    .drop = local_drop,
                    .close = local_close};
  *out = &l->x;
  return ST_OK;
}
