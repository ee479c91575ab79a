/* SPDX-License-Identifier: Apache-2.0 */
/* Projection.   requires: dead steps gone   breaks: dead (so it clears up after itself)
 *
 *   rows { out column "x" int %0 }   (no later stage reads "x")   ->   rows { }
 *   source { column "x" int }        (no step of rows reads "x")  ->   source { }
 *
 * From the last stage to the first, so that one walk is enough. */
#include <string.h>

#include "compiler/pass.h"
#include "vm/ops.h"

static bool reads(const RowProg *p, const char *column) {
  for (uint32_t i = 0; i < p->nval; i++)
    if (p->val[i].op == OP_COL && strcmp(p->val[i].s, column) == 0)
      return true;
  return false;
}

static uint32_t project_rows(Program *p, uint32_t rows) {
  Stage *s = &p->stage[rows];
  uint32_t n = 0;
  for (uint32_t i = 0; i < s->prog.nout; i++) {
    const IrOut *o = &s->prog.out[i];
    bool used = o->role != OUT_COLUMN;
    for (uint32_t k = rows + 1; !used && k < p->nstage; k++)
      used = p->stage[k].from == (int32_t)rows && reads(&p->stage[k].prog, o->name);
    if (used)
      s->prog.out[n++] = *o;
  }
  uint32_t gone = s->prog.nout - n;
  s->prog.nout = n;
  return gone;
}

static uint32_t project_source(Program *p, uint32_t source) {
  Stage *s = &p->stage[source];
  uint32_t n = 0;
  for (uint32_t i = 0; i < s->ncolumn; i++) {
    bool used = false;
    for (uint32_t k = source + 1; !used && k < p->nstage; k++)
      used = p->stage[k].from == (int32_t)source && reads(&p->stage[k].prog, s->column[i].name);
    if (used)
      s->column[n++] = s->column[i];
  }
  uint32_t gone = s->ncolumn - n;
  s->ncolumn = n;
  return gone;
}

Status pass_project(Program *p, Arena *a, uint32_t *changes, Err *e) {
  uint32_t dead = 0;
  for (uint32_t i = p->nstage; i-- > 0;)
    if (p->stage[i].kind == STAGE_ROWS)
      *changes += project_rows(p, i);
  pass_dead(p, a, &dead, e);
  for (uint32_t i = p->nstage; i-- > 0;)
    if (p->stage[i].kind == STAGE_SOURCE)
      *changes += project_source(p, i);
  return e->code;
}
