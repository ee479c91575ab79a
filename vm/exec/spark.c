/* SPDX-License-Identifier: Apache-2.0 */
/* The executor of Apache Spark, as cmlc sees it: a scan is one frame to the driver, a Spark job there, and an
 * Answer that the results of its partitions make. Read spark_reduce; spark_source.c, mirror.c: what is read.
 *
 * What was asked of it is small: where rows are read, cut and kept is the driver's and the sites'
 * (vm/site.h); what they mean is the program's. So nothing here depends on how many executors there are. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "vm/exec/answer.h"
#include "vm/exec/spark_parts.h"
#include "vm/site.h"
#include "vm/written.h"

enum { FOLD_BYTES = 32 << 20, FOLD_PARTS = 256 }; /* more than that is merged on the way to the driver */

const char *spark_folder(void) {
  static const char *const folder[] = {CML_BUILD_DIR "/spark", CML_PKGLIBDIR "/spark"};
  const char *given = getenv("CML_SPARK");
  char path[PATH_MAX];
  if (given && *given)
    return given;
  for (size_t i = 0; i < sizeof folder / sizeof *folder; i++) {
    snprintf(path, sizeof path, "%s/cml-spark.jar", folder[i]);
    if (!access(path, R_OK))
      return folder[i];
  }
  return NULL;
}

const char *spark_name(Arena *a, const char *dir, const char *path) {
  char *real = *path == '/' || file_is_remote(path) ? NULL : realpath(dir && *dir ? dir : ".", NULL);
  const char *s = file_is_remote(path) ? path
                  : *path == '/'       ? arena_printf(a, "file:%s", path)
                                       : arena_printf(a, "file:%s/%s", real ? real : "", path);
  free(real);
  return s;
}

/* ---- Telling ---- */

/* Tasks of Spark, as rows of the scan. */
static void on_progress(void *ctx, uint64_t done, uint64_t total) {
  const Spark *s = ctx;
  if (!s->progress || !s->progress->rows || !total)
    return;
  if (s->total)
    s->progress->rows(s->progress->ctx, (uint64_t)((double)s->total * (double)done / (double)total),
                      s->total);
  else
    s->progress->rows(s->progress->ctx, done, total);
}

static void on_note(void *ctx, const char *text) {
  const Spark *s = ctx;
  if (s->progress && s->progress->note)
    s->progress->note(s->progress->ctx, text);
}

Status spark_ask(Spark *s, FrameKind kind, const Buf *body, Buf *answer, Err *e) {
  ChannelHooks h = {.progress = on_progress, .note = on_note, .ctx = s};
  return channel_ask(s->channel, kind, body, &h, answer, e);
}

Status spark_garbled(Err *e) {
  return err_set(e, ST_FAULT, "CML0614", NULL, "the Spark driver sent something that cannot be read");
}

/* ---- A scan ---- */

typedef struct Scan {
  Ask ask;
  Answer answer;
  Source *source;
  Data *data;
  uint64_t partials; /* bytes of a task */
} Scan;

/* Will the rows be read another time? Not where all that is left goes over matrices. */
static bool rows_again(const Program *p, const Ask *a) {
  uint32_t last = 0;
  for (uint32_t i = 0; i < a->of.n; i++) {
    if (p->stage[a->of.v[i]].kind != STAGE_TRAIN)
      return true;
    last = a->of.v[i] > last ? a->of.v[i] : last;
  }
  for (uint32_t i = last + 1; i < p->nstage; i++)
    if (p->stage[i].from == (int32_t)a->rows_stage)
      return true;
  return false;
}

static Status scan_begin(Spark *s, Scan *c, Stages of, const Jobs *jobs, Progress *pr, Err *e) {
  JobSet *set = NULL;
  *c = (Scan){.ask = {.of = of}};
  if (!s->opened)
    return err_set(e, ST_FAULT, "CML0606", NULL, "the executor was not opened");
  if (jobs)
    c->ask.jobs = *jobs;
  s->progress = pr;
  if (home_rows_stage(&s->home, of, &c->ask.rows_stage, e) != ST_OK)
    return e->code;
  c->ask.keep_rows = rows_again(s->home.p, &c->ask);
  c->ask.once = ask_once(&c->ask.jobs);
  c->data = &s->data[c->ask.rows_stage];
  if (jobset_new(&c->ask.jobs, &set, e) == ST_OK)
    c->partials = jobset_bytes(set);
  jobset_free(set);
  if (e->code == ST_OK && answer_open(&c->answer, &c->ask.jobs, of.n, e) == ST_OK)
    spark_source(s, c->ask.rows_stage, &c->source, e);
  s->total = e->code == ST_OK ? c->source->rows : 0;
  return e->code;
}

/* The name of the job in Spark's UI: "fit flights.fit1 (12 jobs)". */
static void job_name(const Program *p, const Ask *a, Buf *out) {
  static const char *const doing[] = {[STAGE_FIT] = "fit",
                                      [STAGE_TRAIN] = "train",
                                      [STAGE_EVALUATE] = "evaluate",
                                      [STAGE_PREDICT] = "predict",
                                      [STAGE_TRANSFORM] = "transform"};
  const Stage *first = &p->stage[a->of.v[0]];
  const char *what = first->kind < sizeof doing / sizeof *doing ? doing[first->kind] : NULL;
  char text[200];
  int n = snprintf(text, sizeof text, "%s %s", what ? what : "scan", first->name);
  if (a->of.n > 1 && n > 0 && (size_t)n < sizeof text)
    snprintf(text + n, sizeof text - (size_t)n, " and %u more", a->of.n - 1);
  frame_str(out, text);
}

static Status put_request(const Ask *a, Buf *b, Err *e) {
  Buf request = {0};
  ask_put(a, &request, e);
  buf_blob(b, request.p, request.n);
  buf_free(&request);
  return e->code;
}

/* What the partitions answered; bad rows are an error. */
static Status take_results(Scan *c, Rd *r, Err *e) {
  uint32_t n = rd_u32(r);
  for (uint32_t i = 0; i < n && !r->bad && e->code == ST_OK; i++) {
    Bytes one = rd_blob(r);
    if (!r->bad)
      answer_take(&c->answer, one, NULL, false, e);
  }
  if (e->code == ST_OK && !rd_done(r))
    spark_garbled(e);
  if (e->code != ST_OK)
    return e->code;
  return exec_row_errors(&c->answer.errors, c->source->name, c->source->nfile, e);
}

/* Counts of rows are those of the scan that made them; later ones read what was kept, or make some again. */
static void scan_end(Scan *c, bool good, ScanInfo *info, uint64_t *seen) {
  Answer *a = &c->answer;
  if (good && !c->data->known) {
    memcpy(c->data->kept, a->info.kept, sizeof c->data->kept);
    c->data->read = a->info.read;
    c->data->known = true;
  } else if (good) {
    memcpy(a->info.kept, c->data->kept, sizeof a->info.kept);
    a->info.read = c->data->read;
  }
  if (info)
    *info = a->info;
  for (uint32_t i = 0; seen && a->seen && i < a->nseen; i++)
    seen[i] = a->seen[i];
  if (a->jobs)
    answer_close(a);
}

static Status spark_reduce(Executor *x, Stages of, const Jobs *jobs, Buf *out, ScanInfo *info, uint64_t *seen,
                           Progress *pr, Err *e) {
  Spark *s = (Spark *)x;
  Scan c;
  Buf b = {0}, answer = {0};
  if (scan_begin(s, &c, of, jobs, pr, e) == ST_OK) {
    bool fold = c.source->npart > FOLD_PARTS || c.partials * c.source->npart > FOLD_BYTES;
    buf_u32(&b, (uint32_t)s->home.p->stage[c.ask.rows_stage].from);
    job_name(s->home.p, &c.ask, &b);
    buf_u32(&b, fold);
    put_request(&c.ask, &b, e);
  }
  if (e->code == ST_OK && spark_ask(s, FRAME_REDUCE, &b, &answer, e) == ST_OK) {
    Rd r = rd_of(buf_bytes(&answer));
    c.answer.info.sent = b.n + s->put;
    c.answer.info.answered = answer.n;
    c.answer.info.parts = c.source->npart;
    s->put = 0;
    if (take_results(&c, &r, e) == ST_OK)
      answer_finish(&c.answer, out, e);
  }
  scan_end(&c, e->code == ST_OK, info, seen);
  buf_free(&b);
  buf_free(&answer);
  return e->code;
}

/* ---- Writing ---- */

typedef struct Rows { /* that come to be written here */
  const Written *columns;
  Writer *writer;
} Rows;

static Status on_rows(void *ctx, Bytes record, Err *e) {
  Rows *w = ctx;
  Arena a;
  Col *col = NULL;
  uint32_t n = 0;
  arena_init(&a, NULL);
  if (rows_of_record(&a, record, w->columns->column, w->columns->n, &col, &n, e) == ST_OK && n)
    writer_put(w->writer, col, n, e);
  arena_free(&a);
  return e->code;
}

static bool ends_in(const char *path, const char *ending) {
  size_t n = strlen(path), k = strlen(ending);
  return n >= k && !strcmp(path + n - k, ending);
}

/* "table://warehouse.scored": a table of the catalog. */
static const char *table_of(const char *path) {
  static const char scheme[] = "table://";
  return strncmp(path, scheme, sizeof scheme - 1) ? NULL : path + sizeof scheme - 1;
}

/* A .csv is written here, by the writer that writes it everywhere; tables and folders of Parquet files by
 * Spark. */
static Status write_there(Spark *s, Scan *c, const char *path, const Written *w, Buf *answer, Err *e) {
  bool here = s->options->here || ends_in(path, ".csv");
  Buf b = {0};
  Rows rows = {.columns = w};
  ChannelHooks h = {.progress = on_progress, .note = on_note, .rows = on_rows, .ctx = s};
  buf_u32(&b, (uint32_t)s->home.p->stage[c->ask.rows_stage].from);
  job_name(s->home.p, &c->ask, &b);
  put_request(&c->ask, &b, e);
  const char *table = table_of(path);
  frame_str(&b, table ? table : spark_name(&s->mem, "", path));
  frame_str(&b, here ? "rows" : table ? "table" : "parquet");
  spark_put_columns(&b, w->column, w->n);
  if (here && e->code == ST_OK)
    writer_open(path, w->column, w->n, &rows.writer, e);
  if (rows.writer)
    writer_digest(rows.writer, c->answer.info.digest);
  if (here) /* nothing is told while rows come: one context, that of the writer */
    h = (ChannelHooks){.rows = on_rows, .ctx = &rows};
  if (e->code == ST_OK)
    channel_ask(s->channel, FRAME_WRITE, &b, &h, answer, e);
  buf_free(&b);
  Rd r = rd_of(buf_bytes(answer));
  if (e->code == ST_OK) {
    c->answer.info.written = (rd_u64(&r), rd_u64(&r));
    c->answer.info.elsewhere = !here;
    take_results(c, &r, e);
  }
  if (!rows.writer)
    return e->code;
  if (e->code == ST_OK)
    return writer_commit(rows.writer, &c->answer.info.written, e);
  writer_abort(rows.writer);
  return e->code;
}

static Status spark_write(Executor *x, uint32_t stage, const char *path, ScanInfo *info, Progress *pr,
                          Err *e) {
  Spark *s = (Spark *)x;
  Scan c;
  Buf answer = {0};
  Written w = {.n = 0};
  Stages of = {.v = &stage, .n = 1};
  if (scan_begin(s, &c, of, NULL, pr, e) == ST_OK &&
      written_columns(&s->home.p->stage[stage].prog, &s->home.env, &w, e) == ST_OK)
    write_there(s, &c, path, &w, &answer, e);
  scan_end(&c, e->code == ST_OK, info, NULL);
  written_free(&w);
  buf_free(&answer);
  return e->code;
}

/* ---- The rest of the interface ---- */

static Status spark_open(Executor *x, Bytes text, const Registry *r, const Limits *lim, Err *e) {
  Spark *s = (Spark *)x;
  if (home_open(&s->home, text, r, lim, e) != ST_OK)
    return e->code;
  s->opened = true;
  s->source = mem_alloc((s->home.p->nstage + 1) * sizeof *s->source);
  s->data = mem_alloc((s->home.p->nstage + 1) * sizeof *s->data);
  if (!s->source || !s->data)
    return err_memory(e);
  Buf b = {0}, answer = {0};
  buf_blob(&b, text.p, text.n);
  buf_u64(&b, s->options->memory ? s->options->memory : SPARK_MEMORY);
  frame_str(&b, spark_folder());
  buf_u32(&b, s->options->partitions);
  buf_u32(&b, spark_reads(s));
  if (spark_ask(s, FRAME_OPEN, &b, &answer, e) == ST_OK) {
    Rd a = rd_of(buf_bytes(&answer)); /* Spark's version, partitions, executors, address */
    frame_take_str(&a);
    s->partitions = rd_u32(&a);
    rd_u32(&a);
    frame_take_str(&a);
    if (!rd_done(&a) || !s->partitions)
      spark_garbled(e);
  }
  buf_free(&b);
  buf_free(&answer);
  return e->code;
}

static Status spark_put(Executor *x, uint32_t id, Bytes value, Err *e) {
  Spark *s = (Spark *)x;
  bool again;
  if (!s->opened)
    return err_set(e, ST_FAULT, "CML0606", NULL, "the executor was not opened");
  if (home_put(&s->home, id, value, &again, e) != ST_OK)
    return e->code;
  Buf b = {0};
  s->put += value.n;
  buf_u32(&b, SITE_FITTED);
  buf_u32(&b, id);
  buf_blob(&b, value.p, value.n);
  spark_ask(s, FRAME_PUT, &b, NULL, e);
  buf_free(&b);
  return e->code;
}

static void spark_drop(Executor *x, uint32_t stage) {
  Spark *s = (Spark *)x;
  Err none = {0};
  Buf b = {0};
  if (!s->opened)
    return;
  buf_u32(&b, stage);
  spark_ask(s, FRAME_DROP, &b, NULL, &none); /* what is wrong with it the next request finds, too */
  buf_free(&b);
}

static void spark_close(Executor *x) {
  Spark *s = (Spark *)x;
  channel_close(s->channel);
  mem_free(s->source);
  mem_free(s->data);
  if (s->opened)
    home_close(&s->home);
  arena_free(&s->mem);
  mem_free(s);
}

Status spark_files(Executor *x, Arena *a, const char *glob, SparkFile **out, uint32_t *n, Err *e) {
  Buf b = {0}, answer = {0};
  frame_str(&b, glob);
  if (spark_ask((Spark *)x, FRAME_FILES, &b, &answer, e) == ST_OK) {
    Rd r = rd_of(buf_bytes(&answer));
    *n = rd_u32(&r);
    *out = *n <= answer.n / 12 ? NEWN(a, SparkFile, *n + 1) : NULL;
    for (uint32_t i = 0; *out && i < *n; i++) {
      Bytes name = frame_take_str(&r);
      (*out)[i].name = arena_strndup(a, (const char *)name.p, name.n);
      (*out)[i].bytes = rd_u64(&r);
    }
    if (!*out || !rd_done(&r))
      spark_garbled(e);
  }
  buf_free(&b);
  buf_free(&answer);
  return e->code;
}

Status spark_schema(Executor *x, Arena *a, const IrInput *in, const char *const *uri, uint32_t nuri,
                    EngineColumn **out, uint32_t *n, Err *e) {
  Buf b = {0}, answer = {0};
  spark_put_input(&b, in, uri, nuri);
  if (spark_ask((Spark *)x, FRAME_SCHEMA, &b, &answer, e) == ST_OK) {
    Rd r = rd_of(buf_bytes(&answer));
    *n = rd_u32(&r);
    *out = *n <= answer.n / 9 ? NEWN(a, EngineColumn, *n + 1) : NULL;
    for (uint32_t i = 0; *out && i < *n; i++) {
      Bytes name = frame_take_str(&r), type = frame_take_str(&r);
      const char *s = arena_strndup(a, (const char *)name.p, name.n);
      engine_column_of(a, s, arena_strndup(a, (const char *)type.p, type.n), rd_u8(&r) != 0, &(*out)[i]);
    }
    if (!*out || !rd_done(&r))
      spark_garbled(e);
  }
  buf_free(&b);
  buf_free(&answer);
  return e->code;
}

Status spark_range(Executor *x, const char *name, uint64_t at, uint64_t n, Buf *out, Err *e) {
  Buf b = {0}, answer = {0};
  frame_str(&b, name);
  buf_u64(&b, at);
  buf_u64(&b, n);
  buf_clear(out);
  if (spark_ask((Spark *)x, FRAME_RANGE, &b, &answer, e) == ST_OK) {
    Rd r = rd_of(buf_bytes(&answer));
    Bytes got = rd_blob(&r);
    if (rd_done(&r))
      buf_put(out, got.p, got.n);
    else
      spark_garbled(e);
  }
  buf_free(&b);
  buf_free(&answer);
  return e->code == ST_OK && out->bad ? err_memory(e) : e->code;
}

Status exec_spark(const SparkOptions *o, const atomic_bool *cancel, Executor **out, Err *e) {
  Spark *s = mem_alloc(sizeof *s);
  if (!s)
    return err_memory(e);
  arena_init(&s->mem, NULL);
  s->options = o;
  s->cancel = cancel;
  s->x = (Executor){.name = "spark",
                    .open = spark_open,
                    .put = spark_put,
                    .reduce = spark_reduce,
                    .write = spark_write,
                    .drop = spark_drop,
                    .close = spark_close};
  if (channel_start(o, cancel, &s->channel, e) != ST_OK) {
    arena_free(&s->mem);
    mem_free(s);
    return e->code;
  }
  *out = &s->x;
  return ST_OK;
}
