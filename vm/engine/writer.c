/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a file whole or not at all. Read writer_encode and writer_append (the caller's side).
 *
 *   Parquet:  many rows: writer_encode, beside others --> a row group --> writer_append --> file
 *             few rows: writer_append --> batch, until there are enough --> a row group --> file
 *   CSV:      writer_append --> batch --> queue of a few --> table function cml_rows() --> COPY ... TO file
 *
 * COPY runs in a thread of ours with one thread of DuckDB's, so that rows stay in order; the queue is
 * bounded, so that memory is. The temporary file lies beside the target under a name that no glob finds;
 * commit makes it durable, then renames it. */
#define _GNU_SOURCE /* sync_file_range */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/engine/parquet_write.h"
#include "vm/engine/parts.h"

#ifdef CML_HOSTILE
enum { QUEUE = 1, GROUP_ROWS = BLOCK / 2 };
#else
enum { QUEUE = 16, GROUP_ROWS = 8192 }; /* Parquet: fewer rows wait for others */
#endif
/* Batches of very many columns have fewer rows, and fewer of them wait. */
enum { LEAST_ROWS = 128, BATCH_BYTES = 4 << 20, QUEUE_BYTES = 16 << 20, GROUP_BYTES = 16 << 20 };
enum { STAGE_BYTES = BLAKE3_PIECE, SYNC_BYTES = 8 << 20 };
#define WRITER_MEMORY (UINT64_C(256) << 20)

typedef struct BatchCol {
  void *v;       /* 8 bytes a row; bool 1; strings: uint32_t offsets, rows + 1 */
  uint8_t *null; /* per row */
  bool any_null;
  Buf text;      /* strings */
} BatchCol;

typedef struct Batch {
  uint32_t n;
  BatchCol col[];
} Batch;

struct Writer {
  bool csv;
  Duck duck;
  IrColumn *col;
  uint32_t ncol, rows; /* rows of a full batch */
  char *path, *tmp, *sql;
  char *target; /* path with links followed: what is replaced */
  Batch *fill;         /* being filled */
  int fd;              /* Parquet: of tmp, or -1 */
  uint8_t *stage;      /* what is written next */
  size_t nstage;
  uint64_t synced, unsynced; /* bytes that the disk was told of, and those behind them */
  PqFooter footer;
  PqGroup *groups;     /* all that were made */
  Blake3 hash;         /* of what was written, if */
  char *digest;        /* it is wanted, here */
  bool running;        /* the thread was started */
  pthread_t thread;
  pthread_mutex_t lock; /* guards all below, and `groups` */
  PqGroup *idle;
  pthread_cond_t moved; /* the queue, or a flag, changed */
  Batch *queue[QUEUE];
  uint32_t head, n, most; /* most: batches that may wait */
  Batch *spare[QUEUE];    /* written ones, to be filled again: their pages are there */
  uint32_t nspare;
  bool end, stop;      /* no more rows; give up */
  bool done;           /* the COPY has returned */
  Err err;             /* of the COPY */
};

/* ---- Batches ---- */

static void batch_free(Batch *b, uint32_t ncol) {
  if (!b)
    return;
  for (uint32_t k = 0; k < ncol; k++) {
    mem_free(b->col[k].v);
    mem_free(b->col[k].null);
    buf_free(&b->col[k].text);
  }
  mem_free(b);
}

/* One that was written, or a new one. */
static Batch *batch_new(Writer *w) {
  pthread_mutex_lock(&w->lock);
  Batch *old = w->nspare ? w->spare[--w->nspare] : NULL;
  pthread_mutex_unlock(&w->lock);
  if (old)
    return old;
  Batch *b = mem_alloc(sizeof *b + w->ncol * sizeof *b->col);
  bool ok = b != NULL;
  for (uint32_t k = 0; ok && k < w->ncol; k++) {
    b->col[k].v = mem_alloc64((w->rows + 1) * sizeof(int64_t));
    b->col[k].null = mem_alloc(w->rows);
    ok = b->col[k].v && b->col[k].null;
    if (ok)
      *(uint32_t *)b->col[k].v = 0;
  }
  if (!ok) {
    batch_free(b, w->ncol);
    return NULL;
  }
  return b;
}

/* b is written: empties and keeps it, or frees it. */
static void batch_done(Writer *w, Batch *b) {
  b->n = 0;
  for (uint32_t k = 0; k < w->ncol; k++) {
    if (b->col[k].any_null)
      memset(b->col[k].null, 0, w->rows);
    b->col[k].any_null = false;
    buf_clear(&b->col[k].text);
  }
  pthread_mutex_lock(&w->lock);
  bool keep = w->nspare < w->most;
  if (keep)
    w->spare[w->nspare++] = b;
  pthread_mutex_unlock(&w->lock);
  if (!keep)
    batch_free(b, w->ncol);
}

/* m values of `size` bytes; of a constant the same one. */
static void put_values(char *to, const char *from, size_t size, uint32_t m, bool constant) {
  if (!constant)
    memcpy(to, from, m * size);
  else
    for (uint32_t i = 0; i < m; i++)
      memcpy(to + i * size, from, size);
}

static void put_nulls(BatchCol *to, const Col *c, uint32_t from, uint32_t m, uint32_t at) {
  put_values((char *)to->null + at, (const char *)c->null + (c->constant ? 0 : from), 1, m, c->constant);
  uint8_t any = 0;
  for (uint32_t i = 0; i < m; i++)
    any |= to->null[at + i];
  to->any_null |= any != 0;
}

static bool put_texts(BatchCol *to, const Col *c, uint32_t from, uint32_t m, uint32_t at) {
  for (uint32_t i = 0; i < m; i++) {
    uint32_t code = c->code[c->constant ? 0 : from + i];
    if (!to->null[at + i])
      buf_put(&to->text, c->dict->bytes + c->dict->off[code], c->dict->off[code + 1] - c->dict->off[code]);
    ((uint32_t *)to->v)[at + i + 1] = (uint32_t)to->text.n;
  }
  return !to->text.bad && to->text.n <= UINT32_MAX;
}

/* Rows from.. of a column into the batch, behind the rows it has. */
static bool batch_copy(BatchCol *to, Kind kind, const Col *c, uint32_t from, uint32_t m, uint32_t at) {
  size_t size = kind_ir(kind) == IR_BOOL ? 1 : 8;
  if (c->null)
    put_nulls(to, c, from, m, at);
  if (kind_ir(kind) == IR_STR)
    return put_texts(to, c, from, m, at);
  char *v = (char *)to->v + at * size;
  put_values(v, (const char *)c->b + (c->constant ? 0 : from * size), size, m, c->constant);
  for (uint32_t i = 0; size == 1 && i < m; i++)
    v[i] = v[i] != 0; /* DuckDB takes 0 and 1 only */
  return true;
}

/* ---- DuckDB's side ---- */

static duckdb_type stored_as(Kind k) {
  switch (k) {
  case KIND_BOOL: return DUCKDB_TYPE_BOOLEAN;
  case KIND_FLOAT: return DUCKDB_TYPE_DOUBLE;
  case KIND_STRING:
  case KIND_CATEGORY: return DUCKDB_TYPE_VARCHAR;
  case KIND_TIMESTAMP: return DUCKDB_TYPE_TIMESTAMP;
  case KIND_DATE: return DUCKDB_TYPE_DATE;
  default: return DUCKDB_TYPE_BIGINT; /* int; duration in microseconds */
  }
}

/* A callback gets nothing but handles, which only the library's functions can open, and these stand in the
 * Writer: so the COPY thread says here whose thread it is. DuckDB runs everything in it (one thread). Set
 * and cleared by copy_thread, seen by nobody else. */
static _Thread_local Writer *writing;

static void bind_rows(duckdb_bind_info info) {
  Duck *d = &writing->duck;
  for (uint32_t k = 0; k < writing->ncol; k++) {
    duckdb_logical_type t = d->create_logical_type(stored_as(writing->col[k].kind));
    d->bind_add_result_column(info, writing->col[k].name, t);
    d->destroy_logical_type(&t);
  }
}

static void init_rows(duckdb_init_info info) {
  writing->duck.init_set_max_threads(info, 1);
}

/* The next batch; NULL at the end, or when the writer gives up (*stop). */
static Batch *take_batch(Writer *w, bool *stop) {
  Batch *b = NULL;
  pthread_mutex_lock(&w->lock);
  while (w->n == 0 && !w->end && !w->stop)
    pthread_cond_wait(&w->moved, &w->lock);
  if (w->n && !w->stop) {
    b = w->queue[w->head];
    w->head = (w->head + 1) % QUEUE;
    w->n--;
    pthread_cond_broadcast(&w->moved);
  }
  *stop = w->stop;
  pthread_mutex_unlock(&w->lock);
  return b;
}

static void give_column(Duck *d, duckdb_vector v, Kind kind, const BatchCol *c, uint32_t n) {
  void *data = d->vector_get_data(v);
  duckdb_type type = stored_as(kind);
  if (c->any_null) {
    d->vector_ensure_validity_writable(v);
    uint64_t *validity = d->vector_get_validity(v);
    for (uint32_t i = 0; i < n; i++) {
      if (c->null[i])
        validity[i / 64] &= ~(UINT64_C(1) << (i % 64));
    }
  }
  if (type == DUCKDB_TYPE_BOOLEAN) {
    memcpy(data, c->v, n);
  } else if (type == DUCKDB_TYPE_DATE) {
    for (uint32_t i = 0; i < n; i++)
      ((int32_t *)data)[i] = (int32_t)((const int64_t *)c->v)[i];
  } else if (type == DUCKDB_TYPE_VARCHAR) {
    const uint32_t *off = c->v;
    for (uint32_t i = 0; i < n; i++) {
      if (!c->null[i])
        d->vector_assign_string_element_len(v, i, c->text.n ? (const char *)c->text.p + off[i] : "",
                                            off[i + 1] - off[i]);
    }
  } else {
    memcpy(data, c->v, n * sizeof(int64_t));
  }
}

static void next_rows(duckdb_function_info info, duckdb_data_chunk out) {
  Writer *w = writing;
  bool stop;
  Batch *b = take_batch(w, &stop);
  if (!b) {
    w->duck.data_chunk_set_size(out, 0);
    if (stop)
      w->duck.function_set_error(info, "given up");
    return;
  }
  for (uint32_t k = 0; k < w->ncol; k++)
    give_column(&w->duck, w->duck.data_chunk_get_vector(out, k), w->col[k].kind, &b->col[k], b->n);
  w->duck.data_chunk_set_size(out, b->n);
  batch_done(w, b);
}

static void *copy_thread(void *arg) {
  Writer *w = arg;
  Err e = {0};
  writing = w;
  duck_exec(&w->duck, w->sql, &e);
  writing = NULL;
  pthread_mutex_lock(&w->lock);
  w->err = e;
  w->done = true;
  pthread_cond_broadcast(&w->moved);
  pthread_mutex_unlock(&w->lock);
  return NULL;
}

/* ---- Parquet ---- */

static const Bytes pq_magic = {(const uint8_t *)"PAR1", 4};

static Status cannot_write(const Writer *w, const char *why, Err *e) {
  return err_set(e, ST_RESOURCE, "CML0512",
                 "Check that the folder is there and may be written, and that the disk has room.",
                 "`%s` cannot be written: %s", w->path, why);
}

/* The disk begins with what was written: the fsync of the commit would wait for all of it. A hint: whether
 * it was taken does not matter. */
static void begin_sync(Writer *w, size_t n) {
#ifdef SYNC_FILE_RANGE_WRITE
  w->unsynced += n;
  if (w->unsynced < SYNC_BYTES)
    return;
  sync_file_range(w->fd, (off_t)w->synced, (off_t)w->unsynced, SYNC_FILE_RANGE_WRITE);
  w->synced += w->unsynced;
  w->unsynced = 0;
#else
  (void)w, (void)n;
#endif
}

static Status flush(Writer *w, bool end, Err *e) {
  for (size_t done = 0; done < w->nstage;) {
    ssize_t k = write(w->fd, w->stage + done, w->nstage - done);
    if (k < 0 && errno != EINTR)
      return cannot_write(w, strerror(errno), e);
    done += k > 0 ? (size_t)k : 0;
  }
  if (w->digest && end)
    digest_end(&w->hash, w->stage, w->nstage, w->digest);
  else if (w->digest)
    blake3_piece(&w->hash, w->stage);
  begin_sync(w, w->nstage);
  w->nstage = 0;
  return ST_OK;
}

/* Through a stage, in pieces that begin where pages of the file do: the kernel copies those ten times as fast
 * as pieces that lie elsewhere, and the digest finds them in the processor's cache. */
static Status put_bytes(Writer *w, Bytes b, Err *e) {
  while (b.n) {
    if (w->nstage == STAGE_BYTES && flush(w, false, e) != ST_OK)
      return e->code;
    size_t n = STAGE_BYTES - w->nstage < b.n ? STAGE_BYTES - w->nstage : b.n;
    memcpy(w->stage + w->nstage, b.p, n);
    w->nstage += n;
    b = (Bytes){b.p + n, b.n - n};
  }
  return ST_OK;
}

/* One that is idle, or a new one; NULL: no memory. Given back by put_group; where that is never called it
 * stays in the list of all. */
static PqGroup *take_group(Writer *w) {
  pthread_mutex_lock(&w->lock);
  PqGroup *g = w->idle;
  if (g)
    w->idle = g->idle;
  pthread_mutex_unlock(&w->lock);
  if (g || !(g = pq_group_new(w->ncol)))
    return g;
  pthread_mutex_lock(&w->lock);
  g->next = w->groups;
  w->groups = g;
  pthread_mutex_unlock(&w->lock);
  return g;
}

static Status put_pages(Writer *w, const PqGroup *g, Err *e) {
  const PqLent *lent = (const PqLent *)g->lent.p;
  size_t from = 0, n = g->lent.n / sizeof *lent;
  for (size_t i = 0; i < n && e->code == ST_OK; from = lent[i++].at)
    if (put_bytes(w, (Bytes){g->bytes.p + from, lent[i].at - from}, e) == ST_OK)
      put_bytes(w, lent[i].b, e);
  return e->code ? e->code : put_bytes(w, (Bytes){g->bytes.p + from, g->bytes.n - from}, e);
}

static Status put_group(Writer *w, PqGroup *g, Err *e) {
  pq_footer_group(&w->footer, w->col, w->ncol, g);
  Status st = w->footer.groups.bad ? err_memory(e) : put_pages(w, g, e);
  pthread_mutex_lock(&w->lock);
  g->idle = w->idle;
  w->idle = g;
  pthread_mutex_unlock(&w->lock);
  return st;
}

/* The rows of the batch as columns: of texts each is its own entry of a dictionary. */
static Status encode_batch(Writer *w, Err *e) {
  Batch *b = w->fill;
  Arena a;
  arena_init(&a, NULL);
  Col *col = NEWN(&a, Col, w->ncol);
  Dict *dict = NEWN(&a, Dict, w->ncol);
  uint32_t *code = NEWN(&a, uint32_t, b->n + 1);
  PqGroup *g = col && dict && code ? take_group(w) : NULL;
  if (!g)
    err_memory(e);
  for (uint32_t i = 0; g && i < b->n; i++)
    code[i] = i;
  for (uint32_t k = 0; g && k < w->ncol; k++) {
    BatchCol *c = &b->col[k];
    col[k] = (Col){.type = (uint8_t)kind_ir(w->col[k].kind), .b = c->v, .null = c->any_null ? c->null : NULL};
    if (col[k].type != IR_STR)
      continue;
    dict[k] = (Dict){.n = b->n, .off = c->v, .bytes = (char *)c->text.p};
    col[k].dict = &dict[k];
    col[k].code = code;
  }
  if (g && pq_group_encode(g, w->col, w->ncol, col, b->n, e) == ST_OK)
    put_group(w, g, e);
  arena_free(&a);
  batch_done(w, b);
  w->fill = batch_new(w);
  return e->code ? e->code : w->fill ? ST_OK : err_memory(e);
}

static Status end_file(Writer *w, Err *e) {
  Buf b = {0};
  pq_footer_end(&w->footer, w->col, w->ncol, &b);
  if (b.bad)
    err_memory(e);
  else if (put_bytes(w, buf_bytes(&b), e) == ST_OK)
    flush(w, true, e);
  buf_free(&b);
  return e->code;
}

/* ---- Opening ---- */

static bool ends(const char *s, const char *with) {
  size_t n = strlen(s), m = strlen(with);
  return n > m && strcmp(s + n - m, with) == 0;
}

/* Copies names and makes the temporary name and the COPY. */
static Status prepare(Writer *w, const char *path, const IrColumn *col, uint32_t ncol, Err *e) {
  w->csv = ends(path, ".csv");
  char *real = realpath(path, NULL); /* NULL where nothing is there yet */
  w->path = mem_strdup(path);
  w->target = mem_strdup(real ? real : path);
  free(real);
  w->col = mem_alloc((ncol ? ncol : 1) * sizeof *w->col);
  if (!w->path || !w->target || !w->col)
    return err_memory(e);
  for (uint32_t k = 0; k < ncol; k++) {
    w->col[k] = col[k];
    w->col[k].name = mem_strdup(col[k].name);
    if (!w->col[k].name)
      return err_memory(e);
    w->ncol++;
  }
  if (!w->csv && !ends(path, ".parquet"))
    return err_set(e, ST_USAGE, "CML0408", "Let its name end in .parquet or .csv.",
                   "`%s` says no format to write", path);
  if (ncol == 0)
    return err_set(e, ST_USAGE, "CML0408", "Name a column.", "`%s` would have no columns", path);
  Buf tmp = {0}, sql = {0};
  const char *slash = strrchr(w->target, '/');
  int folder = slash ? (int)(slash - w->target) + 1 : 0;
  buf_printf(&tmp, "%.*s.%s.tmp-%ld", folder, w->target, w->target + folder, (long)getpid());
  w->tmp = mem_strdup(buf_str(&tmp));
  buf_text(&sql, "COPY (SELECT * FROM cml_rows()) TO ");
  char *literal = mem_alloc(tmp.n + 3);
  if (literal && w->tmp) { /* "./" as in sql_path; a target is never a pattern */
    snprintf(literal, tmp.n + 3, "%s%s", *w->tmp == '/' ? "" : "./", w->tmp);
    sql_text(&sql, literal);
  }
  buf_text(&sql, " (FORMAT csv, HEADER true, USE_TMP_FILE false)");
  bool bad = !literal || !w->tmp || tmp.bad || sql.bad;
  w->sql = bad ? NULL : mem_strdup(buf_str(&sql));
  mem_free(literal);
  buf_free(&tmp);
  buf_free(&sql);
  return w->sql ? ST_OK : err_memory(e);
}

static Status start_copy(Writer *w, Err *e) {
  Duck *d = &w->duck;
  if (duck_open(d, WRITER_MEMORY, 1, e) != ST_OK)
    return e->code;
  duckdb_table_function f = d->create_table_function();
  d->table_function_set_name(f, "cml_rows");
  d->table_function_set_bind(f, bind_rows);
  d->table_function_set_init(f, init_rows);
  d->table_function_set_function(f, next_rows);
  bool ok = d->register_table_function(d->con, f) == DuckDBSuccess;
  d->destroy_table_function(&f);
  if (!ok)
    return err_set(e, ST_FAULT, "CML0601", NULL, "DuckDB refused the function that hands over rows");
  w->rows = (uint32_t)d->vector_size();
  return ST_OK;
}

static Status start(Writer *w, Err *e) {
  w->fd = open(w->tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666); /* an early and plain reason */
  if (w->fd < 0)
    return cannot_write(w, strerror(errno), e);
  w->rows = GROUP_ROWS;
  if (w->csv && start_copy(w, e) != ST_OK)
    return e->code;
  size_t row = w->ncol * (sizeof(int64_t) + 1);
  while (w->rows > LEAST_ROWS && w->rows * row > (w->csv ? BATCH_BYTES : GROUP_BYTES))
    w->rows /= 2;
  w->most = w->csv ? (uint32_t)(QUEUE_BYTES / (w->rows * row)) : 1;
  w->most = w->most < 1 ? 1 : w->most > QUEUE ? QUEUE : w->most;
  w->fill = batch_new(w);
  if (!w->fill)
    return err_memory(e);
  if (!w->csv) {
    w->footer.at = pq_magic.n;
    w->stage = mem_alloc64(STAGE_BYTES);
    return w->stage ? put_bytes(w, pq_magic, e) : err_memory(e);
  }
  if (pthread_create(&w->thread, NULL, copy_thread, w) != 0)
    return err_set(e, ST_RESOURCE, "CML0504", "Raise the limit on threads, or end other programs.",
                   "no thread could be started");
  w->running = true;
  return ST_OK;
}

Status writer_open(const char *path, const IrColumn *col, uint32_t ncol, Writer **out, Err *e) {
  *out = NULL;
  Writer *w = mem_alloc(sizeof *w);
  if (!w)
    return err_memory(e);
  w->fd = -1;
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->moved, NULL);
  Status st = prepare(w, path, col, ncol, e);
  if (st == ST_OK)
    st = start(w, e);
  if (st == ST_OK)
    *out = w;
  else
    writer_abort(w);
  return st;
}

/* ---- Rows ---- */

static Status copy_failed(Writer *w, Err *e) {
  char why[400];
  if (w->err.code == ST_RESOURCE) {
    *e = w->err;
    return e->code;
  }
  const char *cause = w->err.code ? w->err.cause : "the writer ended early";
  snprintf(why, sizeof why, "%.*s", (int)strcspn(cause, "\n"), cause);
  return cannot_write(w, why, e);
}

/* Writes, or queues, the batch being filled. */
static Status send(Writer *w, Err *e) {
  if (w->fill->n == 0)
    return ST_OK;
  if (!w->csv)
    return encode_batch(w, e);
  pthread_mutex_lock(&w->lock);
  while (w->n == w->most && !w->done)
    pthread_cond_wait(&w->moved, &w->lock);
  bool done = w->done;
  if (!done) {
    w->queue[(w->head + w->n++) % QUEUE] = w->fill;
    w->fill = NULL;
    pthread_cond_broadcast(&w->moved);
  }
  pthread_mutex_unlock(&w->lock);
  if (done)
    return copy_failed(w, e);
  w->fill = batch_new(w);
  return w->fill ? ST_OK : err_memory(e);
}

static Status put_rows(Writer *w, const Col *col, uint32_t n, Err *e) {
  for (uint32_t from = 0; from < n;) {
    Batch *b = w->fill;
    uint32_t m = n - from < w->rows - b->n ? n - from : w->rows - b->n;
    for (uint32_t k = 0; k < w->ncol; k++) {
      if (!batch_copy(&b->col[k], w->col[k].kind, &col[k], from, m, b->n))
        return err_memory(e);
    }
    b->n += m;
    from += m;
    if (b->n == w->rows && send(w, e) != ST_OK)
      return e->code;
  }
  return ST_OK;
}

Status writer_encode(Writer *w, const Col *col, uint32_t n, Encoded *x, Err *e) {
  *x = (Encoded){.col = col, .n = n};
  if (w->csv || n < w->rows)
    return ST_OK;
  x->group = take_group(w);
  return x->group ? pq_group_encode(x->group, w->col, w->ncol, col, n, e) : err_memory(e);
}

Status writer_append(Writer *w, Encoded *x, Err *e) {
  if (!w->fill) /* an earlier call failed */
    return err_memory(e);
  if (!x->group)
    return put_rows(w, x->col, x->n, e);
  return send(w, e) == ST_OK ? put_group(w, x->group, e) : e->code;
}

Status writer_put(Writer *w, const Col *col, uint32_t n, Err *e) {
  Encoded x;
  return writer_encode(w, col, n, &x, e) == ST_OK ? writer_append(w, &x, e) : e->code;
}

/* ---- Ending ---- */

/* Ends the thread: after the last row, or at once. */
static void join(Writer *w, bool stop) {
  if (!w->running)
    return;
  pthread_mutex_lock(&w->lock);
  w->end = true;
  w->stop = stop;
  pthread_cond_broadcast(&w->moved);
  pthread_mutex_unlock(&w->lock);
  pthread_join(w->thread, NULL);
  w->running = false;
}

static void writer_free(Writer *w) {
  if (w->duck.lib)
    duck_close(&w->duck);
  if (w->fd >= 0)
    close(w->fd);
  for (PqGroup *g = w->groups, *next; g; g = next) {
    next = g->next;
    pq_group_free(g);
  }
  buf_free(&w->footer.groups);
  mem_free(w->stage);
  while (w->n) {
    batch_free(w->queue[w->head], w->ncol);
    w->head = (w->head + 1) % QUEUE;
    w->n--;
  }
  batch_free(w->fill, w->ncol);
  while (w->nspare)
    batch_free(w->spare[--w->nspare], w->ncol);
  for (uint32_t k = 0; k < w->ncol; k++)
    mem_free((void *)w->col[k].name);
  mem_free(w->col);
  mem_free(w->path);
  mem_free(w->target);
  mem_free(w->tmp);
  mem_free(w->sql);
  pthread_cond_destroy(&w->moved);
  pthread_mutex_destroy(&w->lock);
  mem_free(w);
}

void writer_abort(Writer *w) {
  if (!w)
    return;
  join(w, true);
  if (w->tmp)
    unlink(w->tmp);
  writer_free(w);
}

static bool sync_path(const char *path, int flags) {
  int fd = open(path, flags | O_CLOEXEC);
  if (fd < 0)
    return false;
  /* some file systems have no fsync for folders */
  bool ok = fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP;
  int why = errno;
  close(fd);
  errno = why;
  return ok;
}

static Status publish(Writer *w, Err *e) {
  if (!sync_path(w->tmp, O_RDONLY) || rename(w->tmp, w->target) != 0)
    return cannot_write(w, strerror(errno), e);
  char *slash = strrchr(w->tmp, '/'); /* the name is not needed any more: what stays is its folder */
  if (slash)
    slash[slash == w->tmp] = 0;
  if (!sync_path(slash ? w->tmp : ".", O_RDONLY | O_DIRECTORY))
    cannot_write(w, strerror(errno), e);
  mem_free(w->tmp);
  w->tmp = NULL; /* nothing to remove */
  return e->code;
}

void writer_digest(Writer *w, char out[DATA_DIGEST]) {
  out[0] = 0;
  w->digest = w->csv ? NULL : out;
  blake3_init(&w->hash);
}

Status writer_commit(Writer *w, uint64_t *bytes, Err *e) {
  Status st = w->fill ? send(w, e) : err_memory(e);
  join(w, st != ST_OK);
  if (st == ST_OK && w->err.code != ST_OK)
    st = copy_failed(w, e);
  if (st == ST_OK && !w->csv)
    st = end_file(w, e);
  struct stat file;
  if (st == ST_OK && stat(w->tmp, &file) != 0)
    st = cannot_write(w, strerror(errno), e);
  if (st == ST_OK && bytes)
    *bytes = (uint64_t)file.st_size;
  if (st == ST_OK)
    st = publish(w, e);
  writer_abort(w); /* removes the temporary file where it still is */
  return st;
}
