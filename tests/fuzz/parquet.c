/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: any bytes as a Parquet file that is read without DuckDB: a column of each type, all of them,
 * or where the file is strange to us then those of them that are not. Rows are the same however many of them
 * are taken at once and wherever that begins; then they become columns of blocks, as their own kind and as
 * another; and somebody who has to ask for bytes gets the same. There are values or an error that says
 * something, never more. */
#define _GNU_SOURCE /* memfd_create */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm/engine/parquet.h"
#include "vm/engine/parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NCOL = 7, ROWS = 400, BLOCK_ROWS = ROWS < BLOCK ? ROWS : BLOCK, GROUPS = 8, BEGIN = 7 };
enum { PAGE_MOST = 64 << 20 }; /* as with the least memory that one can give */

static const char *const name[NCOL] = {"b", "i", "l", "f", "d", "s", "t"};
/* Their kinds, and others that they can be read as. */
static const uint8_t kind[2][NCOL] = {
    {KIND_BOOL, KIND_INT, KIND_INT, KIND_FLOAT, KIND_FLOAT, KIND_STRING, KIND_TIMESTAMP},
    {KIND_CATEGORY, KIND_DATE, KIND_CATEGORY, KIND_FLOAT, KIND_FLOAT, KIND_CATEGORY, KIND_INT}};

/* ---- Rows ---- */

static void put_value(const PqWalk *w, const PqSlice *s, uint32_t k, const uint8_t **at, Buf *out) {
  uint32_t width = w->type == PQ_I32 || w->type == PQ_F32 ? 4 : 8, len;
  if (w->type == PQ_BOOL) {
    buf_printf(out, "%u", s->code[k]);
  } else if (s->coded && w->type == PQ_BYTES) {
    buf_printf(out, "%u", s->code[k]);
  } else if (s->coded) {
    buf_put(out, w->dict.value + (size_t)s->code[k] * width, width);
  } else if (w->type != PQ_BYTES) {
    buf_put(out, *at, width);
    *at += width;
  } else {
    memcpy(&len, *at, 4);
    buf_put(out, *at, 4 + (size_t)len);
    *at += 4 + (size_t)len;
  }
}

/* Rows first .. ROWS of a column chunk, `most` at once. What follows an error is not known. */
static Status put_rows(PqWalk *w, const PqFile *f, uint32_t g, uint32_t col, uint64_t first, uint32_t most,
                       Buf *out) {
  PqSlice s;
  Err e = {0};
  uint64_t rows = f->first[g + 1] - f->first[g];
  if (pq_walk_begin(w, f, g, col, &e) != ST_OK)
    abort();
  for (uint64_t at = first; at < rows && at < ROWS; at += s.n) {
    uint32_t left = (uint32_t)((rows < ROWS ? rows : ROWS) - at), k = 0;
    if (pq_walk(w, at, most < left ? most : left, &s, &e) != ST_OK)
      break;
    if (!s.n || s.n > most || s.n > left)
      abort();
    const uint8_t *v = s.value;
    for (uint32_t i = 0; i < s.n; i++) {
      if (s.there && !s.there[i])
        buf_text(out, "null");
      else
        put_value(w, &s, k++, &v, out);
      buf_u8(out, '\n');
    }
    if (k != s.nvalue)
      abort();
  }
  if (e.code && !e.cause[0])
    abort();
  return e.code;
}

static void same_rows(PqWalk *w, const PqFile *f, uint32_t g, uint32_t col) {
  Buf all = {0}, part = {0}, late = {0};
  Status st = put_rows(w, f, g, col, 0, 64, &all);
  if (st == ST_OK) {
    if (put_rows(w, f, g, col, 0, 5, &part) != ST_OK || part.n != all.n ||
        (all.n && memcmp(part.p, all.p, all.n) != 0))
      abort();
    if (put_rows(w, f, g, col, BEGIN, 64, &late) != ST_OK || late.n > all.n ||
        (late.n && memcmp(late.p, all.p + all.n - late.n, late.n) != 0))
      abort();
  }
  buf_free(&all);
  buf_free(&part);
  buf_free(&late);
}

/* ---- Blocks ---- */

static duckdb_type type_of(const PqColumn *c, uint8_t k) {
  switch (c->type) {
  case PQ_BOOL: return DUCKDB_TYPE_BOOLEAN;
  case PQ_I32: return k == KIND_DATE ? DUCKDB_TYPE_DATE : DUCKDB_TYPE_INTEGER;
  case PQ_I64: return k == KIND_TIMESTAMP ? DUCKDB_TYPE_TIMESTAMP : DUCKDB_TYPE_BIGINT;
  case PQ_F32: return DUCKDB_TYPE_FLOAT;
  case PQ_F64: return DUCKDB_TYPE_DOUBLE;
  default: return DUCKDB_TYPE_VARCHAR;
  }
}

/* The kind that the column has in the seeds, or, where the bytes say otherwise, one that its type can be. */
static uint8_t readable_kind(const PqColumn *c, uint8_t wanted) {
  switch (c->type) {
  case PQ_BOOL: return wanted == KIND_BOOL ? KIND_BOOL : KIND_CATEGORY;
  case PQ_I32: return wanted == KIND_DATE ? KIND_DATE : KIND_INT;
  case PQ_I64: return wanted == KIND_CATEGORY || wanted == KIND_TIMESTAMP ? wanted : KIND_INT;
  case PQ_F32:
  case PQ_F64: return KIND_FLOAT;
  default: return wanted == KIND_CATEGORY ? KIND_CATEGORY : KIND_STRING;
  }
}

static void block(PqFile *f, const char *const *names, const uint8_t *kinds, bool nullable, uint64_t pos) {
  IrColumn col[NCOL];
  SourceType type[NCOL] = {0};
  ColBuild build[NCOL] = {0};
  RowErrors *errors = mem_alloc(sizeof *errors);
  Err e = {0};
  bool ok = errors != NULL;
  for (uint32_t k = 0; k < f->ncol; k++) {
    col[k] = (IrColumn){names[k], readable_kind(&f->col[k], kinds[k]), nullable};
    type[k].type = type_of(&f->col[k], col[k].kind);
    ok = build_start(&build[k], kind_ir((Kind)col[k].kind)) && ok;
  }
  uint64_t left = f->first[f->ngroup] - pos;
  Draft b = {.col = col, .ncol = f->ncol, .pos = pos, .n = left < BLOCK_ROWS ? (uint32_t)left : BLOCK_ROWS,
             .own = true, .pq = f, .type = type, .build = build, .errors = errors};
  pq_hold(f);
  if (!ok)
    abort();
  if (parquet_own_values(&b, &e) != ST_OK && !e.cause[0])
    abort();
  for (uint32_t k = 0; k < f->ncol; k++) {
    for (uint32_t i = 0; e.code == ST_OK && kind_ir((Kind)col[k].kind) == IR_STR && i < b.n; i++)
      if (!(build[k].null && build[k].null[i]) && build[k].col.code[i] >= build[k].str.n)
        abort();
    build_free(&build[k]);
  }
  mem_free(errors);
}

/* ---- The same bytes, elsewhere ---- */

typedef struct Memory {
  const uint8_t *p;
  size_t n;
} Memory;

static Status some_bytes(void *ctx, uint64_t at, size_t n, void *out, Err *e) {
  const Memory *m = ctx;
  if (at > m->n || n > m->n - at)
    abort();
  if (n)
    memcpy(out, m->p + at, n);
  return e->code;
}

static void same_rows_there(PqWalk *w, const PqFile *f, const PqFile *far, uint32_t g, uint32_t col) {
  Buf here = {0}, there = {0};
  Status st = put_rows(w, f, g, col, 0, 64, &here);
  if (put_rows(w, far, g, col, 0, 64, &there) != st ||
      (!st && (here.n != there.n || (here.n && memcmp(here.p, there.p, here.n) != 0))))
    abort();
  buf_free(&here);
  buf_free(&there);
}

static void same_there(const PqFile *f, const char *path, Memory m, uint32_t from, uint32_t n) {
  FileBytes in = {some_bytes, &m};
  PqFile *far;
  PqWalk w = {0};
  Err e = {0};
  if (pq_open_far(path, m.n, &in, name + from, n, &far, &e) != ST_OK && (far || !e.cause[0]))
    abort();
  if (!f != !far)
    abort();
  for (uint32_t g = 0; far && g < far->ngroup && g < GROUPS; g++) {
    if (pq_fetch(far, &in, g, g + 1, &e) != ST_OK)
      abort();
    for (uint32_t k = 0; k < n; k++)
      same_rows_there(&w, f, far, g, k);
  }
  pq_walk_free(&w);
  pq_drop(far);
}

/* False: the columns are not for us. */
static bool read_columns(const char *path, Memory m, uint32_t from, uint32_t n) {
  PqFile *f;
  PqWalk w = {0};
  Err e = {0};
  if (pq_open(path, name + from, n, &f, &e) != ST_OK && (f || !e.cause[0]))
    abort();
  same_there(f, path, m, from, n);
  if (!f)
    return false;
  f->page_most = PAGE_MOST;
  for (uint32_t g = 0; g < f->ngroup && g < GROUPS; g++)
    for (uint32_t k = 0; k < n; k++)
      same_rows(&w, f, g, k);
  pq_walk_free(&w);
  uint64_t rows = f->first[f->ngroup];
  block(f, name + from, kind[0] + from, true, 0);
  block(f, name + from, kind[1] + from, false, rows < BEGIN ? rows : BEGIN);
  pq_drop(f);
  return true;
}

/* All columns, and what the footer says of them. */
static void schema(const char *path) {
  PqFile *f;
  Err e = {0};
  if (pq_open(path, NULL, 0, &f, &e) != ST_OK && (f || !e.cause[0]))
    abort();
  uint32_t sum = 0;
  for (uint32_t k = 0; f && k < f->ncol; k++) {
    for (size_t i = 0; i < f->col[k].name.n; i++)
      sum += f->col[k].name.p[i];
    for (uint32_t g = 0; g < f->ngroup; g++) {
      const PqStat *s = &f->stat[(size_t)g * f->ncol + k];
      for (size_t i = 0; s->lo.p && i < s->lo.n; i++)
        sum += s->lo.p[i];
      for (size_t i = 0; s->hi.p && i < s->hi.n; i++)
        sum += s->hi.p[i];
    }
  }
  if (sum == UINT32_MAX)
    abort();
  pq_drop(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char path[40];
  int fd = memfd_create("parquet", MFD_CLOEXEC);
  if (fd < 0 || (size && write(fd, data, size) != (ssize_t)size))
    abort();
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  schema(path);
  Memory m = {data, size};
  if (!read_columns(path, m, 0, NCOL))
    for (uint32_t k = 0; k < NCOL; k++)
      read_columns(path, m, k, 1);
  close(fd);
  return 0;
}
