/* SPDX-License-Identifier: Apache-2.0 */
/* Notes beside a block (vm/notes.h), and what k-means notes there: bounds that are true, and the same bytes
 * from a pass with notes of any age, or none, as from one without. */
#include <math.h>

#include "tests/unit/scan.h"
#include "stdlib/cluster/cluster.h"
#include "vm/notes.h"

/* ---- the notes themselves ---- */

static void test_keep(void **state) {
  (void)state;
  Block *b = mem_alloc(sizeof *b);
  NoteRoom room;
  Notes n, other;
  Panel p = {.n = 5, .notes = &n};
  b->refs = 1;
  atomic_init(&room.left, 4096);
  notes_take(&n, b, &room);
  char *one = panel_note(&p, 7, 100), *two = panel_note(&p, 8, 100);
  n.row = 5;
  char *third = panel_note(&p, 7, 100);
  assert_true(one && two && third && one != two && one != third && one[0] == 0 && one[99] == 0);
  assert_true((uintptr_t)one % 16 == 0);
  memset(one, 1, 100);
  memset(third, 3, 100);
  n.row = 0;
  assert_ptr_equal(panel_note(&p, 7, 100), one);
  notes_take(&other, b, &room); /* at the same time: sees nothing */
  p.notes = &other;
  assert_true(*(char *)panel_note(&p, 7, 100) == 0);
  notes_put(&other, b);
  notes_put(&n, b); /* in its place */
  p.notes = &n;
  notes_take(&n, b, &room);
  assert_true(*(char *)panel_note(&p, 7, 100) == 1);
  assert_true(*(char *)panel_note(&p, 7, 101) == 0); /* of another size: another one */
  notes_put(&n, b);
  notes_take(&n, b, &room);
  assert_true(*(char *)panel_note(&p, 7, 100) == 1);
  assert_true(*(char *)panel_note(&p, 8, 100) == 0); /* nobody asked for it */
  assert_null(panel_note(&p, 9, 4096));              /* no room */
  n.row = 5;
  assert_true(*(char *)panel_note(&p, 7, 100) == 0);
  notes_put(&n, b);
  assert_true(room.left < 4096);
  notes_take(&n, b, NULL); /* whoever keeps none leaves them alone */
  assert_null(panel_note(&p, 7, 100));
  notes_put(&n, b);
  p.notes = NULL;
  assert_null(panel_note(&p, 7, 100));
  block_drop(b);
  assert_true(room.left == 4096);
}

/* ---- bounds ---- */

enum { ROWS = 300, MOST = 40 };

static void moved_away(double *c, uint32_t k, uint32_t d, double by, uint64_t key) {
  for (uint32_t i = 0; i < k * d; i++)
    c[i] += by * (scan_random(key, i) - 0.5) * (i / d % 3 == 0);
}

static double farthest(const double *a, const double *b, uint32_t k, uint32_t d) {
  double most = 0;
  for (uint32_t i = 0; i < k; i++) {
    double v = 0;
    for (uint32_t j = 0; j < d; j++)
      v += (a[i * d + j] - b[i * d + j]) * (a[i * d + j] - b[i * d + j]);
    most = fmax(most, sqrt(v));
  }
  return most * (1 + 1e-9);
}

/* Rows in groups around the centres; some centres are equal or nearly so, some rows far away. */
static void again_of(uint32_t d, uint32_t k, double size, double step, bool sparse) {
  double *x = malloc(ROWS * d * sizeof *x), *c = malloc(2 * k * d * sizeof *c), *old = c + k * d;
  for (uint32_t i = 0; i < k * d; i++)
    c[i] = size * (scan_random(1, i) - 0.5);
  if (k > 5)
    for (uint32_t j = 0; j < d; j++)
      c[5 * d + j] = c[2 * d + j] * (k % 2 ? 1 : 1 + 1e-7);
  for (uint32_t i = 0; i < ROWS * d; i++) {
    double at = c[i / d % k * d + i % d], spread = i / d % 11 == 0 ? 4 : 0.2;
    x[i] = scan_random(3, i) < 0.2 ? 0 : at + size * spread * (scan_random(2, i) - 0.5);
  }
  Matrix dense = {.n = ROWS, .d = d, .a = x}, csr = scan_sparse(&dense, true);
  NearRows rows = sparse ? (NearRows){.n = ROWS, .d = d, .ptr = csr.ptr, .col = csr.col, .val = csr.val}
                         : (NearRows){.n = ROWS, .d = d, .a = x, .direct = k % 2 == 0};
  uint32_t got[ROWS], want[ROWS], known = 0;
  double at[ROWS], want_at[ROWS];
  float lower[ROWS];
  Err e = {0};
  Arena a;
  arena_init(&a, NULL);
  for (int t = 0; t < 8; t++) {
    NearCenters centers;
    assert_int_equal(near_centers(&centers, c, k, d, sparse, &e), ST_OK);
    near_find(&centers, &rows, &a, want, want_at);
    double most = t ? farthest(c, old, k, d) : 0;
    for (uint32_t i = 0; i < ROWS; i++) {
      lower[i] = t ? (float)((lower[i] - most) * (1 - 1e-6)) : -1;
      known += lower[i] > 0;
    }
    near_find_again(&centers, &rows, &a, got, at, lower);
    assert_memory_equal(got, want, sizeof want);
    assert_memory_equal(at, want_at, sizeof want_at);
    for (uint32_t i = 0; i < ROWS; i++)
      for (uint32_t j = 0; j < k && lower[i] > 0; j++) {
        const double *to = c + j * d;
        double far = sqrt(near_distance(&rows, i, near_square(&rows, i), to, centers.cc[j]));
        assert_true(j == got[i] || far * (1 + 1e-12) > (double)lower[i]);
      }
    near_free(&centers);
    memcpy(old, c, k * d * sizeof *c);
    moved_away(c, k, d, t == 4 ? size : step, 50 + (uint64_t)t);
  }
  assert_true(k <= 2 || known > ROWS); /* two centres are not worth it */
  arena_free(&a);
  scan_sparse_free(&csr);
  free(x);
  free(c);
}

static void test_bounds(void **state) {
  (void)state;
  static const uint32_t ds[] = {1, 3, 16, 50}, ks[] = {1, 2, 7, 16, MOST};
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 5; j++)
      for (int sparse = 0; sparse < 2; sparse++) {
        again_of(ds[i], ks[j], 1, 1e-3, sparse);
        again_of(ds[i], ks[j], 1e-6, 1e-8, sparse);
      }
}

/* ---- the pass ---- */

typedef struct Chain { /* scans with notes, beside the same without */
  Matrix x;
  Block *block;
  NoteRoom room;
  ClusterSpace s;
  double *c;
  uint32_t k;
  ClusterMoved moved;
} Chain;

static void *scan_once(Chain *h, const ClusterMoved *moved, void **par, Err *e) {
  Buf bytes = {0};
  NearRows centers = {.n = h->k, .d = h->s.d, .a = h->c};
  RowErrors *errors = mem_alloc(sizeof *errors);
  Ctx ctx = {.errors = errors, .err = e};
  Notes notes;
  cluster_assign_par(&h->s, &centers, true, moved, &bytes);
  *par = cluster_assign.open(buf_bytes(&bytes), e);
  assert_non_null(*par);
  void *v = cluster_assign.init(*par, e);
  notes_take(&notes, h->block, moved ? &h->room : NULL);
  for (uint32_t from = 0; from < h->x.n; from += PANEL_ROWS) {
    Matrix x = h->x;
    x.n = x.n - from < PANEL_ROWS ? x.n - from : PANEL_ROWS;
    if (x.a)
      x.a += (size_t)from * x.d;
    else
      x.ptr += from;
    Panel p = {.n = x.n, .x = &x, .notes = &notes};
    notes.row = from;
    assert_int_equal(cluster_assign.map(*par, &p, v, &ctx), ST_OK);
  }
  notes_put(&notes, h->block);
  mem_free(errors);
  buf_free(&bytes);
  return v;
}

/* One scan in both ways; then the centres move. */
static void both(Chain *h, bool noted) {
  Err e = {0};
  void *par, *same;
  uint64_t places = cluster_places(&h->s, h->c, h->k);
  void *plain = scan_once(h, NULL, &same, &e), *v = noted ? scan_once(h, &h->moved, &par, &e) : NULL;
  size_t n = cluster_assign.partial_size(same);
  if (noted) {
    assert_memory_equal(plain, v, n);
    cluster_assign.free(par, v);
    cluster_assign.close(par);
  }
  ClusterSums sums;
  cluster_sums_at(plain, h->k, h->s.d, true, &sums);
  ClusterStep step = cluster_move(&h->s, &sums, h->c);
  h->moved = (ClusterMoved){
      .run = 5, .since = places, .which = step.which, .most = step.most, .other = step.other};
  cluster_assign.free(same, plain);
  cluster_assign.close(same);
}

static void chain_of(bool sparse, bool cosine) {
  enum { D = 6, K = 9, N = 2 * PANEL_ROWS + 40 };
  double *x = malloc((size_t)N * D * sizeof *x), c[K * D];
  for (uint32_t i = 0; i < N * D; i++)
    x[i] = scan_random(8, i) < 0.3 ? 0 : 0.3 * (i / D % K == i % D) + 0.3 * scan_random(9, i);
  for (uint32_t i = 0; i < K; i++)
    memcpy(c + i * D, x + (5 * i + 1) * D, D * sizeof *c);
  Matrix dense = {.n = N, .d = D, .a = x}, csr = scan_sparse(&dense, true);
  Chain h = {.x = sparse ? csr : dense, .block = mem_alloc(sizeof *h.block), .c = c, .k = K,
             .s = {.d = D, .sparse = sparse, .cosine = cosine, .scale = 1}, .moved = {.run = 5}};
  h.block->refs = 1;
  atomic_init(&h.room.left, 1 << 20);
  for (int t = 0; t < 14; t++) {
    both(&h, t != 6); /* after a scan elsewhere notes are of centres before those */
    if (t == 9) {     /* another run, from elsewhere, that has the same number */
      memcpy(c, x, sizeof c);
      h.moved = (ClusterMoved){.run = 5};
    }
    if (t == 11) { /* no room any more: what is there stays */
      atomic_store(&h.room.left, 0);
      h.moved.run = 6;
    }
  }
  block_drop(h.block);
  scan_sparse_free(&csr);
  free(x);
}

static void test_pass(void **state) {
  (void)state;
  for (int way = 0; way < 4; way++)
    chain_of(way & 1, way & 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_keep), cmocka_unit_test(test_bounds),
                                     cmocka_unit_test(test_pass)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
