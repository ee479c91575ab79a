/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of error codes: those of the front end are in lang/diag.def, all others in codes.def. */
#include <string.h>

#include "app/app.h"

static const struct {
  const char *code, *page;
} list[] = {
#define CODE(code, title, page) {code, "# " code ": " title "\n\n" page},
#include "app/codes.def"
#undef CODE
};

const char *code_page(const char *code) {
  for (size_t i = 0; i < sizeof list / sizeof *list; i++)
    if (strcmp(list[i].code, code) == 0)
      return list[i].page;
  return diag_page(code);
}
