/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 of bytes and files, as 64 lower-case hexadecimal digits. By nettle. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum { DIGEST_HEX = 65 }; /* digits and a NUL */

void digest_bytes(Bytes b, char hex[DIGEST_HEX]);
/* *bytes (may be NULL) = size of the file. ST_RESOURCE when it cannot be read. */
Status digest_file(const char *path, char hex[DIGEST_HEX], uint64_t *bytes, Err *e);
/* The same, given up with ST_CANCEL as soon as stop(ctx) says so: files may be large. stop may be NULL. */
Status digest_file_unless(const char *path, bool (*stop)(void *ctx), void *ctx, char hex[DIGEST_HEX],
                          uint64_t *bytes, Err *e);

#endif
