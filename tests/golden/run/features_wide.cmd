$ (echo id,x; seq 1 4096 | sed 's/$/,1/') >wide.csv
run {}
