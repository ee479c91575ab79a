/* SPDX-License-Identifier: Apache-2.0 */
/* What an executor that runs in this process holds: the parsed program, fitted values, the way to the
 * sources. */
#ifndef VM_EXEC_HOME_H
#define VM_EXEC_HOME_H

#include "vm/engine.h"
#include "vm/exec.h"

typedef struct Home {
  Arena arena;
  Program *p;
  Registry reg;
  Limits lim;
  Env env;  /* its fitted values are owned here */
  Buf text; /* the program as it came */
} Home;

Status home_open(Home *h, Bytes text, const Registry *r, const Limits *l, Err *e);
/* *again: it took the place of another one */
Status home_put(Home *h, uint32_t id, Bytes value, bool *again, Err *e);
void home_close(Home *h);

/* The rows stage that the stages read; ST_FAULT where there is none, or not one. */
Status home_rows_stage(const Home *h, Stages of, uint32_t *rows, Err *e);
Status home_reader(const Home *h, uint32_t rows_stage, Reader **out, Err *e);
/* What nobody wants of it is left out of a reader of that source. */
void home_leave_out(const Home *h, uint32_t rows_stage, Reader *r);
Status home_writer(const Home *h, uint32_t stage, const char *path, char digest[DATA_DIGEST], Writer **out,
                   Err *e);
const Pass *home_pass(const Registry *r, const char *name); /* NULL: unknown */
/* Memory that is left for us: without a quarter for the data engine, 64 MB at least and 512 MB at most; 64 MB
 * that it takes beyond that (row groups that it decompresses); 40 MB of code. Not less than 16 MB. */
uint64_t home_memory(const Limits *l);

#endif
