/* SPDX-License-Identifier: Apache-2.0 */
/* What local.c and local_plan.c share: the executor of one machine, and a scan of its. */
#ifndef VM_EXEC_LOCAL_H
#define VM_EXEC_LOCAL_H

#include <pthread.h>

#include "vm/exec/answer.h"
#include "vm/exec/home.h"
#include "vm/exec/store.h"

typedef struct Local {
  Executor x; /* first: an Executor * is a Local * */
  Home home;
  Store store;
  NoteRoom room; /* of what passes note of rows in the store */
  Worker **worker; /* threads of them, made when first needed */
  bool opened;
} Local;

typedef enum { FROM_READER, FROM_ROWS, FROM_UNITS } From;

typedef struct Open { /* a block that was read */
  uint32_t seq, u0, left; /* u0: what nobody has taken yet begins; left: pieces that are not done */
  Block *rows;
} Open;

typedef struct Scan {
  Local *l;
  Stages of;
  uint32_t rows_stage;
  const Jobs *jobs;       /* NULL: writing */
  DataSet *rows;
  uint32_t nmatrix;       /* matrices that the stages learn from: */
  uint32_t *maker;        /*   the stage that makes each */
  uint32_t nkept;         /* steps that are kept, in programs that will run: */
  uint32_t *kept;         /*   their numbers */
  FillTrain *train;       /* data sets of matrices, then of these steps */
  int32_t *uses;          /*   by stage: which one, or -1 */
  uint64_t *seen;         /* by stage */
  From from;
  uint32_t pieces;        /* tasks of a block: 1, or up to 4 where no leaf is larger */
  uint32_t ntask;         /* when known: not FROM_READER */
  uint32_t workers;
  Reader *reader;
  Writer *writer;
  Progress *pr;
  uint64_t total;         /* positions, 0: unknown */
  atomic_bool stop;       /* something failed, or a bad row was found and nothing else is looked for */
  atomic_bool bad;        /* a bad row was found: only bad rows are looked for */
  pthread_mutex_t lock;   /* everything below */
  uint32_t next;          /* task; FROM_READER: blocks read */
  pthread_cond_t turned;
  uint32_t turn;          /* block whose rows are written next */
  Open *open;             /* with those being read one a worker at most */
  uint32_t nopen, reading; /* reading: workers who may yet open one */
  bool ended;             /* there is no more to read */
  pthread_cond_t opened;
  Tree *tree;             /* by job */
  Fill fill;
  RowErrors errors;
  ScanInfo info;
  Err err;
  uint32_t err_seq;       /* its block: that of the first one counts, however fast the threads are */
} Scan;

/* Finds out what the scan reads, makes and keeps; *s is good to be ended whatever comes of it. */
Status local_begin(Local *l, Scan *s, Stages of, const Jobs *jobs, Progress *pr, Err *e);
/* Threads that there are tasks and memory for; partials: bytes of those of one thread. */
uint32_t local_workers(const Local *l, const Scan *s, size_t partials);
/* Steps that were kept, and that no later scan will read. */
void local_drop_kept(Scan *s);

#endif
