/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks made of records are the blocks that the reader of the file makes: values, nulls, positions, what is
 * said of bad rows. Records of columns are made here of DuckDB's vectors, which have the same layouts; those
 * of text by the splitter. */
#include "tests/unit/engine_data.h"

#include "base/hash.h"

/* ---- Records of columns, out of a query ---- */

static void align(Buf *b) {
  while (b->n % 8 && !b->bad)
    buf_u8(b, 0);
}

static uint32_t rec_type(duckdb_type t) {
  switch (t) {
  case DUCKDB_TYPE_BOOLEAN: return REC_BOOL;
  case DUCKDB_TYPE_TINYINT: return REC_I8;
  case DUCKDB_TYPE_SMALLINT: return REC_I16;
  case DUCKDB_TYPE_INTEGER: return REC_I32;
  case DUCKDB_TYPE_BIGINT: return REC_I64;
  case DUCKDB_TYPE_FLOAT: return REC_F32;
  case DUCKDB_TYPE_DOUBLE: return REC_F64;
  case DUCKDB_TYPE_DATE: return REC_DATE;
  case DUCKDB_TYPE_TIMESTAMP: return REC_TIMESTAMP;
  case DUCKDB_TYPE_DECIMAL: return REC_DECIMAL;
  default: return REC_STRING;
  }
}

typedef struct Source { /* a chunk */
  Duck d;
  DuckQuery q;
  duckdb_data_chunk chunk;
} Source;

static void put_values(Source *s, uint32_t k, const uint32_t *row, uint32_t n, Buf *b) {
  duckdb_vector vec = s->d.data_chunk_get_vector(s->chunk, k);
  const char *v = s->d.vector_get_data(vec);
  const duckdb_string_t *text = (const void *)v;
  const uint64_t *valid = s->d.vector_get_validity(vec);
  uint32_t type = rec_type(s->d.column_type(&s->q.result, k)), len;
  static const uint32_t size[] = {0, 1, 1, 2, 4, 8, 4, 8, 4, 8, 8};
  uint64_t total = 0;
  for (uint32_t i = 0; i < n && type == REC_STRING; i++)
    if (duck_valid(valid, row[i])) {
      duck_text(&text[row[i]], &len);
      total += len;
    }
  if (type == REC_STRING) {
    buf_u64(b, total);
    buf_u32(b, (uint32_t)(total = 0));
  }
  for (uint32_t i = 0; i < n; i++) {
    if (type != REC_STRING) {
      buf_put(b, v + (size_t)row[i] * size[type], size[type]);
      continue;
    }
    len = 0;
    if (duck_valid(valid, row[i]))
      duck_text(&text[row[i]], &len);
    buf_u32(b, (uint32_t)(total += len));
  }
  if (type == REC_STRING)
    align(b);
  for (uint32_t i = 0; i < n && type == REC_STRING; i++)
    if (duck_valid(valid, row[i])) {
      const char *p = duck_text(&text[row[i]], &len);
      buf_put(b, p, len);
    }
}

/* n rows of the chunk, whose first one has position pos. */
static void put_record(Source *s, uint32_t ncol, uint64_t pos, const uint32_t *row, uint32_t n, Buf *b) {
  bool gaps = row[n - 1] - row[0] != n - 1;
  buf_clear(b);
  buf_u32(b, RECORD_COLUMNS);
  buf_u32(b, 0);
  buf_u64(b, pos);
  buf_u32(b, n);
  buf_u32(b, gaps);
  for (uint32_t i = 0; i < n && gaps; i++)
    buf_u32(b, row[i] - row[0]);
  for (uint32_t k = 0; k < ncol; k++) {
    const uint64_t *valid = s->d.vector_get_validity(s->d.data_chunk_get_vector(s->chunk, k));
    duckdb_logical_type l = s->d.column_logical_type(&s->q.result, k);
    uint32_t type = rec_type(s->d.column_type(&s->q.result, k));
    align(b);
    buf_u32(b, type);
    buf_u32(b, type == REC_DECIMAL ? s->d.decimal_scale(l) : 0);
    buf_u32(b, valid != NULL);
    buf_u32(b, 0);
    s->d.destroy_logical_type(&l);
    for (uint32_t w = 0; valid && w < (n + 63) / 64; w++) {
      uint64_t word = 0;
      for (uint32_t i = w * 64; i < n && i < w * 64 + 64; i++)
        word |= (uint64_t)duck_valid(valid, row[i]) << (i % 64);
      buf_u64(b, word);
    }
    put_values(s, k, row, n, b);
  }
  align(b);
  assert_false(b->bad);
}

/* ---- Blocks out of them ---- */

typedef struct Made {
  const Reader *r;
  RecordDraft *draft; /* of the block that records come for, or NULL */
  Block **block;
  uint32_t n, room;
  RowErrors errors;
  Err err;
} Made;

static bool end_draft(Made *m) {
  Block *b = NULL;
  if (!m->draft || m->err.code)
    return false;
  Status st = records_end(m->draft, &b, &m->err);
  m->draft = NULL;
  if (st != ST_OK)
    return false;
  if (m->n == m->room)
    m->block = realloc(m->block, (m->room = m->room * 2 + 8) * sizeof *m->block);
  assert_non_null(m->block);
  m->block[m->n++] = b;
  return true;
}

static Status add_record(Made *m, Bytes record) {
  RecordHead h;
  bool taken = false;
  if (m->err.code || record_head(record, &h, &m->err))
    return m->err.code;
  if (m->draft && records_add(m->draft, record, &taken, &m->err) != ST_OK)
    return m->err.code;
  if (taken)
    return ST_OK;
  end_draft(m);
  if (records_begin(m->r, h.file, h.pos - h.pos % BLOCK, &m->errors, &m->draft, &m->err) != ST_OK ||
      records_add(m->draft, record, &taken, &m->err) != ST_OK)
    return m->err.code;
  assert_true(taken);
  return ST_OK;
}

static void made_free(Made *m) {
  if (m->draft)
    records_end(m->draft, NULL, &m->err);
  for (uint32_t i = 0; i < m->n; i++)
    block_drop(m->block[i]);
  free(m->block);
  memset(m, 0, sizeof *m);
}

static bool same_value(const Col *a, uint32_t i, const Col *b, uint32_t k) {
  bool null = a->null && a->null[i];
  if (null != (b->null && b->null[k]))
    return false;
  if (a->type == IR_BOOL)
    return a->b[i] == b->b[k];
  if (a->type != IR_STR)
    return a->i[i] == b->i[k];
  const uint32_t *x = a->dict->off + a->code[i], *y = b->dict->off + b->code[k];
  uint32_t n = x[1] - x[0];
  return null || (n == y[1] - y[0] && !memcmp(a->dict->bytes + x[0], b->dict->bytes + y[0], n));
}

/* The rows of `got` are rows of `want`, by their positions. */
static void compare(const Block *want, const Block *got, const IrColumn *col) {
  assert_int_equal(want->file, got->file);
  assert_int_equal(want->pos, got->pos);
  assert_int_equal(want->npos, got->npos);
  assert_int_equal(want->ncol, got->ncol);
  assert_true(got->at || got->n <= want->n);
  for (uint32_t k = 0; k < want->ncol; k++) {
    assert_int_equal(want->col[k].type, got->col[k].type);
    for (uint32_t i = 0; i < got->n; i++) {
      uint32_t r = got->at ? got->at[i] : i;
      assert_true(r < want->n);
      if (!same_value(&want->col[k], r, &got->col[k], i))
        fail_msg("column %s of position %d differs", col[k].name, (int)(want->pos + r));
    }
  }
}

static void compare_errors(const RowErrors *want, const RowErrors *got) {
  assert_int_equal(want->count, got->count);
  assert_int_equal(want->n, got->n);
  for (uint32_t i = 0; i < want->n; i++) {
    const RowError *a = &want->v[i], *b = &got->v[i];
    assert_int_equal(a->file, b->file);
    assert_int_equal(a->pos, b->pos);
    assert_string_equal(a->column, b->column);
    assert_string_equal(a->text, b->text);
    assert_string_equal(a->allow, b->allow);
  }
}

/* ---- Columns ---- */

static const char *const query =
    "SELECT CASE WHEN i % 5 > 0 THEN i % 3 = 0 END AS b,"
    " CASE WHEN i % 7 > 0 THEN (i % 100)::TINYINT END AS i8,"
    " (i % 1000)::SMALLINT AS i16,"
    " CASE WHEN i % 2 > 0 THEN (i - 500)::INTEGER END AS i32,"
    " (i * 1000003)::BIGINT AS i64,"
    " CASE WHEN i % 11 > 1 THEN CASE WHEN i % 13 = 4 THEN 'nan'::FLOAT ELSE (i / 7)::FLOAT END END AS f32,"
    " CASE WHEN i % 17 > 1 THEN CASE WHEN i % 13 = 4 THEN 'nan'::DOUBLE ELSE i / 7 END END AS f64,"
    " CASE WHEN i % 3 > 0 THEN DATE '1960-01-01' + (i % 40000)::INTEGER END AS d,"
    " CASE WHEN i % 10 > 0 THEN TIMESTAMP '1950-01-01' + INTERVAL (i * 37) SECOND END AS t,"
    " CASE WHEN i % 4 > 0 THEN (i / 8)::DECIMAL(18, 3) END AS dec,"
    " CASE WHEN i % 9 = 1 THEN '' WHEN i % 9 > 1 THEN 'k' || (i % 50) END AS s,"
    " CASE WHEN i % 6 > 0 THEN 'a longer text, \xc3\xa4\xe2\x82\xac, number ' || i END AS l,"
    " CASE WHEN i % 300 = 7 THEN NULL ELSE i % 40 END::BIGINT AS req,"
    " CASE WHEN i % 250 = 9 THEN 'nan'::DOUBLE ELSE i END::DOUBLE AS full,"
    " CASE WHEN i % 200 = 3 THEN DATE '11111-01-01' ELSE DATE '2020-02-02' END AS far";

static const IrColumn columns[] = {
    {"b", KIND_BOOL, true},      {"i8", KIND_INT, true},      {"i16", KIND_FLOAT, false},
    {"i32", KIND_CATEGORY, true}, {"i64", KIND_INT, false},   {"f32", KIND_FLOAT, true},
    {"f64", KIND_FLOAT, true},   {"d", KIND_DATE, true},      {"t", KIND_TIMESTAMP, true},
    {"dec", KIND_FLOAT, true},   {"s", KIND_CATEGORY, true},  {"l", KIND_STRING, true},
    {"req", KIND_INT, false},    {"full", KIND_FLOAT, false}, {"far", KIND_TIMESTAMP, true}};
enum { COLUMNS = sizeof columns / sizeof *columns };

/* Records of the file, in pieces of at most `most` rows, each row there that `keep` of 8 says. */
static void read_columns(const char *file, uint32_t most, uint32_t keep, uint32_t shift, Made *m) {
  Source s = {.chunk = NULL};
  Buf sql = {0}, b = {0};
  uint64_t pos = 0;
  uint32_t row[2048], n;
  buf_text(&sql, "SELECT ");
  for (uint32_t k = 0; k < COLUMNS; k++) {
    buf_text(&sql, k ? "," : "");
    sql_name(&sql, columns[k].name);
  }
  buf_text(&sql, " FROM read_parquet(");
  sql_path(&sql, in_folder(file));
  buf_text(&sql, ")");
  assert_int_equal(duck_open(&s.d, UINT64_C(256) << 20, 1, &m->err), ST_OK);
  assert_int_equal(duck_query(&s.d, &s.q, buf_str(&sql), &m->err), ST_OK);
  while (duck_chunk(&s.d, &s.q, &s.chunk, &m->err) == ST_OK && s.chunk) {
    uint32_t size = (uint32_t)s.d.data_chunk_get_size(s.chunk);
    for (uint32_t at = 0; at < size;) {
      n = 0;
      for (; at < size && n < most && (!n || (pos + at) % BLOCK); at++)
        if (keep == 8 || hash_mix(pos + at) % 8 < keep)
          row[n++] = at;
      if (!n)
        continue;
      put_record(&s, COLUMNS, pos + row[0], row, n, &b);
      buf_put(&b, "        ", shift); /* not aligned */
      if (shift)
        memmove(b.p + shift, b.p, b.n - shift);
      if (add_record(m, (Bytes){b.p + shift, b.n - shift}) != ST_OK)
        fail_msg("%s", m->err.cause);
    }
    pos += size;
    s.d.destroy_data_chunk(&s.chunk);
  }
  assert_true(m->err.code || end_draft(m));
  duck_end(&s.d, &s.q);
  duck_close(&s.d);
  buf_free(&sql);
  buf_free(&b);
}

static void of_columns(uint32_t most, uint32_t keep, uint32_t shift, bool known) {
  EngineSource src = source("parquet", "all.parquet", NULL);
  Reader *local = NULL, *r = NULL;
  RowErrors errors = {0};
  Err e = {0};
  Block *b;
  uint32_t seq, n;
  uint64_t rows = 0;
  assert_int_equal(reader_open(&src, columns, COLUMNS, UINT64_C(1) << 28, &local, &e), ST_OK);
  RecordFile file = {in_folder("all.parquet"), known ? reader_total(local) : UINT64_MAX, 0};
  Made m = {.r = NULL};
  assert_int_equal(records_open(&src, columns, COLUMNS, &file, 1, &r, &e), ST_OK);
  assert_int_equal(reader_total(r), known ? reader_total(local) : 0);
  assert_string_equal(reader_files(r, &n)[0], file.name);
  m.r = r;
  read_columns("all.parquet", most, keep, shift, &m);
  for (uint32_t i = 0; reader_next(local, &b, &seq, &errors, &e) == ST_OK && b; i++) {
    assert_true(i < m.n);
    if (keep == 8)
      assert_int_equal(m.block[i]->n, b->n);
    assert_true(known || m.block[i]->npos <= b->npos);
    m.block[i]->npos = known || keep == 8 ? m.block[i]->npos : b->npos;
    compare(b, m.block[i], columns);
    assert_true(keep < 8 || !m.block[i]->at);
    rows += m.block[i]->n;
    block_drop(b);
  }
  assert_int_equal(e.code, ST_OK);
  assert_true(keep < 8 ? rows > 0 && rows < reader_total(local) : rows == reader_total(local));
  if (keep == 8)
    compare_errors(&errors, &m.errors);
  else
    assert_true(m.errors.count > 0 && m.errors.count < errors.count);
  reader_close(local);
  made_free(&m);
  reader_close(r);
}

static void columns_as_local(void **state) {
  (void)state;
  char sql[3000];
  snprintf(sql, sizeof sql, "%s FROM range(%d) AS r(i)", query, 2 * BLOCK + BLOCK / 3);
  PARQUET("all.parquet", sql);
  of_columns(2048, 8, 0, true);
  of_columns(700, 8, 3, false);
  of_columns(1, 8, 0, true);
  of_columns(333, 5, 0, true);
  of_columns(2048, 1, 1, false);
}

/* ---- Texts ---- */

static Status read_some(void *ctx, void *out, size_t room, size_t *n, Err *e) {
  (void)e; /* as little as a network gives */
  *n = fread(out, 1, room < 1000 ? room : 1000, ctx);
  return ST_OK;
}

/* The records of all files of the source, as one process after the other would split them. */
static void split_all(const EngineSource *s, const IrColumn *col, uint32_t ncol, const RecordFile *file,
                      uint32_t nfile, Made *m) {
  Buf b = {0};
  for (uint32_t i = 0; i < nfile && m->err.code == ST_OK; i++) {
    FILE *f = fopen(file[i].name, "rb");
    Splitter *x;
    uint32_t n;
    assert_non_null(f);
    ByteSource in = {read_some, f};
    if (splitter_open(s, col, ncol, file[i].input, i, file[i].name, in, &x, &m->err) == ST_OK)
      while (splitter_next(x, &b, &n, &m->err) == ST_OK && b.n) {
        RecordHead h;
        assert_int_equal(record_head(buf_bytes(&b), &h, &m->err), ST_OK);
        assert_true(n > 0 && h.n == n && h.file == i);
        if (add_record(m, buf_bytes(&b)) != ST_OK)
          break;
      }
    splitter_close(x);
    fclose(f);
  }
  end_draft(m);
  buf_free(&b);
}

static void as_local(EngineSource s, const IrColumn *col, uint32_t ncol) {
  Reader *local = NULL, *r = NULL;
  RowErrors errors = {0};
  Err e = {0}, other = {0};
  Block *b;
  uint32_t seq, nfile, i = 0, input = 0;
  Made m = {.r = NULL};
  RecordFile file[8] = {{NULL, 0, 0}};
  assert_int_equal(reader_open(&s, col, ncol, UINT64_C(1) << 28, &local, &e), ST_OK);
  const char *const *name = reader_files(local, &nfile);
  for (uint32_t k = 0; k < nfile; k++)
    file[k] = (RecordFile){name[k], UINT64_MAX, s.next && k >= input ? input++ : 0};
  assert_int_equal(records_open(&s, col, ncol, file, nfile, &r, &other), ST_OK);
  m.r = r;
  split_all(&s, col, ncol, file, nfile, &m);
  while (reader_next(local, &b, &seq, &errors, &e) == ST_OK && b) {
    assert_true(i < m.n);
    assert_int_equal(m.block[i]->n, b->n);
    compare(b, m.block[i++], col);
    block_drop(b);
  }
  if (m.err.code && !e.code)
    fail_msg("%s [%s]", m.err.cause, m.err.where);
  assert_int_equal(e.code, m.err.code);
  assert_string_equal(e.cause, m.err.cause);
  assert_string_equal(e.where, m.err.where);
  assert_int_equal(i, m.n);
  if (!e.code)
    compare_errors(&errors, &m.errors);
  made_free(&m);
  reader_close(local);
  reader_close(r);
}

static void csv_as_local(void **state) {
  (void)state;
  static const IrColumn col[] = {{"s", KIND_CATEGORY, true}, {"i", KIND_INT, true}, {"x", KIND_FLOAT, false},
                                 {"d", KIND_DATE, true},     {"t", KIND_STRING, true}};
  const char *const names[] = {"i", "x", "d", "t", "s"};
  const char *const name[] = {"t.csv", "t.csv.gz", "t.csv.zst", "u.csv"};
  FILE *f = fopen(in_folder("t.csv"), "wb"), *u = fopen(in_folder("u.csv"), "wb");
  assert_true(f && u);
  fputs("i,x,d,t,s\n", f);
  for (uint32_t i = 0; i < 2 * BLOCK + 77; i++) {
    fprintf(f, "%u,%s%u.5,2020-02-%02u,\"a \"\"quoted\"\" text,\n %u\",%s\n%s", i,
            i % 300 == 9 ? "x" : "", i / 7, 1 + i % (i % 500 ? 28 : 31), i, i % 7 ? "level" : "",
            i % 100 ? "" : "\n");
    fprintf(u, "%u;%u,5;%02u.02.2020;'t\\'%c%u';l%u\r\n# %u; a comment\r\n", i, i, 1 + i % 28,
            i % 9 ? 'b' : 0xe4, i, i % 4, i);
  }
  fclose(f);
  fclose(u);
  char cmd[1000];
  snprintf(cmd, sizeof cmd, "cd '%s' && gzip -k t.csv && zstd -q t.csv", folder);
  assert_int_equal(system(cmd), 0);
  for (int k = 0; k < 3; k++)
    as_local(source("csv", name[k], NULL), col, 5);
  as_local(source("csv", name[0], NULL), col, 0);
  EngineSource other = source("csv", name[3],
                              OPTIONS("header", "false", "delimiter", ";", "decimal", ",", "quote", "'",
                                      "escape", "\\", "comment", "#", "encoding", "latin-1", "dates",
                                      "%d.%m.%Y"));
  other.column = names;
  other.ncolumn = 5;
  as_local(other, col, 5);
  as_local(other, col + 1, 2);
  static const IrColumn both[] = {{"i", KIND_INT, true}, {IR_INPUT_COLUMN, KIND_INT, false}};
  EngineSource first = source("csv", name[0], NULL);
  other.column = first.column = names;
  other.ncolumn = first.ncolumn = 5;
  first.next = &other;
  as_local(first, both, 2);
}

static void bad_csv_as_local(void **state) {
  (void)state;
  static const IrColumn col[] = {{"a", KIND_INT, true}, {"b", KIND_STRING, true}};
  static const char *const text[] = {
      "a,b\n1,2\n3\n4,5\n",   "a,b\n1,\"x\"y\n",    "a,b\n1,\"x\n",   "a,b\n1,\xff\n",
      "a,b\n1,2\r\n3,4\n",    "a,c\n1,2\n",         "a;b\n1;2\n",     "",
      "a,b\n",                "a,b\n\n\n",          "\"a\n",          "a,b\nx,1\n2,\n,\n",
      "a,b\n1,2\n\n\r\n\r\n", "a,b\r\n1,2\r\n3,4", "b,a,a\n1,2,3\n"};
  for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
    put("bad.csv", text[i]);
    as_local(source("csv", "bad.csv", NULL), col, 2);
  }
  char cmd[1000];
  snprintf(cmd, sizeof cmd, "cd '%s' && head -c 500 t.csv.gz > cut.csv.gz && cp u.csv not.csv.gz", folder);
  assert_int_equal(system(cmd), 0);
  as_local(source("csv", "cut.csv.gz", NULL), col, 2);
  as_local(source("csv", "not.csv.gz", NULL), col, 2);
}

static void json_as_local(void **state) {
  (void)state;
  static const IrColumn col[] = {
      {"s", KIND_CATEGORY, true}, {"o.x", KIND_FLOAT, false}, {"i", KIND_INT, true}, {"d", KIND_DATE, true}};
  static const char *const bad[] = {"{\"i\": 1}\n{\"i\": x}", "[{\"i\": 1}", "[{\"i\": 1}, 3]", "x",
                                    "[]",  "{\"i\": \"y\"}",        "[{}] x",      "{\"i\": 1}\n7"};
  for (int list = 0; list < 2; list++) {
    FILE *f = fopen(in_folder(list ? "l.json" : "r.json"), "wb");
    assert_non_null(f);
    for (uint32_t i = 0; i < 2 * BLOCK + 77; i++)
      fprintf(f, "%s{\"i\": %u, \"o\": {\"x\": %s%u.25%s}, \"s\": \"a\\n{%u\"%s}\n",
              !list ? "" : i ? "," : "[", i, i % 400 == 7 ? "\"x" : "", i, i % 400 == 7 ? "\"" : "", i % 30,
              i % 3 ? ", \"d\": \"2020-01-01\"" : "");
    fputs(list ? "]\n" : "", f);
    fclose(f);
  }
  as_local(source("json", "r.json", NULL), col, 4);
  as_local(source("json", "l.json", NULL), col, 4);
  as_local(source("json", "?.json", OPTIONS("null", "a\n{1")), col, 2);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    put("bad.json", bad[i]);
    as_local(source("json", "bad.json", NULL), col, 4);
  }
}

static void libsvm_as_local(void **state) {
  (void)state;
  static const IrColumn col[] = {
      {"f3", KIND_FLOAT, false}, {"qid", KIND_INT, true}, {"label", KIND_INT, false}};
  static const char *const bad[] = {"1 1:2 1:3\n", "1 3:2\n2 3:\xff", "", "#\n", "1 3:x", "1 3:2\r2"};
  FILE *f = fopen(in_folder("t.svm"), "wb");
  assert_non_null(f);
  for (uint32_t i = 0; i < 2 * BLOCK + 77; i++)
    fprintf(f, "%u%s 1:%u 3:%u # %u\r\n%s", i % 2, i % 3 ? "" : " qid:4", i, i % 1000 == 9 ? 0 : 3, i,
            i % 10 ? "" : "\r\n # a comment\r\n");
  fclose(f);
  as_local(source("libsvm", "t.svm", NULL), col, 3);
  as_local(source("libsvm", "t.svm", OPTIONS("zero_based", "true")), col + 1, 2);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    put("bad.svm", bad[i]);
    as_local(source("libsvm", "bad.svm", NULL), col, 3);
  }
  static const IrColumn none[] = {{"f4", KIND_FLOAT, false}, {"x", KIND_FLOAT, false}};
  as_local(source("libsvm", "t.svm", NULL), none, 2);
}

/* ---- What is no record ---- */

/* Any bytes instead of those of a record: a block, or an error that says something. */
static void any_bytes(const Reader *r, Bytes bytes) {
  Made m = {.r = r};
  if (add_record(&m, bytes) == ST_OK)
    end_draft(&m);
  assert_true(!m.err.code || m.err.cause[0]);
  made_free(&m);
}

static void mutate(const Reader *r, const Buf *record) {
  uint8_t *copy = malloc(record->n + 8);
  uint64_t h = 7;
  assert_non_null(copy);
  for (size_t n = 0; n < record->n; n += n < 300 ? 1 : record->n / 97 + 1) { /* cut off */
    uint8_t *cut = malloc(n ? n : 1);
    assert_non_null(cut);
    memcpy(cut, record->p, n);
    any_bytes(r, (Bytes){cut, n});
    free(cut);
  }
  for (int k = 0; k < 3000; k++) {
    memcpy(copy, record->p, record->n);
    h = hash_mix(h + 1);
    for (uint64_t i = 0; i < 1 + h % 3; i++) {
      uint64_t at = hash_mix(h + i);
      uint64_t room = k % 2 || record->n < 400 ? record->n : 400;
      copy[at % room] ^= (uint8_t)(at >> 40 & at >> 50) | 1;
    }
    any_bytes(r, (Bytes){copy, record->n});
  }
  free(copy);
}

static void mutated(void **state) {
  (void)state;
  const IrColumn col[] = {{"a", KIND_INT, true}, {"b", KIND_STRING, true}, {"c", KIND_BOOL, false}};
  RecordFile file = {"x", 500, 0};
  uint32_t code[20], at[20];
  int64_t num[20];
  uint8_t truth[20], null[20];
  uint32_t off[] = {0, 1, 3, 17};
  Dict dict = {.n = 3, .off = off, .bytes = (char[]){"abca longer text."}};
  for (uint32_t i = 0; i < 20; i++) {
    code[i] = i % 3;
    num[i] = i;
    at[i] = 2 * i;
    truth[i] = null[i] = i % 2;
  }
  Col v[] = {{.type = IR_I64, .i = num, .null = null},
             {.type = IR_STR, .code = code, .dict = &dict, .null = null},
             {.type = IR_BOOL, .b = truth}};
  EngineSource s = source("parquet", "x", NULL);
  Reader *r;
  Buf b = {0};
  Err e = {0};
  assert_int_equal(records_open(&s, col, 3, &file, 1, &r, &e), ST_OK);
  assert_int_equal(record_of_rows(col, v, 3, 20, 0, BLOCK, at, &b, &e), ST_OK);
  mutate(r, &b);
  reader_close(r);

  static const char *const name[] = {"m.csv", "m.json", "m.svm"}, *const format[] = {"csv", "json", "libsvm"};
  const IrColumn sparse[] = {{"f1", KIND_FLOAT, false}, {"f2", KIND_FLOAT, true}, {"label", KIND_INT, true}};
  put("m.json", "[{\"a\": 1, \"b\": \"one\\u00e4\"}, {\"c\": true}]");
  put("m.svm", "1 1:2 2:3\n# none\n2 2:4\n");
  put("m.csv", "c,a,b\ntrue,1,one\nfalse,2,two\n,3,\"a \"\"longer\"\" text\"\n0,4,\n");
  for (int k = 0; k < 3; k++) {
    const IrColumn *want = k < 2 ? col : sparse;
    s = source(format[k], name[k], NULL);
    FILE *f = fopen(in_folder(name[k]), "rb");
    Splitter *x;
    uint32_t n;
    assert_non_null(f);
    assert_int_equal(records_open(&s, want, 3, &file, 1, &r, &e), ST_OK);
    assert_int_equal(splitter_open(&s, want, 3, 0, 0, name[k], (ByteSource){read_some, f}, &x, &e), ST_OK);
    assert_int_equal(splitter_next(x, &b, &n, &e), ST_OK);
    assert_int_equal(n, k ? 2 : 4);
    mutate(r, &b);
    splitter_close(x);
    reader_close(r);
    fclose(f);
  }
  buf_free(&b);
}

/* One row of an int and a text; where it says that it is. */
static void put_row(Buf *b, uint32_t file, uint64_t pos, uint32_t type, const char *text) {
  uint64_t n = strlen(text);
  buf_clear(b);
  buf_u32(b, RECORD_COLUMNS);
  buf_u32(b, file);
  buf_u64(b, pos);
  buf_u64(b, 1);
  for (uint32_t k = 0; k < 2; k++) {
    buf_u32(b, k ? REC_STRING : type);
    buf_u32(b, 0);
    buf_u64(b, 0);
    buf_u64(b, k ? n : 7);
    if (k) {
      buf_u64(b, n << 32);
      buf_put(b, text, n);
    }
  }
  align(b);
}

static void refuse(const Reader *r, const Buf *first, const Buf *record, const char *id, const char *part) {
  Made m = {.r = r};
  if (first)
    assert_int_equal(add_record(&m, buf_bytes(first)), ST_OK);
  assert_int_not_equal(add_record(&m, buf_bytes(record)), ST_OK);
  assert_string_equal(m.err.id, id);
  if (!strstr(m.err.cause, part))
    fail_msg("'%s' is not in: %s", part, m.err.cause);
  made_free(&m);
}

static void refused(void **state) {
  (void)state;
  const IrColumn col[] = {{"a", KIND_INT, true}, {"b", KIND_STRING, true}};
  const RecordFile file[] = {{"x", BLOCK + 3, 0}, {"y", UINT64_MAX, 0}};
  const RecordFile descends[] = {{"x", 1, 1}, {"y", 1, 0}};
  EngineSource s = source("a format of its own", "x", OPTIONS("any", "option"));
  Buf b = {0}, first = {0};
  Err e = {0};
  Reader *r;
  Block *block;
  uint32_t seq;
  assert_int_equal(records_open(&s, col, 2, descends, 2, &r, &e), ST_FAULT);
  err_clear(&e);
  assert_int_equal(records_open(&s, col, 2, file, 2, &r, &e), ST_OK);
  assert_int_equal(reader_next(r, &block, &seq, NULL, &e), ST_OK); /* it has no files of its own */
  assert_null(block);

  put_row(&first, 0, BLOCK + 1, REC_I64, "x");
  refuse(r, &first, &first, "CML0614", "cannot be read"); /* the same row again */
  put_row(&b, 0, BLOCK, REC_I64, "x");
  refuse(r, &first, &b, "CML0614", "cannot be read"); /* one before it */
  put_row(&b, 0, BLOCK + 3, REC_I64, "x");
  refuse(r, NULL, &b, "CML0614", "cannot be read"); /* behind the file */
  put_row(&b, 0, 9 * BLOCK, REC_I64, "x");
  refuse(r, NULL, &b, "CML0614", "cannot be read");
  put_row(&b, 2, 0, REC_I64, "x");
  refuse(r, NULL, &b, "CML0614", "cannot be read"); /* of no file */
  put_row(&b, 0, 0, 12, "x");
  refuse(r, NULL, &b, "CML0614", "cannot be read"); /* of no type */
  put_row(&b, 0, 0, REC_F64, "x");
  refuse(r, NULL, &b, "CML0406", "the column `a` is stored as float64 and cannot be read as int");
  put_row(&b, 1, 5, REC_I64, "caf\xe9");
  refuse(r, NULL, &b, "CML0403", "the column `b` has a text that is not UTF-8");

  Made m = {.r = r}; /* a row alone in its block */
  put_row(&b, 1, BLOCK + 5, REC_I64, "caf\xc3\xa9");
  assert_int_equal(add_record(&m, buf_bytes(&b)), ST_OK);
  assert_true(end_draft(&m));
  assert_int_equal(m.block[0]->npos, 6);
  assert_int_equal(m.block[0]->n, 1);
  assert_int_equal(m.block[0]->at[0], 5);
  assert_int_equal(m.block[0]->col[0].i[0], 7);
  RecordDraft *d; /* a block of which no row came */
  assert_int_equal(records_begin(r, 0, BLOCK, &m.errors, &d, &e), ST_OK);
  assert_int_equal(records_end(d, &block, &e), ST_OK);
  assert_true(block->n == 0 && block->npos == 3 && block->ncol == 2);
  block_drop(block);
  made_free(&m);
  reader_close(r);
  buf_free(&b);
  buf_free(&first);
}

/* Memory ends at each place once: always that error, and nothing is left behind. */
static void failing_memory(void **state) {
  (void)state;
  const IrColumn col[] = {{"a", KIND_INT, true}, {"b", KIND_STRING, true}};
  const IrColumn sparse[] = {{"f1", KIND_FLOAT, false}, {"label", KIND_INT, true}};
  for (int k = 0; k < 4; k++) {
    const char *const format[] = {"csv", "json", "libsvm", "parquet"};
    const char *const name[] = {"m.csv", "m.json", "m.svm", "m"};
    const IrColumn *want = k == 2 ? sparse : col;
    EngineSource s = source(format[k], name[k], NULL);
    RecordFile file = {in_folder(name[k]), UINT64_MAX, 0};
    bool done = false;
    for (int n = 1; n < 2000 && !done; n++) {
      Made m = {.r = NULL};
      Reader *r = NULL;
      Buf b = {0};
      mem_fail_at(n);
      if (records_open(&s, want, 2, &file, 1, &r, &m.err) == ST_OK) {
        m.r = r;
        if (k < 3)
          split_all(&s, want, 2, &file, 1, &m);
        else if (put_row(&b, 0, 1, REC_I64, "a text longer than that"), b.bad)
          err_memory(&m.err);
        else if (add_record(&m, buf_bytes(&b)) == ST_OK)
          end_draft(&m);
      }
      mem_fail_at(0);
      done = m.err.code == ST_OK && m.n == 1;
      if (!done)
        assert_int_equal(m.err.code, ST_RESOURCE);
      made_free(&m);
      reader_close(r);
      buf_free(&b);
    }
    assert_true(done);
  }
}

/* ---- Rows to be written ---- */

static void there_and_back(void **state) {
  (void)state;
  EngineSource s = source("parquet", "all.parquet", NULL);
  IrColumn col[COLUMNS];
  Reader *local, *r;
  RowErrors errors = {0};
  Err e = {0};
  Block *b;
  uint32_t seq;
  Buf rec = {0};
  for (uint32_t k = 0; k < COLUMNS; k++) {
    col[k] = columns[k];
    col[k].nullable = true;
  }
  assert_int_equal(reader_open(&s, col, COLUMNS, UINT64_C(1) << 28, &local, &e), ST_OK);
  RecordFile file = {"all", reader_total(local), 0};
  assert_int_equal(records_open(&s, col, COLUMNS, &file, 1, &r, &e), ST_OK);
  while (reader_next(local, &b, &seq, &errors, &e) == ST_OK && b) {
    Made m = {.r = r};
    Col half[COLUMNS]; /* every second row */
    uint32_t *at = malloc(b->n * sizeof *at), n = 0;
    assert_int_equal(record_of_rows(col, b->col, COLUMNS, b->n, 0, b->pos, NULL, &rec, &e), ST_OK);
    assert_int_equal(add_record(&m, buf_bytes(&rec)), ST_OK);
    assert_true(end_draft(&m) && m.block[0]->n == b->n);
    compare(b, m.block[0], col);
    for (uint32_t k = 0; k < COLUMNS; k++)
      half[k] = m.block[0]->col[k];
    for (uint32_t i = 1; i < b->n; i += 2, n++) {
      at[n] = i;
      for (uint32_t k = 0; k < COLUMNS; k++) {
        if (half[k].type == IR_BOOL)
          half[k].b[n] = half[k].b[i];
        else if (half[k].type == IR_STR)
          half[k].code[n] = half[k].code[i];
        else
          half[k].i[n] = half[k].i[i];
        if (half[k].null)
          half[k].null[n] = half[k].null[i];
      }
    }
    assert_int_equal(record_of_rows(col, half, COLUMNS, n, 0, b->pos, at, &rec, &e), ST_OK);
    assert_int_equal(add_record(&m, buf_bytes(&rec)), ST_OK);
    assert_true(end_draft(&m) && m.block[1]->n == n && (m.block[1]->at || n < 2));
    compare(b, m.block[1], col);
    made_free(&m);
    free(at);
    block_drop(b);
  }
  assert_int_equal(e.code, ST_OK);
  reader_close(local);
  reader_close(r);
  buf_free(&rec);
}

/* One value for all rows; a column that is null throughout. */
static void constants(void **state) {
  (void)state;
  const IrColumn col[] = {{"a", KIND_INT, true}, {"b", KIND_STRING, true}, {"c", KIND_DATE, true}};
  RecordFile file = {"x", 10, 0};
  EngineSource s = source("parquet", "x", NULL);
  int64_t seven = 7, day = -800;
  uint32_t code = 0, off[] = {0, 2};
  uint8_t yes = 1;
  Dict dict = {.n = 1, .off = off, .bytes = (char[]){"ab"}};
  Col v[] = {{.type = IR_I64, .i = &seven, .constant = true},
             {.type = IR_STR, .code = &code, .dict = &dict, .null = &yes, .constant = true},
             {.type = IR_I64, .i = &day, .constant = true}};
  Buf rec = {0};
  Err e = {0};
  Made m = {.r = NULL};
  Reader *r;
  assert_int_equal(records_open(&s, col, 3, &file, 1, &r, &e), ST_OK);
  m.r = r;
  assert_int_equal(record_of_rows(col, v, 3, 10, 0, 0, NULL, &rec, &e), ST_OK);
  assert_int_equal(add_record(&m, buf_bytes(&rec)), ST_OK);
  assert_true(end_draft(&m));
  for (uint32_t i = 0; i < 10; i++)
    assert_true(m.block[0]->col[0].i[i] == 7 && m.block[0]->col[1].null[i] &&
                m.block[0]->col[2].i[i] == -800);
  made_free(&m);
  reader_close(r);
  buf_free(&rec);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(columns_as_local), cmocka_unit_test(csv_as_local), cmocka_unit_test(bad_csv_as_local),
      cmocka_unit_test(json_as_local),    cmocka_unit_test(libsvm_as_local), cmocka_unit_test(mutated),
      cmocka_unit_test(refused),          cmocka_unit_test(there_and_back),  cmocka_unit_test(constants),
      cmocka_unit_test(failing_memory)};
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
