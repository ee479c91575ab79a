/* SPDX-License-Identifier: Apache-2.0 */
/* The driver: a whole program over a file made here, on threads, in forked children, over sites: fitted
 * values, model, metrics, expectations, files, hooks, counts; and how it ends when something is wrong. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "stdlib/registry.h"
#include "tests/unit/sites.h"
#include "vm/run.h"

enum { ROWS = BLOCK < 10000 ? 1000 : 20000 }; /* few blocks also where blocks are tiny */

static char dir[64];

static const char program[] =
    "cml-ir 1\n"
    "program \"t.cml\" seed 0 fitted 2\n"
    "source \"d\" {\n"
    "  input \"csv\" \"d.csv\"\n"
    "  column \"x\" float\n"
    "  column \"y\" float\n"
    "  column \"g\" category\n"
    "  declared \"x\" \"y\" \"g\"\n"
    "}\n"
    "rows \"d.rows\" from \"d\" {\n"
    "  %0 = col s=\"x\" : f64\n"
    "  %1 = col s=\"y\" : f64\n"
    "  %2 = col s=\"g\" : str\n"
    "  %3 = const.f64 f=1000 : f64\n"
    "  %4 = lt.f64 %0 %3 : b\n"
    "  %5 = keep %4 : b\n"
    "  %6 = rng i=1 : f64\n"
    "  %7 = const.list list=[0.5] : list\n"
    "  %8 = cut.f64 %6 %7 : i64\n"
    "  out column \"x\" float %0\n"
    "  out column \"y\" float %1\n"
    "  out column \"g\" category %2\n"
    "  out part %8\n"
    "  parts \"train\" \"test\"\n"
    "}\n"
    "fit \"d.fit\" from \"d.rows\" part 0 {\n"
    "  %0 = col s=\"x\" : f64\n"
    "  out column \"\" float %0\n"
    "  level 0\n"
    "  agg $0 mean.f64 arg=%0 \"mean(x)\"\n"
    "}\n"
    "train \"m\" from \"d.rows\" part 0 {\n"
    "  %0 = col s=\"x\" : f64\n"
    "  %1 = fitted.f64 i=0 : f64\n"
    "  %2 = sub.f64 %0 %1 : f64\n"
    "  %3 = col s=\"y\" : f64\n"
    "  out slot \"x\" %2\n"
    "  out target %3\n"
    "  estimator \"linear_regression\"\n"
    "  set \"l2\" 0\n"
    "  set \"intercept\" 1\n"
    "  set \"standardize\" 1\n"
    "  set \"solver\" 0\n"
    "  set \"max_iterations\" 100\n"
    "  set \"tolerance\" 1e-8\n"
    "  fitted $1\n"
    "  target \"y\"\n"
    "}\n"
    "evaluate \"m on test\" from \"d.rows\" part 1 {\n"
    "  %0 = col s=\"x\" : f64\n"
    "  %1 = fitted.f64 i=0 : f64\n"
    "  %2 = sub.f64 %0 %1 : f64\n"
    "  %3 = score %2 i=1 names=[\"x\"] : f64\n"
    "  %4 = col s=\"y\" : f64\n"
    "  %5 = col s=\"g\" : str\n"
    "  out score %3\n"
    "  out target %4\n"
    "  out column \"g\" category %5\n"
    "  fitted $1\n"
    "  train \"m\"\n"
    "  metric \"rmse\" text \"rmse\" {\n"
    "  }\n"
    "  metric \"mae\" text \"mae by g\" by \"g\" top 0 {\n"
    "  }\n"
    "  expect \"rmse <= 0.5\" {\n"
    "    %0 = col s=\"rmse\" : f64?\n"
    "    %1 = const.f64 f=0.5 : f64\n"
    "    %2 = le.f64 %0 %1 : b?\n"
    "    out column \"ok\" bool %2\n"
    "  }\n"
    "}\n"
    "predict \"p\" from \"d.rows\" part 1 {\n"
    "  %0 = col s=\"x\" : f64\n"
    "  %1 = fitted.f64 i=0 : f64\n"
    "  %2 = sub.f64 %0 %1 : f64\n"
    "  %3 = score %2 i=1 names=[\"x\"] : f64\n"
    "  out column \"prediction\" float %3\n"
    "  path \"out.csv\"\n"
    "  fitted $1\n"
    "  train \"m\"\n"
    "}\n";

static int set_up(void **state) {
  (void)state;
  strcpy(dir, "/tmp/cml-run-XXXXXX");
  if (!mkdtemp(dir))
    return -1;
  char path[128];
  snprintf(path, sizeof path, "%s/d.csv", dir);
  FILE *o = fopen(path, "w");
  if (!o)
    return -1;
  fputs("x,y,g\n", o);
  for (int r = 0; r < ROWS; r++) {
    double x = r % 100 / 4.0, noise = (r % 7 - 3) / 8.0;
    fprintf(o, "%g,%g,%s\n", r % 10 == 9 ? 2000 : x, 2 * x + 3 + noise, r % 3 ? "a" : "b");
  }
  return fclose(o);
}

static int tear_down(void **state) {
  (void)state;
  static const char *const name[] = {"d.csv", "out.csv"};
  for (int i = 0; i < 2; i++) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name[i]);
    unlink(path);
  }
  return rmdir(dir);
}

typedef struct Hooked {
  uint32_t begun, ended, bundles;
} Hooked;

static void on_begin(void *ctx, const Program *p, uint32_t stage) {
  assert_true(stage < p->nstage);
  ((Hooked *)ctx)->begun++;
}

static void on_end(void *ctx, const Program *p, const RunStage *s) {
  (void)p;
  assert_non_null(s->name);
  ((Hooked *)ctx)->ended++;
}

/* Runs `text`; *out is to be freed. */
static Status go(const char *text, Where where, uint32_t threads, uint64_t memory, Hooked *h, RunResult *out,
                 Arena *a, Err *e) {
  StdlibRegistry space;
  Program *p = NULL;
  Executor *x = exec_on(where, threads, memory);
  Limits l = {.threads = threads, .memory = memory, .dir = dir};
  RunHooks hooks = {.ctx = h, .begin = on_begin, .end = on_end};
  err_clear(e);
  memset(h, 0, sizeof *h);
  Status st = ir_parse(a, text, (uint32_t)strlen(text), &p, e);
  if (st)
    fail_msg("%s", e->cause);
  assert_non_null(x);
  st = run_program(p, x, stdlib_registry(&space), &l, &hooks, out, e);
  x->close(x);
  return st;
}

static void whole(void **state) {
  (void)state;
  double first[4] = {0};
  char digest[DATA_DIGEST] = "";
  for (int way = 0; way < 6; way++) {
    Arena a;
    RunResult r;
    Err e;
    Hooked h;
    arena_init(&a, NULL);
    Status st = go(program, way < 3 ? LOCAL : (Where)(way - 2), way % 2 ? 3 : 1,
                   UINT64_C(1) << (way == 2 ? 22 : 30), &h, &r, &a, &e);
    if (st)
      fail_msg("%s: %s", e.where, e.cause);
    assert_int_equal(h.begun, 4);
    assert_int_equal(h.ended, 4);
    assert_int_equal(r.ndata, 1);
    assert_true(r.data[0].known);
    assert_int_equal(r.data[0].read, ROWS);
    assert_int_equal(r.data[0].kept[0] + r.data[0].kept[1], ROWS - ROWS / 10);
    const Model *m = r.fitted[1]->model;
    double got[4] = {r.fitted[0]->f, model_tensor(m, "coefficients")->v[0],
                     model_tensor(m, "intercept")->v[0], r.metric[0].v[0].value};
    assert_true(fabs(got[1] - 2) < 0.01);
    assert_true(fabs(got[2] - 2 * got[0] - 3) < 0.05);
    assert_true(fabs(got[3] - 0.25) < 0.03);
    assert_int_equal(m->rows, r.data[0].kept[0]);
    assert_string_equal(m->feature[0], "x");
    assert_int_equal(r.nmetric, 2);
    assert_int_equal(r.metric[1].n, 2);
    assert_string_equal(r.metric[1].v[0].slice, "a");
    assert_int_equal(r.metric[1].v[0].rows + r.metric[1].v[1].rows, r.data[0].kept[1]);
    assert_int_equal(r.nexpect, 1);
    assert_true(r.expect[0].passed && r.expect[0].defined && r.expect[0].known);
    assert_string_equal(r.expect[0].metric, "rmse");
    assert_true(r.expect[0].value == got[3]);
    assert_int_equal(r.nexport, 1);
    assert_int_equal(r.export_[0].rows, r.data[0].kept[1]);
    assert_true(r.export_[0].bytes > r.data[0].kept[1]);
    if (way) {
      assert_memory_equal(got, first, sizeof got);
      assert_string_equal(r.export_[0].digest, digest);
    }
    memcpy(first, got, sizeof got);
    strcpy(digest, r.export_[0].digest);
    run_free(&r);
    arena_free(&a);
  }
}

/* The program with one piece of its text replaced. */
static char *with(const char *old, const char *now) {
  const char *at = strstr(program, old);
  assert_non_null(at);
  char *s = malloc(sizeof program + strlen(now));
  sprintf(s, "%.*s%s%s", (int)(at - program), program, now, at + strlen(old));
  return s;
}

static void ends(const char *old, const char *now, Status want, const char *cause) {
  char *text = with(old, now);
  for (int way = 0; way < 4; way++) {
    Arena a;
    RunResult r;
    Err e;
    Hooked h;
    arena_init(&a, NULL);
    Status st = go(text, (Where)way, 2, UINT64_C(1) << 30, &h, &r, &a, &e);
    if (st != want || !strstr(e.cause, cause))
      fail_msg("status %d: %s: %s", st, e.where, e.cause);
    if (want == ST_EXPECT)
      assert_int_equal(r.nexport, 1); /* went on to the end */
    assert_int_equal(h.begun, h.ended);
    run_free(&r);
    arena_free(&a);
  }
  free(text);
}

static void wrong_ends(void **state) {
  (void)state;
  ends("const.f64 f=0.5 ", "const.f64 f=0.01 ", ST_EXPECT, "expectation `rmse <= 0.5` was not met");
  ends("const.f64 f=1000 ", "const.f64 f=-1 ", ST_DATA, "nothing");
  ends("path \"out.csv\"", "path \"no/such/folder/out.csv\"", ST_RESOURCE, "");
  ends("\"csv\" \"d.csv\"", "\"csv\" \"e.csv\"", ST_DATA, "");
  ends("\"linear_regression\"", "\"straight_line\"", ST_PROGRAM, "no estimator called `straight_line`");
  ends("metric \"rmse\"", "metric \"fancy\"", ST_PROGRAM, "no metric called `fancy`");
}

/* Without a fit stage before it the train stage has to count its rows itself. */
static void no_rows_to_train(void **state) {
  (void)state;
  char *text = with("const.f64 f=1000 ", "const.f64 f=-1 ");
  char *fit = strstr(text, "fit \"d.fit\""), *train = strstr(text, "train \"m\"");
  memmove(fit, train, strlen(train) + 1);
  char *use = strstr(text, "  %1 = fitted.f64 i=0 : f64\n");
  while (use) { /* $0 is not fitted now: a constant in its place, of the same length */
    memcpy(use, "  %1 = const.f64 f=1 : f64 \n", 28);
    use = strstr(use, "  %1 = fitted.f64 i=0 : f64\n");
  }
  Arena a;
  RunResult r;
  Err e;
  Hooked h;
  arena_init(&a, NULL);
  assert_int_equal(go(text, LOCAL, 2, UINT64_C(1) << 30, &h, &r, &a, &e), ST_DATA);
  if (!strstr(e.cause, "model `m` has no rows to learn from"))
    fail_msg("%s", e.cause);
  run_free(&r);
  arena_free(&a);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whole),
      cmocka_unit_test(wrong_ends),
      cmocka_unit_test(no_rows_to_train),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
