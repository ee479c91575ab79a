/* SPDX-License-Identifier: Apache-2.0 */
/* The path of a source -> its files. Read glob_files first, then walk.
 *
 * `*`, `?` and `[..]` match inside one name, `**` any number of folders; names that begin with a dot match
 * only a pattern that does. The expansion is ours, not the engine's, because positions depend on the order
 * of the files: bytewise by path. */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/num.h"
#include "vm/engine/parts.h"

enum { FILES_MAX = 1000000, DEPTH_MAX = 64 };

typedef struct Found {
  char **v;
  uint32_t n, cap;
  bool bad, many; /* no memory; too many */
} Found;

static void found_free(Found *f) {
  for (uint32_t i = 0; i < f->n; i++)
    mem_free(f->v[i]);
  mem_free(f->v);
}

static void found_add(Found *f, const char *path) {
  if (f->n == FILES_MAX)
    f->many = true;
  if (f->many || f->bad)
    return;
  if (f->n == f->cap) {
    uint32_t cap = f->cap ? f->cap * 2 : 16;
    char **v = mem_realloc(f->v, cap * sizeof *v);
    if (!v) {
      f->bad = true;
      return;
    }
    f->v = v;
    f->cap = cap;
  }
  char *copy = mem_strdup(path);
  if (copy)
    f->v[f->n++] = copy;
  else
    f->bad = true;
}

static char *join(const char *dir, const char *name, size_t n) {
  size_t d = strlen(dir);
  char *p = mem_alloc(d + n + 2);
  if (!p)
    return NULL;
  memcpy(p, dir, d);
  if (d && dir[d - 1] != '/')
    p[d++] = '/';
  memcpy(p + d, name, n);
  return p;
}

static bool has_magic(const char *s, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (s[i] == '*' || s[i] == '?' || s[i] == '[')
      return true;
  }
  return false;
}

static bool is_folder(const char *path, bool links) {
  struct stat st;
  return (links ? stat(path, &st) : lstat(path, &st)) == 0 && S_ISDIR(st.st_mode);
}

static void walk(Found *f, const char *at, const char *pattern, int depth);

/* `name` of folder `at` matched the pattern's first part; `rest` is what follows it. */
static void step(Found *f, const char *at, const char *name, size_t n, const char *rest, int depth) {
  char *path = join(at, name, n);
  struct stat st;
  if (!path)
    f->bad = true;
  else if (*rest)
    walk(f, path, rest, depth + 1);
  else if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
    found_add(f, path);
  mem_free(path);
}

/* Adds the files below `at` that match. Parts without magic are only joined, so that an unreadable folder
 * above does not matter. */
static void walk(Found *f, const char *at, const char *pattern, int depth) {
  if (depth > DEPTH_MAX || f->bad || f->many)
    return;
  while (*pattern == '/')
    pattern++;
  size_t n = strcspn(pattern, "/");
  const char *rest = pattern + n;
  while (*rest == '/')
    rest++;
  if (!has_magic(pattern, n)) {
    step(f, at, pattern, n, rest, depth);
    return;
  }
  bool deep = n == 2 && pattern[0] == '*' && pattern[1] == '*';
  if (deep)
    walk(f, at, *rest ? rest : "*", depth + 1); /* no folder at all */
  char *part = deep ? NULL : join("", pattern, n);
  DIR *d = opendir(*at ? at : ".");
  if (!deep && !part)
    f->bad = true;
  for (struct dirent *x; d && (part || deep) && (x = readdir(d));) {
    if (!deep) {
      if (fnmatch(part, x->d_name, FNM_PERIOD | FNM_PATHNAME) == 0)
        step(f, at, x->d_name, strlen(x->d_name), rest, depth);
      continue;
    }
    if (x->d_name[0] == '.')
      continue;
    char *path = join(at, x->d_name, strlen(x->d_name));
    if (!path)
      f->bad = true;
    else if (is_folder(path, false)) /* links are not followed: they may lead back up */
      walk(f, path, pattern, depth + 1);
    mem_free(path);
  }
  if (d)
    closedir(d);
  mem_free(part);
}

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- Errors ---- */

/* The part of a file's name before its ending: what tells files of a folder apart. */
static const char *stem(const char *name, char out[256]) {
  snprintf(out, 256, "%.*s", (int)strcspn(name, "."), name);
  return out;
}

/* How far a near name may be from one of n bytes: a third of it, as in diag_nearest, and never all of it. */
static int near_limit(size_t n) {
  int third = (int)(n + 2) / 3;
  return third < (int)n ? third : (int)n - 1;
}

/* The nearest name to `name` in folder `dir`, into out; false: none is near, with the ending and without. */
static bool nearest(const char *dir, const char *name, char *out, size_t size) {
  char own[256], other[256];
  int best = near_limit(strlen(name)) + 1, limit = near_limit(strlen(stem(name, own)));
  bool any = false;
  DIR *d = opendir(*dir ? dir : ".");
  for (struct dirent *x; d && (x = readdir(d));) {
    size_t n = strlen(x->d_name);
    if (x->d_name[0] == '.' || (n > 4 && strcmp(x->d_name + n - 4, ".cml") == 0)) /* programs are no data */
      continue;
    int k = num_edit_distance(name, x->d_name, best);
    if (num_edit_distance(own, stem(x->d_name, other), limit) > limit)
      continue;
    if (k < best || (k == best && any && strcmp(x->d_name, out) < 0)) {
      best = k;
      any = true;
      snprintf(out, size, "%s", x->d_name);
    }
  }
  if (d)
    closedir(d);
  return any;
}

/* Says what is wrong with a path that names nothing: the first folder that is missing, or the file, and
 * what comes near. */
static Status missing(const char *full, bool glob, const char *shown, Err *e) {
  char folder[1024], name[256] = "", near[256] = "", remedy[400];
  const char *slash = strrchr(full, '/');
  snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - full) : 0, full);
  if (slash == full)
    strcpy(folder, "/");
  snprintf(name, sizeof name, "%s", slash ? slash + 1 : full);
  bool magic_above = has_magic(folder, strlen(folder));
  if (*folder && !magic_above && !is_folder(folder, true))
    return err_set(e, ST_DATA, glob ? "CML0401" : "CML0402",
                   "Paths of a program start from the program's own folder; correct it there.",
                   "there is no folder `%s` for `%s`", folder, shown);
  snprintf(remedy, sizeof remedy,
           "Paths of a program start from the program's own folder; correct it there.");
  if (!magic_above && nearest(folder, name, near, sizeof near))
    snprintf(remedy, sizeof remedy, "The folder has `%s`.", near);
  if (glob)
    return err_set(e, ST_DATA, "CML0401", remedy, "no file matches `%s`", shown);
  return err_set(e, ST_DATA, "CML0402", remedy, "there is no file `%s`", shown);
}

Status glob_files(Arena *a, const char *dir, const char *path, const char ***out, uint32_t *n, Err *e) {
  *out = NULL;
  *n = 0;
  if (!*path)
    return err_set(e, ST_DATA, "CML0402", "Name a file.", "the path of a source is empty");
  if (file_is_remote(path))
    return engine_elsewhere(path, e);
  bool below = dir && *dir && strcmp(dir, ".") != 0 && *path != '/';
  char *full = below ? join(dir, path, strlen(path)) : mem_strdup(path);
  if (!full)
    return err_memory(e);
  Found f = {0};
  struct stat st;
  bool there = stat(full, &st) == 0;
  if (there && S_ISDIR(st.st_mode)) {
    err_set(e, ST_DATA, "CML0402", "Name its files, for example with /*.parquet behind it.",
            "`%s` is a folder", path);
  } else if (there) { /* as it stands, magic characters included */
    found_add(&f, full);
  } else if (has_magic(path, strlen(path))) {
    const char *rest = path; /* the folder of the program is not a pattern */
    char *root = below ? mem_strdup(dir) : mem_strdup(*path == '/' ? "/" : "");
    if (root)
      walk(&f, root, rest, 0);
    else
      f.bad = true;
    mem_free(root);
  }
  if (e->code == ST_OK && f.bad)
    err_memory(e);
  else if (e->code == ST_OK && f.many)
    err_set(e, ST_DATA, "CML0401", "Divide the source.", "`%s` matches more than %d files", path, FILES_MAX);
  else if (e->code == ST_OK && f.n == 0)
    missing(full, has_magic(path, strlen(path)), path, e);
  if (e->code == ST_OK) {
    qsort(f.v, f.n, sizeof *f.v, by_bytes); /* all begin with the same root */
    uint32_t k = 0;
    const char **v = NEWN(a, const char *, f.n);
    bool ok = v != NULL;
    for (uint32_t i = 0; ok && i < f.n; i++) {
      if (i && strcmp(f.v[i], f.v[i - 1]) == 0) /* two ways of ** to one file */
        continue;
      v[k] = arena_strdup(a, f.v[i]);
      ok = v[k++] != NULL;
    }
    if (!ok)
      err_memory(e);
    *out = v;
    *n = k;
  }
  found_free(&f);
  mem_free(full);
  return e->code;
}
