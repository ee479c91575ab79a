/* SPDX-License-Identifier: Apache-2.0 */
/* Map: byte strings to a small number, insertion-ordered. Keys are copied. Open addressing, grows by
 * doubling.
 *
 * Entries are numbered 0.. in the order they came: `entry` is an array one can walk, and the number serves
 * as an index into arrays of the owner. Memory is mem_*: map_add returns -1 when it is used up. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct MapEntry {
  const char *key; /* `n` bytes and a NUL behind them */
  uint32_t n;
  uint64_t hash;
  void *val; /* the owner's */
} MapEntry;

typedef struct MapPool MapPool;

typedef struct Map {
  MapEntry *entry; /* in order of insertion */
  uint32_t n, cap;
  uint32_t *slot; /* entry number + 1, or 0 */
  uint32_t nslot; /* a power of two, or 0 */
  MapPool *pool;  /* where keys are stored */
} Map;

void map_free(Map *m);
int64_t map_find(const Map *m, const void *key, size_t n);      /* entry number, or -1 */
/* finds or adds; *fresh (may be NULL) = 1 if added; -1: no memory */
int64_t map_add(Map *m, const void *key, size_t n, int *fresh);
void *map_get(const Map *m, const char *key);                   /* val of a C string key, or NULL */
int map_set(Map *m, const char *key, void *val);                /* 0, or -1: no memory */

#endif
