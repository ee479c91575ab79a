/* SPDX-License-Identifier: Apache-2.0 */
/* Notes: what a pass writes down of rows for its next scan over the same ones, beside the matrix they are
 * in: k-means the centre of each row and how far the others are at least.
 *
 * A note is a short cut and never a result. It may be gone, zeroed, at any time: the matrix was made anew, a
 * task runs elsewhere, there is no memory. Nor does the note that is there have to be of the scan before: a
 * task may have been repeated. So a pass writes into it what it was written for, and gives the same bits
 * without it.
 *
 * Who runs a pass over a block takes all its notes first and puts them back afterwards: two who have the same
 * block at the same time never see the same note. A note that no pass asked for in a scan is forgotten. */
#ifndef VM_NOTES_H
#define VM_NOTES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "vm/column.h"

enum { NOTES_SHARE = 16 }; /* of our memory one part in so many, for notes */

typedef struct NoteRoom { /* memory for the notes of an executor; outlives the blocks */
  atomic_llong left;
} NoteRoom;

typedef struct Notes { /* of a block, in the hands of one worker */
  struct Note *v;
  NoteRoom *room;      /* NULL: none are kept */
  uint32_t row;        /* of the block: the first one of the panel at hand */
} Notes;

void notes_take(Notes *n, Block *b, NoteRoom *room);
void notes_put(Notes *n, Block *b);

/* The note of this key, of n bytes, that belongs to the panel's rows; zeroed where it is new. 16-byte
 * aligned, and good until the panel has been seen. NULL: there is no room. */
void *panel_note(const Panel *p, uint64_t key, size_t n);

void note_free(struct Note *list); /* a block's, with the block */

#endif
