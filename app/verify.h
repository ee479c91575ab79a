/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to run a program that must all give the same, and what came of each: behind `cmlc verify`. */
#ifndef APP_VERIFY_H
#define APP_VERIFY_H

#include "app/execute.h"

typedef enum WayOutcome {
  WAY_SAME,
  WAY_DIFFERS, /* a stage made something else */
  WAY_FAILED,  /* with an error that the first way has not */
  WAY_NOT_RUN, /* it needs what is not here */
} WayOutcome;

typedef struct Way {
  const char *name;    /* for --only: "skip-fold" */
  const char *options; /* of `cmlc run`, beside those of the first way: "--skip-pass fold" */
  const char *skip;    /* passes, or NULL */
  Execution run;
  bool small;          /* in the least memory that does */
  bool quick;          /* one of --quick */
  bool chosen;
  WayOutcome outcome;
  uint32_t stage;      /* the first that differs: its seq */
  Err why;             /* failed, not run */
  double seconds;      /* compiling and running */
  char (*digest)[DIGEST_HEX]; /* by seq */
} Way;

typedef struct Verification {
  const App *app;
  Arena *arena;          /* returns NULL when memory is used up */
  Compiled *c;           /* its program is the one that runs */
  const Program *written; /* as it was before any pass */
  Buf text;              /* the IR of that: what each way starts from */
  Way *way;              /* the first is what the others are compared with */
  uint32_t nway;
  DataDigest *data;      /* of the files before anything ran */
  uint32_t ndata;
} Verification;

/* All passes, for CompileOptions.skip_pass: what is verified is compiled without any. */
const char *verify_no_pass(Arena *a);
/* first: how it is run without being told otherwise; options: how that is written. c has its program. */
Status verify_open(Verification *v, const App *app, Arena *a, Compiled *c, const Execution *first,
                   const char *options, Err *e);
/* Those of a list of names separated by commas, or the quick ones, or all; ST_USAGE in e. */
Status verify_choose(Verification *v, const char *only, bool quick, Err *e);
/* Runs one; the first before the others. A failure of the first, data that changed meanwhile and an
 * interruption are in e; an expectation that the first did not meet, too, with ST_EXPECT. */
Status verify_way(Verification *v, uint32_t way, Err *e);
void verify_close(Verification *v);

#endif
