run -q _tiny.cml
predict price.cmlm --in nowhere.csv --out p.csv
