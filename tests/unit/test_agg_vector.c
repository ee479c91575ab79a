/* SPDX-License-Identifier: Apache-2.0 */
/* Aggregates of row vectors (vm/agg/vector.c, covariance.c, text.c) and lambdas of power transforms
 * (power.c): against brute force in long double, against numpy and scipy where these have the same (their
 * results stand here beside the code that gave them), the same bits however rows are cut and merged, and
 * the corners. */
#include "tests/unit/agg_kit.h"

/* ---- Against brute force ---- */

static const struct {
  int column;
  uint32_t width;
} vectors[] = {{VEC, VEC_WIDTH}, {HOT, HOT_WIDTH}, {SPARSE, SPARSE_WIDTH}};

static double element(Data *d, int column, uint32_t r, uint32_t j) {
  Col c[NCOL];
  double row[SPARSE_WIDTH];
  columns(d, r, c);
  col_row(&c[column], 0, row);
  return row[j];
}

typedef struct Moments {
  long double w, w2, sum, squares, nonzero;
  double least, most;
} Moments;

static Moments moments(Data *d, int column, uint32_t j, int where, bool weighted) {
  Moments m = {.least = INFINITY, .most = -INFINITY};
  for (int round = 0; round < 2; round++)
    for (uint32_t r = 0; r < d->n; r++) {
      if (!seen(d, r, column, where))
        continue;
      double x = element(d, column, r, j), w = weighted ? d->w[r] : 1;
      if (round) {
        m.squares += w * (x - m.sum / m.w) * (x - m.sum / m.w);
        continue;
      }
      m.w += w;
      m.w2 += (long double)w * w;
      m.sum += (long double)w * x;
      m.nonzero += x != 0;
      m.least = x < m.least ? x : m.least;
      m.most = x > m.most ? x : m.most;
    }
  return m;
}

static void test_elements(void **state) {
  (void)state;
  Data *d = make_data(ROWS, 11);
  for (int v = 0; v < 3; v++) {
    int c = vectors[v].column;
    Plan *p = new_plan();
    Fitted *f[40];
    add(p, "sum.vec", c, -1, -1, 0);
    add(p, "mean.vec", c, OK, -1, 0);
    add(p, "mean.vec", c, -1, W, 0);
    add(p, "variance.vec", c, OK, W, 0);
    add(p, "stddev.vec", c, -1, -1, 0);
    add(p, "min.vec", c, OK, -1, 0);
    add(p, "max.vec", c, OK, -1, 0);
    add(p, "nonzeros.vec", c, -1, -1, 0);
    add(p, "count.vec", c, OK, -1, 0);
    run_plan(p, d, &plain, f);
    for (uint32_t j = 0; j < vectors[v].width; j++) {
      Moments all = moments(d, c, j, -1, false), some = moments(d, c, j, OK, false);
      Moments heavy = moments(d, c, j, -1, true), both = moments(d, c, j, OK, true);
      near(f[0]->list[j], all.sum, 1e-13);
      near(f[1]->list[j], some.sum / some.w, 1e-13);
      near(f[2]->list[j], heavy.sum / heavy.w, 1e-13);
      near(f[3]->list[j], both.squares / (both.w - both.w2 / both.w), 1e-9);
      near(f[4]->list[j], sqrtl(all.squares / (all.w - 1)), 1e-9);
      assert_true(f[5]->list[j] == some.least && f[6]->list[j] == some.most);
      assert_true(f[7]->list[j] == (double)all.nonzero);
      assert_int_equal(f[8]->i, (int64_t)some.w);
    }
    for (int k = 0; k < 8; k++)
      assert_int_equal(f[k]->n, vectors[v].width);
    free_all(f, p->s.nagg);
    free(p);
  }
  free(d);
}

/* Element 1 lies at 10^6 and element 2 at twice that: what a sum of squares would lose is not lost. */
static void test_covariances(void **state) {
  (void)state;
  Data *d = make_data(ROWS, 12);
  for (int v = 0; v < 3; v++) {
    int c = vectors[v].column;
    uint32_t n = vectors[v].width;
    Plan *p = new_plan();
    Fitted *f[40];
    add(p, "covariance.vec", c, OK, -1, 0);
    run_plan(p, d, &plain, f);
    assert_int_equal(f[0]->rows, n);
    assert_int_equal(f[0]->cols, n);
    for (uint32_t i = 0; i < n; i++)
      for (uint32_t j = 0; j < n; j++) {
        Moments a = moments(d, c, i, OK, false), b = moments(d, c, j, OK, false);
        long double sum = 0, scale = sqrtl(a.squares * b.squares) / (a.w - 1);
        for (uint32_t r = 0; r < d->n; r++)
          if (seen(d, r, c, OK))
            sum += (element(d, c, r, i) - a.sum / a.w) * (element(d, c, r, j) - b.sum / b.w);
        assert_true(fabsl(f[0]->list[i * n + j] - sum / (a.w - 1)) <= 1e-12L * scale);
        assert_true(f[0]->list[i * n + j] == f[0]->list[j * n + i]);
      }
    free_all(f, 1);
    free(p);
  }
  free(d);
}

/* ---- Against numpy and scipy ---- */

/* n rows of the dense vector, of x and of no other column, all in one file. */
static Data *rows_of(const double *vec, const double *x, uint32_t n) {
  Data *d = make_data(ROWS, 1);
  memset(d->null, 0, sizeof d->null);
  d->n = d->start[1] = d->start[2] = d->start[3] = n;
  if (vec)
    memcpy(d->vec, vec, (size_t)n * VEC_WIDTH * sizeof *vec);
  if (x)
    memcpy(d->x, x, n * sizeof *x);
  return d;
}

static void expect_list(const Fitted *f, const double *want, uint32_t n) {
  for (uint32_t k = 0; k < n; k++)
    near(f->list[k], want[k], 1e-11);
}

/* i = np.arange(12); X = np.c_[(i*7%12)/4, (i*5%12)**2/8, 1e6 + (i*11%12)/2 + (i*7%12)/4]; C = np.cov(X.T);
 * w, V = np.linalg.eigh(C); rows V.T[::-1], each with the sign that makes its largest element positive;
 * whitening: the same divided by sqrt(w). */
static void test_numpy(void **state) {
  (void)state;
  static const double cov[] = {
      0.8125, -3.03125, 1.1647727272727273, -3.03125, 26.473958333333336, -1.457386363636364,
      1.1647727272727273, -1.457386363636364, 4.767045454545455};
  static const double components[] = {
      -0.11808590724816977, 0.9904401721294426, -0.07130206127158512,
      0.20831864158519262,  0.09491547816636237, 0.973444603237673,
      0.9709063096290378,   0.10009654058283449, -0.2175353315805786};
  static const double whitening[] = {-0.022750818585492695, 0.19082145533713002, -0.013737289220739421,
                                     0.09435744494426261,   0.0429917454208164,  0.4409194724838162};
  double x[12 * VEC_WIDTH];
  for (int i = 0; i < 12; i++) {
    x[3 * i] = (i * 7 % 12) / 4.0;
    x[3 * i + 1] = (i * 5 % 12) * (i * 5 % 12) / 8.0;
    x[3 * i + 2] = 1e6 + (i * 11 % 12) / 2.0 + (i * 7 % 12) / 4.0;
  }
  Data *d = rows_of(x, NULL, 12);
  Plan *p = new_plan();
  Fitted *f[40];
  add(p, "covariance.vec", VEC, -1, -1, 0);
  add(p, "components.vec", VEC, -1, -1, 3);
  add(p, "whitening.vec", VEC, -1, -1, 2);
  run_plan(p, d, &plain, f);
  expect_list(f[0], cov, 9);
  expect_list(f[1], components, 9);
  expect_list(f[2], whitening, 6);
  assert_int_equal(f[2]->rows, 2);
  free_all(f, 3);
  free(p);
  free(d);
}

static double lambda(const char *op, const double *x, uint32_t n) {
  Data *d = rows_of(NULL, x, n);
  Plan *p = new_plan();
  Fitted *f[40];
  add(p, op, X, -1, -1, 0);
  run_plan(p, d, &plain, f);
  double v = f[0]->f;
  free_all(f, 1);
  free(p);
  free(d);
  return v;
}

/* minimize_scalar(lambda l: -stats.boxcox_llf(l, y), bounds=(-2, 2), method='bounded', xatol=1e-12), and
 * the same of yeojohnson_llf: a likelihood is flat at its top, where rounding hides about the 7th digit of
 * lambda. */
static void test_lambdas(void **state) {
  (void)state;
  static const double y[] = {0.5, 1, 1.25, 2, 2.5, 3, 7, 11, 20, 45},
                      z[] = {-20, -7.5, -3, -1, -0.5, 0, 0.25, 1, 2, 9}, same[] = {4, 4, 4};
  assert_true(fabs(lambda("box_cox_lambda.f64", y, 10) + 0.14409311665227784) < 1e-6);
  assert_true(fabs(lambda("yeo_johnson_lambda.f64", z, 10) - 1.1949310416853918) < 1e-6);
  assert_true(lambda("box_cox_lambda.f64", same, 3) == 1); /* nothing to transform */
  assert_true(lambda("yeo_johnson_lambda.f64", same, 1) == 1);
  double far[10];
  for (int i = 0; i < 10; i++) /* the unit of the data does not move a Box-Cox lambda */
    far[i] = y[i] * 0x1p500;
  assert_true(fabs(lambda("box_cox_lambda.f64", far, 10) + 0.14409311665227784) < 1e-6);
}

/* ---- The same bits ---- */

static Plan *everything(void) {
  Plan *p = new_plan();
  for (int v = 0; v < 3; v++) {
    int c = vectors[v].column;
    add(p, "sum.vec", c, -1, -1, 0);
    add(p, "mean.vec", c, OK, W, 0);
    add(p, "variance.vec", c, -1, -1, 0)->leave_out = 1;
    add(p, "max.vec", c, OK, -1, 0);
    add(p, "covariance.vec", c, OK, -1, 0);
    add(p, "components.vec", c, -1, -1, 2);
    add(p, "nonzeros.vec", c, -1, -1, 0);
  }
  add(p, "yeo_johnson_lambda.f64", X, OK, -1, 0);
  add(p, "box_cox_lambda.f64", W, OK, -1, 0);
  return p;
}

static void test_same_bits(void **state) {
  (void)state;
  static const Way way[] = {
      {64, 1, 0, false}, {7, 3, 1, false}, {1, 2, 2, false}, {LEAF, 8, 3, true}, {100, 5, 4, true}};
  Data *d = make_data(ROWS, 42);
  for (uint32_t r = 0; r < d->n; r++)
    d->w[r] += 0x1p-10; /* Box-Cox takes what is above 0 */
  Plan *p = everything();
  Buf first = {0};
  for (uint32_t k = 0; k < sizeof way / sizeof *way; k++) {
    Fitted *f[40];
    Buf b = {0};
    Err e = {0};
    run_plan(p, d, &way[k], f);
    for (uint32_t i = 0; i < p->s.nagg; i++)
      assert_int_equal(fitted_save(f[i], &b, &e), ST_OK);
    free_all(f, p->s.nagg);
    if (!k) {
      first = b;
      continue;
    }
    assert_int_equal(first.n, b.n);
    assert_memory_equal(first.p, b.p, b.n);
    buf_free(&b);
  }
  buf_free(&first);
  free(p);
  free(d);
}

/* ---- Corners ---- */

static Status fit_one(Data *d, const char *op, int column, double par, Fitted **f, Err *e) {
  Plan *p = new_plan();
  add(p, op, column, -1, -1, par);
  memset(e, 0, sizeof *e);
  Status st = fit(&p->s, FOLDS, d, &plain, f, e);
  free(p);
  return st;
}

static void test_none_and_one(void **state) {
  (void)state;
  static const char *const op[] = {"mean.vec", "variance.vec", "min.vec", "covariance.vec", "components.vec"};
  static const double row[] = {1e300, -2, 0};
  Fitted *f[40];
  Err e;
  Data *d = rows_of(NULL, NULL, 0);
  for (int k = 0; k < 5; k++) {
    assert_int_equal(fit_one(d, op[k], VEC, 1, f, &e), ST_DATA);
    assert_string_equal(e.id, "CML0410");
  }
  free(d);
  d = rows_of(row, NULL, 1);
  assert_int_equal(fit_one(d, "mean.vec", VEC, 0, f, &e), ST_OK);
  assert_memory_equal(f[0]->list, row, sizeof row);
  free_all(f, 1);
  for (int k = 1; k < 4; k += 2) {
    assert_int_equal(fit_one(d, op[k], VEC, 0, f, &e), ST_OK);
    for (uint32_t j = 0; j < (k == 1 ? 3 : 9); j++)
      assert_true(f[0]->list[j] == 0);
    free_all(f, 1);
  }
  assert_int_equal(fit_one(d, "whitening.vec", VEC, 2, f, &e), ST_OK); /* no variance: no direction */
  for (uint32_t j = 0; j < 6; j++)
    assert_true(f[0]->list[j] == 0);
  free_all(f, 1);
  free(d);
}

static void test_magnitudes(void **state) {
  (void)state;
  static const double tiny[] = {1e-160, 0, 5e-324, 3e-160, 0, 0, 2e-160, 0, 5e-324},
                      huge[] = {1e160, 1, 1, -1e160, 2, 1, 3e160, 4, 1}, wrong[] = {1, 2, 3, NAN, 1, 1};
  Fitted *f[40];
  Err e;
  Data *d = rows_of(tiny, NULL, 3);
  assert_int_equal(fit_one(d, "mean.vec", VEC, 0, f, &e), ST_OK);
  near(f[0]->list[0], 2e-160L, 1e-15);
  assert_true(f[0]->list[1] == 0);
  free_all(f, 1);
  free(d);
  d = rows_of(huge, NULL, 3); /* squares beyond the range: an infinite variance, and no eigenvectors */
  assert_int_equal(fit_one(d, "covariance.vec", VEC, 0, f, &e), ST_OK);
  assert_false(isfinite(f[0]->list[0]));
  near(f[0]->list[4], 7 / 3.0L, 1e-15);
  free_all(f, 1);
  assert_int_equal(fit_one(d, "components.vec", VEC, 2, f, &e), ST_DATA);
  assert_true(e.cause[0]);
  free(d);
  d = rows_of(wrong, NULL, 2);
  assert_int_equal(fit_one(d, "mean.vec", VEC, 0, f, &e), ST_OK);
  assert_true(isnan(f[0]->list[0]) && f[0]->list[1] == 1.5);
  free_all(f, 1);
  assert_int_equal(fit_one(d, "covariance.vec", VEC, 0, f, &e), ST_OK);
  free_all(f, 1);
  assert_int_equal(row_errors.count, 1); /* which ends the scan elsewhere */
  free(d);
}

/* ---- Damaged partials ---- */

static void test_hostile(void **state) {
  (void)state;
  Data *d = make_data(LEAF < 60 ? LEAF : 60, 3);
  Plan *p = everything();
  for (uint32_t r = 0; r < d->n; r++)
    d->w[r] += 0x1p-10;
  Iter *it = NULL;
  Jobs jobs = {0};
  Err e = {0};
  assert_int_equal(agg_begin(&p->s, &(Stage){.folds = FOLDS}, &it, &e), ST_OK);
  assert_int_equal(it->next(it, NULL, 0, &jobs, &e), ST_OK);
  assert_true(jobs.n >= 3);
  for (uint32_t k = 0; k < jobs.n; k++) {
    const Pass *pass = jobs.v[k].pass;
    Buf b = {0};
    assert_int_equal(run_job(&jobs.v[k], d, &plain, &b, &e), ST_OK);
    void *par = pass->open(buf_bytes(&jobs.v[k].par), &e);
    for (size_t n = 0; n < b.n; n++) { /* every prefix is refused */
      Err bad = {0};
      assert_null(pass->load(par, (Bytes){b.p, n}, &bad));
      assert_true(bad.code);
    }
    for (size_t n = 0; n < b.n; n++) { /* any wrong byte gives an error or some partial, which merges */
      Err bad = {0};
      unsigned char *byte = (unsigned char *)b.p + n, keep = *byte;
      void *good = pass->load(par, buf_bytes(&b), &bad);
      *byte ^= 0x81;
      void *other = pass->load(par, buf_bytes(&b), &bad);
      *byte = keep;
      if (other)
        (void)pass->merge(par, good, other, &bad);
      pass->free(par, good);
      if (other)
        pass->free(par, other);
    }
    pass->close(par);
    buf_free(&b);
  }
  jobs_free(&jobs);
  it->free(it);
  free(p);
  free(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_elements),     cmocka_unit_test(test_covariances), cmocka_unit_test(test_numpy),
      cmocka_unit_test(test_lambdas),      cmocka_unit_test(test_same_bits),
      cmocka_unit_test(test_none_and_one), cmocka_unit_test(test_magnitudes),  cmocka_unit_test(test_hostile),
  };
  return cmocka_run_group_tests_name("agg_vector", tests, NULL, NULL);
}
