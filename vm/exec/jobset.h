/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs of a scan inside one worker: parameters, accumulators, and the small tree of the leaves of one
 * task. For task.c. */
#ifndef VM_EXEC_JOBSET_H
#define VM_EXEC_JOBSET_H

#include "vm/exec/task.h"

/* gives it to every job of that stage, with the rows of the folds it wants */
Status jobset_panel(JobSet *s, uint32_t of, const Panel *p, Ctx *ctx);
/* the k-th unit of the task is done: leaves end here */
Status jobset_unit_end(JobSet *s, uint32_t k, Err *e);
/* The task is done, units [first, first + n) of the file: hands its nodes over. */
Status jobset_emit(JobSet *s, uint32_t file, uint64_t first, uint32_t n, const Sink *sink, Err *e);
void jobset_abandon(JobSet *s);                           /* forgets the leaves of the task */

#endif
