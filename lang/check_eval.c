/* SPDX-License-Identifier: Apache-2.0 */
/* evaluate: metrics and expects. */
#include <string.h>

#include "lang/check.h"

enum { METRICS_SHOWN = 8 }; /* in a message */

ModelInfo *model_named(Check *c, const Decl *decl) {
  ModelInfo *m = decl->name ? table_get(&c->model, decl->name) : NULL;
  if (m) {
    m->used = true;
    return m;
  }
  if (decl->name)
    not_declared(c, &c->model, decl->name, decl->name_span);
  return NULL;
}

/* ---- Metrics ---- */

const CatMetric *metric_named(const Check *c, const char *name) {
  for (const CatMetric *m = c->cat->metric; m && m->name; m++)
    if (strcmp(m->name, name) == 0)
      return m;
  return NULL;
}

/* A name may stand for a metric of each task: the one that fits the model, else the first. */
static const CatMetric *metric_for(const Check *c, const char *name, const ModelInfo *m) {
  unsigned have = !m->t->estimator ? ~0u : m->broken ? m->t->estimator->tasks : TASK_BIT(m->t->task);
  for (const CatMetric *o = c->cat->metric; o && o->name; o++)
    if (strcmp(o->name, name) == 0 && (o->tasks & have))
      return o;
  return metric_named(c, name);
}

bool is_metric(const Check *c, const char *name) {
  return metric_named(c, name) != NULL;
}

/* The first that is there says what it is about. */
static const char *task_text(unsigned tasks) {
  return tasks & TASK_BIT(TASK_REGRESSION)                                 ? "a regression"
         : tasks & (TASK_BIT(TASK_BINARY) | TASK_BIT(TASK_MULTICLASS)) ? "a classifier"
                                                                       : "clusters";
}

static bool task_fits(Ctx *x, const CatMetric *m, Span at) {
  const ModelInfo *model = x->eval->model;
  if (!model->t->estimator)
    return true;
  unsigned have = model->broken ? model->t->estimator->tasks : TASK_BIT(model->t->task);
  if (m->tasks & have)
    return true;
  Check *c = x->c;
  const char *list = "";
  uint32_t n = 0;
  for (const CatMetric *o = c->cat->metric; o->name; o++)
    if ((o->tasks & have) && n++ < METRICS_SHOWN)
      list = arena_printf(c->a, "%s%s%s", list, *list ? ", " : "", o->name);
  const char *more = n > METRICS_SHOWN ? ", ...: `cmlc doc metrics` lists all" : "";
  const char *remedy = *list ? arena_printf(c->a, "its metrics are %s%s", list, more) : "it has no metrics";
  if (model->t->task == TASK_MULTICLASS && (m->tasks & TASK_BIT(TASK_BINARY)))
    ctx_error(
        x, "CML0318", at,
        arena_printf(c->a, "%s; for a model with two classes write a condition, or say `positive`", remedy),
        "`%s` needs a model with two classes, and `%s` has a class for each value of `%s`", m->name,
        model->t->name, model->t->target_text);
  else
    ctx_error(x, "CML0318", at, remedy, "`%s` measures %s, and `%s` is %s", m->name, task_text(m->tasks),
              model->t->name, task_text(have));
  return false;
}

/* Reads `auc` or `precision(threshold = 0.3)`, also with `vs other`; NULL: reported. */
static TMetric *read_metric(Ctx *x, const Expr *e) {
  Check *c = x->c;
  if (e->kind == E_VS) {
    TMetric *m = e->a->kind == E_NAME || e->a->kind == E_CALL ? read_metric(x, e->a) : NULL;
    return m && vs_check(x, e, m) ? m : NULL;
  }
  Near near = {.arena = c->a};
  Span at = e->name_span.file ? e->name_span : e->span;
  const CatMetric *m = metric_for(c, e->name, x->eval->model);
  if (!m) {
    for (const CatMetric *o = c->cat->metric; o && o->name; o++)
      near_add(&near, o->name);
    const char *remedy = near_remedy(&near, e->name);
    ctx_error(x, "CML0318", at, remedy ? remedy : "`cmlc doc metrics` lists them", "`%s` is not a metric",
              e->name);
    return NULL;
  }
  if (!task_fits(x, m, at))
    return NULL;
  TMetric *t = NEW(c->a, TMetric);
  Ctx closed = {.c = c, .place = AT_OPTION, .owner = x->owner};
  uint32_t cap = 0;
  t->metric = m;
  t->text = x->eval->model->broken ? source_text(c, e->span) : m->name;
  t->span = e->span;
  /* of a broken model it is not known which of the metrics of this name is meant, and so which options it
   * has */
  for (const Arg *g = e->kind == E_CALL && !x->eval->model->broken ? e->args : NULL; g; g = g->next) {
    Node *value = NULL;
    bool two = x->eval->model->t->task == TASK_MULTICLASS && !x->eval->model->broken;
    if (two && g->name && strcmp(g->name, "threshold") == 0) {
      ctx_error(x, "CML0221", g->name_span,
                "remove it; the class of a row is the one with the greatest probability",
                "`%s` is an option for models with two classes", g->name);
      return NULL;
    }
    const Option *o = option_check(&closed, m->options, m->name, g, &value);
    if (!o)
      return NULL;
    const char *text = value->kind == N_LIT ? option_text(c->a, value) : source_text(c, g->value->span);
    t->text = arena_printf(c->a, t->noption ? "%s, %s = %s" : "%s(%s = %s", t->text, o->name, text);
    PUSH(c->a, t->option, t->noption, cap,
         ((TOption){.name = o->name, .spec = o, .value = value, .span = g->value->span}));
  }
  if (t->noption)
    t->text = arena_printf(c->a, "%s)", t->text);
  return t;
}

static uint32_t add_metric(Check *c, EvalInfo *v, const TMetric *t) {
  PUSH(c->a, v->t->metric, v->t->nmetric, v->metric_cap, *t);
  return v->t->nmetric - 1;
}

static int64_t same_metric(const TEvaluate *t, const TMetric *m) {
  for (uint32_t i = 0; i < t->nmetric; i++)
    if (t->metric[i].by == m->by && strcmp(t->metric[i].text, m->text) == 0)
      return i;
  return -1;
}

/* A metric in an `expect`: the value over all evaluated rows; null where it is not defined. */
Node *metric_value(Ctx *x, const Expr *e) {
  Check *c = x->c;
  EvalInfo *v = x->eval;
  const Expr *named = e->kind == E_VS ? e->a : e;
  if (e->kind != E_VS && !is_metric(c, named->name))
    return NULL;
  TMetric *m = read_metric(x, e);
  if (!m)
    return c->error;
  if (!m->metric->scalar) {
    ctx_error(x, "CML0318", e->span, "name it as an entry of its own", "`%s` is a table, not a number",
              named->name);
    return c->error;
  }
  if (same_metric(v->t, m) < 0)
    add_metric(c, v, m);
  TColumn *col = table_get(&v->value, m->text);
  if (!col) {
    col = NEW(c->a, TColumn);
    *col = (TColumn){.name = m->text, .type = {.kind = TY_FLOAT, .nullable = true}, .span = e->span};
    table_add(&v->value, m->text, col);
  }
  return node_column(&c->nodes, col, PH_ROW, e->span);
}

static void metric_by(Ctx *x, const Item *i, TMetric *m, DataInfo *d) {
  Check *c = x->c;
  const Arg *g = i->by;
  if (g->next || g->value->kind != E_NAME) {
    ctx_error(x, "CML0319", g->value->span, "derive a column in `data` that joins them, and slice by it",
              "a metric is sliced by one column");
    return;
  }
  const char *name = g->value->name;
  TColumn *col = data_column(d, name);
  if (!col) {
    no_column(x, d, g->value, NULL);
    return;
  }
  TypeKind k = col->type.kind;
  col->used = true;
  if (!type_is_text(k) && k != TY_INT && k != TY_BOOL && k != TY_DATE && k != TY_ERROR)
    ctx_error(x, "CML0319", g->value->span,
              k == TY_FLOAT
                  ? arena_printf(c->a,
                                 "derive intervals in `data`: `derive %s_bin = bucketize(%s, [10, 20])`",
                                 name, name)
                  : "slice by a category, int, bool or date",
              "slices are made of few values, and `%s` is %s", name, type_name(k));
  if (!m->metric->scalar)
    ctx_error(x, "CML0319", i->span, "slice a metric that is a number",
              "`%s` is a table; it cannot be sliced", m->metric->name);
  m->by = col;
}

static void check_metric(Ctx *x, const Item *i, DataInfo *d) {
  Check *c = x->c;
  EvalInfo *v = x->eval;
  if (!i->expr || (i->expr->kind != E_NAME && i->expr->kind != E_CALL && i->expr->kind != E_VS))
    return;
  TMetric *m = read_metric(x, i->expr);
  if (!m)
    return;
  m->span = i->span;
  if (i->by)
    metric_by(x, i, m, d);
  if (i->top) {
    Ctx closed = {.c = c, .place = AT_OPTION, .owner = x->owner};
    Node *n = expr_coerce(&closed, expr_check(&closed, i->top), type_of(TY_INT), i->top->span, "`top`");
    if (!node_is_error(n) && (n->kind != N_LIT || n->i < 1))
      ctx_error(x, "CML0319", i->top->span, "write `top 10`", "`top` takes a number of slices, 1 or more");
    else if (!i->by)
      ctx_error(x, "CML0319", i->top->span, "write `auc by column top 10`", "`top` belongs to `by`");
    else
      m->top = node_is_error(n) ? 0 : n->i;
  }
  if (same_metric(v->t, m) >= 0)
    diag_add(c->d, SEV_WARNING, "CML0323", i->span, "remove one", "`%s` is named twice",
             source_text(c, i->span));
  else
    add_metric(c, v, m);
}

/* ---- evaluate ---- */

static void check_expect(Ctx *x, const Item *i) {
  Check *c = x->c;
  EvalInfo *v = x->eval;
  if (!i->expr || i->expr->kind == E_ERROR)
    return;
  if (v->t->seen) {
    ctx_error(x, "CML0310", i->span,
              "expect it of rows that the model has not seen, as in `evaluate m on d.test`",
              "`expect` on the rows a model was fitted on proves nothing");
    return;
  }
  uint32_t before = v->t->nmetric;
  bool told = false;
  x->told = &told;
  Node *n = expr_check(x, i->expr);
  if (type_is_number(n->type.kind)) {
    ctx_error(x, "CML0318", i->expr->span,
              arena_printf(c->a, "compare it: `expect %s %s`", source_text(c, i->expr->span),
                           i->expr->kind == E_VS ? "> 0" : ">= 0.7"),
              "an `expect` is true or false, and this is a number");
    return;
  }
  n = expr_coerce(x, n, type_of(TY_BOOL), i->expr->span, "`expect`");
  if (node_is_error(n))
    return;
  if (n->phase != PH_ROW && before == v->t->nmetric)
    ctx_error(x, "CML0318", i->expr->span, "compare a metric: `expect auc >= 0.7`",
              "this `expect` names no metric");
  PUSH(c->a, v->t->expect, v->t->nexpect, v->expect_cap,
       ((TExpect){n, source_text(c, i->expr->span), i->span}));
}

/* Which rows: are they ones the model was fitted on? */
static bool rows_of(Check *c, const Decl *decl, ModelInfo *m, TEvaluate *t) {
  if (!decl->on || decl->on->kind == E_ERROR)
    return false;
  DataInfo *d = part_named(c, decl->on, "`on`", &t->part);
  if (!d)
    return false;
  t->data = d->t;
  if (!m->data)
    return true;
  if (d != m->data) {
    diag_add(c->d, SEV_ERROR, "CML0321", decl->on->span,
             arena_printf(c->a, "evaluate it on a part of `%s`", m->data->decl->name),
             "`%s` has features of `%s`; evaluation on other data is not part of this version", m->t->name,
             m->data->decl->name);
    return false;
  }
  if (m->broken || d->bad_split) /* what it was fitted on is not known */
    return true;
  if (!t->part && m->t->part) {
    const TData *data = d->t;
    const char *other = NULL;
    for (uint32_t i = 0; i < data->npart && !other; i++)
      if (!(data->part[i].leaves & data_leaves(data, m->t->part)))
        other = data->part[i].name;
    if (data_part(data, "test") && strcmp(m->t->part, "test") != 0)
      other = "test";
    diag_add(c->d, SEV_ERROR, "CML0309", decl->on->span,
             arena_printf(c->a, "write `on %s.%s`", data->name, other ? other : m->t->part),
             "`%s` was fitted on `%s.%s`, a part of `%s`", m->t->name, data->name, m->t->part, data->name);
    return false;
  }
  t->seen = !m->t->part || (data_leaves(d->t, m->t->part) & data_leaves(d->t, t->part)) != 0;
  best_unseen(c, m->t, t, decl->on->span);
  return true;
}

void evaluate_check(Check *c, const Decl *decl) {
  TEvaluate t = {.span = decl->span};
  ModelInfo *m = model_named(c, decl);
  if (!m) {
    if (decl->on)
      part_named(c, decl->on, "`on`", &t.part);
    return;
  }
  t.model = m->t;
  bool good_rows = rows_of(c, decl, m, &t);
  DataInfo *d = m->data;
  EvalInfo v = {.model = m, .t = &t};
  table_init(&v.value, c->a);
  Ctx x = {.c = c, .place = AT_EXPECT, .owner = decl, .eval = &v};
  bool any = false;
  for (const Item *i = decl->items; i; i = i->next) {
    any = any || i->kind == I_METRIC || i->kind == I_EXPECT || i->kind == I_OTHER;
    if (i->kind == I_SLOT)
      ctx_error(&x, "CML0111", i->span, "name a metric of cml",
                "metrics of one's own are not part of this version");
    if (i->kind == I_METRIC && d)
      check_metric(&x, i, d);
    any = any || i->kind == I_SLOT;
  }
  for (const Item *i = decl->items; i;
       i = i->next) /* after the metrics, so that these keep the order written */
    if (i->kind == I_EXPECT)
      check_expect(&x, i);
  if (!any)
    diag_add(c->d, SEV_ERROR, "CML0324", decl->span, "name one: `evaluate m on d.test { auc }`",
             "this `evaluate` names no metric");
  if (good_rows)
    PUSH(c->a, c->tree->evaluate, c->tree->nevaluate, c->evaluate_cap, t);
}
