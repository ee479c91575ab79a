/* SPDX-License-Identifier: Apache-2.0 */
/* Building Nodes; see node.h. Read node_make first: everything else goes through it. */
#include "lang/node.h"

#include <string.h>

#include "base/hash.h"
#include "base/num.h"
#include "lang/type.h"

void nodetab_init(NodeTab *t, Arena *a) {
  memset(t, 0, sizeof *t);
  t->arena = a;
}

/* ---- Hash-consing ---- */

static uint64_t hash_of(const Node *n) {
  uint64_t h =
      hash_word(n->kind, (uint64_t)n->type.kind << 16 | (uint64_t)n->type.elem << 8 | n->type.nullable);
  h = hash_word(h, n->phase);
  if (n->op)
    h = hash_word(h, hash_cstr(0, n->op));
  for (uint32_t i = 0; i < n->narg; i++)
    h = hash_word(h, n->arg[i]->id);
  for (uint32_t i = 0; i < n->nby; i++)
    h = hash_word(h, n->by[i]->id);
  if (n->where)
    h = hash_word(h, n->where->id);
  if (n->weight)
    h = hash_word(h, n->weight->id);
  if (n->column)
    h = hash_word(h, (uint64_t)(uintptr_t)n->column);
  if (n->kind == N_LIT) {
    uint64_t bits;
    memcpy(&bits, &n->f, sizeof bits);
    h = hash_word(hash_word(h, bits), (uint64_t)n->i + n->b);
    if (n->s)
      h = hash_word(h, hash_cstr(0, n->s));
  }
  return h;
}

static bool same_text(const char *a, const char *b) {
  return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_nodes(Node *const *a, Node *const *b, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (a[i] != b[i])
      return false;
  return true;
}

static bool same(const Node *a, const Node *b) {
  if (a->kind != b->kind || a->phase != b->phase || a->type.kind != b->type.kind ||
      a->type.elem != b->type.elem || a->type.nullable != b->type.nullable ||
      a->type.width != b->type.width || a->narg != b->narg || a->nby != b->nby || a->where != b->where ||
      a->weight != b->weight || a->column != b->column || !same_text(a->op, b->op))
    return false;
  if (!same_nodes(a->arg, b->arg, a->narg) || !same_nodes(a->by, b->by, a->nby))
    return false;
  if (a->kind == N_LIT)
    return a->b == b->b && a->i == b->i && memcmp(&a->f, &b->f, sizeof a->f) == 0 && same_text(a->s, b->s);
  if (a->kind == N_VECTOR)
    for (uint32_t i = 0; i < a->narg; i++)
      if (!same_text(a->names[i], b->names[i]))
        return false;
  return true;
}

static uint32_t *slot_of(const NodeTab *t, const Node *n) {
  uint32_t mask = t->nslot - 1;
  uint32_t i = (uint32_t)hash_of(n) & mask;
  while (t->slot[i] && !same(t->node[t->slot[i] - 1], n))
    i = (i + 1) & mask;
  return &t->slot[i];
}

static void lift_side(const NodeTab *t, const Node *of, uint32_t *height, uint32_t *tables) {
  if (!of)
    return;
  if (t->height[of->id] > *height)
    *height = t->height[of->id];
  if (t->tables[of->id] > *tables)
    *tables = t->tables[of->id];
}

/* Height and nesting of a new node, from what it is made of. */
static void note_side(NodeTab *t, const Node *n) {
  uint32_t height = 0, tables = 0;
  for (uint32_t i = 0; i < n->narg; i++)
    lift_side(t, n->arg[i], &height, &tables);
  for (uint32_t i = 0; i < n->nby; i++)
    lift_side(t, n->by[i], &height, &tables);
  lift_side(t, n->where, &height, &tables);
  lift_side(t, n->weight, &height, &tables);
  if (n->column)
    lift_side(t, n->column->derive, &height, &tables);
  if (n->nby)
    tables++;
  if (height >= NODE_HEIGHT_MAX)
    t->too_high = true;
  t->height[n->id] = (uint16_t)(height < UINT16_MAX ? height + 1 : height);
  t->tables[n->id] = (uint8_t)(tables < UINT8_MAX ? tables : UINT8_MAX);
}

Node *node_make(NodeTab *t, const Node *like) {
  if ((t->n + 1) * 2 > t->nslot) {
    t->nslot = t->nslot ? t->nslot * 2 : 256;
    t->slot = NEWN(t->arena, uint32_t, t->nslot);
    for (uint32_t i = 0; i < t->n; i++)
      *slot_of(t, t->node[i]) = i + 1;
  }
  uint32_t *slot = slot_of(t, like);
  if (*slot)
    return t->node[*slot - 1];
  Node *n = NEW(t->arena, Node);
  *n = *like;
  n->id = t->n;
  if (t->n == t->side) {
    uint32_t room = t->side ? t->side * 2 : 256;
    uint16_t *height = NEWN(t->arena, uint16_t, room);
    uint8_t *tables = NEWN(t->arena, uint8_t, room);
    if (t->n) {
      memcpy(height, t->height, t->n * sizeof *height);
      memcpy(tables, t->tables, t->n * sizeof *tables);
    }
    t->height = height;
    t->tables = tables;
    t->side = room;
  }
  note_side(t, n);
  PUSH(t->arena, t->node, t->n, t->cap, n);
  *slot = t->n;
  return n;
}

/* ---- Literals and columns ---- */

Node *node_bool(NodeTab *t, bool v, Span at) {
  return node_make(t, &(Node){.kind = N_LIT, .type = type_of(TY_BOOL), .b = v, .span = at});
}

Node *node_int(NodeTab *t, TypeKind kind, int64_t v, Span at) {
  return node_make(t, &(Node){.kind = N_LIT, .type = type_of(kind), .i = v, .span = at});
}

Node *node_float(NodeTab *t, double v, Span at) {
  return node_make(t, &(Node){.kind = N_LIT, .type = type_of(TY_FLOAT), .f = v, .span = at});
}

Node *node_text(NodeTab *t, TypeKind kind, const char *s, Span at) {
  return node_make(t, &(Node){.kind = N_LIT, .type = type_of(kind), .s = s, .span = at});
}

Node *node_column(NodeTab *t, TColumn *col, Phase phase, Span at) {
  return node_make(t,
                   &(Node){.kind = N_COLUMN, .type = col->type, .phase = phase, .column = col, .span = at});
}

/* ---- Calls ---- */

static Node *fold_int(NodeTab *t, const char *name, size_t n, Node *const *arg, uint32_t narg, Span at) {
  int64_t r;
  int64_t a = arg[0]->i, b = narg > 1 ? arg[1]->i : 0;
  bool bad = true;
  if (n == 3 && memcmp(name, "add", 3) == 0)
    bad = __builtin_add_overflow(a, b, &r);
  else if (n == 3 && memcmp(name, "sub", 3) == 0)
    bad = __builtin_sub_overflow(a, b, &r);
  else if (n == 3 && memcmp(name, "mul", 3) == 0)
    bad = __builtin_mul_overflow(a, b, &r);
  else if (n == 3 && memcmp(name, "neg", 3) == 0)
    bad = __builtin_sub_overflow((int64_t)0, a, &r);
  return bad ? NULL : node_int(t, TY_INT, r, at);
}

static Node *fold_float(NodeTab *t, const char *name, size_t n, Node *const *arg, uint32_t narg, Span at) {
  double a = arg[0]->f, b = narg > 1 ? arg[1]->f : 0;
  if (n != 3)
    return NULL;
  if (memcmp(name, "add", 3) == 0)
    return node_float(t, a + b, at);
  if (memcmp(name, "sub", 3) == 0)
    return node_float(t, a - b, at);
  if (memcmp(name, "mul", 3) == 0)
    return node_float(t, a * b, at);
  if (memcmp(name, "div", 3) == 0)
    return node_float(t, a / b, at);
  if (memcmp(name, "neg", 3) == 0)
    return node_float(t, -a, at);
  return NULL;
}

static Node *fold(NodeTab *t, const char *op, Type type, Node *const *arg, uint32_t n, Span at) {
  const char *dot = strchr(op, '.');
  if (!dot || n < 1 || n > 2 || !type_is_number(type.kind))
    return NULL;
  for (uint32_t i = 0; i < n; i++)
    if (arg[i]->kind != N_LIT || arg[i]->type.kind != type.kind)
      return NULL;
  size_t len = (size_t)(dot - op);
  return type.kind == TY_INT ? fold_int(t, op, len, arg, n, at) : fold_float(t, op, len, arg, n, at);
}

Node *node_call(NodeTab *t, const char *op, const char *shown, Type type, Node *const *arg, uint32_t n,
                Span at) {
  Node *folded = fold(t, op, type, arg, n, at);
  if (folded)
    return folded;
  Node **copy = NEWN(t->arena, Node *, n);
  Phase phase = PH_CONST;
  for (uint32_t i = 0; i < n; i++) {
    copy[i] = arg[i];
    if (arg[i]->phase > phase)
      phase = arg[i]->phase;
  }
  Node like = {.kind = N_CALL,
               .phase = phase,
               .type = type,
               .op = op,
               .shown = shown,
               .arg = copy,
               .narg = n,
               .span = at};
  return node_make(t, &like);
}

static Node *cast_literal(NodeTab *t, const Node *n, TypeKind to, Span at) {
  char text[NUM_MAX];
  if (to == TY_FLOAT)
    return node_float(t, n->type.kind == TY_BOOL ? (double)n->b : (double)n->i, at);
  if (to == TY_INT)
    return node_int(t, TY_INT, n->b, at);
  if (n->type.kind == TY_BOOL)
    return node_text(t, to, n->b ? "true" : "false", at);
  if (n->type.kind == TY_DATE)
    num_print_date(text, n->i);
  else
    num_print_i64(text, n->i);
  return node_text(t, to, arena_strdup(t->arena, text), at);
}

Node *node_cast(NodeTab *t, Node *n, TypeKind to, Span at) {
  TypeKind from = n->type.kind;
  if (from == to || from == TY_ERROR || to == TY_ERROR || (type_is_text(from) && type_is_text(to)))
    return n;
  if (n->kind == N_LIT)
    return cast_literal(t, n, to, at);
  const char *op = from == TY_BOOL   ? (to == TY_INT     ? "cast.b.i64"
                                        : to == TY_FLOAT ? "cast.b.f64"
                                                         : "cast.b.str")
                   : from == TY_DATE ? "cast.date.str"
                   : to == TY_FLOAT  ? "cast.i64.f64"
                                     : "cast.i64.str";
  Type type = {.kind = to, .nullable = n->type.nullable};
  return node_call(t, op, type_name(to), type, &n, 1, at);
}

/* ---- Null rules ---- */

enum { UNKNOWN, NO, YES };

static bool op_is(const Node *n, const char *name) {
  size_t k = strlen(name);
  return n->op && strncmp(n->op, name, k) == 0 && (n->op[k] == '.' || n->op[k] == 0);
}

static bool strict_walk(const Node *n, const Node *arg, uint8_t *memo);

static bool strict_any(Node *const *v, uint32_t n, const Node *arg, uint8_t *memo) {
  for (uint32_t i = 0; i < n; i++)
    if (strict_walk(v[i], arg, memo))
      return true;
  return false;
}

/* Operations that are not simply null when one operand is; the list of them is in vm/ops.def (null rule). */
static bool strict_call(const Node *n, const Node *arg, uint8_t *memo) {
  if (op_is(n, "is_null"))
    return false;
  if (op_is(n, "coalesce") || op_is(n, "and") || op_is(n, "or"))
    return strict_walk(n->arg[0], arg, memo) && strict_walk(n->arg[1], arg, memo);
  if (op_is(n, "null_if"))
    return strict_walk(n->arg[0], arg, memo);
  if (op_is(n, "null_when"))
    return strict_walk(n->arg[1], arg, memo);
  if (op_is(n, "if"))
    return strict_walk(n->arg[0], arg, memo) ||
           (strict_walk(n->arg[1], arg, memo) && strict_walk(n->arg[2], arg, memo));
  return strict_any(n->arg, n->narg, arg, memo);
}

static bool strict_walk(const Node *n, const Node *arg, uint8_t *memo) {
  if (n == arg)
    return true;
  if (n->id < arg->id)
    return false; /* arguments have smaller ids: `arg` cannot be inside */
  if (memo[n->id] != UNKNOWN)
    return memo[n->id] == YES;
  bool strict = n->kind == N_CALL     ? strict_call(n, arg, memo)
                : n->kind == N_VECTOR ? strict_any(n->arg, n->narg, arg, memo)
                : n->kind == N_AGG    ? strict_any(n->by, n->nby, arg, memo)
                                      : false;
  memo[n->id] = strict ? YES : NO;
  return strict;
}

bool node_strict_in(const NodeTab *t, const Node *n, const Node *arg) {
  return strict_walk(n, arg, NEWN(t->arena, uint8_t, n->id + 1));
}

static bool reads_walk(const Node *n, const Node *arg, uint8_t *seen) {
  if (n == arg)
    return true;
  if (n->id < arg->id || seen[n->id])
    return false;
  seen[n->id] = 1;
  if (n->kind != N_AGG)
    for (uint32_t i = 0; i < n->narg; i++)
      if (reads_walk(n->arg[i], arg, seen))
        return true;
  for (uint32_t i = 0; i < n->nby; i++)
    if (reads_walk(n->by[i], arg, seen))
      return true;
  return false;
}

bool node_reads(const NodeTab *t, const Node *n, const Node *arg) {
  return reads_walk(n, arg, NEWN(t->arena, uint8_t, n->id + 1));
}

uint32_t node_tables(const NodeTab *t, const Node *n) {
  return t->tables[n->id];
}
