/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic of row vectors, a row at a time. A vector comes in one of the forms of Col: dense, one-hot or
 * sparse; a constant one has one row. A step reads its arguments with `row_of`, which gives a row's
 * elements side by side, and writes a dense row. Where the result is sparse (shape.c says when) the
 * entries are the row: `row_at` gives those of the arguments that belong to them. */
#include <string.h>

#include "base/arena.h"
#include "vm/kernel/dot.h"
#include "vm/kernel/math.h"
#include "vm/interp/op.h"
#include "vm/shape.h"

VECTOR_LOOPS

typedef struct Work {
  double *a, *b;        /* a row of each argument, where it is not one already */
  uint32_t *from, *by;  /* polynomial */
} Work;

static void work_drop(void *state) {
  Work *w = state;
  mem_free(w->a);
  mem_free(w->b);
  mem_free(w->from);
  mem_free(w->by);
  mem_free(w);
}

static uint32_t widest(const Step *s) {
  uint32_t n = s->out->type == IR_VEC ? s->out->width : 1;
  for (uint32_t k = 0; k < s->v->narg; k++)
    if (s->arg[k]->type == IR_VEC && s->arg[k]->width > n)
      n = s->arg[k]->width;
  return n;
}

Status prepare_vector(Step *s, Err *e) {
  Work *w = mem_alloc(sizeof *w);
  if (!w)
    return err_memory(e);
  s->state = w;
  s->drop = work_drop;
  size_t n = (size_t)widest(s) + 1;
  w->a = mem_alloc64(n * sizeof *w->a); /* as wide as the vector: sparse rows touch little of it */
  w->b = mem_alloc64(n * sizeof *w->b);
  if (!w->a || !w->b)
    return err_memory(e);
  if (s->v->op != OP_POLYNOMIAL_VEC)
    return ST_OK;
  w->from = mem_alloc(n * sizeof *w->from);
  w->by = mem_alloc(n * sizeof *w->by);
  if (!w->from || !w->by)
    return err_memory(e);
  const RowProg *p = s->t->p;
  monomials(s->arg[0]->width, (uint32_t)p->val[s->v->arg[1]].i, p->val[s->v->arg[2]].i != 0, w->from, w->by);
  return ST_OK;
}

/* Row r as `width` doubles; a number is repeated. */
static const double *row_of(const Col *c, uint32_t r, uint32_t width, double *scratch) {
  if (c->type != IR_VEC) {
    for (uint32_t j = 0; j < width; j++)
      scratch[j] = c->f[r];
    return scratch;
  }
  if (!c->is_hot && !c->is_sparse)
    return c->f + (c->constant ? 0 : (size_t)r) * width;
  col_row(c, r, scratch);
  return scratch;
}

/* A sparse result has the places of its sparse argument. False: memory. */
static bool vector_begin(Step *s) {
  Col *o = s->out;
  if (o->type != IR_VEC || !o->is_sparse)
    return true;
  const Col *c = s->arg[0]->type == IR_VEC && s->arg[0]->is_sparse ? s->arg[0] : s->arg[1];
  if (!step_entries(s, c->ptr[s->n]))
    return false;
  if (!o->null) {
    o->ptr = c->ptr;
    o->el = c->el;
    return true;
  }
  o->ptr[0] = 0;
  for (uint32_t r = 0; r < s->n; r++) { /* a row that is null has no entries */
    uint32_t n = o->null[r] ? 0 : c->ptr[r + 1] - c->ptr[r];
    memcpy(o->el + o->ptr[r], c->el + c->ptr[r], n * sizeof *o->el);
    o->ptr[r + 1] = o->ptr[r] + n;
  }
  return true;
}

typedef struct RowAt { /* of a step: n elements of each argument, and where the result goes */
  uint32_t n;
  const double *a, *b;
  double *o;
} RowAt;

static const double *entries_of(const Step *s, const Col *c, uint32_t r, uint32_t n, double *scratch) {
  if (c->type == IR_VEC && c->is_sparse)
    return c->f + c->ptr[r];
  const uint32_t *el = s->out->el + s->out->ptr[r];
  for (uint32_t j = 0; j < n; j++)
    scratch[j] = c->type == IR_VEC ? c->f[el[j]] : c->f[r];
  return scratch;
}

static RowAt row_at(const Step *s, uint32_t r) {
  const Work *w = s->state;
  const Col *o = s->out, *b = s->v->narg > 1 ? s->arg[1] : NULL;
  if (o->is_sparse) {
    uint32_t n = o->ptr[r + 1] - o->ptr[r];
    return (RowAt){n, entries_of(s, s->arg[0], r, n, w->a), b ? entries_of(s, b, r, n, w->b) : NULL,
                   o->f + o->ptr[r]};
  }
  return (RowAt){o->width, row_of(s->arg[0], r, o->width, w->a), b ? row_of(b, r, o->width, w->b) : NULL,
                 o->f + (size_t)r * o->width};
}

/* ---- Element by element ---- */

#define EACH2(code, ...)                              \
  void step_##code(Step *s) {                         \
    if (!vector_begin(s))                             \
      return;                                         \
    for (uint32_t r = 0; r < s->n; r++) {             \
      const RowAt x_ = row_at(s, r);                  \
      const uint32_t width = x_.n;                    \
      const double *a = x_.a, *b = x_.b;              \
      double *o = x_.o;                               \
      __VA_ARGS__;                                    \
    }                                                 \
  }
#define EACH2_EXPR(code, expr)                  \
  EACH2(code, for (uint32_t j = 0; j < width; j++) { \
    double x = a[j], y = b[j];                  \
    o[j] = expr;                                \
  })

EACH2_EXPR(ADD_VEC, x + y)
EACH2_EXPR(SUB_VEC, x - y)
EACH2_EXPR(MUL_VEC, x *y)
EACH2_EXPR(DIV_VEC, x / y)
EACH2_EXPR(LEAST_VEC, x != x ? x : y != y ? y : y < x ? y : x)
EACH2_EXPR(GREATEST_VEC, x != x ? x : y != y ? y : y > x ? y : x)
EACH2(POW_VEC, k_pow(a, b, o, width))

#define EACH1(code, ...)                              \
  void step_##code(Step *s) {                         \
    if (!vector_begin(s))                             \
      return;                                         \
    for (uint32_t r = 0; r < s->n; r++) {             \
      const RowAt x_ = row_at(s, r);                  \
      const uint32_t width = x_.n;                    \
      const double *a = x_.a;                         \
      double *o = x_.o;                               \
      __VA_ARGS__;                                    \
    }                                                 \
  }
#define EACH1_EXPR(code, expr)                       \
  EACH1(code, for (uint32_t j = 0; j < width; j++) { \
    double x = a[j];                                 \
    o[j] = expr;                                     \
  })

EACH1_EXPR(NEG_VEC, -x)
EACH1_EXPR(ABS_VEC, __builtin_fabs(x))
EACH1_EXPR(SQRT_VEC, __builtin_sqrt(x))
EACH1_EXPR(NONZERO_VEC, x == 0 ? 1 : x)
EACH1(EXP_VEC, k_exp(a, o, width))
EACH1(LOG_VEC, k_log(a, o, width))
EACH1(LOG1P_VEC, k_log1p(a, o, width))
EACH1(SIGMOID_VEC, k_sigmoid(a, o, width))
EACH1(TANH_VEC, k_tanh(a, o, width))

/* ---- Whole vectors ---- */

void step_TOTAL_VEC(Step *s) {
  const Work *w = s->state;
  uint32_t width = s->arg[0]->width;
  const Col *c = s->arg[0];
  for (uint32_t r = 0; r < s->n; r++)
    s->out->f[r] = c->is_sparse ? k_sum(c->f + c->ptr[r], c->ptr[r + 1] - c->ptr[r])
                                : k_sum(row_of(c, r, width, w->a), width);
}

/* (sum |x|^p)^(1/p); p infinite: the largest |x|. The largest is divided out first, so that squares
 * neither overflow nor vanish. */
static double norm_of(const double *x, uint32_t n, double p, double *scratch) {
  double most = 0, sum;
  for (uint32_t j = 0; j < n; j++) {
    double v = __builtin_fabs(x[j]);
    most = v > most || v != v ? v : most;
  }
  if (most == 0 || p > 1e300 || !(most <= __DBL_MAX__))
    return most;
  for (uint32_t j = 0; j < n; j++)
    scratch[j] = __builtin_fabs(x[j]) / most;
  if (p == 1) {
    sum = k_sum(scratch, n);
  } else if (p == 2) {
    sum = __builtin_sqrt(k_dot(scratch, scratch, n));
  } else {
    double inverse = 1 / p;
    for (uint32_t j = 0; j < n; j++)
      k_pow(&scratch[j], &p, &scratch[j], 1);
    sum = k_sum(scratch, n);
    k_pow(&sum, &inverse, &sum, 1);
  }
  return most * sum;
}

void step_NORMALIZE_VEC(Step *s) {
  const Work *w = s->state;
  if (!vector_begin(s))
    return;
  for (uint32_t r = 0; r < s->n; r++) {
    RowAt x = row_at(s, r);
    double norm = norm_of(x.a, x.n, s->arg[1]->f[s->arg[1]->constant ? 0 : r], w->b);
    for (uint32_t j = 0; j < x.n; j++)
      x.o[j] = norm == 0 ? 0 : x.a[j] / norm;
  }
}

void step_PROJECT_VEC(Step *s) {
  const Work *w = s->state;
  const Fitted *m = s->t->step[s->v->arg[1]].fitted;
  for (uint32_t r = 0; r < s->n; r++)
    k_gemv_rows(m->list, m->rows, m->cols, row_of(s->arg[0], r, m->cols, w->a), 0,
                s->out->f + (size_t)r * m->rows);
}

void step_INTERACT_VEC(Step *s) {
  const Work *w = s->state;
  const Col *u = s->arg[0], *v = s->arg[1];
  if (s->out->is_hot) {
    for (uint32_t r = 0; r < s->n; r++) {
      int32_t i = u->hot[u->constant ? 0 : r], j = v->hot[v->constant ? 0 : r];
      s->out->hot[r] = i < 0 || j < 0 ? -1 : i * (int32_t)v->width + j;
    }
    return;
  }
  for (uint32_t r = 0; r < s->n; r++) {
    const double *a = row_of(u, r, u->width, w->a), *b = row_of(v, r, v->width, w->b);
    double *o = s->out->f + (size_t)r * s->out->width;
    for (uint32_t i = 0; i < u->width; i++, o += v->width)
      for (uint32_t j = 0; j < v->width; j++)
        o[j] = a[i] * b[j];
  }
}

void step_POLYNOMIAL_VEC(Step *s) {
  const Work *w = s->state;
  uint32_t width = s->out->width;
  for (uint32_t r = 0; r < s->n; r++) {
    const double *a = row_of(s->arg[0], r, s->arg[0]->width, w->a);
    double *o = s->out->f + (size_t)r * width;
    for (uint32_t m = 0; m < width; m++)
      o[m] = w->from[m] == UINT32_MAX ? a[w->by[m]] : o[w->from[m]] * a[w->by[m]];
  }
}
