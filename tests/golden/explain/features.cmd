explain --no-data {}
explain --no-data --format json {} --stage "f features of d.train"
