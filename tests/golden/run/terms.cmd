run {} -q --json r.json
$ grep -A7 '"coefficients"' r.json
predict terms.cmlm --in terms.csv --keep e --out scored.csv
$ cmp direct.csv scored.csv && cat scored.csv chances.csv
