/* SPDX-License-Identifier: Apache-2.0 */
/* Every op of ops.def against a plain reference for one row, over columns full of awkward values: panels
 * of 0, 1, 7 and PANEL_ROWS rows, with and without nulls, every argument also as a constant. `reference`
 * is written from the meanings in ops.def, not from the kernels. */
#define _GNU_SOURCE 1
#include "tests/unit/interp_kit.h"

#include "base/num.h"
#include "vm/kernel/math.h"

static const double cuts[] = {-1.5, 0, 0, 10, 20};
static const char *const bucket_labels[] = {"(-inf, -1.5)", "[-1.5, 0)", "[0, 10)", "[10, 20)", "[20, inf)"};
static const char *levels[] = {"", "abc", "\xf0\x9d\x84\x9ex\xf0\x9d\x84\x9e", "test", "train", "zz"};

static char text[400000]; /* strings that the reference made */
static size_t text_n;

static Val val_str(const char *p, size_t n) {
  if (text_n + n > sizeof text)
    text_n = 0;
  memcpy(text + text_n, p, n);
  Val v = {.p = text + text_n, .n = (uint32_t)n};
  text_n += n;
  return v;
}

static Val val_b(bool b) {
  Val v = {.i = 0};
  v.b = b;
  return v;
}

static Val val_i(int64_t i) {
  return (Val){.i = i};
}

static Val val_f(double f) {
  return (Val){.f = f};
}

static const Val val_null = {.null = true}, val_bad = {.bad = true};

static Val val_wide(__int128 v) {
  return v < INT64_MIN || v > INT64_MAX ? val_bad : val_i((int64_t)v);
}

static int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b != 0 && (a % b < 0) != (b < 0));
}

static int order(Val a, Val b) {
  uint32_t n = a.n < b.n ? a.n : b.n;
  int c = n ? memcmp(a.p, b.p, n) : 0;
  return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

static Val call1(void (*fn)(const double *, double *, size_t), double x) {
  double v;
  fn(&x, &v, 1);
  return val_f(v);
}

static const int64_t DAY = INT64_C(86400000000);

static Val calendar(uint32_t op, int64_t days) {
  int64_t y;
  int m, d;
  days = days > 106751991 ? 106751991 : days;
  days = days < -106751992 ? -106751992 : days;
  num_civil_from_days(days, &y, &m, &d);
  int64_t weekday = floor_div(days + 3, 7);
  weekday = days + 3 - weekday * 7 + 1;
  int64_t of_year = days - num_days_from_civil(y, 1, 1) + 1;
  switch (op) {
  case OP_YEAR_DATE:
  case OP_YEAR_TS:
    return val_i(y);
  case OP_QUARTER_DATE:
  case OP_QUARTER_TS:
    return val_i((m - 1) / 3 + 1);
  case OP_MONTH_DATE:
  case OP_MONTH_TS:
    return val_i(m);
  case OP_DAY_DATE:
  case OP_DAY_TS:
    return val_i(d);
  case OP_WEEKDAY_DATE:
  case OP_WEEKDAY_TS:
    return val_i(weekday);
  case OP_DAY_OF_YEAR_DATE:
  case OP_DAY_OF_YEAR_TS:
    return val_i(of_year);
  default:
    break;
  }
  int64_t thursday = days - (weekday - 1) + 3;
  num_civil_from_days(thursday, &y, &m, &d);
  return val_i((thursday - num_days_from_civil(y, 1, 1)) / 7 + 1);
}

static Val printed(int (*print)(char *, int64_t), int64_t v) {
  char s[NUM_MAX];
  int n = print(s, v);
  return val_str(s, (size_t)n);
}

static Val substring(Val x, int64_t from, int64_t n) {
  char s[200];
  size_t len = 0;
  int64_t at = 0;
  for (uint32_t i = 0; i < x.n;) {
    uint32_t size = 1;
    while (i + size < x.n && ((unsigned char)x.p[i + size] & 0xc0) == 0x80)
      size++;
    at++;
    if (n > 0 && at >= from && (__int128)at < (__int128)from + n) {
      memcpy(s + len, x.p + i, size);
      len += size;
    }
    i += size;
  }
  return val_str(s, len);
}

static Val replaced(Val x, Val old, Val new) {
  char s[2000];
  size_t len = 0;
  for (uint32_t i = 0; i < x.n;) {
    if (old.n && x.n - i >= old.n && !memcmp(x.p + i, old.p, old.n)) {
      memcpy(s + len, new.p, new.n);
      len += new.n;
      i += old.n;
    } else {
      s[len++] = x.p[i++];
    }
  }
  return val_str(s, len);
}

static Val trimmed(Val x) {
  const char *blank = " \t\n\v\f\r";
  while (x.n && strchr(blank, x.p[0]))
    x.p++, x.n--;
  while (x.n && strchr(blank, x.p[x.n - 1]))
    x.n--;
  return x;
}

/* Letters of ASCII and Latin-1 (two bytes: 0xc3 and 0x80 to 0x9e or 0xa0 to 0xbe), which is what the texts
 * of this test have. */
static Val cased(Val x, bool lower) {
  char s[200];
  for (uint32_t i = 0; i < x.n; i++) {
    unsigned char c = (unsigned char)x.p[i], base = i && (unsigned char)x.p[i - 1] == 0xc3 ? 0x80 : 'A';
    unsigned char first = lower ? base : (unsigned char)(base + 32),
                  last = (unsigned char)(first + (base == 'A' ? 25 : 30));
    s[i] = (char)(c >= first && c <= last ? c ^ 32 : c);
  }
  return val_str(s, x.n);
}

static int level_of(Val x) {
  for (uint32_t k = 0; k < sizeof levels / sizeof *levels; k++) {
    if (x.n == strlen(levels[k]) && !memcmp(x.p, levels[k], x.n))
      return (int)k;
  }
  return -1;
}

static double rounded(double x) {
  return round(x); /* halves away from zero, by definition of C */
}

static Val own_rule(uint32_t op, const Val *a) {
  bool na = a[0].null, nb = a[1].null;
  switch (op) {
  case OP_AND_B:
    return (!na && !a[0].b) || (!nb && !a[1].b) ? val_b(false) : na || nb ? val_null : val_b(true);
  case OP_OR_B:
    return (!na && a[0].b) || (!nb && a[1].b) ? val_b(true) : na || nb ? val_null : val_b(false);
  case OP_IF_B:
  case OP_IF_I64:
  case OP_IF_F64:
  case OP_IF_STR:
    return na ? val_null : a[0].b ? a[1] : a[2];
  case OP_COALESCE_B:
  case OP_COALESCE_I64:
  case OP_COALESCE_F64:
  case OP_COALESCE_STR:
    return na ? a[1] : a[0];
  case OP_NULL_IF_B:
    return na || (!nb && a[0].b == a[1].b) ? val_null : a[0];
  case OP_NULL_IF_I64:
    return na || (!nb && a[0].i == a[1].i) ? val_null : a[0];
  case OP_NULL_IF_F64:
    return na || (!nb && a[0].f == a[1].f) ? val_null : a[0];
  case OP_NULL_IF_STR:
    return na || (!nb && order(a[0], a[1]) == 0) ? val_null : a[0];
  default: /* null_when */
    return nb || (!na && a[0].b) ? val_null : a[1];
  }
}

static Val reference_str(const IrVal *v, const Val *a) {
  Val r = {.i = 0};
  switch (v->op) {
  case OP_EQ_STR:
    return val_b(order(a[0], a[1]) == 0);
  case OP_NE_STR:
    return val_b(order(a[0], a[1]) != 0);
  case OP_LT_STR:
    return val_b(order(a[0], a[1]) < 0);
  case OP_LE_STR:
    return val_b(order(a[0], a[1]) <= 0);
  case OP_GT_STR:
    return val_b(order(a[0], a[1]) > 0);
  case OP_GE_STR:
    return val_b(order(a[0], a[1]) >= 0);
  case OP_CONTAINS_STR:
    return val_b(a[1].n == 0 || memmem(a[0].p, a[0].n, a[1].p, a[1].n));
  case OP_STARTS_WITH_STR:
    return val_b(a[0].n >= a[1].n && !memcmp(a[0].p, a[1].p, a[1].n));
  case OP_ENDS_WITH_STR:
    return val_b(a[0].n >= a[1].n && !memcmp(a[0].p + a[0].n - a[1].n, a[1].p, a[1].n));
  case OP_LOWER_STR:
    return cased(a[0], true);
  case OP_UPPER_STR:
    return cased(a[0], false);
  case OP_TRIM_STR:
    return trimmed(a[0]);
  case OP_LENGTH_STR:
    for (uint32_t i = 0; i < a[0].n; i++)
      r.i += ((unsigned char)a[0].p[i] & 0xc0) != 0x80;
    return r;
  case OP_SUBSTRING_STR:
    return substring(a[0], a[1].i, a[2].i);
  case OP_REPLACE_STR:
    return replaced(a[0], a[1], a[2]);
  case OP_CONCAT_STR: {
    char s[300];
    memcpy(s, a[0].p, a[0].n);
    memcpy(s + a[0].n, a[1].p, a[1].n);
    return val_str(s, a[0].n + a[1].n);
  }
  case OP_CAST_STR_B:
    return a[0].n == 4 && !memcmp(a[0].p, "true", 4)    ? val_b(true)
           : a[0].n == 5 && !memcmp(a[0].p, "false", 5) ? val_b(false)
                                                        : val_null;
  case OP_CAST_STR_I64:
    return num_parse_i64(a[0].p, a[0].n, &r.i) ? r : val_null;
  case OP_CAST_STR_F64:
    return num_parse_f64(a[0].p, a[0].n, &r.f) ? r : val_null;
  case OP_CAST_STR_DATE:
    return num_parse_date(a[0].p, a[0].n, &r.i) ? r : val_null;
  case OP_CAST_STR_TS:
    return num_parse_timestamp(a[0].p, a[0].n, &r.i) ? r : val_null;
  case OP_CHECK_IN_STR:
    return level_of(a[0]) >= 0 ? a[0] : val_bad;
  default:
    fail_msg("no reference for %s", op_info(v->op)->name);
    return r;
  }
}

static Val reference_int(const IrVal *v, const Val *a) {
  int64_t x = a[0].i, y = v->narg > 1 ? a[1].i : 0;
  __int128 wx = x, wy = y;
  switch (v->op) {
  case OP_ADD_I64:
    return val_wide(wx + wy);
  case OP_SUB_I64:
    return val_wide(wx - wy);
  case OP_MUL_I64:
    return val_wide(wx * wy);
  case OP_IDIV_I64:
    return y == 0 ? val_null : y == -1 ? val_wide(-wx) : val_i(floor_div(x, y));
  case OP_MOD_I64:
    return y == 0 ? val_null : y == -1 ? val_i(0) : val_wide(wx - (__int128)floor_div(x, y) * wy);
  case OP_NEG_I64:
    return val_wide(-wx);
  case OP_ABS_I64:
    return val_wide(wx < 0 ? -wx : wx);
  case OP_SIGN_I64:
    return val_i(x > 0 ? 1 : x < 0 ? -1 : 0);
  case OP_LEAST_I64:
    return val_i(x < y ? x : y);
  case OP_GREATEST_I64:
    return val_i(x > y ? x : y);
  case OP_EQ_I64:
    return val_b(x == y);
  case OP_NE_I64:
    return val_b(x != y);
  case OP_LT_I64:
    return val_b(x < y);
  case OP_LE_I64:
    return val_b(x <= y);
  case OP_GT_I64:
    return val_b(x > y);
  case OP_GE_I64:
    return val_b(x >= y);
  case OP_CAST_I64_F64:
    return val_f((double)x);
  case OP_CAST_I64_STR:
    return printed(num_print_i64, x);
  case OP_CAST_DATE_STR:
    return printed(num_print_date, x > 106751991 ? 106751991 : x < -106751991 ? -106751991 : x);
  case OP_CAST_TS_STR:
    return printed(num_print_timestamp, x);
  case OP_CAST_DATE_TS:
  case OP_OF_DAYS_I64:
    return val_wide(wx * DAY);
  case OP_OF_HOURS_I64:
    return val_wide(wx * (DAY / 24));
  case OP_SUB_DAYS_I64:
    return val_wide((wx - wy) * DAY);
  case OP_CAST_TS_DATE:
    return val_i(floor_div(x, DAY));
  case OP_HOUR_TS:
    return val_i(floor_div(x, 3600000000) - floor_div(floor_div(x, 3600000000), 24) * 24);
  case OP_MINUTE_TS:
    return val_i(floor_div(x, 60000000) - floor_div(floor_div(x, 60000000), 60) * 60);
  case OP_SECOND_TS:
    return val_i(floor_div(x, 1000000) - floor_div(floor_div(x, 1000000), 60) * 60);
  case OP_DAYS_DUR:
    return val_f((double)x / 86400e6);
  case OP_HOURS_DUR:
    return val_f((double)x / 3600e6);
  case OP_MINUTES_DUR:
    return val_f((double)x / 60e6);
  case OP_SECONDS_DUR:
    return val_f((double)x / 1e6);
  case OP_CHECK_RANGE_I64:
    return (double)x < v->f || (double)x > v->g ? val_bad : a[0];
  case OP_YEAR_TS:
  case OP_QUARTER_TS:
  case OP_MONTH_TS:
  case OP_DAY_TS:
  case OP_WEEKDAY_TS:
  case OP_DAY_OF_YEAR_TS:
  case OP_WEEK_TS:
    return calendar(v->op, floor_div(x, DAY));
  default:
    return calendar(v->op, x < -106751991 ? -106751991 : x);
  }
}

static Val reference_f64(const IrVal *v, const Val *a) {
  double x = a[0].f, y = v->narg > 1 ? a[1].f : 0;
  switch (v->op) {
  case OP_ADD_F64:
    return val_f(x + y);
  case OP_SUB_F64:
    return val_f(x - y);
  case OP_MUL_F64:
    return val_f(x * y);
  case OP_DIV_F64:
    return val_f(x / y);
  case OP_IDIV_F64:
    return val_f(floor(x / y));
  case OP_MOD_F64: {
    double m = fmod(x, y);
    m = m != 0 && (m < 0) != (y < 0) ? m + y : m;
    return val_f(m == 0 ? copysign(0, y) : m);
  }
  case OP_POW_F64: {
    double r;
    k_pow(&x, &y, &r, 1);
    return val_f(r);
  }
  case OP_NEG_F64:
    return val_f(-x);
  case OP_ABS_F64:
    return val_f(fabs(x));
  case OP_SIGN_F64:
    return val_f(isnan(x) ? x : x > 0 ? 1 : x < 0 ? -1 : 0.0);
  case OP_LEAST_F64:
    return val_f(isnan(x) || isnan(y) ? (double)NAN : y < x ? y : x);
  case OP_GREATEST_F64:
    return val_f(isnan(x) || isnan(y) ? (double)NAN : y > x ? y : x);
  case OP_EXP_F64:
    return call1(k_exp, x);
  case OP_EXPM1_F64:
    return call1(k_expm1, x);
  case OP_LOG_F64:
    return call1(k_log, x);
  case OP_LOG1P_F64:
    return call1(k_log1p, x);
  case OP_LOG2_F64:
    return call1(k_log2, x);
  case OP_LOG10_F64:
    return call1(k_log10, x);
  case OP_SQRT_F64:
    return val_f(sqrt(x));
  case OP_SIN_F64:
    return call1(k_sin, x);
  case OP_COS_F64:
    return call1(k_cos, x);
  case OP_TAN_F64:
    return call1(k_tan, x);
  case OP_ATAN_F64:
    return call1(k_atan, x);
  case OP_TANH_F64:
    return call1(k_tanh, x);
  case OP_SIGMOID_F64:
    return call1(k_sigmoid, x);
  case OP_LOGIT_F64:
    return call1(k_logit, x);
  case OP_FLOOR_F64:
    return val_f(floor(x));
  case OP_CEIL_F64:
    return val_f(ceil(x));
  case OP_ROUND_F64:
    return val_f(rounded(x));
  case OP_TRUNC_F64:
    return val_f(trunc(x));
  case OP_NONZERO_F64:
    return val_f(x == 0 ? 1 : x);
  case OP_EQ_F64:
    return val_b(x == y);
  case OP_NE_F64:
    return val_b(x != y);
  case OP_LT_F64:
    return val_b(x < y);
  case OP_LE_F64:
    return val_b(x <= y);
  case OP_GT_F64:
    return val_b(x > y);
  case OP_GE_F64:
    return val_b(x >= y);
  case OP_IS_NAN_F64:
    return val_b(isnan(x));
  case OP_IS_FINITE_F64:
    return val_b(isfinite(x));
  case OP_CAST_F64_I64:
    return x >= -0x1p63 && x < 0x1p63 ? val_i((int64_t)x) : val_bad;
  case OP_CAST_F64_STR: {
    char s[NUM_MAX];
    int n = num_print_f64(s, x == 0 ? 0 : x, true);
    return val_str(s, (size_t)n);
  }
  case OP_BUCKET_F64: {
    if (isnan(x))
      return val_bad;
    const char *s = bucket_labels[(x >= -1.5) + (x >= 0) + (x >= 10) + (x >= 20)];
    return val_str(s, strlen(s));
  }
  case OP_CUT_F64: {
    int64_t n = 0;
    for (uint32_t k = 0; k < sizeof cuts / sizeof *cuts; k++)
      n += cuts[k] <= x;
    return val_i(n);
  }
  case OP_RANK_F64: { /* points -1.5, 0, 0, 10, 20 */
    double lo = x < 0    ? -1.5
                : x < 10 ? 0
                         : 10,
           hi = x < 0    ? 0
                : x < 10 ? 10
                         : 20,
           at = x < 0    ? 0
                : x < 10 ? 2
                         : 3;
    double up = (at + (x - lo) / (hi - lo)) / 4, down = (at + 1 - (hi - x) / (hi - lo)) / 4;
    return val_f(isnan(x)    ? x
                 : x == 0    ? 0.5 * (0.5 + 0.25)
                 : x == 10   ? 0.75
                 : x <= -1.5 ? 0
                 : x >= 20   ? 1
                             : 0.5 * (up + down));
  }
  case OP_FOLD_OF_F64: {
    double f = floor(x * 5);
    return val_i(f >= 4 ? 4 : f > 0 ? (int64_t)f : isnan(f) ? 4 : 0);
  }
  case OP_CHECK_RANGE_F64:
    return x < v->f || x > v->g ? val_bad : a[0];
  case OP_CHECK_NAN_F64:
    return isnan(x) ? val_bad : a[0];
  default:
    fail_msg("no reference for %s", op_info(v->op)->name);
    return a[0];
  }
}

static Val reference(const IrVal *v, const Val *a) {
  const OpInfo *o = op_info(v->op);
  if (!strncmp(o->name, "is_null.", 8))
    return val_b(a[0].null);
  if (!strncmp(o->name, "check.null.", 11))
    return a[0].null ? val_bad : a[0];
  if (v->op == OP_LEVEL_STR)
    return a[0].null ? val_null : val_f((double)level_of(a[0]));
  if (v->op == OP_INDEX_OF_STR)
    return a[0].null || level_of(a[0]) < 0 ? val_null : val_i(level_of(a[0]));
  if (v->op == OP_PART_OF_STR)
    return a[0].null || level_of(a[0]) < 0 ? val_bad : val_i(level_of(a[0]));
  if (o->null == NULL_OWN)
    return own_rule(v->op, a);
  for (uint32_t k = 0; k < v->narg; k++) {
    if (a[k].null)
      return val_null;
  }
  switch (v->op) {
  case OP_NOT_B:
    return val_b(!a[0].b);
  case OP_EQ_B:
    return val_b(a[0].b == a[1].b);
  case OP_NE_B:
    return val_b(a[0].b != a[1].b);
  case OP_CAST_B_I64:
    return val_i(a[0].b);
  case OP_CAST_B_F64:
    return val_f(a[0].b);
  case OP_CAST_B_STR:
    return a[0].b ? val_str("true", 4) : val_str("false", 5);
  default:
    break;
  }
  return op_arg(o, 0) == IR_STR ? reference_str(v, a) : op_arg(o, 0) == IR_I64 ? reference_int(v,
      a) : reference_f64(v, a);
}

/* ---- The harness ---- */

/* Ops that other tests cover: not a function of one row's columns. */
static bool elsewhere(uint32_t op) {
  const OpInfo *o = op_info(op);
  return o->arity <= 0 || op == OP_INDICATOR_STR || op == OP_KEEP ||
         (op >= OP_ADD_VEC && op <= OP_TOTAL_VEC) || (op >= OP_TOKENIZE_STR && op <= OP_COUNT_VECTOR_STRS) ||
         op == OP_ELEMENT_VEC || op == OP_CLASS_VEC || op == OP_PROBIT_F64 ||
         op == OP_SPLINE_F64; /* these two: tests/oracle/test_features.py */
}

static uint32_t argument(Kit *k, int type, const Col *c, int32_t constant) {
  if (type == IR_LIST)
    return kit_list(k, cuts, sizeof cuts / sizeof *cuts);
  if (type == IR_VOCAB)
    return kit_vocab(k, levels, sizeof levels / sizeof *levels);
  if (constant < 0)
    return kit_col(k, *c);
  Val v = val_at(c, (uint32_t)constant);
  if (type == IR_BOOL)
    return kit_b(k, v.b);
  if (type == IR_I64)
    return kit_i64(k, v.i);
  if (type == IR_F64)
    return kit_f64(k, v.f);
  return kit_str(k, arena_strndup(&k->a, v.p, v.n));
}

static void attributes(IrVal *v) {
  if (v->op == OP_FOLD_OF_F64)
    v->i = 5;
  v->s = "the_column";
  v->f = -1.5;
  v->g = 20;
  if (v->op == OP_CHECK_IN_STR) {
    v->names = levels;
    v->nlist = sizeof levels / sizeof *levels;
  }
}

/* One op over one choice of columns; `constant`: bit k says that argument k is the constant that row `row`
 * has. */
static void try(uint32_t op, uint64_t seed, uint32_t nulls, uint32_t constant, uint32_t row, uint32_t n) {
  const OpInfo *o = op_info(op);
  Kit *k = kit_new();
  Rng g = {seed, 0};
  uint32_t arg[4];
  Col col[4];
  for (int i = 0; i < o->arity; i++) {
    int type = op_arg(o, (uint32_t)i);
    col[i] = (Col){.type = (uint8_t)type};
    if (type <= IR_STR)
      col[i] = kit_column(k, &g, (IrType)type, nulls >> i & 1);
    if (op == OP_FOLD_OF_F64) {
      for (uint32_t r = 0; r < PANEL_ROWS; r++)
        col[i].f[r] = col[i].null && col[i].null[r] ? 0 : unit_of(rnd(&g));
    }
    if (col[i].null && col[i].null[row])
      constant &= ~(1u << i); /* a constant is never null */
    arg[i] = argument(k, type, &col[i], constant >> i & 1 ? (int32_t)row : -1);
  }
  uint32_t v = kit_step(k, op, arg, (uint32_t)o->arity);
  attributes(kit_last(k));
  kit_out(k, v, "out");
  Err e = {.code = ST_OK};
  Interp *t = NULL;
  RowErrors errors;
  Col out;
  Status st = interp_new(&k->p, NULL, k->name, k->ncol, &t, &e);
  if (st == ST_DATA) { /* all constant, and wrong */
    Val a[4];
    for (int i = 0; i < o->arity; i++)
      a[i] = op_arg(o, (uint32_t)i) <= IR_STR ? val_at(&col[i], row) : val_i(0);
    assert_true(k->ncol == 0 && reference(&k->val[v], a).bad);
    kit_free(k);
    return;
  }
  assert_int_equal(st, ST_OK);
  kit_run(k, t, n, &out, NULL, &errors);
  uint64_t bad = 0;
  text_n = 0;
  for (uint32_t r = 0; r < n; r++) {
    Val a[4], want, got = val_at(&out, out.constant ? 0 : r);
    for (int i = 0; i < o->arity; i++)
      a[i] = op_arg(o, (uint32_t)i) <= IR_STR ? val_at(&col[i], constant >> i & 1 ? row : r) : val_i(0);
    want = reference(&k->val[v], a);
    bad += want.bad;
    if (!want.bad && !val_same(out.type, got, want))
      fail_msg("%s, row %u of %u: got %d %lld %.17g `%.*s`, want %d %lld %.17g `%.*s` of %lld %.17g, %lld",
               o->name, r, n, got.null,
               (long long)got.i, got.f, (int)got.n, got.p ? got.p : "", want.null, (long long)want.i,
               want.f, (int)want.n,
               want.p ? want.p : "", (long long)a[0].i, a[0].f, (long long)a[1].i);
  }
  if (errors.count != bad)
    fail_msg("%s: %llu data errors, not %llu", o->name, (unsigned long long)errors.count,
             (unsigned long long)bad);
  assert_int_equal(errors.n, bad < ROW_ERRORS ? bad : ROW_ERRORS);
  for (uint32_t i = 0; i < errors.n; i++) {
    assert_int_equal(errors.v[i].file, 2);
    assert_int_equal(errors.v[i].step, v);
    assert_true(errors.v[i].text[0] != 0);
    assert_string_equal(errors.v[i].column, op_has(o, 's') ? "the_column" : "");
  }
  /* a second panel through the same interpreter gives the same */
  if (n > 1) {
    Val first[8];
    uint32_t m = n < 8 ? n : 8;
    for (uint32_t r = 0; r < m && out.type != IR_STR; r++)
      first[r] = val_at(&out, out.constant ? 0 : r);
    kit_run(k, t, m, &out, NULL, &errors);
    for (uint32_t r = 0; r < m && out.type != IR_STR; r++)
      assert_true(val_same(out.type, val_at(&out, out.constant ? 0 : r), first[r]));
  }
  interp_free(t);
  kit_free(k);
}

static void test_every_op(void **state) {
  (void)state;
  for (uint32_t op = 0; op < OP_N; op++) {
    if (elsewhere(op))
      continue;
    uint32_t all = (1u << op_info(op)->arity) - 1;
    for (uint32_t nulls = 0; nulls <= all; nulls++)
      try(op, 11 + op, nulls, 0, 0, PANEL_ROWS);
    try(op, 5, all, 0, 0, 0);
    try(op, 5, all, 0, 0, 1);
    try(op, 5, all, 0, 0, PANEL_ROWS < 7 ? PANEL_ROWS : 7);
    for (uint32_t constant = 1; constant <= all; constant++) {
      for (uint32_t row = 0; row < 6; row++) {
        try(op, 100 + row, 0, constant, row % PANEL_ROWS, PANEL_ROWS);
        try(op, 200 + row, all, constant, row % PANEL_ROWS, PANEL_ROWS);
      }
    }
  }
}

/* Each day from year -200 to year 3000 or so, and the last microsecond before and the first of each. */
static void test_calendar(void **state) {
  static const uint32_t ops[] = {OP_YEAR_TS, OP_MONTH_TS, OP_DAY_TS, OP_WEEKDAY_TS, OP_DAY_OF_YEAR_TS,
                                 OP_WEEK_TS, OP_CAST_TS_DATE};
  (void)state;
  Kit *k = kit_new();
  int64_t *x = arena_alloc64(&k->a, PANEL_ROWS * sizeof *x);
  uint32_t c = kit_col(k, (Col){.type = IR_I64, .i = x});
  for (uint32_t i = 0; i < sizeof ops / sizeof *ops; i++)
    kit_out(k, STEP(k, ops[i], c), "x");
  Interp *t = kit_interp(k, NULL);
  Col out[16];
  RowErrors errors;
  for (int64_t day = -800000; day < 400000; day += PANEL_ROWS * (PANEL_ROWS < 100 ? 1000 : 1)) {
    for (uint32_t r = 0; r < PANEL_ROWS; r++)
      x[r] = (day + r) * DAY - (r & 1);
    kit_run(k, t, PANEL_ROWS, out, NULL, &errors);
    for (uint32_t r = 0; r < PANEL_ROWS; r++) {
      int64_t d = floor_div(x[r], DAY);
      assert_int_equal(out[6].i[r], d);
      for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(out[i].i[r], calendar(ops[i], d).i);
    }
  }
  interp_free(t);
  kit_free(k);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_op), cmocka_unit_test(test_calendar)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
