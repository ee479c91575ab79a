/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter around its ops (those are in test_interp_ops.c): rows removed and rows that fail,
 * registers, constants, dictionaries kept from panel to panel, keys, positions, fitted values, malformed
 * programs, memory that runs out. */
#include "tests/unit/interp_kit.h"

#include "vm/estimator.h"

static Col ints(Kit *k, const int64_t *v, const uint8_t *null, uint32_t n) {
  Col c = {.type = IR_I64};
  c.i = arena_alloc64(&k->a, (n + 1) * sizeof *v);
  memcpy(c.i, v, n * sizeof *v);
  if (null) {
    c.null = arena_alloc64(&k->a, n + 1);
    memcpy(c.null, null, n);
  }
  return c;
}

static Col strings(Kit *k, const char *const *v, uint32_t n) {
  Col c = {.type = IR_STR};
  c.code = arena_alloc64(&k->a, (n + 1) * sizeof *c.code);
  c.dict = kit_dict(k, v, NULL, n);
  for (uint32_t r = 0; r < n; r++)
    c.code[r] = r;
  return c;
}

static const Fitted *vocab(Kit *k, const char *const *v, uint32_t n) {
  Fitted *f = NEW(&k->a, Fitted);
  f->type = IR_VOCAB;
  f->n = n;
  f->vocab = kit_dict(k, v, NULL, n);
  return f;
}

/* ---- Rows that leave and rows that fail ---- */

static void test_keep_and_errors(void **state) {
  (void)state;
  Kit *k = kit_new();
  const int64_t x[] = {INT64_MAX, 5, INT64_MAX, 0, INT64_MAX, 7};
  const int64_t y[] = {0, 1, 2, 3, 0, 5};
  const uint8_t null[] = {0, 0, 0, 1, 0, 0};
  uint32_t a = kit_col(k, ints(k, x, null, 6)), b = kit_col(k, ints(k, y, NULL, 6));
  uint32_t one = kit_i64(k, 1);
  uint32_t keep = STEP(k, OP_KEEP, STEP(k, OP_NE_I64, b, kit_i64(k, 0))); /* rows 0 and 4 leave */
  uint32_t sum = STEP(k, OP_ADD_I64, a, one);                             /* row 2 overflows */
  uint32_t again = STEP(k, OP_MUL_I64, a, kit_i64(k, 2));                 /* and once more: one error a row */
  uint32_t later = STEP(k, OP_KEEP, STEP(k, OP_LT_I64, b, kit_i64(k, 5)));
  kit_out(k, sum, "sum");
  kit_out(k, again, "again");
  kit_out(k, keep, "keep");
  kit_out(k, later, "later");
  Interp *t = kit_interp(k, NULL);
  Col out[4];
  uint8_t kept[PANEL_ROWS];
  RowErrors errors;
  kit_run(k, t, 6, out, kept, &errors);
  const uint8_t want[] = {0, 1, 1, 1, 0, 0};
  assert_memory_equal(kept, want, 6);
  assert_int_equal(errors.count, 1);
  assert_int_equal(errors.n, 1);
  assert_int_equal(errors.v[0].pos, 1002);
  assert_int_equal(errors.v[0].step, sum);
  assert_int_equal(errors.v[0].line, 3);
  assert_string_equal(errors.v[0].text, "9223372036854775807 + 1 does not fit an int (64 bits)");
  assert_int_equal(out[0].i[2], 0);
  assert_int_equal(out[0].i[1], 6);
  assert_true(out[0].null[3]);
  interp_free(t);
  kit_free(k);
}

static void test_positions(void **state) {
  (void)state;
  Kit *k = kit_new();
  const int64_t x[] = {3, -4, 9, -1};
  const uint32_t at[] = {0, 7, 8, 100};
  uint32_t c = kit_col(k, ints(k, x, NULL, 4));
  uint32_t v = STEP(k, OP_CHECK_RANGE_I64, c);
  kit_last(k)->s = "age";
  kit_last(k)->f = 0;
  kit_last(k)->g = 5.5;
  uint32_t u = kit_step(k, OP_RNG, NULL, 0);
  kit_last(k)->i = -77;
  kit_out(k, v, "v");
  kit_out(k, u, "u");
  Interp *t = kit_interp(k, NULL);
  RowsIn in = {.n = 4, .col = k->col, .file = 3, .pos = 5000, .at = at};
  RowErrors errors = {.count = 0};
  Err e = {.code = ST_OK};
  Col out[2];
  assert_int_equal(interp_run(t, &in, out, NULL, &errors, &e), ST_OK);
  assert_int_equal(errors.count, 3);
  assert_int_equal(errors.v[0].pos, 5007);
  assert_int_equal(errors.v[1].pos, 5008);
  assert_int_equal(errors.v[2].pos, 5100);
  assert_string_equal(errors.v[1].text, "9 is outside 0..5.5");
  assert_string_equal(errors.v[1].column, "age");
  for (uint32_t r = 0; r < 4; r++)
    assert_true(out[1].f[r] == unit_of(rng_word((uint64_t)-77, hash_word(3, 5000 + at[r]))));
  interp_free(t);
  kit_free(k);
}

static void test_row_errors(void **state) {
  (void)state;
  RowErrors a = {.count = 0}, b = {.count = 0};
  for (uint64_t i = 0; i < 30; i++) {
    RowError x = {.file = (uint32_t)(i % 2), .pos = 29 - i, .step = 4};
    row_errors_add(i % 3 ? &a : &b, &x);
  }
  RowError again = {.file = 0, .pos = 1,
                    .step = 2}; /* the same row, an earlier step: file 0 has the odd positions */
  row_errors_add(&a, &again);
  row_errors_merge(&a, &b);
  assert_int_equal(a.count, 30);
  assert_int_equal(a.n, ROW_ERRORS);
  for (uint32_t i = 0; i < ROW_ERRORS; i++) {
    assert_int_equal(a.v[i].file, 0);
    assert_int_equal(a.v[i].pos, 2 * i + 1);
    assert_int_equal(a.v[i].step, i == 0 ? 2 : 4);
  }
}

/* Beyond the ten that are kept a row still counts once: when it is added again, and when lists of one block
 * meet, as those of its quarters do. */
static void test_row_errors_once(void **state) {
  (void)state;
  RowErrors all = {.count = 0}, a = {.count = 0}, b = {.count = 0};
  uint64_t want = 0;
  for (uint64_t block = 0; block < 3; block++)
    for (uint32_t step = 0; step < 3; step++)
      for (uint64_t i = 0; i < BLOCK; i += step + 1) {
        RowError x = {.file = 1, .pos = block * BLOCK + i, .step = step};
        row_errors_add(&all, &x);
        want += step == 0;
      }
  assert_int_equal(all.count, want);
  assert_true(row_errors_has(&all, 1, 3 * BLOCK - 1));
  assert_false(row_errors_has(&all, 0, 3 * BLOCK - 1));
  for (uint64_t i = 0; i < 60; i++) {
    RowError x = {.file = 2, .pos = 5 * BLOCK + i, .step = 1};
    row_errors_add(i < 40 ? &a : &b, &x);
    if (i >= 20)
      row_errors_add(&b, &x);
  }
  row_errors_merge(&all, &a);
  row_errors_merge(&all, &b);
  assert_int_equal(all.count, want + 60);
}

/* ---- Registers ---- */

/* A long program of random steps: its last values must be the same whether all values are kept or
 * registers are used again. */
static void test_registers(void **state) {
  (void)state;
  static const uint32_t ops[] = {OP_ADD_F64, OP_MUL_F64, OP_SUB_F64, OP_LEAST_F64, OP_IF_F64, OP_LT_F64,
                                 OP_NULL_IF_F64, OP_COALESCE_F64,
                                 OP_AND_B,   OP_FLOOR_F64, OP_CAST_F64_STR, OP_EQ_STR, OP_CHECK_NAN_F64,
                                 OP_CAST_B_F64, OP_CONCAT_STR};
  for (uint64_t seed = 0; seed < 20; seed++) {
    Kit *k = kit_new();
    Rng g = {seed, 0};
    uint32_t of[4][300], n[4] = {0, 0, 0, 0}; /* values by type */
    for (int i = 0; i < 3; i++)
      of[IR_F64][n[IR_F64]++] = kit_col(k, kit_column(k, &g, IR_F64, i > 0));
    of[IR_F64][n[IR_F64]++] = kit_f64(k, 0.25);
    of[IR_BOOL][n[IR_BOOL]++] = kit_col(k, kit_column(k, &g, IR_BOOL, true));
    of[IR_STR][n[IR_STR]++] = kit_col(k, kit_column(k, &g, IR_STR, true));
    while (k->p.nval < 199) {
      uint32_t op = ops[rnd(&g) % (sizeof ops / sizeof *ops)], arg[3];
      const OpInfo *o = op_info(op);
      for (int i = 0; i < o->arity; i++) {
        int type = op_arg(o, (uint32_t)i);
        uint32_t near = n[type] > 6 && rnd(&g) % 4 ? 6 : n[type]; /* mostly recent: registers get free */
        arg[i] = of[type][n[type] - 1 - rnd(&g) % near];
      }
      uint32_t v = kit_step(k, op, arg, (uint32_t)o->arity);
      kit_last(k)->s = "c";
      of[o->result][n[o->result]++] = v;
      if (k->p.nval % 16 == 0) /* constants among them, whose registers are never free */
        of[IR_F64][n[IR_F64]++] = kit_f64(k, unit_of(rnd(&g)));
    }
    uint32_t end = k->p.nval;
    for (uint32_t v = end - 10; v < end; v++)
      kit_out(k, v, "last");
    Interp *few = NULL, *all;
    RowProg ten = k->p;
    Err e = {.code = ST_OK};
    assert_int_equal(interp_new(&ten, NULL, k->name, k->ncol, &few, &e), ST_OK);
    for (uint32_t v = 0; v < end - 10; v++)
      kit_out(k, v, "all");
    all = kit_interp(k, NULL);
    Col a[400], b[400];
    RowErrors ea, eb;
    for (int twice = 0; twice < 2; twice++) {
      kit_run(k, all, PANEL_ROWS, a, NULL, &ea);
      kit_run(k, few, PANEL_ROWS, b, NULL, &eb);
      assert_int_equal(ea.count, eb.count);
      for (uint32_t o = 0; o < 10; o++) {
        for (uint32_t r = 0; r < PANEL_ROWS; r++)
          assert_true(val_same(a[o].type, val_at(&b[o], b[o].constant ? 0 : r), val_at(&a[o],
              a[o].constant ? 0 : r)));
      }
    }
    interp_free(few);
    interp_free(all);
    kit_free(k);
  }
}

/* ---- Constants and fitted scalars ---- */

static void test_constants(void **state) {
  (void)state;
  Kit *k = kit_new();
  Fitted mean = {.type = IR_F64, .f = 2.5}, name = {.type = IR_STR, .s = "b",
                                                    .n = 1}, flag = {.type = IR_BOOL, .b = 1},
         count = {.type = IR_I64, .i = 41};
  const Fitted *v[] = {&mean, &name, &flag, &count};
  Env env = {v, 4};
  const char *const text[] = {"a", "b"};
  uint32_t col = kit_col(k, strings(k, text, 2));
  uint32_t m = kit_step(k, OP_FITTED_F64, NULL, 0);
  uint32_t s = kit_step(k, OP_FITTED_STR, NULL, 0);
  kit_last(k)->i = 1;
  uint32_t f = kit_step(k, OP_FITTED_B, NULL, 0);
  kit_last(k)->i = 2;
  uint32_t n = kit_step(k, OP_FITTED_I64, NULL, 0);
  kit_last(k)->i = 3;
  kit_out(k, STEP(k, OP_IF_F64, f, STEP(k, OP_MUL_F64, m, kit_f64(k, 2)), m), "ten");
  kit_out(k, STEP(k, OP_EQ_STR, col, s), "is b");
  kit_out(k, STEP(k, OP_ADD_I64, n, kit_i64(k, 1)), "42");
  kit_out(k, STEP(k, OP_UPPER_STR, s), "B");
  kit_out(k, STEP(k, OP_NULL_IF_I64, n, n), "null");
  Interp *t = kit_interp(k, &env);
  Col out[5];
  RowErrors errors;
  kit_run(k, t, 2, out, NULL, &errors);
  assert_true(out[0].constant && out[0].f[0] == 5);
  assert_true(!out[1].constant && out[1].b[0] == 0 && out[1].b[1] == 1);
  assert_true(out[2].constant && out[2].i[0] == 42);
  assert_true(out[3].constant && out[3].dict->bytes[out[3].dict->off[out[3].code[0]]] == 'B');
  assert_true(out[4].constant && out[4].null && out[4].null[0] == 1 && out[4].i[0] == 0);
  interp_free(t);

  /* a constant that is wrong is told at once, with its place */
  STEP(k, OP_CAST_F64_I64, STEP(k, OP_DIV_F64, m, kit_f64(k, 0)));
  Err e = {.code = ST_OK};
  assert_int_equal(interp_new(&k->p, &env, k->name, k->ncol, &t, &e), ST_DATA);
  assert_string_equal(e.where, "line 3, column 7");
  assert_string_equal(e.cause, "inf does not fit an int (64 bits)");
  kit_free(k);
}

/* A list made of fitted and constant numbers serves as cuts; its parts must be known before the rows. */
static void test_list(void **state) {
  (void)state;
  Kit *k = kit_new();
  Rng g = {1, 2};
  Fitted mean = {.type = IR_F64, .f = 2.5};
  const Fitted *v[] = {&mean};
  Env env = {v, 1};
  uint32_t x = kit_col(k, kit_column(k, &g, IR_F64, false));
  for (uint32_t r = 0; r < PANEL_ROWS; r++)
    k->col[0].f[r] = r % 5;
  uint32_t m = kit_step(k, OP_FITTED_F64, NULL, 0);
  uint32_t cuts = STEP(k, OP_LIST, m, STEP(k, OP_ADD_F64, m, kit_f64(k, 1)));
  kit_out(k, STEP(k, OP_CUT_F64, x, cuts), "cut");
  Interp *t = kit_interp(k, &env);
  Col out;
  RowErrors errors;
  kit_run(k, t, PANEL_ROWS, &out, NULL, &errors);
  for (uint32_t r = 0; r < PANEL_ROWS; r++)
    assert_int_equal(out.i[r], r % 5 < 3 ? 0 : r % 5 == 3 ? 1 : 2);
  interp_free(t);
  STEP(k, OP_LIST, x);
  Err e = {.code = ST_OK};
  assert_int_equal(interp_new(&k->p, &env, k->name, k->ncol, &t, &e), ST_FAULT);
  kit_free(k);
}

static void test_constant_input(void **state) {
  (void)state;
  Kit *k = kit_new();
  double v = 1.5;
  Col c = {.type = IR_F64, .constant = true, .f = &v};
  uint32_t x = kit_col(k, c);
  kit_out(k, STEP(k, OP_ADD_F64, x, x), "3");
  kit_out(k, x, "x");
  Interp *t = kit_interp(k, NULL);
  Col out[2];
  RowErrors errors;
  kit_run(k, t, PANEL_ROWS, out, NULL, &errors);
  assert_true(out[0].f[PANEL_ROWS - 1] == 3 && out[1].f[PANEL_ROWS - 1] == 1.5);
  interp_free(t);
  kit_free(k);
}

/* ---- Dictionaries ---- */

/* Panels of one block share a dictionary, other blocks have others, some of them not counted: results
 * never mix. */
static void test_dictionaries(void **state) {
  (void)state;
  static const char *const words[3][3] = {{"abc", "B", ""}, {"b", "xyz", "B"}, {"q", "", "abc"}};
  static const char *const level_names[] = {"abc", "b", "q"};
  Kit *k = kit_new();
  const Fitted *v[] = {vocab(k, level_names, 3)};
  Env env = {v, 1};
  uint32_t x = kit_col(k, strings(k, words[0], 3));
  uint32_t low = STEP(k, OP_LOWER_STR, x);
  kit_out(k, low, "low");
  kit_out(k, STEP(k, OP_IF_STR, STEP(k, OP_EQ_STR, low, kit_str(k, "b")), kit_str(k, "it is b"), x), "if");
  uint32_t levels = kit_step(k, OP_FITTED_VOCAB, NULL, 0);
  kit_out(k, STEP(k, OP_INDICATOR_STR, low, levels), "hot");
  kit_out(k, STEP(k, OP_LENGTH_STR, STEP(k, OP_CONCAT_STR, low, kit_str(k, "!!"))), "length");
  Interp *t = kit_interp(k, &env);
  Dict scratch = {.n = 0};
  for (int round = 0; round < 12; round++) {
    int w = round / 2 % 3;
    Col *c = &k->col[0];
    if (round % 2 == 0) { /* a new dictionary; every other time in the very place of one before,
                         which nobody could hold */
      Col fresh = strings(k, words[w], 3);
      if (round % 4 == 0) {
        c->dict = fresh.dict;
      } else {
        scratch.n = 3;
        scratch.off = fresh.dict->off;
        scratch.bytes = fresh.dict->bytes;
        c->dict = &scratch;
      }
    }
    bool reused = c->dict->refs == 0;
    Col out[4];
    RowErrors errors;
    kit_run(k, t, 3, out, NULL, &errors);
    for (uint32_t r = 0; r < 3; r++) {
      Val in = val_at(c, r), lowered = val_at(&out[0], r), chosen = val_at(&out[1], r);
      char want[8] = {0};
      for (uint32_t i = 0; i < in.n; i++)
        want[i] = (char)(in.p[i] == 'B' ? 'b' : in.p[i]);
      if (lowered.n != strlen(want) || memcmp(lowered.p, want, lowered.n))
        fail_msg("round %d, row %u%s: `%.*s`, not `%s`", round, r, reused ? " (not counted)" : "",
                 (int)lowered.n, lowered.p, want);
      bool b = !strcmp(want, "b");
      assert_int_equal(chosen.n, b ? 7 : in.n);
      assert_int_equal(out[2].hot[r], !strcmp(want, "abc") ? 0 : b ? 1 : !strcmp(want, "q") ? 2 : -1);
      assert_int_equal(out[3].i[r], strlen(want) + 2);
    }
  }
  interp_free(t);
  kit_free(k);
}

/* Numbers as text: the dictionary stays the same once all values were seen, and starts anew when it grows
 * too large. */
static void test_growing_dictionary(void **state) {
  (void)state;
  Kit *k = kit_new();
  int64_t *x = arena_alloc64(&k->a, PANEL_ROWS * sizeof *x);
  uint32_t c = kit_col(k, (Col){.type = IR_I64, .i = x});
  kit_out(k, STEP(k, OP_CAST_I64_STR, c), "text");
  Interp *t = kit_interp(k, NULL);
  const Dict *last = NULL;
  for (int64_t round = 0; round < 40; round++) {
    int64_t base = round < 10 ? 0 : round * 100000;
    for (uint32_t r = 0; r < PANEL_ROWS; r++)
      x[r] = base + r % (round < 10 ? 5 : PANEL_ROWS);
    Col out;
    RowErrors errors;
    kit_run(k, t, PANEL_ROWS, &out, NULL, &errors);
    for (uint32_t r = 0; r < PANEL_ROWS; r++) {
      char want[40];
      Val got = val_at(&out, r);
      int n = snprintf(want, sizeof want, "%lld", (long long)x[r]);
      assert_int_equal(got.n, n);
      assert_memory_equal(got.p, want, got.n);
    }
    if (round > 0 && round < 10)
      assert_ptr_equal(out.dict, last);
    last = out.dict;
  }
  interp_free(t);
  kit_free(k);
}

/* ---- Keys ---- */

static void put_part(Buf *b, const Col *c, uint32_t r) {
  Val v = val_at(c, r);
  if (v.null)
    buf_u8(b, 0);
  else if (c->type == IR_BOOL)
    key_put_b(b, v.b);
  else if (c->type == IR_I64)
    key_put_i64(b, v.i);
  else
    key_put_str(b, v.p, v.n);
}

static void test_hash(void **state) {
  (void)state;
  static const IrType types[5][3] = {{IR_STR}, {IR_I64}, {IR_STR, IR_I64, IR_BOOL}, {IR_STR, IR_STR},
                                     {IR_BOOL, IR_STR}};
  static const uint32_t parts[5] = {1, 1, 3, 2, 2};
  for (int i = 0; i < 10; i++) {
    Kit *k = kit_new();
    Rng g = {(uint64_t)i, 9};
    uint32_t arg[3];
    for (uint32_t j = 0; j < parts[i / 2]; j++)
      arg[j] = kit_col(k, kit_column(k, &g, types[i / 2][j], i & 1));
    uint32_t h = kit_step(k, OP_HASH, arg, parts[i / 2]);
    kit_last(k)->i = -12345;
    kit_out(k, h, "h");
    Interp *t = kit_interp(k, NULL);
    Col out;
    RowErrors errors;
    kit_run(k, t, PANEL_ROWS, &out, NULL, &errors);
    Buf b = {NULL, 0, 0, false};
    for (uint32_t r = 0; r < PANEL_ROWS; r++) {
      buf_clear(&b);
      for (uint32_t j = 0; j < parts[i / 2]; j++)
        put_part(&b, &k->col[j], r);
      assert_true(out.f[r] == unit_of(hash_bytes((uint64_t)-12345, b.p, b.n)));
    }
    assert_null(out.null);
    buf_free(&b);
    interp_free(t);
    kit_free(k);
  }
}

static int by_bytes(const void *a, const void *b) {
  const Buf *x = a, *y = b;
  int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
  return c ? c : (x->n > y->n) - (x->n < y->n);
}

/* A table of some of the keys that the columns have, with `nvariant` variants: value = 1000 * variant +
 * number of the key. */
static Fitted *table_of(Kit *k, const Col *col, uint32_t nkey, uint32_t nvariant, IrType type) {
  Buf key[64];
  uint32_t n = 0, m = 0;
  memset(key, 0, sizeof key);
  for (uint32_t r = 0; r < PANEL_ROWS && n < 60; r += 3) {
    bool null = false;
    for (uint32_t j = 0; j < nkey; j++) {
      put_part(&key[n], &col[j], r);
      null |= col[j].null && col[j].null[r];
    }
    if (null)
      buf_clear(&key[n]);
    else
      n++;
  }
  qsort(key, n, sizeof *key, by_bytes);
  Fitted *f = NEW(&k->a, Fitted);
  Table *t = f->table = NEW(&k->a, Table);
  f->type = IR_TABLE;
  t->type = (uint8_t)type;
  t->nkey = (uint8_t)nkey;
  t->nvariant = nvariant;
  t->off = NEWN(&k->a, uint32_t, n + 1);
  t->bytes = arena_alloc(&k->a, 100000);
  for (uint32_t i = 0; i < n; i++) {
    if (i && !by_bytes(&key[i], &key[i - 1]))
      continue;
    memcpy(t->bytes + t->off[m], key[i].p, key[i].n);
    t->off[m + 1] = t->off[m] + (uint32_t)key[i].n;
    m++;
  }
  for (uint32_t i = 0; i < 64; i++)
    buf_free(&key[i]);
  t->n = m;
  t->null = arena_alloc(&k->a, m * nvariant + 1);
  t->i = NEWN(&k->a, int64_t, m * nvariant + 1);
  t->f = NEWN(&k->a, double, m * nvariant + 1);
  for (uint32_t v = 0; v < nvariant; v++) {
    for (uint32_t i = 0; i < m; i++) {
      t->null[v * m + i] = (v * 7 + i) % 11 == 3;
      t->i[v * m + i] = 1000 * v + i;
      t->f[v * m + i] = 1000 * v + i;
    }
  }
  return f;
}

static void test_lookup(void **state) {
  (void)state;
  static const IrType types[5][3] = {{IR_STR}, {IR_I64}, {IR_BOOL}, {IR_STR, IR_I64, IR_BOOL}, {IR_STR,
                                                                                                IR_STR}};
  static const uint32_t parts[5] = {1, 1, 1, 3, 2};
  for (int i = 0; i < 30; i++) {
    Kit *k = kit_new();
    Rng g = {(uint64_t)i, 3};
    int shape = i % 5, mode = i / 10; /* 0: no folds; 1: folds; 2: folds, only some are training rows */
    bool nested = i % 3 == 1;
    uint32_t arg[3], nkey = parts[shape];
    for (uint32_t j = 0; j < nkey; j++)
      arg[j] = kit_col(k, kit_column(k, &g, types[shape][j], i & 1));
    Fitted *f = table_of(k, k->col, nkey, i % 4 ? 6 : 1, i & 1 ? IR_F64 : IR_I64);
    Table *tab = f->table;
    assert_true(tab->n > 0);
    const Fitted *v[] = {f};
    Env env = {v, 1};
    uint32_t s = kit_step(k, i & 1 ? OP_LOOKUP_F64 : OP_LOOKUP_I64, arg, nkey);
    kit_last(k)->g = nested && tab->nvariant > 1 ? 2 : -1;
    kit_out(k, s, "x");
    Interp *t = kit_interp(k, &env);
    uint8_t fold[PANEL_ROWS], train[PANEL_ROWS];
    for (uint32_t r = 0; r < PANEL_ROWS; r++) {
      fold[r] = (uint8_t)(rnd(&g) % 5);
      train[r] = rnd(&g) & 1;
    }
    RowsIn in = {.n = PANEL_ROWS, .col = k->col, .fold = mode ? fold : NULL,
                 .train = mode == 2 ? train : NULL};
    Col out;
    RowErrors errors = {.count = 0};
    Err e = {.code = ST_OK};
    assert_int_equal(interp_run(t, &in, &out, NULL, &errors, &e), ST_OK);
    uint32_t found = 0;
    for (uint32_t r = 0; r < PANEL_ROWS; r++) {
      Buf b = {NULL, 0, 0, false};
      bool null = false;
      for (uint32_t j = 0; j < nkey; j++) {
        put_part(&b, &k->col[j], r);
        null |= k->col[j].null && k->col[j].null[r];
      }
      uint32_t variant = 0, at = 0;
      if (tab->nvariant > 1)
        variant = nested ? 3 : mode == 0 || (mode == 2 && !train[r]) ? 0 : 1u + fold[r];
      while (at < tab->n && (tab->off[at + 1] - tab->off[at] != b.n || memcmp(tab->bytes + tab->off[at], b.p,
                                                                              b.n)))
        at++;
      buf_free(&b);
      null |= at == tab->n || tab->null[variant * tab->n + at];
      found += !null;
      Val want = {.null = null}, got = val_at(&out, r);
      if (tab->type == IR_F64)
        want.f = 1000 * variant + at;
      else
        want.i = 1000 * variant + at;
      assert_true(val_same(out.type, got, want));
    }
    assert_true(found > 0 || PANEL_ROWS < 100);
    interp_free(t);
    kit_free(k);
  }
}

/* ---- Vectors ---- */

static void test_vectors(void **state) {
  (void)state;
  Kit *k = kit_new();
  Rng g = {1, 1};
  static const char *level_names[] = {"abc", "test", "train"};
  uint32_t a = kit_col(k, kit_column(k, &g, IR_F64, true)), b = kit_col(k, kit_column(k, &g, IR_F64, false));
  uint32_t s = kit_col(k, kit_column(k, &g, IR_STR, true));
  kit_out(k, STEP(k, OP_VEC, b, kit_f64(k, 2), b), "plain");
  kit_out(k, STEP(k, OP_VEC, a, b), "null");
  kit_out(k, STEP(k, OP_INDICATOR_STR, s, kit_vocab(k, level_names, 3)), "hot");
  Interp *t = kit_interp(k, NULL);
  Col out[3];
  RowErrors errors;
  kit_run(k, t, PANEL_ROWS, out, NULL, &errors);
  assert_int_equal(out[0].width, 3);
  assert_int_equal(out[2].width, 3);
  assert_true(out[2].is_hot && !out[0].is_hot);
  for (uint32_t r = 0; r < PANEL_ROWS; r++) {
    double x = k->col[1].f[r];
    assert_true(out[0].f[3 * r + 1] == 2 && (isnan(x) || (out[0].f[3 * r] == x && out[0].f[3 * r + 2] == x)));
    bool null = k->col[0].null[r];
    assert_int_equal(out[1].null[r], null);
    assert_true(!null || (out[1].f[2 * r] == 0 && out[1].f[2 * r + 1] == 0));
    Val v = val_at(&k->col[2], r);
    int want = -1;
    for (int j = 0; j < 3; j++)
      want = !v.null && v.n == strlen(level_names[j]) && !memcmp(v.p, level_names[j], v.n) ? j : want;
    assert_int_equal(out[2].hot[r], want);
    assert_int_equal(out[2].null[r], v.null);
  }
  interp_free(t);
  kit_free(k);
}

/* ---- What is refused ---- */

static void test_malformed(void **state) {
  (void)state;
  Interp *t = NULL;
  Fitted wrong = {.type = IR_I64};
  const Fitted *v[] = {&wrong, NULL};
  Env env = {v, 2};
  for (int i = 0; i < 10; i++) {
    Kit *k = kit_new();
    uint32_t x = kit_f64(k, 1), s = kit_str(k, "a");
    switch (i) {
    case 0:
      STEP(k, OP_ADD_F64, x, x);
      kit_last(k)->arg[1] = 2; /* itself */
      break;
    case 1:
      STEP(k, OP_ADD_F64, x, s);
      break;
    case 2:
      STEP(k, OP_ADD_F64, x);
      break;
    case 3:
      STEP(k, OP_ADD_F64, x, x);
      kit_last(k)->op = OP_N + 3;
      break;
    case 4:
      STEP(k, OP_ADD_F64, x, x);
      kit_last(k)->type = IR_I64;
      break;
    case 5:
      kit_step(k, OP_FITTED_F64, NULL, 0);
      break;
    case 6:
      kit_step(k, OP_FITTED_I64, NULL, 0);
      kit_last(k)->i = 1;
      break;
    case 7:
      kit_step(k, OP_FITTED_I64, NULL, 0);
      kit_last(k)->i = 2;
      break;
    case 8:
      kit_col(k, (Col){.type = IR_F64});
      kit_last(k)->s = "elsewhere";
      break;
    default:
      kit_out(k, 7, "none");
      break;
    }
    Err e = {.code = ST_OK};
    assert_int_equal(interp_new(&k->p, &env, k->name, k->ncol, &t, &e), ST_FAULT);
    assert_null(t);
    kit_free(k);
  }
  /* cuts that do not increase are the data's fault: they may be fitted */
  Kit *k = kit_new();
  const double cuts[] = {1, 0};
  kit_out(k, STEP(k, OP_BUCKET_F64, kit_f64(k, 1), kit_list(k, cuts, 2)), "x");
  Err e = {.code = ST_OK};
  assert_int_equal(interp_new(&k->p, NULL, NULL, 0, &t, &e), ST_DATA);
  kit_free(k);
}

/* Each allocation in turn fails: a clear end, nothing lost (the sanitizers watch), no crash. */
static void test_no_memory(void **state) {
  (void)state;
  Kit *k = kit_new();
  Rng g = {4, 4};
  static const char *level_names[] = {"abc", "test"};
  uint32_t a = kit_col(k, kit_column(k, &g, IR_STR, true)), b = kit_col(k, kit_column(k, &g, IR_I64, false));
  uint32_t low = STEP(k, OP_LOWER_STR, a), both = STEP(k, OP_CONCAT_STR, low, a);
  kit_out(k, both, "both");
  kit_out(k, STEP(k, OP_COALESCE_STR, low, STEP(k, OP_CAST_I64_STR, b)), "text");
  kit_out(k, STEP(k, OP_HASH, a, b), "hash");
  kit_out(k, STEP(k, OP_INDICATOR_STR, a, kit_vocab(k, level_names, 2)), "hot");
  kit_out(k, STEP(k, OP_LENGTH_STR, both), "length");
  const double cuts[] = {0, 1};
  kit_out(k, STEP(k, OP_BUCKET_F64, STEP(k, OP_CAST_I64_F64, b), kit_list(k, cuts, 2)), "bucket");
  Fitted *f = table_of(k, k->col, 2, 1, IR_I64);
  const Fitted *v[] = {f};
  Env env = {v, 1};
  kit_out(k, STEP(k, OP_LOOKUP_I64, a, b), "lookup");
  bool done = false;
  for (long n = 1; !done && n < 3000; n++) {
    Interp *t = NULL;
    Err e = {.code = ST_OK};
    RowsIn in = {.n = PANEL_ROWS, .col = k->col};
    RowErrors errors = {.count = 0};
    Col out[8];
    mem_fail_at(n);
    Status st = interp_new(&k->p, &env, k->name, k->ncol, &t, &e);
    if (st == ST_OK)
      st = interp_run(t, &in, out, NULL, &errors, &e);
    mem_fail_at(0);
    done = st == ST_OK;
    assert_true(done || st == ST_RESOURCE);
    if (!done && t) { /* it can go on once there is memory again */
      err_clear(&e);
      assert_int_equal(interp_run(t, &in, out, NULL, &errors, &e), ST_OK);
    }
    interp_free(t);
  }
  assert_true(done);
  kit_free(k);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_keep_and_errors),
      cmocka_unit_test(test_positions),
      cmocka_unit_test(test_row_errors),
      cmocka_unit_test(test_row_errors_once),
      cmocka_unit_test(test_registers),
      cmocka_unit_test(test_constants),
      cmocka_unit_test(test_list),
      cmocka_unit_test(test_constant_input),
      cmocka_unit_test(test_dictionaries),
      cmocka_unit_test(test_growing_dictionary),
      cmocka_unit_test(test_hash),
      cmocka_unit_test(test_lookup),
      cmocka_unit_test(test_vectors),
      cmocka_unit_test(test_malformed),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
