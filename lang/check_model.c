/* SPDX-License-Identifier: Apache-2.0 */
/* Models: the formula, the target, the rows, the options, and that no feature reads the target's family. */
#include <string.h>

#include "base/num.h"
#include "lang/check.h"

/* ---- The right side of the formula ---- */

static bool is_column_of(const Check *c, const char *name, DataInfo **of) {
  for (uint32_t i = 0; i < c->data.n; i++) {
    DataInfo *d = c->data.v[i].thing;
    if (data_column(d, name)) {
      *of = d;
      return true;
    }
  }
  return false;
}

static void not_features(Check *c, const ModelInfo *m, const Expr *e) {
  DataInfo *of = NULL;
  const char *target = m->decl->target ? source_text(c, m->decl->target->span) : "y";
  if (table_get(&c->features, e->name))
    return;
  if (is_column_of(c, e->name, &of)) {
    const TColumn *col = data_column(of, e->name);
    const char *form = type_is_text(col->type.kind)     ? "one_hot"
                       : type_is_number(col->type.kind) ? "standardize"
                                                        : NULL;
    const char *value = form ? arena_printf(c->a, "%s(%s)", form, e->name) : e->name;
    diag_add(c->d, SEV_ERROR, "CML0306", e->span,
             arena_printf(c->a, "write `features f of %s { %s = %s }` and `%s ~ f`", of->decl->name, e->name,
                          value, target),
             "`%s` is a column; the right side names features", e->name);
    return;
  }
  Near near = {.arena = c->a};
  near_table(&near, &c->features);
  const char *remedy = near_or_all(&near, e->name, "the features blocks are");
  diag_add(c->d, SEV_ERROR, "CML0306", e->span,
           remedy ? remedy : "declare `features NAME of DATA { ... }` and name it here",
           "there is no features block `%s`", e->name);
}

static void add_block(Check *c, ModelInfo *m, const Expr *e, uint32_t *cap) {
  FeaturesInfo *f = table_get(&c->features, e->name);
  if (!f) {
    not_features(c, m, e);
    m->broken = true;
    return;
  }
  f->used = true;
  if (!f->data || f->bad)
    m->broken = true;
  if (!f->data)
    return;
  if (!m->data)
    m->data = f->data;
  if (m->data != f->data) {
    Diag *g = diag_add(c->d, SEV_ERROR, "CML0321", e->span, "features of one model come from one data set",
                       "`%s` are features of `%s`, the others are of `%s`", e->name, f->data->decl->name,
                       m->data->decl->name);
    if (g)
      diag_note(c->d, g, f->decl->name_span, "`%s` is declared here", e->name);
    m->broken = true;
    return;
  }
  for (uint32_t i = 0; i < m->t->nblock; i++) {
    if (m->t->block[i] == f->t) {
      diag_add(c->d, SEV_ERROR, "CML0306", e->span, "name it once", "`%s` is named twice", e->name);
      return;
    }
    for (uint32_t a = 0; a < f->t->nslot; a++)
      for (uint32_t b = 0; b < m->t->block[i]->nslot; b++)
        if (strcmp(f->t->slot[a].name, m->t->block[i]->slot[b].name) == 0)
          diag_add(c->d, SEV_ERROR, "CML0208", e->span, "rename one of the slots",
                   "`%s` and `%s` both have a slot `%s`", f->t->name, m->t->block[i]->name,
                   f->t->slot[a].name);
  }
  PUSH(c->a, m->t->block, m->t->nblock, *cap, f->t);
}

static void check_blocks(Check *c, ModelInfo *m, const Expr *e, uint32_t *cap) {
  if (e->kind == E_NAME) {
    add_block(c, m, e, cap);
  } else if (e->kind == E_BINARY && e->op == OP_ADD) {
    check_blocks(c, m, e->a, cap);
    check_blocks(c, m, e->b, cap);
  } else {
    if (e->kind != E_ERROR)
      diag_add(c->d, SEV_ERROR, "CML0306", e->span,
               "compute it as a slot of a `features` block and name the block here",
               "the right side of `~` names features blocks, joined by `+`");
    m->broken = true;
  }
}

/* ---- The target ---- */

/* The condition of `derive late = if delay > 15 then 1 else 0`, as written. */
static const char *one_or_zero(Check *c, const ModelInfo *m, const Node *n) {
  const Item *i = n->kind == N_COLUMN ? table_get(&m->data->derive, n->column->name) : NULL;
  const Expr *e = i ? i->expr : m->decl->target;
  if (!e || e->kind != E_IF || e->b->kind != E_INT || e->c->kind != E_INT || e->b->i != 1 || e->c->i != 0)
    return NULL;
  return source_text(c, e->a->span);
}

static Node *bad_target(Ctx *x, const char *remedy, const Node *n, const char *wants) {
  Check *c = x->c;
  const Expr *e = x->owner->target;
  diag_add(c->d, SEV_ERROR, "CML0307", e->span, remedy, "%s; `%s` is %s", wants, source_text(c, e->span),
           type_name(n->type.kind));
  return NULL;
}

static const Arg *option_named(const Decl *decl, const char *name) {
  for (const Arg *g = decl->options; g; g = g->next)
    if (g->name && strcmp(g->name, name) == 0)
      return g;
  return NULL;
}

static Node *positive_target(Ctx *x, ModelInfo *m, Node *n, const Arg *positive) {
  Check *c = x->c;
  Ctx closed = {.c = c, .place = AT_OPTION, .owner = x->owner};
  Node *level = expr_check(&closed, positive->value);
  if (node_is_error(level))
    return NULL;
  if (level->kind != N_LIT || !type_is_text(level->type.kind)) {
    ctx_error(x, "CML0222", positive->value->span, "write `positive = \"yes\"`",
              "`positive` is a level of the target, as a text");
    return NULL;
  }
  const TColumn *col = n->kind == N_COLUMN ? n->column : NULL;
  bool in = !col || !col->nin;
  Near near = {.arena = c->a};
  for (uint32_t i = 0; col && i < col->nin; i++) {
    near_add(&near, col->in[i]);
    in = in || strcmp(col->in[i], level->s) == 0;
  }
  if (!in) {
    ctx_error(x, "CML0307", positive->value->span, near_or_all(&near, level->s, "its values are"),
              "\"%s\" is not in the domain of `%s`", level->s, col->name);
    return NULL;
  }
  m->t->positive = level->s;
  Node *pair[2] = {n, level};
  return expr_native(x, "eq", "==", pair, 2, x->owner->target->span);
}

/* A text without `positive`: each of its values is a class. */
static Node *class_target(Check *c, ModelInfo *m, Node *n) {
  Span at = m->decl->target->span;
  const Native *f = library_native(c->lib, "categories");
  Node **arg = NEWN(c->a, Node *, 2);
  arg[0] = node_cast(&c->nodes, n, TY_CATEGORY, at);
  arg[1] = node_int(&c->nodes, TY_INT, 1, at); /* min_count */
  Node like = {.kind = N_AGG,
               .phase = PH_FITTED,
               .type = f->result,
               .op = f->op,
               .shown = f->name,
               .arg = arg,
               .narg = 2,
               .span = at};
  m->t->task = TASK_MULTICLASS;
  m->t->classes = node_make(&c->nodes, &like);
  return arg[0];
}

/* Is it a text whose schema names two values? Then which of them is true has to be said. */
static bool has_two_levels(const Node *n) {
  return n->kind == N_COLUMN && n->column->nin == 2;
}

static Node *binary_target(Ctx *x, ModelInfo *m, Node *n) {
  Check *c = x->c;
  const Arg *positive = option_named(m->decl, "positive");
  const char *text = source_text(c, m->decl->target->span);
  TypeKind k = n->type.kind;
  if (type_is_text(k)) {
    if (positive)
      return positive_target(x, m, n, positive);
    if ((m->t->estimator->tasks & TASK_BIT(TASK_MULTICLASS)) && !has_two_levels(n))
      return class_target(c, m, n);
    const char *level = n->kind == N_COLUMN && n->column->nin ? n->column->in[n->column->nin - 1] : "yes";
    return bad_target(
        x, arena_printf(c->a, "say which of the two levels is positive: `positive = \"%s\"`", level), n,
        "the classifier must know which level is true");
  }
  if (positive)
    ctx_error(x, "CML0221", positive->name_span, "remove it",
              "`positive` names a level of a category target; `%s` is %s", text, type_name(k));
  if (k == TY_BOOL)
    return n;
  const char *cond = one_or_zero(c, m, n);
  const char *name = n->kind == N_COLUMN ? n->column->name : "yes";
  const char *remedy =
      cond                 ? arena_printf(c->a, "write `derive %s = %s`", name, cond)
      : !type_is_number(k) ? "write a condition, such as `x > 15`"
      : k == TY_INT && (m->t->estimator->tasks & TASK_BIT(TASK_MULTICLASS))
          ? arena_printf(c->a,
                         "write a condition: `%s == 1 ~ ...`; if each number is a class: `string(%s) ~ ...`",
                         text, text)
          : arena_printf(c->a, "write a condition: `%s == 1 ~ ...`", text);
  return bad_target(x, remedy, n, "a classifier's target is bool or category");
}

static Node *number_target(Ctx *x, ModelInfo *m, Node *n) {
  Check *c = x->c;
  const Arg *positive = option_named(m->decl, "positive");
  if (positive)
    ctx_error(x, "CML0221", positive->name_span, "remove it", "`positive` is an option of classifiers");
  if (type_is_number(n->type.kind))
    return node_cast(&c->nodes, n, TY_FLOAT, m->decl->target->span);
  const char *remedy = n->type.kind == TY_BOOL || type_is_text(n->type.kind)
                           ? "for a yes-or-no target use `logistic_regression`"
                           : "write a number computed from it";
  return bad_target(x, remedy, n, "a regression's target is a number");
}

static void null_target(Check *c, const ModelInfo *m, const Node *n) {
  const char *name = n->kind == N_COLUMN ? n->column->name : NULL;
  const char *data = m->data->decl->name;
  diag_add(c->d, SEV_ERROR, "CML0308", m->decl->target->span,
           name ? arena_printf(c->a, "leave such rows out: `where %s is not null` in `%s`", name, data)
                : arena_printf(c->a, "derive it in `%s`, and leave such rows out with `where .. is not null`",
                               data),
           "the target `%s` may be null", source_text(c, m->decl->target->span));
}

static void check_target(Check *c, ModelInfo *m) {
  const Decl *decl = m->decl;
  bool told = false;
  Ctx x = {.c = c, .place = AT_TARGET, .owner = decl, .data = m->data, .told = &told};
  m->t->target_text = source_text(c, decl->target->span);
  Node *n = expr_check(&x, decl->target);
  if (node_is_error(n) || !m->t->estimator) {
    m->broken = true;
    return;
  }
  bool nonnull = data_nonnull(m->data, n);
  if (n->phase != PH_ROW) {
    ctx_error(&x, "CML0307", decl->target->span, "name a column", "the target `%s` is the same in every row",
              m->t->target_text);
    m->broken = true;
    return;
  }
  bool classifier = m->t->estimator->tasks & (TASK_BIT(TASK_BINARY) | TASK_BIT(TASK_MULTICLASS));
  m->t->task = classifier ? TASK_BINARY : TASK_REGRESSION;
  Node *t = classifier ? binary_target(&x, m, n) : number_target(&x, m, n);
  if (t && !node_is_error(t) && !nonnull) {
    null_target(c, m, n);
    t = NULL;
  }
  if (t && !node_is_error(t) && t->type.nullable) { /* no such row is left: this only makes the type plain */
    Span at = decl->target->span;
    Node *none = t->type.kind == TY_BOOL      ? node_bool(&c->nodes, false, at)
                 : type_is_text(t->type.kind) ? node_text(&c->nodes, t->type.kind, "", at)
                                              : node_float(&c->nodes, 0, at);
    Node *pair[2] = {t, none};
    t = expr_native(&x, "coalesce", "coalesce", pair, 2, at);
  }
  m->t->target = t;
  m->broken = m->broken || !t || node_is_error(t);
}

/* ---- The target's family among the features ---- */

/* "write `each float except [price]`", with what is excepted already. */
static const char *each_remedy(Check *c, const Expr *each, const char *column) {
  const char *list = "";
  for (const Arg *g = each->args; g; g = g->next)
    list = arena_printf(c->a, "%s%s, ", list, source_text(c, g->value->span));
  return arena_printf(c->a, "write `each %s except [%s%s]`", each->name, list, column);
}

static void check_leak(Check *c, const ModelInfo *m, const TSlot *s) {
  const Node *key = NULL;
  const char *path = family_path(c, s->expr, m->t->target, &key);
  const char *target = m->t->target_text;
  Diag *g;
  if (!path)
    return;
  if (key) {
    g = diag_add(c->d, SEV_ERROR, "CML0303", s->span, "group by something that is known before the target is",
                 "slot `%s` looks up a table by the row's own target `%s`", s->name, target);
  } else {
    const char *last = strrchr(path, ' ');
    const char *read = last ? last + 1 : path;
    size_t n = strcspn(path, " ");
    bool itself = strlen(target) == n && memcmp(path, target, n) == 0;
    const char *remedy = arena_printf(
        c->a, "remove the slot; if `%s` is known at prediction time, say so in the schema: `%s: ... known`",
        read, read);
    const Expr *each = each_in(s->written);
    if (each)
      g = diag_add(c->d, SEV_ERROR, "CML0303", s->span, each_remedy(c, each, read),
                   "slot `%s` contains %s`%s`", s->name,
                   itself ? "the target " : "what the target is computed from, ", read);
    else if (itself)
      g = diag_add(
          c->d, SEV_ERROR, "CML0303", s->span,
          "remove the slot; a table of the target is cross-fitted: `target_mean(x, y)`, `mean(y) by x`",
          "slot `%s` contains the target `%s`", s->name, target);
    else
      g = diag_add(c->d, SEV_ERROR, "CML0303", s->span, remedy,
                   "slot `%s` reads `%s`, from which the target `%s` is computed (%s -> %s)", s->name, read,
                   target, s->name, path);
  }
  if (g)
    diag_note(c->d, g, m->decl->name_span, "the target is named in the model `%s`", m->decl->name);
}

/* ---- Rows and options ---- */

static void check_rows(Check *c, ModelInfo *m) {
  const Arg *on = option_named(m->decl, "on");
  const TData *t = m->data->t;
  if (on) {
    DataInfo *d = part_named(c, on->value, "`on`", &m->t->part);
    m->broken = m->broken || !d;
    if (d && d != m->data) {
      diag_add(c->d, SEV_ERROR, "CML0321", on->value->span,
               arena_printf(c->a, "write a part of `%s`", t->name), "the features of this model are of `%s`",
               t->name);
      m->broken = true;
    }
    return;
  }
  if (!t->npart || m->data->bad_split)
    return;
  if (data_part(t, "train")) {
    m->t->part = "train";
    return;
  }
  diag_add(c->d, SEV_ERROR, "CML0311", m->decl->name_span,
           arena_printf(c->a, "name the part to fit on: `on = %s.%s` (its parts are %s)", t->name,
                        t->part[0].name, data_parts(c, t)),
           "`%s` is split, but has no part `train`", t->name);
  m->broken = true;
}

static void check_options(Check *c, ModelInfo *m) {
  Ctx x = {.c = c, .place = AT_OPTION, .owner = m->decl};
  uint32_t cap = 0;
  for (const Arg *g = m->decl->options; g; g = g->next) {
    Node *value = NULL;
    if (g->name && (strcmp(g->name, "on") == 0 || strcmp(g->name, "positive") == 0))
      continue;
    if (best_written(g)) /* best_check, when the rows are known */
      continue;
    TOption t = {.name = g->name,
                 .span = g->value->span,
                 .spec = g->name ? option_find(m->t->estimator->options, g->name) : NULL};
    if (t.spec && t.spec->kind == OPT_EXPR)
      continue; /* it reads columns: when these are known */
    if (t.spec && t.spec->kind == OPT_EACH && g->value->kind == E_LIST) {
      m->broken |= !option_numbers(&x, m, t.spec, g, &t);
      PUSH(c->a, m->t->option, m->t->noption, cap, t);
      continue;
    }
    const Option *o = option_check(&x, m->t->estimator->options, m->t->estimator->name, g, &value);
    if (!o) {
      m->broken = true;
      continue;
    }
    PUSH(c->a, m->t->option, m->t->noption, cap,
         ((TOption){.name = o->name, .spec = o, .value = value, .span = g->value->span}));
  }
}

static const CatEstimator *estimator_named(Check *c, const Decl *decl) {
  Near near = {.arena = c->a};
  const char *all = "estimators are";
  for (const CatEstimator *e = c->cat->estimator; e && e->name; e++) {
    near_add(&near, e->name);
    all = arena_printf(c->a, "%s%s `%s`", all, near.n > 1 ? "," : "", e->name);
    if (strcmp(e->name, decl->estimator) == 0)
      return e;
  }
  const char *remedy = near_remedy(&near, decl->estimator);
  diag_add(c->d, SEV_ERROR, "CML0220", decl->estimator_span, remedy ? remedy : all,
           "there is no estimator `%s`", decl->estimator);
  return NULL;
}

/* A target where none is taken, or none where one is. */
static void formula_form(Check *c, const ModelInfo *m, bool alone) {
  const Decl *decl = m->decl;
  if (alone && decl->target && decl->formula)
    diag_add(c->d, SEV_ERROR, "CML0306", decl->target->span,
             arena_printf(c->a, "write `%s(%s)`", decl->estimator, source_text(c, decl->formula->span)),
             "`%s` learns from features alone; it takes no target", decl->estimator);
  else
    diag_add(c->d, SEV_ERROR, "CML0306", decl->estimator_span,
             arena_printf(c->a, alone ? "write `%s(block)`" : "write `%s(target ~ block)`", decl->estimator),
             alone ? "`%s` needs features" : "`%s` needs a target and features", decl->estimator);
}

static void no_target(Check *c, ModelInfo *m) {
  const Arg *positive = option_named(m->decl, "positive");
  m->t->task = TASK_CLUSTER;
  if (positive)
    diag_add(c->d, SEV_ERROR, "CML0221", positive->name_span, "remove it",
             "`positive` is an option of classifiers");
}

/* Options that mean something for two classes only. */
static void check_task_options(Check *c, const ModelInfo *m) {
  for (const Arg *g = m->decl->options; g && m->t->task == TASK_MULTICLASS; g = g->next)
    if (g->name && option_listed(m->t->estimator->two_class, g->name))
      diag_add(c->d, SEV_ERROR, "CML0221", g->name_span,
               "remove it; for a model with two classes write a condition, or say `positive`",
               "`%s` is an option of models with two classes, and `%s` has a class for each value of `%s`",
               g->name, m->t->name, m->t->target_text);
}

/* The offset is one more slot, behind all others. */
static void check_offset(Check *c, ModelInfo *m, uint32_t *cap) {
  const Option *table = m->t->estimator ? m->t->estimator->options : NULL;
  for (const Arg *g = m->decl->options; g; g = g->next) {
    const Option *o = g->name ? option_find(table, g->name) : NULL;
    if (o && o->kind == OPT_EXPR)
      offset_check(c, m, g);
  }
  if (m->t->offset_block)
    PUSH(c->a, m->t->block, m->t->nblock, *cap, m->t->offset_block);
}

void model_check(Check *c, ModelInfo *m) {
  const Decl *decl = m->decl;
  uint32_t cap = 0;
  m->t = NEW(c->a, TModel);
  m->t->name = decl->name;
  m->t->doc = decl->doc;
  m->t->span = decl->span;
  PUSH(c->a, c->tree->model, c->tree->nmodel, c->model_cap, m->t);
  if (!decl->estimator) {
    m->broken = true;
    return;
  }
  m->t->estimator = estimator_named(c, decl);
  m->broken = !m->t->estimator;
  bool alone = m->t->estimator && (m->t->estimator->tasks & TASK_BIT(TASK_CLUSTER));
  if (!decl->formula || !decl->target != alone) {
    if (m->t->estimator)
      formula_form(c, m, alone);
    m->broken = true;
  } else {
    check_blocks(c, m, decl->formula, &cap);
  }
  if (m->t->estimator)
    check_options(c, m);
  if (!m->data)
    return;
  m->t->data = m->data->t;
  if (alone)
    no_target(c, m);
  else
    check_target(c, m);
  check_task_options(c, m);
  check_offset(c, m, &cap);
  check_rows(c, m);
  best_check(c, m);
  if (m->t->target && !node_is_error(m->t->target))
    for (uint32_t i = 0; i < m->t->nblock; i++)
      for (uint32_t k = 0; k < m->t->block[i]->nslot; k++)
        check_leak(c, m, &m->t->block[i]->slot[k]);
}
