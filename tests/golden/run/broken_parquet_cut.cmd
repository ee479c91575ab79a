$ head -c 300 broken.parquet > cut.parquet
run {} -q
