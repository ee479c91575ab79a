/* SPDX-License-Identifier: Apache-2.0 */
/* A native function with its arguments, which fit by type: literals that lie outside of what the operation
 * takes, and the natives that become something else than a call. Read native_node at the end first. */
#include <math.h>
#include <string.h>

#include "lang/check.h"

/* ---- Literals ---- */

/* A literal argument outside low..high; others are seen when they are computed. */
static bool whole_fits(Ctx *x, const Node *n, int64_t low, int64_t high, Span at, const char *what) {
  if (n->kind != N_LIT || n->type.kind != TY_INT || (n->i >= low && n->i <= high))
    return true;
  ctx_error(x, "CML0205", at,
            arena_printf(x->c->a, "write a number from %lld to %lld", (long long)low, (long long)high),
            "%s is %lld", what, (long long)n->i);
  return false;
}

/* The same for texts: op_text.c and op_sparse.c do with less than that, and the order is theirs. */
static bool text_literals_fit(Ctx *x, const char *op, Node *const *arg, Span at) {
  if (strcmp(op, "tf.strs") == 0 || strcmp(op, "hashed.str") == 0 || strcmp(op, "hashed.strs") == 0)
    return whole_fits(x, arg[1], 1, 1 << 24, at, "the number of elements of a hashed vector");
  if (strcmp(op, "n_grams.strs") == 0)
    return whole_fits(x, arg[1], 1, 100, at, "the length of the longest n-gram") &&
           whole_fits(x, arg[2], 1, arg[1]->kind == N_LIT ? arg[1]->i : 100, at,
                      "the length of the shortest n-gram");
  if (strcmp(op, "tokenize.str") == 0)
    return whole_fits(x, arg[2], 1, INT32_MAX, at, "the length of the shortest token");
  if (strcmp(op, "vocabulary.strs") == 0)
    return whole_fits(x, arg[1], 0, 10000000, at, "the number of terms") &&
           whole_fits(x, arg[2], 0, INT64_MAX, at, "the number of rows");
  return true;
}

/* A written list of levels: texts that are known, each once. */
static bool levels_fit(Ctx *x, const Node *list, Span at) {
  for (uint32_t i = 0; list->kind == N_LIST && i < list->narg; i++) {
    if (list->arg[i]->kind != N_LIT) {
      ctx_error(x, "CML0205", at, "write texts: `[\"S\", \"M\", \"L\"]`", "a list of levels holds constants");
      return false;
    }
    for (uint32_t k = 0; k < i; k++)
      if (list->arg[k] == list->arg[i]) {
        ctx_error(x, "CML0205", at, "name each level once", "the level \"%s\" is in the list twice",
                  list->arg[i]->s);
        return false;
      }
  }
  return true;
}

/* Arguments that literals already show to be wrong. */
bool native_literals_fit(Ctx *x, const char *op, Node *const *arg, Span at) {
  if (!text_literals_fit(x, op, arg, at))
    return false;
  if (strcmp(op, "quantile.f64") == 0 && arg[1]->kind == N_LIT && !(arg[1]->f >= 0 && arg[1]->f <= 1)) {
    ctx_error(x, "CML0205", at, "write a share such as 0.25 or 25%", "the share of a quantile lies in 0..1");
    return false;
  }
  if (strcmp(op, "quantiles.f64") == 0 && arg[1]->kind == N_LIT && arg[1]->i < 2) {
    ctx_error(x, "CML0205", at, "write 2 or more", "a division into quantiles has at least 2 parts");
    return false;
  }
  if (strcmp(op, "index_of.str") == 0 && !levels_fit(x, arg[1], at))
    return false;
  if (strcmp(op, "spline.f64") == 0 && arg[2]->kind == N_LIT && arg[3]->kind == N_LIT &&
      !(arg[2]->i >= 2 && arg[2]->i <= 1000 && arg[3]->i >= 0 && arg[3]->i <= 8)) {
    ctx_error(x, "CML0205", at, "write `spline(x, knots = 5, degree = 3)`",
              "a spline has 2 to 1000 knots and a degree from 0 to 8");
    return false;
  }
  if (strcmp(op, "grid.f64") == 0 && arg[1]->kind == N_LIT && !(arg[1]->i >= 2 && arg[1]->i <= 10000)) {
    ctx_error(x, "CML0205", at, "write a whole number from 2 to 10000",
              "a transform by quantiles has 2 to 10000 of them");
    return false;
  }
  if (strcmp(op, "polynomial.vec") == 0 && arg[1]->kind != N_COLUMN &&
      (arg[1]->kind != N_LIT || arg[2]->kind != N_LIT || arg[1]->i < 1 || arg[1]->i > 8)) {
    ctx_error(x, "CML0205", at, "write a whole number from 1 to 8",
              "the degree of a polynomial lies in 1..8");
    return false;
  }
  if (strcmp(op, "eigenvectors.mat") == 0 && arg[1]->kind == N_LIT && arg[1]->i < 1) {
    ctx_error(x, "CML0205", at, "write a whole number from 1 on", "the number of components is 1 or more");
    return false;
  }
  if (strcmp(op, "bucket.f64") == 0 && arg[1]->kind == N_LIST)
    for (uint32_t i = 1; i < arg[1]->narg; i++) {
      const Node *a = arg[1]->arg[i - 1], *b = arg[1]->arg[i];
      if (a->kind == N_LIT && b->kind == N_LIT && !(a->f < b->f)) {
        ctx_error(x, "CML0205", at, "sort them, each once", "the cut points of intervals must increase");
        return false;
      }
    }
  return true;
}

/* ---- Natives of another form ---- */

/* `levels(x)`: of a column with an ordered domain that domain, else the values of the training rows,
 * sorted. */
static Node *levels_node(Ctx *x, Node *of, Type t, Span at) {
  Check *c = x->c;
  NodeTab *nodes = &c->nodes;
  const TColumn *col = of->kind == N_COLUMN ? of->column : NULL;
  if (col && col->ordered && col->nin) {
    Node like = {.kind = N_LIST,
                 .type = t,
                 .phase = PH_CONST,
                 .narg = col->nin,
                 .arg = NEWN(c->a, Node *, col->nin),
                 .span = at};
    for (uint32_t i = 0; i < col->nin; i++)
      like.arg[i] = node_text(nodes, TY_CATEGORY, col->in[i], at);
    return node_make(nodes, &like);
  }
  if (of->phase != PH_ROW && of->kind != N_COLUMN) {
    ctx_error(x, "CML0212", at, "give it a column", "`levels` of a value that is the same in every row");
    return c->error;
  }
  Node like = {.kind = N_AGG,
               .type = t,
               .phase = PH_FITTED,
               .op = "categories.str",
               .shown = "categories",
               .narg = 2,
               .span = at};
  like.arg = NEWN(c->a, Node *, 2);
  like.arg[0] = of;
  like.arg[1] = node_int(nodes, TY_INT, 1, at);
  return node_make(nodes, &like);
}

/* `eigenvectors(covariance(v), k)`: learned in the scan that learns the covariance, so it is an aggregate
 * of v. */
static Node *eigenvectors_node(Ctx *x, Node *const *arg, Type t, Span at) {
  Check *c = x->c;
  Node *m = arg[0];
  if (m->kind == N_COLUMN) /* the parameter of a function that is checked on its own */
    return node_call(&c->nodes, "eigenvectors.mat", "eigenvectors", t, arg, 3, at);
  if (m->kind != N_AGG || strcmp(m->op, "covariance.vec") != 0 || arg[2]->kind != N_LIT) {
    ctx_error(x, "CML0205", at, "write `eigenvectors(covariance(v), k)`",
              "`eigenvectors` takes the covariance of a vector");
    return c->error;
  }
  Node like = *m;
  like.op = arg[2]->b ? "whitening.vec" : "components.vec";
  like.shown = "eigenvectors";
  like.narg = 2;
  like.arg = NEWN(c->a, Node *, 2);
  like.arg[0] = m->arg[0];
  like.arg[1] = arg[1];
  like.span = at;
  return node_make(&c->nodes, &like);
}

typedef struct Choice { /* a word, and the number that the operation takes for it */
  const char *word;
  double number;
} Choice;

/* One of n words as its number. The parameter of a function that is checked on its own stays. */
static Node *chosen(Ctx *x, Node *word, const Choice *of, size_t n, const char *remedy, const char *cause,
                    Span at) {
  for (size_t i = 0; word->kind == N_LIT && i < n; i++)
    if (strcmp(word->s, of[i].word) == 0)
      return node_float(&x->c->nodes, of[i].number, at);
  if (word->kind == N_COLUMN)
    return word;
  ctx_error(x, "CML0205", at, remedy, "%s", cause);
  return x->c->error;
}

static Node *norm_order(Ctx *x, Node *norm, Span at) {
  static const Choice known[] = {{"l1", 1}, {"l2", 2}, {"max", INFINITY}};
  return chosen(x, norm, known, 3,
                "write \"l2\" for the length, \"l1\" for the sum of absolute values, \"max\" for the largest",
                "there is no such norm", at);
}

Node *native_drop(Ctx *x, Node *drop, Span at) {
  static const Choice known[] = {{"none", 0}, {"first", 1}};
  return chosen(x, drop, known, 2, "write \"first\" to leave out the first level, or \"none\"",
                "`drop` is neither \"first\" nor \"none\"", at);
}

Node *native_arg(Ctx *x, const NativeParam *p, const char *shown, Node *arg, Type bound, Span at) {
  NodeTab *t = &x->c->nodes;
  if (p->var || p->type.kind != TY_VECTOR)
    return node_cast(t, arg, p->var ? bound.kind : p->type.kind, at);
  if (arg->type.kind == TY_VECTOR)
    return vector_floats(x, arg, at, arena_printf(x->c->a, "`%s`", shown));
  return node_cast(t, arg, TY_FLOAT, at); /* stands for every element */
}

/* stop_words("english") is what the library's stop_words_english() says. */
static Node *stop_words(Ctx *x, const Node *language, Span at) {
  Check *c = x->c;
  const Decl *fn =
      language->kind == N_LIT ? library_fn(c->lib, arena_printf(c->a, "stop_words_%s", language->s)) : NULL;
  if (!fn) {
    ctx_error(x, "CML0205", at,
              "write \"english\" or \"german\", or a list of your own: `remove(t, [\"a\", \"the\"])`",
              "there are no stop words for this language");
    return c->error;
  }
  Ctx closed = {.c = c, .place = AT_FN, .outer = ctx_span(x, at), .via = fn->name};
  return expr_check(&closed, fn->expr);
}

/* ---- The node ---- */

const char *native_op(Check *c, const Native *f, Type bound) {
  size_t n = strlen(f->op);
  bool generic = n > 2 && f->op[n - 2] == '.' && strchr("TON", f->op[n - 1]);
  return generic ? arena_printf(c->a, "%.*s%s", (int)n - 1, f->op, type_rep(bound.kind)) : f->op;
}

Node *native_node(Ctx *x, const Native *f, const char *shown, Node *const *arg, uint32_t n, Type bound,
                  Span at) {
  Check *c = x->c;
  if (strcmp(f->op, "stop_words") == 0)
    return stop_words(x, arg[0], at);
  Node *cast[NATIVE_ARGS];
  Type t = f->var ? bound : f->result;
  t.nullable = f->result.nullable;
  for (uint32_t i = 0; i < n; i++) {
    const NativeParam *p = &f->param[i];
    cast[i] = native_arg(x, p, shown, arg[i], bound, at);
    if (node_is_error(cast[i]))
      return c->error;
    t.nullable = t.nullable || (arg[i]->type.nullable && !p->type.nullable);
  }
  const char *op = native_op(c, f, bound);
  if (strcmp(op, "same") == 0)
    return cast[0];
  if (!native_literals_fit(x, op, cast, at) || !vector_result(x, shown, op, cast, n, &t, at))
    return c->error;
  if (strcmp(op, "normalize.vec") == 0 && node_is_error(cast[1] = norm_order(x, cast[1], at)))
    return c->error;
  if (strcmp(op, "eigenvectors.mat") == 0)
    return eigenvectors_node(x, cast, t, at);
  if (strcmp(op, "levels.str") == 0)
    return levels_node(x, cast[0], t, at);
  return node_call(&c->nodes, op, shown, t, cast, n, at);
}
