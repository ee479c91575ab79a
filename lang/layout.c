/* SPDX-License-Identifier: Apache-2.0 */
/* Layout: from the tokens of the lexer to those of the grammar. Three things are settled here, where one can
 * look ahead and back:
 *
 * 1. Brackets. brackets.c finds every partner, so that the grammar only ever sees balanced ones.
 * 2. Newlines. A newline ends an entry, except inside ( ) and [ ] and after an operator: it becomes a TK_NL.
 * 3. Words. `from`, `weight`, `top`, ... are words of the language at their place only, names elsewhere: the
 *    block that one is in and the position in the entry decide. Entries of later versions and unknown ones
 *    are reported and skipped as a whole.
 *
 * Read layout_file at the end first, then emit_entry_start. */
#include <string.h>

#include "lang/brackets.h"
#include "lang/syntax.h"
#include "lang/parse.h"

typedef enum { B_TOP, B_DATA, B_SCHEMA, B_FEATURES, B_EVALUATE, B_EXPORT, B_FN, B_PAREN } Block;

static const char *const block_name[] = {"the program", "`data`",   "`schema`", "`features`",
                                         "`evaluate`",  "`export`", "`fn`",     "a parenthesis"};

typedef struct Open {
  uint32_t at; /* index of the bracket */
  Block block;
  uint32_t word; /* of a block: the kind of the entry's first word around it */
} Open;

typedef struct Layout {
  Reading *r;
  const Tok *v; /* the raw tokens */
  uint32_t n;   /* without TK_EOF */
  Mate *mate;
  Open open[NEST_MAX + 1]; /* open[0] is the program itself */
  uint32_t depth;
  uint32_t entry;       /* number of the current entry */
  uint32_t entry_start; /* index in `toks` of its first token */
  int word;             /* kind of its first token, 0: none yet */
  bool had_block;       /* its braces have been opened */
  bool lost;            /* a heading was broken or a block closed too early, and this was or will be said:
                           what stands outside of its block for that reason is not reported again */
  bool columns_told;    /* and so with columns outside of a schema */
  bool word_alone;      /* the line above held the first word of an entry, and no more */
} Layout;

/* ---- Newlines ---- */

static bool ends_operand(int kind) {
  return kind == TK_NAME || kind == TK_INT || kind == TK_FLOAT || kind == TK_STRING || kind == TK_TRUE ||
         kind == TK_FALSE || kind == TK_NULL || kind == TK_RPAREN || kind == TK_RBRACKET;
}

static bool is_binary(int kind) {
  switch (kind) {
  case TK_PLUS:
  case TK_MINUS:
  case TK_STAR:
  case TK_SLASH:
  case TK_CARET:
  case TK_DIV:
  case TK_MOD:
  case TK_EQ:
  case TK_NE:
  case TK_LT:
  case TK_LE:
  case TK_GT:
  case TK_GE:
  case TK_AND:
  case TK_OR:
  case TK_IN:
  case TK_NOT_IN:
  case TK_IS:
  case TK_TILDE:
    return true;
  default:
    return false;
  }
}

/* Does a line that ends with this token go on in the next one? */
static bool continues(int kind) {
  return is_binary(kind) || kind == TK_NOT || kind == TK_COMMA || kind == TK_ASSIGN || kind == TK_THEN ||
         kind == TK_ELSE || kind == TK_IF || kind == TK_DOT;
}

/* Can nothing begin with this token, so that a line beginning with it was meant to go on? */
static bool cannot_begin(const Layout *l, uint32_t i) {
  const Tok *t = &l->v[i];
  if (t[1].kind == TK_COLON || t[1].kind == TK_ASSIGN)
    return false; /* a reserved word as a name */
  if (t->kind == TK_NOT)
    return i + 1 < l->n && t[1].kind == TK_IN;
  return is_binary(t->kind) || t->kind == TK_ASSIGN || t->kind == TK_THEN || t->kind == TK_ELSE ||
         t->kind == TK_BY || t->kind == TK_COMMA;
}

static Tok *last(Layout *l) {
  Toks *out = &l->r->toks;
  return out->n ? &out->v[out->n - 1] : NULL;
}

static Tok *emit(Layout *l, Tok t) {
  Toks *out = &l->r->toks;
  t.entry = l->entry;
  PUSH(l->r->arena, out->v, out->n, out->cap, t);
  return last(l);
}

static bool at_entry_start(const Layout *l) {
  return l->r->toks.n == l->entry_start;
}

static void new_entry(Layout *l) {
  l->entry++;
  l->entry_start = l->r->toks.n;
  l->word = 0;
  l->had_block = false;
}

/* Puts in a newline before token i, unless the entry is empty. */
static void end_entry(Layout *l, uint32_t i) {
  bool block = l->word == TK_DATA || l->word == TK_FEATURES || l->word == TK_EVALUATE || l->word == TK_EXPORT;
  if (!at_entry_start(l)) {
    l->word_alone = l->r->toks.n == l->entry_start + 1 && last(l)->kind != TK_NAME &&
                    last(l)->kind != TK_RBRACE;
    l->lost |= block && !l->had_block;
    l->columns_told |= l->word == TK_SCHEMA && !l->had_block;
    uint32_t at = last(l)->to;
    emit(l, (Tok){.kind = TK_NL, .from = at, .to = at, .line = l->v[i ? i - 1 : 0].line});
  }
  new_entry(l);
}

/* ---- Words ---- */

typedef struct Word {
  const char *word;
  int kind; /* 0: not part of this version */
} Word;

static const Word data_words[] = {
    {"from", TK_FROM},
    {"schema", TK_SCHEMA},
    {"where", TK_WHERE},
    {"derive", TK_DERIVE},
    {"weight", TK_WEIGHT},
    {"split", TK_SPLIT},
    {"folds", TK_FOLDS},
    {"group", TK_GROUP},
    {"sample", TK_SAMPLE},
    {"expect", TK_EXPECT},
    {"join", 0},
    {"aggregate", 0},
    {"window", 0},
    {"serve", 0},
    {"union", 0},
    {"allow", 0},
    {NULL, 0},
};
static const Word export_words[] = {
    {"bundle", TK_BUNDLE},
    {"predictions", TK_PREDICTIONS},
    {"features", TK_FEATURES_OF},
    {"onnx", 0},
    {"c", 0},
    {"serve", 0},
    {"allow", 0},
    {NULL, 0},
};
static const Word evaluate_words[] = {{"expect", TK_EXPECT}, {"allow", 0}, {NULL, 0}};
static const Word feature_words[] = {{"allow", 0}, {NULL, 0}};
static const Word top_words[] = {
    {"param", TK_PARAM},
    {"fn", TK_FN},
    {"data", TK_DATA},
    {"features", TK_FEATURES},
    {"model", TK_MODEL},
    {"evaluate", TK_EVALUATE},
    {"export", TK_EXPORT},
    {"tune", 0},
    {"use", TK_USE},
    {"allow", 0},
    {NULL, 0},
};

static const Word *find_word(const Word *list, const Tok *t) {
  for (; list->word; list++) {
    if (tok_is(t, list->word))
      return list;
  }
  return NULL;
}

static const char *nearest_word(const Word *list, const char *name) {
  const char *names[32];
  unsigned n = 0;
  for (; list->word; list++) {
    if (list->kind)
      names[n++] = list->word;
  }
  return diag_nearest(name, names, n);
}

/* What a newcomer from elsewhere writes at the start of a declaration. */
static const struct {
  const char *word, *remedy;
} elsewhere[] = {
    {"def", "A function is written `fn name(x: float) = ...`."},
    {"function", "A function is written `fn name(x: float) = ...`."},
    {"func", "A function is written `fn name(x: float) = ...`."},
    {"lambda", "A function is written `fn name(x: float) = ...`."},
    {"var", "A constant that can be set from outside is written `param name: float = 0.5`."},
    {"const", "A constant that can be set from outside is written `param name: float = 0.5`."},
    {"parameter", "A constant that can be set from outside is written `param name: float = 0.5`."},
    {"import", "The standard library is always there; nothing needs to be imported."},
    {"include", "The standard library is always there; nothing needs to be imported."},
    {"dataset", "A data set is written `data name { from csv(\"x.csv\") }`."},
    {"dataframe", "A data set is written `data name { from csv(\"x.csv\") }`."},
    {"table", "A data set is written `data name { from csv(\"x.csv\") }`."},
    {"load", "A data set is written `data name { from csv(\"x.csv\") }`."},
    {"pipeline",
     "The whole program is the pipeline: declare `data`, `features`, `model`, `evaluate`, `export`."},
    {"train", "A model is trained by being declared: `model name = logistic_regression(target ~ block)`."},
    {"fit", "A model is trained by being declared: `model name = logistic_regression(target ~ block)`."},
    {"test", "A test of the results is written `evaluate m on d.test { expect auc > 0.8 }`."},
    {"print", "Results are shown by `evaluate name on data.test { ... }`."},
    {"save", "A model is saved by `export name { bundle \"name.cmlm\" }`."},
    {"select", "SQL belongs in a source of `data`; a column is computed by `derive`."},
};

static Block block_now(const Layout *l) {
  return l->open[l->depth].block;
}

/* The index behind the entry that begins at i: its brackets are skipped with what they hold. */
static uint32_t skip_entry(const Layout *l, uint32_t i) {
  uint32_t from = i;
  while (i < l->n) {
    const Tok *t = &l->v[i];
    if (i > from && t->first && !(continues(l->v[i - 1].kind) || cannot_begin(l, i) || t->kind == TK_LBRACE))
      break;
    if (i > from && starts_declaration(&l->v[i]))
      break;
    if (closes(t->kind) && !l->mate[i].drop)
      break;
    if (l->depth && l->mate[l->open[l->depth].at].close == NO_MATE &&
        l->mate[l->open[l->depth].at].before == i && i > from)
      break;
    if (opens(t->kind)) {
      uint32_t behind = l->mate[i].close == NO_MATE ? l->mate[i].before : l->mate[i].close + 1;
      i = behind > i ? behind : i + 1;
    } else {
      i++;
    }
  }
  return i;
}

static void not_yet(Layout *l, const Tok *t, const char *what) {
  syntax_error(l->r, "CML0111", tok_span(l->r, t), "Remove it.",
               "`%.*s`%s is not part of this version of cml", (int)(t->to - t->from), l->r->text + t->from,
               what);
}

static void unknown_at_top(Layout *l, const Tok *t) {
  Reading *r = l->r;
  Span at = tok_span(r, t);
  bool margin = at_margin(l->r, t) && !l->word_alone, known = l->lost || l->word_alone;
  bool torn = r->bad_line[t->line]; /* by a stray `"` or `)`, which was told */
  l->lost |= !margin || torn;
  if (torn || (known && (!margin || t->kind != TK_NAME)))
    return;
  if ((t->kind != TK_NAME && t->kind != TK_WHERE) || t->quoted) {
    syntax_error(r, "CML0109", at,
                 "Declarations are param, fn, data, features, model, evaluate, export and use.",
                 "a declaration should begin here, not %s", tok_shown(r, t));
    return;
  }
  const Word *clause = find_word(data_words, t);
  if (clause || t->kind == TK_WHERE || tok_is(t, "bundle") || tok_is(t, "predictions")) {
    const char *block = !clause && t->kind != TK_WHERE ? "export"
                        : tok_is(t, "expect")           ? "evaluate` or `data"
                                                       : "data";
    if (!l->lost || !margin)
      syntax_error(r, "CML0109", at,
                   arena_printf(r->arena,
                                "Move it into the braces of `%s`; perhaps a `}` above came too early.",
                                block),
                   "%s is an entry of `%s`, and stands outside of one", tok_shown(r, t), block);
    l->lost = true;
    return;
  }
  const char *remedy = NULL;
  for (size_t k = 0; k < sizeof elsewhere / sizeof *elsewhere; k++) {
    if (tok_is(t, elsewhere[k].word))
      remedy = elsewhere[k].remedy;
  }
  const char *near = nearest_word(top_words, t->name);
  if (!remedy && near)
    remedy = arena_printf(r->arena, "Did you mean `%s`?", near);
  if (!remedy)
    remedy = "Declarations are param, fn, data, features, model, evaluate, export and use.";
  syntax_error(r, "CML0109", at, remedy, "`%s` is not a declaration", t->name);
}

static void unknown_in_block(Layout *l, const Tok *t, const Word *words) {
  Reading *r = l->r;
  Span at = tok_span(r, t);
  bool is_data = block_now(l) == B_DATA;
  const char *all =
      is_data ? "Entries are from, schema, where, derive, weight, split, group, sample, folds and expect."
              : "Entries are bundle \"FILE.cmlm\", predictions of DATA.PART to \"FILE.parquet\", and "
                "features of DATA.PART to \"FILE.parquet\".";
  bool column = is_data && t->kind == TK_NAME && t[1].kind == TK_COLON;
  if (r->bad_line[t->line] || l->word_alone || (column && l->columns_told))
    return; /* behind a `;`, say */
  if (column)
    l->columns_told = l->lost = true;
  if (t->kind != TK_NAME) {
    if (is_data && t->kind == TK_LET)
      all = "In `data` a computed column is written `derive name = ...`.";
    syntax_error(r, "CML0110", at, all, "an entry of %s should begin here, not %s", block_name[block_now(l)],
                 tok_shown(r, t));
    return;
  }
  const char *near = nearest_word(words, t->name), *remedy = all;
  if (is_data && t[1].kind == TK_ASSIGN)
    remedy = arena_printf(r->arena, "A computed column is written `derive %s = ...`.", t->name);
  else if (column)
    remedy = "Columns and their types stand in `schema { ... }`.";
  else if (near)
    remedy = arena_printf(r->arena, "Did you mean `%s`?", near);
  syntax_error(r, "CML0110", at, remedy, "`%s` is not an entry of %s", t->name, block_name[block_now(l)]);
}

/* A reserved word where a name is written down, as `model: string` in a schema: reported, and taken for the
 * name. */
static bool reserved_as_name(Layout *l, Tok *t, int followed_by) {
  Reading *r = l->r;
  if (!tok_reserved(t->kind) || t[1].kind != followed_by)
    return false;
  const char *name = source_name(r->diags->sources, r->text + t->from, t->to - t->from);
  syntax_error(r, "CML0113", tok_span(r, t),
               arena_printf(r->arena, "Write it in backticks, here and where it is used: `%s`.", name),
               "`%s` is a reserved word", name);
  t->kind = TK_NAME;
  t->name = name;
  return true;
}

/* The first token of an entry: gives it its kind, or reports the entry and returns the index behind it (else
 * i). */
static uint32_t emit_entry_start(Layout *l, uint32_t i, Tok *t) {
  const Tok *raw = &l->v[i];
  const Word *words = NULL, *w;
  switch (block_now(l)) {
  case B_TOP:
    if (tok_is(raw, "native") && (raw[1].kind == TK_FN || tok_is(&raw[1], "aggregate"))) {
      t->kind = TK_NATIVE;
      return i;
    }
    if (raw->kind == TK_TUNE || (tok_is(raw, "allow") && raw[1].kind == TK_NAME)) {
      not_yet(l, raw, "");
      return skip_entry(l, i);
    }
    if (is_declaration_word(raw->kind)) {
      l->lost = l->columns_told = false;
      return i;
    }
    unknown_at_top(l, raw);
    return skip_entry(l, i);
  case B_DATA:
    words = data_words;
    break;
  case B_EXPORT:
    if (raw->kind == TK_FEATURES) { /* reserved, so no name that find_word would know */
      t->kind = TK_FEATURES_OF;
      return i;
    }
    words = export_words;
    break;
  case B_EVALUATE:
    words = evaluate_words;
    if (raw->kind == TK_NAME && raw[1].kind == TK_ASSIGN) {
      not_yet(l, raw, ", a metric of one's own,");
      return skip_entry(l, i);
    }
    break;
  case B_SCHEMA: {
    Tok name[2] = {*raw, raw[1]};
    if (reserved_as_name(l, name, TK_COLON))
      *t = name[0];
    return i;
  }
  case B_FEATURES: {
    Tok name[2] = {*raw, raw[1]};
    if (reserved_as_name(l, name, TK_ASSIGN))
      *t = name[0];
    words = feature_words;
    break;
  }
  case B_FN:
  case B_PAREN:
    return i;
  }
  w = find_word(words, raw);
  if (w && w->kind) {
    t->kind = w->kind;
    return i;
  }
  if (w && raw[1].kind != TK_ASSIGN && raw[1].kind != TK_COMMA) {
    not_yet(l, raw, "");
    return skip_entry(l, i);
  }
  bool listed = block_now(l) == B_DATA || block_now(l) == B_EXPORT;
  if (listed && raw->kind != TK_WHERE) {
    unknown_in_block(l, raw, words);
    return skip_entry(l, i);
  }
  return i;
}

/* A token inside an entry: words at their place. Returns the index of what comes next when something was
 * skipped, else i. */
static uint32_t word_in_place(Layout *l, uint32_t i, Tok *t) {
  const Tok *raw = &l->v[i], *before = last(l);
  uint32_t place = l->r->toks.n - l->entry_start; /* tokens of the entry before this one */
  bool head = block_now(l) != B_PAREN;
  if (raw->kind == TK_NOT && raw[1].kind == TK_IN) {
    t->kind = TK_NOT_IN;
    t->to = raw[1].to;
    return i;
  }
  if (raw->kind != TK_NAME || raw->quoted)
    return i;
  bool behind_operand = before && ends_operand(before->kind);
  if (behind_operand && tok_is(raw, "div"))
    t->kind = TK_DIV;
  else if (behind_operand && tok_is(raw, "mod"))
    t->kind = TK_MOD;
  else if (tok_is(raw, "each") && raw[1].kind == TK_NAME && before->kind != TK_DOT && !behind_operand)
    t->kind = TK_EACH;
  else if (tok_is(raw, "except") && raw[1].kind == TK_LBRACKET && behind_operand)
    t->kind = TK_EXCEPT;
  else if (before->kind == TK_COLON && raw[1].kind == TK_NAME && tok_is(raw, "const"))
    t->kind = TK_CONST;
  else if (before->kind == TK_COLON && raw[1].kind == TK_NAME && tok_is(raw, "fitted"))
    t->kind = TK_FITTED;
  else if (tok_is(raw, "distinct") && before->kind == TK_LPAREN && i > 1 && raw[-2].kind == TK_NAME &&
           (raw[1].kind == TK_NAME || raw[1].kind == TK_IF || raw[1].kind == TK_NOT))
    t->kind = TK_DISTINCT;
  if (!head || t->kind != TK_NAME)
    return i;
  switch (block_now(l)) {
  case B_TOP:
    if (l->word == TK_NATIVE && place == 1 && tok_is(raw, "aggregate"))
      t->kind = TK_AGGREGATE;
    else if (l->word == TK_FEATURES && place == 2 && tok_is(raw, "of"))
      t->kind = TK_OF;
    else if (l->word == TK_EVALUATE && place == 2 && tok_is(raw, "on"))
      t->kind = TK_ON;
    else if (l->word == TK_EVALUATE && place >= 2 && tok_is(raw, "using")) {
      not_yet(l, raw, " in `evaluate`");
      while (i < l->n && l->v[i].kind != TK_LBRACE && (l->v[i].line == raw->line))
        i++;
      return i;
    }
    break;
  case B_SCHEMA:
    if (tok_is(raw, "ordered"))
      t->kind = TK_ORDERED;
    else if (tok_is(raw, "known"))
      t->kind = TK_KNOWN;
    else if (tok_is(raw, "on_invalid") && raw[1].kind != TK_COLON)
      t->kind = TK_ON_INVALID;
    break;
  case B_EVALUATE:
    if (behind_operand && tok_is(raw, "top"))
      t->kind = TK_TOP;
    else if (behind_operand && tok_is(raw, "vs"))
      t->kind = TK_VS;
    break;
  case B_EXPORT:
    if (l->word == TK_PREDICTIONS || l->word == TK_FEATURES_OF)
      t->kind = tok_is(raw, "of")     ? TK_OF
                : tok_is(raw, "keep") ? TK_KEEP
                : tok_is(raw, "to")   ? TK_TO
                                      : TK_NAME;
    break;
  default:
    break;
  }
  return i;
}

/* ---- The walk ---- */

/* Opens the bracket at i; false: it cannot stand here, was reported, and is to be skipped. */
static bool open_bracket(Layout *l, uint32_t i) {
  const Tok *t = &l->v[i];
  Block block = B_PAREN;
  if (t->kind == TK_LBRACE) {
    static const struct {
      Block in;
      int word;
      Block opens;
    } braces[] = {
        {B_TOP, TK_DATA, B_DATA},
        {B_TOP, TK_FEATURES, B_FEATURES},
        {B_TOP, TK_EVALUATE, B_EVALUATE},
        {B_TOP, TK_EXPORT, B_EXPORT},
        {B_TOP, TK_FN, B_FN},
        {B_DATA, TK_SCHEMA, B_SCHEMA},
    };
    for (size_t k = 0; k < sizeof braces / sizeof *braces && !l->had_block; k++) {
      if (braces[k].in == block_now(l) && braces[k].word == l->word)
        block = braces[k].opens;
    }
    if (block == B_PAREN) {
      if (!l->r->bad_line[t->line])
        syntax_error(l->r, "CML0106", tok_span(l->r, t),
                     "Braces hold entries only; a list or set is written in `[ ]`.",
                     "a `{` cannot stand here");
      return false;
    }
    l->had_block = true;
  }
  l->open[++l->depth] = (Open){.at = i, .block = block, .word = (uint32_t)l->word};
  return true;
}

/* Closes the innermost bracket with token t (its own, or one that we put in). */
static void close_bracket(Layout *l, Tok t, uint32_t i) {
  Open o = l->open[l->depth];
  if (o.block != B_PAREN)
    end_entry(l, i);
  t.kind = closer_of(l->v[o.at].kind);
  l->depth--;
  if (o.block != B_PAREN) { /* what follows on this line belongs to the entry that had the braces */
    l->word = (int)o.word;
    l->had_block = true;
  }
  emit(l, t);
  if (o.block != B_PAREN)
    l->entry_start = l->r->toks.n - 1;
}

/* Closes what was found to be unclosed, and is to end before token i. */
static void close_pending(Layout *l, uint32_t i) {
  while (l->depth) {
    const Mate *m = &l->mate[l->open[l->depth].at];
    if (m->close != NO_MATE || m->before > i)
      return;
    uint32_t at = last(l)->to;
    close_bracket(l, (Tok){.from = at, .to = at, .line = l->v[i ? i - 1 : 0].line}, i);
  }
}

/* Token i is the first of its line: ends the entry, or finds that it goes on. */
static void begin_line(Layout *l, uint32_t i) {
  Reading *r = l->r;
  const Tok *t = &l->v[i];
  if (at_entry_start(l) || block_now(l) == B_PAREN)
    return;
  const Tok *before = last(l);
  bool type_ends = block_now(l) == B_SCHEMA && before->kind == TK_GT; /* list<float> */
  if (continues(before->kind) && !type_ends && !closes(t->kind) &&
      !(l->depth == 0 && starts_declaration(t)))
    return;
  if (before->kind != TK_RBRACE && cannot_begin(l, i)) {
    bool word = t->kind == TK_THEN || t->kind == TK_ELSE || t->kind == TK_BY;
    syntax_error(r, "CML0108", tok_span(r, t),
                 arena_printf(r->arena, "Put %s at the end of the line above%s.", tok_shown(r, t),
                              word ? "" : ", or the whole in parentheses"),
                 "a line cannot begin with %s: the newline has ended the entry", tok_shown(r, t));
    return;
  }
  end_entry(l, i);
}

void layout_file(Reading *r) {
  Layout *l = NEW(r->arena, Layout);
  l->r = r;
  l->v = r->raw.v;
  l->n = r->raw.n - 1;
  l->open[0].block = B_TOP;
  l->mate = brackets_match(r, &l->n);
  for (uint32_t i = 0; i < l->n;) {
    close_pending(l, i);
    Tok t = l->v[i];
    if (t.first)
      begin_line(l, i);
    if (closes(t.kind)) {
      if (!l->mate[i].drop && l->depth)
        close_bracket(l, t, i);
      if (!l->mate[i].drop)
        l->lost |= !l->depth && i + 1 < l->n && !l->v[i + 1].first; /* the grammar takes offence */
      else if (t.kind == TK_RBRACE && l->depth == 0 && !l->lost && !r->bad_line[t.line])
        syntax_error(r, "CML0106", tok_span(r, &t),
                     "Remove it, or look above for a block that was closed too early.",
                     "there is no open `{` for this `}`");
      i++;
      continue;
    }
    if (t.kind == TK_SEMICOLON) { /* reported by the lexer; ends the entry as a newline does */
      if (block_now(l) != B_PAREN)
        end_entry(l, i);
      i++;
      continue;
    }
    bool start = at_entry_start(l) && block_now(l) != B_PAREN;
    uint32_t next = start ? emit_entry_start(l, i, &t) : word_in_place(l, i, &t);
    if (next != i) {
      i = next;
      continue;
    }
    if (opens(t.kind) && !open_bracket(l, i)) {
      i = l->mate[i].close == NO_MATE ? l->mate[i].before : l->mate[i].close + 1;
      continue;
    }
    if (start)
      l->word = t.kind == TK_NATIVE ? TK_NATIVE : t.kind;
    emit(l, t);
    if (t.kind == TK_LBRACE)
      new_entry(l);
    i += 1 + (t.kind == TK_NOT_IN);
  }
  close_pending(l, l->n);
  end_entry(l, l->n);
  emit(l, (Tok){.kind = TK_EOF, .from = r->n, .to = r->n, .line = r->nline ? r->nline - 1 : 0});
}
