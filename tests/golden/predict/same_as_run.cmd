run -q _tiny.cml
predict price.cmlm --in _rows.csv --keep id,x,n,town,late -q --out a.parquet
$ cmp a.parquet rows.parquet && echo "what run exports and what predict writes are the same bytes"
