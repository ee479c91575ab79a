/* SPDX-License-Identifier: Apache-2.0 */
/* export: bundles, predictions, and features as columns, of a model or of a block by itself. Read from the
 * bottom. */
#include <string.h>

#include "lang/check.h"

/* ---- Paths, kept columns ---- */


static const char *plain_path(const char *p) {
  while (p[0] == '.' && p[1] == '/')
    p += 2;
  return p;
}

static void add_export(Check *c, const TExport *t) {
  if (!t->path)
    return;
  for (uint32_t i = 0; i < c->tree->nexport; i++)
    if (strcmp(plain_path(c->tree->export_[i].path), plain_path(t->path)) == 0) {
      Diag *g = diag_add(c->d, SEV_ERROR, "CML0320", t->span, "choose another path",
                         "two exports write to \"%s\"", t->path);
      if (g)
        diag_note(c->d, g, c->tree->export_[i].span, "the other is here");
      return;
    }
  for (uint32_t i = 0; i < c->tree->ndata; i++) {
    const TData *d = c->tree->data[i];
    for (uint32_t k = 0; k < d->nsource; k++)
      if (strcmp(plain_path(d->source[k].path), plain_path(t->path)) == 0)
        diag_add(c->d, SEV_ERROR, "CML0320", t->span, "choose another path",
                 "\"%s\" is read by `%s`; an export does not replace its source", t->path, d->name);
  }
  PUSH(c->a, c->tree->export_, c->tree->nexport, c->export_cap, *t);
}

static void kept_columns(Ctx *x, const Item *i, DataInfo *d, TExport *t) {
  Check *c = x->c;
  uint32_t cap = 0;
  for (uint32_t k = 0; !i->args && k < d->t->ncolumn; k++)
    if (!d->t->column[k]->derive) {
      d->t->column[k]->used = true;
      PUSH(c->a, t->keep, t->nkeep, cap, d->t->column[k]);
    }
  for (const Arg *g = i->args; g; g = g->next) {
    if (g->value->kind != E_NAME) {
      ctx_error(x, "CML0204", g->value->span, "write `keep [a, b]`", "`keep` names columns");
      continue;
    }
    TColumn *col = data_column(d, g->value->name);
    if (!col) {
      no_column(x, d, g->value, NULL);
      continue;
    }
    for (uint32_t k = 0; k < t->nkeep; k++)
      if (t->keep[k] == col)
        ctx_error(x, "CML0208", g->value->span, "name it once", "`%s` is kept twice", col->name);
    col->used = true;
    PUSH(c->a, t->keep, t->nkeep, cap, col);
  }
}

/* ---- Rows into a file ---- */

/* `predictions of` or `features of`, of a model (or what stands for one) whose features are of `home`. */
static void check_rows_of(Ctx *x, const Item *i, TModel *m, const DataInfo *home) {
  Check *c = x->c;
  bool features = i->kind == I_FEATURES;
  TExport t = {.kind = features ? EXPORT_FEATURES : EXPORT_PREDICTIONS, .span = i->span, .model = m};
  t.path = path_text(x, i->expr, "the path");
  DataInfo *d = i->of ? part_named(c, i->of, features ? "`features of`" : "`predictions of`", &t.part) : NULL;
  if (!d)
    return;
  t.data = d->t;
  if (home && d != home) {
    diag_add(c->d, SEV_ERROR, "CML0321", i->of->span,
             features ? arena_printf(c->a, "name a part of `%s`", home->decl->name)
                      : "write the bundle, and use `cmlc predict` for other files",
             "`%s` has features of `%s`; %s of other data are not part of this version", m->name,
             home->decl->name, features ? "those" : "predictions");
    return;
  }
  if (!features || i->args)
    kept_columns(x, i, d, &t);
  add_export(c, &t);
}

static void nothing_written(Check *c, const Decl *decl, const char *remedy) {
  diag_add(c->d, SEV_ERROR, "CML0324", decl->span, remedy, "this `export` writes nothing");
}

/* ---- A features block by itself ---- */

/* What stands for the model: the block is fitted as one on these rows would have it. NULL: reported. */
static TModel *block_alone(Check *c, const Decl *decl, FeaturesInfo *f) {
  TModel *m = NEW(c->a, TModel);
  *m = (TModel){.name = f->t->name, .span = decl->span, .data = f->t->data};
  m->block = NEW(c->a, TFeatures *);
  m->block[m->nblock++] = f->t;
  if (!m->data->npart || f->data->bad_split)
    return m;
  if (data_part(m->data, "train")) {
    m->part = "train";
    return m;
  }
  diag_add(c->d, SEV_ERROR, "CML0311", decl->name_span,
           arena_printf(c->a, "export the features of a model that says where it is fitted: `on = %s.%s`",
                        m->data->name, m->data->part[0].name),
           "`%s` is fitted on the part `train`, and `%s` has none (its parts are %s)", m->name, m->data->name,
           data_parts(c, m->data));
  return NULL;
}

static void export_block(Check *c, const Decl *decl, FeaturesInfo *f) {
  Ctx x = {.c = c, .place = AT_OPTION, .owner = decl};
  TModel *m = NULL;
  bool any = false;
  f->used = true;
  for (const Item *i = decl->items; i; i = i->next) {
    any = any || i->kind == I_OTHER || i->kind == I_FEATURES;
    if (i->kind == I_BUNDLE || i->kind == I_PREDICTIONS) {
      any = true;
      ctx_error(&x, "CML0347", i->span,
                "export the model that uses it, or write `features of d.test to \"f.parquet\"`",
                "`%s` is a features block, and has no %s", decl->name,
                i->kind == I_BUNDLE ? "bundle" : "predictions");
    } else if (i->kind == I_FEATURES && f->data) {
      m = m ? m : block_alone(c, decl, f);
      if (!m)
        return;
      check_rows_of(&x, i, m, f->data);
    }
  }
  if (!any)
    nothing_written(c, decl, "write `features of d.test to \"f.parquet\"`");
}

/* ---- export ---- */

void export_check(Check *c, const Decl *decl) {
  FeaturesInfo *f = decl->name ? table_get(&c->features, decl->name) : NULL;
  ModelInfo *m = f ? NULL : model_named(c, decl);
  if (f)
    export_block(c, decl, f);
  if (!m)
    return;
  Ctx x = {.c = c, .place = AT_OPTION, .owner = decl};
  bool any = false;
  for (const Item *i = decl->items; i; i = i->next) {
    any = any || i->kind == I_BUNDLE || i->kind == I_PREDICTIONS || i->kind == I_FEATURES ||
          i->kind == I_OTHER;
    if (i->kind == I_BUNDLE) {
      TExport t = {
          .kind = EXPORT_BUNDLE, .span = i->span, .model = m->t, .path = path_text(&x, i->expr, "the path")};
      add_export(c, &t);
    } else if (i->kind == I_PREDICTIONS || i->kind == I_FEATURES) {
      check_rows_of(&x, i, m->t, m->data);
    }
  }
  if (!any)
    nothing_written(c, decl, "write `bundle \"m.cmlm\"` or `predictions of d.test to \"p.parquet\"`");
}
