/* SPDX-License-Identifier: Apache-2.0 */
/* The work of one worker: see task.h. Read from the bottom: worker_map, worker_unit, worker_rows; all of
 * them go over units and panels with next_panel, which packs the wanted rows, and run_panel, which runs
 * the stage's row program on them. Jobs are in jobset.c. */
#include "vm/exec/task.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "vm/exec/cols.h"
#include "vm/exec/jobset.h"
#include "vm/ops.h"
#include "vm/written.h"

enum { WRITE_BYTES = 32 << 20 }; /* of columns that a task makes before it waits for its turn to write them */

typedef struct Prepared { /* a stage as this worker runs it; made at first use */
  bool ready;
  Interp *interp;
  uint32_t nin;          /* columns that the program reads */
  uint32_t *in_col;      /* their numbers in the block */
  const char **in_name;
  Gather gather;         /* of inputs */
  Gather removed;        /* of outputs, where the program removes rows */
  Col *in, *out, *out2;
  uint8_t *keep;         /* NULL: removes nothing */
  uint64_t wanted;       /* parts that the stage reads, a bit each */
  uint64_t trained;      /* parts whose rows read what was fitted without their fold */
  Slots slots;           /* train; evaluate where it gives slots */
  MatrixBuilder *matrix;
  bool parts;            /* slots are not put together before the matrix is */
  Col *slot;
  int32_t target;        /* output number, or -1 */
  Maker maker;           /* rows, predict */
  Written made;          /* its columns */
  int32_t part, fold, weight, invalid;
} Prepared;

typedef struct Joint { /* stages that run as one program (Stage.program), as they share the scan at hand */
  uint32_t n;
  uint32_t *stage;       /* those of the scan */
  uint32_t *first;       /* number of the first output of each */
  Stage merged;
  Prepared q;
  Arena arena;
} Joint;

struct Worker {
  const Program *p;
  const Env *env;
  const atomic_bool *cancel;
  struct Jit *jit;
  Prepared *stage;
  Joint **joint;         /* by the stage that the others run with; NULL: not needed yet */
  Arena scratch;
  bool look;
  uint32_t row[PANEL_ROWS], kept[PANEL_ROWS], at[PANEL_ROWS], at2[PANEL_ROWS];
  uint8_t fold[PANEL_ROWS], fold2[PANEL_ROWS];
  uint8_t train[PANEL_ROWS];
  double weight[PANEL_ROWS], weight2[PANEL_ROWS], space[PANEL_ROWS];
};

Status worker_new(const Program *p, const Env *env, const atomic_bool *cancel, Worker **out, Err *e) {
  Worker *w = mem_alloc(sizeof *w);
  if (w)
    w->stage = mem_alloc(p->nstage * sizeof *w->stage);
  if (w)
    w->joint = mem_alloc((p->nstage + 1) * sizeof *w->joint);
  if (!w || !w->stage || !w->joint) {
    if (w) {
      mem_free(w->stage);
      mem_free(w->joint);
    }
    mem_free(w);
    return err_memory(e);
  }
  w->p = p;
  w->env = env;
  w->cancel = cancel;
  arena_init(&w->scratch, NULL);
  *out = w;
  return ST_OK;
}

static void forget(Prepared *q) {
  interp_free(q->interp);
  mem_free(q->in_col);
  mem_free(q->in_name);
  gather_free(&q->gather);
  gather_free(&q->removed);
  mem_free(q->in);
  mem_free(q->out);
  mem_free(q->out2);
  mem_free(q->keep);
  slots_free(&q->slots);
  matrix_builder_free(q->matrix);
  mem_free(q->slot);
  maker_free(&q->maker);
  written_free(&q->made);
  memset(q, 0, sizeof *q);
}

static void forget_joint(Worker *w, uint32_t stage) {
  Joint *j = w->joint[stage];
  if (!j)
    return;
  forget(&j->q);
  arena_free(&j->arena);
  mem_free(j);
  w->joint[stage] = NULL;
}

void worker_forget(Worker *w) {
  for (uint32_t i = 0; i < w->p->nstage; i++) {
    forget(&w->stage[i]);
    forget_joint(w, i);
  }
}

void worker_jit(Worker *w, struct Jit *jit) {
  w->jit = jit;
}

void worker_look(Worker *w, bool look) {
  w->look = look;
}

void worker_free(Worker *w) {
  if (!w)
    return;
  worker_forget(w);
  arena_free(&w->scratch);
  mem_free(w->joint);
  mem_free(w->stage);
  mem_free(w);
}

/* ---- Preparing a stage ---- */

/* Number of the column called s in the blocks that the stage reads, or -1. */
static int64_t column_of(const Program *p, const Stage *s, const char *name) {
  const Stage *from = &p->stage[s->from];
  if (from->kind == STAGE_SOURCE) {
    for (uint32_t i = 0; i < from->ncolumn; i++)
      if (!strcmp(from->column[i].name, name))
        return i;
    return -1;
  }
  uint32_t k = 0;
  for (uint32_t i = 0; i < from->prog.nout; i++) {
    if (from->prog.out[i].role != OUT_COLUMN)
      continue;
    if (from->prog.out[i].name && !strcmp(from->prog.out[i].name, name))
      return k;
    k++;
  }
  return -1;
}

static Status prepare_inputs(Prepared *q, const Program *p, const Stage *s, Err *e) {
  const RowProg *g = &s->prog;
  uint32_t most = g->nval + 1;
  q->in_col = mem_alloc(most * sizeof *q->in_col);
  q->in_name = mem_alloc(most * sizeof *q->in_name);
  q->in = mem_alloc(most * sizeof *q->in);
  q->out = mem_alloc((g->nout + 1) * sizeof *q->out);
  q->out2 = mem_alloc((g->nout + 1) * sizeof *q->out2);
  q->slot = mem_alloc((g->nout + 1) * sizeof *q->slot);
  if (!q->in_col || !q->in_name || !q->in || !q->out || !q->out2 || !q->slot)
    return err_memory(e);
  for (uint32_t i = 0; i < g->nval; i++) {
    if (g->val[i].op == OP_KEEP && !q->keep) {
      q->keep = mem_alloc(PANEL_ROWS);
      if (!q->keep)
        return err_memory(e);
    }
    if (g->val[i].op != OP_COL)
      continue;
    uint32_t k = 0;
    while (k < q->nin && strcmp(q->in_name[k], g->val[i].s))
      k++;
    if (k < q->nin)
      continue;
    int64_t c = column_of(p, s, g->val[i].s);
    if (c < 0)
      return err_set(e, ST_FAULT, "CML0602", NULL, "stage %s reads column %s, which %s does not give",
                     s->name, g->val[i].s,
                     p->stage[s->from].name);
    q->in_name[q->nin] = g->val[i].s;
    q->in_col[q->nin++] = (uint32_t)c;
  }
  return ST_OK;
}

static Status prepare_outputs(Prepared *q, const Stage *s, const Env *env, Err *e) {
  const RowProg *g = &s->prog;
  uint32_t flags = 0;
  q->target = q->part = q->fold = q->weight = q->invalid = -1;
  for (uint32_t i = 0; i < g->nout; i++) {
    int32_t k = (int32_t)i;
    switch (g->out[i].role) {
    case OUT_PART:
      q->part = k;
      flags |= MAKE_PART;
      break;
    case OUT_FOLD:
      q->fold = k;
      flags |= MAKE_FOLD;
      break;
    case OUT_WEIGHT:
      q->weight = k;
      flags |= MAKE_WEIGHT;
      break;
    case OUT_TARGET:
      q->target = k;
      break;
    case OUT_INVALID:
      q->invalid = k;
      break;
    default:
      break;
    }
  }
  bool makes = s->kind == STAGE_ROWS || ir_writes_rows(s);
  Status st = makes ? written_columns(g, env, &q->made, e) : ST_OK;
  return st || !makes ? st : maker_init(&q->maker, q->made.type, q->made.n, flags, e);
}

static bool gives_slots(const Stage *s) {
  for (uint32_t i = 0; i < s->prog.nout && s->kind != STAGE_TRANSFORM; i++)
    if (s->prog.out[i].role == OUT_SLOT)
      return true;
  return false;
}

enum { NO_CODE = -1 };

/* code: the number by which the JIT knows the program in all workers, or NO_CODE. */
static Status prepare_stage(Worker *w, const Stage *s, Prepared *q, int64_t code, Err *e) {
  Status st = prepare_inputs(q, w->p, s, e);
  if (!st)
    st = prepare_outputs(q, s, w->env, e);
  if (!st)
    st = gather_init(&q->gather, q->nin, e);
  if (!st && q->keep)
    st = gather_init(&q->removed, s->prog.nout, e);
  q->parts = s->kind == STAGE_TRAIN && !q->keep; /* kept rows are picked of outputs that are there */
  if (!st)
    st = (q->parts ? interp_new_parts : interp_new)(&s->prog, w->env, q->in_name, q->nin, &q->interp, e);
  if (!st && code != NO_CODE)
    st = interp_jit(q->interp, w->jit, (uint32_t)code, e);
  if (!st && gives_slots(s)) {
    st = slots_of(&s->prog, w->env, &q->slots, e);
    if (!st && !(q->matrix = matrix_builder(&q->slots, UNIT, e)))
      st = e->code;
  }
  q->wanted = ir_parts(w->p, s);
  q->trained = ir_trained(w->p, s);
  if (st)
    forget(q);
  else
    q->ready = true;
  return st;
}

static Status prepare(Worker *w, uint32_t stage, Prepared **out, Err *e) {
  *out = &w->stage[stage];
  return (*out)->ready ? ST_OK : prepare_stage(w, &w->p->stage[stage], *out, stage, e);
}

/* The stage that stage i runs with: itself, as a rule. */
static uint32_t leader(const Program *p, uint32_t i) {
  return p->stage[i].program >= 0 ? (uint32_t)p->stage[i].program : i;
}

static Status make_joint(Worker *w, uint32_t lead, const uint32_t *stage, uint32_t n, Err *e) {
  Joint *j = mem_alloc(sizeof *j);
  if (!j)
    return err_memory(e);
  w->joint[lead] = j;
  arena_init(&j->arena, NULL);
  const RowProg **prog = NEWN(&j->arena, const RowProg *, n);
  j->first = NEWN(&j->arena, uint32_t, n);
  j->stage = NEWN(&j->arena, uint32_t, n);
  j->merged = w->p->stage[lead];
  if (!prog || !j->first || !j->stage)
    return err_memory(e);
  for (uint32_t i = 0; i < n; i++)
    prog[i] = &w->p->stage[j->stage[i] = stage[i]].prog;
  j->n = n;
  if (!ir_merge(&j->arena, prog, n, &j->merged.prog, j->first))
    return err_memory(e);
  uint32_t all = 0; /* that run with it; others, in a later scan, are another program */
  for (uint32_t i = 0; i < w->p->nstage; i++)
    all += leader(w->p, i) == lead;
  return prepare_stage(w, &j->merged, &j->q, n == all ? (int64_t)w->p->nstage + lead : NO_CODE, e);
}

/* The n stages as one program. */
static Status prepare_joint(Worker *w, const uint32_t *stage, uint32_t n, Joint **out, Err *e) {
  uint32_t lead = leader(w->p, stage[0]);
  const Joint *j = w->joint[lead];
  Status st = ST_OK;
  if (!j || !j->q.ready || j->n != n || memcmp(j->stage, stage, n * sizeof *stage) != 0) {
    forget_joint(w, lead);
    st = make_joint(w, lead, stage, n, e);
  }
  *out = w->joint[lead];
  return st;
}

/* ---- Panels ---- */

typedef struct Cursor { /* rows [r, end) of a block */
  const Block *b;
  uint32_t r, end;
} Cursor;

static Cursor unit_cursor(const Block *b, uint32_t unit) {
  return (Cursor){.b = b, .r = block_row_at(b, unit * UNIT), .end = block_row_at(b, (unit + 1) * UNIT)};
}

typedef struct Packed { /* the inputs of a panel, and after run_panel its outputs */
  uint32_t n;
  const uint32_t *at;
  const uint8_t *fold;
  const double *weight;
  const Col *out;
  RowsIn in;
} Packed;

/* Packs the next rows; false at the end. */
static bool next_panel(Worker *w, Prepared *q, Cursor *c, Packed *k, Status *st, Err *e) {
  const Block *b = c->b;
  uint32_t n = 0, r = c->r;
  uint64_t wanted = b->part || q->wanted & 1 ? q->wanted : 0; /* without parts all rows are part 0 */
  if (wanted == UINT64_MAX || !b->part) {
    for (; wanted && r < c->end && n < PANEL_ROWS; r++)
      w->row[n++] = r;
  } else {
    for (; r < c->end && n < PANEL_ROWS; r++) {
      w->row[n] = r;
      n += wanted >> (b->part[r] & 63) & 1;
    }
  }
  c->r = r;
  if (!n)
    return false;
  uint32_t first = w->row[0];
  bool run = w->row[n - 1] - first == n - 1;
  for (uint32_t i = 0; i < n; i++)
    w->at[i] = b->at ? b->at[w->row[i]] : w->row[i];
  *k = (Packed){.n = n, .at = w->at};
  if (b->fold) {
    for (uint32_t i = 0; i < n; i++)
      w->fold[i] = b->fold[w->row[i]];
    k->fold = w->fold;
  }
  if (b->weight) {
    for (uint32_t i = 0; i < n; i++)
      w->weight[i] = b->weight[w->row[i]];
    k->weight = w->weight;
  }
  for (uint32_t i = 0; i < q->nin; i++) {
    const Col *src = &b->col[q->in_col[i]];
    if (run)
      col_shift(src, first, &q->in[i]);
    else
      q->in[i] = *src;
  }
  if (!run && (*st = gather_cols(&q->gather, q->in, w->row, n, q->in, e)))
    return false;
  k->in = (RowsIn){.n = n, .col = q->in, .file = b->file, .pos = b->pos, .at = w->at,
                   .fold = q->trained ? k->fold : NULL, .clean = true};
  if (k->in.fold && q->trained != q->wanted) { /* some rows were trained on */
    for (uint32_t i = 0; i < n; i++)
      w->train[i] = b->part ? q->trained >> (b->part[w->row[i]] & 63) & 1 : 1;
    k->in.train = w->train;
  }
  return true;
}

/* Runs the program; afterwards *k has only rows that it kept. */
static Status run_panel(Worker *w, Prepared *q, Packed *k, RowErrors *errors, Err *e) {
  Status st = interp_run(q->interp, &k->in, q->out, q->keep, errors, e);
  k->out = q->out;
  if (st || !q->keep)
    return st;
  uint32_t n = 0;
  for (uint32_t i = 0; i < k->n; i++) {
    w->kept[n] = i;
    n += q->keep[i] != 0;
  }
  if (n == k->n)
    return ST_OK;
  st = gather_cols(&q->removed, q->out, w->kept, n, q->out2, e);
  for (uint32_t i = 0; i < n; i++) {
    w->at2[i] = k->at[w->kept[i]];
    if (k->fold)
      w->fold2[i] = k->fold[w->kept[i]];
    if (k->weight)
      w->weight2[i] = k->weight[w->kept[i]];
  }
  k->n = k->in.n = n;
  k->out = q->out2;
  k->at = k->in.at = w->at2;
  k->fold = k->fold ? w->fold2 : NULL;
  k->weight = k->weight ? w->weight2 : NULL;
  k->in.fold = k->in.fold ? w->fold2 : NULL;
  return st;
}

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
  Status st = prepare(w, rows_stage, &q, e);
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
  Status st = prepare(w, stage, &q, e);
  Cursor c = {.b = rows, .r = *from, .end = rows->n};
  size_t panels = WRITE_BYTES / ((q->made.n + 1) * sizeof(double) * PANEL_ROWS);
  if (rows->n - c.r > (panels ? panels : 1) * PANEL_ROWS) /* wide: not a whole block at a time */
    c.end = c.r + (uint32_t)(panels ? panels : 1) * PANEL_ROWS;
  *from = c.end;
  if (!st)
    st = maker_begin(&q->maker, rows, c.end - c.r, e);
  while (!st && next_panel(w, q, &c, &k, &st, e)) {
    st = run_panel(w, q, &k, errors, e);
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
  Status st = prepare(w, train_stage, &q, e);
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
  while (!st && next_panel(w, q, &c, &k, &st, e)) {
    st = run_panel(w, q, &k, errors, e);
    if (!st)
      st = unit_panel(q, s, rows, &k, base, n, &u, errors, e);
    n += k.n;
  }
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
static Status map_matrix(Worker *w, const Mapped *m, int32_t matrix, JobSet *s, const Block *b, Ctx *ctx) {
  Status st = ST_OK;
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
               .y = b->y ? b->y + r : NULL};
    for (uint32_t i = 0; i < m->of.n && !st; i++) {
      if (m->uses[i] != matrix)
        continue;
      arena_reset(&w->scratch);
      st = jobset_panel(s, i, &p, ctx);
    }
  }
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
    if (leader(w->p, m->of.v[i]) != leader(w->p, m->of.v[of]))
      continue;
    at[n] = i;
    stage[n++] = m->of.v[i];
  }
  Status st = n > 1 ? prepare_joint(w, stage, n, &joint, e) : prepare(w, stage[0], &q, e);
  if (joint)
    q = &joint->q;
  Cursor c = unit_cursor(rows, unit);
  while (!st && next_panel(w, q, &c, &k, &st, e)) {
    st = run_panel(w, q, &k, ctx->errors, e);
    for (uint32_t i = 0; i < n && !st; i++) {
      const Stage *g = &w->p->stage[stage[i]];
      m->seen[at[i]] += k.n;
      /* after the first bad row only bad rows are looked for */
      if (k.n && !w->look && !ctx->errors->count)
        st = map_panel(w, at[i], k.out + (joint ? joint->first[i] : 0), g->prog.nout, q, g, &k, rows, s, ctx);
    }
  }
  return st;
}

static Status map_unit(Worker *w, const Mapped *m, JobSet *s, const Block *rows, uint32_t u, Ctx *ctx) {
  Status st = ST_OK;
  for (uint32_t k = 0; k < m->nmatrix && !st; k++)
    if (!m->matrix[k].unit[u])
      st = worker_unit(w, m->matrix[k].stage, rows, u, ctx->errors, &m->matrix[k].unit[u], ctx->err);
  for (uint32_t i = 0; i < m->of.n && !st; i++) {
    bool first = true; /* of those that run as one program */
    for (uint32_t k = 0; k < i && m->uses[i] < 0; k++)
      first = first && leader(w->p, m->of.v[k]) != leader(w->p, m->of.v[i]);
    if (m->uses[i] < 0 && first)
      st = map_programs(w, m, i, s, rows, u, ctx);
    else if (m->uses[i] >= 0)
      m->seen[i] += m->matrix[m->uses[i]].unit[u]->n;
  }
  for (uint32_t k = 0; k < m->nmatrix && !st; k++)
    if (m->matrix[k].unit[u]->n && !w->look && !ctx->errors->count)
      st = map_matrix(w, m, (int32_t)k, s, m->matrix[k].unit[u], ctx);
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
