/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of another engine. Where the first byte has its highest bit, the rest are the bytes of one: rows,
 * or an error that says something, never a crash. Else it chooses a format with options, and the rest are a
 * file: what the splitter makes of it, and others of that, is what the local reader makes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
  const char *format;
  const char *option[9]; /* name, value, ...; ended by NULL */
} ways[] = {
    {"csv", {NULL}},
    {"json", {NULL}},
    {"libsvm", {NULL}},
    {"csv", {"comment", "#", "trim", "true", "null", "?"}},
    {"csv", {"quote", "'", "escape", "\\", "encoding", "latin-1", "delimiter", "||"}},
    {"csv", {"encoding", "utf-16"}},
    {"parquet", {NULL}},
};
enum { WAYS = sizeof ways / sizeof *ways, TEXTS = WAYS - 1 };

static const IrColumn some[] = {{"a", KIND_INT, true}, {"b", KIND_STRING, false}, {"c", KIND_FLOAT, false}};
static const IrColumn sparse[] = {
    {"label", KIND_INT, false}, {"f1", KIND_FLOAT, true}, {"qid", KIND_INT, true}};

static EngineSource source(uint32_t way, const char *path) {
  EngineSource s = {.format = ways[way].format, .path = path, .dir = "/", .option = ways[way].option};
  while (s.option[2 * s.noption])
    s.noption++;
  return s;
}

static void put_block(const Block *b, Buf *out) {
  buf_printf(out, "%u %llu %u %u\n", b->file, (unsigned long long)b->pos, b->npos, b->n);
  for (uint32_t k = 0; k < b->ncol; k++)
    for (uint32_t r = 0; r < b->n; r++) {
      const Col *c = &b->col[k];
      bool null = c->null && c->null[r];
      buf_u8(out, null);
      if (c->type == IR_STR) {
        if (c->code[r] >= c->dict->n)
          abort();
        const uint32_t *at = c->dict->off + c->code[r];
        buf_blob(out, c->dict->bytes + at[0], null ? 0 : at[1] - at[0]);
      } else {
        buf_i64(out, c->type == IR_BOOL ? c->b[r] : c->i[r]);
      }
    }
}

static void put_end(const RowErrors *errors, const Err *e, Buf *out) {
  for (uint32_t i = 0; i < errors->n; i++)
    buf_printf(out, "%llu %s: %s\n", (unsigned long long)errors->v[i].pos, errors->v[i].column,
               errors->v[i].text);
  if (!e->code)
    return;
  buf_clear(out); /* how much came before depends on who is first */
#ifdef CML_HOSTILE
  buf_printf(out, "%d", e->code); /* its texts are cut, so it may be another error of the same block */
#else
  buf_printf(out, "%d %s: %s %s", e->code, e->where, e->cause, e->remedy);
#endif
}

static void read_local(const EngineSource *s, const IrColumn *col, Buf *out) {
  RowErrors *errors = calloc(1, sizeof *errors);
  Reader *r = NULL;
  Block *b = NULL;
  Err e = {0};
  uint32_t seq;
  if (!errors)
    abort();
  if (reader_open(s, col, 3, UINT64_C(128) << 20, &r, &e) == ST_OK)
    while (reader_next(r, &b, &seq, errors, &e) == ST_OK && b) {
      put_block(b, out);
      block_drop(b);
    }
  put_end(errors, &e, out);
  reader_close(r);
  free(errors);
}

static void end_block(RecordDraft *d, Buf *out, Err *e) {
  Block *b = NULL;
  if (!d || records_end(d, e->code ? NULL : &b, e) != ST_OK || !b)
    return;
  put_block(b, out);
  block_drop(b);
}

/* The record into its block, which is *d or a new one. */
static Status add(const Reader *r, Bytes record, RecordDraft **d, RowErrors *errors, Buf *out, Err *e) {
  RecordHead h;
  bool taken = false;
  if (record_head(record, &h, e) != ST_OK || (*d && records_add(*d, record, &taken, e) != ST_OK) || taken)
    return e->code;
  end_block(*d, out, e);
  *d = NULL;
  if (records_begin(r, h.file, h.pos - h.pos % BLOCK, errors, d, e) == ST_OK &&
      records_add(*d, record, &taken, e) == ST_OK && !taken)
    abort();
  return e->code;
}

typedef struct Memory {
  const uint8_t *p;
  size_t n;
} Memory;

static Status some_bytes(void *ctx, void *out, size_t room, size_t *n, Err *e) {
  Memory *m = ctx;
  *n = m->n < room ? m->n : room;
  if (*n)
    memcpy(out, m->p, *n);
  m->p += *n;
  m->n -= *n;
  return e->code;
}

static void read_records(const EngineSource *s, const IrColumn *col, Memory m, Buf *out) {
  RecordFile file = {s->path, UINT64_MAX, 0};
  RowErrors *errors = calloc(1, sizeof *errors);
  Reader *r = NULL;
  Splitter *x = NULL;
  RecordDraft *d = NULL;
  Buf record = {0};
  Err e = {0};
  uint32_t n;
  if (!errors)
    abort();
  if (records_open(s, col, 3, &file, 1, &r, &e) == ST_OK &&
      splitter_open(s, col, 3, 0, 0, s->path, (ByteSource){some_bytes, &m}, &x, &e) == ST_OK)
    while (splitter_next(x, &record, &n, &e) == ST_OK && record.n &&
           add(r, buf_bytes(&record), &d, errors, out, &e) == ST_OK)
      ;
  end_block(d, out, &e);
  put_end(errors, &e, out);
  splitter_close(x);
  reader_close(r);
  buf_free(&record);
  free(errors);
}

static void any_record(const EngineSource *s, const IrColumn *col, Bytes record, uint64_t rows) {
  RecordFile file = {"x", rows, 0};
  RowErrors *errors = calloc(1, sizeof *errors);
  Reader *r = NULL;
  RecordDraft *d = NULL;
  Buf out = {0};
  Err e = {0};
  if (!errors)
    abort();
  if (records_open(s, col, 3, &file, 1, &r, &e) == ST_OK)
    add(r, record, &d, errors, &out, &e);
  end_block(d, &out, &e);
  if (e.code && !e.cause[0])
    abort();
  reader_close(r);
  buf_free(&out);
  free(errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint32_t choice = size ? data[0] : 0, way = (choice & 0x7f) % WAYS;
  const IrColumn *col = !strcmp(ways[way].format, "libsvm") ? sparse : some;
  Bytes rest = {size ? data + 1 : data, size ? size - 1 : 0};
  if (choice & 0x80) {
    EngineSource s = source(way, "x");
    any_record(&s, col, rest, UINT64_MAX);
    any_record(&s, col, rest, 100);
    return 0;
  }
  char path[4096];
  const char *tmp = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/cml-fuzz-XXXXXX", tmp ? tmp : "/tmp");
  int fd = mkstemp(path);
  if (fd < 0)
    return 0;
  bool whole = !rest.n || write(fd, rest.p, rest.n) == (ssize_t)rest.n;
  close(fd);
  EngineSource s = source(way % TEXTS, path);
  col = !strcmp(s.format, "libsvm") ? sparse : some;
  Buf want = {0}, got = {0};
  if (whole) {
    read_local(&s, col, &want);
    read_records(&s, col, (Memory){rest.p, rest.n}, &got);
    if (want.n != got.n || (want.n && memcmp(want.p, got.p, want.n) != 0))
      abort();
  }
  buf_free(&want);
  buf_free(&got);
  unlink(path);
  return 0;
}
