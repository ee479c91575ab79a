/* SPDX-License-Identifier: Apache-2.0 */
/* kmeans: the nearest centre against a search through all of them, for every instruction set, magnitude
 * and layout; models of data with known clusters; corners; metrics against their definitions, row by row.
 * scikit-learn: tests/oracle/test_clusters.py. */
#include <math.h>

#include "tests/unit/scan.h"
#include "stdlib/cluster/measure.h"
#include "stdlib/registry.h"
#include "vm/kernel/dot.h"
#include "vm/kernel/math.h"

enum { N = 600, D = 5, K = 4 };
#define STOP (const char *)NULL

/* ---- the nearest centre ---- */

static NearRows rows_of(const Matrix *x, bool direct) {
  return (NearRows){
      .n = x->n, .d = x->d, .a = x->a, .ptr = x->ptr, .col = x->col, .val = x->val, .direct = direct && x->a};
}

/* What near_find promises, in a few lines. */
static void search(const NearRows *rows, const double *c, uint32_t k, uint32_t *index, double *distance2) {
  for (uint32_t i = 0; i < rows->n; i++) {
    index[i] = UINT32_MAX;
    for (uint32_t j = 0; j < k; j++) {
      const double *to = c + (size_t)j * rows->d;
      double v = near_distance(rows, i, near_square(rows, i), to, k_dot(to, to, rows->d));
      if (index[i] == UINT32_MAX || v < distance2[i]) {
        index[i] = j;
        distance2[i] = v;
      }
    }
  }
}

static void nearest_of(uint32_t d, uint32_t k, double place, double size, bool grid) {
  enum { ROWS = 150 };
  double *x = malloc(ROWS * d * sizeof *x), *c = malloc(k * d * sizeof *c);
  uint32_t got[ROWS], want[ROWS], sparse_got[ROWS];
  double at[ROWS], want_at[ROWS], sparse_at[ROWS];
  for (uint32_t i = 0; i < ROWS * d; i++) {
    double z = scan_random(d, i) - 0.5;
    x[i] = place + size * (grid ? round(3 * z) : scan_random(9, i) < 0.3 ? 0 : z);
  }
  for (uint32_t i = 0; i < k * d; i++) {
    double z = scan_random(d + 1, i) - 0.5;
    c[i] = place + size * (grid ? round(3 * z) : z);
  }
  memcpy(x, c, (k < 3 ? 1 : 3) * d * sizeof *x); /* rows on centres */
  if (k > 5)
    memcpy(c + 5 * d, c + 2 * d, d * sizeof *c); /* equal centres: the first wins */
  Matrix dense = {.n = ROWS, .d = d, .a = x}, sparse = scan_sparse(&dense, true);
  NearCenters centers;
  Err e = {0};
  Arena a;
  arena_init(&a, NULL);
  for (int way = 0; way < 3; way++) { /* direct, dense, sparse */
    NearRows rows = rows_of(way < 2 ? &dense : &sparse, way == 0);
    assert_int_equal(near_centers(&centers, c, k, d, way == 2, &e), ST_OK);
    search(&rows, c, k, want, want_at);
    near_find(&centers, &rows, &a, way == 2 ? sparse_got : got, way == 2 ? sparse_at : at);
    assert_memory_equal(way == 2 ? sparse_got : got, want, sizeof want);
    assert_memory_equal(way == 2 ? sparse_at : at, want_at, sizeof want_at);
    near_find(&centers, &rows, NULL, want, want_at);
    assert_memory_equal(way == 2 ? sparse_got : got, want, sizeof want);
    near_free(&centers);
  }
  assert_memory_equal(sparse_got, got, sizeof got); /* the same bits from both layouts */
  assert_memory_equal(sparse_at, at, sizeof at);
  assert_true(at[0] == 0 && got[0] == 0);
  arena_free(&a);
  scan_sparse_free(&sparse);
  free(x);
  free(c);
}

static void test_nearest(void **state) {
  (void)state;
  const uint32_t ds[] = {1, 2, 7, 8, 50, 65}, ks[] = {1, 2, 16, 17, 40};
  for (int i = 0; i < 6; i++)
    for (int j = 0; j < 5; j++)
      for (int grid = 0; grid < 2; grid++) {
        nearest_of(ds[i], ks[j], 0, 1, grid);
        nearest_of(ds[i], ks[j], 1e7, 1, grid);
        nearest_of(ds[i], ks[j], -3, 1e-9, grid);
      }
  nearest_of(3, 6, 0, 1e160, false);
  nearest_of(3, 6, 0, 1e-200, false);
  nearest_of(3, 6, 1e300, 1e299, false);
  nearest_of(3, 6, 0, 1e30, false);
  for (int grid = 0; grid < 2; grid++) /* more groups than one mark tells apart */
    nearest_of(9, NEAR_MARKED * NEAR_LANES + 40, 5, 1, grid);
}

/* What goes number by number gives the same bits in every instruction set. */
static void elementwise(const NearKernels *k, const double *x, const double *y, uint32_t d) {
  double u[64], v[64], sum[64], total[64];
  float f[64], square;
  k->place(x, y, 0.75, 1, d, u);
  near_kernels(K_ISA_BASE)->place(x, y, 0.75, 1, d, v);
  assert_memory_equal(u, v, d * sizeof *u);
  memcpy(sum, x, d * sizeof *sum);
  memcpy(total, x, d * sizeof *sum);
  k->add(sum, y, 1.3, d);
  near_kernels(K_ISA_BASE)->add(total, y, 1.3, d);
  assert_memory_equal(sum, total, d * sizeof *sum);
  double want = 0;
  k->narrow(x, y, 8, 1, d, f, &square);
  for (uint32_t j = 0; j < d; j++) {
    assert_true(f[j] == (float)((x[j] - y[j]) * 8));
    want += (double)f[j] * f[j];
  }
  assert_true(fabs(square - want) < 1e-5 * want);
}

/* Scores of the tiles, each within the bound of nearest.c, and the canonical square. */
static void test_kernels(void **state) {
  (void)state;
  enum { ROWS = NEAR_TILE * 2, WIDTH = 37, MANY = 21, GROUPS = 2 };
  float f[ROWS * WIDTH], pack[GROUPS * WIDTH * NEAR_LANES], first[GROUPS * NEAR_LANES], best[ROWS],
      second[ROWS];
  double x[WIDTH], y[WIDTH];
  uint32_t index[ROWS];
  for (uint32_t i = 0; i < ROWS * WIDTH; i++)
    f[i] = (float)(scan_random(1, i) - 0.5);
  for (uint32_t i = 0; i < GROUPS * WIDTH * NEAR_LANES; i++)
    pack[i] = (float)(scan_random(2, i) - 0.5);
  for (uint32_t i = 0; i < GROUPS * NEAR_LANES; i++)
    first[i] = i < MANY ? (float)scan_random(3, i) : NEAR_NONE;
  for (uint32_t j = 0; j < WIDTH; j++) {
    x[j] = scan_random(4, j);
    y[j] = scan_random(5, j);
  }
  for (int isa = K_ISA_BASE; isa < K_ISA_COUNT; isa++) {
    const NearKernels *k = near_kernels(isa);
    if (!k)
      continue;
    assert_true(k->square(x, y, WIDTH) == near_kernels(K_ISA_BASE)->square(x, y, WIDTH));
    elementwise(k, x, y, WIDTH);
    k->tile(f, ROWS, WIDTH, pack, first, GROUPS, best, second, index);
    for (uint32_t r = 0; r < ROWS; r++) {
      double low = INFINITY, next = INFINITY;
      for (uint32_t c = 0; c < MANY; c++) {
        double s = first[c];
        for (uint32_t j = 0; j < WIDTH; j++)
          s += (double)f[r * WIDTH + j] * pack[((c / NEAR_LANES) * WIDTH + j) * NEAR_LANES + c % NEAR_LANES];
        if (s < low) {
          next = low;
          low = s;
        } else if (s < next) {
          next = s;
        }
        if (c == index[r])
          assert_true(fabs(s - best[r]) < 1e-5);
      }
      assert_true(fabs(low - best[r]) < 1e-5 && fabs(next - second[r]) < 1e-5);
    }
  }
}

/* The same rows in any layout and panel: those whose positions were drawn. */
static void test_part(void **state) {
  (void)state;
  enum { ROWS = 400, WIDTH = 3 };
  double x[ROWS * WIDTH], w[ROWS];
  uint32_t place[ROWS], taken = 0;
  for (uint32_t i = 0; i < ROWS * WIDTH; i++)
    x[i] = i % 5 ? scan_random(6, i) : 0;
  for (uint32_t i = 0; i < ROWS; i++) {
    w[i] = i;
    place[i] = 3 * i;
  }
  Matrix dense = {.n = ROWS, .d = WIDTH, .a = x}, sparse = scan_sparse(&dense, true);
  ClusterSpace s = {.d = WIDTH, .scale = 1, .part = (uint64_t)1 << 62, .key = 77};
  Arena a;
  Err e = {0};
  arena_init(&a, NULL);
  Panel whole = {.n = ROWS, .file = 2, .pos = 50, .at = place, .weight = w, .x = &dense}, got, also;
  assert_int_equal(cluster_part(&s, &whole, &a, &got, &e), ST_OK);
  whole.x = &sparse;
  assert_int_equal(cluster_part(&s, &whole, &a, &also, &e), ST_OK);
  assert_true(got.n > ROWS / 6 && got.n < ROWS / 3 && also.n == got.n); /* a quarter, about */
  for (uint32_t i = 0; i < got.n; i++) {
    uint32_t from = got.at[i] / 3;
    assert_true(got.weight[i] == from && also.at[i] == got.at[i] && also.weight[i] == from);
    assert_memory_equal(got.x->a + i * WIDTH, x + from * WIDTH, WIDTH * sizeof *x);
    uint32_t k = also.x->ptr[i];
    for (uint32_t j = 0; j < WIDTH; j++)
      if (k < also.x->ptr[i + 1] && also.x->col[k] == j)
        assert_true(also.x->val[k++] == x[from * WIDTH + j]);
      else
        assert_true(x[from * WIDTH + j] == 0);
  }
  for (uint32_t i = 0; i < ROWS; i++) { /* one row at a time */
    Matrix row = {.n = 1, .d = WIDTH, .a = x + i * WIDTH};
    Panel one = {.n = 1, .file = 2, .pos = 50 + 3 * i, .x = &row}, part;
    assert_int_equal(cluster_part(&s, &one, &a, &part, &e), ST_OK);
    assert_true(part.n == (taken < got.n && got.at[taken] == 3 * i));
    taken += part.n;
  }
  assert_int_equal(taken, got.n);
  s.part = 0;
  assert_int_equal(cluster_part(&s, &whole, &a, &got, &e), ST_OK);
  assert_true(got.n == ROWS && got.x == &sparse);
  arena_free(&a);
  scan_sparse_free(&sparse);
}

/* ---- models ---- */

typedef struct Data {
  ScanRows rows;
  double x[N * D], w[N];
} Data;

/* K groups, far apart beside their size, on columns of different place. */
static void make(Data *t, double place, double size) {
  memset(t, 0, sizeof *t);
  for (uint32_t i = 0; i < N; i++) {
    for (uint32_t j = 0; j < D; j++)
      t->x[i * D + j] = place + size * (10 * (i % K == j) + scan_random(j, i));
    t->w[i] = i % 7 == 0 ? 0 : 1 + i % 3;
  }
  t->rows.n = N;
  t->rows.x = (Matrix){.n = N, .d = D, .a = t->x};
}

static double inertia_of(const Model *m) {
  return model_tensor(m, "inertia")->v[0];
}

static void fit(Data *t, Model *m, double k, double metric, double start) {
  Err e;
  if (scan_train(&kmeans, &t->rows, m, &e, "k", k, "metric", metric, "start", start, STOP))
    fail_msg("%s", e.cause);
  m->task = TASK_CLUSTER;
  m->nout = 2;
}

/* Every row is predicted into the cluster whose centre is its group's mean; the inertia is that of the
 * groups. */
static void compare(Data *t, bool weighted, double start, double tolerance) {
  double mean[K][D] = {{0}}, total[K] = {0}, want = 0, size = fabs(t->x[0] - t->x[1]);
  t->rows.weight = weighted ? t->w : NULL;
  for (uint32_t i = 0; i < N; i++) {
    double w = weighted ? t->w[i] : 1;
    total[i % K] += w;
    for (uint32_t j = 0; j < D; j++)
      mean[i % K][j] += w * t->x[i * D + j];
  }
  for (uint32_t i = 0; i < N; i++)
    for (uint32_t j = 0; j < D; j++) {
      double v = t->x[i * D + j] - mean[i % K][j] / total[i % K];
      want += (weighted ? t->w[i] : 1) * v * v;
    }
  Matrix dense = t->rows.x, sparse = scan_sparse(&dense, true);
  for (int way = 0; way < 4; way++) {
    Model m;
    double *out = malloc(N * 2 * sizeof *out), *again = malloc(N * 2 * sizeof *out);
    t->rows.x = way & 1 ? sparse : dense;
    t->rows.cut = way & 2 ? 7 : 0;
    fit(t, &m, K, METRIC_SQUARED_EUCLIDEAN, start);
    const Tensor *c = model_tensor(&m, "centers");
    assert_int_equal(c->rows, K);
    assert_true(m.converged && m.warning[0] == 0);
    if (!(fabs(inertia_of(&m) - want) <= tolerance * want))
      fail_msg("way %d: inertia %.17g instead of %.17g", way, inertia_of(&m), want);
    kmeans.predict(&m, &dense, out);
    kmeans.predict(&m, &sparse, again);
    assert_memory_equal(out, again, N * 2 * sizeof *out);
    for (uint32_t i = 0; i < N; i++) {
      const double *own = c->v + (size_t)out[2 * i] * D;
      double d2 = 0;
      assert_true(out[2 * i] == out[2 * (i % K)]);
      for (uint32_t j = 0; j < D; j++) {
        assert_true(fabs(own[j] - mean[i % K][j] / total[i % K]) < 1e-8 * size);
        d2 += (t->x[i * D + j] - own[j]) * (t->x[i * D + j] - own[j]);
      }
      assert_true(fabs(out[2 * i + 1] - sqrt(d2)) <= 1e-10 * (1e-300 + sqrt(d2)));
    }
    free(out);
    free(again);
    scan_model_free(&m);
  }
  t->rows.x = dense;
  t->rows.cut = 0;
  scan_sparse_free(&sparse);
}

static void test_groups(void **state) {
  (void)state;
  Data *t = malloc(sizeof *t);
  for (int start = START_PARALLEL; start <= START_RANDOM; start++)
    for (int weighted = 0; weighted < 2; weighted++) {
      make(t, 0, 1);
      compare(t, weighted, start, 1e-12);
    }
  make(t, 1e6, 1);
  compare(t, true, START_PARALLEL, 1e-9);
  make(t, 0, 1e100);
  compare(t, false, START_PARALLEL, 1e-12);
  make(t, 0, 1e-60);
  compare(t, false, START_PARALLEL, 1e-12);
  free(t);
}

/* Weights are repetitions; a weight of 0 is a row that is not there. */
static void test_weights(void **state) {
  (void)state;
  Data *t = malloc(sizeof *t);
  Model a, b;
  make(t, 0, 1);
  for (uint32_t i = 0; i < N; i++)
    t->x[i * D] = 3 * scan_random(31, i);
  t->rows.weight = t->w;
  fit(t, &a, 6, 0, 0);
  double *x = malloc(4 * N * D * sizeof *x);
  uint32_t n = 0;
  for (uint32_t i = 0; i < N; i++)
    for (uint32_t r = 0; r < (uint32_t)t->w[i]; r++)
      memcpy(x + (size_t)n++ * D, t->x + i * D, D * sizeof *x);
  t->rows = (ScanRows){.n = n, .x = {.n = n, .d = D, .a = x}};
  fit(t, &b, 6, 0, 0);
  assert_true(fabs(inertia_of(&a) - inertia_of(&b)) < 2e-3 * inertia_of(&a)); /* other draws, near enough */
  assert_true(a.weight == b.weight && b.rows == n);
  scan_model_free(&a);
  scan_model_free(&b);
  free(x);
  free(t);
}

static void few(const double *x, uint32_t n, uint32_t d, double k, double metric, double start, Model *m) {
  Data t = {.rows = {.n = n}};
  double copy[64];
  memcpy(copy, x, n * d * sizeof *x);
  t.rows.x = (Matrix){.n = n, .d = d, .a = copy};
  fit(&t, m, k, metric, start);
}

static void test_corners(void **state) {
  (void)state;
  const double equal[] = {3, 3, 3, 3}, line[] = {0, 1, 10, 11, 10, 0},
               far[] = {-1e149, 1e149, 0, 1e149, -1e149, 0};
  Model m;
  for (int start = 0; start < 2; start++) {
    few(equal, 4, 1, 3, 0, start, &m); /* one point, four times */
    assert_int_equal(model_tensor(&m, "centers")->rows, 1);
    assert_true(inertia_of(&m) == 0 && model_tensor(&m, "centers")->v[0] == 3 &&
                model_tensor(&m, "sizes")->v[0] == 4);
    assert_non_null(strstr(m.warning, "1 cluster instead of 3"));
    scan_model_free(&m);
    few(equal, 1, 1, 1, 0, start, &m);
    assert_true(m.converged && m.warning[0] == 0);
    scan_model_free(&m);
    few(line, 6, 1, 1, 0, start, &m);
    assert_true(fabs(model_tensor(&m, "centers")->v[0] - 32.0 / 6) < 1e-14);
    scan_model_free(&m);
    few(line, 6, 1, 20, 0, start, &m); /* more clusters than rows */
    assert_int_equal(model_tensor(&m, "centers")->rows, 4);
    assert_true(inertia_of(&m) == 0);
    scan_model_free(&m);
    few(far, 6, 1, 3, 0, start, &m);
    assert_int_equal(model_tensor(&m, "centers")->rows, 3);
    assert_true(inertia_of(&m) == 0);
    scan_model_free(&m);
    few(line, 3, 2, 2, METRIC_COSINE, start, &m);
    scan_model_free(&m);
  }
}

static void test_errors(void **state) {
  (void)state;
  Data *t = malloc(sizeof *t);
  Model m;
  Err e;
  make(t, 0, 1);
  memset(t->w, 0, sizeof t->w);
  t->rows.weight = t->w;
  assert_int_equal(scan_train(&kmeans, &t->rows, &m, &e, STOP), ST_DATA);
  assert_string_equal(e.id, "CML0434");
  scan_model_free(&m);
  t->rows.n = t->rows.x.n = 0;
  assert_int_equal(scan_train(&kmeans, &t->rows, &m, &e, STOP), ST_DATA);
  assert_string_equal(e.id, "CML0434");
  scan_model_free(&m);
  make(t, 0, 1e160);
  assert_int_equal(scan_train(&kmeans, &t->rows, &m, &e, STOP), ST_DATA);
  assert_string_equal(e.id, "CML0437");
  scan_model_free(&m);
  memset(t->x, 0, sizeof t->x);
  for (int start = 0; start < 2; start++) {
    assert_int_equal(scan_train(&kmeans, &t->rows, &m, &e, "metric", 1.0, "start", (double)start, STOP),
                     ST_DATA);
    assert_string_equal(e.id, "CML0434");
    scan_model_free(&m);
  }
  make(t, 0, 1);
  assert_int_equal(scan_train(&kmeans, &t->rows, &m, &e, "k", 1e7, STOP), ST_PROGRAM);
  assert_string_equal(e.id, "CML0335");
  scan_model_free(&m);
  t->w[3] = -1;
  t->rows.weight = t->w;
  assert_int_equal(scan_train(&kmeans, &t->rows, &m, &e, STOP), ST_DATA);
  scan_model_free(&m);
  free(t);
}

/* Directions only: rows of any length; zeros stand apart. */
static void test_cosine(void **state) {
  (void)state;
  Data *t = malloc(sizeof *t);
  Model m;
  make(t, 0, 1);
  for (uint32_t i = 0; i < N; i++)
    for (uint32_t j = 0; j < D; j++)
      t->x[i * D + j] = i == 5 ? 0 : t->x[i * D + j] * pow(10, (double)(i % 200) - 100);
  fit(t, &m, K, METRIC_COSINE, 0);
  assert_non_null(strstr(m.warning, "1 training row of zeros"));
  double *out = malloc(N * 2 * sizeof *out), *again = malloc(N * 2 * sizeof *out), sum = 0;
  Matrix sparse = scan_sparse(&t->rows.x, true);
  kmeans.predict(&m, &t->rows.x, out);
  kmeans.predict(&m, &sparse, again);
  assert_memory_equal(out, again, N * 2 * sizeof *out);
  const Tensor *c = model_tensor(&m, "centers");
  for (uint32_t i = 0; i < N; i++) {
    const double *own = c->v + (size_t)out[2 * i] * D, *x = t->x + i * D;
    if (i == 5) {
      assert_true(out[10] == 0 && out[11] == 1);
      continue;
    }
    double xc = 0, xx = 0, cc = 0;
    for (uint32_t j = 0; j < D; j++) {
      xc += x[j] * own[j];
      xx += x[j] * x[j];
      cc += own[j] * own[j];
    }
    assert_true(out[2 * i] == out[2 * (i % K)]);
    assert_true(fabs(out[2 * i + 1] - (1 - xc / sqrt(xx * cc))) < 1e-13);
    sum += out[2 * i + 1];
  }
  assert_true(fabs(sum - inertia_of(&m)) < 1e-11 * sum);
  scan_sparse_free(&sparse);
  free(out);
  free(again);
  scan_model_free(&m);
  free(t);
}

/* ---- metrics ---- */

static double metric_value(const Metric *metric, ScanRows *s, const Model *m, bool defined) {
  MetricInfo info = {.model = m, .slice = -1, .rows = s->n};
  Iter *it = NULL;
  Err e = {0};
  MetricValue *v = NULL;
  uint32_t n = 0;
  assert_int_equal(metric->begin(metric, &info, &it, &e), ST_OK);
  if (scan_run(s, it, &e) || metric->finish(it, &v, &n, &e))
    fail_msg("%s", e.cause);
  it->free(it);
  assert_int_equal(n, 1);
  assert_int_equal(v->defined, defined);
  assert_int_equal(v->rows, s->n);
  double value = v->value;
  metric_values_free(v, n);
  return value;
}

/* By the definition: every row against every other. */
static double silhouette_of(const double *x, const double *w, const double *out, uint32_t n, uint32_t k,
                            bool cosine) {
  double sum = 0, total = 0;
  for (uint32_t i = 0; i < n; i++) {
    double to[K + 1] = {0}, weight[K + 1] = {0};
    uint32_t own = (uint32_t)out[2 * i];
    for (uint32_t r = 0; r < n; r++) {
      long double v = 0, xy = 0, xx = 0, yy = 0;
      for (uint32_t j = 0; j < D; j++) {
        long double a = x[i * D + j], b = x[r * D + j];
        v += (a - b) * (a - b);
        xy += a * b;
        xx += a * a;
        yy += b * b;
      }
      v = cosine ? 1 - xy / sqrtl(xx * yy) : v;
      to[(int)out[2 * r]] += w[r] * (double)v;
      weight[(int)out[2 * r]] += w[r];
    }
    double a = weight[own] > w[i] ? to[own] / (weight[own] - w[i]) : -1, b = INFINITY;
    for (uint32_t c = 0; c < k; c++)
      if (c != own && weight[c] > 0 && to[c] / weight[c] < b)
        b = to[c] / weight[c];
    total += w[i];
    if (a >= 0 && w[i] > 0)
      sum += w[i] * (a < b ? 1 - a / b : b / a - 1);
  }
  return sum / total;
}

static void test_measures(void **state) {
  (void)state;
  Data *t = malloc(sizeof *t);
  Model m;
  double *out = malloc(N * 2 * sizeof *out), one[N];
  for (uint32_t i = 0; i < N; i++)
    one[i] = 1;
  for (int way = 0; way < 8; way++) {
    bool cosine = way & 1, weighted = way & 2;
    make(t, way & 4 ? 1e4 : 0, 1);
    for (uint32_t i = 0; i < N; i++)
      for (uint32_t j = 0; j < D; j++)
        t->x[i * D + j] += 6 * (scan_random(40 + j, i) - 0.3) * (j != 4); /* groups that overlap */
    t->rows.weight = weighted ? t->w : NULL;
    fit(t, &m, K, cosine, 0);
    kmeans.predict(&m, &t->rows.x, out);
    Col score = {.type = IR_VEC, .width = 2, .f = out};
    t->rows.out = &score;
    t->rows.nout = 1;
    double want = silhouette_of(t->x, weighted ? t->w : one, out, N, K, cosine);
    double got = metric_value(&metric_silhouette, &t->rows, &m, true);
    if (!(fabs(got - want) < (way & 4 && cosine ? 1e-6 : 1e-12)))
      fail_msg("way %d: silhouette %.17g instead of %.17g", way, got, want);
    double inertia = metric_value(&metric_inertia, &t->rows, &m, true);
    assert_true(fabs(inertia - inertia_of(&m)) < 1e-10 * inertia);
    double db = metric_value(&metric_davies_bouldin, &t->rows, &m, true);
    double ch = metric_value(&metric_calinski_harabasz, &t->rows, &m, true);
    Matrix dense = t->rows.x, sparse = scan_sparse(&dense, true); /* both layouts */
    t->rows.x = sparse;
    assert_true(fabs(metric_value(&metric_silhouette, &t->rows, &m, true) - got) < 1e-12);
    assert_true(fabs(metric_value(&metric_davies_bouldin, &t->rows, &m, true) - db) < 1e-9 * db);
    assert_true(fabs(metric_value(&metric_calinski_harabasz, &t->rows, &m, true) - ch) < 1e-9 * ch);
    t->rows.x = dense;
    scan_sparse_free(&sparse);
    for (uint32_t i = 0; i < N; i++) /* one cluster only */
      out[2 * i] = 2;
    metric_value(&metric_silhouette, &t->rows, &m, false);
    metric_value(&metric_davies_bouldin, &t->rows, &m, false);
    metric_value(&metric_calinski_harabasz, &t->rows, &m, false);
    t->rows.nout = 0;
    scan_model_free(&m);
  }
  free(out);
  free(t);
}

/* A loaded model that lies about its sizes is refused. */
static void test_verify(void **state) {
  (void)state;
  const double line[] = {0, 1, 10, 11, 10, 0};
  Model m;
  Err e = {0};
  few(line, 6, 1, 2, 0, 0, &m);
  assert_int_equal(kmeans.verify(&m, &e), ST_OK);
  for (uint32_t i = 0; i < m.ntensor; i++) {
    Tensor was = m.tensor[i];
    m.tensor[i].cols++;
    assert_int_equal(kmeans.verify(&m, &e), ST_DATA);
    m.tensor[i] = was;
    double v = was.v[0];
    m.tensor[i].v[0] = NAN;
    assert_true(kmeans.verify(&m, &e) == ST_DATA || !strcmp(was.name, "inertia"));
    m.tensor[i].v[0] = v;
    m.tensor[i].name = "other";
    assert_int_equal(kmeans.verify(&m, &e), ST_DATA);
    m.tensor[i] = was;
  }
  scan_model_free(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nearest), cmocka_unit_test(test_kernels), cmocka_unit_test(test_part),
      cmocka_unit_test(test_groups),
      cmocka_unit_test(test_weights), cmocka_unit_test(test_corners), cmocka_unit_test(test_errors),
      cmocka_unit_test(test_cosine),  cmocka_unit_test(test_measures), cmocka_unit_test(test_verify),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
