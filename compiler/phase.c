/* SPDX-License-Identifier: Apache-2.0 */
/* The phase split: what has to be learned from data, on which rows, in how many scans.
 *
 * requires: a checked tree          gives: one Instance for each fitted value, with its level
 *
 * An aggregate in a slot of a model is fitted over the training rows of that model. Two uses are one Instance
 * when the expression (one Node), the rows (data and part) and the cross-fitting agree, whoever wrote them.
 * The level is the length of the longest chain of fitted values an aggregate needs: `stddev(x)` is level 0,
 * `mean(standardize(x))` level 1. Lowering makes one stage of each (data, part, level), and so one scan: the
 * fewest there can be, since a value of level n needs n earlier ones in turn.
 *
 * Cross-fitting (language.md, section 3): a grouped aggregate that reads the target or its family is kept
 * once for each fold left out; and if one table of a slot is, every table of that slot is. An ungrouped
 * aggregate never is. A table inside a grouped aggregate is plain, on the rows of the outer one: so a
 * cross-fitted table with a table inside is fitted once for each fold, reading the inner one without it
 * (lower_agg). */
#include <string.h>

#include "compiler/lower.h"

/* A grouped aggregate whose value depends on the target's family, and not only on its keys. */
static bool reads_target(const Node *n, const Node *target) {
  if (!target)
    return false;
  for (uint32_t i = 0; i < n->narg; i++)
    if (tree_in_family(n->arg[i], target))
      return true;
  return (n->where && tree_in_family(n->where, target)) || (n->weight && tree_in_family(n->weight, target));
}

/* Is `test` true of n or of anything below it? Each Node is looked at once: the DAG may be small where the
 * tree is not. */
typedef bool Test(const Node *n, const TModel *m);

static bool any(const Node *n, const TModel *m, Test *test, signed char *memo) {
  if (memo[n->id] >= 0)
    return memo[n->id];
  bool found = test(n, m);
  for (uint32_t i = 0; !found && i < n->narg; i++)
    found = any(n->arg[i], m, test, memo);
  for (uint32_t i = 0; !found && i < n->nby; i++)
    found = any(n->by[i], m, test, memo);
  found = found || (n->where && any(n->where, m, test, memo)) || (n->weight && any(n->weight, m, test, memo));
  memo[n->id] = (signed char)found;
  return found;
}

static bool is_table(const Node *n, const TModel *m) {
  (void)m;
  return n->kind == N_AGG && n->nby > 0;
}

static bool is_target_table(const Node *n, const TModel *m) {
  return is_table(n, m) && reads_target(n, m->target);
}

bool phase_has_table(const Split *sp, const Node *n) {
  return any(n, NULL, is_table, sp->table);
}

bool phase_nested(const Split *sp, const Instance *in) {
  for (uint32_t i = 0; i < in->agg->narg; i++)
    if (phase_has_table(sp, in->agg->arg[i]))
      return true;
  return (in->agg->where && phase_has_table(sp, in->agg->where)) ||
         (in->agg->weight && phase_has_table(sp, in->agg->weight));
}

bool phase_crossfits(const Split *sp, const TModel *m, const Node *slot) {
  for (uint32_t i = 0; i < sp->tree->nmodel; i++)
    if (sp->tree->model[i] == m)
      return any(slot, m, is_target_table, sp->cross[i]);
  return false;
}

/* A grouped aggregate that depends on more of a row than its keys. */
static bool is_value_table(const Node *n, const TModel *m) {
  return is_table(n, m) && (n->narg || n->where || n->weight);
}

static const Node *below(const Node *n, uint32_t i) {
  if (i < n->narg)
    return n->arg[i];
  if (i < n->narg + n->nby)
    return n->by[i - n->narg];
  return i == n->narg + n->nby ? n->where : n->weight;
}

const Node *phase_value_table(const Split *sp, const Node *slot) {
  const Node *n = slot;
  while (!is_value_table(n, NULL)) { /* down to where it is */
    uint32_t i = 0, most = n->narg + n->nby + 2;
    while (i < most && !(below(n, i) && any(below(n, i), NULL, is_value_table, sp->values)))
      i++;
    if (i == most)
      return NULL;
    n = below(n, i);
  }
  return n;
}

static bool same_part(const char *a, const char *b) {
  return a == b || (a && b && strcmp(a, b) == 0);
}

static Instance *find(const Split *sp, const TModel *m, const Node *agg, bool out_of_fold) {
  for (uint32_t i = 0; i < sp->n; i++) {
    Instance *v = &sp->v[i];
    if (v->agg == agg && v->data == m->data && v->out_of_fold == out_of_fold && same_part(v->part, m->part))
      return v;
  }
  return NULL;
}

const Instance *phase_find(const Split *sp, const Context *c, const Node *agg) {
  return find(sp, c->model, agg, c->crossfit && phase_has_table(sp, agg));
}

typedef struct Walk {
  Split *sp;
  const TModel *m;
  bool crossfit;   /* tables are taken out of fold here */
  uint32_t *memo[2]; /* by crossfit, then Node id: level + 1 of what is no aggregate; 0: not yet */
} Walk;

static uint32_t walk(Walk *w, const Node *n);

static uint32_t deeper(uint32_t a, uint32_t b) {
  return a > b ? a : b;
}

static uint32_t walk_parts(Walk *w, const Node *n) {
  uint32_t level = 0;
  for (uint32_t i = 0; i < n->narg; i++)
    level = deeper(level, walk(w, n->arg[i]));
  if (n->where)
    level = deeper(level, walk(w, n->where));
  if (n->weight)
    level = deeper(level, walk(w, n->weight));
  for (uint32_t i = 0; i < n->nby; i++)
    level = deeper(level, walk(w, n->by[i]));
  return level;
}

/* The level at which n can be computed: 0 needs no fitted value. */
static uint32_t walk(Walk *w, const Node *n) {
  if (n->kind != N_AGG) {
    uint32_t *memo = w->memo[w->crossfit];
    if (!memo[n->id])
      memo[n->id] = walk_parts(w, n) + 1;
    return memo[n->id] - 1;
  }
  bool out_of_fold = w->crossfit && phase_has_table(w->sp, n);
  bool crossfit = out_of_fold && n->nby > 0;
  const Instance *known = find(w->sp, w->m, n, out_of_fold);
  if (known)
    return known->level + 1;
  bool before = w->crossfit;
  if (n->nby && !crossfit)
    w->crossfit = false; /* inside a plain table, other tables are plain */
  uint32_t level = walk_parts(w, n);
  if (crossfit) { /* a table inside is needed in two ways: without each fold, and plain for the table of
                   * all rows */
    w->crossfit = false;
    level = deeper(level, walk_parts(w, n));
  }
  w->crossfit = before;
  Instance v = {.agg = n,
                .data = w->m->data,
                .part = w->m->part,
                .out_of_fold = out_of_fold,
                .crossfit = crossfit,
                .level = level};
  PUSH(w->sp->arena, w->sp->v, w->sp->n, w->sp->cap, v);
  w->sp->levels = deeper(w->sp->levels, level + 1);
  return level + 1;
}

static signed char *unknown(Arena *a, const Tree *t) {
  signed char *v = NEWN(a, signed char, t->nnode + 1);
  for (uint32_t i = 0; i <= t->nnode; i++)
    v[i] = -1;
  return v;
}

static void walk_model(Split *sp, Arena *a, const Tree *t, const TModel *model) {
  Walk w = {.sp = sp, .m = model, .memo = {NEWN(a, uint32_t, t->nnode + 1), NEWN(a, uint32_t, t->nnode + 1)}};
  if (model->classes)
    walk(&w, model->classes);
  for (uint32_t b = 0; b < model->nblock; b++)
    for (uint32_t s = 0; s < model->block[b]->nslot; s++) {
      w.crossfit = phase_crossfits(sp, model, model->block[b]->slot[s].expr);
      walk(&w, model->block[b]->slot[s].expr);
    }
}

void phase_split(Split *sp, Arena *a, const Tree *t) {
  *sp = (Split){.arena = a,
                .tree = t,
                .table = unknown(a, t),
                .values = unknown(a, t),
                .cross = NEWN(a, signed char *, t->nmodel + 1)};
  for (uint32_t m = 0; m < t->nmodel; m++) {
    sp->cross[m] = unknown(a, t);
    walk_model(sp, a, t, t->model[m]);
  }
  for (uint32_t i = 0; i < t->nexport; i++) /* of blocks by themselves; a model's are known */
    if (t->export_[i].kind == EXPORT_FEATURES && !t->export_[i].model->estimator)
      walk_model(sp, a, t, t->export_[i].model);
}
