/* SPDX-License-Identifier: Apache-2.0 */
/* Sources that only Spark reads, as far as the front end looks at them: names and types of columns. remote.c
 */
#ifndef APP_REMOTE_H
#define APP_REMOTE_H

#include "lang/catalog.h"
#include "vm/spark.h"

typedef struct Remote {
  const SparkOptions *options; /* NULL: programs run on this machine */
  const atomic_bool *cancel;
  Executor *executor;          /* started where a source needed it; the run goes on with it */
} Remote;

/* Does only Spark read such a source? */
bool remote_is(const Remote *r, const CatSource *src);
/* Its columns, as Catalog.columns gives them. CML0534: the program runs on this machine. */
Status remote_columns(Remote *r, Arena *a, const CatSource *src, CatColumn **out, uint32_t *n, Err *e);
/* The executor of a run: the one that was started, or a new one; the caller closes it. */
Status remote_take(Remote *r, Executor **out, Err *e);
void remote_close(Remote *r);  /* what nobody took */

/* app/catalog.c: columns of the data engine as the front end knows them. */
struct EngineColumn;
CatColumn *catalog_columns(Arena *a, const struct EngineColumn *c, uint32_t n);

#endif
