/* SPDX-License-Identifier: Apache-2.0 */
/* The checker's own state, shared by check*.c and by nobody else. The result is in tree.h.
 *
 * Order of work (check.c): collect names; params; fn bodies, each once with stand-ins for its parameters;
 * data; features; models; evaluate; export; what is unused. Declarations name each other in any order, so
 * each kind has an Info that is found by name, and `broken` marks one that had an error: who uses it says
 * nothing more. */
#ifndef LANG_CHECK_H
#define LANG_CHECK_H

#include "lang/diag.h"
#include "lang/native.h"
#include "lang/node.h"
#include "lang/scope.h"
#include "lang/type.h"

enum { EXPANSIONS_MAX = 100000 };

typedef struct FnInfo {
  const Decl *decl;
  enum {
    FN_NEW,
    FN_OPEN,
    FN_GOOD,
    FN_BROKEN
  } state; /* OPEN: its body is being checked: met again, it is a cycle */
  bool used;
  struct FnInfo *under; /* the function whose body asked for this one, while OPEN */
} FnInfo;

typedef struct ParamInfo {
  const Decl *decl;
  TParam *param; /* NULL: had an error */
  bool used;
} ParamInfo;

typedef struct DataInfo {
  TData *t;
  const Decl *decl;
  Table column;  /* name -> TColumn, those visible so far */
  Table derive;  /* name -> Item: every derive of the block */
  Table refused; /* name -> why: columns of a type that cannot be read */
  Table said;    /* names that are no columns, of which no more is to be said */
  uint32_t ncolumn_cap, nstep_cap, npart_cap, nsplit_cap, nsample_cap;
  TColumn **nonnull; /* columns that a `where x is not null` has tested */
  uint32_t nnonnull, nonnull_cap;
  bool broken;    /* its columns are not known */
  bool bad_split; /* the split had an error: parts may be missing */
  bool part_missed; /* a clause named a part where there are none */
  bool used;
} DataInfo;

typedef struct FeaturesInfo {
  TFeatures *t;
  const Decl *decl;
  DataInfo *data; /* NULL: had an error */
  Table element;  /* names of features: slots, and elements of vectors with names */
  uint32_t bad;   /* slots that had an error */
  bool alone;     /* it is exported by itself and no model uses it: its slots may be null */
  bool used;
} FeaturesInfo;

typedef struct ModelInfo {
  TModel *t;
  const Decl *decl;
  DataInfo *data;
  bool broken;
  bool used;
} ModelInfo;

typedef struct EvalInfo { /* while the expects of an evaluate are checked */
  ModelInfo *model;
  TEvaluate *t;
  Table value; /* text of a metric -> the TColumn that stands for its value */
  uint32_t metric_cap, expect_cap;
} EvalInfo;

typedef struct Check {
  Arena *a;
  Diags *d;
  const Ast *ast;
  const Library *lib;
  const Catalog *cat;
  const CheckOptions *opt;
  Tree *tree;
  NodeTab nodes;
  Node *error;                            /* of TY_ERROR: what an expression with an error is */
  Table fn, param, data, features, model; /* name -> the Info */
  Table said; /* names of models and data sets that are none, and that this was said of */
  FnInfo *open;                           /* innermost function whose body is being checked */
  uint32_t expansions;
  Status source_status;   /* of the first file that could not be read, */
  uint32_t source_errors; /* and how many errors are of that sort */
  uint32_t param_cap, data_cap, features_cap, model_cap, evaluate_cap, export_cap;
} Check;

/* ---- Expressions ---- */

typedef enum { AT_FN, AT_PARAM, AT_DATA, AT_FEATURES, AT_TARGET, AT_OFFSET, AT_OPTION, AT_EXPECT } Place;

typedef struct Ctx { /* where an expression stands and what it sees */
  Check *c;
  Place place;
  Local *names;
  DataInfo *data;    /* whose columns are seen, or NULL */
  EvalInfo *eval;    /* whose metrics are seen, or NULL */
  const Item *item;  /* the entry, for remedies; or NULL */
  const Decl *owner; /* the declaration it stands in */
  const char *fn;    /* name of the function whose body this is, or NULL */
  Span outer;        /* inside a library function: the call in the program, where messages point */
  const char *via;   /* the function being expanded, for messages; or NULL */
  Span via_at;
  const char *top; /* the outermost one, as the entry calls it */
  Span top_at;
  bool tests; /* in an `expect` of data: aggregates over all rows are allowed */
  bool *told; /* an aggregate out of place was reported for this entry */
  uint32_t depth;
} Ctx;

Node *expr_check(Ctx *x, const Expr *e);                 /* never NULL; TY_ERROR after a report */
Node *expr_bool(Ctx *x, const Expr *e, const char *who); /* must be a bool */
/* A native by name on checked operands (operators are natives: add is shown as `+`). */
Node *expr_native(Ctx *x, const char *name, const char *shown, Node **arg, uint32_t n, Span at);
/* The Node of a native (or aggregate) that was chosen: arguments cast, null and phase rules applied. */
Node *native_node(Ctx *x, const Native *f, const char *shown, Node *const *arg, uint32_t n, Type bound,
                  Span at);
/* Of it, for aggregates too: the operation's name for a representation; an argument as the native takes it;
 * whether literals fit (reported); `drop = "first"` as a number. */
const char *native_op(Check *c, const Native *f, Type bound);
Node *native_arg(Ctx *x, const NativeParam *p, const char *shown, Node *arg, Type bound, Span at);
bool native_literals_fit(Ctx *x, const char *op, Node *const *arg, Span at);
Node *native_drop(Ctx *x, Node *drop, Span at);
/* `n` as a `want`, widened; an error at `at` when it does not fit: "WHO takes an int, and this
 * is a float"; a `who` that ends in " is" has its verb. Nullability is not judged. */
Node *expr_coerce(Ctx *x, Node *n, Type want, Span at, const char *who);
Node *call_check(Ctx *x, const Expr *e, const Arg *keys, Span at);  /* f(..); keys: of `by`, or NULL */
Node *literal_at_instant(Ctx *x, Node *n, TypeKind other, Span at); /* "2001-01-01" beside a date: the date */

Span ctx_span(const Ctx *x, Span inner);         /* `inner`, or the call that led into the library or a
                                                  * module */
const char *source_text(const Check *c, Span s); /* the program's own words, on one line */
Diag *ctx_error(const Ctx *x, const char *code, Span at, const char *remedy, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* What to do about a column of a file that cannot be read, for the reason `why`. */
const char *source_unread(Check *c, const char *name, const char *why);
bool type_written(Check *c, const TypeExpr *t, Type *out); /* false: reported */
Phase phase_written(const TypeExpr *t);
void local_unused(Check *c, const Local *l); /* warns of a `let` that nothing reads */

/* ---- Calls and functions ---- */

typedef struct Binding {   /* arguments to parameters */
  const char *const *name; /* of the parameters */
  const bool *optional;
  uint32_t n;
  const Arg **arg; /* out: by parameter, or NULL */
} Binding;

typedef enum { BIND_OK, BIND_MANY, BIND_UNKNOWN, BIND_TWICE, BIND_MISSING } BindResult;
BindResult bind_args(Binding *b, const Arg *args, const Arg **culprit, uint32_t *which);
void bind_error(Ctx *x, const Expr *e, const Binding *b, BindResult r, const Arg *culprit, uint32_t which,
                const char *signature);
/* A parameter that is `const` or `fitted` does not take what is known only later. False: reported. */
bool phase_fits(Ctx *x, const Node *n, Phase takes, const char *fn, const char *param, Span at);
void fn_check(Check *c, FnInfo *f, uint32_t depth);    /* its body, once */
void fn_cycle(Ctx *x, const FnInfo *f, const Expr *e); /* reports that `f` calls itself */
Node *fn_expand(Ctx *x, const Decl *fn, const Expr *e, Span at, bool library);

/* ---- Vectors: check_vector.c ---- */

typedef Node *VectorFn(Ctx *x, Node **arg, uint32_t n, void *with); /* of one element of each vector */

bool vectors_among(Node *const *arg, uint32_t n);   /* is one a vector? (entries may be NULL) */
bool vectors_written(Node *const *arg, uint32_t n); /* and are all of those known element by element? */
/* Does a native of this name take a single value where a vector is given? */
bool native_elementwise(const Native *f, Node *const *arg, uint32_t n);
/* `one` for each element of the written vectors among arg, as a vector; what is no vector is given to
 * each. */
Node *vector_map(Ctx *x, const char *shown, Node **arg, uint32_t n, VectorFn one, void *with, Span at);
/* The width of what operation `op` gives; false: reported, the arguments do not go together. */
bool vector_result(Ctx *x, const char *shown, const char *op, Node *const *arg, uint32_t n, Type *t, Span at);
Node *vector_make(Ctx *x, Node **v, const char **names, uint32_t n, Span at);
Node *vector_of_list(Ctx *x, Node *n);                                  /* [1, 2] as a vector */
/* elements as floats; a number as a vector of one */
Node *vector_floats(Ctx *x, Node *n, Span at, const char *who);
/* of an element: `sin`, `.age`, or NULL */
const char *vector_name(const Node *v, uint32_t k);
Node *each_check(Ctx *x, const Expr *e);
const Expr *each_in(const Expr *e); /* the first `each` written in it, or NULL */

/* ---- Options (of sources, estimators, metrics) ---- */

/* Checks one option against a table: name, type, range. NULL: reported. The value is a literal or a const
 * expression. */
const Option *option_check(Ctx *x, const Option *table, const char *who, const Arg *arg, Node **value);
const char *option_text(Arena *a, const Node *value); /* a literal as text: "false", "0.3" */
/* "a {param} b" with values put in; NULL: reported. */
const char *path_text(Ctx *x, const Expr *e, const char *who);

/* `lower = [slot = value, ..]`: fills names and each of *out; false: reported. */
bool option_numbers(Ctx *x, const ModelInfo *m, const Option *o, const Arg *given, TOption *out);
/* `offset = expression`: a slot of its own, behind the others; an error leaves the model broken. */
void offset_check(Check *c, ModelInfo *m, const Arg *given);

/* ---- Declarations ---- */

void param_check(Check *c, ParamInfo *p);
void data_check(Check *c, DataInfo *d);
void source_check(Ctx *x, DataInfo *d, const Item *from,
                  const Item *schema); /* from, schema, the file's own columns */
void features_check(Check *c, FeaturesInfo *f);
void model_check(Check *c, ModelInfo *m);
bool best_written(const Arg *g); /* check_best.c: thresholds that are chosen */
bool vs_check(Ctx *x, const Expr *e, TMetric *m); /* check_vs.c: false: reported */
void best_check(Check *c, ModelInfo *m);
void best_unseen(Check *c, const TModel *m, const TEvaluate *t, Span at);
const CatMetric *metric_named(const Check *c, const char *name);
void evaluate_check(Check *c, const Decl *decl);
ModelInfo *model_named(Check *c, const Decl *decl); /* of evaluate, export; NULL: reported */
void export_check(Check *c, const Decl *decl);

TColumn *data_column(DataInfo *d, const char *name); /* visible, or NULL */
/* Both say so once of each name: there is no such model or data set; it is no column of `d`. */
void not_declared(Check *c, const Table *of, const char *name, Span at);
void no_column(Ctx *x, DataInfo *d, const Expr *name, const char *remedy);
void data_step(Check *c, DataInfo *d, TStep step);
bool data_nonnull(const DataInfo *d, const Node *n); /* in the rows that the `where`s so far keep */
void split_check(Ctx *x, DataInfo *d, const Item *i);
void group_check(Ctx *x, DataInfo *d, const Item *i);
void sample_check(Ctx *x, DataInfo *d, const Item *i);
void split_part(Ctx *x, DataInfo *d, TPart part);    /* one more part, and the split that all since the one
                                                      * before make */
void split_done(Ctx *x, DataInfo *d, TSplit s);
void split_end(Ctx *x, DataInfo *d);                 /* when all clauses were read */
TPart *data_part(const TData *t, const char *name);  /* or NULL */
uint64_t data_leaves(const TData *t, const char *part); /* the undivided parts of a part; NULL: all */
const char *data_parts(Check *c, const TData *t);    /* "`train`, `test`" */
/* DATA or DATA.part, as in `on`; NULL data: reported. *part is NULL for all rows. */
DataInfo *part_named(Check *c, const Expr *e, const char *who, const char **part);
Node *metric_value(Ctx *x, const Expr *e); /* a name or call in an expect: a metric; NULL: it is none */
bool is_metric(const Check *c, const char *name);

/* The way by which `n` reads a column of the target's family outside cross-fitting ("`x` -> `delay`"), or
 * NULL. Keys of look-up tables count: *key is set to the one at fault. */
const char *family_path(Check *c, const Node *n, const Node *target, const Node **key);

#endif
