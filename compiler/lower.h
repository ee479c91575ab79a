/* SPDX-License-Identifier: Apache-2.0 */
/* Lowering: the checked tree becomes a program of the IR. Types first, then functions by file, in the order
 * they are used.
 *
 * The heart is the phase split (phase.c): every aggregate that a model's slots need becomes a fitted
 * value; those that do not depend on each other share a stage, and so a scan. Everything after that is
 * bookkeeping (lower.c), one expression at a time (prog.c). */
#ifndef COMPILER_LOWER_H
#define COMPILER_LOWER_H

#include "base/arena.h"
#include "base/err.h"
#include "lang/diag.h"
#include "lang/tree.h"
#include "vm/ir.h"

/* ---- phase.c: which fitted values there are, on which rows, at which level ---- */

typedef struct Instance { /* one fitted value: an aggregate over the rows of a part */
  const Node *agg;
  const TData *data;
  const char *part;   /* NULL: all rows */
  bool out_of_fold;   /* its slot is cross-fitted and it is, or reads, a table: tables below are taken out
                       * of fold */
  bool crossfit;      /* out_of_fold and grouped: one table for each fold left out, and one of all rows */
  uint32_t level;     /* 0: needs no other; else one more than the deepest it needs */
  uint32_t fitted;    /* its number, given by lowering, stage by stage */
} Instance;

typedef struct Split { /* what the phase split found */
  Arena *arena;
  Instance *v;
  uint32_t n, cap;
  uint32_t levels;    /* number of levels there are */
  const Tree *tree;
  signed char *table; /* by Node id: does it contain a grouped aggregate? -1: not looked yet */
  signed char *values; /* one that depends on more than its keys? -1 */
  signed char **cross; /* by model, then Node id: does it contain one of the model's target? -1 */
} Split;

enum { FOLDS_MOST = 100 }; /* the checker allows no more */

typedef struct Context { /* whose slots are lowered: decides which instance an aggregate stands for */
  const TModel *model;
  bool crossfit;      /* the slot has a cross-fitted table: then all its tables are */
  uint32_t without;   /* 1 + f: inside a table that leaves fold f out, every row reads tables without f; 0:
                       * each row without its own fold */
} Context;

/* All instances of all models, and of blocks that are exported by themselves. */
void phase_split(Split *sp, Arena *a, const Tree *t);
/* Does the slot read a grouped aggregate of the model's target? */
bool phase_crossfits(const Split *sp, const TModel *m, const Node *slot);
bool phase_has_table(const Split *sp, const Node *n); /* is a grouped aggregate in it? */
/* A grouped aggregate in the slot that depends on more of a row than its keys; NULL: there is none. */
const Node *phase_value_table(const Split *sp, const Node *slot);
/* Does it read other tables? Then a cross-fitted one is fitted once for each fold. */
bool phase_nested(const Split *sp, const Instance *in);
/* The instance an aggregate stands for in a context. */
const Instance *phase_find(const Split *sp, const Context *c, const Node *agg);

/* ---- prog.c: expressions to steps ---- */

typedef enum {
  COLS_FILE,   /* columns are those of the file; derived ones are expanded (rows, score) */
  COLS_STORED, /* columns are those that the rows stage keeps (fit, train, evaluate, predict) */
} Cols;

typedef struct Build { /* one row program under construction */
  Arena *arena;
  const struct Diags *diags; /* for line numbers */
  const Tree *tree;
  const Split *split;
  Context context;
  Cols cols;
  RowProg prog;
  uint32_t vcap, ocap;
  int32_t **memo;       /* by context (memo_of), then Node id: value of the Node, or -1 */
  const Instance *own;  /* instances that are not the phase split's: of the aggregates that an `expect` of
                         * data compares */
  uint32_t nown;
  const TColumn **used; /* columns read, each once, in order of first use */
  uint32_t *read;       /* their values, checks of domains included */
  uint32_t nused, ucap, rcap;
  bool drops;           /* rows with values that `on_invalid = drop` names are removed; elsewhere they are
                         * errors */
  bool has_invalid;     /* invalid: whether a row is such a one */
  uint32_t invalid;
} Build;

void prog_init(Build *b, Arena *a, const struct Diags *d, const Tree *t, const Split *sp, Cols cols);
uint32_t prog_node(Build *b, const Node *n);            /* value number */
uint32_t prog_float(Build *b, uint32_t val);            /* bool or int widened */
/* One step by op name; type and nullability from the op table. The caller may set immediates on what it
 * returns a pointer to. */
IrVal *prog_step(Build *b, const char *op, const uint32_t *arg, uint32_t narg, uint32_t *number);
uint32_t prog_column(Build *b, const TColumn *c);       /* reads it, with its domain checks where the
                                                         * column is from the file */
void prog_forget(Build *b, const Node *n);               /* n was made for one use: its id means nothing
                                                          * else */
void prog_out(Build *b, OutRole role, const char *name, Kind kind, uint32_t val);
/* where in the program; 0 for none or stdlib */
void prog_place(const Build *b, Span s, uint32_t *line, uint32_t *col);
const char *prog_element(const Node *vector, uint32_t i); /* the name of an element, "" for none */
Kind prog_kind(Type t);

/* ---- const.c: values known before any row, by the interpreter itself ---- */
/* out: a const.* step */
Status const_eval(Arena *a, const struct Diags *d, const Tree *t, const Node *n, IrVal *out, Err *e);

/* ---- each.c: options with a number for each slot ---- */
void option_each(Arena *a, struct Diags *d, const Tree *t, const TOption *given, IrOption *out, Err *e);
/* No `lower` is above its `upper`. */
void options_order(struct Diags *d, const TModel *m, const IrOption *v, uint32_t n);

/* ---- lower.c ---- */
/* NULL when something was reported to d or e. */
Program *lower_program(Arena *a, struct Diags *d, const Tree *t, uint64_t seed, Err *e);

/* ---- show.c: expressions as the user would write them ---- */
struct Buf;
void show_node(const Node *n, struct Buf *out);
const char *show_text(Arena *a, const Node *n); /* cut at 120 bytes */

#endif
