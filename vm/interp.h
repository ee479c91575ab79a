/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter of row programs: the reference meaning of every op.
 *
 * An Interp is made once per worker and stage: it resolves columns, fitted values and constants, and lays
 * out registers by liveness. It is used by one thread. Inputs are bound by name when it is made, and given
 * by index at each call. */
#ifndef VM_INTERP_H
#define VM_INTERP_H

#include "vm/column.h"
#include "vm/exec.h"
#include "vm/fitted.h"
#include "vm/ir.h"

typedef struct Interp Interp;

/* `input`: names of the columns that run() will be given, in order; every `col` of the program must be
 * among them. */
Status interp_new(const RowProg *p, const Env *env, const char *const *input, uint32_t ninput, Interp **out,
                  Err *e);
/* The same, but a slot that is a vector of values side by side (`vec`), which nothing else reads, is not put
 * together: interp_parts says what stands in its place. Their NaNs may be of any kind. */
Status interp_new_parts(const RowProg *p, const Env *env, const char *const *input, uint32_t ninput,
                        Interp **out, Err *e);
/* The values that output k is made of, side by side; NULL: run() gives it as a whole. Valid as long as t,
 * what they point to until the next run. */
const Col *const *interp_parts(const Interp *t, uint32_t k, uint32_t *n);
void interp_free(Interp *t);

/* From now on panels run by machine code as soon as `j` (vm/jit.h; NULL: never) has some for this program:
 * `program` is its number in the run, the same for every worker. The interpreter goes on with what is not
 * compiled. An error only with JIT_FORCE. */
struct Jit;
Status interp_jit(Interp *t, struct Jit *j, uint32_t program, Err *e);

typedef struct RowsIn {
  uint32_t n;             /* <= PANEL_ROWS */
  const Col *col;         /* inputs, in order */
  uint32_t file;
  uint64_t pos;           /* position of row r is pos + at[r], or pos + r where at is NULL */
  const uint32_t *at;
  const uint8_t *fold;    /* rows that are training rows: their fold; tables fitted by fold read it. NULL:
                           * all read the table of all rows */
  const uint8_t *train;   /* 1 = training row (fold counts); NULL: all are when fold is given */
  bool clean;             /* columns have no NaN, or only the one that outputs have */
} RowsIn;

/* Runs the program. out[k] = output k; memory is the interpreter's, valid until the next call; a constant
 * output has Col.constant. `keep` (n bytes, may be NULL where the program has no OP_KEEP) gets 1 for rows
 * that survive. Data errors go to `errors`; rows removed by a keep make no errors afterwards. Not ST_OK
 * only for memory and faults. */
Status interp_run(Interp *t, const RowsIn *in, Col *out, uint8_t *keep, RowErrors *errors, Err *e);

typedef struct Given { /* rows of a sparse vector: entries of row r are ptr[r] .. ptr[r + 1] */
  uint32_t *ptr;
  uint32_t *el;
  double *f;
  const int8_t *few;      /* all values fit in it: in place of f */
} Given;

/* The sparse vectors that step `val`, one that may be kept (ir.h), would compute for the next panel are
 * there, and are not computed; NULL: they are again. They stay until the next call for that step. */
void interp_give(Interp *t, uint32_t val, const Given *rows);

/* interp/matrix.c: widths and names of the feature vector, and its assembly. */
typedef struct Slots { /* the slots of a train or score stage once its fitted values are known */
  uint32_t n;
  uint32_t *width;       /* per slot */
  uint32_t d;            /* sum */
  char **feature;        /* d names: "distance", "hour_sin", "origin=ATL" */
  bool sparse;           /* layout: CSR when d > 32 and the slots fill less than a quarter of it; a
                          * function of widths alone */
  const RowProg *p;      /* slots_unnamed: what names are made of, should a message need one */
  const Env *env;
} Slots;
/* Without names: feature is NULL. For who only makes matrices; p and env outlive them. */
Status slots_unnamed(const RowProg *p, const Env *env, Slots *out, Err *e);
Status slots_of(const RowProg *p, const Env *env, Slots *out, Err *e);
void slots_free(Slots *s);
/* Appends n rows of slot columns (k-th: col[k]) to m, growing its storage (mem_*). A non-finite value is a
 * data error naming slot and row. */
typedef struct MatrixBuilder MatrixBuilder;
MatrixBuilder *matrix_builder(const Slots *s, uint32_t max_rows, Err *e);
Status matrix_append(MatrixBuilder *b, const RowProg *p, const Col *slot, const RowsIn *in, RowErrors *errors,
                     Err *e);
/* The same of the outputs of a program, of which some are in parts (interp_new_parts). */
Status matrix_append_parts(MatrixBuilder *b, const Interp *t, const RowProg *p, const Col *out,
                           const RowsIn *in, RowErrors *errors, Err *e);
/* Empties it; at most `rows` rows will come until matrix_take: a dense one need not grow, nor be copied. */
Status matrix_begin(MatrixBuilder *b, uint32_t rows, Err *e);
Matrix *matrix_take(MatrixBuilder *b, size_t *bytes); /* the matrix so far, shrunk; the builder is empty
                                                       * again */
const Matrix *matrix_view(const MatrixBuilder *b);
void matrix_reset(MatrixBuilder *b);
void matrix_builder_free(MatrixBuilder *b);
void matrix_free(Matrix *m);

#endif
