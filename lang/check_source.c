/* SPDX-License-Identifier: Apache-2.0 */
/* The `from` and `schema` of a data set, and the columns of the file itself. source_check at the end is the
 * order. */
#include <string.h>

#include "base/buf.h"
#include "lang/check.h"

/* ---- Schema ---- */

static bool bound_value(Ctx *x, const Expr *e, const TColumn *col, bool *has, double *out) {
  Check *c = x->c;
  if (!e)
    return true;
  Node *n = expr_coerce(x, expr_check(x, e), type_of(col->type.kind), e->span,
                        arena_printf(c->a, "the domain of `%s`", col->name));
  if (node_is_error(n))
    return false;
  if (n->kind != N_LIT) {
    ctx_error(x, "CML0315", e->span, "write a number, or a `param`", "the bounds of a domain are constants");
    return false;
  }
  *has = true;
  *out = n->type.kind == TY_INT ? (double)n->i : n->f;
  return true;
}

static void domain_range(Ctx *x, const SchemaColumn *s, TColumn *col) {
  const Expr *e = s->domain;
  if (!type_is_number(col->type.kind)) {
    ctx_error(x, "CML0315", e->span,
              type_is_text(col->type.kind) ? "list the values: `in [\"a\", \"b\"]`, or write a `where`"
                                           : "leave the domain out, and write a `where`",
              "a range is a domain of int and float columns, and `%s` is %s", col->name,
              type_article(col->type.kind));
    return;
  }
  if (!bound_value(x, e->a, col, &col->has_min, &col->min) ||
      !bound_value(x, e->b, col, &col->has_max, &col->max))
    return;
  if (col->has_min && col->has_max && !(col->min <= col->max))
    ctx_error(x, "CML0315", e->span, "write the smaller bound first", "no value lies in the domain of `%s`",
              col->name);
}

static void domain_list(Ctx *x, const SchemaColumn *s, TColumn *col) {
  Check *c = x->c;
  const Expr *e = s->domain;
  if (!type_is_text(col->type.kind)) {
    ctx_error(x, "CML0315", e->span, "write a range: `in 0..120`",
              "a list is a domain of string and category columns, and `%s` is %s", col->name,
              type_article(col->type.kind));
    return;
  }
  uint32_t cap = 0;
  for (const Arg *g = e->args; g; g = g->next) {
    Node *n = expr_check(x, g->value);
    if (node_is_error(n))
      continue;
    if (n->kind != N_LIT || !type_is_text(n->type.kind)) {
      ctx_error(x, "CML0315", g->value->span, "write texts: `in [\"a\", \"b\"]`",
                "a domain lists the values as texts");
      continue;
    }
    for (uint32_t i = 0; i < col->nin; i++)
      if (strcmp(col->in[i], n->s) == 0)
        ctx_error(x, "CML0315", g->value->span, "write it once", "\"%s\" is twice in the domain of `%s`",
                  n->s, col->name);
    PUSH(c->a, col->in, col->nin, cap, n->s);
  }
  col->ordered = s->ordered;
}

static void on_invalid(Ctx *x, const SchemaColumn *s, TColumn *col) {
  const Expr *e = s->on_invalid;
  const char *word = e->kind == E_NULL ? "null" : e->name;
  if (strcmp(word, "error") != 0 && strcmp(word, "null") != 0 && strcmp(word, "drop") != 0)
    ctx_error(x, "CML0327", e->span, "write `error`, `null` or `drop`",
              "`%s` is nothing that can be done with a value", word);
  else if (!s->domain)
    ctx_error(x, "CML0327", e->span,
              arena_printf(x->c->a, "write one: `%s: ... in 0..120 on_invalid = %s`", s->name, word),
              "`%s` has no domain, so none of its values is invalid", s->name);
  else if (e->kind == E_NULL && !col->type.nullable && col->type.kind != TY_ERROR)
    ctx_error(x, "CML0327", e->span,
              arena_printf(x->c->a, "write `%s: %s?`", s->name, type_name(col->type.kind)),
              "a value that becomes null asks for a nullable type");
  else
    col->on_invalid = e->kind == E_NULL           ? INVALID_NULL
                      : strcmp(word, "drop") == 0 ? INVALID_DROP
                                                  : INVALID_ERROR;
}

/* What to do with a column of lists, of which the language has none: DuckDB makes a text of each. */
static const char *unlist(Check *c, const char *name) {
  return arena_printf(c->a,
                      "join its texts in the source, `sql(\"select array_to_string(%s, '|') as %s, .. from "
                      "'FILE'\")`, and write `split(%s, \"|\")`",
                      name, name, name);
}

const char *source_unread(Check *c, const char *name, const char *why) {
  return why && strstr(why, "list") ? unlist(c, name) : "leave it out, or change the column in the file";
}

static bool column_type(Check *c, const SchemaColumn *s, Type *t) {
  if (!s->type) {
    diag_add(c->d, SEV_ERROR, "CML0219", s->span, arena_printf(c->a, "write `%s: float`", s->name),
             "the column `%s` has no type", s->name);
    return false;
  }
  if (!type_written(c, s->type, t))
    return false;
  if (t->kind == TY_LIST) {
    diag_add(c->d, SEV_ERROR, "CML0219", s->type->span, unlist(c, s->name),
             "a column holds no list");
    return false;
  }
  if (t->kind == TY_VECTOR || t->kind == TY_DURATION) {
    diag_add(c->d, SEV_ERROR, "CML0219", s->type->span, "read it as int, float or string",
             "columns of type %s are not part of this version", type_name(t->kind));
    return false;
  }
  return true;
}

static void add_column(Check *c, DataInfo *d, TColumn *col) {
  table_add(&d->column, col->name, col);
  PUSH(c->a, d->t->column, d->t->ncolumn, d->ncolumn_cap, col);
}

static void schema_columns(Ctx *x, DataInfo *d, const Item *schema) {
  Check *c = x->c;
  for (const SchemaColumn *s = schema->columns; s; s = s->next) {
    if (table_get(&d->column, s->name)) {
      ctx_error(x, "CML0208", s->span, "declare it once", "the column `%s` is declared twice", s->name);
      continue;
    }
    TColumn *col = NEW(c->a, TColumn);
    *col = (TColumn){.name = s->name, .span = s->span, .declared = true, .known = s->known, .data = d->t};
    if (!column_type(c, s, &col->type))
      col->type = type_of(TY_ERROR);
    else if (s->domain && s->domain->kind == E_RANGE)
      domain_range(x, s, col);
    else if (s->domain && s->domain->kind == E_LIST)
      domain_list(x, s, col);
    else if (s->domain && s->domain->kind != E_ERROR)
      ctx_error(x, "CML0315", s->domain->span, "write `in 0..120` or `in [\"a\", \"b\"]`",
                "a domain is a range or a list");
    if (s->on_invalid)
      on_invalid(x, s, col);
    add_column(c, d, col);
  }
}

/* ---- The columns of the file ---- */

/* Can a column that the file declares as `has` be read as `want`? What the remedy says when not. */
static const char *misfit(TypeKind want, TypeKind has) {
  if (want == has || want == TY_ERROR || (type_is_text(want) && type_is_text(has)))
    return NULL;
  if ((want == TY_FLOAT || want == TY_CATEGORY) && (has == TY_INT || has == TY_BOOL))
    return NULL;
  if (want == TY_INT && has == TY_BOOL)
    return NULL;
  if (want == TY_TIMESTAMP && has == TY_DATE)
    return NULL;
  if (want == TY_DATE && has == TY_TIMESTAMP)
    return "declare it as timestamp, and write `derive day = date(%s)`";
  if (want == TY_BOOL && has == TY_INT)
    return "declare it as int, and write `derive yes = %s != 0`";
  if (want == TY_INT && has == TY_FLOAT)
    return "declare `%s` as float";
  if (type_is_text(has))
    return "declare `%s` as string, and convert it in a `derive`: `float(x)`, `date(x)`";
  return "declare `%s` with the type of the file";
}

static void hold_against(Ctx *x, DataInfo *d, const CatColumn *v, uint32_t n, const char *path) {
  Check *c = x->c;
  Near near = {.arena = c->a};
  for (uint32_t i = 0; i < n; i++)
    near_add(&near, v[i].name);
  for (uint32_t k = 0; k < d->t->ncolumn; k++) {
    TColumn *col = d->t->column[k];
    const CatColumn *file = NULL;
    TypeKind has;
    for (uint32_t i = 0; i < n && !file; i++)
      if (strcmp(v[i].name, col->name) == 0)
        file = &v[i];
    if (!file) {
      const char *remedy = near_or_all(&near, col->name, "remove it, or name a column of the file:");
      /* One of the others was meant: where it is used there is no second mistake. */
      for (uint32_t i = 0; i < n; i++)
        if (!data_column(d, v[i].name))
          table_add(&d->said, v[i].name, d);
      ctx_error(x, "CML0314", col->span, remedy ? remedy : "remove it from the schema",
                "`%s` has no column `%s`", path, col->name);
    } else if (!file->type) {
      if (col->type.kind != TY_ERROR)
        ctx_error(x, "CML0314", col->span, source_unread(c, col->name, file->why),
                  "the column `%s` cannot be read: %s", col->name,
                  file->why ? file->why : "its type is not supported");
    } else if (!file->inferred && type_named(file->type, &has)) {
      const char *fix = misfit(col->type.kind, has);
      const char *at = fix ? strstr(fix, "%s") : NULL;
      if (fix)
        ctx_error(x, "CML0314", col->span,
                  at ? arena_printf(c->a, "%.*s%s%s", (int)(at - fix), fix, col->name, at + 2) : fix,
                  "the schema says %s, and `%s` holds %s", type_name(col->type.kind), path, type_name(has));
    }
  }
}

static void inferred_columns(Check *c, DataInfo *d, const CatColumn *v, uint32_t n, Span at) {
  for (uint32_t i = 0; i < n; i++) {
    Type t = {.nullable = v[i].nullable};
    if (!v[i].type || !type_named(v[i].type, &t.kind)) {
      const char *why = v[i].why ? v[i].why : "its type is not supported";
      table_add(&d->refused, v[i].name, (void *)(uintptr_t)why);
      continue;
    }
    TColumn *col = NEW(c->a, TColumn);
    *col = (TColumn){.name = v[i].name, .type = t, .span = at, .data = d->t};
    add_column(c, d, col);
  }
}

/* What both files hold: the kind that takes the values of both, or -1. */
static int wider(TypeKind a, TypeKind b) {
  if (a == b)
    return a;
  if ((a == TY_INT || a == TY_FLOAT) && (b == TY_INT || b == TY_FLOAT))
    return TY_FLOAT;
  if ((a == TY_DATE || a == TY_TIMESTAMP) && (b == TY_DATE || b == TY_TIMESTAMP))
    return TY_TIMESTAMP;
  return -1;
}

/* Columns of one more file, where none are declared: all files must have what the first one has. */
static void more_columns(Ctx *x, DataInfo *d, const CatColumn *v, uint32_t n, const TSource *s) {
  for (uint32_t k = 0; k < d->t->ncolumn; k++) {
    TColumn *col = d->t->column[k];
    const CatColumn *file = NULL;
    TypeKind has = TY_ERROR;
    for (uint32_t i = 0; i < n && !file; i++)
      if (strcmp(v[i].name, col->name) == 0)
        file = &v[i];
    int both = file && file->type && type_named(file->type, &has) ? wider(col->type.kind, has) : -1;
    if (!file)
      ctx_error(x, "CML0314", s->span,
                "give all files the same columns, or declare the common ones in a `schema`",
                "`%s` has no column `%s`, which `%s` has", s->path, col->name, d->t->source[0].path);
    else if (!file->type)
      ctx_error(x, "CML0314", s->span, "leave it out of a `schema`, or change it in the file",
                "the column `%s` of `%s` cannot be read: %s", col->name, s->path,
                file->why ? file->why : "?");
    else if (both < 0 && !file->inferred)
      ctx_error(x, "CML0314", s->span, "store it in one type",
                "the column `%s` is %s in `%s` and %s in `%s`", col->name, type_name(col->type.kind),
                d->t->source[0].path, type_name(has), s->path);
    else
      col->type = (Type){.kind = both < 0 ? TY_STRING : (TypeKind)both,
                         .nullable = col->type.nullable || file->nullable};
  }
}

static void look_at_file(Ctx *x, DataInfo *d, const TSource *s, bool declared) {
  Check *c = x->c;
  CatSource src = {
      .format = s->format, .path = s->path, .dir = c->tree->dir, .option = s->option, .noption = s->noption};
  if (declared) {
    src.ncolumn = d->t->ncolumn;
    src.column = NEWN(c->a, const char *, src.ncolumn);
    for (uint32_t i = 0; i < src.ncolumn; i++)
      src.column[i] = d->t->column[i]->name;
  }
  CatColumn *v = NULL;
  uint32_t n = 0;
  Err err = {.code = ST_OK};
  Status st = c->cat->columns(c->cat->ctx, c->a, &src, &v, &n, &err);
  if (st != ST_OK) {
    const char *place = err.where[0] ? arena_printf(c->a, "%s: ", err.where) : "";
    ctx_error(x, "CML0313", s->span, err.remedy[0] ? arena_strdup(c->a, err.remedy) : NULL, "%s%s", place,
              err.cause);
    if (c->source_status == ST_OK)
      c->source_status = st;
    c->source_errors++;
    d->broken = !declared;
    return;
  }
  if (declared)
    hold_against(x, d, v, n, s->path);
  else if (s == d->t->source)
    inferred_columns(c, d, v, n, s->span);
  else if (!d->broken)
    more_columns(x, d, v, n, s);
}

/* ---- from ---- */

static const CatFormat *format_named(Ctx *x, const Expr *e) {
  Check *c = x->c;
  Near near = {.arena = c->a};
  for (const CatFormat *f = c->cat->format; f && f->name; f++) {
    near_add(&near, f->name);
    if (strcmp(f->name, e->name) == 0)
      return f;
  }
  const char *remedy = near_remedy(&near, e->name);
  const char *all = "sources are";
  for (uint32_t i = 0; i < near.n; i++)
    all = arena_printf(c->a, "%s%s `%s(\"path\")`", all, i ? "," : "", near.v[i]);
  if (strcmp(e->name, "table") == 0)
    ctx_error(x, "CML0111", e->span, "write what it holds into a Parquet or CSV file",
              "the source `%s` is not part of this version", e->name);
  else
    ctx_error(x, "CML0312", e->name_span.file ? e->name_span : e->span, remedy ? remedy : all,
              "`%s` is not a source of data", e->name);
  return NULL;
}

typedef struct Options {
  const CatFormat *format;
  TSource *s;
  uint32_t n, cap;
} Options;

static bool one_option(Ctx *x, Options *o, const Arg *g) {
  Check *c = x->c;
  Node *value = NULL;
  if (!option_check(x, o->format->options, o->format->name, g, &value))
    return false;
  if (value->kind != N_LIT) {
    ctx_error(x, "CML0222", g->value->span, "write the value itself",
              "an option of a source is a single literal value");
    return false;
  }
  PUSH(c->a, o->s->option, o->n, o->cap, g->name);
  PUSH(c->a, o->s->option, o->n, o->cap, option_text(c->a, value));
  return true;
}

/* Options that may be given several times take a list: null = ["", "?"]. */
static bool takes_list(const char *name) {
  static const char *const all[] = {"null", "dates", "timestamps"};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (strcmp(all[i], name) == 0)
      return true;
  return false;
}

static bool source_options(Ctx *x, const CatFormat *f, const Arg *args, TSource *s) {
  Options o = {.format = f, .s = s};
  bool good = true;
  for (const Arg *g = args; g; g = g->next) {
    if (!g->name || g->value->kind != E_LIST || !takes_list(g->name) || !g->value->args) {
      good &= one_option(x, &o, g);
      continue;
    }
    for (const Arg *v = g->value->args; v; v = v->next) {
      Arg one = *g;
      one.value = v->value;
      good &= one_option(x, &o, &one);
    }
  }
  s->noption = o.n / 2;
  return good;
}

/* The end of a param in braces that begins at `{`, or NULL: DuckDB has braces of its own, {'a': 1}. */
static const char *param_end(const char *open) {
  size_t n = 0;
  for (const char *p = open + 1; (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_' ||
                                 (n && *p >= '0' && *p <= '9');
       p++)
    n++;
  return n && open[n + 1] == '}' ? open + n + 1 : NULL;
}

static bool bind_param(Ctx *x, Options *o, const Expr *e, const char *name) {
  Check *c = x->c;
  ParamInfo *info = table_get(&c->param, name);
  if (!info) {
    Near near = {.arena = c->a};
    near_table(&near, &c->param);
    const char *remedy = near_remedy(&near, name);
    ctx_error(x, "CML0223", e->span, remedy ? remedy : arena_printf(c->a, "declare `param %s: int`", name),
              "`{%s}` names no param", name);
    return false;
  }
  info->used = true;
  if (!info->param)
    return false;
  const Node *v = info->param->value;
  const char *key = arena_printf(c->a, "$%s %s", name, type_name(v->type.kind));
  for (uint32_t i = 0; i < o->n; i += 2)
    if (strcmp(o->s->option[i], key) == 0)
      return true; /* it stands twice in the query */
  PUSH(c->a, o->s->option, o->n, o->cap, key);
  PUSH(c->a, o->s->option, o->n, o->cap, option_text(c->a, v));
  return true;
}

/* A line of a query into `out`, $name where {name} stands. */
static bool query_line(Ctx *x, Options *o, const Expr *e, char *quote, Buf *out) {
  Check *c = x->c;
  bool good = true;
  if (e->kind != E_STRING || !e->name[0]) {
    if (e->kind != E_ERROR)
      ctx_error(x, "CML0223", e->span,
                "write it in quotes, or its lines as a list: sql([\"select *\", \"from 'a.parquet'\"])",
                "the query of a source is a text");
    return false;
  }
  for (const char *p = e->name; *p; p++) {
    const char *end = *p == '{' ? param_end(p) : NULL;
    if (*p == *quote)
      *quote = 0;
    else if (!*quote && (*p == '\'' || *p == '"'))
      *quote = *p;
    if (!end) {
      buf_u8(out, (uint8_t)*p);
      continue;
    }
    char *name = arena_strndup(c->a, p + 1, (size_t)(end - p - 1));
    if (*quote) {
      ctx_error(
          x, "CML0223", e->span,
          arena_printf(c->a, "write {%s} without quotes; for a path `from read_parquet({%s})`", name, name),
          "a param in a query is a value, and `{%s}` stands inside quotes", name);
      good = false;
    } else {
      good &= bind_param(x, o, e, name);
      buf_printf(out, "$%s", name);
    }
    p = end;
  }
  return good;
}

/* sql("select ... {since} ..."), or its lines as a list: params become bound values, never text of the
 * query. */
static const char *query_text(Ctx *x, Options *o, const Expr *e) {
  Buf out = {0};
  char quote = 0;
  bool list = e->kind == E_LIST && e->args, good = true;
  Arg only = {.value = (Expr *)(uintptr_t)e};
  for (const Arg *g = list ? e->args : &only; g; g = g->next) {
    good &= query_line(x, o, g->value, &quote, &out);
    if (g->next)
      buf_u8(&out, '\n');
  }
  const char *text = good ? arena_strdup(x->c->a, buf_str(&out)) : NULL;
  buf_free(&out);
  return text;
}

/* csv("a.csv", header = false), or csv(["a.csv", "b.csv"]): an input for each path. */
static bool read_input(Ctx *x, DataInfo *d, const Expr *e, const char *part, Span span, uint32_t *cap) {
  Check *c = x->c;
  if (!e || e->kind == E_ERROR)
    return false;
  if (e->kind != E_CALL) {
    ctx_error(x, "CML0312", e->span, "write `from csv(\"file.csv\")` or `from parquet(\"file.parquet\")`",
              "a source is written with its format");
    return false;
  }
  const CatFormat *f = format_named(x, e);
  if (!f)
    return false;
  if (!e->args || e->args->name) {
    ctx_error(x, "CML0312", e->span, arena_printf(c->a, "write `%s(\"path\")`", f->name),
              "the path comes first");
    return false;
  }
  TSource s = {.part = part, .format = f->name, .span = span};
  const Expr *path = e->args->value;
  if (strcmp(f->name, "sql") == 0) {
    Options o = {.format = f, .s = &s};
    bool plain = source_options(x, f, e->args->next, &s);
    s.path = query_text(x, &o, path);
    s.noption = o.n / 2;
    if (s.path)
      PUSH(c->a, d->t->source, d->t->nsource, *cap, s);
    return s.path && plain;
  }
  bool good = source_options(x, f, e->args->next, &s);
  bool list = path->kind == E_LIST && path->args;
  Arg only = {.value = (Expr *)(uintptr_t)path};
  for (const Arg *g = list ? path->args : &only; g; g = g->next) {
    s.path = path_text(x, g->value, "the path");
    good &= s.path != NULL;
    if (s.path)
      PUSH(c->a, d->t->source, d->t->nsource, *cap, s);
  }
  return good;
}

/* The parts of `from train = .., test = ..`. */
static void source_parts(Ctx *x, DataInfo *d, const Item *from) {
  uint32_t before = x->c->d->errors;
  for (const Arg *g = from->args; g; g = g->next) {
    if (data_part(d->t, g->name))
      ctx_error(x, "CML0316", g->name_span, "list the files of a part: `train = csv([\"a.csv\", \"b.csv\"])`",
                "two parts are named `%s`", g->name);
    split_part(x, d, (TPart){.name = g->name, .span = g->name_span});
  }
  d->bad_split = x->c->d->errors > before;
  split_done(x, d, (TSplit){.kind = SPLIT_SOURCE, .span = from->span, .of = -1, .n = d->t->npart});
}

static bool read_from(Ctx *x, DataInfo *d, const Item *from) {
  uint32_t cap = 0;
  if (!from->args)
    return read_input(x, d, from->expr, NULL, from->span, &cap);
  bool good = true;
  for (const Arg *g = from->args; g; g = g->next)
    good &= read_input(x, d, g->value, g->name, g->value->span, &cap);
  source_parts(x, d, from);
  return good;
}

void source_check(Ctx *x, DataInfo *d, const Item *from, const Item *schema) {
  Check *c = x->c;
  bool look = c->cat->columns && !(c->opt && c->opt->no_data);
  if (schema)
    schema_columns(x, d, schema);
  if (!from) {
    ctx_error(x, "CML0312", d->decl->name_span,
              "write `from csv(\"file.csv\")` or `from parquet(\"file.parquet\")`",
              "the data set `%s` has no source", d->t->name);
    d->broken = !schema;
    return;
  }
  if (!read_from(x, d, from)) {
    d->broken = !schema;
    return;
  }
  for (uint32_t i = 0; look && i < d->t->nsource && (schema || !d->broken); i++)
    look_at_file(x, d, &d->t->source[i], schema != NULL);
  if (!look && !schema) {
    ctx_error(x, "CML0312", from->span, "write a `schema { ... }`, or check with the data at hand",
              "without looking at the data, the columns of `%s` are not known", d->t->name);
    d->broken = true;
  }
  if (d->t->nsource > 1 && data_column(d, "(input)"))
    ctx_error(x, "CML0312", from->span, "give it another name in the file",
              "a column of several files together may not be called `(input)`");
}
