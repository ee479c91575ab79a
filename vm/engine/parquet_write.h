/* SPDX-License-Identifier: Apache-2.0 */
/* Writing Parquet files: columns -> the bytes of a row group, which anybody can make beside others; where
 * row groups have come to lie -> the footer. writer.c puts both together. */
#ifndef VM_ENGINE_PARQUET_WRITE_H
#define VM_ENGINE_PARQUET_WRITE_H

#include "base/buf.h"
#include "vm/column.h"
#include "vm/engine/parquet.h"
#include "vm/ir.h"

enum { PQ_BOUND = 64 }; /* bytes of a text that is told as a bound */

typedef struct PqPut { /* a column of a row group */
  uint64_t from, data, end; /* in the bytes of the group: its pages, its first one of data */
  uint64_t plain;           /* bytes before compression */
  uint64_t nulls;
  PqCodec codec;
  bool coded;               /* has a dictionary */
  bool bounds;              /* least and largest value are known: */
  uint32_t nlo, nhi;
  uint8_t lo[PQ_BOUND], hi[PQ_BOUND];
} PqPut;

typedef struct PqLent { /* bytes of a group that lie in a column */
  size_t at;             /* in `bytes`: they go in front of these */
  Bytes b;
} PqLent;

typedef struct PqGroup { /* a row group, and room for making the next one */
  uint32_t n;
  Buf bytes;             /* its bytes without those that are */
  Buf lent;              /* lent: PqLent, in their order */
  uint64_t size;         /* of both */
  PqPut *put;
  struct PqGroup *next, *idle; /* lists of the Writer's */
  Buf body, packed;      /* a page, before and after compression */
  uint32_t rows, ntext;  /* what these have room for: */
  uint64_t *value;       /*   rows */
  uint32_t *raw, *code, *level; /* rows */
  uint8_t *there;        /*   rows */
  uint32_t *known;       /*   ntext: of a text of a column's dictionary its number in the written one */
  uint64_t *dict;
  uint16_t *slot;
  uint16_t *table;       /* of snappy_encode */
} PqGroup;

/* NULL: no memory. */
PqGroup *pq_group_new(uint32_t ncol);
void pq_group_free(PqGroup *g);
/* The bytes depend on the values alone, not on the numbers of dictionaries. Columns whose values are stored
 * as they are lend them: they stay until the group is written. */
Status pq_group_encode(PqGroup *g, const IrColumn *col, uint32_t ncol, const Col *v, uint32_t n, Err *e);

typedef struct PqFooter {
  Buf groups;            /* what the footer says of them */
  uint32_t ngroup;
  uint64_t rows, at;     /* at: where the next group will be */
} PqFooter;

/* ---- The compact protocol of Thrift, to write ---- */

enum { THRIFT_I32 = 5, THRIFT_I64 = 6 };
void thrift_put_field(Buf *b, int *last, int id, int type);
void thrift_put_int(Buf *b, int64_t v);
void thrift_put_number(Buf *b, int *last, int id, int type, int64_t v);
void thrift_put_bytes(Buf *b, const void *p, size_t n);
void thrift_put_list(Buf *b, uint32_t n, int type);
void thrift_put_varint(Buf *b, uint64_t v);

PqType pq_type_of(Kind kind);
/* The group lies at `at`, which moves behind it. Memory: groups.bad. */
void pq_footer_group(PqFooter *f, const IrColumn *col, uint32_t ncol, const PqGroup *g);
/* What ends the file. Memory: out->bad. */
void pq_footer_end(const PqFooter *f, const IrColumn *col, uint32_t ncol, Buf *out);

/* ---- Compression (snappy.c) ---- */

enum { SNAPPY_TABLE = 1 << 14 }; /* numbers of the table */
static inline size_t snappy_most(size_t n) {
  return 32 + n + n / 6;
}
/* Bytes written to `out`, at most snappy_most(n). */
size_t snappy_encode(const uint8_t *in, size_t n, uint8_t *out, uint16_t *table);

#endif
