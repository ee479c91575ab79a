run {} -q
$ printf 'id,x,n,kind\n1,3,2,new\n2,2.9,,ß\n3,3,2,\n4,1,1,ü\n5,1e9,1,a\n6,-1e9,1,a\n' > new.csv; printf 'id,x,n,kind\n' > head.csv; printf 'id,x,n,kind\n1,,2,a\n' > bad.csv
$ for m in line chance points; do "$CMLC" predict $m.cmlm --in new.csv --out o.csv --keep id -q; sed -E "s/([0-9]\.[0-9]{8})[0-9]+/\1/g" o.csv; done
$ for f in head bad; do "$CMLC" predict line.cmlm --in $f.csv --out $f-out.csv --keep id -q; echo "[$?]"; cat $f-out.csv; done; true
