/* SPDX-License-Identifier: Apache-2.0 */
/* The Iter of k-means. Scans, in this order:
 *
 *   linear.moments      place, size and variance of the columns; is there anything to learn from?
 *   start = kmeans_parallel (B. Bahmani et al., "Scalable k-means++", 2012)
 *     one row, in the same scan
 *     few rows: one cluster.sample that takes them all as candidates
 *     else      ROUNDS times rows far from those so far; then cluster.assign weighs the
 *               candidates. From the second round on a random part of the rows stands for all of them:
 *               rows that count alone were drawn in the first
 *   start = random      k rows for each restart
 *   cluster.assign      for all restarts in the same scans, until each is done
 *
 * A restart is done when its centres no longer move, or moved by no more than the tolerance; then one more
 * scan says what its clusters are. That of the least inertia goes on alone for a while, to a far smaller
 * tolerance, and becomes the model. Clusters are numbered by falling weight, so that numbers do not depend
 * on the start. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "stdlib/cluster/cluster.h"
#include "stdlib/linear/linear.h"

#define POLISH 1e-6 /* of the tolerance: how far the best restart goes */
/* multiplications that drawing and weighing may take beyond 2 k draws a round, about */
#define DRAW_WORK 2e10

enum {
  ROUNDS = 3,
  PART_EACH = 128,                /* rows of the part for each candidate */
  DRAWS_EACH = 20,                /* rows for each draw of a round, at least, beyond */
  DRAWS_MIN = 200, DRAWS_MAX = 1500, /* of a round; candidates should be many also where k is small */
  ALL_ROWS = 4096,                /* up to so many rows, and */
  ALL_CELLS = 1 << 20,            /* so many numbers, all rows are candidates */
};

typedef struct Restart {
  double *c;           /* k x d */
  double *sums;        /* of the last scan */
  double inertia;
  ClusterMoved moved;  /* since the last scan */
  uint32_t iterations, most;
  bool last, done, converged, polish;
  double *objective;
  uint32_t nobjective;
} Restart;

typedef struct ClusterFit {
  Iter it; /* first */
  Arena arena;
  char name[128];
  char **feature;
  ClusterSpace space;
  ClusterStart start;
  uint32_t k, wanted, restarts, max_iterations;
  double tolerance, variance;
  uint64_t rows, key;
  double weight, zero;
  enum { WAIT_NOTHING, WAIT_MOMENTS, WAIT_DRAW, WAIT_WEIGHTS, WAIT_LLOYD, FINISHED } wait;
  uint32_t round, rounds;
  ClusterPoints points;
  Buf *par;            /* of the draws now under way, for reading them */
  uint32_t npar;
  Restart *run;
  uint32_t nrun;
} ClusterFit;

static void forget_par(ClusterFit *f) {
  for (uint32_t i = 0; i < f->npar; i++)
    buf_free(&f->par[i]);
  mem_free(f->par);
  f->par = NULL;
  f->npar = 0;
}

static void fit_free(Iter *it) {
  ClusterFit *f = (ClusterFit *)it;
  for (uint32_t i = 0; i < f->nrun; i++) {
    mem_free(f->run[i].c);
    mem_free(f->run[i].sums);
    mem_free(f->run[i].objective);
  }
  mem_free(f->run);
  forget_par(f);
  cluster_points_free(&f->points);
  arena_free(&f->arena);
  mem_free(f);
}

/* ---- columns ---- */

static Status place_columns(ClusterFit *f, const Moments *m, Err *e) {
  ClusterSpace *s = &f->space;
  double *shift = arena_alloc64(&f->arena, ((size_t)s->d + 1) * sizeof *shift), total = m->weight[0],
         most = 0;
  if (!shift)
    return err_memory(e);
  for (uint32_t j = 0; j < s->d; j++) {
    double low = m->low[j], high = m->high[j], mean = m->mean[0][j];
    if (!(low <= high))
      low = high = 0; /* a column without an entry */
    if (!(fabs(low) < 1e150 && fabs(high) < 1e150))
      return err_set(e, ST_DATA, "CML0437", "Scale the feature, or take its logarithm.",
                     "feature `%s` of model `%s` is too large: its values reach %g", f->feature[j], f->name,
                     fabs(low) > fabs(high) ? low : high);
    shift[j] = s->sparse || s->cosine ? 0 : mean;
    most = fabs(low - shift[j]) > most ? fabs(low - shift[j]) : most;
    most = fabs(high - shift[j]) > most ? fabs(high - shift[j]) : most;
  }
  int power = 0;
  if (most > 0)
    frexp(most, &power);
  s->shift = s->sparse || s->cosine ? NULL : shift;
  s->scale = s->cosine ? 1 : ldexp(1, power < -1000 ? 1000 : -power);
  f->variance = 0;
  for (uint32_t j = 0; j < s->d; j++) { /* share: what a sparse column stores; the rest are zeros */
    double mean = m->mean[0][j] * s->scale, share = m->w[0][j] / total,
           m2 = m->m2[0][j] * s->scale * s->scale;
    share = share > 1 ? 1 : share;
    f->variance += (m2 / total + mean * mean * (share * (1 - share))) / s->d;
  }
  if (s->cosine)
    f->variance = 1.0 / (s->d ? s->d : 1);
  return ST_OK;
}

static Status take_moments(ClusterFit *f, Bytes result, Err *e) {
  Buf par = {0};
  linear_moments_par(f->space.d, false, f->space.sparse, &par);
  void *p = par.bad ? NULL : linear_moments.open(buf_bytes(&par), e);
  buf_free(&par);
  if (!p)
    return err_memory(e);
  Moments *m = linear_moments.load(p, result, e);
  Status st = m ? ST_OK : e->code;
  if (!st) {
    f->rows = m->rows[0];
    f->weight = m->weight[0];
    if (f->rows == 0)
      st = err_set(e, ST_DATA, "CML0434", "Check the weights, the filter and the split of the data.",
                   "model `%s` has no training row with a weight above 0", f->name);
    else if (!(f->weight < INFINITY))
      st = err_set(e, ST_DATA, "CML0436", "Scale the weights: only their ratios count.",
                   "the total weight of the training rows of model `%s` is %g", f->name, f->weight);
    else
      st = place_columns(f, m, e);
  }
  linear_moments.free(p, m);
  linear_moments.close(p);
  return st;
}

/* ---- jobs ---- */

static uint64_t purpose(const ClusterFit *f, const char *what, uint32_t number) {
  return rng_word(hash_cstr(f->key, what), number);
}

static uint32_t round_draws(const ClusterFit *f) {
  double each = (double)f->rows * (f->space.d + 1.0) * (ROUNDS * (ROUNDS + 1) / 2.0),
         extra = DRAW_WORK / each, most_extra = (double)f->rows / DRAWS_EACH;
  extra = extra < most_extra ? extra : most_extra;
  uint64_t least = extra > DRAWS_MAX ? DRAWS_MAX : extra < DRAWS_MIN ? DRAWS_MIN : (uint64_t)extra;
  uint64_t n = 2 * (uint64_t)f->k > least ? 2 * (uint64_t)f->k : least;
  uint64_t most = f->space.d ? CLUSTER_CELLS_MAX / f->space.d : n;
  n = n < most ? n : most;
  return (uint32_t)(n > f->k ? n : f->k);
}

/* What share of the rows is enough for the later rounds and for the candidates' weights. */
static double part_share(const ClusterFit *f) {
  double share = PART_EACH * (1 + ROUNDS * (double)round_draws(f)) / (double)f->rows;
  return share < 0.5 ? share : 1;
}

static ClusterSpace part_space(const ClusterFit *f) {
  ClusterSpace s = f->space;
  double share = part_share(f);
  s.part = share < 1 ? (uint64_t)(share * 0x1p64) : 0;
  s.key = purpose(f, "part", 0);
  return s;
}

static Status ask_draw(ClusterFit *f, Jobs *jobs, const ClusterSpace *space, const char *what,
                       uint32_t number, uint32_t count, bool far, Err *e) {
  const ClusterPoints *p = &f->points;
  NearRows centers = {
      .n = p->x.n, .d = f->space.d, .a = p->x.a, .ptr = p->x.ptr, .col = p->x.col, .val = p->x.val};
  Job *job = jobs_add(jobs, &cluster_sample);
  Buf *par = mem_realloc(f->par, (f->npar + 1) * sizeof *par);
  if (par)
    f->par = par;
  if (!job || !par)
    return err_memory(e);
  par[f->npar] = (Buf){0};
  Buf *own = &par[f->npar++];
  cluster_sample_par(space, purpose(f, what, number), count, far ? &centers : NULL, own);
  buf_put(&job->par, own->p, own->n);
  return own->bad || job->par.bad ? err_memory(e) : ST_OK;
}

static Status ask_far(ClusterFit *f, Jobs *jobs, Err *e) {
  ClusterSpace space = f->round > 0 ? part_space(f) : f->space;
  return ask_draw(f, jobs, &space, "far", f->round++, round_draws(f), true, e);
}

static Status no_direction(const ClusterFit *f, Err *e) {
  return err_set(e, ST_DATA, "CML0434",
                 "With metric = cosine a row of zeros has no direction; check the features.",
                 "model `%s` has no training row with a feature that is not 0", f->name);
}

static Status ask_start(ClusterFit *f, Jobs *jobs, Err *e) {
  Status st = ST_OK;
  f->wait = WAIT_DRAW;
  if (f->start == START_RANDOM) {
    for (uint32_t i = 0; i < f->restarts && !st; i++)
      st = ask_draw(f, jobs, &f->space, "random", i, f->k, false, e);
    return st;
  }
  if (f->rows <= ALL_ROWS && f->rows * f->space.d <= ALL_CELLS) {
    cluster_points_free(&f->points);
    return ask_draw(f, jobs, &f->space, "all", 0, UINT32_MAX, false, e);
  }
  f->rounds = ROUNDS;
  return f->points.x.n ? ask_far(f, jobs, e) : no_direction(f, e);
}

/* The first scan: where the rows lie, and one of them, as it is. */
static Status ask_first(ClusterFit *f, Jobs *jobs, Err *e) {
  ClusterSpace space = {.d = f->space.d, .sparse = f->space.sparse, .cosine = f->space.cosine, .scale = 1};
  Job *job = jobs_add(jobs, &linear_moments);
  if (!job)
    return err_memory(e);
  linear_moments_par(f->space.d, false, f->space.sparse, &job->par);
  if (job->par.bad)
    return err_memory(e);
  f->wait = WAIT_MOMENTS;
  return f->start == START_RANDOM ? ST_OK : ask_draw(f, jobs, &space, "first", 0, 1, false, e);
}

/* The row that was drawn, in the coordinates that are known now. */
static Status take_first(ClusterFit *f, Bytes result, Err *e) {
  const ClusterSpace *space = &f->space;
  ClusterSample *s = cluster_sample_read(&f->par[0], result, e);
  if (!s)
    return e->code;
  for (uint32_t i = 0; i < s->n; i++)
    for (uint32_t k = 0; k < s->v[i]->n; k++) {
      double *v = &s->v[i]->val[k];
      *v = (*v - (space->shift ? space->shift[k] : 0)) * space->scale;
    }
  Status st = cluster_points_add(&f->points, space, s, e);
  cluster_sample_free(s);
  forget_par(f);
  return st;
}

static Status ask_steps(ClusterFit *f, Jobs *jobs, Err *e) {
  for (uint32_t i = 0; i < f->nrun; i++) {
    if (f->run[i].done)
      continue;
    NearRows centers = {.n = f->k, .d = f->space.d, .a = f->run[i].c};
    Job *job = jobs_add(jobs, &cluster_assign);
    if (!job)
      return err_memory(e);
    cluster_assign_par(&f->space, &centers, true, &f->run[i].moved, &job->par);
    f->run[i].moved.since = cluster_places(&f->space, f->run[i].c, f->k);
    if (job->par.bad)
      return err_memory(e);
  }
  f->wait = jobs->n ? WAIT_LLOYD : FINISHED;
  return ST_OK;
}

static Restart *best_run(const ClusterFit *f) {
  Restart *r = &f->run[0];
  for (uint32_t i = 1; i < f->nrun; i++)
    if (f->run[i].inertia < r->inertia)
      r = &f->run[i];
  return r;
}

/* All restarts are done: the best one goes on, unless it cannot get better. */
static void polish(ClusterFit *f) {
  Restart *r = best_run(f);
  for (uint32_t i = 0; i < f->nrun; i++)
    if (!f->run[i].done || f->run[i].polish)
      return;
  if (!r->last || r->iterations >= f->max_iterations)
    return;
  uint32_t most = 2 * r->iterations + 20;
  r->polish = true;
  r->most = most < f->max_iterations ? most : f->max_iterations;
  r->done = r->last = false;
  r->nobjective--; /* the next scan says it again */
}

static Status ask_weights(ClusterFit *f, Jobs *jobs, Err *e) {
  const ClusterPoints *p = &f->points;
  NearRows centers = {
      .n = p->x.n, .d = f->space.d, .a = p->x.a, .ptr = p->x.ptr, .col = p->x.col, .val = p->x.val};
  Job *job = jobs_add(jobs, &cluster_assign);
  if (!job)
    return err_memory(e);
  ClusterSpace space = part_space(f);
  cluster_assign_par(&space, &centers, false, NULL, &job->par);
  f->wait = WAIT_WEIGHTS;
  return job->par.bad ? err_memory(e) : ST_OK;
}

/* ---- the start ---- */

static Status runs_new(ClusterFit *f, uint32_t n, Err *e) {
  f->run = mem_alloc(((size_t)n + 1) * sizeof *f->run);
  for (uint32_t i = 0; i < n && f->run; i++) {
    f->run[i].c = mem_alloc(((size_t)f->k * f->space.d + 1) * sizeof(double));
    f->run[i].objective = mem_alloc(((size_t)f->max_iterations + 2) * sizeof(double));
    f->run[i].most = f->max_iterations;
    f->run[i].moved.run = purpose(f, "run", i) | 1;
    f->nrun = i + 1;
    if (!f->run[i].c || !f->run[i].objective)
      return err_memory(e);
  }
  return f->run ? ST_OK : err_memory(e);
}

/* Candidates are there: the starts for the rows. */
static Status from_candidates(ClusterFit *f, Jobs *jobs, Err *e) {
  size_t size = (size_t)f->k * f->space.d;
  double *c = mem_alloc((f->restarts * size + 1) * sizeof *c);
  uint32_t found = 0, kept = 0;
  Status st = c ? ST_OK : err_memory(e);
  if (!st)
    st =
        cluster_start(&f->space, &f->points, f->k, f->restarts, purpose(f, "trials", 0), c, &found, &kept, e);
  if (!st) {
    f->k = kept;
    st = runs_new(f, found, e);
  }
  for (uint32_t i = 0; i < f->nrun && !st; i++)
    memcpy(f->run[i].c, c + i * (size_t)kept * f->space.d, (size_t)kept * f->space.d * sizeof *c);
  mem_free(c);
  cluster_points_free(&f->points);
  return st ? st : ask_steps(f, jobs, e);
}

static void center_of(const ClusterDraw *t, uint32_t d, double *c) {
  memset(c, 0, d * sizeof *c);
  for (uint32_t k = 0; k < t->n; k++)
    c[t->col ? t->col[k] : k] = t->val[k];
}

static Status take_random(ClusterFit *f, const Buf *out, uint32_t nout, Jobs *jobs, Err *e) {
  Status st = ST_OK;
  for (uint32_t i = 0; i < nout && !st; i++) {
    ClusterSample *s = cluster_sample_read(&f->par[i], buf_bytes(&out[i]), e);
    if (!s)
      return e->code;
    if (i == 0) { /* all draw as many */
      f->k = s->n < f->k ? s->n : f->k;
      st = f->k ? runs_new(f, nout, e) : no_direction(f, e);
    }
    for (uint32_t k = 0; k < f->k && k < s->n && !st; k++)
      center_of(s->v[k], f->space.d, f->run[i].c + (size_t)k * f->space.d);
    cluster_sample_free(s);
  }
  forget_par(f);
  return st ? st : ask_steps(f, jobs, e);
}

static Status take_draw(ClusterFit *f, const Buf *out, uint32_t nout, Jobs *jobs, Err *e) {
  if (nout != f->npar || nout == 0)
    return err_set(e, ST_FAULT, "CML0601", NULL, "model `%s` got %u results for %u jobs", f->name, nout,
                   f->npar);
  if (f->start == START_RANDOM)
    return take_random(f, out, nout, jobs, e);
  ClusterSample *s = cluster_sample_read(&f->par[0], buf_bytes(&out[0]), e);
  if (!s)
    return e->code;
  uint32_t drawn = s->n;
  Status st = cluster_points_add(&f->points, &f->space, s, e);
  cluster_sample_free(s);
  forget_par(f);
  if (!st && f->points.x.n == 0)
    st = no_direction(f, e);
  if (st)
    return st;
  if (f->rounds == 0)
    return from_candidates(f, jobs, e);
  if (drawn == 0 || f->round == f->rounds)
    return ask_weights(f, jobs, e);
  return ask_far(f, jobs, e);
}

static Status take_weights(ClusterFit *f, Bytes result, Jobs *jobs, Err *e) {
  ClusterSums sums;
  uint32_t n = f->points.x.n;
  if (result.n != cluster_sums_doubles(n, f->space.d, false) * sizeof(double))
    return err_set(e, ST_FAULT, "CML0601", NULL, "a result of pass cluster.assign for model `%s` is damaged",
                   f->name);
  cluster_sums_at((double *)(void *)(uintptr_t)result.p, n, f->space.d, false, &sums);
  double share = part_share(f);
  for (uint32_t i = 0; i < n; i++) { /* one outside the part stands for itself at least */
    double w = sums.weight[i] / share;
    f->points.w[i] = share == 1 || w > f->points.w[i] ? w : f->points.w[i];
  }
  return from_candidates(f, jobs, e);
}

/* ---- Lloyd ---- */

static Status take_step(ClusterFit *f, Restart *r, const Buf *out, Err *e) {
  size_t n = cluster_sums_doubles(f->k, f->space.d, true) * sizeof(double);
  ClusterSums sums;
  if (out->n != n)
    return err_set(e, ST_FAULT, "CML0601", NULL, "a result of pass cluster.assign for model `%s` is damaged",
                   f->name);
  if (!r->sums && !(r->sums = mem_alloc(n)))
    return err_memory(e);
  memcpy(r->sums, out->p, n);
  cluster_sums_at(r->sums, f->k, f->space.d, true, &sums);
  r->inertia = 0;
  for (uint32_t i = 0; i < f->k; i++)
    r->inertia += sums.inertia[i];
  r->objective[r->nobjective++] = r->inertia;
  r->moved.most = r->moved.other = 0;
  if (r->last) {
    r->done = true;
    return ST_OK;
  }
  double *rows = mem_alloc(2 * (size_t)f->k * sizeof *rows); /* moving may change them */
  if (!rows)
    return err_memory(e);
  memcpy(rows, sums.rows, 2 * (size_t)f->k * sizeof *rows);
  ClusterStep step = cluster_move(&f->space, &sums, r->c);
  memcpy(sums.rows, rows, 2 * (size_t)f->k * sizeof *rows);
  mem_free(rows);
  r->moved.which = step.which;
  r->moved.most = step.most;
  r->moved.other = step.other;
  r->iterations++;
  if (step.reseeded == 0 && step.shift2 == 0) {
    r->converged = r->done = true;
  } else if (step.reseeded == 0 && step.shift2 <= (r->polish ? POLISH : 1) * f->tolerance * f->variance) {
    r->converged = r->last = true;
  } else {
    r->last = r->iterations >= r->most;
  }
  return ST_OK;
}

static Status take_steps(ClusterFit *f, const Buf *out, uint32_t nout, Jobs *jobs, Err *e) {
  uint32_t at = 0;
  Status st = ST_OK;
  for (uint32_t i = 0; i < f->nrun && !st; i++) {
    if (f->run[i].done)
      continue;
    if (at >= nout)
      return err_set(e, ST_FAULT, "CML0601", NULL, "model `%s` got %u results", f->name, nout);
    st = take_step(f, &f->run[i], &out[at++], e);
  }
  if (!st)
    polish(f);
  return st ? st : ask_steps(f, jobs, e);
}

static Status fit_next(Iter *it, const Buf *out, uint32_t nout, Jobs *jobs, Err *e) {
  ClusterFit *f = (ClusterFit *)it;
  if (f->wait == FINISHED)
    return ST_OK;
  if (f->wait == WAIT_NOTHING)
    return ask_first(f, jobs, e);
  if (nout < (f->wait == WAIT_MOMENTS ? 1 + f->npar : 1))
    return err_set(e, ST_FAULT, "CML0601", NULL, "model `%s` got %u results", f->name, nout);
  if (f->wait == WAIT_MOMENTS) {
    Status st = take_moments(f, buf_bytes(&out[0]), e);
    if (!st && f->npar)
      st = take_first(f, buf_bytes(&out[1]), e);
    return st ? st : ask_start(f, jobs, e);
  }
  if (f->wait == WAIT_DRAW)
    return take_draw(f, out, nout, jobs, e);
  if (f->wait == WAIT_WEIGHTS)
    return take_weights(f, buf_bytes(&out[0]), jobs, e);
  return take_steps(f, out, nout, jobs, e);
}

Status cluster_begin(const TrainInfo *t, Iter **out, Err *e) {
  uint32_t k = (uint32_t)option_num(t->option, t->noption, "k");
  if ((uint64_t)k * t->d > CLUSTER_CELLS_MAX)
    return err_set(e, ST_PROGRAM, "CML0335",
                   "Ask for fewer clusters, or make fewer columns: fewer levels, hashed, pca.",
                   "model `%s` has %u clusters of %u feature columns; k times columns may be %d at most",
                   t->name, k, t->d, (int)CLUSTER_CELLS_MAX);
  ClusterFit *f = mem_alloc(sizeof *f);
  if (!f)
    return err_memory(e);
  f->it.next = fit_next;
  f->it.free = fit_free;
  arena_init(&f->arena, NULL);
  snprintf(f->name, sizeof f->name, "%s", t->name);
  f->feature = arena_alloc(&f->arena, ((size_t)t->d + 1) * sizeof *f->feature);
  for (uint32_t j = 0; j < t->d && f->feature; j++)
    f->feature[j] = arena_strdup(&f->arena, t->feature[j]);
  f->k = f->wanted = k;
  f->space = (ClusterSpace){.d = t->d, .sparse = t->sparse, .scale = 1,
                            .cosine = option_num(t->option, t->noption, "metric") == METRIC_COSINE};
  f->start = (ClusterStart)option_num(t->option, t->noption, "start");
  f->restarts = (uint32_t)option_num(t->option, t->noption, "restarts");
  f->max_iterations = (uint32_t)option_num(t->option, t->noption, "max_iterations");
  f->tolerance = option_num(t->option, t->noption, "tolerance");
  f->key = hash_cstr(t->seed, t->name);
  *out = &f->it;
  return f->feature ? ST_OK : err_memory(e);
}

/* ---- the model ---- */

/* Clusters with rows, by falling weight; of equal weight by their centres. */
static uint32_t order_clusters(const ClusterFit *f, const Restart *r, const ClusterSums *s, uint32_t *order) {
  uint32_t n = 0;
  size_t d = f->space.d;
  for (uint32_t i = 0; i < f->k; i++) {
    uint32_t at = n;
    if (s->rows[i] == 0)
      continue;
    for (; at > 0; at--) {
      uint32_t other = order[at - 1];
      size_t j = 0;
      while (j < d && r->c[i * d + j] == r->c[other * d + j])
        j++;
      bool before = s->weight[i] != s->weight[other] ? s->weight[i] > s->weight[other]
                                                      : j < d && r->c[i * d + j] < r->c[other * d + j];
      if (!before)
        break;
      order[at] = other;
    }
    order[at] = i;
    n++;
  }
  return n;
}

static void note(Model *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(Model *m, const char *fmt, ...) {
  size_t have = strlen(m->warning);
  va_list ap;
  if (have && have + 2 < sizeof m->warning) {
    memcpy(m->warning + have, "; ", 3);
    have += 2;
  }
  va_start(ap, fmt);
  vsnprintf(m->warning + have, sizeof m->warning - have, fmt, ap);
  va_end(ap);
}

static void warn(const ClusterFit *f, const Restart *r, uint32_t n, Model *m) {
  m->warning[0] = 0;
  if (!r->converged)
    note(m, "the centres still moved after %u iterations. Raise max_iterations, or tolerance", r->iterations);
  if (n < f->wanted)
    note(m, "%u cluster%s instead of %u: the training rows have no more different points", n,
         n == 1 ? "" : "s", f->wanted);
  if (f->zero > 0)
    note(m, "%.0f training row%s of zeros took no part: metric = cosine needs a direction", f->zero,
         f->zero == 1 ? "" : "s");
}

static Status put_tensors(ClusterFit *f, const Restart *r, const ClusterSums *s, Model *m, Err *e) {
  size_t d = f->space.d;
  double *c = mem_alloc(((size_t)f->k * d + 2 * (size_t)f->k + 1) * sizeof *c), *rows = c + (size_t)f->k * d;
  uint32_t *order = mem_alloc(((size_t)f->k + 1) * sizeof *order), n = 0;
  Status st = c && order ? ST_OK : err_memory(e);
  if (!st) {
    n = order_clusters(f, r, s, order);
    for (uint32_t i = 0; i < n; i++) {
      const double *from = r->c + order[i] * d;
      for (size_t j = 0; j < d; j++)
        c[i * d + j] = from[j] / f->space.scale + (f->space.shift ? f->space.shift[j] : 0);
      rows[i] = s->rows[order[i]];
      rows[n + i] = s->weight[order[i]];
    }
    warn(f, r, n, m);
    st = model_add_tensor(m, "centers", n, f->space.d, c, e);
  }
  double inertia = m->nobjective ? m->objective[m->nobjective - 1] : 0, cosine = f->space.cosine;
  if (!st)
    st = model_add_tensor(m, "sizes", 1, n, rows, e);
  if (!st)
    st = model_add_tensor(m, "weights", 1, n, rows + n, e);
  if (!st)
    st = model_add_tensor(m, "inertia", 1, 1, &inertia, e);
  if (!st)
    st = model_add_tensor(m, "cosine", 1, 1, &cosine, e);
  mem_free(c);
  mem_free(order);
  return st;
}

Status cluster_finish(Iter *it, Model *m, Err *e) {
  ClusterFit *f = (ClusterFit *)it;
  if (f->wait != FINISHED || f->nrun == 0)
    return err_set(e, ST_FAULT, "CML0601", NULL, "model `%s` was finished before its last pass", f->name);
  Restart *r = best_run(f);
  ClusterSums s;
  cluster_sums_at(r->sums, f->k, f->space.d, true, &s);
  f->zero = *s.zero;
  for (uint32_t i = 0; i < r->nobjective; i++) /* of the data as they are; half of it is 1 - cos */
    r->objective[i] =
        f->space.cosine ? r->objective[i] / 2 : r->objective[i] / f->space.scale / f->space.scale;
  m->objective = r->objective; /* handed over */
  m->nobjective = r->nobjective;
  r->objective = NULL;
  m->iterations = r->iterations;
  m->converged = r->converged;
  m->rows = f->rows;
  m->weight = f->weight;
  snprintf(m->solver, sizeof m->solver, "lloyd");
  return put_tensors(f, r, &s, m, e);
}
