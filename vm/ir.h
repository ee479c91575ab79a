/* SPDX-License-Identifier: Apache-2.0 */
/* The IR: a program as the VM runs it, as bundles store it, as loopback and Spark ship it. The only IR there
 * is.
 *
 * Two levels. *Stages* form the DAG, in an order that can be run from first to last:
 *
 *   source  where rows come from: format, files, columns
 *   rows    of a source: checks, derived columns, filter, part, fold, weight. A data set; cached blocks
 *   fit     over the training rows of a data set: aggregates that become fitted values $0, $1, ...   ONE
 *   scan, then what quantiles need
 *   train   over the training rows: slots and target become a matrix, an estimator makes of it a fitted
 *           value, the model
 *   score   from raw columns to predictions: what a bundle holds; not run by `run` (predictions of rows are
 *           `predict`)
 *   evaluate  over a part: predictions and target, metrics, expectations
 *   predict   over a part: predictions and kept columns into a file
 *   transform  over a part: features, a column each, and kept columns into a file
 *   bundle    a file with a model's score stage and what it needs
 *
 * Inside a stage, a *row program*: flat, typed, columnar steps in SSA form; value number = index of its
 * step; arguments have smaller numbers. Fitted values stand in it as scalars, lists, vocabularies, tables,
 * models. ops.def says what each op means. Text form: ir/print.c. What holds of every program:
 * ir/verify.c. Everything lies in one arena; programs are read-only when run. */
#ifndef VM_IR_H
#define VM_IR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/option.h"
#include "base/task.h"
#include "vm/column.h"

enum { IR_GROUP_MOST = 256 }; /* stages that share scans */
enum { IR_VERSION = 1, OPS_VERSION = 1, MATH_VERSION = 1 };

typedef struct IrVal { /* one step */
  uint16_t op;        /* OP_*: ops.h */
  uint8_t type;       /* IrType */
  bool nullable;      /* some row may be null */
  bool scalar;        /* the same for all rows: constants, fitted values and what is computed from them
                       * only */
  uint32_t narg;
  uint32_t *arg;
  int64_t i;          /* const.i64, const.b; fitted id; check bounds; seed of hash/rng */
  double f;           /* const.f64; check.range lower */
  double g;           /* check.range upper */
  const char *s;      /* const.str, column name of col and check, part names */
  const double *list; /* const.list */
  const char **names; /* vec: element names (an entry may be ""); const.vocab, check.in: the strings */
  uint32_t nlist;     /* of list or names */
  uint32_t kept;      /* > 0: its rows may be kept from scan to scan; steps of this number are the same, of
                       * the same rows (ir/kept.c) */
  uint32_t line, col; /* where in the program it comes from; 0 = made by the compiler */
} IrVal;

typedef enum {
  OUT_COLUMN,  /* a named column: rows (kept for later stages), predict (written), evaluate (slices).
                * Predict, score: also a vector of probabilities, written as a column for each class
                * (written.h) */
  OUT_PART,    /* rows: i64 0.. = index in Stage.part names */
  OUT_FOLD,    /* rows: i64 0..folds-1 */
  OUT_WEIGHT,  /* rows: f64 */
  OUT_SLOT,    /* train, transform, and evaluate where metrics read the features: a named slot of the
                * feature vector: f64 or vec. Of transform it may be null, and a vector is written as a
                * column for each element */
  OUT_TARGET,  /* train, evaluate: f64 (bool as 0/1, a class as its number); none of models without a
                * target */
  OUT_SCORE,   /* evaluate: f64 prediction or probability, or vec of what the model gives; with a name: of
                * a model to compare with */
  OUT_INVALID, /* rows: bool: the row is dropped since a value lies outside of its domain; counted */
} OutRole;

typedef struct IrOut {
  OutRole role;
  const char *name;   /* COLUMN, SLOT */
  uint8_t kind;       /* COLUMN: Kind */
  uint32_t val;
} IrOut;

typedef struct RowProg {
  IrVal *val;
  uint32_t nval;
  IrOut *out;
  uint32_t nout;
} RowProg;

typedef struct IrInput { /* a file, or glob, of a source; the files of several are read one after the other */
  const char *format, *path;   /* path relative to the program's folder */
  const char **option;         /* name, value pairs as text */
  uint32_t noption;
} IrInput;

/* A column of a source that no file has: the number of the input that a row comes from, an int. */
#define IR_INPUT_COLUMN "(input)"

typedef struct IrColumn { /* of a source, or the input schema of a score stage */
  const char *name;
  uint8_t kind;       /* Kind */
  bool nullable;
} IrColumn;

typedef struct IrAgg { /* a fitted value of a fit stage; arguments are values of the stage's row program */
  uint32_t fitted;    /* its number */
  const char *op;     /* "mean.f64", "categories.str": agg.h */
  int32_t arg;        /* value, or -1 for count() */
  int32_t where;      /* bool value, or -1 */
  int32_t weight;     /* f64 value, or -1 */
  uint32_t nkey;      /* by: values (str, i64, b); 0 = ungrouped */
  uint32_t *key;
  double par;         /* q of quantile, n of quantiles, min_count of categories, max_terms of vocabulary */
  double par2, par3;  /* min_docs and max_share of vocabulary; 1: categories drops the first */
  bool crossfit;      /* grouped only: one table for each fold left out, and one of all rows */
  int32_t leave_out;  /* >= 0: rows of this fold are not counted: a variant of the table before it that has
                       * the same number; -1 */
  const char *text;   /* as shown: "mean(late) by destination" */
  uint32_t line, col;
} IrAgg;

typedef struct IrUnion { /* parts under one name: one that was divided again */
  const char *name;
  uint64_t parts;     /* a bit each by number */
} IrUnion;

typedef struct IrOption {
  const char *name;
  double num;         /* bool, int, float; index for enums */
  const char *str;    /* OPT_STRING, OPT_EXPR, or NULL */
  uint32_t n;         /* OPT_EACH: values of their own, beside num for the rest */
  const char **names; /* n: slots, or elements of slots */
  const double *list; /* n */
} IrOption;

typedef struct IrMetric {
  const char *name;   /* "precision" */
  const char *text;   /* "precision(threshold = 0.3)" */
  IrOption *option;   /* all of the metric's options, defaults filled in */
  uint32_t noption;
  const char *by;     /* OUT_COLUMN name, or NULL */
  int64_t top;        /* 0: all */
  int32_t fitted;     /* >= 0: its value becomes this fitted value; -1 */
  int32_t threshold;  /* >= 0: the option `threshold` is this fitted value; -1 */
  const char *vs;     /* the model it is compared with: name of its OUT_SCORE; or NULL */
  double vs_number;   /* the option `threshold` for that model, */
  int32_t vs_threshold; /* or >= 0: this fitted value */
} IrMetric;

/* a row program over one row: inputs `col "auc"` (nullable f64), one output COLUMN "ok" (bool) */
typedef struct IrExpect {
  RowProg prog;
  const char *text;
  uint32_t line, col;
} IrExpect;

typedef enum {
  STAGE_SOURCE,
  STAGE_ROWS,
  STAGE_FIT,
  STAGE_TRAIN,
  STAGE_SCORE,
  STAGE_EVALUATE,
  STAGE_PREDICT,
  STAGE_TRANSFORM,
  STAGE_BUNDLE
} StageKind;

typedef struct Stage {
  StageKind kind;
  const char *name;     /* "flights", "flights.rows", "flights.fit1", "late_model", "late_model.score",
                         * ...; unique */
  int32_t from;         /* the stage whose rows it reads (rows: source; fit..predict: rows), or -1 */
  int32_t part;         /* part read: index in the rows stage's parts, behind them in its unions; -1 = all
                         * rows */
  uint32_t seq; /* its place in the program as it was written: reports go by it. No two have the same */
  bool joins;           /* fit, train, evaluate: it shares its scans with the stage before it */
  RowProg prog;
  /* source */
  IrInput *input;
  uint32_t ninput;
  IrColumn *column;            /* source: what is read; score: what scoring needs */
  uint32_t ncolumn;
  const char **declared;       /* source: names of all declared columns in order: the names of a file
                                * without a header */
  uint32_t ndeclared;
  /* rows */
  const char **parts;
  uint32_t nparts;
  IrUnion *unions;
  uint32_t nunions;
  uint32_t folds;
  bool forward;                /* folds are consecutive in time: variant 1 + f of a table has the folds
                                * before f, not all but f */
  bool zones;                  /* row groups of which statistics tell that no row stays are not read */
  bool early;                  /* only to learn from what `expect` tests, or where to divide the rows; not
                                * what models read */
  /* fit */
  IrAgg *agg;
  uint32_t nagg;
  uint32_t level;              /* 0.. */
  /* train */
  const char *estimator;
  IrOption *options;           /* all of the estimator's options, defaults filled in */
  uint32_t noptions;
  uint32_t fitted;             /* train: number of the model value; score, evaluate, predict, bundle: the
                                * model used */
  const char *target;          /* as written, for reports; NULL: none */
  const char *positive;        /* shown name of the true class, or NULL */
  ModelTask task;                   /* train, and stages with a model */
  int32_t classes;             /* train: number of the fitted vocabulary of the target's classes
                                * (multiclass), or -1 */
  int32_t matrix;              /* train: the train stage before it that makes the same matrix of the same
                                * rows, or -1 */
  int32_t train;               /* score, evaluate, predict, bundle, transform: the train stage of the model;
                                * -1: a transform of no model */
  /* evaluate */
  bool seen;                   /* on training rows */
  int32_t program; /* evaluate: runs as one program with this stage, with which it shares scans, or
                    * -1: steps that both have are computed once */
  IrMetric *metric;
  uint32_t nmetric;
  IrExpect *expect;
  uint32_t nexpect;
  /* predict, transform, bundle: */
  const char *path;            /* relative to the program's folder */
  /* bundle: */
  int32_t score;               /* the score stage it holds */
  uint32_t line, col;
} Stage;

typedef struct Program {
  const char *name;            /* file name without folder */
  uint64_t seed;
  Stage *stage;
  uint32_t nstage;
  uint32_t nfitted;
} Program;

/* ---- ir/print.c, ir/read.c: print(parse(print(p))) == print(p). Reading never trusts its input: sizes
 * and nesting are bounded. ---- */
struct Buf;
void ir_print(const Program *p, struct Buf *out);
void ir_print_stage(const Program *p, uint32_t stage, struct Buf *out);
Status ir_parse(Arena *a, const char *text, uint32_t n, Program **out, Err *e);

/* The same for all rows: constants, fitted values and what is computed from them alone. */
bool ir_is_scalar(const RowProg *p, const IrVal *v);

/* Does it write rows to a file? */
static inline bool ir_writes_rows(const Stage *s) {
  return s->kind == STAGE_PREDICT || s->kind == STAGE_TRANSFORM;
}

/* The parts that a stage reads, a bit each by number; of all rows: all bits. Their name; "" for all rows. */
uint64_t ir_parts(const Program *p, const Stage *s);
const char *ir_part_name(const Program *p, const Stage *s);

/* The first of the stages that share scans with this one: itself, as a rule. */
uint32_t ir_group(const Program *p, uint32_t stage);

/* The parts of a stage whose rows read what was fitted without their own fold, a bit each. */
uint64_t ir_trained(const Program *p, const Stage *s);

/* Two evaluations of the same rows, which can run as one program. */
bool ir_runs_with(const Program *p, const Stage *a, const Stage *b);

/* One program that gives the outputs of all n, those of v[i] from number first[i] on; a step that several
 * have is there once. false: memory. */
bool ir_merge(Arena *a, const RowProg *const *v, uint32_t n, RowProg *out, uint32_t *first);

/* Certain, of rows of which only `zone` is known, one for each column: none stays, and none is an error. */
bool ir_zone_none(const RowProg *p, const IrColumn *col, const Zone *zone, uint32_t ncol);

/* Why statistics of row groups never tell that of a rows stage with a filter; NULL: they may. *at: the
 * condition of its first filter, or NULL. */
const char *ir_zone_obstacle(const Program *p, const Stage *rows, Arena *a, const IrVal **at);

/* The same step, its arguments and constants included; where it stands in the program does not count. */
bool ir_same_val(const IrVal *a, const IrVal *b);

/* ir/kept.c. May a step of this stage be kept? It is long to compute, a sparse vector, and never null;
 * nothing fitted is in it, and nothing in it can be a data error. Is it the same as step j of b: the same
 * steps, of the same rows? */
bool ir_may_keep(const Stage *s, uint32_t i);
bool ir_same_kept(const Program *p, const Stage *a, uint32_t i, const Stage *b, uint32_t j);
/* Room in IrVal.kept; the greatest number there is. */
enum { IR_KEPT_MOST = 64 };
uint32_t ir_kept(const Program *p);
/* The step with this number, or -1. */
int64_t ir_kept_step(const RowProg *g, uint32_t number);
/* Marks what the step is made of, itself included: read[i] of the steps up to it. */
void ir_reach(const RowProg *g, uint32_t step, bool *read);
/* Only these steps, as a program with one output, a column. false: memory. */
bool ir_only(Arena *a, const RowProg *g, uint32_t step, RowProg *out);

/* The stage whose seq is k; k itself, as a rule. */
uint32_t ir_written(const Program *p, uint32_t k);

/* Do two stages give the same outputs from the same rows? Then their programs are equal step by step. */
bool ir_same_rows(const Stage *a, const Stage *b);

/* ---- ir/verify.c: every rule a program keeps; after each pass in test builds, always after reading one.
 * ---- */
Status ir_verify(const Program *p, Err *e);

#endif
