/* SPDX-License-Identifier: Apache-2.0 */
/* Pass "agg.scalar": ungrouped counts, sums, means, variances and extremes of numbers, all of a stage in one
 * job.
 *
 * Inside a leaf the values that an aggregate sees go to eight lanes in turn, so that neither panels nor
 * nulls between them matter and the machine has eight independent sums; lanes are folded when leaves
 * merge: ((0+4)+(2+6))+((1+5)+(3+7)). */
#include <stddef.h>
#include <string.h>

#include "vm/agg/parts.h"
#include "vm/kernel/lanes.h"

typedef struct Item {
  StateKind kind;
  AggSrc src;
} Item;

typedef struct Par {
  uint32_t n;
  Item item[];
} Par;

enum { LANES = K_LANES };

/* SUM: a, b high and low; WSUM: c, d of the weights. VAR: a, m mean high and low, b squares, c weight;
 * WVAR: d squared weights. */
typedef struct Acc {
  uint64_t n;
  Word w[2]; /* ISUM: the sum; extremes: the value */
  double a[LANES], b[LANES], c[LANES], d[LANES], m[LANES];
} Acc;

struct Scalar {
  uint32_t n;
  Acc acc[];
};

static bool get_item(Rd *r, void *item) {
  Item *it = item;
  uint8_t k = rd_u8(r);
  it->kind = (StateKind)k;
  src_get(r, &it->src);
  return k < STATE_N;
}

static void *open_par(Bytes in, Err *e) {
  return par_items(in, offsetof(Par, item), sizeof(Item), 25, get_item, e);
}

static size_t size_of(const Par *p) {
  return sizeof(Scalar) + p->n * sizeof(Acc);
}

static size_t partial_size(const void *par) {
  return size_of(par);
}

static void *init(const void *par, Err *e) {
  const Par *p = par;
  Scalar *s = mem_alloc(size_of(p));
  if (s)
    s->n = p->n;
  else
    err_memory(e);
  return s;
}

/* ---- Map ---- */

/* FEED(step, wide): `step` with i and lane for values until the lane is 0 again; `wide` with i for eight
 * at once; `step` for the rest. */
#define FEED(step, wide)                      \
  do {                                        \
    uint32_t i = 0, lane = (uint32_t)(n0 % LANES); \
    for (; i < n && lane; i++) {              \
      step;                                   \
      lane = (lane + 1) % LANES;              \
    }                                         \
    for (; n - i >= LANES; i += LANES)        \
      for (uint32_t l = 0; l < LANES; l++) {  \
        wide;                                 \
      }                                       \
    for (; i < n; i++, lane++) {              \
      step;                                   \
    }                                         \
  } while (0)

/* Values until the lane is 0 again, when n0 came before. */
static uint32_t head_of(uint64_t n0, uint32_t n) {
  uint32_t head = (uint32_t)(-n0 % LANES);
  return head < n ? head : n;
}

static void add_sum(double *hi, double *lo, uint64_t n0, const double *x, uint32_t n) {
  uint32_t i = 0, head = head_of(n0, n), whole = (n - head) / LANES * LANES;
  for (; i < head; i++)
    sum_add(&hi[(n0 + i) % LANES], &lo[(n0 + i) % LANES], x[i]);
  k_lanes_sum(hi, lo, x + head, whole);
  for (i += whole; i < n; i++)
    sum_add(&hi[(n0 + i) % LANES], &lo[(n0 + i) % LANES], x[i]);
}

static void add_product(double *hi, double *lo, uint64_t n0, const double *x, const double *w, uint32_t n) {
  FEED(sum_add(&hi[lane], &lo[lane], x[i] * w[i]), sum_add(&hi[l], &lo[l], x[i + l] * w[i + l]));
}

static inline void welford(Acc *a, uint32_t l, double x) {
  double d = x - a->a[l] - a->m[l];
  a->c[l] += 1;
  sum_add(&a->a[l], &a->m[l], d / a->c[l]);
  a->b[l] += d * (x - a->a[l] - a->m[l]);
}

static inline void welford_weighted(Acc *a, uint32_t l, double x, double w) {
  double d = x - a->a[l] - a->m[l];
  a->c[l] += w;
  a->d[l] += w * w;
  if (w > 0) {
    sum_add(&a->a[l], &a->m[l], d * (w / a->c[l]));
    a->b[l] += w * d * (x - a->a[l] - a->m[l]);
  }
}

/* Columns that wait until there are some: as many values, from the same lane on. */
typedef struct Waiting {
  uint32_t n, rows;
  uint64_t n0[K_COLUMNS];
  Acc *acc[K_COLUMNS];
  const double *x[K_COLUMNS];
} Waiting;

static void add_vars(Waiting *w) {
  LaneVar v[K_COLUMNS];
  uint32_t head = w->n ? head_of(w->n0[0], w->rows) : 0, whole = (w->rows - head) / LANES * LANES;
  for (uint32_t k = 0; k < w->n; k++) {
    Acc *a = w->acc[k];
    for (uint32_t i = 0; i < head; i++)
      welford(a, (uint32_t)((w->n0[k] + i) % LANES), w->x[k][i]);
    v[k] = (LaneVar){.x = w->x[k] + head, .mean = a->a, .rest = a->m, .squares = a->b, .count = a->c};
  }
  k_lanes_var(v, w->n, whole);
  for (uint32_t k = 0; k < w->n; k++)
    for (uint32_t i = head + whole; i < w->rows; i++)
      welford(w->acc[k], (uint32_t)((w->n0[k] + i) % LANES), w->x[k][i]);
  w->n = 0;
}

static void add_var(Waiting *w, Acc *a, const double *x, uint32_t n) {
  if (w->n && (w->rows != n || w->n0[0] % LANES != a->n % LANES))
    add_vars(w);
  w->rows = n;
  w->n0[w->n] = a->n;
  w->acc[w->n] = a;
  w->x[w->n++] = x;
  if (w->n == K_COLUMNS)
    add_vars(w);
}

static void add_wvar(Acc *a, uint64_t n0, const double *x, const double *w, uint32_t n) {
  FEED(welford_weighted(a, lane, x[i], w[i]), welford_weighted(a, l, x[i + l], w[i + l]));
}

static void add_i64(StateKind kind, Acc *a, const int64_t *x, uint32_t n) {
  Word s[3] = {{.u = a->n}, a->w[0], a->w[1]};
  Col col = {.type = IR_I64, .i = (int64_t *)x};
  for (uint32_t i = 0; i < n; i++)
    state_add(kind, s, &col, i, 1);
  a->w[0] = s[1];
  a->w[1] = s[2];
}

static void add_extreme(StateKind kind, Acc *a, const double *x, uint32_t n) {
  uint64_t best = a->n ? f64_key(a->w[0].f) : kind == STATE_FMIN ? UINT64_MAX : 0;
  for (uint32_t i = 0; i < n; i++) {
    uint64_t k = f64_key(x[i]);
    best = kind == STATE_FMIN ? (k < best ? k : best) : k > best ? k : best;
  }
  if (a->n || n)
    a->w[0].f = f64_of_key(best);
}

static Status map_item(const Item *it, Acc *a, const Panel *p, Waiting *wait, Ctx *c) {
  Sel sel;
  if (agg_select(p, &it->src, c, &sel))
    return c->err->code;
  const double *x = NULL, *w = NULL;
  const int64_t *v = NULL;
  if (it->kind == STATE_ISUM || it->kind == STATE_IMIN || it->kind == STATE_IMAX)
    v = agg_i64s(p, it->src.arg, &sel, c);
  else if (it->kind != STATE_COUNT)
    x = agg_f64s(p, it->src.arg, &sel, c);
  if (it->kind == STATE_WSUM || it->kind == STATE_WVAR)
    w = agg_f64s(p, it->src.weight, &sel, c);
  if (c->err->code)
    return c->err->code;
  switch (it->kind) {
  case STATE_COUNT:
    break;
  case STATE_ISUM:
  case STATE_IMIN:
  case STATE_IMAX:
    add_i64(it->kind, a, v, sel.n);
    break;
  case STATE_WSUM:
    add_product(a->a, a->b, a->n, x, w, sel.n);
    add_sum(a->c, a->d, a->n, w, sel.n);
    break;
  case STATE_SUM:
    add_sum(a->a, a->b, a->n, x, sel.n);
    break;
  case STATE_VAR:
    add_var(wait, a, x, sel.n);
    break;
  case STATE_WVAR:
    add_wvar(a, a->n, x, w, sel.n);
    break;
  default:
    add_extreme(it->kind, a, x, sel.n);
    break;
  }
  a->n += sel.n;
  return ST_OK;
}

static Status map(const void *par, const Panel *p, void *partial, Ctx *c) {
  const Par *q = par;
  Scalar *s = partial;
  Waiting wait = {.n = 0};
  for (uint32_t i = 0; i < q->n; i++)
    if (map_item(&q->item[i], &s->acc[i], p, &wait, c))
      return c->err->code;
  add_vars(&wait);
  return ST_OK;
}

/* ---- Folding lanes, merging ---- */

static void lane_state(StateKind k, const Acc *a, uint32_t l, Word *s) {
  memset(s, 0, WORDS_MOST * sizeof *s);
  bool var = k == STATE_VAR || k == STATE_WVAR;
  s[0].u = 1; /* not empty; the count is kept for all lanes together */
  s[1].f = a->a[l];
  s[2].f = a->b[l];
  s[3].f = a->c[l];
  s[4].f = a->d[l];
  if (var)
    s[k == STATE_VAR ? 3 : 5].f = a->m[l];
  if (k == STATE_VAR)
    s[0].u = (uint64_t)a->c[l];
  else if (var && !(a->c[l] > 0))
    s[0].u = 0;
}

/* The whole state of an accumulator. */
static void fold(StateKind k, const Acc *a, Word *s) {
  Word lane[LANES][WORDS_MOST];
  memset(s, 0, WORDS_MOST * sizeof *s);
  if (k == STATE_SUM || k == STATE_WSUM || k == STATE_VAR || k == STATE_WVAR) {
    for (uint32_t l = 0; l < LANES; l++)
      lane_state(k, a, l, lane[l]);
    for (uint32_t step = LANES / 2; step; step /= 2)
      for (uint32_t l = 0; l < step; l++)
        state_merge(k, lane[l], lane[l + step]);
    memcpy(s, lane[0], state_words(k) * sizeof *s);
  } else {
    s[1] = a->w[0];
    s[2] = a->w[1];
  }
  s[0].u = a->n;
}

static void unfold(StateKind k, const Word *s, Acc *a) {
  memset(a, 0, sizeof *a);
  a->n = s[0].u;
  if (k == STATE_SUM || k == STATE_WSUM || k == STATE_VAR || k == STATE_WVAR) {
    a->a[0] = s[1].f;
    a->b[0] = s[2].f;
    a->c[0] = k == STATE_VAR ? (double)s[0].u : s[3].f;
    a->d[0] = k == STATE_VAR ? 0 : s[4].f;
    a->m[0] = k == STATE_VAR ? s[3].f : k == STATE_WVAR ? s[5].f : 0;
  } else {
    a->w[0] = s[1];
    a->w[1] = s[2];
  }
}

void scalar_state(const void *par, const Scalar *p, uint32_t i, Word out[WORDS_MOST]) {
  fold(((const Par *)par)->item[i].kind, &p->acc[i], out);
}

static Status merge(const void *par, void *l, void *r, Err *e) {
  const Par *q = par;
  Scalar *a = l, *b = r;
  (void)e;
  for (uint32_t i = 0; i < q->n; i++) {
    Word x[WORDS_MOST], y[WORDS_MOST];
    StateKind k = q->item[i].kind;
    fold(k, &a->acc[i], x);
    fold(k, &b->acc[i], y);
    state_merge(k, x, y);
    unfold(k, x, &a->acc[i]);
  }
  return ST_OK;
}

/* ---- Bytes: the accumulators as they are ---- */

static Status save(const void *par, const void *partial, Buf *out, Err *e) {
  const Scalar *s = partial;
  (void)par;
  buf_put(out, s->acc, s->n * sizeof *s->acc);
  return out->bad ? err_memory(e) : ST_OK;
}

/* Of the lanes, and of all: they are made integers and numbers again. */
static bool counts(const Acc *a) {
  for (uint32_t l = 0; l < LANES; l++)
    if (!(a->c[l] >= 0 && a->c[l] <= 0x1p53))
      return false;
  return a->n <= UINT64_C(1) << 53;
}

static void *load(const void *par, Bytes in, Err *e) {
  const Par *q = par;
  if (in.n != q->n * sizeof(Acc)) {
    par_bad(e);
    return NULL;
  }
  Scalar *s = init(par, e);
  if (!s)
    return NULL;
  if (in.n)
    memcpy(s->acc, in.p, in.n);
  for (uint32_t i = 0; i < q->n; i++)
    if (q->item[i].kind == STATE_VAR && !counts(&s->acc[i])) {
      mem_free(s);
      par_bad(e);
      return NULL;
    }
  return s;
}

static void free_partial(const void *par, void *partial) {
  (void)par;
  mem_free(partial);
}

const Pass pass_scalar = {"agg.scalar", RED_TREE, open_par, mem_free, partial_size, init,
                          map,          merge,    save,     load,      free_partial};
