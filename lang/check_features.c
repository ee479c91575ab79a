/* SPDX-License-Identifier: Apache-2.0 */
/* Features blocks, and the two questions asked of their slots: where does a null come from, and does a slot
 * read the target's family? */
#include <string.h>

#include "base/num.h"
#include "lang/check.h"

/* ---- Where a null comes from ---- */

static bool op_begins(const Node *n, const char *word) {
  return n->op && strncmp(n->op, word, strlen(word)) == 0;
}

/* The node that brings the null into `n`: a column of the file, a look-up, or an operation that may give
 * null. */
static const Node *null_origin(const Node *n) {
  if (n->kind == N_COLUMN && n->column->derive && n->column->derive->type.nullable)
    return null_origin(n->column->derive);
  if (n->kind == N_CALL && op_begins(n, "coalesce") && n->arg[1]->type.nullable)
    return null_origin(n->arg[1]);
  if (n->kind == N_CALL || n->kind == N_VECTOR)
    for (uint32_t i = n->narg; i-- > 0;)
      if (n->arg[i]->type.nullable && !op_begins(n, "null_when"))
        return null_origin(n->arg[i]);
  if (op_begins(n, "null_when") && op_begins(n->arg[0], "is_null"))
    return null_origin(n->arg[0]->arg[0]);
  return n;
}

static const char *fill_for(Check *c, const Node *origin, const char *text) {
  TypeKind k = origin->type.kind;
  if (type_is_number(k))
    return arena_printf(c->a, "write `impute(%s, fill = median(%s))` or `is_null(%s)`", text, text, text);
  if (type_is_text(k))
    return arena_printf(c->a, "write `coalesce(%s, \"missing\")` in its place", text);
  if (k == TY_BOOL)
    return arena_printf(c->a, "write `coalesce(%s, false)` in its place, or `is_null(%s)`", text, text);
  return arena_printf(c->a, "write `is_null(%s)`, or `coalesce(.., 0)` around what is computed from it",
                      text);
}

static uint32_t line_of(const Check *c, Span s) {
  uint32_t line = 0, col = 0;
  source_position(c->d->sources, s.file, s.from, &line, &col);
  return line;
}

/* A `where` that drops the nulls helps training only: it does not run when a stored model predicts. */
static const char *where_remedy(Check *c, const DataInfo *d, const Node *o, const char *fill) {
  for (uint32_t i = 0; o->kind == N_COLUMN && i < d->nnonnull; i++)
    if (d->nonnull[i] == o->column)
      return arena_printf(c->a, "a `where` does not run when the model predicts; %s", fill);
  return fill;
}

static void null_error(Check *c, const DataInfo *d, const Item *slot, const Node *n) {
  const Node *o = null_origin(n);
  const char *text = o->kind == N_COLUMN ? o->column->name : o->shown ? o->shown : "this";
  const char *via = source_text(c, slot->expr->span);
  via = o->kind == N_COLUMN && strcmp(via, o->column->name) == 0
            ? ""
            : arena_printf(c->a, ", so slot `%s` may be null too", slot->name);
  Span at = slot->expr->span;
  if (o->kind == N_COLUMN && o->column->declared)
    diag_add(c->d, SEV_ERROR, "CML0304", at, where_remedy(c, d, o, fill_for(c, o, text)),
             "`%s` may be null (schema, line %u)%s", text, line_of(c, o->column->span), via);
  else if (o->kind == N_COLUMN)
    diag_add(c->d, SEV_ERROR, "CML0304", at, where_remedy(c, d, o, fill_for(c, o, text)),
             "`%s` may be null (nulls were seen in the file)%s", text, via);
  else if (o->kind == N_AGG)
    diag_add(c->d, SEV_ERROR, "CML0304", at,
             "write `coalesce(.., 0)` around it, with the value for such a key",
             "`%s(..) by ..` is null for a key that the training rows do not have%s", text, via);
  else
    diag_add(c->d, SEV_ERROR, "CML0304", at,
             "write `coalesce(.., 0)` around it, with the value for that case",
             "`%s` gives null where it has no answer%s", text, via);
}

/* ---- The target's family ---- */

typedef struct FamilyWalk {
  Check *c;
  const Node *target;
  uint8_t *seen;
  const Node *key; /* a key of `by` that is in the family */
} FamilyWalk;

/* `inside`: below an aggregate, where only keys matter. */
static const char *family_walk(FamilyWalk *w, const Node *n, bool inside) {
  Check *c = w->c;
  uint8_t mark = inside ? 1 : 2;
  const char *found = NULL;
  if (!n || (w->seen[n->id] & mark))
    return NULL;
  w->seen[n->id] |= mark;
  if (n->kind == N_COLUMN) {
    if (inside || !tree_in_family(n, w->target))
      return NULL;
    if (!n->column->derive)
      return n->column->name;
    found = family_walk(w, n->column->derive, false);
    return found ? arena_printf(c->a, "%s -> %s", n->column->name, found) : n->column->name;
  }
  for (uint32_t i = 0; i < n->nby; i++)
    if (tree_in_family(n->by[i], w->target)) {
      w->key = n->by[i];
      return "";
    }
  bool below = inside || n->kind == N_AGG;
  for (uint32_t i = 0; i < n->narg && !found; i++)
    found = family_walk(w, n->arg[i], below);
  for (uint32_t i = 0; i < n->nby && !found; i++)
    found = family_walk(w, n->by[i], inside);
  if (!found)
    found = family_walk(w, n->where, true);
  return found ? found : family_walk(w, n->weight, true);
}

const char *family_path(Check *c, const Node *n, const Node *target, const Node **key) {
  FamilyWalk w = {c, target, NEWN(c->a, uint8_t, n->id + 1), NULL};
  const char *path = family_walk(&w, n, false);
  *key = w.key;
  return path;
}

/* ---- Slots ---- */

static const char *slot_remedy(Check *c, const Item *i, TypeKind kind) {
  const char *text = source_text(c, i->expr->span);
  switch (kind) {
  case TY_STRING:
  case TY_CATEGORY:
    return arena_printf(c->a, "write `%s = one_hot(%s)`, or `target_mean(%s, y)` with the target", i->name,
                        text, text);
  case TY_TIMESTAMP:
    return arena_printf(c->a,
                        "write a part of it, such as `%s = cyclic(hour(%s), period = 24)` or `year(%s)`",
                        i->name, text, text);
  case TY_DATE:
    return arena_printf(c->a,
                        "write a part of it, such as `%s = cyclic(month(%s), period = 12)` or `year(%s)`",
                        i->name, text, text);
  case TY_DURATION: return arena_printf(c->a, "write `%s = days(%s)` or `hours(%s)`", i->name, text, text);
  default: return "write its elements as slots";
  }
}

/* A slot's value as a model takes it: a float, or a vector of floats; in a block that no model uses it may be
 * null. NULL: reported. */
static Node *slot_value(Ctx *x, const Item *i, Node *n, bool alone) {
  Check *c = x->c;
  TypeKind k = n->type.kind;
  if (node_is_error(n))
    return NULL;
  n = vector_of_list(x, n); /* [1, 2]: constants as a vector */
  k = n->type.kind;
  if (n->kind == N_VECTOR && n->type.elem != TY_FLOAT) {
    ctx_error(x, "CML0305", i->expr->span, slot_remedy(c, i, n->type.elem),
              "slot `%s` is a vector of %s values; a model takes numbers", i->name, type_name(n->type.elem));
    return NULL;
  }
  if (k != TY_VECTOR && k != TY_BOOL && !type_is_number(k)) {
    bool words = k == TY_LIST && n->type.elem == TY_STRING;
    ctx_error(x, "CML0305", i->expr->span,
              words ? arena_printf(c->a, "write `%s = tf_idf(%s)`", i->name, source_text(c, i->expr->span))
                    : slot_remedy(c, i, k),
              "slot `%s` is %s; a model takes numbers", i->name, type_article(k));
    return NULL;
  }
  if (n->type.nullable && !alone) {
    null_error(c, x->data, i, n);
    return NULL;
  }
  if (k == TY_VECTOR)
    return vector_floats(x, n, i->expr->span, arena_printf(c->a, "slot `%s`", i->name));
  return node_cast(&c->nodes, n, TY_FLOAT, i->expr->span);
}

/* `hour = [sin = .., cos = ..]` has the elements hour_sin and hour_cos, which no other slot may be named. */
static bool elements_free(Ctx *x, FeaturesInfo *f, const Item *i, const Node *n) {
  Check *c = x->c;
  bool good = table_add(&f->element, i->name, (void *)(uintptr_t)i);
  const char *taken = i->name;
  for (uint32_t k = 0; n->kind == N_VECTOR && k < n->narg && good; k++)
    if (vector_name(n, k)) {
      const char *name = vector_name(n, k);
      taken = arena_printf(c->a, "%s%s%s", i->name, *name == '.' ? "" : "_", name);
      good = table_add(&f->element, taken, (void *)(uintptr_t)i);
    }
  if (!good)
    ctx_error(x, "CML0208", i->name_span, "rename one of the slots", "two features are named `%s`", taken);
  return good;
}

static void check_slot(Ctx *x, FeaturesInfo *f, const Item *i, uint32_t *cap) {
  Check *c = x->c;
  bool told = false;
  x->item = i;
  x->told = &told;
  Node *n = expr_check(x, i->expr);
  n = slot_value(x, i, n, f->alone);
  for (uint32_t k = 0; k < f->t->nslot; k++)
    if (strcmp(f->t->slot[k].name, i->name) == 0) {
      ctx_error(x, "CML0208", i->name_span, "give each slot a name of its own", "two slots are named `%s`",
                i->name);
      return;
    }
  if (!n) {
    f->bad++;
    return;
  }
  if (n->phase != PH_ROW)
    diag_add(c->d, SEV_WARNING, "CML0322", i->span, "remove it; linear models have an intercept of their own",
             "slot `%s` is the same in every row", i->name);
  if (!elements_free(x, f, i, n))
    return;
  TSlot slot = {.name = i->name, .doc = i->doc, .expr = n, .written = i->expr, .span = i->span};
  PUSH(c->a, f->t->slot, f->t->nslot, *cap, slot);
}

static void check_let(Ctx *x, const Item *i) {
  Check *c = x->c;
  bool told = false;
  x->item = i;
  x->told = &told;
  Node *n = i->expr ? expr_check(x, i->expr) : c->error;
  const Local *old = local_find(x->names, i->name);
  if (old || data_column(x->data, i->name)) {
    Diag *g = ctx_error(x, "CML0208", i->name_span, "choose another name", "`%s` is %s already", i->name,
                        old ? "a `let`" : "a column");
    if (g && old)
      diag_note(c->d, g, old->span, "it is declared here");
    return;
  }
  Local *l = NEW(c->a, Local);
  *l = (Local){.name = i->name, .node = n, .span = i->name_span, .up = x->names};
  x->names = l;
}

static DataInfo *data_of(Check *c, const Decl *decl) {
  DataInfo *d = decl->of ? table_get(&c->data, decl->of) : NULL;
  if (d) {
    d->used = true;
    return d;
  }
  if (decl->of)
    not_declared(c, &c->data, decl->of, decl->of_span);
  return NULL;
}

static bool names_block(const Expr *e, const char *name) {
  if (!e || e->kind == E_NAME)
    return e && strcmp(e->name, name) == 0;
  return e->kind == E_BINARY && (names_block(e->a, name) || names_block(e->b, name));
}

/* Exported as it is, and used by no model. */
static bool stands_alone(const Check *c, const char *name) {
  bool exported = false;
  for (const Decl *d = c->ast->decls; d && name; d = d->next) {
    if (d->kind == D_MODEL && names_block(d->formula, name))
      return false;
    exported |= d->kind == D_EXPORT && d->name && strcmp(d->name, name) == 0;
  }
  return exported;
}

void features_check(Check *c, FeaturesInfo *f) {
  const Decl *decl = f->decl;
  uint32_t cap = 0;
  f->alone = stands_alone(c, decl->name);
  f->t = NEW(c->a, TFeatures);
  f->t->name = decl->name;
  f->t->doc = decl->doc;
  f->t->span = decl->span;
  table_init(&f->element, c->a);
  PUSH(c->a, c->tree->features, c->tree->nfeatures, c->features_cap, f->t);
  f->data = data_of(c, decl);
  if (!f->data)
    return;
  f->t->data = f->data->t;
  Ctx x = {.c = c, .place = AT_FEATURES, .owner = decl, .data = f->data};
  bool any = false;
  for (const Item *i = decl->items; i; i = i->next) {
    if (i->kind == I_LET)
      check_let(&x, i);
    else if (i->kind == I_SLOT && i->expr)
      check_slot(&x, f, i, &cap);
    any = any || i->kind == I_SLOT || i->kind == I_OTHER;
  }
  for (const Local *l = x.names; l; l = l->up)
    local_unused(c, l);
  if (!any) {
    diag_add(c->d, SEV_ERROR, "CML0324", decl->name_span, "write at least one: `name = standardize(column)`",
             "the block `%s` has no slots", decl->name);
    f->bad++;
  }
}
