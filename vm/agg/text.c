/* SPDX-License-Identifier: Apache-2.0 */
/* What lists of strings and the vectors made of them are counted by. Both passes are exact in any order.
 *
 *   agg.terms      of each string: in how many rows it is, and how often it comes: vocabulary
 *   agg.nonzeros   of each element of a vector: in how many rows it is not 0: document frequencies
 *
 * Parameters of both: u64 count, then the source of each item. */
#include <stdlib.h>
#include <string.h>

#include "vm/agg/parts.h"
#include "vm/shape.h"

typedef struct Par {
  uint32_t n;
  AggSrc src[];
} Par;

static void *open_par(Bytes in, Err *e) {
  Rd r = rd_of(in);
  uint64_t n = rd_count(&r, 24);
  Par *p = mem_alloc(sizeof *p + (size_t)n * sizeof *p->src);
  if (!p) {
    err_memory(e);
    return NULL;
  }
  p->n = (uint32_t)n;
  for (uint32_t i = 0; i < p->n; i++)
    src_get(&r, &p->src[i]);
  if (rd_done(&r) && n < UINT32_MAX)
    return p;
  mem_free(p);
  par_bad(e);
  return NULL;
}

static void close_par(void *par) {
  mem_free(par);
}

static size_t partial_size(const void *par) {
  return ((const Par *)par)->n * ((size_t)64 << 10);
}

/* ---- agg.terms ---- */

static void terms_free(const void *par, void *partial) {
  Terms *t = partial;
  (void)par;
  for (uint32_t i = 0; t && t->item && i < t->n; i++) {
    map_free(&t->item[i].terms);
    mem_free(t->item[i].use);
  }
  if (t)
    mem_free(t->item);
  mem_free(t);
}

static void *terms_init(const void *par, Err *e) {
  const Par *p = par;
  Terms *t = mem_alloc(sizeof *t);
  if (t)
    t->item = mem_alloc(((size_t)p->n + 1) * sizeof *t->item);
  if (!t || !t->item) {
    mem_free(t);
    err_memory(e);
    return NULL;
  }
  t->n = p->n;
  return t;
}

/* The term's number, with room for its counts; -1: an error. */
static int64_t term_number(TermItem *t, const char *s, uint32_t n, Err *e) {
  int fresh;
  int64_t k = map_add(&t->terms, s, n, &fresh);
  if (k < 0) {
    err_memory(e);
    return -1;
  }
  t->bytes += fresh ? n : 0;
  if (t->terms.n > LEVELS_MOST || t->bytes > LEVEL_BYTES_MOST) {
    agg_too_many(e);
    return -1;
  }
  if (t->terms.n > t->cap) {
    uint32_t cap = t->terms.n < 512 ? 1024 : t->terms.n * 2;
    TermUse *use = mem_realloc(t->use, cap * sizeof *use);
    if (!use) {
      err_memory(e);
      return -1;
    }
    memset(use + t->cap, 0, (cap - t->cap) * sizeof *use);
    t->use = use;
    t->cap = cap;
  }
  return k;
}

static Status terms_map(const void *par, const Panel *p, void *partial, Ctx *c) {
  const Par *q = par;
  for (uint32_t i = 0; i < q->n; i++) {
    TermItem *t = &((Terms *)partial)->item[i];
    Sel sel;
    const Col *col = agg_col(p, q->src[i].arg, IR_STRS, c);
    if (!col || agg_select(p, &q->src[i], c, &sel))
      return c->err->code;
    for (uint32_t j = 0; j < sel.n; j++) {
      uint32_t r = sel.row ? sel.row[j] : j;
      t->rows++;
      for (uint32_t k = col->ptr[r]; k < col->ptr[r + 1]; k++) {
        const uint32_t *off = col->dict->off + col->code[k];
        int64_t term = term_number(t, col->dict->bytes + off[0], off[1] - off[0], c->err);
        if (term < 0)
          return c->err->code;
        TermUse *use = &t->use[term];
        use->count++;
        use->rows += use->last != t->rows;
        use->last = t->rows;
      }
    }
  }
  return ST_OK;
}

static Status terms_merge(const void *par, void *l, void *r, Err *e) {
  (void)par;
  for (uint32_t i = 0; i < ((Terms *)l)->n; i++) {
    TermItem *a = &((Terms *)l)->item[i], *b = &((Terms *)r)->item[i];
    for (uint32_t k = 0; k < b->terms.n; k++) {
      int64_t to = term_number(a, b->terms.entry[k].key, b->terms.entry[k].n, e);
      if (to < 0)
        return e->code;
      a->use[to].count += b->use[k].count;
      a->use[to].rows += b->use[k].rows;
      a->use[to].last = 0;
    }
    a->rows += b->rows;
  }
  return ST_OK;
}

/* Of each item: u64 rows, u64 terms, then of each: blob, u64 count, u64 rows. */
static Status terms_save(const void *par, const void *partial, Buf *out, Err *e) {
  const Terms *t = partial;
  (void)par;
  for (uint32_t i = 0; i < t->n; i++) {
    const TermItem *x = &t->item[i];
    buf_u64(out, x->rows);
    buf_u64(out, x->terms.n);
    for (uint32_t k = 0; k < x->terms.n; k++) {
      buf_blob(out, x->terms.entry[k].key, x->terms.entry[k].n);
      buf_u64(out, x->use[k].count);
      buf_u64(out, x->use[k].rows);
    }
  }
  return out->bad ? err_memory(e) : ST_OK;
}

static void *terms_load(const void *par, Bytes in, Err *e) {
  Rd r = rd_of(in);
  Terms *t = terms_init(par, e);
  for (uint32_t i = 0; t && i < t->n && !e->code; i++) {
    TermItem *x = &t->item[i];
    x->rows = rd_u64(&r);
    for (uint64_t n = rd_count(&r, 24); n && !r.bad && !e->code; n--) {
      Bytes b = rd_blob(&r);
      int64_t k = r.bad || b.n > LEVEL_BYTES_MOST ? -1 : term_number(x, (const char *)b.p, (uint32_t)b.n, e);
      uint64_t count = rd_u64(&r), rows = rd_u64(&r);
      if (k >= 0)
        x->use[k] = (TermUse){count, rows, 0};
      else if (!e->code)
        par_bad(e);
    }
  }
  if (t && !e->code && rd_done(&r))
    return t;
  if (t && !e->code)
    par_bad(e);
  terms_free(par, t);
  return NULL;
}

const Pass pass_terms = {"agg.terms", RED_EXACT,   open_par,   close_par,  partial_size, terms_init,
                         terms_map,   terms_merge, terms_save, terms_load, terms_free};

static int by_count(const void *x, const void *y) { /* the frequent first, then by their bytes */
  const Level *a = x, *b = y;
  uint32_t n = a->n < b->n ? a->n : b->n;
  int c = n ? memcmp(a->s, b->s, n) : 0;
  if (a->count != b->count)
    return a->count > b->count ? -1 : 1;
  return c ? c : (a->n > b->n) - (a->n < b->n);
}

Status terms_fitted(const TermItem *t, const IrAgg *a, Fitted *f, Err *e) {
  Level *level = mem_alloc(((size_t)t->terms.n + 1) * sizeof *level);
  if (!level)
    return err_memory(e);
  uint32_t n = 0;
  double most_rows = a->par3 > 0 ? a->par3 * (double)t->rows : (double)t->rows;
  for (uint32_t k = 0; k < t->terms.n; k++)
    if ((double)t->use[k].rows >= a->par2 && (double)t->use[k].rows <= most_rows)
      level[n++] = (Level){t->terms.entry[k].key, t->terms.entry[k].n, t->use[k].count};
  if (a->par > 0 && n > a->par) {
    qsort(level, n, sizeof *level, by_count);
    n = (uint32_t)a->par;
  }
  Status st = levels_fitted(level, n, f, e);
  mem_free(level);
  return st;
}

/* ---- agg.nonzeros ---- */

static void nonzeros_free(const void *par, void *partial) {
  Nonzeros *z = partial;
  (void)par;
  for (uint32_t i = 0; z && z->item && i < z->n; i++)
    mem_free(z->item[i].count);
  if (z)
    mem_free(z->item);
  mem_free(z);
}

static void *nonzeros_init(const void *par, Err *e) {
  const Par *p = par;
  Nonzeros *z = mem_alloc(sizeof *z);
  if (z)
    z->item = mem_alloc(((size_t)p->n + 1) * sizeof *z->item);
  if (!z || !z->item) {
    mem_free(z);
    err_memory(e);
    return NULL;
  }
  z->n = p->n;
  return z;
}

/* The width is known with the first panel. */
static Status set_width(NonzeroItem *z, uint64_t width, Err *e) {
  if (z->count)
    return z->width == width ? ST_OK : par_bad(e);
  if (width > VECTOR_MOST)
    return par_bad(e);
  z->width = (uint32_t)width;
  z->count = mem_alloc(((size_t)width + 1) * sizeof *z->count);
  return z->count ? ST_OK : err_memory(e);
}

static void count_row(NonzeroItem *z, const Col *c, uint32_t r) {
  size_t row = c->constant ? 0 : r;
  if (c->is_sparse) {
    for (uint32_t i = c->ptr[r]; i < c->ptr[r + 1]; i++)
      z->count[c->el[i]] += c->f[i] != 0;
  } else if (c->is_hot) {
    if (c->hot[row] >= 0)
      z->count[c->hot[row]]++;
  } else {
    for (uint32_t j = 0; j < c->width; j++)
      z->count[j] += c->f[row * c->width + j] != 0;
  }
}

static Status nonzeros_map(const void *par, const Panel *p, void *partial, Ctx *c) {
  const Par *q = par;
  for (uint32_t i = 0; i < q->n; i++) {
    NonzeroItem *z = &((Nonzeros *)partial)->item[i];
    Sel sel;
    const Col *col = agg_col(p, q->src[i].arg, IR_VEC, c);
    if (!col || agg_select(p, &q->src[i], c, &sel) || set_width(z, col->width, c->err))
      return c->err->code;
    for (uint32_t j = 0; j < sel.n; j++)
      count_row(z, col, sel.row ? sel.row[j] : j);
  }
  return ST_OK;
}

static Status nonzeros_merge(const void *par, void *l, void *r, Err *e) {
  (void)par;
  for (uint32_t i = 0; i < ((Nonzeros *)l)->n; i++) {
    NonzeroItem *a = &((Nonzeros *)l)->item[i], *b = &((Nonzeros *)r)->item[i];
    if (!b->count)
      continue;
    if (set_width(a, b->width, e))
      return e->code;
    for (uint32_t j = 0; j < a->width; j++)
      a->count[j] += b->count[j];
  }
  return ST_OK;
}

/* Of each item: u8 whether a panel came, then u64 width and u64 of each element. */
static Status nonzeros_save(const void *par, const void *partial, Buf *out, Err *e) {
  const Nonzeros *z = partial;
  (void)par;
  for (uint32_t i = 0; i < z->n; i++) {
    const NonzeroItem *x = &z->item[i];
    buf_u8(out, x->count != NULL);
    if (!x->count)
      continue;
    buf_u64(out, x->width);
    for (uint32_t j = 0; j < x->width; j++)
      buf_u64(out, x->count[j]);
  }
  return out->bad ? err_memory(e) : ST_OK;
}

static void *nonzeros_load(const void *par, Bytes in, Err *e) {
  Rd r = rd_of(in);
  Nonzeros *z = nonzeros_init(par, e);
  for (uint32_t i = 0; z && i < z->n && !e->code; i++) {
    if (!rd_u8(&r))
      continue;
    uint64_t width = rd_count(&r, 8);
    if (r.bad || set_width(&z->item[i], width, e))
      break;
    for (uint32_t j = 0; j < width; j++)
      z->item[i].count[j] = rd_u64(&r);
  }
  if (z && !e->code && rd_done(&r))
    return z;
  if (z && !e->code)
    par_bad(e);
  nonzeros_free(par, z);
  return NULL;
}

const Pass pass_nonzeros = {"agg.nonzeros", RED_EXACT,     open_par,     close_par,
                            partial_size,   nonzeros_init, nonzeros_map, nonzeros_merge,
                            nonzeros_save,  nonzeros_load, nonzeros_free};

Status nonzeros_fitted(const NonzeroItem *z, Fitted *f, bool *none, Err *e) {
  *none = !z->count;
  if (*none)
    return ST_OK;
  f->type = IR_VEC;
  f->n = z->width;
  f->list = mem_alloc(((size_t)z->width + 1) * sizeof *f->list);
  if (!f->list)
    return err_memory(e);
  for (uint32_t j = 0; j < z->width; j++)
    f->list[j] = (double)z->count[j];
  return ST_OK;
}
