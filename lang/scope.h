/* SPDX-License-Identifier: Apache-2.0 */
/* Names: a table from name to thing that lies in an arena, the chain of local names of an expression, and the
 * nearest name. */
#ifndef LANG_SCOPE_H
#define LANG_SCOPE_H

#include "base/arena.h"
#include "lang/tree.h"

/* A hash table in insertion order. Names are not copied. */
typedef struct Name {
  const char *name;
  void *thing;
} Name;

typedef struct Table {
  Arena *arena;
  Name *v; /* in the order they came */
  uint32_t n, cap;
  uint32_t *slot; /* index + 1 */
  uint32_t nslot;
} Table;

void table_init(Table *t, Arena *a);
void *table_get(const Table *t, const char *name); /* NULL: not there */
bool table_add(Table *t, const char *name,
               void *thing); /* false: the name is there already, and stays as it was */

/* Local names: parameters of a function being expanded, and `let`s; the newest first. */
typedef struct Local {
  const char *name;
  Node *node;
  Span span;
  bool used;
  struct Local *up;
} Local;

Local *local_find(Local *l, const char *name);

/* Candidates for "did you mean". */
typedef struct Near {
  Arena *arena;
  const char **v;
  uint32_t n, cap;
} Near;

void near_add(Near *near, const char *name);
void near_table(Near *near, const Table *t);
/* "did you mean `x`?", or NULL when nothing is close. */
const char *near_remedy(const Near *near, const char *name);
/* The same, or what there is: "its columns are `a`, `b`"; NULL when there is nothing. */
const char *near_or_all(const Near *near, const char *name, const char *are);

#endif
