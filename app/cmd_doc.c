/* SPDX-License-Identifier: Apache-2.0 */
/* cmlc doc: the catalogue. Functions come from the doc comments of the cml files of stdlib, estimators, metrics and formats from their tables, error codes
 * from lang/diag.def: nothing is written twice. */
#include <string.h>

#include "app/app.h"
#include "stdlib/sources.h"

typedef struct Doc {
  const App *app;
  Arena *arena;
  Sources sources;
  Diags diags;
  Library *library;
  Catalog catalog;
} Doc;

static void print_type(const TypeExpr *t) {
  if (!t)
    return;
  if (t->phase)
    printf("%s ", t->phase);
  printf("%s", t->name);
  if (t->elem) {
    printf("<");
    print_type(t->elem);
    printf(">");
  }
  if (t->nullable)
    printf("?");
}

static void print_signature(const Doc *d, const Decl *f) {
  printf("%s(", f->name);
  for (const Parameter *p = f->params; p; p = p->next) {
    printf("%s: ", p->name);
    print_type(p->type);
    if (p->def)
      printf(" = %.*s", (int)(p->def->span.to - p->def->span.from), d->sources.file[p->def->span.file].text + p->def->span.from);
    if (p->next)
      printf(", ");
  }
  printf(")");
  if (f->type) {
    printf(": ");
    print_type(f->type);
  }
}

static void first_line(const char *doc) {
  size_t n = strcspn(doc ? doc : "", "\n");
  printf("%.*s", (int)n, doc ? doc : "");
}

static const Decl *decls_of(const Doc *d, uint32_t module) {
  const Ast *a = library_ast(d->library, module);
  return a ? a->decls : NULL;
}

/* A name of several overloads is listed once: where it stands first. */
static bool first_of_name(const Doc *d, uint32_t module, const Decl *f) {
  for (const Decl *x = decls_of(d, module); x != f; x = x->next)
    if (strcmp(x->name, f->name) == 0)
      return false;
  return true;
}

static bool is_operator_name(const Decl *f) {
  return f->kind == D_NATIVE && !f->doc;
}

static void list_functions(const Doc *d, const char *title, bool native, bool aggregate) {
  printf("%s\n", title);
  for (uint32_t m = 0; library_ast(d->library, m); m++)
    for (const Decl *f = decls_of(d, m); f; f = f->next) {
      if ((f->kind == D_NATIVE) != native || (native && f->aggregate != aggregate) || is_operator_name(f) || !first_of_name(d, m, f))
        continue;
      printf("  %-18s ", f->name);
      first_line(f->doc);
      printf("\n");
    }
  printf("\n");
}

static void list_all_functions(const Doc *d) {
  list_functions(d, "Features (written in cml; `cmlc doc NAME` shows how)", false, false);
  list_functions(d, "Aggregates (fitted over the training rows)", true, true);
  list_functions(d, "Row functions", true, false);
}

static void list_all(const Doc *d) {
  list_all_functions(d);
  printf("Estimators\n");
  for (const CatEstimator *e = d->catalog.estimator; e->name; e++) {
    printf("  %-20s ", e->name);
    first_line(e->doc);
    printf("\n");
  }
  printf("\nMetrics\n");
  for (const CatMetric *m = d->catalog.metric; m->name; m++) {
    printf("  %-18s ", m->name);
    first_line(m->doc);
    printf("\n");
  }
  printf("\nSources\n");
  for (const CatFormat *f = d->catalog.format; f->name; f++) {
    printf("  %-18s ", f->name);
    first_line(f->doc);
    printf("\n");
  }
  printf("\n`cmlc doc NAME` shows one entry in full, `cmlc doc CML0204` an error code.\n");
}

static void print_default(const Option *o) {
  size_t n;
  const char *v = o->values ? o->values : "";
  switch (o->kind) {
  case OPT_BOOL: printf("%s", o->def != 0 ? "true" : "false"); break;
  case OPT_STRING: printf("\"%s\"", !strcmp(v, "\t") ? "\\t" : v); break;
  case OPT_ENUM:
    n = (size_t)option_word(o, (int)o->def, &v);
    printf("\"%.*s\"", (int)n, v);
    break;
  default: printf("%g", o->def);
  }
}

static void print_options(const Option *o) {
  static const char *const kind[] = {"bool", "int", "float", "string", "one of"};
  if (!o || !o->name)
    return;
  printf("\noptions\n");
  for (; o->name; o++) {
    printf("  %s: %s", o->name, kind[o->kind]);
    if (o->kind == OPT_ENUM)
      printf(" %s", o->values);
    printf(" = ");
    print_default(o);
    if ((o->kind == OPT_INT || o->kind == OPT_FLOAT) && o->max >= 1e300)
      printf("  (%g or more)", o->min);
    else if (o->kind == OPT_INT || o->kind == OPT_FLOAT)
      printf("  (%g to %g)", o->min, o->max);
    printf("\n      %s\n", o->doc);
  }
}

/* Every overload of the name, the doc of the first that has one, and how a cml function is written. */
static bool doc_function(const Doc *d, const char *name) {
  const char *doc = NULL;
  bool found = false;
  for (uint32_t m = 0; library_ast(d->library, m); m++)
    for (const Decl *f = decls_of(d, m); f; f = f->next) {
      if (strcmp(f->name, name) != 0)
        continue;
      print_signature(d, f);
      printf("%s\n", f->kind == D_NATIVE && f->aggregate ? "   # aggregate: fitted over the training rows" : "");
      doc = doc ? doc : f->doc;
      found = true;
      if (f->kind == D_FN)
        printf("\n%.*s\n", (int)(f->span.to - f->span.from), d->sources.file[f->span.file].text + f->span.from);
    }
  if (doc)
    printf("\n%s\n", doc);
  return found;
}

static bool doc_one(const Doc *d, const char *name) {
  bool found = doc_function(d, name);
  if (!strcmp(name, "functions")) {
    list_all_functions(d);
    return true;
  }
  const char *page = diag_page(name);
  if (page) {
    printf("%s\n", page);
    found = true;
  }
  for (const CatEstimator *e = d->catalog.estimator; e->name; e++)
    if (!strcmp(e->name, name)) {
      printf("%s(target ~ features, options)\n\n%s\n", e->name, e->doc);
      print_options(e->options);
      found = true;
    }
  for (const CatMetric *m = d->catalog.metric; m->name; m++)
    if (!strcmp(m->name, name)) {
      printf("metric %s, of %s\n\n%s\n", m->name, m->task == TASK_BINARY ? "classifiers" : "regressions", m->doc);
      print_options(m->options);
      found = true;
    }
  for (const CatFormat *f = d->catalog.format; f->name; f++)
    if (!strcmp(f->name, name)) {
      printf("from %s(\"PATH\", options)\n\n%s\n", f->name, f->doc);
      print_options(f->options);
      found = true;
    }
  return found;
}

static const char *nearest_entry(const Doc *d, const char *name) {
  const char *names[512];
  unsigned n = 0;
  for (uint32_t m = 0; library_ast(d->library, m); m++)
    for (const Decl *f = decls_of(d, m); f && n < 480; f = f->next)
      names[n++] = f->name;
  for (const CatEstimator *e = d->catalog.estimator; e->name && n < 512; e++)
    names[n++] = e->name;
  for (const CatMetric *m = d->catalog.metric; m->name && n < 512; m++)
    names[n++] = m->name;
  return diag_nearest(name, names, n);
}

static void doc_open(Doc *d, const App *app, Arena *a) {
  uint32_t n = 0;
  *d = (Doc){.app = app, .arena = a};
  source_init(&d->sources, a);
  diag_init(&d->diags, a, &d->sources);
  while (stdlib_sources[n].name)
    n++;
  const char **name = NEWN(a, const char *, n + 1), **text = NEWN(a, const char *, n + 1);
  for (uint32_t i = 0; i < n; i++) {
    name[i] = arena_printf(a, "stdlib/%s.cml", stdlib_sources[i].name);
    text[i] = stdlib_sources[i].text;
  }
  d->library = library_new(a, &d->diags, name, text, n);
}

int cmd_doc(const App *app, int argc, char **argv) {
  static const Flag flags[] = {{NULL, NULL, NULL, NULL, false}};
  Arena a;
  jmp_buf oom;
  Args args;
  Doc d;
  Err e = {0};
  arena_init(&a, &oom);
  if (setjmp(oom)) {
    err_memory(&e);
    app_error(app, &e);
    arena_free(&a);
    return ST_RESOURCE;
  }
  Status st = args_parse(&a, argc, argv, "doc", "[NAME ...]", flags, &args);
  if (st == ST_OK) {
    doc_open(&d, app, &a);
    catalog_make(app, &a, true, &d.catalog, &e);
    if (!args.nword)
      list_all(&d);
    for (uint32_t i = 0; i < args.nword; i++) {
      if (i)
        printf("\n");
      if (doc_one(&d, args.word[i]))
        continue;
      const char *near = nearest_entry(&d, args.word[i]);
      fprintf(stderr, "cmlc doc: there is no entry `%s`%s%s%s\n  = cmlc doc lists them all\n", args.word[i], near ? "; did you mean `" : "",
              near ? near : "", near ? "`?" : "");
      st = ST_USAGE;
    }
  }
  arena_free(&a);
  return st == ST_CANCEL ? ST_OK : st;
}
