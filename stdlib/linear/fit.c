/* SPDX-License-Identifier: Apache-2.0 */
/* The Iter of the linear estimators: moments, then a solver until it is done, then the model.
 *
 * Unless the program names one, the solver is chosen by the number of columns alone, never by time or memory,
 * so that the same program gives the same bits. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "stdlib/linear/linear.h"
#include "stdlib/registry.h"
#include "vm/blas.h"
#include "vm/kernel/dot.h"
#include "vm/kernel/math.h"

const char linear_separated[] =
    "the classes are separated: a combination of the features tells them apart without an error, so that the "
    "coefficients have no finite best value, and the last ones were kept. Add l2, for example l2 = 1e-4";

typedef struct LinFit {
  Iter it; /* first */
  LinOptions o;
  LinLoss loss;
  uint32_t d;
  bool sparse;
  Arena arena;
  char **feature;
  double *lower, *upper; /* d each, of b */
  double *from, from0;   /* d: where to start, or NULL */
  char remark[160];
  char name[128];
  Space space;
  uint64_t rows;
  double weight;      /* of the rows as given, without class weights */
  enum { WAIT_START, WAIT_GRAM, WAIT_MOMENTS, WAIT_SUMS, WAIT_CURVATURE, FINISHED } wait;
  const char *no_errors;     /* why there are no standard errors; NULL: there are */
  double *error, error0;     /* d */
  double freedom;            /* of Student's t; 0: normal */
  Newton *newton;
  Lbfgs *lbfgs;
  Heavy heavy;
  double *sums;       /* of linear.wide, by u */
} LinFit;

Status solve_record(SolveResult *r, double objective, Err *e) {
  if (r->nobjective == r->cap) {
    uint32_t cap = r->cap ? 2 * r->cap : 16;
    double *v = mem_realloc(r->objective, cap * sizeof *v);
    if (!v)
      return err_memory(e);
    r->objective = v;
    r->cap = cap;
  }
  r->objective[r->nobjective++] = objective;
  return ST_OK;
}

static void fit_free(Iter *it) {
  LinFit *f = (LinFit *)it;
  newton_free(f->newton);
  lbfgs_free(f->lbfgs);
  mem_free(f->sums);
  arena_free(&f->arena);
  mem_free(f);
}

/* The two classes' moments of column j as one group, class weights and unstored zeros included. */
static void column_moments(const Moments *m, uint32_t j, const double *mult, double total, double *mean,
                           double *m2) {
  double w = 0, mu = 0, q = 0;
  for (int c = 0; c < MOMENT_CLASSES; c++) {
    double wc = m->w[c][j] * mult[c];
    if (wc == 0)
      continue;
    double delta = m->mean[c][j] - mu;
    q += m->m2[c][j] * mult[c] + (w > 0 ? delta * delta * (w * (wc / (w + wc))) : 0);
    mu = w > 0 ? mu + delta * (wc / (w + wc)) : m->mean[c][j];
    w += wc;
  }
  double zeros = total - w; /* rounding may leave a trace where there are none */
  if (m->stored[j] >= (double)(m->rows[0] + m->rows[1]) || zeros < 0)
    zeros = 0;
  *m2 = zeros > 0 ? q + mu * mu * (w * (zeros / total)) : q;
  *mean = zeros > 0 ? mu * (w / total) : mu;
}

/* There is something to learn from: weight, and both classes. */
static Status check_moments(LinFit *f, const Moments *m, Err *e) {
  f->rows = m->rows[0] + m->rows[1];
  f->weight = m->weight[0] + m->weight[1];
  if (f->rows == 0)
    return err_set(e, ST_DATA, "CML0434", "Check the weights, the filter and the split of the data.",
                   "model `%s` has no training row with a weight above 0", f->name);
  for (int c = 0; c < MOMENT_CLASSES && m->classes; c++)
    if (m->rows[c] == 0)
      return err_set(e, ST_DATA, "CML0435",
                     "Check the target's expression, the filter and the split: both classes are needed.",
                     "the target of model `%s` is %s in all %llu training rows", f->name,
                     c ? "false (0)" : "true (1)", (unsigned long long)f->rows);
  return ST_OK;
}

static Status weigh_classes(LinFit *f, const Moments *m, Err *e) {
  Space *s = &f->space;
  for (int c = 0; c < MOMENT_CLASSES; c++) {
    s->weight[c] = m->classes && f->o.balanced ? f->weight / (2 * m->weight[c]) : 1;
    if (c && m->classes)
      s->weight[c] *= f->o.positive_weight;
  }
  s->given = f->weight;
  s->total = m->weight[0] * s->weight[0] + m->weight[1] * s->weight[1];
  if (s->total > 0 && s->total < INFINITY)
    return ST_OK;
  return err_set(e, ST_DATA, "CML0436", "Scale the weights: only their ratios count.",
                 "the total weight of the training rows of model `%s` is %g", f->name, s->total);
}

bool linear_unbounded(const Space *s, const LinOptions *o, const double *beta, double margin) {
  if (s->loss != LOSS_LOGISTIC || o->l2 != 0 || o->l1 != 0 || s->offset || !(margin > 0))
    return false;
  for (uint32_t j = 0; j < s->d && s->kinks; j++)
    if ((beta[j] > 0 && s->hi[j] < INFINITY) || (beta[j] < 0 && s->lo[j] > -INFINITY))
      return false;
  return true;
}

/* What a coefficient that no solver looks for is: 1 for the offset, of a constant column the allowed value
 * next to 0. */
static double fixed_value(const LinFit *f, uint32_t j) {
  double lo = f->lower[j], hi = f->upper[j];
  return f->space.offset && j == f->d - 1 ? 1 : lo > 0 ? lo : hi < 0 ? hi : 0;
}

Status linear_place(Space *s, uint32_t j, const ColumnSums *c, const char *feature, const char *model,
                    double *deviation, double *size, Err *e) {
  *deviation = c->high > c->low ? sqrt(c->m2 / s->total) : 0;
  *size = s->intercept ? *deviation : sqrt(c->m2 / s->total + c->mean * c->mean);
  if (!(*size < 1e150 && fabs(c->low) < 1e150 && fabs(c->high) < 1e150))
    return err_set(e, ST_DATA, "CML0437", "Scale the feature, or take its logarithm.",
                   "feature `%s` of model `%s` is too large: its values reach %g", feature, model,
                   fabs(c->low) > fabs(c->high) ? c->low : c->high);
  bool constant = !(*size > 1e-150) || (!s->intercept && c->high == 0 && c->low == 0);
  s->inv[j] = constant ? 0 : 1 / *size;
  s->shift[j] = !s->intercept ? 0 : constant ? c->low : c->full ? c->mean : 0;
  return ST_OK;
}

/* Scale, shift and penalty of column j. */
static Status place_column(LinFit *f, const Moments *m, uint32_t j, Err *e) {
  Space *s = &f->space;
  double mean, m2, low = m->low[j], high = m->high[j];
  bool full = m->stored[j] >= s->rows;
  column_moments(m, j, s->weight, s->total, &mean, &m2);
  if (!full) {
    low = low < 0 ? low : 0;
    high = high > 0 ? high : 0;
  }
  ColumnSums c = {mean, m2, low, high, full};
  double deviation, size;
  if (linear_place(s, j, &c, f->feature[j], f->name, &deviation, &size, e) != ST_OK || s->inv[j] == 0)
    return e->code;
  s->center[j] = (mean - s->shift[j]) * s->inv[j];
  if (s->offset && j == f->d - 1)
    return ST_OK;
  s->penalty[j] = f->o.l2 * s->inv[j] * s->inv[j] * (f->o.standardize ? deviation * deviation : 1);
  s->l1[j] = f->o.l1 * s->inv[j] * (f->o.standardize ? deviation : 1);
  s->lo[j] = f->lower[j] * size;
  s->hi[j] = f->upper[j] * size;
  s->kinks |= s->l1[j] > 0 || s->lo[j] > -INFINITY || s->hi[j] < INFINITY;
  return ST_OK;
}

/* The coefficients of option `from`, as near as the bounds allow. */
static void warm_point(const LinFit *f, LinPoint *start) {
  const Space *s = &f->space;
  start->a = f->from0;
  for (uint32_t j = 0; j < f->d; j++) {
    double beta = linear_moves(s, j) ? f->from[j] / s->inv[j] : 0;
    start->beta[j] = beta < s->lo[j] ? s->lo[j] : beta > s->hi[j] ? s->hi[j] : beta;
    start->a += f->from[j] * s->shift[j];
  }
  start->a = s->intercept ? start->a : 0;
}

/* The best constant model, and the size of what there is to predict. */
static void start_point(LinFit *f, const Moments *m, LinPoint *start) {
  Space *s = &f->space;
  uint32_t last = f->d - 1;
  if (f->loss == LOSS_LOGISTIC) {
    double odds = m->weight[1] * s->weight[1] / (m->weight[0] * s->weight[0]);
    s->unit = 1;
    k_log(&odds, &odds, 1);
    start->a = s->intercept ? odds : 0;
  } else {
    double m2 = m->y_m2 / s->total;
    s->unit = sqrt(s->intercept ? m2 : m2 + m->y_mean * m->y_mean);
    start->a = s->intercept ? m->y_mean : 0;
  }
  for (uint32_t j = 0; j < f->d; j++) { /* 0, as near as the bounds allow */
    double lo = s->lo[j], hi = s->hi[j];
    start->beta[j] = lo > 0 ? lo : hi < 0 ? hi : 0;
  }
  if (f->from)
    warm_point(f, start);
  if (s->offset && s->inv[last] != 0)
    start->beta[last] = 1 / s->inv[last];
  for (uint32_t j = 0; j < f->d && s->intercept && !f->from; j++)
    start->a -= start->beta[j] * s->center[j];
}

/* Of a sample the Hessian costs about what the gradient of all rows does, and is 20 % off at most. */
static uint32_t sample_of(double rows, uint32_t d) {
  double least = 24.0 * d, cost = 6.0 * rows / d;
  uint32_t k = 0;
  while (k < 10 && ldexp(rows, -(int)k - 1) >= (least > cost ? least : cost))
    k++;
  return k;
}

/* From the moments to the coordinates and the starting point. */
static Status make_space(LinFit *f, const Moments *m, LinPoint *start, Err *e) {
  Space *s = &f->space;
  uint32_t d = f->d;
  Status st = check_moments(f, m, e);
  if (!st)
    st = weigh_classes(f, m, e);
  if (st)
    return st;
  s->d = d;
  s->loss = f->loss;
  s->sparse = f->sparse;
  s->intercept = f->o.intercept;
  s->rows = (double)f->rows;
  double *v = arena_alloc64(&f->arena, (8 * (size_t)d + 1) * sizeof *v);
  if (!v)
    return err_memory(e);
  s->shift = v;
  s->inv = v + d;
  s->center = v + 2 * (size_t)d;
  s->penalty = v + 3 * (size_t)d;
  s->l1 = v + 4 * (size_t)d;
  s->lo = v + 5 * (size_t)d;
  s->hi = v + 6 * (size_t)d;
  start->beta = v + 7 * (size_t)d;
  for (uint32_t j = 0; j < d && !st; j++) {
    s->lo[j] = -INFINITY;
    s->hi[j] = INFINITY;
    st = place_column(f, m, j, e);
  }
  if (f->loss == LOSS_LOGISTIC && !s->sparse && !s->kinks)
    s->sample = sample_of(s->rows, d);
  if (!st)
    start_point(f, m, start);
  return st;
}

/* How many columns have a block at most: factoring it a few times is to cost less than the passes that it
 * saves. */
static uint32_t heavy_limit(double entries) {
  uint32_t k = 64;
  while (k < HEAVY_MOST && (double)k * k * k < 1250 * entries)
    k++;
  return k;
}

/* Of the n columns those that most rows have, `limit` at most, of equal ones the first; how many. */
static uint32_t heaviest(const Moments *m, uint32_t *column, uint32_t n, uint32_t limit) {
  double least = HEAVY_LEAST, most = (double)(m->rows[0] + m->rows[1]);
  uint32_t count = 0;
  while (least < most) { /* the number of rows above which there are few enough */
    double middle = floor((least + most) / 2);
    for (uint32_t i = count = 0; i < n; i++)
      count += m->stored[column[i]] >= middle;
    if (count <= limit)
      most = middle;
    else
      least = middle + 1;
  }
  for (uint32_t i = count = 0; i < n && count < limit; i++)
    if (m->stored[column[i]] >= most)
      column[count++] = column[i];
  return count;
}

/* The columns of logistic loss that have a block. Where rows have many of them, as long texts do, their
 * products would take longer than passes over all entries: then fewer. */
static Status find_heavy(LinFit *f, const Moments *m, Err *e) {
  Heavy *h = &f->heavy;
  double entries = 0, products;
  h->column = arena_alloc(&f->arena, ((size_t)f->d + 1) * sizeof *h->column);
  if (!h->column)
    return err_memory(e);
  for (uint32_t j = 0; j < f->d; j++) {
    entries += m->stored[j];
    if (linear_moves(&f->space, j) && m->stored[j] >= HEAVY_LEAST)
      h->column[h->n++] = j;
  }
  uint32_t limit = heavy_limit(entries);
  do {
    double fill = 0; /* of a row */
    h->n = heaviest(m, h->column, h->n, limit);
    for (uint32_t i = 0; i < h->n; i++)
      fill += m->stored[h->column[i]] / f->space.rows;
    for (h->sample = 0; h->n && h->sample < 4; h->sample++)
      if (ldexp(f->space.rows, -(int)h->sample - 1) < 24.0 * h->n)
        break;
    products = ldexp(fill * fill / 2, -(int)h->sample) * f->space.rows;
    limit -= limit / 4;
  } while (products > 2.5 * entries && limit >= 64);
  return ST_OK;
}

static LinSolver solver_of(const LinFit *f) {
  return f->o.solver != SOLVER_AUTO ? f->o.solver : f->d <= NEWTON_WIDTH ? SOLVER_NEWTON : SOLVER_LBFGS;
}

static Status start_solver(LinFit *f, const Moments *m, const LinPoint *start, Err *e) {
  LinSolver solver = solver_of(f);
  if (solver == SOLVER_NEWTON && f->d > NEWTON_WIDTH_MAX)
    return err_set(e, ST_PROGRAM, "CML0330", "Write solver = lbfgs, or leave it out.",
                   "model `%s` has %u feature columns; solver newton takes at most %d", f->name, f->d,
                   NEWTON_WIDTH_MAX);
  if (solver == SOLVER_LBFGS && f->sparse && f->loss == LOSS_LOGISTIC && !f->space.kinks) {
    Status st = find_heavy(f, m, e);
    if (st)
      return st;
  }
  if (solver == SOLVER_NEWTON)
    f->newton = newton_new(&f->space, &f->o, f->feature, start, e);
  else
    f->lbfgs = lbfgs_new(&f->space, &f->o, f->heavy.n ? &f->heavy : NULL, start, e);
  return f->newton || f->lbfgs ? ST_OK : e->code;
}

/* L-BFGS over sparse rows has a pass of its own. */
static bool is_wide(const LinFit *f) {
  return f->lbfgs && f->sparse;
}

static const Heavy *curvature_of(const LinFit *f) {
  return lbfgs_wants_curvature(f->lbfgs) ? &f->heavy : NULL;
}

static LinLook look_of(const LinFit *f) {
  return f->newton ? newton_look(f->newton) : LOOK_GRADIENT;
}

static Status ask(LinFit *f, Jobs *jobs, Err *e) {
  bool products = f->wait != WAIT_CURVATURE && f->newton && newton_asks_products(f->newton);
  const Pass *pass = products ? &linear_products : is_wide(f) ? &linear_wide : &linear_gradient;
  Job *job = jobs_add(jobs, pass);
  if (!job)
    return err_memory(e);
  if (f->wait == WAIT_CURVATURE) {
    linear_gradient_par(&f->space, &newton_result(f->newton)->best, LOOK_HESSIAN, &job->par);
    return job->par.bad ? err_memory(e) : ST_OK;
  }
  f->wait = WAIT_SUMS;
  if (products)
    return newton_ask_products(f->newton, &job->par, e);
  if (is_wide(f))
    linear_wide_par(&f->space, lbfgs_point(f->lbfgs), curvature_of(f), &job->par);
  else
    linear_gradient_par(&f->space, f->newton ? newton_point(f->newton) : lbfgs_point(f->lbfgs), look_of(f),
                        &job->par);
  return job->par.bad ? err_memory(e) : ST_OK;
}

/* Is the first step worth a sample of the rows in the scan for the moments? */
static bool takes_start(const LinFit *f) {
  bool free = f->o.l1 == 0 && !f->from && !f->space.offset && !f->o.balanced && f->o.positive_weight == 1;
  for (uint32_t j = 0; j < f->d && free; j++)
    free = f->lower[j] == -INFINITY && f->upper[j] == INFINITY;
  return free && f->loss == LOSS_LOGISTIC && !f->sparse && f->d <= GRAM_WIDTH &&
         linear_start_sample(f->d) > 0 && solver_of(f) == SOLVER_NEWTON;
}

static Status ask_moments(LinFit *f, Jobs *jobs, Err *e) {
  Job *job = jobs_add(jobs, &linear_moments);
  if (!job)
    return err_memory(e);
  linear_moments_par(f->d, f->loss == LOSS_LOGISTIC, f->sparse, &job->par);
  f->wait = WAIT_MOMENTS;
  if (job->par.bad || !takes_start(f))
    return job->par.bad ? err_memory(e) : ST_OK;
  job = jobs_add(jobs, &linear_gram);
  if (!job)
    return err_memory(e);
  linear_gram_par(f->d, linear_start_sample(f->d), &job->par);
  return job->par.bad ? err_memory(e) : ST_OK;
}

static Status go_on(LinFit *f, const Sums *at, Err *e);

/* The first step, from what the scan for the moments has brought besides; of too few rows it says too little,
 * and a pass is asked for as elsewhere. */
static Status first_step(LinFit *f, Bytes result, const Moments *m, const LinPoint *start, Err *e) {
  GramSums g;
  Sums at;
  if (result.n != sizeof(uint64_t) + (1 + linear_gram_doubles(f->d)) * sizeof(double))
    return err_set(e, ST_FAULT, "CML0601", NULL, "a result of pass linear.gram for model `%s` is damaged",
                   f->name);
  if (!linear_gram_of(result, f->d, &g) || !f->space.sample || (double)g.rows < 24.0 * f->d)
    return ST_OK;
  double *v = mem_alloc(linear_sums_doubles(f->d, LOOK_SAMPLE) * sizeof *v);
  if (!v)
    return err_memory(e);
  linear_sums_at(v, f->d, LOOK_SAMPLE, &at);
  linear_start_sums(&g, m, &f->space, start, &at);
  f->wait = WAIT_SUMS;
  Status st = go_on(f, &at, e);
  mem_free(v);
  return st;
}

/* The coordinates, and a solver that knows where to start. gram: from linear.gram, or nothing. */
static Status take_moments(LinFit *f, Bytes result, Bytes gram, Err *e) {
  Buf par = {0};
  linear_moments_par(f->d, f->loss == LOSS_LOGISTIC, f->sparse, &par);
  void *p = par.bad ? NULL : linear_moments.open(buf_bytes(&par), e);
  buf_free(&par);
  if (!p)
    return err_memory(e);
  Moments *m = linear_moments.load(p, result, e);
  Status st = m ? ST_OK : e->code;
  LinPoint start = {0};
  if (!st)
    st = make_space(f, m, &start, e);
  if (!st)
    st = start_solver(f, m, &start, e);
  if (!st && gram.n)
    st = first_step(f, gram, m, &start, e);
  linear_moments.free(p, m);
  linear_moments.close(p);
  return st;
}

/* Can one look at the rows be enough? */
static bool takes_gram(const LinFit *f) {
  return f->loss == LOSS_SQUARED && !f->sparse && f->d <= GRAM_WIDTH && solver_of(f) == SOLVER_NEWTON;
}

static Status ask_gram(LinFit *f, Jobs *jobs, Err *e) {
  Job *job = jobs_add(jobs, &linear_gram);
  if (!job)
    return err_memory(e);
  linear_gram_par(f->d, 0, &job->par);
  job->once = true;
  f->wait = WAIT_GRAM;
  return job->par.bad ? err_memory(e) : ST_OK;
}

static Status take_products(LinFit *f, Bytes result, Err *e) {
  size_t k = newton_directions(f->newton);
  if (result.n != k * k * sizeof(double))
    return err_set(e, ST_FAULT, "CML0601", NULL, "a result of pass linear.products for model `%s` is damaged",
                   f->name);
  return newton_products(f->newton, (const double *)(const void *)result.p, e);
}

/* Why standard errors mean nothing here; NULL: they do. */
static const char *errors_undefined(const LinFit *f) {
  const SolveResult *r = f->newton ? newton_result(f->newton) : lbfgs_result(f->lbfgs);
  uint32_t p = f->o.intercept;
  for (uint32_t j = 0; j < f->d; j++)
    p += linear_moves(&f->space, j);
  if (f->o.l1 > 0 || f->o.l2 > 0)
    return "the fit is penalised";
  if (f->space.kinks)
    return "there are bounds on coefficients";
  if (!f->newton)
    return "solver lbfgs has no Hessian";
  if (!r->converged)
    return "the fit has not converged";
  if (p > INFERENCE_WIDTH)
    return "there are more than 2048 features";
  if (f->loss == LOSS_LOGISTIC && (f->o.balanced || f->o.positive_weight != 1))
    return "the classes are reweighted";
  return f->loss == LOSS_SQUARED && f->rows <= p ? "there are not more rows than coefficients" : NULL;
}

/* at: with a Hessian, or NULL for the solver's own. */
static Status finish_errors(LinFit *f, const Sums *at, Err *e) {
  Curvature c;
  const SolveResult *r = newton_result(f->newton);
  f->wait = FINISHED;
  if (!newton_curvature(f->newton, at, &c))
    f->no_errors = "features are combinations of others";
  else if (!linear_curvature_sound(&c))
    f->no_errors = "features are too near to combinations of others";
  if (f->no_errors)
    return ST_OK;
  f->error = arena_alloc(&f->arena, ((size_t)f->d + 1) * sizeof *f->error);
  if (!f->error)
    return err_memory(e);
  double dispersion = 1;
  if (f->loss == LOSS_SQUARED) {
    f->freedom = (double)f->rows - c.m - f->o.intercept;
    dispersion = r->nobjective ? 2 * r->objective[r->nobjective - 1] * f->space.total / f->freedom : 0;
  }
  return linear_errors(&f->space, &c, dispersion, f->error, &f->error0, e);
}

/* The solver is done. Logistic loss: its Hessian is of a point before the last; one more pass gives it at
 * the solution. */
static Status begin_errors(LinFit *f, Err *e) {
  f->wait = FINISHED;
  f->no_errors = errors_undefined(f);
  if (f->no_errors)
    return ST_OK;
  if (f->loss == LOSS_SQUARED)
    return finish_errors(f, NULL, e);
  f->wait = WAIT_CURVATURE;
  return ST_OK;
}

/* What was found at the point that the solver asked for. */
static Status go_on(LinFit *f, const Sums *at, Err *e) {
  SolveState state = SOLVE_DONE;
  Status st = f->newton ? newton_step(f->newton, at, &state, e) : lbfgs_step(f->lbfgs, at, &state, e);
  return !st && state == SOLVE_DONE ? begin_errors(f, e) : st;
}

/* The coordinates, a solver, and its first step; *again: the values are too large for that. */
static Status take_gram(LinFit *f, Bytes result, bool *again, Err *e) {
  Buf par = {0};
  GramSums g;
  LinPoint start = {0};
  size_t n = linear_sums_doubles(f->d, LOOK_HESSIAN);
  if (result.n != sizeof(uint64_t) + (1 + linear_gram_doubles(f->d)) * sizeof(double))
    return err_set(e, ST_FAULT, "CML0601", NULL, "a result of pass linear.gram for model `%s` is damaged",
                   f->name);
  linear_moments_par(f->d, false, false, &par);
  void *p = par.bad ? NULL : linear_moments.open(buf_bytes(&par), e);
  Moments *m = p ? linear_moments.init(p, e) : NULL;
  double *v = m ? mem_alloc(n * sizeof *v) : NULL;
  Status st = v ? ST_OK : err_memory(e);
  buf_free(&par);
  *again = !st && !linear_gram_moments(result, f->d, m, &g);
  if (!st && !*again)
    st = make_space(f, m, &start, e);
  if (!st && !*again)
    st = start_solver(f, m, &start, e);
  if (!st && !*again) {
    Sums at;
    linear_sums_at(v, f->d, LOOK_HESSIAN, &at);
    linear_gram_sums(&g, &f->space, newton_point(f->newton), &at);
    f->wait = WAIT_SUMS;
    st = go_on(f, &at, e);
  }
  mem_free(v);
  if (p) {
    linear_moments.free(p, m);
    linear_moments.close(p);
  }
  return st;
}

static Status take_sums(LinFit *f, const Buf *result, Err *e) {
  LinLook look = look_of(f);
  const Heavy *h = is_wide(f) ? curvature_of(f) : NULL;
  size_t n = is_wide(f) ? linear_wide_doubles(f->d, h) : linear_sums_doubles(f->d, look);
  if (result->n != n * sizeof(double))
    return err_set(e, ST_FAULT, "CML0601", NULL, "a result of pass %s for model `%s` is damaged",
                   is_wide(f) ? linear_wide.name : linear_gradient.name, f->name);
  Sums sums;
  if (is_wide(f)) { /* another model may have asked for the same sums, and scales them in its own way */
    size_t most = linear_wide_doubles(f->d, f->heavy.n ? &f->heavy : NULL);
    if (!f->sums && !(f->sums = mem_alloc64(most * sizeof *f->sums)))
      return err_memory(e);
    memcpy(f->sums, result->p, result->n);
    linear_wide_at(f->sums, f->d, h, &sums);
    linear_wide_scale(&f->space, h, &sums);
  } else {
    linear_sums_at((double *)(void *)result->p, f->d, look, &sums);
  }
  return go_on(f, &sums, e);
}

/* The sums at the solution, with a Hessian. */
static Status take_curvature(LinFit *f, const Buf *result, Err *e) {
  if (result->n != linear_sums_doubles(f->d, LOOK_HESSIAN) * sizeof(double))
    return err_set(e, ST_FAULT, "CML0601", NULL, "a result of pass linear.gradient for model `%s` is damaged",
                   f->name);
  Sums sums;
  linear_sums_at((double *)(void *)result->p, f->d, LOOK_HESSIAN, &sums);
  return finish_errors(f, &sums, e);
}

static Status fit_next(Iter *it, const Buf *out, uint32_t nout, Jobs *jobs, Err *e) {
  LinFit *f = (LinFit *)it;
  Status st;
  bool again = false;
  if (f->wait == FINISHED)
    return ST_OK;
  if (f->wait == WAIT_START)
    return takes_gram(f) ? ask_gram(f, jobs, e) : ask_moments(f, jobs, e);
  if (nout != 1 + (uint32_t)(f->wait == WAIT_MOMENTS && takes_start(f)))
    return err_set(e, ST_FAULT, "CML0601", NULL, "model `%s` got %u results for one job", f->name, nout);
  if (f->wait == WAIT_GRAM)
    st = take_gram(f, buf_bytes(&out[0]), &again, e);
  else if (f->wait == WAIT_MOMENTS)
    st = take_moments(f, buf_bytes(&out[0]), nout > 1 ? buf_bytes(&out[1]) : (Bytes){NULL, 0}, e);
  else if (f->wait == WAIT_CURVATURE)
    st = take_curvature(f, &out[0], e);
  else if (f->newton && newton_asks_products(f->newton))
    st = take_products(f, buf_bytes(&out[0]), e);
  else
    st = take_sums(f, &out[0], e);
  if (again)
    return ask_moments(f, jobs, e);
  return st || f->wait == FINISHED ? st : ask(f, jobs, e);
}

static Status copy_features(LinFit *f, const TrainInfo *t, Err *e) {
  size_t d = t->d;
  f->feature = arena_alloc(&f->arena, (d + 1) * sizeof *f->feature);
  f->lower = arena_alloc64(&f->arena, (2 * d + 1) * sizeof *f->lower);
  if (!f->feature || !f->lower)
    return err_memory(e);
  f->upper = f->lower + d;
  for (uint32_t j = 0; j < t->d; j++)
    if (!(f->feature[j] = arena_strdup(&f->arena, t->feature[j])))
      return err_memory(e);
  return ST_OK;
}

/* The coefficients of another model, by feature name; what it does not have starts at 0. */
static Status copy_start(LinFit *f, const Model *from, Err *e) {
  const Tensor *b = model_tensor(from, "coefficients"), *b0 = model_tensor(from, "intercept");
  const Estimator *mine = f->loss == LOSS_SQUARED ? &linear_regression : &logistic_regression;
  if (from->est != mine || !b || b->rows != 1 || b->cols != from->d || !b0 || b0->cols != 1)
    return err_set(e, ST_DATA, "CML0446", "Name the bundle of a model of the same kind, or leave `from` out.",
                   "model `%s` cannot start from a model of %s%s", f->name, from->est->name,
                   from->nclass ? " with several classes" : "");
  Map known = {0};
  uint32_t used = 0;
  f->from = arena_alloc64(&f->arena, ((size_t)f->d + 1) * sizeof *f->from);
  Status st = f->from ? ST_OK : err_memory(e);
  for (uint32_t j = 0; j < from->d && !st; j++)
    if (map_add(&known, from->feature[j], strlen(from->feature[j]), NULL) != j)
      st = err_memory(e);
  for (uint32_t j = 0; j < f->d && !st; j++) {
    int64_t at = map_find(&known, f->feature[j], strlen(f->feature[j]));
    f->from[j] = at >= 0 ? b->v[at] : 0;
    used += at >= 0;
  }
  map_free(&known);
  f->from0 = b0->v[0];
  if (!st && used < from->d)
    snprintf(f->remark, sizeof f->remark,
             "%u of the %u features of the model it starts from are not among its own and were left aside",
             from->d - used, from->d);
  return st;
}

static const IrOption *option_named(const TrainInfo *t, const char *name) {
  for (uint32_t i = 0; i < t->noption; i++)
    if (!strcmp(t->option[i].name, name))
      return &t->option[i];
  return NULL;
}

/* An option given for all columns, for slots, and for elements by their feature name, which go before
 * slots. */
static Status bounds_of(const LinFit *f, const TrainInfo *t, const char *name, double *out, Err *e) {
  const IrOption *o = option_named(t, name);
  for (uint32_t j = 0; j < f->d; j++)
    out[j] = o ? o->num : name[0] == 'l' ? -INFINITY : INFINITY;
  for (int element = 0; element < 2; element++)
    for (uint32_t i = 0; o && i < o->n; i++)
      for (uint32_t k = 0, j = 0; k < t->nslot; j += t->width[k++])
        for (uint32_t q = j; q < j + t->width[k]; q++)
          if (!strcmp(o->names[i], element ? f->feature[q] : t->slot[k]))
            out[q] = o->list[i];
  for (uint32_t i = 0; o && i < o->n; i++) {
    bool found = false;
    for (uint32_t k = 0; k < t->nslot && !found; k++)
      found = !strcmp(o->names[i], t->slot[k]);
    for (uint32_t j = 0; j < f->d && !found; j++)
      found = !strcmp(o->names[i], f->feature[j]);
    if (!found)
      return err_set(e, ST_DATA, "CML0445", "Name a slot, or an element that the training rows have.",
                     "option `%s` of model `%s` names `%s`, which is no element of its features", name,
                     f->name, o->names[i]);
  }
  return ST_OK;
}

Status linear_begin(const TrainInfo *t, LinLoss loss, Iter **out, Err *e) {
  if (!blas_get(e)) /* before workers run: loading sets the environment */
    return e->code;
  LinFit *f = mem_alloc(sizeof *f);
  if (!f)
    return err_memory(e);
  arena_init(&f->arena, NULL);
  f->it.next = fit_next;
  f->it.free = fit_free;
  f->loss = loss;
  f->d = t->d;
  f->sparse = t->sparse;
  f->space.offset = t->offset;
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
  f->o.balanced = loss == LOSS_LOGISTIC && option_num(o, n, "class_weight") == 1;
  f->o.positive_weight = loss == LOSS_LOGISTIC ? option_num(o, n, "positive_weight") : 1;
  Status st = copy_features(f, t, e);
  if (!st && t->start)
    st = copy_start(f, t->start, e);
  if (!st)
    st = bounds_of(f, t, "lower", f->lower, e);
  if (!st)
    st = bounds_of(f, t, "upper", f->upper, e);
  if (st)
    fit_free(&f->it);
  else
    *out = &f->it;
  return st;
}

/* ---- lists of names in warnings ---- */

enum { NAMES_MOST = 6, NAME_BYTES = 64 };

void names_begin(NameList *l, char *out, size_t size) {
  *l = (NameList){.out = out, .size = size, .at = strlen(out)};
}

void names_add(NameList *l, const char *name) {
  size_t n = strlen(name), room = l->size - l->at, tail = strlen(" and 4294967295 more");
  bool whole = n <= NAME_BYTES;
  for (n = whole ? n : NAME_BYTES - 3; !whole && ((unsigned char)name[n] & 0xc0) == 0x80;)
    n--; /* a long name is cut where a character begins */
  if (l->more || l->named == NAMES_MOST || room < n + strlen(", ...") + tail + 1) {
    l->more++;
    return;
  }
  l->at += (size_t)snprintf(l->out + l->at, room, "%s%.*s%s", l->named++ ? ", " : " ", (int)n, name,
                            whole ? "" : "...");
}

void names_end(NameList *l) {
  if (l->more)
    snprintf(l->out + l->at, l->size - l->at, "%s%u more", l->named ? " and " : " ", l->more);
}

/* ---- the model ---- */

/* b0 = a - sum of b_j shift_j, the sum in twice the precision: T. Ogita, S. Rump, S. Oishi, "Accurate sum and
 * dot product", 2005 */
double linear_intercept(double a, const double *b, const double *shift, uint32_t d) {
  double sum = a, low = 0;
  for (uint32_t j = 0; j < d; j++) {
    double p = -b[j] * shift[j], pe = fma(-b[j], shift[j], -p);
    double t = sum + p, z = t - sum;
    low += (sum - (t - z)) + (p - z) + pe;
    sum = t;
  }
  return sum + low;
}

/* "text#17", a place that words are hashed to: most of them are never met, which nobody needs to hear. */
static bool is_hash_place(const char *name) {
  const char *hash = strrchr(name, '#');
  return hash && hash[1] && !hash[1 + strspn(hash + 1, "0123456789")] && !strchr(name, '=');
}

static bool is_constant(const Space *s, char *const *feature, uint32_t j) {
  return s->inv[j] == 0 && !is_hash_place(feature[j]) && !(s->offset && j == s->d - 1);
}

void linear_note_constant(const Space *s, char *const *feature, Model *m) {
  size_t have = strlen(m->warning);
  uint32_t n = 0;
  NameList list;
  for (uint32_t j = 0; j < s->d; j++)
    n += is_constant(s, feature, j);
  if (!n)
    return;
  snprintf(m->warning + have, sizeof m->warning - have, "%s%u constant feature%s got the coefficient 0:",
           have ? "; " : "", n, n == 1 ? "" : "s");
  names_begin(&list, m->warning, sizeof m->warning);
  for (uint32_t j = 0; j < s->d; j++)
    if (is_constant(s, feature, j))
      names_add(&list, feature[j]);
  names_end(&list);
}

/* b_j from beta_j: what stands at a bound is that bound, to the last bit. */
static double coefficient(const LinFit *f, double beta, uint32_t j) {
  const Space *s = &f->space;
  if (!linear_moves(s, j))
    return fixed_value(f, j);
  return beta == s->lo[j] ? f->lower[j] : beta == s->hi[j] ? f->upper[j] : beta * s->inv[j];
}

static void say_inference(const LinFit *f, Model *m) {
  if (f->no_errors)
    snprintf(m->inference, sizeof m->inference, "none: %s", f->no_errors);
  else if (f->loss == LOSS_SQUARED)
    snprintf(m->inference, sizeof m->inference, "Student's t, %.0f degrees of freedom", f->freedom);
  else
    snprintf(m->inference, sizeof m->inference, "normal, from the information at the solution");
}

Status linear_finish(Iter *it, Model *m, Err *e) {
  LinFit *f = (LinFit *)it;
  if (f->wait != FINISHED)
    return err_set(e, ST_FAULT, "CML0601", NULL, "model `%s` was finished before its last pass", f->name);
  SolveResult *r = f->newton ? newton_result(f->newton) : lbfgs_result(f->lbfgs);
  double *b = arena_alloc(&f->arena, ((size_t)f->d + 1) * sizeof *b);
  if (!b)
    return err_memory(e);
  for (uint32_t j = 0; j < f->d; j++) {
    b[j] = coefficient(f, r->best.beta[j], j);
    if (!(fabs(b[j]) < INFINITY))
      return err_set(e, ST_DATA, "CML0438", "Scale the feature, or leave it out.",
                     "the coefficient of feature `%s` of model `%s` is not finite", f->feature[j], f->name);
  }
  double b0 = linear_intercept(r->best.a, b, f->space.shift, f->d);
  if (!(fabs(b0) < INFINITY))
    return err_set(e, ST_DATA, "CML0438", "Scale the features of large values.",
                   "the intercept of model `%s` is not finite", f->name);
  Status st = model_add_tensor(m, "coefficients", 1, f->d, b, e);
  if (!st)
    st = model_add_tensor(m, "intercept", 1, 1, &b0, e);
  if (st)
    return st;
  if (!f->no_errors)
    st = linear_add_errors(m, b, b0, f->error, f->error0, f->freedom, e);
  if (st)
    return st;
  say_inference(f, m);
  m->iterations = r->iterations;
  m->converged = r->converged;
  m->objective = r->objective; /* handed over */
  m->nobjective = r->nobjective;
  r->objective = NULL;
  r->nobjective = r->cap = 0;
  m->rows = f->rows;
  m->weight = f->weight;
  snprintf(m->solver, sizeof m->solver, "%s", f->newton ? "newton" : "lbfgs");
  snprintf(m->warning, sizeof m->warning, "%s", r->why);
  linear_note_constant(&f->space, f->feature, m);
  size_t have = strlen(m->warning);
  if (f->remark[0])
    snprintf(m->warning + have, sizeof m->warning - have, "%s%s", have ? "; " : "", f->remark);
  return ST_OK;
}

void linear_predict(const Model *m, const Matrix *x, double *out) {
  const double *b = model_tensor(m, "coefficients")->v;
  double b0 = model_tensor(m, "intercept")->v[0];
  if (x->d == 0)
    for (uint32_t i = 0; i < x->n; i++)
      out[i] = b0;
  else if (x->a)
    k_gemv_rows(x->a, x->n, x->d, b, b0, out);
  else
    k_spmv_rows(x->ptr, x->col, x->val, x->n, b, b0, out);
}

bool linear_form(const Model *m, LinearForm *out) {
  const Tensor *b = model_tensor(m, "coefficients"), *b0 = model_tensor(m, "intercept");
  bool good = b && b0 && (m->task == TASK_REGRESSION || m->task == TASK_BINARY);
  if (good)
    *out = (LinearForm){.b = b->v, .b0 = b0->v[0], .sigmoid = m->task == TASK_BINARY};
  return good;
}

Status linear_verify(const Model *m, Err *e) {
  const char *name[] = {"coefficients", "intercept"};
  uint32_t cols[] = {m->d, 1};
  for (int i = 0; i < 2; i++) {
    const Tensor *t = model_tensor(m, name[i]);
    if (!t || t->rows != 1 || t->cols != cols[i])
      return err_set(e, ST_DATA, "CML0455", "Write the bundle again.",
                     "the model's tensor `%s` is missing or has the wrong size", name[i]);
    for (uint32_t j = 0; j < t->cols; j++)
      if (!(fabs(t->v[j]) < INFINITY))
        return err_set(e, ST_DATA, "CML0455", "Write the bundle again.",
                       "the model's tensor `%s` has a value that is not finite", name[i]);
  }
  return ST_OK;
}
