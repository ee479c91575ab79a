/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas. Read arena.h first; then arena_take, which both allocation functions are. What they stand on is in
 * mem.c. */
#include "base/arena.h"

#include <stdio.h>
#include <string.h>

struct ArenaBlock {
  ArenaBlock *next;
  size_t cap, used; /* bytes of data[] */
  char data[] __attribute__((aligned(64)));
};

enum { BLOCK_MIN = 64 * 1024 };

/* ---- Arena ---- */

void arena_init(Arena *a, jmp_buf *oom) {
  a->head = NULL;
  a->oom = oom;
  a->used = 0;
}

void arena_free(Arena *a) {
  for (ArenaBlock *b = a->head, *next; b; b = next) {
    next = b->next;
    mem_free(b);
  }
  a->head = NULL;
  a->used = 0;
}

void arena_reset(Arena *a) {
  if (!a->head)
    return;
  for (ArenaBlock *b = a->head->next, *next; b; b = next) {
    next = b->next;
    mem_free(b);
  }
  a->head->next = NULL;
  a->head->used = 0;
  a->used = 0;
}

static void *arena_take(Arena *a, size_t n, size_t align) {
  ArenaBlock *b = a->head;
  size_t at = b ? (b->used + align - 1) & ~(align - 1) : 0;
  if (!b || at > b->cap || n > b->cap - at) {
    /* Blocks double, so that a big compilation makes few; a piece larger than that gets a block of its
     * own. */
    size_t cap = b ? b->cap * 2 : BLOCK_MIN;
    if (cap > ((size_t)16 << 20))
      cap = (size_t)16 << 20;
    if (cap < n)
      cap = n;
    ArenaBlock *fresh = n > SIZE_MAX / 2 ? NULL : mem_alloc64(sizeof *fresh + cap);
    if (!fresh) {
      if (a->oom)
        longjmp(*a->oom, 1);
      return NULL;
    }
    fresh->next = b;
    fresh->cap = cap;
    fresh->used = 0;
    a->head = b = fresh;
    at = 0;
  }
  b->used = at + n;
  a->used += n;
  return b->data + at;
}

static void *zeroed(void *p, size_t n) {
  return p ? memset(p, 0, n) : NULL;
}

void *arena_alloc(Arena *a, size_t n) {
  return zeroed(arena_take(a, n, 16), n);
}

void *arena_alloc64(Arena *a, size_t n) {
  return zeroed(arena_take(a, n, 64), n);
}

void *arena_room64(Arena *a, size_t n) {
  return arena_take(a, n, 64);
}

char *arena_strndup(Arena *a, const char *s, size_t n) {
  char *p = arena_alloc(a, n + 1);
  if (p && n)
    memcpy(p, s, n);
  return p;
}

char *arena_strdup(Arena *a, const char *s) {
  return arena_strndup(a, s, strlen(s));
}

char *arena_printf(Arena *a, const char *fmt, ...) {
  char small[256];
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(small, sizeof small, fmt, ap);
  va_end(ap);
  if (n < 0)
    n = 0;
  if ((size_t)n < sizeof small)
    return arena_strndup(a, small, (size_t)n);
  char *p = arena_alloc(a, (size_t)n + 1);
  if (!p)
    return NULL;
  va_start(ap, fmt);
  vsnprintf(p, (size_t)n + 1, fmt, ap);
  va_end(ap);
  return p;
}

void *arena_grow(Arena *a, void *old, uint32_t n, uint32_t *cap, size_t size) {
  uint32_t bigger = *cap ? *cap * 2 : 8;
  void *p = arena_alloc(a, bigger * size);
  if (!p)
    return NULL;
  if (n)
    memcpy(p, old, n * size);
  *cap = bigger;
  return p;
}
