#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# embed.sh FILE.cml ...: prints a C file that holds the text of each file under its base name (sources.h declares it).
# One C string per line of text, so that a compiler's message about the file still shows readable text.
set -eu
tab=$(printf '\t')

printf '/* SPDX-License-Identifier: Apache-2.0 */\n/* Written by stdlib/embed.sh from the .cml files of stdlib. */\n\n'
printf '#include "stdlib/sources.h"\n\n#include <stddef.h>\n\nconst StdlibSource stdlib_sources[] = {\n'
for file in "$@"; do
  name=${file##*/}
  printf '  {"%s",\n' "${name%.cml}"
  # Octal for "?" because ??x would be a trigraph under strict C; the rest as C writes it.
  LC_ALL=C sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/?/\\077/g' -e "s/$tab/\\\\t/g" \
    -e 's/^/   "/' -e 's/$/\\n"/' "$file"
  [ -s "$file" ] || printf '   ""\n'
  printf '  },\n'
done
printf '  {NULL, NULL},\n};\n'
