/* SPDX-License-Identifier: Apache-2.0 */
/* See flat.h. */
#include "stdlib/flat.h"

#include <string.h>

#include "base/arena.h"

Status flat_save(const void *partial, size_t bytes, Buf *out, Err *e) {
  buf_put(out, partial, bytes);
  return out->bad ? err_memory(e) : ST_OK;
}

void *flat_load(const char *pass, size_t bytes, Bytes in, Err *e) {
  if (in.n != bytes) {
    err_set(e, ST_FAULT, "CML0601", NULL, "a partial result of pass %s is damaged", pass);
    return NULL;
  }
  void *v = mem_alloc(bytes ? bytes : 1);
  if (!v)
    err_memory(e);
  else if (bytes)
    memcpy(v, in.p, bytes);
  return v;
}
