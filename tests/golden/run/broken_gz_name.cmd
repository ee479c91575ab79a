$ cp whole.csv name.csv.gz
run {} -q
