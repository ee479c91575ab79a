/* SPDX-License-Identifier: Apache-2.0 */
/* cmlc: what its commands share. main.c dispatches; compile.c leads a file through the compiler; each
 * cmd_NAME.c is one command. */
#ifndef APP_APP_H
#define APP_APP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "compiler/pass.h"
#include "lang/diag.h"
#include "lang/tree.h"
#include "vm/exec.h"
#include "vm/jit.h"
#include "vm/ir.h"

typedef struct App { /* state of one run of cmlc */
  const Registry *registry;
  const char *argv0;
  bool colour;             /* on standard error */
  bool terminal;           /* standard error is one */
  atomic_bool *cancel;     /* set by Ctrl-C */
} App;

/* ---- args.c: a command line as options and words. Long names are matched whole; `-h` is everywhere. ---- */

typedef struct Flag {
  const char *name;        /* "--threads" */
  const char *alias;       /* "-q", or NULL */
  const char *value;       /* what the value is called in the help: "N"; NULL: a switch */
  const char *help;
  bool repeat;             /* may stand several times (-p) */
} Flag;                    /* a table ends with name == NULL */

typedef struct Args {
  const Flag *flag;
  const char **value;      /* per flag, the last value given; "" for a switch; NULL: not given */
  const char **many;       /* values of repeated flags, in order: flag index is many_flag */
  uint32_t *many_flag;
  uint32_t nmany;
  const char **word;       /* what is no option */
  uint32_t nword;
} Args;

/* ST_USAGE with a message printed when it does not fit; ST_CANCEL when help was asked for (and printed). */
Status args_parse(Arena *a, int argc, char **argv, const char *command, const char *synopsis,
                  const Flag *flags, Args *out);
const char *args_get(const Args *a, const char *name);
/* NAME=VALUE of every -p as name, value, name, value, ...; ST_USAGE in e where there is
 * no `=`. */
const char *const *args_defines(Arena *a, const Args *args, uint32_t *pairs, Err *e);
/* KEY=VALUE of every --conf; ST_USAGE in e where there is no `=`. */
const char *const *args_conf(Arena *a, const Args *args, uint32_t *n, Err *e);
/* --executor, --master, --conf of an execution, whose limits are there; ST_USAGE where they are not
 * understood. */
struct Execution;
Status args_executor(Arena *a, const Args *args, struct Execution *x, Err *e);
bool args_jit(const Args *args, JitMode *mode);       /* --jit; false: no such mode */
Status args_seed(const Args *args, uint64_t *seed);  /* --seed; ST_USAGE, with a message, when it is no
                                                      * whole number */
Status args_passes(const Args *args, const char *name); /* --skip-pass, --pass: ST_USAGE, with a message,
                                                         * when a pass is unknown */
bool args_size(const char *text, uint64_t *bytes);   /* 512M, 1G, 2g, 1000000; at least 64M */
bool args_count(const char *text, uint32_t lo, uint32_t hi, uint32_t *n);

/* ---- compile.c ---- */

typedef struct Compiled {
  Arena arena;
  jmp_buf oom;
  Sources sources;
  Diags diags;
  Library *library;
  const Ast *ast;          /* of the program and its modules */
  Tree *tree;              /* NULL: errors */
  Program *program;        /* NULL: errors, or only checked */
  PassReport *report;      /* of each pass */
  Status outcome;          /* with errors: ST_PROGRAM, or what looking at the data gave when that is all
                            * that failed */
  const char *text;        /* of the program */
  uint32_t ntext;
  uint16_t file;           /* its number in sources */
} Compiled;

typedef struct CompileOptions {
  const char *path;        /* "-": standard input */
  CheckOptions check;
  uint64_t seed;
  bool lower;              /* false: check only */
  const char *skip_pass, *dump_pass;
  struct Remote *remote;   /* NULL: everything is on this machine */
} CompileOptions;

/* The steps, for commands that need not all of them. They leave by c->oom when memory is used up, so the
 * caller has set it; compile_open must be the first, outside of that. */
void compile_open(Compiled *c);
/* text, as the one source of c; path "-": standard input */
Status compile_read(Compiled *c, const char *path, Err *e);
void compile_library(Compiled *c);                           /* the cml files of stdlib */

/* All of them. Fills c; diagnostics are in c->diags, a failure that is none in e. compile_free always. */
Status compile_file(const App *app, const CompileOptions *o, Compiled *c, Buf *dump, Err *e);
void compile_free(Compiled *c);
void compile_digest(const Compiled *c, char *out); /* of the program's text; with modules, of the digests
                                                    * of all texts in the order read. DIGEST_HEX bytes */
/* Prints diagnostics and a last line "2 errors, 1 warning" to standard error. */
void compile_report(const App *app, const Compiled *c);

/* ---- catalog.c ---- */
struct Remote; /* remote.h: sources that only Spark reads; NULL: there are none */
Status catalog_make(const App *app, Arena *a, bool no_data, struct Remote *remote, Catalog *out, Err *e);

/* By name, in the registry; NULL: there is none. */
const struct Estimator *catalog_estimator(const Registry *r, const char *name);
/* a name may have one for each task */
const struct Metric *catalog_metric(const Registry *r, const char *name, ModelTask task);

/* ---- codes.c ---- */
const char *code_page(const char *code); /* what `cmlc doc CML0430` prints: a code of the front end or of
                                          * the runtime; NULL: there is none */

/* ---- Messages ---- */
void app_print(const Buf *b);                 /* to standard output; nothing when empty */
void app_error(const App *app, const Err *e); /* one failure, as cause, place and remedy, to standard error */
void app_warning(const App *app, const char *where, const char *text);

/* ---- outputs.c: before a run; ST_RESOURCE where a file cannot be written, ST_PROGRAM where it would
 * replace one that is read ---- */
Status output_check(const char *path, const char *const *input, uint32_t n, Err *e);
/* every predict and bundle stage */
Status outputs_check(const Program *p, const char *dir, const char *program, bool spark, Err *e);

/* ---- Commands ---- */
typedef struct Command {
  const char *name;
  const char *purpose;
  int (*run)(const App *app, int argc, char **argv);
} Command;
extern const Command commands[]; /* ends with name == NULL */

int cmd_run(const App *app, int argc, char **argv);
int cmd_check(const App *app, int argc, char **argv);
int cmd_explain(const App *app, int argc, char **argv);
int cmd_schema(const App *app, int argc, char **argv);
int cmd_verify(const App *app, int argc, char **argv);
int cmd_predict(const App *app, int argc, char **argv);
int cmd_fmt(const App *app, int argc, char **argv);
int cmd_doc(const App *app, int argc, char **argv);
int cmd_version(const App *app, int argc, char **argv);

#endif
