/* SPDX-License-Identifier: Apache-2.0 */
/* Fitted values: keys, models, bytes there and back, and bytes that nobody of ours wrote. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/hash.h"
#include "vm/estimator.h"
#include "vm/fitted.h"

/* An estimator that only verifies. */
static Status verify(const Model *m, Err *e) {
  const Tensor *t = model_tensor(m, "coefficients");
  if (t && t->rows == 1 && t->cols == m->d)
    return ST_OK;
  return err_set(e, ST_DATA, "CML0455", NULL, "coefficients are missing");
}
static const Estimator flat = {
    .name = "flat", .tasks = TASK_BIT(TASK_REGRESSION) | TASK_BIT(TASK_MULTICLASS), .verify = verify};
static const Estimator *const registry[] = {&flat, NULL};

static Fitted *new_fitted(IrType type) {
  Fitted *f = mem_alloc(sizeof *f);
  f->type = type;
  return f;
}

static Fitted *new_vocab(const char *const *level, uint32_t n) {
  Fitted *f = new_fitted(IR_VOCAB);
  Dict *d = f->vocab = mem_alloc(sizeof *d);
  atomic_init(&d->refs, 1);
  d->n = f->n = n;
  d->off = mem_alloc((n + 1) * sizeof *d->off);
  d->bytes = mem_alloc(100);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t len = (uint32_t)strlen(level[i]);
    memcpy(d->bytes + d->off[i], level[i], len);
    d->off[i + 1] = d->off[i] + len;
  }
  return f;
}

static Fitted *new_table(IrType type, uint32_t nvariant) {
  static const int64_t first[] = {INT64_MIN, -5, 0, 7};
  Fitted *f = new_fitted(IR_TABLE);
  Table *t = f->table = mem_alloc(sizeof *t);
  *t = (Table){.type = (uint8_t)type, .nkey = 2, .n = 8, .nvariant = nvariant};
  t->off = mem_alloc(9 * sizeof *t->off);
  t->bytes = mem_alloc(400);
  t->null = mem_alloc(8 * nvariant);
  t->i = type == IR_I64 ? mem_alloc(64 * nvariant) : NULL;
  t->f = type == IR_F64 ? mem_alloc(64 * nvariant) : NULL;
  Buf b = {0};
  for (uint32_t k = 0; k < 8; k++) {
    key_put_i64(&b, first[k / 2]);
    key_put_str(&b, k % 2 ? "a\0b" : "a", k % 2 ? 3 : 1);
    t->off[k + 1] = (uint32_t)b.n;
  }
  memcpy(t->bytes, b.p, b.n);
  buf_free(&b);
  for (uint32_t c = 0; c < 8 * nvariant; c++) {
    t->null[c] = c % 5 == 3;
    if (t->null[c])
      continue;
    if (t->i)
      t->i[c] = (int64_t)c * -100;
    else
      t->f[c] = c ? 1.0 / c : NAN;
  }
  return f;
}

static Fitted *new_model(bool classes) {
  Fitted *f = new_fitted(IR_MODEL);
  Model *m = f->model = mem_alloc(sizeof *m);
  Err e = {0};
  const double c[3] = {1, -2.5, 1e-300}, one = 7, h[4] = {1, 2, 3, 4};
  m->est = &flat;
  m->feature = mem_alloc(3 * sizeof *m->feature);
  m->d = 3;
  m->nout = 1;
  if (classes) {
    m->task = TASK_MULTICLASS;
    m->nout = m->nclass = 2;
    m->class = mem_alloc(2 * sizeof *m->class);
    m->class[0] = mem_strdup("");
    m->class[1] = mem_strdup("größer");
  }
  m->feature[0] = mem_strdup("distance");
  m->feature[1] = mem_strdup("");
  m->feature[2] = mem_strdup("origin=ATL");
  assert_int_equal(model_add_tensor(m, "coefficients", 1, 3, c, &e), ST_OK);
  assert_int_equal(model_add_tensor(m, "intercept", 1, 1, &one, &e), ST_OK);
  assert_int_equal(model_add_tensor(m, "hessian", 2, 2, h, &e), ST_OK);
  assert_int_equal(model_add_tensor(m, "empty", 0, 5, NULL, &e), ST_OK);
  m->iterations = 12;
  m->converged = true;
  strcpy(m->warning, "nothing to warn of");
  strcpy(m->solver, "newton");
  m->objective = mem_alloc(16);
  m->objective[0] = 0.5;
  m->nobjective = 2;
  m->rows = UINT64_C(3000000);
  m->weight = 2.5;
  return f;
}

enum { SAMPLES = 11 };
static Fitted *sample(int k) {
  static const char *const level[] = {"", "ATL", "JFK", "LAX"};
  Fitted *f;
  switch (k) {
  case 0:
    f = new_fitted(IR_BOOL);
    f->b = 1;
    return f;
  case 1:
    f = new_fitted(IR_I64);
    f->i = INT64_MIN;
    return f;
  case 2:
    f = new_fitted(IR_F64);
    f->f = -0.1;
    return f;
  case 3:
    f = new_fitted(IR_STR);
    f->s = mem_strdup("text");
    f->n = 4;
    return f;
  case 4:
    f = new_fitted(IR_LIST);
    f->n = 3;
    f->list = mem_alloc(24);
    f->list[0] = -INFINITY;
    f->list[2] = 1e10;
    return f;
  case 5:
    return new_vocab(level, 4);
  case 6:
    return new_vocab(level, 0);
  case 7:
    return new_table(IR_I64, 1);
  case 8:
    return new_table(IR_F64, 6);
  case 9:
    return new_model(false);
  default:
    return new_model(true);
  }
}

static Buf saved(const Fitted *f) {
  Buf b = {0};
  Err e = {0};
  assert_int_equal(fitted_save(f, &b, &e), ST_OK);
  return b;
}

static void test_round_trip(void **state) {
  (void)state;
  for (int k = 0; k < SAMPLES; k++) {
    Fitted *f = sample(k), *g = NULL;
    Buf b = saved(f);
    Err e = {0};
    assert_int_equal(fitted_load(buf_bytes(&b), registry, &g, &e), ST_OK);
    assert_int_equal(f->type, g->type);
    Buf c = saved(g);
    assert_int_equal(b.n, c.n);
    assert_memory_equal(b.p, c.p, b.n);
    if (k == 5) {
      assert_int_equal(map_find(&g->vocab_index, "JFK", 3), 2);
      assert_int_equal(map_find(&g->vocab_index, "", 0), 0);
    }
    if (k == 8) {
      Buf key = {0};
      key_put_i64(&key, -5);
      key_put_str(&key, "a\0b", 3);
      assert_int_equal(map_find(&g->table->index, key.p, key.n), 3);
      buf_free(&key);
    }
    if (k == 9) {
      assert_ptr_equal(g->model->est, &flat);
      assert_string_equal(g->model->feature[2], "origin=ATL");
      assert_string_equal(g->model->solver, "newton");
      assert_true(model_tensor(g->model, "coefficients")->v[1] == -2.5);
      assert_null(model_tensor(g->model, "no such"));
      assert_int_equal(g->model->iterations, 12);
      assert_true(g->model->converged);
    }
    fitted_free(f);
    fitted_free(g);
    buf_free(&b);
    buf_free(&c);
  }
  fitted_free(NULL);
}

static int compare(const Buf *a, const Buf *b) {
  int c = memcmp(a->p, b->p, a->n < b->n ? a->n : b->n);
  return c ? c : (a->n > b->n) - (a->n < b->n);
}

/* Bytes of keys are in the order of the keys, and no key is the beginning of another. */
static void test_keys(void **state) {
  (void)state;
  static const int64_t number[] = {INT64_MIN, -256, -1, 0, 1, 255, 256, INT64_MAX};
  static const char *const text[] = {"", "\0", "\0\0", "\0a", "a", "a\0", "a\0\1", "a\1", "aa", "b", "\xff"};
  static const uint32_t len[] = {0, 1, 2, 2, 1, 2, 3, 2, 2, 1, 1};
  Buf last = {0}, b = {0};
  for (size_t k = 0; k < sizeof number / sizeof *number; k++) {
    buf_clear(&b);
    key_put_i64(&b, number[k]);
    assert_int_equal(b.n, 9);
    assert_true(!k || compare(&last, &b) < 0);
    buf_clear(&last);
    buf_put(&last, b.p, b.n);
  }
  for (size_t k = 0; k < sizeof text / sizeof *text; k++) {
    buf_clear(&b);
    key_put_str(&b, text[k], len[k]);
    if (k) {
      assert_true(compare(&last, &b) < 0);
      assert_true(memcmp(last.p, b.p, last.n < b.n ? last.n : b.n) != 0);
    }
    buf_clear(&last);
    buf_put(&last, b.p, b.n);
  }
  buf_clear(&b);
  buf_clear(&last);
  key_put_b(&last, false);
  key_put_b(&b, true);
  assert_true(compare(&last, &b) < 0);
  buf_free(&b);
  buf_free(&last);
}

static void test_index(void **state) {
  (void)state;
  static const char *const wrong[] = {"b", "a"}, *const twice[] = {"a", "a"};
  Err e = {0};
  Fitted *f = new_vocab(wrong, 2);
  assert_int_equal(fitted_vocab_index(f, &e), ST_DATA);
  fitted_free(f);
  f = new_vocab(twice, 2);
  err_clear(&e);
  assert_int_equal(fitted_vocab_index(f, &e), ST_DATA);
  fitted_free(f);
  f = new_table(IR_F64, 1);
  err_clear(&e);
  assert_int_equal(table_index(f->table, &e), ST_OK);
  assert_int_equal(table_index(f->table, &e), ST_OK); /* again */
  assert_int_equal(f->table->index.n, 8);
  f->table->bytes[0] = 9;
  assert_int_equal(table_index(f->table, &e), ST_DATA);
  fitted_free(f);
}

static void test_model_faults(void **state) {
  (void)state;
  Fitted *f = new_model(true), *g;
  Err e = {0};
  const double one = 1;
  assert_int_equal(model_add_tensor(f->model, "intercept", 1, 1, &one, &e), ST_FAULT);
  Buf b = saved(f);
  err_clear(&e);
  assert_int_equal(fitted_load(buf_bytes(&b), NULL, &g, &e), ST_DATA);
  assert_null(g);
  assert_non_null(strstr(e.cause, "flat"));
  f->model->d = 2; /* the estimator refuses it */
  mem_free(f->model->feature[2]);
  buf_free(&b);
  b = saved(f);
  err_clear(&e);
  assert_int_equal(fitted_load(buf_bytes(&b), registry, &g, &e), ST_DATA);
  fitted_free(f);
  buf_free(&b);
}

/* Shorter, longer and changed bytes: refused, or a value that saves to those bytes again. */
static void test_hostile(void **state) {
  (void)state;
  for (int k = 0; k < SAMPLES; k++) {
    Fitted *f = sample(k), *g;
    Buf b = saved(f);
    for (size_t n = 0; n <= b.n + 1; n++) {
      Err e = {0};
      uint8_t *copy = calloc(1, n + 1);
      memcpy(copy, b.p, n < b.n ? n : b.n);
      assert_int_equal(fitted_load((Bytes){copy, n}, registry, &g, &e), n == b.n ? ST_OK : ST_DATA);
      fitted_free(g);
      free(copy);
    }
    for (size_t at = 0; at < b.n; at++)
      for (int bit = 0; bit < 9; bit++) {
        Err e = {0};
        uint8_t old = b.p[at];
        b.p[at] = bit == 8 ? 0xff : (uint8_t)(old ^ 1 << bit);
        if (fitted_load(buf_bytes(&b), registry, &g, &e) == ST_OK) {
          Buf c = saved(g);
          assert_int_equal(b.n, c.n);
          assert_memory_equal(b.p, c.p, b.n);
          buf_free(&c);
        } else {
          assert_null(g);
          assert_true(e.cause[0]);
        }
        fitted_free(g);
        b.p[at] = old;
      }
    fitted_free(f);
    buf_free(&b);
  }
}

static void test_memory(void **state) {
  (void)state;
  for (int k = 0; k < SAMPLES; k++) {
    Fitted *f = sample(k), *g;
    Buf b = saved(f);
    for (long n = 1; n < 100; n++) {
      Err e = {0};
      mem_fail_at(n);
      Status st = fitted_load(buf_bytes(&b), registry, &g, &e);
      mem_fail_at(0);
      fitted_free(g);
      if (st == ST_OK)
        break;
      assert_int_equal(st, ST_RESOURCE);
    }
    fitted_free(f);
    buf_free(&b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_keys),    cmocka_unit_test(test_index),
      cmocka_unit_test(test_model_faults), cmocka_unit_test(test_hostile), cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests_name("fitted", tests, NULL, NULL);
}
