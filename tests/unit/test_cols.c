/* SPDX-License-Identifier: Apache-2.0 */
/* vm/exec/cols.c: a block made with columns that are lent is the one made with copies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "vm/exec/cols.h"

enum { ROWS = 5 * 7, STEP = 7, COLUMNS = 6 };

static const uint8_t type[COLUMNS] = {IR_F64, IR_I64, IR_BOOL, IR_STR, IR_F64, IR_STR};

static Dict *dict(uint32_t n) {
  Dict *d = mem_alloc(sizeof *d);
  d->n = n;
  d->off = mem_alloc((n + 1) * sizeof *d->off);
  d->bytes = mem_alloc(n + 1);
  for (uint32_t i = 0; i < n; i++) {
    d->bytes[i] = (char)('a' + i % 26);
    d->off[i + 1] = i + 1;
  }
  atomic_init(&d->refs, 1);
  return d;
}

/* The second text's dictionary is much larger than the block needs. */
static Block *raw_block(unsigned seed) {
  Block *b = mem_alloc(sizeof *b);
  b->n = b->npos = ROWS;
  b->ncol = COLUMNS;
  b->col = mem_alloc(COLUMNS * sizeof *b->col);
  atomic_init(&b->refs, 1);
  for (uint32_t k = 0; k < COLUMNS; k++) {
    Col *c = &b->col[k];
    c->type = type[k];
    c->b = mem_alloc64(ROWS * col_size(c));
    c->null = (seed + k) % 3 ? mem_alloc(ROWS) : NULL; /* all 0 at first */
    c->dict = type[k] == IR_STR ? dict(k == 5 ? 500 : 20) : NULL;
    for (uint32_t r = 0; r < ROWS; r++) {
      uint32_t v = (seed * 7919 + k * 104729 + r * 31) % 20;
      if (type[k] == IR_BOOL)
        c->b[r] = v & 1;
      else if (type[k] == IR_STR)
        c->code[r] = v;
      else if (type[k] == IR_F64)
        c->f[r] = v;
      else
        c->i[r] = v;
      if (c->null && (seed + k) % 3 == 1 && v == 3)
        c->null[r] = 1;
    }
  }
  return b;
}

/* How column k of the output comes, panel after panel. */
typedef enum How { AS_IT_IS, ANOTHER, THE_SAME, COPIED, LATER_COPIED, LATER_OTHER_NULLS, HOWS } How;

static Block *make(Block *raw, const How *how, bool lend, uint32_t pick_at) {
  Maker m;
  Err e = {.code = ST_OK};
  Block *out = NULL;
  static uint8_t space[COLUMNS][ROWS * 8], none[ROWS];
  uint8_t out_type[COLUMNS];
  for (uint32_t k = 0; k < COLUMNS; k++)
    out_type[k] = how[k] == ANOTHER ? type[COLUMNS - 1 - k] : how[k] == THE_SAME ? type[0] : type[k];
  assert_int_equal(maker_init(&m, out_type, COLUMNS, 0, &e), ST_OK);
  assert_int_equal(maker_begin(&m, raw, ROWS, &e), ST_OK);
  if (lend)
    assert_int_equal(maker_lend(&m, raw, &e), ST_OK);
  for (uint32_t r = 0; r < ROWS; r += STEP) {
    const uint32_t some[] = {1, 2, 5};
    const uint32_t *row = r == pick_at ? some : NULL;
    uint32_t n = row ? 3 : STEP;
    for (uint32_t k = 0; k < COLUMNS; k++) {
      uint32_t from = how[k] == ANOTHER ? COLUMNS - 1 - k : how[k] == THE_SAME ? 0 : k;
      Col c;
      col_shift(&raw->col[from], r, &c);
      if (how[k] == COPIED || (how[k] == LATER_COPIED && r >= 2 * STEP)) {
        memcpy(space[k], c.b, STEP * col_size(&c));
        c.b = space[k];
      }
      if (how[k] == LATER_OTHER_NULLS && r >= 3 * STEP)
        c.null = c.null ? NULL : none;
      assert_int_equal(maker_col(&m, k, &c, row, n, &e), ST_OK);
    }
    for (uint32_t i = 0; i < n; i++)
      m.at[m.n + i] = r + (row ? row[i] : i);
    maker_step(&m, n);
  }
  assert_int_equal(maker_end(&m, &out, &e), ST_OK);
  maker_free(&m);
  return out;
}

static void same_blocks(const Block *a, const Block *b) {
  assert_int_equal(a->n, b->n);
  assert_int_equal(a->bytes, b->bytes);
  for (uint32_t k = 0; k < COLUMNS; k++) {
    const Col *x = &a->col[k], *y = &b->col[k];
    assert_int_equal(x->type, y->type);
    assert_int_equal(x->null != NULL, y->null != NULL);
    if (x->null)
      assert_memory_equal(x->null, y->null, a->n);
    if (x->type != IR_STR)
      assert_memory_equal(x->b, y->b, a->n * col_size(x));
    for (uint32_t r = 0; x->type == IR_STR && r < a->n; r++)
      assert_int_equal(x->dict->bytes[x->dict->off[x->code[r]]], y->dict->bytes[y->dict->off[y->code[r]]]);
    if (x->dict)
      assert_int_equal(x->dict->n, y->dict->n);
  }
}

static void lent_or_copied(void **state) {
  (void)state;
  for (unsigned seed = 0; seed < 300; seed++) {
    How how[COLUMNS];
    uint32_t pick_at = seed % 5 == 0 ? 3 * STEP : seed % 5 == 1 ? 0 : ROWS;
    for (uint32_t k = 0; k < COLUMNS; k++)
      how[k] = (How)((seed * 2654435761u >> (3 * k + 3)) % HOWS);
    Block *raw = raw_block(seed), *b = raw_block(seed);
    Block *copied = make(raw, how, false, pick_at), *lent = make(b, how, true, pick_at);
    block_drop(b); /* before what was taken out of it is looked at */
    same_blocks(copied, lent);
    block_drop(raw);
    block_drop(copied);
    block_drop(lent);
  }
}

/* What is lent is not copied: it lies where it lay. */
static void not_copied(void **state) {
  (void)state;
  static const How how[COLUMNS] = {AS_IT_IS};
  Block *raw = raw_block(2);
  const void *at[COLUMNS];
  for (uint32_t k = 0; k < COLUMNS; k++)
    at[k] = raw->col[k].b;
  Block *b = make(raw, how, true, ROWS);
  block_drop(raw);
  for (uint32_t k = 0; k < COLUMNS; k++)
    assert_int_equal(b->col[k].b == at[k], k != 5);
  block_drop(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lent_or_copied),
      cmocka_unit_test(not_copied),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
