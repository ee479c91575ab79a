/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical tree: partials are texts like "((0 1) 2)", so that the shape of the tree can be read off
 * the result. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/hash.h"
#include "vm/exec/tree.h"

static int fail_merge;

static Status text_merge(const void *par, void *l, void *r, Err *e) {
  (void)par;
  char **a = l, **b = r;
  if (fail_merge && !--fail_merge)
    return err_memory(e);
  char *t = mem_alloc(strlen(*a) + strlen(*b) + 4);
  sprintf(t, "(%s %s)", *a, *b);
  mem_free(*a);
  *a = t;
  return ST_OK;
}

static void text_free(const void *par, void *p) {
  (void)par;
  mem_free(*(char **)p);
  mem_free(p);
}

static const Pass text_pass = {.name = "test.text", .kind = RED_TREE, .merge = text_merge, .free = text_free};

static void *leaf(const char *s) {
  char **p = mem_alloc(sizeof *p);
  *p = mem_strdup(s);
  return p;
}

/* The definition: node (level, index) of one file over leaves 0..n-1, of which those with there[i] have
 * rows. NULL: none. */
static char *defined(uint32_t file, const uint8_t *there, uint32_t n, uint32_t level, uint64_t index) {
  if ((index << level) >= n)
    return NULL;
  if (level == 0) {
    char t[32];
    if (!there[index])
      return NULL;
    snprintf(t, sizeof t, "%u:%u", file, (unsigned)index);
    return mem_strdup(t);
  }
  char *a = defined(file, there, n, level - 1, 2 * index);
  char *b = defined(file, there, n, level - 1, 2 * index + 1);
  if (!a || !b)
    return a ? a : b;
  char *t = mem_alloc(strlen(a) + strlen(b) + 4);
  sprintf(t, "(%s %s)", a, b);
  mem_free(a);
  mem_free(b);
  return t;
}

static void node_of(Tree *t, uint32_t file, const uint8_t *there, uint32_t n, uint32_t level, uint64_t index,
                    TreeNode *out) {
  (void)t;
  char *s = defined(file, there, n, level, index);
  *out = (TreeNode){.file = file, .level = level, .index = index, .partial = s ? leaf(s) : NULL};
  mem_free(s);
}

enum { FILES = 3, LEAVES = 45 };

/* Adds all leaves of some files, cut into nodes of random levels, in random order. Gives the result as
 * text. */
static char *build(uint64_t seed, const uint8_t there[FILES][LEAVES], bool single, uint32_t *most) {
  Tree t;
  Err e;
  TreeNode v[FILES * LEAVES];
  uint32_t n = 0;
  err_clear(&e);
  tree_init(&t, &text_pass, NULL);
  for (uint32_t f = 0; f < FILES; f++) {
    for (uint32_t i = 0; i < LEAVES;) {
      uint32_t level = single ? 0 : (uint32_t)(rng_word(seed, n) % 4);
      while (i & ((1u << level) - 1))
        level--;
      node_of(&t, f, there[f], LEAVES, level, i >> level, &v[n++]);
      i += 1u << level;
    }
  }
  for (uint32_t i = n; i > 1 && seed; i--) {
    uint32_t k = (uint32_t)(rng_word(seed ^ 77, i) % i);
    TreeNode w = v[k];
    v[k] = v[i - 1];
    v[i - 1] = w;
  }
  for (uint32_t i = 0; i < n; i++)
    assert_int_equal(tree_add(&t, v[i], &e), ST_OK);
  void *out = NULL;
  assert_int_equal(tree_finish(&t, &out, &e), ST_OK);
  *most = t.most;
  tree_free(&t);
  if (!out)
    return NULL;
  char *s = mem_strdup(*(char **)out);
  text_free(NULL, out);
  return s;
}

static char *expected(const uint8_t there[FILES][LEAVES]) {
  char *f[FILES], *ab, *r;
  for (uint32_t i = 0; i < FILES; i++)
    f[i] = defined(i, there[i], LEAVES, 6, 0);
  ab = f[0] ? f[0] : f[1];
  if (f[0] && f[1]) {
    ab = mem_alloc(strlen(f[0]) + strlen(f[1]) + 4);
    sprintf(ab, "(%s %s)", f[0], f[1]);
    mem_free(f[0]);
    mem_free(f[1]);
  }
  r = ab ? ab : f[2];
  if (ab && f[2]) {
    r = mem_alloc(strlen(ab) + strlen(f[2]) + 4);
    sprintf(r, "(%s %s)", ab, f[2]);
    mem_free(ab);
    mem_free(f[2]);
  }
  return r;
}

static void any_order(void **state) {
  (void)state;
  static const unsigned share[] = {100, 50, 5, 1};
  for (unsigned k = 0; k < 4; k++) {
    uint8_t there[FILES][LEAVES];
    for (uint32_t f = 0; f < FILES; f++)
      for (uint32_t i = 0; i < LEAVES; i++)
        there[f][i] = rng_word(k + 1, f * 1000 + i) % 100 < share[k];
    char *want = expected(there);
    for (uint64_t seed = 0; seed < 60; seed++) {
      uint32_t most;
      char *got = build(seed, there, seed % 2, &most);
      assert_true((got != NULL) == (want != NULL));
      if (want)
        assert_string_equal(got, want);
      if (seed == 0)
        assert_true(most <= FILES * 12); /* in order: one path a file */
      mem_free(got);
    }
    mem_free(want);
  }
}

static void nothing(void **state) {
  (void)state;
  Tree t;
  Err e;
  void *out = &t;
  err_clear(&e);
  tree_init(&t, &text_pass, NULL);
  assert_int_equal(tree_finish(&t, &out, &e), ST_OK);
  assert_null(out);
  assert_int_equal(tree_add(&t, (TreeNode){.index = 3}, &e), ST_OK);
  assert_int_equal(tree_add(&t, (TreeNode){.index = 900, .file = 7}, &e), ST_OK);
  assert_int_equal(tree_finish(&t, &out, &e), ST_OK);
  assert_null(out);
}

static void one_leaf_far_out(void **state) {
  (void)state;
  Tree t;
  Err e;
  void *out;
  err_clear(&e);
  tree_init(&t, &text_pass, NULL);
  assert_int_equal(tree_add(&t, (TreeNode){.file = 2, .index = UINT64_C(1) << 40, .partial = leaf("x")}, &e),
                   ST_OK);
  assert_int_equal(tree_add(&t, (TreeNode){.file = 2, .index = 5, .partial = leaf("a")}, &e), ST_OK);
  assert_int_equal(tree_finish(&t, &out, &e), ST_OK);
  assert_string_equal(*(char **)out, "(a x)");
  text_free(NULL, out);
}

/* A merge that fails anywhere is reported, and nothing leaks (seen by the sanitizer build). */
static void failures(void **state) {
  (void)state;
  for (int at = 1; at < 20; at++) {
    Tree t;
    Err e;
    void *out = NULL;
    Status st = ST_OK;
    err_clear(&e);
    tree_init(&t, &text_pass, NULL);
    fail_merge = at;
    for (uint32_t i = 0; i < 15 && !st; i++)
      st = tree_add(&t, (TreeNode){.file = i % 2, .index = i / 2, .partial = leaf("x")}, &e);
    if (!st)
      st = tree_finish(&t, &out, &e);
    if (out)
      text_free(NULL, out);
    tree_free(&t);
    assert_int_equal(st, at <= 14 ? ST_RESOURCE : ST_OK);
    fail_merge = 0;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_order),
      cmocka_unit_test(nothing),
      cmocka_unit_test(one_leaf_far_out),
      cmocka_unit_test(failures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
