/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest value of a convex quadratic with absolute values and bounds: descent_solve in linear.h. The
 * inner problem of every penalised Newton step.
 *
 * Three moves take turns, each of which can only lower the value:
 *
 *   sweep  every coordinate in order goes to its own minimum, the rest held: J. Friedman, T. Hastie, R.
 *          Tibshirani, "Regularization Paths for Generalized Linear Models via Coordinate Descent", J. Stat.
 *          Software 33 (2010), covariance updates: r = H x + g is kept, a coordinate that moves adds its
 *          column of H;
 *   active sweeps over the coordinates that are neither at 0 nor at a bound, which are few in sparse
 *   solutions;
 *   face   when these settle slowly (columns that resemble each other): with signs and bounds held the
 *          problem is a plain quadratic of the active coordinates, solved by Cholesky; the way there ends
 *          where one reaches 0 or a bound. The faces met are finitely many and the value falls, so the last
 *          one is solved exactly.
 *
 * It ends when the optimality conditions hold, not when changes are small: for each coordinate the
 * distance to its own minimum times sqrt(h_jj), from r computed afresh, is within the tolerance or within
 * the rounding of r. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "stdlib/linear/linear.h"
#include "vm/blas.h"

enum { ACTIVE_SWEEPS = 8, ROUNDS_MOST = 2000 };
#define FACE_WORK 1e11 /* multiplications in the faces of one round: a second or so */

typedef struct Descent {
  const Quadratic *q;
  const Blas *blas;
  size_t m;
  double *x;
  double *r;       /* H x + g */
  uint32_t *face;  /* active coordinates; nface of them */
  uint32_t nface;
  double *a, *copy, *step; /* of a face: matrix, scratch, step; room for `room` coordinates */
  size_t room;
} Descent;

static double at_least(const Quadratic *q, size_t j) {
  return q->lo ? q->lo[j] : -INFINITY;
}

static double at_most(const Quadratic *q, size_t j) {
  return q->hi ? q->hi[j] : INFINITY;
}

static double clip(const Quadratic *q, size_t j, double v) {
  double lo = at_least(q, j), hi = at_most(q, j);
  return v < lo ? lo : v > hi ? hi : v;
}

/* Where coordinate j has its minimum when the derivative there without |x_j| is r. */
static double best_of(const Quadratic *q, size_t j, double x, double r) {
  double h = q->h[j * q->m + j], l1 = q->l1 ? q->l1[j] : 0;
  if (!(h > 0)) { /* flat: 0 where it costs, else a bound downhill, else stay */
    double far = r > 0 ? at_least(q, j) : at_most(q, j);
    if (fabs(r) <= l1)
      return l1 > 0 ? clip(q, j, 0) : clip(q, j, x);
    return fabs(far) < INFINITY ? far : clip(q, j, x);
  }
  double t = h * x - r;
  t = t > l1 ? t - l1 : t < -l1 ? t + l1 : 0;
  return clip(q, j, t / h);
}

static void move(Descent *d, size_t j, double to) {
  const double *restrict column = d->q->h + j * d->m;
  double *restrict r = d->r;
  double step = to - d->x[j];
  size_t m = d->m;
  d->x[j] = to;
  for (size_t i = 0; i < m; i++)
    r[i] += step * column[i];
}

static double weigh(const Descent *d, size_t j, double distance) {
  double h = d->q->h[j * d->m + j];
  return fabs(distance) * (h > 0 ? sqrt(h) : 1);
}

/* One sweep over n coordinates (which = NULL: all); the greatest weighted move. */
static double sweep(Descent *d, const uint32_t *which, size_t n) {
  double most = 0;
  for (size_t i = 0; i < n; i++) {
    size_t j = which ? which[i] : i;
    double to = best_of(d->q, j, d->x[j], d->r[j]), size = weigh(d, j, to - d->x[j]);
    if (to != d->x[j])
      move(d, j, to);
    most = size > most ? size : most;
  }
  return most;
}

static void find_face(Descent *d) {
  const Quadratic *q = d->q;
  d->nface = 0;
  for (size_t j = 0; j < d->m; j++) {
    bool inside = d->x[j] > at_least(q, j) && d->x[j] < at_most(q, j);
    if (inside && !(q->l1 && q->l1[j] > 0 && d->x[j] == 0))
      d->face[d->nface++] = (uint32_t)j;
  }
}

/* r afresh; the greatest weighted distance from a coordinate's minimum that is not rounding. */
static double residual(Descent *d) {
  const Quadratic *q = d->q;
  size_t m = d->m;
  double most = 0;
  for (size_t j = 0; j < m; j++) {
    const double *restrict row = q->h + j * m;
    double r = q->g[j], size = fabs(r);
    for (size_t k = 0; k < m; k++) {
      double t = row[k] * d->x[k];
      r += t;
      size += fabs(t);
    }
    d->r[j] = r;
    double far = best_of(q, j, d->x[j], r) - d->x[j], noise = 16 * DBL_EPSILON * size;
    if (fabs(far) * row[j] > noise || (!(row[j] > 0) && fabs(r) > noise))
      most = weigh(d, j, far) > most ? weigh(d, j, far) : most;
  }
  return most;
}

static bool make_room(Descent *d) {
  size_t n = d->nface;
  if (n <= d->room)
    return true;
  mem_free(d->a);
  mem_free(d->copy);
  mem_free(d->step);
  d->a = mem_alloc(n * n * sizeof(double));
  d->copy = mem_alloc(n * n * sizeof(double));
  d->step = mem_alloc(n * sizeof(double));
  d->room = d->a && d->copy && d->step ? n : 0;
  return d->room > 0;
}

bool linear_cholesky(const Blas *blas, double *a, double *copy, uint32_t order) {
  int size = (int)order, info = 0;
  size_t all = (size_t)order * order;
  if (order == 0)
    return true;
  memcpy(copy, a, all * sizeof *a);
  blas->potrf("L", &size, a, &size, &info, 1);
  for (double ridge = 1e-14; info != 0 && ridge < 2; ridge *= 100) {
    memcpy(a, copy, all * sizeof *a);
    for (uint32_t i = 0; i < order; i++)
      a[(size_t)i * order + i] += ridge * copy[(size_t)i * order + i];
    blas->potrf("L", &size, a, &size, &info, 1);
  }
  return info == 0;
}

/* How much of the step coordinate j may take, and where it stops. */
static double room_of(const Descent *d, size_t j, double step, double *end) {
  const Quadratic *q = d->q;
  double x = d->x[j], wall = step > 0 ? at_most(q, j) : at_least(q, j);
  if (q->l1 && q->l1[j] > 0 && x * step < 0 && fabs(wall - x) > fabs(x))
    wall = 0;
  *end = wall;
  return step == 0 || !(fabs(wall) < INFINITY) ? INFINITY : (wall - x) / step;
}

/* To the minimum of the face that x is in, or to its edge: then `edge`, and the coordinate that got there
 * leaves. */
static Status face_step(Descent *d, bool *edge, Err *e) {
  const Quadratic *q = d->q;
  size_t n = d->nface, stop = n;
  int order = (int)n, one = 1, info = 0;
  double t = 1, end = 0, wall;
  *edge = false;
  if (n == 0)
    return ST_OK;
  if (!make_room(d))
    return err_memory(e);
  for (size_t i = 0; i < n; i++) {
    size_t j = d->face[i];
    double l1 = q->l1 ? q->l1[j] : 0;
    d->step[i] = -(d->r[j] + (d->x[j] > 0 ? l1 : d->x[j] < 0 ? -l1 : 0));
    for (size_t k = 0; k < n; k++)
      d->a[i * n + k] = q->h[j * d->m + d->face[k]];
  }
  if (!linear_cholesky(d->blas, d->a, d->copy, (uint32_t)n))
    return ST_OK;
  d->blas->potrs("L", &order, &one, d->a, &order, d->step, &order, &info, 1);
  for (size_t i = 0; i < n; i++) {
    double room = room_of(d, d->face[i], d->step[i], &wall);
    if (!(fabs(d->step[i]) < INFINITY))
      return ST_OK;
    if (room < t) {
      t = room;
      stop = i;
      end = wall;
    }
  }
  for (size_t i = 0; i < n; i++)
    if (d->step[i] != 0)
      move(d, d->face[i], i == stop ? end : clip(q, d->face[i], d->x[d->face[i]] + t * d->step[i]));
  *edge = stop < n;
  if (*edge)
    memmove(d->face + stop, d->face + stop + 1, (--d->nface - stop) * sizeof *d->face);
  return ST_OK;
}

/* Face after face, each inside the one before, until a minimum is met: else a sweep would only bring back,
 * by a little, what has just left. Wide faces stop sooner, and come again in the next round. */
static Status face_steps(Descent *d, Err *e) {
  bool edge = true;
  Status st = ST_OK;
  find_face(d);
  double work = 0, n = d->nface;
  for (uint32_t left = d->nface; left > 0 && edge && !st && work < FACE_WORK; left--, work += n * n * n)
    st = face_step(d, &edge, e);
  return st;
}

static Status solve(Descent *d, QuadraticEnd *end, Err *e) {
  double tolerance = d->q->tolerance;
  for (size_t j = 0; j < d->m; j++)
    d->x[j] = clip(d->q, j, d->x[j]);
  end->kkt = residual(d);
  for (uint32_t round = 0; end->kkt > tolerance && round < ROUNDS_MOST; round++) {
    double moved = sweep(d, NULL, d->m);
    end->sweeps++;
    find_face(d);
    for (int k = 0; k < ACTIVE_SWEEPS && moved > tolerance; k++, end->sweeps++)
      moved = sweep(d, d->face, d->nface);
    Status st = moved > tolerance ? face_steps(d, e) : ST_OK;
    if (st)
      return st;
    end->kkt = residual(d);
  }
  end->converged = end->kkt <= tolerance;
  return ST_OK;
}

Status descent_solve(const Quadratic *q, double *x, QuadraticEnd *end, Err *e) {
  Descent d = {.q = q, .blas = blas_get(e), .m = q->m, .x = x};
  *end = (QuadraticEnd){0};
  if (!d.blas)
    return e->code;
  d.r = mem_alloc((d.m + 1) * sizeof *d.r);
  d.face = mem_alloc((d.m + 1) * sizeof *d.face);
  Status st = d.r && d.face ? solve(&d, end, e) : err_memory(e);
  mem_free(d.r);
  mem_free(d.face);
  mem_free(d.a);
  mem_free(d.copy);
  mem_free(d.step);
  return st;
}
