/* SPDX-License-Identifier: Apache-2.0 */
/* A worker, and the stages that it runs: see worker.h. Stages are prepared when first used; panel_next packs
 * the rows of a block that a stage wants, and panel_run runs its program on them. */
#include "vm/exec/worker.h"

#include <string.h>

#include "vm/ops.h"

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

void prepared_free(Prepared *q) {
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
  prepared_free(&j->q);
  arena_free(&j->arena);
  mem_free(j);
  w->joint[stage] = NULL;
}

void worker_forget(Worker *w) {
  kept_forget(w);
  for (uint32_t i = 0; i < w->p->nstage; i++) {
    prepared_free(&w->stage[i]);
    forget_joint(w, i);
  }
}

void worker_jit(Worker *w, struct Jit *jit) {
  w->jit = jit;
}

void worker_notes(Worker *w, struct NoteRoom *room) {
  w->room = room;
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

/* Words, keys and entries of as many texts stay in the second-level cache; no result depends on it. */
static uint32_t panel_most(const RowProg *p) {
  const uint32_t texts = 256;
  bool lists = false;
  for (uint32_t i = 0; i < p->nval; i++)
    lists = lists || p->val[i].type == IR_STRS;
  return lists && texts < PANEL_ROWS ? texts : PANEL_ROWS;
}

Status prepared_make(Worker *w, const Stage *s, Prepared *q, int64_t code, Err *e) {
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
    st = slots_unnamed(&s->prog, w->env, &q->slots, e);
    if (!st && !(q->matrix = matrix_builder(&q->slots, UNIT, e)))
      st = e->code;
  }
  q->wanted = ir_parts(w->p, s);
  q->trained = ir_trained(w->p, s);
  q->most = panel_most(&s->prog);
  if (st)
    prepared_free(q);
  else
    q->ready = true;
  return st;
}

Status worker_prepare(Worker *w, uint32_t stage, Prepared **out, Err *e) {
  *out = &w->stage[stage];
  return (*out)->ready ? ST_OK : prepared_make(w, &w->p->stage[stage], *out, stage, e);
}

uint32_t stage_leader(const Program *p, uint32_t i) {
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
    all += stage_leader(w->p, i) == lead;
  return prepared_make(w, &j->merged, &j->q, n == all ? (int64_t)w->p->nstage + lead : NO_CODE, e);
}

Status worker_joint(Worker *w, const uint32_t *stage, uint32_t n, Joint **out, Err *e) {
  uint32_t lead = stage_leader(w->p, stage[0]);
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

Cursor unit_cursor(const Block *b, uint32_t unit) {
  return (Cursor){.b = b, .r = block_row_at(b, unit * UNIT), .end = block_row_at(b, (unit + 1) * UNIT)};
}

bool panel_next(Worker *w, Prepared *q, Cursor *c, Packed *k, Status *st, Err *e) {
  const Block *b = c->b;
  uint32_t n = 0, r = c->r;
  uint64_t wanted = b->part || q->wanted & 1 ? q->wanted : 0; /* without parts all rows are part 0 */
  if (wanted == UINT64_MAX || !b->part) {
    for (; wanted && r < c->end && n < q->most; r++)
      w->row[n++] = r;
  } else {
    for (; r < c->end && n < q->most; r++) {
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
  *k = (Packed){.n = n, .at = w->at, .first = c->done};
  c->done += n;
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

Status panel_run(Worker *w, Prepared *q, Packed *k, RowErrors *errors, Err *e) {
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
