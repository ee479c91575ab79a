/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: a bundle is data; any bytes give a bundle or an error, and a bundle that is accepted can be
 * run. */
#include <string.h>

#include "stdlib/registry.h"
#include "vm/bundle.h"
#include "vm/interp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Three rows of whatever the score stage reads. */
static void run(const Bundle *b) {
  const Stage *s = &b->program->stage[0];
  const char *name[64];
  Col in[64], out[64];
  double number[3] = {0.5, -1, 0}; /* under a null lies 0 */
  uint8_t truth[3] = {0, 1, 0}, null[3] = {0, 0, 1};
  uint32_t code[3] = {0, 1, 0}, off[] = {0, 1, 3};
  char bytes[] = "abc";
  Dict dict = {.n = 2, .off = off, .bytes = bytes};
  if (s->ncolumn > 64 || s->prog.nout > 64)
    return;
  for (uint32_t i = 0; i < s->ncolumn; i++) {
    name[i] = s->column[i].name;
    memset(&in[i], 0, sizeof in[i]);
    in[i].type = (uint8_t)kind_ir((Kind)s->column[i].kind);
    switch (in[i].type) {
    case IR_BOOL: in[i].b = truth; break;
    case IR_STR: in[i].code = code, in[i].dict = &dict; break;
    default: in[i].f = number; /* as an int: large numbers, which overflow where they can */
    }
    in[i].null = s->column[i].nullable ? null : NULL;
  }
  Env env = {(const Fitted **)b->fitted, b->nfitted};
  Interp *it = NULL;
  Err e = {0};
  RowErrors errors = {0};
  RowsIn rows = {.n = 3, .col = in};
  if (interp_new(&s->prog, &env, name, s->ncolumn, &it, &e) == ST_OK)
    interp_run(it, &rows, out, NULL, &errors, &e);
  interp_free(it);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  StdlibRegistry space;
  Bundle *b = NULL;
  Err e = {0};
  if (bundle_parse((Bytes){data, size}, stdlib_registry(&space), &b, &e) == ST_OK) {
    run(b);
    bundle_free(b);
  }
  return 0;
}
