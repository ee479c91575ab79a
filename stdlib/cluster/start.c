/* SPDX-License-Identifier: Apache-2.0 */
/* First centres from weighted candidates, on the driver. Candidates are all rows, or those that the rounds of
 * k-means|| drew (fit.c), each with the weight of the rows around it.
 *
 * A trial is k-means++ (D. Arthur and S. Vassilvitskii, 2007; of several draws the one that lowers the
 * inertia most, as their section 5.2 has it) and Lloyd's method until nothing moves, both on the
 * candidates. Trials cost little beside passes over the rows, so there are many. Those of least inertia
 * are improved by swaps (swap.c) and Lloyd's method in turns, and are what the rows start from. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "stdlib/cluster/cluster.h"
#include "stdlib/cluster/trial.h"

enum { DISTANCES = 1 << 23 }; /* of candidates from candidates that are kept: 64 MiB */
enum { TRIALS_MAX = 200, LLOYD_MAX = 100, TURNS_MAX = 6, POOL = 8 };
#define TRIAL_WORK 2e8 /* of trial_work: nanoseconds, about */

/* ---- candidates ---- */

void cluster_points_free(ClusterPoints *p) {
  mem_free(p->x.a);
  mem_free(p->x.ptr);
  mem_free(p->x.col);
  mem_free(p->x.val);
  mem_free(p->w);
  *p = (ClusterPoints){.cap = 0};
}

static bool grow(void *pp, size_t n) {
  void **p = pp, *v = mem_realloc(*p, n + 1);
  if (v)
    *p = v;
  return v != NULL;
}

Status cluster_points_add(ClusterPoints *p, const ClusterSpace *s, const ClusterSample *from, Err *e) {
  size_t n = (size_t)p->x.n + from->n, entries = s->sparse && p->x.n ? p->x.ptr[p->x.n] : 0;
  for (uint32_t i = 0; i < from->n; i++)
    entries += from->v[i]->n;
  if (n >= UINT32_MAX || entries >= UINT32_MAX || !grow(&p->w, n * sizeof(double)))
    return err_memory(e);
  bool good = s->sparse ? grow(&p->x.ptr, (n + 1) * sizeof(uint32_t)) &&
                              grow(&p->x.col, entries * sizeof(uint32_t)) &&
                              grow(&p->x.val, entries * sizeof(double))
                        : grow(&p->x.a, n * s->d * sizeof(double));
  if (!good)
    return err_memory(e);
  p->x.d = s->d;
  if (s->sparse && !p->x.n)
    p->x.ptr[0] = 0;
  for (uint32_t i = 0; i < from->n; i++) {
    const ClusterDraw *t = from->v[i];
    uint32_t at = p->x.n++;
    p->w[at] = t->weight;
    if (s->sparse) {
      p->x.ptr[at + 1] = p->x.ptr[at] + t->n;
      memcpy(p->x.col + p->x.ptr[at], t->col, t->n * sizeof(uint32_t));
      memcpy(p->x.val + p->x.ptr[at], t->val, t->n * sizeof(double));
    } else {
      memcpy(p->x.a + (size_t)at * s->d, t->val, s->d * sizeof(double));
    }
  }
  return ST_OK;
}

/* ---- k-means++ ---- */

static double uniform(Trial *t) {
  return unit_of(rng_word(t->key, t->count++));
}

uint32_t trial_draw(Trial *t, double total) {
  double left = uniform(t) * total;
  uint32_t last = 0;
  for (uint32_t i = 0; i < t->rows.n; i++) {
    double share = t->p->w[i] * t->near[i];
    if (!(share > 0))
      continue;
    last = i;
    if (left < share)
      break;
    left -= share;
  }
  return last;
}

void trial_center(const Trial *t, uint32_t i, double *c) {
  const NearRows *r = &t->rows;
  if (r->a) {
    memcpy(c, r->a + (size_t)i * r->d, r->d * sizeof *c);
    return;
  }
  memset(c, 0, r->d * sizeof *c);
  for (uint32_t k = r->ptr[i]; k < r->ptr[i + 1]; k++)
    c[r->col[k]] = r->val[k];
}

const double *trial_distances(Trial *t, uint32_t i) {
  double *to = t->from[i];
  if (to)
    return to;
  if (t->rooms) {
    t->from[i] = to = t->room;
    t->room += t->rows.n;
    t->rooms--;
  } else {
    to = t->spare;
  }
  trial_center(t, i, t->one);
  near_distances(&t->rows, t->square, t->one, t->square[i], to);
  return to;
}

/* with = min(near, distance to candidate i); the sum of w with. */
static double try_candidate(Trial *t, uint32_t i) {
  const double *restrict from = trial_distances(t, i), *restrict near = t->near, *restrict w = t->p->w;
  double *restrict with = t->with, sum = 0;
  for (uint32_t r = 0; r < t->rows.n; r++) {
    with[r] = from[r] < near[r] ? from[r] : near[r];
    sum += w[r] * with[r];
  }
  return sum;
}

/* Adds a centre at c; false: every candidate lies on one. *total: sum of w near. */
static bool add_center(Trial *t, uint32_t draws, double *c, double *total) {
  if (!(*total > 0))
    return false;
  double least = INFINITY;
  uint32_t chosen = 0;
  for (uint32_t i = 0; i < draws; i++) {
    uint32_t at = trial_draw(t, *total);
    double sum = try_candidate(t, at);
    if (sum < least) {
      least = sum;
      chosen = at;
      double *swap = t->best;
      t->best = t->with;
      t->with = swap;
    }
  }
  trial_center(t, chosen, c);
  memcpy(t->near, t->best, t->rows.n * sizeof *t->near);
  *total = least;
  return true;
}

static uint32_t plus_plus(Trial *t, uint32_t draws) {
  double total = 0;
  for (uint32_t i = 0; i < t->rows.n; i++) {
    t->near[i] = 1;
    total += t->p->w[i];
  }
  uint32_t first = trial_draw(t, total), n = 1;
  for (uint32_t i = 0; i < t->rows.n; i++)
    t->near[i] = INFINITY;
  total = try_candidate(t, first);
  trial_center(t, first, t->c);
  memcpy(t->near, t->with, t->rows.n * sizeof *t->near);
  while (n < t->k && add_center(t, draws, t->c + (size_t)n * t->rows.d, &total))
    n++;
  return n;
}

/* ---- Lloyd's method on the candidates ---- */

static Status one_step(const Trial *t, const void *par, double *c, uint32_t k, double *inertia,
                       ClusterStep *step, Err *e) {
  ClusterSums sums;
  RowErrors *errors = mem_alloc(sizeof *errors);
  double *v = errors ? cluster_assign.init(par, e) : NULL;
  Ctx ctx = {.errors = errors, .err = e};
  Status st = v ? ST_OK : err_memory(e);
  for (uint32_t from = 0; from < t->rows.n && !st; from += PANEL_ROWS) {
    Matrix x = t->p->x;
    x.n = t->rows.n - from < PANEL_ROWS ? t->rows.n - from : PANEL_ROWS;
    if (x.a)
      x.a += (size_t)from * x.d;
    else
      x.ptr += from;
    Panel panel = {.n = x.n, .x = &x, .weight = t->p->w + from};
    st = cluster_assign.map(par, &panel, v, &ctx);
  }
  if (!st) {
    cluster_sums_at(v, k, t->rows.d, true, &sums);
    *inertia = 0;
    for (uint32_t i = 0; i < k; i++)
      *inertia += sums.inertia[i];
    *step = cluster_move(&t->space, &sums, c);
  }
  cluster_assign.free(par, v);
  mem_free(errors);
  return st;
}

static Status lloyd(const Trial *t, uint32_t k, double *inertia, Err *e) {
  Status st = ST_OK;
  ClusterStep step = {.shift2 = 1};
  for (uint32_t i = 0; i < LLOYD_MAX && !st && (step.shift2 > 0 || step.reseeded); i++) {
    Buf par = {0};
    NearRows centers = {.n = k, .d = t->rows.d, .a = t->c};
    cluster_assign_par(&t->space, &centers, true, NULL, &par);
    void *p = par.bad ? NULL : cluster_assign.open(buf_bytes(&par), e);
    buf_free(&par);
    st = p ? one_step(t, p, t->c, k, inertia, &step, e) : err_memory(e);
    if (p)
      cluster_assign.close(p);
  }
  return st;
}

/* ---- trials ---- */

/* Sorted by inertia; one that is as good as another already there is taken to be the same. */
static void keep(double *centers, double *inertia, uint32_t *n, uint32_t most, const double *c, size_t size,
                 double value) {
  uint32_t at = *n;
  for (uint32_t i = 0; i < *n; i++)
    if (fabs(inertia[i] - value) <= 1e-9 * value)
      return;
  while (at > 0 && inertia[at - 1] > value)
    at--;
  if (at == most)
    return;
  uint32_t moved = (*n < most ? *n : most - 1) - at;
  memmove(inertia + at + 1, inertia + at, moved * sizeof *inertia);
  memmove(centers + (at + 1) * size, centers + at * size, moved * size * sizeof *centers);
  memcpy(centers + at * size, c, size * sizeof *c);
  inertia[at] = value;
  *n += *n < most;
}

/* Swaps and Lloyd's method in turns, as long as swaps find something. */
static Status improve(Trial *t, uint32_t k, const double *c, double *inertia, Err *e) {
  Status st = ST_OK;
  memcpy(t->c, c, (size_t)k * t->rows.d * sizeof *c);
  for (uint32_t turn = 0, swapped = 1; turn < TURNS_MAX && swapped && !st; turn++) {
    st = trial_swap(t, k, &swapped, e);
    if (!st && swapped)
      st = lloyd(t, k, inertia, e);
  }
  return st;
}

/* Nanoseconds of a trial, about; a function of sizes alone. Distances between candidates are looked up, as
 * far as there is room for them. */
static double trial_work(double n, double k, double d, double draws) {
  double step = 40 + 0.05 * k * d + d, kept = n * n > DISTANCES ? DISTANCES / (n * n) : 1;
  double look = 1.5 + (1 - kept) * (5 + 0.3 * d);
  return n * (20 * step + k * draws * look + (3 * k + 10) * (look + 1.5)) + 1;
}

static bool trial_new(Trial *t, const ClusterSpace *s, const ClusterPoints *p, uint32_t k) {
  *t = (Trial){.p = p, .k = k, .space = {.d = s->d, .sparse = s->sparse, .cosine = s->cosine, .scale = 1}};
  t->rows = (NearRows){.n = p->x.n, .d = s->d, .a = p->x.a, .ptr = p->x.ptr, .col = p->x.col, .val = p->x.val,
                       .direct = !s->sparse};
  size_t n = p->x.n;
  t->rooms = n && DISTANCES / n < n ? DISTANCES / n : n;
  t->square = mem_alloc((5 * n + s->d + t->rooms * n + 1) * sizeof *t->square);
  t->from = mem_alloc((n + 1) * sizeof *t->from);
  t->c = mem_alloc(((size_t)k * s->d + 1) * sizeof *t->c);
  if (!t->square || !t->c || !t->from)
    return false;
  t->near = t->square + n;
  t->with = t->square + 2 * n;
  t->best = t->square + 3 * n;
  t->spare = t->square + 4 * n;
  t->one = t->square + 5 * n;
  t->room = t->one + s->d;
  for (uint32_t i = 0; i < n; i++)
    t->square[i] = near_square(&t->rows, i);
  return true;
}

Status cluster_start(const ClusterSpace *s, const ClusterPoints *p, uint32_t k, uint32_t starts, uint64_t key,
                     double *centers, uint32_t *found, uint32_t *kept, Err *e) {
  Trial t;
  uint32_t draws = 2;
  for (uint32_t i = k; i > 2; i /= 3)
    draws++; /* about 2 + log k */
  uint32_t pool = starts > POOL ? starts : POOL;
  double trials = TRIAL_WORK / trial_work(p->x.n, k, s->d, draws);
  trials = trials < pool ? pool : trials > TRIALS_MAX && pool < TRIALS_MAX ? TRIALS_MAX : trials;
  size_t size = (size_t)k * s->d;
  double *best = mem_alloc((pool * (size + 1) + 1) * sizeof *best), *inertia = best + pool * size;
  Status st = trial_new(&t, s, p, k) && best ? ST_OK : err_memory(e);
  *found = 0;
  *kept = 0;
  for (uint32_t i = 0; i < trials && !st; i++) {
    double value = 0;
    uint32_t swapped;
    t.key = rng_word(key, i);
    t.count = 0;
    *kept = plus_plus(&t, draws);
    st = trial_swap(&t, *kept, &swapped, e);
    if (!st)
      st = lloyd(&t, *kept, &value, e);
    if (!st)
      keep(best, inertia, found, pool, t.c, (size_t)*kept * s->d, value);
    if (*kept < k)
      break; /* every candidate is a centre */
  }
  uint32_t n = 0;
  for (uint32_t i = 0; i < *found && !st; i++) {
    double value = inertia[i];
    t.key = rng_word(key, UINT32_MAX - (uint64_t)i);
    t.count = 0;
    size = (size_t)*kept * s->d;
    st = improve(&t, *kept, best + i * size, &value, e);
    if (!st)
      keep(centers, inertia, &n, starts, t.c, size, value);
  }
  *found = n;
  mem_free(t.square);
  mem_free(t.from);
  mem_free(t.c);
  mem_free(best);
  return st;
}
