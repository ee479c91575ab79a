/* SPDX-License-Identifier: Apache-2.0 */
/* Building Nodes: hash-consed, so that equal expressions are one Node, with casts and arithmetic on literals
 * folded.
 *
 * A NodeTab is a compilation's table. Beside each Node it keeps what only the checker wants to know: the
 * height of the expression and how deep look-up tables are nested in it. */
#ifndef LANG_NODE_H
#define LANG_NODE_H

#include "base/arena.h"
#include "lang/tree.h"

enum { NODE_HEIGHT_MAX = 2000 }; /* walks over nodes recurse: this bounds their stack */

typedef struct NodeTab {
  Arena *arena;
  Node **node; /* by id */
  uint32_t n, cap;
  uint32_t *slot; /* id + 1 */
  uint32_t nslot;
  uint16_t *height; /* by id */
  uint8_t *tables;  /* by id: nesting of grouped aggregates */
  uint32_t side;    /* room in height and tables */
  bool too_high;    /* an expression passed NODE_HEIGHT_MAX */
} NodeTab;

void nodetab_init(NodeTab *t, Arena *a);
/* The Node equal to `like` (kind, type, phase, operation, arguments, literal), or a new one. `like` is
 * copied; its arrays are kept. */
Node *node_make(NodeTab *t, const Node *like);

Node *node_bool(NodeTab *t, bool v, Span at);
Node *node_int(NodeTab *t, TypeKind kind, int64_t v, Span at); /* int, timestamp, date, duration */
Node *node_float(NodeTab *t, double v, Span at);
Node *node_text(NodeTab *t, TypeKind kind, const char *s, Span at); /* string, category */
Node *node_column(NodeTab *t, TColumn *col, Phase phase, Span at);
/* A call; phase from the arguments. Folds add, sub, mul, div and neg of numeric literals where the result is
 * exact in meaning (an integer that overflows is left to the run, which reports it). */
Node *node_call(NodeTab *t, const char *op, const char *shown, Type type, Node *const *arg, uint32_t n,
                Span at);
/* `n` as a `to`; type_cost(n->type.kind, to) must be >= 0. */
Node *node_cast(NodeTab *t, Node *n, TypeKind to, Span at);

static inline bool node_is_error(const Node *n) {
  return n->type.kind == TY_ERROR;
}

/* Is `n` null in every row where `arg` is null? */
bool node_strict_in(const NodeTab *t, const Node *n, const Node *arg);
/* Does a row of `n` read the same row of `arg` (not only through an aggregate's rows)? */
bool node_reads(const NodeTab *t, const Node *n, const Node *arg);
uint32_t node_tables(const NodeTab *t, const Node *n); /* nesting of look-up tables: 0 = none */

#endif
