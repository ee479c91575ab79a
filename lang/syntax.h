/* SPDX-License-Identifier: Apache-2.0 */
/* Syntax: what the steps of parse_file share; nobody outside of them includes this.
 *
 *   text --lex.l--> Toks --layout.c--> Toks with newlines, words in place, balanced brackets
 *        --parse.y, build.c--> Ast
 *
 * Tokens lie in arrays, so that each step looks ahead and back as it likes. fmt.c prints from the tokens of
 * the first step. */
#ifndef LANG_SYNTAX_H
#define LANG_SYNTAX_H

#include "lang/ast.h"
#include "lang/diag.h"

typedef struct Tok {
  int kind;          /* enum lang_yytokentype of parse.h */
  uint32_t from, to; /* bytes of the file; equal: put in by the layout */
  uint32_t line;     /* from 0 */
  uint32_t entry;    /* set by the layout: entries are numbered, so that each reports one syntax error */
  bool first;        /* nothing stands before it on its line */
  bool quoted;       /* a name in backticks: never a word of the language */
  const char *name;  /* names: interned; strings: the content */
  int64_t i;         /* TK_INT */
  double f;          /* TK_FLOAT */
} Tok;

typedef struct Toks {
  Tok *v;
  uint32_t n, cap;
} Toks;

enum {
  NEST_MAX = 200,    /* open brackets */
  HEIGHT_MAX = 1000, /* height of an expression: everybody walks trees by recursion */
  SYNTAX_ERRORS_MAX = 100,
};

typedef struct Reading {
  Arena *arena;
  Diags *diags;
  uint16_t file;
  const char *text;
  uint32_t n;
  Toks raw;  /* of lex.l; the last one is TK_EOF */
  Toks toks; /* of layout.c; the last one is TK_EOF */
  Comment *comments, **comment_end;
  uint32_t errors; /* syntax errors reported so far */
  bool *bad_line;  /* by line: a syntax error was reported there, and the parser keeps quiet about it */
  uint32_t nline;
  /* the parser's */
  uint32_t next;      /* index of the token to be read */
  uint32_t bad_entry; /* the entry that has reported its error, + 1 */
  const char **doc;   /* by line: the ## text that documents what begins there, or NULL */
  Ast *ast;
  Decl *last_decl;
} Reading;

Reading *reading_new(Arena *a, Diags *d, uint16_t file);
/* Lexer. lex_file fills raw and comments; it does not fail: what is wrong is reported and left out or mended.
 */
void lex_file(Reading *r);
/* Layout. Fills toks from raw. */
void layout_file(Reading *r);
/* Grammar (bison). */
int lang_yyparse(Reading *r);

/* Reports a syntax error once per place, up to SYNTAX_ERRORS_MAX of a file; NULL when it was not taken. */
Diag *syntax_error(Reading *r, const char *code, Span at, const char *remedy, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
static inline Span tok_span(const Reading *r, const Tok *t) {
  return (Span){r->file, t->from, t->to};
}
/* The token as messages show it: "`modell`", "the end of the line", ... */
const char *tok_shown(Reading *r, const Tok *t);
/* Reports what the parser could not go on with: token number `at` of r->toks. `expected`: names of what could
 * stand there. */
void unexpected(Reading *r, uint32_t at, const char *const *expected, int n);
bool tok_reserved(int kind); /* a reserved word (not one that is a word only at its place) */

/* ---- Building the tree (build.c): what the actions of the grammar call ---- */

typedef struct List { /* a linked list under construction */
  void *head;
  void *last;
} List;

#define LIST_ADD(T, list, item)           \
  do {                                    \
    T *item_ = (item);                    \
    if (item_) {                          \
      if ((list).last)                    \
        ((T *)(list).last)->next = item_; \
      else                                \
        (list).head = item_;              \
      while (item_->next)                 \
        item_ = item_->next;              \
      (list).last = item_;                \
    }                                     \
  } while (0)

Expr *build_leaf(Reading *r, ExprKind kind, const Tok *t);
Expr *build_dot(Reading *r, Span at, const Tok *object, const Tok *member);
Expr *build_call(Reading *r, Span at, const Tok *name, Arg *args, Expr *where);
/* count(distinct x): a call of count_distinct. Reported where another function is called. */
Expr *build_distinct(Reading *r, Span at, const Tok *name, Span inner, Expr *arg, Expr *where);
Expr *build_list(Reading *r, Span at, Arg *args);
Expr *build_unary(Reading *r, Span at, Operator op, Expr *a);
Expr *build_binary(Reading *r, Span at, Operator op, Expr *a, Expr *b);
Expr *build_if(Reading *r, Span at, Expr *a, Expr *b, Expr *c);
Expr *build_in(Reading *r, Span at, Operator op, Expr *a, Expr *b);
Expr *build_is_null(Reading *r, Span at, Operator op, Expr *a);
Expr *build_range(Reading *r, Span at, Expr *lo, Expr *hi);
Expr *build_by(Reading *r, Span at, Expr *call, Arg *keys);
Expr *build_each(Reading *r, Span at, const Tok *kind, Arg *except);
Expr *build_vs(Reading *r, Span at, Expr *metric, const Tok *model);
Expr *build_error(Reading *r, Span at);
Expr *build_paren(Span at, Expr *e);

Arg *build_arg(Reading *r, const Tok *name, Expr *value);
Arg *build_args(Reading *r, Arg *args); /* checks the order and that each name comes once */
TypeExpr *build_type(Reading *r, Span at, const Tok *name, TypeExpr *elem, Expr *width);
Parameter *build_parameter(Reading *r, Span at, const Tok *name, TypeExpr *type, Expr *def);
SchemaColumn *build_column(Reading *r, Span at, const Tok *name, TypeExpr *type, Expr *domain);
Part *build_part(Reading *r, Span at, const Tok *name, Expr *share);
Item *build_item(Reading *r, ItemKind kind, Span at, const Tok *name, Expr *expr);
Decl *build_decl(Reading *r, DeclKind kind, Span at, const Tok *name);
void build_model(Reading *r, Decl *d, const Tok *estimator, Span call, List args); /* formula and options */
void build_body(Reading *r, Decl *d, Item *items, Span braces);                    /* lets and the result */

#endif
