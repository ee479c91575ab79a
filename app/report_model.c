/* SPDX-License-Identifier: Apache-2.0 */
/* What the summary of a run says of its models: how the fit went, and a table of what was learned.
 * Coefficients have a line for each feature, with errors where there are any; models of several classes
 * and clusters have a column for each of those. Of many features the table shows the largest. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/report.h"
#include "base/arena.h"
#include "base/num.h"

enum { NAME_LEAST = 34, NAME_MOST = 70, COLUMN_LEAST = 10, COLUMN_MOST = 20, LINE_MOST = 100 };

typedef struct Column { /* of the table */
  const char *name;
  const double *v;      /* by feature */
  const double *first;  /* its value in the line above the features, or NULL */
  bool p;               /* p-values */
  int width;
} Column;

typedef struct Ranked {
  double score;
  uint32_t feature;
  int digits;
} Ranked;

typedef struct ModelTable {
  const Model *m;
  Column *column;
  uint32_t ncolumn, shown; /* shown: those that the line has room for */
  const char *first;       /* name of the line above the features, or NULL */
  const char *rank;        /* what the largest ones are largest in */
  const double *value, *error; /* d values, or ncolumn x d; error: of value, or NULL */
  bool range;              /* centres: a feature matters as far as they differ */
  Ranked *row;
  uint32_t nrow;
  int name_width, name_most;
} ModelTable;

/* ---- Which features ---- */

static double score_of(const ModelTable *t, uint32_t feature) {
  if (t->error)
    return t->error[feature] > 0 ? fabs(t->value[feature] / t->error[feature]) : 0;
  double low = INFINITY, high = -INFINITY;
  uint32_t n = t->m->nclass || t->range ? t->ncolumn : 1;
  for (uint32_t k = 0; k < n; k++) {
    double x = t->value[(size_t)k * t->m->d + feature];
    x = t->range ? x : fabs(x);
    low = x < low ? x : low;
    high = x > high ? x : high;
  }
  return t->range ? high - low : high;
}

static bool all_zero(const ModelTable *t, uint32_t feature) {
  for (uint32_t k = 0; k < (t->m->nclass ? t->ncolumn : 1); k++)
    if (t->value[(size_t)k * t->m->d + feature] != 0)
      return false;
  return true;
}

/* The `nrow` features with the greatest scores, of equal ones the first; all of them stay in their order. */
static void choose_rows(ModelTable *t) {
  uint32_t n = 0;
  for (uint32_t j = 0; j < t->m->d; j++) {
    Ranked r = {t->nrow < t->m->d ? score_of(t, j) : 0, j, 5};
    uint32_t at = n;
    if (n == t->nrow && !(r.score > t->row[n - 1].score))
      continue;
    while (at > 0 && r.score > t->row[at - 1].score)
      at--;
    n += n < t->nrow;
    memmove(t->row + at + 1, t->row + at, (n - 1 - at) * sizeof *t->row);
    t->row[at] = r;
  }
}

/* ---- Printing ---- */

/* Cut to `most` characters; what would move the cursor is a `?`. */
static void print_cell(FILE *out, const char *name, int most, int width, bool left) {
  char text[4 * NAME_MOST + 8];
  size_t n = 0;
  int whole = report_width(name), used = whole > most ? most : whole;
  for (int k = 0; k < (whole > most ? most - 1 : whole); k++) {
    size_t size = 1;
    while (((unsigned char)name[size] & 0xc0) == 0x80)
      size++;
    if (n + size > 4 * NAME_MOST)
      break;
    memcpy(text + n, name, size);
    if ((unsigned char)*name < 0x20 || *name == 0x7f)
      text[n] = '?';
    n += size;
    name += size;
  }
  memcpy(text + n, whole > most ? "\xe2\x80\xa6" : "", whole > most ? 4 : 1);
  int pad = width > used ? width - used : 0;
  fprintf(out, "%*s%s%*s", left ? 0 : pad, "", text, left ? pad : 0, "");
}

/* A number of the table as text; `digits` where it is too large or too small for five decimals. */
static void value_text(char out[NUM_MAX], double x, int digits) {
  if (x == 0) /* exactly, as l1 makes it */
    strcpy(out, "0");
  else if (fabs(x) >= 1e5 || fabs(x) < 1e-3)
    snprintf(out, NUM_MAX, "%.*g", digits, x);
  else
    snprintf(out, NUM_MAX, "%.5f", x);
}

static void print_value(FILE *out, const Column *c, double x, bool whole, int digits) {
  char text[NUM_MAX];
  if (c->p && x < 2e-16)
    strcpy(text, "<2e-16");
  else if (isnan(x))
    strcpy(text, "null");
  else if (c->p)
    snprintf(text, sizeof text, "%.3g", x);
  else if (whole)
    snprintf(text, sizeof text, "%.0f", fabs(x));
  else
    value_text(text, x, digits);
  fprintf(out, "  %*s", c->width, text);
}

/* How many digits tell the centres apart in a feature, where they differ: 5 to 9. */
static int digits_of(const ModelTable *t, uint32_t feature) {
  int digits = 5;
  char a[NUM_MAX], b[NUM_MAX];
  for (uint32_t i = 0; i < t->ncolumn && i < 10; i++) /* a line has room for no more */
    for (uint32_t k = 0; k < i; k++)
      for (double x = t->column[i].v[feature], y = t->column[k].v[feature]; x != y && digits < 9; digits++) {
        value_text(a, x, digits);
        value_text(b, y, digits);
        if (strcmp(a, b) != 0)
          break;
      }
  return digits;
}

static void print_notes(const ModelTable *t, const Paint *p) {
  const Model *m = t->m;
  char a[NUM_MAX], b[NUM_MAX];
  uint32_t zero = 0;
  for (uint32_t j = 0; j < m->d && !t->range; j++)
    zero += all_zero(t, j);
  if (t->nrow < m->d) {
    num_print_grouped(a, m->d);
    num_print_grouped(b, zero);
    fprintf(p->out, "    %s%u of %s features, by %s", p->dim, t->nrow, a, t->rank);
    if (zero)
      fprintf(p->out, "; %s %s 0", b, zero == 1 ? "is" : "are");
    fprintf(p->out, "; all by --coefficients all or --json%s\n", p->end);
  }
  if (t->shown < t->ncolumn)
    fprintf(p->out, "    %s%u of %u %s; --json FILE has all%s\n", p->dim, t->shown, t->ncolumn,
            t->range ? "clusters" : "classes", p->end);
  if (!strncmp(m->inference, "none: ", 6))
    fprintf(p->out, "    %sno standard errors: %s%s\n", p->dim, m->inference + 6, p->end);
  else if (m->inference[0])
    fprintf(p->out, "    %sp-values: %s%s\n", p->dim, m->inference, p->end);
}

static void print_table(const ModelTable *t, const Paint *p) {
  const Model *m = t->m;
  fprintf(p->out, "    %s%-*s", p->dim, t->name_width, "feature");
  for (uint32_t k = 0; k < t->shown; k++) {
    fprintf(p->out, "  ");
    print_cell(p->out, t->column[k].name, t->column[k].width, t->column[k].width, false);
  }
  fprintf(p->out, "%s\n", p->end);
  if (t->first) {
    fprintf(p->out, "    %-*s", t->name_width, t->first);
    for (uint32_t k = 0; k < t->shown; k++)
      print_value(p->out, &t->column[k], t->column[k].first ? *t->column[k].first : NAN, t->range, 5);
    fprintf(p->out, "\n");
  }
  for (uint32_t i = 0; i < t->nrow; i++) {
    fprintf(p->out, "    ");
    print_cell(p->out, m->feature[t->row[i].feature], t->name_most, t->name_width, true);
    for (uint32_t k = 0; k < t->shown; k++)
      print_value(p->out, &t->column[k], t->column[k].v[t->row[i].feature], false, t->row[i].digits);
    fprintf(p->out, "\n");
  }
  print_notes(t, p);
}

/* ---- What the columns are ---- */

static void one_column(ModelTable *t, const char *name, const Tensor *v, const Tensor *first) {
  if (v && v->cols == t->m->d)
    t->column[t->ncolumn++] =
        (Column){.name = name, .v = v->v, .first = first ? first->v : NULL, .p = !strcmp(name, "p-value")};
}

static void of_one_outcome(ModelTable *t, const Tensor *b) {
  const Model *m = t->m;
  const Tensor *error = model_tensor(m, "std_error");
  t->value = b->v;
  t->error = error && error->cols == m->d ? error->v : NULL;
  t->rank = t->error ? "coefficient / std error" : "size of the coefficient";
  one_column(t, "coefficient", b, model_tensor(m, "intercept"));
  one_column(t, "std error", error, model_tensor(m, "intercept_std_error"));
  one_column(t, "p-value", model_tensor(m, "p_value"), model_tensor(m, "intercept_p_value"));
  one_column(t, "low 95 %", model_tensor(m, "low_95"), model_tensor(m, "intercept_low_95"));
  one_column(t, "high 95 %", model_tensor(m, "high_95"), model_tensor(m, "intercept_high_95"));
}

static void of_several(ModelTable *t, const Tensor *v, const Tensor *first, char (*number)[12]) {
  t->value = v->v;
  t->ncolumn = v->rows;
  for (uint32_t k = 0; k < v->rows; k++) {
    if (number)
      snprintf(number[k], sizeof number[k], "%u", k);
    t->column[k] = (Column){.name = number ? number[k] : t->m->class[k], .v = v->v + (size_t)k * t->m->d};
    t->column[k].first = first && first->cols == v->rows ? &first->v[k] : NULL;
  }
}

/* Names get what the columns leave of the line; columns that it has no room for are not shown. */
static void measure(ModelTable *t) {
  int columns = 4, width = t->first ? report_width(t->first) : 7;
  for (uint32_t i = 0; i < t->nrow; i++) {
    int w = report_width(t->m->feature[t->row[i].feature]);
    width = w > width ? w : width;
    t->row[i].digits = t->range ? digits_of(t, t->row[i].feature) : 5;
  }
  for (uint32_t k = 0; k < t->ncolumn; k++) {
    int w = report_width(t->column[k].name);
    char text[NUM_MAX];
    for (uint32_t i = 0; t->range && i < t->nrow; i++) {
      value_text(text, t->column[k].v[t->row[i].feature], t->row[i].digits);
      w = (int)strlen(text) > w ? (int)strlen(text) : w;
    }
    t->column[k].width = w < COLUMN_LEAST ? COLUMN_LEAST : w > COLUMN_MOST ? COLUMN_MOST : w;
    columns = columns < LINE_MOST ? columns + 2 + t->column[k].width : columns;
  }
  t->name_most = LINE_MOST - columns;
  t->name_most = t->name_most < NAME_LEAST ? NAME_LEAST : t->name_most > NAME_MOST ? NAME_MOST : t->name_most;
  t->name_width = width > t->name_most ? t->name_most : width;
  int line = 4 + t->name_width;
  for (uint32_t k = 0; k < t->ncolumn; k++) {
    line = line > LINE_MOST ? line : line + 2 + t->column[k].width;
    t->shown += line <= LINE_MOST || k == 0;
  }
}

static void print_learned(const Model *m, const Paint *p, uint32_t most) {
  const Tensor *b = model_tensor(m, "coefficients"), *centers = model_tensor(m, "centers");
  bool clusters = m->task == TASK_CLUSTER && centers && centers->cols == m->d;
  if (!m->d || !most || (!clusters && (!b || b->cols != m->d || b->rows != (m->nclass ? m->nclass : 1))))
    return;
  ModelTable t = {.m = m, .range = clusters};
  uint32_t columns = clusters ? centers->rows : m->nclass ? m->nclass : 5;
  t.nrow = m->d <= most ? m->d : most == REPORT_FEATURES ? REPORT_FEATURES / 2 : most;
  t.column = mem_alloc(columns * sizeof *t.column);
  t.row = mem_alloc(t.nrow * sizeof *t.row);
  char(*number)[12] = mem_alloc(columns * sizeof *number);
  if (t.column && t.row && number) {
    t.first = clusters ? "(rows)" : "(intercept)";
    t.rank = clusters ? "distance of the centres" : "size of the largest coefficient";
    if (clusters)
      of_several(&t, centers, model_tensor(m, "sizes"), number);
    else if (m->nclass)
      of_several(&t, b, model_tensor(m, "intercept"), NULL);
    else
      of_one_outcome(&t, b);
    choose_rows(&t);
    measure(&t);
    print_table(&t, p);
  }
  mem_free(number);
  mem_free(t.row);
  mem_free(t.column);
}

const Model *report_model(const Report *r, uint32_t stage) {
  const Stage *s = &r->program->stage[stage];
  const Fitted *f =
      s->kind == STAGE_TRAIN && s->fitted < r->run->nfitted ? r->run->fitted[s->fitted] : NULL;
  return f && f->type == IR_MODEL ? f->model : NULL;
}

void report_models(const Report *r, const Paint *p, uint32_t most) {
  char a[NUM_MAX];
  for (uint32_t at = 0; at < r->program->nstage; at++) {
    uint32_t i = ir_written(r->program, at);
    const Stage *s = &r->program->stage[i];
    const Model *m = report_model(r, i);
    if (!m)
      continue;
    fprintf(p->out, "%smodel%s  %-14s %s, %u feature%s, ", p->bold, p->end, s->name, s->estimator, m->d,
            m->d == 1 ? "" : "s");
    if (m->nclass)
      fprintf(p->out, "%u classes, ", m->nclass);
    const Tensor *centers = m->task == TASK_CLUSTER ? model_tensor(m, "centers") : NULL;
    if (centers)
      fprintf(p->out, "%u cluster%s, ", centers->rows, centers->rows == 1 ? "" : "s");
    num_print_grouped(a, m->rows);
    fprintf(p->out, "%s row%s\n", a, m->rows == 1 ? "" : "s");
    fprintf(p->out, "%22s%s, %u iteration%s%s", "", m->solver, m->iterations, m->iterations == 1 ? "" : "s",
            m->converged ? "" : ", not converged");
    if (m->nobjective)
      fprintf(p->out, ", objective %.7g", m->objective[m->nobjective - 1]);
    fprintf(p->out, "\n");
    const Stage *from;
    const double *threshold = report_threshold(r, i, &from);
    if (threshold)
      fprintf(p->out, "%22sthreshold %.7g (%s)\n", "", *threshold, from->name);
    print_learned(m, p, most);
  }
}
