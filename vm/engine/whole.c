/* SPDX-License-Identifier: Apache-2.0 */
/* Is a compressed file whole? Read whole_check at the end, then inflate.
 *
 * DuckDB takes a file that was cut off for one that ends there, and does not look at checksums of gzip: rows
 * would be missing without a word. So a .gz file is decompressed here once before it is read, into a window that is thrown
 * away, and its checksums are compared. Formats: RFC 1952 (gzip), RFC 1951 (deflate). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vm/engine/parts.h"

enum { IN = 1 << 16, WINDOW = 1 << 15, OUT = 1 << 17, BITS = 15, LITERALS = 288, DISTANCES = 32 };

typedef struct Table { /* of a Huffman code: the next 15 bits -> symbol << 4 | its length; 0 = no code */
  uint16_t v[1 << BITS];
} Table;

typedef struct Gzip {
  FILE *f;
  uint8_t in[IN];
  size_t at, n;
  bool ended; /* bytes were asked for behind the end */
  uint64_t bits;
  unsigned nbits;
  uint8_t out[OUT]; /* the last 32 KB are kept in front when it is full */
  size_t filled, counted; /* counted: how many of them the checksum has */
  uint64_t total;
  uint32_t crc, crc_table[4][256];
  Table literal, distance;
} Gzip;

/* ---- Checksum: four bytes a step (Intel's slicing, 2006) ---- */

static void crc_start(Gzip *g) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++)
      c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
    g->crc_table[0][i] = c;
  }
  for (int t = 1; t < 4; t++) {
    for (uint32_t i = 0; i < 256; i++)
      g->crc_table[t][i] = g->crc_table[t - 1][i] >> 8 ^ g->crc_table[0][g->crc_table[t - 1][i] & 0xff];
  }
}

static void count_out(Gzip *g) {
  const uint8_t *p = g->out + g->counted;
  size_t n = g->filled - g->counted;
  uint32_t c = g->crc;
  for (; n >= 4; n -= 4, p += 4) {
    c ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    c = g->crc_table[3][c & 0xff] ^ g->crc_table[2][c >> 8 & 0xff] ^ g->crc_table[1][c >> 16 & 0xff] ^ g->crc_table[0][c >> 24];
  }
  for (; n; n--, p++)
    c = g->crc_table[0][(c ^ *p) & 0xff] ^ c >> 8;
  g->total += g->filled - g->counted;
  g->crc = c;
  g->counted = g->filled;
}

/* Room for `n` more bytes of output, n at most 258. */
static void make_room(Gzip *g, size_t n) {
  if (g->filled + n <= OUT)
    return;
  count_out(g);
  memmove(g->out, g->out + g->filled - WINDOW, WINDOW);
  g->filled = g->counted = WINDOW;
}

/* ---- Input ---- */

static int next_byte(Gzip *g) {
  if (g->at == g->n) {
    g->n = fread(g->in, 1, IN, g->f);
    g->at = 0;
    if (g->n == 0) {
      g->ended = true;
      return -1;
    }
  }
  return g->in[g->at++];
}

static inline void fill_bits(Gzip *g) {
  while (g->nbits <= 48) {
    int c = next_byte(g);
    if (c < 0)
      return; /* zeros follow; `ended` tells when they are used */
    g->bits |= (uint64_t)c << g->nbits;
    g->nbits += 8;
  }
}

static inline bool take_bits(Gzip *g, unsigned n, uint32_t *out) {
  if (g->nbits < n)
    fill_bits(g);
  if (g->nbits < n)
    return false;
  *out = (uint32_t)(g->bits & ((UINT64_C(1) << n) - 1));
  g->bits >>= n;
  g->nbits -= n;
  return true;
}

/* ---- Codes ---- */

static uint32_t reversed(uint32_t v, unsigned n) {
  uint32_t r = 0;
  for (unsigned i = 0; i < n; i++)
    r |= (v >> i & 1) << (n - 1 - i);
  return r;
}

/* Canonical codes from their lengths. False: too many codes for the lengths. */
static bool make_table(Table *t, const uint8_t *length, unsigned n) {
  uint32_t count[BITS + 1] = {0}, next[BITS + 2] = {0}, code = 0, used = 0;
  memset(t, 0, sizeof *t);
  for (unsigned i = 0; i < n; i++)
    count[length[i]]++;
  count[0] = 0;
  for (unsigned k = 1; k <= BITS; k++) {
    code = (code + count[k - 1]) << 1;
    next[k] = code;
    used += count[k] << (BITS - k);
  }
  if (used > 1u << BITS)
    return false;
  for (unsigned i = 0; i < n; i++) {
    unsigned k = length[i];
    if (!k)
      continue;
    for (uint32_t v = reversed(next[k]++, k); v < 1u << BITS; v += 1u << k)
      t->v[v] = (uint16_t)(i << 4 | k);
  }
  return true;
}

static inline int symbol(Gzip *g, const Table *t) {
  if (g->nbits < BITS)
    fill_bits(g);
  unsigned e = t->v[g->bits & ((1u << BITS) - 1)], k = e & 15;
  if (k == 0 || k > g->nbits)
    return -1;
  g->bits >>= k;
  g->nbits -= k;
  return (int)(e >> 4);
}

/* ---- Blocks ---- */

static bool stored(Gzip *g) {
  uint32_t skip, size, complement, byte;
  if (!take_bits(g, g->nbits % 8, &skip) || !take_bits(g, 16, &size) || !take_bits(g, 16, &complement) ||
      size != (complement ^ 0xffff))
    return false;
  for (uint32_t i = 0; i < size; i++) {
    if (!take_bits(g, 8, &byte))
      return false;
    make_room(g, 1);
    g->out[g->filled++] = (uint8_t)byte;
  }
  return true;
}

static bool fixed_tables(Gzip *g) {
  uint8_t length[LITERALS];
  for (int i = 0; i < LITERALS; i++)
    length[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
  if (!make_table(&g->literal, length, LITERALS))
    return false;
  memset(length, 5, DISTANCES);
  return make_table(&g->distance, length, DISTANCES);
}

static bool dynamic_tables(Gzip *g) {
  static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  uint8_t length[LITERALS + DISTANCES] = {0}, small[19] = {0};
  uint32_t nl, nd, nc, v;
  if (!take_bits(g, 5, &nl) || !take_bits(g, 5, &nd) || !take_bits(g, 4, &nc))
    return false;
  nl += 257;
  nd += 1;
  if (nl > LITERALS || nd > DISTANCES)
    return false;
  for (uint32_t i = 0; i < nc + 4; i++) {
    if (!take_bits(g, 3, &v))
      return false;
    small[order[i]] = (uint8_t)v;
  }
  if (!make_table(&g->literal, small, 19))
    return false;
  for (uint32_t i = 0; i < nl + nd;) {
    int s = symbol(g, &g->literal);
    uint32_t times = 1;
    uint8_t what = (uint8_t)s;
    if (s < 0 || (s == 16 && i == 0))
      return false;
    if (s >= 16) {
      if (!take_bits(g, s == 16 ? 2 : s == 17 ? 3 : 7, &times))
        return false;
      times += s == 18 ? 11 : 3;
      what = s == 16 ? length[i - 1] : 0;
    }
    if (i + times > nl + nd)
      return false;
    memset(length + i, what, times);
    i += times;
  }
  return make_table(&g->distance, length + nl, nd) && make_table(&g->literal, length, nl);
}

static bool copy_match(Gzip *g, int s) {
  static const uint16_t base[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                  31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
  static const uint8_t more[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
  static const uint16_t far[] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
  uint32_t extra, n, back;
  if (s - 257 > 28 || !take_bits(g, more[s - 257], &extra))
    return false;
  n = base[s - 257] + extra;
  int d = symbol(g, &g->distance);
  if (d < 0 || d > 29 || !take_bits(g, d < 4 ? 0 : (unsigned)d / 2 - 1, &extra))
    return false;
  back = far[d] + extra;
  make_room(g, n);
  if (back > g->filled)
    return false;
  for (uint32_t i = 0; i < n; i++, g->filled++)
    g->out[g->filled] = g->out[g->filled - back];
  return true;
}

static bool coded(Gzip *g) {
  for (;;) {
    int s = symbol(g, &g->literal);
    if (s < 0)
      return false;
    if (s == 256)
      return true;
    if (s > 256) {
      if (!copy_match(g, s))
        return false;
      continue;
    }
    make_room(g, 1);
    g->out[g->filled++] = (uint8_t)s;
  }
}

static bool inflate(Gzip *g) {
  uint32_t last = 0, kind = 0;
  while (!last) {
    if (!take_bits(g, 1, &last) || !take_bits(g, 2, &kind))
      return false;
    bool ok = kind == 0   ? stored(g)
              : kind == 1 ? fixed_tables(g) && coded(g)
              : kind == 2 ? dynamic_tables(g) && coded(g)
                          : false;
    if (!ok)
      return false;
  }
  return true;
}

/* ---- Members ---- */

static bool skip_text(Gzip *g) {
  uint32_t c = 1;
  while (c)
    if (!take_bits(g, 8, &c))
      return false;
  return true;
}

/* The header of a member, behind its first two bytes. */
static bool header(Gzip *g) {
  uint32_t method, flag, v, extra = 0;
  if (!take_bits(g, 8, &method) || method != 8 || !take_bits(g, 8, &flag) || flag & 0xe0)
    return false;
  for (int i = 0; i < 6; i++)
    if (!take_bits(g, 8, &v))
      return false;
  if (flag & 4 && !take_bits(g, 16, &extra))
    return false;
  while (extra--)
    if (!take_bits(g, 8, &v))
      return false;
  return (!(flag & 8) || skip_text(g)) && (!(flag & 16) || skip_text(g)) && (!(flag & 2) || take_bits(g, 16, &v));
}

static bool member(Gzip *g, bool *sums) {
  uint32_t skip, low, high, size_low, size_high;
  g->filled = g->counted = 0;
  g->total = 0;
  g->crc = 0xffffffff;
  if (!header(g) || !inflate(g))
    return false;
  count_out(g);
  if (!take_bits(g, g->nbits % 8, &skip) || !take_bits(g, 16, &low) || !take_bits(g, 16, &high) ||
      !take_bits(g, 16, &size_low) || !take_bits(g, 16, &size_high))
    return false;
  *sums = (low | high << 16) == (g->crc ^ 0xffffffff) && (size_low | size_high << 16) == (uint32_t)g->total;
  return true;
}

/* Members one behind the other; zeros may fill the end of a file. */
static Status check(Gzip *g, const char *file, Err *e) {
  static const char again[] = "Fetch or make it again.";
  for (uint64_t n = 0;; n++) {
    uint32_t a = 0, b = 0;
    bool sums = true, begins = take_bits(g, 8, &a) && take_bits(g, 8, &b);
    if (n > 0 && (!begins || a != 0x1f))
      return ST_OK;
    if (begins && (a != 0x1f || b != 0x8b))
      err_set(e, ST_DATA, "CML0403", "Rename it to what it is, or make it again.", "the file is not compressed as its name says");
    if (e->code == ST_OK) {
      bool whole = begins && member(g, &sums);
      if (!whole && (g->ended || !begins))
        err_set(e, ST_DATA, "CML0403", again, "the compressed file was cut off");
      else if (!whole || !sums)
        err_set(e, ST_DATA, "CML0403", again, "the compressed file is damaged: its checksum does not fit");
    }
    if (e->code != ST_OK)
      return err_at(e, "%s", file);
  }
}

static Status check_gzip(FILE *f, const char *file, Err *e) {
  Gzip *g = mem_alloc(sizeof *g);
  if (!g)
    return err_memory(e);
  memset(g, 0, sizeof *g);
  g->f = f;
  crc_start(g);
  check(g, file, e);
  mem_free(g);
  return e->code;
}

/* ---- Zstandard (RFC 8878): only the lengths of blocks are followed; DuckDB finds what is wrong inside them ---- */

static bool little(FILE *f, unsigned n, uint64_t *out) {
  uint8_t b[8];
  *out = 0;
  if (fread(b, 1, n, f) != n)
    return false;
  for (unsigned i = 0; i < n; i++)
    *out |= (uint64_t)b[i] << 8 * i;
  return true;
}

/* Moves over n bytes that must be there. */
static bool over(FILE *f, uint64_t n) {
  return n == 0 || (fseek(f, (long)(n - 1), SEEK_CUR) == 0 && fgetc(f) != EOF);
}

static bool zstd_frame(FILE *f) {
  static const uint8_t dictionary[] = {0, 1, 2, 4}, content[] = {0, 2, 4, 8};
  uint64_t flag, block = 0;
  if (!little(f, 1, &flag))
    return false;
  bool single = flag >> 5 & 1;
  unsigned size = content[flag >> 6] + (single && flag >> 6 == 0);
  if (!over(f, !single + dictionary[flag & 3] + size))
    return false;
  while (!(block & 1)) {
    if (!little(f, 3, &block) || !over(f, (block >> 1 & 3) == 1 ? 1 : block >> 3))
      return false;
  }
  return over(f, flag >> 2 & 1 ? 4 : 0);
}

static Status check_zstd(FILE *f, const char *file, Err *e) {
  uint64_t magic, n;
  for (bool first = true;; first = false) {
    int c = fgetc(f);
    if (c == EOF && !first)
      return ST_OK;
    ungetc(c, f);
    bool begins = little(f, 4, &magic), skipped = begins && (magic & ~UINT64_C(15)) == 0x184d2a50;
    if (begins && !skipped && magic != 0xfd2fb528)
      err_set(e, ST_DATA, "CML0403", "Rename it to what it is, or make it again.", "the file is not compressed as its name says");
    else if (!begins || (skipped ? !little(f, 4, &n) || !over(f, n) : !zstd_frame(f)))
      err_set(e, ST_DATA, "CML0403", "Fetch or make it again.", "the compressed file was cut off");
    if (e->code != ST_OK)
      return err_at(e, "%s", file);
  }
}

Status whole_check(const char *file, Err *e) {
  const char *end = strrchr(file, '.');
  static const char *const other[] = {".bz2", ".xz", ".zip", ".7z", ".lz4", ".Z"};
  for (size_t i = 0; end && i < sizeof other / sizeof *other; i++)
    if (strcmp(end, other[i]) == 0) {
      err_set(e, ST_DATA, "CML0403", "Decompress it, or compress it with gzip or zstd.", "files compressed as %s are not read", end);
      return err_at(e, "%s", file);
    }
  if (!end || (strcmp(end, ".gz") != 0 && strcmp(end, ".zst") != 0))
    return ST_OK;
  FILE *f = fopen(file, "rb");
  if (!f) {
    err_set(e, ST_RESOURCE, "CML0503", "Change its permissions.", "the file cannot be opened: %s", strerror(errno));
    return err_at(e, "%s", file);
  }
  if (strcmp(end, ".gz") == 0)
    check_gzip(f, file, e);
  else
    check_zstd(f, file, e);
  fclose(f);
  return e->code;
}
