/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Canonical sums: one order of addition for every machine, thread and form of storage.
 *
 * A sum over i = 0 .. n-1 has eight lanes. Lane l starts at +0 and takes the terms with i % 8 = l in rising
 * order of i; then the lanes are folded:
 *
 *   lane     0   4   2   6   1   5   3   7
 *            +---+   +---+   +---+   +---+
 *              +-------+       +-------+
 *                  +---------------+
 *
 * that is ((0+4)+(2+6))+((1+5)+(3+7)). Products are rounded before they are added; there is no fma.
 *
 * A lane is never -0: it starts at +0, and in rounding to nearest only -0 + -0 gives -0. So adding a zero of
 * either sign leaves its bits alone, and an entry that a sparse row leaves out, whose product with a finite
 * coefficient is such a zero, may be skipped: the sparse product gives the bits of the dense one, provided
 * that coefficients are finite, that the columns of a row rise strictly, and that a left-out entry stands
 * for zero.
 *
 * Where a term is NaN or infinities cancel, the result is a NaN whose bits are not fixed.
 */
#ifndef CML_VM_KERNEL_DOT_H
#define CML_VM_KERNEL_DOT_H

#include <stddef.h>
#include <stdint.h>

double k_sum(const double *x, size_t n);
double k_sum_w(const double *x, const double *w, size_t n);   /* sum of x[i] w[i] */
double k_dot(const double *x, const double *y, size_t n);     /* the same sum, by its other name */

/* out[i] = b0 + dot(row i of A, b); A is n x d, row after row. Lane = column % 8. */
void k_gemv_rows(const double *A, size_t n, size_t d, const double *b, double b0, double *out);

/* The same for compressed rows: the entries of row i are ptr[i] .. ptr[i + 1] - 1 of col (rising) and val. */
void k_spmv_rows(const uint32_t *ptr, const uint32_t *col, const double *val, size_t n, const double *b,
                 double b0, double *out);

/* The kernels compiled for one instruction set (K_ISA_* of math.h), NULL where the machine has it not. All
 * give the same bits; the tests hold them together. */
typedef struct {
  const char *isa;
  double (*sum)(const double *x, size_t n);
  double (*dot)(const double *x, const double *y, size_t n);
  void (*gemv_rows)(const double *A, size_t n, size_t d, const double *b, double b0, double *out);
} DotKernels;

const DotKernels *k_dot_isa(int isa);

#endif
