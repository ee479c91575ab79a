/* SPDX-License-Identifier: Apache-2.0 */
/* Where to cut the blocks of Parquet files: see cut.h. Read cut_parts.
 *
 * Blocks are numbered through all files. A partition reads each row group in which its blocks have a row, so
 * a cut lies where a block and a row group begin together, if there is such a place near to where partitions
 * would have the same number of blocks to read; else neighbours read the same group. */
#include "vm/exec/cut.h"

#include <string.h>

typedef struct Cut {
  const FileLayout *file;
  uint32_t nfile;
  uint64_t *first;  /* block of each file; then their number */
  uint64_t *before; /* blocks that are read before a block; all of them at the end */
  uint8_t *good;    /* a row group begins with it, or a file */
  uint64_t n, groups;
} Cut;

static Status prepare(Cut *c, Arena *a, Err *e) {
  c->first = NEWN(a, uint64_t, c->nfile + 1);
  if (!c->first)
    return err_memory(e);
  for (uint32_t f = 0; f < c->nfile; f++)
    c->first[f + 1] = c->first[f] + (c->file[f].rows + BLOCK - 1) / BLOCK;
  c->n = c->first[c->nfile];
  c->before = NEWN(a, uint64_t, c->n + 1);
  c->good = NEWN(a, uint8_t, c->n + 1);
  if (!c->before || !c->good)
    return err_memory(e);
  for (uint32_t f = 0; f < c->nfile; f++) {
    const FileLayout *l = &c->file[f];
    for (uint64_t b = c->first[f]; b < c->first[f + 1]; b++)
      c->before[b + 1] = c->before[b] + (!l->read || l->read[b - c->first[f]]);
    for (uint32_t g = 0; g < l->ngroup; g++) {
      if (l->row[g] < l->row[g + 1] && l->row[g] % BLOCK == 0)
        c->good[c->first[f] + l->row[g] / BLOCK] = 1;
      c->groups += l->row[g] < l->row[g + 1];
    }
  }
  return ST_OK;
}

/* The block before which a share p of `parts` of what is read lies. */
static uint64_t ideal(const Cut *c, uint64_t p, uint64_t parts) {
  uint64_t want = (uint64_t)((unsigned __int128)c->before[c->n] * p / parts), low = 0, high = c->n;
  while (low < high) {
    uint64_t mid = (low + high) / 2;
    if (c->before[mid] < want)
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

/* The good block that is nearest to `at`, at most `room` away; else that itself. */
static uint64_t nearest(const Cut *c, uint64_t at, uint64_t room, uint64_t behind) {
  for (uint64_t d = 0; d <= room; d++) {
    if (at >= d && at - d > behind && c->good[at - d])
      return at - d;
    if (at + d < c->n && c->good[at + d])
      return at + d;
  }
  return at;
}

/* The row groups of a file that have rows of its blocks [first, first + n): their number. */
static uint32_t groups_of(const FileLayout *l, CutRun *r) {
  uint64_t begin = r->first * BLOCK, end = (r->first + r->n) * BLOCK;
  uint32_t count = 0;
  for (uint32_t g = 0; g < l->ngroup; g++) {
    if (l->row[g] == l->row[g + 1] || l->row[g + 1] <= begin || l->row[g] >= end)
      continue;
    r->from = !count || l->from[g] < r->from ? l->from[g] : r->from;
    r->to = l->to[g] > r->to ? l->to[g] : r->to;
    count++;
  }
  return count;
}

/* The blocks [from, to). */
static Status part_of(const Cut *c, Arena *a, uint64_t from, uint64_t to, CutPart *out, uint64_t *groups,
                      Err *e) {
  uint32_t f = 0, last;
  while (c->first[f + 1] <= from)
    f++;
  for (last = f; c->first[last + 1] < to;)
    last++;
  CutRun *v = NEWN(a, CutRun, last - f + 1);
  if (!v)
    return err_memory(e);
  out->run = v;
  for (; f <= last; f++) {
    uint64_t b = from > c->first[f] ? from : c->first[f], end = to < c->first[f + 1] ? to : c->first[f + 1];
    if (b == end)
      continue;
    v[out->n] = (CutRun){.file = f, .first = b - c->first[f], .n = end - b};
    *groups += groups_of(&c->file[f], &v[out->n++]);
  }
  return ST_OK;
}

Status cut_parts(Arena *a, const FileLayout *file, uint32_t nfile, uint32_t parts, CutPart **out, uint32_t *n,
                 Err *e) {
  Cut c = {.file = file, .nfile = nfile};
  *n = 0;
  if (prepare(&c, a, e) != ST_OK)
    return e->code;
  uint64_t work = c.before[c.n] ? c.before[c.n] : 1, before = 0, groups = 0;
  parts = parts < work ? parts : (uint32_t)work;
  CutPart *v = *out = NEWN(a, CutPart, parts + 1);
  if (!v)
    return err_memory(e);
  for (uint32_t p = 1; p <= parts && c.n && e->code == ST_OK; p++) {
    uint64_t cut = p == parts ? c.n : nearest(&c, ideal(&c, p, parts), work / parts / 2 + 1, before);
    if (cut <= before)
      continue;
    part_of(&c, a, before, cut, &v[(*n)++], &groups, e);
    before = cut;
  }
  if (groups > c.groups + c.groups / 2 && groups > c.groups + 1)
    *n = 0;
  return e->code;
}
