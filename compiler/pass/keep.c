/* SPDX-License-Identifier: Apache-2.0 */
/* Common prefixes of scans.   requires: shared scans   breaks: nothing
 *
 *   fit d      { %3 = tf.strs %2 ...  agg count_nonzero %3 }      ->   %3 = tf.strs %2 ... kept=1
 *   train m    { %3 = tf.strs %2 ...  %5 = mul.vec %3 $0 ... }    ->   %3 = tf.strs %2 ... kept=1
 *   evaluate m { %4 = tf.strs %2 ...  ... }                       ->   %4 = tf.strs %2 ... kept=1
 *
 * A step that takes long, that nothing fitted stands in, and that stages of several scans compute of the same
 * rows gets a number: what the first scan computed may be kept for the others (vm/ir/kept.c says which steps,
 * vm/exec when). Behind `share`, which says what is one scan. */
#include "compiler/pass.h"

/* Step i of stage s, and those of later stages that are the same: are they of another scan? */
static bool comes_again(const Program *p, uint32_t s, uint32_t i) {
  for (uint32_t t = s + 1; t < p->nstage; t++)
    for (uint32_t k = 0; ir_group(p, t) != ir_group(p, s) && k < p->stage[t].prog.nval; k++)
      if (ir_may_keep(&p->stage[t], k) && ir_same_kept(p, &p->stage[s], i, &p->stage[t], k))
        return true;
  return false;
}

static uint32_t number_all(Program *p, uint32_t s, uint32_t i, uint32_t number) {
  uint32_t n = 0;
  for (uint32_t t = s; t < p->nstage; t++) {
    RowProg *g = &p->stage[t].prog;
    for (uint32_t k = 0; k < g->nval; k++) {
      if (!ir_may_keep(&p->stage[t], k) || !ir_same_kept(p, &p->stage[s], i, &p->stage[t], k))
        continue;
      g->val[k].kept = number;
      n++;
    }
  }
  return n;
}

Status pass_keep(Program *p, Arena *a, uint32_t *changes, Err *e) {
  uint32_t number = 0;
  (void)a;
  for (uint32_t s = 0; s < p->nstage; s++)
    for (uint32_t i = 0; i < p->stage[s].prog.nval && number < IR_KEPT_MOST; i++)
      if (!p->stage[s].prog.val[i].kept && ir_may_keep(&p->stage[s], i) && comes_again(p, s, i))
        *changes += number_all(p, s, i, ++number);
  return e->code;
}
