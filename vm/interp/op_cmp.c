/* SPDX-License-Identifier: Apache-2.0 */
/* Comparison of numbers and truth values, three-valued logic, nulls and choice. (Comparison of strings:
 * op_str.c, but choice between strings is here: it brings two dictionaries together.) */
#include <string.h>

#include "base/arena.h"
#include "vm/interp/op.h"

VECTOR_LOOPS

#define COMPARE(code, T, IN, OPERATOR)                                                                 \
  static void loop_##code(const T *a, const T *b, uint8_t *restrict o, uint32_t n, bool ca, bool cb) { \
    if (cb) {                                                                                          \
      const T y = b[0];                                                                                \
      for (uint32_t r = 0; r < n; r++)                                                                 \
        o[r] = a[r] OPERATOR y;                                                                        \
    } else if (ca) {                                                                                   \
      const T x = a[0];                                                                                \
      for (uint32_t r = 0; r < n; r++)                                                                 \
        o[r] = x OPERATOR b[r];                                                                        \
    } else {                                                                                           \
      for (uint32_t r = 0; r < n; r++)                                                                 \
        o[r] = a[r] OPERATOR b[r];                                                                     \
    }                                                                                                  \
  }                                                                                                    \
  void step_##code(Step *s) {                                                                          \
    const Col *a = s->arg[0], *b = s->arg[1];                                                          \
    loop_##code(a->IN, b->IN, s->out->b, s->n, a->constant, b->constant);                              \
  }

#define COMPARE_NUMBERS(name, OPERATOR)          \
  COMPARE(name##_I64, int64_t, i, OPERATOR)      \
  COMPARE(name##_F64, double, f, OPERATOR)

COMPARE(EQ_B, uint8_t, b, ==)
COMPARE(NE_B, uint8_t, b, !=)
COMPARE_NUMBERS(EQ, ==)
COMPARE_NUMBERS(NE, !=)
COMPARE_NUMBERS(LT, <)
COMPARE_NUMBERS(LE, <=)
COMPARE_NUMBERS(GT, >)
COMPARE_NUMBERS(GE, >=)

void step_IS_NAN_F64(Step *s) {
  const double *a = s->arg[0]->f;
  for (uint32_t r = 0; r < s->n; r++)
    s->out->b[r] = a[r] != a[r];
}

void step_IS_FINITE_F64(Step *s) {
  const double *a = s->arg[0]->f;
  for (uint32_t r = 0; r < s->n; r++)
    s->out->b[r] = __builtin_fabs(a[r]) <= __DBL_MAX__;
}

/* ---- Truth: a null has value 0, so that "false" is: value 0 and not null ---- */

/* Where the mask of a is, or zeros: the loops need one. */
static const uint8_t *mask_or(const Col *c, const uint8_t *zeros) {
  return c->null ? c->null : zeros;
}

static const uint8_t no_nulls[PANEL_ROWS];

void step_AND_B(Step *s) {
  const uint8_t *a = s->arg[0]->b, *b = s->arg[1]->b;
  uint8_t *o = s->out->b;
  s->out->null = NULL;
  for (uint32_t r = 0; r < s->n; r++)
    o[r] = a[r] & b[r];
  if (!s->arg[0]->null && !s->arg[1]->null)
    return;
  const uint8_t *na = mask_or(s->arg[0], no_nulls), *nb = mask_or(s->arg[1], no_nulls);
  uint8_t *m = step_mask(s);
  for (uint32_t r = 0; r < s->n; r++)
    m[r] = (na[r] | nb[r]) & (na[r] | a[r]) & (nb[r] | b[r]); /* one is null, none is false */
}

void step_OR_B(Step *s) {
  const uint8_t *a = s->arg[0]->b, *b = s->arg[1]->b;
  uint8_t *o = s->out->b;
  s->out->null = NULL;
  for (uint32_t r = 0; r < s->n; r++)
    o[r] = a[r] | b[r];
  if (!s->arg[0]->null && !s->arg[1]->null)
    return;
  const uint8_t *na = mask_or(s->arg[0], no_nulls), *nb = mask_or(s->arg[1], no_nulls);
  uint8_t *m = step_mask(s);
  for (uint32_t r = 0; r < s->n; r++)
    m[r] = (na[r] | nb[r]) & (uint8_t)(1 ^ o[r]); /* one is null, none is true */
}

void step_NOT_B(Step *s) {
  const uint8_t *a = s->arg[0]->b;
  for (uint32_t r = 0; r < s->n; r++)
    s->out->b[r] = a[r] ^ 1;
}

/* ---- Nulls ---- */

static void is_null(Step *s) {
  if (s->arg[0]->null)
    memcpy(s->out->b, s->arg[0]->null, s->n);
  else
    memset(s->out->b, 0, s->n);
}

void step_IS_NULL_B(Step *s) {
  is_null(s);
}

void step_IS_NULL_I64(Step *s) {
  is_null(s);
}

void step_IS_NULL_F64(Step *s) {
  is_null(s);
}

void step_IS_NULL_STR(Step *s) {
  is_null(s);
}

/* ---- Choice. Null masks first: they are the same for all types ---- */

static void if_mask(Step *s) {
  const Col *c = s->arg[0], *x = s->arg[1], *y = s->arg[2];
  s->out->null = NULL;
  if (!c->null && !x->null && !y->null)
    return;
  const uint8_t *nc = mask_or(c, no_nulls), *nx = mask_or(x, no_nulls), *ny = mask_or(y, no_nulls);
  uint8_t *m = step_mask(s);
  for (uint32_t r = 0; r < s->n; r++)
    m[r] = nc[r] | (c->b[r] ? nx[r] : ny[r]);
}

static void coalesce_mask(Step *s) {
  const Col *x = s->arg[0], *y = s->arg[1];
  s->out->null = NULL;
  if (!x->null || !y->null)
    return;
  uint8_t *m = step_mask(s);
  for (uint32_t r = 0; r < s->n; r++)
    m[r] = x->null[r] & y->null[r];
}

/* null_if: equal and neither null. A mask without ones is dropped. */
static void finish_mask(Step *s, uint8_t any) {
  if (!any)
    s->out->null = NULL;
}

#define NULLING(suffix, T, F)                                                                            \
  static void zero_##suffix(const uint8_t *m, T *o, uint32_t n) {                                        \
    for (uint32_t r = 0; r < n; r++)                                                                     \
      o[r] = m[r] ? 0 : o[r];                                                                            \
  }                                                                                                      \
  /* x, null where `when` is */                                                                          \
  static void choose_null_##suffix(Step *s, const Col *x, const uint8_t *when) {                         \
    const uint8_t *nx = mask_or(x, no_nulls);                                                            \
    s->out->null = NULL;                                                                                 \
    uint8_t *m = step_mask(s), any = 0;                                                                  \
    for (uint32_t r = 0; r < s->n; r++) {                                                                \
      m[r] = when[r] | nx[r];                                                                            \
      any |= m[r];                                                                                       \
    }                                                                                                    \
    memcpy(s->out->F, x->F, s->n * sizeof(T));                                                           \
    zero_##suffix(m, s->out->F, s->n);                                                                   \
    finish_mask(s, any);                                                                                 \
  }

#define CHOOSE(suffix, T, F)                                                                             \
  static void if_##suffix(const uint8_t *c, const T *x, const T *y, T *restrict o, uint32_t n) {         \
    for (uint32_t r = 0; r < n; r++)                                                                     \
      o[r] = c[r] ? x[r] : y[r];                                                                         \
  }                                                                                                      \
  static void choose_if_##suffix(Step *s) {                                                              \
    if_mask(s);                                                                                          \
    if_##suffix(s->arg[0]->b, s->arg[1]->F, s->arg[2]->F, s->out->F, s->n);                              \
    if (s->out->null)                                                                                    \
      zero_##suffix(s->out->null, s->out->F, s->n);                                                      \
  }                                                                                                      \
  static void choose_coalesce_##suffix(Step *s) {                                                        \
    coalesce_mask(s);                                                                                    \
    if (s->arg[0]->null)                                                                                 \
      if_##suffix(s->arg[0]->null, s->arg[1]->F, s->arg[0]->F, s->out->F, s->n);                         \
    else                                                                                                 \
      memcpy(s->out->F, s->arg[0]->F, s->n * sizeof(T));                                                 \
  }

NULLING(b, uint8_t, b)
NULLING(i64, int64_t, i)
NULLING(f64, double, f)
NULLING(str, uint32_t, code)
CHOOSE(b, uint8_t, b)
CHOOSE(i64, int64_t, i)
CHOOSE(f64, double, f)

#define CHOICE_STEPS(CODE, suffix, F)                                                                    \
  void step_IF_##CODE(Step *s) {                                                                         \
    choose_if_##suffix(s);                                                                               \
  }                                                                                                      \
  void step_COALESCE_##CODE(Step *s) {                                                                   \
    choose_coalesce_##suffix(s);                                                                         \
  }                                                                                                      \
  void step_NULL_IF_##CODE(Step *s) {                                                                    \
    const Col *x = s->arg[0], *y = s->arg[1];                                                            \
    const uint8_t *ny = mask_or(y, no_nulls);                                                            \
    uint8_t when[PANEL_ROWS];                                                                            \
    for (uint32_t r = 0; r < s->n; r++)                                                                  \
      when[r] = (x->F[r] == y->F[r]) & (ny[r] ^ 1);                                                      \
    choose_null_##suffix(s, x, when);                                                                    \
  }                                                                                                      \
  void step_NULL_WHEN_##CODE(Step *s) {                                                                  \
    choose_null_##suffix(s, s->arg[1], s->arg[0]->b); /* a null condition has value 0 */                 \
  }

CHOICE_STEPS(B, b, b)
CHOICE_STEPS(I64, i64, i)
CHOICE_STEPS(F64, f64, f)

/* ---- Choice between strings: the result's dictionary is both dictionaries, one behind the other ---- */

typedef struct Both {
  Dict *x, *y;   /* held */
  Dict *both;
} Both;

static void both_forget(Both *w) {
  dict_drop(w->x);
  dict_drop(w->y);
  dict_drop(w->both);
  *w = (Both){NULL, NULL, NULL};
}

static Dict *append(const Dict *x, const Dict *y) {
  DictBuild b;
  dict_begin(&b);
  for (uint32_t i = 0; i < x->n; i++)
    dict_put(&b, dict_at(x, i));
  for (uint32_t i = 0; i < y->n; i++)
    dict_put(&b, dict_at(y, i));
  return dict_done(&b);
}

/* Chooses where `first` is not 0 from x, else from y. */
static void choose_str(Step *s, const uint8_t *first, const Col *x, const Col *y) {
  Both *w = s->state;
  uint32_t shift = x->dict->n;
  if (x->dict == y->dict) {
    both_forget(w);
    s->out->dict = x->dict;
    shift = 0;
  } else {
    if (!w->both || w->x != x->dict || w->y != y->dict) {
      both_forget(w);
      w->both = append(x->dict, y->dict);
      if (!w->both) {
        step_memory(s);
        return;
      }
      if (x->dict->refs > 0 && y->dict->refs > 0) {
        dict_hold(x->dict);
        dict_hold(y->dict);
        w->x = x->dict;
        w->y = y->dict;
      }
    }
    s->out->dict = w->both;
  }
  for (uint32_t r = 0; r < s->n; r++)
    s->out->code[r] = first[r] ? x->code[r] : y->code[r] + shift;
  if (s->out->null)
    zero_str(s->out->null, s->out->code, s->n);
}

static void both_drop(void *state) {
  both_forget(state);
  mem_free(state);
}

Status prepare_both(Step *s, Err *e) {
  s->state = mem_alloc(sizeof(Both));
  s->drop = both_drop;
  if (!s->state) {
    s->drop = NULL;
    return err_memory(e);
  }
  return ST_OK;
}

void step_IF_STR(Step *s) {
  if_mask(s);
  choose_str(s, s->arg[0]->b, s->arg[1], s->arg[2]);
}

void step_COALESCE_STR(Step *s) {
  const Col *x = s->arg[0];
  coalesce_mask(s);
  if (x->null) {
    uint8_t first[PANEL_ROWS];
    for (uint32_t r = 0; r < s->n; r++)
      first[r] = x->null[r] ^ 1;
    choose_str(s, first, x, s->arg[1]);
    return;
  }
  memcpy(s->out->code, x->code, s->n * sizeof *x->code);
  s->out->dict = x->dict;
}

void step_NULL_IF_STR(Step *s) {
  const Col *x = s->arg[0], *y = s->arg[1];
  uint8_t when[PANEL_ROWS];
  for (uint32_t r = 0; r < s->n; r++)
    when[r] = !step_is_null(x, r) && !step_is_null(y, r) && str_eq(col_str(x, r), col_str(y, r));
  choose_null_str(s, x, when);
  s->out->dict = x->dict;
}

void step_NULL_WHEN_STR(Step *s) {
  choose_null_str(s, s->arg[1], s->arg[0]->b);
  s->out->dict = s->arg[1]->dict;
}
