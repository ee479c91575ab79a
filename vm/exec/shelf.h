/* SPDX-License-Identifier: Apache-2.0 */
/* What a site keeps between scans: runs of blocks, one for each partition of a rows or train stage, in memory
 * while the budget holds, beyond it in a file without a name in the scratch folder.
 *
 * A run is whole or not there. Scans go over all runs in turn, again and again, so that throwing out what was
 * not read for the longest time would throw out what comes next: what does not fit goes to the file at once,
 * and stays there; only blocks of rows stages, which few scans read, make room for matrices, which iterations
 * read. */
#ifndef VM_EXEC_SHELF_H
#define VM_EXEC_SHELF_H

#include <pthread.h>

#include "vm/exec.h"
#include "vm/site.h"

typedef struct Kept Kept; /* a run of blocks; behind its owner's back only read */

typedef struct Shelf {
  pthread_mutex_t lock;
  Kept **run;
  uint32_t n, cap;
  uint64_t used, budget, spilled, end; /* end: of the file */
  const char *scratch;
  int file;                            /* -1: not needed yet */
} Shelf;

Status shelf_init(Shelf *s, uint64_t budget, const char *scratch, Err *e); /* scratch outlives it */
void shelf_free(Shelf *s);

/* The run of that partition, held; NULL: it is not there. */
Kept *shelf_find(Shelf *s, uint32_t stage, uint32_t part);
/* A new run, to be filled by the caller alone. NULL with e->code 0: there is one, or somebody fills one.
 * rows: it makes room for others. */
Kept *shelf_begin(Shelf *s, uint32_t stage, uint32_t part, bool rows, Err *e);
Status shelf_add(Shelf *s, Kept *k, Block *b, Err *e); /* holds b, or writes it to the file */
/* It is whole now, or else gone; no longer held. of: what the scan that made it said of its partition, or
 * NULL where it is not whole. */
void shelf_end(Shelf *s, Kept *k, const ScanInfo *of);
void shelf_let(Shelf *s, Kept *k); /* no longer held; NULL: nothing */

/* Of a run that is held and whole. */
uint32_t shelf_count(const Kept *k);
const ScanInfo *shelf_info(const Kept *k);
Status shelf_block(Shelf *s, Kept *k, uint32_t i, Block **out, Err *e); /* the caller drops it */

SiteHeld shelf_held(Shelf *s);
void shelf_drop(Shelf *s, uint32_t stage); /* runs of that stage go as soon as nobody holds them */

#endif
