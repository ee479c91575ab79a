run -q _tiny.cml
predict price.cmlm --in _rows.csv --out p.csv -q
predict price.cmlm --in p.csv --keep id,x --out q.csv
$ head -1 q.csv
