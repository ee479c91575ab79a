/* SPDX-License-Identifier: Apache-2.0 */
/* What string steps stand on: dictionaries under construction, results kept per dictionary, integer maps.
 * See op.h. */
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "vm/interp/op.h"

int str_cmp(Str a, Str b) {
  uint32_t n = a.n < b.n ? a.n : b.n;
  int c = n ? memcmp(a.p, b.p, n) : 0;
  return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* ---- Building ---- */

void dict_begin(DictBuild *b) {
  memset(b, 0, sizeof *b);
}

void dict_entry(DictBuild *b) {
  if (b->n + 2 > b->cap) {
    uint32_t cap = b->cap ? b->cap * 2 : 64;
    uint32_t *off = b->cap < UINT32_MAX / 2 ? mem_realloc(b->off, cap * sizeof *off) : NULL;
    if (!off) {
      b->bad = true;
      return;
    }
    if (!b->off)
      off[0] = 0;
    b->off = off;
    b->cap = cap;
  }
  if (b->bytes.n > UINT32_MAX)
    b->bad = true;
  b->off[++b->n] = (uint32_t)b->bytes.n;
}

void dict_put(DictBuild *b, Str s) {
  buf_put(&b->bytes, s.p, s.n);
  dict_entry(b);
}

Dict *dict_done(DictBuild *b) {
  Dict *d = mem_alloc(sizeof *d);
  if (!b->off) /* no entries: still one offset */
    b->off = mem_alloc(sizeof *b->off);
  if (!b->bytes.p)
    b->bytes.p = mem_alloc(1);
  if (!d || !b->off || !b->bytes.p || b->bad || b->bytes.bad) {
    mem_free(d);
    dict_abandon(b);
    return NULL;
  }
  d->n = b->n;
  d->off = b->off;
  d->bytes = (char *)b->bytes.p;
  atomic_init(&d->refs, 1);
  dict_begin(b);
  return d;
}

void dict_abandon(DictBuild *b) {
  mem_free(b->off);
  buf_free(&b->bytes);
  dict_begin(b);
}

Dict *dict_of(const Str *s, uint32_t n) {
  DictBuild b;
  dict_begin(&b);
  for (uint32_t i = 0; i < n; i++)
    dict_put(&b, s[i]);
  return dict_done(&b);
}

/* ---- Results by dictionary ---- */

void dictmap_forget(DictMap *m) {
  dict_drop(m->src);
  dict_drop(m->dst);
  m->src = m->dst = NULL;
}

void dictmap_free(DictMap *m) {
  dictmap_forget(m);
  mem_free(m->table);
  m->table = NULL;
  m->cap = 0;
}

bool dictmap_stale(Step *s, DictMap *m, Dict *d, size_t size) {
  if (d == m->src && d)
    return false;
  dictmap_forget(m);
  size_t need = ((size_t)d->n + 1) * size;
  if (need > m->cap) {
    mem_free(m->table);
    m->cap = 0;
    m->table = mem_alloc(need);
    if (!m->table) {
      step_memory(s);
      return false;
    }
    m->cap = need;
  } else if (need) {
    memset(m->table, 0, need);
  }
  if (atomic_load_explicit(&d->refs, memory_order_relaxed) > 0) { /* else its place may be reused: not kept */
    dict_hold(d);
    m->src = d;
  }
  return true;
}

/* ---- Integers ---- */

static uint32_t slot_of(const IntMap *m, uint64_t key) {
  uint32_t i = (uint32_t)hash_mix(key) & (m->nslot - 1);
  while (m->val[i] && m->key[i] != key)
    i = (i + 1) & (m->nslot - 1);
  return i;
}

int64_t intmap_find(const IntMap *m, uint64_t key) {
  if (!m->n)
    return -1;
  return (int64_t)m->val[slot_of(m, key)] - 1;
}

static bool intmap_grow(IntMap *m) {
  IntMap g = {.n = m->n, .nslot = m->nslot ? m->nslot * 2 : 32};
  if (!g.nslot)
    return false;
  g.key = mem_alloc(g.nslot * sizeof *g.key);
  g.val = mem_alloc(g.nslot * sizeof *g.val);
  if (!g.key || !g.val) {
    intmap_free(&g);
    return false;
  }
  for (uint32_t i = 0; i < m->nslot; i++) {
    if (!m->val[i])
      continue;
    uint32_t k = slot_of(&g, m->key[i]);
    g.key[k] = m->key[i];
    g.val[k] = m->val[i];
  }
  intmap_free(m);
  *m = g;
  return true;
}

int64_t intmap_add(IntMap *m, uint64_t key) {
  if (m->n * 2 >= m->nslot && !intmap_grow(m))
    return -1;
  uint32_t i = slot_of(m, key);
  if (!m->val[i]) {
    m->key[i] = key;
    m->val[i] = ++m->n;
  }
  return (int64_t)m->val[i] - 1;
}

void intmap_clear(IntMap *m) {
  if (m->nslot)
    memset(m->val, 0, m->nslot * sizeof *m->val);
  m->n = 0;
}

void intmap_free(IntMap *m) {
  mem_free(m->key);
  mem_free(m->val);
  memset(m, 0, sizeof *m);
}
