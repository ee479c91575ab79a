#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# scans.sh: `explain --analyze` says how many scans went back to the files; strace says what was read. Prints TAP.
#
# Of every examples/*/*.cml: the bytes that the system calls of an analyzed run got from its data file, less those of an
# `explain` that only looks at it, are the file once for each scan that is reported, and once for the digest where a
# bundle wants one. One thread: two may take the same page of a Parquet file apart. The flights once more with so
# little memory that no rows are kept: what the process takes is within it. And what is kept where all fits is what was guessed.
set -u

root=${CML_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${CML_BUILDDIR:-$root/build}
data=${CML_DATA:-$root/examples/data}
CMLC=${CMLC:-$build/cmlc}
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 # leaks cannot be looked for under strace
export ASAN_OPTIONS
n=0
failed=0

skip() {
  echo "1..0 # SKIP $1"
  exit 0
}
[ -d "$data" ] || skip "the examples' data are not here (scripts/setup fetches them)"
[ -z "${CML_SMALL:-}" ] || skip "the data are too large for this build"
strace -f -o /dev/null true 2>/dev/null || skip "strace is not here, or may not trace"
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
cp -R "$root/examples/." "$work/" 2>/dev/null
chmod -R u+w "$work"
rm -rf "$work/data"
ln -s "$data" "$work/data"
data=$(cd "$data" && pwd -P)

bytes() {  # bytes PROGRAM [OPTION ...]: what `cmlc explain` gets of files in data/; its output is in out
  rm -rf "$work/trace"
  mkdir "$work/trace"
  strace -ff -qq -y -e trace=read,readv,pread64,preadv,preadv2 -o "$work/trace/of" \
    "$CMLC" explain --threads 1 --format json "$@" >"$work/out" 2>"$work/err" || return 1
  cat "$work"/trace/of.* | awk -v folder="<$data/" 'index($0, folder) && $NF > 0 { sum += $NF } END { printf "%d", sum }'
}

# Stages that share the scans of another one count them, too.
reported='/"kind":/ { shared = 0 } /"kind": "bundle"/ { digest = 1 } /"shares_scans_with":/ { shared = 1 }
  /"source_scans":/ { if (!shared) scans += $2 } END { printf "%d", scans + digest }'

one() {  # one NAME PROGRAM [OPTION ...]
  name=$1
  shift
  n=$((n + 1))
  size=$(grep -o '\.\./data/[A-Za-z0-9_.-]*' "$1" | sort -u | while read -r file; do stat -L -c %s "$file"; done | awk "{ s += \$1 } END { print s }")
  looked=$(bytes "$@") && ran=$(bytes "$@" --analyze) && times=$(awk "$reported" "$work/out")
  if [ $? -eq 0 ] && awk -v n="$times" -v r="$ran" -v l="$looked" -v s="$size" 'BEGIN { t = (r - l) / s; exit !(n > 0 && t > n - 0.05 && t < n * 1.05) }'
  then echo "ok $n - $name: read $times times"; else
    echo "not ok $n - $name"
    echo "# to be read ${times:-?} times, as explain says; ${ran:-?} bytes less ${looked:-?} of looking, of $size in its files"
    sed 's/^/# /' "$work/err"
    failed=$((failed + 1))
  fi
}

for program in "$work"/*/*.cml; do
  case ${program##*/} in _*) continue ;; esac
  cd "${program%/*}" || exit 99
  one "${program##*/}" "${program##*/}"
done
cd "$work/flights" && one "flights.cml, no rows kept" flights.cml --memory 64M
n=$((n + 1))
peak=$(awk '/"memory":/ { m = 1 } m && /"actual":/ { printf "%d", $2; exit }' "$work/out")
if grep -q -a __asan_init "$CMLC"; then echo "ok $n - flights.cml in 64 MB # SKIP the sanitizers take memory"
elif [ "${peak:-0}" -gt 0 ] && [ "$peak" -le $((64 << 20)) ]; then echo "ok $n - flights.cml in 64 MB"; else
  echo "not ok $n - flights.cml took ${peak:-?} bytes with --memory 64M"
  failed=$((failed + 1))
fi
# What is kept in memory is guessed within a factor of two: of flights, whose rows and matrix all fit.
n=$((n + 1))
"$CMLC" explain --analyze --format json flights.cml >"$work/out" 2>"$work/err"
if awk '/"estimate": {/ { guess = 1 } /"actual": {/ { guess = 0 }
  /"held_bytes":/ { if (guess) g = $2 + 0; else if ($2 + 0) { n++; bad += $2 > 2 * g || g > 2 * $2 } } END { exit !(n >= 4 && !bad) }' "$work/out"
then echo "ok $n - flights.cml: what is kept, guessed and measured"; else
  echo "not ok $n - flights.cml: what is kept is not what was guessed"
  grep held_bytes "$work/out" | sed 's/^/# /'
  failed=$((failed + 1))
fi
echo "1..$n"
[ "$failed" -eq 0 ]
