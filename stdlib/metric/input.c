/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of the metric passes, and reading a panel: scores, targets, weights checked, slices numbered. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "stdlib/metric/metric.h"

MetricPar metric_par(const Metric *m, const MetricInfo *i, uint8_t kind) {
  ModelTask task = i->model                           ? i->model->task
                   : m->tasks & TASK_BIT(TASK_BINARY) ? TASK_BINARY
                                                      : TASK_REGRESSION;
  return (MetricPar){.kind = kind,
                     .binary = task == TASK_BINARY,
                     .score = i->score,
                     .target = i->target,
                     .slice = i->slice,
                     .groups = i->groups,
                     .classes = task == TASK_MULTICLASS ? i->model->nclass : 0};
}

void metric_par_put(const MetricPar *p, Buf *out) {
  buf_u8(out, p->kind);
  buf_u8(out, p->binary);
  buf_f64(out, p->number);
  buf_u32(out, p->size);
  buf_u32(out, p->classes);
  buf_u8(out, p->against_rest);
  buf_u32(out, p->class);
  buf_u32(out, p->score);
  buf_u32(out, p->target);
  buf_u32(out, (uint32_t)p->slice);
  buf_u32(out, p->groups);
  buf_u32(out, p->low);
  buf_u32(out, p->high);
}

void *metric_par_open(Bytes par, Err *e) {
  Rd r = rd_of(par);
  MetricPar *p = mem_alloc(sizeof *p);
  if (!p) {
    err_memory(e);
    return NULL;
  }
  p->kind = rd_u8(&r);
  p->binary = rd_u8(&r) != 0;
  p->number = rd_f64(&r);
  p->size = rd_u32(&r);
  p->classes = rd_u32(&r);
  p->against_rest = rd_u8(&r) != 0;
  p->class = rd_u32(&r);
  p->score = rd_u32(&r);
  p->target = rd_u32(&r);
  p->slice = (int32_t)rd_u32(&r);
  p->groups = rd_u32(&r);
  p->low = rd_u32(&r);
  p->high = rd_u32(&r);
  bool sizes = p->size <= METRIC_SIZE_MAX && (p->size > 0 || p->kind != SUM_BINS) &&
               p->groups <= METRIC_SIZE_MAX && (p->slice < 0 || !p->groups) && p->classes <= CLASSES_MAX &&
               p->class <= p->classes &&
               (p->classes || (p->kind != SUM_CLASSES && p->kind != SUM_TABLE && p->kind != SUM_TOP)) &&
               (p->slice < 0 || p->kind != SUM_TABLE);
  if (!rd_done(&r) || p->kind >= SUM_KINDS || !sizes) {
    err_set(e, ST_FAULT, "CML0601", NULL, "the parameters of a metric are damaged");
    mem_free(p);
    return NULL;
  }
  return p;
}

void metric_par_close(void *par) {
  mem_free(par);
}

/* ---- slices ---- */

void *metric_slot(Map *slices, const void *key, size_t n, size_t size, Err *e) {
  int fresh = 0;
  int64_t at = map_add(slices, key, n, &fresh);
  if (at < 0) {
    err_memory(e);
    return NULL;
  }
  if (fresh || !slices->entry[at].val)
    slices->entry[at].val = mem_alloc(size);
  if (!slices->entry[at].val)
    err_memory(e);
  return slices->entry[at].val;
}

void metric_slots_free(Map *slices) {
  for (uint32_t i = 0; i < slices->n; i++)
    mem_free(slices->entry[i].val);
  map_free(slices);
}

bool metric_slots_need(Map *slices, const MetricPar *p, size_t size, Err *e) {
  for (uint32_t g = 0; g < p->groups; g++) {
    const char key[5] = {'g', (char)(g >> 24), (char)(g >> 16), (char)(g >> 8), (char)g};
    if (!metric_slot(slices, key, sizeof key, size, e))
      return false;
  }
  return p->groups || p->slice >= 0 || metric_slot(slices, "", 0, size, e);
}

/* A row's group follows from its position alone; the Map has them all, in order. */
static void number_groups(const MetricPar *p, const Panel *panel, uint32_t *slot) {
  for (uint32_t r = 0; r < panel->n; r++) {
    uint64_t pos = panel->pos + (panel->at ? panel->at[r] : r);
    slot[r] = (uint32_t)(hash_word(hash_word(HASH_VERSION, panel->file), pos) % p->groups);
  }
}

/* Number of the slice of key; adds it. -1: no memory. */
static int64_t slot_number(Map *slices, const void *key, size_t n, size_t size, Err *e) {
  if (!metric_slot(slices, key, n, size, e))
    return -1;
  return map_find(slices, key, n);
}

static size_t text_key(const Dict *d, uint32_t code, char **space, size_t *cap) {
  size_t n = d->off[code + 1] - d->off[code];
  if (n + 1 > *cap) {
    char *p = mem_realloc(*space, n + 64);
    if (!p)
      return 0;
    *space = p;
    *cap = n + 64;
  }
  (*space)[0] = 's';
  memcpy(*space + 1, d->bytes + d->off[code], n);
  return n + 1;
}

static Status number_slices(const Col *c, uint32_t n, Map *slices, size_t size, uint32_t *slot, Ctx *ctx) {
  Status st = ST_OK;
  char *text = NULL;
  size_t cap = 0;
  uint32_t *seen = NULL; /* of a dictionary's code: slot + 1 */
  uint64_t last = 0;
  int64_t last_slot = -1;
  if (c->type == IR_STR && c->dict->n <= 8 * (uint64_t)n) {
    seen = arena_alloc(ctx->scratch, (c->dict->n + 1) * sizeof *seen);
    if (!seen)
      return err_memory(ctx->err);
  }
  for (uint32_t r = 0; r < n; r++) {
    uint32_t i = c->constant ? 0 : r;
    if (c->constant && r > 0) {
      slot[r] = slot[0];
      continue;
    }
    int64_t at;
    if (c->null && c->null[i]) {
      at = slot_number(slices, "", 0, size, ctx->err);
    } else if (c->type == IR_STR) {
      uint32_t code = c->code[i];
      if (seen && seen[code]) {
        slot[r] = seen[code] - 1;
        continue;
      }
      size_t len = text_key(c->dict, code, &text, &cap);
      at = len ? slot_number(slices, text, len, size, ctx->err) : -1;
      if (seen && at >= 0)
        seen[code] = (uint32_t)at + 1;
    } else {
      uint64_t u = c->type == IR_BOOL ? c->b[i] != 0 : (uint64_t)c->i[i];
      if (last_slot >= 0 && u == last) {
        slot[r] = (uint32_t)last_slot;
        continue;
      }
      uint8_t key[9];
      size_t len = c->type == IR_BOOL ? 2 : 9;
      uint64_t v = u ^ UINT64_C(1) << 63;
      key[0] = c->type == IR_BOOL ? 'b' : 'i';
      key[1] = (uint8_t)u;
      for (int k = 0; len == 9 && k < 8; k++)
        key[1 + k] = (uint8_t)(v >> (56 - 8 * k));
      at = slot_number(slices, key, len, size, ctx->err);
      last = u;
      last_slot = at;
    }
    if (at < 0) {
      st = err_memory(ctx->err);
      break;
    }
    slot[r] = (uint32_t)at;
  }
  mem_free(text);
  return st;
}

/* ---- rows ---- */

static bool number_at(const Col *c, uint32_t r, double *out) {
  uint32_t i = c->constant ? 0 : r;
  if (c->null && c->null[i])
    return false;
  *out = c->type == IR_BOOL ? c->b[i] != 0 : c->type == IR_I64 ? (double)c->i[i] : c->f[i];
  return true;
}

static void row_error(Ctx *ctx, const Panel *p, uint32_t r, const char *column, const char *text) {
  RowError one = {.file = p->file, .pos = p->pos + (p->at ? p->at[r] : r), .step = UINT32_MAX};
  snprintf(one.column, sizeof one.column, "%s", column);
  snprintf(one.text, sizeof one.text, "%s", text);
  row_errors_add(ctx->errors, &one);
}

Status metric_slices(const MetricPar *p, const Panel *panel, Map *slices, size_t size, uint32_t *slot,
                     Ctx *ctx) {
  if (p->groups) {
    number_groups(p, panel, slot);
    return ST_OK;
  }
  if (p->slice >= 0)
    return number_slices(&panel->out[p->slice], panel->n, slices, size, slot, ctx);
  memset(slot, 0, panel->n * sizeof *slot); /* there is one */
  return metric_slot(slices, "", 0, size, ctx->err) ? ST_OK : ctx->err->code;
}

/* Probabilities of all classes and the number of the true one; or one class against the rest. NULL: no
 * error. */
static const char *class_row(const MetricPar *p, const Col *target, uint32_t r, MetricRows *out,
                             const char **column) {
  const double *prob = out->prob + r * out->step;
  *column = "prediction";
  for (uint32_t k = 0; k < p->classes; k++)
    if (!(fabs(prob[k]) < INFINITY))
      return "the prediction is not a finite number";
  *column = "target";
  double *y = &out->y[r];
  if (!number_at(target, r, y) || !(*y >= -1 && *y < p->classes && *y == floor(*y)))
    return "the target is not the number of a class";
  out->score[r] = p->against_rest ? prob[p->class] : 0;
  *y = p->against_rest ? *y == p->class : *y;
  return NULL;
}

Status metric_rows(const MetricPar *p, const Panel *panel, Map *slices, size_t size, MetricRows *out,
                   Ctx *ctx) {
  uint32_t n = panel->n;
  double *v = arena_alloc(ctx->scratch, (3 * (size_t)n + 1) * sizeof *v);
  out->slot = arena_alloc(ctx->scratch, ((size_t)n + 1) * sizeof *out->slot);
  if (!v || !out->slot)
    return err_memory(ctx->err);
  if (p->score >= panel->nout || p->target >= panel->nout || p->slice >= (int32_t)panel->nout)
    return err_set(ctx->err, ST_FAULT, "CML0601", NULL, "a metric asks for a column that the stage has not");
  out->w = v;
  out->score = v + n;
  out->y = v + 2 * (size_t)n;
  out->weighted = panel->weight != NULL;
  out->bad = false;
  const Col *score = &panel->out[p->score], *target = &panel->out[p->target];
  if (p->classes &&
      (score->type != IR_VEC || score->is_hot || score->width != p->classes || p->class >= p->classes))
    return err_set(ctx->err, ST_FAULT, "CML0601", NULL,
                   "a metric asks for %u classes of a column that has not so many", p->classes);
  out->prob = p->classes ? score->f : NULL;
  out->step = p->classes && !score->constant ? p->classes : 0;
  for (uint32_t r = 0; r < n; r++) {
    const char *column = NULL, *text = NULL;
    out->w[r] = panel->weight ? panel->weight[r] : 1;
    if (!(out->w[r] >= 0 && out->w[r] <= 1e150)) {
      column = "weight";
      text = "the weight is not a number from 0 to 1e150";
    } else if (p->classes) {
      text = class_row(p, target, r, out, &column);
      if (!text)
        continue;
    } else if (!number_at(score, r, &out->score[r]) || !(fabs(out->score[r]) < INFINITY)) {
      column = "prediction";
      text = "the prediction is not a finite number";
    } else if (!number_at(target, r, &out->y[r]) || !(fabs(out->y[r]) < INFINITY)) {
      column = "target";
      text = "the target is not a finite number";
    } else if (p->binary && out->y[r] != 0 && out->y[r] != 1) {
      column = "target";
      text = "the target is neither false nor true";
    } else {
      continue;
    }
    row_error(ctx, panel, r, column, text);
    out->bad = true;
  }
  if (out->bad || n == 0)
    return ST_OK;
  return metric_slices(p, panel, slices, size, out->slot, ctx);
}
