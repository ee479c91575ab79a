run {}
$ cat one.csv none.csv
