/* SPDX-License-Identifier: Apache-2.0 */
/* The footer of a Parquet file: which columns there are and where their bytes lie. Read pq_open.
 *
 * Source: the format's specification and parquet.thrift (apache/parquet-format), Thrift's compact protocol
 * (doc/specs/thrift-compact-protocol.md). Numbers in the file are believed only where they fit: pages are
 * read inside of their chunk, chunks inside of the file. */
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/engine/parquet.h"

/* ---- Thrift ---- */

uint64_t thrift_varint(Thrift *t) {
  uint64_t v = 0;
  for (uint32_t shift = 0; shift < 64 && t->p < t->end; shift += 7) {
    uint8_t b = *t->p++;
    v |= (uint64_t)(b & 127) << shift;
    if (b < 128)
      return v;
  }
  t->bad = true;
  t->p = t->end;
  return 0;
}

int64_t thrift_int(Thrift *t) {
  uint64_t v = thrift_varint(t);
  return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

static uint8_t thrift_byte(Thrift *t) {
  if (t->p < t->end)
    return *t->p++;
  t->bad = true;
  return 0;
}

int thrift_field(Thrift *t, int *id) {
  uint8_t b = thrift_byte(t);
  if (t->bad || !(b & 15))
    return 0;
  int64_t next = b >> 4 ? *id + (b >> 4) : thrift_int(t);
  t->bad |= next < 0 || next > 1 << 15;
  *id = t->bad ? 0 : (int)next;
  return t->bad ? 0 : b & 15;
}

uint32_t thrift_list(Thrift *t, int *type) {
  uint8_t b = thrift_byte(t);
  uint64_t n = b >> 4;
  *type = b & 15;
  if (n == 15)
    n = thrift_varint(t);
  if (n > (uint64_t)(t->end - t->p)) { /* an element has a byte at least */
    t->bad = true;
    return 0;
  }
  return (uint32_t)n;
}

static void skip_bytes(Thrift *t, uint64_t n) {
  if (n > (uint64_t)(t->end - t->p)) {
    t->bad = true;
    t->p = t->end;
  } else {
    t->p += n;
  }
}

static void skip_deep(Thrift *t, int type, int depth) {
  int id = 0, of;
  if (depth > 32)
    t->bad = true;
  if (t->bad)
    return;
  switch (type) {
  case THRIFT_TRUE:
  case THRIFT_FALSE: break;
  case 3: skip_bytes(t, 1); break;
  case 4:
  case 5:
  case 6: thrift_varint(t); break;
  case 7: skip_bytes(t, 8); break;
  case THRIFT_BYTES: skip_bytes(t, thrift_varint(t)); break;
  case THRIFT_LIST:
  case 10:
    for (uint32_t n = thrift_list(t, &of); n && !t->bad; n--) {
      if (of == THRIFT_TRUE || of == THRIFT_FALSE)
        skip_bytes(t, 1); /* in lists a truth value has a byte */
      else
        skip_deep(t, of, depth + 1);
    }
    break;
  case THRIFT_STRUCT:
    while ((of = thrift_field(t, &id)) != 0)
      if (of != THRIFT_TRUE && of != THRIFT_FALSE)
        skip_deep(t, of, depth + 1);
    break;
  default: t->bad = true; break; /* maps are nowhere in what is read here */
  }
}

void thrift_skip(Thrift *t, int type) {
  skip_deep(t, type, 0);
}

static Bytes thrift_bytes(Thrift *t) {
  uint64_t n = thrift_varint(t);
  const uint8_t *p = t->p;
  skip_bytes(t, n);
  return t->bad ? (Bytes){NULL, 0} : (Bytes){p, (size_t)n};
}

/* ---- The footer ---- */

typedef struct Leaf { /* a column of the schema */
  Bytes name;
  int64_t type, repetition, converted;
  bool nested, micros, logical_time;
} Leaf;

typedef struct Meta {
  uint32_t nleaf;
  Leaf *leaf;        /* in the order of a row group's chunks */
  uint32_t *wanted;  /* of a leaf: number of the column + 1 */
  PqFile *f;
  uint64_t size;     /* of the file */
  int64_t values;    /* of each wanted column of the group at hand; -1: none so far */
  bool strange;      /* nothing for us */
  bool fewer;        /* than no rows: DuckDB would give none, and say nothing */
} Meta;

/* LogicalType, a union: field 8 is a timestamp {1: in UTC, 2: a union of units, the second of which is
 * microseconds}. */
static void logical_type(Thrift *t, Leaf *out) {
  int id = 0, type;
  while ((type = thrift_field(t, &id)) != 0) {
    if (id != 8 || type != THRIFT_STRUCT) {
      thrift_skip(t, type);
      continue;
    }
    int in = 0, kind;
    out->logical_time = true;
    while ((kind = thrift_field(t, &in)) != 0) {
      int unit = 0, of;
      if (in != 2 || kind != THRIFT_STRUCT) {
        thrift_skip(t, kind);
        continue;
      }
      while ((of = thrift_field(t, &unit)) != 0) {
        out->micros = unit == 2;
        thrift_skip(t, of);
      }
    }
  }
}

static uint32_t schema_element(Thrift *t, Leaf *out) {
  int id = 0, type;
  int64_t children = 0;
  *out = (Leaf){.name = {t->p, 0}, .type = -1, .converted = -1};
  while ((type = thrift_field(t, &id)) != 0) {
    switch (id) {
    case 1: out->type = thrift_int(t); break;
    case 3: out->repetition = thrift_int(t); break;
    case 4: out->name = thrift_bytes(t); break;
    case 5: children = thrift_int(t); break;
    case 6: out->converted = thrift_int(t); break;
    case 10: logical_type(t, out); break;
    default: thrift_skip(t, type); break;
    }
  }
  if (!out->logical_time)
    out->micros = out->converted == 10;
  t->bad |= children < 0 || children > 1 << 20;
  return t->bad ? 0 : (uint32_t)children;
}

/* The tree, depth first: its leaves, and which of them are not columns of their own. */
static void schema(Meta *m, Thrift *t, Arena *a) {
  int type;
  uint32_t n = thrift_list(t, &type), depth = 0, left[32];
  m->strange |= n > 1 << 20;
  n = m->strange ? 0 : n;
  m->leaf = NEWN(a, Leaf, n + 1);
  m->wanted = NEWN(a, uint32_t, n + 1);
  m->strange |= !m->leaf || !m->wanted || type != THRIFT_STRUCT;
  for (uint32_t i = 0; i < n && !m->strange && !t->bad; i++) {
    Leaf x;
    uint32_t children = schema_element(t, &x);
    while (i && depth && !left[depth - 1])
      depth--;
    if (i && !depth) {
      m->strange = true;
      break;
    }
    if (i)
      left[depth - 1]--;
    x.nested = depth != 1 || x.repetition > 1;
    if (children || !i) {
      if (depth == 32)
        m->strange = true;
      else
        left[depth++] = children;
    } else {
      m->leaf[m->nleaf++] = x;
    }
  }
}

static bool codec_known(int64_t c) {
  return c == PQ_STORED || c == PQ_SNAPPY || c == PQ_GZIP || c == PQ_ZSTD;
}

static void column_meta(Meta *m, Thrift *t, const Leaf *leaf, PqChunk *out) {
  int id = 0, type, of;
  int64_t codec = -1, values = -1, stored = -1, data = -1, dict = -1;
  bool known = true, same = true;
  while ((type = thrift_field(t, &id)) != 0) {
    switch (id) {
    case 1: same = thrift_int(t) == leaf->type; break;
    case 2:
      for (uint32_t n = thrift_list(t, &of); n && !t->bad; n--) {
        int64_t x = thrift_int(t);
        known = known && (x == 0 || x == 2 || x == 3 || x == 4 || x == 8);
      }
      break;
    case 4: codec = thrift_int(t); break;
    case 5: values = thrift_int(t); break;
    case 7: stored = thrift_int(t); break;
    case 9: data = thrift_int(t); break;
    case 11: dict = thrift_int(t); break;
    default: thrift_skip(t, type); break;
    }
  }
  if (!known || !same || !codec_known(codec) || values < 0 || stored < 0 || data < 4 || t->bad) {
    m->strange = true;
    return;
  }
  uint64_t from = (uint64_t)(dict >= 4 && dict < data ? dict : data);
  if (from > m->size || (uint64_t)stored > m->size - from)
    m->strange = true;
  m->strange |= m->values >= 0 && m->values != values;
  m->values = values;
  *out = (PqChunk){(PqCodec)codec, from, from + (uint64_t)stored};
}

/* A chunk of a wanted column, or any other (out is NULL). */
static void column_chunk(Meta *m, Thrift *t, const Leaf *leaf, PqChunk *out) {
  int id = 0, type;
  bool there = false;
  while ((type = thrift_field(t, &id)) != 0) {
    if (out && id == 3 && type == THRIFT_STRUCT) {
      column_meta(m, t, leaf, out);
      there = true;
      continue;
    }
    if (out && (id == 1 || id == 8)) /* in another file; encrypted */
      m->strange = true;
    thrift_skip(t, type);
  }
  m->strange |= out && !there;
}

static void row_group(Meta *m, Thrift *t, uint32_t g) {
  int id = 0, type, of;
  int64_t rows = -1;
  uint32_t n = 0;
  m->values = -1;
  while ((type = thrift_field(t, &id)) != 0 && !m->strange) {
    if (id == 3) {
      rows = thrift_int(t);
      m->fewer |= rows < 0 && !t->bad;
    } else if (id == 1 && type == THRIFT_LIST) {
      n = thrift_list(t, &of);
      if (n != m->nleaf)
        m->strange = true;
      for (uint32_t i = 0; i < n && !m->strange && !t->bad; i++) {
        uint32_t k = m->wanted[i];
        column_chunk(m, t, &m->leaf[i], k ? &m->f->chunk[(size_t)g * m->f->ncol + k - 1] : NULL);
      }
    } else {
      thrift_skip(t, type);
    }
  }
  const uint64_t most = UINT64_C(1) << 48; /* of the file, so that sums are right */
  if (rows < 0 || (uint64_t)rows > most - m->f->first[g] || n != m->nleaf ||
      (m->values >= 0 && m->values != rows))
    m->strange = true;
  else
    m->f->first[g + 1] = m->f->first[g] + (uint64_t)rows;
}

/* Once, and behind the schema. */
static Status row_groups(Meta *m, Thrift *t, Err *e) {
  int of;
  PqFile *f = m->f;
  uint32_t n = thrift_list(t, &of);
  /* a group has a byte at least of each column; what is no more than the footer can be kept */
  m->strange |= t->bad || !m->leaf || f->first || (uint64_t)n * (m->nleaf + 1) > (uint64_t)(t->end - t->p);
  if (m->strange)
    return ST_OK;
  f->ngroup = n;
  f->first = mem_alloc(((size_t)n + 1) * sizeof *f->first);
  f->chunk = mem_alloc(((size_t)n * f->ncol + 1) * sizeof *f->chunk);
  if (!f->first || !f->chunk)
    return err_memory(e);
  for (uint32_t g = 0; g < n && !m->strange && !t->bad; g++)
    row_group(m, t, g);
  return ST_OK;
}

/* The leaf of each wanted name: the only one that DuckDB, which does not tell capitals apart, would take. */
static void find_columns(Meta *m, const char *const *name, uint32_t n) {
  for (uint32_t k = 0; k < n && !m->strange; k++) {
    uint32_t found = 0, at = 0;
    size_t len = strlen(name[k]);
    for (uint32_t i = 0; i < m->nleaf; i++) {
      const Leaf *x = &m->leaf[i];
      if (x->name.n != len || strncasecmp((const char *)x->name.p, name[k], len) != 0)
        continue;
      found++;
      at = i;
    }
    const Leaf *x = &m->leaf[at];
    bool type = x->type == PQ_BOOL || x->type == PQ_I32 || x->type == PQ_I64 || x->type == PQ_F32 ||
                x->type == PQ_F64 || x->type == PQ_BYTES;
    if (found != 1 || memcmp(x->name.p, name[k], len) != 0 || x->nested || !type || m->wanted[at]) {
      m->strange = true;
      return;
    }
    m->wanted[at] = k + 1;
    m->f->col[k] = (PqColumn){.type = (PqType)x->type, .optional = x->repetition == 1, .micros = x->micros};
  }
}

static Status footer(Meta *m, Thrift *t, const char *const *name, uint32_t n, Arena *a, Err *e) {
  int id = 0, type;
  int64_t rows = -1;
  PqFile *f = m->f;
  f->ncol = n;
  f->col = mem_alloc((n + 1) * sizeof *f->col);
  f->held = mem_alloc((2 * (size_t)n + 1) * sizeof *f->held);
  f->other = mem_alloc(((size_t)n + 1) * sizeof *f->other);
  if (!f->col || !f->held || !f->other)
    return err_memory(e);
  while ((type = thrift_field(t, &id)) != 0 && !m->strange) {
    if (id == 2 && type == THRIFT_LIST) {
      m->strange = m->leaf != NULL; /* a second one */
      if (!m->strange)
        schema(m, t, a);
      if (!t->bad)
        find_columns(m, name, n);
    } else if (id == 3) {
      rows = thrift_int(t);
    } else if (id == 4 && type == THRIFT_LIST) {
      if (row_groups(m, t, e) != ST_OK)
        return e->code;
    } else {
      thrift_skip(t, type);
    }
  }
  m->strange |= t->bad || !f->first || rows < 0 || (uint64_t)rows != f->first[f->ngroup];
  return ST_OK;
}

/* ---- The file ---- */

void pq_hold(PqFile *f) {
  atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
}

void pq_held_drop(PqHeld *h) {
  if (h && atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) == 1)
    mem_free(h);
}

void pq_drop(PqFile *f) {
  if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) > 1)
    return;
  for (uint32_t i = 0; f->held && i < 2 * f->ncol; i++)
    pq_held_drop(f->held[i]);
  mem_free(f->held);
  mem_free(f->other);
  pthread_mutex_destroy(&f->lock);
  if (f->fd >= 0)
    close(f->fd);
  mem_free(f->path);
  mem_free(f->col);
  mem_free(f->first);
  mem_free(f->chunk);
  mem_free(f);
}

static bool read_at(int fd, void *p, size_t n, uint64_t at) {
  for (size_t got = 0; got < n;) {
    ssize_t k = pread(fd, (char *)p + got, n - got, (off_t)(at + got));
    if (k <= 0)
      return false;
    got += (size_t)k;
  }
  return true;
}

Status pq_open(const char *path, const char *const *name, uint32_t n, PqFile **out, Err *e) {
  enum { FOOTER_MOST = 1 << 28 };
  struct stat st;
  uint8_t tail[8];
  *out = NULL;
  PqFile *f = mem_alloc(sizeof *f);
  if (!f)
    return err_memory(e);
  atomic_init(&f->refs, 1);
  pthread_mutex_init(&f->lock, NULL);
  f->fd = open(path, O_RDONLY | O_CLOEXEC);
  f->page_most = UINT64_MAX;
  f->path = mem_strdup(path);
  Meta m = {.f = f};
  uint32_t size = 0;
  bool ok = f->path && f->fd >= 0 && fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= 12;
  if (ok) {
    m.size = (uint64_t)st.st_size;
    ok = read_at(f->fd, tail, 8, m.size - 8) && memcmp(tail + 4, "PAR1", 4) == 0;
    memcpy(&size, tail, 4);
    ok = ok && size <= m.size - 12 && size <= FOOTER_MOST;
  }
  uint8_t *text = ok ? mem_alloc64((size_t)size + 1) : NULL;
  Arena a;
  arena_init(&a, NULL);
  if (text && read_at(f->fd, text, size, m.size - 8 - size)) {
    Thrift t = {text, text + size, false};
    footer(&m, &t, name, n, &a, e);
    if (m.fewer) {
      err_set(e, ST_DATA, "CML0403", "Make it again.", "the file is damaged: a row group");
      err_at(e, "%s", path);
    }
    if (e->code == ST_OK && !m.strange) {
      *out = f;
      f = NULL;
    }
  }
  arena_free(&a);
  mem_free(text);
  pq_drop(f);
  return e->code;
}
