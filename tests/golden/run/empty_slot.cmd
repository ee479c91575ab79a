run {} -q
run {} -q --executor loopback
predict empty_slot.cmlm good.csv -o empty_slot-q.csv --keep none
$ cut -d, -f1 empty_slot-q.csv | head -n 3
$ wc -l < empty_slot-q.csv
