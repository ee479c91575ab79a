/* SPDX-License-Identifier: Apache-2.0 */
/* The pass cluster.assign: every row to its nearest centre; per cluster rows, weight, inertia and the sum of
 * the rows; and the rows farthest from their centres, which empty clusters start anew from. Then the step
 * from the sums to the next centres (S. Lloyd, "Least squares quantization in PCM", 1957/1982; for metric =
 * cosine I. Dhillon and D. Modha, "Concept decompositions for large sparse text data using clustering",
 * 2001).
 *
 * What makes later steps cheap: of each row the nearest centre is noted beside the matrix (vm/notes.h), and
 * a bound below the distances of all others. When centres have moved, the bound falls by the farthest way of
 * any of the others; a row whose centre is still nearer than that needs no other distance (G. Hamerly,
 * "Making k-means even faster", 2010). Distances to the own centre are computed in any case, for the
 * inertia, so there is no bound above. A note says which centres it is about, by a hash, and is of no use for
 * others than those that the step before had.
 *
 * Sums are of rows moved by a place that does not change between passes: the same assignment gives the
 * same sums bit by bit, so that "no row changed its cluster" is "no centre moved". */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "stdlib/cluster/cluster.h"
#include "stdlib/flat.h"
#include "vm/notes.h"

typedef struct AssignPar {
  ClusterSpace space;
  bool sums;
  uint32_t k;
  double *shift, *c;
  NearCenters centers;
  ClusterMoved moved; /* run 0: nothing is noted */
  uint64_t places;
} AssignPar;

uint64_t cluster_places(const ClusterSpace *s, const double *c, uint32_t k) {
  double place[] = {s->scale, s->cosine, s->sparse};
  uint64_t h = hash_bytes(k, place, sizeof place);
  h = s->shift ? hash_bytes(h, s->shift, s->d * sizeof *s->shift) : h;
  h = hash_bytes(h, c, (size_t)k * s->d * sizeof *c);
  return h ? h : 1;
}

/* space; u8: 1 sums, 2 moved; u32 k; centres; moved */
void cluster_assign_par(const ClusterSpace *s, const NearRows *centers, bool sums, const ClusterMoved *moved,
                        Buf *par) {
  cluster_space_put(s, par);
  buf_u8(par, (uint8_t)(sums | (moved ? 2 : 0)));
  buf_u32(par, centers->n);
  for (uint32_t i = 0; i < centers->n; i++) {
    if (centers->a) {
      buf_put(par, centers->a + (size_t)i * s->d, s->d * sizeof(double));
      continue;
    }
    uint32_t k = centers->ptr[i];
    for (uint32_t j = 0; j < s->d; j++)
      buf_f64(par, k < centers->ptr[i + 1] && centers->col[k] == j ? centers->val[k++] : 0);
  }
  if (!moved)
    return;
  buf_u64(par, moved->run);
  buf_u64(par, moved->since);
  buf_u32(par, moved->which);
  buf_f64(par, moved->most);
  buf_f64(par, moved->other);
}

static bool moved_get(Rd *r, ClusterMoved *out) {
  *out = (ClusterMoved){.run = rd_u64(r), .since = rd_u64(r), .which = rd_u32(r)};
  out->most = rd_f64(r);
  out->other = rd_f64(r);
  return out->most >= out->other && out->other >= 0;
}

static void assign_close(void *par) {
  AssignPar *p = par;
  if (!p)
    return;
  near_free(&p->centers);
  mem_free(p);
}

static void *assign_open(Bytes bytes, Err *e) {
  Rd r = rd_of(bytes);
  ClusterSpace s;
  bool good = cluster_space_get(&r, &s);
  uint8_t flags = rd_u8(&r);
  uint32_t k = rd_u32(&r);
  size_t d = s.d, n = good && k > 0 && (d == 0 || k <= r.end - r.p) ? k * d : 0;
  const void *c = rd_take(&r, n * sizeof(double));
  ClusterMoved moved = {.run = 0};
  good = good && flags < 4 && (!(flags & 2) || moved_get(&r, &moved));
  if (!good || k == 0 || !rd_done(&r)) {
    err_set(e, ST_FAULT, "CML0601", NULL, "the parameters of pass cluster.assign are damaged");
    return NULL;
  }
  AssignPar *p = mem_alloc(sizeof *p + (n + d + 1) * sizeof(double));
  if (!p) {
    err_memory(e);
    return NULL;
  }
  *p = (AssignPar){.space = s, .sums = flags & 1, .k = k, .moved = moved};
  p->shift = (double *)(p + 1);
  p->c = p->shift + d;
  if (n)
    memcpy(p->c, c, n * sizeof(double));
  if (s.shift && d)
    memcpy(p->shift, s.shift, d * sizeof(double));
  p->space.shift = s.shift ? p->shift : NULL;
  if (near_centers(&p->centers, p->c, k, s.d, s.sparse, e)) {
    assign_close(p);
    return NULL;
  }
  p->places = moved.run ? cluster_places(&p->space, p->c, k) : 0;
  return p;
}

/* ---- what is noted of a panel's rows ---- */

typedef struct RowNotes {
  uint64_t places; /* of the centres that it is about; 0: of none */
  uint32_t *index; /* nearest centre of each row, and the bound of nearest.h below the others */
  float *lower;
} RowNotes;

/* The centres have moved, so the others may be nearer by as much; what was noted of other centres is no good.
 * False: nothing can be noted. */
static bool notes_begin(const AssignPar *p, const Panel *panel, RowNotes *n) {
  size_t rows = panel->n;
  char *v = p->moved.run ? panel_note(panel, p->moved.run, 16 + rows * (sizeof *n->index + sizeof *n->lower))
                         : NULL;
  if (!v)
    return false;
  n->index = (uint32_t *)(void *)(v + 16);
  n->lower = (float *)(n->index + rows);
  memcpy(&n->places, v, sizeof n->places);
  memcpy(v, &p->places, sizeof p->places); /* from here on true of every row, seen or not */
  if (n->places == 0 || n->places != p->moved.since) {
    for (size_t i = 0; i < rows; i++) {
      n->lower[i] = -1;
      n->index[i] = 0;
    }
    return true;
  }
  /* each rounded number is off by a part of 2^-24, and made smaller by more */
  float most = (float)(p->moved.most * (1 + 0x1p-22)), other = (float)(p->moved.other * (1 + 0x1p-22));
  for (size_t i = 0; i < rows; i++)
    n->lower[i] = (n->lower[i] - (n->index[i] == p->moved.which ? other : most)) * (1 - 0x1p-22f);
  return true;
}

/* ---- the partial: one array of doubles ---- */

static uint32_t far_rows(uint32_t k, bool sums) {
  return !sums ? 0 : k < CLUSTER_FAR ? k : CLUSTER_FAR;
}

size_t cluster_sums_doubles(uint32_t k, uint32_t d, bool sums) {
  return 1 + 3 * (size_t)k + (sums ? (size_t)k * d : 0) + far_rows(k, sums) * (3 + (size_t)d);
}

void cluster_sums_at(double *v, uint32_t k, uint32_t d, bool sums, ClusterSums *out) {
  *out = (ClusterSums){.k = k,
                       .d = d,
                       .nfar = far_rows(k, sums),
                       .zero = v,
                       .rows = v + 1,
                       .weight = v + 1 + k,
                       .inertia = v + 1 + 2 * (size_t)k};
  out->sum = sums ? v + 1 + 3 * (size_t)k : NULL;
  out->far = v + 1 + 3 * (size_t)k + (sums ? (size_t)k * d : 0);
}

static size_t assign_size(const void *par) {
  const AssignPar *p = par;
  return cluster_sums_doubles(p->k, p->space.d, p->sums) * sizeof(double);
}

static void sums_of(const AssignPar *p, void *partial, ClusterSums *out) {
  cluster_sums_at(partial, p->k, p->space.d, p->sums, out);
}

static void *assign_init(const void *par, Err *e) {
  const AssignPar *p = par;
  double *v = mem_alloc(assign_size(par));
  if (!v) {
    err_memory(e);
    return NULL;
  }
  ClusterSums s;
  sums_of(p, v, &s);
  for (uint32_t i = 0; i < s.nfar; i++)
    s.far[i * (3 + (size_t)s.d)] = -1;
  return v;
}

static void assign_free(const void *par, void *partial) {
  (void)par;
  mem_free(partial);
}

/* Room for an entry of squared distance v, behind those that are as far; NULL: too near. */
static double *far_room(ClusterSums *s, double v) {
  size_t each = 3 + (size_t)s->d;
  uint32_t at = s->nfar;
  while (at > 0 && s->far[(at - 1) * each] < v)
    at--;
  if (at == s->nfar)
    return NULL;
  memmove(s->far + (at + 1) * each, s->far + at * each, (s->nfar - 1 - at) * each * sizeof(double));
  return s->far + at * each;
}

static void far_add(ClusterSums *s, const NearRows *rows, uint32_t i, double distance2, uint32_t cluster,
                    double w) {
  double *to = far_room(s, distance2);
  if (!to)
    return;
  to[0] = distance2;
  to[1] = cluster;
  to[2] = w;
  if (rows->a) {
    memcpy(to + 3, rows->a + (size_t)i * s->d, s->d * sizeof *to);
    return;
  }
  memset(to + 3, 0, s->d * sizeof *to);
  for (uint32_t k = rows->ptr[i]; k < rows->ptr[i + 1]; k++)
    to[3 + rows->col[k]] = rows->val[k];
}

static void add_row(const NearKernels *kernel, double *restrict sum, const NearRows *rows, uint32_t i,
                    double w) {
  if (rows->a) {
    kernel->add(sum, rows->a + (size_t)i * rows->d, w, rows->d);
  } else {
    for (uint32_t k = rows->ptr[i]; k < rows->ptr[i + 1]; k++)
      sum[rows->col[k]] += w * rows->val[k];
  }
}

static void add_rows(const AssignPar *p, const NearRows *rows, const double *weight, const uint32_t *index,
                     const double *distance2, ClusterSums *s) {
  const NearKernels *kernel = near_best_kernels();
  double nearest_far = s->nfar ? s->far[(s->nfar - 1) * (3 + (size_t)s->d)] : INFINITY;
  for (uint32_t i = 0; i < rows->n; i++) {
    double w = weight ? weight[i] : 1;
    uint32_t c = index[i];
    if (w == 0)
      continue;
    if (p->space.cosine && cluster_is_zero(rows, i)) {
      ++*s->zero;
      continue;
    }
    s->rows[c]++;
    s->weight[c] += w;
    s->inertia[c] += w * distance2[i];
    if (!s->sum)
      continue;
    add_row(kernel, s->sum + (size_t)c * s->d, rows, i, w);
    if (distance2[i] > nearest_far) {
      far_add(s, rows, i, distance2[i], c, w);
      nearest_far = s->far[(s->nfar - 1) * (3 + (size_t)s->d)];
    }
  }
}

static Status assign_map(const void *par, const Panel *all, void *partial, Ctx *ctx) {
  const AssignPar *p = par;
  ClusterSums s;
  sums_of(p, partial, &s);
  uint32_t piece = cluster_piece(p->space.d), index[PANEL_ROWS];
  double distance2[PANEL_ROWS];
  Panel panel;
  RowNotes notes;
  Arena part, a;
  arena_init(&part, NULL);
  arena_init(&a, NULL);
  Status st = cluster_part(&p->space, all, &part, &panel, ctx->err);
  bool noted = !st && notes_begin(p, &panel, &notes);
  for (uint32_t from = 0; !st && from < panel.n; from += piece) {
    uint32_t n = panel.n - from < piece ? panel.n - from : piece;
    NearRows rows;
    arena_reset(&a);
    st = cluster_rows(&p->space, panel.x, from, n, &a, &rows, ctx->err);
    if (st)
      break;
    if (panel.x->a && from + 2 * piece <= panel.n)
      rows.ahead = panel.x->a + (size_t)(from + piece) * panel.x->d;
    if (noted)
      near_find_again(&p->centers, &rows, &a, notes.index + from, distance2, notes.lower + from);
    else
      near_find(&p->centers, &rows, &a, index, distance2);
    add_rows(p, &rows, panel.weight ? panel.weight + from : NULL, noted ? notes.index + from : index,
             distance2, &s);
  }
  arena_free(&a);
  arena_free(&part);
  return st;
}

static Status assign_merge(const void *par, void *left, void *right, Err *e) {
  const AssignPar *p = par;
  (void)e;
  ClusterSums l, r;
  sums_of(p, left, &l);
  sums_of(p, right, &r);
  size_t each = 3 + (size_t)l.d;
  for (double *to = left, *from = right; to < l.far; to++, from++)
    *to += *from;
  for (uint32_t i = 0; i < r.nfar && r.far[i * each] >= 0; i++) {
    double *to = far_room(&l, r.far[i * each]);
    if (!to)
      break;
    memcpy(to, r.far + i * each, each * sizeof *to);
  }
  return ST_OK;
}

static Status assign_save(const void *par, const void *partial, Buf *out, Err *e) {
  return flat_save(partial, assign_size(par), out, e);
}

static void *assign_load(const void *par, Bytes in, Err *e) {
  return flat_load("cluster.assign", assign_size(par), in, e);
}

const Pass cluster_assign = {
    .name = "cluster.assign",
    .kind = RED_TREE,
    .open = assign_open,
    .close = assign_close,
    .partial_size = assign_size,
    .init = assign_init,
    .map = assign_map,
    .merge = assign_merge,
    .save = assign_save,
    .load = assign_load,
    .free = assign_free,
};

/* ---- the next centres ---- */

/* The farthest rows leave their clusters and become centres of the empty ones. */
static uint32_t reseed(ClusterSums *s) {
  uint32_t done = 0, next = 0;
  for (uint32_t c = 0; c < s->k; c++) {
    if (s->rows[c] > 0)
      continue;
    for (; next < s->nfar; next++) {
      const double *f = s->far + next * (3 + (size_t)s->d);
      uint32_t from = f[0] > 0 ? (uint32_t)f[1] : s->k;
      if (from >= s->k || s->rows[from] < 2)
        continue;
      double *to = s->sum + (size_t)c * s->d, *old = s->sum + (size_t)from * s->d;
      for (uint32_t j = 0; j < s->d; j++) {
        to[j] = f[2] * f[3 + j];
        old[j] -= to[j];
      }
      s->weight[c] = f[2];
      s->weight[from] -= f[2];
      s->rows[from]--;
      s->rows[c] = 1;
      next++;
      done++;
      break;
    }
  }
  return done;
}

/* Centre i moved by the root of way2, which is rounded, and vanishes where the way is below 2^-500. */
static void moved_by(ClusterStep *s, uint32_t i, double way2) {
  double way = way2 <= 0x1p-1000 ? 0x1p-499 : way2 < 0x1p200 ? sqrt(way2) * (1 + 0x1p-30) : 0x1p100;
  if (way > s->most) {
    s->other = s->most;
    s->most = way;
    s->which = i;
  } else if (way > s->other) {
    s->other = way;
  }
}

ClusterStep cluster_move(const ClusterSpace *s, ClusterSums *sums, double *c) {
  ClusterStep step = {0};
  for (uint32_t i = 0; i < sums->k; i++)
    step.empty += sums->rows[i] == 0;
  if (step.empty)
    step.reseeded = reseed(sums);
  for (uint32_t i = 0; i < sums->k; i++) {
    double *old = c + (size_t)i * s->d, *v = sums->sum + (size_t)i * s->d, square = 0;
    if (!(sums->weight[i] > 0))
      continue; /* stays where it was */
    for (uint32_t j = 0; j < s->d; j++) {
      v[j] /= sums->weight[i];
      square += v[j] * v[j];
    }
    double length = sqrt(square), way2 = 0;
    if (s->cosine && !(length > 0x1p-40))
      continue; /* opposite rows cancel: no direction is better than another */
    for (uint32_t j = 0; j < s->d; j++) {
      double to = s->cosine ? v[j] / length : v[j], t = to - old[j];
      step.shift2 += t * t;
      way2 += t * t;
      old[j] = to;
    }
    moved_by(&step, i, way2);
  }
  return step;
}
