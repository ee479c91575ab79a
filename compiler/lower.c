/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of a program, in the order in which they can run:
 *
 *   source, rows        of each data set a model uses (filled in last, when it is known which columns later
 *   stages read) fit level 0, 1, ..  one for each (data, part) that has fitted values of that level
 *   train               one for each model
 *   score               for models with a bundle
 *   evaluate, predict, transform, bundle   as written
 *
 * Read from the bottom: lower_program. */
#include <string.h>

#include "compiler/lower_parts.h"
#include "vm/agg.h"
#include "vm/ops.h"
#include "vm/written.h"

static uint32_t model_number(const Lower *l, const TModel *m) {
  for (uint32_t i = 0; i < l->tree->nmodel; i++)
    if (l->tree->model[i] == m)
      return i;
  return 0;
}

/* ---- Options ---- */

static double enum_index(const char *values, const char *s) {
  double i = 0;
  size_t n = strlen(s);
  for (const char *v = values;; v++, i++) {
    size_t k = strcspn(v, "|");
    if (k == n && strncmp(v, s, n) == 0)
      return i;
    v += k;
    if (!*v)
      return 0;
  }
}

/* All options of a table in its order: what was written, else the default. */
static IrOption *options_of(Lower *l, const Option *spec, const TOption *given, uint32_t ngiven,
                            uint32_t *n) {
  *n = 0;
  while (spec && spec[*n].name)
    ++*n;
  IrOption *v = NEWN(l->arena, IrOption, *n + 1);
  for (uint32_t i = 0; i < *n; i++)
    v[i] = (IrOption){
        .name = spec[i].name, .num = spec[i].def, .str = spec[i].kind == OPT_STRING ? spec[i].values : NULL};
  for (uint32_t i = 0; i < *n; i++) {
    for (uint32_t k = 0; k < ngiven; k++) {
      if (strcmp(given[k].name, spec[i].name) != 0)
        continue;
      IrVal c = {0};
      if (given[k].neach) {
        option_each(l->arena, l->diags, l->tree, &given[k], &v[i], l->e);
        continue;
      }
      if (const_eval(l->arena, l->diags, l->tree, given[k].value, &c, l->e) != ST_OK)
        return v;
      if (c.type == IR_STR && spec[i].kind == OPT_ENUM)
        v[i].num = enum_index(spec[i].values, c.s);
      else if (c.type == IR_STR)
        v[i].str = c.s;
      else
        v[i].num = c.type == IR_F64 ? c.f : (double)c.i;
      if (spec[i].kind != OPT_STRING && spec[i].kind != OPT_ENUM &&
          !(v[i].num >= spec[i].min && v[i].num <= spec[i].max))
        diag_add(l->diags, SEV_ERROR, "CML0330", given[k].span,
                 arena_printf(l->arena, "Give it a value from %g to %g.", spec[i].min, spec[i].max),
                 "option `%s` is %g, outside its range", spec[i].name, v[i].num);
    }
  }
  return v;
}

static double option_of(const IrOption *v, uint32_t n, const char *name, double none) {
  for (uint32_t i = 0; i < n; i++)
    if (strcmp(v[i].name, name) == 0)
      return v[i].num;
  return none;
}

/* ---- Fitted values ---- */

int32_t prog_output(Build *b, const Node *n, bool widen) {
  if (!n)
    return -1;
  uint32_t v = prog_node(b, n);
  if (widen)
    v = prog_float(b, v);
  for (uint32_t i = 0; i < b->prog.nout; i++)
    if (b->prog.out[i].val == v)
      return (int32_t)v;
  prog_out(b, OUT_COLUMN, NULL, KIND_FLOAT, v);
  return (int32_t)v;
}

/* `weight w` in `data` weighs cross-fitted tables too; any other aggregate says it itself. A count counts
 * rows. */
static const Node *weight_of(const Instance *in, const AggOp *op) {
  if (in->agg->weight || !in->crossfit || !op || !op->weighted)
    return in->agg->weight;
  for (uint32_t i = 0; i < in->data->nstep; i++)
    if (in->data->step[i].kind == STEP_WEIGHT)
      return in->data->step[i].expr;
  return NULL;
}

/* One table, or value, of an instance: of all rows, or (leave_out >= 0) of those of the other folds. */
void lower_agg_once(Lower *l, Build *b, const Instance *in, int32_t leave_out, IrAgg *a) {
  const Node *n = in->agg;
  const AggOp *op = agg_op(n->op);
  bool nested = in->crossfit && phase_nested(&l->split, in);
  *a =
      (IrAgg){.fitted = in->fitted, .op = n->op, .crossfit = in->crossfit && !nested, .leave_out = leave_out};
  b->context.crossfit = in->out_of_fold && !(nested && leave_out < 0);
  b->context.without = (uint32_t)(leave_out + 1);
  bool has_arg = op && op->arg >= 0;
  a->arg = prog_output(b, has_arg && n->narg ? n->arg[0] : NULL, false);
  a->where = prog_output(b, n->where, false);
  a->weight = prog_output(b, weight_of(in, op), true);
  a->nkey = n->nby;
  a->key = NEWN(l->arena, uint32_t, n->nby + 1);
  for (uint32_t i = 0; i < n->nby; i++)
    a->key[i] = (uint32_t)prog_output(b, n->by[i], false);
  double *const par[] = {&a->par, &a->par2, &a->par3};
  for (uint32_t i = has_arg, k = 0; i < n->narg && k < 3; i++, k++) {
    IrVal c = {0};
    const_eval(l->arena, l->diags, l->tree, n->arg[i], &c, l->e);
    *par[k] = c.type == IR_F64 ? c.f : (double)c.i;
  }
  a->text = show_text(l->arena, n);
  prog_place(b, n->span, &a->line, &a->col);
  b->context.without = 0;
}

/* All of an instance: a cross-fitted table that reads other tables is fitted once for each fold, since
 * what it reads differs. */
static uint32_t lower_agg(Lower *l, Build *b, const Instance *in, IrAgg *a) {
  int32_t folds = in->crossfit && phase_nested(&l->split, in) ? in->data->folds : 0;
  lower_agg_once(l, b, in, -1, a);
  for (int32_t f = 0; f < folds; f++)
    lower_agg_once(l, b, in, f, a + 1 + f);
  return (uint32_t)folds + 1;
}

static bool same_rows(const Instance *a, const Instance *b) {
  return a->data == b->data && (a->part == b->part || (a->part && b->part && strcmp(a->part, b->part) == 0));
}

/* Any model on these rows, or what stands for one, gives the same context. */
static const TModel *model_on(const Tree *t, const Instance *v) {
  for (uint32_t i = 0; i < t->nmodel + t->nexport; i++) {
    const TModel *m = i < t->nmodel ? t->model[i] : t->export_[i - t->nmodel].model;
    if (m->data == v->data && lower_part_number(v->data, m->part) == lower_part_number(v->data, v->part))
      return m;
  }
  return NULL;
}

/* One stage for the instances of a level that read the same rows as the first of them. */
static void lower_fit(Lower *l, Instance *first, uint32_t level) {
  DataState *ds = lower_state(l, first->data);
  const char *of =
      first->part ? arena_printf(l->arena, "%s.%s", first->data->name, first->part) : first->data->name;
  uint32_t stage = lower_stage(l, STAGE_FIT, arena_printf(l->arena, "%s.fit%u", of, level), (Span){0});
  Build b;
  prog_init(&b, l->arena, l->diags, l->tree, &l->split, COLS_STORED);
  IrAgg *agg = NEWN(l->arena, IrAgg, l->split.n * (uint32_t)(first->data->folds + 1));
  uint32_t nagg = 0;
  for (Instance *v = first; v < l->split.v + l->split.n; v++)
    if (v->level == level && same_rows(v, first)) {
      b.context.model = model_on(l->tree, v);
      v->fitted = l->p->nfitted++;
      nagg += lower_agg(l, &b, v, &agg[nagg]);
    }
  lower_stored(l, &b, stage);
  Stage *s = &l->p->stage[stage];
  s->from = ds->rows;
  s->part = lower_part_number(first->data, first->part);
  s->level = level;
  s->agg = agg;
  s->nagg = nagg;
}

static void lower_fits(Lower *l) {
  for (uint32_t level = 0; level < l->split.levels; level++)
    for (uint32_t i = 0; i < l->split.n; i++) {
      Instance *v = &l->split.v[i];
      bool first = v->level == level;
      for (uint32_t k = 0; k < i; k++)
        first &= !(l->split.v[k].level == level && same_rows(&l->split.v[k], v));
      if (first)
        lower_fit(l, v, level);
    }
}

/* ---- Models ---- */

/* A vector of vectors, `one_hot(each category)`, is a slot for each of them: so each keeps its form. `all`:
 * and every other vector that is written down is one for each element. */
static bool in_pieces(const Node *n, bool all) {
  for (uint32_t i = 0; n->kind == N_VECTOR && i < n->narg; i++)
    if (all || n->arg[i]->type.kind == TY_VECTOR)
      return true;
  return false;
}

static uint32_t count_pieces(const Node *n, bool all) {
  uint32_t count = 0;
  if (!in_pieces(n, all))
    return 1;
  for (uint32_t i = 0; i < n->narg; i++)
    count += count_pieces(n->arg[i], all);
  return count;
}

static uint32_t prog_pieces(Build *b, const Node *n, bool all, const char *slot, uint32_t *val,
                            const char **name) {
  uint32_t count = 0;
  if (!in_pieces(n, all)) {
    uint32_t v = prog_node(b, n);
    *val = b->prog.val[v].type == IR_VEC ? v : prog_float(b, v);
    *name = slot;
    return 1;
  }
  for (uint32_t i = 0; i < n->narg; i++) {
    const char *e = prog_element(n, i);
    const char *of = *e ? arena_printf(b->arena, "%s%s%s", slot, *e == '.' ? "" : "_", e)
                        : arena_printf(b->arena, "%s_%u", slot, i + 1);
    count += prog_pieces(b, n->arg[i], all, of, val + count, name + count);
  }
  return count;
}

/* The slots of a model, as outputs (train, score) or as arguments of `score`. */
static uint32_t prog_slots(Build *b, const TModel *m, uint32_t *val, const char **name) {
  uint32_t n = 0;
  b->context.model = m;
  for (uint32_t i = 0; i < m->nblock; i++)
    for (uint32_t k = 0; k < m->block[i]->nslot; k++) {
      const TSlot *s = &m->block[i]->slot[k];
      b->context.crossfit = phase_crossfits(b->split, m, s->expr);
      n += prog_pieces(b, s->expr, false, s->name, val + n, name + n);
    }
  b->context.crossfit = false;
  return n;
}

static uint32_t count_slots(const TModel *m) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < m->nblock; i++)
    for (uint32_t k = 0; k < m->block[i]->nslot; k++)
      n += count_pieces(m->block[i]->slot[k].expr, false);
  return n;
}

/* What the model gives: a number, or (several classes, clusters) a vector. */
static uint32_t prog_score(Build *b, const TModel *m, uint32_t fitted) {
  bool vector = m->task == TASK_MULTICLASS || m->task == TASK_CLUSTER;
  uint32_t nslot = count_slots(m), n;
  uint32_t *val = NEWN(b->arena, uint32_t, nslot + 1);
  const char **name = NEWN(b->arena, const char *, nslot + 1);
  prog_slots(b, m, val, name);
  IrVal *v = prog_step(b, vector ? "scores" : "score", val, nslot, &n);
  v->i = fitted;
  v->names = name;
  v->nlist = nslot;
  return n;
}

/* The target as a number: a class is its number among the classes that were fitted. */
static void prog_target(Build *b, const TModel *m) {
  if (!m->target)
    return;
  uint32_t arg[2] = {prog_node(b, m->target), 0};
  if (m->classes) {
    b->context.model = m;
    arg[1] = prog_node(b, m->classes);
    prog_step(b, "level.str", arg, 2, &arg[0]);
  }
  prog_out(b, OUT_TARGET, NULL, KIND_FLOAT, prog_float(b, arg[0]));
}

static void lower_train(Lower *l, uint32_t number) {
  const TModel *m = l->tree->model[number];
  uint32_t stage = lower_stage(l, STAGE_TRAIN, m->name, m->span);
  l->train[number] = (int32_t)stage;
  Build b;
  prog_init(&b, l->arena, l->diags, l->tree, &l->split, COLS_STORED);
  uint32_t nslot = count_slots(m);
  uint32_t *val = NEWN(l->arena, uint32_t, nslot + 1);
  const char **name = NEWN(l->arena, const char *, nslot + 1);
  prog_slots(&b, m, val, name);
  for (uint32_t i = 0; i < nslot; i++)
    prog_out(&b, OUT_SLOT, name[i], KIND_FLOAT, val[i]);
  prog_target(&b, m);
  lower_stored(l, &b, stage);
  Stage *s = &l->p->stage[stage];
  s->from = lower_state(l, m->data)->rows;
  s->part = lower_part_number(m->data, m->part);
  s->estimator = m->estimator->name;
  s->options = options_of(l, m->estimator->options, m->option, m->noption, &s->noptions);
  if (l->e->code == ST_OK)
    options_order(l->diags, m, s->options, s->noptions);
  for (uint32_t i = 0; i < s->noptions; i++)
    if (m->offset && m->estimator->options[i].kind == OPT_EXPR)
      s->options[i].str = m->offset;
  s->fitted = l->p->nfitted++;
  s->target = m->target_text;
  s->positive = m->positive;
  s->task = m->task;
  if (m->classes) {
    const Context c = {.model = m};
    s->classes = (int32_t)phase_find(&l->split, &c, m->classes)->fitted;
  }
}

static void use_model(Lower *l, Stage *s, const TModel *m) {
  const Stage *t = &l->p->stage[l->train[model_number(l, m)]];
  s->train = l->train[model_number(l, m)];
  s->fitted = t->fitted;
  s->task = t->task;
}

/* The columns that score and predict give, by task. */
static const char *const prediction_column[TASK_N][2] = {
    [TASK_REGRESSION] = {"prediction", NULL},
    [TASK_BINARY] = {"probability", "prediction"},
    [TASK_MULTICLASS] = {"prediction", NULL}, /* and one for each class */
    [TASK_CLUSTER] = {"cluster", "distance"},
};

static void prog_predictions(Lower *l, Build *b, const TModel *m) {
  const Stage *t = &l->p->stage[l->train[model_number(l, m)]];
  const char *const *name = prediction_column[m->task];
  uint32_t p = prog_score(b, m, t->fitted), arg[2] = {p, 0}, n;
  int32_t chosen = l->threshold[model_number(l, m)];
  IrVal *at;
  switch (m->task) {
  case TASK_BINARY:
    at = prog_step(b, chosen < 0 ? "const.f64" : "fitted.f64", NULL, 0, &arg[1]);
    at->i = chosen < 0 ? 0 : chosen;
    at->f = chosen < 0 ? option_of(t->options, t->noptions, "threshold", 0.5) : 0;
    prog_step(b, "ge.f64", arg, 2, &n);
    prog_out(b, OUT_COLUMN, name[0], KIND_FLOAT, p);
    prog_out(b, OUT_COLUMN, name[1], KIND_BOOL, n);
    break;
  case TASK_MULTICLASS:
    prog_step(b, "class.vec", &p, 1, &n)->i = t->fitted;
    prog_out(b, OUT_COLUMN, name[0], KIND_CATEGORY, n);
    prog_out(b, OUT_COLUMN, "probability", KIND_FLOAT, p);
    break;
  case TASK_CLUSTER:
    prog_step(b, "element.vec", &p, 1, &arg[0])->i = 0;
    prog_step(b, "cast.f64.i64", &arg[0], 1, &n);
    prog_out(b, OUT_COLUMN, name[0], KIND_INT, n);
    prog_step(b, "element.vec", &p, 1, &n)->i = 1;
    prog_out(b, OUT_COLUMN, name[1], KIND_FLOAT, n);
    break;
  default: prog_out(b, OUT_COLUMN, name[0], KIND_FLOAT, p);
  }
}

static void lower_score(Lower *l, uint32_t number) {
  const TModel *m = l->tree->model[number];
  if (l->score[number] >= 0)
    return;
  uint32_t stage = lower_stage(l, STAGE_SCORE, arena_printf(l->arena, "%s.score", m->name), m->span);
  l->score[number] = (int32_t)stage;
  Build b;
  prog_init(&b, l->arena, l->diags, l->tree, &l->split, COLS_FILE);
  prog_predictions(l, &b, m);
  Stage *s = &l->p->stage[stage];
  s->prog = b.prog;
  use_model(l, s, m);
  s->column = NEWN(l->arena, IrColumn, b.nused + 1);
  for (uint32_t i = 0; i < m->data->ncolumn; i++)
    for (uint32_t k = 0; k < b.nused; k++)
      if (b.used[k] == m->data->column[i])
        s->column[s->ncolumn++] =
            (IrColumn){b.used[k]->name, (uint8_t)prog_kind(b.used[k]->type), b.used[k]->type.nullable};
}

/* ---- evaluate, export ---- */

static void lower_expect(Lower *l, const TExpect *x, IrExpect *out) {
  Build b;
  prog_init(&b, l->arena, l->diags, l->tree, &l->split, COLS_STORED);
  prog_out(&b, OUT_COLUMN, "ok", KIND_BOOL, prog_node(&b, x->expr));
  out->prog = b.prog;
  out->text = x->text;
  prog_place(&b, x->span, &out->line, &out->col);
}

/* A metric's threshold is the model's, unless it says so: a number, or a fitted value. */
static void lower_threshold(const Lower *l, const TMetric *m, const TModel *model, double *number,
                            int32_t *fitted) {
  const Stage *train = &l->p->stage[l->train[model_number(l, model)]];
  for (uint32_t k = 0; k < m->noption; k++)
    if (strcmp(m->option[k].name, "threshold") == 0)
      return;
  *number = option_of(train->options, train->noptions, "threshold", *number);
  *fitted = l->threshold[model_number(l, model)];
}

/* The score of the other model, once however many metrics compare with it. */
static void lower_vs(Lower *l, Build *b, const TModel *other, IrMetric *out) {
  out->vs = other->name;
  for (uint32_t i = 0; i < b->prog.nout; i++)
    if (b->prog.out[i].role == OUT_SCORE && b->prog.out[i].name &&
        strcmp(b->prog.out[i].name, other->name) == 0)
      return;
  prog_out(b, OUT_SCORE, other->name, KIND_FLOAT,
           prog_score(b, other, l->p->stage[l->train[model_number(l, other)]].fitted));
}

static void lower_metric(Lower *l, Build *b, const TMetric *m, const TModel *model, IrMetric *out) {
  *out = (IrMetric){.name = m->metric->name,
                    .text = m->text,
                    .top = m->top,
                    .fitted = -1,
                    .threshold = -1,
                    .vs_threshold = -1};
  out->option = options_of(l, m->metric->options, m->option, m->noption, &out->noption);
  for (uint32_t i = 0; i < out->noption; i++)
    if (strcmp(out->option[i].name, "threshold") == 0) {
      out->vs_number = out->option[i].num;
      lower_threshold(l, m, model, &out->option[i].num, &out->threshold);
      if (m->vs)
        lower_threshold(l, m, m->vs, &out->vs_number, &out->vs_threshold);
    }
  if (m->vs)
    lower_vs(l, b, m->vs, out);
  if (!m->by)
    return;
  out->by = m->by->name;
  for (uint32_t i = 0; i < b->prog.nout; i++)
    if (b->prog.out[i].name && strcmp(b->prog.out[i].name, m->by->name) == 0)
      return;
  Node use = {.kind = N_COLUMN, .column = m->by, .id = l->tree->nnode};
  prog_forget(b, &use);
  uint32_t val = prog_node(b, &use);
  Kind kind = prog_kind(m->by->type);
  if (kind == KIND_DATE || kind == KIND_TIMESTAMP) { /* slices are named by what the user knows */
    prog_step(b, kind == KIND_DATE ? "cast.date.str" : "cast.ts.str", &val, 1, &val);
    kind = KIND_STRING;
  }
  prog_out(b, OUT_COLUMN, m->by->name, kind, val);
}

/* `threshold = best(..)`: an evaluation on the rows it is chosen on, whose one value is kept. */
static void lower_best(Lower *l, uint32_t number) {
  const TModel *m = l->tree->model[number];
  const TBest *best = m->best;
  const CatMetric *metric = best->metric;
  const char *on =
      best->part ? arena_printf(l->arena, "%s.%s", best->data->name, best->part) : best->data->name;
  uint32_t stage =
      lower_stage(l, STAGE_EVALUATE, arena_printf(l->arena, "%s threshold on %s", m->name, on), best->span);
  Build b;
  prog_init(&b, l->arena, l->diags, l->tree, &l->split, COLS_STORED);
  prog_out(&b, OUT_SCORE, NULL, KIND_FLOAT, prog_score(&b, m, l->p->stage[l->train[number]].fitted));
  prog_target(&b, m);
  lower_stored(l, &b, stage);
  Stage *s = &l->p->stage[stage];
  s->from = lower_state(l, best->data)->rows;
  s->part = lower_part_number(best->data, best->part);
  s->seen = best->seen;
  use_model(l, s, m);
  s->metric = NEW(l->arena, IrMetric);
  s->nmetric = 1;
  l->threshold[number] = (int32_t)l->p->nfitted++;
  *s->metric = (IrMetric){.name = metric->name,
                          .text = arena_printf(l->arena, "%s(of = %s)", metric->name, best->text),
                          .fitted = l->threshold[number],
                          .threshold = -1,
                          .vs_threshold = -1};
  s->metric->option = options_of(l, metric->options, best->option, best->noption, &s->metric->noption);
}

static void lower_evaluate(Lower *l, const TEvaluate *v) {
  const Stage *t = &l->p->stage[l->train[model_number(l, v->model)]];
  uint32_t fitted = t->fitted;
  const char *on = v->part ? arena_printf(l->arena, "%s.%s", v->data->name, v->part) : v->data->name;
  uint32_t stage =
      lower_stage(l, STAGE_EVALUATE, arena_printf(l->arena, "%s on %s", v->model->name, on), v->span);
  Build b;
  prog_init(&b, l->arena, l->diags, l->tree, &l->split, COLS_STORED);
  uint32_t score = prog_score(&b, v->model, fitted);
  prog_out(&b, OUT_SCORE, NULL, KIND_FLOAT, score);
  prog_target(&b, v->model);
  for (uint32_t i = 0; v->model->task == TASK_CLUSTER && i < b.prog.val[score].narg;
       i++) /* metrics of clusters read the features */
    prog_out(&b, OUT_SLOT, b.prog.val[score].names[i], KIND_FLOAT, b.prog.val[score].arg[i]);
  Stage *s = &l->p->stage[stage];
  s->metric = NEWN(l->arena, IrMetric, v->nmetric + 1);
  for (uint32_t i = 0; i < v->nmetric; i++)
    lower_metric(l, &b, &v->metric[i], v->model, &s->metric[s->nmetric++]);
  s->expect = NEWN(l->arena, IrExpect, v->nexpect + 1);
  for (uint32_t i = 0; i < v->nexpect; i++)
    lower_expect(l, &v->expect[i], &s->expect[s->nexpect++]);
  lower_stored(l, &b, stage);
  s->from = lower_state(l, v->data)->rows;
  s->part = lower_part_number(v->data, v->part);
  s->seen = v->seen;
  use_model(l, s, v->model);
}

static void prog_kept(Lower *l, Build *b, const TExport *x) {
  for (uint32_t i = 0; i < x->nkeep; i++) {
    Node use = {.kind = N_COLUMN, .column = x->keep[i], .id = l->tree->nnode};
    prog_forget(b, &use);
    prog_out(b, OUT_COLUMN, x->keep[i]->name, prog_kind(x->keep[i]->type), prog_node(b, &use));
  }
}

static void lower_predict(Lower *l, const TExport *x) {
  const char *on = x->part ? arena_printf(l->arena, "%s.%s", x->data->name, x->part) : x->data->name;
  uint32_t stage = lower_stage(l, STAGE_PREDICT,
                               arena_printf(l->arena, "%s predictions of %s", x->model->name, on), x->span);
  Build b;
  prog_init(&b, l->arena, l->diags, l->tree, &l->split, COLS_STORED);
  for (uint32_t i = 0; i < x->nkeep; i++) {
    const char *name = x->keep[i]->name;
    const char *const *used = prediction_column[x->model->task];
    if (!strcmp(name, used[0]) || (used[1] && !strcmp(name, used[1])))
      diag_add(l->diags, SEV_ERROR, "CML0331", x->span, "Name the columns to keep: `keep [..]` without it.",
               "a kept column has the name `%s`, which the predictions use", name);
  }
  prog_kept(l, &b, x);
  prog_predictions(l, &b, x->model);
  lower_stored(l, &b, stage);
  Stage *s = &l->p->stage[stage];
  s->from = lower_state(l, x->data)->rows;
  s->part = lower_part_number(x->data, x->part);
  s->path = x->path;
  use_model(l, s, x->model);
}

/* ---- Features as columns ---- */

/* Does the export have rows that its block was fitted on? */
static bool on_fitted_rows(const TExport *x) {
  uint64_t leaves[2] = {~UINT64_C(0), ~UINT64_C(0)};
  for (uint32_t i = 0; i < x->data->npart; i++) {
    const TPart *p = &x->data->part[i];
    if (x->part && strcmp(p->name, x->part) == 0)
      leaves[0] = p->leaves;
    if (x->model->part && strcmp(p->name, x->model->part) == 0)
      leaves[1] = p->leaves;
  }
  return (leaves[0] & leaves[1]) != 0;
}

/* No model says what the target is: whoever writes the file may know. Once for a slot. */
static void leak_warning(Lower *l, const TExport *x, const TSlot *slot) {
  const Node *table = phase_value_table(&l->split, slot->expr);
  if (!table)
    return;
  const Node *of = table->narg ? table->arg[0] : table->where ? table->where : table->weight;
  const char *text = show_text(l->arena, of);
  Diag *d = diag_add(l->diags, SEV_WARNING, "CML0337", slot->span,
                     arena_printf(l->arena,
                                  "Where a model will learn `%s`, put it into the program and write `export "
                                  "MODEL { features of .. }`: there a row reads what the other folds say.",
                                  text),
                     "slot `%s` is a table of `%s`, and the rows it was made of read their own values in it",
                     slot->name, text);
  diag_note(l->diags, d, x->span, "such rows are written here");
}

/* A table of the target, of a block by itself: nothing is left out of it, so the rows that it was made of
 * may not read it. */
static void leak_check(Lower *l, const TExport *x, const TSlot *slot) {
  bool used = false;
  for (uint32_t i = 0; i < l->tree->nmodel; i++) {
    const TModel *m = l->tree->model[i];
    bool uses = false;
    for (uint32_t k = 0; k < m->nblock; k++)
      uses |= m->block[k] == x->model->block[0];
    used |= uses;
    if (!uses || !phase_crossfits(&l->split, m, slot->expr))
      continue;
    diag_add(l->diags, SEV_ERROR, "CML0336", x->span,
             arena_printf(l->arena,
                          "Write `export %s { features of .. }`: there a row reads what the other folds say.",
                          m->name),
             "slot `%s` is a table of the target `%s`, and would hold these rows' own", slot->name,
             m->target_text);
    return;
  }
  if (!used)
    leak_warning(l, x, slot);
}

/* The slots, each element of a written vector by itself, so that it is null by itself. */
static void prog_features(Lower *l, Build *b, const TExport *x) {
  const TModel *m = x->model;
  uint64_t width = 0;
  const TSlot *widest = NULL;
  b->context.model = m;
  for (uint32_t i = 0; i < m->nblock; i++)
    for (uint32_t k = 0; k < m->block[i]->nslot && m->block[i] != m->offset_block; k++) {
      const TSlot *s = &m->block[i]->slot[k];
      uint32_t most = count_pieces(s->expr, true);
      uint32_t *val = NEWN(l->arena, uint32_t, most);
      const char **name = NEWN(l->arena, const char *, most);
      b->context.crossfit = phase_crossfits(b->split, m, s->expr);
      uint32_t n = prog_pieces(b, s->expr, true, s->name, val, name);
      for (uint32_t p = 0; p < n; p++)
        prog_out(b, OUT_SLOT, name[p], KIND_FLOAT, val[p]);
      if (!m->estimator && on_fitted_rows(x))
        leak_check(l, x, s);
      uint64_t wide = s->expr->type.kind == TY_VECTOR && s->expr->kind != N_VECTOR ? s->expr->type.width : n;
      width += wide;
      widest = !widest || wide > widest->expr->type.width ? s : widest;
    }
  b->context.crossfit = false;
  Err e = {0};
  if (width > WRITTEN_MOST && written_wide(width, widest->name, &e))
    diag_add(l->diags, SEV_ERROR, "CML0442", x->span, arena_strdup(l->arena, e.remedy), "%s", e.cause);
}

static void lower_features(Lower *l, const TExport *x) {
  const char *on = x->part ? arena_printf(l->arena, "%s.%s", x->data->name, x->part) : x->data->name;
  uint32_t stage = lower_stage(l, STAGE_TRANSFORM,
                               arena_printf(l->arena, "%s features of %s", x->model->name, on), x->span);
  Build b;
  prog_init(&b, l->arena, l->diags, l->tree, &l->split, COLS_STORED);
  prog_kept(l, &b, x);
  prog_features(l, &b, x);
  for (uint32_t i = 0; i < b.prog.nout; i++) /* what elements will be called is known later: written.h */
    for (uint32_t k = 0; k < x->nkeep && b.prog.val[b.prog.out[i].val].type != IR_VEC; k++)
      if (b.prog.out[i].role == OUT_SLOT && strcmp(b.prog.out[i].name, x->keep[k]->name) == 0)
        diag_add(l->diags, SEV_ERROR, "CML0331", x->span, "Rename the slot, or keep other columns.",
                 "a kept column has the name `%s`, as a feature has", x->keep[k]->name);
  lower_stored(l, &b, stage);
  Stage *s = &l->p->stage[stage];
  s->from = lower_state(l, x->data)->rows;
  s->part = lower_part_number(x->data, x->part);
  s->path = x->path;
  if (x->model->estimator)
    use_model(l, s, x->model);
}

static void lower_bundle(Lower *l, const TExport *x) {
  uint32_t number = model_number(l, x->model);
  lower_score(l, number);
  uint32_t stage = lower_stage(l, STAGE_BUNDLE, arena_printf(l->arena, "%s bundle", x->model->name), x->span);
  Stage *s = &l->p->stage[stage];
  s->path = x->path;
  s->score = l->score[number];
  use_model(l, s, x->model);
}

/* ---- The whole ---- */

Program *lower_program(Arena *a, struct Diags *d, const Tree *t, uint64_t seed, Err *e) {
  Lower l = {.arena = a, .diags = d, .tree = t, .e = e};
  uint32_t before = d->errors;
  const char *slash = strrchr(t->path, '/');
  l.p = NEW(a, Program);
  l.p->name = slash ? slash + 1 : t->path;
  l.p->seed = seed;
  phase_split(&l.split, a, t);
  l.data = NEWN(a, DataState, t->ndata + 1);
  for (uint32_t i = 0; i < t->ndata; i++)
    data_init(&l, &l.data[i], t->data[i]);
  l.train = NEWN(a, int32_t, t->nmodel + 1);
  l.score = NEWN(a, int32_t, t->nmodel + 1);
  l.threshold = NEWN(a, int32_t, t->nmodel + 1);
  memset(l.threshold, 0xff, sizeof(int32_t) * (t->nmodel + 1));
  memset(l.score, 0xff, sizeof(int32_t) * (t->nmodel + 1));
  for (uint32_t i = 0; i < t->nmodel; i++)
    data_open(&l, lower_state(&l, t->model[i]->data));
  for (uint32_t i = 0; i < t->nexport; i++) /* of no model, perhaps */
    data_open(&l, lower_state(&l, t->export_[i].model->data));
  for (uint32_t i = 0; i < t->ndata; i++)
    if (data_is_tested(t->data[i]))
      data_open(&l, &l.data[i]);
  lower_fits(&l);
  for (uint32_t i = 0; i < t->nmodel; i++)
    lower_train(&l, i);
  for (uint32_t i = 0; i < t->nmodel; i++)
    if (t->model[i]->best)
      lower_best(&l, i);
  for (uint32_t i = 0; i < t->nevaluate; i++)
    lower_evaluate(&l, &t->evaluate[i]);
  for (uint32_t i = 0; i < t->nexport; i++)
    if (t->export_[i].kind == EXPORT_PREDICTIONS)
      lower_predict(&l, &t->export_[i]);
    else if (t->export_[i].kind == EXPORT_FEATURES)
      lower_features(&l, &t->export_[i]);
  for (uint32_t i = 0; i < t->nexport; i++)
    if (t->export_[i].kind == EXPORT_BUNDLE)
      lower_bundle(&l, &t->export_[i]);
  for (uint32_t i = 0; i < t->ndata; i++)
    if (l.data[i].rows >= 0)
      data_close(&l, &l.data[i]);
  return d->errors > before || e->code != ST_OK ? NULL : l.p;
}
