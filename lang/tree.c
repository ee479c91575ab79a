/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about a checked tree: what belongs to the target's family. */
#include <string.h>

#include "lang/tree.h"

/* Arguments have smaller ids than what is made of them, and so has the derive of a column: `seen` by id is
 * enough. */
typedef struct Walk {
  uint8_t *seen;
  const TColumn **column; /* file columns met that are not `known` */
  uint32_t n, cap;
  bool bad; /* memory ran out */
} Walk;

static void add_column(Walk *w, const TColumn *col) {
  for (uint32_t i = 0; i < w->n; i++)
    if (w->column[i] == col)
      return;
  if (w->n == w->cap) {
    uint32_t cap = w->cap ? w->cap * 2 : 16;
    const TColumn **v = mem_realloc(w->column, cap * sizeof *v);
    if (!v) {
      w->bad = true;
      return;
    }
    w->column = v;
    w->cap = cap;
  }
  w->column[w->n++] = col;
}

static void collect(Walk *w, const Node *n) {
  if (!n || w->seen[n->id])
    return;
  w->seen[n->id] = 1;
  if (n->column && n->column->derive)
    collect(w, n->column->derive);
  else if (n->column && !n->column->known)
    add_column(w, n->column);
  for (uint32_t i = 0; i < n->narg; i++)
    collect(w, n->arg[i]);
  for (uint32_t i = 0; i < n->nby; i++)
    collect(w, n->by[i]);
  collect(w, n->where);
  collect(w, n->weight);
}

static void walk_from(Walk *w, const Node *n) {
  w->seen = mem_alloc((size_t)n->id + 1);
  if (w->seen)
    collect(w, n);
  else
    w->bad = true;
  mem_free(w->seen);
}

bool tree_in_family(const Node *n, const Node *target) {
  Walk a = {0}, b = {0};
  walk_from(&a, n);
  walk_from(&b, target);
  bool in = a.bad || b.bad; /* without memory: the careful answer */
  for (uint32_t i = 0; i < a.n && !in; i++)
    for (uint32_t j = 0; j < b.n && !in; j++)
      in = a.column[i] == b.column[j];
  mem_free(a.column);
  mem_free(b.column);
  return in;
}
