/* SPDX-License-Identifier: Apache-2.0 */
/* mem_*: malloc, and a few large arrays that are kept for the next who asks (mem_keep in arena.h).
 *
 * A large array that malloc frees goes back to the system, and the next one costs a page fault for each 4 KB
 * again: gradients of a million columns, made and freed in each scan, spent half of the processor time there.
 * So freed arrays of BIG bytes and more are kept, up to a limit, and found again by size. One that comes back
 * has shown that it is short-lived: its pages are exchanged for huge ones, once, which it then keeps. Arrays
 * that live long never get huge pages: they would be cleared for a single use, and a guest's memory that was
 * not in use for a while may have to be asked back from its host, at several times the price.
 *
 * Read take and keep. Nothing here is seen in a result: kept arrays are zeroed where fresh ones are. */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"

enum { BIG = 1 << 20, HUGE_PAGE = 2 << 20, MEMBERS = 64 };

typedef struct Member { /* an array that was kept once */
  char *p;
  size_t n;
  bool idle;            /* nobody has it now */
  uint64_t since;       /* when it was freed, in calls */
} Member;

/* Like malloc's own state this is the process's. */
static struct {
  pthread_mutex_t lock;
  atomic_size_t most;   /* bytes that may lie idle; 0: nothing is kept */
  size_t idle;
  uint64_t calls;
  Member v[MEMBERS];
  uint32_t n;
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local long fail_countdown; /* tests only: 0 = never */

void mem_fail_at(long n) {
  fail_countdown = n;
}

static bool must_fail(void) {
  return fail_countdown > 0 && --fail_countdown == 0;
}

/* ---- Kept arrays; all but the first two under the lock ---- */

static bool may_keep(size_t n) {
  size_t most = atomic_load_explicit(&kept.most, memory_order_relaxed);
  return n >= BIG && n <= most / 2;
}

/* The whole huge pages inside of an array. */
static size_t huge_part(char *p, size_t n, char **from) {
  size_t skip = -(uintptr_t)p & (HUGE_PAGE - 1);
  *from = p + skip;
  return n > skip ? (n - skip) & ~(size_t)(HUGE_PAGE - 1) : 0;
}

static void exchange_pages(char *p, size_t n) {
#ifdef MADV_HUGEPAGE
  size_t whole = huge_part(p, n, &p);
  if (whole && !madvise(p, whole, MADV_HUGEPAGE))
    madvise(p, whole, MADV_DONTNEED);
#else
  (void)p, (void)n;
#endif
}

void mem_touch(void *p, size_t n) {
#ifdef MADV_POPULATE_WRITE
  uintptr_t page = 4096, from = (uintptr_t)p & ~(page - 1), to = ((uintptr_t)p + n + page - 1) & ~(page - 1);
  if (n >= 16 * page) /* systems whose pages are larger, or that know nothing of it, refuse: no harm */
    madvise((void *)from, to - from, MADV_POPULATE_WRITE);
#else
  (void)p, (void)n;
#endif
}

static Member *member(const void *p) {
  for (uint32_t i = 0; i < kept.n; i++)
    if (kept.v[i].p == p)
      return &kept.v[i];
  return NULL;
}

static void let_go(Member *m) {
  char *p = m->idle ? m->p : NULL;
  kept.idle -= m->idle ? m->n : 0;
  *m = kept.v[--kept.n];
  free(p);
}

/* Until n more bytes fit: the one that has lain idle longest goes first. */
static void make_room(size_t n) {
  while (kept.idle && kept.idle + n > kept.most) {
    Member *oldest = NULL;
    for (uint32_t i = 0; i < kept.n; i++)
      if (kept.v[i].idle && (!oldest || kept.v[i].since < oldest->since))
        oldest = &kept.v[i];
    let_go(oldest);
  }
}

/* True: p is kept, else the caller frees it. */
static bool keep(void *p, size_t n) {
  pthread_mutex_lock(&kept.lock);
  make_room(n);
  Member *m = member(p);
  bool known = m != NULL;
  if (!m && kept.n < MEMBERS)
    m = &kept.v[kept.n++];
  if (m) {
    *m = (Member){.p = p, .n = n, .idle = true, .since = kept.calls++};
    kept.idle += n;
    if (!known)
      exchange_pages(p, n);
  }
  pthread_mutex_unlock(&kept.lock);
  return m != NULL;
}

/* An idle array of n bytes or little more (aligned ones end up to a huge page later), the smallest there is;
 * NULL: none. */
static void *take(size_t n) {
  Member *best = NULL;
  size_t most = n + n / 8 + (n >= HUGE_PAGE ? HUGE_PAGE : 0);
  pthread_mutex_lock(&kept.lock);
  for (uint32_t i = 0; i < kept.n; i++) {
    Member *m = &kept.v[i];
    if (m->idle && m->n >= n && m->n <= most && (!best || m->n < best->n))
      best = m;
  }
  void *p = NULL;
  if (best) {
    p = best->p;
    best->idle = false;
    kept.idle -= best->n;
  }
  pthread_mutex_unlock(&kept.lock);
  return p;
}

/* realloc may move it. */
static void leave(const void *p) {
  pthread_mutex_lock(&kept.lock);
  Member *m = member(p);
  if (m)
    let_go(m);
  pthread_mutex_unlock(&kept.lock);
}

void mem_keep(size_t most) {
#if defined(__SANITIZE_ADDRESS__) || defined(CML_HOSTILE)
  most = 0; /* what is kept is never seen as freed */
#endif
  pthread_mutex_lock(&kept.lock);
  atomic_store(&kept.most, most);
  make_room(0);
  pthread_mutex_unlock(&kept.lock);
}

/* ---- mem_* ---- */

/* Not zeroed; n may be kept. */
static void *big(size_t n) {
  void *p = take(n);
  size_t align = n >= HUGE_PAGE ? HUGE_PAGE : 64;
  return p ? p : aligned_alloc(align, (n + 63) & ~(size_t)63);
}

void *mem_alloc(size_t n) {
  if (must_fail())
    return NULL;
  if (!may_keep(n))
    return calloc(1, n ? n : 1);
  void *p = big(n);
  return p ? memset(p, 0, n) : NULL;
}

void *mem_alloc64(size_t n) {
  if (must_fail() || n > SIZE_MAX - 64)
    return NULL;
  return may_keep(n) ? big(n) : aligned_alloc(64, n ? (n + 63) & ~(size_t)63 : 64);
}

void *mem_realloc(void *p, size_t n) {
  if (must_fail())
    return NULL;
  size_t old = p ? malloc_usable_size(p) : 0;
  void *q = !may_keep(n) || n <= old ? NULL : old < BIG ? big(n) : take(n);
  if (q) {
    memcpy(q, p ? p : q, old);
    mem_free(p);
    return q;
  }
  if (may_keep(old))
    leave(p);
  return realloc(p, n ? n : 1);
}

char *mem_strdup(const char *s) {
  size_t n = strlen(s) + 1;
  char *p = mem_alloc(n);
  if (p)
    memcpy(p, s, n);
  return p;
}

void mem_free(void *p) {
  size_t n = p && atomic_load_explicit(&kept.most, memory_order_relaxed) ? malloc_usable_size(p) : 0;
  if (!may_keep(n) || !keep(p, n))
    free(p);
}
