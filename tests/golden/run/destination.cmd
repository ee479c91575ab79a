$ for to in out.txt table://warehouse.scored hdfs://cluster/out.parquet; do "$CMLC" run destination.cml -p to=$to 2>&1; echo "[$?]"; done; "$CMLC" run destination.cml --master local 2>&1
