/* SPDX-License-Identifier: Apache-2.0 */
/* What is left out of reading: where ir_zone_none says that no row stays and none is an error, the
 * interpreter says so too, on generated programs over generated rows; and a reader that leaves rows out gives
 * all others, at their positions. */
#include "tests/unit/interp_kit.h"

#include "tests/unit/engine_data.h"

/* ---- Programs ---- */

enum { ROWS = PANEL_ROWS < 12 ? PANEL_ROWS : 12, INTS = 3, COLUMNS = 5, TRIALS = 60000 };

static const char *const texts[] = {"", "a", "ab", "b", "ba", "z\xc3\xbc"};

typedef struct Plan {
  Kit *k;
  Rng g;
  uint32_t n;                /* rows */
  uint32_t ints[INTS], bool_col, text_col;
  Zone zone[COLUMNS];
  IrColumn col[COLUMNS];
} Plan;

static uint64_t below(Plan *p, uint64_t n) {
  return rnd(&p->g) % n;
}

static int64_t spread(Plan *p) {
  static const int64_t base[] = {0, 0, 5, -7, 100, INT64_C(1) << 53, INT64_MAX - 6, INT64_MIN + 6};
  return base[below(p, sizeof base / sizeof *base)];
}

static Col empty_col(Plan *p, IrType type) {
  Col c = {.type = (uint8_t)type};
  c.i = arena_alloc64(&p->k->a, PANEL_ROWS * sizeof(int64_t));
  memset(c.i, 0, PANEL_ROWS * sizeof(int64_t));
  if (below(p, 3) == 0)
    c.null = memset(arena_alloc64(&p->k->a, PANEL_ROWS), 0, PANEL_ROWS);
  return c;
}

static void add_int(Plan *p, uint32_t at) {
  Col c = empty_col(p, IR_I64);
  Zone z = {.lo = INT64_MAX, .hi = INT64_MIN};
  int64_t base = spread(p);
  uint64_t wide = below(p, 7);
  for (uint32_t r = 0; r < p->n; r++) {
    if (c.null && below(p, 4) == 0) {
      c.null[r] = 1;
      z.nulls = true;
      continue;
    }
    c.i[r] = base + (int64_t)below(p, wide + 1) - (int64_t)(wide / 2);
    z.known = true;
    z.lo = c.i[r] < z.lo ? c.i[r] : z.lo;
    z.hi = c.i[r] > z.hi ? c.i[r] : z.hi;
  }
  z.known &= below(p, 8) > 0;
  p->zone[at] = z;
  p->ints[at] = kit_col(p->k, c);
  p->col[at] = (IrColumn){p->k->name[at], KIND_INT, c.null != NULL};
}

static void add_bool(Plan *p) {
  Col c = empty_col(p, IR_BOOL);
  Zone z = {.lo = 1, .hi = 0};
  uint64_t kind = below(p, 3);
  for (uint32_t r = 0; r < p->n; r++) {
    if (c.null && below(p, 4) == 0) {
      c.null[r] = 1;
      z.nulls = true;
      continue;
    }
    c.b[r] = kind == 2 ? (uint8_t)below(p, 2) : (uint8_t)kind;
    z.known = true;
    z.lo = c.b[r] < z.lo ? c.b[r] : z.lo;
    z.hi = c.b[r] > z.hi ? c.b[r] : z.hi;
  }
  p->zone[INTS] = z;
  p->bool_col = kit_col(p->k, c);
  p->col[INTS] = (IrColumn){p->k->name[INTS], KIND_BOOL, c.null != NULL};
}

static void add_text(Plan *p) {
  Col c = empty_col(p, IR_STR);
  Zone z = {0};
  uint32_t lo = UINT32_MAX, hi = 0, from = (uint32_t)below(p, 6), wide = (uint32_t)below(p, 6 - from);
  c.dict = kit_dict(p->k, texts, NULL, 6);
  for (uint32_t r = 0; r < p->n; r++) {
    if (c.null && below(p, 4) == 0) {
      c.null[r] = 1;
      z.nulls = true;
      continue;
    }
    c.code[r] = from + (uint32_t)below(p, wide + 1);
    z.known = true;
    lo = c.code[r] < lo ? c.code[r] : lo;
    hi = c.code[r] > hi ? c.code[r] : hi;
  }
  if (z.known) {
    z.first = texts[lo];
    z.last = texts[hi];
    z.nfirst = (uint32_t)strlen(z.first);
    z.nlast = (uint32_t)strlen(z.last);
  }
  p->zone[INTS + 1] = z;
  p->text_col = kit_col(p->k, c);
  p->col[INTS + 1] = (IrColumn){p->k->name[INTS + 1], KIND_STRING, c.null != NULL};
}

static uint32_t number(Plan *p, int depth) {
  Kit *k = p->k;
  uint32_t a;
  switch (below(p, depth > 0 ? 6 : 3)) {
  case 0: return kit_i64(k, spread(p) + (int64_t)below(p, 7) - 3);
  case 3: a = number(p, depth - 1); return STEP(k, OP_ADD_I64, a, number(p, depth - 1));
  case 4: a = number(p, depth - 1); return STEP(k, OP_SUB_I64, a, number(p, depth - 1));
  case 5:
    a = STEP(k, OP_CHECK_RANGE_I64, number(p, depth - 1));
    kit_last(k)->f = (double)below(p, 10) - 9;
    kit_last(k)->g = (double)below(p, 130);
    kit_last(k)->s = "x";
    return a;
  default: return p->ints[below(p, INTS)];
  }
}

static uint32_t text(Plan *p) {
  return below(p, 2) ? p->text_col : kit_str(p->k, texts[below(p, 6)]);
}

static uint32_t condition(Plan *p, int depth) {
  static const uint32_t order[] = {OP_EQ_I64, OP_NE_I64, OP_LT_I64, OP_LE_I64, OP_GT_I64, OP_GE_I64};
  Kit *k = p->k;
  uint32_t a;
  switch (below(p, depth > 0 ? 9 : 5)) {
  case 0: return p->bool_col;
  case 1: a = text(p); return STEP(k, below(p, 2) ? OP_EQ_STR : OP_NE_STR, a, text(p));
  case 5: return STEP(k, OP_NOT_B, condition(p, depth - 1));
  case 6: return STEP(k, OP_IS_NULL_I64, number(p, depth - 1));
  case 7: a = condition(p, depth - 1); return STEP(k, OP_AND_B, a, condition(p, depth - 1));
  case 8: a = condition(p, depth - 1); return STEP(k, OP_OR_B, a, condition(p, depth - 1));
  default: a = number(p, depth); return STEP(k, order[below(p, 6)], a, number(p, depth));
  }
}

/* 1: left out, and rightly. */
static uint32_t one_program(uint64_t key) {
  Plan p = {.k = kit_new(), .g = {.key = key}};
  uint8_t keep[PANEL_ROWS];
  Col out[1];
  RowErrors errors;
  p.n = 1 + (uint32_t)below(&p, ROWS);
  for (uint32_t i = 0; i < INTS; i++)
    add_int(&p, i);
  add_bool(&p);
  add_text(&p);
  for (uint64_t i = below(&p, 3) + 1; i-- > 0;)
    STEP(p.k, OP_KEEP, condition(&p, 3));
  kit_out(p.k, p.ints[0], "x");
  for (uint32_t i = 0; i < p.k->p.nval; i++) {
    p.k->val[i].nullable = true;
    p.k->val[i].scalar = ir_is_scalar(&p.k->p, &p.k->val[i]);
  }
  bool none = ir_zone_none(&p.k->p, p.col, p.zone, COLUMNS);
  if (none) {
    Env env = {0};
    Interp *t = kit_interp(p.k, &env);
    kit_run(p.k, t, p.n, out, keep, &errors);
    assert_int_equal(errors.count, 0);
    for (uint32_t r = 0; r < p.n; r++)
      if (keep[r])
        fail_msg("program %llu keeps row %u", (unsigned long long)key, r);
    interp_free(t);
  }
  kit_free(p.k);
  return none;
}

static void programs(void **state) {
  uint32_t none = 0;
  (void)state;
  for (uint64_t key = 0; key < TRIALS; key++)
    none += one_program(key);
  assert_in_range(none, TRIALS / 50, TRIALS / 2); /* it is found out often enough, and not of all */
}

/* ---- Files ---- */

enum { FILE_ROWS = 140000, WANT_FROM = 70000, WANT_TO = 71000 };

typedef struct Seen {
  uint32_t groups;
  Zone first[6]; /* of the first row group; its texts: */
  char text[2][16];
} Seen;

/* Rows are wanted where "i" lies in WANT_FROM..WANT_TO - 1. */
static bool outside(const void *ctx, const IrColumn *col, const Zone *zone, uint32_t ncol) {
  Seen *s = (Seen *)(uintptr_t)ctx;
  assert_int_equal(ncol, 6);
  assert_string_equal(col[0].name, "i");
  if (s->groups++ == 0) {
    memcpy(s->first, zone, sizeof s->first);
    snprintf(s->text[0], sizeof s->text[0], "%.*s", (int)zone[4].nfirst, zone[4].first);
    snprintf(s->text[1], sizeof s->text[1], "%.*s", (int)zone[4].nlast, zone[4].last);
  }
  return zone[0].known && (zone[0].hi < WANT_FROM || zone[0].lo >= WANT_TO);
}

static IrColumn wanted[] = {{"i", KIND_INT, false}, {"d", KIND_DATE, false}, {"t", KIND_TIMESTAMP, false},
                            {"b", KIND_BOOL, true}, {"s", KIND_CATEGORY, false}, {"f", KIND_FLOAT, true}};

static void read_some(const char *file, Seen *seen, uint64_t *rows, uint64_t *positions, uint64_t *found) {
  EngineSource s = source("parquet", file, NULL);
  Err e = {0};
  Reader *r;
  Block *b;
  RowErrors errors = {0};
  uint32_t seq;
  *rows = *positions = *found = 0;
  assert_int_equal(reader_open(&s, wanted, 6, UINT64_C(1) << 30, &r, &e), ST_OK);
  if (seen)
    reader_leave_out(r, outside, seen);
  while (reader_next(r, &b, &seq, &errors, &e) == ST_OK && b) {
    assert_int_equal(b->pos, *positions);
    assert_true(b->n == b->npos || b->n == 0);
    for (uint32_t k = 0; k < b->n; k++) {
      assert_int_equal(b->col[0].i[k], b->pos + k);
      *found += b->col[0].i[k] >= WANT_FROM && b->col[0].i[k] < WANT_TO;
    }
    *rows += b->n;
    *positions += b->npos;
    block_drop(b);
  }
  assert_int_equal(e.code, ST_OK);
  assert_int_equal(errors.count, 0);
  reader_close(r);
}

static const char select_rows[] =
    "SELECT i, DATE '2020-01-01' + (i // 1000)::INT AS d, TIMESTAMP '1969-12-31 00:00:00' + to_seconds(i) AS "
    "t, "
    "CASE WHEN i % 7 = 0 THEN NULL ELSE true END AS b, 'k' || (i // 10000) AS s, "
    "CASE WHEN i % 2 = 0 THEN 'nan'::DOUBLE ELSE i / 2 END AS f FROM range(140000) x(i)";

static void files(void **state) {
  uint64_t rows, positions, found;
  Seen seen = {0};
  (void)state;
  make("z.parquet", select_rows, "FORMAT parquet, ROW_GROUP_SIZE 10240");
  read_some("z.parquet", NULL, &rows, &positions, &found);
  assert_int_equal(rows, FILE_ROWS);
  assert_int_equal(found, WANT_TO - WANT_FROM);
  read_some("z.parquet", &seen, &rows, &positions, &found);
  assert_int_equal(positions, FILE_ROWS);
  assert_int_equal(found, WANT_TO - WANT_FROM);
  assert_int_equal(seen.groups, 14);
  /* the second of three blocks; of small blocks those of one row group */
  assert_true(rows == BLOCK || rows < 10240 + 2 * BLOCK);
  assert_true(seen.first[0].known && seen.first[0].lo == 0 && seen.first[0].hi == 10239);
  assert_true(seen.first[1].known && seen.first[1].lo == 18262 && seen.first[1].hi == 18272);
  assert_true(seen.first[2].known && seen.first[2].lo == INT64_C(-86400000000) &&
              seen.first[2].hi == INT64_C(-76161000000));
  assert_true(seen.first[3].known && seen.first[3].lo == 1 && seen.first[3].hi == 1 && seen.first[3].nulls);
  assert_false(seen.first[0].nulls);
  assert_string_equal(seen.text[0], "k0");
  assert_string_equal(seen.text[1], "k1");
  assert_false(seen.first[5].known);
}

/* A null, or a NaN, where none may be is an error wherever it is: then everything is read. */
static void proof(void **state) {
  uint64_t rows, positions, found;
  Seen seen = {0};
  (void)state;
  wanted[5].nullable = false; /* may be NaN */
  make("p.parquet", "SELECT * REPLACE (i::DOUBLE AS f) FROM (SELECT * FROM range(140000) x(i), "
       "(SELECT DATE '2020-01-01' AS d, TIMESTAMP '2020-01-01' AS t, true AS b, 'k' AS s, 1.0 AS f))",
       "FORMAT parquet, ROW_GROUP_SIZE 10240");
  read_some("p.parquet", &seen, &rows, &positions, &found);
  assert_int_equal(rows, FILE_ROWS);
  assert_int_equal(seen.groups, 0);
  wanted[5].nullable = true;
  read_some("p.parquet", &seen, &rows, &positions, &found);
  assert_in_range(rows, 1000, FILE_ROWS - 1);
  /* nothing is wanted */
  make("n.parquet", "SELECT i - 1000000 AS i, * EXCLUDE (i) FROM (SELECT * FROM range(100) x(i), (SELECT "
       "DATE '2020-01-01' AS d, TIMESTAMP '2020-01-01' AS t, true AS b, 'k' AS s, 1.0::DOUBLE AS f))",
       "FORMAT parquet");
  read_some("n.parquet", &seen, &rows, &positions, &found);
  assert_int_equal(rows, 0);
  assert_int_equal(positions, 100);
}

static bool everywhere(const void *ctx, const IrColumn *col, const Zone *zone, uint32_t ncol) {
  (void)ctx, (void)col, (void)zone, (void)ncol;
  return false;
}

/* A row group says itself how many rows it has: three values of "i", as 64-bit numbers, by hand. */
static void many_rows(void **state) {
  static const uint8_t front[] = {
      'P', 'A', 'R', '1', 21,  0,   21, 48, 21, 48, 44, 21, 6,  21, 0,  21, 6,  21, 6,   0,
      0,   1,   0,   0,   0,   0,   0,  0,  0,  2,  0,  0,  0,  0,  0,  0,  0,  3,  0,   0,
      0,   0,   0,   0,   0,   21,  4,  25, 44, 72, 4,  'r', 'o', 'o', 't', 21, 2,  0,  21, 4,
      37,  0,   24,  1,   'i', 0,   22, 6,  25, 28, 25, 28, 38, 8,  28, 21, 4,  25, 37,  0,
      6,   25,  24,  1,   'i', 21,  0,  22, 6,  22, 82, 22, 82, 38, 8,  0,  0,  22, 82,  22};
  static const uint8_t rows[][10] = { /* -1, 2^62, 2^62 - 1, 2^41, as zigzag varints */
      {129, 128, 128, 128, 128, 128, 128, 128, 128, 0},
      {128, 128, 128, 128, 128, 128, 128, 128, 128, 1},
      {254, 255, 255, 255, 255, 255, 255, 255, 127, 0},
      {128, 128, 128, 128, 128, 128, 1, 0, 0, 0}};
  static const uint8_t back[] = {0, 0, 67, 0, 0, 0, 'P', 'A', 'R', '1'};
  (void)state;
  for (uint32_t i = 0; i < 4; i++) {
    FILE *f = fopen(in_folder("bad.parquet"), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(front, 1, sizeof front, f), sizeof front);
    assert_int_equal(fwrite(rows[i], 1, sizeof rows[i], f), sizeof rows[i]);
    assert_int_equal(fwrite(back, 1, sizeof back, f), sizeof back);
    fclose(f);
    EngineSource s = source("parquet", "bad.parquet", NULL);
    Err e = {0};
    Reader *r;
    Block *b = NULL;
    RowErrors errors = {0};
    uint32_t seq;
    assert_int_equal(reader_open(&s, wanted, 1, UINT64_C(1) << 30, &r, &e), ST_OK);
    reader_leave_out(r, everywhere, NULL);
    assert_int_equal(reader_next(r, &b, &seq, &errors, &e), ST_DATA);
    assert_string_equal(e.id, "CML0403");
    reader_close(r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(programs),
      cmocka_unit_test(files),
      cmocka_unit_test(proof),
      cmocka_unit_test(many_rows),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
