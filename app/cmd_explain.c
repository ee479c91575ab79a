/* SPDX-License-Identifier: Apache-2.0 */
/* cmlc explain: what a program will do, before it does it. */
#include <string.h>

#include "app/app.h"
#include "base/buf.h"
#include "base/file.h"
#include "compiler/explain.h"

static const Flag flags[] = {
    {"--ir", NULL, NULL, "the whole program as IR text", false},
    {"--stage", NULL, "NAME", "the IR of one stage", false},
    {"--pass", NULL, "NAME", "the IR as it is after this pass", false},
    {"--skip-pass", NULL, "NAMES", "passes to leave out, separated by commas", false},
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

static Status ir_text(Arena *a, const char *path, const char *pass, const char *stage, Buf *text, Buf *out, Err *e) {
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

/* A program that is IR already: as the reader takes it or, with --pass, as that one pass leaves it. How passes are tested. */
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

int cmd_explain(const App *app, int argc, char **argv) {
  Arena a;
  Args args;
  Compiled c;
  Buf out = {0}, dump = {0};
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
  } else {
    explain_program(c.program, app->registry, c.report, &out);
  }
  app_print(&out);
  buf_free(&out);
  buf_free(&dump);
  compile_free(&c);
  arena_free(&a);
  return st;
}
