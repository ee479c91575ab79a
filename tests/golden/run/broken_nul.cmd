$ { cat whole.csv; printf "7\0,2\n"; } > nul.csv
run {} -q
