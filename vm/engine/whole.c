/* SPDX-License-Identifier: Apache-2.0 */
/* Is a compressed file whole? Read whole_check at the end.
 *
 * DuckDB takes a file that was cut off for one that ends there, and does not look at checksums of gzip:
 * rows would be missing without a word. So it is decompressed here once before it is read, by zlib or
 * libzstd, and what comes out is thrown away. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "vm/engine/parts.h"

enum { PIECE = 1 << 17 };

typedef struct Pieces { /* of the file, and room for what comes out */
  FILE *f;
  uint8_t *in, *out;
  size_t n;
} Pieces;

static bool next_piece(Pieces *p) {
  p->n = fread(p->in, 1, PIECE, p->f);
  return p->n > 0;
}

static Status damaged(Err *e) {
  return err_set(e, ST_DATA, "CML0403", "Fetch or make it again.",
                 "the compressed file is damaged: its checksum does not fit");
}

static Status cut_off(Err *e) {
  return err_set(e, ST_DATA, "CML0403", "Fetch or make it again.", "the compressed file was cut off");
}

static Status misnamed(Err *e) {
  return err_set(e, ST_DATA, "CML0403", "Rename it to what it is, or make it again.",
                 "the file is not compressed as its name says");
}

/* Members one behind the other; zeros may fill the end of a file. */
static Status check_gzip(Pieces *p, Err *e) {
  enum { GZIP_ONLY = 16 };
  z_stream z = {0};
  uint64_t members = 0;
  bool open = true, begun = false; /* a member is open; a byte of it came */
  if (inflateInit2(&z, MAX_WBITS + GZIP_ONLY) != Z_OK)
    return err_memory(e);
  while (e->code == ST_OK && next_piece(p)) {
    z.next_in = p->in;
    z.avail_in = (uInt)p->n;
    while (z.avail_in && e->code == ST_OK) {
      if (!open && *z.next_in != 0x1f) /* what fills the end */
        break;
      if (!open)
        inflateReset(&z);
      open = begun = true;
      z.next_out = p->out;
      z.avail_out = PIECE;
      int r = inflate(&z, Z_NO_FLUSH);
      if (r == Z_STREAM_END) {
        open = begun = false;
        members++;
      } else if (r == Z_MEM_ERROR) {
        err_memory(e);
      } else if (r != Z_OK && r != Z_BUF_ERROR) {
        (!members && z.total_out == 0 && z.total_in < 3 ? misnamed : damaged)(e);
      }
    }
    if (!open && z.avail_in)
      break;
  }
  inflateEnd(&z);
  if (e->code == ST_OK && (begun || !members))
    cut_off(e);
  return e->code;
}

/* RFC 8878, 3.1: a frame, or one to be skipped. */
static bool is_zstd(const uint8_t *p, size_t n) {
  static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd};
  return n < 4 || !memcmp(p, frame, 4) ||
         ((p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18);
}

static Status check_zstd(Pieces *p, Err *e) {
  ZSTD_DStream *z = ZSTD_createDStream();
  size_t left = 1; /* 0: a frame has ended */
  bool first = true;
  if (!z)
    return err_memory(e);
  while (e->code == ST_OK && next_piece(p)) {
    ZSTD_inBuffer in = {p->in, p->n, 0};
    if (first && !is_zstd(p->in, p->n))
      misnamed(e);
    first = false;
    while (in.pos < in.size && e->code == ST_OK) {
      ZSTD_outBuffer out = {p->out, PIECE, 0};
      left = ZSTD_decompressStream(z, &out, &in);
      if (ZSTD_isError(left))
        damaged(e);
    }
  }
  ZSTD_freeDStream(z);
  if (e->code == ST_OK && left)
    cut_off(e);
  return e->code;
}

Status whole_check(const char *file, Err *e) {
  const char *end = strrchr(file, '.');
  static const char *const other[] = {".bz2", ".xz", ".zip", ".7z", ".lz4", ".Z"};
  for (size_t i = 0; end && i < sizeof other / sizeof *other; i++)
    if (strcmp(end, other[i]) == 0) {
      err_set(e, ST_DATA, "CML0403", "Decompress it, or compress it with gzip or zstd.",
              "files compressed as %s are not read", end);
      return err_at(e, "%s", file);
    }
  if (!end || (strcmp(end, ".gz") != 0 && strcmp(end, ".zst") != 0))
    return ST_OK;
  Pieces p = {.f = fopen(file, "rb"), .in = mem_alloc(PIECE), .out = mem_alloc(PIECE)};
  if (!p.f)
    err_set(e, ST_RESOURCE, "CML0503", "Change its permissions.", "the file cannot be opened: %s",
            strerror(errno));
  else if (!p.in || !p.out)
    err_memory(e);
  else if (strcmp(end, ".gz") == 0)
    check_gzip(&p, e);
  else
    check_zstd(&p, e);
  if (p.f)
    fclose(p.f);
  mem_free(p.in);
  mem_free(p.out);
  return e->code == ST_OK ? ST_OK : err_at(e, "%s", file);
}
