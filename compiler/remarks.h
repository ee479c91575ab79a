/* SPDX-License-Identifier: Apache-2.0 */
/* Remarks: why something was not shared, fused or left out of reading, at its line. */
#ifndef COMPILER_REMARKS_H
#define COMPILER_REMARKS_H

#include "base/arena.h"
#include "vm/ir.h"

typedef struct Remark {
  uint32_t line, col; /* of the program; 0: of no line */
  const char *about;  /* "scan", "matrix", "steps", "fusion", "reading" */
  const char *text;
} Remark;

/* Those of a program behind its passes, by line; *n: how many. NULL: memory. */
const Remark *remarks_of(const Program *p, Arena *a, uint32_t *n);

#endif
