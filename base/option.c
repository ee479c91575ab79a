/* SPDX-License-Identifier: Apache-2.0 */
/* Option tables; see option.h. */
#include "base/option.h"

#include <stddef.h>
#include <string.h>

const Option *option_find(const Option *table, const char *name) {
  for (; table && table->name; table++)
    if (strcmp(table->name, name) == 0)
      return table;
  return NULL;
}

int option_word(const Option *o, int i, const char **word) {
  const char *w = o->values;
  for (; i > 0 && strchr(w, '|'); i--)
    w = strchr(w, '|') + 1;
  *word = w;
  return (int)strcspn(w, "|");
}

bool option_listed(const char *list, const char *name) {
  size_t n = strlen(name);
  for (; list && *list; list += strcspn(list, "|"), list += *list == '|')
    if (strcspn(list, "|") == n && strncmp(list, name, n) == 0)
      return true;
  return false;
}
