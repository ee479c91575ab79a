/* SPDX-License-Identifier: Apache-2.0 */
/* Slab: a large piece of memory that is cut into arrays which live long, or, rewound, one after the other in
 * the same place.
 *
 * One thread cuts; each array holds the slab, and any thread may drop it. The last one frees the memory. */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include <stddef.h>

typedef struct Slab Slab;

Slab *slab_new(size_t n);              /* for arrays of n bytes, several small ones; NULL: no memory */
void *slab_take(Slab *s, size_t n);    /* not zeroed, 64-byte aligned; NULL: it does not fit any more */
/* Of the newest array, p, only n bytes are needed. */
void slab_trim(Slab *s, const void *p, size_t n);
/* The next n bytes at p, in an array, will be written: their pages are there at once (mem_touch). */
void slab_touch(Slab *s, void *p, size_t n);
void slab_rewind(Slab *s);             /* where no array is held any more all is there to be taken again */
void slab_drop(Slab *s);               /* of an array, or by who made it */

#endif
