run -q _tiny.cml
$ tr , ";" < _rows.csv > semi.csv
predict price.cmlm --in semi.csv --option delimiter=";" --keep id --out p.csv
$ head -1 p.csv
