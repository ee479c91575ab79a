run {} -q --json - -p strength=0.02
$ cut -d, -f1-3 whole.csv | head -4
predict whole.cmlm --in good.csv --out whole-all.csv --keep none -q
$ wc -l < whole-all.csv
