#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# examples.sh: every examples/*/*.cml runs, and its own expect lines hold. Prints TAP.
# Runs in a copy, beside the fetched data, so that what a program exports is not left in the source tree.
set -u

root=${CML_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${CML_BUILDDIR:-$root/build}
data=${CML_DATA:-$root/examples/data}
CMLC=${CMLC:-$build/cmlc}
n=0
failed=0

if [ ! -d "$data" ]; then
  echo "1..0 # SKIP the examples' data are not here (scripts/setup fetches them)"
  exit 0
fi
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
cp -R "$root/examples/." "$work/" 2>/dev/null
chmod -R u+w "$work"
rm -rf "$work/data"
ln -s "$data" "$work/data"
# In the hostile build a chunk has a few rows: millions of rows would take an hour (CML_SMALL is set there).
large_input() {  # large_input PROGRAM: a file of more than 1 MB that it reads, or nothing
  find "$data/" -type f -size +1024k | while IFS= read -r file; do
    if grep -q -F "${file##*/}" "$1"; then
      echo "${file##*/}"
      break
    fi
  done
}

for program in "$work"/*/*.cml; do
  [ -f "$program" ] || continue
  case ${program##*/} in _*) continue ;; esac
  name=${program#"$work"/}
  n=$((n + 1))
  large=$(large_input "$program")
  if [ -n "${CML_SMALL:-}" ] && [ -n "$large" ]; then
    echo "ok $n - $name # SKIP $large is too large for this build"
    continue
  fi
  if (cd "$work" && NO_COLOR=1 "$CMLC" run "$name") >"$work/log" 2>&1 </dev/null; then
    echo "ok $n - $name"
  else
    echo "not ok $n - $name (status $?)"
    failed=$((failed + 1))
  fi
  sed 's/^/# /' "$work/log"
done
if [ "$n" -eq 0 ]; then echo "1..0 # SKIP there is no example"; else echo "1..$n"; fi
[ "$failed" -eq 0 ]
