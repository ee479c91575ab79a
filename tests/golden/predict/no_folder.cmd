run -q _tiny.cml
predict price.cmlm --in _rows.csv --out nowhere/p.csv
