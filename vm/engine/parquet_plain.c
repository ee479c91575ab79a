/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a page that lie in the file as they lie in a column: read there, and nowhere else. Read
 * pq_walk_plain.
 *
 * Measurements rarely have two numbers with the same bytes, and Snappy finds nothing to say less of: it
 * stores them in literals of 64 KB. A page of such literals alone, or one that was not compressed, is never
 * read as a whole, nor decompressed: each block goes from literal to literal to those that have its rows.
 * Where anything is otherwise, a null, a copy, a header that does not fit, nothing is said here:
 * parquet_page.c reads the page, and says what is wrong with it. */
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vm/engine/parquet.h"

enum { HEAD = 64, TAG = 8 }; /* bytes looked at: at the beginning of a page, of a literal */

typedef struct Literal { /* n bytes at `at` of the file; what was before them, decompressed, has `from` */
  uint64_t at, from, n;
} Literal;

/* The literal whose tag lies at `at` of the file: the n bytes at p. */
static bool literal_at(const uint8_t *p, size_t n, uint64_t at, uint64_t from, Literal *out) {
  uint32_t more = n && !(p[0] & 3) && p[0] >> 2 >= 60 ? (p[0] >> 2) - 59u : 0;
  uint64_t len = 0;
  if (n <= more || p[0] & 3)
    return false;
  for (uint32_t i = 0; i < more; i++)
    len |= (uint64_t)p[1 + i] << (8 * i);
  *out = (Literal){at + 1 + more, from, more ? len + 1 : (p[0] >> 2) + 1u};
  return true;
}

/* n bytes of the literal, from its byte `skip` on, to `to`; and the tag of the next, where one is wanted. */
static bool read_literal(const PqWalk *w, const Literal *l, uint64_t skip, void *to, size_t n, uint8_t *tag,
                         size_t ntag) {
  struct iovec part[2] = {{to, n}, {tag, ntag}};
  uint64_t at = l->at + skip;
  bool both = ntag && skip + n == l->n;
  if (w->f->fd < 0)
    return pq_read(w->f, to, n, at) && (!both || pq_read(w->f, tag, ntag, at + n));
  ssize_t k = preadv(w->f->fd, part, both ? 2 : 1, (off_t)at);
  size_t got = k > 0 ? (size_t)k : 0;
  if (got < n)
    return pq_read(w->f, (char *)to + got, n - got, at + got) && (!both || pq_read(w->f, tag, ntag, at + n));
  return !both || got == n + ntag || pq_read(w->f, tag, ntag, at + n);
}

/* Levels of all rows of a page, in `n` bytes: does each have a value? */
static bool all_there(const uint8_t *p, size_t n, uint32_t rows) {
  Thrift t = {p, p + n, false};
  while (rows) {
    uint64_t head = thrift_varint(&t), run = head >> 1;
    if (t.bad || head & 1 || !run || t.p == t.end || *t.p++ != 1)
      return false;
    rows = run < rows ? rows - (uint32_t)run : 0;
  }
  return true;
}

/* How many bytes of values are behind the levels at p, of which n are there; false: not known, or nulls. */
static bool skip_levels(const PqWalk *w, const uint8_t *p, size_t n, uint32_t *levels) {
  uint32_t len;
  *levels = 0;
  if (!w->optional || w->page.type == 3)
    return true;
  if (n < 4)
    return false;
  memcpy(&len, p, 4);
  *levels = 4 + len;
  return len <= n - 4 && all_there(p + 4, len, w->page.n);
}

/* The first literal, and where the page's values begin in what is decompressed. */
static bool begin(const PqWalk *w, uint64_t at, uint64_t end, uint64_t plain, Literal *l, uint32_t *levels) {
  uint8_t head[HEAD];
  size_t n = end - at < HEAD ? (size_t)(end - at) : HEAD;
  if (!pq_read(w->f, head, n, at))
    return false;
  if (w->chunk->codec == PQ_STORED || (w->page.type == 3 && !w->page.packed)) {
    *l = (Literal){at, 0, end - at};
    return end - at == plain && skip_levels(w, head, n, levels);
  }
  Thrift t = {head, head + n, false};
  if (thrift_varint(&t) != plain || t.bad)
    return false;
  size_t skip = (size_t)(t.p - head);
  if (!literal_at(t.p, n - skip, at + skip, 0, l))
    return false;
  size_t first = (size_t)(l->at - at), have = n - first < l->n ? n - first : (size_t)l->n;
  return skip_levels(w, head + first, have, levels);
}

/* Bytes [from, from + n) of what is decompressed. */
static bool gather(const PqWalk *w, Literal l, uint64_t end, uint64_t from, size_t n, char *to) {
  uint8_t tag[TAG];
  for (size_t got = 0; got < n;) {
    if (l.n > end - l.at)
      return false;
    uint64_t behind = l.at + l.n, skip = from + got > l.from ? from + got - l.from : 0;
    size_t ntag = end - behind < TAG ? (size_t)(end - behind) : TAG;
    size_t here = skip >= l.n ? 0 : l.n - skip < n - got ? (size_t)(l.n - skip) : n - got;
    bool good =
        here ? read_literal(w, &l, skip, to + got, here, tag, ntag) : pq_read(w->f, tag, ntag, behind);
    got += here;
    if (!good || (got < n && !literal_at(tag, ntag, behind, l.from + l.n, &l)))
      return false;
  }
  return true;
}

/* Rows skip .. skip + n of the page at hand. */
static bool put_values(const PqWalk *w, uint32_t skip, uint32_t n, void *to) {
  const PqPage *g = &w->page;
  uint64_t at = w->body, end = w->body + g->stored, plain = g->plain;
  uint32_t levels;
  Literal l;
  if (g->type == 3) {
    uint8_t head[HEAD];
    if (w->optional && (g->levels > HEAD || !pq_read(w->f, head, g->levels, at) ||
                        !all_there(head, g->levels, g->n)))
      return false;
    at += g->levels;
    plain -= g->levels;
  }
  if (!begin(w, at, end, plain, &l, &levels))
    return false;
  uint64_t from = levels + (uint64_t)skip * 8;
  return from + (uint64_t)n * 8 <= plain && gather(w, l, end, from, (size_t)n * 8, to);
}

Status pq_walk_plain(PqWalk *w, uint64_t row, uint32_t n, void *to, uint32_t *m, Err *e) {
  *m = 0;
  if (atomic_load_explicit(&w->f->other[w->col], memory_order_relaxed))
    return ST_OK;
  if (pq_find(w, row, e) != ST_OK)
    return e->code;
  PqCodec codec = w->chunk->codec;
  uint64_t left = w->end - row;
  uint32_t rows = left < n ? (uint32_t)left : n;
  bool may = w->page.encoding == 0 && (w->type == PQ_F64 || w->type == PQ_I64) &&
             (codec == PQ_STORED || codec == PQ_SNAPPY);
  if (may && put_values(w, (uint32_t)(row - w->row), rows, to))
    *m = rows;
  else /* as its other pages will be: they are not tried */
    atomic_store_explicit(&w->f->other[w->col], true, memory_order_relaxed);
  return ST_OK;
}
