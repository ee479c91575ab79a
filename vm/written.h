/* SPDX-License-Identifier: Apache-2.0 */
/* The columns that a predict or score stage writes: its columns in order, a vector of probabilities as one
 * column for each class, `probability_CLASS`. Names and number are known once the model is. */
#ifndef VM_WRITTEN_H
#define VM_WRITTEN_H

#include "vm/fitted.h"
#include "vm/ir.h"

typedef struct Written {
  IrColumn *column;   /* n */
  uint8_t *type;      /* n: IrType of its values */
  uint32_t *out;      /* n: number of the output */
  int32_t *element;   /* n: element of its vector, or -1 */
  uint32_t n;
  char **name;        /* those made for elements; owned */
  uint32_t nname;
} Written;

/* `env` has the stage's model. Two columns of one name: ST_DATA. */
Status written_columns(const RowProg *p, const Env *env, Written *out, Err *e);
void written_free(Written *w);
/* Column k of n rows as a Col without vectors; space has n doubles. */
Col written_col(const Written *w, uint32_t k, const Col *out, uint32_t n, double *space);

#endif
