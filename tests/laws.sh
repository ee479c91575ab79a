#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# laws.sh: what holds of every program, tried on one whose data do not fit into its memory, and on those of laws/,
# which have the other kinds of data, features and models. Prints TAP.
#
#   the same bytes   of bundle, predictions, features (by their digest) and report for any number of threads, any
#                    memory, either executor; any pass skipped (the program in a bundle may have other steps then)
#   whole or not     an output that is killed, interrupted or refused leaves the file that was there before
#
# CMLC names the program (default: cmlc in $CML_BUILDDIR, or build/). CML_SMALL=1 takes fewer rows (hostile builds).
# CML_OTHERS names other builds of cmlc, which must give the same bytes too.
# laws/NAME.cml writes NAME.cmlm and NAME.csv; it reads texts-a.csv and texts-b.csv, made below.
set -u

root=${CML_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
CMLC=${CMLC:-${CML_BUILDDIR:-$root/build}/cmlc}
case $CMLC in */*) CMLC=$(cd "${CMLC%/*}" && pwd)/${CMLC##*/} ;; esac
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work" || exit 99
n=0
failed=0
rows=300000
texts=20000
[ -n "${CML_SMALL:-}" ] && rows=2000 texts=300

ok() {  # ok STATUS WHAT
  n=$((n + 1))
  if [ "$1" -eq 0 ]; then
    echo "ok $n - $2"
  else
    echo "not ok $n - $2"
    sed 's/^/# /' err 2>/dev/null | tail -n 5
    failed=$((failed + 1))
  fi
}

# Rows with a bit of everything: floats that do not add up exactly, missing values, rare categories, weights; and long
# notes, only to be copied, so that the rows do not fit into 64 MB.
awk -v rows="$rows" 'BEGIN {
  srand(42)
  print "id,x,y,age,town,weight,late,note"
  long = sprintf("%160s", ""); gsub(/ /, "lorem ", long); long = substr(long, 1, 160)
  for (i = 1; i <= rows; i++) {
    x = rand() * 7 - 3; y = 1e6 * rand() * rand(); town = int(400 * rand() * rand()); late = rand() < 1 / (1 + exp(-x + town / 300))
    age = i % 17 ? int(90 * rand()) : ""
    printf "%d,%.9f,%.6f,%s,t%d,%.3f,%s,%d %s\n", i, x, y, age, town, 0.1 + rand(), late ? "true" : "false", i, long
  }
}' >rows.csv
cat >law.cml <<'END'
data d {
    from   csv("rows.csv")
    schema { id: int, x: float, y: float, age: float?, town: category, weight: float, late: bool, note: string }
    where  y > 5
    weight weight
    split  train 80%, test 20% by hash(id)
}

features f of d {
    x     = standardize(x)
    y     = robust_scale(log1p(y))
    age   = standardize(impute(age, fill = median(age)))
    town  = one_hot(town, min_count = 20)
    habit = target_mean(town, late)
}

model m = logistic_regression(late ~ f, l2 = 1e-3)

evaluate m on d.test {
    auc, log_loss
    auc by town top 3
}

export m {
    bundle      "law.cmlm"
    predictions of d.test keep [id, town, note] to "law.csv"
    features    of d keep [id, note] to "law.parquet"
}
END

facts() { sed '/"seconds"/d; /"timings"/,$d' "$1"; }  # the report but its timings

first() {  # first NAME: the run that the others are compared with
  law=$1
  "$CMLC" run "$law.cml" -q --threads 2 --json first.json 2>err && [ -s "$law.cmlm" ] && [ -s "$law.csv" ]
  ok $? "$law runs"
  cp "$law.cmlm" first.cmlm
  cp "$law.csv" first.csv
  facts first.json >first.facts
}

same() {  # same WHAT OPTIONS...: bundle, predictions and report
  what=$1
  shift
  rm -f "$law.cmlm" "$law.csv"
  "$CMLC" run "$law.cml" -q --json this.json "$@" 2>err && cmp -s "$law.cmlm" first.cmlm && cmp -s "$law.csv" first.csv &&
    facts this.json | cmp -s - first.facts
  ok $? "$law: the same bytes with $what"
}

# A pass may leave other steps in the bundle's program: they give the same.
but_bundle() { sed '/"kind": "bundle"/,/}/{/"bytes"/d; /"digest"/d;}' "$@"; }

alike() {  # alike WHAT OPTIONS...: predictions and report, but for size and digest of the bundle
  what=$1
  shift
  rm -f "$law.cmlm" "$law.csv"
  "$CMLC" run "$law.cml" -q --json this.json "$@" 2>err && [ -s "$law.cmlm" ] && cmp -s "$law.csv" first.csv &&
    but_bundle first.facts >first.alike && facts this.json | but_bundle | cmp -s - first.alike
  ok $? "$law: the same bytes with $what"
}

passes() { "$CMLC" explain "$law.cml" | sed -n '/^passes/,$ s/^    \([a-z_]*\) .*/\1/p'; }

everywhere() {  # the program of the last first(), in all ways
  same "1 thread" --threads 1
  same "7 threads" --threads 7
  case $law in prices) small=400M ;; *) small=64M ;; esac  # DuckDB holds what a SELECT sorts
  same "$small of memory" --threads 2 --memory "$small"
  cp this.json small.json
  same "the loopback executor" --executor loopback --threads 2
  same "no machine code" --jit off
  case $("$CMLC" version) in
    *"no JIT"*) ;;
    *)
      same "machine code from the first row on" --jit force --threads 2
      same "machine code on the loopback executor" --jit force --executor loopback --threads 2
      ;;
  esac
  for pass in $(passes); do
    alike "pass $pass skipped" --skip-pass "$pass"
  done
  alike "all passes skipped" --skip-pass "$(passes | paste -sd,)"
  mine=$CMLC
  for CMLC in ${CML_OTHERS:-}; do
    same "$CMLC" --threads 2
  done
  CMLC=$mine
  export OPENBLAS_CORETYPE=SkylakeX  # what the environment asks of OpenBLAS does not decide
  [ -z "${CML_OTHERS:-}" ] || same "other kernels asked of OpenBLAS" --threads 2
  unset OPENBLAS_CORETYPE
}

awk -v rows="$texts" -f "$root/tests/laws/texts.awk"
for program in "$root"/tests/laws/*.cml; do
  cp "$program" .
  program=${program##*/}
  first "${program%.cml}"
  everywhere
done

first law
everywhere

# 64 MB do not hold the rows: the file is read again, where with room for them it is not.
cached() { awk '/"scans":/ { n = $2 + 0 } /"source_scans": 0/ && n { c++ } END { print c + 0 }' "$1"; }
if [ "$rows" -ge 300000 ]; then
  [ "$(cached small.json)" -eq 0 ] && [ "$(cached first.json)" -gt 0 ]
  ok $? "64 MB make it read the file again"
fi

# predict gives what run exports, for the rows that run exports.
"$CMLC" predict first.cmlm --in rows.csv --out all.csv --keep id,town,note -q 2>err &&
  awk -F, 'NR == FNR { want[$1] = $0; next } FNR > 1 && $1 in want && want[$1] != $0 { bad = 1 } END { exit bad }' first.csv all.csv
ok $? "predict gives what run exports"
"$CMLC" predict first.cmlm --in rows.csv --out again.csv --keep id,town,note -q --memory 64M 2>err && cmp -s all.csv again.csv
ok $? "predict gives the same bytes in 64 MB"
"$CMLC" predict first.cmlm --in rows.csv --out one.parquet -q --threads 1 2>err &&
  "$CMLC" predict first.cmlm --in rows.csv --out seven.parquet -q --threads 7 2>err && cmp -s one.parquet seven.parquet
ok $? "predict gives the same Parquet file with 1 thread and with 7"

# ---- Whole or not at all ----

whole() {  # whole: either output is the old one, or a complete new one
  for f in law.cmlm law.csv; do
    case $f in law.cmlm) new=first.cmlm ;; *) new=first.csv ;; esac
    cmp -s "$f" old || cmp -s "$f" "$new" || return 1
  done
}

echo "what was there before" >old
for after in 0.05 0.2 0.5 0.8; do
  cp old law.cmlm
  cp old law.csv
  "$CMLC" run law.cml -q --threads 1 2>err &
  pid=$!
  sleep "$after"
  kill -KILL "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
  whole
  ok $? "killed after $after s: the old files or the new ones"
done
rm -f .*.tmp-*

# Killed in the middle of writing: as soon as its temporary file is there.
cp old q.csv
"$CMLC" predict first.cmlm --in rows.csv --out q.csv -q 2>err &
pid=$!
tries=0
while ! ls .q.csv.tmp-* >/dev/null 2>&1 && [ "$tries" -lt 200 ]; do
  sleep 0.01
  tries=$((tries + 1))
done
kill -KILL "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
{ cmp -s q.csv old && ls .q.csv.tmp-* >/dev/null 2>&1; } || [ "$(wc -l <q.csv)" -eq $((rows + 1)) ]
ok $? "killed while it writes: the old file"
rm -f .*.tmp-*

for executor in local loopback; do
  cp old law.cmlm
  cp old law.csv
  "$CMLC" run law.cml -q --threads 1 --executor "$executor" 2>err &
  pid=$!
  sleep 0.3
  kill -INT "$pid" 2>/dev/null
  wait "$pid"
  status=$?
  # A shell without job control starts what runs beside it with SIGINT ignored; cmlc installs its own answer all the same.
  if [ "$status" -eq 0 ]; then
    ok 0 "interrupted ($executor): it was faster"
  else
    [ "$status" -eq 130 ] && whole && grep -q '^interrupted' err && ! ls .*.tmp-* >/dev/null 2>&1
    ok $? "interrupted ($executor): status 130, the old files or the new ones, nothing left beside them"
  fi
done

sed '7s/,[^,]*/,?/' rows.csv >bad.csv
cp old q.csv
"$CMLC" predict first.cmlm --in bad.csv --out q.csv -q 2>err
[ $? -eq 4 ] && cmp -s q.csv old && ! ls .*.tmp-* >/dev/null 2>&1
ok $? "a bad value ends predict with status 4 and leaves the old file"

echo "1..$n"
[ "$failed" -eq 0 ]
