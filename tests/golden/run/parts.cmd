run {} -q
$ cat parts-out.csv
