/* SPDX-License-Identifier: Apache-2.0 */
/* One site, asked for everything that an engine may ask of it, in any order: what is kept and what is not,
 * values that are put again, tasks that end early or on another thread, a scratch folder that fails, memory
 * that is used up, messages that are wrong. That scans over several sites give the bits of one process is
 * tested in test_exec.c, test_run.c and test_fit_anywhere.c (sites.h). */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/site_program.h"
#include "tests/unit/sites.h"
#include "vm/fitted.h"

enum { ROWS = BLOCK * 2 + CHUNK + 5 };

static char scratch[64];
static Buf record[64]; /* of the file, in order */
static uint32_t nrecord;

static void tell_files(Site *s, uint64_t rows, uint64_t version) {
  RecordFile file = {.name = "d.csv", .rows = rows};
  Buf value = {.n = 0};
  Err e = {.code = ST_OK};
  site_source(&file, 1, &value);
  assert_int_equal(site_put(s, SITE_SOURCE, SOURCE, version, buf_bytes(&value), &e), ST_OK);
  buf_free(&value);
}

static Site *fresh(uint64_t memory, const char *folder) {
  Site *s = NULL;
  Err e = {.code = ST_OK};
  if (site_open(site_text, &site_registry, memory, folder, &s, &e) != ST_OK)
    fail_msg("%s", e.cause);
  tell_files(s, ROWS, 1);
  return s;
}

static Status put_number(Site *s, double v, uint64_t version, Err *e) {
  Fitted f = {.type = IR_F64, .f = v};
  Buf b = {.n = 0};
  if (fitted_save(&f, &b, e) == ST_OK)
    site_put(s, SITE_FITTED, 0, version, buf_bytes(&b), e);
  buf_free(&b);
  return e->code;
}

static Site *ready(uint64_t memory) {
  Err e = {.code = ST_OK};
  Site *s = fresh(memory, scratch);
  assert_int_equal(put_number(s, 0.5, 1, &e), ST_OK);
  return s;
}

static int set_up(void **state) {
  Buf csv = {.n = 0};
  Err e = {.code = ST_OK};
  SiteSplit *p = NULL;
  uint32_t rows = 1;
  (void)state;
  strcpy(scratch, "/tmp/cml-site-XXXXXX");
  if (!mkdtemp(scratch))
    return -1;
  buf_text(&csv, "id,x,k\n");
  for (uint32_t r = 0; r < ROWS; r++) {
    if (r % 11)
      buf_printf(&csv, "%u,%.17g,%s\n", r, (double)(rng_word(5, r) % 2000) / 16 - 40, r % 3 ? "ant" : "bee");
    else
      buf_printf(&csv, "%u,,cow\n", r);
  }
  Site *s = fresh(0, scratch);
  FILE *f = fmemopen(csv.p, csv.n, "rb");
  ByteSource in = {.read = sites_bytes, .ctx = f};
  if (!f || site_split(s, SOURCE, 0, "d.csv", &in, &p, &e) != ST_OK)
    return -1;
  while (nrecord < 64 && site_split_next(p, &record[nrecord], &rows, &e) == ST_OK && rows)
    nrecord++;
  site_split_end(p);
  site_close(s);
  fclose(f);
  buf_free(&csv);
  return e.code || nrecord < 3 || nrecord == 64 ? -1 : 0;
}

static int tear_down(void **state) {
  (void)state;
  for (uint32_t i = 0; i < nrecord; i++)
    buf_free(&record[i]);
  buf_free(&record[nrecord]);
  return rmdir(scratch); /* nothing is left in it */
}

/* ---- Asking ---- */

typedef struct Feed { /* the records, and what happens on the way */
  uint32_t at, fails; /* fails: at this one */
  uint32_t calls;
  Site *site;         /* what is to be dropped from it, or NULL */
  uint32_t dropped;
  bool back;          /* they come from the last to the first */
} Feed;

static Status feed(void *ctx, Bytes *out, Err *e) {
  Feed *f = ctx;
  f->calls++;
  *out = (Bytes){.n = 0};
  if (f->site && f->at == 1)
    site_drop(f->site, f->dropped);
  if (f->at == f->fails)
    return err_set(e, ST_RESOURCE, "TEST", NULL, "lost");
  if (f->at < nrecord)
    *out = buf_bytes(&record[f->back ? nrecord - 1 - f->at : f->at]);
  f->at++;
  return ST_OK;
}

#define ALL ((Feed){.fails = UINT32_MAX})

static Jobs some_jobs(uint32_t stage) {
  static const Pass *const fit[] = {&sum_pass, &list_pass, &count_pass, &big_pass},
                          *const train[] = {&matrix_pass, &count_pass};
  Jobs j = {.n = 0};
  for (uint32_t i = 0; stage != PREDICT && i < (stage == FIT ? 4u : 2u); i++) {
    Job *o = jobs_add(&j, stage == FIT ? fit[i] : train[i]);
    assert_non_null(o);
    buf_f64(&o->par, 0.75);
  }
  return j;
}

static void request(uint32_t stage, bool keep, Buf *out) {
  Jobs j = some_jobs(stage);
  Ask a = {.of = {.v = &stage, .n = 1}, .jobs = j, .rows_stage = ROWS_STAGE, .keep_rows = keep};
  Err e = {.code = ST_OK};
  assert_int_equal(ask_put(&a, out, &e), ST_OK);
  jobs_free(&j);
}

static Status scan(Site *s, uint32_t stage, bool keep, Feed *f, Buf *result, Err *e) {
  Buf ask = {.n = 0};
  Records in = {.next = feed, .ctx = f};
  err_clear(e);
  request(stage, keep, &ask);
  site_scan(s, buf_bytes(&ask), 0, &in, result, e);
  buf_free(&ask);
  return e->code;
}

/* Opens an answer; what its jobs gave goes to `all`. */
static Status take(uint32_t stage, const Buf *result, uint32_t times, ScanInfo *info, Buf *all, Err *e) {
  Jobs j = some_jobs(stage);
  Answer a;
  Buf out[8];
  memset(out, 0, sizeof out);
  err_clear(e);
  if (answer_open(&a, &j, 1, e) == ST_OK) {
    while (times-- && answer_take(&a, buf_bytes(result), NULL, true, e) == ST_OK)
      ;
    *info = a.info;
    if (e->code == ST_OK)
      answer_finish(&a, out, e);
  }
  for (uint32_t i = 0; i < j.n; i++) {
    buf_put(all, out[i].p, out[i].n);
    buf_free(&out[i]);
  }
  answer_close(&a);
  jobs_free(&j);
  return e->code;
}

/* A scan that goes well. Returns whether it asked for records; bytes are compared with those of `want`, or
 * are the first ones. */
static bool reads(Site *s, uint32_t stage, bool keep, Buf *want) {
  Feed f = ALL;
  Buf result = {.n = 0}, got = {.n = 0};
  ScanInfo info;
  Err e = {.code = ST_OK};
  if (scan(s, stage, keep, &f, &result, &e) || take(stage, &result, 1, &info, &got, &e))
    fail_msg("%s: %s", e.id, e.cause);
  assert_int_equal(info.read, ROWS);
  assert_int_equal(info.kept[0] + info.kept[1], ROWS - (ROWS + 3) / 7);
  assert_int_equal(info.rows, info.kept[0]);
  assert_int_equal(info.from_cache, f.calls == 0);
  assert_true(info.bytes > 0);
  if (want->n) {
    assert_int_equal(got.n, want->n);
    assert_memory_equal(got.p, want->p, want->n);
  } else {
    buf_put(want, got.p, got.n);
  }
  buf_free(&result);
  buf_free(&got);
  return f.calls > 0;
}

static const uint64_t budgets[] = {0, BLOCK * 20, BLOCK * 70, UINT64_C(1) << 30};
enum { BUDGETS = 4 };

static void kept_or_not(void **state) {
  (void)state;
  Buf fit = {.n = 0}, train = {.n = 0};
  for (int i = 0; i < BUDGETS; i++) {
    Site *s = ready(budgets[i]);
    assert_true(reads(s, FIT, false, &fit));
    assert_int_equal(site_held(s).blocks, 0);
    assert_true(reads(s, FIT, true, &fit));
    assert_int_equal(site_held(s).blocks, 3);
    assert_false(reads(s, FIT, false, &fit));
    assert_false(reads(s, TRAIN, false, &train)); /* from blocks of rows */
    assert_int_equal(site_held(s).blocks, 3 + 3 * UNITS);
    site_drop(s, ROWS_STAGE);
    assert_false(reads(s, TRAIN, true, &train)); /* from its matrix */
    assert_true(reads(s, FIT, false, &fit));
    site_drop(s, TRAIN);
    assert_int_equal(site_held(s).blocks, 0);
    assert_int_equal(site_held(s).memory, 0);
    assert_int_equal(site_held(s).scratch, 0);
    assert_true(reads(s, TRAIN, true, &train));
    assert_false(reads(s, FIT, true, &fit));
    SiteHeld h = site_held(s);
    assert_true(h.memory <= budgets[i] && (h.memory > 0) == (i > 0) && (h.scratch > 0) == (i < 3));
    site_close(s);
  }
  buf_free(&fit);
  buf_free(&train);
}

static void put_again(void **state) {
  (void)state;
  Buf one = {.n = 0}, two = {.n = 0}, fit = {.n = 0};
  Err e = {.code = ST_OK};
  Site *s = ready(budgets[1]);
  reads(s, TRAIN, true, &one);
  assert_int_equal(put_number(s, 0.5, 1, &e), ST_OK); /* the same one */
  assert_false(reads(s, TRAIN, true, &one));
  assert_int_equal(put_number(s, 0.25, 3, &e), ST_OK);
  assert_int_equal(site_version(s, SITE_FITTED, 0), 3);
  assert_false(reads(s, TRAIN, true, &two)); /* a new matrix, of the blocks of rows that stay */
  assert_true(one.n == two.n && memcmp(one.p, two.p, one.n));
  assert_int_equal(put_number(s, 0.5, 2, &e), ST_OK); /* too late */
  assert_int_equal(site_version(s, SITE_FITTED, 0), 3);
  reads(s, TRAIN, true, &two);
  assert_int_equal(site_put(s, SITE_FITTED, 0, 4, site_text, &e), ST_DATA);
  assert_int_equal(site_version(s, SITE_FITTED, 0), 3);
  reads(s, TRAIN, true, &two);
  Site *other = fresh(0, scratch);
  err_clear(&e);
  assert_int_equal(put_number(other, 0.25, 1, &e), ST_OK);
  reads(other, TRAIN, false, &two);
  site_close(other);
  reads(s, FIT, true, &fit);
  tell_files(s, ROWS, 2); /* another source */
  assert_int_equal(site_held(s).blocks, 0);
  assert_true(reads(s, FIT, true, &fit));
  site_close(s);
  buf_free(&one);
  buf_free(&two);
  buf_free(&fit);
}

/* ---- Tasks that end early ---- */

static void ended_early(void **state) {
  (void)state;
  Buf result = {.n = 0}, fit = {.n = 0};
  Err e;
  Site *s = ready(budgets[1]);
  for (uint32_t at = 0; at <= nrecord; at++)
    for (uint32_t stage = FIT; stage <= TRAIN; stage++) {
      Feed f = {.fails = at};
      assert_int_equal(scan(s, stage, true, &f, &result, &e), ST_RESOURCE);
      assert_string_equal(e.id, "TEST");
      assert_int_equal(site_held(s).blocks, 0);
      assert_int_equal(site_held(s).memory + site_held(s).scratch, 0);
    }
  Feed f = ALL; /* dropped while it is made */
  f.site = s;
  f.dropped = ROWS_STAGE;
  assert_int_equal(scan(s, FIT, true, &f, &result, &e), ST_OK);
  assert_int_equal(site_held(s).blocks, 0);
  assert_true(reads(s, FIT, true, &fit));
  assert_false(reads(s, FIT, true, &fit));
  site_close(s);
  buf_free(&result);
  buf_free(&fit);
}

typedef struct Late {
  Site *s;
  SiteWriter *w;
  Buf result;
  Err e;
} Late;

static void *end_it(void *ctx) {
  Late *l = ctx;
  usleep(20000);
  site_write_end(l->w, &l->result, &l->e);
  return NULL;
}

static Status begin_write(Site *s, bool keep, Feed *f, SiteWriter **w, Err *e) {
  Buf ask = {.n = 0};
  Records in = {.next = feed, .ctx = f};
  request(PREDICT, keep, &ask);
  site_write(s, buf_bytes(&ask), 0, &in, w, e);
  buf_free(&ask);
  return e->code;
}

static void written(void **state) {
  (void)state;
  Buf one = {.n = 0}, none = {.n = 0};
  ScanInfo info;
  Late l = {.s = ready(budgets[1])};
  for (uint32_t most = 0; most < 6; most++) { /* records that are taken of it */
    Feed f = ALL;
    uint64_t rows = 0;
    uint32_t n = 0;
    err_clear(&l.e);
    assert_int_equal(begin_write(l.s, true, &f, &l.w, &l.e), ST_OK);
    do {
      RecordHead h = {.n = 0};
      if (n == most)
        break;
      assert_int_equal(site_write_next(l.w, &one, &l.e), ST_OK);
      assert_true(!one.n || record_head(buf_bytes(&one), &h, &l.e) == ST_OK);
      rows += h.n;
      n++;
    } while (one.n);
    bool ended = n && !one.n;
    pthread_t t; /* it ends on another thread; who puts a value waits for that */
    assert_int_equal(pthread_create(&t, NULL, end_it, &l), 0);
    Err e = {.code = ST_OK};
    assert_int_equal(put_number(l.s, 0.5, most + 2, &e), ST_OK);
    assert_int_equal(l.result.n > 0, ended);
    assert_int_equal(site_held(l.s).blocks, ended ? 3 : 0);
    pthread_join(t, NULL);
    assert_int_equal(l.e.code, ST_OK);
    if (ended) {
      assert_int_equal(take(PREDICT, &l.result, 1, &info, &none, &e), ST_OK);
      assert_true(info.rows == rows && info.kept[1] == rows && !info.from_cache);
      site_drop(l.s, ROWS_STAGE);
    }
  }
  Feed f = {.fails = 2}; /* an error of the engine: its task ends with a call of its own */
  err_clear(&l.e);
  assert_int_equal(begin_write(l.s, true, &f, &l.w, &l.e), ST_OK);
  while (site_write_next(l.w, &one, &l.e) == ST_OK && one.n)
    ;
  assert_string_equal(l.e.id, "TEST");
  err_clear(&l.e);
  assert_int_equal(site_write_end(l.w, &l.result, &l.e), ST_OK);
  assert_int_equal(l.result.n, 0);
  assert_int_equal(site_held(l.s).blocks, 0);
  site_close(l.s);
  buf_free(&l.result);
  buf_free(&one);
  buf_free(&none);
}

/* ---- What fails ---- */

static void no_scratch(void **state) {
  (void)state;
  Buf result = {.n = 0}, fit = {.n = 0};
  Err e = {.code = ST_OK};
  Site *s = fresh(0, "/no/such/folder");
  assert_true(reads(s, FIT, false, &fit)); /* nothing is kept */
  Feed f = ALL;
  assert_int_equal(scan(s, FIT, true, &f, &result, &e), ST_RESOURCE);
  assert_string_equal(e.id, "CML0507");
  assert_non_null(strstr(e.cause, "/no/such/folder"));
  assert_int_equal(site_held(s).blocks, 0);
  site_close(s);
  s = fresh(budgets[3], "/no/such/folder");
  assert_true(reads(s, FIT, true, &fit));
  assert_false(reads(s, FIT, true, &fit));
  site_close(s);
  buf_free(&result);
  buf_free(&fit);
}

/* The disk is full: the file cannot become larger than this. */
static void disk_full(void **state) {
  (void)state;
  Buf result = {.n = 0}, fit = {.n = 0}, train = {.n = 0};
  struct rlimit was, limit;
  Err e = {.code = ST_OK};
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
  void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
  for (uint32_t most = 0; most < 3; most++) {
    Site *s = ready(most ? BLOCK * 60 : 0); /* where some is in memory, that gives way to matrices */
    limit = was;
    limit.rlim_cur = most < 2 ? 100 : BLOCK * 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    uint32_t failed = 0;
    for (int i = 0; i < 4; i++) {
      Feed f = ALL;
      Status st = scan(s, i % 2 ? TRAIN : FIT, true, &f, &result, &e);
      assert_true(!st || !strcmp(e.id, "CML0507"));
      failed += st != ST_OK;
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_true(failed > 0);
    reads(s, FIT, true, &fit); /* there is room again */
    reads(s, TRAIN, true, &train);
    site_drop(s, ROWS_STAGE);
    site_drop(s, TRAIN);
    assert_int_equal(site_held(s).memory + site_held(s).scratch, 0);
    site_close(s);
  }
  signal(SIGXFSZ, old);
  buf_free(&result);
  buf_free(&fit);
  buf_free(&train);
}

/* The scratch file, cut to n bytes. */
static bool cut_file(off_t n) {
  DIR *d = opendir("/proc/self/fd");
  bool done = false;
  for (const struct dirent *k; d && (k = readdir(d));) {
    char link[512], path[300];
    snprintf(path, sizeof path, "/proc/self/fd/%s", k->d_name);
    ssize_t m = readlink(path, link, sizeof link - 1);
    if (m > 0 && !strncmp(link, scratch, strlen(scratch)))
      done = ftruncate(atoi(k->d_name), n) == 0;
  }
  if (d)
    closedir(d);
  return done;
}

static void file_cut_off(void **state) {
  (void)state;
  Buf result = {.n = 0}, fit = {.n = 0}, train = {.n = 0};
  Err e = {.code = ST_OK};
  for (off_t n = 0; n < BLOCK * 40; n = n * 2 + 11) {
    Site *s = ready(0);
    reads(s, FIT, true, &fit);
    reads(s, TRAIN, true, &train);
    if (!cut_file(n)) {
      site_close(s);
      print_message("no /proc\n");
      skip();
    }
    for (uint32_t stage = FIT; stage <= TRAIN; stage++) {
      Feed f = ALL;
      if (scan(s, stage, true, &f, &result, &e))
        assert_string_equal(e.id, "CML0507");
      else
        reads(s, stage, true, stage == FIT ? &fit : &train);
    }
    site_close(s);
  }
  buf_free(&result);
  buf_free(&fit);
  buf_free(&train);
}

static void memory_used_up(void **state) {
  (void)state;
  uint32_t bad = 0;
  Buf fit = {.n = 0}, train = {.n = 0};
  for (long n = 1; n < 2000; n += 1 + n / 8) {
    Buf result = {.n = 0}, ask[2] = {{.n = 0}, {.n = 0}};
    Err e = {.code = ST_OK};
    Site *s = ready(n % 2 ? 0 : BLOCK * 60);
    Feed f[2] = {ALL, ALL};
    request(FIT, true, &ask[0]);
    request(TRAIN, true, &ask[1]);
    mem_fail_at(n);
    for (int i = 0; i < 2 && e.code == ST_OK; i++) {
      Records in = {.next = feed, .ctx = &f[i]};
      site_scan(s, buf_bytes(&ask[i]), 0, &in, &result, &e);
    }
    mem_fail_at(0);
    if (e.code && e.code != ST_RESOURCE)
      fail_msg("allocation %ld: status %d, %s", n, e.code, e.cause);
    bad += e.code == ST_RESOURCE;
    reads(s, FIT, true, &fit); /* and goes on */
    reads(s, TRAIN, true, &train);
    site_close(s);
    buf_free(&result);
    buf_free(&ask[0]);
    buf_free(&ask[1]);
  }
  assert_true(bad > 10);
  buf_free(&fit);
  buf_free(&train);
}

/* ---- Messages that are wrong ---- */

static void wrong_order(void **state) {
  (void)state;
  Buf result = {.n = 0}, all = {.n = 0}, two = {.n = 0};
  ScanInfo info;
  Err e;
  Site *s = ready(0);
  Feed back = {.fails = UINT32_MAX, .back = true};
  assert_int_equal(scan(s, FIT, true, &back, &result, &e), ST_FAULT);
  assert_string_equal(e.id, "CML0603");
  Feed f = ALL;
  assert_int_equal(scan(s, FIT, true, &f, &result, &e), ST_OK);
  assert_int_equal(take(FIT, &result, 2, &info, &all, &e), ST_FAULT); /* the same partition twice */
  assert_string_equal(e.id, "CML0603");
  Bytes twice[2] = {buf_bytes(&result), buf_bytes(&result)};
  Buf ask = {.n = 0};
  request(FIT, true, &ask);
  err_clear(&e);
  assert_int_equal(site_merge(s, buf_bytes(&ask), twice, 2, &two, &e), ST_OK);
  assert_int_equal(take(FIT, &two, 1, &info, &all, &e), ST_FAULT);
  site_close(s);
  buf_free(&result);
  buf_free(&all);
  buf_free(&two);
  buf_free(&ask);
}

static void not_told(void **state) {
  (void)state;
  Buf result = {.n = 0}, fit = {.n = 0};
  Site *s = NULL;
  Err e = {.code = ST_OK};
  Feed f = ALL;
  Bytes half = {site_text.p, site_text.n / 2};
  assert_int_equal(site_open(half, &site_registry, 0, scratch, &s, &e), ST_DATA);
  assert_null(s);
  err_clear(&e);
  assert_int_equal(site_open(site_text, &site_registry, 0, scratch, &s, &e), ST_OK);
  assert_int_equal(scan(s, FIT, true, &f, &result, &e), ST_FAULT); /* no files */
  assert_string_equal(e.id, "CML0606");
  tell_files(s, ROWS, 1);
  assert_int_equal(scan(s, TRAIN, true, &f, &result, &e), ST_FAULT); /* no fitted value */
  reads(s, FIT, true, &fit);
  SiteWriter *w = NULL;
  SiteSplit *p = NULL;
  Buf ask = {.n = 0};
  Records in = {.next = feed, .ctx = &f};
  ByteSource bytes = {.read = sites_bytes};
  request(FIT, true, &ask);
  err_clear(&e);
  assert_int_equal(site_write(s, buf_bytes(&ask), 0, &in, &w, &e), ST_FAULT); /* it writes no rows */
  assert_string_equal(e.id, "CML0605");
  assert_null(w);
  static const struct {
    uint32_t kind, id;
  } put[] = {{SITE_FITTED, 2}, {SITE_SOURCE, PREDICT + 1}, {SITE_SOURCE, FIT}, {2, 0}, {UINT32_MAX, 0}};
  for (unsigned i = 0; i < sizeof put / sizeof *put; i++) {
    err_clear(&e);
    assert_int_equal(site_put(s, put[i].kind, put[i].id, 9, (Bytes){(const uint8_t *)"\0\0\0\0", 4}, &e),
                     ST_FAULT);
  }
  assert_int_equal(site_version(s, 2, 0) + site_version(s, SITE_FITTED, 1), 0);
  for (uint32_t stage = 0; stage < 6; stage++) { /* no source, or no such file */
    err_clear(&e);
    assert_int_equal(site_split(s, stage, 1, "x.csv", &bytes, &p, &e), ST_FAULT);
    assert_null(p);
  }
  for (size_t n = 0; n < ask.n; n++) {
    err_clear(&e);
    assert_int_equal(site_scan(s, (Bytes){ask.p, n}, 0, &in, &result, &e), ST_FAULT);
  }
  site_close(s);
  buf_free(&result);
  buf_free(&fit);
  buf_free(&ask);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(kept_or_not), cmocka_unit_test(put_again),    cmocka_unit_test(ended_early),
      cmocka_unit_test(written),     cmocka_unit_test(no_scratch),   cmocka_unit_test(disk_full),
      cmocka_unit_test(wrong_order), cmocka_unit_test(file_cut_off), cmocka_unit_test(memory_used_up),
      cmocka_unit_test(not_told),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
