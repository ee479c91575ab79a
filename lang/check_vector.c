/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors: `each`, functions of numbers applied to vectors, which elements belong together.
 *
 * There are two kinds. A *written* vector (N_VECTOR: `[a = x, b = y]`, `each float`) has elements that the
 * checker knows: what takes one value is applied to every element, and gives a written vector of the results.
 * `standardize(each float)` is one `standardize` a column. The width of the others is learned from data
 * (`one_hot`, `project`): operations on them are those of the VM on whole vectors (`add.vec`), and two of
 * them go together if the same fitted value sets their width.
 *
 * Names of elements: NULL, `sin` as written, `.age` from `each` (it follows the slot's name as it is), `~age`
 * for an unnamed element that is just a
 * column: a name nobody chose, which agrees with any other. */
#include <string.h>

#include "lang/check.h"

/* ---- Elements ---- */

const char *vector_name(const Node *v, uint32_t k) {
  const char *name = v->names ? v->names[k] : NULL;
  return name && *name == '~' ? name + 1 : name;
}

Node *vector_make(Ctx *x, Node **v, const char **names, uint32_t n, Span at) {
  Node like = {.kind = N_VECTOR,
               .type = {.kind = TY_VECTOR, .elem = TY_FLOAT, .width = n},
               .arg = v,
               .narg = n,
               .names = names,
               .span = at};
  for (uint32_t i = 0; i < n; i++) {
    TypeKind k = v[i]->type.kind;
    if (node_is_error(v[i]))
      return x->c->error;
    if (k == TY_VECTOR)
      like.type.width = 0;
    else if (k != TY_BOOL && !type_is_number(k) && like.type.elem == TY_FLOAT)
      like.type.elem = k;
    like.type.nullable = like.type.nullable || v[i]->type.nullable;
    like.phase = v[i]->phase > like.phase ? v[i]->phase : like.phase;
  }
  return node_make(&x->c->nodes, &like);
}

/* `[1, 2]` beside a vector is a vector too; other nodes stay. */
Node *vector_of_list(Ctx *x, Node *n) {
  if (n->kind != N_LIST || n->type.elem != TY_FLOAT)
    return n;
  return vector_make(x, n->arg, NEWN(x->c->a, const char *, n->narg), n->narg, n->span);
}

Node *vector_floats(Ctx *x, Node *n, Span at, const char *who) {
  Check *c = x->c;
  n = vector_of_list(x, n);
  if (node_is_error(n) || (n->type.kind == TY_VECTOR && n->kind != N_VECTOR))
    return n;
  bool one = n->type.kind == TY_BOOL || type_is_number(n->type.kind);
  uint32_t count = one ? 1 : n->narg;
  Node **v = NEWN(c->a, Node *, count + 1);
  const char **names = NEWN(c->a, const char *, count + 1);
  if (!one && n->kind != N_VECTOR) {
    ctx_error(x, "CML0205", at, "write a vector such as `[a, b]` or `each float`",
              "%s takes a vector, and this is %s", who, type_article(n->type.kind));
    return c->error;
  }
  for (uint32_t i = 0; i < count; i++) {
    Node *e = one ? n : n->arg[i];
    TypeKind k = e->type.kind;
    names[i] = one ? NULL : n->names[i];
    if (k != TY_VECTOR && k != TY_BOOL && !type_is_number(k)) {
      const char *name = vector_name(n, i);
      ctx_error(x, "CML0205", at,
                type_is_text(k) ? "make numbers of them first: `one_hot(each category)`"
                                : "make numbers of them first, such as `year(..)`",
                "%s takes a vector of numbers, and the element `%s` is %s", who,
                name ? name + (*name == '.') : arena_printf(c->a, "%u", i + 1), type_article(k));
      return c->error;
    }
    v[i] = k == TY_VECTOR ? e : node_cast(&c->nodes, e, TY_FLOAT, at);
  }
  return vector_make(x, v, names, count, n->span);
}

/* ---- Which vectors go together ---- */

static bool named_throughout(const Node *v) {
  for (uint32_t i = 0; i < v->narg; i++)
    if (!v->names[i] || *v->names[i] == '~')
      return false;
  return true;
}

static int64_t find_name(const Node *v, const char *name) {
  for (uint32_t i = 0; i < v->narg; i++)
    if (strcmp(v->names[i], name) == 0)
      return i;
  return -1;
}

/* `v` in the order of `like`, by name; without names as it is. NULL: an element of `like` is not in it;
 * *missing says which. */
static Node *in_order(Ctx *x, Node *v, const Node *like, const char **missing) {
  if (!named_throughout(v) || !named_throughout(like))
    return v;
  Node **arg = NEWN(x->c->a, Node *, v->narg + 1);
  for (uint32_t i = 0; i < like->narg; i++) {
    int64_t at = find_name(v, like->names[i]);
    if (at < 0) {
      *missing = like->names[i] + (like->names[i][0] == '.');
      return NULL;
    }
    arg[i] = v->arg[at];
  }
  return vector_make(x, arg, like->names, v->narg, v->span);
}

/* Brings the written vectors among arg into one order; *first is one of them, for names and count. False:
 * reported. */
static bool vectors_align(Ctx *x, const char *shown, Node **arg, uint32_t n, const Node **first, Span at) {
  *first = NULL;
  for (uint32_t i = 0; i < n; i++) {
    const char *missing = NULL;
    if (!arg[i] || arg[i]->kind != N_VECTOR)
      continue;
    if (!*first) {
      *first = arg[i];
    } else if (arg[i]->narg != (*first)->narg) {
      ctx_error(x, "CML0214", at, "give both the same elements",
                "`%s` takes vectors of one width, and these have %u and %u elements", shown, (*first)->narg,
                arg[i]->narg);
      return false;
    } else {
      Node *v = in_order(x, arg[i], *first, &missing);
      if (!v) {
        ctx_error(x, "CML0214", at, "give both the same elements; elements go together by name",
                  "`%s` takes vectors with the same elements, and only one of these has `%s`", shown,
                  missing);
        return false;
      }
      arg[i] = v;
    }
  }
  for (uint32_t i = 0; i < n && *first; i++) /* names that were written, if there are any */
    if (arg[i] && arg[i]->kind == N_VECTOR && !named_throughout(*first) && named_throughout(arg[i]))
      *first = arg[i];
  return true;
}

/* Operations that give as many elements as their vector has. */
static bool keeps_width(const Node *n) {
  static const char *const others[] = {"project.vec", "interact.vec", "polynomial.vec"};
  size_t len = n->op ? strlen(n->op) : 0;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (n->op && strcmp(n->op, others[i]) == 0)
      return false;
  return len > 4 && strcmp(n->op + len - 4, ".vec") == 0;
}

/* The node that sets the width of a vector: a written vector, a vocabulary, a matrix, a number of
 * elements. */
static const Node *width_symbol(const Node *n) {
  for (;;) {
    const Node *next = NULL;
    if ((n->kind == N_CALL || n->kind == N_AGG) && keeps_width(n))
      for (uint32_t i = 0; i < n->narg && !next; i++)
        next = n->arg[i]->type.kind == TY_VECTOR ? n->arg[i] : NULL;
    if (!next)
      break;
    n = next;
  }
  static const char *const second[] = {"project.vec", "indicator.str", "count_vector.strs",
                                       "tf.strs",     "hashed.str",    "hashed.strs"};
  for (size_t i = 0; n->kind == N_CALL && i < sizeof second / sizeof *second; i++)
    if (strcmp(n->op, second[i]) == 0)
      return n->arg[1];
  return n;
}

static bool widths_agree(const Node *a, const Node *b) {
  const Node *u = width_symbol(a), *v = width_symbol(b);
  if (u == v || u->kind == N_COLUMN ||
      v->kind == N_COLUMN) /* parameters: checked where the function is called */
    return true;
  return a->type.width && a->type.width == b->type.width;
}

/* ---- Natives ---- */

bool vectors_among(Node *const *arg, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (arg[i] && arg[i]->type.kind == TY_VECTOR)
      return true;
  return false;
}

bool vectors_written(Node *const *arg, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (arg[i] && arg[i]->type.kind == TY_VECTOR && arg[i]->kind != N_VECTOR)
      return false;
  return vectors_among(arg, n);
}

bool native_elementwise(const Native *f, Node *const *arg, uint32_t n) {
  for (; f; f = f->next) {
    bool scalar = f->nparam >= n;
    for (uint32_t i = 0; i < n && i < f->nparam; i++)
      if (arg[i] && arg[i]->type.kind == TY_VECTOR && !f->param[i].var &&
          !type_is_scalar(f->param[i].type.kind))
        scalar = false;
    if (scalar)
      return true;
  }
  return false;
}

bool vector_result(Ctx *x, const char *shown, const char *op, Node *const *arg, uint32_t n, Type *t,
                   Span at) {
  const Node like = {.kind = N_CALL, .op = op}, *first = NULL;
  if (t->kind != TY_VECTOR || !keeps_width(&like))
    return true;
  for (uint32_t i = 0; i < n; i++) {
    if (arg[i]->type.kind != TY_VECTOR)
      continue;
    if (first && !widths_agree(first, arg[i])) {
      ctx_error(x, "CML0214", at, "compute with vectors of the same function and the same fitted value",
                "`%s` takes vectors with the same elements, and the widths of these are learned apart",
                shown);
      return false;
    }
    first = first ? first : arg[i];
    t->width = t->width ? t->width : arg[i]->type.width;
  }
  return true;
}

Node *vector_map(Ctx *x, const char *shown, Node **arg, uint32_t n, VectorFn one, void *with, Span at) {
  const Node *first;
  if (!vectors_align(x, shown, arg, n, &first, at))
    return x->c->error;
  uint32_t count = first->narg;
  const char **names = first->names;
  Node **out = NEWN(x->c->a, Node *, count + 1), **element = NEWN(x->c->a, Node *, n + 1);
  for (uint32_t k = 0; k < count; k++) {
    for (uint32_t i = 0; i < n; i++)
      element[i] = arg[i] && arg[i]->kind == N_VECTOR ? arg[i]->arg[k] : arg[i];
    out[k] = one(x, element, n, with);
    if (node_is_error(out[k]))
      return x->c->error;
  }
  return vector_make(x, out, names, count, at);
}

/* ---- each ---- */

static bool kind_named(const char *name, TypeKind k, bool *known) {
  TypeKind want;
  *known = strcmp(name, "number") == 0 || (type_named(name, &want) && type_is_scalar(want));
  if (strcmp(name, "number") == 0)
    return type_is_number(k);
  return *known && type_named(name, &want) &&
         (want == k || (type_is_text(want) && type_is_text(k) && want == TY_CATEGORY));
}

static bool excepted(const Expr *e, const char *name) {
  for (const Arg *g = e->args; g; g = g->next)
    if (g->value->kind == E_NAME && strcmp(g->value->name, name) == 0)
      return true;
  return false;
}

static bool exceptions_known(Ctx *x, const Expr *e) {
  bool good = true;
  for (const Arg *g = e->args; g; g = g->next) {
    if (g->value->kind != E_NAME) {
      ctx_error(x, "CML0204", g->value->span, "write `each float except [price, id]`",
                "after `except` stand names of columns");
      good = false;
    } else if (!data_column(x->data, g->value->name)) {
      no_column(x, x->data, g->value, NULL);
      good = false;
    }
  }
  return good;
}

Node *each_check(Ctx *x, const Expr *e) {
  Check *c = x->c;
  bool known;
  kind_named(e->name, TY_FLOAT, &known);
  if (!x->data || x->place == AT_TARGET) {
    ctx_error(x, "CML0201", e->span, "write it in a slot, and give it to the function there: `f(each float)`",
              "`each` names columns, and there are none here");
    return c->error;
  }
  if (!known) {
    ctx_error(x, "CML0219", e->span, "write float, int, number, bool, string, category, date or timestamp",
              "`each %s`: `%s` is not a type of column", e->name, e->name);
    return c->error;
  }
  if (x->data->broken || !exceptions_known(x, e))
    return c->error;
  uint32_t n = 0;
  Node **v = NEWN(c->a, Node *, x->data->column.n + 1);
  const char **names = NEWN(c->a, const char *, x->data->column.n + 1);
  bool unknown = false; /* a column whose type is not known may have been meant */
  for (uint32_t i = 0; i < x->data->column.n; i++) {
    TColumn *col = x->data->column.v[i].thing;
    unknown = unknown || col->type.kind == TY_ERROR;
    if (!kind_named(e->name, col->type.kind, &known) || excepted(e, col->name))
      continue;
    col->used = true;
    names[n] = arena_printf(c->a, ".%s", col->name);
    v[n++] = node_column(&c->nodes, col, PH_ROW, ctx_span(x, e->span));
  }
  if (!n && unknown)
    return c->error;
  if (!n) {
    ctx_error(x, "CML0204", e->span, "name columns: `[a, b]`, or another type",
              "`%s` has no column of this type%s", x->data->t->name,
              e->args ? " besides the exceptions" : "");
    return c->error;
  }
  return vector_make(x, v, names, n, ctx_span(x, e->span));
}

/* Does the expression, as written, name columns by their type? */
const Expr *each_in(const Expr *e) {
  if (!e || e->kind == E_EACH)
    return e;
  const Expr *found = each_in(e->a);
  found = found ? found : each_in(e->b);
  found = found ? found : each_in(e->c);
  for (const Arg *g = e->args; g && !found; g = g->next)
    found = each_in(g->value);
  return found;
}
