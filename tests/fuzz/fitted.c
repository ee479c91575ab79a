/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a fitted value, or as the partial result of an aggregate that came back from a worker. The
 * first byte says which: 0, a fitted value; k, the partial of the k-th job below. What is accepted is merged,
 * saved, and has to load as the same again.
 * */
#include <string.h>

#include "base/arena.h"
#include "vm/agg.h"
#include "vm/estimator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Status verify(const Model *m, Err *e) {
  const Tensor *t = model_tensor(m, "coefficients");
  return t && t->cols == m->d ? ST_OK : err_set(e, ST_DATA, "CML0455", NULL, "coefficients are missing");
}

static void fitted_value(Bytes in) {
  static const Estimator flat = {.name = "flat", .verify = verify};
  static const Estimator *const registry[] = {&flat, NULL};
  Fitted *f = NULL;
  Err e = {0};
  Buf once = {0};
  if (fitted_load(in, registry, &f, &e) == ST_OK) {
    if (fitted_save(f, &once, &e) != ST_OK || once.n != in.n || memcmp(once.p, in.p, in.n) != 0)
      __builtin_trap(); /* two forms of one value */
  } else if (f || !e.cause[0]) {
    __builtin_trap();
  }
  fitted_free(f);
  buf_free(&once);
}

static void partial(const Job *j, Bytes in) {
  Err e = {0};
  Buf once = {0}, twice = {0};
  void *par = j->pass->open(buf_bytes(&j->par), &e);
  void *p = par ? j->pass->load(par, in, &e) : NULL;
  if (p) {
    void *l = j->pass->init(par, &e), *again = NULL;
    if (!l || j->pass->merge(par, l, p, &e) != ST_OK)
      __builtin_trap();
    if (j->pass->save(par, l, &once, &e) == ST_OK)
      again = j->pass->load(par, buf_bytes(&once), &e);
    if (!again || j->pass->save(par, again, &twice, &e) != ST_OK || once.n != twice.n ||
        (once.n && memcmp(once.p, twice.p, once.n) != 0))
      __builtin_trap();
    j->pass->free(par, l);
    j->pass->free(par, p);
    j->pass->free(par, again);
  } else if (!e.code) {
    __builtin_trap();
  }
  if (par)
    j->pass->close(par);
  buf_free(&once);
  buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint32_t key[1] = {1};
  IrOut out[] = {{.val = 0}, {.val = 1}};
  IrAgg agg[] = {
      {.op = "mean.f64", .arg = 0, .where = -1, .weight = 0, .leave_out = -1, .text = "mean"},
      {.op = "categories.str", .arg = 1, .where = -1, .weight = -1, .leave_out = -1, .text = "categories"},
      {.op = "max.str", .arg = 1, .where = -1, .weight = -1, .leave_out = -1, .text = "max"},
      {.op = "stddev.f64",
       .arg = 0,
       .where = -1,
       .weight = -1,
       .leave_out = -1,
       .nkey = 1,
       .key = key,
       .crossfit = true,
       .text = "stddev by"},
      {.op = "median.f64", .arg = 0, .where = -1, .weight = -1, .leave_out = -1, .text = "median"},
      {.op = "median.f64",
       .arg = 0,
       .where = -1,
       .weight = -1,
       .leave_out = -1,
       .nkey = 1,
       .key = key,
       .text = "median by"},
  };
  Stage s = {.kind = STAGE_FIT,
             .name = "fit",
             .agg = agg,
             .nagg = sizeof agg / sizeof *agg,
             .prog = {.out = out, .nout = 2}};
  Iter *it = NULL;
  Jobs jobs = {0};
  Err e = {0};
  if (size > 1 && data[0] == 0)
    fitted_value((Bytes){data + 1, size - 1});
  else if (size > 1 && agg_begin(&s, &(Stage){.folds = 2}, &it, &e) == ST_OK &&
           it->next(it, NULL, 0, &jobs, &e) == ST_OK)
    partial(&jobs.v[data[0] % jobs.n], (Bytes){data + 1, size - 1});
  jobs_free(&jobs);
  if (it)
    it->free(it);
  return 0;
}
