/* SPDX-License-Identifier: Apache-2.0 */
/* Library: the functions a program starts with. `native` ones are declared in stdlib/native.cml with the
 * operation of the VM they stand for; the others are `fn`s of the other modules, expanded at the call.
 *
 * A native may have several declarations of one name (overloads). A type variable stands for the type of the
 * operands, and in the name of the operation for its representation: `native fn eq(a: T, b: T): bool =
 * "eq.T"` gives "eq.f64". T any scalar type    O those with an order (no bool)    N int, float, timestamp,
 * date, duration */
#ifndef LANG_NATIVE_H
#define LANG_NATIVE_H

#include "lang/node.h"
#include "lang/scope.h"

enum { NATIVE_ARGS = 8 }; /* at most so many parameters */

typedef struct NativeParam {
  const char *name;
  Type type;       /* of a variable: only `nullable` counts */
  char var;        /* 'T', 'O', 'N', or 0 */
  Phase phase;     /* the highest it takes */
  const Expr *def; /* default, or NULL */
} NativeParam;

typedef struct Native {
  const char *name, *op;
  bool aggregate;
  bool weight; /* an aggregate that takes `weight =`; the last parameter, which is not in `param` */
  NativeParam *param;
  uint32_t nparam;
  Type result;
  char var; /* of the result, or 0 */
  const Decl *decl;
  struct Native *next; /* the next overload */
} Native;

const Native *library_native(const Library *l, const char *name); /* first overload, or NULL */
const Decl *library_fn(const Library *l, const char *name);       /* a `fn` of the library, or NULL */
void library_names(const Library *l, Near *near);                 /* all function names */

/* How `arg` (n of them, NULL = left to its default) fits: the sum of the costs of widening, or -1. `bound`
 * receives the type that the type variable stands for. */
int native_fit(const Native *f, Node *const *arg, uint32_t n, Type *bound);
/* "clip(x: float, lo: float)": for messages and `cmlc doc`. */
const char *native_signature(Arena *a, const Native *f);

#endif
