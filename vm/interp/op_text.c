/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of strings: made of texts (tokenize, split), changed (n_grams, remove), asked (length, contains,
 * join).
 *
 * Texts are taken row by row, never by dictionary entry: they rarely repeat. The words of a panel lie one
 * behind the other in a dictionary that is written anew for each panel and belongs to the step (refs 0),
 * each word as often as it comes: there is no look-up, and nothing is allocated once the buffers are large
 * enough. Rows with a null have no words.
 * Where nothing but a step that counts words reads those of tokenize (Step.counts), they are not written at
 * all: it is given the key of each. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* memmem */
#endif
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "vm/interp/words.h"

enum { GRAM_MOST = 100 };

typedef struct Words { /* the dictionary that a step writes, and what it looks words up in */
  Dict dict;
  size_t cap, cap_off; /* bytes; offsets */
  Map set;             /* remove: the words to leave out */
  TextWords found;     /* tokenize: in one text */
} Words;

static void words_drop(void *state) {
  Words *w = state;
  mem_free(w->dict.off);
  mem_free(w->dict.bytes);
  map_free(&w->set);
  words_free(&w->found);
  mem_free(w);
}

Status prepare_words(Step *s, Err *e) {
  Words *w = mem_alloc(sizeof *w);
  if (!w)
    return err_memory(e);
  s->state = w;
  s->drop = words_drop;
  if (s->v->op != OP_REMOVE_STRS)
    return ST_OK;
  for (uint32_t i = 0; i < step_vocab_size(s, 1); i++) {
    const char *p;
    uint32_t n;
    step_vocab_at(s, 1, i, &p, &n);
    if (map_add(&w->set, p, n, NULL) < 0)
      return err_memory(e);
  }
  return ST_OK;
}

/* Room for `bytes` more bytes and `n` more words. */
static bool room(Step *s, size_t bytes, size_t n) {
  Words *w = s->state;
  Dict *d = &w->dict;
  size_t used = d->n ? d->off[d->n] : 0, need = used + bytes, words = (size_t)d->n + n + 1;
  if (need > UINT32_MAX || words > UINT32_MAX) {
    step_memory(s);
    return false;
  }
  if (need > w->cap || !w->cap) {
    size_t cap = need + need / 2 + 4096;
    char *p = mem_realloc(d->bytes, cap);
    if (!p) {
      step_memory(s);
      return false;
    }
    d->bytes = p;
    w->cap = cap;
  }
  if (words > w->cap_off) {
    size_t cap = words + words / 2 + 1024;
    uint32_t *p = mem_realloc(d->off, cap * sizeof *p);
    if (!p) {
      step_memory(s);
      return false;
    }
    p[0] = 0;
    d->off = p;
    w->cap_off = cap;
  }
  return true;
}

/* Begins a panel. */
static bool begin(Step *s) {
  Words *w = s->state;
  w->dict.n = 0;
  s->out->dict = &w->dict;
  return room(s, 0, 0) && step_entries(s, 0);
}

/* Ends it: word i of the panel has code i. */
static void number(Step *s) {
  uint32_t n = ((Words *)s->state)->dict.n;
  if (!step_entries(s, n))
    return;
  for (uint32_t i = 0; i < n; i++)
    s->out->code[i] = i;
}

/* ---- tokenize ---- */

/* The words found, behind those that are there. There is room. */
static void put_found(Dict *d, const TextWords *x, uint32_t n) {
  uint32_t to = d->off[d->n];
  for (uint32_t i = 0; i < n; i++) {
    const char *p = x->low + x->at[2 * i];
    uint32_t bytes = x->at[2 * i + 1] - x->at[2 * i];
    for (uint32_t k = 0; k < bytes; k += 16)
      memcpy(d->bytes + to + k, p + k, 16);
    d->off[++d->n] = to += bytes;
  }
}

static void tokenize_words(Step *s, bool lower, uint32_t min) {
  Words *w = s->state;
  if (!begin(s))
    return;
  for (uint32_t r = 0; r < s->n; r++) {
    s->out->ptr[r] = w->dict.n;
    if (step_is_null(s->out, r))
      continue;
    int64_t n = words_find(&w->found, col_str(s->arg[0], r), lower, min);
    if (n < 0)
      step_memory(s);
    if (n < 0 || !room(s, words_bytes(&w->found, (uint32_t)n) + 16, (size_t)n))
      return;
    put_found(&w->dict, &w->found, (uint32_t)n);
  }
  s->out->ptr[s->n] = w->dict.n;
  number(s);
}

/* For a step that counts words: what it makes of each, instead of the words. */
static void tokenize_keys(Step *s, bool lower, uint32_t min) {
  Words *w = s->state;
  uint32_t to = 0;
  if (!begin(s))
    return;
  for (uint32_t r = 0; r < s->n; r++) {
    s->out->ptr[r] = to;
    if (step_is_null(s->out, r))
      continue;
    int64_t n = words_find(&w->found, col_str(s->arg[0], r), lower, min);
    if (n < 0)
      step_memory(s);
    if (n < 0 || !step_entries(s, (uint64_t)to + (uint64_t)n))
      return;
    to += sparse_keys(s->counts, &w->found, (uint32_t)n, s->out->code + to);
  }
  s->out->ptr[s->n] = to;
}

void step_TOKENIZE_STR(Step *s) {
  int64_t c = step_const(s, 2);
  uint32_t min = c < 1 ? 1 : c > INT32_MAX ? INT32_MAX : (uint32_t)c;
  if (s->counts)
    tokenize_keys(s, step_const(s, 1) != 0, min);
  else
    tokenize_words(s, step_const(s, 1) != 0, min);
}

/* ---- split ---- */

static void put_word(Dict *d, const char *p, size_t n) {
  if (n)
    memcpy(d->bytes + d->off[d->n], p, n);
  d->off[d->n + 1] = d->off[d->n] + (uint32_t)n;
  d->n++;
}

static void split_text(Dict *d, Str a, Str by) {
  const char *from = a.p, *end = a.p + a.n;
  while (by.n && (size_t)(end - from) >= by.n) {
    const char *hit = memmem(from, (size_t)(end - from), by.p, by.n);
    if (!hit)
      break;
    put_word(d, from, (size_t)(hit - from));
    from = hit + by.n;
  }
  put_word(d, from, (size_t)(end - from));
}

void step_SPLIT_STR(Step *s) {
  Words *w = s->state;
  if (!begin(s))
    return;
  for (uint32_t r = 0; r < s->n; r++) {
    s->out->ptr[r] = w->dict.n;
    Str a = col_str(s->arg[0], r), by = col_str(s->arg[1], r);
    if (step_is_null(s->out, r) || !a.n)
      continue;
    if (!room(s, a.n, (size_t)a.n + 1))
      return;
    split_text(&w->dict, a, by);
  }
  s->out->ptr[s->n] = w->dict.n;
  number(s);
}

/* ---- n_grams ---- */

/* The runs of `size` words from..to of c, joined by a space. */
static bool put_runs(Step *s, const Col *c, uint32_t from, uint32_t to, uint32_t size) {
  Words *w = s->state;
  Dict *d = &w->dict;
  for (uint32_t i = from; i + size <= to; i++) {
    size_t bytes = 0;
    for (uint32_t k = 0; k < size; k++)
      bytes += dict_at(c->dict, c->code[i + k]).n + 1u;
    if (!room(s, bytes, 1))
      return false;
    char *out = d->bytes + d->off[d->n];
    for (uint32_t k = 0; k < size; k++) {
      Str word = dict_at(c->dict, c->code[i + k]);
      if (k)
        *out++ = ' ';
      memcpy(out, word.p, word.n);
      out += word.n;
    }
    d->off[++d->n] = (uint32_t)(out - d->bytes);
  }
  return true;
}

void step_N_GRAMS_STRS(Step *s) {
  const Col *c = s->arg[0];
  Words *w = s->state;
  int64_t to = step_const(s, 1), from = step_const(s, 2);
  uint32_t last = to < 1 ? 1 : to > GRAM_MOST ? GRAM_MOST : (uint32_t)to;
  uint32_t first = from < 1 ? 1 : from > last ? last : (uint32_t)from;
  if (!begin(s))
    return;
  for (uint32_t r = 0; r < s->n; r++) {
    s->out->ptr[r] = w->dict.n;
    for (uint32_t size = first; size <= last && !step_is_null(s->out, r); size++)
      if (!put_runs(s, c, c->ptr[r], c->ptr[r + 1], size))
        return;
  }
  s->out->ptr[s->n] = w->dict.n;
  number(s);
}

/* ---- remove, length, contains, join ---- */

/* The words that stay keep their codes: the dictionary is that of the argument. */
void step_REMOVE_STRS(Step *s) {
  const Col *c = s->arg[0];
  const Words *w = s->state;
  uint32_t n = 0;
  if (!step_entries(s, c->ptr[s->n] - c->ptr[0]))
    return;
  s->out->dict = c->dict;
  for (uint32_t r = 0; r < s->n; r++) {
    s->out->ptr[r] = n;
    for (uint32_t i = c->ptr[r]; i < c->ptr[r + 1]; i++) {
      Str word = dict_at(c->dict, c->code[i]);
      if (map_find(&w->set, word.p, word.n) < 0)
        s->out->code[n++] = c->code[i];
    }
  }
  s->out->ptr[s->n] = n;
}

void step_LENGTH_STRS(Step *s) {
  const Col *c = s->arg[0];
  for (uint32_t r = 0; r < s->n; r++)
    s->out->i[r] = c->ptr[r + 1] - c->ptr[r];
}

void step_CONTAINS_STRS(Step *s) {
  const Col *c = s->arg[0];
  for (uint32_t r = 0; r < s->n; r++) {
    Str want = col_str(s->arg[1], r);
    uint8_t found = 0;
    for (uint32_t i = c->ptr[r]; i < c->ptr[r + 1] && !found; i++)
      found = str_eq(dict_at(c->dict, c->code[i]), want);
    s->out->b[r] = found;
  }
}

void step_JOIN_STRS(Step *s) {
  const Col *c = s->arg[0];
  Words *w = s->state;
  w->dict.n = 0;
  s->out->dict = &w->dict;
  if (!room(s, 0, 0))
    return;
  for (uint32_t r = 0; r < s->n; r++) {
    Str by = col_str(s->arg[1], r);
    size_t bytes = 0;
    bool null = step_is_null(s->out, r);
    for (uint32_t i = c->ptr[r]; i < c->ptr[r + 1] && !null; i++)
      bytes += (size_t)dict_at(c->dict, c->code[i]).n + by.n;
    if (!room(s, bytes, 1))
      return;
    char *from = w->dict.bytes + w->dict.off[w->dict.n], *out = from;
    for (uint32_t i = c->ptr[r]; i < c->ptr[r + 1] && !null; i++) {
      Str word = dict_at(c->dict, c->code[i]);
      memcpy(out, by.p, i > c->ptr[r] ? by.n : 0);
      out += i > c->ptr[r] ? by.n : 0;
      memcpy(out, word.p, word.n);
      out += word.n;
    }
    s->out->code[r] = w->dict.n;
    w->dict.off[++w->dict.n] = (uint32_t)(out - w->dict.bytes);
  }
}
