/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical tree: see tree.h. Read tree_meet, then tree_finish. */
#include "vm/exec/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

void tree_init(Tree *t, const Pass *pass, const void *par) {
  *t = (Tree){.pass = pass, .par = par};
}

static void free_all(Tree *t, TreeNode *v, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (v[i].partial)
      t->pass->free(t->par, v[i].partial);
}

void tree_free(Tree *t) {
  free_all(t, t->v, t->n);
  mem_free(t->v);
  t->v = NULL;
  t->n = t->cap = 0;
}

bool tree_meet(Tree *t, const TreeNode *node, TreeNode *other, Err *e) {
  for (uint32_t i = 0; i < t->n; i++) {
    TreeNode *w = &t->v[i];
    if (w->level == node->level && (w->index ^ 1) == node->index && w->file == node->file) {
      *other = *w;
      *w = t->v[--t->n];
      return true;
    }
  }
  if (t->n == t->cap) {
    uint32_t cap = t->cap ? 2 * t->cap : 32;
    TreeNode *v = mem_realloc(t->v, cap * sizeof *v);
    if (!v) {
      if (node->partial)
        t->pass->free(t->par, node->partial);
      err_memory(e);
      return false;
    }
    t->v = v;
    t->cap = cap;
  }
  t->v[t->n++] = *node;
  if (t->n > t->most)
    t->most = t->n;
  return false;
}

/* a and b may be NULL; the result takes both. */
static Status merge_two(const Pass *pass, const void *par, void *a, void *b, void **out, Err *e) {
  *out = a ? a : b;
  if (!a || !b)
    return ST_OK;
  Status st = pass->merge(par, a, b, e);
  pass->free(par, b);
  if (st) {
    pass->free(par, a);
    *out = NULL;
  }
  return st;
}

Status tree_join(const Pass *pass, const void *par, TreeNode *node, TreeNode *other, Err *e) {
  TreeNode *l = node->index & 1 ? other : node;
  TreeNode *r = node->index & 1 ? node : other;
  void *p;
  Status st = merge_two(pass, par, l->partial, r->partial, &p, e);
  node->partial = p;
  node->level++;
  node->index >>= 1;
  return st;
}

Status tree_add(Tree *t, TreeNode node, Err *e) {
  TreeNode other;
  while (tree_meet(t, &node, &other, e)) {
    Status st = tree_join(t->pass, t->par, &node, &other, e);
    if (st)
      return st;
  }
  return e->code;
}

static int by_place(const void *x, const void *y) {
  const TreeNode *a = x, *b = y;
  if (a->file != b->file)
    return a->file < b->file ? -1 : 1;
  if (a->level != b->level)
    return a->level < b->level ? -1 : 1;
  return a->index < b->index ? -1 : a->index > b->index;
}

/* Merges v[0..n), sorted by index and all on one level; the rest of a level below has been promoted into
 * them. Gives the nodes of the level above. */
static Status climb(Tree *t, TreeNode *v, uint32_t *n, Err *e) {
  uint32_t k = 0;
  Status st = ST_OK;
  for (uint32_t i = 0; i < *n;) {
    TreeNode node = v[i++];
    if (i < *n && v[i].index == (node.index ^ 1)) {
      if (st)
        free_all(t, &v[i], 1);
      else
        st = tree_join(t->pass, t->par, &node, &v[i], e);
      i++;
    } else {
      node.level++;
      node.index >>= 1;
    }
    v[k++] = node;
  }
  *n = k;
  return st;
}

/* In at its place: v[0..n) is sorted by index. */
static Status enter(TreeNode *v, uint32_t n, TreeNode node, Err *e) {
  uint32_t k = n;
  for (; k > 0 && v[k - 1].index > node.index; k--)
    v[k] = v[k - 1];
  v[k] = node;
  if (k > 0 && v[k - 1].index == node.index)
    return err_set(e, ST_FAULT, "CML0603", NULL, "two tasks went over the same rows");
  return ST_OK;
}

/* One tree: nodes of any levels, sorted by (level, index), to one partial. Takes all of them, also on
 * failure. */
static Status reduce_all(Tree *t, TreeNode *v, uint32_t n, void **out, Err *e) {
  Status st = ST_OK;
  TreeNode *w = n ? mem_alloc(n * sizeof *w) : NULL;
  *out = NULL;
  if (n && !w) {
    free_all(t, v, n);
    return err_memory(e);
  }
  uint32_t nw = 0, i = 0;
  uint32_t level = n ? v[0].level : 0;
  while (i < n || nw > 1) {
    if (nw == 0)
      level = v[i].level;
    while (i < n && v[i].level == level && !st)
      st = enter(w, nw++, v[i++], e);
    if (!st && i == n && nw == 1)
      break;
    if (st || (st = climb(t, w, &nw, e)))
      break;
    level++;
  }
  if (!st && nw)
    *out = w[0].partial;
  if (st) {
    free_all(t, w, nw);
    free_all(t, v + i, n - i);
  }
  mem_free(w);
  return st;
}

void tree_sort(Tree *t) {
  if (t->n)
    qsort(t->v, t->n, sizeof *t->v, by_place);
}

Status tree_finish(Tree *t, void **out, Err *e) {
  *out = NULL;
  if (!t->n)
    return ST_OK;
  tree_sort(t);
  uint32_t nfile = 0;
  Status st = ST_OK;
  /* each file to one node; written over the front of v, which has been read */
  for (uint32_t i = 0; i < t->n;) {
    uint32_t k = i;
    while (k < t->n && t->v[k].file == t->v[i].file)
      k++;
    TreeNode f = {.file = 0, .level = 0, .index = t->v[i].file};
    if (st)
      free_all(t, t->v + i, k - i);
    else
      st = reduce_all(t, t->v + i, k - i, &f.partial, e);
    t->v[nfile++] = f;
    i = k;
  }
  if (st)
    free_all(t, t->v, nfile);
  else
    st = reduce_all(t, t->v, nfile, out, e);
  mem_free(t->v);
  t->v = NULL;
  t->n = t->cap = 0;
  return st;
}
