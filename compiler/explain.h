/* SPDX-License-Identifier: Apache-2.0 */
/* What a program will do, for people: stages, what is fitted where, how many scans. */
#ifndef COMPILER_EXPLAIN_H
#define COMPILER_EXPLAIN_H

#include "base/buf.h"
#include "compiler/pass.h"
#include "vm/ir.h"

void explain_program(const Program *p, const PassReport *report, Buf *out);

#endif
