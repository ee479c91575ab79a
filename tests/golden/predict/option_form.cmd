run -q _tiny.cml
predict price.cmlm --in _rows.csv --option header --out p.csv
