/* SPDX-License-Identifier: Apache-2.0 */
/* Rows -> records of columns, what another engine writes into its files, and back. Read record_of_rows. */
#include <string.h>

#include "vm/engine/records.h"

static void align(Buf *b) {
  static const uint8_t zero[8];
  buf_put(b, zero, (8 - b->n % 8) % 8);
}

static enum RecordType type_of(Kind kind) {
  switch (kind) {
  case KIND_BOOL: return REC_BOOL;
  case KIND_FLOAT: return REC_F64;
  case KIND_DATE: return REC_DATE;
  case KIND_TIMESTAMP: return REC_TIMESTAMP;
  case KIND_STRING:
  case KIND_CATEGORY: return REC_STRING;
  default: return REC_I64;
  }
}

static void put_valid(Buf *out, const Col *c, uint32_t n) {
  uint64_t word = 0;
  for (uint32_t i = 0; i < n; i++) {
    word |= (uint64_t)!c->null[c->constant ? 0 : i] << (i % 64);
    if (i % 64 == 63 || i + 1 == n) {
      buf_u64(out, word);
      word = 0;
    }
  }
}

/* Where the text of row r is; of a null row nothing. */
static const char *text_of(const Col *c, uint32_t r, uint32_t *n) {
  r = c->constant ? 0 : r;
  *n = 0;
  if (c->null && c->null[r])
    return "";
  const uint32_t *off = c->dict->off + c->code[r];
  *n = off[1] - off[0];
  return c->dict->bytes + off[0];
}

static Status put_texts(Buf *out, const Col *c, uint32_t n, Err *e) {
  uint64_t bytes = 0;
  uint32_t len;
  for (uint32_t i = 0; i < n; i++) {
    text_of(c, i, &len);
    bytes += len;
  }
  if (bytes > UINT32_MAX)
    return err_set(e, ST_RESOURCE, "CML0501", "Write fewer columns of text.",
                   "the texts of %u rows to be written have more than 4 GB", n);
  buf_u64(out, bytes);
  bytes = 0;
  buf_u32(out, 0);
  for (uint32_t i = 0; i < n; i++) {
    text_of(c, i, &len);
    bytes += len;
    buf_u32(out, (uint32_t)bytes);
  }
  align(out);
  for (uint32_t i = 0; i < n; i++) {
    const char *s = text_of(c, i, &len);
    buf_put(out, s, len);
  }
  return ST_OK;
}

static void put_numbers(Buf *out, const Col *c, enum RecordType type, uint32_t n) {
  size_t each = type == REC_BOOL ? 1 : 8;
  if (type != REC_DATE && !c->constant) {
    buf_put(out, c->b, n * each);
    return;
  }
  for (uint32_t i = 0; i < n; i++) {
    uint32_t r = c->constant ? 0 : i;
    if (type == REC_DATE)
      buf_u32(out, (uint32_t)(int32_t)c->i[r]);
    else
      buf_put(out, c->b + r * each, each);
  }
}

Status record_of_rows(const IrColumn *col, const Col *v, uint32_t ncol, uint32_t n, uint32_t file,
                      uint64_t pos, const uint32_t *at, Buf *out, Err *e) {
  uint32_t first = at && n ? at[0] : 0;
  bool gaps = at && n && at[n - 1] - first != n - 1;
  buf_clear(out);
  buf_u32(out, RECORD_COLUMNS);
  buf_u32(out, file);
  buf_u64(out, pos + first);
  buf_u32(out, n);
  buf_u32(out, gaps ? RECORD_GAPS : 0);
  for (uint32_t i = 0; gaps && i < n; i++)
    buf_u32(out, at[i] - first);
  for (uint32_t k = 0; k < ncol && e->code == ST_OK; k++) {
    enum RecordType type = type_of((Kind)col[k].kind);
    align(out);
    buf_u32(out, type);
    buf_u32(out, 0);
    buf_u32(out, v[k].null != NULL);
    buf_u32(out, 0);
    if (v[k].null)
      put_valid(out, &v[k], n);
    if (type == REC_STRING)
      put_texts(out, &v[k], n, e);
    else
      put_numbers(out, &v[k], type, n);
  }
  align(out);
  return e->code == ST_OK && out->bad ? err_memory(e) : e->code;
}

/* ---- Back ---- */

/* n bytes from the next multiple of `each`. */
static const void *take_array(Rd *r, const uint8_t *begin, size_t n) {
  rd_take(r, (8 - (size_t)(r->p - begin) % 8) % 8);
  return rd_take(r, n);
}

static Status take_nulls(Arena *a, Rd *r, uint32_t n, Col *c, Err *e) {
  size_t words = ((size_t)n + 63) / 64;
  const uint8_t *valid = rd_take(r, words * 8);
  c->null = NEWN(a, uint8_t, n + 1);
  if (!c->null)
    return err_memory(e);
  for (uint32_t i = 0; valid && i < n; i++)
    c->null[i] = !(valid[i / 8] >> i % 8 & 1);
  return ST_OK;
}

/* One entry a row: it is only read once. */
static Status take_texts(Arena *a, Rd *r, const uint8_t *begin, uint32_t n, Col *c, Err *e) {
  uint64_t bytes = rd_u64(r);
  const void *off = rd_take(r, (n + (size_t)1) * 4);
  const char *text = bytes <= UINT32_MAX ? take_array(r, begin, bytes) : NULL;
  Dict *d = c->dict = NEW(a, Dict);
  c->code = NEWN(a, uint32_t, n + 1);
  if (!d || !c->code || !(d->off = NEWN(a, uint32_t, n + 1)) || !(d->bytes = arena_alloc(a, bytes + 1)))
    return err_memory(e);
  if (!off || !text)
    return record_bad(e);
  memcpy(d->off, off, (n + (size_t)1) * 4);
  memcpy(d->bytes, text, bytes);
  d->n = n;
  for (uint32_t i = 0; i < n; i++) {
    c->code[i] = i;
    if (d->off[i] > d->off[i + 1])
      return record_bad(e);
  }
  return d->off[0] == 0 && d->off[n] <= bytes ? ST_OK : record_bad(e);
}

static Status take_numbers(Arena *a, Rd *r, enum RecordType type, uint32_t n, Col *c, Err *e) {
  size_t each = type == REC_BOOL ? 1 : type == REC_DATE ? 4 : 8;
  const uint8_t *v = rd_take(r, n * each);
  c->b = arena_alloc64(a, n * (type == REC_BOOL ? 1 : 8) + 1);
  if (!c->b)
    return err_memory(e);
  for (uint32_t i = 0; v && type == REC_DATE && i < n; i++) {
    int32_t day;
    memcpy(&day, v + 4 * (size_t)i, sizeof day);
    c->i[i] = day;
  }
  if (v && type != REC_DATE)
    memcpy(c->b, v, n * each);
  return v ? ST_OK : record_bad(e);
}

Status rows_of_record(Arena *a, Bytes record, const IrColumn *col, uint32_t ncol, Col **out, uint32_t *n,
                      Err *e) {
  RecordHead h;
  Rd r = rd_of(record);
  if (record_head(record, &h, e) != ST_OK || h.kind != RECORD_COLUMNS)
    return record_bad(e);
  rd_take(&r, RECORD_HEAD);
  if (h.flags & RECORD_GAPS)
    rd_take(&r, 4 * (size_t)h.n);
  *n = h.n;
  *out = NEWN(a, Col, ncol + 1);
  if (!*out)
    return err_memory(e);
  for (uint32_t k = 0; k < ncol && e->code == ST_OK; k++) {
    Col *c = &(*out)[k];
    enum RecordType type = type_of((Kind)col[k].kind);
    take_array(&r, record.p, 0);
    bool good = rd_u32(&r) == type;
    rd_u32(&r);
    bool nulls = rd_u32(&r) != 0;
    rd_u32(&r);
    c->type = (uint8_t)kind_ir((Kind)col[k].kind);
    if (!good || r.bad)
      return record_bad(e);
    if (nulls && take_nulls(a, &r, h.n, c, e) != ST_OK)
      return e->code;
    if (type == REC_STRING)
      take_texts(a, &r, record.p, h.n, c, e);
    else
      take_numbers(a, &r, type, h.n, c, e);
  }
  return e->code == ST_OK && r.bad ? record_bad(e) : e->code;
}
