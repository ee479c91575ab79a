/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic, elementary functions, numeric casts. UNARY and BINARY make a step of an expression in x and
 * y; the checked integer ops compute with wrapping, collect in `bad` whether any row overflowed, and only
 * then look for the rows. */
#include <math.h>
#include <string.h>

#include "base/num.h"
#include "vm/kernel/math.h"
#include "vm/interp/op.h"

VECTOR_LOOPS

#define UNARY(code, T, IN, U, OUT, expr)                      \
  static void loop_##code(const T *a, U *o, uint32_t n) {     \
    for (uint32_t r = 0; r < n; r++) {                        \
      const T x = a[r];                                       \
      o[r] = (U)(expr);                                       \
    }                                                         \
  }                                                           \
  void step_##code(Step *s) {                                 \
    loop_##code(s->arg[0]->IN, s->out->OUT, s->n);            \
  }

/* Three loops, so that a constant stays in a register. */
#define BINARY(code, T, IN, U, OUT, expr)                                                        \
  static void loop_##code(const T *a, const T *b, U *restrict o, uint32_t n, bool ca, bool cb) { \
    if (cb) {                                                                                    \
      const T y = b[0];                                                                          \
      for (uint32_t r = 0; r < n; r++) {                                                         \
        const T x = a[r];                                                                        \
        o[r] = (U)(expr);                                                                        \
      }                                                                                          \
    } else if (ca) {                                                                             \
      const T x = a[0];                                                                          \
      for (uint32_t r = 0; r < n; r++) {                                                         \
        const T y = b[r];                                                                        \
        o[r] = (U)(expr);                                                                        \
      }                                                                                          \
    } else {                                                                                     \
      for (uint32_t r = 0; r < n; r++) {                                                         \
        const T x = a[r];                                                                        \
        const T y = b[r];                                                                        \
        o[r] = (U)(expr);                                                                        \
      }                                                                                          \
    }                                                                                            \
  }                                                                                              \
  void step_##code(Step *s) {                                                                    \
    const Col *a = s->arg[0], *b = s->arg[1];                                                    \
    loop_##code(a->IN, b->IN, s->out->OUT, s->n, a->constant, b->constant);                      \
  }

#define F1(code, expr) UNARY(code, double, f, double, f, expr)
#define F2(code, expr) BINARY(code, double, f, double, f, expr)

F2(ADD_F64, x + y)
F2(SUB_F64, x - y)
F2(MUL_F64, x *y)
F2(DIV_F64, x / y)
F2(IDIV_F64, __builtin_floor(x / y))
F2(LEAST_F64, x != x ? x : y != y ? y : y < x ? y : x)
F2(GREATEST_F64, x != x ? x : y != y ? y : y > x ? y : x)
BINARY(LEAST_I64, int64_t, i, int64_t, i, y < x ? y : x)
BINARY(GREATEST_I64, int64_t, i, int64_t, i, y > x ? y : x)

F1(NEG_F64, -x)
F1(ABS_F64, __builtin_fabs(x))
F1(SIGN_F64, x != x ? x : (double)((x > 0) - (x < 0)))
F1(SQRT_F64, __builtin_sqrt(x))
F1(FLOOR_F64, __builtin_floor(x))
F1(CEIL_F64, __builtin_ceil(x))
F1(TRUNC_F64, __builtin_trunc(x))
F1(NONZERO_F64, x == 0 ? 1 : x)
UNARY(SIGN_I64, int64_t, i, int64_t, i, (x > 0) - (x < 0))

/* Halves away from zero: the fraction that trunc cuts off is exact, so this never rounds
 * 0.49999999999999994 up. */
static inline double round_half_away(double x) {
  double t = __builtin_trunc(x);
  double up = __builtin_fabs(x - t) >= 0.5 ? __builtin_copysign(1, x) : __builtin_copysign(0, x);
  return __builtin_fabs(x) < 0x1p52 ? t + up : x;
}
F1(ROUND_F64, round_half_away(x))

/* The remainder is exact (fmod), then moved to the divisor's side of zero. */
static inline double mod_floor(double x, double y) {
  double m = fmod(x, y);
  if (m != 0 && (m < 0) != (y < 0))
    m += y;
  return m == 0 ? __builtin_copysign(0, y) : m;
}
F2(MOD_F64, mod_floor(x, y))

void mod_rows(const double *a, const double *b, double *out, size_t n) {
  for (size_t i = 0; i < n; i++)
    out[i] = mod_floor(a[i], b[i]);
}

/* ---- Elementary functions ---- */

#define ELEMENTARY(code, fn)                           \
  void step_##code(Step *s) {                          \
    fn(s->arg[0]->f, s->out->f, s->n);                 \
  }

ELEMENTARY(EXP_F64, k_exp)
ELEMENTARY(EXPM1_F64, k_expm1)
ELEMENTARY(LOG_F64, k_log)
ELEMENTARY(LOG1P_F64, k_log1p)
ELEMENTARY(LOG2_F64, k_log2)
ELEMENTARY(LOG10_F64, k_log10)
ELEMENTARY(SIN_F64, k_sin)
ELEMENTARY(COS_F64, k_cos)
ELEMENTARY(TAN_F64, k_tan)
ELEMENTARY(ATAN_F64, k_atan)
ELEMENTARY(TANH_F64, k_tanh)
ELEMENTARY(SIGMOID_F64, k_sigmoid)
ELEMENTARY(LOGIT_F64, k_logit)

void step_POW_F64(Step *s) {
  k_pow(s->arg[0]->f, s->arg[1]->f, s->out->f, s->n);
}

/* ---- Checked integers ---- */

static const char *const overflow_text = "%lld %s %lld does not fit an int (64 bits)";

/* bad: some row's result is not the true one; OVER says of which rows that is so. */
#define CHECKED2(code, SIGN, WRAP, OVER)                                                            \
  static int64_t loop_##code(const int64_t *a, const int64_t *b, int64_t *restrict o, uint32_t n) { \
    int64_t bad = 0;                                                                                \
    for (uint32_t r = 0; r < n; r++) {                                                              \
      const int64_t x = a[r], y = b[r];                                                             \
      const int64_t z = (int64_t)(WRAP);                                                            \
      o[r] = z;                                                                                     \
      bad |= (OVER) ? -1 : 0;                                                                       \
    }                                                                                               \
    return bad;                                                                                     \
  }                                                                                                 \
  void step_##code(Step *s) {                                                                       \
    const int64_t *a = s->arg[0]->i, *b = s->arg[1]->i;                                             \
    if (!loop_##code(a, b, s->out->i, s->n))                                                        \
      return;                                                                                       \
    for (uint32_t r = 0; r < s->n; r++) {                                                           \
      const int64_t x = a[r], y = b[r], z = (int64_t)(WRAP);                                        \
      (void)z;                                                                                      \
      if (!(OVER))                                                                                  \
        continue;                                                                                   \
      s->out->i[r] = 0;                                                                             \
      step_fail(s, r, NULL, overflow_text, (long long)x, SIGN, (long long)y);                       \
    }                                                                                               \
  }

static inline bool mul_over(int64_t x, int64_t y) {
  int64_t z;
  return __builtin_mul_overflow(x, y, &z);
}

CHECKED2(ADD_I64, "+", (uint64_t)x + (uint64_t)y, ((x ^ z) & (y ^ z)) < 0)
CHECKED2(SUB_I64, "-", (uint64_t)x - (uint64_t)y, ((x ^ y) & (x ^ z)) < 0)
CHECKED2(MUL_I64, "*", (uint64_t)x * (uint64_t)y, mul_over(x, y))

static inline int64_t idiv_floor(int64_t x, int64_t y) {
  int64_t q = x / y;
  return q - (x % y != 0 && (x < 0) != (y < 0));
}

static inline int64_t imod_floor(int64_t x, int64_t y) {
  int64_t m = x % y;
  return m != 0 && (m < 0) != (y < 0) ? m + y : m;
}

/* -1 is kept from the division, which traps on the smallest int. */
void step_IDIV_I64(Step *s) {
  const int64_t *a = s->arg[0]->i, *b = s->arg[1]->i;
  for (uint32_t r = 0; r < s->n; r++) {
    int64_t x = a[r], y = b[r];
    s->out->i[r] = 0;
    if (y == 0)
      step_mask(s)[r] = 1;
    else if (y != -1)
      s->out->i[r] = idiv_floor(x, y);
    else if (x != INT64_MIN)
      s->out->i[r] = -x;
    else
      step_fail(s, r, NULL, overflow_text, (long long)x, "div", (long long)y);
  }
}

void step_MOD_I64(Step *s) {
  const int64_t *a = s->arg[0]->i, *b = s->arg[1]->i;
  for (uint32_t r = 0; r < s->n; r++) {
    int64_t x = a[r], y = b[r];
    s->out->i[r] = 0;
    if (y == 0)
      step_mask(s)[r] = 1;
    else if (y != -1)
      s->out->i[r] = imod_floor(x, y);
  }
}

#define CHECKED1(code, expr, WHAT)                                                                      \
  static int64_t loop_##code(const int64_t *a, int64_t *restrict o, uint32_t n) {                       \
    int64_t bad = 0;                                                                                    \
    for (uint32_t r = 0; r < n; r++) {                                                                  \
      const int64_t x = a[r];                                                                           \
      o[r] = (expr);                                                                                    \
      bad |= x == INT64_MIN ? -1 : 0;                                                                   \
    }                                                                                                   \
    return bad;                                                                                         \
  }                                                                                                     \
  void step_##code(Step *s) {                                                                           \
    const int64_t *a = s->arg[0]->i;                                                                    \
    if (!loop_##code(a, s->out->i, s->n))                                                               \
      return;                                                                                           \
    for (uint32_t r = 0; r < s->n; r++) {                                                               \
      if (a[r] != INT64_MIN)                                                                            \
        continue;                                                                                       \
      s->out->i[r] = 0;                                                                                 \
      step_fail(s, r, NULL, WHAT " of %lld does not fit an int (64 bits)", (long long)a[r]);            \
    }                                                                                                   \
  }

CHECKED1(NEG_I64, (int64_t)(0 - (uint64_t)x), "the negative")
CHECKED1(ABS_I64, (int64_t)(x < 0 ? 0 - (uint64_t)x : (uint64_t)x), "the absolute value")

/* ---- Numeric casts ---- */

UNARY(CAST_B_I64, uint8_t, b, int64_t, i, x)
UNARY(CAST_B_F64, uint8_t, b, double, f, x)
UNARY(CAST_I64_F64, int64_t, i, double, f, x)

static inline bool fits_i64(double x) {
  return x >= -0x1p63 && x < 0x1p63;
}

void step_CAST_F64_I64(Step *s) {
  const double *a = s->arg[0]->f;
  int64_t *o = s->out->i;
  uint32_t bad = 0;
  for (uint32_t r = 0; r < s->n; r++) {
    double x = fits_i64(a[r]) ? a[r] : 0;
    o[r] = (int64_t)x;
    bad |= !fits_i64(a[r]);
  }
  if (!bad)
    return;
  for (uint32_t r = 0; r < s->n; r++) {
    if (fits_i64(a[r]))
      continue;
    char x[NUM_MAX];
    num_print_f64(x, a[r], false);
    if (a[r] != a[r])
      step_fail(s, r, NULL, "NaN cannot be made an int");
    else
      step_fail(s, r, NULL, "%s does not fit an int (64 bits)", x);
  }
}
