/* SPDX-License-Identifier: Apache-2.0 */
/* Hashing and counter-based random numbers: our own, versioned, part of the meaning of a program (splits,
 * folds), so they never change within a version. Not for security: for that there is digest.h. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

enum { HASH_VERSION = 1 };

/* The finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
 * OOPSLA 2014): a bijection. */
static inline uint64_t hash_mix(uint64_t x) {
  x ^= x >> 30;
  x *= UINT64_C(0xbf58476d1ce4e5b9);
  x ^= x >> 27;
  x *= UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

/* Folds one more word into a running hash. */
static inline uint64_t hash_word(uint64_t h, uint64_t w) {
  return hash_mix(h ^ hash_mix(w + UINT64_C(0x9e3779b97f4a7c15)));
}

/* Bytes: 8 at a time (little-endian, the rest zero-filled), then the length. */
uint64_t hash_bytes(uint64_t seed, const void *p, size_t n);
uint64_t hash_cstr(uint64_t seed, const char *s);

/* A random word from (key, counter); the same everywhere and in any order. */
static inline uint64_t rng_word(uint64_t key, uint64_t counter) {
  return hash_mix(key + hash_mix(counter + UINT64_C(0x9e3779b97f4a7c15)));
}

/* The 53 upper bits as a number in [0, 1). */
static inline double unit_of(uint64_t w) {
  return (double)(w >> 11) * 0x1p-53;
}

#endif
