/* SPDX-License-Identifier: Apache-2.0 */
/* What a row adds to the sums of its slice, kind by kind: terms_of computes it for a panel, terms_add adds
 * it, terms_join joins the sums of two runs of rows. */
#include <math.h>
#include <string.h>

#include "stdlib/metric/metric.h"
#include "vm/kernel/math.h"

#define CLIP 0x1p-52 /* of probabilities in log_loss: the precision of a double, as scikit-learn has it */

uint32_t sums_width(const MetricPar *p) {
  switch ((SumKind)p->kind) {
  case SUM_CELLS:
  case SUM_EXPLAINED:
    return 4;
  case SUM_R2:
    return 3;
  case SUM_LOG_ERROR:
    return 2;
  case SUM_BINS:
    return 3 * p->size;
  case SUM_CLASSES:
    return 3 * (p->classes + 1);
  case SUM_TABLE:
    return (p->classes + 1) * p->classes;
  default:
    return 1;
  }
}

/* ---- Several classes ---- */

/* The most probable class, of equal ones the first. */
static uint32_t said(const double *prob, uint32_t n) {
  uint32_t best = 0;
  for (uint32_t k = 1; k < n; k++)
    best = prob[k] > prob[best] ? k : best;
  return best;
}

/* How many classes are more probable than class y. */
static uint32_t place_of(const double *prob, uint32_t n, uint32_t y) {
  uint32_t before = 0;
  for (uint32_t k = 0; k < n; k++)
    before += prob[k] > prob[y] || (prob[k] == prob[y] && k < y);
  return before;
}

/* A class that the model does not know (y < 0) has the probability 0. */
static double brier_of(const double *prob, uint32_t n, double y) {
  double sum = y < 0;
  for (uint32_t k = 0; k < n; k++)
    sum += (prob[k] - (k == y)) * (prob[k] - (k == y));
  return sum;
}

/* at: the class that is predicted; x: what its kind adds. */
static void class_terms(const MetricPar *p, const MetricRows *rows, uint32_t n, double *x, uint32_t *at) {
  for (uint32_t r = 0; r < n; r++) {
    const double *prob = rows->prob + r * rows->step;
    if (p->kind == SUM_CLASSES || p->kind == SUM_TABLE)
      at[r] = said(prob, p->classes);
    else if (p->kind == SUM_TOP)
      x[r] = rows->y[r] >= 0 && place_of(prob, p->classes, (uint32_t)rows->y[r]) < p->size;
    else if (p->kind == SUM_BRIER)
      x[r] = brier_of(prob, p->classes, rows->y[r]);
  }
}

static void add_class(const MetricPar *p, const MetricRows *rows, uint32_t r, uint32_t at, Slice *s) {
  uint32_t y = rows->y[r] < 0 ? p->classes : (uint32_t)rows->y[r];
  if (p->kind == SUM_TABLE) {
    twofold_add(&s->v[y * p->classes + at], rows->w[r]);
    return;
  }
  twofold_add(&s->v[3 * y + 1], rows->w[r]);
  twofold_add(&s->v[3 * at + 2], rows->w[r]);
  if (y == at)
    twofold_add(&s->v[3 * y], rows->w[r]);
}

/* ---- Two classes, and numbers ---- */

/* Minus the logarithm of the probability given to the true class. */
static void log_losses(const MetricPar *p, const MetricRows *rows, uint32_t n, double *x) {
  for (uint32_t r = 0; r < n; r++) {
    double given = rows->y[r] == 1 ? rows->score[r] : 1 - rows->score[r];
    if (p->classes)
      given = rows->y[r] < 0 ? 0 : rows->prob[r * rows->step + (size_t)rows->y[r]];
    x[r] = given < CLIP ? CLIP : given > 1 - CLIP ? 1 - CLIP : given;
  }
  k_log(x, x, n);
  for (uint32_t r = 0; r < n; r++)
    x[r] = -x[r];
}

static Status log_errors(const MetricRows *rows, uint32_t n, double *x, uint32_t *at, Ctx *ctx) {
  double *f = arena_alloc(ctx->scratch, ((size_t)n + 1) * sizeof *f);
  if (!f)
    return err_memory(ctx->err);
  for (uint32_t r = 0; r < n; r++) {
    at[r] = !(rows->y[r] > -1 && rows->score[r] > -1); /* such rows are counted: 1 */
    x[r] = at[r] ? 0 : rows->y[r];
    f[r] = at[r] ? 0 : rows->score[r];
  }
  k_log1p(x, x, n);
  k_log1p(f, f, n);
  for (uint32_t r = 0; r < n; r++)
    x[r] = at[r] ? 1 : (x[r] - f[r]) * (x[r] - f[r]);
  return ST_OK;
}

Status terms_of(const MetricPar *p, const MetricRows *rows, uint32_t n, double *x, uint32_t *at, Ctx *ctx) {
  const double *f = rows->score, *y = rows->y;
  memset(at, 0, n * sizeof *at);
  if (p->kind == SUM_LOG_LOSS)
    log_losses(p, rows, n, x);
  if (p->kind == SUM_LOG_ERROR)
    return log_errors(rows, n, x, at, ctx);
  if (p->classes && !p->against_rest) {
    class_terms(p, rows, n, x, at);
    return ST_OK;
  }
  for (uint32_t r = 0; r < n; r++) {
    double q = y[r] - f[r];
    switch ((SumKind)p->kind) {
    case SUM_CELLS:
      x[r] = 1;
      at[r] = 2 * (y[r] == 1) + (f[r] >= p->number);
      break;
    case SUM_BINS: /* a probability outside of 0 to 1 counts in the nearest range */
      at[r] = f[r] >= 1 ? p->size - 1 : f[r] > 0 ? (uint32_t)(f[r] * p->size) : 0;
      at[r] = at[r] < p->size ? at[r] : p->size - 1;
      break;
    case SUM_ABSOLUTE:
    case SUM_GREATEST:
      x[r] = fabs(q);
      break;
    case SUM_SHARE:
      x[r] = fabs(q) / fmax(fabs(y[r]), 0x1p-52);
      break;
    case SUM_BIAS:
      x[r] = -q;
      break;
    case SUM_PINBALL:
      x[r] = q >= 0 ? p->number * q : (p->number - 1) * q;
      break;
    case SUM_BRIER:
    case SUM_SQUARED:
    case SUM_R2:
      x[r] = q * q;
      break;
    default:
      break;
    }
  }
  return ST_OK;
}

/* One more row of weight w and value y in mean (at[0]) and sum of squared deviations (at[1]); total: weight
 * with it. B. Welford, 1962. */
static void add_deviation(Twofold *at, double w, double y, double total) {
  if (w == 0)
    return;
  double delta = y - at[0].hi;
  at[0].hi += delta * (w / total);
  twofold_add(&at[1], w * delta * (y - at[0].hi));
}

/* T. Chan, G. Golub, R. LeVeque, 1979 */
static void join_deviation(Twofold *l, const Twofold *r, double wl, double wr) {
  if (wr == 0)
    return;
  if (wl == 0) {
    l[0] = r[0];
    l[1] = r[1];
    return;
  }
  double delta = r[0].hi - l[0].hi, share = wr / (wl + wr);
  l[0].hi += delta * share;
  twofold_join(&l[1], &r[1]);
  twofold_add(&l[1], delta * delta * (wl * share));
}

void terms_add(const MetricPar *p, const MetricRows *rows, uint32_t r, const double *x, const uint32_t *at,
               Slice *s) {
  double w = rows->w[r], y = rows->y[r], f = rows->score[r];
  s->rows++;
  twofold_add(&s->w, w);
  switch ((SumKind)p->kind) {
  case SUM_BINS:
    twofold_add(&s->v[3 * at[r]], w);
    twofold_add(&s->v[3 * at[r] + 1], w * y);
    twofold_add(&s->v[3 * at[r] + 2], w * f);
    return;
  case SUM_CLASSES:
  case SUM_TABLE:
    add_class(p, rows, r, at[r], s);
    return;
  case SUM_GREATEST:
    s->v[0].hi = w > 0 && x[r] > s->v[0].hi ? x[r] : s->v[0].hi;
    return;
  case SUM_EXPLAINED:
    add_deviation(&s->v[0], w, y - f, twofold(&s->w));
    add_deviation(&s->v[2], w, y, twofold(&s->w));
    return;
  case SUM_R2:
    add_deviation(&s->v[1], w, y, twofold(&s->w));
    break;
  default:
    break;
  }
  twofold_add(&s->v[at[r]], w * x[r]);
}

void terms_join(const MetricPar *p, Slice *to, const Slice *from) {
  double wl = twofold(&to->w), wr = twofold(&from->w);
  uint32_t plain = p->kind == SUM_R2 ? 1 : p->kind == SUM_EXPLAINED ? 0 : sums_width(p);
  to->rows += from->rows;
  twofold_join(&to->w, &from->w);
  if (p->kind == SUM_GREATEST) {
    to->v[0].hi = from->v[0].hi > to->v[0].hi ? from->v[0].hi : to->v[0].hi;
    return;
  }
  for (uint32_t k = 0; k < plain; k++)
    twofold_join(&to->v[k], &from->v[k]);
  if (p->kind == SUM_EXPLAINED)
    join_deviation(&to->v[0], &from->v[0], wl, wr);
  if (plain == 0 || p->kind == SUM_R2)
    join_deviation(&to->v[plain ? 1 : 2], &from->v[plain ? 1 : 2], wl, wr);
}
