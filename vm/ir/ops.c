/* SPDX-License-Identifier: Apache-2.0 */
/* The op table made of ops.def. Read ops.h first. ARGS_xy says what the argument word `xy` of a row stands
 * for. */
#include "vm/ops.h"

#include <string.h>

#define ARGS_b 1, {IR_BOOL}
#define ARGS_f 1, {IR_F64}
#define ARGS_i 1, {IR_I64}
#define ARGS_s 1, {IR_STR}
#define ARGS_x 1, {IR_VEC}
#define ARGS_bb 2, {IR_BOOL, IR_BOOL}
#define ARGS_bf 2, {IR_BOOL, IR_F64}
#define ARGS_bi 2, {IR_BOOL, IR_I64}
#define ARGS_bs 2, {IR_BOOL, IR_STR}
#define ARGS_ff 2, {IR_F64, IR_F64}
#define ARGS_fl 2, {IR_F64, IR_LIST}
#define ARGS_ii 2, {IR_I64, IR_I64}
#define ARGS_ss 2, {IR_STR, IR_STR}
#define ARGS_S 1, {IR_STRS}
#define ARGS_Sib 3, {IR_STRS, IR_I64, IR_BOOL}
#define ARGS_Sii 3, {IR_STRS, IR_I64, IR_I64}
#define ARGS_Sibb 4, {IR_STRS, IR_I64, IR_BOOL, IR_BOOL}
#define ARGS_Svbb 4, {IR_STRS, IR_VOCAB, IR_BOOL, IR_BOOL}
#define ARGS_sbi 3, {IR_STR, IR_BOOL, IR_I64}
#define ARGS_sib 3, {IR_STR, IR_I64, IR_BOOL}
#define ARGS_Ss 2, {IR_STRS, IR_STR}
#define ARGS_Sv 2, {IR_STRS, IR_VOCAB}
#define ARGS_sv 2, {IR_STR, IR_VOCAB}
#define ARGS_xf 2, {IR_VEC, IR_F64}
#define ARGS_xm 2, {IR_VEC, IR_MAT}
#define ARGS_xx 2, {IR_VEC, IR_VEC}
#define ARGS_yy 2, {ARG_SLOT, ARG_SLOT}
#define ARGS_xib 3, {IR_VEC, IR_I64, IR_BOOL}
#define ARGS_bbb 3, {IR_BOOL, IR_BOOL, IR_BOOL}
#define ARGS_bff 3, {IR_BOOL, IR_F64, IR_F64}
#define ARGS_bii 3, {IR_BOOL, IR_I64, IR_I64}
#define ARGS_bss 3, {IR_BOOL, IR_STR, IR_STR}
#define ARGS_flii 4, {IR_F64, IR_LIST, IR_I64, IR_I64}
#define ARGS_sii 3, {IR_STR, IR_I64, IR_I64}
#define ARGS_sss 3, {IR_STR, IR_STR, IR_STR}
#define ARGS_keys -1, {ARG_KEY}
#define ARGS_none 0, {0}
#define ARGS_nums -1, {IR_F64}
#define ARGS_slots -1, {ARG_SLOT}

#define RESULT(c)                                                                                          \
  ((c) == 'b'   ? IR_BOOL                                                                                  \
   : (c) == 'i' ? IR_I64                                                                                   \
   : (c) == 'f' ? IR_F64                                                                                   \
   : (c) == 's' ? IR_STR                                                                                   \
   : (c) == 'S' ? IR_STRS                                                                                  \
   : (c) == 'l' ? IR_LIST                                                                                  \
   : (c) == 'v' ? IR_VOCAB                                                                                 \
   : (c) == 'x' ? IR_VEC                                                                                   \
   : (c) == 'm' ? IR_MAT                                                                                   \
                : RESULT_ANY)

enum { FAIL = 1, MAKES = 2, ROW = 4 };

static const OpInfo table[OP_N] = {
#define OP(code, name, args, result, rule, flags, attr, meaning)                                           \
  [OP_##code] = {name, ARGS_##args, RESULT(result), NULL_##rule, ((flags) & FAIL) != 0,                    \
                 ((flags) & MAKES) != 0, ((flags) & ROW) != 0, attr, meaning},
#include "vm/ops.def"
#undef OP
};

int op_find(const char *name) {
  for (int i = 0; i < OP_N; i++) {
    if (!strcmp(table[i].name, name))
      return i;
  }
  return -1;
}

const OpInfo *op_info(uint32_t op) {
  return op < OP_N ? &table[op] : NULL;
}

int op_arg(const OpInfo *o, uint32_t k) {
  return o->arg[o->arity < 0 ? 0 : k];
}

bool op_arg_fits(const OpInfo *o, uint32_t k, IrType t) {
  if (o->arity >= 0 && k >= (uint32_t)o->arity)
    return false;
  int want = op_arg(o, k);
  if (want == ARG_KEY)
    return t == IR_BOOL || t == IR_I64 || t == IR_STR;
  if (want == ARG_SLOT)
    return t == IR_F64 || t == IR_VEC;
  return want == (int)t;
}

bool op_has(const OpInfo *o, char attr) {
  return strchr(o->attr, attr) != NULL && attr != 0;
}

bool op_scores(uint32_t op) {
  return op == OP_SCORE || op == OP_SCORES;
}

bool op_fitted(uint32_t op) {
  return (op >= OP_FITTED_B && op <= OP_FITTED_MAT) || op == OP_LOOKUP_I64 || op == OP_LOOKUP_F64 ||
         op_scores(op) || op == OP_CLASS_VEC;
}

bool op_nullable(uint32_t op, const bool *arg, uint32_t narg) {
  const OpInfo *o = op_info(op);
  if (!o || o->null == NULL_NEVER)
    return false;
  if (o->may_null)
    return true;
  switch (op) {
  case OP_COALESCE_B:
  case OP_COALESCE_I64:
  case OP_COALESCE_F64:
  case OP_COALESCE_STR:
    return arg[0] && arg[1];
  default:
    break;
  }
  for (uint32_t i = 0; i < narg; i++) {
    if (arg[i])
      return true;
  }
  return false;
}
