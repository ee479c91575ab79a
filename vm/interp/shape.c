/* SPDX-License-Identifier: Apache-2.0 */
/* Widths and element names of row vectors; see shape.h. Read shape_one, then names_of. */
#include "vm/shape.h"

#include <string.h>

#include "vm/ops.h"

enum {
  NESTING_MOST = 64,     /* of vectors in vectors: names are made recursively */
  DENSE_MOST = 1 << 16,  /* elements of a dense row: a panel of them is a register */
};

static Status wrong(Err *e, uint32_t step, const char *what) {
  return err_set(e, ST_FAULT, "CML0601", "This is a fault of cml: please report it with the program.",
                 "step %%%u of a row program: %s", step, what);
}

static Status too_wide(Err *e, uint64_t width) {
  return err_set(e, ST_RESOURCE, "CML0522", "Keep fewer levels, or a lower degree.",
                 "a vector would have %llu elements", (unsigned long long)width);
}

uint32_t monomials(uint32_t n, uint32_t degree, bool distinct, uint32_t *from, uint32_t *by) {
  uint64_t count = 0, first = 0, last = 0; /* those of the degree before are first .. last - 1 */
  if (!by) { /* n + n (n + 1) / 2 + ..., or n + n (n - 1) / 2 + ... */
    uint64_t term = 1;
    for (uint32_t k = 1; k <= degree; k++) {
      uint64_t factor = distinct ? (n >= k ? n - k + 1 : 0) : (uint64_t)n + k - 1;
      term = term * factor / k;
      count += term;
      if (count > VECTOR_MOST)
        return 0;
    }
    return (uint32_t)count;
  }
  for (uint32_t k = 1; k <= degree; k++) {
    uint64_t begin = count;
    if (k == 1)
      for (uint32_t j = 0; j < n; j++, count++) {
        from[count] = UINT32_MAX;
        by[count] = j;
      }
    for (uint64_t m = first; k > 1 && m < last; m++)
      for (uint32_t j = by[m] + (distinct ? 1 : 0); j < n; j++, count++) {
        from[count] = (uint32_t)m;
        by[count] = j;
      }
    first = begin;
    last = count;
  }
  return (uint32_t)count;
}

/* ---- Widths ---- */

static const Fitted *fitted_at(const Env *env, const IrVal *v) {
  return env && v->i >= 0 && v->i < env->n ? env->v[v->i] : NULL;
}

static bool levels_of(const Env *env, const IrVal *v, uint32_t *n) {
  const Fitted *f = v->op == OP_FITTED_VOCAB ? fitted_at(env, v) : NULL;
  *n = f ? f->n : v->nlist;
  return f ? f->type == IR_VOCAB : v->op == OP_CONST_VOCAB;
}

static uint32_t width_of(const RowProg *p, const Shape *shape, uint32_t val) {
  return p->val[val].type == IR_VEC ? shape[val].width : 1;
}

/* Of an operation element by element: its vectors agree. */
static Status shape_elements(const RowProg *p, const Shape *shape, uint32_t i, uint64_t *width, Err *e) {
  const IrVal *v = &p->val[i];
  bool any = false;
  for (uint32_t k = 0; k < v->narg; k++) {
    if (p->val[v->arg[k]].type != IR_VEC)
      continue;
    if (any && shape[v->arg[k]].width != *width)
      return wrong(e, i, "vectors of different widths");
    *width = shape[v->arg[k]].width;
    any = true;
  }
  return any ? ST_OK : wrong(e, i, "no vector among its arguments");
}

/* 0 stays 0: an element that has no entry needs none. */
static bool keeps_zero(uint32_t op) {
  return op == OP_MUL_VEC || op == OP_DIV_VEC || op == OP_NEG_VEC || op == OP_ABS_VEC || op == OP_SQRT_VEC ||
         op == OP_LOG1P_VEC || op == OP_TANH_VEC || op == OP_NORMALIZE_VEC;
}

/* Is the result sparse? A product is where one factor is, and the quotient where the dividend is; a constant
 * or a number then weighs the entries. Of two vectors that differ from row to row it is dense. */
static bool stays_sparse(const RowProg *p, const Shape *shape, uint32_t i) {
  const IrVal *v = &p->val[i];
  uint32_t a = v->arg[0], b = v->arg[v->narg - 1];
  bool sa = p->val[a].type == IR_VEC && shape[a].sparse, sb = p->val[b].type == IR_VEC && shape[b].sparse;
  if (!keeps_zero(v->op) || v->narg == 1)
    return sa && keeps_zero(v->op);
  if (sa == sb || (sb && v->op != OP_MUL_VEC))
    return false;
  uint32_t other = sa ? b : a;
  return p->val[other].type != IR_VEC || (p->val[other].scalar && !shape[other].hot);
}

static Status shape_hashed(const RowProg *p, Shape *shape, uint32_t i, uint64_t *width, Err *e) {
  const IrVal *v = &p->val[i], *n = &p->val[v->arg[1]], *sign = v->narg == 3 ? &p->val[v->arg[2]] : NULL;
  if (n->op != OP_CONST_I64)
    return wrong(e, i, "a hashed vector without a number of elements");
  if (n->i < 1 || n->i > VECTOR_MOST)
    return err_set(e, ST_PROGRAM, "CML0415", "Give it a number from 1 to 16777216 (2^24).",
                   "a hashed vector would have %lld elements", (long long)n->i);
  shape[i].hot = v->op == OP_HASHED_STR && sign->op == OP_CONST_B && !sign->i; /* with signs it is sparse */
  shape[i].sparse = !shape[i].hot;
  *width = (uint64_t)n->i;
  return ST_OK;
}

static Status shape_project(const RowProg *p, const Env *env, const Shape *shape, uint32_t i, uint64_t *width,
                            Err *e) {
  const IrVal *v = &p->val[i], *m = &p->val[v->arg[1]];
  const Fitted *f = m->op == OP_FITTED_MAT ? fitted_at(env, m) : NULL;
  if (!f || f->type != IR_MAT)
    return wrong(e, i, "a matrix that is not there");
  if (f->cols != shape[v->arg[0]].width)
    return wrong(e, i, "a matrix of another width than the vector");
  *width = f->rows;
  return ST_OK;
}

static Status shape_polynomial(const RowProg *p, const Shape *shape, uint32_t i, uint64_t *width, Err *e) {
  const IrVal *v = &p->val[i], *degree = &p->val[v->arg[1]], *only = &p->val[v->arg[2]];
  if (degree->op != OP_CONST_I64 || only->op != OP_CONST_B || degree->i < 1 || degree->i > DEGREE_MOST)
    return wrong(e, i, "a polynomial without a degree");
  uint32_t n = shape[v->arg[0]].width;
  *width = monomials(n, (uint32_t)degree->i, only->i != 0, NULL, NULL);
  return n && !*width ? too_wide(e, (uint64_t)VECTOR_MOST + 1) : ST_OK;
}

static Status shape_spline(const RowProg *p, uint32_t i, uint64_t *width, Err *e) {
  const IrVal *knots = &p->val[p->val[i].arg[2]], *degree = &p->val[p->val[i].arg[3]];
  if (knots->op != OP_CONST_I64 || degree->op != OP_CONST_I64 || knots->i < 2 || knots->i > KNOTS_MOST ||
      degree->i < 0 || degree->i > DEGREE_MOST)
    return wrong(e, i, "a spline without knots or a degree");
  *width = (uint64_t)(knots->i + degree->i - 1);
  return ST_OK;
}

static Status shape_one(const RowProg *p, const Env *env, Shape *shape, uint32_t i, Err *e) {
  const IrVal *v = &p->val[i];
  const Fitted *f;
  uint64_t width = 0;
  uint32_t n = 0;
  Status st = ST_OK;
  shape[i].hot = shape[i].sparse = false;
  switch (v->op) {
  case OP_VEC:
    for (uint32_t k = 0; k < v->narg; k++)
      width += width_of(p, shape, v->arg[k]);
    break;
  case OP_INDICATOR_STR:
  case OP_COUNT_VECTOR_STRS:
    if (!levels_of(env, &p->val[v->arg[1]], &n))
      return err_set(e, ST_FAULT, "CML0604", "This is a fault of cml: please report it with the program.",
                     "the levels $%lld are not there", (long long)p->val[v->arg[1]].i);
    width = n;
    shape[i].hot = v->op == OP_INDICATOR_STR;
    shape[i].sparse = !shape[i].hot;
    break;
  case OP_HASHED_STR:
  case OP_HASHED_STRS:
  case OP_TF_STRS:
    st = shape_hashed(p, shape, i, &width, e);
    break;
  case OP_FITTED_VEC:
    f = fitted_at(env, v);
    if (!f || f->type != IR_VEC)
      return wrong(e, i, "a fitted vector that is not there");
    width = f->n;
    break;
  case OP_PROJECT_VEC:
    st = shape_project(p, env, shape, i, &width, e);
    break;
  case OP_SCORES:
    f = fitted_at(env, v);
    if (!f || f->type != IR_MODEL)
      return wrong(e, i, "a model that is not there");
    width = f->model->nout;
    break;
  case OP_POLYNOMIAL_VEC:
    st = shape_polynomial(p, shape, i, &width, e);
    break;
  case OP_SPLINE_F64:
    st = shape_spline(p, i, &width, e);
    break;
  case OP_INTERACT_VEC:
    width = (uint64_t)shape[v->arg[0]].width * shape[v->arg[1]].width;
    shape[i].hot = shape[v->arg[0]].hot && shape[v->arg[1]].hot;
    break;
  default:
    st = shape_elements(p, shape, i, &width, e);
    shape[i].sparse = stays_sparse(p, shape, i);
    break;
  }
  bool dense = !shape[i].hot && !shape[i].sparse && !v->scalar;
  if (!st && width > VECTOR_MOST)
    st = too_wide(e, width);
  else if (!st && dense && width > DENSE_MOST)
    st = err_set(
        e, ST_RESOURCE, "CML0522",
        "Multiply a sparse vector by weights, or make it narrower; a sum of it and something else is "
        "not sparse.",
        "a vector of %llu elements would have to be kept with all its zeros", (unsigned long long)width);
  shape[i].width = (uint32_t)width;
  return st;
}

Status shapes_of(const RowProg *p, const Env *env, Shape *out, Err *e) {
  for (uint32_t i = 0; i < p->nval; i++)
    if (p->val[i].type == IR_VEC && shape_one(p, env, out, i, e) != ST_OK)
      return e->code;
  return ST_OK;
}

/* ---- Names ---- */

typedef struct Naming {
  const RowProg *p;
  const Env *env;
  const Shape *shape;
  uint32_t depth;
  Err *e;
} Naming;

static char *take(Buf *b) {
  char *s = b->bad ? NULL : mem_strdup(buf_str(b));
  buf_free(b);
  return s;
}

static void names_free(char **v, uint32_t n) {
  for (uint32_t k = 0; v && k < n; k++)
    mem_free(v[k]);
  mem_free(v);
}

static Status names_of(Naming *w, uint32_t val, char **out);

/* Those of an argument, in an array of their own. NULL: an error. */
static char **names_apart(Naming *w, uint32_t val) {
  uint32_t n = w->shape[val].width;
  char **v = mem_alloc(((size_t)n + 1) * sizeof *v);
  if (!v)
    err_memory(w->e);
  else if (names_of(w, val, v) != ST_OK) {
    names_free(v, n);
    v = NULL;
  }
  return v;
}

/* The k-th argument of `vec`: `_name`; a name that begins with a dot stands as it is; without a name its
 * number. */
static void put_argument(Buf *b, const IrVal *v, uint32_t k) {
  const char *name = v->nlist && v->names[k] ? v->names[k] : "";
  if (*name)
    buf_printf(b, "%s%s", *name == '.' ? "" : "_", name);
  else if (v->narg > 1)
    buf_printf(b, "_%u", k + 1);
}

static Status names_vec(Naming *w, const IrVal *v, char **out) {
  for (uint32_t k = 0, at = 0; k < v->narg; k++) {
    bool nested = w->p->val[v->arg[k]].type == IR_VEC;
    uint32_t n = nested ? w->shape[v->arg[k]].width : 1;
    char **inner = nested ? names_apart(w, v->arg[k]) : NULL;
    if (nested && !inner)
      return w->e->code;
    for (uint32_t j = 0; j < n; j++, at++) {
      Buf b = {.n = 0};
      put_argument(&b, v, k);
      if (nested)
        buf_text(&b, inner[j]);
      out[at] = take(&b);
    }
    if (nested)
      names_free(inner, n);
  }
  return ST_OK;
}

static Status names_levels(Naming *w, const IrVal *v, uint32_t width, char **out) {
  const IrVal *a = &w->p->val[v->arg[1]];
  const Fitted *f = a->op == OP_FITTED_VOCAB ? fitted_at(w->env, a) : NULL;
  for (uint32_t k = 0; k < width; k++) {
    Buf b = {.n = 0};
    buf_text(&b, "=");
    if (f)
      buf_put(&b, f->vocab->bytes + f->vocab->off[k], f->vocab->off[k + 1] - f->vocab->off[k]);
    else
      buf_text(&b, a->names[k]);
    out[k] = take(&b);
  }
  return ST_OK;
}

/* A suffix without the sign that begins it. */
static const char *bare(const char *s) {
  return s[0] && strchr("_.=", s[0]) ? s + 1 : s;
}

static Status names_interact(Naming *w, const IrVal *v, char **out) {
  uint32_t na = w->shape[v->arg[0]].width, nb = w->shape[v->arg[1]].width;
  char **a = names_apart(w, v->arg[0]), **b = a ? names_apart(w, v->arg[1]) : NULL;
  for (uint32_t i = 0; b && i < na; i++)
    for (uint32_t j = 0; j < nb; j++) {
      Buf t = {.n = 0};
      buf_printf(&t, "%s:%s", a[i], bare(b[j]));
      out[(size_t)i * nb + j] = take(&t);
    }
  if (a)
    names_free(a, na);
  if (b)
    names_free(b, nb);
  return w->e->code;
}

/* "a^2*b" of the factors of monomial m, which come in order. */
static char *monomial_name(char *const *x, const uint32_t *from, const uint32_t *by, uint32_t m) {
  uint32_t factor[DEGREE_MOST], n = 0;
  Buf b = {.n = 0};
  for (; m != UINT32_MAX && n < DEGREE_MOST; m = from[m])
    factor[n++] = by[m];
  for (uint32_t i = n, power; i > 0; i -= power) {
    for (power = 1; power < i && factor[i - 1 - power] == factor[i - 1]; power++)
      ;
    buf_printf(&b, "%s%s", i == n ? "" : "*", i == n ? x[factor[i - 1]] : bare(x[factor[i - 1]]));
    if (power > 1)
      buf_printf(&b, "^%u", power);
  }
  return take(&b);
}

static Status names_polynomial(Naming *w, const IrVal *v, uint32_t width, char **out) {
  uint32_t n = w->shape[v->arg[0]].width;
  uint32_t *from = mem_alloc(((size_t)width + 1) * sizeof *from),
           *by = mem_alloc(((size_t)width + 1) * sizeof *by);
  char **x = from && by ? names_apart(w, v->arg[0]) : NULL;
  if (x && width)
    monomials(n, (uint32_t)w->p->val[v->arg[1]].i, w->p->val[v->arg[2]].i != 0, from, by);
  for (uint32_t m = 0; x && m < width; m++)
    out[m] = monomial_name(x, from, by, m);
  if (x)
    names_free(x, n);
  mem_free(from);
  mem_free(by);
  return x || w->e->code ? w->e->code : err_memory(w->e);
}

/* An operation element by element keeps the names of its first vector that differs from row to row. */
static uint32_t named_by(const RowProg *p, const IrVal *v) {
  uint32_t found = v->arg[0];
  for (uint32_t k = v->narg; k-- > 0;)
    if (p->val[v->arg[k]].type == IR_VEC && !p->val[v->arg[k]].scalar)
      found = v->arg[k];
  if (p->val[found].type == IR_VEC)
    return found;
  for (uint32_t k = 0; k < v->narg; k++)
    if (p->val[v->arg[k]].type == IR_VEC)
      return v->arg[k];
  return found;
}

/* There may be a million of them. */
static char *numbered(char mark, uint32_t k) {
  char text[12], *p = text + sizeof text;
  *--p = 0;
  do
    *--p = (char)('0' + k % 10);
  while (k /= 10);
  *--p = mark;
  return mem_strdup(p);
}

static bool is_hashed(uint32_t op) {
  return op == OP_HASHED_STR || op == OP_HASHED_STRS || op == OP_TF_STRS;
}

static bool keeps_names(uint32_t op) {
  return op != OP_VEC && op != OP_INDICATOR_STR && op != OP_COUNT_VECTOR_STRS && !is_hashed(op) &&
         op != OP_FITTED_VEC && op != OP_PROJECT_VEC && op != OP_POLYNOMIAL_VEC && op != OP_SPLINE_F64 &&
         op != OP_INTERACT_VEC && op != OP_SCORES;
}

static Status names_of(Naming *w, uint32_t val, char **out) {
  while (keeps_names(w->p->val[val].op))
    val = named_by(w->p, &w->p->val[val]);
  const IrVal *v = &w->p->val[val];
  uint32_t width = w->shape[val].width;
  Status st = ST_OK;
  if (w->depth >= NESTING_MOST)
    return wrong(w->e, val, "vectors are nested too deeply");
  w->depth++;
  switch (v->op) {
  case OP_VEC: st = names_vec(w, v, out); break;
  case OP_INDICATOR_STR:
  case OP_COUNT_VECTOR_STRS: st = names_levels(w, v, width, out); break;
  case OP_INTERACT_VEC: st = names_interact(w, v, out); break;
  case OP_POLYNOMIAL_VEC: st = names_polynomial(w, v, width, out); break;
  default: /* components, elements of a fitted value: their numbers; of hashed words the place */
    for (uint32_t k = 0; k < width; k++)
      out[k] = is_hashed(v->op) ? numbered('#', k) : numbered('_', k + 1);
  }
  w->depth--;
  for (uint32_t k = 0; k < width && !st; k++)
    if (!out[k])
      st = err_memory(w->e);
  return st;
}

Status shape_names(const RowProg *p, const Env *env, const Shape *shape, uint32_t val, char **out, Err *e) {
  Naming w = {p, env, shape, 0, e};
  return names_of(&w, val, out);
}
