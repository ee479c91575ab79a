/* SPDX-License-Identifier: Apache-2.0 */
/* Data sets: from their clauses to source and rows stages, and what these need before:
 *
 *   source "d"
 *   rows   "d.rows0"       the rows above a clause that must know them all: a split by time or with strata,
 *                          an `expect`
 *   fit    "d.split"       where to cut: quantiles of the time, or of a random number in each stratum
 *   rows   "d.rows"        all clauses; what models, evaluations and predictions read
 *   fit    "d.expect"      the aggregates that `expect`s compare
 *
 * A cut is a quantile of type 7, so part i has the times above cut i - 1 up to cut i: rows of equal time
 * are never torn, and lie in the earlier part. Where nothing has to be fitted, only "d.rows" is there.
 * Read from the bottom: data_open, data_close. */
#include <string.h>

#include "base/hash.h"
#include "compiler/lower_parts.h"
#include "vm/ops.h"

DataState *lower_state(Lower *l, const TData *d) {
  for (uint32_t i = 0; i < l->tree->ndata; i++)
    if (l->data[i].data == d)
      return &l->data[i];
  return NULL;
}

uint32_t lower_stage(Lower *l, StageKind kind, const char *name, Span span) {
  Stage s = {.kind = kind,
             .name = name,
             .seq = l->p->nstage,
             .from = -1,
             .part = -1,
             .train = -1,
             .classes = -1,
             .matrix = -1,
             .program = -1,
             .score = -1};
  if (span.file && span.file == l->tree->file)
    source_position(l->diags->sources, span.file, span.from, &s.line, &s.col);
  PUSH(l->arena, l->p->stage, l->p->nstage, l->scap, s);
  return l->p->nstage - 1;
}

/* Parts that were divided again stand behind those that were not. */
int32_t lower_part_number(const TData *d, const char *part) {
  int32_t n = (int32_t)d->nleaf;
  for (uint32_t i = 0; part && i < d->npart; i++) {
    if (strcmp(d->part[i].name, part) == 0)
      return d->part[i].leaf >= 0 ? d->part[i].leaf : n;
    n += d->part[i].leaf < 0;
  }
  return -1;
}

static bool stored_has(const Stored *s, const TColumn *c) {
  for (uint32_t i = 0; i < s->n; i++)
    if (s->v[i] == c)
      return true;
  return false;
}

static void store_columns(Lower *l, const Build *b, Stored *to) {
  for (uint32_t i = 0; i < b->nused; i++)
    if (!stored_has(to, b->used[i]))
      PUSH(l->arena, to->v, to->n, to->cap, b->used[i]);
}

void lower_stored(Lower *l, Build *b, uint32_t stage) {
  l->p->stage[stage].prog = b->prog;
  for (uint32_t i = 0; i < b->nused; i++) {
    DataState *ds = lower_state(l, b->used[i]->data);
    Build one = {.used = &b->used[i], .nused = 1};
    if (ds)
      store_columns(l, &one, &ds->stored);
  }
}

/* ---- Numbers that rows are divided by ---- */

static uint64_t named_seed(const Lower *l, const TData *d, const char *purpose, int64_t seed) {
  return hash_word(hash_cstr(hash_cstr(HASH_VERSION, d->name), purpose),
                   hash_word(l->p->seed, (uint64_t)seed));
}

static uint32_t hash_of(Build *b, Node *const *key, uint32_t nkey, uint64_t seed) {
  uint32_t n, *arg = NEWN(b->arena, uint32_t, nkey + 1);
  for (uint32_t i = 0; i < nkey; i++)
    arg[i] = prog_node(b, key[i]);
  prog_step(b, "hash", arg, nkey, &n)->i = (int64_t)seed;
  return n;
}

static uint32_t random_number(Build *b, uint64_t seed) {
  uint32_t n;
  prog_step(b, "rng", NULL, 0, &n)->i = (int64_t)seed;
  return n;
}

/* In [0, 1): what a split by hash or by chance is cut from. A group has one number. */
static uint32_t split_number(Lower *l, Build *b, const TData *d, const TSplit *s) {
  const char *purpose = s->of < 0 ? "split" : arena_printf(l->arena, "split %s", d->part[s->of].name);
  if (s->kind == SPLIT_HASH)
    return hash_of(b, s->key, s->nkey, hash_cstr(HASH_VERSION, purpose));
  uint64_t seed = named_seed(l, d, purpose, s->seed);
  return d->ngroup ? hash_of(b, d->group, d->ngroup, seed) : random_number(b, seed);
}

static uint32_t fold_number(Lower *l, Build *b, const TData *d) {
  const TSplit *s = d->nsplit ? &d->split[0] : NULL;
  if (s && s->kind == SPLIT_HASH)
    return hash_of(b, s->key, s->nkey, hash_cstr(HASH_VERSION, "fold"));
  uint64_t seed = hash_word(hash_cstr(hash_cstr(HASH_VERSION, d->name), "fold"), l->p->seed);
  return d->ngroup ? hash_of(b, d->group, d->ngroup, seed) : random_number(b, seed);
}

static uint32_t step(Build *b, const char *op, uint32_t x, uint32_t y) {
  uint32_t arg[2] = {x, y}, n;
  prog_step(b, op, arg, 2, &n);
  return n;
}

static uint32_t step1(Build *b, const char *op, uint32_t x) {
  uint32_t n;
  prog_step(b, op, &x, 1, &n);
  return n;
}

static uint32_t whole(Build *b, int64_t i) {
  uint32_t n;
  prog_step(b, "const.i64", NULL, 0, &n)->i = i;
  return n;
}

static uint32_t real(Build *b, double f) {
  uint32_t n;
  prog_step(b, "const.f64", NULL, 0, &n)->f = f;
  return n;
}

/* A stratum is a value of all its columns; null is a value. */
static uint32_t stratum_keys(Build *b, const TSplit *s, uint32_t *key) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < s->nstratum; i++) {
    uint32_t v = prog_node(b, s->stratum[i]), none;
    IrType t = (IrType)b->prog.val[v].type;
    const char *suffix = t == IR_STR ? "str" : t == IR_I64 ? "i64" : "b";
    if (b->prog.val[v].nullable) {
      uint32_t is = step1(b, arena_printf(b->arena, "is_null.%s", suffix), v);
      IrVal *c = prog_step(b, arena_printf(b->arena, "const.%s", suffix), NULL, 0, &none);
      c->s = t == IR_STR ? "" : NULL;
      v = step(b, arena_printf(b->arena, "coalesce.%s", suffix), v, none);
      key[n++] = is;
    }
    key[n++] = v;
  }
  return n;
}

/* The time as a number: equal times stay equal. */
static uint32_t time_number(Build *b, const TSplit *s) {
  uint32_t v = prog_node(b, s->key[0]), n = v;
  if (b->prog.val[v].nullable) { /* a `where` above removed those */
    IrVal *c = prog_step(b, "check.null.i64", &v, 1, &n);
    c->s = show_text(b->arena, s->key[0]);
    prog_place(b, s->span, &c->line, &c->col);
  }
  return prog_float(b, n);
}

/* How many of n fitted cuts, the first of them $first, lie below x. With keys: cuts of the row's stratum. */
static uint32_t cuts_below(Build *b, uint32_t x, uint32_t first, uint32_t n, const uint32_t *key,
                           uint32_t nkey) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t cut;
    if (nkey) {
      IrVal *v = prog_step(b, "lookup.f64", key, nkey, &cut);
      v->i = first + i;
      v->g = -1;
      cut = step(b, "coalesce.f64", cut, real(b, 1)); /* of rows that a `where` removes */
    } else {
      prog_step(b, "fitted.f64", NULL, 0, &cut)->i = first + i;
    }
    uint32_t above = step1(b, "cast.b.i64", step(b, "gt.f64", x, cut));
    sum = i ? step(b, "add.i64", sum, above) : above;
  }
  return n ? sum : whole(b, 0);
}

static bool needs_cuts(const TSplit *s) {
  return s->kind == SPLIT_TIME || (s->kind == SPLIT_RANDOM && s->nstratum);
}

static uint32_t value_index(Build *b, const TData *d, const TSplit *s) {
  uint32_t arg[2] = {prog_node(b, s->key[0]), 0}, n;
  IrType t = (IrType)b->prog.val[arg[0]].type;
  if (t != IR_STR)
    arg[0] = step1(b, t == IR_I64 ? "cast.i64.str" : "cast.b.str", arg[0]);
  IrVal *v = prog_step(b, "const.vocab", NULL, 0, &arg[1]);
  v->names = NEWN(b->arena, const char *, s->n);
  for (uint32_t i = 0; i < s->n; i++)
    v->names[v->nlist++] = d->part[s->first + i].name;
  v = prog_step(b, "part_of.str", arg, 2, &n);
  prog_place(b, s->span, &v->line, &v->col);
  return n;
}

/* The inputs of a part stand side by side: how many parts end at or before the number of a row's input. */
static uint32_t source_index(Build *b, const TData *d) {
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

/* The number of a row's part among those of one split. */
static uint32_t split_index(Lower *l, Build *b, const DataState *ds, uint32_t number) {
  const TData *d = ds->data;
  const TSplit *s = &d->split[number];
  uint32_t key[2 * 16], arg[2], n;
  if (s->kind == SPLIT_VALUE)
    return value_index(b, d, s);
  if (s->kind == SPLIT_SOURCE)
    return source_index(b, d);
  if (s->kind == SPLIT_TIME)
    return cuts_below(b, time_number(b, s), ds->cut[number], s->n - 1, NULL, 0);
  arg[0] = split_number(l, b, d, s);
  if (s->nstratum)
    return cuts_below(b, arg[0], ds->cut[number], s->n - 1, key, stratum_keys(b, s, key));
  IrVal *v = prog_step(b, "const.list", NULL, 0, &arg[1]);
  double *cut = NEWN(b->arena, double, s->n), sum = 0;
  v->list = cut;
  for (uint32_t i = 0; i + 1 < s->n; i++)
    cut[v->nlist++] = sum += d->part[s->first + i].share;
  prog_step(b, "cut.f64", arg, 2, &n);
  return n;
}

/* The number of the undivided part that a row lies in, splits of parts included. */
static uint32_t leaf_number(Lower *l, Build *b, const DataState *ds, uint32_t number) {
  const TData *d = ds->data;
  const TSplit *s = &d->split[number];
  uint32_t index = split_index(l, b, ds, number), leaf = index;
  bool plain = number == 0;
  for (uint32_t i = 0; i < s->n; i++)
    plain = plain && d->part[s->first + i].leaf == (int32_t)i;
  for (uint32_t i = s->n; !plain && i-- > 0;) {
    const TPart *p = &d->part[s->first + i];
    uint32_t v = p->split >= 0 ? leaf_number(l, b, ds, (uint32_t)p->split) : whole(b, p->leaf), arg[3];
    if (i + 1 == s->n) {
      leaf = v;
      continue;
    }
    arg[0] = step(b, "eq.i64", index, whole(b, i));
    arg[1] = v;
    arg[2] = leaf;
    prog_step(b, "if.i64", arg, 3, &leaf);
  }
  return leaf;
}

/* Whether a row lies in a part. */
static uint32_t in_part(Lower *l, Build *b, const DataState *ds, int32_t part) {
  const TData *d = ds->data;
  uint32_t number = 0;
  while (!((uint32_t)part >= d->split[number].first &&
           (uint32_t)part < d->split[number].first + d->split[number].n))
    number++;
  const TSplit *s = &d->split[number];
  uint32_t in = step(b, "eq.i64", split_index(l, b, ds, number), whole(b, part - (int32_t)s->first));
  return s->of < 0 ? in : step(b, "and.b", in_part(l, b, ds, s->of), in);
}

/* ---- Folds ---- */

static bool folds_by_time(const TData *d) {
  return d->nsplit && d->split[0].kind == SPLIT_TIME;
}

/* Under a split by time the folds of each part are consecutive: the number of fold cuts below, less those
 * of earlier parts. */
static uint32_t time_fold(Lower *l, Build *b, const DataState *ds) {
  const TData *d = ds->data;
  const TSplit *s = &d->split[0];
  uint32_t each = (uint32_t)d->folds - 1;
  uint32_t below = cuts_below(b, time_number(b, s), ds->fold_cut, each * s->n, NULL, 0);
  uint32_t before = step(b, "mul.i64", split_index(l, b, ds, 0), whole(b, each));
  uint32_t fold = step(b, "sub.i64", below, before); /* two roundings of one gap between times may be out
                                                      * of order: */
  return step(b, "least.i64", step(b, "greatest.i64", fold, whole(b, 0)), whole(b, each));
}

static void lower_fold(Lower *l, Build *b, const DataState *ds) {
  uint32_t n, u;
  if (folds_by_time(ds->data)) {
    n = time_fold(l, b, ds);
  } else {
    u = fold_number(l, b, ds->data);
    prog_step(b, "fold_of.f64", &u, 1, &n)->i = ds->data->folds;
  }
  prog_out(b, OUT_FOLD, NULL, KIND_INT, n);
}

/* ---- Row programs ---- */

typedef struct Rows { /* a rows program under construction */
  const Stored *stored;
  uint32_t filters; /* it runs so many clauses that remove rows */
  bool early;
} Rows;

/* Rows of the part (and of the condition) stay with the probability of the share. */
static void lower_sample(Lower *l, Build *b, const DataState *ds, uint32_t number) {
  const TData *d = ds->data;
  const TSample *s = &d->sample[number];
  const char *purpose = arena_printf(l->arena, "sample %u", number);
  uint32_t thin = in_part(l, b, ds, s->part), no;
  if (s->where) {
    uint32_t where = prog_node(b, s->where);
    prog_step(b, "const.b", NULL, 0, &no);
    if (b->prog.val[where].nullable)
      where = step(b, "coalesce.b", where, no);
    thin = step(b, "and.b", thin, where);
  }
  uint32_t u = s->nkey ? hash_of(b, s->key, s->nkey, hash_cstr(HASH_VERSION, purpose))
                       : random_number(b, named_seed(l, d, purpose, s->seed));
  step1(b, "keep", step(b, "or.b", step1(b, "not.b", thin), step(b, "lt.f64", u, real(b, s->share))));
}

static bool removes(const TStep *s) {
  return s->kind == STEP_WHERE || s->kind == STEP_SAMPLE;
}

static void rows_clauses(Lower *l, Build *b, const DataState *ds, const Rows *r) {
  const TData *d = ds->data;
  uint32_t done = 0;
  for (uint32_t i = 0; i < d->nstep; i++) {
    const TStep *st = &d->step[i];
    if (removes(st) && done++ >= r->filters)
      break;
    switch (st->kind) {
    case STEP_WHERE: step1(b, "keep", prog_node(b, st->expr)); break;
    case STEP_DERIVE: /* here, so that rows removed above make no errors; one nobody reads is not computed */
      if (stored_has(r->stored, st->column))
        prog_node(b, st->column->derive);
      break;
    case STEP_WEIGHT:
      if (!r->early)
        prog_out(b, OUT_WEIGHT, NULL, KIND_FLOAT, prog_float(b, prog_node(b, st->expr)));
      break;
    case STEP_SPLIT:
      if (!r->early && st->number + 1 == d->nsplit)
        prog_out(b, OUT_PART, NULL, KIND_INT, leaf_number(l, b, ds, 0));
      break;
    case STEP_SAMPLE: lower_sample(l, b, ds, st->number); break;
    case STEP_EXPECT: break;
    }
  }
}

static void rows_program(Lower *l, Build *b, const DataState *ds, const Early *early) {
  const TData *d = ds->data;
  Rows r = {.stored = early ? &early->stored : &ds->stored,
            .filters = early ? early->filters : UINT32_MAX,
            .early = early};
  rows_clauses(l, b, ds, &r);
  for (uint32_t i = 0; i < d->ncolumn; i++) {
    if (!stored_has(r.stored, d->column[i]))
      continue;
    Node use = {.kind = N_COLUMN, .column = (TColumn *)d->column[i], .id = l->tree->nnode};
    prog_forget(b, &use);
    prog_out(b, OUT_COLUMN, d->column[i]->name, prog_kind(d->column[i]->type), prog_node(b, &use));
  }
  if (ds->fold && !early)
    lower_fold(l, b, ds);
  if (b->has_invalid && !early)
    prog_out(b, OUT_INVALID, NULL, KIND_BOOL, b->invalid);
}

static bool drops_rows(const TColumn *c) {
  return !c->derive && c->on_invalid == INVALID_DROP;
}

/* Once to learn which columns of the file are read; then again with all of them, and their checks, at the
 * top. Those that drop rows are always read: which rows there are does not depend on what a model uses. */
static void lower_rows(Lower *l, const DataState *ds, const Early *early, Build *b) {
  Build dry;
  prog_init(&dry, l->arena, l->diags, l->tree, &l->split, COLS_FILE);
  dry.drops = true;
  rows_program(l, &dry, ds, early);
  prog_init(b, l->arena, l->diags, l->tree, &l->split, COLS_FILE);
  b->drops = true;
  for (uint32_t i = 0; i < ds->data->ncolumn;
       i++) /* first, so that other values of such a row are no errors */
    if (drops_rows(ds->data->column[i]))
      prog_column(b, ds->data->column[i]);
  for (uint32_t i = 0; i < ds->data->ncolumn; i++)
    for (uint32_t k = 0; k < dry.nused; k++)
      if (dry.used[k] == ds->data->column[i])
        prog_column(b, dry.used[k]);
  rows_program(l, b, ds, early);
}

static void lower_source(Lower *l, const DataState *ds, const Stored *read) {
  const TData *d = ds->data;
  Stage *s = &l->p->stage[ds->source];
  s->input = NEWN(l->arena, IrInput, d->nsource + 1);
  for (uint32_t i = 0; i < d->nsource; i++) {
    const TSource *x = &d->source[i];
    s->input[s->ninput++] = (IrInput){x->format, x->path, x->option, x->noption};
  }
  s->column = NEWN(l->arena, IrColumn, read->n + 2);
  if (d->nsplit && d->split[0].kind == SPLIT_SOURCE)
    s->column[s->ncolumn++] = (IrColumn){IR_INPUT_COLUMN, KIND_INT, false};
  s->declared = NEWN(l->arena, const char *, d->ncolumn + 1);
  for (uint32_t i = 0; i < d->ncolumn; i++) {
    const TColumn *c = d->column[i];
    if (c->derive)
      continue;
    if (c->declared)
      s->declared[s->ndeclared++] = c->name;
    if (stored_has(read, c))
      s->column[s->ncolumn++] = (IrColumn){c->name, (uint8_t)prog_kind(c->type), c->type.nullable};
  }
}

static void name_parts(Lower *l, const TData *d, Stage *s) {
  s->parts = NEWN(l->arena, const char *, d->npart + 1);
  s->unions = NEWN(l->arena, IrUnion, d->npart + 1);
  s->nparts = d->nleaf;
  for (uint32_t i = 0; i < d->npart; i++) {
    const TPart *p = &d->part[i];
    if (p->leaf >= 0)
      s->parts[p->leaf] = p->name;
    else
      s->unions[s->nunions++] = (IrUnion){p->name, p->leaves};
  }
}

/* ---- Early rows, and what is fitted on them ---- */

static uint32_t filters_before(const TData *d, const TStep *end) {
  uint32_t n = 0;
  for (const TStep *s = d->step; s < end; s++)
    n += removes(s);
  return n;
}

static uint32_t early_rows(Lower *l, DataState *ds, uint32_t filters) {
  for (uint32_t i = 0; i < ds->nearly; i++)
    if (ds->early[i].filters == filters)
      return i;
  Early y = {.filters = filters};
  y.stage = (int32_t)lower_stage(l, STAGE_ROWS, arena_printf(l->arena, "%s.rows%u", ds->data->name, filters),
                                 ds->data->span);
  l->p->stage[y.stage].from = ds->source;
  l->p->stage[y.stage].early = true;
  PUSH(l->arena, ds->early, ds->nearly, ds->cap, y);
  return ds->nearly - 1;
}

static void end_fit(Lower *l, Build *b, uint32_t stage, IrAgg *agg, uint32_t nagg) {
  Stage *s = &l->p->stage[stage];
  s->prog = b->prog;
  s->agg = agg;
  s->nagg = nagg;
}

typedef struct Cutter { /* the cuts of one split under construction */
  IrAgg like, *agg;
  uint32_t nagg;
} Cutter;

static void add_cut(Lower *l, Cutter *c, const char *what, double at) {
  IrAgg *a = &c->agg[c->nagg++];
  *a = c->like;
  a->par = at;
  a->fitted = l->p->nfitted++;
  a->text = arena_printf(l->arena, "%s at %.6g%%", what, at * 100);
}

static void time_cuts(Lower *l, DataState *ds, const TSplit *s, const char *what, Cutter *c) {
  const TData *d = ds->data;
  double from = 0;
  ds->fold_cut = l->p->nfitted;
  for (uint32_t i = 0; i < s->n; i++) {
    double share = d->part[s->first + i].share;
    for (int k = 1; k < d->folds; k++)
      add_cut(l, c, what, from + share * k / d->folds);
    from += share;
  }
}

static void lower_cuts(Lower *l, DataState *ds, const TStep *at) {
  const TData *d = ds->data;
  const TSplit *s = &d->split[at->number];
  uint32_t early = early_rows(l, ds, filters_before(d, at));
  const char *of = s->of < 0 ? "" : arena_printf(l->arena, " %s", d->part[s->of].name);
  uint32_t stage = lower_stage(l, STAGE_FIT, arena_printf(l->arena, "%s.split%s", d->name, of), s->span);
  Build b;
  prog_init(&b, l->arena, l->diags, l->tree, &l->split, COLS_STORED);
  Cutter c = {.like = {.op = "quantile.f64", .where = -1, .weight = -1, .leave_out = -1}};
  c.agg = NEWN(l->arena, IrAgg, s->n * (uint32_t)(d->folds + 1));
  c.like.key = NEWN(l->arena, uint32_t, 2 * s->nstratum + 1);
  const char *what =
      s->kind == SPLIT_TIME ? show_text(l->arena, s->key[0]) : "rows by chance in each stratum";
  uint32_t x = s->kind == SPLIT_TIME ? time_number(&b, s) : split_number(l, &b, d, s);
  prog_out(&b, OUT_COLUMN, NULL, KIND_FLOAT, x);
  c.like.arg = (int32_t)x;
  c.like.nkey = stratum_keys(&b, s, c.like.key);
  for (uint32_t i = 0; i < c.like.nkey; i++)
    prog_out(&b, OUT_COLUMN, NULL, KIND_FLOAT, c.like.key[i]);
  if (s->of >= 0) { /* of the rows of that part alone */
    uint32_t in = in_part(l, &b, ds, s->of);
    c.like.where = (int32_t)in;
    prog_out(&b, OUT_COLUMN, NULL, KIND_BOOL, in);
  }
  prog_place(&b, s->span, &c.like.line, &c.like.col);
  ds->cut[at->number] = l->p->nfitted;
  double sum = 0;
  for (uint32_t i = 0; i + 1 < s->n; i++)
    add_cut(l, &c, what, sum += d->part[s->first + i].share);
  if (ds->fold && at->number == 0 && s->kind == SPLIT_TIME)
    time_cuts(l, ds, s, what, &c);
  store_columns(l, &b, &ds->early[early].stored);
  l->p->stage[stage].from = ds->early[early].stage;
  end_fit(l, &b, stage, c.agg, c.nagg);
}

/* ---- Expectations ---- */

typedef struct Tests { /* the `expect`s that see the same rows */
  Instance *agg;       /* each aggregate in them once */
  uint32_t nagg, cap, nexpect;
} Tests;

static void find_aggregates(Lower *l, const TData *d, const Node *n, Tests *t, bool *seen) {
  if (seen[n->id])
    return;
  seen[n->id] = true;
  for (uint32_t i = 0; i < n->narg && n->kind != N_AGG; i++)
    find_aggregates(l, d, n->arg[i], t, seen);
  if (n->kind == N_AGG)
    PUSH(l->arena, t->agg, t->nagg, t->cap, ((Instance){.agg = n, .data = d, .fitted = l->p->nfitted++}));
}

static void lower_expect(Lower *l, const Tests *t, const TStep *s, IrExpect *out) {
  Build b;
  prog_init(&b, l->arena, l->diags, l->tree, &l->split, COLS_STORED);
  b.own = t->agg;
  b.nown = t->nagg;
  prog_out(&b, OUT_COLUMN, "ok", KIND_BOOL, prog_node(&b, s->expr));
  *out = (IrExpect){.prog = b.prog, .text = s->text};
  prog_place(&b, s->span, &out->line, &out->col);
}

/* One stage for all `expect`s with as many filters above them; where no other follows, they read what
 * models read. */
static void lower_tests(Lower *l, DataState *ds, uint32_t filters) {
  const TData *d = ds->data;
  Tests t = {.nagg = 0};
  IrExpect *expect = NEWN(l->arena, IrExpect, d->nstep + 1);
  bool *seen = NEWN(l->arena, bool, l->tree->nnode + 1);
  for (const TStep *s = d->step; s < d->step + d->nstep; s++)
    if (s->kind == STEP_EXPECT && filters_before(d, s) == filters)
      find_aggregates(l, d, s->expr, &t, seen);
  bool all = filters == filters_before(d, d->step + d->nstep);
  uint32_t early = all ? 0 : early_rows(l, ds, filters);
  uint32_t stage = lower_stage(
      l, STAGE_FIT, arena_printf(l->arena, all ? "%s.expect" : "%s.expect%u", d->name, filters), (Span){0});
  Build b;
  prog_init(&b, l->arena, l->diags, l->tree, &l->split, COLS_STORED);
  IrAgg *agg = NEWN(l->arena, IrAgg, t.nagg + 1);
  for (uint32_t i = 0; i < t.nagg; i++)
    lower_agg_once(l, &b, &t.agg[i], -1, &agg[i]);
  for (const TStep *s = d->step; s < d->step + d->nstep; s++)
    if (s->kind == STEP_EXPECT && filters_before(d, s) == filters)
      lower_expect(l, &t, s, &expect[t.nexpect++]);
  store_columns(l, &b, all ? &ds->stored : &ds->early[early].stored);
  Stage *s = &l->p->stage[stage];
  s->from = all ? ds->rows : ds->early[early].stage;
  s->expect = expect;
  s->nexpect = t.nexpect;
  end_fit(l, &b, stage, agg, t.nagg);
}

static void lower_all_tests(Lower *l, DataState *ds, bool all) {
  const TData *d = ds->data;
  uint32_t last = filters_before(d, d->step + d->nstep), done = UINT32_MAX;
  for (const TStep *s = d->step; s < d->step + d->nstep; s++) {
    uint32_t filters = filters_before(d, s);
    if (s->kind == STEP_EXPECT && (filters == last) == all && filters != done)
      lower_tests(l, ds, done = filters);
  }
}

/* ---- The whole ---- */

void data_init(Lower *l, DataState *ds, const TData *d) {
  *ds = (DataState){.data = d, .source = -1, .rows = -1, .cut = NEWN(l->arena, uint32_t, d->nsplit + 1)};
  for (uint32_t i = 0; i < l->split.n; i++)
    ds->fold |= l->split.v[i].data == d && l->split.v[i].crossfit;
}

bool data_is_tested(const TData *d) {
  for (uint32_t i = 0; i < d->nstep; i++)
    if (d->step[i].kind == STEP_EXPECT)
      return true;
  return false;
}

void data_open(Lower *l, DataState *ds) {
  const TData *d = ds->data;
  if (ds->rows >= 0)
    return;
  ds->source = (int32_t)lower_stage(l, STAGE_SOURCE, d->name, d->span);
  for (const TStep *s = d->step; s < d->step + d->nstep; s++)
    if (s->kind == STEP_SPLIT && needs_cuts(&d->split[s->number]))
      lower_cuts(l, ds, s);
  lower_all_tests(l, ds, false);
  ds->rows = (int32_t)lower_stage(l, STAGE_ROWS, arena_printf(l->arena, "%s.rows", d->name), d->span);
  l->p->stage[ds->rows].from = ds->source;
  lower_all_tests(l, ds, true);
}

void data_close(Lower *l, DataState *ds) {
  Stored read = {.n = 0};
  Build b;
  for (uint32_t i = 0; i < ds->nearly; i++) {
    lower_rows(l, ds, &ds->early[i], &b);
    l->p->stage[ds->early[i].stage].prog = b.prog;
    store_columns(l, &b, &read);
  }
  lower_rows(l, ds, NULL, &b);
  store_columns(l, &b, &read);
  lower_source(l, ds, &read);
  Stage *s = &l->p->stage[ds->rows];
  s->prog = b.prog;
  s->folds = ds->fold ? (uint32_t)ds->data->folds : 0;
  s->forward = s->folds && folds_by_time(ds->data);
  name_parts(l, ds->data, s);
}
