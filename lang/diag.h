/* SPDX-License-Identifier: Apache-2.0 */
/* Diagnostics of the front end: collected, sorted, printed together; one run reports every independent error
 * of a file.
 *
 * An error consists of a stable code ("CML0204", listed with its page in diag.def), a span, one sentence
 * of cause, one of remedy, and optional notes that point elsewhere ("declared here"). An expression that
 * had an error has type TY_ERROR and causes no second one. */
#ifndef LANG_DIAG_H
#define LANG_DIAG_H

#include <stdio.h>

#include "base/arena.h"
#include "lang/source.h"

typedef enum { SEV_ERROR, SEV_WARNING, SEV_NOTE } Severity;

typedef struct DiagNote {
  Span span;
  const char *text;
  struct DiagNote *next;
} DiagNote;

typedef struct Diag {
  Severity severity;
  const char *code; /* "CML0204" */
  Span span;
  const char *cause;
  const char *remedy; /* or NULL */
  DiagNote *notes;
} Diag;

typedef struct Diags Diags;
struct Diags {
  Arena *arena;
  Sources *sources;
  Diag **v;
  uint32_t n, cap;
  uint32_t errors, warnings;
};

void diag_init(Diags *d, Arena *a, Sources *s);
/* Adds one; cause is formatted; the remedy may be NULL (format it with arena_printf). The same code at the
 * same span is added once. */
Diag *diag_add(Diags *d, Severity sev, const char *code, Span span, const char *remedy, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
void diag_note(Diags *d, Diag *to, Span span, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Text with the source line and a caret, as cmlc shows it; `colour` = ANSI. Sorted by file and position. */
void diag_print(const Diags *d, FILE *out, bool colour);
Diag **diag_sorted(const Diags *d);              /* a copy of v, by file and position */
const char *diag_page(const char *code);         /* the page of `cmlc doc CML0204`, or NULL */
const char *diag_code_at(unsigned i);            /* i-th code of diag.def, or NULL past the end */

/* The nearest of the given names by edit distance (at most a third of its length), or NULL. */
const char *diag_nearest(const char *name, const char *const *names, unsigned n);

#endif
