run -q _tiny.cml
predict price.cmlm --in _rows.csv --option delimeter=x --out p.csv
