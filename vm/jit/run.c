/* SPDX-License-Identifier: Apache-2.0 */
/* A panel with compiled code: phase after phase, interpreted steps and then a group. Read jit_use_panel.
 *
 * Whatever is not plain sailing is left to the interpreter: a bad row, found by either side, ends the
 * attempt, and the panel is interpreted from its beginning, which finds the same row and says what is wrong.
 * Until then nothing has been told to anybody. */
#include <string.h>

#include "vm/interp/parts.h"
#include "vm/jit/parts.h"

enum { AGAIN_FEW = 16 }; /* attempts that may fail before they have to be the smaller part */

struct JitUse {
  Interp *t;
  JitPlan *plan;
  JitCode *code;
  const JitNative *native; /* of this panel */
  uint8_t *memory;         /* registers of the plan */
  void **data;             /* by value: those that are not in use now, the interpreter's or the plan's */
  uint8_t **mask;
  bool active; /* the plan's are in use */
  bool off;    /* too many attempts failed */
  uint32_t tried, again;
  uint8_t *scratch;
  size_t nscratch;
  const void **in, **table;
  const uint8_t **in_null;
  void **out;
  uint8_t **out_null;
  uint8_t *any_null;
};

static const uint8_t no_nulls[PANEL_ROWS + 8]
    __attribute__((aligned(8))); /* also the values of a table without rows */

void jit_use_free(JitUse *u) {
  if (!u)
    return;
  jit_code_drop(u->code);
  jit_plan_free(u->plan);
  mem_free(u->memory);
  mem_free(u->data);
  mem_free(u->mask);
  mem_free(u->scratch);
  mem_free(u->in);
  mem_free(u->in_null);
  mem_free(u->out);
  mem_free(u->out_null);
  mem_free(u->table);
  mem_free(u->any_null);
  mem_free(u);
}

/* ---- Making one ---- */

static Status allocate(JitUse *u, Err *e) {
  size_t n = u->t->nval + (size_t)1, nin = 1, nout = 1, ntable = 1;
  for (uint32_t k = 0; k < u->plan->nphase; k++) {
    const JitPhase *p = &u->plan->phase[k];
    nin = p->nin > nin ? p->nin : nin;
    nout = p->nout > nout ? p->nout : nout;
    ntable = p->ntable > ntable ? p->ntable : ntable;
  }
  u->memory = mem_alloc64(u->plan->bytes + REG_ALIGN);
  u->data = mem_alloc(n * sizeof *u->data);
  u->mask = mem_alloc(n * sizeof *u->mask);
  u->in = mem_alloc(nin * sizeof *u->in);
  u->in_null = mem_alloc(nin * sizeof *u->in_null);
  u->out = mem_alloc(nout * sizeof *u->out);
  u->out_null = mem_alloc(nout * sizeof *u->out_null);
  u->table = mem_alloc(ntable * sizeof *u->table);
  u->any_null = mem_alloc(nout);
  bool good = u->memory && u->data && u->mask && u->in && u->in_null && u->out && u->out_null && u->table &&
              u->any_null;
  for (uint32_t i = 0; good && i < u->t->nval; i++) {
    u->data[i] = u->plan->data[i] ? u->memory + (u->plan->data[i] - 1) : NULL;
    u->mask[i] = u->plan->mask[i] ? u->memory + (u->plan->mask[i] - 1) : NULL;
  }
  return good ? ST_OK : err_memory(e);
}

Status interp_jit(Interp *t, Jit *j, uint32_t program, Err *e) {
  JitProg *prog = NULL;
  if (!j || t->jit)
    return ST_OK;
  JitUse *u = mem_alloc(sizeof *u);
  if (!u)
    return err_memory(e);
  u->t = t;
  Status st = jit_plan(t, &prog, &u->plan, e);
  if (st || !prog || !jit_takes(j, prog->steps)) {
    jit_prog_free(prog);
    jit_use_free(u);
    return st;
  }
  st = jit_code(j, program, prog, &u->code, e);
  if (!st)
    st = allocate(u, e);
  if (st)
    jit_use_free(u);
  else
    t->jit = u;
  return st;
}

/* ---- Registers of either kind ---- */

static void exchange(JitUse *u) {
  Interp *t = u->t;
  for (uint32_t k = 0; k < t->nlist; k++) {
    uint32_t i = t->list[k];
    Step *s = &t->step[i];
    void *data = s->data;
    uint8_t *mask = s->mask;
    s->data = u->data[i];
    s->mask = u->mask[i];
    u->data[i] = data;
    u->mask[i] = mask;
    t->reg[i].i = s->data;
    t->reg[i].null = NULL;
  }
  u->active = !u->active;
}

bool jit_use_canonical(const JitUse *u, uint32_t output) {
  return u->plan->canonical[output];
}

bool jit_use_ready(JitUse *u, uint32_t rows) {
  u->native = u->off ? NULL : jit_code_ready(u->code, rows);
  if (u->native && rows >= JIT_LANES)
    return true;
  jit_count(u->code, 0, 1, 0);
  if (u->active)
    exchange(u);
  return false;
}

/* ---- A group ---- */

static void set_variants(const Step *s, int64_t *out, uint32_t n) {
  const Table *t = s->fitted->table;
  for (uint32_t r = 0; r < n; r++)
    out[r] = (int64_t)step_variant(s, t, r) * (int64_t)t->n;
}

/* Where the values of a table begin that all rows read, or the whole where each row has its variant. */
static size_t first_value(const Step *s) {
  const Table *t = s->fitted->table;
  return s->v->g >= 0 ? (1 + (size_t)s->v->g) * t->n : 0;
}

static const void *table_of(JitUse *u, const JitTable *x) {
  Step *s = &u->t->step[x->step];
  const Table *t = s->fitted ? s->fitted->table : NULL;
  s->n = u->t->in->n;
  switch (x->kind) {
  case TABLE_LEVELS:
    return step_levels(s);
  case TABLE_CELLS:
    step_run(s, 1);
    return step_cells(s);
  case TABLE_KEYS:
    return step_keys(s);
  case TABLE_ROWS:
    return step_rows(s);
  case TABLE_VALUES: /* of an empty table nothing is read but a value at 0, which does not count */
    if (!t->n)
      return no_nulls;
    return s->out->type == IR_F64 ? (const void *)(t->f + first_value(s)) : t->i + first_value(s);
  default:
    return t->null ? t->null + first_value(s) : no_nulls;
  }
}

static Status bind(JitUse *u, const JitPhase *p) {
  Interp *t = u->t;
  for (uint32_t k = 0; k < p->nin; k++) {
    const JitInput *in = &p->in[k];
    const Col *c = &t->reg[in->value];
    if (in->variant)
      set_variants(&t->step[in->value], in->variant, t->in->n);
    u->in[k] = in->variant ? (const void *)in->variant : c->i;
    u->in_null[k] = !in->variant && c->null ? c->null : no_nulls;
  }
  for (uint32_t k = 0; k < p->ntable; k++) {
    u->table[k] = table_of(u, &p->table[k]);
    if (!u->table[k])
      return t->err->code ? t->err->code : err_memory(t->err);
  }
  for (uint32_t k = 0; k < p->nout; k++) {
    const Step *s = &t->step[p->out[k]];
    u->out[k] = s->data;
    u->out_null[k] = s->mask;
  }
  return t->err->code;
}

static Status get_scratch(JitUse *u, size_t want, Err *e) {
  if (want <= u->nscratch)
    return ST_OK;
  mem_free(u->scratch);
  u->scratch = mem_alloc64(want);
  u->nscratch = u->scratch ? want : 0;
  return u->scratch ? ST_OK : err_memory(e);
}

static void copy_alias(Interp *t, uint32_t i) {
  const IrVal *v = &t->p->val[i];
  t->reg[i] = t->reg[v->arg[0]];
  if (t->step[i].info->null == NULL_NEVER)
    t->reg[i].null = NULL;
}

/* The dictionary of a value that is the label of its bucket: it is known before the code runs. */
static void put_labels(Interp *t, uint32_t i) {
  const IrVal *v = &t->p->val[i];
  Dict *label;
  uint32_t n;
  if (v->op == OP_BUCKET_F64) {
    step_cuts(&t->step[i], &n, &label);
    t->reg[i].dict = label;
  } else if (reg_is_alias(v->op)) {
    put_labels(t, v->arg[0]);
    if (t->reg[v->arg[0]].dict)
      t->reg[i].dict = t->reg[v->arg[0]].dict;
  }
}

/* *bad: a row of it is. */
static Status run_group(JitUse *u, const JitPhase *p, bool *bad) {
  Interp *t = u->t;
  if (get_scratch(u, u->native->scratch[p->group], t->err) != ST_OK)
    return t->err->code;
  for (uint32_t k = 0; k < p->nout; k++) /* before the tables: one of them may be of these labels */
    put_labels(t, p->out[k]);
  for (uint32_t k = 0; k < p->ntable; k++) { /* also where the code alone has the value that they are of */
    const IrVal *v = &t->p->val[p->table[k].step];
    for (uint32_t i = 0; i < v->narg; i++)
      put_labels(t, v->arg[i]);
  }
  if (bind(u, p) != ST_OK)
    return t->err->code;
  JitFrame f = {.n = t->in->n,
                .in = u->in,
                .in_null = u->in_null,
                .out = u->out,
                .out_null = u->out_null,
                .table = u->table,
                .any_null = u->any_null,
                .kept = t->kept,
                .scratch = u->scratch};
  u->native->fn[p->group](&f);
  *bad = f.bad != 0;
  for (uint32_t k = 0; k < p->nout; k++) {
    Col *c = &t->reg[p->out[k]];
    c->i = u->out[k];
    c->null = u->any_null[k] ? u->out_null[k] : NULL;
  }
  for (uint32_t k = 0; k < p->nalias && !*bad; k++)
    copy_alias(t, p->alias[k]);
  return ST_OK;
}

/* *bad as above. */
static Status run_phase(JitUse *u, const JitPhase *p, bool *bad) {
  Interp *t = u->t;
  for (uint32_t k = 0; k < p->nstep && !t->err->code && !t->failed; k++)
    step_run(&t->step[p->step[k]], t->in->n);
  *bad = t->failed;
  if (t->err->code || t->failed)
    return t->err->code;
  for (uint32_t k = 0; k < p->nbefore; k++)
    copy_alias(t, p->before[k]);
  return p->group >= 0 ? run_group(u, p, bad) : ST_OK;
}

Status jit_use_panel(JitUse *u, bool *done) {
  Interp *t = u->t;
  bool bad = false;
  Status st = ST_OK;
  if (!u->active)
    exchange(u);
  memset(t->live, 1, t->in->n);
  memset(t->kept, 1, t->in->n);
  t->trial = true;
  t->failed = false;
  for (uint32_t k = 0; k < u->plan->nphase && !st && !bad; k++)
    st = run_phase(u, &u->plan->phase[k], &bad);
  t->trial = false;
  *done = !st && !bad;
  u->tried++;
  if (bad) {
    u->again++;
    exchange(u);
    u->off = u->again > AGAIN_FEW && u->again > u->tried / 2;
  }
  jit_count(u->code, *done, bad, bad);
  return st;
}
