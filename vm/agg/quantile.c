/* SPDX-License-Identifier: Apache-2.0 */
/* What quantiles are, and pass "agg.histogram": counts of the 16 bits of an order-preserving key that follow
 * a known prefix. Exact in any order. order.c decides when it is asked for. */
#include <math.h>
#include <string.h>

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

uint64_t *agg_keys(const Panel *p, const AggSrc *s, uint32_t *n, Ctx *c) {
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
    const uint64_t *key = agg_keys(p, &t->src, &n, c);
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
