explain --no-data {}
explain --no-data --format json {} --stage "f features of d.train"
explain --no-data --format json {} > features.json
$ grep '"kind": "' features.json
