/* SPDX-License-Identifier: Apache-2.0 */
/* Panels in the coordinates of k-means (cluster.h), and how those coordinates travel. */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "stdlib/cluster/cluster.h"

/* u8 sparse, cosine, shifted; u32 d; f64 scale; u64 part, key; then shift */
void cluster_space_put(const ClusterSpace *s, Buf *out) {
  buf_u8(out, s->sparse);
  buf_u8(out, s->cosine);
  buf_u8(out, s->shift != NULL);
  buf_u32(out, s->d);
  buf_f64(out, s->scale);
  buf_u64(out, s->part);
  buf_u64(out, s->key);
  if (s->shift && s->d)
    buf_put(out, s->shift, s->d * sizeof(double));
}

bool cluster_space_get(Rd *r, ClusterSpace *out) {
  *out = (ClusterSpace){.sparse = rd_u8(r) != 0, .cosine = rd_u8(r) != 0};
  bool shifted = rd_u8(r) != 0;
  out->d = rd_u32(r);
  out->scale = rd_f64(r);
  out->part = rd_u64(r);
  out->key = rd_u64(r);
  if (shifted)
    out->shift = rd_take(r, (size_t)out->d * sizeof(double));
  return !r->bad && out->scale > 0 && out->scale < INFINITY && !(shifted && (out->sparse || out->cosine));
}

uint32_t cluster_piece(uint32_t d) {
  uint32_t n = CLUSTER_PIECE / (d + 1) / NEAR_TILE * NEAR_TILE;
  uint32_t least = NEAR_TILE * 4;
  return n < least ? least : n > PANEL_ROWS ? PANEL_ROWS : n;
}

/* Numbers are scaled before they are squared, so that no length overflows or vanishes. */
static void normalise(double *v, uint32_t n) {
  double most = 0, sum = 0;
  for (uint32_t k = 0; k < n; k++)
    most = fabs(v[k]) > most ? fabs(v[k]) : most;
  if (most == 0)
    return;
  int power;
  frexp(most, &power);
  power = power < -1020 ? -1020 : power > 1020 ? 1020 : power;
  double scale = ldexp(1, -power);
  for (uint32_t k = 0; k < n; k++) {
    v[k] *= scale;
    sum += v[k] * v[k];
  }
  double length = sqrt(sum);
  for (uint32_t k = 0; k < n; k++)
    v[k] /= length;
}

Status cluster_rows(const ClusterSpace *s, const Matrix *x, uint32_t from, uint32_t n, Arena *a,
                    NearRows *out, Err *e) {
  size_t d = s->d, first = s->sparse ? x->ptr[from] : from * d;
  size_t values = s->sparse ? x->ptr[from + n] - first : n * d;
  double *restrict u = arena_room64(a, (values + 1) * sizeof *u);
  uint32_t *ptr = s->sparse ? arena_alloc(a, ((size_t)n + 1) * sizeof *ptr) : NULL;
  if (!u || (s->sparse && !ptr))
    return err_memory(e);
  const double *restrict v = (s->sparse ? x->val : x->a) + first;
  if (s->shift)
    near_best_kernels()->place(v, s->shift, s->scale, n, s->d, u);
  else
    for (size_t k = 0; k < values; k++)
      u[k] = v[k] * s->scale;
  for (uint32_t i = 0; i <= n && ptr; i++)
    ptr[i] = (uint32_t)(x->ptr[from + i] - first);
  for (uint32_t i = 0; i < n && s->cosine; i++)
    normalise(u + (ptr ? ptr[i] : i * d), ptr ? ptr[i + 1] - ptr[i] : s->d);
  *out = (NearRows){.n = n, .d = s->d, .direct = !s->sparse};
  if (s->sparse) {
    out->ptr = ptr;
    out->col = x->col + first;
    out->val = u;
  } else {
    out->a = u;
  }
  return ST_OK;
}

/* Rows at[0 .. n) of a matrix, one behind the other. */
static bool gather(const Matrix *x, const uint32_t *at, uint32_t n, Arena *a, Matrix *out) {
  size_t entries = 0;
  for (uint32_t i = 0; i < n && x->ptr; i++)
    entries += x->ptr[at[i] + 1] - x->ptr[at[i]];
  *out = (Matrix){.n = n, .d = x->d};
  if (!x->ptr) {
    out->a = arena_room64(a, ((size_t)n * x->d + 1) * sizeof *out->a);
    for (uint32_t i = 0; i < n && out->a; i++)
      memcpy(out->a + (size_t)i * x->d, x->a + (size_t)at[i] * x->d, x->d * sizeof *out->a);
    return out->a != NULL;
  }
  out->ptr = arena_alloc(a, ((size_t)n + 1) * sizeof *out->ptr);
  out->col = arena_alloc(a, (entries + 1) * sizeof *out->col);
  out->val = arena_alloc64(a, (entries + 1) * sizeof *out->val);
  if (!out->ptr || !out->col || !out->val)
    return false;
  out->ptr[0] = 0;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t from = x->ptr[at[i]], many = x->ptr[at[i] + 1] - from, to = out->ptr[i];
    memcpy(out->col + to, x->col + from, many * sizeof *out->col);
    memcpy(out->val + to, x->val + from, many * sizeof *out->val);
    out->ptr[i + 1] = to + many;
  }
  return true;
}

Status cluster_part(const ClusterSpace *s, const Panel *panel, Arena *a, Panel *out, Err *e) {
  *out = *panel;
  if (!s->part)
    return ST_OK;
  uint32_t *at = arena_alloc(a, ((size_t)panel->n + 1) * sizeof *at), n = 0;
  uint32_t *pos = arena_alloc(a, ((size_t)panel->n + 1) * sizeof *pos);
  double *weight = panel->weight ? arena_alloc(a, ((size_t)panel->n + 1) * sizeof *weight) : NULL;
  Matrix *x = arena_alloc(a, sizeof *x);
  if (!at || !pos || !x || (panel->weight && !weight))
    return err_memory(e);
  uint64_t file = rng_word(s->key, panel->file);
  for (uint32_t i = 0; i < panel->n; i++) {
    uint32_t place = panel->at ? panel->at[i] : i;
    if (rng_word(file, panel->pos + place) >= s->part)
      continue;
    at[n] = i;
    pos[n] = place;
    if (weight)
      weight[n] = panel->weight[i];
    n++;
  }
  *out = (Panel){.n = n, .file = panel->file, .pos = panel->pos, .at = pos, .weight = weight, .x = x};
  return gather(panel->x, at, n, a, x) ? ST_OK : err_memory(e);
}

bool cluster_is_zero(const NearRows *rows, uint32_t i) {
  uint32_t n = rows->a ? rows->d : rows->ptr[i + 1] - rows->ptr[i];
  const double *v = rows->a ? rows->a + (size_t)i * rows->d : rows->val + rows->ptr[i];
  for (uint32_t k = 0; k < n; k++)
    if (v[k] != 0)
      return false;
  return true;
}
