$ seq 200000 | awk 'BEGIN { print "id,x,town,y" } { printf "%d,%d.5,%s,%d\n", $1, $1 % 97, substr("abcdefg", $1 % 7 + 1, 1), $1 % 97 + $1 % 7 }' >many.csv
run -q {}
predict threads.cmlm --in many.csv --out one.csv --keep id,town --threads 1
predict threads.cmlm --in many.csv --out five.csv --keep id,town --threads 5
$ cmp one.csv five.csv && cut -d, -f1,2 five.csv | sed -n '1,2p;70000p;200001p'
predict threads.cmlm --in many.csv --out one.parquet --threads 2 -q
predict threads.cmlm --in many.csv --out two.parquet --threads 1 -q
$ cmp one.parquet two.parquet && sed -e '3s/1\.5/oh/' -e '150000s/\.5/,/' -e '180000s/\.5,/,/' many.csv >bad.csv
predict threads.cmlm --in bad.csv --out bad.out.csv --threads 4
