/* SPDX-License-Identifier: Apache-2.0 */
/* A text of CSV records -> fields, some rows at a time, column by column. Read take_apart.
 *
 * Only the characters that mean something are looked at: 64 bytes give a mask of them (csv_scan.h), its bits
 * are walked. Fields are pointers into the text; those with escapes are rewritten in place when their rows
 * are complete, so that a message can still show a record as it was. */
#include <stdio.h>

#include "base/unicode.h"
#include "vm/engine/csv.h"
#include "vm/engine/csv_scan.h"

typedef struct Walk { /* through the rows of one call */
  CsvCells *c;
  const CsvRules *r;
  char *end;           /* of the text */
  char *rec, *field;   /* beginnings of what is being read */
  char *skip;          /* characters before it are done */
  char *cut;           /* a comment began here, or NULL */
  Text quoted;         /* the field has been quoted */
  bool is_quoted, escapes, more; /* more: a value behind the last column */
  uint32_t row, nfield, nfix;
  uint64_t lines;
} Walk;

bool csv_cells_start(CsvCells *c, const CsvText *t, uint32_t nfield, const uint32_t *which, uint32_t ncol) {
  uint32_t rows = CSV_CELLS / (ncol ? ncol : 1), some = rows < 16 && CSV_ROWS > 16 ? 16 : rows < 1 ? 1 : rows;
  *c = (CsvCells){.text = t, .at = t->p, .lines = t->lines, .nfield = nfield, .which = which, .ncol = ncol};
  c->rows = some < CSV_ROWS ? some : CSV_ROWS;
  size_t n = (size_t)(ncol ? ncol : 1) * c->rows;
  c->cell = mem_alloc64(n * sizeof *c->cell);
  c->fix = mem_alloc64(n * sizeof *c->fix);
  c->line = mem_alloc64(c->rows * sizeof *c->line);
  if (c->cell && c->fix && c->line)
    return true;
  csv_cells_free(c);
  return false;
}

void csv_cells_free(CsvCells *c) {
  mem_free(c->cell);
  mem_free(c->fix);
  mem_free(c->line);
  c->cell = NULL;
  c->fix = NULL;
  c->line = NULL;
}

/* ---- Faults ---- */

static bool fault(Walk *w, CsvFault what, const char *rec, uint64_t line) {
  CsvCells *c = w->c;
  size_t n = 0, most = (size_t)(w->end - rec), shown = 40;
  while (n < most && rec[n] != '\n' && rec[n] != '\r')
    n++;
  c->fault = what;
  c->fault_line = c->lines + line + 1;
  c->found = w->nfield;
  bool cut = n > shown;
  while (cut && shown > 36 && ((unsigned char)rec[shown] & 0xc0) == 0x80)
    shown--;
  n = cut ? shown : n;
  memcpy(c->shown, rec, n);
  for (size_t i = 0; i < n; i++) {
    if (((unsigned char)c->shown[i] < 0x20 && c->shown[i] != '\t') || c->shown[i] == 0x7f)
      c->shown[i] = '.';
  }
  strcpy(c->shown + n, cut ? "..." : "");
  return false;
}

/* The values that are wanted must be UTF-8, the first that is not is the fault. */
static void check_coding(Walk *w, const char *from) {
  CsvCells *c = w->c;
  if (!scan_any_high(from, c->at))
    return;
  for (uint32_t i = 0; i < w->row; i++) {
    for (uint32_t k = 0; k < c->ncol; k++) {
      const Text *t = &c->cell[(size_t)k * c->rows + i];
      if (utf8_valid(t->s, t->n))
        continue;
      w->nfield = 0; /* those of a later record, whose fault this one precedes */
      fault(w, CSV_ENCODING, t->s, c->line[i]);
      return;
    }
  }
}

/* ---- Escapes ---- */

static void unescape(const CsvRules *r, Text *t) {
  char *to = (char *)t->s;
  const char *s = t->s, *end = s + t->n;
  while (s < end) {
    if ((unsigned char)*s == r->escape && s + 1 < end)
      s++;
    *to++ = *s++;
  }
  t->n = (uint32_t)(to - t->s);
}

/* ---- Records ---- */

static void end_field(Walk *w, char *at) {
  CsvCells *c = w->c;
  Text t = w->is_quoted ? w->quoted : (Text){w->field, (uint32_t)(at - w->field)};
  uint32_t i = w->nfield++;
  if (i >= c->nfield) {
    w->more |= t.n > 0;
  } else {
    uint32_t k = c->which ? c->which[i] : i < c->ncol ? i : CSV_NONE;
    if (k != CSV_NONE) {
      size_t cell = (size_t)k * c->rows + w->row;
      c->cell[cell] = t;
      if (w->is_quoted && w->escapes)
        c->fix[w->nfix++] = (uint32_t)cell;
    }
  }
  w->is_quoted = w->escapes = false;
}

/* The record ends at `at`, the next begins at `next`. */
static bool end_record(Walk *w, char *at, char *next) {
  CsvCells *c = w->c;
  char *text_end = w->cut ? w->cut : at;
  bool blank = w->nfield == 0 && !w->is_quoted;
  for (char *p = w->field; blank && p < text_end; p++)
    blank = w->cut && *p == ' ';
  w->lines++;
  if (!blank || (w->r->one && !w->cut)) {
    end_field(w, text_end);
    if (c->nfield != CSV_NONE && (w->nfield < c->nfield || w->more))
      return fault(w, CSV_RAGGED, w->rec, w->lines - 1);
    c->line[w->row++] = (uint32_t)(w->lines - 1);
  }
  if (c->nfield != CSV_NONE)
    w->nfield = 0;
  w->cut = NULL;
  w->more = false;
  w->rec = w->field = w->skip = next;
  return true;
}

/* A line end outside of quotes, at p. */
static bool line_end(Walk *w, char *p) {
  CsvEnds ends = w->r->ends;
  if (ends == ENDS_CRLF && *p == '\r' && (p + 1 == w->end || p[1] == '\n'))
    return end_record(w, p, p + 1 == w->end ? p + 1 : p + 2);
  if ((ends == ENDS_LF && *p == '\n') || (ends == ENDS_CR && *p == '\r'))
    return end_record(w, p, p + 1);
  const char *line = memchr(p, ends == ENDS_CR ? '\r' : '\n', (size_t)(w->end - p));
  size_t n = (size_t)((line ? line : w->end) - w->rec);
  bool text = n > CSV_RECORD_MAX || utf8_valid(w->rec, (uint32_t)n); /* what is no text is to be called so */
  return fault(w, text ? CSV_MIXED : CSV_ENCODING, w->rec, w->lines);
}

/* A quote at p: does it open a value, and where does that end? */
static bool quote(Walk *w, char *p) {
  const CsvRules *r = w->r;
  char *q = w->field;
  bool blanks = r->delim[0] != ' ';
  while (blanks && q < p && *q == ' ')
    q++;
  if (q != p || w->is_quoted)
    return true; /* an ordinary character */
  w->escapes = false;
  const char *close = csv_quoted_end(r, p + 1, w->end, &w->escapes);
  w->c->unclosed = !close;
  if (!close)
    return fault(w, CSV_QUOTE, w->rec, w->lines);
  w->quoted = (Text){p + 1, (uint32_t)(close - p - 1)};
  w->is_quoted = true;
  w->skip = p + (close - p) + 1;
  while (blanks && w->skip < w->end && *w->skip == ' ')
    w->skip++;
  char *s = w->skip;
  bool ends = s == w->end || *s == '\n' || *s == '\r' || (unsigned char)*s == r->comment ||
              ((size_t)(w->end - s) >= r->ndelim && !memcmp(s, r->delim, r->ndelim));
  return ends || fault(w, CSV_QUOTE, w->rec, w->lines);
}

/* One character that means something. */
static inline bool special(Walk *w, char *p) {
  const CsvRules *r = w->r;
  unsigned char ch = (unsigned char)*p;
  if (ch == '\n' || ch == '\r')
    return line_end(w, p);
  if (ch == r->quote)
    return quote(w, p);
  if (ch == r->comment && ch != (unsigned char)r->delim[0]) {
    w->cut = w->skip = p;
    while (w->skip < w->end && *w->skip != '\n' && *w->skip != '\r')
      w->skip++;
    return true;
  }
  if ((size_t)(w->end - p) < r->ndelim || memcmp(p, r->delim, r->ndelim) != 0)
    return true;
  end_field(w, p);
  w->field = w->skip = p + r->ndelim;
  return true;
}

static void take_apart(Walk *w) {
  const CsvRules *r = w->r;
  Scan scan = scan_of((const int[5]){'\n', '\r', (unsigned char)r->delim[0], r->quote, r->comment});
  bool good = true;
  for (char *at = w->rec; at < w->end && good && w->row < w->c->rows; at += 64) {
    uint64_t mask = scan_in(&scan, at, w->end);
    for (; mask && good && w->row < w->c->rows; mask &= mask - 1) {
      char *p = at + __builtin_ctzll(mask);
      if (p < w->skip)
        continue;
      if (*p == r->delim[0] && r->ndelim == 1) {
        end_field(w, p);
        w->field = w->skip = p + 1;
      } else {
        good = special(w, p);
      }
    }
  }
  if (good && w->row < w->c->rows && w->rec < w->end)
    end_record(w, w->end, w->end);
}

uint32_t csv_cells(CsvCells *c) {
  const CsvText *t = c->text;
  Walk w = {.c = c, .r = &t->rules, .end = t->p + t->n, .rec = c->at, .field = c->at, .skip = c->at};
  if (c->fault != CSV_OK)
    return 0;
  take_apart(&w);
  const char *from = c->at;
  c->at = w.rec;
  check_coding(&w, from);
  if (c->fault != CSV_OK)
    return 0;
  for (uint32_t i = 0; i < w.nfix; i++)
    unescape(w.r, &c->cell[c->fix[i]]);
  c->found = w.nfield;
  c->lines += w.lines;
  return w.row;
}
