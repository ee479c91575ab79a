/* SPDX-License-Identifier: Apache-2.0 */
/* Order statistics of columns with more values than a sample holds: samples, ranges, and what happens where
 * a sample misleads. Read check. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/hash.h"
#include "vm/agg/order.h"

#ifdef CML_HOSTILE
enum { ROWS = 2000 };
#else
enum { ROWS = 200000 };
#endif
enum { PARTS = 3 };

typedef struct Data {
  uint32_t n;
  double x[ROWS];
  uint8_t null[ROWS], where[ROWS];
  bool some; /* of them are null */
} Data;

static double rnd(uint64_t key, uint64_t i) {
  return unit_of(rng_word(key, i));
}

static Data *data(uint32_t n) {
  Data *d = calloc(1, sizeof *d);
  d->n = n;
  for (uint32_t r = 0; r < n; r++)
    d->where[r] = rnd(3, r) < 0.7;
  return d;
}

/* ---- Running the rounds: rows by 77, three partials, each through its bytes ---- */

static void panels(const Pass *pass, const void *par, const Data *d, uint32_t part, void *partial, Arena *mem,
                   Err *e) {
  enum { CUT = 77 };
  for (uint32_t r = part * CUT; r < d->n; r += PARTS * CUT) {
    uint32_t n = d->n - r < CUT ? d->n - r : CUT, at[CUT];
    RowErrors bad = {0};
    Ctx c = {.scratch = mem, .errors = &bad, .err = e};
    Col out[2] = {{.type = IR_F64, .f = (double *)d->x + r, .null = d->some ? (uint8_t *)d->null + r : NULL},
                  {.type = IR_BOOL, .b = (uint8_t *)d->where + r}};
    for (uint32_t i = 0; i < n; i++)
      at[i] = r + i;
    Panel p = {.n = n, .pos = 1000, .at = at, .out = out, .nout = 2};
    arena_reset(mem);
    assert_int_equal(pass->map(par, &p, partial, &c), ST_OK);
  }
}

static void run_job(const Job *j, const Data *d, Buf *out, Err *e) {
  Buf again = {0};
  Arena mem;
  arena_init(&mem, NULL);
  void *par = j->pass->open(buf_bytes(&j->par), e), *all = NULL;
  assert_non_null(par);
  for (uint32_t part = 0; part < PARTS; part++) {
    void *v = j->pass->init(par, e);
    panels(j->pass, par, d, part, v, &mem, e);
    buf_clear(&again);
    assert_int_equal(j->pass->save(par, v, &again, e), ST_OK);
    j->pass->free(par, v);
    v = j->pass->load(par, buf_bytes(&again), e);
    assert_non_null(v);
    for (size_t cut = 0; cut < again.n; cut += 1 + again.n / 7) { /* damaged: refused, not followed */
      Err no = {0};
      assert_null(j->pass->load(par, (Bytes){again.p, cut}, &no));
    }
    if (all) /* the later one in front: order means nothing */
      assert_int_equal(j->pass->merge(par, v, all, e), ST_OK);
    if (all)
      j->pass->free(par, all);
    all = v;
  }
  assert_int_equal(j->pass->save(par, all, out, e), ST_OK);

  void *whole = j->pass->init(par, e); /* one worker that sees all of it has the same bytes */
  for (uint32_t part = 0; part < PARTS; part++)
    panels(j->pass, par, d, part, whole, &mem, e);
  buf_clear(&again);
  assert_int_equal(j->pass->save(par, whole, &again, e), ST_OK);
  assert_int_equal(again.n, out->n);
  assert_memory_equal(again.p, out->p, out->n);
  j->pass->free(par, whole);
  j->pass->free(par, all);
  j->pass->close(par);
  buf_free(&again);
  arena_free(&mem);
}

static uint32_t run(Orders *o, const Data *d) {
  for (uint32_t rounds = 0;; rounds++) {
    Err e = {0};
    Jobs jobs = {0};
    Buf out[ASK_N] = {0};
    assert_true(rounds < 30);
    assert_int_equal(orders_ask(o, &jobs, &e), ST_OK);
    if (!jobs.n) {
      jobs_free(&jobs);
      return rounds;
    }
    for (uint32_t i = 0; i < jobs.n; i++)
      run_job(&jobs.v[i], d, &out[i], &e);
    assert_int_equal(orders_take(o, out, jobs.n, &e), ST_OK);
    for (uint32_t i = 0; i < jobs.n; i++)
      buf_free(&out[i]);
    jobs_free(&jobs);
  }
}

/* ---- Truth ---- */

static int by_key(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static void compare(const Data *d, bool where, const Orders *o, uint32_t col, const double *q, uint32_t nq) {
  uint64_t *key = malloc((d->n + 1) * sizeof *key), n = 0;
  for (uint32_t r = 0; r < d->n; r++)
    if (!(d->some && d->null[r]) && (!where || d->where[r]))
      key[n++] = f64_key(d->x[r]);
  qsort(key, n, sizeof *key, by_key);
  assert_int_equal(o->col[col].n, n);
  for (uint32_t i = 0; n && i < nq; i++) {
    double part, got = orders_value(o, col, q[i]);
    uint64_t k = quantile_rank(q[i], n, &part);
    double lo = f64_of_key(key[k]), want = quantile_between(lo, part > 0 ? f64_of_key(key[k + 1]) : lo, part);
    assert_true(f64_key(got) == f64_key(want));
  }
  free(key);
}

/* The median alone; three quantiles of some rows; many of all rows. Returns how many rounds it took. */
static uint32_t check(Data *d) {
  static const double q[] = {0.5, 0, 1, 0.999, 0.1, 0.2, 0.3, 0.4, 0.6};
  static const uint32_t count[] = {1, 3, 9};
  uint32_t most = 0;
  for (int c = 0; c < 3; c++) {
    Orders o = {0};
    Err e = {0};
    AggSrc s = {.arg = 0, .where = c == 1 ? 1 : -1, .weight = -1, .leave_out = -1};
    assert_int_equal(orders_col(&o, &s, &e), 0);
    for (uint32_t i = 0; i < count[c]; i++)
      assert_int_equal(orders_want(&o, 0, q[i], &e), ST_OK);
    uint32_t rounds = run(&o, d);
    most = rounds > most && c < 2 ? rounds : most;
    compare(d, c == 1, &o, 0, q, count[c]);
    orders_free(&o);
  }
  return most;
}

static void expect_rounds(Data *d, uint32_t rounds) {
  uint32_t took = check(d);
#ifdef CML_HOSTILE
  (void)rounds;
  (void)took;
#else
  assert_int_equal(took, rounds);
#endif
  free(d);
}

static void test_shapes(void **state) {
  (void)state;
  for (int shape = 0; shape < 6; shape++) {
    Data *d = data(ROWS);
    for (uint32_t r = 0; r < d->n; r++) {
      double u = rnd(1, r), v = rnd(2, r);
      const double value[] = {u - 0.5,                 /* continuous, both signs */
                              floor(u * v * 90),       /* few values */
                              u < 0.6 ? 0 : v,         /* mostly one */
                              r,                       /* in order */
                              7,                       /* constant */
                              ldexp(u, (int)(v * 900) - 450)};
      d->x[r] = value[shape];
      d->null[r] = shape % 2 && rnd(4, r) < 0.2;
      if (d->null[r])
        d->x[r] = 0;
    }
    d->some = shape % 2;
    expect_rounds(d, 2);
  }
}

static void test_corners(void **state) {
  (void)state;
  static const uint32_t n[] = {0, 1, 2, 3, 400};
  for (size_t i = 0; i < sizeof n / sizeof *n; i++) {
    Data *d = data(n[i]);
    for (uint32_t r = 0; r < d->n; r++)
      d->x[r] = r % 3 ? r : -0.0;
    expect_rounds(d, 1);
  }
  Data *d = data(ROWS);
  for (uint32_t r = 0; r < d->n; r++) {
    double u = rnd(1, r);
    d->x[r] = u < 0.2 ? NAN : u < 0.4 ? INFINITY : u < 0.6 ? -INFINITY : u < 0.7 ? -0.0 : u * 5e-324;
  }
  expect_rounds(d, 2);
  d = data(ROWS);
  memset(d->null, 1, sizeof d->null);
  d->some = true;
  expect_rounds(d, 1);
}

/* Rows that a sample keeps have the large values: no range that it leads to has the median. */
static void test_misled(void **state) {
  (void)state;
  Data *d = data(ROWS);
  for (uint32_t r = 0; r < d->n; r++) {
    uint64_t h = hash_mix(UINT64_C(0x9e3779b97f4a7c15) ^ (1000 + r));
    d->x[r] = (double)(h ? __builtin_clzll(h) : 64) + rnd(1, r);
  }
  uint32_t took = check(d);
  assert_true(took > 2);
  free(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_corners),
                                     cmocka_unit_test(test_misled)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
