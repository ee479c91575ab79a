/* SPDX-License-Identifier: Apache-2.0 */
/* cmlc predict: scores a file with a bundle. */
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/progress.h"
#include "base/num.h"
#include "vm/jit.h"
#include "vm/score.h"

static const Flag flags[] = {
    {"--in", NULL, "FILE", "rows to score: .parquet, .csv, .tsv or .json (text also compressed), or a glob",
     false},
    {"--out", NULL, "FILE", "where predictions go: .parquet or .csv; written whole or not at all", false},
    {"--keep", NULL, "NAMES",
     "input columns to write before the predictions, separated by commas; all (default) or none", false},
    {"--option", NULL, "NAME=VALUE",
     "option of the input, as in `from csv(..)`: header=false; may be repeated", true},
    {"--columns", NULL, "NAMES",
     "names of the columns of a CSV without a header, separated by commas, in order; implies header=false",
     false},
    {"--threads", NULL, "N", "workers (one for each processor); the file does not depend on it", false},
    {"--memory", NULL, "SIZE", "most memory to use (1G)", false},
    {"--jit", NULL, "MODE", "machine code for the program of rows (auto, off, force)", false},
    {"--quiet", "-q", NULL, "no progress, and no word at the end", false},
    {NULL, NULL, NULL, NULL, false},
};

static bool ends_with(const char *s, const char *end) {
  size_t n = strlen(s), k = strlen(end);
  return n >= k && strcmp(s + n - k, end) == 0;
}

/* The names of `flag`, between commas. */
static const char *const *split_names(Arena *a, const char *flag, const char *list, uint32_t *out, Err *e) {
  uint32_t n = 0, cap = 0;
  const char **v = NULL;
  for (const char *s = list; *s;) {
    size_t k = strcspn(s, ",");
    const char *name = arena_strndup(a, s, k);
    for (uint32_t i = 0; i < n; i++)
      if (!strcmp(v[i], name))
        err_set(e, ST_USAGE, "", "Name each column once.", "`%s` names `%s` twice", flag, name);
    PUSH(a, v, n, cap, name);
    s += k + (s[k] == ',');
  }
  *out = n;
  return v;
}

/* The options of the input; names of columns say that it has no header. */
static Status input_options(Arena *a, const Args *args, EngineSource *in, Err *e) {
  const char *columns = args_get(args, "--columns");
  uint32_t pairs = 0;
  const char *const *given = args_defines(a, args, &pairs, e);
  const char **v = NEWN(a, const char *, 2 * pairs + 2);
  in->option = v;
  in->noption = pairs + (columns != NULL);
  v[2 * pairs] = "header";
  v[2 * pairs + 1] = "false";
  for (uint32_t i = 0; e->code == ST_OK && i < 2 * pairs; i++) {
    v[i] = given[i];
    if (columns && !strcmp(given[i - i % 2], "header"))
      err_set(e, ST_USAGE, "", "Leave `--option header=..` out, or `--columns` where the file has a header.",
              "`--columns` is for a CSV without a header, and says so");
  }
  if (e->code != ST_OK || !columns)
    return e->code;
  in->column = split_names(a, "--columns", columns, &in->ncolumn, e);
  if (strcmp(in->format, "csv") || !in->ncolumn)
    err_set(e, ST_USAGE, "", "Leave it out, or name all columns of a CSV.",
            "`--columns` names those of a CSV without a header, in order");
  return e->code;
}

static Status usage(const char *what) {
  fprintf(stderr, "cmlc predict: %s\n  = cmlc predict BUNDLE --in FILE --out FILE\n", what);
  return ST_USAGE;
}

static Status prepare(const App *app, Arena *a, const Args *args, ScoreJob *j, Err *e) {
  const char *in = args_get(args, "--in"), *out = args_get(args, "--out"), *keep = args_get(args, "--keep");
  const char *memory = args_get(args, "--memory"), *threads = args_get(args, "--threads");
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  *j = (ScoreJob){.out = out, .memory = 1u << 30, .cancel = app->cancel};
  j->threads = cpus > 0 ? (uint32_t)cpus : 1;
  if (args->nword != 1)
    return usage("name one bundle");
  if (!in || !out)
    return usage(in ? "`--out` is missing" : "`--in` is missing");
  if (memory && !args_size(memory, &j->memory))
    return usage("`--memory` is a size of at least 64M, like 512M or 2G");
  if (threads && !args_count(threads, 1, 1024, &j->threads))
    return usage("`--threads` is a whole number from 1 to 1024");
  if (!ends_with(out, ".parquet") && !ends_with(out, ".csv"))
    return usage("`--out` ends in .parquet or .csv");
  j->in = (EngineSource){.format = engine_format_of(in), .path = in, .dir = "."};
  if (!j->in.format)
    return usage(
        "`--in` ends in .parquet, .csv, .tsv, .json, .jsonl, .ndjson or .libsvm (text also in .gz or .zst)");
  if (input_options(a, args, &j->in, e) != ST_OK)
    return e->code;
  if (!keep || !strcmp(keep, "all"))
    j->keep_all = true;
  else if (strcmp(keep, "none"))
    j->keep = split_names(a, "--keep", keep, &j->nkeep, e);
  return e->code;
}

/* The file to be written can be, and is none of those that are read. */
static Status check_out(const ScoreJob *j, Err *e) {
  Arena a;
  const char **file = NULL;
  uint32_t n = 0;
  arena_init(&a, NULL);
  if (engine_files(&a, &j->in, &file, &n, e) == ST_OK)
    output_check(j->out, file, n, e);
  arena_free(&a);
  return e->code;
}

static Status predict(const App *app, ScoreJob *j, const char *path, JitMode jit, bool quiet, Err *e) {
  Bundle *bundle = NULL;
  ScoreResult r = {0};
  Meter meter;
  char rows[NUM_MAX];
  if (bundle_read(path, app->registry, &bundle, e) != ST_OK)
    return e->code;
  if (check_out(j, e) != ST_OK) {
    bundle_free(bundle);
    return e->code == ST_PROGRAM ? ST_USAGE : e->code;
  }
  meter_start(&meter, app, quiet, "predict");
  j->bundle = bundle;
  j->progress = &meter.progress;
  Status st = jit_open(jit, j->memory, &j->jit, e);
  if (st == ST_OK)
    st = score_file(j, &r, e);
  jit_close(j->jit);
  if (!strncmp(e->remedy, "Paths of a program", 18))
    snprintf(e->remedy, sizeof e->remedy, "Check the path."); /* there is no program here */
  meter_end(&meter);
  bundle_free(bundle);
  num_print_grouped(rows, r.rows);
  if (st == ST_OK && !quiet)
    fprintf(stderr, "%s rows scored, %s written\n", rows, j->out);
  return st == ST_PROGRAM ? ST_USAGE : st; /* options of the input come from the command line here */
}

int cmd_predict(const App *app, int argc, char **argv) {
  Arena a;
  jmp_buf oom;
  Args args;
  ScoreJob j;
  JitMode jit = JIT_AUTO;
  Err e = {0};
  arena_init(&a, &oom);
  if (setjmp(oom)) {
    err_memory(&e);
    app_error(app, &e);
    arena_free(&a);
    return ST_RESOURCE;
  }
  Status st = args_parse(&a, argc, argv, "predict", "BUNDLE --in FILE --out FILE [options]", flags, &args);
  bool help = st == ST_CANCEL;
  if (st == ST_OK)
    st = args_jit(&args, &jit) ? prepare(app, &a, &args, &j, &e) : usage("`--jit` is auto, off or force");
  if (st == ST_OK)
    st = predict(app, &j, args.word[0], jit, args_get(&args, "--quiet") != NULL, &e);
  if (e.code != ST_OK)
    app_error(app, &e);
  arena_free(&a);
  return help ? ST_OK : st;
}
