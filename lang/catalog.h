/* SPDX-License-Identifier: Apache-2.0 */
/* Catalog: what the language core is told about the world outside it: estimators, metrics, source formats,
 * and how to look at data.
 *
 * The core names no algorithm. `app` fills this from stdlib/registry.c and the data engine and hands it
 * down. Native row functions and aggregates are not here: they are declared in stdlib/native.cml, in the
 * language itself. */
#ifndef LANG_CATALOG_H
#define LANG_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/option.h"
#include "base/task.h"

typedef struct CatEstimator {
  const char *name; /* "logistic_regression" */
  unsigned tasks;      /* mask of TASK_BITs */
  const Option *options;
  const char *two_class; /* options that only two-class models take, "a|b"; or NULL */
  const char *doc;
} CatEstimator;

typedef struct CatMetric {
  const char *name; /* "auc" */
  unsigned tasks;        /* mask of TASK_BITs */
  const Option *options; /* e.g. threshold; NULL: none */
  const char *two_class; /* as of an estimator */
  bool scalar;           /* false: a table like `confusion`, not usable in `expect` */
  const char *doc;
} CatMetric;

typedef struct CatFormat {
  const char *name; /* "csv" */
  const Option *options;
  const char *doc;
} CatFormat;

typedef struct CatColumn { /* a column as the file's own metadata (or a sample of it) says */
  const char *name;
  const char *type;    /* a name of the language: "float", "timestamp", ...; or NULL: refused, `why` says
                        * so */
  const char *why;     /* "int128 is not supported" */
  bool nullable;       /* nulls were seen, or cannot be excluded by metadata */
  bool inferred;       /* from a sample (CSV), not declared by the file (Parquet) */
} CatColumn;

typedef struct CatSource { /* a `from` clause as written */
  const char *format;
  const char *path;    /* after {param} interpolation; relative to `dir` */
  const char *dir;     /* folder of the program file */
  const char **option; /* name, value, name, value, ...; values as text */
  uint32_t noption;    /* number of pairs */
  const char **column; /* declared names in order (for files without a header), or NULL */
  uint32_t ncolumn;
} CatSource;

typedef struct Catalog {
  const CatEstimator *estimator; /* each ends with name == NULL */
  const CatMetric *metric;
  const CatFormat *format;
  /* Columns of a source, from metadata or a sample. NULL: data are not looked at (check --no-data). */
  Status (*columns)(void *ctx, Arena *a, const CatSource *src, CatColumn **out, uint32_t *n, Err *e);
  void *ctx;
} Catalog;

#endif
