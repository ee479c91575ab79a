run {} -q --json threshold.json
$ sed -n '/"evaluations"/,/"expectations"/p' threshold.json
$ cut -d, -f1,5,7,8 threshold.csv | head -6
predict threshold.cmlm --in good.csv --out threshold-all.csv --keep none -q
$ cut -d, -f2 threshold-all.csv | sort | uniq -c
$ grep threshold\" threshold.json
