/* SPDX-License-Identifier: Apache-2.0 */
/* A mistake in a pass is noticed: behind each pass some are planted into the IR, and what `cmlc verify`
 * compares must differ, in the stage where the mistake is, or the verifier of the IR must refuse it. Without
 * one all is the same. Read cases[] and then planted(). A new pass needs a case. */
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

#include "app/verify.h"
#include "base/file.h"
#include "stdlib/registry.h"
#include "vm/engine.h"
#include "vm/ops.h"

enum { ROWS = 400 };

static const char program[] =
    "data d {\n"
    "    from   csv(\"d.csv\")\n"
    "    schema { id: int, x: float, y: float, z: float, g: category, spare: float, t: string }\n"
    "    where  x > -2\n"
    "    split  train 70%, test 30% by hash(id)\n"
    "}\n"
    "features f of d {\n"
    "    x = standardize(x) * (2 ^ 0.5)\n"
    "    y = 3 * y - (9 - 2)\n"
    "    g = one_hot(g)\n"
    "}\n"
    "features h of d {\n"
    "    x = standardize(x) / 8\n"
    "    y = sin(5 * coalesce(y, spare) / 3 * 1e12)\n" /* of the last bit something is left in every sum */
    "}\n"
    "features words of d {\n"
    "    t = tf_idf(tokenize(t), 64)\n"
    "}\n"
    "data q {\n"
    "    from   parquet(\"q.parquet\")\n"
    "    schema { n: int, m: int }\n"
    "    where  n >= 100\n"
    "}\n"
    "features k of q {\n"
    "    m = standardize(m)\n"
    "}\n"
    "model a = linear_regression(z ~ f, l2 = 0.1)\n"
    "model b = linear_regression(z ~ f, l2 = 1)\n"
    "model c = linear_regression(z ~ h)\n"
    "model w = linear_regression(z ~ words, l2 = 1)\n"
    "model r = linear_regression(n ~ k)\n"
    "evaluate a on d.test { rmse }\n"
    "evaluate b on d.test { mae }\n"
    "evaluate c on d.test { rmse }\n"
    "evaluate a on d.train { rmse }\n"
    "evaluate w on d.train { rmse }\n"
    "export a {\n"
    "    bundle      \"a.cmlm\"\n"
    "    predictions of d.test keep [id] to \"a.csv\"\n"
    "}\n"
    "export r {\n"
    "    bundle      \"r.cmlm\"\n"
    "}\n";

/* ---- Mistakes ---- */

static Stage *named(Program *p, const char *name) {
  for (uint32_t i = 0; i < p->nstage; i++)
    if (!strcmp(p->stage[i].name, name))
      return &p->stage[i];
  fail_msg("there is no stage %s", name);
  return NULL;
}

static Stage *first_of(Program *p, StageKind kind) {
  for (uint32_t i = 0; i < p->nstage; i++)
    if (p->stage[i].kind == kind)
      return &p->stage[i];
  fail_msg("there is no stage of kind %d", kind);
  return NULL;
}

static bool set_const(Stage *s, double from, double to) {
  for (uint32_t i = 0; i < s->prog.nval; i++) {
    IrVal *v = &s->prog.val[i];
    if (v->op == OP_CONST_F64 && fabs(v->f - from) < 1e-9) {
      v->f = to;
      return true;
    }
  }
  return false;
}

/* fold: the last bit of one constant, in one stage */
static bool nudge(Program *p, Arena *a) {
  (void)a;
  return set_const(named(p, "a"), sqrt(2), nextafter(sqrt(2), 2));
}

/* fold: arguments swapped: 2 - 9 */
static bool folded_backwards(Program *p, Arena *a) {
  (void)a;
  return set_const(named(p, "a on d.test"), 7, -7);
}

/* fold: only in what the bundle holds */
static bool nudge_bundle(Program *p, Arena *a) {
  (void)a;
  return set_const(first_of(p, STAGE_SCORE), sqrt(2), 1.5);
}

/* simplify: x / 8 is not x * 0.25 */
static bool wrong_inverse(Program *p, Arena *a) {
  (void)a;
  return set_const(named(p, "c"), 0.125, 0.25);
}

/* simplify: x / 3 is x * (1 / 3) but for the last bit */
static bool rounded_inverse(Program *p, Arena *a) {
  Stage *s = named(p, "c");
  (void)a;
  for (uint32_t i = 0; i < s->prog.nval; i++) {
    IrVal *v = &s->prog.val[i];
    if (v->op == OP_DIV_F64 && s->prog.val[v->arg[1]].op == OP_CONST_F64) {
      v->op = OP_MUL_F64;
      return set_const(s, 3, 1.0 / 3);
    }
  }
  return false;
}

/* dead: a filter is taken for a step that nothing reads */
static bool drop_keep(Program *p, Arena *a) {
  RowProg *g = &first_of(p, STAGE_ROWS)->prog;
  uint32_t before = g->nval;
  bool *keep = NEWN(a, bool, before + 1);
  int32_t *map = NEWN(a, int32_t, before + 1);
  for (uint32_t i = 0; i < before; i++)
    keep[i] = g->val[i].op != OP_KEEP;
  pass_compact(g, keep, map);
  return g->nval < before;
}

/* dead: arguments are numbered wrongly */
static bool swap_arguments(Program *p, Arena *a) {
  Stage *s = named(p, "c");
  (void)a;
  for (uint32_t i = 0; i < s->prog.nval; i++) {
    IrVal *v = &s->prog.val[i];
    if (v->op == OP_SUB_F64) {
      uint32_t first = v->arg[0];
      v->arg[0] = v->arg[1];
      v->arg[1] = first;
      return true;
    }
  }
  return false;
}

/* project: a column that is read */
static bool drop_column(Program *p, Arena *a) {
  Stage *s = first_of(p, STAGE_SOURCE);
  (void)a;
  return s->ncolumn-- > 1;
}

/* project: two columns change places */
static bool cross_columns(Program *p, Arena *a) {
  Stage *s = first_of(p, STAGE_ROWS);
  IrOut *first = NULL;
  (void)a;
  for (uint32_t i = 0; i < s->prog.nout; i++) {
    IrOut *o = &s->prog.out[i];
    if (o->role != OUT_COLUMN || o->kind != KIND_FLOAT)
      continue;
    if (first) {
      uint32_t val = first->val;
      first->val = o->val;
      o->val = val;
      return true;
    }
    first = o;
  }
  return false;
}

/* pushdown: rows are left out that no filter leaves out */
static bool leave_out_kept(Program *p, Arena *a) {
  first_of(p, STAGE_ROWS)->zones = true;
  return drop_keep(p, a);
}

/* share: the matrix of other features */
static bool other_matrix(Program *p, Arena *a) {
  Stage *c = named(p, "c");
  (void)a;
  c->matrix = (int32_t)(named(p, "a") - p->stage);
  return c->matrix < (int32_t)(c - p->stage);
}

/* share: a model that joins another is trained with the options of that one */
static bool other_options(Program *p, Arena *a) {
  Stage *b = named(p, "b");
  (void)a;
  b->options = named(p, "a")->options;
  return b->joins;
}

/* share: an evaluation that joins another sees the part of that one */
static bool other_part(Program *p, Arena *a) {
  Stage *s = named(p, "a on d.train");
  (void)a;
  s->part = named(p, "a on d.test")->part;
  return s->joins;
}

/* share: a model is trained in the scan of a fit */
static bool joins_fit(Program *p, Arena *a) {
  Stage *s = named(p, "a");
  (void)a;
  s->joins = true;
  return true;
}

/* keep: two steps are kept as one that differ in how many columns words are hashed to */
static bool keep_different(Program *p, Arena *a) {
  RowProg *g = &named(p, "w on d.train")->prog;
  (void)a;
  for (uint32_t i = 0; i < g->nval; i++)
    if (g->val[i].kept)
      return g->val[g->val[i].arg[1]].i-- > 1;
  return false;
}

/* keep: a step that something fitted stands in */
static bool keep_fitted(Program *p, Arena *a) {
  RowProg *g = &named(p, "w")->prog;
  (void)a;
  for (uint32_t i = 0; i < g->nval; i++)
    if (g->val[i].type == IR_VEC && op_fitted(g->val[i].op))
      return (g->val[i].kept = 2) > 0;
  return false;
}

/* cse: two steps are one that differ in a constant */
static bool merge_different(Program *p, Arena *a) {
  Stage *s = named(p, "c on d.test");
  (void)a;
  return s->program >= 0 && set_const(s, 5, 3);
}

/* cse: a program for rows of another part */
static bool other_rows(Program *p, Arena *a) {
  Stage *s = named(p, "a on d.train");
  (void)a;
  s->program = (int32_t)(named(p, "a on d.test") - p->stage);
  return s->program < (int32_t)(s - p->stage);
}

static const struct Case {
  const char *pass, *what;
  bool (*spoil)(Program *p, Arena *a);
  const char *stage; /* where it shows first; NULL: the verifier refuses it */
} cases[] = {
    {"fold", "the last bit of a constant", nudge, "a"},
    {"fold", "arguments swapped", folded_backwards, "a on d.test"},
    {"fold", "a constant of the bundle", nudge_bundle, "a bundle"},
    {"simplify", "a wrong inverse", wrong_inverse, "c"},
    {"simplify", "an inverse that is rounded", rounded_inverse, "c"},
    {"dead", "a filter dropped", drop_keep, "d.rows"},
    {"dead", "arguments swapped", swap_arguments, "c"},
    {"project", "a column dropped", drop_column, NULL},
    {"project", "two columns changed places", cross_columns, "d.train.fit0"},
    {"pushdown", "rows left out that are not filtered", leave_out_kept, NULL},
    {"share", "the matrix of another model", other_matrix, NULL},
    {"share", "the options of another model", other_options, "b"},
    {"share", "the part of another evaluation", other_part, "a on d.train"},
    {"share", "joined to a stage of another kind", joins_fit, NULL},
    {"keep", "two different steps kept as one", keep_different, NULL},
    {"keep", "what was fitted is kept", keep_fitted, NULL},
    {"cse", "two different steps merged", merge_different, "c on d.test"},
    {"cse", "the program of other rows", other_rows, NULL},
};
enum { CASES = sizeof cases / sizeof *cases };

/* ---- The comparison ---- */

typedef struct Bench {
  char dir[64], path[96];
  Arena arena;
  StdlibRegistry space;
  atomic_bool cancel;
  App app;
  Compiled c;
  Verification v;
} Bench;

static void fail_on(const Err *e) {
  if (e->code)
    fail_msg("%s %s: %s", e->where, e->id, e->cause);
}

static void write_data(const char *dir) {
  char path[96];
  snprintf(path, sizeof path, "%s/d.csv", dir);
  FILE *o = fopen(path, "w");
  assert_non_null(o);
  fputs("id,x,y,z,g,spare,t\n", o);
  for (int i = 0; i < ROWS; i++) {
    double x = i * 37 % 101 / 17.0 - 3, y = 1 + i * 53 % 89 / 7.0;
    fprintf(o, "%d,%.9g,%.9g,%.9g,%c,%d,word%d and%d word%d\n", i, x, y, 2 * x - y + i % 13 / 9.0,
            "abc"[i * 7 % 5 % 3], i, i % 11, i % 7, i % 5);
  }
  assert_int_equal(fclose(o), 0);
}

static void write_parquet(const char *dir) {
  char path[96];
  int64_t n[ROWS], m[ROWS];
  Col col[] = {{.type = IR_I64, .i = n}, {.type = IR_I64, .i = m}};
  IrColumn column[] = {{"n", KIND_INT, false}, {"m", KIND_INT, false}};
  Writer *w = NULL;
  Err e = {0};
  uint64_t bytes;
  snprintf(path, sizeof path, "%s/q.parquet", dir);
  for (int i = 0; i < ROWS; i++) {
    n[i] = i;
    m[i] = i * 37 % 101;
  }
  if (!writer_open(path, column, 2, &w, &e) && !writer_put(w, col, ROWS, &e))
    writer_commit(w, &bytes, &e);
  fail_on(&e);
}

static int open_bench(void **state) {
  Bench *b = calloc(1, sizeof *b);
  Err e = {0};
  strcpy(b->dir, "/tmp/cml-passes-XXXXXX");
  assert_non_null(mkdtemp(b->dir));
  write_data(b->dir);
  write_parquet(b->dir);
  snprintf(b->path, sizeof b->path, "%s/p.cml", b->dir);
  FILE *o = fopen(b->path, "w");
  assert_non_null(o);
  fputs(program, o);
  assert_int_equal(fclose(o), 0);
  arena_init(&b->arena, NULL);
  b->app = (App){.registry = stdlib_registry(&b->space), .argv0 = "cmlc", .cancel = &b->cancel};
  CompileOptions with = {.path = b->path, .lower = true, .skip_pass = verify_no_pass(&b->arena)};
  Execution first = {.limits = {.threads = 2, .memory = 1 << 28, .dir = b->dir, .cancel = &b->cancel},
                     .path = b->path, .quiet = true};
  compile_file(&b->app, &with, &b->c, NULL, &e);
  compile_report(&b->app, &b->c);
  assert_non_null(b->c.program);
  verify_open(&b->v, &b->app, &b->arena, &b->c, &first, "--threads 2", &e);
  if (!e.code)
    verify_way(&b->v, 0, &e);
  fail_on(&e);
  *state = b;
  return 0;
}

static int close_bench(void **state) {
  Bench *b = *state;
  verify_close(&b->v);
  compile_free(&b->c);
  arena_free(&b->arena);
  folder_remove(b->dir);
  free(b);
  return 0;
}

static uint32_t way_of(const Bench *b, const char *name) {
  for (uint32_t i = 0; i < b->v.nway; i++)
    if (!strcmp(b->v.way[i].name, name))
      return i;
  fail_msg("there is no way %s", name);
  return 0;
}

/* The program as the passes leave it, with a mistake of one of them (NULL: of none), as IR text. */
static void compile_spoiled(const Bench *b, const struct Case *c, Buf *out) {
  Arena a;
  jmp_buf oom;
  Err e = {0};
  Program *p = NULL;
  arena_init(&a, &oom);
  if (setjmp(oom))
    fail_msg("out of memory");
  ir_parse(&a, (const char *)b->v.text.p, (uint32_t)b->v.text.n, &p, &e);
  fail_on(&e);
  for (uint32_t i = 0, changes = 0; passes[i].name; i++) {
    passes[i].run(p, &a, &changes, &e);
    fail_on(&e);
    if (c && !strcmp(c->pass, passes[i].name) && !c->spoil(p, &a))
      fail_msg("%s: there is nowhere to plant: %s", c->pass, c->what);
  }
  ir_print(p, out);
  arena_free(&a);
}

/* Runs it as one of the ways, the passes being done already. */
static const Way *planted(Bench *b, const struct Case *c) {
  Buf text = {0}, kept = b->v.text;
  Err e = {0};
  uint32_t k = way_of(b, "skip-all");
  err_clear(&b->v.way[k].why);
  compile_spoiled(b, c, &text);
  b->v.text = text;
  verify_way(&b->v, k, &e);
  b->v.text = kept;
  buf_free(&text);
  fail_on(&e);
  return &b->v.way[k];
}

static void test_no_mistake(void **state) {
  const Way *w = planted(*state, NULL);
  assert_int_equal(w->outcome, WAY_SAME);
}

static void test_mistakes(void **state) {
  Bench *b = *state;
  for (uint32_t i = 0; i < CASES; i++) {
    const struct Case *c = &cases[i];
    const Way *w = planted(b, c);
    print_message("%s, %s: %s\n", c->pass, c->what,
                  w->outcome == WAY_DIFFERS ? "differs" : w->outcome == WAY_FAILED ? "refused" : "UNNOTICED");
    if (w->outcome == WAY_FAILED)
      print_message("  %s\n", w->why.cause);
    assert_int_equal(w->outcome, c->stage ? WAY_DIFFERS : WAY_FAILED);
    if (c->stage)
      assert_string_equal(b->v.written->stage[ir_written(b->v.written, w->stage)].name, c->stage);
    else
      assert_string_equal(w->why.id, "CML0452");
  }
}

static void test_each_way(void **state) {
  Bench *b = *state;
  Err e = {0};
  for (uint32_t i = 1; i < b->v.nway; i++) {
    Way *w = &b->v.way[i];
    err_clear(&w->why);
    verify_way(&b->v, i, &e);
    fail_on(&e);
    if (w->outcome != WAY_SAME && !(w->run.jit == JIT_FORCE && w->outcome == WAY_NOT_RUN))
      fail_msg("%s is not the same: %s", w->name, w->why.cause);
  }
}

/* Each pass has something to do here, and a mistake to be found. */
static void test_each_pass(void **state) {
  Bench *b = *state;
  Compiled c;
  Err e = {0};
  CompileOptions with = {.path = b->path, .lower = true};
  compile_file(&b->app, &with, &c, NULL, &e);
  fail_on(&e);
  for (uint32_t i = 0; passes[i].name; i++) {
    bool found = false;
    for (uint32_t k = 0; k < CASES; k++)
      found |= !strcmp(cases[k].pass, passes[i].name);
    if (!found)
      fail_msg("no mistake is planted behind pass `%s`: add one to cases[]", passes[i].name);
    if (!c.report[i].changes)
      fail_msg("pass `%s` changes nothing in the program of this test", passes[i].name);
  }
  compile_free(&c);
}

static void test_changed_data(void **state) {
  Bench *b = *state;
  Err e = {0};
  char path[96];
  snprintf(path, sizeof path, "%s/d.csv", b->dir);
  FILE *o = fopen(path, "a");
  assert_non_null(o);
  fputs("1000,1,1,1,a,1,one\n", o);
  assert_int_equal(fclose(o), 0);
  uint32_t k = way_of(b, "again");
  err_clear(&b->v.way[k].why);
  assert_int_equal(verify_way(&b->v, k, &e), ST_DATA);
  assert_string_equal(e.id, "CML0448");
  write_data(b->dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_no_mistake), cmocka_unit_test(test_mistakes),     cmocka_unit_test(test_each_way),
      cmocka_unit_test(test_each_pass),  cmocka_unit_test(test_changed_data),
  };
  return cmocka_run_group_tests(tests, open_bench, close_bench);
}
