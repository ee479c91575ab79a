/* SPDX-License-Identifier: Apache-2.0 */
/* How rows are divided: `split`, `group`, `sample`. A split divides all rows, or (`split train: ...`) a
 * part again; then its name stands for all that it was divided into. split_check reads one clause,
 * split_end what only the whole block can tell. */
#include <string.h>

#include "lang/check.h"

enum { PARTS_MAX = 64 };

TPart *data_part(const TData *t, const char *name) {
  for (uint32_t i = 0; i < t->npart; i++)
    if (strcmp(t->part[i].name, name) == 0)
      return &t->part[i];
  return NULL;
}

uint64_t data_leaves(const TData *t, const char *part) {
  const TPart *p = part ? data_part(t, part) : NULL;
  return p ? p->leaves : UINT64_MAX;
}

const char *data_parts(Check *c, const TData *t) {
  const char *s = "";
  for (uint32_t i = 0; i < t->npart; i++)
    s = arena_printf(c->a, "%s%s`%s`", s, i ? ", " : "", t->part[i].name);
  return s;
}

/* What a share or a seed is computed from: params and literals. */
static Ctx closed_of(const Ctx *x) {
  Ctx closed = *x;
  closed.data = NULL;
  return closed;
}

/* A percentage, or -1: reported. */
static double share_of(Ctx *x, const Expr *e) {
  Ctx closed = closed_of(x);
  Node *n = expr_coerce(&closed, expr_check(&closed, e), type_of(TY_FLOAT), e->span, "a share");
  if (node_is_error(n))
    return -1;
  if (n->kind == N_LIT && n->f > 0 && n->f <= 1)
    return n->f;
  bool percent = n->kind == N_LIT && n->f > 1 && n->f <= 100;
  ctx_error(x, "CML0316", e->span,
            percent ? arena_printf(x->c->a, "write `%g%%`", n->f) : "write a percentage, such as 80%",
            "a share lies between 0%% and 100%%");
  return -1;
}

void split_part(Ctx *x, DataInfo *d, TPart part) {
  part.split = -1;
  PUSH(x->c->a, d->t->part, d->t->npart, d->npart_cap, part);
}

void split_done(Ctx *x, DataInfo *d, TSplit s) {
  PUSH(x->c->a, d->t->split, d->t->nsplit, d->nsplit_cap, s);
  data_step(x->c, d, (TStep){.kind = STEP_SPLIT, .span = s.span, .number = d->t->nsplit - 1});
}

static void split_parts(Ctx *x, DataInfo *d, const Item *i, bool by_value) {
  Check *c = x->c;
  double sum = 0;
  bool shares = true, told = false;
  for (const Part *p = i->parts; p; p = p->next) {
    TPart part = {.name = p->name, .span = p->span};
    if (data_part(d->t, p->name))
      ctx_error(x, "CML0316", p->span, "give each part a name of its own", "two parts are named `%s`",
                p->name);
    if (p->share && by_value) {
      if (!told)
        ctx_error(x, "CML0316", p->span, arena_printf(c->a, "write `%s` alone, and so the others", p->name),
                  "with `by value` the data say which rows a part gets");
      told = true;
    } else if (!p->share && !by_value) {
      ctx_error(x, "CML0316", p->span, arena_printf(c->a, "write `%s 20%%`", p->name),
                "the part `%s` has no share", p->name);
      shares = false;
    } else if (p->share) {
      part.share = share_of(x, p->share);
      shares = shares && part.share > 0;
      sum += part.share;
    }
    split_part(x, d, part);
  }
  if (shares && !by_value && !(sum > 1 - 1e-9 && sum < 1 + 1e-9))
    ctx_error(x, "CML0316", i->span, "make the shares add up to 100%",
              "the parts of this split add up to %.6g%%", sum * 100);
}

/* A key by which rows are kept together, hashed, or divided into strata. NULL: reported. */
static Node *key_of(Ctx *x, const Expr *e, const char *float_remedy) {
  Node *n = expr_check(x, e);
  if (node_is_error(n))
    return NULL;
  if (n->type.kind == TY_FLOAT || !type_is_scalar(n->type.kind)) {
    ctx_error(x, "CML0316", e->span, float_remedy,
              "%s cannot be a key: equal values may differ in their last bit", type_article(n->type.kind));
    return NULL;
  }
  if (n->phase != PH_ROW) {
    ctx_error(x, "CML0316", e->span, "name a column", "this key is the same in every row");
    return NULL;
  }
  return n;
}

static void hash_keys(Ctx *x, const Expr *how, Node ***key, uint32_t *nkey) {
  Check *c = x->c;
  uint32_t cap = 0;
  if (!how->args)
    ctx_error(x, "CML0316", how->span, "name the columns that identify a row: `by hash(id)`",
              "`hash` needs a key");
  for (const Arg *g = how->args; g; g = g->next) {
    if (g->name)
      ctx_error(x, "CML0316", g->name_span, "write `hash(a, b)`", "keys are given without names");
    Node *n = key_of(x, g->value, "use an id, a text or a date as key, or `by random(seed = 7)`");
    if (n)
      PUSH(c->a, *key, *nkey, cap, n);
  }
}

static void strata(Ctx *x, const Arg *g, TSplit *s) {
  Check *c = x->c;
  uint32_t cap = 0;
  const Arg one = {.value = g->value};
  const Arg *all = g->value->kind == E_LIST ? g->value->args : &one;
  for (; all; all = all->next) {
    Node *n = key_of(x, all->value, "make intervals of it: `stratify = bucketize(x, [10, 20])`");
    if (n)
      PUSH(c->a, s->stratum, s->nstratum, cap, n);
  }
}

/* random(seed = 7, stratify = late): `stratify` only where s takes it. */
static void random_options(Ctx *x, const Expr *how, bool stratify, TSplit *s) {
  Check *c = x->c;
  Ctx closed = closed_of(x);
  for (const Arg *g = how->args; g; g = g->next) {
    if (g->name && stratify && strcmp(g->name, "stratify") == 0) {
      strata(x, g, s);
      continue;
    }
    if (!g->name || strcmp(g->name, "seed") != 0) {
      bool group = g->name && strcmp(g->name, "group") == 0;
      ctx_error(
          x, "CML0316", g->name ? g->name_span : g->value->span,
          group ? arena_printf(c->a, "write an entry of its own: `group %s`", source_text(c, g->value->span))
          : stratify ? "write `by random(seed = 7)` or `by random(seed = 7, stratify = y)`"
                     : "write `by random(seed = 7)`",
          stratify ? "`random` takes `seed` and `stratify`" : "`random` takes only `seed` here");
      continue;
    }
    Node *n = expr_coerce(&closed, expr_check(&closed, g->value), type_of(TY_INT), g->value->span, "`seed`");
    if (!node_is_error(n) && n->kind != N_LIT)
      diag_add(c->d, SEV_ERROR, "CML0316", g->value->span, "write `seed = 7`", "a seed is a whole number");
    else if (!node_is_error(n))
      s->seed = n->i;
  }
}

static void split_value(Ctx *x, DataInfo *d, const Expr *how, TSplit *s) {
  if (!how->args || how->args->next || how->args->name || how->args->value->kind != E_NAME) {
    ctx_error(x, "CML0316", how->span, "write `split train, test by value(part)`",
              "`value` takes the one column that names the part");
    return;
  }
  if (s->of >= 0) {
    ctx_error(x, "CML0316", how->span, "name all parts in the first split, or divide this one `by hash(id)`",
              "a part is divided again by hash, random or time");
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
  for (const TPart *p = d->t->part + s->first; n->column->nin && p < d->t->part + d->t->npart; p++) {
    bool in = false;
    for (uint32_t i = 0; i < n->column->nin; i++)
      in = in || strcmp(n->column->in[i], p->name) == 0;
    if (!in)
      ctx_error(x, "CML0316", p->span, "name parts as the column does", "`%s` is not in the domain of `%s`",
                p->name, n->column->name);
  }
  s->key = NEW(x->c->a, Node *);
  s->key[0] = n;
  s->nkey = 1;
}

static void split_time(Ctx *x, DataInfo *d, const Expr *how, TSplit *s) {
  Check *c = x->c;
  if (!how->args || how->args->next || how->args->name) {
    ctx_error(x, "CML0316", how->span, "write `by time(date)`", "`time` takes the one column to order by");
    return;
  }
  const Expr *e = how->args->value;
  Node *n = expr_check(x, e);
  if (node_is_error(n))
    return;
  TypeKind k = n->type.kind;
  if (k != TY_DATE && k != TY_TIMESTAMP && k != TY_INT) {
    ctx_error(x, "CML0316", e->span, "use a date, a timestamp or an int",
              "%s does not say when a row was", type_article(k));
    return;
  }
  if (n->phase != PH_ROW) {
    ctx_error(x, "CML0316", e->span, "name a column", "this time is the same in every row");
    return;
  }
  if (!data_nonnull(d, n)) {
    ctx_error(x, "CML0316", e->span,
              arena_printf(c->a, "write `where %s is not null` above the split", source_text(c, e->span)),
              "this time may be null, and such a row is neither early nor late");
    return;
  }
  s->key = NEW(c->a, Node *);
  s->key[0] = n;
  s->nkey = 1;
}

/* The part that a clause divides or samples; -1: reported, or none. */
static int32_t part_of(Ctx *x, DataInfo *d, const Item *i) {
  const TPart *p = data_part(d->t, i->name);
  Near near = {.arena = x->c->a};
  if (p)
    return (int32_t)(p - d->t->part);
  for (uint32_t k = 0; k < d->t->npart; k++)
    near_add(&near, d->t->part[k].name);
  const char *remedy = near_remedy(&near, i->name);
  if (!remedy)
    remedy = d->t->npart ? arena_printf(x->c->a, "the parts above are %s", data_parts(x->c, d->t))
                         : "split the rows first: `split train 80%, test 20% by hash(id)`";
  if (!d->bad_split)
    ctx_error(x, "CML0311", i->name_span, remedy, "there is no part `%s` above this line", i->name);
  d->part_missed |= !d->t->npart;
  return -1;
}

static void split_method(Ctx *x, DataInfo *d, const Item *i, TSplit *s) {
  const Expr *how = i->expr;
  const char *name = how && (how->kind == E_CALL || how->kind == E_NAME) ? how->name : "";
  if (strcmp(name, "hash") == 0)
    hash_keys(x, how, &s->key, &s->nkey);
  else if (strcmp(name, "random") == 0)
    random_options(x, how, true, s);
  else if (strcmp(name, "value") == 0)
    split_value(x, d, how, s);
  else if (strcmp(name, "time") == 0)
    split_time(x, d, how, s);
  else
    ctx_error(x, "CML0316", how ? how->span : i->span,
              "write `by hash(id)`, `by random(seed = 7)`, `by time(date)` or `by value(part)`",
              "this is not a way to split");
  s->kind = strcmp(name, "random") == 0 ? SPLIT_RANDOM
            : strcmp(name, "value") == 0 ? SPLIT_VALUE
            : strcmp(name, "time") == 0  ? SPLIT_TIME
                                         : SPLIT_HASH;
}

void split_check(Ctx *x, DataInfo *d, const Item *i) {
  TData *t = d->t;
  TSplit s = {.span = i->span, .of = -1, .first = t->npart};
  uint32_t before = x->c->d->errors;
  bool by_value = i->expr && i->expr->name && strcmp(i->expr->name, "value") == 0;
  if (!i->name && t->nsplit) {
    ctx_error(
        x, "CML0316", i->span,
        arena_printf(
            x->c->a,
            "name all parts in one, or divide one of them again: `split %s: fit 80%%, valid 20%% by ...`",
            t->part[0].name),
        "all rows are split already");
    return;
  }
  if (i->name) {
    s.of = part_of(x, d, i);
    if (s.of >= 0 && t->part[s.of].split >= 0) {
      ctx_error(x, "CML0316", i->name_span, "divide one of its parts", "`%s` is divided already", i->name);
      s.of = -1;
    }
    if (s.of < 0) {
      d->bad_split = true;
      return;
    }
    t->part[s.of].split = (int32_t)t->nsplit;
  }
  if (i->expr && i->expr->kind == E_ERROR) {
    d->bad_split = true;
    return;
  }
  split_parts(x, d, i, by_value);
  s.n = t->npart - s.first;
  split_method(x, d, i, &s);
  d->bad_split = d->bad_split || x->c->d->errors > before;
  split_done(x, d, s);
}

/* ---- group ---- */

void group_check(Ctx *x, DataInfo *d, const Item *i) {
  uint32_t cap = 0;
  if (d->t->ngroup) {
    ctx_error(x, "CML0316", i->span, "name all keys in one: `group (a, b)`", "a data set has one `group`");
    return;
  }
  d->t->group_span = i->span;
  for (const Arg *g = i->by; g; g = g->next) {
    Node *n = key_of(x, g->value, "use an id, a text or a date as key");
    if (n)
      PUSH(x->c->a, d->t->group, d->t->ngroup, cap, n);
  }
}

/* Are all keys of a hash among those of the group? Then rows of a group have one hash. */
static bool within_group(const TData *t, const TSplit *s) {
  for (uint32_t i = 0; i < s->nkey; i++) {
    bool in = false;
    for (uint32_t k = 0; k < t->ngroup; k++)
      in = in || t->group[k] == s->key[i];
    if (!in)
      return false;
  }
  return true;
}

/* A split that would tear a group apart is refused: what is meant is not known. */
static void keeps_groups(Ctx *x, const TData *t, const TSplit *s) {
  Check *c = x->c;
  const char *keys = source_text(c, t->group_span);
  if (s->kind == SPLIT_HASH && !within_group(t, s))
    ctx_error(x, "CML0326", s->span,
              "hash by the group's own key, or split `by random(seed = 7)`: both keep groups whole",
              "this split tears apart what `%s` keeps together", keys);
  else if (s->kind == SPLIT_TIME)
    ctx_error(x, "CML0326", s->span, "leave one of the two out",
              "a split by time tears apart what `%s` keeps together", keys);
  else if (s->kind == SPLIT_VALUE || s->kind == SPLIT_SOURCE)
    ctx_error(x, "CML0326", s->span,
              "leave `group` out, or split `by random(seed = 7)`, which keeps groups whole",
              "%s that names the part may tear apart what `%s` keeps together",
              s->kind == SPLIT_VALUE ? "a column" : "a file", keys);
  else if (s->kind == SPLIT_RANDOM && s->nstratum)
    ctx_error(x, "CML0326", s->span, "leave `stratify` or `group` out",
              "exact proportions in each stratum tear apart what `%s` keeps together", keys);
}

/* ---- sample ---- */

void sample_check(Ctx *x, DataInfo *d, const Item *i) {
  Check *c = x->c;
  TSample s = {.part = part_of(x, d, i), .share = share_of(x, i->of)};
  const Expr *how = i->expr;
  TSplit by = {.kind = SPLIT_RANDOM};
  if (how && how->kind == E_CALL && strcmp(how->name, "hash") == 0)
    hash_keys(x, how, &s.key, &s.nkey);
  else if (how && how->kind == E_CALL && strcmp(how->name, "random") == 0)
    random_options(x, how, false, &by);
  else if (how && how->kind != E_ERROR)
    ctx_error(x, "CML0316", how->span, "write `by random(seed = 1)` or `by hash(id)`",
              "this is not a way to sample");
  s.seed = by.seed;
  s.where = i->top ? expr_bool(x, i->top, "`where`") : NULL;
  if (s.part < 0 || s.share < 0 || (s.where && node_is_error(s.where)))
    return;
  PUSH(c->a, d->t->sample, d->t->nsample, d->nsample_cap, s);
  data_step(c, d, (TStep){.kind = STEP_SAMPLE, .span = i->span, .number = d->t->nsample - 1});
}

/* ---- The whole ---- */

/* Numbers the parts that are not divided again, in the order in which the whole is taken apart. */
static uint64_t number_leaves(TData *t, const TSplit *s, uint32_t *n) {
  uint64_t all = 0;
  for (uint32_t i = s->first; i < s->first + s->n; i++) {
    TPart *p = &t->part[i];
    if (p->split >= 0 && (uint32_t)p->split < t->nsplit) {
      p->leaf = -1;
      p->leaves = number_leaves(t, &t->split[p->split], n);
    } else {
      p->leaf = (int32_t)*n;
      p->leaves = *n < PARTS_MAX ? UINT64_C(1) << *n : 0;
      ++*n;
    }
    all |= p->leaves;
  }
  return all;
}

void split_end(Ctx *x, DataInfo *d) {
  TData *t = d->t;
  if (!t->nsplit) {
    d->bad_split |= d->part_missed; /* that there are no parts was said */
    return;
  }
  number_leaves(t, &t->split[0], &t->nleaf);
  if (t->nleaf > PARTS_MAX)
    ctx_error(x, "CML0316", t->split[0].span, "use fewer", "a data set has at most %d parts; this one has %u",
              PARTS_MAX, t->nleaf);
  for (uint32_t i = 0; t->ngroup && !d->bad_split && i < t->nsplit; i++)
    keeps_groups(x, t, &t->split[i]);
}
