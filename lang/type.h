/* SPDX-License-Identifier: Apache-2.0 */
/* Types of the language: their names, their representation in the VM, and which value passes for which. */
#ifndef LANG_TYPE_H
#define LANG_TYPE_H

#include "base/arena.h"
#include "lang/tree.h"

static inline Type type_of(TypeKind kind) {
  return (Type){.kind = kind};
}

const char *type_name(TypeKind kind);    /* "float" */
const char *type_text(Arena *a, Type t); /* "float?", "list<category>", "vector" */
bool type_named(const char *name, TypeKind *out);
const char *type_rep(
    TypeKind kind); /* as in names of operations: "b", "i64", "f64", "str"; "" for list and vector */
const char *type_article(TypeKind kind); /* "an int", "a float": for messages */

bool type_is_number(TypeKind kind); /* int, float */
bool type_is_text(TypeKind kind);   /* string, category */
bool type_is_scalar(TypeKind kind); /* all but list and vector */

/* What it costs to pass a `from` where a `to` is asked for: 0 the same, more for every widening, -1 when it
 * does not fit. bool -> int -> float; string and category are one; int, bool, date -> category. */
int type_cost(TypeKind from, TypeKind to);
/* The type that both pass for without becoming text (int and float: float); nullable if one is. False: there
 * is none. */
bool type_join(Type a, Type b, Type *out);

#endif
