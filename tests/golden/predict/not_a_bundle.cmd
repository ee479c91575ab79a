predict _rows.csv --in _rows.csv --out p.csv
