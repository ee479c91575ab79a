/* SPDX-License-Identifier: Apache-2.0 */
/* Plain Parquet files into blocks, without DuckDB: slices of pages (parquet.h) -> columns under construction.
 * Read parquet_own_values. Each thread makes its block alone, so all of reading runs beside the others.
 *
 * Values of the type that a column has go into it directly; others go through an array as DuckDB would give
 * it, and what reader_parquet.c does with those. Texts of a dictionary are looked up once for each block. */
#include <string.h>

#include "base/unicode.h"
#include "vm/engine/parquet.h"
#include "vm/engine/parts.h"
#include "vm/kernel/rows.h"

typedef struct Own { /* what making a block needs */
  Draft *b;
  PqWalk w;
  uint8_t *data;         /* of a column that is not taken directly */
  uint64_t *validity;
  uint32_t *code, ncode; /* of a text of the dictionary: its code in the block, or UINT32_MAX */
  const uint8_t **text;  /* where it is: its length and bytes */
} Own;

/* ---- Which files ---- */

static bool fits(const PqColumn *c, duckdb_type t) {
  switch (t) {
  case DUCKDB_TYPE_BOOLEAN: return c->type == PQ_BOOL;
  case DUCKDB_TYPE_INTEGER:
  case DUCKDB_TYPE_UINTEGER:
  case DUCKDB_TYPE_DATE: return c->type == PQ_I32;
  case DUCKDB_TYPE_BIGINT: return c->type == PQ_I64;
  case DUCKDB_TYPE_TIMESTAMP:
  case DUCKDB_TYPE_TIMESTAMP_TZ: return c->type == PQ_I64 && c->micros;
  case DUCKDB_TYPE_FLOAT: return c->type == PQ_F32;
  case DUCKDB_TYPE_DOUBLE: return c->type == PQ_F64;
  case DUCKDB_TYPE_VARCHAR: return c->type == PQ_BYTES;
  default: return false;
  }
}

Status parquet_own_open(const Reader *r, const char *file, const FileBytes *in, uint64_t size, PqFile **out,
                        Err *e) {
  const char **name = mem_alloc((r->ncol + 1) * sizeof *name);
  if (!name)
    return err_memory(e);
  for (uint32_t k = 0; k < r->ncol; k++)
    name[k] = r->col[k].name;
  if (in)
    pq_open_far(file, size, in, name, r->ncol, out, e);
  else
    pq_open(file, name, r->ncol, out, e);
  mem_free(name);
  if (*out)
    (*out)->page_most = r->page_most;
  return e->code;
}

bool parquet_own_fits(const Reader *r, const PqFile *f, const SourceType *type) {
  for (uint32_t k = 0; k < r->ncol; k++)
    if (!fits(&f->col[k], type[k].type))
      return false;
  return true;
}

Status parquet_own_collect(Reader *r, Draft *b, Err *e) {
  (void)e;
  uint64_t left = r->pq->first[r->pq->ngroup] - r->pos;
  b->n = left < BLOCK ? (uint32_t)left : BLOCK;
  if (b->n) /* else the file has ended, and another may follow */
    pq_hold(b->pq = r->pq);
  return ST_OK;
}

void parquet_own_close(Reader *r) {
  pq_drop(r->pq);
  r->pq = NULL;
}

/* ---- Numbers ---- */

#define SPREAD(T, U)                                                                       \
  static void spread_##T(const PqSlice *s, const PqDict *d, void *to) {                    \
    T *out = to;                                                                           \
    const uint8_t *v = s->coded ? d->value : s->value;                                     \
    if (!s->there && !s->coded) {                                                          \
      memcpy(out, v, s->n * sizeof *out);                                                  \
    } else if (!s->there) {                                                                \
      for (uint32_t i = 0; i < s->n; i++)                                                  \
        memcpy(&out[i], v + s->code[i] * sizeof *out, sizeof *out);                        \
    } else if (s->coded) {                                                                 \
      for (uint32_t i = 0, k = 0; i < s->n; k += s->there[i++]) {                          \
        U mask = (U)0 - s->there[i];                                                       \
        memcpy(&out[i], v + (s->code[k] & (uint32_t)mask) * sizeof *out, sizeof *out);     \
        out[i] &= mask;                                                                    \
      }                                                                                    \
    } else {                                                                               \
      for (uint32_t i = 0, k = 0; i < s->n; k += s->there[i++]) {                          \
        memcpy(&out[i], v + k * sizeof *out, sizeof *out);                                 \
        out[i] &= (U)0 - s->there[i];                                                      \
      }                                                                                    \
    }                                                                                      \
  }
SPREAD(uint64_t, uint64_t)
SPREAD(uint32_t, uint32_t)
#undef SPREAD

static void spread_bools(const PqSlice *s, uint8_t *out) {
  for (uint32_t i = 0, k = 0; i < s->n; i++) {
    bool there = !s->there || s->there[i];
    out[i] = there ? (uint8_t)s->code[k] : 0;
    k += there;
  }
}

/* The bytes of `there` as DuckDB's bits; NULL: all are. */
static const uint64_t *validity_of(Own *o, const PqSlice *s) {
  if (!s->there)
    return NULL;
  memset(o->validity, 0, BLOCK / 8);
  for (uint32_t i = 0; i < s->n; i++)
    o->validity[i / 64] |= (uint64_t)s->there[i] << (i % 64);
  return o->validity;
}

static bool put_nulls(Draft *b, uint32_t k, const PqSlice *s, uint32_t at) {
  ColBuild *c = &b->build[k];
  if (!s->there)
    return true;
  if (!b->col[k].nullable) {
    for (uint32_t i = 0; i < s->n; i++)
      if (!s->there[i] && !reader_null_at(b, k, at + i))
        return false;
    return true;
  }
  if (!c->null) {
    c->null = mem_alloc64(BLOCK);
    if (!c->null)
      return false;
    memset(c->null, 0, BLOCK);
  }
  for (uint32_t i = 0; i < s->n; i++)
    c->null[at + i] |= !s->there[i];
  return true;
}

/* False: no memory. */
static bool put_numbers(Own *o, uint32_t k, const PqSlice *s, uint32_t at) {
  Draft *b = o->b;
  ColBuild *c = &b->build[k];
  duckdb_type type = b->type[k].type;
  Kind kind = b->col[k].kind;
  if (kind == KIND_FLOAT && type == DUCKDB_TYPE_DOUBLE) {
    spread_uint64_t(s, &o->w.dict, c->col.f + at);
    if (k_any_nan(c->col.f + at, s->n) && !typed_check_nan(b, k, validity_of(o, s), 0, s->n, at))
      return false;
    return put_nulls(b, k, s, at);
  }
  if ((kind == KIND_INT || kind == KIND_DURATION) && type == DUCKDB_TYPE_BIGINT) {
    spread_uint64_t(s, &o->w.dict, c->col.i + at);
    return put_nulls(b, k, s, at);
  }
  if (o->w.type == PQ_BOOL)
    spread_bools(s, o->data);
  else if (o->w.type == PQ_I32 || o->w.type == PQ_F32)
    spread_uint32_t(s, &o->w.dict, o->data);
  else
    spread_uint64_t(s, &o->w.dict, o->data);
  return typed_values(b, k, o->data, validity_of(o, s), 0, s->n, at);
}

/* ---- Texts ---- */

static Status no_text(const Own *o, uint32_t k, Err *e) {
  err_set(e, ST_DATA, "CML0403", "Make it again, in UTF-8.", "the column `%s` has a text that is not UTF-8",
          o->b->col[k].name);
  return err_at(e, "%s", o->w.f->path);
}

/* The code of a text: its length and bytes. */
static Status put_text(Own *o, uint32_t k, const uint8_t *p, uint32_t *out, Err *e) {
  uint32_t n;
  memcpy(&n, p, 4);
  if (!utf8_valid((const char *)p + 4, n))
    return no_text(o, k, e);
  int64_t code = build_text(&o->b->build[k].str, (Text){(const char *)p + 4, n});
  if (code < 0)
    return err_memory(e);
  *out = (uint32_t)code;
  return ST_OK;
}

/* Where the texts of a new dictionary are. */
static Status open_dict(Own *o, Err *e) {
  const PqDict *d = &o->w.dict;
  if (!o->w.new_dict)
    return ST_OK;
  o->w.new_dict = false;
  if (d->n > o->ncode) {
    mem_free(o->code);
    mem_free(o->text);
    o->ncode = 0;
    o->code = mem_alloc64(d->n * sizeof *o->code);
    o->text = mem_alloc64(d->n * sizeof *o->text);
    if (!o->code || !o->text)
      return err_memory(e);
    o->ncode = d->n;
  }
  const uint8_t *p = d->value;
  for (uint32_t i = 0; i < d->n; i++) {
    uint32_t len = 0;
    bool ok = d->end - p >= 4;
    if (ok)
      memcpy(&len, p, 4);
    if (!ok || len > (size_t)(d->end - p) - 4) {
      err_set(e, ST_DATA, "CML0403", "Make it again.", "the file is damaged: a dictionary");
      return err_at(e, "%s", o->w.f->path);
    }
    o->text[i] = p;
    o->code[i] = UINT32_MAX;
    p += 4 + (size_t)len;
  }
  return ST_OK;
}

static Status put_texts(Own *o, uint32_t k, const PqSlice *s, uint32_t at, Err *e) {
  uint32_t *out = o->b->build[k].col.code + at, len;
  const uint8_t *p = s->value;
  if (s->coded && open_dict(o, e) != ST_OK)
    return e->code;
  for (uint32_t i = 0, v = 0; i < s->n; i++) {
    if (s->there && !s->there[i]) {
      out[i] = 0;
      continue;
    }
    if (s->coded) {
      uint32_t x = s->code[v++];
      if (o->code[x] == UINT32_MAX && put_text(o, k, o->text[x], &o->code[x], e) != ST_OK)
        return e->code;
      out[i] = o->code[x];
      continue;
    }
    if (put_text(o, k, p, &out[i], e) != ST_OK)
      return e->code;
    memcpy(&len, p, 4);
    p += 4 + (size_t)len;
  }
  return put_nulls(o->b, k, s, at) ? ST_OK : err_memory(e);
}

/* ---- Blocks ---- */

/* Values that can be taken from the file into the column: *m of them. */
static Status put_plain(Own *o, uint32_t k, uint64_t row, uint32_t n, uint32_t at, uint32_t *m, Err *e) {
  Draft *b = o->b;
  duckdb_type type = b->type[k].type;
  Kind kind = b->col[k].kind;
  bool number = kind == KIND_FLOAT && type == DUCKDB_TYPE_DOUBLE;
  *m = 0;
  if (!number && !((kind == KIND_INT || kind == KIND_DURATION) && type == DUCKDB_TYPE_BIGINT))
    return ST_OK;
  if (pq_walk_plain(&o->w, row, n, b->build[k].col.i + at, m, e) != ST_OK)
    return e->code;
  bool nan = number && k_any_nan(b->build[k].col.f + at, *m);
  return nan && !typed_check_nan(b, k, NULL, 0, *m, at) ? err_memory(e) : ST_OK;
}

static Status own_column(Own *o, uint32_t k, Err *e) {
  Draft *b = o->b;
  const PqFile *f = b->pq;
  uint32_t g = 0, at = 0;
  while (at < b->n) {
    while (f->first[g + 1] <= b->pos + at)
      g++;
    if (pq_walk_begin(&o->w, f, g, k, e) != ST_OK)
      return e->code;
    while (at < b->n && b->pos + at < f->first[g + 1]) {
      PqSlice s;
      uint64_t left = f->first[g + 1] - (b->pos + at);
      uint32_t n = left < b->n - at ? (uint32_t)left : b->n - at;
      uint64_t row = b->pos + at - f->first[g];
      uint32_t m;
      if (put_plain(o, k, row, n, at, &m, e) != ST_OK)
        return e->code;
      at += m;
      if (m)
        continue;
      if (pq_walk(&o->w, row, n, &s, e) != ST_OK)
        return e->code;
      if (o->w.type == PQ_BYTES)
        put_texts(o, k, &s, at, e);
      else if (!put_numbers(o, k, &s, at))
        err_memory(e);
      if (e->code)
        return e->code;
      at += s.n;
    }
  }
  return ST_OK;
}

Status parquet_own_values(Draft *b, Err *e) {
  Own o = {.b = b};
  if (e->code == ST_OK && b->n) {
    o.data = mem_alloc64(BLOCK * sizeof(int64_t));
    o.validity = mem_alloc64(BLOCK / 8);
    if (!o.data || !o.validity)
      err_memory(e);
  }
  for (uint32_t k = 0; e->code == ST_OK && b->n && k < b->ncol; k++)
    own_column(&o, k, e);
  pq_walk_free(&o.w);
  mem_free(o.data);
  mem_free(o.validity);
  mem_free(o.code);
  mem_free(o.text);
  pq_drop(b->pq);
  b->pq = NULL;
  return e->code;
}
