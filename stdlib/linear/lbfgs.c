/* SPDX-License-Identifier: Apache-2.0 */
/* L-BFGS, for problems too wide for a Hessian: D. Liu, J. Nocedal, "On the limited memory BFGS method for
 * large scale optimization", Math. Programming 45 (1989); strong Wolfe conditions by bracketing and
 * interpolation as in J. Nocedal, S. Wright, "Numerical Optimization", 2006, section 3.5, with the condition
 * on slopes alone near the solution, where values of the objective no longer differ: W. Hager, H. Zhang, SIAM
 * J. Optim. 16 (2005).
 *
 * With l1 or bounds: OWL-QN, G. Andrew, J. Gao, "Scalable training of L1-regularized log-linear models", ICML
 * 2007. The gradient becomes the steepest one-sided derivative; coordinates that it holds at 0 or at a bound
 * stay out of the direction (with them out a positive definite inverse Hessian gives descent: D. Bertsekas,
 * "Projected Newton methods", SIAM J. Control Optim. 20 (1982)); steps stop at 0 and at bounds, and are
 * shortened until the objective falls. Memory is of the smooth part.
 *
 * The variables are (beta, a) of f = a + sum_j beta_j (u_j - center_j): centred, which first-order methods
 * need, without touching sparse data: d / d beta_j = g_j - center_j g0, and the `a` that the pass is given is
 * a - sum_j beta_j center_j. Columns that no row has take no part: arrays are of those that move (`col`).
 *
 * The first inverse Hessian is 1 / (curvature at the mean + penalty_j). Where heavy columns are named it is
 * made of the Hessian itself, in the first pass and twice more while the curvature still changes: hashed
 * categories and words are many columns of few rows each, which hardly meet one another, and some hundred
 * that most rows have, which do. So: the diagonal, and of the heavy ones the whole block, factored.
 * Measured, 20,000 rows of 39 categories in 2^20 columns: 27 iterations instead of 253. With l1 or bounds it
 * did not pay: what is held at 0 is then in the block as well. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "stdlib/linear/linear.h"
#include "vm/blas.h"
#include "vm/kernel/dot.h"
#include "vm/kernel/math.h"

enum { SEARCH_MAX = 25, CURVED_FIRST = 3, CURVED_LAST = 9 }; /* iterations */
#define C1 1e-4
#define C2 0.9

struct Lbfgs {
  const Space *s;
  const LinOptions *o;
  uint32_t *col;        /* n - 1: the columns that move, which are all that the arrays below are of */
  size_t n;             /* their number + 1: beta, then a */
  double *arrays;       /* all arrays below */
  double *x, *g;        /* the point reached and its gradient */
  double *trial, *gt;   /* the point that is being looked at */
  double *dir;
  double *pg;           /* g, or with kinks the steepest one-sided derivative, 0 for coordinates that are
                         * held */
  double *h0;           /* diagonal of the first inverse Hessian */
  double *center, *penalty;
  double fixed;         /* sum of beta_j center_j over columns that do not move */
  const Heavy *heavy;   /* or NULL */
  double *block;        /* heavy: Cholesky factor of the Hessian of these columns */
  double *part, *tmp;   /* heavy->n; n */
  uint32_t *at;         /* heavy->n: their places in the arrays */
  const Blas *blas;
  bool curved;          /* the sums that are waited for have curvature */
  Pairs pairs;
  LinPoint out;         /* trial, for the pass */
  double f, slope;      /* at x along dir */
  double t;             /* trial = x + t dir */
  double t_lo, f_lo, d_lo, t_hi, f_hi, d_hi;
  bool bracketed, started;
  uint32_t looks, small;
  SolveResult r;
};

/* The pass's point for `trial`, whose last entry is a. */
static void set_out(Lbfgs *l) {
  size_t m = l->n - 1;
  for (size_t i = 0; i < m; i++)
    l->out.beta[l->col[i]] = l->trial[i];
  l->out.a = l->trial[m] - (l->s->intercept ? k_dot(l->trial, l->center, m) + l->fixed : 0);
}

/* Room for what the heavy columns need. */
static Status take_heavy(Lbfgs *l, Err *e) {
  size_t k = l->heavy->n;
  l->block = mem_alloc((2 * k * k + 1) * sizeof *l->block); /* the factor, and a copy while it is made */
  l->part = mem_alloc((k + 1) * sizeof *l->part);
  l->at = mem_alloc((k + 1) * sizeof *l->at);
  l->blas = blas_get(e);
  if (!l->block || !l->part || !l->at)
    return err_memory(e);
  for (size_t i = 0, a = 0; i < l->n - 1 && a < k; i++)
    if (l->col[i] == l->heavy->column[a])
      l->at[a++] = (uint32_t)i;
  l->curved = true;
  return l->blas ? ST_OK : e->code;
}

static Status take_arrays(Lbfgs *l, const LinPoint *start, Err *e) {
  const Space *s = l->s;
  l->col = mem_alloc(((size_t)s->d + 1) * sizeof *l->col);
  l->out.beta = mem_alloc(((size_t)s->d + 1) * sizeof(double));
  if (!l->col || !l->out.beta)
    return err_memory(e);
  for (uint32_t j = 0; j < s->d; j++) {
    l->out.beta[j] = start->beta[j];
    if (linear_moves(s, j))
      l->col[l->n++] = j;
    else if (s->inv[j] != 0)
      l->fixed += start->beta[j] * s->center[j];
  }
  size_t m = l->n++, n = l->n;
  double **array[] = {&l->x,  &l->g,  &l->trial,  &l->gt,     &l->dir,
                      &l->pg, &l->h0, &l->center, &l->penalty, &l->tmp};
  size_t count = sizeof array / sizeof *array;
  l->arrays = mem_alloc(count * n * sizeof(double));
  if (!l->arrays)
    return err_memory(e);
  for (size_t i = 0; i < count; i++)
    *array[i] = l->arrays + i * n;
  for (size_t i = 0; i < m; i++) {
    l->trial[i] = start->beta[l->col[i]];
    l->center[i] = s->center[l->col[i]];
    l->penalty[i] = s->penalty[l->col[i]];
  }
  /* start->a is for u; at beta = 0 it is the same here */
  l->trial[m] = start->a + (s->intercept ? k_dot(l->trial, l->center, m) + l->fixed : 0);
  return pairs_new(&l->pairs, n, e);
}

Lbfgs *lbfgs_new(const Space *s, const LinOptions *o, const Heavy *h, const LinPoint *start, Err *e) {
  Lbfgs *l = mem_alloc(sizeof *l);
  if (!l) {
    err_memory(e);
    return NULL;
  }
  l->s = s;
  l->o = o;
  l->heavy = h;
  Status st = take_arrays(l, start, e);
  if (!st && h)
    st = take_heavy(l, e);
  if (st) {
    lbfgs_free(l);
    return NULL;
  }
  set_out(l);
  return l;
}

void lbfgs_free(Lbfgs *l) {
  if (!l)
    return;
  mem_free(l->arrays);
  mem_free(l->col);
  mem_free(l->out.beta);
  mem_free(l->block);
  mem_free(l->part);
  mem_free(l->at);
  pairs_free(&l->pairs);
  mem_free(l->r.objective);
  mem_free(l);
}

bool lbfgs_wants_curvature(const Lbfgs *l) {
  return l->curved;
}

const LinPoint *lbfgs_point(const Lbfgs *l) {
  return &l->out;
}

SolveResult *lbfgs_result(Lbfgs *l) {
  memcpy(l->trial, l->x, l->n * sizeof(double));
  set_out(l);
  l->r.best = l->out;
  return &l->r;
}

/* Derivative of the objective at x along coordinate j, downhill; 0 where both ways lead up or x may not
 * move. */
static double one_sided(const Lbfgs *l, size_t j) {
  const Space *s = l->s;
  double x = l->x[j], g = l->g[j];
  if (j == l->n - 1)
    return g;
  double l1 = s->l1[l->col[j]], lo = s->lo[l->col[j]], hi = s->hi[l->col[j]];
  if (x != 0)
    g += x > 0 ? l1 : -l1;
  else
    g = g > l1 ? g - l1 : g < -l1 ? g + l1 : 0;
  return (g > 0 && x <= lo) || (g < 0 && x >= hi) ? 0 : g;
}

static void find_slopes(Lbfgs *l) {
  for (size_t j = 0; j < l->n; j++)
    l->pg[j] = l->s->kinks ? one_sided(l, j) : l->g[j];
}

/* q = (first guess of the inverse Hessian) q */
static void guess(Lbfgs *l, double *restrict q) {
  double gamma = l->pairs.count ? l->pairs.gamma : 1;
  uint32_t k = l->block ? l->heavy->n : 0;
  for (uint32_t i = 0; i < k; i++)
    l->part[i] = q[l->at[i]];
  if (k) {
    int order = (int)k, one = 1, info = 0;
    l->blas->potrs("L", &order, &one, l->block, &order, l->part, &order, &info, 1);
  }
  for (size_t i = 0; i < l->n; i++)
    q[i] *= gamma * l->h0[i];
  for (uint32_t i = 0; i < k; i++)
    q[l->at[i]] = gamma * l->part[i];
}

/* dir = -H pg; slope. */
static void find_direction(Lbfgs *l) {
  size_t n = l->n;
  double *restrict q = l->dir;
  for (size_t i = 0; i < n; i++)
    q[i] = -l->pg[i];
  pairs_before(&l->pairs, q);
  guess(l, q);
  pairs_after(&l->pairs, q);
  for (size_t i = 0; i < n && l->s->kinks; i++)
    q[i] = l->pg[i] == 0 ? 0 : q[i];
  l->slope = k_dot(l->pg, q, n);
}

static double step_size(const Lbfgs *l) {
  size_t d = l->n - 1;
  double step = 0, beta = l->s->unit;
  for (size_t i = 0; i < d; i++) {
    step = fabs(l->dir[i]) > step ? fabs(l->dir[i]) : step;
    beta = fabs(l->x[i]) > beta ? fabs(l->x[i]) : beta;
  }
  double level = fabs(l->x[d]) > l->s->unit ? fabs(l->x[d]) : l->s->unit;
  double size = beta > 0 ? step / beta : 0, size_a = level > 0 ? fabs(l->dir[d]) / level : 0;
  return size > size_a ? size : size_a;
}

/* Keeps the pair (trial - x, gt - g) and moves to trial. */
static void move(Lbfgs *l, double f) {
  size_t n = l->n;
  const double *y = pairs_add(&l->pairs, l->x, l->trial, l->g, l->gt);
  if (y) {
    double gamma = l->pairs.gamma;
    memcpy(l->tmp, y, n * sizeof *y);
    l->pairs.gamma = 1; /* for the guess itself */
    guess(l, l->tmp);
    l->pairs.gamma = gamma;
    pairs_weigh(&l->pairs, k_dot(y, l->tmp, n));
  }
  memcpy(l->x, l->trial, n * sizeof(double));
  memcpy(l->g, l->gt, n * sizeof(double));
  l->f = f;
}

/* v for coordinate j, kept on the side of 0 that x is on (or goes to) and inside the bounds. */
static double inside(const Lbfgs *l, size_t j, double v) {
  const Space *s = l->s;
  uint32_t c = l->col[j];
  double side = l->x[j] != 0 ? l->x[j] : -l->pg[j];
  if (s->l1[c] > 0 && v * side < 0)
    v = 0;
  return v < s->lo[c] ? s->lo[c] : v > s->hi[c] ? s->hi[c] : v;
}

static void set_trial(Lbfgs *l, double t) {
  l->t = t;
  for (size_t i = 0; i < l->n; i++)
    l->trial[i] = l->x[i] + t * l->dir[i];
  for (size_t i = 0; i + 1 < l->n && l->s->kinks; i++)
    l->trial[i] = inside(l, i, l->trial[i]);
  set_out(l);
}

/* A new direction from x, or the end. */
static Status go_on(Lbfgs *l, const Sums *at, SolveState *state, Err *e) {
  *state = SOLVE_DONE;
  if (linear_unbounded(l->s, l->o, l->out.beta, *at->margin)) {
    snprintf(l->r.why, sizeof l->r.why, "%s", linear_separated);
    return ST_OK;
  }
  find_slopes(l);
  find_direction(l);
  if (!(l->slope < 0)) { /* memory of no use any more, or a zero gradient */
    pairs_forget(&l->pairs);
    find_direction(l);
  }
  double size = step_size(l);
  if (!(l->slope < 0)) {
    l->r.converged = true;
    return l->r.nobjective ? ST_OK : solve_record(&l->r, l->f, e);
  }
  /* chosen for width: what counts is the objective, as nobody reads a hundred thousand coefficients */
  bool low = l->o->solver == SOLVER_AUTO && -l->slope <= 0.2 * l->o->tolerance * fabs(l->f);
  l->small = low || size <= l->o->tolerance ? l->small + 1 : 0;
  /* the direction stands for a Newton step; an early one may be short by chance, two not */
  if (l->small >= 2) {
    l->r.converged = true;
    return ST_OK;
  }
  if (l->r.iterations >= l->o->max_iterations) {
    snprintf(l->r.why, sizeof l->r.why,
             "not converged after %u iterations: the next step would still change a coefficient by %.1e of the largest. "
             "Raise max_iterations, or set l2 higher", l->r.iterations, size);
    return ST_OK;
  }
  l->t_lo = 0;
  l->f_lo = l->f;
  l->d_lo = l->slope;
  l->bracketed = false;
  l->looks = 0;
  set_trial(l, 1);
  /* the curvature has changed most in the first steps; where little is left to gain the old one does */
  bool far = -l->slope > 1e-6 * fabs(l->f);
  l->curved = l->block && far && (l->r.iterations + 1 == CURVED_FIRST || l->r.iterations + 1 == CURVED_LAST);
  *state = SOLVE_MORE;
  return ST_OK;
}

/* The next t between lo and hi: the minimum of the cubic through both values and slopes, kept off the
 * ends. */
static double between(const Lbfgs *l) {
  double h = l->t_hi - l->t_lo;
  double d1 = l->d_lo + l->d_hi - 3 * (l->f_hi - l->f_lo) / h;
  double root = d1 * d1 - l->d_lo * l->d_hi;
  double t = 0.5;
  if (root >= 0) {
    double d2 = h > 0 ? sqrt(root) : -sqrt(root);
    double q = l->d_hi - l->d_lo + 2 * d2;
    t = q != 0 ? 1 - (l->d_hi + d2 - d1) / q : 0.5;
  }
  if (!(t >= 0.1)) /* also NaN */
    t = t < 0.1 ? 0.1 : 0.5;
  if (t > 0.9)
    t = 0.9;
  return l->t_lo + t * h;
}

/* The objective at trial; its gradient goes to gt. */
static double evaluate(Lbfgs *l, const Sums *at) {
  const Space *s = l->s;
  size_t m = l->n - 1;
  double w = s->total, f = *at->loss / w, mean = *at->g0 / w;
  for (size_t i = 0; i < m; i++) {
    double x = l->trial[i], g = at->g[l->col[i]] / w + l->penalty[i] * x;
    f += 0.5 * l->penalty[i] * (x * x) + s->l1[l->col[i]] * fabs(x);
    l->gt[i] = s->intercept ? g - l->center[i] * mean : g;
  }
  l->gt[m] = s->intercept ? mean : 0;
  return f;
}

/* The first guess of the inverse Hessian from what the pass brought: of the heavy columns, which are
 * correlated, the whole matrix, scaled up from the sample; of the others, which are not with one another, the
 * diagonal. */
static void take_curvature(Lbfgs *l, const Sums *at) {
  const Space *s = l->s;
  size_t m = l->n - 1, k = l->heavy->n;
  double w = s->total, up = *at->s00 > 0 ? *at->h00 / *at->s00 / w : 0;
  for (size_t i = 0; i < m; i++) {
    double h = at->diag[l->col[i]] / w + l->penalty[i];
    l->h0[i] = h > 0 ? 1 / h : l->h0[i];
  }
  l->h0[m] = s->intercept && *at->h00 > 0 ? w / *at->h00 : l->h0[m];
  for (size_t a = 0; a < k; a++) {
    const double *row = at->hess + linear_tri(k, a);
    double mean = s->intercept && *at->s00 > 0 ? at->sh[a] / *at->s00 : 0;
    for (size_t b = a; b < k; b++)
      l->block[a * k + b] = l->block[b * k + a] = (row[b] - mean * at->sh[b]) * up;
    double diagonal = l->block[a * k + a] + l->penalty[l->at[a]], all = 1 / l->h0[l->at[a]];
    l->block[a * k + a] = diagonal > 1e-6 * all ? diagonal : all; /* the sample has nothing of it */
  }
  if (!linear_cholesky(l->blas, l->block, l->block + k * k, (uint32_t)k)) {
    memset(l->block, 0, k * k * sizeof *l->block);
    for (size_t a = 0; a < k; a++)
      l->block[a * k + a] = 1 / sqrt(l->h0[l->at[a]]);
  }
  l->pairs.gamma = 1; /* pairs tell of the Hessian itself, whatever the guess was */
}

/* The first point is where it is: the first inverse Hessian there. */
static void start_at(Lbfgs *l, double f) {
  const Space *s = l->s;
  size_t m = l->n - 1;
  double curve = 1;
  l->started = true;
  if (s->loss == LOSS_LOGISTIC) { /* p (1 - p) at the start; g0 tells nothing, so from a itself */
    double q;
    k_sigmoid(&l->trial[m], &q, 1);
    curve = q * (1 - q);
  }
  for (size_t i = 0; i < m; i++)
    l->h0[i] = 1 / (curve + l->penalty[i]);
  l->h0[m] = s->intercept ? 1 / curve : 0;
  memcpy(l->x, l->trial, l->n * sizeof(double));
  memcpy(l->g, l->gt, l->n * sizeof(double));
  l->f = f;
}

/* The search goes on between lo and hi, which get the point looked at: f and slope, low where f has fallen
 * enough. */
static void narrow(Lbfgs *l, double f, double slope, bool low) {
  if (!low || (l->t_lo > 0 && f >= l->f_lo)) { /* also where f is not a number */
    l->t_hi = l->t;
    l->f_hi = f;
    l->d_hi = slope;
    l->bracketed = true;
    return;
  }
  if (l->bracketed ? slope * (l->t_hi - l->t_lo) >= 0 : slope >= 0) {
    l->t_hi = l->t_lo;
    l->f_hi = l->f_lo;
    l->d_hi = l->d_lo;
    l->bracketed = true;
  }
  l->t_lo = l->t;
  l->f_lo = f;
  l->d_lo = slope;
}

static void give_up(Lbfgs *l, SolveState *state) {
  double size = step_size(l);
  *state = SOLVE_DONE;
  l->r.converged = size <= 1e-6;
  if (!l->r.converged)
    snprintf(l->r.why, sizeof l->r.why,
             "no step improves the objective any more after %u iterations (the next would change a coefficient by %.1e "
             "of the largest). Set l2 higher", l->r.iterations, size);
}

/* Has the objective fallen as the way that the trial really went promises? */
static Status kink_step(Lbfgs *l, const Sums *at, double f, SolveState *state, Err *e) {
  double slope = 0;
  for (size_t j = 0; j < l->n; j++)
    slope += l->pg[j] * (l->trial[j] - l->x[j]);
  l->looks++;
  if (f <= l->f + C1 * slope + 4 * DBL_EPSILON * fabs(l->f)) {
    move(l, f);
    l->r.iterations++;
    Status st = solve_record(&l->r, f, e);
    return st ? st : go_on(l, at, state, e);
  }
  *state = SOLVE_MORE;
  if (l->looks >= SEARCH_MAX) {
    give_up(l, state);
    return ST_OK;
  }
  double t = f < INFINITY ? -slope / (2 * (f - l->f - slope)) : 0.1; /* the minimum of a parabola */
  set_trial(l, l->t * (t < 0.1 ? 0.1 : t < 0.5 ? t : 0.5));
  return ST_OK;
}

Status lbfgs_step(Lbfgs *l, const Sums *at, SolveState *state, Err *e) {
  double f = evaluate(l, at);
  if (!l->started) {
    start_at(l, f);
    if (l->curved)
      take_curvature(l, at);
    return go_on(l, at, state, e);
  }
  if (l->s->kinks)
    return kink_step(l, at, f, state, e);
  double slope = k_dot(l->gt, l->dir, l->n), noise = 4 * DBL_EPSILON * fabs(l->f);
  bool low = f <= l->f + C1 * l->t * l->slope;
  bool wolfe = low && fabs(slope) <= -C2 * l->slope;
  bool near = f <= l->f + noise && slope >= C2 * l->slope && slope <= (2 * C1 - 1) * l->slope;
  l->looks++;
  if (wolfe || near) {
    move(l, f);
    l->r.iterations++;
    if (l->curved)
      take_curvature(l, at);
    Status st = solve_record(&l->r, f, e);
    return st ? st : go_on(l, at, state, e);
  }
  narrow(l, f, slope, low);
  *state = SOLVE_MORE;
  if (l->looks >= SEARCH_MAX) {
    give_up(l, state);
    return ST_OK;
  }
  set_trial(l, l->bracketed ? between(l) : 4 * l->t);
  return ST_OK;
}
