run -q _tiny.cml
$ sed "s/y, *id/id/; s/\"_rows.csv\"/\"_rows.csv\"/; s/x: float, n: int in 0..9/x: float, n: float/; s/rows.parquet/floats.parquet/" _tiny.cml > floats.cml
run -q floats.cml
$ "$CMLC" run -q _tiny.cml
predict price.cmlm --in floats.parquet --out never.csv --keep none
