/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar. It reads the tokens of the layout (layout.c), in which brackets are balanced, newlines mean
 * something, and words like `from` are tokens only where they are words; so it needs no tricks: no conflicts,
 * and an `error` rule wherever an entry may be given up. Actions only build (build.c); what makes no sense but
 * fits the grammar is for the checker. The tables are canonical LR(1) without default reductions, so that an
 * error message lists exactly what could stand at its place.
 *
 * Read from the bottom: expressions, entries, declarations, file. */
%code requires {
#include "lang/syntax.h"
}

%code {
static int lang_yylex(LANG_YYSTYPE *value, Span *at, Reading *r);
static void lang_yyerror(Span *at, Reading *r, const char *text);

static List with_item(List l, Item *i) {
  LIST_ADD(Item, l, i);
  return l;
}

static List one_item(Item *i) {
  return with_item((List){0}, i);
}

static Item *metric(Reading *r, Span at, const Tok *name, Expr *e, Arg *by, Expr *top) {
  Item *i = build_item(r, I_METRIC, at, name, e);
  i->by = by;
  i->top = top;
  return i;
}

#define YYLLOC_DEFAULT(Current, Rhs, N)                          \
  do {                                                           \
    if (N) {                                                     \
      (Current) = span_join(YYRHSLOC(Rhs, 1), YYRHSLOC(Rhs, N)); \
    } else {                                                     \
      (Current) = YYRHSLOC(Rhs, 0);                              \
      (Current).from = (Current).to;                             \
    }                                                            \
  } while (0)

/* The parser's stacks lie in the compilation's arena as well: they are gone with it, also after a longjmp. */
#define YYMALLOC(n) arena_alloc(r->arena, (n))
#define YYFREE(p) ((void)(p))
#define YYMAXDEPTH 20000
}

%define api.prefix {lang_yy}
%define api.pure full
%define api.location.type {Span}
%define api.token.prefix {TK_}
%define parse.error custom
%define lr.type canonical-lr
%define lr.default-reduction consistent
%locations
%param {Reading *r}
%expect 0

%union {
  const Tok *tok;
  Expr *expr;
  Arg *arg;
  TypeExpr *type;
  Parameter *parameter;
  SchemaColumn *column;
  Part *part;
  Item *item;
  Decl *decl;
  List list;
  int op;
  ItemKind kind;
}

%token EOF 0 "the end of the file"
%token NL "the end of the line"
/* Reserved words; tok_reserved relies on PARAM being the first and FALSE the last. */
%token PARAM "`param`" FN "`fn`" DATA "`data`" FEATURES "`features`" MODEL "`model`" TUNE "`tune`"
%token EVALUATE "`evaluate`"
%token EXPORT "`export`" USE "`use`" LET "`let`" IF "`if`" THEN "`then`" ELSE "`else`" AND "`and`" OR "`or`"
%token NOT "`not`"
%token IN "`in`" IS "`is`" <tok> NULL "`null`" BY "`by`" WHERE "`where`" TRUE "`true`" FALSE "`false`"
/* Words at their place. */
%token NATIVE "`native`" AGGREGATE "`aggregate`" OF "`of`" ON "`on`" FROM "`from`" SCHEMA "`schema`"
%token DERIVE "`derive`"
%token WEIGHT "`weight`" SPLIT "`split`" FOLDS "`folds`" EXPECT "`expect`" ORDERED "`ordered`" KNOWN "`known`"
%token TOP "`top`" VS "`vs`" GROUP "`group`" SAMPLE "`sample`" DISTINCT "`distinct`" ON_INVALID "`on_invalid`"
%token BUNDLE "`bundle`" PREDICTIONS "`predictions`" FEATURES_OF "`features of`" KEEP "`keep`" TO "`to`" CONST "`const`" FITTED "`fitted`"
%token EACH "`each`" EXCEPT "`except`" DIV "`div`" MOD "`mod`" NOT_IN "`not in`"
%token <tok> NAME "a name" INT "an integer" FLOAT "a number" STRING "a string"
%token LPAREN "`(`" RPAREN "`)`" LBRACKET "`[`" RBRACKET "`]`" LBRACE "`{`" RBRACE "`}`" COMMA "`,`"
%token COLON "`:`"
%token DOT "`.`" DOTDOT "`..`" QUESTION "`?`" TILDE "`~`" ASSIGN "`=`" SEMICOLON "`;`"
%token EQ "`==`" NE "`!=`" LT "`<`" LE "`<=`" GT "`>`" GE "`>=`" PLUS "`+`" MINUS "`-`" STAR "`*`" SLASH "`/`"
%token CARET "`^`"

%type <expr> expr cmp sum primary call literal domain rhs number on_clause
%type <list> args args_opt arg_list model_args model_arg_list parameters parameter_list columns parts lets
%type <list> clauses clause derives sources slots metrics metric_line metric_list targets names
%type <arg> arg model_arg keys keep_opt
%type <type> type type_name type_opt
%type <parameter> parameter
%type <column> column plain_column
%type <part> part
%type <item> derive slot metric target source
%type <decl> decl
%type <op> cmp_op
%type <kind> rows_kind
%type <expr> default_opt where_opt top_opt method_opt

%precedence ELSE
%left OR
%left AND
%precedence NOT
%left PLUS MINUS
%left STAR SLASH DIV MOD
%precedence NEG
%right CARET

%%

file: %empty
    | file NL
    | file decl NL { Decl **end = &r->ast->decls; if (r->last_decl) end = &r->last_decl->next;
                     if ($2) *end = r->last_decl = $2; yyerrok; }
    | file error NL { yyerrok; }
    ;

/* ---- Declarations ---- */

decl: PARAM NAME type_opt                 { $$ = build_decl(r, D_PARAM, @$, $2); $$->type = $3; }
    | PARAM NAME type_opt ASSIGN rhs
        { $$ = build_decl(r, D_PARAM, @$, $2); $$->type = $3; $$->expr = $5; }
    | FN NAME parameters type_opt ASSIGN rhs
        { $$ = build_decl(r, D_FN, @$, $2); $$->params = $3.head; $$->type = $4; $$->expr = $6; }
    | FN NAME parameters type_opt LBRACE lets RBRACE
        { $$ = build_decl(r, D_FN, @$, $2); $$->params = $3.head; $$->type = $4;
          build_body(r, $$, $6.head, span_join(@5, @7)); }
    | FN error LBRACE lets RBRACE         { $$ = NULL; }
    | FN error                              { $$ = NULL; }
    | NATIVE FN NAME parameters type_opt ASSIGN STRING
        { $$ = build_decl(r, D_NATIVE, @$, $3); $$->params = $4.head; $$->type = $5; $$->op = $7->name; }
    | NATIVE AGGREGATE NAME parameters type_opt ASSIGN STRING
        { $$ = build_decl(r, D_NATIVE, @$, $3); $$->params = $4.head; $$->type = $5; $$->op = $7->name;
          $$->aggregate = true; }
    | DATA NAME LBRACE clauses RBRACE     { $$ = build_decl(r, D_DATA, @$, $2); $$->items = $4.head; }
    | DATA error LBRACE clauses RBRACE    { $$ = NULL; }
    | DATA error                            { $$ = NULL; }
    | FEATURES NAME OF NAME LBRACE slots RBRACE
        { $$ = build_decl(r, D_FEATURES, @$, $2); $$->of = $4->name; $$->of_span = @4; $$->items = $6.head; }
    | FEATURES error LBRACE slots RBRACE  { $$ = NULL; }
    | FEATURES error                        { $$ = NULL; }
    | MODEL NAME ASSIGN NAME LPAREN model_args RPAREN
        { $$ = build_decl(r, D_MODEL, @$, $2); build_model(r, $$, $4, span_join(@4, @7), $6); }
    | MODEL NAME ASSIGN error             { $$ = NULL; }
    | EVALUATE NAME on_clause LBRACE metrics RBRACE
        { $$ = build_decl(r, D_EVALUATE, @$, $2); $$->on = $3; $$->items = $5.head; }
    | EVALUATE error LBRACE metrics RBRACE { $$ = NULL; }
    | EVALUATE error                        { $$ = NULL; }
    | EXPORT NAME LBRACE targets RBRACE   { $$ = build_decl(r, D_EXPORT, @$, $2); $$->items = $4.head; }
    | EXPORT error LBRACE targets RBRACE  { $$ = NULL; }
    | EXPORT error                          { $$ = NULL; }
    | USE NAME                            { $$ = build_decl(r, D_USE, @$, $2); }
    | USE STRING                          { $$ = build_decl(r, D_USE, @$, NULL); $$->expr = build_leaf(r, E_STRING, $2); }
    ;

on_clause: %empty           { $$ = NULL; }
    | ON NAME               { $$ = build_leaf(r, E_NAME, $2); }
    | ON NAME DOT NAME      { $$ = build_dot(r, span_join(@2, @4), $2, $4); }
    ;

parameters: LPAREN RPAREN            { $$ = (List){0}; }
    | LPAREN parameter_list RPAREN   { $$ = $2; }
    | LPAREN parameter_list COMMA RPAREN   { $$ = $2; }
    ;
parameter_list: parameter            { $$ = (List){0}; LIST_ADD(Parameter, $$, $1); }
    | parameter_list COMMA parameter { $$ = $1; LIST_ADD(Parameter, $$, $3); }
    ;
parameter: NAME type_opt default_opt { $$ = build_parameter(r, @$, $1, $2, $3); }
    ;
default_opt: %empty { $$ = NULL; }
    | ASSIGN expr   { $$ = $2; }
    ;

/* The body of a fn in braces: build_body checks that it is lets and then one expression. */
lets: %empty                        { $$ = (List){0}; }
    | lets NL                       { $$ = $1; }
    | lets LET NAME ASSIGN rhs NL
        { $$ = with_item($1, build_item(r, I_LET, span_join(@2, @5), $3, $5)); yyerrok; }
    | lets expr NL                  { $$ = with_item($1, build_item(r, I_OTHER, @2, NULL, $2)); yyerrok; }
    | lets error NL
        { $$ = with_item($1, build_item(r, I_OTHER, @2, NULL, build_error(r, @2))); yyerrok; }
    ;

/* The right side of a `=`: given up alone, so that the name stays known. */
rhs: expr
    | error { $$ = build_error(r, @1); }
    ;

/* ---- Entries of data ---- */

clauses: %empty            { $$ = (List){0}; }
    | clauses NL           { $$ = $1; }
    | clauses clause NL    { $$ = with_item($1, $2.head); yyerrok; }
    | clauses error NL     { $$ = $1; yyerrok; }
    ;
clause: FROM call                       { $$ = one_item(build_item(r, I_FROM, @$, NULL, $2)); }
    | FROM sources                      { $$ = (List){0}; Item *i = build_item(r, I_FROM, @$, NULL, NULL);
                                          i->args = $2.head; LIST_ADD(Item, $$, i); }
    | SCHEMA LBRACE columns RBRACE      { $$ = (List){0}; Item *i = build_item(r, I_SCHEMA, @$, NULL, NULL);
                                          i->columns = $3.head; LIST_ADD(Item, $$, i); }
    | SCHEMA error LBRACE columns RBRACE { $$ = (List){0}; }
    | SCHEMA error                      { $$ = (List){0}; }
    | WHERE rhs                         { $$ = one_item(build_item(r, I_WHERE, @$, NULL, $2)); }
    | DERIVE derives                    { $$ = $2; }
    | WEIGHT rhs                        { $$ = one_item(build_item(r, I_WEIGHT, @$, NULL, $2)); }
    | SPLIT parts BY call               { $$ = (List){0}; Item *i = build_item(r, I_SPLIT, @$, NULL, $4);
                                          i->parts = $2.head; LIST_ADD(Item, $$, i); }
    | SPLIT NAME COLON parts BY call    { $$ = (List){0}; Item *i = build_item(r, I_SPLIT, @$, $2, $6);
                                          i->parts = $4.head; LIST_ADD(Item, $$, i); }
    | GROUP keys                        { $$ = (List){0}; Item *i = build_item(r, I_GROUP, @$, NULL, NULL);
                                          i->by = $2; LIST_ADD(Item, $$, i); }
    | SAMPLE NAME number method_opt where_opt
        { $$ = (List){0}; Item *i = build_item(r, I_SAMPLE, @$, $2, $4);
          i->of = $3; i->top = $5; LIST_ADD(Item, $$, i); }
    | FOLDS rhs                         { $$ = one_item(build_item(r, I_FOLDS, @$, NULL, $2)); }
    | EXPECT rhs                        { $$ = one_item(build_item(r, I_EXPECT, @$, NULL, $2)); }
    ;
sources: source                         { $$ = (List){0}; LIST_ADD(Arg, $$, $1->args); }
    | sources COMMA source              { $$ = $1; LIST_ADD(Arg, $$, $3->args); }
    ;
source: NAME ASSIGN call
        { $$ = build_item(r, I_FROM, @$, NULL, NULL); $$->args = build_arg(r, $1, $3); }
    ;
derives: derive                         { $$ = one_item($1); }
    | derives COMMA derive              { $$ = with_item($1, $3); }
    ;
derive: NAME ASSIGN rhs                 { $$ = build_item(r, I_DERIVE, @$, $1, $3); }
    ;
parts: part                             { $$ = (List){0}; LIST_ADD(Part, $$, $1); }
    | parts COMMA part                  { $$ = $1; LIST_ADD(Part, $$, $3); }
    ;
part: NAME                              { $$ = build_part(r, @$, $1, NULL); }
    | NAME number                       { $$ = build_part(r, @$, $1, $2); }
    ;
method_opt: %empty { $$ = NULL; }
    | BY call      { $$ = $2; }
    ;
number: INT                             { $$ = build_leaf(r, E_INT, $1); }
    | FLOAT                             { $$ = build_leaf(r, E_FLOAT, $1); }
    ;

columns: %empty                         { $$ = (List){0}; }
    | columns NL                        { $$ = $1; }
    | columns column NL                 { $$ = $1; LIST_ADD(SchemaColumn, $$, $2); yyerrok; }
    | columns column COMMA              { $$ = $1; LIST_ADD(SchemaColumn, $$, $2); }
    | columns error NL                  { $$ = $1; yyerrok; }
    ;
column: plain_column
    | plain_column ON_INVALID ASSIGN NAME { $$ = $1; $$->on_invalid = build_leaf(r, E_NAME, $4); $$->span = @$; }
    | plain_column ON_INVALID ASSIGN NULL { $$ = $1; $$->on_invalid = build_leaf(r, E_NULL, NULL);
                                            $$->on_invalid->span = @4; $$->span = @$; }
    ;
plain_column: NAME COLON type                 { $$ = build_column(r, @$, $1, $3, NULL); }
    | NAME COLON type KNOWN                   { $$ = build_column(r, @$, $1, $3, NULL); $$->known = true; }
    | NAME COLON type IN domain               { $$ = build_column(r, @$, $1, $3, $5); }
    | NAME COLON type IN domain KNOWN         { $$ = build_column(r, @$, $1, $3, $5); $$->known = true; }
    | NAME COLON type IN domain ORDERED       { $$ = build_column(r, @$, $1, $3, $5); $$->ordered = true; }
    | NAME COLON type IN domain ORDERED KNOWN
        { $$ = build_column(r, @$, $1, $3, $5); $$->ordered = $$->known = true; }
    ;

/* ---- Types ---- */

type_opt: %empty            { $$ = NULL; }
    | COLON type            { $$ = $2; }
    ;
type: type_name
    | CONST type_name       { $$ = $2; $$->phase = "const"; $$->span = @$; }
    | FITTED type_name      { $$ = $2; $$->phase = "fitted"; $$->span = @$; }
    ;
type_name: NAME             { $$ = build_type(r, @$, $1, NULL, NULL); }
    | NAME LT type_name GT  { $$ = build_type(r, @$, $1, $3, NULL); }
    | NAME LT INT GT        { $$ = build_type(r, @$, $1, NULL, build_leaf(r, E_INT, $3)); }
    | type_name QUESTION    { $$ = $1; $$->nullable = true; $$->span = @$; }
    ;

/* ---- Entries of features, evaluate, export ---- */

slots: %empty               { $$ = (List){0}; }
    | slots NL              { $$ = $1; }
    | slots slot NL         { $$ = with_item($1, $2); yyerrok; }
    | slots error NL        { $$ = $1; yyerrok; }
    ;
slot: NAME ASSIGN rhs       { $$ = build_item(r, I_SLOT, @$, $1, $3); }
    | LET NAME ASSIGN rhs   { $$ = build_item(r, I_LET, @$, $2, $4); }
    ;

metrics: %empty             { $$ = (List){0}; }
    | metrics NL            { $$ = $1; }
    | metrics metric_line NL { $$ = with_item($1, $2.head); yyerrok; }
    | metrics error NL      { $$ = $1; yyerrok; }
    ;
metric_line: metric_list
    | metric_list COMMA
    | EXPECT rhs            { $$ = one_item(build_item(r, I_EXPECT, @$, NULL, $2)); }
    ;
metric_list: metric              { $$ = one_item($1); }
    | metric_list COMMA metric   { $$ = with_item($1, $3); }
    ;
metric: NAME VS NAME
        { $$ = metric(r, @$, $1, build_vs(r, @$, build_leaf(r, E_NAME, $1), $3), NULL, NULL); }
    | NAME LPAREN args_opt RPAREN VS NAME
        { $$ = metric(r, @$, $1, build_vs(r, @$, build_call(r, span_join(@1, @4), $1, $3.head, NULL), $6), NULL, NULL); }
    | NAME top_opt             { $$ = metric(r, @$, $1, build_leaf(r, E_NAME, $1), NULL, $2); }
    | NAME BY keys top_opt       { $$ = metric(r, @$, $1, build_leaf(r, E_NAME, $1), $3, $4); }
    | NAME LPAREN args_opt RPAREN top_opt
        { $$ = metric(r, @$, $1, build_call(r, span_join(@1, @4), $1, $3.head, NULL), NULL, $5); }
    | NAME LPAREN args_opt RPAREN BY keys top_opt
        { $$ = metric(r, @$, $1, build_call(r, span_join(@1, @4), $1, $3.head, NULL), $6, $7); }
    ;
top_opt: %empty             { $$ = NULL; }
    | TOP INT               { $$ = build_leaf(r, E_INT, $2); }
    ;

targets: %empty             { $$ = (List){0}; }
    | targets NL            { $$ = $1; }
    | targets target NL     { $$ = with_item($1, $2); yyerrok; }
    | targets error NL      { $$ = $1; yyerrok; }
    ;
target: BUNDLE STRING       { $$ = build_item(r, I_BUNDLE, @$, NULL, build_leaf(r, E_STRING, $2)); }
    | rows_kind OF NAME keep_opt TO STRING
        { $$ = build_item(r, $1, @$, NULL, build_leaf(r, E_STRING, $6));
          $$->of = build_leaf(r, E_NAME, $3); $$->args = $4; }
    | rows_kind OF NAME DOT NAME keep_opt TO STRING
        { $$ = build_item(r, $1, @$, NULL, build_leaf(r, E_STRING, $8));
          $$->of = build_dot(r, span_join(@3, @5), $3, $5); $$->args = $6; }
    ;
rows_kind: PREDICTIONS      { $$ = I_PREDICTIONS; }
    | FEATURES_OF           { $$ = I_FEATURES; }
    ;
keep_opt: %empty                      { $$ = NULL; }
    | KEEP LBRACKET names RBRACKET    { $$ = $3.head; }
    | KEEP LBRACKET names COMMA RBRACKET    { $$ = $3.head; }
    ;
names: NAME
        { $$ = (List){0}; LIST_ADD(Arg, $$, build_arg(r, NULL, build_leaf(r, E_NAME, $1))); }
    | names COMMA NAME      { $$ = $1; LIST_ADD(Arg, $$, build_arg(r, NULL, build_leaf(r, E_NAME, $3))); }
    ;

/* ---- Expressions ---- */

expr: cmp
    | NOT expr                          { $$ = build_unary(r, @$, OP_NOT, $2); }
    | expr AND expr                     { $$ = build_binary(r, @$, OP_AND, $1, $3); }
    | expr OR expr                      { $$ = build_binary(r, @$, OP_OR, $1, $3); }
    | IF expr THEN expr ELSE expr       { $$ = build_if(r, @$, $2, $4, $6); }
    ;

/* Comparisons do not chain: their sides are sums. */
cmp: sum
    | sum cmp_op sum                    { $$ = build_binary(r, @$, (Operator)$2, $1, $3); }
    | sum IN domain                     { $$ = build_in(r, @$, OP_IN, $1, $3); }
    | sum NOT_IN domain                 { $$ = build_in(r, @$, OP_NOT_IN, $1, $3); }
    | sum IS NULL                       { $$ = build_is_null(r, @$, OP_IS_NULL, $1); }
    | sum IS NOT NULL                   { $$ = build_is_null(r, @$, OP_IS_NOT_NULL, $1); }
    ;
cmp_op: EQ { $$ = OP_EQ; } | NE { $$ = OP_NE; } | LT { $$ = OP_LT; }
    | LE { $$ = OP_LE; } | GT { $$ = OP_GT; } | GE { $$ = OP_GE; }
    ;
domain: sum DOTDOT sum                  { $$ = build_range(r, @$, $1, $3); }
    | sum DOTDOT                        { $$ = build_range(r, @$, $1, NULL); }
    | DOTDOT sum                        { $$ = build_range(r, @$, NULL, $2); }
    | LBRACKET args_opt RBRACKET        { $$ = build_list(r, @$, $2.head); }
    ;

sum: primary
    | MINUS sum %prec NEG               { $$ = build_unary(r, @$, OP_NEG, $2); }
    | sum PLUS sum                      { $$ = build_binary(r, @$, OP_ADD, $1, $3); }
    | sum MINUS sum                     { $$ = build_binary(r, @$, OP_SUB, $1, $3); }
    | sum STAR sum                      { $$ = build_binary(r, @$, OP_MUL, $1, $3); }
    | sum SLASH sum                     { $$ = build_binary(r, @$, OP_DIV, $1, $3); }
    | sum DIV sum                       { $$ = build_binary(r, @$, OP_IDIV, $1, $3); }
    | sum MOD sum                       { $$ = build_binary(r, @$, OP_MOD, $1, $3); }
    | sum CARET sum                     { $$ = build_binary(r, @$, OP_POW, $1, $3); }
    ;

primary: literal
    | NAME                              { $$ = build_leaf(r, E_NAME, $1); }
    | NAME DOT NAME                     { $$ = build_dot(r, @$, $1, $3); }
    | call
    | NAME VS NAME                      { $$ = build_vs(r, @$, build_leaf(r, E_NAME, $1), $3); }
    | call VS NAME                      { $$ = build_vs(r, @$, $1, $3); }
    | call BY keys                      { $$ = build_by(r, @$, $1, $3); }
    | EACH NAME                         { $$ = build_each(r, @$, $2, NULL); }
    | EACH NAME EXCEPT LBRACKET names RBRACKET { $$ = build_each(r, @$, $2, $5.head); }
    | LPAREN expr RPAREN                { $$ = build_paren(@$, $2); }
    | LBRACKET args_opt RBRACKET        { $$ = build_list(r, @$, $2.head); }
    ;
literal: number
    | STRING                            { $$ = build_leaf(r, E_STRING, $1); }
    | TRUE
        { $$ = build_leaf(r, E_BOOL, NULL); $$->i = 1; $$->span = $$->name_span = @1; }
    | FALSE                             { $$ = build_leaf(r, E_BOOL, NULL); $$->span = $$->name_span = @1; }
    | NULL                              { $$ = build_leaf(r, E_NULL, NULL); $$->span = $$->name_span = @1; }
    ;

call: NAME LPAREN args_opt where_opt RPAREN { $$ = build_call(r, @$, $1, $3.head, $4); }
    | NAME LPAREN DISTINCT expr where_opt RPAREN
        { $$ = build_distinct(r, @$, $1, span_join(@3, @4), $4, $5); }
    ;
where_opt: %empty { $$ = NULL; }
    | WHERE expr  { $$ = $2; }
    ;
keys: NAME                              { $$ = build_arg(r, NULL, build_leaf(r, E_NAME, $1)); }
    | NAME DOT NAME                     { $$ = build_arg(r, NULL, build_dot(r, @$, $1, $3)); }
    | LPAREN args RPAREN                { $$ = $2.head; }
    ;

args_opt: %empty { $$ = (List){0}; }
    | args
    ;
args: arg_list       { $$ = $1; $$.head = build_args(r, $1.head); }
    | arg_list COMMA { $$ = $1; $$.head = build_args(r, $1.head); }
    ;
arg_list: arg            { $$ = (List){0}; LIST_ADD(Arg, $$, $1); }
    | arg_list COMMA arg { $$ = $1; LIST_ADD(Arg, $$, $3); }
    ;
arg: expr                { $$ = build_arg(r, NULL, $1); }
    | NAME ASSIGN expr   { $$ = build_arg(r, $1, $3); }
    | NULL ASSIGN expr   { $$ = build_arg(r, $1, $3); } /* an option of sources: null = "?" */
    ;

/* logistic_regression(late ~ f + g, l2 = ridge): build_model takes the formula apart. */
model_args: %empty             { $$ = (List){0}; }
    | model_arg_list
    | model_arg_list COMMA
    ;
model_arg_list: model_arg      { $$ = (List){0}; LIST_ADD(Arg, $$, $1); }
    | model_arg_list COMMA model_arg { $$ = $1; LIST_ADD(Arg, $$, $3); }
    ;
model_arg: arg
    | expr TILDE expr          { $$ = build_arg(r, NULL, build_binary(r, @$, OP_NONE, $1, $3)); }
    ;

%%

static int lang_yylex(LANG_YYSTYPE *value, Span *at, Reading *r) {
  const Tok *t = &r->toks.v[r->next];
  if (t->kind != TK_EOF)
    r->next++;
  value->tok = t;
  *at = tok_span(r, t);
  return t->kind;
}

/* Called by bison itself only when its stack is full. */
static void lang_yyerror(Span *at, Reading *r, const char *text) {
  (void)text;
  syntax_error(r, "CML0107", *at, "Name a part of it with `let` or `fn`.", "this is nested too deeply");
}

bool tok_reserved(int kind) {
  return kind >= TK_PARAM && kind <= TK_FALSE;
}

static int yyreport_syntax_error(const yypcontext_t *ctx, Reading *r) {
  yysymbol_kind_t expected[YYNTOKENS];
  int n = yypcontext_expected_tokens(ctx, expected, YYNTOKENS);
  const char *shown[YYNTOKENS];
  for (int k = 0; k < n; k++)
    shown[k] = yysymbol_name(expected[k]);
  uint32_t at = r->next ? r->next - 1 : 0;
  const Span *span = yypcontext_location(ctx);
  while (at > 0 && r->toks.v[at].from > span->from)
    at--;
  unexpected(r, at, shown, n < 0 ? 0 : n);
  return 0;
}
