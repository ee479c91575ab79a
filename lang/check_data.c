/* SPDX-License-Identifier: Apache-2.0 */
/* Data sets: the row clauses, in the order written. data_check at the end is the order of work; `from` and
 * `schema` are in check_source.c. A clause sees the columns of the file and the derives above it. */
#include <string.h>

#include "lang/check.h"

enum { FOLDS_MIN = 2, FOLDS_MAX = 100 };

TColumn *data_column(DataInfo *d, const char *name) {
  return table_get(&d->column, name);
}

void not_declared(Check *c, const Table *of, const char *name, Span at) {
  bool model = of == &c->model;
  Near near = {.arena = c->a};
  near_table(&near, of);
  const char *remedy = near_or_all(&near, name, model ? "the models are" : "the data sets are");
  if (!remedy)
    remedy = model ? "declare `model NAME = linear_regression(TARGET ~ BLOCK)`"
                   : "declare `data NAME { from csv(\"file.csv\") }`";
  if (table_add(&c->said, arena_printf(c->a, "%d%s", model, name), c))
    diag_add(c->d, SEV_ERROR, "CML0220", at, remedy, "there is no %s `%s`",
             model ? "model" : "data set", name);
}

void no_column(Ctx *x, DataInfo *d, const Expr *name, const char *remedy) {
  Near near = {.arena = x->c->a};
  near_table(&near, &d->column);
  if (d->broken || table_get(&d->derive, name->name) || !table_add(&d->said, name->name, d))
    return; /* its derive had an error, or it was said */
  ctx_error(x, "CML0204", name->span, remedy ? remedy : near_or_all(&near, name->name, "its columns are"),
            "`%s` is not a column of `%s`", name->name, d->t->name);
}

DataInfo *part_named(Check *c, const Expr *e, const char *who, const char **part) {
  const Expr *name = e->kind == E_DOT ? e->a : e;
  Near near = {.arena = c->a};
  *part = NULL;
  if (e->kind == E_ERROR)
    return NULL;
  if (!name || name->kind != E_NAME) {
    diag_add(c->d, SEV_ERROR, "CML0220", e->span, "write `on d.test`", "%s names a data set or a part of one",
             who);
    return NULL;
  }
  DataInfo *d = table_get(&c->data, name->name);
  if (!d) {
    not_declared(c, &c->data, name->name, name->span);
    return NULL;
  }
  d->used = true;
  if (e->kind != E_DOT)
    return d;
  if (d->broken && !d->t->npart)
    return NULL;
  if (!data_part(d->t, e->name)) {
    for (uint32_t i = 0; i < d->t->npart; i++)
      near_add(&near, d->t->part[i].name);
    const char *remedy = near_remedy(&near, e->name);
    if (!remedy)
      remedy = d->t->npart
                   ? arena_printf(c->a, "its parts are %s", data_parts(c, d->t))
                   : arena_printf(c->a, "write `split train 80%%, %s 20%% by random(seed = 7)` in `%s`",
                                  strcmp(e->name, "train") == 0 ? "test" : e->name, name->name);
    if (!d->bad_split)
      diag_add(c->d, SEV_ERROR, "CML0311", e->span, remedy, "`%s` has no part `%s`", name->name, e->name);
    d->bad_split |= !d->t->npart; /* that there are none was said */
    return NULL;
  }
  *part = e->name;
  return d;
}

/* ---- Clauses ---- */

void data_step(Check *c, DataInfo *d, TStep step) {
  PUSH(c->a, d->t->step, d->t->nstep, d->nstep_cap, step);
}

/* Columns that are not null in the rows that pass `cond`: a null condition drops the row. */
static void note_nonnull(Ctx *x, DataInfo *d, Node *cond) {
  Check *c = x->c;
  if (strcmp(cond->op ? cond->op : "", "and.b") == 0) {
    note_nonnull(x, d, cond->arg[0]);
    note_nonnull(x, d, cond->arg[1]);
    return;
  }
  const Node *inner = cond->op && strcmp(cond->op, "not.b") == 0 ? cond->arg[0] : NULL;
  bool tested = inner && inner->op && strncmp(inner->op, "is_null.", 8) == 0;
  for (uint32_t i = 0; i < d->t->ncolumn; i++) {
    TColumn *col = d->t->column[i];
    if (!col->type.nullable || col->type.kind == TY_ERROR)
      continue;
    const Node *node = node_column(&c->nodes, col, PH_ROW, col->span);
    if ((tested && inner->arg[0] == node) || (node->id < cond->id && node_strict_in(&c->nodes, cond, node)))
      PUSH(c->a, d->nonnull, d->nnonnull, d->nonnull_cap, col);
  }
}

bool data_nonnull(const DataInfo *d, const Node *n) {
  if (!n->type.nullable)
    return true;
  if (n->kind == N_COLUMN) {
    for (uint32_t i = 0; i < d->nnonnull; i++)
      if (d->nonnull[i] == n->column)
        return true;
    return n->column->derive && data_nonnull(d, n->column->derive);
  }
  if (n->kind != N_CALL || strncmp(n->op, "null_", 5) == 0 || strncmp(n->op, "cast.str.", 9) == 0 ||
      strncmp(n->op, "idiv.i64", 8) == 0 || strncmp(n->op, "mod.i64", 7) == 0)
    return false;
  for (uint32_t i = 0; i < n->narg; i++)
    if (!data_nonnull(d, n->arg[i]))
      return false;
  return true;
}

static void check_where(Ctx *x, DataInfo *d, const Item *i) {
  Node *n = expr_bool(x, i->expr, "`where`");
  if (node_is_error(n))
    return;
  note_nonnull(x, d, n);
  data_step(x->c, d, (TStep){.kind = STEP_WHERE, .span = i->span, .expr = n});
}

static void check_derive(Ctx *x, DataInfo *d, const Item *i) {
  Check *c = x->c;
  Node *n = expr_check(x, i->expr);
  TColumn *old = data_column(d, i->name);
  if (old) {
    Diag *g =
        ctx_error(x, "CML0208", i->name_span, "choose another name", "`%s` is a column already", i->name);
    if (g && old->span.file)
      diag_note(c->d, g, old->span, "it is declared here");
    return;
  }
  if (!node_is_error(n) && !type_is_scalar(n->type.kind)) {
    ctx_error(x, "CML0205", i->expr->span,
              n->type.kind == TY_LIST ? arena_printf(c->a, "write it in a `features` block: `let %s = %s`",
                                                     i->name, source_text(c, i->expr->span))
                                      : "write it as a slot of a `features` block",
              "a derived column holds one value, not %s", type_article(n->type.kind));
    n = c->error;
  }
  TColumn *col = NEW(c->a, TColumn);
  *col = (TColumn){.name = i->name,
                   .type = n->type,
                   .span = i->name_span,
                   .derive = node_is_error(n) ? NULL : n,
                   .step = d->t->nstep,
                   .data = d->t};
  table_add(&d->column, i->name, col);
  if (node_is_error(n))
    return;
  PUSH(c->a, d->t->column, d->t->ncolumn, d->ncolumn_cap, col);
  data_step(c, d, (TStep){.kind = STEP_DERIVE, .span = i->span, .expr = n, .column = col});
}

static void check_weight(Ctx *x, DataInfo *d, const Item *i) {
  Node *n = expr_coerce(x, expr_check(x, i->expr), type_of(TY_FLOAT), i->expr->span, "`weight`");
  for (uint32_t k = 0; k < d->t->nstep; k++)
    if (d->t->step[k].kind == STEP_WEIGHT)
      ctx_error(x, "CML0317", i->span, "multiply the two", "a data set has one `weight`");
  if (node_is_error(n))
    return;
  if (n->type.nullable) {
    ctx_error(x, "CML0317", i->expr->span,
              arena_printf(x->c->a, "write `weight coalesce(%s, 0)`", source_text(x->c, i->expr->span)),
              "a weight may not be null");
    return;
  }
  data_step(x->c, d, (TStep){.kind = STEP_WEIGHT, .span = i->span, .expr = n});
}

/* An aggregate in n, or NULL; each Node is looked at once. */
static const Node *aggregate_in(const Node *n, bool *seen) {
  const Node *found = n->kind == N_AGG ? n : NULL;
  if (seen[n->id])
    return NULL;
  seen[n->id] = true;
  for (uint32_t i = 0; i < n->narg && !found; i++)
    found = aggregate_in(n->arg[i], seen);
  return found;
}

static bool has_inner(Check *c, const Node *agg) {
  bool *seen = NEWN(c->a, bool, c->nodes.n);
  bool found =
      (agg->where && aggregate_in(agg->where, seen)) || (agg->weight && aggregate_in(agg->weight, seen));
  for (uint32_t i = 0; i < agg->narg && !found; i++)
    found = aggregate_in(agg->arg[i], seen) != NULL;
  return found;
}

/* Is one of the aggregates in n over another? */
static bool nested_in(Check *c, const Node *n, bool *seen) {
  if (seen[n->id])
    return false;
  seen[n->id] = true;
  bool found = n->kind == N_AGG && has_inner(c, n);
  for (uint32_t i = 0; i < n->narg && !found; i++)
    found = nested_in(c, n->arg[i], seen);
  return found;
}

/* A test of all rows that are left here: what it compares are aggregates and constants. */
static void check_expect(Ctx *x, DataInfo *d, const Item *i) {
  Check *c = x->c;
  Ctx all = *x;
  all.tests = true;
  Node *n = expr_bool(&all, i->expr, "`expect`");
  if (node_is_error(n))
    return;
  if (n->phase == PH_ROW)
    ctx_error(x, "CML0325", i->expr->span,
              "write aggregates, as in `expect min(age) >= 0`; a domain in `schema` tests each value",
              "this `expect` looks at single rows, and it tests all of them together");
  else if (!aggregate_in(n, NEWN(c->a, bool, c->nodes.n)))
    ctx_error(x, "CML0325", i->expr->span, "compare an aggregate: `expect count() > 1000`",
              "this `expect` does not look at the data");
  else if (nested_in(c, n, NEWN(c->a, bool, c->nodes.n)))
    ctx_error(x, "CML0325", i->expr->span, "test the inner one by itself",
              "an aggregate of an aggregate cannot be tested here");
  else {
    d->used = true;
    data_step(
        c, d,
        (TStep){
            .kind = STEP_EXPECT, .span = i->expr->span, .expr = n, .text = source_text(c, i->expr->span)});
  }
}

static void check_folds(Ctx *x, DataInfo *d, const Item *i) {
  Check *c = x->c;
  Ctx closed = *x;
  closed.data = NULL;
  Node *n = expr_coerce(&closed, expr_check(&closed, i->expr), type_of(TY_INT), i->expr->span, "`folds`");
  if (node_is_error(n))
    return;
  if (n->kind != N_LIT || n->i < FOLDS_MIN || n->i > FOLDS_MAX)
    diag_add(c->d, SEV_ERROR, "CML0317", i->expr->span, "write `folds 5`",
             "the number of folds lies in %d..%d", FOLDS_MIN, FOLDS_MAX);
  else
    d->t->folds = (int)n->i;
}

/* ---- The block ---- */

static void check_clause(Ctx *x, DataInfo *d, const Item *i) {
  bool told = false;
  x->item = i;
  x->told = &told;
  bool whole = i->kind == I_OTHER || i->kind == I_SPLIT || i->kind == I_GROUP || i->kind == I_SAMPLE;
  if (!whole && (!i->expr || i->expr->kind == E_ERROR)) {
    TColumn *col = NEW(x->c->a, TColumn); /* so that uses of a derive that was not read are quiet */
    *col = (TColumn){.name = i->name, .data = d->t};
    if (i->kind == I_DERIVE && i->name)
      table_add(&d->column, i->name, col);
    return;
  }
  switch (i->kind) {
  case I_WHERE: check_where(x, d, i); break;
  case I_DERIVE: check_derive(x, d, i); break;
  case I_WEIGHT: check_weight(x, d, i); break;
  case I_SPLIT: split_check(x, d, i); break;
  case I_GROUP: group_check(x, d, i); break;
  case I_SAMPLE: sample_check(x, d, i); break;
  case I_FOLDS: check_folds(x, d, i); break;
  case I_EXPECT: check_expect(x, d, i); break;
  default: /* I_OTHER: the parser has reported it */ break;
  }
}

static const Item *only(Check *c, const Decl *decl, ItemKind kind, const char *word) {
  const Item *found = NULL;
  for (const Item *i = decl->items; i; i = i->next) {
    if (i->kind != kind)
      continue;
    if (found)
      diag_add(c->d, SEV_ERROR, "CML0312", i->span, "keep one of them", "a data set has one `%s`", word);
    else
      found = i;
  }
  return found;
}

void data_check(Check *c, DataInfo *d) {
  const Decl *decl = d->decl;
  d->t = NEW(c->a, TData);
  d->t->name = decl->name;
  d->t->doc = decl->doc;
  d->t->span = decl->span;
  d->t->folds = 5;
  table_init(&d->column, c->a);
  table_init(&d->derive, c->a);
  table_init(&d->refused, c->a);
  table_init(&d->said, c->a);
  PUSH(c->a, c->tree->data, c->tree->ndata, c->data_cap, d->t);
  Ctx closed = {.c = c, .place = AT_OPTION, .owner = decl};
  Ctx x = {.c = c, .place = AT_DATA, .owner = decl, .data = d};
  source_check(&closed, d, only(c, decl, I_FROM, "from"), only(c, decl, I_SCHEMA, "schema"));
  for (const Item *i = decl->items; i; i = i->next)
    if (i->kind == I_DERIVE)
      table_add(&d->derive, i->name, (void *)(uintptr_t)i);
  for (const Item *i = decl->items; i; i = i->next)
    if (i->kind != I_FROM && i->kind != I_SCHEMA)
      check_clause(&x, d, i);
  split_end(&x, d);
}
