/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of records share (vm/engine.h says what records are).
 *
 *   records.c        the reader, drafts, records of columns -> Blocks
 *   records_text.c   text files -> records of text -> Blocks
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

typedef struct Take { /* from a record */
  const uint8_t *p;   /* aligned to 8 bytes */
  size_t n, at;
} Take;
/* An array of n bytes at the next multiple of 8; NULL: it is not there. */
const void *take(Take *t, uint64_t n);

const Input *record_input(const Reader *r, uint32_t file); /* whose file it is */
/* The inputs of a reader that has room for them. */
Status records_inputs(Reader *r, const EngineSource *s, Err *e);
/* The rows of a record of kind 2. */
Status record_text(RecordDraft *d, const RecordHead *h, Take *t, Err *e);

#endif
