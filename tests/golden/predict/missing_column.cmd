run -q _tiny.cml
$ cut -d, -f1,2,4- _rows.csv > less.csv
predict price.cmlm --in less.csv --out never.csv
