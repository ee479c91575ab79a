/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions: names, literals, operators, conditionals, lists. Calls are in check_call.c. Read expr_check
 * first.
 *
 * Every function gives a Node; after a report it is the error node, which fits everything and causes no
 * second report. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "lang/check.h"

/* ---- Words for messages ---- */

Span ctx_span(const Ctx *x, Span inner) {
  if (x->outer.file)
    return x->outer;
  return inner.file != x->c->ast->file && x->via_at.file == x->c->ast->file ? x->via_at : inner;
}

const char *source_text(const Check *c, Span s) {
  const SourceFile *f = &c->d->sources->file[s.file];
  char *out = arena_alloc(c->a, s.to - s.from + 1);
  uint32_t n = 0;
  bool comment = false;
  for (uint32_t i = s.from; i < s.to; i++) {
    char ch = f->text[i];
    comment = (comment || ch == '#') && ch != '\n';
    bool blank = ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r';
    if (!comment && !(blank && n && out[n - 1] == ' '))
      out[n++] = blank ? ' ' : ch;
  }
  out[n] = 0;
  return out;
}

Diag *ctx_error(const Ctx *x, const char *code, Span at, const char *remedy, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  char *text = arena_alloc(x->c->a, (size_t)n + 1);
  va_start(ap, fmt);
  vsnprintf(text, (size_t)n + 1, fmt, ap);
  va_end(ap);
  if (x->outer.file)
    return diag_add(x->c->d, SEV_ERROR, code, x->outer, remedy, "in `%s`: %s", x->via, text);
  Diag *d = diag_add(x->c->d, SEV_ERROR, code, at, remedy, "%s", text);
  if (d && x->via && x->via_at.file)
    diag_note(x->c->d, d, x->via_at, "`%s` is called here", x->via);
  return d;
}

/* ---- Types as written ---- */

Phase phase_written(const TypeExpr *t) {
  if (!t || !t->phase)
    return PH_ROW;
  return strcmp(t->phase, "const") == 0 ? PH_CONST : PH_FITTED;
}

bool type_written(Check *c, const TypeExpr *t, Type *out) {
  memset(out, 0, sizeof *out);
  if (!type_named(t->name, &out->kind)) {
    Near near = {.arena = c->a};
    for (TypeKind k = TY_BOOL; k <= TY_VECTOR; k++)
      near_add(&near, type_name(k));
    const char *remedy = near_remedy(&near, t->name);
    diag_add(c->d, SEV_ERROR, "CML0219", t->span,
             remedy ? remedy : "types are bool, int, float, string, category, timestamp, date and duration",
             "`%s` is not a type", t->name);
    return false;
  }
  out->nullable = t->nullable;
  if (out->kind == TY_LIST) {
    if (!t->elem || !type_named(t->elem->name, &out->elem) ||
        (out->elem != TY_FLOAT && !type_is_text(out->elem))) {
      diag_add(c->d, SEV_ERROR, "CML0219", t->span,
               "write `list<float>`, `list<category>` (a vocabulary) or `list<string>` (the texts of a row)",
               "a list says what it is a list of");
      return false;
    }
    if (out->elem == TY_STRING && t->phase) /* the same for all rows: a vocabulary */
      out->elem = TY_CATEGORY;
  }
  return true;
}

/* ---- Names ---- */

static bool is_slot(const Ctx *x, const char *name) {
  if (x->place != AT_FEATURES)
    return false;
  for (const Item *i = x->owner->items; i; i = i->next)
    if (i->kind == I_SLOT && strcmp(i->name, name) == 0)
      return true;
  return false;
}

static const char *declared_as(const Check *c, const char *name) {
  return table_get(&c->data, name)       ? "a data set"
         : table_get(&c->features, name) ? "a features block"
         : table_get(&c->model, name)    ? "a model"
                                         : NULL;
}

static bool is_function(const Check *c, const char *name) {
  return table_get(&c->fn, name) || library_fn(c->lib, name) || library_native(c->lib, name);
}

static void visible_names(const Ctx *x, Near *near) {
  for (const Local *l = x->names; l; l = l->up)
    near_add(near, l->name);
  if (x->data)
    near_table(near, &x->data->column);
  near_table(near, &x->c->param);
  if (x->eval)
    for (const CatMetric *m = x->c->cat->metric; m && m->name; m++)
      near_add(near, m->name);
}

static Node *unknown_in_data(Ctx *x, const Expr *e, const char *near) {
  Check *c = x->c;
  const char *data = x->data->t->name;
  const char *why = table_get(&x->data->refused, e->name);
  const Item *later = table_get(&x->data->derive, e->name);
  if (why)
    ctx_error(x, "CML0204", e->span, source_unread(c, e->name, why),
              "the column `%s` of `%s` cannot be read: %s", e->name, data, why);
  else if (later && x->place == AT_DATA && later == x->item)
    ctx_error(x, "CML0204", e->span, "give the derived column a name of its own",
              "`%s` is derived from itself", e->name);
  else if (later && x->place == AT_DATA)
    ctx_error(x, "CML0204", e->span, "move the `derive` above this line", "`%s` is derived only further down",
              e->name);
  else if (later)
    return c->error; /* its derive had an error */
  else
    no_column(x, x->data, e, near);
  return c->error;
}

static Node *unknown_name(Ctx *x, const Expr *e) {
  Check *c = x->c;
  Near near = {.arena = c->a};
  visible_names(x, &near);
  const char *remedy = near_remedy(&near, e->name);
  const char *what = declared_as(c, e->name);
  if (x->data && (x->data->broken || table_get(&x->data->said, e->name)))
    return c->error;
  if (is_slot(x, e->name) && !(x->data && table_get(&x->data->derive, e->name)))
    ctx_error(x, "CML0201", e->span,
              arena_printf(c->a, "name the value with `let %s = ...` and use it in both", e->name),
              "`%s` is a slot, and a slot does not see other slots", e->name);
  else if (what)
    ctx_error(x, "CML0201", e->span, "write a column, a param or a `let` here", "`%s` is %s, not a value",
              e->name, what);
  else if (is_function(c, e->name) && !remedy)
    ctx_error(x, "CML0201", e->span, arena_printf(c->a, "call it: `%s(...)`", e->name),
              "`%s` is a function, not a value", e->name);
  else if (x->data)
    return unknown_in_data(x, e, remedy);
  else if (x->fn)
    ctx_error(x, "CML0226", e->span,
              remedy ? remedy
                     : arena_printf(c->a, "add a parameter: `fn %s(..., %s: float)`", x->fn, e->name),
              "`%s` is not known in `%s`; a function sees its parameters and `param`s, never columns",
              e->name, x->fn);
  else if (x->eval)
    ctx_error(x, "CML0318", e->span, remedy ? remedy : "see `cmlc doc metrics`",
              "`%s` is not a metric or a param", e->name);
  else
    ctx_error(x, "CML0201", e->span, remedy, "`%s` is not known here", e->name);
  return c->error;
}

static Node *check_name(Ctx *x, const Expr *e) {
  Check *c = x->c;
  Local *local = local_find(x->names, e->name);
  if (local) {
    local->used = true;
    return local->node;
  }
  TColumn *col = x->data ? data_column(x->data, e->name) : NULL;
  if (col) {
    col->used = true;
    return col->type.kind == TY_ERROR ? c->error : node_column(&c->nodes, col, PH_ROW, ctx_span(x, e->span));
  }
  if (x->eval) {
    Node *metric = metric_value(x, e);
    if (metric)
      return metric;
  }
  ParamInfo *p = table_get(&c->param, e->name);
  if (!p)
    return unknown_name(x, e);
  p->used = true;
  return p->param ? p->param->value : c->error;
}

static Node *check_dot(Ctx *x, const Expr *e) {
  Check *c = x->c;
  const char *left = e->a && e->a->kind == E_NAME ? e->a->name : "";
  const char *whole = source_text(c, e->span);
  if (table_get(&c->data, left))
    ctx_error(x, "CML0201", e->span, "a part is named after `on` and in `predictions of`",
              "`%s` is a part of a data set, not a value", whole);
  else if (x->data && (data_column(x->data, whole) || x->data->broken))
    ctx_error(x, "CML0201", e->span, arena_printf(c->a, "write `` `%s` ``, in backticks", whole),
              "a name with a dot must be quoted");
  else
    ctx_error(x, "CML0111", e->span,
              arena_printf(c->a, "a column whose name has a dot is written `` `%s` ``", whole),
              "columns of joined data are not part of this version");
  return c->error;
}

/* ---- Coercion ---- */

/* Is it one element of `[a, b]`, and the place that of all? */
static bool of_several(const Ctx *x, const Node *n, Span at) {
  return n->kind == N_COLUMN && *source_text(x->c, at) == '[';
}

static const char *cast_remedy(const Ctx *x, const Node *n, Type want, Span at) {
  Check *c = x->c;
  const char *text = of_several(x, n, at) ? n->column->name : source_text(c, at);
  TypeKind from = n->type.kind;
  bool number = want.kind == TY_INT || want.kind == TY_FLOAT;
  bool instant = from == TY_DATE || from == TY_TIMESTAMP;
  if (number && *text == '"')
    return "write a number, without quotes";
  if (want.kind == TY_STRING && type_is_number(from) && *text >= '0' && *text <= '9')
    return arena_printf(c->a, "write it in quotes: \"%s\"", text);
  if (want.kind == TY_BOOL && type_is_number(from))
    return arena_printf(c->a, "write a condition, such as `%s != 0`", text);
  if (want.kind == TY_BOOL && type_is_text(from))
    return arena_printf(c->a, "write a condition, such as `%s == \"yes\"`", text);
  if (want.kind == TY_FLOAT && type_is_text(from))
    return arena_printf(c->a,
                        "`float(%s)` reads a text as a number (null where it is none); "
                        "`one_hot(%s)` makes features of a category",
                        text, text);
  if (want.kind == TY_INT && type_is_text(from))
    return arena_printf(c->a, "`int(%s)` reads a text as a whole number (null where it is none)", text);
  if (number && instant)
    return arena_printf(c->a, "make a number of it: `year(%s)`, `hour(%s)`, `days(%s - other)`", text, text,
                        text);
  if (number && from == TY_DURATION)
    return arena_printf(c->a, "make a number of it: `days(%s)`, `hours(%s)`, `minutes(%s)`", text, text,
                        text);
  if (want.kind == TY_BOOL && instant)
    return arena_printf(c->a, "write a condition, such as `%s > \"2001-01-31\"`", text);
  if ((want.kind == TY_DATE || want.kind == TY_TIMESTAMP) && type_is_text(from))
    return arena_printf(c->a, "`%s(%s)` reads a text as one (null where it is none)", type_name(want.kind),
                        text);
  if (want.kind == TY_INT && n->kind == N_LIT && from == TY_FLOAT)
    return "write a whole number";
  if (want.kind == TY_INT && from == TY_FLOAT)
    return arena_printf(c->a, "write `int(%s)`, which cuts off the fraction, or `int(round(%s))`", text,
                        text);
  if (want.kind == TY_CATEGORY && from == TY_FLOAT)
    return arena_printf(c->a, "make intervals first: `bucketize(%s, [10, 20])` or `quantile_bins(%s, 4)`",
                        text, text);
  if (want.kind == TY_TIMESTAMP && from == TY_DATE)
    return arena_printf(c->a, "write `timestamp(%s)` for its midnight", text);
  if (want.kind == TY_DATE && from == TY_TIMESTAMP)
    return arena_printf(c->a, "write `date(%s)`", text);
  if (want.kind == TY_LIST && want.elem == TY_STRING)
    return type_is_text(from) ? arena_printf(c->a, "write `tokenize(%s)`, or `split(%s, \"|\")`", text, text)
                              : "it is of the texts of a row, such as `tokenize(text)` gives";
  if (from == TY_LIST && n->type.elem == TY_STRING)
    return want.kind == TY_LIST
               ? arena_printf(c->a, "write `vocabulary(%s)`, or a list such as `[\"a\", \"b\"]`", text)
               : arena_printf(
                     c->a, "write `tf(%s)` or `tf_idf(%s)` for features, `contains(%s, \"a\")` for one word",
                     text, text, text);
  if (want.kind == TY_LIST && want.elem == TY_CATEGORY)
    return "write a list such as `[\"a\", \"b\"]`";
  if (want.kind == TY_LIST)
    return "write a list such as `[10, 20, 50]`";
  if (type_is_text(want.kind) && type_is_scalar(from))
    return arena_printf(c->a, "write `string(%s)`", text);
  if (type_is_scalar(want.kind) && from == TY_LIST)
    return "write one value, not a list";
  return NULL;
}

Node *expr_coerce(Ctx *x, Node *n, Type want, Span at, const char *who) {
  Check *c = x->c;
  size_t len = strlen(who);
  const char *verb = len > 3 && strcmp(who + len - 3, " is") == 0 ? "" : " takes";
  if (node_is_error(n) || want.kind == TY_ERROR)
    return n;
  n = literal_at_instant(x, n, want.kind, at);
  if (node_is_error(n))
    return n;
  bool text_from_scalar = want.kind == TY_STRING && !type_is_text(n->type.kind);
  bool wrong_list = want.kind == TY_LIST && n->type.kind == TY_LIST && n->type.elem != want.elem;
  if (type_cost(n->type.kind, want.kind) >= 0 && !text_from_scalar && !wrong_list)
    return node_cast(&c->nodes, n, want.kind, ctx_span(x, at));
  if (n->type.kind == TY_VECTOR)
    ctx_error(x, "CML0214", at, "give it one number, such as `total(v)`, or make a slot of the vector",
              "%s%s %s, and this is a vector", who, verb, type_text(c->a, want));
  else
    ctx_error(x, "CML0205", at, cast_remedy(x, n, want, at), "%s%s %s, and %s is %s", who, verb,
              want.kind == TY_LIST ? type_text(c->a, want) : type_article(want.kind),
              of_several(x, n, at) ? arena_printf(c->a, "`%s`", n->column->name) : "this",
              n->type.kind == TY_LIST ? type_text(c->a, n->type) : type_article(n->type.kind));
  return c->error;
}

Node *expr_bool(Ctx *x, const Expr *e, const char *who) {
  return expr_coerce(x, expr_check(x, e), type_of(TY_BOOL), e->span, who);
}

/* ---- Operators ---- */

typedef struct OpRow {
  const char *native, *shown;
} OpRow;

static const OpRow operators[] = {
    [OP_NEG] = {"neg", "-"},     [OP_NOT] = {"not", "not"}, [OP_ADD] = {"add", "+"},
    [OP_SUB] = {"sub", "-"},     [OP_MUL] = {"mul", "*"},   [OP_DIV] = {"div", "/"},
    [OP_IDIV] = {"idiv", "div"}, [OP_MOD] = {"mod", "mod"}, [OP_POW] = {"pow", "^"},
    [OP_EQ] = {"eq", "=="},      [OP_NE] = {"ne", "!="},    [OP_LT] = {"lt", "<"},
    [OP_LE] = {"le", "<="},      [OP_GT] = {"gt", ">"},     [OP_GE] = {"ge", ">="},
    [OP_AND] = {"and", "and"},   [OP_OR] = {"or", "or"},
};

static const char *operands_remedy(const char *shown, Node *const *arg, uint32_t n) {
  bool compares = strchr("=!<>", shown[0]) != NULL;
  bool text = false, instant = false, number = false;
  for (uint32_t i = 0; i < n; i++) {
    TypeKind k = arg[i]->type.kind;
    text = text || type_is_text(k);
    instant = instant || k == TY_TIMESTAMP || k == TY_DATE || k == TY_DURATION;
    number = number || type_is_number(k);
  }
  if (strcmp(shown, "and") == 0 || strcmp(shown, "or") == 0 || strcmp(shown, "not") == 0)
    return "both sides are conditions: write `x != 0` for a number, `x == \"yes\"` for a text";
  if (compares && text && number)
    return "compare a text with a text (`x == \"3\"`), and a number with a number";
  if (compares && n == 2 && (arg[0]->type.kind == TY_BOOL) && (arg[1]->type.kind == TY_BOOL))
    return "bools have no order; write `==`, `and`, `not`";
  if (compares && instant)
    return "compare with a text such as \"2001-01-31\", or convert: `date(t)`, `timestamp(d)`, `days(3)`";
  if (text && strcmp(shown, "+") == 0 && !number && !instant)
    return "write `concat(a, b)` to join texts";
  if (text)
    return "a text has no arithmetic; `float(x)` reads a number from it, `one_hot(x)` makes features of a "
           "category";
  if (instant)
    return "a span of time is written `days(3)` or `hours(2)`; the number in one is `days(d)` or `hours(d)`";
  return NULL;
}

static Node *operands_error(Ctx *x, const char *shown, Node *const *arg, uint32_t n, Span at) {
  Check *c = x->c;
  for (uint32_t i = 0; i < n; i++) {
    if (arg[i]->type.kind == TY_LIST && arg[i]->type.elem == TY_STRING) {
      ctx_error(x, "CML0205", at, "write `contains(t, \"a\")` for one word, `length(t)` for their number",
                "`%s` does not take a list of texts", shown);
      return c->error;
    }
    if (!type_is_scalar(arg[i]->type.kind)) {
      ctx_error(x, "CML0214", at, "compute it element by element, of numbers: `[a = x / 2, b = y / 2]`",
                "`%s` does not take %s whose elements are learned from data", shown,
                arg[i]->type.kind == TY_VECTOR ? "a vector" : "a list or matrix");
      return c->error;
    }
  }
  const char *a = type_text(c->a, arg[0]->type);
  if (n == 1)
    ctx_error(x, "CML0205", at, operands_remedy(shown, arg, n), "`%s` does not take %s", shown, a);
  else
    ctx_error(x, "CML0205", at, operands_remedy(shown, arg, n), "`%s` does not take %s and %s", shown, a,
              type_text(c->a, arg[1]->type));
  return c->error;
}

typedef struct Named {
  const char *name, *shown;
  Span at;
} Named;

static Node *native_of_element(Ctx *x, Node **arg, uint32_t n, void *with) {
  const Named *w = with;
  return expr_native(x, w->name, w->shown, arg, n, w->at);
}

Node *expr_native(Ctx *x, const char *name, const char *shown, Node **arg, uint32_t n, Span at) {
  Check *c = x->c;
  const Native *best = NULL;
  Type bound = {0}, t;
  int least = 0;
  for (uint32_t i = 0; i < n; i++)
    if (node_is_error(arg[i]))
      return c->error;
  if (vectors_among(arg, n)) {
    for (uint32_t i = 0; i < n; i++)
      arg[i] = vector_of_list(x, arg[i]);
    if (vectors_written(arg, n))
      return vector_map(x, shown, arg, n, native_of_element, &(Named){name, shown, at}, at);
  }
  for (const Native *f = library_native(c->lib, name); f; f = f->next) {
    int cost = f->nparam == n ? native_fit(f, arg, n, &t) : -1;
    if (cost >= 0 && (!best || cost < least)) {
      best = f;
      least = cost;
      bound = t;
    }
  }
  if (!best)
    return operands_error(x, shown, arg, n, at);
  return native_node(x, best, shown, arg, n, bound, at);
}

/* A text literal beside a date or timestamp is that date or timestamp. */
Node *literal_at_instant(Ctx *x, Node *n, TypeKind other, Span at) {
  Check *c = x->c;
  if ((other != TY_DATE && other != TY_TIMESTAMP) || n->kind != N_LIT || !type_is_text(n->type.kind))
    return n;
  int64_t v;
  size_t len = strlen(n->s);
  bool good = other == TY_DATE ? num_parse_date(n->s, len, &v) : num_parse_timestamp(n->s, len, &v);
  if (good)
    return node_int(&c->nodes, other, v, ctx_span(x, at));
  ctx_error(x, "CML0215", at,
            other == TY_DATE ? "write year, month, day: \"2001-01-31\""
                             : "write \"2001-01-31\" or \"2001-01-31 18:30:00\" (in UTC)",
            "\"%s\" is not %s", n->s, type_article(other));
  return c->error;
}

static Node *compare(Ctx *x, Operator op, Node *a, Node *b, Span a_at, Span b_at, Span at) {
  Node *arg[2] = {literal_at_instant(x, a, b->type.kind, a_at), literal_at_instant(x, b, a->type.kind, b_at)};
  return expr_native(x, operators[op].native, operators[op].shown, arg, 2, at);
}

/* 2^18 of two whole literals, where it is a whole number that fits: an int. NULL: it is not. */
static Node *whole_power(Ctx *x, const Expr *e, const Node *a, const Node *b) {
  if (a->kind != N_LIT || b->kind != N_LIT || a->type.kind != TY_INT || b->type.kind != TY_INT || b->i < 0 ||
      b->i > 63)
    return NULL;
  int64_t v = 1;
  for (int64_t k = 0; k < b->i; k++)
    if (__builtin_mul_overflow(v, a->i, &v))
      return NULL;
  return node_int(&x->c->nodes, TY_INT, v, ctx_span(x, e->span));
}

static Node *check_binary(Ctx *x, const Expr *e) {
  Check *c = x->c;
  bool equality = e->op == OP_EQ || e->op == OP_NE;
  if (equality && (e->a->kind == E_NULL || e->b->kind == E_NULL)) {
    const Expr *other = e->a->kind == E_NULL ? e->b : e->a;
    expr_check(x, other);
    ctx_error(
        x, "CML0216", e->span,
        arena_printf(c->a, "write `%s is %snull`", source_text(c, other->span), e->op == OP_NE ? "not " : ""),
        "nothing is equal to null, so this comparison would always be null");
    return c->error;
  }
  Node *a = expr_check(x, e->a);
  Node *b = expr_check(x, e->b);
  if (e->op >= OP_EQ && e->op <= OP_GE)
    return compare(x, e->op, a, b, e->a->span, e->b->span, ctx_span(x, e->span));
  Node *arg[2] = {a, b}, *whole = e->op == OP_POW ? whole_power(x, e, a, b) : NULL;
  return whole
             ? whole
             : expr_native(x, operators[e->op].native, operators[e->op].shown, arg, 2, ctx_span(x, e->span));
}

static Node *check_unary(Ctx *x, const Expr *e) {
  Node *a = expr_check(x, e->a);
  if (e->op == OP_NOT)
    a = expr_coerce(x, a, type_of(TY_BOOL), e->a->span, "`not`");
  return expr_native(x, operators[e->op].native, operators[e->op].shown, &a, 1, ctx_span(x, e->span));
}

/* ---- if, in, is null ---- */

static Node *if_node(Ctx *x, const Expr *e, Node *cond, Node *a, Node *b) {
  Check *c = x->c;
  Type t;
  if (!type_join(a->type, b->type, &t)) {
    ctx_error(x, "CML0205", e->span,
              "make both branches one type, for instance with `float(..)` or `string(..)`",
              "the branches of `if` are %s and %s", type_text(c->a, a->type), type_text(c->a, b->type));
    return c->error;
  }
  if (!type_is_scalar(t.kind)) {
    ctx_error(x, "CML0214", e->span,
              "multiply by a number that is 0 or 1, or put the `if` inside: `[a = if ok then x else y]`",
              "`if` does not choose between %ss whose elements are learned from data", type_name(t.kind));
    return c->error;
  }
  t.nullable = t.nullable || cond->type.nullable;
  Span at = ctx_span(x, e->span);
  Node *pick[3] = {cond, node_cast(&c->nodes, a, t.kind, at), node_cast(&c->nodes, b, t.kind, at)};
  return node_call(&c->nodes, arena_printf(c->a, "if.%s", type_rep(t.kind)), "if", t, pick, 3, at);
}

static Node *if_element(Ctx *x, Node **arg, uint32_t n, void *with) {
  (void)n;
  return if_node(x, with, arg[0], arg[1], arg[2]);
}

static Node *check_if(Ctx *x, const Expr *e) {
  Check *c = x->c;
  Node *cond = expr_bool(x, e->a, "`if`");
  Node *a = expr_check(x, e->b);
  Node *b = expr_check(x, e->c);
  if (node_is_error(cond) || node_is_error(a) || node_is_error(b))
    return c->error;
  a = literal_at_instant(x, a, b->type.kind, e->b->span);
  b = literal_at_instant(x, b, a->type.kind, e->c->span);
  if (node_is_error(a) || node_is_error(b))
    return c->error;
  Node *arg[3] = {cond, vector_of_list(x, a), vector_of_list(x, b)};
  if (vectors_among(arg, 3) && vectors_written(arg, 3))
    return vector_map(x, "if", arg, 3, if_element, (void *)(uintptr_t)e, ctx_span(x, e->span));
  return if_node(x, e, cond, a, b);
}

/* x == v[0] or ... or x == v[n - 1], as a balanced tree. */
static Node *any_equal(Ctx *x, Node *a, Span a_at, Node **v, const Expr **from, uint32_t n, Span at) {
  if (n == 1)
    return compare(x, OP_EQ, a, v[0], a_at, from[0]->span, from[0]->span);
  uint32_t half = n / 2;
  Node *arg[2] = {any_equal(x, a, a_at, v, from, half, at),
                  any_equal(x, a, a_at, v + half, from + half, n - half, at)};
  return expr_native(x, "or", "in", arg, 2, at);
}

static Node *in_list(Ctx *x, const Expr *e, Node *a) {
  Check *c = x->c;
  uint32_t n = 0;
  for (const Arg *i = e->b->args; i; i = i->next)
    n++;
  if (n == 0) {
    ctx_error(x, "CML0205", e->b->span, "write at least one value", "an empty list contains nothing");
    return c->error;
  }
  Node **v = NEWN(c->a, Node *, n);
  const Expr **from = NEWN(c->a, const Expr *, n);
  n = 0;
  bool bad = node_is_error(a);
  for (const Arg *i = e->b->args; i; i = i->next, n++) {
    v[n] = expr_check(x, i->value);
    from[n] = i->value;
    bad = bad || node_is_error(v[n]);
  }
  return bad ? c->error : any_equal(x, a, e->a->span, v, from, n, ctx_span(x, e->span));
}

static Node *in_range(Ctx *x, const Expr *e, Node *a) {
  Span at = ctx_span(x, e->span);
  const Expr *lo = e->b->a, *hi = e->b->b;
  Node *lower = lo ? compare(x, OP_GE, a, expr_check(x, lo), e->a->span, lo->span, at) : NULL;
  Node *upper = hi ? compare(x, OP_LE, a, expr_check(x, hi), e->a->span, hi->span, at) : NULL;
  if (!lower || !upper)
    return lower ? lower : upper ? upper : x->c->error;
  Node *arg[2] = {lower, upper};
  return expr_native(x, "and", "in", arg, 2, at);
}

static Node *check_in(Ctx *x, const Expr *e) {
  Check *c = x->c;
  Node *a = expr_check(x, e->a);
  Node *r;
  if (e->b->kind == E_LIST)
    r = in_list(x, e, a);
  else if (e->b->kind == E_RANGE)
    r = in_range(x, e, a);
  else {
    if (e->b->kind != E_ERROR)
      ctx_error(x, "CML0205", e->b->span, "write `x in [1, 2]` or `x in 0..10`",
                "after `in` stands a list or a range");
    return c->error;
  }
  return e->op == OP_NOT_IN ? expr_native(x, "not", "not in", &r, 1, ctx_span(x, e->span)) : r;
}

static Node *check_is_null(Ctx *x, const Expr *e) {
  Node *a = expr_check(x, e->a);
  Span at = ctx_span(x, e->span);
  Node *r = expr_native(x, "is_null", "is null", &a, 1, at);
  return e->op == OP_IS_NOT_NULL ? expr_native(x, "not", "is not null", &r, 1, at) : r;
}

/* ---- Lists and vectors ---- */

/* As it is written, else that of the column. */
static const char *element_name(Ctx *x, const Arg *g, Node **v, uint32_t i) {
  if (g->name || v[i]->kind != N_COLUMN)
    return g->name;
  for (uint32_t k = 0; k < i; k++)
    if (v[k] == v[i])
      return NULL;
  return arena_printf(x->c->a, "~%s", v[i]->column->name);
}

/* Numbers become floats; texts and times stay for functions of one such value, as those of `each category`
 * do. */
static Node *make_vector(Ctx *x, const Expr *e, Node **v, uint32_t n) {
  const char **names = NEWN(x->c->a, const char *, n);
  Node **element = NEWN(x->c->a, Node *, n);
  uint32_t i = 0;
  for (const Arg *g = e->args; g; g = g->next, i++) {
    TypeKind k = v[i]->type.kind;
    bool stays = k == TY_VECTOR || type_is_text(k) || k == TY_DATE || k == TY_TIMESTAMP;
    names[i] = element_name(x, g, v, i);
    element[i] =
        stays ? v[i] : expr_coerce(x, v[i], type_of(TY_FLOAT), g->value->span, "an element of a vector");
  }
  return vector_make(x, element, names, n, ctx_span(x, e->span));
}

static Node *check_list(Ctx *x, const Expr *e) {
  Check *c = x->c;
  uint32_t n = 0;
  bool named = false, bad = false, text = false;
  Phase phase = PH_CONST;
  for (const Arg *i = e->args; i; i = i->next)
    n++;
  if (n == 0) {
    ctx_error(x, "CML0205", e->span, "write its elements: `[10, 20]`", "an empty list has no type");
    return c->error;
  }
  Node **v = NEWN(c->a, Node *, n);
  n = 0;
  for (const Arg *i = e->args; i; i = i->next, n++) {
    v[n] = expr_check(x, i->value);
    bad = bad || node_is_error(v[n]);
    named = named || i->name;
    text = text || type_is_text(v[n]->type.kind);
    phase = v[n]->phase > phase ? v[n]->phase : phase;
  }
  if (bad)
    return c->error;
  if (named || phase == PH_ROW || vectors_among(v, n))
    return make_vector(x, e, v, n);
  TypeKind elem = text ? TY_CATEGORY : TY_FLOAT;
  n = 0;
  for (const Arg *i = e->args; i; i = i->next, n++) {
    v[n] = expr_coerce(x, v[n], type_of(elem), i->value->span, "an element of this list");
    bad = bad || node_is_error(v[n]);
    if (text && (v[n]->kind == N_CALL || v[n]->kind == N_AGG)) {
      ctx_error(x, "CML0205", i->value->span,
                "write the text itself, or learn the list: `categories(x)`, `vocabulary(t)`",
                "a list of texts holds texts that are written");
      bad = true;
    }
  }
  Node like = {.kind = N_LIST,
               .type = {.kind = TY_LIST, .elem = elem},
               .phase = phase,
               .arg = v,
               .narg = n,
               .span = ctx_span(x, e->span)};
  return bad ? c->error : node_make(&c->nodes, &like);
}

/* ---- Everything ---- */

static Node *refuse(Ctx *x, const Expr *e, const char *code, const char *remedy, const char *cause) {
  ctx_error(x, code, e->span, remedy, "%s", cause);
  return x->c->error;
}

static Node *check_by(Ctx *x, const Expr *e) {
  if (e->a->kind == E_CALL)
    return call_check(x, e->a, e->args, e->span);
  expr_check(x, e->a);
  if (e->a->kind == E_ERROR)
    return x->c->error;
  return refuse(x, e, "CML0210", "write it behind the aggregate itself: `mean(price) by district`",
                "`by` follows the call of an aggregate");
}

static Node *check_kind(Ctx *x, const Expr *e) {
  NodeTab *t = &x->c->nodes;
  Span at = ctx_span(x, e->span);
  switch (e->kind) {
  case E_INT: return node_int(t, TY_INT, e->i, at);
  case E_FLOAT: return node_float(t, e->f, at);
  case E_STRING: return node_text(t, TY_STRING, e->name, at);
  case E_BOOL: return node_bool(t, e->i != 0, at);
  case E_NULL:
    return refuse(x, e, "CML0216",
                  "test with `x is null`, make one with `null_if(x, v)`, fill with `coalesce(x, v)`",
                  "`null` has no type, so it cannot stand as a value");
  case E_NAME: return check_name(x, e);
  case E_DOT: return check_dot(x, e);
  case E_CALL: return call_check(x, e, NULL, e->span);
  case E_LIST: return check_list(x, e);
  case E_UNARY: return check_unary(x, e);
  case E_BINARY: return check_binary(x, e);
  case E_IF: return check_if(x, e);
  case E_IN: return check_in(x, e);
  case E_IS_NULL: return check_is_null(x, e);
  case E_RANGE: return refuse(x, e, "CML0205", "write `x in 0..10`", "a range stands behind `in`");
  case E_BY: return check_by(x, e);
  case E_EACH: return each_check(x, e);
  case E_VS: {
    Node *metric = x->eval ? metric_value(x, e) : NULL;
    if (metric)
      return metric;
    return refuse(x, e, "CML0346", "write `expect auc vs other > 0`",
                  "`vs` compares a metric of two models, in `evaluate`");
  }
  case E_ERROR: break;
  }
  return x->c->error;
}

Node *expr_check(Ctx *x, const Expr *e) {
  NodeTab *t = &x->c->nodes;
  if (x->depth > NODE_HEIGHT_MAX)
    return refuse(x, e, "CML0107", "name a part of it with `let` or `fn`",
                  "this expression is nested too deeply");
  x->depth++;
  Node *n = check_kind(x, e);
  x->depth--;
  if (t->too_high) {
    t->too_high = false;
    return refuse(x, e, "CML0107", "name a part of it with `let` or `fn`",
                  "this expression, with its functions expanded, is nested too deeply");
  }
  return n;
}
