/* SPDX-License-Identifier: Apache-2.0 */
/* Pass "agg.sample": how many values lie below a range of keys and in it, and a sample of those in it.
 *
 * A row's position is hashed; the leading zeros of the hash are its level. All values are kept until there
 * are more than SAMPLE_MOST, then those of level 1 and above, about half of them; and so on. So the sample
 * depends on the rows alone, whoever saw them in whatever order: the values of the lowest level of which
 * there are not too many. (Levels as in Gibbons, Tirthapura, "Estimating simple functions on the union of
 * data streams", SPAA 2001.) */
#include <stddef.h>
#include <string.h>

#include "base/hash.h"
#include "vm/agg/parts.h"

typedef struct Item {
  AggSrc src;
  KeyRange range;
} Item;

typedef struct Par {
  uint32_t n;
  Item item[];
} Par;

static bool get_item(Rd *r, void *item) {
  Item *it = item;
  src_get(r, &it->src);
  it->range.lo = rd_u64(r);
  it->range.hi = rd_u64(r);
  return it->range.lo <= it->range.hi;
}

static void *open_par(Bytes in, Err *e) {
  return par_items(in, offsetof(Par, item), sizeof(Item), 40, get_item, e);
}

static size_t partial_size(const void *par) {
  return sizeof(Samples) + ((const Par *)par)->n * (sizeof(Sample) + SAMPLE_MOST * sizeof(KeyItem));
}

static void free_partial(const void *par, void *partial) {
  Samples *s = partial;
  (void)par;
  for (uint32_t i = 0; s && i < s->n; i++)
    mem_free(s->v[i].item);
  if (s)
    mem_free(s->v);
  mem_free(s);
}

static void *init(const void *par, Err *e) {
  const Par *p = par;
  Samples *s = mem_alloc(sizeof *s);
  if (s)
    s->v = mem_alloc((p->n ? p->n : 1) * sizeof *s->v);
  if (!s || !s->v) {
    mem_free(s);
    err_memory(e);
    return NULL;
  }
  s->n = p->n;
  return s;
}

/* ---- Adding ---- */

static void rise_to(Sample *s, uint32_t level) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < s->n; i++) {
    s->item[n] = s->item[i];
    n += s->item[i].count >= level;
  }
  s->n = n;
  s->level = level;
}

static Status grow(Sample *s, Err *e) {
  uint32_t cap = s->cap ? 2 * s->cap : SAMPLE_MOST < 1024 ? SAMPLE_MOST : 1024;
  KeyItem *v = mem_realloc(s->item, cap * sizeof *v);
  if (!v)
    return err_memory(e);
  s->item = v;
  s->cap = cap;
  return ST_OK;
}

static inline Status add(Sample *s, KeyItem x, Err *e) {
  while (s->n == SAMPLE_MOST && x.count >= s->level)
    rise_to(s, s->level + 1);
  if (x.count < s->level)
    return ST_OK;
  if (s->n == s->cap && grow(s, e))
    return e->code;
  s->item[s->n++] = x;
  return ST_OK;
}

/* The level of each row, by its position. */
static uint8_t *levels_of(const Panel *p, Ctx *c) {
  uint8_t *level = arena_alloc64(c->scratch, (size_t)p->n + 1);
  if (!level) {
    err_memory(c->err);
    return NULL;
  }
  uint64_t base = (uint64_t)p->file << 44 ^ UINT64_C(0x9e3779b97f4a7c15);
  for (uint32_t r = 0; r < p->n; r++) {
    uint64_t h = hash_mix(base ^ (p->pos + (p->at ? p->at[r] : r)));
    level[r] = h ? (uint8_t)__builtin_clzll(h) : 64;
  }
  return level;
}

/* Rows of at least this level. */
static uint32_t rows_from(const uint8_t *level, uint32_t least, uint32_t n, uint32_t *row) {
  uint32_t m = 0;
  for (uint32_t r = 0; r < n; r++) {
    row[m] = r;
    m += level[r] >= least;
  }
  return m;
}

static bool is_whole(KeyRange r) {
  return r.lo == 0 && r.hi == UINT64_MAX;
}

static uint32_t nulls_of(const Col *col, uint32_t n) {
  uint32_t sum = 0;
  for (uint32_t r = 0; r < n; r++)
    sum += col->null[r];
  return sum;
}

/* Of all values of a column without `where`: only the rows that may stay are looked at. */
static Status map_whole(const Col *col, const Panel *p, const uint8_t *level, const uint32_t *row, uint32_t n,
                        Sample *s, Ctx *c) {
  s->inside += p->n - (col->null ? nulls_of(col, p->n) : 0);
  for (uint32_t k = 0; k < n; k++) {
    uint32_t r = row[k];
    if ((!col->null || !col->null[r]) && add(s, (KeyItem){f64_key(col->f[r]), level[r]}, c->err))
      return c->err->code;
  }
  return ST_OK;
}

static Status map_range(const Item *it, const Panel *p, const uint8_t *level, Sample *s, Ctx *c) {
  Sel sel;
  uint32_t n;
  const uint64_t *key = agg_keys(p, &it->src, &n, c);
  if (!key || agg_select(p, &it->src, c, &sel))
    return c->err->code;
  for (uint32_t k = 0; k < n; k++) {
    s->below += key[k] < it->range.lo;
    if (key[k] < it->range.lo || key[k] > it->range.hi)
      continue;
    s->inside++;
    if (add(s, (KeyItem){key[k], level[sel.row ? sel.row[k] : k]}, c->err))
      return c->err->code;
  }
  return ST_OK;
}

static Status map(const void *par, const Panel *p, void *partial, Ctx *c) {
  const Par *q = par;
  Samples *s = partial;
  const uint8_t *level = levels_of(p, c);
  uint32_t *row = level ? arena_alloc64(c->scratch, ((size_t)p->n + 1) * sizeof *row) : NULL;
  if (!row)
    return err_memory(c->err);
  uint32_t least = UINT32_MAX, nrow = 0;
  for (uint32_t i = 0; i < q->n; i++) {
    const Item *it = &q->item[i];
    const Col *col = agg_col(p, it->src.arg, IR_F64, c);
    if (!col)
      return c->err->code;
    if (is_whole(it->range) && it->src.where < 0 && it->src.leave_out < 0 && !col->constant) {
      if (s->v[i].level != least)
        nrow = rows_from(level, least = s->v[i].level, p->n, row);
      if (map_whole(col, p, level, row, nrow, &s->v[i], c))
        return c->err->code;
    } else if (map_range(it, p, level, &s->v[i], c)) {
      return c->err->code;
    }
  }
  return ST_OK;
}

static Status merge(const void *par, void *l, void *r, Err *e) {
  Samples *a = l;
  const Samples *b = r;
  (void)par;
  for (uint32_t i = 0; i < a->n; i++) {
    Sample *x = &a->v[i];
    const Sample *y = &b->v[i];
    x->below += y->below;
    x->inside += y->inside;
    if (x->level < y->level)
      rise_to(x, y->level);
    for (uint32_t k = 0; k < y->n; k++)
      if (add(x, y->item[k], e))
        return e->code;
  }
  return ST_OK;
}

/* ---- Bytes ---- */

/* Of each: u64 below, inside, level, count; then the items, ascending. */
static Status save(const void *par, const void *partial, Buf *out, Err *e) {
  const Samples *s = partial;
  (void)par;
  KeyItem *v = mem_alloc64(2 * (size_t)SAMPLE_MOST * sizeof *v);
  size_t room = 0;
  for (uint32_t i = 0; i < s->n; i++)
    room += 32 + s->v[i].n * sizeof *v;
  if (!v || !buf_room(out, room)) {
    mem_free(v);
    return err_memory(e);
  }
  for (uint32_t i = 0; i < s->n; i++) {
    const Sample *x = &s->v[i];
    buf_u64(out, x->below);
    buf_u64(out, x->inside);
    buf_u64(out, x->level);
    buf_u64(out, x->n);
    if (!x->n)
      continue;
    memcpy(v, x->item, x->n * sizeof *v);
    keys_sort(v, v + SAMPLE_MOST, x->n);
    buf_put(out, v, x->n * sizeof *v);
  }
  mem_free(v);
  return out->bad ? err_memory(e) : ST_OK;
}

static bool load_one(Rd *r, Sample *x, Err *e) {
  x->below = rd_u64(r);
  x->inside = rd_u64(r);
  uint64_t level = rd_u64(r), n = rd_count(r, sizeof(KeyItem));
  const void *items = rd_take(r, (size_t)n * sizeof(KeyItem));
  if (r->bad || level > 64 || n > SAMPLE_MOST || n > x->inside || (!level && n != x->inside))
    return false;
  x->level = (uint32_t)level;
  if (!n)
    return true;
  x->item = mem_alloc64((size_t)n * sizeof *x->item);
  if (!x->item) {
    err_memory(e);
    return false;
  }
  x->cap = (uint32_t)n;
  memcpy(x->item, items, (size_t)n * sizeof *x->item);
  bool good = true;
  for (; x->n < n; x->n++) {
    const KeyItem *v = &x->item[x->n];
    good &= v->count >= level && v->count <= 64 && (!x->n || v->key >= v[-1].key);
  }
  return good;
}

static void *load(const void *par, Bytes in, Err *e) {
  Rd r = rd_of(in);
  Samples *s = init(par, e);
  bool good = s != NULL;
  for (uint32_t i = 0; good && i < s->n; i++)
    good = load_one(&r, &s->v[i], e);
  if (good && rd_done(&r))
    return s;
  free_partial(par, s);
  if (!e->code)
    par_bad(e);
  return NULL;
}

const Pass pass_sample = {"agg.sample", RED_EXACT, open_par, mem_free, partial_size, init,
                          map,          merge,     save,     load,     free_partial};
