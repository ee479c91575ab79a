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

static const Option json_options[] = {
    {"null", OPT_STRING, 0, 0, 0, NULL,
     "A text that stands for a missing value, or a list of several; null always does."},
    {"trim", OPT_BOOL, 0, 0, 1, NULL,
     "Whether blanks around texts are dropped; around dates they always are."},
    {"dates", OPT_STRING, 0, 0, 0, NULL,
     "The form of dates, or a list tried in order: \"%d.%m.%Y\"; %Y %y %m %b %d; without it YYYY-MM-DD."},
    {"timestamps", OPT_STRING, 0, 0, 0, NULL,
     "The form of timestamps, or a list: \"%m/%d/%Y %I:%M %p\"; also %H %S %f %z; without it ISO 8601. UTC where none is written."},
    {NULL, OPT_BOOL, 0, 0, 0, NULL, NULL},
};

static const Option csv_options[] = {
    {"header", OPT_BOOL, 1, 0, 1, NULL, "Whether the first record holds the names of the columns."},
    {"delimiter", OPT_STRING, 0, 0, 0, NULL,
     "What separates two values, 1 to 4 bytes; without it a comma, or a tab in files that end in .tsv."},
    {"quote", OPT_STRING, 0, 0, 0, "\"",
     "The character around values that hold delimiters or line ends; \"\" for none."},
    {"escape", OPT_STRING, 0, 0, 0, NULL,
     "The character before a quote inside quotes; without it the quote itself."},
    {"null", OPT_STRING, 0, 0, 0, "",
     "The text of a missing value, or a list of several: null = [\"\", \"?\"]; empty numbers are always missing."},
    {"trim", OPT_BOOL, 0, 0, 1, NULL,
     "Whether blanks around texts are dropped; around numbers and dates they always are."},
    {"decimal", OPT_STRING, 0, 0, 0, ".",
     "The sign before the fraction of a number: \",\" in much of Europe."},
    {"dates", OPT_STRING, 0, 0, 0, NULL,
     "The form of dates, or a list tried in order: \"%d.%m.%Y\"; %Y %y %m %b %d; without it YYYY-MM-DD."},
    {"timestamps", OPT_STRING, 0, 0, 0, NULL,
     "The form of timestamps, or a list: \"%m/%d/%Y %I:%M %p\"; also %H %S %f %z; without it ISO 8601. UTC where none is written."},
    {"skip", OPT_INT, 0, 0, SKIP_MAX, NULL, "How many lines to leave out at the top of each file."},
    {"comment", OPT_STRING, 0, 0, 0, "", "The character that begins a line to be left out; \"\" for none."},
    {"encoding", OPT_ENUM, 0, 0, 0, "utf-8|latin-1|utf-16", "How the file writes characters."},
    {NULL, OPT_BOOL, 0, 0, 0, NULL, NULL},
};

static const Option libsvm_options[] = {
    {"width", OPT_INT, 0, 0, LIBSVM_MAX, NULL,
     "How many features there are; 0: as many as the first file has, which is read for it."},
    {"zero_based", OPT_BOOL, 0, 0, 1, NULL,
     "Whether indices count from 0; f1 is the first feature in both cases."},
    {NULL, OPT_BOOL, 0, 0, 0, NULL, NULL},
};

static const Option jdbc_options[] = {
    {"dbtable", OPT_STRING, 0, 0, 0, NULL,
     "The table, or a query in parentheses with a name; this or `query`."},
    {"query", OPT_STRING, 0, 0, 0, NULL, "One SELECT in the words of the database."},
    {"user", OPT_STRING, 0, 0, 0, NULL, "Who reads it."},
    {"password", OPT_STRING, 0, 0, 0, NULL,
     "Better in a param that is given with -p, or left to the database: a program is read by others."},
    {"driver", OPT_STRING, 0, 0, 0, NULL,
     "The class of the JDBC driver, whose jar goes to Spark: --conf spark.jars=..."},
    {"fetchsize", OPT_INT, 0, 0, 1000000, NULL, "Rows of a round trip; 0: as the driver does."},
    {NULL, OPT_BOOL, 0, 0, 0, NULL, NULL},
};

const Format engine_formats[] = {
    {"parquet", parquet_options,
     "Apache Parquet: typed columns, read by column.\n"
     "Null: null. Errors: types that the language does not have, in columns that are used. Rows are in the order of the files, which are\n"
     "sorted by name where the path is a glob.\n"
     "Spark: spark.read.parquet. pandas: read_parquet. Source: the format's specification, parquet.apache.org.\n"
     "Example: `from parquet(\"flights.parquet\")`\n"},
    {"csv", csv_options,
     "Text with one record a line, also compressed (.gz, .zst).\n"
     "Null: the texts of `null`; an empty number, date or bool always. Errors: a value that is not of its column's type, a record with too\n"
     "few or too many values; with file and record. Nothing is dropped. Without a schema the types are guessed from the first rows.\n"
     "Spark: spark.read.csv. pandas: read_csv. Source: RFC 4180.\n"
     "Example: `from csv(\"flights/*.csv\", null = [\"\", \"NA\"])`\n"},
    {"json", json_options,
     "Objects, one a line, one behind the other or in one array, also compressed (.gz, .zst).\n"
     "Objects inside objects are columns with dotted names: `address.city`. Lists cannot be read: `sql` joins them. Null: null, and a name that is not there.\n"
     "Spark: spark.read.json (lines), with multiLine (arrays). pandas: read_json(lines = True). Source: RFC 8259.\n"
     "Example: `from json(\"flights.json\", null = \"\")`\n"},
    {"libsvm", libsvm_options,
     "Lines `label index:value ...`, also compressed (.gz, .zst).\n"
     "The columns are `label`, `qid` where rows have one, and `f1` .. `fN`, 0 where a line is silent. Indices ascend in a line; `#` begins a\n"
     "comment. At most 10,000 features.\n"
     "Spark: format(\"libsvm\"), numFeatures is width. scikit-learn: load_svmlight_file(n_features = width, zero_based).\n"
     "Source: C.-C. Chang, C.-J. Lin, LIBSVM, ACM TIST 2 (2011), and its README.\n"
     "Example: `from libsvm(\"digits.libsvm\", width = 2)`\n"},
    {"sql", parquet_options,
     "One SELECT in DuckDB's SQL over files beside the program.\n"
     "A param in braces is a bound value, never text: `sql(\"select * from 'a.parquet' where day > {since}\")`. Rows are in the order of the\n"
     "ORDER BY at the end of the query, else sorted by all columns. It only reads: no other statement, no network, no settings.\n"
     "Spark: spark.sql. pandas: read_sql_query. Source: the DuckDB documentation, duckdb.org/docs.\n"
     "Under --executor spark it is a query of Spark SQL, over its tables and files.\n"
     "Example: `from sql(\"select * from 'flights.parquet' where price > 0\")`\n"},
    {"orc", parquet_options,
     "Apache ORC, read by Spark: with --executor spark only.\n"
     "Null: null. Errors: types that the language does not have, in columns that are used; CML0534 on one machine. Rows are in the order\n"
     "of the files, which are sorted by name where the path is a glob.\n"
     "Spark: spark.read.orc. pandas: read_orc. Source: the format's specification, orc.apache.org.\n"
     "Example: `from orc(\"hdfs://cluster/flights/*.orc\")`\n"},
    {"table", parquet_options,
     "A table of Spark's catalog: with --executor spark only.\n"
     "Null: null. Errors: types that the language does not have; CML0534 on one machine. Rows of a table have no order: they are sorted by\n"
     "all columns that are read, and so numbered, and splits by position depend on what the table holds alone.\n"
     "Spark: spark.table. Source: Spark's documentation, spark.apache.org/docs.\n"
     "Example: `from table(\"warehouse.flights\")`\n"},
    {"jdbc", jdbc_options,
     "A table or query of a database, by JDBC of Spark: with --executor spark only.\n"
     "Null: null. Errors: types that the language does not have; CML0534 on one machine. Rows are sorted by all columns that are read.\n"
     "Spark: format(\"jdbc\"), the path is its url. Source: Spark's documentation, spark.apache.org/docs.\n"
     "Example: `from jdbc(\"jdbc:postgresql://db/air\", dbtable = \"flights\", user = \"reader\")`\n"},
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

/* One more value of an option that takes several; the first replaces the default. */
static Status add_word(Arena *a, Words *w, const char *v, bool *given, Err *e) {
  uint32_t n = *given ? w->n : 0;
  const char **all = NEWN(a, const char *, n + 1);
  if (!all)
    return err_memory(e);
  for (uint32_t i = 0; i < n; i++)
    all[i] = w->v[i];
  all[n] = v;
  *w = (Words){all, n + 1};
  *given = true;
  return ST_OK;
}

typedef struct Given { /* which options were */
  bool null, date, timestamp, escape;
} Given;

/* The options of texts. False: it is none of them. */
static bool set_text(Arena *a, TextOptions *o, const char *name, const char *v, Given *given, bool *ok,
                     Err *e) {
  if (strcmp(name, "trim") == 0) {
    *ok = as_bool(v, &o->trim);
  } else if (strcmp(name, "null") == 0) {
    add_word(a, &o->null, v, &given->null, e);
  } else if (strcmp(name, "decimal") == 0) {
    *ok = strlen(v) == 1 && strchr(".,;'", *v);
    o->decimal = *v;
  } else if (strcmp(name, "dates") == 0) {
    *ok = form_check(v, false);
    add_word(a, &o->date, v, &given->date, e);
  } else if (strcmp(name, "timestamps") == 0) {
    *ok = form_check(v, true);
    add_word(a, &o->timestamp, v, &given->timestamp, e);
  } else {
    return false;
  }
  return true;
}

static bool set_csv(CsvOptions *o, const char *name, const char *v, Given *given, bool *ok) {
  int64_t k;
  if (strcmp(name, "header") == 0) {
    *ok = as_bool(v, &o->header);
  } else if (strcmp(name, "delimiter") == 0) {
    *ok = as_delimiter(v, o->delimiter);
    o->delimited = true;
  } else if (strcmp(name, "quote") == 0) {
    *ok = one_byte(v, o->quote);
  } else if (strcmp(name, "escape") == 0) {
    *ok = one_byte(v, o->escape);
    given->escape = true;
  } else if (strcmp(name, "comment") == 0) {
    *ok = one_byte(v, o->comment);
  } else if (strcmp(name, "encoding") == 0) {
    *ok = as_encoding(v, o->encoding);
  } else if (strcmp(name, "skip") == 0) {
    *ok = num_parse_i64(v, strlen(v), &k) && k >= 0 && k <= SKIP_MAX;
    o->skip = *ok ? (uint32_t)k : 0;
  } else {
    return false;
  }
  return true;
}

const char *engine_format_of(const char *path) {
  static const char *const known[][2] = {{".parquet", "parquet"}, {".pq", "parquet"},    {".csv", "csv"},
                                         {".tsv", "csv"},         {".json", "json"},     {".jsonl", "json"},
                                         {".ndjson", "json"},     {".libsvm", "libsvm"}, {".svm", "libsvm"}};
  static const char *const packed[] = {"", ".gz", ".zst"};
  char end[20];
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    for (size_t k = 0; k < (strcmp(known[i][1], "parquet") == 0 ? 1 : 3); k++) {
      snprintf(end, sizeof end, "%s%s", known[i][0], packed[k]);
      if (ends(path, end))
        return known[i][1];
    }
  }
  return NULL;
}

static bool set_libsvm(LibsvmOptions *o, const char *name, const char *v, bool *ok) {
  if (strcmp(name, "width") == 0)
    *ok = num_parse_i64(v, strlen(v), &o->features) && o->features >= 0 && o->features <= LIBSVM_MAX;
  else if (strcmp(name, "zero_based") == 0)
    *ok = as_bool(v, &o->zero_based);
  else
    return false;
  return true;
}

static void csv_defaults(CsvOptions *o, const char *path) {
  bool tab = ends(path, ".tsv") || ends(path, ".tsv.gz") || ends(path, ".tsv.zst");
  o->header = true;
  strcpy(o->delimiter, tab ? "\t" : ",");
  strcpy(o->quote, "\"");
  strcpy(o->encoding, "utf-8");
}

static Status csv_settle(Options *o, const Given *given, Err *e) {
  CsvOptions *c = &o->csv;
  if (!given->escape || !*c->quote)
    strcpy(c->escape, c->quote);
  if (c->quote[0] && strchr(c->delimiter, c->quote[0]))
    return err_set(e, ST_PROGRAM, "CML0407", "Choose another character for one of them.",
                   "the delimiter and the quote of a csv source are the same");
  if (*c->comment && (strchr(c->delimiter, *c->comment) || *c->comment == *c->quote))
    return err_set(e, ST_PROGRAM, "CML0407", "Choose another character for one of them.",
                   "the comment sign of a csv source is also its delimiter or quote");
  return ST_OK;
}

static const struct {
  const char *name;
  const FormatOps *ops;
} formats[] = {{"parquet", &parquet_ops},
               {"csv", &csv_ops},
               {"json", &json_ops},
               {"libsvm", &libsvm_ops},
               {"sql", &sql_ops},
               {"orc", &spark_ops},
               {"table", &spark_ops},
               {"jdbc", &spark_ops}};

static Status find_format(const char *name, Options *o, Err *e) {
  char all[240] = "";
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
    if (strcmp(name, formats[i].name) == 0) {
      o->ops = formats[i].ops;
      return ST_OK;
    }
    size_t n = strlen(all);
    snprintf(all + n, sizeof all - n, "%s%s", i ? ", " : "Formats are ", formats[i].name);
  }
  strcat(all, ".");
  return err_set(e, ST_PROGRAM, "CML0407", all, "no format is called `%s`", name);
}

static Status no_option(const char *format, const char *name, Err *e) {
  char remedy[60];
  snprintf(remedy, sizeof remedy, "`cmlc doc %s` lists them.", format);
  return err_set(e, ST_PROGRAM, "CML0407", remedy, "%s has no option `%s`", format, name);
}

static Status set_option(Arena *a, Options *o, const char *format, const char *name, const char *v,
                         Given *given, Err *e) {
  bool ok = true, known = false;
  if (o->ops == &sql_ops)
    return sql_option(name, e);
  if (o->ops == &csv_ops || (o->ops == &json_ops && strcmp(name, "decimal") != 0))
    known = set_text(a, &o->text, name, v, given, &ok, e);
  if (o->ops == &csv_ops && !known)
    known = set_csv(&o->csv, name, v, given, &ok);
  if (o->ops == &spark_ops)
    return ST_OK; /* they are Spark's */
  if (o->ops == &libsvm_ops)
    known = set_libsvm(&o->libsvm, name, v, &ok);
  if (!known)
    return no_option(format, name, e);
  if (e->code != ST_OK || ok)
    return e->code;
  char remedy[60];
  snprintf(remedy, sizeof remedy, "`cmlc doc %s` says what it takes.", format);
  return err_set(e, ST_PROGRAM, "CML0407", remedy, "%s cannot take %s = \"%.60s\"", format, name, v);
}

Status source_options(Arena *a, const EngineSource *s, Options *o, Err *e) {
  static const char *const empty[] = {""};
  Given given = {0};
  *o = (Options){.text = {.decimal = '.'}};
  if (find_format(s->format, o, e) != ST_OK)
    return e->code;
  if (o->ops == &csv_ops) {
    o->text.null = (Words){empty, 1};
    csv_defaults(&o->csv, s->path);
  }
  for (uint32_t i = 0; i < s->noption; i++) {
    if (set_option(a, o, s->format, s->option[2 * i], s->option[2 * i + 1], &given, e) != ST_OK)
      return e->code;
  }
  return o->ops == &csv_ops ? csv_settle(o, &given, e) : ST_OK;
}
