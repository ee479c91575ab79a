/* SPDX-License-Identifier: Apache-2.0 */
/* Pass "agg.vector": sums, means, variances and extremes of row vectors, element by element.
 *
 * Each element has a state as a number has (state.c) and takes the rows one after the other, so that
 * panels have no influence. A row whose vector is null is skipped. Widths are learned with fitted values,
 * and so known with the first row only. */
#include <stddef.h>
#include <string.h>

#include "vm/agg/parts.h"
#include "vm/shape.h"

typedef struct Item {
  StateKind kind;
  AggSrc src;
} Item;

typedef struct Par {
  uint32_t n;
  Item item[];
} Par;

static bool kind_good(uint8_t k) {
  return k == STATE_SUM || k == STATE_WSUM || k == STATE_VAR || k == STATE_WVAR || k == STATE_FMIN ||
         k == STATE_FMAX;
}

static bool get_item(Rd *r, void *item) {
  Item *it = item;
  uint8_t k = rd_u8(r);
  it->kind = (StateKind)k;
  src_get(r, &it->src);
  return kind_good(k);
}

static void *open_par(Bytes in, Err *e) {
  return par_items(in, offsetof(Par, item), sizeof(Item), 25, get_item, e);
}

static size_t partial_size(const void *par) { /* of a hundred elements; the true width is not known yet */
  return sizeof(Vectors) + ((const Par *)par)->n * 100 * sizeof(Word) * WORDS_MOST;
}

static void free_partial(const void *par, void *partial) {
  Vectors *v = partial;
  (void)par;
  if (!v)
    return;
  for (uint32_t i = 0; v->item && i < v->n; i++)
    mem_free(v->item[i].state);
  mem_free(v->item);
  mem_free(v);
}

static void *init(const void *par, Err *e) {
  const Par *p = par;
  Vectors *v = mem_alloc(sizeof *v);
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

/* Room for the states of `width` elements, which are one number for all rows. */
static Status widen(VectorItem *v, StateKind k, uint32_t width, Err *e) {
  if (v->state)
    return v->width == width ? ST_OK : par_bad(e);
  v->state = mem_alloc(((size_t)width * state_words(k) + 1) * sizeof *v->state);
  v->width = width;
  return v->state ? ST_OK : err_memory(e);
}

static Status map_item(const Item *it, VectorItem *v, const Panel *p, Ctx *c) {
  const Col *col = agg_col(p, it->src.arg, IR_VEC, c);
  const double *w = NULL;
  Sel sel;
  if (!col || agg_select(p, &it->src, c, &sel))
    return c->err->code;
  if (it->kind == STATE_WSUM || it->kind == STATE_WVAR) {
    w = agg_f64s(p, it->src.weight, &sel, c);
    if (!w)
      return c->err->code;
  }
  if (!sel.n)
    return ST_OK;
  double *x = arena_alloc64(c->scratch, ((size_t)col->width + 1) * sizeof *x);
  if (!x)
    return err_memory(c->err);
  if (widen(v, it->kind, col->width, c->err))
    return c->err->code;
  uint32_t words = state_words(it->kind);
  const Col row = {.type = IR_F64, .f = x};
  for (uint32_t k = 0; k < sel.n; k++) {
    col_row(col, sel.row ? sel.row[k] : k, x);
    for (uint32_t j = 0; j < v->width; j++)
      state_add(it->kind, v->state + (size_t)j * words, &row, j, w ? w[k] : 1);
  }
  v->rows += sel.n;
  return ST_OK;
}

static Status map(const void *par, const Panel *p, void *partial, Ctx *c) {
  const Par *q = par;
  Vectors *v = partial;
  for (uint32_t i = 0; i < q->n; i++)
    if (map_item(&q->item[i], &v->item[i], p, c))
      return c->err->code;
  return ST_OK;
}

static Status merge(const void *par, void *l, void *r, Err *e) {
  const Par *q = par;
  Vectors *a = l, *b = r;
  for (uint32_t i = 0; i < q->n; i++) {
    const VectorItem *from = &b->item[i];
    VectorItem *to = &a->item[i];
    uint32_t words = state_words(q->item[i].kind);
    if (!from->state)
      continue;
    if (widen(to, q->item[i].kind, from->width, e))
      return e->code;
    for (uint32_t j = 0; j < to->width; j++)
      state_merge(q->item[i].kind, to->state + (size_t)j * words, from->state + (size_t)j * words);
    to->rows += from->rows;
  }
  return ST_OK;
}

/* Of each item: u8 whether there is a state, u32 width, u64 rows, the states. */
static Status save(const void *par, const void *partial, Buf *out, Err *e) {
  const Par *q = par;
  const Vectors *v = partial;
  for (uint32_t i = 0; i < v->n; i++) {
    const VectorItem *x = &v->item[i];
    buf_u8(out, x->state != NULL);
    buf_u32(out, x->width);
    buf_u64(out, x->rows);
    if (x->state)
      buf_put(out, x->state, (size_t)x->width * state_words(q->item[i].kind) * sizeof *x->state);
  }
  return out->bad ? err_memory(e) : ST_OK;
}

static Status load_item(Rd *r, StateKind k, VectorItem *v, Err *e) {
  uint8_t some = rd_u8(r);
  uint32_t width = rd_u32(r);
  v->rows = rd_u64(r);
  if (r->bad || some > 1 || width > VECTOR_MOST)
    return par_bad(e);
  if (!some)
    return ST_OK;
  size_t bytes = (size_t)width * state_words(k) * sizeof *v->state;
  const void *p = rd_take(r, bytes);
  if (r->bad)
    return par_bad(e);
  if (widen(v, k, width, e))
    return e->code;
  if (bytes)
    memcpy(v->state, p, bytes);
  return ST_OK;
}

static void *load(const void *par, Bytes in, Err *e) {
  const Par *q = par;
  Rd r = rd_of(in);
  Vectors *v = init(par, e);
  if (!v)
    return NULL;
  Status st = ST_OK;
  for (uint32_t i = 0; i < q->n && !st; i++)
    st = load_item(&r, q->item[i].kind, &v->item[i], e);
  if (!st && rd_done(&r))
    return v;
  if (!st)
    par_bad(e);
  free_partial(par, v);
  return NULL;
}

const Pass pass_vector = {"agg.vector", RED_TREE, open_par, mem_free, partial_size, init,
                          map,          merge,    save,     load,      free_partial};

Status vector_fitted(AggFn fn, StateKind k, const VectorItem *v, Fitted *out, bool *none, Err *e) {
  *none = !v->rows;
  if (*none)
    return ST_OK;
  out->type = IR_VEC;
  out->n = v->width;
  out->list = mem_alloc(((size_t)v->width + 1) * sizeof *out->list);
  if (!out->list)
    return err_memory(e);
  for (uint32_t j = 0; j < v->width && !*none; j++) {
    Value x = state_value(fn, k, v->state + (size_t)j * state_words(k));
    *none = x.none;
    out->list[j] = x.f;
  }
  return ST_OK;
}
