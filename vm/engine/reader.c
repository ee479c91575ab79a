/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: what engine.h promises, for every format. Read reader_next first.
 *
 * Files are read one after the other: CSV as texts of whole records, the others by one query each, chunk
 * by chunk (2,048 rows, DuckDB's vector). A thread that wants a block collects, under the reader's lock,
 * what it is made of, and lets go of the lock before it makes columns of that: most of the work. A block
 * ends at BLOCK positions or at the end of its file; a chunk that lies across two blocks belongs to both. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "vm/engine/parts.h"

/* ---- Errors ---- */

void reader_bad(Draft *b, uint32_t k, uint32_t at, const char *allow, const char *fmt, ...) {
  uint64_t pos = b->pos + (b->at ? b->at[at] : at);
  if (row_errors_has(b->errors, b->at_file, pos))
    return; /* the first column tells */
  RowError one = {.file = b->at_file, .pos = pos};
  snprintf(one.column, sizeof one.column, "%s", b->col[k].name);
  snprintf(one.allow, sizeof one.allow, "%s", allow);
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(one.text, sizeof one.text, fmt, ap);
  va_end(ap);
  row_errors_add(b->errors, &one);
}

const char *reader_as(const Draft *b, uint32_t k, const char *type, char out[96]) {
  if (strlen(b->col[k].name) > 60)
    snprintf(out, 96, "type `%s`", type);
  else
    snprintf(out, 96, "`%s: %s`", b->col[k].name, type);
  return out;
}

bool reader_null_at(Draft *b, uint32_t k, uint32_t at) {
  if (!build_null(&b->build[k], at))
    return false;
  if (b->col[k].nullable)
    return true;
  char allow[96], type[16];
  snprintf(type, sizeof type, "%s?", kind_name(b->col[k].kind));
  reader_bad(b, k, at, reader_as(b, k, type, allow), "the value is missing");
  return true;
}

bool reader_nulls(Draft *b, uint32_t k, const uint64_t *validity, uint64_t from, uint32_t m, uint32_t at) {
  if (!validity)
    return true;
  for (uint32_t i = 0; i < m; i++) {
    if (!duck_valid(validity, from + i) && !reader_null_at(b, k, at + i))
      return false;
  }
  return true;
}

Status reader_file_error(const char *file, const char *what, Err *e) {
  if (e->code != ST_DATA)
    return e->code;
  struct stat st;
  char why[600];
  snprintf(why, sizeof why, "%.*s", (int)strcspn(e->cause, "\n"), e->cause);
  err_clear(e);
  if (stat(file, &st) != 0)
    err_set(e, ST_DATA, "CML0402", "Correct the path in the program.", "there is no file `%s`", file);
  else if (S_ISDIR(st.st_mode))
    err_set(e, ST_DATA, "CML0402", "Name its files.", "`%s` is a folder", file);
  else if (st.st_size == 0)
    err_set(e, ST_DATA, "CML0403", "Make it again, or leave it out.", "the file is empty");
  else if (strstr(why, "No magic bytes") || strstr(why, "too small to be a Parquet"))
    err_set(e, ST_DATA, "CML0403", "Make it again, or name its format.",
            "the file is not a %s file, or was cut off", what);
  else if (strstr(why, "Permission denied") || strstr(why, "Cannot open file"))
    err_set(e, ST_RESOURCE, "CML0503", "Change its permissions.", "the file cannot be opened: %s", why);
  else
    err_set(e, ST_DATA, "CML0403", "Make it again.", "the file is damaged, or no %s file: %s", what, why);
  return err_at(e, "%s", file);
}

/* ---- Metadata ---- */

/* The files of an input behind those that are there. */
static Status add_files(Arena *a, const char ***all, uint32_t *n, const char **file, uint32_t more, Err *e) {
  const char **v = NEWN(a, const char *, *n + more);
  if (!v)
    return err_memory(e);
  if (*n)
    memcpy(v, *all, *n * sizeof *v);
  memcpy(v + *n, file, more * sizeof *v);
  *all = v;
  *n += more;
  return ST_OK;
}

Status engine_files(Arena *a, const EngineSource *s, const char ***out, uint32_t *n, Err *e) {
  const char **file;
  uint32_t more;
  *out = NULL;
  *n = 0;
  for (; s; s = s->next) {
    Options o;
    if (source_options(a, s, &o, e) != ST_OK)
      break;
    if (o.ops->no_files)
      continue;
    if (glob_files(a, s->dir, s->path, &file, &more, e) != ST_OK ||
        add_files(a, out, n, file, more, e) != ST_OK)
      break;
  }
  return e->code;
}

/* The files of one input; what is no file has one name for messages. */
static Status input_files(Arena *a, const EngineSource *s, const Options *o, const char ***file, uint32_t *n,
                          Err *e) {
  if (!o->ops->no_files)
    return glob_files(a, s->dir, s->path, file, n, e);
  *file = NEWN(a, const char *, 1);
  *n = 1;
  if (!*file)
    return err_memory(e);
  (*file)[0] = "the query";
  return ST_OK;
}

Status engine_columns(Arena *a, const EngineSource *s, EngineColumn **out, uint32_t *n, Err *e) {
  Options o;
  const char **file;
  uint32_t nfile;
  if (source_options(a, s, &o, e) != ST_OK || input_files(a, s, &o, &file, &nfile, e) != ST_OK)
    return e->code;
  if (o.ops->columns(a, s, &o, file, nfile, out, n, e) != ST_DATA || o.ops->no_files)
    return e->code;
  Err why = {0}; /* a file that was cut off fails in many ways */
  if (whole_check(file[0], &why) != ST_OK)
    *e = why;
  return e->code;
}

const EngineSource *engine_source(Arena *a, const Stage *s, const char *dir) {
  EngineSource *v = NEWN(a, EngineSource, s->ninput);
  for (uint32_t i = 0; v && i < s->ninput; i++)
    v[i] = (EngineSource){.format = s->input[i].format,
                          .path = s->input[i].path,
                          .dir = dir,
                          .option = (const char *const *)s->input[i].option,
                          .noption = s->input[i].noption,
                          .column = (const char *const *)s->declared,
                          .ncolumn = s->ndeclared,
                          .next = i + 1 < s->ninput ? &v[i + 1] : NULL};
  return v;
}

/* ---- Opening ---- */

Status reader_input(Reader *r, const EngineSource *s, Input *in, Err *e) {
  Arena *a = &r->mem;
  const char **option = NEWN(a, const char *, 2 * s->noption + 1);
  const char **declared = NEWN(a, const char *, s->ncolumn ? s->ncolumn : 1);
  in->source = *s;
  in->source.path = arena_strdup(a, s->path ? s->path : "");
  in->source.format = arena_strdup(a, s->format);
  in->source.dir = arena_strdup(a, s->dir ? s->dir : "");
  bool ok = declared && option && in->source.dir && in->source.path && in->source.format;
  for (uint32_t i = 0; ok && i < s->ncolumn; i++)
    ok = (declared[i] = arena_strdup(a, s->column[i])) != NULL;
  for (uint32_t i = 0; ok && i < 2 * s->noption; i++)
    ok = (option[i] = arena_strdup(a, s->option[i])) != NULL;
  if (!ok)
    return err_memory(e);
  in->source.column = s->column ? declared : NULL;
  in->source.option = option;
  in->source.next = NULL;
  return ST_OK;
}

/* An input, its files behind those of the inputs before it. */
static Status add_input(Reader *r, const EngineSource *s, Input *in, Err *e) {
  const char **file;
  uint32_t n;
  if (reader_input(r, s, in, e) == ST_OK && source_options(&r->mem, &in->source, &in->opt, e) == ST_OK &&
      input_files(&r->mem, &in->source, &in->opt, &file, &n, e) == ST_OK)
    add_files(&r->mem, &r->file, &r->nfile, file, n, e);
  in->end = r->nfile;
  return e->code;
}

Status reader_columns(Reader *r, const IrColumn *col, uint32_t ncol, Err *e) {
  Arena *a = &r->mem;
  r->nwant = ncol;
  r->col = NEWN(a, IrColumn, ncol + 1);
  r->at = NEWN(a, uint32_t, ncol + 1);
  r->type = NEWN(a, SourceType, ncol + 1);
  if (!r->col || !r->at || !r->type)
    return err_memory(e);
  for (uint32_t i = 0; i < ncol; i++) {
    r->at[i] = UINT32_MAX;
    if (strcmp(col[i].name, IR_INPUT_COLUMN) == 0 && r->ninput > 1)
      continue;
    r->at[i] = r->ncol;
    r->col[r->ncol] = col[i];
    r->col[r->ncol].name = arena_strdup(a, col[i].name);
    if (!r->col[r->ncol++].name)
      return err_memory(e);
  }
  return ST_OK;
}

static Status add_inputs(Reader *r, const EngineSource *s, Err *e) {
  for (Input *in = r->input; s && add_input(r, s, in, e) == ST_OK; s = s->next)
    in++;
  return e->code;
}

/* Rows of all files, where the formats of all inputs know. */
static Status count_rows(Reader *r, Err *e) {
  for (uint32_t i = 0; i < r->ninput; i++) {
    if (!r->input[i].opt.ops->total)
      return ST_OK;
  }
  const Input *in = r->input;
  for (uint32_t i = 0; i < r->nfile && e->code == ST_OK; i++) {
    while (i >= in->end)
      in++;
    in->opt.ops->total(r, r->file[i], e);
  }
  return e->code;
}

static bool needs_duck(const Reader *r) {
  for (uint32_t i = 0; i < r->ninput; i++) {
    if (!r->input[i].opt.ops->own && !r->input[i].opt.ops->lazy)
      return true;
  }
  return false;
}

Status reader_duck(Reader *r, Err *e) {
  return r->duck.lib ? ST_OK : duck_open(&r->duck, r->share, 1, e);
}

Reader *reader_new(const EngineSource *s) {
  Reader *r = mem_alloc(sizeof *r);
  if (!r)
    return NULL;
  arena_init(&r->mem, NULL);
  pthread_mutex_init(&r->lock, NULL);
  pthread_cond_init(&r->made, NULL);
  for (; s; s = s->next)
    r->ninput++;
  r->in = r->input = NEWN(&r->mem, Input, r->ninput);
  if (r->input)
    return r;
  reader_close(r);
  return NULL;
}

Status reader_open(const EngineSource *s, const IrColumn *col, uint32_t ncol, uint64_t memory, Reader **out,
                   Err *e) {
  *out = NULL;
  Reader *r = reader_new(s);
  if (!r)
    return err_memory(e);
  uint64_t share = memory / 4 > DUCK_MEMORY_MAX || memory == 0 ? DUCK_MEMORY_MAX : memory / 4;
  if (share < DUCK_MEMORY_MIN)
    share = DUCK_MEMORY_MIN;
  Status st = add_inputs(r, s, e);
  if (st == ST_OK)
    st = reader_columns(r, col, ncol, e);
  r->share = share;
  r->page_most = memory / 4 > share ? memory / 4 : share;
  if (st == ST_OK && needs_duck(r))
    st = reader_duck(r, e);
  if (st == ST_OK)
    st = count_rows(r, e);
  if (st == ST_OK)
    *out = r;
  else
    reader_close(r);
  return st;
}

static void drop_chunk(const Duck *d, Held *h) {
  if (!h || atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) > 1)
    return;
  d->destroy_data_chunk(&h->chunk);
  mem_free(h);
}

void reader_end_file(Reader *r) {
  if (r->open && r->own) {
    r->in->opt.ops->close(r);
  } else if (r->duck.lib) {
    drop_chunk(&r->duck, r->chunk);
    r->chunk = NULL;
    duck_end(&r->duck, &r->query);
  }
  r->open = false;
  zones_close(r);
}

void reader_close(Reader *r) {
  if (!r)
    return;
  reader_end_file(r);
  if (r->duck.lib)
    duck_close(&r->duck);
  pthread_cond_destroy(&r->made);
  pthread_mutex_destroy(&r->lock);
  map_free(&r->names);
  arena_free(&r->mem);
  mem_free(r);
}

void reader_leave_out(Reader *r, ZoneTest none, const void *ctx) {
  r->none = none;
  r->none_ctx = ctx;
}

uint64_t reader_total(const Reader *r) {
  return r->total;
}

const char *const *reader_files(const Reader *r, uint32_t *n) {
  *n = r->nfile;
  return r->file;
}

/* ---- Making a block ---- */

Status draft_start(Draft *b, Err *e) {
  b->build = mem_alloc((b->ncol + 1) * sizeof *b->build);
  b->type = mem_alloc((b->ncol + 1) * sizeof *b->type);
  bool ok = b->build && b->type;
  for (uint32_t k = 0; ok && k < b->ncol; k++)
    ok = build_start(&b->build[k], kind_ir(b->col[k].kind));
  return ok ? ST_OK : err_memory(e);
}

void draft_free(Draft *b) {
  for (uint32_t k = 0; b->build && k < b->ncol; k++)
    build_free(&b->build[k]);
  mem_free(b->build);
  mem_free(b->type);
  mem_free(b->piece);
}

/* What is held, as values of the columns. */
static Status make_values(Draft *b, Err *e) {
  if (b->in && b->own)
    return b->in->opt.ops->values(b, e);
  for (uint32_t i = 0; i < b->npiece; i++) {
    if (e->code == ST_OK)
      b->in->opt.ops->convert(b, &b->piece[i], b->done, e);
    b->done += b->piece[i].n;
    drop_chunk(&b->r->duck, b->piece[i].held);
  }
  b->npiece = 0;
  return e->code;
}

/* The number of the input, for n rows. */
static bool input_column(const Draft *b, Col *out, size_t *bytes) {
  *out = (Col){.type = IR_I64, .i = mem_alloc64((b->n ? b->n : 1) * sizeof(int64_t))};
  for (uint32_t i = 0; out->i && i < b->n; i++)
    out->i[i] = b->in - b->r->input;
  *bytes += b->n * sizeof(int64_t);
  return out->i != NULL;
}

Status draft_block(Draft *from, Block **out, Err *e) {
  const Reader *r = from->r;
  Block *b = mem_alloc(sizeof *b);
  Col *col = mem_alloc((r->nwant ? r->nwant : 1) * sizeof *col);
  if (!b || !col) {
    mem_free(b);
    mem_free(col);
    return err_memory(e);
  }
  atomic_init(&b->refs, 1);
  b->file = from->at_file;
  b->pos = from->pos;
  b->npos = from->n;
  b->n = from->skipped ? 0 : from->n;
  b->col = col;
  b->bytes = sizeof *b + r->nwant * sizeof *col;
  for (uint32_t k = 0; k < r->nwant; k++) {
    bool ok = r->at[k] == UINT32_MAX ? input_column(from, &col[k], &b->bytes)
                                     : build_finish(&from->build[r->at[k]], b->n, &col[k], &b->bytes);
    if (!ok) {
      block_drop(b); /* it has the first k columns */
      return err_memory(e);
    }
    b->ncol++;
  }
  *out = b;
  return ST_OK;
}

/* ---- Collecting what it is made of ---- */

/* Makes r->chunk one with rows left, or NULL at the end of the file. */
static Status next_chunk(Reader *r, Err *e) {
  if (r->chunk && r->chunk_at < r->chunk_n)
    return ST_OK;
  duckdb_data_chunk c = NULL;
  drop_chunk(&r->duck, r->chunk);
  r->chunk = NULL;
  if (duck_chunk(&r->duck, &r->query, &c, e) != ST_OK)
    return r->in->opt.ops->error(r, e);
  if (!c)
    return ST_OK;
  r->chunk = mem_alloc(sizeof *r->chunk);
  if (!r->chunk) {
    r->duck.destroy_data_chunk(&c);
    return err_memory(e);
  }
  r->chunk->chunk = c;
  atomic_init(&r->chunk->refs, 1);
  r->chunk_n = (uint32_t)r->duck.data_chunk_get_size(c);
  r->chunk_at = 0;
  return ST_OK;
}

/* Bytes of m rows of a chunk: cells, and of the first columns that are text what lies outside of them. */
static uint64_t chunk_bytes(const Reader *r, const Piece *p) {
  const Duck *d = &r->duck;
  duckdb_data_chunk c = p->held->chunk;
  uint64_t bytes = 0;
  idx_t n = d->data_chunk_get_column_count(c);
  for (idx_t k = 0; k < n; k++) {
    duckdb_vector v = d->data_chunk_get_vector(c, k);
    duckdb_logical_type t = d->vector_get_column_type(v);
    bool text = d->get_type_id(t) == DUCKDB_TYPE_VARCHAR;
    d->destroy_logical_type(&t);
    bytes += p->n * (text ? sizeof(duckdb_string_t) : sizeof(int64_t));
    const duckdb_string_t *s = text ? d->vector_get_data(v) : NULL;
    const uint64_t *validity = d->vector_get_validity(v);
    for (uint32_t i = p->from; text && i < p->from + p->n; i++) {
      if (duck_valid(validity, i) && s[i].value.inlined.length > 12)
        bytes += s[i].value.inlined.length;
    }
  }
  return bytes;
}

static Status hold(Reader *r, Draft *b, uint32_t m, Err *e) {
  if (b->npiece == b->cap) {
    uint32_t cap = b->cap ? b->cap * 2 : 40;
    Piece *p = mem_realloc(b->piece, cap * sizeof *p);
    if (!p)
      return err_memory(e);
    b->piece = p;
    b->cap = cap;
  }
  Piece *p = &b->piece[b->npiece++];
  *p = (Piece){r->chunk, r->chunk_at, m};
  atomic_fetch_add_explicit(&r->chunk->refs, 1, memory_order_relaxed);
  r->chunk_at += m;
  b->n += m;
  uint64_t bytes = chunk_bytes(r, p);
  b->held += bytes;
  r->held += bytes;
  return ST_OK;
}

/* The chunks of the next block. What is too much to be held becomes values at once. */
static Status collect_chunks(Reader *r, Draft *b, Err *e) {
  while (b->n < BLOCK) {
    if (next_chunk(r, e) != ST_OK)
      return e->code;
    if (!r->chunk)
      break;
    uint32_t m = r->chunk_n - r->chunk_at;
    if (hold(r, b, m < BLOCK - b->n ? m : BLOCK - b->n, e) != ST_OK)
      return e->code;
    if (r->held <= r->share / 4)
      continue;
    r->held -= b->held;
    b->held = 0;
    if (make_values(b, e) != ST_OK)
      return e->code;
  }
  return ST_OK;
}

static Status collect(Reader *r, Draft *b, Err *e) {
  const FormatOps *ops = r->in->opt.ops;
  b->in = r->in;
  b->own = r->own;
  b->at_file = r->at_file;
  b->pos = r->pos;
  memcpy(b->type, r->type, r->ncol * sizeof *b->type);
  if (zones_skip(r, b) || (r->own ? ops->collect : collect_chunks)(r, b, e) == ST_OK)
    r->pos += b->n;
  return e->code;
}

Status reader_open_file(Reader *r, Err *e) {
  r->pos = 0;
  const FormatOps *ops = r->in->opt.ops;
  if (!ops->no_files && !ops->own && whole_check(r->file[r->at_file], e) != ST_OK)
    return e->code;
  r->open = true;
  r->own = ops->own;
  return ops->open(r, e);
}

/* b->n == 0: there is nothing more. */
static Status next_draft(Reader *r, Draft *b, Err *e) {
  while (r->at_file < r->nfile && !r->ended) {
    while (r->at_file >= r->in->end)
      r->in++;
    if (!r->open && r->in->opt.ops->no_files && r->making) {
      /* it opens another database: nobody may have chunks of this one */
      pthread_cond_wait(&r->made, &r->lock);
      continue;
    }
    if (!r->open && reader_open_file(r, e) != ST_OK)
      return e->code;
    if (collect(r, b, e) != ST_OK || b->n > 0)
      return e->code;
    reader_end_file(r);
    r->at_file++;
  }
  return ST_OK;
}

Status reader_next(Reader *r, Block **out, uint32_t *seq, RowErrors *errors, Err *e) {
  Draft b = {.r = r, .col = r->col, .ncol = r->ncol, .errors = errors};
  *out = NULL;
  Status st = draft_start(&b, e);
  pthread_mutex_lock(&r->lock);
  if (st == ST_OK)
    st = next_draft(r, &b, e);
  r->ended |= st != ST_OK;
  *seq = r->seq;
  r->seq += b.n > 0;
  r->making++;
  pthread_mutex_unlock(&r->lock);
  if (make_values(&b, e) == ST_OK && b.n > 0)
    draft_block(&b, out, e);
  draft_free(&b);
  pthread_mutex_lock(&r->lock);
  r->held -= b.held;
  r->ended |= e->code != ST_OK;
  r->making--;
  pthread_cond_broadcast(&r->made);
  pthread_mutex_unlock(&r->lock);
  return e->code;
}
