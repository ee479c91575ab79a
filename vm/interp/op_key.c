/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: tables looked up by key, and what the compiler makes of keys and positions for splits: hash, rng,
 * cut, fold_of.
 *
 * A look-up never builds key bytes for a row. When the Interp is made, the table's keys are taken apart:
 * each part of a key gets a small number (strings: by dictionary entry, once per dictionary), and two
 * numbers together are looked up as one 64-bit integer, which gives the number for the next part. The last
 * number leads to the row of the table. */
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "vm/interp/hash_8.h"
#include "vm/interp/op.h"

VECTOR_LOOPS

/* The first byte of each kind of part, as key_put_* writes it. */
typedef struct Tags {
  uint8_t b, i, s;
} Tags;

static bool learn_tags(Tags *t) {
  Buf k = {NULL, 0, 0, false};
  key_put_b(&k, false);
  size_t second = k.n;
  key_put_i64(&k, 0);
  size_t third = k.n;
  key_put_str(&k, "", 0);
  bool good = !k.bad && third < k.n;
  if (good)
    *t = (Tags){k.p[0], k.p[second], k.p[third]};
  buf_free(&k);
  return good;
}

/* ---- Look-up ---- */

typedef struct Part { /* of the key: its values and their numbers */
  uint8_t type;   /* IR_BOOL: the value is the number */
  IntMap ints;
  Map strs;
  DictMap map;    /* int32: number + 1 by entry, 0 = no key has it */
} Part;

typedef struct Lookup {
  uint32_t n;
  Part *part;
  IntMap *join;      /* n - 1: number so far << 32 | number of the next part */
  int32_t *row;      /* by the last number: row of the table, or -1 */
} Lookup;

static void lookup_drop(void *state) {
  Lookup *w = state;
  for (uint32_t k = 0; w->part && k < w->n; k++) {
    intmap_free(&w->part[k].ints);
    map_free(&w->part[k].strs);
    dictmap_free(&w->part[k].map);
  }
  for (uint32_t k = 0; w->join && k + 1 < w->n; k++)
    intmap_free(&w->join[k]);
  mem_free(w->part);
  mem_free(w->join);
  mem_free(w->row);
  mem_free(w);
}

/* Reads one part of a key at *p. Its number in `part` is added where it is new. -1: it is of another type,
 * or malformed; -2: memory. */
static int64_t read_part(Part *part, Tags tags, const uint8_t **p, const uint8_t *end, Buf *text) {
  const uint8_t *q = *p;
  if (q == end)
    return -1;
  uint8_t tag = *q++;
  int64_t number = -1;
  if (tag == tags.b && part->type == IR_BOOL && end - q >= 1) {
    number = *q++ != 0;
  } else if (tag == tags.i && part->type == IR_I64 && end - q >= 8) {
    uint64_t v;
    memcpy(&v, q, 8);
    q += 8;
    number = intmap_add(&part->ints, __builtin_bswap64(v) ^ (UINT64_C(1) << 63));
    number = number < 0 ? -2 : number;
  } else if (tag == tags.s && part->type == IR_STR) {
    buf_clear(text);
    for (; q + 1 < end && (q[0] || q[1]); q += q[0] ? 1 : 2)
      buf_u8(text, q[0]);
    if (end - q >= 2) {
      q += 2;
      number = text->bad ? -1 : map_add(&part->strs, text->n ? text->p : (const uint8_t *)"", text->n, NULL);
      number = number < 0 ? -2 : number;
    }
  }
  *p = q;
  return number;
}

static Status take_apart(Lookup *w, const Table *t, Tags tags, Err *e) {
  Buf text = {NULL, 0, 0, false};
  uint32_t cap = t->n > 2 ? t->n : 2;
  w->row = mem_alloc(cap * sizeof *w->row);
  if (!w->row)
    return err_memory(e);
  memset(w->row, 0xff, cap * sizeof *w->row);
  for (uint32_t k = 0; k < t->n; k++) {
    const uint8_t *p = t->bytes + t->off[k], *end = t->bytes + t->off[k + 1];
    int64_t number = 0;
    for (uint32_t j = 0; j < w->n && number >= 0; j++) {
      int64_t one = read_part(&w->part[j], tags, &p, end, &text);
      if (one >= 0 && j > 0) {
        one = intmap_add(&w->join[j - 1], (uint64_t)number << 32 | (uint64_t)one);
        one = one < 0 ? -2 : one;
      }
      number = one;
    }
    if (number == -2) {
      buf_free(&text);
      return err_memory(e);
    }
    if (number >= 0 && p == end && (uint64_t)number < cap)
      w->row[number] = (int32_t)k;
  }
  buf_free(&text);
  return ST_OK;
}

Status prepare_lookup(Step *s, Err *e) {
  Lookup *w = mem_alloc(sizeof *w);
  Tags tags;
  if (!w)
    return err_memory(e);
  s->state = w;
  s->drop = lookup_drop;
  w->n = s->v->narg;
  w->part = mem_alloc(w->n * sizeof *w->part);
  w->join = mem_alloc(w->n * sizeof *w->join);
  if (!w->part || !w->join || !learn_tags(&tags))
    return err_memory(e);
  for (uint32_t k = 0; k < w->n; k++)
    w->part[k].type = s->arg[k]->type;
  return take_apart(w, s->fitted->table, tags, e);
}

/* By entry: number + 1, 0 for none. NULL: memory. */
static const int32_t *key_entries(Step *s, Part *part, const Col *c) {
  if (dictmap_stale(s, &part->map, c->dict, sizeof(int32_t))) {
    int32_t *table = part->map.table;
    for (uint32_t i = 0; i < c->dict->n; i++) {
      Str x = dict_at(c->dict, i);
      table[i] = part->strs.n ? (int32_t)map_find(&part->strs, x.p, x.n) + 1 : 0;
    }
  }
  return part->map.table;
}

const int32_t *step_keys(Step *s) {
  Lookup *w = s->state;
  return key_entries(s, &w->part[0], s->arg[0]);
}

const int32_t *step_rows(const Step *s) {
  const Lookup *w = s->state;
  return w->row;
}

/* number[r] of part k in row r, -1 for none or null */
static bool part_numbers(Step *s, Part *part, const Col *c, int32_t *number) {
  uint32_t n = s->n;
  switch (c->type) {
  case IR_BOOL:
    for (uint32_t r = 0; r < n; r++)
      number[r] = c->b[r];
    break;
  case IR_I64:
    for (uint32_t r = 0; r < n; r++)
      number[r] = (int32_t)intmap_find(&part->ints, (uint64_t)c->i[r]);
    break;
  default:
    if (!key_entries(s, part, c))
      return false;
    const int32_t *table = part->map.table;
    for (uint32_t r = 0; r < n; r++)
      number[r] = table[c->code[r]] - 1;
    break;
  }
  if (c->null) {
    for (uint32_t r = 0; r < n; r++)
      number[r] = c->null[r] ? -1 : number[r];
  }
  return true;
}

/* Into the scratch array: the row of the table for each row, or -1. */
static bool find_rows(Step *s) {
  Lookup *w = s->state;
  int32_t *row = s->t->scratch;
  int32_t next[PANEL_ROWS];
  for (uint32_t k = 0; k < w->n; k++) {
    if (!part_numbers(s, &w->part[k], s->arg[k], k ? next : row))
      return false;
    for (uint32_t r = 0; k && r < s->n; r++) {
      bool both = row[r] >= 0 && next[r] >= 0;
      row[r] = both ? (int32_t)intmap_find(&w->join[k - 1], (uint64_t)row[r] << 32 | (uint64_t)next[r]) : -1;
    }
  }
  for (uint32_t r = 0; r < s->n; r++)
    row[r] = row[r] >= 0 ? w->row[row[r]] : -1;
  return true;
}

/* Which variant row r reads: training rows the one that their fold was left out of. */
uint32_t step_variant(const Step *s, const Table *t, uint32_t r) {
  const RowsIn *in = s->t->in;
  if (s->v->g >= 0)
    return 1 + (uint32_t)s->v->g;
  if (t->nvariant == 1 || !in->fold || (in->train && !in->train[r]))
    return 0;
  uint32_t v = 1 + (uint32_t)in->fold[r];
  return v < t->nvariant ? v : 0;
}

#define LOOKUP(code, T, F)                                               \
  void step_##code(Step *s) {                                            \
    const Table *t = s->fitted->table;                                   \
    s->out->null = NULL;                                                 \
    uint8_t *m = step_mask(s);                                           \
    if (!find_rows(s))                                                   \
      return;                                                            \
    const int32_t *row = s->t->scratch;                                  \
    uint8_t any = 0;                                                     \
    for (uint32_t r = 0; r < s->n; r++) {                                \
      size_t at = (size_t)step_variant(s, t, r) * t->n + (uint32_t)row[r]; \
      m[r] = row[r] < 0 || (t->null && t->null[at]);                     \
      s->out->F[r] = m[r] ? (T)0 : t->F[at];                             \
      any |= m[r];                                                       \
    }                                                                    \
    if (!any)                                                            \
      s->out->null = NULL;                                               \
  }

LOOKUP(LOOKUP_I64, int64_t, i)
LOOKUP(LOOKUP_F64, double, f)

/* ---- Hash of a key ---- */

typedef struct HashPart {
  DictMap map;  /* uint64 by entry: its hash when it is the only part, else where its bytes end in `bytes` */
  Buf bytes;    /* and COPY zeroes */
  uint64_t longest;
} HashPart;

enum { LANES = 8, COPY = 16, NUMBER = 9 }; /* rows at once; bytes copied at once; bytes of a number at most */

typedef struct Hash {
  uint32_t n;
  HashPart *part;
  Tags tags;
  uint8_t *key;  /* LANES of them */
  uint64_t room; /* bytes of each */
} Hash;

static void hash_drop(void *state) {
  Hash *w = state;
  for (uint32_t k = 0; w->part && k < w->n; k++) {
    dictmap_free(&w->part[k].map);
    buf_free(&w->part[k].bytes);
  }
  mem_free(w->part);
  mem_free(w->key);
  mem_free(w);
}

Status prepare_hash(Step *s, Err *e) {
  Hash *w = mem_alloc(sizeof *w);
  if (!w)
    return err_memory(e);
  s->state = w;
  s->drop = hash_drop;
  w->n = s->v->narg;
  w->part = mem_alloc(w->n * sizeof *w->part);
  return w->part && learn_tags(&w->tags) ? ST_OK : err_memory(e);
}

/* Key bytes, or hashes, of all entries of a dictionary. */
static bool hash_entries(Step *s, HashPart *part, const Col *c, bool whole) {
  if (!dictmap_stale(s, &part->map, c->dict, sizeof(uint64_t)))
    return part->map.table != NULL;
  static const uint8_t zeroes[COPY];
  uint64_t *table = part->map.table, before = 0;
  buf_clear(&part->bytes);
  part->longest = 0;
  for (uint32_t i = 0; i < c->dict->n; i++) {
    Str x = dict_at(c->dict, i);
    if (whole)
      buf_clear(&part->bytes);
    key_put_str(&part->bytes, x.p, x.n);
    table[i] = whole ? hash_bytes((uint64_t)s->v->i, part->bytes.p, part->bytes.n) : part->bytes.n;
    part->longest = part->bytes.n - before > part->longest ? part->bytes.n - before : part->longest;
    before = part->bytes.n;
  }
  buf_put(&part->bytes, zeroes, COPY);
  if (!part->bytes.bad)
    return true;
  buf_free(&part->bytes);
  dictmap_forget(&part->map);
  step_memory(s);
  return false;
}

/* ---- Eight keys at once ---- */

typedef struct Keys { /* zeroes up to whole words behind each */
  const uint8_t *p;
  uint64_t at[LANES], n[LANES]; /* bytes */
} Keys;

HASH_8 static void hash_keys_8(uint64_t seed, const Keys *k, uint64_t most, uint64_t out[LANES]) {
  __m512i h = _mm512_set1_epi64((long long)hash_mix(seed + UINT64_C(0x9e3779b97f4a7c15)));
  __m512i at = _mm512_loadu_si512(k->at), n = _mm512_loadu_si512(k->n), zero = _mm512_setzero_si512();
  for (uint64_t i = 0; i < most; i += 8) { /* those that are longer than i */
    __m512i from = _mm512_set1_epi64((long long)i);
    __mmask8 on = _mm512_cmpgt_epu64_mask(n, from);
    __m512i w = _mm512_mask_i64gather_epi64(zero, on, _mm512_add_epi64(at, from), k->p, 1);
    h = _mm512_mask_mov_epi64(h, on, hash_word_8(h, w));
  }
  _mm512_storeu_si512(out, hash_word_8(h, n));
}

static void hash_keys(uint64_t seed, const Keys *k, uint32_t n, uint64_t out[LANES]) {
  uint64_t most = 0;
  for (uint32_t i = 0; i < n; i++)
    most = k->n[i] > most ? k->n[i] : most;
  if (hash_has_8()) {
    hash_keys_8(seed, k, most, out);
    return;
  }
  for (uint32_t i = 0; i < n; i++)
    out[i] = hash_bytes(seed, k->p + k->at[i], k->n[i]);
}

/* Room for the longest key that any row can have, with what is copied behind it. */
static bool key_room(Step *s, Hash *w) {
  uint64_t room = 2 * COPY;
  for (uint32_t k = 0; k < w->n; k++)
    room += s->arg[k]->type == IR_STR ? w->part[k].longest + 1 : NUMBER;
  room = (room + 7) & ~UINT64_C(7);
  if (room <= w->room)
    return true;
  mem_free(w->key);
  w->key = mem_alloc64(LANES * room);
  w->room = w->key ? room : 0;
  if (!w->key)
    step_memory(s);
  return w->key != NULL;
}

static inline uint8_t *put_entry(uint8_t *to, const HashPart *part, uint32_t code) {
  const uint64_t *end = part->map.table;
  uint64_t begin = code ? end[code - 1] : 0, n = end[code] - begin;
  for (uint64_t i = 0; i < n; i += COPY)
    memcpy(to + i, part->bytes.p + begin + i, COPY);
  return to + n;
}

/* The key of a row, as key_put_* write it, and zeroes; its length. */
static inline uint64_t put_key(const Step *s, const Hash *w, uint32_t r, uint8_t *key) {
  uint8_t *to = key;
  for (uint32_t k = 0; k < w->n; k++) {
    const Col *c = s->arg[k];
    if (step_is_null(c, r)) {
      *to++ = 0;
    } else if (c->type == IR_BOOL) {
      *to++ = w->tags.b;
      *to++ = c->b[r] != 0;
    } else if (c->type == IR_I64) {
      uint64_t v = __builtin_bswap64((uint64_t)c->i[r] ^ UINT64_C(1) << 63);
      *to++ = w->tags.i;
      memcpy(to, &v, 8);
      to += 8;
    } else {
      to = put_entry(to, &w->part[k], c->code[r]);
    }
  }
  memset(to, 0, 8);
  return (uint64_t)(to - key);
}

static void hash_rows(Step *s, Hash *w, uint64_t seed) {
  if (!key_room(s, w))
    return;
  for (uint32_t r = 0; r < s->n; r += LANES) {
    uint32_t n = s->n - r < LANES ? s->n - r : LANES;
    Keys k = {.p = w->key, .n = {0}};
    uint64_t h[LANES];
    for (uint32_t i = 0; i < n; i++) {
      k.at[i] = i * w->room;
      k.n[i] = put_key(s, w, r + i, w->key + k.at[i]);
    }
    hash_keys(seed, &k, n, h);
    for (uint32_t i = 0; i < n; i++)
      s->out->f[r + i] = unit_of(h[i]);
  }
}

void step_HASH(Step *s) {
  Hash *w = s->state;
  uint64_t seed = (uint64_t)s->v->i;
  const Col *first = s->arg[0];
  for (uint32_t k = 0; k < w->n; k++) {
    if (s->arg[k]->type == IR_STR && !hash_entries(s, &w->part[k], s->arg[k], w->n == 1))
      return;
  }
  if (w->n == 1 && first->type == IR_STR) { /* the hashes are known */
    const uint64_t *table = w->part[0].map.table;
    const double of_null = unit_of(hash_bytes(seed, "", 1));
    for (uint32_t r = 0; r < s->n; r++)
      s->out->f[r] = step_is_null(first, r) ? of_null : unit_of(table[first->code[r]]);
    return;
  }
  hash_rows(s, w, seed);
}

/* ---- Positions and shares ---- */

void step_RNG(Step *s) {
  const RowsIn *in = s->t->in;
  uint64_t key = (uint64_t)s->v->i, file = in->file;
  if (in->at) {
    for (uint32_t r = 0; r < s->n; r++)
      s->out->f[r] = unit_of(rng_word(key, hash_word(file, in->pos + in->at[r])));
  } else {
    for (uint32_t r = 0; r < s->n; r++)
      s->out->f[r] = unit_of(rng_word(key, hash_word(file, in->pos + r)));
  }
}

void step_CUT_F64(Step *s) {
  ListView list = step_list(s, 1);
  const double *a = s->arg[0]->f;
  memset(s->out->i, 0, s->n * sizeof *s->out->i);
  for (uint32_t k = 0; k < list.n; k++) {
    const double cut = list.v[k];
    for (uint32_t r = 0; r < s->n; r++)
      s->out->i[r] += cut <= a[r];
  }
}

void step_FOLD_OF_F64(Step *s) {
  const double *a = s->arg[0]->f;
  const double folds = (double)s->v->i, last = folds - 1;
  for (uint32_t r = 0; r < s->n; r++) {
    double v = __builtin_floor(a[r] * folds);
    v = v < last ? v : last;
    s->out->i[r] = (int64_t)(v > 0 ? v : 0);
  }
}
