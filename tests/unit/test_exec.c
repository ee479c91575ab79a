/* SPDX-License-Identifier: Apache-2.0 */
/* Executors: the same bits on 1, 2 and 7 threads, in forked children and over sites, cached, half cached and
 * streamed; positions and parts against a brute-force reading of the same file; data errors, written files,
 * interruption. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/hash.h"
#include "tests/unit/exec_passes.h"
#include "tests/unit/sites.h"
#include "vm/estimator.h"

enum { ROWS0 = BLOCK * 2 + CHUNK * 5 + CHUNK / 2, ROWS1 = CHUNK * 3 };

static char dir[64];

#define TRAIN_BODY \
  "  %0 = col s=\"x\" : f64?\n" \
  "  %1 = const.f64 f=0.5 : f64\n" \
  "  %2 = coalesce.f64 %0 %1 : f64\n" \
  "  %3 = col s=\"k\" : str\n" \
  "  %4 = const.vocab names=[\"ant\", \"bee\", \"cow\"] : vocab\n" \
  "  %5 = indicator.str %3 %4 : vec\n" \
  "  %6 = col s=\"id\" : i64\n" \
  "  %7 = cast.i64.f64 %6 : f64\n" \
  "  out slot \"x\" %2\n" \
  "  out slot \"k\" %5\n" \
  "  out target %7\n" \
  "  estimator \"none\"\n"

static const char program[] =
    PROGRAM_BEGIN("d?.csv")
    "  %11 = rng i=12 : f64\n"
    "  %12 = fold_of.f64 %11 i=5 : i64\n"
    "  %13 = cast.i64.f64 %0 : f64\n"
    "  %14 = sqrt.f64 %13 : f64\n"
    "  %15 = const.str s=\"_\" : str\n"
    "  %16 = cast.i64.str %4 : str?\n"
    "  %17 = concat.str %2 %15 : str\n"
    "  %18 = concat.str %17 %16 : str?\n"
    "  out column \"id\" int %0\n"
    "  out column \"x\" float %1\n"
    "  out column \"k\" category %2\n"
    "  out column \"both\" string %18\n"
    "  out part %10\n"
    "  out fold %12\n"
    "  out weight %14\n"
    "  parts \"train\" \"test\"\n"
    "  folds 5\n"
    "}\n"
    "fit \"d.fit\" from \"d.rows\" part 0 {\n"
    "  %0 = col s=\"x\" : f64?\n"
    "  %1 = col s=\"both\" : str?\n"
    "  out column \"x\" float %0\n"
    "  out column \"both\" string %1\n"
    "  level 0\n"
    "}\n"
    "fit \"d.fit_test\" from \"d.rows\" part 1 {\n"
    "  %0 = col s=\"x\" : f64?\n"
    "  %1 = col s=\"both\" : str?\n"
    "  out column \"x\" float %0\n"
    "  out column \"both\" string %1\n"
    "  level 0\n"
    "  joins\n"
    "}\n"
    "train \"m\" from \"d.rows\" part 0 {\n"
    TRAIN_BODY
    "  fitted $0\n"
    "}\n"
    "train \"m_too\" from \"d.rows\" part 0 {\n"
    TRAIN_BODY
    "  fitted $1\n"
    "  joins\n"
    "  matrix \"m\"\n"
    "}\n"
    "predict \"p\" from \"d.rows\" part 1 {\n"
    "  %0 = col s=\"id\" : i64\n"
    "  %1 = col s=\"x\" : f64?\n"
    "  %2 = col s=\"both\" : str?\n"
    "  out column \"id\" int %0\n"
    "  out column \"x\" float %1\n"
    "  out column \"both\" string %2\n"
    "  path \"out.csv\"\n"
    "}\n";

enum { ROWS_STAGE = 1, FIT = 2, FIT_TEST = 3, TRAIN = 4, TRAIN_TOO = 5, PREDICT = 6 };

#define FIT_ONLY one(&(const uint32_t){FIT})
#define TRAIN_ONLY one(&(const uint32_t){TRAIN})

static Stages one(const uint32_t *stage) {
  return (Stages){.v = stage, .n = 1};
}

/* What stands in record r of file f. */
static int64_t id_of(uint32_t f, uint32_t r) {
  return f * 1000000 + r;
}

static bool x_of(uint32_t f, uint32_t r, double *x) {
  uint64_t h = rng_word(f + 5, r);
  *x = (double)(h % 2000) / 16 - 40;
  return h % 11 != 0;
}

static const char *k_of(uint32_t f, uint32_t r) {
  static const char *const k[] = {"ant", "bee", "cow", "dog"};
  return k[rng_word(f + 9, r) % 4];
}

static void make_file(const char *name, uint32_t f, uint32_t n, uint32_t bad_from, uint32_t bad_step) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  FILE *o = fopen(path, "w");
  assert_non_null(o);
  fputs("id,x,k\n", o);
  for (uint32_t r = 0; r < n; r++) {
    double x;
    bool there = x_of(f, r, &x);
    fprintf(o, "%lld,", (long long)id_of(f, r));
    if (bad_step && r >= bad_from && (r - bad_from) % bad_step == 0)
      fputs("nonsense", o);
    else if (there)
      fprintf(o, "%.17g", x);
    fprintf(o, ",%s\n", k_of(f, r));
  }
  fclose(o);
}

static int set_up(void **state) {
  (void)state;
  strcpy(dir, "/tmp/cml-exec-XXXXXX");
  if (!mkdtemp(dir))
    return -1;
  make_file("d0.csv", 0, ROWS0, 0, 0);
  make_file("d1.csv", 1, ROWS1, 0, 0);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  static const char *const name[] = {"d0.csv", "d1.csv", "out.csv", "e0.csv"};
  for (int i = 0; i < 4; i++) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name[i]);
    unlink(path);
  }
  return rmdir(dir);
}

static const Registry registry = {.pass = test_passes};

static Executor *start(Where where, uint32_t threads, uint64_t memory, const char *text,
                       const atomic_bool *cancel) {
  Executor *x = exec_on(where, threads, memory);
  Err e;
  err_clear(&e);
  Limits l = {.threads = threads, .memory = memory, .dir = dir, .cancel = cancel};
  assert_non_null(x);
  Status st = x->open(x, (Bytes){(const uint8_t *)text, strlen(text)}, &registry, &l, &e);
  if (st)
    fail_msg("open: %s", e.cause);
  return x;
}

static void add(Jobs *j, const Pass *p, double par, int32_t leave_out, int32_t only) {
  Job *o = jobs_add(j, p);
  assert_non_null(o);
  buf_f64(&o->par, par);
  o->leave_out = leave_out;
  o->only_fold = only;
}

enum { FIT_JOBS = 12, TRAIN_JOBS = 5 };

static void fit_jobs(Jobs *j) {
  add(j, &sum_pass, 1.25, -1, -1);
  add(j, &big_pass, 1.25, -1, -1);
  add(j, &middle_pass, 0.3, -1, -1);
  add(j, &count_pass, 0, -1, -1);
  add(j, &list_pass, 0, -1, -1);
  for (int f = 0; f < 3; f++) {
    add(j, &sum_pass, 0.7, f, -1);
    add(j, &list_pass, 0, -1, f);
  }
  add(j, &count_pass, 0, 4, -1);
}

static void train_jobs(Jobs *j) {
  add(j, &matrix_pass, 0.5, -1, -1);
  add(j, &matrix_pass, 0.5, 1, -1);
  add(j, &matrix_pass, 0.25, -1, 4);
  add(j, &count_pass, 0, -1, -1);
  add(j, &list_pass, 0, 2, -1);
}

/* Everything there is to reduce, twice over, in an order that moves caches: all bytes that come out. */
static void run_all(Executor *x, bool with_big, Buf *all, ScanInfo *last) {
  static const uint32_t order[] = {FIT, TRAIN, TRAIN, FIT, TRAIN};
  Err e;
  err_clear(&e);
  for (int i = 0; i < 5; i++) {
    Jobs j = {.n = 0};
    Buf out[FIT_JOBS + TRAIN_JOBS];
    memset(out, 0, sizeof out);
    if (order[i] == FIT)
      fit_jobs(&j);
    else
      train_jobs(&j);
    if (!with_big && order[i] == FIT) /* without it tasks are quarters of blocks */
      j.v[1].pass = &sum_pass;
    Status st = x->reduce(x, one(&order[i]), &j, out, last, NULL, NULL, &e);
    if (st)
      fail_msg("reduce: %s: %s", e.where, e.cause);
    for (uint32_t k = 0; k < j.n; k++) {
      buf_blob(all, out[k].p, out[k].n);
      buf_free(&out[k]);
    }
    assert_int_equal(last->read, ROWS0 + ROWS1);
    jobs_free(&j);
  }
}

/* Two stages in one scan: each job gives the bytes that it gives alone, where the stages have the same part.
 */
static void together(void **state) {
  static const uint32_t pair[2][2] = {{FIT, FIT_TEST}, {TRAIN, TRAIN_TOO}};
  (void)state;
  for (int way = 0; way < 5; way++) {
    Executor *x = start(way == 4  ? SITES
                        : way & 1 ? LOOPBACK
                                  : LOCAL,
                        way & 2 ? 3 : 1, UINT64_C(4) << 30, program, NULL);
    for (int i = 0; i < 4; i++) {
      const uint32_t *stage = pair[i % 2];
      Jobs j = {.n = 0}, both = {.n = 0};
      Buf alone[2][FIT_JOBS + TRAIN_JOBS], out[2 * (FIT_JOBS + TRAIN_JOBS)];
      uint64_t seen[2], seen_alone[2];
      Err e;
      memset(alone, 0, sizeof alone);
      memset(out, 0, sizeof out);
      err_clear(&e);
      (i % 2 ? train_jobs : fit_jobs)(&j);
      (i % 2 ? train_jobs : fit_jobs)(&both);
      (i % 2 ? train_jobs : fit_jobs)(&both);
      for (uint32_t k = 0; k < j.n; k++)
        both.v[j.n + k].of = 1;
      for (int k = 0; k < 2; k++)
        assert_int_equal(x->reduce(x, one(&stage[k]), &j, alone[k], NULL, &seen_alone[k], NULL, &e), ST_OK);
      Stages two = {.v = stage, .n = 2};
      assert_int_equal(x->reduce(x, two, &both, out, NULL, seen, NULL, &e), ST_OK);
      for (uint32_t k = 0; k < both.n; k++) {
        const Buf *a = &alone[k / j.n][k % j.n];
        assert_int_equal(a->n, out[k].n);
        assert_memory_equal(a->p, out[k].p, a->n);
      }
      for (int k = 0; k < 2; k++)
        assert_true(seen[k] && seen[k] == seen_alone[k]);
      assert_true((seen[0] == seen[1]) == (i % 2)); /* fits: of two parts */
      for (uint32_t k = 0; k < both.n; k++)
        buf_free(&out[k]), buf_free(&alone[k / j.n][k % j.n]);
      jobs_free(&j);
      jobs_free(&both);
    }
    x->close(x);
  }
}

static Buf reference(bool with_big) {
  Buf b = {.n = 0};
  ScanInfo info;
  Executor *x = start(LOCAL, 1, UINT64_C(4) << 30, program, NULL);
  run_all(x, with_big, &b, &info);
  assert_true(info.from_cache);
  x->close(x);
  return b;
}

static void same_bits_local(void **state) {
  (void)state;
  static const uint32_t threads[] = {1, 2, 7};
  static const uint64_t mb[] = {8, 16, 20, 24, 28, 34, 40, 60, 1000};
  for (int big = 0; big < 2; big++) {
    Buf want = reference(big);
    for (unsigned t = 0; t < 3; t++) {
      for (unsigned m = 0; m < sizeof mb / sizeof *mb; m++) {
        Buf got = {.n = 0};
        ScanInfo info;
        Executor *x = start(LOCAL, threads[t], mb[m] << 20, program, NULL);
        run_all(x, big, &got, &info);
        x->close(x);
        assert_int_equal(got.n, want.n);
        assert_memory_equal(got.p, want.p, want.n);
        buf_free(&got);
      }
    }
    buf_free(&want);
  }
}

static void same_bits_loopback(void **state) {
  (void)state;
  for (int big = 0; big < 2; big++) {
    Buf want = reference(big), got = {.n = 0};
    ScanInfo info;
    Executor *x = start(LOOPBACK, 1, UINT64_C(1) << 30, program, NULL);
    run_all(x, big, &got, &info);
    x->close(x);
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.p, want.p, want.n);
    buf_free(&got);
    buf_free(&want);
  }
}

/* Columns and text; everything on the disk, some of it, nothing. */
static void same_bits_sites(void **state) {
  static const uint64_t memory[] = {0, BLOCK * 60, UINT64_C(1) << 30};
  uint64_t again = 0, lost = 0;
  (void)state;
  for (int way = 0; way < 6; way++) {
    Buf want = reference(way & 1), got = {.n = 0};
    ScanInfo info;
    Executor *x = start(way < 3 ? SITES : SITES_TEXT, 4, memory[way % 3], program, NULL);
    run_all(x, way & 1, &got, &info);
    assert_true((((Sites *)x)->spilled > 0) == (way % 3 < 2));
    again += ((Sites *)x)->again;
    lost += ((Sites *)x)->lost;
    x->close(x);
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.p, want.p, want.n);
    buf_free(&got);
    buf_free(&want);
  }
  assert_true(again && lost);
}

/* Is this record among the rows, in which part and fold? By the meaning of the program alone. */
static bool row_of(uint32_t f, uint32_t r, int *part, int *fold) {
  uint64_t at = hash_word(f, r);
  *part = unit_of(rng_word(11, at)) >= 0.75;
  *fold = (int)(unit_of(rng_word(12, at)) * 5);
  return id_of(f, r) % 7 != 3;
}

/* The list job against a plain walk: every row once, in order, with its text; and the counts. */
static void right_rows(void **state) {
  (void)state;
  Executor *x = start(LOCAL, 2, UINT64_C(1) << 30, program, NULL);
  Jobs j = {.n = 0};
  Buf out[4];
  ScanInfo info;
  Err e;
  err_clear(&e);
  memset(out, 0, sizeof out);
  add(&j, &list_pass, 0, -1, -1);
  add(&j, &list_pass, 0, 2, -1);
  add(&j, &count_pass, 0, -1, -1);
  add(&j, &sum_pass, 1, -1, -1);
  assert_int_equal(x->reduce(x, FIT_ONLY, &j, out, &info, NULL, NULL, &e), ST_OK);
  Rd all = rd_of(buf_bytes(&out[0])), left = rd_of(buf_bytes(&out[1])), count = rd_of(buf_bytes(&out[2]));
  uint64_t kept[2] = {0, 0}, by_fold[8] = {0};
  double sum = 0;
  for (uint32_t f = 0; f < 2; f++) {
    for (uint32_t r = 0; r < (f ? ROWS1 : ROWS0); r++) {
      int part, fold;
      char text[32];
      double v;
      if (!row_of(f, r, &part, &fold))
        continue;
      kept[part]++;
      if (part)
        continue;
      by_fold[fold]++;
      sum += x_of(f, r, &v) ? v * sqrt((double)id_of(f, r)) : 0;
      int n = snprintf(text, sizeof text, "%s_%d", k_of(f, r), (int)(id_of(f, r) % 7));
      for (int k = 0; k < 2 - (fold == 2); k++) {
        Rd *l = k ? &left : &all;
        assert_int_equal(rd_u32(l), f);
        assert_int_equal(rd_u64(l), r);
        Bytes b = rd_blob(l);
        assert_int_equal(b.n, n);
        assert_memory_equal(b.p, text, b.n);
      }
    }
  }
  assert_true(rd_done(&all) && rd_done(&left));
  for (int i = 0; i < 5; i++)
    assert_int_equal(rd_u64(&count), by_fold[i]);
  assert_int_equal(info.kept[0], kept[0]);
  assert_int_equal(info.kept[1], kept[1]);
  assert_int_equal(info.rows, kept[0]);
  Rd s = rd_of(buf_bytes(&out[3]));
  double got = rd_f64(&s);
  assert_true(fabs(got - sum) <= 1e-9 * fabs(sum));
  for (uint32_t i = 0; i < 4; i++)
    buf_free(&out[i]);
  jobs_free(&j);
  x->close(x);
}

/* A scan without jobs counts and fills the caches. */
static void count_only(void **state) {
  (void)state;
  Executor *x = start(LOCAL, 2, UINT64_C(1) << 30, program, NULL);
  Jobs none = {.n = 0};
  ScanInfo a, b;
  Err e;
  err_clear(&e);
  assert_int_equal(x->reduce(x, TRAIN_ONLY, &none, NULL, &a, NULL, NULL, &e), ST_OK);
  assert_false(a.from_cache);
  assert_int_equal(x->reduce(x, TRAIN_ONLY, &none, NULL, &b, NULL, NULL, &e), ST_OK);
  assert_true(b.from_cache);
  assert_int_equal(a.rows, b.rows);
  assert_int_equal(a.kept[0], b.kept[0]);
  x->drop(x, TRAIN);
  x->drop(x, ROWS_STAGE);
  assert_int_equal(x->reduce(x, TRAIN_ONLY, &none, NULL, &b, NULL, NULL, &e), ST_OK);
  assert_false(b.from_cache);
  x->close(x);
}

static void writes(void **state) {
  (void)state;
  char path[128], want[DIGEST_HEX] = "", got[DIGEST_HEX];
  snprintf(path, sizeof path, "%s/out.csv", dir);
  for (int way = 0; way < 6; way++) {
    Err e;
    ScanInfo info;
    uint64_t bytes;
    err_clear(&e);
    Executor *x = start(way < 3 ? LOCAL : (Where)(way - 2), way == 2 ? 7 : (uint32_t)way + 1,
                        UINT64_C(60) << 20, program, NULL);
    Status st = x->write(x, PREDICT, path, &info, NULL, &e);
    if (st)
      fail_msg("write: %s", e.cause);
    assert_int_equal(info.rows, info.kept[1]);
    assert_int_equal(digest_file(path, got, &bytes, &e), ST_OK);
    if (way)
      assert_string_equal(got, want);
    strcpy(want, got);
    x->close(x);
  }
}

static void bad_rows(void **state) {
  (void)state;
  char count[64];
  make_file("e0.csv", 0, BLOCK + CHUNK * 2, 17, CHUNK);
  snprintf(count, sizeof count, "%d rows have bad values", (BLOCK + CHUNK * 2 - 18) / CHUNK + 1);
  char *text = strdup(program), *at = strstr(text, "d?.csv"), first[sizeof((Err *)0)->cause] = "";
  memcpy(at, "e?.csv", 6);
  for (int way = 0; way < 5; way++) {
    Jobs j = {.n = 0};
    Buf out[FIT_JOBS];
    ScanInfo info;
    Err e;
    err_clear(&e);
    memset(out, 0, sizeof out);
    fit_jobs(&j);
    Executor *x = start(way == 4   ? SITES_TEXT
                        : way == 3 ? LOOPBACK
                                   : LOCAL,
                        way == 2 ? 7 : (uint32_t)way + 1, UINT64_C(60) << 20, text, NULL);
    assert_int_equal(x->reduce(x, FIT_ONLY, &j, out, &info, NULL, NULL, &e), ST_DATA);
    assert_non_null(strstr(e.cause, count));
    assert_non_null(strstr(e.cause, "e0.csv, record 18, column x: "));
    if (way)
      assert_string_equal(e.cause, first);
    strcpy(first, e.cause);
    for (uint32_t i = 0; i < j.n; i++)
      buf_free(&out[i]);
    jobs_free(&j);
    x->close(x);
  }
  free(text);
}

static void interrupted(void **state) {
  (void)state;
  atomic_bool stop = true;
  for (int way = 0; way < 2; way++) {
    Jobs none = {.n = 0};
    Err e;
    err_clear(&e);
    Executor *x = start(way ? LOOPBACK : LOCAL, 2, UINT64_C(60) << 20, program, &stop);
    assert_int_equal(x->reduce(x, FIT_ONLY, &none, NULL, NULL, NULL, NULL, &e), ST_CANCEL);
    x->close(x);
  }
}

/* Memory that is used up anywhere ends in an error, without a crash or a leak (seen by the sanitizer
 * build). */
static void memory_used_up(void **state) {
  (void)state;
  char *text = strdup(program), *at = strstr(text, "d?.csv");
  memcpy(at, "d1.csv", 6);
  uint32_t bad = 0;
  for (long n = 1; n < 4000; n += 1 + n / 12) {
    static const uint32_t stage[] = {FIT, TRAIN};
    Executor *x = start(LOCAL, 1, UINT64_C(1) << 30, text, NULL);
    Jobs j[2] = {{.n = 0}, {.n = 0}};
    fit_jobs(&j[0]);
    train_jobs(&j[1]);
    Buf out[2][FIT_JOBS];
    memset(out, 0, sizeof out);
    Err e;
    err_clear(&e);
    Status st = ST_OK;
    mem_fail_at(n);
    for (int i = 0; i < 2 && !st; i++)
      st = x->reduce(x, one(&stage[i]), &j[i], out[i], NULL, NULL, NULL, &e);
    mem_fail_at(0);
    if (st && st != ST_RESOURCE)
      fail_msg("allocation %ld: status %d, %s", n, st, e.cause);
    bad += st == ST_RESOURCE;
    for (int i = 0; i < 2; i++) {
      for (uint32_t k = 0; k < j[i].n; k++)
        buf_free(&out[i][k]);
      jobs_free(&j[i]);
    }
    x->close(x);
  }
  assert_true(bad > 10);
  free(text);
}

static void missing_file(void **state) {
  (void)state;
  char *text = strdup(program), *at = strstr(text, "d?.csv");
  memcpy(at, "z?.csv", 6);
  Jobs none = {.n = 0};
  Err e;
  err_clear(&e);
  Executor *x = start(LOCAL, 2, UINT64_C(60) << 20, text, NULL);
  assert_int_equal(x->reduce(x, FIT_ONLY, &none, NULL, NULL, NULL, NULL, &e), ST_DATA);
  x->close(x);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(right_rows),         cmocka_unit_test(count_only),   cmocka_unit_test(same_bits_local),
      cmocka_unit_test(same_bits_loopback), cmocka_unit_test(same_bits_sites),
      cmocka_unit_test(writes),             cmocka_unit_test(bad_rows),
      cmocka_unit_test(interrupted),        cmocka_unit_test(missing_file),
      cmocka_unit_test(memory_used_up),     cmocka_unit_test(together),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
