#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# layers.sh [DIR]: fails on an #include that a layer must not have, on a relative include, and on a source file that
# no local.mk lists. DIR is the source tree (default: $CML_SRCDIR, or the parent of this file). Prints TAP.
#
# Who may know whom: base <- lang; base <- vm; compiler knows lang, vm, base; stdlib knows vm, base; app knows all; spark
# (inside of an executor) knows stdlib, vm, base.
set -u

cd "${1:-${CML_SRCDIR:-$(dirname "$0")/..}}" || exit 99
n=0
failed=0
layers="base lang vm compiler stdlib app spark tests bench"

result() {  # result NAME FILE-WITH-FINDINGS
  n=$((n + 1))
  if [ -s "$2" ]; then
    echo "not ok $n - $1"
    failed=$((failed + 1))
    sed 's/^/# /' "$2"
  else
    echo "ok $n - $1"
  fi
}

sources() {  # every source of a layer; generated files in a source tree built in place are not ours
  find "$@" -type f \( -name '*.[chyl]' -o -name '*.def' -o -name '*.inc' \) 2>/dev/null |
    grep -v -E '^(lang/(parse|lex)\.[ch]|stdlib/sources\.c)$' | sort
}

found=$(mktemp) || exit 99
trap 'rm -f "$found"' EXIT

check_layer() {  # check_layer LAYER ALLOWED...
  layer=$1
  shift
  allowed=" $layer $* "
  files=$(sources "$layer")
  : >"$found"
  if [ -n "$files" ]; then
    # shellcheck disable=SC2086
    awk -v allowed="$allowed" -v layers=" $layers " '
      /^[ \t]*#[ \t]*include[ \t]*["<]/ {
        line = $0
        sub(/^[^"<]*/, "", line)
        quoted = substr(line, 1, 1) == "\""
        path = substr(line, 2)
        sub(/[">].*/, "", path)
        top = path
        has_dir = sub(/\/.*/, "", top)
        known = index(layers, " " top " ") > 0 && has_dir
        if (known && index(allowed, " " top " ") == 0)
          print FILENAME ":" FNR ": must not include " path
        else if (quoted && path != "config.h" && path != "duckdb.h" && !known)
          print FILENAME ":" FNR ": write the path from the root: " path
        if (path ~ /(^|\/)\.\.?\//)
          print FILENAME ":" FNR ": no . or .. in an include: " path
      }' $files >"$found"
  fi
  result "$layer includes only: $(echo $allowed)" "$found"
}

check_layer base
check_layer lang base
check_layer vm base
check_layer compiler lang vm base
check_layer stdlib vm base
check_layer app lang vm compiler stdlib base
check_layer spark stdlib vm base

: >"$found"
for file in $(sources base lang vm compiler stdlib app spark tests/unit tests/fuzz); do
  listed=$file
  case $file in tests/unit/test_*) listed=${file%.c} ;; esac
  grep -q -F -w -- "$listed" ./*/local.mk || echo "$file is in no local.mk" >>"$found"
done
result "every source is listed" "$found"

: >"$found"
for file in $(sources base lang vm compiler stdlib app spark tests/unit tests/fuzz) $(find stdlib -name '*.cml'); do
  head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$file" >>"$found"
done
result "every source opens with its licence" "$found"

: >"$found"
for file in $(sources base lang vm compiler stdlib app spark tests/unit tests/fuzz); do
  lines=$(wc -l <"$file")
  [ "$lines" -le 900 ] || echo "$file has $lines lines" >>"$found"
done
result "no source is longer than 900 lines" "$found"

# Tables (*.def) and lines that are one string are as wide as they are.
LC_ALL=C.UTF-8 grep -n -E '^.{111,}' $(sources base lang vm compiler stdlib app spark tests/unit tests/fuzz | grep '\.[ch]$') |
  grep -v -E '^[^:]*:[0-9]*: *(\.[a-z_]+ = |return )?"([^"\\]|\\.)*"[]},;) ]*$' | cut -c 1-120 >"$found"
result "no line of C is longer than 110 columns" "$found"

: >"$found"
libraries=$(sources base lang vm compiler stdlib spark)
if [ -n "$libraries" ]; then
  # shellcheck disable=SC2086
  awk '/(^|[^A-Za-z0-9_.>])(exit|abort)[ \t]*\(/ && !/^[ \t]*(\/?\*|\/\/)/ {
    print FILENAME ":" FNR ": a library never ends the process: " $0 }' $libraries >"$found"
fi
result "no library ends the process" "$found"

echo "1..$n"
[ "$failed" -eq 0 ]
