$ { cat whole.csv; echo 7; } > short.csv
run {} -q
