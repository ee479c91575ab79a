/* SPDX-License-Identifier: Apache-2.0 */
/* Passes, jobs, iterative programs and the executor interface.
 *
 * Everything that looks at rows to learn or to measure is a Pass: map over panels, merge of partials. What
 * needs several passes is an Iter: the driver asks it for jobs, runs the jobs of all Iters of a stage in ONE
 * scan, gives each its results, until none wants more. An Iter never knows where its jobs run. Only bytes
 * travel: programs as IR text, fitted values, parameters, partials.
 *
 * Same bits on any number of workers: work is cut by position into leaves (2^j chunks; j depends only on
 * Pass.partial_size); a leaf is accumulated in order by one worker; leaves meet in the canonical binary
 * tree over their numbers inside a file, then files in order by the same tree. Leaves without rows are
 * skipped, which depends on the data only. Scheduling has no influence. */
#ifndef VM_EXEC_H
#define VM_EXEC_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "vm/column.h"
#include "vm/fitted.h"
#include "vm/ir.h"

typedef enum RedKind {
  RED_EXACT, /* merge is exact in any order: one accumulator per worker */
  RED_TREE,  /* floating: one partial per leaf, canonical tree */
  RED_LIST,  /* ordered by position: merged like RED_TREE; partials may grow with the rows */
} RedKind;

typedef struct Ctx { /* of one task; scratch is reset between panels by the caller */
  Arena *scratch;
  RowErrors *errors;
  const atomic_bool *cancel;
  Err *err;
} Ctx;

typedef struct Pass {
  const char *name;    /* found by name in the registry of each worker */
  RedKind kind;
  /* Parses the parameters once per worker and job; what it returns is handed to all others as `par`. NULL
   * on error. */
  void *(*open)(Bytes par, Err *e);
  void (*close)(void *par);
  size_t (*partial_size)(const void *par); /* upper bound or typical bytes; fixes the leaf size; must not
                                            * depend on workers */
  void *(*init)(const void *par, Err *e);
  Status (*map)(const void *par, const Panel *p, void *partial, Ctx *ctx); /* rows in position order */
  /* l precedes r; r may be emptied; the caller frees both */
  Status (*merge)(const void *par, void *l, void *r, Err *e);
  Status (*save)(const void *par, const void *partial, Buf *out, Err *e);  /* exact */
  void *(*load)(const void *par, Bytes in, Err *e);                        /* verifies; NULL on error */
  void (*free)(const void *par, void *partial);
} Pass;

typedef struct Job {
  const Pass *pass;
  Buf par;             /* owned by the job list */
  uint32_t of;         /* whose rows it sees: index into the stages of the scan */
  int32_t leave_out;   /* rows of this fold are not seen; -1: all rows of the stage's part */
  int32_t only_fold;   /* only rows of this fold; -1 */
  bool once;           /* its asker expects to need no other: matrices for such jobs alone are not kept */
} Job;

typedef struct Jobs {
  Job *v;
  uint32_t n, cap;
} Jobs;
Job *jobs_add(Jobs *j, const Pass *pass); /* NULL: memory; par is empty, of the first stage, folds -1 */
void jobs_clear(Jobs *j);
void jobs_free(Jobs *j);

/* An iterative map-reduce program. next() is first called with nout == 0; afterwards with the saved
 * partial of each job it asked for last time, in order. A job over no rows at all gives the saved init
 * partial. It adds jobs, or none: done. */
typedef struct Iter Iter;
struct Iter {
  Status (*next)(Iter *it, const Buf *out, uint32_t nout, Jobs *jobs, Err *e);
  void (*free)(Iter *it);
};

typedef struct Limits {
  uint32_t threads;       /* workers, >= 1 */
  uint64_t memory;        /* bytes for blocks and partials of ours together with the engine's */
  const char *dir;        /* folder that relative source paths start from */
  const atomic_bool *cancel;
  struct Jit *jit;           /* vm/jit.h: shared by all workers; NULL: off */
} Limits;

typedef struct Registry { /* handed down by app (stdlib/registry.c) */
  const struct Estimator *const *estimator; /* each list ends with NULL */
  const struct Metric *const *metric;
  const Pass *const *pass;                  /* every pass there is: those of vm/agg/agg.c, estimators and
                                             * metrics */
} Registry;

typedef struct Progress { /* what the executor tells while it scans; may be NULL */
  void (*rows)(void *ctx, uint64_t done, uint64_t total); /* total 0: unknown; called from any thread,
                                                           * cheaply */
  void (*note)(void *ctx,
               const char *text); /* something that a user wants to know: a worker was lost; or NULL */
  void *ctx;
} Progress;

enum { KEPT_INVALID = 64, KEPT }; /* counts of rows: of at most 64 parts; of rows that a domain dropped */

typedef struct Stages { /* those that share a scan: all read the same rows stage; none twice */
  const uint32_t *v;
  uint32_t n;
} Stages;

typedef struct ScanInfo { /* what a scan says besides its results */
  uint64_t read;           /* positions read */
  uint64_t rows;           /* rows the jobs saw; of all stages */
  uint64_t bytes;          /* bytes of columns that went through */
  uint64_t kept[KEPT];     /* rows stage: surviving rows of each part, then those that were invalid (first
                            * scan) */
  uint64_t held; /* most bytes of rows and matrices that were kept at once; 0: it is not known here */
  bool from_cache;
  bool elsewhere;          /* write: what was written lies where only the executor looks, of so many bytes */
  uint64_t written;
  char digest[DATA_DIGEST]; /* write: of the file, where it was made on the way; or "" */
  uint64_t sent, answered; /* bytes between the driver and those who work elsewhere; 0: it all happens here */
  uint32_t parts;          /* partitions of the rows, where there are any */
} ScanInfo;

typedef struct Executor Executor;
struct Executor {
  const char *name;
  /* Ships the program. `text` is IR text; the executor parses it for its workers. */
  Status (*open)(Executor *x, Bytes text, const Registry *r, const Limits *l, Err *e);
  /* Broadcast of fitted value number `id`. */
  Status (*put)(Executor *x, uint32_t id, Bytes value, Err *e);
  /* ONE scan of the rows that the stages (fit, train, evaluate) read, n jobs; out[i] gets job i's saved
   * partial. fit and evaluate: the stage's row program runs on each panel. train: its outputs, or those of
   * the train stage whose matrix it shares, become matrix blocks, cached while memory allows and rebuilt to
   * the same bits otherwise. Data errors: ST_DATA with the first ten by position. seen: rows that each
   * stage's jobs saw; may be NULL. */
  Status (*reduce)(Executor *x, Stages of, const Jobs *jobs, Buf *out, ScanInfo *info, uint64_t *seen,
                   Progress *pr, Err *e);
  /* Runs a predict or transform stage, writes its outputs in position order to `path`: whole or not at
   * all. */
  Status (*write)(Executor *x, uint32_t stage, const char *path, ScanInfo *info, Progress *pr, Err *e);
  void (*drop)(Executor *x, uint32_t stage); /* frees cached blocks of a rows or train stage */
  void (*close)(Executor *x);                /* cancels what runs, leaves nothing, frees x */
};

Status exec_local(Executor **out, Err *e);    /* vm/exec/local.c: a pool of threads */
Status exec_loopback(Executor **out, Err *e); /* vm/exec/loopback.c: forked children, everything
                                               * serialised; for tests */

/* Bytes of rows and matrices that an executor in this process keeps at most: what is beyond is made again. */
uint64_t exec_keeps(const Limits *l);

/* The data errors of a scan as one Err: count and the first ten, each with file, record and column. */
Status exec_row_errors(const RowErrors *r, const char *const *file, uint32_t nfile, Err *e);

#endif
