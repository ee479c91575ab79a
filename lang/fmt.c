/* SPDX-License-Identifier: Apache-2.0 */
/* fmt: the canonical layout. It prints tokens, not the tree: so nothing is ever lost or regrouped, and
 * comments stay where they were.
 *
 * The author decides where lines break inside an entry; fmt decides everything else: indentation, blanks
 * between tokens, empty lines, and columns. Three steps: split_lines makes Lines of the tokens, spread puts
 * in the empty lines, write_lines aligns and prints.
 *
 *   param ridge: float = 1e-4          a Line has up to three cells, which begin in the same column
 *   param rare:  int   = 50            as those of its neighbours of the same shape
 */
#include <string.h>

#include "base/buf.h"
#include "lang/syntax.h"
#include "lang/parse.h"

enum { INDENT = 4, CLAUSE = 8, CELLS = 3 };

typedef enum { S_PLAIN, S_PARAM, S_SLOT, S_COLUMN, S_CLAUSE, S_DERIVE, S_COMMENT } Shape;

typedef struct Line {
  Shape shape;
  uint32_t indent;
  const char *cell[CELLS];
  uint32_t ncell;
  const char *comment; /* behind the rest, or the whole line */
  bool blank;          /* an empty line before it */
  bool inner;          /* an entry goes on in it, or it only closes a bracket */
  int declares;        /* the word of the declaration that begins here, or 0 */
  uint32_t block;      /* number of the block it stands in */
} Line;

typedef struct Fmt {
  Reading *r;
  Arena *a;
  Line *line;
  uint32_t n, cap;
  const Comment *comment; /* the next one to print */
  /* the line under construction */
  Line now;
  Buf text;      /* its current cell */
  bool empty;    /* no token yet */
  uint32_t last; /* source line of what was printed last */
  /* where we are */
  uint32_t block, blocks, depth;
  uint32_t block_of[NEST_MAX + 1];
  int word_of[NEST_MAX + 1];    /* kind of the first word of the entry that opened the block; [0]: 0 */
  uint32_t opened_in[NEST_MAX]; /* output lines that opened a parenthesis */
  uint32_t nparen;
  int word;          /* kind of the first token of the entry, 0: at its start */
  bool in_type;      /* behind a colon */
  bool brk;          /* the next token begins a line */
  uint32_t one_line; /* depth of a block that stands on one line, or 0 */
} Fmt;

/* ---- 1. Lines ---- */

static void end_cell(Fmt *f) {
  if (f->now.ncell < CELLS)
    f->now.cell[f->now.ncell++] = arena_strdup(f->a, buf_str(&f->text));
  buf_clear(&f->text);
}

static void end_line(Fmt *f) {
  if (!f->empty || f->now.comment) {
    end_cell(f);
    PUSH(f->a, f->line, f->n, f->cap, f->now);
  }
  f->now = (Line){0};
  f->empty = true;
}

/* How far a line inside an entry is moved to the right: once for each earlier line with an open parenthesis,
 * at least once. */
static uint32_t inner_indent(const Fmt *f, uint32_t nparen) {
  uint32_t units = 0;
  for (uint32_t i = 0; i < nparen; i++)
    units += i == 0 || f->opened_in[i] != f->opened_in[i - 1];
  return units;
}

static void begin_line(Fmt *f, uint32_t source_line, bool inner, uint32_t units) {
  f->now = (Line){.indent = (f->depth + units) * INDENT, .inner = inner, .block = f->block};
  f->now.blank = f->n > 0 && source_line > f->last + 1;
}

static void put_comments(Fmt *f, uint32_t before) {
  for (; f->comment && f->comment->span.from < before; f->comment = f->comment->next) {
    Span at = f->comment->span;
    uint32_t line = source_line_number(f->r->diags->sources, at.file, at.from);
    const char *text = arena_strndup(f->a, f->r->text + at.from, at.to - at.from);
    if (f->comment->own_line || f->empty) {
      end_line(f);
      bool inside = f->word != 0 && !f->brk;
      uint32_t units = f->nparen ? inner_indent(f, f->nparen) : inside;
      begin_line(f, line - 1, false, units);
      f->now.shape = S_COMMENT;
    }
    f->now.comment = text;
    f->last = line - 1;
    end_line(f);
  }
}

static bool ends_operand(int kind) {
  return kind == TK_NAME || kind == TK_INT || kind == TK_FLOAT || kind == TK_STRING || kind == TK_TRUE ||
         kind == TK_FALSE || kind == TK_NULL || kind == TK_RPAREN || kind == TK_RBRACKET;
}

/* Is there a blank between two tokens of a line? `p` is what stands before `a`. */
static bool spaced(const Fmt *f, const Tok *p, const Tok *a, const Tok *b) {
  if (a->kind == TK_LPAREN || a->kind == TK_LBRACKET || b->kind == TK_RPAREN || b->kind == TK_RBRACKET)
    return false;
  if (b->kind == TK_COMMA || b->kind == TK_COLON || b->kind == TK_QUESTION || a->kind == TK_DOT ||
      b->kind == TK_DOT)
    return false;
  if (b->kind == TK_LPAREN && a->kind == TK_NAME)
    return false;
  if (f->in_type && (a->kind == TK_LT || b->kind == TK_LT || b->kind == TK_GT))
    return false;
  if (a->kind == TK_CARET || b->kind == TK_CARET)
    return false;
  if (a->kind == TK_MINUS && !(p && ends_operand(p->kind)))
    return false; /* a sign */
  if (b->kind == TK_DOTDOT)
    return !ends_operand(a->kind);
  if (a->kind == TK_DOTDOT)
    return !(ends_operand(b->kind) || b->kind == TK_MINUS || b->kind == TK_LPAREN);
  return true;
}

static Shape shape_of(const Fmt *f, const Tok *t) {
  int block = f->word_of[f->depth];
  if (f->depth == 0)
    return t->kind == TK_PARAM ? S_PARAM : S_PLAIN;
  if (block == TK_SCHEMA)
    return S_COLUMN;
  if (block == TK_FEATURES || (block == TK_FN && t->kind == TK_LET))
    return S_SLOT;
  if (block == TK_DATA)
    return t->kind == TK_DERIVE ? S_DERIVE : S_CLAUSE;
  return S_PLAIN;
}

/* Does a cell end before token `t`? `before` is the token already printed. */
static bool cell_ends(const Fmt *f, const Tok *before, const Tok *t) {
  if (f->nparen || f->now.inner || f->one_line)
    return false;
  bool binds = t->kind == TK_ASSIGN;
  switch (f->now.shape) {
  case S_PARAM:
    return (before->kind == TK_COLON && f->now.ncell == 0) || (binds && f->now.ncell <= 1);
  case S_SLOT:
    return binds && f->now.ncell == 0;
  case S_COLUMN:
    return before->kind == TK_COLON && f->now.ncell == 0;
  case S_CLAUSE:
    return f->now.ncell == 0;
  case S_DERIVE:
    return f->now.ncell == 0 || (binds && f->now.ncell == 1);
  default:
    return false;
  }
}

static bool closes_on_line(const Fmt *f, uint32_t i) {
  uint32_t line = f->r->toks.v[i].line, depth = 0;
  for (; i < f->r->toks.n && f->r->toks.v[i].line == line; i++) {
    int kind = f->r->toks.v[i].kind;
    depth += kind == TK_LBRACE;
    if (kind == TK_RBRACE && --depth == 0)
      return true;
  }
  return false;
}

static void put_token(Fmt *f, uint32_t i) {
  const Tok *v = f->r->toks.v, *t = &v[i], *before = NULL, *p = NULL;
  for (uint32_t k = i; k > 0 && !p; k--) { /* newlines are not printed */
    if (v[k - 1].kind == TK_NL)
      continue;
    p = before ? &v[k - 1] : NULL;
    before = before ? before : &v[k - 1];
  }
  uint32_t nparen = f->nparen;
  bool closer = t->kind == TK_RPAREN || t->kind == TK_RBRACKET;
  if (closer && f->nparen)
    f->nparen--;
  if (t->kind == TK_RBRACE) {
    f->brk = f->brk || !f->one_line;
    f->depth -= f->depth > 0;
    f->block = f->block_of[f->depth];
    f->word = f->word_of[f->depth + 1];
  }
  if (f->empty || f->brk || t->first) {
    bool inner = (f->word != 0 && !f->brk) || t->kind == TK_RBRACE;
    uint32_t units = 0;
    if (inner && t->kind != TK_RBRACE)
      units = nparen ? inner_indent(f, f->nparen) : 1;
    end_line(f);
    begin_line(f, t->line, inner, units);
    f->empty = false;
    if (t->kind == TK_RBRACE)
      f->now.blank = false;
    if (!inner) {
      f->now.shape = shape_of(f, t);
      f->now.declares = f->depth == 0 ? t->kind : 0;
    }
  } else if (cell_ends(f, before, t)) {
    if (f->now.shape == S_PARAM && t->kind == TK_ASSIGN && f->now.ncell == 0)
      end_cell(f); /* no type: its cell is empty */
    end_cell(f);
  } else if (spaced(f, p, before, t)) {
    buf_text(&f->text, " ");
  }
  f->empty = f->brk = false;
  if (t->kind == TK_NOT_IN)
    buf_text(&f->text, "not in");
  else
    buf_put(&f->text, f->r->text + t->from, t->to - t->from);
  f->last = t->line;
  if (f->word == 0)
    f->word = t->kind;
  bool type = t->kind == TK_NAME || t->kind == TK_LT || t->kind == TK_GT || t->kind == TK_QUESTION ||
              t->kind == TK_INT || t->kind == TK_CONST || t->kind == TK_FITTED;
  f->in_type = t->kind == TK_COLON || (f->in_type && type);
  if (t->kind == TK_LPAREN || t->kind == TK_LBRACKET) {
    if (f->nparen < NEST_MAX)
      f->opened_in[f->nparen++] = f->n;
  } else if (t->kind == TK_LBRACE) {
    if (f->depth < NEST_MAX) {
      f->depth++;
      f->word_of[f->depth] = f->word;
      f->block_of[f->depth] = f->block = ++f->blocks;
    }
    if (!f->one_line && closes_on_line(f, i))
      f->one_line = f->depth;
    f->word = 0;
    f->brk = !f->one_line;
  } else if (t->kind == TK_RBRACE && f->one_line > f->depth) {
    f->one_line = 0;
  }
}

static void split_lines(Fmt *f) {
  const Toks *toks = &f->r->toks;
  f->empty = true;
  for (uint32_t i = 0; i < toks->n; i++) {
    const Tok *t = &toks->v[i];
    if (t->kind == TK_NL) {
      f->brk = !f->one_line;
      f->word = 0;
      continue;
    }
    put_comments(f, t->kind == TK_EOF ? UINT32_MAX : t->from);
    if (t->kind != TK_EOF)
      put_token(f, i);
  }
  end_line(f);
}

/* ---- 2. Empty lines ---- */

/* The last line of the declaration that begins in line i: what follows are comments that belong to the next
 * one. */
static uint32_t declaration_end(const Fmt *f, uint32_t i) {
  uint32_t end = i;
  for (uint32_t k = i + 1; k < f->n && !f->line[k].declares; k++) {
    if (f->line[k].block || f->line[k].shape != S_COMMENT)
      end = k;
  }
  return end;
}

/* Between declarations stands one empty line, except that one-line declarations of a kind may stand together;
 * behind a `{` none. */
static void spread(Fmt *f) {
  uint32_t before = UINT32_MAX, end = 0; /* the declaration before: its first and last line */
  for (uint32_t i = 0; i < f->n; i++) {
    if (i > 0 && f->line[i].block > f->line[i - 1].block)
      f->line[i].blank = false;
    if (!f->line[i].declares)
      continue;
    uint32_t this_end = declaration_end(f, i);
    if (before != UINT32_MAX) {
      bool blank = false;
      for (uint32_t k = end + 1; k <= i; k++)
        blank |= f->line[k].blank;
      bool together = f->line[before].declares == f->line[i].declares && end == before && this_end == i;
      if (!blank && !together)
        f->line[end + 1].blank = true;
    }
    before = i;
    end = this_end;
  }
}

/* ---- 3. Columns ---- */

static uint32_t width(const char *s) {
  uint32_t n = 0;
  for (; s && *s; s++)
    n += ((unsigned char)*s & 0xC0) != 0x80;
  return n;
}

static bool aligned(Shape s) {
  return s == S_PARAM || s == S_SLOT || s == S_COLUMN || s == S_DERIVE;
}

/* The lines that share columns with line i: the same shape in the same block, up to an empty line. Returns
 * the index behind them; lines of other shapes between (comments, continued entries) are passed over. */
static uint32_t run_end(const Fmt *f, uint32_t i) {
  uint32_t k = i + 1;
  for (; k < f->n && !f->line[k].blank; k++) {
    const Line *l = &f->line[k];
    if (l->block == f->line[i].block && l->shape != f->line[i].shape && !l->inner && l->shape != S_COMMENT)
      break;
    if (l->indent < f->line[i].indent)
      break;
  }
  return k;
}

static bool in_run(const Fmt *f, uint32_t i, uint32_t k) {
  return f->line[k].block == f->line[i].block && f->line[k].shape == f->line[i].shape && !f->line[k].inner;
}

static uint32_t print_line(Buf *out, const Line *l, const uint32_t *column) {
  uint32_t at = l->indent;
  if (!l->ncell || !l->cell[0])
    return 0;
  buf_printf(out, "%*s", (int)at, "");
  for (uint32_t c = 0; c < l->ncell; c++) {
    uint32_t to = l->indent + column[c];
    if (c && !*l->cell[c])
      continue;
    if (c && at < to) {
      buf_printf(out, "%*s", (int)(to - at), "");
      at = to;
    }
    buf_text(out, l->cell[c]);
    at += width(l->cell[c]);
  }
  return at;
}

static void columns_of(const Fmt *f, uint32_t from, uint32_t to, uint32_t column[CELLS]) {
  const Line *l = &f->line[from];
  memset(column, 0, CELLS * sizeof *column);
  for (uint32_t c = 0; c + 1 < CELLS; c++) {
    uint32_t most = 0;
    for (uint32_t k = from; k < to; k++) {
      if (in_run(f, from, k) && f->line[k].ncell > c + 1 && width(f->line[k].cell[c]) > most)
        most = width(f->line[k].cell[c]);
    }
    column[c + 1] = column[c] + (most ? most + 1 : 0);
    if (c == 0 && (l->shape == S_CLAUSE || l->shape == S_DERIVE))
      column[1] = CLAUSE;
  }
}

static void write_lines(Fmt *f, Buf *out) {
  const char **text = NEWN(f->a, const char *, f->n + 1);
  uint32_t *at = NEWN(f->a, uint32_t, f->n + 1);
  bool *done = NEWN(f->a, bool, f->n + 1);
  for (uint32_t i = 0; i < f->n; i++) {
    if (done[i])
      continue;
    uint32_t column[CELLS], end = aligned(f->line[i].shape) && !f->line[i].inner ? run_end(f, i) : i + 1;
    columns_of(f, i, end, column);
    for (uint32_t k = i; k < end; k++) {
      if (k > i && !in_run(f, i, k))
        continue;
      done[k] = true;
      buf_clear(&f->text);
      at[k] = print_line(&f->text, &f->line[k], column);
      text[k] = arena_strdup(f->a, buf_str(&f->text));
    }
  }
  uint32_t column = 0;
  for (uint32_t i = 0; i < f->n; i++) {
    const Line *l = &f->line[i];
    if (l->blank)
      buf_text(out, "\n");
    if (l->shape == S_COMMENT) {
      buf_printf(out, "%*s%s\n", (int)l->indent, "", l->comment);
      column = 0;
      continue;
    }
    buf_text(out, text[i]);
    if (l->comment) { /* comments behind neighbouring lines begin in one column */
      if (!column || l->blank) {
        column = 0;
        for (uint32_t k = i;
             k < f->n && f->line[k].comment && f->line[k].shape != S_COMMENT && (k == i || !f->line[k].blank);
             k++)
          column = at[k] + 2 > column ? at[k] + 2 : column;
      }
      buf_printf(out, "%*s%s", (int)(column - at[i]), "", l->comment);
    } else {
      column = 0;
    }
    buf_text(out, "\n");
  }
}

void fmt_print(const Ast *ast, const Sources *s, struct Buf *out) {
  const SourceFile *file = &s->file[ast->file];
  Arena arena;
  jmp_buf oom;
  Fmt *volatile f = NULL;
  arena_init(&arena, &oom);
  if (setjmp(oom)) {
    out->bad = true;
    if (f)
      buf_free(&f->text);
    arena_free(&arena);
    return;
  }
  Sources sources;
  Diags diags;
  source_init(&sources, &arena);
  diag_init(&diags, &arena, &sources);
  uint16_t number = source_add(&sources, file->path, file->text, file->n, file->builtin);
  Reading *r = reading_new(&arena, &diags, number);
  lex_file(r);
  layout_file(r);
  if (diags.errors) { /* what is not understood is left alone */
    buf_put(out, file->text, file->n);
    arena_free(&arena);
    return;
  }
  Fmt *fmt = f = NEW(&arena, Fmt);
  fmt->r = r;
  fmt->a = &arena;
  fmt->comment = r->comments;
  split_lines(fmt);
  spread(fmt);
  write_lines(fmt, out);
  out->bad |= fmt->text.bad;
  buf_free(&fmt->text);
  arena_free(&arena);
}
