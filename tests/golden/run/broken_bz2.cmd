$ cp whole.csv x.csv.bz2
run {} -q
