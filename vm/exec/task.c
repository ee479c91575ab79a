/* SPDX-License-Identifier: Apache-2.0 */
/* The work of one worker: see task.h. Read from the bottom: worker_map, worker_unit, worker_rows; all of
 * them go over units and panels with panel_next, which packs the wanted rows, and panel_run, which runs
 * the stage's row program on them (worker.c). Jobs are in jobset.c. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "vm/exec/jobset.h"
#include "vm/exec/worker.h"
#include "vm/ops.h"

enum { WRITE_BYTES = 32 << 20 }; /* of columns that a task makes before it waits for its turn to write them */

/* ---- Rows stages ---- */

/* An output of a row is not what it has to be. */
static void bad_row(const Stage *s, int32_t output, const Block *b, uint32_t off, const char *column,
                    const char *text, RowErrors *errors) {
  RowError r = {.file = b->file, .pos = b->pos + off, .step = s->prog.nval, .line = s->line, .col = s->col,
                .allow = ALLOW_WHERE};
  const IrVal *v = output >= 0 ? &s->prog.val[s->prog.out[output].val] : NULL;
  if (v && v->line) {
    r.line = v->line;
    r.col = v->col;
  }
  if (!*column && v && v->op == OP_COL)
    column = v->s;
  snprintf(r.column, sizeof r.column, "%s", column);
  snprintf(r.text, sizeof r.text, "%s", text);
  row_errors_add(errors, &r);
}

static bool null_at(const Col *c, uint32_t r) {
  return c->null && c->null[c->constant ? 0 : r];
}

static double f64_at(const Col *c, uint32_t r) {
  return c->f[c->constant ? 0 : r];
}

/* Part and fold numbers: small, never null once checked. */
static void put_small(const Col *c, uint32_t n, const uint32_t *row, uint8_t *out) {
  for (uint32_t i = 0; i < n; i++) {
    uint32_t r = c->constant ? 0 : row ? row[i] : i;
    out[i] = (uint8_t)c->i[r];
  }
}

static Status make_panel(Worker *w, const Stage *s, Prepared *q, const Block *from, uint32_t n,
                         const uint32_t *row, const Packed *k,
                         RowErrors *errors, Err *e) {
  Maker *m = &q->maker;
  Status st = ST_OK;
  for (uint32_t c = 0; c < m->ncol && !st; c++) {
    Col col = written_col(&q->made, c, k->out, k->n, w->space);
    st = maker_col(m, c, &col, row, n, e);
  }
  if (st)
    return st;
  for (uint32_t i = 0; i < n; i++)
    m->at[m->n + i] = k->at[row ? row[i] : i];
  if (q->part >= 0)
    put_small(&k->out[q->part], n, row, m->part + m->n);
  if (q->fold >= 0)
    put_small(&k->out[q->fold], n, row, m->fold + m->n);
  if (q->weight >= 0) {
    const Col *c = &k->out[q->weight];
    for (uint32_t i = 0; i < n; i++) {
      uint32_t r = row ? row[i] : i;
      double v = f64_at(c, r);
      bool good = !null_at(c, r) && isfinite(v) && v >= 0;
      m->weight[m->n + i] = good ? v : 0;
      if (!good)
        bad_row(s, q->weight, from, k->at[r], "",
                null_at(c, r) ? "the weight is null" : "the weight is negative or not finite", errors);
    }
  }
  maker_step(m, n);
  return ST_OK;
}

static bool is_cancelled(const Worker *w) {
  return w->cancel && atomic_load_explicit(w->cancel, memory_order_relaxed);
}

static Status cancelled(Err *e) {
  return err_set(e, ST_CANCEL, NULL, NULL, "interrupted");
}

static uint32_t count_true(const Col *c, uint32_t n) {
  uint32_t sum = 0;
  for (uint32_t i = 0; i < n; i++)
    sum += c->b[c->constant ? 0 : i] != 0;
  return sum;
}

/* lender: raw, or NULL. */
static Status make_rows(Worker *w, uint32_t rows_stage, const Block *raw, Block *lender, RowErrors *errors,
                        Block **out, Err *e) {
  const Stage *s = &w->p->stage[rows_stage];
  Prepared *q;
  uint32_t invalid = 0;
  *out = NULL;
  if (is_cancelled(w))
    return cancelled(e);
  Status st = worker_prepare(w, rows_stage, &q, e);
  if (!st)
    st = maker_begin(&q->maker, raw, raw->n, e);
  if (!st && lender && !q->keep)
    st = maker_lend(&q->maker, lender, e);
  for (uint32_t r = 0; r < raw->n && !st; r += PANEL_ROWS) {
    uint32_t n = raw->n - r < PANEL_ROWS ? raw->n - r : PANEL_ROWS, kept = n;
    for (uint32_t i = 0; i < n; i++)
      w->at[i] = raw->at ? raw->at[r + i] : r + i;
    for (uint32_t i = 0; i < q->nin; i++)
      col_shift(&raw->col[q->in_col[i]], r, &q->in[i]);
    Packed k = {.n = n, .at = w->at, .out = q->out};
    k.in = (RowsIn){.n = n, .col = q->in, .file = raw->file, .pos = raw->pos, .at = w->at, .clean = true};
    st = interp_run(q->interp, &k.in, q->out, q->keep, errors, e);
    if (st)
      break;
    if (q->keep) {
      kept = 0;
      for (uint32_t i = 0; i < n; i++) {
        w->kept[kept] = i;
        kept += q->keep[i] != 0;
      }
    }
    if (q->invalid >= 0)
      invalid += count_true(&q->out[q->invalid], n);
    st = make_panel(w, s, q, raw, kept, kept < n ? w->kept : NULL, &k, errors, e);
  }
  if (!st && !(st = maker_end(&q->maker, out, e)))
    (*out)->invalid = invalid;
  return st;
}

Status worker_rows(Worker *w, uint32_t rows_stage, const Block *raw, RowErrors *errors, Block **out, Err *e) {
  return make_rows(w, rows_stage, raw, NULL, errors, out, e);
}

Status worker_rows_of(Worker *w, uint32_t rows_stage, Block *raw, RowErrors *errors, Block **out, Err *e) {
  return make_rows(w, rows_stage, raw, raw, errors, out, e);
}

Status worker_predict(Worker *w, uint32_t stage, const Block *rows, uint32_t *from, RowErrors *errors,
                      Block **out, Err *e) {
  const Stage *s = &w->p->stage[stage];
  Prepared *q;
  Packed k;
  *out = NULL;
  if (is_cancelled(w))
    return cancelled(e);
  Status st = worker_prepare(w, stage, &q, e);
  Cursor c = {.b = rows, .r = *from, .end = rows->n};
  size_t panels = WRITE_BYTES / ((q->made.n + 1) * sizeof(double) * PANEL_ROWS);
  if (rows->n - c.r > (panels ? panels : 1) * PANEL_ROWS) /* wide: not a whole block at a time */
    c.end = c.r + (uint32_t)(panels ? panels : 1) * PANEL_ROWS;
  *from = c.end;
  if (!st)
    st = maker_begin(&q->maker, rows, c.end - c.r, e);
  while (!st && panel_next(w, q, &c, &k, &st, e)) {
    st = panel_run(w, q, &k, errors, e);
    if (!st)
      st = make_panel(w, s, q, rows, k.n, NULL, &k, errors, e);
  }
  return st ? st : maker_end(&q->maker, out, e);
}

/* ---- Train stages ---- */

typedef struct UnitRows { /* what goes beside the matrix of a unit */
  uint32_t *at;
  uint8_t *fold;
  double *weight, *y;
} UnitRows;

static void unit_rows_free(UnitRows *u) {
  mem_free(u->at);
  mem_free(u->fold);
  mem_free(u->weight);
  mem_free(u->y);
}

/* The panel's slots, behind what the matrix has. */
static Status add_slots(Prepared *q, const Stage *s, const Packed *k, RowErrors *errors, Err *e) {
  uint32_t nslot = 0;
  if (q->parts)
    return matrix_append_parts(q->matrix, q->interp, &s->prog, k->out, &k->in, errors, e);
  for (uint32_t i = 0; i < s->prog.nout; i++)
    if (s->prog.out[i].role == OUT_SLOT)
      q->slot[nslot++] = k->out[i];
  return matrix_append(q->matrix, &s->prog, q->slot, &k->in, errors, e);
}

static Status unit_panel(Prepared *q, const Stage *s, const Block *rows, const Packed *k, uint32_t base,
                         uint32_t n, UnitRows *u,
                         RowErrors *errors, Err *e) {
  Status st = add_slots(q, s, k, errors, e);
  const Col *y = q->target >= 0 ? &k->out[q->target] : NULL;
  for (uint32_t i = 0; i < k->n && !st; i++) {
    u->at[n + i] = k->at[i] - base;
    if (u->fold)
      u->fold[n + i] = k->fold[i];
    if (u->weight)
      u->weight[n + i] = k->weight[i];
    if (!y)
      continue;
    double v = f64_at(y, i);
    bool good = !null_at(y, i) && isfinite(v);
    u->y[n + i] = good ? v : 0;
    if (!good)
      bad_row(s, q->target, rows, k->at[i], s->target ? s->target : "",
              null_at(y, i) ? "the target is null" : "the target is not a finite number", errors);
  }
  return st;
}

Status worker_unit(Worker *w, uint32_t train_stage, const Block *rows, uint32_t unit, RowErrors *errors,
                   Block **out, Err *e) {
  const Stage *s = &w->p->stage[train_stage];
  Prepared *q;
  Packed k;
  *out = NULL;
  Status st = worker_prepare(w, train_stage, &q, e);
  if (st)
    return st;
  Cursor c = unit_cursor(rows, unit);
  uint32_t cap = c.end - c.r, n = 0;
  Block *b = mem_alloc(sizeof *b);
  if (!b)
    return err_memory(e);
  uint32_t base = unit * UNIT, last = base < rows->npos ? rows->npos - base : 0;
  b->file = rows->file;
  b->pos = rows->pos + base;
  b->npos = last < UNIT ? last : UNIT;
  b->refs = 1;
  b->bytes = sizeof *b;
  *out = b;
  if (!cap)
    return ST_OK;
  bool target = q->target >= 0;
  UnitRows u = {.at = mem_alloc64(cap * 4), .y = target ? mem_alloc64(cap * 8) : NULL};
  u.fold = rows->fold ? mem_alloc64(cap) : NULL;
  u.weight = rows->weight ? mem_alloc64(cap * 8) : NULL;
  if (!u.at || (target && !u.y) || (rows->fold && !u.fold) || (rows->weight && !u.weight))
    st = err_memory(e);
  if (!st)
    st = matrix_begin(q->matrix, cap, e);
  while (!st && panel_next(w, q, &c, &k, &st, e)) {
    kept_give(w, q, &s->prog, &k);
    st = panel_run(w, q, &k, errors, e);
    if (!st)
      st = unit_panel(q, s, rows, &k, base, n, &u, errors, e);
    n += k.n;
  }
  kept_give(w, q, &s->prog, NULL);
  size_t bytes = 0;
  if (!st && n && !(b->x = matrix_take(q->matrix, &bytes)))
    st = err_memory(e);
  if (st || !n) {
    unit_rows_free(&u);
    if (st) {
      block_drop(b);
      *out = NULL;
    }
    return st;
  }
  b->n = n;
  b->at = u.at;
  b->fold = u.fold;
  b->weight = u.weight;
  b->y = u.y;
  b->bytes += bytes + cap * (size_t)(4 + (u.y ? 8 : 0) + (u.fold ? 1 : 0) + (u.weight ? 8 : 0));
  return ST_OK;
}

/* ---- Jobs over units ---- */

/* Panels of a unit's matrix are views into it; each goes to all stages that learn from it. */
static Status map_matrix(Worker *w, const Mapped *m, int32_t matrix, JobSet *s, Block *b, Ctx *ctx) {
  Status st = ST_OK;
  Notes notes;
  notes_take(&notes, b, m->matrix[matrix].keep ? w->room : NULL);
  for (uint32_t r = 0; r < b->n && !st; r += PANEL_ROWS) {
    uint32_t n = b->n - r < PANEL_ROWS ? b->n - r : PANEL_ROWS;
    Matrix x = *b->x;
    x.n = n;
    if (x.a)
      x.a += (size_t)r * x.d;
    else
      x.ptr += r;
    Panel p = {.n = n,
               .file = b->file,
               .pos = b->pos,
               .at = b->at + r,
               .fold = b->fold ? b->fold + r : NULL,
               .weight = b->weight ? b->weight + r : NULL,
               .x = &x,
               .y = b->y ? b->y + r : NULL,
               .notes = &notes};
    notes.row = r;
    for (uint32_t i = 0; i < m->of.n && !st; i++) {
      if (m->uses[i] != matrix)
        continue;
      arena_reset(&w->scratch);
      st = jobset_panel(s, i, &p, ctx);
    }
  }
  notes_put(&notes, b);
  return st;
}

/* The jobs of one stage see a panel. */
static Status map_panel(Worker *w, uint32_t of, const Col *out, uint32_t nout, Prepared *q, const Stage *g,
                        const Packed *k, const Block *rows, JobSet *s, Ctx *ctx) {
  Panel p = {.n = k->n,
             .file = rows->file,
             .pos = rows->pos,
             .at = k->at,
             .out = out,
             .nout = nout,
             .fold = k->fold,
             .weight = k->weight};
  Status st = ST_OK;
  if (q->matrix) {
    matrix_reset(q->matrix);
    st = add_slots(q, g, k, ctx->errors, ctx->err);
    p.x = matrix_view(q->matrix);
    if (st || ctx->errors->count)
      return st;
  }
  arena_reset(&w->scratch);
  return jobset_panel(s, of, &p, ctx);
}

/* Runs the programs of stages that go together, the first of which is stage `of` of the scan. */
static Status map_programs(Worker *w, const Mapped *m, uint32_t of, JobSet *s, const Block *rows,
                           uint32_t unit, Ctx *ctx) {
  uint32_t stage[IR_GROUP_MOST], at[IR_GROUP_MOST], n = 0;
  Joint *joint = NULL;
  Prepared *q = NULL;
  Packed k;
  Err *e = ctx->err;
  for (uint32_t i = of; i < m->of.n && n < IR_GROUP_MOST; i++) {
    if (stage_leader(w->p, m->of.v[i]) != stage_leader(w->p, m->of.v[of]))
      continue;
    at[n] = i;
    stage[n++] = m->of.v[i];
  }
  Status st = n > 1 ? worker_joint(w, stage, n, &joint, e) : worker_prepare(w, stage[0], &q, e);
  if (joint)
    q = &joint->q;
  const RowProg *g = joint ? &joint->merged.prog : &w->p->stage[stage[0]].prog;
  Cursor c = unit_cursor(rows, unit);
  while (!st && panel_next(w, q, &c, &k, &st, e)) {
    kept_give(w, q, g, &k);
    st = panel_run(w, q, &k, ctx->errors, e);
    for (uint32_t i = 0; i < n && !st; i++) {
      const Stage *one = &w->p->stage[stage[i]];
      m->seen[at[i]] += k.n;
      /* after the first bad row only bad rows are looked for */
      if (k.n && !w->look && !ctx->errors->count)
        st = map_panel(w, at[i], k.out + (joint ? joint->first[i] : 0), one->prog.nout, q, one, &k, rows, s,
                       ctx);
    }
  }
  kept_give(w, q, g, NULL);
  return st;
}

/* What is kept of the unit: what is not there yet is computed where it is to stay. */
static Status find_kept(Worker *w, const Mapped *m, const Block *rows, uint32_t u, Ctx *ctx) {
  Status st = ST_OK;
  w->given = m;
  w->unit = u;
  for (uint32_t k = 0; k < m->nkept && rows && !st; k++)
    if (m->kept[k].keep && !m->kept[k].unit[u])
      st = worker_kept(w, m->kept[k].stage, rows, u, ctx->errors, &m->kept[k].unit[u], ctx->err);
  return st;
}

static Status map_unit(Worker *w, const Mapped *m, JobSet *s, const Block *rows, uint32_t u, Ctx *ctx) {
  Status st = find_kept(w, m, rows, u, ctx);
  for (uint32_t k = 0; k < m->nmatrix && !st; k++)
    if (!m->matrix[k].unit[u])
      st = worker_unit(w, m->matrix[k].stage, rows, u, ctx->errors, &m->matrix[k].unit[u], ctx->err);
  for (uint32_t i = 0; i < m->of.n && !st; i++) {
    bool first = true; /* of those that run as one program */
    for (uint32_t k = 0; k < i && m->uses[i] < 0; k++)
      first = first && stage_leader(w->p, m->of.v[k]) != stage_leader(w->p, m->of.v[i]);
    if (m->uses[i] < 0 && first)
      st = map_programs(w, m, i, s, rows, u, ctx);
    else if (m->uses[i] >= 0)
      m->seen[i] += m->matrix[m->uses[i]].unit[u]->n;
  }
  for (uint32_t k = 0; k < m->nmatrix && !st; k++)
    if (m->matrix[k].unit[u]->n && !w->look && !ctx->errors->count)
      st = map_matrix(w, m, (int32_t)k, s, m->matrix[k].unit[u], ctx);
  w->given = NULL;
  for (uint32_t k = 0; k < m->nmatrix && !st; k++) {
    if (m->matrix[k].keep)
      continue;
    block_drop(m->matrix[k].unit[u]);
    m->matrix[k].unit[u] = NULL;
  }
  return st;
}

Status worker_map(Worker *w, const Mapped *m, JobSet *s, const Block *rows, uint32_t u0, uint32_t u1,
                  const Sink *sink, RowErrors *errors, Err *e) {
  Ctx ctx = {.scratch = &w->scratch, .errors = errors, .cancel = w->cancel, .err = e};
  const Block *any = rows ? rows : m->matrix[0].unit[u0];
  Status st = ST_OK;
  for (uint32_t u = u0; u < u1 && !st; u++) {
    st = is_cancelled(w) ? cancelled(e) : map_unit(w, m, s, rows, u, &ctx);
    if (!st)
      st = jobset_unit_end(s, u - u0, e);
  }
  if (!st && !w->look && !errors->count)
    st = jobset_emit(s, any->file, any->pos / BLOCK * UNITS + u0, u1 - u0, sink, e);
  else
    jobset_abandon(s);
  return st;
}

void worker_matrices(const Program *p, Stages of, uint32_t *maker, int32_t *uses, uint32_t *n) {
  *n = 0;
  for (uint32_t i = 0; i < of.n; i++) {
    const Stage *s = &p->stage[of.v[i]];
    uint32_t stage = s->matrix >= 0 ? (uint32_t)s->matrix : of.v[i], k = 0;
    uses[i] = -1;
    if (s->kind != STAGE_TRAIN)
      continue;
    while (k < *n && maker[k] != stage)
      k++;
    if (k == *n)
      maker[(*n)++] = stage;
    uses[i] = (int32_t)k;
  }
}
