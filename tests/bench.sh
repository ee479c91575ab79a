#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# bench.sh: the benchmark's smallest workload runs, without peers, on a small made-up input, and its result is as expected; one
# whose result is wrong is told. Prints TAP.
set -u

root=${CML_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${CML_BUILDDIR:-$root/build}
CMLC=${CMLC:-$build/cmlc}
export CMLC
if ! python3 -c 'import tomllib' 2>/dev/null; then
  echo "1..0 # SKIP bench/run needs Python 3.11"
  exit 0
fi
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
cp -R "$root/bench/run" "$root/bench/peer.py" "$root/bench/generate.py" "$root/bench/workloads" "$work/"
chmod -R u+w "$work"
unset CML_SHARED_DATA
CML_BENCH_DATA=$work/data
export CML_BENCH_DATA
n=0
failed=0

result() {  # result NAME OK
  n=$((n + 1))
  if [ "$2" = yes ]; then
    echo "ok $n - $1"
  else
    echo "not ok $n - $1"
    failed=$((failed + 1))
    sed 's/^/# /' "$work/log"
  fi
}

if python3 "$work/run" --quick small >"$work/log" 2>&1; then ok=yes; else ok=no; fi
result "bench/run --quick small" $ok

sed -i 's/^auc = \[.*/auc = [0.99, 1]/' "$work/workloads/small.toml"
ok=no
if ! python3 "$work/run" --quick small >"$work/log" 2>&1 && grep -q 'auc is 0.8' "$work/log"; then ok=yes; fi
result "a result that is not as expected fails" $ok

echo "1..$n"
[ "$failed" -eq 0 ]
