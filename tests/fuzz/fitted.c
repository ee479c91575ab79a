/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a fitted value of the real estimators: an error, or a value that saves as the same bytes; and
 * a model predicts. */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "stdlib/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 3, WIDTH_MOST = 4096 };

static void predict(const Model *m) {
  if (m->d > WIDTH_MOST || m->nout > WIDTH_MOST)
    return;
  Matrix x = {.n = ROWS, .d = m->d};
  double *a = x.a = mem_alloc64((size_t)ROWS * m->d * sizeof *x.a);
  double *out = mem_alloc64((size_t)ROWS * m->nout * sizeof *out);
  for (size_t i = 0; a && i < (size_t)ROWS * m->d; i++)
    a[i] = i % 3 ? (double)i : -1e300;
  if (a && out)
    m->est->predict(m, &x, out);
  mem_free(a);
  mem_free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Fitted *f = NULL;
  Err e = {0};
  Buf once = {0};
  if (fitted_load((Bytes){data, size}, stdlib_estimators, &f, &e) == ST_OK) {
    if (fitted_save(f, &once, &e) != ST_OK || once.n != size || memcmp(once.p, data, size) != 0)
      __builtin_trap(); /* two forms of one value */
    if (f->type == IR_MODEL)
      predict(f->model);
  } else if (f || !e.cause[0]) {
    __builtin_trap();
  }
  fitted_free(f);
  buf_free(&once);
  return 0;
}
