/* SPDX-License-Identifier: Apache-2.0 */
/* Pass "agg.table": grouped counts, sums, means, variances, extremes; one job for each tuple of keys, by fold
 * or not.
 *
 * The partial is a map of canonical key bytes and, for each (key, fold), a run of words: how many rows
 * came, then the state of each aggregate. Rows whose key has a null part are left out. A table by folds is
 * made of the states of folds, merged in the order of folds: variant 0 of all, variant 1 + f of all but f. */
#include <stdlib.h>
#include <string.h>

#include "vm/agg/parts.h"

typedef struct Item {
  StateKind kind;
  uint32_t at; /* first word of its state */
  AggSrc src;
} Item;

typedef struct Par {
  uint32_t folds, stride;
  uint32_t nkey;
  int32_t key[KEY_PARTS];
  uint32_t n;
  Item item[];
} Par;

static void *open_par(Bytes in, Err *e) {
  Rd r = rd_of(in);
  uint32_t folds = rd_u32(&r);
  uint64_t nkey = rd_count(&r, 4);
  int32_t key[KEY_PARTS] = {0};
  bool good = folds >= 1 && folds <= FOLDS_MOST && nkey >= 1 && nkey <= KEY_PARTS;
  for (uint64_t k = 0; good && k < nkey; k++)
    key[k] = (int32_t)rd_u32(&r);
  uint64_t n = good ? rd_count(&r, 25) : 0;
  good = good && n < 1 << 20;
  Par *p = good ? mem_alloc(sizeof *p + (size_t)n * sizeof *p->item) : NULL;
  if (!p) {
    if (good)
      err_memory(e);
    else
      par_bad(e);
    return NULL;
  }
  p->folds = folds;
  p->nkey = (uint32_t)nkey;
  memcpy(p->key, key, sizeof key);
  p->stride = 1;
  p->n = (uint32_t)n;
  for (uint32_t i = 0; good && i < p->n; i++) {
    uint8_t k = rd_u8(&r);
    good = k < STATE_N;
    src_get(&r, &p->item[i].src);
    if (!good)
      break;
    p->item[i].kind = (StateKind)k;
    p->item[i].at = p->stride;
    p->stride += state_words((StateKind)k);
  }
  if (good && rd_done(&r))
    return p;
  mem_free(p);
  par_bad(e);
  return NULL;
}

static void close_par(void *par) {
  mem_free(par);
}

/* A leaf should be worth its table: typically some hundred keys. */
static size_t partial_size(const void *par) {
  const Par *p = par;
  size_t words = (size_t)512 * p->folds * p->stride;
  return sizeof(Group) + words * sizeof(Word) + 512 * 48;
}

static void *init(const void *par, Err *e) {
  (void)par;
  Group *g = mem_alloc(sizeof *g);
  if (!g)
    err_memory(e);
  return g;
}

static void free_partial(const void *par, void *partial) {
  Group *g = partial;
  (void)par;
  if (!g)
    return;
  map_free(&g->keys);
  mem_free(g->state);
  mem_free(g);
}

static Status make_room(const Par *p, Group *g, Err *e) {
  uint64_t need = (uint64_t)g->keys.n * p->folds * p->stride;
  if (need <= g->cap)
    return ST_OK;
  uint64_t cap = need + need / 2 + 64;
  Word *w = cap < SIZE_MAX / 16 ? mem_realloc(g->state, (size_t)cap * sizeof *w) : NULL;
  if (!w)
    return err_memory(e);
  memset(w + g->cap, 0, (size_t)(cap - g->cap) * sizeof *w);
  g->state = w;
  g->cap = cap;
  return ST_OK;
}

static Word *state_of(const Par *p, const Group *g, uint32_t key, uint32_t fold) {
  return g->state + ((uint64_t)key * p->folds + fold) * p->stride;
}

/* ---- Map ---- */

static Status map_item(const Par *q, const Item *it, const Group *g, const Panel *p, const uint32_t *no,
                       Ctx *c) {
  Sel sel;
  if (agg_select(p, &it->src, c, &sel))
    return c->err->code;
  int type = it->kind == STATE_COUNT                                                                ? -1
             : it->kind == STATE_ISUM || it->kind == STATE_IMIN || it->kind == STATE_IMAX ? IR_I64
                                                                                                     : IR_F64;
  const Col *arg = it->src.arg >= 0 ? agg_col(p, it->src.arg, type, c) : NULL;
  const Col *weight = it->src.weight >= 0 ? agg_col(p, it->src.weight, IR_F64, c) : NULL;
  if (it->kind != STATE_COUNT && !arg)
    return par_bad(c->err);
  for (uint32_t k = 0; k < sel.n; k++) {
    uint32_t r = sel.row ? sel.row[k] : k;
    if (no[r] == UINT32_MAX)
      continue;
    Word *s = state_of(q, g, no[r], q->folds > 1 && p->fold ? p->fold[r] : 0);
    state_add(it->kind, s + it->at, arg, r, weight ? weight->f[weight->constant ? 0 : r] : 1);
  }
  return ST_OK;
}

static Status map(const void *par, const Panel *p, void *partial, Ctx *c) {
  const Par *q = par;
  Group *g = partial;
  const uint32_t *no;
  if (q->folds > 1 && p->fold)
    for (uint32_t r = 0; r < p->n; r++)
      if (p->fold[r] >= q->folds)
        return par_bad(c->err);
  if (agg_group(p, q->key, q->nkey, &g->keys, &g->bytes, c, &no) || make_room(q, g, c->err))
    return c->err->code;
  for (uint32_t r = 0; r < p->n; r++)
    if (no[r] != UINT32_MAX)
      state_of(q, g, no[r], q->folds > 1 && p->fold ? p->fold[r] : 0)->u++;
  for (uint32_t i = 0; i < q->n; i++)
    if (map_item(q, &q->item[i], g, p, no, c))
      return c->err->code;
  return ST_OK;
}

/* ---- Merge, bytes ---- */

/* Finds or adds a key; its number, or -1 and an error. */
static int64_t add_key(const Par *q, Group *g, const void *key, size_t n, Err *e) {
  int fresh;
  int64_t k = map_add(&g->keys, key, n, &fresh);
  if (k < 0) {
    err_memory(e);
    return -1;
  }
  if (fresh)
    g->bytes += n;
  if (g->keys.n > LEVELS_MOST || g->bytes > LEVEL_BYTES_MOST) {
    agg_too_many(e);
    return -1;
  }
  return make_room(q, g, e) ? -1 : k;
}

static void merge_states(const Par *q, Word *l, const Word *r) {
  l[0].u += r[0].u;
  for (uint32_t i = 0; i < q->n; i++)
    state_merge(q->item[i].kind, l + q->item[i].at, r + q->item[i].at);
}

static Status merge(const void *par, void *l, void *r, Err *e) {
  const Par *q = par;
  Group *a = l, *b = r;
  for (uint32_t k = 0; k < b->keys.n; k++) {
    int64_t to = add_key(q, a, b->keys.entry[k].key, b->keys.entry[k].n, e);
    if (to < 0)
      return e->code;
    for (uint32_t f = 0; f < q->folds; f++)
      merge_states(q, state_of(q, a, (uint32_t)to, f), state_of(q, b, k, f));
  }
  return ST_OK;
}

/* u64 keys; of each a blob, then its words. */
static Status save(const void *par, const void *partial, Buf *out, Err *e) {
  const Par *q = par;
  const Group *g = partial;
  buf_u64(out, g->keys.n);
  for (uint32_t k = 0; k < g->keys.n; k++) {
    buf_blob(out, g->keys.entry[k].key, g->keys.entry[k].n);
    buf_put(out, state_of(q, g, k, 0), (size_t)q->folds * q->stride * sizeof(Word));
  }
  return out->bad ? err_memory(e) : ST_OK;
}

static void *load(const void *par, Bytes in, Err *e) {
  const Par *q = par;
  size_t size = (size_t)q->folds * q->stride * sizeof(Word);
  Rd r = rd_of(in);
  Group *g = init(par, e);
  for (uint64_t n = g ? rd_count(&r, 8 + size) : 0; n && !e->code; n--) {
    Bytes key = rd_blob(&r);
    const void *words = rd_take(&r, size);
    uint32_t before = g->keys.n;
    int64_t k = r.bad ? -1 : add_key(q, g, key.p, key.n, e);
    if (k < 0 || g->keys.n == before)
      par_bad(e);
    else
      memcpy(state_of(q, g, (uint32_t)k, 0), words, size);
  }
  if (g && !e->code && rd_done(&r))
    return g;
  free_partial(par, g);
  par_bad(e);
  return NULL;
}

const Pass pass_table = {"agg.table", RED_TREE, open_par, close_par, partial_size, init,
                         map,         merge,    save,     load,      free_partial};

/* ---- Results ---- */

static int by_key(const void *x, const void *y) {
  const Order *a = x, *b = y;
  int c = memcmp(a->key, b->key, a->n < b->n ? a->n : b->n);
  return c ? c : (a->n > b->n) - (a->n < b->n);
}

Order *keys_sorted(const Map *m, Err *e) {
  Order *o = mem_alloc(((size_t)m->n + 1) * sizeof *o);
  if (!o) {
    err_memory(e);
    return NULL;
  }
  for (uint32_t k = 0; k < m->n; k++)
    o[k] = (Order){m->entry[k].key, m->entry[k].n, k};
  if (m->n > 1)
    qsort(o, m->n, sizeof *o, by_key);
  return o;
}

Table *table_new(const Order *o, uint32_t n, uint32_t nkey, IrType type, uint32_t nvariant, Err *e) {
  Table *t = mem_alloc(sizeof *t);
  uint64_t bytes = 0;
  for (uint32_t k = 0; k < n; k++)
    bytes += o[k].n;
  size_t cells = (size_t)n * nvariant + 1;
  if (t) {
    *t = (Table){.type = (uint8_t)type, .nkey = (uint8_t)nkey, .n = n, .nvariant = nvariant};
    t->off = mem_alloc(((size_t)n + 1) * sizeof *t->off);
    t->bytes = mem_alloc((size_t)bytes + 1);
    t->null = mem_alloc(cells);
    t->i = type == IR_I64 ? mem_alloc(cells * 8) : NULL;
    t->f = type == IR_F64 ? mem_alloc(cells * 8) : NULL;
  }
  if (!t || !t->off || !t->bytes || !t->null || (!t->i && !t->f)) {
    if (t) {
      mem_free(t->off);
      mem_free(t->bytes);
      mem_free(t->null);
      mem_free(t->i);
      mem_free(t->f);
      mem_free(t);
    }
    err_memory(e);
    return NULL;
  }
  for (uint32_t k = 0; k < n; k++) {
    memcpy(t->bytes + t->off[k], o[k].key, o[k].n);
    t->off[k + 1] = t->off[k] + o[k].n;
  }
  return t;
}

/* The merge of the folds that a variant sees; false: no row there. */
static bool variant_state(const Par *q, const Group *g, uint32_t key, uint32_t variant, Sees sees,
                          const Item *it, Word *out) {
  uint64_t rows = 0;
  memset(out, 0, WORDS_MOST * sizeof *out);
  for (uint32_t f = 0; f < q->folds; f++) {
    const Word *s = state_of(q, g, key, f);
    if (!s->u || !variant_sees(variant, sees, f))
      continue;
    rows += s->u;
    state_merge(it->kind, out, s + it->at);
  }
  return rows > 0;
}

Status table_fitted(const void *par, const Group *g, uint32_t item, AggFn fn, uint32_t nkey,
                    uint32_t nvariant, Sees sees, Fitted *out, bool *overflow, Err *e) {
  const Par *q = par;
  const Item *it = &q->item[item];
  bool whole = fn == FN_COUNT || fn == FN_SUM_I64 || fn == FN_MIN_I64 || fn == FN_MAX_I64;
  Order *o = keys_sorted(&g->keys, e);
  Table *t = o ? table_new(o, g->keys.n, nkey, whole ? IR_I64 : IR_F64, nvariant, e) : NULL;
  out->type = IR_TABLE;
  out->table = t;
  for (uint32_t v = 0; t && v < nvariant; v++)
    for (uint32_t k = 0; k < t->n; k++) {
      Word s[WORDS_MOST];
      size_t at = (size_t)v * t->n + k;
      Value x = {.none = true};
      if (variant_state(q, g, o[k].number, v, sees, it, s))
        x = state_value(fn, it->kind, s);
      *overflow |= x.overflow;
      t->null[at] = x.none;
      if (x.none)
        continue;
      if (t->i)
        t->i[at] = x.i;
      else
        t->f[at] = x.f;
    }
  mem_free(o);
  return t ? table_index(t, e) : e->code;
}

/* ---- Different values ---- */

/* One entry for each prefix; keys with equal ones are neighbours. first[k]: where those of prefix k begin. */
static Order *prefixes(const Order *o, uint32_t n, uint32_t nkey, uint32_t *first, uint32_t *count) {
  Order *p = mem_alloc(((size_t)n + 1) * sizeof *p);
  *count = 0;
  for (uint32_t k = 0; p && k < n; k++) {
    uint32_t size = (uint32_t)key_prefix((const uint8_t *)o[k].key, o[k].n, nkey);
    if (*count && p[*count - 1].n == size && !memcmp(p[*count - 1].key, o[k].key, size))
      continue;
    first[*count] = k;
    p[(*count)++] = (Order){o[k].key, size, k};
  }
  return p;
}

/* How many of the keys o[from..to) have a value that a variant sees; -1: it sees no row of them. */
static int64_t distinct_of(const Par *q, const Group *g, const Order *o, uint32_t from, uint32_t to,
                           uint32_t v, Sees sees, const Item *it) {
  int64_t n = 0;
  bool some = false;
  for (uint32_t k = from; k < to; k++) {
    Word s[WORDS_MOST];
    if (!variant_state(q, g, o[k].number, v, sees, it, s))
      continue;
    some = true;
    n += s[0].u > 0;
  }
  return some ? n : -1;
}

Status distinct_fitted(const void *par, const Group *g, uint32_t item, uint32_t nkey, uint32_t nvariant,
                       Sees sees, Fitted *out, Err *e) {
  const Par *q = par;
  const Item *it = &q->item[item];
  Order *o = keys_sorted(&g->keys, e);
  if (o && !nkey) {
    int64_t n = distinct_of(q, g, o, 0, g->keys.n, 0, sees, it);
    out->type = IR_I64;
    out->i = n < 0 ? 0 : n;
    mem_free(o);
    return ST_OK;
  }
  uint32_t n = 0, *first = o ? mem_alloc(((size_t)g->keys.n + 1) * sizeof *first) : NULL;
  Order *p = first ? prefixes(o, g->keys.n, nkey, first, &n) : NULL;
  Table *t = p ? table_new(p, n, nkey, IR_I64, nvariant, e) : NULL;
  out->type = IR_TABLE;
  out->table = t;
  for (uint32_t v = 0; t && v < nvariant; v++)
    for (uint32_t k = 0; k < n; k++) {
      size_t at = (size_t)v * n + k;
      int64_t x = distinct_of(q, g, o, first[k], k + 1 < n ? first[k + 1] : g->keys.n, v, sees, it);
      t->null[at] = x < 0;
      t->i[at] = x < 0 ? 0 : x;
    }
  mem_free(p);
  mem_free(first);
  mem_free(o);
  return t ? table_index(t, e) : e->code ? e->code : err_memory(e);
}
