/* SPDX-License-Identifier: Apache-2.0 */
/* Fitted values: what was learned from the training rows. Scalars, lists, vocabularies, tables, models.
 * Immutable once made.
 *
 * They travel and are stored as bytes (fitted_save / fitted_load); loading verifies everything, since
 * bundles may be hostile. */
#ifndef VM_FITTED_H
#define VM_FITTED_H

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/task.h"
#include "vm/column.h"

struct Estimator;

typedef struct Table { /* look-up by key; keys are canonical bytes (key_bytes), sorted by memcmp */
  uint8_t type;      /* IR_I64 or IR_F64 */
  uint8_t nkey;      /* parts of a key */
  uint32_t n;        /* keys */
  uint32_t nvariant; /* 1, or 1 + folds: variant 0 is fitted on all training rows, 1 + f without fold f */
  uint32_t *off;     /* n + 1 offsets into bytes */
  uint8_t *bytes;
  int64_t *i;        /* nvariant x n; the other is NULL */
  double *f;
  uint8_t *null;     /* nvariant x n: 1 = the key has no value there (not seen outside the fold, only
                      * nulls) */
  Map index;         /* key -> number in sorted order: entry order equals sorted order */
} Table;

typedef struct Tensor {
  const char *name;  /* "coefficients" */
  uint32_t rows, cols; /* a vector has rows = 1 */
  double *v;
} Tensor;

typedef struct Model {
  const struct Estimator *est;
  uint32_t d;                /* width of the feature vector */
  char **feature;            /* d element names: "origin=ATL" */
  ModelTask task;
  uint32_t nout;             /* numbers that it gives for a row: model_outputs */
  uint32_t nclass;           /* multiclass; else 0 */
  char **class;              /* their names, ascending by bytes */
  Tensor *tensor;
  uint32_t ntensor;
  /* report: what a fit says of itself; not needed for scoring, kept in the bundle's metadata */
  uint32_t iterations;
  bool converged;
  char inference[96];        /* what standard errors and p-values rest on, or "none: why"; "" where the
                              * estimator has none at all */
  char warning[1200];        /* "" or why it did not converge, what was dropped */
  double *objective;         /* one value per iteration */
  uint32_t nobjective;
  uint64_t rows;             /* training rows */
  double weight;             /* their total weight */
  char solver[32];
} Model;
uint32_t model_outputs(ModelTask task, uint32_t nclass); /* regression and binary 1, multiclass nclass,
                                                          * cluster 2 */
/* Does the estimator have this task, and are the classes as a task wants them: at least two, ascending?
 * ST_DATA else. */
Status model_shape(const Model *m, Err *e);
const Tensor *model_tensor(const Model *m, const char *name);
/* copies */
Status model_add_tensor(Model *m, const char *name, uint32_t rows, uint32_t cols, const double *v, Err *e);

typedef struct Fitted {
  IrType type;               /* BOOL I64 F64 STR VEC LIST VOCAB TABLE MODEL MAT */
  uint8_t b;
  int64_t i;
  double f;
  char *s;                   /* STR: n bytes and NUL */
  uint32_t n;                /* STR bytes, LIST, VEC and VOCAB length */
  double *list;              /* LIST: ascending; VEC: n elements; MAT: rows x cols, row after row */
  uint32_t rows, cols;       /* MAT */
  Dict *vocab;               /* sorted, distinct */
  Map vocab_index;           /* level -> number */
  Table *table;
  Model *model;
} Fitted;

void fitted_free(Fitted *f);
Status fitted_save(const Fitted *f, Buf *out, Err *e);
/* `find` gives the estimator of a model by name (NULL: unknown -> error). */
Status fitted_load(Bytes in, const struct Estimator *const *registry, Fitted **out, Err *e);
Status fitted_vocab_index(Fitted *f, Err *e); /* builds vocab_index (load does it; makers call it) */
Status table_index(Table *t, Err *e);         /* checks order and builds index */
/* `all` becomes the table with a variant for each of the n others: variant 1 + f holds what without[f] has
 * for its keys, null where that has none. All have one variant each, and the same type and key parts. */
Status table_join(Table *all, const Table *const *without, uint32_t n, Err *e);

/* The canonical bytes of one key part: a tag byte, then bool: 1 byte; int: 8 bytes big-endian with the sign
 * bit flipped (memcmp order);
 * string: bytes, each 0 as 0 1, then 0 0. Concatenated for several parts. */
void key_put_b(Buf *k, bool v);
void key_put_i64(Buf *k, int64_t v);
void key_put_str(Buf *k, const char *s, uint32_t n);
/* bytes of the first parts of a key; 0: it is none */
size_t key_prefix(const uint8_t *p, size_t n, uint32_t parts);

typedef struct Env { /* the fitted values of a run, by number; NULL = not yet fitted */
  const Fitted **v;
  uint32_t n;
} Env;

#endif
