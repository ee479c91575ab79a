/* SPDX-License-Identifier: Apache-2.0 */
/* Buf: a growing byte buffer; Rd: a bounded reader over bytes. Together they are every serialised form that
 * travels or is stored.
 *
 * Little-endian, unaligned. A Buf that ran out of memory remembers it (`bad`) and swallows what follows,
 * so that a writer tests once, at the end. A reader that ran past the end likewise: it returns zeros and
 * sets `bad`. Reading never trusts a length. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Bytes {
  const uint8_t *p;
  size_t n;
} Bytes;

typedef struct Buf {
  uint8_t *p;
  size_t n, cap;
  bool bad; /* memory ran out: the content is not to be used */
} Buf;

void buf_free(Buf *b);
void buf_clear(Buf *b); /* empties, keeps the storage */
bool buf_room(Buf *b, size_t more); /* for exactly so many more bytes; false, and bad: no memory */
void buf_put(Buf *b, const void *p, size_t n);
void buf_u8(Buf *b, uint8_t v);
void buf_u32(Buf *b, uint32_t v);
void buf_u64(Buf *b, uint64_t v);
void buf_i64(Buf *b, int64_t v);
void buf_f64(Buf *b, double v);
void buf_blob(Buf *b, const void *p, size_t n); /* u64 length, bytes */
void buf_cstr(Buf *b, const char *s);           /* as a blob; NULL as "" */
void buf_printf(Buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* text, without NUL */
void buf_text(Buf *b, const char *s);                                               /* text, without NUL */
const char *buf_str(Buf *b); /* the content as a NUL-terminated string, "" when bad; valid until the next
                              * call */

static inline Bytes buf_bytes(const Buf *b) {
  return (Bytes){b->p, b->n};
}

typedef struct Rd {
  const uint8_t *p, *end;
  bool bad;
} Rd;

Rd rd_of(Bytes b);
uint8_t rd_u8(Rd *r);
uint32_t rd_u32(Rd *r);
uint64_t rd_u64(Rd *r);
int64_t rd_i64(Rd *r);
double rd_f64(Rd *r);
Bytes rd_blob(Rd *r);                    /* points into the input; {NULL, 0} when bad */
const void *rd_take(Rd *r, size_t n);    /* n bytes in place, or NULL and bad */
uint64_t rd_count(Rd *r, size_t each);   /* a u64 count whose items take at least `each` bytes: bounded by
                                          * what is left, else bad */
static inline bool rd_done(const Rd *r) { /* everything read, nothing missing */
  return !r->bad && r->p == r->end;
}

#endif
