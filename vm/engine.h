/* SPDX-License-Identifier: Apache-2.0 */
/* The data engine's face: metadata, reading in position order, writing whole files. vm/engine/duckdb.c is
 * behind it.
 *
 * The library is loaded at the first call that needs it (opening costs 11 to 21 ms), never by `version` or
 * `check --no-data`. */
#ifndef VM_ENGINE_H
#define VM_ENGINE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/option.h"
#include "vm/column.h"
#include "vm/ir.h"

typedef struct Format { /* csv, parquet: the options of `from NAME(...)` */
  const char *name;
  const Option *option;
  const char *doc;
} Format;
extern const Format engine_formats[]; /* ends with name == NULL */

/* The format that the ending of a file's name says, compressed or not ("x.csv.gz": csv), or NULL. */
const char *engine_format_of(const char *path);

typedef struct EngineSource EngineSource;
struct EngineSource {
  const char *format, *path, *dir; /* path may be a glob; relative to dir unless absolute */
  const char *const *option;       /* name, value pairs */
  uint32_t noption;
  const char *const *column;       /* declared names in order: names of a CSV without a header; or NULL */
  uint32_t ncolumn;
  const EngineSource *next;        /* more of them, of the same columns: read behind this one; dir, column
                                    * as here */
};

/* The inputs of a source stage, in the arena; NULL: no memory. */
const EngineSource *engine_source(Arena *a, const Stage *s, const char *dir);

typedef struct EngineColumn {
  const char *name;
  int kind;          /* Kind, or -1: a type cml does not read; `why` says which */
  const char *why;
  bool nullable, inferred;
} EngineColumn;

/* Columns of the first input, as the file's own metadata say (Parquet: types, null counts of the footers),
 * or a sample (CSV: the first 20,000 records). */
Status engine_columns(Arena *a, const EngineSource *s, EngineColumn **out, uint32_t *n, Err *e);

/* The files of a source, of one input after the other: globs expanded, sorted bytewise by path relative to
 * the glob's root. */
Status engine_files(Arena *a, const EngineSource *s, const char ***out, uint32_t *n, Err *e);

typedef struct EngineSize { /* of a source, before it is read */
  uint64_t rows, bytes;     /* bytes: of its files */
  bool known;               /* rows is there */
  bool exact;               /* it is no estimate */
} EngineSize;
/* The columns are those that will be read; nothing is. */
Status engine_size(const EngineSource *s, const IrColumn *col, uint32_t ncol, EngineSize *out, Err *e);

typedef struct Reader Reader;
/* Reads the given columns (kind and nullability as declared) of all files in order. A value that does not
 * parse, a null in a plain column, NaN in a plain float column are reported to `errors` by file, position
 * and column (NaN in a nullable float column is null). */
Status reader_open(const EngineSource *s, const IrColumn *col, uint32_t ncol, uint64_t memory, Reader **out,
                   Err *e);
/* Is it certain of rows of which only this is known, one zone for each of the columns, that nobody wants
 * them? */
typedef bool (*ZoneTest)(const void *ctx, const IrColumn *col, const Zone *zone, uint32_t ncol);
/* Before the first block: from now on blocks of whose rows the statistics of the file tell that come without
 * rows, and are not read (Parquet; other formats have none). ctx outlives the reader. */
void reader_leave_out(Reader *r, ZoneTest none, const void *ctx);
/* The next block (BLOCK positions, fewer at the end of a file) and its number, or NULL at the end. The
 * caller drops it. Several threads may call: numbers are given in the order of positions, the work on a
 * block is done beside the others. Of several errors that of the smallest number counts; behind an error
 * there are no blocks, but for those begun before it. */
Status reader_next(Reader *r, Block **out, uint32_t *seq, RowErrors *errors, Err *e);
uint64_t reader_total(const Reader *r);              /* rows of all files where the format knows (Parquet),
                                                      * else 0 */
const char *const *reader_files(const Reader *r, uint32_t *n);
void reader_close(Reader *r);

typedef struct Writer Writer;
/* Writes a table to path (format by its ending: .parquet or .csv) through a temporary file beside it,
 * fsync, rename. */
Status writer_open(const char *path, const IrColumn *col, uint32_t ncol, Writer **out, Err *e);
/* rows in order, any number; columns are copied */
Status writer_put(Writer *w, const Col *col, uint32_t n, Err *e);
Status writer_commit(Writer *w, uint64_t *bytes, Err *e);         /* frees w, also on failure */
void writer_abort(Writer *w);                                     /* removes what was written, frees w */

#endif
