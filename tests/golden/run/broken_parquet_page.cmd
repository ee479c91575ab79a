$ { head -c 20 broken.parquet; head -c 40 /dev/zero; tail -c +61 broken.parquet; } > page.parquet
run {} -q
