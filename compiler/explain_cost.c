/* SPDX-License-Identifier: Apache-2.0 */
/* What the stages cost: guessed, and beside it what happened where the program was run. The table of
 * `explain`. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "compiler/explain.h"

static void put_cell(Buf *o, bool known, bool exact, double v, const char *form) {
  char text[40];
  if (!known)
    strcpy(text, "-");
  else
    snprintf(text + !exact, sizeof text - 1, form, v);
  if (known && !exact)
    text[0] = '~';
  buf_printf(o, " %13s", text);
}

static void put_number(Buf *o, bool known, bool exact, double v) {
  put_cell(o, known, exact, v, "%.0f");
}

void explain_costs(const Program *p, const Estimate *guess, const RunResult *run, Buf *o) {
  double seconds = 0, spent = 0;
  buf_printf(o, "\n%-36s %13s %13s %13s %13s\n", "stage", "scans", "rows", "MB", "seconds");
  for (uint32_t i = 0; i < p->nstage; i++) {
    const Stage *s = &p->stage[i];
    const Estimate *g = &guess[i];
    const RunStage *is = run ? &run->stage[i] : NULL;
    if (s->kind == STAGE_SCORE || s->kind == STAGE_ROWS || (s->kind == STAGE_BUNDLE && !run))
      continue;
    bool scans = s->kind != STAGE_SOURCE && s->kind != STAGE_BUNDLE;
    buf_printf(o, "%-36s", s->name);
    put_number(o, scans, s->kind != STAGE_TRAIN, g->scans);
    put_number(o, g->known, g->exact, g->rows);
    put_cell(o, g->known, s->kind == STAGE_SOURCE, g->bytes / 1e6, "%.1f");
    put_cell(o, g->known && scans, false, g->seconds, "%.3f");
    seconds += g->known && scans ? g->seconds : 0;
    buf_text(o, "\n");
    if (!is || s->kind == STAGE_SOURCE)
      continue;
    buf_printf(o, "%36s", is->from_cache && is->scans ? "measured, rows in memory" : "measured");
    put_number(o, is->scans > 0, true, is->scans);
    put_number(o, is->scans > 0, true, (double)is->rows);
    put_cell(o, is->scans > 0, true, is->scans ? (double)is->bytes / is->scans / 1e6 : 0, "%.1f");
    put_cell(o, true, true, is->seconds, "%.3f");
    spent += is->seconds;
    buf_text(o, "\n");
  }
  buf_printf(o, "%-36s %13s %13s %13s", "total", "", "", "");
  put_cell(o, true, false, seconds, "%.3f");
  buf_text(o, "\n");
  if (run) {
    buf_printf(o, "%36s %13s %13s %13s", "measured", "", "", "");
    put_cell(o, true, true, spent, "%.3f");
    buf_text(o, "\n");
  }
  const JitStats *j = run ? &run->jit : NULL;
  if (j && j->programs)
    buf_printf(o, "machine code: %u steps compiled in %.3f s beside the run; %llu panels ran with it, "
               "%llu were interpreted\n", j->steps, j->seconds, (unsigned long long)j->compiled,
               (unsigned long long)j->interpreted);
  buf_text(
      o,
      "~ is a guess: rows as if filters kept every one, seconds right within a factor of three. MB are those of one scan.\n");
}
