/* SPDX-License-Identifier: Apache-2.0 */
/* Every estimator and metric on the real executors: the same bytes of models and metrics on 1, 2 and 7
 * threads, with little memory, in forked children that are repeated, reordered and killed, and over sites.
 * Both layouts of the matrix, both solvers, weights, slices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/hash.h"
#include "stdlib/registry.h"
#include "tests/unit/sites.h"
#include "vm/run.h"

#ifdef CML_HOSTILE
enum { ROWS = BLOCK * 2 + 5 }; /* a child for every few rows is slow enough */
#else
enum { ROWS = BLOCK * 2 + CHUNK * 3 + 5 };
#endif
enum { LEVELS = 40 };

static char dir[64];

static const char head[] =
    "cml-ir 1\n"
    "program \"t.cml\" seed 0 fitted 9\n"
    "source \"d\" {\n"
    "  input \"csv\" \"d.csv\"\n"
    "  column \"a\" float\n"
    "  column \"b\" float\n"
    "  column \"k\" category\n"
    "  column \"y\" bool\n"
    "  column \"z\" float\n"
    "  declared \"a\" \"b\" \"k\" \"y\" \"z\"\n"
    "}\n"
    "rows \"d.rows\" from \"d\" {\n"
    "  %0 = col s=\"a\" : f64\n"
    "  %1 = col s=\"b\" : f64\n"
    "  %2 = col s=\"k\" : str\n"
    "  %3 = col s=\"y\" : b\n"
    "  %4 = col s=\"z\" : f64\n"
    "  %5 = rng i=11 : f64\n"
    "  %6 = const.list list=[0.75] : list\n"
    "  %7 = cut.f64 %5 %6 : i64\n"
    "  %8 = rng i=12 : f64\n"
    "  out column \"a\" float %0\n"
    "  out column \"b\" float %1\n"
    "  out column \"k\" category %2\n"
    "  out column \"y\" bool %3\n"
    "  out column \"z\" float %4\n"
    "  out part %7\n"
    "  out weight %8\n"
    "  parts \"train\" \"test\"\n"
    "}\n";

/* Columns a, b, and in wide programs the indicators of k; the target as a number. Returns the number of
 * the target's value. */
static int values(Buf *b, bool logistic, bool wide) {
  int n = 2;
  buf_text(b, "  %0 = col s=\"a\" : f64\n  %1 = col s=\"b\" : f64\n");
  if (wide) {
    buf_text(b, "  %2 = col s=\"k\" : str\n  %3 = const.vocab names=[");
    for (int i = 10; i < 10 + LEVELS; i++)
      buf_printf(b, "%s\"k%d\"", i > 10 ? ", " : "", i);
    buf_text(b, "] : vocab\n  %4 = indicator.str %2 %3 : vec\n");
    n = 5;
  }
  if (logistic)
    buf_printf(b, "  %%%d = col s=\"y\" : b\n  %%%d = cast.b.f64 %%%d : f64\n", n, n + 1, n);
  else
    buf_printf(b, "  %%%d = col s=\"z\" : f64\n", n);
  return logistic ? n + 1 : n;
}

static void options(Buf *b, const Option *o, double solver, double l1, double l2, const char *indent) {
  for (; o->name; o++)
    buf_printf(b, "%sset \"%s\" %.17g\n", indent, o->name,
               !strcmp(o->name, "solver") ? solver
               : !strcmp(o->name, "l2")   ? l2
               : !strcmp(o->name, "l1")   ? l1
                                          : o->def);
}

/* A model and its evaluation by every metric that fits, whole and by k. */
static void model(Buf *b, int number, const Estimator *est, bool wide, double solver, double l1, double l2) {
  buf_printf(b, "train \"m%d\" from \"d.rows\" part 0 {\n", number);
  int target = values(b, (est->tasks & TASK_BIT(TASK_BINARY)), wide);
  buf_printf(b, "  out slot \"a\" %%0\n  out slot \"b\" %%1\n%s  out target %%%d\n",
             wide ? "  out slot \"k\" %4\n" : "", target);
  buf_printf(b, "  estimator \"%s\"\n", est->name);
  options(b, est->option, solver, l1, l2, "  ");
  buf_printf(b, "  fitted $%d\n  target \"t\"\n%s}\n", number,
             (est->tasks & TASK_BIT(TASK_BINARY)) ? "  task binary\n" : "");
  buf_printf(b, "evaluate \"m%d.test\" from \"d.rows\" part 1 {\n", number);
  target = values(b, (est->tasks & TASK_BIT(TASK_BINARY)), wide);
  buf_printf(b, "  %%%d = score %%0 %%1%s i=%d names=[\"a\", \"b\"%s] : f64\n", target + 1, wide ? " %4" : "",
             number, wide ? ", \"k\"" : "");
  buf_printf(b, "  %%%d = col s=\"k\" : str\n", target + 2);
  buf_printf(b, "  out score %%%d\n  out target %%%d\n  out column \"k\" category %%%d\n", target + 1, target,
             target + 2);
  buf_printf(b, "  fitted $%d\n%s  train \"m%d\"\n", number,
             (est->tasks & TASK_BIT(TASK_BINARY)) ? "  task binary\n" : "", number);
  for (int i = 0; stdlib_metrics[i]; i++) {
    ModelTask task = est->tasks & TASK_BIT(TASK_BINARY) ? TASK_BINARY : TASK_REGRESSION;
    if (!(stdlib_metrics[i]->tasks & TASK_BIT(task)))
      continue;
    for (int by = 0; by < 2; by++) {
      buf_printf(b, "  metric \"%s\" text \"t\"%s {\n", stdlib_metrics[i]->name, by ? " by \"k\" top 0" : "");
      options(b, stdlib_metrics[i]->option, 0, 0, 0, "    ");
      buf_text(b, "  }\n");
    }
  }
  buf_text(b, "}\n");
}

/* The same for clusters, which have no target. */
static void clusters(Buf *b, int number, bool wide, int metric) {
  const char *slots = "  out slot \"a\" %0\n  out slot \"b\" %1\n",
             *third = wide ? "  out slot \"k\" %4\n" : "";
  buf_printf(b, "train \"m%d\" from \"d.rows\" part 0 {\n", number);
  values(b, false, wide);
  buf_printf(b, "%s%s  estimator \"kmeans\"\n", slots, third);
  buf_printf(b, "  set \"k\" 5\n  set \"metric\" %d\n  set \"start\" 0\n  set \"restarts\" 2\n", metric);
  buf_printf(b, "  set \"max_iterations\" 12\n  set \"tolerance\" 1e-4\n  fitted $%d\n  task cluster\n}\n",
             number);
  buf_printf(b, "evaluate \"m%d.test\" from \"d.rows\" part 1 {\n", number);
  int n = values(b, false, wide);
  buf_printf(b, "  %%%d = scores %%0 %%1%s i=%d names=[\"a\", \"b\"%s] : vec\n", n + 1, wide ? " %4" : "",
             number, wide ? ", \"k\"" : "");
  buf_printf(b, "  %%%d = col s=\"k\" : str\n  out score %%%d\n%s%s", n + 2, n + 1, slots, third);
  buf_printf(b, "  out column \"k\" category %%%d\n  fitted $%d\n  task cluster\n  train \"m%d\"\n", n + 2,
             number, number);
  for (int i = 0; stdlib_metrics[i]; i++)
    for (int by = 0; by < 2 && (stdlib_metrics[i]->tasks & TASK_BIT(TASK_CLUSTER)); by++)
      buf_printf(b, "  metric \"%s\" text \"t\"%s {\n  }\n", stdlib_metrics[i]->name,
                 by ? " by \"k\" top 0" : "");
  buf_text(b, "}\n");
}

/* The same rows as a Parquet file. */
static Status write_parquet(Err *e) {
  static const IrColumn col[] = {{"a", KIND_FLOAT, false},
                                 {"b", KIND_FLOAT, false},
                                 {"k", KIND_CATEGORY, false},
                                 {"y", KIND_BOOL, false},
                                 {"z", KIND_FLOAT, false}};
  EngineSource s = {.format = "csv", .path = "d.csv", .dir = dir};
  char path[128];
  Reader *r = NULL;
  Writer *w = NULL;
  Block *b = NULL;
  uint32_t seq;
  uint64_t bytes;
  RowErrors errors = {.count = 0};
  snprintf(path, sizeof path, "%s/d.parquet", dir);
  if (reader_open(&s, col, 5, 0, &r, e) == ST_OK && writer_open(path, col, 5, &w, e) == ST_OK)
    while (reader_next(r, &b, &seq, &errors, e) == ST_OK && b) {
      writer_put(w, b->col, b->n, e);
      block_drop(b);
    }
  reader_close(r);
  if (w && e->code == ST_OK)
    return writer_commit(w, &bytes, e);
  writer_abort(w);
  return e->code;
}

static int set_up(void **state) {
  (void)state;
  char path[128];
  strcpy(dir, "/tmp/cml-fit-XXXXXX");
  if (!mkdtemp(dir))
    return -1;
  snprintf(path, sizeof path, "%s/d.csv", dir);
  FILE *o = fopen(path, "w");
  if (!o)
    return -1;
  fputs("a,b,k,y,z\n", o);
  for (uint64_t r = 0; r < ROWS; r++) {
    double a = unit_of(rng_word(1, r)), b = unit_of(rng_word(2, r)) * 1e5 + 3e6, e = unit_of(rng_word(3, r));
    int k = (int)(unit_of(rng_word(4, r)) * LEVELS);
    double f = a - (b - 3e6) / 1e5 + 0.01 * k;
    fprintf(o, "%.17g,%.17g,k%d,%s,%.17g\n", a, b, 10 + k, f + 2 * (e - 0.5) > 0.2 ? "true" : "false", f + e);
  }
  Err e = {0};
  return fclose(o) || write_parquet(&e);
}

static int tear_down(void **state) {
  (void)state;
  folder_remove(dir);
  return 0;
}

static void program(Buf *b, bool parquet) {
  static const char csv[] = "\"csv\" \"d.csv\"";
  const char *at = strstr(head, csv);
  buf_put(b, head, (size_t)(at - head));
  buf_printf(b, "%s%s", parquet ? "\"parquet\" \"d.parquet\"" : csv, at + strlen(csv));
  model(b, 0, &logistic_regression, true, 0, 0, 1e-4);
  model(b, 1, &logistic_regression, false, 0, 0, 0);
  model(b, 2, &linear_regression, true, 0, 0, 0); /* all indicators and an intercept: collinear */
  model(b, 3, &linear_regression, false, 2, 0, 1e-3);
  model(b, 4, &logistic_regression, true, 2, 0, 1e-3);
  model(b, 5, &logistic_regression, true, 0, 0.01, 1e-3);
  model(b, 6, &linear_regression, true, 2, 0.01, 0);
  clusters(b, 7, true, 0);
  clusters(b, 8, false, 1);
}

/* All bytes that come out of a run. */
static void run(Where where, uint32_t threads, uint64_t memory, const Buf *text, Buf *all) {
  Arena a;
  Err e = {0};
  Program *p = NULL;
  Executor *x = exec_on(where, threads, memory);
  RunResult r;
  StdlibRegistry space;
  arena_init(&a, NULL);
  if (ir_parse(&a, (const char *)text->p, (uint32_t)text->n, &p, &e) || ir_verify(p, &e))
    fail_msg("%s %s", e.where, e.cause);
  Limits l = {.threads = threads, .memory = memory, .dir = dir};
  assert_non_null(x);
  if (run_program(p, x, stdlib_registry(&space), &l, NULL, &r, &e))
    fail_msg("%s %s", e.where, e.cause);
  for (uint32_t i = 0; i < r.nfitted; i++) {
    const Model *m = r.fitted[i]->model;
    assert_true(m->converged || m->task == TASK_CLUSTER);
    assert_int_equal(fitted_save(r.fitted[i], all, &e), ST_OK);
  }
  for (uint32_t i = 0; i < r.nmetric; i++) {
    const RunMetric *m = &r.metric[i];
    assert_true(m->v[0].slice ? m->n > LEVELS / 8 : m->n == 1);
    for (uint32_t k = 0; k < m->n; k++) {
      assert_true(m->v[k].defined || m->v[k].slice);
      buf_cstr(all, m->v[k].slice);
      buf_u64(all, m->v[k].rows);
      buf_f64(all, m->v[k].weight);
      buf_f64(all, m->v[k].value);
      for (int c = 0; c < 4; c++)
        buf_f64(all, m->v[k].cell[c]);
    }
  }
  uint32_t n = 0; /* four classifiers, three regressions, two models of clusters, each metric whole and by
                   * k */
  for (int i = 0; stdlib_metrics[i]; i++)
    n += stdlib_metrics[i]->tasks & TASK_BIT(TASK_BINARY)       ? 4 * 2
         : stdlib_metrics[i]->tasks & TASK_BIT(TASK_REGRESSION) ? 3 * 2
         : stdlib_metrics[i]->tasks & TASK_BIT(TASK_CLUSTER)    ? 2 * 2
                                                                : 0;
  assert_int_equal(r.nmetric, n);
  run_free(&r);
  x->close(x);
  arena_free(&a);
}

static void test_same_bytes(void **state) {
  (void)state;
  Buf text = {0}, parquet = {0}, want = {0};
  program(&text, false);
  program(&parquet, true);
  run(LOCAL, 1, UINT64_C(1) << 30, &text, &want);
  assert_true(want.n > 10000);
  static const struct {
    Where where;
    uint32_t threads, megabytes;
  } way[] = {
      {LOCAL, 2, 1024},    {LOCAL, 7, 1024},   {LOCAL, 2, 24},
      {LOOPBACK, 2, 1024}, {SITES_TEXT, 3, 4}, {SITES_RUNS, 3, 4},
  };
  for (unsigned i = 0; i < sizeof way / sizeof *way; i++) {
    Buf got = {0};
    run(way[i].where, way[i].threads, (uint64_t)way[i].megabytes << 20,
        way[i].where == SITES_RUNS ? &parquet : &text, &got);
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.p, want.p, want.n);
    buf_free(&got);
  }
  buf_free(&want);
  buf_free(&text);
  buf_free(&parquet);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bytes)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
