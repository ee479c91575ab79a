run {} -q
$ cut -d, -f1,2 list_joined.csv
