/* SPDX-License-Identifier: Apache-2.0 */
/* Status and Err: how everything below the front end reports a failure.
 *
 * A function that can fail returns a Status and fills the Err it was given. The codes are the exit
 * statuses of cmlc, so nobody translates them. An Err has fixed buffers: reporting that memory is used up
 * needs no memory. The first report wins. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>
#include <stdint.h>

typedef enum Status {
  ST_OK = 0,       /* done */
  ST_EXPECT = 1,   /* an `expect` failed */
  ST_USAGE = 2,    /* wrong command line */
  ST_PROGRAM = 3,  /* the program is wrong */
  ST_DATA = 4,     /* the data are wrong */
  ST_RESOURCE = 5, /* memory, disk, a library, a worker: missing or used up */
  ST_FAULT = 6,    /* a fault of cml itself */
  ST_CANCEL = 7,   /* interrupted (Ctrl-C); never an exit status of its own */
} Status;

typedef struct Err {
  Status code;
  char id[12];      /* "CML0401", or "" */
  char where[320];  /* file, record, column: "flights.csv, record 17, column delay"; or "" */
  char cause[1600]; /* one sentence; several lines when several records are listed */
  char remedy[400]; /* one sentence, or "" */
} Err;

/* Sets code, id and cause unless an error is already there; returns the code that is then in force.
 * `remedy` may be NULL. */
Status err_set(Err *e, Status code, const char *id, const char *remedy, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* Says where it was, unless that is already known. Returns e->code, so that `return err_at(e, ...)` reads
 * well. */
Status err_at(Err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Memory used up: the one error everybody reports. */
Status err_memory(Err *e);

void err_clear(Err *e);

#endif
