#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# golden.sh [--update] [NAME ...]: runs the golden cases and prints TAP.
#
# A case is tests/golden/AREA/NAME.cml (or any NAME.EXT that has a NAME.cmd), with its expectation beside it:
#   NAME.cmd     what to run, one line after the other, until one fails. A line is the arguments of cmlc; {} is the
#                case's file, and a single line without {} gets the file at its end. A line that begins with "$ " is
#                for the shell. Default: check
#   NAME.out     expected standard output of all lines (no file: nothing)
#   NAME.err     expected standard error (no file: nothing)
#   NAME.status  expected exit status (no file: 0)
#   filter.sed   of the area, if any: edits both outputs before they are compared (timings, versions)
# A file whose name begins with _ is read by cases and is none itself.
#
# Each area runs in a private copy of its folder, so paths are relative and nothing is left behind. NAME is part of
# AREA/NAME. --update rewrites the expectations of the cases it runs.
# CMLC names the program (default: cmlc in $CML_BUILDDIR, or build/).
set -u

root=${CML_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${CML_BUILDDIR:-$root/build}
CMLC=${CMLC:-$build/cmlc}
case $CMLC in */*) CMLC=$(cd "${CMLC%/*}" && pwd)/${CMLC##*/} ;; esac
export CMLC
update=no
if [ "${1:-}" = --update ]; then
  update=yes
  shift
fi
golden=$root/tests/golden
if [ ! -x "$CMLC" ]; then
  echo "not ok 1 - there is no $CMLC"
  echo "1..1"
  exit 1
fi

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
n=0
failed=0

run_lines() {  # run_lines FILE CMD-FILE: runs in the current directory, ends at the first line that fails
  if [ ! -f "$2" ]; then
    "$CMLC" check "$1"
    return
  fi
  lines=$(grep -c . "$2")
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      '') continue ;;
      '$ '*) sh -c "${line#\$ }" </dev/null || return ;;
      *'{}'*)
        line=$(printf '%s\n' "$line" | sed "s|{}|$1|g")
        sh -c "\"\$CMLC\" $line" </dev/null || return ;;
      *)
        if [ "$lines" -eq 1 ] && [ -n "$1" ]; then line="$line $1"; fi
        sh -c "\"\$CMLC\" $line" </dev/null || return ;;
    esac
  done <"$2"
}

compare() {  # compare EXPECTED ACTUAL WHAT: true when equal; a missing EXPECTED stands for an empty file
  expected=$1
  [ -f "$expected" ] || expected=/dev/null
  if cmp -s "$expected" "$2"; then return 0; fi
  echo "# $3 differs (- expected, + got):"
  diff -u "$expected" "$2" | tail -n +3 | head -n 60 | sed 's/^/#   /'
  return 1
}

store() {  # store EXPECTED ACTUAL: an empty output is expressed by no file
  if [ -s "$2" ]; then cp "$2" "$1"; else rm -f "$1"; fi
}

run_case() {  # run_case AREA NAME
  area=$1
  name=$2
  file=
  for candidate in "$golden/$area/$name".*; do
    case ${candidate##*/} in
      "$name.cml" | "$name.ir") file=${candidate##*/} ;;
    esac
  done
  (cd "$work/$area" && NO_COLOR=1 run_lines "$file" "$name.cmd") >"$work/out" 2>"$work/err"
  echo $? >"$work/status"
  if [ -f "$golden/$area/filter.sed" ]; then
    for stream in out err; do
      sed -E -f "$golden/$area/filter.sed" "$work/$stream" >"$work/filtered"
      mv "$work/filtered" "$work/$stream"
    done
  fi
  n=$((n + 1))
  if [ "$update" = yes ]; then
    store "$golden/$area/$name.out" "$work/out"
    store "$golden/$area/$name.err" "$work/err"
    if [ "$(cat "$work/status")" = 0 ]; then rm -f "$golden/$area/$name.status"
    else cp "$work/status" "$golden/$area/$name.status"; fi
    echo "ok $n - $area/$name written"
    return
  fi
  echo 0 >"$work/zero"
  status=$golden/$area/$name.status
  [ -f "$status" ] || status=$work/zero
  good=yes
  {
    compare "$golden/$area/$name.out" "$work/out" "standard output" || good=no
    compare "$golden/$area/$name.err" "$work/err" "standard error" || good=no
    compare "$status" "$work/status" "exit status" || good=no
  } >"$work/report"
  if [ "$good" = yes ]; then
    echo "ok $n - $area/$name"
  else
    echo "not ok $n - $area/$name"
    cat "$work/report"
    failed=$((failed + 1))
  fi
}

for directory in "$golden"/*/; do
  [ -d "$directory" ] || continue
  area=$(basename "$directory")
  cp -R "$golden/$area" "$work/$area"
  chmod -R u+w "$work/$area"
  for name in $(cd "$directory" && ls | sed -n 's/\.cml$//p; s/\.cmd$//p' | sort -u); do
    case $name in _*) continue ;; esac
    if [ $# -gt 0 ]; then
      wanted=no
      for part in "$@"; do
        case $area/$name in *"$part"*) wanted=yes ;; esac
      done
      [ "$wanted" = yes ] || continue
    fi
    run_case "$area" "$name"
  done
  rm -rf "${work:?}/$area"
done
if [ "$n" -eq 0 ]; then
  echo "1..0 # SKIP there is no golden case"
else
  echo "1..$n"
fi
[ "$failed" -eq 0 ]
