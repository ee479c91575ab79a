/* SPDX-License-Identifier: Apache-2.0 */
/* What the language core is told about the world: the registry and the data engine in its terms. */
#include <string.h>

#include "app/app.h"
#include "app/remote.h"
#include "vm/engine.h"
#include "vm/estimator.h"

CatColumn *catalog_columns(Arena *a, const EngineColumn *c, uint32_t n) {
  CatColumn *v = NEWN(a, CatColumn, n + 1);
  for (uint32_t i = 0; v && i < n; i++)
    v[i] = (CatColumn){.name = c[i].name,
                       .type = c[i].kind < 0 ? NULL : kind_name((Kind)c[i].kind),
                       .why = c[i].why,
                       .nullable = c[i].nullable,
                       .inferred = c[i].inferred};
  return v;
}

static Status columns(void *ctx, Arena *a, const CatSource *src, CatColumn **out, uint32_t *n, Err *e) {
  Remote *remote = ctx;
  EngineSource s = {.format = src->format,
                    .path = src->path,
                    .dir = src->dir,
                    .option = src->option,
                    .noption = src->noption,
                    .column = src->column,
                    .ncolumn = src->ncolumn};
  EngineColumn *c = NULL;
  if (remote && remote_is(remote, src))
    return remote_columns(remote, a, src, out, n, e);
  if (engine_columns(a, &s, &c, n, e) != ST_OK)
    return e->code;
  *out = catalog_columns(a, c, *n);
  return *out ? ST_OK : err_memory(e);
}

Status catalog_make(const App *app, Arena *a, bool no_data, Remote *remote, Catalog *out, Err *e) {
  const Registry *r = app->registry;
  uint32_t n = 0;
  while (r->estimator[n])
    n++;
  CatEstimator *est = NEWN(a, CatEstimator, n + 1);
  for (uint32_t i = 0; est && i < n; i++)
    est[i] = (CatEstimator){r->estimator[i]->name, r->estimator[i]->tasks, r->estimator[i]->option,
                            r->estimator[i]->two_class, r->estimator[i]->doc};
  for (n = 0; r->metric[n];)
    n++;
  CatMetric *met = NEWN(a, CatMetric, n + 1);
  for (uint32_t i = 0; met && i < n; i++)
    met[i] = (CatMetric){r->metric[i]->name,      r->metric[i]->tasks,  r->metric[i]->option,
                         r->metric[i]->two_class, r->metric[i]->scalar, r->metric[i]->doc};
  for (n = 0; engine_formats[n].name;)
    n++;
  CatFormat *fmt = NEWN(a, CatFormat, n + 1);
  for (uint32_t i = 0; fmt && i < n; i++)
    fmt[i] = (CatFormat){engine_formats[i].name, engine_formats[i].option, engine_formats[i].doc};
  *out = (Catalog){
      .estimator = est, .metric = met, .format = fmt, .columns = no_data ? NULL : columns, .ctx = remote};
  return est && met && fmt ? ST_OK : err_memory(e);
}

const Estimator *catalog_estimator(const Registry *r, const char *name) {
  for (uint32_t i = 0; r->estimator[i]; i++)
    if (!strcmp(r->estimator[i]->name, name))
      return r->estimator[i];
  return NULL;
}

const Metric *catalog_metric(const Registry *r, const char *name, ModelTask task) {
  const Metric *m = NULL;
  for (uint32_t i = 0; r->metric[i] && !(m && m->tasks & TASK_BIT(task)); i++)
    if (!strcmp(r->metric[i]->name, name))
      m = r->metric[i];
  return m;
}
