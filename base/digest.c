/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and BLAKE3, as texts: see digest.h. */
#include "base/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"

static void hexadecimal(const uint8_t *d, char hex[DIGEST_HEX]) {
  static const char digit[] = "0123456789abcdef";
  for (size_t i = 0; i < DIGEST_HEX / 2; i++) {
    hex[2 * i] = digit[d[i] >> 4];
    hex[2 * i + 1] = digit[d[i] & 15];
  }
  hex[DIGEST_HEX - 1] = 0;
}

static void finish(struct sha256_ctx *c, char hex[DIGEST_HEX]) {
  uint8_t d[SHA256_DIGEST_SIZE];
  sha256_digest(c, sizeof d, d);
  hexadecimal(d, hex);
}

void digest_bytes(Bytes b, char hex[DIGEST_HEX]) {
  struct sha256_ctx c;
  sha256_init(&c);
  if (b.n)
    sha256_update(&c, b.n, b.p);
  finish(&c, hex);
}

static Status unreadable(const char *path, int why, Err *e) {
  return err_set(e, ST_RESOURCE, "CML0401", NULL, "cannot read %s: %s", path, strerror(why));
}

Status digest_file(const char *path, char hex[DIGEST_HEX], uint64_t *bytes, Err *e) {
  struct sha256_ctx c;
  uint8_t part[65536];
  uint64_t total = 0;
  size_t n;
  hex[0] = 0;
  FILE *f = fopen(path, "rb");
  if (!f)
    return unreadable(path, errno, e);
  sha256_init(&c);
  while ((n = fread(part, 1, sizeof part, f)) > 0) {
    sha256_update(&c, n, part);
    total += n;
  }
  int bad = ferror(f) ? errno : 0;
  fclose(f);
  if (bad)
    return unreadable(path, bad, e);
  finish(&c, hex);
  if (bytes)
    *bytes = total;
  return ST_OK;
}

/* ---- BLAKE3 ---- */

void digest_end(Blake3 *h, const uint8_t *p, size_t n, char out[DATA_DIGEST]) {
  uint8_t d[BLAKE3_BYTES];
  blake3_end(h, p, n, d);
  memcpy(out, "blake3:", 7);
  hexadecimal(d, out + 7);
}

/* Up to n bytes, fewer only at the end; -1: errno says why. */
static ssize_t read_all(int fd, uint8_t *p, size_t n) {
  size_t got = 0;
  while (got < n) {
    ssize_t k = read(fd, p + got, n - got);
    if (k < 0 && errno != EINTR)
      return -1;
    if (k == 0)
      break;
    got += k > 0 ? (size_t)k : 0;
  }
  return (ssize_t)got;
}

/* A piece stays in the processor's cache between being read and being looked at. */
Status digest_data(const char *path, bool (*stop)(void *ctx), void *ctx, char out[DATA_DIGEST], Err *e) {
  Blake3 h;
  out[0] = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return unreadable(path, errno, e);
  uint8_t *p = mem_alloc64(BLAKE3_PIECE + 1); /* one more: is there anything behind the piece? */
  ssize_t n = p ? read_all(fd, p, BLAKE3_PIECE + 1) : -1;
  Status st = p ? ST_OK : err_memory(e);
  blake3_init(&h);
  while (n > BLAKE3_PIECE && !st) {
    blake3_piece(&h, p);
    p[0] = p[BLAKE3_PIECE];
    n = read_all(fd, p + 1, BLAKE3_PIECE);
    n += n >= 0;
    if (stop && stop(ctx))
      st = err_set(e, ST_CANCEL, "", NULL, "interrupted");
  }
  if (!st && n < 0)
    st = unreadable(path, errno, e);
  close(fd);
  if (!st)
    digest_end(&h, p, (size_t)n, out);
  mem_free(p);
  return st;
}

void digest_lines(Bytes lines, char out[DATA_DIGEST]) {
  Blake3 h;
  blake3_init(&h);
  for (; lines.n > BLAKE3_PIECE; lines.p += BLAKE3_PIECE, lines.n -= BLAKE3_PIECE)
    blake3_piece(&h, lines.p);
  digest_end(&h, lines.p, lines.n, out);
}

const char *digest_number(const char *digest) {
  const char *colon = strchr(digest, ':');
  return colon ? colon + 1 : digest;
}
