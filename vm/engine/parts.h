/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of vm/engine share: files, options, the column builder, and a reader's inside. Nobody
 * else includes it.
 *
 *   glob.c           a path of a program -> files, in order
 *   options.c        option pairs of a source -> CsvOptions
 *   stream.c         the bytes of a file, decompressed
 *   reader.c         the public face of reading: what a format collects -> Blocks of BLOCK positions
 *   reader_parquet.c columns of Parquet files, and typed vectors -> columns
 *   reader_parquet_own.c  plain Parquet files -> columns, without DuckDB; parquet.h: their pages
 *   reader_csv.c     columns of CSV files; csv.h: texts of records, fields -> text.c
 *   text.c           one text -> one value; what type a column of texts has
 *   records.h        rows that another engine has read, or is to write
 *   runs.c           blocks of plain Parquet files that are elsewhere; layout.c: how these are divided
 *   build.c          a column under construction: arrays, nulls, the dictionary of a block */
#ifndef VM_ENGINE_PARTS_H
#define VM_ENGINE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "vm/engine.h"
#include "vm/engine/duckdb.h"

/* ---- glob.c ---- */

/* `path` below `dir` (NULL or "": as it is) -> sorted files in `a`. */
Status glob_files(Arena *a, const char *dir, const char *path, const char ***out, uint32_t *n, Err *e);

/* ---- stream.c ---- */

typedef struct Stream Stream; /* the bytes of a file, decompressed */
/* `from`: its bytes; NULL: the file is opened. */
Status stream_open(const char *file, const ByteSource *from, Stream **out, Err *e);
Status stream_read(Stream *s, char *out, size_t room, size_t *n, Err *e); /* *n == 0: the end */
void stream_close(Stream *s);
/* A compressed file that was cut off, damaged, or is of a kind that is not read. */
Status whole_check(const char *file, Err *e);

/* ---- options.c ---- */

typedef struct Words { /* the texts of an option that may be given several times */
  const char *const *v;
  uint32_t n;
} Words;

typedef struct TextOptions { /* how texts become values */
  bool trim;
  char decimal;        /* '.' or another byte */
  Words null;          /* texts that stand for a missing value */
  Words date, timestamp; /* their forms (times.c); none: ISO 8601 */
} TextOptions;

typedef struct CsvOptions {
  bool header;
  bool delimited;    /* the program says the delimiter */
  char delimiter[8]; /* 1 to 4 bytes */
  char quote[2];     /* one byte, or "" for none */
  char escape[2];    /* one byte, or "" for none */
  char comment[2];   /* one byte, or "" for none */
  char encoding[12]; /* as DuckDB names it */
  uint32_t skip;
} CsvOptions;

enum { LIBSVM_MAX = 10000 }; /* features: each is a column */
typedef struct LibsvmOptions {
  int64_t features; /* 0: as many as the first file has */
  bool zero_based;
} LibsvmOptions;

struct FormatOps;
typedef struct Options { /* of one input, read; everything lies in the arena */
  const struct FormatOps *ops;
  TextOptions text;
  CsvOptions csv;
  LibsvmOptions libsvm;
} Options;
Status source_options(Arena *a, const EngineSource *s, Options *out, Err *e);

/* ---- build.c ---- */

typedef struct StrSlot {
  uint64_t a, b; /* the 16 bytes of a duckdb_string_t of up to 12 bytes; longer: length and first 4 bytes,
                  * hash */
  uint32_t code; /* + 1; 0 = free */
} StrSlot;

typedef struct StrTable { /* the dictionary of one column of the block being built */
  StrSlot *slot;
  uint32_t nslot;          /* a power of two */
  uint32_t n, cap;         /* strings; room in off */
  uint32_t *off;
  char *bytes;
  size_t nbytes, capbytes;
  uint64_t last_a, last_b; /* the last short string and its code: columns often repeat themselves */
  uint32_t last;
  uint32_t nlong, fresh;   /* long strings so far, and those that had not come before */
  bool apart;              /* nearly all: they are no longer looked for */
} StrTable;

typedef struct ColBuild {
  Col col;       /* room for BLOCK rows */
  StrTable str;  /* IR_STR */
  uint8_t *null; /* NULL until the first null */
} ColBuild;

bool build_start(ColBuild *c, IrType type);             /* false: no memory */
bool build_null(ColBuild *c, uint32_t row);             /* marks it null and its value 0 */
bool build_finish(ColBuild *c, uint32_t n, Col *out, size_t *bytes); /* hands the n rows over */
void build_free(ColBuild *c);

/* Codes of m strings at c->col.code[at..]; nulls (validity) are left to the caller. False: no memory. */
bool build_strings(ColBuild *c, const duckdb_string_t *v, const uint64_t *validity, uint64_t from, uint32_t m,
                   uint32_t at);
typedef struct Text {
  const char *s;
  uint32_t n;
} Text;
/* The same of one text, behind which 12 bytes can be read: quicker. */
int64_t build_text(StrTable *t, Text x);
int64_t build_string(StrTable *t, const char *s, uint32_t n); /* code, or -1: no memory */

/* ---- reader.c ---- */

typedef struct SourceType { /* of a Parquet column of the file being read */
  duckdb_type type, stored; /* stored: of a decimal */
  uint8_t scale;
} SourceType;

typedef struct Input {
  EngineSource source;
  Options opt;
  uint32_t end; /* the files before this ordinal, and behind those of the input before, are its own */
} Input;

struct Reader { /* what its threads share */
  Arena mem; /* names, files, options: as long as the reader */
  Input *input;
  uint32_t ninput;
  IrColumn *col;   /* that the files have */
  uint32_t ncol;
  Map names;       /* JSON: of col */
  uint64_t share;  /* memory of DuckDB */
  uint64_t page_most; /* memory for a page of a Parquet file */
  uint32_t *at;    /* of a column that is wanted: its number in col, or UINT32_MAX: the number of the input */
  uint32_t nwant;
  const char **file;
  uint32_t nfile;
  uint64_t total;
  Duck duck;
  pthread_mutex_t lock; /* everything below */
  pthread_cond_t made;  /* a block is finished */
  uint32_t making;      /* blocks that are being made */
  uint64_t held;        /* bytes of the chunks that they hold */
  bool ended;           /* an error: there is nothing more */
  uint32_t seq;         /* blocks begun */
  /* the file being read */
  bool open;
  const Input *in;          /* whose file it is */
  bool own;                 /* it is read without DuckDB */
  bool look;                /* only the footer is there: nothing else is read */
  struct CsvFile *csv;      /* CSV */
  const ByteSource *bytes;  /* of a text file that somebody else opened; else NULL */
  struct PqFile *pq;        /* Parquet, where it is read without DuckDB */
  uint32_t nfield;
  const uint32_t *which;    /* of a field: the column it is of */
  DuckQuery query;
  uint32_t at_file;         /* number of it, or of the next one */
  uint64_t pos;             /* rows of it in blocks */
  struct Held *chunk;       /* being consumed, or NULL */
  uint32_t chunk_at, chunk_n;
  SourceType *type;         /* Parquet: per column */
  ZoneTest none;            /* or NULL; with its context */
  const void *none_ctx;
  uint8_t *read;            /* which blocks of the file are read; NULL: all */
  uint64_t rows;            /* of the file, where `read` is there */
  const uint64_t *file_rows; /* of records: of each file, UINT64_MAX: not known; else NULL */
};

typedef struct Held { /* a chunk of DuckDB; two blocks may lie in it */
  duckdb_data_chunk chunk;
  atomic_int refs;
} Held;

typedef struct Piece { /* rows of a chunk */
  Held *held;
  uint32_t from, n;
} Piece;

typedef struct Draft { /* a block being made, by one thread: what it is made of, and its columns so far */
  const Reader *r;
  const IrColumn *col;  /* r's */
  uint32_t ncol;
  const Input *in;
  uint32_t at_file;
  uint64_t pos;
  uint32_t n, done;     /* rows; rows whose values are in the columns */
  bool skipped;         /* n positions of rows that are not read */
  const uint32_t *at;   /* of records: of each row its position - pos; else NULL: they follow each other */
  Piece *piece;         /* of the others */
  uint32_t npiece, cap;
  bool own;             /* made without DuckDB, of: */
  struct CsvDraft *csv; /* CSV: text of the others */
  struct PqFile *pq;    /* Parquet: the file */
  uint64_t held;        /* bytes of these */
  SourceType *type;
  ColBuild *build;
  RowErrors *errors;
} Draft;

Status record_bad(Err *e); /* CML0614: bytes of another engine that cannot be read */
/* A draft of r->col; its columns as a block, as long as its rows. */
Status draft_start(Draft *b, Err *e);
Status draft_block(Draft *b, Block **out, Err *e);
void draft_free(Draft *b);
/* What an input says, in r's own memory, and the columns that are wanted. */
Status reader_input(Reader *r, const EngineSource *s, Input *in, Err *e);
Status reader_columns(Reader *r, const IrColumn *col, uint32_t ncol, Err *e);
Status reader_duck(Reader *r, Err *e); /* opens DuckDB, where it is not */
/* The file r->at_file. */
Status reader_open_file(Reader *r, Err *e);
void reader_end_file(Reader *r);
Reader *reader_new(const EngineSource *s); /* with room for its inputs; NULL: no memory */

/* A value at row `at` of the block is wrong: reported once a row; the caller makes it null. `allow`: what in
 * the program would allow it, or "". */
void reader_bad(Draft *b, uint32_t k, uint32_t at, const char *allow, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Such an `allow`: column k with another type. */
const char *reader_as(const Draft *b, uint32_t k, const char *type, char out[96]);
/* Nulls of a vector: values 0, null bytes, and errors where the column has none. False: no memory. */
bool reader_nulls(Draft *b, uint32_t k, const uint64_t *validity, uint64_t from, uint32_t m, uint32_t at);
bool reader_null_at(Draft *b, uint32_t k, uint32_t at);
/* A file that DuckDB could not read: turns the text of `e` into one for users. */
Status reader_file_error(const char *file, const char *what, Err *e);

/* What a format is to the reader: columns as metadata; opening file r->at_file; a piece of a chunk into all
 * columns under construction at row `at`, without the lock. `total` may be NULL. */
typedef struct FormatOps {
  const char *what; /* for messages: "CSV" */
  bool no_files;    /* the source says itself what is read: path is not a path */
  bool text;        /* `open` opens r->csv, and `values` are those of a draft's csv */
  bool lazy;        /* DuckDB is opened where it is needed */
  bool own;         /* reads without DuckDB, with: (Parquet: where r->own is set by `open`) */
  /* What the next block is made of: b->n rows, b->held bytes. */
  Status (*collect)(Reader *r, Draft *b, Err *e);
  Status (*values)(Draft *b, Err *e); /* of what is held; frees it, also where an error is there already */
  void (*close)(Reader *r);
  /* and the others: */
  Status (*columns)(Arena *a, const EngineSource *s, const Options *o, const char *const *file,
                    uint32_t nfile, EngineColumn **out, uint32_t *n, Err *e);
  Status (*total)(Reader *r, const char *file, Err *e); /* adds the rows of a file to r->total */
  Status (*open)(Reader *r, Err *e);
  Status (*convert)(Draft *b, const Piece *p, uint32_t at, Err *e);
  Status (*error)(Reader *r, Err *e); /* DuckDB's report while reading -> ours */
} FormatOps;
extern const FormatOps csv_ops, parquet_ops, json_ops, libsvm_ops, sql_ops, spark_ops;

/* Typed results of DuckDB (reader_parquet.c): columns of a query; is every wanted column of a type that
 * can be read as the one that is wanted, and which; rows. */
Status typed_columns(Duck *d, DuckQuery *q, Arena *a, EngineColumn **out, uint32_t *n, Err *e);
Status typed_check(Reader *r, const char *file, Err *e);
int typed_kind(duckdb_type t); /* the kind that a column of it has by itself, or -1 */
Status typed_fits(const IrColumn *col, duckdb_type stored, const char *file, Err *e); /* one column */
Status typed_convert(Draft *b, const Piece *p, uint32_t at, Err *e);
/* m values of column k, as DuckDB's vectors have them; what is NaN becomes null, or an error. False: no
 * memory. */
bool typed_values(Draft *b, uint32_t k, const void *data, const uint64_t *validity, uint64_t from, uint32_t m,
                  uint32_t at);
bool typed_check_nan(Draft *b, uint32_t k, const uint64_t *validity, uint64_t from, uint32_t m, uint32_t at);

/* ---- parquet_columns.c ---- */

Status parquet_columns(Arena *a, const EngineSource *s, const Options *o, const char *const *file,
                       uint32_t nfile, EngineColumn **out, uint32_t *n, Err *e);
/* Its two ways. Where the first gives columns, the second has the same; it may give NULL. */
Status parquet_columns_own(Arena *a, const char *const *file, uint32_t nfile, EngineColumn **out, uint32_t *n,
                           Err *e);
Status parquet_columns_duck(Arena *a, const char *const *file, uint32_t nfile, EngineColumn **out,
                            uint32_t *n, Err *e);
Status parquet_total(Reader *r, const char *file, Err *e);
/* Names and types of one file, by DuckDB. */
Status parquet_file_columns(Duck *d, Arena *a, const char *file, EngineColumn **out, uint32_t *n, Err *e);

/* ---- reader_parquet_own.c ---- */

struct PqFile;
/* NULL where DuckDB reads it. `in`: the file, of `size` bytes, is elsewhere; else NULL. */
Status parquet_own_open(const Reader *r, const char *file, const FileBytes *in, uint64_t size,
                        struct PqFile **out, Err *e);
/* Can its columns be read as of these types? */
bool parquet_own_fits(const Reader *r, const struct PqFile *f, const SourceType *type);
Status parquet_own_collect(Reader *r, Draft *b, Err *e);
Status parquet_own_values(Draft *b, Err *e);
void parquet_own_close(Reader *r);

Status sql_option(const char *name, Err *e); /* a bound value of a query: "$name type"; nothing else is one */

/* ---- zones.c ---- */

/* What of file r->at_file is read; its types are known, and what f says of it (NULL: DuckDB says it). If it
 * is not all, a condition on file_row_number is appended that says the same. */
Status zones_open(Reader *r, const struct PqFile *f, Buf *sql, Err *e);
void zones_close(Reader *r); /* all of it */
/* Is the next block one that is not read? Then it is what b is. */
bool zones_skip(Reader *r, Draft *b);

/* ---- times.c ---- */

bool form_check(const char *form, bool time); /* "%d.%m.%Y": says day, month, year, and letters that are
                                               * known */
/* A text in one of the forms, tried in their order; without forms ISO 8601. */
bool form_date(const Words *forms, const char *s, size_t n, int64_t *days);
bool form_timestamp(const Words *forms, const char *s, size_t n, int64_t *us);

/* ---- text.c ---- */

/* One text as a value of column k, at row `at`. False: no memory. */
bool text_value(Draft *b, uint32_t k, uint32_t at, const char *s, uint32_t n);

/* m texts -> values of column k at row `at`; behind each 12 bytes can be read. False: no memory. */
bool text_convert(Draft *b, uint32_t k, const Text *v, uint32_t m, uint32_t at);

/* n bytes for a message: cut at 40 between two characters, control characters as '.', NUL as \0. */
const char *text_shown(const char *s, size_t n, char out[64]);

typedef struct TextGuess { /* what all texts of a column so far could be */
  bool any, null;
  bool not_int, not_float, not_bool, not_date, not_timestamp;
} TextGuess;
void text_guess(TextGuess *g, const TextOptions *o, const char *s, uint32_t n);
Kind text_guessed(const TextGuess *g);

#endif
