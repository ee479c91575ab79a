/* SPDX-License-Identifier: Apache-2.0 */
/* libsvm (svmlight): `label index:value index:value ... # comment`, one row a line. Read line_row.
 *
 * The columns are `label`, `qid` where rows have one, and `f1` .. `fN`: a feature that a line does not
 * name is 0. Indices count from 1 unless the source says zero_based, and ascend in a line. Empty lines and
 * lines of comment are no rows. */
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/unicode.h"
#include "vm/engine/csv.h"
#include "vm/engine/csv_scan.h"

enum { SAMPLE = 20000, SAMPLE_BYTES = 8 << 20, LIBSVM_LINE_MAX = 16 << 20 };

/* ---- A file -> texts of lines ---- */

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\f';
}

/* The end of the line at s, behind which the next begins; `end` where the text ends before. */
static const char *line_end(CsvEnds ends, const char *s, const char *end) {
  const char *at = memchr(s, ends == ENDS_CR ? '\r' : '\n', (size_t)(end - s));
  return at ? at : end;
}

/* Is the line a row? Else it has a comment, or nothing. */
static bool is_row(const char *s, const char *end) {
  while (s < end && is_blank(*s))
    s++;
  return s < end && *s != '#';
}

static void end_line(CsvFile *f, size_t end, size_t next) {
  f->nrec += is_row(f->p + f->rec, f->p + end);
  f->new_lines++;
  f->rec = f->at = next;
}

static bool split(CsvFile *f, uint32_t most) {
  if (f->rules.ends == ENDS_UNKNOWN) {
    size_t at = f->at;
    while (at < f->n && f->p[at] != '\n' && f->p[at] != '\r')
      at++;
    if (at == f->n || !csv_learn_ends(f, at)) {
      f->at = at;
      return false;
    }
    f->at = f->rec;
  }
  const char *end = f->p + f->n, *at;
  while ((at = line_end(f->rules.ends, f->p + f->at, end)) < end) {
    end_line(f, (size_t)(at - f->p), (size_t)(at - f->p) + 1);
    if (f->nrec == most)
      return true;
  }
  f->at = f->n;
  return false;
}

static void rest(CsvFile *f) {
  if (f->rec < f->n)
    end_line(f, f->n, f->n);
}

const TextKind libsvm_kind = {split, rest, LIBSVM_LINE_MAX, "Look for a line end that is missing."};

/* Through the rows of a text. */
typedef struct Lines {
  const char *s, *end, *next;
  CsvEnds ends;
  bool high;        /* not all of it is ASCII */
  uint64_t number;  /* of the line */
} Lines;

static Lines lines_of(const CsvText *t) {
  return (Lines){.next = t->p,
                 .end = t->p + t->n,
                 .ends = t->rules.ends,
                 .high = scan_any_high(t->p, t->p + t->n),
                 .number = t->lines};
}

/* The next row: from l->s on *n bytes. False: the end, or an error. */
static bool next_row(Lines *l, const char *file, uint32_t *n, Err *e) {
  while (l->next < l->end) {
    const char *end = line_end(l->ends, l->next, l->end);
    l->s = l->next;
    l->next = end + (end < l->end);
    l->number++;
    if (!is_row(l->s, end))
      continue;
    *n = (uint32_t)(end - l->s);
    if (!l->high || utf8_valid(l->s, *n))
      return true;
    err_set(e, ST_DATA, "CML0404", "Convert the file to UTF-8.", "the line is not valid UTF-8");
    err_at(e, "%s, line %llu", file, (unsigned long long)l->number);
    return false;
  }
  return false;
}

/* ---- A line ---- */

typedef struct Line {
  const char *s, *end;
  int64_t last; /* the index before; -1 at first */
} Line;

typedef struct Entry {
  const char *name, *value; /* name NULL: the label */
  uint32_t nname, nvalue;
  int64_t index;            /* from 0; -1: qid */
} Entry;

/* The next word, up to a blank or a comment. False: the line ends. */
static bool next_word(Line *l, const char **s, uint32_t *n) {
  while (l->s < l->end && is_blank(*l->s))
    l->s++;
  const char *from = l->s;
  while (l->s < l->end && !strchr(" \t\r\f#", *l->s))
    l->s++;
  *s = from;
  *n = (uint32_t)(l->s - from);
  return *n > 0;
}

/* The next entry; *why says what is wrong with it. False: the line ends. */
static bool next_entry(Line *l, const LibsvmOptions *o, Entry *x, const char **why) {
  const char *s;
  uint32_t n;
  *why = NULL;
  if (!next_word(l, &s, &n))
    return false;
  const char *colon = memchr(s, ':', n);
  *x = (Entry){.name = s, .nname = colon ? (uint32_t)(colon - s) : n, .index = -1};
  x->value = colon ? colon + 1 : s + n;
  x->nvalue = (uint32_t)(s + n - x->value);
  if (!colon || !x->nvalue)
    *why = "is not index:value";
  else if (x->nname == 3 && memcmp(s, "qid", 3) == 0)
    *why = l->last >= 0 ? "stands behind a feature" : NULL;
  else if (!num_parse_i64(s, x->nname, &x->index) || x->index < 0)
    *why = "is not index:value";
  else if (x->index == 0 && !o->zero_based)
    *why = "has the index 0, and indices count from 1; set zero_based = true if they count from 0";
  else if ((x->index -= !o->zero_based) <= l->last)
    *why = "does not ascend: its index is not above the one before";
  else if (o->features && x->index >= o->features)
    *why = "has an index above `width`, the number of features";
  else if (x->index >= LIBSVM_MAX)
    *why = "has an index above 10,000, the most that is read";
  if (x->index >= 0 && !*why)
    l->last = x->index;
  return true;
}

/* ---- Columns ---- */

typedef struct Shape {
  int64_t features;
  uint64_t rows, with_qid;
} Shape;

static void look_line(Shape *x, const Options *o, const char *s, uint32_t n) {
  Line l = {s, s + n, -1};
  Entry entry;
  const char *label, *why;
  uint32_t nlabel;
  next_word(&l, &label, &nlabel);
  x->rows++;
  while (next_entry(&l, &o->libsvm, &entry, &why)) {
    x->with_qid += entry.nname == 3 && entry.index < 0 && !why;
    if (!why && entry.index >= x->features)
      x->features = entry.index + 1;
  }
}

static Status look(const Options *o, const char *file, Shape *x, Err *e) {
  CsvFile *f;
  CsvText t;
  uint32_t n;
  if (text_file_open(file, NULL, &libsvm_kind, &f, e) != ST_OK)
    return e->code;
  while (csv_take(f, SAMPLE, SAMPLE_BYTES, &t, &n, e) == ST_OK && t.n) {
    Lines l = lines_of(&t);
    while (next_row(&l, file, &n, e))
      look_line(x, o, l.s, n);
    csv_text_free(&t);
    if (e->code != ST_OK || (o->libsvm.features && x->rows >= SAMPLE))
      break;
  }
  csv_file_close(f);
  if (e->code == ST_OK && x->rows == 0) {
    err_set(e, ST_DATA, "CML0403", "Make it again, or leave it out.", "the file has no rows");
    return err_at(e, "%s", file);
  }
  return e->code;
}

static Status libsvm_columns(Arena *a, const EngineSource *s, const Options *o, const char *const *file,
                             uint32_t nfile, EngineColumn **out, uint32_t *n, Err *e) {
  (void)s;
  (void)nfile;
  Shape x = {.features = 0};
  if (look(o, file[0], &x, e) != ST_OK)
    return e->code;
  if (o->libsvm.features)
    x.features = o->libsvm.features;
  EngineColumn *c = *out = NEWN(a, EngineColumn, (size_t)x.features + 2);
  if (!c)
    return err_memory(e);
  *n = 0;
  c[(*n)++] = (EngineColumn){.name = "label", .kind = KIND_FLOAT, .inferred = true};
  if (x.with_qid)
    c[(*n)++] =
        (EngineColumn){.name = "qid", .kind = KIND_INT, .nullable = x.with_qid < x.rows, .inferred = true};
  for (int64_t i = 0; i < x.features; i++) {
    c[*n] = (EngineColumn){
        .name = arena_printf(a, "f%lld", (long long)i + 1), .kind = KIND_FLOAT, .inferred = true};
    if (!c[(*n)++].name)
      return err_memory(e);
  }
  return ST_OK;
}

/* ---- Rows ---- */

typedef struct Wanted { /* columns of the reader, + 1; 0: not wanted */
  uint32_t label, qid;
  uint32_t feature[LIBSVM_MAX];
} Wanted;

static Status find_wanted(const Draft *b, Wanted *w, Err *e) {
  for (uint32_t k = 0; k < b->ncol; k++) {
    const char *name = b->col[k].name;
    int64_t i;
    const int64_t most = b->in->opt.libsvm.features ? b->in->opt.libsvm.features : LIBSVM_MAX;
    if (strcmp(name, "label") == 0) {
      w->label = k + 1;
    } else if (strcmp(name, "qid") == 0) {
      w->qid = k + 1;
    } else if (*name == 'f' && num_parse_i64(name + 1, strlen(name + 1), &i) && i >= 1 && i <= most) {
      w->feature[i - 1] = k + 1;
    } else {
      err_set(e, ST_DATA, "CML0405", "Its columns are label, qid and f1, f2, ...",
              "the file has no column `%s`", name);
      return err_at(e, "%s", b->r->file[b->at_file]);
    }
  }
  return ST_OK;
}

static Status libsvm_open(Reader *r, Err *e) {
  r->nfield = 0;
  return text_file_open(r->file[r->at_file], r->bytes, &libsvm_kind, &r->csv, e);
}

static void bad_entry(Draft *b, uint32_t at, const Entry *x, const char *why) {
  char shown[64];
  uint32_t n = (uint32_t)(x->value + x->nvalue - x->name);
  reader_bad(b, 0, at, "", "`%s` %s", text_shown(x->name, n, shown), why);
}

static bool line_row(Draft *b, const Wanted *w, uint32_t at, const char *s, uint32_t n) {
  Line l = {s, s + n, -1};
  Entry x;
  const char *label, *why;
  uint32_t nlabel;
  bool qid = false;
  for (uint32_t k = 0; k < b->ncol; k++) { /* what the line does not name */
    if (b->col[k].kind == KIND_FLOAT)
      b->build[k].col.f[at] = 0;
    else if (k + 1 != w->qid && !text_value(b, k, at, "0", 1))
      return false;
  }
  next_word(&l, &label, &nlabel);
  if (memchr(label, ':', nlabel)) {
    reader_bad(b, 0, at, "", "the line begins with no label");
    return !w->qid || build_null(&b->build[w->qid - 1], at);
  }
  if (w->label && !text_value(b, w->label - 1, at, label, nlabel))
    return false;
  while (next_entry(&l, &b->in->opt.libsvm, &x, &why)) {
    if (why) {
      bad_entry(b, at, &x, why);
      break;
    }
    uint32_t k = x.index < 0 ? w->qid : w->feature[x.index];
    qid |= x.index < 0;
    if (k && !text_value(b, k - 1, at, x.value, x.nvalue))
      return false;
  }
  return qid || !w->qid || reader_null_at(b, w->qid - 1, at);
}

static Status text_rows(Draft *b, const Wanted *w, const CsvText *t, Err *e) {
  Lines l = lines_of(t);
  uint32_t n;
  for (; next_row(&l, b->r->file[b->at_file], &n, e); b->done++) {
    if (b->done == b->n)
      return record_bad(e);
    if (b->ncol && !line_row(b, w, b->done, l.s, n))
      return err_memory(e);
  }
  return e->code;
}

static Status libsvm_values(Draft *b, Err *e) {
  struct CsvDraft *d = b->csv;
  if (!d)
    return e->code;
  Wanted *w = e->code == ST_OK ? mem_alloc(sizeof *w) : NULL;
  if (e->code == ST_OK && !w)
    err_memory(e);
  if (e->code == ST_OK && find_wanted(b, w, e) == ST_OK)
    text_rows(b, w, &d->text, e);
  mem_free(w);
  csv_text_free(&d->text);
  mem_free(d);
  b->csv = NULL;
  return e->code;
}

const FormatOps libsvm_ops = {.what = "libsvm",
                              .text = true,
                              .own = true,
                              .columns = libsvm_columns,
                              .open = libsvm_open,
                              .collect = text_collect,
                              .values = libsvm_values,
                              .close = text_close};
