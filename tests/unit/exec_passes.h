/* SPDX-License-Identifier: Apache-2.0 */
/* Passes for tests of executors, one of each kind: a floating sum whose bits depend on every merge, an
 * exact count, a list of positions in order, a sum with a partial so large that leaves are whole blocks,
 * and a sum over matrices. Before them how the programs begin that run them. */
#ifndef TESTS_UNIT_EXEC_PASSES_H
#define TESTS_UNIT_EXEC_PASSES_H

#include <string.h>

#include "base/arena.h"
#include "vm/exec.h"

/* How the programs of these tests begin: a source of three columns, and rows, a seventh of which goes; %10 is
 * their part. */
#define PROGRAM_BEGIN(file) \
  "cml-ir 1\n" \
  "program \"t.cml\" seed 0 fitted 2\n" \
  "source \"d\" {\n" \
  "  input \"csv\" \"" file "\"\n" \
  "  column \"id\" int\n" \
  "  column \"x\" float?\n" \
  "  column \"k\" category\n" \
  "  declared \"id\" \"x\" \"k\"\n" \
  "}\n" \
  "rows \"d.rows\" from \"d\" {\n" \
  "  %0 = col s=\"id\" : i64\n" \
  "  %1 = col s=\"x\" : f64?\n" \
  "  %2 = col s=\"k\" : str\n" \
  "  %3 = const.i64 i=7 : i64\n" \
  "  %4 = mod.i64 %0 %3 : i64?\n" \
  "  %5 = const.i64 i=3 : i64\n" \
  "  %6 = ne.i64 %4 %5 : b?\n" \
  "  %7 = keep %6 : b\n" \
  "  %8 = rng i=11 : f64\n" \
  "  %9 = const.list list=[0.75] : list\n" \
  "  %10 = cut.f64 %8 %9 : i64\n"

typedef struct Sum { /* also of the big one, which only says that it is big */
  double s;
  uint64_t n;
} Sum;

static size_t small_size(const void *par) {
  (void)par;
  return sizeof(Sum);
}

static size_t big_size(const void *par) {
  (void)par;
  return (size_t)3 << 20;
}

static size_t middle_size(const void *par) {
  (void)par;
  return (size_t)400 << 10;
}

static void *par_open(Bytes par, Err *e) { /* the parameter is one double */
  double *d = mem_alloc(sizeof *d);
  (void)e;
  if (d && par.n == sizeof *d)
    memcpy(d, par.p, sizeof *d);
  return d;
}

static void *sum_init(const void *par, Err *e) {
  (void)par, (void)e;
  return mem_alloc(sizeof(Sum));
}

/* Every value of column 0, times the parameter and the weight, and a little that depends on the panel: a
 * bit that moves is seen. */
static Status sum_map(const void *par, const Panel *p, void *partial, Ctx *ctx) {
  Sum *s = partial;
  double t = 0, k = *(const double *)par;
  (void)ctx;
  for (uint32_t r = 0; r < p->n; r++) {
    const Col *c = &p->out[0];
    uint32_t i = c->constant ? 0 : r;
    if (c->null && c->null[i])
      continue;
    t += c->f[i] * k * (p->weight ? p->weight[r] : 1);
    s->n++;
  }
  s->s = s->s * (1 + 0x1p-50) + t;
  return ST_OK;
}

static Status matrix_map(const void *par, const Panel *p, void *partial, Ctx *ctx) {
  Sum *s = partial;
  double t = 0, k = *(const double *)par;
  (void)ctx;
  for (uint32_t r = 0; r < p->n; r++) {
    double m = 0;
    for (uint32_t j = 0; p->x->a && j < p->x->d; j++)
      m += p->x->a[(size_t)r * p->x->d + j] * (j + k);
    for (uint32_t j = p->x->a ? 0 : p->x->ptr[r]; !p->x->a && j < p->x->ptr[r + 1]; j++)
      m += p->x->val[j] * (p->x->col[j] + k);
    t += (m - p->y[r]) * (p->weight ? p->weight[r] : 1) + p->at[r] * 0.125 + (p->fold ? p->fold[r] : 0);
    s->n++;
  }
  s->s = s->s * (1 + 0x1p-50) + t;
  return ST_OK;
}

static Status sum_merge(const void *par, void *l, void *r, Err *e) {
  Sum *a = l, *b = r;
  (void)par, (void)e;
  a->s = a->s * (1 - 0x1p-51) + b->s;
  a->n += b->n;
  return ST_OK;
}

static Status sum_save(const void *par, const void *partial, Buf *out, Err *e) {
  const Sum *s = partial;
  (void)par, (void)e;
  buf_f64(out, s->s);
  buf_u64(out, s->n);
  return ST_OK;
}

static void *sum_load(const void *par, Bytes in, Err *e) {
  Rd r = rd_of(in);
  Sum *s = mem_alloc(sizeof *s);
  (void)par;
  if (!s)
    return NULL;
  s->s = rd_f64(&r);
  s->n = rd_u64(&r);
  if (rd_done(&r))
    return s;
  mem_free(s);
  err_set(e, ST_FAULT, "", NULL, "bad sum");
  return NULL;
}

static void plain_free(const void *par, void *p) {
  (void)par;
  mem_free(p);
}

/* ---- Counts of rows by fold: exact ---- */

typedef struct Count {
  uint64_t n[8];
} Count;

static void *count_init(const void *par, Err *e) {
  (void)par, (void)e;
  return mem_alloc(sizeof(Count));
}

static Status count_map(const void *par, const Panel *p, void *partial, Ctx *ctx) {
  Count *c = partial;
  (void)par, (void)ctx;
  for (uint32_t r = 0; r < p->n; r++)
    c->n[p->fold ? p->fold[r] & 7 : 0]++;
  return ST_OK;
}

static Status count_merge(const void *par, void *l, void *r, Err *e) {
  (void)par, (void)e;
  for (int i = 0; i < 8; i++)
    ((Count *)l)->n[i] += ((Count *)r)->n[i];
  return ST_OK;
}

static Status count_save(const void *par, const void *partial, Buf *out, Err *e) {
  (void)par, (void)e;
  for (int i = 0; i < 8; i++)
    buf_u64(out, ((const Count *)partial)->n[i]);
  return ST_OK;
}

static void *count_load(const void *par, Bytes in, Err *e) {
  (void)e;
  Rd r = rd_of(in);
  Count *c = count_init(par, e);
  for (int i = 0; c && i < 8; i++)
    c->n[i] = rd_u64(&r);
  return c;
}

/* ---- File and position of every row, with the text of column 1 where there is one: a list ---- */

static void *list_init(const void *par, Err *e) {
  (void)par, (void)e;
  return mem_alloc(sizeof(Buf));
}

static Status list_map(const void *par, const Panel *p, void *partial, Ctx *ctx) {
  (void)par, (void)ctx;
  Buf *b = partial;
  for (uint32_t r = 0; r < p->n; r++) {
    buf_u32(b, p->file);
    buf_u64(b, p->pos + p->at[r]);
    const Col *c = p->nout > 1 ? &p->out[1] : NULL;
    uint32_t i = c && !c->constant ? r : 0;
    if (c && c->type == IR_STR && !(c->null && c->null[i]))
      buf_blob(b, c->dict->bytes + c->dict->off[c->code[i]],
               c->dict->off[c->code[i] + 1] - c->dict->off[c->code[i]]);
    else
      buf_blob(b, "-", 1);
  }
  return ST_OK;
}

static Status list_merge(const void *par, void *l, void *r, Err *e) {
  (void)par, (void)e;
  buf_put(l, ((Buf *)r)->p, ((Buf *)r)->n);
  return ST_OK;
}

static Status list_save(const void *par, const void *partial, Buf *out, Err *e) {
  (void)par, (void)e;
  buf_put(out, ((const Buf *)partial)->p, ((const Buf *)partial)->n);
  return ST_OK;
}

static void *list_load(const void *par, Bytes in, Err *e) {
  Buf *b = list_init(par, e);
  if (b)
    buf_put(b, in.p, in.n);
  return b;
}

static void list_free(const void *par, void *p) {
  (void)par;
  buf_free(p);
  mem_free(p);
}

static void par_close(void *par) {
  mem_free(par);
}

static const Pass sum_pass = {"test.sum", RED_TREE, par_open, par_close, small_size, sum_init, sum_map,
                              sum_merge, sum_save, sum_load, plain_free};
static const Pass big_pass = {"test.big", RED_TREE, par_open, par_close, big_size, sum_init, sum_map,
                              sum_merge, sum_save, sum_load, plain_free};
static const Pass middle_pass = {"test.middle", RED_TREE, par_open, par_close, middle_size, sum_init, sum_map,
                                 sum_merge,
                                 sum_save, sum_load, plain_free};
static const Pass matrix_pass = {"test.matrix", RED_TREE, par_open, par_close, small_size, sum_init,
                                 matrix_map, sum_merge,
                                 sum_save, sum_load, plain_free};
static const Pass count_pass = {"test.count", RED_EXACT, par_open, par_close, small_size, count_init,
                                count_map, count_merge,
                                count_save, count_load, plain_free};
static const Pass list_pass = {"test.list", RED_LIST, par_open, par_close, small_size, list_init, list_map,
                               list_merge, list_save, list_load, list_free};
static const Pass *const test_passes[] = {&sum_pass, &big_pass, &middle_pass, &matrix_pass, &count_pass,
                                          &list_pass, NULL};

#endif
