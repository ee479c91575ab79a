explain --no-data
