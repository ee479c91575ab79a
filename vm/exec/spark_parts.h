/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the Spark executor share.
 *
 *   spark.c         the executor: scans, writing
 *   spark_source.c  sources: who reads what
 *   cut.h           blocks of Parquet files -> partitions
 *   mirror.c        footers of files that lie elsewhere
 *   channel.h       the wire */
#ifndef VM_EXEC_SPARK_PARTS_H
#define VM_EXEC_SPARK_PARTS_H

#include "vm/engine.h"
#include "vm/exec/channel.h"
#include "vm/exec/home.h"
#include "vm/spark.h"

typedef struct Source { /* a source stage, once Spark reads it */
  bool ready;
  uint32_t nfile, npart;
  const char **name;    /* of its files, for messages */
  uint64_t rows;        /* of all files */
} Source;

typedef struct Data { /* a rows stage: known after its first scan */
  bool known;
  uint64_t kept[KEPT], read;
} Data;

typedef struct Spark {
  Executor x; /* first */
  const SparkOptions *options;
  Channel *channel;
  Home home;
  Arena mem;
  Source *source;       /* by stage */
  Data *data;           /* by stage */
  const atomic_bool *cancel;
  Progress *progress;   /* of the scan at hand */
  uint64_t put;         /* bytes of fitted values since the last scan */
  uint64_t total;       /* its positions */
  uint32_t partitions;  /* of a source, at most: as Spark is configured */
  bool opened;
} Spark;


Status spark_ask(Spark *s, FrameKind kind, const Buf *body, Buf *answer, Err *e);
Status spark_garbled(Err *e); /* an answer that cannot be read */

/* The source that a rows stage reads: its rows are divided among partitions when it is first needed. */
Status spark_source(Spark *s, uint32_t rows_stage, Source **out, Err *e);
/* Does a reader of Spark's read one of the sources, as far as is known yet? */
bool spark_reads(const Spark *s);
/* An input as Spark's readers know it: a JDBC source has its path as an option. */
void spark_put_input(Buf *b, const IrInput *in, const char *const *uri, uint32_t nuri);
void spark_put_columns(Buf *b, const IrColumn *col, uint32_t n);

#endif
