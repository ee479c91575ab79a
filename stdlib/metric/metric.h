/* SPDX-License-Identifier: Apache-2.0 */
/* What the metrics share. A metric is a pass over (score, target, weight, slice) and a last step on its
 * merged partial:
 *
 *   metric.sums   sums per slice (sums.c; what a row adds: terms.c). One scan
 *   metric.ranks  sorted distinct scores with the weight of each class (ranks.c); curve.c goes over them
 *   metric.bins   a histogram of scores, to cut them into ranges (ranks.c)
 *
 * Slices. A partial holds a Map from the canonical bytes of the slice value to the state of that slice;
 * without `by` there is one, under the empty key. Keys: nothing for null; 'b' and a byte; 'i' and 8 bytes
 * big-endian with the sign flipped; 's' and the text. So memcmp orders them as their values.
 *
 * Groups. For the interval of a difference (vs.c) rows are cut into groups by a hash of their position; a
 * group is like a slice, number g under the key 'g' and 4 bytes. What is finished then is the whole, and
 * the whole without each of the groups. */
#ifndef STDLIB_METRIC_METRIC_H
#define STDLIB_METRIC_METRIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "vm/estimator.h"

typedef enum { /* what metric.sums adds up in Slice.v: terms.c */
  SUM_LOG_LOSS,  /* v[0]: w times minus the logarithm of the probability given to the true class */
  SUM_BRIER,     /* v[0]: w (p - y)^2 */
  SUM_CELLS,     /* v: weight of tn, fp, fn, tp */
  SUM_BINS,      /* of each of `size` ranges of p: w, w y, w p */
  SUM_SQUARED,   /* v[0]: w (y - f)^2 */
  SUM_ABSOLUTE,  /* v[0]: w |y - f| */
  SUM_R2,        /* v[0]: w (y - f)^2; v[1]: weighted mean of y; v[2]: sum of w (y - mean)^2 */
  SUM_EXPLAINED, /* v[0], v[1]: as v[1], v[2] of R2 for y - f; v[2], v[3]: for y */
  SUM_SHARE,     /* v[0]: w |y - f| / |y| */
  SUM_BIAS,      /* v[0]: w (f - y) */
  SUM_PINBALL,   /* v[0]: w (q (y - f) or (1 - q) (f - y)), q: `number` */
  SUM_LOG_ERROR, /* v[0]: w (log1p y - log1p f)^2; v[1]: weight of rows where one is -1 or less */
  SUM_GREATEST,  /* v[0]: the greatest |y - f| */
  SUM_CLASSES,   /* several classes: see multiclass.c */
  SUM_TABLE,     /* v: weight by true class (K + 1 of them) and predicted class (K) */
  SUM_TOP,       /* v[0]: weight of rows whose class is among the `size` most probable */
  SUM_KINDS
} SumKind;

typedef enum { /* what metric.ranks ranks */
  RANK_SCORE, /* scores, by class */
  RANK_ERROR, /* |y - f|; all weight is `pos` */
  RANK_KINDS
} RankKind;

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
  uint8_t kind;           /* SumKind or RankKind */
  bool binary;
  double number;          /* threshold, or q */
  uint32_t size;          /* SUM_BINS: ranges; SUM_TOP: classes */
  uint32_t classes;       /* K probabilities a row, and y is a number from -1 to K - 1; or 0 */
  bool against_rest;      /* score and y are made of this class against the others */
  uint32_t class;
  uint32_t score, target; /* outputs of the row program */
  int32_t slice;          /* or -1 */
  uint32_t groups;        /* or 0; then there is no slice */
  uint32_t low, high;     /* metric.ranks: only scores in these bins, ends included */
} MetricPar;

enum { METRIC_SIZE_MAX = 1000 };

typedef struct MetricRows { /* a panel's rows, checked; n each */
  bool weighted, bad;     /* bad: some row has a data error; nothing is to be added */
  double *w, *score, *y;
  const double *prob;     /* of several classes: row r at r * step */
  size_t step;
  uint32_t *slot;         /* entry of the Map */
} MetricRows;

/* ---- input.c ---- */
MetricPar metric_par(const Metric *m, const MetricInfo *i, uint8_t kind); /* the rest is 0 */
void metric_par_put(const MetricPar *p, Buf *out);
void *metric_par_open(Bytes par, Err *e);
void metric_par_close(void *par);
/* Reads a panel; adds the slices it meets to `slices`, whose new entries get `size` zeroed bytes as val. */
Status metric_rows(const MetricPar *p, const Panel *panel, Map *slices, size_t size, MetricRows *out,
                   Ctx *ctx);
/* Numbers the slices or groups of a panel's rows, as metric_rows does. */
Status metric_slices(const MetricPar *p, const Panel *panel, Map *slices, size_t size, uint32_t *slot,
                     Ctx *ctx);
void *metric_slot(Map *slices, const void *key, size_t n, size_t size, Err *e); /* finds or adds */
void metric_slots_free(Map *slices);                                            /* with their vals */
/* The slice of everything, and groups, exist without rows, too. */
bool metric_slots_need(Map *slices, const MetricPar *p, size_t size, Err *e);

/* ---- values.c ---- */
/* v[i] for entry i; only slice is set. */
Status metric_values(const Map *slices, const MetricPar *p, MetricValue **v, uint32_t *n, Err *e);
void metric_values_sort(MetricValue *v, uint32_t n, const Map *slices); /* before: v[i] belongs to entry i */

const char *metric_why_empty(const MetricValue *v); /* why nothing is defined; NULL: there is weight */

/* ---- sums.c, terms.c ---- */
typedef struct Slice {
  uint64_t rows;
  Twofold w;
  Twofold v[]; /* sums_width of them */
} Slice;
extern const Pass metric_sums;
uint32_t sums_width(const MetricPar *p);
/* What a row adds: x[r], to v[at[r]]; other things in terms_add. Arrays of n. */
Status terms_of(const MetricPar *p, const MetricRows *rows, uint32_t n, double *x, uint32_t *at, Ctx *ctx);
void terms_add(const MetricPar *p, const MetricRows *rows, uint32_t r, const double *x, const uint32_t *at,
               Slice *s);
void terms_join(const MetricPar *p, Slice *to, const Slice *from);
/* The entries of a saved partial become `out`; with groups: 0 is the whole, 1 + g that without group g. */
Map *sums_load_all(const MetricPar *p, Bytes in, Err *e);
void sums_free(const void *par, void *slices);

typedef struct SumsIter {
  Iter it; /* first */
  MetricPar par;
  bool asked;
  Map *result;
} SumsIter;
Status sums_begin(const MetricPar *p, Iter **out, Err *e);
/* Sets value (or cells) and defined, or why. */
typedef void (*SliceValue)(const MetricPar *p, const Slice *s, MetricValue *v);
Status sums_finish(Iter *it, SliceValue value, MetricValue **v, uint32_t *n, Err *e);
static inline double slice_sum(const Slice *s, uint32_t i) {
  return twofold(&s->v[i]);
}

/* ---- ranks.c ---- */
enum { RANK_BINS = 65536 };

typedef struct Ranked { /* one distinct score */
  uint64_t key;       /* orders as the score does */
  double pos, neg;    /* weight of each class; exact counts without weights */
} Ranked;

typedef struct RankList { /* of one slice; keys rise strictly */
  Ranked *v;
  uint64_t n;
} RankList;

typedef struct Ranks { /* partial of metric.ranks */
  Map slices;          /* val: RankList */
  bool weighted;
} Ranks;

extern const Pass metric_ranks;
extern const Pass metric_bins;
double rank_score(uint64_t key); /* the score of a key */
Ranks *ranks_load(const void *par, Bytes in, Err *e);
void ranks_free(const void *par, void *partial);
uint64_t *bins_load(const void *par, Bytes in, Err *e);
Status ranks_merge_into(RankList *l, const Ranked *v, uint64_t n, Err *e); /* l becomes the merge of both */

/* ---- curve.c: what goes over the distinct scores downwards ---- */
typedef enum { CURVE_AUC, CURVE_PRECISION, CURVE_KS, CURVE_TOP, CURVE_BEST, CURVE_MEDIAN } CurveKind;

typedef struct CurvePar {
  CurveKind kind;
  double top;                       /* CURVE_TOP: the share looked at */
  int what;                         /* CURVE_BEST: index of what is best (threshold.c) */
  double false_positive, false_negative; /* CURVE_BEST: costs */
  bool against_rest;                /* of several classes */
  uint32_t class;
} CurvePar;

typedef struct Sweep { /* of one slice, while scores go by downwards */
  uint64_t rows;
  double w, pos, neg;         /* weights of all, known from the start */
  bool weighted;
  Twofold tp, fp, sum;        /* seen so far; sum: by kind */
  unsigned __int128 twice;    /* auc without weights: twice the numerator; 2 P N < 2^127 */
  double best, at, low;
  bool any, any_low;
} Sweep;

/* `most`: scores held at once (about); more rows go through several scans, to the same bits. */
Status curve_begin(const Metric *m, const MetricInfo *i, const CurvePar *c, uint64_t most, Iter **out,
                   Err *e);
typedef void (*SweepValue)(const CurvePar *c, const Sweep *s, MetricValue *v);
Status curve_finish(Iter *it, SweepValue value, MetricValue **v, uint32_t *n, Err *e);
Status auc_begin(const MetricInfo *i, uint64_t most, Iter **out, Err *e);
double best_objective(const CurvePar *c, const Sweep *s); /* threshold.c; NaN: undefined */
enum {
#ifdef CML_HOSTILE
  CURVE_HELD = 50, CURVE_LEAST = 50,
#else
  CURVE_HELD = 4000000, CURVE_LEAST = 200000,
#endif
  CURVE_BYTES = 72, /* of a score that is held: in a list, in one that it is merged into, saved */
};

/* Scores that a metric may hold at once: in an eighth of the memory. */
static inline uint64_t curve_held(const MetricInfo *i) {
  uint64_t n = i->memory ? i->memory / 8 / CURVE_BYTES : CURVE_HELD;
  return n > CURVE_HELD ? CURVE_HELD : n < CURVE_LEAST ? CURVE_LEAST : n;
}

/* ---- The metrics ---- */
extern const Metric metric_auc, metric_pr_auc, metric_ks, metric_lift, metric_gain, metric_best_threshold;
extern const Metric metric_log_loss, metric_brier, metric_accuracy, metric_precision, metric_recall,
    metric_f1, metric_specificity, metric_npv, metric_balanced_accuracy, metric_mcc, metric_confusion,
    metric_ece, metric_mce;
extern const Metric multiclass_accuracy, multiclass_log_loss, multiclass_brier, multiclass_balanced_accuracy,
    multiclass_mcc, multiclass_precision, multiclass_recall, multiclass_f1, multiclass_top_k,
    multiclass_per_class, multiclass_confusion, multiclass_auc;
extern const Metric metric_rmse, metric_mae, metric_r2, metric_mape, metric_explained_variance,
    metric_quantile_loss, metric_median_absolute_error, metric_max_error, metric_msle, metric_rmsle,
    metric_bias;

#endif
