#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# seeds.sh TARGET CMLC DIRECTORY: puts what the programs of golden/run and laws compile to (ir), or the bundles that
# they write (bundle), into DIRECTORY: what those fuzz targets begin with, as new as the programs are.
set -eu
tests=$(cd "$(dirname "$0")/.." && pwd)
target=$1
case $2 in */*) cmlc=$(cd "${2%/*}" && pwd)/${2##*/} ;; *) cmlc=$2 ;; esac
into=$(cd "$3" && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R "$tests/golden/run" "$tests/laws" "$copy"
(cd "$copy/laws" && awk -v rows=80 -f texts.awk)
for program in "$copy"/*/*.cml; do  # some are wrong on purpose
  cd "${program%/*}"
  name=$(basename "$PWD")-$(basename "$program" .cml)
  if [ "$target" = ir ]; then
    "$cmlc" explain --ir "$program" >"$into/$name.ir" 2>/dev/null || rm -f "$into/$name.ir"
  elif grep -q 'bundle *"' "$program"; then
    "$cmlc" run -q "$program" >/dev/null 2>&1 || true
    # small ones, as mutations of the others take long and find little
    find . -name '*.cmlm' -size -48k -exec cp {} "$into/$name.cmlm" \;
    rm -f ./*.cmlm
  fi
done
