/* SPDX-License-Identifier: Apache-2.0 */
/* SQL: one SELECT over files, in DuckDB's words, as a source. Read sql_open first.
 *
 * The query runs in a database of its own: no file is written, nothing installed or fetched, no setting
 * changed, because only a single SELECT is let through and the configuration is locked. Params are bound
 * values. Rows of a query have no order of their own: without an ORDER BY at its end they are sorted by
 * all columns, so that positions depend on the rows alone. What DuckDB computes inside the query is
 * DuckDB's: `explain` says so. */
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "vm/engine/parts.h"

/* ---- What may run ---- */

/* The query without the semicolons and blanks at its end. */
static void put_query(Buf *b, const char *sql) {
  size_t n = strlen(sql);
  while (n && strchr("; \t\r\n", sql[n - 1]))
    n--;
  buf_put(b, sql, n);
  buf_u8(b, '\n'); /* it may end in a comment */
}

static Status query_error(const char *sql, Err *e) {
  if (e->code != ST_DATA)
    return e->code;
  char why[300], shown[64];
  const char *text = strncmp(e->cause, "Invalid Input Error: ", 21) == 0 ? e->cause + 21 : e->cause;
  snprintf(why, sizeof why, "%.*s", (int)strcspn(text, "\n"), text);
  text_shown(sql, strlen(sql), shown);
  err_clear(e);
  err_set(e, ST_DATA, "CML0409", "Correct the query; paths in it start from the program's own folder.",
          "the query of the source does not run: %s", why);
  return err_at(e, "%s", shown);
}

/* Is it one SELECT, and does it end in an ORDER BY? DuckDB's own parser says. */
static Status inspect(Duck *d, const char *sql, bool *ordered, Err *e) {
  Buf b = {0};
  DuckQuery q;
  duckdb_data_chunk chunk = NULL;
  char why[300] = "";
  int64_t count = 0;
  buf_text(
      &b,
      "SELECT coalesce(j->>'$.error_message', ''), coalesce(json_array_length(j, '$.statements'), 0)::BIGINT, "
      "coalesce(list_contains(j->>'$.statements[0].node.modifiers[*].type', 'ORDER_MODIFIER'), false) "
      "FROM (SELECT json_serialize_sql(");
  sql_text(&b, sql);
  buf_text(&b, ") AS j)");
  Status st = b.bad ? err_memory(e) : duck_query(d, &q, buf_str(&b), e);
  buf_free(&b);
  if (st != ST_OK)
    return query_error(sql, e);
  st = duck_chunk(d, &q, &chunk, e);
  if (chunk) {
    uint32_t n;
    const char *s = duck_text(d->vector_get_data(d->data_chunk_get_vector(chunk, 0)), &n);
    snprintf(why, sizeof why, "%.*s", (int)n, s);
    count = *(int64_t *)d->vector_get_data(d->data_chunk_get_vector(chunk, 1));
    *ordered = *(bool *)d->vector_get_data(d->data_chunk_get_vector(chunk, 2));
    d->destroy_data_chunk(&chunk);
  }
  duck_end(d, &q);
  if (st == ST_OK && !*why && count == 1)
    return ST_OK;
  if (st == ST_OK && (count > 1 || strstr(why, "Only SELECT")))
    return err_set(e, ST_PROGRAM, "CML0409", "Write one SELECT; a source only reads.",
                   count > 1 ? "the query of a source is one statement, and this is more"
                             : "the query of a source is a SELECT, and this is none");
  if (st == ST_OK)
    err_set(e, ST_DATA, "CML0403", NULL, "%s", *why ? why : "there is no statement");
  return query_error(sql, e);
}

/* ---- Params: options named "$name type" ---- */

static bool bind_one(Duck *d, duckdb_prepared_statement s, const char *name, const char *type,
                     const char *v) {
  idx_t at;
  int64_t i = 0;
  double f = 0;
  if (d->bind_parameter_index(s, &at, name) != DuckDBSuccess)
    return true; /* it stands in no place that is left */
  if (strcmp(type, "int") == 0)
    return num_parse_i64(v, strlen(v), &i) && d->bind_int64(s, at, i) == DuckDBSuccess;
  if (strcmp(type, "float") == 0)
    return num_parse_f64(v, strlen(v), &f) && d->bind_double(s, at, f) == DuckDBSuccess;
  if (strcmp(type, "bool") == 0)
    return d->bind_boolean(s, at, strcmp(v, "true") == 0) == DuckDBSuccess;
  if (strcmp(type, "date") == 0)
    return num_parse_date(v, strlen(v), &i) &&
           d->bind_date(s, at, (duckdb_date){(int32_t)i}) == DuckDBSuccess;
  if (strcmp(type, "timestamp") == 0)
    return num_parse_timestamp(v, strlen(v), &i) &&
           d->bind_timestamp(s, at, (duckdb_timestamp){i}) == DuckDBSuccess;
  return d->bind_varchar_length(s, at, v, strlen(v)) == DuckDBSuccess;
}

static bool bind_params(Duck *d, duckdb_prepared_statement s, const void *ctx) {
  const EngineSource *src = ctx;
  char name[200];
  for (uint32_t i = 0; i < src->noption; i++) {
    const char *type = strchr(src->option[2 * i], ' ');
    size_t n = type ? (size_t)(type - src->option[2 * i]) : 0;
    if (n < 2 || n >= sizeof name)
      return false;
    memcpy(name, src->option[2 * i] + 1, n - 1);
    name[n - 1] = 0;
    if (!bind_one(d, s, name, type + 1, src->option[2 * i + 1]))
      return false;
  }
  return true;
}

Status sql_option(const char *name, Err *e) {
  const char *type = strchr(name, ' ');
  if (*name == '$' && type && type > name + 1)
    return ST_OK;
  return err_set(e, ST_PROGRAM, "CML0407", "Leave it out; a param stands in the query itself: {name}.",
                 "sql has no option `%s`", name);
}

/* ---- Running ---- */

static Status prepare(Duck *d, const EngineSource *s, bool *ordered, Err *e) {
  Buf b = {0};
  buf_text(&b, "SET file_search_path=");
  sql_text(&b, s->dir && *s->dir ? s->dir : ".");
  Status st = b.bad ? err_memory(e) : duck_exec(d, buf_str(&b), e);
  buf_free(&b);
  if (st == ST_OK)
    st = duck_exec(d, "SET lock_configuration=true", e);
  return st == ST_OK ? inspect(d, s->path, ordered, e) : query_error(s->path, e);
}

/* SELECT what FROM (the query, its rows in an order); what: NULL for all columns, of the first rows. */
static Status start(Duck *d, DuckQuery *q, const EngineSource *s, bool ordered, const Buf *what, Err *e) {
  Buf b = {0};
  buf_text(&b, "SELECT ");
  if (what)
    buf_put(&b, what->p, what->n);
  else
    buf_u8(&b, '*');
  buf_text(&b, ordered || !what ? " FROM (\n" : " FROM (SELECT * FROM (\n");
  put_query(&b, s->path);
  buf_text(&b, !what ? ") LIMIT 20000" : ordered ? ")" : ") ORDER BY ALL)");
  Status st = b.bad ? err_memory(e) : duck_query_bound(d, q, buf_str(&b), bind_params, s, e);
  buf_free(&b);
  return st == ST_OK ? ST_OK : query_error(s->path, e);
}

/* Which columns may be null: those that are in the first rows. */
static void find_nulls(Duck *d, DuckQuery *q, EngineColumn *c, uint32_t n, Err *e) {
  duckdb_data_chunk chunk;
  for (uint32_t k = 0; e->code == ST_OK && k < n; k++)
    c[k].nullable = false;
  while (e->code == ST_OK && duck_chunk(d, q, &chunk, e) == ST_OK && chunk) {
    for (uint32_t k = 0; k < n; k++) {
      const uint64_t *validity = d->vector_get_validity(d->data_chunk_get_vector(chunk, k));
      for (uint64_t i = 0; validity && i < d->data_chunk_get_size(chunk); i++)
        c[k].nullable |= !duck_valid(validity, i);
    }
    d->destroy_data_chunk(&chunk);
  }
}

static Status sql_columns(Arena *a, const EngineSource *s, const Options *o, const char *const *file,
                          uint32_t nfile, EngineColumn **out, uint32_t *n, Err *e) {
  (void)o;
  (void)file;
  (void)nfile;
  Duck d;
  DuckQuery q;
  bool ordered;
  if (duck_open(&d, DUCK_MEMORY_MIN * 4, 1, e) != ST_OK)
    return e->code;
  if (prepare(&d, s, &ordered, e) == ST_OK && start(&d, &q, s, ordered, NULL, e) == ST_OK) {
    typed_columns(&d, &q, a, out, n, e);
    find_nulls(&d, &q, *out, *n, e);
    if (e->code == ST_DATA)
      query_error(s->path, e);
    for (uint32_t i = 0; e->code == ST_OK && i < *n; i++) {
      if (d.column_type(&q.result, i) == DUCKDB_TYPE_HUGEINT)
        (*out)[i].kind = KIND_INT; /* what sum() gives: read as bigint */
    }
    duck_end(&d, &q);
  }
  duck_close(&d);
  return e->code;
}

/* The wanted columns of the query, in the types they are read in. */
static Status put_wanted(Reader *r, const DuckQuery *q, Buf *what, Err *e) {
  Duck *d = &r->duck;
  idx_t have = d->column_count((duckdb_result *)&q->result);
  for (uint32_t k = 0; k < r->ncol; k++) {
    idx_t i = 0;
    while (i < have && strcmp(d->column_name((duckdb_result *)&q->result, i), r->col[k].name) != 0)
      i++;
    if (i == have)
      return err_set(e, ST_DATA, "CML0405", "Correct the name in the program, or in the query.",
                     "the query has no column `%s`", r->col[k].name);
    bool huge = d->column_type((duckdb_result *)&q->result, i) == DUCKDB_TYPE_HUGEINT;
    buf_text(what, k ? ", " : "");
    sql_name(what, r->col[k].name);
    buf_text(what, huge ? "::BIGINT" : "");
  }
  if (r->ncol == 0)
    buf_text(what, "true");
  return what->bad ? err_memory(e) : ST_OK;
}

static Status sql_open(Reader *r, Err *e) {
  duck_close(&r->duck); /* the configuration may be locked by a query before */
  if (duck_open(&r->duck, r->share, 1, e) != ST_OK)
    return e->code;
  const EngineSource *s = &r->in->source;
  Buf what = {0};
  DuckQuery q;
  bool ordered = false;
  if (prepare(&r->duck, s, &ordered, e) == ST_OK && start(&r->duck, &q, s, ordered, NULL, e) == ST_OK) {
    put_wanted(r, &q, &what, e);
    duck_end(&r->duck, &q);
  }
  if (e->code == ST_OK && start(&r->duck, &r->query, s, ordered, &what, e) == ST_OK)
    typed_check(r, "the query", e);
  buf_free(&what);
  return e->code;
}

static Status sql_error(Reader *r, Err *e) {
  return query_error(r->in->source.path, e);
}

const FormatOps sql_ops = {.what = "SQL",
                           .no_files = true,
                           .columns = sql_columns,
                           .open = sql_open,
                           .convert = typed_convert,
                           .error = sql_error};
