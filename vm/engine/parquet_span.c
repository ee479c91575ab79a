/* SPDX-License-Identifier: Apache-2.0 */
/* A Parquet file that lies elsewhere: of a row group the bytes of the wanted columns are fetched, and pages
 * are read there. Read pq_fetch.
 *
 * One request for a large range costs a store of objects no more than one for a small one. So columns that
 * lie near each other are fetched together, with what is between them, and a row group as a whole: what
 * Spark's reader holds of it, too. Rooms are used again by the next row group. */
#include <stdlib.h>
#include <string.h>

#include "vm/engine.h"
#include "vm/engine/parquet.h"

enum { GAP = 256 << 10 }; /* bytes between two columns that are fetched all the same */

bool pq_read_span(const PqFile *f, void *p, size_t n, uint64_t at) {
  for (uint32_t i = 0; i < f->nspan; i++) {
    const PqSpan *s = &f->span[i];
    if (at < s->from || at > s->end || n > s->end - at)
      continue;
    memcpy(p, s->bytes + (at - s->from), n);
    return true;
  }
  return false;
}

static int by_place(const void *a, const void *b) {
  const PqChunk *x = a, *y = b;
  return x->from < y->from ? -1 : x->from > y->from;
}

/* An empty span of n bytes: one that was given up, if there is one. */
static PqSpan *span_for(PqFile *f, uint64_t n, Err *e) {
  PqSpan *s = NULL;
  for (uint32_t i = 0; i < f->nspan; i++)
    if (f->span[i].from == f->span[i].end && (!s || f->span[i].room > s->room))
      s = &f->span[i];
  if (!s) {
    PqSpan *v = mem_realloc(f->span, (f->nspan + 1) * sizeof *v);
    if (!v) {
      err_memory(e);
      return NULL;
    }
    f->span = v;
    s = &v[f->nspan++];
    *s = (PqSpan){0};
  }
  if (s->room < n) {
    mem_free(s->bytes);
    s->bytes = mem_alloc64(n + n / 8);
    s->room = s->bytes ? n + n / 8 : 0;
    if (!s->bytes) {
      err_memory(e);
      return NULL;
    }
  }
  return s;
}

static Status fetch(PqFile *f, const FileBytes *in, uint32_t group, PqChunk range, Err *e) {
  PqSpan *s = span_for(f, range.end - range.from, e);
  if (!s || in->read(in->ctx, range.from, range.end - range.from, s->bytes, e) != ST_OK)
    return e->code;
  s->from = range.from;
  s->end = range.end;
  s->group = group;
  return ST_OK;
}

static bool is_there(const PqFile *f, uint32_t group) {
  for (uint32_t i = 0; i < f->nspan; i++)
    if (f->span[i].from < f->span[i].end && f->span[i].group == group)
      return true;
  return false;
}

static Status fetch_group(PqFile *f, const FileBytes *in, uint32_t g, Err *e) {
  PqChunk *v = mem_alloc((f->ncol + 1) * sizeof *v);
  if (!v)
    return err_memory(e);
  memcpy(v, f->chunk + (size_t)g * f->ncol, f->ncol * sizeof *v);
  qsort(v, f->ncol, sizeof *v, by_place);
  for (uint32_t i = 0, k; i < f->ncol && e->code == ST_OK; i = k) {
    PqChunk range = v[i];
    for (k = i + 1; k < f->ncol && v[k].from <= range.end + GAP; k++)
      range.end = v[k].end > range.end ? v[k].end : range.end;
    if (range.from < range.end)
      fetch(f, in, g, range, e);
  }
  mem_free(v);
  return e->code;
}

Status pq_fetch(PqFile *f, const FileBytes *in, uint32_t from, uint32_t to, Err *e) {
  for (uint32_t i = 0; i < f->nspan; i++)
    if (f->span[i].group < from)
      f->span[i].end = f->span[i].from;
  for (uint32_t g = from; g < to && e->code == ST_OK; g++)
    if (!is_there(f, g))
      fetch_group(f, in, g, e);
  return e->code;
}
