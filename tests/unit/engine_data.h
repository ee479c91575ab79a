/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of the data engine: files made on the spot in a private folder (text by put(), Parquet by
 * DuckDB itself), and reading them as cells of text, so that a test can say what it expects in one line. */
#ifndef TESTS_UNIT_ENGINE_DATA_H
#define TESTS_UNIT_ENGINE_DATA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/num.h"
#include "vm/engine.h"
#include "vm/engine/duckdb.h"

enum { MAXCOL = 24 };

/* what a read gave: cells as text, so that a test can say what it expects in one line */
typedef struct Data {
  Status st;
  Err err;
  RowErrors errors;
  uint64_t rows, total;
  uint32_t blocks, ncol;
  char **cell; /* rows x ncol */
} Data;

static char folder[200];

static inline int set_up(void **state) {
  (void)state;
  const char *tmp = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%s/cml-engine-XXXXXX", tmp ? tmp : "/tmp");
  return mkdtemp(folder) ? 0 : -1;
}

static inline int tear_down(void **state) {
  (void)state;
  char cmd[256];
  snprintf(cmd, sizeof cmd, "rm -rf '%s'", folder);
  return system(cmd);
}

static inline const char *in_folder(const char *name) {
  static char path[4][400];
  static int k;
  k = (k + 1) % 4;
  snprintf(path[k], sizeof path[k], "%s/%s", folder, name);
  return path[k];
}

static inline void put(const char *name, const char *text) {
  FILE *f = fopen(in_folder(name), "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

/* COPY (select) TO the file, by DuckDB. */
static inline void make(const char *name, const char *select, const char *how) {
  Duck d;
  Err e = {0};
  char sql[4000];
  assert_int_equal(duck_open(&d, UINT64_C(256) << 20, 1, &e), ST_OK);
  snprintf(sql, sizeof sql, "COPY (%s) TO '%s' (%s)", select, in_folder(name), how);
  if (duck_exec(&d, sql, &e) != ST_OK)
    fail_msg("%s: %s", sql, e.cause);
  duck_close(&d);
}

#define PARQUET(name, select) make((name), (select), "FORMAT parquet")

static inline EngineSource source(const char *format, const char *path, const char *const *option) {
  EngineSource s = {.format = format, .path = path, .dir = folder, .option = option};
  while (option && option[2 * s.noption])
    s.noption++;
  return s;
}
#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL, NULL})

static inline char *cell_text(const Col *c, Kind kind, uint32_t r) {
  char t[400] = "null";
  if (!c->null || !c->null[r]) {
    switch (kind) {
    case KIND_BOOL: strcpy(t, c->b[r] ? "true" : "false"); break;
    case KIND_FLOAT: num_print_f64(t, c->f[r], true); break;
    case KIND_DATE: num_print_date(t, c->i[r]); break;
    case KIND_TIMESTAMP: num_print_timestamp(t, c->i[r]); break;
    case KIND_STRING:
    case KIND_CATEGORY:
      assert_true(c->code[r] < c->dict->n);
      snprintf(t, sizeof t, "%.*s", (int)(c->dict->off[c->code[r] + 1] - c->dict->off[c->code[r]]),
               c->dict->bytes + c->dict->off[c->code[r]]);
      break;
    default: num_print_i64(t, c->i[r]); break;
    }
  } else {
    assert_true(kind_ir(kind) == IR_BOOL  ? c->b[r] == 0
                : kind_ir(kind) == IR_STR ? c->code[r] == 0
                                          : c->i[r] == 0);
  }
  char *s = strdup(t);
  assert_non_null(s);
  return s;
}

static inline void data_free(Data *d) {
  for (uint64_t i = 0; i < d->rows * d->ncol; i++)
    free(d->cell[i]);
  free(d->cell);
  memset(d, 0, sizeof *d);
}

static inline Data read_all(EngineSource s, const IrColumn *col, uint32_t ncol) {
  Data d = {.ncol = ncol};
  Reader *r = NULL;
  Block *b;
  d.st = reader_open(&s, col, ncol, UINT64_C(1) << 30, &r, &d.err);
  if (d.st != ST_OK)
    return d;
  d.total = reader_total(r);
  uint32_t file = 0, seq;
  uint64_t pos = 0;
  while ((d.st = reader_next(r, &b, &seq, &d.errors, &d.err)) == ST_OK && b) {
    if (b->file != file)
      pos = 0;
    file = b->file;
    assert_int_equal(b->pos, pos);
    assert_int_equal(seq, d.blocks);
    assert_int_equal(b->npos, b->n);
    assert_int_equal(b->ncol, ncol);
    assert_true(b->n > 0 && b->n <= BLOCK && b->bytes > 0);
    pos += b->n;
    d.blocks++;
    d.cell = realloc(d.cell, (d.rows + b->n) * (ncol ? ncol : 1) * sizeof *d.cell);
    assert_non_null(d.cell);
    for (uint32_t i = 0; i < b->n; i++) {
      for (uint32_t k = 0; k < ncol; k++)
        d.cell[(d.rows + i) * ncol + k] = cell_text(&b->col[k], col[k].kind, i);
    }
    d.rows += b->n;
    block_drop(b);
  }
  reader_close(r);
  return d;
}

/* Reads what engine_columns says is there. */
static inline Data read_found(EngineSource s) {
  Arena a;
  EngineColumn *c;
  IrColumn col[MAXCOL];
  uint32_t n, m = 0;
  Data d = {0};
  arena_init(&a, NULL);
  d.st = engine_columns(&a, &s, &c, &n, &d.err);
  if (d.st == ST_OK) {
    assert_true(n <= MAXCOL);
    for (uint32_t k = 0; k < n; k++) {
      if (c[k].kind >= 0)
        col[m++] = (IrColumn){c[k].name, (uint8_t)c[k].kind, c[k].nullable};
    }
    d = read_all(s, col, m);
  }
  arena_free(&a);
  return d;
}

/* One row of cells as "a|b|c". */
static inline const char *row(const Data *d, uint64_t r) {
  static char t[1000];
  size_t n = 0;
  t[0] = 0;
  assert_true(r < d->rows);
  for (uint32_t k = 0; k < d->ncol; k++)
    n += (size_t)snprintf(t + n, sizeof t - n, "%s%s", k ? "|" : "", d->cell[r * d->ncol + k]);
  return t;
}

static inline void no_error(const Data *d) {
  if (d->st != ST_OK)
    fail_msg("%s [%s]", d->err.cause, d->err.where);
  if (d->errors.count)
    fail_msg("row error at %d, %s: %s", (int)d->errors.v[0].pos, d->errors.v[0].column, d->errors.v[0].text);
}

static inline void expect_error(Data *d, Status st, const char *id, const char *part) {
  assert_int_equal(d->st, st);
  assert_string_equal(d->err.id, id);
  if (!strstr(d->err.cause, part))
    fail_msg("'%s' is not in: %s", part, d->err.cause);
  data_free(d);
}

/* "name kind[?]" of all columns. */
static inline const char *schema(EngineSource s) {
  static char t[2000];
  Arena a;
  EngineColumn *c;
  uint32_t n;
  size_t k = 0;
  Err e = {0};
  arena_init(&a, NULL);
  t[0] = 0;
  if (engine_columns(&a, &s, &c, &n, &e) != ST_OK)
    fail_msg("%s", e.cause);
  for (uint32_t i = 0; i < n; i++) {
    if (c[i].kind < 0)
      k += (size_t)snprintf(t + k, sizeof t - k, "%s%s !%s", i ? ", " : "", c[i].name, c[i].why);
    else
      k += (size_t)snprintf(t + k, sizeof t - k, "%s%s %s%s", i ? ", " : "", c[i].name,
                            kind_name((Kind)c[i].kind), c[i].nullable ? "?" : "");
  }
  arena_free(&a);
  return t;
}

#endif
