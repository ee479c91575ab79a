/* SPDX-License-Identifier: Apache-2.0 */
/* The order statistics that ungrouped medians and quantiles of a stage need, over as many rounds as it
 * takes. */
#ifndef VM_AGG_ORDER_H
#define VM_AGG_ORDER_H

#include "vm/agg/parts.h"

typedef enum Asked { ASK_NOTHING, ASK_COLLECT, ASK_HISTOGRAM, ASK_SAMPLE, ASK_N } Asked;

typedef struct Rank { /* the value with number k among the sorted ones, counted from 0 */
  uint64_t k;
  Asked next;      /* what would bring it nearer */
  Asked asked;     /* of the round under way, and which entry of it */
  uint32_t entry;
  KeyRange range;  /* where its key most probably is, until that fails; */
  uint64_t before; /* from then on: values below those with the prefix, */
  uint64_t prefix; /* its key's upper 16 * depth bits */
  uint32_t depth;
  bool done;
  uint64_t key;
} Rank;

typedef struct OrderCol { /* one argument with one `where`: its quantiles share everything */
  AggSrc src;
  double *q; /* wanted */
  uint32_t nq, capq;
  uint64_t n; /* values; known after the first round */
  Asked first; /* in the first round: a sample or a histogram, and which entry */
  uint32_t entry;
  Rank *rank; /* ascending by k */
  uint32_t nrank, cap;
} OrderCol;

typedef struct Orders {
  OrderCol *col;
  uint32_t n, cap;
  bool counted;
  Buf par[ASK_N]; /* of the last round, by what was asked; empty: not asked for */
} Orders;

void orders_free(Orders *o);
/* The number of a column, added where new; -1 and an error when memory is used up. */
int64_t orders_col(Orders *o, const AggSrc *s, Err *e);
Status orders_want(Orders *o, uint32_t col, double q, Err *e);          /* before the first round */
/* jobs of the next round; none: all ranks are known */
Status orders_ask(Orders *o, Jobs *jobs, Err *e);
Status orders_take(Orders *o, const Buf *out, uint32_t nout, Err *e);   /* their results */
double orders_value(const Orders *o, uint32_t col, double q);           /* the quantile; of n > 0 values */

/* A job with a copy of these parameters. */
Status add_job(Jobs *jobs, const Pass *pass, const Buf *par, Err *e);

#endif
