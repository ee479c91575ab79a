/* SPDX-License-Identifier: Apache-2.0 */
/* Texts and keys where the machine has AVX-512 with instructions for bytes (VBMI2): what words.c and
 * op_sparse.c do otherwise, with the same results.
 *
 *   words_find_512   64 characters of ASCII at once; where words begin and end is a mask, whose places are
 *                    packed without a loop over them
 *   keys_sort_512    up to 256 keys, in registers: a network of K. E. Batcher, "Sorting networks and their
 *                    applications", AFIPS 1968, 16 keys a register; no branch depends on a key */
#include "vm/interp/words.h"

#include <immintrin.h>

#include "vm/kernel/math.h"

#define WITH_512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2")))

bool words_have_512(void) {
  return k_math_isa(K_ISA_AVX512) && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vbmi2");
}

/* ---- Words ---- */

/* The places of the bits of m, k more each, at `at`: how many. 15 more are written. */
WITH_512 static inline uint32_t put_places(uint64_t m, uint32_t k, uint32_t *at) {
  const __m512i first = _mm512_set_epi8(
      63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39,
      38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14,
      13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i base = _mm512_set1_epi32((int)k);
  __m512i v = _mm512_maskz_compress_epi8(m, first);
  uint32_t n = (uint32_t)__builtin_popcountll(m);
  for (uint32_t i = 0; i < n; i += 16) {
    _mm512_storeu_si512(at + i, _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_castsi512_si128(v)), base));
    v = _mm512_shuffle_i32x4(v, v, 0x39); /* the next 16 */
  }
  return n;
}

/* Leaves out words of fewer than `min` bytes. */
WITH_512 static uint32_t leave_short(uint32_t *at, uint32_t n, uint32_t min) {
  const __m512i low = _mm512_set1_epi64(UINT32_MAX), least = _mm512_set1_epi64(min);
  uint32_t m = 0;
  for (uint32_t i = 0; i < n; i += 8) {
    __m512i v = _mm512_loadu_si512(at + 2 * (size_t)i);
    __m512i len = _mm512_sub_epi64(_mm512_srli_epi64(v, 32), _mm512_and_si512(v, low));
    uint32_t in = n - i < 8 ? (1u << (n - i)) - 1 : 255;
    __mmask8 keep = (__mmask8)(_mm512_cmpge_epu64_mask(len, least) & in);
    _mm512_storeu_si512(at + 2 * (size_t)m, _mm512_maskz_compress_epi64(keep, v));
    m += (uint32_t)__builtin_popcount(keep);
  }
  return m;
}

WITH_512 int64_t words_find_512(TextWords *x, Str text, bool lower, uint32_t min) {
  const __m512i bit = _mm512_set1_epi8(0x20);
  uint32_t n = 0;
  uint64_t before = 0;
  for (size_t k = 0; k <= text.n; k += 64) { /* the last one ends a word that goes up to the end */
    size_t left = text.n - k;
    __mmask64 in = left < 64 ? (UINT64_C(1) << left) - 1 : UINT64_MAX;
    __m512i v = _mm512_maskz_loadu_epi8(in, text.p + k), small = _mm512_or_si512(v, bit);
    __mmask64 letter =
        _mm512_cmplt_epu8_mask(_mm512_sub_epi8(small, _mm512_set1_epi8('a')), _mm512_set1_epi8(26));
    __mmask64 digit = _mm512_cmplt_epu8_mask(_mm512_sub_epi8(v, _mm512_set1_epi8('0')), _mm512_set1_epi8(10));
    uint64_t m = letter | digit | _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('_'));
    if (_mm512_movepi8_mask(v))
      return -1;
    _mm512_storeu_si512(x->low + k,
                        _mm512_maskz_mov_epi8(m, lower ? _mm512_mask_mov_epi8(v, letter, small) : v));
    n += put_places(m ^ (m << 1 | before), (uint32_t)k, x->at + n);
    before = m >> 63;
  }
  _mm512_storeu_si512(x->low + text.n, _mm512_setzero_si512());
  return min > 1 ? leave_short(x->at, n / 2, min) : n / 2;
}

/* ---- Keys ---- */

/* Lane by lane: the smaller to a, the larger to b. */
#define EXCHANGE(a, b)                          \
  do {                                          \
    __m512i more = _mm512_max_epu32((a), (b));  \
    (a) = _mm512_min_epu32((a), (b));           \
    (b) = more;                                 \
  } while (0)

/* Lane i of v with lane i ^ x; `upper`: those that take the larger. */
#define LANES(v, x, upper)                                                   \
  do {                                                                       \
    __m512i other = _mm512_xor_si512(lane, _mm512_set1_epi32(x));            \
    __m512i w = _mm512_permutexvar_epi32(other, (v));                        \
    (v) = _mm512_mask_max_epu32(_mm512_min_epu32((v), w), (upper), (v), w);  \
  } while (0)

#define ALL(r) _Pragma("GCC unroll 16") for (int r = 0; r < 16; r++) if (r < n)

/* Sorts `count` keys in n registers, a power of two: in each register, then two of them together, four ...
 * What was sorted on either side is exchanged with the other side turned round, then half with half. */
__attribute__((always_inline)) WITH_512 static inline void network(const uint32_t *in, uint32_t count,
                                                                   uint32_t *out, int n) {
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i turn = _mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  __m512i v[16];
  ALL(r) {
    __mmask16 there = _mm512_cmplt_epi32_mask(lane, _mm512_set1_epi32((int)count - 16 * r));
    v[r] = _mm512_mask_loadu_epi32(_mm512_set1_epi32(-1), there, in + 16 * r);
  }
  ALL(r) LANES(v[r], 1, 0xaaaa);
  ALL(r) LANES(v[r], 3, 0xcccc);
  ALL(r) LANES(v[r], 1, 0xaaaa);
  ALL(r) LANES(v[r], 7, 0xf0f0);
  ALL(r) LANES(v[r], 2, 0xcccc);
  ALL(r) LANES(v[r], 1, 0xaaaa);
  ALL(r) LANES(v[r], 15, 0xff00);
  ALL(r) LANES(v[r], 4, 0xf0f0);
  ALL(r) LANES(v[r], 2, 0xcccc);
  ALL(r) LANES(v[r], 1, 0xaaaa);
  _Pragma("GCC unroll 4") for (int run = 2; run <= 16; run *= 2) if (run <= n) {
    ALL(r) {
      int far = r / run * run + run - 1 - r % run;
      if (r > far)
        continue;
      v[far] = _mm512_permutexvar_epi32(turn, v[far]);
      EXCHANGE(v[r], v[far]);
      v[far] = _mm512_permutexvar_epi32(turn, v[far]);
    }
    _Pragma("GCC unroll 4") for (int half = run / 4; half; half /= 2) ALL(r) {
      if (r % (2 * half) < half)
        EXCHANGE(v[r], v[(r + half) % 16]);
    }
    ALL(r) LANES(v[r], 8, 0xff00);
    ALL(r) LANES(v[r], 4, 0xf0f0);
    ALL(r) LANES(v[r], 2, 0xcccc);
    ALL(r) LANES(v[r], 1, 0xaaaa);
  }
  ALL(r) _mm512_storeu_si512(out + 16 * r, v[r]);
}

#define NETWORK(n) \
  WITH_512 static void network_##n(const uint32_t *in, uint32_t count, uint32_t *out) { \
    network(in, count, out, n); \
  }
NETWORK(1)
NETWORK(2)
NETWORK(4)
NETWORK(8)
NETWORK(16)

void keys_sort_512(const uint32_t *in, uint32_t n, uint32_t *out) {
  if (n <= 16)
    network_1(in, n, out);
  else if (n <= 32)
    network_2(in, n, out);
  else if (n <= 64)
    network_4(in, n, out);
  else if (n <= 128)
    network_8(in, n, out);
  else
    network_16(in, n, out);
}
