/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of records share (vm/engine.h says what records are).
 *
 *   records.c        the reader, drafts, records of columns -> Blocks
 *   records_write.c  rows -> records of columns */
#ifndef VM_ENGINE_RECORDS_H
#define VM_ENGINE_RECORDS_H

#include "vm/engine/parts.h"

struct RecordDraft {
  Draft b;       /* done: the rows so far */
  uint32_t *at;  /* of each its position - b.pos */
  uint32_t next; /* where the next row is, at least */
  uint8_t *copy; /* of a record that was not aligned */
  size_t room;
};

Status record_bad(Err *e);

#endif
