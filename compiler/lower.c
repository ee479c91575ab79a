/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of a program, in the order in which they can run:
 *
 *   source, rows        of each data set a model uses (filled in last, when it is known which columns later stages read)
 *   fit level 0, 1, ..  one for each (data, part) that has fitted values of that level
 *   train               one for each model
 *   score               for models with a bundle
 *   evaluate, predict, bundle   as written
 *
 * Read from the bottom: lower_program. */
#include <string.h>

#include "base/hash.h"
#include "compiler/lower.h"
#include "vm/agg.h"
#include "vm/ops.h"

typedef struct DataState {
  const TData *data;
  int32_t source, rows;    /* stage numbers, or -1: no model uses it */
  const TColumn **stored;  /* columns that later stages read */
  uint32_t nstored, cap;
  bool fold;
} DataState;

typedef struct Lower {
  Arena *arena;
  struct Diags *diags;
  const Tree *tree;
  Split split;
  Program *p;
  uint32_t scap;
  DataState *data;
  int32_t *train;          /* by model: stage number */
  int32_t *score;
  Err *e;
} Lower;

static DataState *state_of(Lower *l, const TData *d) {
  for (uint32_t i = 0; i < l->tree->ndata; i++)
    if (l->data[i].data == d)
      return &l->data[i];
  return NULL;
}

static uint32_t model_number(const Lower *l, const TModel *m) {
  for (uint32_t i = 0; i < l->tree->nmodel; i++)
    if (l->tree->model[i] == m)
      return i;
  return 0;
}

static uint32_t add_stage(Lower *l, StageKind kind, const char *name, Span span) {
  Stage s = {.kind = kind, .name = name, .from = -1, .part = -1, .train = -1, .classes = -1, .score = -1};
  if (span.file && span.file == l->tree->file)
    source_position(l->diags->sources, span.file, span.from, &s.line, &s.col);
  PUSH(l->arena, l->p->stage, l->p->nstage, l->scap, s);
  return l->p->nstage - 1;
}

static int32_t part_number(const TData *d, const char *part) {
  for (uint32_t i = 0; part && i < d->npart; i++)
    if (strcmp(d->part[i].name, part) == 0)
      return (int32_t)i;
  return -1;
}

/* Ends a row program over stored columns: puts it in its stage, remembers the columns it reads. */
static void finish_stored(Lower *l, Build *b, uint32_t stage) {
  l->p->stage[stage].prog = b->prog;
  for (uint32_t i = 0; i < b->nused; i++) {
    DataState *ds = state_of(l, b->used[i]->data);
    bool known = !ds;
    for (uint32_t k = 0; ds && k < ds->nstored; k++)
      known |= ds->stored[k] == b->used[i];
    if (!known)
      PUSH(l->arena, ds->stored, ds->nstored, ds->cap, b->used[i]);
  }
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
static IrOption *options_of(Lower *l, const Option *spec, const TOption *given, uint32_t ngiven, uint32_t *n) {
  *n = 0;
  while (spec && spec[*n].name)
    ++*n;
  IrOption *v = NEWN(l->arena, IrOption, *n + 1);
  for (uint32_t i = 0; i < *n; i++)
    v[i] = (IrOption){.name = spec[i].name, .num = spec[i].def, .str = spec[i].kind == OPT_STRING ? spec[i].values : NULL};
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
      if (spec[i].kind != OPT_STRING && spec[i].kind != OPT_ENUM && !(v[i].num >= spec[i].min && v[i].num <= spec[i].max))
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

/* ---- Data: source and rows ---- */

static void lower_source(Lower *l, DataState *ds, const Build *b) {
  const TData *d = ds->data;
  Stage *s = &l->p->stage[ds->source];
  s->input = NEWN(l->arena, IrInput, d->nsource + 1);
  for (uint32_t i = 0; i < d->nsource; i++) {
    const TSource *x = &d->source[i];
    s->input[s->ninput++] = (IrInput){x->format, x->path, x->option, x->noption};
  }
  s->column = NEWN(l->arena, IrColumn, b->nused + 2);
  if (d->split == SPLIT_SOURCE)
    s->column[s->ncolumn++] = (IrColumn){IR_INPUT_COLUMN, KIND_INT, false};
  s->declared = NEWN(l->arena, const char *, d->ncolumn + 1);
  for (uint32_t i = 0; i < d->ncolumn; i++) {
    const TColumn *c = d->column[i];
    if (c->derive)
      continue;
    if (c->declared)
      s->declared[s->ndeclared++] = c->name;
    for (uint32_t k = 0; k < b->nused; k++)
      if (b->used[k] == c)
        s->column[s->ncolumn++] = (IrColumn){c->name, (uint8_t)prog_kind(c->type), c->type.nullable};
  }
}

/* A number in [0, 1) for each row, that splits and folds are cut from. */
static uint32_t uniform(Build *b, const TData *d, const char *purpose, uint64_t seed) {
  uint32_t n;
  if (d->split == SPLIT_HASH) {
    uint32_t *key = NEWN(b->arena, uint32_t, d->nkey);
    for (uint32_t i = 0; i < d->nkey; i++)
      key[i] = prog_node(b, d->key[i]);
    prog_step(b, "hash", key, d->nkey, &n)->i = (int64_t)hash_cstr(HASH_VERSION, purpose);
  } else {
    uint64_t key = hash_word(hash_cstr(hash_cstr(HASH_VERSION, d->name), purpose), seed);
    prog_step(b, "rng", NULL, 0, &n)->i = (int64_t)key;
  }
  return n;
}

/* The inputs of a part stand side by side: how many parts end at or before the number of a row's input. */
static uint32_t part_of_source(Build *b, const TData *d) {
  uint32_t n, arg[2];
  double *end = NEWN(b->arena, double, d->npart);
  IrVal *v = prog_step(b, "col", NULL, 0, &n);
  v->s = IR_INPUT_COLUMN;
  v->type = IR_I64;
  arg[0] = prog_float(b, n);
  v = prog_step(b, "const.list", NULL, 0, &arg[1]);
  v->list = end;
  for (uint32_t i = 0; i + 1 < d->nsource; i++)
    if (strcmp(d->source[i].part, d->source[i + 1].part) != 0)
      end[v->nlist++] = i + 1;
  prog_step(b, "cut.f64", arg, 2, &n);
  return n;
}

static void lower_part(Lower *l, Build *b, const TData *d) {
  uint32_t n, arg[2];
  if (d->split == SPLIT_VALUE) {
    arg[0] = prog_node(b, d->key[0]);
    IrType t = (IrType)b->prog.val[arg[0]].type;
    if (t != IR_STR)
      prog_step(b, t == IR_I64 ? "cast.i64.str" : "cast.b.str", &arg[0], 1, &arg[0]);
    IrVal *v = prog_step(b, "const.vocab", NULL, 0, &arg[1]);
    v->names = NEWN(b->arena, const char *, d->npart);
    for (uint32_t i = 0; i < d->npart; i++)
      v->names[v->nlist++] = d->part[i].name;
    v = prog_step(b, "part_of.str", arg, 2, &n);
    prog_place(b, d->split_span, &v->line, &v->col);
  } else if (d->split == SPLIT_SOURCE) {
    n = part_of_source(b, d);
  } else {
    uint64_t seed = d->split == SPLIT_RANDOM ? (uint64_t)d->seed : 0;
    arg[0] = uniform(b, d, "split", hash_word(l->p->seed, seed));
    IrVal *v = prog_step(b, "const.list", NULL, 0, &arg[1]);
    double *cut = NEWN(b->arena, double, d->npart), sum = 0;
    v->list = cut;
    for (uint32_t i = 0; i + 1 < d->npart; i++)
      cut[v->nlist++] = sum += d->part[i].share;
    prog_step(b, "cut.f64", arg, 2, &n);
  }
  prog_out(b, OUT_PART, NULL, KIND_INT, n);
}

static void lower_rows_with(Lower *l, const DataState *ds, Build *b) {
  const TData *d = ds->data;
  uint32_t n;
  for (uint32_t i = 0; i < d->nstep; i++) {
    const TStep *st = &d->step[i];
    bool stored = false;
    switch (st->kind) {
    case STEP_WHERE:
      n = prog_node(b, st->expr);
      prog_step(b, "keep", &n, 1, &n);
      break;
    case STEP_DERIVE: /* here, so that rows removed above make no errors; one that nobody reads is not computed */
      for (uint32_t k = 0; k < ds->nstored; k++)
        stored |= ds->stored[k] == st->column;
      if (stored)
        prog_node(b, st->column->derive);
      break;
    case STEP_WEIGHT: prog_out(b, OUT_WEIGHT, NULL, KIND_FLOAT, prog_float(b, prog_node(b, st->expr))); break;
    case STEP_SPLIT: lower_part(l, b, d); break;
    case STEP_EXPECT: break;
    }
  }
  for (uint32_t i = 0; i < d->ncolumn; i++)
    for (uint32_t k = 0; k < ds->nstored; k++)
      if (ds->stored[k] == d->column[i]) {
        Node use = {.kind = N_COLUMN, .column = (TColumn *)d->column[i], .id = l->tree->nnode};
        prog_forget(b, &use);
        prog_out(b, OUT_COLUMN, d->column[i]->name, prog_kind(d->column[i]->type), prog_node(b, &use));
      }
  if (ds->fold) {
    uint32_t u = uniform(b, d, "fold", l->p->seed);
    prog_step(b, "fold_of.f64", &u, 1, &n)->i = d->folds;
    prog_out(b, OUT_FOLD, NULL, KIND_INT, n);
  }
}

static void lower_data(Lower *l, DataState *ds) {
  /* Once to learn which columns of the file are read; then again with all of them, and their checks, at the top. */
  Build dry, b;
  prog_init(&dry, l->arena, l->diags, l->tree, &l->split, COLS_FILE);
  lower_rows_with(l, ds, &dry);
  prog_init(&b, l->arena, l->diags, l->tree, &l->split, COLS_FILE);
  for (uint32_t i = 0; i < ds->data->ncolumn; i++)
    for (uint32_t k = 0; k < dry.nused; k++)
      if (dry.used[k] == ds->data->column[i])
        prog_column(&b, dry.used[k]);
  lower_rows_with(l, ds, &b);
  lower_source(l, ds, &b);
  Stage *s = &l->p->stage[ds->rows];
  s->from = ds->source;
  s->prog = b.prog;
  s->folds = ds->fold ? (uint32_t)ds->data->folds : 0;
  s->parts = NEWN(l->arena, const char *, ds->data->npart + 1);
  if (ds->data->npart > 64)
    diag_add(l->diags, SEV_ERROR, "CML0334", ds->data->split_span, "Use fewer.", "a split has at most 64 parts; this one has %u", ds->data->npart);
  for (uint32_t i = 0; i < ds->data->npart; i++)
    s->parts[s->nparts++] = ds->data->part[i].name;
}

/* ---- Fitted values ---- */

static int32_t prog_output(Build *b, const Node *n, bool widen) {
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

/* `weight w` in `data` weighs cross-fitted tables too; any other aggregate says it itself. A count counts rows. */
static const Node *weight_of(const Instance *in, const AggOp *op) {
  if (in->agg->weight || !in->crossfit || !op || !op->weighted)
    return in->agg->weight;
  for (uint32_t i = 0; i < in->data->nstep; i++)
    if (in->data->step[i].kind == STEP_WEIGHT)
      return in->data->step[i].expr;
  return NULL;
}

/* One table, or value, of an instance: of all rows, or (leave_out >= 0) of those of the other folds. */
static void lower_agg_once(Lower *l, Build *b, const Instance *in, int32_t leave_out, IrAgg *a) {
  const Node *n = in->agg;
  const AggOp *op = agg_op(n->op);
  bool nested = in->crossfit && phase_nested(&l->split, in);
  *a = (IrAgg){.fitted = in->fitted, .op = n->op, .crossfit = in->crossfit && !nested, .leave_out = leave_out};
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

/* All of an instance: a cross-fitted table that reads other tables is fitted once for each fold, since what it reads differs. */
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

/* One stage for the instances of a level that read the same rows as the first of them. */
static void lower_fit(Lower *l, Instance *first, uint32_t level) {
  DataState *ds = state_of(l, first->data);
  const char *of = first->part ? arena_printf(l->arena, "%s.%s", first->data->name, first->part) : first->data->name;
  uint32_t stage = add_stage(l, STAGE_FIT, arena_printf(l->arena, "%s.fit%u", of, level), (Span){0});
  Build b;
  prog_init(&b, l->arena, l->diags, l->tree, &l->split, COLS_STORED);
  IrAgg *agg = NEWN(l->arena, IrAgg, l->split.n * (uint32_t)(first->data->folds + 1));
  uint32_t nagg = 0;
  for (Instance *v = first; v < l->split.v + l->split.n; v++)
    if (v->level == level && same_rows(v, first)) {
      for (uint32_t m = 0; m < l->tree->nmodel; m++) /* any model on these rows gives the same context */
        if (l->tree->model[m]->data == v->data && part_number(v->data, l->tree->model[m]->part) == part_number(v->data, v->part))
          b.context.model = l->tree->model[m];
      v->fitted = l->p->nfitted++;
      nagg += lower_agg(l, &b, v, &agg[nagg]);
      ds->fold |= v->crossfit;
    }
  finish_stored(l, &b, stage);
  Stage *s = &l->p->stage[stage];
  s->from = ds->rows;
  s->part = part_number(first->data, first->part);
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

/* A vector of vectors, `one_hot(each category)`, is a slot for each of them: so each keeps its form. */
static bool holds_vectors(const Node *n) {
  for (uint32_t i = 0; n->kind == N_VECTOR && i < n->narg; i++)
    if (n->arg[i]->type.kind == TY_VECTOR)
      return true;
  return false;
}

static uint32_t count_pieces(const Node *n) {
  uint32_t count = 0;
  if (!holds_vectors(n))
    return 1;
  for (uint32_t i = 0; i < n->narg; i++)
    count += count_pieces(n->arg[i]);
  return count;
}

static uint32_t prog_pieces(Build *b, const Node *n, const char *slot, uint32_t *val, const char **name) {
  uint32_t count = 0;
  if (!holds_vectors(n)) {
    uint32_t v = prog_node(b, n);
    *val = b->prog.val[v].type == IR_VEC ? v : prog_float(b, v);
    *name = slot;
    return 1;
  }
  for (uint32_t i = 0; i < n->narg; i++) {
    const char *e = prog_element(n, i);
    const char *of = *e ? arena_printf(b->arena, "%s%s%s", slot, *e == '.' ? "" : "_", e) : arena_printf(b->arena, "%s_%u", slot, i + 1);
    count += prog_pieces(b, n->arg[i], of, val + count, name + count);
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
      n += prog_pieces(b, s->expr, s->name, val + n, name + n);
    }
  b->context.crossfit = false;
  return n;
}

static uint32_t count_slots(const TModel *m) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < m->nblock; i++)
    for (uint32_t k = 0; k < m->block[i]->nslot; k++)
      n += count_pieces(m->block[i]->slot[k].expr);
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
  uint32_t stage = add_stage(l, STAGE_TRAIN, m->name, m->span);
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
  finish_stored(l, &b, stage);
  Stage *s = &l->p->stage[stage];
  s->from = state_of(l, m->data)->rows;
  s->part = part_number(m->data, m->part);
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
  switch (m->task) {
  case TASK_BINARY:
    prog_step(b, "const.f64", NULL, 0, &arg[1])->f = option_of(t->options, t->noptions, "threshold", 0.5);
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
  uint32_t stage = add_stage(l, STAGE_SCORE, arena_printf(l->arena, "%s.score", m->name), m->span);
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
        s->column[s->ncolumn++] = (IrColumn){b.used[k]->name, (uint8_t)prog_kind(b.used[k]->type), b.used[k]->type.nullable};
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

static void lower_metric(Lower *l, Build *b, const TMetric *m, const Stage *train, IrMetric *out) {
  *out = (IrMetric){.name = m->metric->name, .text = m->text, .top = m->top};
  out->option = options_of(l, m->metric->options, m->option, m->noption, &out->noption);
  for (uint32_t i = 0; i < out->noption; i++) { /* a metric's threshold is the model's, unless it says so */
    bool given = false;
    for (uint32_t k = 0; k < m->noption; k++)
      given |= strcmp(m->option[k].name, out->option[i].name) == 0;
    if (!given && strcmp(out->option[i].name, "threshold") == 0)
      out->option[i].num = option_of(train->options, train->noptions, "threshold", out->option[i].num);
  }
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

static void lower_evaluate(Lower *l, const TEvaluate *v) {
  const Stage *t = &l->p->stage[l->train[model_number(l, v->model)]];
  uint32_t fitted = t->fitted;
  const char *on = v->part ? arena_printf(l->arena, "%s.%s", v->data->name, v->part) : v->data->name;
  uint32_t stage = add_stage(l, STAGE_EVALUATE, arena_printf(l->arena, "%s on %s", v->model->name, on), v->span);
  t = &l->p->stage[l->train[model_number(l, v->model)]];
  Build b;
  prog_init(&b, l->arena, l->diags, l->tree, &l->split, COLS_STORED);
  uint32_t score = prog_score(&b, v->model, fitted);
  prog_out(&b, OUT_SCORE, NULL, KIND_FLOAT, score);
  prog_target(&b, v->model);
  for (uint32_t i = 0; v->model->task == TASK_CLUSTER && i < b.prog.val[score].narg; i++) /* metrics of clusters read the features */
    prog_out(&b, OUT_SLOT, b.prog.val[score].names[i], KIND_FLOAT, b.prog.val[score].arg[i]);
  Stage *s = &l->p->stage[stage];
  s->metric = NEWN(l->arena, IrMetric, v->nmetric + 1);
  for (uint32_t i = 0; i < v->nmetric; i++)
    lower_metric(l, &b, &v->metric[i], t, &s->metric[s->nmetric++]);
  s->expect = NEWN(l->arena, IrExpect, v->nexpect + 1);
  for (uint32_t i = 0; i < v->nexpect; i++)
    lower_expect(l, &v->expect[i], &s->expect[s->nexpect++]);
  finish_stored(l, &b, stage);
  s->from = state_of(l, v->data)->rows;
  s->part = part_number(v->data, v->part);
  s->seen = v->seen;
  use_model(l, s, v->model);
}

static void lower_predict(Lower *l, const TExport *x) {
  const char *on = x->part ? arena_printf(l->arena, "%s.%s", x->data->name, x->part) : x->data->name;
  uint32_t stage = add_stage(l, STAGE_PREDICT, arena_printf(l->arena, "%s predictions of %s", x->model->name, on), x->span);
  Build b;
  prog_init(&b, l->arena, l->diags, l->tree, &l->split, COLS_STORED);
  for (uint32_t i = 0; i < x->nkeep; i++) {
    const char *name = x->keep[i]->name;
    const char *const *used = prediction_column[x->model->task];
    if (!strcmp(name, used[0]) || (used[1] && !strcmp(name, used[1])))
      diag_add(l->diags, SEV_ERROR, "CML0331", x->span, "Name the columns to keep: `keep [..]` without it.",
               "a kept column has the name `%s`, which the predictions use", name);
    Node use = {.kind = N_COLUMN, .column = x->keep[i], .id = l->tree->nnode};
    prog_forget(&b, &use);
    prog_out(&b, OUT_COLUMN, name, prog_kind(x->keep[i]->type), prog_node(&b, &use));
  }
  prog_predictions(l, &b, x->model);
  finish_stored(l, &b, stage);
  Stage *s = &l->p->stage[stage];
  s->from = state_of(l, x->data)->rows;
  s->part = part_number(x->data, x->part);
  s->path = x->path;
  use_model(l, s, x->model);
}

static void lower_bundle(Lower *l, const TExport *x) {
  uint32_t number = model_number(l, x->model);
  lower_score(l, number);
  uint32_t stage = add_stage(l, STAGE_BUNDLE, arena_printf(l->arena, "%s bundle", x->model->name), x->span);
  Stage *s = &l->p->stage[stage];
  s->path = x->path;
  s->score = l->score[number];
  use_model(l, s, x->model);
}

/* ---- The whole ---- */

static void open_data(Lower *l, const TData *d) {
  DataState *ds = state_of(l, d);
  if (ds->rows >= 0)
    return;
  ds->source = (int32_t)add_stage(l, STAGE_SOURCE, d->name, d->span);
  ds->rows = (int32_t)add_stage(l, STAGE_ROWS, arena_printf(l->arena, "%s.rows", d->name), d->span);
  l->p->stage[ds->rows].from = ds->source;
}

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
    l.data[i] = (DataState){.data = t->data[i], .source = -1, .rows = -1};
  l.train = NEWN(a, int32_t, t->nmodel + 1);
  l.score = NEWN(a, int32_t, t->nmodel + 1);
  memset(l.score, 0xff, sizeof(int32_t) * (t->nmodel + 1));
  for (uint32_t i = 0; i < t->nmodel; i++)
    open_data(&l, t->model[i]->data);
  lower_fits(&l);
  for (uint32_t i = 0; i < t->nmodel; i++)
    lower_train(&l, i);
  for (uint32_t i = 0; i < t->nevaluate; i++)
    lower_evaluate(&l, &t->evaluate[i]);
  for (uint32_t i = 0; i < t->nexport; i++)
    if (t->export_[i].kind == EXPORT_PREDICTIONS)
      lower_predict(&l, &t->export_[i]);
  for (uint32_t i = 0; i < t->nexport; i++)
    if (t->export_[i].kind == EXPORT_BUNDLE)
      lower_bundle(&l, &t->export_[i]);
  for (uint32_t i = 0; i < t->ndata; i++)
    if (l.data[i].rows >= 0)
      lower_data(&l, &l.data[i]);
  return d->errors > before || e->code != ST_OK ? NULL : l.p;
}
