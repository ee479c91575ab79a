/* SPDX-License-Identifier: Apache-2.0 */
/* What a program will do, for people: stages, what is fitted where, how many scans. */
#ifndef COMPILER_EXPLAIN_H
#define COMPILER_EXPLAIN_H

#include "base/buf.h"
#include "compiler/pass.h"
#include "vm/exec.h"
#include "vm/ir.h"

/* The registry names the values of enum options; report may be NULL. */
void explain_program(const Program *p, const Registry *r, const PassReport *report, Buf *out);

#endif
