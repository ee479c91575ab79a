/* SPDX-License-Identifier: Apache-2.0 */
/* The syntax tree: what the parser builds and fmt prints. Nothing here is resolved or typed; see tree.h for
 * that.
 *
 * Everything lies in the compilation's arena. Lists are linked through `next`, in source order. Names are
 * interned C strings. */
#ifndef LANG_AST_H
#define LANG_AST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "lang/source.h"

/* ---- Expressions ---- */

typedef enum {
  E_INT,     /* 15, 10k, 10M: i */
  E_FLOAT,   /* 0.5, 1e-4, 5%: f */
  E_STRING,  /* "abc": name */
  E_BOOL,    /* true false: i */
  E_NULL,    /* null (only an option's value, as in `null = "?"`; an expression `null` is an error of the
              * checker) */
  E_NAME,    /* x, `emp.var.rate`: name */
  E_DOT,     /* users.age, flights.train: name = "age", a = E_NAME users */
  E_CALL,    /* f(x, k = 3), and mean(x where ok): name, args, where */
  E_LIST,    /* [a, b] and [sin = a, cos = b]: args (Arg.name set for a named vector) */
  E_UNARY,   /* - not: op, a */
  E_BINARY,  /* + - * / div mod ^ == != < <= > >= and or: op, a, b */
  E_IF,      /* if a then b else c */
  E_IN,      /* a in b; b is E_RANGE, E_LIST; negated: op == OP_NOT_IN */
  E_IS_NULL, /* a is null / a is not null (op == OP_IS_NOT_NULL) */
  E_RANGE,   /* lo..hi: a, b; either may be NULL in a domain */
  E_BY,      /* a by name, a by (n, m): a = the aggregate call, args = the keys */
  E_EACH,    /* each float except [price]: name = the kind, args = the exceptions */
  E_VS,      /* auc vs baseline: a = the metric (E_NAME, E_CALL), name = the other model */
  E_ERROR,   /* the parser recovered here: no further message */
} ExprKind;

typedef enum {
  OP_NONE, OP_NEG, OP_NOT,
  OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_IDIV, OP_MOD, OP_POW,
  OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE,
  OP_AND, OP_OR,
  OP_IN, OP_NOT_IN, OP_IS_NULL, OP_IS_NOT_NULL,
} Operator;

typedef struct Expr Expr;

typedef struct Arg { /* an argument, list element, option or key */
  const char *name;  /* of `k = 3`, else NULL */
  Span name_span;
  Expr *value;
  struct Arg *next;
} Arg;

struct Expr {
  ExprKind kind;
  Operator op;
  Span span;         /* the whole expression */
  Span name_span;    /* of `name`, for carets */
  const char *name;
  const char *text;  /* E_INT, E_FLOAT: as written ("5%", "10k"), for fmt */
  double f;
  int64_t i;
  Expr *a, *b, *c;
  Arg *args;
  Expr *where;       /* E_CALL */
  bool paren;        /* it stood in parentheses: for fmt */
  uint16_t height;   /* of the tree below, leaves 1: the parser bounds it, so that walks may recurse */
};

/* ---- Types as written ---- */

typedef struct TypeExpr {
  const char *name;       /* "float", "category", "list", "vector", or a type variable "T" in native
                           * declarations */
  struct TypeExpr *elem;  /* list<float> */
  Expr *width;            /* vector<3> */
  bool nullable;          /* ? */
  const char *phase;      /* "const" or "fitted" before it (`k: const int`), else NULL */
  Span span;
} TypeExpr;

typedef struct Parameter { /* of a function */
  const char *name;
  Span span;
  TypeExpr *type;          /* NULL: not written, an error of the checker */
  Expr *def;               /* default value, or NULL */
  struct Parameter *next;
} Parameter;

/* ---- Declarations ---- */

typedef enum { D_PARAM, D_FN, D_NATIVE, D_DATA, D_FEATURES, D_MODEL, D_EVALUATE, D_EXPORT, D_USE } DeclKind;

typedef enum { /* entries inside the braces of data, features, evaluate, export and of a fn with a body */
  I_FROM,      /* from csv("x", header = false): expr = E_CALL */
  I_SCHEMA,    /* schema { ... }: columns */
  I_WHERE,     /* where EXPR */
  I_DERIVE,    /* derive name = EXPR (several separated by commas make several entries) */
  I_WEIGHT,    /* weight EXPR */
  I_SPLIT,     /* split [name:] train 80%, test 20% by hash(k): name = the part divided again, parts, expr
                * = E_CALL of the method */
  I_GROUP,     /* group KEY: by */
  I_SAMPLE,    /* sample train 10% [by random(seed = 1)] [where COND]: name, of = the share, expr = the
                * method, top = the condition */
  I_FOLDS,     /* folds 5: expr */
  I_LET,       /* let n = EXPR */
  I_SLOT,      /* name = EXPR in features */
  I_METRIC,    /* auc, auc by origin top 10, precision(threshold = 0.3): expr = E_NAME or E_CALL, by, top */
  I_EXPECT,    /* expect EXPR */
  I_BUNDLE,    /* bundle "late.cmlm": expr = E_STRING */
  I_PREDICTIONS, /* predictions of flights.test [keep [a, b]] to "scored.parquet": of, args = kept, expr =
                  * the path */
  I_FEATURES,  /* features of flights.test [keep [a, b]] to "features.parquet": as I_PREDICTIONS */
  I_OTHER,     /* a known clause of a later version or an unknown word: name; the checker reports it by
                * name */
} ItemKind;

typedef struct SchemaColumn {
  const char *name;
  const char *doc;
  Span span;
  TypeExpr *type;
  Expr *domain;       /* E_RANGE, E_LIST, or NULL */
  bool ordered;       /* in [..] ordered */
  Expr *on_invalid;   /* of `on_invalid = drop`: E_NAME, E_NULL, or NULL */
  bool known;         /* `known`: available at prediction time though the target is computed from it */
  Span comment_from;  /* see Comment */
  struct SchemaColumn *next;
} SchemaColumn;

typedef struct Part {
  const char *name;
  Span span;
  Expr *share; /* E_FLOAT 0.8 (80%), or NULL for `by value` */
  struct Part *next;
} Part;

typedef struct Item {
  ItemKind kind;
  Span span;
  const char *doc;       /* ## lines before it, or NULL */
  const char *name;
  Span name_span;
  Expr *expr;
  Expr *of;              /* I_PREDICTIONS: E_DOT or E_NAME; I_SAMPLE */
  Arg *args;
  SchemaColumn *columns; /* I_SCHEMA */
  Part *parts;           /* I_SPLIT */
  Arg *by;               /* I_METRIC, I_GROUP */
  Expr *top;             /* I_METRIC: top n, or NULL; I_SAMPLE */
  struct Item *next;
} Item;

typedef struct Decl {
  DeclKind kind;
  Span span;
  const char *doc;
  const char *name;      /* param, fn, data, features, model; the model's name in evaluate and export; use
                          * NAME (else expr: the path) */
  Span name_span;
  Parameter *params;     /* fn, native */
  TypeExpr *type;        /* param, fn (declared result or NULL), native (result) */
  Expr *expr;            /* param: default (or NULL); fn: body; model: E_CALL estimator (first arg is
                          * E_FORMULA-like: see target/blocks) */
  Item *items;           /* data, features, evaluate, export; fn with braces: its I_LETs (expr is the last
                          * expression) */
  const char *of;        /* features NAME of DATA; */
  Span of_span;
  Expr *on;              /* evaluate M on flights.test: E_DOT or E_NAME */
  /* model NAME = estimator(target ~ a + b, option = value) */
  const char *estimator;
  Span estimator_span;
  Expr *target;          /* left of ~; NULL when the estimator was written without a formula */
  Expr *formula;         /* right of ~: E_NAME, or E_BINARY OP_ADD of names; anything else is reported by
                          * the checker */
  Arg *options;          /* named arguments of the estimator */
  /* native fn / native aggregate NAME(params): type = "op" */
  bool aggregate;
  const char *op;
  struct Decl *next;
} Decl;

/* every # comment, in order; fmt puts them back; `own_line` = nothing stood before it on its line */
typedef struct Comment {
  Span span;
  bool own_line;
  struct Comment *next;
} Comment;

typedef struct Module { /* a file that `use` named */
  uint16_t file;
  const char *dir;       /* its folder: absolute, or relative to that of the program; "" is the program's
                          * own */
  Decl *use;             /* the first declaration that named it */
  struct Module *next;
} Module;

typedef struct Ast {
  uint16_t file;
  Module *modules;       /* program_read: every file read beside it; their declarations follow the
                          * program's own */
  const char *doc; /* ## lines at the top that are followed by a blank line, or NULL */
  Decl *decls;
  Comment *comments;
} Ast;

struct Diags;
/* Parses one file of d->sources. Always gives a tree; errors go to `d` (the parser recovers at entry and
 * declaration ends). */
Ast *parse_file(Arena *a, struct Diags *d, uint16_t file);

/* How modules are found and read. Text and path of a module come from `read`, which says ST_DATA where the
 * file is not there. */
typedef struct ModuleReader {
  const char *const *folder; /* where `use NAME` looks for NAME.cml, in order; absolute; ends with NULL */
  Status (*read)(void *ctx, Arena *a, const char *path, const char **text, uint32_t *n, Err *e);
  void *ctx;
} ModuleReader;
/* parse_file, and then every module it uses, each once, whoever uses it. What a module declares is
 * declared in the program. */
Ast *program_read(Arena *a, struct Diags *d, uint16_t file, const ModuleReader *modules);

/* The canonical form. parse(fmt(parse(x))) == parse(x); fmt(fmt(x)) == fmt(x); comments keep their places. */
struct Buf;
void fmt_print(const Ast *ast, const Sources *s, struct Buf *out);
/* The tree as text, for tests and for looking at it: one declaration or entry a line, expressions fully
 * parenthesised. */
void ast_print(const Ast *ast, struct Buf *out);

#endif
