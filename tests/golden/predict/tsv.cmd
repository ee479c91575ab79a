run -q _tiny.cml
$ tr , "\t" < _rows.csv > t.tsv
predict price.cmlm --in t.tsv --keep id --out p.csv
predict price.cmlm --in _rows.csv --keep id -q --out q.csv
$ cmp p.csv q.csv
