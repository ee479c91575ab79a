/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers on fitted curves: ranks among quantiles, the normal distribution, B-splines. */
#include <string.h>

#include "base/arena.h"
#include "vm/kernel/math.h"
#include "vm/interp/op.h"
#include "vm/shape.h"

/* ---- rank ---- */

/* Linear between the points; the last of points equal to x when `upper`, else the first. */
static double rank_side(const double *v, uint32_t n, double x, bool upper) {
  uint32_t lo = 0, m = n; /* points below lo lie before x */
  while (m > 0) {
    uint32_t half = m / 2;
    bool right = upper ? v[lo + half] <= x : v[lo + half] < x;
    lo = right ? lo + half + 1 : lo;
    m = right ? m - half - 1 : half;
  }
  double last = (double)(n - 1);
  if (upper) {
    if (lo == n)
      return 1;
    return lo == 0 ? 0 : ((double)(lo - 1) + (x - v[lo - 1]) / (v[lo] - v[lo - 1])) / last;
  }
  if (lo == 0)
    return 0;
  return lo == n ? 1 : ((double)lo - (v[lo] - x) / (v[lo] - v[lo - 1])) / last;
}

void step_RANK_F64(Step *s) {
  ListView list = step_list(s, 1);
  for (uint32_t r = 0; r < s->n; r++) {
    double x = s->arg[0]->f[r];
    if (x != x || list.n < 2)
      s->out->f[r] = x != x ? x : 0.5;
    else if (x <= list.v[0] && x < list.v[list.n - 1])
      s->out->f[r] = 0;
    else if (x >= list.v[list.n - 1] && x > list.v[0])
      s->out->f[r] = 1;
    else
      s->out->f[r] = 0.5 * (rank_side(list.v, list.n, x, true) + rank_side(list.v, list.n, x, false));
  }
}

/* ---- probit ---- */

static double ratio(const double *a, const double *b, double x) {
  double p = a[7], q = b[7];
  for (int i = 6; i >= 0; i--) {
    p = p * x + a[i];
    q = q * x + b[i];
  }
  return p / q;
}

/* Wichura, "Algorithm AS 241: The percentage points of the normal distribution", Applied Statistics 37,
 * 1988: to about 1 part in 10^16. */
static double probit(double p) {
  static const double a[8] = {
      3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3, 1.3731693765509461125e+4,
      4.5921953931549871457e+4, 6.7265770927008700853e+4, 3.3430575583588128105e+4, 2.5090809287301226727e+3};
  static const double b[8] = {
      1,                        4.2313330701600911252e+1, 6.8718700749205790830e+2, 5.3941960214247511077e+3,
      2.1213794301586595867e+4, 3.9307895800092710610e+4, 2.8729085735721942674e+4, 5.2264952788528545610e+3};
  static const double c[8] = {
      1.42343711074968357734e0,  4.63033784615654529590e0,  5.76949722146069140550e0,
      3.64784832476320460504e0,  1.27045825245236838258e0,  2.41780725177450611770e-1,
      2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static const double d[8] = {
      1,                         2.05319162663775882187e0,  1.67638483018380384940e0,
      6.89767334985100004550e-1, 1.48103976427480074590e-1, 1.51986665636164571966e-2,
      5.47593808499534494600e-4, 1.05075007164441684324e-9};
  static const double e[8] = {
      6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
      2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
      2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static const double f[8] = {
      1,                          5.99832206555887937690e-1,  1.36929880922735805310e-1,
      1.48753612908506148525e-2,  7.86869131145613259100e-4,  1.84631831751005468180e-5,
      1.42151175831644588870e-7,  2.04426310338993978564e-15};
  double q = p - 0.5;
  if (!(p >= 0 && p <= 1))
    return __builtin_nan("");
  if (p == 0 || p == 1)
    return p == 0 ? -__builtin_inf() : __builtin_inf();
  if (__builtin_fabs(q) <= 0.425)
    return q * ratio(a, b, 0.180625 - q * q);
  double r = q < 0 ? p : 1 - p;
  k_log(&r, &r, 1);
  r = __builtin_sqrt(-r);
  double v = r <= 5 ? ratio(c, d, r - 1.6) : ratio(e, f, r - 5);
  return q < 0 ? -v : v;
}

void step_PROBIT_F64(Step *s) {
  for (uint32_t r = 0; r < s->n; r++)
    s->out->f[r] = probit(s->arg[0]->f[r]);
}

/* ---- splines ---- */

typedef struct Spline {
  double lo, step; /* first inner knot, distance of knots */
  uint32_t knots, degree, width;
} Spline;

Status prepare_spline(Step *s, Err *e) {
  const RowProg *p = s->t->p;
  ListView range = step_list(s, 1);
  Spline *w = mem_alloc(sizeof *w);
  if (!w)
    return err_memory(e);
  s->state = w;
  s->drop = mem_free;
  w->knots = (uint32_t)p->val[s->v->arg[2]].i;
  w->degree = (uint32_t)p->val[s->v->arg[3]].i;
  w->width = s->out->width;
  if (range.n != 2)
    return err_set(e, ST_DATA, "CML0415", "Give it the smallest and the greatest value.",
                   "the range of a spline has %u numbers", range.n);
  w->lo = range.v[0];
  w->step = (range.v[1] - range.v[0]) / (w->knots - 1);
  if (!(w->step >= 0 && w->step <= 1.7976931348623157e308))
    return err_set(e, ST_DATA, "CML0415", "Restrict it to finite numbers.",
                   "a spline has no range, since its smallest or greatest value is not finite");
  return ST_OK;
}

/* The degree + 1 splines that are not 0 at t, the place between two knots at distance 1 (0 <= t <= 1): de
 * Boor, A Practical Guide to Splines, 2001, chapter X (the recurrence of Cox and de Boor). */
static void splines_at(double t, uint32_t degree, double *b) {
  double left[DEGREE_MOST + 1], right[DEGREE_MOST + 1];
  b[0] = 1;
  for (uint32_t j = 1; j <= degree; j++) {
    double saved = 0;
    right[j] = j - t;      /* knot i + j less t */
    left[j] = t + (j - 1); /* t less knot i + 1 - j */
    for (uint32_t r = 0; r < j; r++) {
      double term = b[r] / (right[r + 1] + left[j - r]);
      b[r] = saved + right[r + 1] * term;
      saved = left[j - r] * term;
    }
    b[j] = saved;
  }
}

void step_SPLINE_F64(Step *s) {
  const Spline *w = s->state;
  for (uint32_t r = 0; r < s->n; r++) {
    double *o = s->out->f + (size_t)r * w->width, x = s->arg[0]->f[r];
    double u = w->step > 0 ? (x - w->lo) / w->step : x != x ? x : 0, last = w->knots - 1;
    memset(o, 0, w->width * sizeof *o);
    if (u != u) {
      o[0] = u; /* no model takes it */
      continue;
    }
    u = u < 0 ? 0 : u > last ? last : u; /* outside of the range as at its ends */
    uint32_t at = u >= last ? w->knots - 2 : (uint32_t)u;
    splines_at(u - at, w->degree, o + at);
  }
}
