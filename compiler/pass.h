/* SPDX-License-Identifier: Apache-2.0 */
/* Passes over the IR: see passes.def for the list. */
#ifndef COMPILER_PASS_H
#define COMPILER_PASS_H

#include "base/arena.h"
#include "base/err.h"
#include "vm/ir.h"

typedef struct PassInfo {
  const char *name;
  const char *purpose;
  Status (*run)(Program *p, Arena *a, uint32_t *changes, Err *e);
} PassInfo;

extern const PassInfo passes[]; /* ends with name == NULL */

typedef struct PassReport { /* of one pass of one compilation, in the order of passes[] */
  const char *name;
  uint32_t changes;
  double seconds;
  bool skipped;
} PassReport;

/* Runs all passes but those named in `skip` (comma-separated, or NULL); verifies after each in test builds
 * and at the end always. `dump`: the name of a pass whose result is printed to `out` (may be NULL).
 * report: room for all passes, or NULL. */
struct Buf;
Status passes_run(Program *p, Arena *a, const char *skip, const char *dump, struct Buf *out,
                  PassReport *report, Err *e);
uint32_t passes_count(void);

#define PASS(name, purpose) Status pass_##name(Program *p, Arena *a, uint32_t *changes, Err *e);
#include "compiler/passes.def"
#undef PASS

/* Keeps the steps for which keep[i] is set, renumbers, and tells owners of value numbers: map[old] = new,
 * or -1. */
void pass_compact(RowProg *p, const bool *keep, int32_t *map);

/* A value that was made simpler is perhaps no longer nullable, or now the same for all rows; steps that read
 * it follow. */
void pass_renew(RowProg *p);

#endif
