/* SPDX-License-Identifier: Apache-2.0 */
/* Aggregates: the table of them, and the Iter that fits all of a stage.
 *
 * agg_begin sorts the aggregates of a stage into plans: one job of "agg.scalar", one of "agg.vocab", of
 * "agg.vector" and of "agg.covariance" for vectors, one of "agg.table" for each tuple of keys (by fold or
 * not), one of "agg.collect_by" for grouped quantiles of each tuple. They all run in the first scan;
 * ungrouped quantiles (order.c) and power transforms (power.c) have jobs of their own in it, and ask for
 * more scans.
 * agg_finish makes fitted values.
 *
 * Corners: aggregates skip nulls. NaN makes a sum, mean or variance NaN; in min, max and quantiles it
 * stands above infinity. -0 is 0. Rows with a null in a key belong to no group. A key that was seen only
 * outside of what `where` lets through counts and sums to 0, and has no mean. Different values are counted
 * as keys of a table. Variances divide by n - 1, or with weights by W - (sum w^2) / W, and are 0 for one
 * value. */
#include "vm/agg.h"

#include <string.h>

#include "vm/agg/order.h"
#include "vm/agg/parts.h"
#include "vm/blas.h"

static const struct {
  AggOp op;
  AggFn fn;
} ops[] = {
    {{"count", -1, IR_I64, true, false}, FN_COUNT},
    {{"count.b", IR_BOOL, IR_I64, true, false}, FN_COUNT},
    {{"count.i64", IR_I64, IR_I64, true, false}, FN_COUNT},
    {{"count.f64", IR_F64, IR_I64, true, false}, FN_COUNT},
    {{"count.str", IR_STR, IR_I64, true, false}, FN_COUNT},
    {{"count_distinct.b", IR_BOOL, IR_I64, true, false}, FN_DISTINCT},
    {{"count_distinct.i64", IR_I64, IR_I64, true, false}, FN_DISTINCT},
    {{"count_distinct.f64", IR_F64, IR_I64, true, false}, FN_DISTINCT},
    {{"count_distinct.str", IR_STR, IR_I64, true, false}, FN_DISTINCT},
    {{"sum.i64", IR_I64, IR_I64, true, false}, FN_SUM_I64},
    {{"sum.f64", IR_F64, IR_F64, true, true}, FN_SUM},
    {{"mean.f64", IR_F64, IR_F64, true, true}, FN_MEAN},
    {{"variance.f64", IR_F64, IR_F64, true, true}, FN_VARIANCE},
    {{"stddev.f64", IR_F64, IR_F64, true, true}, FN_STDDEV},
    {{"min.i64", IR_I64, IR_I64, true, false}, FN_MIN_I64},
    {{"max.i64", IR_I64, IR_I64, true, false}, FN_MAX_I64},
    {{"min.f64", IR_F64, IR_F64, true, false}, FN_MIN},
    {{"max.f64", IR_F64, IR_F64, true, false}, FN_MAX},
    {{"min.str", IR_STR, IR_STR, false, false}, FN_MIN_STR},
    {{"max.str", IR_STR, IR_STR, false, false}, FN_MAX_STR},
    {{"median.f64", IR_F64, IR_F64, true, false}, FN_MEDIAN},
    {{"quantile.f64", IR_F64, IR_F64, true, false}, FN_QUANTILE},
    {{"quantiles.f64", IR_F64, IR_LIST, false, false}, FN_QUANTILES},
    {{"mode.str", IR_STR, IR_STR, false, false}, FN_MODE},
    {{"categories.str", IR_STR, IR_VOCAB, false, false}, FN_CATEGORIES},
    {{"grid.f64", IR_F64, IR_LIST, false, false}, FN_GRID},
    {{"box_cox_lambda.f64", IR_F64, IR_F64, false, false}, FN_BOX_COX},
    {{"yeo_johnson_lambda.f64", IR_F64, IR_F64, false, false}, FN_YEO_JOHNSON},
    {{"count.vec", IR_VEC, IR_I64, true, false}, FN_COUNT},
    {{"sum.vec", IR_VEC, IR_VEC, false, true}, FN_SUM},
    {{"mean.vec", IR_VEC, IR_VEC, false, true}, FN_MEAN},
    {{"variance.vec", IR_VEC, IR_VEC, false, true}, FN_VARIANCE},
    {{"stddev.vec", IR_VEC, IR_VEC, false, true}, FN_STDDEV},
    {{"min.vec", IR_VEC, IR_VEC, false, false}, FN_MIN},
    {{"max.vec", IR_VEC, IR_VEC, false, false}, FN_MAX},
    {{"covariance.vec", IR_VEC, IR_MAT, false, false}, FN_COVARIANCE},
    {{"components.vec", IR_VEC, IR_MAT, false, false}, FN_COMPONENTS},
    {{"whitening.vec", IR_VEC, IR_MAT, false, false}, FN_WHITENING},
    {{"vocabulary.strs", IR_STRS, IR_VOCAB, false, false}, FN_VOCABULARY},
    {{"nonzeros.vec", IR_VEC, IR_VEC, false, false}, FN_NONZEROS},
};
enum { NOPS = sizeof ops / sizeof *ops, QUANTILES_MOST = 10000 };

const AggOp *agg_op_at(uint32_t i) {
  return i < NOPS ? &ops[i].op : NULL;
}

static int find_op(const char *name) {
  for (int i = 0; name && i < NOPS; i++)
    if (!strcmp(ops[i].op.name, name))
      return i;
  return -1;
}

const AggOp *agg_op(const char *name) {
  int i = find_op(name);
  return i < 0 ? NULL : &ops[i].op;
}

const Pass *const agg_passes[] = {&pass_scalar,  &pass_vocab,      &pass_table,    &pass_histogram,
                                  &pass_collect, &pass_collect_by, &pass_vector,   &pass_covariance,
                                  &pass_power,   &pass_terms,      &pass_nonzeros, &pass_sample, NULL};

/* ---- Plans ---- */

typedef struct Agg {
  const IrAgg *a;
  AggFn fn;
  AggSrc src;
  bool folded;   /* needs states by fold */
  uint32_t plan; /* number of its plan, or NO_PLAN: it asks for jobs of its own */
  uint32_t at;   /* its number there; ungrouped quantiles: its column */
} Agg;

enum { NO_PLAN = UINT32_MAX };

typedef struct Plan { /* a job of the first round */
  const Pass *pass;
  uint32_t first;     /* an aggregate of it: keys, folded */
  uint32_t n;
  Buf par;
  void *open, *partial;
} Plan;

typedef struct AggIter {
  Iter base;
  const Stage *s;
  uint32_t folds;
  bool forward;
  Agg *agg;
  Plan *plan;
  uint32_t nplan;
  Orders orders;
  uint32_t norder;    /* jobs of the round under way that are theirs */
  Powers powers;
  uint32_t round; /* how often next() was called */
} AggIter;

static bool is_quantile(AggFn fn) {
  return fn == FN_MEDIAN || fn == FN_QUANTILE || fn == FN_QUANTILES || fn == FN_GRID;
}

static const Pass *pass_of(const Agg *x) {
  if (x->fn == FN_VOCABULARY)
    return &pass_terms;
  if (x->fn == FN_NONZEROS)
    return &pass_nonzeros;
  if (x->fn == FN_DISTINCT)
    return &pass_table;
  if (is_quantile(x->fn))
    return x->a->nkey ? &pass_collect_by : &pass_sample;
  if (x->fn == FN_MIN_STR || x->fn == FN_MAX_STR || x->fn == FN_MODE || x->fn == FN_CATEGORIES)
    return &pass_vocab;
  if (x->fn == FN_BOX_COX || x->fn == FN_YEO_JOHNSON)
    return &pass_power;
  if (x->fn == FN_COVARIANCE || x->fn == FN_COMPONENTS || x->fn == FN_WHITENING)
    return &pass_covariance;
  if (x->fn != FN_COUNT && agg_op(x->a->op)->arg == IR_VEC)
    return &pass_vector;
  return x->a->nkey ? &pass_table : &pass_scalar;
}

static bool same_keys(const Agg *x, const Agg *y) {
  bool distinct = x->fn == FN_DISTINCT;
  if (x->a->nkey != y->a->nkey || x->folded != y->folded || distinct != (y->fn == FN_DISTINCT) ||
      (distinct && x->a->arg != y->a->arg))
    return false;
  return !x->a->nkey || !memcmp(x->a->key, y->a->key, x->a->nkey * sizeof *x->a->key);
}

/* The output that exports a value. */
static Status output_of(const Stage *s, int32_t val, int32_t *out, Err *e) {
  *out = -1;
  for (uint32_t k = 0; val >= 0 && k < s->prog.nout; k++)
    if (s->prog.out[k].val == (uint32_t)val) {
      *out = (int32_t)k;
      return ST_OK;
    }
  return val < 0 ? ST_OK
                 : err_set(e, ST_FAULT, "CML0601", NULL,
                           "an aggregate of stage \"%.80s\" reads a value that is not exported", s->name);
}

static Status check_par(const Agg *x, Err *e) {
  double q = x->a->par;
  if (x->fn == FN_QUANTILE && !(q >= 0 && q <= 1))
    return err_set(e, ST_PROGRAM, "CML0415", "Give a number from 0 to 1.",
                   "`%.200s` (line %u) asks for quantile %g", x->a->text, x->a->line, q);
  if (x->fn == FN_GRID && !(q >= 2 && q <= QUANTILES_MOST && q == (double)(int64_t)q))
    return err_set(e, ST_PROGRAM, "CML0415", "Give a whole number from 2 to 10000.",
                   "`%.200s` (line %u) asks for %g points", x->a->text, x->a->line, q);
  if (x->fn == FN_QUANTILES && !(q >= 2 && q <= QUANTILES_MOST && q == (double)(int64_t)q))
    return err_set(e, ST_PROGRAM, "CML0415", "Give a whole number from 2 to 10000.",
                   "`%.200s` (line %u) asks for %g groups", x->a->text, x->a->line, q);
  return ST_OK;
}

static Status resolve(AggIter *it, Agg *x, const IrAgg *a, Err *e) {
  int op = find_op(a->op);
  if (op < 0 || a->nkey + (ops[op].fn == FN_DISTINCT) > KEY_PARTS || (a->nkey && !ops[op].op.grouped) ||
      (a->crossfit && (!a->nkey || it->folds < 2)))
    return err_set(e, ST_FAULT, "CML0601", NULL, "stage \"%.80s\" has an aggregate that cannot be",
                   it->s->name);
  x->a = a;
  x->fn = ops[op].fn;
  x->folded = a->nkey && (a->crossfit || a->leave_out >= 0);
  x->src = (AggSrc){.leave_out = a->nkey ? -1 : a->leave_out, .line = a->line, .col = a->col};
  if (output_of(it->s, a->arg, &x->src.arg, e) || output_of(it->s, a->where, &x->src.where, e) ||
      output_of(it->s, a->weight, &x->src.weight, e))
    return e->code;
  if ((ops[op].op.arg >= 0) != (x->src.arg >= 0) || (x->src.weight >= 0 && !ops[op].op.weighted))
    return err_set(e, ST_FAULT, "CML0601", NULL, "stage \"%.80s\" has an aggregate with the wrong arguments",
                   it->s->name);
  return check_par(x, e);
}

static Status put_keys(AggIter *it, const Agg *x, Buf *b, Err *e) {
  uint32_t n = x->a->nkey;
  bool distinct = x->fn == FN_DISTINCT; /* the value is one more part of the key: there is an entry for
                                         * each */
  buf_u64(b, n + distinct);
  for (uint32_t k = 0; k < n + distinct; k++) {
    int32_t out;
    if (output_of(it->s, k < n ? (int32_t)x->a->key[k] : x->a->arg, &out, e))
      return e->code;
    buf_u32(b, (uint32_t)out);
  }
  return ST_OK;
}

static Status write_plan(AggIter *it, uint32_t p, Err *e) {
  Plan *plan = &it->plan[p];
  const Agg *first = &it->agg[plan->first];
  Buf *b = &plan->par;
  if (plan->pass == &pass_table)
    buf_u32(b, first->folded ? it->folds : 1);
  if ((first->a->nkey || first->fn == FN_DISTINCT) && put_keys(it, first, b, e))
    return e->code;
  buf_u64(b, plan->n);
  for (uint32_t i = 0; i < it->s->nagg; i++) {
    const Agg *x = &it->agg[i];
    if (x->plan != p)
      continue;
    if (plan->pass == &pass_vocab)
      buf_u8(b, (uint8_t)x->fn);
    else if (plan->pass != &pass_collect_by && plan->pass != &pass_covariance && plan->pass != &pass_terms &&
             plan->pass != &pass_nonzeros)
      buf_u8(b, (uint8_t)state_kind(x->fn, x->src.weight >= 0));
    src_put(b, &x->src);
  }
  return b->bad ? err_memory(e) : ST_OK;
}

/* q of the k-th quantile of an aggregate, k from 1. */
static double q_of(const Agg *x, uint32_t k) {
  if (x->fn == FN_GRID)
    return (double)(k - 1) / (x->a->par - 1);
  return x->fn == FN_MEDIAN ? 0.5 : x->fn == FN_QUANTILE ? x->a->par : (double)k / x->a->par;
}

static uint32_t q_count(const Agg *x) {
  return x->fn == FN_GRID ? (uint32_t)x->a->par : x->fn == FN_QUANTILES ? (uint32_t)x->a->par - 1 : 1;
}

static Status want_quantiles(AggIter *it, Agg *x, Err *e) {
  int64_t col = orders_col(&it->orders, &x->src, e);
  x->plan = NO_PLAN;
  x->at = (uint32_t)col;
  for (uint32_t k = 1; col >= 0 && k <= q_count(x); k++)
    if (orders_want(&it->orders, x->at, q_of(x, k), e))
      break;
  return e->code;
}

static Status make_plan(AggIter *it, uint32_t i, Err *e) {
  Agg *x = &it->agg[i];
  if (resolve(it, x, &it->s->agg[i], e))
    return e->code;
  const Pass *pass = pass_of(x);
  uint32_t p = 0;
  if (pass == &pass_power) {
    x->plan = NO_PLAN;
    return powers_add(&it->powers, x->fn, &x->src, &x->at, e);
  }
  if (pass == &pass_sample)
    return want_quantiles(it, x, e);
  if (pass == &pass_covariance && !blas_get(e)) /* before workers run: loading sets the environment */
    return e->code;
  while (p < it->nplan && !(it->plan[p].pass == pass && same_keys(x, &it->agg[it->plan[p].first])))
    p++;
  if (p == it->nplan)
    it->plan[it->nplan++] = (Plan){.pass = pass, .first = i};
  x->plan = p;
  x->at = it->plan[p].n++;
  return ST_OK;
}

static Status make_plans(AggIter *it, Err *e) {
  for (uint32_t i = 0; i < it->s->nagg; i++)
    if (make_plan(it, i, e))
      return e->code;
  for (uint32_t p = 0; p < it->nplan; p++)
    if (write_plan(it, p, e))
      return e->code;
  return ST_OK;
}

/* ---- Rounds ---- */

static void release(Plan *p) {
  if (p->partial)
    p->pass->free(p->open, p->partial);
  if (p->open)
    p->pass->close(p->open);
  p->open = p->partial = NULL;
}

static Status take_first(AggIter *it, const Buf *out, Err *e) {
  for (uint32_t p = 0; p < it->nplan; p++) {
    Plan *plan = &it->plan[p];
    plan->open = plan->pass->open(buf_bytes(&plan->par), e);
    plan->partial = plan->open ? plan->pass->load(plan->open, buf_bytes(&out[p]), e) : NULL;
    if (!plan->partial)
      return e->code;
  }
  return ST_OK;
}

static Status ask(AggIter *it, Jobs *jobs, Err *e) {
  for (uint32_t p = 0; it->round == 1 && p < it->nplan; p++)
    if (add_job(jobs, it->plan[p].pass, &it->plan[p].par, e))
      return e->code;
  uint32_t before = jobs->n;
  if (orders_ask(&it->orders, jobs, e))
    return e->code;
  it->norder = jobs->n - before;
  return powers_ask(&it->powers, jobs, e);
}

static Status next(Iter *base, const Buf *out, uint32_t nout, Jobs *jobs, Err *e) {
  AggIter *it = (AggIter *)base;
  if (it->round++) {
    uint32_t nplan = it->round == 2 ? it->nplan : 0;
    if (nout < nplan + it->norder)
      return par_bad(e);
    if (nplan && take_first(it, out, e))
      return e->code;
    out += nplan;
    if (orders_take(&it->orders, out, it->norder, e) ||
        powers_take(&it->powers, out + it->norder, nout - nplan - it->norder, e))
      return e->code;
  }
  return ask(it, jobs, e);
}

static void iter_free(Iter *base) {
  AggIter *it = (AggIter *)base;
  if (!it)
    return;
  for (uint32_t p = 0; it->plan && p < it->nplan; p++) {
    release(&it->plan[p]);
    buf_free(&it->plan[p].par);
  }
  orders_free(&it->orders);
  powers_free(&it->powers);
  mem_free(it->plan);
  mem_free(it->agg);
  mem_free(it);
}

Status agg_begin(const Stage *s, const Stage *rows, Iter **out, Err *e) {
  AggIter *it = mem_alloc(sizeof *it);
  *out = NULL;
  if (it) {
    it->base = (Iter){next, iter_free};
    it->s = s;
    it->folds = rows->folds;
    it->forward = rows->forward;
    it->agg = mem_alloc((s->nagg ? s->nagg : 1) * sizeof *it->agg);
    it->plan = mem_alloc((s->nagg ? s->nagg : 1) * sizeof *it->plan);
  }
  if (!it || !it->agg || !it->plan) {
    iter_free(it ? &it->base : NULL);
    return err_memory(e);
  }
  Status st = rows->folds > FOLDS_MOST ? par_bad(e) : make_plans(it, e);
  if (st)
    iter_free(&it->base);
  else
    *out = &it->base;
  return st;
}

/* ---- Results ---- */

static Status nothing(const Agg *x, Err *e) {
  return err_set(e, ST_DATA, "CML0410", "Widen its `where` or the training rows, or leave it out.",
                 "nothing to aggregate in `%.200s` (line %u): no training row has a value there", x->a->text,
                 x->a->line);
}

static Status overflow(const Agg *x, Err *e) {
  return err_set(e, ST_DATA, "CML0412", "Sum a float: write `float(x)` for the argument.",
                 "`%.200s` (line %u) does not fit in 64 bits", x->a->text, x->a->line);
}

static Status finish_scalar(const Agg *x, const Plan *p, Fitted *f, Err *e) {
  Word s[WORDS_MOST];
  scalar_state(p->open, p->partial, x->at, s);
  Value v = state_value(x->fn, state_kind(x->fn, x->src.weight >= 0), s);
  if (v.none)
    return nothing(x, e);
  if (v.overflow)
    return overflow(x, e);
  f->type = agg_op(x->a->op)->result;
  f->i = v.i;
  f->f = v.f;
  return ST_OK;
}

static Status finish_quantiles(const AggIter *it, const Agg *x, Fitted *f, Err *e) {
  uint32_t n = q_count(x);
  if (!it->orders.col[x->at].n)
    return nothing(x, e);
  if (x->fn != FN_QUANTILES && x->fn != FN_GRID) {
    f->type = IR_F64;
    f->f = orders_value(&it->orders, x->at, q_of(x, 1));
    if (f->f != f->f)
      f->f = f64_of_key(f64_key(f->f));
    return ST_OK;
  }
  f->type = IR_LIST;
  f->n = n;
  f->list = mem_alloc(n * sizeof *f->list);
  if (!f->list)
    return err_memory(e);
  for (uint32_t k = 0; k < n; k++) {
    f->list[k] = orders_value(&it->orders, x->at, q_of(x, k + 1));
    if (f->list[k] != f->list[k])
      return err_set(
          e, ST_DATA, "CML0411", "Restrict it to numbers: `where is_finite(x)`.",
          "a cut point of `%.200s` (line %u) is not a number, since the values have NaN or both infinities",
          x->a->text, x->a->line);
    if (k && f->list[k] < f->list[k - 1])
      f->list[k] = f->list[k - 1]; /* two roundings of one gap between values */
  }
  return ST_OK;
}

static Status finish_covariance(const Agg *x, const Plan *p, Fitted *f, Err *e) {
  bool none = false;
  uint32_t width = 0;
  Status st = covariance_fitted(x->fn, x->a->par, p->partial, x->at, f, &none, &width, e);
  if (st || none)
    return st ? st : nothing(x, e);
  if (x->fn != FN_COVARIANCE && x->a->par > width)
    return err_set(e, ST_DATA, "CML0415", "Ask for fewer.",
                   "`%.200s` (line %u) asks for %g components of a vector of %u elements", x->a->text,
                   x->a->line, x->a->par, width);
  return ST_OK;
}

static Status finish_power(const AggIter *it, const Agg *x, Fitted *f, Err *e) {
  const Power *p = &it->powers.v[x->at];
  if (!p->n)
    return nothing(x, e);
  f->type = IR_F64;
  f->f = p->best;
  return ST_OK;
}

static Status finish_one(const AggIter *it, const Agg *x, Fitted *f, Err *e) {
  if (x->plan == NO_PLAN)
    return is_quantile(x->fn) ? finish_quantiles(it, x, f, e) : finish_power(it, x, f, e);
  const Plan *p = &it->plan[x->plan];
  const IrAgg *a = x->a;
  uint32_t variants = a->crossfit ? 1 + it->folds : 1;
  Sees sees = {.leave_out = a->leave_out, .forward = it->forward};
  bool bad = false;
  if (p->pass == &pass_scalar)
    return finish_scalar(x, p, f, e);
  if (p->pass == &pass_collect_by)
    return by_fitted(p->partial, x->at, q_of(x, 1), a->nkey, variants, sees, f, e);
  if (p->pass == &pass_terms)
    return terms_fitted(&((const Terms *)p->partial)->item[x->at], a, f, e);
  if (p->pass == &pass_nonzeros) {
    Status st = nonzeros_fitted(&((const Nonzeros *)p->partial)->item[x->at], f, &bad, e);
    return !st && bad ? nothing(x, e) : st;
  }
  if (p->pass == &pass_vocab) {
    Status st = vocab_fitted(x->fn, a, &((const Vocab *)p->partial)->item[x->at], f, &bad, e);
    return !st && bad ? nothing(x, e) : st;
  }
  if (p->pass == &pass_vector) {
    Status st = vector_fitted(x->fn, state_kind(x->fn, x->src.weight >= 0),
                              &((const Vectors *)p->partial)->item[x->at], f, &bad, e);
    return !st && bad ? nothing(x, e) : st;
  }
  if (p->pass == &pass_covariance)
    return finish_covariance(x, p, f, e);
  if (x->fn == FN_DISTINCT)
    return distinct_fitted(p->open, p->partial, x->at, a->nkey, variants, sees, f, e);
  Status st = table_fitted(p->open, p->partial, x->at, x->fn, a->nkey, variants, sees, f, &bad, e);
  return !st && bad ? overflow(x, e) : st;
}

/* Tables of one number that were fitted without fold 0, 1, ... stand behind the one of all rows: they
 * become its variants. */
static Status join_variants(const Stage *s, Fitted **fitted, Err *e) {
  const Table *without[256];
  for (uint32_t i = 0, n; i < s->nagg && !e->code; i += n + 1) {
    for (n = 0; i + n + 1 < s->nagg && s->agg[i + n + 1].fitted == s->agg[i].fitted && n < 256; n++)
      without[n] = fitted[i + n + 1]->table;
    if (n && table_join(fitted[i]->table, without, n, e) != ST_OK)
      break;
    for (uint32_t k = i + 1; k <= i + n; k++) {
      fitted_free(fitted[k]);
      fitted[k] = NULL;
    }
  }
  return e->code;
}

Status agg_finish(Iter *base, Fitted **fitted, Err *e) {
  AggIter *it = (AggIter *)base;
  for (uint32_t i = 0; i < it->s->nagg; i++)
    fitted[i] = NULL;
  for (uint32_t i = 0; i < it->s->nagg && !e->code; i++) {
    const Plan *p = it->agg[i].plan == NO_PLAN ? NULL : &it->plan[it->agg[i].plan];
    if (p && !p->partial)
      return par_bad(e); /* not run to its end */
    fitted[i] = mem_alloc(sizeof **fitted);
    if (!fitted[i])
      err_memory(e);
    else
      finish_one(it, &it->agg[i], fitted[i], e);
  }
  if (!e->code)
    join_variants(it->s, fitted, e);
  for (uint32_t i = 0; e->code && i < it->s->nagg; i++) {
    fitted_free(fitted[i]);
    fitted[i] = NULL;
  }
  return e->code;
}
