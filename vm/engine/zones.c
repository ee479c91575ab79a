/* SPDX-License-Identifier: Apache-2.0 */
/* Row groups of a Parquet file that need not be read: the footer's statistics of each column -> Zone, the
 * question to whoever knows the filter, blocks. Read zones_open.
 *
 * A block is left out where every row group that has a row in it is. It is given all the same, without rows,
 * so that positions stay what they are; the query asks for the positions of the others, which DuckDB turns
 * into row groups to read. Statistics that are missing, or of a type of which they do not say enough, are
 * "not known". */
#include <string.h>

#include "base/num.h"
#include "vm/engine/parquet.h"
#include "vm/engine/parts.h"

typedef struct Group { /* a row group */
  uint64_t from, n;
  Zone *zone;          /* of each column */
} Group;

typedef struct Footer {
  Arena *mem;
  const Reader *r;
  Group *v;
  uint32_t n, cap;
  uint64_t rows;
  bool strange;  /* there cannot be as many, or fewer than none */
} Footer;

/* ---- One value of the footer ---- */

static bool number(duckdb_type type, const char *s, uint32_t n, int64_t *out) {
  switch (type) {
  case DUCKDB_TYPE_BOOLEAN: *out = n == 4 && memcmp(s, "true", 4) == 0; return n == 4 || n == 5;
  case DUCKDB_TYPE_DATE: return num_parse_date(s, n, out);
  case DUCKDB_TYPE_TIMESTAMP: return num_parse_timestamp(s, n, out);
  default: return num_parse_i64(s, n, out);
  }
}

static bool has_bounds(duckdb_type type, int kind) {
  switch (typed_kind(type)) {
  case KIND_BOOL: return kind == KIND_BOOL;
  case KIND_INT: return kind == KIND_INT || kind == KIND_DURATION;
  case KIND_DATE: return kind == KIND_DATE;
  case KIND_TIMESTAMP: return kind == KIND_TIMESTAMP && type == DUCKDB_TYPE_TIMESTAMP;
  case KIND_STRING: return kind == KIND_STRING || kind == KIND_CATEGORY;
  default: return false;
  }
}

/* Can reading a value of the column be an error, other than that it is missing? */
static bool may_fail(duckdb_type type, const IrColumn *c) {
  return type == DUCKDB_TYPE_TIMESTAMP_NS || (c->kind == KIND_FLOAT && !c->nullable) ||
         (type != DUCKDB_TYPE_VARCHAR && kind_ir((Kind)c->kind) == IR_STR);
}

static void bounds(const Footer *f, uint32_t k, const char *lo, uint32_t nlo, const char *hi, uint32_t nhi,
                   Zone *z) {
  duckdb_type type = f->r->type[k].type;
  if (!lo || !hi || !has_bounds(type, f->r->col[k].kind))
    return;
  if (type != DUCKDB_TYPE_VARCHAR) {
    z->known = number(type, lo, nlo, &z->lo) && number(type, hi, nhi, &z->hi) && z->lo <= z->hi;
    return;
  }
  z->first = arena_strndup(f->mem, lo, nlo);
  z->last = arena_strndup(f->mem, hi, nhi);
  z->nfirst = nlo;
  z->nlast = nhi;
  z->known = z->first && z->last;
}

/* ---- The footer ---- */

static Status add_group(Footer *f, uint64_t rows, Err *e) {
  const uint64_t most = UINT64_C(1) << 40;
  if (rows > most - f->rows) {
    f->strange = true;
    rows = 0;
  }
  if (f->n == f->cap) {
    uint32_t cap = f->cap ? 2 * f->cap : 64;
    Group *v = NEWN(f->mem, Group, cap);
    if (!v)
      return err_memory(e);
    if (f->n)
      memcpy(v, f->v, f->n * sizeof *v);
    f->v = v;
    f->cap = cap;
  }
  Group *g = &f->v[f->n];
  *g = (Group){f->rows, rows, NEWN(f->mem, Zone, f->r->ncol + 1)};
  for (uint32_t k = 0; g->zone && k < f->r->ncol; k++)
    g->zone[k] = (Zone){.nulls = true};
  f->rows += rows;
  f->n++;
  return g->zone ? ST_OK : err_memory(e);
}

/* The columns of the query: row group, its rows, column, least, greatest, nulls. */
static Status add_statistics(Footer *f, Duck *d, duckdb_data_chunk chunk, Err *e) {
  const void *data[6];
  uint64_t *valid[6];
  for (idx_t c = 0; c < 6; c++) {
    duckdb_vector v = d->data_chunk_get_vector(chunk, c);
    data[c] = d->vector_get_data(v);
    valid[c] = d->vector_get_validity(v);
  }
  const duckdb_string_t *name = data[2], *lo = data[3], *hi = data[4];
  for (uint64_t i = 0; i < d->data_chunk_get_size(chunk); i++) {
    uint32_t n, nlo = 0, nhi = 0;
    while (f->n <= (uint64_t)((const int64_t *)data[0])[i])
      if (add_group(f, (uint64_t)((const int64_t *)data[1])[i], e) != ST_OK)
        return e->code;
    const char *s = duck_text(&name[i], &n),
               *least = duck_valid(valid[3], i) ? duck_text(&lo[i], &nlo) : NULL,
               *most = duck_valid(valid[4], i) ? duck_text(&hi[i], &nhi) : NULL;
    for (uint32_t k = 0; k < f->r->ncol; k++) {
      Zone *z = &f->v[f->n - 1].zone[k];
      if (strlen(f->r->col[k].name) != n || memcmp(f->r->col[k].name, s, n) != 0)
        continue;
      z->nulls = !duck_valid(valid[5], i) || ((const int64_t *)data[5])[i] != 0;
      bounds(f, k, least, nlo, most, nhi, z);
    }
  }
  return e->code;
}

/* ---- The same, as it is in the file ---- */

static bool stored_number(duckdb_type type, const PqColumn *c, Bytes v, int64_t *out) {
  uint32_t word = 0;
  size_t n = c->type == PQ_BOOL ? 1 : c->type == PQ_I32 ? 4 : 8;
  if (!v.p || v.n != n || (type == DUCKDB_TYPE_TIMESTAMP && !c->micros))
    return false;
  if (n == 8) {
    memcpy(out, v.p, 8);
    return c->type == PQ_I64;
  }
  if (n == 4)
    memcpy(&word, v.p, 4);
  *out = n == 1 ? v.p[0] != 0 : type == DUCKDB_TYPE_UINTEGER ? (int64_t)word : (int64_t)(int32_t)word;
  return n == 1 || c->type == PQ_I32;
}

static void stored_bounds(const Footer *f, uint32_t k, const PqColumn *c, const PqStat *s, Zone *z) {
  duckdb_type type = f->r->type[k].type;
  if (!s->lo.p || !s->hi.p || !has_bounds(type, f->r->col[k].kind))
    return;
  if (type != DUCKDB_TYPE_VARCHAR) {
    z->known = stored_number(type, c, s->lo, &z->lo) && stored_number(type, c, s->hi, &z->hi) &&
               z->lo <= z->hi;
    return;
  }
  z->first = (const char *)s->lo.p;
  z->last = (const char *)s->hi.p;
  z->nfirst = (uint32_t)s->lo.n;
  z->nlast = (uint32_t)s->hi.n;
  z->known = true;
}

static Status take_footer(Footer *f, const PqFile *from, Err *e) {
  for (uint32_t g = 0; g < from->ngroup; g++) {
    if (add_group(f, from->first[g + 1] - from->first[g], e) != ST_OK)
      return e->code;
    for (uint32_t k = 0; k < f->r->ncol; k++) {
      const PqStat *s = &from->stat[(size_t)g * from->ncol + k];
      Zone *z = &f->v[g].zone[k];
      z->nulls = s->nulls != 0;
      stored_bounds(f, k, &from->col[k], s, z);
    }
  }
  return ST_OK;
}

/* ---- The footer, by DuckDB ---- */

static Status read_footer(Reader *r, Footer *f, Err *e) {
  Buf sql = {0};
  DuckQuery q;
  duckdb_data_chunk chunk;
  buf_text(&sql, "SELECT row_group_id::BIGINT, row_group_num_rows::BIGINT, path_in_schema, stats_min_value, "
                 "stats_max_value, stats_null_count::BIGINT FROM parquet_metadata(");
  sql_path(&sql, r->file[r->at_file]);
  buf_text(&sql, ") ORDER BY 1");
  Status st = sql.bad ? err_memory(e) : duck_query(&r->duck, &q, buf_str(&sql), e);
  buf_free(&sql);
  if (st != ST_OK)
    return st;
  while (duck_chunk(&r->duck, &q, &chunk, e) == ST_OK && chunk) {
    add_statistics(f, &r->duck, chunk, e);
    r->duck.destroy_data_chunk(&chunk);
  }
  duck_end(&r->duck, &q);
  return e->code;
}

/* ---- Blocks ---- */

/* Rows that are missing where none may be would be errors. */
static bool leave_out(const Reader *r, const Group *g) {
  for (uint32_t k = 0; k < r->ncol; k++)
    if (may_fail(r->type[k].type, &r->col[k]) || (!r->col[k].nullable && g->zone[k].nulls))
      return false;
  return r->none(r->none_ctx, r->col, g->zone, r->ncol);
}

/* Marks the blocks that are to be read. */
static void mark(const Footer *f, uint8_t *read) {
  for (uint32_t i = 0; i < f->n; i++) {
    const Group *g = &f->v[i];
    if (!g->n || leave_out(f->r, g))
      continue;
    for (uint64_t b = g->from / BLOCK; b <= (g->from + g->n - 1) / BLOCK; b++)
      read[b] = 1;
  }
}

/* " WHERE file_row_number >= .. AND .. OR ..": runs of blocks that are read. */
static void where(const uint8_t *read, uint64_t n, Buf *sql) {
  const char *word = " WHERE ";
  for (uint64_t b = 0; b < n; b++) {
    if (!read[b])
      continue;
    uint64_t from = b;
    while (b < n && read[b])
      b++;
    buf_printf(sql, "%s(file_row_number >= %llu AND file_row_number < %llu)", word,
               (unsigned long long)(from * BLOCK), (unsigned long long)(b * BLOCK));
    word = " OR ";
  }
  if (word[1] == 'W')
    buf_text(sql, " WHERE false");
}

void zones_close(Reader *r) {
  mem_free(r->read);
  r->read = NULL;
}

Status zones_open(Reader *r, const PqFile *own, Buf *sql, Err *e) {
  Arena a;
  zones_close(r);
  if (!r->none || !r->ncol)
    return ST_OK;
  arena_init(&a, NULL);
  Footer f = {.mem = &a, .r = r};
  Status st = own ? take_footer(&f, own, e) : read_footer(r, &f, e);
  if (st == ST_OK && !f.strange) { /* else reading tells */
    uint64_t n = (f.rows + BLOCK - 1) / BLOCK;
    r->read = mem_alloc(n ? n : 1);
    r->rows = f.rows;
    if (!r->read) {
      err_memory(e);
    } else {
      memset(r->read, 0, n ? n : 1);
      mark(&f, r->read);
      if (memchr(r->read, 0, n))
        where(r->read, n, sql);
      else
        zones_close(r);
    }
  }
  arena_free(&a);
  return e->code;
}

bool zones_skip(Reader *r, Draft *b) {
  if (!r->read || r->pos >= r->rows || r->read[r->pos / BLOCK])
    return false;
  b->n = (uint32_t)(r->rows - r->pos < BLOCK ? r->rows - r->pos : BLOCK);
  b->done = b->n;
  b->skipped = true;
  b->own = false; /* there is nothing to make */
  return true;
}
