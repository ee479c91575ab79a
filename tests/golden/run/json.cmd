run {} -q
$ cat json-out.csv
$ gzip -c json-a.json > rows.jsonl.gz
predict json.cmlm --in rows.jsonl.gz --out p.csv --keep id
$ cat p.csv
