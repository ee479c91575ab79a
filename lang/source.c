/* SPDX-License-Identifier: Apache-2.0 */
/* Source: texts, lines, positions, and the names of a compilation (interned, so that equal names are equal
 * pointers). See source.h. */
#include "lang/source.h"

#include <string.h>

#include "base/hash.h"

struct NameTable {
  const char **slot; /* open addressing; NULL: free */
  uint32_t n, nslot; /* nslot is a power of two */
};

void source_init(Sources *s, Arena *a) {
  memset(s, 0, sizeof *s);
  s->arena = a;
  SourceFile none = {.path = "", .text = ""};
  PUSH(a, s->file, s->n, s->cap, none);
}

uint16_t source_add(Sources *s, const char *path, const char *text, uint32_t n, bool builtin) {
  if (s->n > UINT16_MAX)
    return 0;
  SourceFile f = {.path = arena_strdup(s->arena, path),
                  .text = arena_strndup(s->arena, text, n),
                  .n = n,
                  .builtin = builtin};
  uint32_t lines = 1;
  for (const char *p = f.text; (p = memchr(p, '\n', n - (size_t)(p - f.text))); p++)
    lines++;
  f.line = NEWN(s->arena, uint32_t, lines);
  f.nline = lines;
  uint32_t k = 1;
  for (uint32_t i = 0; i < n; i++) {
    if (f.text[i] == '\n')
      f.line[k++] = i + 1;
  }
  PUSH(s->arena, s->file, s->n, s->cap, f);
  return (uint16_t)(s->n - 1);
}

/* The line (from 0) that holds byte `at`. */
static uint32_t line_of(const SourceFile *f, uint32_t at) {
  uint32_t lo = 0, hi = f->nline;
  while (hi - lo > 1) {
    uint32_t mid = lo + (hi - lo) / 2;
    if (f->line[mid] <= at)
      lo = mid;
    else
      hi = mid;
  }
  return lo;
}

void source_position(const Sources *s, uint16_t file, uint32_t at, uint32_t *line, uint32_t *col) {
  *line = *col = 0;
  if (!file || file >= s->n)
    return;
  const SourceFile *f = &s->file[file];
  if (at > f->n)
    at = f->n;
  uint32_t l = line_of(f, at);
  *line = l + 1;
  *col = 1;
  for (uint32_t i = f->line[l]; i < at; i++)
    *col += ((unsigned char)f->text[i] & 0xC0) != 0x80; /* continuation bytes of UTF-8 are not characters */
}

uint32_t source_line_number(const Sources *s, uint16_t file, uint32_t at) {
  return !file || file >= s->n ? 0 : line_of(&s->file[file], at) + 1;
}

const char *source_line(const Sources *s, uint16_t file, uint32_t line, uint32_t *n) {
  *n = 0;
  if (!file || file >= s->n || line == 0 || line > s->file[file].nline)
    return "";
  const SourceFile *f = &s->file[file];
  uint32_t from = f->line[line - 1], to = line < f->nline ? f->line[line] - 1 : f->n;
  if (to > from && f->text[to - 1] == '\r')
    to--;
  *n = to - from;
  return f->text + from;
}

static uint32_t name_slot(const NameTable *t, const char *text, size_t n) {
  uint32_t i = (uint32_t)hash_bytes(0, text, n) & (t->nslot - 1);
  while (t->slot[i] && (strncmp(t->slot[i], text, n) != 0 || t->slot[i][n] != 0))
    i = (i + 1) & (t->nslot - 1);
  return i;
}

const char *source_name(Sources *s, const char *text, size_t n) {
  if (!s->names)
    s->names = NEW(s->arena, NameTable);
  NameTable *t = s->names;
  if (t->n * 2 >= t->nslot) {
    NameTable bigger = {.n = t->n, .nslot = t->nslot ? t->nslot * 2 : 256};
    bigger.slot = NEWN(s->arena, const char *, bigger.nslot);
    for (uint32_t i = 0; i < t->nslot; i++) {
      if (t->slot[i])
        bigger.slot[name_slot(&bigger, t->slot[i], strlen(t->slot[i]))] = t->slot[i];
    }
    *t = bigger;
  }
  uint32_t i = name_slot(t, text, n);
  if (!t->slot[i]) {
    t->slot[i] = arena_strndup(s->arena, text, n);
    t->n++;
  }
  return t->slot[i];
}
