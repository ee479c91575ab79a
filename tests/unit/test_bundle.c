/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles: what is written reads back to the same bytes, and no damaged bundle is accepted as another one
 * or crashes the reader. */
#define _GNU_SOURCE /* memmem */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "stdlib/registry.h"
#include "vm/bundle.h"
#include "vm/interp.h"

static const char text[] =
    "cml-ir 1\n"
    "program \"t.cml\" seed 3 fitted 4\n"
    "score \"m.score\" {\n"
    "  column \"x\" float\n"
    "  column \"k\" category\n"
    "  %0 = col s=\"x\" : f64\n"
    "  %1 = col s=\"k\" : str\n"
    "  %2 = fitted.f64 i=3 : f64\n"
    "  %3 = sub.f64 %0 %2 : f64\n"
    "  %4 = fitted.vocab i=1 : vocab\n"
    "  %5 = indicator.str %1 %4 : vec\n"
    "  %6 = lookup.f64 %1 i=2 g=-1 : f64?\n"
    "  %7 = const.f64 f=0.5 : f64\n"
    "  %8 = coalesce.f64 %6 %7 : f64\n"
    "  %9 = score %3 %5 %8 names=[\"x\", \"k\", \"t\"] : f64\n"
    "  out column \"prediction\" float %9\n"
    "  fitted $0\n"
    "}\n";

typedef struct State {
  Arena arena;
  Program *p;
  Fitted *fitted[4];
  StdlibRegistry space;
  const Registry *registry;
} State;

static Fitted *new_fitted(IrType t) {
  Fitted *f = mem_alloc(sizeof *f);
  assert_non_null(f);
  f->type = t;
  return f;
}

static Dict *new_dict(uint32_t n, const char *const *s) {
  Dict *d = mem_alloc(sizeof *d);
  d->n = n;
  d->off = mem_alloc((n + 1) * sizeof *d->off);
  for (uint32_t i = 0; i < n; i++)
    d->off[i + 1] = d->off[i] + (uint32_t)strlen(s[i]);
  d->bytes = mem_alloc(d->off[n] + 1);
  for (uint32_t i = 0; i < n; i++)
    memcpy(d->bytes + d->off[i], s[i], strlen(s[i]));
  atomic_init(&d->refs, 1);
  return d;
}

static Fitted *new_table(void) {
  static const char *const key[] = {"a", "b"};
  Fitted *f = new_fitted(IR_TABLE);
  Table *t = f->table = mem_alloc(sizeof *t);
  Buf k = {0};
  Err e = {0};
  *t = (Table){.type = IR_F64, .nkey = 1, .n = 2, .nvariant = 1};
  t->off = mem_alloc(3 * sizeof *t->off);
  for (uint32_t i = 0; i < 2; i++) {
    key_put_str(&k, key[i], 1);
    t->off[i + 1] = (uint32_t)k.n;
  }
  t->bytes = k.p;
  t->f = mem_alloc(2 * sizeof *t->f);
  t->f[0] = 0.25;
  t->f[1] = 0.75;
  t->null = mem_alloc(2);
  assert_int_equal(table_index(t, &e), ST_OK);
  return f;
}

static Fitted *new_model(void) {
  static const char *const name[] = {"x", "k=a", "k=b", "t"};
  static const double coefficients[] = {0.5, -1, 2, 3}, intercept = 0.125;
  Fitted *f = new_fitted(IR_MODEL);
  Model *m = f->model = mem_alloc(sizeof *m);
  Err e = {0};
  m->est = &linear_regression;
  m->d = 4;
  m->feature = mem_alloc(4 * sizeof *m->feature);
  for (int i = 0; i < 4; i++)
    m->feature[i] = mem_strdup(name[i]);
  assert_int_equal(model_add_tensor(m, "coefficients", 1, 4, coefficients, &e), ST_OK);
  assert_int_equal(model_add_tensor(m, "intercept", 1, 1, &intercept, &e), ST_OK);
  return f;
}

static int setup(void **state) {
  static const char *const level[] = {"a", "b"};
  State *s = mem_alloc(sizeof *s);
  Err e = {0};
  arena_init(&s->arena, NULL);
  if (ir_parse(&s->arena, text, sizeof text - 1, &s->p, &e) != ST_OK)
    fail_msg("%s", e.cause);
  s->fitted[0] = new_model();
  s->fitted[1] = new_fitted(IR_VOCAB);
  s->fitted[1]->vocab = new_dict(2, level);
  s->fitted[1]->n = 2;
  assert_int_equal(fitted_vocab_index(s->fitted[1], &e), ST_OK);
  s->fitted[2] = new_table();
  s->fitted[3] = new_fitted(IR_F64);
  s->fitted[3]->f = 1.5;
  s->registry = stdlib_registry(&s->space);
  *state = s;
  return 0;
}

static int teardown(void **state) {
  State *s = *state;
  for (int i = 0; i < 4; i++)
    fitted_free(s->fitted[i]);
  arena_free(&s->arena);
  mem_free(s);
  return 0;
}

static void write_to(const State *s, Buf *out) {
  static const BundleMeta meta[] = {{"model", "m"}, {"estimator", "linear_regression"}};
  Err e = {0};
  if (bundle_bytes(s->p, 0, (const Fitted *const *)s->fitted, meta, 2, out, &e) != ST_OK)
    fail_msg("%s", e.cause);
}

static void round_trip(void **state) {
  State *s = *state;
  Buf once = {0}, twice = {0};
  Bundle *b = NULL;
  Err e = {0};
  static const BundleMeta meta[] = {{"model", "m"}, {"estimator", "linear_regression"}};
  write_to(s, &once);
  if (bundle_parse(buf_bytes(&once), s->registry, &b, &e) != ST_OK)
    fail_msg("%s", e.cause);
  assert_int_equal(b->nfitted, 4);
  assert_int_equal(bundle_bytes(b->program, 0, (const Fitted *const *)b->fitted, meta, 2, &twice, &e), ST_OK);
  assert_int_equal(once.n, twice.n);
  assert_memory_equal(once.p, twice.p, once.n);
  bundle_free(b);
  buf_free(&once);
  buf_free(&twice);
}

/* x = 2.5, k = "b": 0.125 + 0.5 * (2.5 - 1.5) + 2 + 3 * 0.75 = 4.875; k = "c": unseen: 0.125 + 0.5 + 3 *
 * 0.5 = 2.125 */
static void scores(void **state) {
  State *s = *state;
  Buf out = {0};
  Bundle *b = NULL;
  Err e = {0};
  write_to(s, &out);
  assert_int_equal(bundle_parse(buf_bytes(&out), s->registry, &b, &e), ST_OK);
  static const char *const name[] = {"x", "k"}, *const value[] = {"b", "c"};
  double x[] = {2.5, 2.5};
  uint32_t code[] = {0, 1};
  Dict *d = new_dict(2, value);
  Col in[2] = {{.type = IR_F64, .f = x}, {.type = IR_STR, .code = code, .dict = d}}, pred;
  Env env = {(const Fitted **)b->fitted, b->nfitted};
  Interp *it = NULL;
  RowErrors errors = {0};
  RowsIn rows = {.n = 2, .col = in};
  assert_int_equal(interp_new(&b->program->stage[0].prog, &env, name, 2, &it, &e), ST_OK);
  assert_int_equal(interp_run(it, &rows, &pred, NULL, &errors, &e), ST_OK);
  assert_true(pred.f[0] == 4.875);
  assert_true(pred.f[1] == 2.125);
  interp_free(it);
  dict_drop(d);
  bundle_free(b);
  buf_free(&out);
}

static void parse_any(const State *s, const uint8_t *p, size_t n, bool must_fail) {
  Bundle *b = NULL;
  Err e = {0};
  Status st = bundle_parse((Bytes){p, n}, s->registry, &b, &e);
  if (must_fail)
    assert_int_equal(st, ST_DATA);
  if (st == ST_OK)
    bundle_free(b);
  else
    assert_true(e.cause[0] != 0);
}

static void damaged(void **state) {
  State *s = *state;
  Buf out = {0};
  write_to(s, &out);
  /* cut off: never accepted; in a copy, so that a sanitizer sees reading past the end */
  for (size_t n = 0; n < out.n; n++) {
    uint8_t *copy = mem_alloc(n + 1);
    memcpy(copy, out.p, n);
    parse_any(s, copy, n, true);
    mem_free(copy);
  }
  for (size_t i = 0; i < out.n; i++) { /* any byte changed: accepted or not, but nothing worse */
    uint8_t was = out.p[i];
    for (int k = 0; k < 3; k++) {
      static const uint8_t change[] = {0x01, 0x80, 0xff};
      out.p[i] = was ^ change[k];
      parse_any(s, out.p, out.n, false);
    }
    out.p[i] = was;
  }
  buf_free(&out);
}

static void newer_version(void **state) {
  State *s = *state;
  Buf out = {0};
  Bundle *b = NULL;
  Err e = {0};
  write_to(s, &out);
  char *at = memmem(out.p, out.n, "\"ops_version\":\"", 15);
  assert_non_null(at);
  at[15] = '9';
  assert_int_equal(bundle_parse(buf_bytes(&out), s->registry, &b, &e), ST_DATA);
  assert_string_equal(e.id, "CML0454");
  assert_non_null(strstr(e.cause, "ops_version 9"));
  buf_free(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(round_trip, setup, teardown),
      cmocka_unit_test_setup_teardown(scores, setup, teardown),
      cmocka_unit_test_setup_teardown(damaged, setup, teardown),
      cmocka_unit_test_setup_teardown(newer_version, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
