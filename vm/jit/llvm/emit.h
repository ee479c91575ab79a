/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the code generator: what its files share. Read group.c first; steps.c, calendar.c and tables.c give
 * the value of one node.
 *
 * Everything is a vector of JIT_LANES rows: truth <n x i1>, whole numbers <n x i64>, doubles <n x double>,
 * codes <n x i32>. Operations of doubles are the separately rounded ones of the interpreter: no flag is ever
 * set on them, so LLVM neither contracts nor reorders. */
#ifndef VM_JIT_LLVM_EMIT_H
#define VM_JIT_LLVM_EMIT_H

#include <llvm-c/Core.h>

#include "vm/jit/code.h"

typedef LLVMValueRef V;

typedef struct Val { /* of a node */
  V v;
  V null; /* truth; NULL: never */
} Val;

typedef struct Emit {
  LLVMContextRef c;
  LLVMModuleRef m;
  LLVMBuilderRef b;
  LLVMTypeRef i1, i8, i32, i64, f64, bytes; /* bytes: i8 pointer */
  LLVMTypeRef vb, vbyte, v32, v64, vf;      /* vectors of lanes */
  const JitGroup *g;
  V fn;
  V word[10];                               /* of the frame, as i64; pointers as bytes */
  V *in, *in_null, *out, *out_null, *table; /* pointers, by slot */
  V bad;                                    /* alloca of truth: rows that are bad so far */
  V *any;                                   /* allocas by out */
  V row;                                    /* i64: first of the lanes, in the panel */
  V at;                                     /* the same in the strip */
  Val *val;                                 /* by node: known in the segment that is being written */
} Emit;

/* ---- group.c ---- */
V emit_load(Emit *e, LLVMTypeRef element, V base, V index);    /* lanes from index on */
V emit_load_one(Emit *e, LLVMTypeRef element, V base, V byte); /* one element at a byte offset */
void emit_bad(Emit *e, const JitNode *n, V bad, V null);       /* rows where `bad`, unless null or removed */

/* ---- Words ---- */
V emit_splat(V scalar);
V emit_int(Emit *e, int64_t v); /* <n x i64> */
V emit_int32(Emit *e, int32_t v);
V emit_double(Emit *e, double v);
V emit_truth(Emit *e, bool v);
V emit_math(Emit *e, const char *intrinsic, V x); /* "llvm.floor" of doubles */
V emit_math2(Emit *e, const char *intrinsic, V x, V y);
V emit_or(Emit *e, V a, V b);      /* of truths that may be NULL, for false */
V emit_and_not(Emit *e, V a, V b); /* a and not b; b may be NULL */

/* ---- Values of nodes ---- */
bool emit_step(Emit *e, const JitNode *n, const Val *a, Val *out);  /* steps.c; false: not one of its ops */
bool emit_time(Emit *e, const JitNode *n, const Val *a, Val *out);  /* calendar.c */
bool emit_table(Emit *e, const JitNode *n, const Val *a, Val *out); /* tables.c */

/* Builds the functions "g0", "g1", ... into module m; scratch[k] gets the bytes that each wants. */
Status emit_program(LLVMContextRef c, LLVMModuleRef m, const JitProg *p, size_t *scratch, Err *err);

#endif
