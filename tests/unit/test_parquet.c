/* SPDX-License-Identifier: Apache-2.0 */
/* Parquet files that are read without DuckDB: what DuckDB writes, in all codecs, over several blocks and row
 * groups; bytes that were changed; Snappy by hand; pages that ask for more memory than rows need. Files of
 * other writers: tests/oracle/test_parquet.py. */
#include <fcntl.h>
#include <zstd.h>

#include "base/hash.h"
#include "tests/unit/engine_data.h"
#include "vm/engine/parquet_write.h"
#include "vm/engine/parts.h"

static const IrColumn col[] = {{"i", KIND_INT, false},   {"d", KIND_FLOAT, true},
                               {"f", KIND_FLOAT, true},  {"k", KIND_INT, true},
                               {"b", KIND_BOOL, true},   {"few", KIND_CATEGORY, true},
                               {"many", KIND_STRING, true}, {"at", KIND_TIMESTAMP, true}};
enum { NCOL = sizeof col / sizeof *col };

static void make_file(const char *name, uint32_t n, const char *codec, uint32_t group) {
  char sql[700], how[100];
  snprintf(sql, sizeof sql,
           "SELECT i, CASE WHEN i %% 3 > 0 THEN i / 4 END AS d,"
           " CASE WHEN i %% 7 > 0 THEN (i / 2)::FLOAT END AS f,"
           " CASE WHEN i %% 5 > 0 THEN (i %% 11)::INTEGER END AS k,"
           " CASE WHEN i %% 4 > 0 THEN i %% 13 = 0 END AS b,"
           " CASE WHEN i < 70000 THEN 'level ' || (i %% 7) END AS few, 'a longer text ' || i AS many,"
           " make_timestamp(i * 1000000) AS at FROM (SELECT i::BIGINT AS i FROM range(%u) t(i)) ORDER BY i",
           n);
  snprintf(how, sizeof how, "FORMAT parquet, ROW_GROUP_SIZE %u, COMPRESSION %s", group, codec);
  make(name, sql, how);
}

static void check_row(const Data *d, uint64_t i) {
  char want[300], d4[30], d2[30], k[30], few[30] = "null";
  snprintf(d4, sizeof d4, i % 2 ? "%.2f" : "%.1f", (double)i / 4);
  snprintf(d2, sizeof d2, "%.1f", (double)i / 2);
  snprintf(k, sizeof k, "%d", (int)(i % 11));
  if (i < 70000)
    snprintf(few, sizeof few, "level %d", (int)(i % 7));
  snprintf(want, sizeof want, "%d|%s|%s|%s|%s|%s|a longer text %d|", (int)i, i % 3 ? d4 : "null",
           i % 7 ? d2 : "null", i % 5 ? k : "null", i % 4 == 0 ? "null" : i % 13 ? "false" : "true", few,
           (int)i);
  if (strncmp(row(d, i), want, strlen(want)) != 0)
    fail_msg("row %d: %s, not %s", (int)i, row(d, i), want);
}

static void names(const char *name[NCOL]) {
  for (uint32_t k = 0; k < NCOL; k++)
    name[k] = col[k].name;
}

static void codecs(void **state) {
  (void)state;
  static const char *const codec[] = {"uncompressed", "snappy", "gzip", "zstd"};
  static const uint32_t group[] = {30000, 122880, 50000, 1000000};
  uint32_t n = 2 * (uint32_t)BLOCK + 777;
  for (int c = 0; c < 4; c++) {
    make_file("codec.parquet", n, codec[c], group[c]);
    const char *name[NCOL];
    PqFile *f;
    names(name);
    Err e = {0};
    assert_int_equal(pq_open(in_folder("codec.parquet"), name, NCOL, &f, &e), ST_OK);
    assert_non_null(f); /* none of them is left to DuckDB */
    pq_drop(f);
    Data d = read_all(source("parquet", "codec.parquet", NULL), col, NCOL);
    no_error(&d);
    assert_int_equal(d.rows, n);
    for (uint64_t i = 0; i < n; i += 1 + i % 3)
      check_row(&d, i);
    data_free(&d);
  }
}

/* All pages of a file that may be damaged. */
static void walk_all(const char *path) {
  const char *name[NCOL];
  PqFile *f = NULL;
  PqWalk w = {0};
  Err e = {0};
  names(name);
  pq_open(path, name, NCOL, &f, &e);
  for (uint32_t i = 0; f && i < NCOL * f->ngroup; i++) {
    Err no = {0};
    PqSlice s;
    uint64_t rows = f->first[i / NCOL + 1] - f->first[i / NCOL];
    if (pq_walk_begin(&w, f, i / NCOL, i % NCOL, &no) != ST_OK)
      continue;
    for (uint64_t at = 0; at < rows && at < 1000 && pq_walk(&w, at, 64, &s, &no) == ST_OK; at += s.n)
      assert_in_range(s.n, 1, 64);
  }
  pq_walk_free(&w);
  pq_drop(f);
}

/* Any byte may be wrong: an error or other values, never more. */
static void changed_bytes(void **state) {
  (void)state;
  static const char *const codec[] = {"uncompressed", "snappy", "zstd"};
  static uint8_t text[1 << 16], bad[1 << 16];
  for (uint32_t c = 0; c < 3; c++) {
    make_file("good.parquet", 300, codec[c], 200);
    int fd = open(in_folder("good.parquet"), O_RDONLY);
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    assert_true(n > 0 && n < (ssize_t)sizeof text);
    for (uint64_t k = 0; k < 400; k++) {
      uint64_t at = rng_word(c, k) % (uint64_t)n;
      memcpy(bad, text, (size_t)n);
      bad[at] ^= (uint8_t)(1 + rng_word(17, k) % 255);
      if (k % 3 == 0)
        bad[(at + 1) % (uint64_t)n] = 255;
      fd = open(in_folder("bad.parquet"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      assert_int_equal(write(fd, bad, (size_t)n), n);
      close(fd);
      walk_all(in_folder("bad.parquet"));
    }
  }
}

/* ---- Columns without DuckDB are those that DuckDB has ---- */

/* Whether our reader knew them. */
static bool same_columns(const char *const *path, uint32_t npath, const char *what, bool damaged) {
  Arena a;
  EngineColumn *own = NULL, *duck = NULL;
  uint32_t n = 0, m = 0;
  Err e = {0};
  arena_init(&a, NULL);
  assert_int_equal(parquet_columns_own(&a, path, npath, &own, &n, &e), ST_OK);
  if (own && parquet_columns_duck(&a, path, npath, &duck, &m, &e) != ST_OK && damaged) {
    arena_free(&a); /* where nobody needs it: a logical type, an encoding */
    return true;
  }
  if (e.code)
    fail_msg("%s: only DuckDB has an error: %s", what, e.cause);
  if (own && n != m)
    fail_msg("%s: %u columns, not %u", what, n, m);
  for (uint32_t k = 0; own && k < n; k++)
    if (strcmp(own[k].name, duck[k].name) != 0 || own[k].kind != duck[k].kind ||
        own[k].nullable != duck[k].nullable || !own[k].why != !duck[k].why ||
        (own[k].why && strcmp(own[k].why, duck[k].why) != 0))
      fail_msg("%s: `%s` %d %d %s, not `%s` %d %d %s", what, own[k].name, own[k].kind, own[k].nullable,
               own[k].why ? own[k].why : "", duck[k].name, duck[k].kind, duck[k].nullable,
               duck[k].why ? duck[k].why : "");
  arena_free(&a);
  return own != NULL;
}

static bool same_file(const char *name) {
  const char *path = in_folder(name);
  return same_columns(&path, 1, name, false);
}

static void columns_of_files(void **state) {
  (void)state;
  static const struct {
    const char *type;
    bool own;
  } type[] = {{"BOOLEAN", true},    {"TINYINT", true},      {"SMALLINT", true},      {"INTEGER", true},
              {"BIGINT", true},     {"UTINYINT", true},     {"USMALLINT", true},     {"UINTEGER", true},
              {"UBIGINT", true},    {"FLOAT", true},        {"DOUBLE", true},        {"VARCHAR", true},
              {"BLOB", true},       {"DATE", true},         {"TIMESTAMP", true},     {"TIMESTAMP_S", true},
              {"TIMESTAMP_MS", true}, {"TIMESTAMP_NS", true}, {"TIMESTAMPTZ", true},  {"HUGEINT", true},
              {"DECIMAL(9,2)", false}, {"UUID", false},     {"TIME", false},         {"INTERVAL", false},
              {"INTEGER[]", false}, {"STRUCT(a INT)", false}};
  for (size_t i = 0; i < sizeof type / sizeof *type; i++) {
    char sql[300];
    snprintf(sql, sizeof sql,
             "SELECT i AS k, CASE WHEN i > 1 THEN NULL::%s END AS x, 'a' AS \"Zürich \"\"q\""
             " FROM range(3) t(i)",
             type[i].type);
    make("type.parquet", sql, "FORMAT parquet");
    if (same_file("type.parquet") != type[i].own)
      fail_msg("%s: by %s", type[i].type, type[i].own ? "DuckDB" : "us");
  }
  PARQUET("none.parquet", "SELECT 1 AS k, 2.5::DOUBLE AS d WHERE false");
  assert_true(same_file("none.parquet"));
  PARQUET("capitals.parquet", "SELECT 1 AS k, 2 AS k2, 3 AS duckdb_schema");
  assert_false(same_file("capitals.parquet")); /* the schema has such a name itself */
  make_file("good.parquet", 300, "snappy", 200);
  assert_true(same_file("good.parquet"));
}

static void columns_of_several(void **state) {
  (void)state;
  PARQUET("0.parquet", "SELECT i AS k, i * 0.5::DOUBLE AS d, 'x' AS s FROM range(9) t(i)");
  PARQUET("1.parquet", "SELECT CASE WHEN i <> 4 THEN i END AS k, 'y' AS s FROM range(9) t(i)");
  PARQUET("2.parquet", "SELECT 'z' AS s, 1 AS K");
  PARQUET("3.parquet", "SELECT [1] AS l");
  const char *path[4];
  char name[20];
  for (int i = 0; i < 4; i++) {
    snprintf(name, sizeof name, "%d.parquet", i);
    path[i] = in_folder(name);
  }
  assert_true(same_columns(path, 2, "two files", false));
  assert_true(same_columns(path, 3, "three files", false));
  assert_false(same_columns(path, 4, "with a list", false));
}

/* The same of footers with wrong bytes, where both still have columns. */
static void columns_of_changed(void **state) {
  (void)state;
  static uint8_t text[1 << 16];
  uint32_t own = 0;
  make_file("good.parquet", 300, "snappy", 200);
  int fd = open(in_folder("good.parquet"), O_RDONLY);
  ssize_t n = read(fd, text, sizeof text);
  close(fd);
  assert_true(n > 8 && n < (ssize_t)sizeof text);
  uint32_t size;
  memcpy(&size, text + n - 8, 4);
  for (uint64_t k = 0; k < 1500; k++) {
    uint64_t at = (uint64_t)n - 8 - size + rng_word(5, k) % size;
    uint8_t was = text[at];
    char what[80];
    text[at] ^= (uint8_t)(k % 2 ? 1u << k / 2 % 8 : 1 + rng_word(6, k) % 255);
    fd = open(in_folder("bad.parquet"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, text, (size_t)n), n);
    close(fd);
    snprintf(what, sizeof what, "footer byte %d: %d", (int)(at - ((uint64_t)n - 8 - size)), text[at]);
    const char *path = in_folder("bad.parquet");
    own += same_columns(&path, 1, what, true);
    text[at] = was;
  }
  assert_true(own > 200);
}

static void snappy(void **state) {
  (void)state;
  uint8_t out[400];
  const uint8_t copy[] = {10, 2 << 2, 'a', 'b', 'c', (7 - 4) << 2 | 1, 3};
  assert_true(snappy_decode(copy, sizeof copy, out, 10));
  assert_memory_equal(out, "abcabcabca", 10);
  const uint8_t far[] = {4, 0, 'a', (4 - 4) << 2 | 1, 2};
  const uint8_t more[] = {2, 0, 'a'}, less[] = {1, 1 << 2, 'a', 'b'};
  assert_false(snappy_decode(far, sizeof far, out, 4)); /* copies what is not there */
  assert_false(snappy_decode(more, sizeof more, out, 2));
  assert_false(snappy_decode(less, sizeof less, out, 1));
  assert_false(snappy_decode(copy, sizeof copy, out, 11)); /* another length than it was told */
  assert_true(snappy_decode((const uint8_t[]){0}, 1, out, 0));
  assert_false(snappy_decode(NULL, 0, out, 0));
  for (uint64_t k = 0; k < 20000; k++) {
    uint8_t in[40];
    for (uint32_t i = 0; i < sizeof in; i++)
      in[i] = (uint8_t)rng_word(k, i);
    in[0] = 200;
    in[1] = 1; /* 200 bytes */
    in[2] = (uint8_t)(in[2] & 31) << 2;
    snappy_decode(in, sizeof in, out, 200);
  }
}

/* Tags of all kinds that make `nout` bytes, at `in`; what they make, byte by byte, at `out`. */
static size_t snappy_make(uint64_t seed, uint8_t *in, uint8_t *out, size_t nout) {
  uint8_t *p = in;
  size_t n = 0;
  for (size_t v = nout; v > 127 || (*p++ = (uint8_t)v, 0); v >>= 7)
    *p++ = (uint8_t)(v | 128);
  for (uint64_t k = 0; n < nout; k++) {
    uint64_t w = rng_word(seed, k);
    uint32_t kind = n ? (uint32_t)w & 3 : 0, most = kind == 1 ? 11 : 64, back = (uint32_t)(w >> 32);
    uint32_t len = 4 + (uint32_t)(w >> 8 & 63) % (most - 3);
    if (kind == 0 && w >> 24 & 1)
      len = 1 + (uint32_t)(w >> 8 & 127);
    if (kind && len > nout - n)
      kind = 0;
    len = len > nout - n ? (uint32_t)(nout - n) : len;
    back = 1 + back % (w >> 25 & 1 ? 20 : kind == 1 ? 2047 : 60000);
    back = back > n ? (uint32_t)n : back;
    if (kind == 0 && len > 60)
      *p++ = 60 << 2, *p++ = (uint8_t)(len - 1);
    else if (kind == 1)
      *p++ = (uint8_t)(back >> 8 << 5 | (len - 4) << 2 | 1), *p++ = (uint8_t)back;
    else
      *p++ = (uint8_t)((len - 1) << 2 | kind);
    for (uint32_t i = 0; kind > 1 && i < (kind == 2 ? 2 : 4); i++)
      *p++ = (uint8_t)(back >> (8 * i));
    for (uint32_t i = 0; i < len; i++, n++) {
      out[n] = kind ? out[n - back] : (uint8_t)(w >> (i & 31));
      if (!kind)
        *p++ = out[n];
    }
  }
  return (size_t)(p - in);
}

/* Long enough for what looks at many bytes at once; and the same with bytes that are wrong. */
static void snappy_long(void **state) {
  (void)state;
  enum { MOST = 3000, BEHIND = 64 };
  uint8_t *want = malloc(MOST);
  for (uint64_t k = 0; k < 3000; k++) {
    size_t n = rng_word(99, k) % MOST;
    uint8_t *in = malloc(3 * MOST), *out = malloc(n + BEHIND), *exact;
    size_t m = snappy_make(k, in, want, n);
    exact = malloc(m); /* no byte behind it */
    memcpy(exact, in, m);
    assert_true(snappy_decode(exact, m, out, n));
    assert_memory_equal(out, want, n);
    for (uint32_t i = 0; i < 4 && m > 2; i++)
      exact[2 + rng_word(k, i) % (m - 2)] ^= (uint8_t)(1 + (rng_word(k, i) >> 40) % 255);
    snappy_decode(exact, m, out, n);
    free(in);
    free(out);
    free(exact);
  }
  free(want);
}

/* ---- Pages that become much larger than they are ---- */

typedef struct Bomb { /* a page of zeros, and what its header says */
  bool dict;
  uint32_t rows, n;
  size_t plain;
} Bomb;

static void put_page(Buf *b, Bomb x) {
  int last = 0, in = 0;
  size_t most = ZSTD_compressBound(x.plain);
  void *zeros = calloc(1, x.plain), *packed = malloc(most);
  size_t n = ZSTD_compress(packed, most, zeros, x.plain, 1);
  assert_true(n < x.plain / 1000);
  thrift_put_number(b, &last, 1, THRIFT_I32, x.dict ? 2 : 0);
  thrift_put_number(b, &last, 2, THRIFT_I32, (int64_t)x.plain);
  thrift_put_number(b, &last, 3, THRIFT_I32, (int64_t)n);
  thrift_put_field(b, &last, x.dict ? 7 : 5, THRIFT_STRUCT);
  thrift_put_number(b, &in, 1, THRIFT_I32, x.n);
  thrift_put_number(b, &in, 2, THRIFT_I32, 0);
  buf_u8(b, 0);
  buf_u8(b, 0);
  buf_put(b, packed, n);
  free(zeros);
  free(packed);
}

/* A file with one row group of one column, whose first page it is. */
static void put_bomb(const IrColumn *c, Bomb x) {
  PqPut p = {.from = 0, .codec = PQ_ZSTD, .coded = x.dict, .plain = x.plain};
  PqGroup g = {.n = x.rows, .put = &p};
  PqFooter f = {.at = 4};
  Buf out = {0};
  put_page(&g.bytes, x);
  p.data = x.dict ? g.bytes.n : 0;
  p.end = g.bytes.n;
  buf_put(&out, "PAR1", 4);
  buf_put(&out, g.bytes.p, g.bytes.n);
  pq_footer_group(&f, c, 1, &g);
  pq_footer_end(&f, c, 1, &out);
  assert_false(out.bad || g.bytes.bad);
  int fd = open(in_folder("bomb.parquet"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_int_equal(write(fd, out.p, out.n), out.n);
  close(fd);
  buf_free(&out);
  buf_free(&g.bytes);
  buf_free(&f.groups);
}

static void expect_bomb(const IrColumn *c, Bomb x, Status st, const char *id, const char *part) {
  Reader *r;
  Block *b = NULL;
  uint32_t seq;
  RowErrors errors = {0};
  Data d = {0};
  EngineSource s = source("parquet", "bomb.parquet", NULL);
  put_bomb(c, x);
  assert_int_equal(reader_open(&s, c, 1, UINT64_C(64) << 20, &r, &d.err), ST_OK);
  d.st = reader_next(r, &b, &seq, &errors, &d.err);
  reader_close(r);
  expect_error(&d, st, id, part);
}

static void bombs(void **state) {
  (void)state;
  enum { MB = 1 << 20 };
  static const IrColumn number = {"x", KIND_FLOAT, true}, yes = {"y", KIND_BOOL, true},
                        text = {"t", KIND_STRING, true};
  const char *large = "a page has more bytes than its values";
  expect_bomb(&number, (Bomb){false, 3, 3, 60 * MB}, ST_DATA, "CML0403", large);
  expect_bomb(&yes, (Bomb){false, 3, 3, 60 * MB}, ST_DATA, "CML0403", large);
  expect_bomb(&number, (Bomb){true, 3, 3, 60 * MB}, ST_DATA, "CML0403", large);
  expect_bomb(&number, (Bomb){false, 3, 9 * MB, 60 * MB}, ST_DATA, "CML0403",
              "a column has more values than its row group has rows");
  expect_bomb(&text, (Bomb){false, 3, 3, 100 * MB}, ST_RESOURCE, "CML0502", "a page takes 100 MB of memory");
  expect_bomb(&text, (Bomb){true, 3, 10 * MB, 40 * MB}, ST_RESOURCE, "CML0502", "a page takes 160 MB of");
  expect_bomb(&text, (Bomb){false, 3, 3, 60 * MB}, ST_DATA, "CML0403", "the levels of a page"); /* was read */
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(codecs),
                                     cmocka_unit_test(changed_bytes),
                                     cmocka_unit_test(columns_of_files),
                                     cmocka_unit_test(columns_of_several),
                                     cmocka_unit_test(columns_of_changed),
                                     cmocka_unit_test(snappy),
                                     cmocka_unit_test(snappy_long),
                                     cmocka_unit_test(bombs)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
