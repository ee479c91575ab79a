/* SPDX-License-Identifier: Apache-2.0 */
/* Pass "agg.collect": the values in chosen ranges of keys, as distinct keys with counts, and how many lie
 * between the ranges. Gives up where they are too many. Exact in any order.
 *
 * Keys are put into a tail; a full tail is sorted and joined with the distinct keys known so far. So most
 * values cost a store, and a few hundred thousand of them no table that outgrows the cache. */
#include <math.h>
#include <string.h>

#include "vm/agg/parts.h"
#include "vm/kernel/lanes.h"

/* ---- Sorting ---- */

static inline uint64_t word_of(const KeyItem *v, bool key) {
  return key ? v->key : v->count;
}

static bool before(const KeyItem *a, const KeyItem *b) {
  return a->key != b->key ? a->key < b->key : a->count < b->count;
}

static void insert_each(KeyItem *v, uint32_t n) {
  for (uint32_t i = 1; i < n; i++) {
    KeyItem x = v[i];
    uint32_t k = i;
    for (; k && before(&x, &v[k - 1]); k--)
      v[k] = v[k - 1];
    v[k] = x;
  }
}

enum { INSERT_MOST = 24, BUCKET_BITS = 11 };

static void sort_by(KeyItem *v, KeyItem *spare, uint32_t n, bool key);

/* To buckets of equal width between the least and the largest word. Each level takes 5 bits or more of the
 * words, so it is not deep. */
static void sort_buckets(KeyItem *v, KeyItem *spare, uint32_t n, bool key, uint64_t lo, uint64_t hi) {
  uint32_t at[(1 << BUCKET_BITS) + 1] = {0}, bits = 5, shift = 0;
  while (bits < BUCKET_BITS && n >> bits > 8)
    bits++;
  while ((hi - lo) >> shift >> bits)
    shift++;
  for (uint32_t i = 0; i < n; i++)
    at[((word_of(&v[i], key) - lo) >> shift) + 1]++;
  for (uint32_t b = 0; b < 1u << bits; b++)
    at[b + 1] += at[b];
  for (uint32_t i = 0; i < n; i++)
    spare[at[(word_of(&v[i], key) - lo) >> shift]++] = v[i];
  memcpy(v, spare, n * sizeof *v);
  for (uint32_t b = 0, from = 0; b < 1u << bits; from = at[b++]) /* at[b] is where bucket b ends by now */
    if (at[b] - from > 1)
      sort_by(v + from, spare, at[b] - from, key);
}

/* By keys, then by counts; key: keys are not yet known to be all the same. */
static void sort_by(KeyItem *v, KeyItem *spare, uint32_t n, bool key) {
  if (n <= INSERT_MOST) {
    insert_each(v, n);
    return;
  }
  uint64_t lo = word_of(v, key), hi = lo;
  for (uint32_t i = 1; i < n; i++) {
    uint64_t w = word_of(&v[i], key);
    lo = w < lo ? w : lo;
    hi = w > hi ? w : hi;
  }
  if (lo < hi)
    sort_buckets(v, spare, n, key, lo, hi);
  else if (key)
    sort_by(v, spare, n, false);
}

void keys_sort(KeyItem *v, KeyItem *spare, uint32_t n) {
  sort_by(v, spare, n, true);
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
  KeyItem *v = mem_alloc64((2 * (size_t)n + 1) * sizeof *v);
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

enum { TAIL_FIRST = 256, TAIL_LEAST = 4096, TAIL_MOST = 1 << 15 };

/* So large a tail may be, however few distinct keys there are. */
static uint32_t tail_least(uint64_t most) {
  return most < TAIL_LEAST ? TAIL_LEAST : most < TAIL_MOST ? (uint32_t)most : TAIL_MOST;
}

/* Room in the tail for n more: it grows to the number of distinct keys, then it is emptied. */
static Status bag_room(Bag *b, uint32_t n, uint64_t most, Err *e) {
  if (b->ntail + n <= b->captail)
    return ST_OK;
  uint32_t want = b->n > tail_least(most) ? b->n : tail_least(most);
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
  const Par *p = par;
  return sizeof(Bags) + p->n * (2 * sizeof(uint64_t) * tail_least(p->most));
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

/* The same of a column as it is. The ends of the range are numbers, so it has no NaN, and to compare
 * doubles does what comparing their keys does. */
static uint32_t pick_of_col(KeyRange range, const Col *col, uint32_t n, uint64_t *in, uint64_t *gap) {
  double lo = f64_of_key(range.lo), hi = f64_of_key(range.hi);
  uint64_t below;
  uint32_t m = (uint32_t)k_between(col->f, col->null, n, lo, hi, (double *)in, &below);
  for (uint32_t k = 0; k < m; k++) {
    double x;
    memcpy(&x, &in[k], sizeof x);
    in[k] = f64_key(x);
  }
  *gap += below;
  return m;
}

static bool is_number(uint64_t key) {
  return key >= f64_key(-HUGE_VAL) && key <= f64_key(HUGE_VAL);
}

static Status map_entry(const Par *q, const Entry *t, const Panel *p, Bag *b, Ctx *c) {
  uint32_t n;
  if (b->full || !t->n)
    return ST_OK;
  const Col *col = agg_col(p, t->src.arg, IR_F64, c);
  if (!col || bag_room(b, p->n, q->most, c->err))
    return c->err->code;
  if (b->full)
    return ST_OK;
  if (t->n == 1 && t->src.where < 0 && t->src.leave_out < 0 && t->src.weight < 0 && !col->constant &&
      is_number(t->range[0].lo) && is_number(t->range[0].hi)) {
    b->ntail += pick_of_col(t->range[0], col, p->n, b->tail + b->ntail, b->gap);
    return ST_OK;
  }
  const uint64_t *key = agg_keys(p, &t->src, &n, c);
  if (!key)
    return c->err->code;
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
    for (uint64_t k = 0; k < q->entry[i].n; k++)
      x->gap[k] += y->gap[k];
    if (!x->full && !y->full && !y->n) { /* all it has is its tail */
      if (!y->ntail)
        continue;
      if (bag_room(x, y->ntail, q->most, e))
        return e->code;
      if (!x->full) {
        memcpy(x->tail + x->ntail, y->tail, y->ntail * sizeof *y->tail);
        x->ntail += y->ntail;
      }
      continue;
    }
    if (bag_settle(x, q->most, e) || bag_settle(y, q->most, e))
      return e->code;
    if (y->full)
      bag_give_up(x);
    if (bag_join(x, y->item, y->n, q->most, e))
      return e->code;
  }
  return ST_OK;
}

static Status save_bag(const Bag *b, uint64_t nrange, uint64_t most, Buf *out, Err *e) {
  KeyItem *tail = sorted_tail(b), *all = tail; /* where there is only the tail it is joined in place */
  if (b->n)
    all = mem_alloc64(((size_t)b->n + b->ntail) * sizeof *all);
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
  if (all != tail)
    mem_free(all);
  mem_free(tail);
  return e->code;
}

/* Of each entry: u8 given up; u64 a gap of each range, then u64 count, u64 key and u64 count of each; all 0
 * where it was given up. */
static Status save(const void *par, const void *partial, Buf *out, Err *e) {
  const Par *q = par;
  const Bags *b = partial;
  size_t room = 0;
  for (uint32_t i = 0; i < q->n; i++)
    room += 9 + 8 * q->entry[i].n + ((size_t)b->bag[i].n + b->bag[i].ntail) * sizeof(KeyItem);
  if (!buf_room(out, room))
    return err_memory(e);
  for (uint32_t i = 0; i < q->n; i++)
    if (save_bag(&b->bag[i], q->entry[i].n, q->most, out, e))
      return e->code;
  return out->bad ? err_memory(e) : ST_OK;
}

static bool load_bag(const Par *q, uint32_t i, Rd *r, Bag *b, Err *e) {
  b->full = rd_u8(r);
  for (uint64_t k = 0; k < q->entry[i].n; k++)
    b->gap[k] = rd_u64(r);
  uint64_t n = rd_count(r, sizeof(KeyItem));
  const void *items = rd_take(r, (size_t)n * sizeof(KeyItem));
  if (r->bad || n > q->most || (b->full && n))
    return false;
  b->item = mem_alloc64(((size_t)n + 1) * sizeof *b->item);
  if (!b->item) {
    err_memory(e);
    return false;
  }
  if (n)
    memcpy(b->item, items, (size_t)n * sizeof *b->item);
  bool good = true;
  for (; b->n < n; b->n++) {
    const KeyItem *v = &b->item[b->n];
    good &= v->count && (!b->n || v->key > v[-1].key);
  }
  return good;
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
