/* SPDX-License-Identifier: Apache-2.0 */
/* The Iter of the linear estimators: moments, then a solver until it is done, then the model.
 *
 * Unless the program names one, the solver is chosen by the number of columns alone, never by time or memory,
 * so that the same program gives the same bits. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "stdlib/linear/fit.h"
#include "stdlib/registry.h"
#include "vm/blas.h"

const char linear_separated[] =
    "the classes are separated: a combination of the features tells them apart without an error, so that the "
    "coefficients have no finite best value, and the last ones were kept. Add l2, for example l2 = 1e-4";

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
    Status st = fit_find_heavy(f, m, e);
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
    st = fit_make_space(f, m, &start, e);
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
    st = fit_make_space(f, m, &start, e);
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
