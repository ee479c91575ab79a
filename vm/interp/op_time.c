/* SPDX-License-Identifier: Apache-2.0 */
/* Dates, timestamps, durations. Branch-free: every loop vectorises with 64-bit lanes that have neither a
 * division nor, before AVX-512, a conversion between integers and doubles.
 *
 * Division: a nonnegative integer below 2^52 becomes a double by setting the exponent bits under it, so
 * that no conversion is needed; the quotient of two such numbers, rounded once, then floored, is the true
 * one as long as it is below 2^27 (a quotient that is not whole is at least 1/divisor away from the next
 * whole number, here always more than the rounding error).
 *
 * Calendar: C. Neri and L. Schneider, "Euclidean affine functions and their application to calendar
 * algorithms", Software: Practice and Experience 53, 2023: days are counted from a 1 March far in the
 * past, years of 365.25 - 1/400 days and months of 30.6 days are affine functions that are inverted with
 * one multiplication each. */
#include <string.h>

#include "vm/interp/calendar.h"
#include "vm/interp/op.h"

VECTOR_LOOPS

static inline double to_double(uint64_t v) { /* v < 2^52 */
  v |= UINT64_C(0x4330000000000000);
  double d;
  memcpy(&d, &v, sizeof d);
  return d - 0x1p52;
}

static inline uint64_t from_double(double d) { /* whole, 0 <= d < 2^52 */
  uint64_t v;
  d += 0x1p52;
  memcpy(&v, &d, sizeof v);
  return v ^ UINT64_C(0x4330000000000000);
}

/* Days since the shifted origin, of a timestamp: a day is 2^13 * 10546875 microseconds. */
static inline uint32_t day_of_ts(int64_t us) {
  uint64_t u = ((uint64_t)us + (UINT64_C(1) << 63)) >> 13; /* floor(us / 2^13) + 2^50 */
  double q = __builtin_floor((to_double(u) - 0x1p50) / 10546875.0);
  return (uint32_t)from_double(q + SHIFT_DAYS);
}

static inline uint32_t day_of_date(int64_t days) {
  days = days > DAYS_MAX ? DAYS_MAX : days;
  days = days < -DAYS_MAX ? -DAYS_MAX : days;
  return (uint32_t)(days + SHIFT_DAYS);
}

/* Microseconds since midnight. */
static inline uint64_t us_of_day(int64_t us) {
  uint64_t day = day_of_ts(us);
  return (uint64_t)us - (day - (uint64_t)SHIFT_DAYS) * (uint64_t)DAY_US;
}

typedef struct Civil {
  uint32_t year;  /* of the shifted calendar, beginning in March */
  uint32_t of_year; /* days since 1 March */
} Civil;

static inline Civil civil(uint32_t n) {
  uint32_t n1 = 4 * n + 3;
  uint32_t century = n1 / DAYS_ERA;
  uint32_t n2 = (n1 - century * DAYS_ERA) | 3;
  uint64_t p2 = UINT64_C(2939745) * n2;
  uint32_t z = (uint32_t)(p2 >> 32);
  uint32_t of_year = (uint32_t)p2 / 2939745 / 4;
  return (Civil){100 * century + z, of_year};
}

static inline uint32_t after_new_year(Civil c) {
  return c.of_year >= 306;
}

static inline int32_t year_of(uint32_t n) {
  Civil c = civil(n);
  return (int32_t)(c.year + after_new_year(c)) - SHIFT_YEARS;
}

static inline int32_t month_of(uint32_t n) {
  Civil c = civil(n);
  uint32_t m = (2141 * c.of_year + 197913) >> 16; /* 3..14 */
  return (int32_t)(m - 12 * after_new_year(c));
}

static inline int32_t day_of(uint32_t n) {
  Civil c = civil(n);
  uint32_t n3 = 2141 * c.of_year + 197913;
  return (int32_t)((n3 & 0xffff) / 2141 + 1);
}

static inline int32_t quarter_of(uint32_t n) {
  return (month_of(n) + 2) / 3;
}

static inline int32_t day_of_year(uint32_t n) {
  Civil c = civil(n);
  uint32_t y = c.year; /* of the days from March on; SHIFT_YEARS is a multiple of 400 */
  uint32_t leap = (y % 4 == 0) & ((y % 100 != 0) | (y % 400 == 0));
  uint32_t late = after_new_year(c);
  return (int32_t)(late ? c.of_year - 305 : c.of_year + 60 + leap);
}

static inline int32_t weekday_of(uint32_t n) {
  return (int32_t)((n + WEEKDAY_PLUS) % 7 + 1);
}

/* The ISO week of a day is the number of its Thursday in the Thursday's year. */
static inline int32_t week_of(uint32_t n) {
  uint32_t thursday = n + 4 - (uint32_t)weekday_of(n);
  return (day_of_year(thursday) + 6) / 7;
}

#define LOOP(code, U, F, expr)                                                        \
  static void loop_##code(const int64_t *restrict a, U *restrict o, uint32_t n) {     \
    for (uint32_t r = 0; r < n; r++) {                                                \
      const int64_t x = a[r];                                                         \
      o[r] = (U)(expr);                                                               \
    }                                                                                 \
  }                                                                                   \
  void step_##code(Step *s) {                                                         \
    loop_##code(s->arg[0]->i, s->out->F, s->n);                                       \
  }

#define CALENDAR(name, fn)                                  \
  LOOP(name##_DATE, int64_t, i, fn(day_of_date(x)))         \
  LOOP(name##_TS, int64_t, i, fn(day_of_ts(x)))

CALENDAR(YEAR, year_of)
CALENDAR(QUARTER, quarter_of)
CALENDAR(MONTH, month_of)
CALENDAR(DAY, day_of)
CALENDAR(WEEKDAY, weekday_of)
CALENDAR(DAY_OF_YEAR, day_of_year)
CALENDAR(WEEK, week_of)

/* Units within the day, at most 86,400 of them. */
static inline double units(int64_t us, double unit) {
  return __builtin_floor(to_double(us_of_day(us)) / unit);
}

static inline uint64_t within(double v, double of) {
  return from_double(v - of * __builtin_floor(v / of));
}

LOOP(HOUR_TS, int64_t, i, from_double(units(x, 3600e6)))
LOOP(MINUTE_TS, int64_t, i, within(units(x, 60e6), 60))
LOOP(SECOND_TS, int64_t, i, within(units(x, 1e6), 60))

LOOP(DAYS_DUR, double, f, (double)x / 86400e6)
LOOP(HOURS_DUR, double, f, (double)x / 3600e6)
LOOP(MINUTES_DUR, double, f, (double)x / 60e6)
LOOP(SECONDS_DUR, double, f, (double)x / 1e6)

LOOP(CAST_TS_DATE, int64_t, i, (int64_t)day_of_ts(x) - SHIFT_DAYS)

/* ---- Making durations and timestamps: the product has to fit ---- */

static void scale(Step *s, int64_t unit, const char *what) {
  const int64_t *a = s->arg[0]->i;
  int64_t *o = s->out->i;
  int64_t limit = INT64_MAX / unit;
  uint32_t bad = 0;
  for (uint32_t r = 0; r < s->n; r++) {
    o[r] = (int64_t)((uint64_t)a[r] * (uint64_t)unit);
    bad |= a[r] > limit || a[r] < -limit;
  }
  for (uint32_t r = 0; bad && r < s->n; r++) {
    if (a[r] <= limit && a[r] >= -limit)
      continue;
    o[r] = 0;
    step_fail(s, r, NULL, what, (long long)a[r]);
  }
}

void step_OF_DAYS_I64(Step *s) {
  scale(s, DAY_US, "%lld days do not fit a duration");
}

void step_OF_HOURS_I64(Step *s) {
  scale(s, HOUR_US, "%lld hours do not fit a duration");
}

void step_CAST_DATE_TS(Step *s) {
  scale(s, DAY_US, "the date %lld days from 1970-01-01 does not fit a timestamp");
}

void step_SUB_DAYS_I64(Step *s) {
  const int64_t *a = s->arg[0]->i, *b = s->arg[1]->i;
  for (uint32_t r = 0; r < s->n; r++) {
    int64_t d, us;
    s->out->i[r] = 0;
    if (__builtin_sub_overflow(a[r], b[r], &d) || __builtin_mul_overflow(d, DAY_US, &us))
      step_fail(s, r, NULL, "the days between two dates do not fit a duration");
    else
      s->out->i[r] = us;
  }
}
