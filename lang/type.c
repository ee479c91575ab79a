/* SPDX-License-Identifier: Apache-2.0 */
/* Types; see type.h. One row of `types` per TypeKind; the rules of widening are in type_cost. */
#include "lang/type.h"

#include <string.h>

typedef struct TypeRow {
  const char *name, *article, *rep;
} TypeRow;

static const TypeRow types[] = {
    [TY_ERROR] = {"?", "a value", ""},
    [TY_BOOL] = {"bool", "a bool", "b"},
    [TY_INT] = {"int", "an int", "i64"},
    [TY_FLOAT] = {"float", "a float", "f64"},
    [TY_STRING] = {"string", "a string", "str"},
    [TY_CATEGORY] = {"category", "a category", "str"},
    [TY_TIMESTAMP] = {"timestamp", "a timestamp", "i64"},
    [TY_DATE] = {"date", "a date", "i64"},
    [TY_DURATION] = {"duration", "a duration", "i64"},
    [TY_LIST] = {"list", "a list", ""},
    [TY_VECTOR] = {"vector", "a vector", ""},
    [TY_MATRIX] = {"matrix", "a matrix", ""},
};

const char *type_name(TypeKind kind) {
  return types[kind].name;
}

const char *type_article(TypeKind kind) {
  return types[kind].article;
}

const char *type_rep(TypeKind kind) {
  return types[kind].rep;
}

const char *type_text(Arena *a, Type t) {
  const char *mark = t.nullable ? "?" : "";
  if (t.kind == TY_LIST)
    return arena_printf(a, "list<%s>%s", type_name(t.elem), mark);
  return arena_printf(a, "%s%s", type_name(t.kind), mark);
}

bool type_named(const char *name, TypeKind *out) {
  for (TypeKind k = TY_BOOL; k <= TY_MATRIX; k++)
    if (strcmp(types[k].name, name) == 0) {
      *out = k;
      return true;
    }
  return false;
}

bool type_is_number(TypeKind kind) {
  return kind == TY_INT || kind == TY_FLOAT;
}

bool type_is_text(TypeKind kind) {
  return kind == TY_STRING || kind == TY_CATEGORY;
}

bool type_is_scalar(TypeKind kind) {
  return kind >= TY_BOOL && kind <= TY_DURATION;
}

int type_cost(TypeKind from, TypeKind to) {
  if (from == to || from == TY_ERROR || to == TY_ERROR || (type_is_text(from) && type_is_text(to)))
    return 0;
  if (from == TY_BOOL)
    return to == TY_INT ? 1 : to == TY_FLOAT ? 2 : to == TY_CATEGORY ? 4 : -1;
  if (from == TY_INT)
    return to == TY_FLOAT ? 1 : to == TY_CATEGORY ? 4 : -1;
  if (from == TY_DATE && to == TY_CATEGORY)
    return 4;
  return -1;
}

bool type_join(Type a, Type b, Type *out) {
  *out = a;
  if (a.kind == TY_ERROR)
    out->kind = b.kind;
  else if (b.kind == TY_ERROR || a.kind == b.kind)
    out->kind = a.kind;
  else if (type_is_text(a.kind) && type_is_text(b.kind))
    out->kind = TY_CATEGORY;
  else if (b.kind != TY_CATEGORY && type_cost(a.kind, b.kind) >= 0)
    out->kind = b.kind;
  else if (a.kind != TY_CATEGORY && type_cost(b.kind, a.kind) >= 0)
    out->kind = a.kind;
  else
    return false;
  if (out->kind == TY_LIST && a.kind == TY_LIST && b.kind == TY_LIST && a.elem != b.elem)
    return false;
  out->nullable = a.nullable || b.nullable;
  return true;
}
