/* SPDX-License-Identifier: Apache-2.0 */
/* Snappy decompression, for pages of Parquet files. Source: google/snappy, format_description.txt: the length
 * as a varint, then literals and copies of what came before. Nothing of the input is believed. */
#include <string.h>

#include "vm/engine/parquet.h"

static inline uint32_t little(const uint8_t *p, uint32_t n) {
  uint32_t v = 0;
  for (uint32_t i = 0; i < n; i++)
    v |= (uint32_t)p[i] << (8 * i);
  return v;
}

/* Copies n bytes from `back` bytes before; they may overlap: then what is written repeats. */
static inline void copy_back(uint8_t *out, uint32_t back, uint32_t n) {
  const uint8_t *from = out - back;
  if (back >= 16 && n <= 64) {
    for (uint32_t i = 0; i < n; i += 16) /* may write up to 15 bytes too many, which come later */
      memcpy(out + i, from + i, 16);
  } else if (back >= n) {
    memcpy(out, from, n);
  } else {
    for (uint32_t i = 0; i < n; i++)
      out[i] = from[i];
  }
}

bool snappy_decode(const uint8_t *in, size_t n, uint8_t *out, size_t nout) {
  const uint8_t *end = in + n;
  Thrift t = {in, end, false}; /* its varint is the same */
  if (thrift_varint(&t) != nout || t.bad)
    return false;
  const uint8_t *p = t.p;
  uint8_t *o = out, *oend = out + nout;
  while (p < end) {
    uint32_t tag = *p++, len, more;
    if (!(tag & 3)) {
      len = (tag >> 2) + 1;
      more = len > 60 ? len - 60 : 0;
      if (more > (size_t)(end - p))
        return false;
      if (more) {
        len = little(p, more);
        if (len == UINT32_MAX)
          return false;
        len++;
      }
      p += more;
      if (len > (size_t)(end - p) || len > (size_t)(oend - o))
        return false;
      memcpy(o, p, len);
      p += len;
      o += len;
      continue;
    }
    more = (tag & 3) == 3 ? 4 : tag & 3;
    if (more > (size_t)(end - p))
      return false;
    uint32_t back = little(p, more);
    len = (tag >> 2) + 1;
    if ((tag & 3) == 1) {
      len = (tag >> 2 & 7) + 4;
      back |= (tag >> 5) << 8;
    }
    p += more;
    if (!back || back > (size_t)(o - out) || len > (size_t)(oend - o))
      return false;
    copy_back(o, back, len);
    o += len;
  }
  return o == oend;
}
