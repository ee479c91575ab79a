/* SPDX-License-Identifier: Apache-2.0 */
/* The pass manager: runs the list, times it, verifies after each. */
#include "compiler/pass.h"

#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "vm/ops.h"

const PassInfo passes[] = {
#define PASS(name, purpose) {#name, purpose, pass_##name},
#include "compiler/passes.def"
#undef PASS
    {NULL, NULL, NULL},
};

uint32_t passes_count(void) {
  return (uint32_t)(sizeof passes / sizeof *passes - 1);
}

static bool named_in(const char *list, const char *name) {
  size_t n = strlen(name);
  for (const char *s = list; s && *s;) {
    size_t k = strcspn(s, ",");
    if (k == n && strncmp(s, name, n) == 0)
      return true;
    s += k + (s[k] == ',');
  }
  return false;
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

Status passes_run(Program *p, Arena *a, const char *skip, const char *dump, Buf *out, PassReport *report,
                  Err *e) {
  for (uint32_t i = 0; passes[i].name && e->code == ST_OK; i++) {
    PassReport r = {.name = passes[i].name, .skipped = named_in(skip, passes[i].name)};
    double start = seconds();
    if (!r.skipped)
      passes[i].run(p, a, &r.changes, e);
    r.seconds = seconds() - start;
    if (report)
      report[i] = r;
#if defined(CML_HOSTILE) || defined(CML_VERIFY)
    if (e->code == ST_OK)
      ir_verify(p, e);
#endif
    if (dump && out && strcmp(dump, passes[i].name) == 0)
      ir_print(p, out);
  }
  if (e->code == ST_OK && ir_verify(p, e) != ST_OK)
    e->code = ST_FAULT; /* what the compiler made is wrong: ours, not the user's */
  return e->code;
}

void pass_compact(RowProg *p, const bool *keep, int32_t *map) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < p->nval; i++) {
    map[i] = keep[i] ? (int32_t)n : -1;
    if (!keep[i])
      continue;
    IrVal v = p->val[i];
    for (uint32_t k = 0; k < v.narg; k++)
      v.arg[k] = (uint32_t)map[v.arg[k]];
    p->val[n++] = v;
  }
  p->nval = n;
  for (uint32_t i = 0; i < p->nout; i++)
    p->out[i].val = (uint32_t)map[p->out[i].val];
}

void pass_renew(RowProg *p) {
  for (uint32_t i = 0; i < p->nval; i++) {
    IrVal *v = &p->val[i];
    bool nullable[64];
    v->scalar = ir_is_scalar(p, v);
    if (v->op == OP_COL || v->narg > 64)
      continue;
    for (uint32_t k = 0; k < v->narg; k++)
      nullable[k] = p->val[v->arg[k]].nullable;
    v->nullable = op_nullable(v->op, nullable, v->narg);
  }
}
