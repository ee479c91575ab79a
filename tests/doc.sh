#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# doc.sh: every ```cml block of the READMEs is a program that checks without an error and runs, its expectations met, over made-up rows of
# its schema; and every error code in the sources has its page. Prints TAP.
# CMLC names the program (default: cmlc in $CML_BUILDDIR, or build/).
set -u

root=${CML_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
CMLC=${CMLC:-${CML_BUILDDIR:-$root/build}/cmlc}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
n=0
failed=0

# Rows for the schema of a program, as CSV. All columns follow one hidden number z, so that a target can be learned from the features.
made_up_rows() {  # made_up_rows PROGRAM
  awk '
    function digits2(x) { return sprintf("%02d", x) }
    function value(i, z, u,    late, one) {
      late = z + 0.3 * u > 0.65
      if (type[i] ~ /\?$/ && row % 17 == 0) return ""
      if (name[i] == "id") return row
      if (type[i] ~ /^bool/) return late ? "true" : "false"
      if (type[i] ~ /^date/) return day
      if (type[i] ~ /^timestamp/)
        return day "T" digits2(6 + int(z * 12)) ":" digits2(row % 30 + (name[i] != "arrived" ? 0 : late ? 29 : 5)) ":00Z"
      if (name[i] in allowed) return one[1 + int((z * 4 + u) / 5 * split(allowed[name[i]], one, /,/))]
      if (type[i] ~ /^(category|string)/) return substr("abcdefgh", 1 + int(z * 4 + u), 1)
      x = name[i] == "delay" ? 100 * z + 20 * u - 60 : 20 + 500 * z + 20 * u
      return type[i] ~ /^int/ ? int(x) : x
    }
    { sub(/#.*/, "") }
    /^ *schema/ { inside = 1; sub(/^ *schema *\{/, "") }
    inside {
      if (match($0, /[a-z_0-9]+ *: *[a-z]+\?? +in +\["[^]]*\]/)) {  # one to a line
        domain_of = substr($0, RSTART, RLENGTH)
        domain = domain_of; sub(/^[^[]*\[/, "", domain); gsub(/["\] ]/, "", domain)
        sub(/ *:.*/, "", domain_of)
        sub(/ +in +\[[^]]*\]/, "")
        allowed[domain_of] = domain
      }
      closes = sub(/\}.*/, "")
      k = split($0, part, /,/)
      for (i = 1; i <= k; i++)
        if (split(part[i], word, /[: ]+/) && match(part[i], /[a-z_0-9]+ *:/)) {
          name[++n] = substr(part[i], RSTART, RLENGTH); sub(/ *:/, "", name[n])
          type[n] = substr(part[i], RSTART + RLENGTH); sub(/^ */, "", type[n]); sub(/ .*/, "", type[n])
        }
      if (closes) inside = 0
    }
    END {
      srand(1)
      for (i = 1; i <= n; i++) printf "%s%s", name[i], i < n ? "," : "\n"
      for (row = 0; row < 12000; row++) {
        z = (row * 0.6180339887) % 1
        day = "2021-" digits2(1 + int(row / 28) % 12) "-" digits2(1 + row % 28)
        for (i = 1; i <= n; i++) printf "%s%s", value(i, z, rand()), i < n ? "," : "\n"
      }
    }' "$1"
}

# The file that the program reads, in its own format.
make_input() {  # make_input PROGRAM
  path=$(sed -n 's/^ *from *[a-z]*("\([^"]*\)".*/\1/p' "$1" | head -1)
  [ -n "$path" ] || return 0
  mkdir -p "$(dirname "$path")"
  made_up_rows "$1" >rows.csv
  case $path in
    *.parquet)
      awk -F, -v OFS=, 'NR == 1 { print $0, "row_", "odd_" } NR > 1 { print $0, NR, NR % 2 }' rows.csv >more.csv
      cat >to_parquet.cml <<EOF
data d { from csv("more.csv") }
features f of d { row = row_ }
model m = linear_regression(odd_ ~ f)
export m { predictions of d to "$path" }
EOF
      "$CMLC" run -q to_parquet.cml
      ;;
    *) mv rows.csv "$path" ;;
  esac
}

for readme in "$root/README.md" "$root/lang/README.md" "$root/stdlib/README.md"; do
  [ -f "$readme" ] || continue
  rm -f "$work"/*.cml
  awk -v dir="$work" '/^```cml$/ { file = sprintf("%s/%03d.cml", dir, NR); next } /^```$/ { file = "" } file { print > file }' "$readme"
  for block in "$work"/*.cml; do
    [ -f "$block" ] || continue
    n=$((n + 1))
    line=$(basename "$block" .cml)
    rm -rf "$work/run"
    mkdir -p "$work/run/here"
    cp "$block" "$work/run/here/p.cml"
    if "$CMLC" check --no-data "$block" >"$work/out" 2>&1 &&
      (cd "$work/run/here" && make_input p.cml && "$CMLC" run -q p.cml) >"$work/out" 2>&1 </dev/null; then
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
