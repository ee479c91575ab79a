/* SPDX-License-Identifier: Apache-2.0 */
/* Pass "agg.power": the lambda of a power transform, by maximum likelihood.
 *
 * Under a lambda the transformed values are taken to be normal; with their variance profiled out the
 * logarithm of the likelihood is
 * - n/2 log var(y) + (lambda - 1) J, where J is the sum of log x (Box, Cox, "An Analysis of Transformations",
 * JRSS B 26, 1964) or of sign(x) log(1 + |x|) (Yeo, Johnson, "A new family of power transformations",
 * Biometrika 87, 2000). The first scan learns n and J. Then each scan looks at POINTS lambdas between two
 * bounds at once, and the next one between the neighbours of the best; where the best is at a bound the range
 * grows first. Box-Cox is computed from x / (geometric mean), which takes J out of the likelihood and
 * cancellation out of the variance.
 *
 * No free lunch at the end: near the maximum the likelihood is flat, and lambdas closer than about 1e-8
 * cannot be told apart in doubles. */
#include <stddef.h>
#include <string.h>

#include "vm/agg/parts.h"
#include "vm/agg/order.h"
#include "vm/kernel/math.h"

enum { POINTS = 33, ROUNDS_MOST = 24 };

static const double LAMBDA_MOST = 64, CLOSE = 1e-7;

typedef struct Item {
  AggFn fn;
  AggSrc src;
  uint32_t points; /* 0: the first scan */
  double centre, lo, hi;
} Item;

typedef struct Par {
  uint32_t n;
  Item item[];
} Par;

typedef struct Spread { /* Welford, with the rounding errors of the mean */
  double mean, low, square;
} Spread;

typedef struct Sum {
  uint64_t n;
  double logs, low;
  Spread at[POINTS];
} Sum;

typedef struct Partial {
  uint32_t n;
  Sum sum[];
} Partial;

static double lambda_at(const Item *it, uint32_t k) {
  return it->lo + (it->hi - it->lo) * k / (POINTS - 1);
}

static bool get_item(Rd *r, void *item) {
  Item *it = item;
  it->fn = (AggFn)rd_u8(r);
  src_get(r, &it->src);
  it->points = rd_u32(r);
  it->centre = rd_f64(r);
  it->lo = rd_f64(r);
  it->hi = rd_f64(r);
  return (it->fn == FN_BOX_COX || it->fn == FN_YEO_JOHNSON) && (it->points == 0 || it->points == POINTS);
}

static void *open_par(Bytes in, Err *e) {
  return par_items(in, offsetof(Par, item), sizeof(Item), 53, get_item, e);
}

static size_t partial_size(const void *par) {
  return sizeof(Partial) + ((const Par *)par)->n * sizeof(Sum);
}

static void *init(const void *par, Err *e) {
  Partial *p = mem_alloc(partial_size(par));
  if (p)
    p->n = ((const Par *)par)->n;
  else
    err_memory(e);
  return p;
}

static void free_partial(const void *par, void *partial) {
  (void)par;
  mem_free(partial);
}

/* ---- Map ---- */

static void spread_add(Spread *s, double x, double n) {
  double d = x - s->mean - s->low;
  sum_add(&s->mean, &s->low, d / n);
  s->square += d * (x - s->mean - s->low);
}

static void refuse(const Panel *p, const AggSrc *s, uint32_t r, const char *text, Ctx *c) {
  RowError one = {.file = p->file,
                  .pos = p->pos + (p->at ? p->at[r] : r),
                  .step = UINT32_MAX,
                  .line = s->line,
                  .col = s->col,
                  .allow = ALLOW_WHERE};
  strncpy(one.text, text, sizeof one.text - 1);
  row_errors_add(c->errors, &one);
}

/* The values that a lambda can be looked for in, side by side: Box-Cox takes what is above 0. */
static uint32_t usable(const Item *it, const Panel *p, const Sel *sel, const double *x, double *v, Ctx *c) {
  uint32_t n = 0;
  for (uint32_t k = 0; k < sel->n; k++) {
    uint32_t r = sel->row ? sel->row[k] : k;
    if (!(__builtin_fabs(x[k]) <= 1.7976931348623157e308))
      refuse(p, &it->src, r, "the value is NaN or infinite, so no power transform can be learned from it", c);
    else if (it->fn == FN_BOX_COX && !(x[k] > 0))
      refuse(p, &it->src, r,
             "the value is not above 0, as a Box-Cox transform needs it; `yeo_johnson` takes any number", c);
    else
      v[n++] = x[k];
  }
  return n;
}

/* y of n values under lambda; u: log x, or log(1 + |x|). */
static void transform(const Item *it, double lambda, const double *x, const double *u, double *y,
                      uint32_t n) {
  bool box = it->fn == FN_BOX_COX;
  for (uint32_t k = 0; k < n; k++)
    y[k] = box ? lambda * (u[k] - it->centre) : x[k] >= 0 ? lambda * u[k] : (2 - lambda) * u[k];
  k_expm1(y, y, n);
  for (uint32_t k = 0; k < n; k++) {
    double power = box || x[k] >= 0 ? lambda : 2 - lambda;
    double v = power == 0 ? (box ? u[k] - it->centre : u[k]) : y[k] / power;
    y[k] = box || x[k] >= 0 ? v : -v;
  }
}

static Status map_item(const Item *it, Sum *s, const Panel *p, Ctx *c) {
  Sel sel;
  if (agg_select(p, &it->src, c, &sel))
    return c->err->code;
  const double *given = agg_f64s(p, it->src.arg, &sel, c);
  double *x = given ? arena_alloc64(c->scratch, 3 * ((size_t)sel.n + 1) * sizeof *x) : NULL;
  if (!x)
    return c->err->code ? c->err->code : err_memory(c->err);
  uint32_t n = usable(it, p, &sel, given, x, c);
  double *u = x + sel.n, *y = u + sel.n;
  for (uint32_t k = 0; k < n; k++)
    u[k] = it->fn == FN_BOX_COX ? x[k] : __builtin_fabs(x[k]);
  if (it->fn == FN_BOX_COX)
    k_log(u, u, n);
  else
    k_log1p(u, u, n);
  for (uint32_t k = 0; k < n && !it->points; k++)
    sum_add(&s->logs, &s->low, it->fn == FN_BOX_COX || x[k] >= 0 ? u[k] : -u[k]);
  for (uint32_t l = 0; l < it->points; l++) {
    transform(it, lambda_at(it, l), x, u, y, n);
    for (uint32_t k = 0; k < n; k++)
      spread_add(&s->at[l], y[k], (double)(s->n + k + 1));
  }
  s->n += n;
  return ST_OK;
}

static Status map(const void *par, const Panel *p, void *partial, Ctx *c) {
  const Par *q = par;
  Partial *to = partial;
  for (uint32_t i = 0; i < q->n; i++)
    if (map_item(&q->item[i], &to->sum[i], p, c))
      return c->err->code;
  return ST_OK;
}

static void spread_merge(Spread *a, const Spread *b, double na, double nb) {
  double d = b->mean - a->mean + (b->low - a->low), n = na + nb;
  sum_add(&a->mean, &a->low, d * (nb / n));
  a->square += b->square + d * d * (na * (nb / n));
}

static Status merge(const void *par, void *l, void *r, Err *e) {
  const Par *q = par;
  Partial *a = l, *b = r;
  (void)e;
  for (uint32_t i = 0; i < q->n; i++) {
    Sum *x = &a->sum[i];
    const Sum *y = &b->sum[i];
    if (!y->n)
      continue;
    if (!x->n) {
      *x = *y;
      continue;
    }
    sum_add(&x->logs, &x->low, y->logs);
    x->low += y->low;
    for (uint32_t k = 0; k < q->item[i].points; k++)
      spread_merge(&x->at[k], &y->at[k], (double)x->n, (double)y->n);
    x->n += y->n;
  }
  return ST_OK;
}

static Status save(const void *par, const void *partial, Buf *out, Err *e) {
  const Partial *p = partial;
  (void)par;
  buf_put(out, p->sum, p->n * sizeof *p->sum);
  return out->bad ? err_memory(e) : ST_OK;
}

static void *load(const void *par, Bytes in, Err *e) {
  const Par *q = par;
  if (in.n != q->n * sizeof(Sum)) {
    par_bad(e);
    return NULL;
  }
  Partial *p = init(par, e);
  if (p && in.n)
    memcpy(p->sum, in.p, in.n);
  return p;
}

const Pass pass_power = {"agg.power", RED_TREE, open_par, mem_free, partial_size, init,
                         map,         merge,    save,     load,      free_partial};

/* ---- The search ---- */

Status powers_add(Powers *p, AggFn fn, const AggSrc *src, uint32_t *at, Err *e) {
  Power *v = mem_realloc(p->v, (p->n + (size_t)1) * sizeof *v);
  if (!v)
    return err_memory(e);
  p->v = v;
  *at = p->n;
  v[p->n++] = (Power){.fn = fn, .src = *src, .lo = -4, .hi = 4, .best = 1};
  return ST_OK;
}

void powers_free(Powers *p) {
  mem_free(p->v);
  buf_free(&p->par);
}

Status powers_ask(Powers *p, Jobs *jobs, Err *e) {
  uint64_t n = 0;
  buf_free(&p->par);
  for (uint32_t i = 0; i < p->n; i++)
    n += !p->v[i].done;
  if (!n)
    return ST_OK;
  buf_u64(&p->par, n);
  for (uint32_t i = 0; i < p->n; i++) {
    const Power *x = &p->v[i];
    if (x->done)
      continue;
    buf_u8(&p->par, (uint8_t)x->fn);
    src_put(&p->par, &x->src);
    buf_u32(&p->par, x->round ? POINTS : 0);
    buf_f64(&p->par, x->centre);
    buf_f64(&p->par, x->lo);
    buf_f64(&p->par, x->hi);
  }
  return add_job(jobs, &pass_power, &p->par, e);
}

/* The likelihood of a lambda, up to what does not depend on it; false: it cannot be told. */
static bool likelihood(const Power *x, const Spread *s, double lambda, double *out) {
  double var = s->square / (double)x->n, noise = 1e-15 * s->mean, l;
  if (!(var > noise * noise) || !(var <= 1.7976931348623157e308))
    return false;
  k_log(&var, &l, 1);
  *out = -0.5 * (double)x->n * l + (x->fn == FN_BOX_COX ? 0 : (lambda - 1) * x->logs);
  return true;
}

static void take_first(Power *x, const Sum *s) {
  x->n = s->n;
  x->logs = s->logs + s->low;
  x->centre = s->n && x->fn == FN_BOX_COX ? x->logs / (double)s->n : 0;
  x->done = !s->n;
}

static void take_points(Power *x, const Item *it, const Sum *s) {
  uint32_t best = POINTS;
  double most = 0, l;
  for (uint32_t k = 0; k < POINTS; k++)
    if (likelihood(x, &s->at[k], lambda_at(it, k), &l) && (best == POINTS || l > most)) {
      best = k;
      most = l;
    }
  if (best == POINTS) { /* values that are all the same: nothing to transform */
    x->done = true;
    return;
  }
  double width = x->hi - x->lo, step = width / (POINTS - 1);
  x->best = lambda_at(it, best);
  if (best == 0 && x->lo > -LAMBDA_MOST && width > 1) {
    x->hi = x->lo + step;
    x->lo = x->lo - width < -LAMBDA_MOST ? -LAMBDA_MOST : x->lo - width;
  } else if (best == POINTS - 1 && x->hi < LAMBDA_MOST && width > 1) {
    x->lo = x->hi - step;
    x->hi = x->hi + width > LAMBDA_MOST ? LAMBDA_MOST : x->hi + width;
  } else {
    x->lo = best ? lambda_at(it, best - 1) : x->lo;
    x->hi = best < POINTS - 1 ? lambda_at(it, best + 1) : x->hi;
  }
  x->done = x->hi - x->lo < CLOSE || x->round >= ROUNDS_MOST;
}

Status powers_take(Powers *p, const Buf *out, uint32_t nout, Err *e) {
  if (nout != (p->par.n ? 1u : 0u))
    return par_bad(e);
  if (!nout)
    return ST_OK;
  Par *par = open_par(buf_bytes(&p->par), e);
  Partial *sum = par ? load(par, buf_bytes(out), e) : NULL;
  for (uint32_t i = 0, k = 0; sum && i < p->n; i++) {
    Power *x = &p->v[i];
    if (x->done)
      continue;
    if (x->round++)
      take_points(x, &par->item[k], &sum->sum[k]);
    else
      take_first(x, &sum->sum[k]);
    k++;
  }
  if (sum)
    free_partial(par, sum);
  if (par)
    mem_free(par);
  return e->code;
}
