/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: a CSV file, divided into texts of one record, of three, and of all of them. Whoever takes the
 * texts apart must see the same rows, and the same first fault in the same line: that is what several threads
 * do with a file. The first byte of the input chooses the options. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/engine/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void options(uint8_t choice, CsvOptions *o) {
  static const char *const delimiter[] = {",", ";", "||", " "};
  static const char *const coding[] = {"utf-8", "utf-8", "latin-1", "utf-16"};
  *o = (CsvOptions){.header = choice & 1, .skip = choice >> 7};
  strcpy(o->delimiter, delimiter[choice >> 1 & 3]);
  strcpy(o->quote, "\"");
  strcpy(o->escape, choice & 8 ? "\\" : "\"");
  strcpy(o->comment, choice & 16 ? "#" : "");
  strcpy(o->encoding, coding[choice >> 5 & 3]);
}

static void put_cells(const CsvCells *c, uint32_t rows, Buf *out) {
  for (uint32_t i = 0; i < rows; i++) {
    for (uint32_t k = 0; k < c->ncol; k++) {
      const Text *t = &c->cell[(size_t)k * c->rows + i];
      buf_printf(out, "%u:", t->n);
      buf_put(out, t->s, t->n);
    }
    buf_u8(out, '\n');
  }
}

/* The rows of a text behind those in `out`. False: a fault, which is there too. */
static bool put_text(const CsvText *t, uint32_t nfield, uint32_t ncol, uint32_t n, Buf *out) {
  CsvCells c;
  uint32_t m, rows = 0;
  if (!csv_cells_start(&c, t, nfield, NULL, ncol))
    abort();
  while ((m = csv_cells(&c)) > 0) {
    put_cells(&c, m, out);
    rows += m;
  }
  bool good = c.fault == CSV_OK;
  if (!good) { /* how many rows came before depends on the text */
    buf_clear(out);
    buf_printf(out, "fault %d, line %llu, %u: %s", (int)c.fault, (unsigned long long)c.fault_line, c.found,
               c.shown);
  } else if (rows != n) {
    abort();
  }
  csv_cells_free(&c);
  return good;
}

static void read_all(const char *path, const CsvOptions *o, uint32_t most, size_t limit, Buf *out) {
  CsvFile *f;
  CsvText t;
  CsvCells c = {0};
  Err e = {0};
  uint32_t n;
  bool good = csv_file_open(path, NULL, o, &f, &e) == ST_OK && csv_first(f, &t, &e) == ST_OK && t.n > 0;
  if (good) {
    if (!csv_cells_start(&c, &t, CSV_NONE, NULL, 0))
      abort();
    good = csv_cells(&c) > 0;
    csv_cells_free(&c);
  }
  if (good)
    csv_begin(f, c.found == 1, o->header);
  while (good && csv_take(f, most, limit, &t, &n, &e) == ST_OK && t.n > 0) {
    good = put_text(&t, c.found, c.found < 8 ? c.found : 8, n, out);
    csv_text_free(&t);
  }
  buf_text(out, e.cause);
  csv_file_close(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct {
    uint32_t most;
    size_t limit;
  } way[] = {{1 << 20, SIZE_MAX}, {1, SIZE_MAX}, {3, SIZE_MAX}, {1 << 20, 1}};
  CsvOptions o;
  char path[200];
  const char *tmp = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/cml-fuzz-XXXXXX", tmp ? tmp : "/tmp");
  int fd = mkstemp(path);
  if (fd < 0 || (size > 1 && write(fd, data + 1, size - 1) != (ssize_t)(size - 1)))
    abort();
  options(size ? data[0] : 0, &o);
  Buf want = {0}, got = {0};
  for (size_t i = 0; i < sizeof way / sizeof *way; i++) {
    Buf *b = i ? &got : &want;
    buf_clear(b);
    read_all(path, &o, way[i].most, way[i].limit, b);
    if (b->bad || (i && (got.n != want.n || (got.n && memcmp(got.p, want.p, got.n) != 0))))
      abort();
  }
  buf_free(&want);
  buf_free(&got);
  unlink(path);
  close(fd);
  return 0;
}
