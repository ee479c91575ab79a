$ { printf "\357\273\277"; sed "s/$/\r/" whole.csv; } > bom.csv
run {} -q
schema bom.csv
