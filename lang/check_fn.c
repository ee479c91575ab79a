/* SPDX-License-Identifier: Apache-2.0 */
/* Functions written in cml: expanded at the call (fn_expand), and checked once on their own with stand-ins
 * for their parameters (fn_check), so that an error in a body is reported where it is and not at every call.
 */
#include <string.h>

#include "lang/check.h"

/* Null in, null out, for an argument that the body would have swallowed: null_when(is_null(arg), body). */
static Node *lift(Ctx *x, Node *body, Node *arg, Span at) {
  Check *c = x->c;
  Type t = body->type;
  t.nullable = true;
  if (body->kind == N_VECTOR) {
    Node like = *body;
    like.type = t;
    like.arg = NEWN(c->a, Node *, body->narg);
    for (uint32_t i = 0; i < body->narg; i++)
      like.arg[i] =
          node_strict_in(&c->nodes, body->arg[i], arg) ? body->arg[i] : lift(x, body->arg[i], arg, at);
    return node_make(&c->nodes, &like);
  }
  if (!type_is_scalar(t.kind))
    return body;
  Node *pair[2] = {expr_native(x, "is_null", "is null", &arg, 1, at), body};
  return node_call(&c->nodes, arena_printf(c->a, "null_when.%s", type_rep(t.kind)), "null in, null out", t,
                   pair, 2, at);
}

/* ---- Expansion ---- */

static const char *fn_signature(Check *c, const Decl *fn) {
  const char *s = arena_printf(c->a, "%s(", fn->name);
  for (const Parameter *p = fn->params; p; p = p->next) {
    const char *type = p->type ? source_text(c, p->type->span) : "?";
    const char *phase =
        p->type && p->type->phase && strncmp(type, p->type->phase, strlen(p->type->phase)) != 0
            ? arena_printf(c->a, "%s ", p->type->phase)
            : "";
    s = arena_printf(c->a, "%s%s%s: %s%s", s, p == fn->params ? "" : ", ", p->name, phase, type);
    if (p->def)
      s = arena_printf(c->a, "%s = %s", s, source_text(c, p->def->span));
  }
  return arena_printf(c->a, "%s)", s);
}

static Local *push_local(Check *c, Local *up, const char *name, Node *node, Span at) {
  Local *l = NEW(c->a, Local);
  *l = (Local){.name = name, .node = node, .span = at, .up = up};
  return l;
}

void local_unused(Check *c, const Local *l) {
  if (!l->used && l->name[0] != '_')
    diag_add(c->d, SEV_WARNING, "CML0301", l->span, "remove it", "nothing reads `%s`", l->name);
}

/* The value of a body: its lets, then its expression, as the declared type. */
static Node *fn_body(Ctx *y, const Decl *fn, bool warn) {
  Check *c = y->c;
  Local *outer = y->names;
  for (const Item *i = fn->items; i; i = i->next) {
    if (i->kind != I_LET || !i->expr)
      continue;
    if (local_find(y->names, i->name))
      ctx_error(y, "CML0208", i->name_span, "choose another name", "`%s` has a meaning already in `%s`",
                i->name, fn->name);
    y->names = push_local(c, y->names, i->name, expr_check(y, i->expr), i->name_span);
  }
  Node *body = fn->expr ? expr_check(y, fn->expr) : c->error;
  for (const Local *l = y->names; warn && l != outer; l = l->up)
    local_unused(c, l);
  Type t;
  if (fn->type && !node_is_error(body)) {
    if (!type_written(c, fn->type, &t))
      return c->error;
    if (body->type.kind != TY_VECTOR || t.kind != TY_FLOAT) /* a function of numbers was given a vector */
      body = expr_coerce(y, body, t, fn->expr->span, arena_printf(c->a, "the result of `%s` is", fn->name));
    if (!node_is_error(body) && body->type.nullable && !t.nullable && warn) {
      ctx_error(y, "CML0205", fn->expr->span,
                "write `coalesce(x, 0)` around it, or declare the result with `?`",
                "the result of `%s` may be null", fn->name);
      return c->error;
    }
  }
  return body;
}

typedef struct FnCall { /* a call whose arguments are bound */
  const Decl *fn;
  const Expr *e;
  const Arg **arg;
  Ctx y; /* where the body is checked */
  Span call;
} FnCall;

static Span arg_span(const FnCall *w, uint32_t n, const Parameter *p) {
  return w->arg[n] ? w->arg[n]->value->span : p->span;
}

/* Arguments as the parameters take them. A vector of learned width passes for a number: operations take it
 * whole. */
static bool fit_arguments(Ctx *x, FnCall *w, Node **node) {
  Check *c = x->c;
  bool good = true;
  uint32_t n = 0;
  Ctx y = w->y; /* a default sees the parameters before it: `fn f(x: float, top: fitted float = max(x))` */
  for (const Parameter *p = w->fn->params; p; p = p->next, n++) {
    Type want;
    Span at = arg_span(w, n, p);
    const char *who = arena_printf(c->a, "`%s` of `%s`", p->name, w->fn->name);
    if (!node[n])
      node[n] = expr_check(&y, p->def);
    if (node_is_error(node[n])) {
      good = false;
      continue;
    }
    if (!p->type || !type_written(c, p->type, &want)) {
      good = false;
      continue;
    }
    if (want.kind == TY_VECTOR)
      node[n] = vector_floats(x, node[n], at, who);
    else if (want.kind != TY_FLOAT || node[n]->type.kind != TY_VECTOR)
      node[n] = expr_coerce(w->arg[n] ? x : &w->y, node[n], want, at, who);
    good = good && !node_is_error(node[n]) &&
           phase_fits(x, node[n], phase_written(p->type), w->fn->name, p->name, at);
    y.names = push_local(c, y.names, p->name, node[n], p->span);
  }
  return good;
}

/* The body with these arguments. */
static Node *expand_once(Ctx *x, Node **node, uint32_t count, void *with) {
  FnCall *w = with;
  Check *c = x->c;
  Ctx y = w->y;
  Node **fit = NEWN(c->a, Node *, count + 1);
  memcpy(fit, node, count * sizeof *fit);
  if (!fit_arguments(x, w, fit))
    return c->error;
  if (++c->expansions > EXPANSIONS_MAX) {
    if (c->expansions == EXPANSIONS_MAX + 1)
      ctx_error(x, "CML0107", w->e->span, "call fewer functions inside functions",
                "the functions of this program expand to more than %d calls", EXPANSIONS_MAX);
    return c->error;
  }
  uint32_t n = 0;
  for (const Parameter *p = w->fn->params; p; p = p->next, n++)
    y.names = push_local(c, y.names, p->name, fit[n], p->span);
  Node *body = fn_body(&y, w->fn, false);
  n = 0;
  for (const Parameter *p = w->fn->params; p && !node_is_error(body); p = p->next, n++)
    if (fit[n]->type.nullable && !p->type->nullable && node_reads(&c->nodes, body, fit[n]) &&
        !node_strict_in(&c->nodes, body, fit[n]))
      body = lift(&y, body, fit[n], w->call);
  return body;
}

/* Is the function of one value given a written vector? Then it is expanded for each element; parameters
 * that are vectors take theirs whole, and are hidden from the map in `whole`. */
static bool takes_elements(const FnCall *w, Node *const *node) {
  uint32_t n = 0;
  for (const Parameter *p = w->fn->params; p; p = p->next, n++) {
    TypeKind kind;
    if (node[n] && node[n]->kind == N_VECTOR && p->type && type_named(p->type->name, &kind) &&
        type_is_scalar(kind))
      return true;
  }
  return false;
}

typedef struct Whole { /* vectors that are given whole beside others that are not */
  FnCall *call;
  Node **node;
} Whole;

static Node *expand_element(Ctx *x, Node **node, uint32_t count, void *with) {
  const Whole *w = with;
  for (uint32_t i = 0; i < count; i++)
    if (!node[i])
      node[i] = w->node[i];
  return expand_once(x, node, count, w->call);
}

static Node *expand_each(Ctx *x, FnCall *w, Node **node, uint32_t count) {
  Whole whole = {w, node};
  Node **apart = NEWN(x->c->a, Node *, count + 1);
  uint32_t n = 0;
  for (const Parameter *p = w->fn->params; p; p = p->next, n++) {
    TypeKind kind;
    bool is_whole =
        node[n] && node[n]->kind == N_VECTOR && type_named(p->type->name, &kind) && !type_is_scalar(kind);
    apart[n] = is_whole ? NULL : node[n];
  }
  return vector_map(x, w->fn->name, apart, count, expand_element, &whole, w->call);
}

Node *fn_expand(Ctx *x, const Decl *fn, const Expr *e, Span at, bool library) {
  Check *c = x->c;
  uint32_t n = 0, which = 0;
  for (const Parameter *p = fn->params; p; p = p->next)
    n++;
  const char **name = NEWN(c->a, const char *, n);
  bool *optional = NEWN(c->a, bool, n), bad = false;
  Node **node = NEWN(c->a, Node *, n);
  Binding b = {name, optional, n, NEWN(c->a, const Arg *, n)};
  n = 0;
  for (const Parameter *p = fn->params; p; p = p->next, n++) {
    name[n] = p->name;
    optional[n] = p->def != NULL;
  }
  const Arg *culprit = NULL;
  BindResult r = bind_args(&b, e->args, &culprit, &which);
  if (r != BIND_OK) {
    for (const Arg *g = e->args; g; g = g->next)
      expr_check(x, g->value);
    bind_error(x, e, &b, r, culprit, which, fn_signature(c, fn));
    return c->error;
  }
  FnCall w = {.fn = fn, .e = e, .arg = b.arg, .y = *x, .call = ctx_span(x, at)};
  Ctx *y = &w.y;
  y->names = NULL;
  y->data = NULL;
  y->eval = NULL;
  y->fn = fn->name;
  y->depth++;
  if (library && !x->outer.file)
    y->outer = w.call;
  if (!x->outer.file && (library || !x->via)) {
    y->via = fn->name;
    y->via_at = w.call;
  }
  if (!x->top && x->place != AT_FN) {
    y->top = fn->name;
    y->top_at = w.call;
  }
  n = 0;
  for (const Parameter *p = fn->params; p; p = p->next, n++) {
    /* its default: when those before it are known */
    node[n] = b.arg[n] ? expr_check(x, b.arg[n]->value) : NULL;
    bad = bad || (node[n] && node_is_error(node[n]));
  }
  if (bad)
    return c->error;
  if (takes_elements(&w, node))
    return expand_each(x, &w, node, n);
  return expand_once(x, node, n, &w);
}

/* ---- The body of a function, on its own ---- */

void fn_cycle(Ctx *x, const FnInfo *f, const Expr *e) {
  Check *c = x->c;
  const char *path = f->decl->name;
  for (const FnInfo *i = c->open; i; i = i->under) {
    path = arena_printf(c->a, "%s -> %s", i->decl->name, path);
    if (i == f)
      break;
  }
  ctx_error(x, "CML0209", e->span, "functions are written out where they are called, so none may call itself",
            "`%s` calls itself: %s", f->decl->name, path);
}

void fn_check(Check *c, FnInfo *f, uint32_t depth) {
  const Decl *fn = f->decl;
  uint32_t before = c->d->errors;
  if (f->state != FN_NEW)
    return;
  f->state = FN_OPEN;
  f->under = c->open;
  c->open = f;
  Ctx x = {.c = c, .place = AT_FN, .owner = fn, .fn = fn->name, .depth = depth};
  for (const Parameter *p = fn->params; p; p = p->next) {
    Type want = type_of(TY_ERROR);
    if (!p->type)
      ctx_error(&x, "CML0219", p->span, arena_printf(c->a, "write `%s: float`", p->name),
                "the parameter `%s` has no type", p->name);
    else
      type_written(c, p->type, &want);
    if (local_find(x.names, p->name))
      ctx_error(&x, "CML0208", p->span, "give each a name of its own", "two parameters are named `%s`",
                p->name);
    if (p->def) {
      Node *def = expr_coerce(&x, expr_check(&x, p->def), want, p->def->span,
                              arena_printf(c->a, "`%s` of `%s`", p->name, fn->name));
      phase_fits(&x, def, phase_written(p->type), fn->name, p->name, p->def->span);
    }
    TColumn *stand_in = NEW(c->a, TColumn);
    *stand_in = (TColumn){.name = p->name, .type = want, .span = p->span};
    Node *node =
        want.kind == TY_ERROR ? c->error : node_column(&c->nodes, stand_in, phase_written(p->type), p->span);
    x.names = push_local(c, x.names, p->name, node, p->span);
  }
  Node *body = fn_body(&x, fn, true);
  f->state = node_is_error(body) || c->d->errors > before ? FN_BROKEN : FN_GOOD;
  c->open = f->under;
}
