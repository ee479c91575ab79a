/* SPDX-License-Identifier: Apache-2.0 */
/* The text form of the IR, printed. One statement a line; a stage, a metric and an expectation have braces.
 * read.c has the same statements in the same order.
 *
 *   %4 = sub.f64 %2 %3 : f64? @17:20      a step: op, arguments, immediates (i= f= g= s= list= names=), type,
 *   `?` = nullable, source place out slot "distance" %4                an output
 * */
#include <string.h>

#include "base/num.h"
#include "vm/ir/names.h"
#include "vm/ops.h"

const char *const ir_type_name[IR_TYPES] = {"b",    "i64",   "f64",   "str",   "vec", "strs",
                                            "list", "vocab", "table", "model", "mat"};
const char *const ir_role_name[IR_ROLES] = {"column", "part",   "fold",  "weight",
                                            "slot",   "target", "score", "invalid"};
const char *const ir_stage_name[IR_STAGES] = {"source", "rows",     "fit",     "train",
                                              "score",  "evaluate", "predict", "transform",
                                              "bundle"};

uint64_t ir_parts(const Program *p, const Stage *s) {
  const Stage *rows = s->from >= 0 ? &p->stage[s->from] : NULL;
  if (!rows || s->part < 0)
    return UINT64_MAX;
  uint32_t part = (uint32_t)s->part, behind = part - rows->nparts;
  return part < rows->nparts      ? UINT64_C(1) << (part & 63)
         : behind < rows->nunions ? rows->unions[behind].parts
                                  : 0;
}

const char *ir_part_name(const Program *p, const Stage *s) {
  const Stage *rows = s->from >= 0 ? &p->stage[s->from] : NULL;
  if (!rows || s->part < 0)
    return "";
  uint32_t part = (uint32_t)s->part, behind = part - rows->nparts;
  return part < rows->nparts ? rows->parts[part] : behind < rows->nunions ? rows->unions[behind].name : "";
}

bool ir_is_scalar(const RowProg *p, const IrVal *v) {
  if (op_info(v->op)->row)
    return false;
  for (uint32_t i = 0; i < v->narg; i++)
    if (v->arg[i] >= p->nval || !p->val[v->arg[i]].scalar)
      return false;
  return true;
}

static void put_string(Buf *o, const char *s) {
  buf_u8(o, '"');
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\')
      buf_printf(o, "\\%c", c);
    else if (c < 32 || c == 127)
      buf_printf(o, "\\x%02x", c);
    else
      buf_u8(o, c);
  }
  buf_u8(o, '"');
}

static void put_f64(Buf *o, double v) {
  char t[NUM_MAX];
  num_print_f64(t, v, false);
  buf_text(o, t);
}

static void put_place(Buf *o, uint32_t line, uint32_t col) {
  if (line)
    buf_printf(o, " @%u:%u", line, col);
}

static bool bits(double v) {
  uint64_t u;
  memcpy(&u, &v, 8);
  return u != 0;
}

static void print_val(Buf *o, const IrVal *v, uint32_t number, const char *indent) {
  buf_printf(o, "%s%%%u = %s", indent, number, op_info(v->op)->name);
  for (uint32_t i = 0; i < v->narg; i++)
    buf_printf(o, " %%%u", v->arg[i]);
  if (v->i)
    buf_printf(o, " i=%lld", (long long)v->i);
  if (bits(v->f))
    buf_text(o, " f="), put_f64(o, v->f);
  if (bits(v->g))
    buf_text(o, " g="), put_f64(o, v->g);
  if (v->s)
    buf_text(o, " s="), put_string(o, v->s);
  if (v->list) {
    buf_text(o, " list=[");
    for (uint32_t i = 0; i < v->nlist; i++) {
      if (i)
        buf_text(o, ", ");
      put_f64(o, v->list[i]);
    }
    buf_text(o, "]");
  }
  if (v->names) {
    buf_text(o, " names=[");
    for (uint32_t i = 0; i < v->nlist; i++) {
      if (i)
        buf_text(o, ", ");
      put_string(o, v->names[i]);
    }
    buf_text(o, "]");
  }
  if (v->kept)
    buf_printf(o, " kept=%u", v->kept);
  buf_printf(o, " : %s%s", ir_type_name[v->type], v->nullable ? "?" : "");
  put_place(o, v->line, v->col);
  buf_text(o, "\n");
}

static void print_prog(Buf *o, const RowProg *p, const char *indent) {
  for (uint32_t i = 0; i < p->nval; i++)
    print_val(o, &p->val[i], i, indent);
  for (uint32_t i = 0; i < p->nout; i++) {
    const IrOut *out = &p->out[i];
    buf_printf(o, "%sout %s", indent, ir_role_name[out->role]);
    if (out->name)
      buf_text(o, " "), put_string(o, out->name);
    if (out->role == OUT_COLUMN)
      buf_printf(o, " %s", kind_name((Kind)out->kind));
    buf_printf(o, " %%%u\n", out->val);
  }
}

static void print_named(Buf *o, const char *word, const char *s) {
  if (!s)
    return;
  buf_printf(o, "  %s ", word);
  put_string(o, s);
  buf_text(o, "\n");
}

static void print_words(Buf *o, const char *word, const char *const *v, uint32_t n) {
  if (!n)
    return;
  buf_printf(o, "  %s", word);
  for (uint32_t i = 0; i < n; i++)
    buf_text(o, " "), put_string(o, v[i]);
  buf_text(o, "\n");
}

static void print_options(Buf *o, const IrOption *v, uint32_t n, const char *indent) {
  for (uint32_t i = 0; i < n; i++) {
    buf_printf(o, "%sset ", indent);
    put_string(o, v[i].name);
    buf_text(o, " ");
    if (v[i].str)
      put_string(o, v[i].str);
    else
      put_f64(o, v[i].num);
    for (uint32_t k = 0; k < v[i].n; k++) {
      buf_text(o, " ");
      put_string(o, v[i].names[k]);
      buf_text(o, " ");
      put_f64(o, v[i].list[k]);
    }
    buf_text(o, "\n");
  }
}

static void print_agg(Buf *o, const IrAgg *a) {
  buf_printf(o, "  agg $%u %s", a->fitted, a->op);
  if (a->arg >= 0)
    buf_printf(o, " arg=%%%d", a->arg);
  if (a->where >= 0)
    buf_printf(o, " where=%%%d", a->where);
  if (a->weight >= 0)
    buf_printf(o, " weight=%%%d", a->weight);
  for (uint32_t k = 0; k < a->nkey; k++)
    buf_printf(o, " by=%%%u", a->key[k]);
  if (bits(a->par))
    buf_text(o, " par="), put_f64(o, a->par);
  if (bits(a->par2))
    buf_text(o, " par2="), put_f64(o, a->par2);
  if (bits(a->par3))
    buf_text(o, " par3="), put_f64(o, a->par3);
  if (a->crossfit)
    buf_text(o, " crossfit");
  if (a->leave_out >= 0)
    buf_printf(o, " leave_out=%d", a->leave_out);
  buf_text(o, " ");
  put_string(o, a->text);
  put_place(o, a->line, a->col);
  buf_text(o, "\n");
}

static void print_evaluate(Buf *o, const Stage *s) {
  for (uint32_t i = 0; i < s->nmetric; i++) {
    const IrMetric *m = &s->metric[i];
    buf_text(o, "  metric ");
    put_string(o, m->name);
    buf_text(o, " text ");
    put_string(o, m->text);
    if (m->by) {
      buf_text(o, " by ");
      put_string(o, m->by);
      buf_printf(o, " top %lld", (long long)m->top);
    }
    if (m->fitted >= 0)
      buf_printf(o, " fitted $%d", m->fitted);
    if (m->threshold >= 0)
      buf_printf(o, " threshold $%d", m->threshold);
    if (m->vs) {
      buf_text(o, " vs ");
      put_string(o, m->vs);
      buf_text(o, " ");
      put_f64(o, m->vs_number);
      if (m->vs_threshold >= 0)
        buf_printf(o, " $%d", m->vs_threshold);
    }
    buf_text(o, " {\n");
    print_options(o, m->option, m->noption, "    ");
    buf_text(o, "  }\n");
  }
  for (uint32_t i = 0; i < s->nexpect; i++) {
    const IrExpect *x = &s->expect[i];
    buf_text(o, "  expect ");
    put_string(o, x->text);
    put_place(o, x->line, x->col);
    buf_text(o, " {\n");
    print_prog(o, &x->prog, "    ");
    buf_text(o, "  }\n");
  }
}

static void print_input(Buf *o, const IrInput *v) {
  buf_text(o, "  input ");
  put_string(o, v->format);
  buf_text(o, " ");
  put_string(o, v->path);
  buf_text(o, "\n");
  for (uint32_t i = 0; i < v->noption; i++) {
    buf_text(o, "    option ");
    put_string(o, v->option[2 * i]);
    buf_text(o, " ");
    put_string(o, v->option[2 * i + 1]);
    buf_text(o, "\n");
  }
}

static void print_stage(Buf *o, const Program *p, const Stage *s) {
  buf_printf(o, "%s ", ir_stage_name[s->kind]);
  put_string(o, s->name);
  if (s->from >= 0) {
    buf_text(o, " from ");
    put_string(o, p->stage[s->from].name);
  }
  if (s->part >= 0)
    buf_printf(o, " part %d", s->part);
  put_place(o, s->line, s->col);
  buf_text(o, " {\n");
  for (uint32_t i = 0; i < s->ninput; i++)
    print_input(o, &s->input[i]);
  print_named(o, "path", s->path);
  for (uint32_t i = 0; i < s->ncolumn; i++) {
    buf_text(o, "  column ");
    put_string(o, s->column[i].name);
    buf_printf(o, " %s%s\n", kind_name((Kind)s->column[i].kind), s->column[i].nullable ? "?" : "");
  }
  print_words(o, "declared", s->declared, s->ndeclared);
  print_prog(o, &s->prog, "  ");
  print_words(o, "parts", s->parts, s->nparts);
  for (uint32_t i = 0; i < s->nunions; i++) {
    buf_text(o, "  union ");
    put_string(o, s->unions[i].name);
    buf_printf(o, " %lld\n", (long long)s->unions[i].parts);
  }
  if (s->folds)
    buf_printf(o, "  folds %u%s\n", s->folds, s->forward ? " forward" : "");
  if (s->zones)
    buf_text(o, "  zones\n");
  if (s->early)
    buf_text(o, "  early\n");
  if (s->kind == STAGE_FIT)
    buf_printf(o, "  level %u\n", s->level);
  for (uint32_t i = 0; i < s->nagg; i++)
    print_agg(o, &s->agg[i]);
  print_named(o, "estimator", s->estimator);
  print_options(o, s->options, s->noptions, "  ");
  if (s->kind == STAGE_TRAIN || s->train >= 0)
    buf_printf(o, "  fitted $%u\n", s->fitted);
  print_named(o, "target", s->target);
  print_named(o, "positive", s->positive);
  if (s->task != TASK_REGRESSION)
    buf_printf(o, "  task %s\n", task_name[s->task]);
  if (s->classes >= 0)
    buf_printf(o, "  classes $%d\n", s->classes);
  if (s->seq != (uint32_t)(s - p->stage))
    buf_printf(o, "  seq %u\n", s->seq);
  if (s->joins)
    buf_text(o, "  joins\n");
  if (s->program >= 0)
    print_named(o, "program", p->stage[s->program].name);
  if (s->matrix >= 0)
    print_named(o, "matrix", p->stage[s->matrix].name);
  if (s->train >= 0)
    print_named(o, "train", p->stage[s->train].name);
  if (s->score >= 0)
    print_named(o, "score", p->stage[s->score].name);
  if (s->seen)
    buf_text(o, "  seen\n");
  print_evaluate(o, s);
  buf_text(o, "}\n");
}

void ir_print_stage(const Program *p, uint32_t stage, Buf *out) {
  print_stage(out, p, &p->stage[stage]);
}

void ir_print(const Program *p, Buf *out) {
  buf_printf(out, "cml-ir %d\nprogram ", IR_VERSION);
  put_string(out, p->name);
  buf_printf(out, " seed %lld fitted %u\n", (long long)p->seed, p->nfitted);
  for (uint32_t i = 0; i < p->nstage; i++)
    print_stage(out, p, &p->stage[i]);
}

