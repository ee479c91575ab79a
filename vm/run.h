/* SPDX-License-Identifier: Apache-2.0 */
/* The driver: runs a program's stages in order on an executor and gathers what came of it.
 *
 * It knows neither threads nor estimators: it asks Iters for jobs, gives these to the executor, and puts
 * what was fitted back to it. */
#ifndef VM_RUN_H
#define VM_RUN_H

#include "base/digest.h"
#include "vm/estimator.h"
#include "vm/exec.h"
#include "vm/fitted.h"
#include "vm/ir.h"
#include "vm/jit.h"
#include "vm/paired.h"

typedef struct RunStage { /* by stage number; scans = 0 and seconds = 0: only described something */
  const char *name;
  StageKind kind;
  double seconds;
  uint64_t rows;    /* that one scan saw, of the part the stage reads */
  uint64_t bytes;   /* that went through, over all scans */
  uint32_t scans;
  uint64_t held;    /* most bytes of rows and matrices that were kept at once in its scans; 0: not known */
  uint32_t reads;   /* scans of them that went back to the source; the others are over what is kept */
  uint64_t sent, answered; /* of all its scans: bytes between the driver and workers elsewhere */
  uint32_t parts;     /* partitions of its rows, where they lie elsewhere; 0: here */
} RunStage;

typedef struct RunData { /* of a rows stage */
  uint32_t stage;
  bool known;       /* it was scanned */
  uint64_t read;    /* rows of the source */
  uint64_t kept[KEPT]; /* rows that survived, by part; then those that a domain dropped */
} RunData;

typedef struct RunMetric {
  uint32_t stage, metric;
  Paired paired;    /* of metrics with `vs` */
  MetricValue difference; /* what an expectation of it reads */
  MetricValue *v;   /* one without a slice, else one a slice */
  uint32_t n;
} RunMetric;

typedef struct RunExpect {
  uint32_t stage, expect;
  bool passed;
  bool defined;     /* false: a metric in it is undefined, so it did not pass */
  bool known;       /* value is there */
  double value;     /* of the first metric it names */
  const char *metric; /* its name */
  char text[320];     /* all it names: "`auc` is undefined, since the rows have one class only; `brier` is
                       * 0.25" */
} RunExpect;

typedef struct RunExport {
  uint32_t stage;
  const char *kind; /* "predictions", "features" or "bundle" */
  const char *path; /* as written in the program */
  uint64_t rows, bytes;
  bool elsewhere;   /* the executor wrote it where only it looks: no digest */
  char digest[DATA_DIGEST]; /* of a bundle SHA-256 */
} RunExport;

typedef struct RunWarning {
  uint32_t stage;
  char *text;
} RunWarning;

typedef struct RunResult {
  RunStage *stage;
  uint32_t nstage;
  Fitted **fitted;  /* by number; NULL: not fitted */
  uint32_t nfitted;
  RunData *data;
  uint32_t ndata;
  RunMetric *metric;
  uint32_t nmetric;
  RunExpect *expect;
  uint32_t nexpect;
  RunExport *export_;
  uint32_t nexport;
  RunWarning *warning;
  uint32_t nwarning;
  double start;     /* seconds until the executor was there */
  double seconds;   /* with them */
  JitStats jit;     /* set by whoever owns the Jit of Limits */
  uint64_t peak;    /* most memory of this process, bytes; set by whoever started it */
} RunResult;

typedef struct RunHooks { /* any may be NULL */
  void *ctx;
  void (*begin)(void *ctx, const Program *p, uint32_t stage);
  void (*end)(void *ctx, const Program *p, const RunStage *done);
  /* Writes the bundle of a bundle stage to `path` (joined with Limits.dir); needed where a program has
   * one. */
  Status (*bundle)(void *ctx, const Program *p, uint32_t stage, const char *path, const RunResult *so_far,
                   Err *e);
  Progress *progress;
} RunHooks;

/* Opens x with the program; the caller closes it. Runs to the end also when an expectation fails, and then
 * returns ST_EXPECT, with e filled. *out is to be freed in any case: after a failure it holds what was
 * done until then. */
Status run_program(const Program *p, Executor *x, const Registry *r, const Limits *l, const RunHooks *hooks,
                   RunResult *out, Err *e);
void run_free(RunResult *r);

/* digest.c: one digest of what each stage made, at its seq: p->nstage of them, "" where it made nothing.
 * Equal for all ways to run and compile a program. Of rows in a file it is that of the file; of a bundle only
 * that of the model, since the program inside may be written in more ways than one. */
Status run_digests(const Program *p, const RunResult *r, char (*digest)[DIGEST_HEX], Err *e);

#endif
