/* SPDX-License-Identifier: Apache-2.0 */
/* Panels in the coordinates of k-means (cluster.h), and how those coordinates travel. */
#include <math.h>
#include <string.h>

#include "stdlib/cluster/cluster.h"

/* u8 sparse, cosine, shifted; u32 d; f64 scale; then shift */
void cluster_space_put(const ClusterSpace *s, Buf *out) {
  buf_u8(out, s->sparse);
  buf_u8(out, s->cosine);
  buf_u8(out, s->shift != NULL);
  buf_u32(out, s->d);
  buf_f64(out, s->scale);
  if (s->shift && s->d)
    buf_put(out, s->shift, s->d * sizeof(double));
}

bool cluster_space_get(Rd *r, ClusterSpace *out) {
  *out = (ClusterSpace){.sparse = rd_u8(r) != 0, .cosine = rd_u8(r) != 0};
  bool shifted = rd_u8(r) != 0;
  out->d = rd_u32(r);
  out->scale = rd_f64(r);
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
  double *restrict u = arena_alloc64(a, (values + 1) * sizeof *u);
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

bool cluster_is_zero(const NearRows *rows, uint32_t i) {
  uint32_t n = rows->a ? rows->d : rows->ptr[i + 1] - rows->ptr[i];
  const double *v = rows->a ? rows->a + (size_t)i * rows->d : rows->val + rows->ptr[i];
  for (uint32_t k = 0; k < n; k++)
    if (v[k] != 0)
      return false;
  return true;
}
