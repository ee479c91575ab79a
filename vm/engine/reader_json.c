/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: records as objects, one a line, one behind the other, or in one array. Read text_rows (rows) and
 * json_columns (what columns there are); json.h finds the records and takes them apart.
 *
 * A number means the same as in CSV and in a program. Objects inside objects become columns with dotted
 * names, `address.city`. Of a key that stands twice the last value counts. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/num.h"
#include "vm/engine/csv_scan.h"
#include "vm/engine/json.h"

enum { SAMPLE = 20000, COLUMNS_MAX = 100000, SAMPLE_BYTES = 8 << 20 };

static const char *const kind_words[] = {"null",   "a truth value", "a number",
                                         "a text", "a list",        "an object"};

/* ---- Texts of records ---- */

/* `at`: where it is wrong. */
static Status bad_record(const char *file, uint64_t number, const char *why, const char *at, Err *e) {
  char shown[64];
  if (!why)
    return err_memory(e);
  bool coding = strstr(why, "UTF-8") != NULL;
  size_t n = coding || !at ? 0 : strcspn(at, "\n\r"); /* a NUL follows the text */
  err_set(e, ST_DATA, "CML0404",
          coding ? "Convert the file to UTF-8."
                 : "Correct the record: a source of JSON has one object a row; a file that ends inside one "
                   "was cut off.",
          n                 ? "the record cannot be read: %s, at `%s`"
          : at && !coding ? "the record cannot be read: %s where the file ends"
                          : "the record cannot be read: %s",
          why, text_shown(n ? at : "", n, shown));
  return err_at(e, "%s, record %llu", file, (unsigned long long)number);
}

static Status open_text(const char *file, const ByteSource *from, CsvFile **out, Err *e) {
  int first = -1;
  if (text_file_open(file, from, &json_kind, out, e) != ST_OK)
    return e->code;
  if (text_first(*out, &first, e) == ST_OK) {
    (*out)->rules.list = first == '[';
    return ST_OK;
  }
  csv_file_close(*out);
  *out = NULL;
  return e->code;
}

/* `first`: of its file. */
static void json_begin(Json *j, const CsvText *t, bool first) {
  j->s = t->p;
  j->end = t->p + t->n;
  j->list = t->rules.list;
  j->first = first;
  j->high = scan_any_high(j->s, j->end);
}

/* ---- Columns ---- */

typedef struct Found { /* a name, and what values it had */
  TextGuess guess;
  uint64_t rows, last; /* records that have it; the last of them, from 1 */
  bool text, number, truth, list, object;
} Found;

typedef struct Columns {
  Map names;
  Found *v;
  uint32_t n, cap;
  const TextOptions *text;
  uint64_t row;
} Columns;

static bool note(void *ctx, const char *name, uint32_t nname, JsonKind kind, const char *s, uint32_t n) {
  Columns *c = ctx;
  int fresh = 0;
  int64_t k = map_add(&c->names, nname ? name : "", nname, &fresh);
  if (k < 0)
    return false;
  if (fresh && c->n == c->cap) {
    uint32_t cap = c->cap ? c->cap * 2 : 64;
    Found *v = mem_realloc(c->v, cap * sizeof *v);
    if (!v)
      return false;
    c->v = v;
    c->cap = cap;
  }
  if (fresh)
    c->v[c->n++] = (Found){.rows = 0};
  Found *f = &c->v[k];
  f->rows += f->last != c->row;
  f->last = c->row;
  f->text |= kind == J_STRING;
  f->number |= kind == J_NUMBER;
  f->truth |= kind == J_BOOL;
  f->list |= kind == J_LIST;
  f->object |= kind == J_OBJECT;
  if (kind == J_NULL)
    f->guess.null = true;
  if (kind == J_STRING) {
    f->guess.any = f->guess.not_int = f->guess.not_float = f->guess.not_bool = true;
    f->guess.not_date |= n == 0;
    f->guess.not_timestamp |= n == 0;
  }
  if (kind == J_BOOL)
    f->guess.not_int = f->guess.not_float = true;
  if ((kind == J_STRING && n) || kind == J_NUMBER || kind == J_BOOL)
    text_guess(&f->guess, c->text, s, n);
  return c->n < COLUMNS_MAX;
}

/* Goes through the records of a text. */
static Status look_text(const CsvText *t, const char *file, Columns *c, Err *e) {
  Json j = {.visit = note, .ctx = c};
  json_begin(&j, t, c->row == 0);
  while (e->code == ST_OK && json_more(&j)) {
    c->row++;
    if (json_record(&j))
      continue;
    if (c->n >= COLUMNS_MAX)
      bad_record(file, c->row, "the file has more than 100000 columns", NULL, e);
    else
      bad_record(file, c->row, j.why, j.at, e);
  }
  if (e->code == ST_OK && j.why)
    bad_record(file, c->row + 1, j.why, j.at, e);
  json_free(&j);
  return e->code;
}

static Status look(const char *file, Columns *c, Err *e) {
  CsvFile *f;
  CsvText t;
  uint32_t n, left = SAMPLE;
  if (open_text(file, NULL, &f, e) != ST_OK)
    return e->code;
  while (left && csv_take(f, left, SAMPLE_BYTES, &t, &n, e) == ST_OK && t.n) {
    left -= n;
    look_text(&t, file, c, e);
    csv_text_free(&t);
    if (e->code != ST_OK)
      break;
  }
  csv_file_close(f);
  return e->code;
}

static void describe(EngineColumn *out, const Found *f, uint64_t rows) {
  bool plain = f->text || f->number || f->truth;
  out->inferred = true;
  out->nullable = f->guess.null || f->rows < rows;
  out->kind = text_guessed(&f->guess);
  if (f->list && !plain) { /* beside single values a list is a bad value of its row */
    out->kind = -1;
    out->why = "it holds lists";
  }
}

static Status json_columns(Arena *a, const EngineSource *s, const Options *o, const char *const *file,
                           uint32_t nfile, EngineColumn **out, uint32_t *n, Err *e) {
  (void)s;
  (void)nfile;
  Columns c = {.text = &o->text};
  look(file[0], &c, e);
  *n = 0;
  *out = e->code == ST_OK ? NEWN(a, EngineColumn, c.n + 1) : NULL;
  for (uint32_t i = 0; *out && i < c.n; i++) {
    uint32_t len = c.names.entry[i].n;
    const char *name = c.names.entry[i].key;
    bool only_object = c.v[i].object && !c.v[i].list && !c.v[i].text && !c.v[i].number && !c.v[i].truth;
    if (len == 0 || only_object || memchr(name, 0, len))
      continue;
    EngineColumn *col = &(*out)[*n];
    describe(col, &c.v[i], c.row);
    col->name = arena_strndup(a, name, len);
    if (!col->name)
      err_memory(e);
    ++*n;
  }
  if (e->code == ST_OK && !*out)
    err_memory(e);
  if (e->code == ST_OK && c.row == 0) {
    err_set(e, ST_DATA, "CML0403", "Make it again, or leave it out.", "the file has no records");
    err_at(e, "%s", file[0]);
  }
  map_free(&c.names);
  mem_free(c.v);
  return e->code;
}

/* ---- Rows ---- */

typedef struct Rows {
  Draft *b;
  uint32_t at;     /* the row */
  uint32_t *stamp; /* per column: the last row that had it, + 1 */
  uint32_t hint;  /* the column behind the one found last: objects are alike */
  bool memory;
} Rows;

/* 3.0 and 2e3 are whole numbers, too. */
static bool whole_number(const char *s, uint32_t n, char out[NUM_MAX], uint32_t *len) {
  double v;
  if (!memchr(s, '.', n) && !memchr(s, 'e', n) && !memchr(s, 'E', n))
    return false;
  if (!num_parse_f64(s, n, &v) || v != floor(v) || fabs(v) > 9007199254740992.0)
    return false;
  *len = (uint32_t)num_print_i64(out, (int64_t)v);
  return true;
}

static bool set(Rows *x, uint32_t k, JsonKind kind, const char *s, uint32_t n) {
  Draft *b = x->b;
  ColBuild *c = &b->build[k];
  char whole[NUM_MAX];
  if (c->null && x->stamp[k] == x->at + 1)
    c->null[x->at] = 0; /* the name stands twice: the last value counts */
  x->stamp[k] = x->at + 1;
  if (kind == J_NULL)
    return reader_null_at(b, k, x->at);
  if (kind == J_LIST || kind == J_OBJECT) {
    if (!build_null(c, x->at))
      return false;
    reader_bad(b, k, x->at, "a schema without the column", "the value is %s where %s is expected",
               kind_words[kind], kind_name(b->col[k].kind));
    return true;
  }
  if (kind == J_NUMBER && b->col[k].kind == KIND_INT && whole_number(s, n, whole, &n))
    s = whole;
  return text_value(b, k, x->at, s, n);
}

static bool same_name(const char *want, const char *name, uint32_t n) {
  return strlen(want) == n && memcmp(want, name, n) == 0; /* a name may hold NULs */
}

static bool keep(void *ctx, const char *name, uint32_t nname, JsonKind kind, const char *s, uint32_t n) {
  Rows *x = ctx;
  const Draft *b = x->b;
  if (nname == 0 || b->ncol == 0)
    return true;
  uint32_t k = x->hint < b->ncol ? x->hint : 0;
  if (!same_name(b->col[k].name, name, nname)) {
    int64_t found = map_find(&b->r->names, name, nname);
    if (found < 0)
      return true;
    k = (uint32_t)found;
  }
  x->hint = k + 1;
  return set(x, k, kind, s, n);
}

Status json_names(Reader *r, Err *e) {
  int fresh;
  for (uint32_t k = r->names.n; k < r->ncol; k++) {
    if (map_add(&r->names, r->col[k].name, strlen(r->col[k].name), &fresh) < 0)
      return err_memory(e);
  }
  return ST_OK;
}

static Status json_open(Reader *r, Err *e) {
  r->nfield = 0;
  return json_names(r, e) == ST_OK ? open_text(r->file[r->at_file], r->bytes, &r->csv, e) : e->code;
}

/* The rows of a text. */
static Status text_rows(Draft *b, Json *j, Rows *x, Err *e) {
  const char *file = b->r->file[b->at_file];
  while (e->code == ST_OK && json_more(j)) {
    if (b->done == b->n)
      return record_bad(e);
    x->at = b->done;
    x->hint = 0;
    if (!json_record(j))
      return bad_record(file, b->pos + x->at + 1, j->why, j->at, e);
    for (uint32_t k = 0; k < b->ncol; k++) {
      if (x->stamp[k] != x->at + 1 && !reader_null_at(b, k, x->at))
        return err_memory(e);
    }
    b->done++;
  }
  return j->why ? bad_record(file, b->pos + b->done + 1, j->why, j->at, e) : e->code;
}

static Status json_values(Draft *b, Err *e) {
  struct CsvDraft *d = b->csv;
  if (!d)
    return e->code;
  Rows x = {.b = b, .stamp = e->code ? NULL : mem_alloc((b->ncol + 1) * sizeof *x.stamp)};
  Json j = {.visit = keep, .ctx = &x};
  if (e->code == ST_OK && !x.stamp)
    err_memory(e);
  if (e->code == ST_OK) {
    json_begin(&j, &d->text, b->pos + b->done == 0);
    text_rows(b, &j, &x, e);
  }
  json_free(&j);
  mem_free(x.stamp);
  csv_text_free(&d->text);
  mem_free(d);
  b->csv = NULL;
  return e->code;
}

const FormatOps json_ops = {.what = "JSON",
                            .text = true,
                            .own = true,
                            .columns = json_columns,
                            .open = json_open,
                            .collect = text_collect,
                            .values = json_values,
                            .close = text_close};
