#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# catalogue.sh [NAME ...]: every entry of `cmlc doc` has an example, and every example runs. Prints TAP.
#
# An example is what stands in backticks behind "Example:" on a page (of an estimator: behind "Example."), or, on the page of a metric, the
# indented lines. It is put
# into a program over tests/doc/rows.csv at the place that its form asks for:
#   derive .., where ..         the data block              from ..     the data block, for its source
#   model ..                    the model                   NAME = ..   a slot of the features
#   of a metric                 an entry of evaluate, for each task that the metric knows
# A run that ends with "an expect failed" ran. NAME: only these entries.
set -u

root=${CML_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
CMLC=${CMLC:-${CML_BUILDDIR:-$root/build}/cmlc}
NO_COLOR=1
export NO_COLOR
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
n=0
failed=0
cp "$root/tests/doc/rows.csv" "$work/rows.csv"
cd "$work" || exit 99

schema='    schema {
        id: int, date: timestamp, day: date, left: timestamp, arrived: timestamp, stamp: string, amount: string
        area: float, garden: int?, rooms: int, age: int?, income: float, balance: float, change: float, price: float
        distance: float, delay: int, width: float, height: float, noun: int, verb: int, other: int, share: float
        angle: float, ratio: float, origin: category, destination: category, carrier: category, zone: category
        size: category, name: string, text: string, genres: string, route: string, host: category, paid: bool?
        late: bool, species: category, exposure: float
    }'

slots='distance = standardize(distance)
    zone = one_hot(zone)
    area = standardize(area)'
binary='logistic_regression(late ~ f, l2 = 0.01)'

program() {  # program FROM CLAUSE SLOT MODEL ENTRY: the text of a program
  cat <<EOF
data d {
    ${1:-from csv(\"rows.csv\")
$schema}
    $2
    split train 70%, test 30% by hash(id)
}
features f of d {
    $3
}
model m = $4
evaluate m on d.test {
    $5
}
EOF
}

model_of() {  # model_of TASK
  case $1 in
    regressions) echo 'linear_regression(price ~ f, l2 = 0.01)' ;;
    'models with two classes') echo "$binary" ;;
    'models with several classes') echo 'logistic_regression(species ~ f, l2 = 0.01)' ;;
    clusters) echo 'kmeans(f, k = 3)' ;;
  esac
}

runs() {  # runs: does p.cml? What it said is in out.
  "$CMLC" run -q --threads 1 p.cml >out 2>&1 </dev/null
  status=$?
  [ "$status" -eq 0 ] || { [ "$status" -eq 1 ] && grep -q CML0433 out; }
}

verdict() {  # verdict NAME EXAMPLE: of the last run
  n=$((n + 1))
  if [ "$3" -eq 0 ]; then
    echo "ok $n - $1: $2"
  else
    echo "not ok $n - $1: $2"
    sed 's/^/# /' out
    failed=$((failed + 1))
  fi
}

run_example() {  # run_example NAME EXAMPLE
  case $2 in
    'derive '* | 'where '*) program '' "$2" "$slots" "$binary" log_loss >p.cml ;;
    'model '*) program '' '' "$slots" "${2#*= }" '' | sed '/^evaluate/,$d' >p.cml ;;
    *) program '' '' "$2" "$binary" log_loss >p.cml ;;
  esac
  runs
  verdict "$1" "$2" $?
}

# Each line has to run for a model of one of the metric's tasks; options of two classes do not for several.
metric_examples() {  # metric_examples NAME
  sed -n "s/^metric $1, of //p" page | sed 's/, /\n/g' >tasks
  awk '/^options$/ { options = 1 } /^metric / { options = 0 } !options' page | sed -n 's/^    \([a-z].*\)$/\1/p' >lines
  while IFS= read -r line; do
    good=1
    while IFS= read -r task; do
      [ "$good" -eq 0 ] && continue
      program '' '' "$slots" "$(model_of "$task")" "$line" >p.cml
      runs
      good=$?
    done <tasks
    verdict "$1" "$line" "$good"
  done <lines
}

examples() {  # of a page: "Example: `..`" and, of estimators, "Example.  .."
  sed -n -e 's/^\(.* \)\{0,1\}Example: `\(.*\)`.*$/\2/p' -e 's/^Example\.  \(.*\)$/\1/p' page
}

entries() {  # entries LIST
  "$CMLC" doc "$1" | sed -n 's/^  \([a-z][a-z0-9_]*\).*/\1/p' | sort -u
}

# The file that a `from` example names, made of the rows: in its format, of its name.
source_file() {  # source_file EXAMPLE
  format=$(printf '%s\n' "$1" | sed 's/^from \([a-z]*\).*/\1/')
  path=$(printf '%s\n' "$1" | sed 's/^[^"]*"\([^"]*\)".*/\1/; s/\*/1/g')
  case $format in
    sql) path=$(printf '%s\n' "$path" | sed "s/^[^']*'\([^']*\)'.*/\1/"); format=${path##*.} ;;
  esac
  mkdir -p "$(dirname "$path")"
  cp "rows.$format" "$path" 2>/dev/null
}

# rows.parquet, rows.json and rows.libsvm, from rows.csv.
program '' '' 'area = area' 'linear_regression(price ~ f)' rmse |
  sed 's/^    split.*//; s/^evaluate.*/export m {/; s/^    rmse/    predictions of d to "rows.parquet"/' >p.cml
"$CMLC" run -q p.cml >out 2>&1 || sed 's/^/# /' out
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) name[i] = $i; next }
  { line = ""
    for (i = 1; i <= NF; i++)
      line = line (i > 1 ? ", " : "") "\"" name[i] "\": " \
        ($i == "" ? "null" : $i ~ /^(-?[0-9.]+|true|false)$/ && name[i] != "amount" ? $i : "\"" $i "\"")
    print "{" line "}" }' rows.csv >rows.json
awk -F, 'NR > 1 { print $14, "1:" $8, "2:" $15 }' rows.csv >rows.libsvm

run_source() {  # run_source NAME EXAMPLE
  source_file "$2"
  if [ "$1" = libsvm ]; then
    program "$2
    schema { label: float, f1: float, f2: float }" '' 'size = [f1, f2]' 'linear_regression(label ~ f)' rmse
  else
    program "$2
$schema" '' 'area = area' 'linear_regression(price ~ f)' rmse
  fi | sed 's/by hash(id)/by random(seed = 1)/' >p.cml
  case $1 in
    orc | table | jdbc) "$CMLC" check --no-data p.cml >out 2>&1 </dev/null ;; # read by Spark alone: tests/spark.sh
    *) runs ;;
  esac
  verdict "$1" "$2" $?
}

for list in functions estimators metrics sources; do
  for name in $(entries $list); do
    [ $# -eq 0 ] || case " $* " in *" $name "*) ;; *) continue ;; esac
    "$CMLC" doc "$name" >page
    before=$n
    if [ $list = metrics ]; then
      metric_examples "$name"
    else
      examples >found
      while IFS= read -r example; do
        if [ $list = sources ]; then run_source "$name" "$example"; else run_example "$name" "$example"; fi
      done <found
    fi
    if [ "$n" -eq "$before" ]; then
      n=$((n + 1))
      failed=$((failed + 1))
      echo "not ok $n - $name: its page has no example"
    fi
  done
done
echo "1..$n"
[ "$failed" -eq 0 ]
