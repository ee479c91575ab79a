/* SPDX-License-Identifier: Apache-2.0 */
/* CSV: the header, a sample for the types, and rows. Read csv_open, csv_collect, csv_values.
 *
 * csv.h finds the fields, text.c makes values of them. Nothing is sniffed: the options are the program's, so
 * that a file never means something else because of its content. Lines are counted as they stand in the file,
 * but a record with line ends inside its quotes counts as one. */
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "vm/engine/csv.h"

enum { SAMPLE = 20000, FIELDS_MAX = 100000, SAMPLE_BYTES = 8 << 20 };

typedef struct Fields { /* of the first record */
  char **v;
  uint32_t n;
} Fields;

/* ---- Errors ---- */

/* What is wrong with a record. */
static Status fault_error(const CsvOptions *o, const char *file, const CsvCells *c, Err *e) {
  switch (c->fault) {
  case CSV_OK: return e->code;
  case CSV_RAGGED:
    err_set(e, ST_DATA, "CML0404",
            "Correct the line, or set delimiter, quote or escape to what the file uses.",
            "the record has %u value%s where %u columns are expected: %s", c->found, c->found == 1 ? "" : "s",
            c->nfield, c->shown);
    break;
  case CSV_QUOTE:
    err_set(e, ST_DATA, "CML0404",
            "Correct the line; where quotes are ordinary characters, set quote = \"\".",
            "a quoted value does not end where a delimiter or a line end follows: %s", c->shown);
    break;
  case CSV_ENCODING:
    err_set(e, ST_DATA, "CML0404",
            strcmp(o->encoding, "utf-8") == 0
                ? "Set encoding = \"latin-1\" or \"utf-16\", or convert the file."
                : "Set encoding to what the file has, or convert the file to UTF-8.",
            "a value is not valid %s", o->encoding);
    break;
  case CSV_MIXED:
    err_set(e, ST_DATA, "CML0404",
            "Look for a quote in the wrong place, or for line ends of two kinds in one file.",
            "the file cannot be divided into records: quotes or line ends are not used in one way");
    return err_at(e, "%s", file);
  }
  return err_at(e, "%s, line %llu", file, (unsigned long long)c->fault_line);
}

/* ---- The header ---- */

static void fields_free(Fields *f) {
  for (uint32_t i = 0; i < f->n; i++)
    mem_free(f->v[i]);
  mem_free(f->v);
  memset(f, 0, sizeof *f);
}

static Status copy_fields(const CsvCells *c, Fields *f, Err *e) {
  f->v = mem_alloc((c->ncol + 1) * sizeof *f->v);
  if (!f->v)
    return err_memory(e);
  for (uint32_t i = 0; i < c->ncol; i++) {
    Text t = c->cell[(size_t)i * c->rows];
    char *s = mem_alloc(t.n + 1);
    if (!s)
      return err_memory(e);
    memcpy(s, t.s, t.n);
    f->v[f->n++] = s;
  }
  return ST_OK;
}

/* The first record of a file. f->n == 0: the file has none. */
static Status first_record(CsvFile *file, const CsvOptions *o, const char *path, Fields *f, Err *e) {
  CsvText t;
  if (csv_first(file, &t, e) != ST_OK || t.n == 0)
    return e->code;
  uint32_t n = 0;
  for (int pass = 0; pass < 2 && e->code == ST_OK; pass++) { /* how many fields, which fields */
    CsvCells c;
    if (!csv_cells_start(&c, &t, CSV_NONE, NULL, n)) {
      err_memory(e);
    } else if (csv_cells(&c) && c.found > FIELDS_MAX) {
      err_set(e, ST_DATA, "CML0404", "Check the delimiter.", "the file has more than %d columns", FIELDS_MAX);
      err_at(e, "%s", path);
    } else if (c.fault == CSV_QUOTE && c.unclosed) {
      err_set(e, ST_DATA, "CML0404", "Close it; where quotes are ordinary characters, set quote = \"\".",
              "a quoted value of the first record does not end");
      err_at(e, "%s", path);
    } else if (c.fault != CSV_OK) {
      fault_error(o, path, &c, e);
    } else if (pass) {
      copy_fields(&c, f, e);
    }
    n = c.found;
    csv_cells_free(&c);
  }
  return e->code;
}

/* A file of one column whose first record looks divided by another delimiter than the one that nobody chose:
 * the error that says so, and true. */
static bool wrong_delimiter(const CsvOptions *o, const char *file, const Fields *f, Err *e) {
  static const char usual[] = ";\t|,";
  char shown[64], mark[4], remedy[64];
  if (f->n != 1 || o->delimited)
    return false;
  const char *at = strpbrk(f->v[0], usual);
  if (!at || *at == *o->delimiter)
    return false;
  snprintf(mark, sizeof mark, *at == '\t' ? "\\t" : "%c", *at);
  Buf text = {0};
  for (const char *s = f->v[0]; *s; s++) {
    if (*s == '\t')
      buf_text(&text, "\\t");
    else
      buf_u8(&text, (uint8_t)*s);
  }
  text_shown(buf_str(&text), strlen(buf_str(&text)), shown);
  buf_free(&text);
  snprintf(remedy, sizeof remedy, "Set delimiter = \"%s\" if it is.", mark);
  err_set(e, ST_DATA, "CML0404", remedy, "the file has one column, `%s`: is its delimiter `%s`?", shown,
          mark);
  err_at(e, "%s", file);
  return true;
}

typedef struct Names { /* of the columns of a file */
  const char **v;
  bool *twice; /* another column has the same name: which is meant cannot be said */
} Names;

/* A name as the header writes it, without the blanks around it; NULL: no memory. "" for a field without
 * one. */
static const char *header_name(Arena *a, const char *text) {
  size_t n = strlen(text);
  while (n && (*text == ' ' || *text == '\t')) {
    text++;
    n--;
  }
  while (n && (text[n - 1] == ' ' || text[n - 1] == '\t' || text[n - 1] == '\r'))
    n--;
  return arena_strndup(a, text, n);
}

/* A column without a name is called by its number: one that no other column has. */
static const char *number_name(Arena *a, const Map *seen, uint32_t i) {
  const char *s = arena_printf(a, "column%u", i);
  for (uint32_t k = 1; s && map_find(seen, s, strlen(s)) >= 0; k++)
    s = arena_printf(a, "column%u_%u", i, k);
  return s;
}

/* The columns of a file: from its header, as declared, or column0, column1, ... */
static Status name_columns(Arena *a, const EngineSource *s, const CsvOptions *o, const char *file,
                           const Fields *f, Names *out, Err *e) {
  if (f->n == 0) {
    err_set(e, ST_DATA, "CML0403",
            o->header ? "A CSV file has a line of names; or set header = false." : "Leave it out.",
            "the file is empty");
    return err_at(e, "%s", file);
  }
  bool declared = !o->header && s->column && s->ncolumn;
  if (declared && s->ncolumn != f->n) {
    if (wrong_delimiter(o, file, f, e))
      return e->code;
    err_set(e, ST_DATA, "CML0405", "A CSV source without a header needs all its columns declared, in order.",
            "the file has %u columns, but %u are declared", f->n, s->ncolumn);
    return err_at(e, "%s", file);
  }
  out->v = NEWN(a, const char *, f->n);
  out->twice = NEWN(a, bool, f->n);
  uint32_t *at = NEWN(a, uint32_t, f->n); /* of an entry of the map: its column */
  if (!out->v || !out->twice || !at)
    return err_memory(e);
  Map seen = {0};
  Status st = ST_OK;
  for (uint32_t i = 0; i < f->n && st == ST_OK; i++) {
    int fresh = 0;
    const char *name = declared ? s->column[i] : o->header ? header_name(a, f->v[i]) : "";
    int64_t k = !name ? -1 : *name ? map_add(&seen, name, strlen(name), &fresh) : 0;
    out->v[i] = name;
    if (k < 0)
      st = err_memory(e);
    else if (fresh)
      at[k] = i;
    else if (*name)
      out->twice[i] = out->twice[at[k]] = true;
  }
  for (uint32_t i = 0; i < f->n && st == ST_OK; i++) {
    if (!*out->v[i] && !(out->v[i] = number_name(a, &seen, i)))
      st = err_memory(e);
  }
  map_free(&seen);
  return st;
}

/* ---- Metadata ---- */

/* Guesses from the fields of a text. */
static Status guess_text(const CsvText *t, const Options *opt, const char *path, uint32_t nfield,
                         TextGuess *g, Err *e) {
  CsvCells c;
  uint32_t m;
  if (!csv_cells_start(&c, t, nfield, NULL, nfield))
    err_memory(e);
  while (e->code == ST_OK && (m = csv_cells(&c)) > 0) {
    for (uint32_t k = 0; k < nfield; k++) {
      for (uint32_t i = 0; i < m; i++) {
        Text v = c.cell[(size_t)k * c.rows + i];
        text_guess(&g[k], &opt->text, v.s, v.n);
      }
    }
  }
  fault_error(&opt->csv, path, &c, e);
  csv_cells_free(&c);
  return e->code;
}

static Status sample(CsvFile *file, const Options *opt, const char *path, uint32_t nfield, TextGuess *g,
                     Err *e) {
  CsvText t;
  uint32_t n, left = SAMPLE;
  while (left && csv_take(file, left, SAMPLE_BYTES, &t, &n, e) == ST_OK && t.n) {
    left -= n;
    guess_text(&t, opt, path, nfield, g, e);
    csv_text_free(&t);
    if (e->code != ST_OK)
      break;
  }
  return e->code;
}

static const char *stands_twice(const CsvOptions *o) {
  return o->header ? "its name stands twice in the header" : "its name is declared twice";
}

static bool is_declared(const EngineSource *s, const char *name) {
  for (uint32_t i = 0; s->column && i < s->ncolumn; i++) {
    if (strcmp(s->column[i], name) == 0)
      return true;
  }
  return false;
}

static Status csv_columns(Arena *a, const EngineSource *s, const Options *opt, const char *const *file,
                          uint32_t nfile, EngineColumn **out, uint32_t *n, Err *e) {
  const CsvOptions *o = &opt->csv;
  (void)nfile;
  CsvFile *csv;
  Fields f = {0};
  Names name = {0};
  TextGuess *g = NULL;
  if (csv_file_open(file[0], NULL, o, &csv, e) != ST_OK)
    return e->code;
  Status st = first_record(csv, o, file[0], &f, e);
  if (st == ST_OK)
    st = name_columns(a, s, o, file[0], &f, &name, e);
  if (st == ST_OK && o->header && !is_declared(s, name.v[0]) && wrong_delimiter(o, file[0], &f, e))
    st = e->code;
  if (st == ST_OK && !(g = mem_alloc(f.n * sizeof *g)))
    st = err_memory(e);
  if (st == ST_OK) {
    csv_begin(csv, f.n == 1, o->header);
    st = sample(csv, opt, file[0], f.n, g, e);
  }
  csv_file_close(csv);
  EngineColumn *c = st == ST_OK ? NEWN(a, EngineColumn, f.n) : NULL;
  if (st == ST_OK && !c)
    st = err_memory(e);
  for (uint32_t k = 0; c && k < f.n; k++) {
    c[k] = (EngineColumn){
        .name = name.v[k], .kind = text_guessed(&g[k]), .nullable = g[k].null, .inferred = true};
    if (name.twice[k]) {
      c[k].kind = -1;
      c[k].why = stands_twice(o);
    }
  }
  *out = c;
  *n = f.n;
  mem_free(g);
  fields_free(&f);
  return st;
}

/* ---- Reading ---- */

/* Which fields hold the columns that are wanted. */
static Status find_columns(const Reader *r, const char *file, const Fields *f, const Names *name,
                           uint32_t *which, Err *e) {
  for (uint32_t k = 0; k < r->ncol; k++) {
    const char *want = r->col[k].name;
    uint32_t i = 0;
    while (i < f->n && strcmp(name->v[i], want) != 0)
      i++;
    which[k] = i;
    if (i < f->n && !name->twice[i])
      continue;
    if (i < f->n)
      err_set(e, ST_DATA, "CML0405", "Give the columns of the file different names.",
              "the column `%s` cannot be read: %s", want, stands_twice(&r->in->opt.csv));
    else if (wrong_delimiter(&r->in->opt.csv, file, f, e))
      return e->code;
    else
      err_set(e, ST_DATA, "CML0405", "Correct the name in the program, or leave the file out.",
              "the file has no column `%s`", want);
    return err_at(e, "%s", file);
  }
  return ST_OK;
}

static Status csv_open(Reader *r, Err *e) {
  const CsvOptions *o = &r->in->opt.csv;
  const char *file = r->file[r->at_file];
  Arena a;
  Fields f = {0};
  Names name = {0};
  if (csv_file_open(file, r->bytes, o, &r->csv, e) != ST_OK)
    return e->code;
  arena_init(&a, NULL);
  Status st = first_record(r->csv, o, file, &f, e);
  if (st == ST_OK)
    st = name_columns(&a, &r->in->source, o, file, &f, &name, e);
  uint32_t *which = st == ST_OK ? NEWN(&a, uint32_t, r->ncol ? r->ncol : 1) : NULL;
  /* blocks that are made later use it, too */
  uint32_t *of = st == ST_OK ? NEWN(&r->mem, uint32_t, f.n) : NULL;
  if (st == ST_OK && (!which || !of))
    st = err_memory(e);
  if (st == ST_OK)
    st = find_columns(r, file, &f, &name, which, e);
  if (st == ST_OK) {
    for (uint32_t i = 0; i < f.n; i++)
      of[i] = CSV_NONE;
    for (uint32_t k = 0; k < r->ncol; k++)
      of[which[k]] = k;
    r->nfield = f.n;
    r->which = of;
    csv_begin(r->csv, f.n == 1, o->header);
  }
  fields_free(&f);
  arena_free(&a);
  return st;
}

void text_close(Reader *r) {
  csv_file_close(r->csv);
  r->csv = NULL;
}

static Status csv_values(Draft *b, Err *e) {
  struct CsvDraft *d = b->csv;
  CsvCells c;
  uint32_t m;
  if (!d)
    return e->code;
  if (e->code == ST_OK && !csv_cells_start(&c, &d->text, d->nfield, d->which, b->ncol))
    err_memory(e);
  if (e->code == ST_OK) {
    while (e->code == ST_OK && (m = csv_cells(&c)) > 0) {
      if (m > b->n - b->done) /* of another file's splitter: more rows than it said */
        record_bad(e);
      for (uint32_t k = 0; k < b->ncol && e->code == ST_OK; k++) {
        if (!text_convert(b, k, c.cell + (size_t)k * c.rows, m, b->done))
          err_memory(e);
      }
      b->done += m;
    }
    fault_error(&b->in->opt.csv, b->r->file[b->at_file], &c, e);
    csv_cells_free(&c);
  }
  csv_text_free(&d->text);
  mem_free(d);
  b->csv = NULL;
  return e->code;
}

/* Text is held while it is no more than its share of the memory; with very long records it becomes values
 * at once, piece by piece. */
Status text_collect(Reader *r, Draft *b, Err *e) {
  uint64_t most = r->share / 4, limit = r->held < most ? most - r->held : 0;
  Status (*values)(Draft *, Err *) = r->in->opt.ops->values;
  while (b->n < BLOCK && !csv_ended(r->csv)) {
    CsvText t;
    uint32_t n;
    if (b->csv) {
      r->held -= b->held;
      b->held = 0;
      if (values(b, e) != ST_OK)
        break;
    }
    if (csv_take(r->csv, BLOCK - b->n, limit > CSV_PIECE ? limit : CSV_PIECE, &t, &n, e) != ST_OK || t.n == 0)
      break;
    b->csv = mem_alloc(sizeof *b->csv);
    if (!b->csv) {
      csv_text_free(&t);
      return err_memory(e);
    }
    *b->csv = (struct CsvDraft){t, r->nfield, r->which};
    b->n += n;
    b->held = t.room;
    r->held += t.room;
  }
  if (e->code == ST_OK && b->n == 0) /* lines without anything can be wrong, too */
    values(b, e);
  return e->code;
}

const FormatOps csv_ops = {.what = "CSV",
                           .own = true,
                           .text = true,
                           .columns = csv_columns,
                           .open = csv_open,
                           .collect = text_collect,
                           .values = csv_values,
                           .close = text_close};
