/* SPDX-License-Identifier: Apache-2.0 */
/* OpenBLAS, opened at first use: what dense linear algebra above a few columns is done with.
 *
 * The library is set to one core type and one thread before it is loaded, so that it gives the same bits on
 * every x86-64-v3
 * machine: parallelism is ours, over leaves of rows. Matrices are column-major here, as LAPACK wants them;
 * a row-major n x d panel is a column-major d x n matrix. */
#ifndef VM_BLAS_H
#define VM_BLAS_H

#include <stddef.h>

#include "base/err.h"

typedef struct Blas {
  /* c (n x n, one triangle) = alpha * op(a) op(a)' + beta * c; trans 'N': a is n x k; 'T': a is k x n */
  void (*syrk)(const char *uplo, const char *trans, const int *n, const int *k, const double *alpha,
               const double *a, const int *lda, const double *beta, double *c, const int *ldc, size_t,
               size_t);
  /* c (m x n) = alpha * op(a) op(b) + beta * c */
  void (*gemm)(const char *transa, const char *transb, const int *m, const int *n, const int *k,
               const double *alpha, const double *a, const int *lda, const double *b, const int *ldb,
               const double *beta, double *c, const int *ldc, size_t, size_t);
  /* y = alpha * op(a) x + beta * y; a is m x n */
  void (*gemv)(const char *trans, const int *m, const int *n, const double *alpha, const double *a,
               const int *lda, const double *x, const int *incx, const double *beta, double *y,
               const int *incy, size_t);
  /* Cholesky of a positive definite matrix; info > 0: the order of the first minor that is not positive */
  void (*potrf)(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t);
  void (*potrs)(const char *uplo, const int *n, const int *nrhs, const double *a, const int *lda, double *b,
                const int *ldb, int *info, size_t);
  /* eigenvalues ascending in w; with jobz 'V' the vectors replace a */
  void (*syevd)(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
                double *work, const int *lwork, int *iwork, const int *liwork, int *info, size_t, size_t);
} Blas; /* the size_t at the ends are the lengths of the character arguments, 1 each, as Fortran passes
         * them */

/* Where to look first: a folder with libopenblas.so.0, and the Fortran libraries it needs, which the system
 * may not have. To be called before blas_get, by one thread; a name that is too long is ignored. */
void blas_folder(const char *folder);

/* The table, or NULL and ST_RESOURCE. Any thread; the first caller loads. Call it once on the driver
 * before workers run. */
const Blas *blas_get(Err *e);

#endif
