/* SPDX-License-Identifier: Apache-2.0 */
/* Rows out of columns: a Gather picks some rows of a panel into storage of its own; a Maker appends panels
 * to a new Block. */
#ifndef VM_EXEC_COLS_H
#define VM_EXEC_COLS_H

#include "base/err.h"
#include "base/map.h"
#include "vm/column.h"

size_t col_size(const Col *c);                      /* bytes of one row */
void col_shift(const Col *in, uint32_t r, Col *out); /* the same column from row r on */

/* Storage for up to PANEL_ROWS rows of some columns; valid until the next gather. */
typedef struct Gather {
  uint32_t ncol;
  void **data;
  size_t *cap;
  uint8_t *null; /* ncol x PANEL_ROWS */
} Gather;
Status gather_init(Gather *g, uint32_t ncol, Err *e);
void gather_free(Gather *g);
/* out[k] = rows row[0..n) of in[k]; a constant stays one; out may be in. n <= PANEL_ROWS. */
Status gather_cols(Gather *g, const Col *in, const uint32_t *row, uint32_t n, Col *out, Err *e);

/* Appends panels to a block: columns of bool, i64, f64 or strings. */
typedef struct MakerCol {
  uint8_t type;
  void *data;
  uint8_t *null;     /* made at the first null */
  Dict *dict;        /* the one dictionary that all codes so far are of; NULL when own */
  bool own;          /* codes are entry numbers of words */
  Map words;
  Dict *memo_of;     /* whose codes memo translates; held */
  uint32_t *memo;
  uint32_t memo_cap;
  int32_t lent;      /* the column of the lender that it is so far, or -1 */
  bool lent_null;    /* with its nulls */
} MakerCol;

enum { MAKE_PART = 1, MAKE_FOLD = 2, MAKE_WEIGHT = 4 };

typedef struct Maker {
  uint32_t ncol, n, cap;
  uint32_t flags;
  MakerCol *col;
  uint32_t *at;
  uint8_t *part, *fold;
  double *weight;
  uint32_t file, npos;
  uint64_t pos;
  Block *lender;     /* NULL: none */
  bool *taken;       /* by column of it */
} Maker;

Status maker_init(Maker *m, const uint8_t *type, uint32_t ncol, uint32_t flags, Err *e);
void maker_free(Maker *m);
/* Starts a block of at most `rows` rows over the same positions as `from`. */
Status maker_begin(Maker *m, const Block *from, uint32_t rows, Err *e);
/* Columns that come as they lie in `from`, with all of its rows, are taken out of it and not copied. It is
 * nobody else's, outlives maker_end, and is good for nothing but to be dropped then. */
Status maker_lend(Maker *m, Block *from, Err *e);
/* Rows row[0..n) (NULL: 0..n-1) of src become column k of the next n rows; maker_step makes them count. */
Status maker_col(Maker *m, uint32_t k, const Col *src, const uint32_t *row, uint32_t n, Err *e);
void maker_step(Maker *m, uint32_t n);
Status maker_end(Maker *m, Block **out, Err *e);

#endif
