/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE3, after sections 2.1 to 2.6 of the paper "BLAKE3: one function, fast everywhere" (2020).
 *
 * How to read. Data are cut into chunks of 1,024 bytes, 16 blocks each; a chunk's value comes from
 * compressing block after block, and two values are compressed to that of their parent, up to the root.
 * `many` computes LANES values side by side: lane k of every vector belongs to input k. `leaves` and
 * `parents` use it for whole levels of the tree. Whatever stands at the root is compressed with a flag
 * of its own, so the end of the data has to be known before it: blake3_end. */
#include "base/blake3.h"

#include <stdbool.h>
#include <string.h>

enum { LANES = 16, BLOCK = 64, START = 1, END = 2, PARENT = 4, ROOT = 8 };

typedef uint32_t V __attribute__((vector_size(4 * LANES)));

static const uint32_t iv[8] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                               0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

/* What is compressed: inputs of `blocks` blocks, the last of which has `last` bytes. */
typedef struct Input {
  const uint8_t *p;
  size_t stride;        /* from input to input */
  uint32_t n;           /* inputs: 1..LANES */
  uint32_t blocks, last;
  bool counted;         /* chunks have numbers, parents do not */
  uint64_t first;       /* number of the first */
  uint32_t flags, start, end; /* of each block, the first, the last */
} Input;

static const uint8_t order[7][16] = {
    /* of the words of a block, in each round */
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
    {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
    {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

/* ---- Values side by side ---- */

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#define ROTATE(x, k) (((x) >> (k)) | ((x) << (32 - (k))))

#define SPLAT(x) \
  ((V){(x), (x), (x), (x), (x), (x), (x), (x), (x), (x), (x), (x), (x), (x), (x), (x)})

INLINE void mix(V *a, V *b, V *c, V *d, const V *x, const V *y) {
  *a += *b + *x;
  *d ^= *a;
  *d = ROTATE(*d, 16);
  *c += *d;
  *b ^= *c;
  *b = ROTATE(*b, 12);
  *a += *b + *y;
  *d ^= *a;
  *d = ROTATE(*d, 8);
  *c += *d;
  *b ^= *c;
  *b = ROTATE(*b, 7);
}

INLINE void round_of(V v[16], const V m[16], const uint8_t o[16]) {
  mix(&v[0], &v[4], &v[8], &v[12], &m[o[0]], &m[o[1]]);
  mix(&v[1], &v[5], &v[9], &v[13], &m[o[2]], &m[o[3]]);
  mix(&v[2], &v[6], &v[10], &v[14], &m[o[4]], &m[o[5]]);
  mix(&v[3], &v[7], &v[11], &v[15], &m[o[6]], &m[o[7]]);
  mix(&v[0], &v[5], &v[10], &v[15], &m[o[8]], &m[o[9]]);
  mix(&v[1], &v[6], &v[11], &v[12], &m[o[10]], &m[o[11]]);
  mix(&v[2], &v[7], &v[8], &v[13], &m[o[12]], &m[o[13]]);
  mix(&v[3], &v[4], &v[9], &v[14], &m[o[14]], &m[o[15]]);
}

/* t: low and high words of the numbers, bytes, flags. Rounds stand one by one, so that the order is known to
 * the compiler. */
INLINE void compress(V h[8], const V m[16], const V t[4]) {
  V v[16] = {h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7],
             SPLAT(iv[0]), SPLAT(iv[1]), SPLAT(iv[2]), SPLAT(iv[3]), t[0], t[1], t[2], t[3]};
  round_of(v, m, order[0]);
  round_of(v, m, order[1]);
  round_of(v, m, order[2]);
  round_of(v, m, order[3]);
  round_of(v, m, order[4]);
  round_of(v, m, order[5]);
  round_of(v, m, order[6]);
  UNROLL for (int i = 0; i < 8; i++) h[i] = v[i] ^ v[8 + i];
}

/* Exchanges quarters that lie across the diagonal, on one level of the recursion: S is 8, 4, 2, 1. */
#define L(l, S) ((l) & (S) ? LANES + (l) - (S) : (l))
#define R(l, S) ((l) & (S) ? LANES + (l) : (l) + (S))
#define ALL(F, S)                                                                                          \
  F(0, S), F(1, S), F(2, S), F(3, S), F(4, S), F(5, S), F(6, S), F(7, S), F(8, S), F(9, S), F(10, S),     \
      F(11, S), F(12, S), F(13, S), F(14, S), F(15, S)
#define EXCHANGE(m, S)                                                  \
  UNROLL for (int i = 0; i < LANES; i++) {                              \
    if (i & (S))                                                        \
      continue;                                                         \
    V a = (m)[i], b = (m)[i + (S)];                                     \
    (m)[i] = __builtin_shufflevector(a, b, ALL(L, S));                  \
    (m)[i + (S)] = __builtin_shufflevector(a, b, ALL(R, S));            \
  }

/* m[w] = word w of the block at p of each input. */
INLINE void words(const Input *x, const uint8_t *p, V m[16]) {
  for (uint32_t k = 0; k < LANES; k++)
    memcpy(&m[k], p + (k < x->n ? k * x->stride : 0), sizeof *m);
  EXCHANGE(m, 8)
  EXCHANGE(m, 4)
  EXCHANGE(m, 2)
  EXCHANGE(m, 1)
}

INLINE void all(const Input *x, uint8_t (*out)[BLAKE3_BYTES]) {
  V h[8], m[16], t[4] = {{0}, {0}, {0}, {0}};
  for (uint32_t k = 0; k < LANES && x->counted; k++) {
    t[0][k] = (uint32_t)(x->first + k);
    t[1][k] = (uint32_t)((x->first + k) >> 32);
  }
  UNROLL for (int i = 0; i < 8; i++) h[i] = SPLAT(iv[i]);
  for (uint32_t b = 0; b < x->blocks; b++) {
    bool end = b + 1 == x->blocks;
    uint32_t n = end ? x->last : BLOCK, flags = x->flags | (b ? 0 : x->start) | (end ? x->end : 0);
    t[2] = SPLAT(n);
    t[3] = SPLAT(flags);
    words(x, x->p + (size_t)b * BLOCK, m);
    compress(h, m, t);
  }
  for (uint32_t k = 0; k < x->n; k++) {
    uint32_t w[8];
    UNROLL for (int i = 0; i < 8; i++) w[i] = h[i][k];
    memcpy(out[k], w, sizeof w);
  }
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void all_avx512(const Input *x, uint8_t (*out)[BLAKE3_BYTES]) {
  all(x, out);
}

__attribute__((target("avx2"))) static void all_avx2(const Input *x, uint8_t (*out)[BLAKE3_BYTES]) {
  all(x, out);
}
#endif

static void all_plain(const Input *x, uint8_t (*out)[BLAKE3_BYTES]) {
  all(x, out);
}

static void many(const Input *x, uint8_t (*out)[BLAKE3_BYTES]) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) {
    all_avx512(x, out);
    return;
  }
  if (__builtin_cpu_supports("avx2")) {
    all_avx2(x, out);
    return;
  }
#endif
  all_plain(x, out);
}

/* ---- The tree ---- */

/* The values of n whole chunks, of which `first` is the number of the first. */
static void leaves(const uint8_t *p, uint32_t n, uint64_t first, uint8_t (*out)[BLAKE3_BYTES]) {
  for (uint32_t k = 0; k < n; k += LANES) {
    Input x = {.p = p + (size_t)k * BLAKE3_CHUNK, .stride = BLAKE3_CHUNK, .n = n - k < LANES ? n - k : LANES,
               .blocks = BLAKE3_CHUNK / BLOCK, .last = BLOCK, .counted = true, .first = first + k,
               .start = START, .end = END};
    many(&x, out + k);
  }
}

/* n values become those of their n / 2 parents, in place; one without a sibling stays. */
static uint32_t parents(uint8_t (*v)[BLAKE3_BYTES], uint32_t n, uint32_t root) {
  for (uint32_t k = 0; k < n / 2; k += LANES) {
    Input x = {.p = v[2 * k], .stride = 2 * BLAKE3_BYTES, .n = n / 2 - k < LANES ? n / 2 - k : LANES,
               .blocks = 1, .last = BLOCK, .flags = PARENT | root};
    uint8_t up[LANES][BLAKE3_BYTES];
    many(&x, up);
    memcpy(v[k], up, x.n * sizeof *up);
  }
  if (n & 1)
    memmove(v[n / 2], v[n - 1], sizeof *v);
  return n / 2 + (n & 1);
}

/* The last chunk, whole or not; root: there is no other. */
static void last_chunk(const uint8_t *p, size_t n, uint64_t number, bool root, uint8_t (*out)[BLAKE3_BYTES]) {
  uint8_t padded[BLAKE3_CHUNK] = {0};
  if (n)
    memcpy(padded, p, n);
  uint32_t blocks = n ? (uint32_t)((n + BLOCK - 1) / BLOCK) : 1;
  Input x = {.p = padded, .n = 1, .blocks = blocks, .last = (uint32_t)(n - (blocks - 1) * BLOCK),
             .counted = true, .first = number, .start = START, .end = END | (root ? ROOT : 0)};
  many(&x, out);
}

void blake3_init(Blake3 *h) {
  *h = (Blake3){.n = 0};
}

/* There are data behind it, so nothing here is the root. As in a binary counter: a subtree stands on the
 * stack for each 1 in the number of pieces. */
void blake3_piece(Blake3 *h, const uint8_t *p) {
  uint8_t v[BLAKE3_CHUNKS][BLAKE3_BYTES];
  leaves(p, BLAKE3_CHUNKS, h->pieces * BLAKE3_CHUNKS, v);
  for (uint32_t n = BLAKE3_CHUNKS; n > 1;)
    n = parents(v, n, 0);
  memcpy(h->stack[h->n++], v[0], sizeof *v);
  for (uint64_t k = h->pieces++; k & 1; k >>= 1)
    h->n -= 2 - parents(h->stack + h->n - 2, 2, 0);
}

void blake3_end(Blake3 *h, const uint8_t *p, size_t n, uint8_t digest[BLAKE3_BYTES]) {
  uint8_t v[BLAKE3_CHUNKS][BLAKE3_BYTES];
  uint32_t whole = n ? (uint32_t)((n - 1) / BLAKE3_CHUNK) : 0, k = whole + 1;
  uint64_t first = h->pieces * BLAKE3_CHUNKS;
  leaves(p, whole, first, v);
  size_t before = (size_t)whole * BLAKE3_CHUNK;
  last_chunk(p + before, n - before, first + whole, !h->n && !whole, v + whole);
  while (k > 1)
    k = parents(v, k, k == 2 && !h->n ? ROOT : 0);
  memcpy(h->stack[h->n++], v[0], sizeof *v);
  while (h->n > 1) {
    parents(h->stack + h->n - 2, 2, h->n == 2 ? ROOT : 0);
    h->n--;
  }
  memcpy(digest, h->stack[0], BLAKE3_BYTES);
}
