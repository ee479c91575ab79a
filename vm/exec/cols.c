/* SPDX-License-Identifier: Apache-2.0 */
/* Rows out of columns: see cols.h. First Gather, then Maker; the only intricate part is strings whose
 * dictionary changes between panels of one block: as long as it is one shared dictionary codes are copied,
 * from the first other one on the block has a dictionary of its own. */
#include "vm/exec/cols.h"

#include <string.h>

#include "base/arena.h"

size_t col_size(const Col *c) {
  switch (c->type) {
  case IR_BOOL:
    return 1;
  case IR_STR:
    return 4;
  case IR_VEC:
    return c->is_hot ? 4 : 8 * (size_t)c->width;
  default:
    return 8;
  }
}

void col_shift(const Col *in, uint32_t r, Col *out) {
  *out = *in;
  if (in->constant)
    return;
  if (col_is_ragged(in))
    out->ptr = in->ptr + r; /* entries stay where they are */
  else
    out->b = in->b + r * col_size(in);
  if (in->null)
    out->null = in->null + r;
}

/* ---- Gather ---- */

Status gather_init(Gather *g, uint32_t ncol, Err *e) {
  *g = (Gather){.ncol = ncol};
  if (!ncol)
    return ST_OK;
  g->data = mem_alloc(ncol * sizeof *g->data);
  g->cap = mem_alloc(ncol * sizeof *g->cap);
  g->null = mem_alloc((size_t)ncol * PANEL_ROWS);
  if (!g->data || !g->cap || !g->null) {
    gather_free(g);
    return err_memory(e);
  }
  return ST_OK;
}

void gather_free(Gather *g) {
  for (uint32_t k = 0; g->data && k < g->ncol; k++)
    mem_free(g->data[k]);
  mem_free(g->data);
  mem_free(g->cap);
  mem_free(g->null);
  *g = (Gather){.ncol = 0};
}

static void pick(const void *src, size_t size, const uint32_t *row, uint32_t n, void *dst) {
  switch (size) {
  case 1:
    for (uint32_t r = 0; r < n; r++)
      ((uint8_t *)dst)[r] = ((const uint8_t *)src)[row[r]];
    break;
  case 4:
    for (uint32_t r = 0; r < n; r++)
      ((uint32_t *)dst)[r] = ((const uint32_t *)src)[row[r]];
    break;
  case 8:
    for (uint32_t r = 0; r < n; r++)
      ((uint64_t *)dst)[r] = ((const uint64_t *)src)[row[r]];
    break;
  default:
    for (uint32_t r = 0; r < n; r++)
      memcpy((char *)dst + r * size, (const char *)src + row[r] * size, size);
  }
}

/* Storage of column k for `need` bytes. */
static void *gather_room(Gather *g, uint32_t k, size_t need, Err *e) {
  if (need > g->cap[k]) {
    mem_free(g->data[k]);
    g->cap[k] = 0;
    g->data[k] = mem_alloc64(need);
    if (!g->data[k]) {
      err_memory(e);
      return NULL;
    }
    g->cap[k] = need;
  }
  return g->data[k];
}

/* Rows of different length: values (sparse) first, then pointers, then elements or codes. */
static Status gather_ragged(Gather *g, uint32_t k, const Col *c, const uint32_t *row, uint32_t n, Col *out,
                            Err *e) {
  size_t entries = 0, wide = c->type == IR_VEC ? sizeof *c->f : 0;
  for (uint32_t r = 0; r < n; r++)
    entries += c->ptr[row[r] + 1] - c->ptr[row[r]];
  char *to = gather_room(g, k, entries * wide + ((size_t)n + 1 + entries) * sizeof *c->ptr, e);
  if (!to)
    return e->code;
  double *f = (double *)(void *)to;
  uint32_t *ptr = (uint32_t *)(void *)(to + entries * wide), *el = ptr + n + 1;
  const uint32_t *from = c->type == IR_VEC ? c->el : c->code;
  ptr[0] = 0;
  for (uint32_t r = 0; r < n; r++) {
    uint32_t at = c->ptr[row[r]], count = c->ptr[row[r] + 1] - at;
    if (count)
      memcpy(el + ptr[r], from + at, count * sizeof *el);
    if (count && wide)
      memcpy(f + ptr[r], c->f + at, count * sizeof *f);
    ptr[r + 1] = ptr[r] + count;
  }
  out->ptr = ptr;
  if (wide) {
    out->el = el;
    out->f = f;
  } else {
    out->code = el;
  }
  return ST_OK;
}

Status gather_cols(Gather *g, const Col *in, const uint32_t *row, uint32_t n, Col *out, Err *e) {
  for (uint32_t k = 0; k < g->ncol; k++) {
    const Col c = in[k]; /* in and out may be one array */
    out[k] = c;
    if (c.constant)
      continue;
    if (col_is_ragged(&c)) {
      if (gather_ragged(g, k, &c, row, n, &out[k], e))
        return e->code;
    } else {
      size_t size = col_size(&c);
      if (!gather_room(g, k, size * PANEL_ROWS, e))
        return e->code;
      pick(c.b, size, row, n, g->data[k]);
      out[k].b = g->data[k];
    }
    const uint8_t *null = c.null;
    if (null) {
      out[k].null = g->null + (size_t)k * PANEL_ROWS;
      pick(null, 1, row, n, out[k].null);
    }
  }
  return ST_OK;
}

/* ---- Maker ---- */

static size_t type_size(uint8_t type) {
  return type == IR_BOOL ? 1 : type == IR_STR ? 4 : 8;
}

Status maker_init(Maker *m, const uint8_t *type, uint32_t ncol, uint32_t flags, Err *e) {
  *m = (Maker){.ncol = ncol, .flags = flags};
  if (!ncol)
    return ST_OK;
  m->col = mem_alloc(ncol * sizeof *m->col);
  if (!m->col)
    return err_memory(e);
  for (uint32_t k = 0; k < ncol; k++)
    m->col[k].type = type[k];
  return ST_OK;
}

/* Forgets the block under construction. */
static void clear(Maker *m) {
  for (uint32_t k = 0; m->col && k < m->ncol; k++) {
    MakerCol *c = &m->col[k];
    mem_free(c->data);
    mem_free(c->null);
    dict_drop(c->dict);
    map_free(&c->words);
    c->data = NULL;
    c->null = NULL;
    c->dict = NULL;
    c->own = false;
    c->lent = -1;
    dict_drop(c->memo_of);
    c->memo_of = NULL;
  }
  mem_free(m->at);
  mem_free(m->part);
  mem_free(m->fold);
  mem_free(m->weight);
  m->at = NULL;
  m->part = m->fold = NULL;
  m->weight = NULL;
  m->n = 0;
  mem_free(m->taken);
  m->taken = NULL;
  m->lender = NULL;
}

void maker_free(Maker *m) {
  clear(m);
  for (uint32_t k = 0; m->col && k < m->ncol; k++)
    mem_free(m->col[k].memo);
  mem_free(m->col);
  *m = (Maker){.ncol = 0};
}

Status maker_begin(Maker *m, const Block *from, uint32_t rows, Err *e) {
  clear(m);
  m->file = from->file;
  m->pos = from->pos;
  m->npos = from->npos;
  m->cap = rows ? rows : 1;
  bool ok = (m->at = mem_alloc64(m->cap * 4)) != NULL;
  if (m->flags & MAKE_PART)
    ok = (m->part = mem_alloc64(m->cap)) && ok;
  if (m->flags & MAKE_FOLD)
    ok = (m->fold = mem_alloc64(m->cap)) && ok;
  if (m->flags & MAKE_WEIGHT)
    ok = (m->weight = mem_alloc64(m->cap * 8)) && ok;
  if (!ok) {
    clear(m);
    return err_memory(e);
  }
  return ST_OK;
}

static int64_t intern(MakerCol *c, const Dict *d, uint32_t code, Err *e) {
  int64_t k = map_add(&c->words, d->bytes + d->off[code], d->off[code + 1] - d->off[code], NULL);
  if (k < 0)
    err_memory(e);
  return k;
}

static void remember(MakerCol *c, Dict *d) {
  dict_hold(d);
  dict_drop(c->memo_of);
  c->memo_of = d;
}

/* Translates n codes of d into entry numbers of c->words, in place. */
static Status translate(MakerCol *c, Dict *d, uint32_t *code, uint32_t n, Err *e) {
  bool lasting = d->refs > 0; /* can be held, so that its address does not come again with another content */
  bool memo = lasting || d->n <= 2 * PANEL_ROWS;
  if (memo && !(lasting && c->memo_of == d)) {
    if (d->n > c->memo_cap) {
      mem_free(c->memo);
      c->memo_cap = 0;
      c->memo = mem_alloc(d->n * sizeof *c->memo);
      if (!c->memo)
        return err_memory(e);
      c->memo_cap = d->n;
    }
    memset(c->memo, 255, d->n * sizeof *c->memo);
    remember(c, lasting ? d : NULL);
  }
  for (uint32_t r = 0; r < n; r++) {
    if (memo && c->memo[code[r]] != UINT32_MAX) {
      code[r] = c->memo[code[r]];
      continue;
    }
    int64_t k = intern(c, d, code[r], e);
    if (k < 0)
      return e->code;
    if (memo)
      c->memo[code[r]] = (uint32_t)k;
    code[r] = (uint32_t)k;
  }
  return ST_OK;
}

/* From here on the column has a dictionary of its own. */
static Status to_own(MakerCol *c, uint32_t n, Err *e) {
  c->own = true;
  if (!c->dict)
    return ST_OK;
  Status st = translate(c, c->dict, c->data, n, e);
  dict_drop(c->dict);
  c->dict = NULL;
  return st;
}

static Status add_codes(Maker *m, MakerCol *c, const Col *src, uint32_t n, Err *e) {
  Dict *d = src->dict;
  uint32_t *code = (uint32_t *)c->data + m->n;
  Status st = ST_OK;
  if (!c->own && !c->dict && d->refs > 0) {
    dict_hold(d);
    c->dict = d;
  }
  if (!c->own && c->dict != d)
    st = to_own(c, m->n, e);
  if (!st && c->own)
    st = translate(c, d, code, n, e);
  return st;
}

/* ---- Columns that are lent ---- */

Status maker_lend(Maker *m, Block *from, Err *e) {
  m->taken = mem_alloc(from->ncol + (size_t)1);
  if (!m->taken)
    return err_memory(e);
  m->lender = from;
  return ST_OK;
}

static bool is_lent(const Maker *m, uint32_t j, const Col *src, bool null) {
  const Col *from = &m->lender->col[j];
  return from->type == src->type && !src->constant && !col_is_ragged(src) && from->dict == src->dict &&
         src->b == from->b + m->n * type_size(src->type) &&
         (null ? src->null == from->null + m->n : !src->null);
}

/* True: the next rows are those of a column of the lender, as all before were. */
static bool lend(Maker *m, uint32_t k, const Col *src) {
  MakerCol *c = &m->col[k];
  uint32_t n = m->lender->ncol;
  if (m->n)
    return c->lent >= 0 && is_lent(m, (uint32_t)c->lent, src, c->lent_null);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t j = k < n ? (k + i) % n : i; /* often in the same order */
    if (m->taken[j] || !is_lent(m, j, src, src->null != NULL))
      continue;
    m->taken[j] = true;
    c->lent = (int32_t)j;
    c->lent_null = src->null != NULL;
    return true;
  }
  return false;
}

/* The column has storage of its own from here on. */
static Status unlend(Maker *m, MakerCol *c, Err *e) {
  Col src;
  uint32_t n = m->n;
  bool lent = c->lent >= 0, null = c->lent_null;
  if (!c->data && !(c->data = mem_alloc64(m->cap * type_size(c->type))))
    return err_memory(e);
  if (!lent)
    return ST_OK;
  col_shift(&m->lender->col[c->lent], 0, &src);
  src.null = null ? src.null : NULL;
  m->taken[c->lent] = false;
  c->lent = -1;
  Block *lender = m->lender;
  m->lender = NULL;
  m->n = 0;
  Status st = maker_col(m, (uint32_t)(c - m->col), &src, NULL, n, e);
  m->n = n;
  m->lender = lender;
  return st;
}

/* Takes it from the lender. */
static void take_lent(const Maker *m, MakerCol *c) {
  Col *from = &m->lender->col[c->lent];
  c->data = from->b;
  from->b = NULL;
  if (c->lent_null && memchr(from->null, 1, m->n)) {
    c->null = from->null;
    from->null = NULL;
  }
  c->dict = from->dict;
  from->dict = NULL;
}

Status maker_col(Maker *m, uint32_t k, const Col *src, const uint32_t *row, uint32_t n, Err *e) {
  MakerCol *c = &m->col[k];
  if (src->type != c->type || m->n + n > m->cap)
    return err_set(e, ST_FAULT, "CML0601", NULL,
                   "a row program gave a column of another type or length than it declares");
  if (!n)
    return ST_OK;
  if (m->lender && !row && lend(m, k, src))
    return ST_OK;
  if ((!c->data || c->lent >= 0) && unlend(m, c, e))
    return e->code;
  size_t size = type_size(c->type);
  char *dst = (char *)c->data + m->n * size;
  if (src->constant) {
    for (uint32_t r = 0; r < n; r++)
      memcpy(dst + r * size, src->b, size);
  } else if (row) {
    pick(src->b, size, row, n, dst);
  } else {
    memcpy(dst, src->b, n * size);
  }
  if (src->null) {
    uint8_t any = src->constant ? src->null[0] : 0;
    if (!src->constant)
      for (uint32_t r = 0; r < n; r++)
        any |= src->null[row ? row[r] : r];
    if (any && !c->null) {
      c->null = mem_alloc64(m->cap);
      if (!c->null)
        return err_memory(e);
      memset(c->null, 0, m->cap);
    }
    if (any && src->constant)
      memset(c->null + m->n, 1, n);
    else if (any && row)
      pick(src->null, 1, row, n, c->null + m->n);
    else if (any)
      memcpy(c->null + m->n, src->null, n);
  }
  return c->type == IR_STR ? add_codes(m, c, src, n, e) : ST_OK;
}

void maker_step(Maker *m, uint32_t n) {
  m->n += n;
}

static Status own_dict(MakerCol *c, Err *e) {
  uint32_t n = c->words.n;
  size_t total = 0;
  for (uint32_t i = 0; i < n; i++)
    total += c->words.entry[i].n;
  Dict *d = mem_alloc(sizeof *d);
  uint32_t *off = mem_alloc64((n + 1) * sizeof *off);
  char *bytes = mem_alloc64(total + 1);
  if (!d || !off || !bytes || total > UINT32_MAX) {
    mem_free(d);
    mem_free(off);
    mem_free(bytes);
    return err_memory(e);
  }
  off[0] = 0;
  for (uint32_t i = 0; i < n; i++) {
    memcpy(bytes + off[i], c->words.entry[i].key, c->words.entry[i].n);
    off[i + 1] = off[i] + c->words.entry[i].n;
  }
  d->n = n;
  d->off = off;
  d->bytes = bytes;
  d->refs = 1;
  c->dict = d;
  map_free(&c->words);
  return ST_OK;
}

/* p with storage for n bytes instead of cap, where that is worth it; stays as it is when there is no
 * memory for the copy. */
static void *shrunk(void *p, size_t n, size_t cap, size_t *bytes) {
  if (!p)
    return NULL;
  void *t = n < cap - cap / 4 ? mem_alloc64(n ? n : 1) : NULL;
  *bytes += t ? n : cap;
  if (!t)
    return p;
  memcpy(t, p, n);
  mem_free(p);
  return t;
}

static void end_col(const Maker *m, MakerCol *c, Block *b, uint32_t k) {
  size_t size = type_size(c->type);
  Col *o = &b->col[k];
  o->type = c->type;
  o->b = shrunk(c->data, m->n * size, m->cap * size, &b->bytes);
  o->null = shrunk(c->null, m->n, m->cap, &b->bytes);
  o->dict = c->dict;
  if (c->dict)
    b->bytes += c->dict->off[c->dict->n] + 4 * ((size_t)c->dict->n + 1);
  c->data = NULL;
  c->null = NULL;
  c->dict = NULL;
}

Status maker_end(Maker *m, Block **out, Err *e) {
  Status st = ST_OK;
  for (uint32_t k = 0; k < m->ncol && !st; k++) {
    MakerCol *c = &m->col[k];
    const Dict *d = c->lent >= 0 ? m->lender->col[c->lent].dict : NULL;
    if (c->lent >= 0 && m->n == m->lender->n && !(d && d->n / 2 > m->n + 64))
      take_lent(m, c);
    else if (!c->data || c->lent >= 0)
      st = unlend(m, c, e);
    if (c->type != IR_STR || st)
      continue;
    /* few rows left: do not keep all strings of the block */
    if (!c->own && (!c->dict || c->dict->n / 2 > m->n + 64))
      st = to_own(c, m->n, e);
    if (!st && c->own)
      st = own_dict(c, e);
  }
  Block *b = st ? NULL : mem_alloc(sizeof *b);
  Col *col = b && m->ncol ? mem_alloc(m->ncol * sizeof *col) : NULL;
  if (st || !b || (m->ncol && !col)) {
    mem_free(b);
    clear(m);
    return st ? st : err_memory(e);
  }
  b->file = m->file;
  b->pos = m->pos;
  b->npos = m->npos;
  b->n = m->n;
  b->ncol = m->ncol;
  b->col = col;
  b->refs = 1;
  for (uint32_t k = 0; k < m->ncol; k++)
    end_col(m, &m->col[k], b, k);
  if (m->n != m->npos) { /* else nothing was removed: no need for positions */
    b->at = shrunk(m->at, 4 * (size_t)m->n, 4 * (size_t)m->cap, &b->bytes);
    m->at = NULL;
  }
  b->part = shrunk(m->part, m->n, m->cap, &b->bytes);
  b->fold = shrunk(m->fold, m->n, m->cap, &b->bytes);
  b->weight = shrunk(m->weight, 8 * (size_t)m->n, 8 * (size_t)m->cap, &b->bytes);
  b->bytes += sizeof *b + m->ncol * sizeof *col;
  m->part = m->fold = NULL;
  m->weight = NULL;
  clear(m);
  *out = b;
  return ST_OK;
}
