run {} -q --json classes.json
$ sed -n '/"classes"/,/\]/p; /"coefficients"/,/^  }/p' classes.json
$ head -3 classes-out.csv
predict classes.cmlm --in classes.csv --out classes-all.csv --keep id -q
$ grep -x -F -f classes-out.csv classes-all.csv | wc -l; wc -l < classes-out.csv
