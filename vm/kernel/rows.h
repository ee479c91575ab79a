/* SPDX-License-Identifier: Apache-2.0 */
/* Columns side by side become rows: out[r * stride + k] = col[k][r] for k < ncol, r < n. True where all of
 * them are finite. */
#ifndef CML_VM_KERNEL_ROWS_H
#define CML_VM_KERNEL_ROWS_H

#include <stdbool.h>
#include <stddef.h>

bool k_rows_of(const double *const *col, size_t ncol, size_t n, size_t stride, double *out);

bool k_any_nan(const double *x, size_t n);

/* Rows of d values around a centre: out[r * stride + k] = x[r * d + k] - center[k]; low and high of each
 * column take them in, as they are. All are finite. */
void k_rows_around(const double *x, size_t n, size_t d, const double *center, double *low, double *high,
                   size_t stride, double *out);

typedef struct Groups { /* of rows: row r, of weight w[r], is in group of[r]; of weight 0: in none */
  const double *w;
  const unsigned char *of;
} Groups;
/* sum[c][k] += the sum of w x, rows in order; low and high take x in. Then: sum[c][k] += that of
 * w (x - mean[c][k])^2. */
void k_rows_weighed(const double *x, size_t n, size_t d, Groups g, double *const *sum, double *low,
                    double *high);
void k_rows_squares(const double *x, size_t n, size_t d, Groups g, double *const *mean, double *const *sum);

/* The first, compiled for one instruction set (K_ISA_*); NULL where this machine has not that set. */
typedef bool (*RowsFn)(const double *const *col, size_t ncol, size_t n, size_t stride, double *out);
RowsFn k_rows_isa(int isa);

#endif
