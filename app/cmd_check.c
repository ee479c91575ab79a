/* SPDX-License-Identifier: Apache-2.0 */
/* cmlc check: every diagnostic of the given programs, without a run. */
#include <string.h>

#include "app/app.h"
#include "app/report.h"

static const Flag flags[] = {
    {"--no-data", NULL, NULL, "do not look at the data files: schemas have to be declared", false},
    {"--format", NULL, "text|json|sarif",
     "how diagnostics are printed: text to standard error, json and SARIF 2.1.0 to standard output", false},
    {"--param", "-p", "NAME=VALUE", "value of a param; may be repeated", true},
    {NULL, NULL, NULL, NULL, false},
};

int cmd_check(const App *app, int argc, char **argv) {
  Arena a;
  arena_init(&a, NULL);
  Args args;
  Status st = args_parse(&a, argc, argv, "check", "FILE.cml ... [options]", flags, &args);
  if (st != ST_OK) {
    arena_free(&a);
    return st == ST_CANCEL ? ST_OK : st;
  }
  const char *format = args_get(&args, "--format");
  bool text = !format || !strcmp(format, "text"), sarif = format && !strcmp(format, "sarif");
  if (!args.nword || !(text || sarif || !strcmp(format, "json"))) {
    fprintf(stderr, "cmlc check: %s\n",
            args.nword ? "`--format` is text, json or sarif" : "name a program: cmlc check FILE.cml");
    arena_free(&a);
    return ST_USAGE;
  }
  Buf out = {0};
  Diagnostics found;
  diagnostics_begin(&found, sarif, &out);
  for (uint32_t i = 0; i < args.nword; i++) {
    CompileOptions o = {.path = args.word[i], .lower = true};
    Compiled c;
    Err e = {0};
    o.check.no_data = args_get(&args, "--no-data") != NULL;
    o.check.define = args_defines(&a, &args, &o.check.ndefine, &e);
    if (e.code == ST_OK)
      compile_file(app, &o, &c, NULL, &e);
    else
      memset(&c, 0, sizeof c);
    if (text) {
      compile_report(app, &c);
      if (e.code != ST_OK)
        app_error(app, &e);
    } else {
      diagnostics_add(&found, &c.diags, o.path, &e);
    }
    Status one = e.code != ST_OK ? e.code : c.diags.errors ? c.outcome : ST_OK;
    if (one > st)
      st = one;
    compile_free(&c);
  }
  diagnostics_end(&found);
  if (!text)
    app_print(&out);
  buf_free(&out);
  arena_free(&a);
  return st;
}
