/* SPDX-License-Identifier: Apache-2.0 */
/* Several threads that ask one reader for blocks get what one thread gets: the same blocks under the same
 * numbers, the same bad rows, the first of several errors. */
#include "tests/unit/engine_data.h"

#include <pthread.h>

enum { THREADS = 3, MOST = 64 };

typedef struct Shared { /* what the threads of one reading share */
  Reader *r;
  pthread_mutex_t lock;
  Block *block[MOST]; /* by number */
  uint32_t n;
  RowErrors errors;
  Err err;
  uint32_t err_seq;
} Shared;

static void *ask(void *arg) {
  Shared *s = arg;
  for (bool more = true; more;) {
    Block *b = NULL;
    RowErrors bad = {0};
    Err e = {0};
    uint32_t seq;
    Status st = reader_next(s->r, &b, &seq, &bad, &e);
    pthread_mutex_lock(&s->lock);
    more = st == ST_OK && b;
    row_errors_merge(&s->errors, &bad);
    if (more && (seq >= MOST || s->block[seq])) {
      err_set(&s->err, ST_FAULT, "", NULL, "block %u came twice, or there are too many", seq);
      block_drop(b);
    } else if (more) {
      s->block[seq] = b;
      s->n++;
    } else if (st != ST_OK && (!s->err.code || seq < s->err_seq)) {
      s->err = e;
      s->err_seq = seq;
    }
    pthread_mutex_unlock(&s->lock);
  }
  return NULL;
}

static void together(const EngineSource *src, const IrColumn *col, uint32_t ncol, uint64_t memory,
                     Shared *s) {
  pthread_t t[THREADS];
  Err e = {0};
  memset(s, 0, sizeof *s);
  pthread_mutex_init(&s->lock, NULL);
  assert_int_equal(reader_open(src, col, ncol, memory, &s->r, &e), ST_OK);
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&t[i], NULL, ask, s), 0);
  for (int i = 0; i < THREADS; i++)
    pthread_join(t[i], NULL);
  reader_close(s->r);
  pthread_mutex_destroy(&s->lock);
}

static void drop(Shared *s) {
  for (uint32_t i = 0; i < MOST; i++)
    block_drop(s->block[i]);
}

/* Reads a source alone and together, with much memory and with little. */
static void same(EngineSource src, const IrColumn *col, uint32_t ncol, uint32_t nblock) {
  static const uint64_t memory[] = {UINT64_C(1) << 30, UINT64_C(1) << 20};
  Data d = read_all(src, col, ncol);
  assert_int_equal(d.st, ST_OK);
  assert_int_equal(d.blocks, nblock);
  for (int m = 0; m < 2; m++) {
    Shared s;
    together(&src, col, ncol, memory[m], &s);
    assert_int_equal(s.err.code, ST_OK);
    assert_int_equal(s.n, nblock);
    assert_int_equal(s.errors.count, d.errors.count);
    assert_int_equal(s.errors.n, d.errors.n);
    for (uint32_t i = 0; i < d.errors.n; i++) {
      assert_int_equal(s.errors.v[i].pos, d.errors.v[i].pos);
      assert_string_equal(s.errors.v[i].text, d.errors.v[i].text);
    }
    uint64_t at = 0;
    for (uint32_t i = 0; i < nblock; i++) {
      const Block *b = s.block[i];
      assert_non_null(b);
      for (uint32_t r = 0; r < b->n; r++, at++) {
        for (uint32_t k = 0; k < ncol; k++) {
          char *text = cell_text(&b->col[k], col[k].kind, r);
          assert_string_equal(text, d.cell[at * ncol + k]);
          free(text);
        }
      }
    }
    assert_int_equal(at, d.rows);
    drop(&s);
  }
  data_free(&d);
}

static const IrColumn columns[] = {
    {"i", KIND_INT, true}, {"s", KIND_CATEGORY, false}, {"x", KIND_FLOAT, false}};

/* Row groups of 2,048 rows, of all rows; chunks and row groups that end beside the borders of blocks;
 * three files. */
static void parquet_together(void **state) {
  (void)state;
  static const uint32_t rows[] = {BLOCK + 1, 1, 2 * BLOCK};
  for (uint32_t f = 0; f < 3; f++) {
    char name[30], select[300], how[80];
    snprintf(name, sizeof name, "p%u.parquet", f);
    snprintf(
        select, sizeof select,
        "SELECT CASE WHEN i %% 5 = 0 THEN NULL ELSE i END AS i, 'level ' || (i %% 300) AS s, "
        "i / 7 AS x FROM range(%u) t(i)",
        rows[f]);
    snprintf(how, sizeof how, "FORMAT parquet, ROW_GROUP_SIZE %u", f == 2 ? 2048 : 1000000);
    make(name, select, how);
  }
  same(source("parquet", "p*.parquet", NULL), columns, 3, 2 + 1 + 2);
}

static void texts_together(void **state) {
  (void)state;
  FILE *csv = fopen(in_folder("t.csv"), "w"), *json = fopen(in_folder("t.json"), "w");
  assert_true(csv && json);
  fputs("i,s,x\n", csv);
  for (uint32_t i = 0; i < 3 * BLOCK + 5; i++) {
    const char *x = i % 50 == 49 ? "bad" : "0.25";
    fprintf(csv, "%u,\"a, %u\",%s\n", i, i % 100, x);
    fprintf(json, "{\"i\": %u, \"s\": \"a, %u\", \"x\": \"%s\"}\n", i, i % 100, x);
  }
  fclose(csv);
  fclose(json);
  same(source("csv", "t.csv", NULL), columns, 3, 4);
  same(source("json", "t.json", NULL), columns, 3, 4);
}

/* Each query opens a database of its own, when nobody needs the one before. */
static void queries_together(void **state) {
  (void)state;
  char text[200];
  snprintf(text, sizeof text, "SELECT i, 'a' AS s, i / 2 AS x FROM range(%u) t(i) ORDER BY i", 2 * BLOCK + 1);
  EngineSource second = source("sql", text, NULL), first = second;
  first.next = &second;
  same(first, columns, 3, 6);
}

static void first_error_counts(void **state) {
  (void)state;
  FILE *f = fopen(in_folder("e.json"), "w");
  assert_non_null(f);
  for (uint32_t i = 0; i < 4 * BLOCK; i++)
    fputs(i == BLOCK + 3 || i == BLOCK + 7 || i >= 2 * BLOCK ? "{\"i\": 1e}\n" : "{\"i\": 1}\n", f);
  fclose(f);
  EngineSource s = source("json", "e.json", NULL);
  Data d = read_all(s, columns, 1);
  assert_int_equal(d.st, ST_DATA);
  for (int k = 0; k < 5; k++) {
    Shared all;
    together(&s, columns, 1, UINT64_C(1) << 30, &all);
    assert_string_equal(all.err.cause, d.err.cause);
    assert_string_equal(all.err.where, d.err.where);
    drop(&all);
  }
  data_free(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parquet_together),
      cmocka_unit_test(texts_together),
      cmocka_unit_test(queries_together),
      cmocka_unit_test(first_error_counts),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
