/* SPDX-License-Identifier: Apache-2.0 */
/* The footer of a Parquet file that is written: the schema, and where the row groups lie. The types are those
 * that DuckDB's writer gives: every column optional, whole numbers as signed ones of 64 bits, times without a
 * time zone.
 *
 * Source: parquet.thrift (apache/parquet-format), Thrift's compact protocol. */
#include <string.h>

#include "vm/engine/parquet_write.h"

/* ---- Thrift ---- */

void thrift_put_varint(Buf *b, uint64_t v) {
  uint8_t p[10], n = 0;
  for (; v > 127; v >>= 7)
    p[n++] = (uint8_t)(v | 128);
  p[n++] = (uint8_t)v;
  buf_put(b, p, n);
}

void thrift_put_int(Buf *b, int64_t v) {
  thrift_put_varint(b, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

void thrift_put_field(Buf *b, int *last, int id, int type) {
  buf_u8(b, (uint8_t)((id - *last) << 4 | type)); /* fields ascend, by less than 16 */
  *last = id;
}

void thrift_put_number(Buf *b, int *last, int id, int type, int64_t v) {
  thrift_put_field(b, last, id, type);
  thrift_put_int(b, v);
}

void thrift_put_bytes(Buf *b, const void *p, size_t n) {
  thrift_put_varint(b, n);
  buf_put(b, p, n);
}

void thrift_put_list(Buf *b, uint32_t n, int type) {
  buf_u8(b, (uint8_t)((n < 15 ? n : 15) << 4 | (uint32_t)type));
  if (n >= 15)
    thrift_put_varint(b, n);
}

static void put_text(Buf *b, int *last, int id, const char *s) {
  thrift_put_field(b, last, id, THRIFT_BYTES);
  thrift_put_bytes(b, s, strlen(s));
}

static void put_end(Buf *b) {
  buf_u8(b, 0);
}

/* ---- The schema ---- */

PqType pq_type_of(Kind kind) {
  switch (kind) {
  case KIND_BOOL: return PQ_BOOL;
  case KIND_FLOAT: return PQ_F64;
  case KIND_STRING:
  case KIND_CATEGORY: return PQ_BYTES;
  case KIND_DATE: return PQ_I32;
  default: return PQ_I64; /* int; timestamp; duration in microseconds */
  }
}

/* A union with nothing in it but its number. */
static void put_logical(Buf *b, int *last, int which) {
  int in = 0;
  thrift_put_field(b, last, 10, THRIFT_STRUCT);
  thrift_put_field(b, &in, which, THRIFT_STRUCT);
  put_end(b);
  put_end(b);
}

/* Microseconds, of no time zone. */
static void put_timestamp(Buf *b, int *last) {
  int type = 0, in = 0, unit = 0;
  thrift_put_field(b, last, 10, THRIFT_STRUCT);
  thrift_put_field(b, &type, 8, THRIFT_STRUCT);
  thrift_put_field(b, &in, 1, THRIFT_FALSE);
  thrift_put_field(b, &in, 2, THRIFT_STRUCT);
  thrift_put_field(b, &unit, 2, THRIFT_STRUCT);
  for (int depth = 0; depth < 4; depth++)
    put_end(b);
}

static void put_column(Buf *b, const IrColumn *c) {
  enum { CONVERTED_UTF8 = 0, CONVERTED_DATE = 6, CONVERTED_INT64 = 18, LOGICAL_TEXT = 1, LOGICAL_DATE = 6 };
  int last = 0;
  PqType type = pq_type_of((Kind)c->kind);
  thrift_put_number(b, &last, 1, THRIFT_I32, type);
  thrift_put_number(b, &last, 3, THRIFT_I32, 1); /* optional */
  put_text(b, &last, 4, c->name);
  if (type == PQ_BYTES || type == PQ_I32) {
    thrift_put_number(b, &last, 6, THRIFT_I32, type == PQ_I32 ? CONVERTED_DATE : CONVERTED_UTF8);
    put_logical(b, &last, type == PQ_I32 ? LOGICAL_DATE : LOGICAL_TEXT);
  } else if (c->kind == KIND_TIMESTAMP) {
    put_timestamp(b, &last);
  } else if (type == PQ_I64) {
    thrift_put_number(b, &last, 6, THRIFT_I32, CONVERTED_INT64);
  }
  put_end(b);
}

/* ---- Row groups ---- */

static void put_statistics(Buf *b, const PqPut *p) {
  int last = 0;
  thrift_put_number(b, &last, 3, THRIFT_I64, (int64_t)p->nulls);
  if (p->bounds) {
    thrift_put_field(b, &last, 5, THRIFT_BYTES);
    thrift_put_bytes(b, p->hi, p->nhi);
    thrift_put_field(b, &last, 6, THRIFT_BYTES);
    thrift_put_bytes(b, p->lo, p->nlo);
  }
  put_end(b);
}

static void put_chunk(Buf *b, const IrColumn *c, const PqPut *p, uint32_t n, uint64_t at) {
  enum { PLAIN = 0, RLE = 3, RLE_DICTIONARY = 8 };
  int chunk = 0, last = 0;
  thrift_put_number(b, &chunk, 2, THRIFT_I64, 0); /* no copy of this elsewhere in the file */
  thrift_put_field(b, &chunk, 3, THRIFT_STRUCT);
  thrift_put_number(b, &last, 1, THRIFT_I32, pq_type_of((Kind)c->kind));
  thrift_put_field(b, &last, 2, THRIFT_LIST);
  thrift_put_list(b, p->coded ? 3 : 2, THRIFT_I32);
  thrift_put_int(b, PLAIN);
  thrift_put_int(b, RLE);
  if (p->coded)
    thrift_put_int(b, RLE_DICTIONARY);
  thrift_put_field(b, &last, 3, THRIFT_LIST);
  thrift_put_list(b, 1, THRIFT_BYTES);
  thrift_put_bytes(b, c->name, strlen(c->name));
  thrift_put_number(b, &last, 4, THRIFT_I32, p->codec);
  thrift_put_number(b, &last, 5, THRIFT_I64, n);
  thrift_put_number(b, &last, 6, THRIFT_I64, (int64_t)p->plain);
  thrift_put_number(b, &last, 7, THRIFT_I64, (int64_t)(p->end - p->from));
  thrift_put_number(b, &last, 9, THRIFT_I64, (int64_t)(at + p->data));
  if (p->coded)
    thrift_put_number(b, &last, 11, THRIFT_I64, (int64_t)(at + p->from));
  thrift_put_field(b, &last, 12, THRIFT_STRUCT);
  put_statistics(b, p);
  put_end(b);
  put_end(b);
}

void pq_footer_group(PqFooter *f, const IrColumn *col, uint32_t ncol, const PqGroup *g) {
  Buf *b = &f->groups;
  int last = 0;
  uint64_t plain = 0;
  thrift_put_field(b, &last, 1, THRIFT_LIST);
  thrift_put_list(b, ncol, THRIFT_STRUCT);
  for (uint32_t k = 0; k < ncol; k++) {
    put_chunk(b, &col[k], &g->put[k], g->n, f->at);
    plain += g->put[k].plain;
  }
  thrift_put_number(b, &last, 2, THRIFT_I64, (int64_t)plain);
  thrift_put_number(b, &last, 3, THRIFT_I64, g->n);
  thrift_put_number(b, &last, 5, THRIFT_I64, (int64_t)f->at);
  thrift_put_number(b, &last, 6, THRIFT_I64, (int64_t)g->size);
  put_end(b);
  f->at += g->size;
  f->rows += g->n;
  f->ngroup++;
}

void pq_footer_end(const PqFooter *f, const IrColumn *col, uint32_t ncol, Buf *b) {
  int last = 0, root = 0, order;
  size_t before = b->n;
  thrift_put_number(b, &last, 1, THRIFT_I32, 1);
  thrift_put_field(b, &last, 2, THRIFT_LIST);
  thrift_put_list(b, ncol + 1, THRIFT_STRUCT);
  put_text(b, &root, 4, "schema");
  thrift_put_number(b, &root, 5, THRIFT_I32, ncol);
  put_end(b);
  for (uint32_t k = 0; k < ncol; k++)
    put_column(b, &col[k]);
  thrift_put_number(b, &last, 3, THRIFT_I64, (int64_t)f->rows);
  thrift_put_field(b, &last, 4, THRIFT_LIST);
  thrift_put_list(b, f->ngroup, THRIFT_STRUCT);
  buf_put(b, f->groups.p, f->groups.n);
  put_text(b, &last, 6, "cml " CML_VERSION);
  thrift_put_field(b, &last, 7, THRIFT_LIST); /* bounds are in the order that the type has */
  thrift_put_list(b, ncol, THRIFT_STRUCT);
  for (uint32_t k = 0; k < ncol; k++) {
    order = 0;
    thrift_put_field(b, &order, 1, THRIFT_STRUCT);
    put_end(b);
    put_end(b);
  }
  put_end(b);
  size_t n = b->n - before;
  if (n > INT32_MAX || f->groups.bad)
    b->bad = true;
  buf_u32(b, (uint32_t)n);
  buf_put(b, "PAR1", 4);
}
