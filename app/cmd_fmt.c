/* SPDX-License-Identifier: Apache-2.0 */
/* cmlc fmt: programs in their canonical form, in place or to standard output. A program with syntax errors
 * is not touched, others still are. */
#include <string.h>

#include "app/app.h"
#include "base/file.h"

static const Flag flags[] = {
    {"--check", NULL, NULL,
     "change nothing; exit status 1 and the names of files that are not in canonical form", false},
    {"--stdout", NULL, NULL, "print instead of rewriting (what `-`, standard input, always does)", false},
    {NULL, NULL, NULL, NULL, false},
};

static Status fmt_text(const App *app, Compiled *c, const char *path, bool check, bool print, Buf *out,
                       Err *e) {
  if (compile_read(c, path, e) != ST_OK)
    return e->code;
  const Ast *ast = parse_file(&c->arena, &c->diags, c->file);
  if (c->diags.errors) {
    compile_report(app, c);
    return ST_PROGRAM;
  }
  fmt_print(ast, &c->sources, out);
  if (out->bad)
    return err_memory(e);
  bool same = out->n == c->ntext && (!out->n || memcmp(out->p, c->text, out->n) == 0);
  if (check && !same)
    printf("%s\n", path);
  if (check)
    return same ? ST_OK : ST_EXPECT;
  if (print || !strcmp(path, "-"))
    app_print(out);
  else if (!same)
    file_write_whole(path, buf_bytes(out), e);
  return e->code;
}

static Status fmt_one(const App *app, const char *path, bool check, bool print) {
  Compiled c;
  Buf out = {0};
  Err e = {0};
  compile_open(&c);
  Status st = setjmp(c.oom) ? err_memory(&e) : fmt_text(app, &c, path, check, print, &out, &e);
  if (e.code != ST_OK)
    app_error(app, &e);
  buf_free(&out);
  compile_free(&c);
  return st;
}

int cmd_fmt(const App *app, int argc, char **argv) {
  Arena a;
  arena_init(&a, NULL);
  Args args;
  Status st = args_parse(&a, argc, argv, "fmt", "FILE.cml ... | - [options]", flags, &args);
  if (st == ST_OK && !args.nword) {
    fprintf(stderr, "cmlc fmt: name a program: cmlc fmt FILE.cml\n");
    st = ST_USAGE;
  }
  /* every file has its turn, also after a wrong one */
  for (uint32_t i = 0; i < args.nword && st != ST_USAGE && st != ST_CANCEL; i++) {
    Status one =
        fmt_one(app, args.word[i], args_get(&args, "--check") != NULL, args_get(&args, "--stdout") != NULL);
    if (one > st)
      st = one;
  }
  arena_free(&a);
  return st == ST_CANCEL ? ST_OK : st;
}
