/* SPDX-License-Identifier: Apache-2.0 */
/* Metric values: made from slices, put into order, freed. */
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "stdlib/metric/metric.h"

void metric_values_free(MetricValue *v, uint32_t n) {
  for (uint32_t i = 0; v && i < n; i++)
    mem_free(v[i].slice), mem_free(v[i].table);
  mem_free(v);
}

/* The slice's value as text; see metric.h for keys. */
static char *slice_text(const MapEntry *k) {
  char number[NUM_MAX];
  if (k->n == 0)
    return mem_strdup("null");
  if (k->key[0] == 's')
    return mem_strdup(k->key + 1); /* a NUL stands behind the key */
  if (k->key[0] == 'b')
    return mem_strdup(k->key[1] ? "true" : "false");
  uint64_t u = 0;
  for (int i = 1; i <= 8; i++)
    u = u << 8 | (uint8_t)k->key[i];
  num_print_i64(number, (int64_t)(u ^ UINT64_C(1) << 63));
  return mem_strdup(number);
}

Status metric_values(const Map *slices, const MetricPar *p, MetricValue **v, uint32_t *n, Err *e) {
  MetricValue *out = mem_alloc(((size_t)slices->n + 1) * sizeof *out);
  if (!out)
    return err_memory(e);
  for (uint32_t i = 0; i < slices->n && p->slice >= 0; i++) {
    out[i].slice = slice_text(&slices->entry[i]);
    if (!out[i].slice) {
      metric_values_free(out, i);
      return err_memory(e);
    }
  }
  *v = out;
  *n = slices->n;
  return ST_OK;
}

const char *metric_why_empty(const MetricValue *v) {
  return v->rows == 0 ? "there are no rows" : v->weight > 0 ? NULL : "the weight of all rows is 0";
}

typedef struct ValueAt {
  MetricValue v;
  const MapEntry *key;
} ValueAt;

static int by_rows(const void *a, const void *b) {
  const ValueAt *l = a, *r = b;
  if (l->v.rows != r->v.rows)
    return l->v.rows > r->v.rows ? -1 : 1;
  uint32_t n = l->key->n < r->key->n ? l->key->n : r->key->n;
  int c = n ? memcmp(l->key->key, r->key->key, n) : 0;
  return c ? c : (l->key->n > r->key->n) - (l->key->n < r->key->n);
}

/* Rows descending, then by value. Keys differ, so the order is total and qsort's instability does not
 * show. */
void metric_values_sort(MetricValue *v, uint32_t n, const Map *slices) {
  ValueAt *t = n > 1 ? mem_alloc(n * sizeof *t) : NULL;
  if (!t) { /* one value, or no memory: a slower way that needs none */
    for (uint32_t i = 1; i < n; i++)
      for (uint32_t k = i; k > 0; k--) {
        bool same = v[k].rows == v[k - 1].rows && v[k].slice && v[k - 1].slice;
        if (v[k].rows <= v[k - 1].rows && !(same && strcmp(v[k].slice, v[k - 1].slice) < 0))
          break;
        MetricValue swap = v[k];
        v[k] = v[k - 1];
        v[k - 1] = swap;
      }
    return;
  }
  for (uint32_t i = 0; i < n; i++)
    t[i] = (ValueAt){v[i], &slices->entry[i]};
  qsort(t, n, sizeof *t, by_rows);
  for (uint32_t i = 0; i < n; i++)
    v[i] = t[i].v;
  mem_free(t);
}
