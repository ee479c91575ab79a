/* SPDX-License-Identifier: Apache-2.0 */
/* Newton's method on the Hessian (for squared loss: the Gram matrix), for problems up to some thousand
 * columns.
 *
 *   step = -H^-1 g, halved until the objective falls; then again, until a step changes nothing that counts.
 *
 * It is indifferent to the scale of columns, converges quadratically, and so gives coefficients right to
 * rounding in 4 to 10 looks at the data, where first-order methods stop early on badly scaled columns. See J.
 * Nocedal, S. Wright, "Numerical Optimization", 2006, chapter 3; for logistic loss it is iteratively
 * reweighted least squares.
 *
 * One step, all of it divided by W:
 *   1. the free intercept is eliminated: H' = H - h h'/h00, g' = g - h g0/h00. This centres the columns by
 *      the weights of the moment, also sparse ones, which are never centred themselves;
 *   2. A = S H' S with unit diagonal, so that its Cholesky pivots are 1 - R^2 of a column against those
 *      before it;
 *   3. without a penalty the first A shows which columns are combinations of others (rank.c); steps then stay
 *      in the other directions. Which these are is a matter of the data, not of the point, so it is found
 *      once;
 *      With l1 or bounds the step goes to the minimum of the quadratic model with these in it (descent.c), a
 *      proximal Newton
 *      step: J. Lee, Y. Sun, M. Saunders, SIAM J. Optim. 24 (2014). It is 0 where the optimality conditions
 *      hold and only there, so that its size says how well they do;
 *   4. near the solution the old factor serves for new gradients (the pass is cheaper without a Hessian).
 *      For squared loss this is the iterative refinement of the normal equations (A. Bjoerck, "Numerical
 *      Methods for Least Squares Problems", 1996, section 2.9), which gives back the digits that squaring
 *      lost. Where it lost none the first step is the last, and the rows are not looked at again.
 *      Of many dense columns it begins early: the steps and what the gradient changed along them improve on
 *      the factor (pairs.c: L-BFGS that starts from it), and a new one is asked for where two passes in a
 *      row do not halve what is left;
 *   5. with many more rows than columns the factor comes from a sample of the rows (LOOK_SAMPLE): R. Byrd, G.
 *      Chin, W. Neveitt, J. Nocedal, "On the use of stochastic Hessian information in optimization methods
 *      for machine learning", SIAM J. Optim. 21 (2011). The gradient is of all rows, so that the solution is
 *      the same. A bad condition is the sample's, too, and does no harm. What the sample does not show
 *      (columns that are not 0 in a few rows, a few rows of great weight) shows in slow or bad steps, and
 *      from then on the Hessian is of all rows. With a sample steps shrink by much the same factor each,
 *      which tells how much is left behind the last (is_near). */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "stdlib/linear/linear.h"
#include "vm/blas.h"
#include "vm/kernel/dot.h"

#define ARMIJO 1e-4
#define CHORD 1e-4 /* a step as small: keep the factor */
#define NEAR 0.25  /* the same where pairs improve on it: the step changes f by as much, in the mean */
#define LEFT 50    /* tolerances that may be left behind the last step with a drawn factor */
#define CLEAR 1e-4 /* squares of the data that lose no more than this are as good as the data */
enum {
  PIVOT_WIDTH = 1024, /* up to here a factoring is cheaper than a pass */
  PAIRED_WIDTH = 64, /* from here on a pass with a Hessian costs several without */
  SLOW_MOST = 2,     /* passes in a row that do not halve what is left: a new Hessian, of all rows */
  DRAWN_MOST = 12,   /* Hessians of samples; then of all rows */
  HALVINGS = 4,      /* the same for steps that are too long */
};

struct Newton {
  const Space *s;
  const LinOptions *o;
  char *const *names;
  const Blas *blas;
  uint32_t m;        /* active columns */
  uint32_t *active;  /* m: their numbers */
  LinPoint at, trial;
  double *step;      /* d */
  double *goal;      /* d: where the whole step leads, zeros and bounds exact */
  double step_a;
  double f, slope, t;
  bool started;
  uint32_t halvings, flat;
  double size;       /* of the last step; relative */
  double shrink;     /* what of the step before it that was; of the last two, the greater */
  /* the tail: an old or drawn factor, and pairs; arrays of m + 1, the intercept last; (x0, g0): the point
   * before */
  Pairs pairs;
  double *tail;      /* these five */
  double *grad, *dir, *x0, *g0, *x;
  bool drawing;      /* Hessians are of a sample */
  bool kept;         /* the factor is of an earlier point */
  bool again;        /* the same point comes back, with a Hessian */
  uint32_t drawn, slow;
  double change;     /* by the last step, in f: root of the mean square */
  /* the factor */
  bool have_factor;
  double *a;         /* m x m: A, then its Cholesky factor (lower) */
  double *scale;     /* m: S */
  double *h;         /* m: h */
  double h00;
  double *g;         /* m: g', then the step */
  double *basis;     /* m x rank: what the data determine; NULL: everything */
  double *reduced;   /* rank x rank: Cholesky factor of basis' A basis */
  double *tmp;       /* m x rank, and rank */
  double *model;     /* kinks: 5 m, the quadratic's vectors and its solution */
  uint32_t rank;
  Rank look;
  bool rank_known;
  SolveResult r;
};

static void *take(size_t n, size_t each) {
  return mem_alloc((n + 1) * each);
}

Newton *newton_new(const Space *s, const LinOptions *o, char *const *names, const LinPoint *start, Err *e) {
  const Blas *blas = blas_get(e);
  if (!blas)
    return NULL;
  Newton *n = mem_alloc(sizeof *n);
  if (!n) {
    err_memory(e);
    return NULL;
  }
  size_t d = s->d;
  n->s = s;
  n->o = o;
  n->names = names;
  n->blas = blas;
  n->active = take(d, sizeof *n->active);
  n->at.beta = take(d, sizeof(double));
  n->trial.beta = take(d, sizeof(double));
  n->step = take(d, sizeof(double));
  n->goal = take(d, sizeof(double));
  if (!n->active || !n->at.beta || !n->trial.beta || !n->step || !n->goal)
    goto memory;
  for (uint32_t j = 0; j < d; j++) {
    if (linear_moves(s, j))
      n->active[n->m++] = j;
    n->trial.beta[j] = start->beta[j];
  }
  n->trial.a = start->a;
  size_t m = n->m;
  n->a = take(m * m, sizeof(double));
  n->scale = take(m, sizeof(double));
  n->h = take(m, sizeof(double));
  n->g = take(m, sizeof(double));
  n->model = take(s->kinks ? 5 * m : 0, sizeof(double));
  n->tail = take(5 * (m + 1), sizeof(double));
  if (!n->a || !n->scale || !n->h || !n->g || !n->model || !n->tail || pairs_new(&n->pairs, m + 1, e))
    goto memory;
  double **array[] = {&n->grad, &n->dir, &n->x0, &n->g0, &n->x};
  for (size_t i = 0; i < sizeof array / sizeof *array; i++)
    *array[i] = n->tail + i * (m + 1);
  n->drawing = s->sample > 0;
  return n;
memory:
  err_memory(e);
  newton_free(n);
  return NULL;
}

void newton_free(Newton *n) {
  if (!n)
    return;
  mem_free(n->active);
  mem_free(n->at.beta);
  mem_free(n->trial.beta);
  mem_free(n->step);
  mem_free(n->goal);
  mem_free(n->model);
  mem_free(n->a);
  mem_free(n->scale);
  mem_free(n->h);
  mem_free(n->g);
  mem_free(n->basis);
  mem_free(n->reduced);
  mem_free(n->tmp);
  mem_free(n->tail);
  pairs_free(&n->pairs);
  rank_free(&n->look);
  mem_free(n->r.objective);
  mem_free(n);
}

bool newton_asks_products(const Newton *n) {
  return n->look.ask && !n->rank_known;
}

LinLook newton_look(const Newton *n) {
  return n->have_factor ? LOOK_GRADIENT : n->drawing ? LOOK_SAMPLE : LOOK_HESSIAN;
}

const LinPoint *newton_point(const Newton *n) {
  return &n->trial;
}

SolveResult *newton_result(Newton *n) {
  n->r.best = n->at;
  return &n->r;
}

/* ---- the matrix ---- */

/* The upper triangle of H' by rows; `v` becomes its diagonal. */
static void copy_hessian(Newton *n, const Sums *at, double *v) {
  uint32_t m = n->m;
  double w = n->s->total;
  for (uint32_t i = 0; i < m; i++) {
    const double *row = at->hess + linear_tri(n->s->d, n->active[i]);
    double hi = n->s->intercept && n->h00 > 0 ? n->h[i] / n->h00 : 0;
    for (uint32_t k = i; k < m; k++)
      n->a[(size_t)i * m + k] = row[n->active[k]] / w - hi * n->h[k];
    v[i] = n->a[(size_t)i * m + i];
  }
}

/* The same of a sample: the diagonal is of all rows, the correlations are the sample's. A column that the
 * sample says nothing of is taken for independent. */
static void copy_sample(Newton *n, const Sums *at, double *v) {
  uint32_t m = n->m;
  double w = n->s->total;
  bool centred = n->s->intercept && *at->s00 > 0;
  for (uint32_t i = 0; i < m; i++) {
    uint32_t j = n->active[i];
    const double *row = at->hess + linear_tri(n->s->d, j);
    double si = centred ? at->sh[j] / *at->s00 : 0;
    for (uint32_t k = i; k < m; k++)
      n->a[(size_t)i * m + k] = row[n->active[k]] - si * at->sh[n->active[k]];
    double all = at->diag[j] / w - (n->s->intercept && n->h00 > 0 ? n->h[i] * n->h[i] / n->h00 : 0);
    double drawn = n->a[(size_t)i * m + i];
    v[i] = all > 0 ? all : 0;
    n->scale[i] = drawn > 1e-12 * row[j] && drawn > 1e-280 ? sqrt(v[i] / drawn) : 0;
  }
  for (uint32_t i = 0; i < m; i++)
    for (uint32_t k = i; k < m; k++)
      n->a[(size_t)i * m + k] *= n->scale[i] * n->scale[k];
}

/* Fills both triangles of A, scale and h from the sums. */
static void build_matrix(Newton *n, const Sums *at) {
  uint32_t m = n->m;
  double *v = n->g; /* scratch until the next step */
  n->h00 = *at->h00 / n->s->total;
  for (uint32_t i = 0; i < m; i++)
    n->h[i] = n->s->intercept ? at->h[n->active[i]] / n->s->total : 0;
  if (at->diag)
    copy_sample(n, at, v);
  else
    copy_hessian(n, at, v);
  for (uint32_t i = 0; i < m; i++) {
    double diagonal = v[i] + n->s->penalty[n->active[i]];
    /* 0: nothing is known of this direction, stay */
    n->scale[i] = diagonal > 1e-280 ? 1 / sqrt(diagonal) : 0;
  }
  for (uint32_t i = 0; i < m; i++) {
    for (uint32_t k = i + 1; k < m; k++) {
      double c = n->a[(size_t)i * m + k] * (n->scale[i] * n->scale[k]);
      n->a[(size_t)i * m + k] = c;
      n->a[(size_t)k * m + i] = c;
    }
    n->a[(size_t)i * m + i] = 1;
  }
}

/* Leaves the lost directions out from now on, and says which columns are in them. */
static Status keep_basis(Newton *n, Err *e) {
  size_t m = n->m;
  n->rank_known = true;
  if (n->look.lost == 0)
    return ST_OK;
  n->rank = n->m - n->look.lost;
  n->basis = take(m * n->rank, sizeof(double));
  n->reduced = take((size_t)n->rank * n->rank, sizeof(double));
  n->tmp = take(m * n->rank + n->rank, sizeof(double));
  if (!n->basis || !n->reduced || !n->tmp)
    return err_memory(e);
  memcpy(n->basis, n->look.vector + n->look.lost * m, m * n->rank * sizeof(double));
  rank_tell(&n->look, n->s->rows, n->names, n->active, n->r.why, sizeof n->r.why);
  return ST_OK;
}

Status newton_ask_products(Newton *n, Buf *par, Err *e) {
  size_t d = n->s->d, m = n->m;
  uint32_t k = n->look.candidates;
  double *v = mem_alloc((k * d + 1) * sizeof *v);
  if (!v)
    return err_memory(e);
  for (size_t a = 0; a < k; a++)
    for (size_t i = 0; i < m; i++)
      v[a * d + n->active[i]] = n->look.vector[a * m + i] * n->scale[i];
  linear_products_par(n->s, v, k, par);
  mem_free(v);
  return par->bad ? err_memory(e) : ST_OK;
}

uint32_t newton_directions(const Newton *n) {
  return n->look.candidates;
}

Status newton_products(Newton *n, const double *products, Err *e) {
  double column = 0; /* active columns have about unit size in u: along a unit direction, scale^2 */
  for (uint32_t i = 0; i < n->m; i++)
    column = n->scale[i] * n->scale[i] > column ? n->scale[i] * n->scale[i] : column;
  Status st = rank_decide(&n->look, products, n->s->given, column, e);
  return st ? st : keep_basis(n, e);
}

static Status build_factor(Newton *n, const Sums *at, Err *e) {
  uint32_t m = n->m;
  build_matrix(n, at);
  pairs_forget(&n->pairs);
  n->kept = false;
  n->slow = 0;
  n->drawn += n->drawing;
  if (n->s->kinks) { /* the matrix itself is what is needed */
    n->have_factor = true;
    return ST_OK;
  }
  if (!n->rank_known && n->o->l2 == 0 && m > 0) {
    Status st = rank_look(&n->look, n->a, m, n->s->rows, e);
    if (st)
      return st;
    if (n->drawing && n->look.candidates > 0) { /* all rows decide */
      rank_free(&n->look);
      return ST_OK;
    }
    if (n->look.ask)
      return ST_OK;
    st = keep_basis(n, e);
    if (st)
      return st;
  }
  size_t size = n->basis ? n->rank : m;
  double *copy = take(size * size, sizeof *copy);
  if (!copy)
    return err_memory(e);
  bool good;
  if (n->basis) {
    int im = (int)m, ik = (int)n->rank;
    double one = 1, zero = 0;
    if (n->rank > 0) {
      n->blas->gemm("N", "N", &im, &ik, &im, &one, n->a, &im, n->basis, &im, &zero, n->tmp, &im, 1, 1);
      n->blas->gemm("T", "N", &ik, &ik, &im, &one, n->basis, &im, n->tmp, &im, &zero, n->reduced, &ik, 1, 1);
    }
    good = linear_cholesky(n->blas, n->reduced, copy, n->rank);
  } else {
    good = linear_cholesky(n->blas, n->a, copy, m);
  }
  mem_free(copy);
  n->have_factor = good;
  return ST_OK;
}

/* ---- one step ---- */

/* With l1 and bounds: n->g is minus the gradient in the coordinates z = beta / scale, and becomes the step
 * in them. */
static Status model_step(Newton *n, Err *e) {
  const Space *s = n->s;
  uint32_t m = n->m;
  double *g = n->model, *l1 = g + m, *lo = l1 + m, *hi = lo + m, *z = hi + m;
  for (uint32_t i = 0; i < m; i++) {
    uint32_t j = n->active[i];
    double one = n->scale[i]; /* 0: nothing is known of this direction, stay */
    z[i] = one > 0 ? n->at.beta[j] / one : 0;
    l1[i] = s->l1[j] * one;
    lo[i] = one > 0 ? s->lo[j] / one : 0;
    hi[i] = one > 0 ? s->hi[j] / one : 0;
  }
  for (uint32_t i = 0; i < m; i++)
    g[i] = -n->g[i] - k_dot(n->a + (size_t)i * m, z, m);
  double unit = s->unit * sqrt(n->h00 > 0 ? n->h00 : 1);
  Quadratic q = {
      .m = m, .h = n->a, .g = g, .l1 = l1, .lo = lo, .hi = hi, .tolerance = 0.01 * n->o->tolerance * unit};
  QuadraticEnd end;
  Status st = descent_solve(&q, z, &end, e);
  for (uint32_t i = 0; i < m && !st; i++) {
    uint32_t j = n->active[i];
    double to = z[i] * n->scale[i];
    to = z[i] == lo[i] ? s->lo[j] : z[i] == hi[i] ? s->hi[j] : to;
    n->goal[j] = n->scale[i] > 0 ? to : n->at.beta[j];
    n->g[i] = n->scale[i] > 0 ? (n->goal[j] - n->at.beta[j]) / n->scale[i] : 0;
  }
  return st;
}

/* Change of the l1 term, from `from` to `to`. */
static double kink_change(const Newton *n, const double *from, const double *to) {
  double sum = 0;
  for (uint32_t i = 0; i < n->m && n->s->kinks; i++) {
    uint32_t j = n->active[i];
    sum += n->s->l1[j] * (fabs(to[j]) - fabs(from[j]));
  }
  return sum;
}

/* grad at n->at; with a factor that was kept, what it changed since the point before becomes a pair. */
static void find_gradient(Newton *n, const Sums *at) {
  uint32_t m = n->m;
  double w = n->s->total;
  for (uint32_t i = 0; i < m; i++) {
    uint32_t j = n->active[i];
    n->grad[i] = at->g[j] / w + n->s->penalty[j] * n->at.beta[j];
    n->x[i] = n->at.beta[j];
  }
  n->grad[m] = n->s->intercept ? *at->g0 / w : 0;
  n->x[m] = n->at.a;
  if (n->kept && n->s->loss == LOSS_LOGISTIC && !n->s->kinks && !n->basis)
    pairs_add(&n->pairs, n->x0, n->x, n->g0, n->grad);
  memcpy(n->x0, n->x, (m + 1) * sizeof *n->x);
  memcpy(n->g0, n->grad, (m + 1) * sizeof *n->x);
}

/* n->g, minus the gradient in the coordinates z = beta / scale, becomes the step in them. */
static Status solve(Newton *n, Err *e) {
  int im = (int)n->m, ik = (int)n->rank, one = 1, info = 0;
  double unit = 1, zero = 0;
  if (n->basis && n->rank > 0) {
    double *y = n->tmp + (size_t)n->m * n->rank;
    n->blas->gemv("T", &im, &ik, &unit, n->basis, &im, n->g, &one, &zero, y, &one, 1);
    n->blas->potrs("L", &ik, &one, n->reduced, &ik, y, &ik, &info, 1);
    n->blas->gemv("N", &im, &ik, &unit, n->basis, &im, y, &one, &zero, n->g, &one, 1);
  } else if (n->basis) {
    memset(n->g, 0, n->m * sizeof *n->g);
  } else if (n->s->kinks) {
    return model_step(n, e);
  } else if (n->m > 0) {
    n->blas->potrs("L", &im, &one, n->a, &im, n->g, &im, &info, 1);
  }
  return ST_OK;
}

/* Gradient and step at n->at; slope becomes the derivative of the objective along the step (with l1: the
 * change of the linear part, which bounds it). */
static Status find_step(Newton *n, const Sums *at, Err *e) {
  uint32_t m = n->m;
  bool eliminate = n->s->intercept && n->h00 > 0;
  double slope = 0, shift = 0, *dir = n->dir;
  find_gradient(n, at);
  for (uint32_t i = 0; i <= m; i++)
    dir[i] = -n->grad[i];
  pairs_before(&n->pairs, dir);
  for (uint32_t i = 0; i < m; i++)
    n->g[i] = (dir[i] - (eliminate ? n->h[i] * (dir[m] / n->h00) : 0)) * n->scale[i];
  Status st = solve(n, e);
  if (st)
    return st;
  for (uint32_t i = 0; i < m; i++) {
    dir[i] = n->g[i] * n->scale[i];
    shift += n->h[i] * dir[i];
  }
  dir[m] = eliminate ? (dir[m] - shift) / n->h00 : 0;
  pairs_after(&n->pairs, dir);
  for (uint32_t i = 0; i < m; i++) {
    uint32_t j = n->active[i];
    slope += n->grad[i] * dir[i];
    n->step[j] = dir[i];
    if (!n->s->kinks)
      n->goal[j] = n->at.beta[j] + dir[i];
  }
  n->step_a = dir[m];
  n->slope = slope + n->grad[m] * n->step_a + kink_change(n, n->at.beta, n->goal);
  return ST_OK;
}

static double step_size(const Newton *n) {
  double step = 0, beta = n->s->unit;
  for (uint32_t i = 0; i < n->m; i++) {
    uint32_t j = n->active[i];
    double a = fabs(n->step[j]), b = fabs(n->at.beta[j]);
    step = a > step ? a : step;
    beta = b > beta ? b : beta;
  }
  double level = fabs(n->at.a) > n->s->unit ? fabs(n->at.a) : n->s->unit;
  double size = beta > 0 ? step / beta : 0, size_a = level > 0 ? fabs(n->step_a) / level : 0;
  return size > size_a ? size : size_a;
}

static void set_trial(Newton *n, double t) {
  n->t = t;
  n->trial.a = n->at.a + t * n->step_a;
  for (uint32_t i = 0; i < n->m; i++) {
    uint32_t j = n->active[i];
    n->trial.beta[j] = t == 1 ? n->goal[j] : n->at.beta[j] + t * n->step[j];
  }
}

static void accept(Newton *n, double f) {
  n->f = f;
  n->at.a = n->trial.a;
  memcpy(n->at.beta, n->trial.beta, n->s->d * sizeof(double));
}

/* Names the columns that still move when the rest stands: one class only on one side of them. */
static void why_moving(Newton *n) {
  double most = 0;
  for (uint32_t i = 0; i < n->m; i++) {
    double step = fabs(n->step[n->active[i]]);
    most = step > most ? step : most;
  }
  snprintf(n->r.why, sizeof n->r.why,
           "some coefficients grow without end, because some rows are of one class only. Add l2. Growing:");
  NameList list;
  names_begin(&list, n->r.why, sizeof n->r.why);
  for (uint32_t i = 0; i < n->m; i++)
    if (fabs(n->step[n->active[i]]) >= 0.1 * most)
      names_add(&list, n->names[n->active[i]]);
  names_end(&list);
}

/* A step within the tolerance. What is left behind it is the square of it, so it is taken unseen. */
static Status last_step(Newton *n, double size, double gain, Err *e) {
  n->r.converged = true;
  if (size == 0)
    return n->r.nobjective ? ST_OK : solve_record(&n->r, n->f, e);
  set_trial(n, 1);
  accept(n, n->f - (gain > 0 ? gain : 0));
  n->r.iterations++;
  return solve_record(&n->r, n->f, e);
}

/* The least pivot of A, 1 - R^2 of a column against those before it; 0: not known. */
static double least_pivot(const Newton *n) {
  size_t m = n->m;
  double least = 1;
  const double *factor = n->a;
  double *copy = NULL;
  if (n->basis || (n->s->kinks && m > PIVOT_WIDTH))
    return 0;
  if (n->s->kinks) { /* there is no factor yet */
    int size = (int)m, info = 0;
    copy = take(m * m, sizeof *copy);
    if (!copy)
      return 0;
    memcpy(copy, n->a, m * m * sizeof *copy);
    n->blas->potrf("L", &size, copy, &size, &info, 1);
    factor = copy;
    least = info == 0 ? least : 0;
  }
  for (size_t i = 0; i < m && least > 0; i++) {
    double pivot = factor[i * m + i] * factor[i * m + i];
    least = pivot < least ? pivot : least;
  }
  mem_free(copy);
  return least;
}

/* The objective of squared loss behind the step, from the matrix alone, or NaN where the rows must be asked:
 * squaring has cost digits, or what is left of the loss is small against what it was. */
static double quadratic_value(const Newton *n) {
  double bend = 0, row = 0, f;
  size_t m = n->m;
  if (n->s->loss != LOSS_SQUARED || n->kept || !(least_pivot(n) >= CLEAR))
    return NAN;
  if (n->s->kinks) { /* n->g: the step in z, in which the matrix is A */
    for (size_t i = 0; i < m; i++) {
      bend += n->g[i] * k_dot(n->a + i * m, n->g, m);
      row += n->h[i] * n->dir[i];
    }
    f = n->f + n->slope + 0.5 * bend;
    if (n->s->intercept && n->h00 > 0) /* what the eliminated intercept adds */
      f += n->step_a * row + 0.5 * n->h00 * n->step_a * n->step_a + 0.5 * row * row / n->h00;
  } else {
    f = n->f + 0.5 * n->slope;
  }
  return f >= CLEAR * n->f ? f : NAN;
}

/* Three times in a row: the objective cannot be improved by what can be measured, and steps do not shrink. */
static bool is_flat(Newton *n, double size, double gain) {
  /* coefficients may grow for ever */
  bool unbounded = n->s->loss == LOSS_LOGISTIC && n->o->l2 == 0 && n->o->l1 == 0;
  double floor = 1e-28 * n->s->unit * n->s->unit;
  bool stuck = n->started && size > 0.5 * n->size;
  bool level = gain <= (unbounded ? 1e-10 : 4 * DBL_EPSILON) * fabs(n->f) + floor;
  n->flat = stuck && level ? n->flat + 1 : 0;
  if (n->flat < 3)
    return false;
  if (unbounded && size > 1e-5) {
    why_moving(n);
    return true;
  }
  n->r.converged = true;
  if (size > 1e-6 && !n->r.why[0])
    snprintf(n->r.why, sizeof n->r.why,
             "the features are nearly collinear: the coefficients are determined only to about %.0e of the largest",
             size);
  return true;
}

/* Is the solution as near behind this step as it is to be? Its gain, and the steps that would follow it if
 * they went on to shrink as they did, change nothing that counts. */
static bool is_near(const Newton *n, double size, double gain) {
  double ratio = size / n->size, shrink = ratio > n->shrink ? ratio : n->shrink;
  return n->started && n->kept && n->drawing && shrink < 0.5 &&
         size * shrink / (1 - shrink) <= LEFT * n->o->tolerance &&
         gain <= 0.1 * n->o->tolerance * fabs(n->f);
}

/* What the pass at the next point brings: is the factor good for one more step? */
static void choose_look(Newton *n, double size) {
  const Space *s = n->s;
  bool pairs = s->loss == LOSS_LOGISTIC && !s->kinks && !n->basis && !s->sparse &&
               (n->drawing || s->d >= PAIRED_WIDTH);
  double change = n->slope < 0 && n->h00 > 0 ? sqrt(-n->slope / n->h00) : 0;
  bool keep = s->loss == LOSS_SQUARED || (size <= CHORD && size <= 0.1 * n->size);
  if (pairs) {
    n->slow = n->kept && change > 0.5 * n->change ? n->slow + 1 : 0;
    keep = change <= NEAR && n->slow < SLOW_MOST;
    n->drawing = n->drawing && n->slow < SLOW_MOST && n->drawn < DRAWN_MOST;
  }
  n->change = change;
  n->have_factor = n->have_factor && keep;
  n->kept = n->have_factor;
}

/* The point reached is n->at with f; is it the end? Otherwise the next trial is set. */
static Status go_on(Newton *n, const Sums *at, SolveState *state, Err *e) {
  *state = SOLVE_DONE;
  if (linear_unbounded(n->s, n->o, n->at.beta, *at->margin)) {
    snprintf(n->r.why, sizeof n->r.why, "%s", linear_separated);
    return ST_OK;
  }
  Status st = find_step(n, at, e);
  if (st)
    return st;
  double size = step_size(n), gain = -0.5 * n->slope;
  if (!(size < INFINITY)) {
    snprintf(n->r.why, sizeof n->r.why, "the Newton step is not finite after %u iterations. Add l2",
             n->r.iterations);
    return ST_OK;
  }
  /* a drawn Hessian may overrate a direction and call a step short that is not */
  if (size <= n->o->tolerance * (n->drawing ? 0.1 : 1) || is_near(n, size, gain))
    return last_step(n, size, gain, e);
  double f = quadratic_value(n);
  if (f == f)
    return last_step(n, size, n->f - f, e);
  if (is_flat(n, size, gain))
    return ST_OK;
  if (n->r.iterations >= n->o->max_iterations) {
    snprintf(n->r.why, sizeof n->r.why,
             "not converged after %u iterations: the next step would still change a coefficient by %.1e of the largest. "
             "Raise max_iterations, or add l2", n->r.iterations, size);
    return ST_OK;
  }
  choose_look(n, size);
  n->shrink = n->size > 0 ? size / n->size : INFINITY;
  n->size = size;
  n->halvings = 0;
  set_trial(n, 1);
  *state = SOLVE_MORE;
  return ST_OK;
}

static double objective(const Newton *n, const Sums *at) {
  double f = *at->loss / n->s->total;
  for (uint32_t i = 0; i < n->m; i++) {
    uint32_t j = n->active[i];
    f += 0.5 * n->s->penalty[j] * (n->trial.beta[j] * n->trial.beta[j]);
    f += n->s->l1[j] * fabs(n->trial.beta[j]);
  }
  return f;
}

/* The next pass brings a Hessian at the point reached. */
static void look_again(Newton *n, SolveState *state) {
  set_trial(n, 0);
  n->have_factor = false;
  n->again = true;
  *state = SOLVE_MORE;
}

/* The trial, with objective f, does not improve enough: a shorter step. */
static void shorten(Newton *n, double f, SolveState *state) {
  double t = 0.5 * n->t;
  if (f < INFINITY) { /* the minimum of the parabola through value, slope and new value */
    t = -n->slope * n->t * n->t / (2 * (f - n->f - n->slope * n->t));
    t = t < 0.1 * n->t ? 0.1 * n->t : t < 0.5 * n->t ? t : 0.5 * n->t;
  }
  if (++n->halvings > HALVINGS && (n->drawing || n->pairs.count > 0)) { /* a better direction */
    n->drawing = false;
    look_again(n, state);
    return;
  }
  if (n->halvings > 30) {
    n->r.converged = n->size <= 1e-6;
    if (!n->r.converged)
      snprintf(n->r.why, sizeof n->r.why,
               "no step improves the objective any more after %u iterations. Add l2", n->r.iterations);
    return;
  }
  set_trial(n, t);
  *state = SOLVE_MORE;
}

bool newton_curvature(Newton *n, const Sums *at, Curvature *out) {
  if (n->s->kinks || n->basis)
    return false;
  if (at) {
    double *copy = take((size_t)n->m * n->m, sizeof *copy);
    build_matrix(n, at);
    n->have_factor = copy && linear_cholesky(n->blas, n->a, copy, n->m);
    mem_free(copy);
  }
  *out = (Curvature){n->m, n->active, n->a, n->scale, n->h, n->h00};
  return n->have_factor;
}

Status newton_step(Newton *n, const Sums *at, SolveState *state, Err *e) {
  double f = objective(n, at);
  *state = SOLVE_DONE;
  if (n->started && !n->again && !(f <= n->f + ARMIJO * n->t * n->slope + 16 * DBL_EPSILON * fabs(n->f))) {
    shorten(n, f, state);
    return ST_OK;
  }
  accept(n, f);
  if (n->started && !n->again) {
    n->r.iterations++;
    Status st = solve_record(&n->r, f, e);
    if (st)
      return st;
  }
  if (!n->have_factor) {
    Status st = build_factor(n, at, e);
    if (st)
      return st;
    if (newton_asks_products(n)) {
      *state = SOLVE_MORE;
      return ST_OK;
    }
    if (!n->have_factor && n->drawing) {
      n->drawing = false;
      look_again(n, state);
      return ST_OK;
    }
    if (!n->have_factor) {
      snprintf(n->r.why, sizeof n->r.why, "the Hessian is not positive after %u iterations. Add l2",
               n->r.iterations);
      return ST_OK;
    }
  }
  n->again = false;
  Status st = go_on(n, at, state, e);
  n->started = true;
  return st;
}
