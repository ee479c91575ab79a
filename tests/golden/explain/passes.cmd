explain --no-data _late.cml --pass fold --skip-pass dead > a.ir
explain --no-data _late.cml --ir --skip-pass fold,dead,project > b.ir
$ diff b.ir a.ir; explain() { "$CMLC" explain "$@"; }; explain --no-data _late.cml --pass project > c.ir; explain --no-data _late.cml --ir | cmp - c.ir && echo "the last pass gives the whole"
$ "$CMLC" explain a.ir | cmp - a.ir && echo "IR text reads back to itself"
explain --no-data _late.cml --skip-pass fold,dead | grep -A3 ^passes
