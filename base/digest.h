/* SPDX-License-Identifier: Apache-2.0 */
/* Digests, as texts. Of programs and of what is written: SHA-256 (by nettle), 64 lower-case hexadecimal
 * digits. Of data, which may be large: BLAKE3, "blake3:" and 64 digits, those that `b3sum` prints. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum { DIGEST_HEX = 65 }; /* digits and a NUL */

void digest_bytes(Bytes b, char hex[DIGEST_HEX]);
/* The same of bytes that come one after the other. */
typedef struct Digest Digest;
Digest *digest_new(void); /* NULL: no memory */
void digest_add(Digest *d, Bytes b);
void digest_end(Digest *d, char hex[DIGEST_HEX]);
void digest_free(Digest *d);
/* *bytes (may be NULL) = size of the file. ST_RESOURCE when it cannot be read. */
Status digest_file(const char *path, char hex[DIGEST_HEX], uint64_t *bytes, Err *e);

enum { DATA_DIGEST = 7 + DIGEST_HEX };
/* Given up with ST_CANCEL as soon as stop(ctx) says so. stop may be NULL. */
Status digest_data(const char *path, bool (*stop)(void *ctx), void *ctx, char out[DATA_DIGEST], Err *e);
/* Of several files: the digest of their digests, each on a line, in their order. */
void digest_lines(Bytes lines, char out[DATA_DIGEST]);

#endif
