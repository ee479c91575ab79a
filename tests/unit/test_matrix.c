/* SPDX-License-Identifier: Apache-2.0 */
/* vm/interp/matrix.c and the score op: widths and names of slots, the two layouts, what no model takes. */
#include "tests/unit/interp_kit.h"

#include "vm/estimator.h"

/* A program with a number, a dense vector, two indicators (one over `wide` levels); its slots are outputs
 * 1.. (0 is a column). */
static Kit *program(uint32_t wide, const char ***names) {
  Kit *k = kit_new();
  Rng g = {7, 7};
  const char **level = NEWN(&k->a, const char *, wide + 1);
  for (uint32_t i = 0; i < wide; i++)
    level[i] = i == 5 ? "abc" : i == 9 ? "test" : arena_printf(&k->a, "level%u", i);
  *names = level;
  static const char *few[] = {"a", "train"};
  static const char *parts[] = {"sin", "", "cos"};
  Col x = kit_column(k, &g, IR_F64, false), y = kit_column(k, &g, IR_F64, false);
  for (uint32_t r = 0; r < PANEL_ROWS; r++) {
    x.f[r] = unit_of(rnd(&g));
    y.f[r] = (double)(int64_t)(rnd(&g) % 10) - 5;
  }
  uint32_t a = kit_col(k, x), b = kit_col(k, y), s = kit_col(k, kit_column(k, &g, IR_STR, false));
  uint32_t v = STEP(k, OP_VEC, b, a, kit_f64(k, 3));
  kit_last(k)->names = parts;
  kit_last(k)->nlist = 3;
  uint32_t h1 = STEP(k, OP_INDICATOR_STR, s, kit_vocab(k, level, wide)), h2 = STEP(k, OP_INDICATOR_STR, s,
                                                                                   kit_vocab(k, few, 2));
  uint32_t one = STEP(k, OP_VEC, a);
  kit_out(k, a, "a");
  kit_slot(k, a, "distance");
  kit_slot(k, v, "hour");
  kit_slot(k, h1, "origin");
  kit_slot(k, one, "one");
  kit_slot(k, h2, "small");
  kit_slot(k, kit_f64(k, 0.5), "half");
  return k;
}

static double cell(const Matrix *m, uint32_t r, uint32_t c) {
  if (m->a)
    return m->a[(size_t)r * m->d + c];
  for (uint32_t i = m->ptr[r]; i < m->ptr[r + 1]; i++) {
    if (m->col[i] == c)
      return m->val[i];
  }
  return 0;
}

static double expected(const Kit *k, const char *const *level, uint32_t wide, uint32_t r, uint32_t c) {
  double a = k->col[0].f[r], b = k->col[1].f[r];
  Val s = val_at(&k->col[2], r);
  if (c == 0)
    return a;
  if (c <= 3)
    return c == 1 ? b : c == 2 ? a : 3;
  c -= 4;
  if (c < wide)
    return strlen(level[c]) == s.n && !memcmp(level[c], s.p, s.n);
  c -= wide;
  if (c == 0)
    return a;
  if (c <= 2)
    return c == 1 ? s.n == 1 && *s.p == 'a' : s.n == 5 && !memcmp(s.p, "train", 5);
  return 0.5;
}

static void test_slots(void **state) {
  (void)state;
  const char **level;
  Kit *k = program(12, &level);
  Slots s;
  Err e = {.code = ST_OK};
  assert_int_equal(slots_of(&k->p, NULL, &s, &e), ST_OK);
  assert_int_equal(s.n, 6);
  assert_int_equal(s.d, 20);
  assert_false(s.sparse);
  static const char *const want[] = {"distance", "hour_sin", "hour_2", "hour_cos", "origin=level0"};
  for (uint32_t i = 0; i < 5; i++)
    assert_string_equal(s.feature[i], want[i]);
  assert_string_equal(s.feature[9], "origin=abc");
  assert_string_equal(s.feature[16], "one");
  assert_string_equal(s.feature[18], "small=train");
  assert_string_equal(s.feature[19], "half");
  slots_free(&s);
  kit_free(k);
  /* 8 filled of d: sparse from d = 33 on */
  for (uint32_t wide = 20; wide < 30; wide++) {
    k = program(wide, &level);
    assert_int_equal(slots_of(&k->p, NULL, &s, &e), ST_OK);
    assert_int_equal(s.sparse, wide + 8 > 32);
    slots_free(&s);
    kit_free(k);
  }
}

static Interp *interp_in_parts(Kit *k) {
  Interp *t = NULL;
  Err e = {.code = ST_OK};
  assert_int_equal(interp_new_parts(&k->p, NULL, k->name, k->ncol, &t, &e), ST_OK);
  return t;
}

/* As a whole, or with slots in parts; said before how many rows will come, or not. */
static void test_layouts(void **state) {
  (void)state;
  for (int variant = 0; variant < 4; variant++) {
    int layout = variant & 1;
    bool parts = variant & 2;
    uint32_t wide = layout ? 300 : 12, count;
    const char **level;
    Kit *k = program(wide, &level);
    Interp *t = parts ? interp_in_parts(k) : kit_interp(k, NULL);
    assert_int_equal(interp_parts(t, 2, &count) != NULL, parts);
    assert_int_equal(count, parts ? 3 : 1);
    assert_null(interp_parts(t, 3, &count));
    Slots s;
    Err e = {.code = ST_OK};
    Col out[8];
    RowErrors errors;
    assert_int_equal(slots_of(&k->p, NULL, &s, &e), ST_OK);
    assert_int_equal(s.sparse, layout);
    MatrixBuilder *b = matrix_builder(&s, 5 * PANEL_ROWS, &e);
    size_t bytes = 0;
    Matrix *none = matrix_take(b, &bytes);
    assert_non_null(none);
    assert_true(none->n == 0 && none->d == s.d && (layout ? none->ptr[0] == 0 : none->a != NULL));
    matrix_free(none);
    for (int twice = 0; twice < 3; twice++) {
      if (parts || twice)
        assert_int_equal(matrix_begin(b, 2 * PANEL_ROWS + (twice ? 3 : 9), &e), ST_OK);
      for (int panel = 0; panel < 3; panel++) {
        uint32_t n = panel == 1 ? 3 : PANEL_ROWS;
        kit_run(k, t, n, out, NULL, &errors);
        RowsIn in = {.n = n, .col = k->col};
        Status st = parts ? matrix_append_parts(b, t, &k->p, out, &in, &errors, &e)
                          : matrix_append(b, &k->p, out + 1, &in, &errors, &e);
        assert_int_equal(st, ST_OK);
        assert_int_equal(errors.count, 0);
      }
      Matrix *m = matrix_take(b, &bytes);
      assert_int_equal(m->n, 2 * PANEL_ROWS + 3);
      assert_int_equal(m->d, s.d);
      assert_true(bytes >= (layout ? m->ptr[m->n] * 12 : m->n * m->d * 8));
      for (uint32_t r = 0; r < m->n; r++) {
        uint32_t row = r < PANEL_ROWS ? r : r < PANEL_ROWS + 3 ? r - PANEL_ROWS : r - PANEL_ROWS - 3;
        for (uint32_t i = layout ? m->ptr[r] + 1 : 0; layout && i < m->ptr[r + 1]; i++)
          assert_true(m->col[i - 1] < m->col[i]);
        for (uint32_t c = 0; c < (r % 50 ? 8 : m->d); c++)
          assert_true(cell(m, r, c) == expected(k, level, wide, row, c));
        assert_true(cell(m, r, m->d - 1) == 0.5);
      }
      assert_int_equal(matrix_view(b)->n, 0);
      matrix_free(m);
    }
    matrix_builder_free(b);
    slots_free(&s);
    interp_free(t);
    kit_free(k);
  }
}

static void test_not_finite(void **state) {
  (void)state;
  const char **level;
  Kit *k = program(12, &level);
  k->col[0].f[2] = (double)NAN; /* in three slots: one error */
  k->col[1].f[5] = (double)INFINITY;
  Interp *t = kit_interp(k, NULL);
  Slots s;
  Err e = {.code = ST_OK};
  Col out[8];
  RowErrors errors;
  assert_int_equal(slots_of(&k->p, NULL, &s, &e), ST_OK);
  MatrixBuilder *b = matrix_builder(&s, PANEL_ROWS, &e);
  kit_run(k, t, 7, out, NULL, &errors);
  const uint32_t at[] = {0, 10, 20, 30, 40, 50, 60};
  RowsIn in = {.n = 7, .col = k->col, .file = 1, .pos = 100, .at = at};
  assert_int_equal(matrix_append(b, &k->p, out + 1, &in, &errors, &e), ST_OK);
  assert_int_equal(errors.count, 2);
  assert_int_equal(errors.v[0].pos, 120);
  assert_string_equal(errors.v[0].column, "distance");
  assert_string_equal(errors.v[0].text, "the feature `distance` is NaN, which no model takes");
  assert_int_equal(errors.v[1].pos, 150);
  assert_string_equal(errors.v[1].text, "the feature `hour_sin` is infinite, which no model takes");
  matrix_builder_free(b);
  slots_free(&s);
  interp_free(t);
  kit_free(k);
}

/* A null in one of the numbers that a slot is made of is the slot's, and goes before a NaN in another. */
static void test_bad_parts(void **state) {
  (void)state;
  uint8_t null[PANEL_ROWS] = {0, 0, 1};
  for (int parts = 0; parts < 2; parts++) {
    const char **level;
    Kit *k = program(12, &level);
    k->p.nout = 0;
    kit_slot(k, STEP(k, OP_VEC, 1, 0), "v"); /* of the second column and the first */
    k->col[0].null = null;
    k->col[0].f[2] = 0;
    k->col[1].f[2] = (double)NAN;
    k->col[0].f[4] = -(double)INFINITY;
    k->col[1].f[6] = (double)NAN;
    Interp *t = parts ? interp_in_parts(k) : kit_interp(k, NULL);
    Slots s;
    Err e = {.code = ST_OK};
    Col out[1];
    RowErrors errors;
    assert_int_equal(slots_of(&k->p, NULL, &s, &e), ST_OK);
    MatrixBuilder *b = matrix_builder(&s, PANEL_ROWS, &e);
    kit_run(k, t, 7, out, NULL, &errors);
    RowsIn in = {.n = 7, .col = k->col};
    assert_int_equal(matrix_append_parts(b, t, &k->p, out, &in, &errors, &e), ST_OK);
    assert_int_equal(errors.count, 3);
    assert_string_equal(errors.v[0].text, "the feature `v` is null, which no model takes");
    assert_true(errors.v[1].pos == 4 && strstr(errors.v[1].text, "infinite"));
    assert_true(errors.v[2].pos == 6 && strstr(errors.v[2].text, "NaN"));
    assert_string_not_equal(errors.v[1].text, errors.v[2].text);
    matrix_builder_free(b);
    slots_free(&s);
    interp_free(t);
    kit_free(k);
  }
}

/* ---- score ---- */

static void weigh(const Model *m, const Matrix *x, double *out) {
  (void)m;
  for (uint32_t r = 0; r < x->n; r++) {
    out[r] = 0;
    for (uint32_t c = 0; c < x->d; c++)
      out[r] += cell(x, r, c) * (c + 1);
  }
}

static void test_score(void **state) {
  (void)state;
  static const Estimator est = {.name = "weigh", .predict = weigh};
  static const char *names[] = {"distance", "hour", "origin", "one", "small", "half"};
  for (int layout = 0; layout < 2; layout++) {
    uint32_t wide = layout ? 300 : 12;
    const char **level;
    Kit *k = program(wide, &level);
    Model model = {.est = &est, .d = wide + 8, .nout = 1};
    Fitted f = {.type = IR_MODEL, .model = &model};
    const Fitted *v[] = {&f};
    Env env = {v, 1};
    uint32_t arg[6];
    for (uint32_t i = 0; i < 6; i++)
      arg[i] = k->out[i + 1].val;
    uint32_t keep = STEP(k, OP_KEEP, STEP(k, OP_NE_F64, k->out[0].val, kit_f64(k, 0.0)));
    uint32_t score = kit_step(k, OP_SCORE, arg, 6);
    kit_last(k)->names = names;
    kit_last(k)->nlist = 6;
    k->p.nout = 0;
    kit_out(k, score, "score");
    kit_out(k, keep, "keep");
    k->col[0].f[0] = 0; /* leaves, so that its slots do not matter */
    k->col[1].f[0] = (double)NAN;
    k->col[1].f[3] = -(double)INFINITY;
    Interp *t = kit_interp(k, &env);
    Col out[2];
    uint8_t kept[PANEL_ROWS];
    RowErrors errors;
    kit_run(k, t, PANEL_ROWS, out, kept, &errors);
    assert_int_equal(errors.count, 1);
    assert_int_equal(errors.v[0].pos, 1003);
    assert_string_equal(errors.v[0].column, "hour");
    assert_string_equal(errors.v[0].text, "the feature `hour_sin` is infinite, which no model takes");
    assert_int_equal(kept[0], 0);
    for (uint32_t r = 0; r < PANEL_ROWS; r++) {
      double want = 0;
      for (uint32_t c = 0; c < model.d; c++)
        want += expected(k, level, wide, r, c) * (c + 1);
      assert_true(out[0].f[r] == (r == 0 || r == 3 ? 0 : want));
    }
    interp_free(t);
    model.d++;
    Err e = {.code = ST_OK};
    assert_int_equal(interp_new(&k->p, &env, k->name, k->ncol, &t, &e), ST_FAULT);
    kit_free(k);
  }
}

/* Element k of a row: k + 1 times its first feature, so that the greatest is the last where that is above
 * 0, else the first. */
static void weigh_classes(const Model *m, const Matrix *x, double *out) {
  for (uint32_t r = 0; r < x->n; r++)
    for (uint32_t c = 0; c < m->nout; c++)
      out[r * m->nout + c] = cell(x, r, 0) * (c + 1);
}

static void test_classes(void **state) {
  (void)state;
  static const Estimator est = {.name = "weigh", .predict = weigh_classes};
  static char *classes[] = {"", "b", "größer"};
  Model model = {.est = &est, .d = 1, .task = TASK_MULTICLASS, .nout = 3, .nclass = 3, .class = classes};
  Fitted f = {.type = IR_MODEL, .model = &model};
  const Fitted *v[] = {&f};
  Env env = {v, 1};
  Kit *k = kit_new();
  Col col = {.type = IR_F64, .f = arena_alloc64(&k->a, PANEL_ROWS * sizeof(double))};
  for (uint32_t r = 0; r < PANEL_ROWS; r++)
    col.f[r] = r % 3 ? (r & 1 ? 1.5 : -2) : 0;
  uint32_t x = kit_col(k, col), all = STEP(k, OP_SCORES, x);
  kit_out(k, all, "all");
  kit_out(k, STEP(k, OP_CLASS_VEC, all), "class");
  kit_out(k, STEP(k, OP_ELEMENT_VEC, all), "last");
  kit_last(k)->i = 2;
  Interp *t = kit_interp(k, &env);
  Col out[3];
  RowErrors errors;
  kit_run(k, t, PANEL_ROWS, out, NULL, &errors);
  assert_int_equal(out[0].width, 3);
  for (uint32_t r = 0; r < PANEL_ROWS; r++) {
    const Dict *d = out[1].dict;
    const char *want = classes[col.f[r] > 0 ? 2 : 0];
    uint32_t code = out[1].code[r];
    assert_int_equal(d->off[code + 1] - d->off[code], strlen(want));
    assert_memory_equal(d->bytes + d->off[code], want, strlen(want));
    assert_true(out[2].f[r] == 3 * col.f[r] && out[0].f[3 * r + 1] == 2 * col.f[r]);
  }
  interp_free(t);
  Err e = {.code = ST_OK};
  kit_last(k)->i = 3; /* no such element */
  assert_int_equal(interp_new(&k->p, &env, k->name, k->ncol, &t, &e), ST_FAULT);
  kit_last(k)->i = 0;
  model.nclass = 2; /* not what it gives */
  e.code = ST_OK;
  assert_int_equal(interp_new(&k->p, &env, k->name, k->ncol, &t, &e), ST_FAULT);
  kit_free(k);
}

static void test_no_memory(void **state) {
  (void)state;
  const char **level;
  Kit *k = program(12, &level);
  Interp *t = kit_interp(k, NULL);
  Col out[8];
  RowErrors errors;
  kit_run(k, t, PANEL_ROWS, out, NULL, &errors);
  bool done = false;
  for (long n = 1; !done && n < 1000; n++) { /* dense, every other time with room made before */
    Slots s = {.n = 0};
    Err e = {.code = ST_OK};
    RowsIn in = {.n = PANEL_ROWS, .col = k->col};
    size_t bytes;
    MatrixBuilder *b = NULL;
    Matrix *m = NULL;
    mem_fail_at(n);
    Status st = slots_of(&k->p, NULL, &s, &e);
    if (st == ST_OK && !(b = matrix_builder(&s, 2 * PANEL_ROWS, &e)))
      st = e.code;
    if (st == ST_OK && n % 2)
      st = matrix_begin(b, 2 * PANEL_ROWS, &e);
    for (int i = 0; i < 2 && st == ST_OK; i++)
      st = matrix_append(b, &k->p, out + 1, &in, &errors, &e);
    if (st == ST_OK && !(m = matrix_take(b, &bytes)))
      st = ST_RESOURCE;
    mem_fail_at(0);
    done = st == ST_OK;
    assert_true(done || st == ST_RESOURCE);
    assert_true(!done || m->n == 2 * PANEL_ROWS);
    matrix_free(m);
    matrix_builder_free(b);
    slots_free(&s);
  }
  assert_true(done);
  interp_free(t);
  kit_free(k);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_slots), cmocka_unit_test(test_layouts),   cmocka_unit_test(test_not_finite),
      cmocka_unit_test(test_bad_parts),
      cmocka_unit_test(test_score), cmocka_unit_test(test_classes), cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
