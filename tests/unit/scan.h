/* SPDX-License-Identifier: Apache-2.0 */
/* scan.h: the smallest executor, for tests of estimators and metrics. Rows lie in arrays; they are cut into
 * leaves and panels; every leaf's partial goes through save and load; leaves meet in the canonical tree. One
 * file, no filter.
 *
 * `Rows.cut` rows are a panel and `Rows.leaf` panels a leaf, so that tests can vary both. */
#ifndef TESTS_UNIT_SCAN_H
#define TESTS_UNIT_SCAN_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/hash.h"
#include "vm/estimator.h"

typedef struct ScanRows {
  uint32_t n;
  Matrix x;            /* train */
  double *y, *weight;  /* weight may be NULL */
  Col *out;            /* evaluate: nout columns of n rows */
  uint32_t nout;
  uint32_t cut, leaf;  /* rows of a panel (<= PANEL_ROWS), panels of a leaf; 0: the usual */
  RowErrors errors;    /* of the last scan */
  uint32_t scans;
  const double *lower, *upper; /* train: bounds by column; NULL: none */
  bool offset;                 /* train: the last column is one */
  const Model *start;          /* train: where to begin; NULL: anywhere */
  uint32_t nclass;     /* > 0: y is the number of one of these classes, c0, c1, .. */
} ScanRows;

static inline double scan_random(uint64_t key, uint64_t i) {
  return unit_of(rng_word(key, i));
}

static inline void scan_panel(const ScanRows *s, uint32_t from, uint32_t n, Panel *p, Matrix *view, Col *cols,
                              uint32_t *at) {
  memset(p, 0, sizeof *p);
  p->n = n;
  p->at = at + from;
  p->weight = s->weight ? s->weight + from : NULL;
  p->y = s->y ? s->y + from : NULL;
  if (s->x.n) {
    *view = s->x;
    view->n = n;
    if (view->a)
      view->a += (size_t)from * s->x.d;
    else
      view->ptr += from;
    p->x = view;
  }
  for (uint32_t k = 0; k < s->nout; k++) {
    cols[k] = s->out[k];
    if (cols[k].constant)
      continue;
    size_t size = cols[k].type == IR_BOOL  ? 1
                  : cols[k].type == IR_STR ? 4
                  : cols[k].type == IR_VEC ? 8 * (size_t)cols[k].width
                                           : 8;
    cols[k].b += size * from;
    if (cols[k].null)
      cols[k].null += from;
  }
  p->out = s->nout ? cols : NULL;
  p->nout = s->nout;
}

static inline void *scan_leaf(ScanRows *s, const Pass *pass, void *par, uint32_t from, uint32_t to,
                              uint32_t *at, Err *e) {
  void *partial = pass->init(par, e);
  Arena scratch;
  arena_init(&scratch, NULL);
  Ctx ctx = {.scratch = &scratch, .errors = &s->errors, .err = e};
  uint32_t cut = s->cut ? s->cut : PANEL_ROWS;
  Status st = partial ? ST_OK : e->code;
  while (from < to && !st) {
    uint32_t n = to - from < cut ? to - from : cut;
    Panel p;
    Matrix view;
    Col cols[8];
    scan_panel(s, from, n, &p, &view, cols, at);
    st = pass->map(par, &p, partial, &ctx);
    arena_reset(&scratch);
    from += n;
  }
  arena_free(&scratch);
  Buf saved = {0};
  void *copy = NULL;
  if (!st)
    st = pass->save(par, partial, &saved, e);
  if (!st)
    copy = pass->load(par, buf_bytes(&saved), e);
  if (copy) { /* the round trip is exact, and nothing shorter is accepted */
    Buf again = {0};
    Err ignored = {0};
    assert_int_equal(pass->save(par, copy, &again, e), ST_OK);
    assert_int_equal(saved.n, again.n);
    assert_memory_equal(saved.p, again.p, saved.n);
    void *bad = pass->load(par, (Bytes){saved.p, saved.n - 1}, &ignored);
    assert_null(bad);
    buf_free(&again);
  }
  buf_free(&saved);
  if (partial)
    pass->free(par, partial);
  return copy;
}

/* Leaves [lo, lo + size): left half, right half, merged; NULL where there are no rows. */
static inline void *scan_tree(ScanRows *s, const Pass *pass, void *par, uint32_t lo, uint32_t size,
                              uint32_t *at, Err *e) {
  uint32_t rows = (s->cut ? s->cut : PANEL_ROWS) * (s->leaf ? s->leaf : 4);
  uint64_t from = (uint64_t)lo * rows, to = from + rows;
  if (from >= s->n)
    return NULL;
  if (size == 1)
    return scan_leaf(s, pass, par, (uint32_t)from, to < s->n ? (uint32_t)to : s->n, at, e);
  void *l = scan_tree(s, pass, par, lo, size / 2, at, e);
  void *r = scan_tree(s, pass, par, lo + size / 2, size / 2, at, e);
  if (!r || e->code)
    return l;
  assert_int_equal(pass->merge(par, l, r, e), ST_OK);
  pass->free(par, r);
  return l;
}

/* Of all results together: an Iter only reads them, since another may have asked for the same. */
static inline uint64_t scan_mark(const Buf *out, uint32_t n) {
  uint64_t h = 0;
  for (uint32_t i = 0; i < n; i++)
    h = hash_bytes(h, out[i].p, out[i].n);
  return h;
}

static inline Status scan_run(ScanRows *s, Iter *it, Err *e) {
  Jobs jobs = {0};
  Buf *out = NULL;
  uint32_t nout = 0;
  Status st;
  uint32_t *at = malloc((s->n + 1) * sizeof *at);
  for (uint32_t i = 0; i < s->n; i++)
    at[i] = i;
  s->scans = 0;
  memset(&s->errors, 0, sizeof s->errors);
  for (;;) {
    jobs_clear(&jobs);
    uint64_t before = scan_mark(out, nout);
    st = it->next(it, out, nout, &jobs, e);
    assert_true(scan_mark(out, nout) == before);
    for (uint32_t i = 0; i < nout; i++)
      buf_free(&out[i]);
    free(out);
    out = NULL;
    nout = 0;
    if (st || jobs.n == 0)
      break;
    out = calloc(jobs.n, sizeof *out);
    nout = jobs.n;
    s->scans++;
    for (uint32_t i = 0; i < nout && !st; i++) {
      const Pass *pass = jobs.v[i].pass;
      void *par = pass->open(buf_bytes(&jobs.v[i].par), e);
      if (!par) {
        st = e->code;
        break;
      }
      assert_true(pass->partial_size(par) > 0);
      void *root = scan_tree(s, pass, par, 0, 1u << 20, at, e);
      if (!root && !e->code)
        root = pass->init(par, e);
      st = e->code ? e->code : pass->save(par, root, &out[i], e);
      if (root)
        pass->free(par, root);
      pass->close(par);
    }
    if (s->errors.count && !st)
      st = err_set(e, ST_DATA, "", NULL, "%s", s->errors.v[0].text);
    if (st)
      break;
  }
  for (uint32_t i = 0; i < nout; i++)
    buf_free(&out[i]);
  free(out);
  jobs_free(&jobs);
  free(at);
  return st;
}

/* All options of a table with their defaults; `set` are name, number pairs ended by NULL. */
static inline uint32_t scan_options(const Option *table, IrOption *out, va_list set) {
  uint32_t n = 0;
  for (; table && table[n].name; n++)
    out[n] = (IrOption){.name = table[n].name, .num = table[n].def};
  const char *name;
  while ((name = va_arg(set, const char *))) {
    double v = va_arg(set, double);
    bool found = false;
    for (uint32_t i = 0; i < n; i++)
      if (strcmp(out[i].name, name) == 0) {
        out[i].num = v;
        found = true;
      }
    assert_true(found);
  }
  return n;
}

/* Trains; *m is to be freed with scan_model_free, also on failure. */
static inline Status scan_train(const Estimator *est, ScanRows *s, Model *m, Err *e, ...) {
  IrOption option[32];
  va_list ap;
  va_start(ap, e);
  uint32_t n = scan_options(est->option, option, ap);
  va_end(ap);
  memset(m, 0, sizeof *m);
  memset(e, 0, sizeof *e);
  m->est = est;
  m->d = s->x.d;
  m->feature = calloc(s->x.d + 1, sizeof *m->feature);
  for (uint32_t j = 0; j < s->x.d; j++) {
    m->feature[j] = malloc(16);
    snprintf(m->feature[j], 16, "x%u", j);
  }
  uint32_t *width = malloc((s->x.d + 1) * sizeof *width);
  for (uint32_t j = 0; j < s->x.d; j++)
    width[j] = 1;
  for (uint32_t i = 0; i < n; i++) {
    const double *bound = !strcmp(option[i].name, "lower")   ? s->lower
                          : !strcmp(option[i].name, "upper") ? s->upper
                                                             : NULL;
    if (bound) {
      option[i].n = s->x.d;
      option[i].list = bound;
      option[i].names = (const char **)m->feature;
    }
  }
  TrainInfo t = {.name = "test",
                 .d = s->x.d,
                 .feature = m->feature,
                 .sparse = s->x.a == NULL,
                 .option = option,
                 .noption = n,
                 .nslot = s->x.d,
                 .slot = (const char *const *)m->feature,
                 .width = width,
                 .offset = s->offset,
                 .start = s->start};
  if (s->nclass) {
    t.task = m->task = TASK_MULTICLASS;
    t.nclass = m->nclass = s->nclass;
    t.class = m->class = calloc(s->nclass, sizeof *m->class);
    for (uint32_t c = 0; c < s->nclass; c++) {
      m->class[c] = malloc(16);
      snprintf(m->class[c], 16, "c%u", c);
    }
  } else if (est->tasks & TASK_BIT(TASK_BINARY)) {
    t.task = m->task = TASK_BINARY;
  }
  m->nout = model_outputs(m->task, m->nclass);
  Iter *it = NULL;
  Status st = est->begin(&t, &it, e);
  if (!st)
    st = scan_run(s, it, e);
  if (!st)
    st = est->finish(it, m, e);
  if (it)
    it->free(it);
  free(width);
  if (!st)
    assert_int_equal(est->verify(m, e), ST_OK);
  return st;
}

static inline void scan_model_free(Model *m) {
  for (uint32_t j = 0; j < m->d; j++)
    free(m->feature[j]);
  free(m->feature);
  for (uint32_t c = 0; c < m->nclass; c++)
    free(m->class[c]);
  free(m->class);
  for (uint32_t i = 0; i < m->ntensor; i++) {
    mem_free((void *)(uintptr_t)m->tensor[i].name);
    mem_free(m->tensor[i].v);
  }
  mem_free(m->tensor);
  mem_free(m->objective);
  memset(m, 0, sizeof *m);
}

/* Dense to CSR; zeros are left out when `drop`. */
static inline Matrix scan_sparse(const Matrix *a, bool drop) {
  Matrix s = {.n = a->n, .d = a->d};
  s.ptr = malloc((a->n + 1) * sizeof *s.ptr);
  s.col = malloc(((size_t)a->n * a->d + 1) * sizeof *s.col);
  s.val = malloc(((size_t)a->n * a->d + 1) * sizeof *s.val);
  uint32_t k = 0;
  s.ptr[0] = 0;
  for (uint32_t i = 0; i < a->n; i++) {
    for (uint32_t j = 0; j < a->d; j++) {
      double v = a->a[(size_t)i * a->d + j];
      if (drop && v == 0)
        continue;
      s.col[k] = j;
      s.val[k++] = v;
    }
    s.ptr[i + 1] = k;
  }
  return s;
}

static inline void scan_sparse_free(Matrix *s) {
  free(s->ptr);
  free(s->col);
  free(s->val);
}

#endif
