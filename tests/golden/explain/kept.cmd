explain --no-data {}
