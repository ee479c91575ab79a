$ "$CMLC" explain tests_of_data.cml | sed "/^scan 4/,$ d"
$ "$CMLC" run tests_of_data.cml | sed '/^stage/,$d'
$ test ! -e never.cmlm && echo "no bundle"
run {} -q
