/* SPDX-License-Identifier: Apache-2.0 */
/* Buf and Rd; see buf.h. */
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"

void buf_free(Buf *b) {
  mem_free(b->p);
  memset(b, 0, sizeof *b);
}

void buf_clear(Buf *b) {
  b->n = 0;
  b->bad = false;
}

static bool grow(Buf *b, size_t cap) {
  uint8_t *p = mem_realloc(b->p, cap);
  if (!p) {
    b->bad = true;
    return false;
  }
  b->p = p;
  b->cap = cap;
  return true;
}

static bool reserve(Buf *b, size_t more) {
  if (b->bad)
    return false;
  if (more <= b->cap - b->n)
    return true;
  size_t cap = b->cap ? b->cap : 256;
  while (cap - b->n < more) {
    if (cap > SIZE_MAX / 4) {
      b->bad = true;
      return false;
    }
    cap *= 2;
  }
  return grow(b, cap);
}

bool buf_room(Buf *b, size_t more) {
  return !b->bad && (more <= b->cap - b->n || grow(b, b->n + more));
}

void buf_put(Buf *b, const void *p, size_t n) {
  if (!n || !reserve(b, n))
    return;
  memcpy(b->p + b->n, p, n);
  b->n += n;
}

void buf_u8(Buf *b, uint8_t v) {
  buf_put(b, &v, 1);
}

void buf_u32(Buf *b, uint32_t v) {
  buf_put(b, &v, 4); /* x86-64 is little-endian; a big-endian port swaps here and in rd_take4/8 */
}

void buf_u64(Buf *b, uint64_t v) {
  buf_put(b, &v, 8);
}

void buf_i64(Buf *b, int64_t v) {
  buf_put(b, &v, 8);
}

void buf_f64(Buf *b, double v) {
  buf_put(b, &v, 8);
}

void buf_blob(Buf *b, const void *p, size_t n) {
  buf_u64(b, n);
  buf_put(b, p, n);
}

void buf_cstr(Buf *b, const char *s) {
  buf_blob(b, s, s ? strlen(s) : 0);
}

void buf_text(Buf *b, const char *s) {
  buf_put(b, s, strlen(s));
}

void buf_printf(Buf *b, const char *fmt, ...) {
  char small[256];
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(small, sizeof small, fmt, ap);
  va_end(ap);
  if (n < 0)
    return;
  if ((size_t)n < sizeof small) {
    buf_put(b, small, (size_t)n);
    return;
  }
  if (!reserve(b, (size_t)n + 1))
    return;
  va_start(ap, fmt);
  vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, ap);
  va_end(ap);
  b->n += (size_t)n;
}

const char *buf_str(Buf *b) {
  if (!reserve(b, 1))
    return "";
  b->p[b->n] = 0;
  return (const char *)b->p;
}

Rd rd_of(Bytes b) {
  return (Rd){b.p, b.p ? b.p + b.n : b.p, false};
}

const void *rd_take(Rd *r, size_t n) {
  if (r->bad || n > (size_t)(r->end - r->p)) {
    r->bad = true;
    return NULL;
  }
  const void *p = r->p;
  r->p += n;
  return p;
}

uint8_t rd_u8(Rd *r) {
  const uint8_t *p = rd_take(r, 1);
  return p ? *p : 0;
}

uint32_t rd_u32(Rd *r) {
  uint32_t v = 0;
  const void *p = rd_take(r, 4);
  if (p)
    memcpy(&v, p, 4);
  return v;
}

uint64_t rd_u64(Rd *r) {
  uint64_t v = 0;
  const void *p = rd_take(r, 8);
  if (p)
    memcpy(&v, p, 8);
  return v;
}

int64_t rd_i64(Rd *r) {
  return (int64_t)rd_u64(r);
}

double rd_f64(Rd *r) {
  double v = 0;
  const void *p = rd_take(r, 8);
  if (p)
    memcpy(&v, p, 8);
  return v;
}

Bytes rd_blob(Rd *r) {
  uint64_t n = rd_u64(r);
  if (r->bad || n > (uint64_t)(r->end - r->p)) {
    r->bad = true;
    return (Bytes){NULL, 0};
  }
  const uint8_t *p = rd_take(r, (size_t)n);
  return (Bytes){p, (size_t)n};
}

uint64_t rd_count(Rd *r, size_t each) {
  uint64_t n = rd_u64(r);
  if (r->bad || (each && n > (uint64_t)(r->end - r->p) / each)) {
    r->bad = true;
    return 0;
  }
  return n;
}
