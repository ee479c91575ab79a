/* SPDX-License-Identifier: Apache-2.0 */
/* Radix selection, driver side: see order.h; the passes are in quantile.c.
 *
 *   round 1   histogram of the upper 16 bits of all columns: how many values, and the bin of each wanted rank
 *   then      the values in those bins are collected, with counts. A column with too many distinct ones gives
 *             up: the next round has histograms of the next 16 bits under its prefixes, then it collects
 *             again; after 64 bits the value itself is known
 *
 * The number of rounds depends on the values, the result only on their multiset. */
#include "vm/agg/order.h"

#include <stdlib.h>
#include <string.h>

void orders_free(Orders *o) {
  for (uint32_t i = 0; i < o->n; i++)
    mem_free(o->col[i].rank);
  mem_free(o->col);
  buf_free(&o->par[0]);
  buf_free(&o->par[1]);
  memset(o, 0, sizeof *o);
}

int64_t orders_col(Orders *o, const AggSrc *s, Err *e) {
  for (uint32_t i = 0; i < o->n; i++) {
    const AggSrc *c = &o->col[i].src;
    if (c->arg == s->arg && c->where == s->where && c->leave_out == s->leave_out)
      return i;
  }
  if (o->n == o->cap) {
    uint32_t cap = o->cap ? 2 * o->cap : 8;
    OrderCol *c = mem_realloc(o->col, cap * sizeof *c);
    if (!c) {
      err_memory(e);
      return -1;
    }
    o->col = c;
    o->cap = cap;
  }
  o->col[o->n] = (OrderCol){.src = *s};
  return o->n++;
}

static void put_hist(Buf *b, const AggSrc *s, uint32_t depth, uint64_t prefix) {
  src_put(b, s);
  buf_u32(b, depth);
  buf_u64(b, prefix);
}

void orders_first(const Orders *o, Buf *par) {
  buf_u64(par, o->n);
  for (uint32_t i = 0; i < o->n; i++)
    put_hist(par, &o->col[i].src, 0, 0);
}

Status orders_count(Orders *o, const Hist *h, Err *e) {
  if (h->n != o->n)
    return par_bad(e);
  for (uint32_t i = 0; i < o->n; i++) {
    o->col[i].n = 0;
    for (uint32_t b = 0; b < BINS; b++)
      o->col[i].n += h->bin[(size_t)i * BINS + b];
  }
  return ST_OK;
}

static Status want_rank(OrderCol *c, uint64_t k, Err *e) {
  uint32_t at = c->nrank;
  while (at && c->rank[at - 1].k >= k)
    at--;
  if (at < c->nrank && c->rank[at].k == k)
    return ST_OK;
  if (c->nrank == c->cap) {
    uint32_t cap = c->cap ? 2 * c->cap : 8;
    Rank *r = mem_realloc(c->rank, cap * sizeof *r);
    if (!r)
      return err_memory(e);
    c->rank = r;
    c->cap = cap;
  }
  memmove(&c->rank[at + 1], &c->rank[at], (c->nrank - at) * sizeof *c->rank);
  c->rank[at] = (Rank){.k = k};
  c->nrank++;
  return ST_OK;
}

Status orders_want(Orders *o, uint32_t col, double q, Err *e) {
  OrderCol *c = &o->col[col];
  double part;
  uint64_t k = quantile_rank(q, c->n, &part);
  if (want_rank(c, k, e))
    return e->code;
  return part > 0 ? want_rank(c, k + 1, e) : ST_OK;
}

/* The bin of a rank among those under its prefix: one level deeper. */
static Status descend(Rank *r, const uint64_t *bin, Err *e) {
  for (uint32_t b = 0; b < BINS; b++) {
    if (r->k - r->before < bin[b]) {
      r->prefix = r->prefix << 16 | b;
      r->depth++;
      r->deep = false;
      r->done = r->depth == 4;
      r->key = r->prefix;
      return ST_OK;
    }
    r->before += bin[b];
  }
  return par_bad(e);
}

Status orders_place(Orders *o, const Hist *h, Err *e) {
  for (uint32_t i = 0; i < o->n; i++)
    for (uint32_t k = 0; k < o->col[i].nrank; k++)
      if (descend(&o->col[i].rank[k], h->bin + (size_t)i * BINS, e))
        return e->code;
  return ST_OK;
}

/* ---- Further rounds ---- */

Status add_job(Jobs *jobs, const Pass *pass, const Buf *par, Err *e) {
  Job *j = par->bad ? NULL : jobs_add(jobs, pass);
  if (!j)
    return err_memory(e);
  buf_put(&j->par, par->p, par->n);
  return j->par.bad ? err_memory(e) : ST_OK;
}

static bool waits(const Rank *r, uint32_t depth) {
  return !r->done && !r->deep && r->depth == depth;
}

/* One entry for a column and depth: its distinct prefixes. Ranks ascend, so they do. */
static void ask_prefixes(OrderCol *c, uint32_t depth, uint32_t entry, Buf *b) {
  uint64_t n = 0, last = 0;
  Buf list = {0};
  for (uint32_t k = 0; k < c->nrank; k++) {
    Rank *r = &c->rank[k];
    if (!waits(r, depth))
      continue;
    r->asked = 1;
    r->entry = entry;
    if (n && r->prefix == last)
      continue;
    last = r->prefix;
    n++;
    buf_u64(&list, last);
  }
  src_put(b, &c->src);
  buf_u32(b, depth);
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
    for (uint32_t d = 1; d < 4; d++)
      entries += any_waits(&o->col[i], d);
  if (!entries)
    return;
  buf_u64(par, entries);
  buf_u64(par, DISTINCT_MOST / entries > 4 ? DISTINCT_MOST / entries : 4);
  for (uint32_t i = 0; i < o->n; i++)
    for (uint32_t d = 1; d < 4; d++)
      if (any_waits(&o->col[i], d))
        ask_prefixes(&o->col[i], d, entry++, par);
}

/* One histogram for ranks with one prefix; beyond DEEP_MOST of them ranks wait for another round. */
static void ask_deep(Orders *o, Buf *par) {
  uint32_t n = 0;
  Buf list = {0};
  for (uint32_t i = 0; i < o->n; i++) {
    OrderCol *c = &o->col[i];
    for (uint32_t k = 0; k < c->nrank; k++) {
      Rank *r = &c->rank[k], *last = k ? r - 1 : NULL;
      if (!r->deep || r->done)
        continue;
      bool same = last && last->asked == 2 && last->depth == r->depth && last->prefix == r->prefix;
      if (!same && n == DEEP_MOST)
        break;
      if (!same) {
        put_hist(&list, &c->src, r->depth, r->prefix);
        n++;
      }
      r->asked = 2;
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

Status orders_ask(Orders *o, Jobs *jobs, Err *e) {
  static const Pass *const pass[2] = {&pass_collect, &pass_histogram};
  for (uint32_t i = 0; i < o->n; i++)
    for (uint32_t k = 0; k < o->col[i].nrank; k++)
      o->col[i].rank[k].asked = 0;
  buf_free(&o->par[0]);
  buf_free(&o->par[1]);
  ask_deep(o, &o->par[1]);
  ask_collect(o, &o->par[0]);
  for (int i = 0; i < 2; i++)
    if (o->par[i].bad || o->par[i].n)
      if (add_job(jobs, pass[i], &o->par[i], e))
        return e->code;
  return ST_OK;
}

/* The value with number r->k - r->before among those with its prefix. */
static Status find_rank(Rank *r, const BagItem *v, uint32_t n, Err *e) {
  uint32_t shift = 64 - 16 * r->depth, lo = 0, hi = n;
  while (lo < hi) {
    uint32_t mid = lo + (hi - lo) / 2;
    if (v[mid].key >> shift < r->prefix)
      lo = mid + 1;
    else
      hi = mid;
  }
  uint64_t left = r->k - r->before;
  for (; lo < n && v[lo].key >> shift == r->prefix; lo++) {
    if (left < v[lo].count) {
      r->key = v[lo].key;
      r->done = true;
      return ST_OK;
    }
    left -= v[lo].count;
  }
  return par_bad(e);
}

static Status take_collect(Orders *o, const Bags *b, Err *e) {
  BagItem *v = NULL;
  uint32_t sorted = UINT32_MAX;
  for (uint32_t i = 0; i < o->n && !e->code; i++)
    for (uint32_t k = 0; k < o->col[i].nrank && !e->code; k++) {
      Rank *r = &o->col[i].rank[k];
      if (r->asked != 1)
        continue;
      if (r->entry >= b->n) {
        par_bad(e);
        continue;
      }
      const Bag *bag = &b->bag[r->entry];
      r->deep = bag->full;
      if (bag->full)
        continue;
      if (sorted != r->entry) {
        mem_free(v);
        v = bag_sorted(bag, e);
        sorted = r->entry;
      }
      if (v)
        find_rank(r, v, bag->n, e);
    }
  mem_free(v);
  return e->code;
}

static Status take_deep(Orders *o, const Hist *h, Err *e) {
  for (uint32_t i = 0; i < o->n; i++)
    for (uint32_t k = 0; k < o->col[i].nrank; k++) {
      Rank *r = &o->col[i].rank[k];
      if (r->asked != 2)
        continue;
      if (r->entry >= h->n)
        return par_bad(e);
      if (descend(r, h->bin + (size_t)r->entry * BINS, e))
        return e->code;
    }
  return ST_OK;
}

Status orders_take(Orders *o, const Buf *out, uint32_t nout, Err *e) {
  static const Pass *const pass[2] = {&pass_collect, &pass_histogram};
  if (nout != (o->par[0].n ? 1u : 0u) + (o->par[1].n ? 1u : 0u))
    return par_bad(e);
  for (int i = 0; i < 2; i++) {
    if (!o->par[i].n)
      continue;
    void *par = pass[i]->open(buf_bytes(&o->par[i]), e);
    void *partial = par ? pass[i]->load(par, buf_bytes(out++), e) : NULL;
    if (partial && i)
      take_deep(o, partial, e);
    else if (partial)
      take_collect(o, partial, e);
    if (partial)
      pass[i]->free(par, partial);
    if (par)
      pass[i]->close(par);
    if (e->code)
      return e->code;
  }
  return ST_OK;
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
