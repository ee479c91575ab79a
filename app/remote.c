/* SPDX-License-Identifier: Apache-2.0 */
/* Sources that only Spark reads: see remote.h. Read remote_columns.
 *
 * Parquet and text files of other file systems are looked at by the very code that looks at them here: of a
 * Parquet file its footer is fetched (vm/exec/mirror.c), of a text file its beginning. So types, nulls and
 * guesses are those of one machine. Of what has no such reader Spark is asked. */
#include "app/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "vm/engine.h"

enum { SAMPLE = 8 << 20, PACKED_MOST = 256 << 20 };

bool remote_is(const Remote *r, const CatSource *src) {
  return engine_only_spark(src->format, src->path) || (r->options && !strcmp(src->format, "sql"));
}

static Status start(Remote *r, Err *e) {
  return r->executor ? ST_OK : exec_spark(r->options, r->cancel, &r->executor, e);
}

Status remote_take(Remote *r, Executor **out, Err *e) {
  if (start(r, e) != ST_OK)
    return e->code;
  *out = r->executor;
  r->executor = NULL;
  return ST_OK;
}

void remote_close(Remote *r) {
  if (r->executor)
    r->executor->close(r->executor);
  r->executor = NULL;
}

/* ---- Mirrors ---- */

static bool is_packed(const char *name) {
  size_t n = strlen(name);
  return (n > 3 && !strcmp(name + n - 3, ".gz")) || (n > 4 && !strcmp(name + n - 4, ".zst"));
}

/* Its beginning, whole lines of it; all of it, where it is compressed. */
static Status mirror_text(Remote *r, const SparkFile *f, int fd, Err *e) {
  Buf b = {0};
  uint64_t most = is_packed(f->name) ? PACKED_MOST : SAMPLE, n = f->bytes < most ? f->bytes : most;
  if (is_packed(f->name) && f->bytes > most)
    err_set(e, ST_DATA, "CML0533", "Divide it into smaller ones.",
            "the compressed file is too large to look into: %s", f->name);
  else if (spark_range(r->executor, f->name, 0, n, &b, e) == ST_OK && n < f->bytes)
    while (b.n && b.p[b.n - 1] != '\n' && b.p[b.n - 1] != '\r')
      b.n--;
  for (size_t k = 0; k < b.n && e->code == ST_OK;) {
    ssize_t some = write(fd, b.p + k, b.n - k);
    if (some <= 0 && errno != EINTR)
      err_set(e, ST_RESOURCE, "CML0503", "Free space in the folder TMPDIR.",
              "a temporary file cannot be written: %s", strerror(errno));
    k += some > 0 ? (size_t)some : 0;
  }
  buf_free(&b);
  return e->code;
}

static Status mirror(Remote *r, Arena *a, const SparkFile *f, const char *dir, Err *e) {
  const char *name = strrchr(f->name, '/');
  const char *path = arena_printf(a, "%s/%s", dir, name ? name + 1 : f->name);
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return err_set(e, ST_RESOURCE, "CML0503", "Set TMPDIR to a folder that can be written.",
                   "cannot make `%s`: %s", path, strerror(errno));
  mirror_text(r, f, fd, e);
  close(fd);
  return e->code;
}

/* By the code that looks at files of this machine. */
static Status of_mirrors(Remote *r, Arena *a, const CatSource *src, const SparkFile *file, uint32_t nfile,
                         EngineColumn **out, uint32_t *n, Err *e) {
  const char *dir = folder_temporary(a, e);
  bool parquet = !strcmp(src->format, "parquet");
  uint32_t most = parquet ? SPARK_MIRRORS : 1; /* of a text the first file says it */
  if (dir && parquet)
    spark_mirrors(r->executor, file, nfile < most ? nfile : most, dir, e);
  else if (dir && nfile)
    mirror(r, a, &file[0], dir, e);
  EngineSource s = {.format = src->format,
                    .path = dir ? arena_printf(a, "%s/*", dir) : "",
                    .option = src->option,
                    .noption = src->noption,
                    .column = src->column,
                    .ncolumn = src->ncolumn};
  if (e->code == ST_OK && engine_columns(a, &s, out, n, e) != ST_OK && nfile)
    snprintf(e->where, sizeof e->where, "%s", file[0].name); /* not that of the mirror */
  for (uint32_t i = 0; e->code == ST_OK && parquet && nfile > most && i < *n; i++)
    (*out)[i].nullable = true; /* nobody looked at the others */
  if (dir)
    folder_remove(dir);
  return e->code;
}

Status remote_columns(Remote *r, Arena *a, const CatSource *src, CatColumn **out, uint32_t *n, Err *e) {
  EngineColumn *c = NULL;
  SparkFile *file = NULL;
  uint32_t nfile = 0;
  bool files = engine_how(src->format) != HOW_SORTED;
  if (!r->options)
    return engine_elsewhere(src->path, e);
  if (start(r, e) != ST_OK)
    return e->code;
  if (files && spark_files(r->executor, a, spark_name(a, src->dir, src->path), &file, &nfile, e) != ST_OK)
    return e->code;
  if (files && strcmp(src->format, "orc")) {
    of_mirrors(r, a, src, file, nfile, &c, n, e);
  } else {
    IrInput in = {.format = src->format, .path = src->path, .option = src->option, .noption = src->noption};
    const char **uri = NEWN(a, const char *, nfile + 1);
    for (uint32_t i = 0; i < nfile; i++)
      uri[i] = file[i].name;
    spark_schema(r->executor, a, &in, uri, nfile, &c, n, e);
  }
  if (e->code == ST_OK && !(*out = catalog_columns(a, c, *n)))
    err_memory(e);
  return e->code;
}
