/* SPDX-License-Identifier: Apache-2.0 */
/* Brackets: the partners of all brackets of a file, for the layout, and what both ask of a token. */
#ifndef LANG_BRACKETS_H
#define LANG_BRACKETS_H

#include "lang/syntax.h"

enum { NO_MATE = UINT32_MAX };

typedef struct Mate {
  uint32_t close; /* of an opening bracket: its partner; NO_MATE: closed by us before token `before` */
  uint32_t before;
  bool drop;  /* a closing bracket without partner */
  bool stray; /* a `{` that opens no block */
} Mate;

/* One Mate for each token of r->raw. `n` becomes less where brackets are nested too deeply to go on. What is
 * wrong is reported, except a `{` or a `}` at a place where there is none: whether that is news the layout
 * knows. */
Mate *brackets_match(Reading *r, uint32_t *n);

bool opens(int kind);
bool closes(int kind);
int closer_of(int kind);
bool tok_is(const Tok *t, const char *word); /* an unquoted name */
bool is_declaration_word(int kind);
bool starts_declaration(const Tok *t); /* `t` is one of r->raw */
bool at_margin(const Reading *r, const Tok *t); /* the first of its line, and not indented */

#endif
