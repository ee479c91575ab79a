/* SPDX-License-Identifier: Apache-2.0 */
/* Modules: `use "file.cml"` and `use name`. program_read parses a program and every file it uses, and
 * hangs the declarations of all behind the program's own: names make the graph, across files too. A file
 * is read once, whoever uses it, so files may use each other. */
#include <string.h>

#include "lang/ast.h"
#include "lang/diag.h"

enum { MODULES_MOST = 200 };

typedef struct Uses {
  Arena *a;
  Diags *d;
  const ModuleReader *reader;
  const char *root;      /* folder of the program */
  Ast *program;
  Module **end;          /* where the next module goes */
  Decl **tail;           /* where the next declaration goes */
  uint32_t n;
} Uses;

static const char *folder_of(Arena *a, const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? arena_strndup(a, path, (size_t)(slash - path + (slash == path))) : "";
}

static const char *join(Arena *a, const char *dir, const char *path) {
  if (path[0] == '/' || !dir[0])
    return path;
  return arena_printf(a, "%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", path);
}

/* Without "." and, where a folder stands before it, "..": the same file has one path. */
static const char *plain(Arena *a, const char *path) {
  char *out = arena_alloc(a, strlen(path) + 2);
  size_t n = path[0] == '/';
  size_t root = n;
  if (n)
    out[0] = '/';
  for (const char *p = path + n; *p;) {
    size_t k = strcspn(p, "/");
    size_t last = n;
    while (last > root && out[last - 1] != '/')
      last--;
    bool up = k == 2 && p[0] == '.' && p[1] == '.';
    if (up && n > last && !(n - last == 2 && out[last] == '.' && out[last + 1] == '.')) {
      n = last > root ? last - 1 : root;
    } else if (k && !(k == 1 && p[0] == '.') && !(up && root)) {
      if (n > root)
        out[n++] = '/';
      memcpy(out + n, p, k);
      n += k;
    }
    p += k + (p[k] == '/');
  }
  out[n] = 0;
  return out;
}

static const Module *module_of(const Uses *u, uint16_t file) {
  const Module *m = u->program->modules;
  while (m && m->file != file)
    m = m->next;
  return m;
}

/* The module at `rel` (absolute, or relative to the program), if it was read. */
static const Module *module_at(const Uses *u, const char *path) {
  for (const Module *m = u->program->modules; m; m = m->next)
    if (strcmp(u->d->sources->file[m->file].path, path) == 0)
      return m;
  return strcmp(u->d->sources->file[u->program->file].path, path) == 0 ? u->program->modules : NULL;
}

static Span place_of(const Decl *use) {
  return use->expr ? use->expr->span : use->name_span;
}

/* Declarations of a module that can stand in one, in order. */
static void adopt(Uses *u, Decl *decls) {
  for (Decl *d = decls, *next; d; d = next) {
    next = d->next;
    if (d->kind == D_EVALUATE || d->kind == D_EXPORT) {
      diag_add(u->d, SEV_ERROR, "CML0119", d->span, "write it into the program that uses this file",
               "a file that is used declares; it does not %s", d->kind == D_EVALUATE ? "evaluate" : "export");
      continue;
    }
    d->next = NULL;
    *u->tail = d;
    u->tail = &d->next;
  }
}

/* False: there is no such file, and nothing was reported. */
static bool load(Uses *u, Decl *use, const char *rel) {
  const char *text = NULL;
  uint32_t n = 0;
  Err e = {0};
  rel = plain(u->a, rel);
  const char *path = plain(u->a, join(u->a, u->root, rel));
  bool itself = strcmp(plain(u->a, u->d->sources->file[u->program->file].path), path) == 0;
  if (itself || module_at(u, path))
    return true;
  Status st = u->reader->read(u->reader->ctx, u->a, path, &text, &n, &e);
  if (st == ST_DATA)
    return false;
  if (st != ST_OK) {
    diag_add(u->d, SEV_ERROR, "CML0118", place_of(use), e.remedy[0] ? arena_strdup(u->a, e.remedy) : NULL,
             "%s", e.cause);
    return true;
  }
  if (++u->n > MODULES_MOST) {
    diag_add(u->d, SEV_ERROR, "CML0118", place_of(use), "Join some of them.",
             "a program uses at most %d files", MODULES_MOST);
    return true;
  }
  Module *m = NEW(u->a, Module);
  m->file = source_add(u->d->sources, path, text, n, false);
  m->dir = folder_of(u->a, rel);
  m->use = use;
  *u->end = m;
  u->end = &m->next;
  adopt(u, parse_file(u->a, u->d, m->file)->decls);
  return true;
}

static void use_path(Uses *u, Decl *use) {
  const Module *m = module_of(u, use->span.file);
  const char *written = use->expr->name;
  size_t n = strlen(written);
  if (n < 5 || strcmp(written + n - 4, ".cml") != 0)
    diag_add(u->d, SEV_ERROR, "CML0118", use->expr->span,
             "write `use \"features.cml\"`, with the path from this file", "`use` names a .cml file");
  else if (!load(u, use, join(u->a, m ? m->dir : "", written)))
    diag_add(u->d, SEV_ERROR, "CML0118", use->expr->span, "The path is relative to the file that names it.",
             "there is no file `%s`", join(u->a, u->root, join(u->a, m ? m->dir : "", written)));
}

static void use_name(Uses *u, Decl *use) {
  const char *looked = "";
  for (const char *const *f = u->reader->folder; f && *f; f++) {
    if (load(u, use, arena_printf(u->a, "%s/%s.cml", *f, use->name)))
      return;
    looked = arena_printf(u->a, "%s%s%s", looked, looked[0] ? ", " : "", *f);
  }
  const char *remedy =
      looked[0]
          ? arena_printf(u->a, "It was looked for in %s. A file beside the program is `use \"%s.cml\"`.",
                         looked, use->name)
          : arena_printf(
                u->a,
                "A file beside the program is `use \"%s.cml\"`; folders of libraries stand in CML_PATH.",
                use->name);
  diag_add(u->d, SEV_ERROR, "CML0118", use->name_span, remedy, "there is no library `%s`", use->name);
}

Ast *program_read(Arena *a, Diags *d, uint16_t file, const ModuleReader *modules) {
  Uses u = {.a = a, .d = d, .reader = modules};
  u.program = parse_file(a, d, file);
  u.root = folder_of(a, d->sources->file[file].path);
  u.end = &u.program->modules;
  u.tail = &u.program->decls;
  while (*u.tail)
    u.tail = &(*u.tail)->next;
  for (Decl *use = u.program->decls; use; use = use->next) { /* grows while it is walked */
    if (use->kind == D_USE && use->expr)
      use_path(&u, use);
    else if (use->kind == D_USE && use->name)
      use_name(&u, use);
  }
  return u.program;
}
