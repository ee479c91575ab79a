/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that are kept (IrVal.kept): their rows, a unit at a time, made by a program of the step alone, and
 * given to programs that have it. While a unit is made its entries grow; small whole numbers, as counts of
 * words are, take a byte each. Read worker_kept. */
#include <string.h>

#include "vm/exec/worker.h"

/* ---- Entries ---- */

typedef struct Entries { /* elements and values of a unit under construction */
  uint32_t *col;
  double *val;
  int8_t *few;    /* instead of val as long as all fit: an eighth of it */
  size_t n, cap;
} Entries;

static void entries_free(Entries *x) {
  mem_free(x->col);
  mem_free(x->val);
  mem_free(x->few);
}

static bool resize(void *slot, size_t n) {
  void *p;
  memcpy(&p, slot, sizeof p);
  void *q = mem_realloc(p, n ? n : 1);
  if (q)
    memcpy(slot, &q, sizeof q);
  return q != NULL;
}

static Status entries_room(Entries *x, size_t cap, bool few, Err *e) {
  bool good = cap < UINT32_MAX && resize(&x->col, cap * sizeof *x->col) &&
              (few ? resize(&x->few, cap) : resize(&x->val, cap * sizeof *x->val));
  x->cap = cap;
  return good ? ST_OK : err_memory(e);
}

/* A value that is no small whole number: all become doubles. */
static Status widen(Entries *x, Err *e) {
  if (entries_room(x, x->cap, false, e) != ST_OK)
    return e->code;
  for (size_t i = 0; i < x->n; i++)
    x->val[i] = x->few[i];
  mem_free(x->few);
  x->few = NULL;
  return ST_OK;
}

static Status entries_append(Entries *x, const Col *c, uint32_t n, Err *e) {
  uint32_t from = c->ptr[0], count = c->ptr[n] - from;
  const double *f = c->f + from;
  if (x->n + count > x->cap && entries_room(x, (x->n + count) / 4 * 5 + 64, x->few != NULL, e) != ST_OK)
    return e->code;
  if (count)
    memcpy(x->col + x->n, c->el + from, count * sizeof *x->col);
  bool fit = x->few != NULL;
  for (uint32_t i = 0; fit && i < count; i++) {
    bool small = f[i] >= -128 && f[i] <= 127;
    x->few[x->n + i] = small ? (int8_t)f[i] : 0;
    fit = x->few[x->n + i] == f[i];
  }
  if (!fit && x->few && widen(x, e) != ST_OK)
    return e->code;
  if (!fit && count)
    memcpy(x->val + x->n, f, count * sizeof *f);
  x->n += count;
  return ST_OK;
}

static Status entries_take(Block *b, Entries *x, uint32_t most, Err *e) {
  if (entries_room(x, x->n + 1, x->few != NULL, e) != ST_OK)
    return e->code;
  b->x->col = x->col;
  b->x->val = x->val;
  b->ncol = 1;
  b->col[0] = (Col){.type = IR_BOOL, .b = (uint8_t *)x->few};
  *x = (Entries){.n = x->n};
  size_t value = b->x->val ? sizeof *b->x->val : 1;
  b->bytes = sizeof *b + sizeof *b->x + (most + (size_t)1) * sizeof *b->x->ptr +
             x->n * (sizeof *b->x->col + value);
  return ST_OK;
}

/* ---- Units ---- */

static void forget(Worker *w, uint32_t number) {
  Keeper *k = w->keeper[number];
  if (!k)
    return;
  prepared_free(&k->q);
  arena_free(&k->arena);
  mem_free(k);
  w->keeper[number] = NULL;
}

void kept_forget(Worker *w) {
  for (uint32_t i = 0; i <= IR_KEPT_MOST; i++)
    forget(w, i);
}

/* The steps that the one with this number is made of, in the first stage that has it. */
static Status make_keeper(Worker *w, uint32_t number, Err *e) {
  const Stage *s = w->p->stage;
  int64_t step;
  while ((step = ir_kept_step(&s->prog, number)) < 0)
    s++;
  Keeper *k = w->keeper[number] = mem_alloc(sizeof *k);
  if (!k)
    return err_memory(e);
  arena_init(&k->arena, NULL);
  k->fill = 16;
  k->stage = *s;
  k->stage.kind = STAGE_FIT;
  if (!ir_only(&k->arena, &s->prog, (uint32_t)step, &k->stage.prog))
    return err_memory(e);
  return prepared_make(w, &k->stage, &k->q, NO_CODE, e);
}

/* The rows of the unit: b->x, without values where these are in the one column of b. */
static Status keep_rows(Worker *w, Keeper *k, const Block *rows, uint32_t unit, RowErrors *errors, Block *b,
                        Entries *x, Err *e) {
  Packed p;
  Cursor c = unit_cursor(rows, unit);
  uint32_t most = c.end - c.r;
  b->x = mem_alloc(sizeof *b->x);
  b->col = mem_alloc(sizeof *b->col);
  if (!b->x || !b->col || !(b->x->ptr = mem_alloc((most + (size_t)1) * sizeof *b->x->ptr)))
    return err_memory(e);
  Status st = entries_room(x, (size_t)(most * k->fill * 1.05) + 64, true, e);
  while (!st && panel_next(w, &k->q, &c, &p, &st, e)) {
    const Col *v = k->q.out;
    st = panel_run(w, &k->q, &p, errors, e);
    for (uint32_t r = 1; r <= p.n && !st; r++)
      b->x->ptr[b->n + r] = (uint32_t)x->n + (v->ptr[r] - v->ptr[0]);
    if (!st)
      st = entries_append(x, v, p.n, e);
    b->n += p.n;
  }
  if (st)
    return st;
  k->fill = b->n ? (double)x->n / b->n : k->fill;
  return entries_take(b, x, most, e);
}

Status worker_kept(Worker *w, uint32_t number, const Block *rows, uint32_t unit, RowErrors *errors,
                   Block **out, Err *e) {
  *out = NULL;
  if (!w->keeper[number] || !w->keeper[number]->q.ready) {
    forget(w, number);
    if (make_keeper(w, number, e) != ST_OK)
      return e->code;
  }
  Block *b = mem_alloc(sizeof *b);
  if (!b)
    return err_memory(e);
  b->file = rows->file;
  b->pos = rows->pos + unit * UNIT;
  b->refs = 1;
  Entries x = {.n = 0};
  if (keep_rows(w, w->keeper[number], rows, unit, errors, b, &x, e) == ST_OK)
    *out = b;
  else
    block_drop(b);
  entries_free(&x);
  return e->code;
}

void kept_give(Worker *w, Prepared *q, const RowProg *g, const Packed *k) {
  const Mapped *m = w->given;
  for (uint32_t i = 0; m && q && q->interp && i < m->nkept; i++) {
    int64_t step = ir_kept_step(g, m->kept[i].stage);
    const Block *b = m->kept[i].unit[w->unit];
    if (step < 0)
      continue;
    Given rows = {.ptr = NULL};
    if (b && k)
      rows = (Given){b->x->ptr + k->first, b->x->col, b->x->val, (const int8_t *)b->col[0].b};
    interp_give(q->interp, (uint32_t)step, rows.ptr ? &rows : NULL);
  }
}
