/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a partial result that came back from a worker. The first byte chooses one of the jobs that
 * aggregates, estimators and metrics ask for first. What is accepted is merged and saved, and has to load as
 * the same again. No bytes stand for the partials of no rows of all jobs; CML_FUZZ_SEEDS names a folder where
 * those are written, to begin with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "stdlib/registry.h"
#include "vm/agg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WIDTH = 3, CLASSES = 3, OPTIONS_MOST = 64, AGGS_MOST = 128 };

typedef struct All { /* the first jobs of everything, and what they come from */
  Iter *it[256];
  Jobs jobs[256];
  uint32_t n;
} All;

static void take(All *all, Status st, Iter *it) {
  Err e = {0};
  if (st || all->n == sizeof all->it / sizeof *all->it)
    __builtin_trap(); /* the target has to be kept up with what it makes */
  all->it[all->n] = it;
  if (it->next(it, NULL, 0, &all->jobs[all->n++], &e))
    __builtin_trap();
}

static uint32_t defaults(const Option *table, IrOption *out) {
  uint32_t n = 0;
  for (; table && table[n].name && n < OPTIONS_MOST; n++)
    out[n] = (IrOption){.name = table[n].name, .num = table[n].def};
  return n;
}

static int32_t output_of(int type) {
  static const int types[] = {IR_F64, IR_STR, IR_BOOL, IR_I64, IR_VEC, IR_STRS};
  for (int32_t i = 0; i < 6; i++)
    if (types[i] == type)
      return i;
  return -1;
}

/* Every aggregate alone, by a key, and by a key without each fold. */
static void aggregates(All *all) {
  static uint32_t key[] = {1};
  static IrAgg agg[AGGS_MOST];
  static IrOut out[] = {{.val = 0}, {.val = 1}, {.val = 2}, {.val = 3}, {.val = 4}, {.val = 5}};
  static Stage s = {.kind = STAGE_FIT, .name = "fit", .agg = agg,
                    .prog = {.out = out, .nout = sizeof out / sizeof *out}};
  static Stage rows = {.folds = 2};
  s.nagg = 0;
  const AggOp *op;
  for (uint32_t i = 0; (op = agg_op_at(i)); i++)
    for (uint32_t way = 0; way < (op->grouped ? 3u : 1u); way++) {
      agg[s.nagg++] = (IrAgg){
          .op = op->name, .arg = output_of(op->arg), .where = way == 1 ? 2 : -1,
          .weight = way && op->weighted ? 0 : -1, .leave_out = -1, .nkey = way > 0, .key = key,
          .crossfit = way == 2, .text = op->name,
          .par = op->result == IR_LIST || op->result == IR_VOCAB ? 5 : 0.5, .par3 = 1};
    }
  Iter *it = NULL;
  Err e = {0};
  Status st = agg_begin(&s, &rows, &it, &e);
  take(all, st, it);
}

static char *const names[] = {"a", "b", "c"};

static void estimators(All *all) {
  static const uint32_t width[] = {1, 1, 1};
  IrOption option[OPTIONS_MOST];
  for (uint32_t i = 0; stdlib_estimators[i]; i++)
    for (int task = 0; task < 8; task++) {
      if (!(stdlib_estimators[i]->tasks & TASK_BIT(task)))
        continue;
      TrainInfo t = {.name = "m", .d = WIDTH, .feature = names, .nslot = WIDTH,
                     .slot = (const char *const *)names, .width = width, .option = option,
                     .task = (ModelTask)task,
                     .noption = defaults(stdlib_estimators[i]->option, option)};
      if (t.task == TASK_MULTICLASS)
        t.nclass = CLASSES, t.class = names;
      for (int sparse = 0; sparse < 2; sparse++) {
        Iter *it = NULL;
        Err e = {0};
        t.sparse = sparse;
        Status st = stdlib_estimators[i]->begin(&t, &it, &e);
        take(all, st, it);
      }
    }
}

static void metrics(All *all) {
  static double center[] = {0, 0, 0, 1, 1, 1}, no[] = {0}, sizes[] = {1, 1};
  static Tensor tensor[] = {{"centers", 2, WIDTH, center}, {"cosine", 1, 1, no}, {"inertia", 1, 1, no},
                            {"sizes", 1, 2, sizes}, {"weights", 1, 2, sizes}};
  IrOption option[OPTIONS_MOST];
  for (uint32_t i = 0; stdlib_metrics[i]; i++)
    for (int task = 0; task < 8; task++) {
      const Metric *m = stdlib_metrics[i];
      if (!(m->tasks & TASK_BIT(task)))
        continue;
      Model model = {.d = WIDTH, .feature = (char **)names, .task = (ModelTask)task, .tensor = tensor,
                     .ntensor = sizeof tensor / sizeof *tensor};
      if (model.task == TASK_MULTICLASS)
        model.nclass = CLASSES, model.class = (char **)names;
      model.nout = model_outputs(model.task, model.nclass);
      MetricInfo info = {.option = option, .noption = defaults(m->option, option), .score = 0, .target = 1,
                         .model = &model, .slice = -1, .rows = 1000};
      Iter *it = NULL;
      Err e = {0};
      Status st = m->begin(m, &info, &it, &e);
      take(all, st, it);
    }
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

static void write_seed(uint32_t number, const Buf *b) {
  const char *folder = getenv("CML_FUZZ_SEEDS");
  char path[4096];
  if (!folder)
    return;
  snprintf(path, sizeof path, "%s/nothing-%u", folder, number);
  FILE *f = fopen(path, "wb");
  if (!f || fputc((int)number, f) == EOF || fwrite(b->p, 1, b->n, f) != b->n || fclose(f))
    __builtin_trap();
}

static void of_no_rows(const Job *j, uint32_t number) {
  Err e = {0};
  Buf out = {0};
  void *par = j->pass->open(buf_bytes(&j->par), &e);
  void *p = par ? j->pass->init(par, &e) : NULL;
  if (!p || j->pass->save(par, p, &out, &e) != ST_OK)
    __builtin_trap();
  j->pass->free(par, p);
  void *again = j->pass->load(par, buf_bytes(&out), &e);
  if (!again)
    __builtin_trap();
  j->pass->free(par, again);
  j->pass->close(par);
  write_seed(number, &out);
  partial(j, buf_bytes(&out));
  buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  All all = {0};
  aggregates(&all);
  estimators(&all);
  metrics(&all);
  uint32_t total = 0, number = 0;
  for (uint32_t i = 0; i < all.n; i++)
    total += all.jobs[i].n;
  if (total == 0 || total > 256)
    __builtin_trap(); /* one byte chooses */
  for (uint32_t i = 0; i < all.n; i++) {
    for (uint32_t k = 0; k < all.jobs[i].n; k++, number++) {
      if (size == 0)
        of_no_rows(&all.jobs[i].v[k], number);
      else if (data[0] % total == number)
        partial(&all.jobs[i].v[k], (Bytes){data + 1, size - 1});
    }
    jobs_free(&all.jobs[i]);
    all.it[i]->free(all.it[i]);
  }
  return 0;
}
