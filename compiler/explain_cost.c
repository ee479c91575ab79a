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

/* Scans, rows, bytes of one scan, bytes kept, seconds; each only where it is known. */
static void put_guess(Buf *o, const Stage *s, const Estimate *g) {
  bool scans = s->kind != STAGE_SOURCE && s->kind != STAGE_BUNDLE;
  buf_printf(o, "%-36s", s->name);
  put_cell(o, scans, s->kind != STAGE_TRAIN, g->scans, "%.0f");
  put_cell(o, g->known, g->exact, g->rows, "%.0f");
  put_cell(o, g->known, s->kind == STAGE_SOURCE, g->bytes / 1e6, "%.1f");
  put_cell(o, g->known && scans, false, g->held / 1e6, "%.1f");
  put_cell(o, g->known && scans, false, g->seconds, "%.3f");
  buf_text(o, "\n");
}

static void put_fact(Buf *o, const RunStage *is, bool here) {
  bool scans = is->scans > 0;
  char from[40] = "measured";
  if (scans && !is->reads)
    strcpy(from, "measured, rows in memory");
  else if (is->reads < is->scans)
    snprintf(from, sizeof from, "measured, %u of the files", is->reads);
  buf_printf(o, "%36s", from);
  put_cell(o, scans, true, is->scans, "%.0f");
  put_cell(o, scans, true, (double)is->rows, "%.0f");
  put_cell(o, scans, true, scans ? (double)is->bytes / is->scans / 1e6 : 0, "%.1f");
  put_cell(o, scans && here, true, (double)is->held / 1e6, "%.1f");
  put_cell(o, true, true, is->seconds, "%.3f");
  buf_text(o, "\n");
}

/* width: of the name, negative to have it on the left */
static void put_total(Buf *o, int width, const char *name, bool exact, double seconds) {
  buf_printf(o, "%*s %13s %13s %13s %13s", width, name, "", "", "", "");
  put_cell(o, true, exact, seconds, "%.3f");
  buf_text(o, "\n");
}

static void put_peak(Buf *o, const Limits *l, double guess, const RunResult *run) {
  if (guess > 0)
    buf_printf(o, "memory: ~%.0f MB", guess / 1e6);
  else
    buf_text(o, "memory: not known before");
  if (run)
    buf_printf(o, ", measured %.0f MB", (double)run->peak / 1e6);
  buf_printf(o, "; %.0f MB of rows and matrices are kept at most, the rest is made again in each scan\n",
             (double)exec_keeps(l) / 1e6);
}

void explain_costs(const Program *p, const Limits *l, const Estimate *guess, const RunResult *run, Buf *o) {
  double seconds = 0, spent = 0;
  buf_printf(o, "\n%-36s %13s %13s %13s %13s %13s\n", "stage", "scans", "rows", "MB", "kept MB", "seconds");
  for (uint32_t i = 0; i < p->nstage; i++) {
    const Stage *s = &p->stage[i];
    if (s->kind == STAGE_SCORE || s->kind == STAGE_ROWS || (s->kind == STAGE_BUNDLE && !run))
      continue;
    put_guess(o, s, &guess[i]);
    seconds += guess[i].known ? guess[i].seconds : 0;
    if (!run || s->kind == STAGE_SOURCE)
      continue;
    put_fact(o, &run->stage[i], l != NULL);
    spent += run->stage[i].seconds;
  }
  put_total(o, -36, "total", false, seconds);
  if (run)
    put_total(o, 36, "measured", true, spent);
  if (l)
    put_peak(o, l, estimate_peak(p, l, guess), run);
  const JitStats *j = run ? &run->jit : NULL;
  if (j && j->programs)
    buf_printf(o, "machine code: %u steps compiled in %.3f s beside the run; %llu panels ran with it, "
               "%llu were interpreted\n", j->steps, j->seconds, (unsigned long long)j->compiled,
               (unsigned long long)j->interpreted);
  buf_text(o, "~ is a guess: rows as if filters kept every one, seconds right within a factor of three.\n"
              "MB: of one scan; kept MB: rows and matrices that lie in memory while a stage runs.\n");
}
