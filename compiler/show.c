/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions of the checked tree as text: for explain, for messages at run time, for reports. */
#include <string.h>

#include "base/buf.h"
#include "base/num.h"
#include "compiler/lower.h"

static bool is_cast(const Node *n) {
  return n->kind == N_CALL && n->op && strncmp(n->op, "cast.", 5) == 0;
}

static bool is_operator(const char *s) {
  return s && (strchr("+-*/^=!<>", s[0]) || !strcmp(s, "and") || !strcmp(s, "or") || !strcmp(s, "div") ||
               !strcmp(s, "mod"));
}

static void show_args(const Node *n, Buf *out) {
  for (uint32_t i = 0; i < n->narg; i++) {
    if (i)
      buf_text(out, ", ");
    if (n->kind == N_VECTOR && n->names && n->names[i] && !strchr("~.", n->names[i][0]))
      buf_printf(out, "%s = ", n->names[i]); /* the others are columns that name themselves */
    show_node(n->arg[i], out);
  }
}

static void show_literal(const Node *n, Buf *out) {
  char t[NUM_MAX];
  switch (n->type.kind) {
  case TY_BOOL: buf_text(out, n->b ? "true" : "false"); break;
  case TY_FLOAT: num_print_f64(t, n->f, false), buf_text(out, t); break;
  case TY_STRING:
  case TY_CATEGORY: buf_printf(out, "\"%s\"", n->s); break;
  case TY_DATE: num_print_date(t, n->i), buf_text(out, t); break;
  case TY_TIMESTAMP: num_print_timestamp(t, n->i), buf_text(out, t); break;
  default: num_print_i64(t, n->i), buf_text(out, t);
  }
}

static void show_agg(const Node *n, Buf *out) {
  bool distinct = strncmp(n->op, "count_distinct.", 15) == 0;
  buf_printf(out, "%s%s", distinct ? "count" : n->shown ? n->shown : n->op, distinct ? "(distinct " : "(");
  show_args(n, out);
  if (n->weight) {
    buf_text(out, n->narg ? ", weight = " : "weight = ");
    show_node(n->weight, out);
  }
  if (n->where) {
    buf_text(out, " where ");
    show_node(n->where, out);
  }
  buf_text(out, ")");
  for (uint32_t i = 0; i < n->nby; i++) {
    buf_text(out, i ? ", " : n->nby > 1 ? " by (" : " by ");
    show_node(n->by[i], out);
  }
  if (n->nby > 1)
    buf_text(out, ")");
}

void show_node(const Node *n, Buf *out) {
  switch (n->kind) {
  case N_LIT: show_literal(n, out); break;
  case N_COLUMN: buf_text(out, n->column->name); break;
  case N_AGG: show_agg(n, out); break;
  case N_LIST:
  case N_VECTOR:
    buf_text(out, "[");
    show_args(n, out);
    buf_text(out, "]");
    break;
  case N_CALL:
    if (is_cast(n) && n->narg == 1) {
      show_node(n->arg[0], out); /* widening is not something one wrote */
    } else if (n->narg == 2 && is_operator(n->shown)) {
      buf_text(out, "(");
      show_node(n->arg[0], out);
      buf_printf(out, " %s ", n->shown);
      show_node(n->arg[1], out);
      buf_text(out, ")");
    } else {
      buf_printf(out, "%s(", n->shown ? n->shown : n->op);
      show_args(n, out);
      buf_text(out, ")");
    }
    break;
  }
}

const char *show_text(Arena *a, const Node *n) {
  enum { MOST = 120 };
  Buf b = {0};
  show_node(n, &b);
  if (b.n > MOST) {
    b.n = MOST - 3;
    while (b.n && (b.p[b.n] & 0xc0) == 0x80) /* not inside a character */
      b.n--;
    buf_text(&b, "...");
  }
  const char *s = arena_strdup(a, buf_str(&b));
  buf_free(&b);
  return s;
}
