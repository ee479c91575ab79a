/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The elementary functions against the 64-bit significands of long double: largest error over many points,
 * corners of C99 annex F, and equality to the bit of every instruction set's array form with the inline
 * function.
 *
 * How to read. `functions` lists each function with its truth, its bound in ulp and the ranges that are
 * sampled; `corners` and `pow_corners` list arguments and the exact result. CML_MATH_REPORT=1 prints the
 * measured errors.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vm/kernel/math.h"
#include "vm/kernel/math_inline.h"
#include "vm/kernel/math_trig.h"

enum { POINTS = 40000, MAX_RANGES = 6 };

typedef enum { END, DENSE, LOG, BITS, NEAR_PI } RangeKind;

/* DENSE: uniform in [a, b]. LOG: magnitude log-uniform in [a, b], both signs. BITS: all finite bit patterns.
 * NEAR_PI: doubles next to multiples of pi/2 up to a. */
typedef struct {
  RangeKind kind;
  double a;
  double b;
} Range;

typedef struct {
  const char *name;
  double (*inline_form)(double);
  void (*array)(const double *, double *, size_t);
  size_t member;
  long double (*truth)(long double);
  double bound;
  double bound_subnormal;
  Range ranges[MAX_RANGES];
} Function;

static uint64_t next_random(uint64_t *state)
{
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static double next_unit(uint64_t *state)
{
  return (double)(next_random(state) >> 11) * 0x1p-53;
}

static double draw(const Range *range, uint64_t *state)
{
  double v;
  switch (range->kind) {
  case DENSE:
    return range->a + (range->b - range->a) * next_unit(state);
  case LOG:
    v = exp2(log2(range->a) + (log2(range->b) - log2(range->a)) * next_unit(state));
    return next_random(state) & 1 ? v : -v;
  case NEAR_PI:
    v = (double)(floorl((long double)range->a * (long double)next_unit(state)) * 1.57079632679489661923L);
    return next_random(state) & 1 ? v : nextafter(v, 0.0);
  default:
    do {
      uint64_t u = next_random(state);
      memcpy(&v, &u, sizeof v);
    } while (!isfinite(v));
    return v;
  }
}

/* |got - truth| in units in the last place of a double of truth's size; where the truth is out of range or no
 * number, got must say the same */
static double ulp_error(double got, long double truth)
{
  if (isnan(truth) || isnan(got))
    return isnan(truth) && isnan(got) ? 0.0 : INFINITY;
  if (fabsl(truth) >= 0x1.fffffffffffff8p1023L)
    return isinf(got) && (got > 0) == (truth > 0) ? 0.0 : INFINITY;
  if (isinf(got))
    return INFINITY;
  int e = truth == 0.0L ? -1074 : ilogbl(truth) - 52;
  if (e < -1074)
    e = -1074;
  return (double)ldexpl(fabsl((long double)got - truth), -e);
}

static long double sigmoid_l(long double x)
{
  return x >= 0 ? 1.0L / (1.0L + expl(-x)) : expl(x) / (1.0L + expl(x));
}

static long double softplus_l(long double x)
{
  return (x > 0 ? x : 0.0L) + log1pl(expl(-fabsl(x)));
}

static long double log_sigmoid_l(long double x)
{
  return -softplus_l(-x);
}

static long double logit_l(long double p)
{
  if (p > 0.25L && p < 0.75L)
    return log1pl((2.0L * p - 1.0L) / (1.0L - p));
  return logl(p) - log1pl(-p);
}

#define INLINE_FORM(NAME, FN) \
  static double NAME##_inline(double x) \
  { \
    return FN(x); \
  }

INLINE_FORM(exp, cml_exp1)
INLINE_FORM(expm1, cml_expm1_1)
INLINE_FORM(log, cml_log1)
INLINE_FORM(log1p, cml_log1p_1)
INLINE_FORM(log2, cml_log2_1)
INLINE_FORM(log10, cml_log10_1)
INLINE_FORM(sin, cml_sin1)
INLINE_FORM(cos, cml_cos1)
INLINE_FORM(tan, cml_tan1)
INLINE_FORM(atan, cml_atan1)
INLINE_FORM(tanh, cml_tanh1)
INLINE_FORM(sigmoid, cml_sigmoid1)
INLINE_FORM(log_sigmoid, cml_log_sigmoid1)
INLINE_FORM(softplus, cml_softplus1)
INLINE_FORM(logit, cml_logit1)

#define FUNCTION(NAME, TRUTH, BOUND, SUBNORMAL, ...) \
  { #NAME, NAME##_inline, k_##NAME, offsetof(MathKernels, NAME), TRUTH, BOUND, SUBNORMAL, { __VA_ARGS__ } }

static const Function functions[] = {
  FUNCTION(exp, expl, 0.7, 1.0, { DENSE, -745.2, 709.8 }, { DENSE, -1, 1 }, { LOG, 1e-20, 800 },
           { DENSE, -746, -708 }, { DENSE, -20, 20 }),
  FUNCTION(expm1, expm1l, 1.0, 1.0, { DENSE, -40, 40 }, { DENSE, -1, 1 }, { LOG, 1e-310, 800 },
           { DENSE, -40, 709.8 }, { LOG, 1e-3, 2 }),
  FUNCTION(log, logl, 0.75, 0.75, { BITS, 0, 0 }, { DENSE, 0.5, 2 }, { DENSE, 0.99, 1.01 },
           { DENSE, 0, 1e-307 }, { DENSE, 0, 100 }),
  FUNCTION(log1p, log1pl, 0.8, 0.8, { BITS, 0, 0 }, { DENSE, -1, 1 }, { LOG, 1e-310, 0.999 },
           { DENSE, -0.5, 0.5 }, { DENSE, 0, 100 }),
  FUNCTION(log2, log2l, 0.8, 0.8, { BITS, 0, 0 }, { DENSE, 0.5, 2 }, { DENSE, 0.99, 1.01 },
           { DENSE, 0, 1e-307 }, { DENSE, 0, 100 }),
  FUNCTION(log10, log10l, 0.75, 0.75, { BITS, 0, 0 }, { DENSE, 0.5, 2 }, { DENSE, 0.99, 1.01 },
           { DENSE, 0, 1e-307 }, { DENSE, 0, 100 }),
  FUNCTION(sin, sinl, 0.85, 0.85, { DENSE, -4, 4 }, { LOG, 1e-310, 1e308 }, { DENSE, -1048576, 1048576 },
           { NEAR_PI, 660000, 0 }, { NEAR_PI, 1e18, 0 }, { LOG, 1e3, 1e9 }),
  FUNCTION(cos, cosl, 0.85, 0.85, { DENSE, -4, 4 }, { LOG, 1e-310, 1e308 }, { DENSE, -1048576, 1048576 },
           { NEAR_PI, 660000, 0 }, { NEAR_PI, 1e18, 0 }, { LOG, 1e3, 1e9 }),
  FUNCTION(tan, tanl, 1.1, 1.1, { DENSE, -4, 4 }, { LOG, 1e-310, 1e308 }, { DENSE, -1048576, 1048576 },
           { NEAR_PI, 660000, 0 }, { NEAR_PI, 1e18, 0 }, { LOG, 1e3, 1e9 }),
  FUNCTION(atan, atanl, 0.8, 0.8, { DENSE, -4, 4 }, { LOG, 1e-310, 1e308 }, { DENSE, -1, 1 },
           { DENSE, 0.4, 0.75 }, { DENSE, 1.1, 2.6 }),
  FUNCTION(tanh, tanhl, 1.25, 1.25, { DENSE, -4, 4 }, { LOG, 1e-310, 100 }, { DENSE, -1, 1 },
           { DENSE, -20, 20 }, { LOG, 1e-3, 1 }),
  FUNCTION(sigmoid, sigmoid_l, 1.15, 1.0, { DENSE, -8, 8 }, { DENSE, -746, 40 }, { DENSE, -1, 1 },
           { LOG, 1e-20, 800 }, { DENSE, -746, -708 }),
  FUNCTION(log_sigmoid, log_sigmoid_l, 1.15, 1.0, { DENSE, -8, 8 }, { DENSE, -746, 746 }, { DENSE, -1, 1 },
           { LOG, 1e-20, 1e10 }, { DENSE, 700, 746 }),
  FUNCTION(softplus, softplus_l, 1.15, 1.0, { DENSE, -8, 8 }, { DENSE, -746, 746 }, { DENSE, -1, 1 },
           { LOG, 1e-20, 1e10 }, { DENSE, -746, -700 }),
  FUNCTION(logit, logit_l, 0.8, 0.8, { DENSE, 0, 1 }, { DENSE, 0.4, 0.6 }, { LOG, 1e-310, 1 },
           { DENSE, 0.499, 0.501 }, { DENSE, 0.999, 1 }),
};

enum { FUNCTION_COUNT = sizeof functions / sizeof *functions };

/* equal bits */
static int same(double a, double b)
{
  return memcmp(&a, &b, sizeof a) == 0;
}

static int compare_all(const Function *f, const double *x, size_t n, double *out)
{
  int bad = 0;
  for (int isa = 0; isa < K_ISA_COUNT; isa++) {
    const MathKernels *kernels = k_math_isa(isa);
    if (!kernels)
      continue;
    MathFn1 array;
    memcpy(&array, (const char *)kernels + f->member, sizeof array);
    array(x, out, n);
    for (size_t i = 0; i < n; i++) {
      if (same(out[i], f->inline_form(x[i])))
        continue;
      if (bad++ < 3)
        print_error("%s(%a): %s gives %a, inline %a\n", f->name, x[i], kernels->isa, out[i],
                    f->inline_form(x[i]));
    }
  }
  return bad;
}

static void test_errors(void **state)
{
  (void)state;
  int report = getenv("CML_MATH_REPORT") != NULL;
  double *x = malloc(POINTS * sizeof *x);
  double *out = malloc(POINTS * sizeof *out);
  int bad = 0;
  for (int k = 0; k < FUNCTION_COUNT; k++) {
    const Function *f = &functions[k];
    uint64_t seed = 20 + (uint64_t)k;
    double worst = 0.0;
    double worst_at = 0.0;
    double worst_subnormal = 0.0;
    for (int r = 0; r < MAX_RANGES && f->ranges[r].kind != END; r++) {
      for (int i = 0; i < POINTS; i++)
        x[i] = draw(&f->ranges[r], &seed);
      f->array(x, out, POINTS);
      for (int i = 0; i < POINTS; i++) {
        long double truth = f->truth(x[i]);
        double e = ulp_error(out[i], truth);
        if (fabsl(truth) < 0x1p-1022L) {
          worst_subnormal = e > worst_subnormal ? e : worst_subnormal;
        } else if (e > worst) {
          worst = e;
          worst_at = x[i];
        }
      }
      bad += compare_all(f, x, POINTS, out);
    }
    if (report)
      printf("%-12s %.3f ulp at %.17g (subnormal results %.3f)\n", f->name, worst, worst_at, worst_subnormal);
    if (worst > f->bound || worst_subnormal > f->bound_subnormal) {
      print_error("%s: %.3f ulp at %a (bound %.2f), subnormal %.3f\n", f->name, worst, worst_at, f->bound,
                  worst_subnormal);
      bad++;
    }
  }
  free(x);
  free(out);
  assert_int_equal(bad, 0);
}

typedef struct {
  const char *name;
  double x;
  double want;
} Corner;

#define MIN_SUBNORMAL 0x1p-1074

static const Corner corners[] = {
  { "exp", 0.0, 1.0 }, { "exp", -0.0, 1.0 }, { "exp", INFINITY, INFINITY }, { "exp", -INFINITY, 0.0 },
  { "exp", 709.782712893384, 0x1.fffffffffff2ap+1023 }, { "exp", 709.782712893385, INFINITY },
  { "exp", -745.13321910194110, MIN_SUBNORMAL }, { "exp", -745.13321910194122, 0.0 },
  { "exp", 1e300, INFINITY },
  { "exp", -1e300, 0.0 }, { "exp", MIN_SUBNORMAL, 1.0 }, { "exp", 1.0, 0x1.5bf0a8b145769p+1 },
  { "expm1", 0.0, 0.0 }, { "expm1", -0.0, -0.0 }, { "expm1", INFINITY, INFINITY },
  { "expm1", -INFINITY, -1.0 },
  { "expm1", -1e300, -1.0 }, { "expm1", MIN_SUBNORMAL, MIN_SUBNORMAL }, { "expm1", 710.0, INFINITY },
  { "expm1", -0x1p-1060, -0x1p-1060 },
  { "log", 1.0, 0.0 }, { "log", 0.0, -INFINITY }, { "log", -0.0, -INFINITY }, { "log", -1.0, NAN },
  { "log", -MIN_SUBNORMAL, NAN }, { "log", -INFINITY, NAN }, { "log", INFINITY, INFINITY },
  { "log", MIN_SUBNORMAL, -0x1.74385446d71c3p+9 },
  { "log1p", 0.0, 0.0 }, { "log1p", -0.0, -0.0 }, { "log1p", -1.0, -INFINITY }, { "log1p", -1.5, NAN },
  { "log1p", INFINITY, INFINITY }, { "log1p", -INFINITY, NAN }, { "log1p", MIN_SUBNORMAL, MIN_SUBNORMAL },
  { "log2", 1.0, 0.0 }, { "log2", 8.0, 3.0 }, { "log2", 0x1p-1074, -1074.0 }, { "log2", 0x1p1023, 1023.0 },
  { "log2", 0.0, -INFINITY }, { "log2", -2.0, NAN }, { "log2", INFINITY, INFINITY },
  { "log10", 1.0, 0.0 }, { "log10", 10.0, 1.0 }, { "log10", 1000.0, 3.0 }, { "log10", 1e15, 15.0 },
  { "log10", 1e22, 22.0 }, { "log10", 0.0, -INFINITY }, { "log10", -2.0, NAN },
  { "log10", INFINITY, INFINITY },
  { "sin", 0.0, 0.0 }, { "sin", -0.0, -0.0 }, { "sin", INFINITY, NAN }, { "sin", -INFINITY, NAN },
  { "sin", MIN_SUBNORMAL, MIN_SUBNORMAL }, { "sin", 0x1.921fb54442d18p+1, 0x1.1a62633145c07p-53 },
  { "sin", 1e22, -0x1.b453ab76bf397p-1 },
  { "cos", 0.0, 1.0 }, { "cos", -0.0, 1.0 }, { "cos", INFINITY, NAN }, { "cos", 0x1.921fb54442d18p+0,
    0x1.1a62633145c07p-54 },
  { "cos", 0x1.6ac5b262ca1ffp+849, -0x1.14ae72e6ba22fp-61 }, { "tan", 0.0, 0.0 }, { "tan", -0.0, -0.0 },
  { "tan", -INFINITY, NAN }, { "tan", MIN_SUBNORMAL, MIN_SUBNORMAL },
  { "atan", 0.0, 0.0 }, { "atan", -0.0, -0.0 }, { "atan", INFINITY, 0x1.921fb54442d18p+0 },
  { "atan", -INFINITY, -0x1.921fb54442d18p+0 }, { "atan", 1.0, 0x1.921fb54442d18p-1 },
  { "atan", 1.7e308, 0x1.921fb54442d18p+0 }, { "atan", MIN_SUBNORMAL, MIN_SUBNORMAL },
  { "tanh", 0.0, 0.0 }, { "tanh", -0.0, -0.0 }, { "tanh", INFINITY, 1.0 }, { "tanh", -INFINITY, -1.0 },
  { "tanh", MIN_SUBNORMAL, MIN_SUBNORMAL }, { "tanh", -30.0, -1.0 },
  { "sigmoid", 0.0, 0.5 }, { "sigmoid", -0.0, 0.5 }, { "sigmoid", INFINITY, 1.0 },
  { "sigmoid", -INFINITY, 0.0 },
  { "sigmoid", 800.0, 1.0 }, { "sigmoid", -800.0, 0.0 }, { "sigmoid", -745.0, MIN_SUBNORMAL },
  { "log_sigmoid", INFINITY, 0.0 }, { "log_sigmoid", -INFINITY, -INFINITY }, { "log_sigmoid", -1e5, -1e5 },
  { "log_sigmoid", 0.0, -0x1.62e42fefa39efp-1 },
  { "softplus", INFINITY, INFINITY }, { "softplus", -INFINITY, 0.0 }, { "softplus", 1e5, 1e5 },
  { "softplus", 0.0, 0x1.62e42fefa39efp-1 },
  { "logit", 0.0, -INFINITY }, { "logit", -0.0, -INFINITY }, { "logit", 1.0, INFINITY },
  { "logit", 0.5, 0.0 },
  { "logit", -0.1, NAN }, { "logit", 1.1, NAN }, { "logit", INFINITY, NAN },
};

static const Function *find(const char *name)
{
  for (int k = 0; k < FUNCTION_COUNT; k++)
    if (strcmp(functions[k].name, name) == 0)
      return &functions[k];
  return NULL;
}

/* the wanted bits; NaN means the one NaN the kernels give */
static int right(double got, double want)
{
  uint64_t u;
  memcpy(&u, &got, sizeof u);
  return isnan(want) ? u == 0x7ff8000000000000u : same(got, want);
}

static void test_corners(void **state)
{
  (void)state;
  int bad = 0;
  for (size_t i = 0; i < sizeof corners / sizeof *corners; i++) {
    const Corner *c = &corners[i];
    const Function *f = find(c->name);
    double x[9];
    double out[9];
    for (int j = 0; j < 9; j++)
      x[j] = c->x;
    if (!right(f->inline_form(c->x), c->want)) {
      print_error("%s(%a) = %a, want %a\n", c->name, c->x, f->inline_form(c->x), c->want);
      bad++;
    }
    bad += compare_all(f, x, 9, out);
  }
  uint64_t nan_bits[] = { 0x7ff8000000000000u, 0xfff8000000000000u, 0x7ff0000000000001u,
                          0xffffffffffffffffu };
  double nans[4];
  double out[4];
  memcpy(nans, nan_bits, sizeof nans);
  for (int k = 0; k < FUNCTION_COUNT; k++) {
    functions[k].array(nans, out, 4);
    for (int j = 0; j < 4; j++)
      if (!right(out[j], NAN)) {
        print_error("%s(NaN %d) = %a\n", functions[k].name, j, out[j]);
        bad++;
      }
    bad += compare_all(&functions[k], nans, 4, out);
  }
  assert_int_equal(bad, 0);
}

/* lengths around the vector width, one large angle among small ones, results written over the arguments */
static void test_arrays(void **state)
{
  (void)state;
  uint64_t seed = 5;
  double x[600];
  double out[600];
  int bad = 0;
  for (int k = 0; k < FUNCTION_COUNT; k++) {
    const Function *f = &functions[k];
    for (size_t n = 0; n < 600; n += n < 20 ? 1 : 193) {
      for (size_t i = 0; i < n; i++)
        x[i] = next_unit(&seed);
      if (n > 5)
        x[n - 3] = 1e200;
      bad += compare_all(f, x, n, out);
      f->array(x, out, n);
      f->array(x, x, n);
      bad += n > 0 && memcmp(x, out, n * sizeof *x) != 0;
    }
  }
  assert_int_equal(bad, 0);
}

/* ---- pow ------------------------------------------------------------------------------------------------
 * */

typedef struct {
  double x;
  double y;
  double want;
} PowCorner;

static const PowCorner pow_corners[] = {
  { 3.0, 0.0, 1.0 }, { NAN, 0.0, 1.0 }, { NAN, -0.0, 1.0 }, { INFINITY, 0.0, 1.0 }, { 0.0, 0.0, 1.0 },
  { 1.0, NAN, 1.0 }, { 1.0, INFINITY, 1.0 }, { 1.0, -1e300, 1.0 }, { -1.0, INFINITY, 1.0 },
  { -1.0, -INFINITY, 1.0 }, { NAN, 1.0, NAN }, { 2.0, NAN, NAN }, { -2.0, NAN, NAN }, { 0.0, NAN, NAN },
  { 0.0, 3.0, 0.0 }, { -0.0, 3.0, -0.0 }, { -0.0, 2.0, 0.0 }, { -0.0, 0.5, 0.0 }, { 0.0, -3.0, INFINITY },
  { -0.0, -3.0, -INFINITY }, { -0.0, -2.0, INFINITY }, { -0.0, -0.5, INFINITY }, { 0.0, INFINITY, 0.0 },
  { 0.0, -INFINITY, INFINITY }, { -0.0, -INFINITY, INFINITY },
  { INFINITY, 2.0, INFINITY }, { INFINITY, -2.0, 0.0 }, { -INFINITY, 3.0, -INFINITY },
  { -INFINITY, 2.0, INFINITY }, { -INFINITY, 0.5, INFINITY }, { -INFINITY, -3.0, -0.0 },
  { -INFINITY, -2.0, 0.0 }, { INFINITY, INFINITY, INFINITY }, { INFINITY, -INFINITY, 0.0 },
  { 2.0, INFINITY, INFINITY }, { 2.0, -INFINITY, 0.0 }, { 0.5, INFINITY, 0.0 }, { 0.5, -INFINITY, INFINITY },
  { -2.0, INFINITY, INFINITY }, { -0.5, INFINITY, 0.0 }, { -2.0, 0.5, NAN }, { -1e300, 0.1, NAN },
  { -2.0, 3.0, -8.0 }, { -2.0, 2.0, 4.0 }, { -2.0, -1.0, -0.5 }, { -1.0, 0x1p52, 1.0 },
  { -1.0, 0x1.0000000000001p52, -1.0 }, { -1.0, 0x1.0000000000001p53, 1.0 },
  { -1.0, 4503599627370495.5, NAN },
  { 2.0, 1023.0, 0x1p1023 }, { 2.0, 1024.0, INFINITY }, { 2.0, -1074.0, MIN_SUBNORMAL },
  { 2.0, -1075.0, 0.0 },
  { 2.0, -1060.0, 0x1p-1060 }, { 10.0, 22.0, 1e22 }, { 10.0, -2.0, 0.01 }, { 3.0, 33.0, 5559060566555523.0 },
  { 9.0, 0.5, 3.0 }, { MIN_SUBNORMAL, -0.5, 0x1p537 }, { 0x1.fffffffffffffp-1, 1e300, 0.0 },
  { 0x1.0000000000001p0, 1e300, INFINITY }, { 0x1.0000000000001p0, MIN_SUBNORMAL, 1.0 },
  { -8.0, 1e300, INFINITY },
  { 5.0, 1.0, 5.0 }, { 0.1, 1.0, 0.1 }, { -3.7, 1.0, -3.7 }, { 1e-310, 1.0, 1e-310 },
};

static int compare_pow(const double *x, const double *y, size_t n, double *out)
{
  int bad = 0;
  for (int isa = 0; isa < K_ISA_COUNT; isa++) {
    const MathKernels *kernels = k_math_isa(isa);
    if (!kernels)
      continue;
    kernels->pow(x, y, out, n);
    for (size_t i = 0; i < n; i++) {
      if (same(out[i], cml_pow1(x[i], y[i])))
        continue;
      if (bad++ < 3)
        print_error("pow(%a, %a): %s gives %a, inline %a\n", x[i], y[i], kernels->isa, out[i],
                    cml_pow1(x[i], y[i]));
    }
  }
  return bad;
}

static void test_pow_corners(void **state)
{
  (void)state;
  int bad = 0;
  for (size_t i = 0; i < sizeof pow_corners / sizeof *pow_corners; i++) {
    const PowCorner *c = &pow_corners[i];
    double x[9];
    double y[9];
    double out[9];
    for (int j = 0; j < 9; j++) {
      x[j] = c->x;
      y[j] = c->y;
    }
    if (!right(cml_pow1(c->x, c->y), c->want)) {
      print_error("pow(%a, %a) = %a, want %a\n", c->x, c->y, cml_pow1(c->x, c->y), c->want);
      bad++;
    }
    bad += compare_pow(x, y, 9, out);
  }
  assert_int_equal(bad, 0);
}

static void draw_pow(int range, uint64_t *seed, double *x, double *y)
{
  double u = next_unit(seed);
  double v = next_unit(seed);
  switch (range) {
  case 0:                            /* usual sizes */
    *x = 10.0 * u;
    *y = 10.0 * v - 5.0;
    break;
  case 1:                            /* any result from subnormal to overflow */
    *x = exp2(2000.0 * u - 1000.0);
    *y = (2200.0 * v - 1100.0) / log2(*x);
    break;
  case 2:                            /* base near one, large exponent */
    *x = 1.0 + (u - 0.5) * 1e-3;
    *y = (2000.0 * v - 1000.0) / log2(*x);
    break;
  case 3:                            /* edges of the range of the logarithm's polynomial */
    *x = (v < 0.5 ? 0.70710678 : 1.41421356) * (1.0 + (u - 0.5) * 1e-2);
    *y = 4000.0 * (next_unit(seed) - 0.5);
    break;
  default:                           /* negative base, whole exponent */
    *x = -20.0 * u;
    *y = nearbyint(40.0 * v - 20.0);
    break;
  }
}

static void test_pow_errors(void **state)
{
  (void)state;
  double *x = malloc(POINTS * sizeof *x);
  double *y = malloc(POINTS * sizeof *y);
  double *out = malloc(POINTS * sizeof *out);
  uint64_t seed = 77;
  double worst = 0.0;
  double worst_subnormal = 0.0;
  int bad = 0;
  for (int r = 0; r < 5; r++) {
    for (int i = 0; i < POINTS; i++)
      draw_pow(r, &seed, &x[i], &y[i]);
    k_pow(x, y, out, POINTS);
    for (int i = 0; i < POINTS; i++) {
      long double truth = powl(x[i], y[i]);
      double e = ulp_error(out[i], truth);
      double *w = fabsl(truth) < 0x1p-1022L ? &worst_subnormal : &worst;
      if (e > *w)
        *w = e;
      if (e > 1.0 && bad++ < 3)
        print_error("pow(%a, %a) = %a, truth %La\n", x[i], y[i], out[i], truth);
    }
    bad += compare_pow(x, y, POINTS, out);
  }
  if (getenv("CML_MATH_REPORT"))
    printf("pow          %.3f ulp (subnormal results %.3f)\n", worst, worst_subnormal);
  free(x);
  free(y);
  free(out);
  assert_int_equal(bad, 0);
  assert_true(worst <= 0.8);
  assert_true(worst_subnormal <= 1.0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_errors),
    cmocka_unit_test(test_corners),
    cmocka_unit_test(test_arrays),
    cmocka_unit_test(test_pow_corners),
    cmocka_unit_test(test_pow_errors),
  };
  return cmocka_run_group_tests_name("math", tests, NULL, NULL);
}
