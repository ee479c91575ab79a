/* SPDX-License-Identifier: Apache-2.0 */
/* cmlc explain: what a program will do, before it does it. */
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/app.h"
#include "app/execute.h"
#include "app/explain_json.h"
#include "base/buf.h"
#include "base/file.h"
#include "compiler/explain.h"

static const Flag flags[] = {
    {"--ir", NULL, NULL, "the whole program as IR text", false},
    {"--stage", NULL, "NAME", "the IR of one stage", false},
    {"--pass", NULL, "NAME", "the IR as it is after this pass", false},
    {"--skip-pass", NULL, "NAMES", "passes to leave out, separated by commas", false},
    {"--format", NULL, "FORM", "text, json, dot (for Graphviz) or svg (drawn by Graphviz)", false},
    {"--analyze", NULL, NULL,
     "run it, and show what happened beside what was expected; its outputs are thrown away", false},
    {"--jit", NULL, "MODE",
     "of --analyze: machine code for rows (auto, off, force); results do not depend on it", false},
    {"--executor", NULL, "NAME", "spark: the jobs there, too, what is kept where, and bytes that move",
     false},
    {"--master", NULL, "URL", "with --executor spark and --analyze: where it runs", false},
    {"--conf", NULL, "KEY=VALUE", "with --executor spark: a property of Spark; may be repeated", true},
    {"--memory", NULL, "SIZE", "of --analyze: most memory to use", false},
    {"--threads", NULL, "N", "workers of --analyze, and of the estimates (one for each processor)", false},
    {"--no-data", NULL, NULL, "do not look at the data files: schemas have to be declared", false},
    {"--param", "-p", "NAME=VALUE", "value of a param; may be repeated", true},
    {"--seed", NULL, "N", "seed of random splits and folds (0)", false},
    {NULL, NULL, NULL, NULL, false},
};

static Status print_stages(const Program *p, const char *stage, Buf *out) {
  bool found = false;
  for (uint32_t i = 0; i < p->nstage; i++)
    if (!strcmp(p->stage[i].name, stage)) {
      ir_print_stage(p, i, out);
      found = true;
    }
  if (found)
    return ST_OK;
  fprintf(stderr, "cmlc explain: there is no stage `%s`; there are\n", stage);
  for (uint32_t i = 0; i < p->nstage; i++)
    fprintf(stderr, "  %s\n", p->stage[i].name);
  return ST_USAGE;
}

static Status ir_text(Arena *a, const char *path, const char *pass, const char *stage, Buf *text, Buf *out,
                      Err *e) {
  Program *p = NULL;
  if (file_read(path, 64 << 20, ST_PROGRAM, text, e) != ST_OK)
    return e->code;
  if (ir_parse(a, (const char *)text->p, (uint32_t)text->n, &p, e) != ST_OK)
    return err_at(e, "%s", path);
  for (uint32_t i = 0, changes = 0; pass && passes[i].name; i++)
    if (!strcmp(passes[i].name, pass) && passes[i].run(p, a, &changes, e) == ST_OK)
      ir_verify(p, e);
  if (e->code != ST_OK)
    return e->code;
  if (stage)
    return print_stages(p, stage, out);
  ir_print(p, out);
  return ST_OK;
}

/* A program that is IR already: as the reader takes it or, with --pass, as that one pass leaves it. How
 * passes are tested. */
static Status explain_ir(const char *path, const char *pass, const char *stage, Buf *out, Err *e) {
  Arena a;
  jmp_buf oom;
  Buf text = {0};
  arena_init(&a, &oom);
  Status st = setjmp(oom) ? err_memory(e) : ir_text(&a, path, pass, stage, &text, out, e);
  buf_free(&text);
  arena_free(&a);
  return st;
}

/* ---- Forms ---- */

typedef enum { FORM_TEXT, FORM_JSON, FORM_DOT, FORM_SVG } Form;

static Status form_of(const Args *args, Form *f) {
  static const char *const word[] = {"text", "json", "dot", "svg"};
  const char *w = args_get(args, "--format");
  *f = FORM_TEXT;
  for (size_t i = 0; w && i < sizeof word / sizeof *word; i++)
    if (!strcmp(w, word[i])) {
      *f = (Form)i;
      return ST_OK;
    }
  if (w)
    fprintf(stderr, "cmlc explain: `--format` is text, json, dot or svg\n");
  return w ? ST_USAGE : ST_OK;
}

/* Graphviz draws the graph; what it writes goes to standard output. */
static Status draw(const Buf *dot, Err *e) {
  FILE *in = tmpfile();
  char *argv[] = {"dot", "-Tsvg", NULL};
  extern char **environ;
  posix_spawn_file_actions_t act;
  pid_t pid;
  int status = 0;
  if (!in || fwrite(dot->p, 1, dot->n, in) != dot->n || fflush(in) || fseek(in, 0, SEEK_SET)) {
    if (in)
      fclose(in);
    return err_set(e, ST_RESOURCE, "CML0503", "Check that the disk has room.",
                   "cannot write a temporary file: %s", strerror(errno));
  }
  fflush(stdout);
  posix_spawn_file_actions_init(&act);
  posix_spawn_file_actions_adddup2(&act, fileno(in), STDIN_FILENO);
  int bad = posix_spawnp(&pid, "dot", &act, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&act);
  if (!bad)
    waitpid(pid, &status, 0);
  fclose(in);
  if (bad)
    return err_set(e, ST_RESOURCE, "CML0505", "Install Graphviz, or write `--format dot`.",
                   "Graphviz (`dot`) draws the picture, and cannot be started: %s", strerror(bad));
  if (!WIFEXITED(status) || WEXITSTATUS(status))
    return err_set(e, ST_RESOURCE, "CML0505", "Write `--format dot` and look at what it says.",
                   "Graphviz (`dot`) did not draw the picture");
  return ST_OK;
}

/* A run whose outputs are thrown away. */
static Status analyze(const App *app, const Execution *x, Compiled *c, RunResult *r, Err *e) {
  Report report;
  Status st = execute_aside(app, x, c, r, &report, &c->arena, e);
  if (st != ST_EXPECT)
    return st;
  err_clear(e); /* what it expects of its metrics is for `run` to say */
  return ST_OK;
}

/* Where --analyze runs. */
static Status settle(const App *app, Arena *a, const Args *args, Execution *x, Remote *remote, Err *e) {
  const char *memory = args_get(args, "--memory");
  *x = (Execution){.limits = {.memory = execute_memory(), .cancel = app->cancel}, .remote = remote};
  if (memory && !args_size(memory, &x->limits.memory))
    return err_set(e, ST_USAGE, "", NULL, "`--memory` is a size of at least 64M, like 512M or 2G");
  if (args_executor(a, args, x, e) == ST_OK)
    *remote = (Remote){.options = x->spark, .cancel = app->cancel};
  return e->code;
}

static Status explain_whole(const App *app, const Args *args, Execution x, Compiled *c, Form form, Buf *out,
                            Err *e) {
  Estimate *guess = NEWN(&c->arena, Estimate, c->program->nstage + 1);
  const char *threads = args_get(args, "--threads");
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  bool run = args_get(args, "--analyze") != NULL;
  RunResult r;
  x.limits.threads = cpus > 0 ? (uint32_t)cpus : 1;
  x.path = args->word[0];
  x.limits.dir = execute_folder(&c->arena, args->word[0]);
  memset(&r, 0, sizeof r);
  if (!args_jit(args, &x.jit))
    return err_set(e, ST_USAGE, "", NULL, "`--jit` is auto, off or force");
  if (threads && !args_count(threads, 1, 1024, &x.limits.threads))
    return err_set(e, ST_USAGE, "", NULL, "`--threads` is a whole number from 1 to 1024");
  if (!args_get(args, "--no-data") || run)
    estimate_program(c->program, app->registry, &x.limits, guess, e);
  if (e->code == ST_OK && run)
    analyze(app, &x, c, &r, e);
  const RunResult *is = run ? &r : NULL;
  const Limits *here = x.spark || x.loopback ? NULL : &x.limits; /* of rows that are kept in this process */
  if (e->code != ST_OK) {
    run_free(&r);
    return e->code;
  }
  if (form == FORM_JSON) {
    explain_json(c->program, app->registry, c->report, here, guess, is, out);
  } else if (form == FORM_TEXT) {
    explain_program(c->program, app->registry, c->report, out);
    if (is || !args_get(args, "--no-data"))
      explain_costs(c->program, here, guess, is, out);
    if (x.spark)
      explain_spark(c->program, guess, is, out, e);
  } else {
    explain_dot(c->program, guess, is, out);
  }
  if (form == FORM_SVG) {
    draw(out, e);
    out->n = 0;
  }
  run_free(&r);
  return e->code;
}

int cmd_explain(const App *app, int argc, char **argv) {
  Arena a;
  Args args;
  Compiled c;
  Buf out = {0}, dump = {0};
  Execution x = {.again = false};
  Remote remote = {.options = NULL};
  Err e = {0};
  memset(&c, 0, sizeof c);
  arena_init(&a, NULL);
  Status st = args_parse(&a, argc, argv, "explain", "FILE.cml | FILE.ir [options]", flags, &args);
  CompileOptions o = {.lower = true};
  if (st == ST_OK && args.nword != 1) {
    fprintf(stderr, "cmlc explain: name one program: cmlc explain FILE.cml\n");
    st = ST_USAGE;
  }
  if (st == ST_OK)
    st = args_passes(&args, "--pass");
  if (st == ST_OK)
    st = args_passes(&args, "--skip-pass");
  if (st == ST_OK)
    st = args_seed(&args, &o.seed);
  Form form = FORM_TEXT;
  if (st == ST_OK)
    st = form_of(&args, &form);
  if (st != ST_OK) {
    arena_free(&a);
    return st == ST_CANCEL ? ST_OK : st;
  }
  o.path = args.word[0];
  o.check.no_data = args_get(&args, "--no-data") != NULL;
  o.skip_pass = args_get(&args, "--skip-pass");
  o.dump_pass = args_get(&args, "--pass");
  const char *stage = args_get(&args, "--stage");
  o.check.define = args_defines(&a, &args, &o.check.ndefine, &e);
  size_t n = strlen(o.path);
  bool ir = n > 3 && !strcmp(o.path + n - 3, ".ir");
  if (e.code == ST_OK && settle(app, &a, &args, &x, &remote, &e) == ST_OK)
    o.remote = &remote;
  if (e.code == ST_OK && ir)
    st = explain_ir(o.path, o.dump_pass, stage, &out, &e);
  else if (e.code == ST_OK)
    compile_file(app, &o, &c, &dump, &e);
  compile_report(app, &c);
  if (e.code != ST_OK) {
    app_error(app, &e);
    st = e.code;
  } else if (!ir && !c.program) {
    st = c.outcome;
  } else if (ir) {
    /* printed already */
  } else if (o.dump_pass) {
    buf_put(&out, dump.p, dump.n);
  } else if (stage) {
    st = print_stages(c.program, stage, &out);
  } else if (args_get(&args, "--ir")) {
    ir_print(c.program, &out);
  } else if ((st = setjmp(c.oom) ? err_memory(&e) : explain_whole(app, &args, x, &c, form, &out, &e)) !=
             ST_OK) {
    app_error(app, &e);
  }
  app_print(&out);
  buf_free(&out);
  buf_free(&dump);
  remote_close(&remote);
  compile_free(&c);
  arena_free(&a);
  return st;
}
