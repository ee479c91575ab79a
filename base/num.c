/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, dates and text. Read num.h first; then parse_decimal, which everything about doubles rests on.
 *
 * A double is read in three steps. The text becomes digits times a power of ten. When the digits fit 53 bits
 * and the power is small, one exact multiplication or division gives the rounded result (Clinger, "How to
 * read floating point numbers accurately", PLDI 1990). Otherwise the digits go to strtod, rewritten as
 * "DIGITSeEXPONENT": such a text has no decimal point, so that no locale can spoil it, and glibc rounds it
 * exactly. Printing tries 15, 16, 17 digits and keeps the first that reads back as the same number. */
#include "base/num.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A decimal with more digits than this is not needed exactly: the midpoint between two doubles has at most
 * 768 significant digits, so that what lies behind only matters as "something is there". */
enum { DIGITS_MAX = 780 };

/* ---- Reading numbers ---- */

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static bool same_word(const char *s, size_t n, const char *word) {
  if (strlen(word) != n)
    return false;
  for (size_t i = 0; i < n; i++) {
    if ((s[i] | 0x20) != word[i])
      return false;
  }
  return true;
}

static const double power_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                      1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* The unsigned part: digits [. digits] [e [sign] digits]. */
static bool parse_decimal(const char *s, size_t n, double *out) {
  char digits[DIGITS_MAX + 32];
  size_t nd = 0, i = 0;
  int64_t scale = 0; /* value = digits * 10^scale */
  bool any = false, dropped = false, fraction = false;
  for (; i < n; i++) {
    if (s[i] == '.' && !fraction) {
      fraction = true;
      continue;
    }
    if (!is_digit(s[i]))
      break;
    any = true;
    if (nd == 0 && s[i] == '0') { /* leading zeros say nothing but where the point is */
      scale -= fraction;
    } else if (nd < DIGITS_MAX) {
      digits[nd++] = s[i];
      scale -= fraction;
    } else {
      dropped |= s[i] != '0';
      scale += !fraction;
    }
  }
  if (!any)
    return false;
  if (i < n && (s[i] | 0x20) == 'e') {
    bool minus = false;
    i++;
    if (i < n && (s[i] == '+' || s[i] == '-'))
      minus = s[i++] == '-';
    if (i == n)
      return false;
    int64_t e = 0;
    for (; i < n && is_digit(s[i]); i++) {
      if (e < INT64_C(100000000000))
        e = e * 10 + (s[i] - '0');
    }
    scale += minus ? -e : e;
  }
  if (i != n)
    return false;
  if (nd == 0) {
    *out = 0;
    return true;
  }
  if (dropped) { /* one more digit stands for everything that was cut off */
    digits[nd++] = '1';
    scale--;
  }
  if (nd <= 15 && scale >= -22 && scale <= 22) {
    int64_t m = 0;
    for (size_t k = 0; k < nd; k++)
      m = m * 10 + (digits[k] - '0');
    *out = scale < 0 ? (double)m / power_of_ten[-scale] : (double)m * power_of_ten[scale];
    return true;
  }
  if (scale + (int64_t)nd > 310)
    return false;
  if (scale + (int64_t)nd < -330) {
    *out = 0;
    return true;
  }
  snprintf(digits + nd, sizeof digits - nd, "e%d", (int)scale);
  *out = strtod(digits, NULL);
  return isfinite(*out);
}

bool num_parse_f64(const char *s, size_t n, double *out) {
  bool minus = false;
  if (n && (*s == '+' || *s == '-')) {
    minus = *s == '-';
    s++;
    n--;
  }
  double v;
  if (same_word(s, n, "nan"))
    v = (double)NAN;
  else if (same_word(s, n, "inf") || same_word(s, n, "infinity"))
    v = (double)INFINITY;
  else if (!parse_decimal(s, n, &v))
    return false;
  *out = minus ? -v : v;
  return true;
}

bool num_parse_i64(const char *s, size_t n, int64_t *out) {
  bool minus = false;
  if (n && (*s == '+' || *s == '-')) {
    minus = *s == '-';
    s++;
    n--;
  }
  if (!n)
    return false;
  uint64_t v = 0, limit = (uint64_t)INT64_MAX + minus;
  for (size_t i = 0; i < n; i++) {
    if (!is_digit(s[i]))
      return false;
    uint64_t d = (uint64_t)(s[i] - '0');
    if (v > (limit - d) / 10)
      return false;
    v = v * 10 + d;
  }
  *out = minus ? (int64_t)(0 - v) : (int64_t)v;
  return true;
}

/* ---- Printing numbers ---- */

int num_print_i64(char out[NUM_MAX], int64_t v) {
  return snprintf(out, NUM_MAX, "%lld", (long long)v);
}

int num_print_grouped(char out[NUM_MAX], uint64_t v) {
  char plain[NUM_MAX];
  int n = snprintf(plain, sizeof plain, "%llu", (unsigned long long)v), k = 0;
  for (int i = 0; i < n; i++) {
    if (i && (n - i) % 3 == 0)
      out[k++] = ',';
    out[k++] = plain[i];
  }
  out[k] = 0;
  return k;
}

/* v > 0 as `count` rounded digits: v is about d.ddd * 10^*exp10. */
static void digits_of(double v, int count, char digits[24], int *exp10) {
  char text[64];
  snprintf(text, sizeof text, "%.*e", count - 1, v);
  int k = 0;
  const char *t = text;
  for (; *t && *t != 'e'; t++) {
    if (is_digit(*t)) /* the decimal point, whatever the locale makes of it, is skipped */
      digits[k++] = *t;
  }
  digits[k] = 0;
  *exp10 = *t ? atoi(t + 1) : 0;
}

static bool reads_back(const char *digits, int exp10, double v) {
  char text[64];
  double back;
  int n = snprintf(text, sizeof text, "%se%d", digits, exp10 - (int)strlen(digits) + 1);
  return num_parse_f64(text, (size_t)n, &back) && back == v;
}

/* The next larger decimal of the same length. */
static void round_up(char *digits, int *exp10) {
  int k = (int)strlen(digits) - 1;
  while (k >= 0 && digits[k] == '9')
    digits[k--] = '0';
  if (k >= 0) {
    digits[k]++;
  } else {
    digits[0] = '1';
    (*exp10)++;
  }
}

static void shortest(double v, char digits[24], int *exp10) {
  /* Up to 15 digits survive the way through a double, so that a shorter decimal appears among the 15 with
   * zeros behind it; subnormal numbers have fewer bits and are tried from one digit on. */
  for (int count = v < 0x1p-1022 ? 1 : 15; count <= 17; count++) {
    digits_of(v, count, digits, exp10);
    if (reads_back(digits, *exp10, v))
      break;
    /* Below a power of two doubles lie closer, so that the nearest decimal may miss while the one above it
     * hits. */
    char up[24];
    int e = *exp10;
    memcpy(up, digits, sizeof up);
    round_up(up, &e);
    if (reads_back(up, e, v)) {
      memcpy(digits, up, sizeof up);
      *exp10 = e;
      break;
    }
  }
  for (size_t k = strlen(digits); k > 1 && digits[k - 1] == '0'; k--)
    digits[k - 1] = 0;
}

int num_print_f64(char out[NUM_MAX], double v, bool dot) {
  if (isnan(v))
    return snprintf(out, NUM_MAX, "nan");
  if (isinf(v))
    return snprintf(out, NUM_MAX, v < 0 ? "-inf" : "inf");
  const char *sign = signbit(v) ? "-" : "";
  v = fabs(v);
  if (v < 1e15 && v == (double)(int64_t)v)
    return snprintf(out, NUM_MAX, "%s%lld%s", sign, (long long)v, dot ? ".0" : "");
  char digits[24];
  int e;
  shortest(v, digits, &e);
  int n = (int)strlen(digits);
  if (e >= 0 && e < 17 && n > e + 1)
    return snprintf(out, NUM_MAX, "%s%.*s.%s", sign, e + 1, digits, digits + e + 1);
  if (e < 0 && e >= -3)
    return snprintf(out, NUM_MAX, "%s0.%.*s%s", sign, -e - 1, "000", digits);
  return snprintf(out, NUM_MAX, "%s%c%s%se%d", sign, digits[0], n > 1 ? "." : "", digits + 1, e);
}

/* ---- Dates ---- */

/* Both directions after Howard Hinnant, "chrono-compatible low-level date algorithms": years begin in March,
 * so that the leap day comes last; an era is 400 years. */
int64_t num_days_from_civil(int64_t y, int m, int d) {
  y -= m <= 2;
  int64_t era = (y >= 0 ? y : y - 399) / 400;
  int64_t yoe = y - era * 400;
  int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + doe - 719468;
}

void num_civil_from_days(int64_t days, int64_t *y, int *m, int *d) {
  int64_t era = days / 146097; /* split first: days + 719468 could overflow */
  int64_t rest = days % 146097 + 719468;
  era += rest / 146097;
  rest %= 146097;
  if (rest < 0) {
    rest += 146097;
    era--;
  }
  int64_t yoe = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
  int64_t doy = rest - (365 * yoe + yoe / 4 - yoe / 100);
  int64_t mp = (5 * doy + 2) / 153;
  *d = (int)(doy - (153 * mp + 2) / 5 + 1);
  *m = (int)(mp < 10 ? mp + 3 : mp - 9);
  *y = yoe + era * 400 + (*m <= 2);
}

/* Exactly `n` digits at s, which has `left` bytes. */
static bool fixed_digits(const char *s, size_t left, int n, int *out) {
  if (left < (size_t)n)
    return false;
  *out = 0;
  for (int i = 0; i < n; i++) {
    if (!is_digit(s[i]))
      return false;
    *out = *out * 10 + (s[i] - '0');
  }
  return true;
}

static bool date_prefix(const char *s, size_t n, int64_t *days) {
  static const int length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int y, m, d;
  if (n < 10 || s[4] != '-' || s[7] != '-' || !fixed_digits(s, n, 4, &y) ||
      !fixed_digits(s + 5, n - 5, 2, &m) || !fixed_digits(s + 8, n - 8, 2, &d))
    return false;
  if (y < 1 || m < 1 || m > 12 || d < 1)
    return false;
  bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
  if (d > length[m - 1] + (m == 2 && leap))
    return false;
  *days = num_days_from_civil(y, m, d);
  return true;
}

bool num_parse_date(const char *s, size_t n, int64_t *days) {
  return n == 10 && date_prefix(s, n, days);
}

static const int64_t DAY_US = INT64_C(86400000000);

/* HH:MM; moves s behind it. */
static bool hour_minute(const char **s, const char *end, int *minutes) {
  int h, m;
  size_t left = (size_t)(end - *s);
  if (left < 5 || (*s)[2] != ':' || !fixed_digits(*s, left, 2, &h) || !fixed_digits(*s + 3, left - 3, 2, &m))
    return false;
  if (h > 23 || m > 59)
    return false;
  *minutes = h * 60 + m;
  *s += 5;
  return true;
}

bool num_parse_timestamp(const char *s, size_t n, int64_t *us) {
  int64_t days;
  if (!date_prefix(s, n, &days))
    return false;
  int64_t t = 0;
  const char *end = s + n;
  s += 10;
  if (s < end) {
    int minutes, seconds = 0;
    if ((*s != 'T' && *s != ' ') || (s++, !hour_minute(&s, end, &minutes)))
      return false;
    bool has_seconds = s < end && *s == ':';
    if (has_seconds) {
      if (!fixed_digits(s + 1, (size_t)(end - s - 1), 2, &seconds) || seconds > 59)
        return false;
      s += 3;
    }
    t = (minutes * INT64_C(60) + seconds) * 1000000;
    if (has_seconds && s < end && *s == '.') {
      int64_t unit = 100000;
      int k = 0;
      for (s++; s < end && is_digit(*s) && k < 9; s++, k++, unit /= 10) {
        if (unit == 0 && *s != '0')
          return false; /* finer than a microsecond: it does not fit, and nothing is dropped in silence */
        t += unit * (*s - '0');
      }
      if (k == 0)
        return false;
    }
    if (s < end && *s == 'Z') {
      s++;
    } else if (s < end && (*s == '+' || *s == '-')) {
      bool minus = *s++ == '-';
      if (!hour_minute(&s, end, &minutes))
        return false;
      t -= (minus ? -minutes : minutes) * INT64_C(60000000);
    }
    if (s != end)
      return false;
  }
  *us = days * DAY_US + t;
  return *us >= num_days_from_civil(1, 1, 1) * DAY_US && *us < num_days_from_civil(10000, 1, 1) * DAY_US;
}

int num_print_date(char out[NUM_MAX], int64_t days) {
  int64_t y;
  int m, d;
  num_civil_from_days(days, &y, &m, &d);
  return snprintf(out, NUM_MAX, "%s%04lld-%02d-%02d", y < 0 ? "-" : "", (long long)(y < 0 ? -y : y), m, d);
}

int num_print_timestamp(char out[NUM_MAX], int64_t us) {
  int64_t days = us / DAY_US, t = us % DAY_US;
  if (t < 0) {
    t += DAY_US;
    days--;
  }
  int k = num_print_date(out, days);
  int64_t sec = t / 1000000;
  k += snprintf(out + k, NUM_MAX - (size_t)k, "T%02d:%02d:%02d", (int)(sec / 3600), (int)(sec / 60 % 60),
                (int)(sec % 60));
  if (t % 1000000) {
    k += snprintf(out + k, NUM_MAX - (size_t)k, ".%06d", (int)(t % 1000000));
    while (out[k - 1] == '0')
      k--;
  }
  k += snprintf(out + k, NUM_MAX - (size_t)k, "Z");
  return k;
}

/* ---- Text ---- */

int num_edit_distance(const char *a, const char *b, int max) {
  enum { LONGEST = 255 };
  size_t na = strlen(a), nb = strlen(b);
  if (na > LONGEST || nb > LONGEST)
    return strcmp(a, b) == 0 ? 0 : max + 1;
  int row[LONGEST + 1]; /* row[j]: distance of the first i bytes of a from the first j of b */
  for (size_t j = 0; j <= nb; j++)
    row[j] = (int)j;
  for (size_t i = 1; i <= na; i++) {
    int diagonal = row[0], least;
    row[0] = least = (int)i;
    for (size_t j = 1; j <= nb; j++) {
      int change = diagonal + (a[i - 1] != b[j - 1]);
      int insert = row[j - 1] + 1, drop = row[j] + 1;
      diagonal = row[j];
      row[j] = change < insert ? change : insert;
      if (drop < row[j])
        row[j] = drop;
      if (row[j] < least)
        least = row[j];
    }
    if (least > max)
      return max + 1;
  }
  return row[nb] > max ? max + 1 : row[nb];
}
