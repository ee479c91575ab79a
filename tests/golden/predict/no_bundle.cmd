predict nowhere.cmlm --in _rows.csv --out p.csv
