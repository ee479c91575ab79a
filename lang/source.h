/* SPDX-License-Identifier: Apache-2.0 */
/* Source: the texts of a compilation (the program, stdlib modules) and positions in them. */
#ifndef LANG_SOURCE_H
#define LANG_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

typedef struct Span { /* bytes [from, to) of file number `file`; {0,0,0} = nowhere */
  uint16_t file;
  uint32_t from, to;
} Span;

typedef struct SourceFile {
  const char *path; /* as the user wrote it; "stdlib/scale.cml" for embedded ones */
  const char *text; /* NUL-terminated copy */
  uint32_t n;
  uint32_t *line; /* byte offset of each line's first byte */
  uint32_t nline;
  bool builtin; /* of the standard library: not shown in full in messages */
} SourceFile;

typedef struct NameTable NameTable;

typedef struct Sources {
  Arena *arena;
  SourceFile *file; /* [0] is unused, so that a zero Span is nowhere */
  uint32_t n, cap;
  NameTable *names; /* see source_name */
} Sources;

void source_init(Sources *s, Arena *a);
/* its number */
uint16_t source_add(Sources *s, const char *path, const char *text, uint32_t n, bool builtin);
/* 1-based line and column; the column counts UTF-8 characters. */
void source_position(const Sources *s, uint16_t file, uint32_t at, uint32_t *line, uint32_t *col);
/* the line alone, 1-based: cheap */
uint32_t source_line_number(const Sources *s, uint16_t file, uint32_t at);
/* text of a line, without its newline */
const char *source_line(const Sources *s, uint16_t file, uint32_t line, uint32_t *n);

/* The one copy of this name in the compilation: equal names are equal pointers. The text holds no NUL. */
const char *source_name(Sources *s, const char *text, size_t n);

static inline Span span_join(Span a, Span b) {
  if (!a.file)
    return b;
  if (!b.file || b.file != a.file)
    return a;
  return (Span){a.file, a.from < b.from ? a.from : b.from, a.to > b.to ? a.to : b.to};
}

#endif
