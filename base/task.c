/* SPDX-License-Identifier: Apache-2.0 */
/* The names of tasks. */
#include "base/task.h"

const char *const task_name[TASK_N] = {"regression", "binary", "multiclass", "cluster"};
