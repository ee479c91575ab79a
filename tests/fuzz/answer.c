/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what travels between a driver and its sites: an error, or something that can be used. The
 * first byte chooses what they are: a request, a result, the files of a source, a fitted value, records of
 * rows. No bytes stand for good ones of each kind, cut off at every place and with every byte changed;
 * CML_FUZZ_SEEDS names a folder where the good ones are written, to begin with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "tests/unit/site_program.h"
#include "vm/engine.h"
#include "vm/exec/answer.h"
#include "vm/exec/home.h"
#include "vm/site.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = BLOCK + 7, KINDS = 5, SEEDS = 9 };

static void must(bool good) {
  if (!good)
    __builtin_trap();
}

static void put_number(Site *s) {
  Fitted f = {.type = IR_F64, .f = 0.5};
  Buf b = {.n = 0};
  Err e = {.code = ST_OK};
  must(fitted_save(&f, &b, &e) == ST_OK && site_put(s, SITE_FITTED, 0, 1, buf_bytes(&b), &e) == ST_OK);
  buf_free(&b);
}

static void put_files(Site *s) {
  RecordFile file = {.name = "d.csv", .rows = UINT64_MAX}; /* a block has the rows that come */
  Buf b = {.n = 0};
  Err e = {.code = ST_OK};
  site_source(&file, 1, &b);
  must(site_put(s, SITE_SOURCE, SOURCE, 1, buf_bytes(&b), &e) == ST_OK);
  buf_free(&b);
}

/* Everything goes to the file. */
static Site *open_site(void) {
  Site *s = NULL;
  Err e = {.code = ST_OK};
  must(site_open(site_text, &site_registry, 0, "/tmp", &s, &e) == ST_OK);
  return s;
}

static Jobs some_jobs(uint32_t stage) {
  static const Pass *const pass[2][4] = {{&sum_pass, &list_pass, &count_pass, NULL},
                                         {&matrix_pass, &count_pass, NULL}};
  Jobs j = {.n = 0};
  for (uint32_t i = 0; stage <= TRAIN && pass[stage == TRAIN][i]; i++) {
    Job *o = jobs_add(&j, pass[stage == TRAIN][i]);
    must(o != NULL);
    buf_f64(&o->par, 0.5);
  }
  return j;
}

static void request(uint32_t stage, Buf *out) {
  Jobs j = some_jobs(stage);
  Ask a = {.of = {.v = &stage, .n = 1}, .jobs = j, .rows_stage = ROWS_STAGE, .keep_rows = stage == FIT};
  Err e = {.code = ST_OK};
  must(ask_put(&a, out, &e) == ST_OK);
  jobs_free(&j);
}

/* ---- What the bytes may be ---- */

/* A request is put and taken again as the same. */
static void as_request(Bytes b) {
  Home h;
  Ask a, again = {.rows_stage = 0};
  Answer answer;
  Err e = {.code = ST_OK}, no = {.code = ST_OK};
  Buf once = {.n = 0}, twice = {.n = 0};
  Limits l = {.threads = 1, .dir = ""};
  must(home_open(&h, site_text, &site_registry, &l, &e) == ST_OK);
  if (ask_take(b, h.p, &h.reg, &a, &e) == ST_OK) {
    must(ask_put(&a, &once, &e) == ST_OK && ask_take(buf_bytes(&once), h.p, &h.reg, &again, &e) == ST_OK &&
         ask_put(&again, &twice, &e) == ST_OK && once.n == twice.n && !memcmp(once.p, twice.p, once.n));
    if (answer_open(&answer, &a.jobs, a.of.n, &no) != ST_OK)
      must(no.code == ST_RESOURCE || no.cause[0]);
    answer_close(&answer);
  }
  must(e.code == ST_OK || e.cause[0]);
  ask_free(&a);
  ask_free(&again);
  home_close(&h);
  buf_free(&once);
  buf_free(&twice);
}

/* Results are merged, and taken by the driver, once and twice. */
static void as_result(Bytes b) {
  Site *s = open_site();
  Jobs j = some_jobs(FIT);
  Buf ask = {.n = 0}, merged = {.n = 0}, out[4];
  Answer a;
  Err e = {.code = ST_OK}, other = {.code = ST_OK};
  memset(out, 0, sizeof out);
  request(FIT, &ask);
  must(answer_open(&a, &j, 1, &e) == ST_OK);
  if (answer_take(&a, b, NULL, false, &e) == ST_OK) {
    must(site_merge(s, buf_bytes(&ask), &b, 1, &merged, &other) == ST_OK);
    must(answer_take(&a, buf_bytes(&merged), NULL, false, &e) == ST_OK);
    answer_finish(&a, out, &e);
  }
  must(e.code == ST_OK || e.cause[0]);
  answer_close(&a);
  jobs_free(&j);
  site_close(s);
  for (int i = 0; i < 4; i++)
    buf_free(&out[i]);
  buf_free(&ask);
  buf_free(&merged);
}

typedef struct Feed {
  Rd r;
} Feed;

static Status feed(void *ctx, Bytes *record, Err *e) {
  Feed *f = ctx;
  (void)e;
  *record = rd_done(&f->r) ? (Bytes){.n = 0} : rd_blob(&f->r);
  return ST_OK;
}

/* Fits, trains and predicts over records; what was found wrong the first time is so the second time. */
static void scans(Site *s, Bytes records) {
  Buf ask = {.n = 0}, result = {.n = 0}, row = {.n = 0};
  for (uint32_t i = 0; i < 3; i++) {
    Feed f = {rd_of(records)};
    Records in = {.next = feed, .ctx = &f};
    Err e = {.code = ST_OK};
    SiteWriter *w = NULL;
    buf_clear(&ask);
    request(FIT + i, &ask);
    if (i < 2)
      site_scan(s, buf_bytes(&ask), 0, &in, &result, &e);
    else if (site_write(s, buf_bytes(&ask), 0, &in, &w, &e) == ST_OK) {
      while (site_write_next(w, &row, &e) == ST_OK && row.n)
        ;
      site_write_end(w, &result, &e);
    }
    must(e.code == ST_OK || e.cause[0]);
  }
  buf_free(&ask);
  buf_free(&result);
  buf_free(&row);
}

static void as_put(uint32_t kind, Bytes b) {
  Site *s = open_site();
  Err e = {.code = ST_OK};
  if (kind == SITE_SOURCE)
    put_number(s);
  else
    put_files(s);
  site_put(s, kind, 0, 1, b, &e);
  must(e.code == ST_OK || e.cause[0]);
  must(site_version(s, kind, 0) == (e.code == ST_OK));
  if (e.code == ST_OK)
    scans(s, (Bytes){.n = 0});
  site_close(s);
}

static void as_records(Bytes b) {
  Site *s = open_site();
  put_files(s);
  put_number(s);
  scans(s, b);
  site_close(s);
}

static void use(const uint8_t *data, size_t size) {
  Bytes b = {data + 1, size - 1};
  switch (data[0] % KINDS) {
  case 0: as_request(b); break;
  case 1: as_result(b); break;
  case 2: as_put(SITE_SOURCE, b); break;
  case 3: as_put(SITE_FITTED, b); break;
  default: as_records(b); break;
  }
}

/* ---- Good ones ---- */

typedef struct Text {
  Buf b;
  size_t at;
} Text;

static Status read_text(void *ctx, void *out, size_t room, size_t *n, Err *e) {
  Text *t = ctx;
  (void)e;
  *n = t->b.n - t->at < room ? t->b.n - t->at : room;
  memcpy(out, t->b.p + t->at, *n);
  t->at += *n;
  return ST_OK;
}

/* Some rows at the end of one block, and the beginning of the next one: as text. */
static void text_records(Site *s, Buf *out) {
  Text t = {.at = 0};
  ByteSource in = {.read = read_text, .ctx = &t};
  SiteSplit *p = NULL;
  Buf one = {.n = 0};
  uint32_t rows = 1;
  Err e = {.code = ST_OK};
  buf_text(&t.b, "id,x,k\n");
  for (uint32_t r = 0; r < 12; r++)
    buf_printf(&t.b, "%u,%s,%s\n", r, r % 5 ? "1.5" : "", r % 2 ? "ant" : "\"b\"\"e\"");
  must(site_split(s, SOURCE, 0, "d.csv", &in, &p, &e) == ST_OK);
  while (site_split_next(p, &one, &rows, &e) == ST_OK && rows)
    buf_blob(out, one.p, one.n);
  must(e.code == ST_OK);
  site_split_end(p);
  buf_free(&one);
  buf_free(&t.b);
}

static void column_records(Buf *out) {
  static const IrColumn col[] = {{"id", KIND_INT, false}, {"x", KIND_FLOAT, true}, {"k", KIND_STRING, false}};
  int64_t id[] = {3, 5, 8, 9};
  double x[] = {1, 0, 2.5, -7};
  uint8_t null[] = {0, 1, 0, 0};
  uint32_t code[] = {1, 0, 1, 0}, off[] = {0, 3, 6}, at[] = {1, 2, 5, 6};
  char bytes[] = "antbee";
  Dict d = {.n = 2, .off = off, .bytes = bytes};
  Col v[] = {{.type = IR_I64, .i = id}, {.type = IR_F64, .f = x, .null = null},
             {.type = IR_STR, .code = code, .dict = &d}};
  Buf one = {.n = 0};
  Err e = {.code = ST_OK};
  for (uint32_t block = 0; block < 2; block++) {
    must(record_of_rows(col, v, 3, 4, 0, block * BLOCK, at, &one, &e) == ST_OK);
    buf_blob(out, one.p, one.n);
  }
  buf_free(&one);
}

static void results(Site *s, uint32_t stage, Bytes records, Buf *out) {
  Feed f = {rd_of(records)};
  Records in = {.next = feed, .ctx = &f};
  Buf ask = {.n = 0}, result = {.n = 0};
  Err e = {.code = ST_OK};
  request(stage, &ask);
  must(site_scan(s, buf_bytes(&ask), 0, &in, &result, &e) == ST_OK);
  buf_put(out, result.p, result.n);
  buf_free(&ask);
  buf_free(&result);
}

static void good_ones(Buf seed[SEEDS]) {
  static const uint8_t kind[SEEDS] = {0, 0, 0, 1, 1, 2, 3, 4, 4};
  RecordFile file[] = {{.name = "d.csv", .rows = ROWS}, {.name = "e.csv", .rows = UINT64_MAX}};
  Fitted number = {.type = IR_F64, .f = 2};
  Site *s = open_site();
  Buf records = {.n = 0}, bad = {.n = 0};
  Err e = {.code = ST_OK};
  put_files(s);
  for (uint32_t i = 0; i < SEEDS; i++)
    buf_u8(&seed[i], kind[i]);
  for (uint32_t i = 0; i < 3; i++)
    request(FIT + i, &seed[i]);
  column_records(&records);
  results(s, FIT, buf_bytes(&records), &seed[3]);
  site_drop(s, ROWS_STAGE);
  text_records(s, &bad); /* one that lies: a number is none */
  for (size_t i = 0; i + 3 < bad.n; i++)
    if (!memcmp(bad.p + i, "1.5", 3))
      memcpy(bad.p + i, "1.x", 3);
  results(s, FIT, buf_bytes(&bad), &seed[4]);
  site_source(file, 2, &seed[5]);
  must(fitted_save(&number, &seed[6], &e) == ST_OK);
  buf_put(&seed[7], records.p, records.n);
  text_records(s, &seed[8]);
  site_close(s);
  buf_free(&records);
  buf_free(&bad);
}

static void write_seed(uint32_t number, const Buf *b) {
  const char *folder = getenv("CML_FUZZ_SEEDS");
  char path[4096];
  if (!folder)
    return;
  snprintf(path, sizeof path, "%s/good-%u", folder, number);
  FILE *f = fopen(path, "wb");
  must(f && fwrite(b->p, 1, b->n, f) == b->n && !fclose(f));
}

/* In memory of exactly its size. */
static void use_copy(const Buf *b, size_t n, size_t at, uint8_t change) {
  uint8_t *copy = malloc(n ? n : 1);
  must(copy != NULL);
  memcpy(copy, b->p, n);
  if (at < n)
    copy[at] ^= change;
  use(copy, n);
  free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Buf seed[SEEDS];
  if (size) {
    use(data, size);
    return 0;
  }
  memset(seed, 0, sizeof seed);
  good_ones(seed);
  for (uint32_t i = 0; i < SEEDS; i++) {
    write_seed(i, &seed[i]);
    use_copy(&seed[i], seed[i].n, 0, 0);
    for (size_t k = 1; k < seed[i].n; k++) {
      use_copy(&seed[i], k, k, 0);
      use_copy(&seed[i], seed[i].n, k, 0x81);
      use_copy(&seed[i], seed[i].n, k, 0xff);
    }
    buf_free(&seed[i]);
  }
  return 0;
}
