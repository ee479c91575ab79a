$ gzip -nc whole.csv | head -c 30 > cut.csv.gz
run {} -q
