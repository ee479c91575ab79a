run {} -q
$ cat sql-out.csv
run {} -q -p least=2
$ cat sql-out.csv
