run -q _tiny.cml
predict price.cmlm --in _rows.csv --out p.csv
$ head -4 p.csv | sed -E "s/([0-9]\.[0-9]{9})[0-9]+/\1/g"; wc -l < p.csv
