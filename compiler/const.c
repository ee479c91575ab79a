/* SPDX-License-Identifier: Apache-2.0 */
/* Values known before any row: options, `q` of a quantile, `min_count`. They are computed by the
 * interpreter, over one row, so that `2 ^ 18` is the same number here as in a feature. */
#include "compiler/lower.h"
#include "vm/interp.h"
#include "vm/ops.h"

Status const_eval(Arena *a, const struct Diags *d, const Tree *t, const Node *n, IrVal *out, Err *e) {
  static const char *const op[] = {"const.b", "const.i64", "const.f64", "const.str"};
  Build b;
  prog_init(&b, a, d, t, NULL, COLS_STORED);
  uint32_t val = prog_node(&b, n), number;
  prog_out(&b, OUT_COLUMN, "value", KIND_FLOAT, val);
  Env env = {NULL, 0};
  Interp *it = NULL;
  RowErrors errors = {0};
  Col col = {0};
  RowsIn in = {.n = 1};
  if (interp_new(&b.prog, &env, NULL, 0, &it, e) != ST_OK ||
      interp_run(it, &in, &col, NULL, &errors, e) != ST_OK)
    goto done;
  if (errors.count || (col.null && col.null[0]) || col.type > IR_STR) {
    err_set(e, ST_PROGRAM, "CML0332", "Write a constant that can be computed.", "`%s` has no value%s%s",
            show_text(a, n), errors.count ? ": " : "", errors.count ? errors.v[0].text : "");
    goto done;
  }
  *out = *prog_step(&b, op[col.type], NULL, 0, &number);
  switch (col.type) {
  case IR_BOOL: out->i = col.b[0]; break;
  case IR_I64: out->i = col.i[0]; break;
  case IR_F64: out->f = col.f[0]; break;
  default: {
    uint32_t c = col.code[0];
    out->s = arena_strndup(a, col.dict->bytes + col.dict->off[c], col.dict->off[c + 1] - col.dict->off[c]);
  }
  }
done:
  interp_free(it);
  return e->code;
}
