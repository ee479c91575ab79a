run -q _tiny.cml
$ mkdir there; cp _rows.csv there/rows.csv
predict price.cmlm --in there/rosw.csv --out p.csv
