/* SPDX-License-Identifier: Apache-2.0 */
/* Pass "agg.collect": the values in chosen ranges of keys, as distinct keys with counts, and how many lie
 * between the ranges. Gives up where they are too many. Exact in any order.
 *
 * Keys are put into a tail; a full tail is sorted and joined with the distinct keys known so far. So most
 * values cost a store, and a few hundred thousand of them no table that outgrows the cache. */
#include <string.h>

#include "vm/agg/parts.h"

/* ---- Sorting ---- */

static inline uint64_t word_of(const KeyItem *v, bool key) {
  return key ? v->key : v->count;
}

/* Moves all items by one byte of key or count, stable. */
static void move_by(const KeyItem *from, KeyItem *to, uint32_t n, bool key, uint32_t shift) {
  uint32_t at[256] = {0}, sum = 0;
  for (uint32_t i = 0; i < n; i++)
    at[word_of(&from[i], key) >> shift & 255]++;
  for (uint32_t b = 0; b < 256; b++) {
    uint32_t count = at[b];
    at[b] = sum;
    sum += count;
  }
  for (uint32_t i = 0; i < n; i++)
    to[at[word_of(&from[i], key) >> shift & 255]++] = from[i];
}

/* Radix sort from the lowest byte; bytes that all have in common are passed over. */
void keys_sort(KeyItem *v, KeyItem *spare, uint32_t n) {
  uint64_t differ[2] = {0, 0};
  KeyItem *from = v, *to = spare;
  for (uint32_t i = 1; i < n; i++) {
    differ[0] |= v[i].count ^ v[0].count;
    differ[1] |= v[i].key ^ v[0].key;
  }
  for (int key = 0; key < 2; key++)
    for (uint32_t shift = 0; shift < 64; shift += 8) {
      if (!(differ[key] >> shift & 255))
        continue;
      move_by(from, to, n, key, shift);
      KeyItem *t = from;
      from = to;
      to = t;
    }
  if (from != v)
    memcpy(v, from, n * sizeof *v);
}

/* ---- Bags ---- */

static void bag_free(Bag *b) {
  mem_free(b->item);
  mem_free(b->tail);
  mem_free(b->gap);
  *b = (Bag){0};
}

static void bag_give_up(Bag *b) {
  mem_free(b->item);
  mem_free(b->tail);
  *b = (Bag){.full = true, .gap = b->gap};
}

/* Two ascending lists as one, each key once. */
static uint32_t join_items(const KeyItem *a, uint32_t na, const KeyItem *b, uint32_t nb, KeyItem *out) {
  uint32_t i = 0, k = 0, n = 0;
  while (i < na || k < nb) {
    KeyItem x = k == nb || (i < na && a[i].key <= b[k].key) ? a[i++] : b[k++];
    if (n && out[n - 1].key == x.key)
      out[n - 1].count += x.count;
    else
      out[n++] = x;
  }
  return n;
}

/* Joins n items, ascending, into the bag. */
static Status bag_join(Bag *b, const KeyItem *v, uint32_t n, uint64_t most, Err *e) {
  if (b->full || !n)
    return ST_OK;
  KeyItem *all = mem_alloc(((size_t)b->n + n) * sizeof *all);
  if (!all)
    return err_memory(e);
  b->n = join_items(b->item, b->n, v, n, all);
  mem_free(b->item);
  b->item = all;
  if (b->n > most)
    bag_give_up(b);
  return ST_OK;
}

/* The tail as items, ascending; keys that came twice are there twice. NULL: no memory. */
static KeyItem *sorted_tail(const Bag *b) {
  uint32_t n = b->ntail;
  KeyItem *v = mem_alloc((2 * (size_t)n + 1) * sizeof *v);
  for (uint32_t i = 0; v && i < n; i++)
    v[i] = (KeyItem){b->tail[i], 1};
  if (v && n > 1)
    keys_sort(v, v + n, n);
  return v;
}

/* The tail joins the items. */
static Status bag_settle(Bag *b, uint64_t most, Err *e) {
  if (!b->ntail)
    return ST_OK;
  KeyItem *v = sorted_tail(b);
  if (!v)
    return err_memory(e);
  uint32_t n = b->ntail;
  b->ntail = 0;
  bag_join(b, v, n, most, e);
  mem_free(v);
  return e->code;
}

enum { TAIL_FIRST = 256, TAIL_LEAST = 4096 };

/* Room in the tail for n more: it grows to the number of distinct keys, then it is emptied. */
static Status bag_room(Bag *b, uint32_t n, uint64_t most, Err *e) {
  if (b->ntail + n <= b->captail)
    return ST_OK;
  uint32_t want = b->n > TAIL_LEAST ? b->n : TAIL_LEAST;
  if (b->captail >= want && b->captail >= n)
    return bag_settle(b, most, e);
  uint32_t cap = b->captail ? b->captail : TAIL_FIRST;
  while (cap < b->ntail + n)
    cap *= 2;
  uint64_t *tail = mem_realloc(b->tail, cap * sizeof *tail);
  if (!tail)
    return err_memory(e);
  b->tail = tail;
  b->captail = cap;
  return ST_OK;
}

/* ---- Parameters ---- */

typedef struct Entry {
  AggSrc src;
  uint64_t n;
  KeyRange *range;
} Entry;

typedef struct Par {
  uint32_t n;
  uint64_t most; /* distinct values of an entry */
  Entry entry[];
} Par;

static void close_par(void *par) {
  Par *p = par;
  for (uint32_t i = 0; p && i < p->n; i++)
    mem_free(p->entry[i].range);
  mem_free(p);
}

static bool read_entry(Rd *r, Entry *t, Err *e) {
  src_get(r, &t->src);
  t->n = rd_count(r, 16);
  if (r->bad)
    return false;
  t->range = mem_alloc(((size_t)t->n + 1) * sizeof *t->range);
  if (!t->range) {
    err_memory(e);
    return false;
  }
  for (uint64_t k = 0; k < t->n; k++) {
    t->range[k].lo = rd_u64(r);
    t->range[k].hi = rd_u64(r);
    if (t->range[k].lo > t->range[k].hi || (k && t->range[k].lo <= t->range[k - 1].hi))
      return false;
  }
  return true;
}

static void *open_par(Bytes in, Err *e) {
  Rd r = rd_of(in);
  uint64_t n = rd_count(&r, 32), most = rd_u64(&r);
  bool good = !r.bad && n < 1 << 20 && most <= DISTINCT_MOST;
  Par *p = good ? mem_alloc(sizeof *p + (size_t)n * sizeof *p->entry) : NULL;
  if (good && !p)
    err_memory(e);
  for (uint64_t i = 0; p && good && i < n; i++) {
    p->n++;
    good = read_entry(&r, &p->entry[i], e);
  }
  if (p && good && rd_done(&r)) {
    p->most = most;
    return p;
  }
  close_par(p);
  if (!e->code)
    par_bad(e);
  return NULL;
}

const KeyRange *collect_ranges(const void *par, uint32_t entry, uint64_t *n) {
  const Par *p = par;
  *n = p->entry[entry].n;
  return p->entry[entry].range;
}

/* ---- The pass ---- */

static size_t partial_size(const void *par) {
  return sizeof(Bags) + ((const Par *)par)->n * ((size_t)64 << 10);
}

static void free_partial(const void *par, void *partial) {
  Bags *b = partial;
  (void)par;
  for (uint32_t i = 0; b && i < b->n; i++)
    bag_free(&b->bag[i]);
  if (b)
    mem_free(b->bag);
  mem_free(b);
}

static void *init(const void *par, Err *e) {
  const Par *p = par;
  Bags *b = mem_alloc(sizeof *b);
  if (b)
    b->bag = mem_alloc((p->n ? p->n : 1) * sizeof *b->bag);
  bool ok = b && b->bag;
  for (uint32_t i = 0; ok && i < p->n; i++) {
    b->n++;
    ok = (b->bag[i].gap = mem_alloc(((size_t)p->entry[i].n + 1) * sizeof *b->bag[i].gap)) != NULL;
  }
  if (ok)
    return b;
  free_partial(par, b);
  err_memory(e);
  return NULL;
}

/* The keys that lie in one of many ranges, added to `in`; counts those between them. */
static uint32_t pick_of_many(const Entry *t, const uint64_t *key, uint32_t n, uint64_t *in, uint64_t *gap) {
  uint32_t m = 0;
  for (uint32_t k = 0; k < n; k++) {
    uint64_t lo = 0, hi = t->n;
    while (lo < hi) {
      uint64_t mid = (lo + hi) / 2;
      if (t->range[mid].hi < key[k])
        lo = mid + 1;
      else
        hi = mid;
    }
    if (lo == t->n)
      continue;
    bool inside = key[k] >= t->range[lo].lo;
    in[m] = key[k];
    m += inside;
    gap[lo] += !inside;
  }
  return m;
}

/* The same for one range, without branches. */
static uint32_t pick_of_one(KeyRange range, const uint64_t *key, uint32_t n, uint64_t *in, uint64_t *gap) {
  uint32_t m = 0;
  uint64_t below = 0;
  for (uint32_t k = 0; k < n; k++) {
    below += key[k] < range.lo;
    in[m] = key[k];
    m += key[k] - range.lo <= range.hi - range.lo;
  }
  *gap += below;
  return m;
}

static Status map_entry(const Par *q, const Entry *t, const Panel *p, Bag *b, Ctx *c) {
  uint32_t n;
  if (b->full || !t->n)
    return ST_OK;
  const uint64_t *key = agg_keys(p, &t->src, &n, c);
  if (!key || bag_room(b, n, q->most, c->err))
    return c->err->code;
  if (b->full)
    return ST_OK;
  uint64_t *in = b->tail + b->ntail;
  b->ntail +=
      t->n == 1 ? pick_of_one(t->range[0], key, n, in, b->gap) : pick_of_many(t, key, n, in, b->gap);
  return ST_OK;
}

static Status map(const void *par, const Panel *p, void *partial, Ctx *c) {
  const Par *q = par;
  Bags *b = partial;
  for (uint32_t i = 0; i < q->n; i++)
    if (map_entry(q, &q->entry[i], p, &b->bag[i], c))
      return c->err->code;
  return ST_OK;
}

static Status merge(const void *par, void *l, void *r, Err *e) {
  const Par *q = par;
  Bags *a = l, *b = r;
  for (uint32_t i = 0; i < q->n; i++) {
    Bag *x = &a->bag[i], *y = &b->bag[i];
    if (bag_settle(x, q->most, e) || bag_settle(y, q->most, e))
      return e->code;
    if (y->full)
      bag_give_up(x);
    if (bag_join(x, y->item, y->n, q->most, e))
      return e->code;
    for (uint64_t k = 0; k < q->entry[i].n; k++)
      x->gap[k] += y->gap[k];
  }
  return ST_OK;
}

static Status save_bag(const Bag *b, uint64_t nrange, uint64_t most, Buf *out, Err *e) {
  KeyItem *tail = sorted_tail(b), *all = mem_alloc(((size_t)b->n + b->ntail + 1) * sizeof *all);
  if (tail && all) {
    uint32_t n = join_items(b->item, b->n, tail, b->ntail, all);
    bool full = b->full || n > most;
    buf_u8(out, full);
    for (uint64_t k = 0; k < nrange; k++)
      buf_u64(out, full ? 0 : b->gap[k]);
    buf_u64(out, full ? 0 : n);
    buf_put(out, all, full ? 0 : n * sizeof *all);
  } else {
    err_memory(e);
  }
  mem_free(tail);
  mem_free(all);
  return e->code;
}

/* Of each entry: u8 given up; u64 a gap of each range, then u64 count, u64 key and u64 count of each; all 0
 * where it was given up. */
static Status save(const void *par, const void *partial, Buf *out, Err *e) {
  const Par *q = par;
  const Bags *b = partial;
  for (uint32_t i = 0; i < q->n; i++)
    if (save_bag(&b->bag[i], q->entry[i].n, q->most, out, e))
      return e->code;
  return out->bad ? err_memory(e) : ST_OK;
}

static bool load_bag(const Par *q, uint32_t i, Rd *r, Bag *b, Err *e) {
  b->full = rd_u8(r);
  for (uint64_t k = 0; k < q->entry[i].n; k++)
    b->gap[k] = rd_u64(r);
  uint64_t n = rd_count(r, 16);
  if (r->bad || n > q->most || (b->full && n))
    return false;
  b->item = mem_alloc(((size_t)n + 1) * sizeof *b->item);
  if (!b->item) {
    err_memory(e);
    return false;
  }
  for (; b->n < n; b->n++) {
    KeyItem *v = &b->item[b->n];
    v->key = rd_u64(r);
    v->count = rd_u64(r);
    if (!v->count || (b->n && v->key <= v[-1].key))
      return false;
  }
  return true;
}

static void *load(const void *par, Bytes in, Err *e) {
  const Par *q = par;
  Rd r = rd_of(in);
  Bags *b = init(par, e);
  bool good = b != NULL;
  for (uint32_t i = 0; good && i < q->n; i++)
    good = load_bag(q, i, &r, &b->bag[i], e);
  if (good && rd_done(&r))
    return b;
  free_partial(par, b);
  if (!e->code)
    par_bad(e);
  return NULL;
}

const Pass pass_collect = {"agg.collect", RED_EXACT, open_par, close_par, partial_size, init,
                           map,           merge,     save,     load,      free_partial};
