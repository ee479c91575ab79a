/* SPDX-License-Identifier: Apache-2.0 */
/* The data engine on CSV: types, numbers, options, line ends, errors and where they are. */
#include "tests/unit/engine_data.h"

static void csv_types(void **state) {
  (void)state;
  put("types.csv", "i,f,b,d,t,s,n,e\n"
                   "1,1.5,true,2001-02-03,2001-02-03 04:05:06,\"a, \"\"b\"\"\",7,\n"
                   "-2, .25 ,False,2001-02-04,2001-02-03T04:05:06.5Z,plain,,\n"
                   "+3,1e3,TRUE,2001-02-05,2001-02-03,\"two\nlines\",9,\n");
  EngineSource s = source("csv", "types.csv", NULL);
  assert_string_equal(schema(s), "i int, f float, b bool, d date, t timestamp, s string, n int?, e string?");
  Data d = read_found(s);
  no_error(&d);
  assert_string_equal(row(&d, 0), "1|1.5|true|2001-02-03|2001-02-03T04:05:06Z|a, \"b\"|7|null");
  assert_string_equal(row(&d, 1), "-2|0.25|false|2001-02-04|2001-02-03T04:05:06.5Z|plain|null|null");
  assert_string_equal(row(&d, 2), "3|1000.0|true|2001-02-05|2001-02-03T00:00:00Z|two\nlines|9|null");
  data_free(&d);
}

/* The fast ways to numbers give what base/num.c gives. */
static void csv_numbers(void **state) {
  (void)state;
  static const char *const text[] = {"0",
                                     "-0",
                                     "9223372036854775807",
                                     "-9223372036854775808",
                                     "123456789012345678",
                                     "0.1",
                                     ".5",
                                     "5.",
                                     "-.5",
                                     "9007199254740993",
                                     "1e-320",
                                     "1e308",
                                     "123.456e-2",
                                     "0.00000000000000001",
                                     "-inf",
                                     "999999999999999999.9"};
  static const char *const bad[] = {"-",     "+",    ".",     "-.",  "1e", "1..2",
                                    "1e999", "0x10", "1_000", "--1", "1 2"};
  Buf b = {0};
  buf_text(&b, "x\n");
  for (size_t i = 0; i < sizeof text / sizeof *text; i++)
    buf_printf(&b, "%s\n", text[i]);
  put("numbers.csv", buf_str(&b));
  enum { FIXED = sizeof text / sizeof *text, MADE = 3000 }; /* made: 1 to 19 digits, a dot anywhere */
  static char made[MADE][32];
  uint64_t r = 1;
  for (uint32_t i = 0; i < MADE; i++) {
    r = r * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    int n = snprintf(made[i], sizeof made[i], "%llu", (unsigned long long)(r >> (i % 63)));
    int dot = (int)(r >> 40) % (n + 1);
    n = n > 18 ? 18 : n;
    dot = dot > n ? n : dot;
    memmove(made[i] + dot + 1, made[i] + dot, (size_t)(n - dot));
    made[i][dot] = '.';
    made[i][n + 1] = 0;
    buf_printf(&b, "%s\n", made[i]);
  }
  put("numbers.csv", buf_str(&b));
  IrColumn col = {"x", KIND_FLOAT, false};
  Data d = read_all(source("csv", "numbers.csv", NULL), &col, 1);
  no_error(&d);
  for (size_t i = 0; i < FIXED + MADE; i++) {
    char want[NUM_MAX];
    const char *one = i < FIXED ? text[i] : made[i - FIXED];
    double v;
    assert_true(num_parse_f64(one, strlen(one), &v));
    num_print_f64(want, v, true);
    assert_string_equal(row(&d, i), want);
  }
  data_free(&d);
  buf_clear(&b);
  buf_text(&b, "x\n");
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    buf_printf(&b, "%s\n", bad[i]);
  put("bad.csv", buf_str(&b));
  for (int kind = KIND_INT; kind <= KIND_FLOAT; kind++) {
    col.kind = (uint8_t)kind;
    d = read_all(source("csv", "bad.csv", NULL), &col, 1);
    assert_int_equal(d.errors.count, sizeof bad / sizeof *bad);
    assert_int_equal(d.errors.n, ROW_ERRORS);
    data_free(&d);
  }
  buf_free(&b);
}

static void csv_options(void **state) {
  (void)state;
  put("h.csv", "1, a ,?\n2,?,4\n");
  IrColumn col[] = {{"x", KIND_INT, false}, {"y", KIND_CATEGORY, true}, {"z", KIND_INT, true}};
  EngineSource s = source("csv", "h.csv", OPTIONS("header", "false", "null", "?"));
  s.column = (const char *const[]){"x", "y", "z"};
  s.ncolumn = 3;
  assert_string_equal(schema(s), "x int, y string?, z int?");
  Data d = read_all(s, col, 3);
  no_error(&d);
  assert_string_equal(row(&d, 0), "1| a |null");
  assert_string_equal(row(&d, 1), "2|null|4");
  data_free(&d);
  s = source("csv", "h.csv", OPTIONS("header", "false", "null", "?", "trim", "true"));
  assert_string_equal(schema(s), "column0 int, column1 string?, column2 int?");
  d = read_found(s);
  assert_string_equal(row(&d, 0), "1|a|null");
  data_free(&d);
  s.column = (const char *const[]){"x"};
  s.ncolumn = 1;
  d = read_found(s);
  expect_error(&d, ST_DATA, "CML0405", "the file has 3 columns, but 1 are declared");

  put("q.tsv", "ham\tsay \"hi\nspam\t\"\n"); /* a quote is an ordinary character here */
  d = read_found(source("csv", "q.tsv", OPTIONS("header", "false", "quote", "")));
  no_error(&d);
  assert_string_equal(row(&d, 0), "ham|say \"hi");
  assert_string_equal(row(&d, 1), "spam|\"");
  data_free(&d);

  put("mix.csv", "made by hand\n# note\na;b\n1;'x;y'\n# more\n2;'it\\'s'\n");
  d = read_found(
      source("csv", "mix.csv",
             OPTIONS("skip", "1", "comment", "#", "delimiter", ";", "quote", "'", "escape", "\\")));
  no_error(&d);
  assert_int_equal(d.rows, 2);
  assert_string_equal(row(&d, 0), "1|x;y");
  assert_string_equal(row(&d, 1), "2|it's");
  data_free(&d);

  put("latin.csv", "n\ncaf\xe9\n");
  d = read_found(source("csv", "latin.csv", NULL));
  expect_error(&d, ST_DATA, "CML0404", "not valid utf-8");
  d = read_found(source("csv", "latin.csv", OPTIONS("encoding", "latin-1")));
  assert_string_equal(row(&d, 0), "caf\xc3\xa9");
  data_free(&d);

  put("bom.csv", "\xef\xbb\xbf" "a,\"b c\",a,\r\n1,2,3,4\r\n");
  s = source("csv", "bom.csv", NULL);
  assert_string_equal(
      schema(s),
      "a !its name stands twice in the header, b c int, a !its name stands twice in the header, column3 int");
  d = read_found(s);
  assert_string_equal(row(&d, 0), "2|4");
  data_free(&d);

  make("z.csv.gz", "SELECT i, i / 2 AS h FROM range(1000) t(i)", "FORMAT csv, HEADER true, COMPRESSION gzip");
  d = read_found(source("csv", "z.csv.gz", NULL));
  no_error(&d);
  assert_string_equal(row(&d, 999), "999|499.5");
  data_free(&d);

  d = read_found(source("csv", "h.csv", OPTIONS("headers", "true")));
  expect_error(&d, ST_PROGRAM, "CML0407", "no option `headers`");
  d = read_found(source("csv", "h.csv", OPTIONS("quote", "ab")));
  expect_error(&d, ST_PROGRAM, "CML0407", "quote = \"ab\"");
}

static void csv_errors(void **state) {
  (void)state;
  put("short.csv", "a,b\n1,2\n3\n");
  put("long.csv", "a,b\n1,2\n3,4,5\n");
  put("open.csv", "a,b\n1,\"2\n3,4\n");
  put("nothing.csv", "");
  put("blank.csv", "\n\n");
  put("only.csv", "a,b\n");
  Data d = read_found(source("csv", "short.csv", NULL));
  assert_non_null(strstr(d.err.where, "short.csv, line 3"));
  expect_error(&d, ST_DATA, "CML0404", "has 1 value where 2 columns");
  d = read_found(source("csv", "long.csv", NULL));
  expect_error(&d, ST_DATA, "CML0404", "has 3 values where 2 columns are expected: 3,4,5");
  d = read_found(source("csv", "open.csv", NULL));
  expect_error(&d, ST_DATA, "CML0404", "quoted value");
  d = read_found(source("csv", "nothing.csv", NULL));
  expect_error(&d, ST_DATA, "CML0403", "empty");
  d = read_found(source("csv", "blank.csv", NULL));
  expect_error(&d, ST_DATA, "CML0403", "empty");
  d = read_found(source("csv", "only.csv", NULL));
  no_error(&d);
  assert_int_equal(d.rows, 0);
  data_free(&d);

  put("values.csv", "i,s\n1,a\nNA,b\n,c\n4x,\n5,e\n");
  IrColumn col[] = {{"s", KIND_STRING, false}, {"i", KIND_INT, false}};
  d = read_all(source("csv", "values.csv", NULL), col, 2);
  assert_int_equal(d.st, ST_OK);
  assert_int_equal(d.errors.count, 3);
  assert_int_equal(d.errors.v[0].pos, 1);
  assert_string_equal(d.errors.v[0].text, "\"NA\" is not an int");
  assert_string_equal(d.errors.v[1].text, "the value is missing");
  assert_string_equal(d.errors.v[2].column, "s"); /* columns in the order that is read; a row counts once */
  assert_string_equal(row(&d, 4), "e|5");
  data_free(&d);
  col[0].name = "x";
  d = read_all(source("csv", "values.csv", NULL), col, 2);
  expect_error(&d, ST_DATA, "CML0405", "no column `x`");
}

/* Line ends: of any one kind, others inside quotes; two kinds outside are an error, never rows that are
 * silently not there. */
static void csv_lines(void **state) {
  (void)state;
  static const char *const good[] = {"a,b\n1,x\n2,y\n",     "a,b\r\n1,x\r\n2,y\r\n",     "a,b\n1,x\n2,y",
                                     "a,b\r\n1,x\r\n2,y", "\n\na,b\n1,x\n\n2,y\n\n", "a,\"b\"\n1,x\n2,y\n",
                                     "a,b\r1,x\r2,y\r",     "a,b\r\n1,x\r\n2,y\r",
                                     "\"a\",b\r\n\r\n1,x\r\n2,y\r\n\r\n"};
  static const char *const bad[] = {"a,b\n1,x\r\n2,y\n",  "a,b\r\n1,x\n2,y\n",
                                    "a,b\r1,x\r\n2,y\r", "a,b\r1,x\n2,y\r",
                                    "a,b\r\n1,x\r2,y\r\n"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    put("lines.csv", good[i]);
    Data d = read_found(source("csv", "lines.csv", NULL));
    no_error(&d);
    assert_int_equal(d.rows, 2);
    assert_string_equal(row(&d, 0), "1|x");
    assert_string_equal(row(&d, 1), "2|y");
    data_free(&d);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    put("lines.csv", bad[i]);
    Data d = read_found(source("csv", "lines.csv", NULL));
    expect_error(&d, ST_DATA, "CML0404", "cannot be divided into records");
  }
  put("lines.csv", "a,b\r\n1,\"x\ny\"\r\n2,z\r\n");
  Data d = read_found(source("csv", "lines.csv", NULL));
  no_error(&d);
  assert_string_equal(row(&d, 0), "1|x\ny");
  data_free(&d);
  put("lines.csv", "\"a\nq\",b\r\n1,x\r\n"); /* other kinds of line ends in quotes, in the header too */
  assert_string_equal(schema(source("csv", "lines.csv", NULL)), "a\nq int, b string");
  put("lines.csv", "\"a\nq\",b\n1,x\n");
  assert_string_equal(schema(source("csv", "lines.csv", NULL)), "a\nq int, b string");
  put("lines.csv", "\n\nx\n1\n\n2\n"); /* one column: an empty line is a record */
  d = read_found(source("csv", "lines.csv", NULL));
  no_error(&d);
  assert_int_equal(d.rows, 3);
  assert_string_equal(row(&d, 1), "null");
  data_free(&d);
  put("lines.csv", "junk\r\na,b\n1,2\n");
  d = read_found(source("csv", "lines.csv", OPTIONS("skip", "1")));
  expect_error(&d, ST_DATA, "CML0404", "cannot be divided into records");
}

/* A name that stands twice says nothing: such columns cannot be read, the others can. */
static void csv_twice(void **state) {
  (void)state;
  put("twice.csv", "id,x, x,column4,,y\n1,2,3,4,5,6\n");
  EngineSource s = source("csv", "twice.csv", NULL);
  IrColumn col[] = {{"y", KIND_INT, false}, {"column4", KIND_INT, false}, {"column4_1", KIND_INT, false}};
  Data d = read_all(s, col, 3);
  no_error(&d);
  assert_string_equal(row(&d, 0), "6|4|5"); /* the column without a name makes way for the one that has it */
  data_free(&d);
  col[1].name = "x";
  d = read_all(s, col, 3);
  expect_error(&d, ST_DATA, "CML0405", "the column `x` cannot be read: its name stands twice in the header");
  put("bare.csv", "1,2,3\n");
  s = source("csv", "bare.csv", OPTIONS("header", "false"));
  s.column = (const char *const[]){"a", "b", "a"};
  s.ncolumn = 3;
  assert_string_equal(schema(s), "a !its name is declared twice, b int, a !its name is declared twice");
  col[0].name = "a";
  d = read_all(s, col, 1);
  expect_error(&d, ST_DATA, "CML0405", "its name is declared twice");
  col[0].name = "b";
  d = read_all(s, col, 1);
  no_error(&d);
  assert_string_equal(row(&d, 0), "2");
  data_free(&d);
}

static Status columns_error(EngineSource s, Err *e) {
  Arena a;
  EngineColumn *c;
  uint32_t n;
  arena_init(&a, NULL);
  err_clear(e);
  Status st = engine_columns(&a, &s, &c, &n, e);
  arena_free(&a);
  return st;
}

/* One column that looks like several is taken for a wrong delimiter, unless the program says which it is or
 * declares that very column. */
static void csv_delimiter(void **state) {
  (void)state;
  Err e;
  put("semi.csv", "id;x;n\n1;2;3\n");
  put("tab.csv", "id\tx\n1\t2\n");
  put("comma.tsv", "id,x\n1,2\n");
  put("quoted.csv", "\"a,b\"\n1\n");
  EngineSource s = source("csv", "semi.csv", NULL);
  assert_int_equal(columns_error(s, &e), ST_DATA);
  assert_string_equal(e.id, "CML0404");
  assert_string_equal(e.cause, "the file has one column, `id;x;n`: is its delimiter `;`?");
  assert_string_equal(e.remedy, "Set delimiter = \";\" if it is.");
  s.column = (const char *const[]){"id;x;n"};
  s.ncolumn = 1;
  assert_int_equal(columns_error(s, &e), ST_OK);
  assert_int_equal(columns_error(source("csv", "semi.csv", OPTIONS("delimiter", ",")), &e), ST_OK);
  assert_int_equal(columns_error(source("csv", "semi.csv", OPTIONS("header", "false")), &e), ST_OK);
  s = source("csv", "semi.csv", OPTIONS("header", "false"));
  s.column = (const char *const[]){"id", "x", "n"};
  s.ncolumn = 3;
  assert_int_equal(columns_error(s, &e), ST_DATA);
  assert_non_null(strstr(e.cause, "delimiter `;`"));
  IrColumn col = {"x", KIND_INT, false};
  Data d = read_all(source("csv", "semi.csv", NULL), &col, 1);
  expect_error(&d, ST_DATA, "CML0404", "is its delimiter `;`?");
  assert_int_equal(columns_error(source("csv", "tab.csv", NULL), &e), ST_DATA);
  assert_string_equal(e.cause, "the file has one column, `id\\tx`: is its delimiter `\\t`?");
  assert_int_equal(columns_error(source("csv", "comma.tsv", NULL), &e), ST_DATA);
  assert_non_null(strstr(e.cause, "delimiter `,`"));
  assert_int_equal(columns_error(source("csv", "quoted.csv", NULL), &e), ST_OK);
}

/* A row counts once, however many of its values are bad, in each of several blocks. */
static void rows_count_once(void **state) {
  (void)state;
  uint32_t n = BLOCK + BLOCK / 2, bad = 0;
  FILE *f = fopen(in_folder("once.csv"), "w");
  assert_non_null(f);
  fputs("a,b,c\n", f);
  for (uint32_t i = 0; i < n; i++) {
    bool a = i % 2 == 0, b = i % 3 == 0, c = i % 7 == 0;
    fprintf(f, "%s,%s,%s\n", a ? "x" : "1", b ? "" : "2", c ? "nan" : "3");
    bad += a || b || c;
  }
  fclose(f);
  IrColumn col[] = {{"a", KIND_INT, false}, {"b", KIND_INT, false}, {"c", KIND_FLOAT, false}};
  Data d = read_all(source("csv", "once.csv", NULL), col, 3);
  assert_int_equal(d.rows, n);
  assert_int_equal(d.errors.count, bad);
  assert_int_equal(d.errors.v[1].pos, 2);
  assert_string_equal(d.errors.v[0].column, "a");
  assert_string_equal(d.errors.v[2].column, "b");
  data_free(&d);
}

static void many_errors(void **state) {
  (void)state;
  FILE *f = fopen(in_folder("many.csv"), "w");
  assert_non_null(f);
  fputs("i\n", f);
  for (int i = 0; i < 5000; i++)
    fprintf(f,
            i % 2 ? "%d\n"
                  : "bad %d, and quite a long text to be cut somewhere behind its first forty bytes\n",
            i);
  fclose(f);
  IrColumn col = {"i", KIND_INT, false};
  Data d = read_all(source("csv", "many.csv", OPTIONS("delimiter", ";")), &col, 1);
  assert_int_equal(d.errors.count, 2500);
  for (uint32_t k = 0; k < ROW_ERRORS; k++)
    assert_int_equal(d.errors.v[k].pos, 2 * k);
  assert_string_equal(d.errors.v[0].text, "\"bad 0, and quite a long text to be cut s...\" is not an int");
  data_free(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(csv_types),
      cmocka_unit_test(csv_numbers),
      cmocka_unit_test(csv_options),
      cmocka_unit_test(csv_errors),
      cmocka_unit_test(csv_lines),
      cmocka_unit_test(csv_twice),
      cmocka_unit_test(csv_delimiter),
      cmocka_unit_test(many_errors),
      cmocka_unit_test(rows_count_once),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
