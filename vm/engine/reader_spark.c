/* SPDX-License-Identifier: Apache-2.0 */
/* Sources that only Spark reads: orc, jdbc, tables of a catalog, and paths of other file systems. Here, on
 * one machine, each is an error that says so; under --executor spark nothing of this file is reached. */
#include <string.h>

#include "base/file.h"
#include "vm/engine/parts.h"

static bool is_one_of(const char *format, const char *const *v) {
  while (*v && strcmp(*v, format) != 0)
    v++;
  return *v;
}

EngineHow engine_how(const char *format) {
  static const char *const text[] = {"csv", "json", "libsvm", NULL}, *const sorted[] = {"sql", "table",
                                                                                        "jdbc", NULL};
  return is_one_of(format, text) ? HOW_TEXT : is_one_of(format, sorted) ? HOW_SORTED : HOW_COLUMNS;
}

bool engine_only_spark(const char *format, const char *path) {
  static const char *const only[] = {"orc", "table", "jdbc", NULL};
  return file_is_remote(path) || is_one_of(format, only);
}

Status engine_elsewhere(const char *what, Err *e) {
  return err_set(e, ST_PROGRAM, "CML0534", "Run it with: cmlc run --executor spark --master URL.",
                 "`%.200s` is read by Spark alone", what);
}

static Status spark_columns(Arena *a, const EngineSource *s, const Options *o, const char *const *file,
                            uint32_t nfile, EngineColumn **out, uint32_t *n, Err *e) {
  (void)a, (void)o, (void)file, (void)nfile, (void)out, (void)n;
  return engine_elsewhere(s->path, e);
}

static Status spark_open(Reader *r, Err *e) {
  return engine_elsewhere(r->in->source.path, e);
}

const FormatOps spark_ops = {.what = "Spark", .no_files = true, .columns = spark_columns, .open = spark_open};

/* A type as DuckDB writes it. */
static int kind_named(const char *type) {
  static const struct {
    const char *begin;
    Kind kind;
  } known[] = {{"BOOLEAN", KIND_BOOL}, {"TINYINT", KIND_INT},        {"SMALLINT", KIND_INT},
               {"INTEGER", KIND_INT},  {"BIGINT", KIND_INT},         {"FLOAT", KIND_FLOAT},
               {"DOUBLE", KIND_FLOAT}, {"DECIMAL", KIND_FLOAT},      {"VARCHAR", KIND_STRING},
               {"DATE", KIND_DATE},    {"TIMESTAMP", KIND_TIMESTAMP}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (!strncmp(type, known[i].begin, strlen(known[i].begin)) && !strchr(type, '['))
      return (int)known[i].kind;
  return -1;
}

void engine_column_of(Arena *a, const char *name, const char *type, bool nullable, EngineColumn *out) {
  int kind = kind_named(type);
  *out = (EngineColumn){.name = name, .kind = kind, .nullable = nullable};
  if (kind < 0)
    out->why = arena_printf(a, "its type %s is not read", type);
}
