run {} -q
run {} -q --executor loopback
predict empty_slot.cmlm --in good.csv --keep none --out empty_slot-q.csv -q
$ head -n 3 empty_slot-q.csv
$ wc -l < empty_slot-q.csv
