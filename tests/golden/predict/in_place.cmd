run -q _tiny.cml
$ cp _rows.csv place.csv
predict price.cmlm --in place.csv --out place.csv
$ head -1 place.csv; wc -l < place.csv; ls -A | grep tmp
