/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled program is run: what `run` and `explain --analyze` share. */
#ifndef APP_EXECUTE_H
#define APP_EXECUTE_H

#include "app/app.h"
#include "app/remote.h"
#include "app/report.h"
#include "vm/jit.h"

typedef struct Execution {
  Limits limits;
  const char *path; /* of the program, as given */
  bool loopback, quiet;
  const SparkOptions *spark; /* NULL: on this machine */
  Remote *remote;            /* where the driver may run already; or NULL */
  bool digests;     /* the report is to have the digests of the data; bundles have them always */
  bool again;       /* its warnings were printed already */
  JitMode jit;
} Execution;

/* Runs it, shows progress and warnings. *r is to be freed by run_free in any case; *report points to it,
 * with digests that live in `keep`. Failures are not printed. */
Status execute(const App *app, const Execution *x, const Compiled *c, RunResult *r, Report *report,
               Arena *keep, Err *e);
/* Like execute, but its outputs go to a folder that is removed. aside.c: Paths of c->program are as before
 * when it returns. */
Status execute_aside(const App *app, const Execution *x, Compiled *c, RunResult *r, Report *report,
                     Arena *keep, Err *e);
/* The digests of the data as they are now: *n, in the order of the source stages. */
Status execute_data(const App *app, const Program *p, const char *dir, Arena *keep, DataDigest **v,
                    uint32_t *n, Err *e);
/* The folder of a program, which the paths in it start from. */
const char *execute_folder(Arena *a, const char *path);
/* Memory to use when nothing is said: four fifths of what the machine, or the control group we are in,
 * has. */
uint64_t execute_memory(void);

#endif
