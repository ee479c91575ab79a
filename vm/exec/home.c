/* SPDX-License-Identifier: Apache-2.0 */
/* What an executor that runs in this process holds: see home.h. */
#include "vm/exec/home.h"

#include <setjmp.h>
#include <string.h>

#include "base/arena.h"

Status home_open(Home *h, Bytes text, const Registry *r, const Limits *l, Err *e) {
  jmp_buf oom;
  memset(h, 0, sizeof *h);
  h->reg = *r;
  h->lim = *l;
  if (!h->lim.threads)
    h->lim.threads = 1;
  arena_init(&h->arena, &oom);
  Status st;
  if (setjmp(oom))
    st = err_memory(e);
  else
    st = ir_parse(&h->arena, (const char *)text.p, (uint32_t)text.n, &h->p, e);
  h->arena.oom = NULL;
  if (!st)
    st = ir_verify(h->p, e);
  if (!st) {
    buf_put(&h->text, text.p, text.n);
    h->env.v = mem_alloc((h->p->nfitted + 1) * sizeof *h->env.v);
    h->env.n = h->p->nfitted;
    st = h->text.bad || !h->env.v ? err_memory(e) : ST_OK;
  }
  if (st)
    home_close(h);
  return st;
}

Status home_put(Home *h, uint32_t id, Bytes value, bool *again, Err *e) {
  Fitted *f = NULL;
  *again = false;
  if (id >= h->env.n)
    return err_set(e, ST_FAULT, "CML0604", NULL, "the program has no fitted value number %u", id);
  Status st = fitted_load(value, h->reg.estimator, &f, e);
  if (st)
    return st;
  *again = h->env.v[id] != NULL;
  if (*again)
    fitted_free((Fitted *)h->env.v[id]);
  h->env.v[id] = f;
  return ST_OK;
}

void home_close(Home *h) {
  for (uint32_t i = 0; h->env.v && i < h->env.n; i++)
    if (h->env.v[i])
      fitted_free((Fitted *)h->env.v[i]);
  mem_free(h->env.v);
  buf_free(&h->text);
  arena_free(&h->arena);
  memset(h, 0, sizeof *h);
}

Status home_rows_stage(const Home *h, Stages of, uint32_t *rows, Err *e) {
  int32_t from = of.n && of.v[0] < h->p->nstage ? h->p->stage[of.v[0]].from : -1;
  bool good = from >= 0 && (uint32_t)from < h->p->nstage && h->p->stage[from].kind == STAGE_ROWS;
  for (uint32_t i = 1; good && i < of.n; i++)
    good = of.v[i] < h->p->nstage && h->p->stage[of.v[i]].from == from;
  if (!good)
    return err_set(e, ST_FAULT, "CML0605", NULL, "a scan of stages that read no rows, or not the same");
  *rows = (uint32_t)from;
  return ST_OK;
}

const Pass *home_pass(const Registry *r, const char *name) {
  for (uint32_t i = 0; r->pass && r->pass[i]; i++)
    if (!strcmp(r->pass[i]->name, name))
      return r->pass[i];
  return NULL;
}

/* The other half: blocks in flight, partials, notes, libraries. */
uint64_t exec_keeps(const Limits *l) {
  return home_memory(l) / 2;
}

uint64_t home_memory(const Limits *l) {
  enum { MB = 1 << 20 };
  uint64_t share = l->memory / 4;
  share = share > 512 * MB ? 512 * MB : share < 64 * MB ? 64 * MB : share;
  share += 104 * MB;
  return l->memory > share + 16 * MB ? l->memory - share : 16 * MB;
}
