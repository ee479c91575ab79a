/* SPDX-License-Identifier: Apache-2.0 */
/* Order statistics, driver side: see order.h; the passes are in sample.c, bag.c and quantile.c.
 *
 * A column of which few quantiles are wanted:
 *   round 1   a sample of its values, and how many there are. Of few values it has all: done
 *   then      the range in which a rank almost certainly lies, by the sample, is counted and collected; a
 *             range that has too many different values for that is sampled again
 * (after Floyd, Rivest, "Expected time bounds for selection", CACM 18, 1975). Other columns, and ranks that
 * were not in their range, or in one with more values than it looked:
 *   round 1   histogram of the upper 16 bits of the keys: how many values, and the bin of each wanted rank
 *   then      the values in those bins are collected, with counts. A column with too many distinct ones gives
 *             up: the next round has histograms of the next 16 bits under its prefixes, then it collects
 *             again; after 64 bits the value itself is known
 *
 * The number of rounds depends on the values, the result only on their multiset. */
#include "vm/agg/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 4 }; /* quantiles of a column */

void orders_free(Orders *o) {
  for (uint32_t i = 0; i < o->n; i++) {
    mem_free(o->col[i].rank);
    mem_free(o->col[i].q);
  }
  mem_free(o->col);
  for (int i = 0; i < ASK_N; i++)
    buf_free(&o->par[i]);
  memset(o, 0, sizeof *o);
}

/* Room for one more of n things of a size. */
static Status make_room(void *array, uint32_t n, uint32_t *cap, size_t size, Err *e) {
  void **at = array;
  if (n < *cap)
    return ST_OK;
  uint32_t more = *cap ? 2 * *cap : 8;
  void *p = mem_realloc(*at, more * size);
  if (!p)
    return err_memory(e);
  *at = p;
  *cap = more;
  return ST_OK;
}

int64_t orders_col(Orders *o, const AggSrc *s, Err *e) {
  for (uint32_t i = 0; i < o->n; i++) {
    const AggSrc *c = &o->col[i].src;
    if (c->arg == s->arg && c->where == s->where && c->leave_out == s->leave_out)
      return i;
  }
  if (make_room(&o->col, o->n, &o->cap, sizeof *o->col, e))
    return -1;
  o->col[o->n] = (OrderCol){.src = *s};
  return o->n++;
}

Status orders_want(Orders *o, uint32_t col, double q, Err *e) {
  OrderCol *c = &o->col[col];
  if (make_room(&c->q, c->nq, &c->capq, sizeof *c->q, e))
    return e->code;
  c->q[c->nq++] = q;
  return ST_OK;
}

/* ---- The first round ---- */

static void put_hist(Buf *b, const AggSrc *s, uint32_t depth, uint64_t prefix) {
  src_put(b, s);
  buf_u32(b, depth);
  buf_u64(b, prefix);
}

static void put_sample(Buf *b, const AggSrc *s, KeyRange range) {
  src_put(b, s);
  buf_u64(b, range.lo);
  buf_u64(b, range.hi);
}

static const KeyRange all_keys = {0, UINT64_MAX};

static void ask_first(Orders *o) {
  uint64_t n[ASK_N] = {0};
  for (uint32_t i = 0; i < o->n; i++) {
    OrderCol *c = &o->col[i];
    c->first = c->nq <= FEW ? ASK_SAMPLE : ASK_HISTOGRAM;
    c->entry = (uint32_t)n[c->first]++;
  }
  for (int k = 0; k < ASK_N; k++)
    if (n[k])
      buf_u64(&o->par[k], n[k]);
  for (uint32_t i = 0; i < o->n; i++) {
    const OrderCol *c = &o->col[i];
    if (c->first == ASK_SAMPLE)
      put_sample(&o->par[ASK_SAMPLE], &c->src, all_keys);
    else
      put_hist(&o->par[ASK_HISTOGRAM], &c->src, 0, 0);
  }
}

static Status want_rank(OrderCol *c, uint64_t k, Err *e) {
  uint32_t at = c->nrank;
  while (at && c->rank[at - 1].k >= k)
    at--;
  if (at < c->nrank && c->rank[at].k == k)
    return ST_OK;
  if (make_room(&c->rank, c->nrank, &c->cap, sizeof *c->rank, e))
    return e->code;
  memmove(&c->rank[at + 1], &c->rank[at], (c->nrank - at) * sizeof *c->rank);
  c->rank[at] = (Rank){.k = k, .asked = c->first, .entry = c->entry, .range = all_keys};
  c->nrank++;
  return ST_OK;
}

/* The ranks of the wanted quantiles, once it is known how many values there are. */
static Status make_ranks(OrderCol *c, Err *e) {
  for (uint32_t i = 0; c->n && i < c->nq; i++) {
    double part;
    uint64_t k = quantile_rank(c->q[i], c->n, &part);
    if (want_rank(c, k, e) || (part > 0 && want_rank(c, k + 1, e)))
      return e->code;
  }
  return ST_OK;
}

static Status count_values(Orders *o, Asked what, const void *partial, Err *e) {
  for (uint32_t i = 0; i < o->n; i++) {
    OrderCol *c = &o->col[i];
    if (c->first != what)
      continue;
    const Samples *s = partial;
    const Hist *h = partial;
    if (c->entry >= (what == ASK_SAMPLE ? s->n : h->n))
      return par_bad(e);
    if (what == ASK_SAMPLE)
      c->n = s->v[c->entry].inside;
    for (uint32_t b = 0; what == ASK_HISTOGRAM && b < BINS; b++)
      c->n += h->bin[(size_t)c->entry * BINS + b];
    if (make_ranks(c, e))
      return e->code;
  }
  return ST_OK;
}

/* ---- Asking ---- */

Status add_job(Jobs *jobs, const Pass *pass, const Buf *par, Err *e) {
  Job *j = par->bad ? NULL : jobs_add(jobs, pass);
  if (!j)
    return err_memory(e);
  buf_put(&j->par, par->p, par->n);
  return j->par.bad ? err_memory(e) : ST_OK;
}

enum { DEPTHS = 4 }; /* 0: a range */

static bool waits(const Rank *r, uint32_t depth) {
  return !r->done && r->next == ASK_COLLECT && r->depth == depth;
}

/* One entry for a column and depth: the ranges of its ranks, which ascend as those do; what overlaps is
 * one. */
static void ask_ranges(OrderCol *c, uint32_t depth, uint32_t entry, Buf *b) {
  uint64_t n = 0;
  KeyRange last = {0, 0};
  Buf list = {0};
  for (uint32_t k = 0; k <= c->nrank; k++) {
    Rank *r = k < c->nrank ? &c->rank[k] : NULL;
    if (r && !waits(r, depth))
      continue;
    if (r) {
      r->asked = ASK_COLLECT;
      r->entry = entry;
    }
    if (r && n && r->range.lo <= last.hi) {
      last.hi = r->range.hi > last.hi ? r->range.hi : last.hi;
      continue;
    }
    if (n) {
      buf_u64(&list, last.lo);
      buf_u64(&list, last.hi);
    }
    if (r) {
      last = r->range;
      n++;
    }
  }
  src_put(b, &c->src);
  buf_u64(b, n);
  buf_put(b, list.p, list.n);
  b->bad |= list.bad;
  buf_free(&list);
}

static bool any_waits(const OrderCol *c, uint32_t depth) {
  for (uint32_t k = 0; k < c->nrank; k++)
    if (waits(&c->rank[k], depth))
      return true;
  return false;
}

static void ask_collect(Orders *o, Buf *par) {
  uint64_t entries = 0;
  uint32_t entry = 0;
  for (uint32_t i = 0; i < o->n; i++)
    for (uint32_t d = 0; d < DEPTHS; d++)
      entries += any_waits(&o->col[i], d);
  if (!entries)
    return;
  buf_u64(par, entries);
  buf_u64(par, DISTINCT_MOST / entries > 4 ? DISTINCT_MOST / entries : 4);
  for (uint32_t i = 0; i < o->n; i++)
    for (uint32_t d = 0; d < DEPTHS; d++)
      if (any_waits(&o->col[i], d))
        ask_ranges(&o->col[i], d, entry++, par);
}

static bool same_place(const Rank *a, const Rank *b, Asked what) {
  return a->asked == what && (what == ASK_SAMPLE
                                  ? a->range.lo == b->range.lo && a->range.hi == b->range.hi
                                  : a->depth == b->depth && a->prefix == b->prefix);
}

/* Histograms under prefixes, or samples of ranges: one for ranks with the same. Beyond `most` of them ranks
 * wait for another round. */
static void ask_each(Orders *o, Asked what, uint32_t most, Buf *par) {
  uint32_t n = 0;
  Buf list = {0};
  for (uint32_t i = 0; i < o->n; i++) {
    OrderCol *c = &o->col[i];
    for (uint32_t k = 0; k < c->nrank; k++) {
      Rank *r = &c->rank[k];
      if (r->next != what || r->done)
        continue;
      bool same = k && same_place(r - 1, r, what);
      if (!same && n == most)
        break;
      if (!same && what == ASK_SAMPLE)
        put_sample(&list, &c->src, r->range);
      else if (!same)
        put_hist(&list, &c->src, r->depth, r->prefix);
      n += !same;
      r->asked = what;
      r->entry = n - 1;
    }
  }
  if (n) {
    buf_u64(par, n);
    buf_put(par, list.p, list.n);
    par->bad |= list.bad;
  }
  buf_free(&list);
}

static const Pass *const pass_of[ASK_N] = {NULL, &pass_collect, &pass_histogram, &pass_sample};

Status orders_ask(Orders *o, Jobs *jobs, Err *e) {
  for (uint32_t i = 0; i < o->n; i++)
    for (uint32_t k = 0; k < o->col[i].nrank; k++)
      o->col[i].rank[k].asked = ASK_NOTHING;
  for (int i = 0; i < ASK_N; i++)
    buf_free(&o->par[i]);
  if (o->counted) {
    ask_each(o, ASK_HISTOGRAM, DEEP_MOST, &o->par[ASK_HISTOGRAM]);
    ask_each(o, ASK_SAMPLE, UINT32_MAX, &o->par[ASK_SAMPLE]);
    ask_collect(o, &o->par[ASK_COLLECT]);
  } else {
    ask_first(o);
  }
  for (int i = 1; i < ASK_N; i++)
    if (o->par[i].bad || o->par[i].n)
      if (add_job(jobs, pass_of[i], &o->par[i], e))
        return e->code;
  return ST_OK;
}

/* ---- Taking: a histogram ---- */

static void collect_under(Rank *r) {
  uint32_t shift = 64 - 16 * r->depth;
  r->next = ASK_COLLECT;
  r->range = (KeyRange){r->prefix << shift, r->prefix << shift | ((UINT64_C(1) << shift) - 1)};
}

/* The range was wrong, or has too many values: from here on by histograms. */
static void go_deep(Rank *r) {
  r->next = ASK_HISTOGRAM;
}

/* The bin of a rank among those under its prefix: one level deeper. */
static Status take_histogram(Rank *r, const Hist *h, Err *e) {
  const uint64_t *bin = h->bin + (size_t)r->entry * BINS;
  for (uint32_t b = 0; r->entry < h->n && b < BINS; b++) {
    if (r->k - r->before < bin[b]) {
      r->prefix = r->prefix << 16 | b;
      r->depth++;
      r->done = r->depth == 4;
      r->key = r->prefix;
      if (!r->done)
        collect_under(r);
      return ST_OK;
    }
    r->before += bin[b];
  }
  return par_bad(e);
}

/* ---- A sample ---- */

/* How many different values a range seems to have: what came once in the sample stands for others. */
static double distinct_guess(const Sample *s, uint32_t from, uint32_t to) {
  uint32_t once = 0, more = 0;
  for (uint32_t i = from, n; i < to; i += n) {
    for (n = 1; i + n < to && s->item[i + n].key == s->item[i].key;)
      n++;
    once += n == 1;
    more += n > 1;
  }
  return more + ldexp(once, (int)s->level);
}

/* Where the rank is among the sampled values, and 4.5 standard deviations of that to both sides: it is wrong
 * once in 100,000 times, and then costs scans. */
static void guess_range(Rank *r, const Sample *s, double most) {
  double p = ((double)(r->k - s->below) + 0.5) / (double)s->inside, at = p * s->n;
  double margin = 4.5 * sqrt(at * (1 - p)) + 8;
  double lo = floor(at - margin), hi = ceil(at + margin);
  uint32_t from = lo < 0 ? 0 : (uint32_t)lo, to = hi >= s->n ? s->n : (uint32_t)hi + 1;
  if (lo >= 0)
    r->range.lo = s->item[from].key;
  if (hi < s->n)
    r->range.hi = s->item[to - 1].key;
  bool narrower = 2 * (uint64_t)(to - from) < s->n;
  r->next = narrower && distinct_guess(s, from, to) > most ? ASK_SAMPLE : ASK_COLLECT;
}

static Status take_sample(Rank *r, const Samples *all, double most, Err *e) {
  if (r->entry >= all->n)
    return par_bad(e);
  const Sample *s = &all->v[r->entry];
  if (r->k < s->below || r->k - s->below >= s->inside) {
    go_deep(r);
  } else if (s->level == 0) {
    r->key = s->item[r->k - s->below].key;
    r->done = true;
  } else if (!s->n) {
    r->next = ASK_COLLECT;
  } else {
    guess_range(r, s, most);
  }
  return ST_OK;
}

/* ---- What was collected ---- */

/* The value with number r->k, the first of those collected having number 0 but for the gaps. */
static bool find_in_gaps(Rank *r, const Bag *b, const KeyRange *range, uint64_t nrange) {
  uint64_t sum = 0;
  uint32_t at = 0;
  for (uint64_t i = 0; i < nrange; i++) {
    sum += b->gap[i];
    if (r->k < sum)
      return false;
    for (; at < b->n && b->item[at].key <= range[i].hi; at++) {
      if (r->k - sum < b->item[at].count) {
        r->key = b->item[at].key;
        return true;
      }
      sum += b->item[at].count;
    }
  }
  return false;
}

/* The value with number r->k - r->before among those with its prefix. */
static bool find_in_range(Rank *r, const Bag *b) {
  uint32_t lo = 0, hi = b->n;
  while (lo < hi) {
    uint32_t mid = lo + (hi - lo) / 2;
    if (b->item[mid].key < r->range.lo)
      lo = mid + 1;
    else
      hi = mid;
  }
  uint64_t left = r->k - r->before;
  for (; lo < b->n && b->item[lo].key <= r->range.hi; lo++) {
    if (left < b->item[lo].count) {
      r->key = b->item[lo].key;
      return true;
    }
    left -= b->item[lo].count;
  }
  return false;
}

static Status take_collected(Rank *r, const void *par, const Bags *all, Err *e) {
  if (r->entry >= all->n)
    return par_bad(e);
  const Bag *b = &all->bag[r->entry];
  uint64_t nrange;
  const KeyRange *range = collect_ranges(par, r->entry, &nrange);
  if (b->full)
    go_deep(r);
  else
    r->done = r->depth ? find_in_range(r, b) : find_in_gaps(r, b, range, nrange);
  if (!r->done && r->depth && !b->full)
    return par_bad(e);
  if (!r->done)
    go_deep(r);
  return ST_OK;
}

static Status take_part(Orders *o, Asked what, const void *par, const void *partial, Err *e) {
  double most = (double)(DISTINCT_MOST / (o->n ? o->n : 1));
  if (!o->counted && count_values(o, what, partial, e))
    return e->code;
  for (uint32_t i = 0; i < o->n && !e->code; i++)
    for (uint32_t k = 0; k < o->col[i].nrank && !e->code; k++) {
      Rank *r = &o->col[i].rank[k];
      if (r->asked != what)
        continue;
      if (what == ASK_COLLECT)
        take_collected(r, par, partial, e);
      else if (what == ASK_SAMPLE)
        take_sample(r, partial, most, e);
      else
        take_histogram(r, partial, e);
    }
  return e->code;
}

Status orders_take(Orders *o, const Buf *out, uint32_t nout, Err *e) {
  uint32_t asked = 0;
  for (int i = 1; i < ASK_N; i++)
    asked += o->par[i].n > 0;
  if (nout != asked)
    return par_bad(e);
  for (int i = 1; i < ASK_N && !e->code; i++) {
    if (!o->par[i].n)
      continue;
    const Pass *pass = pass_of[i];
    void *par = pass->open(buf_bytes(&o->par[i]), e);
    void *partial = par ? pass->load(par, buf_bytes(out++), e) : NULL;
    if (partial)
      take_part(o, (Asked)i, par, partial, e);
    if (partial)
      pass->free(par, partial);
    if (par)
      pass->close(par);
  }
  o->counted = true;
  return e->code;
}

static double value_of(const OrderCol *c, uint64_t k) {
  for (uint32_t i = 0; i < c->nrank; i++)
    if (c->rank[i].k == k)
      return f64_of_key(c->rank[i].key);
  return 0;
}

double orders_value(const Orders *o, uint32_t col, double q) {
  const OrderCol *c = &o->col[col];
  double part;
  uint64_t k = quantile_rank(q, c->n, &part);
  double lo = value_of(c, k);
  return quantile_between(lo, part > 0 ? value_of(c, k + 1) : lo, part);
}
