/* SPDX-License-Identifier: Apache-2.0 */
/* Zone maps: what is certain of rows of which only the least and the greatest values are known (Moerkotte
 * 1998, "Small materialized aggregates"; Parquet keeps them for each row group). Read ir_zone_none.
 *
 * The program is run once over what is known of all the rows: of a truth value which of true, false, null it
 * can be, of a number or a text the range. Where a filter is never true before a step can fail, the rows need
 * not be read: none stays, and none is an error. What is not known may be anything. */
#include <string.h>

#include "base/arena.h"
#include "vm/ir.h"
#include "vm/ops.h"

typedef struct Known { /* of one step, for all rows */
  bool sure;        /* what follows is known */
  bool yes, no;     /* IR_BOOL: some row may be true, false */
  bool nulls;       /* some row may be null */
  int64_t lo, hi;   /* IR_I64 */
  const char *first, *last; /* IR_STR */
  uint32_t nfirst, nlast;
} Known;

/* ---- One step ---- */

static Known boolean(bool yes, bool no, bool nulls) {
  return (Known){.sure = true, .yes = yes, .no = no, .nulls = nulls};
}

static Known column(const IrVal *v, const IrColumn *col, const Zone *zone, uint32_t ncol) {
  for (uint32_t i = 0; i < ncol; i++) {
    if (strcmp(col[i].name, v->s))
      continue;
    const Zone *z = &zone[i];
    if (v->type == IR_BOOL)
      return (Known){.sure = z->known, .yes = z->hi, .no = !z->lo, .nulls = z->nulls};
    return (Known){z->known && v->type != IR_F64, false, false, z->nulls, z->lo, z->hi,
                   z->first, z->last, z->nfirst, z->nlast};
  }
  return (Known){.nulls = true};
}

static int text_order(const char *a, uint32_t na, const char *b, uint32_t nb) {
  int c = memcmp(a, b, na < nb ? na : nb);
  return c ? c : (na > nb) - (na < nb);
}

/* The order of a's least value and b's greatest, and of a's greatest and b's least. */
static void bounds(const Known *a, const Known *b, IrType type, int *low, int *high) {
  if (type == IR_I64) {
    *low = (a->lo > b->hi) - (a->lo < b->hi);
    *high = (a->hi > b->lo) - (a->hi < b->lo);
  } else {
    *low = text_order(a->first, a->nfirst, b->last, b->nlast);
    *high = text_order(a->last, a->nlast, b->first, b->nfirst);
  }
}

static Known compare(uint16_t op, const Known *a, const Known *b, IrType type) {
  int low, high;
  bounds(a, b, type, &low, &high);
  bool apart = low > 0 || high < 0, one = low == 0 && high == 0, nulls = a->nulls || b->nulls;
  switch (op) {
  case OP_EQ_I64:
  case OP_EQ_STR: return boolean(!apart, !one, nulls);
  case OP_NE_I64:
  case OP_NE_STR: return boolean(!one, !apart, nulls);
  case OP_LT_I64: return boolean(low < 0, high >= 0, nulls);
  case OP_LE_I64: return boolean(low <= 0, high > 0, nulls);
  case OP_GT_I64: return boolean(high > 0, low <= 0, nulls);
  default: return boolean(high >= 0, low < 0, nulls); /* OP_GE_I64 */
  }
}

/* Bounds beyond 2^53 are not looked at: the range of the check is of doubles. */
static bool inside(const Known *a, double from, double to) {
  const int64_t most = INT64_C(1) << 53;
  return a->lo > -most && a->hi < most && (double)a->lo >= from && (double)a->hi <= to &&
         (!a->nulls || (from <= 0 && to >= 0));
}

/* false: a row may be an error. */
static bool run(const IrVal *v, const Known *a, const Known *b, Known *out) {
  bool nulls = (a && a->nulls) || (b && b->nulls);
  *out = (Known){.nulls = true};
  switch (v->op) {
  case OP_CONST_B: *out = boolean(v->i, !v->i, false); return true;
  case OP_CONST_I64: *out = (Known){.sure = true, .lo = v->i, .hi = v->i}; return true;
  case OP_CONST_STR: {
    uint32_t n = (uint32_t)strlen(v->s);
    *out = (Known){.sure = true, .first = v->s, .last = v->s, .nfirst = n, .nlast = n};
    return true;
  }
  case OP_EQ_I64:
  case OP_NE_I64:
  case OP_LT_I64:
  case OP_LE_I64:
  case OP_GT_I64:
  case OP_GE_I64:
    if (a->sure && b->sure)
      *out = compare(v->op, a, b, IR_I64);
    return true;
  case OP_EQ_STR:
  case OP_NE_STR:
    if (a->sure && b->sure)
      *out = compare(v->op, a, b, IR_STR);
    return true;
  case OP_AND_B: /* false if one is false */
    *out = boolean((a->yes || !a->sure) && (b->yes || !b->sure), a->no || !a->sure || b->no || !b->sure,
                   nulls);
    return true;
  case OP_OR_B:
    *out = boolean(a->yes || !a->sure || b->yes || !b->sure, (a->no || !a->sure) && (b->no || !b->sure),
                   nulls);
    return true;
  case OP_NOT_B:
    if (a->sure)
      *out = boolean(a->no, a->yes, nulls);
    return true;
  case OP_ADD_I64:
  case OP_SUB_I64:
    *out = (Known){.sure = a->sure && b->sure, .nulls = nulls};
    return out->sure && !(v->op == OP_ADD_I64 ? __builtin_add_overflow(a->lo, b->lo, &out->lo) ||
                                                    __builtin_add_overflow(a->hi, b->hi, &out->hi)
                                              : __builtin_sub_overflow(a->lo, b->hi, &out->lo) ||
                                                    __builtin_sub_overflow(a->hi, b->lo, &out->hi));
  case OP_CHECK_RANGE_I64: *out = *a; return a->sure && inside(a, v->f, v->g);
  case OP_CHECK_NULL_B:
  case OP_CHECK_NULL_I64:
  case OP_CHECK_NULL_STR: *out = *a; return !a->nulls;
  default: return !op_info(v->op)->may_fail;
  }
}

/* Behind a filter that is never true only what is the same for all rows is computed: first of all. */
bool ir_zone_none(const RowProg *p, const IrColumn *col, const Zone *zone, uint32_t ncol) {
  Known *k = mem_alloc((p->nval ? p->nval : 1) * sizeof *k);
  bool none = false, good = k != NULL;
  for (uint32_t i = 0; i < p->nval && good; i++) {
    const IrVal *v = &p->val[i];
    if (none && !v->scalar)
      continue;
    const Known *a = v->narg > 0 ? &k[v->arg[0]] : NULL, *b = v->narg > 1 ? &k[v->arg[1]] : NULL;
    if (v->op == OP_COL) {
      k[i] = column(v, col, zone, ncol);
    } else if (v->op == OP_KEEP) {
      none = a->sure && !a->yes;
      k[i] = *a;
    } else {
      good = run(v, a, b, &k[i]);
    }
  }
  mem_free(k);
  return good && none;
}

/* ---- Is it worth trying? ---- */

/* As if all columns were known, and no bound mattered. */
static bool can_tell(const IrVal *v, const bool *told) {
  static const uint16_t op[] = {OP_CONST_B, OP_CONST_I64, OP_CONST_STR, OP_EQ_I64, OP_NE_I64, OP_LT_I64,
                                OP_LE_I64, OP_GT_I64, OP_GE_I64, OP_EQ_STR, OP_NE_STR, OP_AND_B, OP_OR_B,
                                OP_NOT_B, OP_ADD_I64, OP_SUB_I64, OP_CHECK_RANGE_I64, OP_CHECK_NULL_B,
                                OP_CHECK_NULL_I64, OP_CHECK_NULL_STR};
  if (v->op == OP_COL)
    return v->type != IR_F64;
  bool known = false, all = true, any = false;
  for (uint32_t i = 0; i < sizeof op / sizeof *op; i++)
    known |= v->op == op[i];
  for (uint32_t i = 0; i < v->narg; i++) {
    all &= told[v->arg[i]];
    any |= told[v->arg[i]];
  }
  return known && (v->op == OP_AND_B ? any : all);
}

const char *ir_zone_obstacle(const Program *p, const Stage *rows, Arena *a, const IrVal **at) {
  const Stage *s = &p->stage[rows->from];
  const RowProg *g = &rows->prog;
  bool *told = NEWN(a, bool, g->nval + 1);
  const char *why = NULL;
  *at = NULL;
  for (uint32_t i = 0; i < g->nval && !*at; i++)
    if (g->val[i].op == OP_KEEP)
      *at = &g->val[g->val[i].arg[0]]; /* keep has no place of its own */
  for (uint32_t i = 0; i < s->ninput; i++)
    if (strcmp(s->input[i].format, "parquet"))
      return "only Parquet has statistics of its rows";
  for (uint32_t i = 0; i < g->nout; i++)
    if (g->out[i].role == OUT_INVALID)
      return "rows outside of a domain are counted";
  for (uint32_t i = 0; i < s->ncolumn; i++)
    if (s->column[i].kind == KIND_FLOAT && !s->column[i].nullable)
      return arena_printf(a,
                          "statistics do not tell whether `%s` is NaN, which is an error in a row that the "
                          "filter leaves out, too",
                          s->column[i].name);
  for (uint32_t i = 0; i < g->nval; i++) {
    const IrVal *v = &g->val[i];
    told[i] = can_tell(v, told);
    if (v->op == OP_KEEP && told[v->arg[0]])
      return NULL;
    if (v->op == OP_KEEP && !why)
      why = "it is more than comparisons of columns with constants";
    if (!told[i] && op_info(v->op)->may_fail)
      return why ? why
                 : arena_printf(a, "a row that it leaves out may be an error (%s)", op_info(v->op)->name);
  }
  return why ? why : "there is none";
}
