/* SPDX-License-Identifier: Apache-2.0 */
/* Map; see map.h. Keys lie in a pool of chained blocks, so that entries stay valid while the table grows. */
#include "base/map.h"

#include <string.h>

#include "base/arena.h"
#include "base/hash.h"

struct MapPool {
  MapPool *next;
  size_t used, cap;
  char data[];
};

void map_free(Map *m) {
  for (MapPool *p = m->pool, *next; p; p = next) {
    next = p->next;
    mem_free(p);
  }
  mem_free(m->entry);
  mem_free(m->slot);
  memset(m, 0, sizeof *m);
}

static int64_t probe(const Map *m, uint64_t h, const void *key, size_t n, uint32_t *at) {
  uint32_t mask = m->nslot - 1;
  uint32_t i = (uint32_t)h & mask;
  for (; m->slot[i]; i = (i + 1) & mask) {
    const MapEntry *e = &m->entry[m->slot[i] - 1];
    if (e->hash == h && e->n == n && (n == 0 || memcmp(e->key, key, n) == 0)) {
      *at = i;
      return m->slot[i] - 1;
    }
  }
  *at = i;
  return -1;
}

static int grow(Map *m) {
#ifdef CML_HOSTILE
  uint32_t nslot = m->nslot ? m->nslot * 2 : 2;
#else
  uint32_t nslot = m->nslot ? m->nslot * 2 : 16;
#endif
  uint32_t *slot = nslot ? mem_alloc(nslot * sizeof *slot) : NULL;
  MapEntry *entry = mem_realloc(m->entry, nslot * sizeof *entry);
  if (entry)
    m->entry = entry;
  if (!slot || !entry) {
    mem_free(slot);
    return -1;
  }
  m->cap = nslot;
  for (uint32_t e = 0; e < m->n; e++) {
    uint32_t i = (uint32_t)m->entry[e].hash & (nslot - 1);
    while (slot[i])
      i = (i + 1) & (nslot - 1);
    slot[i] = e + 1;
  }
  mem_free(m->slot);
  m->slot = slot;
  m->nslot = nslot;
  return 0;
}

static const char *keep(Map *m, const void *key, size_t n) {
  MapPool *p = m->pool;
  if (!p || p->cap - p->used < n + 1) {
    size_t cap = p ? p->cap * 2 : 512;
    if (cap > ((size_t)1 << 20))
      cap = (size_t)1 << 20;
    if (cap < n + 1)
      cap = n + 1;
    p = mem_alloc(sizeof *p + cap);
    if (!p)
      return NULL;
    p->cap = cap;
    p->next = m->pool;
    m->pool = p;
  }
  char *s = p->data + p->used;
  if (n)
    memcpy(s, key, n);
  s[n] = 0;
  p->used += n + 1;
  return s;
}

int64_t map_find(const Map *m, const void *key, size_t n) {
  uint32_t at;
  return m->nslot ? probe(m, hash_bytes(0, key, n), key, n, &at) : -1;
}

int64_t map_add(Map *m, const void *key, size_t n, int *fresh) {
  if (fresh)
    *fresh = 0;
  if ((m->n + 1) * 2 > m->nslot && grow(m) < 0)
    return -1;
  uint64_t h = hash_bytes(0, key, n);
  uint32_t at;
  int64_t found = probe(m, h, key, n, &at);
  if (found >= 0)
    return found;
  const char *s = keep(m, key, n);
  if (!s)
    return -1;
  m->entry[m->n] = (MapEntry){s, (uint32_t)n, h, NULL};
  m->slot[at] = ++m->n;
  if (fresh)
    *fresh = 1;
  return m->n - 1;
}

void *map_get(const Map *m, const char *key) {
  int64_t i = map_find(m, key, strlen(key));
  return i < 0 ? NULL : m->entry[i].val;
}

int map_set(Map *m, const char *key, void *val) {
  int64_t i = map_add(m, key, strlen(key), NULL);
  if (i < 0)
    return -1;
  m->entry[i].val = val;
  return 0;
}
