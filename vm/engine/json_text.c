/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: a file -> texts of whole records (json_split), a text -> values (json_more, json_record).
 *
 * Dividing looks at quotes and braces only, since one thread at a time does it. Everything that is wrong is
 * found when a record is taken apart. */
#include <string.h>
#include <strings.h>

#include "base/unicode.h"
#include "vm/engine/csv_scan.h"
#include "vm/engine/json.h"

enum { DEPTH_MAX = 64, JSON_RECORD_MAX = 16 << 20 };

/* ---- One record ---- */

static bool wrong(Json *j, const char *why) {
  j->why = why;
  j->at = j->s;
  return false;
}

static void blanks(Json *j) {
  while (j->s < j->end && (*j->s == ' ' || *j->s == '\t' || *j->s == '\n' || *j->s == '\r'))
    j->s++;
}

static bool take(Json *j, char c) {
  blanks(j);
  if (j->s >= j->end || *j->s != c)
    return false;
  j->s++;
  return true;
}

static bool hex4(Json *j, uint32_t *out) {
  uint32_t v = 0;
  if (j->end - j->s < 4)
    return false;
  for (int i = 0; i < 4; i++) {
    char c = *j->s++, d = (char)(c | 0x20);
    if (c >= '0' && c <= '9')
      v = v * 16 + (uint32_t)(c - '0');
    else if (d >= 'a' && d <= 'f')
      v = v * 16 + (uint32_t)(d - 'a' + 10);
    else
      return false;
  }
  *out = v;
  return true;
}

static void put_utf8(Buf *b, uint32_t c) {
  if (c < 0x80) {
    buf_u8(b, (uint8_t)c);
  } else if (c < 0x800) {
    buf_u8(b, (uint8_t)(0xc0 | c >> 6));
    buf_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
  } else if (c < 0x10000) {
    buf_u8(b, (uint8_t)(0xe0 | c >> 12));
    buf_u8(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
    buf_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
  } else {
    buf_u8(b, (uint8_t)(0xf0 | c >> 18));
    buf_u8(b, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
    buf_u8(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
    buf_u8(b, (uint8_t)(0x80 | (c & 0x3f)));
  }
}

/* What follows a backslash. */
static bool escape(Json *j, Buf *out) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  if (j->s >= j->end)
    return wrong(j, "a text is not closed");
  char c = *j->s++;
  const char *at = c ? strchr(from, c) : NULL;
  uint32_t v, low;
  if (at) {
    buf_u8(out, (uint8_t)to[at - from]);
    return true;
  }
  if (c != 'u' || !hex4(j, &v))
    return wrong(j, "an escape that JSON does not have");
  if (v >= 0xd800 && v < 0xe000) {
    bool pair = v < 0xdc00 && j->end - j->s >= 2 && j->s[0] == '\\' && j->s[1] == 'u';
    j->s += pair ? 2 : 0;
    if (!pair || !hex4(j, &low) || low < 0xdc00 || low >= 0xe000)
      return wrong(j, "half of a surrogate pair stands alone");
    v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
  }
  put_utf8(out, v);
  return true;
}

/* A text behind its first quote, decoded and appended. */
static bool string(Json *j, Buf *out) {
  for (;;) {
    const char *from = j->s;
    while (j->s < j->end && *j->s != '"' && *j->s != '\\' && (unsigned char)*j->s >= 0x20)
      j->s++;
    buf_put(out, from, (size_t)(j->s - from));
    if (j->s >= j->end)
      return wrong(j, "a text is not closed");
    if ((unsigned char)*j->s < 0x20)
      return wrong(j, "a text with a control character");
    if (*j->s++ == '"')
      return !out->bad;
    if (!escape(j, out))
      return false;
  }
}

static bool give(Json *j, JsonKind kind, const char *s, size_t n) {
  return !j->visit || j->visit(j->ctx, (const char *)j->name.p, (uint32_t)j->name.n, kind, s, (uint32_t)n);
}

static bool value(Json *j);

static bool list(Json *j) {
  const char *from = j->s++;
  Visit visit = j->visit;
  j->visit = NULL;
  bool ok = true, more = !take(j, ']');
  while (ok && more) {
    ok = value(j);
    more = ok && take(j, ',');
    if (ok && !more && !take(j, ']'))
      ok = wrong(j, "`,` or `]` is missing");
  }
  j->visit = visit;
  return ok && give(j, J_LIST, from, (size_t)(j->s - from));
}

/* Members; the name of each is appended to j->name behind a dot. */
static bool visit_object(Json *j) {
  const char *from = j->s++;
  size_t n = j->name.n;
  if (j->depth && !give(j, J_OBJECT, from, 0))
    return false;
  bool more = !take(j, '}');
  while (more) {
    if (j->depth)
      buf_u8(&j->name, '.');
    if (!take(j, '"') || !string(j, &j->name))
      return j->why || j->name.bad ? false : wrong(j, "a name is missing");
    if (!take(j, ':'))
      return wrong(j, "`:` is missing");
    j->depth++;
    bool ok = !j->name.bad && value(j);
    j->depth--;
    if (!ok)
      return false;
    j->name.n = n;
    more = take(j, ',');
    if (!more && !take(j, '}'))
      return wrong(j, "`,` or `}` is missing");
  }
  return true;
}

static const char *some_digits(const char *s, const char *end) {
  while (s < end && *s >= '0' && *s <= '9')
    s++;
  return s;
}

/* RFC 8259, 6; and, as some programs write them, words for what is no number: NaN, Infinity. */
static bool is_number(const char *s, size_t n) {
  static const char *const word[] = {"nan", "inf", "infinity"};
  const char *end = s + n, *at;
  s += s < end && *s == '-';
  for (size_t i = 0; i < sizeof word / sizeof *word; i++)
    if (strlen(word[i]) == (size_t)(end - s) && strncasecmp(s, word[i], (size_t)(end - s)) == 0)
      return true;
  at = some_digits(s, end);
  if (at == s || (*s == '0' && at - s > 1))
    return false;
  if (at < end && *at == '.') {
    s = at + 1;
    at = some_digits(s, end);
    if (at == s)
      return false;
  }
  if (at < end && (*at | 0x20) == 'e') {
    s = at + 1;
    s += s < end && (*s == '+' || *s == '-');
    at = some_digits(s, end);
    if (at == s)
      return false;
  }
  return at == end;
}

static bool scalar(Json *j) {
  const char *from = j->s;
  while (j->s < j->end && !strchr(",]} \t\r\n", *j->s))
    j->s++;
  size_t n = (size_t)(j->s - from);
  if (n == 4 && memcmp(from, "null", 4) == 0)
    return give(j, J_NULL, from, n);
  if ((n == 4 && memcmp(from, "true", 4) == 0) || (n == 5 && memcmp(from, "false", 5) == 0))
    return give(j, J_BOOL, from, n);
  if (is_number(from, n))
    return give(j, J_NUMBER, from, n);
  j->s = from;
  return wrong(j, n ? "that is no value" : "a value is missing");
}

static bool value(Json *j) {
  blanks(j);
  if (j->s >= j->end)
    return wrong(j, "a value is missing");
  if (*j->s != '{' && *j->s != '[' && *j->s != '"')
    return scalar(j);
  if (*j->s == '"') {
    j->s++;
    buf_clear(&j->text);
    return string(j, &j->text) && give(j, J_STRING, j->text.p ? (const char *)j->text.p : "", j->text.n);
  }
  if (++j->depth > DEPTH_MAX)
    return wrong(j, "it is nested too deeply");
  j->depth--;
  if (*j->s == '[') {
    j->depth++;
    bool ok = list(j);
    j->depth--;
    return ok;
  }
  return visit_object(j);
}

/* ---- Records of a text ---- */

static bool text_end(Json *j) {
  blanks(j);
  return j->s == j->end;
}

/* Up to the next record of a list. */
static bool list_more(Json *j) {
  bool first = j->first;
  j->first = false;
  if (!first && text_end(j))
    return false;
  bool open = take(j, first ? '[' : ',');
  if ((first || !open) && take(j, ']'))
    return text_end(j) ? false : wrong(j, "something follows the list");
  if (text_end(j) || (!*j->s && j->s + 1 == j->end)) /* json_rest */
    return wrong(j, "`]` is missing");
  return open || wrong(j, "`,` or `]` is missing");
}

bool json_more(Json *j) {
  j->why = NULL;
  return j->list ? list_more(j) : !text_end(j);
}

/* An object, in UTF-8. */
bool json_record(Json *j) {
  j->depth = 0;
  j->why = NULL;
  buf_clear(&j->name);
  blanks(j);
  const char *from = j->s;
  if (j->s >= j->end || *j->s != '{')
    return wrong(j, "it is not an object `{ .. }`");
  bool good = visit_object(j);
  if (!j->high || (!good && !j->why))
    return good;
  const char *line = good ? NULL : memchr(j->s, '\n', (size_t)(j->end - j->s));
  const char *end = good ? j->s : line ? line : j->end; /* with what is shown of it */
  return utf8_valid(from, (size_t)(end - from)) ? good : wrong(j, "it is not valid UTF-8");
}

void json_free(Json *j) {
  buf_free(&j->name);
  buf_free(&j->text);
}

/* ---- A file -> texts ---- */

/* Counts brackets outside of texts; all else is seen by whoever takes the text apart. What stands between two
 * records belongs to the second. */
static bool json_split(CsvFile *f, uint32_t most) {
  Scan scan = scan_of((const int[5]){'"', '\\', '{', '}', -1});
  const char *end = f->p + f->n;
  for (size_t w = f->at; w < f->n; w += 64) {
    for (uint64_t mask = scan_in(&scan, f->p + w, end); mask; mask &= mask - 1) {
      size_t p = w + (size_t)__builtin_ctzll(mask);
      if (p < f->at)
        continue;
      f->at = p + 1;
      if (f->p[p] == '\\' && f->in_text) {
        if (p + 1 == f->n && !f->eof) {
          f->at = p;
          return false;
        }
        f->at = p + 2;
      } else if (f->p[p] == '"') {
        f->in_text = !f->in_text;
      } else if (f->p[p] == '{' && !f->in_text) {
        f->depth++;
      } else if (f->p[p] == '}' && !f->in_text && f->depth && --f->depth == 0) {
        f->rec = p + 1;
        if (++f->nrec == most)
          return true;
      }
    }
  }
  if (f->at < f->n)
    f->at = f->n;
  return false;
}

/* Blanks, and the end of a list, are no record; what else is there is one, that cannot be read. A list that
 * does not end leaves a NUL, so that there is something. */
static void json_rest(CsvFile *f) {
  const char *want = NULL; /* the brackets that are to come */
  size_t i = f->rec;
  if (f->ended)
    return;
  for (; i < f->n; i++) {
    char c = f->p[i];
    if (c && strchr(" \t\n\r", c))
      continue;
    if (!want)
      want = !f->rules.list ? "" : c == '[' ? "[]" : "]";
    if (c != *want || !c)
      break;
    want++;
  }
  want = want ? want : f->rules.list ? "]" : "";
  f->nrec += i < f->n || *want;
  f->n += i == f->n && *want;
  f->rec = f->at = f->n;
  f->ended = true;
}

const TextKind json_kind = {json_split, json_rest, JSON_RECORD_MAX,
                            "Look for a quote or bracket that is not closed."};
