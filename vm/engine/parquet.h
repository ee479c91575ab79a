/* SPDX-License-Identifier: Apache-2.0 */
/* Plain Parquet files without DuckDB: flat columns of numbers, truth values and texts, in the encodings that
 * writers use. What is not like that is left to DuckDB, for the whole file: pq_open says so. */
#ifndef VM_ENGINE_PARQUET_H
#define VM_ENGINE_PARQUET_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <duckdb.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

typedef enum PqType { PQ_BOOL = 0, PQ_I32 = 1, PQ_I64 = 2, PQ_F32 = 4, PQ_F64 = 5, PQ_BYTES = 6 } PqType;
typedef enum PqCodec { PQ_STORED = 0, PQ_SNAPPY = 1, PQ_GZIP = 2, PQ_ZSTD = 6 } PqCodec;

typedef struct PqChunk { /* a column in a row group */
  PqCodec codec;
  uint64_t from, end;    /* bytes of the file */
} PqChunk;

typedef struct PqColumn {
  PqType type;
  bool optional;
  bool micros;     /* times: in microseconds */
  duckdb_type as;  /* what DuckDB takes it for; PqFile.typed */
  Bytes name;
} PqColumn;

typedef struct PqStat { /* of a chunk, in the footer's bytes */
  int64_t nulls;        /* -1: not told */
  Bytes lo, hi;         /* no value is before or behind; p NULL: not told */
} PqStat;

typedef struct PqHeld {  /* a page that the next block needs too, decompressed */
  atomic_int refs;
  uint64_t body;         /* where it is in the file */
  uint32_t n;
  uint8_t bytes[];       /* and some behind them */
} PqHeld;

typedef struct PqSpan { /* bytes of a file that is elsewhere, fetched for a row group */
  uint64_t from, end;
  uint32_t group;
  uint8_t *bytes;
  uint64_t room;         /* of them */
} PqSpan;

typedef struct PqFile {
  atomic_int refs;
  int fd;            /* -1: it is elsewhere, and what is read of it are its spans: */
  PqSpan *span;
  uint32_t nspan;
  char *path;
  uint32_t ncol, ngroup;
  PqColumn *col;     /* those that are wanted */
  uint64_t *first;   /* of a group: its first row; ngroup + 1 of them */
  PqChunk *chunk;    /* group * ncol + column */
  uint64_t page_most; /* bytes of memory that a page may need; whoever opened the file says less */
  bool typed;        /* the types of all columns are known, DuckDB has the same, and nobody needs to ask it */
  uint8_t *text;     /* the footer, and what it tells of chunks, until pq_forget */
  PqStat *stat;      /* as chunk */
  pthread_mutex_t lock; /* of: */
  PqHeld **held;     /* the last data page and the last dictionary of each column */
  uint64_t bytes;    /* theirs */
  atomic_bool *other; /* by column: it has a page that pq_walk_plain does not read */
} PqFile;

/* *out is NULL where DuckDB has to read the file, or say what is wrong with it. name: NULL: all columns.
 * Closed by the last drop. */
Status pq_open(const char *path, const char *const *name, uint32_t n, PqFile **out, Err *e);
void pq_forget(PqFile *f); /* before it is shared */
/* The same of a file of `size` bytes that somebody else can read; `path` is for messages. Before blocks are
 * made of it, the row groups [from, to) that they lie in are fetched; those before are given up. Such a file
 * belongs to one thread. */
typedef struct FileBytes FileBytes;
Status pq_open_far(const char *path, uint64_t size, const FileBytes *in, const char *const *name, uint32_t n,
                   PqFile **out, Err *e);
Status pq_fetch(PqFile *f, const FileBytes *in, uint32_t from, uint32_t to, Err *e);
/* Bytes [at, at + n); false: they are not there. */
bool pq_read(const PqFile *f, void *p, size_t n, uint64_t at);
bool pq_read_span(const PqFile *f, void *p, size_t n, uint64_t at);
void pq_hold(PqFile *f);
void pq_drop(PqFile *f);
void pq_held_drop(PqHeld *h);

/* ---- Bytes that nobody vouches for (parquet_meta.c) ---- */

typedef struct Thrift { /* the compact protocol: a reader that stops at the first thing that cannot be */
  const uint8_t *p, *end;
  bool bad;
} Thrift;
uint64_t thrift_varint(Thrift *t);
int64_t thrift_int(Thrift *t); /* zigzag */
/* The next field of a struct: its type, 0 at the end; *id is that of the one before. */
int thrift_field(Thrift *t, int *id);
uint32_t thrift_list(Thrift *t, int *type);
void thrift_skip(Thrift *t, int type);
enum { THRIFT_TRUE = 1, THRIFT_FALSE = 2, THRIFT_BYTES = 8, THRIFT_LIST = 9, THRIFT_STRUCT = 12 };

/* ---- Pages (parquet_page.c) ---- */

typedef struct PqPage { /* what its header says */
  int type;              /* 0: data, 2: dictionary, 3: data of version 2; others are passed over */
  uint32_t plain, stored; /* bytes, decompressed and in the file */
  uint32_t n;            /* values, nulls included */
  int encoding;
  uint32_t levels;       /* version 2: bytes of levels, in front and not compressed */
  bool packed;           /* version 2: the rest is compressed */
} PqPage;

typedef struct PqRun { /* numbers of a few bits: runs of one, and groups of eight (RLE / bit-packed hybrid) */
  const uint8_t *p, *end;
  uint32_t bits;
  uint32_t left;         /* of the run at hand */
  bool packed;
  uint32_t value;        /* of a run of one */
  const uint8_t *group;  /* of a packed run: its bytes, */
  uint32_t at;           /* and the next number in it */
} PqRun;

typedef struct PqSlice { /* rows of a page, taken apart */
  uint32_t n;            /* rows */
  const uint8_t *there;  /* 1 where a row has a value; NULL: all have */
  uint32_t nvalue;       /* that are there */
  bool coded;            /* values are numbers of the dictionary: `code`; else `value`, as PLAIN has them */
  const uint32_t *code;
  const uint8_t *value, *end; /* 16 bytes behind `end` can be read */
} PqSlice;

typedef struct PqDict {
  uint32_t n;
  const uint8_t *value, *end; /* as PLAIN has them */
} PqDict;

/* A walk over rows of a column chunk. */
typedef struct PqWalk {
  const PqFile *f;
  const PqChunk *chunk;
  uint64_t rows;         /* of the group */
  PqType type;
  bool optional;
  uint64_t at;           /* the next page */
  PqPage page;           /* the one before, */
  uint64_t body;         /* its bytes, */
  uint64_t row, end;     /* and its rows in the group */
  PqDict dict;
  bool new_dict;         /* since the last slice */
  uint32_t col;
  PqHeld *held[2];       /* the page, the dictionary: where they are not in: */
  uint8_t *raw, *plain, *dict_room; /* scratch, and its room */
  size_t nraw, nplain, ndict;
  uint8_t *there;
  uint32_t *code;
  void *zstd;            /* kept from page to page */
} PqWalk;

Status pq_walk_begin(PqWalk *w, const PqFile *f, uint32_t group, uint32_t col, Err *e);
/* The page with row `row` of the group, which is not before those found so far. */
Status pq_find(PqWalk *w, uint64_t row, Err *e);
/* Of a column of 8 bytes a value: *m rows from `row` on, at most n, of one page, to `to`. 0: they do not lie
 * in the file like that, and pq_walk reads them; what is at `to` is lost. parquet_plain.c */
Status pq_walk_plain(PqWalk *w, uint64_t row, uint32_t n, void *to, uint32_t *m, Err *e);
/* Rows from `row` of the group on, at most n, of one page. */
Status pq_walk(PqWalk *w, uint64_t row, uint32_t n, PqSlice *out, Err *e);
void pq_walk_free(PqWalk *w);

/* Snappy: exactly nout bytes, or false. 16 bytes behind `out` may be written. */
bool snappy_decode(const uint8_t *in, size_t n, uint8_t *out, size_t nout);

#endif
