/* SPDX-License-Identifier: Apache-2.0 */
/* `auc vs other`: may these two models be compared on the rows of this `evaluate`? */
#include <string.h>

#include "lang/check.h"

static bool cannot(Ctx *x, Span at, const char *remedy, const char *cause) {
  ctx_error(x, "CML0346", at, remedy, "%s", cause);
  return false;
}

static bool same_part(const char *a, const char *b) {
  return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The rows are new to both. */
static bool rows_new(Ctx *x, const Expr *e, const TEvaluate *t, const TModel *other) {
  Check *c = x->c;
  if (t->seen)
    return cannot(x, e->span, "compare on rows that neither model has seen",
                  arena_printf(c->a, "`%s` was fitted on these rows", t->model->name));
  if (t->data && (!other->part || (data_leaves(t->data, other->part) & data_leaves(t->data, t->part)) != 0))
    return cannot(x, e->name_span, "compare on rows that neither model has seen",
                  arena_printf(c->a, "`%s` was fitted on these rows", other->name));
  best_unseen(c, other, t, e->name_span);
  return true;
}

bool vs_check(Ctx *x, const Expr *e, TMetric *m) {
  Check *c = x->c;
  ModelInfo *own = x->eval->model, *other = table_get(&c->model, e->name);
  if (!other) {
    not_declared(c, &c->model, e->name, e->name_span);
    return false;
  }
  other->used = true;
  if (other->broken || own->broken || !other->t)
    return false;
  const TModel *a = own->t, *b = other->t;
  m->vs = other->t;
  m->text = arena_printf(c->a, "%s vs %s", m->text, b->name);
  if (a == b)
    return cannot(x, e->name_span, "name another model",
                  arena_printf(c->a, "`%s` is compared with itself", a->name));
  if (!m->metric->scalar || strcmp(m->metric->name, "best_threshold") == 0)
    return cannot(x, e->a->span, "compare a metric that is one number, such as auc or rmse",
                  arena_printf(c->a, "`%s` cannot be compared", m->metric->name));
  if (a->data != b->data || a->task != b->task || a->target != b->target || !a->target)
    return cannot(
        x, e->name_span, "compare models of one data set with one target",
        arena_printf(c->a, "`%s` and `%s` have not the same target of the same data", a->name, b->name));
  if (a->task == TASK_MULTICLASS && !same_part(a->part, b->part))
    return cannot(x, e->name_span, "fit both on the same part",
                  arena_printf(c->a,
                               "`%s` and `%s` may know other classes, since they are fitted on other rows",
                               a->name, b->name));
  return rows_new(x, e, x->eval->t, b);
}
