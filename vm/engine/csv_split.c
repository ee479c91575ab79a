/* SPDX-License-Identifier: Apache-2.0 */
/* A text file -> texts of whole records, in order. Read csv_take, then split, which is CSV's.
 *
 * This is the part of reading CSV that one thread does at a time, so it looks at no more than it must: line
 * ends, and quotes that open a value, 64 bytes at once (csv_scan.h). A record that is wrong is found by
 * whoever takes the text apart, which is the same at every speed: up to there both see the same. */
#include <string.h>

#include "base/unicode.h"
#include "vm/engine/csv.h"
#include "vm/engine/csv_scan.h"

/* ---- Bytes ---- */

static void put_code(CsvFile *f, uint32_t c) { /* 0xff is no UTF-8: found as a value that is wrong */
  if (c == UINT32_MAX)
    f->p[f->n++] = (char)0xff;
  else
    f->n += utf8_put(f->p + f->n, c);
}

static void from_latin1(CsvFile *f, const unsigned char *s, size_t n) {
  for (size_t i = 0; i < n; i++)
    put_code(f, s[i] >= 0x80 && s[i] < 0xa0 ? UINT32_MAX : s[i]);
}

static void put_unit(CsvFile *f, uint32_t u) {
  bool low = u >= 0xdc00 && u < 0xe000, high = u >= 0xd800 && u < 0xdc00;
  if (f->half && low) {
    put_code(f, 0x10000 + ((f->half - 0xd800) << 10) + (u - 0xdc00));
    f->half = 0;
    return;
  }
  if (f->half)
    put_code(f, UINT32_MAX);
  f->half = high ? u : 0;
  if (!high)
    put_code(f, low ? UINT32_MAX : u);
}

static void from_utf16(CsvFile *f, const unsigned char *s, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (f->has_odd)
      put_unit(f, f->coding == UTF16LE ? (uint32_t)s[i] << 8 | f->odd : (uint32_t)f->odd << 8 | s[i]);
    f->odd = s[i];
    f->has_odd = !f->has_odd;
  }
}

static bool room_for(CsvFile *f, size_t more) {
  size_t want = f->n + more + CSV_PAD;
  if (want <= f->room)
    return true;
  size_t room = f->room * 2 > want ? f->room * 2 : want;
  char *p = mem_realloc(f->p, room);
  if (!p)
    return false;
  f->p = p;
  f->room = room;
  return true;
}

/* Reads some more of the file. */
static Status fill(CsvFile *f, Err *e) {
  size_t n, most = CSV_PIECE;
  if (!room_for(f, f->coding == UTF8 ? most : 3 * most + 8))
    return err_memory(e);
  if (stream_read(f->s, f->coding == UTF8 ? f->p + f->n : f->raw, most, &n, e) != ST_OK)
    return err_at(e, "%s", f->path);
  f->eof = n == 0;
  if (f->coding == UTF8)
    f->n += n;
  else if (f->coding == LATIN1)
    from_latin1(f, (const unsigned char *)f->raw, n);
  else
    from_utf16(f, (const unsigned char *)f->raw, n);
  if (f->eof && (f->has_odd || f->half)) {
    put_code(f, UINT32_MAX);
    f->has_odd = false;
    f->half = 0;
  }
  memset(f->p + f->n, 0, CSV_PAD);
  return ST_OK;
}

/* What a file begins with and is no text: a byte order mark. */
static Status skip_mark(CsvFile *f, Err *e) {
  if (f->coding == UTF16LE) {
    size_t n = 0, k = 1;
    while (n < 2 && k && stream_read(f->s, f->raw + n, 2 - n, &k, e) == ST_OK)
      n += k;
    bool big = n == 2 && !memcmp(f->raw, "\xfe\xff", 2), little = n == 2 && !memcmp(f->raw, "\xff\xfe", 2);
    f->coding = big ? UTF16BE : UTF16LE;
    if (e->code == ST_OK && room_for(f, 16) && !big && !little)
      from_utf16(f, (const unsigned char *)f->raw, n);
    return e->code == ST_OK ? ST_OK : err_at(e, "%s", f->path);
  }
  while (f->n < 3 && !f->eof) {
    if (fill(f, e) != ST_OK)
      return e->code;
  }
  if (f->coding == UTF8 && f->n >= 3 && !memcmp(f->p, "\xef\xbb\xbf", 3)) {
    f->n -= 3;
    memmove(f->p, f->p + 3, f->n);
  }
  return ST_OK;
}

/* ---- Records ---- */

const char *csv_quoted_end(const CsvRules *r, const char *s, const char *end, bool *escapes) {
  if (r->escape == r->quote) {
    while ((s = memchr(s, r->quote, (size_t)(end - s))) != NULL) {
      if (s + 1 == end || s[1] != r->quote)
        return s;
      *escapes = true;
      s += 2;
    }
    return NULL;
  }
  for (; s < end; s++) {
    if ((unsigned char)*s == r->escape && r->escape >= 0) {
      *escapes = true;
      s++;
    } else if ((unsigned char)*s == r->quote) {
      return s;
    }
  }
  return NULL;
}

/* Does the quote at `at` open a value? */
static bool opens(const CsvFile *f, size_t at) {
  const CsvRules *r = &f->rules;
  while (at > f->rec && f->p[at - 1] == ' ' && r->delim[0] != ' ')
    at--;
  return at == f->rec || (r->ndelim == 1 ? f->p[at - 1] == r->delim[0] : at == f->field);
}

/* A line without anything, or with nothing but blanks before a comment: blanks that are no delimiter. */
static bool blank_line(const CsvFile *f, size_t end, bool comment) {
  const CsvRules *r = &f->rules;
  size_t i = f->rec;
  if (!comment)
    return i == end || (i + 1 == end && f->p[i] == '\r');
  while (i < end && f->p[i] == ' ')
    i++;
  return i == end && (i - f->rec < r->ndelim || strspn(r->delim, " ") < r->ndelim);
}

static void end_line(CsvFile *f, size_t text_end, size_t next, bool comment) {
  bool blank = blank_line(f, text_end, comment);
  f->nrec += !(blank && (comment || !f->rules.one));
  f->new_lines++;
  f->rec = f->field = f->at = next;
}

/* The line end behind a comment, or n. */
static size_t find_end(const CsvFile *f, size_t at) {
  while (at < f->n && f->p[at] != '\n' && f->p[at] != '\r')
    at++;
  return at;
}

bool csv_learn_ends(CsvFile *f, size_t at) {
  if (f->p[at] == '\n') {
    f->rules.ends = ENDS_LF;
  } else {
    if (at + 1 == f->n && !f->eof)
      return false;
    f->rules.ends = at + 1 < f->n && f->p[at + 1] == '\n' ? ENDS_CRLF : ENDS_CR;
  }
  return true;
}

static bool split(CsvFile *f, uint32_t most) {
  const CsvRules *r = &f->rules;
  const char *end = f->p + f->n;
  int other = r->ends == ENDS_UNKNOWN || r->ends == ENDS_CR ? '\r' : -1;
  int delim = r->ndelim > 1 ? (unsigned char)r->delim[0] : -1; /* a short one needs no following */
  Scan scan = scan_of((const int[5]){'\n', other, r->quote, r->comment, delim});
  size_t from = f->at;
  for (size_t w = from; w < f->n; w += 64) {
    uint64_t mask = scan_in(&scan, f->p + w, end);
    while (mask) {
      size_t p = w + (size_t)__builtin_ctzll(mask);
      unsigned char c = (unsigned char)f->p[p];
      mask &= mask - 1;
      if (p < f->at)
        continue;
      if (c == '\n' || c == '\r') {
        if (r->ends == ENDS_UNKNOWN && !csv_learn_ends(f, p)) {
          f->at = p;
          return false;
        }
        if (c == '\r' && r->ends != ENDS_CR)
          continue;
        if (c == '\n' && r->ends == ENDS_CR)
          continue;
        end_line(f, p, p + 1, false);
        if (f->nrec == most)
          return true;
      } else if (c == r->quote) {
        bool escapes;
        const char *close = !opens(f, p) ? f->p + p : csv_quoted_end(r, f->p + p + 1, end, &escapes);
        if (!close || (close + 1 == end && !f->eof && close > f->p + p)) { /* one more may follow */
          f->at = p;
          return false;
        }
        f->at = (size_t)(close - f->p) + 1;
      } else if (c == r->comment) {
        size_t line = find_end(f, p);
        bool cut = line == f->n || (f->p[line] == '\r' && line + 1 == f->n && !f->eof);
        if (cut || (r->ends == ENDS_UNKNOWN && !csv_learn_ends(f, line))) {
          f->at = p;
          return false;
        }
        bool two = r->ends == ENDS_CRLF && f->p[line] == '\r' && f->p[line + 1] == '\n';
        char kind = r->ends == ENDS_CR ? '\r' : '\n';
        if (f->p[line] != kind && !two && line + 1 < f->n) { /* another kind ends nothing, and is a fault */
          f->at = line + 1;
          continue;
        }
        end_line(f, p, line + 1 + two, true);
        if (f->nrec == most)
          return true;
      } else {
        if (p + r->ndelim > f->n && !f->eof) {
          f->at = p;
          return false;
        }
        if (p + r->ndelim <= f->n && !memcmp(f->p + p, r->delim, r->ndelim))
          f->at = f->field = p + r->ndelim;
      }
    }
  }
  if (f->at < f->n)
    f->at = f->n;
  return false;
}

/* The last line has no end. */
static void last_line(CsvFile *f) {
  bool comment = f->at < f->n && (unsigned char)f->p[f->at] == f->rules.comment;
  if (f->rec < f->n)
    end_line(f, comment ? f->at : f->n, f->n, comment);
}

const TextKind csv_kind = {split, last_line, CSV_RECORD_MAX,
                           "Look for a quote that is not closed, or set quote = \"\"."};

/* Begins anew at the end of the last record. */
static void start_over(CsvFile *f) {
  f->at = f->rec = f->field = f->nrec = f->depth = 0;
  f->in_text = false;
}

static void take_off(CsvFile *f, size_t end) {
  f->n -= end;
  memmove(f->p, f->p + end, f->n + CSV_PAD);
  start_over(f);
  f->lines += f->new_lines;
  f->new_lines = 0;
}

static Status too_long(CsvFile *f, Err *e) {
  err_set(e, ST_DATA, "CML0404", f->kind->remedy, "a record is longer than %u MB", f->kind->longest >> 20);
  return err_at(e, "%s, line %llu", f->path, (unsigned long long)(f->lines + f->new_lines + 1));
}

/* Whole lines at the top, whatever is in them; those that are comments do not count. */
static Status skip_lines(CsvFile *f, uint32_t skip, Err *e) {
  while (skip) {
    size_t at = find_end(f, f->at);
    bool more = at == f->n || (f->p[at] == '\r' && at + 1 == f->n);
    if (more && !f->eof) {
      f->at = at;
      if (at > f->kind->longest)
        return too_long(f, e);
      if (fill(f, e) != ST_OK)
        return e->code;
      continue;
    }
    if (at == f->n) { /* all of it */
      take_off(f, f->n);
      return ST_OK;
    }
    if (f->rules.ends == ENDS_UNKNOWN)
      csv_learn_ends(f, at);
    skip -= f->rules.comment < 0 || (unsigned char)*f->p != f->rules.comment || at == 0;
    f->new_lines = 1;
    take_off(f, at + 1 + (f->p[at] == '\r' && f->p[at + 1] == '\n'));
  }
  return ST_OK;
}

CsvRules csv_rules(const CsvOptions *o) {
  CsvRules r = {.ndelim = (uint32_t)strlen(o->delimiter),
                .quote = *o->quote ? (unsigned char)*o->quote : -1,
                .escape = *o->escape ? (unsigned char)*o->escape : -1,
                .comment = *o->comment ? (unsigned char)*o->comment : -1};
  memcpy(r.delim, o->delimiter, sizeof r.delim);
  return r;
}

Status csv_file_open(const char *path, const ByteSource *from, const CsvOptions *o, CsvFile **out, Err *e) {
  CsvFile *f = mem_alloc(sizeof *f);
  *out = NULL;
  if (!f)
    return err_memory(e);
  f->path = path;
  f->kind = &csv_kind;
  f->coding = !strcmp(o->encoding, "latin-1") ? LATIN1 : !strcmp(o->encoding, "utf-16") ? UTF16LE : UTF8;
  f->rules = csv_rules(o);
  f->raw = f->coding == UTF8 ? NULL : mem_alloc(CSV_PIECE + 2);
  if ((f->coding != UTF8 && !f->raw) || !room_for(f, CSV_PIECE))
    err_memory(e);
  if (e->code == ST_OK && stream_open(path, from, &f->s, e) == ST_OK && skip_mark(f, e) == ST_OK &&
      skip_lines(f, o->skip, e) == ST_OK) {
    *out = f;
    return ST_OK;
  }
  csv_file_close(f);
  return e->code;
}

Status text_file_open(const char *path, const ByteSource *from, const TextKind *kind, CsvFile **out, Err *e) {
  static const CsvOptions plain = {.encoding = "utf-8"};
  if (csv_file_open(path, from, &plain, out, e) == ST_OK)
    (*out)->kind = kind;
  return e->code;
}

Status text_first(CsvFile *f, int *c, Err *e) {
  size_t i = 0;
  while (e->code == ST_OK) {
    while (i < f->n && strchr(" \t\n\r", f->p[i]) && f->p[i])
      i++;
    *c = i < f->n ? (unsigned char)f->p[i] : -1;
    if (i < f->n || f->eof)
      break;
    if (i > f->kind->longest)
      return too_long(f, e);
    fill(f, e);
  }
  return e->code;
}

void csv_file_close(CsvFile *f) {
  if (!f)
    return;
  stream_close(f->s);
  mem_free(f->raw);
  mem_free(f->p);
  mem_free(f);
}

/* Makes f->rec the end of `most` records, or of those that there are. */
static Status find_records(CsvFile *f, uint32_t most, size_t limit, Err *e) {
  while (!f->kind->split(f, most)) {
    if (f->eof) {
      f->kind->rest(f);
      break;
    }
    if (f->n - f->rec > f->kind->longest)
      return f->nrec ? ST_OK : too_long(f, e);
    if (f->rec >= limit)
      break;
    if (fill(f, e) != ST_OK)
      break;
  }
  return e->code;
}

Status csv_first(CsvFile *f, CsvText *out, Err *e) {
  f->rules.one = false; /* empty lines are left out */
  *out = (CsvText){0};
  if (find_records(f, 1, SIZE_MAX, e) != ST_OK)
    return e->code;
  f->head = f->rec;
  *out = (CsvText){.p = f->p, .n = f->nrec ? f->rec : 0, .lines = f->lines, .rules = f->rules};
  return ST_OK;
}

void csv_begin(CsvFile *f, bool one, bool header) {
  f->rules.one = one;
  if (header)
    take_off(f, f->head);
  start_over(f);
  f->new_lines = 0;
}

Status csv_take(CsvFile *f, uint32_t most, size_t limit, CsvText *out, uint32_t *n, Err *e) {
  *out = (CsvText){0};
  *n = 0;
  if (find_records(f, most, limit, e) != ST_OK)
    return e->code;
  *n = f->nrec;
  if (f->rec == 0)
    return ST_OK;
  size_t rest = f->n - f->rec, room = (rest > f->guess ? rest : f->guess) + 2 * CSV_PIECE + CSV_PAD;
  char *p = mem_alloc64(room);
  if (!p)
    return err_memory(e);
  memcpy(p, f->p + f->rec, rest);
  memset(p + rest, 0, CSV_PAD);
  *out = (CsvText){.p = f->p, .n = f->rec, .room = f->room, .lines = f->lines, .rules = f->rules};
  f->guess = f->rec;
  f->p = p;
  f->n = rest;
  f->room = room;
  start_over(f);
  f->lines += f->new_lines;
  f->new_lines = 0;
  return ST_OK;
}

bool csv_ended(const CsvFile *f) {
  return f->eof && f->n == 0;
}

void csv_text_free(CsvText *t) {
  mem_free(t->p);
  *t = (CsvText){0};
}
