/* SPDX-License-Identifier: Apache-2.0 */
/* The shapes of the row vectors of a program: how many elements each has, in which form its rows are kept,
 * what its elements are called.
 *
 * They are known once the fitted values are: a vocabulary says how wide one-hot rows are, a fitted matrix
 * how many components there are. */
#ifndef VM_SHAPE_H
#define VM_SHAPE_H

#include "vm/fitted.h"
#include "vm/ir.h"

/* elements of a vector; degree of a polynomial */
enum { VECTOR_MOST = 1 << 24, DEGREE_MOST = 8, KNOTS_MOST = 1000 };

typedef struct Shape {
  uint32_t width;
  bool hot;       /* one element is 1, or none: Col.hot */
  bool sparse;    /* entries: Col.is_sparse */
} Shape;

/* out[i] for each vector i of the program; others are left as they are. An error when a width cannot be,
 * or two that must agree do not. */
Status shapes_of(const RowProg *p, const Env *env, Shape *out, Err *e);

/* What follows the slot's name in the name of each element of vector `val`: "_sin", ".age", "=ATL",
 * ".origin=ATL", "=ATL:Mon", "" where the slot's name is enough. out has room for its width; the strings
 * are from mem_*. */
Status shape_names(const RowProg *p, const Env *env, const Shape *shape, uint32_t val, char **out, Err *e);

/* Monomials of n numbers, of degree 1 to `degree`, in the order a, b, a^2, a*b, b^2, ...: monomial m is
 * monomial `from` (UINT32_MAX: 1) times number `by`. `distinct`: no number twice. NULL arrays only count.
 * 0: more than VECTOR_MOST. */
uint32_t monomials(uint32_t n, uint32_t degree, bool distinct, uint32_t *from, uint32_t *by);

#endif
