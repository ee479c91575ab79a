/* SPDX-License-Identifier: Apache-2.0 */
/* A site: what one process of a distributed engine holds of a run. Program, fitted values, the blocks of the
 * partitions that it worked on, workers. It knows nothing of Spark, and nothing of Java; spark/jni.c hands
 * its functions to tasks.
 *
 *   records --> raw block --> block of the rows stage --> matrices of its units --> nodes of the tree, as
 * bytes (vm/engine.h)           both kept, in memory or on the scratch disk
 *
 * A record has rows, or text that is taken apart here, or it names blocks of a Parquet file that is read
 * here, by asking for its bytes.
 *
 * What is kept is only a matter of time: a partition that this site has never seen, or has given up, is made
 * of its records again, to the same bits. Functions are safe to call from several threads; a put waits until
 * scans have ended. Bad rows are in results; a Status other than ST_OK is of the site or of bytes that cannot
 * be read. */
#ifndef VM_SITE_H
#define VM_SITE_H

#include "base/buf.h"
#include "vm/exec.h"

typedef struct Site Site;

typedef struct Records { /* of one partition, in the order of files and positions */
  /* The next one, valid until the next call; p == NULL: the end. */
  Status (*next)(void *ctx, Bytes *record, Err *e);
  /* n bytes of the file that the handle of a run stands for (vm/engine.h) */
  Status (*fetch)(void *ctx, uint64_t handle, uint64_t at, size_t n, void *out, Err *e);
  void *ctx;
} Records;

/* memory: bytes of blocks that are kept; what does not fit goes to files in the folder `scratch`, which have
 * no names and so go with the process. */
Status site_open(Bytes program, const Registry *r, uint64_t memory, const char *scratch, Site **out, Err *e);
void site_close(Site *s);

enum {
  SITE_FITTED,
  SITE_SOURCE
}; /* what is put: a fitted value, by number; the files of a source, by stage */
/* Versions count up from 1; one that is not newer than what is there is not taken. Waits for scans that run
 * only where it is taken. */
Status site_put(Site *s, uint32_t kind, uint32_t id, uint64_t version, Bytes value, Err *e);
uint64_t site_version(Site *s, uint32_t kind, uint32_t id); /* as put last; 0: never */
struct RecordFile;
/* The value of SITE_SOURCE: n files (vm/engine.h). */
void site_source(const struct RecordFile *file, uint32_t n, Buf *out);

/* One scan of one partition. request: exec/answer.h's Ask; result: an Answer. Records are read only where
 * blocks are not there. */
Status site_scan(Site *s, Bytes request, uint32_t part, const Records *in, Buf *result, Err *e);
/* Several results of one request to one; each partition at most once. */
Status site_merge(Site *s, Bytes request, const Bytes *result, uint32_t n, Buf *out, Err *e);

/* The rows of one partition that a predict or transform stage writes, as records of columns. */
typedef struct SiteWriter SiteWriter;
Status site_write(Site *s, Bytes request, uint32_t part, const Records *in, SiteWriter **out, Err *e);
Status site_write_next(SiteWriter *w, Buf *record, Err *e); /* empty: the end */
/* Counts and bad rows; nothing where the rows were not taken to their end. Frees w, also after a failure. Any
 * thread may call. */
Status site_write_end(SiteWriter *w, Buf *result, Err *e);

/* A file of text, of which somebody else gives the bytes, divided into records of a block each. */
typedef struct SiteSplit SiteSplit;
typedef struct ByteSource ByteSource;
Status site_split(Site *s, uint32_t stage, uint32_t file, const char *path, const ByteSource *in,
                  SiteSplit **out, Err *e);
Status site_split_next(SiteSplit *p, Buf *record, uint32_t *rows, Err *e); /* *rows == 0: the end */
void site_split_end(SiteSplit *p);

void site_drop(Site *s, uint32_t stage); /* gives up the blocks of a rows or train stage */

typedef struct SiteHeld {
  uint64_t memory, scratch; /* bytes */
  uint64_t blocks;
} SiteHeld;
SiteHeld site_held(Site *s);

#endif
