run -q _tiny.cml
$ sed "2,\$s/^\([^,]*\),[^,]*/\1,tall/" _rows.csv > wrong.csv; echo old > never.csv; "$CMLC" predict price.cmlm --in wrong.csv --out never.csv; echo "[$?]"; cat never.csv
