/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions to steps. A Node becomes one step, once: the memo makes shared Nodes shared steps. Start
 * reading at prog_node. */
#include <string.h>

#include "compiler/lower.h"
#include "vm/ops.h"

void prog_init(Build *b, Arena *a, const struct Diags *d, const Tree *t, const Split *sp, Cols cols) {
  *b = (Build){.arena = a, .diags = d, .tree = t, .split = sp, .cols = cols};
  b->memo = NEWN(a, int32_t *, FOLDS_MOST + 2);
}

/* A Node with tables in it is another step where they are read in another way. */
static int32_t *memo_of(Build *b, const Node *n) {
  bool tables = b->context.crossfit && phase_has_table(b->split, n);
  int32_t **m = &b->memo[tables ? 1 + b->context.without : 0];
  if (!*m) {
    *m = NEWN(b->arena, int32_t, b->tree->nnode + 1);
    memset(*m, 0xff, sizeof(int32_t) * (b->tree->nnode + 1));
  }
  return *m;
}

void prog_forget(Build *b, const Node *n) {
  memo_of(b, n)[n->id] = -1;
}

void prog_place(const Build *b, Span s, uint32_t *line, uint32_t *col) {
  *line = *col = 0;
  if (s.file && s.file == b->tree->file)
    source_position(b->diags->sources, s.file, s.from, line, col);
}

Kind prog_kind(Type t) {
  switch (t.kind) {
  case TY_BOOL: return KIND_BOOL;
  case TY_INT: return KIND_INT;
  case TY_STRING: return KIND_STRING;
  case TY_CATEGORY: return KIND_CATEGORY;
  case TY_TIMESTAMP: return KIND_TIMESTAMP;
  case TY_DATE: return KIND_DATE;
  case TY_DURATION: return KIND_DURATION;
  default: return KIND_FLOAT;
  }
}

static IrType type_of(Type t) {
  switch (t.kind) {
  case TY_BOOL: return IR_BOOL;
  case TY_INT:
  case TY_TIMESTAMP:
  case TY_DATE:
  case TY_DURATION: return IR_I64;
  case TY_STRING:
  case TY_CATEGORY: return IR_STR;
  case TY_VECTOR: return IR_VEC;
  case TY_MATRIX: return IR_MAT;
  case TY_LIST: return t.elem == TY_STRING ? IR_STRS : t.elem == TY_CATEGORY ? IR_VOCAB : IR_LIST;
  default: return IR_F64;
  }
}

static const char *suffix(IrType t) {
  static const char *const s[] = {"b",    "i64",   "f64",   "str",   "vec", "strs",
                                  "list", "vocab", "table", "model", "mat"};
  return s[t];
}

IrVal *prog_step(Build *b, const char *op, const uint32_t *arg, uint32_t narg, uint32_t *number) {
  int code = op_find(op);
  IrVal v = {.op = (uint16_t)(code < 0 ? OP_N : code), .narg = narg};
  const OpInfo *o = op_info(v.op);
  bool *nullable = NEWN(b->arena, bool, narg + 1);
  v.arg = NEWN(b->arena, uint32_t, narg + 1);
  for (uint32_t i = 0; i < narg; i++) {
    v.arg[i] = arg[i];
    nullable[i] = b->prog.val[arg[i]].nullable;
  }
  if (o) { /* else the verifier names the unknown op: a fault of native.cml */
    v.type = (uint8_t)o->result;
    v.nullable = op_nullable(v.op, nullable, narg);
    v.scalar = ir_is_scalar(&b->prog, &v);
  } else {
    v.s = op;
  }
  PUSH(b->arena, b->prog.val, b->prog.nval, b->vcap, v);
  *number = b->prog.nval - 1;
  return &b->prog.val[*number];
}

static uint32_t step1(Build *b, const char *op, uint32_t arg) {
  uint32_t n;
  prog_step(b, op, &arg, 1, &n);
  return n;
}

uint32_t prog_float(Build *b, uint32_t val) {
  switch (b->prog.val[val].type) {
  case IR_BOOL: return step1(b, "cast.b.f64", val);
  case IR_I64: return step1(b, "cast.i64.f64", val);
  default: return val;
  }
}

void prog_out(Build *b, OutRole role, const char *name, Kind kind, uint32_t val) {
  IrOut o = {role, name, (uint8_t)kind, val};
  PUSH(b->arena, b->prog.out, b->prog.nout, b->ocap, o);
}

/* ---- Columns ---- */

static void note_used(Build *b, const TColumn *c, uint32_t val) {
  for (uint32_t i = 0; i < b->nused; i++)
    if (b->used[i] == c)
      return;
  uint32_t n = b->nused;
  PUSH(b->arena, b->used, b->nused, b->ucap, c);
  PUSH(b->arena, b->read, n, b->rcap, val);
}

static uint32_t bad_step(Build *b, const char *op, uint32_t x, uint32_t y) {
  uint32_t arg[2] = {x, y}, n;
  prog_step(b, op, arg, 2, &n);
  return n;
}

/* Whether a value lies outside the domain; null where the value is. NaN lies inside. */
static uint32_t outside(Build *b, const TColumn *c, uint32_t val) {
  uint32_t bad = 0, limit;
  bool some = false;
  for (uint32_t i = 0; i < c->nin; i++) {
    prog_step(b, "const.str", NULL, 0, &limit)->s = c->in[i];
    uint32_t other = bad_step(b, "ne.str", val, limit);
    bad = some ? bad_step(b, "and.b", bad, other) : other;
    some = true;
  }
  if (c->has_min) {
    prog_step(b, "const.f64", NULL, 0, &limit)->f = c->min;
    bad = bad_step(b, "lt.f64", prog_float(b, val), limit);
    some = true;
  }
  if (c->has_max) {
    prog_step(b, "const.f64", NULL, 0, &limit)->f = c->max;
    uint32_t above = bad_step(b, "gt.f64", prog_float(b, val), limit);
    bad = some ? bad_step(b, "or.b", bad, above) : above;
  }
  return bad;
}

static void drop_invalid(Build *b, uint32_t bad) {
  uint32_t no;
  prog_step(b, "const.b", NULL, 0, &no);
  bad = bad_step(b, "coalesce.b", bad, no);
  step1(b, "keep", step1(b, "not.b", bad));
  b->invalid = b->has_invalid ? bad_step(b, "or.b", b->invalid, bad) : bad;
  b->has_invalid = true;
}

/* A domain is checked where the column is read from the file, and nowhere else. */
static uint32_t check_domain(Build *b, const TColumn *c, uint32_t val) {
  IrType t = type_of(c->type);
  uint32_t n = val;
  if (c->on_invalid == INVALID_NULL)
    return bad_step(b,
                    t == IR_I64   ? "null_when.i64"
                    : t == IR_F64 ? "null_when.f64"
                                  : "null_when.str",
                    outside(b, c, val), val);
  if (c->on_invalid == INVALID_DROP && b->drops) {
    drop_invalid(b, outside(b, c, val));
  } else if (c->has_min || c->has_max) {
    IrVal *v = prog_step(b, t == IR_I64 ? "check.range.i64" : "check.range.f64", &val, 1, &n);
    v->f = c->has_min ? c->min : -__builtin_inf();
    v->g = c->has_max ? c->max : __builtin_inf();
    v->s = c->name;
    prog_place(b, c->span, &v->line, &v->col);
  } else if (c->nin) {
    IrVal *v = prog_step(b, "check.in.str", &val, 1, &n);
    v->names = c->in;
    v->nlist = c->nin;
    v->s = c->name;
    prog_place(b, c->span, &v->line, &v->col);
  }
  return n;
}

uint32_t prog_column(Build *b, const TColumn *c) {
  if (b->cols == COLS_FILE && c->derive)
    return prog_node(b, c->derive);
  for (uint32_t i = 0; i < b->nused; i++) /* read once, whatever Node mentions it */
    if (b->used[i] == c)
      return b->read[i];
  uint32_t n;
  IrVal *v = prog_step(b, "col", NULL, 0, &n);
  v->s = c->name;
  v->type = (uint8_t)type_of(c->type);
  v->nullable = c->type.nullable;
  prog_place(b, c->span, &v->line, &v->col);
  n = b->cols == COLS_FILE ? check_domain(b, c, n) : n;
  note_used(b, c, n);
  return n;
}

/* ---- Nodes ---- */

static uint32_t prog_literal(Build *b, const Node *n) {
  uint32_t number;
  char op[16] = "const.";
  strcat(op, suffix(type_of(n->type)));
  IrVal *v = prog_step(b, op, NULL, 0, &number);
  switch (v->type) {
  case IR_BOOL: v->i = n->b; break;
  case IR_I64: v->i = n->i; break;
  case IR_F64: v->f = n->f; break;
  default: v->s = n->s;
  }
  return number;
}

static const Instance *instance_of(Build *b, const Node *n) {
  for (uint32_t i = 0; i < b->nown; i++)
    if (b->own[i].agg == n)
      return &b->own[i];
  return phase_find(b->split, &b->context, n);
}

static uint32_t prog_agg(Build *b, const Node *n) {
  const Instance *in = instance_of(b, n);
  uint32_t number;
  if (!n->nby) {
    char op[16] = "fitted.";
    strcat(op, suffix(type_of(n->type)));
    prog_step(b, op, NULL, 0, &number)->i = in ? in->fitted : 0;
    return number;
  }
  uint32_t *key = NEWN(b->arena, uint32_t, n->nby);
  for (uint32_t i = 0; i < n->nby; i++)
    key[i] = prog_node(b, n->by[i]);
  IrVal *v = prog_step(b, type_of(n->type) == IR_I64 ? "lookup.i64" : "lookup.f64", key, n->nby, &number);
  v->i = in ? in->fitted : 0;
  v->g = (double)b->context.without - 1; /* -1: rows of a fold read the table without it */
  return number;
}

/* `~age` is the name of a column that nobody chose for the element: lang/check_vector.c. */
const char *prog_element(const Node *n, uint32_t i) {
  const char *s = n->names && n->names[i] ? n->names[i] : "";
  return *s == '~' ? s + 1 : s;
}

static uint32_t prog_args(Build *b, const Node *n, const char *op) {
  uint32_t number, *arg = NEWN(b->arena, uint32_t, n->narg ? n->narg : 1);
  for (uint32_t i = 0; i < n->narg; i++)
    arg[i] = prog_node(b, n->arg[i]);
  IrVal *v = prog_step(b, op, arg, n->narg, &number);
  if (n->kind == N_VECTOR) {
    v->nlist = n->narg;
    v->names = NEWN(b->arena, const char *, n->narg);
    for (uint32_t i = 0; i < n->narg; i++)
      v->names[i] = prog_element(n, i);
  }
  prog_place(b, n->span, &v->line, &v->col);
  return number;
}

/* Texts: a vocabulary, in the order written. */
static uint32_t prog_texts(Build *b, const Node *n) {
  uint32_t number;
  IrVal *v = prog_step(b, "const.vocab", NULL, 0, &number);
  v->names = NEWN(b->arena, const char *, n->narg);
  v->nlist = n->narg;
  for (uint32_t i = 0; i < n->narg; i++)
    v->names[i] = n->arg[i]->s;
  return number;
}

/* Of literals a constant; with fitted values in it a step. */
static uint32_t prog_list(Build *b, const Node *n) {
  if (n->type.elem == TY_CATEGORY)
    return prog_texts(b, n);
  for (uint32_t i = 0; i < n->narg; i++)
    if (n->arg[i]->kind != N_LIT || n->arg[i]->type.kind != TY_FLOAT)
      return prog_args(b, n, "list");
  uint32_t number;
  IrVal *v = prog_step(b, "const.list", NULL, 0, &number);
  double *list = NEWN(b->arena, double, n->narg + 1);
  for (uint32_t i = 0; i < n->narg; i++)
    list[i] = n->arg[i]->f;
  v->list = list;
  v->nlist = n->narg;
  return number;
}

uint32_t prog_node(Build *b, const Node *n) {
  int32_t *memo = memo_of(b, n);
  if (memo[n->id] >= 0)
    return (uint32_t)memo[n->id];
  uint32_t v = 0;
  switch (n->kind) {
  case N_LIT: v = prog_literal(b, n); break;
  case N_COLUMN: v = prog_column(b, n->column); break;
  case N_AGG: v = prog_agg(b, n); break;
  case N_CALL: v = prog_args(b, n, n->op); break;
  case N_VECTOR: v = prog_args(b, n, "vec"); break;
  case N_LIST: v = prog_list(b, n); break;
  }
  memo[n->id] = (int32_t)v;
  return v;
}
