/* SPDX-License-Identifier: Apache-2.0 */
/* Names; see scope.h. */
#include "lang/scope.h"

#include <string.h>

#include "base/hash.h"
#include "lang/diag.h"

enum { NAMES_SHOWN = 8 }; /* in a message */

void table_init(Table *t, Arena *a) {
  memset(t, 0, sizeof *t);
  t->arena = a;
}

static uint32_t *table_slot(const Table *t, const char *name) {
  uint32_t mask = t->nslot - 1;
  uint32_t i = (uint32_t)hash_cstr(0, name) & mask;
  while (t->slot[i] && strcmp(t->v[t->slot[i] - 1].name, name) != 0)
    i = (i + 1) & mask;
  return &t->slot[i];
}

void *table_get(const Table *t, const char *name) {
  if (!t->nslot)
    return NULL;
  uint32_t *s = table_slot(t, name);
  return *s ? t->v[*s - 1].thing : NULL;
}

bool table_add(Table *t, const char *name, void *thing) {
  if ((t->n + 1) * 2 > t->nslot) {
    t->nslot = t->nslot ? t->nslot * 2 : 16;
    t->slot = NEWN(t->arena, uint32_t, t->nslot);
    for (uint32_t i = 0; i < t->n; i++)
      *table_slot(t, t->v[i].name) = i + 1;
  }
  uint32_t *s = table_slot(t, name);
  if (*s)
    return false;
  PUSH(t->arena, t->v, t->n, t->cap, ((Name){name, thing}));
  *s = t->n;
  return true;
}

Local *local_find(Local *l, const char *name) {
  for (; l; l = l->up)
    if (strcmp(l->name, name) == 0)
      return l;
  return NULL;
}

void near_add(Near *near, const char *name) {
  PUSH(near->arena, near->v, near->n, near->cap, name);
}

void near_table(Near *near, const Table *t) {
  for (uint32_t i = 0; i < t->n; i++)
    near_add(near, t->v[i].name);
}

const char *near_remedy(const Near *near, const char *name) {
  if (strlen(name) < 3) /* one letter of two is not near */
    return NULL;
  const char *best = diag_nearest(name, near->v, near->n);
  return best ? arena_printf(near->arena, "did you mean `%s`?", best) : NULL;
}

const char *near_or_all(const Near *near, const char *name, const char *are) {
  const char *text = near_remedy(near, name);
  if (text || !near->n)
    return text;
  text = arena_printf(near->arena, "%s ", are);
  for (uint32_t i = 0; i < near->n && i < NAMES_SHOWN; i++)
    text = arena_printf(near->arena, "%s%s`%s`", text, i ? ", " : "", near->v[i]);
  return near->n > NAMES_SHOWN ? arena_printf(near->arena, "%s, ...", text) : text;
}
