/* SPDX-License-Identifier: Apache-2.0 */
/* Aggregates against brute force; the same bits however leaves are cut into panels, spread over workers
 * and merged. */
#include "tests/unit/agg_kit.h"

/* ---- Ungrouped ---- */

static void test_scalars(void **state) {
  (void)state;
  Data *d = make_data(ROWS, 11);
  Plan *p = new_plan();
  Fitted *f[40];
  add(p, "count", -1, -1, -1, 0);
  add(p, "count", -1, OK, -1, 0);
  add(p, "count.str", S, -1, -1, 0);
  add(p, "count.b", OK, -1, -1, 0);
  add(p, "sum.i64", I, OK, -1, 0);
  add(p, "sum.f64", X, -1, -1, 0);
  add(p, "mean.f64", X, OK, -1, 0);
  add(p, "variance.f64", X, -1, -1, 0);
  add(p, "stddev.f64", WIDE, OK, -1, 0);
  add(p, "sum.f64", X, -1, W, 0);
  add(p, "mean.f64", X, OK, W, 0);
  add(p, "variance.f64", X, -1, W, 0);
  add(p, "min.i64", I, -1, -1, 0);
  add(p, "max.f64", WIDE, OK, -1, 0);
  add(p, "mean.f64", CONST, OK, -1, 0);
  add(p, "stddev.f64", CONST, OK, W, 0);
  run_plan(p, d, &plain, f);
  assert_int_equal(rounds, 1);
  uint64_t n[4] = {0};
  int64_t sum = 0, least = INT64_MAX;
  for (uint32_t r = 0; r < d->n; r++) {
    n[0]++;
    n[1] += seen(d, r, -1, OK);
    n[2] += seen(d, r, S, -1);
    n[3] += seen(d, r, OK, -1);
    sum += seen(d, r, I, OK) ? d->i[r] : 0;
    if (seen(d, r, I, -1) && d->i[r] < least)
      least = d->i[r];
  }
  for (int k = 0; k < 4; k++) {
    assert_int_equal(f[k]->type, IR_I64);
    assert_int_equal(f[k]->i, n[k]);
  }
  assert_int_equal(f[4]->i, sum);
  Ref *a = reference(d, X, -1, false, NULL), *b = reference(d, X, OK, false, NULL),
      *c = reference(d, WIDE, OK, false, NULL);
  Ref *aw = reference(d, X, -1, true, NULL), *bw = reference(d, X, OK, true, NULL);
  near(f[5]->f, a->sum, 1e-15);
  near(f[6]->f, b->sum / b->w, 1e-15);
  near(f[7]->f, variance(a), 1e-13);
  near(f[8]->f, sqrtl(variance(c)), 1e-13);
  near(f[9]->f, aw->sum, 1e-14);
  near(f[10]->f, bw->sum / bw->w, 1e-13);
  near(f[11]->f, variance(aw), 1e-13);
  assert_int_equal(f[12]->i, least);
  qsort(c->v, c->n, sizeof *c->v, cmp_f64);
  assert_true(f[13]->f == c->v[c->n - 1]);
  assert_true(f[14]->f == d->constant);
  assert_true(f[15]->f == 0);
  free(a);
  free(b);
  free(c);
  free(aw);
  free(bw);
  free_all(f, p->s.nagg);
  free(p);
  free(d);
}

static void test_quantiles(void **state) {
  (void)state;
  static const double q[] = {0, 0.25, 0.5, 0.9, 1, 0.333};
  Data *d = make_data(ROWS, 5);
  Plan *p = new_plan();
  Fitted *f[40];
  for (int k = 0; k < 6; k++)
    add(p, "quantile.f64", WIDE, -1, -1, q[k]);
  for (int k = 0; k < 6; k++)
    add(p, "quantile.f64", X, OK, -1, q[k]);
  add(p, "median.f64", X, -1, -1, 0);
  add(p, "quantiles.f64", WIDE, OK, -1, 10);
  add(p, "median.f64", CONST, -1, -1, 0);
  run_plan(p, d, &plain, f);
  Ref *a = reference(d, WIDE, -1, false, NULL), *b = reference(d, X, OK, false, NULL),
      *c = reference(d, X, -1, false, NULL);
  Ref *w = reference(d, WIDE, OK, false, NULL);
  for (int k = 0; k < 6; k++) {
    assert_true(f[k]->f == quantile(a, q[k]));
    assert_true(f[6 + k]->f == quantile(b, q[k]));
  }
  assert_true(f[12]->f == quantile(c, 0.5));
  assert_int_equal(f[13]->type, IR_LIST);
  assert_int_equal(f[13]->n, 9);
  for (int k = 1; k < 10; k++)
    assert_true(f[13]->list[k - 1] == quantile(w, k / 10.0));
  assert_true(f[14]->f == d->constant);
#ifdef CML_HOSTILE
  assert_true(rounds > 4); /* values were too many to collect */
#else
  assert_int_equal(rounds, 2);
#endif
  free(a);
  free(b);
  free(c);
  free(w);
  free_all(f, p->s.nagg);
  free(p);
  free(d);
}

static void test_strings(void **state) {
  (void)state;
  Data *d = make_data(ROWS, 23);
  Plan *p = new_plan();
  Fitted *f[40];
  add(p, "categories.str", S, -1, -1, 1);
  add(p, "categories.str", S, -1, -1, ROWS / 4);
  add(p, "mode.str", S, -1, -1, 0);
  add(p, "min.str", S2, OK, -1, 0);
  add(p, "max.str", S, OK, -1, 0);
  add(p, "categories.str", S2, OK, -1, 1e9);
  run_plan(p, d, &plain, f);
  assert_int_equal(f[0]->n, 5); /* "", "a", "a\0z", "b", "zebra" */
  assert_memory_equal(f[0]->vocab->bytes, "aa\0zbzebra", 10);
  assert_int_equal(map_find(&f[0]->vocab_index, "b", 1), 3);
  assert_int_equal(f[1]->n, 1); /* "b" has two codes of six */
  assert_memory_equal(f[1]->vocab->bytes, "b", 1);
  assert_string_equal(f[2]->s, "b");
  assert_int_equal(f[3]->n, 0);
  assert_string_equal(f[4]->s, "zebra");
  assert_int_equal(f[5]->type, IR_VOCAB);
  assert_int_equal(f[5]->n, 0);
  free_all(f, p->s.nagg);
  free(p);
  free(d);
}

/* ---- Grouped ---- */

/* Rows with these keys that a variant sees; -1: null key. */
static uint32_t rows_of(const Data *d, int64_t k, const char *s, uint32_t n, int out_fold, int leave_out,
                        uint8_t *in) {
  uint32_t count = 0;
  for (uint32_t r = 0; r < d->n; r++) {
    uint32_t from = d->off[d->s2[r]], len = d->off[d->s2[r] + 1] - from;
    in[r] = d->k[r] == k && (!s || (!d->null[S2][r] && len == n && !memcmp(d->bytes + from, s, n)));
    in[r] &= d->fold[r] != out_fold && d->fold[r] != leave_out;
    count += in[r];
  }
  return count;
}

static void check_tables(Fitted **f, const Data *d, const char *s, uint32_t n, const IrAgg *a) {
  static uint8_t in[ROWS];
  Buf key = {0};
  for (int64_t k = -6; k < 40; k++) {
    buf_clear(&key);
    key_put_i64(&key, k);
    if (s)
      key_put_str(&key, s, n);
    for (uint32_t v = 0; v < f[0]->table->nvariant; v++) {
      int64_t at = map_find(&f[0]->table->index, key.p, key.n);
      uint32_t rows = rows_of(d, k, s, n, (int)v - 1, a->leave_out, in);
      if (at < 0) {
        assert_int_equal(rows_of(d, k, s, n, -1, -1, in), 0);
        continue;
      }
      size_t cell = (size_t)v * f[0]->table->n + (size_t)at;
      Ref *x = reference(d, X, OK, false, in), *w = reference(d, X, -1, true, in);
      assert_int_equal(f[0]->table->null[cell], rows == 0);
      assert_int_equal(f[0]->table->i[cell], rows);
      assert_int_equal(f[1]->table->null[cell], x->n == 0);
      if (x->n) {
        near(f[1]->table->f[cell], x->sum / x->w, 1e-12);
        near(f[3]->table->f[cell], quantile(x, 0.5), 0);
      }
      assert_int_equal(f[2]->table->null[cell], w->w == 0);
      if (w->w > 0)
        near(f[2]->table->f[cell], sqrtl(variance(w)), 1e-11);
      assert_int_equal(f[3]->table->null[cell], x->n == 0);
      assert_int_equal(f[4]->table->null[cell], rows == 0);
      near(f[4]->table->f[cell], x->sum, 1e-11);
      free(x);
      free(w);
    }
  }
  buf_free(&key);
}

static void test_tables(void **state) {
  (void)state;
  Data *d = make_data(ROWS, 77);
  for (int two = 0; two < 2; two++)
    for (int cross = 0; cross < 3; cross++) {
      Plan *p = new_plan();
      Fitted *f[40];
      IrAgg *a[5] = {add(p, "count", -1, -1, -1, 0), add(p, "mean.f64", X, OK, -1, 0),
                     add(p, "stddev.f64", X, -1, W, 0), add(p, "median.f64", X, OK, -1, 0),
                     add(p, "sum.f64", X, OK, -1, 0)};
      for (int k = 0; k < 5; k++) {
        by(a[k], K, two ? S2 : -1)->crossfit = cross > 0;
        a[k]->leave_out = cross == 2 ? 1 : -1;
      }
      run_plan(p, d, &plain, f);
      assert_int_equal(f[0]->table->nvariant, cross ? 1 + FOLDS : 1);
      check_tables(f, d, two ? "b" : NULL, 1, a[0]);
      if (two)
        check_tables(f, d, "a\0z", 3, a[0]);
      free_all(f, p->s.nagg);
      free(p);
    }
  free(d);
}

/* A table of the other folds has the same bits as one fitted on their rows alone. */
static void test_fold_alone(void **state) {
  (void)state;
  Data *d = make_data(ROWS, 3);
  static const char *const op[] = {"mean.f64", "sum.f64", "variance.f64", "median.f64", "max.f64"};
  Plan *p = new_plan();
  Fitted *f[40];
  for (int k = 0; k < 5; k++) {
    by(add(p, op[k], WIDE, -1, -1, 0), K, -1)->crossfit = true;
    for (int fold = 0; fold < FOLDS; fold++)
      by(add(p, op[k], WIDE, -1, -1, 0), K, -1)->leave_out = fold;
  }
  run_plan(p, d, &plain, f);
  for (int k = 0; k < 5; k++)
    for (uint32_t fold = 0; fold < FOLDS; fold++) {
      const Table *all = f[k * (1 + FOLDS)]->table, *one = f[k * (1 + FOLDS) + 1 + (int)fold]->table;
      assert_int_equal(all->n, one->n);
      assert_memory_equal(all->f + (1 + fold) * all->n, one->f, 8 * (size_t)all->n);
      assert_memory_equal(all->null + (1 + fold) * all->n, one->null, all->n);
    }
  free_all(f, p->s.nagg);
  free(p);
  free(d);
}

/* ---- The same bits ---- */

static Plan *everything(void) {
  Plan *p = new_plan();
  add(p, "count", -1, OK, -1, 0);
  add(p, "sum.i64", I, -1, -1, 0);
  add(p, "sum.f64", WIDE, -1, -1, 0);
  add(p, "sum.f64", X, OK, W, 0);
  add(p, "mean.f64", X, OK, -1, 0)->leave_out = 2;
  add(p, "variance.f64", WIDE, -1, -1, 0);
  add(p, "stddev.f64", X, OK, W, 0);
  add(p, "min.f64", X, -1, -1, 0);
  add(p, "max.i64", I, OK, -1, 0);
  add(p, "median.f64", X, OK, -1, 0);
  add(p, "quantiles.f64", WIDE, -1, -1, 7);
  add(p, "mode.str", S2, -1, -1, 0);
  add(p, "categories.str", S, OK, -1, 3);
  add(p, "max.str", S, -1, -1, 0);
  by(add(p, "mean.f64", X, -1, -1, 0), S2, -1)->crossfit = true;
  by(add(p, "variance.f64", WIDE, OK, W, 0), S2, OK);
  by(add(p, "count.str", S, OK, -1, 0), OK, -1);
  by(add(p, "min.i64", I, -1, -1, 0), K, S2);
  by(add(p, "quantile.f64", X, -1, -1, 0.75), S, -1)->crossfit = true;
  return p;
}

static void test_same_bits(void **state) {
  (void)state;
  static const Way way[] = {
      {64, 1, 0, false}, {7, 3, 1, false}, {1, 2, 2, true}, {LEAF, 8, 3, true}, {100, 5, 4, false}};
  Data *d = make_data(ROWS, 42);
  Plan *p = everything();
  Buf first = {0};
  for (uint32_t k = 0; k < sizeof way / sizeof *way; k++) {
    Fitted *f[40];
    Buf b = {0};
    Err e = {0};
    if (ROWS > 1000 && way[k].travel && way[k].cut == 1)
      continue; /* a save for each row: only where the data are small */
    run_plan(p, d, &way[k], f);
    for (uint32_t i = 0; i < p->s.nagg; i++)
      assert_int_equal(fitted_save(f[i], &b, &e), ST_OK);
    free_all(f, p->s.nagg);
    if (!k)
      first = b;
    else {
      assert_int_equal(first.n, b.n);
      assert_memory_equal(first.p, b.p, b.n);
      buf_free(&b);
    }
  }
  buf_free(&first);
  free(p);
  free(d);
}

/* ---- Corners ---- */

static void set_x(Data *d, const double *v, uint32_t n) {
  memset(d->null, 0, sizeof d->null);
  d->n = d->start[1] = d->start[2] = d->start[3] = n;
  memcpy(d->x, v, n * sizeof *v);
}

static double one(Data *d, const char *op, double par) {
  Plan *p = new_plan();
  Fitted *f[40];
  add(p, op, X, -1, -1, par);
  run_plan(p, d, &plain, f);
  double v = f[0]->f;
  free_all(f, 1);
  free(p);
  return v;
}

static void test_corners(void **state) {
  (void)state;
  Data *d = make_data(ROWS, 1);
  const double cancel[] = {1e100, 1, -1e100, 1e-30}, big[] = {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16};
  const double inf[] = {INFINITY, 1, 2}, both[] = {INFINITY, -INFINITY, 0}, nan[] = {NAN, 1, -1},
               zero[] = {-0.0, -0.0};
  set_x(d, cancel, 4);
  assert_true(one(d, "sum.f64", 0) == 1);
  set_x(d, big, 4);
  assert_true(one(d, "variance.f64", 0) == 30);
  assert_true(one(d, "median.f64", 0) == 1e9 + 10);
  set_x(d, big, 1);
  assert_true(one(d, "variance.f64", 0) == 0);
  set_x(d, inf, 3);
  assert_true(one(d, "sum.f64", 0) == INFINITY);
  assert_true(one(d, "mean.f64", 0) == INFINITY);
  assert_true(one(d, "median.f64", 0) == 2);
  assert_true(isnan(one(d, "stddev.f64", 0)));
  set_x(d, both, 3);
  assert_true(isnan(one(d, "sum.f64", 0)));
  set_x(d, nan, 3);
  assert_true(isnan(one(d, "mean.f64", 0)));
  assert_true(one(d, "min.f64", 0) == -1);
  assert_true(isnan(one(d, "max.f64", 0)));
  assert_true(one(d, "median.f64", 0) == 1);
  set_x(d, zero, 2);
  assert_false(signbit(one(d, "min.f64", 0)));
  assert_false(signbit(one(d, "median.f64", 0)));
  assert_false(signbit(one(d, "sum.f64", 0)));
  free(d);
}

static void expect_error(Plan *p, Data *d, Status code, const char *id) {
  Fitted *f[40];
  Err e = {0};
  assert_int_equal(fit(&p->s, FOLDS, d, &plain, f, &e), code);
  assert_string_equal(e.id, id);
  assert_true(e.cause[0]);
  free(p);
}

static void test_nothing(void **state) {
  (void)state;
  static const char *const none[] = {"mean.f64", "variance.f64", "stddev.f64",
                                     "min.f64",  "max.f64",      "median.f64"};
  Data *d = make_data(ROWS, 1);
  memset(d->ok, 0, sizeof d->ok);
  for (int k = 0; k < 6; k++) {
    Plan *p = new_plan();
    add(p, none[k], X, OK, -1, 0);
    expect_error(p, d, ST_DATA, "CML0410");
  }
  static const char *const text[] = {"mode.str", "min.str", "max.str"};
  for (int k = 0; k < 3; k++) {
    Plan *p = new_plan();
    add(p, text[k], S, OK, -1, 0);
    expect_error(p, d, ST_DATA, "CML0410");
  }
  Plan *p = new_plan();
  Fitted *f[40];
  add(p, "count", -1, OK, -1, 0);
  add(p, "sum.f64", X, OK, -1, 0);
  add(p, "sum.i64", I, OK, -1, 0);
  add(p, "categories.str", S, OK, -1, 1);
  by(add(p, "mean.f64", X, OK, -1, 0), K, -1);
  by(add(p, "count", -1, OK, -1, 0), K, -1);
  run_plan(p, d, &plain, f);
  assert_int_equal(f[0]->i, 0);
  assert_true(f[1]->f == 0);
  assert_int_equal(f[2]->i, 0);
  assert_int_equal(f[3]->n, 0);
  assert_true(f[4]->table->n > 0);
  assert_int_equal(f[4]->table->null[0], 1);
  assert_int_equal(f[5]->table->null[0], 0); /* the key was seen */
  assert_int_equal(f[5]->table->i[0], 0);
  free_all(f, p->s.nagg);
  d->n = d->start[1] = d->start[2] = d->start[3] = 0; /* no rows at all */
  run_plan(p, d, &plain, f);
  assert_int_equal(f[5]->table->n, 0);
  free_all(f, p->s.nagg);
  free(p);
  free(d);
}

static void test_errors(void **state) {
  (void)state;
  Data *d = make_data(ROWS, 1);
  memset(d->null, 0, sizeof d->null);
  d->i[0] = d->i[1] = INT64_MAX;
  Plan *p = new_plan();
  add(p, "sum.i64", I, -1, -1, 0);
  expect_error(p, d, ST_DATA, "CML0412");
  p = new_plan();
  by(add(p, "sum.i64", I, -1, -1, 0), OK, -1);
  expect_error(p, d, ST_DATA, "CML0412");
  p = new_plan();
  add(p, "quantile.f64", X, -1, -1, 1.5);
  expect_error(p, d, ST_PROGRAM, "CML0415");
  p = new_plan();
  d->x[0] = NAN;
  add(p, "quantiles.f64", X, -1, -1, 10000);
  expect_error(p, d, ST_DATA, "CML0411");
  p = new_plan();
  add(p, "no_such", X, -1, -1, 0);
  expect_error(p, d, ST_FAULT, "CML0601");
  p = new_plan(); /* sums that leave the range and come back are exact */
  Fitted *f[40];
  d->i[2] = d->i[3] = -INT64_MAX;
  add(p, "sum.i64", I, -1, -1, 0);
  run_plan(p, d, &plain, f);
  free_all(f, 1);
  free(p);
  p = new_plan(); /* weights */
  d->w[5] = -1;
  d->w[8] = NAN;
  add(p, "mean.f64", WIDE, -1, W, 0);
  run_plan(p, d, &plain, f);
  assert_int_equal(row_errors.count, 2);
  assert_int_equal(row_errors.v[0].pos, 5);
  assert_int_equal(row_errors.v[0].line, 7);
  free_all(f, 1);
  free(p);
  free(d);
}

/* ---- Hostile ---- */

static void check_hostile(const Pass *pass, void *par, Buf *b) {
  for (size_t n = 0; n < b->n; n += b->n > 3000 ? 61 : 1) { /* a shorter one is refused */
    Err e = {0};
    uint8_t *copy = malloc(n + 1);
    memcpy(copy, b->p, n);
    void *got = pass->load(par, (Bytes){copy, n}, &e);
    assert_null(got);
    assert_int_not_equal(e.code, ST_OK);
    free(copy);
  }
  for (uint32_t k = 0; k < 300; k++) { /* a changed one is refused or is another partial */
    Err e = {0};
    size_t at = (size_t)(rng_word(k, 1) % b->n);
    uint8_t old = b->p[at];
    b->p[at] ^= (uint8_t)(1 + rng_word(k, 2) % 255);
    void *got = pass->load(par, buf_bytes(b), &e);
    if (got) {
      Buf out = {0};
      void *init = pass->init(par, &e);
      assert_int_equal(pass->merge(par, init, got, &e), ST_OK);
      assert_int_equal(pass->save(par, init, &out, &e), ST_OK);
      buf_free(&out);
      pass->free(par, init);
      pass->free(par, got);
    } else {
      assert_int_not_equal(e.code, ST_OK);
    }
    b->p[at] = old;
  }
}

static void test_hostile(void **state) {
  (void)state;
  Data *d = make_data(120, 9);
  Plan *p = everything();
  Iter *it;
  Jobs jobs = {0};
  Err e = {0};
  assert_int_equal(agg_begin(&p->s, &(Stage){.folds = FOLDS}, &it, &e), ST_OK);
  assert_int_equal(it->next(it, NULL, 0, &jobs, &e), ST_OK);
  for (uint32_t k = 0; k < jobs.n; k++) {
    Buf b = {0};
    const Job *j = &jobs.v[k];
    assert_int_equal(run_job(j, d, &plain, &b, &e), ST_OK);
    void *par = j->pass->open(buf_bytes(&j->par), &e);
    check_hostile(j->pass, par, &b);
    j->pass->close(par);
    buf_free(&b);
    for (size_t n = 0; n < j->par.n; n++) {
      Err bad = {0};
      assert_null(j->pass->open((Bytes){j->par.p, n}, &bad));
    }
  }
  jobs_free(&jobs);
  it->free(it);
  free(p);
  free(d);
}

/* Every allocation in turn fails: an error, nothing lost. */
static void test_memory(void **state) {
  (void)state;
  Data *d = make_data(60, 9);
  Plan *p = everything();
  for (long n = 1;; n += 1 + n / 50) {
    Fitted *f[40];
    Err e = {0};
    mem_fail_at(n);
    Status st = fit(&p->s, FOLDS, d, &plain, f, &e);
    mem_fail_at(0);
    if (st == ST_OK) {
      free_all(f, p->s.nagg);
      break;
    }
    assert_int_equal(st, ST_RESOURCE);
    assert_true(n < 100000);
  }
  free(p);
  free(d);
}

static void test_names(void **state) {
  (void)state;
  uint32_t n = 0;
  for (; agg_op_at(n); n++)
    assert_ptr_equal(agg_op(agg_op_at(n)->name), agg_op_at(n));
  assert_true(n >= 33);
  assert_null(agg_op("mean.i64"));
  assert_null(agg_op(NULL));
  for (n = 0; agg_passes[n]; n++)
    assert_true(!strncmp(agg_passes[n]->name, "agg.", 4));
  assert_true(n >= 8);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names),     cmocka_unit_test(test_scalars), cmocka_unit_test(test_quantiles),
      cmocka_unit_test(test_strings),   cmocka_unit_test(test_tables),  cmocka_unit_test(test_fold_alone),
      cmocka_unit_test(test_same_bits), cmocka_unit_test(test_corners), cmocka_unit_test(test_nothing),
      cmocka_unit_test(test_errors),    cmocka_unit_test(test_hostile), cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests_name("agg", tests, NULL, NULL);
}
