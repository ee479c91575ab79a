/* SPDX-License-Identifier: Apache-2.0 */
/* A column under construction, and the dictionary of its strings. Read build_strings first: it is where
 * the time goes.
 *
 * DuckDB keeps strings of up to 12 bytes inside a 16-byte cell, length included and zero-filled; such a
 * cell is its own key, compared as two words. Longer strings are found by length, first bytes and hash,
 * then compared; texts, which hardly ever repeat, are not looked for any more once that has shown. The table
 * starts small in every block, so that a column with few levels stays in the
 * first-level cache, and grows fourfold when it is half full. */
#include <string.h>

#include "base/hash.h"
#include "vm/engine/parts.h"

#ifdef CML_HOSTILE
enum { SLOTS_FIRST = 4, STRINGS_FIRST = 2, BYTES_FIRST = 8, TEXT = 16, TEXTS_FIRST = 8 };
#else
enum { SLOTS_FIRST = 1024, STRINGS_FIRST = 256, BYTES_FIRST = 4096, TEXT = 64, TEXTS_FIRST = 4096 };
#endif

/* ---- Columns ---- */

static size_t cell_size(IrType type) {
  return type == IR_BOOL ? 1 : type == IR_STR ? sizeof(uint32_t) : 8;
}

static bool table_start(StrTable *t) {
  memset(t, 0, sizeof *t);
  t->slot = mem_alloc(SLOTS_FIRST * sizeof *t->slot);
  t->off = mem_alloc((STRINGS_FIRST + 1) * sizeof *t->off);
  t->bytes = mem_alloc(BYTES_FIRST);
  t->nslot = SLOTS_FIRST;
  t->cap = STRINGS_FIRST;
  t->capbytes = BYTES_FIRST;
  t->last = UINT32_MAX;
  return t->slot && t->off && t->bytes;
}

static void table_free(StrTable *t) {
  mem_free(t->slot);
  mem_free(t->off);
  mem_free(t->bytes);
  memset(t, 0, sizeof *t);
}

bool build_start(ColBuild *c, IrType type) {
  memset(c, 0, sizeof *c);
  c->col.type = (uint8_t)type;
  c->col.b = mem_alloc64(BLOCK * cell_size(type));
  if (!c->col.b)
    return false;
  return type != IR_STR || table_start(&c->str);
}

void build_free(ColBuild *c) {
  mem_free(c->col.b);
  mem_free(c->null);
  table_free(&c->str);
  memset(c, 0, sizeof *c);
}

bool build_null(ColBuild *c, uint32_t row) {
  if (!c->null) {
    c->null = mem_alloc64(BLOCK);
    if (!c->null)
      return false;
    memset(c->null, 0, BLOCK);
  }
  c->null[row] = 1;
  switch (c->col.type) {
  case IR_BOOL: c->col.b[row] = 0; break;
  case IR_STR: c->col.code[row] = 0; break;
  default: c->col.i[row] = 0; break; /* also 0.0 */
  }
  return true;
}

/* The first `used` bytes of *p in an allocation of that size. */
static bool shrink(void *p, size_t used, size_t room) {
  void **at = p;
  if (used >= room - room / 8)
    return true;
  void *q = mem_alloc64(used ? used : 1);
  if (!q)
    return false;
  memcpy(q, *at, used);
  mem_free(*at);
  *at = q;
  return true;
}

static Dict *take_dict(StrTable *t, size_t *bytes) {
  if (t->n == 0 && build_string(t, "", 0) < 0) /* code 0 is there even when every row is null */
    return NULL;
  Dict *d = mem_alloc(sizeof *d);
  if (!d)
    return NULL;
  d->n = t->n;
  d->off = t->off;
  d->bytes = t->bytes;
  atomic_init(&d->refs, 1);
  *bytes += sizeof *d + (t->n + (size_t)1) * sizeof *t->off + t->nbytes; /* the rest was never touched */
  t->off = NULL;
  t->bytes = NULL;
  return d;
}

bool build_finish(ColBuild *c, uint32_t n, Col *out, size_t *bytes) {
  size_t cell = cell_size(c->col.type);
  if (!shrink(&c->col.b, n * cell, BLOCK * cell) || (c->null && !shrink(&c->null, n, BLOCK)))
    return false;
  if (c->col.type == IR_STR) {
    c->col.dict = take_dict(&c->str, bytes);
    if (!c->col.dict)
      return false;
  }
  *bytes += n * cell + (c->null ? n : 0);
  *out = c->col;
  out->null = c->null;
  c->col.b = NULL;
  c->null = NULL;
  build_free(c);
  return true;
}

/* ---- Strings ---- */

static inline uint32_t slot_of(uint64_t a, uint64_t b) {
  uint64_t h = (a ^ (b << 29 | b >> 35)) * UINT64_C(0x9e3779b97f4a7c15);
  h ^= b * UINT64_C(0xc2b2ae3d27d4eb4f);
  return (uint32_t)(h >> 32 ^ h);
}

static bool table_grow(StrTable *t) {
  uint32_t nslot = t->nslot * 4, mask = nslot - 1;
  StrSlot *slot = mem_alloc(nslot * sizeof *slot);
  if (!slot)
    return false;
  for (uint32_t i = 0; i < t->nslot; i++) {
    if (!t->slot[i].code)
      continue;
    uint32_t k = slot_of(t->slot[i].a, t->slot[i].b) & mask;
    while (slot[k].code)
      k = (k + 1) & mask;
    slot[k] = t->slot[i];
  }
  mem_free(t->slot);
  t->slot = slot;
  t->nslot = nslot;
  return true;
}

static bool table_add(StrTable *t, const char *s, uint32_t n) {
  if (t->n == t->cap) {
    uint32_t *off = mem_realloc(t->off, ((size_t)t->cap * 2 + 1) * sizeof *off);
    if (!off)
      return false;
    t->off = off;
    t->cap *= 2;
  }
  if (t->capbytes - t->nbytes < n) {
    size_t cap = t->capbytes * 2 > t->nbytes + n ? t->capbytes * 2 : t->nbytes + n;
    if (t->nbytes + n > UINT32_MAX) /* offsets have 32 bits: 4 GiB of text in one block */
      return false;
    char *bytes = mem_realloc(t->bytes, cap);
    if (!bytes)
      return false;
    t->bytes = bytes;
    t->capbytes = cap;
  }
  if (n)
    memcpy(t->bytes + t->nbytes, s, n);
  t->nbytes += n;
  t->n++;
  t->off[t->n] = (uint32_t)t->nbytes;
  return true;
}

/* The code of a string with the key (a, b); `s` lies in the cell or elsewhere. */
static int64_t table_code(StrTable *t, uint64_t a, uint64_t b, const char *s, uint32_t n) {
  uint32_t mask = t->nslot - 1, k = slot_of(a, b) & mask;
  for (; t->slot[k].code; k = (k + 1) & mask) {
    const StrSlot *e = &t->slot[k];
    if (e->a == a && e->b == b && (n <= 12 || memcmp(t->bytes + t->off[e->code - 1], s, n) == 0))
      return e->code - 1;
  }
  if (!table_add(t, s, n))
    return -1;
  t->slot[k] = (StrSlot){a, b, t->n};
  uint32_t code = t->n - 1;
  if (t->n * 2 > t->nslot && !table_grow(t))
    return -1;
  return code;
}

/* The code of a string that no cell holds. Once all but one in 16 of the first texts were new, each of those
 * that follow gets an entry of its own: equal strings may have two codes. */
static int64_t long_code(StrTable *t, const char *s, uint32_t n) {
  bool text = n >= TEXT;
  if (text && t->apart)
    return table_add(t, s, n) ? (int64_t)t->n - 1 : -1;
  uint32_t first, before = t->n;
  memcpy(&first, s, 4);
  int64_t code = table_code(t, n | (uint64_t)first << 32, hash_bytes(0, s, n), s, n);
  if (text) {
    t->fresh += t->n > before;
    t->apart = ++t->nlong == TEXTS_FIRST && t->fresh >= TEXTS_FIRST - TEXTS_FIRST / 16;
  }
  return code;
}

bool build_strings(ColBuild *c, const duckdb_string_t *v, const uint64_t *validity, uint64_t from, uint32_t m,
                   uint32_t at) {
  StrTable *t = &c->str;
  uint32_t *out = c->col.code + at;
  for (uint32_t i = 0; i < m; i++) {
    if (!duck_valid(validity, from + i)) {
      out[i] = 0;
      continue;
    }
    const duckdb_string_t *s = &v[from + i];
    uint64_t word[2];
    memcpy(word, s, sizeof word);
    uint32_t n = s->value.inlined.length;
    int64_t code;
    if (n <= 12) {
      if (word[0] == t->last_a && word[1] == t->last_b && t->last != UINT32_MAX) {
        out[i] = t->last;
        continue;
      }
      code = table_code(t, word[0], word[1], s->value.inlined.inlined, n);
      t->last_a = word[0];
      t->last_b = word[1];
      t->last = (uint32_t)code;
    } else {
      code = long_code(t, s->value.pointer.ptr, n);
    }
    if (code < 0)
      return false;
    out[i] = (uint32_t)code;
  }
  return true;
}

int64_t build_string(StrTable *t, const char *s, uint32_t n) {
  uint64_t word[2] = {0, 0};
  duckdb_string_t cell;
  if (n > 12)
    return long_code(t, s, n);
  memset(&cell, 0, sizeof cell);
  cell.value.inlined.length = n;
  if (n)
    memcpy(cell.value.inlined.inlined, s, n);
  memcpy(word, &cell, sizeof word);
  return table_code(t, word[0], word[1], s, n);
}

int64_t build_text(StrTable *t, Text x) {
  uint64_t word[2];
  if (x.n > 12)
    return long_code(t, x.s, x.n);
  uint64_t low;
  uint32_t high;
  memcpy(&low, x.s, sizeof low);
  memcpy(&high, x.s + sizeof low, sizeof high);
  low &= x.n >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * x.n)) - 1;
  high &= x.n >= 12 ? UINT32_MAX : x.n <= 8 ? 0 : (UINT32_C(1) << (8 * (x.n - 8))) - 1;
  word[0] = x.n | low << 32; /* a cell of DuckDB, made of two loads */
  word[1] = low >> 32 | (uint64_t)high << 32;
  if (word[0] == t->last_a && word[1] == t->last_b && t->last != UINT32_MAX)
    return t->last;
  int64_t code = table_code(t, word[0], word[1], x.s, x.n);
  t->last_a = word[0];
  t->last_b = word[1];
  t->last = code < 0 ? UINT32_MAX : (uint32_t)code;
  return code;
}
