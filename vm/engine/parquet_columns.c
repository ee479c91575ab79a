/* SPDX-License-Identifier: Apache-2.0 */
/* Parquet: what columns the files have, of which types, with nulls or without, and how many rows. Read
 * typed_kind and parquet_columns.
 *
 * Of plain files the footers are read here (parquet.h), so that DuckDB is not opened for them; where one of
 * the files has a column of another type, or is not what it should be, DuckDB says it of all. */
#include <string.h>

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

int typed_kind(duckdb_type t) {
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

/* ---- By DuckDB ---- */

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
    c[k].kind = typed_kind(type);
    c[k].why = c[k].kind < 0 ? type_name(type) : NULL;
    c[k].nullable = true;
    if (!c[k].name)
      return err_memory(e);
  }
  *out = c;
  *n = count;
  return ST_OK;
}

Status parquet_file_columns(Duck *d, Arena *a, const char *file, EngineColumn **out, uint32_t *n, Err *e) {
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

Status parquet_columns_duck(Arena *a, const char *const *file, uint32_t nfile, EngineColumn **out,
                            uint32_t *n, Err *e) {
  Duck d;
  Buf sql = {0};
  if (duck_open(&d, DUCK_MEMORY_MIN * 4, 1, e) != ST_OK)
    return e->code;
  Status st = parquet_file_columns(&d, a, file[0], out, n, e);
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
      if (parquet_file_columns(&d, a, file[i], &c, &k, &look) != ST_OK) {
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

/* ---- By their footers ---- */

typedef struct Full { /* of a column, in all files */
  bool chunks, nulls, optional; /* there are some; some may have nulls; so says the schema of one */
} Full;

/* The columns of the first file, and their numbers by name. */
static Status own_names(const PqFile *f, Arena *a, EngineColumn **out, Map *names, Err *e) {
  EngineColumn *c = NEWN(a, EngineColumn, f->ncol);
  for (uint32_t k = 0; c && k < f->ncol; k++) {
    const PqColumn *p = &f->col[k];
    c[k].name = arena_strndup(a, (const char *)p->name.p, p->name.n);
    c[k].kind = typed_kind(p->as);
    c[k].why = c[k].kind < 0 ? type_name(p->as) : NULL;
    if (!c[k].name || map_add(names, p->name.p, p->name.n, NULL) < 0)
      return err_memory(e);
  }
  *out = c;
  return c ? ST_OK : err_memory(e);
}

static void own_nulls(const PqFile *f, const Map *names, Full *full) {
  for (uint32_t k = 0; k < f->ncol; k++) {
    int64_t at = map_find(names, f->col[k].name.p, f->col[k].name.n);
    if (at < 0)
      continue;
    full[at].optional |= f->col[k].optional;
    full[at].chunks |= f->ngroup > 0;
    for (uint32_t g = 0; g < f->ngroup; g++)
      full[at].nulls |= f->stat[(size_t)g * f->ncol + k].nulls != 0;
  }
}

/* *out is NULL where DuckDB is to say it. */
Status parquet_columns_own(Arena *a, const char *const *file, uint32_t nfile, EngineColumn **out, uint32_t *n,
                           Err *e) {
  Map names = {0};
  Full *full = NULL;
  EngineColumn *c = NULL;
  bool plain = true;
  *out = NULL;
  for (uint32_t i = 0; i < nfile && plain && e->code == ST_OK; i++) {
    PqFile *f;
    Err damaged = {0};
    plain = pq_open(file[i], NULL, 0, &f, &damaged) == ST_OK && f && f->typed;
    if (damaged.code == ST_RESOURCE)
      *e = damaged;
    if (plain && !i && own_names(f, a, &c, &names, e) == ST_OK) {
      *n = f->ncol;
      full = NEWN(a, Full, f->ncol);
      if (!full)
        err_memory(e);
    }
    if (plain && e->code == ST_OK)
      own_nulls(f, &names, full);
    pq_drop(f);
  }
  for (uint32_t k = 0; plain && e->code == ST_OK && k < *n; k++)
    c[k].nullable = full[k].optional && (full[k].nulls || !full[k].chunks);
  if (plain && e->code == ST_OK)
    *out = c;
  map_free(&names);
  return e->code;
}

Status parquet_columns(Arena *a, const EngineSource *s, const Options *o, const char *const *file,
                       uint32_t nfile, EngineColumn **out, uint32_t *n, Err *e) {
  (void)s;
  (void)o;
  if (parquet_columns_own(a, file, nfile, out, n, e) != ST_OK || *out)
    return e->code;
  return parquet_columns_duck(a, file, nfile, out, n, e);
}

Status parquet_total(Reader *r, const char *file, Err *e) {
  Buf sql = {0};
  DuckQuery q;
  PqFile *f;
  if (pq_open(file, NULL, 0, &f, e) == ST_OK && f)
    r->total += f->first[f->ngroup];
  bool known = f != NULL;
  pq_drop(f);
  if (e->code == ST_DATA) /* DuckDB says what it is */
    err_clear(e);
  if (known || e->code != ST_OK || reader_duck(r, e) != ST_OK)
    return e->code;
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

/* ---- Does a type fit? ---- */

Status typed_fits(const IrColumn *col, duckdb_type stored, const char *file, Err *e) {
  int own = typed_kind(stored);
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
