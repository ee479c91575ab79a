/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The standard library's cml text, embedded by stdlib/embed.sh (the build writes stdlib/sources.c).
 * The app hands these texts to the front end; nothing else reads them.
 */
#ifndef CML_STDLIB_SOURCES_H
#define CML_STDLIB_SOURCES_H

typedef struct StdlibSource {
  const char *name;  /* file name without directory and ".cml" */
  const char *text;  /* the whole file */
} StdlibSource;

/* In the order of stdlib/local.mk; ends with an entry whose name is NULL. */
extern const StdlibSource stdlib_sources[];

#endif
