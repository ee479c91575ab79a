#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# oracle.sh [NAME ...]: runs tests/oracle/test_*.py, each a program that compares cmlc with an independent
# implementation and prints TAP (tests/oracle/README.md). Their results become one TAP stream.
# Python is $CML_PYTHON, or the venv that scripts/setup-oracle makes; without it, or with CML_NO_ORACLE=1, the tests are
# skipped.
set -u

root=${CML_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${CML_BUILDDIR:-$root/build}
python=${CML_PYTHON:-$build/venv/bin/python}
CMLC=${CMLC:-$build/cmlc}
CML_DATA=${CML_DATA:-$root/examples/data}
CML_SRCDIR=$root
export CMLC CML_DATA CML_SRCDIR

if [ -n "${CML_NO_ORACLE:-}" ]; then
  echo "1..0 # SKIP CML_NO_ORACLE is set"
  exit 0
fi
if [ ! -x "$python" ]; then
  echo "1..0 # SKIP no Python with scikit-learn (scripts/setup-oracle makes it)"
  exit 0
fi
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
: >"$work/all"
for script in "$root"/tests/oracle/test_*.py; do
  [ -f "$script" ] || continue
  name=$(basename "$script" .py)
  if [ $# -gt 0 ]; then
    wanted=no
    for part in "$@"; do
      case $name in *"$part"*) wanted=yes ;; esac
    done
    [ "$wanted" = yes ] || continue
  fi
  mkdir "$work/$name"
  (cd "$work/$name" && "$python" "$script") >"$work/log" 2>&1 </dev/null
  status=$?
  # The script's own numbers and plan give way to ours.
  awk -v status="$status" -v name="$name" '
    /^1\.\.[0-9]+/ { plan = 1; print "# " name ": " $0; next }
    /^(not )?ok( |$)/ {
      n++
      bad += /^not /
      word = /^not / ? "not ok" : "ok"
      sub(/^(not )?ok *[0-9]* *(- *)?/, "")
      print word " - " name ": " $0
      next
    }
    { print "# " $0 }
    END {
      if ((status != 0 && bad == 0) || (n == 0 && !plan))
        print "not ok - " name " ended with status " status " after " n + 0 " tests"
    }' "$work/log" >>"$work/all"
done
awk '/^not / { bad = 1 } /^(not )?ok/ { n++; sub(/ - /, " " n " - ") } { print }
  END { if (n == 0) print "1..0 # SKIP there is no oracle test"; else print "1.." n
    exit bad }' "$work/all"
