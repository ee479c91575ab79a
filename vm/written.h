/* SPDX-License-Identifier: Apache-2.0 */
/* The columns that a predict, transform or score stage writes: its columns in order; of a vector of
 * probabilities a column for each class, `probability_CLASS`; of a slot that is a vector a column for each
 * element, named as in a table of coefficients. Names and number are known once the fitted values are. */
#ifndef VM_WRITTEN_H
#define VM_WRITTEN_H

#include "vm/fitted.h"
#include "vm/ir.h"

enum { WRITTEN_MOST = 4096 }; /* columns that features may become */

typedef struct Written {
  IrColumn *column;   /* n */
  uint8_t *type;      /* n: IrType of its values */
  uint32_t *out;      /* n: number of the output */
  int32_t *element;   /* n: element of its vector, or -1 */
  uint32_t n;
  char **name;        /* those made for elements; owned */
  uint32_t nname;
  uint32_t *cursor;   /* written_col: by row the next entry of the sparse vector at hand */
} Written;

/* `env` has the stage's fitted values. Two columns of one name, or too many: ST_DATA. */
Status written_columns(const RowProg *p, const Env *env, Written *out, Err *e);
void written_free(Written *w);
/* Column k of n rows (at most PANEL_ROWS) as a Col without vectors; space has n doubles. The elements of a
 * vector are asked for from first to last. */
Col written_col(const Written *w, uint32_t k, const Col *out, uint32_t n, double *space);
/* CML0442: features of so many columns, which the file has no room for. */
Status written_wide(uint64_t width, const char *slot, Err *e);

#endif
