/* SPDX-License-Identifier: Apache-2.0 */
/* Scan sharing.   requires: nothing   breaks: numbers of stages (it puts them in another order and corrects
 * them)
 *
 *   train a; evaluate a; train b; evaluate b     ->   train a; train b joins, with the matrix of a; evaluate
 * a; evaluate b joins fit a over d.train; fit b over d.valid       ->   fit a; fit b joins
 *
 * Stages that are ready together and read the same rows stage go over it in the same scans. Fits come first,
 * then training, then evaluations: so all of one level are ready together, whichever model they belong to. Of
 * models those share scans that learn from the same matrix: the same slots and target of the same rows.
 * Others would have to hold their matrices in memory at the same time. */
#include <string.h>

#include "compiler/pass.h"
#include "vm/ops.h"

typedef struct Share {
  const Program *p;
  int32_t *maker;     /* of fitted values: number of the stage, or -1 */
  bool *placed;
  int32_t source;     /* that was read last, or -1 */
} Share;

static bool is_placed(const Share *s, int64_t stage) {
  return stage < 0 || s->placed[stage];
}

static bool is_made(const Share *s, int64_t fitted) {
  return fitted < 0 || fitted >= s->p->nfitted || is_placed(s, s->maker[fitted]);
}

/* Is everything that stage i reads placed? */
static bool ready(const Share *s, uint32_t i) {
  const Stage *g = &s->p->stage[i];
  bool ok = !s->placed[i] && is_placed(s, g->from) && is_placed(s, g->train) && is_placed(s, g->score) &&
            is_made(s, g->classes);
  for (uint32_t k = 0; ok && k < g->prog.nval; k++)
    ok = !op_fitted(g->prog.val[k].op) || is_made(s, g->prog.val[k].i);
  for (uint32_t k = 0; ok && k < g->nmetric; k++)
    ok = is_made(s, g->metric[k].threshold) && is_made(s, g->metric[k].vs_threshold);
  return ok;
}

/* What comes first of what is ready: rows to read and tests of data, fits, models, evaluations, files. Of the
 * data set that was read last before those of another: it can be forgotten the sooner. */
static int rank(const Share *s, const Stage *g) {
  bool other = g->from >= 0 && s->p->stage[g->from].from != s->source;
  switch (g->kind) {
  case STAGE_FIT: return s->p->stage[g->from].early ? 1 : 2 + 5 * other;
  case STAGE_TRAIN: return 3 + 5 * other;
  case STAGE_EVALUATE: return 4 + 5 * other;
  case STAGE_PREDICT:
  case STAGE_TRANSFORM: return 5 + 5 * other;
  case STAGE_SCORE:
  case STAGE_BUNDLE: return 6;
  default: return 1;
  }
}

static uint32_t first_ready(const Share *s) {
  uint32_t best = s->p->nstage;
  for (uint32_t i = 0; i < s->p->nstage; i++)
    if (ready(s, i) && (best == s->p->nstage || rank(s, &s->p->stage[i]) < rank(s, &s->p->stage[best])))
      best = i;
  return best;
}

static bool joins(const Stage *first, const Stage *g) {
  bool scans = g->kind == STAGE_FIT || g->kind == STAGE_TRAIN || g->kind == STAGE_EVALUATE;
  return scans && g->kind == first->kind && g->from == first->from &&
         (g->kind != STAGE_TRAIN || ir_same_rows(first, g));
}

static void makers(Share *s) {
  for (uint32_t i = 0; i < s->p->nfitted; i++)
    s->maker[i] = -1;
  for (uint32_t i = 0; i < s->p->nstage; i++) {
    const Stage *g = &s->p->stage[i];
    for (uint32_t k = 0; k < g->nagg; k++)
      s->maker[g->agg[k].fitted] = (int32_t)i;
    for (uint32_t k = 0; k < g->nmetric; k++)
      if (g->metric[k].fitted >= 0)
        s->maker[g->metric[k].fitted] = (int32_t)i;
    if (g->kind == STAGE_TRAIN)
      s->maker[g->fitted] = (int32_t)i;
  }
}

/* order[k]: which stage comes k-th. Those that join the one before are marked. */
static uint32_t place(Share *s, Stage *stage, uint32_t *order) {
  uint32_t n = 0, joined = 0;
  for (uint32_t i; (i = first_ready(s)) < s->p->nstage;) {
    uint32_t group[IR_GROUP_MOST], k = 0;
    for (uint32_t j = i; j < s->p->nstage && k < IR_GROUP_MOST;
         j++) /* before any of them is placed: none reads what another makes */
      if (ready(s, j) && (j == i || joins(&stage[i], &stage[j])))
        group[k++] = j;
    if (stage[i].from >= 0 && stage[i].kind != STAGE_ROWS)
      s->source = stage[stage[i].from].from;
    for (uint32_t j = 0; j < k; j++) {
      order[n++] = group[j];
      s->placed[group[j]] = true;
      stage[group[j]].joins = j > 0;
      stage[group[j]].matrix = j > 0 && stage[i].kind == STAGE_TRAIN ? (int32_t)i : -1;
      joined += j > 0;
    }
  }
  return joined;
}

static int32_t moved(const int32_t *map, int32_t stage) {
  return stage < 0 ? -1 : map[stage];
}

Status pass_share(Program *p, Arena *a, uint32_t *changes, Err *e) {
  Share s = {.p = p,
             .maker = NEWN(a, int32_t, p->nfitted + 1),
             .placed = NEWN(a, bool, p->nstage + 1),
             .source = -1};
  uint32_t *order = NEWN(a, uint32_t, p->nstage + 1);
  int32_t *map = NEWN(a, int32_t, p->nstage + 1);
  Stage *stage = NEWN(a, Stage, p->nstage + 1);
  if (!s.maker || !s.placed || !order || !map || !stage)
    return err_memory(e);
  makers(&s);
  *changes = place(&s, p->stage, order);
  for (uint32_t k = 0; k < p->nstage; k++)
    map[order[k]] = (int32_t)k;
  for (uint32_t k = 0; k < p->nstage; k++) {
    Stage *g = &stage[k];
    *g = p->stage[order[k]]; /* seq stays: reports go by it */
    g->from = moved(map, g->from);
    g->train = moved(map, g->train);
    g->score = moved(map, g->score);
    g->matrix = moved(map, g->matrix);
    g->program = moved(map, g->program);
  }
  p->stage = stage;
  return ST_OK;
}
