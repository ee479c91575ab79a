/* SPDX-License-Identifier: Apache-2.0 */
/* What goes to the code generator, and what comes back: the contract between the VM and the module that knows
 * LLVM (llvm/).
 *
 * A JitProg is a row program's compilable steps, cut into groups. A group becomes one function: a loop over a
 * panel in which every value lives in vector registers, JIT_LANES rows at a time. It is a list of nodes in
 * SSA form, each node an op of ops.def over earlier nodes, or one of those below. The program owns everything
 * its nodes point to, so it outlives the interpreter it was made from; interpreters of the same stage share
 * one.
 *
 * The function reads a JitFrame. It never calls anything but the functions of JIT_CALL nodes. */
#ifndef VM_JIT_CODE_H
#define VM_JIT_CODE_H

#include "base/arena.h"
#include "vm/column.h"
#include "vm/ops.h"

enum {
  JIT_ABI = 1,
  JIT_LANES = PANEL_ROWS < 8 ? 4 : 8, /* a panel of fewer rows is interpreted */
  JIT_STRIP = 256, /* rows between two calls: what they hand on stays in the first-level cache */
};

typedef enum JitType {
  JIT_B,
  JIT_I64,
  JIT_F64,
  JIT_I32 /* codes of strings; elements of one-hot vectors, -1 for none */
} JitType;

enum { /* ops of nodes, beside OP_* */
  JIT_IN = OP_N, /* input `slot` of the frame */
  JIT_CONST,     /* i or f; null where nullable */
  JIT_CALL,      /* fn over short arrays: of one double, or two */
  JIT_CELL,      /* entry arg 0 of table `slot`: 16 bytes, a value and whether it is null */
  JIT_DOT, /* f + list . args, by the order of vm/kernel/dot.h; a null or a number that is not finite is
              a bad row */
};

typedef struct JitNode {
  uint16_t op;
  uint8_t type; /* JitType */
  bool nullable;
  bool checked; /* some row may be bad */
  uint32_t narg;
  uint32_t *arg; /* nodes of the same group */
  int64_t i, j;  /* bounds of check.range.i64; OP_CUT: nothing */
  double f, g;
  const double *list; /* JIT_DOT: coefficients; bucket, cut: the cuts */
  uint32_t nlist;
  const uint32_t *width;    /* JIT_DOT: elements of each arg */
  const double *const *hot; /* JIT_DOT: of a one-hot arg its coefficients behind a 0, else NULL */
  void *fn;                 /* JIT_CALL: MathFn1, MathFn2 */
  uint32_t slot;            /* JIT_IN: of the frame's in; look-ups: first of its tables */
  int32_t live;             /* node that is false where the row was removed before this step; -1: none was */
  int32_t out;              /* slot of the frame where the value is stored, or -1 */
  bool canonical;           /* it is stored with the one NaN that outputs have */
} JitNode;

typedef struct JitGroup {
  JitNode *node;
  uint32_t nnode;
  uint32_t nin, nout, ntable;
} JitGroup;

typedef struct JitProg {
  Arena arena;
  JitGroup *group;
  uint32_t ngroup;
  uint32_t steps; /* of the row program that are compiled; the interpreter has the others */
} JitProg;

typedef struct JitFrame { /* words of 8 bytes, in this order */
  uint64_t n;             /* JIT_LANES <= n <= PANEL_ROWS */
  const void *const *in;
  const uint8_t *const *in_null; /* never NULL: zeros where nothing is null */
  void *const *out;
  uint8_t *const *out_null; /* of nodes that are nullable */
  const void *const *table;
  uint8_t *any_null; /* by out: set to 1 where a row is null */
  uint8_t *kept;     /* rows that no keep removes: the others are set to 0 */
  uint8_t *scratch;  /* what jit_scratch says */
  uint64_t bad;      /* set to 1 where a row is bad; nothing else that was written counts then */
} JitFrame;
enum {
  FRAME_N,
  FRAME_IN,
  FRAME_IN_NULL,
  FRAME_OUT,
  FRAME_OUT_NULL,
  FRAME_TABLE,
  FRAME_ANY_NULL,
  FRAME_KEPT,
  FRAME_SCRATCH,
  FRAME_BAD
};

typedef void (*JitFn)(JitFrame *f);

typedef struct JitNative { /* what was made of a program */
  JitFn *fn;               /* by group */
  size_t *scratch;         /* bytes that each wants */
  void *owned;
} JitNative;

/* The one symbol of the module, `cml_jit_module`. */
typedef struct JitModule {
  int abi;
  const char *(*version)(void); /* "LLVM 14.0.6" */
  Status (*compile)(const JitProg *p, JitNative *out, Err *e);
  void (*release)(JitNative *n);
} JitModule;

#endif
