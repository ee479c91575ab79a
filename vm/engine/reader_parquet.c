/* SPDX-License-Identifier: Apache-2.0 */
/* Parquet: what columns the files have, and DuckDB's typed vectors -> columns. Read kind_of_type and
 * convert.
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

/* ---- Types ---- */

static const char *type_name(duckdb_type t) {
  switch (t) {
  case DUCKDB_TYPE_BOOLEAN: return "bool";
  case DUCKDB_TYPE_TINYINT: return "int8";
  case DUCKDB_TYPE_SMALLINT: return "int16";
  case DUCKDB_TYPE_INTEGER: return "int32";
  case DUCKDB_TYPE_BIGINT: return "int64";
  case DUCKDB_TYPE_UTINYINT: return "uint8";
  case DUCKDB_TYPE_USMALLINT: return "uint16";
  case DUCKDB_TYPE_UINTEGER: return "uint32";
  case DUCKDB_TYPE_UBIGINT: return "uint64 (unsigned 64-bit integers)";
  case DUCKDB_TYPE_HUGEINT: return "int128";
  case DUCKDB_TYPE_UHUGEINT: return "uint128";
  case DUCKDB_TYPE_FLOAT: return "float32";
  case DUCKDB_TYPE_DOUBLE: return "float64";
  case DUCKDB_TYPE_DECIMAL: return "decimal";
  case DUCKDB_TYPE_VARCHAR: return "string";
  case DUCKDB_TYPE_BLOB: return "binary (bytes that are not declared to be text)";
  case DUCKDB_TYPE_DATE: return "date";
  case DUCKDB_TYPE_TIMESTAMP: return "timestamp";
  case DUCKDB_TYPE_TIMESTAMP_S: return "timestamp in seconds";
  case DUCKDB_TYPE_TIMESTAMP_MS: return "timestamp in milliseconds";
  case DUCKDB_TYPE_TIMESTAMP_NS: return "timestamp in nanoseconds";
  case DUCKDB_TYPE_TIMESTAMP_TZ: return "timestamp with time zone";
  case DUCKDB_TYPE_TIME:
  case DUCKDB_TYPE_TIME_TZ:
  case DUCKDB_TYPE_TIME_NS: return "time of day";
  case DUCKDB_TYPE_INTERVAL: return "interval";
  case DUCKDB_TYPE_LIST: return "list";
  case DUCKDB_TYPE_ARRAY: return "array";
  case DUCKDB_TYPE_STRUCT: return "struct";
  case DUCKDB_TYPE_MAP: return "map";
  case DUCKDB_TYPE_UNION: return "union";
  case DUCKDB_TYPE_UUID: return "uuid";
  case DUCKDB_TYPE_ENUM: return "enum";
  case DUCKDB_TYPE_BIT: return "bit string";
  default: return "a type that is not known here";
  }
}

/* The kind a column of this type has by itself, or -1. */
static int kind_of_type(duckdb_type t) {
  switch (t) {
  case DUCKDB_TYPE_BOOLEAN: return KIND_BOOL;
  case DUCKDB_TYPE_TINYINT:
  case DUCKDB_TYPE_SMALLINT:
  case DUCKDB_TYPE_INTEGER:
  case DUCKDB_TYPE_BIGINT:
  case DUCKDB_TYPE_UTINYINT:
  case DUCKDB_TYPE_USMALLINT:
  case DUCKDB_TYPE_UINTEGER: return KIND_INT;
  case DUCKDB_TYPE_FLOAT:
  case DUCKDB_TYPE_DOUBLE:
  case DUCKDB_TYPE_DECIMAL: return KIND_FLOAT;
  case DUCKDB_TYPE_VARCHAR: return KIND_STRING;
  case DUCKDB_TYPE_DATE: return KIND_DATE;
  case DUCKDB_TYPE_TIMESTAMP:
  case DUCKDB_TYPE_TIMESTAMP_S:
  case DUCKDB_TYPE_TIMESTAMP_MS:
  case DUCKDB_TYPE_TIMESTAMP_NS:
  case DUCKDB_TYPE_TIMESTAMP_TZ: return KIND_TIMESTAMP;
  default: return -1;
  }
}

static bool readable_as(int own, int kind) {
  switch (kind) {
  case KIND_INT: return own == KIND_INT || own == KIND_BOOL;
  case KIND_FLOAT: return own == KIND_FLOAT || own == KIND_INT;
  case KIND_STRING: return own == KIND_STRING;
  case KIND_CATEGORY: return own == KIND_STRING || own == KIND_INT || own == KIND_BOOL;
  case KIND_TIMESTAMP: return own == KIND_TIMESTAMP || own == KIND_DATE;
  case KIND_DURATION: return own == KIND_INT;
  default: return own == kind;
  }
}

/* ---- Metadata ---- */

static void file_list(Buf *b, const char *const *file, uint32_t n) {
  buf_u8(b, '[');
  for (uint32_t i = 0; i < n; i++) {
    if (i)
      buf_u8(b, ',');
    sql_path(b, file[i]);
  }
  buf_u8(b, ']');
}

/* Marks the columns that the footers of all files prove to have no null: named by the first column of the
 * query's rows. */
static Status mark_full(Duck *d, const char *sql, EngineColumn *c, uint32_t n, Err *e) {
  DuckQuery q;
  duckdb_data_chunk chunk;
  if (duck_query(d, &q, sql, e) != ST_OK)
    return e->code;
  while (duck_chunk(d, &q, &chunk, e) == ST_OK && chunk) {
    const duckdb_string_t *v = d->vector_get_data(d->data_chunk_get_vector(chunk, 0));
    uint64_t *validity = d->vector_get_validity(d->data_chunk_get_vector(chunk, 0));
    for (uint64_t i = 0; i < d->data_chunk_get_size(chunk); i++) {
      uint32_t len;
      const char *s = duck_valid(validity, i) ? duck_text(&v[i], &len) : NULL;
      for (uint32_t k = 0; s && k < n; k++) {
        if (strlen(c[k].name) == len && memcmp(c[k].name, s, len) == 0)
          c[k].nullable = false;
      }
    }
    d->destroy_data_chunk(&chunk);
  }
  duck_end(d, &q);
  return e->code;
}

Status typed_columns(Duck *d, DuckQuery *q, Arena *a, EngineColumn **out, uint32_t *n, Err *e) {
  uint32_t count = (uint32_t)d->column_count(&q->result);
  EngineColumn *c = NEWN(a, EngineColumn, count ? count : 1);
  if (!c)
    return err_memory(e);
  for (uint32_t k = 0; k < count; k++) {
    duckdb_type type = d->column_type(&q->result, k);
    c[k].name = arena_strdup(a, d->column_name(&q->result, k));
    c[k].kind = kind_of_type(type);
    c[k].why = c[k].kind < 0 ? type_name(type) : NULL;
    c[k].nullable = true;
    if (!c[k].name)
      return err_memory(e);
  }
  *out = c;
  *n = count;
  return ST_OK;
}

/* Names and types of one file. */
static Status file_columns(Duck *d, Arena *a, const char *file, EngineColumn **out, uint32_t *n, Err *e) {
  Buf sql = {0};
  DuckQuery q;
  buf_text(&sql, "SELECT * FROM read_parquet(");
  sql_path(&sql, file);
  buf_text(&sql, ", hive_partitioning=false) LIMIT 0");
  Status st = sql.bad ? err_memory(e) : duck_query(d, &q, buf_str(&sql), e);
  buf_free(&sql);
  if (st != ST_OK)
    return reader_file_error(file, "Parquet", e);
  typed_columns(d, &q, a, out, n, e);
  duck_end(d, &q);
  return e->code;
}

static Status parquet_columns(Arena *a, const EngineSource *s, const Options *o, const char *const *file,
                              uint32_t nfile, EngineColumn **out, uint32_t *n, Err *e) {
  (void)s;
  (void)o;
  Duck d;
  Buf sql = {0};
  if (duck_open(&d, DUCK_MEMORY_MIN * 4, 1, e) != ST_OK)
    return e->code;
  Status st = file_columns(&d, a, file[0], out, n, e);
  if (st == ST_OK) { /* a nested column has a longer path, so that it is never marked */
    buf_text(&sql, "SELECT path_in_schema FROM parquet_metadata(");
    file_list(&sql, file, nfile);
    buf_text(&sql,
             ") GROUP BY 1 HAVING count(*) = count(stats_null_count) AND sum(stats_null_count) = 0 UNION ALL "
             "SELECT name FROM parquet_schema(");
    file_list(&sql, file, nfile);
    buf_text(&sql, ") GROUP BY 1 HAVING bool_and(coalesce(repetition_type = 'REQUIRED', false))");
    st = sql.bad ? err_memory(e) : mark_full(&d, buf_str(&sql), *out, *n, e);
    for (uint32_t i = 0; st == ST_DATA && i < nfile; i++) { /* which one it was */
      Err look = {0};
      EngineColumn *c;
      uint32_t k;
      if (file_columns(&d, a, file[i], &c, &k, &look) != ST_OK) {
        *e = look;
        st = look.code;
        break;
      }
    }
  }
  buf_free(&sql);
  duck_close(&d);
  return st;
}

static Status parquet_total(Reader *r, const char *file, Err *e) {
  Buf sql = {0};
  DuckQuery q;
  duckdb_data_chunk chunk = NULL;
  buf_text(&sql, "SELECT num_rows::BIGINT FROM parquet_file_metadata(");
  sql_path(&sql, file);
  buf_u8(&sql, ')');
  Status st = sql.bad ? err_memory(e) : duck_query(&r->duck, &q, buf_str(&sql), e);
  buf_free(&sql);
  if (st == ST_OK) {
    st = duck_chunk(&r->duck, &q, &chunk, e);
    if (chunk) {
      r->total += *(uint64_t *)r->duck.vector_get_data(r->duck.data_chunk_get_vector(chunk, 0));
      r->duck.destroy_data_chunk(&chunk);
    }
    duck_end(&r->duck, &q);
  }
  return st == ST_OK ? ST_OK : reader_file_error(file, "Parquet", e);
}

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
  if (file_columns(&r->duck, &a, file, &c, &n, &look) != ST_OK) {
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

Status typed_fits(const IrColumn *col, duckdb_type stored, const char *file, Err *e) {
  int own = kind_of_type(stored);
  if (own >= 0 && readable_as(own, col->kind))
    return ST_OK;
  if (own < 0)
    err_set(e, ST_DATA, "CML0406", "Leave the column out, or store it as another type.",
            "the column `%s` is stored as %s, which cml does not read", col->name, type_name(stored));
  else
    err_set(e, ST_DATA, "CML0406", "Declare it with the type it has.",
            "the column `%s` is stored as %s and cannot be read as %s", col->name, type_name(stored),
            kind_name(col->kind));
  return err_at(e, "%s", file);
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

/* A plain file is read without DuckDB, which only says what types its columns have and what its footer tells
 * of their values. A connection has one query at a time. */
static Status parquet_open(Reader *r, Err *e) {
  const char *file = r->file[r->at_file];
  PqFile *f;
  Buf where = {0};
  if (parquet_own_open(r, file, &f, e) != ST_OK)
    return e->code;
  if (!f && !r->none)
    return parquet_query(r, file, "", e);
  if (parquet_query(r, file, " LIMIT 0", e) == ST_OK) {
    duck_end(&r->duck, &r->query);
    zones_open(r, &where, e);
    if (e->code == ST_OK && f && parquet_own_fits(r, f)) {
      r->pq = f;
      r->own = true;
      f = NULL;
    } else if (e->code == ST_OK) {
      parquet_rows(r, file, &where, e);
    }
  } else {
    duck_end(&r->duck, &r->query);
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
                               .columns = parquet_columns,
                               .total = parquet_total,
                               .open = parquet_open,
                               .convert = typed_convert,
                               .error = parquet_error,
                               .collect = parquet_own_collect,
                               .values = parquet_own_values,
                               .close = parquet_own_close};
