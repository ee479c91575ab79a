/* SPDX-License-Identifier: Apache-2.0 */
/* `threshold = best(f1, on = d.valid)`: a threshold that is chosen, after training, on a named part. */
#include <string.h>

#include "lang/check.h"

/* Is it written in this way? */
bool best_written(const Arg *g) {
  return g->name && strcmp(g->name, "threshold") == 0 && g->value->kind == E_CALL &&
         strcmp(g->value->name, "best") == 0;
}

static const Arg *best_of(const ModelInfo *m) {
  for (const Arg *g = m->decl->options; g; g = g->next)
    if (best_written(g))
      return g;
  return NULL;
}

/* The rows to choose on: named, of the model's data, and not those that it learns from. */
static bool best_rows(Ctx *x, ModelInfo *m, const Arg *on, TBest *b) {
  Check *c = x->c;
  const TData *t = m->data->t;
  DataInfo *d = part_named(c, on->value, "`on`", &b->part);
  b->data = t;
  if (!d)
    return false;
  if (d != m->data) {
    ctx_error(x, "CML0321", on->value->span, arena_printf(c->a, "write a part of `%s`", t->name),
              "the features of this model are of `%s`", t->name);
    return false;
  }
  bool same = (b->part || !m->t->part) && (data_leaves(t, b->part) & data_leaves(t, m->t->part)) != 0;
  if (same || (!b->part && !t->npart)) {
    diag_add(c->d, SEV_WARNING, "CML0345", on->value->span,
             "choose it on a part of its own: `split train 60%, valid 20%, test 20% by ...`",
             "`%s` chooses its threshold on the rows it is fitted on, where its scores are too good",
             m->t->name);
    b->seen = true;
  } else if (!b->part) {
    ctx_error(x, "CML0345", on->value->span, arena_printf(c->a, "name a part: %s", data_parts(c, t)),
              "the threshold of `%s` is chosen on all rows of `%s`, also those that it is to be tested on",
              m->t->name, t->name);
    return false;
  }
  return true;
}

/* `f1` as the option `of`; the rest by name. */
static bool best_options(Ctx *x, const CatMetric *metric, const Expr *e, TBest *b) {
  Check *c = x->c;
  const Option *of = option_find(metric->options, "of");
  Near near = {.arena = c->a};
  const Expr *word = e->args && !e->args->name ? e->args->value : NULL;
  const char *all = "";
  bool known = false;
  int n;
  for (int i = 0; of && i <= (int)of->max; i++) {
    const char *from;
    n = option_word(of, i, &from);
    const char *name = arena_strndup(c->a, from, (size_t)n);
    near_add(&near, name);
    all = arena_printf(c->a, "%s%s%s", all, i ? ", " : "", name);
    known |= word && word->kind == E_NAME && strcmp(word->name, name) == 0;
  }
  if (!known) {
    const char *remedy = word && word->kind == E_NAME ? near_remedy(&near, word->name) : NULL;
    ctx_error(x, "CML0345", word ? word->span : e->span,
              remedy ? remedy : arena_printf(c->a, "write one of %s: `best(f1, on = d.valid)`", all),
              "`best` begins with the name of what is to be best");
    return false;
  }
  Expr *text = NEW(c->a, Expr);
  *text = (Expr){.kind = E_STRING, .span = word->span, .name = word->name};
  Arg first = {.name = "of", .name_span = word->span, .value = text};
  uint32_t cap = 0;
  b->text = word->name;
  b->metric = metric;
  for (const Arg *g = &first; g; g = g == &first ? e->args->next : g->next) {
    Node *value = NULL;
    if (g->name && strcmp(g->name, "on") == 0)
      continue;
    if (g != &first && strcmp(word->name, "cost") != 0 && g->name && option_find(metric->options, g->name)) {
      ctx_error(x, "CML0345", g->name_span,
                arena_printf(c->a, "write `best(cost, %s = ..)`, or remove it", g->name),
                "`%s` belongs to `cost`, and here `%s` is to be best", g->name, word->name);
      return false;
    }
    const Option *o = option_check(x, metric->options, "best", g, &value);
    if (!o)
      return false;
    PUSH(c->a, b->option, b->noption, cap,
         ((TOption){.name = o->name, .spec = o, .value = value, .span = g->value->span}));
  }
  return true;
}

/* After the model's rows are known. */
void best_check(Check *c, ModelInfo *m) {
  const Arg *g = best_of(m);
  const CatMetric *metric = metric_named(c, "best_threshold");
  if (!g || !m->t->estimator || !m->data || !metric)
    return;
  Ctx x = {.c = c, .place = AT_OPTION, .owner = m->decl};
  const Arg *on = g->value->args;
  while (on && !(on->name && strcmp(on->name, "on") == 0))
    on = on->next;
  TBest *b = NEW(c->a, TBest);
  b->span = g->value->span;
  m->broken = true;
  if (!option_find(m->t->estimator->options, "threshold")) {
    ctx_error(&x, "CML0221", g->name_span, "remove it", "`%s` has no threshold", m->t->estimator->name);
    return;
  }
  if (m->t->task != TASK_BINARY) {
    if (m->t->target)
      ctx_error(
          &x, "CML0221", g->name_span,
          "remove it; for a model with two classes write a condition, or say `positive`",
          "`threshold` is an option of models with two classes, and `%s` has a class for each value of `%s`",
          m->t->name, m->t->target_text);
    return;
  }
  if (!best_options(&x, metric, g->value, b))
    return;
  if (!on) {
    ctx_error(&x, "CML0345", g->value->span,
              arena_printf(c->a, "write `best(%s, on = %s.valid)`", b->text, m->data->t->name),
              "`best` needs the rows to choose on");
    return;
  }
  m->broken = !best_rows(&x, m, on, b);
  m->t->best = b;
}

/* Rows on which a threshold was chosen say too much good of the model; evaluated `at` with threshold of
 * `m`. */
void best_unseen(Check *c, const TModel *m, const TEvaluate *t, Span at) {
  const TBest *b = m->best;
  if (!b || t->seen || !b->part || !t->part ||
      !(data_leaves(b->data, b->part) & data_leaves(b->data, t->part)))
    return;
  Diag *g = diag_add(c->d, SEV_ERROR, "CML0345", at, "evaluate it on another part",
                     "`%s` has chosen its threshold on `%s.%s`", m->name, b->data->name, b->part);
  if (g)
    diag_note(c->d, g, b->span, "it is chosen here");
}
