run -q _tiny.cml
$ mkdir g; cp _rows.csv g/a.csv; cp _rows.csv g/b.csv
predict price.cmlm --in "g/*.csv" --out p.csv
$ wc -l < p.csv
