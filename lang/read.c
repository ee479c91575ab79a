/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a file: parse_file runs lexer, layout and grammar one after the other. Here are also the doc
 * comments, and the words that the parser's errors are put in. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lang/brackets.h"
#include "lang/syntax.h"
#include "lang/parse.h"

/* ---- Errors ---- */

static uint32_t line_number(const Reading *r, uint32_t at) {
  return source_line_number(r->diags->sources, r->file, at) - 1;
}

Diag *syntax_error(Reading *r, const char *code, Span at, const char *remedy, const char *fmt, ...) {
  r->bad_line[line_number(r, at.from)] = true;
  if (r->errors > SYNTAX_ERRORS_MAX)
    return NULL;
  if (r->errors++ == SYNTAX_ERRORS_MAX)
    return diag_add(r->diags, SEV_ERROR, "CML0116", at, "Mend those above first.",
                    "there are too many syntax errors");
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  char *text = arena_alloc(r->arena, (size_t)n + 1);
  vsnprintf(text, (size_t)n + 1, fmt, again);
  va_end(again);
  va_end(ap);
  return diag_add(r->diags, SEV_ERROR, code, at, remedy, "%s", text);
}

const char *tok_shown(Reading *r, const Tok *t) {
  if (t->kind == TK_EOF)
    return "the end of the file";
  if (t->kind == TK_NL)
    return "the end of the line";
  if (t->from == t->to)
    return t->kind == TK_RBRACE ? "the end of the block" : "the end of the parenthesis";
  uint32_t n = t->to - t->from, shown = n > 40 ? 40 : n;
  while (shown < n && ((unsigned char)r->text[t->from + shown] & 0xC0) == 0x80)
    shown--; /* not in the middle of a character */
  const char *more = shown < n ? "..." : "";
  if (t->quoted)
    return arena_printf(r->arena, "%.*s%s", (int)shown, r->text + t->from, more);
  return arena_printf(r->arena, "`%.*s%s`", (int)shown, r->text + t->from, more);
}

static bool listed(const char *const *v, int n, const char *name) {
  for (int i = 0; i < n; i++) {
    if (strcmp(v[i], name) == 0)
      return true;
  }
  return false;
}

static bool in_words(const char *word, const char *words) {
  size_t n = strlen(word);
  for (const char *p = words; (p = strstr(p, word)); p += n) {
    if ((p == words || p[-1] == ' ') && (p[n] == ' ' || p[n] == 0))
      return true;
  }
  return false;
}

/* "`)`, `,` or an operator": groups stand for their members, and a long list is cut. */
static const char *expectation(Reading *r, const char *const *v, int n) {
  static const char starts[] = "`if` `not` `null` `true` `false` `each` `-` `(` `[`";
  static const char operators[] =
      "`+` `-` `*` `/` `^` `div` `mod` `==` `!=` `<` `<=` `>` `>=` `in` `is` `and` `or`";
  bool expression = listed(v, n, "a name") && listed(v, n, "`(`") && listed(v, n, "a string");
  bool operator_ = !expression && listed(v, n, "`*`");
  const char *shown[12];
  int k = 0;
  for (int i = 0; i < n && k < 8; i++) {
    const char *x = v[i];
    if (strcmp(x, "`not in`") == 0 || (expression && (in_words(x, starts) || (x[0] == 'a' && x[1] != '`'))))
      continue;
    if (operator_ && (in_words(x, operators) || in_words(x, "`(` `.` `=` `where` `vs`")))
      continue; /* behind an operand nearly everything can stand: name what is likely */
    shown[k++] = x;
  }
  if (expression)
    shown[k++] = "an expression";
  if (operator_)
    shown[k++] = "an operator";
  if (k == 0)
    return NULL;
  const char *text = shown[0];
  for (int i = 1; i < k; i++)
    text = arena_printf(r->arena, "%s%s%s", text, i == k - 1 ? " or " : ", ", shown[i]);
  return text;
}

/* The last token of the line above when an operator there makes the entry of token `at` go on, else NULL. */
static const Tok *line_above(const Reading *r, uint32_t at) {
  const Tok *t = &r->toks.v[at];
  while (t > r->toks.v && !t->first && t[-1].line == t->line)
    t--;
  if (t == r->toks.v || t == &r->toks.v[at] || t[-1].entry != t->entry)
    return NULL;
  int kind = t[-1].kind;
  return kind >= TK_EQ || kind == TK_ASSIGN || kind == TK_AND || kind == TK_OR ? t - 1 : NULL;
}

/* The innermost bracket that token `at` stands in, if it is of the same entry; else NULL. */
static const Tok *still_open(const Reading *r, uint32_t at) {
  const Tok *t = &r->toks.v[at];
  int closed = 0;
  while (at-- > 0 && r->toks.v[at].entry == t->entry) {
    const Tok *k = &r->toks.v[at];
    if (k->kind == TK_RPAREN || k->kind == TK_RBRACKET)
      closed++;
    else if ((k->kind == TK_LPAREN || k->kind == TK_LBRACKET) && closed-- == 0)
      return k;
  }
  return NULL;
}

/* The first token of the entry of token `at`. */
static const Tok *first_of(const Reading *r, uint32_t at) {
  const Tok *t = &r->toks.v[at];
  while (t > r->toks.v && t[-1].entry == r->toks.v[at].entry)
    t--;
  return t;
}

/* How the entry or declaration of token `at` is written, by the word that it begins with; NULL: it has no one
 * form. */
static const char *form_of(const Reading *r, uint32_t at) {
  static const struct {
    int word;
    const char *form;
  } forms[] = {
      {TK_PARAM, "A param is written `param name: float = 0.5`."},
      {TK_FN, "A function is written `fn name(x: float) = ...`."},
      {TK_DATA, "A data set is written `data name { from csv(\"x.csv\") }`, an entry a line."},
      {TK_FEATURES, "Features are written `features name of data { slot = expression }`, a slot a line."},
      {TK_MODEL, "A model is written `model name = logistic_regression(target ~ block, l2 = 0.1)`."},
      {TK_EVALUATE, "It is written `evaluate model on data.test { auc, log_loss }`."},
      {TK_EXPORT, "It is written `export model { bundle \"m.cmlm\" }`, an entry a line."},
      {TK_USE, "It is written `use \"common/prices.cml\"` or `use prices`."},
      {TK_LET, "It is written `let name = expression`."},
      {TK_FROM, "It is written `from csv(\"x.csv\")`, or "
                "`from train = csv(\"a.csv\"), test = csv(\"b.csv\")`."},
      {TK_SCHEMA, "It is written `schema { name: float, other: category? }`."},
      {TK_WHERE, "It is written `where age > 18 and income is not null`."},
      {TK_DERIVE, "It is written `derive name = expression`."},
      {TK_WEIGHT, "It is written `weight column`."},
      {TK_SPLIT, "It is written `split train 80%, test 20% by hash(id)`; also "
                 "`by random(seed = 1)`, `by time(date)`, `by value(part)`."},
      {TK_GROUP, "It is written `group user`, or `group (user, day)`."},
      {TK_SAMPLE,
       "It is written `sample train 10%`, or `sample train 10% by random(seed = 1) where not late`."},
      {TK_FOLDS, "It is written `folds 5`."},
      {TK_BUNDLE, "It is written `bundle \"m.cmlm\"`."},
      {TK_PREDICTIONS, "It is written `predictions of data.test keep [id] to \"p.parquet\"`."},
      {TK_FEATURES_OF, "It is written `features of data.test keep [id] to \"f.parquet\"`."},
  };
  const Tok *t = first_of(r, at);
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    if (forms[i].word == t->kind)
      return forms[i].form;
  }
  return NULL;
}

/* What to do where an expression goes wrong at token `at`; NULL: nothing general. */
static const char *expression_remedy(const Reading *r, uint32_t at, const char *const *expected, int n) {
  const Tok *t = &r->toks.v[at];
  bool operand = t->kind == TK_NAME || t->kind == TK_INT || t->kind == TK_FLOAT || t->kind == TK_STRING;
  bool named = t->kind == TK_NAME && (t[1].kind == TK_ASSIGN || t[1].kind == TK_COLON);
  if (listed(expected, n, "a name") && listed(expected, n, "a string"))
    return "Write a value: a name, a number, a text in quotes, or a call such as `log(x)`.";
  if (operand && listed(expected, n, "the end of the line"))
    return named ? "Write each entry on a line of its own."
                 : "Put an operator before it, or write it on a line of its own.";
  if (operand && listed(expected, n, "`,`"))
    return "Put a comma or an operator before it.";
  return NULL;
}

void unexpected(Reading *r, uint32_t at, const char *const *expected, int n) {
  const Tok *t = &r->toks.v[at], *before = at ? t - 1 : NULL;
  if (r->bad_entry == t->entry + 1 || r->bad_line[t->line])
    return; /* one cause, one error */
  if (before && before->entry == t->entry && r->bad_line[before->line])
    return;
  r->bad_entry = t->entry + 1;
  Span span = tok_span(r, t);
  const char *shown = tok_shown(r, t), *remedy = NULL;
  bool comparison = t->kind == TK_EQ || t->kind == TK_NE || t->kind == TK_LT || t->kind == TK_LE ||
                    t->kind == TK_GT || t->kind == TK_GE || t->kind == TK_IN || t->kind == TK_IS ||
                    t->kind == TK_NOT_IN;
  if (comparison && listed(expected, n, "`and`")) {
    syntax_error(r, "CML0101", span,
                 "Join two comparisons with `and`, as `a < b and b < c`, or write `b in a..c`.",
                 "comparisons do not chain");
    return;
  }
  bool declares = t->kind >= TK_PARAM && t->kind <= TK_LET; /* reserved, and no part of any expression */
  if (tok_reserved(t->kind) && listed(expected, n, "a name") &&
      (declares || !listed(expected, n, "a string")) && t->kind != TK_BY) {
    const char *word = arena_strndup(r->arena, r->text + t->from, t->to - t->from);
    syntax_error(r, "CML0113", span, arena_printf(r->arena, "In backticks it is a name: `%s`.", word),
                 "`%s` is a reserved word, and cannot be a name", word);
    return;
  }
  const Tok *above = line_above(r, at);
  const Tok *word = before && tok_is(before, "expect") ? before : t;
  if (listed(expected, n, "`top`") && tok_is(word, "expect")) {
    syntax_error(r, "CML0101", tok_span(r, word),
                 "Write `expect` on a line of its own, below the metrics.",
                 "`expect` begins an entry, and is no metric");
    return;
  }
  if (above)
    remedy = arena_printf(r->arena, "The line above ends with %s, so that this line continues it.",
                          tok_shown(r, above));
  else if (t->kind == TK_ASSIGN && listed(expected, n, "`==`"))
    remedy = "`=` gives a name to something; write `==` to compare.";
  else if (t->kind == TK_EQ && listed(expected, n, "`=`"))
    remedy = "Write `=`; `==` compares.";
  else if (t->kind == TK_DOT && before && before->kind == TK_NAME)
    remedy = "A name that contains dots is written in backticks, as `emp.var.rate`.";
  else if (t->kind == TK_TILDE)
    remedy = "A formula `target ~ block` is the first argument of an estimator in `model`.";
  else if (t->kind == TK_IF)
    remedy = "Put the `if ... then ... else ...` into parentheses.";
  else if (listed(expected, n, "`~`"))
    remedy = "A formula is written `target ~ block`.";
  else if (t->kind == TK_NL && listed(expected, n, "`by`") && !listed(expected, n, "`*`"))
    remedy = "A split says how: `by hash(id)`, `by random(seed = 1)`, `by time(date)`, `by value(part)`.";
  else if (listed(expected, n, "`known`"))
    remedy = "A column is written `name: float`; one that may lack values `name: float?`; `in 0..120` is its "
             "domain.";
  else if (listed(expected, n, "`on_invalid`"))
    remedy = "A column is written `name: float in 0..120 known`, in this order.";
  else if (before && before->kind == TK_ON_INVALID)
    remedy = "It is written `on_invalid = error`, `on_invalid = null` or `on_invalid = drop`.";
  else if (listed(expected, n, "`=`") && n == 1)
    remedy = "It is written `name = expression`.";
  else if (listed(expected, n, "`:`") && n == 1)
    remedy = "A column is written `name: float`.";
  else if (t->kind == TK_COMMA && first_of(r, at)->kind == TK_EXPECT && !still_open(r, at))
    remedy = "Join conditions with `and`, or write each behind an `expect` of its own.";
  else if (listed(expected, n, "`top`"))
    remedy = "Metrics are written one a line, or with commas between them: `auc, log_loss by origin top 10`.";
  else if (t->kind == TK_NL || !(listed(expected, n, "`*`") || listed(expected, n, "`[`")))
    remedy = form_of(r, at);
  const Tok *open = t->first ? still_open(r, at) : NULL;
  if (!remedy)
    remedy = open ? "Close the bracket, or put a comma or an operator between the lines."
                  : expression_remedy(r, at, expected, n);
  const char *wanted = expectation(r, expected, n);
  Diag *x = wanted ? syntax_error(r, "CML0101", span, remedy, "expected %s, found %s", wanted, shown)
                   : syntax_error(r, "CML0101", span, remedy, "unexpected %s", shown);
  if (x && open)
    diag_note(r->diags, x, tok_span(r, open),
              "this bracket is still open, so that the line continues the one above");
}

/* ---- Doc comments ---- */

static const char *doc_line(const Reading *r, const Comment *c, uint32_t *n) {
  const char *p = r->text + c->span.from, *end = r->text + c->span.to;
  if (!c->own_line || end - p < 2 || p[1] != '#' || (end - p > 2 && p[2] == '#'))
    return NULL;
  p += 2;
  if (p < end && *p == ' ')
    p++;
  *n = (uint32_t)(end - p);
  return p;
}

/* Consecutive ## lines document what begins on the line below them; at the top of the file, with an empty
 * line below, the file. */
static void attach_docs(Reading *r) {
  r->doc = NEWN(r->arena, const char *, r->nline + 1);
  for (const Comment *c = r->comments; c;) {
    uint32_t n, size = 0, line = line_number(r, c->span.from), first = line;
    if (!doc_line(r, c, &n)) {
      c = c->next;
      continue;
    }
    const Comment *end = c;
    for (; end && line_number(r, end->span.from) == line && doc_line(r, end, &n); end = end->next, line++)
      size += n + 1;
    char *text = arena_alloc(r->arena, size + 1), *p = text;
    for (; c != end; c = c->next) {
      const char *words = doc_line(r, c, &n);
      memcpy(p, words, n);
      p += n;
      *p++ = '\n';
    }
    p[-1] = 0; /* without the last newline */
    uint32_t below;
    const char *next = source_line(r->diags->sources, r->file, line + 1, &below);
    while (below && strchr(" \t\r\f\v", *next)) {
      next++;
      below--;
    }
    if (below)
      r->doc[line] = text;
    else if (!r->ast->doc && (r->raw.v[0].kind == TK_EOF || r->raw.v[0].line > first))
      r->ast->doc = text;
  }
}

/* ---- The way through ---- */

Reading *reading_new(Arena *a, Diags *d, uint16_t file) {
  const SourceFile *f = &d->sources->file[file];
  Reading *r = NEW(a, Reading);
  r->arena = a;
  r->diags = d;
  r->file = file;
  r->text = f->text;
  r->n = f->n;
  r->nline = f->nline;
  r->bad_line = NEWN(a, bool, f->nline + 1);
  r->comment_end = &r->comments;
  r->ast = NEW(a, Ast);
  r->ast->file = file;
  return r;
}

Ast *parse_file(Arena *a, struct Diags *d, uint16_t file) {
  Reading *r = reading_new(a, d, file);
  lex_file(r);
  r->ast->comments = r->comments;
  attach_docs(r);
  layout_file(r);
  lang_yyparse(r);
  return r->ast;
}
