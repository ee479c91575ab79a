/* SPDX-License-Identifier: Apache-2.0 */
/* agg_kit.h: what the tests of aggregates stand on: random rows, an executor that cuts and merges them in
 * many ways, stages, brute force. */
#ifndef TESTS_UNIT_AGG_KIT_H
#define TESTS_UNIT_AGG_KIT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/hash.h"
#include "vm/agg.h"
#include "vm/exec/tree.h"

/* ---- Data ---- */

enum { X, I, S, OK, W, K, S2, CONST, WIDE, VEC, HOT, SPARSE, NCOL, FOLDS = 3, FILES = 3 };
enum { VEC_WIDTH = 3, HOT_WIDTH = 5, SPARSE_WIDTH = 7 };
#ifdef CML_HOSTILE
enum { LEAF = 13, ROWS = 150 };
#else
enum { LEAF = 700, ROWS = 9000 };
#endif

typedef struct Data {
  uint32_t n;
  uint32_t start[FILES + 1]; /* rows of file f: start[f] .. start[f + 1] */
  double x[ROWS], w[ROWS], wide[ROWS];
  int64_t i[ROWS], k[ROWS];
  uint32_t s[ROWS], s2[ROWS];
  uint8_t ok[ROWS], fold[ROWS], null[NCOL][ROWS];
  Dict dict;
  uint32_t off[8];
  char bytes[32];
  double constant;
  double vec[ROWS * VEC_WIDTH], value[ROWS * 2]; /* dense rows; sparse ones, of up to two entries */
  int32_t hot[ROWS];
  uint32_t ptr[ROWS + 1], el[ROWS * 2];
} Data;

static inline double rnd(uint64_t key, uint64_t i) {
  return unit_of(rng_word(key, i));
}

static inline void make_dict(Data *d) { /* two codes are the same string; one is empty; one has a zero byte */
  static const char *const word[] = {"b", "", "a", "b", "a\0z", "zebra"};
  static const uint32_t len[] = {1, 0, 1, 1, 3, 5};
  uint32_t at = 0;
  for (uint32_t k = 0; k < 6; k++) {
    memcpy(d->bytes + at, word[k], len[k]);
    at += len[k];
    d->off[k + 1] = at;
  }
  d->dict.n = 6;
  d->dict.off = d->off;
  d->dict.bytes = d->bytes;
}

/* Vectors: dense, one-hot and sparse ones; null where X is, and then without entries. */
static inline void make_vectors(Data *d, uint64_t seed) {
  for (uint32_t r = 0; r < d->n; r++) {
    bool null = d->null[X][r];
    d->null[VEC][r] = d->null[HOT][r] = d->null[SPARSE][r] = null;
    for (uint32_t j = 0; j < VEC_WIDTH; j++)
      d->vec[r * VEC_WIDTH + j] = null ? 0 : 1e6 * j + d->wide[r] / (j + 1) + rnd(seed + 40 + j, r);
    d->hot[r] = null ? -1 : (int32_t)(rnd(seed + 50, r) * (HOT_WIDTH + 1)) - 1;
    uint32_t entries = null ? 0 : (uint32_t)(rnd(seed + 51, r) * 3), at = d->ptr[r];
    for (uint32_t k = 0; k < entries; k++) {
      d->el[at + k] = 3 * k + (uint32_t)(rnd(seed + 52 + k, r) * 3);
      d->value[at + k] = rnd(seed + 54 + k, r) - 0.25;
    }
    d->ptr[r + 1] = at + entries;
  }
}

static inline Data *make_data(uint32_t n, uint64_t seed) {
  Data *d = calloc(1, sizeof *d);
  d->n = n;
  d->start[1] = n / 2;
  d->start[2] = n / 2; /* an empty file */
  d->start[3] = n;
  make_dict(d);
  d->constant = 2.5;
  for (uint32_t r = 0; r < n; r++) {
    d->x[r] = rnd(seed, r) < 0.3 ? floor(rnd(seed + 1, r) * 20) - 10
                                 : (rnd(seed + 1, r) - 0.5) * pow(10, rnd(seed + 2, r) * 6);
    d->wide[r] = ldexp(rnd(seed + 3, r) - 0.5, (int)(rnd(seed + 4, r) * 60));
    d->w[r] = rnd(seed + 5, r) < 0.1 ? 0 : rnd(seed + 5, r) * 3;
    d->i[r] = (int64_t)(rnd(seed + 6, r) * 2000) - 1000;
    d->k[r] = (int64_t)(rnd(seed + 7, r) * rnd(seed + 8, r) * 40) - 5;
    d->s[r] = (uint32_t)(rnd(seed + 9, r) * 6);
    d->s2[r] = (uint32_t)(rnd(seed + 10, r) * rnd(seed + 11, r) * 6);
    d->ok[r] = rnd(seed + 12, r) < 0.6;
    d->fold[r] = (uint8_t)(rnd(seed + 13, r) * FOLDS);
    static const double share[NCOL] = {[X] = 0.1, [I] = 0.05, [S] = 0.1, [OK] = 0.05, [S2] = 0.1};
    for (uint32_t c = 0; c < NCOL; c++)
      d->null[c][r] = rnd(seed + 20 + c, r) < share[c];
    if (d->null[X][r])
      d->x[r] = 0;
    if (d->null[I][r])
      d->i[r] = 0;
    if (d->null[S][r])
      d->s[r] = 0;
    if (d->null[S2][r])
      d->s2[r] = 0;
    if (d->null[OK][r])
      d->ok[r] = 0;
  }
  make_vectors(d, seed);
  return d;
}

static inline void columns(Data *d, uint32_t r, Col *c) {
  memset(c, 0, NCOL * sizeof *c);
  c[X] = (Col){.type = IR_F64, .f = d->x + r, .null = d->null[X] + r};
  c[I] = (Col){.type = IR_I64, .i = d->i + r, .null = d->null[I] + r};
  c[S] = (Col){.type = IR_STR, .code = d->s + r, .null = d->null[S] + r, .dict = &d->dict};
  c[OK] = (Col){.type = IR_BOOL, .b = d->ok + r, .null = d->null[OK] + r};
  c[W] = (Col){.type = IR_F64, .f = d->w + r};
  c[K] = (Col){.type = IR_I64, .i = d->k + r};
  c[S2] = (Col){.type = IR_STR, .code = d->s2 + r, .null = d->null[S2] + r, .dict = &d->dict};
  c[CONST] = (Col){.type = IR_F64, .constant = true, .f = &d->constant};
  c[WIDE] = (Col){.type = IR_F64, .f = d->wide + r};
  c[VEC] = (Col){
      .type = IR_VEC, .width = VEC_WIDTH, .f = d->vec + (size_t)r * VEC_WIDTH, .null = d->null[VEC] + r};
  c[HOT] = (Col){
      .type = IR_VEC, .width = HOT_WIDTH, .is_hot = true, .hot = d->hot + r, .null = d->null[HOT] + r};
  c[SPARSE] = (Col){.type = IR_VEC,
                    .width = SPARSE_WIDTH,
                    .is_sparse = true,
                    .f = d->value,
                    .ptr = d->ptr + r,
                    .el = d->el,
                    .null = d->null[SPARSE] + r};
}

/* ---- A small executor: leaves in any order, on any number of workers, panels of any size ---- */

typedef struct Way {
  uint32_t cut;     /* rows of a panel */
  uint32_t workers;
  uint64_t order;   /* seed of the order of leaves; 0: as they are */
  bool travel;      /* partials go through save and load after every map */
} Way;

typedef struct Leaf {
  uint32_t file, index, from, to;
} Leaf;

static inline uint32_t leaves_of(const Data *d, Leaf *leaf) {
  uint32_t n = 0;
  for (uint32_t f = 0; f < FILES; f++)
    for (uint32_t at = d->start[f], k = 0; at < d->start[f + 1]; at += LEAF, k++)
      leaf[n++] = (Leaf){f, k, at, at + LEAF < d->start[f + 1] ? at + LEAF : d->start[f + 1]};
  return n;
}

static RowErrors row_errors;

static inline Status travel(const Pass *p, void *par, void **partial, Err *e) {
  Buf b = {0}, again = {0};
  Status st = p->save(par, *partial, &b, e);
  void *copy = st ? NULL : p->load(par, buf_bytes(&b), e);
  if (copy && p->save(par, copy, &again, e) == ST_OK) {
    assert_int_equal(b.n, again.n);
    assert_memory_equal(b.p, again.p, b.n);
  }
  buf_free(&b);
  buf_free(&again);
  if (!copy)
    return e->code;
  p->free(par, *partial);
  *partial = copy;
  return e->code;
}

static inline Status map_leaf(const Pass *pass, void *par, Data *d, const Leaf *l, const Way *way,
                              void **partial, Err *e) {
  Arena scratch;
  arena_init(&scratch, NULL);
  Ctx ctx = {.scratch = &scratch, .errors = &row_errors, .err = e};
  static uint32_t at[ROWS];
  Status st = ST_OK;
  for (uint32_t r = 0; r < ROWS; r++)
    at[r] = r;
  for (uint32_t r = l->from; r < l->to && !st; r += way->cut) {
    Col c[NCOL];
    columns(d, r, c);
    Panel p = {.n = l->to - r < way->cut ? l->to - r : way->cut, .file = l->file, .at = at + r};
    p.out = c;
    p.nout = NCOL;
    p.fold = d->fold + r;
    st = pass->map(par, &p, *partial, &ctx);
    arena_reset(&scratch);
    if (!st && way->travel)
      st = travel(pass, par, partial, e);
  }
  arena_free(&scratch);
  return st;
}

static inline Status run_tree(const Job *j, void *par, Data *d, const Leaf *leaf, uint32_t n, const Way *way,
                       void **out, Err *e) {
  Tree tree;
  Status st = ST_OK;
  tree_init(&tree, j->pass, par);
  for (uint32_t k = 0; k < n && !st; k++) {
    void *p = j->pass->init(par, e);
    st = p ? map_leaf(j->pass, par, d, &leaf[k], way, &p, e) : e->code;
    if (st && p)
      j->pass->free(par, p);
    if (!st)
      st = tree_add(&tree, (TreeNode){.file = leaf[k].file, .index = leaf[k].index, .partial = p}, e);
  }
  if (!st)
    st = tree_finish(&tree, out, e);
  tree_free(&tree);
  return st;
}

static inline Status run_exact(const Job *j, void *par, Data *d, const Leaf *leaf, uint32_t n, const Way *way,
                        void **out, Err *e) {
  void *acc[8] = {0};
  Status st = ST_OK;
  for (uint32_t w = 0; w < way->workers && !st; w++)
    st = (acc[w] = j->pass->init(par, e)) ? ST_OK : e->code;
  for (uint32_t k = 0; k < n && !st; k++)
    st = map_leaf(j->pass, par, d, &leaf[k], way, &acc[rng_word(way->order, k) % way->workers], e);
  for (uint32_t w = 1; w < way->workers && !st; w++)
    st = j->pass->merge(par, acc[0], acc[w], e);
  for (uint32_t w = st ? 0 : 1; w < way->workers; w++)
    if (acc[w])
      j->pass->free(par, acc[w]);
  *out = st ? NULL : acc[0];
  return st;
}

static inline Status run_job(const Job *j, Data *d, const Way *way, Buf *out, Err *e) {
  static Leaf leaf[ROWS + FILES];
  uint32_t n = leaves_of(d, leaf);
  for (uint32_t k = n; way->order && k > 1; k--) {
    uint32_t other = (uint32_t)(rng_word(way->order, k) % k);
    Leaf l = leaf[k - 1];
    leaf[k - 1] = leaf[other];
    leaf[other] = l;
  }
  void *par = j->pass->open(buf_bytes(&j->par), e);
  void *result = NULL;
  Status st = !par                          ? e->code
              : j->pass->kind == RED_EXACT ? run_exact(j, par, d, leaf, n, way, &result, e)
                                           : run_tree(j, par, d, leaf, n, way, &result, e);
  if (!st && !result)
    st = (result = j->pass->init(par, e)) ? ST_OK : e->code;
  if (!st)
    assert_true(j->pass->partial_size(par) > 0);
  st = st ? st : j->pass->save(par, result, out, e);
  if (result)
    j->pass->free(par, result);
  if (par)
    j->pass->close(par);
  return st;
}

static uint32_t rounds;

/* Fits all aggregates of a stage; fitted[nagg]. */
static inline Status fit(const Stage *s, uint32_t folds, Data *d, const Way *way, Fitted **fitted, Err *e) {
  Iter *it = NULL;
  Jobs jobs = {0};
  Buf *out = NULL;
  uint32_t nout = 0;
  memset(&row_errors, 0, sizeof row_errors);
  rounds = 0;
  Status st = agg_begin(s, &(Stage){.folds = folds}, &it, e);
  while (!st) {
    jobs_clear(&jobs);
    st = it->next(it, out, nout, &jobs, e);
    for (uint32_t k = 0; k < nout; k++)
      buf_free(&out[k]);
    free(out);
    out = NULL;
    nout = 0;
    if (st || !jobs.n)
      break;
    rounds++;
    nout = jobs.n;
    out = calloc(nout, sizeof *out);
    for (uint32_t k = 0; k < nout && !st; k++)
      st = run_job(&jobs.v[k], d, way, &out[k], e);
  }
  for (uint32_t k = 0; k < nout; k++)
    buf_free(&out[k]);
  free(out);
  jobs_free(&jobs);
  st = st ? st : agg_finish(it, fitted, e);
  if (it)
    it->free(it);
  return st;
}

/* ---- Stages ---- */

typedef struct Plan {
  Stage s;
  IrAgg agg[40];
  uint32_t key[40][3];
  IrOut out[NCOL];
} Plan;

/* Value numbers are not output numbers: column c is value 3 c + 1. */
static inline int32_t val(int c) {
  return c < 0 ? -1 : 3 * c + 1;
}

static inline Plan *new_plan(void) {
  Plan *p = calloc(1, sizeof *p);
  p->s.kind = STAGE_FIT;
  p->s.name = "rows.fit0";
  p->s.agg = p->agg;
  p->s.prog.out = p->out;
  p->s.prog.nout = NCOL;
  for (int c = 0; c < NCOL; c++)
    p->out[c].val = (uint32_t)val(c);
  return p;
}

static inline IrAgg *add(Plan *p, const char *op, int arg, int where, int weight, double par) {
  IrAgg *a = &p->agg[p->s.nagg];
  *a = (IrAgg){.op = op,
               .arg = val(arg),
               .where = val(where),
               .weight = val(weight),
               .par = par,
               .leave_out = -1,
               .line = 7,
               .col = 3};
  a->text = op;
  a->key = p->key[p->s.nagg];
  a->fitted = p->s.nagg++;
  return a;
}

static inline IrAgg *by(IrAgg *a, int k0, int k1) {
  a->key[a->nkey++] = (uint32_t)val(k0);
  if (k1 >= 0)
    a->key[a->nkey++] = (uint32_t)val(k1);
  return a;
}

static inline void free_all(Fitted **f, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    fitted_free(f[i]);
}

static const Way plain = {.cut = 64, .workers = 1};

static inline void run_plan(const Plan *p, Data *d, const Way *way, Fitted **f) {
  Err e = {0};
  Status st = fit(&p->s, FOLDS, d, way, f, &e);
  if (st)
    print_error("%s: %s\n", e.id, e.cause);
  assert_int_equal(st, ST_OK);
}

/* ---- Brute force ---- */

typedef struct Ref {
  uint64_t n;
  long double sum, w, w2, squares;
  double v[ROWS];
} Ref;

static inline bool seen(const Data *d, uint32_t r, int arg, int where) {
  if (arg >= 0 && d->null[arg][r])
    return false;
  return where < 0 || (d->ok[r] && !d->null[OK][r]);
}

static inline double f64_at(const Data *d, int arg, uint32_t r) {
  return arg == X ? d->x[r] : arg == W ? d->w[r] : arg == CONST ? d->constant : d->wide[r];
}

/* Over rows for which `in` is 1. */
static inline Ref *reference(const Data *d, int arg, int where, bool weighted, const uint8_t *in) {
  Ref *f = calloc(1, sizeof *f);
  for (uint32_t r = 0; r < d->n; r++) {
    if (!seen(d, r, arg, where) || (in && !in[r]))
      continue;
    long double w = weighted ? d->w[r] : 1;
    f->v[f->n++] = f64_at(d, arg, r);
    f->sum += w * f64_at(d, arg, r);
    f->w += w;
    f->w2 += w * w;
  }
  for (uint32_t r = 0; r < d->n && f->w > 0; r++)
    if (seen(d, r, arg, where) && !(in && !in[r])) {
      long double dev = f64_at(d, arg, r) - f->sum / f->w;
      f->squares += (weighted ? d->w[r] : 1) * dev * dev;
    }
  return f;
}

static inline long double variance(const Ref *f) {
  long double den = f->w - f->w2 / f->w;
  return den > 1e-15L * f->w ? f->squares / den : 0;
}

static inline int cmp_f64(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static inline double quantile(Ref *f, double q) {
  qsort(f->v, f->n, sizeof *f->v, cmp_f64);
  double h = (double)(f->n - 1) * q, g = h - floor(h);
  size_t k = (size_t)h;
  if (k + 1 >= f->n || g == 0)
    return f->v[k];
  double gap = f->v[k + 1] - f->v[k];
  return g < 0.5 ? f->v[k] + gap * g : f->v[k + 1] - gap * (1 - g);
}

static inline void near(double got, long double want, double tol) {
  long double scale = fabsl(want) > 1e-300L ? fabsl(want) : 1;
  if (!(fabsl(got - want) <= tol * scale)) {
    print_error("got %.17g, want %.17g\n", got, (double)want);
    fail();
  }
}

#endif
