/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: what engine.h promises, for every format. Read reader_next first: it is the loop.
 *
 * Files are read one after the other by one query each, chunk by chunk (2,048 rows, DuckDB's vector), into
 * a block under construction; a block ends at BLOCK positions or at the end of its file. A chunk that lies
 * across two blocks is kept for the next call. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "vm/engine/parts.h"

/* ---- Errors ---- */

void reader_bad(Reader *r, uint32_t k, uint32_t at, const char *fmt, ...) {
  if (row_errors_has(r->errors, r->at_file, r->pos + at))
    return; /* the first column tells */
  RowError one = {.file = r->at_file, .pos = r->pos + at};
  snprintf(one.column, sizeof one.column, "%s", r->col[k].name);
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(one.text, sizeof one.text, fmt, ap);
  va_end(ap);
  row_errors_add(r->errors, &one);
}

bool reader_null_at(Reader *r, uint32_t k, uint32_t at) {
  if (!build_null(&r->build[k], at))
    return false;
  if (!r->col[k].nullable)
    reader_bad(r, k, at, "the value is missing");
  return true;
}

bool reader_nulls(Reader *r, uint32_t k, const uint64_t *validity, uint64_t from, uint32_t m, uint32_t at) {
  if (!validity)
    return true;
  for (uint32_t i = 0; i < m; i++) {
    if (!duck_valid(validity, from + i) && !reader_null_at(r, k, at + i))
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

Status engine_files(Arena *a, const EngineSource *s, const char ***out, uint32_t *n, Err *e) {
  return glob_files(a, s->dir, s->path, out, n, e);
}

Status engine_columns(Arena *a, const EngineSource *s, EngineColumn **out, uint32_t *n, Err *e) {
  FormatId format;
  CsvOptions csv;
  const char **file;
  uint32_t nfile;
  if (source_format(s, &format, &csv, e) != ST_OK || engine_files(a, s, &file, &nfile, e) != ST_OK)
    return e->code;
  if (format == FORMAT_PARQUET)
    return parquet_columns(a, file, nfile, out, n, e);
  return csv_columns(a, s, &csv, file, out, n, e);
}

/* ---- Opening ---- */

static bool copy_source(Reader *r, const EngineSource *s, const IrColumn *col, uint32_t ncol) {
  Arena *a = &r->mem;
  r->source = *s;
  r->source.path = arena_strdup(a, s->path);
  if (r->csv.null)
    r->csv.null = arena_strdup(a, r->csv.null);
  const char **declared = NEWN(a, const char *, s->ncolumn ? s->ncolumn : 1);
  r->col = NEWN(a, IrColumn, ncol ? ncol : 1);
  r->type = NEWN(a, SourceType, ncol ? ncol : 1);
  r->build = NEWN(a, ColBuild, ncol ? ncol : 1);
  if (!declared || !r->col || !r->type || !r->build || !r->source.path)
    return false;
  for (uint32_t i = 0; i < s->ncolumn; i++)
    declared[i] = arena_strdup(a, s->column[i]);
  r->source.column = s->column ? declared : NULL;
  r->source.option = NULL;
  r->ncol = ncol;
  for (uint32_t i = 0; i < ncol; i++) {
    r->col[i] = col[i];
    r->col[i].name = arena_strdup(a, col[i].name);
    if (!r->col[i].name)
      return false;
  }
  return true;
}

Status reader_open(const EngineSource *s, const IrColumn *col, uint32_t ncol, uint64_t memory, Reader **out,
                   Err *e) {
  *out = NULL;
  Reader *r = mem_alloc(sizeof *r);
  if (!r)
    return err_memory(e);
  arena_init(&r->mem, NULL);
  uint64_t share = memory / 4 > DUCK_MEMORY_MAX || memory == 0 ? DUCK_MEMORY_MAX : memory / 4;
  if (share < DUCK_MEMORY_MIN)
    share = DUCK_MEMORY_MIN;
  Status st = source_format(s, &r->format, &r->csv, e);
  if (st == ST_OK && !copy_source(r, s, col, ncol))
    st = err_memory(e);
  if (st == ST_OK)
    st = engine_files(&r->mem, s, &r->file, &r->nfile, e);
  if (st == ST_OK)
    st = duck_open(&r->duck, share, 1, e);
  if (st == ST_OK && r->format == FORMAT_PARQUET)
    st = parquet_total(r, e);
  if (st == ST_OK)
    *out = r;
  else
    reader_close(r);
  return st;
}

static void end_file(Reader *r) {
  if (r->chunk)
    r->duck.destroy_data_chunk(&r->chunk);
  r->chunk = NULL;
  duck_end(&r->duck, &r->query);
}

void reader_close(Reader *r) {
  if (!r)
    return;
  if (r->duck.lib) {
    end_file(r);
    duck_close(&r->duck);
  }
  for (uint32_t k = 0; k < r->ncol && r->build; k++)
    build_free(&r->build[k]);
  arena_free(&r->mem);
  mem_free(r);
}

uint64_t reader_total(const Reader *r) {
  return r->total;
}

const char *const *reader_files(const Reader *r, uint32_t *n) {
  *n = r->nfile;
  return r->file;
}

/* ---- Blocks ---- */

static Status start_block(Reader *r, Err *e) {
  for (uint32_t k = 0; k < r->ncol; k++) {
    build_free(&r->build[k]);
    if (!build_start(&r->build[k], kind_ir(r->col[k].kind)))
      return err_memory(e);
  }
  return ST_OK;
}

/* The builders' content as a block of n rows; r moves on behind it. */
static Status take_block(Reader *r, uint32_t n, Block **out, Err *e) {
  Block *b = mem_alloc(sizeof *b);
  Col *col = mem_alloc((r->ncol ? r->ncol : 1) * sizeof *col);
  if (!b || !col) {
    mem_free(b);
    mem_free(col);
    return err_memory(e);
  }
  atomic_init(&b->refs, 1);
  b->file = r->at_file;
  b->pos = r->pos;
  b->npos = n;
  b->n = n;
  b->col = col;
  b->bytes = sizeof *b + r->ncol * sizeof *col;
  for (uint32_t k = 0; k < r->ncol; k++) {
    if (!build_finish(&r->build[k], n, &col[k], &b->bytes)) {
      block_drop(b); /* it has the first k columns */
      return err_memory(e);
    }
    b->ncol++;
  }
  r->pos += n;
  *out = b;
  return ST_OK;
}

/* Makes r->chunk one with rows left, or NULL at the end of the file. */
static Status next_chunk(Reader *r, Err *e) {
  if (r->chunk && r->chunk_at < r->chunk_n)
    return ST_OK;
  if (r->chunk)
    r->duck.destroy_data_chunk(&r->chunk);
  r->chunk = NULL;
  if (duck_chunk(&r->duck, &r->query, &r->chunk, e) != ST_OK) {
    if (r->format == FORMAT_CSV)
      return csv_error(&r->csv, r->file[r->at_file], e);
    return reader_file_error(r->file[r->at_file], "Parquet", e);
  }
  r->chunk_n = r->chunk ? (uint32_t)r->duck.data_chunk_get_size(r->chunk) : 0;
  r->any = r->any || r->chunk;
  r->chunk_at = r->drop < r->chunk_n ? r->drop : r->chunk_n;
  r->drop -= r->chunk_at;
  return ST_OK;
}

static Status fill(Reader *r, uint32_t *n, Err *e) {
  while (*n < BLOCK) {
    if (next_chunk(r, e) != ST_OK)
      return e->code;
    if (!r->chunk)
      break;
    uint32_t m = r->chunk_n - r->chunk_at;
    if (m > BLOCK - *n)
      m = BLOCK - *n;
    for (uint32_t k = 0; k < r->ncol; k++) {
      duckdb_vector v = r->duck.data_chunk_get_vector(r->chunk, k);
      bool ok = r->format == FORMAT_CSV ? csv_convert(r, k, v, r->chunk_at, m, *n)
                                        : parquet_convert(r, k, v, r->chunk_at, m, *n);
      if (!ok)
        return err_memory(e);
    }
    r->chunk_at += m;
    *n += m;
  }
  return ST_OK;
}

Status reader_next(Reader *r, Block **out, RowErrors *errors, Err *e) {
  *out = NULL;
  r->errors = errors;
  while (r->at_file < r->nfile) {
    if (!r->query.have_result) {
      r->pos = 0;
      Status st = r->format == FORMAT_CSV ? csv_open(r, e) : parquet_open(r, e);
      if (st != ST_OK)
        return st;
    }
    uint32_t n = 0;
    Status st = start_block(r, e);
    if (st == ST_OK)
      st = fill(r, &n, e);
    if (st == ST_OK && n > 0)
      return take_block(r, n, out, e);
    if (st == ST_OK && r->format == FORMAT_CSV)
      st = csv_end(r, e);
    if (st != ST_OK)
      return st;
    end_file(r);
    r->at_file++;
  }
  return ST_OK;
}
