/* SPDX-License-Identifier: Apache-2.0 */
/* The executor of Apache Spark: scans are jobs of a Spark driver that cmlc starts; the arithmetic is
 * libcml-spark.so inside Spark's tasks. vm/exec/spark.c, vm/exec/channel.c; the Java side is in spark/. */
#ifndef VM_SPARK_H
#define VM_SPARK_H

#include "vm/exec.h"

typedef struct SparkOptions {
  const char *master; /* "spark://host:7077", "yarn", "k8s://...", "local[4]"; NULL: as Spark is configured */
  const char *home;        /* where Spark lies; NULL: $SPARK_HOME, or the pyspark package of python3 */
  const char *const *conf; /* "key=value", of Spark */
  uint32_t nconf;
  uint64_t memory;         /* native bytes of each executor; 0: a default */
  uint32_t partitions;     /* of each source; 0: as Spark is configured, spark.cml.partitions */
  bool here;               /* predictions are sent to cmlc, which writes them as it does everywhere */
} SparkOptions;

enum { SPARK_MEMORY = 1 << 30 }; /* the default */

/* Where libcml-spark.so and cml-spark.jar lie; NULL: this cmlc was built without Spark. */
const char *spark_folder(void);

/* Starts the driver beside what the caller does next; open() waits for it. o outlives the executor. */
Status exec_spark(const SparkOptions *o, const atomic_bool *cancel, Executor **out, Err *e);

typedef struct SparkFile {
  const char *name;
  uint64_t bytes;
} SparkFile;
/* Of Hadoop's file systems, before or after open(): the files of a glob, in the order of their positions; n
 * bytes of one. */
Status spark_files(Executor *x, Arena *a, const char *glob, SparkFile **out, uint32_t *n, Err *e);
Status spark_range(Executor *x, const char *name, uint64_t at, uint64_t n, Buf *out, Err *e);

enum { SPARK_MIRRORS = 1000 }; /* of so many Parquet files of one source the footers are fetched */
/* Parquet files in the folder `dir` of this machine, in their order: of each the size and the footer, with a
 * hole in place of all else. */
Status spark_mirrors(Executor *x, const SparkFile *file, uint32_t n, const char *dir, Err *e);

/* A path of a program, which starts from its folder, as Hadoop writes it; in the arena. */
const char *spark_name(Arena *a, const char *dir, const char *path);
/* The columns of one input, as Spark knows them: of the files `uri`, or of what has none (a table, a query).
 */
struct EngineColumn;
Status spark_schema(Executor *x, Arena *a, const IrInput *in, const char *const *uri, uint32_t nuri,
                    struct EngineColumn **out, uint32_t *n, Err *e);

#endif
