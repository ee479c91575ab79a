/* SPDX-License-Identifier: Apache-2.0 */
/* Hashing of bytes; see hash.h. */
#include "base/hash.h"

#include <string.h>

uint64_t hash_bytes(uint64_t seed, const void *p, size_t n) {
  const unsigned char *s = p;
  uint64_t h = hash_mix(seed + UINT64_C(0x9e3779b97f4a7c15));
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t w;
    memcpy(&w, s + i, 8);
    h = hash_word(h, w);
  }
  if (i < n) {
    uint64_t w = 0;
    memcpy(&w, s + i, n - i);
    h = hash_word(h, w);
  }
  return hash_word(h, n);
}

uint64_t hash_cstr(uint64_t seed, const char *s) {
  return hash_bytes(seed, s, strlen(s));
}
