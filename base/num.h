/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, dates and text: parsing and printing that do not depend on the locale, and round-trip. One
 * implementation for programs, data files, IR text and reports, so that "1e-4" is the same number
 * everywhere. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NUM_MAX = 40 }; /* bytes that any num_print_* needs, NUL included */

/* The shortest decimal that reads back as the same double: "0.1", "1e-04" never, "1e-4"; always with a dot
 * or an exponent when `dot`. NaN prints "nan", infinities "inf" and "-inf". Returns the length. */
int num_print_f64(char out[NUM_MAX], double v, bool dot);
int num_print_i64(char out[NUM_MAX], int64_t v);

/* The whole text must be a number: optional sign, digits, fraction, exponent; also nan, inf, infinity in
 * any case (f64 only). Exactly rounded. Surrounding blanks are not accepted. False: not a number, or out
 * of the range of the type. */
bool num_parse_f64(const char *s, size_t n, double *out);
bool num_parse_i64(const char *s, size_t n, int64_t *out);

/* ISO 8601 in the proleptic Gregorian calendar. Dates are days since 1970-01-01, timestamps microseconds
 * since then in UTC.
 * Accepted: YYYY-MM-DD; the same with 'T' or ' ' and HH:MM[:SS[.f{1,9}]] and an optional Z or +HH:MM,
 * -HH:MM. Years 0001..9999. */
bool num_parse_date(const char *s, size_t n, int64_t *days);
bool num_parse_timestamp(const char *s, size_t n, int64_t *us);
int num_print_date(char out[NUM_MAX], int64_t days);
int num_print_timestamp(char out[NUM_MAX], int64_t us);
int64_t num_days_from_civil(int64_t y, int m, int d);
void num_civil_from_days(int64_t days, int64_t *y, int *m, int *d);

/* Levenshtein distance, for "did you mean"; at most `max` + 1 is returned. */
int num_edit_distance(const char *a, const char *b, int max);

/* "3,000,000" */
int num_print_grouped(char out[NUM_MAX], uint64_t v);

#endif
