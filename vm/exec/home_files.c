/* SPDX-License-Identifier: Apache-2.0 */
/* The files that an executor in this process reads and writes. Apart from home.c, since what is sent to
 * Spark's executors has neither readers nor writers of files. */
#include "base/arena.h"
#include "vm/exec/home.h"
#include "vm/written.h"

static bool none_stays(const void *ctx, const IrColumn *col, const Zone *zone, uint32_t ncol) {
  const Stage *rows = ctx;
  return ir_zone_none(&rows->prog, col, zone, ncol);
}

void home_leave_out(const Home *h, uint32_t rows_stage, Reader *r) {
  const Stage *rows = &h->p->stage[rows_stage];
  if (rows->zones)
    reader_leave_out(r, none_stays, rows);
}

Status home_reader(const Home *h, uint32_t rows_stage, Reader **out, Err *e) {
  const Stage *rows = &h->p->stage[rows_stage], *s = &h->p->stage[rows->from];
  Arena a;
  arena_init(&a, NULL);
  const EngineSource *src = engine_source(&a, s, h->lim.dir);
  Status st = src ? reader_open(src, s->column, s->ncolumn, h->lim.memory, out, e) : err_memory(e);
  arena_free(&a);
  if (!st)
    home_leave_out(h, rows_stage, *out);
  return st;
}

Status home_writer(const Home *h, uint32_t stage, const char *path, char digest[DATA_DIGEST], Writer **out,
                   Err *e) {
  Written w;
  *out = NULL;
  Status st = written_columns(&h->p->stage[stage].prog, &h->env, &w, e);
  if (!st)
    st = writer_open(path, w.column, w.n, out, e);
  if (!st)
    writer_digest(*out, digest);
  if (st) {
    writer_abort(*out);
    *out = NULL;
  }
  written_free(&w);
  return st;
}
