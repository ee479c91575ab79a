/* SPDX-License-Identifier: Apache-2.0 */
/* What the metrics share. A metric is a pass over (score, target, weight, slice) and a last step on its
 * merged partial:
 *
 *   metric.sums   sums per slice (sums.c): all but auc. One scan
 *   metric.ranks  sorted distinct scores with the weight of each class (auc.c)
 *   metric.bins   a histogram of scores, to cut them into ranges (auc.c)
 *
 * Slices. A partial holds a Map from the canonical bytes of the slice value to the state of that slice;
 * without `by` there is one, under the empty key. Keys: nothing for null; 'b' and a byte; 'i' and 8 bytes
 * big-endian with the sign flipped; 's' and the text. So memcmp orders them as their values. */
#ifndef STDLIB_METRIC_METRIC_H
#define STDLIB_METRIC_METRIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "vm/estimator.h"

typedef enum { /* what metric.sums adds up in Slice.v */
  SUM_LOG_LOSS,  /* v[0]: w times minus the logarithm of the probability given to the true class */
  SUM_BRIER,     /* v[0]: w (p - y)^2 */
  SUM_CELLS,     /* v: weight of tn, fp, fn, tp */
  SUM_SQUARED,   /* v[0]: w (y - f)^2 */
  SUM_ABSOLUTE,  /* v[0]: w |y - f| */
  SUM_R2,        /* v[0]: w (y - f)^2; v[1]: weighted mean of y; v[2]: sum of w (y - mean)^2 */
  SUM_KINDS
} SumKind;

typedef struct Twofold { /* an unevaluated sum: what is added is not rounded away until 2^-100 */
  double hi, lo;
} Twofold;

/* D. Knuth, "The Art of Computer Programming" 2, 4.2.2: the exact error of a sum */
static inline void twofold_add(Twofold *s, double x) {
  double t = s->hi + x, z = t - s->hi;
  s->lo += (s->hi - (t - z)) + (x - z);
  s->hi = t;
}
static inline void twofold_join(Twofold *s, const Twofold *r) {
  twofold_add(s, r->hi);
  s->lo += r->lo;
}
static inline double twofold(const Twofold *s) {
  return s->hi + s->lo;
}

typedef struct MetricPar { /* of all metric passes */
  uint8_t kind;           /* SumKind */
  bool binary;
  double threshold;
  uint32_t score, target; /* outputs of the row program */
  int32_t slice;          /* or -1 */
  uint32_t low, high;     /* metric.ranks: only scores in these bins, ends included */
} MetricPar;

typedef struct MetricRows { /* a panel's rows, checked; n each */
  bool weighted, bad;     /* bad: some row has a data error; nothing is to be added */
  double *w, *score, *y;
  uint32_t *slot;         /* entry of the Map */
} MetricRows;

/* ---- input.c ---- */
void metric_par_put(const MetricPar *p, Buf *out);
void *metric_par_open(Bytes par, Err *e);
void metric_par_close(void *par);
/* Reads a panel; adds the slices it meets to `slices`, whose new entries get `size` zeroed bytes as val. */
Status metric_rows(const MetricPar *p, const Panel *panel, Map *slices, size_t size, MetricRows *out, Ctx *ctx);
void *metric_slot(Map *slices, const void *key, size_t n, size_t size, Err *e); /* finds or adds */
void metric_slots_free(Map *slices);                                            /* with their vals */
/* The slice of everything exists without rows, too. */
bool metric_slots_need_one(Map *slices, const MetricPar *p, size_t size, Err *e);

/* ---- values.c ---- */
/* v[i] for entry i; only slice is set. */
Status metric_values(const Map *slices, bool sliced, MetricValue **v, uint32_t *n, Err *e);
void metric_values_sort(MetricValue *v, uint32_t n, const Map *slices); /* before: v[i] belongs to entry i */

const char *metric_why_empty(const MetricValue *v); /* why nothing is defined; NULL: there is weight */

/* ---- sums.c ---- */
typedef struct Slice {
  uint64_t rows;
  Twofold w;
  Twofold v[4];
} Slice;
extern const Pass metric_sums;
Status sums_begin(const Metric *m, const MetricInfo *i, SumKind kind, Iter **out, Err *e);
typedef void (*SliceValue)(const Slice *s, MetricValue *v); /* sets defined, and value and cell, or why */
Status sums_finish(Iter *it, SliceValue value, MetricValue **v, uint32_t *n, Err *e);

/* ---- auc.c ---- */
extern const Pass metric_ranks;
extern const Pass metric_bins;
/* `most`: scores held at once (about); more rows go through several scans, to the same bits. */
Status auc_begin(const MetricInfo *i, uint64_t most, Iter **out, Err *e);

extern const Metric metric_auc, metric_log_loss, metric_brier, metric_accuracy, metric_precision, metric_recall, metric_f1,
    metric_confusion, metric_rmse, metric_mae, metric_r2;

#endif
