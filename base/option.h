/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables: a native thing (an estimator, a source, a metric) lists its options beside its code; the
 * checker, the compiler, the documentation and the run read the same table. */
#ifndef BASE_OPTION_H
#define BASE_OPTION_H

#include <stdbool.h>
#include <stdint.h>

typedef enum {
  OPT_BOOL, OPT_INT, OPT_FLOAT, OPT_STRING, OPT_ENUM,
  OPT_EACH, /* of an estimator: a number for all features, or [slot = number, ..] for some and the default
             * for the others */
  OPT_EXPR, /* of an estimator: an expression of the data's columns, one more slot of the model */
} OptionKind;

typedef struct Option {
  const char *name;
  OptionKind kind;
  double def;         /* default of bool, int, float; index into `values` for OPT_ENUM */
  double min, max;    /* range of int, float and each, ends included */
  const char *values; /* OPT_ENUM: "a|b|c"; OPT_STRING: the default, or NULL; OPT_EACH: the option it must
                       * not be above, or NULL */
  const char *doc;    /* one sentence with the unit */
} Option;             /* a table ends with name == NULL */

/* The option of a table with this name, or NULL; the table may be NULL. */
const Option *option_find(const Option *table, const char *name);
/* Is name one of the words of list, "a|b|c"? The list may be NULL. */
bool option_listed(const char *list, const char *name);
/* The i-th word of an OPT_ENUM's values ("a|b|c"): its length, and where it begins. */
int option_word(const Option *o, int i, const char **word);

#endif
