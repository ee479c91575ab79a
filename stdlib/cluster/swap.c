/* SPDX-License-Identifier: Apache-2.0 */
/* Swaps: a candidate, drawn in proportion to its weight times its squared distance, takes the place of the
 * centre whose loss costs least, where that lowers the inertia (S. Lattanzi and C. Sohler, "A better
 * k-means++ algorithm via local search", 2019). Lloyd's method cannot do this: it never moves a centre from
 * one crowd to another.
 *
 * All distances of candidates and centres are kept, so that a swap that is turned down costs a look at three
 * numbers for each candidate. */
#include <math.h>
#include <string.h>

#include "stdlib/cluster/trial.h"

enum { CELLS_MAX = 1 << 23 }; /* distances kept: 64 MiB. More: no swaps */

typedef struct Swap {
  Trial *t;
  uint32_t n, k;
  double *far;       /* n x k: squared distances */
  double *next;      /* the second least of each row; the least is t->near */
  uint32_t *at;      /* centre of the least */
  double *loss;      /* k */
  double inertia;
} Swap;

static void two_nearest(Swap *s, uint32_t i) {
  const double *far = s->far + (size_t)i * s->k;
  double least = INFINITY, next = INFINITY;
  uint32_t at = 0;
  for (uint32_t j = 0; j < s->k; j++) {
    if (far[j] < least) {
      next = least;
      least = far[j];
      at = j;
    } else if (far[j] < next) {
      next = far[j];
    }
  }
  s->t->near[i] = least;
  s->next[i] = next;
  s->at[i] = at;
}

static void count_inertia(Swap *s) {
  s->inertia = 0;
  for (uint32_t i = 0; i < s->n; i++)
    s->inertia += s->t->p->w[i] * s->t->near[i];
}

static void all_distances(Swap *s) {
  const NearRows *rows = &s->t->rows;
  for (uint32_t j = 0; j < s->k; j++) {
    const double *c = s->t->c + (size_t)j * rows->d;
    double cc = 0;
    for (uint32_t a = 0; a < rows->d; a++)
      cc += c[a] * c[a];
    near_distances(rows, s->t->square, c, cc, s->t->with);
    for (uint32_t i = 0; i < s->n; i++)
      s->far[(size_t)i * s->k + j] = s->t->with[i];
  }
  for (uint32_t i = 0; i < s->n; i++)
    two_nearest(s, i);
  count_inertia(s);
}

/* with: distances from the candidate. The centre to give up, and the inertia then. */
static uint32_t cheapest(Swap *s, const double *with, double *inertia) {
  const double *w = s->t->p->w, *near = s->t->near;
  double base = 0;
  memset(s->loss, 0, s->k * sizeof *s->loss);
  for (uint32_t i = 0; i < s->n; i++) {
    double kept = with[i] < near[i] ? with[i] : near[i], lost = with[i] < s->next[i] ? with[i] : s->next[i];
    base += w[i] * kept;
    s->loss[s->at[i]] += w[i] * (lost - kept);
  }
  uint32_t best = 0;
  for (uint32_t j = 1; j < s->k; j++)
    best = s->loss[j] < s->loss[best] ? j : best;
  *inertia = base + s->loss[best];
  return best;
}

static bool try_swap(Swap *s) {
  Trial *t = s->t;
  uint32_t p = trial_draw(t, s->inertia);
  const double *with = trial_distances(t, p);
  double inertia;
  uint32_t j = cheapest(s, with, &inertia);
  if (!(inertia < s->inertia * (1 - 1e-6)))
    return false;
  trial_center(t, p, t->c + (size_t)j * t->rows.d);
  for (uint32_t i = 0; i < s->n; i++) {
    double *far = &s->far[(size_t)i * s->k + j];
    bool involved = s->at[i] == j || *far == s->next[i];
    *far = with[i];
    if (involved || *far < s->next[i])
      two_nearest(s, i);
  }
  count_inertia(s);
  return true;
}

Status trial_swap(Trial *t, uint32_t k, uint32_t *swapped, Err *e) {
  size_t n = t->rows.n;
  *swapped = 0;
  if (k < 2 || n * k > CELLS_MAX)
    return ST_OK;
  double *v = mem_alloc((n * k + n + k + 1) * sizeof *v);
  Swap s = {
      .t = t, .n = (uint32_t)n, .k = k, .far = v, .next = v + n * k, .at = mem_alloc((n + 1) * sizeof *s.at)};
  Status st = v && s.at ? ST_OK : err_memory(e);
  if (!st) {
    s.loss = s.next + n;
    all_distances(&s);
    for (uint32_t i = 0; i < 3 * k + 10 && s.inertia > 0; i++)
      *swapped += try_swap(&s);
  }
  mem_free(v);
  mem_free(s.at);
  return st;
}
