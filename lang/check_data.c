/* SPDX-License-Identifier: Apache-2.0 */
/* Data sets: the row clauses, in the order written. data_check at the end is the order of work; `from` and
 * `schema` are in check_source.c. A clause sees the columns of the file and the derives above it. */
#include <string.h>

#include "lang/check.h"

enum { FOLDS_MIN = 2, FOLDS_MAX = 100 };

TColumn *data_column(DataInfo *d, const char *name) {
  return table_get(&d->column, name);
}

TPart *data_part(const TData *t, const char *name) {
  for (uint32_t i = 0; i < t->npart; i++)
    if (strcmp(t->part[i].name, name) == 0)
      return &t->part[i];
  return NULL;
}

const char *data_parts(Check *c, const TData *t) {
  const char *s = "";
  for (uint32_t i = 0; i < t->npart; i++)
    s = arena_printf(c->a, "%s%s`%s`", s, i ? ", " : "", t->part[i].name);
  return s;
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
    near_table(&near, &c->data);
    diag_add(c->d, SEV_ERROR, "CML0220", name->span, near_remedy(&near, name->name),
             "there is no data set `%s`", name->name);
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
                                  e->name, name->name);
    if (!d->bad_split)
      diag_add(c->d, SEV_ERROR, "CML0311", e->span, remedy, "`%s` has no part `%s`", name->name, e->name);
    return NULL;
  }
  *part = e->name;
  return d;
}

/* ---- Clauses ---- */

static void add_step(Check *c, DataInfo *d, TStep step) {
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

static void check_where(Ctx *x, DataInfo *d, const Item *i) {
  Node *n = expr_bool(x, i->expr, "`where`");
  if (node_is_error(n))
    return;
  note_nonnull(x, d, n);
  add_step(x->c, d, (TStep){.kind = STEP_WHERE, .span = i->span, .expr = n});
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
              n->type.kind == TY_LIST
                  ? arena_printf(c->a, "write it in a `features` block: `let %s = %s`", i->name, source_text(c, i->expr->span))
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
  add_step(c, d, (TStep){.kind = STEP_DERIVE, .span = i->span, .expr = n, .column = col});
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
  add_step(x->c, d, (TStep){.kind = STEP_WEIGHT, .span = i->span, .expr = n});
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

/* ---- split ---- */

static void split_parts(Ctx *x, DataInfo *d, const Item *i, bool by_value) {
  Check *c = x->c;
  uint32_t cap = 0;
  double sum = 0;
  bool shares = true;
  for (const Part *p = i->parts; p; p = p->next) {
    TPart part = {.name = p->name, .span = p->span};
    if (data_part(d->t, p->name))
      ctx_error(x, "CML0316", p->span, "give each part a name of its own", "two parts are named `%s`",
                p->name);
    if (p->share && by_value) {
      ctx_error(x, "CML0316", p->span, arena_printf(c->a, "write `%s` alone", p->name),
                "with `by value` the data say which rows "
                "a part gets");
    } else if (!p->share && !by_value) {
      ctx_error(x, "CML0316", p->span, arena_printf(c->a, "write `%s 20%%`", p->name),
                "the part `%s` has no share", p->name);
      shares = false;
    } else if (p->share) {
      Ctx closed = *x;
      closed.data = NULL;
      Node *n =
          expr_coerce(&closed, expr_check(&closed, p->share), type_of(TY_FLOAT), p->share->span, "a share");
      if (node_is_error(n) || n->kind != N_LIT || !(n->f > 0 && n->f <= 1)) {
        if (!node_is_error(n))
          ctx_error(x, "CML0316", p->share->span, "write a percentage, such as 80%",
                    "a share lies between 0%% and 100%%");
        shares = false;
      } else {
        part.share = n->f;
        sum += n->f;
      }
    }
    PUSH(c->a, d->t->part, d->t->npart, cap, part);
  }
  if (shares && !by_value && !(sum > 1 - 1e-9 && sum < 1 + 1e-9))
    ctx_error(x, "CML0316", i->span, "make the shares add up to 100%",
              "the parts of this split add up to %.6g%%", sum * 100);
}

static void split_hash(Ctx *x, DataInfo *d, const Expr *how) {
  Check *c = x->c;
  uint32_t cap = 0;
  d->t->split = SPLIT_HASH;
  if (!how->args)
    ctx_error(x, "CML0316", how->span, "name the columns that identify a row: `by hash(id)`",
              "`hash` needs a key");
  for (const Arg *g = how->args; g; g = g->next) {
    Node *n = expr_check(x, g->value);
    if (node_is_error(n))
      continue;
    if (g->name)
      ctx_error(x, "CML0316", g->name_span, "write `hash(a, b)`", "keys are given without names");
    if (n->type.kind == TY_FLOAT || !type_is_scalar(n->type.kind)) {
      ctx_error(x, "CML0316", g->value->span, "use an id, a text or a date as key, or `by random(seed = 7)`",
                "%s cannot be a key: equal values may differ in their last bit", type_article(n->type.kind));
      continue;
    }
    if (n->phase != PH_ROW)
      ctx_error(x, "CML0316", g->value->span, "name a column", "this key is the same in every row");
    PUSH(c->a, d->t->key, d->t->nkey, cap, n);
  }
}

static void split_random(Ctx *x, DataInfo *d, const Expr *how) {
  Check *c = x->c;
  Ctx closed = *x;
  closed.data = NULL;
  d->t->split = SPLIT_RANDOM;
  for (const Arg *g = how->args; g; g = g->next) {
    if (g->name && (strcmp(g->name, "stratify") == 0 || strcmp(g->name, "group") == 0)) {
      ctx_error(x, "CML0111", g->name_span, "remove it", "`%s` is not part of this version", g->name);
      continue;
    }
    if (!g->name || strcmp(g->name, "seed") != 0) {
      ctx_error(x, "CML0316", g->name ? g->name_span : g->value->span, "write `by random(seed = 7)`",
                "`random` takes only `seed`");
      continue;
    }
    Node *n = expr_coerce(&closed, expr_check(&closed, g->value), type_of(TY_INT), g->value->span, "`seed`");
    if (!node_is_error(n) && n->kind != N_LIT)
      diag_add(c->d, SEV_ERROR, "CML0316", g->value->span, "write `seed = 7`", "a seed is a whole number");
    else if (!node_is_error(n))
      d->t->seed = n->i;
  }
}

static void split_value(Ctx *x, DataInfo *d, const Expr *how) {
  Check *c = x->c;
  d->t->split = SPLIT_VALUE;
  if (!how->args || how->args->next || how->args->name || how->args->value->kind != E_NAME) {
    ctx_error(x, "CML0316", how->span, "write `split train, test by value(part)`",
              "`value` takes the one column that names the part");
    return;
  }
  Node *n = expr_check(x, how->args->value);
  if (node_is_error(n))
    return;
  TypeKind k = n->type.kind;
  if (n->kind != N_COLUMN || (!type_is_text(k) && k != TY_INT && k != TY_BOOL)) {
    ctx_error(x, "CML0316", how->args->value->span, "use a string, category, int or bool column",
              "%s cannot name the part of a row", n->kind != N_COLUMN ? "a constant" : type_article(k));
    return;
  }
  for (const TPart *p = d->t->part; n->column->nin && p < d->t->part + d->t->npart; p++) {
    bool in = false;
    for (uint32_t i = 0; i < n->column->nin; i++)
      in = in || strcmp(n->column->in[i], p->name) == 0;
    if (!in)
      ctx_error(x, "CML0316", p->span, "name parts as the column does", "`%s` is not in the domain of `%s`",
                p->name, n->column->name);
  }
  d->t->key = NEW(c->a, Node *);
  d->t->key[0] = n;
  d->t->nkey = 1;
}

static void check_split(Ctx *x, DataInfo *d, const Item *i) {
  const Expr *how = i->expr;
  const char *name = how && (how->kind == E_CALL || how->kind == E_NAME) ? how->name : "";
  bool by_value = strcmp(name, "value") == 0;
  uint32_t before = x->c->d->errors;
  if (d->t->split_span.file) {
    ctx_error(x, "CML0316", i->span, "name all parts in one: `split train 60%, valid 20%, test 20% by ...`",
              "a data set has one `split`");
    return;
  }
  d->t->split_span = i->span;
  if (how && how->kind == E_ERROR) {
    d->bad_split = true;
    return;
  }
  split_parts(x, d, i, by_value);
  if (strcmp(name, "hash") == 0)
    split_hash(x, d, how);
  else if (strcmp(name, "random") == 0)
    split_random(x, d, how);
  else if (by_value)
    split_value(x, d, how);
  else if (strcmp(name, "time") == 0)
    ctx_error(x, "CML0111", how->span,
              "derive a bool or category that names the part, and write `by value(part)`",
              "a split by time is not part of this version");
  else
    ctx_error(x, "CML0316", how ? how->span : i->span,
              "write `by hash(id)`, `by random(seed = 7)` or `by value(part)`", "this is not a way to split");
  d->bad_split = x->c->d->errors > before;
  add_step(x->c, d, (TStep){.kind = STEP_SPLIT, .span = i->span});
}

/* ---- The block ---- */

static void check_clause(Ctx *x, DataInfo *d, const Item *i) {
  bool told = false;
  x->item = i;
  x->told = &told;
  if (i->kind != I_OTHER && i->kind != I_SPLIT && (!i->expr || i->expr->kind == E_ERROR)) {
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
  case I_SPLIT: check_split(x, d, i); break;
  case I_FOLDS: check_folds(x, d, i); break;
  case I_EXPECT:
    ctx_error(x, "CML0111", i->span,
              "remove it; a domain in the schema tests single values: `age: int in 0..120`",
              "tests of the data (`expect` in `data`) are not part of this version");
    break;
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
  PUSH(c->a, c->tree->data, c->tree->ndata, c->data_cap, d->t);
  Ctx closed = {.c = c, .place = AT_OPTION, .owner = decl};
  Ctx x = {.c = c, .place = AT_DATA, .owner = decl, .data = d};
  source_check(&closed, d, only(c, decl, I_FROM, "from"), only(c, decl, I_SCHEMA, "schema"));
  if (d->t->split == SPLIT_SOURCE)
    add_step(c, d, (TStep){.kind = STEP_SPLIT, .span = d->t->split_span});
  for (const Item *i = decl->items; i; i = i->next)
    if (i->kind == I_DERIVE)
      table_add(&d->derive, i->name, (void *)(uintptr_t)i);
  for (const Item *i = decl->items; i; i = i->next)
    if (i->kind != I_FROM && i->kind != I_SCHEMA)
      check_clause(&x, d, i);
}
