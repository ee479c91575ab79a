/* SPDX-License-Identifier: Apache-2.0 */
/* Snappy, for pages of Parquet files. Source: google/snappy, format_description.txt: the length as a varint,
 * then literals and copies of what came before. Of what is decompressed nothing is believed. */
#include <string.h>

#include "vm/engine/parquet_write.h"

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

/* What each tag says, in one word: the bytes that it stands for (7 bits), the upper bits of a distance
 * where they are in the tag (bits 8 to 10), whether it is a literal (bit 15), how many bits of a distance
 * are behind it (from bit 16 on). 0: what is rare, a literal whose length is behind the tag, 32 bits of a
 * distance. */
#define WORD(n, high, whole, bits) ((n) | (high) << 8 | (whole) << 15 | (bits) << 16)
#define LITERAL(t) ((t) >> 2 < 60 ? WORD(((t) >> 2) + 1, 0, 1, 0) : 0)
#define NEAR(t) WORD(((t) >> 2 & 7) + 4, (t) >> 5, 0, 8)
#define FAR(t) WORD(((t) >> 2) + 1, 0, 0, 16)
#define FOUR(t) LITERAL(t), NEAR((t) + 1), FAR((t) + 2), 0
#define TAGS_16(t) FOUR(t), FOUR((t) + 4), FOUR((t) + 8), FOUR((t) + 12)
#define TAGS_64(t) TAGS_16(t), TAGS_16((t) + 16), TAGS_16((t) + 32), TAGS_16((t) + 48)
static const uint32_t says[256] = {TAGS_64(0), TAGS_64(64), TAGS_64(128), TAGS_64(192)};

enum { AHEAD = 128 }; /* more bytes than a tag takes, or a copy that goes too far */

/* a where the bits of `which` are 1, b where they are 0: no jump that would be guessed wrong. */
static inline uintptr_t either(uintptr_t which, uintptr_t a, uintptr_t b) {
  return (a & which) | (b & ~which);
}

/* Tags at *in, as long as AHEAD bytes are left on either side. Literals and copies are the same steps: which
 * of them comes next cannot be foreseen. The time goes by from one tag to the next: it is fetched from where
 * it lies behind a literal and behind a copy. Stops at what is rare, or wrong. */
static void decode_most(const uint8_t **in, const uint8_t *end, const uint8_t *out, uint8_t **to,
                        const uint8_t *oend) {
  const uint8_t *p = *in;
  uint8_t *o = *to;
  uintptr_t tag = *p;
  while (end - p > AHEAD && oend - o > AHEAD) {
    uintptr_t copy = tag & 3, literal = copy - 1, n = (tag >> 2) + 1;
    literal = (uintptr_t)((intptr_t)literal >> (8 * sizeof literal - 1)); /* all bits, where copy is 0 */
    uintptr_t next = either(literal, p[n + 1], p[copy + 1]);
    uint32_t t = says[tag], len = t & 127;
    uint16_t word;
    memcpy(&word, p + 1, 2);
    uint32_t back = (word & ((1u << (t >> 16)) - 1)) + (t & 0x700);
    const uint8_t *from = (const uint8_t *)either(literal, (uintptr_t)(p + 1), (uintptr_t)o - back);
    if ((!t) | ((copy != 0) & ((back < 16) | (back > (size_t)(o - out)))))
      break;
    memcpy(o, from, 16);
    if (len > 16) {
      memcpy(o + 16, from + 16, 16);
      memcpy(o + 32, from + 32, 16);
      memcpy(o + 48, from + 48, 16);
    }
    o += len;
    p += 1 + either(literal, n, copy);
    tag = next;
  }
  *in = p;
  *to = o;
}

/* The tag at *in, whatever it is. */
static bool decode_one(const uint8_t **in, const uint8_t *end, const uint8_t *out, uint8_t **to,
                       const uint8_t *oend) {
  const uint8_t *p = *in;
  uint32_t tag = *p++, len = (tag >> 2) + 1, more = (tag & 3) == 3 ? 4 : tag & 3;
  bool literal = !(tag & 3);
  if (literal && len > 60)
    more = len - 60;
  if (more > (size_t)(end - p))
    return false;
  uint32_t said = little(p, more);
  p += more;
  if ((tag & 3) == 1) {
    len = (tag >> 2 & 7) + 4;
    said |= tag >> 5 << 8;
  }
  if (literal && more) {
    if (said == UINT32_MAX)
      return false;
    len = said + 1;
  }
  if (len > (size_t)(oend - *to))
    return false;
  if (literal) {
    if (len > (size_t)(end - p))
      return false;
    memcpy(*to, p, len);
    p += len;
  } else {
    if (!said || said > (size_t)(*to - out))
      return false;
    copy_back(*to, said, len);
  }
  *to += len;
  *in = p;
  return true;
}

bool snappy_decode(const uint8_t *in, size_t n, uint8_t *out, size_t nout) {
  const uint8_t *end = in + n;
  Thrift t = {in, end, false}; /* its varint is the same */
  if (thrift_varint(&t) != nout || t.bad)
    return false;
  const uint8_t *p = t.p;
  uint8_t *o = out, *oend = out + nout;
  while (p < end) {
    decode_most(&p, end, out, &o, oend);
    if (!decode_one(&p, end, out, &o, oend))
      return false;
  }
  return o == oend;
}

/* ---- Compression ----
 *
 * Pieces of 64 KB, of which copies reach back no further than to their beginning. A table has the place where
 * four bytes of a hash were seen last; the first that are the same there are taken, as far as they go. Where
 * nothing is found for long, ever more bytes are passed over. */

enum { PIECE = 1 << 16, TABLE_BITS = 14, TAIL = 16 }; /* the last bytes of a piece are not looked at */

static inline uint32_t four(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return v;
}

static inline uint32_t place(uint32_t v) {
  return v * UINT32_C(0x9e3779b1) >> (32 - TABLE_BITS);
}

static uint8_t *put_literal(uint8_t *o, const uint8_t *p, uint32_t n) {
  if (!n)
    return o;
  if (n <= 60) {
    *o++ = (uint8_t)((n - 1) << 2);
  } else if (n <= 256) {
    *o++ = 60 << 2;
    *o++ = (uint8_t)(n - 1);
  } else { /* a piece has 64 KB */
    *o++ = 61 << 2;
    *o++ = (uint8_t)(n - 1);
    *o++ = (uint8_t)((n - 1) >> 8);
  }
  memcpy(o, p, n);
  return o + n;
}

static inline uint8_t *put_copy_64(uint8_t *o, uint32_t back, uint32_t n) {
  *o++ = (uint8_t)((n - 1) << 2 | 2);
  *o++ = (uint8_t)back;
  *o++ = (uint8_t)(back >> 8);
  return o;
}

static uint8_t *put_copy(uint8_t *o, uint32_t back, uint32_t n) {
  for (; n >= 68; n -= 64)
    o = put_copy_64(o, back, 64);
  if (n > 64) { /* four are left at least: a copy of fewer costs as much */
    o = put_copy_64(o, back, 60);
    n -= 60;
  }
  if (n > 11 || back >= 2048)
    return put_copy_64(o, back, n);
  *o++ = (uint8_t)(back >> 8 << 5 | (n - 4) << 2 | 1);
  *o++ = (uint8_t)back;
  return o;
}

/* Bytes from p on that are as those from `from` on; nothing is read at `end` or behind. */
static inline uint32_t alike(const uint8_t *from, const uint8_t *p, const uint8_t *end) {
  const uint8_t *begin = p;
  while (end - p >= 8) {
    uint64_t a, b;
    memcpy(&a, from, 8);
    memcpy(&b, p, 8);
    if (a != b)
      return (uint32_t)(p - begin) + (uint32_t)__builtin_ctzll(a ^ b) / 8;
    p += 8;
    from += 8;
  }
  while (p < end && *p == *from) {
    p++;
    from++;
  }
  return (uint32_t)(p - begin);
}

static uint8_t *put_piece(uint8_t *o, const uint8_t *in, uint32_t n, uint16_t *table) {
  const uint8_t *end = in + n, *done = in, *p = in + 1;
  const uint8_t *last = n > TAIL ? end - TAIL : in;
  memset(table, 0, SNAPPY_TABLE * sizeof *table);
  for (uint32_t far = 32; p < last;) {
    uint16_t *t = &table[place(four(p))];
    const uint8_t *seen = in + *t;
    *t = (uint16_t)(p - in);
    if (four(seen) != four(p)) {
      p += far++ >> 5;
      continue;
    }
    uint32_t len = 4 + alike(seen + 4, p + 4, end);
    o = put_literal(o, done, (uint32_t)(p - done));
    o = put_copy(o, (uint32_t)(p - seen), len);
    done = p += len;
    far = 32;
    if (p < last)
      table[place(four(p - 1))] = (uint16_t)(p - 1 - in);
  }
  return put_literal(o, done, (uint32_t)(end - done));
}

size_t snappy_encode(const uint8_t *in, size_t n, uint8_t *out, uint16_t *table) {
  uint8_t *o = out;
  for (size_t v = n; ; v >>= 7) {
    *o++ = (uint8_t)(v > 127 ? v | 128 : v);
    if (v <= 127)
      break;
  }
  for (size_t at = 0; at < n; at += PIECE)
    o = put_piece(o, in + at, n - at < PIECE ? (uint32_t)(n - at) : PIECE, table);
  return (size_t)(o - out);
}
