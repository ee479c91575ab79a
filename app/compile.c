/* SPDX-License-Identifier: Apache-2.0 */
/* A file's way through the compiler: text, tree, checked tree, program, passes. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "base/digest.h"
#include "base/file.h"
#include "compiler/lower.h"
#include "stdlib/sources.h"

enum { PROGRAM_MOST = 4 << 20 };

void compile_open(Compiled *c) {
  memset(c, 0, sizeof *c);
  arena_init(&c->arena, &c->oom);
}

Status compile_read(Compiled *c, const char *path, Err *e) {
  Buf b = {0};
  bool in = !strcmp(path, "-");
  source_init(&c->sources, &c->arena);
  diag_init(&c->diags, &c->arena, &c->sources);
  if (file_read(in ? "/dev/stdin" : path, PROGRAM_MOST, ST_PROGRAM, &b, e) == ST_OK) {
    c->ntext = (uint32_t)b.n;
    c->text = arena_strndup(&c->arena, (const char *)b.p, b.n);
    c->file = source_add(&c->sources, in ? "(standard input)" : path, c->text, c->ntext, false);
  }
  buf_free(&b);
  return e->code;
}

/* Folders of `use NAME`: those of CML_PATH that are there, then that of the installed libraries. */
static const char *const *module_folders(Arena *a) {
  const char *path = getenv("CML_PATH");
  uint32_t n = 0, cap = 2;
  for (const char *p = path; p && *p; p++)
    cap += *p == ':';
  const char **v = NEWN(a, const char *, cap + 1);
  for (const char *p = path; p && *p;) {
    size_t k = strcspn(p, ":");
    char *real = realpath(arena_strndup(a, p, k), NULL);
    if (k && real)
      v[n++] = arena_strdup(a, real);
    free(real);
    p += k + (p[k] == ':');
  }
  v[n++] = CML_PKGLIBDIR "/modules";
  return v;
}

static Status read_module(void *ctx, Arena *a, const char *path, const char **text, uint32_t *n, Err *e) {
  Buf b = {0};
  (void)ctx;
  if (access(path, F_OK) != 0)
    return ST_DATA;
  if (file_read(path, PROGRAM_MOST, ST_PROGRAM, &b, e) == ST_OK) {
    *n = (uint32_t)b.n;
    *text = arena_strndup(a, (const char *)b.p, b.n);
  }
  buf_free(&b);
  return e->code;
}

void compile_library(Compiled *c) {
  uint32_t n = 0;
  while (stdlib_sources[n].name)
    n++;
  const char **name = NEWN(&c->arena, const char *, n + 1), **text = NEWN(&c->arena, const char *, n + 1);
  for (uint32_t i = 0; i < n; i++) {
    name[i] = arena_printf(&c->arena, "stdlib/%s.cml", stdlib_sources[i].name);
    text[i] = stdlib_sources[i].text;
  }
  c->library = library_new(&c->arena, &c->diags, name, text, n);
}

Status compile_file(const App *app, const CompileOptions *o, Compiled *c, Buf *dump, Err *e) {
  compile_open(c);
  if (setjmp(c->oom))
    return err_memory(e);
  if (compile_read(c, o->path, e) != ST_OK)
    return e->code;
  Catalog cat;
  if (catalog_make(app, &c->arena, o->check.no_data, o->remote, &cat, e) != ST_OK)
    return e->code;
  ModuleReader modules = {module_folders(&c->arena), read_module, NULL};
  const Ast *ast = c->ast = program_read(&c->arena, &c->diags, c->file, &modules);
  compile_library(c);
  CheckOptions check = o->check;
  c->outcome = ST_PROGRAM;
  check.outcome = &c->outcome;
  if (!c->diags.errors)
    c->tree = check_program(&c->arena, &c->diags, ast, c->library, &cat, &check);
  if (!c->tree || !o->lower)
    return ST_OK;
  c->program = lower_program(&c->arena, &c->diags, c->tree, o->seed, e);
  if (!c->program && c->diags.errors)
    c->outcome = ST_PROGRAM;
  c->report = NEWN(&c->arena, PassReport, passes_count());
  if (c->program &&
      passes_run(c->program, &c->arena, o->skip_pass, o->dump_pass, dump, c->report, e) != ST_OK)
    c->program = NULL;
  return e->code;
}

void compile_digest(const Compiled *c, char *out) {
  Buf all = {0};
  digest_bytes((Bytes){(const uint8_t *)c->text, c->ntext}, out);
  buf_text(&all, out);
  for (const Module *m = c->ast->modules; m; m = m->next) {
    const SourceFile *f = &c->sources.file[m->file];
    digest_bytes((Bytes){(const uint8_t *)f->text, f->n}, out);
    buf_text(&all, out);
    if (!m->next)
      digest_bytes(buf_bytes(&all), out);
  }
  buf_free(&all);
}

void compile_free(Compiled *c) {
  arena_free(&c->arena);
}

void compile_report(const App *app, const Compiled *c) {
  const Diags *d = &c->diags;
  if (!d->sources)
    return;
  diag_print(d, stderr, app->colour);
  if (d->errors || d->warnings) {
    if (d->errors)
      fprintf(stderr, "%u error%s%s", d->errors, d->errors == 1 ? "" : "s", d->warnings ? ", " : "");
    if (d->warnings)
      fprintf(stderr, "%u warning%s", d->warnings, d->warnings == 1 ? "" : "s");
    fprintf(stderr, "\n");
  }
}
