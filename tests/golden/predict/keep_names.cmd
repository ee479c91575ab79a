run -q _tiny.cml
predict price.cmlm --in _rows.csv --keep y,id --out p.csv
$ cut -d, -f1,2 p.csv | head -3
