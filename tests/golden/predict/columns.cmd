run -q _tiny.cml
$ tail -n +2 _rows.csv > bare.csv
predict price.cmlm --in bare.csv --columns id,x,n,town,late,y --out p.csv
predict price.cmlm --in _rows.csv --out q.csv -q
$ cmp p.csv q.csv
$ try() { "$CMLC" predict price.cmlm --out p.csv --in "$@" 2>&1; echo "[$?]"; }; try bare.csv; try bare.csv --columns x,n,town; try bare.csv --columns id,x,n,x,late,y; try bare.csv --columns id,x,n,city,late,y; try bare.csv --columns id,x,n,town,late,y --option header=true; try bare.csv --columns ""; try rows.parquet --columns x
