/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled code against the interpreter, bit for bit: every op alone, then made-up programs over made-up
 * columns (nulls, NaN, infinities, -0, denormals, the ends of the calendar, text of all kinds), in panels of
 * every size; what is not compiled is among it. Two interpreters of a program run the same panels, one of
 * them with code; outputs, null masks, rows kept and data errors have to be the same. */
#define _GNU_SOURCE 1
#include "tests/unit/interp_kit.h"

#include "vm/estimator.h"
#include "vm/jit.h"
#include "vm/kernel/dot.h"
#include "vm/kernel/math.h"

static Jit *jit;
static uint32_t program;

static int open_jit(void **state) {
  Err e = {.code = ST_OK};
  (void)state;
  if (jit_open(JIT_FORCE, 0, &jit, &e) != ST_OK)
    print_message("# the JIT is not there: %s\n", e.cause);
  return 0;
}

static int close_jit(void **state) {
  (void)state;
  jit_close(jit);
  return 0;
}

#define NEEDS_JIT()                                                                                          \
  (void)state;                                                                                               \
  if (!jit)                                                                                                  \
  skip()

/* ---- Two interpreters ---- */

typedef struct Pair {
  Kit *k;
  Interp *plain, *code;
  Col *want, *got;
  uint8_t fold[PANEL_ROWS], train[PANEL_ROWS];
  bool folds;
} Pair;

/* False: a constant of the program is a data error. */
static bool pair_new(Pair *p, Kit *k, const Env *env) {
  Err e = {.code = ST_OK}, f = {.code = ST_OK};
  memset(p, 0, sizeof *p);
  p->k = k;
  Status st = interp_new(&k->p, env, k->name, k->ncol, &p->plain, &e);
  if (st == ST_DATA)
    return false;
  assert_int_equal(st, ST_OK);
  assert_int_equal(interp_new(&k->p, env, k->name, k->ncol, &p->code, &f), ST_OK);
  st = interp_jit(p->code, jit, program++, &f);
  if (st != ST_OK)
    fail_msg("%s", f.cause);
  p->want = calloc(k->p.nout + 1, sizeof *p->want);
  p->got = calloc(k->p.nout + 1, sizeof *p->got);
  return true;
}

static void pair_free(Pair *p) {
  interp_free(p->plain);
  interp_free(p->code);
  free(p->want);
  free(p->got);
  jit_forget(jit);
}

static void same_column(const Kit *k, uint32_t out, const Col *want, const Col *got, uint32_t n) {
  const char *op = op_info(k->val[k->out[out].val].op)->name;
  assert_int_equal(want->type, got->type);
  assert_int_equal(want->constant, got->constant);
  for (uint32_t r = 0; r < (want->constant ? 1 : n); r++) {
    bool null = want->null && want->null[r];
    if ((got->null && got->null[r]) != null)
      fail_msg("%s, row %u of %u: null %d, not %d", op, r, n, !null, null);
    bool good = true;
    if (want->type == IR_VEC && want->is_hot)
      good = want->hot[r] == got->hot[r];
    else if (want->type == IR_VEC)
      good = !memcmp(want->f + (size_t)r * want->width, got->f + (size_t)r * want->width,
                     want->width * sizeof(double));
    else if (want->type == IR_STR) {
      Val a = val_at(want, r), b = val_at(got, r);
      good = null || (a.n == b.n && !memcmp(a.p, b.p, a.n));
    } else if (want->type == IR_BOOL)
      good = want->b[r] == got->b[r];
    else
      good = want->i[r] == got->i[r];
    if (!good)
      fail_msg("%s, row %u of %u: %lld %.17g, not %lld %.17g", op, r, n,
               want->type == IR_BOOL ? got->b[r] : (long long)got->i[r], want->type == IR_F64 ? got->f[r] : 0,
               want->type == IR_BOOL ? want->b[r] : (long long)want->i[r],
               want->type == IR_F64 ? want->f[r] : 0);
  }
}

static void run_both(Pair *p, uint32_t n) {
  static RowErrors want, got;
  uint8_t keep[PANEL_ROWS], kept[PANEL_ROWS];
  RowsIn in = {.n = n, .col = p->k->col, .file = 2, .pos = 1000};
  in.fold = p->folds ? p->fold : NULL;
  in.train = p->folds ? p->train : NULL;
  Err e = {.code = ST_OK};
  memset(&want, 0, sizeof want);
  memset(&got, 0, sizeof got);
  assert_int_equal(interp_run(p->plain, &in, p->want, keep, &want, &e), ST_OK);
  Status st = interp_run(p->code, &in, p->got, kept, &got, &e);
  if (st != ST_OK)
    fail_msg("%s", e.cause);
  assert_int_equal(want.count, got.count);
  assert_int_equal(want.n, got.n);
  for (uint32_t i = 0; i < want.n; i++) {
    assert_int_equal(want.v[i].pos, got.v[i].pos);
    assert_int_equal(want.v[i].step, got.v[i].step);
    assert_string_equal(want.v[i].text, got.v[i].text);
  }
  assert_memory_equal(keep, kept, n);
  for (uint32_t k = 0; k < p->k->p.nout; k++)
    same_column(p->k, k, &p->want[k], &p->got[k], n);
}

static void run_sizes(Pair *p) {
  static const uint32_t size[] = {PANEL_ROWS, 0,   1,   3,   4,   5,   7,   8,   9,    15,   16,
                                  23,         255, 256, 257, 263, 264, 511, 513, 1000, 2047, PANEL_ROWS};
  for (uint32_t i = 0; i < sizeof size / sizeof *size; i++)
    if (size[i] <= PANEL_ROWS)
      run_both(p, size[i]);
}

/* ---- Columns. Tame ones have no value that any op refuses ---- */

static Col tame_column(Kit *k, Rng *g, IrType type, bool nulls) {
  Col c = kit_column(k, g, type, nulls);
  for (uint32_t r = 0; r < PANEL_ROWS; r++) {
    bool null = c.null && c.null[r];
    if (type == IR_I64)
      c.i[r] = null ? 0 : (int64_t)(rnd(g) % 2000) - 1000;
    else if (type == IR_F64)
      c.f[r] = null ? 0 : (double)((int64_t)(rnd(g) % 20000) - 10000) / 16;
  }
  return c;
}

static const double cuts[] = {-1.5, 0, 0, 10, 20};
static const char *levels[] = {"", "abc", "\xf0\x9d\x84\x9ex\xf0\x9d\x84\x9e", "test", "train", "zz"};

static uint32_t all_levels(Kit *k) {
  return kit_vocab(k, (const char **)(uintptr_t)kit_strings, KIT_STRINGS);
}

/* Ops that a made-up program may have: of columns, cuts and levels. */
static bool usable(uint32_t op) {
  const OpInfo *o = op_info(op);
  if (o->arity <= 0 || o->result < 0 || (o->result > IR_STR && op != OP_INDICATOR_STR))
    return false;
  for (int i = 0; i < o->arity; i++) {
    int t = op_arg(o, (uint32_t)i);
    if (t < 0 || (t > IR_STR && t != IR_LIST && t != IR_VOCAB))
      return false;
  }
  return op != OP_SPLINE_F64;
}

static void attributes(Kit *k, bool tame) {
  IrVal *v = kit_last(k);
  const OpInfo *o = op_info(v->op);
  v->i = op_has(o, 'i') ? 5 : v->i;
  if (op_has(o, 'f'))
    v->f = tame ? -1e18 : -100;
  if (op_has(o, 'g'))
    v->g = tame ? 1e18 : 250.5;
  v->s = op_has(o, 's') ? "the_column" : NULL;
  if (op_has(o, 'N')) {
    v->names = tame ? (const char **)(uintptr_t)kit_strings : levels;
    v->nlist = tame ? KIT_STRINGS : 6;
  }
}

/* ---- Every op alone ---- */

static uint64_t one_op(uint32_t op, uint64_t seed, uint32_t nulls, uint32_t constant, bool tame) {
  const OpInfo *o = op_info(op);
  Kit *k = kit_new();
  Rng g = {seed, 0};
  uint32_t arg[4] = {0};
  uint64_t before = jit_stats(jit).compiled;
  for (int i = 0; i < o->arity; i++) {
    int type = op_arg(o, (uint32_t)i);
    if (type == IR_LIST) {
      arg[i] = kit_list(k, cuts, 5);
    } else if (type == IR_VOCAB) {
      arg[i] = tame ? all_levels(k) : kit_vocab(k, levels, 6);
    } else {
      Col c = (tame ? tame_column : kit_column)(k, &g, (IrType)type,
                                                nulls >> i & 1 && !(tame && op == OP_PART_OF_STR));
      uint32_t row = (uint32_t)(seed % PANEL_ROWS);
      if (!(constant >> i & 1) || (c.null && c.null[row]))
        arg[i] = kit_col(k, c);
      else
        arg[i] = type == IR_I64    ? kit_i64(k, c.i[row])
                 : type == IR_F64  ? kit_f64(k, c.f[row])
                 : type == IR_BOOL ? kit_b(k, c.b[row])
                                   : kit_str(k, "abc");
    }
  }
  uint32_t v = kit_step(k, op, arg, (uint32_t)o->arity);
  attributes(k, tame);
  kit_out(k, v, "x");
  Pair p;
  if (pair_new(&p, k, NULL)) {
    run_sizes(&p);
    pair_free(&p);
  }
  kit_free(k);
  return jit_stats(jit).compiled - before;
}

static void test_every_op(void **state) {
  NEEDS_JIT();
  for (uint32_t op = 0; op < OP_N; op++) {
    if (!usable(op))
      continue;
    uint32_t all = (1u << op_info(op)->arity) - 1;
    for (uint32_t nulls = 0; nulls <= all; nulls++)
      one_op(op, 11 + op, nulls, 0, nulls & 1);
    for (uint32_t constant = 1; constant < all; constant++)
      one_op(op, 100 + constant, 0, constant, constant & 1);
  }
  print_message("# %.2f s of compiling\n", jit_stats(jit).seconds);
}

/* What is meant to be compiled is. */
static void test_compiled(void **state) {
  NEEDS_JIT();
  static const uint32_t op[] = {
      OP_ADD_F64,      OP_DIV_F64,         OP_ADD_I64,        OP_MUL_I64,      OP_IDIV_I64,
      OP_MOD_I64,      OP_MOD_F64,         OP_POW_F64,        OP_EXP_F64,      OP_SIN_F64,
      OP_SIGMOID_F64,  OP_ROUND_F64,       OP_LEAST_F64,      OP_EQ_B,         OP_LT_I64,
      OP_GE_F64,       OP_EQ_STR,          OP_CONTAINS_STR,   OP_AND_B,        OP_IF_F64,
      OP_COALESCE_I64, OP_NULL_IF_F64,     OP_NULL_WHEN_I64,  OP_CAST_I64_F64, OP_CAST_F64_I64,
      OP_CAST_STR_F64, OP_HOUR_TS,         OP_WEEK_DATE,      OP_DAYS_DUR,     OP_SUB_DAYS_I64,
      OP_CUT_F64,      OP_BUCKET_F64,      OP_INDICATOR_STR,  OP_LEVEL_STR,    OP_INDEX_OF_STR,
      OP_CHECK_IN_STR, OP_CHECK_RANGE_I64, OP_CHECK_NULL_F64, OP_KEEP,         OP_FOLD_OF_F64,
      OP_IS_NULL_STR};
  for (uint32_t i = 0; i < sizeof op / sizeof *op; i++)
    if (!one_op(op[i], 7, 0, op[i] == OP_EQ_STR || op[i] == OP_CONTAINS_STR ? 2 : 0,
                true)) /* beside a constant */
      fail_msg("%s was not compiled", op_info(op[i])->name);
}

/* ---- Made-up programs ---- */

typedef struct Maker {
  Kit *k;
  Rng g;
  bool tame;
  uint32_t by_type[4][400], n[4];
} Maker;

static void known(Maker *m, uint32_t v, int type) {
  if (type <= IR_STR)
    m->by_type[type][m->n[type]++] = v;
}

static uint32_t some(Maker *m, int type) {
  if (rnd(&m->g) % 8 == 0) {
    switch (type) {
    case IR_I64:
      return kit_i64(m->k, (int64_t)(rnd(&m->g) % 9) - 4);
    case IR_F64:
      return kit_f64(m->k, (double)(rnd(&m->g) % 9) / 2 - 2);
    case IR_BOOL:
      return kit_b(m->k, rnd(&m->g) & 1);
    default:
      return kit_str(m->k, kit_strings[rnd(&m->g) % KIT_STRINGS]);
    }
  }
  uint32_t n = m->n[type], from = n > 12 && rnd(&m->g) & 1 ? n - 12 : 0;
  return m->by_type[type][from + rnd(&m->g) % (n - from)];
}

static void add_step(Maker *m) {
  uint32_t op, arg[4];
  const OpInfo *o;
  do {
    op = (uint32_t)(rnd(&m->g) % OP_N);
    o = op_info(op);
    /* ops whose values would not stay tame, or not stay few: no row of these programs is bad but for a check
     */
  } while (!usable(op) || (m->tame ? o->may_fail && op != OP_BUCKET_F64 : false) ||
           (op == OP_KEEP && rnd(&m->g) % 4));
  for (int i = 0; i < o->arity; i++) {
    int type = op_arg(o, (uint32_t)i);
    arg[i] = type == IR_LIST ? kit_list(m->k, cuts, 5) : type == IR_VOCAB ? all_levels(m->k) : some(m, type);
  }
  if (op == OP_BUCKET_F64 && m->tame) /* NaN is in no bucket */
    arg[0] = m->by_type[IR_F64][0];
  uint32_t v = kit_step(m->k, op, arg, (uint32_t)o->arity);
  attributes(m->k, m->tame);
  known(m, v, o->result);
}

static uint64_t made_up(uint64_t seed, bool tame, uint32_t steps) {
  Kit *k = kit_new();
  Maker *m = calloc(1, sizeof *m);
  assert_non_null(m);
  uint64_t before = jit_stats(jit).compiled;
  m->k = k;
  m->g = (Rng){seed, 0};
  m->tame = tame;
  for (int type = IR_BOOL; type <= IR_STR; type++) {
    for (int i = 0; i < 3; i++) {
      Col c = (tame && i == 0 ? tame_column : kit_column)(k, &m->g, (IrType)type, i > 0);
      known(m, kit_col(k, c), type);
    }
  }
  while (k->p.nval + 8 < steps)
    add_step(m);
  for (uint32_t i = 12; i < k->p.nval; i++)
    if (k->val[i].type <= IR_STR && k->val[i].op != OP_COL && (rnd(&m->g) % 4 == 0 || i + 4 > k->p.nval))
      kit_out(k, i, "x");
  Pair p;
  if (k->p.nout && pair_new(&p, k, NULL)) {
    run_sizes(&p);
    pair_free(&p);
  }
  kit_free(k);
  free(m);
  return jit_stats(jit).compiled - before;
}

static void test_programs(void **state) {
  NEEDS_JIT();
  uint64_t compiled = 0;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    compiled += made_up(1000 + seed, true, 24 + (uint32_t)seed * 2);
    made_up(2000 + seed, false, 20 + (uint32_t)seed % 20);
  }
  assert_true(compiled > 60); /* panels */
}

/* ---- Look-ups and scores ---- */

static double coefficient[64];

static bool linear(const Model *m, LinearForm *out) {
  *out = (LinearForm){.b = coefficient, .b0 = -0.25, .sigmoid = m->task == TASK_BINARY};
  return true;
}

static void predict(const Model *m, const Matrix *x, double *out) {
  if (x->a)
    k_gemv_rows(x->a, x->n, x->d, coefficient, -0.25, out);
  else
    k_spmv_rows(x->ptr, x->col, x->val, x->n, coefficient, -0.25, out);
  if (m->task == TASK_BINARY)
    k_sigmoid(out, out, x->n);
}

static const Estimator estimator = {.name = "linear", .predict = predict, .linear = linear};

static const Fitted *table_of(Kit *k, uint32_t nvariant, IrType type) {
  Fitted *f = NEW(&k->a, Fitted);
  Table *t = f->table = NEW(&k->a, Table);
  Buf key = {NULL, 0, 0, false};
  f->type = IR_TABLE;
  t->type = (uint8_t)type;
  t->nkey = 1;
  t->nvariant = nvariant;
  t->n = 5;
  t->off = NEWN(&k->a, uint32_t, t->n + 1);
  t->bytes = arena_alloc(&k->a, 400);
  for (uint32_t i = 0; i < t->n; i++) {
    buf_clear(&key);
    key_put_str(&key, levels[i], (uint32_t)strlen(levels[i]));
    memcpy(t->bytes + t->off[i], key.p, key.n);
    t->off[i + 1] = t->off[i] + (uint32_t)key.n;
  }
  buf_free(&key);
  t->null = arena_alloc(&k->a, t->n * nvariant + 1);
  t->i = type == IR_I64 ? NEWN(&k->a, int64_t, t->n *nvariant + 1) : NULL;
  t->f = type == IR_F64 ? NEWN(&k->a, double, t->n *nvariant + 1) : NULL;
  for (uint32_t i = 0; i < t->n * nvariant; i++) {
    t->null[i] = i % 7 == 3;
    if (t->i)
      t->i[i] = 100 * i + 1;
    else
      t->f[i] = 0.1 * i;
  }
  return f;
}

/* A program as a score stage has it: look-ups of what was fitted by fold, scaling, one-hot, a linear model;
 * `bad`: with infinities. */
static void test_score(void **state) {
  NEEDS_JIT();
  for (uint32_t i = 0; i < 64; i++)
    coefficient[i] = (i % 3 ? 1 : -1) * (0.1 + i * 0.37);
  for (uint32_t round = 0; round < 8; round++) {
    bool nulls = round & 1, bad = round == 7;
    Kit *k = kit_new();
    Rng g = {77 + round, 0};
    uint32_t s = kit_col(k, kit_column(k, &g, IR_STR, nulls)),
             x = kit_col(k, tame_column(k, &g, IR_F64, nulls));
    uint32_t wild = kit_col(k, kit_column(k, &g, IR_F64, false));
    Model model = {.est = &estimator, .task = round & 2 ? TASK_BINARY : TASK_REGRESSION, .nout = 1};
    Fitted trained = {.type = IR_MODEL, .model = &model};
    const Fitted *v[] = {table_of(k, 1 + round % 3, IR_I64), table_of(k, 1 + round % 3, IR_F64), &trained};
    Env env = {v, 3};
    uint32_t look = STEP(k, OP_LOOKUP_I64, s);
    uint32_t look2 = STEP(k, OP_LOOKUP_F64, s);
    kit_last(k)->i = 1;
    kit_last(k)->g = round == 5 && v[1]->table->nvariant > 1 ? 1 : -1;
    uint32_t zero = kit_f64(k, 0), count = STEP(k, OP_CAST_I64_F64, look);
    uint32_t a = STEP(k, OP_COALESCE_F64, STEP(k, OP_MUL_F64, count, look2), zero);
    uint32_t filled = STEP(k, OP_COALESCE_F64, x, kit_f64(k, 2.5));
    uint32_t b = STEP(k, OP_LOG1P_F64, STEP(k, OP_ABS_F64, filled));
    uint32_t c = STEP(k, OP_DIV_F64, STEP(k, OP_SUB_F64, b, kit_f64(k, 3)), kit_f64(k, 0.7));
    uint32_t turn = STEP(k, OP_SIN_F64, c), pair[] = {turn, STEP(k, OP_COS_F64, c)};
    uint32_t both = kit_step(k, OP_VEC, pair, 2);
    uint32_t hot =
        STEP(k, OP_INDICATOR_STR, STEP(k, OP_COALESCE_STR, s, kit_str(k, "abc")), kit_vocab(k, levels, 6));
    uint32_t slot[] = {a, both, hot, c, bad ? wild : turn};
    uint32_t score = kit_step(k, OP_SCORE, slot, 5);
    kit_last(k)->i = 2;
    model.d = 11;
    kit_out(k, score, "score");
    kit_out(k, look, "look");
    kit_out(k, look2, "look2");
    kit_out(k, STEP(k, OP_GE_F64, score, kit_f64(k, 0.5)), "class");
    if (round & 4)
      kit_slot(k, both, "both");
    Pair p;
    assert_true(pair_new(&p, k, &env));
    for (uint32_t r = 0; r < PANEL_ROWS; r++) {
      p.fold[r] = (uint8_t)(rnd(&g) % 3);
      p.train[r] = rnd(&g) & 1;
    }
    uint64_t before = jit_stats(jit).compiled;
    run_sizes(&p);
    p.folds = true;
    run_sizes(&p);
    assert_true(bad || jit_stats(jit).compiled > before);
    pair_free(&p);
    kit_free(k);
  }
}

/* ---- The service ---- */

/* No page is writable and executable (but those that valgrind has for itself). */
static void test_pages(void **state) {
  NEEDS_JIT();
  Kit *k = kit_new();
  Rng g = {3, 0};
  uint32_t x = kit_col(k, tame_column(k, &g, IR_F64, true));
  kit_out(k, STEP(k, OP_EXP_F64, STEP(k, OP_ADD_F64, x, x)), "x");
  Pair p;
  assert_true(pair_new(&p, k, NULL));
  run_sizes(&p);
  FILE *f = fopen("/proc/self/maps", "r");
  assert_non_null(f);
  char line[600];
  int both = 0;
  bool valgrind = false;
  while (fgets(line, sizeof line, f)) {
    both += strstr(line, " rwx") != NULL;
    valgrind |= strstr(line, "/vgpreload_") != NULL;
  }
  fclose(f);
  if (!valgrind)
    assert_int_equal(both, 0);
  pair_free(&p);
  kit_free(k);
}

/* JIT_AUTO: panels are interpreted until the code is there, which comes when enough rows have; the bits are
 * the same throughout. */
static void test_background(void **state) {
  NEEDS_JIT();
  Jit *forced = jit;
  Err e = {.code = ST_OK};
  assert_int_equal(jit_open(JIT_AUTO, JIT_ROOM - 1, &jit, &e), ST_OK);
  assert_null(jit);
  assert_int_equal(jit_open(JIT_AUTO, JIT_ROOM, &jit, &e), ST_OK);
  assert_non_null(jit);
  Kit *k = kit_new();
  Rng g = {4, 0};
  uint32_t x = kit_col(k, tame_column(k, &g, IR_F64, true)), y = x;
  for (int i = 0; i < 40; i++)
    y = STEP(k, OP_ADD_F64, STEP(k, OP_MUL_F64, y, kit_f64(k, 0.5)), x);
  kit_out(k, y, "x");
  Pair p;
  uint32_t number = program;
  assert_true(pair_new(&p, k, NULL));
  run_both(&p, PANEL_ROWS);
  assert_int_equal(jit_stats(jit).compiled, 0);
  assert_int_equal(jit_stats(jit).programs, 0);
  jit_expect(jit, number, 100000000);
  for (int i = 0; i < 20000 && !jit_stats(jit).compiled; i++)
    run_both(&p, PANEL_ROWS);
  assert_true(jit_stats(jit).compiled > 0);
  assert_int_equal(jit_stats(jit).programs, 1);
  pair_free(&p);
  kit_free(k);
  jit_close(jit);
  jit = forced;
}

static void *run_many(void *arg) {
  for (int i = 0; i < 20; i++)
    run_both(arg, PANEL_ROWS);
  return NULL;
}

/* Two workers share the code of a program. */
static void test_shared(void **state) {
  NEEDS_JIT();
  Kit *k = kit_new();
  Rng g = {5, 0};
  uint32_t x = kit_col(k, tame_column(k, &g, IR_F64, true));
  kit_out(k, STEP(k, OP_TANH_F64, STEP(k, OP_ADD_F64, x, x)), "x");
  Pair a, b;
  uint32_t programs = jit_stats(jit).programs;
  assert_true(pair_new(&a, k, NULL));
  program--;
  assert_true(pair_new(&b, k, NULL));
  assert_int_equal(jit_stats(jit).programs, programs + 1);
  run_many(&a);
  run_many(&b);
  pair_free(&a);
  pair_free(&b);
  kit_free(k);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_op), cmocka_unit_test(test_compiled),
                                     cmocka_unit_test(test_programs), cmocka_unit_test(test_score),
                                     cmocka_unit_test(test_pages),    cmocka_unit_test(test_background),
                                     cmocka_unit_test(test_shared)};
  return cmocka_run_group_tests(tests, open_jit, close_jit);
}
