/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's evaluations: metrics of one model, or of two on the same rows, and expectations. Read from
 * the bottom. */
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "vm/interp.h"
#include "vm/ops.h"
#include "vm/run/parts.h"

/* A name may stand for a metric of each task; the last is taken where none fits. */
static const Metric *metric_of(const Registry *r, const char *name, ModelTask task) {
  const Metric *m = NULL;
  for (uint32_t i = 0; r->metric && r->metric[i] && !(m && m->tasks & TASK_BIT(task)); i++)
    if (!strcmp(r->metric[i]->name, name))
      m = r->metric[i];
  return m;
}

static int32_t out_of(const RowProg *g, OutRole role, const char *name) {
  for (uint32_t i = 0; i < g->nout; i++)
    if (g->out[i].role == role && (!name || (g->out[i].name && !strcmp(g->out[i].name, name))))
      return (int32_t)i;
  return -1;
}

static int32_t own_score(const RowProg *g) {
  for (uint32_t i = 0; i < g->nout; i++)
    if (g->out[i].role == OUT_SCORE && !g->out[i].name)
      return (int32_t)i;
  return -1;
}

/* The value of a metric of this stage that an expectation names: by its text, else by its name. NULL:
 * there is none. */
static const MetricValue *value_of(const Run *r, uint32_t stage, const char *name) {
  const Stage *s = &r->p->stage[stage];
  for (int way = 0; way < 2; way++) {
    for (uint32_t i = 0; i < r->out->nmetric; i++) {
      const RunMetric *m = &r->out->metric[i];
      if (m->stage != stage || s->metric[m->metric].by || m->n != 1)
        continue;
      const char *is = way ? s->metric[m->metric].name : s->metric[m->metric].text;
      if (is && !strcmp(is, name) && (!way || !s->metric[m->metric].vs))
        return s->metric[m->metric].vs ? &m->difference : &m->v[0];
    }
  }
  return NULL;
}

enum { EXPECT_NAMES = 64 };

typedef struct Measured { /* what an expectation reads: a row of one value for each metric it names */
  uint32_t n;
  const char *name[EXPECT_NAMES];
  const char *why[EXPECT_NAMES]; /* of undefined ones */
  double value[EXPECT_NAMES];
  uint8_t null[EXPECT_NAMES];
  Col in[EXPECT_NAMES];
} Measured;

static Status measured(const Run *r, uint32_t stage, const IrExpect *x, Measured *out, Err *e) {
  for (uint32_t i = 0; i < x->prog.nval; i++) {
    const IrVal *v = &x->prog.val[i];
    bool seen = v->op != OP_COL;
    for (uint32_t k = 0; k < out->n; k++)
      seen = seen || !strcmp(out->name[k], v->s);
    if (seen)
      continue;
    const MetricValue *m = value_of(r, stage, v->s);
    uint32_t n = out->n;
    if (!m || n == EXPECT_NAMES)
      return err_set(e, ST_FAULT, "CML0607", NULL, "expectation `%s` names `%s`, which was not measured",
                     x->text, v->s);
    out->name[n] = v->s;
    out->why[n] = m->why;
    out->null[n] = !m->defined;
    out->value[n] = m->defined ? m->value : 0;
    out->in[n] = (Col){.type = IR_F64, .f = &out->value[n], .null = m->defined ? NULL : &out->null[n]};
    out->n++;
  }
  return ST_OK;
}

/* "`auc` is undefined, since the rows have one class only; `brier` is 0.25" */
static void tell(const Measured *m, char *out, size_t size) {
  Buf text = {.n = 0};
  char number[NUM_MAX];
  for (uint32_t i = 0; i < m->n; i++) {
    buf_printf(&text, "%s`%s` is ", i ? "; " : "", m->name[i]);
    num_print_f64(number, m->value[i], false);
    buf_text(&text, m->null[i] ? "undefined" : number);
    if (m->null[i] && m->why[i])
      buf_printf(&text, ", since %s", m->why[i]);
    if (text.bad || text.n >= size)
      break;
    memcpy(out, buf_str(&text), text.n + 1); /* whole entries only */
  }
  buf_free(&text);
}

/* What an expectation of data reads: fitted values that are numbers, called by the aggregates they come
 * from. */
static void fitted_measured(const Run *r, uint32_t stage, const IrExpect *x, Measured *out) {
  const Stage *s = &r->p->stage[stage];
  for (uint32_t i = 0; i < x->prog.nval; i++) {
    const IrVal *v = &x->prog.val[i];
    if ((v->op != OP_FITTED_I64 && v->op != OP_FITTED_F64) || out->n == EXPECT_NAMES)
      continue;
    const Fitted *f = r->env.v[v->i];
    for (uint32_t k = 0; k < s->nagg; k++)
      if (s->agg[k].fitted == (uint64_t)v->i)
        out->name[out->n] = s->agg[k].text;
    out->value[out->n++] = v->op == OP_FITTED_I64 ? (double)f->i : f->f;
  }
}

static Status run_expect(Run *r, uint32_t stage, uint32_t number, RunExpect *out, Err *e) {
  const IrExpect *x = &r->p->stage[stage].expect[number];
  Measured m = {.n = 0};
  Interp *t = NULL;
  RowErrors errors = {.count = 0};
  Col *res = mem_alloc((x->prog.nout + 1) * sizeof *res);
  *out = (RunExpect){.stage = stage, .expect = number};
  bool metrics = r->p->stage[stage].kind == STAGE_EVALUATE;
  Status st = !res ? err_memory(e) : metrics ? measured(r, stage, x, &m, e) : ST_OK;
  RowsIn row = {.n = 1, .col = m.in};
  if (!st)
    st = interp_new(&x->prog, &r->env, m.name, m.n, &t, e);
  if (!st && !metrics)
    fitted_measured(r, stage, x, &m);
  if (!st)
    st = interp_run(t, &row, res, NULL, &errors, e);
  if (!st && errors.count)
    st = err_set(e, ST_DATA, "CML0432", "Change its expression.", "expectation `%s` cannot be computed: %s",
                 x->text, errors.v[0].text);
  if (st == ST_DATA)
    err_at(e, "%s:%u:%u", r->p->name, x->line, x->col);
  if (!st) {
    out->defined = !(res[0].null && res[0].null[0]);
    out->passed = out->defined && res[0].b[0];
    tell(&m, out->text, sizeof out->text);
  }
  if (m.n) {
    out->metric = m.name[0];
    out->known = !m.null[0];
    out->value = m.value[0];
  }
  interp_free(t);
  mem_free(res);
  return st;
}

/* The options of a metric, with the threshold that was chosen for its model. */
static IrOption *metric_options(const Run *r, const IrMetric *q, bool other, Err *e) {
  int32_t fitted = other ? q->vs_threshold : q->threshold;
  IrOption *v = mem_alloc((q->noption + 1) * sizeof *v);
  const Fitted *f = fitted >= 0 && (uint32_t)fitted < r->env.n ? r->env.v[fitted] : NULL;
  if (!v || (fitted >= 0 && !f)) {
    mem_free(v);
    if (v)
      err_set(e, ST_FAULT, "CML0604", NULL, "the threshold of metric `%s` is not there", q->text);
    else
      err_memory(e);
    return NULL;
  }
  for (uint32_t i = 0; i < q->noption; i++) {
    v[i] = q->option[i];
    if (!strcmp(v[i].name, "threshold"))
      v[i].num = f ? f->f : other ? q->vs_number : v[i].num;
  }
  return v;
}

/* The value of a metric becomes a fitted one. */
static Status keep_value(Run *r, uint32_t stage, const IrMetric *q, const RunMetric *m, Err *e) {
  const Stage *s = &r->p->stage[stage];
  if (m->n != 1 || !m->v[0].defined) {
    const char *why = m->n == 1 ? m->v[0].why : NULL;
    err_set(e, ST_DATA, "CML0447", "Look at the filter and the split of the data, or give a number.",
            "no threshold can be chosen for model `%s`: %s", r->p->stage[s->train].name,
            why ? why : "there are no rows");
    return err_at(e, "%s:%u:%u", r->p->name, s->line, s->col);
  }
  Fitted *f = mem_alloc(sizeof *f);
  if (!f)
    return err_memory(e);
  f->type = IR_F64;
  f->f = m->v[0].value;
  return run_put(r, (uint32_t)q->fitted, f, e);
}

/* The Iter of one metric, for the stage's model or (other) the one it is compared with. */
static Status begin_metric(Run *r, uint32_t stage, const IrMetric *q, bool other, uint64_t rows, Iter **it,
                           Err *e) {
  const Stage *s = &r->p->stage[stage];
  int32_t score = other ? out_of(&s->prog, OUT_SCORE, q->vs) : own_score(&s->prog),
          target = out_of(&s->prog, OUT_TARGET, NULL);
  const IrVal *from = score < 0 ? NULL : &s->prog.val[s->prog.out[score].val];
  uint64_t id = other && from && op_scores(from->op) ? (uint64_t)from->i : s->fitted;
  const Fitted *f = id < r->env.n ? r->env.v[id] : NULL;
  if (score < 0 || (target < 0 && s->task != TASK_CLUSTER) || !f || f->type != IR_MODEL ||
      f->model->task != s->task)
    return err_set(e, ST_FAULT, "CML0608", NULL, "stage `%s` gives no score or no target, or has no model",
                   s->name);
  const Metric *m = metric_of(r->reg, q->name, s->task);
  if (!m)
    return err_set(e, ST_PROGRAM, "CML0451", "It needs another cml.", "there is no metric called `%s`",
                   q->name);
  if (!(m->tasks & TASK_BIT(s->task)))
    return err_set(e, ST_PROGRAM, "CML0451", "It needs another cml.", "`%s` does not measure %s models",
                   q->name, task_name[s->task]);
  IrOption *option = metric_options(r, q, other, e);
  if (!option)
    return e->code;
  MetricInfo info = {.option = option,
                     .noption = q->noption,
                     .score = (uint32_t)score,
                     .target = (uint32_t)target,
                     .model = f->model,
                     .slice = q->by ? out_of(&s->prog, OUT_COLUMN, q->by) : -1,
                     .groups = q->vs ? PAIRED_GROUPS : 0,
                     .rows = rows,
                     .memory = r->lim->memory};
  Status st = m->begin(m, &info, it, e);
  mem_free(option);
  return st;
}

/* v: one looper for each metric, and behind them one for each on the model it is compared with. */
static Status begin_metrics(Run *r, uint32_t stage, uint64_t rows, Looper *v, Err *e) {
  const Stage *s = &r->p->stage[stage];
  Status st = ST_OK;
  for (uint32_t i = 0; i < s->nmetric && !st; i++) {
    st = begin_metric(r, stage, &s->metric[i], false, rows, &v[i].it, e);
    v[s->nmetric + i].done = !s->metric[i].vs;
    if (!st && s->metric[i].vs)
      st = begin_metric(r, stage, &s->metric[i], true, rows, &v[s->nmetric + i].it, e);
  }
  return st;
}

void run_drop_values(MetricValue *v, uint32_t from, uint32_t to) {
  for (uint32_t i = from; i < to; i++)
    mem_free(v[i].slice), mem_free(v[i].table);
}

/* m->v has the whole and what is left without each group: it becomes the whole, and the difference. */
static Status compare(RunMetric *m, const Metric *q, Iter *other, Err *e) {
  MetricValue *v = NULL;
  uint32_t n = 0;
  Status st = q->finish(other, &v, &n, e);
  if (!st && (n != m->n || n < 1))
    st = err_set(e, ST_FAULT, "CML0601", NULL, "two models were measured on other rows");
  if (!st) {
    m->paired = paired_of(m->v, v, n);
    m->difference = m->v[0];
    m->difference.slice = NULL;
    m->difference.table = NULL;
    m->difference.defined = m->v[0].defined && v[0].defined;
    m->difference.why = m->v[0].defined ? v[0].why : m->v[0].why;
    m->difference.value = m->paired.difference;
    run_drop_values(m->v, 1, m->n);
    m->n = 1;
  }
  run_drop_values(v, 0, n);
  mem_free(v);
  return st;
}

static Status finish_metrics(Run *r, uint32_t stage, const Looper *v, Err *e) {
  const Stage *s = &r->p->stage[stage];
  for (uint32_t i = 0; i < s->nmetric; i++) {
    RunMetric *m = &r->out->metric[r->out->nmetric];
    const Metric *q = metric_of(r->reg, s->metric[i].name, s->task);
    *m = (RunMetric){.stage = stage, .metric = i};
    Status st = q->finish(v[i].it, &m->v, &m->n, e);
    if (!st && s->metric[i].vs)
      st = compare(m, q, v[s->nmetric + i].it, e);
    if (st) {
      run_drop_values(m->v, 0, m->n);
      mem_free(m->v);
      return st;
    }
    /* sorted by rows: the most frequent come first */
    for (int64_t top = s->metric[i].top; top > 0 && m->n > top;)
      run_drop_values(m->v, m->n - 1, m->n), m->n--;
    r->out->nmetric++;
    if (s->metric[i].fitted >= 0)
      st = keep_value(r, stage, &s->metric[i], m, e);
    if (st)
      return st;
  }
  return ST_OK;
}

Status run_expects(Run *r, uint32_t stage, Err *e) {
  const Stage *s = &r->p->stage[stage];
  RunResult *o = r->out;
  RunExpect *x = mem_realloc(o->expect, (o->nexpect + s->nexpect + 1) * sizeof *x);
  if (!x)
    return err_memory(e);
  o->expect = x;
  for (uint32_t i = 0; i < s->nexpect; i++) {
    if (run_expect(r, stage, i, &o->expect[o->nexpect], e))
      return e->code;
    o->nexpect++;
  }
  return ST_OK;
}

/* Loopers: one for each metric, and behind them one for each on the model it is compared with. */
Status run_begin_evaluate(Run *r, Work *w, Err *e) {
  Status st = run_loopers(w, 2 * r->p->stage[w->stage].nmetric, e);
  if (!st)
    st = run_part_rows(r, w->stage, &w->rows, e);
  return st ? st : begin_metrics(r, w->stage, w->rows, w->v, e);
}

Status run_finish_evaluate(Run *r, Work *w, Err *e) {
  RunResult *o = r->out;
  RunMetric *m = mem_realloc(o->metric, (o->nmetric + r->p->stage[w->stage].nmetric + 1) * sizeof *m);
  o->metric = m ? m : o->metric;
  Status st = m ? finish_metrics(r, w->stage, w->v, e) : err_memory(e);
  return st ? st : run_expects(r, w->stage, e);
}
