/* SPDX-License-Identifier: Apache-2.0 */
/* Columns, dictionaries, blocks: names of kinds, reference counts, the list of data errors. See column.h.
 *
 * Ownership: a Dict and its two arrays, every array of a Block and the Block itself are pieces of their
 * own from mem_*; the last block_drop or dict_drop frees them. */
#include "vm/column.h"

#include <string.h>

#include "base/arena.h"
#include "vm/interp.h"
#include "vm/notes.h"

static const char *const kind_names[KIND_N] = {"bool",     "int",       "float", "string",
                                               "category", "timestamp", "date",  "duration"};

IrType kind_ir(Kind k) {
  switch (k) {
  case KIND_BOOL:
    return IR_BOOL;
  case KIND_FLOAT:
    return IR_F64;
  case KIND_STRING:
  case KIND_CATEGORY:
    return IR_STR;
  default:
    return IR_I64;
  }
}

const char *kind_name(Kind k) {
  return (unsigned)k < KIND_N ? kind_names[k] : "?";
}

int kind_of(const char *name) {
  for (int k = 0; k < KIND_N; k++) {
    if (!strcmp(kind_names[k], name))
      return k;
  }
  return -1;
}

/* ---- Reference counts ---- */

void dict_hold(Dict *d) {
  if (d && atomic_load_explicit(&d->refs, memory_order_relaxed) > 0)
    atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
}

void dict_drop(Dict *d) {
  if (!d || atomic_load_explicit(&d->refs, memory_order_relaxed) <= 0)
    return;
  if (atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1)
    return;
  mem_free(d->off);
  mem_free(d->bytes);
  mem_free(d);
}

void block_hold(Block *b) {
  if (b)
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
}

void block_drop(Block *b) {
  if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
    return;
  for (uint32_t i = 0; b->col && i < b->ncol; i++) {
    mem_free(b->col[i].i); /* whichever array it is */
    mem_free(b->col[i].null);
    dict_drop(b->col[i].dict);
  }
  mem_free(b->col);
  mem_free(b->at);
  mem_free(b->part);
  mem_free(b->fold);
  mem_free(b->weight);
  matrix_free(b->x);
  mem_free(b->y);
  note_free(atomic_load_explicit(&b->note, memory_order_relaxed));
  mem_free(b);
}

uint32_t block_row_at(const Block *b, uint32_t off) {
  if (!b->at)
    return off < b->n ? off : b->n;
  uint32_t lo = 0, hi = b->n;
  while (lo < hi) {
    uint32_t mid = lo + (hi - lo) / 2;
    if (b->at[mid] < off)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

/* ---- Data errors ---- */

static int error_cmp(const RowError *a, const RowError *b) {
  if (a->file != b->file)
    return a->file < b->file ? -1 : 1;
  if (a->pos != b->pos)
    return a->pos < b->pos ? -1 : 1;
  return 0;
}

/* Puts one into the sorted list, where there is room for it. Two errors of one row are one: the earlier
 * step stays, and false says that it was there before. */
static bool insert(RowErrors *e, const RowError *one) {
  uint32_t k = 0;
  while (k < e->n && error_cmp(&e->v[k], one) < 0)
    k++;
  if (k < e->n && !error_cmp(&e->v[k], one)) {
    if (one->step < e->v[k].step)
      e->v[k] = *one;
    return false;
  }
  if (k == ROW_ERRORS)
    return true;
  if (e->n < ROW_ERRORS)
    e->n++;
  memmove(&e->v[k + 1], &e->v[k], (e->n - k - 1) * sizeof e->v[0]);
  e->v[k] = *one;
  return true;
}

static bool in_seen_block(const RowErrors *e, uint32_t file, uint64_t pos) {
  return e->seen_file == file && e->seen_block == pos / BLOCK;
}

bool row_errors_has(const RowErrors *e, uint32_t file, uint64_t pos) {
  return in_seen_block(e, file, pos) && (e->seen[pos % BLOCK / 64] >> (pos % BLOCK % 64) & 1);
}

void row_errors_add(RowErrors *e, const RowError *one) {
  bool fresh = insert(e, one) && !row_errors_has(e, one->file, one->pos);
  if (!in_seen_block(e, one->file, one->pos)) {
    memset(e->seen, 0, sizeof e->seen);
    e->seen_file = one->file;
    e->seen_block = one->pos / BLOCK;
  }
  e->seen[one->pos % BLOCK / 64] |= UINT64_C(1) << (one->pos % BLOCK % 64);
  e->count += fresh;
}

void row_errors_merge(RowErrors *into, const RowErrors *from) {
  bool same = into->seen_file == from->seen_file && into->seen_block == from->seen_block;
  uint64_t twice = 0;
  for (uint32_t i = 0; i < from->n; i++) {
    bool fresh = insert(into, &from->v[i]);
    bool by_bits = same && in_seen_block(from, from->v[i].file, from->v[i].pos);
    twice += !fresh && !by_bits;
  }
  for (size_t w = 0; same && w < sizeof into->seen / sizeof *into->seen; w++) {
    twice += (uint64_t)__builtin_popcountll(into->seen[w] & from->seen[w]);
    into->seen[w] |= from->seen[w];
  }
  if (!same && from->count) {
    memcpy(into->seen, from->seen, sizeof into->seen);
    into->seen_file = from->seen_file;
    into->seen_block = from->seen_block;
  }
  into->count += from->count - twice;
}

/* ---- Vectors ---- */

void col_row(const Col *c, uint32_t r, double *out) {
  size_t row = c->constant ? 0 : r;
  if (c->is_sparse) {
    memset(out, 0, c->width * sizeof *out);
    for (uint32_t i = c->ptr[r]; i < c->ptr[r + 1]; i++)
      out[c->el[i]] = c->f[i];
    return;
  }
  if (!c->is_hot) {
    memcpy(out, c->f + row * c->width, c->width * sizeof *out);
    return;
  }
  memset(out, 0, c->width * sizeof *out);
  if (c->hot[row] >= 0)
    out[c->hot[row]] = 1;
}
