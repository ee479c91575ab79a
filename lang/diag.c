/* SPDX-License-Identifier: Apache-2.0 */
/* Diagnostics: collecting, sorting, printing. Read diag.h first; then print_source, which draws the line and
 * the caret. */
#include "lang/diag.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"

/* ---- Collecting ---- */

void diag_init(Diags *d, Arena *a, Sources *s) {
  memset(d, 0, sizeof *d);
  d->arena = a;
  d->sources = s;
}

static char *format(Arena *a, const char *fmt, va_list ap) {
  va_list again;
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  char *text = arena_alloc(a, (size_t)(n < 0 ? 0 : n) + 1);
  if (n > 0)
    vsnprintf(text, (size_t)n + 1, fmt, again);
  va_end(again);
  return text;
}

static bool same_span(Span a, Span b) {
  return a.file == b.file && a.from == b.from && a.to == b.to;
}

Diag *diag_add(Diags *d, Severity sev, const char *code, Span span, const char *remedy, const char *fmt,
               ...) {
  if (span.file) { /* an error without a place may well come twice */
    for (uint32_t i = d->n; i > 0; i--) {
      if (same_span(d->v[i - 1]->span, span) && strcmp(d->v[i - 1]->code, code) == 0)
        return d->v[i - 1];
    }
  }
  Diag *x = NEW(d->arena, Diag);
  va_list ap;
  va_start(ap, fmt);
  *x = (Diag){
      .severity = sev, .code = code, .span = span, .cause = format(d->arena, fmt, ap), .remedy = remedy};
  va_end(ap);
  PUSH(d->arena, d->v, d->n, d->cap, x);
  d->errors += sev == SEV_ERROR;
  d->warnings += sev == SEV_WARNING;
  return x;
}

void diag_note(Diags *d, Diag *to, Span span, const char *fmt, ...) {
  DiagNote *note = NEW(d->arena, DiagNote);
  va_list ap;
  va_start(ap, fmt);
  note->text = format(d->arena, fmt, ap);
  va_end(ap);
  note->span = span;
  DiagNote **end = &to->notes;
  while (*end)
    end = &(*end)->next;
  *end = note;
}

static int by_place(const void *a, const void *b) {
  const Diag *x = *(Diag *const *)a, *y = *(Diag *const *)b;
  if (x->span.file != y->span.file)
    return x->span.file < y->span.file ? -1 : 1;
  if (x->span.from != y->span.from)
    return x->span.from < y->span.from ? -1 : 1;
  if (x->span.to != y->span.to)
    return x->span.to < y->span.to ? -1 : 1;
  return strcmp(x->code, y->code);
}

Diag **diag_sorted(const Diags *d) {
  Diag **v = NEWN(d->arena, Diag *, d->n + 1);
  if (d->n)
    memcpy(v, d->v, d->n * sizeof *v);
  qsort(v, d->n, sizeof *v, by_place);
  return v;
}

/* ---- One line with its caret ---- */

/* Decodes one character of UTF-8; an invalid byte gives U+FFFD and counts one byte. */
static uint32_t decode(const unsigned char *p, const unsigned char *end, uint32_t *len) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  uint32_t n = *p < 0x80                 ? 1
               : *p >= 0xF0 && *p < 0xF8 ? 4
               : *p >= 0xE0 && *p < 0xF0 ? 3
               : *p >= 0xC0 && *p < 0xE0 ? 2
                                         : 0;
  *len = 1;
  if (n == 1)
    return *p;
  if (n == 0 || (size_t)(end - p) < n)
    return 0xFFFD;
  uint32_t c = *p & (0x7Fu >> n);
  for (uint32_t i = 1; i < n; i++) {
    if ((p[i] & 0xC0) != 0x80)
      return 0xFFFD;
    c = c << 6 | (p[i] & 0x3F);
  }
  if (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
    return 0xFFFD;
  *len = n;
  return c;
}

/* Columns that a terminal gives a character: wide East Asian letters and emoji 2, combining marks 0. The
 * blocks of Unicode's EastAsianWidth.txt, coarsely: it is only about where a caret stands. */
static uint32_t width_of(uint32_t c) {
  if ((c >= 0x300 && c < 0x370) || (c >= 0x200B && c <= 0x200F) || (c >= 0x20D0 && c < 0x2100) ||
      (c >= 0xFE00 && c < 0xFE10))
    return 0;
  if ((c >= 0x1100 && c < 0x1160) || (c >= 0x2E80 && c < 0xA4D0) || (c >= 0xAC00 && c < 0xD7A4) ||
      (c >= 0xF900 && c < 0xFB00) || (c >= 0xFE30 && c < 0xFE70) || (c >= 0xFF00 && c < 0xFF61) ||
      (c >= 0x1F300 && c < 0x1FB00) || (c >= 0x20000 && c < 0x40000))
    return 2;
  return 1;
}

typedef struct Paint {
  const char *bold, *red, *yellow, *blue, *off;
} Paint;

static Paint paint_of(bool colour) {
  if (colour)
    return (Paint){"\033[1m", "\033[1;31m", "\033[1;33m", "\033[1;34m", "\033[0m"};
  return (Paint){"", "", "", "", ""};
}

/* "   12 |     origin = one_hot(orign)" and below it the caret. Long lines are cut around the span; tabs
 * become blanks; what would command the terminal is replaced. */
static void print_source(const Diags *d, FILE *out, Span span, const char *caret, Paint p) {
  enum { BEFORE = 100, SHOWN = 160 };
  uint32_t line, col, n;
  source_position(d->sources, span.file, span.from, &line, &col);
  const char *text = source_line(d->sources, span.file, line, &n);
  const SourceFile *f = &d->sources->file[span.file];
  uint32_t start = (uint32_t)(text - f->text);
  uint32_t from = span.from < start ? 0 : span.from - start > n ? n : span.from - start;
  uint32_t to = span.to <= span.from ? from : span.to - start > n ? n : span.to - start;
  uint32_t at = 0;
  if (from > BEFORE) { /* begin at a character not far before the span */
    at = from - BEFORE / 2;
    while (at < from && ((unsigned char)text[at] & 0xC0) == 0x80)
      at++;
  }
  fprintf(out, "%s%5u |%s %s", p.blue, line, p.off, at ? "..." : "");
  uint32_t column = at ? 3 : 0, mark = 0, marked = 0, len;
  bool begun = false;
  for (; at < n && column < SHOWN; at += len) {
    uint32_t c = decode((const unsigned char *)text + at, (const unsigned char *)text + n, &len);
    uint32_t width = c == '\t' ? 4 - column % 4 : width_of(c);
    if (!begun && at >= from) {
      begun = true;
      mark = column;
    }
    if (at >= from && at < to)
      marked += width;
    if (c == '\t')
      fprintf(out, "%*s", (int)width, "");
    else if (c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0xFFFD)
      fputc('?', out);
    else
      fwrite(text + at, 1, len, out);
    column += width;
  }
  if (!begun)
    mark = column;
  fprintf(out, "%s\n%s      |%s %*s%s^", at < n ? "..." : "", p.blue, p.off, (int)mark, "", caret);
  for (uint32_t i = 1; i < marked; i++)
    fputc('~', out);
  fprintf(out, "%s\n", p.off);
}

static void print_one(const Diags *d, FILE *out, const Diag *x, Paint p) {
  static const char *const word[] = {"error", "warning", "note"};
  const char *colour = x->severity == SEV_ERROR ? p.red : x->severity == SEV_WARNING ? p.yellow : p.blue;
  if (x->span.file) {
    uint32_t line, col;
    source_position(d->sources, x->span.file, x->span.from, &line, &col);
    fprintf(out, "%s%s:%u:%u:%s ", p.bold, d->sources->file[x->span.file].path, line, col, p.off);
  }
  fprintf(out, "%s%s %s:%s %s%s%s\n", colour, word[x->severity], x->code, p.off, p.bold, x->cause, p.off);
  if (x->span.file)
    print_source(d, out, x->span, colour, p);
  if (x->remedy && *x->remedy)
    fprintf(out, "      %s=%s %s\n", p.blue, p.off, x->remedy);
  for (const DiagNote *note = x->notes; note; note = note->next) {
    if (note->span.file) {
      uint32_t line, col;
      source_position(d->sources, note->span.file, note->span.from, &line, &col);
      fprintf(out, "      %snote:%s %s (%s:%u:%u)\n", p.blue, p.off, note->text,
              d->sources->file[note->span.file].path, line, col);
      print_source(d, out, note->span, p.blue, p);
    } else {
      fprintf(out, "      %snote:%s %s\n", p.blue, p.off, note->text);
    }
  }
}

void diag_print(const Diags *d, FILE *out, bool colour) {
  Diag **v = diag_sorted(d);
  for (uint32_t i = 0; i < d->n; i++)
    print_one(d, out, v[i], paint_of(colour));
}

/* ---- The list of codes ---- */

static const struct {
  const char *code, *title, *page;
} list[] = {
#define DIAG(code, title, page) {code, title, "# " code ": " title "\n\n" page},
#include "lang/diag.def"
#undef DIAG
};

const char *diag_page(const char *code) {
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    if (strcmp(list[i].code, code) == 0)
      return list[i].page;
  }
  return NULL;
}

const char *diag_code_at(unsigned i) {
  return i < sizeof list / sizeof *list ? list[i].code : NULL;
}

const char *diag_nearest(const char *name, const char *const *names, unsigned n) {
  int limit = (int)(strlen(name) + 2) / 3, best = limit + 1;
  const char *nearest = NULL;
  for (unsigned i = 0; i < n; i++) {
    int distance = names[i] ? num_edit_distance(name, names[i], limit) : limit + 1;
    if (distance < best) {
      best = distance;
      nearest = names[i];
    }
  }
  return nearest;
}
