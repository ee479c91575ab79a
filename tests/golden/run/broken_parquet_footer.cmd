$ { head -c 408 broken.parquet; head -c 60 /dev/zero; tail -c +469 broken.parquet; } > footer.parquet
run {} -q
