/* SPDX-License-Identifier: Apache-2.0 */
/* Dates and times in forms of the user's own: "%d.%m.%Y %H:%M". Read form_parse; the letters are those of
 * strptime (POSIX), without the locale: names of months are English. */
#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "vm/engine/parts.h"

typedef struct Clock { /* what was read so far */
  int64_t year, us;    /* us: of the second, with the second's fraction */
  int month, day, hour, minute, second, half; /* half: 1 am, 2 pm */
  int64_t offset;      /* minutes east of UTC */
} Clock;

typedef struct Scan {
  const char *s, *end;
} Scan;

static bool digits(Scan *x, int least, int most, int low, int high, int *out) {
  int v = 0, n = 0;
  for (; n < most && x->s < x->end && *x->s >= '0' && *x->s <= '9'; n++)
    v = v * 10 + (*x->s++ - '0');
  *out = v;
  return n >= least && v >= low && v <= high;
}

static bool month_name(Scan *x, int *month) {
  static const char *const name[] = {"january", "february", "march",     "april",   "may",      "june",
                                     "july",    "august",   "september", "october", "november", "december"};
  for (int i = 0; i < 12; i++) {
    size_t n = strlen(name[i]), left = (size_t)(x->end - x->s);
    size_t take = left >= n && strncasecmp(x->s, name[i], n) == 0 ? n : 3;
    if (left < take || strncasecmp(x->s, name[i], take) != 0)
      continue;
    x->s += take;
    *month = i + 1;
    return true;
  }
  return false;
}

/* One to six digits, or nine of which the last three are 0. */
static bool fraction(Scan *x, int64_t *us) {
  int64_t v = 0, unit = 100000;
  int n = 0;
  for (; x->s < x->end && *x->s >= '0' && *x->s <= '9'; n++, x->s++) {
    if (unit == 0 && *x->s != '0')
      return false;
    v += unit * (*x->s - '0');
    unit /= 10;
  }
  *us = v;
  return n > 0 && n <= 9;
}

/* Z, +HH:MM, +HHMM, +HH */
static bool offset(Scan *x, int64_t *minutes) {
  int h = 0, m = 0;
  if (x->s < x->end && (*x->s == 'Z' || *x->s == 'z')) {
    x->s++;
    *minutes = 0;
    return true;
  }
  if (x->s >= x->end || (*x->s != '+' && *x->s != '-'))
    return false;
  bool minus = *x->s++ == '-';
  if (!digits(x, 2, 2, 0, 18, &h))
    return false;
  bool colon = x->s < x->end && *x->s == ':';
  x->s += colon;
  if ((colon || (x->s < x->end && *x->s >= '0' && *x->s <= '9')) && !digits(x, 2, 2, 0, 59, &m))
    return false;
  *minutes = (minus ? -1 : 1) * (h * 60 + m);
  return true;
}

static bool half_day(Scan *x, int *half) {
  if (x->end - x->s < 2 || (x->s[1] | 0x20) != 'm')
    return false;
  char c = (char)(x->s[0] | 0x20);
  *half = c == 'a' ? 1 : c == 'p' ? 2 : 0;
  x->s += 2;
  return *half != 0;
}

static bool one(Scan *x, char letter, Clock *c) {
  int v = 0;
  switch (letter) {
  case 'Y':
    if (!digits(x, 4, 4, 1, 9999, &v))
      return false;
    c->year = v;
    return true;
  case 'y': /* POSIX: 69..99 are 1969..1999 */
    if (!digits(x, 2, 2, 0, 99, &v))
      return false;
    c->year = v + (v < 69 ? 2000 : 1900);
    return true;
  case 'm': return digits(x, 1, 2, 1, 12, &c->month);
  case 'b':
  case 'B': return month_name(x, &c->month);
  case 'd':
  case 'e': return digits(x, 1, 2, 1, 31, &c->day);
  case 'H': return digits(x, 1, 2, 0, 23, &c->hour);
  case 'I': return digits(x, 1, 2, 1, 12, &c->hour);
  case 'p': return half_day(x, &c->half);
  case 'M': return digits(x, 2, 2, 0, 59, &c->minute);
  case 'S': return digits(x, 2, 2, 0, 59, &c->second);
  case 'f': return fraction(x, &c->us);
  case 'z': return offset(x, &c->offset);
  case '%': return x->s < x->end && *x->s++ == '%';
  default: return false;
  }
}

bool form_check(const char *form, bool time) {
  bool year = false, month = false, day = false;
  if (!*form)
    return false;
  for (; *form; form++) {
    if (*form != '%')
      continue;
    form++;
    if (!*form || !strchr(time ? "YymbBdeHIpMSfz%" : "YymbBde%", *form))
      return false;
    year |= *form == 'Y' || *form == 'y';
    month |= *form == 'm' || *form == 'b' || *form == 'B';
    day |= *form == 'd' || *form == 'e';
  }
  return year && month && day;
}

/* The whole text in one form; a blank in the form stands for any number of blanks. */
static bool form_parse(const char *form, const char *s, size_t n, Clock *c) {
  Scan x = {s, s + n};
  *c = (Clock){.year = 1970, .month = 1, .day = 1};
  for (; *form; form++) {
    if (*form == '%') {
      if (!one(&x, *++form, c))
        return false;
    } else if (*form == ' ') {
      while (x.s < x.end && *x.s == ' ')
        x.s++;
    } else if (x.s >= x.end || *x.s++ != *form) {
      return false;
    }
  }
  if (c->half)
    c->hour = c->hour % 12 + (c->half == 2 ? 12 : 0);
  return x.s == x.end;
}

/* Days since 1970-01-01; false: there is no such day. */
static bool day_of(const Clock *c, int64_t *days) {
  int64_t y;
  int m, d;
  *days = num_days_from_civil(c->year, c->month, c->day);
  num_civil_from_days(*days, &y, &m, &d);
  return d == c->day && m == c->month;
}

bool form_date(const Words *forms, const char *s, size_t n, int64_t *days) {
  Clock c;
  for (uint32_t i = 0; i < forms->n; i++) {
    if (form_parse(forms->v[i], s, n, &c) && day_of(&c, days))
      return true;
  }
  return forms->n == 0 && num_parse_date(s, n, days);
}

bool form_timestamp(const Words *forms, const char *s, size_t n, int64_t *us) {
  Clock c;
  int64_t days;
  for (uint32_t i = 0; i < forms->n; i++) {
    if (!form_parse(forms->v[i], s, n, &c) || !day_of(&c, &days))
      continue;
    int64_t seconds = days * 86400 + c.hour * 3600 + c.minute * 60 + c.second - c.offset * 60;
    *us = seconds * 1000000 + c.us;
    return true;
  }
  return forms->n == 0 && num_parse_timestamp(s, n, us);
}
