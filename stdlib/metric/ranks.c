/* SPDX-License-Identifier: Apache-2.0 */
/* Two passes. metric.ranks: per slice the distinct scores (or errors) in rising order with the weight of
 * either class. Equal scores meet when lists are merged, in the canonical tree, so a list is no longer
 * than the number of distinct scores. metric.bins: how many rows each of 65,536 bins of the score has, for
 * cutting the scores into ranges where there are too many to be held at once. */
#include <math.h>
#include <string.h>

#include "stdlib/metric/metric.h"

enum { TYPICAL_ROWS = 8192 }; /* of a leaf */

static uint64_t key_of(double score) {
  uint64_t u;
  score += 0.0; /* -0 becomes 0 */
  memcpy(&u, &score, sizeof u);
  return u >> 63 ? ~u : u | UINT64_C(1) << 63;
}

double rank_score(uint64_t key) {
  uint64_t u = key >> 63 ? key & ~(UINT64_C(1) << 63) : ~key;
  double score;
  memcpy(&score, &u, sizeof score);
  return score;
}

/* Rises with the score: 0 for what is below 2^-63, then 1024 bins for each power of two up to 1, the last for
 * what is above. */
static uint32_t bin_of(const MetricPar *p, double score) {
  uint64_t u;
  if (p->kind == RANK_ERROR) /* 32 bins for each power of two */
    return (uint32_t)(key_of(score) >> 47 & (RANK_BINS - 1));
  if (!(score > 0x1p-63))
    return 0;
  if (score > 1)
    return RANK_BINS - 1;
  memcpy(&u, &score, sizeof u);
  u -= UINT64_C(960) << 52; /* the bits of 2^-63 */
  return (uint32_t)(u >> 42) + 1;
}

/* ---- lists ---- */

static void sort_ranks(Ranked *v, Ranked *tmp, size_t n) {
  if (n < 48) {
    for (size_t i = 1; i < n; i++) {
      Ranked x = v[i];
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
static size_t unite(Ranked *v, size_t n) {
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
Status ranks_merge_into(RankList *l, const Ranked *v, uint64_t n, Err *e) {
  if (n == 0)
    return ST_OK;
  Ranked *out = mem_alloc64((l->n + n) * sizeof *out);
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
  return TYPICAL_ROWS * sizeof(Ranked);
}

void ranks_free(const void *par, void *partial) {
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
  if (r && metric_slots_need(&r->slices, par, sizeof(RankList), e))
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
  Ranked *v = arena_alloc(ctx->scratch, 2 * (size_t)n * sizeof *v);
  uint32_t *start = arena_alloc(ctx->scratch, ((size_t)nslice + 2) * sizeof *start);
  if (!v || !start)
    return err_memory(ctx->err);
  ranks->weighted |= rows.weighted;
  for (uint32_t r = 0; r < n; r++) { /* rows grouped by slice */
    if (p->kind == RANK_ERROR) {
      rows.score[r] = fabs(rows.y[r] - rows.score[r]);
      rows.y[r] = 1;
    }
    uint32_t bin = bin_of(p, rows.score[r]);
    if (bin < p->low || bin > p->high)
      rows.slot[r] = nslice;
    start[rows.slot[r] + 1]++;
  }
  for (uint32_t s = 0; s < nslice; s++)
    start[s + 1] += start[s];
  for (uint32_t r = 0; r < n; r++) {
    if (rows.slot[r] == nslice)
      continue;
    v[start[rows.slot[r]]++] =
        (Ranked){key_of(rows.score[r]), rows.y[r] == 1 ? rows.w[r] : 0, rows.y[r] == 1 ? 0 : rows.w[r]};
  }
  for (uint32_t s = 0, from = 0; s < nslice; from = start[s++]) { /* start[s] is now the end of s */
    size_t count = start[s] - from;
    if (count == 0)
      continue;
    sort_ranks(v + from, v + n, count);
    st = ranks_merge_into(ranks->slices.entry[s].val, v + from, unite(v + from, count), ctx->err);
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
    Status st = ranks_merge_into(to, from->v, from->n, e);
    if (st)
      return st;
  }
  return ST_OK;
}

/* u8 weighted; u64 number of slices; each: key as a blob, u64 number of ranks, ranks
 * (key, pos, neg) */
static Status ranks_save(const void *par, const void *partial, Buf *out, Err *e) {
  (void)par;
  const Ranks *r = partial;
  buf_u8(out, r->weighted);
  buf_u64(out, r->slices.n);
  for (uint32_t i = 0; i < r->slices.n; i++) {
    const RankList *l = r->slices.entry[i].val;
    buf_blob(out, r->slices.entry[i].key, r->slices.entry[i].n);
    buf_u64(out, l->n);
    if (l->n)
      buf_put(out, l->v, l->n * sizeof *l->v);
  }
  return out->bad ? err_memory(e) : ST_OK;
}

Ranks *ranks_load(const void *par, Bytes in, Err *e) {
  Ranks *ranks = ranks_init(par, e);
  if (!ranks)
    return NULL;
  Rd r = rd_of(in);
  ranks->weighted = rd_u8(&r) != 0;
  uint64_t n = rd_count(&r, 16);
  for (uint64_t i = 0; i < n && !r.bad; i++) {
    Bytes key = rd_blob(&r);
    RankList *l =
        r.bad ? NULL : metric_slot(&ranks->slices, key.n ? (const void *)key.p : "", key.n, sizeof *l, e);
    if (!l) {
      if (r.bad)
        break;
      goto fail;
    }
    r.bad |= l->v != NULL; /* a slice twice */
    uint64_t count = rd_count(&r, sizeof(Ranked));
    const void *from = rd_take(&r, count * sizeof(Ranked));
    if (r.bad || count == 0)
      continue;
    l->v = mem_alloc64(count * sizeof(Ranked));
    if (!l->v) {
      err_memory(e);
      goto fail;
    }
    memcpy(l->v, from, count * sizeof(Ranked));
    l->n = count;
    for (uint64_t k = 1; k < count; k++)
      r.bad |= l->v[k - 1].key >= l->v[k].key;
  }
  r.bad |= ((const MetricPar *)par)->groups && ranks->slices.n != ((const MetricPar *)par)->groups;
  if (rd_done(&r))
    return ranks;
  err_set(e, ST_FAULT, "CML0601", NULL, "a partial result of pass metric.ranks is damaged");
fail:
  ranks_free(par, ranks);
  return NULL;
}

static void *ranks_load_any(const void *par, Bytes in, Err *e) {
  return ranks_load(par, in, e);
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
    .load = ranks_load_any,
    .free = ranks_free,
};

/* ---- metric.bins ---- */

static size_t bins_size(const void *par) {
  (void)par;
  return RANK_BINS * sizeof(uint64_t);
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
  p.groups = 0;
  Status st = metric_rows(&p, panel, &none, 1, &rows, ctx);
  metric_slots_free(&none);
  if (st || rows.bad)
    return st;
  for (uint32_t r = 0; r < panel->n; r++)
    bin[bin_of(&p, p.kind == RANK_ERROR ? fabs(rows.y[r] - rows.score[r]) : rows.score[r])]++;
  return ST_OK;
}

static Status bins_merge(const void *par, void *left, void *right, Err *e) {
  (void)par;
  (void)e;
  uint64_t *l = left;
  const uint64_t *r = right;
  for (uint32_t i = 0; i < RANK_BINS; i++)
    l[i] += r[i];
  return ST_OK;
}

static Status bins_save(const void *par, const void *partial, Buf *out, Err *e) {
  buf_put(out, partial, bins_size(par));
  return out->bad ? err_memory(e) : ST_OK;
}

uint64_t *bins_load(const void *par, Bytes in, Err *e) {
  if (in.n != bins_size(par)) {
    err_set(e, ST_FAULT, "CML0601", NULL, "a partial result of pass metric.bins is damaged");
    return NULL;
  }
  uint64_t *v = bins_init(par, e);
  if (v)
    memcpy(v, in.p, in.n);
  return v;
}

static void *bins_load_any(const void *par, Bytes in, Err *e) {
  return bins_load(par, in, e);
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
    .load = bins_load_any,
    .free = bins_free,
};

