/* SPDX-License-Identifier: Apache-2.0 */
/* Where the words of a text are; see words.h. Two loops over the text, 64 bytes at once where these are
 * ASCII: fold_text writes the text again, in lower case and with 0 for what is in no word, and find_edges
 * looks where a run of other bytes begins or ends. No word is ever copied. */
#include "vm/interp/words.h"

#include <string.h>

#include <emmintrin.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/unicode.h"
#include "vm/interp/hash_8.h"

VECTOR_LOOPS

void words_free(TextWords *x) {
  mem_free(x->low);
  mem_free(x->at);
  memset(x, 0, sizeof *x);
}

/* A character has at most twice its bytes in lower case, and every second one can end a word. */
static bool make_room(TextWords *x, size_t n) {
  if (n <= x->cap && x->low)
    return true;
  size_t cap = n + n / 2 + 1024;
  if (2 * cap + 2 * WORDS_PAD > UINT32_MAX)
    return false;
  words_free(x);
  x->wide = words_have_512();
  x->low = mem_alloc(2 * cap + 2 * WORDS_PAD);
  x->at = mem_alloc((cap + 2 + WORDS_PAD) * sizeof *x->at);
  x->cap = x->low && x->at ? cap : 0;
  return x->cap > 0;
}

/* ---- 64 bytes ---- */

/* Bytes from..to, all ASCII: the others, and bytes above, are smaller as signed numbers. */
static inline __m128i within(__m128i v, char from, char to) {
  __m128i high = _mm_add_epi8(v, _mm_set1_epi8((char)(127 - to)));
  return _mm_cmpgt_epi8(high, _mm_set1_epi8((char)(126 - (to - from))));
}

/* As fold_text does it. False: not all of them are ASCII. */
static inline bool fold_64(const char *p, char *out, bool lower) {
  const __m128i bit = _mm_set1_epi8(0x20);
  __m128i all = _mm_setzero_si128();
  for (int k = 0; k < 4; k++) {
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * k));
    all = _mm_or_si128(all, v);
    __m128i small = _mm_or_si128(v, bit), letter = within(small, 'a', 'z');
    __m128i word = _mm_or_si128(within(v, '0', '9'), _mm_cmpeq_epi8(v, _mm_set1_epi8('_')));
    v = lower ? _mm_or_si128(v, _mm_and_si128(letter, bit)) : v;
    _mm_storeu_si128((__m128i *)(void *)(out + 16 * k), _mm_and_si128(v, _mm_or_si128(word, letter)));
  }
  return _mm_movemask_epi8(all) == 0;
}

/* A bit for each byte that is not 0. */
static inline uint64_t bits_64(const char *p) {
  uint64_t m = 0;
  for (int k = 0; k < 4; k++) {
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * k));
    m |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_setzero_si128())) << (16 * k);
  }
  return ~m;
}

/* ---- A text ---- */

/* Characters from p on, at least up to `stop`; where it stopped. */
static const char *fold_chars(const char *p, const char *stop, const char *end, bool lower, char **to) {
  char *out = *to;
  while (p < stop) {
    uint32_t n, c = utf8_at(p, end, &n);
    p += n;
    if (unicode_is_word(c))
      out += utf8_put(out, lower ? unicode_lower(c) : c);
    else
      *out++ = 0;
  }
  *to = out;
  return p;
}

/* Bytes of x->low; 0 stands behind them. */
static size_t fold_text(TextWords *x, Str text, bool lower, bool *ascii) {
  const char *p = text.p, *end = text.p + text.n;
  char *out = x->low, last[64] = {0};
  *ascii = true;
  while (p < end) {
    size_t n = end - p < 64 ? (size_t)(end - p) : 64;
    const char *from = n == 64 ? p : memcpy(last, p, n);
    if (fold_64(from, out, lower)) {
      p += n;
      out += n;
    } else {
      p = fold_chars(p, p + n, end, lower, &out);
      *ascii = false;
    }
  }
  memset(out, 0, 2 * WORDS_PAD);
  return (size_t)(out - x->low);
}

/* The number of words; x->at: where they begin and end. */
static uint32_t find_edges(TextWords *x, size_t bytes) {
  uint32_t n = 0;
  uint64_t before = 0;
  for (size_t k = 0; k <= bytes; k += 64) {
    uint64_t m = bits_64(x->low + k), edge = m ^ (m << 1 | before);
    for (; edge; edge &= edge - 1)
      x->at[n++] = (uint32_t)k + (uint32_t)__builtin_ctzll(edge);
    before = m >> 63;
  }
  return n / 2;
}

static uint32_t characters(const char *p, uint32_t n) {
  uint32_t c = 0;
  for (uint32_t i = 0; i < n; i++)
    c += (p[i] & 0xc0) != 0x80;
  return c;
}

static uint32_t leave_out_short(TextWords *x, uint32_t n, uint32_t min, bool ascii) {
  uint32_t m = 0;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t from = x->at[2 * i], to = x->at[2 * i + 1];
    x->at[2 * m] = from;
    x->at[2 * m + 1] = to;
    m += (ascii ? to - from : characters(x->low + from, to - from)) >= min;
  }
  return m;
}

int64_t words_find(TextWords *x, Str text, bool lower, uint32_t min) {
  bool ascii;
  if (!make_room(x, text.n))
    return -1;
  int64_t found = x->wide ? words_find_512(x, text, lower, min) : -1;
  if (found >= 0)
    return found;
  uint32_t n = find_edges(x, fold_text(x, text, lower, &ascii));
  return min > 1 ? leave_out_short(x, n, min, ascii) : n;
}

/* ---- Keys ---- */

/* hash_bytes(HASH_WORDS, p, n) where 8 bytes behind the n can be read. n > 0. */
static inline uint64_t hash_of(const char *p, uint32_t n) {
  uint64_t h = hash_mix(HASH_WORDS + UINT64_C(0x9e3779b97f4a7c15)), w;
  uint32_t left = n;
  for (; left > 8; left -= 8, p += 8) {
    memcpy(&w, p, 8);
    h = hash_word(h, w);
  }
  memcpy(&w, p, 8);
  return hash_word(hash_word(h, w & UINT64_MAX >> (64 - 8 * left)), n);
}

static inline uint32_t key_of(uint64_t h, uint64_t width, bool sign) {
  uint64_t k = (h >> 32) * width >> 32;
  return (uint32_t)(sign ? k << 1 | (h & 1) : k);
}

enum { GROUP = 64 };

/* Words of up to 8 bytes, as numbers: as hash_of and key_of, eight at once. */
HASH_8 static void keys_avx512(const uint64_t *w, const uint64_t *n, uint64_t width, bool sign,
                               uint32_t *key) {
  const uint64_t seed = hash_mix(HASH_WORDS + UINT64_C(0x9e3779b97f4a7c15));
  const __m512i first = _mm512_set1_epi64((long long)seed), one = _mm512_set1_epi64(1);
  const __m512i times = _mm512_set1_epi64((long long)width);
  for (uint32_t i = 0; i < GROUP; i += 8) {
    __m512i h = hash_word_8(hash_word_8(first, _mm512_loadu_si512(w + i)), _mm512_loadu_si512(n + i));
    __m512i k = _mm512_srli_epi64(_mm512_mul_epu32(_mm512_srli_epi64(h, 32), times), 32);
    if (sign)
      k = _mm512_or_si512(_mm512_slli_epi64(k, 1), _mm512_and_si512(h, one));
    _mm256_storeu_si256((__m256i *)(void *)(key + i), _mm512_cvtepi64_epi32(k));
  }
}

static void hash_group(const TextWords *x, uint32_t from, uint32_t count, uint64_t width, bool sign,
                       uint32_t *out) {
  uint64_t w[GROUP], n[GROUP];
  uint32_t key[GROUP];
  bool any_long = false;
  for (uint32_t i = 0; i < count; i++) {
    const char *p = x->low + x->at[2 * (from + i)];
    n[i] = x->at[2 * (from + i) + 1] - x->at[2 * (from + i)];
    any_long |= n[i] > 8;
    memcpy(&w[i], p, 8);
    w[i] &= UINT64_MAX >> ((64 - 8 * n[i]) & 63);
  }
  for (uint32_t i = count; i < GROUP; i++)
    w[i] = n[i] = 0;
  keys_avx512(w, n, width, sign, key);
  for (uint32_t i = 0; any_long && i < count; i++)
    if (n[i] > 8)
      key[i] = key_of(hash_of(x->low + x->at[2 * (from + i)], (uint32_t)n[i]), width, sign);
  memcpy(out, key, count * sizeof *out);
}

void words_keys(const TextWords *x, uint32_t n, uint32_t width, bool sign, uint32_t *key) {
  bool wide = k_math_isa(K_ISA_AVX512) != NULL;
  for (uint32_t i = 0; wide && i < n; i += GROUP)
    hash_group(x, i, n - i < GROUP ? n - i : GROUP, width, sign, key + i);
  for (uint32_t i = 0; !wide && i < n; i++)
    key[i] = key_of(hash_of(x->low + x->at[2 * i], x->at[2 * i + 1] - x->at[2 * i]), width, sign);
}
