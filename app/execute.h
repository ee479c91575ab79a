/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled program is run: what `run` and `explain --analyze` share. */
#ifndef APP_EXECUTE_H
#define APP_EXECUTE_H

#include "app/app.h"
#include "app/report.h"
#include "vm/jit.h"

typedef struct Execution {
  Limits limits;
  const char *path; /* of the program, as given */
  bool loopback, quiet;
  JitMode jit;
} Execution;

/* Runs it, shows progress and warnings. *r is to be freed by run_free in any case; *report points to it,
 * with digests that live in `keep`. Failures are not printed. */
Status execute(const App *app, const Execution *x, const Compiled *c, RunResult *r, Report *report,
               Arena *keep, Err *e);
/* Memory to use when nothing is said: four fifths of what the machine, or the control group we are in,
 * has. */
uint64_t execute_memory(void);

#endif
