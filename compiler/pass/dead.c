/* SPDX-License-Identifier: Apache-2.0 */
/* Dead steps.   requires: nothing   breaks: nothing
 *
 *   %1 = log1p.f64 %0 : f64      (no output, aggregate or other step reads %1)      ->      nothing
 *
 * Roots are outputs, what aggregates read, and steps that act by themselves: `keep`, and `check.*`, since
 * a value outside the domain of a column that the program reads is an error whether or not a feature
 * depends on it. A step that can fail but is not read does not run. */
#include <string.h>

#include "compiler/pass.h"
#include "vm/ops.h"

static bool acts(const IrVal *v) {
  return v->op == OP_KEEP || strncmp(op_info(v->op)->name, "check.", 6) == 0;
}

static uint32_t sweep(RowProg *p, IrAgg *agg, uint32_t nagg, Arena *a) {
  bool *live = NEWN(a, bool, p->nval + 1);
  int32_t *map = NEWN(a, int32_t, p->nval + 1);
  uint32_t before = p->nval;
  for (uint32_t i = 0; i < p->nout; i++)
    live[p->out[i].val] = true;
  for (uint32_t i = p->nval; i-- > 0;) {
    live[i] |= acts(&p->val[i]);
    for (uint32_t k = 0; live[i] && k < p->val[i].narg; k++)
      live[p->val[i].arg[k]] = true;
  }
  pass_compact(p, live, map);
  for (uint32_t i = 0; i < nagg; i++) { /* what aggregates read is an output too, so it is live */
    IrAgg *g = &agg[i];
    g->arg = g->arg < 0 ? -1 : map[g->arg];
    g->where = g->where < 0 ? -1 : map[g->where];
    g->weight = g->weight < 0 ? -1 : map[g->weight];
    for (uint32_t k = 0; k < g->nkey; k++)
      g->key[k] = (uint32_t)map[g->key[k]];
  }
  return before - p->nval;
}

Status pass_dead(Program *p, Arena *a, uint32_t *changes, Err *e) {
  for (uint32_t i = 0; i < p->nstage; i++) {
    Stage *s = &p->stage[i];
    *changes += sweep(&s->prog, s->agg, s->nagg, a);
    for (uint32_t k = 0; k < s->nexpect; k++)
      *changes += sweep(&s->expect[k].prog, NULL, 0, a);
  }
  return e->code;
}
