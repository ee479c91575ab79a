/* SPDX-License-Identifier: Apache-2.0 */
/* Brackets: finds every partner. What is not closed is closed where it was most likely meant: a parenthesis
 * at the end of its line, a block before the next declaration. A bracket too many is dropped. The aim is one
 * error for one mistake: what stands behind it and in the lines below should still be understood. Read
 * brackets_match at the end first. */
#include <string.h>

#include "lang/brackets.h"
#include "lang/parse.h"

typedef struct Brackets {
  Reading *r;
  const Tok *v; /* the raw tokens */
  uint32_t n;   /* without TK_EOF */
  Mate *mate;
  uint32_t stack[NEST_MAX], depth; /* those open now */
  uint32_t schema;                 /* the open brace of a schema, or NO_MATE */
  uint32_t stray_line;             /* of the last `{` that opens no block, + 1 */
  bool headless;                   /* in a schema whose brace is missing */
  bool paired;                     /* up to the next declaration there is a `}` for each `{` */
} Brackets;

bool opens(int kind) {
  return kind == TK_LPAREN || kind == TK_LBRACKET || kind == TK_LBRACE;
}

bool closes(int kind) {
  return kind == TK_RPAREN || kind == TK_RBRACKET || kind == TK_RBRACE;
}

int closer_of(int kind) {
  return kind == TK_LPAREN ? TK_RPAREN : kind == TK_LBRACKET ? TK_RBRACKET : TK_RBRACE;
}

bool is_declaration_word(int kind) {
  return kind == TK_PARAM || kind == TK_FN || kind == TK_DATA || kind == TK_FEATURES || kind == TK_MODEL ||
         kind == TK_TUNE || kind == TK_EVALUATE || kind == TK_EXPORT || kind == TK_USE;
}

bool tok_is(const Tok *t, const char *word) {
  return t->kind == TK_NAME && !t->quoted && strcmp(t->name, word) == 0;
}

/* Does a declaration begin here, whatever is open? Its words are reserved, so `model m` at the start of a
 * line is nothing else. */
bool starts_declaration(const Tok *t) {
  if (!t->first)
    return false;
  bool entry = tok_is(&t[1], "of") ? t[2].kind == TK_NAME && !tok_is(&t[2], "of")
                                   : t[1].kind == TK_NAME && t[2].kind == TK_DOT;
  if (t->kind == TK_FEATURES && entry)
    return false; /* `features of d.test to "f.parquet"`, of `export`; the second: its `of` is missing */
  if (is_declaration_word(t->kind))
    return t[1].kind == TK_NAME;
  return tok_is(t, "native") && t[1].kind == TK_FN;
}

bool at_margin(const Reading *r, const Tok *t) {
  return t->first && (t->from == 0 || r->text[t->from - 1] == '\n');
}

static const Tok *line_start(const Tok *t) {
  while (!t->first)
    t--;
  return t;
}

/* Does a clause of `data` begin at token i, though a schema is still open? */
static bool leaves_schema(const Brackets *b, uint32_t i) {
  static const char *const clause[] = {"from",  "derive", "weight", "split",
                                       "group", "sample", "folds",  "expect"};
  const Tok *t = &b->v[i];
  if (!t->first || i + 1 >= b->n || t[1].kind == TK_COLON)
    return false;
  if (t->kind == TK_WHERE)
    return true;
  for (size_t k = 0; k < sizeof clause / sizeof *clause; k++) {
    if (tok_is(t, clause[k]))
      return true;
  }
  return false;
}

/* Does a schema without its `{` begin at token i? Its `}` is then no other one's. */
static bool headless_schema(const Brackets *b, uint32_t i) {
  if (!b->v[i].first || !tok_is(&b->v[i], "schema"))
    return false;
  for (i++; i < b->n && !b->v[i].first; i++) {
    if (b->v[i].kind == TK_LBRACE || b->v[i].kind == TK_RBRACE)
      return false;
  }
  return i + 1 < b->n && b->v[i].kind == TK_NAME && b->v[i + 1].kind == TK_COLON;
}

/* Is the `{` at token i one that opens no block? */
static bool stray_brace(const Brackets *b, uint32_t i) {
  uint32_t braces = 0;
  for (uint32_t k = 0; k < b->depth; k++)
    braces += b->v[b->stack[k]].kind == TK_LBRACE;
  return braces > 1 || (braces == 1 && !tok_is(line_start(&b->v[i]), "schema"));
}

/* An error of token t is news unless its line has one: a string that is not closed may hold the partner. */
static bool quiet(const Brackets *b, const Tok *t) {
  return b->r->bad_line[t->line] || b->stray_line == t->line + 1;
}

/* The innermost open bracket, NULL: none. */
static const Tok *innermost(const Brackets *b) {
  return b->depth ? &b->v[b->stack[b->depth - 1]] : NULL;
}

/* Closes the innermost bracket, which has no partner before token `limit`. A parenthesis ends with its line,
 * except that no bracket inside it is torn. */
static void close_here(Brackets *b, uint32_t limit) {
  uint32_t o = b->stack[--b->depth], j = limit;
  const Tok *t = &b->v[o], *next = &b->v[limit];
  if (t->kind == TK_LBRACE) {
    if (!quiet(b, t))
      syntax_error(b->r, "CML0106", tok_span(b->r, t),
                   "Write `}` on a line of its own behind the last entry.", "this `{` is not closed %s %s",
                   next->kind == TK_EOF ? "at" : "before", tok_shown(b->r, next));
  } else {
    uint32_t line = t->line;
    for (j = o + 1; j < limit && b->v[j].line == line; j++) {
      uint32_t partner = b->mate[j].close;
      if (opens(b->v[j].kind) && partner > j && partner < limit) { /* NO_MATE is not below limit */
        j = partner;
        line = b->v[j].line;
      }
    }
    if (!quiet(b, t))
      syntax_error(b->r, "CML0106", tok_span(b->r, t),
                   t->kind == TK_LPAREN ? "Close it with `)`." : "Close it with `]`.",
                   "this `%s` is not closed", t->kind == TK_LPAREN ? "(" : "[");
  }
  b->mate[o].close = NO_MATE;
  b->mate[o].before = j;
}

/* Closes all from the open bracket of level `k` on. */
static void close_down_to(Brackets *b, uint32_t k, uint32_t limit) {
  while (b->depth > k)
    close_here(b, limit);
  if (b->schema != NO_MATE && (!b->depth || b->schema > b->stack[b->depth - 1]))
    b->schema = NO_MATE;
}

static void drop_closer(Brackets *b, uint32_t i) {
  const Tok *t = &b->v[i];
  b->mate[i].drop = true;
  if (t->kind != TK_RBRACE && !quiet(b, t))
    syntax_error(b->r, "CML0106", tok_span(b->r, t), "Remove it.", "there is no open `%s` for this `%s`",
                 t->kind == TK_RPAREN ? "(" : "[", t->kind == TK_RPAREN ? ")" : "]");
}

/* Is token i, which closes a bracket of another kind than the innermost, one too many? So it is when those
 * behind it on its line close all that is open around it. */
static bool too_many(const Brackets *b, uint32_t i) {
  uint32_t closers = 0, inner = 0, around = 0;
  for (uint32_t k = i + 1; k < b->n && !b->v[k].first; k++) {
    int kind = b->v[k].kind;
    if (kind == TK_LPAREN || kind == TK_LBRACKET)
      inner++;
    else if ((kind == TK_RPAREN || kind == TK_RBRACKET) && inner)
      inner--;
    else if (kind == TK_RPAREN || kind == TK_RBRACKET)
      closers++;
  }
  while (around < b->depth && b->v[b->stack[b->depth - 1 - around]].kind != TK_LBRACE)
    around++;
  return closers >= around;
}

/* Token i closes the innermost bracket, which may be of another kind. */
static void close_with(Brackets *b, uint32_t i) {
  uint32_t o = b->stack[--b->depth];
  const Tok *t = &b->v[i], *open = &b->v[o];
  if (closer_of(open->kind) != t->kind && open->kind != TK_LBRACE && !quiet(b, t)) {
    const char *right = open->kind == TK_LPAREN ? ")" : "]";
    Diag *x = syntax_error(b->r, "CML0106", tok_span(b->r, t),
                           arena_printf(b->r->arena, "Write `%s` here.", right), "`%.1s` closes a `%.1s`",
                           b->r->text + t->from, b->r->text + open->from);
    if (x)
      diag_note(b->r->diags, x, tok_span(b->r, open), "it was opened here");
  }
  b->mate[o].close = i;
  if (o == b->schema)
    b->schema = NO_MATE;
}

/* Is there a `}` for each `{` from token i to the next declaration? So it is in what a later version will
 * know: blocks inside of blocks, wherever their braces stand. */
static bool are_paired(const Brackets *b, uint32_t i) {
  uint32_t open = 0;
  for (uint32_t k = i; k < b->n && !(k > i && starts_declaration(&b->v[k])); k++) {
    if (b->v[k].kind == TK_RBRACE && !open--)
      return false;
    open += b->v[k].kind == TK_LBRACE;
  }
  return open == 0;
}

/* A `}`: ends the innermost block. At the margin it ends no `{` that opens none, if a `}` is missing; inside
 * a parenthesis, with more of the line to come, it is a slip of the finger. */
static void close_brace(Brackets *b, uint32_t i) {
  const Tok *t = &b->v[i], *open = innermost(b);
  uint32_t k = b->depth;
  bool ends_block = at_margin(b->r, t) && !b->paired;
  while (k && (b->v[b->stack[k - 1]].kind != TK_LBRACE || (ends_block && b->mate[b->stack[k - 1]].stray)))
    k--;
  if (k && open->kind != TK_LBRACE && !t[1].first && t[1].kind != TK_EOF && open->line == t->line &&
      b->v[b->stack[k - 1]].line != t->line) {
    if (!too_many(b, i)) {
      close_with(b, i);
      return;
    }
    b->mate[i].drop = true;
    if (!quiet(b, t))
      syntax_error(b->r, "CML0106", tok_span(b->r, t), "Remove it.", "a `}` cannot stand here");
    return;
  }
  if (k == 0 || (k == 1 && b->headless && !ends_block)) {
    b->headless = false;
    drop_closer(b, i);
    return;
  }
  close_down_to(b, k, i);
  close_with(b, i);
}

static void open_one(Brackets *b, uint32_t i) {
  const Tok *t = &b->v[i];
  if (t->kind == TK_LBRACE && b->depth == 1 && i > 0 && tok_is(t - 1, "schema"))
    b->schema = i;
  if (t->kind == TK_LBRACE && stray_brace(b, i)) {
    b->mate[i].stray = true;
    b->stray_line = t->line + 1;
  }
  if (b->depth == 0)
    b->paired = t->kind == TK_LBRACE && are_paired(b, i);
  b->stack[b->depth++] = i;
}

static void close_one(Brackets *b, uint32_t i) {
  int kind = b->v[i].kind;
  const Tok *open = innermost(b);
  if (kind == TK_RBRACE)
    close_brace(b, i);
  else if (!open || (open->kind == TK_LBRACE && !b->mate[b->stack[b->depth - 1]].stray))
    drop_closer(b, i);
  else if (open->kind != TK_LBRACE && closer_of(open->kind) != kind && too_many(b, i))
    drop_closer(b, i);
  else
    close_with(b, i); /* also `f{x)` */
}

Mate *brackets_match(Reading *r, uint32_t *n) {
  Brackets *b = NEW(r->arena, Brackets);
  *b = (Brackets){.r = r, .v = r->raw.v, .n = *n, .mate = NEWN(r->arena, Mate, *n + 1), .schema = NO_MATE};
  for (uint32_t i = 0; i < b->n; i++) {
    const Tok *t = &b->v[i];
    if (starts_declaration(t)) {
      close_down_to(b, 0, i);
      b->headless = false;
    }
    b->headless |= b->depth == 1 && headless_schema(b, i);
    if (b->schema != NO_MATE && leaves_schema(b, i)) {
      uint32_t k = b->depth;
      while (k && b->stack[k - 1] >= b->schema)
        k--;
      close_down_to(b, k, i);
    }
    if (opens(t->kind) && b->depth == NEST_MAX) {
      syntax_error(r, "CML0107", tok_span(r, t), "Name a part of it with `let` or `fn`.",
                   "brackets are nested more than %d deep", NEST_MAX);
      *n = b->n = i; /* what follows cannot be understood, and all that is open ends here */
      memset(r->bad_line, 1, r->nline * sizeof *r->bad_line);
    } else if (opens(t->kind)) {
      open_one(b, i);
    } else if (closes(t->kind)) {
      close_one(b, i);
    }
  }
  close_down_to(b, 0, b->n);
  return b->mate;
}
