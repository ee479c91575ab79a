/* SPDX-License-Identifier: Apache-2.0 */
/* CSV: the header, a sample for the types, and the query that reads a file. Read csv_open first.
 *
 * DuckDB finds the fields (quotes, escapes, encodings, compressed files) and gives every one as text;
 * text.c makes values of them. Nothing is sniffed: the options are the program's, so that a file never
 * means something else because of its content. Lines are told by DuckDB's count, in which a value with
 * line ends inside counts as one line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "vm/engine/parts.h"

enum { SAMPLE = 20000, FIELDS_MAX = 100000, HEADER_LINES = 1000, HEADER_BYTES = 4 << 20 };

typedef struct Fields { /* of one record */
  char **v;
  uint32_t n, cap;
  uint32_t above; /* empty lines above it */
} Fields;

/* ---- Queries ---- */

static void put_option(Buf *b, const char *name, const char *value) {
  buf_printf(b, ", %s=", name);
  sql_text(b, value);
}

static void put_source(Buf *b, const CsvOptions *o, const char *file) {
  buf_text(b, " FROM read_csv(");
  sql_path(b, file);
  buf_text(b, ", auto_detect=false, hive_partitioning=false, null_padding=false, buffer_size=8000000");
  if (o->skip)
    buf_printf(b, ", skip=%u", o->skip);
  if (*o->comment)
    put_option(b, "comment", o->comment);
  if (strcmp(o->encoding, "utf-8") != 0)
    put_option(b, "encoding", o->encoding);
}

/* Whole lines, as one column: the header is taken apart here, before the number of columns is known.
 * Loose: a line may end in any way. */
static void put_lines(Buf *b, const CsvOptions *o, const char *file) {
  buf_text(b, "SELECT line");
  put_source(b, o, file);
  buf_text(
      b, ", strict_mode=false, header=false, delim='\x01', quote='', escape='', columns={'line':'VARCHAR'})");
}

/* The wanted fields (which[], n of them) of every record of `nfield`, the header among them: DuckDB's own
 * way to leave it out takes an empty line above it for the header. */
static void put_records(Buf *b, const CsvOptions *o, const char *file, uint32_t nfield,
                        const uint32_t *which, uint32_t n) {
  buf_text(b, "SELECT ");
  for (uint32_t i = 0; i < n; i++)
    buf_printf(b, "%sc%u", i ? "," : "", which[i]);
  if (n == 0)
    buf_text(b, "c0");
  put_source(b, o, file);
  put_option(b, "delim", o->delimiter);
  put_option(b, "quote", o->quote);
  put_option(b, "escape", o->escape);
  buf_text(b, ", strict_mode=true, header=false, columns={");
  for (uint32_t i = 0; i < nfield; i++)
    buf_printf(b, "%s'c%u':'VARCHAR'", i ? "," : "", i);
  buf_text(b, "})");
}

/* ---- Errors ---- */

static unsigned long long number_after(const char *text, const char *label) {
  const char *s = strstr(text, label);
  return s ? strtoull(s + strlen(label), NULL, 10) : 0;
}

static Status mixed_lines(const char *file, Err *e) {
  err_set(e, ST_DATA, "CML0404",
          "Look for a quote in the wrong place, or for line ends of two kinds in one file.",
          "the file cannot be divided into records: quotes or line ends are not used in one way");
  return err_at(e, "%s", file);
}

/* DuckDB's report on a CSV file -> ours. */
static Status csv_error(const CsvOptions *o, const char *file, Err *e) {
  if (e->code != ST_DATA)
    return e->code;
  char text[sizeof e->cause], record[48] = "";
  memcpy(text, e->cause, sizeof text);
  unsigned long long line = number_after(text, "CSV Error on Line: ");
  const char *original = strstr(text, "Original Line: ");
  if (original) {
    original += strlen("Original Line: ");
    size_t n = strcspn(original, "\n");
    snprintf(record, sizeof record, "%.*s%s", n > 40 ? 40 : (int)n, original, n > 40 ? "..." : "");
  }
  if (!line && !strstr(text, "state machine")) {
    reader_file_error(file, "CSV", e);
    return e->code;
  }
  err_clear(e);
  if (strstr(text, "Expected Number of Columns"))
    err_set(e, ST_DATA, "CML0404",
            "Correct the line, or set delimiter, quote or escape to what the file uses.",
            "the record has %llu value%s where %llu columns are expected: %s", number_after(text, "Found: "),
            number_after(text, "Found: ") == 1 ? "" : "s", number_after(text, "Expected Number of Columns: "),
            record);
  else if (strstr(text, "unterminated quote"))
    err_set(e, ST_DATA, "CML0404",
            "Correct the line; where quotes are ordinary characters, set quote = \"\".",
            "a quoted value does not end where a delimiter or a line end follows: %s", record);
  else if (strstr(text, "Invalid unicode"))
    err_set(e, ST_DATA, "CML0404", "Set encoding = \"latin-1\" or \"utf-16\", or convert the file.",
            "a value is not valid %s", o->encoding);
  else if (strstr(text, "Maximum line size"))
    err_set(e, ST_DATA, "CML0404", "Look for a quote that is not closed, or set quote = \"\".",
            "a record is longer than 2 MB");
  else
    return mixed_lines(file, e);
  return line ? err_at(e, "%s, line %llu", file, line) : err_at(e, "%s", file);
}

/* ---- The header ---- */

static void fields_free(Fields *f) {
  for (uint32_t i = 0; i < f->n; i++)
    mem_free(f->v[i]);
  mem_free(f->v);
  memset(f, 0, sizeof *f);
}

static bool fields_add(Fields *f, const Buf *text) {
  if (f->n == f->cap) {
    uint32_t cap = f->cap ? f->cap * 2 : 32;
    char **v = mem_realloc(f->v, cap * sizeof *v);
    if (!v)
      return false;
    f->v = v;
    f->cap = cap;
  }
  char *s = mem_alloc(text->n + 1);
  if (!s)
    return false;
  if (text->n)
    memcpy(s, text->p, text->n);
  f->v[f->n++] = s;
  return true;
}

/* Takes the record that begins at s apart. 1: done; 0: a quoted value is still open, more lines are
 * needed; -1: no memory. */
static int split_record(const CsvOptions *o, const char *s, size_t n, Fields *f) {
  size_t nd = strlen(o->delimiter), i = 0;
  Buf text = {0};
  int status = 1;
  for (bool more = true; more && status == 1;) {
    buf_clear(&text);
    if (*o->quote && i < n && s[i] == *o->quote) {
      i++;
      for (;; i++) {
        if (i >= n) {
          status = 0;
          break;
        }
        if (*o->escape && s[i] == *o->escape && i + 1 < n &&
            (s[i + 1] == *o->quote || s[i + 1] == *o->escape))
          i++;
        else if (s[i] == *o->quote)
          break;
        buf_u8(&text, (uint8_t)s[i]);
      }
      i++;
    }
    while (i < n && (n - i < nd || memcmp(s + i, o->delimiter, nd) != 0))
      buf_u8(&text, (uint8_t)s[i++]);
    more = i < n;
    i += nd;
    if (status == 1 && (text.bad || !fields_add(f, &text)))
      status = -1;
  }
  buf_free(&text);
  return status;
}

/* The first record of a file. f->n == 0: the file has none. */
static Status first_record(Duck *d, const CsvOptions *o, const char *file, Fields *f, Err *e) {
  Buf sql = {0}, text = {0};
  DuckQuery q;
  duckdb_data_chunk chunk;
  put_lines(&sql, o, file);
  Status st = sql.bad ? err_memory(e) : duck_query(d, &q, buf_str(&sql), e);
  buf_free(&sql);
  if (st != ST_OK)
    return csv_error(o, file, e);
  int done = 0;
  uint32_t lines = 0, above = 0;
  while (done == 0 && (st = duck_chunk(d, &q, &chunk, e)) == ST_OK && chunk) {
    const duckdb_string_t *v = d->vector_get_data(d->data_chunk_get_vector(chunk, 0));
    uint64_t *validity = d->vector_get_validity(d->data_chunk_get_vector(chunk, 0));
    for (uint64_t i = 0; i < d->data_chunk_get_size(chunk) && done == 0; i++) {
      uint32_t n = 0;
      const char *s = duck_valid(validity, i) ? duck_text(&v[i], &n) : "";
      if (text.n == 0 && n == 0) {
        above++;
        continue;
      }
      if (text.n)
        buf_u8(&text, '\n');
      buf_put(&text, s, n);
      fields_free(f);
      done = text.bad ? -1 : split_record(o, (const char *)text.p, text.n, f);
      if (done == 0 && (++lines >= HEADER_LINES || text.n >= HEADER_BYTES))
        done = 2;
    }
    d->destroy_data_chunk(&chunk);
  }
  duck_end(d, &q);
  if (st != ST_OK)
    st = csv_error(o, file, e);
  else if (done < 0)
    st = err_memory(e);
  else if (f->n > FIELDS_MAX)
    st = err_set(e, ST_DATA, "CML0404", "Check the delimiter.", "the file has more than %d columns",
                 FIELDS_MAX);
  else if (done == 2 || (done == 0 && text.n))
    st = err_set(e, ST_DATA, "CML0404", "Close it; where quotes are ordinary characters, set quote = \"\".",
                 "a quoted value of the first record does not end");
  if (st == ST_DATA)
    err_at(e, "%s", file);
  f->above = above;
  buf_free(&text);
  return st;
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

/* Records that come before the first row. Empty lines are records only where a record has one value. */
static uint32_t header_rows(const CsvOptions *o, const Fields *f) {
  return o->header ? 1 + (f->n == 1 ? f->above : 0) : 0;
}

/* ---- Metadata ---- */

static Status sample(Duck *d, const Options *opt, const char *file, uint32_t nfield, uint32_t drop,
                     TextGuess *g, Err *e) {
  const CsvOptions *o = &opt->csv;
  Buf sql = {0};
  DuckQuery q;
  duckdb_data_chunk chunk;
  uint32_t *which = mem_alloc(nfield * sizeof *which);
  if (!which)
    return err_memory(e);
  for (uint32_t k = 0; k < nfield; k++)
    which[k] = k;
  put_records(&sql, o, file, nfield, which, nfield);
  buf_printf(&sql, " LIMIT %u", SAMPLE + drop);
  mem_free(which);
  Status st = sql.bad ? err_memory(e) : duck_query(d, &q, buf_str(&sql), e);
  buf_free(&sql);
  if (st != ST_OK)
    return csv_error(o, file, e);
  bool any = false;
  while ((st = duck_chunk(d, &q, &chunk, e)) == ST_OK && chunk) {
    uint64_t n = d->data_chunk_get_size(chunk), first = n < drop ? n : drop;
    drop -= (uint32_t)first;
    any = true;
    for (uint32_t k = 0; k < nfield; k++) {
      const duckdb_string_t *v = d->vector_get_data(d->data_chunk_get_vector(chunk, k));
      uint64_t *validity = d->vector_get_validity(d->data_chunk_get_vector(chunk, k));
      for (uint64_t i = first; i < n; i++) {
        uint32_t len = 0;
        const char *s = duck_valid(validity, i) ? duck_text(&v[i], &len) : "";
        text_guess(&g[k], &opt->text, s, len);
      }
    }
    d->destroy_data_chunk(&chunk);
  }
  duck_end(d, &q);
  if (st == ST_OK && !any)
    return mixed_lines(file, e);
  return st == ST_OK ? st : csv_error(o, file, e);
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
  Duck d;
  Fields f = {0};
  Names name = {0};
  TextGuess *g = NULL;
  if (duck_open(&d, DUCK_MEMORY_MIN * 4, 1, e) != ST_OK)
    return e->code;
  Status st = first_record(&d, o, file[0], &f, e);
  if (st == ST_OK)
    st = name_columns(a, s, o, file[0], &f, &name, e);
  if (st == ST_OK && o->header && !is_declared(s, name.v[0]) && wrong_delimiter(o, file[0], &f, e))
    st = e->code;
  if (st == ST_OK && !(g = mem_alloc(f.n * sizeof *g)))
    st = err_memory(e);
  if (st == ST_OK)
    st = sample(&d, opt, file[0], f.n, header_rows(o, &f), g, e);
  duck_close(&d);
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
  Buf sql = {0};
  arena_init(&a, NULL);
  Status st = first_record(&r->duck, o, file, &f, e);
  if (st == ST_OK)
    st = name_columns(&a, &r->in->source, o, file, &f, &name, e);
  uint32_t *which = st == ST_OK ? NEWN(&a, uint32_t, r->ncol ? r->ncol : 1) : NULL;
  if (st == ST_OK && !which)
    st = err_memory(e);
  if (st == ST_OK)
    st = find_columns(r, file, &f, &name, which, e);
  if (st == ST_OK) {
    put_records(&sql, o, file, f.n, which, r->ncol);
    st = sql.bad ? err_memory(e) : duck_query(&r->duck, &r->query, buf_str(&sql), e);
    if (st != ST_OK)
      st = csv_error(o, file, e);
    r->drop = header_rows(o, &f);
  }
  buf_free(&sql);
  fields_free(&f);
  arena_free(&a);
  return st;
}

/* At the end of a file. Where line ends differ inside the lines that `skip` leaves out, DuckDB leaves out
 * everything without a word; behind them it reports such a file itself. The first record was seen when the
 * file was opened. */
static Status csv_end(Reader *r, Err *e) {
  return r->any ? ST_OK : mixed_lines(r->file[r->at_file], e);
}

static Status csv_convert(Draft *b, const Piece *p, uint32_t at, Err *e) {
  const Duck *d = &b->r->duck;
  for (uint32_t k = 0; k < b->ncol; k++) {
    duckdb_vector v = d->data_chunk_get_vector(p->held->chunk, k);
    if (!text_convert(b, k, d->vector_get_data(v), d->vector_get_validity(v), p->from, p->n, at))
      return err_memory(e);
  }
  return ST_OK;
}

static Status csv_failed(Reader *r, Err *e) {
  return csv_error(&r->in->opt.csv, r->file[r->at_file], e);
}

const FormatOps csv_ops = {.what = "CSV",
                           .columns = csv_columns,
                           .open = csv_open,
                           .convert = csv_convert,
                           .end = csv_end,
                           .error = csv_failed};
