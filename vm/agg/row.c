/* SPDX-License-Identifier: Apache-2.0 */
/* Rows for aggregates: selection, values side by side, numbers of keys and levels. All of it lives in the
 * scratch arena of the panel. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/num.h"
#include "vm/agg/parts.h"

void src_put(Buf *b, const AggSrc *s) {
  buf_u32(b, (uint32_t)s->arg);
  buf_u32(b, (uint32_t)s->where);
  buf_u32(b, (uint32_t)s->weight);
  buf_u32(b, (uint32_t)s->leave_out);
  buf_u32(b, s->line);
  buf_u32(b, s->col);
}

void src_get(Rd *r, AggSrc *s) {
  s->arg = (int32_t)rd_u32(r);
  s->where = (int32_t)rd_u32(r);
  s->weight = (int32_t)rd_u32(r);
  s->leave_out = (int32_t)rd_u32(r);
  s->line = rd_u32(r);
  s->col = rd_u32(r);
}

void *par_items(Bytes in, size_t head, size_t size, uint32_t least, bool (*get)(Rd *, void *), Err *e) {
  Rd r = rd_of(in);
  uint64_t n = rd_count(&r, least);
  char *p = mem_alloc(head + (size_t)n * size);
  if (!p) {
    err_memory(e);
    return NULL;
  }
  uint32_t count = (uint32_t)n;
  memcpy(p, &count, sizeof count);
  bool good = n < UINT32_MAX;
  for (size_t i = 0; good && i < n; i++)
    good = get(&r, p + head + i * size);
  if (good && rd_done(&r))
    return p;
  mem_free(p);
  par_bad(e);
  return NULL;
}

Status par_bad(Err *e) {
  return err_set(e, ST_FAULT, "CML0601", NULL,
                 "the parameters or a partial result of an aggregate are damaged");
}

Status agg_too_many(Err *e) {
  return err_set(e, ST_RESOURCE, "CML0520", "Group by fewer values, or take fewer categories.",
                 "an aggregate has more than 10 million keys or categories, or 1 GiB of their text");
}

static void *scratch(Ctx *c, size_t n) {
  void *p = arena_alloc64(c->scratch, n ? n : 1);
  if (!p)
    err_memory(c->err);
  return p;
}

const Col *agg_col(const Panel *p, int32_t out, int type, Ctx *c) {
  if (out >= 0 && (uint32_t)out < p->nout && (type < 0 || p->out[out].type == type))
    return &p->out[out];
  par_bad(c->err);
  return NULL;
}

/* ---- Selection ---- */

/* ok[r] = 0 where the row is null. */
static void drop_nulls(const Col *col, uint32_t n, uint8_t *ok) {
  if (!col->null)
    return;
  if (col->constant) {
    if (col->null[0])
      memset(ok, 0, n);
    return;
  }
  for (uint32_t r = 0; r < n; r++)
    ok[r] &= !col->null[r];
}

static void bad_weight(const Panel *p, const AggSrc *s, uint32_t r, double w, Ctx *c) {
  RowError one = {.file = p->file,
                  .pos = p->pos + (p->at ? p->at[r] : r),
                  .step = UINT32_MAX,
                  .line = s->line,
                  .col = s->col,
                  .allow = ALLOW_WHERE};
  char text[NUM_MAX];
  num_print_f64(text, w, false);
  snprintf(one.text, sizeof one.text, "the weight %s is not a finite number >= 0", text);
  row_errors_add(c->errors, &one);
}

static Status check_weights(const Panel *p, const AggSrc *s, const Col *w, uint8_t *ok, Ctx *c) {
  for (uint32_t r = 0; r < p->n; r++) {
    double v = w->f[w->constant ? 0 : r];
    if (ok[r] && !(v >= 0 && v <= 1.7976931348623157e308)) {
      bad_weight(p, s, r, v, c);
      ok[r] = 0;
    }
  }
  return ST_OK;
}

Status agg_select(const Panel *p, const AggSrc *s, Ctx *c, Sel *out) {
  const Col *arg = s->arg >= 0 ? agg_col(p, s->arg, -1, c) : NULL;
  const Col *where = s->where >= 0 ? agg_col(p, s->where, IR_BOOL, c) : NULL;
  const Col *weight = s->weight >= 0 ? agg_col(p, s->weight, IR_F64, c) : NULL;
  if ((s->arg >= 0 && !arg) || (s->where >= 0 && !where) || (s->weight >= 0 && !weight))
    return c->err->code;
  *out = (Sel){p->n, NULL};
  bool some = where || weight || s->leave_out >= 0 || (arg && arg->null);
  if (!some || !p->n)
    return ST_OK;
  uint8_t *ok = scratch(c, p->n);
  uint32_t *row = scratch(c, p->n * sizeof *row);
  if (!ok || !row)
    return c->err->code;
  memset(ok, 1, p->n);
  if (where) {
    for (uint32_t r = 0; r < p->n; r++)
      ok[r] = where->b[where->constant ? 0 : r];
    drop_nulls(where, p->n, ok);
  }
  if (s->leave_out >= 0)
    for (uint32_t r = 0; r < p->n; r++)
      ok[r] &= (p->fold ? p->fold[r] : 0) != s->leave_out;
  if (arg)
    drop_nulls(arg, p->n, ok);
  if (weight) {
    drop_nulls(weight, p->n, ok);
    check_weights(p, s, weight, ok, c);
  }
  uint32_t n = 0;
  for (uint32_t r = 0; r < p->n; r++) {
    row[n] = r;
    n += ok[r] != 0;
  }
  *out = (Sel){n, n == p->n ? NULL : row};
  return ST_OK;
}

const double *agg_f64s(const Panel *p, int32_t out, const Sel *s, Ctx *c) {
  const Col *col = agg_col(p, out, IR_F64, c);
  if (!col)
    return NULL;
  if (!col->constant && !s->row)
    return col->f;
  double *v = scratch(c, s->n * sizeof *v);
  for (uint32_t k = 0; v && k < s->n; k++)
    v[k] = col->f[col->constant ? 0 : s->row[k]];
  return v;
}

const int64_t *agg_i64s(const Panel *p, int32_t out, const Sel *s, Ctx *c) {
  const Col *col = agg_col(p, out, IR_I64, c);
  if (!col)
    return NULL;
  if (!col->constant && !s->row)
    return col->i;
  int64_t *v = scratch(c, s->n * sizeof *v);
  for (uint32_t k = 0; v && k < s->n; k++)
    v[k] = col->i[col->constant ? 0 : s->row[k]];
  return v;
}

/* ---- Numbers of strings and keys ---- */

static int64_t number_of(Map *m, const void *p, size_t n, uint64_t *bytes, Err *e) {
  int fresh;
  int64_t k = map_add(m, p, n, &fresh);
  if (k < 0) {
    err_memory(e);
    return -1;
  }
  if (fresh)
    *bytes += n;
  if (m->n > LEVELS_MOST || *bytes > LEVEL_BYTES_MOST) {
    agg_too_many(e);
    return -1;
  }
  return k;
}

/* The number of row r's string; `seen` (one for each code, number + 1) spares looking up again, or is
 * NULL. */
static int64_t string_number(const Col *col, uint32_t r, bool as_key, uint32_t *seen, Buf *b, Map *m,
                             uint64_t *bytes, Err *e) {
  const Dict *d = col->dict;
  uint32_t code = col->code[r];
  if (seen && seen[code])
    return (int64_t)seen[code] - 1;
  const char *s = d->bytes + d->off[code];
  uint32_t n = d->off[code + 1] - d->off[code];
  int64_t k;
  if (as_key) {
    buf_clear(b);
    key_put_str(b, s, n);
    k = b->bad ? -1 : number_of(m, b->p, b->n, bytes, e);
    if (b->bad)
      err_memory(e);
  } else {
    k = number_of(m, s, n, bytes, e);
  }
  if (seen && k >= 0)
    seen[code] = (uint32_t)k + 1;
  return k;
}

/* A memo pays where the dictionary is not much larger than the panel. */
static uint32_t *memo(const Col *col, uint32_t n, Ctx *c) {
  if (col->constant || !col->dict || col->dict->n > 8 * (uint64_t)n + 256)
    return NULL;
  /* zeroed; without memory it goes slowly */
  return arena_alloc(c->scratch, (size_t)col->dict->n * sizeof(uint32_t) + 1);
}

void level_memo_free(LevelMemo *m) {
  if (m->dict)
    dict_drop(m->dict);
  mem_free(m->seen);
  *m = (LevelMemo){.dict = NULL};
}

/* The memo of the column's dictionary: that of the last panel where it is the same; NULL as above. One that a
 * scratch arena owns cannot be held. */
static uint32_t *memo_of(LevelMemo *m, const Col *col, uint32_t n, Ctx *c) {
  if (!col->dict || atomic_load_explicit(&col->dict->refs, memory_order_relaxed) <= 0)
    return memo(col, n, c);
  if (col->constant || col->dict->n > 64 * (uint64_t)n + 256)
    return NULL;
  if (m->dict == col->dict)
    return m->seen;
  if (m->cap < col->dict->n) {
    level_memo_free(m);
    m->seen = mem_alloc64(col->dict->n * sizeof *m->seen);
    m->cap = m->seen ? col->dict->n : 0;
    if (!m->seen)
      return NULL;
  }
  if (m->dict)
    dict_drop(m->dict);
  memset(m->seen, 0, col->dict->n * sizeof *m->seen);
  dict_hold(m->dict = col->dict);
  return m->seen;
}

Status agg_levels(const Panel *p, int32_t arg, const Sel *s, Map *levels, uint64_t *bytes, LevelMemo *known,
                  Ctx *c, const uint32_t **out) {
  const Col *col = agg_col(p, arg, IR_STR, c);
  uint32_t *no = col ? scratch(c, s->n * sizeof *no) : NULL;
  if (!no)
    return c->err->code;
  *out = no;
  uint32_t *seen = memo_of(known, col, p->n, c);
  for (uint32_t k = 0; k < s->n; k++) {
    if (k && col->constant) {
      no[k] = no[0];
      continue;
    }
    int64_t v = string_number(col,
                              col->constant ? 0
                              : s->row      ? s->row[k]
                                            : k,
                              false, seen, NULL, levels, bytes, c->err);
    if (v < 0)
      return c->err->code;
    no[k] = (uint32_t)v;
  }
  return ST_OK;
}

static bool is_null(const Col *col, uint32_t r) {
  return col->null && col->null[col->constant ? 0 : r];
}

static void put_part(Buf *b, const Col *col, uint32_t row) {
  uint32_t r = col->constant ? 0 : row;
  if (col->type == IR_BOOL)
    key_put_b(b, col->b[r]);
  else if (col->type == IR_I64)
    key_put_i64(b, col->i[r]);
  else if (col->type == IR_F64) /* only where different values are counted */
    key_put_i64(b, (int64_t)f64_key(col->f[r]));
  else
    key_put_str(b, col->dict->bytes + col->dict->off[col->code[r]],
                col->dict->off[col->code[r] + 1] - col->dict->off[col->code[r]]);
}

/* Keys that came lately, by what identifies a part inside a panel: a value, or a code. */
enum { RECENT = 512, RECENT_PARTS = 4 };
typedef struct Recent {
  uint64_t part[RECENT_PARTS];
  uint32_t number; /* of the key + 1; 0: free */
} Recent;

static Recent *recent_of(Recent *table, const Col *const *col, uint32_t nkey, uint32_t r,
                         uint64_t part[RECENT_PARTS]) {
  uint64_t h = 0;
  for (uint32_t k = 0; k < nkey; k++) {
    uint32_t at = col[k]->constant ? 0 : r;
    part[k] = col[k]->type == IR_BOOL ? col[k]->b[at] : col[k]->type == IR_I64 ? (uint64_t)col[k]->i[at]
              : col[k]->type == IR_F64 ? f64_key(col[k]->f[at]) : col[k]->code[at];
    h = hash_mix(h ^ part[k]);
  }
  return &table[(h ^ h >> 32) % RECENT];
}

/* The number of row r's key, by its bytes. */
static int64_t key_number(const Col *const *col, uint32_t nkey, uint32_t r, Buf *b, Map *keys,
                          uint64_t *bytes, Err *e) {
  buf_clear(b);
  for (uint32_t k = 0; k < nkey; k++)
    put_part(b, col[k], r);
  if (!b->bad)
    return number_of(keys, b->p, b->n, bytes, e);
  err_memory(e);
  return -1;
}

static int64_t number_by_recent(Recent *table, const Col *const *col, uint32_t nkey, uint32_t r, Buf *b,
                                Map *keys, uint64_t *bytes, Err *e) {
  uint64_t part[RECENT_PARTS] = {0};
  Recent *x = recent_of(table, col, nkey, r, part);
  if (x->number && !memcmp(x->part, part, sizeof part))
    return (int64_t)x->number - 1;
  int64_t v = key_number(col, nkey, r, b, keys, bytes, e);
  if (v >= 0) {
    memcpy(x->part, part, sizeof part);
    x->number = (uint32_t)v + 1;
  }
  return v;
}

Status agg_group(const Panel *p, const int32_t *key, uint32_t nkey, Map *keys, uint64_t *bytes, Ctx *c,
                 const uint32_t **out) {
  const Col *col[KEY_PARTS];
  uint32_t *no = scratch(c, p->n * sizeof *no);
  if (!no)
    return c->err->code;
  *out = no;
  bool constant = true;
  for (uint32_t k = 0; k < nkey; k++) {
    col[k] = agg_col(p, key[k], -1, c);
    if (!col[k] || (col[k]->type != IR_BOOL && col[k]->type != IR_I64 && col[k]->type != IR_F64 &&
                    col[k]->type != IR_STR))
      return par_bad(c->err);
    constant &= col[k]->constant;
  }
  Buf b = {0};
  uint32_t *seen = nkey == 1 && col[0]->type == IR_STR ? memo(col[0], p->n, c) : NULL;
  Recent *recent = seen || nkey > RECENT_PARTS ? NULL : arena_alloc(c->scratch, RECENT * sizeof *recent);
  for (uint32_t r = 0; r < p->n; r++) {
    bool null = false;
    for (uint32_t k = 0; k < nkey; k++)
      null |= is_null(col[k], r);
    int64_t v = UINT32_MAX;
    if (r && constant)
      v = no[0];
    else if (!null)
      v = seen     ? string_number(col[0], r, true, seen, &b, keys, bytes, c->err)
          : recent ? number_by_recent(recent, col, nkey, r, &b, keys, bytes, c->err)
                   : key_number(col, nkey, r, &b, keys, bytes, c->err);
    if (v < 0)
      break;
    no[r] = (uint32_t)v;
  }
  buf_free(&b);
  return c->err->code;
}
