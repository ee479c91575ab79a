/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a model that speak of its features: `lower = [distance = 0]`, a number for some slots, and
 * `offset = log(exposure)`, an expression that becomes one more slot, the last. Called by model_check. */
#include <string.h>

#include "lang/check.h"

/* ---- A number for each slot (OPT_EACH) ---- */

/* Is `name` a slot of the model, or does it begin like an element of one: `origin=ATL`, `hour_sin`? */
static bool names_slot(const TModel *m, const char *name) {
  for (uint32_t b = 0; b < m->nblock; b++)
    for (uint32_t k = 0; k < m->block[b]->nslot; k++) {
      const TSlot *s = &m->block[b]->slot[k];
      size_t n = strlen(s->name);
      if (strcmp(s->name, name) == 0)
        return true;
      if (s->expr->type.kind == TY_VECTOR && strncmp(s->name, name, n) == 0 &&
          (name[n] == '=' || name[n] == '_') && name[n + 1])
        return true;
    }
  return false;
}

static void no_slot(Ctx *x, const TModel *m, const char *option, const Arg *g) {
  Near near = {.arena = x->c->a};
  for (uint32_t b = 0; b < m->nblock; b++)
    for (uint32_t k = 0; k < m->block[b]->nslot; k++)
      near_add(&near, m->block[b]->slot[k].name);
  const char *remedy = near_remedy(&near, g->name);
  ctx_error(x, "CML0340", g->name_span,
            remedy ? remedy : "name a slot of its features, or an element: `origin=ATL` in backquotes",
            "option `%s` names `%s`, which is no slot of model `%s`", option, g->name, m->name);
}

bool option_numbers(Ctx *x, const ModelInfo *m, const Option *o, const Arg *given, TOption *out) {
  Check *c = x->c;
  uint32_t n = 0;
  bool good = true;
  for (const Arg *g = given->value->args; g; g = g->next)
    n++;
  out->names = NEWN(c->a, const char *, n + 1);
  out->each = NEWN(c->a, Node *, n + 1);
  for (const Arg *g = given->value->args; g; g = g->next) {
    Arg one = {.name = o->name, .name_span = given->name_span, .value = g->value};
    Node *value = NULL;
    if (!g->name) {
      ctx_error(x, "CML0340", g->value->span,
                arena_printf(c->a, "write `%s = [slot = 0]`, or one number for all", o->name),
                "a value in `%s` does not say which slot it is for", o->name);
      good = false;
      continue;
    }
    bool known = m->broken || names_slot(m->t, g->name);
    if (!known)
      no_slot(x, m->t, o->name, g);
    good = option_check(x, o, m->t->estimator->name, &one, &value) && good && known;
    out->names[out->neach] = g->name;
    out->each[out->neach++] = value;
  }
  return good;
}

/* ---- The offset (OPT_EXPR) ---- */

void offset_check(Check *c, ModelInfo *m, const Arg *given) {
  bool told = false;
  Ctx x = {.c = c, .place = AT_OFFSET, .owner = m->decl, .data = m->data, .told = &told};
  Node *n = expr_check(&x, given->value);
  m->broken = m->broken || node_is_error(n);
  if (node_is_error(n))
    return;
  if (!type_is_number(n->type.kind)) {
    ctx_error(&x, "CML0341", given->value->span,
              "write a number computed from columns, such as `log(exposure)`",
              "the offset is %s; it is a number added to the prediction", type_article(n->type.kind));
    m->broken = true;
    return;
  }
  if (n->type.nullable) {
    ctx_error(&x, "CML0304", given->value->span,
              "write `coalesce(.., value)` around what may be null, with the value for such rows",
              "the offset `%s` may be null", source_text(c, given->value->span));
    m->broken = true;
    return;
  }
  TFeatures *f = NEW(c->a, TFeatures);
  f->name = given->name;
  f->span = given->value->span;
  f->data = m->data->t;
  f->nslot = 1;
  f->slot = NEW(c->a, TSlot);
  m->t->offset = source_text(c, given->value->span);
  f->slot->name = arena_printf(c->a, "offset(%s)", m->t->offset);
  f->slot->expr = node_cast(&c->nodes, n, TY_FLOAT, given->value->span);
  f->slot->span = given->value->span;
  m->t->offset_block = f;
}
