/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics against plain sums, the definition of auc over all pairs, and scikit-learn's stored results
 * (tests/oracle/metrics.txt); slices of all types; the ways to compute auc against one another bit for
 * bit; undefined values; bad rows. */
#include <math.h>

#include "tests/unit/linear_oracle.h"
#include "tests/unit/scan.h"
#include "stdlib/metric/metric.h"
#include "stdlib/registry.h"

enum { SCORE, TARGET, SLICE, PREDICTED, AMOUNT, NOUT };

typedef struct Data {
  ScanRows rows;
  Col col[NOUT];
  Dict dict;
  double *w;
} Data;

static uint32_t offsets[] = {0, 4, 8, 12, 16, 16, 20};
static char bytes[] = "zeroone two thretwo "; /* codes 0..3, 4: "", 5: "two " once more */

static void make(Data *t, uint64_t key, uint32_t n, int levels, int weighted) {
  memset(t, 0, sizeof *t);
  t->dict = (Dict){.n = 6, .off = offsets, .bytes = bytes};
  t->rows.n = n;
  t->rows.out = t->col;
  t->rows.nout = NOUT;
  for (int k = 0; k < NOUT; k++) {
    t->col[k].type = k == SLICE ? IR_STR : IR_F64;
    t->col[k].f = malloc((n + 1) * sizeof(double));
  }
  t->col[SLICE].dict = &t->dict;
  t->w = malloc((n + 1) * sizeof(double));
  t->rows.weight = weighted ? t->w : NULL;
  for (uint32_t i = 0; i < n; i++) {
    double u = scan_random(key * 10 + 1, i);
    double score = levels ? floor(u * levels) / levels : u;
    t->col[SCORE].f[i] = score;
    t->col[TARGET].f[i] = scan_random(key * 10 + 2, i) < 0.3 + 0.5 * (score - 0.25);
    t->w[i] = i % 13 == 0 ? 0 : 0.25 + 3 * scan_random(key * 10 + 3, i);
    double base = key == 7 ? 100 : 5; /* above -1, for msle */
    t->col[AMOUNT].f[i] = base + 40 * (score - 0.5) + 7 * (scan_random(key * 10 + 4, i) - 0.5);
    t->col[PREDICTED].f[i] = base + 38 * (score - 0.5);
    uint32_t part = (uint32_t)(scan_random(key * 10 + 5, i) * 4);
    /* two codes of one dictionary may be equal strings */
    t->col[SLICE].code[i] = part == 2 && i % 2 ? 5 : part;
  }
}

static void drop(Data *t) {
  for (int k = 0; k < NOUT; k++) {
    free(t->col[k].f);
    free(t->col[k].null);
  }
  free(t->w);
}

/* All options have their defaults, but for the threshold. */
static Status run(Data *t, const Metric *m, double threshold, int32_t slice, MetricValue **v, uint32_t *n,
                  Err *e) {
  IrOption option[8];
  uint32_t noption = 0;
  for (const Option *o = m->option; o && o->name; o++)
    option[noption++] = (IrOption){.name = o->name, .num = strcmp(o->name, "threshold") ? o->def : threshold};
  MetricInfo info = {.option = option,
                     .noption = noption,
                     .score = m->tasks & TASK_BIT(TASK_BINARY) ? SCORE : PREDICTED,
                     .target = m->tasks & TASK_BIT(TASK_BINARY) ? TARGET : AMOUNT,
                     .slice = slice,
                     .rows = t->rows.n};
  Iter *it = NULL;
  memset(e, 0, sizeof *e);
  *v = NULL;
  *n = 0;
  Status st = m->begin(m, &info, &it, e);
  if (!st)
    st = scan_run(&t->rows, it, e);
  if (!st)
    st = m->finish(it, v, n, e);
  if (it)
    it->free(it);
  return st;
}

static MetricValue one(Data *t, const Metric *m, double threshold) {
  MetricValue *v, out;
  uint32_t n;
  Err e;
  if (run(t, m, threshold, -1, &v, &n, &e))
    fail_msg("%s: %s", m->name, e.cause);
  assert_int_equal(n, 1);
  assert_null(v[0].slice);
  out = v[0];
  metric_values_free(v, n);
  return out;
}

/* Not of several classes, nor of clusters. */
static bool of_numbers(const Metric *m) {
  return m->tasks & (TASK_BIT(TASK_BINARY) | TASK_BIT(TASK_REGRESSION));
}

/* Those, one after the other; those of clusters are in test_kmeans.c. */
static const Metric *targeted(int number) {
  for (int i = 0; stdlib_metrics[i]; i++)
    if (of_numbers(stdlib_metrics[i]) && number-- == 0)
      return stdlib_metrics[i];
  return NULL;
}

static const Metric *find(const char *name) {
  for (int i = 0; stdlib_metrics[i]; i++)
    if (strcmp(stdlib_metrics[i]->name, name) == 0 && of_numbers(stdlib_metrics[i]))
      return stdlib_metrics[i];
  return NULL;
}

static void near(const char *what, double got, double want) {
  if (!(fabs(got - want) <= 1e-12 * fmax(1, fabs(want))))
    fail_msg("%s: %.17g, expected %.17g", what, got, want);
}

static void test_scikit_learn(void **state) {
  (void)state;
  FILE *f = oracle_open("metrics.txt");
  char line[4096], name[64];
  Data t = {0};
  int cases = 0, slices = 0;
  double value, threshold = 0.5;
  while (fgets(line, sizeof line, f)) {
    uint64_t key;
    uint32_t n, rows;
    int levels, weighted, at = 0, level;
    double w;
    if (sscanf(line, "case %lu %u %d %d %lf%n", &key, &n, &levels, &weighted, &threshold, &at) == 5) {
      if (cases++)
        drop(&t);
      make(&t, key, n, levels, weighted);
      MetricValue c = one(&t, &metric_confusion, threshold);
      const char *cell[] = {"tn", "fp", "fn", "tp"};
      for (int more = 0; sscanf(line + at, " %63s %lf%n", name, &value, &more) == 2; at += more) {
        bool is_cell = false;
        for (int k = 0; k < 4; k++)
          if (strcmp(name, cell[k]) == 0) {
            near(name, c.cell[k] / c.weight, value / c.weight);
            is_cell = true;
          }
        if (is_cell)
          continue;
        if (!find(name))
          fail_msg("no metric %s", name);
        MetricValue v = one(&t, find(name), threshold);
        assert_true(v.defined);
        assert_int_equal(v.rows, n);
        near(name, v.value, value);
      }
    } else if (sscanf(line, "slice %lu %d %u %lf%n", &key, &level, &rows, &w, &at) == 4) {
      const char *text[] = {"zero", "one ", "two ", "thre"};
      for (int more = 0; sscanf(line + at, " %63s %lf%n", name, &value, &more) == 2; at += more) {
        MetricValue *v;
        uint32_t count;
        Err e;
        bool seen = false;
        assert_int_equal(run(&t, find(name), threshold, SLICE, &v, &count, &e), ST_OK);
        assert_int_equal(count, 4);
        for (uint32_t k = 0; k < count; k++) {
          assert_true(k == 0 || v[k - 1].rows > v[k].rows ||
                      (v[k - 1].rows == v[k].rows && strcmp(v[k - 1].slice, v[k].slice) < 0));
          if (strcmp(v[k].slice, text[level]) != 0)
            continue;
          seen = true;
          assert_int_equal(v[k].rows, rows);
          near("weight", v[k].weight / w, 1);
          near(name, v[k].value, value);
        }
        assert_true(seen);
        metric_values_free(v, count);
      }
      slices++;
    }
  }
  fclose(f);
  drop(&t);
  assert_true(cases >= 7 && slices >= 28);
}

/* ---- Several classes ---- */

typedef struct Classes {
  ScanRows rows;
  Col col[3]; /* probabilities, class, a slice */
  double *w;
  Model model;
  Estimator est;
} Classes;

static void make_classes(Classes *t, uint64_t key, uint32_t n, uint32_t k, int weighted, int unseen) {
  memset(t, 0, sizeof *t);
  t->col[0] = (Col){.type = IR_VEC, .width = k, .f = malloc((size_t)n * k * sizeof(double))};
  t->col[1] = (Col){.type = IR_F64, .f = malloc((n + 1) * sizeof(double))};
  t->col[2] = (Col){.type = IR_I64, .i = calloc(n + 1, sizeof(int64_t))};
  t->w = malloc((n + 1) * sizeof(double));
  for (uint32_t i = 0; i < n; i++) {
    double *p = t->col[0].f + (size_t)i * k;
    uint32_t best = 0;
    for (uint32_t j = 0; j < k; j++) {
      double u = scan_random(key * 100 + j, i);
      p[j] = floor(u * u * 16) / 16 + 1.0 / 64;
      best = p[j] > p[best] ? j : best;
    }
    double other = floor(scan_random(key * 100 + 50, i) * k);
    t->col[1].f[i] = unseen && i % 17 == 3 ? -1 : scan_random(key * 100 + 51, i) < 0.5 ? best : other;
    t->w[i] = 0.25 + 3 * scan_random(key * 100 + 52, i);
    t->col[2].i[i] = i % 3;
  }
  t->rows = (ScanRows){.n = n, .out = t->col, .nout = 3, .weight = weighted ? t->w : NULL};
  t->model = (Model){.est = &t->est, .task = TASK_MULTICLASS, .nclass = k, .nout = k};
}

static void drop_classes(Classes *t) {
  for (int i = 0; i < 3; i++)
    free(t->col[i].f);
  free(t->w);
}

static MetricValue *of_classes(Classes *t, const Metric *m, double average, int32_t slice, uint32_t groups,
                               uint32_t *n) {
  IrOption option[4];
  uint32_t noption = 0;
  Iter *it = NULL;
  Err e = {0};
  MetricValue *v;
  for (const Option *o = m->option; o && o->name; o++)
    option[noption++] = (IrOption){.name = o->name, .num = strcmp(o->name, "average") ? o->def : average};
  MetricInfo info = {.option = option,
                     .noption = noption,
                     .score = 0,
                     .target = 1,
                     .model = &t->model,
                     .slice = slice,
                     .groups = groups,
                     .rows = t->rows.n};
  assert_int_equal(m->begin(m, &info, &it, &e), ST_OK);
  if (scan_run(&t->rows, it, &e))
    fail_msg("%s: %s", m->name, e.cause);
  assert_int_equal(m->finish(it, &v, n, &e), ST_OK);
  it->free(it);
  return v;
}

static const Metric *find_classes(const char *name) {
  for (int i = 0; stdlib_metrics[i]; i++)
    if (strcmp(stdlib_metrics[i]->name, name) == 0 && stdlib_metrics[i]->tasks & TASK_BIT(TASK_MULTICLASS))
      return stdlib_metrics[i];
  return NULL;
}

static void same_table(Classes *t, const char *name, const char *text) {
  uint32_t n;
  int more = 0;
  double want;
  MetricValue *v = of_classes(t, find_classes(name), 0, -1, 0, &n);
  assert_true(n == 1 && v->defined && v->table);
  for (uint32_t i = 0; sscanf(text, " %lf%n", &want, &more) == 1; text += more, i++) {
    assert_true(i < v->table_rows * v->table_columns);
    near(name, isnan(v->table[i]) ? 0 : v->table[i], want);
  }
  metric_values_free(v, n);
}

static void test_classes(void **state) {
  (void)state;
  FILE *f = oracle_open("metrics.txt");
  static char line[16384];
  char name[64];
  Classes t = {0};
  int cases = 0;
  while (fgets(line, sizeof line, f)) {
    uint64_t key;
    uint32_t n, k;
    int weighted, unseen, at = 0;
    double value;
    if (sscanf(line, "classes %lu %u %u %d %d%n", &key, &n, &k, &weighted, &unseen, &at) == 5) {
      if (cases++)
        drop_classes(&t);
      make_classes(&t, key, n, k, weighted, unseen);
      for (int more = 0; sscanf(line + at, " %63s %lf%n", name, &value, &more) == 2; at += more) {
        char *dot = strchr(name, '.');
        double average = !dot ? 0 : strcmp(dot, ".weighted") == 0 ? 1 : strcmp(dot, ".micro") == 0 ? 2 : 0;
        if (dot)
          *dot = 0;
        if (!find_classes(name))
          fail_msg("no metric %s", name);
        uint32_t nv;
        MetricValue *v = of_classes(&t, find_classes(name), average, -1, 0, &nv);
        assert_true(nv == 1 && v->defined);
        near(name, v->value, value);
        metric_values_free(v, nv);
      }
    }
    if (sscanf(line, "per_class %lu%n", &key, &at) == 1)
      same_table(&t, "per_class", line + at);
    if (sscanf(line, "confusion %lu%n", &key, &at) == 1)
      same_table(&t, "confusion", line + at);
  }
  fclose(f);
  drop_classes(&t);
  assert_true(cases >= 4);
}

/* One class, no rows, slices and groups; a target that is no class, a probability that is no number. */
static void test_classes_edges(void **state) {
  (void)state;
  for (int i = 0; stdlib_metrics[i]; i++) {
    const Metric *m = stdlib_metrics[i];
    Classes t;
    uint32_t n;
    if (!(m->tasks & TASK_BIT(TASK_MULTICLASS)))
      continue;
    make_classes(&t, 21, 90, 3, 1, 1);
    for (uint32_t r = 0; r < 90; r += 3)
      t.col[1].f[r] = 1;
    MetricValue *v = of_classes(&t, m, 0, m->scalar ? 2 : -1, 0, &n);
    assert_int_equal(n, m->scalar ? 3 : 1);
    bool one = !strcmp(m->name, "auc") || !strcmp(m->name, "mcc") || !strcmp(m->name, "balanced_accuracy");
    assert_true(v[0].defined == !(one && m->scalar)); /* slice 0 has one class */
    metric_values_free(v, n);
    v = of_classes(&t, m, 0, -1, 5, &n);
    assert_int_equal(n, 6);
    metric_values_free(v, n);
    t.rows.n = 0;
    v = of_classes(&t, m, 0, -1, 0, &n);
    assert_true(n == 1 && !v->defined && v->why);
    metric_values_free(v, n);
    drop_classes(&t);
  }
  for (int k = 0; k < 4; k++) {
    Classes t;
    Iter *it = NULL;
    Err e = {0};
    make_classes(&t, 22, 50, 3, 0, 0);
    if (k == 0)
      t.col[0].f[3 * 20 + 2] = NAN;
    else
      t.col[1].f[20] = k == 1 ? 3 : k == 2 ? -2 : 0.5;
    MetricInfo info = {.score = 0, .target = 1, .model = &t.model, .slice = -1, .rows = 50};
    assert_int_equal(multiclass_accuracy.begin(&multiclass_accuracy, &info, &it, &e), ST_OK);
    assert_int_equal(scan_run(&t.rows, it, &e), ST_DATA);
    assert_int_equal(t.rows.errors.v[0].pos, 20);
    it->free(it);
    drop_classes(&t);
  }
}

/* The definition, over all pairs. */
static void test_auc_pairs(void **state) {
  (void)state;
  Data t;
  for (int weighted = 0; weighted < 2; weighted++) {
    make(&t, 31 + (uint64_t)weighted, 300, 16, weighted);
    for (uint32_t i = 0; i < 300; i += 7)
      t.col[SCORE].f[i] = i % 2 ? -0.0 : 0.0; /* one and the same score */
    long double sum = 0, all = 0;
    for (uint32_t i = 0; i < 300; i++)
      for (uint32_t k = 0; k < 300; k++) {
        if (t.col[TARGET].f[i] != 1 || t.col[TARGET].f[k] != 0)
          continue;
        long double w = weighted ? (long double)t.w[i] * t.w[k] : 1;
        double a = t.col[SCORE].f[i], b = t.col[SCORE].f[k];
        all += w;
        sum += a > b ? w : a == b ? w / 2 : 0;
      }
    near("auc", one(&t, &metric_auc, 0).value, (double)(sum / all));
    drop(&t);
  }
}

static double auc_held(Data *t, uint64_t most, int32_t slice, uint32_t *scans, double *second) {
  MetricInfo info = {.score = SCORE, .target = TARGET, .slice = slice, .rows = t->rows.n};
  Iter *it = NULL;
  Err e = {0};
  MetricValue *v;
  uint32_t n;
  assert_int_equal(auc_begin(&info, most, &it, &e), ST_OK);
  assert_int_equal(scan_run(&t->rows, it, &e), ST_OK);
  assert_int_equal(metric_auc.finish(it, &v, &n, &e), ST_OK);
  *scans = t->rows.scans;
  double out = v[0].value;
  *second = n > 1 ? v[1].value : 0;
  metric_values_free(v, n);
  it->free(it);
  return out;
}

/* In one scan, in few, in many: the same bits; with few distinct scores, too. */
static void test_auc_ranges(void **state) {
  (void)state;
  Data t;
  for (int kind = 0; kind < 8; kind++) {
    make(&t, 40 + (uint64_t)kind, 6000, kind & 2 ? 5 : 0, kind & 1);
    if (kind & 4)
      t.col[SCORE].f[77] = 0, t.col[SCORE].f[78] = 1, t.col[SCORE].f[79] = 1e-300, t.col[SCORE].f[80] = 7;
    for (int sliced = 0; sliced < 2; sliced++) {
      uint32_t scans;
      double second, again;
      double whole = auc_held(&t, 1000000, sliced ? SLICE : -1, &scans, &second);
      assert_int_equal(scans, 1);
      uint64_t most[] = {4000, 500, 30};
      for (int k = 0; k < 3; k++) {
        double part = auc_held(&t, most[k], sliced ? SLICE : -1, &scans, &again);
        assert_true(scans > 2);
        assert_memory_equal(&whole, &part, sizeof whole);
        assert_memory_equal(&second, &again, sizeof second);
      }
    }
    drop(&t);
  }
}

/* Counts are exact, so unweighted metrics do not depend on how rows are cut. */
static void test_cuts(void **state) {
  (void)state;
  Data t;
  make(&t, 60, 3000, 0, 0);
  double auc = one(&t, &metric_auc, 0).value, f1 = one(&t, &metric_f1, 0.5).value,
         loss = one(&t, &metric_log_loss, 0).value;
  t.rows.cut = 3;
  t.rows.leaf = 2;
  double auc3 = one(&t, &metric_auc, 0).value, f13 = one(&t, &metric_f1, 0.5).value,
         loss3 = one(&t, &metric_log_loss, 0).value;
  assert_memory_equal(&auc, &auc3, sizeof auc);
  assert_memory_equal(&f1, &f13, sizeof f1);
  assert_true(fabs(loss - loss3) <= 1e-16);
  drop(&t);
}

static void test_undefined(void **state) {
  (void)state;
  Data t;
  make(&t, 70, 50, 0, 0);
  for (uint32_t i = 0; i < 50; i++) {
    t.col[TARGET].f[i] = 0;
    t.col[AMOUNT].f[i] = 0.1;
  }
  assert_false(one(&t, &metric_auc, 0).defined);
  assert_false(one(&t, &metric_recall, 0.5).defined);
  assert_false(one(&t, &metric_precision, 2).defined);
  assert_false(one(&t, &metric_f1, 2).defined);
  assert_false(one(&t, &metric_r2, 0).defined);
  assert_true(one(&t, &metric_log_loss, 0).defined);
  assert_true(one(&t, &metric_accuracy, 0.5).defined);
  t.rows.n = 0;
  for (int i = 0; targeted(i); i++) {
    MetricValue v = one(&t, targeted(i), 0.5);
    assert_false(v.defined);
    assert_int_equal(v.rows, 0);
  }
  MetricValue *v;
  uint32_t n;
  Err e;
  assert_int_equal(run(&t, &metric_auc, 0, SLICE, &v, &n, &e), ST_OK);
  assert_int_equal(n, 0);
  metric_values_free(v, n);
  drop(&t);
}

/* Weights next to the limits, errors of all sizes: scaled weights change nothing. */
static void test_magnitudes(void **state) {
  (void)state;
  Data t;
  double scale[] = {0x1p495, 0x1p-900, 0x1p-1040};
  for (int k = 0; k < 3; k++) {
    make(&t, 80 + (uint64_t)k, 500, 12, 1);
    for (uint32_t i = 0; i < 500; i++)
      t.w[i] = floor(t.w[i] * 64) / 64; /* so that a scale down to denormal numbers rounds nothing */
    double before[64];
    for (int i = 0; targeted(i); i++)
      before[i] = one(&t, targeted(i), 0.5).value;
    for (uint32_t i = 0; i < 500; i++)
      t.w[i] *= scale[k];
    for (int i = 0; targeted(i); i++) {
      if (k == 2 && !(targeted(i)->tasks & TASK_BIT(TASK_BINARY)))
        continue; /* w times an error is denormal, too, and has few digits */
      double got = one(&t, targeted(i), 0.5).value;
      if (k < 2 || strstr("auc pr_auc accuracy f1 recall precision mcc ks lift gain", targeted(i)->name))
        near(targeted(i)->name, got, before[i]);
    }
    drop(&t);
  }
}

/* In one scan, in few, in many: the same bits, for all that goes over the scores. */
static void test_curve_ranges(void **state) {
  (void)state;
  const CurveKind kind[] = {CURVE_AUC, CURVE_PRECISION, CURVE_KS, CURVE_TOP, CURVE_BEST, CURVE_MEDIAN};
  const Metric *metric[] = {&metric_auc, &metric_pr_auc, &metric_ks, &metric_gain, &metric_best_threshold,
                            &metric_median_absolute_error};
  for (int way = 0; way < 24; way++) {
    Data t;
    int k = way % 6;
    bool error = kind[k] == CURVE_MEDIAN;
    make(&t, 90 + (uint64_t)way, 3000, way / 6 & 1 ? 9 : 0, way / 12);
    MetricInfo info = {.score = error ? PREDICTED : SCORE,
                       .target = error ? AMOUNT : TARGET,
                       .slice = -1,
                       .groups = 5,
                       .rows = t.rows.n};
    CurvePar c = {.kind = kind[k], .top = 0.1, .what = way % 5};
    uint64_t most[] = {1000000, 900, 40};
    double want[6];
    for (int m = 0; m < 3; m++) {
      Iter *it = NULL;
      MetricValue *v;
      uint32_t n;
      Err e = {0};
      assert_int_equal(curve_begin(metric[k], &info, &c, most[m], &it, &e), ST_OK);
      assert_int_equal(scan_run(&t.rows, it, &e), ST_OK);
      assert_true(m ? t.rows.scans > 2 : t.rows.scans == 1);
      assert_int_equal(metric[k]->finish(it, &v, &n, &e), ST_OK);
      assert_int_equal(n, 6);
      for (uint32_t i = 0; i < n; i++) {
        assert_true(v[i].defined);
        if (m == 0)
          want[i] = v[i].value;
        assert_memory_equal(&want[i], &v[i].value, sizeof want[i]);
      }
      metric_values_free(v, n);
      it->free(it);
    }
    drop(&t);
  }
}

/* The whole without a group is what the other rows give. */
static void test_groups(void **state) {
  (void)state;
  for (int i = 0; targeted(i); i++) {
    Data t;
    const Metric *m = targeted(i);
    make(&t, 95, 400, 30, 1);
    if (!(m->tasks & TASK_BIT(TASK_BINARY)))
      for (uint32_t r = 0; r < 400; r++)
        t.col[AMOUNT].f[r] += 60, t.col[PREDICTED].f[r] += 60;
    IrOption option[8];
    uint32_t noption = 0;
    for (const Option *o = m->option; o && o->name; o++)
      option[noption++] = (IrOption){.name = o->name, .num = o->def};
    MetricInfo info = {.option = option,
                       .noption = noption,
                       .score = m->tasks & TASK_BIT(TASK_BINARY) ? SCORE : PREDICTED,
                       .target = m->tasks & TASK_BIT(TASK_BINARY) ? TARGET : AMOUNT,
                       .slice = -1,
                       .groups = 7,
                       .rows = 400};
    Iter *it = NULL;
    MetricValue *v;
    uint32_t n;
    Err e = {0};
    assert_int_equal(m->begin(m, &info, &it, &e), ST_OK);
    assert_int_equal(scan_run(&t.rows, it, &e), ST_OK);
    assert_int_equal(m->finish(it, &v, &n, &e), ST_OK);
    assert_int_equal(n, 8);
    for (uint32_t g = 0; g <= 7; g++) { /* leaving a row out is giving it weight 0 */
      double *w = malloc(400 * sizeof *w);
      memcpy(w, t.w, 400 * sizeof *w);
      for (uint32_t r = 0; r < 400 && g > 0; r++)
        if (hash_word(hash_word(HASH_VERSION, 0), r) % 7 == g - 1)
          t.w[r] = 0;
      MetricValue want = one(&t, m, 0.5);
      near(m->name, v[g].value, want.value);
      memcpy(t.w, w, 400 * sizeof *w);
      free(w);
    }
    metric_values_free(v, n);
    it->free(it);
    drop(&t);
  }
}

/* A sure and wrong prediction is clipped at 2^-52, as scikit-learn does. */
static void test_clipping(void **state) {
  (void)state;
  Data t;
  make(&t, 71, 2, 0, 0);
  t.col[SCORE].f[0] = 0;
  t.col[TARGET].f[0] = 1;
  t.col[SCORE].f[1] = 0;
  t.col[TARGET].f[1] = 0;
  near("log_loss", one(&t, &metric_log_loss, 0).value, 52 * log(2) / 2);
  drop(&t);
}

static void test_slice_types(void **state) {
  (void)state;
  Data t;
  MetricValue *v;
  uint32_t n;
  Err e;
  make(&t, 72, 60, 0, 0);
  t.col[SLICE].type = IR_I64;
  t.col[SLICE].dict = NULL;
  t.col[SLICE].null = calloc(60, 1);
  for (int i = 0; i < 60; i++) {
    t.col[SLICE].i[i] = i < 20 ? -5 : i < 40 ? 3 : 11;
    t.col[SLICE].null[i] = i >= 55;
    if (i >= 55)
      t.col[SLICE].i[i] = 0;
  }
  assert_int_equal(run(&t, &metric_mae, 0, SLICE, &v, &n, &e), ST_OK);
  assert_int_equal(n, 4);
  assert_string_equal(v[0].slice, "-5"); /* equal rows: by value */
  assert_string_equal(v[1].slice, "3");
  assert_string_equal(v[2].slice, "11");
  assert_string_equal(v[3].slice, "null");
  assert_int_equal(v[3].rows, 5);
  metric_values_free(v, n);
  t.col[SLICE].type = IR_BOOL;
  memset(t.col[SLICE].b, 0, 60);
  memset(t.col[SLICE].b, 1, 9);
  assert_int_equal(run(&t, &metric_brier, 0, SLICE, &v, &n, &e), ST_OK);
  assert_int_equal(n, 3);
  assert_string_equal(v[0].slice, "false");
  assert_string_equal(v[1].slice, "true");
  assert_int_equal(v[1].rows, 9);
  metric_values_free(v, n);
  /* constant columns hold one element */
  t.col[SLICE].constant = t.col[SCORE].constant = true;
  t.col[SLICE].null[0] = 0;
  assert_int_equal(run(&t, &metric_auc, 0, SLICE, &v, &n, &e), ST_OK);
  assert_int_equal(n, 1);
  assert_true(v[0].defined && v[0].value == 0.5);
  metric_values_free(v, n);
  drop(&t);
}

static void test_bad_rows(void **state) {
  (void)state;
  Data t;
  MetricValue *v;
  uint32_t n;
  Err e;
  for (int k = 0; k < 4; k++) {
    make(&t, 73, 100, 0, 1);
    const char *column[] = {"prediction", "target", "weight", "prediction"};
    if (k == 0)
      t.col[SCORE].f[30] = NAN;
    else if (k == 1)
      t.col[TARGET].f[30] = 0.5;
    else if (k == 2)
      t.w[30] = -1;
    else
      (t.col[SCORE].null = calloc(100, 1))[30] = 1;
    const Metric *m[] = {&metric_auc, &metric_f1};
    for (int j = 0; j < 2; j++) {
      assert_int_equal(run(&t, m[j], 0.5, SLICE, &v, &n, &e), ST_DATA);
      assert_int_equal(t.rows.errors.count, 1);
      assert_int_equal(t.rows.errors.v[0].pos, 30);
      assert_string_equal(t.rows.errors.v[0].column, column[k]);
    }
    drop(&t);
  }
}

/* Loading never trusts bytes: every cut and every flipped byte of a partial gives an error or a partial
 * that can be freed. */
/* Whatever is cut off is refused; whatever is changed is refused or taken for something else. */
static void damage(const Pass *pass, void *open, Buf *saved) {
  for (size_t n = 0; n < saved->n; n++) {
    Err ignored = {0};
    uint8_t *copy = malloc(n + 1);
    memcpy(copy, saved->p, n);
    assert_null(pass->load(open, (Bytes){copy, n}, &ignored));
    free(copy);
    uint8_t old = saved->p[n];
    saved->p[n] ^= (uint8_t)(1 + n % 255);
    err_clear(&ignored);
    void *odd = pass->load(open, buf_bytes(saved), &ignored);
    if (odd)
      pass->free(open, odd);
    saved->p[n] = old;
  }
}

static void test_damaged(void **state) {
  (void)state;
  Data t;
  make(&t, 74, 40, 0, 1);
  const Pass *pass[] = {&metric_sums, &metric_ranks};
  for (int way = 0; way < 6; way++) {
    int k = way % 2;
    MetricPar p = {.kind = k          ? RANK_SCORE
                           : way == 2 ? SUM_BINS
                                      : SUM_R2,
                   .binary = true,
                   .score = SCORE,
                   .target = TARGET,
                   .slice = way < 4 ? SLICE : -1,
                   .groups = way < 4 ? 0 : 7,
                   .size = 3,
                   .high = 65535};
    Buf par = {0}, saved = {0};
    Err e = {0};
    metric_par_put(&p, &par);
    void *open = pass[k]->open(buf_bytes(&par), &e);
    uint32_t at[40] = {0};
    void *partial = scan_leaf(&t.rows, pass[k], open, 0, 40, at, &e);
    assert_int_equal(pass[k]->save(open, partial, &saved, &e), ST_OK);
    pass[k]->free(open, partial);
    damage(pass[k], open, &saved);
    pass[k]->close(open);
    buf_free(&par);
    buf_free(&saved);
  }
  drop(&t);
}

enum { LEAVES = 9, LEAF = 11 };

static void *leaf_of(Classes *t, void *open, uint32_t i) {
  Err e = {0};
  uint32_t at[LEAVES * LEAF] = {0};
  return scan_leaf(&t->rows, &metric_sums, open, i * LEAF, (i + 1) * LEAF, at, &e);
}

static void *joined(void *open, void *into, void *from) {
  Err e = {0};
  assert_int_equal(metric_sums.merge(open, into, from, &e), ST_OK);
  metric_sums.free(open, from);
  return into;
}

/* n leaves as one: from the left, from the right, or by halves. */
static void *tree_of(Classes *t, void *open, int shape, uint32_t from, uint32_t n) {
  if (n == 1)
    return leaf_of(t, open, from);
  uint32_t left = shape == 0 ? n - 1 : shape == 1 ? 1 : n / 2;
  return joined(open, tree_of(t, open, shape, from, left), tree_of(t, open, shape, from + left, n - left));
}

/* Several classes: the same bytes from trees of any shape, where the sums are exact (all weights 1, and
 * probabilities of few bits); damaged bytes. */
static void test_class_partials(void **state) {
  (void)state;
  static const uint8_t kind[] = {SUM_CLASSES, SUM_TABLE, SUM_TOP, SUM_BRIER, SUM_LOG_LOSS};
  Classes t;
  make_classes(&t, 9, LEAVES * LEAF, 4, 0, 1);
  for (size_t k = 0; k < 3 * sizeof kind; k++) {
    MetricPar p = {.kind = kind[k / 3], .classes = 4, .size = 2, .target = 1, .slice = -1};
    p.slice = k % 3 == 1 && p.kind != SUM_TABLE ? 2 : -1;
    p.groups = k % 3 == 2 ? 5 : 0;
    Buf par = {0}, first = {0};
    Err e = {0};
    metric_par_put(&p, &par);
    void *open = metric_sums.open(buf_bytes(&par), &e);
    assert_non_null(open);
    for (int shape = 0; shape < 3; shape++) {
      void *all = tree_of(&t, open, shape, 0, LEAVES);
      Buf saved = {0};
      assert_int_equal(metric_sums.save(open, all, shape ? &saved : &first, &e), ST_OK);
      metric_sums.free(open, all);
      assert_true(!shape || saved.n == first.n);
      if (shape && p.kind != SUM_LOG_LOSS)
        assert_memory_equal(saved.p, first.p, first.n);
      buf_free(&saved);
    }
    damage(&metric_sums, open, &first);
    metric_sums.close(open);
    buf_free(&par);
    buf_free(&first);
  }
  drop_classes(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_scikit_learn), cmocka_unit_test(test_auc_pairs),
      cmocka_unit_test(test_auc_ranges),   cmocka_unit_test(test_cuts),
      cmocka_unit_test(test_undefined),    cmocka_unit_test(test_clipping),
      cmocka_unit_test(test_classes),      cmocka_unit_test(test_classes_edges),
      cmocka_unit_test(test_magnitudes),   cmocka_unit_test(test_curve_ranges),
      cmocka_unit_test(test_groups),       cmocka_unit_test(test_slice_types),
      cmocka_unit_test(test_bad_rows),     cmocka_unit_test(test_damaged),
      cmocka_unit_test(test_class_partials),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
