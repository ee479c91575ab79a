/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and opening libduckdb.so, and queries that stream. Read duckdb.h first; then duck_open, from
 * which all else follows.
 *
 * The library is looked for in this order: the file named by the environment variable CML_DUCKDB; the
 * folder and the file given to configure; the folder of the installed package; lib/cml beside the folder
 * of the running program; the loader's own search. */
#include "vm/engine/duckdb.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"

#define SONAME "libduckdb.so"

/* ---- The library ---- */

static void *open_file(const char *path) {
  /* Never unloaded again: it is C++ with thread-local destructors. A second opening only counts. */
  return dlopen(path, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
}

static void *open_beside_program(void) {
  char path[PATH_MAX + sizeof "/../lib/cml/" SONAME];
  ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
  if (n <= 0)
    return NULL;
  path[n] = 0;
  char *slash = strrchr(path, '/');
  if (!slash)
    return NULL;
  strcpy(slash, "/../lib/cml/" SONAME);
  return open_file(path);
}

static void *find_library(Err *e) {
  const char *file = getenv("CML_DUCKDB");
  if (file && *file) {
    void *lib = open_file(file);
    if (!lib) {
      const char *why = dlerror();
      err_set(e, ST_RESOURCE, "CML0510", "Correct or unset CML_DUCKDB.",
              "the DuckDB library named by CML_DUCKDB cannot be opened: %s", why ? why : file);
    }
    return lib;
  }
  void *lib = NULL;
#ifdef CML_DUCKDB_DIR
  lib = open_file(CML_DUCKDB_DIR "/" SONAME);
#endif
#ifdef CML_DUCKDB_LIB
  if (!lib)
    lib = open_file(CML_DUCKDB_LIB);
#endif
#ifdef CML_PKGLIBDIR
  if (!lib)
    lib = open_file(CML_PKGLIBDIR "/" SONAME);
#endif
  if (!lib)
    lib = open_beside_program();
  if (!lib)
    lib = open_file(SONAME);
  if (!lib) {
    const char *why = dlerror();
    err_set(e, ST_RESOURCE, "CML0510", "Run scripts/setup, or configure --with-duckdb=DIR.",
            "DuckDB, which reads and writes data files, was not found: %s", why ? why : SONAME);
  }
  return lib;
}

static Status load(Duck *d, Err *e) {
  static const struct {
    const char *name;
    size_t at;
  } want[] = {
#define DUCK_WANT(f) {"duckdb_" #f, offsetof(Duck, f)},
      DUCK_FUNCTIONS(DUCK_WANT)
#undef DUCK_WANT
  };
  d->lib = find_library(e);
  if (!d->lib)
    return e->code;
  for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
    void *f = dlsym(d->lib, want[i].name);
    if (!f)
      return err_set(e, ST_RESOURCE, "CML0510", "Run scripts/setup, which takes the version that is tested.",
                     "the DuckDB library found has no function %s: it is too old or too new", want[i].name);
    memcpy((char *)d + want[i].at, &f, sizeof f); /* a function pointer from dlsym, as POSIX has it */
  }
  return ST_OK;
}

/* ---- A database ---- */

Status duck_open(Duck *d, uint64_t memory, uint32_t threads, Err *e) {
  memset(d, 0, sizeof *d);
  if (load(d, e) != ST_OK) {
    duck_close(d);
    return e->code;
  }
  char limit[40], count[16];
  snprintf(limit, sizeof limit, "%lluKiB", (unsigned long long)(memory / 1024));
  snprintf(count, sizeof count, "%u", threads ? threads : 1);
  const char *const setting[][2] = {
      {"threads", count},
      {"memory_limit", limit},
      {"preserve_insertion_order", "true"},
      {"temp_directory", ""}, /* nothing is spilled: readers stream */
      {"autoinstall_known_extensions", "false"},
      {"autoload_known_extensions", "false"},
      {"enable_external_file_cache", "false"}, /* files are read once, in order */
  };
  duckdb_config config = NULL;
  char *why = NULL;
  bool bad = d->create_config(&config) != DuckDBSuccess;
  for (size_t i = 0; i < sizeof setting / sizeof *setting && !bad; i++)
    bad = d->set_config(config, setting[i][0], setting[i][1]) != DuckDBSuccess;
  bad = bad || d->open_ext(NULL, &d->db, config, &why) != DuckDBSuccess;
  bad = bad || d->connect(d->db, &d->con) != DuckDBSuccess;
  if (bad)
    err_set(e, ST_RESOURCE, "CML0511", "Run scripts/setup, which takes the version of DuckDB that is tested.",
            "DuckDB did not start: %s", why ? why : "a setting was refused");
  if (why)
    d->free(why);
  if (config)
    d->destroy_config(&config);
  if (bad)
    duck_close(d);
  return e->code;
}

void duck_close(Duck *d) {
  if (d->con)
    d->disconnect(&d->con);
  if (d->db)
    d->close(&d->db);
  if (d->lib)
    dlclose(d->lib);
  memset(d, 0, sizeof *d);
}

/* ---- Queries ---- */

static Status failed(duckdb_error_type type, const char *why, Err *e) {
  if (!why)
    why = "no reason was given";
  if (type == DUCKDB_ERROR_OUT_OF_MEMORY || strncmp(why, "Out of Memory", 13) == 0)
    return err_set(e, ST_RESOURCE, "CML0502", "Give it more with --memory.",
                   "DuckDB used up its share of the memory: %.*s", (int)strcspn(why, "\n"),
                   why); /* below the first line stands advice to users of DuckDB */
  /* The caller knows what was asked and says it in the user's words; this is the text it works from. */
  return err_set(e, ST_DATA, "CML0403", NULL, "%.1400s", why);
}

Status duck_exec(Duck *d, const char *sql, Err *e) {
  duckdb_result r;
  if (d->query(d->con, sql, &r) != DuckDBSuccess)
    failed(d->result_error_type(&r), d->result_error(&r), e);
  d->destroy_result(&r);
  return e->code;
}

Status duck_query(Duck *d, DuckQuery *q, const char *sql, Err *e) {
  return duck_query_bound(d, q, sql, NULL, NULL, e);
}

Status duck_query_bound(Duck *d, DuckQuery *q, const char *sql, DuckBind bind, const void *ctx, Err *e) {
  memset(q, 0, sizeof *q);
  if (d->prepare(d->con, sql, &q->stmt) != DuckDBSuccess) {
    failed(DUCKDB_ERROR_INVALID, d->prepare_error(q->stmt), e);
  } else if (bind && !bind(d, q->stmt, ctx)) {
    failed(DUCKDB_ERROR_INVALID, "a param cannot be given to the query", e);
  } else if (d->pending_prepared_streaming(q->stmt, &q->pending) != DuckDBSuccess) {
    failed(DUCKDB_ERROR_INVALID, q->pending ? d->pending_error(q->pending) : NULL, e);
  } else {
    q->have_result = true;
    if (d->execute_pending(q->pending, &q->result) != DuckDBSuccess)
      failed(d->result_error_type(&q->result), d->result_error(&q->result), e);
  }
  if (e->code != ST_OK)
    duck_end(d, q);
  return e->code;
}

Status duck_chunk(Duck *d, DuckQuery *q, duckdb_data_chunk *out, Err *e) {
  *out = NULL;
  while (!q->ended) {
    *out = d->fetch_chunk(q->result);
    if (!*out) {
      q->ended = true;
      const char *why = d->result_error(&q->result);
      return why ? failed(d->result_error_type(&q->result), why, e) : ST_OK;
    }
    if (d->data_chunk_get_size(*out) > 0)
      return ST_OK;
    d->destroy_data_chunk(out); /* empty: there may be more behind it */
  }
  return ST_OK;
}

void duck_end(Duck *d, DuckQuery *q) {
  if (q->have_result)
    d->destroy_result(&q->result);
  if (q->pending)
    d->destroy_pending(&q->pending);
  if (q->stmt)
    d->destroy_prepare(&q->stmt);
  memset(q, 0, sizeof *q);
}

/* ---- Text into SQL ---- */

static void quoted(Buf *b, const char *s, char quote) {
  buf_u8(b, (uint8_t)quote);
  for (; *s; s++) {
    if (*s == quote)
      buf_u8(b, (uint8_t)quote);
    buf_u8(b, (uint8_t)*s);
  }
  buf_u8(b, (uint8_t)quote);
}

void sql_name(Buf *b, const char *name) {
  quoted(b, name, '"');
}

void sql_text(Buf *b, const char *s) {
  quoted(b, s, '\'');
}

/* "./" keeps DuckDB from seeing a protocol or a home folder in a relative path; brackets keep it from
 * seeing a glob. */
void sql_path(Buf *b, const char *path) {
  buf_u8(b, '\'');
  if (*path != '/')
    buf_text(b, "./");
  for (const char *s = path; *s; s++) {
    if (*s == '*' || *s == '?' || *s == '[')
      buf_printf(b, "[%c]", *s);
    else if (*s == '\'')
      buf_text(b, "''");
    else
      buf_u8(b, (uint8_t)*s);
  }
  buf_u8(b, '\'');
}
