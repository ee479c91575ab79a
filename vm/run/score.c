/* SPDX-License-Identifier: Apache-2.0 */
/* Batch scoring. Each thread takes the next block from the reader, brings panels of it through the score
 * stage, and, when all blocks before have been written, gives kept columns and predictions to the writer,
 * which works beside them. Read score_file, then work. */
#include "vm/score.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "vm/exec/cols.h"
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
  const char **name;   /* of read */
} Plan;

typedef struct Scoring {
  const ScoreJob *j;
  const Plan *plan;
  const Env *env;
  Reader *reader;
  Writer *writer;
  uint64_t total;      /* rows, 0: unknown */
  atomic_bool stop;    /* something failed */
  atomic_bool bad;     /* a bad row was found: only bad rows are looked for */
  pthread_mutex_t lock; /* everything below */
  pthread_cond_t turned;
  uint32_t turn;       /* block that is written next */
  uint64_t rows;
  RowErrors errors;
  Err err;
  uint32_t err_seq;    /* its block: that of the first one counts */
} Scoring;

typedef struct Hand { /* a thread of it */
  Scoring *s;
  Interp *it;
  Maker maker;         /* of predictions */
  Col *in, *given, *out;
  uint32_t at[PANEL_ROWS];
  double space[PANEL_ROWS];
  RowErrors errors;    /* of a block */
  pthread_t thread;
  bool runs;
} Hand;

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
  p->name = NEWN(&p->arena, const char *, s->ncolumn + n + 1);
  if (!p->read || !p->keep || !p->write || !p->name)
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
  for (uint32_t i = 0; i < p->nread; i++)
    p->name[i] = p->read[i].name;
  return ST_OK;
}

/* ---- One thread ---- */

/* The predictions of a block, as a block. */
static Status score_block(Hand *h, const Block *b, Block **out, Err *e) {
  const Plan *p = h->s->plan;
  Status st = maker_begin(&h->maker, b, b->n, e);
  for (uint32_t from = 0; from < b->n && !st; from += PANEL_ROWS) {
    uint32_t n = b->n - from < PANEL_ROWS ? b->n - from : PANEL_ROWS;
    for (uint32_t r = 0; r < n; r++)
      h->at[r] = b->at ? b->at[from + r] : from + r;
    for (uint32_t i = 0; i < p->nread; i++)
      col_shift(&b->col[i], from, &h->in[i]);
    RowsIn rows = {.n = n, .col = h->in, .file = b->file, .pos = b->pos, .at = h->at};
    st = interp_run(h->it, &rows, h->given, NULL, &h->errors, e);
    for (uint32_t i = 0; i < p->predictions.n && !st; i++) {
      Col c = written_col(&p->predictions, i, h->given, n, h->space);
      st = maker_col(&h->maker, i, &c, NULL, n, e);
    }
    for (uint32_t r = 0; r < n; r++)
      h->maker.at[h->maker.n + r] = h->at[r];
    maker_step(&h->maker, n);
  }
  return st ? st : maker_end(&h->maker, out, e);
}

/* Waits until all blocks before have been written, and writes this one. */
static Status write_block(Hand *h, const Block *b, const Block *made, uint32_t seq, Err *e) {
  Scoring *s = h->s;
  const Plan *p = s->plan;
  Encoded x = {0};
  for (uint32_t i = 0; i < p->nkeep; i++)
    h->out[i] = b->col[p->keep[i]];
  for (uint32_t i = 0; i < p->predictions.n; i++)
    h->out[p->nkeep + i] = made->col[i];
  if (b->n && !atomic_load(&s->stop) && !atomic_load(&s->bad) &&
      writer_encode(s->writer, h->out, b->n, &x, e) != ST_OK)
    return e->code;
  pthread_mutex_lock(&s->lock);
  while (s->turn != seq && !atomic_load(&s->stop))
    pthread_cond_wait(&s->turned, &s->lock);
  pthread_mutex_unlock(&s->lock);
  Status st = ST_OK;
  if (x.n && !atomic_load(&s->stop) && !atomic_load(&s->bad))
    st = writer_append(s->writer, &x, e);
  pthread_mutex_lock(&s->lock);
  s->turn++;
  s->rows += b->n;
  uint64_t rows = s->rows;
  pthread_cond_broadcast(&s->turned);
  pthread_mutex_unlock(&s->lock);
  if (s->j->progress && s->j->progress->rows)
    s->j->progress->rows(s->j->progress->ctx, rows, s->total);
  if (!st && s->j->cancel && atomic_load(s->j->cancel))
    st = err_set(e, ST_CANCEL, "", NULL, "interrupted");
  return st;
}

static Status one_block(Hand *h, const Block *b, uint32_t seq, Err *e) {
  Block *made = NULL;
  Status st = score_block(h, b, &made, e);
  if (h->errors.count)
    atomic_store(&h->s->bad, true);
  if (!st)
    st = write_block(h, b, made, seq, e);
  block_drop(made);
  return st;
}

static void told(Scoring *s, Hand *h, uint32_t seq, const Err *e) {
  pthread_mutex_lock(&s->lock);
  row_errors_merge(&s->errors, &h->errors);
  if (e->code && (!s->err.code || seq < s->err_seq)) {
    s->err = *e;
    s->err_seq = seq;
  }
  if (e->code)
    atomic_store(&s->stop, true);
  pthread_cond_broadcast(&s->turned);
  pthread_mutex_unlock(&s->lock);
  memset(&h->errors, 0, sizeof h->errors);
}

static void *work(void *arg) {
  Hand *h = arg;
  Scoring *s = h->s;
  bool more = true;
  Err e;
  err_clear(&e);
  while (more && !atomic_load(&s->stop)) {
    Block *b = NULL;
    uint32_t seq = 0;
    more = reader_next(s->reader, &b, &seq, &h->errors, &e) == ST_OK && b;
    if (more)
      more = one_block(h, b, seq, &e) == ST_OK;
    told(s, h, seq, &e);
    block_drop(b);
  }
  return NULL;
}

/* ---- All ---- */

static Status hand_init(Hand *h, Scoring *s, Arena *a, Err *e) {
  const Plan *p = s->plan;
  const Stage *stage = &s->j->bundle->program->stage[0];
  h->s = s;
  h->in = NEWN(a, Col, p->nread + 1);
  h->out = NEWN(a, Col, p->nwrite + 1);
  h->given = NEWN(a, Col, stage->prog.nout + 1);
  if (!h->in || !h->out || !h->given)
    return err_memory(e);
  Status st = maker_init(&h->maker, p->predictions.type, p->predictions.n, 0, e);
  if (!st)
    st = interp_new(&stage->prog, s->env, p->name, p->nread, &h->it, e);
  return st ? st : interp_jit(h->it, s->j->jit, 0, e);
}

/* As many as there is memory for blocks. */
static uint32_t hands_of(const ScoreJob *j, const Plan *p) {
  uint64_t block = (uint64_t)BLOCK * (p->nread + p->nwrite + 1) * sizeof(double);
  uint64_t n = j->memory / 4 / block;
  n = n < j->threads ? n : j->threads;
  return n ? (uint32_t)n : 1;
}

static Status run_hands(Scoring *s, Arena *a, Err *e) {
  uint32_t n = hands_of(s->j, s->plan);
  Hand *h = NEWN(a, Hand, n);
  Status st = h ? ST_OK : err_memory(e);
  for (uint32_t i = 0; i < n && !st; i++)
    st = hand_init(&h[i], s, a, e);
  if (!st)
    jit_expect(s->j->jit, 0, s->total);
  for (uint32_t i = 1; i < n && !st; i++) /* with fewer threads than wished it goes on */
    h[i].runs = pthread_create(&h[i].thread, NULL, work, &h[i]) == 0;
  if (!st)
    work(&h[0]);
  for (uint32_t i = 0; h && i < n; i++) {
    if (h[i].runs)
      pthread_join(h[i].thread, NULL);
    interp_free(h[i].it);
    maker_free(&h[i].maker);
  }
  if (!st && s->err.code)
    *e = s->err;
  return e->code;
}

Status score_file(const ScoreJob *j, ScoreResult *result, Err *e) {
  Env env = {(const Fitted **)j->bundle->fitted, j->bundle->nfitted};
  Plan p = {0};
  Scoring s = {.j = j, .plan = &p, .env = &env};
  *result = (ScoreResult){0};
  pthread_mutex_init(&s.lock, NULL);
  pthread_cond_init(&s.turned, NULL);
  if (plan_make(&p, j, &env, e) == ST_OK &&
      reader_open(&j->in, p.read, p.nread, j->memory, &s.reader, e) == ST_OK &&
      writer_open(j->out, p.write, p.nwrite, &s.writer, e) == ST_OK) {
    s.total = reader_total(s.reader);
    run_hands(&s, &p.arena, e);
  }
  if (e->code == ST_OK && s.errors.count) {
    uint32_t n;
    const char *const *file = reader_files(s.reader, &n);
    exec_row_errors(&s.errors, file, n, e);
  }
  result->rows = s.rows;
  if (e->code == ST_OK)
    writer_commit(s.writer, &result->bytes, e);
  else if (s.writer)
    writer_abort(s.writer);
  reader_close(s.reader);
  written_free(&p.predictions);
  arena_free(&p.arena);
  pthread_cond_destroy(&s.turned);
  pthread_mutex_destroy(&s.lock);
  return e->code;
}
