/* SPDX-License-Identifier: Apache-2.0 */
/* What a program will do, for people: stages, what is fitted where, how many scans. */
#ifndef COMPILER_EXPLAIN_H
#define COMPILER_EXPLAIN_H

#include "base/buf.h"
#include "compiler/estimate.h"
#include "compiler/pass.h"
#include "vm/exec.h"
#include "vm/ir.h"
#include "vm/run.h"

/* The registry names the values of enum options; report may be NULL. */
void explain_program(const Program *p, const Registry *r, const PassReport *report, Buf *out);
/* The table of costs, and the graph for Graphviz; run: what happened, or NULL. l: the limits of a run in this
 * process, or NULL where rows and matrices are kept elsewhere. */
void explain_costs(const Program *p, const Limits *l, const Estimate *guess, const RunResult *run, Buf *out);
/* The same jobs on Spark: what is kept where, bytes that are sent and merged. */
Status explain_spark(const Program *p, const Estimate *guess, const RunResult *run, Buf *out, Err *e);
void explain_dot(const Program *p, const Estimate *guess, const RunResult *run, Buf *out);

#endif
