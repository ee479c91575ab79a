/* SPDX-License-Identifier: Apache-2.0 */
/* The data engine: Parquet of every type, nulls, block borders, globs, errors, writing and reading back,
 * failing memory. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/unit/engine_data.h"

/* ---- Parquet ---- */

static void parquet_types(void **state) {
  (void)state;
  PARQUET("types.parquet",
          "SELECT true AS b, 1::TINYINT AS i8, -2::SMALLINT AS i16, 3::INTEGER AS i32, -4::BIGINT AS i64, 200::UTINYINT AS u8,"
          " 60000::USMALLINT AS u16, 4000000000::UINTEGER AS u32, 1.5::FLOAT AS f, 0.1::DOUBLE AS d, 12.34::DECIMAL(4,2) AS m4,"
          " -0.3::DECIMAL(9,1) AS m9, 123456789.01::DECIMAL(18,2) AS m18, 12345678901234567890.123::DECIMAL(38,3) AS m38,"
          " 'a longer text than twelve bytes' AS s, DATE '2001-02-03' AS dt, TIMESTAMP '2001-02-03 04:05:06.789' AS us,"
          " '1969-12-31 23:59:59'::TIMESTAMP_MS AS ms, '2001-02-03 04:05:06.000001'::TIMESTAMP_NS AS ns,"
          " NULL::INTEGER AS n");
  EngineSource s = source("parquet", "types.parquet", NULL);
  assert_string_equal(
      schema(s), "b bool, i8 int, i16 int, i32 int, i64 int, u8 int, u16 int, u32 int, f float, d float, "
                 "m4 float, m9 float, m18 float, m38 float, s string, dt date, us timestamp, "
                 "ms timestamp, ns timestamp, n int?");
  Data d = read_found(s);
  no_error(&d);
  assert_int_equal(d.total, 1);
  assert_string_equal(
      row(&d, 0), "true|1|-2|3|-4|200|60000|4000000000|1.5|0.1|12.34|-0.3|123456789.01|1.2345678901234567e19|"
                  "a longer text than twelve bytes|2001-02-03|2001-02-03T04:05:06.789Z|"
                  "1969-12-31T23:59:59Z|2001-02-03T04:05:06.000001Z|null");
  data_free(&d);
}

static void parquet_as_other(void **state) {
  (void)state;
  PARQUET(
      "other.parquet",
      "SELECT true AS b, 7 AS i, DATE '1970-01-02' AS d, 1.5 AS f, 3::UBIGINT AS u, [1] AS l, {'x': 1} AS st");
  EngineSource s = source("parquet", "other.parquet", NULL);
  assert_string_equal(
      schema(s), "b bool, i int, d date, f float, u !uint64 (unsigned 64-bit integers), l !list, st !struct");
  IrColumn col[] = {{"b", KIND_INT, false}, {"i", KIND_FLOAT, false}, {"d", KIND_TIMESTAMP, false}};
  Data d = read_all(s, col, 3);
  no_error(&d);
  assert_string_equal(row(&d, 0), "1|7.0|1970-01-02T00:00:00Z");
  data_free(&d);
  IrColumn level[] = {{"b", KIND_CATEGORY, false}, {"i", KIND_CATEGORY, false}};
  d = read_all(s, level, 2);
  no_error(&d);
  assert_string_equal(row(&d, 0), "true|7");
  data_free(&d);
  IrColumn wrong = {"f", KIND_INT, false}, refused = {"u", KIND_INT, false}, none = {"x", KIND_INT, false};
  d = read_all(s, &wrong, 1);
  expect_error(&d, ST_DATA, "CML0406", "column `f` is stored as decimal and cannot be read as int");
  d = read_all(s, &refused, 1);
  expect_error(&d, ST_DATA, "CML0406", "uint64");
  d = read_all(s, &none, 1);
  expect_error(&d, ST_DATA, "CML0405", "no column `x`");
  d = read_all(s, NULL, 0);
  no_error(&d);
  assert_int_equal(d.rows, 1);
  data_free(&d);
}

static void parquet_nulls(void **state) {
  (void)state;
  PARQUET(
      "nulls.parquet",
      "SELECT CASE WHEN i % 2 = 0 THEN i END AS a, CASE WHEN i % 3 = 0 THEN 'NaN'::DOUBLE ELSE i END AS f,"
      " CASE WHEN i > 1 THEN 'x' || i END AS s FROM range(7) t(i) ORDER BY i");
  EngineSource s = source("parquet", "nulls.parquet", NULL);
  assert_string_equal(schema(s), "a int?, f float, s string?");
  IrColumn col[] = {{"a", KIND_INT, true}, {"f", KIND_FLOAT, true}, {"s", KIND_CATEGORY, true}};
  Data d = read_all(s, col, 3);
  no_error(&d);
  assert_string_equal(row(&d, 0), "0|null|null");
  assert_string_equal(row(&d, 1), "null|1.0|null");
  assert_string_equal(row(&d, 6), "6|null|x6");
  data_free(&d);
  col[0].nullable = col[1].nullable = false;
  d = read_all(s, col, 3);
  assert_int_equal(d.st, ST_OK);
  assert_int_equal(d.errors.count, 5); /* rows 0, 1, 3, 5, 6; row 3 has two bad values and counts once */
  assert_int_equal(d.errors.v[0].pos, 0);
  assert_string_equal(d.errors.v[0].column, "f");
  assert_string_equal(d.errors.v[1].column, "a");
  data_free(&d);
}

static void parquet_times(void **state) {
  (void)state;
  PARQUET(
      "times.parquet",
      "SELECT unnest(['2001-01-01 00:00:00.000000001', '2001-01-01 00:00:00.000001'])::TIMESTAMP_NS AS ns");
  IrColumn col = {"ns", KIND_TIMESTAMP, false};
  Data d = read_all(source("parquet", "times.parquet", NULL), &col, 1);
  assert_int_equal(d.errors.count, 1);
  assert_string_equal(d.errors.v[0].text, "the timestamp is finer than a microsecond");
  assert_string_equal(row(&d, 1), "2001-01-01T00:00:00.000001Z");
  data_free(&d);
}

/* Positions, order and dictionaries over several blocks; row groups that do not end where blocks do. */
static void block_borders(void **state) {
  (void)state;
  char sql[300];
  uint64_t n = 3 * (uint64_t)BLOCK + 5;
  snprintf(sql, sizeof sql,
           "SELECT i AS i, 'level ' || (i %% 7) AS few, 'a longer text ' || i AS many, CASE WHEN i %% 5 > 0 THEN 's' || (i %% 3) END AS n"
           " FROM range(%llu) t(i) ORDER BY i",
           (unsigned long long)n);
  make("blocks.parquet", sql, "FORMAT parquet, ROW_GROUP_SIZE 50000");
  make("blocks.csv", sql, "FORMAT csv, HEADER true");
  IrColumn col[] = {{"i", KIND_INT, false},
                    {"few", KIND_CATEGORY, false},
                    {"many", KIND_STRING, false},
                    {"n", KIND_CATEGORY, true}};
  for (int csv = 0; csv < 2; csv++) {
    Data d = read_all(source(csv ? "csv" : "parquet", csv ? "blocks.csv" : "blocks.parquet", NULL), col, 4);
    no_error(&d);
    assert_int_equal(d.rows, n);
    assert_int_equal(d.blocks, 4);
    for (uint64_t i = 0; i < n; i++) {
      char want[100], last[20];
      snprintf(last, sizeof last, "s%d", (int)(i % 3));
      snprintf(want, sizeof want, "%d|level %d|a longer text %d|%s", (int)i, (int)(i % 7), (int)i,
               i % 5 ? last : "null");
      if (strcmp(row(&d, i), want) != 0)
        fail_msg("row %d: %s", (int)i, row(&d, i));
    }
    data_free(&d);
  }
}

static void several_files(void **state) {
  (void)state;
  mkdir(in_folder("year=1"), 0777);
  PARQUET("year=1/p2.parquet", "SELECT 2 AS i");
  PARQUET("year=1/p10.parquet", "SELECT 10 AS i");
  PARQUET("year=1/p3.parquet", "SELECT 3 AS i WHERE false");
  PARQUET("year=1/p4.parquet", "SELECT unnest([4, 5]) AS i");
  Data d = read_found(source("parquet", "year=1/p*.parquet", NULL));
  no_error(&d);
  assert_int_equal(d.total, 4);
  assert_int_equal(d.blocks, 3);
  assert_int_equal(d.ncol, 1); /* the folder's name makes no column */
  assert_string_equal(row(&d, 0), "10");
  assert_string_equal(row(&d, 1), "2");
  assert_string_equal(row(&d, 3), "5");
  data_free(&d);
}

static void broken_files(void **state) {
  (void)state;
  put("not.parquet", "this is text, and long enough to be looked at");
  put("empty.parquet", "");
  PARQUET("whole.parquet", "SELECT i, 'text ' || i AS s FROM range(20000) t(i)");
  struct stat st;
  assert_int_equal(stat(in_folder("whole.parquet"), &st), 0);
  assert_int_equal(truncate(in_folder("whole.parquet"), st.st_size / 2), 0);
  Data d = read_found(source("parquet", "not.parquet", NULL));
  expect_error(&d, ST_DATA, "CML0403", "not a Parquet file");
  d = read_found(source("parquet", "empty.parquet", NULL));
  expect_error(&d, ST_DATA, "CML0403", "empty");
  d = read_found(source("parquet", "whole.parquet", NULL));
  expect_error(&d, ST_DATA, "CML0403", "cut off");
  mkdir(in_folder("some"), 0777);
  PARQUET("some/1.parquet", "SELECT 1 AS i");
  put("some/2.parquet", "this is text, and long enough to be looked at");
  d = read_found(source("parquet", "some/*.parquet", NULL));
  assert_non_null(strstr(d.err.where, "some/2.parquet"));
  expect_error(&d, ST_DATA, "CML0403", "not a Parquet file");
  d = read_found(source("parquet", "whloe.parquet", NULL));
  assert_non_null(strstr(d.err.remedy, "whole.parquet"));
  expect_error(&d, ST_DATA, "CML0402", "there is no file `whloe.parquet`");
  d = read_found(source("parquet", ".", NULL));
  expect_error(&d, ST_DATA, "CML0402", "is a folder");
  d = read_found(source("parquet", "no/where.parquet", NULL));
  expect_error(&d, ST_DATA, "CML0402", "no folder");
  /* Damage inside: found while reading, or not at all, but never a crash. */
  PARQUET("damaged.parquet", "SELECT i, 'text ' || i AS s FROM range(20000) t(i)");
  int fd = open(in_folder("damaged.parquet"), O_WRONLY);
  assert_true(fd >= 0);
  for (int k = 0; k < 50; k++)
    assert_int_equal(pwrite(fd, "\xff\x80\x01", 3, 100 + k * 37), 3);
  close(fd);
  d = read_found(source("parquet", "damaged.parquet", NULL));
  assert_true(d.st == ST_OK || d.st == ST_DATA);
  data_free(&d);
}

/* ---- Globs ---- */

static const char *files_of(const char *path) {
  static char t[2000];
  Arena a;
  const char **v;
  uint32_t n;
  Err e = {0};
  EngineSource s = source("csv", path, NULL);
  size_t k = 0;
  arena_init(&a, NULL);
  t[0] = 0;
  if (engine_files(&a, &s, &v, &n, &e) != ST_OK)
    snprintf(t, sizeof t, "%s %s", e.id, e.cause);
  else
    for (uint32_t i = 0; i < n; i++)
      k += (size_t)snprintf(t + k, sizeof t - k, "%s%s", i ? " " : "", v[i] + strlen(folder) + 1);
  arena_free(&a);
  return t;
}

static void globs(void **state) {
  (void)state;
  mkdir(in_folder("g"), 0777);
  mkdir(in_folder("g/sub"), 0777);
  mkdir(in_folder("g/sub/deep"), 0777);
  put("g/a1.csv", "x\n1\n");
  put("g/a10.csv", "x\n1\n");
  put("g/B.csv", "x\n1\n");
  put("g/.hidden.csv", "x\n1\n");
  put("g/sub/a2.csv", "x\n1\n");
  put("g/sub/deep/a3.csv", "x\n1\n");
  put("g/c[1].csv", "x\n7\n");
  assert_int_equal(symlink("..", in_folder("g/sub/up")), 0);
  assert_string_equal(files_of("g/a*.csv"), "g/a1.csv g/a10.csv");
  assert_string_equal(files_of("g/a?.csv"), "g/a1.csv");
  assert_string_equal(files_of("g/[!a-c]*.csv"), "g/B.csv");
  assert_string_equal(files_of("g/*/a?.csv"), "g/sub/a2.csv");
  assert_string_equal(files_of("g/**/a*.csv"), "g/a1.csv g/a10.csv g/sub/a2.csv g/sub/deep/a3.csv");
  assert_string_equal(files_of("g/c[1].csv"), "g/c[1].csv");
  assert_string_equal(files_of("g/x*.csv"), "CML0401 no file matches `g/x*.csv`");
  Data d = read_found(source("csv", "g/c[1].csv", NULL));
  no_error(&d);
  assert_string_equal(row(&d, 0), "7");
  data_free(&d);
}

/* ---- Writing ---- */

static void count_leftovers(const char *part) {
  char cmd[500];
  snprintf(cmd, sizeof cmd, "test -z \"$(ls -A '%s' | grep '%s')\"", folder, part);
  assert_int_equal(system(cmd), 0);
}

/* Rows of every kind, written in uneven pieces, with nulls, and read back. */
static void write_and_read(void **state) {
  (void)state;
  enum { N = 5000, PIECE = 700 };
  static const IrColumn col[] = {{"b", KIND_BOOL, true},     {"i", KIND_INT, true},
                                 {"f", KIND_FLOAT, true},    {"s", KIND_STRING, true},
                                 {"c", KIND_CATEGORY, true}, {"t", KIND_TIMESTAMP, true},
                                 {"d", KIND_DATE, true},     {"u", KIND_DURATION, true}};
  static const char *const name[] = {"out.parquet", "out.csv"};
  uint32_t off[] = {0, 1, 30};
  Dict dict = {2, off, (char *)"xa text longer than twelve, o.k.", 0};
  for (int csv = 0; csv < 2; csv++) {
    Err e = {0};
    Writer *w = NULL;
    uint64_t bytes = 0;
    assert_int_equal(writer_open(in_folder(name[csv]), col, 8, &w, &e), ST_OK);
    for (int from = 0; from < N; from += PIECE) {
      uint32_t m = from + PIECE < N ? PIECE : (uint32_t)(N - from);
      uint8_t b[PIECE], null[PIECE];
      int64_t i[PIECE], t[PIECE], day[PIECE];
      double f[PIECE];
      uint32_t code[PIECE];
      for (uint32_t r = 0; r < m; r++) {
        int64_t x = from + (int64_t)r;
        b[r] = x % 2;
        i[r] = x * x - 1000;
        f[r] = (double)x / 7;
        code[r] = (uint32_t)(x % 2);
        t[r] = x * 1000003;
        day[r] = x - 2500;
        null[r] = x % 11 == 3;
      }
      Col c[8] = {{.type = IR_BOOL, .b = b, .null = null},
                  {.type = IR_I64, .i = i, .null = null},
                  {.type = IR_F64, .f = f, .null = null},
                  {.type = IR_STR, .code = code, .dict = &dict, .null = null},
                  {.type = IR_STR, .code = code, .dict = &dict, .constant = true},
                  {.type = IR_I64, .i = t, .null = null},
                  {.type = IR_I64, .i = day},
                  {.type = IR_I64, .i = i}};
      assert_int_equal(writer_put(w, c, m, &e), ST_OK);
    }
    assert_int_equal(writer_commit(w, &bytes, &e), ST_OK);
    struct stat st;
    assert_int_equal(stat(in_folder(name[csv]), &st), 0);
    assert_int_equal(st.st_size, bytes);
    Data d = read_all(source(csv ? "csv" : "parquet", name[csv], NULL), col, 8);
    no_error(&d);
    assert_int_equal(d.rows, N);
    for (int x = 0; x < N; x++) {
      char want[300], num[NUM_MAX], ts[NUM_MAX], day[NUM_MAX];
      num_print_f64(num, (double)x / 7, true);
      num_print_timestamp(ts, x * INT64_C(1000003));
      num_print_date(day, x - 2500);
      /* constant: row 0 of its piece */
      const char *first = (x / PIECE * PIECE) % 2 ? "a text longer than twelve, o.k." : "x";
      if (strlen(first) > 1)
        first = "a text longer than twelve, o.";
      if (x % 11 == 3)
        snprintf(want, sizeof want, "null|null|null|null|%s|null|%s|%d", first, day, x * x - 1000);
      else
        snprintf(want, sizeof want, "%s|%d|%s|%s|%s|%s|%s|%d", x % 2 ? "true" : "false", x * x - 1000, num,
                 x % 2 ? "a text longer than twelve, o." : "x", first, ts, day, x * x - 1000);
      if (strcmp(row(&d, (uint64_t)x), want) != 0)
        fail_msg("row %d: %s, not %s", x, row(&d, (uint64_t)x), want);
    }
    data_free(&d);
  }
  count_leftovers("tmp-");
}

static Status write_ints(const char *path, int blocks, bool commit, Err *e) {
  IrColumn col = {"i", KIND_INT, false};
  Writer *w;
  int64_t v[4096];
  uint64_t x = 88172645463325252u;
  if (writer_open(path, &col, 1, &w, e) != ST_OK)
    return e->code;
  for (int k = 0; k < blocks; k++) {
    for (int i = 0; i < 4096; i++) {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
      v[i] = (int64_t)x;
    }
    Col c = {.type = IR_I64, .i = v};
    if (writer_put(w, &c, 4096, e) != ST_OK) {
      writer_abort(w);
      return e->code;
    }
  }
  if (commit)
    return writer_commit(w, NULL, e);
  writer_abort(w);
  return ST_OK;
}

static void whole_or_not_at_all(void **state) {
  (void)state;
  Err e = {0};
  put("keep.parquet", "old");
  assert_int_equal(write_ints(in_folder("keep.parquet"), 100, false, &e), ST_OK);
  struct stat st;
  assert_int_equal(stat(in_folder("keep.parquet"), &st), 0);
  assert_int_equal(st.st_size, 3);
  assert_int_equal(write_ints(in_folder("keep.parquet"), 0, true, &e), ST_OK); /* no rows: still a table */
  Data d = read_found(source("parquet", "keep.parquet", NULL));
  no_error(&d);
  assert_int_equal(d.rows, 0);
  data_free(&d);
  assert_int_equal(write_ints(in_folder("nowhere/x.parquet"), 1, true, &e), ST_RESOURCE);
  assert_string_equal(e.id, "CML0512");
  assert_non_null(strstr(e.cause, "nowhere/x.parquet"));
  err_clear(&e);
  assert_int_equal(write_ints(in_folder("x.json"), 1, true, &e), ST_USAGE);
  err_clear(&e);
  /* The disk is full: files may not grow beyond 1 MB here. */
  struct rlimit old, limit;
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &old);
  limit = old;
  limit.rlim_cur = 1 << 20;
  setrlimit(RLIMIT_FSIZE, &limit);
  Status full = write_ints(in_folder("full.parquet"), 400, true, &e);
  setrlimit(RLIMIT_FSIZE, &old);
  assert_int_equal(full, ST_RESOURCE);
  assert_non_null(strstr(e.cause, "full.parquet"));
  count_leftovers("full");
  count_leftovers("tmp-");
}

/* ---- Memory ---- */

static void failing_memory(void **state) {
  (void)state;
  put("mem.csv", "i,s\n1,a\n2,a text longer than twelve bytes\n3,\n");
  IrColumn col[] = {{"i", KIND_INT, false}, {"s", KIND_STRING, true}};
  bool done = false;
  for (int n = 1; n < 400 && !done; n += n < 40 ? 1 : 7) {
    mem_fail_at(n);
    Data d = read_all(source("csv", "mem.csv", NULL), col, 2);
    done = d.st == ST_OK;
    mem_fail_at(0);
    if (!done)
      assert_int_equal(d.st, ST_RESOURCE);
    data_free(&d);
  }
  assert_true(done);
  for (int n = 1; n < 30; n++) {
    Err e = {0};
    mem_fail_at(n);
    Status st = write_ints(in_folder("mem.parquet"), 1, true, &e);
    mem_fail_at(0);
    assert_true(st == ST_OK || st == ST_RESOURCE);
  }
  count_leftovers("tmp-");
}

static void no_library(void **state) {
  (void)state;
  const char *now = getenv("CML_DUCKDB");
  char *saved = now ? strdup(now) : NULL;
  put("lib.csv", "i\n1\n");
  put("lib.json", "{\"i\": 1}\n");
  put("lib.parquet", "PAR1");
  setenv("CML_DUCKDB", in_folder("no-such-library.so"), 1);
  Data d = read_found(source("parquet", "lib.parquet", NULL));
  Data csv = read_found(source("csv", "lib.csv", NULL)), json = read_found(source("json", "lib.json", NULL));
  if (saved)
    setenv("CML_DUCKDB", saved, 1);
  else
    unsetenv("CML_DUCKDB");
  free(saved);
  expect_error(&d, ST_RESOURCE, "CML0510", "DuckDB");
  no_error(&csv); /* which needs none */
  no_error(&json);
  data_free(&csv);
  data_free(&json);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parquet_types),
      cmocka_unit_test(parquet_as_other),
      cmocka_unit_test(parquet_nulls),
      cmocka_unit_test(parquet_times),
      cmocka_unit_test(block_borders),
      cmocka_unit_test(several_files),
      cmocka_unit_test(broken_files),
      cmocka_unit_test(globs),
      cmocka_unit_test(write_and_read),
      cmocka_unit_test(whole_or_not_at_all),
      cmocka_unit_test(failing_memory),
      cmocka_unit_test(no_library),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
