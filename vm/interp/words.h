/* SPDX-License-Identifier: Apache-2.0 */
/* Where the words of a text are. Words are the longest runs of letters, digits, marks and `_`.
 *
 *   words_find(&x, text, true, 2)      n words of two characters or more, in lower case
 *   x.low + x.at[2 i]                  where word i begins; it ends at x.at[2 i + 1]
 *
 * WORDS_PAD bytes behind the end of a word can be read. */
#ifndef VM_INTERP_WORDS_H
#define VM_INTERP_WORDS_H

#include "vm/interp/op.h"

enum { WORDS_PAD = 64, HASH_WORDS = 1 };

typedef struct TextWords {
  char *low;     /* the text: what is in no word is 0, the rest in lower case where that is wanted */
  uint32_t *at;
  size_t cap;    /* bytes of text that there is room for */
  bool wide;     /* words_have_512() */
} TextWords;

/* Number of words; -1: memory. */
int64_t words_find(TextWords *x, Str text, bool lower, uint32_t min);
void words_free(TextWords *x);

/* words_512.c, where words_have_512(): words_find of a text for which there is room, -1 where it is not
 * ASCII; n keys, KEYS_512 at most, sorted to `out`, with room for 16, 32, 64, 128 or 256. */
enum { KEYS_512 = 256 };
bool words_have_512(void);
int64_t words_find_512(TextWords *x, Str text, bool lower, uint32_t min);
void keys_sort_512(const uint32_t *in, uint32_t n, uint32_t *out);

/* The first n of them, one behind the other. */
static inline size_t words_bytes(const TextWords *x, uint32_t n) {
  size_t bytes = 0;
  for (uint32_t i = 0; i < n; i++)
    bytes += x->at[2 * i + 1] - x->at[2 * i];
  return bytes;
}

/* The key of each of n words, for op_sparse.c: its element in a vector of `width`, followed by a bit for its
 * sign where that is wanted. */
void words_keys(const TextWords *x, uint32_t n, uint32_t width, bool sign, uint32_t *key);
/* op_sparse.c: the keys of n words for step s, which counts them; how many (a vocabulary has no others). */
uint32_t sparse_keys(const Step *s, const TextWords *x, uint32_t n, uint32_t *key);

#endif
