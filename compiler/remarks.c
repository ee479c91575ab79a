/* SPDX-License-Identifier: Apache-2.0 */
/* Remarks: see remarks.h. One function for each thing that may go together and did not; remarks_of calls them
 * all. They look at the program as the passes left it, so they say what is, whatever was skipped. */
#include "compiler/remarks.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/estimate.h"
#include "vm/ops.h"

typedef struct Remarks {
  const Program *p;
  Arena *arena;
  Remark *v;
  uint32_t n, cap;
} Remarks;

__attribute__((format(printf, 5, 6))) static void say(Remarks *r, uint32_t line, uint32_t col,
                                                      const char *about, const char *form, ...) {
  char text[400];
  va_list ap;
  va_start(ap, form);
  vsnprintf(text, sizeof text, form, ap);
  va_end(ap);
  Remark m = {line, col, about, arena_strdup(r->arena, text)};
  for (uint32_t i = 0; i < r->n; i++)
    if (r->v[i].line == line && !strcmp(r->v[i].text, text))
      return;
  if (!m.text)
    return;
  PUSH(r->arena, r->v, r->n, r->cap, m);
  if (!r->v)
    r->n = r->cap = 0;
}

static bool same_slots(const Stage *a, const Stage *b) {
  uint32_t n[2] = {0, 0};
  const Stage *s[2] = {a, b};
  for (int k = 0; k < 2; k++)
    for (uint32_t i = 0; i < s[k]->prog.nout; i++)
      n[k] += s[k]->prog.out[i].role == OUT_SLOT;
  if (n[0] != n[1])
    return false;
  for (uint32_t i = 0, k = 0; i < a->prog.nout; i++) {
    if (a->prog.out[i].role != OUT_SLOT)
      continue;
    while (b->prog.out[k].role != OUT_SLOT)
      k++;
    if (strcmp(a->prog.out[i].name, b->prog.out[k++].name) != 0)
      return false;
  }
  return true;
}

/* A model that learns from a matrix of its own, though another learns from the same rows. */
static void own_matrix(Remarks *r, uint32_t i) {
  const Stage *s = &r->p->stage[i];
  if (s->kind != STAGE_TRAIN || s->joins)
    return;
  for (uint32_t k = 0; k < i; k++) {
    const Stage *o = &r->p->stage[k];
    if (o->kind != STAGE_TRAIN || o->from != s->from || o->joins)
      continue;
    const char *why = o->part != s->part   ? "it learns from another part"
                      : ir_same_rows(o, s) ? "the pass `share` was skipped, or it waits for a value"
                      : !same_slots(o, s)  ? "its features are not the same"
                      : strcmp(o->target ? o->target : "", s->target ? s->target : "")
                          ? "its target is not the same"
                          : "its features are not the same";
    say(r, s->line, s->col, "matrix", "`%s` has a matrix and scans of its own beside `%s`: %s", s->name,
        o->name, why);
    return;
  }
}

/* The fitted value of a fit stage that keeps it from joining the scan of the level below. */
static void next_level(Remarks *r, uint32_t i) {
  const Stage *s = &r->p->stage[i];
  if (s->kind != STAGE_FIT || !s->level)
    return;
  for (uint32_t k = 0; k < s->prog.nval; k++) {
    const IrVal *v = &s->prog.val[k];
    int32_t maker = op_fitted(v->op) ? stage_making(r->p, (uint32_t)v->i) : -1;
    if (maker < 0 || r->p->stage[maker].kind != STAGE_FIT)
      continue;
    for (uint32_t g = 0; g < s->nagg; g++)
      if (s->agg[g].line)
        return say(r, s->agg[g].line, s->agg[g].col, "scan", "it reads $%lld, so it takes a scan more: %s",
                   (long long)v->i, s->agg[g].text);
  }
}

/* An evaluation in scans of its own, or with a program of its own, beside others of the same rows. */
static void own_evaluation(Remarks *r, uint32_t i) {
  const Stage *s = &r->p->stage[i];
  if (s->kind != STAGE_EVALUATE || s->program >= 0)
    return;
  for (uint32_t k = 0; k < i; k++) {
    const Stage *o = &r->p->stage[k];
    if (o->kind != STAGE_EVALUATE || o->from != s->from)
      continue;
    bool waits = false;
    for (uint32_t m = 0; m < s->nmetric; m++)
      for (uint32_t f = 0; f < o->nmetric; f++)
        waits |= o->metric[f].fitted >= 0 && (s->metric[m].threshold == o->metric[f].fitted ||
                                              s->metric[m].vs_threshold == o->metric[f].fitted);
    if (waits)
      return say(r, s->line, s->col, "scan", "the evaluation of `%s` waits for a threshold that `%s` chooses",
                 r->p->stage[s->train].name, o->name);
    if (s->joins && s->part != o->part && ir_group(r->p, k) == ir_group(r->p, i))
      return say(r, s->line, s->col, "steps",
                 "the evaluation of `%s` shares the scan, but no steps: it is over another part",
                 r->p->stage[s->train].name);
  }
}

/* Steps that no fused loop takes. */
static void own_loop(Remarks *r, const Stage *s) {
  for (uint32_t i = 0; i < s->prog.nval; i++) {
    const IrVal *v = &s->prog.val[i];
    bool list = v->type == IR_STRS;
    for (uint32_t k = 0; k < v->narg; k++)
      list |= s->prog.val[v->arg[k]].type == IR_STRS;
    if (list && v->line)
      say(r, v->line, v->col, "fusion", "%s runs by itself: a row has as many entries as its text has words",
          op_info(v->op)->name);
  }
}

/* Steps of which the rows are kept from scan to scan, and those that take as long and are not. */
static void own_words(Remarks *r, uint32_t i) {
  const Stage *s = &r->p->stage[i];
  for (uint32_t k = 0; k < s->prog.nval; k++) {
    const IrVal *v = &s->prog.val[k];
    if (v->kept)
      say(r, v->line, v->col, "kept",
          "%s is computed in the first scan that needs it, and kept for the others where --memory allows",
          op_info(v->op)->name);
    for (uint32_t t = 0; t < i && ir_may_keep(s, k) && !v->kept; t++)
      for (uint32_t j = 0; j < r->p->stage[t].prog.nval; j++)
        if (ir_group(r->p, t) != ir_group(r->p, i) && ir_may_keep(&r->p->stage[t], j) &&
            ir_same_kept(r->p, s, k, &r->p->stage[t], j))
          say(r, v->line, v->col, "kept", "%s is computed in each scan that needs it: %s",
              op_info(v->op)->name,
              ir_kept(r->p) < IR_KEPT_MOST ? "the pass `keep` was skipped" : "too many others are kept");
  }
}

static void all_rows(Remarks *r, const Stage *s) {
  const IrVal *filter = NULL;
  const char *why = s->kind == STAGE_ROWS && !s->early ? ir_zone_obstacle(r->p, s, r->arena, &filter) : NULL;
  if (!filter || s->zones)
    return;
  say(r, filter->line, filter->col, "reading", "the filter is applied behind reading, all rows are read: %s",
      why ? why : "the pass `pushdown` was skipped");
}

static int by_line(const void *a, const void *b) {
  const Remark *x = a, *y = b;
  return x->line != y->line ? (x->line < y->line ? -1 : 1)
         : x->col != y->col ? (x->col < y->col ? -1 : 1)
                            : 0;
}

const Remark *remarks_of(const Program *p, Arena *a, uint32_t *n) {
  Remarks r = {.p = p, .arena = a};
  for (uint32_t i = 0; i < p->nstage; i++) {
    own_matrix(&r, i);
    next_level(&r, i);
    own_evaluation(&r, i);
    own_loop(&r, &p->stage[i]);
    own_words(&r, i);
    all_rows(&r, &p->stage[i]);
  }
  if (r.n)
    qsort(r.v, r.n, sizeof *r.v, by_line);
  *n = r.n;
  return r.v;
}
