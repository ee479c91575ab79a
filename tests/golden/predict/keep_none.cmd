run -q _tiny.cml
predict price.cmlm --in _rows.csv --keep none --out p.csv
$ head -1 p.csv
