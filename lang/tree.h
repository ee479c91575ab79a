/* SPDX-License-Identifier: Apache-2.0 */
/* The checked tree: what the checker gives and the compiler takes. Resolved, typed, with every `fn` expanded.
 *
 * Expressions are a DAG of Nodes, hash-consed within a compilation: equal expressions are one Node, so a
 * pointer comparison is a common subexpression, and a memo by `id` visits each once. Operators, casts and
 * native functions are all N_CALL with the name of an operation of the VM (from stdlib/native.cml); `fn`
 * parameters and `let`s are gone. Lists are arrays. */
#ifndef LANG_TREE_H
#define LANG_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "lang/ast.h"
#include "lang/catalog.h"
#include "lang/source.h"

typedef enum {
  TY_ERROR, /* an error was reported: fits everything */
  TY_BOOL, TY_INT, TY_FLOAT, TY_STRING, TY_CATEGORY, TY_TIMESTAMP, TY_DATE, TY_DURATION,
  TY_LIST,   /* of elem: list<float>; list<category> = a vocabulary; list<string> = the strings of a row */
  TY_VECTOR, /* of floats: what indicator() and [a, b] give; a written one may have elements of any type */
  TY_MATRIX, /* fitted: covariance(v) */
} TypeKind;

typedef enum { PH_CONST, PH_FITTED, PH_ROW } Phase; /* a lower phase passes for a higher one */

typedef struct Type {
  TypeKind kind;
  TypeKind elem;  /* TY_LIST; N_VECTOR: TY_FLOAT, or the type of the first element that is no number */
  bool nullable;
  uint32_t width; /* TY_VECTOR: 0 = learned from data */
} Type;

typedef struct Node Node;

typedef enum {
  N_LIT,    /* b, i, f or s by type */
  N_COLUMN, /* column */
  N_CALL,   /* op(args) */
  N_LIST,   /* args: a list literal; its phase is the highest of theirs (never row) */
  N_VECTOR, /* args with names: [sin = .., cos = ..]; names[i] as check_vector.c says: NULL, `sin`, `.age`,
             * `~age` */
  N_AGG,    /* an aggregate: op(args) where where, weight, by keys. Phase fitted; with keys (nby > 0) a
             * table look-up: phase row */
} NodeKind;

struct Node {
  NodeKind kind;
  Phase phase;
  Type type;
  uint32_t id;        /* 0.. in order of creation; arguments have smaller ones */
  Span span;          /* of its first occurrence in the user's program (of the call, for what comes from a
                       * stdlib fn) */
  const char *op;     /* N_CALL: "log1p.f64"; N_AGG: "mean.f64" */
  const char *shown;  /* name as the user knows it: "log1p", "+" */
  Node **arg;
  uint32_t narg;
  Node *where;        /* N_AGG, or NULL; bool */
  Node *weight;       /* N_AGG, or NULL; float */
  Node **by;          /* N_AGG: the keys, categories/ints/bools/dates */
  uint32_t nby;
  const char **names; /* N_VECTOR */
  struct TColumn *column;
  bool b;
  int64_t i;
  double f;
  const char *s;      /* string or category literal */
};

typedef enum { INVALID_ERROR, INVALID_NULL, INVALID_DROP } OnInvalid;

typedef struct TColumn { /* a column of a data set: from the file, or derived */
  const char *name;
  Type type;
  Span span;
  Node *derive;        /* NULL: from the file */
  uint32_t step;       /* derived: index of its clause in TData.step */
  bool declared;       /* in `schema` (else inferred) */
  bool known;          /* marked `known` */
  bool has_min, has_max; /* domain as a range: int and float columns (ints as exact doubles below 2^53,
                          * else i fields) */
  double min, max;
  const char **in;     /* domain as a list of strings, or NULL */
  uint32_t nin;
  bool ordered;
  OnInvalid on_invalid;  /* what becomes of a value outside the domain */
  bool used;           /* something of the program reads it */
  struct TData *data;
} TColumn;

typedef enum { STEP_WHERE, STEP_DERIVE, STEP_WEIGHT, STEP_SPLIT, STEP_SAMPLE, STEP_EXPECT } StepKind;
typedef struct TStep { /* a row clause, in the order written */
  StepKind kind;
  Span span;
  Node *expr;        /* where, weight, expect */
  TColumn *column;   /* derive */
  uint32_t number;   /* split, sample: of TData.split, TData.sample */
  const char *text;  /* expect: as written */
} TStep;

typedef enum { SPLIT_HASH, SPLIT_RANDOM, SPLIT_VALUE, SPLIT_TIME, SPLIT_SOURCE } SplitKind;

typedef struct TPart {
  const char *name;
  double share;    /* 0.8; 0 for `by value` */
  Span span;
  int32_t split;   /* the split that divides it again, or -1 */
  int32_t leaf;    /* its number among the parts that are not divided again, or -1 */
  uint64_t leaves; /* those that it consists of, a bit each */
} TPart;

typedef struct TSplit {
  SplitKind kind;
  Span span;
  int32_t of;         /* the part that it divides again; -1: all rows, the first split */
  uint32_t first, n;  /* its parts: TData.part[first], ... */
  Node **key;         /* hash: keys; value: the column that names the part; time: the time */
  uint32_t nkey;
  Node **stratum;     /* random: proportions hold within each value of these */
  uint32_t nstratum;
  int64_t seed;       /* random: 0 unless given */
} TSplit;

typedef struct TSample { /* thins out a part */
  int32_t part;
  double share;       /* that stays */
  Node *where;        /* only of these rows; NULL: of all */
  Node **key;         /* by hash; none: by random */
  uint32_t nkey;
  int64_t seed;
} TSample;

typedef struct TSource {
  const char *part;    /* `from train = csv(..)`, or NULL */
  const char *format;
  const char *path;
  const char **option; /* name, value pairs, as CatSource */
  uint32_t noption;
  Span span;
} TSource;

typedef struct TData {
  const char *name;
  const char *doc;
  Span span;
  TSource *source;  /* inputs, one behind the other */
  uint32_t nsource;
  TColumn **column; /* file columns that are declared or inferred, then derived ones, in order */
  uint32_t ncolumn;
  TStep *step;
  uint32_t nstep;
  TSplit *split;    /* the first divides all rows, others a part of one before them */
  uint32_t nsplit;
  TPart *part;      /* of all splits */
  uint32_t npart;   /* 0: no split */
  uint32_t nleaf;   /* parts that are not divided again: what a row belongs to */
  TSample *sample;
  uint32_t nsample;
  Node **group;     /* rows with equal keys stay together in splits and folds; none: no `group` */
  uint32_t ngroup;
  Span group_span;
  int folds;        /* 5 */
} TData;

typedef struct TSlot {
  const char *name;
  const char *doc;
  Node *expr;       /* a number (int, bool, float: cast to float already) or a vector */
  const Expr *written;
  Span span;
} TSlot;

typedef struct TFeatures {
  const char *name;
  const char *doc;
  Span span;
  TData *data;
  TSlot *slot;
  uint32_t nslot;
} TFeatures;

typedef struct TOption {
  const char *name;
  const Option *spec;
  Node *value;       /* const phase; int widened to float where spec is OPT_FLOAT; NULL where `each` is
                      * given */
  const char **names; /* OPT_EACH as [slot = value, ..]: slots, or elements of them */
  Node **each;
  uint32_t neach;
  Span span;
} TOption;

typedef struct TBest { /* `threshold = best(f1, on = d.valid)` */
  const char *text;  /* what is to be best: "f1" */
  const CatMetric *metric; /* best_threshold */
  TOption *option;   /* of the metric best_threshold */
  uint32_t noption;
  const struct TData *data;
  const char *part;
  bool seen;         /* the training rows */
  Span span;
} TBest;

typedef struct TModel {
  const char *name;
  const char *doc;
  Span span;
  const CatEstimator *estimator;
  TData *data;
  const char *part;  /* "train" or what `on` says; NULL: all rows */
  TFeatures **block;
  uint32_t nblock;
  ModelTask task;         /* one of the estimator's */
  Node *target;      /* bool for TASK_BINARY, float for regression (cast inserted), text for
                      * TASK_MULTICLASS; a category with `positive` is compared already. NULL for
                      * TASK_CLUSTER */
  Node *classes;     /* TASK_MULTICLASS: the aggregate categories(target); else NULL */
  const char *target_text; /* as written, for reports */
  const char *positive;    /* level of a category target, or NULL */
  TOption *option;
  uint32_t noption;
  const char *offset;      /* as written, or NULL: then the last block is a slot that is the offset */
  TFeatures *offset_block;
  TBest *best;             /* the threshold is chosen, or NULL */
} TModel;

typedef struct TMetric {
  const CatMetric *metric;
  const char *text;     /* "precision(threshold = 0.3)": its name in reports */
  TOption *option;
  uint32_t noption;
  TColumn *by;          /* slice column, or NULL */
  struct TModel *vs;    /* the model it is compared with, or NULL */
  int64_t top;          /* the n most frequent values; 0: all */
  Span span;
} TMetric;

typedef struct TExpect {
  Node *expr;           /* bool; metrics are N_COLUMNs of a pseudo data set whose column names are
                         * TMetric.text */
  const char *text;     /* as written */
  Span span;
} TExpect;

typedef struct TEvaluate {
  Span span;
  TModel *model;
  TData *data;
  const char *part;     /* NULL: all rows (only where the data have no split) */
  bool seen;            /* on training rows: marked in reports */
  TMetric *metric;
  uint32_t nmetric;     /* those written, and those that only an expect names, in order of first mention */
  TExpect *expect;
  uint32_t nexpect;
} TEvaluate;

typedef enum { EXPORT_BUNDLE, EXPORT_PREDICTIONS, EXPORT_FEATURES } ExportKind;
typedef struct TExport {
  ExportKind kind;
  Span span;
  TModel *model;        /* features of a block by itself: one that is not in Tree.model, without estimator
                         * and target: whose rows it is fitted on, and the block */
  const char *path;     /* relative to the program's folder, {param} interpolated */
  TData *data;          /* predictions, features */
  const char *part;
  TColumn **keep;       /* columns to keep; by default, of predictions, every column of the file that is
                         * declared or inferred */
  uint32_t nkeep;
} TExport;

typedef struct TParam {
  const char *name;
  const char *doc;
  Type type;
  Node *value;          /* N_LIT: from the command line, the environment or the default */
  Span span;
} TParam;

typedef struct Tree {
  const char *path;     /* of the program file */
  const char *dir;      /* its folder, "." when none */
  uint16_t file;        /* its number among the sources; places in other files are not kept in the program */
  TParam *param;
  uint32_t nparam;
  TData **data;
  uint32_t ndata;
  TFeatures **features;
  uint32_t nfeatures;
  TModel **model;
  uint32_t nmodel;
  TEvaluate *evaluate;
  uint32_t nevaluate;
  TExport *export_;
  uint32_t nexport;
  uint32_t nnode;       /* Node ids are below this */
} Tree;

typedef struct CheckOptions {
  const char *const *define; /* name, value, name, value, ...: -p name=value */
  uint32_t ndefine;          /* pairs */
  bool no_data;
  Status *outcome; /* may be NULL. Out: ST_OK; ST_PROGRAM; or, when the only errors are files that cannot
                    * be read, what reading gave */
} CheckOptions;

/* A library: stdlib modules parsed once. `name` is a path such as "stdlib/scale.cml", or "scale" for
 * short. */
typedef struct Library Library;
Library *library_new(Arena *a, struct Diags *d, const char *const *name, const char *const *text, uint32_t n);
const Ast *library_ast(const Library *l, uint32_t i); /* for cmlc doc; NULL past the end */

/* Checks a parsed program against library and catalog. NULL when there were errors (they are in d). */
Tree *check_program(Arena *a, struct Diags *d, const Ast *ast, const Library *lib, const Catalog *cat,
                    const CheckOptions *opt);

/* Is the column, or anything it is derived from, the target or computed from what the target is computed
 * from? (language.md: the target's family). The compiler asks it to decide what is cross-fitted. */
bool tree_in_family(const Node *n, const Node *target);

#endif
