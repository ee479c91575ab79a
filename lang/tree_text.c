/* SPDX-License-Identifier: Apache-2.0 */
/* A checked tree as text; see tree_text.h. One function for each struct of tree.h, in its order. */
#include "lang/tree_text.h"

#include "base/num.h"
#include "lang/type.h"

static void print_type(Type t, Buf *out) {
  buf_text(out, type_name(t.kind));
  if (t.kind == TY_LIST)
    buf_printf(out, "<%s>", type_name(t.elem));
  if (t.kind == TY_VECTOR && t.width)
    buf_printf(out, "<%u>", t.width);
  if (t.nullable)
    buf_text(out, "?");
}

static void print_literal(const Node *n, Buf *out) {
  char text[NUM_MAX];
  switch (n->type.kind) {
  case TY_BOOL: buf_text(out, n->b ? "true" : "false"); return;
  case TY_INT: num_print_i64(text, n->i); break;
  case TY_FLOAT: num_print_f64(text, n->f, true); break;
  case TY_DATE: num_print_date(text, n->i); break;
  case TY_TIMESTAMP: num_print_timestamp(text, n->i); break;
  case TY_DURATION: buf_printf(out, "%lldus", (long long)n->i); return;
  default: buf_printf(out, "\"%s\"", n->s ? n->s : "?"); return;
  }
  buf_text(out, text);
}

static void print_all(Node *const *v, uint32_t n, Buf *out) {
  for (uint32_t i = 0; i < n; i++) {
    buf_text(out, " ");
    tree_print_node(v[i], out);
  }
}

void tree_print_node(const Node *n, Buf *out) {
  static const char *const phases[] = {":const ", ":fitted ", ""};
  switch (n->kind) {
  case N_LIT: print_literal(n, out); return;
  case N_COLUMN: buf_text(out, n->column->name); return;
  case N_CALL: buf_printf(out, "(%s", n->op); break;
  case N_LIST: buf_text(out, "(list"); break;
  case N_VECTOR: buf_text(out, "(vector"); break;
  case N_AGG: buf_printf(out, "(agg %s", n->op); break;
  }
  buf_printf(out, " %s", phases[n->phase]);
  print_type(n->type, out);
  if (n->kind == N_VECTOR) {
    for (uint32_t i = 0; i < n->narg; i++) {
      buf_printf(out, " %s=", n->names[i] ? n->names[i] : "");
      tree_print_node(n->arg[i], out);
    }
  } else {
    print_all(n->arg, n->narg, out);
  }
  if (n->where) {
    buf_text(out, " :where ");
    tree_print_node(n->where, out);
  }
  if (n->weight) {
    buf_text(out, " :weight ");
    tree_print_node(n->weight, out);
  }
  if (n->nby) {
    buf_text(out, " :by");
    print_all(n->by, n->nby, out);
  }
  buf_text(out, ")");
}

static void print_number(double v, Buf *out) {
  char text[NUM_MAX];
  num_print_f64(text, v, false);
  buf_text(out, text);
}

static void print_column(const TColumn *c, Buf *out) {
  buf_printf(out, "  column %s ", c->name);
  print_type(c->type, out);
  if (c->has_min || c->has_max) {
    buf_text(out, " in ");
    if (c->has_min)
      print_number(c->min, out);
    buf_text(out, "..");
    if (c->has_max)
      print_number(c->max, out);
  }
  for (uint32_t i = 0; i < c->nin; i++)
    buf_printf(out, "%s\"%s\"", i ? ", " : " in ", c->in[i]);
  buf_printf(out, "%s%s%s%s\n", c->ordered ? " ordered" : "", c->declared ? " declared" : "",
             c->known ? " known" : "", c->used ? " used" : "");
}

static void print_line(const char *word, const Node *n, Buf *out) {
  buf_printf(out, "  %s ", word);
  tree_print_node(n, out);
  buf_text(out, "\n");
}

static void print_split(const TData *d, const TSplit *s, Buf *out) {
  static const char *const ways[] = {"hash", "random", "value", "time", "source"};
  buf_printf(out, "  split%s%s", s->of < 0 ? "" : " ", s->of < 0 ? "" : d->part[s->of].name);
  for (uint32_t i = s->first; i < s->first + s->n; i++) {
    buf_printf(out, " %s ", d->part[i].name);
    print_number(d->part[i].share, out);
  }
  buf_printf(out, " by %s", ways[s->kind]);
  print_all(s->key, s->nkey, out);
  if (s->kind == SPLIT_RANDOM)
    buf_printf(out, " seed %lld", (long long)s->seed);
  if (s->nstratum)
    buf_text(out, " stratify");
  print_all(s->stratum, s->nstratum, out);
  buf_text(out, "\n");
}

static void print_sample(const TData *d, const TSample *s, Buf *out) {
  buf_printf(out, "  sample %s ", d->part[s->part].name);
  print_number(s->share, out);
  print_all(s->key, s->nkey, out);
  buf_printf(out, " seed %lld", (long long)s->seed);
  if (s->where) {
    buf_text(out, " where ");
    tree_print_node(s->where, out);
  }
  buf_text(out, "\n");
}

static void print_source(const TSource *s, Buf *out) {
  buf_printf(out, "  from %s%s%s \"%s\"", s->part ? s->part : "", s->part ? " = " : "", s->format, s->path);
  for (uint32_t i = 0; i < s->noption; i++)
    buf_printf(out, " %s=%s", s->option[2 * i], s->option[2 * i + 1]);
  buf_text(out, "\n");
}

static void print_data(const TData *d, Buf *out) {
  buf_printf(out, "data %s\n", d->name);
  for (uint32_t i = 0; i < d->nsource; i++)
    print_source(&d->source[i], out);
  for (uint32_t i = 0; i < d->ncolumn; i++)
    print_column(d->column[i], out);
  for (uint32_t i = 0; i < d->nstep; i++) {
    const TStep *s = &d->step[i];
    switch (s->kind) {
    case STEP_WHERE: print_line("where", s->expr, out); break;
    case STEP_DERIVE:
      buf_printf(out, "  derive %s = ", s->column->name);
      tree_print_node(s->expr, out);
      buf_text(out, "\n");
      break;
    case STEP_WEIGHT: print_line("weight", s->expr, out); break;
    case STEP_SPLIT: print_split(d, &d->split[s->number], out); break;
    case STEP_SAMPLE: print_sample(d, &d->sample[s->number], out); break;
    case STEP_EXPECT: print_line("expect", s->expr, out); break;
    }
  }
  if (d->ngroup)
    buf_text(out, "  group");
  print_all(d->group, d->ngroup, out);
  buf_printf(out, "%s  folds %d\n", d->ngroup ? "\n" : "", d->folds);
}

static void print_features(const TFeatures *f, Buf *out) {
  buf_printf(out, "features %s of %s\n", f->name, f->data ? f->data->name : "?");
  for (uint32_t i = 0; i < f->nslot; i++) {
    buf_printf(out, "  %s = ", f->slot[i].name);
    tree_print_node(f->slot[i].expr, out);
    buf_text(out, "\n");
  }
}

static void print_options(const TOption *o, uint32_t n, Buf *out) {
  for (uint32_t i = 0; i < n; i++) {
    buf_printf(out, " %s=", o[i].name);
    for (uint32_t k = 0; k < o[i].neach; k++) {
      buf_printf(out, "%s%s=", k ? "," : "[", o[i].names[k]);
      tree_print_node(o[i].each[k], out);
    }
    if (o[i].value)
      tree_print_node(o[i].value, out);
    else
      buf_text(out, "]");
  }
}

static void print_model(const TModel *m, Buf *out) {
  buf_printf(out, "model %s = %s", m->name, m->estimator ? m->estimator->name : "?");
  print_options(m->option, m->noption, out);
  buf_printf(out, " on %s.%s\n", m->data ? m->data->name : "?", m->part ? m->part : "*");
  for (uint32_t i = 0; i < m->nblock; i++)
    buf_printf(out, "  block %s\n", m->block[i]->name);
  if (m->classes)
    print_line("classes", m->classes, out);
  if (m->target)
    print_line("target", m->target, out);
}

static void print_evaluate(const TEvaluate *e, Buf *out) {
  buf_printf(out, "evaluate %s on %s.%s%s\n", e->model->name, e->data ? e->data->name : "?",
             e->part ? e->part : "*", e->seen ? " seen" : "");
  for (uint32_t i = 0; i < e->nmetric; i++) {
    const TMetric *m = &e->metric[i];
    buf_printf(out, "  %s", m->text);
    if (m->by)
      buf_printf(out, " by %s", m->by->name);
    if (m->top)
      buf_printf(out, " top %lld", (long long)m->top);
    buf_text(out, "\n");
  }
  for (uint32_t i = 0; i < e->nexpect; i++)
    print_line("expect", e->expect[i].expr, out);
}

static void print_export(const TExport *x, Buf *out) {
  buf_printf(out, "export %s ", x->model->name);
  if (x->kind == EXPORT_BUNDLE) {
    buf_printf(out, "bundle \"%s\"\n", x->path);
    return;
  }
  buf_printf(out, "%s of %s.%s to \"%s\" keep", x->kind == EXPORT_FEATURES ? "features" : "predictions",
             x->data->name, x->part ? x->part : "*", x->path);
  for (uint32_t i = 0; i < x->nkeep; i++)
    buf_printf(out, " %s", x->keep[i]->name);
  buf_text(out, "\n");
}

void tree_print(const Tree *t, Buf *out) {
  for (uint32_t i = 0; i < t->nparam; i++) {
    buf_printf(out, "param %s ", t->param[i].name);
    print_type(t->param[i].type, out);
    buf_text(out, " = ");
    tree_print_node(t->param[i].value, out);
    buf_text(out, "\n");
  }
  for (uint32_t i = 0; i < t->ndata; i++)
    print_data(t->data[i], out);
  for (uint32_t i = 0; i < t->nfeatures; i++)
    print_features(t->features[i], out);
  for (uint32_t i = 0; i < t->nmodel; i++)
    print_model(t->model[i], out);
  for (uint32_t i = 0; i < t->nevaluate; i++)
    print_evaluate(&t->evaluate[i], out);
  for (uint32_t i = 0; i < t->nexport; i++)
    print_export(&t->export_[i], out);
}
