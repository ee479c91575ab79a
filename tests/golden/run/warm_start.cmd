$ sed 's/, from = "first.cmlm"//' warm_start.cml > cold.cml
run cold.cml -q
$ cp other.cmlm first.cmlm && cp again.csv cold.csv
run {} -q
$ paste -d, cold.csv again.csv | awk -F, 'NR > 1 { d = $2 - $5; if (d * d > 1e-16) print "differs" }'
$ sed 's/other.cmlm/first.cmlm/' warm_start.cml > over.cml
run over.cml -q
