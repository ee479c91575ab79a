run -q _tiny.cml
predict price.cmlm --in _rows.csv --out p.csv -q
predict price.cmlm --in p.csv --out never.csv
