/* SPDX-License-Identifier: Apache-2.0 */
/* Sparse rows: how often each word of a list comes, by hash (tf, hashed) or by its place in a vocabulary
 * (count_vector).
 *
 * A row is made in three steps: the element of each word, as a key (tokenize makes these itself where it
 * can); the keys sorted; equal ones counted. Entries so ascend, and there is no table as wide as the vector.
 *
 * The element of a word in n: with h = hash_bytes(HASH_WORDS, word), floor((h >> 32) * n / 2^32); its
 * sign, where asked for, is - where the lowest bit of h is set. K. Weinberger, A. Dasgupta, J. Langford,
 * A. Smola, J. Attenberg, "Feature hashing for large scale multitask learning", ICML 2009. */
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/map.h"
#include "vm/kernel/math.h"
#include "vm/interp/words.h"

enum {
  FEW = 12,        /* keys that are sorted by insertion alone */
  SPREAD = 11,     /* so many bits of keys are sorted by their upper bits first, */
  CROWD = 64,      /*   unless so many have the same */
  DIGIT = 9,       /* bits of a digit of the other sort */
  COUNTS = 64,     /* logarithms that are kept */
};

typedef struct Sparse {
  uint32_t *in;          /* keys in the order of the words, where tokenize did not make them */
  uint32_t *key, *spare; /* sorted ones, and one more */
  size_t cap;
  Map index;         /* count_vector of a constant vocabulary: word -> element */
  const Map *levels; /* that, or the one of the fitted vocabulary */
  DictMap map;       /* hashed of strings */
  bool wide;         /* words_have_512() */
  double value[COUNTS]; /* what a count becomes: sublinear */
} Sparse;

static void sparse_drop(void *state) {
  Sparse *w = state;
  mem_free(w->in);
  mem_free(w->key);
  mem_free(w->spare);
  map_free(&w->index);
  dictmap_free(&w->map);
  mem_free(w);
}

static bool is_sublinear(const Step *s) {
  return s->v->narg == 4 && step_const(s, 3) != 0;
}

static bool is_binary(const Step *s) {
  return s->v->narg == 4 && step_const(s, 2) != 0;
}

static bool is_signed(const Step *s) {
  return s->v->narg == 3 && step_const(s, 2) != 0;
}

static Status index_levels(Step *s, Sparse *w, Err *e) {
  const Step *a = &s->t->step[s->v->arg[1]];
  w->levels = &w->index;
  if (a->fitted) {
    w->levels = &a->fitted->vocab_index;
    return ST_OK;
  }
  for (uint32_t i = 0; i < a->v->nlist; i++)
    if (map_add(&w->index, a->v->names[i], strlen(a->v->names[i]), NULL) != i)
      return err_set(e, ST_PROGRAM, "CML0415", "Leave out the second.", "a vocabulary has `%.80s` twice",
                     a->v->names[i]);
  return ST_OK;
}

Status prepare_sparse(Step *s, Err *e) {
  Sparse *w = mem_alloc(sizeof *w);
  if (!w)
    return err_memory(e);
  s->state = w;
  s->drop = sparse_drop;
  w->wide = words_have_512();
  for (uint32_t i = 0; i < COUNTS; i++)
    w->value[i] = i;
  for (uint32_t i = 1; i < COUNTS && is_binary(s); i++)
    w->value[i] = 1;
  if (is_sublinear(s) && !is_binary(s)) {
    k_log(w->value + 1, w->value + 1, COUNTS - 1);
    for (uint32_t i = 1; i < COUNTS; i++)
      w->value[i] += 1;
  }
  return s->v->op == OP_COUNT_VECTOR_STRS ? index_levels(s, w, e) : ST_OK;
}

static bool keys_room(Step *s, Sparse *w, size_t n) {
  if (n <= w->cap)
    return true;
  size_t cap = n + n / 2 + 256;
  uint32_t **all[] = {&w->in, &w->key, &w->spare};
  for (int k = 0; k < 3; k++) {
    uint32_t *p = mem_realloc(*all[k], (cap + 1) * sizeof *p);
    if (!p) {
      step_memory(s);
      return false;
    }
    *all[k] = p;
  }
  w->cap = cap;
  return true;
}

/* ---- Sorting ---- */

static void insert_keys(uint32_t *k, uint32_t n) {
  for (uint32_t i = 1; i < n; i++) {
    uint32_t x = k[i], j = i;
    for (; j && k[j - 1] > x; j--)
      k[j] = k[j - 1];
    k[j] = x;
  }
}

static uint32_t bits_of(uint64_t n) { /* of numbers below n */
  uint32_t b = 0;
  while (b < 63 && UINT64_C(1) << b < n)
    b++;
  return b;
}

/* Keys of hashes lie evenly: as many buckets as there are keys, by the upper bits, leave little for the
 * insertion. False: too many in one. */
static bool spread_keys(Sparse *w, const uint32_t *in, uint32_t n, uint32_t bits) {
  uint16_t at[1 << SPREAD], sum = 0, most = 0;
  uint32_t b = bits_of(n), shift = bits > b ? bits - b : 0;
  memset(at, 0, sizeof *at << b);
  for (uint32_t i = 0; i < n; i++)
    at[in[i] >> shift]++;
  for (uint32_t d = 0; d < UINT32_C(1) << b; d++) {
    uint16_t count = at[d];
    most = count > most ? count : most;
    at[d] = sum;
    sum = (uint16_t)(sum + count);
  }
  if (most > CROWD)
    return false;
  for (uint32_t i = 0; i < n; i++)
    w->key[at[in[i] >> shift]++] = in[i];
  insert_keys(w->key, n);
  return true;
}

/* Digit by digit from the lowest. */
static void sort_digits(Sparse *w, const uint32_t *in, uint32_t n, uint32_t bits) {
  for (uint32_t shift = 0; shift < bits; shift += DIGIT) {
    uint32_t at[1 << DIGIT] = {0}, sum = 0;
    for (uint32_t i = 0; i < n; i++)
      at[in[i] >> shift & ((1 << DIGIT) - 1)]++;
    for (uint32_t d = 0; d < 1 << DIGIT; d++) {
      uint32_t count = at[d];
      at[d] = sum;
      sum += count;
    }
    for (uint32_t i = 0; i < n; i++)
      w->spare[at[in[i] >> shift & ((1 << DIGIT) - 1)]++] = in[i];
    uint32_t *t = w->key;
    in = w->key = w->spare;
    w->spare = t;
  }
}

/* n > 0 keys below 2^bits to w->key, and one behind them that is another than the last. */
static void sort_keys(Sparse *w, const uint32_t *in, uint32_t n, uint32_t bits) {
  if (w->wide && n <= KEYS_512) {
    keys_sort_512(in, n, w->key);
  } else if (n <= FEW || bits == 0) {
    memcpy(w->key, in, n * sizeof *in);
    insert_keys(w->key, n);
  } else if (n > 1 << SPREAD || !spread_keys(w, in, n, bits)) {
    sort_digits(w, in, n, bits);
  }
  w->key[n] = ~w->key[n - 1];
}

/* ---- Rows ---- */

static double value_of(const Step *s, const Sparse *w, uint32_t count) {
  if (count < COUNTS)
    return w->value[count];
  if (is_binary(s))
    return 1;
  double x = count;
  if (!is_sublinear(s))
    return x;
  k_log(&x, &x, 1);
  return x + 1;
}

/* The sorted keys as entries from `to` on; where the next row begins. Each key writes the entry of its run
 * again: a run's length cannot be foreseen, and a wrong guess would cost more. */
static uint32_t put_counts(Step *s, const Sparse *w, uint32_t n, uint32_t to) {
  const uint32_t *k = w->key;
  uint32_t count = 0, *el = s->out->el;
  double *f = s->out->f;
  for (uint32_t i = 0; i < n; i++) {
    bool last = k[i] != k[i + 1];
    count++;
    el[to] = k[i];
    f[to] = count < COUNTS ? w->value[count] : value_of(s, w, count);
    to += last;
    count = last ? 0 : count;
  }
  return to;
}

/* Of keys whose lowest bit is the sign. */
static uint32_t put_signed(Step *s, const Sparse *w, uint32_t n, uint32_t to) {
  const uint32_t *k = w->key;
  for (uint32_t i = 0; i < n;) {
    uint32_t el = k[i] >> 1;
    double sum = 0;
    for (; i < n && k[i] >> 1 == el; i++)
      sum += k[i] & 1 ? -1 : 1;
    s->out->el[to] = el;
    s->out->f[to++] = sum;
  }
  return to;
}

static uint32_t element(uint64_t h, uint32_t width) {
  return (uint32_t)((h >> 32) * width >> 32);
}

static uint32_t key_of(uint64_t h, uint32_t width, bool sign) {
  uint32_t k = element(h, width);
  return sign ? k << 1 | (uint32_t)(h & 1) : k;
}

uint32_t sparse_keys(const Step *s, const TextWords *x, uint32_t n, uint32_t *key) {
  const Sparse *w = s->state;
  uint32_t m = 0;
  if (!w->levels) {
    words_keys(x, n, s->out->width, is_signed(s), key);
    return n;
  }
  for (uint32_t i = 0; i < n; i++) {
    int64_t level = map_find(w->levels, x->low + x->at[2 * i], x->at[2 * i + 1] - x->at[2 * i]);
    if (level >= 0)
      key[m++] = (uint32_t)level;
  }
  return m;
}

/* The same of words from elsewhere. */
static uint32_t keys_of_row(const Step *s, Sparse *w, const Col *c, uint32_t r) {
  uint32_t n = 0, width = s->out->width;
  bool sign = is_signed(s);
  for (uint32_t i = c->ptr[r]; i < c->ptr[r + 1]; i++) {
    Str word = dict_at(c->dict, c->code[i]);
    int64_t level = w->levels ? map_find(w->levels, word.p, word.n) : 0;
    if (level >= 0)
      w->in[n++] = w->levels ? (uint32_t)level : key_of(hash_bytes(HASH_WORDS, word.p, word.n), width, sign);
  }
  return n;
}

/* tf and hashed of lists, count_vector. */
static void count_words(Step *s) {
  Sparse *w = s->state;
  const Col *c = s->arg[0];
  bool keys = s->t->step[s->v->arg[0]].counts == s;
  uint32_t to = 0, bits = bits_of((uint64_t)s->out->width << is_signed(s));
  if (!step_entries(s, c->ptr[s->n] - c->ptr[0]))
    return;
  for (uint32_t r = 0; r < s->n; r++) {
    uint32_t n = c->ptr[r + 1] - c->ptr[r];
    s->out->ptr[r] = to;
    if (!keys_room(s, w, n))
      return;
    n = keys ? n : keys_of_row(s, w, c, r);
    if (!n)
      continue;
    sort_keys(w, keys ? c->code + c->ptr[r] : w->in, n, bits);
    to = is_signed(s) ? put_signed(s, w, n, to) : put_counts(s, w, n, to);
  }
  s->out->ptr[s->n] = to;
}

void step_TF_STRS(Step *s) {
  count_words(s);
}

void step_HASHED_STRS(Step *s) {
  count_words(s);
}

void step_COUNT_VECTOR_STRS(Step *s) {
  count_words(s);
}

/* ---- hashed of a string: one element a row ---- */

static const uint64_t *hashes(Step *s, const Col *c) {
  Sparse *w = s->state;
  if (dictmap_stale(s, &w->map, c->dict, sizeof(uint64_t))) {
    uint64_t *h = w->map.table;
    for (uint32_t i = 0; i < c->dict->n; i++) {
      Str x = dict_at(c->dict, i);
      h[i] = hash_bytes(HASH_WORDS, x.p, x.n);
    }
  }
  return w->map.table;
}

void step_HASHED_STR(Step *s) {
  const Col *c = s->arg[0];
  const uint64_t *h = hashes(s, c);
  if (!h)
    return;
  if (!is_signed(s)) {
    for (uint32_t r = 0; r < s->n; r++)
      s->out->hot[r] = (int32_t)element(h[c->code[r]], s->out->width);
    return;
  }
  if (!step_entries(s, s->n))
    return;
  uint32_t to = 0;
  for (uint32_t r = 0; r < s->n; r++) {
    s->out->ptr[r] = to;
    if (step_is_null(s->out, r))
      continue;
    s->out->el[to] = element(h[c->code[r]], s->out->width);
    s->out->f[to++] = h[c->code[r]] & 1 ? -1 : 1;
  }
  s->out->ptr[s->n] = to;
}
