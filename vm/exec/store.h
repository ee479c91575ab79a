/* SPDX-License-Identifier: Apache-2.0 */
/* Cached data sets of an executor: blocks of rows stages and unit matrices of train stages.
 *
 * All or nothing: a data set is cached whole or not at all; what is cached is only a matter of time, never
 * of bits. A Store is used under its owner's lock. When a scan makes more than the budget holds, something
 * gives way, in this order: what is kept of steps, which is quickest to make again; blocks of the rows stage
 * that are only being collected beside matrices; cached blocks whose matrices will fit in their place; what
 * is being collected. */
#ifndef VM_EXEC_STORE_H
#define VM_EXEC_STORE_H

#include "vm/exec/task.h"

typedef enum CacheState {
  CACHE_NONE, /* not tried, or given up for another one */
  CACHE_FULL,
  CACHE_OFF,  /* does not fit */
} CacheState;

typedef struct Entry {
  Block *rows;        /* of a rows stage */
  Block *unit[UNITS]; /* of a train stage */
} Entry;

typedef struct DataSet { /* of one rows or train stage, or of one step that is kept */
  CacheState state;
  Entry *v;            /* by block number: the order of the scan */
  uint32_t n, cap;
  uint64_t bytes;
  /* rows stages: known after the first scan */
  bool known;
  uint64_t kept[KEPT], read;
  char **file;         /* names for messages */
  uint32_t nfile;
} DataSet;

typedef struct Store {
  DataSet *set;        /* by stage, then by number of a step that is kept (IrVal.kept), from 1 on */
  uint32_t nstage, n;
  uint64_t used, budget;
  uint64_t most;       /* used, since the scan began */
} Store;

typedef struct FillTrain {
  DataSet *set;
  bool on;
} FillTrain;

typedef struct Fill { /* what one scan collects */
  Store *store;
  DataSet *rows;
  bool fill_rows;
  FillTrain *train;           /* the matrices that the scan makes, those that stay first; then steps that are
                               * kept */
  uint32_t ntrain, nmatrix;   /* all; matrices */
  bool spend;                 /* cached rows are given up as they are used */
  uint32_t done, pieces;      /* tasks done; how many a block is */
} Fill;

Status store_init(Store *s, uint32_t nstage, uint32_t nkept, uint64_t budget, Err *e);
DataSet *store_kept(const Store *s, uint32_t number);
void store_free(Store *s);
void store_drop(Store *s, uint32_t stage);                              /* the cached blocks; counts stay */
Status store_files(DataSet *d, const char *const *file, uint32_t n, Err *e);
/* Keeps a reference to what a scan made of block number `seq`: its rows, or units [u0, u1) of the
 * k-th matrix (moved out of the array when kept). */
Status fill_rows(Fill *f, uint32_t seq, Block *rows, Err *e);
Status fill_units(Fill *f, uint32_t k, uint32_t seq, uint32_t u0, uint32_t u1, Block **unit, Err *e);
bool fill_trains(const Fill *f); /* is any matrix being collected? */
/* whole: all n blocks went through without an error */
void fill_end(Fill *f, bool whole, uint32_t n);

#endif
