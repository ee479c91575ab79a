/* SPDX-License-Identifier: Apache-2.0 */
/* `explain --format json`: the stages with what they read, what they make, what they cost. Names and
 * numbers as in the text form. */
#include "app/explain_json.h"

#include <string.h>

#include "app/report.h"
#include "compiler/remarks.h"
#include "vm/estimator.h"
#include "vm/ir/names.h"

static void columns(Json *j, const Stage *s) {
  json_open(j, "columns", '[');
  for (uint32_t i = 0; i < s->ncolumn; i++) {
    json_open(j, NULL, '{');
    json_text(j, "name", s->column[i].name);
    json_text(j, "type", kind_name((Kind)s->column[i].kind));
    json_truth(j, "nullable", s->column[i].nullable);
    json_close(j, '}');
  }
  json_close(j, ']');
}

static void inputs(Json *j, const Stage *s) {
  json_open(j, "inputs", '[');
  for (uint32_t i = 0; i < s->ninput; i++) {
    json_open(j, NULL, '{');
    json_text(j, "format", s->input[i].format);
    json_text(j, "path", s->input[i].path);
    json_close(j, '}');
  }
  json_close(j, ']');
}

static void outputs(Json *j, const char *key, const Stage *s, OutRole role) {
  json_open(j, key, '[');
  for (uint32_t i = 0; i < s->prog.nout; i++)
    if (s->prog.out[i].role == role)
      json_text(j, NULL, s->prog.out[i].name);
  json_close(j, ']');
}

static void values(Json *j, const Stage *s) {
  json_whole(j, "level", s->level);
  json_open(j, "values", '[');
  for (uint32_t i = 0; i < s->nagg; i++) {
    const IrAgg *a = &s->agg[i];
    bool variants = i + 1 < s->nagg && s->agg[i + 1].fitted == a->fitted;
    if (a->leave_out >= 0)
      continue;
    json_open(j, NULL, '{');
    json_whole(j, "number", a->fitted);
    json_text(j, "text", a->text);
    json_truth(j, "table", a->nkey > 0);
    json_truth(j, "cross_fitted", a->crossfit || variants);
    if (a->line)
      json_whole(j, "line", a->line);
    json_close(j, '}');
  }
  json_close(j, ']');
}

static void metrics(Json *j, const Stage *s) {
  json_truth(j, "seen_rows", s->seen);
  json_open(j, "metrics", '[');
  for (uint32_t i = 0; i < s->nmetric; i++) {
    json_open(j, NULL, '{');
    json_text(j, "metric", s->metric[i].text);
    if (s->metric[i].by)
      json_text(j, "by", s->metric[i].by);
    if (s->metric[i].top)
      json_signed(j, "top", s->metric[i].top);
    json_close(j, '}');
  }
  json_close(j, ']');
  json_open(j, "expectations", '[');
  for (uint32_t i = 0; i < s->nexpect; i++)
    json_text(j, NULL, s->expect[i].text);
  json_close(j, ']');
}

static void details(Json *j, const Program *p, const Registry *r, const Stage *s) {
  const Estimator *est = NULL;
  switch (s->kind) {
  case STAGE_SOURCE:
    inputs(j, s);
    columns(j, s);
    break;
  case STAGE_ROWS:
    outputs(j, "keeps", s, OUT_COLUMN);
    json_open(j, "parts", '[');
    for (uint32_t i = 0; i < s->nparts; i++)
      json_text(j, NULL, s->parts[i]);
    json_close(j, ']');
    json_whole(j, "folds", s->folds);
    break;
  case STAGE_FIT: values(j, s); break;
  case STAGE_TRAIN:
    for (uint32_t i = 0; r->estimator[i]; i++)
      if (!strcmp(r->estimator[i]->name, s->estimator))
        est = r->estimator[i];
    json_whole(j, "number", s->fitted);
    json_text(j, "estimator", s->estimator);
    json_text(j, "target", s->target);
    json_options(j, "options", s->options, s->noptions, est ? est->option : NULL);
    outputs(j, "slots", s, OUT_SLOT);
    break;
  case STAGE_SCORE: columns(j, s); break;
  case STAGE_EVALUATE: metrics(j, s); break;
  case STAGE_TRANSFORM: outputs(j, "slots", s, OUT_SLOT); /* fall through */
  case STAGE_PREDICT:
  case STAGE_BUNDLE:
    json_text(j, "path", s->path);
    if (s->kind == STAGE_BUNDLE && s->score >= 0)
      json_text(j, "scores_by", p->stage[s->score].name);
    break;
  }
}

static void needs(Json *j, const Program *p, uint32_t i) {
  json_open(j, "uses", '[');
  for (uint32_t id = 0; id < p->nfitted; id++)
    if (stage_uses(p, i, id))
      json_whole(j, NULL, id);
  json_close(j, ']');
}

static void costs(Json *j, const Estimate *g, const RunStage *is) {
  if (g->known) {
    json_open(j, "estimate", '{');
    json_number(j, "rows", g->rows);
    json_truth(j, "rows_exact", g->exact);
    json_number(j, "bytes", g->bytes);
    json_number(j, "held_bytes", g->held);
    json_number(j, "seconds", g->seconds);
    json_whole(j, "scans", g->scans);
    json_close(j, '}');
  }
  if (!is || (!is->scans && is->seconds == 0))
    return;
  json_open(j, "actual", '{');
  json_whole(j, "rows", is->rows);
  json_whole(j, "bytes", is->scans ? is->bytes / is->scans : 0);
  json_whole(j, "held_bytes", is->held);
  json_number(j, "seconds", is->seconds);
  json_whole(j, "scans", is->scans);
  json_whole(j, "source_scans", is->reads);
  json_close(j, '}');
}

void explain_json(const Program *p, const Registry *r, const PassReport *report, const Limits *l,
                  const Estimate *guess, const RunResult *run, Buf *out) {
  Json j = {.out = out};
  json_open(&j, NULL, '{');
  json_text(&j, "program", p->name);
  json_open(&j, "stages", '[');
  for (uint32_t i = 0; i < p->nstage; i++) {
    const Stage *s = &p->stage[i];
    json_open(&j, NULL, '{');
    json_text(&j, "name", s->name);
    json_text(&j, "kind", ir_stage_name[s->kind]);
    if (s->from >= 0)
      json_text(&j, "from", p->stage[s->from].name);
    if (s->part >= 0 && s->from >= 0 && (uint32_t)s->part < p->stage[s->from].nparts)
      json_text(&j, "part", p->stage[s->from].parts[s->part]);
    if (s->joins)
      json_text(&j, "shares_scans_with", p->stage[ir_group(p, i)].name);
    if (s->matrix >= 0)
      json_text(&j, "matrix_of", p->stage[s->matrix].name);
    details(&j, p, r, s);
    needs(&j, p, i);
    if (s->prog.nval)
      json_whole(&j, "steps", s->prog.nval);
    costs(&j, &guess[i], run ? &run->stage[i] : NULL);
    json_close(&j, '}');
  }
  json_close(&j, ']');
  if (l) {
    json_open(&j, "memory", '{');
    double peak = estimate_peak(p, l, guess);
    if (peak > 0)
      json_number(&j, "estimate", peak);
    if (run)
      json_whole(&j, "actual", run->peak);
    json_close(&j, '}');
  }
  Arena arena;
  uint32_t nremark = 0;
  arena_init(&arena, NULL);
  const Remark *remark = remarks_of(p, &arena, &nremark);
  json_open(&j, "remarks", '[');
  for (uint32_t i = 0; i < nremark; i++) {
    json_open(&j, NULL, '{');
    json_whole(&j, "line", remark[i].line);
    json_text(&j, "about", remark[i].about);
    json_text(&j, "text", remark[i].text);
    json_close(&j, '}');
  }
  json_close(&j, ']');
  arena_free(&arena);
  json_open(&j, "passes", '[');
  for (uint32_t i = 0; passes[i].name; i++) {
    json_open(&j, NULL, '{');
    json_text(&j, "name", passes[i].name);
    json_text(&j, "purpose", passes[i].purpose);
    json_truth(&j, "skipped", report && report[i].skipped);
    json_whole(&j, "changes", report ? report[i].changes : 0);
    json_close(&j, '}');
  }
  json_close(&j, ']');
  if (run)
    json_jit(&j, &run->jit);
  json_close(&j, '}');
  buf_text(out, "\n");
}
