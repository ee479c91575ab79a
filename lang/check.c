/* SPDX-License-Identifier: Apache-2.0 */
/* The checker: from a parsed program to a Tree. check_program at the end is the order of work; above it stand
 * params, options and paths, which several declarations use. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "lang/check.h"

/* ---- Params ---- */

static Node *parse_value(Check *c, TypeKind kind, const char *s, Span at) {
  NodeTab *t = &c->nodes;
  size_t n = strlen(s);
  int64_t i;
  double f;
  switch (kind) {
  case TY_BOOL:
    return strcmp(s, "true") == 0 || strcmp(s, "false") == 0 ? node_bool(t, s[0] == 't', at) : NULL;
  case TY_INT: return num_parse_i64(s, n, &i) ? node_int(t, kind, i, at) : NULL;
  case TY_FLOAT: return num_parse_f64(s, n, &f) ? node_float(t, f, at) : NULL;
  case TY_DATE: return num_parse_date(s, n, &i) ? node_int(t, kind, i, at) : NULL;
  case TY_TIMESTAMP: return num_parse_timestamp(s, n, &i) ? node_int(t, kind, i, at) : NULL;
  default: return node_text(t, kind, arena_strdup(c->a, s), at);
  }
}

/* What -p or the environment says, or NULL. *from names the place for messages. */
static const char *given_value(Check *c, const char *name, const char **from) {
  const CheckOptions *o = c->opt;
  for (uint32_t i = 0; o && i < o->ndefine; i++)
    if (strcmp(o->define[2 * i], name) == 0) {
      *from = arena_printf(c->a, "-p %s", name);
      return o->define[2 * i + 1];
    }
  char *var = arena_printf(c->a, "CML_PARAM_%s", name);
  for (char *p = var; *p; p++)
    *p = (char)toupper((unsigned char)*p);
  *from = var;
  return getenv(var);
}

static Node *param_default(Check *c, const Decl *decl, Type want) {
  Ctx x = {.c = c, .place = AT_PARAM, .owner = decl};
  Node *n = expr_coerce(&x, expr_check(&x, decl->expr), want, decl->expr->span,
                        arena_printf(c->a, "`%s`", decl->name));
  if (node_is_error(n) || n->kind == N_LIT)
    return n;
  diag_add(c->d, SEV_ERROR, "CML0217", decl->expr->span, "write the number itself",
           "the default of a `param` is a single literal value");
  return c->error;
}

void param_check(Check *c, ParamInfo *p) {
  const Decl *decl = p->decl;
  Type want;
  const char *from = NULL;
  const char *text = given_value(c, decl->name, &from);
  if (!decl->type) {
    diag_add(c->d, SEV_ERROR, "CML0219", decl->name_span,
             arena_printf(c->a, "write `param %s: float = ...`", decl->name), "the param `%s` has no type",
             decl->name);
    return;
  }
  if (!type_written(c, decl->type, &want))
    return;
  if (!type_is_scalar(want.kind) || want.kind == TY_DURATION || want.nullable) {
    diag_add(c->d, SEV_ERROR, "CML0219", decl->type->span,
             "write bool, int, float, string, category, date or timestamp",
             "a param holds one plain value, never %s", want.nullable ? "null" : type_article(want.kind));
    return;
  }
  Node *value = decl->expr ? param_default(c, decl, want) : NULL; /* checked even when it is overridden */
  if (value && node_is_error(value))
    return;
  if (text) {
    value = parse_value(c, want.kind, text, decl->name_span);
    if (!value)
      diag_add(c->d, SEV_ERROR, "CML0217", decl->name_span,
               arena_printf(c->a, "`%s` is %s", decl->name, type_article(want.kind)),
               "the value \"%s\" given by %s does not fit", text, from);
  } else if (!value) {
    diag_add(c->d, SEV_ERROR, "CML0217", decl->name_span,
             arena_printf(c->a, "give one with `-p %s=...`, or write a default: `param %s: %s = ...`",
                          decl->name, decl->name, type_name(want.kind)),
             "the param `%s` has no value", decl->name);
  }
  if (!value)
    return;
  TParam param = {decl->name, decl->doc, want, value, decl->name_span};
  PUSH(c->a, c->tree->param, c->tree->nparam, c->param_cap, param);
  p->param = NEW(c->a, TParam);
  *p->param = param;
}

static void check_defines(Check *c) {
  for (uint32_t i = 0; c->opt && i < c->opt->ndefine; i++) {
    const char *name = c->opt->define[2 * i];
    Near near = {.arena = c->a};
    if (table_get(&c->param, name))
      continue;
    near_table(&near, &c->param);
    diag_add(c->d, SEV_ERROR, "CML0218", (Span){0}, near_or_all(&near, name, "the params are"),
             "-p %s: the program has no param `%s`", name, name);
  }
}

/* ---- Options and paths ---- */

static bool enum_has(const char *values, const char *word) {
  size_t n = strlen(word);
  for (const char *p = values; p && *p;) {
    const char *bar = strchr(p, '|');
    size_t len = bar ? (size_t)(bar - p) : strlen(p);
    if (len == n && memcmp(p, word, n) == 0)
      return true;
    p = bar ? bar + 1 : NULL;
  }
  return false;
}

static const char *number_text(Arena *a, double v) {
  char out[NUM_MAX];
  num_print_f64(out, v, false);
  return arena_strdup(a, out);
}

const char *option_text(Arena *a, const Node *v) {
  char out[NUM_MAX];
  switch (v->type.kind) {
  case TY_BOOL: return v->b ? "true" : "false";
  case TY_INT: num_print_i64(out, v->i); break;
  case TY_FLOAT: num_print_f64(out, v->f, true); break;
  case TY_DATE: num_print_date(out, v->i); break;
  case TY_TIMESTAMP: num_print_timestamp(out, v->i); break;
  default: return v->s;
  }
  return arena_strdup(a, out);
}

static Node *option_value(Ctx *x, const Option *o, const Arg *arg) {
  Check *c = x->c;
  static const TypeKind kinds[] = {[OPT_BOOL] = TY_BOOL,
                                   [OPT_INT] = TY_INT,
                                   [OPT_FLOAT] = TY_FLOAT,
                                   [OPT_STRING] = TY_STRING,
                                   [OPT_ENUM] = TY_STRING,
                                   [OPT_EACH] = TY_FLOAT,
                                   [OPT_EXPR] = TY_FLOAT};
  const Expr *e = arg->value;
  const char *who = arena_printf(c->a, "`%s`", o->name);
  if (o->kind == OPT_ENUM && e->kind == E_NAME && !table_get(&c->param, e->name)) {
    if (enum_has(o->values, e->name))
      return node_text(&c->nodes, TY_STRING, e->name, e->span);
    ctx_error(x, "CML0222", e->span, NULL, "`%s` is one of %s", o->name, o->values);
    return c->error;
  }
  Node *n = expr_coerce(x, expr_check(x, e), type_of(kinds[o->kind]), e->span, who);
  if (node_is_error(n))
    return n;
  if (n->phase != PH_CONST) {
    ctx_error(x, "CML0206", e->span, "write a number, or a `param`",
              "the option `%s` must be known before data are read", o->name);
    return c->error;
  }
  if (n->kind != N_LIT)
    return n;
  if (o->kind == OPT_ENUM && !enum_has(o->values, n->s)) {
    ctx_error(x, "CML0222", e->span, NULL, "`%s` is one of %s", o->name, o->values);
    return c->error;
  }
  double v = n->type.kind == TY_INT ? (double)n->i : n->f;
  if ((o->kind == OPT_INT || o->kind == OPT_FLOAT || o->kind == OPT_EACH) && !(v >= o->min && v <= o->max)) {
    ctx_error(x, "CML0222", e->span, o->doc, "`%s` lies in %s..%s", o->name, number_text(c->a, o->min),
              number_text(c->a, o->max));
    return c->error;
  }
  return n;
}

const Option *option_check(Ctx *x, const Option *table, const char *who, const Arg *arg, Node **value) {
  Check *c = x->c;
  Near near = {.arena = c->a};
  if (!arg->name) {
    ctx_error(x, "CML0221", arg->value->span, "write `name = value`", "options of `%s` are given by name",
              who);
    return NULL;
  }
  for (const Option *o = table; o && o->name; o++) {
    near_add(&near, o->name);
    if (strcmp(o->name, arg->name) == 0) {
      *value = option_value(x, o, arg);
      return node_is_error(*value) ? NULL : o;
    }
  }
  const char *remedy = near_remedy(&near, arg->name);
  if (!remedy && near.n) {
    remedy = "its options are ";
    for (uint32_t i = 0; i < near.n; i++)
      remedy = arena_printf(c->a, "%s%s%s", remedy, i ? ", " : "", near.v[i]);
  }
  ctx_error(x, "CML0221", arg->name_span, remedy ? remedy : "it takes none", "`%s` has no option `%s`", who,
            arg->name);
  return NULL;
}

const char *path_text(Ctx *x, const Expr *e, const char *who) {
  Check *c = x->c;
  if (!e || e->kind == E_ERROR)
    return NULL;
  if (e->kind != E_STRING) {
    ctx_error(x, "CML0223", e->span, "write it in quotes; a param goes into braces: \"data/{name}.csv\"",
              "%s is a text", who);
    return NULL;
  }
  if (!e->name[0]) {
    ctx_error(x, "CML0223", e->span, "write the path of a file", "%s is empty", who);
    return NULL;
  }
  char *out = arena_strdup(c->a, "");
  for (const char *p = e->name; *p;) {
    const char *open = strchr(p, '{');
    const char *close = open ? strchr(open, '}') : NULL;
    if (!close) {
      out = arena_printf(c->a, "%s%s", out, p);
      break;
    }
    char *name = arena_strndup(c->a, open + 1, (size_t)(close - open - 1));
    ParamInfo *info = table_get(&c->param, name);
    if (!info) {
      Near near = {.arena = c->a};
      near_table(&near, &c->param);
      const char *remedy = near_remedy(&near, name);
      ctx_error(x, "CML0223", e->span,
                remedy ? remedy : arena_printf(c->a, "declare `param %s: string`", name),
                "`{%s}` names no param", name);
      return NULL;
    }
    info->used = true;
    if (!info->param)
      return NULL;
    out = arena_printf(c->a, "%s%.*s%s", out, (int)(open - p), p, option_text(c->a, info->param->value));
    p = close + 1;
  }
  for (const Module *m = c->ast->modules; m && out[0] != '/';
       m = m->next) /* relative to the file that names it */
    if (m->file == e->span.file && m->dir[0])
      return arena_printf(c->a, "%s/%s", m->dir, out);
  return out;
}

/* ---- Names of declarations ---- */

static void add_named(Check *c, Table *t, const Decl *decl, void *info) {
  if (decl->name && !table_add(t, decl->name, info))
    diag_add(c->d, SEV_ERROR, "CML0208", decl->name_span, "choose another name", "`%s` is declared twice",
             decl->name);
}

static const Table *other_kind(const Check *c, const char *name, const Table *own) {
  const Table *all[] = {&c->param, &c->data, &c->features, &c->model, &c->said};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i] != own && table_get(all[i], name))
      return all[i];
  return NULL;
}

static void add_value_name(Check *c, Table *t, const Decl *decl, void *info) {
  if (decl->name && other_kind(c, decl->name, t))
    diag_add(c->d, SEV_ERROR, "CML0208", decl->name_span, "choose another name",
             "`%s` is declared already, as another kind of thing", decl->name);
  else
    add_named(c, t, decl, info);
}

static void add_fn(Check *c, const Decl *decl) {
  FnInfo *f = NEW(c->a, FnInfo);
  f->decl = decl;
  if (decl->name && library_native(c->lib, decl->name))
    diag_add(c->d, SEV_ERROR, "CML0208", decl->name_span, "choose another name",
             "`%s` is a native function of cml", decl->name);
  else
    add_named(c, &c->fn, decl, f);
}

static void collect(Check *c) {
  for (const Decl *d = c->ast->decls; d; d = d->next) {
    ParamInfo *p;
    DataInfo *data;
    FeaturesInfo *f;
    ModelInfo *m;
    switch (d->kind) {
    case D_PARAM:
      p = NEW(c->a, ParamInfo);
      p->decl = d;
      add_value_name(c, &c->param, d, p);
      break;
    case D_FN: add_fn(c, d); break;
    case D_NATIVE:
      diag_add(c->d, SEV_ERROR, "CML0202", d->span, "write an `fn`",
               "only the standard library declares native functions");
      break;
    case D_DATA:
      data = NEW(c->a, DataInfo);
      data->decl = d;
      add_value_name(c, &c->data, d, data);
      break;
    case D_FEATURES:
      f = NEW(c->a, FeaturesInfo);
      f->decl = d;
      add_value_name(c, &c->features, d, f);
      break;
    case D_MODEL:
      m = NEW(c->a, ModelInfo);
      m->decl = d;
      add_value_name(c, &c->model, d, m);
      break;
    case D_EVALUATE:
    case D_EXPORT:
    case D_USE: break;
    }
  }
}

/* ---- What is unused ---- */

static void warn_unused(Check *c, const Decl *d, bool used, const char *remedy, const char *what) {
  if (!used && d->name_span.file == c->ast->file) /* a module serves several programs */
    diag_add(c->d, SEV_WARNING, "CML0301", d->name_span, remedy, "the %s `%s` is not used", what, d->name);
}

static void unused(Check *c) {
  for (uint32_t i = 0; i < c->param.n; i++) {
    const ParamInfo *p = c->param.v[i].thing;
    warn_unused(c, p->decl, p->used, "remove it", "param");
  }
  for (uint32_t i = 0; i < c->fn.n; i++) {
    const FnInfo *f = c->fn.v[i].thing;
    warn_unused(c, f->decl, f->used, "remove it", "function");
  }
  for (uint32_t i = 0; i < c->data.n; i++) {
    const DataInfo *d = c->data.v[i].thing;
    warn_unused(c, d->decl, d->used,
                arena_printf(c->a, "write `features f of %s { ... }`, or remove it", d->decl->name),
                "data set");
  }
  for (uint32_t i = 0; i < c->features.n; i++) {
    const FeaturesInfo *f = c->features.v[i].thing;
    warn_unused(c, f->decl, f->used, arena_printf(c->a, "name it in a model: `target ~ %s`", f->decl->name),
                "features block");
  }
  for (uint32_t i = 0; i < c->model.n; i++) {
    const ModelInfo *m = c->model.v[i].thing;
    warn_unused(
        c, m->decl, m->used,
        arena_printf(c->a, "write `evaluate %s on ...` or `export %s { ... }`", m->decl->name, m->decl->name),
        "model");
  }
}

/* ---- The program ---- */

static const char *folder_of(Arena *a, const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash)
    return ".";
  return slash == path ? "/" : arena_strndup(a, path, (size_t)(slash - path));
}

static void check_all(Check *c) {
  collect(c);
  check_defines(c);
  for (uint32_t i = 0; i < c->param.n; i++)
    param_check(c, c->param.v[i].thing);
  for (uint32_t i = 0; i < c->fn.n; i++)
    fn_check(c, c->fn.v[i].thing, 0);
  for (uint32_t i = 0; i < c->data.n; i++)
    data_check(c, c->data.v[i].thing);
  for (uint32_t i = 0; i < c->features.n; i++)
    features_check(c, c->features.v[i].thing);
  for (uint32_t i = 0; i < c->model.n; i++)
    model_check(c, c->model.v[i].thing);
  for (const Decl *d = c->ast->decls; d; d = d->next) {
    if (d->kind == D_EVALUATE)
      evaluate_check(c, d);
    else if (d->kind == D_EXPORT)
      export_check(c, d);
  }
  if (!c->d->errors) /* with errors, what seems unused may be misspelt elsewhere */
    unused(c);
}

Tree *check_program(Arena *a, Diags *d, const Ast *ast, const Library *lib, const Catalog *cat,
                    const CheckOptions *opt) {
  Check *c = NEW(a, Check);
  c->a = a;
  c->d = d;
  c->ast = ast;
  c->lib = lib;
  c->cat = cat;
  c->opt = opt;
  c->tree = NEW(a, Tree);
  c->tree->path = d->sources->file[ast->file].path;
  c->tree->file = ast->file;
  c->tree->dir = folder_of(a, c->tree->path);
  nodetab_init(&c->nodes, a);
  c->error = node_make(&c->nodes, &(Node){.kind = N_LIT});
  Table *tables[] = {&c->fn, &c->param, &c->data, &c->features, &c->model, &c->said};
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
    table_init(tables[i], a);
  check_all(c);
  c->tree->nnode = c->nodes.n;
  if (opt && opt->outcome)
    *opt->outcome = !d->errors ? ST_OK : d->errors == c->source_errors ? c->source_status : ST_PROGRAM;
  return d->errors ? NULL : c->tree;
}
