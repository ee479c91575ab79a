/* SPDX-License-Identifier: Apache-2.0 */
/* What the stages of a program will cost, guessed before they run: `explain` prints it beside what
 * happened (--analyze). */
#ifndef COMPILER_ESTIMATE_H
#define COMPILER_ESTIMATE_H

#include "vm/exec.h"
#include "vm/ir.h"

typedef struct Estimate { /* of a stage */
  bool known;             /* false: the size of its source is not known, or it only describes something */
  bool exact;             /* rows are counted (Parquet without a filter), not guessed */
  double rows;            /* that one scan sees, of the part; filters count as if they kept every row */
  double bytes;           /* source: of its files; else of the columns or the matrix that go through one
                           * scan */
  double texts;           /* bytes of texts among them, of a rows stage */
  double held;            /* of rows and matrices that are kept while it runs */
  double seconds;         /* all scans; the first one over a source reads its files */
  uint32_t scans;
  double sent, partial;   /* bytes of a scan on Spark: to each executor, from each partition; 0: not known */
} Estimate;

/* out: one a stage. The files are looked at, not read; one that cannot be looked at is not known. */
Status estimate_program(const Program *p, const Registry *r, const Limits *l, Estimate *out, Err *e);

/* Bytes that the whole run takes at most: what is kept, what each thread works on, the code. 0: not known. */
double estimate_peak(const Program *p, const Limits *l, const Estimate *stage);

/* May stage `i` read fitted value `id`? */
bool stage_uses(const Program *p, uint32_t i, uint32_t id);
/* The stage that makes fitted value `id`, or -1. */
int32_t stage_making(const Program *p, uint32_t id);

#endif
