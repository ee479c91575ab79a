/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the aggregates share: sources of rows, states, partials of their passes, and how
 * results become fitted values. */
#ifndef VM_AGG_PARTS_H
#define VM_AGG_PARTS_H

#include "base/arena.h"
#include "vm/agg.h"

typedef enum AggFn {
  FN_COUNT,
  FN_DISTINCT,
  FN_SUM_I64,
  FN_SUM,
  FN_MEAN,
  FN_VARIANCE,
  FN_STDDEV,
  FN_MIN_I64,
  FN_MAX_I64,
  FN_MIN,
  FN_MAX,
  FN_MIN_STR,
  FN_MAX_STR,
  FN_MEDIAN,
  FN_QUANTILE,
  FN_QUANTILES,
  FN_MODE,
  FN_CATEGORIES,
  FN_COVARIANCE,
  FN_COMPONENTS,
  FN_WHITENING,
  FN_GRID,
  FN_BOX_COX,
  FN_YEO_JOHNSON,
  FN_VOCABULARY,
  FN_NONZEROS,
  FN_N,
} AggFn;

enum {
  FOLDS_MOST = 256,
  KEY_PARTS = 16,                /* parts of a key at most */
  WORDS_MOST = 6,                /* of a state */
};
#define LEVELS_MOST UINT32_C(10000000)        /* levels of a vocabulary, keys of a table */
#define LEVEL_BYTES_MOST (UINT64_C(1) << 30)  /* their bytes together */
#define COLLECT_MOST (UINT64_C(1) << 25)      /* values that grouped medians and quantiles hold at once */

/* ---- row.c: which rows of a panel an aggregate sees, and their values ---- */

typedef struct AggSrc {   /* output numbers of the row program, -1: none */
  int32_t arg, where, weight;
  int32_t leave_out;      /* fold that is not seen, or -1 */
  uint32_t line, col;     /* in the program, for data errors */
} AggSrc;

typedef struct Sel {      /* rows row[0..n), or 0..n-1 where row is NULL */
  uint32_t n;
  const uint32_t *row;
} Sel;

void src_put(Buf *b, const AggSrc *s);
void src_get(Rd *r, AggSrc *s);
/* Parameters that are a u32 count n and, from byte `head` on, n items of `size` bytes. Written as u64 n,
 * then items of at least `least` bytes, each taken by `get` (false: not valid). mem_free closes them. */
void *par_items(Bytes in, size_t head, size_t size, uint32_t least, bool (*get)(Rd *, void *), Err *e);
Status par_bad(Err *e);   /* parameters that no driver of ours wrote */

/* Rows where `where` holds, the fold is seen, argument and weight are there. A negative or infinite
 * weight, or NaN, is a data error. */
Status agg_select(const Panel *p, const AggSrc *s, Ctx *c, Sel *out);
/* Their values side by side; NULL and an error when memory is used up or the column has another type. */
const double *agg_f64s(const Panel *p, int32_t out, const Sel *s, Ctx *c);
const int64_t *agg_i64s(const Panel *p, int32_t out, const Sel *s, Ctx *c);
const Col *agg_col(const Panel *p, int32_t out, int type, Ctx *c); /* type -1: any */

/* Order of doubles as integers: -inf .. -0 = 0 .. inf, NaN (one for all) last. */
static inline uint64_t f64_key(double v) {
  union {
    double f;
    uint64_t u;
  } x = {v + 0.0}; /* -0 becomes 0 */
  if (v != v)
    return UINT64_C(0xfff8000000000000);
  return x.u >> 63 ? ~x.u : x.u | UINT64_C(1) << 63;
}

static inline double f64_of_key(uint64_t k) {
  union {
    uint64_t u;
    double f;
  } x = {k >> 63 ? k ^ UINT64_C(1) << 63 : ~k};
  return x.f;
}

/* For each row the number of its key in `keys`, UINT32_MAX where a part is null; keys that are new are
 * added. */
Status agg_group(const Panel *p, const int32_t *key, uint32_t nkey, Map *keys, uint64_t *bytes, Ctx *c,
                 const uint32_t **out);
typedef struct LevelMemo { /* numbers of a dictionary's strings, from panel to panel of a block */
  Dict *dict;     /* held, so that no other one can come to lie where it does; or NULL */
  uint32_t *seen; /* number + 1, by code */
  uint32_t cap;
} LevelMemo;
void level_memo_free(LevelMemo *m);
/* For each selected row the number of its string, added where new. */
Status agg_levels(const Panel *p, int32_t arg, const Sel *s, Map *levels, uint64_t *bytes, LevelMemo *known,
                  Ctx *c, const uint32_t **out);
Status agg_too_many(Err *e);

/* ---- state.c: states that merge; scalars and tables use the same ---- */

typedef union Word {
  uint64_t u;
  int64_t i;
  double f;
} Word;

typedef enum StateKind {
  STATE_COUNT,
  STATE_ISUM,
  STATE_SUM,
  STATE_WSUM,
  STATE_VAR,
  STATE_WVAR,
  STATE_IMIN,
  STATE_IMAX,
  STATE_FMIN,
  STATE_FMAX,
  STATE_N,
} StateKind;
/* Word 0 counts rows. A state of zeros is the empty one.
 *   ISUM  1, 2: the sum, 128 bits          SUM   1, 2: the sum, high and low       WSUM  3, 4: sum of
 *   weights, high and low
 *   VAR   1: mean, 2: squares around it    WVAR  3: sum of weights, 4: of squared weights     others 1:
 *   the value */
StateKind state_kind(AggFn fn, bool weighted);
uint32_t state_words(StateKind k);
void state_add(StateKind k, Word *s, const Col *arg, uint32_t row, double w); /* one row */
void state_merge(StateKind k, Word *l, const Word *r);

typedef struct Value {
  bool none;     /* nothing to aggregate */
  bool overflow; /* sum.i64 */
  int64_t i;
  double f;
} Value;
Value state_value(AggFn fn, StateKind k, const Word *s);

/* Sums that keep their rounding errors; the sum is hi + lo. Knuth's TwoSum; Ogita, Rump, Oishi, "Accurate
 * sum and dot product", 2005. */
static inline void sum_add(double *hi, double *lo, double x) {
  double s = *hi + x, b = s - *hi;
  *lo += (*hi - (s - b)) + (x - b);
  *hi = s;
}

/* ---- The passes ---- */

extern const Pass pass_scalar, pass_vocab, pass_table, pass_histogram, pass_collect, pass_collect_by;

/* scalar.c: u64 count, then of each: u8 kind, source. */
typedef struct Scalar Scalar; /* partial of pass_scalar */
void scalar_state(const void *par, const Scalar *p, uint32_t i, Word out[WORDS_MOST]);

/* vocab.c: u64 count, then of each: u8 AggFn, source */
typedef struct Level { /* one string of a vocabulary and how often it came */
  const char *s;
  uint32_t n;
  uint64_t count;
} Level;
typedef struct VocabItem {
  Map levels;
  uint64_t bytes;    /* of all levels */
  uint64_t *count;
  uint32_t cap;
  char *best;        /* min.str, max.str; NULL: none yet */
  uint32_t nbest;
  LevelMemo memo;
} VocabItem;
typedef struct Vocab { /* partial of pass_vocab */
  uint32_t n;
  VocabItem *item;
} Vocab;
Status levels_fitted(Level *level, uint32_t n, Fitted *out, Err *e); /* sorts them */
Status vocab_fitted(AggFn fn, const IrAgg *a, const VocabItem *v, Fitted *out, bool *none, Err *e);

/* text.c */
extern const Pass pass_terms, pass_nonzeros;
typedef struct TermUse {
  uint64_t count, rows; /* how often it comes; rows that have it */
  uint64_t last;        /* the row it came in last, from 1: not in a saved partial */
} TermUse;
typedef struct TermItem {
  Map terms;
  uint64_t bytes, rows; /* of all terms; rows seen */
  TermUse *use;
  uint32_t cap;
} TermItem;
typedef struct Terms { /* partial of pass_terms */
  uint32_t n;
  TermItem *item;
} Terms;
typedef struct NonzeroItem {
  uint32_t width;
  uint64_t *count; /* NULL: no panel came yet */
} NonzeroItem;
typedef struct Nonzeros { /* partial of pass_nonzeros */
  uint32_t n;
  NonzeroItem *item;
} Nonzeros;
Status terms_fitted(const TermItem *t, const IrAgg *a, Fitted *f, Err *e);
Status nonzeros_fitted(const NonzeroItem *z, Fitted *f, bool *none, Err *e);
typedef struct Sees { /* which folds a table is made of */
  int32_t leave_out; /* of an IrAgg */
  bool forward;      /* of its rows stage */
} Sees;

/* table.c: u32 folds, u64 keys, i32 each, u64 count, then of each: u8 kind, source */
typedef struct Group { /* partial of pass_table */
  Map keys;
  uint64_t bytes;
  Word *state;       /* (key * folds + fold) * stride words; word 0 counts rows */
  uint64_t cap;      /* words */
} Group;
typedef struct Order { /* keys in the order of a table */
  const char *key;
  uint32_t n, number;
} Order;
Order *keys_sorted(const Map *m, Err *e); /* mem_alloc'ed */
Table *table_new(const Order *o, uint32_t n, uint32_t nkey, IrType type, uint32_t nvariant, Err *e);
/* False: out of range (sum.i64), or no memory: e tells. */
Status table_fitted(const void *par, const Group *g, uint32_t item, AggFn fn, uint32_t nkey,
                    uint32_t nvariant, Sees sees, Fitted *out, bool *overflow, Err *e);
/* How many keys differ in the part behind the first nkey: a number, or with nkey > 0 a table by those. */
Status distinct_fitted(const void *par, const Group *g, uint32_t item, uint32_t nkey, uint32_t nvariant,
                       Sees sees, Fitted *out, Err *e);
/* Variant 0 sees all folds, variant 1 + f all but f; where folds are consecutive in time, those before f. */
static inline bool variant_sees(uint32_t variant, Sees s, uint32_t fold) {
  if (s.forward)
    return (variant == 0 || fold + 1 < variant) && (s.leave_out < 0 || fold < (uint32_t)s.leave_out);
  return variant != fold + 1 && s.leave_out != (int32_t)fold;
}

/* vector.c: u64 count, then of each: u8 kind, source. A state for each element; elements are known with
 * the first row. */
extern const Pass pass_vector, pass_covariance;
typedef struct VectorItem {
  uint32_t width;
  uint64_t rows;
  Word *state;       /* width x state_words */
} VectorItem;
typedef struct Vectors { /* partial of pass_vector */
  uint32_t n;
  VectorItem *item;
} Vectors;
Status vector_fitted(AggFn fn, StateKind k, const VectorItem *v, Fitted *out, bool *none, Err *e);

/* covariance.c: u64 count, then of each: source */
typedef struct Covariances Covariances; /* partial of pass_covariance */
/* FN_COVARIANCE: the matrix; FN_COMPONENTS, FN_WHITENING: its k first eigenvectors, as rows. `width`:
 * elements there are. */
Status covariance_fitted(AggFn fn, double k, const Covariances *p, uint32_t item, Fitted *out, bool *none,
                         uint32_t *width, Err *e);

/* power.c: lambdas of power transforms by maximum likelihood, a search over several rounds */
extern const Pass pass_power;
typedef struct Power { /* one lambda that is looked for */
  AggFn fn;
  AggSrc src;
  uint32_t round;
  uint64_t n;      /* values */
  double logs;     /* sum of what the likelihood adds for each value and lambda */
  double centre;   /* mean of log x; Box-Cox */
  double lo, hi;   /* where the lambda is */
  double best;
  bool constant, done;
} Power;
typedef struct Powers {
  Power *v;
  uint32_t n;
  Buf par;         /* of the round under way; empty: none */
} Powers;
Status powers_add(Powers *p, AggFn fn, const AggSrc *src, uint32_t *at, Err *e);
Status powers_ask(Powers *p, Jobs *jobs, Err *e);
Status powers_take(Powers *p, const Buf *out, uint32_t nout, Err *e);
void powers_free(Powers *p);

/* quantile.c: order statistics */
enum {
  BINS = 1 << 16,
#ifdef CML_HOSTILE
  DISTINCT_MOST = 8,       /* so that small data take all rounds */
  DEEP_MOST = 2,
  SAMPLE_MOST = 16,
#else
  DISTINCT_MOST = 1 << 21, /* distinct values that a round collects, over all columns */
  DEEP_MOST = 64,          /* histograms under a prefix in one round */
  SAMPLE_MOST = 1 << 15,   /* values of a sample */
#endif
};
typedef struct HistEntry { /* of pass_histogram: u64 count, then of each: source, u32 depth, u64 prefix */
  AggSrc src;
  uint32_t depth;  /* groups of 16 bits above, which are `prefix` */
  uint64_t prefix;
} HistEntry;
typedef struct Hist { /* partial of pass_histogram */
  uint32_t n;
  uint64_t *bin; /* n x BINS */
} Hist;
/* The keys of the selected values. */
uint64_t *agg_keys(const Panel *p, const AggSrc *s, uint32_t *n, Ctx *c);

typedef struct KeyRange { /* both ends are in it */
  uint64_t lo, hi;
} KeyRange;
typedef struct KeyItem {
  uint64_t key, count;
} KeyItem;
/* By key, then count; `spare` has room for n. */
void keys_sort(KeyItem *v, KeyItem *spare, uint32_t n);

/* bag.c: the values in some ranges. Of pass_collect: u64 count, u64 most, then of each: source, u64 count of
 * ranges, u64 lo and u64 hi of each, ascending and apart. */
typedef struct Bag { /* of one entry */
  KeyItem *item;     /* distinct keys, ascending, and how often they came */
  uint32_t n;
  uint64_t *tail;    /* keys that are not in `item` yet */
  uint32_t ntail, captail;
  bool full;         /* more than `most` distinct: given up */
  uint64_t *gap;     /* by range: values below it and above the one before */
} Bag;
typedef struct Bags { /* partial of pass_collect; one that was loaded has no tails */
  uint32_t n;
  Bag *bag;
} Bags;

const KeyRange *collect_ranges(const void *par, uint32_t entry, uint64_t *n);

/* sample.c: a sample of the values in a range, by position. Of pass_sample: u64 count, then of each: source,
 * u64 lo, u64 hi. */
extern const Pass pass_sample;
typedef struct Sample {
  uint64_t below, inside; /* values below the range, and in it */
  uint32_t level;         /* about one in 2^level is in the sample: all where it is 0 */
  uint32_t n, cap;
  KeyItem *item;          /* key, and the level up to which it stays; one that was loaded is sorted */
} Sample;
typedef struct Samples { /* partial of pass_sample */
  uint32_t n;
  Sample *v;
} Samples;

/* The two order statistics that quantile q of n > 0 values lies between, and how far (type 7: Hyndman and
 * Fan, "Sample quantiles in statistical packages", The American Statistician 50, 1996). */
uint64_t quantile_rank(double q, uint64_t n, double *part);
double quantile_between(double lo, double hi, double part);

/* agg_collect_by.c: u64 keys, i32 each, u64 count, then of each: source */
typedef struct ByValue {
  uint64_t key;    /* f64_key */
  uint32_t number; /* of the group */
  uint32_t fold;
} ByValue;
typedef struct ByItem {
  ByValue *v;
  uint64_t n, cap;
} ByItem;
typedef struct By { /* partial of pass_collect_by */
  Map keys;
  uint64_t bytes;
  uint32_t n;
  ByItem *item;
} By;
/* Sorts the item's values. */
Status by_fitted(By *b, uint32_t item, double q, uint32_t nkey, uint32_t nvariant, Sees sees, Fitted *out,
                 Err *e);

#endif
