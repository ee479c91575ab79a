/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of a column chunk -> slices of rows: levels, dictionaries, encodings. Read pq_walk.
 *
 * A thread makes a block from whatever pages its rows lie in: it goes over the headers of those before. What
 * the next block needs as well, a page that goes on or a dictionary, stays decompressed beside the file. */
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "vm/engine/parquet.h"

enum { BEHIND = 64 }; /* bytes that can be read, or written, behind what was decompressed */

static Status damaged(const PqWalk *w, const char *what, Err *e) {
  err_set(e, ST_DATA, "CML0403", "Make it again.", "the file is damaged: %s", what);
  return err_at(e, "%s", w->f->path);
}

static Status read_at(const PqWalk *w, void *p, size_t n, uint64_t at, Err *e) {
  return pq_read(w->f, p, n, at) ? ST_OK : damaged(w, "it was cut off while it was read", e);
}

/* Room for n bytes and some behind them; what was there is lost. */
static uint8_t *room(uint8_t **p, size_t *have, size_t n, Err *e) {
  if (*p && *have >= n)
    return *p;
  mem_free(*p);
  *have = 0;
  *p = mem_alloc64(n + n / 8 + BEHIND);
  if (*p)
    *have = n + n / 8;
  else
    err_memory(e);
  return *p;
}

/* ---- Headers ---- */

static void data_header(Thrift *t, PqPage *p) {
  int id = 0, type;
  while ((type = thrift_field(t, &id)) != 0) {
    switch (id) {
    case 1: p->n = (uint32_t)thrift_int(t); break;
    case 2: p->encoding = (int)thrift_int(t); break;
    default: thrift_skip(t, type); break;
    }
  }
}

static void data_header_2(Thrift *t, PqPage *p) {
  int id = 0, type;
  int64_t rows = -1, levels = 0;
  p->packed = true;
  while ((type = thrift_field(t, &id)) != 0) {
    switch (id) {
    case 1: p->n = (uint32_t)thrift_int(t); break;
    case 3: rows = thrift_int(t); break;
    case 4: p->encoding = (int)thrift_int(t); break;
    case 5: levels = thrift_int(t); break;
    case 6: t->bad |= thrift_int(t) != 0; break; /* repetition: only lists have it */
    case 7: p->packed = type == THRIFT_TRUE; break;
    default: thrift_skip(t, type); break;
    }
  }
  t->bad |= rows != (int64_t)p->n || levels < 0 || levels > INT32_MAX;
  p->levels = (uint32_t)levels;
}

/* A page header at t. Fields may come in any order, and again: what it says is compared at its end. */
static void page_header(Thrift *t, PqPage *p) {
  int id = 0, type;
  int64_t plain = -1, stored = -1;
  *p = (PqPage){.type = -1, .encoding = -1};
  while ((type = thrift_field(t, &id)) != 0) {
    switch (id) {
    case 1: p->type = (int)thrift_int(t); break;
    case 2: plain = thrift_int(t); break;
    case 3:
      stored = thrift_int(t);
      p->stored = stored < 0 || stored > INT32_MAX ? 0 : (uint32_t)stored;
      break;
    case 5:
    case 7: data_header(t, p); break; /* of a dictionary the first two fields are the same */
    case 8: data_header_2(t, p); break;
    default: thrift_skip(t, type); break;
    }
  }
  t->bad |= plain < 0 || stored < 0 || plain > INT32_MAX || stored > INT32_MAX || p->n > INT32_MAX;
  p->plain = (uint32_t)plain;
  if (p->type != 3)
    p->levels = 0;
  t->bad |= p->levels > p->plain || p->levels > p->stored;
}

/* The header of the page at w->at; w->body is where it begins, w->at behind it. */
static Status next_header(PqWalk *w, Err *e) {
  uint8_t text[4096];
  for (size_t most = 512;; most *= 8) { /* statistics may make it long */
    uint64_t left = w->chunk->end - w->at;
    size_t n = left < most ? (size_t)left : most;
    uint8_t *p = most > sizeof text ? mem_alloc64(n + 1) : text;
    if (!p)
      return err_memory(e);
    if (!n || most > 1 << 24) {
      damaged(w, "a column has too few values", e);
    } else if (read_at(w, p, n, w->at, e) == ST_OK) {
      Thrift t = {p, p + n, false};
      page_header(&t, &w->page);
      w->body = w->at + (uint64_t)(t.p - p);
      bool ok = !t.bad;
      if (p != text)
        mem_free(p);
      if (ok && w->page.stored <= w->chunk->end - w->body) {
        w->at = w->body + w->page.stored;
        return ST_OK;
      }
      if (ok || n == left)
        return damaged(w, "a page header", e);
      continue;
    }
    if (p != text)
      mem_free(p);
    return e->code;
  }
}

/* ---- Bytes of a page ---- */

static bool inflate_page(const uint8_t *in, size_t n, uint8_t *out, size_t nout) {
  z_stream z = {.next_in = (Bytef *)in, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)nout};
  if (inflateInit2(&z, 15 + 32) != Z_OK)
    return false;
  int r = inflate(&z, Z_FINISH);
  bool ok = r == Z_STREAM_END && z.total_out == nout;
  inflateEnd(&z);
  return ok;
}

static bool unpack(PqWalk *w, PqCodec codec, const uint8_t *in, size_t n, uint8_t *out, size_t nout) {
  switch (codec) {
  case PQ_SNAPPY: return snappy_decode(in, n, out, nout);
  case PQ_ZSTD:
    if (!w->zstd)
      w->zstd = ZSTD_createDCtx();
    return w->zstd && ZSTD_decompressDCtx(w->zstd, out, nout, in, n) == nout;
  case PQ_GZIP: return inflate_page(in, n, out, nout);
  default: break;
  }
  if (n == nout)
    memcpy(out, in, n);
  return n == nout;
}

/* Bytes that n compressed ones can become, at most: a header that claims more gets no memory. Snappy: a copy
 * of 64 has 3 bytes; deflate: one of 258 has two bits; Zstandard: a block of 128 KiB has 4 bytes. */
static uint64_t most_from(PqCodec codec, uint64_t n) {
  return n * (codec == PQ_SNAPPY ? 22 : codec == PQ_GZIP ? 1032 : 1 << 15);
}

/* Bytes that the values of a page can take, at most: a few of them may pad their last group, and runs of
 * one value each have bytes of their own. Of texts nobody knows. */
static uint64_t most_of(const PqWalk *w) {
  enum { VALUE = 16, MORE = 1 << 16 };
  return w->type == PQ_BYTES ? UINT64_MAX : (uint64_t)w->page.n * VALUE + MORE;
}

/* The page at hand is as large as its rows make it, and there is memory for it. */
static Status check_size(const PqWalk *w, Err *e) {
  const PqPage *g = &w->page;
  bool dict = g->type == 2;
  uint64_t need = g->plain;
  if (need > most_of(w))
    return damaged(w, "a page has more bytes than its values", e);
  if (dict && w->type == PQ_BYTES) /* where each text is, and its number (reader_parquet_own.c) */
    need += (uint64_t)g->n * (sizeof(uint8_t *) + sizeof(uint32_t));
  if (need <= w->f->page_most)
    return ST_OK;
  enum { MB = 1 << 20 };
  err_set(e, ST_RESOURCE, "CML0502", "Give it more with --memory, or write the file with smaller pages.",
          "a page takes %llu MB of memory, and %llu MB are there for one", (unsigned long long)(need / MB),
          (unsigned long long)(w->f->page_most / MB));
  return err_at(e, "%s", w->f->path);
}

enum { HELD_MOST = 32 << 20 }; /* bytes of a file's pages that are held */

/* The page at hand, where another block left it: in w->held. */
static bool find_held(PqWalk *w, int dict) {
  PqFile *f = (PqFile *)w->f;
  pq_held_drop(w->held[dict]);
  w->held[dict] = NULL;
  pthread_mutex_lock(&f->lock);
  PqHeld *h = f->held[2 * w->col + (uint32_t)dict];
  if (h && h->body == w->body && h->n == w->page.plain) {
    atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
    w->held[dict] = h;
  }
  pthread_mutex_unlock(&f->lock);
  return w->held[dict] != NULL;
}

/* Leaves it there for others, where there is room. */
static void leave_held(PqWalk *w, int dict, const uint8_t *bytes) {
  PqFile *f = (PqFile *)w->f;
  PqHeld **at = &f->held[2 * w->col + (uint32_t)dict], *old = NULL;
  if (w->page.plain > HELD_MOST)
    return;
  PqHeld *h = mem_alloc64(sizeof *h + w->page.plain + BEHIND);
  if (!h)
    return;
  atomic_init(&h->refs, 1);
  h->body = w->body;
  h->n = w->page.plain;
  memcpy(h->bytes, bytes, h->n);
  pthread_mutex_lock(&f->lock);
  uint64_t other = f->bytes - (*at ? (*at)->n : 0);
  if (other + h->n <= HELD_MOST) {
    f->bytes = other + h->n;
    old = *at;
    *at = h;
  } else {
    old = h;
  }
  pthread_mutex_unlock(&f->lock);
  pq_held_drop(old);
}

/* The page as it was before compression: in *p with its room, or in w->raw. */
static Status fresh_bytes(PqWalk *w, uint8_t **p, size_t *have, const uint8_t **out, Err *e) {
  const PqPage *g = &w->page;
  if (!room(&w->raw, &w->nraw, g->stored, e) || read_at(w, w->raw, g->stored, w->body, e) != ST_OK)
    return e->code;
  uint32_t levels = g->levels;
  bool stored = w->chunk->codec == PQ_STORED || (g->type == 3 && !g->packed);
  if (stored && g->stored != g->plain)
    return damaged(w, "a page header", e);
  if (stored && p == &w->plain) {
    *out = w->raw;
    return ST_OK;
  }
  if (!stored && g->plain - levels > most_from(w->chunk->codec, g->stored - levels))
    return damaged(w, "a page header", e);
  if (!room(p, have, g->plain, e))
    return e->code;
  if (levels)
    memcpy(*p, w->raw, levels);
  *out = *p;
  bool ok = g->plain == levels || /* nothing: some writers do not compress that */
            unpack(w, stored ? PQ_STORED : w->chunk->codec, w->raw + levels, g->stored - levels,
                   *p + levels, g->plain - levels);
  return ok ? ST_OK : damaged(w, "a page cannot be decompressed", e);
}

/* The page as it was before compression; `again`: another block will want it. */
static Status page_bytes(PqWalk *w, bool again, const uint8_t **out, Err *e) {
  int dict = w->page.type == 2;
  bool packed = w->chunk->codec != PQ_STORED;
  if (packed && find_held(w, dict)) {
    *out = w->held[dict]->bytes;
    return ST_OK;
  }
  if (check_size(w, e) != ST_OK)
    return e->code;
  Status st = dict ? fresh_bytes(w, &w->dict_room, &w->ndict, out, e)
                   : fresh_bytes(w, &w->plain, &w->nplain, out, e);
  if (!st && packed && again)
    leave_held(w, dict, *out);
  return st;
}

/* ---- Runs ---- */

static void run_begin(PqRun *r, const uint8_t *p, const uint8_t *end, uint32_t bits) {
  *r = (PqRun){.p = p, .end = end, .bits = bits};
}

static bool run_next(PqRun *r) {
  Thrift t = {r->p, r->end, false};
  uint64_t head = thrift_varint(&t);
  uint32_t bytes = (r->bits + 7) / 8;
  uint64_t n = head >> 1;
  if (t.bad || !n || n > INT32_MAX / 8)
    return false;
  r->packed = head & 1;
  uint64_t left = (uint64_t)(r->end - t.p);
  if (r->packed) {
    r->group = t.p;
    r->at = 0;
    r->left = (uint32_t)n * 8;
    if (n * r->bits > left) { /* the last group may be short of bytes that nobody needs */
      if (!r->bits)
        return false;
      r->left = (uint32_t)(left * 8 / r->bits);
      n = 0;
      r->p = r->end;
      return r->left > 0;
    }
    r->p = t.p + n * r->bits;
    return true;
  }
  if (bytes > left)
    return false;
  r->value = 0;
  for (uint32_t i = 0; i < bytes; i++)
    r->value |= (uint32_t)t.p[i] << (8 * i);
  r->left = (uint32_t)n;
  r->p = t.p + bytes;
  return true;
}

/* Numbers of a packed run, from number `at` on; 8 bytes behind the page can be read. */
static void unpack_numbers(const uint8_t *p, uint32_t bits, uint64_t at, uint32_t n, uint32_t *out) {
  uint64_t mask = (UINT64_C(1) << bits) - 1;
  for (uint32_t i = 0; i < n; i++) {
    uint64_t bit = (at + i) * bits, word;
    memcpy(&word, p + bit / 8, sizeof word);
    out[i] = (uint32_t)(word >> (bit & 7) & mask);
  }
}

/* n numbers to `out`, or passed over where it is NULL. */
static bool run_read(PqRun *r, uint32_t *out, uint32_t n) {
  while (n) {
    if (!r->left && !run_next(r))
      return false;
    uint32_t m = r->left < n ? r->left : n;
    if (out && r->packed)
      unpack_numbers(r->group, r->bits, r->at, m, out);
    for (uint32_t i = 0; out && !r->packed && i < m; i++)
      out[i] = r->value;
    r->at += m;
    r->left -= m;
    n -= m;
    out = out ? out + m : NULL;
  }
  return true;
}

/* ---- Levels: 1 where a row has a value ---- */

static inline void bits_to_bytes(const uint8_t *p, uint32_t at, uint32_t n, uint8_t *out) {
  uint32_t i = 0;
  for (; i < n && (at + i) % 8; i++)
    out[i] = p[(at + i) / 8] >> ((at + i) % 8) & 1;
  for (; n - i >= 8; i += 8) { /* bit k to byte k */
    uint64_t x = p[(at + i) / 8] * UINT64_C(0x0101010101010101) & UINT64_C(0x8040201008040201);
    x = (x + UINT64_C(0x7f7f7f7f7f7f7f7f)) >> 7 & UINT64_C(0x0101010101010101);
    memcpy(out + i, &x, 8);
  }
  for (; i < n; i++)
    out[i] = p[(at + i) / 8] >> ((at + i) % 8) & 1;
}

/* Ones among the next n levels; they go to `out`, where that is not NULL. */
static bool read_levels(PqRun *r, uint8_t *out, uint32_t n, uint32_t *ones) {
  *ones = 0;
  while (n) {
    if (!r->left && !run_next(r))
      return false;
    uint32_t m = r->left < n ? r->left : n;
    if (!r->packed) {
      if (r->value > 1)
        return false;
      if (out)
        memset(out, (int)r->value, m);
      *ones += r->value * m;
    } else {
      uint8_t part[2048];
      for (uint32_t i = 0, k; i < m; i += k) {
        k = m - i < sizeof part ? m - i : (uint32_t)sizeof part;
        uint8_t *to = out ? out + i : part;
        bits_to_bytes(r->group, r->at + i, k, to);
        uint32_t sum = 0;
        for (uint32_t j = 0; j < k; j++)
          sum += to[j];
        *ones += sum;
      }
    }
    r->at += m;
    r->left -= m;
    n -= m;
    out = out ? out + m : NULL;
  }
  return true;
}

/* ---- Slices ---- */

static uint32_t width_of(PqType t) {
  return t == PQ_I32 || t == PQ_F32 ? 4 : t == PQ_I64 || t == PQ_F64 ? 8 : 0;
}

static Status read_dict(PqWalk *w, Err *e) {
  const uint8_t *p;
  if (w->page.encoding != 0 && w->page.encoding != 2)
    return damaged(w, "a dictionary of an encoding that is not known", e);
  uint32_t width = width_of(w->type);
  if (w->type == PQ_BOOL || (uint64_t)w->page.n * (width ? width : 4) > w->page.plain)
    return damaged(w, "a dictionary", e);
  if (page_bytes(w, true, &p, e) != ST_OK)
    return e->code;
  w->dict = (PqDict){w->page.n, p, p + w->page.plain};
  w->new_dict = true;
  return ST_OK;
}

/* Passes over n PLAIN values. */
static bool pass_over(const PqWalk *w, const uint8_t **p, const uint8_t *end, uint32_t n) {
  uint32_t width = width_of(w->type);
  if (width) {
    if ((uint64_t)n * width > (uint64_t)(end - *p))
      return false;
    *p += (size_t)n * width;
    return true;
  }
  for (; n; n--) {
    uint32_t len;
    if (end - *p < 4)
      return false;
    memcpy(&len, *p, 4);
    if (len > (size_t)(end - *p) - 4)
      return false;
    *p += 4 + (size_t)len;
  }
  return true;
}

/* Truth values, PLAIN (bits) or as runs, become numbers. */
static bool bool_values(PqWalk *w, const uint8_t *p, const uint8_t *end, uint32_t skip, uint32_t n) {
  if (w->page.encoding == 0) {
    if (((uint64_t)skip + n + 7) / 8 > (uint64_t)(end - p))
      return false;
    unpack_numbers(p, 1, skip, n, w->code);
    return true;
  }
  PqRun r;
  uint32_t len;
  if (end - p < 4)
    return false;
  memcpy(&len, p, 4);
  if (len > (size_t)(end - p) - 4)
    return false;
  run_begin(&r, p + 4, p + 4 + len, 1);
  return run_read(&r, NULL, skip) && run_read(&r, w->code, n);
}

/* Numbers of the dictionary, all of them in it. */
static bool codes(PqWalk *w, const uint8_t *p, const uint8_t *end, uint32_t skip, uint32_t n) {
  PqRun r;
  if (!n)
    return true;
  if (p == end || *p > 31)
    return false;
  run_begin(&r, p + 1, end, *p);
  if (!run_read(&r, NULL, skip) || !run_read(&r, w->code, n))
    return false;
  uint32_t most = 0;
  for (uint32_t i = 0; i < n; i++)
    most = w->code[i] > most ? w->code[i] : most;
  return most < w->dict.n;
}

/* Rows skip .. skip + n of the page at hand. */
static Status slice(PqWalk *w, uint32_t skip, uint32_t n, PqSlice *out, Err *e) {
  const uint8_t *p, *end;
  const PqPage *g = &w->page;
  uint32_t before = skip, have = n;
  if (page_bytes(w, skip + n < g->n, &p, e) != ST_OK)
    return e->code;
  end = p + g->plain;
  if (w->optional) {
    uint32_t len = g->levels;
    PqRun r;
    if (g->type == 0) {
      if (end - p < 4)
        return damaged(w, "a page", e);
      memcpy(&len, p, 4);
      p += 4;
    }
    if (len > (size_t)(end - p))
      return damaged(w, "a page", e);
    run_begin(&r, p, p + len, 1);
    if (!read_levels(&r, NULL, skip, &before) || !read_levels(&r, w->there, n, &have))
      return damaged(w, "the levels of a page", e);
    p += len;
  } else {
    p += g->levels;
  }
  *out = (PqSlice){.n = n, .nvalue = have, .there = have < n ? w->there : NULL, .end = end};
  bool ok = true;
  if (!have) { /* a page of nulls may have no values, and no dictionary */
    out->code = w->code;
    out->value = end;
  } else if (w->type == PQ_BOOL && (g->encoding == 0 || g->encoding == 3)) {
    ok = bool_values(w, p, end, before, have);
    out->code = w->code;
  } else if (g->encoding == 0 && w->type != PQ_BOOL) {
    ok = pass_over(w, &p, end, before);
    out->value = p;
    ok = ok && pass_over(w, &p, end, have);
  } else if (g->encoding == 2 || g->encoding == 8) {
    ok = w->dict.value && codes(w, p, end, before, have);
    out->code = w->code;
    out->coded = true;
  } else {
    return damaged(w, "a page of an encoding that its column does not announce", e);
  }
  return ok ? ST_OK : damaged(w, "the values of a page", e);
}

Status pq_walk_begin(PqWalk *w, const PqFile *f, uint32_t group, uint32_t col, Err *e) {
  w->f = f;
  w->chunk = &f->chunk[(size_t)group * f->ncol + col];
  w->col = col;
  w->type = f->col[col].type;
  w->optional = f->col[col].optional;
  w->rows = f->first[group + 1] - f->first[group];
  w->at = w->chunk->from;
  w->row = w->end = 0;
  w->dict = (PqDict){0, NULL, NULL};
  w->new_dict = true;
  enum { MOST = 1 << 16 };
  if (!w->there)
    w->there = mem_alloc64(MOST + 8);
  if (!w->code)
    w->code = mem_alloc64((MOST + 8) * sizeof *w->code);
  return w->there && w->code ? ST_OK : err_memory(e);
}

Status pq_find(PqWalk *w, uint64_t row, Err *e) {
  while (w->end <= row) {
    if (next_header(w, e) != ST_OK)
      return e->code;
    if (w->page.type == 2 && w->row == w->end && w->end == 0) {
      if (read_dict(w, e) != ST_OK)
        return e->code;
    } else if (w->page.type == 0 || w->page.type == 3) {
      w->row = w->end;
      w->end += w->page.n;
      if (w->end > w->rows)
        return damaged(w, "a column has more values than its row group has rows", e);
    }
  }
  return ST_OK;
}

Status pq_walk(PqWalk *w, uint64_t row, uint32_t n, PqSlice *out, Err *e) {
  if (pq_find(w, row, e) != ST_OK)
    return e->code;
  uint64_t left = w->end - row;
  return slice(w, (uint32_t)(row - w->row), left < n ? (uint32_t)left : n, out, e);
}

void pq_walk_free(PqWalk *w) {
  pq_held_drop(w->held[0]);
  pq_held_drop(w->held[1]);
  mem_free(w->raw);
  mem_free(w->plain);
  mem_free(w->dict_room);
  mem_free(w->there);
  mem_free(w->code);
  ZSTD_freeDCtx(w->zstd);
  *w = (PqWalk){0};
}
