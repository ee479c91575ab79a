/* SPDX-License-Identifier: Apache-2.0 */
/* Student's t and the normal distribution: p-values and intervals. Small chances keep their digits. */
#ifndef VM_KERNEL_CHANCE_H
#define VM_KERNEL_CHANCE_H

double chance_t(double t, double freedom); /* P(|T| > |t|) */
double chance_normal(double z);            /* P(|Z| > |z|) */
double chance_quantile(double p, double freedom); /* the inverse; freedom 0: normal */

#endif
