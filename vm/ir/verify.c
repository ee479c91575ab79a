/* SPDX-License-Identifier: Apache-2.0 */
/* Every rule that a program of the IR keeps. Lowering and passes must not break them (a fault of ours); a
 * bundle may not either (hostile data): the caller decides which it is by where it calls. Each rule is one
 * `need`. Read verify_prog, then verify_stage. */
#include <math.h>
#include <string.h>

#include "vm/agg.h"
#include "vm/ir.h"
#include "vm/ops.h"

typedef struct Verify {
  const Program *p;
  const Stage *s;     /* the stage at hand */
  const char *what;   /* what it is about, for the message */
  IrType *fitted;     /* type of each fitted value, where its stage stands before; -1: not yet */
  uint32_t *maker;    /* its stage */
  bool *placed;       /* has a stage before this seq? */
  uint32_t group;     /* the first stage of those that share scans with the one at hand: itself, as a rule */
  bool open;          /* a program without fit and train stages: fitted values come with it (bundles) */
  Err *e;
} Verify;

static bool need(Verify *v, bool ok, const char *rule) {
  if (!ok)
    err_set(v->e, ST_DATA, "CML0452", "It was not written by cml, or is damaged.",
            "the IR of stage `%s` breaks a rule: %s", v->what, rule);
  return ok;
}

static void made(Verify *v, uint32_t fitted, IrType type) {
  v->fitted[fitted] = type;
  v->maker[fitted] = (uint32_t)(v->s - v->p->stage);
}

/* Is the fitted value there when the stage at hand begins, and of this type? */
static bool there(const Verify *v, uint32_t fitted, IrType type) {
  return fitted < v->p->nfitted && v->fitted[fitted] == type && v->maker[fitted] < v->group;
}

/* ---- Row programs ---- */

static bool verify_fields(Verify *v, const OpInfo *o, const IrVal *x) {
  need(v, !op_has(o, 's') || x->s, "a step lacks its name");
  need(v, !op_has(o, 'L') || x->list, "a step lacks its list");
  need(v, !op_has(o, 'N') || x->names, "a step lacks its names");
  need(v, !(x->list && x->names), "a step has list and names");
  for (uint32_t i = 0; x->list && i < x->nlist; i++)
    need(v, !isnan(x->list[i]), "a list has NaN");
  return v->e->code == ST_OK;
}

static bool verify_reference(Verify *v, const IrVal *x) {
  IrType want;
  switch (x->op) {
  case OP_FITTED_B: want = IR_BOOL; break;
  case OP_FITTED_I64: want = IR_I64; break;
  case OP_FITTED_F64: want = IR_F64; break;
  case OP_FITTED_STR: want = IR_STR; break;
  case OP_FITTED_LIST: want = IR_LIST; break;
  case OP_FITTED_VOCAB: want = IR_VOCAB; break;
  case OP_FITTED_VEC: want = IR_VEC; break;
  case OP_FITTED_MAT: want = IR_MAT; break;
  case OP_LOOKUP_I64:
  case OP_LOOKUP_F64: want = IR_TABLE; break;
  case OP_SCORE:
  case OP_SCORES:
  case OP_CLASS_VEC: want = IR_MODEL; break;
  default: return true;
  }
  return need(v, x->i >= 0 && x->i < v->p->nfitted, "a fitted value has no such number") &&
         need(v, v->open || v->fitted[x->i] == want,
              "a fitted value is read before it is fitted, or as another type");
}

static bool verify_val(Verify *v, const RowProg *p, uint32_t number) {
  const IrVal *x = &p->val[number];
  const OpInfo *o = op_info(x->op);
  bool nullable[16], *np = x->narg <= 16 ? nullable : mem_alloc(x->narg);
  if (!need(v, o, "an unknown op") || !np)
    return err_memory(v->e), false;
  bool ok = need(v, o->arity < 0 ? x->narg >= 1 : x->narg == (uint32_t)o->arity,
                 "a step has the wrong number of arguments");
  for (uint32_t i = 0; ok && i < x->narg; i++) {
    ok = need(v, x->arg[i] < number, "an argument does not stand before its step");
    if (ok) {
      ok = need(v, op_arg_fits(o, i, (IrType)p->val[x->arg[i]].type), "an argument has the wrong type");
      np[i] = p->val[x->arg[i]].nullable;
    }
  }
  if (ok && o->result == RESULT_ANY)
    ok = need(v, x->type <= IR_STR, "a column has no such type");
  else if (ok)
    ok = need(v, x->type == o->result, "a step has the wrong type") &&
         need(v, x->nullable == op_nullable(x->op, np, x->narg),
              "a step is nullable where it should not be, or the other way");
  if (np != nullable)
    mem_free(np);
  for (uint32_t i = 0; ok && x->op == OP_LIST && i < x->narg; i++)
    ok = need(v, p->val[x->arg[i]].scalar, "a list of values that differ from row to row");
  return ok &&
         need(v, x->scalar == ir_is_scalar(p, x),
              "a step is scalar where it should not be, or the other way") &&
         verify_fields(v, o, x) && verify_reference(v, x) &&
         need(v, (x->op != OP_VEC && !op_scores(x->op)) || x->nlist == x->narg,
              "a step has not one name for each argument");
}

static bool verify_prog(Verify *v, const RowProg *p) {
  for (uint32_t i = 0; i < p->nval; i++)
    if (!verify_val(v, p, i))
      return false;
  for (uint32_t i = 0; i < p->nout; i++)
    if (!need(v, p->out[i].val < p->nval, "an output names no step"))
      return false;
  return true;
}

/* ---- Outputs ---- */

static uint32_t count_role(const RowProg *p, OutRole r) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < p->nout; i++)
    n += p->out[i].role == r;
  return n;
}

static bool verify_roles(Verify *v, unsigned allowed) {
  for (uint32_t i = 0; i < v->s->prog.nout; i++)
    need(v, allowed >> v->s->prog.out[i].role & 1, "an output has a role that its stage does not know");
  return v->e->code == ST_OK;
}

/* Probabilities of all classes, which become a column each. */
static bool writes_classes(const Stage *s, const IrVal *x) {
  return (s->kind == STAGE_SCORE || s->kind == STAGE_PREDICT) && s->task == TASK_MULTICLASS &&
         x->op == OP_SCORES;
}

static bool verify_out_types(Verify *v) {
  const RowProg *p = &v->s->prog;
  for (uint32_t i = 0; i < p->nout; i++) {
    const IrVal *x = &p->val[p->out[i].val];
    const IrOut *o = &p->out[i];
    switch (o->role) {
    case OUT_COLUMN:
      need(v, x->type <= (v->s->kind == STAGE_FIT ? IR_STRS : IR_STR) || writes_classes(v->s, x),
           "a column is no scalar per row");
      need(v,
           v->s->kind == STAGE_FIT ||
               (o->name && o->kind < KIND_N &&
                (kind_ir((Kind)o->kind) == x->type || (x->type == IR_VEC && o->kind == KIND_FLOAT))),
           "a column lacks its name, or has a kind that does not fit");
      for (uint32_t k = 0; v->e->code == ST_OK && v->s->kind != STAGE_FIT && k < i; k++)
        need(v, p->out[k].role != OUT_COLUMN || !o->name || strcmp(p->out[k].name, o->name) != 0,
             "two columns have one name");
      break;
    case OUT_PART:
    case OUT_FOLD: need(v, x->type == IR_I64 && !x->nullable, "part and fold are whole numbers"); break;
    case OUT_SLOT:
      need(v, (x->type == IR_F64 || x->type == IR_VEC) && o->name,
           "a slot is a number or a vector, with a name");
      need(v, !x->nullable || v->s->kind == STAGE_TRANSFORM, "a slot may not be null");
      break;
    case OUT_SCORE:
      need(v, x->op == OP_SCORES || (x->type == IR_F64 && !x->nullable),
           "a score is a number, or what a model gives");
      need(v, (x->type == IR_VEC) == (v->s->task == TASK_MULTICLASS || v->s->task == TASK_CLUSTER),
           "a score is not as wide as its task says");
      break;
    case OUT_INVALID:
      need(v, x->type == IR_BOOL && !x->nullable, "whether a row is invalid is a bool, never null");
      break;
    case OUT_WEIGHT:
    case OUT_TARGET:
      need(v, x->type == IR_F64 && !x->nullable, "weight and target are numbers, never null");
      break;
    }
  }
  return v->e->code == ST_OK;
}

/* ---- Stages ---- */

static bool verify_names(Verify *v) {
  const Stage *s = v->s;
  for (uint32_t i = 0; i < s->ncolumn; i++) {
    need(v, s->column[i].kind < KIND_N, "a column has no such kind");
    for (uint32_t k = 0; k < i; k++)
      need(v, strcmp(s->column[i].name, s->column[k].name) != 0, "two columns have one name");
  }
  return v->e->code == ST_OK;
}

/* Every `col` of a program is among the columns it can see, with the same type. */
static bool verify_cols(Verify *v, const RowProg *p, const IrColumn *c, uint32_t nc, const RowProg *from) {
  for (uint32_t i = 0; i < p->nval; i++) {
    const IrVal *x = &p->val[i];
    bool found = x->op != OP_COL;
    for (uint32_t k = 0; !found && k < nc; k++)
      found = strcmp(c[k].name, x->s) == 0 && kind_ir((Kind)c[k].kind) == x->type &&
              (x->nullable || !c[k].nullable);
    for (uint32_t k = 0; !found && from && k < from->nout; k++) {
      const IrOut *o = &from->out[k];
      found = o->role == OUT_COLUMN && strcmp(o->name, x->s) == 0 && from->val[o->val].type == x->type &&
              (x->nullable || !from->val[o->val].nullable);
    }
    if (!need(v, found, "a column is read that is not there, or as another type"))
      return false;
  }
  return true;
}

static bool slots_fit_score(const RowProg *p) {
  uint32_t k = 0, n = count_role(p, OUT_SLOT);
  const IrVal *score = NULL;
  for (uint32_t i = 0; i < p->nval && !score; i++)
    score = op_scores(p->val[i].op) ? &p->val[i] : NULL;
  for (uint32_t i = 0; n && i < p->nout; i++)
    if (p->out[i].role == OUT_SLOT && (!score || k >= score->narg || p->out[i].val != score->arg[k++]))
      return false;
  return !n || k == score->narg;
}

static bool verify_fit(Verify *v) {
  const Stage *s = v->s;
  for (uint32_t i = 0; i < s->nagg; i++) {
    const IrAgg *a = &s->agg[i];
    const AggOp *o = agg_op(a->op);
    uint32_t nval = s->prog.nval;
    if (!need(v, o, "an unknown aggregate") ||
        !need(v, a->fitted < v->p->nfitted, "a fitted value has no such number") ||
        !need(v, a->arg < (int32_t)nval && a->where < (int32_t)nval && a->weight < (int32_t)nval,
              "an aggregate reads no step"))
      return false;
    const IrAgg *before = i ? &s->agg[i - 1] : NULL;
    if (a->leave_out >= 0) /* variants stand in order of the fold behind the table of all rows */
      need(v,
           before && before->fitted == a->fitted && before->leave_out == a->leave_out - 1 &&
               a->nkey == before->nkey && a->nkey && !a->crossfit && !before->crossfit &&
               !strcmp(a->op, before->op) && a->leave_out < 256,
           "a variant does not stand behind its table");
    else
      need(v, v->fitted[a->fitted] == (IrType)-1, "a fitted value is fitted twice");
    need(v, (o->arg < 0) == (a->arg < 0) && (o->arg < 0 || s->prog.val[a->arg].type == o->arg),
         "an aggregate has the wrong argument");
    need(v, a->where < 0 || s->prog.val[a->where].type == IR_BOOL, "`where` is no bool");
    need(v, a->weight < 0 || (o->weighted && s->prog.val[a->weight].type == IR_F64),
         "a weight is no number, or not taken");
    need(v, !a->nkey || o->grouped, "an aggregate cannot stand with `by`");
    need(v, a->nkey <= 16 && (!a->crossfit || a->nkey), "only grouped aggregates are cross-fitted");
    for (uint32_t k = 0; k < a->nkey; k++)
      need(v, a->key[k] < nval && op_arg_fits(op_info(OP_HASH), 0, (IrType)s->prog.val[a->key[k]].type),
           "a key has the wrong type");
    if (v->e->code)
      return false;
    made(v, a->fitted, a->nkey ? IR_TABLE : o->result);
  }
  return true;
}

/* Of an evaluation they read metrics, of a fit its own fitted values. */
static bool verify_expects(Verify *v) {
  for (uint32_t i = 0; i < v->s->nexpect; i++) {
    const RowProg *p = &v->s->expect[i].prog;
    if (!verify_prog(v, p) || !need(v, p->nout == 1 && p->val[p->out[0].val].type == IR_BOOL,
                                    "an expectation has one output, a bool"))
      return false;
    for (uint32_t k = 0; k < p->nval && v->s->kind == STAGE_FIT; k++)
      need(v, p->val[k].op != OP_COL, "an expectation of data reads a metric");
  }
  return v->e->code == ST_OK;
}

static bool verify_unions(Verify *v) {
  const Stage *s = v->s;
  for (uint32_t i = 0; i < s->nunions; i++)
    need(v, s->nparts == 64 || s->unions[i].parts >> s->nparts == 0, "a union has a part that is not there");
  return need(v, !s->early || (!s->nparts && !s->folds), "early rows are not divided yet");
}

static bool is_number(const Verify *v, int32_t fitted) {
  return fitted < 0 || there(v, (uint32_t)fitted, IR_F64);
}

/* Values that become fitted ones, thresholds, and the models that metrics compare with: each has its
 * score. */
static bool verify_metrics(Verify *v) {
  const Stage *s = v->s;
  for (uint32_t i = 0; i < s->nmetric; i++) {
    const IrMetric *m = &s->metric[i];
    bool found = !m->vs;
    for (uint32_t k = 0; k < s->prog.nout; k++)
      found |= s->prog.out[k].role == OUT_SCORE && s->prog.out[k].name &&
               !strcmp(s->prog.out[k].name, m->vs ? m->vs : "");
    if (!need(v, found && (!m->vs || !m->by),
              "a metric compares with a model that has no score, or in slices") ||
        !need(v, is_number(v, m->threshold) && is_number(v, m->vs_threshold),
              "a threshold is no fitted number"))
      return false;
    if (m->fitted < 0)
      continue;
    if (!need(v,
              (uint32_t)m->fitted < v->p->nfitted && v->fitted[m->fitted] == (IrType)-1 && !m->by && !m->vs,
              "a fitted value has no such number, or is fitted twice"))
      return false;
    made(v, (uint32_t)m->fitted, IR_F64);
  }
  return true;
}

static uint32_t own_scores(const RowProg *p) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < p->nout; i++)
    n += p->out[i].role == OUT_SCORE && !p->out[i].name;
  return n;
}

/* Stages that share scans read the same rows, and nothing that one of them makes. */
static bool verify_joins(Verify *v) {
  const Stage *s = v->s;
  if (!need(v, s->seq < v->p->nstage && !v->placed[s->seq],
            "two stages have the same place, or one has none"))
    return false;
  v->placed[s->seq] = true;
  if (!s->joins) {
    v->group = (uint32_t)(s - v->p->stage);
    return true;
  }
  const Stage *before = s - 1;
  bool scans = s->kind == STAGE_FIT || s->kind == STAGE_TRAIN || s->kind == STAGE_EVALUATE;
  if (!need(v, s > v->p->stage && scans && before->kind == s->kind && before->from == s->from &&
                s - v->p->stage < v->group + IR_GROUP_MOST,
            "a stage joins one that reads no such rows, or too many others"))
    return false;
  for (uint32_t i = 0; i < s->prog.nval; i++)
    if (op_fitted(s->prog.val[i].op))
      need(v, v->maker[s->prog.val[i].i] < v->group, "a stage joins one that makes what it reads");
  return v->e->code == ST_OK;
}

static bool verify_matrix(Verify *v) {
  const Stage *s = v->s, *first = s->matrix >= 0 ? &v->p->stage[s->matrix] : NULL;
  return need(
      v, !first || (first < s && first->kind == STAGE_TRAIN && first->matrix < 0 && ir_same_rows(first, s)),
      "a matrix is shared by stages that make different ones");
}

/* Steps that are kept are of a kind that may be, and those of one number are the same. */
static bool verify_kept(Verify *v) {
  const Stage *s = v->s;
  for (uint32_t i = 0; i < s->prog.nval; i++) {
    uint32_t number = s->prog.val[i].kept;
    if (!number)
      continue;
    const Stage *first = v->p->stage;
    while (ir_kept_step(&first->prog, number) < 0)
      first++;
    if (!need(v, number <= IR_KEPT_MOST && ir_may_keep(s, i) && ir_kept_step(&s->prog, number) == i,
              "a step is kept that may not be") ||
        !need(v, ir_same_kept(v->p, first, (uint32_t)ir_kept_step(&first->prog, number), s, i),
              "two steps are kept as one, and are not the same"))
      return false;
  }
  return true;
}

static bool verify_program(Verify *v) {
  const Stage *s = v->s, *first = s->program >= 0 ? &v->p->stage[s->program] : NULL;
  return need(v,
              !first || (first < s && (uint32_t)s->program >= v->group && first->program < 0 &&
                         ir_runs_with(v->p, first, s)),
              "a stage runs with one that sees other rows");
}

/* Rows that are not read are counted as those that a filter leaves out. */
static bool verify_zones(Verify *v) {
  const RowProg *g = &v->s->prog;
  bool keeps = false;
  for (uint32_t i = 0; i < g->nval; i++)
    keeps |= g->val[i].op == OP_KEEP;
  return need(v, !v->s->zones || (keeps && !count_role(g, OUT_INVALID)),
              "rows that are not read are left out by a filter, and not counted as invalid");
}

static bool verify_stage(Verify *v) {
  const Stage *s = v->s;
  const Stage *from = s->from >= 0 ? &v->p->stage[s->from] : NULL;
  const RowProg *seen = from && from->kind == STAGE_ROWS ? &from->prog : NULL;
  uint32_t nparts = from ? from->nparts + from->nunions : 0;
  need(v, !from || from < s, "a stage reads one that does not stand before it");
  need(v, s->part < (int32_t)nparts, "a part has no such number");
  if (v->e->code || !verify_names(v) || !verify_prog(v, &s->prog) || !verify_out_types(v) ||
      !verify_joins(v) || !verify_kept(v))
    return false;
  switch (s->kind) {
  case STAGE_SOURCE: return need(v, s->ninput && !s->prog.nval, "a source has an input, and no steps");
  case STAGE_ROWS:
    return need(v, from && from->kind == STAGE_SOURCE, "rows come from a source") &&
           verify_roles(v, 1u << OUT_COLUMN | 1u << OUT_PART | 1u << OUT_FOLD | 1u << OUT_WEIGHT |
                               1u << OUT_INVALID) &&
           need(v, count_role(&s->prog, OUT_PART) == (s->nparts > 0) && s->nparts <= 64,
                "a split has parts and a part") &&
           verify_unions(v) &&
           need(v, count_role(&s->prog, OUT_FOLD) == (s->folds > 0) && count_role(&s->prog, OUT_WEIGHT) <= 1,
                "one fold and one weight") &&
           verify_cols(v, &s->prog, from->column, from->ncolumn, NULL) && verify_zones(v);
  case STAGE_FIT:
    return need(v, seen, "a fit reads rows") && verify_roles(v, 1u << OUT_COLUMN) &&
           verify_cols(v, &s->prog, NULL, 0, seen) && verify_fit(v) && verify_expects(v);
  case STAGE_TRAIN:
    if (!(need(v, seen && s->estimator && s->fitted < v->p->nfitted,
               "a train stage reads rows, has an estimator and a number") &&
          verify_roles(v, 1u << OUT_SLOT | 1u << OUT_TARGET) && verify_cols(v, &s->prog, NULL, 0, seen) &&
          need(v,
               count_role(&s->prog, OUT_SLOT) >= 1 &&
                   count_role(&s->prog, OUT_TARGET) == (s->task != TASK_CLUSTER),
               "a train stage has slots and one target") &&
          need(v, (s->classes >= 0) == (s->task == TASK_MULTICLASS), "classes are of multiclass models") &&
          need(v, s->classes < 0 || there(v, (uint32_t)s->classes, IR_VOCAB),
               "the classes are no fitted vocabulary") &&
          verify_matrix(v)))
      return false;
    made(v, s->fitted, IR_MODEL);
    return true;
  case STAGE_SCORE:
    return verify_roles(v, 1u << OUT_COLUMN) && verify_cols(v, &s->prog, s->column, s->ncolumn, NULL);
  case STAGE_EVALUATE:
    return verify_expects(v) && need(v, seen, "an evaluation reads rows") &&
           verify_roles(v, 1u << OUT_SCORE | 1u << OUT_TARGET | 1u << OUT_COLUMN | 1u << OUT_SLOT) &&
           need(v, own_scores(&s->prog) == 1 && count_role(&s->prog, OUT_TARGET) == (s->task != TASK_CLUSTER),
                "one score and one target") &&
           need(v, slots_fit_score(&s->prog), "slots are those that the score reads, or none") &&
           verify_cols(v, &s->prog, NULL, 0, seen) && verify_metrics(v) && verify_program(v);
  case STAGE_PREDICT:
    return need(v, seen && s->path, "predictions read rows and have a path") &&
           verify_roles(v, 1u << OUT_COLUMN) && verify_cols(v, &s->prog, NULL, 0, seen);
  case STAGE_TRANSFORM:
    return need(v, seen && s->path, "features read rows and have a path") &&
           verify_roles(v, 1u << OUT_COLUMN | 1u << OUT_SLOT) &&
           need(v, count_role(&s->prog, OUT_SLOT) >= 1, "a file of features has slots") &&
           verify_cols(v, &s->prog, NULL, 0, seen);
  case STAGE_BUNDLE:
    return need(v, s->path && s->score >= 0 && v->p->stage[s->score].kind == STAGE_SCORE,
                "a bundle has a path and a score stage");
  }
  return need(v, false, "an unknown stage");
}

Status ir_verify(const Program *p, Err *e) {
  Verify v = {.p = p, .e = e, .what = "?", .open = true};
  v.fitted = mem_alloc(sizeof *v.fitted * (p->nfitted + 1));
  v.maker = mem_alloc(sizeof *v.maker * (p->nfitted + 1));
  v.placed = mem_alloc(sizeof *v.placed * (p->nstage + 1));
  if (!v.fitted || !v.maker || !v.placed) {
    mem_free(v.placed);
    mem_free(v.fitted);
    mem_free(v.maker);
    return err_memory(e);
  }
  for (uint32_t i = 0; i < p->nfitted; i++)
    v.fitted[i] = (IrType)-1;
  for (uint32_t i = 0; i < p->nstage; i++)
    v.open &= p->stage[i].kind == STAGE_SCORE;
  for (uint32_t i = 0; i < p->nstage && e->code == ST_OK; i++) {
    v.s = &p->stage[i];
    v.what = v.s->name;
    verify_stage(&v);
  }
  mem_free(v.fitted);
  mem_free(v.maker);
  mem_free(v.placed);
  return e->code;
}
