/* SPDX-License-Identifier: Apache-2.0 */
/* Multinomial logistic regression: the Iter, from counted classes to the model. Problem and coordinates:
 * multinomial.h; the passes: softmax.c.
 *
 * Newton's method while K (d + 1) <= 4096, L-BFGS (lbfgs.c) above. The variables are x[c m1 + i]: for class c
 * the coefficients of the m columns that vary, then the constant, in centred coordinates: the constant that
 * the pass is given is less by the sum of coefficient times centre. One Newton step, divided by W:
 *
 *   1. H from the pairs; where adding the same to all classes is free, H is flat along (1, .., 1) of that
 *      column, and the gradient has nothing there: a rank-one term makes H definite and changes no step. The
 *      same for combinations of columns that the data do not tell apart (rank.c), which are found once, at
 *      the constant model, where H is the Gram matrix for every pair;
 *   2. H is scaled to a unit diagonal and factored; the step is halved until the objective falls.
 *
 * With an L1 penalty the step is the minimum of the quadratic model with the absolute values (descent.c):
 * J. Lee, Y. Sun, M. Saunders, "Proximal Newton-type methods for minimizing composite functions", SIAM J.
 * Optim. 24 (2014). */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "stdlib/linear/multinomial.h"
#include "vm/kernel/dot.h"
#include "vm/kernel/math.h"

#define ARMIJO 1e-4

typedef struct MultFit {
  Iter it; /* first */
  LinOptions o;
  uint32_t d, k;
  bool sparse;
  Arena arena;
  char name[128];
  char **feature, **class;
  Space space;           /* the columns */
  double *mult;          /* k */
  uint64_t rows;
  double weight;         /* of the rows as given */
  enum { WAIT_START, WAIT_CLASSES, WAIT_MOMENTS, WAIT_SUMS, WAIT_PRODUCTS, FINISHED } wait;
  uint32_t m, m1, n;     /* varying columns; with the constant; k m1 */
  uint32_t *active;      /* m: their numbers */
  double *l1_of;         /* n, or NULL: no L1 penalty */
  double *theta;         /* for the pass */
  double *x, *trial, *g, *step; /* n each */
  double *h, *copy;      /* n x n: the Hessian; its factor */
  double f, slope, t, size;
  bool started;
  uint32_t halvings, flat;
  Rank look;
  bool rank_known;
  double *scale;         /* m: what l1 is multiplied with; without penalties: of the matrix that rank.c saw */
  double *lost;          /* look.lost x m: unit directions that the data do not see */
  Lbfgs *lbfgs;
  Space wide;            /* what L-BFGS sees: all of theta as columns */
  SolveResult r;         /* Newton's */
} MultFit;

static void fit_free(Iter *it) {
  MultFit *f = (MultFit *)it;
  rank_free(&f->look);
  lbfgs_free(f->lbfgs);
  mem_free(f->h);
  mem_free(f->copy);
  mem_free(f->r.objective);
  arena_free(&f->arena);
  mem_free(f);
}

static double *doubles(MultFit *f, size_t n) {
  double *v = arena_alloc64(&f->arena, (n + 1) * sizeof *v);
  if (v)
    memset(v, 0, (n + 1) * sizeof *v);
  return v;
}

/* ---- Classes and columns ---- */

static Status take_classes(MultFit *f, Bytes result, Err *e) {
  const double *rows = (const double *)(const void *)result.p, *weight = rows + f->k;
  if (result.n != 2 * f->k * sizeof(double))
    return err_set(e, ST_FAULT, "CML0601", NULL, "a result of pass softmax.classes for model `%s` is damaged",
                   f->name);
  double total = 0, all = 0;
  for (uint32_t c = 0; c < f->k; c++) {
    all += rows[c];
    f->weight += weight[c];
  }
  f->rows = (uint64_t)all;
  if (f->rows == 0)
    return err_set(e, ST_DATA, "CML0434", "Check the weights, the filter and the split of the data.",
                   "model `%s` has no training row with a weight above 0", f->name);
  for (uint32_t c = 0; c < f->k; c++) {
    if (rows[c] == 0)
      return err_set(e, ST_DATA, "CML0435", "Leave such rows out with `where`, or give them a weight.",
                     "all training rows of class \"%.60s\" of model `%s` have weight 0", f->class[c],
                     f->name);
    f->mult[c] = f->o.balanced ? f->weight / (f->k * weight[c]) : 1;
    total += weight[c] * f->mult[c];
  }
  f->space.total = total;
  f->space.given = f->weight;
  f->space.rows = all;
  if (total > 0 && total < INFINITY)
    return ST_OK;
  return err_set(e, ST_DATA, "CML0436", "Scale the weights: only their ratios count.",
                 "the total weight of the training rows of model `%s` is %g", f->name, total);
}

/* Scale, shift and penalty of column j. */
static Status place_column(MultFit *f, const Moments *m, uint32_t j, Err *e) {
  Space *s = &f->space;
  double w = m->w[0][j], mean = m->mean[0][j], m2 = m->m2[0][j], low = m->low[j], high = m->high[j];
  bool full = m->stored[j] >= s->rows;
  if (!full) { /* zeros that are not stored */
    double zeros = s->total > w ? s->total - w : 0;
    m2 += mean * mean * (w * (zeros / s->total));
    mean *= w / s->total;
    low = low < 0 ? low : 0;
    high = high > 0 ? high : 0;
  }
  ColumnSums c = {mean, m2, low, high, full};
  double deviation, size;
  if (linear_place(s, j, &c, f->feature[j], f->name, &deviation, &size, e) != ST_OK || s->inv[j] == 0)
    return e->code;
  s->center[j] = s->intercept ? (mean - s->shift[j]) * s->inv[j] : 0;
  s->penalty[j] = f->o.l2 * s->inv[j] * s->inv[j] * (f->o.standardize ? deviation * deviation : 1);
  f->active[f->m] = j;
  f->scale[f->m++] = f->o.standardize ? deviation * s->inv[j] : s->inv[j]; /* what l1 is multiplied with */
  return ST_OK;
}

/* theta for the pass, of centred variables. */
static void put_theta(MultFit *f, const double *x) {
  size_t k = f->k, m1 = f->m1;
  for (size_t c = 0; c < k; c++) {
    double a = f->o.intercept ? x[c * m1 + f->m] : 0;
    for (uint32_t i = 0; i < f->m; i++) {
      f->theta[f->active[i] * k + c] = x[c * m1 + i];
      a -= f->space.center[f->active[i]] * x[c * m1 + i];
    }
    f->theta[f->d * k + c] = a;
  }
}

static Status start_newton(MultFit *f, Err *e) {
  size_t n = f->n;
  f->g = doubles(f, n);
  f->step = doubles(f, n);
  f->l1_of = f->o.l1 > 0 ? doubles(f, n) : NULL;
  f->h = mem_alloc((n * n + 1) * sizeof *f->h);
  f->copy = mem_alloc((n * n + 1) * sizeof *f->copy);
  if (!f->g || !f->step || !f->h || !f->copy || (f->o.l1 > 0 && !f->l1_of))
    return err_memory(e);
  for (size_t c = 0; f->l1_of && c < f->k; c++)
    for (uint32_t i = 0; i < f->m; i++)
      f->l1_of[c * f->m1 + i] = f->o.l1 * f->scale[i];
  f->rank_known = f->o.l2 > 0 || f->o.l1 > 0 || f->m == 0;
  return ST_OK;
}

static Status start_lbfgs(MultFit *f, Err *e) {
  Space *s = &f->wide;
  LinPoint start = {.beta = f->x};
  size_t n = f->n;
  *s = (Space){
      .d = (uint32_t)n, .loss = LOSS_LOGISTIC, .total = f->space.total, .unit = 1, .rows = f->space.rows};
  s->inv = doubles(f, n);
  s->center = doubles(f, n);
  s->penalty = doubles(f, n);
  s->l1 = doubles(f, n);
  s->lo = doubles(f, n);
  s->hi = doubles(f, n);
  s->kinks = f->o.l1 > 0;
  f->g = doubles(f, n);
  if (!s->inv || !s->center || !s->penalty || !s->l1 || !s->lo || !s->hi || !f->g)
    return err_memory(e);
  for (size_t v = 0; v < n; v++) {
    s->inv[v] = 1;
    s->lo[v] = -INFINITY;
    s->hi[v] = INFINITY;
    if (v % f->m1 < f->m) {
      s->penalty[v] = f->space.penalty[f->active[v % f->m1]];
      s->l1[v] = f->o.l1 * f->scale[v % f->m1];
    }
  }
  f->lbfgs = lbfgs_new(s, &f->o, NULL, &start, e);
  return f->lbfgs ? ST_OK : e->code;
}

/* The constant model: logarithms of the shares of the classes, which add up to 0. */
static void start_point(MultFit *f, const double *share) {
  double mean = 0;
  for (uint32_t c = 0; c < f->k; c++) {
    double a;
    k_log(&share[c], &a, 1);
    f->x[c * f->m1 + f->m] = a;
    mean += a / f->k;
  }
  for (uint32_t c = 0; c < f->k; c++)
    f->x[c * f->m1 + f->m] -= mean;
}

static Status start_solver(MultFit *f, const double *share, Err *e) {
  uint64_t n;
  f->m1 = f->m + f->o.intercept;
  n = (uint64_t)f->k * f->m1;
  f->theta = doubles(f, ((size_t)f->d + 1) * f->k);
  f->x = n <= INT32_MAX ? doubles(f, n) : NULL;
  f->trial = f->x ? doubles(f, n) : NULL;
  if (!f->theta || !f->trial)
    return err_memory(e);
  f->n = (uint32_t)n;
  if (f->o.intercept)
    start_point(f, share);
  LinSolver solver = f->o.solver;
  if (solver == SOLVER_AUTO)
    solver = (uint64_t)f->k * ((uint64_t)f->d + 1) <= NEWTON_WIDTH ? SOLVER_NEWTON : SOLVER_LBFGS;
  if (solver == SOLVER_NEWTON && n > NEWTON_WIDTH_MAX)
    return err_set(e, ST_PROGRAM, "CML0330", "Write solver = lbfgs, or leave it out.",
                   "model `%s` has %llu coefficients; solver newton takes at most %d", f->name,
                   (unsigned long long)n, NEWTON_WIDTH_MAX);
  Status st = solver == SOLVER_NEWTON ? start_newton(f, e) : start_lbfgs(f, e);
  memcpy(f->trial, f->x, n * sizeof *f->x);
  return st;
}

static Status take_moments(MultFit *f, Bytes result, const double *weight, Err *e) {
  Buf par = {0};
  size_t d = f->d;
  softmax_moments_par(f->d, f->sparse, f->k, f->mult, &par);
  void *p = par.bad ? NULL : softmax_moments.open(buf_bytes(&par), e);
  buf_free(&par);
  if (!p)
    return e->code ? e->code : err_memory(e);
  Moments *m = softmax_moments.load(p, result, e);
  Space *s = &f->space;
  s->d = f->d;
  s->loss = LOSS_SQUARED; /* of linear.products: no class weights */
  s->weight[0] = s->weight[1] = 1;
  s->sparse = f->sparse;
  s->intercept = f->o.intercept;
  s->shift = doubles(f, d);
  s->inv = doubles(f, d);
  s->center = doubles(f, d);
  s->penalty = doubles(f, d);
  f->scale = doubles(f, d);
  f->active = arena_alloc(&f->arena, (d + 1) * sizeof *f->active);
  Status st = !m                                                                             ? e->code
              : !s->shift || !s->inv || !s->center || !s->penalty || !f->scale || !f->active ? err_memory(e)
                                                                                             : ST_OK;
  for (uint32_t j = 0; j < d && !st; j++)
    st = place_column(f, m, j, e);
  if (!st)
    st = start_solver(f, weight, e);
  softmax_moments.free(p, m);
  softmax_moments.close(p);
  return st;
}

/* ---- One step of Newton's method ---- */

/* Where column a of a pair stands: varying columns, then the constant. */
static uint32_t place(const MultFit *f, uint32_t a) {
  return a < f->m ? f->active[a] : f->d;
}

/* Entry (a, b) of a pair's matrix in centred coordinates, divided by W. */
static double pair_at(const MultFit *f, const double *pair, uint32_t a, uint32_t b) {
  size_t d1 = (size_t)f->d + 1, i = place(f, a), j = place(f, b), d = f->d;
  double ci = i < d ? f->space.center[i] : 0, cj = j < d ? f->space.center[j] : 0;
  double v = i < j ? pair[i * d1 + j] : pair[j * d1 + i];
  if (ci != 0 || cj != 0)
    v += ci * cj * pair[d * d1 + d] - ci * pair[j * d1 + d] - cj * pair[i * d1 + d];
  return v / f->space.total;
}

static void add_rank_one(MultFit *f, uint32_t a, double q) { /* q / k along (1, .., 1) of column a */
  size_t n = f->n;
  for (size_t c = 0; c < f->k; c++)
    for (size_t l = 0; l < f->k; l++)
      f->h[(c * f->m1 + a) * n + l * f->m1 + a] += q / f->k;
}

static void add_lost(MultFit *f, const double *v, double q) {
  size_t n = f->n, m = f->m;
  for (size_t c = 0; c < f->k; c++)
    for (size_t a = 0; a < m; a++)
      for (size_t b = 0; b < m; b++)
        f->h[(c * f->m1 + a) * n + c * f->m1 + b] += q * v[a] * v[b];
}

static void build_hessian(MultFit *f, const SoftSums *at) {
  size_t n = f->n, m1 = f->m1, d1 = (size_t)f->d + 1;
  memset(f->h, 0, n * n * sizeof *f->h);
  for (size_t c = 0; c < f->k; c++)
    for (size_t l = c + 1; l < f->k; l++) {
      const double *pair = at->pair + soft_pair(f->k, c, l) * d1 * d1;
      for (uint32_t a = 0; a < m1; a++)
        for (uint32_t b = 0; b < m1; b++) {
          double v = pair_at(f, pair, a, b);
          f->h[(c * m1 + a) * n + c * m1 + b] += v;
          f->h[(l * m1 + a) * n + l * m1 + b] += v;
          f->h[(c * m1 + a) * n + l * m1 + b] -= v;
          f->h[(l * m1 + a) * n + c * m1 + b] -= v;
        }
    }
  double greatest = 0;
  for (uint32_t a = 0; a < m1; a++) {
    double q = 0;
    for (size_t c = 0; c < f->k; c++)
      q += f->h[(c * m1 + a) * n + c * m1 + a] / f->k;
    greatest = q > greatest ? q : greatest;
    if (a == f->m || (f->o.l2 == 0 && !f->l1_of))
      add_rank_one(f, a, q);
  }
  for (uint32_t i = 0; i < f->look.lost && f->lost; i++)
    add_lost(f, f->lost + (size_t)i * f->m, greatest);
  for (size_t c = 0; c < f->k; c++)
    for (uint32_t a = 0; a < f->m; a++)
      f->h[(c * m1 + a) * n + c * m1 + a] += f->space.penalty[f->active[a]];
}

/* The smooth part: gradient in centred coordinates, at f->x with Newton, at the point asked for with
 * L-BFGS. */
static void centred_gradient(MultFit *f, const SoftSums *at, const double *x, bool penalty) {
  size_t k = f->k;
  for (size_t c = 0; c < k; c++) {
    double g0 = at->g[f->d * k + c];
    for (uint32_t i = 0; i < f->m; i++) {
      uint32_t j = f->active[i];
      f->g[c * f->m1 + i] = at->g[j * k + c] - f->space.center[j] * g0;
    }
    if (f->o.intercept)
      f->g[c * f->m1 + f->m] = g0;
  }
  for (size_t v = 0; penalty && v < f->n; v++) {
    uint32_t i = (uint32_t)(v % f->m1);
    f->g[v] = f->g[v] / f->space.total + (i < f->m ? f->space.penalty[f->active[i]] * x[v] : 0);
  }
}

/* Takes the lost directions out of the gradient or a step. */
static void project(const MultFit *f, double *v) {
  for (uint32_t i = 0; i < f->look.lost && f->lost; i++)
    for (size_t c = 0; c < f->k; c++) {
      const double *along = f->lost + (size_t)i * f->m;
      double q = k_dot(along, v + c * f->m1, f->m);
      for (uint32_t a = 0; a < f->m; a++)
        v[c * f->m1 + a] -= q * along[a];
    }
}

static double absolute(const MultFit *f, const double *x) {
  double sum = 0;
  for (uint32_t v = 0; f->l1_of && v < f->n; v++)
    sum += f->l1_of[v] * fabs(x[v]);
  return sum;
}

static double objective(const MultFit *f, const SoftSums *at, const double *x) {
  double sum = *at->loss / f->space.total + absolute(f, x);
  for (uint32_t v = 0; v < f->n; v++) {
    uint32_t i = v % f->m1;
    sum += i < f->m ? 0.5 * f->space.penalty[f->active[i]] * (x[v] * x[v]) : 0;
  }
  return sum;
}

/* step = -H^-1 g. False: H is not positive. */
static bool newton_direction(MultFit *f, Err *e) {
  size_t n = f->n;
  const Blas *blas = blas_get(e);
  int order = (int)n, one = 1, info = 0;
  for (size_t v = 0; v < n; v++) {
    double q = f->h[v * n + v];
    f->trial[v] = q > 1e-280 ? 1 / sqrt(q) : 0; /* scratch: the scale. 0: nothing is known of this
                                                 * direction, stay */
  }
  for (size_t v = 0; v < n; v++) {
    for (size_t u = 0; u < n; u++)
      f->h[v * n + u] *= f->trial[v] * f->trial[u];
    f->h[v * n + v] = 1;
    f->step[v] = -f->g[v] * f->trial[v];
  }
  if (!linear_cholesky(blas, f->h, f->copy, f->n))
    return false;
  blas->potrs("L", &order, &one, f->h, &order, f->step, &order, &info, 1);
  for (size_t v = 0; v < n; v++)
    f->step[v] *= f->trial[v];
  project(f, f->step);
  return true;
}

/* The minimum of the quadratic model with the absolute values. */
static Status l1_direction(MultFit *f, Err *e) {
  size_t n = f->n;
  QuadraticEnd end;
  double *linear = f->copy; /* scratch */
  for (size_t v = 0; v < n; v++) {
    linear[v] = f->g[v] - k_dot(f->h + v * n, f->x, n);
    f->step[v] = f->x[v];
  }
  Quadratic q = {.m = f->n, .h = f->h, .g = linear, .l1 = f->l1_of, .tolerance = 1e-3 * f->o.tolerance};
  Status st = descent_solve(&q, f->step, &end, e);
  for (size_t v = 0; v < n; v++)
    f->step[v] -= f->x[v];
  return st;
}

static void set_trial(MultFit *f, double t) {
  f->t = t;
  for (uint32_t v = 0; v < f->n; v++)
    f->trial[v] = f->x[v] + t * f->step[v];
}

static double step_size(const MultFit *f) {
  double step = 0, most = 1;
  for (uint32_t v = 0; v < f->n; v++) {
    step = !(fabs(f->step[v]) <= step) ? fabs(f->step[v]) : step;
    most = fabs(f->x[v]) > most ? fabs(f->x[v]) : most;
  }
  return step / most;
}

static bool unpenalised(const MultFit *f) {
  return f->o.l2 == 0 && f->o.l1 == 0;
}

/* Three times in a row nothing that can be measured is gained, and steps do not shrink. */
static bool is_flat(MultFit *f, double size) {
  bool level = -0.5 * f->slope <= (unpenalised(f) ? 1e-10 : 4 * DBL_EPSILON) * fabs(f->f) + 1e-28;
  f->flat = f->started && size > 0.5 * f->size && level ? f->flat + 1 : 0;
  if (f->flat < 3)
    return false;
  f->r.converged = !unpenalised(f) || size <= 1e-5;
  if (!f->r.converged)
    snprintf(f->r.why, sizeof f->r.why,
             "some coefficients grow without end, because a combination of the features occurs without some class. Add l2");
  return true;
}

/* The point reached is f->x with objective f->f: the end, or a trial. */
static Status go_on(MultFit *f, const SoftSums *at, Err *e) {
  f->wait = FINISHED;
  if (unpenalised(f) && *at->margin > 0) {
    snprintf(f->r.why, sizeof f->r.why, "%s", linear_separated);
    return ST_OK;
  }
  centred_gradient(f, at, f->x, true);
  build_hessian(f, at);
  project(f, f->g);
  if (f->l1_of && l1_direction(f, e) != ST_OK)
    return e->code;
  bool good = f->l1_of || newton_direction(f, e);
  double size = good ? step_size(f) : 0;
  if (!good || !(size < INFINITY)) {
    snprintf(f->r.why, sizeof f->r.why, "the Newton step is not finite after %u iterations. Add l2",
             f->r.iterations);
    return ST_OK;
  }
  set_trial(f, 1);
  f->slope = k_dot(f->g, f->step, f->n) + absolute(f, f->trial) - absolute(f, f->x);
  if (size <= f->o.tolerance) { /* what is left behind the step is its square: it is taken unseen */
    f->r.converged = true;
    memcpy(f->x, f->trial, f->n * sizeof *f->x);
    f->r.iterations++;
    return solve_record(&f->r, f->f + (f->slope < 0 ? 0.5 * f->slope : 0), e);
  }
  if (is_flat(f, size))
    return f->r.nobjective ? ST_OK : solve_record(&f->r, f->f, e);
  if (f->r.iterations >= f->o.max_iterations) {
    snprintf(f->r.why, sizeof f->r.why,
             "not converged after %u iterations: the next step would still change a coefficient by %.1e of the largest. "
             "Raise max_iterations, or add l2", f->r.iterations, size);
    return ST_OK;
  }
  f->size = size;
  f->halvings = 0;
  f->started = true;
  f->wait = WAIT_SUMS;
  return ST_OK;
}

/* The trial does not improve enough: a shorter step. */
static void shorten(MultFit *f, double value) {
  double t = 0.5 * f->t;
  if (value < INFINITY && !f->l1_of) { /* the minimum of the parabola through value, slope and new value */
    t = -f->slope * f->t * f->t / (2 * (value - f->f - f->slope * f->t));
    t = t < 0.1 * f->t ? 0.1 * f->t : t < 0.5 * f->t ? t : 0.5 * f->t;
  }
  if (++f->halvings <= 30) {
    set_trial(f, t);
    return;
  }
  f->wait = FINISHED;
  f->r.converged = f->size <= 1e-6;
  if (!f->r.converged)
    snprintf(f->r.why, sizeof f->r.why, "no step improves the objective any more after %u iterations. Add l2",
             f->r.iterations);
}

/* ---- Columns that are combinations of others ---- */

/* At the constant model every pair has the same weights: their sum is the Gram matrix, the constant taken
 * out. */
static Status look_at_rank(MultFit *f, const SoftSums *at, Err *e) {
  size_t m = f->m, d1 = (size_t)f->d + 1;
  double *a = mem_alloc((m * m + 1) * sizeof *a), *h = doubles(f, m + 1);
  if (!a || !h) {
    mem_free(a);
    return err_memory(e);
  }
  const double *pair = at->pair;
  for (size_t q = 0, npair = (size_t)f->k * (f->k - 1) / 2; q < npair; q++, pair += d1 * d1) {
    for (uint32_t i = 0; i < m; i++)
      for (uint32_t j = 0; j < m; j++)
        a[i * m + j] += pair_at(f, pair, i, j);
    for (uint32_t i = 0; i <= m && f->o.intercept; i++)
      h[i] += pair_at(f, pair, i, f->m);
  }
  for (uint32_t i = 0; i < m; i++)
    for (uint32_t j = 0; j < m && f->o.intercept; j++)
      a[i * m + j] -= h[i] * (h[j] / h[m]);
  for (uint32_t i = 0; i < m; i++)
    f->scale[i] = a[i * m + i] > 1e-280 ? 1 / sqrt(a[i * m + i]) : 0;
  for (uint32_t i = 0; i < m; i++) {
    for (uint32_t j = 0; j < m; j++)
      a[i * m + j] *= f->scale[i] * f->scale[j];
    a[i * m + i] = 1;
  }
  Status st = rank_look(&f->look, a, f->m, f->space.rows, e);
  mem_free(a);
  return st;
}

static Status keep_lost(MultFit *f, Err *e) {
  size_t m = f->m;
  f->rank_known = true;
  if (f->look.lost == 0)
    return ST_OK;
  f->lost = doubles(f, f->look.lost * m);
  if (!f->lost)
    return err_memory(e);
  for (uint32_t i = 0; i < f->look.lost; i++) { /* the scales are alike: columns have unit size */
    double *to = f->lost + i * m;
    memcpy(to, f->look.vector + i * m, m * sizeof *to);
  }
  rank_tell(&f->look, f->space.rows, f->feature, f->active, f->r.why, sizeof f->r.why);
  return ST_OK;
}

static Status ask_products(MultFit *f, Buf *par, Err *e) {
  size_t d = f->d, m = f->m;
  double *v = mem_alloc((f->look.candidates * d + 1) * sizeof *v);
  if (!v)
    return err_memory(e);
  for (size_t a = 0; a < f->look.candidates; a++)
    for (size_t i = 0; i < m; i++)
      v[a * d + f->active[i]] = f->look.vector[a * m + i] * f->scale[i];
  linear_products_par(&f->space, v, f->look.candidates, par);
  mem_free(v);
  return par->bad ? err_memory(e) : ST_OK;
}

static Status take_products(MultFit *f, Bytes result, Err *e) {
  size_t k = f->look.candidates;
  if (result.n != k * k * sizeof(double))
    return err_set(e, ST_FAULT, "CML0601", NULL, "a result of pass linear.products for model `%s` is damaged",
                   f->name);
  double column = 0;
  for (uint32_t i = 0; i < f->m; i++)
    column = f->scale[i] * f->scale[i] > column ? f->scale[i] * f->scale[i] : column;
  Status st = rank_decide(&f->look, (const double *)(const void *)result.p, f->space.given, column, e);
  f->wait = WAIT_SUMS;
  return st ? st : keep_lost(f, e);
}

/* ---- The Iter ---- */

static Status newton_sums(MultFit *f, const SoftSums *at, Err *e) {
  double value = objective(f, at, f->trial);
  if (f->started && !(value <= f->f + ARMIJO * f->t * f->slope + 16 * DBL_EPSILON * fabs(f->f))) {
    shorten(f, value);
    return ST_OK;
  }
  if (!f->rank_known) {
    Status st = look_at_rank(f, at, e);
    if (st)
      return st;
    if (f->look.ask) {
      f->wait = WAIT_PRODUCTS;
      return ST_OK;
    }
    st = keep_lost(f, e);
    if (st)
      return st;
  }
  f->f = value;
  memcpy(f->x, f->trial, f->n * sizeof *f->x);
  if (f->started) {
    f->r.iterations++;
    if (solve_record(&f->r, value, e) != ST_OK)
      return e->code;
  }
  return go_on(f, at, e);
}

static Status lbfgs_sums(MultFit *f, const SoftSums *at, Err *e) {
  double none = 0;
  SolveState state = SOLVE_DONE;
  centred_gradient(f, at, f->trial, false);
  Sums sums = {.loss = at->loss, .margin = at->margin, .g0 = &none, .h00 = &none, .g = f->g};
  Status st = lbfgs_step(f->lbfgs, &sums, &state, e);
  if (!st && state == SOLVE_DONE)
    f->wait = FINISHED;
  return st;
}

static Status take_sums(MultFit *f, const Buf *result, Err *e) {
  if (result->n != soft_sums_doubles(f->d, f->k, !f->lbfgs) * sizeof(double))
    return err_set(e, ST_FAULT, "CML0601", NULL,
                   "a result of pass softmax.gradient for model `%s` is damaged", f->name);
  SoftSums sums;
  soft_sums_at((double *)(void *)result->p, f->d, f->k, &sums);
  return f->lbfgs ? lbfgs_sums(f, &sums, e) : newton_sums(f, &sums, e);
}

static Status ask(MultFit *f, Jobs *jobs, Err *e) {
  static const Pass *const pass[] = {&softmax_classes, &softmax_classes, &softmax_moments, &softmax_gradient,
                                     &linear_products};
  Job *job = jobs_add(jobs, pass[f->wait]);
  if (!job)
    return err_memory(e);
  switch (f->wait) {
  case WAIT_CLASSES: softmax_classes_par(f->k, &job->par); break;
  case WAIT_MOMENTS: softmax_moments_par(f->d, f->sparse, f->k, f->mult, &job->par); break;
  case WAIT_PRODUCTS: return ask_products(f, &job->par, e);
  default:
    if (f->lbfgs)
      memcpy(f->trial, lbfgs_point(f->lbfgs)->beta, f->n * sizeof *f->trial);
    put_theta(f, f->trial);
    softmax_gradient_par(&f->space, f->k, f->mult, f->theta, !f->lbfgs, &job->par);
  }
  return job->par.bad ? err_memory(e) : ST_OK;
}

static Status fit_next(Iter *it, const Buf *out, uint32_t nout, Jobs *jobs, Err *e) {
  MultFit *f = (MultFit *)it;
  Status st = ST_OK;
  if (f->wait != WAIT_START && f->wait != FINISHED && nout != 1)
    return err_set(e, ST_FAULT, "CML0601", NULL, "model `%s` got %u results for one job", f->name, nout);
  switch (f->wait) {
  case WAIT_START: f->wait = WAIT_CLASSES; break;
  case WAIT_CLASSES:
    f->wait = WAIT_MOMENTS;
    st = take_classes(f, buf_bytes(&out[0]), e);
    for (uint32_t c = 0; !st && c < f->k; c++) /* share of each class, kept behind the multipliers */
      f->mult[f->k + c] = ((const double *)(const void *)out[0].p)[f->k + c] * f->mult[c] / f->space.total;
    break;
  case WAIT_MOMENTS:
    f->wait = WAIT_SUMS;
    st = take_moments(f, buf_bytes(&out[0]), f->mult + f->k, e);
    break;
  case WAIT_SUMS: st = take_sums(f, &out[0], e); break;
  case WAIT_PRODUCTS: st = take_products(f, buf_bytes(&out[0]), e); break;
  case FINISHED: break;
  }
  return st || f->wait == FINISHED ? st : ask(f, jobs, e);
}

static char **copy_names(MultFit *f, char *const *v, uint32_t n) {
  char **out = arena_alloc(&f->arena, ((size_t)n + 1) * sizeof *out);
  for (uint32_t i = 0; out && i < n; i++)
    if (!(out[i] = arena_strdup(&f->arena, v[i])))
      return NULL;
  return out;
}

Status multinomial_begin(const TrainInfo *t, Iter **out, Err *e) {
  if (!blas_get(e)) /* before workers run: loading sets the environment */
    return e->code;
  MultFit *f = mem_alloc(sizeof *f);
  if (!f)
    return err_memory(e);
  arena_init(&f->arena, NULL);
  f->it.next = fit_next;
  f->it.free = fit_free;
  f->d = t->d;
  f->k = t->nclass;
  f->sparse = t->sparse;
  snprintf(f->name, sizeof f->name, "%s", t->name);
  const IrOption *o = t->option;
  uint32_t n = t->noption;
  f->o.l1 = option_num(o, n, "l1");
  f->o.l2 = option_num(o, n, "l2");
  f->o.intercept = option_num(o, n, "intercept") != 0;
  f->o.standardize = option_num(o, n, "standardize") != 0;
  f->o.solver = (LinSolver)option_num(o, n, "solver");
  f->o.max_iterations = (uint32_t)option_num(o, n, "max_iterations");
  f->o.tolerance = option_num(o, n, "tolerance");
  f->o.balanced = option_num(o, n, "class_weight") == 1;
  f->feature = copy_names(f, t->feature, t->d);
  f->class = copy_names(f, t->class, t->nclass);
  f->mult = doubles(f, 2 * (size_t)t->nclass);
  if (!f->feature || !f->class || !f->mult) {
    fit_free(&f->it);
    return err_memory(e);
  }
  *out = &f->it;
  return ST_OK;
}

/* ---- The model ---- */

/* Where adding the same to all classes changes nothing but the penalty, the mean over the classes is 0. */
static void center_classes(MultFit *f, double *x) {
  for (uint32_t i = 0; i < f->m1; i++) {
    double mean = 0;
    for (size_t c = 0; c < f->k; c++)
      mean += x[c * f->m1 + i] / f->k;
    for (size_t c = 0; c < f->k && (i == f->m || f->o.l1 == 0); c++)
      x[c * f->m1 + i] -= mean;
  }
}

static Status coefficients(MultFit *f, Model *m, Err *e) {
  size_t k = f->k, d = f->d;
  double *b = doubles(f, k * d), *b0 = doubles(f, k);
  if (!b || !b0)
    return err_memory(e);
  for (size_t c = 0; c < k; c++) {
    for (size_t j = 0; j < d; j++) {
      b[c * d + j] = f->space.inv[j] != 0 ? f->theta[j * k + c] * f->space.inv[j] : 0;
      if (!(fabs(b[c * d + j]) < INFINITY))
        return err_set(e, ST_DATA, "CML0438", "Scale the feature, or leave it out.",
                       "a coefficient of feature `%s` of model `%s` is not finite", f->feature[j], f->name);
    }
    b0[c] = linear_intercept(f->theta[d * k + c], b + c * d, f->space.shift, f->d);
    if (!(fabs(b0[c]) < INFINITY))
      return err_set(e, ST_DATA, "CML0438", "Scale the features of large values.",
                     "an intercept of model `%s` is not finite", f->name);
  }
  Status st = model_add_tensor(m, "coefficients", f->k, f->d, b, e);
  return st ? st : model_add_tensor(m, "intercept", 1, f->k, b0, e);
}

Status multinomial_finish(Iter *it, Model *m, Err *e) {
  MultFit *f = (MultFit *)it;
  if (f->wait != FINISHED)
    return err_set(e, ST_FAULT, "CML0601", NULL, "model `%s` was finished before its last pass", f->name);
  SolveResult *r = f->lbfgs ? lbfgs_result(f->lbfgs) : &f->r;
  memcpy(f->trial, f->lbfgs ? r->best.beta : f->x, f->n * sizeof *f->trial);
  center_classes(f, f->trial);
  put_theta(f, f->trial);
  Status st = coefficients(f, m, e);
  if (st)
    return st;
  m->iterations = r->iterations;
  m->converged = r->converged;
  m->objective = r->objective; /* handed over */
  m->nobjective = r->nobjective;
  r->objective = NULL;
  r->nobjective = r->cap = 0;
  m->rows = f->rows;
  m->weight = f->weight;
  snprintf(m->solver, sizeof m->solver, "%s", f->lbfgs ? "lbfgs" : f->l1_of ? "proximal newton" : "newton");
  snprintf(m->warning, sizeof m->warning, "%s", r->why);
  linear_note_constant(&f->space, f->feature, m);
  return ST_OK;
}
