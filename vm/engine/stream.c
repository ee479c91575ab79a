/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a file, decompressed where its name says that it is compressed. Read stream_read. The file is
 * opened here, or its bytes come from somebody else.
 *
 * A file that was cut off, or does not fit its checksum, is an error at the place where that is seen. Where
 * DuckDB reads, which would take such a file for one that ends there, whole_check comes before. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "vm/engine/parts.h"

enum { PIECE = 1 << 17 };

typedef enum { PLAIN, GZIP, ZSTD } Packing;

struct Stream {
  int fd;
  ByteSource from;   /* where there is no fd */
  Packing packing;
  uint8_t in[PIECE]; /* of a compressed file */
  z_stream z;
  ZSTD_DStream *zstd;
  ZSTD_inBuffer zin;
  uint64_t members;  /* gzip: that are complete */
  bool open, begun;  /* gzip: a member is open; a byte of it came */
  bool ready;        /* gzip: inflateInit2 was called */
  bool first;        /* nothing was read */
  bool full;         /* there was no room for all of the last piece */
  bool ended;
  size_t left;       /* zstd: 0: a frame has ended */
};

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

/* Bytes of the file; *n == 0: its end. */
static Status read_bytes(Stream *s, void *p, size_t room, size_t *n, Err *e) {
  ssize_t got;
  if (s->from.read)
    return s->from.read(s->from.ctx, p, room, n, e);
  do
    got = read(s->fd, p, room);
  while (got < 0 && errno == EINTR);
  *n = got > 0 ? (size_t)got : 0;
  if (got < 0 && errno == EISDIR)
    err_set(e, ST_DATA, "CML0402", "Name its files.", "it is a folder");
  else if (got < 0)
    err_set(e, ST_RESOURCE, "CML0503", "Look at its disk.", "the file cannot be read: %s", strerror(errno));
  return e->code;
}

/* Members one behind the other; zeros may fill the end of a file. */
static Status read_gzip(Stream *s, char *out, size_t room, Err *e) {
  z_stream *z = &s->z;
  z->next_out = (Bytef *)out;
  z->avail_out = (uInt)room;
  while (z->avail_out && !s->ended && e->code == ST_OK) {
    size_t n = 0;
    if (!z->avail_in && !s->full) {
      if (read_bytes(s, s->in, PIECE, &n, e) == ST_OK && n == 0)
        s->ended = true;
      z->next_in = s->in;
      z->avail_in = (uInt)n;
      if (n == 0)
        break;
    }
    s->full = false;
    if (!s->open && z->avail_in && *z->next_in != 0x1f) { /* what fills the end */
      s->ended = true;
      break;
    }
    if (!s->open)
      inflateReset(z);
    s->open = s->begun = true;
    int r = inflate(z, Z_NO_FLUSH);
    if (r == Z_STREAM_END) {
      s->open = s->begun = false;
      s->members++;
    } else if (r == Z_MEM_ERROR) {
      err_memory(e);
    } else if (r != Z_OK && r != Z_BUF_ERROR) {
      (!s->members && z->total_out == 0 && z->total_in < 3 ? misnamed : damaged)(e);
    }
  }
  s->full = s->open && z->avail_out == 0;
  if (s->ended && e->code == ST_OK && (s->begun || !s->members))
    cut_off(e);
  return e->code;
}

/* RFC 8878, 3.1: a frame, or one to be skipped. */
static bool is_zstd(const uint8_t *p, size_t n) {
  static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd};
  return n < 4 || !memcmp(p, frame, 4) ||
         ((p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18);
}

static Status read_zstd(Stream *s, char *out, size_t room, size_t *got, Err *e) {
  ZSTD_outBuffer o = {out, room, 0};
  while (o.pos < o.size && !s->ended && e->code == ST_OK) {
    size_t n = 0;
    if (s->zin.pos == s->zin.size && !s->full) {
      if (read_bytes(s, s->in, PIECE, &n, e) == ST_OK && n == 0)
        s->ended = true;
      s->zin = (ZSTD_inBuffer){s->in, n, 0};
      if (n == 0)
        break;
      if (s->first && !is_zstd(s->in, n))
        return misnamed(e);
      s->first = false;
    }
    s->full = false;
    s->left = ZSTD_decompressStream(s->zstd, &o, &s->zin);
    if (ZSTD_isError(s->left))
      damaged(e);
  }
  s->full = s->left && o.pos == o.size;
  *got = o.pos;
  if (s->ended && e->code == ST_OK && s->left)
    cut_off(e);
  return e->code;
}

static Status start(Stream *s, Err *e) {
  enum { GZIP_ONLY = 16 };
  if (s->packing == GZIP) {
    s->ready = inflateInit2(&s->z, MAX_WBITS + GZIP_ONLY) == Z_OK;
    s->open = true;
    return s->ready ? ST_OK : err_memory(e);
  }
  s->zstd = s->packing == ZSTD ? ZSTD_createDStream() : NULL;
  return s->packing != ZSTD || s->zstd ? ST_OK : err_memory(e);
}

static Status open_file(Stream *s, const char *file, Err *e) {
  s->fd = open(file, O_RDONLY | O_CLOEXEC);
  if (s->fd < 0 && errno == ENOENT)
    err_set(e, ST_DATA, "CML0402", "Correct the path in the program.", "there is no file `%s`", file);
  else if (s->fd < 0)
    err_set(e, ST_RESOURCE, "CML0503", "Change its permissions.", "the file cannot be opened: %s",
            strerror(errno));
  return e->code;
}

/* How a file is packed, by its name. */
static Status packing_of(const char *file, Packing *out, Err *e) {
  const char *end = strrchr(file, '.');
  static const char *const other[] = {".bz2", ".xz", ".zip", ".7z", ".lz4", ".Z"};
  *out = end && !strcmp(end, ".gz") ? GZIP : end && !strcmp(end, ".zst") ? ZSTD : PLAIN;
  for (size_t i = 0; end && i < sizeof other / sizeof *other; i++)
    if (strcmp(end, other[i]) == 0) {
      err_set(e, ST_DATA, "CML0403", "Decompress it, or compress it with gzip or zstd.",
              "files compressed as %s are not read", end);
      return err_at(e, "%s", file);
    }
  return ST_OK;
}

Status stream_open(const char *file, const ByteSource *from, Stream **out, Err *e) {
  Packing packing;
  *out = NULL;
  if (packing_of(file, &packing, e) != ST_OK)
    return e->code;
  Stream *s = mem_alloc(sizeof *s);
  if (!s)
    return err_memory(e);
  s->packing = packing;
  s->first = true;
  s->left = 1;
  s->fd = -1;
  if (from)
    s->from = *from;
  if ((from || open_file(s, file, e) == ST_OK) && start(s, e) == ST_OK) {
    *out = s;
    return ST_OK;
  }
  stream_close(s);
  return err_at(e, "%s", file);
}

Status stream_read(Stream *s, char *out, size_t room, size_t *n, Err *e) {
  *n = 0;
  if (s->ended)
    return ST_OK;
  if (s->packing == PLAIN) {
    if (read_bytes(s, out, room, n, e) == ST_OK && *n == 0)
      s->ended = true;
  } else if (s->packing == ZSTD) {
    read_zstd(s, out, room, n, e);
  } else if (read_gzip(s, out, room, e) == ST_OK) {
    *n = room - s->z.avail_out;
  }
  return e->code;
}

void stream_close(Stream *s) {
  if (!s)
    return;
  if (s->fd >= 0)
    close(s->fd);
  if (s->ready)
    inflateEnd(&s->z);
  if (s->zstd)
    ZSTD_freeDStream(s->zstd);
  mem_free(s);
}

Status whole_check(const char *file, Err *e) {
  Packing packing;
  Stream *s;
  size_t n = 1;
  if (packing_of(file, &packing, e) != ST_OK || packing == PLAIN || stream_open(file, NULL, &s, e) != ST_OK)
    return e->code;
  char *out = mem_alloc(PIECE);
  if (!out)
    err_memory(e);
  while (e->code == ST_OK && n)
    stream_read(s, out, PIECE, &n, e);
  mem_free(out);
  stream_close(s);
  return e->code == ST_OK ? ST_OK : err_at(e, "%s", file);
}
