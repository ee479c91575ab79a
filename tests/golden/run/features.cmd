run -q {} --json features.json
$ cat plain.csv
$ cat all.csv
$ cat none.csv
$ cat m.csv
$ grep -A1 '"kind": "features"' features.json
