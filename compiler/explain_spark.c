/* SPDX-License-Identifier: Apache-2.0 */
/* What a program will do on Spark: jobs, what is kept where, bytes that move. `explain --executor spark`. The
 * scans are those of one machine; a scan is a job. */
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "compiler/explain.h"
#include "vm/engine.h"

enum { BLOCK_ROWS = 65536 };

static const char *read_how(const char *format) {
  if (engine_how(format) == HOW_TEXT)
    return "divided into records by cml, a task a file, twice: to count rows, then to send them";
  if (engine_how(format) == HOW_SORTED)
    return "a query of Spark SQL, opaque to cml: what it gives depends on the source. Rows without an order "
           "are sorted "
           "by all columns, and so numbered";
  if (!strcmp(format, "parquet"))
    return "columns that are wanted only, without row groups of\n    which a filter keeps nothing; "
           "files that are not plain are read by Spark, with all row groups";
  return "read by Spark, columns that are wanted only; rows of each file are counted first, and so numbered";
}

static void put_source(const Stage *s, const Estimate *g, Buf *o) {
  char rows[NUM_MAX], blocks[NUM_MAX];
  for (uint32_t i = 0; i < s->ninput; i++)
    buf_printf(o, "    %s: %s(\"%s\"), %s\n", s->name, s->input[i].format, s->input[i].path,
               read_how(s->input[i].format));
  num_print_grouped(rows, (uint64_t)g->rows);
  num_print_grouped(blocks, (uint64_t)((g->rows + BLOCK_ROWS - 1) / BLOCK_ROWS));
  if (g->known)
    buf_printf(o, "    %s%s rows in %s block%s of 65,536, ", g->exact ? "" : "about ", rows, blocks,
               strcmp(blocks, "1") ? "s" : "");
  else
    buf_text(o, "    blocks of 65,536 rows, ");
  bool groups = s->ninput > 0;
  for (uint32_t i = 0; i < s->ninput; i++)
    groups = groups && !strcmp(s->input[i].format, "parquet");
  buf_text(o, groups ? "not exchanged, unless row groups are so few and large that tasks\n"
                       "    would read most of them twice; lost blocks are read from the files again\n"
                     : "exchanged once by ranges of positions; what is exchanged stays on the executors'\n"
                       "    disks, where lost blocks are made from again\n");
}

static void cell(Buf *o, double v, bool measured, const char *form) {
  char text[40] = "-";
  if (v > 0) {
    snprintf(text + !measured, sizeof text - 1, form, v);
    text[0] = measured ? text[0] : '~';
  }
  buf_printf(o, " %14s", text);
}

/* What the executors keep because of a stage: the rows, where something else reads them, or its matrix. */
static const char *kept(const Stage *s) {
  return s->kind == STAGE_TRAIN ? "matrix" : ir_writes_rows(s) ? "" : "rows";
}

static void put_stage(const Program *p, uint32_t i, const Estimate *g, const RunStage *is, bool *rows,
                      Buf *o) {
  const Stage *s = &p->stage[i];
  bool first = s->kind == STAGE_TRAIN || !rows[s->from];
  rows[s->from] = rows[s->from] || s->kind != STAGE_TRAIN;
  buf_printf(o, "%-36s %8s", s->name, first ? kept(s) : "");
  cell(o, first && *kept(s) ? g->bytes / 1e6 : 0, false, "%.1f");
  cell(o, g->scans, s->kind != STAGE_TRAIN, "%.0f");
  cell(o, g->sent / 1e3, false, "%.1f");
  cell(o, g->partial / 1e3, false, "%.1f");
  buf_text(o, "\n");
  if (!is || !is->scans)
    return;
  buf_printf(o, "%36s %8s %14s", "measured", "", "");
  cell(o, is->scans, true, "%.0f");
  cell(o, (double)is->sent / is->scans / 1e3, true, "%.1f");
  cell(o, is->parts ? (double)is->answered / is->scans / is->parts / 1e3 : 0, true, "%.1f");
  buf_text(o, "\n");
}

Status explain_spark(const Program *p, const Estimate *guess, const RunResult *run, Buf *o, Err *e) {
  bool *rows = mem_alloc(p->nstage + 1);
  if (!rows)
    return err_memory(e);
  buf_text(o, "\non Spark\n");
  for (uint32_t i = 0; i < p->nstage; i++)
    if (p->stage[i].kind == STAGE_SOURCE)
      put_source(&p->stage[i], &guess[i], o);
  buf_printf(o, "\n%-36s %8s %14s %14s %14s %14s\n", "stage", "kept", "MB", "jobs", "kB sent", "kB merged");
  for (uint32_t i = 0; i < p->nstage; i++)
    if (p->stage[i].from >= 0 && p->stage[p->stage[i].from].kind == STAGE_ROWS &&
        p->stage[i].kind != STAGE_SCORE && p->stage[i].kind != STAGE_BUNDLE)
      put_stage(p, i, &guess[i], run ? &run->stage[i] : NULL, rows, o);
  buf_text(o, "kept: by the executors, in native memory (--memory of each) and beyond that in their scratch "
              "folders; MB are "
              "of all\nexecutors together. sent: broadcast once a job, to each executor. merged: by each "
              "partition, a "
              "tree of them in Spark\nwhere they are many.\n");
  mem_free(rows);
  return o->bad ? err_memory(e) : ST_OK;
}
