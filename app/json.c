/* SPDX-License-Identifier: Apache-2.0 */
/* The object of `run --json`. A writer of our own, since the JSON library prints 0.1 as
 * 0.10000000000000001. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/report.h"
#include "base/num.h"

/* ---- The writer ---- */

/* Bytes of the UTF-8 character at s; 0: it is none (RFC 3629). */
static int utf8_length(const unsigned char *s) {
  int n = s[0] < 0x80                   ? 1
          : s[0] >= 0xC2 && s[0] < 0xE0 ? 2
          : (s[0] & 0xF0) == 0xE0       ? 3
          : s[0] >= 0xF0 && s[0] < 0xF5 ? 4
                                        : 0;
  for (int i = 1; i < n; i++)
    if ((s[i] & 0xC0) != 0x80)
      return 0;
  bool low = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xF0 && s[1] < 0x90);
  bool surrogate = s[0] == 0xED && s[1] >= 0xA0, high = s[0] == 0xF4 && s[1] >= 0x90;
  return low || surrogate || high ? 0 : n;
}

static void quote(Buf *o, const char *s) {
  buf_u8(o, '"');
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    int n = c < 0x80 ? 1 : utf8_length((const unsigned char *)s);
    if (n != 1) { /* a whole character, or a byte that belongs to none */
      buf_put(o, n ? s : "\xEF\xBF\xBD", n ? (size_t)n : 3);
      s += n ? n - 1 : 0;
      continue;
    }
    if (c == '"' || c == '\\')
      buf_printf(o, "\\%c", c);
    else if (c < 32)
      buf_printf(o, "\\u%04x", c);
    else
      buf_u8(o, c);
  }
  buf_u8(o, '"');
}

static void lead(Json *j, const char *key) {
  if (j->comma)
    buf_u8(j->out, ',');
  if (j->depth) {
    buf_u8(j->out, '\n');
    for (int i = 0; i < j->depth; i++)
      buf_text(j->out, "  ");
  }
  if (key) {
    quote(j->out, key);
    buf_text(j->out, ": ");
  }
  j->comma = true;
}

void json_open(Json *j, const char *key, char bracket) {
  lead(j, key);
  buf_u8(j->out, (uint8_t)bracket);
  j->depth++;
  j->comma = false;
}

void json_close(Json *j, char bracket) {
  j->depth--;
  if (j->comma) {
    buf_u8(j->out, '\n');
    for (int i = 0; i < j->depth; i++)
      buf_text(j->out, "  ");
  }
  buf_u8(j->out, (uint8_t)bracket);
  j->comma = true;
}

void json_null(Json *j, const char *key) {
  lead(j, key);
  buf_text(j->out, "null");
}

void json_text(Json *j, const char *key, const char *value) {
  lead(j, key);
  if (value)
    quote(j->out, value);
  else
    buf_text(j->out, "null");
}

void json_number(Json *j, const char *key, double value) {
  char t[NUM_MAX];
  lead(j, key);
  if (isfinite(value))
    num_print_f64(t, value, false);
  buf_text(j->out, isfinite(value) ? t : "null");
}

void json_whole(Json *j, const char *key, uint64_t value) {
  lead(j, key);
  buf_printf(j->out, "%llu", (unsigned long long)value);
}

void json_signed(Json *j, const char *key, int64_t value) {
  lead(j, key);
  buf_printf(j->out, "%lld", (long long)value);
}

void json_truth(Json *j, const char *key, bool value) {
  lead(j, key);
  buf_text(j->out, value ? "true" : "false");
}

/* ---- Parts ---- */

void json_options(Json *j, const char *key, const IrOption *v, uint32_t n, const Option *spec) {
  json_open(j, key, '{');
  for (uint32_t i = 0; i < n; i++) {
    const Option *s = option_find(spec, v[i].name);
    OptionKind kind = s ? s->kind : OPT_FLOAT;
    if (v[i].n) {
      json_open(j, v[i].name, '{');
      for (uint32_t k = 0; k < v[i].n; k++)
        json_number(j, v[i].names[k], v[i].list[k]);
      json_close(j, '}');
    } else if (v[i].str || kind == OPT_STRING || kind == OPT_EXPR)
      json_text(j, v[i].name, v[i].str);
    else if (kind == OPT_BOOL)
      json_truth(j, v[i].name, v[i].num != 0);
    else if (kind == OPT_ENUM) {
      char word[64];
      const char *w;
      int len = option_word(s, (int)v[i].num, &w);
      snprintf(word, sizeof word, "%.*s", len, w);
      json_text(j, v[i].name, word);
    } else {
      json_number(j, v[i].name, v[i].num);
    }
  }
  json_close(j, '}');
}

void json_model_options(Json *j, const char *key, const Report *r, uint32_t train) {
  const Stage *s = &r->program->stage[train], *from;
  const Estimator *est = catalog_estimator(r->registry, s->estimator);
  const double *threshold = report_threshold(r, train, &from);
  IrOption *v = threshold ? mem_alloc((s->noptions + 1) * sizeof *v) : NULL;
  for (uint32_t i = 0; v && i < s->noptions; i++) {
    v[i] = s->options[i];
    v[i].num = strcmp(v[i].name, "threshold") ? v[i].num : *threshold;
  }
  if (threshold && !v)
    j->out->bad = true;
  json_options(j, key, v ? v : s->options, s->noptions, est ? est->option : NULL);
  mem_free(v);
}

static void json_data(Json *j, const Report *r) {
  json_open(j, "data", '{');
  for (uint32_t i = 0; i < r->run->ndata; i++) {
    const RunData *d = &r->run->data[i];
    const Stage *rows = &r->program->stage[d->stage];
    if (!d->known || rows->early)
      continue;
    json_open(j, r->program->stage[rows->from].name, '{');
    json_whole(j, "rows", d->read);
    json_open(j, "parts", '{');
    for (uint32_t k = 0; k < rows->nparts && k < 64; k++)
      json_whole(j, rows->parts[k], d->kept[k]);
    if (!rows->nparts)
      json_whole(j, "all", d->kept[0]);
    json_close(j, '}');
    for (uint32_t k = 0; k < rows->prog.nout; k++)
      if (rows->prog.out[k].role == OUT_INVALID)
        json_whole(j, "invalid", d->kept[KEPT_INVALID]);
    for (uint32_t k = 0; k < r->ndata; k++)
      if ((int32_t)r->data[k].stage == rows->from)
        json_text(j, "digest", r->data[k].digest);
    json_close(j, '}');
  }
  json_close(j, '}');
}

/* Row k of a tensor as an object: its values by feature. */
static void by_features(Json *j, const char *key, const Model *m, const double *v) {
  json_open(j, key, '{');
  for (uint32_t k = 0; k < m->d; k++)
    json_number(j, m->feature[k], v[k]);
  json_close(j, '}');
}

/* A number for each class, or a row by features for each class or cluster. */
static bool by_rows(Json *j, const Model *m, const Tensor *t) {
  char number[16];
  bool clusters = m->task == TASK_CLUSTER && !strcmp(t->name, "centers") && t->cols == m->d;
  bool of_clusters =
      m->task == TASK_CLUSTER && (!strcmp(t->name, "sizes") || !strcmp(t->name, "weights")) && t->rows == 1;
  bool one =
      of_clusters || (m->nclass && t->rows == 1 && t->cols == m->nclass && strcmp(t->name, "coefficients"));
  bool classes = m->nclass && t->rows == m->nclass && t->cols == m->d;
  if (!one && !classes && !clusters)
    return false;
  json_open(j, t->name, '{');
  for (uint32_t i = 0; i < (one ? t->cols : t->rows); i++) {
    snprintf(number, sizeof number, "%u", i);
    const char *key = m->nclass ? m->class[i] : number;
    if (one)
      json_number(j, key, t->v[i]);
    else
      by_features(j, key, m, t->v + (size_t)i * m->d);
  }
  json_close(j, '}');
  return true;
}

static void json_tensors(Json *j, const Model *m) {
  for (uint32_t i = 0; i < m->ntensor; i++) {
    const Tensor *t = &m->tensor[i];
    if (by_rows(j, m, t))
      continue;
    bool by_feature = t->rows == 1 && t->cols == m->d && m->task != TASK_CLUSTER &&
                      (m->d != 1 || strncmp(t->name, "intercept", 9) != 0);
    if (t->rows == 1 && t->cols == 1 && !by_feature) {
      json_number(j, t->name, t->v[0]);
    } else if (by_feature) {
      by_features(j, t->name, m, t->v);
    } else {
      json_open(j, t->name, '[');
      for (uint64_t k = 0; k < (uint64_t)t->rows * t->cols; k++)
        json_number(j, NULL, t->v[k]);
      json_close(j, ']');
    }
  }
}

static void json_models(Json *j, const Report *r) {
  json_open(j, "models", '{');
  for (uint32_t at = 0; at < r->program->nstage; at++) {
    uint32_t i = ir_written(r->program, at);
    const Stage *s = &r->program->stage[i];
    const Model *m = report_model(r, i);
    if (!m)
      continue;
    json_open(j, s->name, '{');
    json_text(j, "estimator", s->estimator);
    json_text(j, "task", task_name[s->task]);
    json_text(j, "target", s->target);
    if (m->nclass) {
      json_open(j, "classes", '[');
      for (uint32_t k = 0; k < m->nclass; k++)
        json_text(j, NULL, m->class[k]);
      json_close(j, ']');
    }
    json_model_options(j, "options", r, i);
    json_open(j, "features", '[');
    for (uint32_t k = 0; k < m->d; k++)
      json_text(j, NULL, m->feature[k]);
    json_close(j, ']');
    json_whole(j, "rows", m->rows);
    json_number(j, "weight", m->weight);
    json_text(j, "solver", m->solver);
    json_whole(j, "iterations", m->iterations);
    json_truth(j, "converged", m->converged);
    if (m->inference[0])
      json_text(j, "inference", m->inference);
    json_text(j, "warning", m->warning[0] ? m->warning : NULL);
    json_open(j, "objective", '[');
    for (uint32_t k = 0; k < m->nobjective; k++)
      json_number(j, NULL, m->objective[k]);
    json_close(j, ']');
    json_tensors(j, m);
    json_close(j, '}');
  }
  json_close(j, '}');
}

/* One object for each class, by name; a confusion by true, then predicted class. */
static void json_table(Json *j, const char *key, const MetricValue *v, const Model *m) {
  json_open(j, key, '{');
  for (uint32_t i = 0; i < v->table_rows; i++) {
    json_open(j, i < m->nclass ? m->class[i] : "(unseen)", '{');
    for (uint32_t k = 0; k < v->table_columns; k++)
      json_number(j, v->table_column ? v->table_column[k] : m->class[k],
                  v->table[i * (size_t)v->table_columns + k]);
    json_close(j, '}');
  }
  json_close(j, '}');
}

static void metric_value(Json *j, const Report *r, const Stage *s, const IrMetric *m, const MetricValue *v) {
  if (!v->defined) {
    json_null(j, m->text);
  } else if (catalog_metric(r->registry, m->name, s->task)->scalar) {
    json_number(j, m->text, v->value);
  } else if (v->table) {
    json_table(j, m->text, v, r->run->fitted[s->fitted]->model);
  } else {
    static const char *const cell[] = {"true_negative", "false_positive", "false_negative", "true_positive"};
    json_open(j, m->text, '{');
    for (int k = 0; k < 4; k++)
      json_number(j, cell[k], v->cell[k]);
    json_close(j, '}');
  }
}

static void number_or_null(Json *j, const char *key, double value, bool known) {
  if (known)
    json_number(j, key, value);
  else
    json_null(j, key);
}

static void json_difference(Json *j, const IrMetric *im, const RunMetric *m) {
  const Paired *d = &m->paired;
  json_open(j, im->text, '{');
  number_or_null(j, "value", m->v[0].value, m->v[0].defined);
  number_or_null(j, "other", d->other, m->difference.defined);
  number_or_null(j, "difference", d->difference, m->difference.defined);
  number_or_null(j, "low", d->low, d->known);
  number_or_null(j, "high", d->high, d->known);
  number_or_null(j, "p", d->p, d->known);
  json_close(j, '}');
}

static void open_evaluation(Json *j, const Report *r, const Stage *s, const char *by, const char *value,
                            uint64_t rows) {
  const Stage *data = &r->program->stage[s->from];
  json_open(j, NULL, '{');
  json_text(j, "model", r->program->stage[s->train].name);
  Buf on = {0};
  buf_printf(&on, "%s%s%s", r->program->stage[data->from].name, s->part < 0 ? "" : ".",
             ir_part_name(r->program, s));
  json_text(j, "on", buf_str(&on));
  buf_free(&on);
  json_truth(j, "seen", s->seen);
  json_text(j, "by", by);
  json_text(j, "value", value);
  json_whole(j, "rows", rows);
  json_open(j, "metrics", '{');
}

static void close_evaluation(Json *j) {
  json_close(j, '}');
  json_close(j, '}');
}

void json_evaluations(Json *j, const char *key, const Report *r, int32_t train) {
  json_open(j, key, '[');
  for (uint32_t i = 0; i < r->run->nmetric; i++) {
    const RunMetric *m = &r->run->metric[i];
    const Stage *s = &r->program->stage[m->stage];
    const IrMetric *im = &s->metric[m->metric];
    if (train >= 0 && s->train != train)
      continue;
    if (im->by) {
      for (uint32_t k = 0; k < m->n; k++) {
        open_evaluation(j, r, s, im->by, m->v[k].slice, m->v[k].rows);
        metric_value(j, r, s, im, &m->v[k]);
        close_evaluation(j);
      }
      continue;
    }
    bool first = true; /* all unsliced metrics of a stage are one entry, at the first of them */
    for (uint32_t k = 0; k < i; k++)
      first &= r->run->metric[k].stage != m->stage || s->metric[r->run->metric[k].metric].by;
    if (!first || !m->n)
      continue;
    open_evaluation(j, r, s, NULL, NULL, m->v[0].rows);
    for (uint32_t k = i; k < r->run->nmetric; k++) {
      const RunMetric *o = &r->run->metric[k];
      if (o->stage == m->stage && s->metric[o->metric].vs && o->n)
        json_difference(j, &s->metric[o->metric], o);
      else if (o->stage == m->stage && !s->metric[o->metric].by && o->n)
        metric_value(j, r, s, &s->metric[o->metric], &o->v[0]);
    }
    close_evaluation(j);
  }
  json_close(j, ']');
}

/* What machine code did: how long it took to make, and the panels that it and the interpreter ran. */
void json_jit(Json *j, const JitStats *s) {
  json_open(j, "jit", '{');
  json_whole(j, "programs", s->programs);
  json_whole(j, "steps", s->steps);
  json_number(j, "seconds", s->seconds);
  json_whole(j, "panels_compiled", s->compiled);
  json_whole(j, "panels_interpreted", s->interpreted);
  json_whole(j, "panels_again", s->again);
  json_text(j, "failed", *s->failed ? s->failed : NULL);
  json_close(j, '}');
}

void report_json(const Report *r, Buf *out) {
  Json j = {.out = out};
  json_open(&j, NULL, '{');
  json_open(&j, "program", '{');
  json_text(&j, "file", r->path);
  json_text(&j, "digest", r->digest);
  json_close(&j, '}');
  json_signed(&j, "seed", (int64_t)r->program->seed);
  json_data(&j, r);
  json_models(&j, r);
  json_evaluations(&j, "evaluations", r, -1);
  json_open(&j, "expectations", '[');
  for (uint32_t i = 0; i < r->run->nexpect; i++) {
    const RunExpect *x = &r->run->expect[i];
    const IrExpect *ix = &r->program->stage[x->stage].expect[x->expect];
    json_open(&j, NULL, '{');
    json_text(&j, "text", ix->text);
    json_whole(&j, "line", ix->line);
    if (x->known)
      json_number(&j, "value", x->value);
    else
      json_null(&j, "value");
    json_truth(&j, "passed", x->passed);
    json_close(&j, '}');
  }
  json_close(&j, ']');
  json_open(&j, "exports", '[');
  for (uint32_t i = 0; i < r->run->nexport; i++) {
    const RunExport *x = &r->run->export_[i];
    json_open(&j, NULL, '{');
    json_text(&j, "kind", x->kind);
    json_text(&j, "path", x->path);
    json_whole(&j, "rows", x->rows);
    json_whole(&j, "bytes", x->bytes);
    json_text(&j, "digest", x->elsewhere ? NULL : x->digest);
    json_close(&j, '}');
  }
  json_close(&j, ']');
  json_open(&j, "warnings", '[');
  for (uint32_t i = 0; i < r->run->nwarning; i++) {
    const RunWarning *w = &r->run->warning[i];
    json_open(&j, NULL, '{');
    json_text(&j, "stage", r->program->stage[w->stage].name);
    json_text(&j, "text", w->text);
    json_close(&j, '}');
  }
  json_close(&j, ']');
  json_open(&j, "timings", '[');
  for (uint32_t i = 0; i < r->run->nstage; i++) {
    const RunStage *s = &r->run->stage[i];
    if (!s->scans && s->seconds == 0)
      continue;
    json_open(&j, NULL, '{');
    json_text(&j, "stage", s->name);
    json_number(&j, "seconds", s->seconds);
    json_whole(&j, "rows", s->rows);
    json_whole(&j, "bytes", s->bytes);
    json_whole(&j, "held_bytes", s->held);
    json_whole(&j, "scans", s->scans);
    json_whole(&j, "source_scans", s->reads);
    if (r->program->stage[i].joins) /* its time and bytes are counted there */
      json_text(&j, "shares_scans_with", r->run->stage[ir_group(r->program, i)].name);
    json_close(&j, '}');
  }
  json_close(&j, ']');
  json_open(&j, "seconds", '{');
  json_number(&j, "start", r->run->start);
  json_number(&j, "total", r->run->seconds);
  json_close(&j, '}');
  json_jit(&j, &r->run->jit);
  json_close(&j, '}');
  buf_text(out, "\n");
}
