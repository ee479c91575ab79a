/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of plain Parquet files that are elsewhere: cut in any way, they are the blocks that the reader of
 * the file gives; bytes that do not come, a file that changed, records that are damaged, are errors. And how
 * blocks are cut among partitions. */
#include "tests/unit/engine_data.h"

#include "base/hash.h"
#include "vm/exec/cut.h"

/* ---- The same blocks ---- */

static const IrColumn column[] = {{"a", KIND_FLOAT, true}, {"k", KIND_CATEGORY, false}, {"n", KIND_INT, true},
                                  {"t", KIND_TIMESTAMP, true}, {"w", KIND_FLOAT, true}};
enum { NCOL = sizeof column / sizeof *column, FILES = 3, MOST = 64 };

/* Row groups of 9,000, of 65,536 and of 200,000 rows; the second file has two rows, the first no null. */
static void make_files(void) {
  static const char select[] =
      "SELECT CASE WHEN %d = 0 OR i %% 7 > 0 THEN i / 3.0 END AS a, 'k' || (i * i %% 1000) AS k, "
      "CASE WHEN i %% 5 > 1 THEN i // 1000 END AS n, TIMESTAMP '2020-01-01' + to_seconds(i) AS t, "
      "CAST(i %% 3 AS FLOAT) AS w, i AS unused FROM range(%u) r(i)";
  static const uint32_t rows[FILES] = {150000, 2, 300000};
  static const char *const how[FILES] = {"FORMAT parquet, ROW_GROUP_SIZE 9000",
                                         "FORMAT parquet, COMPRESSION zstd",
                                         "FORMAT parquet, ROW_GROUP_SIZE 65536, COMPRESSION uncompressed"};
  for (int i = 0; i < FILES; i++) {
    char name[20], sql[1000];
    snprintf(name, sizeof name, "%d.parquet", i);
    snprintf(sql, sizeof sql, select, i, rows[i]);
    make(name, sql, how[i]);
  }
}

/* Nobody wants rows whose n is known to lie below 120. */
static bool below(const void *ctx, const IrColumn *col, const Zone *zone, uint32_t ncol) {
  (void)ctx, (void)col, (void)ncol;
  return zone[2].known && zone[2].hi < 120;
}

static Reader *open_files(bool leave_out) {
  EngineSource s = source("parquet", "*.parquet", NULL);
  Reader *r = NULL;
  Err e = {0};
  if (reader_open(&s, column, NCOL, 0, &r, &e) != ST_OK)
    fail_msg("%s %s", e.where, e.cause);
  if (leave_out)
    reader_leave_out(r, below, NULL);
  return r;
}

static void cells(const Block *b, Buf *out) {
  buf_printf(out, "%u %llu %u %u\n", b->file, (unsigned long long)b->pos, b->npos, b->n);
  for (uint32_t r = 0; r < b->n; r++)
    for (uint32_t k = 0; k < b->ncol; k++) {
      char *s = cell_text(&b->col[k], column[k].kind, r);
      buf_printf(out, "%s;", s);
      free(s);
    }
}

typedef struct There { /* the files, and what happens on the way to them */
  const char *const *name;
  uint64_t asked, fails, bytes;
} There;

static Status bytes_of(void *ctx, uint64_t at, size_t n, void *out, Err *e) {
  There *t = ctx;
  t->bytes += n;
  if (++t->asked == t->fails)
    return err_set(e, ST_RESOURCE, "TEST", NULL, "they do not come");
  FILE *f = fopen(*t->name, "rb");
  bool good = f && !fseek(f, (long)at, SEEK_SET) && fread(out, 1, n, f) == n;
  if (f)
    fclose(f);
  return good ? ST_OK : err_set(e, ST_DATA, "TEST", NULL, "they are not there");
}

static Status read_run(const Reader *r, Bytes record, There *there, RowErrors *errors, Buf *out, Err *e) {
  FileBytes in = {bytes_of, there};
  Run *x = NULL;
  Block *b = NULL;
  if (run_open(r, record, &in, &x, e) != ST_OK)
    return e->code;
  while (run_next(x, errors, &b, e) == ST_OK && b) {
    cells(b, out);
    block_drop(b);
  }
  run_close(x);
  return e->code;
}

/* The files divided, and a reader of records as a worker has it. */
static Reader *divided(Arena *a, bool leave_out, FileLayout **l, There there[FILES]) {
  Reader *whole = open_files(leave_out), *r = NULL;
  const char **name = NEWN(a, const char *, FILES);
  RecordFile file[FILES];
  uint32_t n;
  Err e = {0};
  if (reader_layout(whole, a, l, &n, &e) != ST_OK)
    fail_msg("%s %s", e.where, e.cause);
  assert_int_equal(n, FILES);
  const char *const *had = reader_files(whole, &n);
  for (uint32_t i = 0; i < FILES; i++) {
    assert_true((*l)[i].plain);
    name[i] = arena_strdup(a, had[i]);
    file[i] = (RecordFile){name[i], (*l)[i].rows, 0};
    there[i] = (There){.name = &name[i]};
  }
  EngineSource s = source("parquet", "*.parquet", NULL);
  assert_int_equal(records_open(&s, column, NCOL, file, FILES, &r, &e), ST_OK);
  reader_close(whole);
  return r;
}

static void same_blocks(void **state) {
  (void)state;
  make_files();
  for (int leave_out = 0; leave_out < 2; leave_out++) {
    Buf want = {0}, got = {0}, record = {0};
    RowErrors errors = {.count = 0};
    Reader *whole = open_files(leave_out);
    Block *b = NULL;
    Err e = {0};
    uint32_t seq;
    while (reader_next(whole, &b, &seq, &errors, &e) == ST_OK && b) {
      cells(b, &want);
      block_drop(b);
    }
    assert_int_equal(e.code, ST_OK);
    reader_close(whole);
    uint64_t whole_bytes = 0;
    for (uint32_t way = 0; way < 3; way++) {
      Arena a;
      FileLayout *l;
      There there[FILES];
      uint64_t bytes = 0;
      arena_init(&a, NULL);
      buf_clear(&got);
      Reader *r = divided(&a, leave_out, &l, there);
      for (uint32_t f = 0; f < FILES; f++)
        for (uint64_t at = 0, n, blocks = (l[f].rows + BLOCK - 1) / BLOCK; at < blocks; at += n) {
          n = way == 0 ? blocks : way == 1 ? 1 : 1 + rng_word(3, at) % 3;
          n = n < blocks - at ? n : blocks - at;
          assert_int_equal(run_record(&l[f], f, at, (uint32_t)n, &record, &e), ST_OK);
          if (read_run(r, buf_bytes(&record), &there[f], &errors, &got, &e) != ST_OK)
            fail_msg("%s %s", e.where, e.cause);
        }
      assert_int_equal(got.n, want.n);
      assert_memory_equal(got.p, want.p, want.n);
      for (uint32_t f = 0; f < FILES; f++)
        bytes += there[f].bytes;
      whole_bytes = way == 0 ? bytes : whole_bytes;
      assert_true(bytes >= whole_bytes);
      reader_close(r);
      arena_free(&a);
    }
    assert_int_equal(errors.count, 0);
    buf_free(&want);
    buf_free(&got);
    buf_free(&record);
  }
}

/* Row groups that are left out are not asked for. */
static void left_out(void **state) {
  (void)state;
  uint64_t bytes[2];
  make_files();
  for (int leave_out = 0; leave_out < 2; leave_out++) {
    Arena a;
    FileLayout *l;
    There there[FILES];
    Buf record = {0}, got = {0};
    RowErrors errors = {.count = 0};
    Err e = {0};
    arena_init(&a, NULL);
    Reader *r = divided(&a, leave_out, &l, there);
    assert_int_equal(run_record(&l[0], 0, 0, (uint32_t)((l[0].rows + BLOCK - 1) / BLOCK), &record, &e),
                     ST_OK);
    assert_int_equal(read_run(r, buf_bytes(&record), &there[0], &errors, &got, &e), ST_OK);
    bytes[leave_out] = there[0].bytes;
    reader_close(r);
    arena_free(&a);
    buf_free(&record);
    buf_free(&got);
  }
  if (bytes[1] >= bytes[0] * 7 / 10)
    fail_msg("%llu of %llu bytes", (unsigned long long)bytes[1], (unsigned long long)bytes[0]);
}

/* ---- What may go wrong ---- */

static void wrong(void **state) {
  (void)state;
  Arena a;
  FileLayout *l;
  There there[FILES];
  Buf record = {0}, got = {0}, bad = {0};
  RowErrors errors = {.count = 0};
  Err e = {0};
  make_files();
  arena_init(&a, NULL);
  Reader *r = divided(&a, false, &l, there);
  assert_int_equal(run_record(&l[2], 2, 0, 2, &record, &e), ST_OK);
  for (uint64_t fails = 1;; fails++) { /* each request in turn */
    there[2] = (There){.name = there[2].name, .fails = fails};
    err_clear(&e);
    buf_clear(&got);
    if (read_run(r, buf_bytes(&record), &there[2], &errors, &got, &e) == ST_OK)
      break;
    assert_string_equal(e.id, "TEST");
    assert_true(fails < 20);
  }
  assert_true(there[2].asked > 2);
  there[2].fails = 0;
  for (size_t n = 0; n < record.n; n++) { /* cut off */
    err_clear(&e);
    assert_int_equal(read_run(r, (Bytes){record.p, n}, &there[2], &errors, &got, &e), ST_FAULT);
  }
  for (size_t i = 0; i < record.n * 8; i++) { /* another bit: an error, or other blocks, never more */
    err_clear(&e);
    buf_clear(&bad);
    buf_clear(&got);
    buf_put(&bad, record.p, record.n);
    bad.p[i / 8] ^= (uint8_t)(1 << (i % 8));
    read_run(r, buf_bytes(&bad), &there[2], &errors, &got, &e);
    assert_true(e.code == ST_OK || e.cause[0]);
  }
  there[2].name = there[0].name; /* another file */
  err_clear(&e);
  assert_int_equal(read_run(r, buf_bytes(&record), &there[2], &errors, &got, &e), ST_DATA);
  buf_free(&record);
  buf_free(&got);
  buf_free(&bad);
  reader_close(r);
  arena_free(&a);
}

/* ---- Cuts ---- */

/* Files with row groups of chance; some blocks are not read. */
static FileLayout *some_files(Arena *a, uint64_t seed, uint32_t n) {
  FileLayout *l = NEWN(a, FileLayout, n + 1);
  for (uint32_t f = 0; f < n; f++) {
    uint32_t groups = (uint32_t)(rng_word(seed, f) % 40);
    uint64_t *row = NEWN(a, uint64_t, groups + 1), *from = NEWN(a, uint64_t, groups + 1);
    for (uint32_t g = 0; g < groups; g++) {
      uint64_t few = rng_word(seed + 1, f * 64 + g) % (3 * BLOCK);
      row[g + 1] = row[g] + (seed % 3 ? few : BLOCK * (1 + few % 3));
      from[g + 1] = from[g] + 100;
    }
    uint64_t blocks = (row[groups] + BLOCK - 1) / BLOCK;
    uint8_t *read = seed % 2 ? NEWN(a, uint8_t, blocks + 1) : NULL;
    for (uint64_t b = 0; read && b < blocks; b++)
      read[b] = rng_word(seed + 2, f * 1000 + b) % 3 > 0;
    l[f] = (FileLayout){.plain = true, .rows = row[groups], .ngroup = groups, .row = row, .from = from,
                        .to = from + 1, .read = read};
  }
  return l;
}

/* Every block in one partition, in order; none empty; the work divided. */
static void cuts(void **state) {
  (void)state;
  uint32_t divided_ones = 0;
  for (uint64_t seed = 1; seed < 400; seed++) {
    Arena a;
    Err e = {0};
    CutPart *part = NULL;
    uint32_t n, nfile = 1 + (uint32_t)(seed % 5), parts = 1 + (uint32_t)(rng_word(9, seed) % 12);
    arena_init(&a, NULL);
    FileLayout *l = some_files(&a, seed, nfile);
    assert_int_equal(cut_parts(&a, l, nfile, parts, &part, &n, &e), ST_OK);
    assert_true(n <= parts);
    divided_ones += n > 1;
    uint32_t f = 0;
    uint64_t next = 0;
    for (uint32_t p = 0; p < n; p++) {
      assert_true(part[p].n > 0);
      for (uint32_t i = 0; i < part[p].n; i++) {
        const CutRun *run = &part[p].run[i];
        while (next == (l[f].rows + BLOCK - 1) / BLOCK) {
          f++;
          next = 0;
        }
        assert_int_equal(run->file, f);
        assert_int_equal(run->first, next);
        assert_true(run->n > 0 && run->from < run->to);
        next += run->n;
      }
    }
    if (n) {
      while (f < nfile && next == (l[f].rows + BLOCK - 1) / BLOCK) {
        f++;
        next = 0;
      }
      assert_int_equal(f, nfile);
    }
    arena_free(&a);
  }
  assert_true(divided_ones > 100);
}

/* Four groups of three blocks each in one file go to four partitions whole. */
static void cut_at_groups(void **state) {
  (void)state;
  uint64_t row[5] = {0, 3 * BLOCK, 6 * BLOCK, 9 * BLOCK, 12 * BLOCK}, at[5] = {4, 10, 20, 30, 40};
  FileLayout l = {.plain = true, .rows = row[4], .ngroup = 4, .row = row, .from = at, .to = at + 1};
  Arena a;
  Err e = {0};
  CutPart *part;
  uint32_t n;
  arena_init(&a, NULL);
  assert_int_equal(cut_parts(&a, &l, 1, 4, &part, &n, &e), ST_OK);
  assert_int_equal(n, 4);
  for (uint32_t p = 0; p < 4; p++) {
    assert_int_equal(part[p].n, 1);
    assert_int_equal(part[p].run->first, 3 * p);
    assert_int_equal(part[p].run->n, 3);
    assert_int_equal(part[p].run->from, at[p]);
    assert_int_equal(part[p].run->to, at[p + 1]);
  }
  assert_int_equal(cut_parts(&a, &l, 1, 12, &part, &n, &e), ST_OK);
  assert_int_equal(n, 0); /* each group would be read three times */
  arena_free(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_blocks), cmocka_unit_test(left_out),
                                     cmocka_unit_test(wrong), cmocka_unit_test(cuts),
                                     cmocka_unit_test(cut_at_groups)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
