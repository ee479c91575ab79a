run -q _tiny.cml
predict price.cmlm --in _rows.csv --keep id,id --out p.csv
