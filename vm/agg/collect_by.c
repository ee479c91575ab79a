/* SPDX-License-Identifier: Apache-2.0 */
/* Pass "agg.collect_by": grouped medians and quantiles. Keeps every value with the number of its key and
 * its fold; sorts at the end. Exact in any order. At most COLLECT_MOST values: more is an error, since
 * they are in memory. */
#include <string.h>

#include "vm/agg/parts.h"

typedef struct Par {
  uint32_t nkey;
  int32_t key[KEY_PARTS];
  uint32_t n;
  AggSrc item[];
} Par;

static void *open_par(Bytes in, Err *e) {
  Rd r = rd_of(in);
  uint64_t nkey = rd_count(&r, 4);
  int32_t key[KEY_PARTS] = {0};
  bool good = nkey >= 1 && nkey <= KEY_PARTS;
  for (uint64_t k = 0; good && k < nkey; k++)
    key[k] = (int32_t)rd_u32(&r);
  uint64_t n = good ? rd_count(&r, 24) : 0;
  good = good && !r.bad && n < 1 << 20;
  Par *p = good ? mem_alloc(sizeof *p + (size_t)n * sizeof *p->item) : NULL;
  for (uint64_t i = 0; p && i < n; i++)
    src_get(&r, &p->item[i]);
  if (p && rd_done(&r)) {
    p->nkey = (uint32_t)nkey;
    memcpy(p->key, key, sizeof key);
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

static void close_par(void *par) {
  mem_free(par);
}

static size_t partial_size(const void *par) {
  return sizeof(By) + ((const Par *)par)->n * ((size_t)256 << 10);
}

static void free_partial(const void *par, void *partial) {
  By *b = partial;
  (void)par;
  if (!b)
    return;
  map_free(&b->keys);
  for (uint32_t i = 0; b->item && i < b->n; i++)
    mem_free(b->item[i].v);
  mem_free(b->item);
  mem_free(b);
}

static void *init(const void *par, Err *e) {
  const Par *p = par;
  By *b = mem_alloc(sizeof *b);
  if (b)
    b->item = mem_alloc((p->n ? p->n : 1) * sizeof *b->item);
  if (!b || !b->item) {
    mem_free(b);
    err_memory(e);
    return NULL;
  }
  b->n = p->n;
  return b;
}

/* Room for n more values of an item. */
static Status make_room(By *b, ByItem *it, uint64_t n, Err *e) {
  uint64_t all = n;
  for (uint32_t i = 0; i < b->n; i++)
    all += b->item[i].n;
  if (all > COLLECT_MOST)
    return err_set(e, ST_RESOURCE, "CML0521",
                   "Use an ungrouped quantile or a grouped mean, or restrict the rows with `where`.",
                   "grouped medians and quantiles of one fit have more than 33,554,432 values to sort");
  if (it->n + n <= it->cap)
    return ST_OK;
  uint64_t cap = it->n + n + it->n / 2 + 64;
  ByValue *v = mem_realloc(it->v, (size_t)cap * sizeof *v);
  if (!v)
    return err_memory(e);
  it->v = v;
  it->cap = cap;
  return ST_OK;
}

static Status map(const void *par, const Panel *p, void *partial, Ctx *c) {
  const Par *q = par;
  By *b = partial;
  const uint32_t *no;
  if (agg_group(p, q->key, q->nkey, &b->keys, &b->bytes, c, &no))
    return c->err->code;
  for (uint32_t i = 0; i < q->n; i++) {
    ByItem *it = &b->item[i];
    Sel sel;
    if (agg_select(p, &q->item[i], c, &sel))
      return c->err->code;
    const double *x = agg_f64s(p, q->item[i].arg, &sel, c);
    if (!x || make_room(b, it, sel.n, c->err))
      return c->err->code;
    for (uint32_t k = 0; k < sel.n; k++) {
      uint32_t r = sel.row ? sel.row[k] : k;
      if (no[r] != UINT32_MAX)
        it->v[it->n++] = (ByValue){f64_key(x[k]), no[r], p->fold ? p->fold[r] : 0};
    }
  }
  return ST_OK;
}

static int64_t add_key(By *b, const void *key, size_t n, Err *e) {
  int fresh;
  int64_t k = map_add(&b->keys, key, n, &fresh);
  if (k < 0) {
    err_memory(e);
    return -1;
  }
  b->bytes += fresh ? n : 0;
  if (b->keys.n > LEVELS_MOST || b->bytes > LEVEL_BYTES_MOST) {
    agg_too_many(e);
    return -1;
  }
  return k;
}

static Status merge(const void *par, void *l, void *r, Err *e) {
  By *a = l;
  const By *b = r;
  (void)par;
  uint32_t *to = mem_alloc(((size_t)b->keys.n + 1) * sizeof *to);
  if (!to)
    return err_memory(e);
  for (uint32_t k = 0; k < b->keys.n && !e->code; k++)
    to[k] = (uint32_t)add_key(a, b->keys.entry[k].key, b->keys.entry[k].n, e);
  for (uint32_t i = 0; i < b->n && !e->code; i++) {
    ByItem *x = &a->item[i];
    if (make_room(a, x, b->item[i].n, e))
      break;
    for (uint64_t k = 0; k < b->item[i].n; k++) {
      ByValue v = b->item[i].v[k];
      v.number = to[v.number];
      x->v[x->n++] = v;
    }
  }
  mem_free(to);
  return e->code;
}

/* u64 keys, blob of each; of each item u64 count, then u64 key, u32 number, u32 fold of each. */
static Status save(const void *par, const void *partial, Buf *out, Err *e) {
  const By *b = partial;
  (void)par;
  buf_u64(out, b->keys.n);
  for (uint32_t k = 0; k < b->keys.n; k++)
    buf_blob(out, b->keys.entry[k].key, b->keys.entry[k].n);
  for (uint32_t i = 0; i < b->n; i++) {
    buf_u64(out, b->item[i].n);
    buf_put(out, b->item[i].v, b->item[i].n * sizeof(ByValue));
  }
  return out->bad ? err_memory(e) : ST_OK;
}

static Status load_item(Rd *r, By *b, ByItem *it, Err *e) {
  uint64_t n = rd_count(r, sizeof(ByValue));
  const void *v = rd_take(r, (size_t)n * sizeof(ByValue));
  if (r->bad)
    return par_bad(e);
  if (make_room(b, it, n, e))
    return e->code;
  if (n)
    memcpy(it->v, v, (size_t)n * sizeof(ByValue));
  it->n = n;
  for (uint64_t k = 0; k < n; k++)
    if (it->v[k].number >= b->keys.n || it->v[k].fold >= FOLDS_MOST)
      return par_bad(e);
  return ST_OK;
}

static void *load(const void *par, Bytes in, Err *e) {
  Rd r = rd_of(in);
  By *b = init(par, e);
  if (!b)
    return NULL;
  for (uint64_t n = rd_count(&r, 8); n && !r.bad && !e->code; n--) {
    Bytes key = rd_blob(&r);
    uint32_t before = b->keys.n;
    if (!r.bad && add_key(b, key.p, key.n, e) >= 0 && b->keys.n == before)
      par_bad(e);
  }
  for (uint32_t i = 0; i < b->n && !e->code; i++)
    load_item(&r, b, &b->item[i], e);
  if (!e->code && rd_done(&r))
    return b;
  free_partial(par, b);
  par_bad(e);
  return NULL;
}

const Pass pass_collect_by = {
    "agg.collect_by", RED_EXACT, open_par, close_par, partial_size, init, map, merge, save, load,
    free_partial};

/* ---- Results ---- */

/* Sorts by value, from the lowest byte to the highest; v is changed, tmp is as large. Returns which of the
 * two holds the result. */
static ByValue *radix_sort(ByValue *v, ByValue *tmp, uint64_t n) {
  for (uint32_t shift = 0; shift < 64; shift += 8) {
    uint64_t at[257] = {0};
    for (uint64_t k = 0; k < n; k++)
      at[(v[k].key >> shift & 0xff) + 1]++;
    if (n && at[(v[0].key >> shift & 0xff) + 1] == n)
      continue; /* the byte is the same in all */
    for (uint32_t b = 0; b < 256; b++)
      at[b + 1] += at[b];
    for (uint64_t k = 0; k < n; k++)
      tmp[at[v[k].key >> shift & 0xff]++] = v[k];
    ByValue *x = v;
    v = tmp;
    tmp = x;
  }
  return v;
}

/* Sorts the values of an item by (number, value); start[k] is where those of number k begin. mem_alloc'ed;
 * NULL: memory. */
static uint64_t *sort_values(const By *b, ByItem *it, Err *e) {
  uint64_t *start = mem_alloc(((size_t)b->keys.n + 2) * sizeof *start);
  ByValue *tmp = mem_alloc(((size_t)it->n + 1) * sizeof *tmp);
  if (!start || !tmp) {
    mem_free(start);
    mem_free(tmp);
    err_memory(e);
    return NULL;
  }
  ByValue *from = radix_sort(it->v, tmp, it->n), *to = from == tmp ? it->v : tmp;
  for (uint64_t k = 0; k < it->n; k++)
    start[from[k].number + 2]++;
  for (uint32_t k = 2; k < b->keys.n + 2; k++)
    start[k] += start[k - 1];
  for (uint64_t k = 0; k < it->n; k++)
    to[start[from[k].number + 1]++] = from[k];
  mem_free(from);
  it->v = to;
  it->cap = it->n;
  return start;
}

/* The quantile of those values that a variant sees; false: there are none. */
static bool quantile_of(const ByValue *v, uint64_t n, uint32_t variant, Sees sees, double q, double *out) {
  uint64_t seen = 0;
  for (uint64_t k = 0; k < n; k++)
    seen += variant_sees(variant, sees, v[k].fold);
  if (!seen)
    return false;
  double part, lo = 0, hi = 0;
  uint64_t rank = quantile_rank(q, seen, &part), i = 0;
  for (uint64_t k = 0; k < n; k++) {
    if (!variant_sees(variant, sees, v[k].fold))
      continue;
    if (i == rank)
      lo = hi = f64_of_key(v[k].key);
    if (i == rank + 1)
      hi = f64_of_key(v[k].key);
    i++;
  }
  *out = quantile_between(lo, hi, part);
  return true;
}

Status by_fitted(By *b, uint32_t item, double q, uint32_t nkey, uint32_t nvariant, Sees sees, Fitted *out,
                 Err *e) {
  Order *o = keys_sorted(&b->keys, e);
  uint64_t *start = o ? sort_values(b, &b->item[item], e) : NULL;
  const ByValue *v = b->item[item].v;
  Table *t = start ? table_new(o, b->keys.n, nkey, IR_F64, nvariant, e) : NULL;
  out->type = IR_TABLE;
  out->table = t;
  for (uint32_t variant = 0; t && variant < nvariant; variant++)
    for (uint32_t k = 0; k < t->n; k++) {
      uint64_t from = start[o[k].number];
      size_t at = (size_t)variant * t->n + k;
      double x = 0;
      t->null[at] = !quantile_of(v + from, start[o[k].number + 1] - from, variant, sees, q, &x);
      if (!t->null[at])
        t->f[at] = x == x ? x : f64_of_key(f64_key(x));
    }
  mem_free(start);
  mem_free(o);
  return t ? table_index(t, e) : e->code;
}
