/* SPDX-License-Identifier: Apache-2.0 */
/* What test_interp.c and test_interp_ops.c share: row programs built by hand, columns generated with every
 * awkward value, and a value of one row as the references in the tests see it. */
#ifndef TESTS_INTERP_KIT_H
#define TESTS_INTERP_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "vm/interp.h"
#include "vm/ops.h"

typedef struct Kit { /* a program under construction, and its input columns */
  Arena a;
  IrVal val[400];
  IrOut out[400];
  RowProg p;
  const char *name[64];
  Col col[64];
  uint32_t ncol;
} Kit;

static inline Kit *kit_new(void) {
  Kit *k = calloc(1, sizeof *k);
  assert_non_null(k);
  arena_init(&k->a, NULL);
  k->p.val = k->val;
  k->p.out = k->out;
  return k;
}

static inline void kit_free(Kit *k) {
  arena_free(&k->a);
  free(k);
}

static inline IrVal *kit_last(Kit *k) {
  return &k->val[k->p.nval - 1];
}

/* Adds a step with these arguments; its immediates are set through kit_last. */
static inline uint32_t kit_step(Kit *k, uint32_t op, const uint32_t *arg, uint32_t narg) {
  IrVal *v = &k->val[k->p.nval];
  const OpInfo *o = op_info(op);
  assert_true(k->p.nval < 400);
  *v = (IrVal){.op = (uint16_t)op, .narg = narg, .g = -1, .line = 3, .col = 7};
  v->type = (uint8_t)(o->result < 0 ? 0 : o->result);
  v->arg = NEWN(&k->a, uint32_t, narg + 1);
  for (uint32_t i = 0; i < narg; i++)
    v->arg[i] = arg[i];
  return k->p.nval++;
}
#define ARGS(...) ((const uint32_t[]){__VA_ARGS__})
#define STEP(k, op, ...) kit_step((k), (op), ARGS(__VA_ARGS__), sizeof ARGS(__VA_ARGS__) / 4)

/* An input column, and the step that reads it. */
static inline uint32_t kit_col(Kit *k, Col c) {
  uint32_t at = k->ncol++;
  k->name[at] = arena_printf(&k->a, "c%u", at);
  k->col[at] = c;
  uint32_t v = kit_step(k, OP_COL, NULL, 0);
  kit_last(k)->type = c.type;
  kit_last(k)->s = k->name[at];
  return v;
}

static inline uint32_t kit_i64(Kit *k, int64_t v) {
  uint32_t s = kit_step(k, OP_CONST_I64, NULL, 0);
  kit_last(k)->i = v;
  return s;
}

static inline uint32_t kit_f64(Kit *k, double v) {
  uint32_t s = kit_step(k, OP_CONST_F64, NULL, 0);
  kit_last(k)->f = v;
  return s;
}

static inline uint32_t kit_b(Kit *k, bool v) {
  uint32_t s = kit_step(k, OP_CONST_B, NULL, 0);
  kit_last(k)->i = v;
  return s;
}

static inline uint32_t kit_str(Kit *k, const char *v) {
  uint32_t s = kit_step(k, OP_CONST_STR, NULL, 0);
  kit_last(k)->s = v;
  return s;
}

static inline uint32_t kit_list(Kit *k, const double *v, uint32_t n) {
  uint32_t s = kit_step(k, OP_CONST_LIST, NULL, 0);
  kit_last(k)->list = v;
  kit_last(k)->nlist = n;
  return s;
}

static inline uint32_t kit_vocab(Kit *k, const char **v, uint32_t n) {
  uint32_t s = kit_step(k, OP_CONST_VOCAB, NULL, 0);
  kit_last(k)->names = v;
  kit_last(k)->nlist = n;
  return s;
}

static inline void kit_out(Kit *k, uint32_t val, const char *name) {
  k->out[k->p.nout++] = (IrOut){.role = OUT_COLUMN, .name = name, .val = val};
}

static inline void kit_slot(Kit *k, uint32_t val, const char *name) {
  k->out[k->p.nout++] = (IrOut){.role = OUT_SLOT, .name = name, .val = val};
}

static inline Interp *kit_interp(Kit *k, const Env *env) {
  Interp *t = NULL;
  Err e = {.code = ST_OK};
  Status st = interp_new(&k->p, env, k->name, k->ncol, &t, &e);
  if (st != ST_OK)
    print_error("%s\n", e.cause);
  assert_int_equal(st, ST_OK);
  return t;
}

/* Runs n rows from the first on, at position 1000 of file 2. */
static inline void kit_run(Kit *k, Interp *t, uint32_t n, Col *out, uint8_t *keep, RowErrors *errors) {
  RowsIn in = {.n = n, .col = k->col, .file = 2, .pos = 1000};
  Err e = {.code = ST_OK};
  memset(errors, 0, sizeof *errors);
  assert_int_equal(interp_run(t, &in, out, keep, errors, &e), ST_OK);
}

/* ---- Columns ---- */

static inline Dict *kit_dict(Kit *k, const char *const *s, const uint32_t *len, uint32_t n) {
  Dict *d = NEW(&k->a, Dict);
  size_t bytes = 0;
  for (uint32_t i = 0; i < n; i++)
    bytes += len ? len[i] : strlen(s[i]);
  d->n = n;
  d->off = NEWN(&k->a, uint32_t, n + 1);
  d->bytes = arena_alloc(&k->a, bytes + 1);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t l = len ? len[i] : (uint32_t)strlen(s[i]);
    memcpy(d->bytes + d->off[i], s[i], l);
    d->off[i + 1] = d->off[i] + l;
  }
  atomic_init(&d->refs, 1);
  return d;
}

static const int64_t kit_ints[] = {
    0,         1,          -1,         2,           -2,           7,
    -7,        24,         365,        INT64_MAX,   INT64_MIN,    INT64_MAX - 1,
    19782,     -719468,    -719469,    11016,       -25567,       106751991,
    -106751992, 200000000, 1709164800000000, 951782400000000, -1, -86400000000,
    -86400000001, 1609459199999999, 1230768000000000, -62135596800000000, 253402300799999999, 3600000000,
};
static const double kit_doubles[] = {
    0.0,  -0.0, 1.0,   -1.0,  0.5,   -0.5,   1.5,  2.5,  -2.5, 0.49999999999999994, 4503599627370497.5,
    -7.25, 1e300, -1e300, 5e-324,
    1e-5, 0.1,  100.0, 9.3e18, -9.3e18, 3.0, 20.0, 10.0, 0.9, 0x1p63, -0x1p63, 1e10,
    (double)NAN, (double)INFINITY, -(double)INFINITY,
};
static const char *const kit_strings[] = {
    "",      "a",     "A",          "abc",        "ab",        "abcabc",  "\xc3\x9cn\xc3\xafk\xc3\xb6-dE",
    "\xf0\x9d\x84\x9ex\xf0\x9d\x84\x9e",
    "true",  "false", "12",         "-7.5",       "1e400",     "nan",     "2024-02-29", "2023-02-29",
    "2024-02-29T23:59:59.5Z", "1969-12-31 23:59", "  trim me\t", " ", "9223372036854775808",
    "-9223372036854775808", "train", "test",
};
enum { KIT_STRINGS = sizeof kit_strings / sizeof *kit_strings };

typedef struct Rng {
  uint64_t key, n;
} Rng;
static inline uint64_t rnd(Rng *r) {
  return rng_word(r->key, r->n++);
}

/* A column of PANEL_ROWS rows: special values and random ones; nulls in about one row of five when asked
 * for. */
static inline Col kit_column(Kit *k, Rng *g, IrType type, bool nulls) {
  Col c = {.type = (uint8_t)type};
  uint32_t n = PANEL_ROWS;
  if (nulls) {
    c.null = arena_alloc64(&k->a, n);
    for (uint32_t r = 0; r < n; r++)
      c.null[r] = rnd(g) % 5 == 0;
  }
  c.i = arena_alloc64(&k->a, n * sizeof(int64_t));
  if (type == IR_STR)
    c.dict = kit_dict(k, kit_strings, NULL, KIT_STRINGS);
  for (uint32_t r = 0; r < n; r++) {
    uint64_t w = rnd(g), how = rnd(g) % 4;
    bool null = c.null && c.null[r];
    if (type == IR_BOOL)
      c.b[r] = null ? 0 : w & 1;
    else if (type == IR_STR)
      c.code[r] = null ? 0 : (uint32_t)(w % KIT_STRINGS);
    else if (type == IR_I64)
      c.i[r] = null       ? 0
               : how == 0 ? kit_ints[w % (sizeof kit_ints / sizeof *kit_ints)]
               : how == 1 ? (int64_t)(w % 200) - 100
               : how == 2 ? (int64_t)(w % 40000) - 20000
                          : (int64_t)w >> (rnd(g) % 40);
    else
      c.f[r] = null       ? 0
               : how <= 1 ? kit_doubles[w % (sizeof kit_doubles / sizeof *kit_doubles)]
               : how == 2 ? (double)((int64_t)(w % 2000) - 1000) / 8
                          : unit_of(w) * 4 - 2;
  }
  return c;
}

/* ---- One value ---- */

typedef struct Val {
  bool null, bad; /* bad: a data error */
  union {
    uint8_t b;
    int64_t i;
    double f;
  };
  const char *p;  /* strings */
  uint32_t n;
} Val;

static inline Val val_at(const Col *c, uint32_t r) {
  Val v = {.null = c->null && c->null[r]};
  switch (c->type) {
  case IR_BOOL:
    v.i = 0;
    v.b = c->b[r];
    break;
  case IR_STR:
    if (c->code[r] < c->dict->n) {
      v.p = c->dict->bytes + c->dict->off[c->code[r]];
      v.n = c->dict->off[c->code[r] + 1] - c->dict->off[c->code[r]];
    }
    break;
  default:
    v.i = c->i[r];
    break;
  }
  return v;
}

/* The same bits, where a NaN is any NaN on the side of `want`. */
static inline bool val_same(uint8_t type, Val got, Val want) {
  if (want.null || got.null)
    return want.null == got.null && (type == IR_STR || got.i == 0);
  if (type == IR_STR)
    return got.n == want.n && !memcmp(got.p, want.p, want.n);
  if (type == IR_BOOL)
    return got.b == want.b;
  if (type == IR_F64 && isnan(want.f))
    return (uint64_t)got.i == UINT64_C(0x7ff8000000000000);
  return got.i == want.i;
}

#endif
