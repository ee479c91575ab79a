#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fuzz.sh: feeds every stored input to its fuzz target, without a fuzzer. An input is a file of
# tests/fuzz/seeds/TARGET/; a finding of scripts/fuzz becomes a test by being copied there. Prints TAP.
# CMLC names the program that makes IR and bundles of the golden programs (default: cmlc in $CML_BUILDDIR, or build/).
set -u

root=${CML_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${CML_BUILDDIR:-$root/build}
n=0
failed=0
work=$(mktemp -d) || exit 99
log=$work/log
trap 'rm -rf "$work"' EXIT
for replay in "$build"/tests/fuzz/replay_*; do
  [ -x "$replay" ] && [ -f "$replay" ] || continue
  target=${replay##*/replay_}
  n=$((n + 1))
  seeds=$(find "$root/tests/fuzz/seeds/$target" -type f 2>/dev/null | sort)
  # The golden cases are good inputs for whatever reads their kind of text.
  case $target in
    parser) seeds="$seeds $(find "$root/tests/golden" "$root/stdlib" -name '*.cml' | sort)" ;;
    bundle | ir)
      [ "$target" = bundle ] || seeds="$seeds $(find "$root/tests/golden" -name '*.ir' | sort)"
      mkdir "$work/$target"
      sh "$root/tests/fuzz/seeds.sh" "$target" "${CMLC:-$build/cmlc}" "$work/$target"
      seeds="$seeds $(find "$work/$target" -type f | sort)"
      ;;
  esac
  # shellcheck disable=SC2086
  if "$replay" $seeds >"$log" 2>&1; then
    echo "ok $n - $target: $(echo $seeds | wc -w) inputs"
  else
    echo "not ok $n - $target"
    failed=$((failed + 1))
    tail -n 40 "$log" | sed 's/^/# /'
  fi
done
if [ "$n" -eq 0 ]; then echo "1..0 # SKIP no fuzz target is built"; else echo "1..$n"; fi
[ "$failed" -eq 0 ]
