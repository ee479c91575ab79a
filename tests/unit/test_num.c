/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, dates and edit distance (base/num.h). Doubles are held against glibc's strtod, which rounds
 * exactly, and against what Python prints as the shortest decimal; random bit patterns go through printing
 * and reading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/num.h"

static double parsed(const char *s) {
  double v = 42;
  assert_true(num_parse_f64(s, strlen(s), &v));
  return v;
}

static bool rejected(const char *s) {
  double v;
  return !num_parse_f64(s, strlen(s), &v);
}

static void test_read_f64(void **state) {
  static const char *const texts[] = {
      "0",
      "-0",
      "1",
      "+1.5",
      ".5",
      "5.",
      "1e5",
      "1E-5",
      "123456789012345678",
      "9007199254740993",
      "9007199254740992.5",
      "0.1",
      "1e22",
      "1e23",
      "8.5e22",
      "1.7976931348623157e308",
      "4.9e-324",
      "2.2250738585072011e-308",
      "1e-400",
      "0e999999999999",
      "0.000000000000000000000000000000000000000000000000000000000000000000000001",
      "6.02214076e23",
      "3.14159265358979323846264",
      "89255.0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
      "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096"
      "330286416692887910946"
      "555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622"
      "842914819860834936475"
      "292719074168444365510704342711559699508093042880177904174497791",
  };
  (void)state;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    double v = parsed(texts[i]), w = strtod(texts[i], NULL);
    assert_memory_equal(&v, &w, sizeof v);
  }
  assert_true(isnan(parsed("NaN")));
  assert_true(parsed("-Infinity") < 0 && isinf(parsed("inf")));
  static const char *const bad[] = {
      "",    " 1",  "1 ",    "1e",  "e5",   ".",     "-",      "--1",           "0x10",
      "1_0", "1,5", "1.2.3", "1e+", "infi", "1e309", "nan(1)", "1e999999999999"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_true(rejected(bad[i]));
}

/* A midpoint between two doubles with 767 digits and more: what comes after the 800th digit decides. */
static void test_read_long(void **state) {
  (void)state;
  static char text[4000];
  memcpy(text, "9007199254740993.", 17);
  memset(text + 17, '0', 3000);
  assert_true(num_parse_f64(text, 3017, &(double){0}));
  double v;
  num_parse_f64(text, 3017, &v);
  assert_true(v == 9007199254740992.0);
  text[3016] = '1';
  num_parse_f64(text, 3017, &v);
  assert_true(v == 9007199254740994.0);
}

static void test_print_f64(void **state) {
  static const struct {
    double v;
    bool dot;
    const char *text;
  } cases[] = {
      {0, false, "0"},
      {0, true, "0.0"},
      {-0.0, true, "-0.0"},
      {1, true, "1.0"},
      {0.1, false, "0.1"},
      {0.3, true, "0.3"},
      {1e-4, true, "1e-4"},
      {0.001, true, "0.001"},
      {0.00123, true, "0.00123"},
      {123456.75, true, "123456.75"},
      {1e15, true, "1e15"},
      {1e22, true, "1e22"},
      {1.5e300, true, "1.5e300"},
      {-2.5e-7, true, "-2.5e-7"},
      {5e-324, true, "5e-324"},
      {0x1p-44, true, "5.684341886080802e-14"},
      {1.7976931348623157e308, true, "1.7976931348623157e308"},
      {2.0 / 3, true, "0.6666666666666666"},
      {100, false, "100"},
      {9007199254740993.0, false, "9.007199254740992e15"},
      {INFINITY, true, "inf"},
      {-INFINITY, true, "-inf"},
      {NAN, true, "nan"},
  };
  char out[NUM_MAX];
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int n = num_print_f64(out, cases[i].v, cases[i].dot);
    assert_string_equal(out, cases[i].text);
    assert_int_equal(n, (int)strlen(out));
  }
}

static void test_round_trip(void **state) {
  char out[NUM_MAX];
  (void)state;
  for (uint64_t i = 0; i < 20000; i++) {
    uint64_t w = rng_word(7, i);
    double v, back, scaled = (double)(int64_t)(w % 1000000) / 1000;
    memcpy(&v, &w, sizeof v);
    if (isnan(v))
      continue;
    int n = num_print_f64(out, v, i & 1);
    assert_true(n < NUM_MAX && num_parse_f64(out, (size_t)n, &back));
    assert_memory_equal(&v, &back, sizeof v);
    double w2 = strtod(out, NULL);
    assert_memory_equal(&v, &w2, sizeof v);
    n = num_print_f64(out, scaled, false); /* three digits behind the point stay three */
    assert_true(n <= 7 && num_parse_f64(out, (size_t)n, &back) && back == scaled);
  }
}

static void test_locale(void **state) {
  char out[NUM_MAX];
  (void)state;
  if (!setlocale(LC_ALL, "de_DE.UTF-8"))
    skip();
  num_print_f64(out, 0.1 + 0.2, true);
  assert_string_equal(out, "0.30000000000000004");
  assert_true(parsed("0.30000000000000004") == 0.1 + 0.2);
  setlocale(LC_ALL, "C");
}

static void test_i64(void **state) {
  int64_t v;
  char out[NUM_MAX];
  (void)state;
  assert_true(num_parse_i64("9223372036854775807", 19, &v) && v == INT64_MAX);
  assert_true(num_parse_i64("-9223372036854775808", 20, &v) && v == INT64_MIN);
  assert_false(num_parse_i64("9223372036854775808", 19, &v));
  assert_false(num_parse_i64("-9223372036854775809", 20, &v));
  assert_false(num_parse_i64("", 0, &v));
  assert_false(num_parse_i64("-", 1, &v));
  assert_false(num_parse_i64("1.0", 3, &v));
  num_print_i64(out, INT64_MIN);
  assert_string_equal(out, "-9223372036854775808");
  num_print_grouped(out, 3000000);
  assert_string_equal(out, "3,000,000");
  num_print_grouped(out, 999);
  assert_string_equal(out, "999");
  assert_int_equal(num_print_grouped(out, UINT64_MAX), 26);
}

static void test_dates(void **state) {
  int64_t v, y;
  int m, d;
  char out[NUM_MAX];
  (void)state;
  assert_true(num_parse_date("1970-01-01", 10, &v) && v == 0);
  assert_true(num_parse_date("2000-02-29", 10, &v) && v == 11016);
  assert_true(num_parse_date("0001-01-01", 10, &v) && v == -719162);
  assert_true(num_parse_date("9999-12-31", 10, &v) && v == 2932896);
  static const char *const bad[] = {"1900-02-29", "2001-13-01", "2001-00-01", "2001-01-00",
                                    "2001-04-31", "2001/01/01", "0000-01-01"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_false(num_parse_date(bad[i], 10, &v));
  assert_false(num_parse_date("2001-1-1", 8, &v));
  for (int64_t day = -800000; day < 800000; day += 37) { /* there and back */
    num_civil_from_days(day, &y, &m, &d);
    assert_int_equal(num_days_from_civil(y, m, d), day);
  }
  num_civil_from_days(INT64_MAX, &y, &m, &d); /* far away, but defined */
  num_civil_from_days(INT64_MIN, &y, &m, &d);
  num_print_date(out, INT64_MIN);
  num_print_date(out, 11016);
  assert_string_equal(out, "2000-02-29");
}

static int64_t stamp(const char *s) {
  int64_t us = -1;
  return num_parse_timestamp(s, strlen(s), &us) ? us : INT64_MIN;
}

static void test_timestamps(void **state) {
  char out[NUM_MAX];
  (void)state;
  assert_int_equal(stamp("1970-01-01"), 0);
  assert_int_equal(stamp("1970-01-01T00:01"), 60000000);
  assert_int_equal(stamp("1970-01-01 00:00:01.5Z"), 1500000);
  assert_int_equal(stamp("1970-01-01T02:00:00+02:00"), 0);
  assert_int_equal(stamp("1969-12-31T23:00:00-01:00"), 0);
  assert_int_equal(stamp("1970-01-01T00:00:00.000001"), 1);
  assert_int_equal(stamp("1970-01-01T00:00:00.000001000"), 1);
  static const char *const bad[] = {"1970-01-01T",
                                    "1970-01-01T1:00",
                                    "1970-01-01T24:00",
                                    "1970-01-01T00:60",
                                    "1970-01-01T00:00:60",
                                    "1970-01-01T00:00.5",
                                    "1970-01-01X00:00",
                                    "1970-01-01T00:00:00.",
                                    "1970-01-01T00:00:00.0000001",
                                    "1970-01-01T00:00:00+2",
                                    "1970-01-01T00:00:00ZZ",
                                    "0001-01-01T00:00:00+01:00",
                                    "9999-12-31T23:59:59-01:00",
                                    "1970-01-01T00:00:"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_true(stamp(bad[i]) == INT64_MIN);
  num_print_timestamp(out, -1);
  assert_string_equal(out, "1969-12-31T23:59:59.999999Z");
  num_print_timestamp(out, 1500000);
  assert_string_equal(out, "1970-01-01T00:00:01.5Z");
  num_print_timestamp(out, stamp("2024-02-29T12:34:56"));
  assert_string_equal(out, "2024-02-29T12:34:56Z");
  assert_true(num_print_timestamp(out, INT64_MIN) < NUM_MAX && num_print_timestamp(out, INT64_MAX) < NUM_MAX);
}

static void test_edit_distance(void **state) {
  (void)state;
  assert_int_equal(num_edit_distance("orign", "origin", 3), 1);
  assert_int_equal(num_edit_distance("", "abc", 5), 3);
  assert_int_equal(num_edit_distance("kitten", "sitting", 5), 3);
  assert_int_equal(num_edit_distance("kitten", "sitting", 2), 3);
  assert_int_equal(num_edit_distance("same", "same", 0), 0);
  char wide[600];
  memset(wide, 'a', sizeof wide - 1);
  wide[sizeof wide - 1] = 0;
  assert_int_equal(num_edit_distance(wide, "b", 2), 3);
  assert_int_equal(num_edit_distance(wide, wide, 2), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_read_f64),      cmocka_unit_test(test_read_long),
      cmocka_unit_test(test_print_f64),     cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_locale),        cmocka_unit_test(test_i64),
      cmocka_unit_test(test_dates),         cmocka_unit_test(test_timestamps),
      cmocka_unit_test(test_edit_distance),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
