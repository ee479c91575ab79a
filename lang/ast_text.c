/* SPDX-License-Identifier: Apache-2.0 */
/* The tree as text: what the parser understood, without any of the layout. Two programs with the same text
 * here mean the same, which is how the tests hold fmt to its word. Expressions are prefix: (+ a (* b c));
 * what is absent is not printed. */
#include <string.h>

#include "base/buf.h"
#include "base/num.h"
#include "lang/ast.h"

static void put_expr(Buf *b, const Expr *e);

static void put_string(Buf *b, const char *s) {
  buf_text(b, "\"");
  for (; *s; s++) {
    if (*s == '\n')
      buf_text(b, "\\n");
    else if (*s == '"' || *s == '\\')
      buf_printf(b, "\\%c", *s);
    else
      buf_put(b, s, 1);
  }
  buf_text(b, "\"");
}

static void put_args(Buf *b, const Arg *a) {
  for (; a; a = a->next) {
    buf_text(b, " ");
    if (a->name)
      buf_printf(b, "%s=", a->name);
    put_expr(b, a->value);
  }
}

static const char *const operator_text[] = {
    [OP_NONE] = "~",
    [OP_NEG] = "neg",
    [OP_NOT] = "not",
    [OP_ADD] = "+",
    [OP_SUB] = "-",
    [OP_MUL] = "*",
    [OP_DIV] = "/",
    [OP_IDIV] = "div",
    [OP_MOD] = "mod",
    [OP_POW] = "^",
    [OP_EQ] = "==",
    [OP_NE] = "!=",
    [OP_LT] = "<",
    [OP_LE] = "<=",
    [OP_GT] = ">",
    [OP_GE] = ">=",
    [OP_AND] = "and",
    [OP_OR] = "or",
    [OP_IN] = "in",
    [OP_NOT_IN] = "not-in",
    [OP_IS_NULL] = "is-null",
    [OP_IS_NOT_NULL] = "is-not-null",
};

static void put_expr(Buf *b, const Expr *e) {
  char text[NUM_MAX];
  if (!e) {
    buf_text(b, "_");
    return;
  }
  switch (e->kind) {
  case E_INT:
    num_print_i64(text, e->i);
    buf_text(b, text);
    break;
  case E_FLOAT:
    num_print_f64(text, e->f, true);
    buf_text(b, text);
    break;
  case E_STRING:
    put_string(b, e->name);
    break;
  case E_BOOL:
    buf_text(b, e->i ? "true" : "false");
    break;
  case E_NULL:
    buf_text(b, "null");
    break;
  case E_NAME:
    buf_text(b, e->name);
    break;
  case E_DOT:
    put_expr(b, e->a);
    buf_printf(b, ".%s", e->name);
    break;
  case E_CALL:
    buf_printf(b, "(%s", e->name);
    put_args(b, e->args);
    if (e->where) {
      buf_text(b, " where ");
      put_expr(b, e->where);
    }
    buf_text(b, ")");
    break;
  case E_LIST:
    buf_text(b, "[");
    put_args(b, e->args);
    buf_text(b, " ]");
    break;
  case E_UNARY:
  case E_BINARY:
  case E_IN:
  case E_IS_NULL:
    buf_printf(b, "(%s ", operator_text[e->op]);
    put_expr(b, e->a);
    if (e->b) {
      buf_text(b, " ");
      put_expr(b, e->b);
    }
    buf_text(b, ")");
    break;
  case E_IF:
    buf_text(b, "(if ");
    put_expr(b, e->a);
    buf_text(b, " ");
    put_expr(b, e->b);
    buf_text(b, " ");
    put_expr(b, e->c);
    buf_text(b, ")");
    break;
  case E_RANGE:
    buf_text(b, "(.. ");
    put_expr(b, e->a);
    buf_text(b, " ");
    put_expr(b, e->b);
    buf_text(b, ")");
    break;
  case E_BY:
    buf_text(b, "(by ");
    put_expr(b, e->a);
    put_args(b, e->args);
    buf_text(b, ")");
    break;
  case E_VS:
    buf_text(b, "(vs ");
    put_expr(b, e->a);
    buf_printf(b, " %s)", e->name);
    break;
  case E_EACH:
    buf_printf(b, "(each %s", e->name);
    put_args(b, e->args);
    buf_text(b, ")");
    break;
  case E_ERROR:
    buf_text(b, "<error>");
    break;
  }
}

static void put_type(Buf *b, const TypeExpr *t) {
  if (!t)
    return;
  if (t->phase)
    buf_printf(b, "%s ", t->phase);
  buf_text(b, t->name);
  if (t->elem || t->width) {
    buf_text(b, "<");
    if (t->width)
      put_expr(b, t->width);
    else
      put_type(b, t->elem);
    buf_text(b, ">");
  }
  if (t->nullable)
    buf_text(b, "?");
}

static void put_doc(Buf *b, const char *doc) {
  if (!doc)
    return;
  buf_text(b, " doc=");
  put_string(b, doc);
}

static void put_field(Buf *b, const char *label, const Expr *e) {
  if (!e)
    return;
  buf_printf(b, " %s", label);
  put_expr(b, e);
}

static void put_item(Buf *b, const Item *i) {
  static const char *const word[] = {"from",   "schema", "where",       "derive", "weight", "split",
                                     "group",  "sample", "folds",       "let",    "slot",   "metric",
                                     "expect", "bundle", "predictions", "features", "other"};
  buf_printf(b, "  %s", word[i->kind]);
  if (i->name)
    buf_printf(b, " %s", i->name);
  put_field(b, "= ", i->expr);
  put_field(b, "of ", i->of);
  if (i->args) {
    buf_text(b, " args");
    put_args(b, i->args);
  }
  if (i->by) {
    buf_text(b, " by");
    put_args(b, i->by);
  }
  put_field(b, "top ", i->top);
  for (const Part *p = i->parts; p; p = p->next) {
    buf_printf(b, " part %s", p->name);
    put_field(b, "", p->share);
  }
  put_doc(b, i->doc);
  buf_text(b, "\n");
  for (const SchemaColumn *c = i->columns; c; c = c->next) {
    buf_printf(b, "    %s: ", c->name);
    put_type(b, c->type);
    put_field(b, "in ", c->domain);
    buf_text(b, c->ordered ? " ordered" : "");
    buf_text(b, c->known ? " known" : "");
    put_field(b, "on_invalid ", c->on_invalid);
    put_doc(b, c->doc);
    buf_text(b, "\n");
  }
}

void ast_print(const Ast *ast, struct Buf *b) {
  static const char *const word[] = {"param",    "fn",    "native",   "data",
                                     "features", "model", "evaluate", "export", "use"};
  if (ast->doc) {
    buf_text(b, "file");
    put_doc(b, ast->doc);
    buf_text(b, "\n");
  }
  for (const Decl *d = ast->decls; d; d = d->next) {
    buf_printf(b, "%s%s %s", word[d->kind], d->aggregate ? " aggregate" : "", d->name ? d->name : "");
    for (const Parameter *p = d->params; p; p = p->next) {
      buf_printf(b, " (%s: ", p->name);
      put_type(b, p->type);
      put_field(b, "= ", p->def);
      buf_text(b, ")");
    }
    if (d->type) {
      buf_text(b, " : ");
      put_type(b, d->type);
    }
    if (d->op)
      buf_printf(b, " op %s", d->op);
    if (d->of)
      buf_printf(b, " of %s", d->of);
    put_field(b, "on ", d->on);
    put_field(b, "target ", d->target);
    put_field(b, "formula ", d->formula);
    put_field(b, "= ", d->expr);
    put_doc(b, d->doc);
    buf_text(b, "\n");
    for (const Item *i = d->items; i; i = i->next)
      put_item(b, i);
  }
}
