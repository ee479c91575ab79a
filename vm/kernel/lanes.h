/* SPDX-License-Identifier: Apache-2.0 */
/* Sums and moments that go on from call to call, in eight lanes: value i goes to lane i % 8. And the values
 * of a column that lie between two others, and its bounds. The same bits on every machine: what a lane does
 * is written out, no fma; wider vectors only do more lanes at once. */
#ifndef CML_VM_KERNEL_LANES_H
#define CML_VM_KERNEL_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { K_LANES = 8, K_COLUMNS = 4 };

/* n is a multiple of K_LANES. TwoSum: the sums are hi + lo. */
void k_lanes_sum(double *hi, double *lo, const double *x, size_t n);

typedef struct LaneVar { /* a column, and its K_LANES lanes */
  const double *x;
  double *mean, *rest; /* the mean is their sum */
  double *squares;     /* around it */
  double *count;
} LaneVar;
/* One step of Welford's for each value, 1 .. K_COLUMNS columns side by side: each step of a lane waits for
 * the one before it, and the divisions of other columns fill the time. n is a multiple of K_LANES. */
void k_lanes_var(const LaneVar *v, size_t columns, size_t n);

/* The values with lo <= x <= hi that are not null to `out` (room for n), in order; how many, and to *below
 * how many are less than lo. null may be NULL. */
size_t k_between(const double *x, const uint8_t *null, size_t n, double lo, double hi, double *out,
                 uint64_t *below);

/* The least and the largest of n > 0 values; of zeros of both signs either. False: there is a NaN. */
bool k_bounds(const double *x, size_t n, double *least, double *most);

typedef struct LaneKernels { /* the kernels compiled for one instruction set */
  void (*sum)(double *hi, double *lo, const double *x, size_t n);
  void (*var)(const LaneVar *v, size_t columns, size_t n);
  size_t (*between)(const double *x, const uint8_t *null, size_t n, double lo, double hi, double *out,
                    uint64_t *below);
  bool (*bounds)(const double *x, size_t n, double *least, double *most);
} LaneKernels;
const LaneKernels *k_lanes_isa(int isa); /* K_ISA_* of math.h; NULL where the machine has it not */

#endif
