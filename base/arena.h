/* SPDX-License-Identifier: Apache-2.0 */
/* Arena: memory that is freed all at once; and mem_*, the allocator everything else goes through.
 *
 * Memory is named by lifetime: one arena per compilation, one scratch arena per task. Pieces are never
 * freed singly. An arena with a recovery point (`a->oom`) never returns NULL: it longjmps there, so that
 * the front end needs no test at every node. Without one it returns NULL like malloc. Everything is zeroed
 * and aligned to 16 bytes (64 with arena_alloc64). */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ArenaBlock ArenaBlock;

typedef struct Arena {
  ArenaBlock *head; /* newest block; the others hang behind it */
  jmp_buf *oom;     /* where to go when memory is used up; NULL: return NULL */
  size_t used;      /* bytes handed out, for reports and limits */
} Arena;

void arena_init(Arena *a, jmp_buf *oom);
void arena_free(Arena *a);  /* frees all pieces; the arena may be used again */
void arena_reset(Arena *a); /* forgets all pieces but keeps the newest block: for scratch arenas */
void *arena_alloc(Arena *a, size_t n);
void *arena_alloc64(Arena *a, size_t n); /* 64-byte aligned: columns */
void *arena_room64(Arena *a, size_t n);  /* the same, and not zeroed: whoever asks writes all of it */
char *arena_strdup(Arena *a, const char *s);
char *arena_strndup(Arena *a, const char *s, size_t n); /* adds a NUL; s may hold NULs */
char *arena_printf(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define NEW(a, T) ((T *)arena_alloc((a), sizeof(T)))
#define NEWN(a, T, n) ((T *)arena_alloc((a), sizeof(T) * (size_t)(n)))

/* A growable array in an arena: `T *v; uint32_t n, cap;`. Old storage stays in the arena until it is
 * freed. */
void *arena_grow(Arena *a, void *old, uint32_t n, uint32_t *cap, size_t size);
#define PUSH(a, v, n, cap, x)                                              \
  do {                                                                     \
    if ((n) == (cap))                                                      \
      (v) = arena_grow((a), (v), (n), &(cap), sizeof *(v));                \
    (v)[(n)++] = (x);                                                      \
  } while (0)

/* malloc and friends, through one door, where tests let the n-th call fail (mem_fail_at). NULL on failure.
 * mem_free(NULL) is fine. mem_alloc zeroes; mem_alloc64 is 64-byte aligned and does not zero. All are freed
 * by mem_free. */
void *mem_alloc(size_t n);
void *mem_alloc64(size_t n);
void *mem_realloc(void *p, size_t n);
char *mem_strdup(const char *s);
void mem_free(void *p);

/* From now on, of large arrays (1 MB and more) that are freed, up to `most` bytes stay with the process for
 * those who ask next. 0, as it is at first: none. */
void mem_keep(size_t most);

/* The n bytes at p will be written now: their pages are there at once, where the system can do that, and do
 * not cost a fault each. */
void mem_touch(void *p, size_t n);

void mem_fail_at(long n); /* tests: the n-th allocation from now fails (0: never); per thread */

#endif
