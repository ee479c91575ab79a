/* SPDX-License-Identifier: Apache-2.0 */
/* How large a source is, before it is read: rows from the footers of Parquet; of texts bytes, and rows by
 * the mean length of the first lines. What is compressed, or a query, tells nothing. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "vm/engine.h"

enum { SAMPLE = 256 << 10 };

static bool ends_with(const char *s, const char *end) {
  size_t n = strlen(s), k = strlen(end);
  return n >= k && !strcmp(s + n - k, end);
}

static bool compressed(const char *path) {
  static const char *const ending[] = {".gz", ".zst", ".zstd", ".bz2", ".xz"};
  for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
    if (ends_with(path, ending[i]))
      return true;
  return false;
}

/* Mean bytes of a line, from the beginning of a file; 0: it has none. */
static double line_bytes(const char *path) {
  char *p = mem_alloc(SAMPLE);
  FILE *f = p ? fopen(path, "rb") : NULL;
  size_t n = f ? fread(p, 1, SAMPLE, f) : 0, lines = 0, end = 0;
  for (size_t i = 0; i < n; i++)
    if (p[i] == '\n') {
      lines++;
      end = i + 1;
    }
  if (f)
    fclose(f);
  mem_free(p);
  return lines ? (double)end / (double)lines : (double)n;
}

/* Of one input. */
static Status size_of(const EngineSource *s, const IrColumn *col, uint32_t ncol, EngineSize *out, Err *e) {
  Arena a;
  const char **file = NULL;
  uint32_t n = 0;
  *out = (EngineSize){.known = true};
  arena_init(&a, NULL);
  Status st = engine_files(&a, s, &file, &n, e);
  for (uint32_t i = 0; i < n && st == ST_OK; i++) {
    struct stat is;
    if (stat(file[i], &is) == 0)
      out->bytes += (uint64_t)is.st_size;
    out->known = out->known && !compressed(file[i]);
  }
  if (st == ST_OK && !strcmp(s->format, "parquet")) {
    Reader *r = NULL;
    st = reader_open(s, col, ncol, UINT64_C(64) << 20, &r, e);
    if (st == ST_OK)
      out->rows = reader_total(r);
    out->exact = out->known = st == ST_OK;
    reader_close(r);
  } else if (st == ST_OK) {
    double line = n ? line_bytes(file[0]) : 0;
    out->known = out->known && line > 0;
    out->rows = out->known ? (uint64_t)((double)out->bytes / line) : 0;
  }
  arena_free(&a);
  return st;
}

Status engine_size(const EngineSource *s, const IrColumn *col, uint32_t ncol, EngineSize *out, Err *e) {
  Status st = ST_OK;
  *out = (EngineSize){.known = true, .exact = true};
  for (; s && st == ST_OK; s = s->next) {
    EngineSource one = *s;
    EngineSize is;
    one.next = NULL;
    st = size_of(&one, col, ncol, &is, e);
    out->rows += is.rows;
    out->bytes += is.bytes;
    out->known = out->known && is.known;
    out->exact = out->exact && is.exact;
  }
  return st;
}
