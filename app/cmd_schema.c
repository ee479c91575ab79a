/* SPDX-License-Identifier: Apache-2.0 */
/* cmlc schema: the `schema { ... }` of a data file, to be pasted. Read scan (all rows, into a Seen for each
 * column), then print_columns.
 *
 * The whole file is read, so that the block holds for it: a `?` where a value is missing, a wider type
 * where the first records misled. A text is called a category when it has few values and they repeat. */
#include <math.h>
#include <string.h>

#include "app/app.h"
#include "base/map.h"
#include "base/num.h"
#include "vm/engine.h"

enum { LEVELS = 1000, SHOWN = 4, SHOWN_BYTES = 60 };

static const Flag flags[] = {
    {"--format", NULL, "NAME", "parquet, csv, json or libsvm; without it the ending of the name says it",
     false},
    {"--option", NULL, "NAME=VALUE",
     "option of the source, as in `from csv(..)`: header=false; may be repeated", true},
    {"--param", "-p", "NAME=VALUE", "value of a param of a program; may be repeated", true},
    {NULL, NULL, NULL, NULL, false},
};

typedef struct Seen { /* of a column that can be read */
  const EngineColumn *column;
  uint8_t kind;
  uint64_t nulls, values, yes; /* yes: true values of bool */
  bool any;
  int64_t low, high;    /* of int, date, timestamp */
  double least, most;   /* of float */
  Map level;            /* texts, at most LEVELS + 1 */
} Seen;

typedef struct Scan {
  Arena *arena;
  const EngineSource *source;
  EngineColumn *column;
  uint32_t ncolumn;
  Seen *seen; /* per column; unreadable ones stay empty */
  IrColumn *read;
  uint32_t *which, nread; /* per column that is read: its number */
  uint64_t rows;
} Scan;

/* ---- Reading ---- */

static bool see_texts(Seen *s, const Col *c, uint32_t n) {
  for (uint32_t i = 0; i < n && s->level.n <= LEVELS; i++) {
    if (c->null && c->null[i])
      continue;
    const Dict *d = c->dict;
    if (map_add(&s->level, d->bytes + d->off[c->code[i]], d->off[c->code[i] + 1] - d->off[c->code[i]], NULL) <
        0)
      return false;
  }
  return true;
}

static void see_number(Seen *s, const Col *c, uint32_t i) {
  if (c->type == IR_F64) {
    double v = c->f[i];
    s->least = !s->any || v < s->least ? v : s->least;
    s->most = !s->any || v > s->most ? v : s->most;
  } else {
    int64_t v = c->type == IR_BOOL ? c->b[i] : c->i[i];
    s->yes += c->type == IR_BOOL && v;
    s->low = !s->any || v < s->low ? v : s->low;
    s->high = !s->any || v > s->high ? v : s->high;
  }
  s->any = true;
}

static bool see_column(Seen *s, const Col *c, uint32_t n) {
  uint64_t nulls = 0;
  for (uint32_t i = 0; c->null && i < n; i++)
    nulls += c->null[i];
  s->nulls += nulls;
  s->values += n - nulls;
  if (c->type == IR_STR)
    return see_texts(s, c, n);
  for (uint32_t i = 0; i < n; i++) {
    if (!c->null || !c->null[i])
      see_number(s, c, i);
  }
  return true;
}

static void start(Scan *x) {
  x->rows = x->nread = 0;
  for (uint32_t i = 0; i < x->ncolumn; i++) {
    Seen *s = &x->seen[i];
    map_free(&s->level);
    uint8_t kind = s->kind;
    *s = (Seen){.column = &x->column[i], .kind = kind};
    if (x->column[i].kind < 0)
      continue;
    x->which[x->nread] = i;
    x->read[x->nread++] = (IrColumn){x->column[i].name, kind, true};
  }
}

static Status read_all(Scan *x, const App *app, RowErrors *bad, Err *e) {
  Reader *r = NULL;
  Block *b = NULL;
  uint32_t seq;
  start(x);
  if (reader_open(x->source, x->read, x->nread, UINT64_C(1) << 30, &r, e) != ST_OK)
    return e->code;
  while (bad->count == 0 && reader_next(r, &b, &seq, bad, e) == ST_OK && b) {
    for (uint32_t k = 0; k < x->nread && e->code == ST_OK; k++) {
      if (!see_column(&x->seen[x->which[k]], &b->col[k], b->n))
        err_memory(e);
    }
    x->rows += b->n;
    block_drop(b);
    if (atomic_load(app->cancel))
      e->code = ST_CANCEL;
    if (e->code != ST_OK)
      break;
  }
  reader_close(r);
  return e->code;
}

/* The next wider kind of a column whose values did not fit; false: there is none. */
static bool widen(Scan *x, const char *name) {
  for (uint32_t i = 0; i < x->ncolumn; i++) {
    Seen *s = &x->seen[i];
    if (strcmp(x->column[i].name, name) != 0 || s->kind == KIND_STRING || !x->column[i].inferred)
      continue;
    s->kind = s->kind == KIND_INT ? KIND_FLOAT : s->kind == KIND_DATE ? KIND_TIMESTAMP : KIND_STRING;
    return true;
  }
  return false;
}

static Status bad_value(Scan *x, const RowError *one, Err *e) {
  uint32_t n = 0;
  const char **file = NULL;
  err_set(e, ST_DATA, "CML0430", "Correct the data.", "column %s: %s", one->column, one->text);
  Err ignored = {0};
  if (engine_files(x->arena, x->source, &file, &n, &ignored) == ST_OK && one->file < n)
    err_at(e, "%s, record %llu", file[one->file], (unsigned long long)one->pos + 1);
  return e->code;
}

static Status scan(Scan *x, const App *app, Err *e) {
  RowErrors *bad = NEW(x->arena, RowErrors);
  if (engine_columns(x->arena, x->source, &x->column, &x->ncolumn, e) != ST_OK)
    return e->code;
  x->seen = NEWN(x->arena, Seen, x->ncolumn + 1);
  x->read = NEWN(x->arena, IrColumn, x->ncolumn + 1);
  x->which = NEWN(x->arena, uint32_t, x->ncolumn + 1);
  for (uint32_t i = 0; i < x->ncolumn; i++)
    x->seen[i].kind = x->column[i].kind < 0 ? 0 : (uint8_t)x->column[i].kind;
  while (read_all(x, app, bad, e) == ST_OK && bad->count) {
    bool wider = false;
    for (uint32_t i = 0; i < bad->n; i++)
      wider |= widen(x, bad->v[i].column);
    if (!wider)
      return bad_value(x, &bad->v[0], e);
    memset(bad, 0, sizeof *bad);
  }
  return e->code;
}

/* ---- Printing ---- */

static bool is_reserved(const char *name) {
  static const char *const word[] = {"param",    "fn",     "data",  "features", "model", "tune",
                                     "evaluate", "export", "use",   "let",      "if",    "then",
                                     "else",     "and",    "or",    "not",      "in",    "is",
                                     "null",     "by",     "where", "true",     "false"};
  for (size_t i = 0; i < sizeof word / sizeof *word; i++)
    if (strcmp(word[i], name) == 0)
      return true;
  return false;
}

/* As a program writes the name; NULL: it cannot. */
static const char *written(Arena *a, const char *name) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  if (strspn(name, plain) == strlen(name) && *name && !(*name >= '0' && *name <= '9') && !is_reserved(name))
    return name;
  return strpbrk(name, "`\n") || !*name ? NULL : arena_printf(a, "`%s`", name);
}

static bool is_category(const Seen *s) {
  return s->kind == KIND_STRING && s->level.n && s->level.n <= LEVELS &&
         (s->level.n * 2 <= s->values || s->level.n <= 2);
}

static const char *range_text(Arena *a, const Seen *s) {
  char low[NUM_MAX], high[NUM_MAX];
  switch (s->kind) {
  case KIND_INT:
    num_print_i64(low, s->low);
    num_print_i64(high, s->high);
    break;
  case KIND_FLOAT:
    num_print_f64(low, s->least, true);
    num_print_f64(high, s->most, true);
    break;
  case KIND_DATE:
    num_print_date(low, s->low);
    num_print_date(high, s->high);
    break;
  case KIND_TIMESTAMP:
    num_print_timestamp(low, s->low);
    num_print_timestamp(high, s->high);
    break;
  default: return arena_printf(a, "%.3g%% true", 100.0 * (double)s->yes / (double)s->values);
  }
  return arena_printf(a, "%s..%s", low, high);
}

static const char *levels_text(Arena *a, const Seen *s) {
  if (s->level.n > LEVELS)
    return arena_printf(a, "more than %d values", LEVELS);
  const char *text = arena_printf(a, "%u value%s", s->level.n, s->level.n == 1 ? "" : "s");
  const char *all = "";
  for (uint32_t i = 0; i < s->level.n && s->level.n <= SHOWN; i++) {
    if (strpbrk(s->level.entry[i].key, "\r\n"))
      return text;
    all =
        arena_printf(a, "%s%s%s", all, i ? ", " : ": ", s->level.entry[i].n ? s->level.entry[i].key : "\"\"");
  }
  return strlen(all) <= SHOWN_BYTES ? arena_printf(a, "%s%s", text, all) : text;
}

static const char *remark(Arena *a, const Scan *x, const Seen *s) {
  if (s->values == 0)
    return "no value at all";
  const char *what = s->kind == KIND_STRING ? levels_text(a, s) : range_text(a, s);
  if (!s->nulls)
    return what;
  return arena_printf(a, "%s%s%.3g%% missing", what, *what ? "; " : "",
                      100.0 * (double)s->nulls / (double)x->rows);
}

static size_t letters(const char *s) {
  size_t n = 0;
  for (; *s; s++)
    n += ((unsigned char)*s & 0xc0) != 0x80;
  return n;
}

static void print_columns(const Scan *x, const char *indent) {
  Arena *a = x->arena;
  size_t name_width = 0, type_width = 0;
  const char **name = NEWN(a, const char *, x->ncolumn + 1), **type = NEWN(a, const char *, x->ncolumn + 1);
  for (uint32_t i = 0; i < x->ncolumn; i++) {
    const Seen *s = &x->seen[i];
    name[i] = x->column[i].kind < 0 ? NULL : written(a, x->column[i].name);
    type[i] = arena_printf(a, "%s%s", is_category(s) ? "category" : kind_name((Kind)s->kind),
                           s->nulls || !s->values ? "?" : "");
    if (!name[i])
      continue;
    name_width = letters(name[i]) > name_width ? letters(name[i]) : name_width;
    type_width = strlen(type[i]) > type_width ? strlen(type[i]) : type_width;
  }
  printf("%sschema {\n", indent);
  for (uint32_t i = 0; i < x->ncolumn; i++) {
    if (!name[i]) {
      printf("%s    # %s cannot be read: %s\n", indent, x->column[i].name,
             x->column[i].why ? x->column[i].why : "no program can write its name");
      continue;
    }
    const char *note = remark(a, x, &x->seen[i]);
    printf("%s    %s:%*s%s", indent, name[i], (int)(name_width - letters(name[i])) + 1, "", type[i]);
    printf(*note ? "%*s# %s\n" : "\n", (int)(type_width - strlen(type[i])) + 2, "", note);
  }
  printf("%s}\n", indent);
}

/* ---- The command ---- */

static Status one_source(const App *app, Arena *a, const EngineSource *source, const char *indent, Err *e) {
  Scan x = {.arena = a, .source = source};
  if (scan(&x, app, e) == ST_OK)
    print_columns(&x, indent);
  for (uint32_t i = 0; x.seen && i < x.ncolumn; i++)
    map_free(&x.seen[i].level);
  return e->code;
}

static Status of_file(const App *app, Arena *a, const Args *args, Err *e) {
  const char *format = args_get(args, "--format"), *path = args->word[0];
  uint32_t pairs = 0;
  EngineSource s = {.format = format ? format : engine_format_of(path), .path = path, .dir = "."};
  s.option = args_defines(a, args, &pairs, e);
  s.noption = pairs;
  if (e->code != ST_OK)
    return e->code;
  if (!s.format)
    return err_set(e, ST_USAGE, "", "Say it: --format csv.",
                   "the name `%s` does not say the format of the file", path);
  return one_source(app, a, &s, "", e);
}

/* The data sets of a program: those without a schema, or all where each has one. */
static Status of_program(const App *app, Arena *a, const Args *args, Err *e) {
  Compiled c;
  CompileOptions o = {.path = args->word[0]};
  o.check.define = args_defines(a, args, &o.check.ndefine, e);
  if (e->code != ST_OK)
    return e->code;
  compile_file(app, &o, &c, NULL, e);
  if (!c.tree && e->code == ST_OK)
    compile_report(app, &c);
  Status st = e->code != ST_OK ? e->code : c.tree ? ST_OK : c.outcome;
  bool lacking = false, first = true;
  for (uint32_t i = 0; c.tree && i < c.tree->ndata; i++)
    lacking |= !(c.tree->data[i]->ncolumn && c.tree->data[i]->column[0]->declared);
  for (uint32_t i = 0; c.tree && i < c.tree->ndata && st == ST_OK; i++) {
    const TData *d = c.tree->data[i];
    if (lacking && d->ncolumn && d->column[0]->declared)
      continue;
    EngineSource *s = NEWN(a, EngineSource, d->nsource);
    const char **declared = NEWN(a, const char *, d->ncolumn + 1); /* the names of a file without a header */
    uint32_t n = 0;
    for (uint32_t k = 0; k < d->ncolumn; k++)
      if (d->column[k]->declared)
        declared[n++] = d->column[k]->name;
    for (uint32_t k = 0; k < d->nsource; k++)
      s[k] = (EngineSource){.format = d->source[k].format,
                            .path = d->source[k].path,
                            .dir = c.tree->dir,
                            .option = (const char *const *)d->source[k].option,
                            .noption = d->source[k].noption,
                            .column = n ? declared : NULL,
                            .ncolumn = n,
                            .next = k + 1 < d->nsource ? &s[k + 1] : NULL};
    printf("%s# data %s\n", first ? "" : "\n", d->name);
    first = false;
    st = one_source(app, a, s, "    ", e);
  }
  compile_free(&c);
  return st;
}

int cmd_schema(const App *app, int argc, char **argv) {
  Arena a;
  jmp_buf oom;
  Args args;
  Err e = {0};
  arena_init(&a, &oom);
  if (setjmp(oom)) {
    err_memory(&e);
    app_error(app, &e);
    arena_free(&a);
    return ST_RESOURCE;
  }
  Status st = args_parse(&a, argc, argv, "schema", "FILE [options]", flags, &args);
  bool help = st == ST_CANCEL;
  if (st == ST_OK && args.nword != 1) {
    fprintf(stderr, "cmlc schema: name one file of data, or a program\n");
    st = ST_USAGE;
  }
  const char *end = st == ST_OK ? strrchr(args.word[0], '.') : NULL;
  if (st == ST_OK)
    st = end && !strcmp(end, ".cml") ? of_program(app, &a, &args, &e) : of_file(app, &a, &args, &e);
  if (st == ST_PROGRAM && e.code == ST_PROGRAM)
    st = ST_USAGE; /* options of the file come from the command line here */
  if (!strncmp(e.remedy, "Paths of a program", 18))
    snprintf(e.remedy, sizeof e.remedy, "Check the path.");
  if (e.code != ST_OK)
    app_error(app, &e);
  arena_free(&a);
  return help ? ST_OK : st;
}
