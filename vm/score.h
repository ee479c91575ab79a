/* SPDX-License-Identifier: Apache-2.0 */
/* Batch scoring: a bundle over a file, streaming, in bounded memory. */
#ifndef VM_SCORE_H
#define VM_SCORE_H

#include "vm/bundle.h"
#include "vm/engine.h"

typedef struct ScoreJob {
  const Bundle *bundle;
  EngineSource in;             /* the file (or glob) and its options */
  const char *out;             /* .parquet or .csv */
  const char *const *keep;     /* names of input columns to write before the predictions */
  uint32_t nkeep;
  bool keep_all;
  uint64_t memory;
  uint32_t threads;            /* 0: one; the file is the same for any number */
  const atomic_bool *cancel;
  const Progress *progress;    /* or NULL */
  struct Jit *jit;             /* vm/jit.h, or NULL */
} ScoreJob;

typedef struct ScoreResult {
  uint64_t rows, bytes;        /* rows scored; bytes of the file written */
} ScoreResult;

/* Whole or not at all: a schema that does not fit, or a bad row, writes nothing. */
Status score_file(const ScoreJob *j, ScoreResult *out, Err *e);

#endif
