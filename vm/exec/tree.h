/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical tree: where partials of leaves meet.
 *
 * Leaf number i of a file is node (level 0, index i); node (l, i) is the merge of (l - 1, 2 i) and (l - 1,
 * 2 i + 1), in that order. A node without rows is NULL and passes its sibling through. Above the trees of
 * the files stands the same tree over file numbers. So the result depends on the leaves alone, never on
 * the order in which they come: nodes may be added in any order and at any level, as long as they cover
 * every leaf at most once. A Tree has no lock: tree_meet is short and made to be called under one; merging
 * happens outside. */
#ifndef VM_EXEC_TREE_H
#define VM_EXEC_TREE_H

#include "vm/exec.h"

typedef struct TreeNode {
  uint32_t file, level;
  uint64_t index;
  void *partial; /* NULL: no rows */
} TreeNode;

typedef struct Tree {
  const Pass *pass;
  const void *par;
  TreeNode *v; /* nodes whose sibling has not come */
  uint32_t n, cap;
  uint32_t most; /* most nodes held at once: for tests and reports */
} Tree;

void tree_init(Tree *t, const Pass *pass, const void *par);
void tree_free(Tree *t);

/* Stores node, or, where its sibling waits, takes that out into *other and returns true: merge the two and
 * come again with the parent. */
bool tree_meet(Tree *t, const TreeNode *node, TreeNode *other, Err *e);
/* The parent of two siblings; frees what is no longer needed. */
Status tree_join(const Pass *pass, const void *par, TreeNode *node, TreeNode *other, Err *e);
/* tree_meet and tree_join until the node rests: for one thread. Takes the partial, also on failure. */
Status tree_add(Tree *t, TreeNode node, Err *e);
/* Puts the nodes that wait into the order of their places. */
void tree_sort(Tree *t);
/* Merges what is left. *out is NULL when no leaf had rows. The tree is empty afterwards. */
Status tree_finish(Tree *t, void **out, Err *e);

#endif
