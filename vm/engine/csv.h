/* SPDX-License-Identifier: Apache-2.0 */
/* Text files: a file is divided into texts of whole records by one thread at a time (csv_split.c), a text of
 * CSV into fields by any thread (csv_cells.c). JSON and libsvm have their own way of dividing (TextKind), and
 * all else of reading in common with CSV.
 *
 * The rules of CSV, in both: a value is quoted when it begins with the quote, or with blanks and the quote;
 * a quote elsewhere is an ordinary character. Behind the closing quote come blanks, then a delimiter or a
 * line end. The first line end of the file says which kind all are; other kinds may stand in quoted values
 * only. Lines without anything are records only where records have one value. Values behind the last column
 * that are empty are not there. What follows the comment sign outside of quotes is left out, and the line
 * with it when nothing but blanks stands before. */
#ifndef VM_ENGINE_CSV_H
#define VM_ENGINE_CSV_H

#include "vm/engine/parts.h"

#ifdef CML_HOSTILE
enum { CSV_PIECE = 7, CSV_ROWS = 3, CSV_CELLS = 6 };
#else
enum { CSV_PIECE = 1 << 18, CSV_ROWS = 1024, CSV_CELLS = 1 << 15 };
#endif
enum {
  CSV_PAD = 64,              /* readable bytes behind every text */
  CSV_RECORD_MAX = 8 << 20,  /* bytes of a record; a quote that is never closed ends here */
  CSV_NONE = UINT32_MAX,
};

typedef enum CsvEnds { ENDS_UNKNOWN, ENDS_LF, ENDS_CRLF, ENDS_CR } CsvEnds;

typedef struct CsvRules {
  char delim[8];
  uint32_t ndelim;
  int quote, escape, comment; /* a byte, or -1 */
  CsvEnds ends;
  bool one;                   /* records have one value */
  bool list;                  /* JSON: the records are in one list */
} CsvRules;

/* The end of the quoted value that begins behind its quote: at the closing one; NULL: there is none.
 * *escapes: something inside stands for something else. */
const char *csv_quoted_end(const CsvRules *r, const char *s, const char *end, bool *escapes);

/* ---- csv_split.c ---- */

typedef struct CsvText { /* whole records; the memory is the owner's, CSV_PAD bytes behind n can be read */
  char *p;
  size_t n, room;
  uint64_t lines;  /* above it */
  CsvRules rules;
} CsvText;

typedef struct CsvFile { /* being divided */
  Stream *s;
  const char *path;
  CsvRules rules;
  const struct TextKind *kind;
  enum { UTF8, LATIN1, UTF16LE, UTF16BE } coding;
  uint32_t half;      /* UTF-16: a first surrogate that waits for the second; 0 */
  unsigned char odd;  /* UTF-16: half of a unit */
  bool has_odd, eof;
  char *raw;          /* before it is UTF-8 */
  char *p;            /* text that was not taken; CSV_PAD bytes of room behind it */
  size_t n, room;
  size_t at;          /* looked at so far */
  size_t rec, field;  /* the record and the field that `at` is in (field: with long delimiters) */
  size_t head;        /* end of the header that was not taken yet */
  uint32_t depth;     /* JSON: objects that are open at `at`; is a text? was the end seen? */
  bool in_text, ended;
  uint32_t nrec;
  uint64_t lines, new_lines; /* above the text; in it, up to rec */
  size_t guess;       /* room for the next text */
} CsvFile;

typedef struct TextKind { /* how records follow each other */
  /* Goes on from f->at until `most` records are complete, f->nrec and f->rec say which: true. False: the text
   * ends before; f->at is where to go on with more of it. */
  bool (*split)(CsvFile *f, uint32_t most);
  void (*rest)(CsvFile *f); /* the file has ended: what is behind f->rec, as a record or as none */
  uint32_t longest;         /* bytes of a record */
  const char *remedy;       /* of a longer one */
} TextKind;
extern const TextKind csv_kind, json_kind, libsvm_kind;

/* As the options say them; the rest is learned from the file. */
CsvRules csv_rules(const CsvOptions *o);
/* Opens a file (its bytes come from `from`, if that is not NULL) and leaves out the first lines. */
Status csv_file_open(const char *path, const ByteSource *from, const CsvOptions *o, CsvFile **out, Err *e);
void csv_file_close(CsvFile *f);
/* A file of another kind, in UTF-8. */
Status text_file_open(const char *path, const ByteSource *from, const TextKind *kind, CsvFile **out, Err *e);
/* Its first character that is no blank, which stays in the file; -1: there is none. */
Status text_first(CsvFile *f, int *c, Err *e);
/* Learns the kind of line ends from the first of the file, at `at`. False: more must be read first. */
bool csv_learn_ends(CsvFile *f, size_t at);
/* The first record, as it stands there, empty lines left out; it stays in the file. n == 0: there is none. */
Status csv_first(CsvFile *f, CsvText *out, Err *e);
/* How many values records have; the first record is left out where it is a header. */
void csv_begin(CsvFile *f, bool one, bool header);
/* The text of the next `most` records, or of fewer when they would have more than about `limit` bytes, or at
 * the end of the file; how many. n == 0: the end. */
Status csv_take(CsvFile *f, uint32_t most, size_t limit, CsvText *out, uint32_t *n, Err *e);
bool csv_ended(const CsvFile *f);
void csv_text_free(CsvText *t);

struct CsvDraft { /* of a block being made: text that waits to be taken apart */
  CsvText text;
  uint32_t nfield;
  const uint32_t *which;
};

/* What formats of text have in common of FormatOps (reader_csv.c). */
Status text_collect(Reader *r, Draft *b, Err *e);
void text_close(Reader *r);

/* ---- csv_cells.c ---- */

typedef enum CsvFault { CSV_OK, CSV_RAGGED, CSV_QUOTE, CSV_ENCODING, CSV_MIXED } CsvFault;

typedef struct CsvCells { /* a text being taken apart */
  const CsvText *text;
  char *at;               /* the next record */
  uint64_t lines;         /* above it */
  uint32_t nfield;        /* of a record; CSV_NONE: as many as there are, one record */
  const uint32_t *which;  /* of a field: the column it is of, or CSV_NONE */
  uint32_t ncol;
  uint32_t rows;          /* taken apart at once */
  Text *cell;             /* column k, row i: cell[k * rows + i] */
  uint32_t *line;         /* of a row, from `lines` */
  uint32_t *fix;          /* cells with escapes */
  CsvFault fault;         /* what is wrong with a record, its line and beginning, its number of values */
  bool unclosed;          /* CSV_QUOTE: there is no closing quote */
  uint64_t fault_line;
  char shown[48];
  uint32_t found;
} CsvCells;

/* False: no memory. */
bool csv_cells_start(CsvCells *c, const CsvText *t, uint32_t nfield, const uint32_t *which, uint32_t ncol);
/* The next rows, at most c->rows; 0: the end, or a fault. */
uint32_t csv_cells(CsvCells *c);
void csv_cells_free(CsvCells *c);

#endif
