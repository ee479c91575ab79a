/* SPDX-License-Identifier: Apache-2.0 */
/* JSON and libsvm: how a file is divided into records, and what is said of one that cannot be read. */
#include "tests/unit/engine_data.h"

static const IrColumn columns[] = {
    {"a", KIND_INT, true}, {"b", KIND_STRING, true}, {"o.x", KIND_FLOAT, true}};

/* The rows of a file as "a|b|o.x", ';' between them; or what is wrong. */
static const char *rows_of(const char *format, const char *text, const IrColumn *col, uint32_t ncol) {
  size_t n = strlen(text);
  static char out[2000];
  size_t at = 0;
  FILE *f = fopen(in_folder("x"), "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, n, f), n);
  fclose(f);
  Data d = read_all(source(format, "x", NULL), col, ncol);
  out[0] = 0;
  if (d.st != ST_OK)
    snprintf(out, sizeof out, "%s: %s", strrchr(d.err.where, '/') + 1, d.err.cause);
  for (uint64_t r = 0; d.st == ST_OK && r < d.rows; r++)
    at += (size_t)snprintf(out + at, sizeof out - at, "%s%s", r ? ";" : "", row(&d, r));
  if (d.st == ST_OK && d.errors.count)
    snprintf(out + at, sizeof out - at, " %s", d.errors.v[0].text);
  data_free(&d);
  return out;
}

static void forms(void **state) {
  (void)state;
  static const char *const v[][2] = {
      {"", ""},
      {" \n\t\r\n", ""},
      {"\xef\xbb\xbf{\"a\": 1}", "1|null|null"},
      {"{\"a\":1}\n{\"a\":2}\r\n\n{\"a\":3}", "1|null|null;2|null|null;3|null|null"},
      {"{\"a\":1}{\"a\":2} {}", "1|null|null;2|null|null;null|null|null"},
      {"{\n \"a\": 1,\n \"b\": \"}{\\\"]\\\\\"\n}\n{\"b\":\"x\"}", "1|}{\"]\\|null;null|x|null"},
      {"[]", ""},
      {" [ \n] \n", ""},
      {"[{\"a\":1}]", "1|null|null"},
      {" [ {\"a\":1} , {\"o\":{\"x\":2.5,\"y\":[{},[1,{\"x\":3}]]}} ]\n\n", "1|null|null;null|null|2.5"},
      {"{\"a\": 7e2, \"b\": \"\", \"o\": {\"x\": -0.5E-1}}", "700||-0.05"},
      {"{\"a\": 1, \"a\": 2}", "2|null|null"},
      {"{\"b\": \"\\u00e4\\ud83d\\ude00\\n\"}", "null|\xc3\xa4\xf0\x9f\x98\x80\n|null"},
      {"{\"b\": true, \"o\": {\"x\": NaN}}", "null|true|null"},
      /* and what is wrong */
      {"x", "x, record 1: the record cannot be read: it is not an object `{ .. }`, at `x`"},
      {"\n[[1]]", "x, record 1: the record cannot be read: it is not an object `{ .. }`, at `[1]]`"},
      {"{\"a\":1} x {\"a\":2}",
       "x, record 2: the record cannot be read: it is not an object `{ .. }`, at `x {\"a\":2}`"},
      {"{\"a\":1},{\"a\":2}",
       "x, record 2: the record cannot be read: it is not an object `{ .. }`, at `,{\"a\":2}`"},
      {"{\"a\":1}\n{\"a\":2}}",
       "x, record 3: the record cannot be read: it is not an object `{ .. }`, at `}`"},
      {"{\"a\":1}\n7\n", "x, record 2: the record cannot be read: it is not an object `{ .. }`, at `7`"},
      {"{\"a\":1]", "x, record 1: the record cannot be read: `,` or `}` is missing, at `]`"},
      {"{\"a\":1", "x, record 1: the record cannot be read: `,` or `}` is missing where the file ends"},
      {"{\"a\":", "x, record 1: the record cannot be read: a value is missing where the file ends"},
      {"{\"b\":\"abc", "x, record 1: the record cannot be read: a text is not closed where the file ends"},
      {"{\"b\":\"abc\\", "x, record 1: the record cannot be read: a text is not closed where the file ends"},
      {"{\"a\":1}\n{\"a\":2,}", "x, record 2: the record cannot be read: a name is missing, at `}`"},
      {"[{\"a\":1}", "x, record 2: the record cannot be read: `]` is missing where the file ends"},
      {"[{\"a\":1}\n", "x, record 2: the record cannot be read: `]` is missing where the file ends"},
      {"[{\"a\":1},", "x, record 2: the record cannot be read: `]` is missing where the file ends"},
      {"[", "x, record 1: the record cannot be read: `]` is missing where the file ends"},
      {"[{\"a\":1} {\"a\":2}]",
       "x, record 2: the record cannot be read: `,` or `]` is missing, at `{\"a\":2}]`"},
      {"[{\"a\":1},]", "x, record 2: the record cannot be read: it is not an object `{ .. }`, at `]`"},
      {"[{\"a\":1}] {\"a\":2}",
       "x, record 2: the record cannot be read: something follows the list, at `{\"a\":2}`"},
      {"[{\"a\":1}] []", "x, record 2: the record cannot be read: something follows the list, at `[]`"},
      {"[{\"a\":1} []", "x, record 2: the record cannot be read: `,` or `]` is missing, at `[]`"},
      {"{\"a\":01}", "x, record 1: the record cannot be read: that is no value, at `01}`"},
      {"{\"a\":1.}", "x, record 1: the record cannot be read: that is no value, at `1.}`"},
      {"{\"a\":+1}", "x, record 1: the record cannot be read: that is no value, at `+1}`"},
      {"{\"a\":.5}", "x, record 1: the record cannot be read: that is no value, at `.5}`"},
      {"{\"a\":1e}", "x, record 1: the record cannot be read: that is no value, at `1e}`"},
      {"{\"a\":True}", "x, record 1: the record cannot be read: that is no value, at `True}`"},
      {"{\"a\":[1,x]}", "x, record 1: the record cannot be read: that is no value, at `x]}`"},
      {"{a:1}", "x, record 1: the record cannot be read: a name is missing, at `a:1}`"},
      {"{\"b\":\"a\tb\"}",
       "x, record 1: the record cannot be read: a text with a control character, at `.b\"}`"},
      {"{\"b\":\"\\x\"}",
       "x, record 1: the record cannot be read: an escape that JSON does not have, at `\"}`"},
      {"{\"b\":\"\xff\"}", "x, record 1: the record cannot be read: it is not valid UTF-8"},
      {"{\"b\":\"\xc3\xa4\"}\n{\"b\":\xff}", "x, record 2: the record cannot be read: it is not valid UTF-8"},
  };
  for (size_t i = 0; i < sizeof v / sizeof *v; i++)
    assert_string_equal(rows_of("json", v[i][0], columns, 3), v[i][1]);
}

static void libsvm_forms(void **state) {
  (void)state;
  static const IrColumn col[] = {{"label", KIND_FLOAT, true}, {"f2", KIND_FLOAT, false}};
  static const char *const v[][2] = {
      {"", ""},
      {"# only\n\n \t \n", ""},
      {"1 2:3\n", "1.0|3.0"},
      {"1 2:3", "1.0|3.0"},
      {"1 2:3\r\n\r\n#x\r\n2 1:5 2:7 # 8\r\n", "1.0|3.0;2.0|7.0"},
      {"1 2:3\r2 2:4\r", "1.0|3.0;2.0|4.0"},
      {"1 2:3\r", "1.0|3.0"},
      {"1 2:3\n2:4\n", "1.0|3.0;0.0|0.0 the line begins with no label"},
      {"1 2:3\n2 2:\xff\n", "x, line 2: the line is not valid UTF-8"},
  };
  for (size_t i = 0; i < sizeof v / sizeof *v; i++)
    assert_string_equal(rows_of("libsvm", v[i][0], col, 2), v[i][1]);
}

/* Records that lie across what is read at once, and across the ends of blocks. */
static void long_ones(void **state) {
  (void)state;
  static const IrColumn col[] = {{"a", KIND_INT, false}, {"b", KIND_STRING, false}};
  for (int list = 0; list < 2; list++) {
    FILE *f = fopen(in_folder("long.json"), "wb");
    assert_non_null(f);
    fputs(list ? "[\n" : "", f);
    for (uint32_t i = 0; i < 2 * BLOCK + 5; i++) {
      fprintf(f, "%s{\"a\": %u, \"b\": \"", i && list ? ",\n" : "\n", i);
      for (uint32_t k = 0; k < (i % 5000 == 11 ? 30000 : i % 7); k++)
        fputs("\\\"}\\\\", f);
      fputs("\"}", f);
    }
    fputs(list ? "\n]" : "", f);
    fclose(f);
    Data d = read_all(source("json", "long.json", NULL), col, 1);
    no_error(&d);
    assert_int_equal(d.rows, 2 * BLOCK + 5);
    for (uint32_t i = 0; i < d.rows; i++)
      assert_int_equal(atoi(d.cell[i]), i);
    data_free(&d);
  }
}

static void too_long(void **state) {
  (void)state;
  FILE *f = fopen(in_folder("too.json"), "wb");
  assert_non_null(f);
  fputs("{\"a\": 1}\n{\"a\": \"", f);
  for (uint32_t i = 0; i < 17 << 20; i += 16)
    fputs("0123456789abcdef", f);
  fclose(f);
  Data d = read_all(source("json", "too.json", NULL), columns, 1);
  expect_error(&d, ST_DATA, "CML0404", "a record is longer than 16 MB");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(forms), cmocka_unit_test(libsvm_forms),
                                     cmocka_unit_test(long_ones), cmocka_unit_test(too_long)};
  cmocka_set_message_output(CM_OUTPUT_TAP);
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
