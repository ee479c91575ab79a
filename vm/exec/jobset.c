/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs of a scan inside one worker: see jobset.h and task.h.
 *
 * Jobs that look at the same folds of a stage share a mask, and each of its panels is cut down once for each
 * mask. A job's leaves in the task stand on a stack that works like a binary counter: two of one level merge
 * as soon as both are there. */
#include "vm/exec/jobset.h"

#include <string.h>

#include "base/arena.h"
#include "vm/exec/cols.h"

enum { STACK = 8 };

typedef struct Mask {
  uint32_t of;
  int32_t leave_out, only_fold;
  Gather gather;        /* of the stage's outputs; made when the first panel is cut */
  bool gather_ready;
  Col *out;
} Mask;

typedef struct JobRun {
  const Job *job;
  void *par;
  uint32_t units;       /* of a leaf: 1, 2, 4 or 8 */
  uint32_t mask;
  size_t bytes;         /* of a partial */
  void *now;            /* the leaf, or for RED_EXACT everything so far; NULL: no rows yet */
  TreeNode stack[STACK];
  uint32_t n;
} JobRun;

struct JobSet {
  JobRun *job;
  uint32_t n;
  Mask *mask;
  uint32_t nmask;
  uint32_t units;
  size_t bytes;
  uint32_t row[PANEL_ROWS], at[PANEL_ROWS];
  uint8_t fold[PANEL_ROWS];
  double weight[PANEL_ROWS], y[PANEL_ROWS];
  double *a;            /* masked dense rows, or values of sparse ones */
  uint32_t *col;
  uint32_t ptr[PANEL_ROWS + 1];
  size_t acap, ccap;
};

/* Up to 256 KiB: 4 chunks (one unit); each doubling of the partial doubles the leaf, up to a block. A
 * function of the size alone. */
static uint32_t leaf_units(size_t bytes) {
  uint32_t u = 1;
  for (size_t most = 256 << 10; bytes > most && u < UNITS; most *= 2)
    u *= 2;
  return u;
}

static uint32_t mask_of(JobSet *s, const Job *j) {
  uint32_t k = 0;
  while (k < s->nmask && (s->mask[k].of != j->of || s->mask[k].leave_out != j->leave_out ||
                          s->mask[k].only_fold != j->only_fold))
    k++;
  if (k == s->nmask)
    s->mask[s->nmask++] = (Mask){.of = j->of, .leave_out = j->leave_out, .only_fold = j->only_fold};
  return k;
}

Status jobset_new(const Jobs *jobs, JobSet **out, Err *e) {
  JobSet *s = mem_alloc(sizeof *s);
  *out = s;
  if (!s)
    return err_memory(e);
  s->units = 1;
  s->job = mem_alloc((jobs->n + 1) * sizeof *s->job);
  s->mask = mem_alloc((jobs->n + 1) * sizeof *s->mask);
  Status st = s->job && s->mask ? ST_OK : err_memory(e);
  for (uint32_t i = 0; i < jobs->n && !st; i++) {
    JobRun *r = &s->job[i];
    r->job = &jobs->v[i];
    r->par = r->job->pass->open(buf_bytes(&r->job->par), e);
    if (!r->par) {
      st = e->code ? e->code : err_memory(e);
      break;
    }
    s->n++;
    r->bytes = r->job->pass->partial_size(r->par);
    r->units = r->job->pass->kind == RED_EXACT ? 1 : leaf_units(r->bytes);
    if (r->units > s->units)
      s->units = r->units;
    s->bytes += r->bytes * (r->job->pass->kind == RED_EXACT ? 1 : 4);
    r->mask = mask_of(s, r->job);
  }
  if (st) {
    jobset_free(s);
    *out = NULL;
  }
  return st;
}

void jobset_abandon(JobSet *s) {
  for (uint32_t i = 0; i < s->n; i++) {
    JobRun *r = &s->job[i];
    const Pass *p = r->job->pass;
    if (p->kind != RED_EXACT && r->now) {
      p->free(r->par, r->now);
      r->now = NULL;
    }
    for (uint32_t k = 0; k < r->n; k++)
      if (r->stack[k].partial)
        p->free(r->par, r->stack[k].partial);
    r->n = 0;
  }
}

void jobset_free(JobSet *s) {
  if (!s)
    return;
  jobset_abandon(s);
  for (uint32_t i = 0; i < s->n; i++) {
    JobRun *r = &s->job[i];
    if (r->now)
      r->job->pass->free(r->par, r->now);
    r->job->pass->close(r->par);
  }
  for (uint32_t i = 0; i < s->nmask; i++) {
    if (s->mask[i].gather_ready)
      gather_free(&s->mask[i].gather);
    mem_free(s->mask[i].out);
  }
  mem_free(s->a);
  mem_free(s->col);
  mem_free(s->mask);
  mem_free(s->job);
  mem_free(s);
}

uint32_t jobset_units(const JobSet *s) {
  return s->units;
}

size_t jobset_bytes(const JobSet *s) {
  return s->bytes;
}

const void *jobset_par(const JobSet *s, uint32_t job) {
  return s->job[job].par;
}

void *jobset_take(JobSet *s, uint32_t job) {
  void *p = s->job[job].now;
  s->job[job].now = NULL;
  return p;
}

/* ---- A panel under a mask ---- */

static bool room(void *pp, size_t *cap, size_t need) {
  void *p;
  memcpy(&p, pp, sizeof p);
  if (need <= *cap)
    return true;
  mem_free(p);
  p = mem_alloc64(need);
  *cap = p ? need : 0;
  memcpy(pp, &p, sizeof p);
  return p != NULL;
}

static Status pick_matrix(JobSet *s, const Matrix *in, uint32_t n, Matrix *out, Err *e) {
  *out = (Matrix){.n = n, .d = in->d};
  if (in->a) {
    size_t line = in->d * sizeof(double);
    if (!room(&s->a, &s->acap, n * line + 8))
      return err_memory(e);
    for (uint32_t i = 0; i < n; i++)
      memcpy(s->a + (size_t)i * in->d, in->a + (size_t)s->row[i] * in->d, line);
    out->a = s->a;
    return ST_OK;
  }
  size_t total = 0;
  for (uint32_t i = 0; i < n; i++)
    total += in->ptr[s->row[i] + 1] - in->ptr[s->row[i]];
  if (!room(&s->a, &s->acap, total * 8 + 8) || !room(&s->col, &s->ccap, total * 4 + 8))
    return err_memory(e);
  s->ptr[0] = 0;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t from = in->ptr[s->row[i]], k = in->ptr[s->row[i] + 1] - from;
    memcpy(s->a + s->ptr[i], in->val + from, k * sizeof(double));
    memcpy(s->col + s->ptr[i], in->col + from, k * sizeof(uint32_t));
    s->ptr[i + 1] = s->ptr[i] + k;
  }
  out->val = s->a;
  out->col = s->col;
  out->ptr = s->ptr;
  return ST_OK;
}

/* *out is p with the rows of the mask only; n = 0: none. `x` is storage for its matrix. */
static Status cut_panel(JobSet *s, const Panel *p, Mask *m, Panel *out, Matrix *x, Err *e) {
  uint32_t n = 0;
  *out = *p;
  for (uint32_t i = 0; i < p->n; i++) {
    int32_t f = p->fold ? p->fold[i] : 0;
    s->row[n] = i;
    n += f != m->leave_out && (m->only_fold < 0 || f == m->only_fold);
  }
  out->n = n;
  if (n == p->n || !n)
    return ST_OK;
  for (uint32_t i = 0; i < n; i++) {
    s->at[i] = p->at[s->row[i]];
    if (p->fold)
      s->fold[i] = p->fold[s->row[i]];
    if (p->weight)
      s->weight[i] = p->weight[s->row[i]];
    if (p->y)
      s->y[i] = p->y[s->row[i]];
  }
  out->at = s->at;
  out->fold = p->fold ? s->fold : NULL;
  out->weight = p->weight ? s->weight : NULL;
  out->y = p->y ? s->y : NULL;
  out->notes = NULL; /* its rows are others */
  if (p->x) {
    out->x = x;
    return pick_matrix(s, p->x, n, x, e);
  }
  if (!m->gather_ready) {
    Status st = gather_init(&m->gather, p->nout, e);
    if (st)
      return st;
    m->gather_ready = true;
    m->out = mem_alloc((p->nout + 1) * sizeof *m->out);
  }
  if (!m->out)
    return err_memory(e);
  out->out = m->out;
  return gather_cols(&m->gather, p->out, s->row, n, m->out, e);
}

static Status map_one(JobRun *r, const Panel *p, Ctx *ctx) {
  const Pass *pass = r->job->pass;
  if (!r->now && !(r->now = pass->init(r->par, ctx->err)))
    return ctx->err->code ? ctx->err->code : err_memory(ctx->err);
  return pass->map(r->par, p, r->now, ctx);
}

Status jobset_panel(JobSet *s, uint32_t of, const Panel *p, Ctx *ctx) {
  for (uint32_t m = 0; m < s->nmask; m++) {
    if (s->mask[m].of != of)
      continue;
    Panel cut = *p;
    Matrix x;
    if (s->mask[m].leave_out >= 0 || s->mask[m].only_fold >= 0) {
      Status st = cut_panel(s, p, &s->mask[m], &cut, &x, ctx->err);
      if (st)
        return st;
    }
    for (uint32_t i = 0; i < s->n && cut.n; i++) {
      if (s->job[i].mask != m)
        continue;
      Status st = map_one(&s->job[i], &cut, ctx);
      if (st)
        return st;
    }
  }
  return ST_OK;
}

/* ---- Leaves ---- */

Status jobset_unit_end(JobSet *s, uint32_t k, Err *e) {
  for (uint32_t i = 0; i < s->n; i++) {
    JobRun *r = &s->job[i];
    if (r->job->pass->kind == RED_EXACT || (k + 1) % r->units)
      continue;
    TreeNode node = {.index = k / r->units, .partial = r->now};
    r->now = NULL;
    while (r->n && r->stack[r->n - 1].level == node.level && (r->stack[r->n - 1].index ^ 1) == node.index) {
      Status st = tree_join(r->job->pass, r->par, &node, &r->stack[--r->n], e);
      if (st)
        return st;
    }
    r->stack[r->n++] = node;
  }
  return ST_OK;
}

Status jobset_emit(JobSet *s, uint32_t file, uint64_t first, uint32_t n, const Sink *sink, Err *e) {
  for (uint32_t i = 0; i < s->n; i++) {
    JobRun *r = &s->job[i];
    if (r->job->pass->kind == RED_EXACT)
      continue;
    if (r->n != 1)
      return err_set(e, ST_FAULT, "CML0603", NULL, "a task of %u units does not suit leaves of %u units", n,
                     r->units);
    TreeNode node = r->stack[0];
    r->n = 0;
    node.file = file;
    node.index = first / n; /* tasks are aligned: n is a power of two */
    Status st = sink->node(sink->ctx, i, node, e);
    if (st)
      return st;
  }
  return ST_OK;
}
