/* SPDX-License-Identifier: Apache-2.0 */
/* What stages compute of the rows that is worth keeping from one scan to the next: the counted words of
 * texts. The pass `keep` numbers such steps (IrVal.kept); an executor may keep the rows of a number, and
 * need not (vm/exec/local.c): the program stays what it was. Read ir_may_keep, then ir_same_kept. */
#include <string.h>

#include "vm/ir.h"
#include "vm/ops.h"

static bool counts_words(uint32_t op) {
  return op == OP_TF_STRS || op == OP_HASHED_STRS || op == OP_COUNT_VECTOR_STRS;
}

void ir_reach(const RowProg *g, uint32_t step, bool *read) {
  memset(read, 0, step + (size_t)1);
  read[step] = true;
  for (uint32_t i = step + 1; i-- > 0;)
    for (uint32_t k = 0; read[i] && k < g->val[i].narg; k++)
      read[g->val[i].arg[k]] = true;
}

bool ir_only(Arena *a, const RowProg *g, uint32_t step, RowProg *out) {
  uint32_t n = step + 1, *map = NEWN(a, uint32_t, n);
  bool *read = NEWN(a, bool, n);
  *out = (RowProg){.val = NEWN(a, IrVal, n), .out = NEWN(a, IrOut, 1), .nout = 1};
  if (!map || !read || !out->val || !out->out)
    return false;
  ir_reach(g, step, read);
  for (uint32_t i = 0; i < n; i++) {
    if (!read[i])
      continue;
    IrVal *v = &out->val[map[i] = out->nval++];
    *v = g->val[i];
    v->arg = NEWN(a, uint32_t, v->narg + 1);
    if (!v->arg)
      return false;
    for (uint32_t k = 0; k < v->narg; k++)
      v->arg[k] = map[g->val[i].arg[k]];
  }
  out->out[0] = (IrOut){.role = OUT_COLUMN, .kind = KIND_FLOAT, .val = out->nval - 1};
  return true;
}

bool ir_may_keep(const Stage *s, uint32_t i) {
  const RowProg *g = &s->prog;
  bool scans = s->kind == STAGE_FIT || s->kind == STAGE_TRAIN || s->kind == STAGE_EVALUATE;
  if (!scans || !counts_words(g->val[i].op) || g->val[i].nullable || g->val[i].scalar)
    return false;
  bool *read = mem_alloc(i + (size_t)1), good = read != NULL;
  if (good)
    ir_reach(g, i, read);
  for (uint32_t k = 0; good && k <= i; k++)
    good = !read[k] || (!op_fitted(g->val[k].op) && !op_info(g->val[k].op)->may_fail);
  mem_free(read);
  return good;
}

/* Equal steps may have other numbers: the n-th that is read is the n-th there. */
static bool same_steps(const RowProg *a, uint32_t i, const RowProg *b, uint32_t j, bool *ra, bool *rb,
                       uint32_t *na) {
  uint32_t x = 0, y = 0, n = 0;
  ir_reach(a, i, ra);
  ir_reach(b, j, rb);
  for (;; x++, y++, n++) {
    while (x <= i && !ra[x])
      x++;
    while (y <= j && !rb[y])
      y++;
    if (x > i || y > j)
      return x > i && y > j;
    na[x] = y;
    IrVal v = a->val[x], w = b->val[y];
    if (v.narg != w.narg || v.nullable != w.nullable)
      return false;
    for (uint32_t k = 0; k < v.narg; k++)
      if (na[v.arg[k]] != w.arg[k])
        return false;
    v.arg = w.arg;
    if (!ir_same_val(&v, &w))
      return false;
  }
}

bool ir_same_kept(const Program *p, const Stage *a, uint32_t i, const Stage *b, uint32_t j) {
  if (a->from != b->from || ir_parts(p, a) != ir_parts(p, b))
    return false;
  bool *ra = mem_alloc(i + (size_t)1), *rb = mem_alloc(j + (size_t)1);
  uint32_t *na = mem_alloc((i + (size_t)1) * sizeof *na);
  bool same = ra && rb && na && same_steps(&a->prog, i, &b->prog, j, ra, rb, na);
  mem_free(ra);
  mem_free(rb);
  mem_free(na);
  return same;
}

uint32_t ir_kept(const Program *p) {
  uint32_t most = 0;
  for (uint32_t i = 0; i < p->nstage; i++)
    for (uint32_t k = 0; k < p->stage[i].prog.nval; k++)
      most = p->stage[i].prog.val[k].kept > most ? p->stage[i].prog.val[k].kept : most;
  return most;
}

int64_t ir_kept_step(const RowProg *g, uint32_t number) {
  for (uint32_t k = 0; k < g->nval; k++)
    if (g->val[k].kept == number)
      return k;
  return -1;
}
