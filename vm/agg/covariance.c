/* SPDX-License-Identifier: Apache-2.0 */
/* Pass "agg.covariance": the covariance matrix of a row vector in one scan, and its eigenvectors.
 *
 * Rows are gathered in tiles of a fixed number of rows, whatever the panels. A full tile is centred on its
 * own mean, its squares and products are added by dsyrk, and tile and sum are joined as two samples are
 * (Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979);
 * leaves are joined in the same way. So nothing is lost by values that lie far from 0.
 *
 * Eigenvectors (LAPACK dsyevd) come in falling order of their eigenvalues, with the sign that makes the
 * element of largest magnitude
 * positive: the first of several. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "vm/agg/parts.h"
#include "vm/blas.h"

enum {
#ifdef CML_HOSTILE
  TILE = 5,
#else
  TILE = 256,
#endif
  WIDTH_MOST = 8192, /* elements: a matrix of half a gigabyte */
};

typedef struct Par {
  uint32_t n;
  const Blas *blas;
  AggSrc src[];
} Par;

typedef struct Sum {
  uint32_t width;
  uint32_t fill;     /* rows in the tile */
  uint64_t n;        /* rows in the sums */
  double *mean, *lo; /* and its rounding errors */
  double *square;    /* width x width, column-major, lower triangle: sums of squares and products around
                      * the mean */
  double *tile;      /* TILE x width */
} Sum;

struct Covariances {
  uint32_t n;
  Sum *sum;
};

static void *open_par(Bytes in, Err *e) {
  Rd r = rd_of(in);
  uint64_t n = rd_count(&r, 24);
  const Blas *blas = blas_get(e);
  if (!blas)
    return NULL;
  Par *p = mem_alloc(sizeof *p + (size_t)n * sizeof *p->src);
  if (!p) {
    err_memory(e);
    return NULL;
  }
  p->n = (uint32_t)n;
  p->blas = blas;
  for (uint32_t i = 0; i < p->n; i++)
    src_get(&r, &p->src[i]);
  if (n < UINT32_MAX && rd_done(&r))
    return p;
  mem_free(p);
  par_bad(e);
  return NULL;
}

static void close_par(void *par) {
  mem_free(par);
}

/* leaves as large as can be: merging costs as much as the matrix is large */
static size_t partial_size(const void *par) {
  (void)par;
  return (size_t)4 << 20;
}

static void free_partial(const void *par, void *partial) {
  Covariances *v = partial;
  (void)par;
  if (!v)
    return;
  for (uint32_t i = 0; v->sum && i < v->n; i++) {
    mem_free(v->sum[i].mean);
    mem_free(v->sum[i].lo);
    mem_free(v->sum[i].square);
    mem_free(v->sum[i].tile);
  }
  mem_free(v->sum);
  mem_free(v);
}

static void *init(const void *par, Err *e) {
  const Par *p = par;
  Covariances *v = mem_alloc(sizeof *v);
  if (v)
    v->sum = mem_alloc((p->n ? p->n : 1) * sizeof *v->sum);
  if (!v || !v->sum) {
    mem_free(v);
    err_memory(e);
    return NULL;
  }
  v->n = p->n;
  return v;
}

static Status widen(Sum *s, uint32_t width, Err *e) {
  if (s->mean)
    return s->width == width ? ST_OK : par_bad(e);
  if (width > WIDTH_MOST)
    return err_set(e, ST_RESOURCE, "CML0522",
                   "Take fewer elements: a covariance has the square of their number.",
                   "a covariance of %u elements is asked for, and %u are possible", width, WIDTH_MOST);
  size_t d = width;
  s->width = width;
  s->mean = mem_alloc((d + 1) * sizeof *s->mean);
  s->lo = mem_alloc((d + 1) * sizeof *s->lo);
  s->square = mem_alloc((d * d + 1) * sizeof *s->square);
  s->tile = mem_alloc((TILE * d + 1) * sizeof *s->tile);
  return s->mean && s->lo && s->square && s->tile ? ST_OK : err_memory(e);
}

/* Adds a sample of m rows with that mean (delta: less the mean so far) to the sums; its own squares are
 * added already. */
static void join(Sum *s, uint64_t m, const double *delta) {
  size_t d = s->width;
  double a = (double)s->n, b = (double)m, share = b / (a + b);
  for (size_t j = 0; s->n && j < d; j++) {
    double f = a * share * delta[j];
    for (size_t i = j; i < d; i++)
      s->square[j * d + i] += f * delta[i];
  }
  for (size_t j = 0; j < d; j++)
    sum_add(&s->mean[j], &s->lo[j], delta[j] * share);
  s->n += m;
}

/* The tile goes into the sums. `delta` has room for a row. */
static void flush(const Blas *blas, Sum *s, double *delta) {
  size_t d = s->width;
  double one = 1;
  if (!s->fill || !d) {
    s->n += s->fill;
    s->fill = 0;
    return;
  }
  for (size_t j = 0; j < d; j++) {
    double shift = s->tile[j], sum = 0;
    for (uint32_t r = 0; r < s->fill; r++)
      sum += s->tile[r * d + j] - shift;
    double mean = sum / s->fill;
    for (uint32_t r = 0; r < s->fill; r++)
      s->tile[r * d + j] = s->tile[r * d + j] - shift - mean;
    delta[j] = shift - s->mean[j] + (mean - s->lo[j]);
  }
  int order = (int)d, rows = (int)s->fill;
  blas->syrk("L", "N", &order, &rows, &one, s->tile, &order, &one, s->square, &order, 1, 1);
  join(s, s->fill, delta);
  s->fill = 0;
}

static void not_finite(const Panel *p, const AggSrc *s, uint32_t r, Ctx *c) {
  RowError one = {.file = p->file,
                  .pos = p->pos + (p->at ? p->at[r] : r),
                  .step = UINT32_MAX,
                  .line = s->line,
                  .col = s->col,
                  .allow = ALLOW_WHERE};
  snprintf(one.text, sizeof one.text, "an element of the vector is NaN or infinite, so it has no covariance");
  row_errors_add(c->errors, &one);
}

static bool all_finite(const double *x, uint32_t n) {
  bool good = true;
  for (uint32_t j = 0; j < n; j++)
    good &= fabs(x[j]) <= 1.7976931348623157e308;
  return good;
}

static Status map_item(const Par *q, const AggSrc *src, Sum *s, const Panel *p, Ctx *c) {
  const Col *col = agg_col(p, src->arg, IR_VEC, c);
  Sel sel;
  if (!col || agg_select(p, src, c, &sel))
    return c->err->code;
  if (!sel.n)
    return ST_OK;
  double *delta = arena_alloc64(c->scratch, ((size_t)col->width + 1) * sizeof *delta);
  if (!delta)
    return err_memory(c->err);
  if (widen(s, col->width, c->err))
    return c->err->code;
  for (uint32_t k = 0; k < sel.n; k++) {
    uint32_t r = sel.row ? sel.row[k] : k;
    double *row = s->tile + (size_t)s->fill * s->width;
    col_row(col, r, row);
    if (!all_finite(row, s->width)) {
      not_finite(p, src, r, c);
      continue;
    }
    if (++s->fill == TILE)
      flush(q->blas, s, delta);
  }
  return ST_OK;
}

static Status map(const void *par, const Panel *p, void *partial, Ctx *c) {
  const Par *q = par;
  Covariances *v = partial;
  for (uint32_t i = 0; i < q->n; i++)
    if (map_item(q, &q->src[i], &v->sum[i], p, c))
      return c->err->code;
  return ST_OK;
}

static Status merge_sum(const Par *q, Sum *a, Sum *b, Err *e) {
  if (!b->mean)
    return ST_OK;
  if (widen(a, b->width, e))
    return e->code;
  size_t d = a->width;
  double *delta = mem_alloc((d + 1) * sizeof *delta);
  if (!delta)
    return err_memory(e);
  flush(q->blas, a, delta);
  flush(q->blas, b, delta);
  for (size_t j = 0; j < d; j++)
    delta[j] = b->mean[j] - a->mean[j] + (b->lo[j] - a->lo[j]);
  for (size_t i = 0; i < d * d; i++)
    a->square[i] += b->square[i];
  if (b->n)
    join(a, b->n, delta);
  mem_free(delta);
  return ST_OK;
}

static Status merge(const void *par, void *l, void *r, Err *e) {
  const Par *q = par;
  Covariances *a = l, *b = r;
  for (uint32_t i = 0; i < q->n; i++)
    if (merge_sum(q, &a->sum[i], &b->sum[i], e))
      return e->code;
  return ST_OK;
}

/* Of each: u8 whether there are rows, u32 width, u32 fill, u64 n, mean, its errors, the lower triangle by
 * columns, the tile. */
static Status save(const void *par, const void *partial, Buf *out, Err *e) {
  const Covariances *v = partial;
  (void)par;
  for (uint32_t i = 0; i < v->n; i++) {
    const Sum *s = &v->sum[i];
    size_t d = s->width;
    buf_u8(out, s->mean != NULL);
    if (!s->mean)
      continue;
    buf_u32(out, s->width);
    buf_u32(out, s->fill);
    buf_u64(out, s->n);
    buf_put(out, s->mean, d * sizeof *s->mean);
    buf_put(out, s->lo, d * sizeof *s->lo);
    for (size_t j = 0; j < d; j++)
      buf_put(out, s->square + j * d + j, (d - j) * sizeof *s->square);
    buf_put(out, s->tile, s->fill * d * sizeof *s->tile);
  }
  return out->bad ? err_memory(e) : ST_OK;
}

static void take(Rd *r, double *to, size_t n) {
  const void *p = rd_take(r, n * sizeof *to);
  if (p && n)
    memcpy(to, p, n * sizeof *to);
}

static Status load_sum(Rd *r, Sum *s, Err *e) {
  uint8_t some = rd_u8(r);
  if (r->bad || some > 1)
    return par_bad(e);
  if (!some)
    return ST_OK;
  uint32_t width = rd_u32(r), fill = rd_u32(r);
  if (r->bad || width > WIDTH_MOST || fill >= TILE)
    return par_bad(e);
  if (widen(s, width, e))
    return e->code;
  size_t d = width;
  s->fill = fill;
  s->n = rd_u64(r);
  take(r, s->mean, d);
  take(r, s->lo, d);
  for (size_t j = 0; j < d; j++)
    take(r, s->square + j * d + j, d - j);
  take(r, s->tile, fill * d);
  return r->bad ? par_bad(e) : ST_OK;
}

static void *load(const void *par, Bytes in, Err *e) {
  const Par *q = par;
  Rd r = rd_of(in);
  Covariances *v = init(par, e);
  if (!v)
    return NULL;
  Status st = ST_OK;
  for (uint32_t i = 0; i < q->n && !st; i++)
    st = load_sum(&r, &v->sum[i], e);
  if (!st && rd_done(&r))
    return v;
  if (!st)
    par_bad(e);
  free_partial(par, v);
  return NULL;
}

const Pass pass_covariance = {
    "agg.covariance", RED_TREE, open_par, close_par, partial_size, init, map, merge, save, load,
    free_partial};

/* ---- Results ---- */

static Status matrix_new(Fitted *f, uint32_t rows, uint32_t cols, Err *e) {
  f->type = IR_MAT;
  f->rows = rows;
  f->cols = cols;
  f->list = mem_alloc(((size_t)rows * cols + 1) * sizeof *f->list);
  return f->list ? ST_OK : err_memory(e);
}

/* Eigenvalues of the d x d lower triangle a, ascending in w; a becomes the vectors, in columns. */
static Status eigen(const Blas *blas, double *a, uint32_t d, double *w, Err *e) {
  int n = (int)d, info = 0, ask = -1, lwork, liwork, most_int = 0;
  double most = 0;
  for (uint32_t j = 0; j < d && !info; j++) /* squares beyond the range: not all LAPACKs refuse them */
    info = !all_finite(a + (size_t)j * d, d);
  if (!info)
    blas->syevd("V", "L", &n, a, &n, w, &most, &ask, &most_int, &ask, &info, 1, 1);
  lwork = (int)most;
  liwork = most_int;
  double *work = info ? NULL : mem_alloc(((size_t)lwork + 1) * sizeof *work);
  int *iwork = info ? NULL : mem_alloc(((size_t)liwork + 1) * sizeof *iwork);
  if (!info && (!work || !iwork))
    err_memory(e);
  else if (!info)
    blas->syevd("V", "L", &n, a, &n, w, work, &lwork, iwork, &liwork, &info, 1, 1);
  mem_free(work);
  mem_free(iwork);
  if (info && !e->code)
    return err_set(e, ST_DATA, "CML0411", "Scale the elements first: `standardize(v)`.",
                   "the eigenvectors of a covariance cannot be computed");
  return e->code;
}

static double sign_of(const double *v, uint32_t d) {
  uint32_t best = 0;
  for (uint32_t j = 1; j < d; j++)
    if (fabs(v[j]) > fabs(v[best]))
      best = j;
  return v[best] < 0 ? -1 : 1;
}

/* Row i is the eigenvector of the i-th largest eigenvalue; for whitening divided by its root, and 0 where
 * there is no variance. */
static Status components(double *a, uint32_t d, uint32_t k, bool whiten, Fitted *out, Err *e) {
  const Blas *blas = blas_get(e);
  double *w = blas ? mem_alloc(((size_t)d + 1) * sizeof *w) : NULL;
  if (!w)
    return blas ? err_memory(e) : e->code;
  if (!matrix_new(out, k, d, e) && !eigen(blas, a, d, w, e))
    for (uint32_t i = 0; i < k; i++) {
      const double *v = a + (size_t)(d - 1 - i) * d;
      double value = w[d - 1 - i], scale = sign_of(v, d);
      bool flat = !(value > w[d - 1] * d * 2.220446049250313e-16);
      if (whiten)
        scale = flat ? 0 : scale / sqrt(value);
      for (uint32_t j = 0; j < d; j++)
        out->list[(size_t)i * d + j] = v[j] * scale + 0.0;
    }
  mem_free(w);
  return e->code;
}

Status covariance_fitted(AggFn fn, double k, const Covariances *p, uint32_t item, Fitted *out, bool *none,
                         uint32_t *width, Err *e) {
  Sum s = p->sum[item];
  size_t d = s.width;
  *none = !s.mean || !(s.n + s.fill);
  *width = s.width;
  if (*none || (fn != FN_COVARIANCE && !(k >= 1 && k <= s.width)))
    return ST_OK;
  const Par par = {.n = 0, .blas = blas_get(e)};
  Sum all = {.width = 0};
  if (!par.blas || merge_sum(&par, &all, &s, e)) /* into a copy: flushes its tile */
    goto out;
  for (size_t j = 0; j < d; j++)
    for (size_t i = j; i < d; i++) {
      double v = all.n > 1 ? all.square[j * d + i] / (double)(all.n - 1) : 0;
      all.square[j * d + i] = all.square[i * d + j] = v;
    }
  if (fn != FN_COVARIANCE)
    components(all.square, s.width, (uint32_t)k, fn == FN_WHITENING, out, e);
  else if (!matrix_new(out, s.width, s.width, e))
    memcpy(out->list, all.square, d * d * sizeof *out->list);
out:
  mem_free(all.mean);
  mem_free(all.lo);
  mem_free(all.square);
  mem_free(all.tile);
  return e->code;
}
