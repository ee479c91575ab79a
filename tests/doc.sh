#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# doc.sh: every ```cml block of the READMEs is a program that checks without an error, and every error code in the
# sources has its page. Prints TAP.
# CMLC names the program (default: cmlc in $CML_BUILDDIR, or build/).
set -u

root=${CML_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
CMLC=${CMLC:-${CML_BUILDDIR:-$root/build}/cmlc}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
n=0
failed=0
for readme in "$root/README.md" "$root/lang/README.md" "$root/stdlib/README.md"; do
  [ -f "$readme" ] || continue
  rm -f "$work"/*.cml
  awk -v dir="$work" '/^```cml$/ { file = sprintf("%s/%03d.cml", dir, NR); next } /^```$/ { file = "" } file { print > file }' "$readme"
  for block in "$work"/*.cml; do
    [ -f "$block" ] || continue
    n=$((n + 1))
    line=$(basename "$block" .cml)
    if "$CMLC" check --no-data "$block" >"$work/out" 2>&1; then
      echo "ok $n - ${readme#"$root"/} line $line"
    else
      echo "not ok $n - ${readme#"$root"/} line $line"
      sed 's/^/# /' "$work/out"
      failed=$((failed + 1))
    fi
  done
done
n=$((n + 1))
for code in $(cd "$root" && cat */*.c */*/*.c lang/diag.def | grep -o '"CML0[0-9]\{3\}"' | tr -d '"' | sort -u); do
  "$CMLC" doc "$code" >/dev/null 2>&1 || echo "# cmlc doc $code: no page; add one to app/codes.def"
done >"$work/out"
if [ -s "$work/out" ]; then
  echo "not ok $n - every error code has a page"
  cat "$work/out"
  failed=$((failed + 1))
else
  echo "ok $n - every error code has a page"
fi
echo "1..$n"
[ "$failed" -eq 0 ]
