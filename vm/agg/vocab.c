/* SPDX-License-Identifier: Apache-2.0 */
/* Pass "agg.vocab": what ungrouped aggregates make of strings: categories and mode count levels, min and
 * max keep one string. Exact in any order. Levels are compared bytewise. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "vm/agg/parts.h"

typedef struct Item {
  AggFn fn;
  AggSrc src;
} Item;

typedef struct Par {
  uint32_t n;
  Item item[];
} Par;

static bool counts(AggFn fn) {
  return fn == FN_MODE || fn == FN_CATEGORIES;
}

static bool get_item(Rd *r, void *item) {
  Item *it = item;
  it->fn = (AggFn)rd_u8(r);
  src_get(r, &it->src);
  return counts(it->fn) || it->fn == FN_MIN_STR || it->fn == FN_MAX_STR;
}

static void *open_par(Bytes in, Err *e) {
  return par_items(in, offsetof(Par, item), sizeof(Item), 25, get_item, e);
}

static size_t partial_size(const void *par) {
  return sizeof(Vocab) + ((const Par *)par)->n * ((size_t)16 << 10);
}

static void free_partial(const void *par, void *partial) {
  Vocab *v = partial;
  (void)par;
  if (!v)
    return;
  for (uint32_t i = 0; v->item && i < v->n; i++) {
    map_free(&v->item[i].levels);
    mem_free(v->item[i].count);
    mem_free(v->item[i].best);
    level_memo_free(&v->item[i].memo);
  }
  mem_free(v->item);
  mem_free(v);
}

static void *init(const void *par, Err *e) {
  const Par *p = par;
  Vocab *v = mem_alloc(sizeof *v);
  if (v)
    v->item = mem_alloc((p->n ? p->n : 1) * sizeof *v->item);
  if (!v || !v->item) {
    mem_free(v);
    err_memory(e);
    return NULL;
  }
  v->n = p->n;
  return v;
}

static Status make_room(VocabItem *v, Err *e) {
  if (v->levels.n <= v->cap)
    return ST_OK;
  uint32_t cap = v->levels.n < 8 ? 16 : v->levels.n * 2;
  uint64_t *count = mem_realloc(v->count, cap * sizeof *count);
  if (!count)
    return err_memory(e);
  memset(count + v->cap, 0, (cap - v->cap) * sizeof *count);
  v->count = count;
  v->cap = cap;
  return ST_OK;
}

static int string_cmp(const char *a, uint32_t na, const char *b, uint32_t nb) {
  int c = na && nb ? memcmp(a, b, na < nb ? na : nb) : 0;
  return c ? c : (na > nb) - (na < nb);
}

static Status keep_best(VocabItem *v, AggFn fn, const char *s, uint32_t n, Err *e) {
  int c = v->best ? string_cmp(s, n, v->best, v->nbest) : 0;
  if (v->best && (fn == FN_MIN_STR ? c >= 0 : c <= 0))
    return ST_OK;
  char *copy = mem_alloc((size_t)n + 1);
  if (!copy)
    return err_memory(e);
  if (n)
    memcpy(copy, s, n);
  mem_free(v->best);
  v->best = copy;
  v->nbest = n;
  return ST_OK;
}

static Status map_best(const Item *it, VocabItem *v, const Panel *p, const Sel *sel, Ctx *c) {
  const Col *col = agg_col(p, it->src.arg, IR_STR, c);
  if (!col)
    return c->err->code;
  uint32_t last = UINT32_MAX;
  for (uint32_t k = 0; k < sel->n; k++) {
    uint32_t code = col->code[col->constant ? 0 : sel->row ? sel->row[k] : k];
    if (code == last)
      continue;
    last = code;
    uint32_t from = col->dict->off[code];
    if (keep_best(v, it->fn, col->dict->bytes + from, col->dict->off[code + 1] - from, c->err))
      return c->err->code;
  }
  return ST_OK;
}

static Status map(const void *par, const Panel *p, void *partial, Ctx *c) {
  const Par *q = par;
  Vocab *v = partial;
  for (uint32_t i = 0; i < q->n; i++) {
    const Item *it = &q->item[i];
    VocabItem *to = &v->item[i];
    const uint32_t *no;
    Sel sel;
    if (agg_select(p, &it->src, c, &sel))
      return c->err->code;
    if (!counts(it->fn)) {
      if (map_best(it, to, p, &sel, c))
        return c->err->code;
      continue;
    }
    if (agg_levels(p, it->src.arg, &sel, &to->levels, &to->bytes, &to->memo, c, &no) ||
        make_room(to, c->err))
      return c->err->code;
    for (uint32_t k = 0; k < sel.n; k++)
      to->count[no[k]]++;
  }
  return ST_OK;
}

/* Adds `count` of a level. */
static Status add_level(VocabItem *v, const char *s, uint32_t n, uint64_t count, Err *e) {
  int fresh;
  int64_t k = map_add(&v->levels, s, n, &fresh);
  if (k < 0)
    return err_memory(e);
  if (fresh)
    v->bytes += n;
  if (v->levels.n > LEVELS_MOST || v->bytes > LEVEL_BYTES_MOST)
    return agg_too_many(e);
  if (make_room(v, e))
    return e->code;
  v->count[k] += count;
  return ST_OK;
}

static Status merge(const void *par, void *l, void *r, Err *e) {
  const Par *q = par;
  Vocab *a = l, *b = r;
  for (uint32_t i = 0; i < q->n; i++) {
    VocabItem *x = &b->item[i];
    if (x->best && keep_best(&a->item[i], q->item[i].fn, x->best, x->nbest, e))
      return e->code;
    for (uint32_t k = 0; k < x->levels.n; k++)
      if (add_level(&a->item[i], x->levels.entry[k].key, x->levels.entry[k].n, x->count[k], e))
        return e->code;
  }
  return ST_OK;
}

/* Of each item: u8 whether there is a best, its blob; u64 count, then blob and u64 of each level. */
static Status save(const void *par, const void *partial, Buf *out, Err *e) {
  const Vocab *v = partial;
  (void)par;
  for (uint32_t i = 0; i < v->n; i++) {
    const VocabItem *x = &v->item[i];
    buf_u8(out, x->best != NULL);
    buf_blob(out, x->best ? x->best : "", x->nbest);
    buf_u64(out, x->levels.n);
    for (uint32_t k = 0; k < x->levels.n; k++) {
      buf_blob(out, x->levels.entry[k].key, x->levels.entry[k].n);
      buf_u64(out, x->count[k]);
    }
  }
  return out->bad ? err_memory(e) : ST_OK;
}

static Status load_item(Rd *r, const Item *it, VocabItem *v, Err *e) {
  bool some = rd_u8(r);
  Bytes best = rd_blob(r);
  if (r->bad || best.n > LEVEL_BYTES_MOST)
    return par_bad(e);
  if (some && keep_best(v, it->fn, (const char *)best.p, (uint32_t)best.n, e))
    return e->code;
  for (uint64_t n = rd_count(r, 16); n && !r->bad; n--) {
    Bytes b = rd_blob(r);
    uint64_t count = rd_u64(r);
    if (r->bad || b.n > LEVEL_BYTES_MOST)
      return par_bad(e);
    if (add_level(v, (const char *)b.p, (uint32_t)b.n, count, e))
      return e->code;
  }
  return r->bad ? par_bad(e) : ST_OK;
}

static void *load(const void *par, Bytes in, Err *e) {
  const Par *q = par;
  Rd r = rd_of(in);
  Vocab *v = init(par, e);
  if (!v)
    return NULL;
  Status st = ST_OK;
  for (uint32_t i = 0; i < q->n && !st; i++)
    st = load_item(&r, &q->item[i], &v->item[i], e);
  if (!st && rd_done(&r))
    return v;
  if (!st)
    par_bad(e);
  free_partial(par, v);
  return NULL;
}

const Pass pass_vocab = {"agg.vocab", RED_EXACT, open_par, mem_free, partial_size, init,
                         map,         merge,     save,     load,      free_partial};

/* ---- Results ---- */

static int by_level(const void *x, const void *y) {
  const Level *a = x, *b = y;
  return string_cmp(a->s, a->n, b->s, b->n);
}

static Status make_string(Fitted *f, const char *s, uint32_t n, Err *e) {
  f->type = IR_STR;
  f->s = mem_alloc((size_t)n + 1);
  if (!f->s)
    return err_memory(e);
  if (n)
    memcpy(f->s, s, n);
  f->n = n;
  return ST_OK;
}

static Status make_mode(const VocabItem *v, Fitted *f, bool *none, Err *e) {
  *none = !v->levels.n;
  uint32_t best = 0;
  for (uint32_t k = 1; k < v->levels.n; k++) {
    const MapEntry *x = &v->levels.entry[k], *y = &v->levels.entry[best];
    if (v->count[k] > v->count[best] ||
        (v->count[k] == v->count[best] && string_cmp(x->key, x->n, y->key, y->n) < 0))
      best = k;
  }
  return *none ? ST_OK : make_string(f, v->levels.entry[best].key, v->levels.entry[best].n, e);
}

Status levels_fitted(Level *level, uint32_t n, Fitted *f, Err *e) {
  uint64_t bytes = 0;
  for (uint32_t k = 0; k < n; k++)
    bytes += level[k].n;
  if (n > 1)
    qsort(level, n, sizeof *level, by_level);
  Dict *d = f->vocab = mem_alloc(sizeof *d);
  if (d) {
    atomic_init(&d->refs, 1);
    d->n = n;
    d->off = mem_alloc(((size_t)n + 1) * sizeof *d->off);
    d->bytes = mem_alloc((size_t)bytes + 1);
  }
  if (!d || !d->off || !d->bytes)
    return err_memory(e);
  for (uint32_t k = 0; k < n; k++) {
    if (level[k].n)
      memcpy(d->bytes + d->off[k], level[k].s, level[k].n);
    d->off[k + 1] = d->off[k] + level[k].n;
  }
  f->type = IR_VOCAB;
  f->n = n;
  return fitted_vocab_index(f, e);
}

static Status make_vocab(const VocabItem *v, double least, bool drop_first, Fitted *f, Err *e) {
  Level *level = mem_alloc(((size_t)v->levels.n + 1) * sizeof *level);
  if (!level)
    return err_memory(e);
  uint32_t n = 0;
  for (uint32_t k = 0; k < v->levels.n; k++)
    if ((double)v->count[k] >= least)
      level[n++] = (Level){v->levels.entry[k].key, v->levels.entry[k].n, v->count[k]};
  if (drop_first && n)
    qsort(level, n--, sizeof *level, by_level);
  Status st = levels_fitted(level + drop_first, n, f, e);
  mem_free(level);
  return st;
}

Status vocab_fitted(AggFn fn, const IrAgg *a, const VocabItem *v, Fitted *out, bool *none, Err *e) {
  *none = false;
  if (fn == FN_CATEGORIES)
    return make_vocab(v, a->par, a->par2 >= 1, out, e);
  if (fn == FN_MODE)
    return make_mode(v, out, none, e);
  *none = !v->best;
  return *none ? ST_OK : make_string(out, v->best, v->nbest, e);
}
