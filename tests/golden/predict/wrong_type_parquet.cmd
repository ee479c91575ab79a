$ sed "s/n: int in 0..9/n: float/; s/rows.parquet/floats.parquet/" _tiny.cml > floats.cml
run -q floats.cml
run -q _tiny.cml
predict price.cmlm --in floats.parquet --out never.csv --keep none
