/* SPDX-License-Identifier: Apache-2.0 */
/* A run that leaves nothing: its outputs go to a folder that is removed. `explain --analyze`, `verify`. */
#include <string.h>

#include "app/execute.h"
#include "base/file.h"

/* The ending stays: it says how the file is written. */
static const char *thrown_away(Arena *a, const char *dir, uint32_t stage, const char *path) {
  const char *dot = strrchr(path, '.');
  return arena_printf(a, "%s/%u%s", dir, stage, dot && !strchr(dot, '/') ? dot : "");
}

Status execute_aside(const App *app, const Execution *x, Compiled *c, RunResult *r, Report *report,
                     Arena *keep, Err *e) {
  Program *p = c->program;
  const char **path = NEWN(keep, const char *, p->nstage + 1);
  memset(r, 0, sizeof *r);
  if (!path)
    return err_memory(e);
  char *dir = folder_temporary(keep, e);
  if (!dir)
    return e->code;
  for (uint32_t i = 0; i < p->nstage; i++) {
    Stage *s = &p->stage[i];
    path[i] = s->path;
    if (ir_writes_rows(s) || s->kind == STAGE_BUNDLE)
      s->path = thrown_away(keep, dir, s->seq, s->path);
  }
  Status st = execute(app, x, c, r, report, keep, e);
  for (uint32_t i = 0; i < p->nstage; i++)
    p->stage[i].path = path[i];
  folder_remove(dir);
  return st;
}
