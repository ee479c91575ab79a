/* SPDX-License-Identifier: Apache-2.0 */
/* Err: fixed buffers, first report wins. See err.h. */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

void err_clear(Err *e) {
  memset(e, 0, sizeof *e);
}

Status err_set(Err *e, Status code, const char *id, const char *remedy, const char *fmt, ...) {
  if (!e || e->code != ST_OK)
    return e ? e->code : code;
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(e->cause, sizeof e->cause, fmt, ap);
  va_end(ap);
  snprintf(e->id, sizeof e->id, "%s", id ? id : "");
  snprintf(e->remedy, sizeof e->remedy, "%s", remedy ? remedy : "");
  e->code = code;
  return code;
}

Status err_at(Err *e, const char *fmt, ...) {
  if (!e)
    return ST_FAULT;
  if (!e->where[0]) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->where, sizeof e->where, fmt, ap);
    va_end(ap);
  }
  return e->code;
}

Status err_memory(Err *e) {
  return err_set(e, ST_RESOURCE, "CML0501", "Give it more with --memory, or use a machine with more.",
                 "out of memory");
}
