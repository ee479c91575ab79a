/* SPDX-License-Identifier: Apache-2.0 */
/* Parquet files that are written here: every type, nulls, dictionaries that overflow, pieces of all sizes,
 * read back by our reader and by DuckDB; the same bytes however the rows came to be encoded. */
#include <fcntl.h>

#include "base/hash.h"
#include "tests/unit/engine_data.h"
#include "vm/engine/parquet_write.h"

/* ---- Snappy ---- */

static void fill(uint8_t *p, size_t n, int way) {
  static const char words[] = "a page of a column chunk of a row group of a file, ";
  for (size_t i = 0; i < n; i++) {
    double x = (double)(i / 8 % 1000);
    uint64_t r = rng_word(7, i);
    switch (way) {
    case 0: p[i] = (uint8_t)r; break;
    case 1: p[i] = 0; break;
    case 2: p[i] = ((uint8_t *)&x)[i % 8]; break;
    case 3: p[i] = (uint8_t)words[(i + (r % 97 == 0)) % (sizeof words - 1)]; break;
    default: p[i] = i / 3000 % 2 ? (uint8_t)r : (uint8_t)(i % (2 + (uint32_t)way)); break;
    }
  }
}

static void snappy_there_and_back(void **state) {
  (void)state;
  static const size_t size[] = {0,   1,   3,   4,    15,   16,   17,   18,    20,    32,    60,    61,     62,
                                255, 256, 257, 2047, 2048, 2049, 5000, 65535, 65536, 65537, 65552, 131072,
                                200001};
  uint16_t *table = malloc(SNAPPY_TABLE * sizeof *table);
  for (size_t s = 0; s < sizeof size / sizeof *size; s++) {
    for (int way = 0; way < 70; way += way < 5 ? 1 : 13) {
      size_t n = size[s], most = snappy_most(n);
      uint8_t *in = malloc(n + 1), *packed = malloc(most), *out = malloc(n + 16);
      fill(in, n, way);
      size_t k = snappy_encode(in, n, packed, table);
      assert_true(k <= most);
      if (way == 1 && n >= 2048)
        assert_true(k < n / 15);
      assert_true(snappy_decode(packed, k, out, n));
      assert_memory_equal(in, out, n);
      free(in);
      free(packed);
      free(out);
    }
  }
  free(table);
}

/* ---- Tables ---- */

enum { N = 150000, NCOL = 14, MOST = 65536, TEXT = 400 };
static const IrColumn column[NCOL] = {
    {"b", KIND_BOOL, true},      {"run", KIND_BOOL, true},     {"i", KIND_INT, true},
    {"f", KIND_FLOAT, true},     {"few", KIND_FLOAT, true},    {"word", KIND_CATEGORY, true},
    {"many", KIND_STRING, true}, {"long", KIND_STRING, true},  {"t", KIND_TIMESTAMP, true},
    {"d", KIND_DATE, true},      {"u", KIND_DURATION, true},   {"none", KIND_FLOAT, true},
    {"one", KIND_STRING, true}, {"Zürich \"x\"", KIND_INT, true}};

static uint64_t rnd(uint32_t k, uint64_t row) {
  return rng_word(k + 1000, row);
}

static bool is_null(uint32_t k, uint64_t row) {
  switch (k) {
  case 0: return row % 11 == 3;
  case 3: return rnd(77, row) % 5 == 0;
  case 4: return row / 500 % 3 == 1; /* runs of them, some pieces whole */
  case 6: return rnd(78, row) % 100 == 0;
  case 9: return row > 70000 && row < 140000;
  case 11: return true;
  default: return false;
  }
}

static int64_t whole(uint32_t k, uint64_t row) {
  switch (k) {
  case 0: return (int64_t)(rnd(k, row) & 1);
  case 1: return (int64_t)(row / 1000 & 1);
  case 2: return (int64_t)rnd(k, row);
  case 8: return (int64_t)(rnd(k, row) % 4000000000000000) - 2000000000000000;
  case 9: return (int64_t)(rnd(k, row) % 60000) - 20000;
  case 10: return (int64_t)row * 1000;
  default: return row < 80000 ? (int64_t)(row % 4500) : -5; /* a dictionary that is full in some groups */
  }
}

static double real(uint32_t k, uint64_t row) {
  if (k == 4)
    return (double)(rnd(k, row) % 9) / 4;
  return (double)(int64_t)rnd(k, row) / 3e9;
}

static void text(uint32_t k, uint64_t row, char *out) {
  static const char *const word[] = {"", "a", "twelve bytes", "thirteen byte", "Z\303\274rich",
                                     "\360\237\230\200"};
  if (k == 5)
    strcpy(out, word[rnd(k, row) % 6]);
  else if (k == 6)
    sprintf(out, "text %u", (unsigned)(rnd(k, row) % 60000));
  else if (k == 7)
    sprintf(out, "%0*u", rnd(k, row) % 50 ? 3 : 300, (unsigned)(rnd(k, row) % 700));
  else
    strcpy(out, "always the same");
}

typedef struct Piece { /* rows of it as columns */
  uint32_t n;
  Col col[NCOL];
  Dict dict[NCOL];
} Piece;

static int same_text(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Texts: each its own entry, or sorted without those that are there twice. */
static void piece_texts(Piece *p, uint32_t k, uint64_t from, bool sorted) {
  char **all = malloc((p->n + 1) * sizeof *all), **entry = malloc((p->n + 1) * sizeof *entry);
  Dict *d = &p->dict[k];
  uint32_t n = 0, size = 0;
  for (uint32_t r = 0; r < p->n; r++) {
    all[r] = malloc(TEXT);
    text(k, from + r, all[r]);
    entry[r] = all[r];
  }
  if (sorted)
    qsort(entry, p->n, sizeof *entry, same_text);
  d->off = calloc(p->n + 1, sizeof *d->off);
  d->bytes = malloc((size_t)p->n * TEXT + 1);
  p->col[k].code = calloc(p->n + 1, sizeof(uint32_t));
  for (uint32_t r = 0; r < p->n; r++) {
    if (sorted && n && !strcmp(entry[r], entry[n - 1]))
      continue;
    memcpy(d->bytes + size, entry[r], strlen(entry[r]));
    size += (uint32_t)strlen(entry[r]);
    entry[n] = entry[r];
    d->off[++n] = size;
  }
  d->n = n;
  for (uint32_t r = 0; r < p->n; r++) {
    char **at = sorted ? bsearch(&all[r], entry, n, sizeof *entry, same_text) : &entry[r];
    if (!is_null(k, from + r))
      p->col[k].code[r] = (uint32_t)(at - entry);
  }
  for (uint32_t r = 0; r < p->n; r++)
    free(all[r]);
  free(all);
  free(entry);
}

static Piece *piece_new(uint64_t from, uint32_t n, bool sorted) {
  Piece *p = calloc(1, sizeof *p);
  p->n = n;
  for (uint32_t k = 0; k < NCOL; k++) {
    Col *c = &p->col[k];
    c->type = (uint8_t)kind_ir((Kind)column[k].kind);
    bool any = false;
    c->null = calloc(n + 1, 1);
    for (uint32_t r = 0; r < n; r++)
      any |= c->null[r] = is_null(k, from + r);
    if (!any && k % 2) { /* none are told in different ways */
      free(c->null);
      c->null = NULL;
    }
    if (c->type == IR_STR) {
      c->dict = &p->dict[k];
      piece_texts(p, k, from, sorted);
      c->constant = k == 12;
      continue;
    }
    c->i = calloc(n + 1, sizeof(int64_t));
    for (uint32_t r = 0; r < n; r++) {
      if (is_null(k, from + r))
        continue;
      if (c->type == IR_BOOL)
        c->b[r] = (uint8_t)whole(k, from + r);
      else if (c->type == IR_F64)
        c->f[r] = real(k, from + r);
      else
        c->i[r] = whole(k, from + r);
    }
  }
  return p;
}

static void piece_free(Piece *p) {
  for (uint32_t k = 0; k < NCOL; k++) {
    free(p->col[k].null);
    free(p->col[k].i);
    free(p->dict[k].off);
    free(p->dict[k].bytes);
  }
  free(p);
}

static void expected(uint64_t row, char *out) {
  for (uint32_t k = 0; k < NCOL; k++) {
    char t[TEXT] = "null";
    if (!is_null(k, row)) {
      switch (column[k].kind) {
      case KIND_BOOL: strcpy(t, whole(k, row) ? "true" : "false"); break;
      case KIND_FLOAT: num_print_f64(t, real(k, row), true); break;
      case KIND_DATE: num_print_date(t, whole(k, row)); break;
      case KIND_TIMESTAMP: num_print_timestamp(t, whole(k, row)); break;
      case KIND_STRING:
      case KIND_CATEGORY: text(k, row, t); break;
      default: num_print_i64(t, whole(k, row)); break;
      }
    }
    out += sprintf(out, "%s%s", k ? "|" : "", t);
  }
}

static void expect_table(const char *name) {
  Data d = read_all(source("parquet", name, NULL), column, NCOL);
  no_error(&d);
  assert_int_equal(d.rows, N);
  for (uint64_t r = 0; r < N; r++) {
    char want[NCOL * TEXT];
    expected(r, want);
    if (strcmp(row(&d, r), want) != 0)
      fail_msg("%s, row %d: %s, not %s", name, (int)r, row(&d, r), want);
  }
  data_free(&d);
}

/* Whole blocks, then few rows, then again many. */
static uint32_t piece_size(uint32_t k) {
  static const uint32_t size[] = {MOST, 10, 1, 20000, 8191, 8192, 8193, 500, 1000};
  return size[k % (sizeof size / sizeof *size)];
}

typedef enum { IN_TURN, FROM_THE_END } Order;

/* The table, its pieces encoded in some order and appended in theirs. */
static void write_table(const char *name, Order order, bool sorted) {
  Writer *w;
  Err e = {0};
  uint64_t bytes = 0;
  char digest[DATA_DIGEST], want[DATA_DIGEST];
  Piece *piece[64];
  Encoded x[64];
  uint32_t n = 0;
  assert_int_equal(writer_open(in_folder(name), column, NCOL, &w, &e), ST_OK);
  writer_digest(w, digest);
  for (uint64_t from = 0; from < N; from += piece[n++]->n) {
    uint64_t m = piece_size(n);
    piece[n] = piece_new(from, (uint32_t)(m < N - from ? m : N - from), sorted);
  }
  for (uint32_t i = 0; i < n && order == FROM_THE_END; i++) {
    uint32_t k = n - 1 - i;
    assert_int_equal(writer_encode(w, piece[k]->col, piece[k]->n, &x[k], &e), ST_OK);
  }
  for (uint32_t k = 0; k < n; k++) {
    if (order == FROM_THE_END)
      assert_int_equal(writer_append(w, &x[k], &e), ST_OK);
    else
      assert_int_equal(writer_put(w, piece[k]->col, piece[k]->n, &e), ST_OK);
    piece_free(piece[k]);
  }
  assert_int_equal(writer_commit(w, &bytes, &e), ST_OK);
  assert_int_equal(digest_data(in_folder(name), NULL, NULL, want, &e), ST_OK);
  assert_string_equal(digest, want);
}

static void same_bytes(const char *a, const char *b) {
  char cmd[900];
  snprintf(cmd, sizeof cmd, "cmp '%s' '%s'", in_folder(a), in_folder(b));
  assert_int_equal(system(cmd), 0);
}

/* Is it of those that our reader reads itself? */
static void read_by_us(const char *name, const IrColumn *col, uint32_t n) {
  const char *names[NCOL];
  PqFile *f;
  Err e = {0};
  for (uint32_t k = 0; k < n; k++)
    names[k] = col[k].name;
  assert_int_equal(pq_open(in_folder(name), names, n, &f, &e), ST_OK);
  assert_non_null(f);
  pq_drop(f);
}

static void copy_by_duckdb(const char *from, const char *to) {
  char select[500];
  snprintf(select, sizeof select, "SELECT * FROM read_parquet('%s')", in_folder(from));
  PARQUET(to, select);
}

static void every_type(void **state) {
  (void)state;
  write_table("a.parquet", IN_TURN, true);
  read_by_us("a.parquet", column, NCOL);
  expect_table("a.parquet");
  copy_by_duckdb("a.parquet", "copy.parquet");
  expect_table("copy.parquet");
  assert_string_equal(schema(source("parquet", "a.parquet", NULL)),
                      "b bool?, run bool, i int, f float?, few float?, word string, many string?, long string, "
                      "t timestamp, d date?, u int, none float?, one string, Zürich \"x\" int");
}

static void same_in_any_order(void **state) {
  (void)state;
  write_table("b.parquet", IN_TURN, false); /* other dictionaries */
  same_bytes("a.parquet", "b.parquet");
  write_table("b.parquet", FROM_THE_END, true);
  same_bytes("a.parquet", "b.parquet");
}

static void no_rows(void **state) {
  (void)state;
  Writer *w;
  Err e = {0};
  assert_int_equal(writer_open(in_folder("none.parquet"), column, NCOL, &w, &e), ST_OK);
  assert_int_equal(writer_commit(w, NULL, &e), ST_OK);
  read_by_us("none.parquet", column, NCOL);
  Data d = read_all(source("parquet", "none.parquet", NULL), column, NCOL);
  no_error(&d);
  assert_int_equal(d.rows, 0);
  data_free(&d);
  copy_by_duckdb("none.parquet", "copy.parquet");
}

/* As many columns as features may have, of which most are 0. */
static void wide(void **state) {
  (void)state;
  enum { WIDE = 4096, ROWS = 3000, PIECE = 2048 };
  IrColumn *col = calloc(WIDE, sizeof *col);
  Col *c = calloc(WIDE, sizeof *c);
  double *v = calloc((size_t)WIDE * PIECE, sizeof *v);
  char *names = calloc(WIDE, 16);
  Writer *w;
  Err e = {0};
  for (uint32_t k = 0; k < WIDE; k++) {
    snprintf(names + (size_t)16 * k, 16, "c%u", k);
    col[k] = (IrColumn){names + (size_t)16 * k, KIND_FLOAT, true};
    c[k] = (Col){.type = IR_F64, .f = v + (size_t)k * PIECE};
  }
  assert_int_equal(writer_open(in_folder("wide.parquet"), col, WIDE, &w, &e), ST_OK);
  for (uint32_t from = 0; from < ROWS; from += PIECE) {
    uint32_t n = ROWS - from < PIECE ? ROWS - from : PIECE;
    for (uint32_t k = 0; k < WIDE; k++)
      for (uint32_t r = 0; r < n; r++)
        c[k].f[r] = k % 1000 == 7 ? from + r + 0.5 : (from + r) % WIDE == k;
    assert_int_equal(writer_put(w, c, n, &e), ST_OK);
  }
  assert_int_equal(writer_commit(w, NULL, &e), ST_OK);
  IrColumn some[] = {col[0], col[7], col[2999], col[4007], col[4095]};
  read_by_us("wide.parquet", some, 5);
  char select[700];
  snprintf(select, sizeof select, "SELECT c0, c7, c2999, c4007, c4095 FROM read_parquet('%s')",
           in_folder("wide.parquet"));
  PARQUET("copy.parquet", select);
  for (int duck = 0; duck < 2; duck++) {
    Data d = read_all(source("parquet", duck ? "copy.parquet" : "wide.parquet", NULL), some, 5);
    no_error(&d);
    assert_int_equal(d.rows, ROWS);
    assert_string_equal(row(&d, 0), "1.0|0.5|0.0|0.5|0.0");
    assert_string_equal(row(&d, 2999), "0.0|2999.5|1.0|2999.5|0.0");
    assert_string_equal(row(&d, 2100), "0.0|2100.5|0.0|2100.5|0.0");
    data_free(&d);
  }
  free(col);
  free(c);
  free(v);
  free(names);
}

/* Each call for memory fails once: an error, nothing left, nothing lost. */
static void failing_memory(void **state) {
  (void)state;
  enum { ROWS = 9000 };
  Piece *big = piece_new(0, ROWS, true), *small = piece_new(ROWS, 100, true);
  bool done = false;
  for (int n = 1; n < 5000 && !done; n += n < 60 ? 1 : 9) {
    Err e = {0};
    Writer *w = NULL;
    char digest[DATA_DIGEST];
    mem_fail_at(n);
    Status st = writer_open(in_folder("mem.parquet"), column, NCOL, &w, &e);
    if (!st)
      writer_digest(w, digest);
    if (!st)
      st = writer_put(w, small->col, small->n, &e);
    if (!st)
      st = writer_put(w, big->col, big->n, &e);
    if (st)
      writer_abort(w);
    else
      st = writer_commit(w, NULL, &e);
    mem_fail_at(0);
    done = st == ST_OK;
    if (!done)
      assert_int_equal(st, ST_RESOURCE);
  }
  assert_true(done);
  piece_free(big);
  piece_free(small);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(snappy_there_and_back), cmocka_unit_test(every_type),
      cmocka_unit_test(same_in_any_order),     cmocka_unit_test(no_rows),
      cmocka_unit_test(wide),                  cmocka_unit_test(failing_memory),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
