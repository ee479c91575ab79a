run -q _tiny.cml
predict price.cmlm --in rows.parquet --keep id --out a.csv
predict price.cmlm --in _rows.csv --keep id --out b.csv
$ cmp a.csv b.csv && head -1 a.csv
predict price.cmlm --in _rows.csv --keep none -q --out c.parquet
$ head -c 4 c.parquet; echo
