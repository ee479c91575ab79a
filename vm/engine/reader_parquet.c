/* SPDX-License-Identifier: Apache-2.0 */
/* Parquet: opening a file, and DuckDB's typed vectors -> columns. Read parquet_open and typed_values.
 *
 * A column is read as its own kind, or as one that has a place for every value of it: bool as int, int as
 * float, date as timestamp, int and bool as category (the digits; "true", "false"). Types that no kind
 * holds (unsigned 64-bit, 128-bit, lists, maps, unions) are refused by name. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "vm/engine/parquet.h"
#include "vm/engine/parts.h"

/* ---- Opening ---- */

/* The query failed to bind: perhaps a column is not there. */
static Status explain_open(Reader *r, const char *file, Err *e) {
  Err why = *e, look = {0};
  Arena a;
  EngineColumn *c;
  uint32_t n;
  if (e->code != ST_DATA)
    return e->code;
  arena_init(&a, NULL);
  if (parquet_file_columns(&r->duck, &a, file, &c, &n, &look) != ST_OK) {
    *e = look;
  } else {
    for (uint32_t k = 0; k < r->ncol; k++) {
      uint32_t i = 0;
      while (i < n && strcasecmp(c[i].name, r->col[k].name) != 0)
        i++;
      if (i < n)
        continue;
      err_clear(e);
      err_set(e, ST_DATA, "CML0405", "Correct the name in the program, or leave the file out.",
              "the file has no column `%s`", r->col[k].name);
      err_at(e, "%s", file);
      break;
    }
    if (e->code == ST_DATA && strcmp(e->cause, why.cause) == 0)
      reader_file_error(file, "Parquet", e);
  }
  arena_free(&a);
  return e->code;
}

Status typed_check(Reader *r, const char *file, Err *e) {
  Duck *d = &r->duck;
  for (uint32_t k = 0; k < r->ncol; k++) {
    SourceType *t = &r->type[k];
    t->type = d->column_type(&r->query.result, k);
    if (typed_fits(&r->col[k], t->type, file, e) != ST_OK)
      return e->code;
    if (t->type == DUCKDB_TYPE_DECIMAL) {
      duckdb_logical_type l = d->column_logical_type(&r->query.result, k);
      t->scale = d->decimal_scale(l);
      t->stored = d->decimal_internal_type(l);
      d->destroy_logical_type(&l);
    }
  }
  return ST_OK;
}

/* The query for the wanted columns; `behind` is what follows FROM: a condition on file_row_number, or a
 * limit. */
static Status parquet_query(Reader *r, const char *file, const char *behind, Err *e) {
  Buf sql = {0};
  if (reader_duck(r, e) != ST_OK)
    return e->code;
  buf_text(&sql, "SELECT ");
  for (uint32_t k = 0; k < r->ncol; k++) {
    if (k)
      buf_u8(&sql, ',');
    sql_name(&sql, r->col[k].name);
  }
  if (r->ncol == 0)
    buf_text(&sql, "true"); /* only the number of rows is wanted */
  buf_text(&sql, " FROM read_parquet(");
  sql_path(&sql, file);
  buf_text(&sql, strstr(behind, "WHERE") ? ", hive_partitioning=false, file_row_number=true)"
                                         : ", hive_partitioning=false)");
  buf_text(&sql, behind);
  Status st = sql.bad ? err_memory(e) : duck_query(&r->duck, &r->query, buf_str(&sql), e);
  buf_free(&sql);
  if (st != ST_OK)
    return explain_open(r, file, e);
  return typed_check(r, file, e);
}

/* The rows, but for those that `where` leaves out. */
static Status parquet_rows(Reader *r, const char *file, Buf *where, Err *e) {
  if (where->n && parquet_query(r, file, buf_str(where), e) == ST_OK)
    return ST_OK;
  err_clear(e); /* it has a column named file_row_number */
  zones_close(r);
  return parquet_query(r, file, "", e);
}

/* The types of the columns: of its footer, or what DuckDB says. */
static Status own_types(Reader *r, const char *file, const PqFile *f, Err *e) {
  if (!f->typed) {
    parquet_query(r, file, " LIMIT 0", e);
    duck_end(&r->duck, &r->query);
    return e->code;
  }
  for (uint32_t k = 0; k < r->ncol; k++) {
    r->type[k] = (SourceType){.type = f->col[k].as};
    if (typed_fits(&r->col[k], r->type[k].type, file, e) != ST_OK)
      return e->code;
  }
  return ST_OK;
}

/* A plain file is read without DuckDB. */
static Status parquet_open(Reader *r, Err *e) {
  const char *file = r->file[r->at_file];
  PqFile *f;
  Buf where = {0};
  if (parquet_own_open(r, file, NULL, 0, &f, e) != ST_OK)
    return e->code;
  if (!f && r->look)
    return ST_OK;
  if (!f && r->none && parquet_query(r, file, " LIMIT 0", e) == ST_OK)
    duck_end(&r->duck, &r->query);
  if (e->code == ST_OK && f)
    own_types(r, file, f, e);
  if (e->code == ST_OK)
    zones_open(r, f, &where, e);
  if (e->code == ST_OK && f && parquet_own_fits(r, f, r->type)) {
    pq_forget(f);
    r->pq = f;
    r->own = true;
    f = NULL;
  } else if (e->code == ST_OK && !r->look) {
    parquet_rows(r, file, &where, e);
  }
  pq_drop(f);
  buf_free(&where);
  return e->code;
}

/* ---- Values ---- */

/* out[i] = EXPR of the i-th value x, whose type is T. What stands under a null is not looked at:
 * reader_nulls makes it 0. */
#define COPY(T, out, EXPR)                   \
  do {                                       \
    const T *in = (const T *)data + from;    \
    for (uint32_t i = 0; i < m; i++) {       \
      T x = in[i];                           \
      (out)[i] = (EXPR);                     \
    }                                        \
  } while (0)

static void copy_ints(duckdb_type type, const void *data, uint64_t from, uint32_t m, int64_t *out) {
  switch (type) {
  case DUCKDB_TYPE_BOOLEAN: COPY(uint8_t, out, x != 0); break;
  case DUCKDB_TYPE_TINYINT: COPY(int8_t, out, x); break;
  case DUCKDB_TYPE_SMALLINT: COPY(int16_t, out, x); break;
  case DUCKDB_TYPE_INTEGER:
  case DUCKDB_TYPE_DATE: COPY(int32_t, out, x); break;
  case DUCKDB_TYPE_UTINYINT: COPY(uint8_t, out, x); break;
  case DUCKDB_TYPE_USMALLINT: COPY(uint16_t, out, x); break;
  case DUCKDB_TYPE_UINTEGER: COPY(uint32_t, out, x); break;
  default: memcpy(out, (const int64_t *)data + from, m * sizeof *out); break;
  }
}

/* A decimal of 10^-scale units, rounded once: by one exact division where both sides are exact, else
 * through its digits. */
static double decimal_value(__int128 v, uint8_t scale) {
  static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  const __int128 exact = (__int128)1 << 53;
  if (v <= exact && v >= -exact && scale <= 22)
    return (double)(int64_t)v / power[scale];
  char text[64];
  int at = sizeof text - 8;
  snprintf(text + at, 8, "e-%u", scale);
  bool minus = v < 0;
  unsigned __int128 u = minus ? -(unsigned __int128)v : (unsigned __int128)v;
  do {
    text[--at] = (char)('0' + (int)(u % 10));
    u /= 10;
  } while (u);
  if (minus)
    text[--at] = '-';
  double out = 0;
  num_parse_f64(text + at, strlen(text + at), &out);
  return out;
}

static void copy_decimals(const SourceType *t, const void *data, uint64_t from, uint32_t m, double *out) {
  switch (t->stored) {
  case DUCKDB_TYPE_SMALLINT: COPY(int16_t, out, decimal_value(x, t->scale)); break;
  case DUCKDB_TYPE_INTEGER: COPY(int32_t, out, decimal_value(x, t->scale)); break;
  case DUCKDB_TYPE_BIGINT: COPY(int64_t, out, decimal_value(x, t->scale)); break;
  default:
    COPY(duckdb_hugeint, out,
         decimal_value((__int128)((unsigned __int128)x.upper << 64 | x.lower), t->scale));
    break;
  }
}

static void copy_floats(const SourceType *t, const void *data, uint64_t from, uint32_t m, double *out) {
  switch (t->type) {
  case DUCKDB_TYPE_FLOAT: COPY(float, out, (double)x); break;
  case DUCKDB_TYPE_DOUBLE: memcpy(out, (const double *)data + from, m * sizeof *out); break;
  case DUCKDB_TYPE_DECIMAL: copy_decimals(t, data, from, m, out); break;
  case DUCKDB_TYPE_TINYINT: COPY(int8_t, out, x); break;
  case DUCKDB_TYPE_SMALLINT: COPY(int16_t, out, x); break;
  case DUCKDB_TYPE_INTEGER: COPY(int32_t, out, x); break;
  case DUCKDB_TYPE_UTINYINT: COPY(uint8_t, out, x); break;
  case DUCKDB_TYPE_USMALLINT: COPY(uint16_t, out, x); break;
  case DUCKDB_TYPE_UINTEGER: COPY(uint32_t, out, x); break;
  default: COPY(int64_t, out, (double)x); break;
  }
}

bool typed_check_nan(Draft *b, uint32_t k, const uint64_t *validity, uint64_t from, uint32_t m, uint32_t at) {
  const double *v = b->build[k].col.f + at;
  for (uint32_t i = 0; i < m; i++) {
    if (!isnan(v[i]) || !duck_valid(validity, from + i))
      continue;
    if (!build_null(&b->build[k], at + i))
      return false;
    char allow[96];
    if (!b->col[k].nullable)
      reader_bad(b, k, at + i, reader_as(b, k, "float?", allow), "the value is NaN");
  }
  return true;
}

/* Dates and timestamps: to days or microseconds, within the years 0001 to 9999 that cml knows. */
static bool convert_times(Draft *b, uint32_t k, const uint64_t *validity, uint64_t from, uint32_t m,
                          uint32_t at) {
  const int64_t day = INT64_C(86400000000);
  const int64_t first = num_days_from_civil(1, 1, 1), last = num_days_from_civil(10000, 1, 1);
  duckdb_type type = b->type[k].type;
  bool date = b->col[k].kind == KIND_DATE;
  int64_t unit = date ? 1 : type == DUCKDB_TYPE_DATE ? day : type == DUCKDB_TYPE_TIMESTAMP_S ? 1000000 : 1000;
  bool same = !date && (type == DUCKDB_TYPE_TIMESTAMP || type == DUCKDB_TYPE_TIMESTAMP_TZ);
  int64_t low = date ? first : first * day, high = date ? last : last * day;
  int64_t *v = b->build[k].col.i + at;
  for (uint32_t i = 0; i < m; i++) {
    bool split = false;
    int64_t x = v[i];
    if (type == DUCKDB_TYPE_TIMESTAMP_NS) {
      split = x % 1000 != 0;
      x /= 1000;
    } else if (!same && __builtin_mul_overflow(x, unit, &x)) {
      x = INT64_MAX;
    }
    v[i] = x;
    if ((!split && x >= low && x < high) || !duck_valid(validity, from + i))
      continue;
    const char *what = split ? "the timestamp is finer than a microsecond"
                             : "the time is outside the years 0001 to 9999";
    if (!build_null(&b->build[k], at + i))
      return false;
    reader_bad(b, k, at + i, "", "%s", what);
  }
  return true;
}

/* Whole numbers as the names of levels. Those seen last are remembered with their codes. */
static bool convert_levels(Draft *b, uint32_t k, const void *data, const uint64_t *validity, uint64_t from,
                           uint32_t m, uint32_t at) {
  enum { SEEN = 64 };
  struct {
    int64_t v;
    int64_t code; /* + 1 */
  } seen[SEEN] = {{0, 0}};
  duckdb_type type = b->type[k].type;
  ColBuild *c = &b->build[k];
  for (uint32_t i = 0; i < m; i++) {
    int64_t v;
    if (!duck_valid(validity, from + i)) {
      c->col.code[at + i] = 0;
      continue;
    }
    copy_ints(type, data, from + i, 1, &v);
    uint32_t slot = (uint32_t)((uint64_t)v % SEEN);
    if (seen[slot].code == 0 || seen[slot].v != v) {
      char text[NUM_MAX];
      int n = num_print_i64(text, v);
      const char *s = type != DUCKDB_TYPE_BOOLEAN ? text : v ? "true" : "false";
      int64_t code = build_string(&c->str, s, type == DUCKDB_TYPE_BOOLEAN ? 5 - (v != 0) : (uint32_t)n);
      if (code < 0)
        return false;
      seen[slot].v = v;
      seen[slot].code = code + 1;
    }
    c->col.code[at + i] = (uint32_t)(seen[slot].code - 1);
  }
  return true;
}

bool typed_values(Draft *b, uint32_t k, const void *data, const uint64_t *validity, uint64_t from, uint32_t m,
                  uint32_t at) {
  const SourceType *t = &b->type[k];
  ColBuild *c = &b->build[k];
  bool ok = true;
  switch (b->col[k].kind) {
  case KIND_BOOL: COPY(uint8_t, c->col.b + at, x != 0); break;
  case KIND_FLOAT:
    copy_floats(t, data, from, m, c->col.f + at);
    if (t->type == DUCKDB_TYPE_FLOAT || t->type == DUCKDB_TYPE_DOUBLE)
      ok = typed_check_nan(b, k, validity, from, m, at);
    break;
  case KIND_STRING:
  case KIND_CATEGORY:
    if (t->type == DUCKDB_TYPE_VARCHAR)
      ok = build_strings(c, data, validity, from, m, at);
    else
      ok = convert_levels(b, k, data, validity, from, m, at);
    break;
  default:
    copy_ints(t->type, data, from, m, c->col.i + at);
    if (b->col[k].kind == KIND_DATE || b->col[k].kind == KIND_TIMESTAMP)
      ok = convert_times(b, k, validity, from, m, at);
    break;
  }
  return ok && reader_nulls(b, k, validity, from, m, at);
}

Status typed_convert(Draft *b, const Piece *p, uint32_t at, Err *e) {
  const Duck *d = &b->r->duck;
  for (uint32_t k = 0; k < b->ncol; k++) {
    duckdb_vector v = d->data_chunk_get_vector(p->held->chunk, k);
    if (!typed_values(b, k, d->vector_get_data(v), d->vector_get_validity(v), p->from, p->n, at))
      return err_memory(e);
  }
  return ST_OK;
}

static Status parquet_error(Reader *r, Err *e) {
  return reader_file_error(r->file[r->at_file], "Parquet", e);
}

const FormatOps parquet_ops = {.what = "Parquet",
                               .lazy = true,
                               .columns = parquet_columns,
                               .total = parquet_total,
                               .open = parquet_open,
                               .convert = typed_convert,
                               .error = parquet_error,
                               .collect = parquet_own_collect,
                               .values = parquet_own_values,
                               .close = parquet_own_close};
