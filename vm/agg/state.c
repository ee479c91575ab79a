/* SPDX-License-Identifier: Apache-2.0 */
/* States of counts, sums, means, variances, extremes: adding a row, merging, the value.
 *
 * Sums keep their rounding errors, so a sum is nearly always the correctly rounded one. Variances are
 * updated by Welford ("Note on a method for calculating corrected sums of squares and products",
 * Technometrics 4, 1962; with weights: West, CACM 22, 1979) and merged by Chan, Golub, LeVeque ("Updating
 * formulae and a pairwise algorithm for computing sample variances", 1979). */
#include <math.h>
#include <string.h>

#include "vm/agg/parts.h"

StateKind state_kind(AggFn fn, bool weighted) {
  switch (fn) {
  case FN_COUNT:
  case FN_DISTINCT:
    return STATE_COUNT;
  case FN_SUM_I64:
    return STATE_ISUM;
  case FN_SUM:
  case FN_MEAN:
    return weighted ? STATE_WSUM : STATE_SUM;
  case FN_VARIANCE:
  case FN_STDDEV:
    return weighted ? STATE_WVAR : STATE_VAR;
  case FN_MIN_I64:
    return STATE_IMIN;
  case FN_MAX_I64:
    return STATE_IMAX;
  case FN_MIN:
    return STATE_FMIN;
  case FN_MAX:
    return STATE_FMAX;
  default:
    return STATE_N;
  }
}

uint32_t state_words(StateKind k) {
  static const uint8_t words[STATE_N] = {1, 3, 3, 5, 4, 6, 2, 2, 2, 2};
  return words[k];
}

static __int128 wide(const Word *s) {
  return (__int128)((unsigned __int128)s[1].u << 64 | s[0].u);
}

static void set_wide(Word *s, __int128 v) {
  s[0].u = (uint64_t)v;
  s[1].u = (uint64_t)((unsigned __int128)v >> 64);
}

/* The smaller (or larger) of two by the order of f64_key. */
static double extreme(bool max, double a, double b) {
  return (f64_key(b) < f64_key(a)) != max ? b + 0.0 : a + 0.0;
}

void state_add(StateKind k, Word *s, const Col *arg, uint32_t row, double w) {
  uint32_t r = arg && !arg->constant ? row : 0;
  uint64_t before = s[0].u++;
  switch (k) {
  case STATE_ISUM:
    set_wide(s + 1, wide(s + 1) + arg->i[r]);
    break;
  case STATE_SUM:
    sum_add(&s[1].f, &s[2].f, arg->f[r]);
    break;
  case STATE_WSUM:
    sum_add(&s[1].f, &s[2].f, arg->f[r] * w);
    sum_add(&s[3].f, &s[4].f, w);
    break;
  case STATE_VAR: {
    double d = arg->f[r] - s[1].f - s[3].f;
    sum_add(&s[1].f, &s[3].f, d / (double)s[0].u);
    s[2].f += d * (arg->f[r] - s[1].f - s[3].f);
    break;
  }
  case STATE_WVAR: {
    double d = arg->f[r] - s[1].f - s[5].f;
    s[3].f += w;
    s[4].f += w * w;
    if (w > 0) {
      sum_add(&s[1].f, &s[5].f, d * (w / s[3].f));
      s[2].f += w * d * (arg->f[r] - s[1].f - s[5].f);
    }
    break;
  }
  case STATE_IMIN:
    s[1].i = before && s[1].i <= arg->i[r] ? s[1].i : arg->i[r];
    break;
  case STATE_IMAX:
    s[1].i = before && s[1].i >= arg->i[r] ? s[1].i : arg->i[r];
    break;
  case STATE_FMIN:
    s[1].f = before ? extreme(false, s[1].f, arg->f[r]) : arg->f[r] + 0.0;
    break;
  case STATE_FMAX:
    s[1].f = before ? extreme(true, s[1].f, arg->f[r]) : arg->f[r] + 0.0;
    break;
  default:
    break;
  }
}

static void merge_sum(Word *l, const Word *r) {
  sum_add(&l[0].f, &l[1].f, r[0].f);
  l[1].f += r[1].f;
}

/* Mean and squares at [1], [2], the mean's rounding errors at [lo]: of values that lie far from 0 and
 * close together the difference of two means is small, and the mean's last bit would be a large part of
 * it. wl and wr are the weights of both. */
static void merge_var(Word *l, const Word *r, int lo, double wl, double wr) {
  if (!(wr > 0))
    return;
  if (!(wl > 0)) {
    l[1] = r[1];
    l[2] = r[2];
    l[lo] = r[lo];
    return;
  }
  double w = wl + wr, d = r[1].f - l[1].f + (r[lo].f - l[lo].f);
  sum_add(&l[1].f, &l[lo].f, d * (wr / w));
  l[2].f += r[2].f + d * d * (wl * (wr / w));
}

void state_merge(StateKind k, Word *l, const Word *r) {
  uint64_t nl = l[0].u, nr = r[0].u;
  if (!nr)
    return;
  if (!nl) {
    memcpy(l, r, state_words(k) * sizeof *l);
    return;
  }
  l[0].u = nl + nr;
  switch (k) {
  case STATE_ISUM:
    set_wide(l + 1, wide(l + 1) + wide(r + 1));
    break;
  case STATE_SUM:
    merge_sum(l + 1, r + 1);
    break;
  case STATE_WSUM:
    merge_sum(l + 1, r + 1);
    merge_sum(l + 3, r + 3);
    break;
  case STATE_VAR:
    merge_var(l, r, 3, (double)nl, (double)nr);
    break;
  case STATE_WVAR:
    merge_var(l, r, 5, l[3].f, r[3].f);
    l[3].f += r[3].f;
    l[4].f += r[4].f;
    break;
  case STATE_IMIN:
    l[1].i = r[1].i < l[1].i ? r[1].i : l[1].i;
    break;
  case STATE_IMAX:
    l[1].i = r[1].i > l[1].i ? r[1].i : l[1].i;
    break;
  case STATE_FMIN:
    l[1].f = extreme(false, l[1].f, r[1].f);
    break;
  case STATE_FMAX:
    l[1].f = extreme(true, l[1].f, r[1].f);
    break;
  default:
    break;
  }
}

/* hi carries infinities and NaN as a plain sum would; the errors then mean nothing. */
static double sum_of(const Word *s) {
  return isfinite(s[0].f) ? s[0].f + s[1].f : s[0].f;
}

static double variance_of(StateKind k, const Word *s) {
  double n = (double)s[0].u;
  double den = k == STATE_VAR ? n - 1 : s[3].f - s[4].f / s[3].f;
  if (s[1].f != s[1].f || s[2].f != s[2].f)
    return NAN;
  return den > 0 && s[0].u > 1 ? s[2].f / den : 0;
}

Value state_value(AggFn fn, StateKind k, const Word *s) {
  Value v = {0};
  bool weighted = k == STATE_WSUM || k == STATE_WVAR;
  v.none = !s[0].u || (weighted && !(s[3].f > 0));
  switch (fn) {
  case FN_COUNT:
    v.none = false;
    v.i = (int64_t)s[0].u;
    break;
  case FN_SUM_I64: {
    __int128 sum = wide(s + 1);
    v.none = false;
    v.overflow = sum < INT64_MIN || sum > INT64_MAX;
    v.i = v.overflow ? 0 : (int64_t)sum;
    break;
  }
  case FN_SUM:
    v.none = false;
    v.f = sum_of(s + 1);
    break;
  case FN_MEAN:
    v.f = v.none ? 0 : sum_of(s + 1) / (weighted ? sum_of(s + 3) : (double)s[0].u);
    break;
  case FN_VARIANCE:
    v.f = v.none ? 0 : variance_of(k, s);
    break;
  case FN_STDDEV:
    v.f = v.none ? 0 : sqrt(variance_of(k, s));
    break;
  case FN_MIN_I64:
  case FN_MAX_I64:
    v.i = s[1].i;
    break;
  case FN_MIN:
  case FN_MAX:
    v.f = s[1].f;
    break;
  default:
    break;
  }
  if (v.f != v.f)
    v.f = f64_of_key(f64_key(v.f)); /* one NaN */
  return v;
}
