/* SPDX-License-Identifier: Apache-2.0 */
/* The nearest centre: see nearest.h. Kernels first (nearest_kernel.c), here bounds and decisions.
 *
 * The bound. In single precision with u = 2^-24, coordinates f = fl(scale (x - origin)) and a centre h =
 * fl(scale (c - origin)), the score |h|^2 - 2 f h is a chain of at most d + 2 operations over products;
 * each factor carries one rounding more. Higham, "Accuracy and Stability of Numerical Algorithms", 3.1:
 * its error is below (d + 8) u (2 |f| |h| + |h|^2) for (d + 8) u < 1/10. A distance in double precision is
 * wrong by a far smaller part of (|f| + |h|)^2, for which 2^-38 stands. Two scores that differ by more
 * than twice the sum cannot be in the wrong order. Single precision also loses numbers below 2^-126; the
 * scale makes the longest centre about 1, so that 2^-100 covers it. */
#include "stdlib/cluster/nearest.h"

#include <math.h>
#include <string.h>

#include "vm/kernel/dot.h"
#include "vm/kernel/math.h"

/* ---- exact distances ---- */

const NearKernels *near_best_kernels(void) {
  const NearKernels *k = near_kernels(K_ISA_AVX512);
  if (!k)
    k = near_kernels(K_ISA_AVX2);
  return k ? k : near_kernels(K_ISA_BASE);
}

double near_square(const NearRows *rows, uint32_t i) {
  if (rows->a)
    return k_dot(rows->a + (size_t)i * rows->d, rows->a + (size_t)i * rows->d, rows->d);
  double lane[8] = {0};
  for (uint32_t k = rows->ptr[i]; k < rows->ptr[i + 1]; k++)
    lane[rows->col[k] % 8] += rows->val[k] * rows->val[k];
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static double product(const NearRows *rows, uint32_t i, const double *c) {
  double v;
  if (rows->a)
    return k_dot(rows->a + (size_t)i * rows->d, c, rows->d);
  k_spmv_rows(rows->ptr + i, rows->col, rows->val, 1, c, 0, &v);
  return v;
}

/* Sum of squared differences in the canonical order, each times scale first: 1, or where squares would
 * overflow or vanish another power of two. */
static double differences(const NearRows *rows, uint32_t i, const double *c, double scale) {
  if (rows->a && scale == 1)
    return near_best_kernels()->square(rows->a + (size_t)i * rows->d, c, rows->d);
  double lane[8] = {0};
  uint32_t k = rows->a ? 0 : rows->ptr[i];
  for (uint32_t j = 0; j < rows->d; j++) {
    double x = 0;
    if (rows->a)
      x = rows->a[(size_t)i * rows->d + j];
    else if (k < rows->ptr[i + 1] && rows->col[k] == j)
      x = rows->val[k++];
    double t = x * scale - c[j] * scale;
    lane[j % 8] += t * t;
  }
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/* Squares of numbers within these lose nothing that matters. */
static bool is_tame(double square) {
  return square > 0x1p-800 && square < 0x1p800;
}

double near_distance(const NearRows *rows, uint32_t i, double uu, const double *c, double cc) {
  if (rows->direct)
    return differences(rows, i, c, 1);
  if ((is_tame(uu) || uu == 0) && (is_tame(cc) || cc == 0)) {
    double far = uu + cc, v = far - 2 * product(rows, i, c);
    return v > 0x1p-10 * far ? v : differences(rows, i, c, 1);
  }
  /* the power of two that makes the largest number about 1 */
  double most = 0;
  uint32_t from = rows->a ? i * rows->d : rows->ptr[i], to = rows->a ? from + rows->d : rows->ptr[i + 1];
  const double *v = rows->a ? rows->a : rows->val;
  for (uint32_t k = from; k < to; k++)
    most = fabs(v[k]) > most ? fabs(v[k]) : most;
  for (uint32_t j = 0; j < rows->d; j++)
    most = fabs(c[j]) > most ? fabs(c[j]) : most;
  if (most == 0)
    return 0;
  int power;
  frexp(most, &power);
  power = power < -1020 ? -1020 : power > 1020 ? 1020 : power;
  double scale = ldexp(1, -power);
  return differences(rows, i, c, scale) / scale / scale;
}

void near_distances(const NearRows *rows, const double *uu, const double *c, double cc, double *distance2) {
  const NearKernels *kernel = near_best_kernels();
  for (uint32_t i = 0; i < rows->n; i++)
    distance2[i] = rows->direct ? kernel->square(rows->a + (size_t)i * rows->d, c, rows->d)
                                : near_distance(rows, i, uu[i], c, cc);
}

/* ---- centres ---- */

void near_free(NearCenters *c) {
  mem_free(c->cc);
  mem_free(c->origin);
  mem_free(c->pack);
  *c = (NearCenters){.k = 0};
}

static void pack(NearCenters *n, const double *c, uint32_t k) {
  uint32_t g = k / NEAR_LANES, lane = k % NEAR_LANES;
  float *to = n->pack + (size_t)g * n->d * NEAR_LANES + lane;
  double square = 0;
  for (uint32_t j = 0; j < n->d; j++) {
    float v = (float)((c[j] - (n->origin ? n->origin[j] : 0)) * n->scale);
    to[(size_t)j * NEAR_LANES] = -2 * v;
    square += (double)v * v;
  }
  n->first[k] = (float)square;
  double length = sqrt(square) * (1 + 0x1p-20);
  n->reach = length > n->reach ? length : n->reach;
}

Status near_centers(NearCenters *out, const double *c, uint32_t k, uint32_t d, bool sparse, Err *e) {
  NearCenters n = {.k = k, .d = d, .groups = (k + NEAR_LANES - 1) / NEAR_LANES, .c = c, .scale = 1};
  size_t lanes = (size_t)n.groups * NEAR_LANES;
  n.cc = mem_alloc(((size_t)k + 1) * sizeof *n.cc);
  n.origin = sparse ? NULL : mem_alloc(((size_t)d + 1) * sizeof *n.origin);
  n.pack = mem_alloc64((lanes * d + lanes + NEAR_LANES) * sizeof *n.pack);
  if (!n.cc || (!sparse && !n.origin) || !n.pack) {
    near_free(&n);
    return err_memory(e);
  }
  n.first = n.pack + lanes * d;
  memset(n.pack, 0, lanes * d * sizeof *n.pack);
  for (size_t i = 0; i < lanes; i++)
    n.first[i] = NEAR_NONE;
  for (uint32_t i = 0; i < k && n.origin; i++)
    for (uint32_t j = 0; j < d; j++)
      n.origin[j] += c[(size_t)i * d + j] / k;
  double most = 0;
  for (uint32_t i = 0; i < k; i++) {
    n.cc[i] = k_dot(c + (size_t)i * d, c + (size_t)i * d, d);
    for (uint32_t j = 0; j < d; j++) {
      double v = fabs(c[(size_t)i * d + j] - (n.origin ? n.origin[j] : 0));
      most = v > most ? v : most;
    }
  }
  int power = 0;
  if (most > 0 && most < INFINITY)
    frexp(most, &power);
  n.exact = !(most < 0x1p400) || (most > 0 && most < 0x1p-400) || (d + 8.0) * 0x1p-24 > 0.1;
  n.scale = n.exact ? 1 : ldexp(1, -power);
  for (uint32_t i = 0; i < k && !n.exact; i++)
    pack(&n, c + (size_t)i * d, i);
  *out = n;
  return ST_OK;
}

/* ---- rows ---- */

static void compare(const NearCenters *c, const NearRows *rows, uint32_t i, double uu, uint32_t k,
                    uint32_t *index, double *best) {
  double v = near_distance(rows, i, uu, c->c + (size_t)k * c->d, c->cc[k]);
  if (*index == UINT32_MAX || v < *best) {
    *best = v;
    *index = k;
  }
}

/* All centres whose score is not above `limit`; score NULL: all. */
static void find_exactly(const NearCenters *c, const NearRows *rows, uint32_t i, const float *score,
                         double limit, uint32_t *index, double *best) {
  double uu = rows->direct ? 0 : near_square(rows, i);
  *index = UINT32_MAX;
  *best = 0;
  for (uint32_t k = 0; k < c->k; k++)
    if (!score || !(score[k] > limit))
      compare(c, rows, i, uu, k, index, best);
}

/* How far two scores may be apart and yet in the wrong order; length: of the row as single precision has
 * it; terms: roundings of a score, each 2^-24. */
static double margin(const NearCenters *c, double terms, double length) {
  double both = length + c->reach;
  double score = (terms + 8) * 0x1p-24 * (2 * length * c->reach + c->reach * c->reach);
  return 2 * (score * (1 + 0x1p-10) + (c->d + 16) * 0x1p-44 * both * both + 0x1p-38 * both * both + 0x1p-100);
}

/* Scores of one row: acc (groups x 16). n entries of value f at columns col, or 0 .. n - 1. */
static void score_row(const NearCenters *c, const float *f, const uint32_t *col, uint32_t n,
                      float *restrict acc) {
  for (uint32_t g = 0; g < c->groups; g++) {
    const float *p = c->pack + (size_t)g * c->d * NEAR_LANES;
    float s[NEAR_LANES];
    memcpy(s, c->first + (size_t)g * NEAR_LANES, sizeof s);
    for (uint32_t k = 0; k < n; k++) {
      const float *restrict h = p + (size_t)(col ? col[k] : k) * NEAR_LANES;
      for (int l = 0; l < NEAR_LANES; l++)
        s[l] += f[k] * h[l];
    }
    memcpy(acc + (size_t)g * NEAR_LANES, s, sizeof s);
  }
}

static double length_of(const float *f, uint32_t n) {
  double s = 0;
  for (uint32_t j = 0; j < n; j++)
    s += (double)f[j] * f[j];
  return sqrt(s) * (1 + 0x1p-20);
}

/* All centres but the one that was found have a score of `next` at least, of a row of that length, about, as
 * single precision has it: how far away they are at least. slack: the margin of the scores; square: not above
 * that of the length. */
static float lower_bound(const NearCenters *c, double next, double slack, double square) {
  double v = next - slack + square, far = v > 0 ? sqrt(v) / c->scale * (1 - 0x1p-20) : -1;
  return (float)(far < 0x1p100 ? far : 0x1p100);
}

typedef struct Found { /* of rows: what near_find and near_find_again say */
  uint32_t *index;
  double *distance2;
  float *lower; /* NULL: nobody asks */
} Found;

static void find_by_scores(const NearCenters *c, const NearRows *rows, uint32_t i, const float *f,
                           const uint32_t *col, uint32_t n, float *acc, const Found *to) {
  float least = INFINITY, next = INFINITY;
  double length = length_of(f, n), slack = margin(c, n, length);
  score_row(c, f, col, n, acc);
  for (uint32_t k = 0; k < c->k; k++)
    least = acc[k] < least ? acc[k] : least;
  find_exactly(c, rows, i, least < INFINITY ? acc : NULL, least + slack, &to->index[i], &to->distance2[i]);
  if (!to->lower)
    return;
  for (uint32_t k = 0; k < c->k; k++)
    next = k != to->index[i] && acc[k] < next ? acc[k] : next;
  to->lower[i] = least < INFINITY ? lower_bound(c, next, slack, length * length * (1 - 0x1p-18)) : -1;
}

static bool find_sparse(const NearCenters *c, const NearRows *rows, Arena *scratch, const Found *to) {
  uint32_t most = 0;
  for (uint32_t i = 0; i < rows->n; i++) {
    uint32_t n = rows->ptr[i + 1] - rows->ptr[i];
    most = n > most ? n : most;
  }
  float *acc = arena_alloc64(scratch, (size_t)c->groups * NEAR_LANES * sizeof *acc);
  float *f = arena_alloc64(scratch, ((size_t)most + 1) * sizeof *f);
  if (!acc || !f)
    return false;
  for (uint32_t i = 0; i < rows->n; i++) {
    uint32_t from = rows->ptr[i], n = rows->ptr[i + 1] - from;
    for (uint32_t k = 0; k < n; k++)
      f[k] = (float)(rows->val[from + k] * c->scale);
    find_by_scores(c, rows, i, f, rows->col + from, n, acc, to);
  }
  return true;
}

static bool find_dense(const NearCenters *c, const NearRows *rows, Arena *scratch, const Found *to) {
  enum { ROWS = NEAR_TILE * 16 };
  const NearKernels *kernel = near_best_kernels();
  uint32_t d = c->d;
  float *f = arena_room64(scratch, (size_t)ROWS * d * sizeof *f + 64);
  float *acc = arena_room64(scratch, (size_t)c->groups * NEAR_LANES * sizeof *acc);
  if (!f || !acc)
    return false;
  float least[ROWS], next[ROWS], square[ROWS];
  double low = 1 - (d + 64.0) * 0x1p-24; /* a square is a sum of d terms, each rounded */
  double marked = 2.0 * near_mark(c->groups); /* a mark moves a score by less than 2^-23 of it each */
  for (uint32_t from = 0; from < rows->n; from += ROWS) {
    uint32_t n = rows->n - from < ROWS ? rows->n - from : ROWS,
             whole = (n + NEAR_TILE - 1) / NEAR_TILE * NEAR_TILE;
    uint32_t at[ROWS];
    kernel->narrow(rows->a + (size_t)from * d, c->origin, c->scale, n, d, f, square);
    memset(f + (size_t)n * d, 0, (size_t)(whole - n) * d * sizeof *f);
    kernel->tile(f, whole, d, c->pack, c->first, c->groups, least, next, at);
    for (uint32_t i = 0; i < n; i++) {
      uint32_t r = from + i;
      double length = sqrt(square[i]) * (1 + 0x1p-10), slack = margin(c, d + marked, length);
      float lower = -1;
      if (!(length < 0x1p60)) {
        find_exactly(c, rows, r, NULL, 0, &to->index[r], &to->distance2[r]);
      } else if (next[i] > least[i] + slack) {
        to->index[r] = at[i];
        to->distance2[r] = near_distance(rows, r, rows->direct ? 0 : near_square(rows, r),
                                         c->c + (size_t)at[i] * d, c->cc[at[i]]);
        lower = to->lower ? lower_bound(c, next[i], slack, square[i] * low) : -1;
      } else {
        find_by_scores(c, rows, r, f + (size_t)i * d, NULL, d, acc, to);
        continue;
      }
      if (to->lower)
        to->lower[r] = lower;
    }
  }
  return true;
}

static void find(const NearCenters *c, const NearRows *rows, Arena *scratch, const Found *to) {
  /* a handful of rows, or of centres, is not worth the way into single precision */
  if (scratch && !c->exact && c->k > 2 && (rows->a ? find_dense : find_sparse)(c, rows, scratch, to))
    return;
  for (uint32_t i = 0; i < rows->n; i++) {
    find_exactly(c, rows, i, NULL, 0, &to->index[i], &to->distance2[i]);
    if (to->lower)
      to->lower[i] = -1;
  }
}

void near_find(const NearCenters *c, const NearRows *rows, Arena *scratch, uint32_t *index,
               double *distance2) {
  find(c, rows, scratch, &(Found){.index = index, .distance2 = distance2});
}

/* ---- Rows of which something is known ---- */

/* Distances from two centres, as near_distance has them, are in the right order where they differ by this
 * part: its errors are below d 2^-42. */
#define APART (1 + 0x1p-16)

/* Rows whose centre is the same for certain get their distance; the numbers of the others. */
static uint32_t confirm(const NearCenters *c, const NearRows *rows, const Found *to, uint32_t *open) {
  uint32_t n = 0, known = 0;
  for (uint32_t i = 0; i < rows->n; i++)
    known += to->lower[i] > 0x1p-60f;
  if (rows->direct && known)
    near_best_kernels()->squares(rows->a, rows->n, c->d, c->c, to->index, rows->ahead, to->distance2);
  for (uint32_t i = 0; i < rows->n; i++) {
    double lower = to->lower[i];
    uint32_t k = to->index[i];
    if (lower > 0x1p-60 && !rows->direct)
      to->distance2[i] = near_distance(rows, i, near_square(rows, i), c->c + (size_t)k * c->d, c->cc[k]);
    open[n] = i;
    n += !(lower > 0x1p-60 && to->distance2[i] * APART < lower * lower);
  }
  return n;
}

/* Rows at[0 .. n), one behind the other. */
static bool pick(const NearRows *rows, const uint32_t *at, uint32_t n, Arena *scratch, NearRows *out) {
  size_t d = rows->d, entries = 0;
  *out = *rows;
  out->n = n;
  for (uint32_t i = 0; i < n && !rows->a; i++)
    entries += rows->ptr[at[i] + 1] - rows->ptr[at[i]];
  double *v = arena_room64(scratch, ((rows->a ? n * d : entries) + 1) * sizeof *v);
  if (rows->a) {
    for (uint32_t i = 0; i < n && v; i++)
      memcpy(v + i * d, rows->a + at[i] * d, d * sizeof *v);
    out->a = v;
    return v != NULL;
  }
  uint32_t *ptr = arena_room64(scratch, (n + (size_t)1) * sizeof *ptr),
           *col = arena_room64(scratch, (entries + 1) * sizeof *col);
  if (!v || !ptr || !col)
    return false;
  ptr[0] = 0;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t from = rows->ptr[at[i]], many = rows->ptr[at[i] + 1] - from;
    memcpy(col + ptr[i], rows->col + from, many * sizeof *col);
    memcpy(v + ptr[i], rows->val + from, many * sizeof *v);
    ptr[i + 1] = ptr[i] + many;
  }
  out->ptr = ptr;
  out->col = col;
  out->val = v;
  return true;
}

void near_find_again(const NearCenters *c, const NearRows *rows, Arena *scratch, uint32_t *index,
                     double *distance2, float *lower) {
  Found to = {.index = index, .distance2 = distance2, .lower = lower};
  uint32_t *open = arena_room64(scratch, (rows->n + (size_t)1) * sizeof *open), n = rows->n;
  NearRows few = *rows;
  few.ahead = NULL;
  if (open && !c->exact)
    n = confirm(c, rows, &to, open);
  Found of = to;
  if (n && n < rows->n) {
    of = (Found){.index = arena_room64(scratch, n * sizeof *of.index),
                 .distance2 = arena_room64(scratch, n * sizeof *of.distance2),
                 .lower = arena_room64(scratch, n * sizeof *of.lower)};
    if (!of.index || !of.distance2 || !of.lower || !pick(rows, open, n, scratch, &few)) {
      of = to; /* all of them, then */
      few = *rows;
    }
  }
  if (n)
    find(c, &few, scratch, &of);
  for (uint32_t i = 0; i < n && of.index != index; i++) {
    index[open[i]] = of.index[i];
    distance2[open[i]] = of.distance2[i];
    lower[open[i]] = of.lower[i];
  }
}
