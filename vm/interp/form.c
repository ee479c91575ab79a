/* SPDX-License-Identifier: Apache-2.0 */
/* The form of a row program, and the fitted values it names: whatever comes from a file is looked at here,
 * before any step runs. */
#include "vm/estimator.h"
#include "vm/interp/parts.h"

Status step_fault(Err *e, uint32_t step, const char *what) {
  return err_set(e, ST_FAULT, "CML0601", "This is a fault of cml: please report it with the program.",
                 "step %%%u of a row program: %s", step, what);
}

Status interp_form(const RowProg *p, Err *e) {
  for (uint32_t i = 0; i < p->nval; i++) {
    const IrVal *v = &p->val[i];
    const OpInfo *o = op_info(v->op);
    if (!o)
      return step_fault(e, i, "no such operation");
    if (o->arity < 0 ? v->narg == 0 : v->narg != (uint32_t)o->arity)
      return step_fault(e, i, "wrong number of arguments");
    for (uint32_t k = 0; k < v->narg; k++) {
      if (v->arg[k] >= i)
        return step_fault(e, i, "an argument that is not computed before it");
      if (!op_arg_fits(o, k, p->val[v->arg[k]].type))
        return step_fault(e, i, "an argument of the wrong type");
    }
    if (o->result == RESULT_ANY ? v->type > IR_STR : v->type != o->result)
      return step_fault(e, i, "wrong type");
    if ((op_has(o, 's') && !v->s) || (op_has(o, 'N') && v->nlist && !v->names) ||
        (op_has(o, 'L') && v->nlist && !v->list))
      return step_fault(e, i, "something is missing");
    if ((v->op == OP_VEC || op_scores(v->op)) && v->nlist && v->nlist != v->narg)
      return step_fault(e, i, "not one name for each argument");
  }
  for (uint32_t k = 0; k < p->nout; k++) {
    if (p->out[k].val >= p->nval || !step_has_column(p->val[p->out[k].val].type))
      return step_fault(e, p->out[k].val, "not a value to put out");
  }
  return ST_OK;
}

Status interp_fitted(Interp *t, Step *s, Err *e) {
  int want = -1;
  switch (s->v->op) {
  case OP_FITTED_B:
  case OP_FITTED_I64:
  case OP_FITTED_F64:
  case OP_FITTED_STR:
  case OP_FITTED_LIST:
  case OP_FITTED_VOCAB:
  case OP_FITTED_VEC:
  case OP_FITTED_MAT:
    want = s->v->type;
    break;
  case OP_LOOKUP_I64:
  case OP_LOOKUP_F64:
    want = IR_TABLE;
    break;
  case OP_SCORE:
  case OP_SCORES:
  case OP_CLASS_VEC:
    want = IR_MODEL;
    break;
  default:
    return ST_OK;
  }
  int64_t id = s->v->i;
  if (!t->env || id < 0 || id >= t->env->n || !t->env->v[id])
    return step_fault(e, s->number, "a fitted value that is not there");
  const Fitted *f = t->env->v[id];
  bool good = (int)f->type == want;
  if (good && want == IR_TABLE) {
    const Table *tab = f->table;
    good = tab && tab->type == s->v->type && tab->nkey == s->v->narg && tab->nvariant > 0 &&
           (!(s->v->g >= 0) || s->v->g + 1 < tab->nvariant);
  }
  if (good && want == IR_MODEL)
    good = f->model && f->model->est && f->model->est->predict &&
           f->model->nout == model_outputs(f->model->task, f->model->nclass) &&
           (s->v->op != OP_SCORE || f->model->nout == 1) && (s->v->op != OP_CLASS_VEC || f->model->nclass);
  if (good && want == IR_VOCAB)
    good = f->vocab && f->vocab->n == f->n;
  if (!good)
    return step_fault(e, s->number, "a fitted value of another type than the program says");
  s->fitted = f;
  return ST_OK;
}
