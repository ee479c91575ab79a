/* SPDX-License-Identifier: Apache-2.0 */
/* cmlc version: of the program and of the formats it reads and writes. Loads nothing, so that it answers
 * at once. */
#include "app/app.h"
#include "base/hash.h"
#include "vm/bundle.h"

int cmd_version(const App *app, int argc, char **argv) {
  static const Flag flags[] = {{NULL, NULL, NULL, NULL, false}};
  Arena a;
  Args args;
  arena_init(&a, NULL);
  (void)app;
  Status st = args_parse(&a, argc, argv, "version", "", flags, &args);
  if (st == ST_OK && args.nword) {
    fprintf(stderr, "cmlc version: it takes no words, such as `%s`\n", args.word[0]);
    st = ST_USAGE;
  }
  arena_free(&a);
  if (st == ST_OK) {
    char jit[40];
    bool there = jit_installed(jit, sizeof jit);
    printf("cmlc %s (bundle %d, ir %d, ops %d, math %d, hash %d; %s)\n", CML_VERSION, BUNDLE_VERSION,
           IR_VERSION, OPS_VERSION, MATH_VERSION, HASH_VERSION, there ? jit : "no JIT");
  }
  return st == ST_CANCEL ? ST_OK : st;
}
