/* SPDX-License-Identifier: Apache-2.0 */
/* Large arrays that are kept: they come back zeroed, aligned, whole; and no more are kept than was said.
 *
 * Where nothing is ever kept (sanitizers, the hostile build) all of it must hold just as well. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/slab.h"

#define MB ((size_t)1 << 20)

static int not_zero(const char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i])
      return 1;
  return 0;
}

static void come_back(void **state) {
  (void)state;
  mem_keep(64 * MB);
  for (size_t n = MB; n <= 9 * MB; n += 3 * MB / 2 + 40) {
    for (int round = 0; round < 4; round++) { /* a second life has other pages, a third the same */
      char *p = mem_alloc(n);
      assert_non_null(p);
      assert_int_equal(not_zero(p, n), 0);
      memset(p, 1, n);
      mem_free(p);
      p = mem_alloc64(n);
      assert_non_null(p);
      assert_int_equal((uintptr_t)p % 64, 0);
      memset(p, 2, n);
      mem_free(p);
    }
  }
  mem_keep(0);
}

static void grow(void **state) {
  (void)state;
  mem_keep(64 * MB);
  char *first = mem_alloc(8 * MB);
  memset(first, 3, 8 * MB);
  mem_free(first);
  size_t had = 100;
  char *p = mem_alloc(had);
  memset(p, 7, had);
  for (size_t n = 1000; n < 40 * MB; n *= 3) {
    p = mem_realloc(p, n);
    assert_non_null(p);
    for (size_t i = 0; i < had; i++)
      if (p[i] != 7)
        fail_msg("byte %zu of %zu was lost", i, n);
    memset(p, 7, n);
    had = n;
  }
  p = mem_realloc(p, 2 * MB);
  assert_int_equal(p[2 * MB - 1], 7);
  mem_free(p);
  p = mem_realloc(NULL, 8 * MB);
  memset(p, 1, 8 * MB);
  mem_free(p);
  mem_free(NULL);
  mem_keep(0);
}

/* Three of 8 MB do not fit into 16: the oldest goes. Fewer bytes at once, too. */
static void limit(void **state) {
  (void)state;
  mem_keep(20 * MB);
  char *p[6];
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 6; i++) {
      p[i] = mem_alloc64(8 * MB);
      memset(p[i], i, 8 * MB);
    }
    for (int i = 0; i < 6; i++)
      assert_int_equal(p[i][8 * MB - 1], i);
    for (int i = 0; i < 6; i++)
      mem_free(p[i]);
    mem_keep(round ? 4 * MB : 20 * MB);
  }
  char *big = mem_alloc(64 * MB); /* larger than what may be kept */
  assert_int_equal(not_zero(big, 64 * MB), 0);
  mem_free(big);
  mem_fail_at(1);
  assert_null(mem_alloc(8 * MB));
  mem_fail_at(0);
  mem_keep(0);
}

/* More arrays than are known at once. */
static void many(void **state) {
  (void)state;
  enum { MANY = 150 };
  char *p[MANY];
  mem_keep(400 * MB);
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < MANY; i++) {
      p[i] = mem_alloc64(MB + 4096);
      p[i][0] = (char)i;
      p[i][MB] = (char)~i;
    }
    for (int i = 0; i < MANY; i++) {
      assert_int_equal(p[i][0], (char)i);
      assert_int_equal(p[i][MB], (char)~i);
      mem_free(p[i]);
    }
  }
  mem_keep(0);
}

static void *churn(void *arg) {
  size_t seed = (size_t)(uintptr_t)arg, wrong = 0;
  for (int i = 0; i < 200; i++) {
    size_t n = MB + (seed * 7919 + (size_t)i * 104729) % (3 * MB);
    char *p = mem_alloc(n);
    wrong += !p || p[0] || p[n / 2] || p[n - 1];
    if (!p)
      break;
    p[0] = p[n / 2] = p[n - 1] = (char)seed;
    p = i % 3 ? p : mem_realloc(p, n + n / 2);
    wrong += !p || p[0] != (char)seed || p[n - 1] != (char)seed;
    mem_free(p);
  }
  return (void *)(uintptr_t)wrong;
}

static void threads(void **state) {
  (void)state;
  pthread_t t[4];
  mem_keep(24 * MB);
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(pthread_create(&t[i], NULL, churn, (void *)(uintptr_t)(i + 1)), 0);
  for (size_t i = 0; i < 4; i++) {
    void *wrong;
    pthread_join(t[i], &wrong);
    assert_null(wrong);
  }
  mem_keep(0);
}

/* Arrays of a slab do not overlap; the last to be dropped frees it, whoever made it. */
static void slabs(void **state) {
  (void)state;
  Slab *s = slab_new(1000);
  assert_non_null(s);
  char *a = slab_take(s, 1000);
  assert_non_null(a);
  assert_int_equal((uintptr_t)a % 64, 0);
  memset(a, 1, 1000);
  slab_trim(s, a, 100);
  char *b = slab_take(s, 500);
  assert_true(b && b >= a + 100 && b < a + 1000);
  memset(b, 2, 500);
  assert_int_equal(a[99], 1);
  assert_null(slab_take(s, SIZE_MAX));
  slab_drop(s); /* a */
  slab_rewind(s);
  char *c = slab_take(s, 100);
  assert_true(!c || c >= b + 500);
  if (c)
    slab_drop(s);
  slab_drop(s); /* b */
  slab_rewind(s);
  assert_ptr_equal(slab_take(s, 1000), a);
  slab_drop(s);
  a[999] = 3; /* the array holds it */
  slab_drop(s);
  mem_fail_at(1);
  assert_null(slab_new(10));
  assert_null(slab_new(SIZE_MAX));
  mem_fail_at(0);
  s = slab_new(100u << 20);
  assert_non_null(s);
  a = slab_take(s, 100u << 20);
  assert_non_null(a);
  a[(100u << 20) - 1] = 1;
  slab_drop(s);
  slab_drop(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(come_back),
      cmocka_unit_test(grow),
      cmocka_unit_test(limit),
      cmocka_unit_test(many),
      cmocka_unit_test(threads),
      cmocka_unit_test(slabs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
