/* SPDX-License-Identifier: Apache-2.0 */
/* One text -> one value, and what type a column of texts has. Read text_convert first.
 *
 * The rules are those of base/num.h, so that a number means the same in a program and in a file; the two
 * loops here only take the common short forms on a faster way with the same result. Blanks around numbers,
 * truth values and dates never matter; around strings they belong to the text unless the source says `trim
 * = true`. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/num.h"
#include "vm/engine/parts.h"

static inline bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

static inline Text trimmed(Text t) {
  while (t.n && is_blank(*t.s)) {
    t.s++;
    t.n--;
  }
  while (t.n && is_blank(t.s[t.n - 1]))
    t.n--;
  return t;
}

/* ---- Numbers ---- */

static inline bool parse_int(Text t, int64_t *out) {
  const char *s = t.s, *end = t.s + t.n;
  bool minus = s < end && *s == '-';
  s += minus;
  if (s == end || end - s > 18)
    return num_parse_i64(t.s, t.n, out);
  int64_t v = 0;
  for (; s < end; s++) {
    unsigned d = (unsigned)(*s - '0');
    if (d > 9)
      return num_parse_i64(t.s, t.n, out); /* a plus sign, or no number */
    v = v * 10 + d;
  }
  *out = minus ? -v : v;
  return true;
}

/* m / d, rounded once, for d from 1 to 10^18 and m > 2^53: 63 bits of the quotient at least, and one that
 * says whether anything follows. */
static double quotient(uint64_t m, uint64_t d) {
  int shift_m = __builtin_clzll(m), shift_d = __builtin_clzll(d);
  unsigned __int128 n = (unsigned __int128)(m << shift_m) << 63;
  d <<= shift_d;
  uint64_t q = (uint64_t)(n / d);
  q |= n % d != 0;
  return ldexp((double)q, shift_d - shift_m - 63);
}

static inline bool parse_float(Text t, double *out) {
  static const uint64_t power[] = {UINT64_C(1),
                                   UINT64_C(10),
                                   UINT64_C(100),
                                   UINT64_C(1000),
                                   UINT64_C(10000),
                                   UINT64_C(100000),
                                   UINT64_C(1000000),
                                   UINT64_C(10000000),
                                   UINT64_C(100000000),
                                   UINT64_C(1000000000),
                                   UINT64_C(10000000000),
                                   UINT64_C(100000000000),
                                   UINT64_C(1000000000000),
                                   UINT64_C(10000000000000),
                                   UINT64_C(100000000000000),
                                   UINT64_C(1000000000000000),
                                   UINT64_C(10000000000000000),
                                   UINT64_C(100000000000000000),
                                   UINT64_C(1000000000000000000)};
  const char *s = t.s, *end = t.s + t.n, *dot = NULL;
  bool minus = s < end && *s == '-';
  s += minus;
  if (s == end || end - s > 19)
    return num_parse_f64(t.s, t.n, out);
  uint64_t v = 0;
  for (; s < end; s++) {
    unsigned d = (unsigned)(*s - '0');
    if (d <= 9)
      v = v * 10 + d;
    else if (*s == '.' && !dot && t.n > 1)
      dot = s + 1;
    else
      return num_parse_f64(t.s, t.n, out);
  }
  if (dot && end - t.s - minus == 1)
    return num_parse_f64(t.s, t.n, out);
  /* One conversion or one division, rounded once: exact (Clinger 1990, as base/num.c). */
  double x = (double)v;
  if (dot && dot < end)
    x = v <= UINT64_C(1) << 53 ? x / (double)power[end - dot] : quotient(v, power[end - dot]);
  *out = minus ? -x : x;
  return true;
}

/* A number whose fraction follows another sign than a dot. */
static bool parse_decimal(Text t, char sign, double *out) {
  char copy[400]; /* longer than any number that is written to be read */
  if (t.n > sizeof copy || memchr(t.s, '.', t.n))
    return false;
  memcpy(copy, t.s, t.n);
  char *at = memchr(copy, sign, t.n);
  if (at)
    *at = '.';
  return parse_float((Text){copy, t.n}, out);
}

static bool same_word(Text t, const char *word) {
  for (uint32_t i = 0; i < t.n; i++) {
    if ((t.s[i] | 0x20) != word[i])
      return false;
  }
  return word[t.n] == 0;
}

static bool parse_bool(Text t, bool digits, uint8_t *out) {
  if (t.n == 4 && same_word(t, "true"))
    *out = 1;
  else if (t.n == 5 && same_word(t, "false"))
    *out = 0;
  else if (digits && t.n == 1 && (*t.s == '0' || *t.s == '1'))
    *out = *t.s == '1';
  else
    return false;
  return true;
}

/* ---- Columns ---- */

/* Words that other programs write for a missing value. */
static bool looks_missing(Text t) {
  static const char *const word[] = {"na", "n/a", "nan", "null", "none",   "nil",
                                     "-",  "?",   ".",   "#n/a", "missing"};
  for (size_t i = 0; i < sizeof word / sizeof *word; i++) {
    if (t.n == strlen(word[i]) && strncasecmp(t.s, word[i], t.n) == 0)
      return true;
  }
  return false;
}

const char *text_shown(const char *s, size_t n, char out[64]) {
  size_t m = n, at = 0, i = 0;
  if (m > 40) {
    m = 40;
    while (m > 36 && ((unsigned char)s[m] & 0xc0) == 0x80)
      m--;
  }
  for (; i < m && at < 56; i++) {
    if (!s[i])
      out[at++] = '\\';
    out[at++] = !s[i] ? '0' : (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? '.' : s[i];
  }
  strcpy(out + at, n > i ? "..." : "");
  return out;
}

/* What in the program would allow text `t`, shown as `text`, in column k. */
static void allow_text(const Draft *b, uint32_t k, Text t, const char *text, char out[96]) {
  Kind kind = b->col[k].kind;
  char decimal = b->in->opt.text.decimal;
  double v;
  *out = 0;
  if (looks_missing(t))
    snprintf(out, 96, "`null = \"%.8s\"` if it means a missing value", text);
  else if (kind == KIND_DATE || kind == KIND_TIMESTAMP)
    snprintf(out, 96, "`%ss = \"...\"`, the form of the %ss", kind_name(kind), kind_name(kind));
  else if (kind == KIND_INT && (parse_float(t, &v) || parse_decimal(t, decimal, &v)))
    reader_as(b, k, "float", out);
  else if (kind == KIND_FLOAT && b->in->opt.ops == &csv_ops && decimal == '.' && parse_decimal(t, ',', &v))
    strcpy(out, "`decimal = \",\"`, the sign before the fraction");
  else if (kind != KIND_DURATION && b->in->opt.ops != &libsvm_ops && t.n && !strchr("+-.,0123456789", *t.s))
    reader_as(b, k, "category", out);
}

static bool bad_text(Draft *b, uint32_t k, uint32_t at, Text t) {
  const TextOptions *o = &b->in->opt.text;
  const Words *forms = b->col[k].kind == KIND_DATE ? &o->date : &o->timestamp;
  static const char *const what[KIND_N] = {
      [KIND_BOOL] = "is neither true nor false",
      [KIND_INT] = "is not an int",
      [KIND_FLOAT] = "is not a float",
      [KIND_TIMESTAMP] = "is not a timestamp (YYYY-MM-DD HH:MM:SS)",
      [KIND_DATE] = "is not a date (YYYY-MM-DD)",
      [KIND_DURATION] = "is not a duration in microseconds",
  };
  char text[64], allow[96];
  if (!build_null(&b->build[k], at))
    return false;
  text_shown(t.s, t.n, text);
  const char *say = what[b->col[k].kind] ? what[b->col[k].kind] : "cannot be read";
  char form[80];
  if ((b->col[k].kind == KIND_DATE || b->col[k].kind == KIND_TIMESTAMP) && forms->n) {
    snprintf(form, sizeof form, "is not a %s in the form \"%.40s\"", kind_name(b->col[k].kind), forms->v[0]);
    say = form;
  }
  allow_text(b, k, t, text, allow);
  reader_bad(b, k, at, allow, "\"%s\" %s", text, say);
  return true;
}

static inline bool is_null_text(const TextOptions *o, Text t) {
  for (uint32_t i = 0; i < o->null.n; i++) {
    const char *s = o->null.v[i];
    if (*s == (t.n ? *t.s : 0) && strlen(s) == t.n && memcmp(s, t.s, t.n) == 0) /* it may hold NULs */
      return true;
  }
  return false;
}

/* What one text of a column of numbers, truth values or dates is. */
static inline bool set_value(Draft *b, uint32_t k, uint32_t at, Kind kind, Text t) {
  const TextOptions *o = &b->in->opt.text;
  Col *c = &b->build[k].col;
  bool ok;
  switch (kind) {
  case KIND_BOOL: ok = parse_bool(t, true, &c->b[at]); break;
  case KIND_FLOAT:
    ok = o->decimal == '.' ? parse_float(t, &c->f[at]) : parse_decimal(t, o->decimal, &c->f[at]);
    break;
  case KIND_DATE: ok = form_date(&o->date, t.s, t.n, &c->i[at]); break;
  case KIND_TIMESTAMP: ok = form_timestamp(&o->timestamp, t.s, t.n, &c->i[at]); break;
  default: ok = parse_int(t, &c->i[at]); break;
  }
  if (!ok)
    return bad_text(b, k, at, t);
  if (kind == KIND_FLOAT && isnan(c->f[at])) {
    if (b->col[k].nullable)
      return build_null(&b->build[k], at);
    return bad_text(b, k, at, t);
  }
  return true;
}

static bool set_string(Draft *b, uint32_t k, uint32_t at, Text t) {
  const TextOptions *o = &b->in->opt.text;
  if (o->trim)
    t = trimmed(t);
  if (is_null_text(o, t))
    return reader_null_at(b, k, at);
  int64_t code = build_string(&b->build[k].str, t.s, t.n);
  b->build[k].col.code[at] = (uint32_t)code;
  return code >= 0;
}

static bool convert_strings(Draft *b, uint32_t k, const Text *v, uint32_t m, uint32_t at) {
  const TextOptions *o = &b->in->opt.text;
  StrTable *table = &b->build[k].str;
  uint32_t *code = b->build[k].col.code + at;
  bool plain = o->null.n == 1 && !*o->null.v[0]; /* the empty texts are null */
  for (uint32_t i = 0; i < m; i++) {
    Text t = o->trim ? trimmed(v[i]) : v[i];
    if (plain ? t.n == 0 : is_null_text(o, t)) {
      if (!reader_null_at(b, k, at + i))
        return false;
      continue;
    }
    int64_t c = build_text(table, t);
    if (c < 0)
      return false;
    code[i] = (uint32_t)c;
  }
  return true;
}

static inline bool set_trimmed(Draft *b, uint32_t k, uint32_t at, Kind kind, Text t) {
  t = trimmed(t);
  if (t.n == 0 || is_null_text(&b->in->opt.text, t))
    return reader_null_at(b, k, at);
  return set_value(b, k, at, kind, t);
}

bool text_convert(Draft *b, uint32_t k, const Text *v, uint32_t m, uint32_t at) {
  Kind kind = b->col[k].kind;
  if (kind == KIND_STRING || kind == KIND_CATEGORY)
    return convert_strings(b, k, v, m, at);
  for (uint32_t i = 0; i < m; i++) {
    if (!set_trimmed(b, k, at + i, kind, v[i]))
      return false;
  }
  return true;
}

bool text_value(Draft *b, uint32_t k, uint32_t at, const char *s, uint32_t n) {
  Kind kind = b->col[k].kind;
  Text t = {s, n};
  return kind == KIND_STRING || kind == KIND_CATEGORY ? set_string(b, k, at, t)
                                                      : set_trimmed(b, k, at, kind, t);
}

/* ---- Guessing ---- */

void text_guess(TextGuess *g, const TextOptions *o, const char *s, uint32_t n) {
  Text t = trimmed((Text){s, n});
  int64_t i;
  double f = 0;
  uint8_t b;
  if (t.n == 0 || is_null_text(o, t)) {
    g->null = true;
    return;
  }
  g->any = true;
  g->not_int = g->not_int || !parse_int(t, &i);
  g->not_float = g->not_float || !(o->decimal == '.' ? parse_float(t, &f) : parse_decimal(t, o->decimal, &f));
  if (!g->not_float && isnan(f))
    g->null = true; /* NaN is how such a column says missing */
  g->not_bool = g->not_bool || !parse_bool(t, false, &b);
  g->not_date = g->not_date || !form_date(&o->date, t.s, t.n, &i);
  g->not_timestamp = g->not_timestamp || !form_timestamp(&o->timestamp, t.s, t.n, &i);
}

Kind text_guessed(const TextGuess *g) {
  if (!g->any)
    return KIND_STRING;
  if (!g->not_int)
    return KIND_INT;
  if (!g->not_float)
    return KIND_FLOAT;
  if (!g->not_bool)
    return KIND_BOOL;
  if (!g->not_date)
    return KIND_DATE;
  return g->not_timestamp ? KIND_STRING : KIND_TIMESTAMP;
}
