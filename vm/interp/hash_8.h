/* SPDX-License-Identifier: Apache-2.0 */
/* hash_mix and hash_word of eight numbers at once, where the machine has AVX-512, which multiplies eight of
 * 64 bits. What came before it does so in pieces, and takes longer than one after the other. */
#ifndef VM_INTERP_HASH_8_H
#define VM_INTERP_HASH_8_H

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "vm/kernel/math.h"

#define HASH_8 __attribute__((target("avx512f,avx512dq,avx512vl")))

static inline bool hash_has_8(void) {
  return k_math_isa(K_ISA_AVX512) != NULL;
}

HASH_8 static inline __m512i hash_mix_8(__m512i x) {
  x = _mm512_xor_si512(x, _mm512_srli_epi64(x, 30));
  x = _mm512_mullo_epi64(x, _mm512_set1_epi64((long long)UINT64_C(0xbf58476d1ce4e5b9)));
  x = _mm512_xor_si512(x, _mm512_srli_epi64(x, 27));
  x = _mm512_mullo_epi64(x, _mm512_set1_epi64((long long)UINT64_C(0x94d049bb133111eb)));
  return _mm512_xor_si512(x, _mm512_srli_epi64(x, 31));
}

HASH_8 static inline __m512i hash_word_8(__m512i h, __m512i w) {
  const __m512i more = _mm512_set1_epi64((long long)UINT64_C(0x9e3779b97f4a7c15));
  return hash_mix_8(_mm512_xor_si512(h, hash_mix_8(_mm512_add_epi64(w, more))));
}

#endif
