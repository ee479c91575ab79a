/* SPDX-License-Identifier: Apache-2.0 */
/* Slabs: see slab.h. The head lies in front of the first array. */
#include "base/slab.h"

#include <stdatomic.h>
#include <stdint.h>

#include "base/arena.h"

#if defined(__SANITIZE_ADDRESS__) || defined(CML_HOSTILE)
enum { SLAB = 1 }; /* each array its own: what is beyond its end is seen */
#else
enum { SLAB = 32 << 20 };
#endif

struct Slab {
  atomic_int refs; /* arrays, and who made it */
  size_t used, n;
  size_t touched;  /* up to here pages are there */
};

enum { HEAD = (sizeof(Slab) + 63) / 64 * 64 };

Slab *slab_new(size_t n) {
  if (n > SIZE_MAX - HEAD)
    return NULL;
  n = n + HEAD < SLAB ? SLAB : n + HEAD;
  Slab *s = mem_alloc64(n);
  if (!s)
    return NULL;
  atomic_init(&s->refs, 1);
  s->used = s->touched = HEAD;
  s->n = n;
  return s;
}

void *slab_take(Slab *s, size_t n) {
  if (n > s->n - s->used)
    return NULL;
  void *p = (char *)s + s->used;
  size_t whole = n > SIZE_MAX - 63 ? n : (n + 63) & ~(size_t)63;
  s->used = whole < s->n - s->used ? s->used + whole : s->n;
  atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
  return p;
}

void slab_trim(Slab *s, const void *p, size_t n) {
  size_t end = (size_t)((const char *)p - (const char *)s) + ((n + 63) & ~(size_t)63);
  if (end < s->used)
    s->used = end;
}

void slab_touch(Slab *s, void *p, size_t n) {
  size_t from = (size_t)((char *)p - (char *)s), to = from + n;
  from = from > s->touched ? from : s->touched;
  if (to <= from)
    return;
  mem_touch((char *)s + from, to - from);
  s->touched = to;
}

void slab_rewind(Slab *s) {
  if (atomic_load_explicit(&s->refs, memory_order_acquire) == 1)
    s->used = HEAD;
}

void slab_drop(Slab *s) {
  if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
    mem_free(s);
}
