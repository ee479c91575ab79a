/* SPDX-License-Identifier: Apache-2.0 */
/* Building the tree: what the grammar's actions call. Each function makes one node; those at the end
 * (build_args, build_model, build_body) also report what the grammar lets pass because a message of one's own
 * is clearer. */
#include <string.h>

#include "lang/syntax.h"
#include "lang/parse.h"

/* ---- Expressions ---- */

static Expr *node(Reading *r, ExprKind kind, Span at) {
  Expr *e = NEW(r->arena, Expr);
  e->kind = kind;
  e->span = e->name_span = at;
  e->height = 1;
  return e;
}

Expr *build_error(Reading *r, Span at) {
  return node(r, E_ERROR, at);
}

/* Gives `e` its children. An expression that grows too high is reported once and becomes E_ERROR. */
static Expr *adopt(Reading *r, Expr *e, Expr *a, Expr *b, Expr *c) {
  unsigned height = 0;
  e->a = a;
  e->b = b;
  e->c = c;
  const Expr *child[] = {a, b, c, e->where};
  for (size_t i = 0; i < sizeof child / sizeof *child; i++) {
    if (child[i] && child[i]->height > height)
      height = child[i]->height;
  }
  for (const Arg *arg = e->args; arg; arg = arg->next) {
    if (arg->value && arg->value->height > height)
      height = arg->value->height;
  }
  if (height < HEIGHT_MAX) {
    e->height = (uint16_t)(height + 1);
    return e;
  }
  syntax_error(r, "CML0107", e->span, "Name parts of it with `let` or `fn`.",
               "an expression is more than %d operations high", HEIGHT_MAX);
  return build_error(r, e->span);
}

Expr *build_leaf(Reading *r, ExprKind kind, const Tok *t) {
  Expr *e = node(r, kind, t ? tok_span(r, t) : (Span){0});
  if (t) {
    e->name = t->name;
    e->i = t->i;
    e->f = t->f;
    if (kind == E_INT || kind == E_FLOAT)
      e->text = arena_strndup(r->arena, r->text + t->from, t->to - t->from);
  }
  return e;
}

Expr *build_dot(Reading *r, Span at, const Tok *object, const Tok *member) {
  Expr *e = node(r, E_DOT, at);
  e->name = member->name;
  e->name_span = tok_span(r, member);
  return adopt(r, e, build_leaf(r, E_NAME, object), NULL, NULL);
}

Expr *build_call(Reading *r, Span at, const Tok *name, Arg *args, Expr *where) {
  Expr *e = node(r, E_CALL, at);
  e->name = name->name;
  e->name_span = tok_span(r, name);
  e->args = args;
  e->where = where;
  return adopt(r, e, NULL, NULL, NULL);
}

Expr *build_distinct(Reading *r, Span at, const Tok *name, Span inner, Expr *arg, Expr *where) {
  Expr *e = build_call(r, at, name, build_arg(r, NULL, arg), where);
  if (strcmp(name->name, "count") == 0)
    e->name = "count_distinct";
  else
    syntax_error(r, "CML0101", inner, "Leave `distinct` out, or count: `count(distinct x)`.",
                 "`%s` does not take `distinct`", name->name);
  return e;
}

Expr *build_list(Reading *r, Span at, Arg *args) {
  Expr *e = node(r, E_LIST, at);
  e->args = args;
  return adopt(r, e, NULL, NULL, NULL);
}

static Expr *operation(Reading *r, ExprKind kind, Span at, Operator op, Expr *a, Expr *b, Expr *c) {
  Expr *e = node(r, kind, at);
  e->op = op;
  return adopt(r, e, a, b, c);
}

Expr *build_unary(Reading *r, Span at, Operator op, Expr *a) {
  return operation(r, E_UNARY, at, op, a, NULL, NULL);
}

Expr *build_binary(Reading *r, Span at, Operator op, Expr *a, Expr *b) {
  return operation(r, E_BINARY, at, op, a, b, NULL);
}

Expr *build_if(Reading *r, Span at, Expr *a, Expr *b, Expr *c) {
  return operation(r, E_IF, at, OP_NONE, a, b, c);
}

Expr *build_in(Reading *r, Span at, Operator op, Expr *a, Expr *b) {
  return operation(r, E_IN, at, op, a, b, NULL);
}

Expr *build_is_null(Reading *r, Span at, Operator op, Expr *a) {
  return operation(r, E_IS_NULL, at, op, a, NULL, NULL);
}

Expr *build_range(Reading *r, Span at, Expr *lo, Expr *hi) {
  return operation(r, E_RANGE, at, OP_NONE, lo, hi, NULL);
}

Expr *build_by(Reading *r, Span at, Expr *call, Arg *keys) {
  Expr *e = node(r, E_BY, at);
  e->args = keys;
  return adopt(r, e, call, NULL, NULL);
}

Expr *build_vs(Reading *r, Span at, Expr *metric, const Tok *model) {
  Expr *e = node(r, E_VS, at);
  e->a = metric;
  e->name = model->name;
  e->name_span = tok_span(r, model);
  return e;
}

Expr *build_each(Reading *r, Span at, const Tok *kind, Arg *except) {
  Expr *e = node(r, E_EACH, at);
  e->name = kind->name;
  e->name_span = tok_span(r, kind);
  e->args = except;
  return adopt(r, e, NULL, NULL, NULL);
}

Expr *build_paren(Span at, Expr *e) {
  e->paren = true;
  e->span = at;
  return e;
}

Arg *build_arg(Reading *r, const Tok *name, Expr *value) {
  Arg *a = NEW(r->arena, Arg);
  a->value = value;
  if (name) {
    a->name = name->name;
    a->name_span = tok_span(r, name);
  } else {
    a->name_span = value->span;
  }
  return a;
}

/* ---- Types and declarations ---- */

TypeExpr *build_type(Reading *r, Span at, const Tok *name, TypeExpr *elem, Expr *width) {
  TypeExpr *t = NEW(r->arena, TypeExpr);
  int depth = 0;
  t->name = name->name;
  t->span = at;
  t->elem = elem;
  t->width = width;
  for (TypeExpr *e = elem; e; e = e->elem) {
    if (++depth < 8)
      continue;
    syntax_error(r, "CML0107", at, "Types nest at most 8 deep.", "this type is nested too deeply");
    t->elem = NULL;
    break;
  }
  bool bare = t->elem && !t->elem->elem && !t->elem->width && !t->elem->nullable && !t->elem->phase;
  if (bare && strcmp(t->name, "vector") == 0) { /* vector<n>: n is a constant, not a type */
    Tok n = {.name = t->elem->name, .from = t->elem->span.from, .to = t->elem->span.to};
    t->width = build_leaf(r, E_NAME, &n);
    t->elem = NULL;
  }
  return t;
}

Parameter *build_parameter(Reading *r, Span at, const Tok *name, TypeExpr *type, Expr *def) {
  Parameter *p = NEW(r->arena, Parameter);
  *p = (Parameter){.name = name->name, .span = at, .type = type, .def = def};
  return p;
}

static uint32_t line_from_0(const Reading *r, uint32_t at) {
  return source_line_number(r->diags->sources, r->file, at) - 1;
}

static const char *doc_of(const Reading *r, Span at) {
  return at.file ? r->doc[line_from_0(r, at.from)] : NULL;
}

SchemaColumn *build_column(Reading *r, Span at, const Tok *name, TypeExpr *type, Expr *domain) {
  SchemaColumn *c = NEW(r->arena, SchemaColumn);
  *c = (SchemaColumn){.name = name->name, .span = at, .type = type, .domain = domain, .doc = doc_of(r, at)};
  return c;
}

Part *build_part(Reading *r, Span at, const Tok *name, Expr *share) {
  Part *p = NEW(r->arena, Part);
  *p = (Part){.name = name->name, .span = at, .share = share};
  return p;
}

Item *build_item(Reading *r, ItemKind kind, Span at, const Tok *name, Expr *expr) {
  Item *i = NEW(r->arena, Item);
  *i = (Item){.kind = kind, .span = at, .name_span = at, .expr = expr, .doc = doc_of(r, at)};
  if (name) {
    i->name = name->name;
    i->name_span = tok_span(r, name);
  }
  return i;
}

Decl *build_decl(Reading *r, DeclKind kind, Span at, const Tok *name) {
  Decl *d = NEW(r->arena, Decl);
  *d = (Decl){.kind = kind, .span = at, .doc = doc_of(r, at)};
  if (name) {
    d->name = name->name;
    d->name_span = tok_span(r, name);
  }
  return d;
}

/* ---- What the grammar lets pass ---- */

Arg *build_args(Reading *r, Arg *args) {
  bool named = false;
  unsigned n = 0;
  for (Arg *a = args; a; a = a->next, n++) {
    if (!a->name) {
      if (named)
        syntax_error(r, "CML0115", a->value->span, "Move it before the named ones, or give it its name.",
                     "an argument by position stands behind one by name");
      continue;
    }
    named = true;
    unsigned k = 0;
    for (Arg *b = args; b != a && k < 64;
         b = b->next, k++) { /* the first 64 are enough to look at, and bound the work */
      if (b->name == a->name) {
        syntax_error(r, "CML0115", a->name_span, "Remove one of them.", "`%s` is given twice", a->name);
        break;
      }
    }
  }
  return args;
}

static bool is_formula(const Arg *a) {
  return !a->name && a->value->kind == E_BINARY && a->value->op == OP_NONE;
}

void build_model(Reading *r, Decl *d, const Tok *estimator, Span call, List args) {
  Arg *all = build_args(r, args.head), *first = all && !all->name ? all : NULL;
  d->estimator = estimator->name;
  d->estimator_span = tok_span(r, estimator);
  if (first) {
    d->target = is_formula(first) ? first->value->a : NULL;
    d->formula = is_formula(first) ? first->value->b : first->value;
    for (all = first->next; all && !all->name; all = all->next)
      syntax_error(r, "CML0115", all->value->span,
                   "Join blocks with `+`; write options with their names, as `l2 = 0.1`.",
                   "an estimator takes one formula");
  }
  d->options = all;
  d->expr = build_call(r, call, estimator, all, NULL);
}

void build_body(Reading *r, Decl *d, Item *items, Span braces) {
  Item *let = NULL;
  static const char remedy[] = "Write `let name = ...` lines, and then the result on the last line.";
  for (Item *i = items, *next; i; i = next) {
    next = i->next;
    if (i->kind == I_LET && !d->expr) {
      if (let)
        let->next = i;
      else
        d->items = i;
      let = i;
      i->next = NULL;
    } else if (i->kind == I_LET) {
      if (d->expr->kind != E_ERROR)
        syntax_error(r, "CML0114", d->expr->span, remedy,
                     "an expression stands before a `let`, and its value is lost");
      d->expr = build_error(r, i->span);
    } else {
      if (d->expr && d->expr->kind != E_ERROR && i->expr->kind != E_ERROR)
        syntax_error(r, "CML0114", i->span, remedy, "a function has one result, and this is a second one");
      else if (!d->expr || i->expr->kind == E_ERROR)
        d->expr = i->expr;
    }
  }
  if (!d->expr) {
    bool bad = false; /* an error may have cost the result: then this would be its echo */
    for (uint32_t k = line_from_0(r, braces.from); k <= line_from_0(r, braces.to); k++)
      bad |= r->bad_line[k];
    if (!bad)
      syntax_error(r, "CML0114", (Span){braces.file, braces.to - (braces.to > braces.from), braces.to},
                   remedy, "the function has no result");
    d->expr = build_error(r, braces);
  }
}
