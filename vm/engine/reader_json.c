/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: records as objects, one a line, one behind the other, or in one array. Read visit_object, then
 * json_convert (rows) and json_columns (what columns there are).
 *
 * DuckDB finds the records (also in compressed files) and checks that they are JSON; each comes as its text
 * and is taken apart here, so that a number means the same as in CSV and in a program. Objects inside objects
 * become columns with dotted names, `address.city`. Of a key that stands twice the last value counts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/num.h"
#include "vm/engine/parts.h"

enum { SAMPLE = 20000, COLUMNS_MAX = 100000, DEPTH_MAX = 64 };

typedef enum { J_NULL, J_BOOL, J_NUMBER, J_STRING, J_LIST, J_OBJECT } JsonKind;

/* A value and its dotted name; `s` is decoded for a string, else as written. False: stop (no memory). */
typedef bool (*Visit)(void *ctx, const char *name, uint32_t nname, JsonKind kind, const char *s, uint32_t n);

typedef struct Json {
  const char *s, *end;
  Buf name, text;
  Visit visit; /* NULL: only skipped */
  void *ctx;
  uint32_t depth;
  const char *why; /* it ended for this reason; NULL with a false result: no memory */
} Json;

static const char *const kind_words[] = {"null",   "a truth value", "a number",
                                         "a text", "a list",        "an object"};

/* ---- One record ---- */

static bool wrong(Json *j, const char *why) {
  j->why = why;
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
    return wrong(j, "a text does not end");
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
    while (j->s < j->end && *j->s != '"' && *j->s != '\\')
      j->s++;
    buf_put(out, from, (size_t)(j->s - from));
    if (j->s >= j->end)
      return wrong(j, "a text does not end");
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
      ok = wrong(j, "a list does not end");
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
      return wrong(j, "an object does not end");
  }
  return true;
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
  return n ? give(j, J_NUMBER, from, n) : wrong(j, "a value is missing");
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

/* One record: an object. */
static bool record(Json *j, const char *s, uint32_t n) {
  j->s = s;
  j->end = s + n;
  j->depth = 0;
  j->why = NULL;
  buf_clear(&j->name);
  blanks(j);
  if (j->s >= j->end || *j->s != '{')
    return wrong(j, "it is not an object `{ .. }`");
  return visit_object(j);
}

static void json_free(Json *j) {
  buf_free(&j->name);
  buf_free(&j->text);
}

/* ---- Errors ---- */

static Status bad_record(const char *file, uint64_t number, const char *why, Err *e) {
  if (!why)
    return err_memory(e);
  err_set(e, ST_DATA, "CML0404", "Correct the record: a source of JSON has one object a row.",
          "the record cannot be read: %s", why);
  return err_at(e, "%s, record %llu", file, (unsigned long long)number);
}

/* DuckDB's report -> ours: `Malformed JSON in file "x", at byte 6 in line 3: unexpected character.` */
static Status json_error(const char *file, Err *e) {
  char text[sizeof e->cause], why[160] = "";
  unsigned long long byte = 0, number = 0;
  char unit[16] = "";
  memcpy(text, e->cause, sizeof text);
  const char *at = strstr(text, "\", at byte ");
  if (e->code != ST_DATA || !strstr(text, "Malformed JSON") || !at ||
      sscanf(at, "\", at byte %llu in %15s %llu: %159[^.\n]", &byte, unit, &number, why) != 4) {
    bool long_record = e->code == ST_DATA && strstr(text, "maximum_object_size");
    if (!long_record)
      return reader_file_error(file, "JSON", e);
    err_clear(e);
    err_set(e, ST_DATA, "CML0404", "Look for a quote or bracket that is not closed.",
            "a record is longer than 16 MB");
    return err_at(e, "%s", file);
  }
  err_clear(e);
  if (strstr(why, "UTF-8"))
    err_set(e, ST_DATA, "CML0404", "Convert the file to UTF-8.", "byte %llu is not valid UTF-8", byte);
  else
    err_set(e, ST_DATA, "CML0404", "Correct the record; a file that ends inside one was cut off.",
            "this is not JSON, at byte %llu: %s", byte, why);
  /* DuckDB counts the record that it has not begun */
  return err_at(e, "%s, %s %llu", file, strcmp(unit, "line") == 0 ? "line" : "record", number - (number > 1));
}

static Status json_failed(Reader *r, Err *e) {
  return json_error(r->file[r->at_file], e);
}

static Status query(Duck *d, DuckQuery *q, const char *file, uint32_t limit, Err *e) {
  Buf sql = {0};
  buf_text(&sql, "SELECT json::VARCHAR FROM read_json_objects(");
  sql_path(&sql, file);
  buf_text(&sql, ", format='auto', hive_partitioning=false)");
  if (limit)
    buf_printf(&sql, " LIMIT %u", limit);
  Status st = sql.bad ? err_memory(e) : duck_query(d, q, buf_str(&sql), e);
  buf_free(&sql);
  return st == ST_OK ? ST_OK : json_error(file, e);
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

static Status look(Duck *d, const char *file, Columns *c, Err *e) {
  DuckQuery q;
  duckdb_data_chunk chunk;
  Json j = {.visit = note, .ctx = c};
  if (query(d, &q, file, SAMPLE, e) != ST_OK)
    return e->code;
  while (e->code == ST_OK && duck_chunk(d, &q, &chunk, e) == ST_OK && chunk) {
    const duckdb_string_t *v = d->vector_get_data(d->data_chunk_get_vector(chunk, 0));
    for (uint64_t i = 0; i < d->data_chunk_get_size(chunk) && e->code == ST_OK; i++) {
      uint32_t n;
      const char *s = duck_text(&v[i], &n);
      c->row++;
      if (!record(&j, s, n))
        bad_record(file, c->row, c->n >= COLUMNS_MAX ? "the file has more than 100000 columns" : j.why, e);
    }
    d->destroy_data_chunk(&chunk);
  }
  duck_end(d, &q);
  json_free(&j);
  return e->code == ST_DATA && !*e->where ? json_error(file, e) : e->code;
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
  Duck d;
  Columns c = {.text = &o->text};
  if (duck_open(&d, DUCK_MEMORY_MIN * 4, 1, e) != ST_OK)
    return e->code;
  look(&d, file[0], &c, e);
  duck_close(&d);
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
  uint32_t at;    /* the row */
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

static Status json_open(Reader *r, Err *e) {
  int fresh;
  for (uint32_t k = r->names.n; k < r->ncol; k++) {
    if (map_add(&r->names, r->col[k].name, strlen(r->col[k].name), &fresh) < 0)
      return err_memory(e);
  }
  return query(&r->duck, &r->query, r->file[r->at_file], 0, e);
}

static Status json_convert(Draft *b, const Piece *p, uint32_t at, Err *e) {
  const duckdb_string_t *v = b->r->duck.vector_get_data(b->r->duck.data_chunk_get_vector(p->held->chunk, 0));
  Rows x = {.b = b, .at = at, .stamp = mem_alloc((b->ncol + 1) * sizeof *x.stamp)};
  Json j = {.visit = keep, .ctx = &x};
  if (!x.stamp)
    return err_memory(e);
  memset(x.stamp, 0, (b->ncol + 1) * sizeof *x.stamp);
  for (uint32_t i = 0; i < p->n && e->code == ST_OK; i++) {
    uint32_t n;
    const char *s = duck_text(&v[p->from + i], &n);
    x.at = at + i;
    x.hint = 0;
    if (!record(&j, s, n))
      bad_record(b->r->file[b->at_file], b->pos + x.at + 1, j.why, e);
    for (uint32_t k = 0; k < b->ncol && e->code == ST_OK; k++) {
      if (x.stamp[k] != x.at + 1 && !reader_null_at(b, k, x.at))
        err_memory(e);
    }
  }
  json_free(&j);
  mem_free(x.stamp);
  return e->code;
}

const FormatOps json_ops = {.what = "JSON",
                            .columns = json_columns,
                            .open = json_open,
                            .convert = json_convert,
                            .error = json_failed};
