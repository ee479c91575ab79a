/* SPDX-License-Identifier: Apache-2.0 */
/* Filter pushdown.   requires: dead columns gone (a column that is not read needs no proof)   breaks: nothing
 *
 *   rows { .. keep %3 }   ->   rows { .. keep %3, zones }
 *
 * The filter stays where it is: a row is kept by it alone. The reader may leave out a row group where the
 * statistics in the file's footer prove that the filter is true for none of its rows, and that none of them
 * is an error, by running the row program on them (vm/ir/zone.c). Here is decided whether that can ever be.
 */
#include "compiler/pass.h"

Status pass_pushdown(Program *p, Arena *a, uint32_t *changes, Err *e) {
  (void)e;
  for (uint32_t i = 0; i < p->nstage; i++) {
    Stage *s = &p->stage[i];
    const IrVal *filter;
    if (s->kind != STAGE_ROWS || s->zones || ir_zone_obstacle(p, s, a, &filter))
      continue;
    s->zones = true;
    ++*changes;
  }
  return ST_OK;
}
