/* SPDX-License-Identifier: Apache-2.0 */
/* Columns, panels, matrices, blocks: the data of the VM, in the order they flow.
 *
 *   source --reader--> Block (65,536 positions, columns) --row program over panels of <= 2,048 rows-->
 *                                                        outputs --> passes \--(a train stage)--> Block with
 *                                                        a Matrix, kept for every pass over it
 *
 * Nulls are a byte a row (1 = null) or NULL for "none"; the value under a null is 0 (code 0 for strings),
 * always. Strings are codes into a dictionary that belongs to the block (or panel); two codes of one
 * dictionary may be equal strings, so compare bytes. */
#ifndef VM_COLUMN_H
#define VM_COLUMN_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
#ifdef CML_HOSTILE
  PANEL_ROWS = 7,     /* rows of a panel at most */
  CHUNK = 3,          /* positions of a chunk */
#else
  PANEL_ROWS = 2048,
  CHUNK = 2048,
#endif
  BLOCK_CHUNKS = 32,  /* chunks of a block; leaves are 4..32 chunks, aligned, and never cross a block */
  BLOCK = CHUNK * BLOCK_CHUNKS,
};

typedef enum { /* what a value is to the machine */
  IR_BOOL, IR_I64, IR_F64, IR_STR,
  IR_VEC,   /* row vector: a slot */
  IR_STRS,  /* a row's list of strings */
  IR_LIST,  /* list of f64; fitted or constant */
  IR_VOCAB, /* sorted list of strings; fitted */
  IR_TABLE, /* key -> i64 or f64; fitted */
  IR_MODEL, /* a trained model */
  IR_MAT,   /* matrix; fitted */
} IrType;

typedef enum { /* what a column is to the user: decides parsing, printing and the type in written files */
               KIND_BOOL,
               KIND_INT,
               KIND_FLOAT,
               KIND_STRING,
               KIND_CATEGORY,
               KIND_TIMESTAMP,
               KIND_DATE,
               KIND_DURATION,
               KIND_N
} Kind;
IrType kind_ir(Kind k);
const char *kind_name(Kind k);            /* "timestamp" */
int kind_of(const char *name);            /* Kind, or -1 */

typedef struct Dict { /* immutable once shared */
  uint32_t n;
  uint32_t *off;      /* n + 1 offsets into bytes */
  char *bytes;
  atomic_int refs;    /* of blocks and columns that hold it; 0 = owned by a scratch arena, not counted */
} Dict;
void dict_hold(Dict *d);
void dict_drop(Dict *d);

typedef struct Col {
  uint8_t type;       /* IrType: IR_BOOL, IR_I64, IR_F64, IR_STR, IR_VEC, IR_STRS */
  bool constant;      /* one value for all rows: only element 0 is there */
  uint32_t width;     /* IR_VEC: number of elements */
  union {
    uint8_t *b;
    int64_t *i;
    double *f;        /* IR_F64: n; IR_VEC dense: n x width, row-major; sparse: by entry */
    uint32_t *code;   /* IR_STR; IR_STRS: by entry */
    int32_t *hot;     /* IR_VEC one-hot: the element that is 1, or -1 for none */
  };
  bool is_hot;        /* IR_VEC: `hot`, else `f` */
  bool is_sparse;     /* IR_VEC: row r has the entries ptr[r]..ptr[r + 1]; ptr[0] may be above 0 */
  uint32_t *ptr;      /* sparse, IR_STRS: n + 1; a null row has no entries */
  uint32_t *el;       /* sparse: element of each entry, ascending in a row */
  uint8_t *null;      /* or NULL */
  Dict *dict;         /* IR_STR, IR_STRS */
} Col;

static inline bool col_is_ragged(const Col *c) { /* rows of different length: ptr says where they lie */
  return c->type == IR_STRS || (c->type == IR_VEC && c->is_sparse);
}

/* The elements of row r of a vector, all of them; of a constant those of its one row. */
void col_row(const Col *c, uint32_t r, double *out);

typedef struct Zone { /* what is known of a column in rows that were not read */
  bool nulls;               /* some may be null */
  bool known;               /* all others lie between the bounds: */
  int64_t lo, hi;           /* IR_BOOL, IR_I64 */
  const char *first, *last; /* IR_STR: bytewise */
  uint32_t nfirst, nlast;
} Zone;

typedef struct Matrix { /* n rows, d columns; dense row-major or CSR */
  uint32_t n, d;
  double *a;          /* dense: n x d; NULL when sparse */
  uint32_t *ptr;      /* CSR: n + 1 offsets into col/val (of this matrix's own storage) */
  uint32_t *col;      /* ascending inside a row */
  double *val;
  struct Slab *slab;  /* dense: what `a` lies in and holds (base/slab.h), or NULL: it is of mem_* */
} Matrix;

typedef struct Block { /* an aligned run of at most BLOCK positions of one file, and what was kept of them */
  uint32_t file;      /* ordinal of the file in its source */
  uint64_t pos;       /* first position in the file: a multiple of BLOCK */
  uint32_t npos;      /* positions covered */
  uint32_t n;         /* surviving rows, in position order */
  uint32_t *at;       /* per row its position - pos; NULL: row r is at position pos + r */
  uint32_t invalid;   /* of a rows stage: rows that were dropped since a value lay outside of its domain */
  uint32_t ncol;
  Col *col;           /* n rows each; of doubles no NaN but 0x7ff8000000000000 */
  uint8_t *part;      /* per row, or NULL: all 0 */
  uint8_t *fold;      /* per row, or NULL: all 0 */
  double *weight;     /* per row, or NULL: all 1 */
  Matrix *x;          /* of a train stage: n x d */
  double *y;          /* target, or NULL */
  size_t bytes;       /* accounted memory */
  _Atomic(struct Note *) note; /* what passes noted of its rows: notes.h */
  atomic_int refs;
} Block;
void block_hold(Block *b);
void block_drop(Block *b);
/* First surviving row at or behind position `off` (relative to b->pos): leaves are cut with it. */
uint32_t block_row_at(const Block *b, uint32_t off);

typedef struct Panel { /* at most PANEL_ROWS rows of one leaf, packed in position order: what passes see */
  uint32_t n;
  uint32_t file;
  uint64_t pos;         /* of the block */
  const uint32_t *at;   /* position of row r is pos + at[r] */
  const Col *out;       /* outputs of the stage's row program, in its order; NULL for a matrix stage */
  uint32_t nout;
  const uint8_t *fold;  /* or NULL */
  const double *weight; /* or NULL: all 1 */
  const Matrix *x;      /* matrix stage, or evaluate that gives slots: a view of n rows (ptr may start
                         * above 0: entries of row r are ptr[r]..ptr[r+1]) */
  const double *y;      /* matrix stage: the target, or NULL where there is none */
  struct Notes *notes;  /* notes.h; NULL: there are none */
} Panel;

/* ---- Data errors: the first ten by position, and how many rows have one ---- */

enum { ROW_ERRORS = 10 };
typedef struct RowError {
  uint32_t file;
  uint64_t pos;
  uint32_t step;      /* order inside a row: the number of the instruction */
  uint32_t line, col; /* in the program; 0 = none */
  char column[64];
  char text[200];
  char allow[112]; /* what in the program would allow such a value; "" = nothing would */
} RowError;
#define ALLOW_WHERE "a `where` that leaves such rows out"
typedef struct RowErrors { /* zeroed = none */
  uint64_t count;         /* rows */
  uint32_t n;
  RowError v[ROW_ERRORS]; /* sorted by (file, pos); of a row the first step */
  uint32_t seen_file;     /* the block that the last error was in: its rows that are counted, a bit each */
  uint64_t seen_block;
  uint64_t seen[(BLOCK + 63) / 64];
} RowErrors;
/* A row counts once. `count` is exact if the errors of a block come together: block after block. Lists that
 * are merged have no bad row in common, or are of one and the same block. */
void row_errors_add(RowErrors *e, const RowError *one);
void row_errors_merge(RowErrors *into, const RowErrors *from);
/* Is that row counted? For rows of the block that the last error was in; elsewhere false. */
bool row_errors_has(const RowErrors *e, uint32_t file, uint64_t pos);

#endif
