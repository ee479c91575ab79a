/* SPDX-License-Identifier: Apache-2.0 */
/* The sources of a program on Spark: which files there are, who reads them, how their blocks are divided.
 * Read spark_source.
 *
 * Plain Parquet files are read by native code in tasks, which asks for their bytes: their footers are looked
 * at here, as on one machine, and the row groups that nobody wants are left out in the same way. All else
 * Spark's readers read, or native code takes apart as text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "vm/exec/cut.h"
#include "vm/exec/spark_parts.h"
#include "vm/site.h"

typedef struct Input { /* of a source */
  const IrInput *in;
  const char **file;  /* as messages name them */
  const char **uri;   /* as Hadoop does */
  SparkFile *far;     /* of another file system; else NULL */
  uint32_t nfile;
} Input;

static Status remote_files(Spark *s, Input *in, Err *e) {
  const char *glob = spark_name(&s->mem, s->home.lim.dir, in->in->path);
  if (spark_files(&s->x, &s->mem, glob, &in->far, &in->nfile, e) != ST_OK)
    return e->code;
  in->file = in->uri = NEWN(&s->mem, const char *, in->nfile + 1);
  for (uint32_t i = 0; in->file && i < in->nfile; i++)
    in->file[i] = in->far[i].name;
  return in->file ? ST_OK : err_memory(e);
}

static Status local_files(Spark *s, Input *in, Err *e) {
  EngineSource one = {.format = in->in->format, .path = in->in->path, .dir = s->home.lim.dir};
  if (engine_files(&s->mem, &one, &in->file, &in->nfile, e) != ST_OK)
    return e->code;
  in->uri = NEWN(&s->mem, const char *, in->nfile + 1);
  for (uint32_t i = 0; in->uri && i < in->nfile; i++) {
    char *real = realpath(in->file[i], NULL);
    in->uri[i] = real ? arena_printf(&s->mem, "file:%s", real) : in->file[i];
    free(real);
  }
  return in->uri ? ST_OK : err_memory(e);
}

static Status input_files(Spark *s, Input *in, Err *e) {
  bool glob = engine_how(in->in->format) != HOW_SORTED;
  if (!glob) { /* one run of rows, without files */
    in->file = NEWN(&s->mem, const char *, 1);
    if (!in->file)
      return err_memory(e);
    in->file[0] = in->in->path;
    in->nfile = 1;
    return ST_OK;
  }
  return engine_only_spark(in->in->format, in->in->path) ? remote_files(s, in, e) : local_files(s, in, e);
}

/* The same rows have one meaning and one order only if they are read in one way. */
static Status one_way(const Stage *g, EngineHow *how, Err *e) {
  *how = engine_how(g->input[0].format);
  for (uint32_t i = 1; i < g->ninput; i++)
    if (engine_how(g->input[i].format) != *how || *how == HOW_SORTED)
      return err_set(e, ST_PROGRAM, "CML0533", "Write them to files of one format first.",
                     "Spark cannot read %s and %s as one source", g->input[0].format, g->input[i].format);
  return ST_OK;
}

/* An input as Spark's readers know it: a JDBC source has its path as an option. */
void spark_put_input(Buf *b, const IrInput *in, const char *const *uri, uint32_t nuri) {
  bool jdbc = !strcmp(in->format, "jdbc"), sorted = engine_how(in->format) == HOW_SORTED;
  frame_str(b, in->format);
  buf_u32(b, in->noption + jdbc);
  for (uint32_t i = 0; i < 2 * in->noption; i++)
    frame_str(b, in->option[i]);
  if (jdbc) {
    frame_str(b, "url");
    frame_str(b, in->path);
  }
  buf_u32(b, sorted ? 0 : nuri);
  for (uint32_t i = 0; !sorted && i < nuri; i++)
    frame_str(b, uri[i]);
  frame_str(b, sorted && !jdbc ? in->path : "");
}

void spark_put_columns(Buf *b, const IrColumn *col, uint32_t n) {
  buf_u32(b, n);
  for (uint32_t i = 0; i < n; i++) {
    frame_str(b, col[i].name);
    buf_u8(b, col[i].kind);
    buf_u8(b, col[i].nullable);
  }
}

static Status put_files(Spark *s, uint32_t stage, const RecordFile *file, uint32_t n, Err *e) {
  Buf b = {0}, blob = {0};
  site_source(file, n, &blob);
  buf_u32(&b, SITE_SOURCE);
  buf_u32(&b, stage);
  buf_blob(&b, blob.p, blob.n);
  b.bad = b.bad || blob.bad;
  spark_ask(s, FRAME_PUT, &b, NULL, e);
  buf_free(&b);
  buf_free(&blob);
  return e->code;
}

/* Rows of each file, and the partitions that Spark cuts them into. */
static Status take_source(Source *o, RecordFile *file, const Buf *answer, Err *e) {
  Rd r = rd_of(buf_bytes(answer));
  if (rd_u32(&r) != o->nfile)
    return spark_garbled(e);
  o->rows = 0;
  for (uint32_t i = 0; i < o->nfile; i++)
    o->rows += file[i].rows = rd_u64(&r);
  o->npart = rd_u32(&r);
  return rd_done(&r) ? ST_OK : spark_garbled(e);
}

static Status read_source(Spark *s, uint32_t stage, EngineHow how, const Input *in, RecordFile *file,
                          Err *e) {
  const Stage *g = &s->home.p->stage[stage];
  Source *o = &s->source[stage];
  Buf b = {0}, answer = {0};
  IrColumn *col = NEWN(&s->mem, IrColumn, g->ncolumn + 1);
  uint32_t ncol = 0;
  if (!col)
    return err_memory(e);
  for (uint32_t i = 0; i < g->ncolumn; i++)
    if (g->ninput < 2 || strcmp(g->column[i].name, IR_INPUT_COLUMN))
      col[ncol++] = g->column[i];
  buf_u32(&b, stage);
  buf_u32(&b, how);
  buf_u32(&b, g->ninput);
  for (uint32_t i = 0; i < g->ninput; i++)
    spark_put_input(&b, in[i].in, in[i].uri, in[i].nfile);
  spark_put_columns(&b, col, ncol);
  if (spark_ask(s, FRAME_SOURCE, &b, &answer, e) == ST_OK)
    take_source(o, file, &answer, e);
  buf_free(&b);
  buf_free(&answer);
  return e->code;
}

/* ---- Plain Parquet files ---- */

/* spark.cml.parquet=spark: Spark's reader reads Parquet, too. */
static bool is_ours(const Spark *s, const Stage *g) {
  for (uint32_t i = 0; i < s->options->nconf; i++)
    if (!strcmp(s->options->conf[i], "spark.cml.parquet=spark"))
      return false;
  for (uint32_t i = 0; i < g->ninput; i++)
    if (strcmp(g->input[i].format, "parquet") || g->input[i].noption)
      return false;
  return true;
}

bool spark_reads(const Spark *s) {
  for (uint32_t i = 0; i < s->home.p->nstage; i++) {
    const Stage *g = &s->home.p->stage[i];
    if (g->kind == STAGE_SOURCE && engine_how(g->input[0].format) != HOW_TEXT && !is_ours(s, g))
      return true;
  }
  return false;
}

/* Do all who read the source leave out the same rows? */
static bool one_reader(const Program *p, uint32_t rows_stage) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < p->nstage; i++)
    n += p->stage[i].kind == STAGE_ROWS && p->stage[i].from == p->stage[rows_stage].from;
  return n == 1;
}

/* Footers of files that lie elsewhere, in a folder of this machine that takes the place of the path. */
static Status mirrored(Spark *s, const Input *in, EngineSource *src, char **dir, Err *e) {
  if (!(*dir = folder_temporary(&s->mem, e)))
    return e->code;
  src->path = arena_printf(&s->mem, "%s/*", *dir);
  return src->path ? spark_mirrors(&s->x, in->far, in->nfile, *dir, e) : err_memory(e);
}

/* The name of a file, where an error names its mirror. */
static void name_file(const Input *in, char *const *dir, uint32_t n, Err *e) {
  for (uint32_t i = 0; e->code != ST_OK && i < n; i++) {
    size_t len = dir[i] ? strlen(dir[i]) : 0;
    if (!len || strncmp(e->where, dir[i], len) != 0 || e->where[len] != '/')
      continue;
    unsigned long k = strtoul(e->where + len + 1, NULL, 10);
    if (k < in[i].nfile)
      snprintf(e->where, sizeof e->where, "%s", in[i].file[k]);
    return;
  }
}

/* What the files' footers say. *n == 0: not all of them are such files. */
static Status look(Spark *s, uint32_t rows_stage, const Input *in, uint32_t nfile, FileLayout **out,
                   uint32_t *n, Err *e) {
  const Stage *g = &s->home.p->stage[s->home.p->stage[rows_stage].from];
  const EngineSource *src = engine_source(&s->mem, g, s->home.lim.dir);
  EngineSource *v = NEWN(&s->mem, EngineSource, g->ninput + 1);
  char **dir = NEWN(&s->mem, char *, g->ninput + 1);
  Reader *r = NULL;
  *n = 0;
  if (!src || !v || !dir)
    return err_memory(e);
  for (uint32_t i = 0; i < g->ninput && e->code == ST_OK; i++, src = src->next) {
    v[i] = *src;
    v[i].next = i + 1 < g->ninput ? &v[i + 1] : NULL;
    if (in[i].far)
      mirrored(s, &in[i], &v[i], &dir[i], e);
  }
  if (e->code == ST_OK && reader_open(v, g->column, g->ncolumn, s->home.lim.memory, &r, e) == ST_OK) {
    if (one_reader(s->home.p, rows_stage))
      home_leave_out(&s->home, rows_stage, r);
    reader_layout(r, &s->mem, out, n, e);
  }
  reader_close(r);
  name_file(in, dir, g->ninput, e);
  for (uint32_t i = 0; i < g->ninput; i++)
    if (dir[i])
      folder_remove(dir[i]);
  bool plain = e->code == ST_OK && *n == nfile;
  for (uint32_t i = 0; plain && i < nfile; i++)
    plain = (*out)[i].plain;
  *n = plain ? nfile : 0;
  return e->code;
}

static Status send_parts(Spark *s, uint32_t stage, const Input *in, const FileLayout *l, const CutPart *part,
                         uint32_t npart, Err *e) {
  const Stage *g = &s->home.p->stage[stage];
  Buf b = {0}, record = {0};
  uint32_t nfile = 0, f = 0;
  for (uint32_t i = 0; i < g->ninput; i++)
    nfile += in[i].nfile;
  buf_u32(&b, stage);
  buf_u32(&b, nfile);
  for (uint32_t i = 0; i < g->ninput; i++)
    for (uint32_t k = 0; k < in[i].nfile; k++) {
      frame_str(&b, in[i].uri[k]);
      buf_u64(&b, l[f++].bytes);
    }
  buf_u32(&b, npart);
  for (uint32_t p = 0; p < npart && e->code == ST_OK; p++) {
    buf_u32(&b, part[p].n);
    for (uint32_t i = 0; i < part[p].n && e->code == ST_OK; i++) {
      const CutRun *run = &part[p].run[i];
      buf_u32(&b, run->file);
      buf_u64(&b, run->from);
      buf_u64(&b, run->to);
      run_record(&l[run->file], run->file, run->first, (uint32_t)run->n, &record, e);
      buf_blob(&b, record.p, record.n);
    }
  }
  if (e->code == ST_OK)
    spark_ask(s, FRAME_PLAIN, &b, NULL, e);
  buf_free(&record);
  buf_free(&b);
  return e->code;
}

/* *done: native code reads the files in tasks. Else Spark's reader has to. */
static Status read_plain(Spark *s, uint32_t rows_stage, const Input *in, RecordFile *file, bool *done,
                         Err *e) {
  uint32_t stage = (uint32_t)s->home.p->stage[rows_stage].from, n = 0, npart = 0;
  Source *o = &s->source[stage];
  FileLayout *l = NULL;
  CutPart *part = NULL;
  *done = false;
  if (!is_ours(s, &s->home.p->stage[stage]) || o->nfile > SPARK_MIRRORS)
    return ST_OK;
  if (look(s, rows_stage, in, o->nfile, &l, &n, e) != ST_OK || !n ||
      cut_parts(&s->mem, l, n, s->partitions, &part, &npart, e) != ST_OK || !npart)
    return e->code;
  if (send_parts(s, stage, in, l, part, npart, e) != ST_OK)
    return e->code;
  o->npart = npart;
  o->rows = 0;
  for (uint32_t i = 0; i < n; i++)
    o->rows += file[i].rows = l[i].rows;
  *done = true;
  return ST_OK;
}

/* ---- All of them ---- */

Status spark_source(Spark *s, uint32_t rows_stage, Source **out, Err *e) {
  uint32_t stage = (uint32_t)s->home.p->stage[rows_stage].from, n = 0;
  const Stage *g = &s->home.p->stage[stage];
  Source *o = *out = &s->source[stage];
  EngineHow how;
  if (o->ready)
    return ST_OK;
  Input *in = NEWN(&s->mem, Input, g->ninput + 1);
  if (!in)
    return err_memory(e);
  Status st = one_way(g, &how, e);
  for (uint32_t i = 0; i < g->ninput && !st; i++) {
    in[i].in = &g->input[i];
    st = input_files(s, &in[i], e);
    n += in[i].nfile;
  }
  RecordFile *file = NEWN(&s->mem, RecordFile, n + 1);
  o->name = NEWN(&s->mem, const char *, n + 1);
  if (!st && (!file || !o->name))
    st = err_memory(e);
  for (uint32_t i = 0; i < g->ninput && !st; i++)
    for (uint32_t k = 0; k < in[i].nfile; k++) {
      o->name[o->nfile] = in[i].file[k];
      file[o->nfile++] = (RecordFile){.name = in[i].file[k], .rows = UINT64_MAX, .input = i};
    }
  if (!st && how == HOW_TEXT) /* those who divide the files are told their names */
    st = put_files(s, stage, file, o->nfile, e);
  bool plain = false;
  if (!st && how == HOW_COLUMNS)
    st = read_plain(s, rows_stage, in, file, &plain, e);
  if (!st && !plain)
    st = read_source(s, stage, how, in, file, e);
  if (!st)
    st = put_files(s, stage, file, o->nfile, e);
  o->ready = !st;
  return st;
}

