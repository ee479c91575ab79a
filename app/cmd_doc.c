/* SPDX-License-Identifier: Apache-2.0 */
/* cmlc doc: the catalogue. Functions come from the doc comments of the cml files of stdlib, estimators,
 * metrics and formats from their tables, error codes from lang/diag.def and app/codes.def: nothing is
 * written twice. */
#include <string.h>

#include "app/app.h"

typedef struct Doc {
  Compiled c; /* of no program: the library alone */
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
      printf(" = %.*s", (int)(p->def->span.to - p->def->span.from),
             d->c.sources.file[p->def->span.file].text + p->def->span.from);
    else if (f->aggregate && !strcmp(p->name, "weight"))
      printf(" = 1"); /* the one optional argument of aggregates has no default: none means unweighted */
    if (p->next)
      printf(", ");
  }
  printf(")");
  if (f->type) {
    printf(": ");
    print_type(f->type);
  }
}

/* A text without the newlines it ends in, then one. */
static void print_text(const char *text) {
  size_t n = strlen(text);
  while (n && text[n - 1] == '\n')
    n--;
  printf("%.*s\n", (int)n, text);
}

/* "two classes, several classes" */
static void print_tasks(unsigned tasks) {
  static const char *const text[TASK_N] = {"regressions", "models with two classes",
                                           "models with several classes", "clusters"};
  const char *between = "";
  for (int t = 0; t < TASK_N; t++)
    if (tasks & TASK_BIT(t)) {
      printf("%s%s", between, text[t]);
      between = ", ";
    }
  printf("\n\n");
}

enum { LIST_WIDTH = 100, NAME_WIDTH = 20, GIST_WIDTH = LIST_WIDTH - NAME_WIDTH - 3 };

/* How much of a doc the list shows: its first line where that is short and ends a sentence; else its first
 * sentence, of a very long one what stands before the first colon or semicolon. */
static size_t gist_length(const char *doc) {
  size_t line = strcspn(doc, "\n"), n = 0, cut;
  while (doc[n] && !(strchr(".?", doc[n]) && n > 1 && doc[n - 2] != ' ' &&
                     strchr(" \n", doc[n + 1]))) /* "G. Brier" goes on; so does 0.5 */
    n++;
  n += doc[n] != 0;
  if (line && line <= GIST_WIDTH && (doc[line - 1] == '.' || !doc[line]))
    return line;
  for (cut = 0; cut < n && !(strchr(":;", doc[cut]) && strchr(" \n", doc[cut + 1]));
       cut++) /* `index:value` is one word */
    ;
  return n > 2 * GIST_WIDTH ? cut : n;
}

/* A line of a list: the name and the gist, in lines of at most LIST_WIDTH. */
static void print_entry(const char *name, const char *doc) {
  size_t end = gist_length(doc), at = (size_t)printf("  %-*s", NAME_WIDTH, name);
  for (size_t i = 0; i < end;) {
    size_t word = strcspn(doc + i, " \n");
    word = word < end - i ? word : end - i;
    if (at + 1 + word > LIST_WIDTH)
      at = (size_t)printf("\n%*s", NAME_WIDTH + 2, "") - 1;
    at += (size_t)printf(" %.*s", (int)word, doc + i);
    i += word + 1;
  }
  putchar('\n');
}

static const Decl *decls_of(const Doc *d, uint32_t module) {
  const Ast *a = library_ast(d->c.library, module);
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

/* The heading that a declaration stands under: the last line "# ---- TITLE ----" above it in its file, or
 * the first sentence of the file's own doc. */
static const char *heading(const Doc *d, uint32_t module, const Decl *f, size_t *n) {
  const char *text = d->c.sources.file[f->span.file].text, *found = NULL,
             *doc = library_ast(d->c.library, module)->doc;
  static const char mark[] = "\n# ---- ";
  for (const char *p = text; (p = strstr(p, mark)) != NULL && p < text + f->span.from; p++)
    found = p + sizeof mark - 1;
  *n = found ? strcspn(found, "\n") - 5 : strcspn(doc ? doc : "", ".:\n");
  return found ? found : doc;
}

static void list_module(const Doc *d, uint32_t module) {
  const char *last = NULL;
  for (const Decl *f = decls_of(d, module); f; f = f->next) {
    if (is_operator_name(f) || !first_of_name(d, module, f))
      continue;
    size_t n;
    const char *title = heading(d, module, f, &n);
    if (title != last)
      printf("%s%.*s\n", last ? "\n" : "", (int)n, title);
    last = title;
    print_entry(f->name, f->doc ? f->doc : "");
  }
  printf("\n");
}

static bool is_native_module(const Doc *d, uint32_t module) {
  const Decl *f = decls_of(d, module);
  return f && !strcmp(d->c.sources.file[f->span.file].path, "stdlib/native.cml");
}

/* What features are mostly made of comes first; the small functions at the end. */
static void list_functions(const Doc *d) {
  for (int native = 0; native < 2; native++)
    for (uint32_t m = 0; library_ast(d->c.library, m); m++)
      if (is_native_module(d, m) == native)
        list_module(d, m);
}

static void list_estimators(const Doc *d) {
  printf("Estimators\n");
  for (const CatEstimator *e = d->catalog.estimator; e->name; e++)
    print_entry(e->name, e->doc);
}

/* A name that stands for several metrics is listed once. */
static void list_metrics(const Doc *d) {
  printf("Metrics\n");
  for (const CatMetric *m = d->catalog.metric; m->name; m++) {
    const CatMetric *first = d->catalog.metric;
    while (strcmp(first->name, m->name) != 0)
      first++;
    if (first == m)
      print_entry(m->name, m->doc);
  }
}

static void list_sources(const Doc *d) {
  printf("Sources\n");
  for (const CatFormat *f = d->catalog.format; f->name; f++)
    print_entry(f->name, f->doc);
}

static const struct {
  const char *name;
  void (*print)(const Doc *d);
} lists[] = {{"functions", list_functions},
             {"estimators", list_estimators},
             {"metrics", list_metrics},
             {"sources", list_sources}};

static void list_all(const Doc *d) {
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    lists[i].print(d);
    printf(i ? "\n" : "");
  }
  printf("`cmlc doc NAME` shows one entry in full with an example, `cmlc doc functions` (estimators, "
         "metrics,\nsources) one list, `cmlc doc CML0204` an error code.\n");
}

static void print_default(const Option *o) {
  size_t n;
  const char *v = o->values ? o->values : "";
  switch (o->kind) {
  case OPT_BOOL: printf("%s", o->def != 0 ? "true" : "false"); break;
  case OPT_STRING: printf(strchr(v, '"') ? "'%s'" : "\"%s\"", v); break;
  case OPT_ENUM:
    n = (size_t)option_word(o, (int)o->def, &v);
    printf("\"%.*s\"", (int)n, v);
    break;
  case OPT_EXPR: printf("none"); break;
  case OPT_EACH:
    if (o->def < -1e300 || o->def > 1e300) {
      printf("none");
      break;
    }
    printf("%g", o->def);
    break;
  default: printf("%g", o->def);
  }
}

static void print_options(const Option *o) {
  static const char *const kind[] = {
      "bool", "int", "float", "string", "one of", "float or [slot = float, ..]", "expression"};
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

static bool same_doc(const Decl *a, const Decl *b) {
  return a->doc && b->doc && !strcmp(a->doc, b->doc);
}

static const Decl *next_of_name(const Decl *f, const char *name) {
  while (f && strcmp(f->name, name) != 0)
    f = f->next;
  return f;
}

/* Every overload of the name, how a cml function is written, and the doc, once for neighbours that share
 * it. */
static bool doc_function(const Doc *d, const char *name) {
  bool found = false;
  for (uint32_t m = 0; library_ast(d->c.library, m); m++)
    for (const Decl *next, *f = next_of_name(decls_of(d, m), name); f; f = next, found = true) {
      next = next_of_name(f->next, name);
      if (found)
        printf(f->doc ? "\n" : "");
      print_signature(d, f);
      printf("%s\n",
             f->kind == D_NATIVE && f->aggregate ? "   # aggregate: fitted over the training rows" : "");
      if (f->kind == D_FN)
        printf("\n%.*s\n", (int)(f->span.to - f->span.from),
               d->c.sources.file[f->span.file].text + f->span.from);
      if (!f->doc || (next && same_doc(f, next)))
        continue;
      printf("\n");
      print_text(f->doc);
    }
  return found;
}

static bool doc_one(const Doc *d, const char *name) {
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
    if (!strcmp(lists[i].name, name)) {
      lists[i].print(d);
      return true;
    }
  bool found = doc_function(d, name);
  const char *page = code_page(name);
  if (page) {
    print_text(page);
    found = true;
  }
  for (const CatEstimator *e = d->catalog.estimator; e->name; e++)
    if (!strcmp(e->name, name)) {
      printf("%s(%sfeatures, options)\n\n", e->name, e->tasks & TASK_BIT(TASK_CLUSTER) ? "" : "target ~ ");
      print_text(e->doc);
      print_options(e->options);
      found = true;
    }
  for (const CatMetric *m = d->catalog.metric; m->name; m++)
    if (!strcmp(m->name, name)) {
      printf("%smetric %s, of ", found ? "\n" : "", m->name);
      print_tasks(m->tasks);
      print_text(m->doc);
      print_options(m->options);
      found = true;
    }
  for (const CatFormat *f = d->catalog.format; f->name; f++)
    if (!strcmp(f->name, name)) {
      printf("from %s(\"PATH\", options)\n\n", f->name);
      print_text(f->doc);
      print_options(f->options);
      found = true;
    }
  return found;
}

static const char *nearest_entry(const Doc *d, const char *name) {
  const char *names[512];
  unsigned n = 0;
  for (uint32_t m = 0; library_ast(d->c.library, m); m++)
    for (const Decl *f = decls_of(d, m); f && n < 480; f = f->next)
      names[n++] = f->name;
  for (const CatEstimator *e = d->catalog.estimator; e->name && n < 512; e++)
    names[n++] = e->name;
  for (const CatMetric *m = d->catalog.metric; m->name && n < 512; m++)
    names[n++] = m->name;
  for (const CatFormat *f = d->catalog.format; f->name && n < 512; f++)
    names[n++] = f->name;
  for (size_t i = 0; i < sizeof lists / sizeof *lists && n < 512; i++)
    names[n++] = lists[i].name;
  return diag_nearest(name, names, n);
}

int cmd_doc(const App *app, int argc, char **argv) {
  static const Flag flags[] = {{NULL, NULL, NULL, NULL, false}};
  Args args;
  Doc d;
  Err e = {0};
  compile_open(&d.c);
  if (setjmp(d.c.oom)) {
    err_memory(&e);
    app_error(app, &e);
    compile_free(&d.c);
    return ST_RESOURCE;
  }
  Status st = args_parse(&d.c.arena, argc, argv, "doc", "[NAME ...]", flags, &args);
  if (st == ST_OK) {
    source_init(&d.c.sources, &d.c.arena);
    diag_init(&d.c.diags, &d.c.arena, &d.c.sources);
    compile_library(&d.c);
    catalog_make(app, &d.c.arena, true, NULL, &d.catalog, &e);
    if (!args.nword)
      list_all(&d);
    for (uint32_t i = 0; i < args.nword; i++) {
      if (i)
        printf("\n");
      if (doc_one(&d, args.word[i]))
        continue;
      const char *near = nearest_entry(&d, args.word[i]);
      fprintf(stderr, "cmlc doc: there is no entry `%s`%s%s%s\n  = cmlc doc lists them all\n", args.word[i],
              near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
      st = ST_USAGE;
    }
  }
  compile_free(&d.c);
  return st == ST_CANCEL ? ST_OK : st;
}
