/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of plain Parquet files, divided among partitions that read them each for itself. */
#ifndef VM_EXEC_CUT_H
#define VM_EXEC_CUT_H

#include "vm/engine.h"

typedef struct CutRun { /* blocks of one file */
  uint32_t file;
  uint64_t first, n;
  uint64_t from, to;    /* the bytes that its row groups lie in */
} CutRun;

typedef struct CutPart {
  const CutRun *run;    /* in the order of positions */
  uint32_t n;
} CutPart;

/* At most `parts` partitions, none of them empty. *n == 0: the files are better read in another way: too many
 * row groups would be read by two partitions. */
Status cut_parts(Arena *a, const FileLayout *file, uint32_t nfile, uint32_t parts, CutPart **out, uint32_t *n,
                 Err *e);

#endif
