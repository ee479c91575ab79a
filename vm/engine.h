/* SPDX-License-Identifier: Apache-2.0 */
/* The data engine's face: metadata, reading in position order, writing whole files. vm/engine/duckdb.c is
 * behind it.
 *
 * The library is loaded at the first call that needs it (opening costs 11 to 21 ms), never by `version` or
 * `check --no-data`. */
#ifndef VM_ENGINE_H
#define VM_ENGINE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
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

/* What a format gives to Spark's readers: columns of files; text, that cml takes apart; rows without an
 * order. */
typedef enum EngineHow { HOW_COLUMNS, HOW_TEXT, HOW_SORTED } EngineHow;
EngineHow engine_how(const char *format);
/* Does Spark alone read it: by its format, or since its path is of another file system? */
bool engine_only_spark(const char *format, const char *path);
/* CML0534: what only Spark reads. */
Status engine_elsewhere(const char *what, Err *e);
/* A column of another engine, whose type is a word as DuckDB writes it. */
void engine_column_of(Arena *a, const char *name, const char *type, bool nullable, EngineColumn *out);

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

/* ---- Records: rows that another engine reads, or is to write ----
 *
 * A record is bytes: little-endian, arrays at multiples of 8 from its beginning (zeros between):
 *   u32 kind: 1 columns, 2 text; u32 ordinal of the file; u64 position of the first row; u32 n rows;
 *   u32 flags
 * All rows lie in one block. Of kind 1 follow, if bit 0 of the flags is set, the u32 position - first one of
 * each row, ascending; then the wanted columns in order, but IR_INPUT_COLUMN, each:
 *   u32 type; u32 extra; u32 has nulls; u32 0; if it has: u64 words, bit i of them: row i is valid; values
 * Values: n of the type; of REC_STRING the u64 number of bytes, u32 offsets [n + 1], the bytes (UTF-8). What
 * stands under a null does not matter. Kinds 2 and 3 are made and read by this file's functions only. */
enum RecordKind { RECORD_COLUMNS = 1, RECORD_TEXT = 2, RECORD_RUN = 3 };
enum { RECORD_HEAD = 24, RUN_HEAD = 40, RECORD_GAPS = 1 };
enum RecordType {
  REC_BOOL = 1, /* u8 */
  REC_I8,
  REC_I16,
  REC_I32,
  REC_I64,
  REC_F32,
  REC_F64,
  REC_DATE,      /* i32 days since 1970 */
  REC_TIMESTAMP, /* i64 microseconds since 1970 in UTC */
  REC_DECIMAL,   /* i64, of 10^-extra */
  REC_STRING,
};

typedef struct RecordFile { /* where records come from */
  const char *name; /* for messages */
  uint64_t rows;    /* UINT64_MAX: not known */
  uint32_t input;   /* of the source; does not descend from file to file */
} RecordFile;
/* A reader without files of its own: for records_begin, reader_files and reader_total, closed as any. Never
 * loads DuckDB; the format of an input may be one that only the other engine knows. Everything is copied. */
Status records_open(const EngineSource *s, const IrColumn *col, uint32_t ncol, const RecordFile *file,
                    uint32_t nfile, Reader **out, Err *e);

typedef struct RecordHead {
  uint32_t kind, file;
  uint64_t pos;
  uint32_t n, flags;
} RecordHead;
/* CML0614: it is none. */
Status record_head(Bytes record, RecordHead *out, Err *e);

/* The block at position pos (a multiple of BLOCK) of a file, of records that come in the order of their
 * positions. Values, and what is reported to `errors`, are those of reader_next for the same rows. Several
 * threads may make blocks of one reader at once, each its own. */
typedef struct RecordDraft RecordDraft;
Status records_begin(const Reader *r, uint32_t file, uint64_t pos, RowErrors *errors, RecordDraft **out,
                     Err *e);
/* *taken: it was of this block; the bytes are no longer needed. */
Status records_add(RecordDraft *d, Bytes record, bool *taken, Err *e);
/* The block of the rows that came: perhaps none. Block.npos: all positions of it that the file has, or where
 * that is not known, up to the last row. Frees d, also on failure; out NULL: nothing is made. */
Status records_end(RecordDraft *d, Block **out, Err *e);

/* Kind 1 of n rows of a block, to be written: REC_BOOL, I64, F64, STRING, DATE, TIMESTAMP by the kind of the
 * column. `at`: of each row its position - pos; NULL: they follow each other. Replaces what is in `out`. */
Status record_of_rows(const IrColumn *col, const Col *v, uint32_t ncol, uint32_t n, uint32_t file,
                      uint64_t pos, const uint32_t *at, Buf *out, Err *e);

/* The way back: columns of such a record, in the arena. CML0614: it is none, or of other columns. */
Status rows_of_record(Arena *a, Bytes record, const IrColumn *col, uint32_t ncol, Col **out, uint32_t *n,
                      Err *e);

typedef struct ByteSource { /* the bytes of a file; *n == 0: the end */
  Status (*read)(void *ctx, void *out, size_t room, size_t *n, Err *e);
  void *ctx;
} ByteSource;

/* A text file (csv, json, libsvm) -> records of kind 2. `s`: all inputs of the source; `path`: for messages,
 * and by its ending how it is compressed. Memory: the text of one block, at most about 64 MB. */
typedef struct Splitter Splitter;
Status splitter_open(const EngineSource *s, const IrColumn *col, uint32_t ncol, uint32_t input, uint32_t file,
                     const char *path, ByteSource in, Splitter **out, Err *e);
/* The next record and its rows; an empty one: the end. A block may come in several. Replaces what is in
 * `record`. */
Status splitter_next(Splitter *x, Buf *record, uint32_t *rows, Err *e);
void splitter_close(Splitter *x);

/* ---- Runs: plain Parquet files, divided by one process and read by others ----
 *
 * A record of kind 3 has no rows: it names n blocks of a file that is read without DuckDB, from the one at
 * `pos` on, and whoever works on them asks for the bytes. Behind its head:
 *   u64 where the bytes come from, which is set by who hands the record over; u64 size of the file; u64
 * words, bit i of them: block i is read, else nobody wants its rows; of each column but IR_INPUT_COLUMN the
 * u8 number of its type */
typedef struct FileLayout {
  bool plain;              /* it is such a file; else there are only: */
  uint64_t rows, bytes;
  uint32_t ngroup, ncol;
  const uint64_t *row;     /* of each row group: its first row; ngroup + 1 of them */
  const uint64_t *from, *to; /* of each: the bytes that the columns lie in */
  const uint8_t *type;     /* of each column */
  const uint8_t *read;     /* of each block; NULL: all are */
} FileLayout;
/* Of all files of a reader of Parquet files, which cannot be read from after that. */
Status reader_layout(Reader *r, Arena *a, FileLayout **out, uint32_t *n, Err *e);
/* The record of n blocks from number `first` of a plain file on; replaces what is in `out`. */
Status run_record(const FileLayout *l, uint32_t file, uint64_t first, uint32_t n, Buf *out, Err *e);

typedef struct FileBytes FileBytes;
struct FileBytes { /* n bytes of a file, or an error */
  Status (*read)(void *ctx, uint64_t at, size_t n, void *out, Err *e);
  void *ctx;
};
typedef struct Run Run;
/* r is of records_open. The record is copied; `in` stays. */
Status run_open(const Reader *r, Bytes record, const FileBytes *in, Run **out, Err *e);
uint64_t run_handle(Bytes record); /* where the bytes come from; its head is known to be good */
/* The next block, as reader_next gives it; NULL: the end. */
Status run_next(Run *x, RowErrors *errors, Block **out, Err *e);
void run_close(Run *x);

typedef struct Writer Writer;
/* Writes a table to path (format by its ending: .parquet or .csv) through a temporary file beside it,
 * fsync, rename. The bytes depend on the rows, and on the pieces in which they come. */
Status writer_open(const char *path, const IrColumn *col, uint32_t ncol, Writer **out, Err *e);
/* Before the first row: what is written gets its digest while it is written; `out` is filled by the commit,
 * or stays "" where that cannot be. */
void writer_digest(Writer *w, char out[DATA_DIGEST]);

typedef struct Encoded { /* rows on their way */
  struct PqGroup *group; /* the bytes that they become, or NULL: */
  const Col *col;        /* these are still needed */
  uint32_t n;
} Encoded;
/* Rows in any order and in several threads: the larger part of the work. The columns stay until the rows are
 * appended, or are not to be any more. */
Status writer_encode(Writer *w, const Col *col, uint32_t n, Encoded *out, Err *e);
/* In the order of the rows. */
Status writer_append(Writer *w, Encoded *x, Err *e);
/* Both; columns are copied. */
Status writer_put(Writer *w, const Col *col, uint32_t n, Err *e);
Status writer_commit(Writer *w, uint64_t *bytes, Err *e);         /* frees w, also on failure */
void writer_abort(Writer *w);                                     /* removes what was written, frees w */

#endif
