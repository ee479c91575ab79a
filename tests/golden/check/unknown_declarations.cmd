check --no-data
