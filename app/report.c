/* SPDX-License-Identifier: Apache-2.0 */
/* The summary of a run, for people: data, models, metrics, expectations, files, time. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/report.h"
#include "base/num.h"

static const char *grouped(char out[NUM_MAX], uint64_t v) {
  num_print_grouped(out, v);
  return out;
}

int report_width(const char *s) {
  int n = 0;
  for (; *s; s++)
    n += ((unsigned char)*s & 0xc0) != 0x80;
  return n;
}

static void print_expects(const Report *r, const Paint *p, uint32_t stage) {
  for (uint32_t k = 0; k < r->run->nexpect; k++) {
    const RunExpect *x = &r->run->expect[k];
    const IrExpect *ix = &r->program->stage[stage].expect[x->expect];
    if (x->stage != stage)
      continue;
    fprintf(p->out, "  %s%s%s  expect %s", x->passed ? p->green : p->red, x->passed ? "passed" : "FAILED",
            p->end, ix->text);
    if (!x->passed)
      fprintf(p->out, "   (%s; %s:%u)", x->text, r->path, ix->line);
    fprintf(p->out, "\n");
  }
}

/* The expectations that a data set had to meet, on all its rows stages. */
static void print_tests(const Report *r, const Paint *p, int32_t source) {
  for (uint32_t i = 0; i < r->program->nstage; i++) {
    const Stage *s = &r->program->stage[i];
    if (s->kind == STAGE_FIT && s->nexpect && r->program->stage[s->from].from == source)
      print_expects(r, p, i);
  }
}

static void print_data(const Report *r, const Paint *p) {
  char a[NUM_MAX];
  for (uint32_t i = 0; i < r->run->ndata; i++) {
    const RunData *d = &r->run->data[i];
    const Stage *s = &r->program->stage[d->stage];
    uint64_t kept = 0;
    if (!d->known || s->early)
      continue;
    fprintf(p->out, "%sdata%s   %-14s %s rows", p->bold, p->end, r->program->stage[s->from].name,
            grouped(a, d->read));
    for (uint32_t k = 0; k < s->nparts && k < 64; k++) {
      fprintf(p->out, "%s %s %s", k ? "," : ":", s->parts[k], grouped(a, d->kept[k]));
      kept += d->kept[k];
    }
    if (!s->nparts)
      kept = d->kept[0];
    uint64_t invalid = d->kept[KEPT_INVALID];
    if (kept + invalid < d->read)
      fprintf(p->out, ", filtered %s", grouped(a, d->read - kept - invalid));
    if (invalid)
      fprintf(p->out, ", %sdropped as invalid %s%s", p->red, grouped(a, invalid), p->end);
    fprintf(p->out, "\n");
    print_tests(r, p, s->from);
  }
}

const double *report_threshold(const Report *r, uint32_t train, const Stage **from) {
  for (uint32_t i = 0; i < r->program->nstage; i++) {
    const Stage *s = &r->program->stage[i];
    for (uint32_t k = 0; s->train == (int32_t)train && k < s->nmetric; k++) {
      int32_t id = s->metric[k].fitted;
      *from = s;
      if (id >= 0 && (uint32_t)id < r->run->nfitted && r->run->fitted[id])
        return &r->run->fitted[id]->f;
    }
  }
  return NULL;
}

static void print_number(FILE *out, const MetricValue *v) {
  if (!v->defined)
    fprintf(out, "%12s", "null");
  else if (fabs(v->value) >= 1e5 || (v->value != 0 && fabs(v->value) < 1e-3))
    fprintf(out, "%12.5g", v->value);
  else
    fprintf(out, "%12.5f", v->value);
}

static void print_confusion(FILE *out, const MetricValue *v) {
  fprintf(out, "                predicted false  predicted true\n");
  fprintf(out, "    false      %16.10g %15.10g\n    true       %16.10g %15.10g\n", v->cell[0], v->cell[1],
          v->cell[2], v->cell[3]);
}

/* A line for each class; names of any length and script. */
static void print_table(FILE *out, const MetricValue *v, const Model *m) {
  const char *corner = v->table_column ? "" : "true \\ predicted";
  int first = report_width(*corner ? corner : "(unseen)");
  for (uint32_t i = 0; i < m->nclass; i++)
    first = report_width(m->class[i]) > first ? report_width(m->class[i]) : first;
  for (uint32_t i = 0; i <= v->table_rows; i++) {
    const char *name = i == 0 ? corner : i <= m->nclass ? m->class[i - 1] : "(unseen)";
    fprintf(out, "    %s%*s", name, first - report_width(name), "");
    for (uint32_t k = 0; k < v->table_columns; k++) {
      const char *column = v->table_column ? v->table_column[k] : m->class[k];
      int width = report_width(column) < 9 ? 9 : report_width(column);
      double x = i ? v->table[(i - 1) * (size_t)v->table_columns + k] : 0;
      if (i == 0)
        fprintf(out, "  %*s%s", width - report_width(column), "", column);
      else if (isnan(x))
        fprintf(out, "  %*s", width, "null");
      else
        fprintf(out, v->table_column && k + 1 < v->table_columns ? "  %*.5f" : "  %*.10g", width, x);
    }
    fprintf(out, "\n");
  }
}

/* " +0.02 (95 % 0.01 to 0.03, p 0.002)" */
static void print_difference(const Paint *p, const IrMetric *im, const RunMetric *m) {
  const Paired *d = &m->paired;
  if (!im->vs || !m->v[0].defined)
    return;
  if (!m->difference.defined)
    fprintf(p->out, "   difference null");
  else if (!d->known)
    fprintf(p->out, "   %+.5g %s(too few rows for an interval)%s", d->difference, p->dim, p->end);
  else
    fprintf(p->out, "   %+.5g %s(95 %% %.5g to %.5g, p %.2g)%s", d->difference, p->dim, d->low, d->high, d->p,
            p->end);
}

static void print_metric(const Report *r, const Paint *p, const RunMetric *m) {
  const IrMetric *im = &r->program->stage[m->stage].metric[m->metric];
  const Stage *s = &r->program->stage[m->stage];
  bool confusion = !catalog_metric(r->registry, im->name, s->task)->scalar;
  char a[NUM_MAX];
  if (im->by) {
    fprintf(p->out, "  %s by %s\n", im->text, im->by);
    for (uint32_t k = 0; k < m->n; k++) {
      const char *slice = m->v[k].slice ? m->v[k].slice : "null";
      if (confusion) {
        fprintf(p->out, "    %s   %s%s rows%s\n", slice, p->dim, grouped(a, m->v[k].rows), p->end);
        print_confusion(p->out, &m->v[k]);
        continue;
      }
      int room = 24 - report_width(slice);
      fprintf(p->out, "    %s%*s", slice, room > 0 ? room : 0, "");
      print_number(p->out, &m->v[k]);
      fprintf(p->out, "   %s%s row%s%s\n", p->dim, grouped(a, m->v[k].rows),
              m->v[k].rows == 1 ? "" : "s", p->end);
    }
  } else if (m->n && m->v[0].table) {
    fprintf(p->out, "  %s\n", im->text);
    print_table(p->out, &m->v[0], r->run->fitted[s->fitted]->model);
  } else if (m->n && confusion && !m->v[0].defined) {
    fprintf(p->out, "  %-26s%12s\n", im->text, "null");
  } else if (m->n && confusion) {
    fprintf(p->out, "  %s\n", im->text);
    print_confusion(p->out, &m->v[0]);
  } else if (m->n) {
    fprintf(p->out, "  %-26s", im->text);
    print_number(p->out, &m->v[0]);
    print_difference(p, im, m);
    fprintf(p->out, "\n");
  }
}

static bool was_run(const RunResult *run, uint32_t stage) {
  for (uint32_t k = 0; k < run->nmetric; k++)
    if (run->metric[k].stage == stage)
      return true;
  return false;
}

static void print_evaluations(const Report *r, const Paint *p) {
  char a[NUM_MAX];
  for (uint32_t at = 0; at < r->program->nstage; at++) {
    uint32_t i = ir_written(r->program, at);
    const Stage *s = &r->program->stage[i];
    if (s->kind != STAGE_EVALUATE || !was_run(r->run, i))
      continue;
    const MetricValue *all = NULL; /* of a metric of all rows */
    for (uint32_t k = 0; k < r->run->nmetric; k++)
      if (r->run->metric[k].stage == i && !s->metric[r->run->metric[k].metric].by && r->run->metric[k].n)
        all = &r->run->metric[k].v[0];
    fprintf(p->out, "\n%s%s%s", p->bold, s->name, p->end);
    if (all)
      fprintf(p->out, "   %s%s row%s%s", p->dim, all->rows ? grouped(a, all->rows) : "no",
              all->rows == 1 ? "" : "s", p->end);
    fprintf(p->out, "%s\n", s->seen ? "   (seen rows: the model was fitted on them)" : "");
    for (uint32_t k = 0; k < r->run->nmetric; k++)
      if (r->run->metric[k].stage == i)
        print_metric(r, p, &r->run->metric[k]);
    print_expects(r, p, i);
  }
}

static void print_exports(const Report *r, const Paint *p) {
  char a[NUM_MAX];
  for (uint32_t i = 0; i < r->run->nexport; i++) {
    const RunExport *x = &r->run->export_[i];
    fprintf(p->out, "%s%-11s %s   %s%s bytes", i ? "" : "\n", x->kind, x->path, p->dim, grouped(a, x->bytes));
    if (x->rows)
      fprintf(p->out, ", %s row%s", grouped(a, x->rows), x->rows == 1 ? "" : "s");
    fprintf(p->out, "%s\n", p->end);
  }
}

static bool timed(const RunStage *s) {
  return s->scans || s->seconds >= 5e-4;
}

/* Were rows worked on in processes that had to be started? */
static bool elsewhere(const RunResult *r) {
  for (uint32_t i = 0; i < r->nstage; i++)
    if (r->stage[i].parts)
      return true;
  return false;
}

static void print_timings(const Report *r, const Paint *p) {
  char a[NUM_MAX], b[NUM_MAX];
  int width = 24;
  for (uint32_t i = 0; i < r->run->nstage; i++)
    if (timed(&r->run->stage[i]) && report_width(r->run->stage[i].name) > width)
      width = report_width(r->run->stage[i].name);
  fprintf(p->out, "\n%s%-*s %8s %6s %12s %9s%s\n", p->dim, width, "stage", "seconds", "scans", "rows", "MB",
          p->end);
  if (elsewhere(r->run))
    fprintf(p->out, "%s%-*s %8.3f%s\n", p->dim, width, "start", r->run->start, p->end);
  for (uint32_t i = 0; i < r->run->nstage; i++) {
    const RunStage *s = &r->run->stage[i];
    if (!timed(s))
      continue;
    bool joins = r->program->stage[i].joins; /* its time and bytes are those of the stage above it */
    fprintf(p->out, "%s%s%*s ", p->dim, s->name, width - report_width(s->name), "");
    if (joins)
      fprintf(p->out, "%8s", "shared");
    else
      fprintf(p->out, "%8.3f", s->seconds);
    if (s->scans)
      fprintf(p->out, " %6u %12s", s->scans, grouped(a, s->rows));
    if (s->scans && !joins)
      fprintf(p->out, " %9.1f", (double)s->bytes / 1e6);
    fprintf(p->out, "%s\n", p->end);
  }
  fprintf(p->out, "%s%-*s %8.3f%s\n", p->dim, width, "total", r->run->seconds, p->end);
  const JitStats *x = &r->run->jit;
  if (x->programs)
    fprintf(p->out, "%s%-*s %8.3f   beside it; %s panels by machine code, %s interpreted%s\n", p->dim, width,
            "compiling", x->seconds, grouped(a, x->compiled), grouped(b, x->interpreted), p->end);
}

void report_print(const Report *r, FILE *out, bool colour, uint32_t features) {
  Paint p = {out, "", "", "", "", ""};
  if (colour)
    p = (Paint){out, "\033[1m", "\033[32m", "\033[31m", "\033[2m", "\033[0m"};
  print_data(r, &p);
  report_models(r, &p, features);
  print_evaluations(r, &p);
  print_exports(r, &p);
  print_timings(r, &p);
}
