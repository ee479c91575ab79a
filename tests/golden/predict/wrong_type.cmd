run -q _tiny.cml
$ { head -4 _rows.csv; sed "1,4d; s/^\([^,]*\),[^,]*/\1,tall/; 9q" _rows.csv; } > wrong.csv; echo old > wrong-out.csv; "$CMLC" predict price.cmlm --in wrong.csv --out wrong-out.csv; echo "[$?]"; cat wrong-out.csv
