/* SPDX-License-Identifier: Apache-2.0 */
/* Looking for a few characters in 64 bytes at once: a bit for each byte that is one of them.
 *
 *   Scan s = scan_of((const int[5]){'\n', ',', '"', -1, -1});
 *   for (w = 0; w < n; w += 64)
 *     for (uint64_t m = scan_in(&s, p + w, p + n); m; m &= m - 1)
 *       ... p[w + __builtin_ctzll(m)] ...
 *
 * 64 bytes behind p + n can be read. */
#ifndef VM_ENGINE_CSV_SCAN_H
#define VM_ENGINE_CSV_SCAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __AVX2__
#include <immintrin.h>

typedef struct Scan {
  __m256i c[5];
} Scan;

static inline Scan scan_of(const int c[5]) { /* -1: no character; the first is one */
  Scan s;
  for (int i = 0; i < 5; i++)
    s.c[i] = _mm256_set1_epi8((char)(c[i] < 0 ? c[0] : c[i]));
  return s;
}

static inline uint64_t scan_half(const Scan *s, __m256i v) {
  __m256i a = _mm256_or_si256(_mm256_cmpeq_epi8(v, s->c[0]), _mm256_cmpeq_epi8(v, s->c[1]));
  __m256i b = _mm256_or_si256(_mm256_cmpeq_epi8(v, s->c[2]), _mm256_cmpeq_epi8(v, s->c[3]));
  a = _mm256_or_si256(a, _mm256_cmpeq_epi8(v, s->c[4]));
  return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(a, b));
}

static inline __m256i scan_load(const char *p) {
  return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline uint64_t scan_all(const Scan *s, const char *p) {
  __m256i lo = scan_load(p), hi = scan_load(p + 32);
  return scan_half(s, lo) | scan_half(s, hi) << 32;
}

/* Is one of 64 bytes not ASCII? */
static inline bool scan_high(const char *p) {
  __m256i lo = scan_load(p), hi = scan_load(p + 32);
  return _mm256_movemask_epi8(_mm256_or_si256(lo, hi)) != 0;
}

#else

typedef struct Scan {
  bool is[256];
} Scan;

static inline Scan scan_of(const int c[5]) {
  Scan s = {{false}};
  for (int i = 0; i < 5; i++)
    s.is[(unsigned char)(c[i] < 0 ? c[0] : c[i])] = true;
  return s;
}

static inline uint64_t scan_all(const Scan *s, const char *p) {
  uint64_t m = 0;
  for (int i = 0; i < 64; i++)
    m |= (uint64_t)s->is[(unsigned char)p[i]] << i;
  return m;
}

static inline bool scan_high(const char *p) {
  uint64_t all = 0, x;
  for (int i = 0; i < 8; i++) {
    memcpy(&x, p + 8 * i, 8);
    all |= x;
  }
  return (all & UINT64_C(0x8080808080808080)) != 0;
}

#endif

static inline bool scan_any_high(const char *p, const char *end) {
  for (; end - p >= 64; p += 64) {
    if (scan_high(p))
      return true;
  }
  for (; p < end; p++) {
    if ((unsigned char)*p >= 0x80)
      return true;
  }
  return false;
}

static inline uint64_t scan_in(const Scan *s, const char *p, const char *end) {
  uint64_t m = scan_all(s, p);
  return end - p >= 64 ? m : m & ((UINT64_C(1) << (end - p)) - 1);
}

#endif
