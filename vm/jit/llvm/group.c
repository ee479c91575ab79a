/* SPDX-License-Identifier: Apache-2.0 */
/* One group as a function. Without calls it is one loop over the panel:
 *
 *     for (row = 0; row < n; row += JIT_LANES) { load what is read; compute; store what is wanted }
 *
 * The last lanes begin at n - JIT_LANES, so that some rows may be computed twice, to the same values, and no
 * loop over single rows is needed. A call works on an array, so it cuts the loop: nodes lie in *segments*, a
 * node behind a call in the next one. Then the panel is gone through in strips of JIT_STRIP rows; in a strip
 * each segment is a loop, with the calls that follow it behind. What passes from a segment to a later one
 * lies in scratch memory. A node is put into the last segment that it can be in, so that little has to pass.
 */
#include <stdio.h>
#include <string.h>

#include "vm/jit/llvm/emit.h"

#define I64(v) LLVMConstInt(e->i64, (uint64_t)(v), 0)

/* ---- Words ---- */

V emit_splat(V scalar) {
  V each[JIT_LANES];
  for (int k = 0; k < JIT_LANES; k++)
    each[k] = scalar;
  return LLVMConstVector(each, JIT_LANES);
}

V emit_int(Emit *e, int64_t v) {
  return emit_splat(LLVMConstInt(e->i64, (uint64_t)v, 1));
}

V emit_int32(Emit *e, int32_t v) {
  return emit_splat(LLVMConstInt(e->i32, (uint32_t)v, 0));
}

/* By its bits: a constant that C's printer or LLVM's reader could round is never made. */
V emit_double(Emit *e, double v) {
  uint64_t u;
  memcpy(&u, &v, sizeof u);
  return emit_splat(LLVMConstBitCast(LLVMConstInt(e->i64, u, 0), e->f64));
}

V emit_truth(Emit *e, bool v) {
  return emit_splat(LLVMConstInt(e->i1, v, 0));
}

static V call_math(Emit *e, const char *name, V *arg, unsigned n) {
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  V fn = LLVMGetIntrinsicDeclaration(e->m, id, &e->vf, 1);
  return LLVMBuildCall2(e->b, LLVMIntrinsicGetType(e->c, id, &e->vf, 1), fn, arg, n, "");
}

V emit_math(Emit *e, const char *intrinsic, V x) {
  return call_math(e, intrinsic, &x, 1);
}

V emit_math2(Emit *e, const char *intrinsic, V x, V y) {
  V arg[2] = {x, y};
  return call_math(e, intrinsic, arg, 2);
}

V emit_or(Emit *e, V a, V b) {
  return !a ? b : !b ? a : LLVMBuildOr(e->b, a, b, "");
}

V emit_and_not(Emit *e, V a, V b) {
  return b ? LLVMBuildAnd(e->b, a, LLVMBuildNot(e->b, b, ""), "") : a;
}

/* ---- Memory ---- */

static unsigned size_of(const Emit *e, LLVMTypeRef element) {
  return element == e->i8 ? 1 : element == e->i32 ? 4 : 8;
}

static LLVMTypeRef element_of(const Emit *e, uint8_t type) {
  return type == JIT_B ? e->i8 : type == JIT_I64 ? e->i64 : type == JIT_F64 ? e->f64 : e->i32;
}

static V address(Emit *e, LLVMTypeRef pointee, V base, V byte) {
  V p = LLVMBuildGEP2(e->b, e->i8, base, &byte, 1, "");
  return LLVMBuildBitCast(e->b, p, LLVMPointerType(pointee, 0), "");
}

static V lanes_at(Emit *e, LLVMTypeRef element, V base, V index) {
  V byte = LLVMBuildMul(e->b, index, I64(size_of(e, element)), "");
  return address(e, LLVMVectorType(element, JIT_LANES), base, byte);
}

V emit_load(Emit *e, LLVMTypeRef element, V base, V index) {
  V v = LLVMBuildLoad2(e->b, LLVMVectorType(element, JIT_LANES), lanes_at(e, element, base, index), "");
  LLVMSetAlignment(v, size_of(e, element));
  return v;
}

static void store(Emit *e, LLVMTypeRef element, V v, V base, V index) {
  LLVMSetAlignment(LLVMBuildStore(e->b, v, lanes_at(e, element, base, index)), size_of(e, element));
}

V emit_load_one(Emit *e, LLVMTypeRef element, V base, V byte) {
  V v = LLVMBuildLoad2(e->b, element, address(e, element, base, byte), "");
  LLVMSetAlignment(v, size_of(e, element));
  return v;
}

static V to_bytes(Emit *e, V truth) {
  return LLVMBuildZExt(e->b, truth, e->vbyte, "");
}

static V from_bytes(Emit *e, V bytes) {
  return LLVMBuildICmp(e->b, LLVMIntNE, bytes, LLVMConstNull(e->vbyte), "");
}

static V load_value(Emit *e, uint8_t type, V base, V index) {
  V v = emit_load(e, element_of(e, type), base, index);
  return type == JIT_B ? from_bytes(e, v) : v;
}

static void store_value(Emit *e, uint8_t type, V v, V base, V index) {
  store(e, element_of(e, type), type == JIT_B ? to_bytes(e, v) : v, base, index);
}

/* ---- Segments ---- */

typedef struct Place { /* of a node */
  uint32_t segment;
  bool passed;  /* a later segment or a call reads it */
  V data, null; /* where: scratch of the strip */
} Place;

typedef struct Plan {
  Place *place;
  uint32_t nsegment;
  size_t scratch;
} Plan;

static bool is_leaf(const JitNode *n) { /* read anew in each segment */
  return n->op == JIT_IN || n->op == JIT_CONST;
}

/* From which segment on the value of node i can be read by others than calls. */
static uint32_t known_from(const JitGroup *g, const Place *place, uint32_t i) {
  return is_leaf(&g->node[i]) ? 0 : place[i].segment + (g->node[i].op == JIT_CALL);
}

static uint32_t max_of(uint32_t a, uint32_t b) {
  return a > b ? a : b;
}

static uint32_t min_of(uint32_t a, uint32_t b) {
  return a < b ? a : b;
}

static uint32_t earliest(const JitGroup *g, const Place *place, const JitNode *n) {
  uint32_t s = n->live >= 0 ? known_from(g, place, (uint32_t)n->live) : 0;
  for (uint32_t k = 0; k < n->narg; k++)
    s = max_of(s, known_from(g, place, n->arg[k]));
  return s;
}

/* A call belongs to the segment that it stands behind. First each node as early as it can be, then what is
 * only read later as late. */
static void find_segments(const JitGroup *g, Plan *p, uint32_t *late) {
  for (uint32_t i = 0; i < g->nnode; i++) {
    const JitNode *n = &g->node[i];
    p->place[i].segment = earliest(g, p->place, n);
    p->nsegment = max_of(p->nsegment, p->place[i].segment + 1 + (n->op == JIT_CALL));
    late[i] = UINT32_MAX;
  }
  for (uint32_t i = g->nnode; i-- > 0;) {
    const JitNode *n = &g->node[i];
    Place *q = &p->place[i];
    if (n->op != JIT_CALL && n->op != OP_KEEP && !n->checked && late[i] != UINT32_MAX)
      q->segment = late[i];
    for (uint32_t k = 0; k < n->narg; k++)
      late[n->arg[k]] = min_of(late[n->arg[k]], q->segment);
    if (n->live >= 0)
      late[n->live] = min_of(late[n->live], q->segment);
  }
}

static void find_passed(const JitGroup *g, Plan *p) {
  for (uint32_t i = 0; i < g->nnode; i++) {
    const JitNode *n = &g->node[i];
    bool call = n->op == JIT_CALL;
    p->place[i].passed |= call;
    for (uint32_t k = 0; k < n->narg; k++) {
      uint32_t a = n->arg[k];
      p->place[a].passed |= call || (!is_leaf(&g->node[a]) && p->place[a].segment != p->place[i].segment);
    }
    if (n->live >= 0 && !is_leaf(&g->node[n->live]))
      p->place[n->live].passed |= p->place[n->live].segment != p->place[i].segment;
  }
}

/* A call reads a column of the panel where it lies. */
static bool reads_in_place(const JitNode *n) {
  return n->op == JIT_IN && n->type == JIT_F64;
}

static V scratch_at(Emit *e, size_t at) {
  V byte = I64(at);
  return LLVMBuildGEP2(e->b, e->i8, e->word[FRAME_SCRATCH], &byte, 1, "");
}

static void give_scratch(Emit *e, Plan *p) {
  for (uint32_t i = 0; i < e->g->nnode; i++) {
    Place *q = &p->place[i];
    const JitNode *n = &e->g->node[i];
    if (!q->passed || reads_in_place(n))
      continue;
    q->data = scratch_at(e, p->scratch);
    p->scratch += JIT_STRIP * 8;
    if (n->nullable) {
      q->null = scratch_at(e, p->scratch);
      p->scratch += JIT_STRIP;
    }
  }
}

/* ---- One node in the loop of a segment ---- */

void emit_bad(Emit *e, const JitNode *n, V bad, V null) {
  bad = emit_and_not(e, bad, null);
  if (n->live >= 0)
    bad = LLVMBuildAnd(e->b, bad, e->val[n->live].v, "");
  V sum = LLVMBuildLoad2(e->b, e->vb, e->bad, "");
  LLVMBuildStore(e->b, LLVMBuildOr(e->b, sum, bad, ""), e->bad);
}

static Val constant(Emit *e, const JitNode *n) {
  V v = n->type == JIT_B     ? emit_truth(e, n->i != 0)
        : n->type == JIT_F64 ? emit_double(e, n->f)
        : n->type == JIT_I64 ? emit_int(e, n->i)
                             : emit_int32(e, (int32_t)n->i);
  return (Val){v, n->nullable ? emit_truth(e, true) : NULL};
}

static V zero_of(Emit *e, uint8_t type) {
  return type == JIT_B     ? emit_truth(e, false)
         : type == JIT_F64 ? emit_double(e, 0)
         : type == JIT_I64 ? emit_int(e, 0)
                           : emit_int32(e, 0);
}

/* Stores what somebody outside reads: 0 under nulls, and -1 of one-hot vectors, which is there already. */
static void put_out(Emit *e, const JitNode *n, Val x) {
  uint32_t k = (uint32_t)n->out;
  V v = x.v;
  if (x.null && n->op != OP_INDICATOR_STR)
    v = LLVMBuildSelect(e->b, x.null, zero_of(e, n->type), v, "");
  if (n->canonical)
    v = LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealUNO, v, v, ""), emit_double(e, __builtin_nan("")),
                        v, "");
  store_value(e, n->type, v, e->out[k], e->row);
  if (!x.null)
    return;
  store(e, e->i8, to_bytes(e, x.null), e->out_null[k], e->row);
  V any = LLVMBuildLoad2(e->b, e->vb, e->any[k], "");
  LLVMBuildStore(e->b, LLVMBuildOr(e->b, any, x.null, ""), e->any[k]);
}

static void remove_rows(Emit *e, V keep) {
  V kept = emit_load(e, e->i8, e->word[FRAME_KEPT], e->row);
  store(e, e->i8, LLVMBuildAnd(e->b, kept, to_bytes(e, keep), ""), e->word[FRAME_KEPT], e->row);
}

/* The value of node i, which lies in this segment, or before it. */
static void find(Emit *e, const Plan *p, uint32_t segment, uint32_t i) {
  const JitNode *n = &e->g->node[i];
  const Place *q = &p->place[i];
  Val *x = &e->val[i];
  if (x->v)
    return;
  if (n->op == JIT_CONST) {
    *x = constant(e, n);
  } else if (n->op == JIT_IN) {
    x->v = load_value(e, n->type, e->in[n->slot], e->row);
    x->null = n->nullable ? from_bytes(e, emit_load(e, e->i8, e->in_null[n->slot], e->row)) : NULL;
  } else if (q->segment < segment) {
    x->v = load_value(e, n->type, q->data, e->at);
    x->null = n->nullable ? from_bytes(e, emit_load(e, e->i8, q->null, e->at)) : NULL;
  }
}

static bool compute(Emit *e, const Plan *p, uint32_t segment, uint32_t i) {
  const JitNode *n = &e->g->node[i];
  Val a[4], *all = n->narg <= 4 ? a : mem_alloc(n->narg * sizeof *all);
  if (!all)
    return false;
  for (uint32_t k = 0; k < n->narg; k++) {
    find(e, p, segment, n->arg[k]);
    all[k] = e->val[n->arg[k]];
  }
  if (n->live >= 0)
    find(e, p, segment, (uint32_t)n->live);
  Val *x = &e->val[i];
  bool good = emit_step(e, n, all, x) || emit_time(e, n, all, x) || emit_table(e, n, all, x);
  if (all != a)
    mem_free(all);
  return good;
}

/* Of a call only the null mask, which its arguments have; and what it reads. */
static void before_call(Emit *e, const Plan *p, uint32_t segment, uint32_t i) {
  const JitNode *n = &e->g->node[i];
  V null = NULL;
  for (uint32_t k = 0; k < n->narg; k++) {
    const JitNode *a = &e->g->node[n->arg[k]];
    const Place *q = &p->place[n->arg[k]];
    bool here = is_leaf(a) && !reads_in_place(a); /* a constant */
    if (!a->nullable && !here)
      continue;
    if (a->op == JIT_CALL && q->segment == segment) { /* its mask lies there by now, from this very loop */
      null = emit_or(e, null, from_bytes(e, emit_load(e, e->i8, q->null, e->at)));
      continue;
    }
    find(e, p, segment, n->arg[k]);
    null = emit_or(e, null, e->val[n->arg[k]].null);
    if (here)
      store_value(e, a->type, e->val[n->arg[k]].v, q->data, e->at);
  }
  if (n->nullable)
    store(e, e->i8, to_bytes(e, null ? null : emit_truth(e, false)), p->place[i].null, e->at);
}

static bool write_node(Emit *e, const Plan *p, uint32_t segment, uint32_t i) {
  const JitNode *n = &e->g->node[i];
  const Place *q = &p->place[i];
  bool after = n->op == JIT_CALL && q->segment + 1 == segment;
  if (after && n->out >= 0) {
    find(e, p, segment, i);
    put_out(e, n, e->val[i]);
  }
  if (is_leaf(n) || q->segment != segment)
    return true;
  if (n->op == JIT_CALL) {
    before_call(e, p, segment, i);
    return true;
  }
  if (!compute(e, p, segment, i))
    return false;
  Val x = e->val[i];
  if (q->passed) {
    store_value(e, n->type, x.v, q->data, e->at);
    if (n->nullable)
      store(e, e->i8, to_bytes(e, x.null ? x.null : emit_truth(e, false)), q->null, e->at);
  }
  if (n->op == OP_KEEP)
    remove_rows(e, x.v);
  if (n->out >= 0)
    put_out(e, n, x);
  return true;
}

static bool has_work(const Emit *e, const Plan *p, uint32_t segment) {
  for (uint32_t i = 0; i < e->g->nnode; i++) {
    const JitNode *n = &e->g->node[i];
    bool after = n->op == JIT_CALL && n->out >= 0 && p->place[i].segment + 1 == segment;
    if (after || (!is_leaf(n) && p->place[i].segment == segment))
      return true;
  }
  return false;
}

/* for (i = 0; i < rows; i += JIT_LANES) with at = min(i, rows - JIT_LANES), row = base + at */
static bool write_segment(Emit *e, const Plan *p, uint32_t segment, V base, V rows) {
  LLVMBasicBlockRef before = LLVMGetInsertBlock(e->b);
  LLVMBasicBlockRef body = LLVMAppendBasicBlockInContext(e->c, e->fn, ""),
                    after = LLVMAppendBasicBlockInContext(e->c, e->fn, "");
  V last = LLVMBuildSub(e->b, rows, I64(JIT_LANES), ""), zero = I64(0);
  LLVMBuildBr(e->b, body);
  LLVMPositionBuilderAtEnd(e->b, body);
  V i = LLVMBuildPhi(e->b, e->i64, "");
  e->at = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntULT, i, last, ""), i, last, "");
  e->row = LLVMBuildAdd(e->b, base, e->at, "");
  memset(e->val, 0, e->g->nnode * sizeof *e->val);
  for (uint32_t k = 0; k < e->g->nnode; k++)
    if (!write_node(e, p, segment, k))
      return false;
  V next = LLVMBuildAdd(e->b, i, I64(JIT_LANES), "");
  LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntULT, next, rows, ""), body, after);
  LLVMAddIncoming(i, &zero, &before, 1);
  LLVMBasicBlockRef end = LLVMGetInsertBlock(e->b);
  LLVMAddIncoming(i, &next, &end, 1);
  LLVMPositionBuilderAtEnd(e->b, after);
  return true;
}

static void write_calls(Emit *e, const Plan *p, uint32_t segment, V base, V rows) {
  LLVMTypeRef type[4] = {e->bytes, e->bytes, e->bytes, e->i64};
  for (uint32_t i = 0; i < e->g->nnode; i++) {
    const JitNode *n = &e->g->node[i];
    if (n->op != JIT_CALL || p->place[i].segment != segment)
      continue;
    V arg[4];
    for (uint32_t k = 0; k < n->narg; k++) {
      const JitNode *a = &e->g->node[n->arg[k]];
      V byte = LLVMBuildMul(e->b, base, I64(sizeof(double)), "");
      arg[k] = reads_in_place(a) ? LLVMBuildGEP2(e->b, e->i8, e->in[a->slot], &byte, 1, "")
                                 : p->place[n->arg[k]].data;
    }
    arg[n->narg] = p->place[i].data;
    arg[n->narg + 1] = rows;
    LLVMTypeRef fn = LLVMFunctionType(LLVMVoidTypeInContext(e->c), type + (2 - n->narg), n->narg + 2, 0);
    V at = LLVMConstIntToPtr(I64((uintptr_t)n->fn), LLVMPointerType(fn, 0));
    LLVMBuildCall2(e->b, fn, at, arg, n->narg + 2, "");
  }
}

/* ---- The function ---- */

static V *load_words(Emit *e, Arena *a, V from, uint32_t n) {
  V *v = arena_alloc(a, (n + 1) * sizeof *v);
  for (uint32_t k = 0; v && k < n; k++)
    v[k] = LLVMBuildLoad2(e->b, e->bytes, address(e, e->bytes, from, I64(8 * (uint64_t)k)), "");
  return v;
}

static bool begin(Emit *e, Arena *a, const char *name) {
  LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(e->c), &e->bytes, 1, 0);
  e->fn = LLVMAddFunction(e->m, name, type);
  LLVMPositionBuilderAtEnd(e->b, LLVMAppendBasicBlockInContext(e->c, e->fn, ""));
  V frame = LLVMGetParam(e->fn, 0);
  for (uint64_t k = FRAME_N; k < FRAME_BAD; k++) {
    LLVMTypeRef t = k == FRAME_N ? e->i64 : e->bytes;
    e->word[k] = LLVMBuildLoad2(e->b, t, address(e, t, frame, I64(8 * k)), "");
  }
  e->in = load_words(e, a, e->word[FRAME_IN], e->g->nin);
  e->in_null = load_words(e, a, e->word[FRAME_IN_NULL], e->g->nin);
  e->out = load_words(e, a, e->word[FRAME_OUT], e->g->nout);
  e->out_null = load_words(e, a, e->word[FRAME_OUT_NULL], e->g->nout);
  e->table = load_words(e, a, e->word[FRAME_TABLE], e->g->ntable);
  e->val = arena_alloc(a, (e->g->nnode + (size_t)1) * sizeof *e->val);
  e->any = arena_alloc(a, (e->g->nout + (size_t)1) * sizeof *e->any);
  if (!e->in || !e->in_null || !e->out || !e->out_null || !e->table || !e->val || !e->any)
    return false;
  e->bad = LLVMBuildAlloca(e->b, e->vb, "");
  LLVMBuildStore(e->b, emit_truth(e, false), e->bad);
  for (uint32_t k = 0; k < e->g->nout; k++) {
    e->any[k] = LLVMBuildAlloca(e->b, e->vb, "");
    LLVMBuildStore(e->b, emit_truth(e, false), e->any[k]);
  }
  return true;
}

/* Is one of them set? */
static V any_of(Emit *e, V truths) {
  LLVMTypeRef word = LLVMIntTypeInContext(e->c, JIT_LANES);
  V v = LLVMBuildBitCast(e->b, LLVMBuildLoad2(e->b, e->vb, truths, ""), word, "");
  return LLVMBuildICmp(e->b, LLVMIntNE, v, LLVMConstInt(word, 0, 0), "");
}

static void end(Emit *e) {
  V frame = LLVMGetParam(e->fn, 0);
  V bad = LLVMBuildZExt(e->b, any_of(e, e->bad), e->i64, "");
  LLVMBuildStore(e->b, bad, address(e, e->i64, frame, I64(8 * FRAME_BAD)));
  for (uint32_t k = 0; k < e->g->nout; k++) {
    V any = LLVMBuildZExt(e->b, any_of(e, e->any[k]), e->i8, "");
    LLVMBuildStore(e->b, any, address(e, e->i8, e->word[FRAME_ANY_NULL], I64(k)));
  }
  LLVMBuildRetVoid(e->b);
}

/* for (s = 0; s < n; s += strip): rows = min(strip, n - s), at least JIT_LANES; base = where they begin */
static bool write_strips(Emit *e, const Plan *p) {
  V n = e->word[FRAME_N], zero = I64(0);
  V strip = I64(p->nsegment > 1 ? JIT_STRIP : PANEL_ROWS);
  LLVMBasicBlockRef before = LLVMGetInsertBlock(e->b);
  LLVMBasicBlockRef body = LLVMAppendBasicBlockInContext(e->c, e->fn, ""),
                    after = LLVMAppendBasicBlockInContext(e->c, e->fn, "");
  LLVMBuildBr(e->b, body);
  LLVMPositionBuilderAtEnd(e->b, body);
  V s = LLVMBuildPhi(e->b, e->i64, ""), left = LLVMBuildSub(e->b, n, s, "");
  V rows = LLVMBuildSelect(e->b, LLVMBuildICmp(e->b, LLVMIntULT, left, strip, ""), left, strip, "");
  V few = LLVMBuildICmp(e->b, LLVMIntULT, rows, I64(JIT_LANES), "");
  V base = LLVMBuildSelect(e->b, few, LLVMBuildSub(e->b, n, I64(JIT_LANES), ""), s, "");
  rows = LLVMBuildSelect(e->b, few, I64(JIT_LANES), rows, "");
  for (uint32_t k = 0; k < p->nsegment; k++) {
    if (has_work(e, p, k) && !write_segment(e, p, k, base, rows))
      return false;
    write_calls(e, p, k, base, rows);
  }
  V next = LLVMBuildAdd(e->b, s, strip, "");
  LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntULT, next, n, ""), body, after);
  LLVMAddIncoming(s, &zero, &before, 1);
  LLVMBasicBlockRef last = LLVMGetInsertBlock(e->b);
  LLVMAddIncoming(s, &next, &last, 1);
  LLVMPositionBuilderAtEnd(e->b, after);
  return true;
}

static Status emit_group(Emit *e, const char *name, size_t *scratch, Err *err) {
  Arena a;
  Plan p = {0};
  arena_init(&a, NULL);
  p.place = arena_alloc(&a, (e->g->nnode + (size_t)1) * sizeof *p.place);
  uint32_t *late = arena_alloc(&a, (e->g->nnode + (size_t)1) * sizeof *late);
  if (!p.place || !late || !begin(e, &a, name)) {
    arena_free(&a);
    return err_memory(err);
  }
  find_segments(e->g, &p, late);
  find_passed(e->g, &p);
  give_scratch(e, &p);
  bool good = write_strips(e, &p);
  if (good)
    end(e);
  else
    err_set(err, ST_FAULT, "CML0601", "This is a fault of cml: please report it with the program.",
            "a step could not be compiled");
  *scratch = p.scratch;
  arena_free(&a);
  return err->code;
}

Status emit_program(LLVMContextRef c, LLVMModuleRef m, const JitProg *p, size_t *scratch, Err *err) {
  Emit e = {.c = c, .m = m, .b = LLVMCreateBuilderInContext(c)};
  e.i1 = LLVMInt1TypeInContext(c);
  e.i8 = LLVMInt8TypeInContext(c);
  e.i32 = LLVMInt32TypeInContext(c);
  e.i64 = LLVMInt64TypeInContext(c);
  e.f64 = LLVMDoubleTypeInContext(c);
  e.bytes = LLVMPointerType(e.i8, 0);
  e.vb = LLVMVectorType(e.i1, JIT_LANES);
  e.vbyte = LLVMVectorType(e.i8, JIT_LANES);
  e.v32 = LLVMVectorType(e.i32, JIT_LANES);
  e.v64 = LLVMVectorType(e.i64, JIT_LANES);
  e.vf = LLVMVectorType(e.f64, JIT_LANES);
  for (uint32_t k = 0; k < p->ngroup && err->code == ST_OK; k++) {
    char name[24];
    snprintf(name, sizeof name, "g%u", k);
    e.g = &p->group[k];
    emit_group(&e, name, &scratch[k], err);
  }
  LLVMDisposeBuilder(e.b);
  return err->code;
}
