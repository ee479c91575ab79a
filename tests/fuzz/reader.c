/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a file of data: csv, json or libsvm, with options that the first byte chooses. The columns
 * that are found in it are read, and then columns that a schema could have declared. There are values, errors
 * of rows, or an error; never a crash.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "vm/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COLUMNS_MOST = 64 };

static const struct {
  const char *format;
  const char *option[7]; /* name, value, ...; ended by NULL */
} ways[] = {
    {"csv", {NULL}},
    {"json", {NULL}},
    {"libsvm", {NULL}},
    {"csv", {"header", "false", "delimiter", ";", "decimal", ","}},
    {"csv", {"dates", "%d.%m.%Y", "timestamps", "%d.%m.%Y %H:%M", "null", "?"}},
    {"csv", {"comment", "#", "skip", "1", "trim", "true"}},
    {"csv", {"encoding", "utf-16"}},
    {"csv", {"quote", "'", "escape", "\\", "encoding", "latin-1"}},
    {"json", {"dates", "%Y%m%d", "null", "n/a", "trim", "true"}},
    {"libsvm", {"zero_based", "true", "width", "12"}},
};
enum { WAYS = sizeof ways / sizeof *ways };

static void check_texts(const Block *b, const IrColumn *col) {
  for (uint32_t k = 0; k < b->ncol; k++)
    for (uint32_t r = 0; kind_ir((Kind)col[k].kind) == IR_STR && r < b->n; r++)
      if (b->col[k].code[r] >= b->col[k].dict->n)
        __builtin_trap();
}

static void read_all(const EngineSource *s, const IrColumn *col, uint32_t ncol) {
  Reader *r = NULL;
  Block *b = NULL;
  uint32_t seq;
  Err e = {0};
  RowErrors *errors = mem_alloc(sizeof *errors);
  if (!errors)
    return;
  Status st = reader_open(s, col, ncol, UINT64_C(128) << 20, &r, &e);
  while (!st && !(st = reader_next(r, &b, &seq, errors, &e)) && b) {
    check_texts(b, col);
    block_drop(b);
  }
  if (st && !e.cause[0])
    __builtin_trap(); /* an error that says nothing */
  if (r)
    reader_close(r);
  mem_free(errors);
}

static void read_found(const EngineSource *s) {
  Arena a;
  EngineColumn *found;
  IrColumn col[COLUMNS_MOST];
  uint32_t n, m = 0;
  Err e = {0};
  arena_init(&a, NULL);
  if (engine_columns(&a, s, &found, &n, &e) == ST_OK) {
    for (uint32_t k = 0; k < n && m < COLUMNS_MOST; k++)
      if (found[k].kind >= 0)
        col[m++] = (IrColumn){found[k].name, (uint8_t)found[k].kind, found[k].nullable};
    read_all(s, col, m);
  } else if (!e.cause[0]) {
    __builtin_trap();
  }
  arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const IrColumn some[] = {
      {"a", KIND_INT, true},     {"b", KIND_FLOAT, true}, {"c", KIND_CATEGORY, false},
      {"d", KIND_DATE, true},    {"e", KIND_BOOL, true},  {"t", KIND_TIMESTAMP, true},
      {"o.x", KIND_STRING, true},
  };
  static const IrColumn sparse[] = {{"label", KIND_FLOAT, false},
                                    {"f1", KIND_FLOAT, false}, {"f3", KIND_FLOAT, true}};
  const char *tmp = getenv("TMPDIR");
  char path[4096];
  uint32_t way = size ? data[0] % WAYS : 0;
  snprintf(path, sizeof path, "%s/cml-fuzz-XXXXXX", tmp ? tmp : "/tmp");
  int file = mkstemp(path);
  if (file < 0)
    return 0;
  bool whole = size < 2 || write(file, data + 1, size - 1) == (ssize_t)(size - 1);
  close(file);
  EngineSource s = {.format = ways[way].format, .path = path, .dir = "/", .option = ways[way].option};
  while (s.option[2 * s.noption])
    s.noption++;
  if (whole) {
    read_found(&s);
    if (strcmp(s.format, "libsvm") == 0)
      read_all(&s, sparse, sizeof sparse / sizeof *sparse);
    else
      read_all(&s, some, sizeof some / sizeof *some);
  }
  unlink(path);
  return 0;
}
