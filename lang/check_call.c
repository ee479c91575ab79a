/* SPDX-License-Identifier: Apache-2.0 */
/* Calls: native functions become N_CALL (check_native.c), aggregates N_AGG; `fn`s are expanded in check_fn.c.
 * Read call_check at the end first. */
#include <string.h>

#include "lang/check.h"

/* ---- Arguments to parameters ---- */

BindResult bind_args(Binding *b, const Arg *args, const Arg **culprit, uint32_t *which) {
  uint32_t at = 0;
  memset(b->arg, 0, b->n * sizeof *b->arg);
  for (const Arg *g = args; g; g = g->next) {
    uint32_t i = at;
    *culprit = g;
    if (g->name)
      for (i = 0; i < b->n && strcmp(b->name[i], g->name) != 0;)
        i++;
    else
      at++;
    if (i >= b->n)
      return g->name ? BIND_UNKNOWN : BIND_MANY;
    *which = i;
    if (b->arg[i])
      return BIND_TWICE;
    b->arg[i] = g;
  }
  for (uint32_t i = 0; i < b->n; i++)
    if (!b->arg[i] && !b->optional[i]) {
      *which = i;
      return BIND_MISSING;
    }
  return BIND_OK;
}

void bind_error(Ctx *x, const Expr *e, const Binding *b, BindResult r, const Arg *culprit, uint32_t which,
                const char *signature) {
  Check *c = x->c;
  const char *remedy = arena_printf(c->a, "it is `%s`", signature);
  Near near = {.arena = c->a};
  switch (r) {
  case BIND_MANY:
    ctx_error(x, "CML0203", culprit->value->span, remedy, "`%s` takes %u argument%s", e->name, b->n,
              b->n == 1 ? "" : "s");
    break;
  case BIND_UNKNOWN:
    for (uint32_t i = 0; i < b->n; i++)
      near_add(&near, b->name[i]);
    ctx_error(x, "CML0203", culprit->name_span,
              near_remedy(&near, culprit->name) ? near_remedy(&near, culprit->name) : remedy,
              "`%s` has no parameter `%s`", e->name, culprit->name);
    break;
  case BIND_TWICE:
    ctx_error(x, "CML0203", culprit->name ? culprit->name_span : culprit->value->span, remedy,
              "the parameter `%s` of `%s` is given twice", b->name[which], e->name);
    break;
  default: ctx_error(x, "CML0203", e->span, remedy, "`%s` needs its argument `%s`", e->name, b->name[which]);
  }
}

static const char *phase_word(Phase p) {
  return p == PH_CONST ? "a constant" : p == PH_FITTED ? "learned from data" : "a value of each row";
}

bool phase_fits(Ctx *x, const Node *n, Phase takes, const char *fn, const char *param, Span at) {
  if (node_is_error(n) || n->phase <= takes)
    return true;
  if (takes == PH_CONST)
    ctx_error(x, "CML0206", at, "write a number, or a `param`",
              "`%s` of `%s` must be known before data are read; this is %s", param, fn, phase_word(n->phase));
  else
    ctx_error(x, "CML0206", at,
              arena_printf(x->c->a, "write a constant or an aggregate, such as `median(%s)`",
                           source_text(x->c, at)),
              "`%s` of `%s` must be one value for all rows; this is %s", param, fn, phase_word(n->phase));
  return false;
}

/* ---- Aggregates ---- */

static void aggregate_out_of_place(Ctx *x, const Expr *e) {
  Check *c = x->c;
  const char *name = x->top ? x->top : e->name;
  Span at = x->top ? x->top_at : e->span;
  if (x->told) {
    if (*x->told)
      return;
    *x->told = true;
  }
  const char *cause, *remedy;
  switch (x->place) {
  case AT_DATA:
    cause = "`%s` is learned from data, and `data` runs before the split";
    remedy = x->item && x->item->kind == I_DERIVE
                 ? arena_printf(c->a, "move it: `features f of %s { %s = %s }`", x->owner->name,
                                x->item->name, source_text(c, x->item->expr->span))
                 : arena_printf(c->a,
                                "compare with a number or a `param` here; what is learned belongs in "
                                "`features f of %s { ... }`",
                                x->owner->name);
    break;
  case AT_TARGET:
    cause = "`%s` is learned from data, and a target must be known row by row";
    remedy = "compute the target from columns and numbers alone";
    break;
  case AT_OFFSET:
    cause = "`%s` is learned from data, and an offset is known row by row";
    remedy = "compute the offset from columns and numbers alone";
    break;
  case AT_EXPECT:
    cause = "`%s` is not a metric, and metrics of one's own are not part of this version";
    remedy = "an `expect` compares metrics by name: `expect auc >= 0.7`";
    break;
  default:
    cause = "`%s` is learned from data, and this value must be known before";
    remedy = "write a number, or a `param`";
  }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  diag_add(c->d, SEV_ERROR, "CML0302", at, remedy, cause, name);
#pragma GCC diagnostic pop
}

static bool aggregates_allowed(const Ctx *x) {
  return x->place == AT_FN || x->place == AT_FEATURES || x->tests;
}

static bool keys_fit(Ctx *x, const Native *f, const Arg *keys, Node *n, Type result) {
  Check *c = x->c;
  uint32_t count = 0;
  bool good = true;
  for (const Arg *k = keys; k; k = k->next)
    count++;
  n->by = NEWN(c->a, Node *, count);
  for (const Arg *k = keys; k; k = k->next) {
    Node *key = expr_check(x, k->value);
    TypeKind kind = key->type.kind;
    const char *text = source_text(c, k->value->span);
    n->by[n->nby++] = key;
    if (node_is_error(key)) {
      good = false;
    } else if (!type_is_text(kind) && kind != TY_INT && kind != TY_BOOL && kind != TY_DATE) {
      ctx_error(x, "CML0211", k->value->span,
                kind == TY_FLOAT ? arena_printf(c->a, "make intervals of it: `bucketize(%s, [10, 20])`", text)
                : kind == TY_TIMESTAMP
                    ? arena_printf(c->a, "use a part of it: `date(%s)`, `hour(%s)`", text, text)
                    : "group by a category, int, bool or date",
                "%s cannot be a key of `by`", type_article(kind));
      good = false;
    } else if (key->phase != PH_ROW) {
      ctx_error(x, "CML0211", k->value->span, "group by a column, or leave `by` out",
                "this key of `by` is the same in every row");
      good = false;
    }
  }
  if (good && !type_is_number(result.kind)) {
    ctx_error(x, "CML0211", n->span,
              "use count, sum, mean, variance, stddev, min, max, median or quantile of numbers",
              "`%s` gives %s, and a table by key holds numbers", f->name, type_article(result.kind));
    good = false;
  }
  return good;
}

static Node *aggregate_node(Ctx *x, const Native *f, const Expr *e, Node *const *arg, uint32_t n, Type bound,
                            Node *weight, Node *where, const Arg *keys, Span at) {
  Check *c = x->c;
  Node **cast = NEWN(c->a, Node *, n);
  Node like = {.kind = N_AGG,
               .type = f->var ? bound : f->result,
               .shown = f->name,
               .arg = cast,
               .narg = n,
               .weight = weight,
               .where = where,
               .span = at};
  bool row = n == 0 || (where && where->phase == PH_ROW) || (weight && weight->phase == PH_ROW);
  for (uint32_t i = 0; i < n; i++) {
    const NativeParam *p = &f->param[i];
    cast[i] = native_arg(x, p, f->name, arg[i], bound, at);
    if (node_is_error(cast[i]))
      return c->error;
    row = row || arg[i]->phase == PH_ROW;
  }
  like.op = native_op(c, f, bound);
  if (strcmp(like.op, "categories.str") == 0) {
    cast[2] = native_drop(x, cast[2], at);
    like.narg = cast[2]->kind == N_LIT && cast[2]->f == 0 ? 2 : 3;
    if (node_is_error(cast[2]))
      return c->error;
  }
  if (!native_literals_fit(x, like.op, cast, at) ||
      !vector_result(x, f->name, like.op, cast, n, &like.type, at))
    return c->error;
  if (keys && !keys_fit(x, f, keys, &like, like.type))
    return c->error;
  if (!row && !keys) {
    ctx_error(x, "CML0212", e->span, "give it a column, or write the value itself",
              "`%s` of a value that is the same in every row", e->name);
    return c->error;
  }
  like.type.nullable = like.nby > 0;
  like.phase = like.nby ? PH_ROW : PH_FITTED;
  Node *made = node_make(&c->nodes, &like);
  if (node_tables(&c->nodes, made) > 2) {
    ctx_error(x, "CML0213", e->span, "look up at most one table inside another",
              "tables by key are nested more than two deep");
    return c->error;
  }
  return made;
}

/* ---- Calls of natives ---- */

static uint32_t count_args(const Arg *args) {
  uint32_t n = 0;
  for (; args; args = args->next)
    n++;
  return n;
}

/* What to write instead of an aggregate that got the arguments of a row function. */
static const char *row_form(const char *name) {
  static const char *const forms[][2] = {{"max", "greatest"}, {"min", "least"}, {"sum", "+"}, {"mean", "/"}};
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
    if (strcmp(name, forms[i][0]) == 0)
      return forms[i][1];
  return NULL;
}

static bool used_as_row_function(Ctx *x, const Native *f, const Expr *e) {
  Check *c = x->c;
  const char *form = row_form(e->name);
  if (!f->aggregate || !form || count_args(e->args) < 2)
    return false;
  for (const Arg *g = e->args; g; g = g->next)
    if (g->name)
      return false;
  const Arg *last = e->args;
  while (last->next)
    last = last->next;
  const char *inner = source_text(c, span_join(e->args->value->span, last->value->span));
  const char *remedy = form[0] == '+'   ? "add the columns: `a + b`"
                       : form[0] == '/' ? "add the columns and divide: `(a + b) / 2`"
                                        : arena_printf(c->a, "did you mean `%s(%s)`?", form, inner);
  ctx_error(x, "CML0207", e->span, remedy, "`%s` runs over rows", e->name);
  return true;
}

typedef struct Given { /* the arguments of one call, checked once */
  const Arg *arg[NATIVE_ARGS];
  Node *node[NATIVE_ARGS];
  uint32_t n;
} Given;

static Node *given_node(const Given *g, const Arg *arg) {
  for (uint32_t i = 0; i < g->n; i++)
    if (g->arg[i] == arg)
      return g->node[i];
  return NULL;
}

typedef struct Candidate {
  const Native *f;
  const char *name[NATIVE_ARGS];
  bool optional[NATIVE_ARGS];
  const Arg *arg[NATIVE_ARGS];
  Node *node[NATIVE_ARGS];
  BindResult bound;
  const Arg *culprit;
  uint32_t which;
  Type type;
  int cost;
} Candidate;

static void try_native(Ctx *x, Candidate *k, const Native *f, const Given *g, const Arg *args) {
  memset(k, 0, sizeof *k);
  k->f = f;
  for (uint32_t i = 0; i < f->nparam; i++) {
    k->name[i] = f->param[i].name;
    k->optional[i] = f->param[i].def != NULL;
  }
  Binding b = {k->name, k->optional, f->nparam, k->arg};
  k->bound = bind_args(&b, args, &k->culprit, &k->which);
  k->cost = -1;
  if (k->bound != BIND_OK)
    return;
  Ctx closed = {.c = x->c,
                .place = AT_FN,
                .outer = ctx_span(x, k->arg[0] ? k->arg[0]->value->span : (Span){0}),
                .via = f->name};
  for (uint32_t i = 0; i < f->nparam; i++)
    k->node[i] = k->arg[i] ? given_node(g, k->arg[i]) : expr_check(&closed, f->param[i].def);
  k->cost = native_fit(f, k->node, f->nparam, &k->type);
}

/* An overload for vectors, where none is given, of a function of numbers: nobody means it. */
static bool is_aside(const Native *first, const Native *o, const Given *g) {
  bool vector = false;
  for (uint32_t i = 0; i < o->nparam; i++)
    vector = vector || o->param[i].type.kind == TY_VECTOR;
  for (uint32_t i = 0; i < first->nparam; i++)
    if (first->param[i].type.kind == TY_VECTOR)
      return false;
  return vector && !vectors_among(g->node, g->n);
}

static void native_type_error(Ctx *x, const Expr *e, const Candidate *k, uint32_t overloads, const Given *g) {
  Check *c = x->c;
  const Native *f = k->f;
  const char *who = arena_printf(c->a, "`%s`", e->name);
  if (overloads == 1)
    for (uint32_t i = 0; i < f->nparam; i++)
      if (k->arg[i] && !f->param[i].var &&
          node_is_error(expr_coerce(x, k->node[i], f->param[i].type, k->arg[i]->value->span, who)))
        return;
  const char *types = "", *forms = "";
  for (uint32_t i = 0; i < g->n; i++) {
    if (g->node[i]->type.kind == TY_VECTOR) {
      ctx_error(x, "CML0214", g->arg[i]->value->span,
                "compute it element by element: `[a = log(x), b = log(y)]`", "`%s` does not take a vector%s",
                e->name, g->node[i]->kind == N_VECTOR ? "" : " whose elements are learned from data");
      return;
    }
    types = arena_printf(c->a, "%s%s%s", types, i ? ", " : "", type_text(c->a, g->node[i]->type));
  }
  for (const Native *o = library_native(c->lib, e->name); o; o = o->next)
    if (!is_aside(library_native(c->lib, e->name), o, g))
      forms = arena_printf(c->a, "%s%s`%s`", forms, *forms ? ", " : "", native_signature(c->a, o));
  ctx_error(x, "CML0205", e->span, arena_printf(c->a, "it is %s", forms), "`%s` does not take (%s)", e->name,
            types);
}

/* least(a, b, c) and its like: taken two at a time, from the left. */
static bool takes_many(const char *name) {
  static const char *const names[] = {"least", "greatest", "coalesce", "concat"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0)
      return true;
  return false;
}

static Node *call_many(Ctx *x, const Expr *e, Span at) {
  Node *sum = NULL;
  bool bad = false;
  for (const Arg *g = e->args; g; g = g->next) {
    Node *n = expr_check(x, g->value);
    bad = bad || node_is_error(n);
    Node *pair[2] = {sum, n};
    sum = sum && !bad ? expr_native(x, e->name, e->name, pair, 2, at) : n;
    bad = bad || node_is_error(sum);
  }
  return bad ? x->c->error : sum;
}

/* Is `date("2001-01-31")` or `timestamp("...")` of a literal: the value itself. */
static Node *instant_literal(Ctx *x, const Expr *e, const Given *g) {
  TypeKind kind;
  if (g->n != 1 || !type_named(e->name, &kind) || (kind != TY_DATE && kind != TY_TIMESTAMP) ||
      g->node[0]->kind != N_LIT)
    return NULL;
  Node *n = literal_at_instant(x, g->node[0], kind, g->arg[0]->value->span);
  return n != g->node[0] ? n : NULL;
}

/* Takes `weight = w` out of an aggregate's arguments: the rest is a list of its own. */
static const Arg *without_weight(Check *c, const Native *f, const Arg *args, const Arg **weight) {
  Arg *first = NULL, **tail = &first;
  bool takes = false;
  for (; f; f = f->next)
    takes = takes || f->weight;
  for (; args; args = args->next) {
    if (takes && args->name && strcmp(args->name, "weight") == 0 && !*weight) {
      *weight = args;
      continue;
    }
    Arg *copy = NEW(c->a, Arg);
    *copy = *args;
    copy->next = NULL;
    *tail = copy;
    tail = &copy->next;
  }
  return first;
}

static Node *check_weight(Ctx *x, const Arg *weight) {
  if (!weight)
    return NULL;
  Span at = weight->value->span;
  Node *n = expr_coerce(x, expr_check(x, weight->value), type_of(TY_FLOAT), at, "a weight");
  if (!node_is_error(n) && n->type.nullable) {
    ctx_error(x, "CML0205", at, arena_printf(x->c->a, "write `coalesce(%s, 0)`", source_text(x->c, at)),
              "a weight may not be null");
    return x->c->error;
  }
  return n;
}

typedef struct NativeCall { /* a call of a native whose arguments are checked */
  const Native *f;
  const Expr *e;
  const Arg *args, *keys;
  Node *weight, *where;
  Given g;
  Span at;
} NativeCall;

/* The overload that takes these arguments, applied. */
static Node *native_chosen(Ctx *x, NativeCall *w) {
  Check *c = x->c;
  const Native *f = w->f;
  const Expr *e = w->e;
  Candidate best = {.cost = -1}, first = {.cost = -1}, k;
  uint32_t bound = 0;
  for (const Native *o = f; o; o = o->next) {
    if ((w->weight && !o->weight) || is_aside(f, o, &w->g))
      continue;
    try_native(x, &k, o, &w->g, w->args);
    if (!first.f || (first.bound != BIND_OK && k.bound == BIND_OK))
      first = k;
    bound += k.bound == BIND_OK;
    if (k.cost >= 0 && (best.cost < 0 || k.cost < best.cost))
      best = k;
  }
  if (best.cost < 0) {
    Binding b = {first.name, first.optional, first.f->nparam, first.arg};
    if (bound == 0)
      bind_error(x, e, &b, first.bound, first.culprit, first.which, native_signature(c->a, first.f));
    else
      native_type_error(x, e, &first, bound, &w->g);
    return c->error;
  }
  for (uint32_t i = 0; i < best.f->nparam; i++)
    if (best.arg[i] &&
        !phase_fits(x, best.node[i], best.f->param[i].phase, e->name, best.name[i], best.arg[i]->value->span))
      return c->error;
  Span where_at = ctx_span(x, w->at);
  if (f->aggregate)
    return aggregate_node(x, best.f, e, best.node, best.f->nparam, best.type, w->weight, w->where, w->keys,
                          where_at);
  return native_node(x, best.f, e->name, best.node, best.f->nparam, best.type, where_at);
}

static Node *native_element(Ctx *x, Node **arg, uint32_t n, void *with) {
  NativeCall w = *(NativeCall *)with;
  memcpy(w.g.node, arg, n * sizeof *arg);
  return native_chosen(x, &w);
}

static Node *call_native(Ctx *x, const Native *f, const Expr *e, const Arg *keys, Span at) {
  Check *c = x->c;
  Given g = {.n = 0};
  const Arg *weight_arg = NULL;
  const Arg *args = f->aggregate ? without_weight(c, f, e->args, &weight_arg) : e->args;
  bool bad = false;
  if (f->aggregate && !aggregates_allowed(x)) {
    aggregate_out_of_place(x, e);
    bad = true;
  }
  if (!f->aggregate && (keys || e->where)) {
    ctx_error(x, "CML0210", keys ? at : e->where->span,
              "write `if ok then x else y` for a condition on a row",
              "`%s` is a row function; only aggregates take `%s`", e->name, keys ? "by" : "where");
    bad = true;
  }
  if (used_as_row_function(x, f, e))
    bad = true;
  if (!bad && takes_many(e->name) && count_args(e->args) > 2)
    return call_many(x, e, ctx_span(x, at));
  for (const Arg *i = args; i; i = i->next) {
    Node *n = expr_check(x, i->value);
    bad = bad || node_is_error(n);
    if (g.n < NATIVE_ARGS) {
      g.arg[g.n] = i;
      g.node[g.n++] = n;
    }
  }
  Node *weight = check_weight(x, weight_arg);
  Node *where = f->aggregate && e->where ? expr_bool(x, e->where, "`where`") : NULL;
  if (bad || (weight && node_is_error(weight)) || (where && node_is_error(where)))
    return c->error;
  Node *literal = instant_literal(x, e, &g);
  if (literal)
    return literal;
  NativeCall w = {f, e, args, keys, weight, where, g, at};
  if (vectors_among(g.node, g.n) && vectors_written(g.node, g.n) && native_elementwise(f, g.node, g.n))
    return vector_map(x, e->name, w.g.node, g.n, native_element, &w, ctx_span(x, at));
  return native_chosen(x, &w);
}

/* ---- Unknown functions ---- */

/* What other languages call them. */
static const char *const foreign[][2] = {
    {"avg", "mean(x)"},
    {"average", "mean(x)"},
    {"std", "stddev(x)"},
    {"sd", "stddev(x)"},
    {"stdev", "stddev(x)"},
    {"var", "variance(x)"},
    {"ln", "log(x)"},
    {"len", "length(x)"},
    {"strlen", "length(x)"},
    {"nchar", "length(x)"},
    {"isnull", "x is null"},
    {"isna", "x is null"},
    {"is_na", "x is null"},
    {"fillna", "coalesce(x, 0)"},
    {"nvl", "coalesce(x, 0)"},
    {"ifnull", "coalesce(x, 0)"},
    {"ifelse", "if ok then x else y"},
    {"iff", "if ok then x else y"},
    {"case", "if ok then x else y"},
    {"power", "x ^ y"},
    {"square", "x ^ 2"},
    {"tolower", "lower(x)"},
    {"toupper", "upper(x)"},
    {"scale", "standardize(x)"},
    {"z_score", "standardize(x)"},
    {"zscore", "standardize(x)"},
    {"onehot", "one_hot(x)"},
    {"dummies", "one_hot(x)"},
    {"get_dummies", "one_hot(x)"},
    {"target_encode", "target_mean(x, y)"},
    {"minmax", "min_max(x)"},
    {"str", "string(x)"},
    {"substr", "substring(x, 1, 3)"},
    {"to_date", "date(x)"},
    {"cut", "bucketize(x, [10, 20])"},
    {"qcut", "quantile_bins(x, 4)"},
    {"ceiling", "ceil(x)"},
    {"percentile", "quantile(x, 0.5)"},
    {"dayofweek", "weekday(x)"},
    {"n", "count()"},
    {"expit", "sigmoid(x)"},
    {"pow", "x ^ y"},
    {"fabs", "abs(x)"},
    {"isnan", "is_nan(x)"},
};

static Node *unknown_function(Ctx *x, const Expr *e) {
  Check *c = x->c;
  const char *remedy = NULL;
  for (const Arg *g = e->args; g; g = g->next)
    expr_check(x, g->value);
  for (const CatEstimator *m = c->cat->estimator; m && m->name; m++)
    if (strcmp(m->name, e->name) == 0) {
      ctx_error(x, "CML0202", e->span, arena_printf(c->a, "declare `model m = %s(target ~ block)`", e->name),
                "`%s` is an estimator, not a function", e->name);
      return c->error;
    }
  if (is_metric(c, e->name)) {
    ctx_error(x, "CML0202", e->span, "name it in `evaluate m on d.test { ... }`",
              "`%s` is a metric, not a function", e->name);
    return c->error;
  }
  for (size_t i = 0; i < sizeof foreign / sizeof *foreign && !remedy; i++)
    if (strcmp(foreign[i][0], e->name) == 0)
      remedy = arena_printf(c->a, "write `%s`", foreign[i][1]);
  if (!remedy) {
    Near near = {.arena = c->a};
    near_table(&near, &c->fn);
    library_names(c->lib, &near);
    remedy = near_remedy(&near, e->name);
  }
  if (x->data && data_column(x->data, e->name))
    remedy = arena_printf(c->a, "`%s` is a column; write it without parentheses", e->name);
  ctx_error(x, "CML0202", e->name_span.file ? e->name_span : e->span,
            remedy ? remedy : "`cmlc doc functions` lists them all", "there is no function `%s`", e->name);
  return c->error;
}

Node *call_check(Ctx *x, const Expr *e, const Arg *keys, Span at) {
  Check *c = x->c;
  bool library_code = x->outer.file != 0; /* library functions do not see the program's */
  FnInfo *f = library_code ? NULL : table_get(&c->fn, e->name);
  const Decl *fn = f ? f->decl : library_fn(c->lib, e->name);
  if (x->eval && is_metric(c, e->name))
    return metric_value(x, e);
  if (!fn) {
    const Native *native = library_native(c->lib, e->name);
    return native ? call_native(x, native, e, keys, at) : unknown_function(x, e);
  }
  if (f) {
    f->used = true;
    if (f->state == FN_OPEN) {
      fn_cycle(x, f, e);
      return c->error;
    }
    fn_check(c, f, x->depth + 1);
  }
  if (e->where || keys) {
    ctx_error(x, "CML0210", keys ? at : e->where->span, "write it inside the function, at the aggregate",
              "`%s` is a function in cml; only native aggregates take `%s`", e->name, keys ? "by" : "where");
    return c->error;
  }
  if (f && f->state == FN_BROKEN) {
    for (const Arg *g = e->args; g; g = g->next)
      expr_check(x, g->value);
    return c->error;
  }
  return fn_expand(x, fn, e, at, !f);
}
