/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn 2020), plain hashing, 32 bytes: a cryptographic digest
 * that is a tree, so that many pieces are computed side by side in one vector register; several times as fast
 * as SHA-256 with the processor's own instructions for it. For large files; `b3sum` computes the same.
 *
 *     Blake3 h;
 *     blake3_init(&h);
 *     while (more than BLAKE3_PIECE bytes are left)
 *       blake3_piece(&h, the next BLAKE3_PIECE bytes);
 *     blake3_end(&h, the rest, n, digest);                // 0 <= n <= BLAKE3_PIECE; 0 only if that is all */
#ifndef BASE_BLAKE3_H
#define BASE_BLAKE3_H

#include <stddef.h>
#include <stdint.h>

enum {
  BLAKE3_BYTES = 32,
  BLAKE3_CHUNK = 1024,
  BLAKE3_CHUNKS = 256,  /* of a piece: a complete subtree */
  BLAKE3_PIECE = BLAKE3_CHUNK * BLAKE3_CHUNKS,
};

typedef struct Blake3 {
  uint64_t pieces;
  uint32_t n;                       /* subtrees that wait for a sibling on their right */
  uint8_t stack[64][BLAKE3_BYTES];
} Blake3;

void blake3_init(Blake3 *h);
void blake3_piece(Blake3 *h, const uint8_t *p);
void blake3_end(Blake3 *h, const uint8_t *p, size_t n, uint8_t digest[BLAKE3_BYTES]);

#endif
