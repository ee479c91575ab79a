/* SPDX-License-Identifier: Apache-2.0 */
/* The text of `cmlc explain`. One function a kind of stage, in the order of StageKind; explain_program
 * walks the stages and counts scans. */
#include "compiler/explain.h"

#include <string.h>

#include "base/num.h"
#include "compiler/remarks.h"
#include "vm/estimator.h"
#include "vm/ops.h"

enum { SLOTS_SHOWN = 12 }; /* of a transform */

typedef struct Explain {
  const Program *p;
  const Registry *registry;
  Buf *o;
  uint32_t scan;
} Explain;

static void name_list(Buf *o, const char *title, const char *const *v, uint32_t n) {
  buf_printf(o, "    %-10s", title);
  for (uint32_t i = 0; i < n; i++)
    buf_printf(o, "%s%s", i ? ", " : "", v[i]);
  buf_text(o, n ? "\n" : "-\n");
}

static void explain_source(Explain *x, const Stage *s) {
  const char *unread[256];
  uint32_t n = 0;
  buf_printf(x->o, "data %s   from ", s->name);
  for (uint32_t i = 0; i < s->ninput; i++)
    buf_printf(x->o, "%s%s(\"%s\")", i ? ", " : "", s->input[i].format, s->input[i].path);
  for (uint32_t i = 0; i < s->ninput; i++)
    if (strcmp(s->input[i].format, "sql") == 0) {
      buf_printf(x->o, "\n    %-10srun by DuckDB: what it computes is DuckDB's own, so the bits depend on it",
                 "query");
      break;
    }
  buf_printf(x->o, "\n    %-10s", "reads");
  for (uint32_t i = 0; i < s->ncolumn; i++)
    buf_printf(x->o, "%s%s: %s%s", i ? ", " : "", s->column[i].name, kind_name((Kind)s->column[i].kind),
               s->column[i].nullable ? "?" : "");
  buf_text(x->o, "\n");
  for (uint32_t i = 0; i < s->ndeclared && n < 256; i++) {
    bool read = false;
    for (uint32_t k = 0; k < s->ncolumn; k++)
      read |= strcmp(s->column[k].name, s->declared[i]) == 0;
    if (!read)
      unread[n++] = s->declared[i];
  }
  if (n)
    name_list(x->o, "not read", unread, n);
}

static void explain_rows(Explain *x, const Stage *s) {
  const char *kept[256];
  uint32_t n = 0, keeps = 0, checks = 0;
  for (uint32_t i = 0; i < s->prog.nout && n < 256; i++)
    if (s->prog.out[i].role == OUT_COLUMN)
      kept[n++] = s->prog.out[i].name;
  for (uint32_t i = 0; i < s->prog.nval; i++) {
    keeps += s->prog.val[i].op == OP_KEEP;
    checks += strncmp(op_info(s->prog.val[i].op)->name, "check.", 6) == 0;
  }
  if (s->early)
    buf_text(x->o, "    rows above a clause that has to know them all\n");
  name_list(x->o, "keeps", kept, n);
  if (s->nparts)
    name_list(x->o, "parts", s->parts, s->nparts);
  for (uint32_t i = 0; i < s->nunions; i++) {
    const char *part[64];
    uint32_t k = 0;
    for (uint32_t j = 0; j < s->nparts; j++)
      if (s->unions[i].parts >> j & 1)
        part[k++] = s->parts[j];
    name_list(x->o, s->unions[i].name, part, k);
  }
  buf_printf(x->o, "    %-10s%u step%s a row, %u filter%s%s, %u domain check%s", "rows", s->prog.nval,
             s->prog.nval == 1 ? "" : "s", keeps, keeps == 1 ? "" : "s", s->zones ? " (pushed down)" : "",
             checks, checks == 1 ? "" : "s");
  if (s->folds)
    buf_printf(x->o, ", %u folds for cross-fitting%s", s->folds,
               s->forward ? ": blocks of time; a row reads what was fitted on the blocks before its own"
                          : "");
  buf_text(x->o, "\n\n");
}

static const char *part_of(const Program *p, const Stage *s) {
  return ir_part_name(p, s);
}

static const char *data_of(const Program *p, const Stage *s) {
  return p->stage[p->stage[s->from].from].name;
}

static void scan_line(Explain *x, const Stage *s, const char *what) {
  if (s->joins)
    buf_text(x->o, "    with ");
  else
    buf_printf(x->o, "scan %-3u ", ++x->scan);
  buf_printf(x->o, "%s over %s%s%s", what, data_of(x->p, s), s->part < 0 ? "" : ".", part_of(x->p, s));
}

static bool needs_more(const IrAgg *a) {
  return !a->nkey && (!strncmp(a->op, "median", 6) || !strncmp(a->op, "quantile", 8));
}

static void explain_fit(Explain *x, const Stage *s) {
  bool more = false;
  bool cuts = x->p->stage[s->from].early && !s->nexpect;
  scan_line(x, s, cuts ? "cuts of the split" : s->nexpect ? "tests" : "fit");
  if (!cuts && !s->nexpect)
    buf_printf(x->o, ", level %u", s->level);
  buf_printf(x->o, ": %u value%s in one scan\n", s->nagg, s->nagg == 1 ? "" : "s");
  for (uint32_t i = 0; i < s->nagg; i++) {
    const IrAgg *a = &s->agg[i];
    bool variants = i + 1 < s->nagg && s->agg[i + 1].fitted == a->fitted;
    more |= needs_more(a);
    if (a->leave_out >= 0)
      continue;
    buf_printf(x->o, "    $%-4u %-44s  %-21s", a->fitted, a->text,
               a->crossfit || variants ? "table, cross-fitted"
               : a->nkey               ? "table"
                                       : "");
    if (a->line)
      buf_printf(x->o, "line %u", a->line);
    buf_text(x->o, "\n");
  }
  for (uint32_t i = 0; i < s->nexpect; i++)
    buf_printf(x->o, "    expect %s\n", s->expect[i].text);
  if (more)
    buf_text(x->o, "    exact quantiles: one more scan collects the candidates of all of them, where they "
                   "have more than 32,768 values\n");
  buf_text(x->o, "\n");
}

/* The fitted values that a step depends on, each once. */
static void explain_needs(Explain *x, const RowProg *p, uint32_t val) {
  bool *seen = mem_alloc(p->nval + 1);
  bool first = true;
  if (!seen)
    return;
  seen[val] = true;
  for (uint32_t i = val + 1; i-- > 0;) {
    const IrVal *v = &p->val[i];
    if (!seen[i])
      continue;
    for (uint32_t k = 0; k < v->narg; k++)
      seen[v->arg[k]] = true;
    if ((v->op >= OP_FITTED_B && v->op <= OP_FITTED_MAT) || v->op == OP_LOOKUP_I64 ||
        v->op == OP_LOOKUP_F64) {
      buf_printf(x->o, "%s$%lld", first ? "  uses " : " ", (long long)v->i);
      first = false;
    }
  }
  mem_free(seen);
}

static void explain_options(Explain *x, const Stage *s) {
  const Option *table = NULL;
  for (uint32_t i = 0; x->registry->estimator[i]; i++)
    if (!strcmp(x->registry->estimator[i]->name, s->estimator))
      table = x->registry->estimator[i]->option;
  buf_text(x->o, "    options  ");
  for (uint32_t i = 0; i < s->noptions; i++) {
    const IrOption *v = &s->options[i];
    const Option *o = option_find(table, v->name);
    const char *word;
    char t[NUM_MAX];
    buf_printf(x->o, "%s%s = ", i ? ", " : "", v->name);
    num_print_f64(t, v->num, false);
    if (o && o->kind == OPT_ENUM) {
      int n = option_word(o, (int)v->num, &word);
      buf_printf(x->o, "%.*s", n, word);
    } else if (o && o->kind == OPT_BOOL) {
      buf_text(x->o, v->num != 0 ? "true" : "false");
    } else if (v->n) {
      for (uint32_t k = 0; k < v->n; k++) {
        num_print_f64(t, v->list[k], false);
        buf_printf(x->o, "%s%s = %s", k ? ", " : "[", v->names[k], t);
      }
      buf_text(x->o, "]");
    } else if (o && ((o->kind == OPT_EACH && !(v->num > -1e300 && v->num < 1e300)) ||
                     ((o->kind == OPT_EXPR || o->kind == OPT_STRING) && !v->str))) {
      buf_text(x->o, "none");
    } else {
      buf_text(x->o, v->str ? v->str : t);
    }
  }
}

static void explain_train(Explain *x, const Stage *s) {
  scan_line(x, s, "train");
  buf_printf(x->o, ": $%u %s = %s, ", s->fitted, s->name, s->estimator);
  if (s->target)
    buf_printf(x->o, "target %s", s->target);
  else
    buf_text(x->o, "no target");
  if (s->classes >= 0)
    buf_printf(x->o, " with classes $%d", s->classes);
  buf_text(x->o, s->matrix >= 0 ? "; the same matrix\n" : "; then one scan of the cached matrix a step\n");
  for (uint32_t i = 0; i < s->prog.nout && s->matrix < 0; i++) {
    const IrOut *out = &s->prog.out[i];
    const IrVal *v = &s->prog.val[out->val];
    if (out->role != OUT_SLOT)
      continue;
    buf_printf(x->o, "    slot %-14s ", out->name);
    if (v->type == IR_VEC && v->names)
      buf_printf(x->o, "%u elements", v->nlist);
    else
      buf_text(x->o, v->op == OP_INDICATOR_STR ? "one element a level"
                     : v->type == IR_VEC       ? "a vector"
                                               : "1 element");
    explain_needs(x, &s->prog, out->val);
    buf_text(x->o, "\n");
  }
  explain_options(x, s);
  if (s->matrix < 0)
    buf_text(x->o,
             "\n    layout   dense, or CSR when it is wider than 32 and less than a quarter of it is filled");
  buf_text(x->o, "\n\n");
}

static void explain_evaluate(Explain *x, const Stage *s) {
  scan_line(x, s, "evaluate");
  buf_printf(x->o, ": %s%s\n", x->p->stage[s->train].name, s->seen ? " (seen rows)" : "");
  for (uint32_t i = 0; i < s->nmetric; i++) {
    buf_printf(x->o, "    %s%s%s", s->metric[i].text, s->metric[i].by ? " by " : "",
               s->metric[i].by ? s->metric[i].by : "");
    if (s->metric[i].top)
      buf_printf(x->o, " top %lld", (long long)s->metric[i].top);
    if (s->metric[i].fitted >= 0)
      buf_printf(x->o, " -> $%d, the threshold of %s", s->metric[i].fitted, x->p->stage[s->train].name);
    buf_text(x->o, "\n");
  }
  for (uint32_t i = 0; i < s->nexpect; i++)
    buf_printf(x->o, "    expect %s   line %u\n", s->expect[i].text, s->expect[i].line);
  buf_text(x->o, "\n");
}

static void explain_export(Explain *x, const Stage *s) {
  if (s->kind == STAGE_PREDICT) {
    scan_line(x, s, "predict");
    buf_printf(x->o, ": %s, to \"%s\"\n\n", x->p->stage[s->train].name, s->path);
    return;
  }
  if (s->kind == STAGE_TRANSFORM) {
    uint32_t n = 0;
    scan_line(x, s, "transform");
    buf_text(x->o, ": features");
    for (uint32_t i = 0; i < s->prog.nout; i++)
      if (s->prog.out[i].role == OUT_SLOT && ++n <= SLOTS_SHOWN)
        buf_printf(x->o, "%s %s", n > 1 ? "," : "", s->prog.out[i].name);
    buf_printf(x->o, "%s%s%s, to \"%s\"\n\n", n > SLOTS_SHOWN ? ", .." : "",
               s->train < 0 ? "" : " as in ", s->train < 0 ? "" : x->p->stage[s->train].name, s->path);
    return;
  }
  const Stage *score = &x->p->stage[s->score];
  buf_printf(x->o, "bundle   \"%s\": scoring reads ", s->path);
  for (uint32_t i = 0; i < score->ncolumn; i++)
    buf_printf(x->o, "%s%s: %s%s", i ? ", " : "", score->column[i].name,
               kind_name((Kind)score->column[i].kind), score->column[i].nullable ? "?" : "");
  buf_printf(x->o, "; %u steps a row\n\n", score->prog.nval);
}

static void explain_remarks(const Program *p, Buf *out) {
  Arena a;
  uint32_t n = 0;
  arena_init(&a, NULL);
  const Remark *v = remarks_of(p, &a, &n);
  if (n)
    buf_text(out, "remarks\n");
  for (uint32_t i = 0; i < n; i++)
    buf_printf(out, "    line %-4u %-8s %s\n", v[i].line, v[i].about, v[i].text);
  if (n)
    buf_text(out, "\n");
  arena_free(&a);
}

void explain_program(const Program *p, const Registry *r, const PassReport *report, Buf *out) {
  Explain x = {.p = p, .registry = r, .o = out};
  for (uint32_t i = 0; i < p->nstage; i++) {
    const Stage *s = &p->stage[i];
    switch (s->kind) {
    case STAGE_SOURCE: explain_source(&x, s); break;
    case STAGE_ROWS: explain_rows(&x, s); break;
    case STAGE_FIT: explain_fit(&x, s); break;
    case STAGE_TRAIN: explain_train(&x, s); break;
    case STAGE_SCORE: break;
    case STAGE_EVALUATE: explain_evaluate(&x, s); break;
    case STAGE_PREDICT:
    case STAGE_TRANSFORM:
    case STAGE_BUNDLE: explain_export(&x, s); break;
    }
  }
  bool early = false;
  for (uint32_t i = 0; i < p->nstage; i++)
    early |= p->stage[i].early;
  buf_printf(out,
             "The first scan%s reads the file; later ones read rows kept in memory, where --memory "
             "allows.\n\n",
             early ? " of each set of rows" : "");
  explain_remarks(p, out);
  buf_text(out, "passes\n");
  for (uint32_t i = 0; passes[i].name; i++) {
    buf_printf(out, "    %-8s %s", passes[i].name, passes[i].purpose);
    if (report && report[i].skipped)
      buf_text(out, ": skipped\n");
    else if (report)
      buf_printf(out, ": %u changes\n", report[i].changes);
    else
      buf_text(out, "\n");
  }
}
