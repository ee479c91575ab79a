/* SPDX-License-Identifier: Apache-2.0 */
/* Passes "agg.histogram" and "agg.collect": exact order statistics of numbers by radix selection on
 * order-preserving keys.
 *
 * A histogram counts the 16 bits of the key that follow a known prefix; collecting takes the values under
 * chosen prefixes themselves, as distinct keys with counts, and gives up where they are too many. Both are
 * exact in any order. agg.c decides which is asked for when. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "vm/agg/parts.h"

uint64_t quantile_rank(double q, uint64_t n, double *part) {
  double h = (double)(n - 1) * q, whole = floor(h);
  uint64_t k = (uint64_t)whole;
  *part = h - whole;
  if (k >= n - 1) {
    k = n - 1;
    *part = 0;
  }
  return k;
}

double quantile_between(double lo, double hi, double part) {
  double d = hi - lo;
  if (part <= 0 || lo == hi)
    return lo;
  if (d <= 1.7976931348623157e308)
    return part < 0.5 ? lo + d * part : hi - d * (1 - part);
  return lo * (1 - part) + hi * part; /* the distance overflows, or one is infinite or NaN */
}

/* The keys of the selected values. */
static uint64_t *keys_of(const Panel *p, const AggSrc *s, uint32_t *n, Ctx *c) {
  Sel sel;
  if (agg_select(p, s, c, &sel))
    return NULL;
  const double *x = agg_f64s(p, s->arg, &sel, c);
  uint64_t *key = x ? arena_alloc64(c->scratch, ((size_t)sel.n + 1) * sizeof *key) : NULL;
  if (!key) {
    err_memory(c->err);
    return NULL;
  }
  for (uint32_t i = 0; i < sel.n; i++)
    key[i] = f64_key(x[i]);
  *n = sel.n;
  return key;
}

static bool same_src(const AggSrc *a, const AggSrc *b) {
  return a->arg == b->arg && a->where == b->where && a->weight == b->weight && a->leave_out == b->leave_out;
}

static void close_par(void *par) {
  mem_free(par);
}

/* ---- agg.histogram ---- */

typedef struct HistPar {
  uint32_t n;
  HistEntry entry[];
} HistPar;

static void *hist_open(Bytes in, Err *e) {
  Rd r = rd_of(in);
  uint64_t n = rd_count(&r, 36);
  bool good = !r.bad && n < 1 << 16;
  HistPar *p = good ? mem_alloc(sizeof *p + (size_t)n * sizeof *p->entry) : NULL;
  for (uint32_t i = 0; p && good && i < n; i++) {
    HistEntry *h = &p->entry[i];
    src_get(&r, &h->src);
    h->depth = rd_u32(&r);
    h->prefix = rd_u64(&r);
    good = h->depth < 4 && (h->depth ? h->prefix >> (16 * h->depth) == 0 : h->prefix == 0);
  }
  if (p && good && rd_done(&r)) {
    p->n = (uint32_t)n;
    return p;
  }
  if (good && !p)
    err_memory(e);
  else
    par_bad(e);
  mem_free(p);
  return NULL;
}

static size_t hist_size(const void *par) {
  return sizeof(Hist) + ((const HistPar *)par)->n * (size_t)BINS * sizeof(uint64_t);
}

static void *hist_init(const void *par, Err *e) {
  const HistPar *p = par;
  Hist *h = mem_alloc(sizeof *h);
  if (h)
    h->bin = mem_alloc(((size_t)p->n * BINS + 1) * sizeof *h->bin);
  if (!h || !h->bin) {
    mem_free(h);
    err_memory(e);
    return NULL;
  }
  h->n = p->n;
  return h;
}

static void hist_free(const void *par, void *partial) {
  Hist *h = partial;
  (void)par;
  if (h)
    mem_free(h->bin);
  mem_free(h);
}

/* Entries i .. end - 1 have one source and depth, and ascending prefixes: each key is in one of them at
 * most. */
static uint32_t run_of(const HistPar *q, uint32_t i) {
  uint32_t end = i + 1;
  while (end < q->n && same_src(&q->entry[end].src, &q->entry[i].src) &&
         q->entry[end].depth == q->entry[i].depth && q->entry[end].prefix > q->entry[end - 1].prefix)
    end++;
  return end;
}

static void count_deep(const HistEntry *t, uint32_t nentry, uint64_t *bin, const uint64_t *key, uint32_t n) {
  uint32_t shift = 48 - 16 * t->depth;
  for (uint32_t k = 0; k < n; k++) {
    uint64_t prefix = key[k] >> shift >> 16;
    uint32_t lo = 0, hi = nentry;
    while (lo < hi) {
      uint32_t mid = lo + (hi - lo) / 2;
      if (t[mid].prefix < prefix)
        lo = mid + 1;
      else
        hi = mid;
    }
    if (lo < nentry && t[lo].prefix == prefix)
      bin[(size_t)lo * BINS + (key[k] >> shift & 0xffff)]++;
  }
}

static Status hist_map(const void *par, const Panel *p, void *partial, Ctx *c) {
  const HistPar *q = par;
  Hist *h = partial;
  for (uint32_t i = 0, end; i < q->n; i = end) {
    const HistEntry *t = &q->entry[i];
    uint64_t *bin = h->bin + (size_t)i * BINS;
    uint32_t n;
    const uint64_t *key = keys_of(p, &t->src, &n, c);
    end = run_of(q, i);
    if (!key)
      return c->err->code;
    if (t->depth)
      count_deep(t, end - i, bin, key, n);
    else
      for (uint32_t k = 0; k < n; k++)
        bin[key[k] >> 48]++;
  }
  return ST_OK;
}

static Status hist_merge(const void *par, void *l, void *r, Err *e) {
  Hist *a = l;
  const Hist *b = r;
  (void)par;
  (void)e;
  for (size_t i = 0; i < (size_t)a->n * BINS; i++)
    a->bin[i] += b->bin[i];
  return ST_OK;
}

/* Of each entry: u64 count of bins that are not 0, then u32 and u64 of each. */
static Status hist_save(const void *par, const void *partial, Buf *out, Err *e) {
  const Hist *h = partial;
  (void)par;
  for (uint32_t i = 0; i < h->n; i++) {
    const uint64_t *bin = h->bin + (size_t)i * BINS;
    uint64_t n = 0;
    for (uint32_t b = 0; b < BINS; b++)
      n += bin[b] != 0;
    buf_u64(out, n);
    for (uint32_t b = 0; b < BINS; b++)
      if (bin[b]) {
        buf_u32(out, b);
        buf_u64(out, bin[b]);
      }
  }
  return out->bad ? err_memory(e) : ST_OK;
}

static void *hist_load(const void *par, Bytes in, Err *e) {
  Rd r = rd_of(in);
  Hist *h = hist_init(par, e);
  for (uint32_t i = 0; h && i < h->n && !r.bad; i++)
    for (uint64_t n = rd_count(&r, 12); n; n--) {
      uint32_t b = rd_u32(&r);
      uint64_t count = rd_u64(&r);
      if (b < BINS)
        h->bin[(size_t)i * BINS + b] = count;
      else
        r.bad = true;
    }
  if (h && rd_done(&r))
    return h;
  hist_free(par, h);
  par_bad(e);
  return NULL;
}

const Pass pass_histogram = {"agg.histogram", RED_EXACT, hist_open, close_par, hist_size, hist_init,
                             hist_map,        hist_merge, hist_save, hist_load, hist_free};

/* ---- Bags ---- */

static uint32_t slot_of(const Bag *b, uint64_t key) {
  uint32_t i = (uint32_t)hash_mix(key) & (b->nslot - 1);
  while (b->count[i] && b->key[i] != key)
    i = (i + 1) & (b->nslot - 1);
  return i;
}

static void bag_free(Bag *b) {
  mem_free(b->key);
  mem_free(b->count);
  *b = (Bag){0};
}

static void bag_give_up(Bag *b) {
  bag_free(b);
  b->full = true;
}

static Status bag_grow(Bag *b, Err *e) {
  Bag g = {.n = b->n, .nslot = b->nslot ? 2 * b->nslot : 64};
  g.key = mem_alloc(g.nslot * sizeof *g.key);
  g.count = mem_alloc(g.nslot * sizeof *g.count);
  if (!g.key || !g.count) {
    bag_free(&g);
    return err_memory(e);
  }
  for (uint32_t i = 0; i < b->nslot; i++)
    if (b->count[i]) {
      uint32_t k = slot_of(&g, b->key[i]);
      g.key[k] = b->key[i];
      g.count[k] = b->count[i];
    }
  bag_free(b);
  *b = g;
  return ST_OK;
}

static Status bag_add(Bag *b, uint64_t key, uint64_t count, uint64_t most, Err *e) {
  if (b->full || !count)
    return ST_OK;
  if ((b->n + 1) * 2 > b->nslot && bag_grow(b, e))
    return e->code;
  uint32_t i = slot_of(b, key);
  if (!b->count[i] && b->n >= most) {
    bag_give_up(b);
    return ST_OK;
  }
  b->n += !b->count[i];
  b->key[i] = key;
  b->count[i] += count;
  return ST_OK;
}

static int by_item(const void *x, const void *y) {
  const BagItem *a = x, *b = y;
  return (a->key > b->key) - (a->key < b->key);
}

BagItem *bag_sorted(const Bag *b, Err *e) {
  BagItem *v = mem_alloc(((size_t)b->n + 1) * sizeof *v);
  if (!v) {
    err_memory(e);
    return NULL;
  }
  uint32_t n = 0;
  for (uint32_t i = 0; i < b->nslot; i++)
    if (b->count[i])
      v[n++] = (BagItem){b->key[i], b->count[i]};
  if (n > 1)
    qsort(v, n, sizeof *v, by_item);
  return v;
}

/* ---- agg.collect ---- */

typedef struct CollectPar {
  uint32_t n;
  uint64_t most; /* distinct values of an entry */
  CollectEntry entry[];
} CollectPar;

static void collect_close(void *par) {
  CollectPar *p = par;
  for (uint32_t i = 0; p && i < p->n; i++)
    mem_free(p->entry[i].prefix);
  mem_free(p);
}

static bool read_entry(Rd *r, CollectEntry *t, Err *e) {
  src_get(r, &t->src);
  t->depth = rd_u32(r);
  t->nprefix = rd_count(r, 8);
  if (r->bad || t->depth < 1 || t->depth > 3)
    return false;
  t->prefix = mem_alloc(((size_t)t->nprefix + 1) * sizeof *t->prefix);
  if (!t->prefix) {
    err_memory(e);
    return false;
  }
  for (uint64_t k = 0; k < t->nprefix; k++) {
    t->prefix[k] = rd_u64(r);
    if (k && t->prefix[k] <= t->prefix[k - 1])
      return false;
  }
  return true;
}

static void *collect_open(Bytes in, Err *e) {
  Rd r = rd_of(in);
  uint64_t n = rd_count(&r, 36), most = rd_u64(&r);
  bool good = !r.bad && n < 1 << 20 && most <= DISTINCT_MOST;
  CollectPar *p = good ? mem_alloc(sizeof *p + (size_t)n * sizeof *p->entry) : NULL;
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
  collect_close(p);
  par_bad(e);
  return NULL;
}

static size_t collect_size(const void *par) {
  return sizeof(Bags) + ((const CollectPar *)par)->n * ((size_t)64 << 10);
}

static void *collect_init(const void *par, Err *e) {
  const CollectPar *p = par;
  Bags *b = mem_alloc(sizeof *b);
  if (b)
    b->bag = mem_alloc((p->n ? p->n : 1) * sizeof *b->bag);
  if (!b || !b->bag) {
    mem_free(b);
    err_memory(e);
    return NULL;
  }
  b->n = p->n;
  return b;
}

static void collect_free(const void *par, void *partial) {
  Bags *b = partial;
  (void)par;
  for (uint32_t i = 0; b && i < b->n; i++)
    bag_free(&b->bag[i]);
  if (b)
    mem_free(b->bag);
  mem_free(b);
}

static bool wanted(const CollectEntry *t, uint64_t prefix) {
  uint64_t lo = 0, hi = t->nprefix;
  while (lo < hi) {
    uint64_t mid = (lo + hi) / 2;
    if (t->prefix[mid] < prefix)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo < t->nprefix && t->prefix[lo] == prefix;
}

static Status collect_map(const void *par, const Panel *p, void *partial, Ctx *c) {
  const CollectPar *q = par;
  Bags *b = partial;
  for (uint32_t i = 0; i < q->n; i++) {
    const CollectEntry *t = &q->entry[i];
    uint32_t n, shift = 64 - 16 * t->depth;
    if (b->bag[i].full)
      continue;
    const uint64_t *key = keys_of(p, &t->src, &n, c);
    if (!key)
      return c->err->code;
    for (uint32_t k = 0; k < n; k++)
      if (wanted(t, key[k] >> shift) && bag_add(&b->bag[i], key[k], 1, q->most, c->err))
        return c->err->code;
  }
  return ST_OK;
}

static Status collect_merge(const void *par, void *l, void *r, Err *e) {
  const CollectPar *q = par;
  Bags *a = l;
  const Bags *b = r;
  for (uint32_t i = 0; i < q->n; i++) {
    const Bag *x = &b->bag[i];
    if (x->full)
      bag_give_up(&a->bag[i]);
    for (uint32_t k = 0; k < x->nslot; k++)
      if (bag_add(&a->bag[i], x->key[k], x->count[k], q->most, e))
        return e->code;
  }
  return ST_OK;
}

/* Of each entry: u8 given up, u64 count, u64 key and u64 count of each, ascending. */
static Status collect_save(const void *par, const void *partial, Buf *out, Err *e) {
  const Bags *b = partial;
  (void)par;
  for (uint32_t i = 0; i < b->n; i++) {
    const Bag *x = &b->bag[i];
    BagItem *v = bag_sorted(x, e);
    if (!v)
      return e->code;
    buf_u8(out, x->full);
    buf_u64(out, x->n);
    for (uint32_t k = 0; k < x->n; k++) {
      buf_u64(out, v[k].key);
      buf_u64(out, v[k].count);
    }
    mem_free(v);
  }
  return out->bad ? err_memory(e) : ST_OK;
}

static void *collect_load(const void *par, Bytes in, Err *e) {
  const CollectPar *q = par;
  Rd r = rd_of(in);
  Bags *b = collect_init(par, e);
  for (uint32_t i = 0; b && i < b->n && !r.bad && !e->code; i++) {
    bool full = rd_u8(&r);
    for (uint64_t n = rd_count(&r, 16); n && !e->code; n--) {
      uint64_t key = rd_u64(&r), count = rd_u64(&r);
      bag_add(&b->bag[i], key, count, q->most, e);
    }
    if (full)
      bag_give_up(&b->bag[i]);
  }
  if (b && !e->code && rd_done(&r))
    return b;
  collect_free(par, b);
  par_bad(e);
  return NULL;
}

const Pass pass_collect = {"agg.collect", RED_EXACT,    collect_open, collect_close,
                           collect_size,  collect_init, collect_map,  collect_merge,
                           collect_save,  collect_load, collect_free};
