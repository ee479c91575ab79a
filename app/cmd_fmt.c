/* SPDX-License-Identifier: Apache-2.0 */
/* cmlc fmt: programs in their canonical form, in place or to standard output. A program with syntax errors is not touched. */
#include <string.h>

#include "app/app.h"
#include "base/file.h"

static const Flag flags[] = {
    {"--check", NULL, NULL, "change nothing; exit status 1 and the names of files that are not in canonical form", false},
    {"--stdout", NULL, NULL, "print instead of rewriting (what `-`, standard input, always does)", false},
    {NULL, NULL, NULL, NULL, false},
};

static Status fmt_one(const App *app, const char *path, bool check, bool print, Err *e) {
  Compiled c;
  Buf text = {0}, out = {0};
  Status st = ST_OK;
  memset(&c, 0, sizeof c);
  arena_init(&c.arena, &c.oom);
  if (setjmp(c.oom)) {
    st = err_memory(e);
    goto done;
  }
  source_init(&c.sources, &c.arena);
  diag_init(&c.diags, &c.arena, &c.sources);
  if ((st = file_read(strcmp(path, "-") ? path : "/dev/stdin", 4 << 20, ST_PROGRAM, &text, e)) != ST_OK)
    goto done;
  uint16_t file = source_add(&c.sources, path, buf_str(&text), (uint32_t)text.n, false);
  const Ast *ast = parse_file(&c.arena, &c.diags, file);
  if (c.diags.errors) {
    compile_report(app, &c);
    st = ST_PROGRAM;
    goto done;
  }
  fmt_print(ast, &c.sources, &out);
  if (out.bad) {
    st = err_memory(e);
    goto done;
  }
  bool same = out.n == text.n && memcmp(out.p, text.p, out.n) == 0;
  if (check) {
    if (!same)
      printf("%s\n", path);
    st = same ? ST_OK : ST_EXPECT;
  } else if (print || !strcmp(path, "-")) {
    fwrite(out.p, 1, out.n, stdout);
  } else if (!same) {
    st = file_write_whole(path, buf_bytes(&out), e);
  }
done:
  buf_free(&text);
  buf_free(&out);
  arena_free(&c.arena);
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
  for (uint32_t i = 0; i < args.nword && (st == ST_OK || st == ST_EXPECT); i++) {
    Err e = {0};
    Status one = fmt_one(app, args.word[i], args_get(&args, "--check") != NULL, args_get(&args, "--stdout") != NULL, &e);
    if (e.code != ST_OK)
      app_error(app, &e);
    if (one > st)
      st = one;
  }
  arena_free(&a);
  return st == ST_CANCEL ? ST_OK : st;
}
