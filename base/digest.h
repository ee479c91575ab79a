/* SPDX-License-Identifier: Apache-2.0 */
/* Digests, as texts. Of programs and bundles: SHA-256 (by nettle), 64 lower-case hexadecimal digits. Of data
 * that are read or written, which may be large: BLAKE3, "blake3:" and 64 digits, as `b3sum` prints them. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>

#include "base/blake3.h"
#include "base/buf.h"
#include "base/err.h"

enum { DIGEST_HEX = 65 }; /* digits and a NUL */

void digest_bytes(Bytes b, char hex[DIGEST_HEX]);
/* *bytes (may be NULL) = size of the file. ST_RESOURCE when it cannot be read. */
Status digest_file(const char *path, char hex[DIGEST_HEX], uint64_t *bytes, Err *e);

enum { DATA_DIGEST = 7 + DIGEST_HEX };
/* Of data that come piece by piece: as blake3_end, the text to `out`. */
void digest_end(Blake3 *h, const uint8_t *p, size_t n, char out[DATA_DIGEST]);
/* Given up with ST_CANCEL as soon as stop(ctx) says so. stop may be NULL. */
Status digest_data(const char *path, bool (*stop)(void *ctx), void *ctx, char out[DATA_DIGEST], Err *e);
/* Of several files: the digest of their digests, each on a line, in their order. */
void digest_lines(Bytes lines, char out[DATA_DIGEST]);
/* The digits of a digest of either kind. */
const char *digest_number(const char *digest);

#endif
