/* SPDX-License-Identifier: Apache-2.0 */
/* JSON without DuckDB: a text of whole records, as the file is divided into (json_text.c), is taken apart
 * record by record; what is in it comes as one value after the other. */
#ifndef VM_ENGINE_JSON_H
#define VM_ENGINE_JSON_H

#include "vm/engine/csv.h"

typedef enum { J_NULL, J_BOOL, J_NUMBER, J_STRING, J_LIST, J_OBJECT } JsonKind;

/* A value and its dotted name; `s` is decoded for a string, else as written. False: stop (no memory). */
typedef bool (*Visit)(void *ctx, const char *name, uint32_t nname, JsonKind kind, const char *s, uint32_t n);

typedef struct Json {
  const char *s, *end; /* what is left of the text */
  bool list, first;    /* the records are in a list; the text is the first of the file */
  bool high;           /* not all of it is ASCII */
  Visit visit; /* NULL: only skipped */
  void *ctx;
  Buf name, text;
  uint32_t depth;
  const char *why; /* it ended for this reason; NULL with a false result: no memory */
  const char *at;  /* there */
} Json;

/* Is there another record? False: the text ends, or is wrong before it (j->why). */
bool json_more(Json *j);
/* Takes it apart. */
bool json_record(Json *j);
void json_free(Json *j);

Status json_names(Reader *r, Err *e); /* r->names, of which values of records are found */

#endif
