/* SPDX-License-Identifier: Apache-2.0 */
/* Before anything runs: can every file that will be written be written, and does none of them take the
 * place of something that is read? */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app.h"
#include "base/file.h"
#include "vm/engine.h"

static bool same_file(const char *a, const char *b) {
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

Status output_check(const char *path, const char *const *input, uint32_t n, Err *e) {
  char dir[4096];
  struct stat st;
  const char *slash = strrchr(path, '/');
  size_t len = slash ? (size_t)(slash - path) + 1 : 0;
  if (len >= sizeof dir)
    return err_set(e, ST_RESOURCE, "CML0503", "Choose a shorter one.", "the path `%.200s...` is too long",
                   path);
  memcpy(dir, path, len);
  memcpy(dir + len, len ? "" : ".", len ? 1 : 2);
  if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
    return err_set(e, ST_RESOURCE, "CML0503", "Name a file.", "cannot write `%s`: it is a folder", path);
  if (access(dir, W_OK) != 0)
    return err_set(e, ST_RESOURCE, "CML0503", "Make the folder, or choose another one.",
                   "cannot write `%s`: folder `%s`: %s", path, dir, strerror(errno));
  for (uint32_t i = 0; i < n; i++)
    if (same_file(path, input[i]))
      return err_set(e, ST_PROGRAM, "CML0525", "Write to another file.",
                     "writing `%s` would replace what is read", path);
  return ST_OK;
}

/* The files that a source stage reads. Those that are missing are the run's to report. */
static const char **files_of(Arena *a, const Stage *s, const char *dir, uint32_t *n) {
  const EngineSource *src = engine_source(a, s, dir);
  const char **file = NULL;
  Err ignored = {0};
  *n = 0;
  return src && engine_files(a, src, &file, n, &ignored) == ST_OK ? file : NULL;
}

/* A model may start from a bundle (option `from`), which is read too. */
static void check_start(const Stage *s, const char *dir, const char *path, Err *e) {
  for (uint32_t i = 0; i < s->noptions; i++) {
    char *from = !strcmp(s->options[i].name, "from") && s->options[i].str && s->options[i].str[0]
                     ? file_join(dir, s->options[i].str)
                     : NULL;
    const char *file = from;
    if (from)
      output_check(path, &file, 1, e);
    mem_free(from);
  }
}

static bool ends_in(const char *s, const char *with) {
  size_t n = strlen(s), k = strlen(with);
  return n >= k && !strcmp(s + n - k, with);
}

/* Rows go to a .csv or .parquet file; on Spark also to a table, and to any file system it knows. */
static Status destination_check(const Stage *s, bool spark, Err *e) {
  bool remote = file_is_remote(s->path), table = !strncmp(s->path, "table://", 8);
  if (remote && (!spark || s->kind == STAGE_BUNDLE))
    return spark ? err_set(e, ST_PROGRAM, "CML0535", "Write it to a file of this machine.",
                           "a bundle is written by cmlc itself, not to `%s`", s->path)
                 : err_set(e, ST_PROGRAM, "CML0534", "Run it with: cmlc run --executor spark --master URL.",
                           "`%s` is written by Spark alone", s->path);
  if (s->kind == STAGE_BUNDLE || table || ends_in(s->path, ".parquet"))
    return ST_OK;
  if (!ends_in(s->path, ".csv"))
    return err_set(e, ST_USAGE, "CML0408", "Let its name end in .parquet or .csv.",
                   "`%s` says no format to write", s->path);
  return remote ? err_set(e, ST_PROGRAM, "CML0535", "Let its name end in .parquet.",
                          "a .csv file is written by cmlc itself, not to `%s`", s->path)
                : ST_OK;
}

/* Spark writes a folder of Parquet files, in the place of one that it wrote, and sees to it itself. */
static bool of_spark(const Stage *s) {
  return file_is_remote(s->path) || (ir_writes_rows(s) && ends_in(s->path, ".parquet"));
}

Status outputs_check(const Program *p, const char *dir, const char *program, bool spark, Err *e) {
  Arena a;
  arena_init(&a, NULL);
  for (uint32_t i = 0; i < p->nstage && e->code == ST_OK; i++) {
    const Stage *s = &p->stage[i];
    char *path = ir_writes_rows(s) || s->kind == STAGE_BUNDLE ? file_join(dir, s->path) : NULL;
    if (!path)
      continue;
    bool here = destination_check(s, spark, e) == ST_OK && !(spark && of_spark(s));
    if (here)
      output_check(path, &program, 1, e);
    for (uint32_t k = 0, n; here && k < p->nstage && e->code == ST_OK; k++)
      if (p->stage[k].kind == STAGE_SOURCE) {
        const char **file = files_of(&a, &p->stage[k], dir, &n);
        output_check(path, file, n, e);
      } else if (p->stage[k].kind == STAGE_TRAIN) {
        check_start(&p->stage[k], dir, path, e);
      }
    if (e->code != ST_OK && s->line)
      err_at(e, "%s:%u:%u", program, s->line, s->col);
    mem_free(path);
  }
  arena_free(&a);
  return e->code;
}
