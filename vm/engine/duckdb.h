/* SPDX-License-Identifier: Apache-2.0 */
/* DuckDB behind one door: the library opened at first use, one in-memory database with one connection,
 * queries that stream.
 *
 * Nothing outside vm/engine includes this file. A Duck belongs to one reader or writer and is used by one
 * thread at a time (the writer's COPY thread excepted, see writer.c). duck_query(), duck_chunk(),
 * duck_end() are the whole of reading:
 *
 *   duck_query(&d, &q, "SELECT ...", err);
 *   while (duck_chunk(&d, &q, &chunk, err) == ST_OK && chunk) ...
 *   duck_end(&d, &q);
 * */
#ifndef VM_ENGINE_DUCKDB_H
#define VM_ENGINE_DUCKDB_H

#include <duckdb.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

/* Every function of the library that is used; each becomes a member of Duck, found by name when the
 * library is opened. duckdb_pending_prepared_streaming is among those that the header calls deprecated;
 * there is no other way to read a result larger than memory. */
#define DUCK_FUNCTIONS(F)                                                                                    \
  F(create_config)                                                                                           \
  F(set_config) F(destroy_config) F(open_ext) F(close) F(connect) F(disconnect) F(free) F(query) F(prepare)  \
      F(prepare_error) F(destroy_prepare) F(bind_parameter_index) F(bind_boolean) F(bind_int64)              \
          F(bind_double) F(bind_varchar_length) F(bind_date) F(bind_timestamp) F(pending_prepared_streaming) \
              F(pending_error) F(execute_pending) F(destroy_pending) F(result_error) F(result_error_type)    \
                  F(destroy_result) F(fetch_chunk) F(destroy_data_chunk) F(column_count) F(column_name)      \
                      F(column_type) F(column_logical_type) F(destroy_logical_type) F(decimal_scale)         \
                          F(decimal_internal_type) F(data_chunk_get_size) F(data_chunk_get_column_count)     \
                              F(vector_get_column_type) F(get_type_id) F(data_chunk_set_size)                \
                                  F(data_chunk_get_vector) F(vector_size) F(vector_get_data)                 \
                                      F(vector_get_validity) F(vector_ensure_validity_writable)              \
                                          F(vector_assign_string_element_len) F(create_logical_type)         \
                                              F(create_table_function) F(destroy_table_function) F(          \
                                                  table_function_set_name) F(table_function_set_bind)        \
                                                  F(table_function_set_init) F(table_function_set_function)  \
                                                      F(register_table_function) F(bind_add_result_column)   \
                                                          F(init_set_max_threads) F(function_set_error)

typedef struct Duck {
#define DUCK_MEMBER(name) __typeof__(&duckdb_##name) name;
  DUCK_FUNCTIONS(DUCK_MEMBER)
#undef DUCK_MEMBER
  void *lib;
  duckdb_database db;
  duckdb_connection con;
} Duck;

typedef struct DuckQuery { /* a running query; zeroed = none */
  duckdb_prepared_statement stmt;
  duckdb_pending_result pending;
  duckdb_result result;
  bool have_result, ended; /* ended: there are no more chunks, and none may be asked for */
} DuckQuery;

enum { DUCK_MEMORY_MAX = 512 << 20, DUCK_MEMORY_MIN = 64 << 20 };

/* Opens the library and an empty database that may use `memory` bytes and `threads` threads. */
Status duck_open(Duck *d, uint64_t memory, uint32_t threads, Err *e);
void duck_close(Duck *d);

/* A statement whose result is not wanted. */
Status duck_exec(Duck *d, const char *sql, Err *e);

/* Starts a query; its columns are known (result.*) when it returns. Failing leaves nothing to end. */
Status duck_query(Duck *d, DuckQuery *q, const char *sql, Err *e);
/* The same; `bind` gives the statement its values. */
typedef bool (*DuckBind)(Duck *d, duckdb_prepared_statement stmt, const void *ctx);
Status duck_query_bound(Duck *d, DuckQuery *q, const char *sql, DuckBind bind, const void *ctx, Err *e);
/* The next chunk, or NULL at the end; the caller destroys it. */
Status duck_chunk(Duck *d, DuckQuery *q, duckdb_data_chunk *out, Err *e);
void duck_end(Duck *d, DuckQuery *q);

/* Text into SQL: a name in double quotes, a string in single quotes, a path so that DuckDB takes it
 * literally. */
void sql_name(Buf *b, const char *name);
void sql_text(Buf *b, const char *s);
void sql_path(Buf *b, const char *path);

/* Cells of small results: metadata queries only. */
static inline bool duck_valid(const uint64_t *validity, uint64_t row) {
  return !validity || (validity[row / 64] >> (row % 64) & 1);
}
static inline const char *duck_text(const duckdb_string_t *s, uint32_t *n) {
  *n = s->value.inlined.length;
  return *n <= 12 ? s->value.inlined.inlined : s->value.pointer.ptr;
}

#endif
