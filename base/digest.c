/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256: see digest.h. */
#include "base/digest.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

static void finish(struct sha256_ctx *c, char hex[DIGEST_HEX]) {
  static const char digit[] = "0123456789abcdef";
  uint8_t d[SHA256_DIGEST_SIZE];
  sha256_digest(c, sizeof d, d);
  for (size_t i = 0; i < sizeof d; i++) {
    hex[2 * i] = digit[d[i] >> 4];
    hex[2 * i + 1] = digit[d[i] & 15];
  }
  hex[DIGEST_HEX - 1] = 0;
}

void digest_bytes(Bytes b, char hex[DIGEST_HEX]) {
  struct sha256_ctx c;
  sha256_init(&c);
  if (b.n)
    sha256_update(&c, b.n, b.p);
  finish(&c, hex);
}

Status digest_file(const char *path, char hex[DIGEST_HEX], uint64_t *bytes, Err *e) {
  return digest_file_unless(path, NULL, NULL, hex, bytes, e);
}

Status digest_file_unless(const char *path, bool (*stop)(void *ctx), void *ctx, char hex[DIGEST_HEX],
                          uint64_t *bytes, Err *e) {
  struct sha256_ctx c;
  uint8_t part[65536];
  uint64_t total = 0;
  size_t n;
  hex[0] = 0;
  FILE *f = fopen(path, "rb");
  if (!f)
    return err_set(e, ST_RESOURCE, "CML0401", NULL, "cannot read %s: %s", path, strerror(errno));
  sha256_init(&c);
  bool stopped = false;
  while (!(stopped = stop && stop(ctx)) && (n = fread(part, 1, sizeof part, f)) > 0) {
    sha256_update(&c, n, part);
    total += n;
  }
  int bad = ferror(f) ? errno : 0;
  fclose(f);
  if (stopped)
    return err_set(e, ST_CANCEL, "", NULL, "interrupted");
  if (bad)
    return err_set(e, ST_RESOURCE, "CML0401", NULL, "cannot read %s: %s", path, strerror(bad));
  finish(&c, hex);
  if (bytes)
    *bytes = total;
  return ST_OK;
}
