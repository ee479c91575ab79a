/* SPDX-License-Identifier: Apache-2.0 */
/* Columns -> the pages of a row group. Read pq_group_encode, then encode_column.
 *
 * Of a column first the values that are there are collected. Few different ones become a dictionary and
 * codes; whether they are few, the first rows tell early. Numbers that Snappy makes nothing of are stored as
 * they are, from where they lie: the column lends them. All pages are of version 1, which every reader knows.
 *
 * Source: Encodings.md and parquet.thrift (apache/parquet-format). */
#include <string.h>

#include "base/map.h"
#include "vm/engine/parquet_write.h"
#include "vm/kernel/lanes.h"

enum { DICTIONARY = 4096, SLOTS = 4 * DICTIONARY, SLOT_BITS = 14 };  /* different numbers */
enum { DICTIONARY_TEXTS = 1 << 14, DICTIONARY_BYTES = 1 << 20 };
enum { LOOK = 1024 };        /* so often: are they few? */
enum { PAGE_BYTES = 1 << 20, PAGE_ROWS = 1 << 17 };
enum { SAMPLE = 1 << 15, PLAIN = 0, RLE = 3, RLE_DICTIONARY = 8 };

typedef struct Column { /* at hand */
  PqGroup *g;
  PqPut *put;
  PqType type;
  bool real;             /* doubles, else whole numbers */
  const Col *c;
  uint32_t n, nv;        /* rows, and values that are there */
  const uint8_t *there;  /* of a row; NULL: all are */
  const uint64_t *value; /* numbers, nv; those of one width as their bits */
  const uint32_t *raw;   /* truth values; codes of c->dict; nv */
  uint32_t ndict;        /* different values: g->code and g->dict, or `text` */
  Map text;
} Column;

/* ---- Rooms ---- */

PqGroup *pq_group_new(uint32_t ncol) {
  PqGroup *g = mem_alloc(sizeof *g);
  if (!g)
    return NULL;
  g->put = mem_alloc((ncol + (size_t)1) * sizeof *g->put);
  g->dict = mem_alloc64(DICTIONARY * sizeof *g->dict);
  g->slot = mem_alloc64(SLOTS * sizeof *g->slot);
  g->table = mem_alloc64(SNAPPY_TABLE * sizeof *g->table);
  if (g->put && g->dict && g->slot && g->table)
    return g;
  pq_group_free(g);
  return NULL;
}

static void free_rows(PqGroup *g) {
  mem_free(g->value);
  mem_free(g->raw);
  mem_free(g->code);
  mem_free(g->level);
  mem_free(g->there);
  g->value = NULL;
  g->raw = g->code = g->level = NULL;
  g->there = NULL;
  g->rows = 0;
}

void pq_group_free(PqGroup *g) {
  if (!g)
    return;
  free_rows(g);
  buf_free(&g->bytes);
  buf_free(&g->lent);
  buf_free(&g->body);
  buf_free(&g->packed);
  mem_free(g->put);
  mem_free(g->known);
  mem_free(g->dict);
  mem_free(g->slot);
  mem_free(g->table);
  mem_free(g);
}

static bool rows_room(PqGroup *g, uint32_t n) {
  if (g->rows >= n)
    return true;
  free_rows(g);
  g->value = mem_alloc64((size_t)n * sizeof *g->value);
  g->raw = mem_alloc64((size_t)n * sizeof *g->raw);
  g->code = mem_alloc64((size_t)n * sizeof *g->code);
  g->level = mem_alloc64((size_t)n * sizeof *g->level);
  g->there = mem_alloc64(n);
  if (!g->value || !g->raw || !g->code || !g->level || !g->there)
    return false;
  g->rows = n;
  return true;
}

/* ---- Values that are there ---- */

static uint32_t find_there(Column *x) {
  const uint8_t *null = x->c->null;
  uint8_t *there = x->g->there;
  uint32_t have = x->n;
  x->there = NULL;
  if (null && x->c->constant) {
    memset(there, !null[0], x->n);
    have = null[0] ? 0 : x->n;
  } else if (null) {
    have = 0;
    for (uint32_t i = 0; i < x->n; i++)
      have += there[i] = !null[i];
  }
  if (have < x->n)
    x->there = there;
  return have;
}

static void collect_numbers(Column *x) {
  const uint64_t *from = (const uint64_t *)x->c->i;
  uint64_t *to = x->g->value;
  x->value = x->c->constant || x->there ? to : from;
  if (x->c->constant) {
    for (uint32_t i = 0; i < x->nv; i++)
      to[i] = from[0];
  } else if (x->there) {
    for (uint32_t i = 0, k = 0; i < x->n && k < x->nv; i++) {
      to[k] = from[i];
      k += x->there[i];
    }
  }
}

static void collect_codes(Column *x) {
  uint32_t *to = x->g->raw;
  bool truth = x->type == PQ_BOOL;
  for (uint32_t i = 0, k = 0; i < x->n && k < x->nv; i++) {
    uint32_t r = x->c->constant ? 0 : i;
    to[k] = truth ? x->c->b[r] : x->c->code[r];
    k += !x->there || x->there[i];
  }
  x->raw = to;
}

static Bytes text_of(const Column *x, uint32_t raw) {
  const uint32_t *off = x->c->dict->off + raw;
  return (Bytes){(const uint8_t *)x->c->dict->bytes + off[0], off[1] - off[0]};
}

/* ---- Dictionaries ---- */

/* Too many different ones among the first `seen`. */
static bool many(uint32_t different, uint32_t seen) {
  return seen && seen % LOOK == 0 && different > seen - seen / 16;
}

/* Different numbers, to g->dict, and their numbers to g->code; 0: too many. */
static uint32_t number_codes(Column *x) {
  PqGroup *g = x->g;
  const uint64_t *v = x->value;
  uint32_t n = 0, last = 0;
  memset(g->slot, 0, SLOTS * sizeof *g->slot);
  for (uint32_t i = 0; i < x->nv; i++) {
    if (i && v[i] == v[i - 1]) {
      g->code[i] = last;
      continue;
    }
    uint32_t s = (uint32_t)((v[i] ^ v[i] >> 32) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - SLOT_BITS));
    while (g->slot[s] && g->dict[g->slot[s] - 1] != v[i])
      s = (s + 1) % SLOTS;
    if (!g->slot[s]) {
      if (n == DICTIONARY || many(n, i))
        return 0;
      g->dict[n] = v[i];
      g->slot[s] = (uint16_t)++n;
    }
    g->code[i] = last = g->slot[s] - 1u;
  }
  return n > x->nv / 2 ? 0 : n;
}

/* The same of texts, to x->text; -1: no memory. Two entries of c->dict may be the same text. */
static int64_t text_codes(Column *x) {
  PqGroup *g = x->g;
  uint32_t have = x->c->dict->n;
  size_t bytes = 0;
  if (g->ntext < have) {
    mem_free(g->known);
    g->known = mem_alloc64(have * sizeof *g->known);
    g->ntext = g->known ? have : 0;
    if (!g->known)
      return -1;
  }
  memset(g->known, 255, have * sizeof *g->known);
  for (uint32_t i = 0; i < x->nv; i++) {
    uint32_t *known = &g->known[x->raw[i]];
    if (*known == UINT32_MAX) {
      Bytes t = text_of(x, x->raw[i]);
      int fresh = 0;
      int64_t k = map_add(&x->text, t.p, t.n, &fresh);
      if (k < 0)
        return -1;
      bytes += fresh ? t.n : 0;
      if (x->text.n > DICTIONARY_TEXTS || bytes > DICTIONARY_BYTES || many(x->text.n, i))
        return 0;
      *known = (uint32_t)k;
    }
    g->code[i] = *known;
  }
  return x->text.n > x->nv / 2 ? 0 : x->text.n;
}

/* ---- Bounds ---- */

static void number_bounds(Column *x, const uint64_t *bits, uint32_t n) {
  PqPut *p = x->put;
  if (x->real) {
    double lo, hi;
    if (!k_bounds((const double *)bits, n, &lo, &hi))
      return;
    lo = lo == 0 ? -0.0 : lo; /* one zero may stand for both */
    hi = hi == 0 ? 0.0 : hi;
    memcpy(p->lo, &lo, 8);
    memcpy(p->hi, &hi, 8);
  } else {
    const int64_t *v = (const int64_t *)bits;
    int64_t lo = v[0], hi = v[0];
    for (uint32_t i = 0; i < n; i++) {
      lo = v[i] < lo ? v[i] : lo;
      hi = v[i] > hi ? v[i] : hi;
    }
    memcpy(p->lo, &lo, 8); /* of a date the lower half */
    memcpy(p->hi, &hi, 8);
  }
  p->nlo = p->nhi = x->type == PQ_I32 ? 4 : 8;
  p->bounds = true;
}

static void truth_bounds(Column *x) {
  PqPut *p = x->put;
  uint32_t all = 1, any = 0;
  for (uint32_t i = 0; i < x->nv; i++) {
    all &= x->raw[i];
    any |= x->raw[i];
  }
  p->lo[0] = (uint8_t)all;
  p->hi[0] = (uint8_t)any;
  p->nlo = p->nhi = 1;
  p->bounds = true;
}

static bool before(Bytes a, Bytes b) {
  int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
  return c ? c < 0 : a.n < b.n;
}

static Bytes text_at(const Column *x, uint32_t i) {
  if (x->ndict)
    return (Bytes){(const uint8_t *)x->text.entry[i].key, x->text.entry[i].n};
  return text_of(x, x->raw[i]);
}

static void text_bounds(Column *x) {
  PqPut *p = x->put;
  Bytes lo = text_at(x, 0), hi = lo;
  for (uint32_t i = 1; i < (x->ndict ? x->ndict : x->nv); i++) {
    Bytes t = text_at(x, i);
    if (before(t, lo))
      lo = t;
    else if (before(hi, t))
      hi = t;
  }
  if (lo.n > PQ_BOUND || hi.n > PQ_BOUND)
    return;
  memcpy(p->lo, lo.p, p->nlo = (uint32_t)lo.n);
  memcpy(p->hi, hi.p, p->nhi = (uint32_t)hi.n);
  p->bounds = true;
}

static void find_bounds(Column *x) {
  x->put->bounds = false;
  if (!x->nv)
    return;
  if (x->type == PQ_BOOL)
    truth_bounds(x);
  else if (x->type == PQ_BYTES)
    text_bounds(x);
  else if (x->ndict)
    number_bounds(x, x->g->dict, x->ndict);
  else
    number_bounds(x, x->value, x->nv);
}

/* ---- Numbers of a few bits ---- */

static uint32_t bits_of(uint32_t most) {
  uint32_t bits = 1;
  for (; most >>= 1;)
    bits++;
  return bits;
}

/* n numbers one behind the other, filled up to a multiple of eight. */
static void put_packed(Buf *b, const uint32_t *v, uint32_t n, uint32_t bits) {
  if (!buf_room(b, (size_t)(n + 7) / 8 * bits))
    return;
  size_t bytes = (size_t)(n + 7) / 8 * bits;
  uint8_t *o = b->p + b->n;
  uint64_t word = 0;
  uint32_t have = 0;
  memset(o, 0, bytes);
  for (uint32_t i = 0; i < n; i++) {
    word |= (uint64_t)v[i] << have;
    have += bits;
    if (have >= 32) {
      memcpy(o, &word, 4);
      o += 4;
      word >>= 32;
      have -= 32;
    }
  }
  memcpy(o, &word, (have + 7) / 8);
  b->n += bytes;
}

static void put_run(Buf *b, uint32_t value, uint32_t n, uint32_t bits) {
  thrift_put_varint(b, (uint64_t)n << 1);
  buf_put(b, &value, (bits + 7) / 8);
}

static uint32_t run_length(const uint32_t *v, uint32_t n) {
  uint32_t k = 1;
  while (k < n && v[k] == v[0])
    k++;
  return k;
}

/* Runs of one number where they are shorter than the numbers themselves, and groups of eight. */
static void put_hybrid(Buf *b, const uint32_t *v, uint32_t n, uint32_t bits) {
  uint32_t enough = bits < 8 ? 64 / bits / 8 * 8 : 8, from = 0, i = 0;
  while (i < n) {
    uint32_t run = run_length(v + i, n - i < enough ? n - i : enough);
    if (run < enough && run < n - i) {
      i += n - i < 8 ? n - i : 8;
      continue;
    }
    if (run < enough && i > from) { /* what is left goes with the groups before */
      i = n;
      break;
    }
    run = run_length(v + i, n - i);
    if (i > from) {
      thrift_put_varint(b, (uint64_t)((i - from + 7) / 8) << 1 | 1);
      put_packed(b, v + from, i - from, bits);
    }
    put_run(b, v[i], run, bits);
    from = i += run;
  }
  if (i > from) {
    thrift_put_varint(b, (uint64_t)((i - from + 7) / 8) << 1 | 1);
    put_packed(b, v + from, i - from, bits);
  }
}

/* ---- Pages ---- */

static void page_header(Buf *b, bool dict, size_t plain, size_t stored, uint32_t n, int encoding) {
  int last = 0, in = 0;
  thrift_put_number(b, &last, 1, THRIFT_I32, dict ? 2 : 0);
  thrift_put_number(b, &last, 2, THRIFT_I32, (int64_t)plain);
  thrift_put_number(b, &last, 3, THRIFT_I32, (int64_t)stored);
  thrift_put_field(b, &last, dict ? 7 : 5, THRIFT_STRUCT);
  thrift_put_number(b, &in, 1, THRIFT_I32, n);
  thrift_put_number(b, &in, 2, THRIFT_I32, encoding);
  if (!dict) { /* of both kinds of levels */
    thrift_put_number(b, &in, 3, THRIFT_I32, RLE);
    thrift_put_number(b, &in, 4, THRIFT_I32, RLE);
  }
  buf_u8(b, 0);
  buf_u8(b, 0);
}

/* A page with g->body, and `more` behind it, which is not compressed: lent where it lies in the column, and
 * not in the room for those of this group. */
static Status put_page(Column *x, bool dict, uint32_t n, int encoding, Bytes more, Err *e) {
  PqGroup *g = x->g;
  size_t plain = g->body.n + more.n, at = g->bytes.n;
  if (plain > INT32_MAX / 2)
    return err_set(e, ST_RESOURCE, "CML0501", "Write shorter texts.",
                   "a text to be written has more than 1 GB");
  Bytes page = buf_bytes(&g->body);
  if (x->put->codec == PQ_SNAPPY) {
    buf_clear(&g->packed);
    if (!buf_room(&g->packed, snappy_most(plain)))
      return err_memory(e);
    page = (Bytes){g->packed.p, snappy_encode(g->body.p, plain, g->packed.p, g->table)};
  }
  page_header(&g->bytes, dict, plain, page.n + more.n, n, encoding);
  x->put->plain += g->bytes.n - at + plain;
  buf_put(&g->bytes, page.p, page.n);
  if (more.n && x->value == (const uint64_t *)x->c->i) {
    PqLent lent = {.at = g->bytes.n, .b = more};
    buf_put(&g->lent, &lent, sizeof lent);
    g->size += more.n;
  } else {
    buf_put(&g->bytes, more.p, more.n);
  }
  g->size += g->bytes.n - at;
  return g->bytes.bad || g->body.bad || g->lent.bad ? err_memory(e) : ST_OK;
}

static void put_text(Buf *b, Bytes t) {
  buf_u32(b, (uint32_t)t.n);
  buf_put(b, t.p, t.n);
}

static void put_numbers(Buf *b, PqType type, const uint64_t *v, uint32_t n) {
  if (type == PQ_I32)
    for (uint32_t i = 0; i < n; i++)
      buf_u32(b, (uint32_t)v[i]);
  else
    buf_put(b, v, n * sizeof *v);
}

static Status put_dictionary(Column *x, Err *e) {
  Buf *b = &x->g->body;
  buf_clear(b);
  if (x->type == PQ_BYTES)
    for (uint32_t i = 0; i < x->ndict; i++)
      put_text(b, text_at(x, i));
  else
    put_numbers(b, x->type, x->g->dict, x->ndict);
  return put_page(x, true, x->ndict, PLAIN, (Bytes){NULL, 0}, e);
}

/* The levels of n rows, with their length in front: 1 where a value is there. */
static void put_levels(Column *x, uint32_t row, uint32_t n) {
  Buf *b = &x->g->body;
  uint32_t *level = x->g->level;
  size_t at = b->n;
  buf_u32(b, 0);
  if (!x->there) {
    put_run(b, 1, n, 1);
  } else {
    for (uint32_t i = 0; i < n; i++)
      level[i] = x->there[row + i];
    put_hybrid(b, level, n, 1);
  }
  uint32_t len = (uint32_t)(b->n - at - 4);
  if (!b->bad)
    memcpy(b->p + at, &len, 4);
}

/* Rows of the page that begins at row `row` with value number `val`; *nv: values in it. */
static uint32_t page_rows(const Column *x, uint32_t row, uint32_t val, uint32_t *nv) {
  uint32_t n = 0, most = x->n - row < PAGE_ROWS ? x->n - row : PAGE_ROWS;
  bool texts = x->type == PQ_BYTES && !x->ndict;
  *nv = 0;
  if (!texts && !x->there)
    return *nv = most;
  for (size_t bytes = 0; n < most; n++) {
    bool there = !x->there || x->there[row + n];
    if (there && texts)
      bytes += 4 + text_of(x, x->raw[val + *nv]).n;
    if (n && bytes > PAGE_BYTES)
      break;
    *nv += there;
  }
  return n;
}

/* The values of a page, behind its levels; those that need no room of their own to *more. */
static void put_values(Column *x, uint32_t val, uint32_t nv, Bytes *more) {
  Buf *b = &x->g->body;
  if (x->ndict) {
    uint32_t bits = bits_of(x->ndict - 1);
    buf_u8(b, (uint8_t)bits);
    put_hybrid(b, x->g->code + val, nv, bits);
  } else if (x->type == PQ_BOOL) {
    put_packed(b, x->raw + val, nv, 1);
  } else if (x->type == PQ_BYTES) {
    for (uint32_t i = 0; i < nv; i++)
      put_text(b, text_of(x, x->raw[val + i]));
  } else if (x->put->codec == PQ_STORED && x->type != PQ_I32) {
    *more = (Bytes){(const uint8_t *)(x->value + val), nv * sizeof *x->value};
  } else {
    put_numbers(b, x->type, x->value + val, nv);
  }
}

static Status put_pages(Column *x, Err *e) {
  uint32_t nv, n;
  for (uint32_t row = 0, val = 0; row < x->n && e->code == ST_OK; row += n, val += nv) {
    Bytes more = {NULL, 0};
    n = page_rows(x, row, val, &nv);
    buf_clear(&x->g->body);
    buf_room(&x->g->body, 64 + 8 * (size_t)n);
    put_levels(x, row, n);
    put_values(x, val, nv, &more);
    put_page(x, false, n, x->ndict ? RLE_DICTIONARY : PLAIN, more, e);
  }
  return e->code;
}

/* ---- Columns ---- */

/* Does Snappy find anything in the first numbers? In codes and texts there is nearly always something. */
static Status choose_codec(Column *x, Err *e) {
  PqGroup *g = x->g;
  size_t n = x->nv * sizeof *x->value;
  x->put->codec = PQ_SNAPPY;
  if (x->ndict || !x->nv || (x->type != PQ_I64 && x->type != PQ_F64))
    return ST_OK;
  n = n < SAMPLE ? n : SAMPLE;
  buf_clear(&g->packed);
  if (!buf_room(&g->packed, snappy_most(n)))
    return err_memory(e);
  if (snappy_encode((const uint8_t *)x->value, n, g->packed.p, g->table) > n - n / 16)
    x->put->codec = PQ_STORED;
  return ST_OK;
}

static Status encode_column(Column *x, Err *e) {
  PqGroup *g = x->g;
  PqPut *p = x->put;
  int64_t different = 0;
  x->nv = find_there(x);
  if (x->type == PQ_BOOL || x->type == PQ_BYTES)
    collect_codes(x);
  else
    collect_numbers(x);
  if (x->type == PQ_BYTES && x->nv)
    different = text_codes(x);
  else if (x->type != PQ_BOOL && x->nv)
    different = number_codes(x);
  if (different < 0)
    return err_memory(e);
  x->ndict = (uint32_t)different;
  *p = (PqPut){.from = g->size, .nulls = x->n - x->nv, .coded = x->ndict > 0};
  find_bounds(x);
  if (choose_codec(x, e) != ST_OK || (x->ndict && put_dictionary(x, e) != ST_OK))
    return e->code;
  p->data = g->size;
  put_pages(x, e);
  p->end = g->size;
  return e->code;
}

Status pq_group_encode(PqGroup *g, const IrColumn *col, uint32_t ncol, const Col *v, uint32_t n, Err *e) {
  g->n = n;
  g->size = 0;
  buf_clear(&g->bytes);
  buf_clear(&g->lent);
  if (!rows_room(g, n) || !buf_room(&g->bytes, ((size_t)n + 16) * ncol * sizeof(int64_t)))
    return err_memory(e);
  for (uint32_t k = 0; k < ncol && e->code == ST_OK; k++) {
    Column x = {.g = g, .put = &g->put[k], .type = pq_type_of((Kind)col[k].kind), .c = &v[k], .n = n};
    x.real = x.type == PQ_F64;
    encode_column(&x, e);
    map_free(&x.text);
  }
  return e->code;
}
