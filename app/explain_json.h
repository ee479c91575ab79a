/* SPDX-License-Identifier: Apache-2.0 */
#ifndef APP_EXPLAIN_JSON_H
#define APP_EXPLAIN_JSON_H

#include "compiler/explain.h"

/* run may be NULL: what happened is left out. */
void explain_json(const Program *p, const Registry *r, const PassReport *report, const Limits *l,
                  const Estimate *guess, const RunResult *run, Buf *out);

#endif
