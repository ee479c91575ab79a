/* SPDX-License-Identifier: Apache-2.0 */
/* Notes beside matrices: see notes.h. A block has few of them: for each panel one of each run that learns
 * from it. */
#include "vm/notes.h"

#include "base/arena.h"

typedef struct Note {
  struct Note *next;
  NoteRoom *room;
  uint64_t key;
  size_t n;
  uint32_t row;
  uint32_t used; /* in this scan */
  char v[] __attribute__((aligned(16)));
} Note;

static void free_one(Note *t) {
  atomic_fetch_add(&t->room->left, (long long)(sizeof *t + t->n));
  mem_free(t);
}

void note_free(Note *list) {
  while (list) {
    Note *next = list->next;
    free_one(list);
    list = next;
  }
}

void notes_take(Notes *n, Block *b, NoteRoom *room) {
  *n = (Notes){.room = room};
  if (!room)
    return;
  n->v = atomic_exchange(&b->note, NULL);
  for (Note *t = n->v; t; t = t->next)
    t->used = 0;
}

void notes_put(Notes *n, Block *b) {
  for (Note **t = &n->v; *t;) {
    Note *one = *t;
    if (one->used) {
      t = &one->next;
    } else {
      *t = one->next;
      free_one(one);
    }
  }
  if (n->v)
    note_free(atomic_exchange(&b->note, n->v)); /* of somebody who had the block at the same time */
  n->v = NULL;
}

void *panel_note(const Panel *p, uint64_t key, size_t n) {
  Notes *all = p->notes;
  if (!all || !all->room)
    return NULL;
  for (Note *t = all->v; t; t = t->next)
    if (t->key == key && t->row == all->row && t->n == n) {
      t->used = 1;
      return t->v;
    }
  long long size = (long long)(sizeof(Note) + n);
  if (atomic_fetch_sub(&all->room->left, size) < size) {
    atomic_fetch_add(&all->room->left, size);
    return NULL;
  }
  Note *t = mem_alloc((size_t)size);
  if (!t) {
    atomic_fetch_add(&all->room->left, size);
    return NULL;
  }
  *t = (Note){.next = all->v, .room = all->room, .key = key, .n = n, .row = all->row, .used = 1};
  all->v = t;
  return t->v;
}
