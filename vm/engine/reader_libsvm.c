/* SPDX-License-Identifier: Apache-2.0 */
/* libsvm (svmlight): `label index:value index:value ... # comment`, one row a line. Read line_row.
 *
 * The columns are `label`, `qid` where rows have one, and `f1` .. `fN`: a feature that a line does not
 * name is 0. Indices count from 1 unless the source says zero_based, and ascend in a line. Empty lines and
 * lines of comment are no rows. */
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "vm/engine/parts.h"

enum { SAMPLE = 20000 };

static Status query(Duck *d, DuckQuery *q, const char *file, Err *e) {
  Buf sql = {0};
  buf_text(&sql, "SELECT line FROM read_csv(");
  sql_path(&sql, file);
  buf_text(
      &sql,
      ", auto_detect=false, hive_partitioning=false, strict_mode=false, header=false, delim='\x01', quote='', escape='', "
      "buffer_size=33554432, max_line_size=16000000, columns={'line':'VARCHAR'}) "
      "WHERE line IS NOT NULL AND NOT regexp_full_match(line, '\\s*(#.*)?')");
  Status st = sql.bad ? err_memory(e) : duck_query(d, q, buf_str(&sql), e);
  buf_free(&sql);
  return st == ST_OK ? ST_OK : reader_file_error(file, "libsvm", e);
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
  while (l->s < l->end && (*l->s == ' ' || *l->s == '\t' || *l->s == '\r'))
    l->s++;
  const char *from = l->s;
  while (l->s < l->end && !strchr(" \t\r#", *l->s))
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

static Status look(Duck *d, const Options *o, const char *file, Shape *x, Err *e) {
  DuckQuery q;
  duckdb_data_chunk chunk;
  if (query(d, &q, file, e) != ST_OK)
    return e->code;
  while (duck_chunk(d, &q, &chunk, e) == ST_OK && chunk) {
    const duckdb_string_t *v = d->vector_get_data(d->data_chunk_get_vector(chunk, 0));
    for (uint64_t i = 0; i < d->data_chunk_get_size(chunk); i++) {
      uint32_t n;
      const char *s = duck_text(&v[i], &n);
      look_line(x, o, s, n);
    }
    d->destroy_data_chunk(&chunk);
    if (o->libsvm.features && x->rows >= SAMPLE)
      break;
  }
  duck_end(d, &q);
  if (e->code == ST_DATA)
    return reader_file_error(file, "libsvm", e);
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
  Duck d;
  Shape x = {.features = 0};
  if (duck_open(&d, DUCK_MEMORY_MIN * 4, 1, e) != ST_OK)
    return e->code;
  look(&d, o, file[0], &x, e);
  duck_close(&d);
  if (e->code != ST_OK)
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
  return query(&r->duck, &r->query, r->file[r->at_file], e);
}

static bool bad_entry(Draft *b, uint32_t at, const Entry *x, const char *why) {
  char shown[64];
  uint32_t n = (uint32_t)(x->value + x->nvalue - x->name);
  reader_bad(b, 0, at, "", "`%s` %s", text_shown(x->name, n, shown), why);
  return true;
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
    return true;
  }
  if (w->label && !text_value(b, w->label - 1, at, label, nlabel))
    return false;
  while (next_entry(&l, &b->in->opt.libsvm, &x, &why)) {
    if (why)
      return bad_entry(b, at, &x, why);
    uint32_t k = x.index < 0 ? w->qid : w->feature[x.index];
    qid |= x.index < 0;
    if (k && !text_value(b, k - 1, at, x.value, x.nvalue))
      return false;
  }
  return qid || !w->qid || reader_null_at(b, w->qid - 1, at);
}

static Status libsvm_convert(Draft *b, const Piece *p, uint32_t at, Err *e) {
  const duckdb_string_t *v = b->r->duck.vector_get_data(b->r->duck.data_chunk_get_vector(p->held->chunk, 0));
  Wanted *w = mem_alloc(sizeof *w);
  if (!w)
    return err_memory(e);
  memset(w, 0, sizeof *w);
  find_wanted(b, w, e);
  for (uint32_t i = 0; i < p->n && e->code == ST_OK && b->ncol; i++) {
    uint32_t n;
    const char *s = duck_text(&v[p->from + i], &n);
    if (!line_row(b, w, at + i, s, n))
      err_memory(e);
  }
  mem_free(w);
  return e->code;
}

static Status libsvm_error(Reader *r, Err *e) {
  return reader_file_error(r->file[r->at_file], "libsvm", e);
}

const FormatOps libsvm_ops = {.what = "libsvm",
                              .columns = libsvm_columns,
                              .open = libsvm_open,
                              .convert = libsvm_convert,
                              .error = libsvm_error};
