/* SPDX-License-Identifier: Apache-2.0 */
/* A cost model of a handful of constants, measured on one core of an x86-64 server of 2020 to 2024: right
 * within a factor of three, which is what it takes to see where a program spends its time. Nothing is
 * decided by it. Read estimate_program. */
#include "compiler/estimate.h"

#include <string.h>

#include "vm/engine.h"
#include "vm/estimator.h"
#include "vm/ops.h"

static const double read_text = 120e6;     /* bytes of CSV, JSON, libsvm a second: the reader is one thread */
static const double read_parquet = 1e9;  /* bytes of decoded columns a second */
static const double step_seconds = 1e-9;   /* a step of a row program, a row */
static const double agg_seconds = 6e-9;    /* an aggregate, a row */
static const double metric_seconds = 80e-9; /* auc sorts */
static const double text_seconds = 4e-9;   /* a byte of texts taken apart */
static const double unpacked = 2;          /* texts, for a byte of their file */
static const double write_parquet = 12e-9, write_text = 60e-9; /* a row and column written */
static const double learn_seconds = 10e-9,
                    entry_seconds = 3e-9;  /* a row in a pass of an estimator, an entry of a sparse one */
static const double code_bytes = 40e6;     /* of the process and its libraries */
static const double flops = 12e9;          /* dense passes of an estimator, a core */
enum {
  LEARNED_WIDTH = 32,
  SOME_SCANS = 8,
  REQUEST = 256
}; /* a one-hot slot before its levels are
    * known; scans of an estimator that says nothing; bytes of a request of Spark */

/* ---- Who needs whose fitted values ---- */

static bool reads_fitted(const IrVal *v) {
  const OpInfo *o = op_info(v->op);
  static const char *const prefix[] = {"fitted.", "lookup.", "score", "class."};
  for (size_t i = 0; i < sizeof prefix / sizeof *prefix; i++)
    if (o && !strncmp(o->name, prefix[i], strlen(prefix[i])))
      return true;
  return false;
}

bool stage_uses(const Program *p, uint32_t i, uint32_t id) {
  const RowProg *g = &p->stage[i].prog;
  for (uint32_t k = 0; k < g->nval; k++)
    if (reads_fitted(&g->val[k]) && g->val[k].i == (int64_t)id)
      return true;
  return false;
}

int32_t stage_making(const Program *p, uint32_t id) {
  for (uint32_t i = 0; i < p->nstage; i++) {
    const Stage *s = &p->stage[i];
    if (s->kind == STAGE_TRAIN && s->fitted == id)
      return (int32_t)i;
    for (uint32_t k = 0; s->kind == STAGE_FIT && k < s->nagg; k++)
      if (s->agg[k].fitted == id)
        return (int32_t)i;
  }
  return -1;
}

/* ---- Rows and bytes ---- */

/* The share of a part: where it is cut from a uniform number, what the cuts say; else as if all parts were
 * equal. */
static double part_share(const Stage *rows, int32_t part) {
  if (part < 0 || !rows->nparts)
    return 1;
  for (uint32_t i = 0; i < rows->prog.nval; i++) {
    const IrVal *v = &rows->prog.val[i];
    const IrVal *cuts = v->op == OP_CUT_F64 && v->narg == 2 ? &rows->prog.val[v->arg[1]] : NULL;
    if (!cuts || cuts->op != OP_CONST_LIST || cuts->nlist + 1 != rows->nparts)
      continue;
    double from = part ? cuts->list[part - 1] : 0, to = (uint32_t)part < cuts->nlist ? cuts->list[part] : 1;
    return to > from ? to - from : 0;
  }
  return 1.0 / rows->nparts;
}

static bool is_parquet(const Stage *source) {
  return source->ninput && !strcmp(source->input[0].format, "parquet");
}

static double kind_bytes(uint8_t kind) {
  return kind == KIND_BOOL ? 1 : kind == KIND_STRING || kind == KIND_CATEGORY ? 4 : 8;
}

static bool takes_texts_apart(const Stage *s) {
  for (uint32_t i = 0; i < s->prog.nval; i++)
    if (s->prog.val[i].type == IR_STRS)
      return true;
  return false;
}

/* Of the texts of all rows, where a stage takes some apart; other strings are taken to be a few that repeat.
 */
static double texts_bytes(const Program *p, uint32_t rows, const Estimate *all) {
  const Stage *s = &p->stage[rows];
  for (uint32_t i = rows + 1; i < p->nstage; i++)
    if (p->stage[i].from == (int32_t)rows && takes_texts_apart(&p->stage[i]))
      return all[s->from].bytes * (is_parquet(&p->stage[s->from]) ? unpacked : 1);
  return 0;
}

static double rows_bytes(const Stage *rows) {
  double n = 0;
  for (uint32_t i = 0; i < rows->prog.nout; i++)
    n += rows->prog.out[i].role == OUT_COLUMN ? kind_bytes(rows->prog.out[i].kind) : 1;
  return n;
}

typedef struct Width { /* of a row of the matrix */
  double d, filled; /* elements, and those that are not 0 as a rule */
} Width;

static Width matrix_width(const Stage *s) {
  Width w = {0, 0};
  for (uint32_t i = 0; i < s->prog.nout; i++) {
    const IrVal *v = &s->prog.val[s->prog.out[i].val];
    if (s->prog.out[i].role != OUT_SLOT)
      continue;
    bool learned = v->type == IR_VEC && !v->names;
    w.d += v->type != IR_VEC ? 1 : learned ? LEARNED_WIDTH : v->nlist;
    w.filled += v->type != IR_VEC || learned ? 1 : v->nlist;
  }
  if (!(w.d > 32 && 4 * w.filled < w.d)) /* dense: vm/interp/matrix.c */
    w.filled = w.d;
  return w;
}

/* ---- Stages ---- */

static void of_source(const Stage *s, const char *dir, Estimate *out) {
  Arena a;
  Err e = {0};
  EngineSize is;
  arena_init(&a, NULL);
  const EngineSource *src = engine_source(&a, s, dir);
  if (src && engine_size(src, s->column, s->ncolumn, &is, &e) == ST_OK)
    *out =
        (Estimate){.known = is.known, .exact = is.exact, .rows = (double)is.rows, .bytes = (double)is.bytes};
  arena_free(&a);
}

static double read_seconds(const Stage *source, const Estimate *is) {
  double bytes = 0;
  for (uint32_t i = 0; i < source->ncolumn; i++)
    bytes += kind_bytes(source->column[i].kind);
  return is_parquet(source) ? is->rows * bytes / read_parquet : is->bytes / read_text;
}

static void of_rows(const Program *p, uint32_t stage, const Estimate *all, double threads, Estimate *out) {
  const Stage *s = &p->stage[stage];
  const Estimate *from = &all[s->from];
  *out = *from;
  out->texts = texts_bytes(p, stage, all);
  out->bytes = from->rows * rows_bytes(s) + out->texts;
  out->seconds = read_seconds(&p->stage[s->from], from) + from->rows * s->prog.nval * step_seconds / threads;
  for (uint32_t i = 0; i < s->prog.nval; i++)
    out->exact = out->exact && s->prog.val[i].op != OP_KEEP;
}

static const Estimator *estimator_of(const Registry *r, const Stage *s) {
  uint32_t i = 0;
  while (r->estimator[i] && strcmp(r->estimator[i]->name, s->estimator) != 0)
    i++;
  return r->estimator[i];
}

static void of_training(const Registry *r, const Stage *s, Width w, Estimate *out) {
  const Estimator *m = estimator_of(r, s);
  out->scans = m && m->typical_scans ? m->typical_scans : SOME_SCANS;
  out->sent = REQUEST + 8 * w.d;
  out->partial = m && m->typical_partial ? m->typical_partial(w.d, s->options, s->noptions) : 0;
}

enum { SAMPLE_HOLDS = 32768 }; /* values of which quantiles need no second scan: vm/agg/sample.c */

static bool is_quantile(const IrAgg *a) {
  return !a->nkey && (!strncmp(a->op, "median", 6) || !strncmp(a->op, "quantile", 8));
}

static void of_scan(const Program *p, const Registry *r, const Stage *s, const Estimate *rows, double threads,
                    Estimate *out) {
  Width w = matrix_width(s);
  double share = part_share(&p->stage[s->from], s->part), row = s->prog.nval * step_seconds;
  if (takes_texts_apart(s) && rows->rows > 0)
    row += rows->texts / rows->rows * text_seconds;
  *out = *rows;
  out->rows = rows->rows * share;
  out->exact = rows->exact && s->part < 0;
  out->bytes = rows->bytes * share;
  out->scans = 1;
  for (uint32_t i = 0; i < s->nagg; i++)
    if (is_quantile(&s->agg[i]) && out->rows > SAMPLE_HOLDS)
      out->scans = 2;
  if (s->kind == STAGE_TRAIN) {
    of_training(r, s, w, out);
    out->bytes = out->rows * w.filled * (w.filled < w.d ? 12 : 8);
    bool dense = w.filled == w.d;
    double pass = dense ? (w.filled * w.filled + 4 * w.filled) / flops : w.filled * entry_seconds;
    out->seconds = out->rows * (row + out->scans * (learn_seconds + pass)) / threads;
    return;
  }
  size_t path = s->path ? strlen(s->path) : 0;
  bool parquet = path > 8 && !strcmp(s->path + path - 8, ".parquet");
  double written = ir_writes_rows(s) ? s->prog.nout * (parquet ? write_parquet : write_text) : 0;
  out->seconds =
      out->rows * (out->scans * (row + s->nagg * agg_seconds) + s->nmetric * metric_seconds) / threads +
      out->rows * written;
}

/* ---- Memory ---- */

/* Do scans of another group read these rows behind stage i, or it itself again? */
static bool rows_again(const Program *p, uint32_t i, uint32_t scans) {
  const Stage *s = &p->stage[i];
  if (s->kind != STAGE_TRAIN && scans > 1)
    return true;
  for (uint32_t k = i + 1; k < p->nstage; k++)
    if (p->stage[k].from == s->from && ir_group(p, k) != ir_group(p, i))
      return true;
  return false;
}

/* As the local executor does (vm/exec/store.h): rows are kept from their first scan to their last, a matrix
 * while its models learn from it; what does not fit is made again. */
static Status keep(const Program *p, const Limits *l, Estimate *v, Err *e) {
  double most = (double)exec_keeps(l), rows = 0, matrices = 0;
  uint32_t group = UINT32_MAX;
  bool *kept = mem_alloc(p->nstage + 1); /* by rows stage */
  if (!kept)
    return err_memory(e);
  for (uint32_t i = 0; i < p->nstage; i++) {
    const Stage *s = &p->stage[i];
    if (!v[i].scans)
      continue;
    if (ir_group(p, i) != group)
      matrices = 0;
    group = ir_group(p, i);
    bool again = rows_again(p, i, v[i].scans);
    if (again && !kept[s->from])
      rows += v[s->from].bytes;
    if (s->kind == STAGE_TRAIN && s->matrix < 0 && v[i].scans > 1)
      matrices += v[i].bytes;
    v[i].held = rows + matrices < most ? rows + matrices : most;
    if (!again && kept[s->from])
      rows -= v[s->from].bytes;
    kept[s->from] = again;
  }
  mem_free(kept);
  return ST_OK;
}

double estimate_peak(const Program *p, const Limits *l, const Estimate *stage) {
  double held = 0, flying = 0; /* numbers in blocks that a thread works on */
  for (uint32_t i = 0; i < p->nstage; i++) {
    const Stage *s = &p->stage[i];
    held = stage[i].held > held ? stage[i].held : held;
    if (!stage[i].scans)
      continue;
    if (!stage[i].known)
      return 0;
    const Stage *rows = &p->stage[s->from];
    double n = p->stage[rows->from].ncolumn + rows->prog.nout + s->prog.nout, all = stage[s->from].rows;
    n *= all < BLOCK ? all : BLOCK;
    flying = n > flying ? n : flying;
  }
  return code_bytes + held + l->threads * flying * sizeof(double);
}

Status estimate_program(const Program *p, const Registry *r, const Limits *l, Estimate *out, Err *e) {
  double threads = l->threads ? l->threads : 1;
  bool *scanned = mem_alloc(p->nstage + 1);
  if (!scanned)
    return err_memory(e);
  memset(out, 0, p->nstage * sizeof *out);
  for (uint32_t i = 0; i < p->nstage; i++) {
    const Stage *s = &p->stage[i];
    if (s->kind == STAGE_SOURCE)
      of_source(s, l->dir, &out[i]);
    else if (s->kind == STAGE_ROWS && s->from >= 0)
      of_rows(p, i, out, threads, &out[i]);
    else if (s->kind != STAGE_SCORE && s->kind != STAGE_BUNDLE && s->from >= 0)
      of_scan(p, r, s, &out[s->from], threads, &out[i]);
    if (out[i].scans && !scanned[s->from]) { /* the first to read the rows waits for the files */
      out[i].seconds += out[s->from].seconds;
      scanned[s->from] = true;
    }
  }
  mem_free(scanned);
  return keep(p, l, out, e);
}
