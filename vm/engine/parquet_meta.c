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

#include "base/map.h"
#include "base/unicode.h"
#include "vm/engine.h"
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
  t->bad |= (b & 15) > THRIFT_STRUCT;
  *id = t->bad ? 0 : (int)next;
  return t->bad ? 0 : b & 15;
}

uint32_t thrift_list(Thrift *t, int *type) {
  uint8_t b = thrift_byte(t);
  uint64_t n = b >> 4;
  *type = b & 15;
  if (n == 15)
    n = thrift_varint(t);
  t->bad |= *type > THRIFT_STRUCT;
  if (t->bad || n > (uint64_t)(t->end - t->p)) { /* an element has a byte at least */
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

/* Notes that field `id` is there: bits of *seen. A struct without one that it must have is damaged. */
static void note(uint32_t *seen, int id) {
  *seen |= id < 32 ? 1u << id : 0;
}

#define BIT(id) (1u << (id))

static void have(Thrift *t, uint32_t seen, uint32_t must) {
  t->bad |= (seen & must) != must;
}

/* A list of structs that are not looked at, but for fields that they must have. */
static void skip_structs(Thrift *t, int type, uint32_t must) {
  int of = 0, field;
  t->bad |= type != THRIFT_LIST;
  for (uint32_t n = thrift_list(t, &of); n && !t->bad; n--) {
    uint32_t seen = 0;
    int id = 0;
    t->bad |= of != THRIFT_STRUCT;
    while ((field = thrift_field(t, &id)) != 0) {
      note(&seen, id);
      thrift_skip(t, field);
    }
    have(t, seen, must);
  }
}

/* A field of the type that it has in every file; DuckDB passes over others. */
static int64_t field_int(Thrift *t, int type, int want) {
  t->bad |= type != want;
  return thrift_int(t);
}

/* ---- The footer ---- */

enum { T_I32 = 5, T_I64 = 6 };

enum { UNIT_MICROS = 2, UNIT_NANOS = 3 };
enum { AS_TEXT = 1, AS_DATE = 6, AS_TIMESTAMP = 8, AS_INTEGER = 10 }; /* of the union LogicalType */

typedef struct Leaf { /* a column of the schema */
  Bytes name;
  int64_t type, repetition, converted;
  int logical, unit;  /* 0: none; of a timestamp */
  bool nested, told, utc, micros; /* told: the repetition */
} Leaf;

typedef struct Meta {
  uint32_t nleaf;
  Leaf *leaf;        /* in the order of a row group's chunks */
  uint32_t *wanted;  /* of a leaf: number of the column + 1 */
  PqFile *f;
  uint64_t size;     /* of the file */
  int64_t values;    /* of each wanted column of the group at hand; -1: none so far */
  Bytes root;        /* name of the schema */
  bool strange;      /* nothing for us */
  bool untyped;      /* DuckDB says the types */
  bool fewer;        /* than no rows: DuckDB would give none, and say nothing */
} Meta;

/* TimestampType {1: in UTC, 2: a union of units}. */
static void timestamp_type(Thrift *t, Leaf *out) {
  int id = 0, type;
  uint32_t seen = 0;
  while ((type = thrift_field(t, &id)) != 0) {
    int unit = 0, of;
    note(&seen, id);
    if (id == 1) /* the value is in the type */
      out->utc = type == THRIFT_TRUE;
    if (id != 2 || type != THRIFT_STRUCT) {
      thrift_skip(t, type);
      continue;
    }
    while ((of = thrift_field(t, &unit)) != 0) {
      out->unit = unit;
      thrift_skip(t, of);
    }
  }
  have(t, seen, BIT(1) | BIT(2));
}

/* LogicalType, a union. */
static void logical_type(Thrift *t, Leaf *out) {
  int id = 0, type;
  while ((type = thrift_field(t, &id)) != 0) {
    out->logical = id;
    if (id == AS_TIMESTAMP && type == THRIFT_STRUCT)
      timestamp_type(t, out);
    else
      thrift_skip(t, type);
  }
}

/* What DuckDB takes a column for; DUCKDB_TYPE_INVALID: it is asked. A logical type counts for timestamps
 * only; of the others the older ConvertedType stands beside it and says the same. */
static duckdb_type duck_type(const Leaf *x) {
  enum { UTF8 = 0, DATE = 6, MILLIS = 9, MICROS = 10, U8 = 11, U16, U32, U64, I8, I16, I32, I64 };
  static const duckdb_type whole[] = {DUCKDB_TYPE_UTINYINT, DUCKDB_TYPE_USMALLINT, DUCKDB_TYPE_UINTEGER,
                                      DUCKDB_TYPE_UBIGINT,  DUCKDB_TYPE_TINYINT,   DUCKDB_TYPE_SMALLINT,
                                      DUCKDB_TYPE_INTEGER,  DUCKDB_TYPE_BIGINT};
  int64_t c = x->converted;
  bool time = c == MILLIS || c == MICROS;
  bool number = c >= U8 && c <= I64;
  if ((x->logical == AS_TEXT && c != UTF8) || (x->logical == AS_DATE && c != DATE) ||
      (x->logical == AS_INTEGER && !number))
    return DUCKDB_TYPE_INVALID;
  if (x->logical == AS_TIMESTAMP) {
    bool known = x->type == PQ_I64 && (c == -1 || time) && x->unit >= 1 && x->unit <= UNIT_NANOS &&
                 !(x->utc && x->unit == UNIT_NANOS);
    return !known                  ? DUCKDB_TYPE_INVALID
           : x->utc                ? DUCKDB_TYPE_TIMESTAMP_TZ
           : x->unit == UNIT_NANOS ? DUCKDB_TYPE_TIMESTAMP_NS
                                   : DUCKDB_TYPE_TIMESTAMP;
  }
  if (x->logical && x->logical != AS_TEXT && x->logical != AS_DATE && x->logical != AS_INTEGER)
    return DUCKDB_TYPE_INVALID; /* decimals, times of day, and what came later */
  switch (x->type) {
  case PQ_BOOL: return c == -1 ? DUCKDB_TYPE_BOOLEAN : DUCKDB_TYPE_INVALID;
  case PQ_F32: return c == -1 ? DUCKDB_TYPE_FLOAT : DUCKDB_TYPE_INVALID;
  case PQ_F64: return c == -1 ? DUCKDB_TYPE_DOUBLE : DUCKDB_TYPE_INVALID;
  case PQ_BYTES: return c == -1 ? DUCKDB_TYPE_BLOB : c == UTF8 ? DUCKDB_TYPE_VARCHAR : DUCKDB_TYPE_INVALID;
  case PQ_I32:
    return c == -1                          ? DUCKDB_TYPE_INTEGER
           : c == DATE                      ? DUCKDB_TYPE_DATE
           : number && c != U64 && c != I64 ? whole[c - U8]
                                            : DUCKDB_TYPE_INVALID;
  case PQ_I64:
    return c == -1                ? DUCKDB_TYPE_BIGINT
           : time                 ? DUCKDB_TYPE_TIMESTAMP
           : c == U64 || c == I64 ? whole[c - U8]
                                  : DUCKDB_TYPE_INVALID;
  default: return DUCKDB_TYPE_INVALID;
  }
}

static uint32_t schema_element(Thrift *t, Leaf *out) {
  int id = 0, type;
  int64_t children = 0;
  uint32_t seen = 0;
  *out = (Leaf){.name = {t->p, 0}, .type = -1, .converted = -1};
  while ((type = thrift_field(t, &id)) != 0) {
    note(&seen, id);
    switch (id) {
    case 1: out->type = field_int(t, type, T_I32); break;
    case 3:
      out->repetition = field_int(t, type, T_I32);
      out->told = true;
      break;
    case 4:
      t->bad |= type != THRIFT_BYTES;
      out->name = thrift_bytes(t);
      break;
    case 5: children = field_int(t, type, T_I32); break;
    case 6: out->converted = field_int(t, type, T_I32); break;
    case 10:
      t->bad |= type != THRIFT_STRUCT;
      logical_type(t, out);
      break;
    default: thrift_skip(t, type); break;
    }
  }
  have(t, seen, BIT(4));
  out->micros = out->logical == AS_TIMESTAMP ? out->unit == UNIT_MICROS : out->converted == 10;
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
    if (!i)
      m->root = x.name;
    m->untyped |= i && children;
    if (children || !i) {
      if (depth == 32)
        m->strange = true;
      else
        left[depth++] = children;
    } else {
      m->leaf[m->nleaf++] = x;
    }
  }
  for (uint32_t k = 0; k < depth; k++)
    m->strange |= left[k] > 0;
}

/* Statistics: {3: nulls, 5: greatest, 6: least}; 1 and 2 are older, and of an order that nobody knows. */
static void statistics(Thrift *t, PqStat *out) {
  int id = 0, type;
  while ((type = thrift_field(t, &id)) != 0) {
    if (id == 3)
      out->nulls = field_int(t, type, T_I64);
    else if (id == 5 && type == THRIFT_BYTES)
      out->hi = thrift_bytes(t);
    else if (id == 6 && type == THRIFT_BYTES)
      out->lo = thrift_bytes(t);
    else
      thrift_skip(t, type);
  }
}

static bool same_bytes(Bytes a, Bytes b) {
  return a.n == b.n && (!a.n || memcmp(a.p, b.p, a.n) == 0);
}

/* path_in_schema: the name alone. */
static bool is_path(Thrift *t, const Leaf *leaf) {
  int of;
  bool same = true;
  uint32_t n = thrift_list(t, &of);
  for (uint32_t i = 0; i < n && !t->bad; i++)
    same = of == THRIFT_BYTES && same_bytes(thrift_bytes(t), leaf->name);
  return same && n == 1;
}

/* As long as a value is. */
static bool is_bound(int64_t type, Bytes v) {
  size_t n = type == PQ_BOOL ? 1 : type == PQ_I32 || type == PQ_F32 ? 4 : 8;
  return !v.p || type == PQ_BYTES || v.n == n;
}

static bool codec_known(int64_t c) {
  return c == PQ_STORED || c == PQ_SNAPPY || c == PQ_GZIP || c == PQ_ZSTD;
}

static void column_meta(Meta *m, Thrift *t, const Leaf *leaf, PqChunk *out, PqStat *stat) {
  int id = 0, type, of;
  int64_t codec = -1, values = -1, stored = -1, data = -1, dict = -1;
  bool known = true, same = true;
  uint32_t seen = 0;
  while ((type = thrift_field(t, &id)) != 0) {
    note(&seen, id);
    switch (id) {
    case 1: same = field_int(t, type, T_I32) == leaf->type; break;
    case 2:
      t->bad |= type != THRIFT_LIST;
      for (uint32_t n = thrift_list(t, &of); n && !t->bad; n--) {
        t->bad |= of != T_I32;
        int64_t x = thrift_int(t);
        known = known && (x == 0 || x == 2 || x == 3 || x == 4 || x == 8);
      }
      break;
    case 3:
      t->bad |= type != THRIFT_LIST;
      m->untyped |= !is_path(t, leaf);
      break;
    case 4: codec = field_int(t, type, T_I32); break;
    case 5: values = field_int(t, type, T_I64); break;
    case 7: stored = field_int(t, type, T_I64); break;
    case 9: data = field_int(t, type, T_I64); break;
    case 11: dict = field_int(t, type, T_I64); break;
    case 12:
      t->bad |= type != THRIFT_STRUCT;
      statistics(t, stat);
      break;
    case 13: skip_structs(t, type, BIT(1) | BIT(2) | BIT(3)); break;
    default: thrift_skip(t, type); break;
    }
  }
  have(t, seen, BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(9));
  m->untyped |= !is_bound(leaf->type, stat->lo) || !is_bound(leaf->type, stat->hi);
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
static void column_chunk(Meta *m, Thrift *t, const Leaf *leaf, PqChunk *out, PqStat *stat) {
  int id = 0, type;
  bool there = false;
  uint32_t seen = 0;
  while ((type = thrift_field(t, &id)) != 0) {
    note(&seen, id);
    if (out && id == 3 && type == THRIFT_STRUCT) {
      column_meta(m, t, leaf, out, stat);
      there = true;
      continue;
    }
    if (out && (id == 1 || id == 8)) /* in another file; encrypted */
      m->strange = true;
    thrift_skip(t, type);
  }
  have(t, seen, BIT(2));
  m->strange |= out && !there;
}

static void row_group(Meta *m, Thrift *t, uint32_t g) {
  int id = 0, type, of;
  int64_t rows = -1;
  uint32_t n = 0, seen = 0;
  m->values = -1;
  while ((type = thrift_field(t, &id)) != 0 && !m->strange) {
    note(&seen, id);
    if (id == 3) {
      rows = field_int(t, type, T_I64);
      m->fewer |= rows < 0 && !t->bad;
    } else if (id == 1 && type == THRIFT_LIST) {
      n = thrift_list(t, &of);
      if (n != m->nleaf)
        m->strange = true;
      for (uint32_t i = 0; i < n && !m->strange && !t->bad; i++) {
        uint32_t k = m->wanted[i];
        size_t at = (size_t)g * m->f->ncol + k - (k > 0);
        if (k)
          m->f->stat[at] = (PqStat){.nulls = -1};
        column_chunk(m, t, &m->leaf[i], k ? &m->f->chunk[at] : NULL, &m->f->stat[at]);
      }
    } else if (id == 4) {
      skip_structs(t, type, BIT(1) | BIT(2) | BIT(3));
    } else {
      thrift_skip(t, type);
    }
  }
  if (!m->strange)
    have(t, seen, BIT(1) | BIT(2) | BIT(3));
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
  f->stat = mem_alloc(((size_t)n * f->ncol + 1) * sizeof *f->stat);
  if (!f->first || !f->chunk || !f->stat)
    return err_memory(e);
  for (uint32_t g = 0; g < n && !m->strange && !t->bad; g++)
    row_group(m, t, g);
  return ST_OK;
}

static void want(Meta *m, uint32_t at, uint32_t k) {
  const Leaf *x = &m->leaf[at];
  bool type = x->type == PQ_BOOL || x->type == PQ_I32 || x->type == PQ_I64 || x->type == PQ_F32 ||
              x->type == PQ_F64 || x->type == PQ_BYTES;
  if (x->nested || !type || m->wanted[at]) {
    m->strange = true;
    return;
  }
  m->wanted[at] = k + 1;
  m->f->col[k] = (PqColumn){.type = (PqType)x->type,
                            .optional = x->repetition == 1,
                            .micros = x->micros,
                            .as = duck_type(x),
                            .name = x->name};
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
    if (found == 1 && memcmp(m->leaf[at].name.p, name[k], len) == 0)
      want(m, at, k);
    else
      m->strange = true;
  }
}

/* Is every column of a type that is known, with a name of its own? */
static Status find_types(Meta *m, Err *e) {
  Map names = {0};
  uint8_t lower[256];
  for (uint32_t i = 0; i < m->nleaf && !m->untyped; i++) {
    const Leaf *x = &m->leaf[i];
    int fresh = 0;
    m->untyped = !x->name.n || x->name.n > sizeof lower || memchr(x->name.p, 0, x->name.n) ||
                 !utf8_valid((const char *)x->name.p, x->name.n) || same_bytes(x->name, m->root) ||
                 x->nested || !x->told || duck_type(x) == DUCKDB_TYPE_INVALID;
    for (size_t k = 0; k < x->name.n && !m->untyped; k++) {
      uint8_t c = x->name.p[k];
      lower[k] = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
    }
    if (!m->untyped && map_add(&names, lower, x->name.n, &fresh) < 0)
      err_memory(e);
    m->untyped |= !fresh;
  }
  m->untyped |= !m->nleaf || !utf8_valid((const char *)m->root.p, m->root.n);
  map_free(&names);
  return e->code;
}

/* The schema, once; n: 0 and name NULL: all columns. */
static Status columns(Meta *m, Thrift *t, const char *const *name, uint32_t n, Arena *a, Err *e) {
  PqFile *f = m->f;
  m->strange |= m->leaf != NULL; /* a second one */
  if (!m->strange)
    schema(m, t, a);
  if (m->strange || t->bad || find_types(m, e) != ST_OK)
    return e->code;
  f->ncol = name ? n : m->nleaf;
  f->col = mem_alloc(((size_t)f->ncol + 1) * sizeof *f->col);
  f->held = mem_alloc((2 * (size_t)f->ncol + 1) * sizeof *f->held);
  f->other = mem_alloc(((size_t)f->ncol + 1) * sizeof *f->other);
  if (!f->col || !f->held || !f->other)
    return err_memory(e);
  for (uint32_t i = 0; i < m->nleaf && !name && !m->strange; i++)
    want(m, i, i);
  if (name)
    find_columns(m, name, n);
  return ST_OK;
}

/* KeyValue: of a file with `geo` DuckDB has types of its own. */
static bool is_geo(Thrift *t) {
  int id = 0, type;
  bool geo = false;
  uint32_t seen = 0;
  while ((type = thrift_field(t, &id)) != 0) {
    note(&seen, id);
    if (id != 1 || type != THRIFT_BYTES) {
      thrift_skip(t, type);
      continue;
    }
    Bytes key = thrift_bytes(t);
    geo = key.n == 3 && memcmp(key.p, "geo", 3) == 0;
  }
  have(t, seen, BIT(1));
  return geo;
}

static Status footer(Meta *m, Thrift *t, const char *const *name, uint32_t n, Arena *a, Err *e) {
  int id = 0, type, of;
  int64_t rows = -1;
  PqFile *f = m->f;
  uint32_t seen = 0;
  while ((type = thrift_field(t, &id)) != 0 && !m->strange) {
    note(&seen, id);
    if (id == 2 && type == THRIFT_LIST) {
      if (columns(m, t, name, n, a, e) != ST_OK)
        return e->code;
    } else if (id == 3) {
      rows = field_int(t, type, T_I64);
    } else if (id == 4 && type == THRIFT_LIST) {
      if (row_groups(m, t, e) != ST_OK)
        return e->code;
    } else if (id == 5 && type == THRIFT_LIST) {
      for (uint32_t k = thrift_list(t, &of); k && !t->bad; k--)
        m->untyped |= of != THRIFT_STRUCT || is_geo(t);
    } else {
      m->untyped |= id > 7; /* encryption; what is not known here */
      thrift_skip(t, type);
    }
  }
  if (!m->strange)
    have(t, seen, BIT(1) | BIT(2) | BIT(3) | BIT(4));
  m->strange |= t->bad || !f->first || rows < 0 || (uint64_t)rows != f->first[f->ngroup];
  f->typed = !m->untyped;
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
  for (uint32_t i = 0; i < f->nspan; i++)
    mem_free(f->span[i].bytes);
  mem_free(f->span);
  mem_free(f->held);
  mem_free(f->other);
  pthread_mutex_destroy(&f->lock);
  if (f->fd >= 0)
    close(f->fd);
  pq_forget(f);
  mem_free(f->path);
  mem_free(f->col);
  mem_free(f->first);
  mem_free(f->chunk);
  mem_free(f);
}

void pq_forget(PqFile *f) {
  for (uint32_t k = 0; f->col && k < f->ncol; k++)
    f->col[k].name = (Bytes){NULL, 0};
  mem_free(f->text);
  mem_free(f->stat);
  f->text = NULL;
  f->stat = NULL;
}

bool pq_read(const PqFile *f, void *p, size_t n, uint64_t at) {
  if (f->fd < 0)
    return pq_read_span(f, p, n, at);
  for (size_t got = 0; got < n;) {
    ssize_t k = pread(f->fd, (char *)p + got, n - got, (off_t)(at + got));
    if (k <= 0)
      return false;
    got += (size_t)k;
  }
  return true;
}

/* Of the file, wherever it is. */
static Status read_foot(const Meta *m, const FileBytes *in, void *p, size_t n, uint64_t at, bool *good,
                        Err *e) {
  *good = in ? in->read(in->ctx, at, n, p, e) == ST_OK : pq_read(m->f, p, n, at);
  return e->code;
}

static Status read_footer(Meta *m, const FileBytes *in, const char *const *name, uint32_t n, Err *e) {
  enum { FOOTER_MOST = 1 << 28 };
  uint8_t tail[8];
  uint32_t size;
  bool good;
  if (read_foot(m, in, tail, 8, m->size - 8, &good, e) != ST_OK)
    return e->code;
  memcpy(&size, tail, 4);
  m->strange = !good || memcmp(tail + 4, "PAR1", 4) != 0 || size > m->size - 12 || size > FOOTER_MOST;
  if (m->strange)
    return ST_OK;
  uint8_t *text = m->f->text = mem_alloc64((size_t)size + 1);
  if (!text)
    return err_memory(e);
  Arena a;
  arena_init(&a, NULL);
  if (read_foot(m, in, text, size, m->size - 8 - size, &good, e) == ST_OK && good) {
    Thrift t = {text, text + size, false};
    footer(m, &t, name, n, &a, e);
  }
  m->strange |= !good;
  arena_free(&a);
  return e->code;
}

static Status open_file(PqFile *f, uint64_t size, const FileBytes *in, const char *const *name, uint32_t n,
                        PqFile **out, Err *e) {
  Meta m = {.f = f, .size = size};
  if (size >= 12 && read_footer(&m, in, name, n, e) == ST_OK && m.fewer) {
    err_set(e, ST_DATA, "CML0403", "Make it again.", "the file is damaged: a row group");
    err_at(e, "%s", f->path);
  }
  if (size >= 12 && e->code == ST_OK && !m.strange)
    *out = f;
  else
    pq_drop(f);
  return e->code;
}

static PqFile *new_file(const char *path) {
  PqFile *f = mem_alloc(sizeof *f);
  if (!f)
    return NULL;
  atomic_init(&f->refs, 1);
  pthread_mutex_init(&f->lock, NULL);
  f->fd = -1;
  f->page_most = UINT64_MAX;
  f->path = mem_strdup(path);
  if (f->path)
    return f;
  pq_drop(f);
  return NULL;
}

Status pq_open(const char *path, const char *const *name, uint32_t n, PqFile **out, Err *e) {
  struct stat st;
  *out = NULL;
  PqFile *f = new_file(path);
  if (!f)
    return err_memory(e);
  f->fd = open(path, O_RDONLY | O_CLOEXEC);
  bool good = f->fd >= 0 && fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode);
  return open_file(f, good ? (uint64_t)st.st_size : 0, NULL, name, n, out, e);
}

Status pq_open_far(const char *path, uint64_t size, const FileBytes *in, const char *const *name, uint32_t n,
                   PqFile **out, Err *e) {
  *out = NULL;
  PqFile *f = new_file(path);
  return f ? open_file(f, size, in, name, n, out, e) : err_memory(e);
}
