/* SPDX-License-Identifier: Apache-2.0 */
/* Options that have a number for each slot (OPT_EACH): their values, and that one which must not be above
 * another is not, for any slot or element that either names. */
#include <string.h>

#include "compiler/lower.h"

void option_each(Arena *a, struct Diags *d, const Tree *t, const TOption *given, IrOption *out, Err *e) {
  double *list = NEWN(a, double, given->neach + 1);
  out->names = given->names;
  out->list = list;
  for (uint32_t i = 0; i < given->neach; i++) {
    IrVal c = {0};
    if (const_eval(a, d, t, given->each[i], &c, e) != ST_OK)
      return;
    list[out->n++] = c.type == IR_F64 ? c.f : (double)c.i;
    if (!(list[i] >= given->spec->min && list[i] <= given->spec->max))
      diag_add(d, SEV_ERROR, "CML0330", given->each[i]->span,
               arena_printf(a, "Give it a value from %g to %g.", given->spec->min, given->spec->max),
               "option `%s` is %g for `%s`, outside its range", given->name, list[i], given->names[i]);
  }
}

/* Is `element` one of slot `slot`: `origin=ATL` of `origin`? */
static bool is_of(const char *element, const char *slot) {
  size_t n = strlen(slot);
  return strncmp(element, slot, n) == 0 && (element[n] == '=' || element[n] == '_');
}

/* What an option says of a slot or element: itself, else its slot (of several the longest name), else all. */
static double value_of(const IrOption *o, const char *name) {
  double v = o->num;
  size_t longest = 0;
  for (uint32_t i = 0; i < o->n; i++) {
    size_t n = strlen(o->names[i]);
    if (strcmp(o->names[i], name) == 0)
      return o->list[i];
    if (n > longest && is_of(name, o->names[i])) {
      v = o->list[i];
      longest = n;
    }
  }
  return v;
}

static Span span_of(const TModel *m, const char *option) {
  for (uint32_t i = 0; i < m->noption; i++)
    if (strcmp(m->option[i].name, option) == 0)
      return m->option[i].span;
  return m->span;
}

static bool order_one(struct Diags *d, const TModel *m, const IrOption *low, const IrOption *high,
                      const char *name) {
  double lo = name ? value_of(low, name) : low->num, hi = name ? value_of(high, name) : high->num;
  if (lo <= hi)
    return true;
  Span at = span_of(m, low->name);
  diag_add(d, SEV_ERROR, "CML0340", at.file ? at : span_of(m, high->name),
           "raise the one, or lower the other", "`%s` (%g) is above `%s` (%g) for %s%s%s", low->name, lo,
           high->name, hi, name ? "`" : "all features", name ? name : "", name ? "`" : "");
  return false;
}

void options_order(struct Diags *d, const TModel *m, const IrOption *v, uint32_t n) {
  const Option *spec = m->estimator->options;
  for (uint32_t i = 0; i < n; i++) {
    if (spec[i].kind != OPT_EACH || !spec[i].values)
      continue;
    for (uint32_t k = 0; k < n; k++) {
      if (strcmp(v[k].name, spec[i].values) != 0)
        continue;
      bool good = order_one(d, m, &v[i], &v[k], NULL);
      for (uint32_t q = 0; q < v[i].n && good; q++)
        good = order_one(d, m, &v[i], &v[k], v[i].names[q]);
      for (uint32_t q = 0; q < v[k].n && good; q++)
        good = order_one(d, m, &v[i], &v[k], v[k].names[q]);
    }
  }
}
