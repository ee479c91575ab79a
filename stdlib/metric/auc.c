/* SPDX-License-Identifier: Apache-2.0 */
/* auc: the area under the receiver operating characteristic, exact. It is the share of (positive, negative)
 * pairs, weighted, in which the positive has the higher score, ties counting half: J. Hanley, B. McNeil,
 * Radiology 143 (1982).
 *
 *   auc = sum over scores s of pos(s) (neg(below s) + neg(s) / 2)  /  (all pos * all neg)
 *
 * A partial of metric.ranks holds, per slice, the distinct scores in rising order with the weight of either
 * class. Equal scores meet when lists are merged, in the canonical tree, so the list is no longer than the
 * number of distinct scores. Where more rows are expected than should be held at once, metric.bins counts
 * rows in 65,536 bins of the score first, and ranges of bins then go through a scan of their own. The sum
 * runs over scores upwards in both ways, so both give the same bits. Without weights all counts and the sum
 * itself are integers. */
#include <string.h>

#include "stdlib/metric/metric.h"

enum {
  BINS = 65536,
#ifdef CML_HOSTILE
  HELD_ROWS = 50,
#else
  HELD_ROWS = 4000000,
#endif
  TYPICAL_ROWS = 8192, /* of a leaf */
};

typedef struct Rank { /* one distinct score */
  uint64_t key;       /* orders as the score does */
  double pos, neg;    /* weight of each class; exact counts without weights */
} Rank;

typedef struct RankList { /* of one slice; keys rise strictly */
  uint64_t rows;          /* all rows of the slice in the ranges looked at */
  Twofold w;
  Rank *v;
  uint64_t n;
} RankList;

typedef struct Ranks { /* partial of metric.ranks */
  Map slices;          /* val: RankList */
  bool weighted;
} Ranks;

static uint64_t key_of(double score) {
  uint64_t u;
  score += 0.0; /* -0 becomes 0 */
  memcpy(&u, &score, sizeof u);
  return u >> 63 ? ~u : u | UINT64_C(1) << 63;
}

/* Rises with the score: 0 for what is below 2^-63, then 1024 bins for each power of two up to 1, the last for
 * what is above. */
static uint32_t bin_of(double score) {
  uint64_t u;
  if (!(score > 0x1p-63))
    return 0;
  if (score > 1)
    return BINS - 1;
  memcpy(&u, &score, sizeof u);
  u -= UINT64_C(960) << 52; /* the bits of 2^-63 */
  return (uint32_t)(u >> 42) + 1;
}

/* ---- lists ---- */

static void sort_ranks(Rank *v, Rank *tmp, size_t n) {
  if (n < 48) {
    for (size_t i = 1; i < n; i++) {
      Rank x = v[i];
      size_t k = i;
      for (; k > 0 && v[k - 1].key > x.key; k--)
        v[k] = v[k - 1];
      v[k] = x;
    }
    return;
  }
  for (int shift = 0; shift < 64; shift += 8) { /* stable, so equal scores stay in the order of their rows */
    uint32_t count[257] = {0};
    for (size_t i = 0; i < n; i++)
      count[(v[i].key >> shift & 255) + 1]++;
    if (count[(v[0].key >> shift & 255) + 1] == n)
      continue;
    for (int b = 0; b < 256; b++)
      count[b + 1] += count[b];
    for (size_t i = 0; i < n; i++)
      tmp[count[v[i].key >> shift & 255]++] = v[i];
    memcpy(v, tmp, n * sizeof *v);
  }
}

/* Equal neighbours become one; returns how many are left. */
static size_t unite(Rank *v, size_t n) {
  size_t out = 0;
  for (size_t i = 0; i < n; i++) {
    if (out > 0 && v[out - 1].key == v[i].key) {
      v[out - 1].pos += v[i].pos;
      v[out - 1].neg += v[i].neg;
    } else {
      v[out++] = v[i];
    }
  }
  return out;
}

/* l->v becomes the merge of l->v and v (n entries, kept by the caller). */
static Status merge_ranks(RankList *l, const Rank *v, uint64_t n, Err *e) {
  if (n == 0)
    return ST_OK;
  Rank *out = mem_alloc64((l->n + n) * sizeof *out);
  if (!out)
    return err_memory(e);
  uint64_t i = 0, k = 0, m = 0;
  while (i < l->n && k < n) {
    if (l->v[i].key < v[k].key) {
      out[m++] = l->v[i++];
    } else if (l->v[i].key > v[k].key) {
      out[m++] = v[k++];
    } else {
      out[m] = l->v[i++];
      out[m].pos += v[k].pos;
      out[m++].neg += v[k++].neg;
    }
  }
  while (i < l->n)
    out[m++] = l->v[i++];
  while (k < n)
    out[m++] = v[k++];
  mem_free(l->v);
  l->v = out;
  l->n = m;
  return ST_OK;
}

/* ---- metric.ranks ---- */

static size_t ranks_size(const void *par) {
  (void)par;
  return TYPICAL_ROWS * sizeof(Rank);
}

static void ranks_free(const void *par, void *partial) {
  (void)par;
  Ranks *r = partial;
  if (!r)
    return;
  for (uint32_t i = 0; i < r->slices.n; i++)
    if (r->slices.entry[i].val)
      mem_free(((RankList *)r->slices.entry[i].val)->v);
  metric_slots_free(&r->slices);
  mem_free(r);
}

static void *ranks_init(const void *par, Err *e) {
  Ranks *r = mem_alloc(sizeof *r);
  if (r && metric_slots_need_one(&r->slices, par, sizeof(RankList), e))
    return r;
  err_memory(e);
  ranks_free(par, r);
  return NULL;
}

static Status ranks_map(const void *par, const Panel *panel, void *partial, Ctx *ctx) {
  const MetricPar *p = par;
  Ranks *ranks = partial;
  MetricRows rows;
  Status st = metric_rows(p, panel, &ranks->slices, sizeof(RankList), &rows, ctx);
  if (st || rows.bad || panel->n == 0)
    return st;
  uint32_t n = panel->n, nslice = ranks->slices.n;
  Rank *v = arena_alloc(ctx->scratch, 2 * (size_t)n * sizeof *v);
  uint32_t *start = arena_alloc(ctx->scratch, ((size_t)nslice + 2) * sizeof *start);
  if (!v || !start)
    return err_memory(ctx->err);
  ranks->weighted |= rows.weighted;
  for (uint32_t r = 0; r < n; r++) { /* rows grouped by slice */
    uint32_t bin = bin_of(rows.score[r]);
    if (bin < p->low || bin > p->high)
      rows.slot[r] = nslice;
    start[rows.slot[r] + 1]++;
  }
  for (uint32_t s = 0; s < nslice; s++)
    start[s + 1] += start[s];
  for (uint32_t r = 0; r < n; r++) {
    if (rows.slot[r] == nslice)
      continue;
    RankList *l = ranks->slices.entry[rows.slot[r]].val;
    l->rows++;
    twofold_add(&l->w, rows.w[r]);
    v[start[rows.slot[r]]++] =
        (Rank){key_of(rows.score[r]), rows.y[r] == 1 ? rows.w[r] : 0, rows.y[r] == 1 ? 0 : rows.w[r]};
  }
  for (uint32_t s = 0, from = 0; s < nslice; from = start[s++]) { /* start[s] is now the end of s */
    size_t count = start[s] - from;
    if (count == 0)
      continue;
    sort_ranks(v + from, v + n, count);
    st = merge_ranks(ranks->slices.entry[s].val, v + from, unite(v + from, count), ctx->err);
    if (st)
      return st;
  }
  return ST_OK;
}

static Status ranks_merge(const void *par, void *left, void *right, Err *e) {
  (void)par;
  Ranks *l = left;
  const Ranks *r = right;
  l->weighted |= r->weighted;
  for (uint32_t i = 0; i < r->slices.n; i++) {
    const RankList *from = r->slices.entry[i].val;
    RankList *to = metric_slot(&l->slices, r->slices.entry[i].key, r->slices.entry[i].n, sizeof *to, e);
    if (!to)
      return e->code;
    to->rows += from->rows;
    twofold_join(&to->w, &from->w);
    Status st = merge_ranks(to, from->v, from->n, e);
    if (st)
      return st;
  }
  return ST_OK;
}

/* u8 weighted; u64 number of slices; each: key as a blob, u64 rows, 2 f64 weight, u64 number of ranks, ranks
 * (key, pos, neg) */
static Status ranks_save(const void *par, const void *partial, Buf *out, Err *e) {
  (void)par;
  const Ranks *r = partial;
  buf_u8(out, r->weighted);
  buf_u64(out, r->slices.n);
  for (uint32_t i = 0; i < r->slices.n; i++) {
    const RankList *l = r->slices.entry[i].val;
    buf_blob(out, r->slices.entry[i].key, r->slices.entry[i].n);
    buf_u64(out, l->rows);
    buf_f64(out, l->w.hi);
    buf_f64(out, l->w.lo);
    buf_u64(out, l->n);
    if (l->n)
      buf_put(out, l->v, l->n * sizeof *l->v);
  }
  return out->bad ? err_memory(e) : ST_OK;
}

static void *ranks_load(const void *par, Bytes in, Err *e) {
  Ranks *ranks = ranks_init(par, e);
  if (!ranks)
    return NULL;
  Rd r = rd_of(in);
  ranks->weighted = rd_u8(&r) != 0;
  uint64_t n = rd_count(&r, 40);
  for (uint64_t i = 0; i < n && !r.bad; i++) {
    Bytes key = rd_blob(&r);
    RankList *l = r.bad ? NULL : metric_slot(&ranks->slices, key.n ? (const void *)key.p : "", key.n, sizeof *l, e);
    if (!l) {
      if (r.bad)
        break;
      goto fail;
    }
    r.bad |= l->v != NULL; /* a slice twice */
    l->rows = rd_u64(&r);
    l->w.hi = rd_f64(&r);
    l->w.lo = rd_f64(&r);
    uint64_t count = rd_count(&r, sizeof(Rank));
    const void *from = rd_take(&r, count * sizeof(Rank));
    if (r.bad || count == 0)
      continue;
    l->v = mem_alloc64(count * sizeof(Rank));
    if (!l->v) {
      err_memory(e);
      goto fail;
    }
    memcpy(l->v, from, count * sizeof(Rank));
    l->n = count;
    for (uint64_t k = 1; k < count; k++)
      r.bad |= l->v[k - 1].key >= l->v[k].key;
  }
  if (rd_done(&r))
    return ranks;
  err_set(e, ST_FAULT, "CML0601", NULL, "a partial result of pass metric.ranks is damaged");
fail:
  ranks_free(par, ranks);
  return NULL;
}

const Pass metric_ranks = {
    .name = "metric.ranks",
    .kind = RED_LIST,
    .open = metric_par_open,
    .close = metric_par_close,
    .partial_size = ranks_size,
    .init = ranks_init,
    .map = ranks_map,
    .merge = ranks_merge,
    .save = ranks_save,
    .load = ranks_load,
    .free = ranks_free,
};

/* ---- metric.bins ---- */

static size_t bins_size(const void *par) {
  (void)par;
  return BINS * sizeof(uint64_t);
}

static void *bins_init(const void *par, Err *e) {
  void *v = mem_alloc(bins_size(par));
  if (!v)
    err_memory(e);
  return v;
}

static void bins_free(const void *par, void *partial) {
  (void)par;
  mem_free(partial);
}

static Status bins_map(const void *par, const Panel *panel, void *partial, Ctx *ctx) {
  MetricPar p = *(const MetricPar *)par;
  uint64_t *bin = partial;
  Map none = {0};
  MetricRows rows;
  p.slice = -1;
  Status st = metric_rows(&p, panel, &none, 1, &rows, ctx);
  metric_slots_free(&none);
  if (st || rows.bad)
    return st;
  for (uint32_t r = 0; r < panel->n; r++)
    bin[bin_of(rows.score[r])]++;
  return ST_OK;
}

static Status bins_merge(const void *par, void *left, void *right, Err *e) {
  (void)par;
  (void)e;
  uint64_t *l = left;
  const uint64_t *r = right;
  for (uint32_t i = 0; i < BINS; i++)
    l[i] += r[i];
  return ST_OK;
}

static Status bins_save(const void *par, const void *partial, Buf *out, Err *e) {
  buf_put(out, partial, bins_size(par));
  return out->bad ? err_memory(e) : ST_OK;
}

static void *bins_load(const void *par, Bytes in, Err *e) {
  if (in.n != bins_size(par)) {
    err_set(e, ST_FAULT, "CML0601", NULL, "a partial result of pass metric.bins is damaged");
    return NULL;
  }
  uint64_t *v = bins_init(par, e);
  if (v)
    memcpy(v, in.p, in.n);
  return v;
}

const Pass metric_bins = {
    .name = "metric.bins",
    .kind = RED_EXACT,
    .open = metric_par_open,
    .close = metric_par_close,
    .partial_size = bins_size,
    .init = bins_init,
    .map = bins_map,
    .merge = bins_merge,
    .save = bins_save,
    .load = bins_load,
    .free = bins_free,
};

/* ---- the Iter ---- */

typedef struct Area { /* of one slice, while scores go by upwards */
  uint64_t rows;
  Twofold w, pos, neg, sum;   /* neg: all seen so far; sum: the numerator */
  unsigned __int128 twice;    /* unweighted: twice the numerator; 2 P N < 2^127 */
} Area;

typedef struct AucIter {
  Iter it; /* first */
  MetricPar par;
  uint64_t most, rows;
  enum { ASK, WAIT_BINS, WAIT_RANKS, FINISHED } state;
  uint64_t *bin;
  Map slices;   /* val: Area */
  bool weighted;
} AucIter;

static void auc_free(Iter *it) {
  AucIter *a = (AucIter *)it;
  metric_slots_free(&a->slices);
  mem_free(a->bin);
  mem_free(a);
}

static Status ask_ranks(AucIter *a, Jobs *jobs, uint32_t low, uint32_t high, Err *e) {
  Job *job = jobs_add(jobs, &metric_ranks);
  if (!job)
    return err_memory(e);
  a->par.low = low;
  a->par.high = high;
  metric_par_put(&a->par, &job->par);
  a->state = WAIT_RANKS;
  return job->par.bad ? err_memory(e) : ST_OK;
}

/* Bins from `low` on, as many as hold about `most` rows; at the end of them, done. */
static Status ask_range(AucIter *a, Jobs *jobs, uint32_t low, Err *e) {
  while (low < BINS && a->bin[low] == 0)
    low++;
  if (low == BINS) {
    a->state = FINISHED;
    return ST_OK;
  }
  uint64_t rows = a->bin[low];
  uint32_t high = low;
  while (high + 1 < BINS && rows + a->bin[high + 1] <= a->most)
    rows += a->bin[++high];
  return ask_ranks(a, jobs, low, high, e);
}

static Status add_ranks(AucIter *a, const Ranks *r, Err *e) {
  a->weighted |= r->weighted;
  for (uint32_t i = 0; i < r->slices.n; i++) {
    const RankList *l = r->slices.entry[i].val;
    Area *s = metric_slot(&a->slices, r->slices.entry[i].key, r->slices.entry[i].n, sizeof *s, e);
    if (!s)
      return e->code;
    s->rows += l->rows;
    twofold_join(&s->w, &l->w);
    for (uint64_t k = 0; k < l->n; k++) {
      const Rank *v = &l->v[k];
      double below = twofold(&s->neg);
      twofold_add(&s->sum, v->pos * (below + 0.5 * v->neg));
      if (!r->weighted)
        s->twice += (unsigned __int128)(uint64_t)v->pos * (2 * (uint64_t)below + (uint64_t)v->neg);
      twofold_add(&s->pos, v->pos);
      twofold_add(&s->neg, v->neg);
    }
  }
  return ST_OK;
}

static Status auc_next(Iter *it, const Buf *out, uint32_t nout, Jobs *jobs, Err *e) {
  AucIter *a = (AucIter *)it;
  if (a->state == FINISHED)
    return ST_OK;
  if (a->state == ASK) {
    if (a->rows <= a->most)
      return ask_ranks(a, jobs, 0, BINS - 1, e);
    Job *job = jobs_add(jobs, &metric_bins);
    if (!job)
      return err_memory(e);
    metric_par_put(&a->par, &job->par);
    a->state = WAIT_BINS;
    return job->par.bad ? err_memory(e) : ST_OK;
  }
  if (nout != 1)
    return err_set(e, ST_FAULT, "CML0601", NULL, "auc got %u results for one job", nout);
  if (a->state == WAIT_BINS) {
    a->bin = bins_load(&a->par, buf_bytes(&out[0]), e);
    return a->bin ? ask_range(a, jobs, 0, e) : e->code;
  }
  Ranks *r = ranks_load(&a->par, buf_bytes(&out[0]), e);
  Status st = r ? add_ranks(a, r, e) : e->code;
  ranks_free(&a->par, r);
  if (st)
    return st;
  if (a->par.high < BINS - 1 && a->bin)
    return ask_range(a, jobs, a->par.high + 1, e);
  a->state = FINISHED;
  return ST_OK;
}

Status auc_begin(const MetricInfo *i, uint64_t most, Iter **out, Err *e) {
  AucIter *a = mem_alloc(sizeof *a);
  if (!a)
    return err_memory(e);
  a->it.next = auc_next;
  a->it.free = auc_free;
  a->par = (MetricPar){.binary = true, .score = i->score, .target = i->target, .slice = i->slice, .high = BINS - 1};
  a->rows = i->rows;
  a->most = most;
  if (!metric_slots_need_one(&a->slices, &a->par, sizeof(Area), e)) {
    auc_free(&a->it);
    return err_memory(e);
  }
  *out = &a->it;
  return ST_OK;
}

static Status begin(const Metric *m, const MetricInfo *i, Iter **out, Err *e) {
  (void)m;
  return auc_begin(i, HELD_ROWS, out, e);
}

static Status finish(Iter *it, MetricValue **v, uint32_t *n, Err *e) {
  AucIter *a = (AucIter *)it;
  if (a->state != FINISHED)
    return err_set(e, ST_FAULT, "CML0601", NULL, "auc was finished before its last scan");
  Status st = metric_values(&a->slices, a->par.slice >= 0, v, n, e);
  if (st)
    return st;
  for (uint32_t i = 0; i < *n; i++) {
    const Area *s = a->slices.entry[i].val;
    MetricValue *to = &(*v)[i];
    double pos = twofold(&s->pos), neg = twofold(&s->neg);
    to->rows = s->rows;
    to->weight = twofold(&s->w);
    to->defined = pos > 0 && neg > 0;
    to->why = to->defined ? NULL : to->weight > 0 ? "the rows have one class only" : metric_why_empty(to);
    if (to->defined && !a->weighted)
      to->value = (double)s->twice / (double)((unsigned __int128)2 * (uint64_t)pos * (uint64_t)neg);
    else if (to->defined)
      to->value = twofold(&s->sum) / (pos * neg);
  }
  metric_values_sort(*v, *n, &a->slices);
  return ST_OK;
}

static const Option no_options[] = {{0}};

const Metric metric_auc = {
    .name = "auc",
    .binary = true,
    .scalar = true,
    .maximize = true,
    .option = no_options,
    .doc = "Area under the ROC curve.\n"
           "It is the share of pairs of a positive and a negative row, weighted, in which the positive has the\n"
           "higher score; ties count half. Exact. 0.5 is chance, 1 is best.\n"
           "Undefined where one class is missing. scikit-learn: roc_auc_score.\n",
    .begin = begin,
    .finish = finish,
};
