/* SPDX-License-Identifier: Apache-2.0 */
/* Common steps of evaluations.   requires: shared scans   breaks: nothing
 *
 *   evaluate a over d.test { %3 = f(x); score a %3 }          ->   one program of both runs over each panel,
 * in which evaluate b over d.test joins { %3 = f(x); score b %3 }         %3 = f(x) is one step
 *
 * Inside a stage no two steps are equal (the checker makes one node of equal expressions), and the features
 * of models that are trained on equal ones are one matrix (share). What remains are the features of models
 * that are measured on the same rows. Stages that remove rows, or whose metrics read the features, run alone.
 */
#include "compiler/pass.h"

Status pass_cse(Program *p, Arena *a, uint32_t *changes, Err *e) {
  (void)a;
  (void)e;
  for (uint32_t i = 0; i < p->nstage; i++) {
    Stage *s = &p->stage[i];
    s->program = -1;
    for (uint32_t k = ir_group(p, i); k < i && s->program < 0; k++)
      if (p->stage[k].program < 0 && ir_runs_with(p, &p->stage[k], s))
        s->program = (int32_t)k;
    *changes += s->program >= 0;
  }
  return ST_OK;
}
