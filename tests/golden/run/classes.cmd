run {} -q --json classes.json
$ grep -A 40 '"task"' classes.json | grep -v digest
$ head -3 classes-out.csv
predict classes.cmlm --in classes.csv --out classes-all.csv --keep id -q
$ grep -x -F -f classes-out.csv classes-all.csv | wc -l; wc -l < classes-out.csv
explain {} --stage kind
