/* SPDX-License-Identifier: Apache-2.0 */
/* Rows -> records of columns: what another engine writes into its files. Read record_of_rows. */
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
