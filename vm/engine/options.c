/* SPDX-License-Identifier: Apache-2.0 */
/* The formats that can be read, and their options. engine_formats is the one table: the checker and `cmlc
 * doc` read it too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "vm/engine/parts.h"

#define SKIP_MAX 1000000

static const Option parquet_options[] = {
    {NULL, OPT_BOOL, 0, 0, 0, NULL, NULL},
};

static const Option csv_options[] = {
    {"header", OPT_BOOL, 1, 0, 1, NULL, "Whether the first record holds the names of the columns."},
    {"delimiter", OPT_STRING, 0, 0, 0, NULL,
     "What separates two values, 1 to 4 bytes; without it a comma, or a tab in files that end in .tsv."},
    {"quote", OPT_STRING, 0, 0, 0, "\"",
     "The character around values that hold delimiters or line ends; \"\" for none."},
    {"escape", OPT_STRING, 0, 0, 0, NULL, "The character before a quote inside quotes; without it the quote itself."},
    {"null", OPT_STRING, 0, 0, 0, "", "The text of a missing value; empty numbers are always missing."},
    {"trim", OPT_BOOL, 0, 0, 1, NULL,
     "Whether blanks around texts are dropped; around numbers and dates they always are."},
    {"skip", OPT_INT, 0, 0, SKIP_MAX, NULL, "How many lines to leave out at the top of each file."},
    {"comment", OPT_STRING, 0, 0, 0, "", "The character that begins a line to be left out; \"\" for none."},
    {"encoding", OPT_ENUM, 0, 0, 0, "utf-8|latin-1|utf-16", "How the file writes characters."},
    {NULL, OPT_BOOL, 0, 0, 0, NULL, NULL},
};

const Format engine_formats[] = {
    {"parquet", parquet_options, "Apache Parquet: typed columns, read by column."},
    {"csv", csv_options, "Text with one record a line, also compressed (.gz, .zst)."},
    {NULL, NULL, NULL},
};

static bool as_bool(const char *v, bool *out) {
  *out = strcmp(v, "true") == 0 || strcmp(v, "1") == 0;
  return *out || strcmp(v, "false") == 0 || strcmp(v, "0") == 0;
}

static bool one_byte(const char *v, char out[2]) {
  if (strlen(v) > 1 || (unsigned char)*v >= 0x80 || *v == '\n' || *v == '\r')
    return false;
  out[0] = *v;
  out[1] = 0;
  return true;
}

static bool as_delimiter(const char *v, char out[8]) {
  if (strcmp(v, "\\t") == 0)
    v = "\t";
  size_t n = strlen(v);
  if (n < 1 || n > 4 || strpbrk(v, "\n\r"))
    return false;
  memcpy(out, v, n + 1);
  return true;
}

static bool as_encoding(const char *v, char out[12]) {
  static const char *const known[] = {"utf-8", "latin-1", "utf-16"};
  int64_t k;
  if (num_parse_i64(v, strlen(v), &k)) { /* an index into the values, as options travel */
    if (k < 0 || k > 2)
      return false;
    v = known[k];
  }
  for (int i = 0; i < 3; i++) {
    if (strcmp(v, known[i]) == 0) {
      strcpy(out, v);
      return true;
    }
  }
  return false;
}

static bool ends(const char *s, const char *with) {
  size_t n = strlen(s), m = strlen(with);
  return n >= m && strcmp(s + n - m, with) == 0;
}

static Status set_csv(CsvOptions *o, const char *name, const char *v, bool *escape, Err *e) {
  bool ok = true;
  int64_t k;
  if (strcmp(name, "header") == 0) {
    ok = as_bool(v, &o->header);
  } else if (strcmp(name, "trim") == 0) {
    ok = as_bool(v, &o->trim);
  } else if (strcmp(name, "delimiter") == 0) {
    ok = as_delimiter(v, o->delimiter);
    o->delimited = true;
  } else if (strcmp(name, "quote") == 0) {
    ok = one_byte(v, o->quote);
  } else if (strcmp(name, "escape") == 0) {
    ok = one_byte(v, o->escape);
    *escape = true;
  } else if (strcmp(name, "comment") == 0) {
    ok = one_byte(v, o->comment);
  } else if (strcmp(name, "encoding") == 0) {
    ok = as_encoding(v, o->encoding);
  } else if (strcmp(name, "null") == 0) {
    o->null = v;
    o->nnull = (uint32_t)strlen(v);
  } else if (strcmp(name, "skip") == 0) {
    ok = num_parse_i64(v, strlen(v), &k) && k >= 0 && k <= SKIP_MAX;
    o->skip = ok ? (uint32_t)k : 0;
  } else {
    return err_set(e, ST_PROGRAM, "CML0407", "`cmlc doc csv` lists them.", "csv has no option `%s`", name);
  }
  if (!ok)
    return err_set(e, ST_PROGRAM, "CML0407", "`cmlc doc csv` says what it takes.",
                   "csv cannot take %s = \"%.60s\"", name, v);
  return ST_OK;
}

Status source_format(const EngineSource *s, FormatId *id, CsvOptions *csv, Err *e) {
  memset(csv, 0, sizeof *csv);
  if (strcmp(s->format, "parquet") == 0) {
    *id = FORMAT_PARQUET;
    if (s->noption)
      return err_set(e, ST_PROGRAM, "CML0407", "Leave it out.", "parquet has no option `%s`", s->option[0]);
    return ST_OK;
  }
  if (strcmp(s->format, "csv") != 0)
    return err_set(e, ST_PROGRAM, "CML0407", "Formats are parquet and csv.", "no format is called `%s`", s->format);
  *id = FORMAT_CSV;
  bool tab = ends(s->path, ".tsv") || ends(s->path, ".tsv.gz") || ends(s->path, ".tsv.zst");
  csv->header = true;
  csv->null = "";
  strcpy(csv->delimiter, tab ? "\t" : ",");
  strcpy(csv->quote, "\"");
  strcpy(csv->encoding, "utf-8");
  bool escape = false;
  for (uint32_t i = 0; i < s->noption; i++) {
    if (set_csv(csv, s->option[2 * i], s->option[2 * i + 1], &escape, e) != ST_OK)
      return e->code;
  }
  if (!escape || !*csv->quote)
    strcpy(csv->escape, csv->quote);
  if (csv->quote[0] && strchr(csv->delimiter, csv->quote[0]))
    return err_set(e, ST_PROGRAM, "CML0407", "Choose another character for one of them.",
                   "the delimiter and the quote of a csv source are the same");
  return ST_OK;
}
