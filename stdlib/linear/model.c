/* SPDX-License-Identifier: Apache-2.0 */
/* From the solution to the model: coefficients of features as they are, warnings, what is reported; and what
 * a stored model is asked for. Read linear_finish. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "stdlib/linear/fit.h"
#include "vm/kernel/dot.h"

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
    return fit_fixed_value(f, j);
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
