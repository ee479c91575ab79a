/* SPDX-License-Identifier: Apache-2.0 */
/* The order statistics that ungrouped medians and quantiles of a stage need, over as many rounds as it
 * takes. */
#ifndef VM_AGG_ORDER_H
#define VM_AGG_ORDER_H

#include "vm/agg/parts.h"

typedef struct Rank { /* the value with number k among the sorted ones, counted from 0 */
  uint64_t k;
  uint64_t before; /* values below those with the prefix */
  uint64_t prefix; /* its key's upper 16 * depth bits */
  uint32_t depth;
  bool deep;       /* too many distinct values under the prefix: needs a histogram */
  bool done;
  uint8_t asked;   /* of the round under way: 0 nothing, 1 collect, 2 histogram; and which entry of it */
  uint32_t entry;
  uint64_t key;
} Rank;

typedef struct OrderCol { /* one argument with one `where`: its quantiles share everything */
  AggSrc src;
  uint64_t n; /* values; known after the first round */
  Rank *rank; /* ascending by k */
  uint32_t nrank, cap;
} OrderCol;

typedef struct Orders {
  OrderCol *col;
  uint32_t n, cap;
  Buf par[2]; /* of the last round: collect, histogram; empty: not asked for */
} Orders;

void orders_free(Orders *o);
/* The number of a column, added where new; -1 and an error when memory is used up. */
int64_t orders_col(Orders *o, const AggSrc *s, Err *e);
/* Parameters of the first histogram: entry i is column i. */
void orders_first(const Orders *o, Buf *par);
Status orders_count(Orders *o, const Hist *h, Err *e);                  /* sets n of each column */
Status orders_want(Orders *o, uint32_t col, double q, Err *e);          /* after orders_count; n > 0 */
/* the wanted ranks, by the first histogram */
Status orders_place(Orders *o, const Hist *h, Err *e);
/* jobs of the next round; none: all ranks are known */
Status orders_ask(Orders *o, Jobs *jobs, Err *e);
Status orders_take(Orders *o, const Buf *out, uint32_t nout, Err *e);   /* their results */
double orders_value(const Orders *o, uint32_t col, double q);           /* the quantile */

/* A job with a copy of these parameters. */
Status add_job(Jobs *jobs, const Pass *pass, const Buf *par, Err *e);

#endif
