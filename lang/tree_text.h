/* SPDX-License-Identifier: Apache-2.0 */
/* A checked tree as text, for tests and for looking at: declarations as lines, expressions as S-expressions.
 */
#ifndef LANG_TREE_TEXT_H
#define LANG_TREE_TEXT_H

#include "base/buf.h"
#include "lang/tree.h"

void tree_print(const Tree *t, Buf *out);
void tree_print_node(const Node *n, Buf *out); /* (mean.f64 :fitted float (col delay)) */

#endif
