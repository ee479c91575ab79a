/* SPDX-License-Identifier: Apache-2.0 */
/* Which columns are combinations of others, for problems without a penalty.
 *
 * The matrix A (unit diagonal: the correlations of the columns, weighted) is singular then. Its small
 * eigenvalues are only candidates, since rounding in sums over millions of rows may be greater than the
 * eigenvalue of columns that do differ; what the data say of the candidate directions themselves decides
 * (products.c). Directions that are flat in the data are left out of every step, so that the solution has the
 * least norm on the standardised scale: A. Bjoerck, "Numerical Methods for Least Squares Problems", 1996,
 * section 2.7. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "stdlib/linear/linear.h"
#include "vm/blas.h"

/* a Cholesky pivot, 1 - R^2 of a column against those before it: below, look at eigenvalues */
#define SUSPECT 1e-8
#define CANDIDATE 1e-9  /* an eigenvalue below it, relative to the greatest: ask the data */
/* mean square of a unit direction, relative to a column's: only rounding. Condition above 3e7 */
#define FLAT 1e-15
/* for eigenvalues where the data are not asked: fewer rows than columns, many candidates */
#define UNASKED 1e-12

void rank_free(Rank *r) {
  mem_free(r->vector);
  mem_free(r->value);
  *r = (Rank){0};
}

static Status eigen(const Blas *blas, double *a, double *value, uint32_t m, Err *e) {
  int size = (int)m, info = 0, lwork = -1, liwork = -1, iwork_size = 0;
  double work_size = 0;
  blas->syevd("V", "L", &size, a, &size, value, &work_size, &lwork, &iwork_size, &liwork, &info, 1, 1);
  lwork = (int)work_size;
  liwork = iwork_size;
  double *work = mem_alloc(((size_t)lwork + 1) * sizeof *work);
  int *iwork = mem_alloc(((size_t)liwork + 1) * sizeof *iwork);
  Status st = ST_OK;
  if (!work || !iwork)
    st = err_memory(e);
  else
    blas->syevd("V", "L", &size, a, &size, value, work, &lwork, iwork, &liwork, &info, 1, 1);
  if (!st && info != 0)
    st = err_set(e, ST_FAULT, "CML0615", "Set l2 to a value above 0.",
                 "the eigenvalues of the features' correlations were not found");
  mem_free(work);
  mem_free(iwork);
  return st;
}

Status rank_look(Rank *r, const double *a, uint32_t m, double rows, Err *e) {
  const Blas *blas = blas_get(e);
  if (!blas)
    return e->code;
  int size = (int)m, info = 0;
  size_t all = (size_t)m * m;
  r->m = m;
  r->vector = mem_alloc((all + 1) * sizeof(double));
  r->value = mem_alloc(((size_t)m + 1) * sizeof(double));
  if (!r->vector || !r->value)
    return err_memory(e);
  memcpy(r->vector, a, all * sizeof *a);
  blas->potrf("L", &size, r->vector, &size, &info, 1);
  double least = 1;
  for (uint32_t i = 0; i < m && info == 0; i++) {
    double pivot = r->vector[(size_t)i * m + i] * r->vector[(size_t)i * m + i];
    least = pivot < least ? pivot : least;
  }
  if (info == 0 && least >= SUSPECT)
    return ST_OK;
  memcpy(r->vector, a, all * sizeof *a);
  Status st = eigen(blas, r->vector, r->value, m, e);
  if (st)
    return st;
  while (r->candidates < m && r->value[r->candidates] <= CANDIDATE * r->value[m - 1])
    r->candidates++;
  r->ask = r->candidates > 0 && r->candidates <= PRODUCTS_MAX && m < rows;
  while (!r->ask && r->lost < r->candidates && r->value[r->lost] <= UNASKED * r->value[m - 1])
    r->lost++;
  return ST_OK;
}

/* The candidates are turned so that flat ones come first. */
Status rank_decide(Rank *r, const double *products, double total, double column, Err *e) {
  const Blas *blas = blas_get(e);
  uint32_t k = r->candidates, m = r->m;
  if (!blas)
    return e->code;
  double *t = mem_alloc(((size_t)k * k + 1) * sizeof *t);
  double *value = mem_alloc(((size_t)k + 1) * sizeof *value);
  double *turned = mem_alloc(((size_t)m * k + 1) * sizeof *turned);
  Status st = t && value && turned ? ST_OK : err_memory(e);
  if (!st) {
    for (uint32_t a = 0; a < k; a++)
      for (uint32_t b = a; b < k; b++)
        t[(size_t)a * k + b] = t[(size_t)b * k + a] = products[(size_t)a * k + b] / total;
    st = eigen(blas, t, value, k, e);
  }
  if (!st) {
    int im = (int)m, ik = (int)k;
    double one = 1, zero = 0;
    blas->gemm("N", "N", &im, &ik, &ik, &one, r->vector, &im, t, &ik, &zero, turned, &im, 1, 1);
    memcpy(r->vector, turned, (size_t)m * k * sizeof *turned);
    while (r->lost < k && value[r->lost] <= FLAT * column)
      r->lost++;
  }
  mem_free(t);
  mem_free(value);
  mem_free(turned);
  return st;
}

/* Columns with a part in a lost direction are named. */
void rank_tell(const Rank *r, double rows, char *const *names, const uint32_t *active, char *out,
               size_t size) {
  if (r->m >= rows) {
    snprintf(
        out, size,
        "there are %u features and only %.0f rows: the solution of least norm was taken (%u directions are "
        "free). Set l2 above 0",
        r->m, rows, r->lost);
    return;
  }
  snprintf(out, size,
           "%u of %u features are combinations of the others; the solution of least norm was taken. Drop "
           "some, or set l2 above 0. Involved:",
           r->lost, r->m);
  NameList list;
  names_begin(&list, out, size);
  for (uint32_t i = 0; i < r->m; i++) {
    double share = 0;
    for (uint32_t k = 0; k < r->lost; k++)
      share += r->vector[(size_t)k * r->m + i] * r->vector[(size_t)k * r->m + i];
    if (share >= 1e-6)
      names_add(&list, names[active[i]]);
  }
  names_end(&list);
}
