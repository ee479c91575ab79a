/* SPDX-License-Identifier: Apache-2.0 */
/* Records of another engine -> Blocks: the columns of kind 1 (vm/engine.h). Read records_add, then
 * take_column.
 *
 * A record is bytes from outside: every length is checked against what is left before it is used, every
 * offset against the one before. The columns have the layout of DuckDB's vectors, so that what
 * reader_parquet.c makes of those is made of these, errors included. Records of text: records_text.c. */
#include <string.h>

#include "base/unicode.h"
#include "vm/engine/json.h"
#include "vm/engine/records.h"

Status record_bad(Err *e) {
  return err_set(e, ST_FAULT, "CML0614", NULL, "a record of rows cannot be read");
}

/* ---- The reader ---- */

static Status copy_files(Reader *r, const RecordFile *file, uint32_t nfile, Err *e) {
  uint64_t *rows = NEWN(&r->mem, uint64_t, nfile + 1);
  r->file = NEWN(&r->mem, const char *, nfile + 1);
  if (!rows || !r->file)
    return err_memory(e);
  bool known = true;
  uint32_t input = 0;
  for (uint32_t i = 0; i < nfile; i++) {
    if (file[i].input < input || file[i].input >= r->ninput)
      return record_bad(e);
    while (input < file[i].input)
      r->input[input++].end = i;
    r->file[i] = arena_strdup(&r->mem, file[i].name);
    if (!r->file[i])
      return err_memory(e);
    rows[i] = file[i].rows;
    known = known && rows[i] != UINT64_MAX;
    r->total += rows[i];
  }
  while (input < r->ninput)
    r->input[input++].end = nfile;
  r->total = known ? r->total : 0;
  r->file_rows = rows;
  r->nfile = r->at_file = nfile; /* nothing is read by reader_next */
  return ST_OK;
}

/* Options are the other engine's where it takes the files apart. */
Status records_inputs(Reader *r, const EngineSource *s, Err *e) {
  for (Input *in = r->input; s; s = s->next, in++) {
    in->opt = (Options){.ops = &parquet_ops, .text = {.decimal = '.'}};
    if (reader_input(r, s, in, e) != ST_OK ||
        (engine_how(s->format) == HOW_TEXT && source_options(&r->mem, &in->source, &in->opt, e) != ST_OK))
      break;
  }
  return e->code;
}

Status records_open(const EngineSource *s, const IrColumn *col, uint32_t ncol, const RecordFile *file,
                    uint32_t nfile, Reader **out, Err *e) {
  *out = NULL;
  Reader *r = reader_new(s);
  if (!r)
    return err_memory(e);
  if (records_inputs(r, s, e) == ST_OK && reader_columns(r, col, ncol, e) == ST_OK &&
      json_names(r, e) == ST_OK && copy_files(r, file, nfile, e) == ST_OK)
    *out = r;
  else
    reader_close(r);
  return e->code;
}

/* ---- Drafts ---- */

Status record_head(Bytes record, RecordHead *out, Err *e) {
  Rd r = rd_of(record);
  out->kind = rd_u32(&r);
  out->file = rd_u32(&r);
  out->pos = rd_u64(&r);
  out->n = rd_u32(&r);
  out->flags = rd_u32(&r);
  bool good = out->kind == RECORD_RUN
                  ? out->pos % BLOCK == 0 && record.n >= RUN_HEAD
                  : (out->kind == RECORD_COLUMNS || out->kind == RECORD_TEXT) && out->n <= BLOCK &&
                        out->pos % BLOCK + out->n <= BLOCK;
  good = good && !r.bad;
  return good ? ST_OK : record_bad(e);
}

const Input *record_input(const Reader *r, uint32_t file) {
  const Input *in = r->input;
  while (file >= in->end)
    in++;
  return in;
}

Status records_begin(const Reader *r, uint32_t file, uint64_t pos, RowErrors *errors, RecordDraft **out,
                     Err *e) {
  *out = NULL;
  if (!r->file_rows || file >= r->nfile || pos % BLOCK || (pos && pos >= r->file_rows[file]))
    return record_bad(e);
  RecordDraft *d = mem_alloc(sizeof *d);
  if (!d)
    return err_memory(e);
  d->b = (Draft){.r = r, .col = r->col, .ncol = r->ncol, .errors = errors};
  d->b.in = record_input(r, file);
  d->b.at_file = file;
  d->b.pos = pos;
  d->b.at = d->at = mem_alloc64(BLOCK * sizeof *d->at);
  if (!d->at)
    err_memory(e);
  else
    draft_start(&d->b, e);
  if (e->code == ST_OK)
    *out = d;
  else
    records_end(d, NULL, e);
  return e->code;
}

/* All positions of the block that the file has. */
static uint64_t positions(const RecordDraft *d) {
  uint64_t rows = d->b.r->file_rows[d->b.at_file];
  if (rows == UINT64_MAX)
    return d->next;
  return rows - d->b.pos < BLOCK ? rows - d->b.pos : BLOCK;
}

static Status end_block(RecordDraft *d, Block **out, Err *e) {
  Block *b;
  d->b.n = d->b.done;
  if (draft_block(&d->b, &b, e) != ST_OK)
    return e->code;
  b->npos = (uint32_t)positions(d);
  if (b->n && d->at[b->n - 1] != b->n - 1) { /* positions ascend: there are gaps */
    b->at = mem_alloc64(b->n * sizeof *b->at);
    if (!b->at) {
      block_drop(b);
      return err_memory(e);
    }
    memcpy(b->at, d->at, b->n * sizeof *b->at);
    b->bytes += b->n * sizeof *b->at;
  }
  *out = b;
  return ST_OK;
}

Status records_end(RecordDraft *d, Block **out, Err *e) {
  if (out) {
    *out = NULL;
    end_block(d, out, e);
  }
  draft_free(&d->b);
  mem_free(d->at);
  mem_free(d->copy);
  mem_free(d);
  return e->code;
}

/* ---- Kind 1 ---- */

const void *take(Take *t, uint64_t n) {
  size_t from = (t->at + 7) & ~(size_t)7;
  if (from > t->n || n > t->n - from)
    return NULL;
  t->at = from + (size_t)n;
  return t->p + from;
}

static const struct {
  duckdb_type type;
  uint32_t bytes;
} stored[] = {
    [REC_BOOL] = {DUCKDB_TYPE_BOOLEAN, 1},    [REC_I8] = {DUCKDB_TYPE_TINYINT, 1},
    [REC_I16] = {DUCKDB_TYPE_SMALLINT, 2},    [REC_I32] = {DUCKDB_TYPE_INTEGER, 4},
    [REC_I64] = {DUCKDB_TYPE_BIGINT, 8},      [REC_F32] = {DUCKDB_TYPE_FLOAT, 4},
    [REC_F64] = {DUCKDB_TYPE_DOUBLE, 8},      [REC_DATE] = {DUCKDB_TYPE_DATE, 4},
    [REC_TIMESTAMP] = {DUCKDB_TYPE_TIMESTAMP, 8}, [REC_DECIMAL] = {DUCKDB_TYPE_DECIMAL, 8},
    [REC_STRING] = {DUCKDB_TYPE_VARCHAR, 0},
};
enum { DIGITS_MOST = 18 }; /* of a decimal */

static bool plain_text(const char *s, size_t n) { /* ASCII */
  uint64_t high = 0, word;
  size_t i = 0;
  for (; n - i >= 8; i += 8) {
    memcpy(&word, s + i, 8);
    high |= word;
  }
  for (; i < n; i++)
    high |= (uint64_t)(s[i] & 0x80);
  return !(high & UINT64_C(0x8080808080808080));
}

static Status no_text(const Draft *b, uint32_t k, Err *e) {
  err_set(e, ST_DATA, "CML0403", "Make it again, in UTF-8.", "the column `%s` has a text that is not UTF-8",
          b->col[k].name);
  return err_at(e, "%s", b->r->file[b->at_file]);
}

static Status take_texts(Draft *b, uint32_t k, Take *t, const uint64_t *valid, uint32_t n, Err *e) {
  const uint64_t *bytes = take(t, sizeof *bytes);
  const uint32_t *off = bytes ? take(t, ((uint64_t)n + 1) * sizeof *off) : NULL;
  const char *s = off ? take(t, *bytes) : NULL;
  StrTable *table = &b->build[k].str;
  uint32_t *code = b->build[k].col.code + b->done;
  if (!s)
    return record_bad(e);
  const char *pad = *bytes > 12 ? s + *bytes - 12 : s; /* before it 12 bytes can be read */
  bool plain = plain_text(s, *bytes);
  for (uint32_t i = 0; i < n; i++) {
    code[i] = 0;
    if (off[i] > off[i + 1] || off[i + 1] > *bytes)
      return record_bad(e);
    if (!duck_valid(valid, i))
      continue;
    Text x = {s + off[i], off[i + 1] - off[i]};
    if (!plain && !utf8_valid(x.s, x.n))
      return no_text(b, k, e);
    int64_t c = x.s < pad ? build_text(table, x) : build_string(table, x.s, x.n);
    if (c < 0)
      return err_memory(e);
    code[i] = (uint32_t)c;
  }
  return reader_nulls(b, k, valid, 0, n, b->done) ? ST_OK : err_memory(e);
}

static Status take_column(Draft *b, uint32_t k, Take *t, uint32_t n, Err *e) {
  const uint32_t *head = take(t, 4 * sizeof *head);
  if (!head || head[0] < REC_BOOL || head[0] > REC_STRING || head[2] > 1)
    return record_bad(e);
  const uint64_t *valid = head[2] ? take(t, ((uint64_t)n + 63) / 64 * sizeof *valid) : NULL;
  if ((head[2] && !valid) || (head[0] == REC_DECIMAL && head[1] > DIGITS_MOST))
    return record_bad(e);
  b->type[k] = (SourceType){stored[head[0]].type, DUCKDB_TYPE_BIGINT, (uint8_t)head[1]};
  if (typed_fits(&b->col[k], b->type[k].type, b->r->file[b->at_file], e) != ST_OK)
    return e->code;
  if (head[0] == REC_STRING)
    return take_texts(b, k, t, valid, n, e);
  const void *v = take(t, (uint64_t)n * stored[head[0]].bytes);
  if (!v)
    return record_bad(e);
  return typed_values(b, k, v, valid, 0, n, b->done) ? ST_OK : err_memory(e);
}

/* Where the rows are: d->at of them. */
static Status take_positions(RecordDraft *d, const RecordHead *h, Take *t, Err *e) {
  uint32_t first = (uint32_t)(h->pos - d->b.pos), *at = d->at + d->b.done;
  bool gaps = h->kind == RECORD_COLUMNS && (h->flags & RECORD_GAPS);
  const uint32_t *off = gaps ? take(t, (uint64_t)h->n * sizeof *off) : NULL;
  uint64_t most = d->b.r->file_rows[d->b.at_file] - d->b.pos;
  most = most < BLOCK ? most : BLOCK;
  if (gaps && !off)
    return record_bad(e);
  for (uint32_t i = 0; i < h->n; i++) {
    uint64_t x = (uint64_t)first + (gaps ? off[i] : i);
    if (x < d->next || x >= most)
      return record_bad(e);
    at[i] = (uint32_t)x;
    d->next = (uint32_t)x + 1;
  }
  return ST_OK;
}

static Status add_columns(RecordDraft *d, const RecordHead *h, Take *t, Err *e) {
  for (uint32_t k = 0; k < d->b.ncol; k++) {
    if (take_column(&d->b, k, t, h->n, e) != ST_OK)
      return e->code;
  }
  if (t->n - t->at >= 8)
    return record_bad(e);
  d->b.done += h->n;
  return ST_OK;
}

/* The bytes at a multiple of 8. */
static Status align(RecordDraft *d, Bytes *record, Err *e) {
  if ((uintptr_t)record->p % 8 == 0)
    return ST_OK;
  if (d->room < record->n) {
    mem_free(d->copy);
    d->copy = mem_alloc64(record->n);
    d->room = d->copy ? record->n : 0;
    if (!d->copy)
      return err_memory(e);
  }
  memcpy(d->copy, record->p, record->n);
  record->p = d->copy;
  return ST_OK;
}

Status records_add(RecordDraft *d, Bytes record, bool *taken, Err *e) {
  RecordHead h;
  *taken = false;
  if (record_head(record, &h, e) != ST_OK)
    return e->code;
  if (h.kind == RECORD_RUN)
    return record_bad(e);
  if (h.file != d->b.at_file || h.pos - h.pos % BLOCK != d->b.pos)
    return ST_OK;
  *taken = true;
  if (align(d, &record, e) != ST_OK)
    return e->code;
  Take t = {record.p, record.n, RECORD_HEAD};
  if (take_positions(d, &h, &t, e) != ST_OK)
    return e->code;
  return h.kind == RECORD_TEXT ? record_text(d, &h, &t, e) : add_columns(d, &h, &t, e);
}
