/* SPDX-License-Identifier: Apache-2.0 */
/* What a run made, as one SHA-256 for each stage: fitted values, models, metrics, files, counts of rows.
 * Nothing that may differ between runs is in it: no time, no count of scans, no number of a stage. Read it
 * from the bottom. */
#include <math.h>
#include <string.h>

#include "vm/run.h"

static void put_f64s(Buf *b, const double *v, size_t n) {
  for (size_t i = 0; i < n; i++)
    buf_f64(b, isnan(v[i]) ? NAN : v[i]); /* one of the many that there are */
}

static Status put_fitted(Buf *b, const RunResult *r, uint32_t number, Err *e) {
  const Fitted *f = number < r->nfitted ? r->fitted[number] : NULL;
  if (!f)
    return ST_OK;
  Status st = fitted_save(f, b, e);
  if (!st && f->type == IR_MODEL)
    buf_cstr(b, f->model->inference);
  return st;
}

static void put_value(Buf *b, const MetricValue *v) {
  buf_cstr(b, v->slice);
  buf_u64(b, v->rows);
  put_f64s(b, &v->weight, 1);
  buf_cstr(b, v->defined ? "" : v->why ? v->why : "undefined");
  if (!v->defined)
    return;
  put_f64s(b, &v->value, 1);
  put_f64s(b, v->cell, 4);
  if (v->table)
    put_f64s(b, v->table, (size_t)v->table_rows * v->table_columns);
}

static void put_metric(Buf *b, const RunMetric *m) {
  const Paired *d = &m->paired;
  buf_u32(b, m->metric);
  buf_u32(b, m->n);
  for (uint32_t i = 0; i < m->n; i++)
    put_value(b, &m->v[i]);
  put_value(b, &m->difference);
  if (d->known)
    put_f64s(b, (const double[]){d->other, d->low, d->high, d->p}, 4);
}

static void put_expect(Buf *b, const RunExpect *x) {
  buf_u32(b, x->expect);
  buf_u8(b, (uint8_t)(x->passed | x->defined << 1));
  buf_cstr(b, x->text);
}

/* What it has in the lists of the run, each of which is in the order of the stage's own. */
static void put_listed(Buf *b, const RunResult *r, uint32_t stage) {
  for (uint32_t i = 0; i < r->ndata; i++)
    if (r->data[i].stage == stage && r->data[i].known) {
      buf_u64(b, r->data[i].read);
      for (uint32_t k = 0; k < KEPT; k++)
        buf_u64(b, r->data[i].kept[k]);
    }
  for (uint32_t i = 0; i < r->nmetric; i++)
    if (r->metric[i].stage == stage)
      put_metric(b, &r->metric[i]);
  for (uint32_t i = 0; i < r->nexpect; i++)
    if (r->expect[i].stage == stage)
      put_expect(b, &r->expect[i]);
  for (uint32_t i = 0; i < r->nwarning; i++)
    if (r->warning[i].stage == stage)
      buf_cstr(b, r->warning[i].text);
}

static Status put_stage(Buf *b, const Program *p, const RunResult *r, uint32_t stage, Err *e) {
  const Stage *s = &p->stage[stage];
  Status st = ST_OK;
  for (uint32_t k = 0; k < s->nagg && !st; k++)
    if (s->agg[k].leave_out < 0)
      st = put_fitted(b, r, s->agg[k].fitted, e);
  if (!st && s->kind == STAGE_TRAIN)
    st = put_fitted(b, r, s->fitted, e);
  if (s->kind == STAGE_BUNDLE)
    st = put_fitted(b, r, s->fitted, e);
  put_listed(b, r, stage);
  return st ? st : b->bad ? err_memory(e) : ST_OK;
}

Status run_digests(const Program *p, const RunResult *r, char (*digest)[DIGEST_HEX], Err *e) {
  Buf b = {0};
  Status st = ST_OK;
  for (uint32_t i = 0; i < p->nstage && !st; i++) {
    buf_clear(&b);
    st = put_stage(&b, p, r, i, e);
    digest[p->stage[i].seq][0] = 0;
    if (!st && b.n)
      digest_bytes(buf_bytes(&b), digest[p->stage[i].seq]);
  }
  for (uint32_t i = 0; i < r->nexport && !st; i++) {
    const Stage *s = &p->stage[r->export_[i].stage];
    if (ir_writes_rows(s))
      memcpy(digest[s->seq], digest_number(r->export_[i].digest), DIGEST_HEX);
  }
  buf_free(&b);
  return st;
}
