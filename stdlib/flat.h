/* SPDX-License-Identifier: Apache-2.0 */
/* Partial results that are one array: saved as it is, loaded where the length is right. */
#ifndef CML_STDLIB_FLAT_H
#define CML_STDLIB_FLAT_H

#include "base/buf.h"
#include "base/err.h"

Status flat_save(const void *partial, size_t bytes, Buf *out, Err *e);
/* From mem_alloc; NULL: no memory, or not of that length. */
void *flat_load(const char *pass, size_t bytes, Bytes in, Err *e);

#endif
