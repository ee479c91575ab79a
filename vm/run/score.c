/* SPDX-License-Identifier: Apache-2.0 */
/* Batch scoring. Blocks come from the reader in order, panels of them go through the score stage, the
 * writer gets kept columns and predictions. Reading and writing run beside this thread (the engine's), so
 * that three things happen at a time. Read score_file. */
#include "vm/score.h"

#include <stdio.h>
#include <string.h>

#include "vm/interp.h"
#include "vm/jit.h"
#include "vm/written.h"

typedef struct Plan {
  Arena arena;
  IrColumn *read;      /* columns read: those scoring needs, then those only kept */
  uint32_t nread;
  uint32_t *keep;      /* of read, in the order written */
  uint32_t nkeep;
  Written predictions;
  IrColumn *write;     /* kept columns, then predictions */
  uint32_t nwrite;
  double *space;       /* PANEL_ROWS for each prediction */
} Plan;

static const EngineColumn *find(const EngineColumn *c, uint32_t n, const char *name) {
  for (uint32_t i = 0; i < n; i++)
    if (strcmp(c[i].name, name) == 0)
      return &c[i];
  return NULL;
}

/* Can a column of the file be read as this kind? The reader widens; text of an inferred (CSV) column is
 * parsed as what is asked for. */
static bool fits(const EngineColumn *have, const IrColumn *want) {
  Kind h = (Kind)have->kind, w = (Kind)want->kind;
  bool text = w == KIND_STRING || w == KIND_CATEGORY;
  if (h == w || have->inferred)
    return true;
  if (text)
    return h == KIND_STRING || h == KIND_CATEGORY;
  return (w == KIND_FLOAT && (h == KIND_INT || h == KIND_BOOL)) || (w == KIND_INT && h == KIND_BOOL) ||
         (w == KIND_TIMESTAMP && h == KIND_DATE);
}

static Status plan_needed(Plan *p, const Stage *s, const EngineColumn *c, uint32_t n, const ScoreJob *j,
                          Err *e) {
  const char *path = j->in.path;
  for (uint32_t i = 0; i < s->ncolumn; i++) {
    const IrColumn *want = &s->column[i];
    const EngineColumn *have = find(c, n, want->name);
    if (!have)
      return err_set(
          e, ST_DATA, "CML0420",
          strcmp(j->in.format, "csv")
              ? "Give it a file with that column."
              : "Give it a file with that column; `--columns a,b,c` names those of a CSV without a header.",
          "the model reads a column `%s` (%s), which `%s` does not have", want->name,
          kind_name((Kind)want->kind), path);
    if (have->kind < 0)
      return err_set(e, ST_DATA, "CML0421", "Convert the column in the file.",
                     "the model reads the column `%s` of `%s`, which cannot be read: %s", want->name, path,
                     have->why);
    if (!fits(have, want))
      return err_set(e, ST_DATA, "CML0421", "Convert the column in the file.",
                     "the model reads column `%s` as %s; in `%s` it is %s", want->name,
                     kind_name((Kind)want->kind), path, kind_name((Kind)have->kind));
    p->read[p->nread++] = *want;
  }
  return ST_OK;
}

static uint32_t plan_read(Plan *p, const EngineColumn *c) {
  for (uint32_t i = 0; i < p->nread; i++)
    if (strcmp(p->read[i].name, c->name) == 0)
      return i;
  p->read[p->nread] = (IrColumn){c->name, (uint8_t)c->kind, true};
  return p->nread++;
}

static Status plan_kept(Plan *p, const ScoreJob *j, const EngineColumn *c, uint32_t n, Err *e) {
  for (uint32_t i = 0; i < (j->keep_all ? n : j->nkeep); i++) {
    const EngineColumn *have = j->keep_all ? &c[i] : find(c, n, j->keep[i]);
    if (!have)
      return err_set(e, ST_USAGE, "CML0422", "Name columns of that file, or leave --keep away to keep all.",
                     "`%s` has no column `%s` to keep", j->in.path, j->keep[i]);
    if (have->kind < 0)
      return err_set(e, ST_DATA, "CML0423", "Name the columns to keep with --keep.",
                     "column `%s` of `%s` cannot be kept: %s", have->name, j->in.path, have->why);
    p->keep[p->nkeep++] = plan_read(p, have);
  }
  return ST_OK;
}

static Status plan_make(Plan *p, const ScoreJob *j, const Env *env, Err *e) {
  const Stage *s = &j->bundle->program->stage[0];
  const Written *w = &p->predictions;
  EngineColumn *c = NULL;
  uint32_t n = 0;
  arena_init(&p->arena, NULL);
  if (engine_columns(&p->arena, &j->in, &c, &n, e) != ST_OK ||
      written_columns(&s->prog, env, &p->predictions, e) != ST_OK)
    return e->code;
  p->read = NEWN(&p->arena, IrColumn, s->ncolumn + n + 1);
  p->keep = NEWN(&p->arena, uint32_t, n + j->nkeep + 1);
  p->write = NEWN(&p->arena, IrColumn, n + j->nkeep + w->n + 1);
  p->space = NEWN(&p->arena, double, (size_t)PANEL_ROWS * (w->n + 1));
  if (!p->read || !p->keep || !p->write || !p->space)
    return err_memory(e);
  if (plan_needed(p, s, c, n, j, e) != ST_OK || plan_kept(p, j, c, n, e) != ST_OK)
    return e->code;
  for (uint32_t i = 0; i < p->nkeep; i++) {
    IrColumn kept = p->read[p->keep[i]];
    kept.nullable = true;
    for (uint32_t k = 0; k < w->n; k++)
      if (strcmp(w->column[k].name, kept.name) == 0)
        return err_set(e, ST_USAGE, "CML0424", "Choose the columns to keep with --keep a,b or --keep none.",
                       "the input has a column `%s`, the name that the predictions get", kept.name);
    p->write[p->nwrite++] = kept;
  }
  for (uint32_t k = 0; k < w->n; k++)
    p->write[p->nwrite++] = w->column[k];
  return ST_OK;
}

/* Rows [from, from + n) of a block's column, as a view. */
static Col view(const Col *c, uint32_t from) {
  static const uint8_t size[] = {1, 8, 8, 4};
  Col v = *c;
  v.b = c->b + (size_t)from * size[c->type];
  v.null = c->null ? c->null + from : NULL;
  return v;
}

static Status score_block(const Plan *p, Interp *it, const Block *b, Writer *w, Col *in, Col *given, Col *out,
                          RowErrors *errors, Err *e) {
  uint32_t at[PANEL_ROWS];
  for (uint32_t from = 0; from < b->n && e->code == ST_OK; from += PANEL_ROWS) {
    uint32_t n = b->n - from < PANEL_ROWS ? b->n - from : PANEL_ROWS;
    for (uint32_t r = 0; r < n; r++)
      at[r] = b->at ? b->at[from + r] : from + r;
    for (uint32_t i = 0; i < p->nread; i++)
      in[i] = view(&b->col[i], from);
    RowsIn rows = {.n = n, .col = in, .file = b->file, .pos = b->pos, .at = at};
    if (interp_run(it, &rows, given, NULL, errors, e) != ST_OK)
      break;
    for (uint32_t i = 0; i < p->nkeep; i++)
      out[i] = in[p->keep[i]];
    for (uint32_t i = 0; i < p->predictions.n; i++)
      out[p->nkeep + i] = written_col(&p->predictions, i, given, n, p->space + (size_t)i * PANEL_ROWS);
    if (!errors->count)
      writer_put(w, out, n, e);
  }
  return e->code;
}

Status score_file(const ScoreJob *j, ScoreResult *result, Err *e) {
  const Stage *s = &j->bundle->program->stage[0];
  Env env = {(const Fitted **)j->bundle->fitted, j->bundle->nfitted};
  Plan p = {0};
  Reader *reader = NULL;
  Writer *writer = NULL;
  Interp *it = NULL;
  Block *b = NULL;
  RowErrors errors = {0};
  *result = (ScoreResult){0};
  if (plan_make(&p, j, &env, e) != ST_OK)
    goto done;
  const char **name = NEWN(&p.arena, const char *, p.nread + 1);
  Col *in = NEWN(&p.arena, Col, p.nread + 1), *out = NEWN(&p.arena, Col, p.nwrite + 1);
  Col *given = NEWN(&p.arena, Col, s->prog.nout + 1);
  if (!name || !in || !out || !given) {
    err_memory(e);
    goto done;
  }
  for (uint32_t i = 0; i < p.nread; i++)
    name[i] = p.read[i].name;
  if (interp_new(&s->prog, &env, name, p.nread, &it, e) != ST_OK || interp_jit(it, j->jit, 0, e) != ST_OK ||
      reader_open(&j->in, p.read, p.nread, j->memory, &reader, e) != ST_OK ||
      writer_open(j->out, p.write, p.nwrite, &writer, e) != ST_OK)
    goto done;
  uint64_t total = reader_total(reader);
  jit_expect(j->jit, 0, total);
  uint32_t seq;
  while (reader_next(reader, &b, &seq, &errors, e) == ST_OK && b) {
    score_block(&p, it, b, writer, in, given, out, &errors, e);
    result->rows += b->n;
    block_drop(b);
    b = NULL;
    if (j->progress && j->progress->rows)
      j->progress->rows(j->progress->ctx, result->rows, total);
    if (j->cancel && atomic_load(j->cancel))
      err_set(e, ST_CANCEL, "", NULL, "interrupted");
    if (e->code != ST_OK)
      break;
  }
  if (e->code == ST_OK && errors.count) {
    uint32_t n;
    const char *const *file = reader_files(reader, &n);
    exec_row_errors(&errors, file, n, e);
  }
  if (e->code == ST_OK) {
    writer_commit(writer, &result->bytes, e);
    writer = NULL;
  }
done:
  if (writer)
    writer_abort(writer);
  reader_close(reader);
  interp_free(it);
  written_free(&p.predictions);
  arena_free(&p.arena);
  return e->code;
}
